// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shadow page tables: with them a processor never walks the guest's own tables, so that it can't set an accessed flag
 * there speculatively. Flags are set here, when an access that is really made has faulted.
 *
 * 1. EPT stays as it is. A shadow entry has the guest's physical address; the shadow tables themselves stand at the end of
 *    physical address space (the window), where EPT leads to pages of ours. No entry ever has an address in the window.
 * 2. The format is always that of 8-byte entries, whatever the guest's: CR4.PAE is set in hardware. So is CR0.WP, since
 *    a page whose dirty flag is clear is shown read-only; and EFER.NXE, so that error codes tell fetches from reads.
 *    Each change of CR0, CR4 and EFER exits and each read of them is answered with the guest's own.
 * 3. A shadow table mirrors one table of the guest, for one set of rights of the levels above; rights are in the entries
 *    that map pages, all others allow everything. An entry depends on the guest's one entry at the same place and is there
 *    only while that has its accessed flag set, is writable only while that has its dirty flag.
 * 4. What is mirrored can't be written by the guest: EPT. Stepping, the page is opened for the instruction that wants to
 *    write, then each entry that doesn't follow from the guest's any more is dropped. Running freely, all of the table's
 *    entries are dropped and the page stays writable until one is made again; if the instruction that writes needs one of
 *    them itself, it has to be stepped.
 * 5. Tables are freed all at once: when the pool is empty, and when paging's rules change.
 *
 * Nothing here rests on the guest's or the process's keeping to anything: whatever the entries are, EPT decides what memory
 * is reached. A process that writes to the guest's tables tells so (VMDBG_RUN_FLUSH), or the guest sees old translations.
 */
#include <linux/bitmap.h>
#include <linux/bits.h>
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/vmx.h>

#include "shadow.h"

#define TABLES    1024 /* of a vCPU at most */
#define ENTRIES   512
#define GROW      32
#define RECHECKED 64 /* tables that are compared with the guest's one by one; more are dropped */
#define HASH_BITS 8
#define WINDOW    ((u64)TABLES << PAGE_SHIFT)
#define BIG_SHIFT 21
#define ADDRESS   GENMASK_ULL(GUEST_PHYS_BITS - 1, 12)
#define RIGHT_D   8u /* of a part of a page of 1 GiB: its dirty flag is set */
#define IN_A_ROW  2  /* writes to tables by the same instruction until it is to be stepped */
#define WRITTEN   8

/* What a table mirrors, and for which rights above. */
struct source {
	u64 gfn;   /* the guest's table; "part of a page": the part's first page */
	u8 level;  /* 1: its entries map 4 KiB */
	u8 part;   /* 32-bit paging: a table of the guest's makes two or four */
	u8 rights; /* RIGHT_* */
	bool big;  /* part of a page of 1 GiB, in pages of 2 MiB */
};

struct table {
	struct hlist_node node;
	struct source source;
	DECLARE_BITMAP(used, ENTRIES); /* entries that aren't 0 */
	bool open;                     /* nothing is derived from the guest's page, which may be written */
	u64 *entry;
};

struct shadow {
	u64 window;
	/* The first one's page has the PDPTEs of the format with three levels. */
	struct table table[TABLES];
	unsigned int nr;   /* tables that there are pages for */
	unsigned int next; /* the first free one */
	bool wants;
	struct hlist_head hash[BIT(HASH_BITS)];
	struct table *root[4];
	u64 rules; /* bits of CR0, CR4 and EFER that the tables were made by */
	bool active, recheck, stale;
	/* An access that faulted although its entry was as it should be. */
	u64 again_la, again_entry;
	/* stepping: pages that the present instruction may write */
	u64 written[WRITTEN];
	unsigned int nr_written;
	/* running freely: the instruction that wrote to a table last */
	u64 writer_rip, writer_count;
	unsigned int in_a_row;
};

/* --- the pool --- */

