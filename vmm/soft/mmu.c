// SPDX-License-Identifier: GPL-2.0-or-later
/* The software MMU: TLB fills through the page walker, and the slow paths of every access.
 *
 *  1. A TLB entry maps 4 KiB, whatever the guest's page size; the size is remembered for INVLPG.
 *  2. tag[ACCESS_WRITE] is filled only when the guest's dirty flag is set, and without TLB_SLOW only when the host's
 *     PAGE_WRITTEN is too, so the fast path never has to set either.
 *  3. TLB_SLOW in a tag: translated, but MMIO, or a page with decoded code, or one to be marked PAGE_WRITTEN, or one
 *     with watchpoints, the guest's own or a debugger's.
 *  4. What is translated, and when the guest's accessed and dirty flags are set, is a function of the guest's accesses
 *     alone: neither what code is decoded nor what is watched nor when PAGE_WRITTEN is cleared may make an entry come
 *     or go.
 *  5. Before anything is written all pages of the access are translated: a fault leaves memory untouched. */
#include "vmm/soft/system.h"

static enum mmu_index mmu_index(const struct soft_cpu *cpu)
{
	return (enum mmu_index)(cpu->tlb - cpu->tlbs);
}

static void tlb_drop(struct tlb_entry *e)
{
	e->tag[ACCESS_READ] = e->tag[ACCESS_WRITE] = TLB_EMPTY;
}

void soft_tlb_flush(struct soft_cpu *cpu, bool global_too)
{
	for (unsigned t = 0; t < MMU_COUNT; t++) {
		struct tlb *tlb = &cpu->tlbs[t];
		unsigned kept = 0;

		for (unsigned n = 0; n < tlb->nr_used; n++) {
			struct tlb_entry *e = &tlb->entry[tlb->used[n]];

			if (!global_too && (e->gpa & GPA_GLOBAL) && e->tag[ACCESS_READ] != TLB_EMPTY)
				tlb->used[kept++] = tlb->used[n];
			else
				tlb_drop(e);
		}
		tlb->nr_used = kept;
	}
	cpu->fetch_gen++;
	cpu->exec_gen++;
	soft_update_key(cpu);
}

void soft_tlb_flush_page(struct soft_cpu *cpu, u64 la)
{
	for (unsigned t = 0; t < MMU_COUNT; t++) {
		struct tlb *tlb = &cpu->tlbs[t];
		unsigned kept = 0;

		for (unsigned n = 0; n < tlb->nr_used; n++) {
			struct tlb_entry *e = &tlb->entry[tlb->used[n]];

			if ((e->tag[ACCESS_READ] ^ la) >> GPA_BITS(e))
				tlb->used[kept++] = tlb->used[n];
			else
				tlb_drop(e);
		}
		tlb->nr_used = kept;
	}
	cpu->fetch_gen++;
	cpu->exec_gen++;
	soft_update_key(cpu);
}

void soft_tlb_protect(struct soft_cpu *cpu, u64 gpa)
{
	for (unsigned t = 0; t < MMU_COUNT; t++)
		for (unsigned n = 0; n < cpu->tlbs[t].nr_used; n++) {
			struct tlb_entry *e = &cpu->tlbs[t].entry[cpu->tlbs[t].used[n]];

			if (!((e->gpa ^ gpa) & ~PAGE_MASK))
				e->tag[ACCESS_WRITE] |= TLB_SLOW;
		}
}

void soft_tlb_protect_all(struct soft_cpu *cpu)
{
	for (unsigned t = 0; t < MMU_COUNT; t++)
		for (unsigned n = 0; n < cpu->tlbs[t].nr_used; n++)
			cpu->tlbs[t].entry[cpu->tlbs[t].used[n]].tag[ACCESS_WRITE] |= TLB_SLOW;
}

void soft_select_tlb(struct soft_cpu *cpu)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	enum mmu_index index = MMU_KERNEL;

	if (cpu->cpl == 3)
		index = (s->cr0 & CR0_AM) && (s->rflags & RFLAGS_AC) ? MMU_USER_ALIGN : MMU_USER;
	else if ((s->cr4 & CR4_SMAP) && (s->rflags & RFLAGS_AC))
		index = MMU_KERNEL_USER;
	cpu->tlb = &cpu->tlbs[index];
}

static u8 *page_flags(const struct memory_slot *slot, u64 gpa)
{
	return &slot->flags[(gpa - slot->gpa) >> PAGE_SHIFT];
}

