/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Watchpoints and events of the soft engine (vmm/probe.h): which bytes of an access are told, and where. */
#include <check.h>
#include <errno.h>

#include "probe_rig.h"
#include "rig.h"

/* --- single instructions: exactly the bytes that they read and write --- */

#define S(id, text) GUEST(s_##id, 64, text "; hlt")
S(load8, "mov al, [rbx]");
S(store16, "mov [rbx + 2], ax");
S(load64, "mov rax, [rbx + 0xffc]");
S(store64, "mov [rbx + 0xffc], rax");
S(store64c, "mov [rbx + 0x40], rax");
S(add, "add [rbx], eax");
S(inc, "inc byte ptr [rbx + 5]");
S(shift, "shl word ptr [rbx + 6], 3");
S(xadd, "lock xadd [rbx + 0xfff], cx");
S(xchg, "xchg [rbx], al");
S(cmpxchg, "lock cmpxchg [rbx + 8], rcx");
S(cmpxchg16, "lock cmpxchg16b [rbx]");
S(bts, "bts [rbx], rdx");
S(bt, "bt [rbx], rdx");
S(push, "push rax");
S(pop, "pop rax");
S(popm, "pop qword ptr [rbx]");
S(pushm, "push qword ptr [rbx]");
S(call, "call 1f; 1:");
S(leave, "leave");
S(movsb, "rep movsb");
S(movsq, "rep movsq");
S(movs1, "movsd");
S(stosw, "rep stosw");
S(lods, "rep lodsd");
S(cmps, "repe cmpsb");
S(scas, "repne scasw");
S(movaps, "movaps xmm0, [rbx]");
S(movups, "movups [rbx + 0xff8], xmm0");
S(movq, "movq [rbx + 1], xmm0");
S(maskmov, "maskmovdqu xmm1, xmm2");
S(fstp, "fstp tbyte ptr [rbx + 3]");
S(fld, "fld qword ptr [rbx]");
S(fnstcw, "fnstcw [rbx]");
S(sidt, "sidt [rbx]");
S(seg, "mov fs, edx");
S(ltr, "ltr ax");
S(mmio, "mov eax, [rbp]");
S(mmiow, "mov [rbp + 0x50], eax");
S(nothing, "lea rax, [rbx]; prefetcht0 [rbx]");
S(soft_int, "int 0x80");

struct bytes {
	u64 at, len;
};