int shadow_create(struct vcpu *v)
{
	/* At the end of what both the guest and the host can address. */
	u64 end = BIT_ULL(min_t(unsigned int, GUEST_PHYS_BITS, boot_cpu_data.x86_phys_bits));
	const struct machine *m = v->machine;
	struct shadow *s;
	unsigned int i;

	/* One large page below it stays without RAM too: see clip(). */
	for (i = 0; i < m->nr_regions; i++)
		if (m->region[i].gpa + m->region[i].bytes > end - WINDOW - BIT_ULL(BIG_SHIFT))
			return -EINVAL;
	s = kvzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return -ENOMEM;
	s->window = end - WINDOW;
	s->next = 1;
	v->shadow_tables = s;
	return shadow_grow(v);
}

void shadow_free(struct vcpu *v)
{
	struct shadow *s = v->shadow_tables;

	while (s && s->nr)
		free_page((unsigned long)s->table[--s->nr].entry);
	kvfree(s);
	v->shadow_tables = NULL;
}

bool shadow_wants(const struct vcpu *v)
{
	return v->shadow_tables && v->shadow_tables->wants;
}

int shadow_grow(struct vcpu *v)
{
	struct shadow *s = v->shadow_tables;
	unsigned int i;
	int ret;

	s->wants = false;
	for (i = 0; i < GROW && s->nr < TABLES; i++) {
		ret = ept_reserve(&v->ept, s->window + ((u64)s->nr << PAGE_SHIFT));
		if (ret)
			return ret;
		s->table[s->nr].entry = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!s->table[s->nr].entry)
			return -ENOMEM;
		s->nr++;
	}
	return 0;
}

static u64 table_gpa(const struct shadow *s, const struct table *t)
{
	return s->window + ((u64)(t - s->table) << PAGE_SHIFT);
}

/* The table that an entry leads to, or NULL: it maps a page. */
static struct table *table_of(struct shadow *s, u64 entry)
{
	u64 n = ((entry & ADDRESS) - s->window) >> PAGE_SHIFT;

	return n < s->next ? &s->table[n] : NULL;
}

/*
 * PDPTEs are registers, which stand in the VMCS, and whatever would load them anew exits; except in Bochs 2.7, where writes to
 * CR0 and CR4 that change nothing do. There the load is an EPT violation, since CR3 has 32 bits then.
 */
u64 shadow_pdpt(const struct vcpu *v)
{
	return __pa(v->shadow_tables->table[0].entry);
}

static void drop_all(struct shadow *s)
{
	memset(s->hash, 0, sizeof(s->hash));
	s->next = 1;
	s->stale = true;
}

void shadow_drop(struct vcpu *v)
{
	if (!v->shadow_tables)
		return;
	drop_all(v->shadow_tables);
	v->stats->table_drops++;
}

static struct hlist_head *bucket(struct shadow *s, u64 gfn)
{
	return &s->hash[hash_64(gfn, HASH_BITS)];
}

static bool same_source(const struct source *a, const struct source *b)
{
	return a->gfn == b->gfn && a->level == b->level && a->part == b->part && a->rights == b->rights &&
	       a->big == b->big;
}

/* NULL: the pool is empty. */
static struct table *table_get(struct shadow *s, const struct source *source)
{
	struct table *t;

	hlist_for_each_entry(t, bucket(s, source->gfn), node)
		if (same_source(&t->source, source))
			return t;
	if (s->next == s->nr)
		return NULL;
	t = &s->table[s->next++];
	t->source = *source;
	bitmap_zero(t->used, ENTRIES);
	t->open = true;
	clear_page(t->entry);
	hlist_add_head(&t->node, bucket(s, source->gfn));
	return t;
}

