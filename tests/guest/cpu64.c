/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exceptions with their error codes, debug registers, gates, privilege changes (SDM 3A chapters 5-7, 3B chapter 18). */
#include "tests/guest/lib/guest.h"

static void faults(void)
{
	EXPECT("div by 0: #DE", VEC_DE, 0, "xor %%ecx, %%ecx; div %%ecx" : : : "rcx", "rax", "rdx");
	EXPECT("div overflow: #DE", VEC_DE, 0, "mov $2, %%edx; mov $1, %%ecx; div %%ecx" : : : "rcx", "rax", "rdx");
	EXPECT("idiv min by -1: #DE", VEC_DE, 0, "mov $0x8000000000000000, %%rax; cqo; mov $-1, %%rcx; idiv %%rcx"
	       :
	       :
	       : "rcx", "rax", "rdx");
	EXPECT("idiv8 overflow: #DE", VEC_DE, 0, "mov $0x100, %%eax; mov $2, %%cl; idivb %%cl" : : : "rcx", "rax");
	EXPECT("ud2: #UD", VEC_UD, 0, "ud2");
	EXPECT("push es in 64-bit mode: #UD", VEC_UD, 0, ".byte 0x06");
	EXPECT("daa in 64-bit mode: #UD", VEC_UD, 0, ".byte 0x27");
	EXPECT("pusha in 64-bit mode: #UD", VEC_UD, 0, ".byte 0x60");
	EXPECT("into in 64-bit mode: #UD", VEC_UD, 0, ".byte 0xce");
	EXPECT("far call ptr16:32 in 64-bit mode: #UD", VEC_UD, 0, ".byte 0x9a, 0, 0, 0, 0, 8, 0");
	EXPECT("lock mov: #UD", VEC_UD, 0, ".byte 0xf0, 0x89, 0x00" : : "a"(gdt));
	EXPECT("lock add to a register: #UD", VEC_UD, 0, ".byte 0xf0, 0x01, 0xc0" : : : "rax");
	EXPECT("mov to CR1: #UD", VEC_UD, 0, ".byte 0x0f, 0x22, 0xc8" : : : "rax");
	EXPECT("mov to CS: #UD", VEC_UD, 0, ".byte 0x8e, 0xc8" : : : "rax");
	EXPECT("lea of a register: #UD", VEC_UD, 0, ".byte 0x8d, 0xc0" : : : "rax");
	EXPECT("16 bytes of prefixes: #GP(0)", VEC_GP, 0, ".fill 15, 1, 0x66; nop");
	EXPECT("int3: #BP", VEC_BP, 0, "int3");
	claim("RIP after int3", ((u8 *)trap.frame.ip)[-1] == 0xcc);
	EXPECT("int $3: vector 3", VEC_BP, 0, ".byte 0xcd, 3");
	EXPECT("int $0x81", 0x81, 0, "int $0x81");
	EXPECT("ud2 leaves RIP at itself", VEC_UD, 0, "ud2");
	claim("RIP of a fault", *(u16 *)trap.frame.ip == 0x0b0f);
	EXPECT("load from a non-canonical address: #GP(0)", VEC_GP, 0, "mov (%0), %%rax"
	       :
	       : "r"(0x800000000000ull)
	       : "rax");
	EXPECT("store to a non-canonical address: #GP(0)", VEC_GP, 0, "mov %0, (%0)" : : "r"(0xffff7fffffffffffull));
	EXPECT("non-canonical address through RBP: #SS(0)", VEC_SS, 0,
	       "push %%rbp; mov %0, %%rbp; mov (%%rbp), %%rax; pop %%rbp"
	       :
	       : "r"(0x900000000000ull)
	       : "rax");
	EXPECT("push with non-canonical RSP: #SS(0)", VEC_SS, 0, "mov %0, %%rsp; push %%rax"
	       :
	       : "r"(0x800000000008ull));
	EXPECT("access across the canonical boundary: #GP(0)", VEC_GP, 0, "mov (%0), %%rax"
	       :
	       : "r"(0x7ffffffffffcull)
	       : "rax");
	EXPECT("jump to a non-canonical address: #GP(0)", VEC_GP, 0, "jmp *%0" : : "r"(0x800000000000ull));
	EXPECT("ret to a non-canonical address: #GP(0)", VEC_GP, 0, "push %0; ret" : : "r"(0x800000000000ull));
	if (under_tcg()) {
		skip("reserved bits of control registers and MSRs", "QEMU TCG does not check");
		return;
	}
	EXPECT("rdmsr of no MSR: #GP(0)", VEC_GP, 0, "rdmsr" : : "c"(0x12345) : "rax", "rdx");
	EXPECT("wrmsr EFER reserved bit: #GP(0)", VEC_GP, 0, "wrmsr" : : "c"(0xc0000080), "a"(0xd03), "d"(0x80000000));
	EXPECT("wrmsr LSTAR non-canonical: #GP(0)", VEC_GP, 0, "wrmsr" : : "c"(0xc0000082), "a"(0), "d"(0x8000));
	EXPECT("mov CR0 with PG and not PE: #GP(0)", VEC_GP, 0, "mov %0, %%cr0" : : "r"(0x80000010ull));
	EXPECT("mov CR0 with NW and not CD: #GP(0)", VEC_GP, 0, "mov %0, %%cr0" : : "r"(READ_CR(0) | BIT(29)));
	EXPECT("mov CR0 with an upper bit: #GP(0)", VEC_GP, 0, "mov %0, %%cr0" : : "r"(READ_CR(0) | BIT(40)));
	EXPECT("mov CR4 clearing PAE: #GP(0)", VEC_GP, 0, "mov %0, %%cr4" : : "r"(READ_CR(4) & ~BIT(5)));
	EXPECT("mov CR4 reserved bit: #GP(0)", VEC_GP, 0, "mov %0, %%cr4" : : "r"(READ_CR(4) | BIT(30)));
	EXPECT("wrmsr EFER changing LME under paging: #GP(0)", VEC_GP, 0, "wrmsr"
	       :
	       : "c"(0xc0000080), "a"(0x801), "d"(0));
}