static const struct single {
	const u8 *code, *end;
	struct bytes read[4], write[2];
	u64 rax, rcx, rdx, rbp;
} singles[] = {
#define C(id) s_##id, s_##id##_end
    {C(load8), {{DATA, 1}}, {{0, 0}}, 0, 0, 0, 0},
    {C(store16), {{0, 0}}, {{DATA + 2, 2}}, 0, 0, 0, 0},
    {C(load64), {{DATA + 0xffc, 8}}, {{0, 0}}, 0, 0, 0, 0},
    {C(store64), {{0, 0}}, {{DATA + 0xffc, 8}}, 0, 0, 0, 0},
    {C(store64c), {{0, 0}}, {{DATA + 0x40, 8}}, 0, 0, 0, 0},
    {C(add), {{DATA, 4}}, {{DATA, 4}}, 0, 0, 0, 0},
    {C(inc), {{DATA + 5, 1}}, {{DATA + 5, 1}}, 0, 0, 0, 0},
    {C(shift), {{DATA + 6, 2}}, {{DATA + 6, 2}}, 0, 0, 0, 0},
    {C(xadd), {{DATA + 0xfff, 2}}, {{DATA + 0xfff, 2}}, 0, 0, 0, 0},
    {C(xchg), {{DATA, 1}}, {{DATA, 1}}, 0, 0, 0, 0},
    {C(cmpxchg), {{DATA + 8, 8}}, {{DATA + 8, 8}}, 1, 0, 0, 0},
    {C(cmpxchg16), {{DATA, 16}}, {{DATA, 16}}, 1, 0, 0, 0},
    {C(bts), {{DATA + 8, 8}}, {{DATA + 8, 8}}, 0, 0, 70, 0},
    {C(bt), {{DATA + 16, 8}}, {{0, 0}}, 0, 0, 130, 0},
    {C(push), {{0, 0}}, {{STACK - 8, 8}}, 0, 0, 0, 0},
    {C(pop), {{STACK, 8}}, {{0, 0}}, 0, 0, 0, 0},
    {C(popm), {{STACK, 8}}, {{DATA, 8}}, 0, 0, 0, 0},
    {C(pushm), {{DATA, 8}}, {{STACK - 8, 8}}, 0, 0, 0, 0},
    {C(call), {{0, 0}}, {{STACK - 8, 8}}, 0, 0, 0, 0},
    {C(leave), {{DATA + 0x20, 8}}, {{0, 0}}, 0, 0, 0, DATA + 0x20},
    {C(movsb), {{DATA + 0x100, 4}}, {{DATA + 0x200, 4}}, 0, 4, 0, 0},
    {C(movsq), {{DATA + 0x100, 24}}, {{DATA + 0x200, 24}}, 0, 3, 0, 0},
    {C(movs1), {{DATA + 0x100, 4}}, {{DATA + 0x200, 4}}, 0, 0, 0, 0},
    {C(stosw), {{0, 0}}, {{DATA + 0x200, 10}}, 0, 5, 0, 0},
    {C(lods), {{DATA + 0x100, 12}}, {{0, 0}}, 0, 3, 0, 0},
    {C(cmps), {{DATA + 0x100, 3}, {DATA + 0x200, 3}}, {{0, 0}}, 0, 3, 0, 0},
    {C(scas), {{DATA + 0x200, 2}}, {{0, 0}}, 0, 3, 0, 0},
    {C(movaps), {{DATA, 16}}, {{0, 0}}, 0, 0, 0, 0},
    {C(movups), {{0, 0}}, {{DATA + 0xff8, 16}}, 0, 0, 0, 0},
    {C(movq), {{0, 0}}, {{DATA + 1, 8}}, 0, 0, 0, 0},
    {C(maskmov), {{0, 0}}, {{DATA + 0x203, 2}, {DATA + 0x20f, 1}}, 0, 0, 0, 0},
    {C(fstp), {{0, 0}}, {{DATA + 3, 10}}, 0, 0, 0, 0},
    {C(fld), {{DATA, 8}}, {{0, 0}}, 0, 0, 0, 0},
    {C(fnstcw), {{0, 0}}, {{DATA, 2}}, 0, 0, 0, 0},
    {C(sidt), {{0, 0}}, {{DATA, 10}}, 0, 0, 0, 0},
    {C(seg), {{GDT + DS, 8}}, {{0, 0}}, 0, 0, DS, 0},
    {C(ltr), {{GDT + TR, 16}}, {{GDT + TR + 5, 1}}, TR, 0, 0, 0},
    {C(mmio), {{0xfee00030, 4}}, {{0, 0}}, 0, 0, 0, 0xfee00030},
    {C(mmiow), {{0, 0}}, {{0xfee00080, 4}}, 0, 0, 0, 0xfee00030},
    {C(nothing), {{0, 0}}, {{0, 0}}, 0, 0, 0, 0},
    {C(soft_int), {{IDT + 0x800, 16}, {GDT + CS64, 8}}, {{STACK - 40, 40}}, 0, 0, 0, 0},
};

static void reset(struct machine *m, const struct x86_state *start, bool cold)
{
	m->vcpu[0]->regs = *start;
	m->end = END_NONE;
	store64(ram(m, GDT + TR), 0x0000890000000067 | TSS << 16);
	*ram(m, DATA + 0x200) = 0; /* STOSW wrote here */
	if (cold)
		soft_engine.regs_changed(m->vcpu[0]);
}

static struct machine *single_machine(const struct single *t, struct x86_state *start)
{
	struct machine *m = rig64(t->code, t->end);
	struct x86_state *s = &m->vcpu[0]->regs;

	s->gpr[RAX] = t->rax;
	s->gpr[RBX] = DATA;
	s->gpr[RCX] = t->rcx;
	s->gpr[RDX] = t->rdx;
	s->gpr[RSI] = DATA + 0x100;
	s->gpr[RDI] = DATA + 0x200;
	s->gpr[RBP] = t->rbp;
	s->fpu.fcw = 0x37f;
	s->fpu.ftw = 0xff;
	s->fpu.xmm[2][3] = s->fpu.xmm[2][4] = s->fpu.xmm[2][15] = 0x80;
	if (t->code == s_fld)
		s->fpu.ftw = 0;
	gate(m, 0x80, CODE + (u64)(t->end - t->code) - 1, 0);
	*start = *s;
	reset(m, start, true);
	return m;
}