bool shadow_map(struct vcpu *v, u64 gpa)
{
	struct shadow *s = v->shadow_tables;
	u64 n = s ? (gpa - s->window) >> PAGE_SHIFT : 0, *entry;

	if (!s || gpa < s->window || n >= s->nr)
		return false;
	entry = ept_entry(&v->ept, gpa);
	if (entry)
		ept_set(&v->ept, entry, __pa(s->table[n].entry), VMDBG_R | VMDBG_W);
	return entry;
}

/* --- entries --- */

static void protect_page(struct vcpu *v, u64 gpa)
{
	u64 *entry = ept_entry(&v->ept, gpa);

	if (!entry || !(*entry & VMDBG_W))
		return;
	*entry &= ~(u64)VMDBG_W;
	v->ept.stale = true;
}

/* From now on the guest's page can't be written unnoticed. */
static void protect(struct vcpu *v, struct table *t)
{
	u64 gpa = t->source.gfn << PAGE_SHIFT;

	t->open = false;
	if (t->source.big)
		return;
	protect_page(v, gpa);
	if (v->held)
		protect_page(v, gpa | v->held);
}

/* False: nothing was changed. */
static bool set_entry(struct vcpu *v, struct table *t, unsigned int i, u64 value)
{
	if (t->entry[i] == value)
		return false;
	if (t->open)
		protect(v, t);
	if (__test_and_set_bit(i, t->used))
		v->shadow_tables->stale = true;
	WRITE_ONCE(t->entry[i], value);
	return true;
}

static void clear_entry(struct vcpu *v, struct table *t, unsigned int i)
{
	WRITE_ONCE(t->entry[i], 0);
	__clear_bit(i, t->used);
	v->shadow_tables->stale = true;
	v->code_la = ~0ull;
	t->open = bitmap_empty(t->used, ENTRIES);
}

/*
 * Physical memory that the guest names but the host has no address for, or that is the window's, is nowhere: the large
 * page below the window is as good.
 */
static u64 clip(const struct shadow *s, u64 gpa)
{
	return gpa < s->window ? gpa : s->window - BIT_ULL(BIG_SHIFT) + (gpa & (BIT_ULL(BIG_SHIFT) - 1));
}

/*
 * The entry that maps a page. @for_kernel: with the guest's CR0.WP clear a page that is read-only, and the user's, is either
 * as the user sees it or as its kernel does.
 */
static u64 page_entry(const struct vcpu *v, u64 gpa, unsigned int level, u32 rights, bool dirty, bool for_kernel)
{
	const struct vmdbg_regs *r = v->regs;
	u64 e = PTE_P | PTE_A | clip(v->shadow_tables, gpa);

	if (!(rights & RIGHT_W) && dirty && !(r->cr0 & X86_CR0_WP) && (for_kernel || !(rights & RIGHT_U))) {
		/* Not the user's any more: SMEP must not be lost by that. */
		if ((rights & RIGHT_U) && (r->cr4 & X86_CR4_SMEP))
			rights &= ~RIGHT_X;
		rights = (rights & ~RIGHT_U) | RIGHT_W;
	}
	if ((rights & RIGHT_W) && dirty)
		e |= PTE_W | PTE_D;
	if (rights & RIGHT_U)
		e |= PTE_U;
	if (!(rights & RIGHT_X))
		e |= PTE_NX;
	if (level == 2)
		e |= PTE_PS;
	return e;
}

static u64 table_entry(const struct shadow *s, const struct table *t)
{
	return table_gpa(s, t) | PTE_P | PTE_W | PTE_U | PTE_A;
}

/* What entry @i of a table is to be, by the guest's entry @e: it maps a page (gpa), or leads to a table (source). */
struct derived {
	bool page, dirty;
	u64 gpa;
	u32 rights;
	struct source source;
};