/* Guest RAM at @gpa was (or is about to be) written by the CPU. */
static void phys_written(struct soft_cpu *cpu, const struct memory_slot *slot, u64 gpa, unsigned len)
{
	u8 *flags = page_flags(slot, gpa);

	*flags |= PAGE_WRITTEN;
	if ((*flags & PAGE_CODE) && block_covers(cpu, gpa, len)) {
		block_invalidate(cpu, gpa, len);
		soft_end_block(cpu);
	}
}

static u64 walk_read(void *opaque, u64 gpa, unsigned size)
{
	struct soft_cpu *cpu = opaque;
	const u8 *p = memory_host(cpu->vcpu.mem, gpa, size);

	if (!p)
		return ~0ull;
	return size == 8 ? load64(p) : load32(p);
}

static bool walk_set_bits(void *opaque, u64 gpa, unsigned size, u64 old, u64 bits)
{
	struct soft_cpu *cpu = opaque;
	const struct memory_slot *slot = memory_slot(cpu->vcpu.mem, gpa);

	if (slot) {
		u8 *p = slot->host + (gpa - slot->gpa);

		phys_written(cpu, slot, gpa, size);
		soft_watch_written(cpu, gpa, size);
		if (size == 8)
			store64(p, old | bits);
		else
			store32(p, (u32)(old | bits));
	}
	return true;
}

static const struct paging_ops walk_ops = {walk_read, walk_set_bits};

static _Noreturn void page_fault(struct soft_cpu *cpu, u64 la, u32 error)
{
	cpu->exception.cr2 = la;
	soft_fault_code(cpu, X86_PF, error);
}

static unsigned walk_rights(enum mmu_index index)
{
	return index >= MMU_USER ? PAGING_USER : index == MMU_KERNEL_USER ? PAGING_AC : 0;
}

/* The walk for a data access through TLB @index, or the page fault. */
static void walk(struct soft_cpu *cpu, enum mmu_index index, u64 la, unsigned access, struct paging_page *page)
{
	access |= walk_rights(index);
	if (paging_walk(&cpu->paging, &walk_ops, cpu, la, access, page))
		page_fault(cpu, la, page->error);
}

static void check_canonical(struct soft_cpu *cpu, u64 la)
{
	if (unlikely(!x86_canonical(la)))
		soft_fault_code(cpu, cpu->cur->seg == SEG_SS ? X86_SS : X86_GP, 0);
}

/* Whether accesses through an entry must take the slow path whatever they do. */
static bool slow_page(const struct soft_cpu *cpu, enum mmu_index index, u64 page_la)
{
	const struct probe *p = &cpu->vcpu.probe;

	return unlikely(index == MMU_USER_ALIGN || (cpu->debug_data && soft_debug_page(cpu, page_la)) ||
			(p->in[PROBE_WATCH + TARGET_LINEAR].nr &&
			 probe_covers(p, PROBE_WATCH + TARGET_LINEAR, page_la, page_la | PAGE_MASK)));
}

/* The tags of an entry whose other members are set. @write: writes are known to be allowed. */
static inline void tlb_set_tags(struct soft_cpu *cpu, enum mmu_index index, struct tlb_entry *e, u64 page_la,
				const u8 *flags, bool write)
{
	u64 slow_read = 0, slow_write = 0;

	if (!flags || (*flags & PAGE_WATCHED) || slow_page(cpu, index, page_la))
		slow_read = slow_write = TLB_SLOW;
	else if ((*flags & (PAGE_CODE | PAGE_WRITTEN)) != PAGE_WRITTEN)
		slow_write = TLB_SLOW;
	e->tag[ACCESS_READ] = page_la | slow_read;
	e->tag[ACCESS_WRITE] = write ? page_la | slow_write : TLB_EMPTY;
}

void soft_tlb_enter(struct soft_cpu *cpu, enum mmu_index index, u64 page_la, u64 gpa, bool write)
{
	const struct memory_slot *slot = memory_slot(cpu->vcpu.mem, gpa & ~PAGE_MASK);
	struct tlb *tlb = &cpu->tlbs[index];
	unsigned n = (page_la >> PAGE_SHIFT) & (TLB_SIZE - 1);
	struct tlb_entry *e = &tlb->entry[n];

	if (e->tag[ACCESS_READ] == TLB_EMPTY)
		tlb->used[tlb->nr_used++] = (u16)n;
	gpa &= ~GPA_RAM;
	e->gpa = gpa | (slot ? GPA_RAM : 0);
	gpa &= ~PAGE_MASK;
	e->addend = slot ? (u64)(uintptr_t)(slot->host + (gpa - slot->gpa)) - page_la : 0;
	tlb_set_tags(cpu, index, e, page_la, slot ? page_flags(slot, gpa) : NULL, write);
}