static bool covers(const struct bytes *b, unsigned n, u64 at)
{
	while (n--)
		if (at - b[n].at < b[n].len)
			return true;
	return false;
}

static u64 runs;

/* A watchpoint on one byte. */
static void single_byte(struct machine *m, const struct single *t, const struct x86_state *start, u64 at)
{
	bool read = covers(t->read, ARRAY_SIZE(t->read), at), write = covers(t->write, ARRAY_SIZE(t->write), at);
	struct vcpu *v = m->vcpu[0];

	for (unsigned n = 0; n < 3 * 2 * 2; n++) {
		enum target_break_kind kind = TARGET_BREAK_WRITE + n % 3;
		struct target_break b = {.kind = kind, .space = n / 3 & 1, .addr = at, .len = 1};
		bool want = kind == TARGET_BREAK_WRITE ? write : kind == TARGET_BREAK_READ ? read : read || write;
		u64 before = v->insns;

		reset(m, start, n / 6);
		set_breaks(m, &b, 1);
		if (go(m) != want)
			ck_abort_msg("instruction %u, kind %u, space %u at %#llx", (unsigned)(t - singles), kind,
				     (unsigned)b.space, (unsigned long long)at);
		if (want) {
			if (v->insns != before + 1 || v->probe.nr != 1 || v->probe.hit[0].addr != at ||
			    v->probe.hit[0].write != (write && kind != TARGET_BREAK_READ))
				ck_abort_msg("instruction %u, hit at %#llx", (unsigned)(t - singles),
					     (unsigned long long)v->probe.hit[0].addr);
			ck_assert(!go(m));
		}
		runs++;
	}
}

START_TEST(exact_bytes)
{
	for (unsigned n = 0; n < ARRAY_SIZE(singles); n++) {
		const struct single *t = &singles[n];
		struct x86_state start;
		struct machine *m = single_machine(t, &start);

		*pte(m, PT) |= PTE_A;
		ck_assert_int_eq(machine_run(m, ~0ull),
				 0); /* so that translations, accessed flags and blocks are there */
		ck_assert_int_eq(m->end, END_HALTED);
		for (unsigned k = 0; k < 6; k++) {
			const struct bytes *b = k < 4 ? &t->read[k] : &t->write[k - 4];

			for (u64 at = b->at - 2; b->len && at < b->at + b->len + 2; at++)
				single_byte(m, t, &start, at);
		}
		single_byte(m, t, &start, DATA);
		machine_free(m);
	}
	ck_assert_uint_gt(runs, 5000);
}
END_TEST

static void ck_hits(const struct vcpu *v, unsigned nr, const struct target_break *b, u64 addr, bool write)
{
	ck_assert_uint_eq(v->probe.nr, nr);
	for (unsigned n = 0; n < nr; n++)
		if (v->probe.hit[n].hit == b) {
			ck_assert_uint_eq(v->probe.hit[n].addr, addr);
			ck_assert_int_eq(v->probe.hit[n].write, write);
			return;
		}
	ck_abort_msg("no hit");
}

static void ck_place(const struct vcpu *v, u64 insns, u32 deliveries)
{
	ck_assert_uint_eq(v->insns, insns);
	ck_assert_uint_eq(vcpu_deliveries(v), deliveries);
}

/* --- ranges --- */

GUEST(stores, 64,
      "mov ecx, 100; mov edi, 0x20000; 1: mov [rdi], cl; add rdi, 3; loop 1b; mov eax, [rdi + 0x10000]; push rax; hlt");

START_TEST(wide_ranges)
{
	static const struct {
		u64 addr, len;
		unsigned hits;       /* of stores; the last is on the stack */
	} want[] = {{0, ~0ull, 103}, /* and accessed flags: of the code's page, of the last load's */
		    {DATA, ~0ull, 100},
		    {DATA, 0, 0},
		    {DATA - 5, 5, 0},
		    {DATA - 5, 6, 1},
		    {DATA + 1, 2, 0},
		    {DATA + 1, 3, 1},
		    {DATA + 297, 1, 1},
		    {DATA + 298, ~0ull - 3, 0},
		    {DATA + 297, ~0ull - 3, 1},
		    {~0ull, ~0ull, 0},
		    {RAM - 1, 5ull << 40, 0}};

	for (unsigned n = 0; n < 2 * ARRAY_SIZE(want); n++) {
		struct target_break b = WATCH(WRITE, want[n / 2].addr, want[n / 2].len);
		struct machine *m = rig64(stores, stores_end);

		b.space = n & 1;
		set_breaks(m, &b, 1);
		ck_assert_uint_eq(hits_of(m, &b), want[n / 2].hits);
		machine_free(m);
	}
}
END_TEST