static bool derive(const struct vcpu *v, const struct table *t, unsigned int i, u64 e, struct derived *d)
{
	bool narrow = !(v->regs->cr4 & X86_CR4_PAE);
	unsigned int level = t->source.level;
	enum guest_entry kind;
	u64 address;

	kind = guest_entry_decode(v->regs, e, level, &address, &d->rights);
	if (kind <= ENTRY_RESERVED || !(e & PTE_A))
		return false;
	d->rights &= t->source.rights;
	d->page = kind == ENTRY_PAGE && level < 3;
	d->dirty = e & PTE_D;
	d->gpa = address;
	if (d->page && level == 2 && narrow) /* half of 4 MiB */
		d->gpa |= (u64)(i & 1) << BIG_SHIFT;
	d->source = (struct source){.gfn = (address & ~v->held) >> PAGE_SHIFT, .level = level - 1, .rights = d->rights};
	if (narrow)
		d->source.part = i & 1;
	if (kind == ENTRY_PAGE && level == 3) {
		d->source.big = true;
		d->source.rights |= d->dirty ? RIGHT_D : 0;
	}
	return true;
}

/* Entry @i of a part of a page of 1 GiB. */
static void derive_part(const struct table *t, unsigned int i, struct derived *d)
{
	d->page = true;
	d->dirty = t->source.rights & RIGHT_D;
	d->rights = t->source.rights & RIGHT_ALL;
	d->gpa = (t->source.gfn << PAGE_SHIFT) + ((u64)i << BIG_SHIFT);
}

/* Whether entry @i, which isn't 0, follows from the guest's entry. */
static bool follows(struct vcpu *v, struct table *t, unsigned int i, u64 guest)
{
	struct shadow *s = v->shadow_tables;
	u64 e = t->entry[i];
	struct table *child;
	struct derived d;

	if (!derive(v, t, i, guest, &d))
		return false;
	child = table_of(s, e);
	if (!d.page)
		return child && same_source(&child->source, &d.source);
	return e == page_entry(v, d.gpa, t->source.level, d.rights, d.dirty, false) ||
	       e == page_entry(v, d.gpa, t->source.level, d.rights, d.dirty, true);
}

/* Drops the entries that don't follow from the guest's any more. */
static void recheck(struct vcpu *v, struct table *t)
{
	struct page *page = machine_page(v->machine, t->source.gfn << PAGE_SHIFT);
	bool narrow = !(v->regs->cr4 & X86_CR4_PAE);
	unsigned int i;

	if (t->source.big || !page)
		return;
	for_each_set_bit(i, t->used, ENTRIES) {
		const u8 *guest = page_address(page);
		u64 e;

		/* An entry of a directory with 1,024 is two here. */
		if (narrow)
			e = READ_ONCE((
			    (const u32 *)
				guest)[t->source.level == 2 ? t->source.part * 256 + i / 2 : t->source.part * 512 + i]);
		else
			e = READ_ONCE(((const u64 *)guest)[i]);
		if (!follows(v, t, i, e))
			clear_entry(v, t, i);
	}
}

/* --- what the guest writes --- */

bool shadow_tracks(const struct vcpu *v, u64 gfn)
{
	struct table *t;

	if (!v->shadow_tables)
		return false;
	hlist_for_each_entry(t, bucket(v->shadow_tables, gfn), node)
		if (t->source.gfn == gfn && !t->source.big && !t->open)
			return true;
	return false;
}

static void drop_entries(struct vcpu *v, u64 gfn)
{
	struct table *t;
	unsigned int i;

	hlist_for_each_entry(t, bucket(v->shadow_tables, gfn), node)
		if (t->source.gfn == gfn && !t->source.big)
			for_each_set_bit(i, t->used, ENTRIES)
				clear_entry(v, t, i);
}

bool shadow_write(struct vcpu *v, u64 gfn)
{
	struct shadow *s = v->shadow_tables;
	u64 rip;

	v->stats->table_writes++;
	if (v->step) {
		if (s->nr_written < WRITTEN)
			s->written[s->nr_written++] = gfn;
		else
			s->recheck = true;
		return true;
	}
	rip = vmread(GUEST_RIP);
	if (rip != s->writer_rip || v->regs->gpr[1] != s->writer_count)
		s->in_a_row = 0;
	s->writer_rip = rip;
	s->writer_count = v->regs->gpr[1];
	if (++s->in_a_row == IN_A_ROW) {
		s->in_a_row = 0;
		return false;
	}
	drop_entries(v, gfn);
	return true;
}

