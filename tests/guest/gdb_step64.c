/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a debugger steps across, each under a name of its own: interrupts, HLT, faults, REP, rings, rewritten code. */
#include "tests/guest/lib/guest.h"

#define LAZY 0x5000000000ull /* one page, mapped by the page fault's handler */
#define FAR  0x5000002000ull /* two pages, the second mapped by the handler */

volatile u64 ticks, faults, syscalls;
u8 source[8192] __attribute__((aligned(4096)));

void step_interrupt(void);
void step_halt(void);
void step_fault(u64 addr);
void step_rep(void *to, const void *from, u64 n);
void step_rewrite(void);
extern const u8 step_user[], step_user_end[];

asm("	.pushsection .text\n"
    /* Until a tick has come. */
    "	.globl step_interrupt\n"
    "step_interrupt:\n"
    "	mov ticks, %rax\n"
    "	sti\n"
    "1:	inc %rdx\n"
    "	cmp ticks, %rax\n"
    "	je 1b\n"
    "	cli\n"
    "	ret\n"
    "	.globl step_halt, halt_at\n"
    "step_halt:\n"
    "	sti\n"
    "halt_at:\n"
    "	hlt\n"
    "	inc %rdx\n"
    "	cli\n"
    "	ret\n"
    "	.globl step_fault, fault_at, fault_done\n"
    "step_fault:\n"
    "	mov $0x1122334455667788, %rax\n"
    "fault_at:\n"
    "	mov %rax, 8(%rdi)\n"
    "fault_done:\n"
    "	add 8(%rdi), %rax\n"
    "	ret\n"
    "	.globl step_rep, rep_at, rep_done\n"
    "step_rep:\n"
    "	mov %rdx, %rcx\n"
    "rep_at:\n"
    "	rep movsb\n"
    "rep_done:\n"
    "	lea (%rdi,%rsi), %rax\n"
    "	ret\n"
    /* DEC becomes INC by the store just before it. */
    "	.globl step_rewrite, rewrite_at, rewritten\n"
    "step_rewrite:\n"
    "	mov $7, %eax\n"
    "rewrite_at:\n"
    "	movb $0xc0, rewritten+1(%rip)\n"
    "rewritten:\n"
    "	.byte 0xff, 0xc8\n"
    "	movb $0xc8, rewritten+1(%rip)\n"
    "	ret\n"
    /* Ring 3: through INT 80h and back, then a breakpoint that ends it. */
    "	.globl step_user, step_user_end\n"
    "step_user:\n"
    "	mov $5, %eax\n"
    "	int $0x80\n"
    "	inc %eax\n"
    "	push %rax\n"
    "	int3\n"
    "step_user_end:\n"
    "	.popsection\n");

static bool hook(struct frame *f)
{
	switch (f->vector) {
	case VEC_PF:
		*pte_of(READ_CR(2), 1) = page_alloc() | PTE_P | PTE_W;
		faults++;
		return true;
	case 0x20:
		ticks++;
		outb(0x20, 0x20);
		return true;
	case 0x80:
		syscalls += f->ax;
		f->ax = 77;
		return true;
	}
	return false;
}

/* A tick each @count * 838 instructions. */
static void timer_on(u16 count)
{
	static const u8 icw[] = {0x11, 0x20, 4, 1};

	for (unsigned i = 0; i < sizeof(icw); i++)
		outb(i ? 0x21 : 0x20, icw[i]);
	outb(0x21, 0xfe);
	outb(0x43, 0x34);
	outb(0x40, count);
	outb(0x40, count >> 8);
}

/* Ten thousand instructions with interrupts among them. */
void long_run(void)
{
	u64 sum = 0, before = ticks;

	asm volatile("sti");
	for (u64 i = 0; i < 2000; i++) {
		sum = sum * 3 + i;
		source[i] = sum;
	}
	asm volatile("cli");
	claim("the long run was interrupted", ticks - before > 5);
}

void kmain(void)
{
	trap_hook = hook;
	idt_dpl(0x80, 3);
	for (unsigned i = 0; i < sizeof(source); i++)
		source[i] = i * 7;
	timer_on(2);
	step_interrupt();
	step_halt();
	outb(0x21, 0xff);
	step_fault(LAZY);
	*pte_of(FAR, 1) = page_alloc() | PTE_P | PTE_W;
	step_rep((void *)(FAR + 4096 - 64), source, 128);
	step_rewrite();
	run_user(step_user, step_user_end - step_user, SEL_UCODE, 0, 2);
	claim("all was met", ticks >= 2 && faults == 2 && syscalls == 5);
	timer_on(2);
	long_run();
	finish();
}
