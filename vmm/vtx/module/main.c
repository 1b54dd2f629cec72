// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /dev/vmdbg: who may do what when. The file is the machine; everything goes when it is closed.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "shadow.h"

static int vmdbg_open(struct inode *inode, struct file *file)
{
	struct machine *m = kzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);

	if (!m)
		return -ENOMEM;
	mutex_init(&m->lock);
	xa_init(&m->pages);
	xa_init(&m->large);
	m->mm = current->mm;
	mmgrab(m->mm);
	file->private_data = m;
	return 0;
}

static void vcpu_free(struct vcpu *v)
{
	shadow_free(v);
	ept_free(&v->ept);
	free_page((unsigned long)v->vmcs);
	free_pages((unsigned long)v->msr_bitmap, 2);
	vfree(v->shared);
	kvfree(v->cpuid);
	kvfree(v->breaks);
	kfree(v);
}

static int vmdbg_release(struct inode *inode, struct file *file)
{
	struct machine *m = file->private_data;
	unsigned int i;

	for (i = 0; i < VMDBG_MAX_VCPUS; i++) {
		if (!m->vcpu[i])
			continue;
		vcpu_free(m->vcpu[i]);
		vmx_put();
	}
	machine_unpin_all(m);
	mmdrop(m->mm);
	kfree(m);
	return 0;
}

/* Copies a struct whose first field is its own size. */
static int fetch(void *to, const void __user *from, u32 size)
{
	u32 given;

	if (get_user(given, (const u32 __user *)from))
		return -EFAULT;
	if (given != size)
		return -EINVAL;
	if (copy_from_user(to, from, size))
		return -EFAULT;
	*(u32 *)to = size;
	return 0;
}

static long do_probe(void __user *arg)
{
	struct vmdbg_probe probe = {.size = sizeof(probe)};
	struct vmx_caps caps;
	u32 given;

	if (get_user(given, (u32 __user *)arg))
		return -EFAULT;
	/* A user of another version learns at least that. */
	if (given != sizeof(probe))
		return put_user(VMDBG_ABI_VERSION, (u32 __user *)arg + 1) ? -EFAULT : -EINVAL;
	preempt_disable();
	vmx_caps_read(&caps);
	preempt_enable();
	probe.version = VMDBG_ABI_VERSION;
	probe.status = caps.status;
	probe.detail = caps.detail;
	probe.features = caps.features;
	probe.run_size = sizeof(struct vmdbg_run);
	return copy_to_user(arg, &probe, sizeof(probe)) ? -EFAULT : 0;
}

static bool has_vcpus(const struct machine *m)
{
	unsigned int i;

	for (i = 0; i < VMDBG_MAX_VCPUS; i++)
		if (m->vcpu[i])
			return true;
	return false;
}

static long do_region(struct machine *m, const void __user *arg)
{
	struct vmdbg_region region;
	int ret = fetch(&region, arg, sizeof(region));

	if (ret)
		return ret;
	mutex_lock(&m->lock);
	ret = current->mm != m->mm ? -EIO : has_vcpus(m) ? -EBUSY : machine_add_region(m, &region);
	mutex_unlock(&m->lock);
	return ret;
}

static atomic_t next_vpid = ATOMIC_INIT(0);

static int vcpu_init(struct vcpu *v, struct machine *m, u32 id, u32 flags)
{
	int ret;

	mutex_init(&v->lock);
	v->machine = m;
	v->id = id;
	/* Shared by vCPUs when they are very many: every slice begins by flushing it. */
	v->vpid = 1 + (u16)(atomic_inc_return(&next_vpid) % 0xffff);
	v->regs = &v->run.regs;
	v->shared = vmalloc_user(VMDBG_VCPU_PAGES * PAGE_SIZE);
	if (!v->shared)
		return -ENOMEM;
	v->stats = v->shared + VMDBG_PAGE_STATS * PAGE_SIZE;
	ret = ept_init(&v->ept);
	if (!ret && flags & VMDBG_VCPU_SHADOW)
		ret = shadow_create(v);
	return ret ? ret : vmcs_create(v);
}

static long do_vcpu(struct machine *m, const void __user *arg)
{
	struct vmdbg_vcpu_create create;
	struct vcpu *v;
	int ret = fetch(&create, arg, sizeof(create));

	if (ret)
		return ret;
	if (create.id >= VMDBG_MAX_VCPUS || create.flags & ~VMDBG_VCPU_FLAGS || create.reserved)
		return -EINVAL;
	mutex_lock(&m->lock);
	ret = -EEXIST;
	if (m->vcpu[create.id])
		goto out;
	ret = -EIO;
	if (current->mm != m->mm)
		goto out;
	ret = vmx_get();
	if (ret)
		goto out;
	ret = -ENOMEM;
	v = kzalloc(sizeof(*v), GFP_KERNEL_ACCOUNT);
	if (v) {
		ret = vcpu_init(v, m, create.id, create.flags);
		if (ret)
			vcpu_free(v);
	}
	if (ret)
		vmx_put();
	else
		smp_store_release(&m->vcpu[create.id], v);
out:
	mutex_unlock(&m->lock);
	return ret;
}