bool shadow_written(const struct vcpu *v)
{
	return v->shadow_tables && v->shadow_tables->nr_written;
}

void shadow_settle(struct vcpu *v)
{
	struct shadow *s = v->shadow_tables;
	struct table *t;

	while (s && s->nr_written) {
		u64 gfn = s->written[--s->nr_written];

		hlist_for_each_entry(t, bucket(s, gfn), node)
			if (t->source.gfn == gfn)
				recheck(v, t);
	}
}

int shadow_begin(struct vcpu *v)
{
	struct shadow *s = v->shadow_tables;

	if (!s)
		return 0;
	if (v->run.flags & VMDBG_RUN_FLUSH)
		s->recheck = true;
	return s->nr - s->next < GROW / 2 && s->nr < TABLES ? shadow_grow(v) : 0;
}

static void recheck_all(struct vcpu *v)
{
	struct shadow *s = v->shadow_tables;
	unsigned int n;

	s->recheck = false;
	/* Interrupts are off. */
	if (s->next > RECHECKED) {
		drop_all(s);
		v->stats->table_drops++;
	}
	for (n = 0; n < s->next; n++)
		recheck(v, &s->table[n]);
}

/* --- in hardware --- */

bool shadow_active(const struct vcpu *v)
{
	return v->shadow_tables && v->shadow_tables->active;
}

bool shadow_take_stale(struct vcpu *v)
{
	bool stale = v->shadow_tables && v->shadow_tables->stale;

	if (stale)
		v->shadow_tables->stale = false;
	return stale;
}

/* The root of the guest's @nth GiB; with four levels there is one for all. False: the pool is empty. */
static bool root(struct vcpu *v, unsigned int n)
{
	const struct vmdbg_regs *r = v->regs;
	struct source source = {.gfn = (r->cr3 & ADDRESS) >> PAGE_SHIFT, .level = 2, .rights = RIGHT_ALL};

	if (r->efer & EFER_LMA) {
		source.level = 4;
	} else if (r->cr4 & X86_CR4_PAE) {
		source.gfn = (r->pdpte[n] & ADDRESS) >> PAGE_SHIFT;
		if (!(r->pdpte[n] & PTE_P)) {
			v->shadow_tables->root[n] = NULL;
			return true;
		}
	} else {
		source.gfn = (u32)r->cr3 >> PAGE_SHIFT;
		source.part = n;
	}
	source.gfn &= ~(v->held >> PAGE_SHIFT);
	v->shadow_tables->root[n] = table_get(v->shadow_tables, &source);
	return v->shadow_tables->root[n];
}

static void load_roots(struct vcpu *v)
{
	struct shadow *s = v->shadow_tables;
	bool four_levels = v->regs->efer & EFER_LMA;
	unsigned int n;

	for (n = 0; n < 4; n++)
		if (!root(v, n)) {
			/* The smallest pool has room for all roots. */
			drop_all(s);
			n = -1;
		}
	vmwrite(v, GUEST_CR3, table_gpa(s, four_levels ? s->root[0] : &s->table[0]));
	for (n = 0; n < 4; n++) {
		s->table[0].entry[n] = s->root[n] ? table_gpa(s, s->root[n]) | PTE_P : 0;
		vmwrite(v, GUEST_PDPTR0 + 2 * n, s->table[0].entry[n]);
	}
}

/* All that decides how an entry of the guest's is read. */
static u64 rules(const struct vmdbg_regs *r)
{
	return (r->cr0 & X86_CR0_WP) | (r->cr4 & (X86_CR4_PSE | X86_CR4_PAE)) | (r->cr4 & X86_CR4_SMEP) |
	       (r->efer & (EFER_NX | EFER_LMA)) << 32;
}