void soft_tlb_watch(struct soft_cpu *cpu)
{
	for (unsigned t = 0; t < MMU_COUNT; t++)
		for (unsigned n = 0; n < cpu->tlbs[t].nr_used; n++) {
			struct tlb_entry *e = &cpu->tlbs[t].entry[cpu->tlbs[t].used[n]];
			const struct memory_slot *slot = memory_slot(cpu->vcpu.mem, e->gpa & ~PAGE_MASK);

			tlb_set_tags(cpu, t, e, e->tag[ACCESS_READ] & ~TLB_SLOW,
				     slot ? page_flags(slot, e->gpa & ~PAGE_MASK) : NULL,
				     e->tag[ACCESS_WRITE] != TLB_EMPTY);
		}
}

static struct tlb_entry *tlb_fill(struct soft_cpu *cpu, u64 la, enum access access)
{
	enum mmu_index index = mmu_index(cpu);
	struct tlb *tlb = &cpu->tlbs[index];
	unsigned n = (la >> PAGE_SHIFT) & (TLB_SIZE - 1);
	struct tlb_entry *e = &tlb->entry[n];
	u64 page_la = la & ~PAGE_MASK, gpa;
	const struct memory_slot *slot;
	struct paging_page page;
	bool write = access == ACCESS_WRITE;
	u8 *flags = NULL;

	check_canonical(cpu, la);
	walk(cpu, index, la, write ? PAGING_WRITE : 0, &page);
	gpa = page.gpa & ~PAGE_MASK;
	slot = memory_slot(cpu->vcpu.mem, gpa);
	if (slot) {
		flags = page_flags(slot, gpa);
		if (write)
			*flags |= PAGE_WRITTEN;
		else
			write = page.dirty && paging_permits(&cpu->paging, &page, walk_rights(index) | PAGING_WRITE);
	}
	if (e->tag[ACCESS_READ] == TLB_EMPTY)
		tlb->used[tlb->nr_used++] = (u16)n;
	tlb_set_tags(cpu, index, e, page_la, flags, write);
	e->addend = slot ? (u64)(uintptr_t)(slot->host + (gpa - slot->gpa)) - page_la : 0;
	e->gpa = gpa | (page.global ? GPA_GLOBAL : 0) | (slot ? GPA_RAM : 0) | (u64)page.page_bits << 1;
	return e;
}

static inline struct tlb_entry *tlb_get(struct soft_cpu *cpu, u64 la, enum access access)
{
	struct tlb_entry *e = &cpu->tlb->entry[(la >> PAGE_SHIFT) & (TLB_SIZE - 1)];

	if ((e->tag[access] & ~TLB_SLOW) == (la & ~PAGE_MASK))
		return e;
	return tlb_fill(cpu, la, access);
}

/* One page's part of an access: where it is. */
struct piece {
	u8 *host; /* NULL: MMIO */
	u64 la, gpa;
	unsigned len;
	bool code; /* a write must look for decoded code */
};

/* A write through a slow entry: the page is marked, and fast again when nothing else keeps it slow. */
static void tlb_write_slow(struct soft_cpu *cpu, struct tlb_entry *e, u64 la)
{
	u64 gpa = e->gpa & ~PAGE_MASK;
	u8 *flags = page_flags(memory_slot(cpu->vcpu.mem, gpa), gpa);

	*flags |= PAGE_WRITTEN;
	tlb_set_tags(cpu, mmu_index(cpu), e, la & ~PAGE_MASK, flags, true);
}

static struct piece piece_get(struct soft_cpu *cpu, u64 la, unsigned len, enum access access)
{
	struct tlb_entry *e = tlb_get(cpu, la, access);
	bool ram = e->gpa & GPA_RAM;

	if (access == ACCESS_WRITE && ram && (e->tag[ACCESS_WRITE] & TLB_SLOW))
		tlb_write_slow(cpu, e, la);
	return (struct piece){
	    .host = ram ? (u8 *)(uintptr_t)(la + e->addend) : NULL,
	    .la = la,
	    .gpa = (e->gpa & ~PAGE_MASK) | (la & PAGE_MASK),
	    .len = len,
	    .code = ram && (e->tag[access] & TLB_SLOW),
	};
}

/* CR0.AM and RFLAGS.AC at CPL 3: operands of 2, 4 and 8 bytes, and of 10 by 8. */
static void check_alignment(struct soft_cpu *cpu, u64 la, unsigned len)
{
	unsigned align = len == 10 ? 8 : len;

	if ((align == 2 || align == 4 || align == 8) && (la & (align - 1)))
		soft_fault_code(cpu, X86_AC, 0);
}