static struct vcpu *vcpu_get(struct machine *m, u32 id)
{
	/* vCPUs come, but go only with the file. */
	return id < VMDBG_MAX_VCPUS ? smp_load_acquire(&m->vcpu[id]) : NULL;
}

/* The table of an ioctl: a copy of @count entries of @size bytes, never NULL. */
static void *fetch_table(u64 from, u32 count, size_t size)
{
	void *table = kvmalloc_array(count + 1, size, GFP_KERNEL_ACCOUNT);

	if (!table)
		return ERR_PTR(-ENOMEM);
	if (!copy_from_user(table, u64_to_user_ptr(from), count * size))
		return table;
	kvfree(table);
	return ERR_PTR(-EFAULT);
}

/* Puts @table into the vCPU in place of the one in @slot, if @ret says that it is good; frees the other. */
static int give_table(struct vcpu *v, void **slot, unsigned int *nr, void *table, u32 count, int ret)
{
	if (!ret && mutex_lock_killable(&v->lock))
		ret = -EINTR;
	if (!ret) {
		swap(*slot, table);
		*nr = count;
		mutex_unlock(&v->lock);
	}
	kvfree(table);
	return ret;
}

static long do_cpuid(struct machine *m, const void __user *arg)
{
	struct vmdbg_cpuid_entry *table;
	struct vmdbg_cpuid cpuid;
	struct vcpu *v;
	u32 n;
	int ret = fetch(&cpuid, arg, sizeof(cpuid));

	if (ret)
		return ret;
	v = vcpu_get(m, cpuid.vcpu);
	if (!v || cpuid.reserved || cpuid.count > VMDBG_MAX_CPUID)
		return -EINVAL;
	table = fetch_table(cpuid.entries, cpuid.count, sizeof(*table));
	if (IS_ERR(table))
		return PTR_ERR(table);
	for (n = 0; n < cpuid.count; n++)
		if (table[n].reserved || table[n].any_subleaf > 1)
			ret = -EINVAL;
	return give_table(v, (void **)&v->cpuid, &v->nr_cpuid, table, cpuid.count, ret);
}

static long do_breaks(struct machine *m, const void __user *arg)
{
	struct vmdbg_breaks breaks;
	struct vcpu *v;
	u64 *table;
	u32 n;
	int ret = fetch(&breaks, arg, sizeof(breaks));

	if (ret)
		return ret;
	v = vcpu_get(m, breaks.vcpu);
	if (!v || breaks.reserved || breaks.count > VMDBG_MAX_BREAKS)
		return -EINVAL;
	table = fetch_table(breaks.entries, breaks.count, sizeof(*table));
	if (IS_ERR(table))
		return PTR_ERR(table);
	for (n = 1; n < breaks.count; n++)
		if (table[n - 1] > table[n])
			ret = -EINVAL;
	return give_table(v, (void **)&v->breaks, &v->nr_breaks, table, breaks.count, ret);
}

static int make_twin(struct limit *limit, u64 from)
{
	limit->twin = alloc_page(GFP_KERNEL_ACCOUNT);
	if (!limit->twin)
		return -ENOMEM;
	return copy_from_user(page_address(limit->twin), u64_to_user_ptr(from), PAGE_SIZE) ? -EFAULT : 0;
}

static void limit_free(struct limit *limit)
{
	if (!limit)
		return;
	if (limit->twin)
		__free_page(limit->twin);
	kfree(limit);
}

#define MAX_LIMITS BIT_ULL(20) /* pages of a vCPU */

static int limit_page(struct vcpu *v, u64 gpa, const struct vmdbg_access *a)
{
	unsigned long gfn = gpa >> PAGE_SHIFT;
	struct limit *new = NULL, *old;
	u64 *entry;
	int ret = 0;

	if (a->allowed != VMDBG_RWX) {
		if (v->ept.nr_limits >= MAX_LIMITS)
			return -ENOSPC;
		ret = ept_split(&v->ept, gpa);
		if (ret)
			return ret;
		new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
		if (!new)
			return -ENOMEM;
		new->allowed = a->allowed;
		if (a->twin)
			ret = make_twin(new, a->twin);
		if (ret) {
			limit_free(new);
			return ret;
		}
	}
	old = new ? xa_store(&v->ept.limits, gfn, new, GFP_KERNEL_ACCOUNT) : xa_erase(&v->ept.limits, gfn);
	if (xa_is_err(old)) {
		limit_free(new);
		return xa_err(old);
	}
	v->ept.nr_limits += !!new;
	v->ept.nr_limits -= !!old;
	/* The entry first: the old twin may be in it. The vCPU flushes before it runs again. */
	entry = ept_entry(&v->ept, gpa);
	if (entry)
		ept_clear(&v->ept, entry);
	entry = v->held ? ept_entry(&v->ept, gpa | v->held) : NULL;
	if (entry)
		ept_clear(&v->ept, entry);
	limit_free(old);
	return 0;
}