static void segments(void)
{
	gdt[9] = 0x00cf13000000ffff;                 /* 48h: data, not present */
	gdt[10] = 0x00cff3000000ffff;                /* 50h: data, DPL 3 */
	gdt[11] = 0x00cf9b000000ffff;                /* 58h: code32 */
	gdt[12] = 0x00cf91000000ffff;                /* 60h: data, read only */
	gdt[13] = 0x00af1b000000ffff;                /* 68h: code64, not present */
	gdt[14] = 0x00cf99000000ffff;                /* 70h: code, execute only */
	gdt[16] = gdt[7] & ~(2ull << 40) & ~BIT(47); /* 80h: TSS, not present */
	gdt[17] = gdt[8];

	EXPECT("mov ds, not present: #NP(sel)", VEC_NP, 0x48, "mov %0, %%ds" : : "r"(0x48));
	EXPECT("mov ss, not present: #SS(sel)", VEC_SS, 0x48, "mov %0, %%ss" : : "r"(0x48));
	EXPECT("mov ss, wrong DPL: #GP(sel)", VEC_GP, 0x50, "mov %0, %%ss" : : "r"(0x50));
	EXPECT("mov ss, wrong RPL: #GP(sel)", VEC_GP, 0x10, "mov %0, %%ss" : : "r"(0x13));
	EXPECT("mov ss, read only: #GP(sel)", VEC_GP, 0x60, "mov %0, %%ss" : : "r"(0x60));
	EXPECT_NONE("mov ss, null, in ring 0 of 64-bit mode", "mov %0, %%ss; mov %1, %%ss" : : "r"(0), "r"(0x10));
	EXPECT("mov ds, beyond the limit: #GP(sel)", VEC_GP, 0x1000, "mov %0, %%ds" : : "r"(0x1003));
	EXPECT("mov ds, execute-only code: #GP(sel)", VEC_GP, 0x70, "mov %0, %%ds" : : "r"(0x70));
	EXPECT("mov ds, TSS: #GP(sel)", VEC_GP, 0x38, "mov %0, %%ds" : : "r"(0x38));
	EXPECT("mov ds, LDT bit with no LDT: #GP(sel)", VEC_GP, 0x14, "mov %0, %%ds" : : "r"(0x17));
	EXPECT("far return to data: #GP(sel)", VEC_GP, 0x10, "pushq $0x10; push $0; lretq");
	EXPECT("far return to null: #GP(0)", VEC_GP, 0, "pushq $0; push $0; lretq");
	EXPECT("far return, not present: #NP(sel)", VEC_NP, 0x68, "pushq $0x68; push $0; lretq");
	EXPECT("far return to more privilege: #GP(sel)", VEC_GP, 0x28, "pushq $0x28; push $0; lretq");
	EXPECT("ltr of a busy TSS: #GP(sel)", VEC_GP, 0x38, "ltr %w0" : : "r"(0x38));
	EXPECT("ltr, not present: #NP(sel)", VEC_NP, 0x80, "ltr %w0" : : "r"(0x80));
	if (!under_tcg())
		EXPECT("ltr of null: #GP(0)", VEC_GP, 0, "ltr %w0" : : "r"(0));
	EXPECT("lldt of a code segment: #GP(sel)", VEC_GP, 0x58, "lldt %w0" : : "r"(0x58));
	EXPECT_NONE("lldt of null", "lldt %w0" : : "r"(0));
	EXPECT("iretq with NT set: #GP(0)", VEC_GP, 0, "pushq $0x4002; popfq; iretq");
	EXPECT("iretq to a null CS: #GP(0)", VEC_GP, 0, "push $0x10; push $0; push $2; push $0; push $0; iretq");

	u64 f, v;
	asm volatile("lar %k2, %k1; pushfq; pop %0" : "=r"(f), "=&r"(v) : "r"(0x10) : "cc");
	claim_eq("lar of data", f & FLAG_ZF ? v & 0xf0ff00 : 0, 0xc09300);
	asm volatile("lsl %k2, %k1; pushfq; pop %0" : "=r"(f), "=&r"(v) : "r"(0x10) : "cc");
	claim("lsl with granularity", (f & FLAG_ZF) && v == 0xffffffff);
	asm volatile("lar %k1, %k1; pushfq; pop %0" : "=r"(f) : "r"(0x1000) : "cc");
	claim("lar beyond the limit: ZF clear", !(f & FLAG_ZF));
	asm volatile("verw %w1; pushfq; pop %0" : "=r"(f) : "r"(0x60) : "cc");
	claim("verw of read-only data: ZF clear", !(f & FLAG_ZF));
	asm volatile("verr %w1; pushfq; pop %0" : "=r"(f) : "r"(0x60) : "cc");
	claim("verr of read-only data: ZF set", f & FLAG_ZF);
	asm volatile("str %w0" : "=r"(v) : "0"(0ull));
	claim_eq("str", v & 0xffff, SEL_TSS);
	claim_eq("ltr made the TSS busy", gdt[7] >> 40 & 0xf, 0xb);
	gdt[10] &= ~BIT(40);
	asm volatile("mov %0, %%ds" : : "r"(0x53) : "memory");
	claim_eq("loading a segment sets its accessed bit", gdt[10] >> 40 & 1, 1);
	asm volatile("mov %0, %%ds" : : "r"(0x10));

	/* A far call through a 64-bit call gate at 90h, same privilege. */
	u64 target;
	asm volatile("lea 1f(%%rip), %0; jmp 2f; 1: mov $0x1234, %%eax; lretq; 2:" : "=r"(target));
	gdt[18] = (target & 0xffff) | 0x8ull << 16 | 0x8cull << 40 | (target >> 16 & 0xffff) << 48;
	gdt[19] = target >> 32;
	static struct {
		u32 offset;
		u16 selector;
	} __attribute__((packed)) far = {0, 0x90};
	asm volatile("lcall *%1" : "=a"(v) : "m"(far) : "memory");
	claim_eq("64-bit call gate", v, 0x1234);
	gdt[18] &= ~BIT(47);
	EXPECT("call gate not present: #NP(sel)", VEC_NP, 0x90, "lcall *%0" : : "m"(far) : "rax");
}