void shadow_load(struct vcpu *v)
{
	const struct vmdbg_regs *r = v->regs;
	struct shadow *s = v->shadow_tables;

	if (!s)
		return;
	s->active = r->cr0 & X86_CR0_PG;
	if (!s->active)
		return;
	if (s->rules != rules(r)) {
		s->rules = rules(r);
		drop_all(s);
		v->stats->table_drops++;
	}
	if (s->recheck)
		recheck_all(v);
	load_roots(v);
	vmwrite(v, GUEST_CR0, vmread(GUEST_CR0) | X86_CR0_WP);
	vmwrite(v, GUEST_CR4, vmread(GUEST_CR4) | X86_CR4_PAE);
	vmwrite(v, GUEST_IA32_EFER, r->efer | EFER_NX);
	vmcs_control(v, CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING, true);
	vmcs_control(v, EXCEPTION_BITMAP, BIT(14), true);
}

/* --- page faults --- */

#define QUAL_GLA BIT(7) /* of an EPT violation: on the way to a linear address (SDM 3C table 28-7) */

#define HOW_AC BIT(31) /* beside FAULT_W, FAULT_U and FAULT_I: EFLAGS.AC counts */

static u32 how(const struct vcpu *v, u32 error)
{
	bool user = (vmread(GUEST_SS_AR_BYTES) >> 5 & 3) == 3;

	error &= FAULT_W | FAULT_U | FAULT_I;
	/* At CPL 3 a supervisor's access is an implicit one, of descriptor tables: AC isn't for those. */
	return error | (!user && (vmread(GUEST_RFLAGS) & X86_EFLAGS_AC) ? HOW_AC : 0);
}

/* SDM 3A 4.6 */
static bool permits(const struct vmdbg_regs *r, u32 rights, u32 how)
{
	bool user_page = rights & RIGHT_U;

	if ((how & FAULT_I) && !(rights & RIGHT_X))
		return false;
	if (how & FAULT_U)
		return user_page && !((how & FAULT_W) && !(rights & RIGHT_W));
	if (how & FAULT_I)
		return !(user_page && (r->cr4 & X86_CR4_SMEP));
	if (user_page && (r->cr4 & X86_CR4_SMAP) && !(how & HOW_AC))
		return false;
	return !(how & FAULT_W) || (rights & RIGHT_W) || !(r->cr0 & X86_CR0_WP);
}

/* As the guest sees it: fetches are told only where they can be forbidden (SDM 3A 4.7). */
static u32 error_code(const struct vmdbg_regs *r, u32 how, u32 error)
{
	error |= how & (FAULT_W | FAULT_U);
	if ((how & FAULT_I) && ((r->cr4 & X86_CR4_SMEP) || ((r->cr4 & X86_CR4_PAE) && (r->efer & EFER_NX))))
		error |= FAULT_I;
	return error;
}

/* CHANGED: by another vCPU meanwhile, or at a level before, in an entry that maps itself. */
enum marked { MARKED, CHANGED, MARK_LEAVES };

/* Sets flags in an entry of the guest's, as hardware's walk would: what is watched there, is told. */
static enum marked mark_entry(struct vcpu *v, u64 la, u64 gpa, unsigned int size, u64 *e, u64 bits)
{
	struct page *page = machine_page(v->machine, gpa);
	u64 old = *e;
	u8 *at;