/* Splits [la, la + len) at page ends (len up to a page: two pieces at most); all translated, or a fault. */
static unsigned pieces_get(struct soft_cpu *cpu, u64 la, unsigned len, enum access access, struct piece p[2])
{
	unsigned room = (unsigned)(PAGE_SIZE - (la & PAGE_MASK)), n = 1;
	u64 next = (la | PAGE_MASK) + 1;

	if (len <= room) {
		p[0] = piece_get(cpu, la, len, access);
	} else {
		if (x86_long_mode(&cpu->vcpu.regs))
			check_canonical(cpu, next);
		else
			next = (u32)next;
		p[0] = piece_get(cpu, la, room, access);
		p[1] = piece_get(cpu, next, len - room, access);
		n = 2;
	}
	if (unlikely(mmu_index(cpu) == MMU_USER_ALIGN))
		check_alignment(cpu, la, len);
	return n;
}

/* The machine sees positions only while it is being asked something. */
void soft_sync_position(struct soft_cpu *cpu)
{
	cpu->vcpu.insns = cpu->insns_base + (u64)(cpu->cur - cpu->first);
}

void soft_after_machine(struct soft_cpu *cpu)
{
	if (cpu->vcpu.kick)
		soft_end_block(cpu);
	if (unlikely(cpu->vcpu.probe.fresh))
		soft_attention(cpu);
}

static unsigned mmio_size(unsigned len)
{
	return len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
}

static void piece_read(struct soft_cpu *cpu, const struct piece *p, u8 *buf)
{
	soft_watch_access(cpu, p->la, p->gpa, p->len, false);
	if (p->host) {
		memcpy(buf, p->host, p->len);
		return;
	}
	soft_sync_position(cpu);
	for (unsigned done = 0, n; done < p->len; done += n) {
		u64 v;

		n = mmio_size(p->len - done);
		v = cpu->vcpu.ops->io_read(&cpu->vcpu, IO_MMIO, p->gpa + done, n);
		memcpy(buf + done, &v, n);
	}
	soft_after_machine(cpu);
}

static void piece_write(struct soft_cpu *cpu, const struct piece *p, const u8 *buf)
{
	soft_watch_access(cpu, p->la, p->gpa, p->len, true);
	if (p->host) {
		if (p->code)
			phys_written(cpu, memory_slot(cpu->vcpu.mem, p->gpa), p->gpa, p->len);
		memcpy(p->host, buf, p->len);
		return;
	}
	soft_sync_position(cpu);
	for (unsigned done = 0, n; done < p->len; done += n) {
		u64 v = 0;

		n = mmio_size(p->len - done);
		memcpy(&v, buf + done, n);
		cpu->vcpu.ops->io_write(&cpu->vcpu, IO_MMIO, p->gpa + done, n, v);
	}
	soft_after_machine(cpu);
}

void soft_load_bytes(struct soft_cpu *cpu, u64 la, void *buf, unsigned len)
{
	struct piece p[2];
	unsigned n = pieces_get(cpu, la, len, ACCESS_READ, p);

	if (unlikely(cpu->debug_data))
		soft_debug_data(cpu, la, len, false);
	piece_read(cpu, &p[0], buf);
	if (n == 2)
		piece_read(cpu, &p[1], (u8 *)buf + p[0].len);
}

void soft_store_bytes(struct soft_cpu *cpu, u64 la, const void *buf, unsigned len)
{
	struct piece p[2];
	unsigned n = pieces_get(cpu, la, len, ACCESS_WRITE, p);

	if (unlikely(cpu->debug_data))
		soft_debug_data(cpu, la, len, true);
	piece_write(cpu, &p[0], buf);
	if (n == 2)
		piece_write(cpu, &p[1], (const u8 *)buf + p[0].len);
}

void soft_probe_write(struct soft_cpu *cpu, u64 la, unsigned len)
{
	struct piece p[2];

	pieces_get(cpu, la, len, ACCESS_WRITE, p);
}

u64 soft_load(struct soft_cpu *cpu, u64 la, unsigned size)
{
	u64 v = 0;

	soft_load_bytes(cpu, la, &v, size);
	return v;
}

void soft_store(struct soft_cpu *cpu, u64 la, unsigned size, u64 value)
{
	soft_store_bytes(cpu, la, &value, size);
}

