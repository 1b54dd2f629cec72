/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IDT, 8259A, 8254; and what is said when the kernel itself faults. */
#include "demo/kernel.h"

#define HZ 100

struct gate {
	u16 offset0, selector;
	u8 ist, type;
	u16 offset1;
	u32 offset2, reserved;
};

static struct gate idt[48] __attribute__((aligned(16)));
extern u8 trap_stubs[];
volatile u32 ticks;

void trap_init(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, (u64)idt};
	u16 count = 1193182 / HZ;

	for (int i = 0; i < 48; i++) {
		u64 at = (u64)trap_stubs + 16 * i;

		idt[i] = (struct gate){at, 8, 0, 0x8e, at >> 16, at >> 32, 0};
	}
	asm volatile("lidt %0" : : "m"(idtr));
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, 32);
	outb(0xa1, 40);
	outb(0x21, 4);
	outb(0xa1, 2);
	outb(0x21, 1);
	outb(0xa1, 1);
	outb(0x21, 0xfe);
	outb(0xa1, 0xff);
	outb(0x43, 0x34);
	outb(0x40, count & 0xff);
	outb(0x40, count >> 8);
}

static void backtrace(u64 rip, const u64 *frame)
{
	print("Call trace:\n  %x\n", rip);
	for (int i = 0; frame && i < 16; i++) {
		if (frame[1])
			print("  %x\n", frame[1]);
		frame = (const u64 *)frame[0];
	}
}

static void panic(const struct regs *r)
{
	static const char *const names[20] = {[0] = "divide error", [6] = "invalid opcode",      [8] = "double fault",
					      [12] = "stack fault", [13] = "general protection", [14] = "page fault"};
	const char *name = r->vector < 20 && names[r->vector] ? names[r->vector] : "exception";
	u64 cr2;

	asm volatile("mov %%cr2, %0" : "=r"(cr2));
	print("\nOops: %s, error %x, at tick %u\n", name, r->error, (u64)ticks);
	print("RIP %x CS %x RFLAGS %x\n", r->rip, r->cs, r->rflags);
	print("RAX %x RBX %x RCX %x\n", r->rax, r->rbx, r->rcx);
	print("RDX %x RSI %x RDI %x\n", r->rdx, r->rsi, r->rdi);
	print("RBP %x RSP %x CR2 %x\n", r->rbp, r->rsp, cr2);
	print("R8  %x R9  %x R10 %x\n", r->r8, r->r9, r->r10);
	print("R11 %x R12 %x R13 %x\n", r->r11, r->r12, r->r13);
	print("R14 %x R15 %x\n", r->r14, r->r15);
	backtrace(r->rip, (const u64 *)r->rbp);
	print("Kernel panic - not syncing: %s\n", name);
	outb(0x505, 1); /* pvpanic */
	outl(0xf4, 1);  /* isa-debug-exit, where there is no pvpanic */
	for (;;)
		asm volatile("cli; hlt");
}

void trap(struct regs *regs)
{
	if (regs->vector != 32)
		panic(regs);
	ticks++;
	outb(0x20, 0x20);
}