static u64 log_ip[16], log_dr6[16], log_flags[16];
static unsigned logged;

/* Traps of #DB and #BP are noted and the code goes on; an execution breakpoint steps over itself with RF. */
static bool debug_hook(struct frame *f)
{
	if (f->vector != VEC_DB && f->vector != VEC_BP)
		return false;
	if (logged < ARRAY_SIZE(log_ip)) {
		log_ip[logged] = f->ip;
		log_flags[logged] = f->flags;
		log_dr6[logged++] = READ_DR(6);
	}
	WRITE_DR(6, 0xffff0ff0);
	trap.handler_flags = read_flags();
	f->flags |= FLAG_RF;
	if (logged >= 12)
		f->flags &= ~FLAG_TF;
	return true;
}

static void debug(void)
{
	static volatile u64 cell[4] __attribute__((aligned(32)));
	u64 a, b, c, d, e;

	trap_hook = debug_hook;
	logged = 0;
	asm volatile(
	    "lea 1f(%%rip), %0; lea 2f(%%rip), %1; lea 3f(%%rip), %2; lea 4f(%%rip), %3;"
	    "pushfq; orl $0x100, (%%rsp); popfq; nop; 1: nop; 2: pushfq; 3: andl $~0x100, (%%rsp); popfq; 4: nop"
	    : "=r"(a), "=r"(b), "=r"(c), "=r"(d)
	    :
	    : "cc", "memory");
	claim_eq("single step: one #DB an instruction, the last after popf clears TF", logged, 5);
	claim("single step: RIPs", log_ip[0] == a && log_ip[1] == b && log_ip[2] == c && log_ip[4] == d);
	claim("single step: DR6.BS alone", log_dr6[0] == 0xffff4ff0 && log_dr6[4] == 0xffff4ff0);
	claim("TF is clear in the handler", !(trap.handler_flags & FLAG_TF));

	logged = 0;
	asm volatile(
	    "lea 1f(%%rip), %0; mov %%ss, %%ecx; pushfq; orl $0x100, (%%rsp); pushfq; mov (%%rsp), %%rdx; popfq;"
	    "popfq; mov %%ecx, %%ss; nop; 1: pushfq; andl $~0x100, (%%rsp); popfq; nop"
	    : "=&r"(a)
	    :
	    : "rcx", "rdx", "cc", "memory");
	claim("mov ss holds the single step back by one instruction", log_ip[0] == a);

	logged = 0;
	asm volatile(
	    "mov $3, %%ecx; pushfq; orl $0x100, (%%rsp); popfq; rep stosb; pushfq; andl $~0x100, (%%rsp); popfq; nop"
	    : "=D"(a)
	    : "0"(cell), "a"(0)
	    : "rcx", "cc", "memory");
	claim("rep stops after each iteration under TF",
	      logged >= 3 && log_ip[0] == log_ip[1] && log_ip[1] != log_ip[2]);
	if (!under_tcg()) {
		claim("the trap between iterations pushes RF", (log_flags[0] & log_flags[1] & ~log_flags[2]) & FLAG_RF);
		logged = 0;
		asm volatile("lea 1f(%%rip), %0; pushfq; orl $0x100, (%%rsp); popfq; hlt; 1: pushfq;"
			     "andl $~0x100, (%%rsp); popfq; nop"
			     : "=r"(a)
			     :
			     : "cc", "memory");
		claim("hlt under TF: the trap ends the halt", logged >= 1 && log_ip[0] == a);
	}

	/* Execution breakpoint. */
	asm volatile("lea 1f(%%rip), %0; jmp 2f; 1: inc %%eax; ret; 2:" : "=r"(a));
	logged = 0;
	WRITE_DR(0, a);
	WRITE_DR(7, 0x402);
	asm volatile("xor %%eax, %%eax; call *%1" : "=&a"(b) : "r"(a) : "memory");
	claim("DR0: execution breakpoint faults before the instruction", logged == 1 && log_ip[0] == a && b == 1);
	claim_eq("DR6.B0", log_dr6[0], 0xffff0ff1);
	WRITE_DR(7, 0x400);
	logged = 0;
	asm volatile("xor %%eax, %%eax; call *%1" : "=&a"(b) : "r"(a) : "memory");
	claim_eq("DR7 off: no breakpoint", logged, 0);

	/* Watchpoints: DR1 write of 8, DR2 read or write of 4, DR3 write of 1. */
	WRITE_DR(1, &cell[0]);
	WRITE_DR(2, &cell[1]);
	WRITE_DR(3, (u64)&cell[2] + 3);
	WRITE_DR(7, 0x400 | 0xa8 | 0x9ull << 20 | 0xfull << 24 | 0x1ull << 28);
	logged = 0;
	asm volatile("movb $1, 5(%2); 1: nop; lea 1b(%%rip), %0; mov (%2), %1"
		     : "=r"(a), "=r"(b)
		     : "r"(cell)
		     : "memory");
	claim("DR1: write within 8 bytes traps after it; a read does not", logged == 1 && log_ip[0] == a);
	claim_eq("DR6.B1", log_dr6[0], 0xffff0ff2);
	logged = 0;
	asm volatile("mov 8(%1), %0" : "=r"(b) : "r"(cell) : "memory");
	asm volatile("movl $1, 8(%0)" : : "r"(cell) : "memory");
	asm volatile("movl $1, 12(%0)" : : "r"(cell) : "memory");
	claim("DR2: read and write trap; the next 4 bytes do not", logged == 2 && log_dr6[1] == 0xffff0ff4);
	logged = 0;
	asm volatile("movl $1, 16(%0)" : : "r"(cell) : "memory");
	asm volatile("movl $1, 20(%0)" : : "r"(cell) : "memory");
	claim("DR3: a wider write that covers the byte traps", logged == 1 && log_dr6[0] == 0xffff0ff8);
	logged = 0;
	asm volatile("movq $1, %0" : "=m"(cell[0]) : : "memory");
	asm volatile("rep stosb" : "=c"(c), "=D"(d) : "0"(8ull), "1"(&cell[2]), "a"(7) : "memory");
	claim("rep stosb through a watchpoint",
	      logged == 2 && (log_dr6[1] & 15) == 8 && *(u8 *)((u64)&cell[2] + 7) == 7);
	WRITE_DR(7, 0x400);

	if (!under_tcg()) {
		logged = 0;
		asm volatile(".byte 0xf1; 1: lea 1b(%%rip), %0" : "=r"(a) : : "memory");
		claim_eq("int1 (F1h): #DB, no DR6 bit", logged ? log_dr6[0] & 0x400f : 0xff, 0);
		claim_eq("int1: one #DB", logged, 1);
		claim_eq("int1: RIP after", log_ip[0], a);
	}
	logged = 0;
	WRITE_DR(7, 0x2400);
	asm volatile("1: mov %%dr0, %0; lea 1b(%%rip), %1" : "=&r"(b), "=&r"(a) : : "memory");
	claim("DR7.GD: DR access faults, DR6.BD", logged >= 1 && log_ip[0] == a && (log_dr6[0] & BIT(13)));
	WRITE_DR(7, 0x400);
	trap_hook = NULL;

	claim_eq("DR7 reads back with bit 10 set", READ_DR(7), 0x400);
	asm volatile("mov %%dr4, %0" : "=r"(e));
	claim_eq("DR4 is DR6 without CR4.DE", e, READ_DR(6));
	WRITE_CR(4, READ_CR(4) | BIT(3));
	EXPECT("DR4 with CR4.DE: #UD", VEC_UD, 0, "mov %%dr4, %%rax" : : : "rax");
	WRITE_CR(4, READ_CR(4) & ~BIT(3));
	EXPECT("DR7 upper bits: #GP(0)", VEC_GP, 0, "mov %0, %%dr7" : : "r"(BIT(40)));
}