/* Nested, overlapping and equal ones, looked up as a list would be. */
START_TEST(a_thousand_watchpoints)
{
	struct machine *m = rig64(stores, stores_end);
	struct target_break b[1000];
	struct vcpu *v = m->vcpu[0];
	u64 at = 0, total = 0;
	u32 seed = 7;

	for (unsigned n = 0; n < 1000; n++) {
		seed = seed * 1664525 + 1013904223;
		b[n] = (struct target_break){.kind = TARGET_BREAK_WRITE + (seed >> 8) % 3, .space = seed >> 12 & 1};
		b[n].addr = DATA - 20 + (seed >> 16) % 340;
		b[n].len = n % 10 ? 1 + n % 7 : n;
	}
	set_breaks(m, b, 1000);
	for (; go(m); at++) {
		unsigned want = 0;

		if (at == 100)
			break;
		for (unsigned n = 0; n < 1000; n++)
			want += b[n].kind != TARGET_BREAK_READ && DATA + 3 * at - b[n].addr < b[n].len;
		ck_assert_uint_eq(v->probe.nr, want);
		for (unsigned n = 0; n < v->probe.nr; n++)
			ck_assert_uint_eq(v->probe.hit[n].addr, DATA + 3 * at);
		total += want;
		ck_assert_uint_eq(v->insns, 3 + 3 * at);
	}
	ck_assert_uint_gt(total, 1000);
	machine_free(m);
}
END_TEST

/* One linear page in two places, one physical page at two addresses. */
GUEST(aliases, 64, "mov [0x20008], al; mov [0x30008], al; mov eax, [0x30008]; hlt");

START_TEST(linear_and_physical)
{
	struct machine *m = rig64(aliases, aliases_end);
	struct target_break b[3] = {WATCH(WRITE, 0x30008, 1), WATCHP(WRITE, 0x20008, 1), WATCHP(ACCESS, 0x30008, 1)};
	struct vcpu *v = m->vcpu[0];

	*pte(m, 0x30000) = *pte(m, 0x20000);
	set_breaks(m, b, 3);
	ck_assert(go(m));
	ck_place(v, 1, 0);
	ck_hits(v, 1, &b[1], 0x20008, true);
	ck_assert(go(m));
	ck_place(v, 2, 0);
	ck_hits(v, 2, &b[0], 0x30008, true);
	ck_hits(v, 2, &b[1], 0x20008, true);
	ck_assert(!go(m));
	machine_free(m);
}
END_TEST

/* Only the pages that are watched are slow, and only while they are: seen from inside. */
START_TEST(flags_come_and_go)
{
	struct machine *m = rig64(stores, stores_end);
	struct target_break b[2] = {WATCHP(READ, 0x5ff0, 0x20), WATCHP(WRITE, 0, ~0ull)};
	const u8 *flags = m->mem.slot[0].flags;

	set_breaks(m, b, 1);
	for (unsigned n = 0; n < RAM >> PAGE_SHIFT; n++)
		ck_assert_int_eq(!!(flags[n] & PAGE_WATCHED), n == 5 || n == 6);
	set_breaks(m, b, 2);
	for (unsigned n = 0; n < RAM >> PAGE_SHIFT; n++)
		ck_assert(flags[n] & PAGE_WATCHED);
	set_breaks(m, b, 0);
	for (unsigned n = 0; n < RAM >> PAGE_SHIFT; n++)
		ck_assert(!(flags[n] & PAGE_WATCHED));
	machine_free(m);
}
END_TEST

/* --- faults --- */

