/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GDT, TSS and IDT of the 32-bit kernels; traps end a try_call() or go to the hook. */
#include "tests/guest/lib/guest.h"

int trap_handle(struct frame *f);
extern char trap_stubs[];

struct gate {
	u16 offset0, selector;
	u8 reserved, type;
	u16 offset1;
};

static struct gate idt[256] __attribute__((aligned(16)));
u64 gdt[64] __attribute__((aligned(16)));
struct tss tss;
u8 stack_rsp0[4096] __attribute__((aligned(16))), stack_ist[3][4096] __attribute__((aligned(16)));

volatile struct trap trap;
unsigned trap_count;
u32 try_sp;
bool (*trap_hook)(struct frame *f);

void idt_set(unsigned vector, void *handler, u16 selector, unsigned type, unsigned dpl, unsigned ist)
{
	u32 at = (u32)handler;

	(void)ist;
	idt[vector] = (struct gate){at, selector, 0, 0x80 | dpl << 5 | type, at >> 16};
}

void idt_present(unsigned vector, bool present)
{
	idt[vector].type = (idt[vector].type & 0x7f) | present << 7;
}

void idt_dpl(unsigned vector, unsigned dpl)
{
	idt[vector].type = (idt[vector].type & ~0x60) | dpl << 5;
}

void idt_type(unsigned vector, unsigned type)
{
	idt[vector].type = (idt[vector].type & ~0xf) | type;
}

void traps_init(void)
{
	struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) gdtr = {sizeof(gdt) - 1, (u32)gdt}, idtr = {sizeof(idt) - 1, (u32)idt};
	u64 base = (u32)&tss;

	gdt[1] = 0x00cf9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	gdt[3] = 0x00cffb000000ffff;
	gdt[4] = 0x00cff3000000ffff;
	gdt[5] = 0x00cffb000000ffff;
	gdt[6] = 0x00cf9b000000ffff;
	gdt[7] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	tss.iomap = sizeof(tss);
	tss.ss0 = SEL_KDATA;
	tss.esp0 = (u32)stack_rsp0 + sizeof(stack_rsp0);
	for (int i = 0; i < 256; i++)
		idt_set(i, trap_stubs + 16 * i, SEL_KCODE, 0xe, 0, 0);
	asm volatile("lgdt %0; lidt %1; lldt %w3; ltr %w2; ljmp $8, $1f; 1:"
		     :
		     : "m"(gdtr), "m"(idtr), "r"(SEL_TSS), "r"(0));
	asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss; mov %1, %%fs; mov %1, %%gs" : : "r"(SEL_KDATA), "r"(0));
}

void traps_reset(void)
{
	trap = (struct trap){};
	trap_count = 0;
}

/* Nonzero: give up the interrupted code and end the try_call(). */
int trap_handle(struct frame *f)
{
	if (trap_hook && trap_hook(f))
		return 0;
	trap_count++;
	trap.count = trap_count;
	if (trap_count == 1) {
		trap.frame = *f;
		trap.cr2 = READ_CR(2);
		trap.dr6 = READ_DR(6);
		trap.handler_flags = read_flags();
		trap.handler_sp = (u32)f;
		asm volatile("mov %%cs, %w0" : "=r"(trap.handler_cs));
	}
	if (try_sp)
		return 1;
	put_string("not ok unexpected trap ");
	put_dec(f->vector);
	put_string(" error ");
	put_hex(f->error);
	put_string(" at ");
	put_hex(f->ip);
	put_string(" cr2 ");
	put_hex(READ_CR(2));
	put_char('\n');
	exit_with(EXIT_FAILED);
}

void claim_trap(const char *name, unsigned vector, long error, void (*fn)(void))
{
	unsigned n;

	traps_reset();
	n = try_call(fn);
	if (n == 1 && trap.frame.vector == vector && (error == -1 || trap.frame.error == (ulong)error)) {
		claim(name, true);
		return;
	}
	if (!n)
		put_string("# no trap\n");
	else {
		put_string("# vector ");
		put_dec(trap.frame.vector);
		put_string(" error ");
		put_hex(trap.frame.error);
		put_string(" cr2 ");
		put_hex(trap.cr2);
		put_char('\n');
	}
	claim(name, false);
}