static void fpu_faults(void)
{
	WRITE_CR(0, READ_CR(0) | BIT(3));
	EXPECT("x87 with CR0.TS: #NM", VEC_NM, 0, "fld1");
	EXPECT("SSE with CR0.TS: #NM", VEC_NM, 0, "xorps %%xmm0, %%xmm0" : :);
	EXPECT("wait with MP and TS: #NM", VEC_NM, 0, "fwait");
	asm volatile("clts");
	EXPECT_NONE("clts", "fwait");
	WRITE_CR(0, READ_CR(0) | BIT(2));
	EXPECT("x87 with CR0.EM: #NM", VEC_NM, 0, "fld1");
	EXPECT("SSE with CR0.EM: #UD", VEC_UD, 0, "xorps %%xmm0, %%xmm0" : :);
	WRITE_CR(0, READ_CR(0) & ~BIT(2));
	WRITE_CR(4, READ_CR(4) & ~BIT(9));
	EXPECT("SSE without CR4.OSFXSR: #UD", VEC_UD, 0, "xorps %%xmm0, %%xmm0" : :);
	WRITE_CR(4, READ_CR(4) | BIT(9));

	static u16 cw = 0x37b; /* zero divide unmasked */
	EXPECT("unmasked x87 exception: #MF at the next waiting instruction", VEC_MF, 0,
	       "fninit; fldcw %0; fldz; fld1; fdiv %%st(1), %%st; fnop; fwait; ud2"
	       :
	       : "m"(cw));
	u16 sw;
	asm volatile("fnstsw %0" : "=a"(sw));
	claim("status word: ZE and ES", (sw & 0x84) == 0x84);
	asm volatile("fninit");
	static u32 mxcsr = 0x1d80, mxcsr0 = 0x1f80;
	static float zero[4] __attribute__((aligned(16))), one[4] __attribute__((aligned(16))) = {1, 1, 1, 1};
	EXPECT("unmasked SSE exception: #XM", VEC_XM, 0, "ldmxcsr %0; movaps %1, %%xmm0; divps %2, %%xmm0"
	       :
	       : "m"(mxcsr), "m"(one), "m"(zero));
	WRITE_CR(4, READ_CR(4) & ~BIT(10));
	EXPECT("unmasked SSE exception without OSXMMEXCPT: #UD", VEC_UD, 0,
	       "ldmxcsr %0; movaps %1, %%xmm0; divps %2, %%xmm0"
	       :
	       : "m"(mxcsr), "m"(one), "m"(zero));
	WRITE_CR(4, READ_CR(4) | BIT(10));
	asm volatile("ldmxcsr %0" : : "m"(mxcsr0));
}