GUEST(movs_fault, 64, "movsb; hlt; movs_pf: hlt");
GUEST(rep_fault, 64, "rep movsb; hlt; rep_pf: hlt");
GUEST(rmw_fault, 64, "add [rdi], eax; hlt; rmw_pf: hlt");
GUEST(push_fault, 64, "push [rsi]; hlt; push_pf: hlt");
GUEST(iret_fault, 64, "cmpsb; hlt; iret_pf: hlt");

static struct machine *fault_machine(const u8 *code, const u8 *end)
{
	struct machine *m = rig64(code, end);
	struct x86_state *s = &m->vcpu[0]->regs;
	u64 low = load64(ram(m, IDT + X86_PF * 16));

	gate(m, X86_PF, CODE + (u64)(end - code) - 1, 0);
	low = load64(ram(m, IDT + X86_PF * 16));
	store64(ram(m, IDT + X86_PF * 16), low | 1ull << 32); /* IST 1 */
	store64(ram(m, TSS + 0x24), INNER);
	*pte(m, 0x30000) = 0x30000 | PTE_P; /* read only */
	*pte(m, 0x31000) = 0;
	s->gpr[RSI] = DATA;
	s->gpr[RDI] = 0x30000;
	s->gpr[RCX] = 5;
	s->gpr[RSP] = 0x31008;
	return m;
}

START_TEST(what_faults_tells_nothing)
{
	static const struct {
		const u8 *code, *end;
		u64 rdi;
	} t[] = {{movs_fault, movs_fault_end, 0x30000}, {movs_fault, movs_fault_end, 0x31000},
		 {rmw_fault, rmw_fault_end, 0x30000},   {push_fault, push_fault_end, 0},
		 {iret_fault, iret_fault_end, 0x31000}, {movs_fault, movs_fault_end, 0xffff000000000000}};

	for (unsigned n = 0; n < ARRAY_SIZE(t); n++) {
		struct machine *m = fault_machine(t[n].code, t[n].end);
		/* The instruction's operands, and the frame that the delivery writes. */
		struct target_break b[6] = {WATCH(ACCESS, DATA, 0x1000),
					    WATCHP(ACCESS, 0x30000, 0x2000),
					    WATCH(ACCESS, 0x30000, 0x2000),
					    WATCH(WRITE, INNER - 48, 48),
					    WATCHP(READ, IDT + X86_PF * 16 + 8, 1),
					    WATCH(READ, IDT + X86_GP * 16, 16)};
		struct vcpu *v = m->vcpu[0];

		gate(m, X86_GP, CODE + (u64)(t[n].end - t[n].code) - 1, 0);
		v->regs.gpr[RDI] = t[n].rdi;
		set_breaks(m, b, 6);
		ck_assert(go(m));
		ck_place(v, 0, 1);
		ck_hits(v, 2, &b[3], INNER - 48, true);
		ck_hits(v, 2, &b[4], b[4].addr, false);
		ck_assert(!go(m));
		machine_free(m);
	}
}
END_TEST

/* Iterations that were done are told, the one that failed isn't. */
START_TEST(a_rep_that_faults)
{
	struct machine *m = fault_machine(rep_fault, rep_fault_end);
	struct target_break b[6] = {WATCH(READ, DATA, 1),     WATCH(READ, DATA + 2, 1),  WATCH(READ, DATA + 3, 1),
				    WATCH(WRITE, 0x2ffff, 1), WATCH(ACCESS, 0x30000, 8), WATCH(WRITE, 0x2fffd, 3)};
	struct vcpu *v = m->vcpu[0];

	v->regs.gpr[RDI] = 0x2fffd;
	set_breaks(m, b, 6);
	ck_assert(go(m));
	ck_place(v, 0, 1);
	ck_hits(v, 4, &b[0], DATA, false);
	ck_hits(v, 4, &b[1], DATA + 2, false);
	ck_hits(v, 4, &b[3], 0x2ffff, true);
	ck_hits(v, 4, &b[5], 0x2fffd, true);
	ck_assert_uint_eq(v->regs.gpr[RCX], 2);
	ck_assert(!go(m));
	machine_free(m);
}
END_TEST

/* --- what isn't the instruction's own --- */

GUEST(walker, 64, "mov eax, [0x200000]; mov [0x200008], eax; mov eax, [0x201000]; hlt");