	if ((*e & bits) == bits)
		return MARKED;
	*e |= bits;
	if (!page)
		return MARKED;
	if (!page_may_be_marked(v, gpa)) {
		v->run.gpa = gpa;
		v->run.gla = la;
		v->run.qualification = VMDBG_R | VMDBG_W | QUAL_GLA;
		leave(v, VMDBG_EXIT_EPT);
		return MARK_LEAVES;
	}
	if (!page_note_marked(v, gpa)) {
		leave(v, VMDBG_EXIT_DIRTY);
		return MARK_LEAVES;
	}
	at = (u8 *)page_address(page) + (gpa & ~PAGE_MASK);
	if (size == 8 ? cmpxchg64((u64 *)at, old, *e) != old : cmpxchg((u32 *)at, (u32)old, (u32)*e) != (u32)old)
		return CHANGED;
	return MARKED;
}

static enum marked mark(struct vcpu *v, u64 la, struct guest_walk *w, bool write)
{
	enum marked marked = MARKED;
	unsigned int n;

	for (n = 0; n < w->nr && marked == MARKED; n++)
		marked = mark_entry(v, la, w->gpa[n], w->size, &w->entry[n],
				    n == w->nr - 1 && write ? PTE_A | PTE_D : PTE_A);
	return marked;
}

/* Makes the entries of a walk. *@changed: whether there was anything to make. False: the pool is empty. */
static bool fill(struct vcpu *v, u64 la, const struct guest_walk *w, u32 how, bool *changed)
{
	bool four_levels = v->regs->efer & EFER_LMA, for_kernel = (how & FAULT_W) && !(how & FAULT_U);
	struct shadow *s = v->shadow_tables;
	struct table *t = s->root[four_levels ? 0 : la >> 30 & 3], *child;
	unsigned int n = 0;
	struct derived d;

	*changed = false;
	while (t) {
		unsigned int level = t->source.level, i = la >> (PAGE_SHIFT + 9 * (level - 1)) & 511;

		if (t->source.big)
			derive_part(t, i, &d);
		else if (n == w->nr || !derive(v, t, i, w->entry[n++], &d))
			return true;
		if (d.page) {
			*changed |= set_entry(v, t, i, page_entry(v, d.gpa, level, d.rights, d.dirty, for_kernel));
			return true;
		}
		child = table_get(s, &d.source);
		if (!child)
			return false;
		*changed |= set_entry(v, t, i, table_entry(s, child));
		t = child;
	}
	return true;
}

static enum after make_room(struct vcpu *v)
{
	struct shadow *s = v->shadow_tables;

	if (s->nr < TABLES) {
		s->wants = true;
		return PIN;
	}
	drop_all(s);
	v->stats->table_drops++;
	load_roots(v);
	return AGAIN;
}

/*
 * Hardware has refused what the entry allows: either its TLB was older, or the access is one that only hardware can tell
 * from others (implicit ones under SMAP). Then it will say the same again at once.
 */
static bool refused_again(struct vcpu *v, u64 la)
{
	struct shadow *s = v->shadow_tables;
	bool again = s->again_la == la && s->again_entry + 1 == v->entries;

	s->again_la = la;
	s->again_entry = v->entries;
	s->stale = true;
	return again;
}

enum after shadow_fault(struct vcpu *v, u64 la, u32 *error, bool *guest)
{
	u32 access = how(v, *error);
	enum marked marked;
	struct guest_walk w;
	bool changed;

	*guest = true;
	switch (guest_walk(v, la, &w)) {
	case WALK_UNPINNED:
		return PIN;
	case WALK_FAULT:
		*error = error_code(v->regs, access, w.error);
		return LEAVE;
	case WALK_DONE:
		break;
	}
	if (!permits(v->regs, w.rights, access)) {
		*error = error_code(v->regs, access, FAULT_P);
		return LEAVE;
	}
	*guest = false;
	marked = mark(v, la, &w, access & FAULT_W);
	if (marked != MARKED)
		return marked == CHANGED ? AGAIN : LEAVE;
	v->stats->table_fills++;
	if (!fill(v, la, &w, access, &changed))
		return make_room(v);
	if (!changed && refused_again(v, la)) {
		*guest = true;
		*error = error_code(v->regs, access, FAULT_P);
		return LEAVE;
	}
	return AGAIN;
}