static void delivery(void)
{
	extern char trap_stubs[];

	EXPECT("interrupt gate", 0x82, 0, "sti; int $0x82");
	claim("interrupt gate clears IF", !(trap.handler_flags & FLAG_IF) && (trap.frame.flags & FLAG_IF));
	idt_type(0x82, 0xf);
	EXPECT("trap gate", 0x82, 0, "sti; int $0x82; cli");
	claim("trap gate leaves IF", trap.handler_flags & FLAG_IF);
	EXPECT("the CPU aligns the stack frame to 16", 0x81, 0, "sub $3, %%rsp; int $0x81" : :);
	claim("RSP aligned before the push", (trap.handler_sp + sizeof(struct frame)) % 16 == 0);
	idt_set(0x83, trap_stubs + 16 * 0x83, SEL_KCODE, 0xe, 0, 3);
	EXPECT("gate with IST", 0x83, 0, "int $0x83");
	claim_eq("IST3 is its stack", trap.handler_sp + sizeof(struct frame), (u64)stack_ist[2] + 4096);
	idt_present(0x84, false);
	EXPECT("gate not present: #NP(vector*8+2)", VEC_NP, 0x84 * 8 + 2, "int $0x84");
	idt_type(0x85, 5);
	EXPECT("task gate in long mode: #GP(vector*8+2)", VEC_GP, 0x85 * 8 + 2, "int $0x85");
	idt_set(0x86, trap_stubs, SEL_KDATA, 0xe, 0, 0);
	EXPECT("gate to a data segment: #GP(sel)", VEC_GP, SEL_KDATA, "int $0x86");
	idt_set(0x87, trap_stubs, 0, 0xe, 0, 0);
	EXPECT("gate to a null selector: #GP(0)", VEC_GP, 0, "int $0x87");
	idt_set(0x88, trap_stubs, 0x68, 0xe, 0, 0);
	EXPECT("gate to a segment not present: #NP(sel)", VEC_NP, 0x68, "int $0x88");
	idt_set(0x89, trap_stubs, SEL_KCODE32, 0xe, 0, 0);
	EXPECT("gate to 32-bit code: #GP(sel)", VEC_GP, SEL_KCODE32, "int $0x89");

	/* The second fault while delivering the first (SDM 3A table 6-5). */
	idt_present(VEC_UD, false);
	EXPECT("benign, then contributory: the second is delivered (#NP, EXT)", VEC_NP, VEC_UD * 8 + 3, "ud2");
	idt_present(VEC_UD, true);
	idt_present(VEC_GP, false);
	EXPECT("contributory twice: #DF(0)", VEC_DF, 0, "mov %0, %%ds" : : "r"(0x1000));
	claim_eq("#DF on its IST stack", trap.handler_sp + sizeof(struct frame), (u64)stack_ist[0] + 4096);
	idt_present(VEC_GP, true);
	idt_present(VEC_PF, false);
	EXPECT("page fault, then contributory: #DF(0)", VEC_DF, 0, "mov (%0), %%rax" : : "r"(0x7000000000ull) : "rax");
	idt_present(VEC_PF, true);
	EXPECT("page fault whose frame cannot be pushed: #DF(0)", VEC_DF, 0, "mov %0, %%rsp; push %%rax"
	       :
	       : "r"(0x7000000100ull));
	claim_eq("CR2 is of the last page fault", trap.cr2 >> 12, 0x7000000);
}

