// SPDX-License-Identifier: GPL-2.0-or-later
/* Guest memory for what is carried out in user space: the walk, with accessed and dirty flags, and faults as the
 * processor would raise them (SDM 3A 4.7, 5.3). */
#include "vmm/memory.h"
#include "vmm/vtx/vtx.h"

int vtx_fault_code(struct vtx_cpu *cpu, enum vector vector, u32 error)
{
	cpu->fault.vector = vector;
	cpu->fault.has_error = true;
	cpu->fault.error = error;
	return -1;
}

int vtx_fault(struct vtx_cpu *cpu, enum vector vector)
{
	cpu->fault.vector = vector;
	cpu->fault.has_error = false;
	cpu->fault.error = 0;
	return -1;
}

static void mark_written(struct vtx_cpu *cpu, u64 gpa, unsigned len)
{
	const struct memory_slot *slot = memory_slot(cpu->vcpu.mem, gpa);

	cpu->changed = true;
	slot->flags[(gpa - slot->gpa) >> PAGE_SHIFT] |= PAGE_WRITTEN;
	slot->flags[(gpa + len - 1 - slot->gpa) >> PAGE_SHIFT] |= PAGE_WRITTEN;
}

static u64 read_entry(void *opaque, u64 gpa, unsigned size)
{
	struct vtx_cpu *cpu = opaque;
	const u8 *p = memory_host(cpu->vcpu.mem, gpa, size);

	if (!p)
		return size == 8 ? ~0ull : 0xffffffff;
	return size == 8 ? load64(p) : load32(p);
}

static bool set_bits(void *opaque, u64 gpa, unsigned size, u64 old, u64 bits)
{
	struct vtx_cpu *cpu = opaque;
	u8 *p = memory_host(cpu->vcpu.mem, gpa, size);

	if (!p)
		return true;
	if ((size == 8 ? load64(p) : load32(p)) != old)
		return false;
	if (size == 8)
		store64(p, old | bits);
	else
		store32(p, (u32)(old | bits));
	mark_written(cpu, gpa, size);
	probe_written(&cpu->vcpu, gpa, size);
	return true;
}

int vtx_translate(struct vtx_cpu *cpu, u64 la, unsigned access, u64 *gpa)
{
	static const struct paging_ops ops = {.read = read_entry, .set_bits = set_bits};
	const struct x86_state *s = &cpu->vcpu.regs;
	unsigned how = (access & VTX_WRITE ? PAGING_WRITE : 0) | (access & VTX_EXEC ? PAGING_EXEC : 0);
	struct paging_page page;

	paging_context_set(&cpu->paging, s);
	if (!(access & VTX_SYSTEM)) {
		if (x86_cpl(s) == 3 || (s->rflags & RFLAGS_VM))
			how |= PAGING_USER;
		if (s->rflags & RFLAGS_AC)
			how |= PAGING_AC;
	}
	if (!paging_walk(&cpu->paging, &ops, cpu, la, how, &page)) {
		*gpa = page.gpa;
		return 0;
	}
	cpu->fault.cr2 = la;
	return vtx_fault_code(cpu, X86_PF, page.error);
}

static unsigned mmio_size(unsigned len)
{
	return len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
}

u64 vtx_mmio_read(struct vtx_cpu *cpu, u64 gpa, void *buf, unsigned len)
{
	u64 v = 0;

	for (unsigned done = 0, n; done < len; done += n) {
		n = mmio_size(len - done);
		v = cpu->vcpu.ops->io_read(&cpu->vcpu, IO_MMIO, gpa + done, n);
		memcpy((u8 *)buf + done, &v, n);
	}
	return v;
}

void vtx_mmio_write(struct vtx_cpu *cpu, u64 gpa, const void *buf, unsigned len)
{
	for (unsigned done = 0, n; done < len; done += n) {
		u64 v = 0;

		n = mmio_size(len - done);
		memcpy(&v, (const u8 *)buf + done, n);
		cpu->vcpu.ops->io_write(&cpu->vcpu, IO_MMIO, gpa + done, n, v);
	}
}

/* One or two pieces, none beyond a page; both are translated before anything is done. */
static int pieces(struct vtx_cpu *cpu, u64 la, unsigned len, unsigned access, u64 gpa[2], unsigned n[2])
{
	n[0] = (unsigned)min64(len, PAGE_SIZE - (la & PAGE_MASK));
	n[1] = len - n[0];
	if (vtx_translate(cpu, la, access, &gpa[0]))
		return -1;
	la += n[0];
	if (!x86_64bit(&cpu->vcpu.regs))
		la = (u32)la;
	return n[1] ? vtx_translate(cpu, la, access, &gpa[1]) : 0;
}

int vtx_load(struct vtx_cpu *cpu, u64 la, void *buf, unsigned len, unsigned access)
{
	u64 gpa[2];
	unsigned n[2];
	u8 *out = buf;

	if (pieces(cpu, la, len, access, gpa, n))
		return -1;
	for (unsigned i = 0; i < 2; out += n[i++])
		if (n[i]) {
			if (memory_read(cpu->vcpu.mem, gpa[i], out, n[i]))
				vtx_mmio_read(cpu, gpa[i], out, n[i]);
			else
				probe_access(&cpu->vcpu.probe, la, gpa[i], n[i], false);
			la += n[i];
		}
	return 0;
}

int vtx_store(struct vtx_cpu *cpu, u64 la, const void *buf, unsigned len, unsigned access)
{
	u64 gpa[2];
	unsigned n[2];
	const u8 *in = buf;

	if (pieces(cpu, la, len, access | VTX_WRITE, gpa, n))
		return -1;
	for (unsigned i = 0; i < 2; in += n[i++])
		if (n[i]) {
			u8 *p = memory_host(cpu->vcpu.mem, gpa[i], n[i]);

			if (p) {
				probe_access(&cpu->vcpu.probe, la, gpa[i], n[i], true);
				memcpy(p, in, n[i]);
				mark_written(cpu, gpa[i], n[i]);
			} else {
				vtx_mmio_write(cpu, gpa[i], in, n[i]);
			}
			la += n[i];
		}
	return 0;
}

static bool real_or_v86(const struct x86_state *s)
{
	return !(s->cr0 & CR0_PE) || (s->rflags & RFLAGS_VM);
}

int vtx_address(struct vtx_cpu *cpu, unsigned seg, u64 offset, unsigned size, unsigned access, u64 *la)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	const struct x86_segment *sg = &s->seg[seg];
	enum vector vector = seg == SEG_SS ? X86_SS : X86_GP;
	u64 last = offset + size - 1;

	if (x86_64bit(s)) {
		*la = seg >= SEG_FS ? sg->base + offset : offset;
		return x86_canonical(*la) && x86_canonical(*la + size - 1) ? 0 : vtx_fault_code(cpu, vector, 0);
	}
	*la = (u32)(sg->base + offset);
	if (sg->ar & AR_UNUSABLE)
		return vtx_fault_code(cpu, vector, 0);
	if (!real_or_v86(s)) {
		bool code = sg->ar & AR_CODE, rw = sg->ar & AR_RW;

		if (access & VTX_WRITE ? code || !rw : code && !rw)
			return vtx_fault_code(cpu, vector, 0);
	}
	if ((sg->ar & (AR_CODE | AR_DC)) == AR_DC) {
		if (offset <= sg->limit || last > (sg->ar & AR_DB ? 0xffffffff : 0xffff))
			return vtx_fault_code(cpu, vector, 0);
	} else if (last > sg->limit) {
		return vtx_fault_code(cpu, vector, 0);
	}
	return 0;
}