static bool access_valid(const struct vcpu *v, const struct vmdbg_access *a)
{
	if (a->reserved || !PAGE_ALIGNED(a->gpa) || !a->pages || a->pages > MAX_LIMITS || a->gpa >> 40)
		return false;
	if (a->allowed & ~(VMDBG_RWX | VMDBG_WALK) || (a->allowed & (VMDBG_R | VMDBG_W)) == VMDBG_W)
		return false;
	if (a->allowed == VMDBG_X && !v->ept.exec_only)
		return false;
	return !a->twin || (a->allowed == VMDBG_X && a->pages == 1);
}

static long do_access(struct machine *m, const void __user *arg)
{
	struct vmdbg_access a;
	struct vcpu *v;
	u64 n;
	int ret = fetch(&a, arg, sizeof(a));

	if (ret)
		return ret;
	v = vcpu_get(m, a.vcpu);
	if (!v || !access_valid(v, &a))
		return -EINVAL;
	for (n = 0; n < a.pages; n++)
		if (!machine_is_ram(m, a.gpa + n * PAGE_SIZE))
			return -EFAULT;
	if (mutex_lock_killable(&v->lock))
		return -EINTR;
	for (n = 0; n < a.pages && !ret; n++) {
		ret = limit_page(v, a.gpa + n * PAGE_SIZE, &a);
		cond_resched();
		if (fatal_signal_pending(current))
			ret = -EINTR;
	}
	mutex_unlock(&v->lock);
	return ret;
}

static long do_dirty_reset(struct machine *m, const void __user *arg)
{
	struct vmdbg_vcpu_arg which;
	struct vcpu *v;
	int ret = fetch(&which, arg, sizeof(which));

	if (ret)
		return ret;
	v = vcpu_get(m, which.vcpu);
	if (!v)
		return -EINVAL;
	if (mutex_lock_killable(&v->lock))
		return -EINTR;
	ept_write_protect(&v->ept);
	mutex_unlock(&v->lock);
	return 0;
}

static long do_run(struct machine *m, const void __user *arg)
{
	struct vmdbg_vcpu_arg which;
	struct vcpu *v;
	int ret = fetch(&which, arg, sizeof(which));

	if (ret)
		return ret;
	v = vcpu_get(m, which.vcpu);
	if (!v)
		return -EINVAL;
	/* Another thread runs it: that is a mistake, not a queue. */
	if (!mutex_trylock(&v->lock))
		return -EBUSY;
	ret = vcpu_run(v);
	mutex_unlock(&v->lock);
	return ret;
}

static long vmdbg_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	void __user *arg = (void __user *)value;
	struct machine *m = file->private_data;

	switch (cmd) {
	case VMDBG_IOC_PROBE:
		return do_probe(arg);
	case VMDBG_IOC_REGION:
		return do_region(m, arg);
	case VMDBG_IOC_VCPU:
		return do_vcpu(m, arg);
	case VMDBG_IOC_CPUID:
		return do_cpuid(m, arg);
	case VMDBG_IOC_BREAKS:
		return do_breaks(m, arg);
	case VMDBG_IOC_ACCESS:
		return do_access(m, arg);
	case VMDBG_IOC_DIRTY_RESET:
		return do_dirty_reset(m, arg);
	case VMDBG_IOC_RUN:
		return do_run(m, arg);
	default:
		return -ENOTTY;
	}
}

static int vmdbg_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vcpu *v = vcpu_get(file->private_data, vma->vm_pgoff / 16);
	unsigned long first = vma->vm_pgoff % 16;

	if (!v || vma->vm_pgoff / 16 >= VMDBG_MAX_VCPUS || first + vma_pages(vma) > VMDBG_VCPU_PAGES)
		return -EINVAL;
	return remap_vmalloc_range(vma, v->shared, first);
}

static const struct file_operations vmdbg_fops = {
    .owner = THIS_MODULE,
    .open = vmdbg_open,
    .release = vmdbg_release,
    .unlocked_ioctl = vmdbg_ioctl,
    .mmap = vmdbg_mmap,
    .llseek = noop_llseek,
};

static struct miscdevice vmdbg_device = {
    .minor = MISC_DYNAMIC_MINOR,
    .name = "vmdbg",
    .fops = &vmdbg_fops,
    .mode = 0660,
};

static int __init vmdbg_init(void)
{
	int ret = vmx_init();

	BUILD_BUG_ON(sizeof(struct vmdbg_run) > 2 * PAGE_SIZE);
	BUILD_BUG_ON(sizeof(struct vmdbg_stats) > VMDBG_TSC_RING_OFFSET);
	if (ret)
		return ret;
	ret = misc_register(&vmdbg_device);
	if (ret)
		vmx_exit();
	return ret;
}

static void __exit vmdbg_exit(void)
{
	misc_deregister(&vmdbg_device);
	vmx_exit();
}

module_init(vmdbg_init);
module_exit(vmdbg_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("VT-x monitor of vmdbg: every nondeterministic event of the guest is an exit");
MODULE_VERSION("1");