/* Ring 3. */

USER_BEGIN(u_hlt) "hlt" USER_END(u_hlt);
USER_BEGIN(u_cli) "cli" USER_END(u_cli);
USER_BEGIN(u_sti) "sti" USER_END(u_sti);
USER_BEGIN(u_in) "in $0x80, %al" USER_END(u_in);
USER_BEGIN(u_out) "out %al, $0xed; ud2" USER_END(u_out);
USER_BEGIN(u_out16) "out %ax, $0xed; ud2" USER_END(u_out16);
USER_BEGIN(u_cr0) "mov %cr0, %rax" USER_END(u_cr0);
USER_BEGIN(u_dr7) "mov %dr7, %rax" USER_END(u_dr7);
USER_BEGIN(u_rdmsr) "mov $0xc0000080, %ecx; rdmsr" USER_END(u_rdmsr);
USER_BEGIN(u_lgdt) "lgdt (%rdi)" USER_END(u_lgdt);
USER_BEGIN(u_invlpg) "invlpg (%rdi)" USER_END(u_invlpg);
USER_BEGIN(u_wbinvd) "wbinvd" USER_END(u_wbinvd);
USER_BEGIN(u_clts) "clts" USER_END(u_clts);
USER_BEGIN(u_swapgs) "swapgs" USER_END(u_swapgs);
USER_BEGIN(u_sysret) "sysretq" USER_END(u_sysret);
USER_BEGIN(u_rdtsc) "rdtsc; ud2" USER_END(u_rdtsc);
USER_BEGIN(u_sgdt) "sub $16, %rsp; sgdt (%rsp); smsw %eax; ud2" USER_END(u_sgdt);
USER_BEGIN(u_int80) "int $0x80; ud2" USER_END(u_int80);
USER_BEGIN(u_int3) "int3" USER_END(u_int3);
USER_BEGIN(u_int1) ".byte 0xf1; ud2" USER_END(u_int1);
USER_BEGIN(u_load) "mov (%rdi), %rax; ud2" USER_END(u_load);
USER_BEGIN(u_store) "mov %rax, (%rdi); ud2" USER_END(u_store);
USER_BEGIN(u_jump) "jmp *%rdi" USER_END(u_jump);
USER_BEGIN(u_popf) "push $~0x100; popfq; pushfq; pop %rax; push $2; popfq; ud2" USER_END(u_popf);
USER_BEGIN(u_loadss) "mov %edi, %ss; ud2" USER_END(u_loadss);
USER_BEGIN(u_loadds) "mov %edi, %ds; ud2" USER_END(u_loadds);
USER_BEGIN(u_syscall)
"mov $0x11, %eax; stc; syscall; mov %ss, %r12d; mov %cs, %r13d; pushfq; pop %r14; ud2" USER_END(u_syscall);
USER_BEGIN(u_sysenter)
"mov %rsp, %rcx; lea 1f(%rip), %rdx; sysenter; ud2; 1: mov %cs, %r13d; mov %ss, %r12d; ud2" USER_END(u_sysenter);
USER_BEGIN(u_align) "pushfq; orl $0x40000, (%rsp); popfq; mov -15(%rsp), %rax; ud2" USER_END(u_align);
USER_BEGIN(u_code32)
".code32; mov $0xffffffff, %eax; inc %eax; .byte 0x40; push %eax; mov %esp, %ecx; pop %ebx; .byte 0xd6; ud2; "
    ".code64" USER_END(u_code32);
USER_BEGIN(u_sys32) ".code32; mov $7, %ebx; syscall; mov %cs, %edx; ud2; .code64" USER_END(u_sys32);
USER_BEGIN(u_gate) "push $0; movl $0x9b, 4(%rsp); lcall *(%rsp); ud2" USER_END(u_gate);

u64 entry_rcx, entry_r11, entry_flags, entry_cs, entry_ss, entry_rsp;
void syscall_entry(void);
void syscall_entry32(void);
void sysenter_entry(void);
asm(".text\n"
    "syscall_entry: pushfq; pop entry_flags; mov %rcx, entry_rcx; mov %r11, entry_r11; mov %rsp, entry_rsp;"
    "mov %cs, entry_cs; mov %ss, entry_ss; mov $0x22, %eax; sysretq\n"
    "syscall_entry32: mov %rcx, entry_rcx; mov %cs, entry_cs; sysretl\n"
    "sysenter_entry: mov %rsp, entry_rsp; pushfq; pop entry_flags; mov %cs, entry_cs; mov %ss, entry_ss; sysexitq\n");

