// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the processor can do, and VMX root mode: on for every CPU from the first vCPU to the last, through CPU hotplug,
 * suspend and reboot. SDM 3C chapter 24.6 (entering VMX operation), appendix A (capability MSRs).
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/percpu.h>
#include <linux/reboot.h>
#include <linux/slab.h>
#include <linux/syscore_ops.h>

#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>
#include <asm/vmx.h>

#include "vmdbg.h"

#define CPUID1_ECX_VMX BIT(5)

#define EPT_WANTED                                                                                     \
	(VMX_EPT_PAGE_WALK_4_BIT | VMX_EPTP_WB_BIT | VMX_EPT_INVEPT_BIT | VMX_EPT_EXTENT_CONTEXT_BIT | \
	 VMX_EPT_EXTENT_GLOBAL_BIT)
#define VPID_WANTED (BIT_ULL(32) | BIT_ULL(41)) /* INVVPID, single-context */

struct vmx_caps vmx_caps;

static DEFINE_MUTEX(vmx_lock);
static unsigned int users; /* under vmx_lock; hotplug callbacks read it under cpus_read_lock */
static DEFINE_PER_CPU(bool, vmx_on);
static DEFINE_PER_CPU(void *, vmxon_region);
static bool restarting; /* under vmx_lock */
static int hotplug_state;

static bool vmx_held_by_other(void)
{
	return (__read_cr4() & X86_CR4_VMXE) && !this_cpu_read(vmx_on);
}

void vmx_caps_read(struct vmx_caps *caps)
{
	u64 msr, ept;

	memset(caps, 0, sizeof(*caps));
	/* The kernel clears its own flag where the firmware has locked VMX off: ask the processor. */
	if (!(cpuid_ecx(1) & CPUID1_ECX_VMX)) {
		caps->status = VMDBG_NO_VMX;
		return;
	}
	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &msr) ||
	    (msr & (FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)) == FEAT_CTL_LOCKED) {
		caps->status = VMDBG_LOCKED_OFF;
		return;
	}
	rdmsrl(MSR_IA32_VMX_BASIC, msr);
	caps->revision = msr & 0x7fffffff;
	rdmsrl(MSR_IA32_VMX_CR0_FIXED0, caps->cr0_fixed0);
	rdmsrl(MSR_IA32_VMX_CR0_FIXED1, caps->cr0_fixed1);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED0, caps->cr4_fixed0);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED1, caps->cr4_fixed1);
	rdmsrl(MSR_IA32_VMX_MISC, msr);
	caps->timer_shift = msr & MSR_IA32_VMX_MISC_PREEMPTION_TIMER_SCALE;
	vmcs_set_caps(caps);
	if (caps->status)
		return;
	rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, ept);
	if ((ept & EPT_WANTED) != EPT_WANTED) {
		caps->status = VMDBG_MISSING_EPT;
		caps->detail = EPT_WANTED & ~ept;
		return;
	}
	caps->ept_ad = ept & VMX_EPT_AD_BIT;
	caps->ept_large = ept & VMX_EPT_2MB_PAGE_BIT;
	if (ept & VMX_EPT_EXECUTE_ONLY_BIT)
		caps->features |= VMDBG_FEATURE_EXEC_ONLY;
	if ((caps->secondary & SECONDARY_EXEC_ENABLE_VPID) && (ept & VPID_WANTED) == VPID_WANTED)
		caps->features |= VMDBG_FEATURE_VPID;
	else
		caps->secondary &= ~SECONDARY_EXEC_ENABLE_VPID;
	if (!(cr4_read_shadow() & X86_CR4_OSXSAVE)) {
		caps->status = VMDBG_NO_XSAVE;
		return;
	}
	if (vmx_held_by_other())
		caps->status = VMDBG_BUSY;
}

static int vmxon(u64 pa)
{
	/* VMXON faults with #GP when it may not be executed. */
	/* clang-format off */
	asm goto("1: vmxon %[pa]\n\t"
		 "jbe %l[failed]\n\t"
		 _ASM_EXTABLE(1b, %l[failed])
		 : : [pa] "m"(pa) : "cc", "memory" : failed);
	/* clang-format on */
	return 0;
failed:
	return -EBUSY;
}

/* On the CPU itself, interrupts off. */
static int vmx_cpu_on(void)
{
	void *region = this_cpu_read(vmxon_region);
	u64 feat;

	if (this_cpu_read(vmx_on))
		return 0;
	if (!region || vmx_held_by_other())
		return -EBUSY;
	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &feat))
		return -EBUSY;
	if (!(feat & FEAT_CTL_LOCKED) &&
	    wrmsrl_safe(MSR_IA32_FEAT_CTL, feat | FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX))
		return -EBUSY;
	*(u32 *)region = vmx_caps.revision;
	cr4_set_bits(X86_CR4_VMXE);
	if (vmxon(__pa(region))) {
		cr4_clear_bits(X86_CR4_VMXE);
		return -EBUSY;
	}
	this_cpu_write(vmx_on, true);
	/* Translations of an earlier life may be there. */
	ept_flush(NULL, false);
	return 0;
}