u64 soft_rmw_load(struct soft_cpu *cpu, u64 la, unsigned size)
{
	struct piece p[2];
	unsigned n = pieces_get(cpu, la, size, ACCESS_WRITE, p);
	u64 v = 0;

	cpu->rmw_la = la;
	piece_read(cpu, &p[0], (u8 *)&v);
	if (n == 2)
		piece_read(cpu, &p[1], (u8 *)&v + p[0].len);
	return v;
}

u64 soft_system_load(struct soft_cpu *cpu, u64 la, unsigned size)
{
	struct tlb *tlb = cpu->tlb;
	u64 v;

	cpu->tlb = &cpu->tlbs[MMU_KERNEL]; /* a fault leaves it so: the run loop selects again */
	v = soft_load(cpu, la, size);
	cpu->tlb = tlb;
	return v;
}

void soft_system_store(struct soft_cpu *cpu, u64 la, unsigned size, u64 value)
{
	struct tlb *tlb = cpu->tlb;

	cpu->tlb = &cpu->tlbs[MMU_KERNEL];
	soft_store(cpu, la, size, value);
	cpu->tlb = tlb;
}

u64 soft_translate_exec(struct soft_cpu *cpu, u64 la, const u8 **host)
{
	u64 page_la = la & ~PAGE_MASK, key = cpu->fetch_gen << 1 | (cpu->cpl == 3);
	unsigned n = (la >> PAGE_SHIFT) % ITLB_SIZE;

	if (cpu->itlb[n].la != page_la || cpu->itlb[n].key != key) {
		struct paging_page page;

		if (!x86_canonical(la))
			soft_fault_code(cpu, X86_GP, 0);
		if (paging_walk(&cpu->paging, &walk_ops, cpu, la, PAGING_EXEC | (cpu->cpl == 3 ? PAGING_USER : 0),
				&page))
			page_fault(cpu, la, page.error);
		/* Blocks must not be found by RIP alone in a page that is thrown out: else it would depend on how runs
		 * were cut when that page is walked again. */
		if (cpu->itlb[n].key >> 1 == cpu->fetch_gen) {
			cpu->exec_gen++;
			soft_update_key(cpu);
		}
		cpu->itlb[n].la = page_la;
		cpu->itlb[n].key = key;
		cpu->itlb[n].gpa = page.gpa & ~PAGE_MASK;
		cpu->itlb[n].host = memory_host(cpu->vcpu.mem, page.gpa & ~PAGE_MASK, PAGE_SIZE);
	}
	*host = cpu->itlb[n].host ? cpu->itlb[n].host + (la & PAGE_MASK) : NULL;
	return cpu->itlb[n].gpa | (la & PAGE_MASK);
}

bool soft_peek_exec(struct soft_cpu *cpu, u64 la, u64 *gpa)
{
	static const struct paging_ops look = {.read = walk_read};
	u64 key = cpu->fetch_gen << 1 | (cpu->cpl == 3);
	unsigned n = (la >> PAGE_SHIFT) % ITLB_SIZE;
	struct paging_page page;

	if (cpu->itlb[n].la == (la & ~PAGE_MASK) && cpu->itlb[n].key == key) {
		*gpa = cpu->itlb[n].gpa | (la & PAGE_MASK);
		return true;
	}
	if (!x86_canonical(la) ||
	    paging_walk(&cpu->paging, &look, cpu, la, PAGING_EXEC | (cpu->cpl == 3 ? PAGING_USER : 0), &page))
		return false;
	*gpa = page.gpa;
	return true;
}

static void port_event(struct soft_cpu *cpu, u16 port, unsigned size)
{
	for (unsigned n = 0; n < size; n++)
		probe_event(&cpu->vcpu, TARGET_EVENT_IO, (u16)(port + n));
}

u64 soft_port_read(struct soft_cpu *cpu, u16 port, unsigned size)
{
	u64 v;

	if (unlikely(cpu->debug_port))
		soft_debug_port(cpu, port, size);
	soft_sync_position(cpu);
	v = cpu->vcpu.ops->io_read(&cpu->vcpu, IO_PORT, port, size);
	port_event(cpu, port, size);
	soft_after_machine(cpu);
	return v;
}

void soft_port_write(struct soft_cpu *cpu, u16 port, unsigned size, u64 value)
{
	if (unlikely(cpu->debug_port))
		soft_debug_port(cpu, port, size);
	soft_sync_position(cpu);
	cpu->vcpu.ops->io_write(&cpu->vcpu, IO_PORT, port, size, value);
	port_event(cpu, port, size);
	soft_after_machine(cpu);
}