static void claim_user(const char *name, unsigned vector, u64 error)
{
	bool good = trap.count == 1 && trap.frame.vector == vector && trap.frame.error == error &&
		    (trap.frame.cs & 3) == 3;

	if (!good) {
		put_string("# vector ");
		put_dec(trap.frame.vector);
		put_string(" error ");
		put_hex(trap.frame.error);
		put_string(" cs ");
		put_hex(trap.frame.cs);
		put_string(" cr2 ");
		put_hex(trap.cr2);
		put_char('\n');
	}
	claim(name, good);
}

static void privilege(void)
{
	USER(u_hlt, 0);
	claim_user("ring 3 hlt: #GP(0)", VEC_GP, 0);
	claim("ring 3 frame: CS, SS, RIP, RSP", trap.frame.cs == SEL_UCODE && trap.frame.ss == SEL_UDATA &&
						    trap.frame.ip == USER_CODE && trap.frame.sp == USER_STACK);
	claim_eq("trap from ring 3 uses TSS.RSP0", trap.handler_sp + sizeof(struct frame), (u64)stack_rsp0 + 4096);
	USER(u_cli, 0);
	claim_user("ring 3 cli: #GP(0)", VEC_GP, 0);
	USER(u_sti, 0);
	claim_user("ring 3 sti: #GP(0)", VEC_GP, 0);
	USER(u_cr0, 0);
	claim_user("ring 3 mov from CR0: #GP(0)", VEC_GP, 0);
	USER(u_dr7, 0);
	claim_user("ring 3 mov from DR7: #GP(0)", VEC_GP, 0);
	USER(u_rdmsr, 0);
	claim_user("ring 3 rdmsr: #GP(0)", VEC_GP, 0);
	USER(u_lgdt, USER_CODE);
	claim_user("ring 3 lgdt: #GP(0)", VEC_GP, 0);
	USER(u_invlpg, 0);
	claim_user("ring 3 invlpg: #GP(0)", VEC_GP, 0);
	USER(u_wbinvd, 0);
	claim_user("ring 3 wbinvd: #GP(0)", VEC_GP, 0);
	USER(u_clts, 0);
	claim_user("ring 3 clts: #GP(0)", VEC_GP, 0);
	USER(u_swapgs, 0);
	claim_user("ring 3 swapgs: #GP(0)", VEC_GP, 0);
	USER(u_sysret, 0);
	claim_user("ring 3 sysret: #GP(0)", VEC_GP, 0);
	USER(u_sgdt, 0);
	claim_user("ring 3 sgdt and smsw are allowed", VEC_UD, 0);

	USER(u_in, 0);
	claim_user("ring 3 in: #GP(0)", VEC_GP, 0);
	extern const u8 u_out[], u_out_end[], u_cli[], u_cli_end[], u_int80[], u_int80_end[];
	run_user(u_out, u_out_end - u_out, SEL_UCODE, 0, 0x3002);
	claim_user("ring 3 out with IOPL 3", VEC_UD, 0);
	run_user(u_cli, u_cli_end - u_cli, SEL_UCODE, 0, 0x3202);
	claim_user("ring 3 cli with IOPL 3", VEC_UD, 0);
	static struct {
		struct tss tss;
		u8 map[64];
	} __attribute__((packed)) big;
	big.tss = tss;
	big.tss.iomap = sizeof(struct tss);
	memset(big.map, 0xff, sizeof(big.map));
	big.map[0xed / 8] &= ~(1 << 0xed % 8);
	u64 base = (u64)&big;
	gdt[20] = (sizeof(big) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	gdt[21] = base >> 32;
	asm volatile("ltr %w0" : : "r"(0xa0));
	USER(u_out, 0);
	claim_user("ring 3 out allowed by the I/O bitmap", VEC_UD, 0);
	USER(u_out16, 0);
	claim_user("ring 3 16-bit out needs both bits: #GP(0)", VEC_GP, 0);
	gdt[7] &= ~(2ull << 40);
	asm volatile("ltr %w0" : : "r"(SEL_TSS));

	USER(u_popf, 0);
	claim_user("ring 3 popf of all ones", VEC_UD, 0);
	claim_eq("popf in ring 3 leaves IF and IOPL", trap.frame.ax & 0x3200, 0);
	USER(u_rdtsc, 0);
	claim_user("ring 3 rdtsc", VEC_UD, 0);
	WRITE_CR(4, READ_CR(4) | BIT(2));
	USER(u_rdtsc, 0);
	claim_user("ring 3 rdtsc with CR4.TSD: #GP(0)", VEC_GP, 0);
	WRITE_CR(4, READ_CR(4) & ~BIT(2));

	USER(u_int80, 0);
	claim_user("int $80h through a DPL 0 gate: #GP(vector*8+2)", VEC_GP, 0x80 * 8 + 2);
	idt_dpl(0x80, 3);
	run_user(u_int80, u_int80_end - u_int80, SEL_UCODE, 0, 0x202);
	claim_user("int $80h through a DPL 3 gate", 0x80, 0);
	claim("IF as it was, clear in the handler", (trap.frame.flags & FLAG_IF) && !(trap.handler_flags & FLAG_IF));
	USER(u_int3, 0);
	claim_user("int3 through a DPL 0 gate: #GP(vector*8+2)", VEC_GP, VEC_BP * 8 + 2);
	if (!under_tcg()) {
		USER(u_int1, 0);
		claim_user("int1 does not look at the DPL", VEC_DB, 0);
	}

	USER(u_load, 0x100000);
	claim_user("ring 3 load from a supervisor page: #PF(5)", VEC_PF, 5);
	claim_eq("CR2", trap.cr2, 0x100000);
	USER(u_store, 0x100008);
	claim_user("ring 3 store to a supervisor page: #PF(7)", VEC_PF, 7);
	USER(u_load, USER_CODE + 0x100000);
	claim_user("ring 3 load, not present: #PF(4)", VEC_PF, 4);
	USER(u_jump, 0x100000);
	claim_user("ring 3 jump to a supervisor page: #PF(15h)", VEC_PF, 0x15);
	USER(u_load, 0x800000000000);
	claim_user("ring 3 non-canonical load: #GP(0)", VEC_GP, 0);
	USER(u_loadss, 0);
	claim_user("ring 3 null SS: #GP(0)", VEC_GP, 0);
	USER(u_loadss, SEL_KDATA);
	claim_user("ring 3 kernel SS: #GP(sel)", VEC_GP, SEL_KDATA);
	USER(u_loadds, SEL_KDATA);
	claim_user("ring 3 kernel DS: #GP(sel)", VEC_GP, SEL_KDATA);
	USER(u_loadds, 0);
	claim_user("ring 3 null DS", VEC_UD, 0);
	WRITE_CR(0, READ_CR(0) | BIT(18));
	USER(u_align, 0);
	claim_user("unaligned access with AM and AC: #AC(0)", VEC_AC, 0);
	WRITE_CR(0, READ_CR(0) & ~BIT(18));
	USER(u_align, 0);
	claim_user("unaligned access without AM", VEC_UD, 0);
	gdt[18] |= BIT(47);
	USER(u_gate, 0);
	claim_user("ring 3 far call to a bad selector: #GP(sel)", VEC_GP, 0x98);
}

static void system_calls(void)
{
	WRITE_CR(4, READ_CR(4));
	wrmsr(0xc0000081, (u64)0x1b << 48 | (u64)0x08 << 32);
	wrmsr(0xc0000082, (u64)syscall_entry);
	wrmsr(0xc0000084, 0x200 | FLAG_CF | FLAG_DF);
	extern const u8 u_syscall[], u_syscall_end[];
	run_user(u_syscall, u_syscall_end - u_syscall, SEL_UCODE, 0, 0x202);
	claim_user("syscall and sysretq", VEC_UD, 0);
	claim_eq("syscall: RCX is the return address", entry_rcx, USER_CODE + 8);
	claim("syscall: R11 is RFLAGS", (entry_r11 & (FLAG_IF | FLAG_CF)) == (FLAG_IF | FLAG_CF));
	claim("syscall: SFMASK clears", !(entry_flags & (FLAG_IF | FLAG_CF)));
	claim("syscall: CS and SS from STAR", entry_cs == 8 && entry_ss == 0x10);
	claim_eq("syscall: RSP stays the user's", entry_rsp, USER_STACK);
	claim("sysretq: CS and SS from STAR", trap.frame.r13 == SEL_UCODE && trap.frame.r12 == SEL_UDATA);
	claim("sysretq: RFLAGS from R11", (trap.frame.r14 & (FLAG_IF | FLAG_CF)) == (FLAG_IF | FLAG_CF));
	claim_eq("sysretq: RAX through", trap.frame.ax, 0x22);

	wrmsr(0xc0000080, rdmsr(0xc0000080) & ~1ull);
	USER(u_syscall, 0);
	claim_user("syscall without EFER.SCE: #UD", VEC_UD, 0);
	wrmsr(0xc0000080, rdmsr(0xc0000080) | 1);

	wrmsr(0x174, 8);
	wrmsr(0x175, (u64)stack_ist[2] + 2048);
	wrmsr(0x176, (u64)sysenter_entry);
	USER(u_sysenter, 0);
	claim_user("sysenter and sysexitq", VEC_UD, 0);
	claim_eq("sysenter: RSP from its MSR", entry_rsp, (u64)stack_ist[2] + 2048);
	claim("sysenter: CS and SS from its MSR", entry_cs == 8 && entry_ss == 0x10);
	claim("sysenter: IF clear", !(entry_flags & FLAG_IF));
	claim("sysexitq: CS and SS", trap.frame.r13 == 0x2b && trap.frame.r12 == 0x33);
	wrmsr(0x174, 0);
	USER(u_sysenter, 0);
	claim_user("sysenter with a null CS MSR: #GP(0)", VEC_GP, 0);

	extern const u8 u_code32[], u_code32_end[];
	run_user(u_code32, u_code32_end - u_code32, SEL_UCODE32, 0, 2);
	claim_user("compatibility mode: ring 3 code of 32 bits", VEC_UD, 0);
	claim("compatibility mode: 40h is inc eax, push moves ESP by 4",
	      trap.frame.bx == 1 && trap.frame.cx == USER_LOW + 8192 - 4 && trap.frame.cs == SEL_UCODE32);
}

void kmain(void)
{
	faults();
	segments();
	debug();
	fpu_faults();
	delivery();
	privilege();
	system_calls();
}