static void vmx_cpu_off(void)
{
	if (!this_cpu_read(vmx_on))
		return;
	asm volatile("vmxoff" : : : "cc", "memory");
	cr4_clear_bits(X86_CR4_VMXE);
	this_cpu_write(vmx_on, false);
}

static void on_ipi(void *failed)
{
	if (vmx_cpu_on())
		atomic_inc(failed);
}

static void off_ipi(void *unused)
{
	vmx_cpu_off();
}

int vmx_get(void)
{
	atomic_t failed = ATOMIC_INIT(0);
	int ret = 0;

	mutex_lock(&vmx_lock);
	cpus_read_lock();
	if (restarting) {
		ret = -ESHUTDOWN;
	} else if (!users) {
		vmx_caps_read(&vmx_caps);
		ret = vmx_caps.status == VMDBG_OK ? 0 : vmx_caps.status == VMDBG_BUSY ? -EBUSY : -EOPNOTSUPP;
		if (!ret) {
			on_each_cpu(on_ipi, &failed, 1);
			if (atomic_read(&failed)) {
				on_each_cpu(off_ipi, NULL, 1);
				ret = -EBUSY;
			}
		}
	}
	if (!ret)
		users++;
	cpus_read_unlock();
	mutex_unlock(&vmx_lock);
	return ret;
}

void vmx_put(void)
{
	mutex_lock(&vmx_lock);
	cpus_read_lock();
	if (!--users)
		on_each_cpu(off_ipi, NULL, 1);
	cpus_read_unlock();
	mutex_unlock(&vmx_lock);
}

bool vmx_here(void)
{
	return this_cpu_read(vmx_on);
}

/* A CPU comes or goes: in its own thread, with the hotplug lock held for writing, so users stands still. */
static int vmx_cpu_online(unsigned int cpu)
{
	unsigned long flags;

	local_irq_save(flags);
	if (users && !restarting && vmx_cpu_on())
		pr_warn("vmdbg: CPU %u has no VMX root mode; vCPUs cannot run there\n", cpu);
	local_irq_restore(flags);
	return 0;
}

static int vmx_cpu_offline(unsigned int cpu)
{
	unsigned long flags;

	local_irq_save(flags);
	vmx_cpu_off();
	local_irq_restore(flags);
	return 0;
}

/* The last CPU goes to sleep and wakes up; the others have been unplugged before. */
static int vmx_suspend(void)
{
	vmx_cpu_off();
	return 0;
}

static void vmx_resume(void)
{
	if (users && !restarting && vmx_cpu_on())
		pr_warn("vmdbg: no VMX root mode after resume\n");
}

static struct syscore_ops vmx_syscore = {
    .suspend = vmx_suspend,
    .resume = vmx_resume,
};

/* In root mode INIT is blocked: a reboot would hang. A vCPU that runs meanwhile finds itself without (run.c). */
static int vmx_reboot(struct notifier_block *nb, unsigned long action, void *data)
{
	mutex_lock(&vmx_lock);
	restarting = true;
	on_each_cpu(off_ipi, NULL, 1);
	mutex_unlock(&vmx_lock);
	return NOTIFY_OK;
}

static struct notifier_block vmx_reboot_nb = {
    .notifier_call = vmx_reboot,
};

static void free_regions(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
	{
		free_page((unsigned long)per_cpu(vmxon_region, cpu));
		per_cpu(vmxon_region, cpu) = NULL;
	}
}

int vmx_init(void)
{
	unsigned int cpu;
	int ret;

	vmx_caps_read(&vmx_caps);
	for_each_possible_cpu(cpu)
	{
		per_cpu(vmxon_region, cpu) = (void *)get_zeroed_page(GFP_KERNEL);
		if (!per_cpu(vmxon_region, cpu)) {
			free_regions();
			return -ENOMEM;
		}
	}
	ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "vmdbg:online", vmx_cpu_online, vmx_cpu_offline);
	if (ret < 0) {
		free_regions();
		return ret;
	}
	hotplug_state = ret;
	register_syscore_ops(&vmx_syscore);
	register_reboot_notifier(&vmx_reboot_nb);
	return 0;
}

void vmx_exit(void)
{
	unregister_reboot_notifier(&vmx_reboot_nb);
	unregister_syscore_ops(&vmx_syscore);
	cpuhp_remove_state(hotplug_state);
	free_regions();
}