/* The update of an accessed or dirty flag is told, the walk's reads aren't; by where the entry is mapped, too. */
START_TEST(page_walk_updates)
{
	for (unsigned n = 0; n < 2; n++) {
		struct machine *m = rig64(walker, walker_end);
		struct target_break b[4] = {WATCHP(WRITE, PT + 0x1000, 8), WATCH(ACCESS, 0x3f0000 + 0x1000 - 0x1000, 1),
					    WATCHP(READ, PT, 0x2000), WATCHP(WRITE, PT + 0x1008, 4)};
		struct vcpu *v = m->vcpu[0];

		*pte(m, 0x3f0000) = (PT + 0x1000) | PTE_P;
		*pte(m, PT + 0x1000) = 0; /* only there */
		store64(ram(m, PD + 8), load64(ram(m, PD + 8)) | PTE_A);
		set_breaks(m, b, 4);
		ck_assert(go(m));
		ck_place(v, 1, 0); /* accessed */
		ck_hits(v, 2, &b[0], PT + 0x1000, true);
		ck_hits(v, 2, &b[1], 0x3f0000, true);
		ck_assert(go(m));
		ck_place(v, 2, 0); /* dirty */
		ck_hits(v, 2, &b[0], PT + 0x1000, true);
		ck_assert(go(m));
		ck_place(v, 3, 0);
		ck_hits(v, 1, &b[3], PT + 0x1008, true);
		ck_assert(!go(m));
		machine_free(m);
	}
}
END_TEST

GUEST(fetcher, 64, "nop; mov eax, 0x30000; jmp rax");

/* The fetch of an instruction updates its page's entry: told behind that instruction. */
START_TEST(fetch_updates)
{
	struct machine *m = rig64(fetcher, fetcher_end);
	struct target_break b[2] = {WATCHP(WRITE, PT + 0x30 * 8, 8), EXEC_AT(0x30001)};
	struct vcpu *v = m->vcpu[0];

	memcpy(ram(m, 0x30000), "\x90\x90\xf4", 3);
	set_breaks(m, b, 2);
	ck_assert(go(m));
	ck_place(v, 4, 0);
	ck_hits(v, 1, &b[0], PT + 0x30 * 8, true);
	ck_assert_uint_eq(v->regs.rip, 0x30001);
	machine_free(m);
}
END_TEST

/* A device writes between two instructions: told at the next place, once, with what the instruction does. */
START_TEST(device_writes)
{
	struct machine *m = rig64(stores, stores_end);
	struct target_break b[6] = {
	    WATCHP(WRITE, 0x3000ff, 2), WATCH(WRITE, 0x240100, 1), WATCHP(READ, 0x300000, 0x1000),
	    WATCH(WRITE, DATA, 1),      EXEC_AT(CODE + 11),        WATCH(ACCESS, 0x300100, ~0ull)};
	struct vcpu *v = m->vcpu[0];
	u8 data[64] = {0};

	*pte(m, 0x240000) = 0x300000 | PTE_P;
	*pte(m, 0x300000) = 0;
	set_breaks(m, b, 6);
	ck_assert_int_eq(machine_run(m, 2), 0);
	ck_assert_int_eq(memory_write(&m->mem, 0x300100, data, sizeof(data)), 0);
	ck_assert_int_eq(machine_run(m, 100), 0);
	ck_place(v, 3, 0);
	ck_hits(v, 3, &b[0], 0x300100, true);
	ck_hits(v, 3, &b[1], 0x240100, true);
	ck_hits(v, 3, &b[3], DATA, true);
	skip_here(v);
	ck_assert_int_eq(machine_run(m, 5), 0);
	ck_assert_uint_eq(v->probe.nr, 0);
	ck_assert_int_eq(memory_write(&m->mem, 0x3000f0, data, 0x10), 0);
	ck_assert_int_eq(machine_run(m, 100), 0);
	ck_place(v, 6, 0);
	ck_hits(v, 1, &b[0], 0x3000ff, true);
	skip_here(v);
	ck_assert_int_eq(memory_write(&m->mem, 0x300101, data, sizeof(data)), 0);
	ck_assert_uint_eq(v->probe.nr, 0);
	machine_free(m);
}
END_TEST

/* --- events --- */

GUEST(events, 64,
      "mov eax, 0x1000; mov cr3, rax; out 0x80, al; in ax, 0x70; mov edx, 0x71; mov esi, 0x20000; outsb\n"
      "mov ecx, 0xc0000102; xor edx, edx; wrmsr; rdmsr; mov ecx, 0x12345; rdmsr\n"
      "int 0x80; ud2; events_gp: add rsp, 8; events_skip: add qword ptr [rsp], 2; iretq; events_int: iretq\n");
