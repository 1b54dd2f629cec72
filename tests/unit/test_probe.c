/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the soft engine tells a debugger: breakpoints, watchpoints and events, each at its place (vmm/probe.h). */
#include <check.h>
#include <errno.h>

#include "probe_rig.h"
#include "rig.h"

#define AT(base, label) (CODE + (u64)((label) - (base)))

static void ck_hit(const struct vcpu *v, const struct target_break *b, u64 addr, bool write)
{
	for (unsigned n = 0; n < v->probe.nr; n++)
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

/* --- execution breakpoints --- */

#define LOOP_TEXT "mov cx, 300; 1: inc ax; add bx, ax; nop; 2: xor dx, bx; loop 1b; hlt"
GUEST(loop16, 16, LOOP_TEXT);
GUEST(loop32, 32, "mov ecx, 300; 1: inc eax; add ebx, eax; nop; 2: xor edx, ebx; loop 1b; hlt");
GUEST(loop64, 64, "mov ecx, 300; 1: inc eax; add ebx, eax; nop; 2: xor edx, ebx; loop 1b; hlt");

static struct machine *loop_machine(unsigned bits)
{
	return bits == 16   ? rig16(loop16, loop16_end)
	       : bits == 32 ? rig32(loop32, loop32_end, 0x1000)
			    : rig64(loop64, loop64_end);
}

/* Offsets of the XOR. */
static u64 xor_at(unsigned bits)
{
	return CODE + (bits == 16 ? 7 : bits == 32 ? 9 : 10);
}

/* In the middle of a block, whether it was decoded before or not, by either address. */
START_TEST(breaks_in_every_mode)
{
	for (unsigned n = 0; n < 3 * 2 * 2; n++) {
		unsigned bits = 16u << n % 3;
		bool hot = n / 3 & 1;
		struct machine *m = loop_machine(bits), *plain = loop_machine(bits);
		struct target_break b = EXEC_AT(xor_at(bits));
		struct vcpu *v = m->vcpu[0];
		unsigned count = 0;

		b.space = n / 6 ? TARGET_PHYSICAL : TARGET_LINEAR;
		if (hot)
			ck_assert_int_eq(machine_run(m, 500), 0);
		set_breaks(m, &b, 1);
		while (go(m)) {
			ck_assert_uint_eq(v->probe.nr, 1);
			ck_hit(v, &b, xor_at(bits), false);
			ck_assert_uint_eq((v->insns - 4) % 5, 0);
			ck_place(v, v->insns, 0);
			ck_assert_uint_eq((v->regs.rip + v->regs.seg[SEG_CS].base * (bits != 64)), xor_at(bits));
			count++;
		}
		ck_assert_uint_eq(count, hot ? 200 : 300);
		ck_assert_int_eq(m->end, END_HALTED);
		ck_assert_int_eq(machine_run(plain, ~0ull), 0);
		ck_assert(!memcmp(plain->vcpu[0]->regs.gpr, v->regs.gpr, sizeof(v->regs.gpr)));
		machine_free(m);
		machine_free(plain);
	}
}
END_TEST

START_TEST(break_at_the_beginning)
{
	struct machine *m = loop_machine(64);
	struct target_break b = EXEC_AT(CODE);

	set_breaks(m, &b, 1);
	ck_assert_int_eq(machine_run(m, 10), 0);
	ck_place(m->vcpu[0], 0, 0);
	ck_hit(m->vcpu[0], &b, CODE, false);
	ck_assert(!go(m));
	machine_free(m);
}
END_TEST

/* Set, removed and set again while the block is hot. */
START_TEST(breaks_come_and_go)
{
	struct machine *m = loop_machine(64);
	struct target_break b[2] = {EXEC_AT(xor_at(64)), EXEC_AT(CODE + 5)};
	struct vcpu *v = m->vcpu[0];

	set_breaks(m, b, 2);
	ck_assert(go(m));
	ck_hit(v, &b[1], CODE + 5, false);
	ck_place(v, 1, 0);
	set_breaks(m, b, 1);
	ck_assert(go(m));
	ck_place(v, 4, 0);
	set_breaks(m, b, 0);
	ck_assert_int_eq(machine_run(m, 600), 0);
	ck_assert_uint_eq(v->insns, 600);
	set_breaks(m, &b[1], 1);
	ck_assert(go(m));
	ck_place(v, 601, 0);
	/* the same place again, unless it is skipped */
	v->probe.nr = 0;
	v->probe.skip_insns = 0;
	ck_assert_int_eq(machine_run(m, 1000), 0);
	ck_place(v, 601, 0);
	ck_assert_uint_eq(v->probe.nr, 1);
	machine_free(m);
}
END_TEST

GUEST(nops, 64, ".rept 1500; nop; .endr; hlt");

START_TEST(a_thousand_breaks)
{
	struct machine *m = rig64(nops, nops_end);
	struct target_break b[1000];
	struct vcpu *v = m->vcpu[0];
	unsigned count = 0;

	for (unsigned n = 0; n < 1000; n++)
		b[n] = (struct target_break){.kind = TARGET_BREAK_EXEC,
					     .space = (enum target_space)(n & 1),
					     .addr = CODE + (n * 7919 % 1000) + n % 3 / 2 * 400,
					     .len = 1};
	set_breaks(m, b, 1000);
	while (go(m)) {
		unsigned want = 0;

		for (unsigned n = 0; n < 1000; n++)
			want += b[n].addr == v->regs.rip;
		ck_assert_uint_gt(want, 0);
		ck_assert_uint_eq(v->probe.nr, want);
		count += v->probe.nr;
	}
	ck_assert_uint_eq(count, 999); /* the first stands where the run begins */
	machine_free(m);
}
END_TEST

/* Paging is turned on under a physical breakpoint; the address runs at another linear one. */
GUEST(paged, 32,
      "mov eax, 0x1000; mov cr3, eax; mov eax, 0x20; mov cr4, eax; mov ecx, 0xc0000080; rdmsr; or eax, 0x100; wrmsr\n"
      "mov eax, cr0; or eax, 0x80000000; mov cr0, eax; .byte 0xea; .long paged64 - paged + 0x10000; .short 8\n"
      "paged64: .code64; .byte 0x48, 0xb8; .quad paged_far - paged + 0x8000010000; jmp rax; paged_far: nop; hlt; "
      ".code32");
extern const u8 paged64[], paged_far[];

START_TEST(physical_break_before_paging)
{
	struct machine *m = rig32(paged, paged_end, 0);
	struct target_break b[2] = {EXEC_PHYS(AT(paged, paged_far)), EXEC_AT(AT(paged, paged_far))};
	struct vcpu *v = m->vcpu[0];

	store64(ram(m, PML4 + 8), PDPT | PTE_P | PTE_W);
	set_breaks(m, b, 2);
	ck_assert(go(m));
	ck_assert_uint_eq(v->probe.nr, 1);
	ck_hit(v, &b[0], AT(paged, paged_far), false);
	ck_assert_uint_eq(v->regs.rip, 0x8000000000 + AT(paged, paged_far));
	ck_assert(!go(m));
	ck_assert_int_eq(m->end, END_HALTED);
	machine_free(m);
}
END_TEST

/* The instruction at the breakpoint is written, twice; the second time in place of the first. */
GUEST(smc, 64,
      "mov ecx, 2; 1: lea rdi, [rip + smc_here]; mov byte ptr [rdi], 0x48; mov word ptr [rdi + 1], 0xc0ff\n"
      "cmp ecx, 1; jne 2f; mov byte ptr [rdi + 2], 0xc3; 2: nop; smc_here: nop; nop; nop; loop 1b; hlt");
extern const u8 smc_here[];

START_TEST(break_on_written_code)
{
	struct machine *m = rig64(smc, smc_end);
	struct target_break b[3] = {EXEC_AT(AT(smc, smc_here)), EXEC_AT(AT(smc, smc_here) + 1),
				    EXEC_AT(AT(smc, smc_here) - 1)};

	set_breaks(m, b, 3);
	for (unsigned n = 0; n < 2; n++) {
		ck_assert(go(m));
		ck_hit(m->vcpu[0], &b[2], b[2].addr, false);
		ck_assert(go(m));
		ck_hit(m->vcpu[0], &b[0], b[0].addr, false);
		ck_assert_uint_eq(m->vcpu[0]->regs.rip, b[0].addr);
	}
	ck_assert(!go(m));
	ck_assert_uint_eq(m->vcpu[0]->regs.gpr[RAX], 1);
	ck_assert_uint_eq(m->vcpu[0]->regs.gpr[RBX], 1);
	machine_free(m);
}
END_TEST

/* A fault in the instruction, at its second page, and at its first. */
GUEST(faulty, 64,
      "nop; mov eax, [0x300000]; mov eax, 0x11ffe; jmp rax\n"
      "faulty_pf: add rsp, 8; mov rax, cr2; shr rax, 12; shl rax, 3; or byte ptr [rax + 0x4000], 7; iretq\n"
      ".org faulty + 0x1ffe; .byte 0x48, 0x31, 0xdb\n" /* xor rbx, rbx */
      "mov eax, 0x13000; jmp rax; .org faulty + 0x3000; nop; hlt");
extern const u8 faulty_pf[];

START_TEST(breaks_and_page_faults)
{
	struct machine *m = rig64(faulty, faulty_end);
	struct target_break b[4] = {EXEC_AT(CODE + 1), EXEC_AT(0x11ffe), EXEC_AT(0x13000),
				    EXEC_AT(AT(faulty, faulty_pf))};
	struct vcpu *v = m->vcpu[0];
	static const struct {
		u64 insns;
		u32 deliveries;
		unsigned hit;
	} want[] = {{1, 0, 0}, {1, 1, 3}, {7, 0, 0}, {10, 0, 1}, {10, 1, 3}, {16, 0, 1}, {19, 1, 3}, {25, 0, 2}};

	gate(m, X86_PF, AT(faulty, faulty_pf), 0);
	*pte(m, 0x300000) &= ~PTE_P;
	*pte(m, 0x12000) &= ~PTE_P;
	*pte(m, 0x13000) &= ~PTE_P;
	set_breaks(m, b, 4);
	for (unsigned n = 0; n < ARRAY_SIZE(want); n++) {
		ck_assert(go(m));
		ck_assert_uint_eq(v->probe.nr, 1);
		ck_assert_ptr_eq(v->probe.hit[0].hit, &b[want[n].hit]);
		ck_place(v, want[n].insns, want[n].deliveries);
	}
	ck_assert(!go(m));
	ck_assert_int_eq(m->end, END_HALTED);
	machine_free(m);
}
END_TEST

/* Stopping before an instruction leaves no trace of its fetch: no accessed flags. */
START_TEST(a_break_fetches_nothing)
{
	struct machine *m = rig64(faulty, faulty_end);
	struct target_break b[2] = {EXEC_AT(0x13000), EXEC_PHYS(0x13000)};

	gate(m, X86_PF, AT(faulty, faulty_pf), 0);
	set_breaks(m, b, 2);
	ck_assert(go(m));
	ck_assert_uint_eq(m->vcpu[0]->probe.nr, 2);
	ck_assert_uint_eq(*pte(m, 0x13000) & PTE_A, 0);
	ck_assert_int_eq(machine_run(m, ~0ull), 0);
	ck_assert_uint_eq(m->vcpu[0]->regs.rip, 0x13000);
	machine_free(m);
}
END_TEST

/* The guest's own instruction breakpoint comes after the debugger's, its trap before. */
GUEST(own, 64, "mov eax, 0x1000c; mov dr0, rax; mov eax, 0x401; mov dr7, rax; nop; hlt; own_db: iretq");
extern const u8 own_db[];

START_TEST(order_with_the_guests_own)
{
	struct machine *m = rig64(own, own_end);
	struct vcpu *v = m->vcpu[0];
	u64 nop = AT(own, own_db) - 2;
	struct target_break b[2] = {EXEC_AT(nop), EXEC_AT(AT(own, own_db))};

	store32(ram(m, CODE + 1), (u32)nop);
	gate(m, X86_DB, AT(own, own_db), 0);
	set_breaks(m, b, 2);
	ck_assert(go(m));
	ck_place(v, 4, 0);
	ck_hit(v, &b[0], nop, false);
	ck_assert_uint_eq(v->regs.dr6 & 1, 0);
	ck_assert(go(m));
	ck_place(v, 4, 1);
	ck_hit(v, &b[1], b[1].addr, false);
	ck_assert_uint_eq(v->regs.dr6 & 1, 1);
	machine_free(m);
}
END_TEST

/* What is due at a position is injected before its breakpoint is told. */
GUEST(
    timed, 64,
    "mov al, 0x11; out 0x20, al; mov al, 0x20; out 0x21, al; mov al, 4; out 0x21, al; mov al, 1; out 0x21, al\n"
    "mov al, 0xfe; out 0x21, al; mov al, 0x34; out 0x43, al; mov al, 2; out 0x40, al; xor eax, eax; out 0x40, al; sti\n"
    "1: cmp ebx, 5; jne 1b; hlt; cli; hlt\n"
    "timed_irq: inc ebx; mov al, 0x20; out 0x20, al; iretq");
extern const u8 timed_irq[];

START_TEST(interrupts_come_before_breaks)
{
	struct machine *m = rig64(timed, timed_end);
	struct vcpu *v = m->vcpu[0];
	struct target_break b[5] = {EXEC_AT(AT(timed, timed_irq) - 8),
				    EXEC_AT(AT(timed, timed_irq) - 5), /* cmp; jne; hlt; cli; hlt */
				    EXEC_AT(AT(timed, timed_irq)), EVENT(INTERRUPT, 0x20), EVENT(INTERRUPT, 0x21)};
	unsigned entries = 0, events = 0;
	u64 last = 0;

	ck_assert_uint_eq(*ram(m, b[0].addr), 0x83);
	ck_assert_uint_eq(*ram(m, b[1].addr), 0x75);
	gate(m, 0x20, AT(timed, timed_irq), 0);
	set_breaks(m, b, 5);
	while (go(m)) {
		if (v->regs.rip == b[2].addr) {
			/* the event is told at once, with the breakpoint of the handler's first instruction after it */
			ck_assert_uint_eq(vcpu_deliveries(v), 1);
			if (v->probe.hit[0].hit == &b[3]) {
				ck_assert_uint_eq(v->probe.nr, 1);
				ck_assert_uint_eq(v->probe.hit[0].addr, 0x20);
				events++;
				v->probe.nr = 0;
				v->probe.skip_insns = 0;
				ck_assert_int_eq(machine_run(m, v->insns + 1), 0);
				ck_assert_uint_eq(v->probe.nr, 1);
				ck_hit(v, &b[2], b[2].addr, false);
				entries++;
			}
		} else {
			ck_assert_uint_eq(vcpu_deliveries(v), 0);
			ck_assert_uint_gt(v->insns, last);
			last = v->insns;
		}
	}
	ck_assert_int_eq(m->end, END_HALTED);
	ck_assert_uint_eq(events, 6); /* the last ends the HLT */
	ck_assert_uint_eq(entries, 6);
	machine_free(m);
}
END_TEST

/* The same bytes at the same offset in CS, with another base: another linear address. */
START_TEST(breaks_by_linear_address_with_segments)
{
	struct machine *m = rig64(loop32, loop32_end);
	struct target_break b = EXEC_AT(0x300000 + xor_at(32));
	struct vcpu *v = m->vcpu[0];
	struct x86_state start;

	*pte(m, 0x300000 + CODE) = *pte(m, CODE);
	v->regs.seg[SEG_CS].ar = AR_P | AR_S | AR_CODE | AR_RW | AR_ACCESSED | AR_G | AR_DB;
	start = v->regs;
	set_breaks(m, &b, 1);
	for (unsigned n = 0; n < 4; n++) {
		v->regs = start;
		v->regs.seg[SEG_CS].base = n & 1 ? 0x300000 : 0;
		m->end = END_NONE;
		soft_engine.regs_changed(v);
		ck_assert_uint_eq(hits_of(m, &b), n & 1 ? 300 : 0);
	}
	machine_free(m);
}
END_TEST

RIG_MAIN("probe", break_at_the_beginning, breaks_in_every_mode, breaks_by_linear_address_with_segments,
	 breaks_come_and_go, a_thousand_breaks, physical_break_before_paging, break_on_written_code,
	 breaks_and_page_faults, a_break_fetches_nothing, order_with_the_guests_own, interrupts_come_before_breaks)