extern const u8 events_gp[], events_skip[], events_int[];

START_TEST(events_by_number)
{
	struct machine *m = rig64(events, events_end);
	struct vcpu *v = m->vcpu[0];
	struct target_break b[] = {EVENT(CR3, TARGET_ANY),
				   EVENT(CR3, 0x1000),
				   EVENT(CR3, 0x2000),
				   EVENT(IO, 0x80),
				   EVENT(IO, 0x71),
				   EVENT(MSR, 0xc0000102),
				   EVENT(MSR, TARGET_ANY),
				   EVENT(EXCEPTION, X86_GP),
				   EVENT(EXCEPTION, 0x80),
				   EVENT(EXCEPTION, TARGET_ANY),
				   EVENT(INTERRUPT, TARGET_ANY),
				   EVENT(PANIC, TARGET_ANY)};
	static const struct {
		u64 insns;
		u32 deliveries;
		u32 hits; /* bits of @b */
	} want[] = {{2, 0, 0x3},   {3, 0, 0x8},    {4, 0, 0x10},   {7, 0, 0x10},  {10, 0, 0x60},
		    {11, 0, 0x60}, {12, 1, 0x280}, {16, 0, 0x300}, {17, 1, 0x200}};

	gate(m, X86_GP, CODE + (events_gp - events), 0);
	gate(m, X86_UD, CODE + (events_skip - events), 0);
	gate(m, 0x80, CODE + (events_int - events), 0);
	set_breaks(m, b, ARRAY_SIZE(b));
	for (unsigned n = 0; n < ARRAY_SIZE(want); n++) {
		u32 hits = 0;

		ck_assert(go(m));
		for (unsigned k = 0; k < v->probe.nr; k++)
			hits |= BIT(v->probe.hit[k].hit - b);
		ck_assert_uint_eq(hits, want[n].hits);
		ck_place(v, want[n].insns, want[n].deliveries);
	}
	machine_free(m);
}
END_TEST

GUEST(panics, 64, "mov edx, 0x505; mov al, 1; out dx, al; nop; hlt");

START_TEST(a_panic_is_told)
{
	struct machine *m = rig64(panics, panics_end);
	struct target_break b[2] = {EVENT(PANIC, TARGET_ANY), EVENT(IO, 0x505)};

	set_breaks(m, b, 2);
	ck_assert(go(m));
	ck_hits(m->vcpu[0], 2, &b[0], 0, false);
	ck_place(m->vcpu[0], 3, 0);
	ck_assert_int_eq(m->end, END_PANIC);
	machine_free(m);
}
END_TEST

/* --- outside of long mode --- */

GUEST(real, 16, "mov ax, 0x2000; mov ds, ax; mov [0x10], al; push ax; mov al, [0x11]; int 3; hlt; real_int: hlt");
extern const u8 real_int[];

START_TEST(real_mode)
{
	struct machine *m = rig16(real, real_end);
	struct target_break b[4] = {WATCH(WRITE, 0x20010, 1), WATCHP(READ, 0x20011, 1), WATCH(WRITE, STACK - 2, 2),
				    WATCH(READ, 12, 4)};
	struct vcpu *v = m->vcpu[0];
	static const u64 places[] = {3, 4, 5, 6};
	static const unsigned order[] = {0, 2, 1, 3};

	v->regs.seg[SEG_SS].base = 0;
	store32(ram(m, 12), (CODE >> 4) << 16 | (u32)(real_int - real));
	set_breaks(m, b, 4);
	for (unsigned n = 0; n < 4; n++) {
		ck_assert(go(m));
		ck_place(v, places[n], 0);
		ck_hits(v, 1, &b[order[n]], b[order[n]].addr, order[n] % 2 == 0);
	}
	ck_assert(!go(m));
	machine_free(m);
}
END_TEST

RIG_MAIN("watch", exact_bytes, wide_ranges, a_thousand_watchpoints, linear_and_physical, flags_come_and_go,
	 what_faults_tells_nothing, a_rep_that_faults, page_walk_updates, fetch_updates, device_writes,
	 events_by_number, a_panic_is_told, real_mode)
