/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 32-bit protected mode: segments, gates, rings, paging with and without PAE, what 64-bit mode has no more. */
#include "tests/guest/lib/guest.h"

#define LIMIT(l)                         (((l)&0xffff) | (u64)((l) >> 16 & 0xf) << 48)
#define BASE(b)                          ((u64)((b)&0xffffff) << 16 | (u64)((b) >> 24) << 56)
#define DESC(base, limit, access, flags) (LIMIT(limit) | BASE((u32)(base)) | (u64)(access) << 40 | (u64)(flags) << 52)

static u8 window[8192] __attribute__((aligned(4096)));

static void integers(void)
{
	u32 r, f, x;

	asm volatile("mov $0x79, %%al; add $0x35, %%al; daa; pushf; pop %1; movzbl %%al, %0"
		     : "=a"(r), "=r"(f)
		     :
		     : "cc");
	claim("daa: 79h + 35h", r == 0x14 && (f & FLAG_CF));
	asm volatile("mov $0x35, %%al; sub $0x47, %%al; das; pushf; pop %1; movzbl %%al, %0"
		     : "=a"(r), "=r"(f)
		     :
		     : "cc");
	claim("das: 35h - 47h", r == 0x88 && (f & FLAG_CF));
	asm volatile("mov $0x000f, %%eax; aaa; movzwl %%ax, %0" : "=a"(r) : : "cc");
	claim_eq("aaa", r, 0x105);
	asm volatile("mov $0x0205, %%eax; sub $9, %%al; aas; movzwl %%ax, %0" : "=a"(r) : : "cc");
	claim_eq("aas", r, 0x106);
	asm volatile("mov $77, %%eax; aam; movzwl %%ax, %0" : "=a"(r) : : "cc");
	claim_eq("aam", r, 0x707);
	asm volatile("mov $0x0809, %%eax; aad; movzwl %%ax, %0" : "=a"(r) : : "cc");
	claim_eq("aad", r, 89);
	EXPECT("aam 0: #DE", VEC_DE, 0, ".byte 0xd4, 0" : : : "eax");
	asm volatile("stc; .byte 0xd6; movzbl %%al, %0" : "=a"(r) : : "cc");
	claim_eq("salc", r, 0xff);
	asm volatile("mov $5, %%ecx; .byte 0x41; mov %%ecx, %0" : "=r"(r) : : "ecx", "cc");
	claim_eq("41h is inc ecx", r, 6);
	asm volatile("mov %%esp, %%ecx; mov $7, %%ebx; pusha; mov 12(%%esp), %0; mov $9, %%ebx; popa; sub %%esp, %%ecx;"
		     "add %%ebx, %%ecx; mov %%ecx, %1; sub $0, %0"
		     : "=a"(r), "=r"(x)
		     :
		     : "ecx", "ebx", "cc", "memory");
	claim_eq("pusha and popa", x, 7);
	static s32 bounds[2] = {-5, 10};
	EXPECT_NONE("bound within", "bound %0, %1" : : "r"(10), "m"(bounds[0]));
	EXPECT("bound outside: #BR", VEC_BR, 0, "bound %0, %1" : : "r"(11), "m"(bounds[0]));
	EXPECT("into with OF: #OF", VEC_OF, 0, "mov $0x7f, %%al; add $1, %%al; into" : : : "eax", "cc");
	claim("#OF is a trap: RIP after", ((u8 *)trap.frame.ip)[-1] == 0xce);
	EXPECT_NONE("into without OF", "xor %%eax, %%eax; into" : : : "eax", "cc");
	u32 sel = 0x10;
	asm volatile("arpl %w2, %w0; pushf; pop %1" : "+r"(sel), "=r"(f) : "r"(3) : "cc");
	claim("arpl raises RPL, ZF", sel == 0x13 && (f & FLAG_ZF));
	EXPECT("ud2", VEC_UD, 0, "ud2");
	EXPECT("syscall without EFER.SCE: #UD", VEC_UD, 0, ".byte 0x0f, 0x05");
	asm volatile("mov $0x12345678, %%eax; mov $0x9, %%edx; mov $16, %%ecx; div %%ecx"
		     : "=a"(r), "=d"(x)
		     :
		     : "ecx", "cc");
	claim("div 64 by 32", r == 0x91234567 && x == 8);
}

static void addressing16(void)
{
	u32 r;
	static u8 *low = (u8 *)0x8000;

	for (int i = 0; i < 64; i++)
		low[i] = i;
	asm volatile("mov $0x8000, %%ebx; mov $5, %%esi; addr16 mov 3(%%bx,%%si), %%al; movzbl %%al, %0"
		     : "=a"(r)
		     :
		     : "ebx", "esi");
	claim_eq("[bx+si+3]", r, 8);
	asm volatile("mov $0xffff8010, %%ebx; addr16 mov -1(%%bx), %%al; movzbl %%al, %0" : "=a"(r) : : "ebx");
	claim_eq("[bx-1] wraps at 64 KiB", r, 15);
	asm volatile("mov $0xfff0, %%ebx; mov $0x8020, %%esi; addr16 lea (%%bx,%%si), %%eax"
		     : "=a"(r)
		     :
		     : "ebx", "esi");
	claim_eq("lea with 16-bit addressing wraps", r, 0x8010);
	low[0x100] = 0;
	asm volatile("mov $0x8000, %%esi; mov $0x8080, %%edi; mov $0x70010, %%ecx; addr16 rep movsb; mov %%ecx, %0"
		     : "=r"(r)
		     :
		     : "esi", "edi", "ecx", "memory");
	claim("addr16 rep movsb counts CX, leaves the upper half", r == 0x70000 && low[0x8f] == 15 && !low[0x100]);
	asm volatile("mov $3, %%ecx; or $0x10000, %%ecx; xor %0, %0; 1: inc %0; addr16 loop 1b"
		     : "=&r"(r)
		     :
		     : "ecx", "cc");
	claim_eq("addr16 loop counts CX", r, 3);
	asm volatile("mov $-1, %%eax; mov $0x1234, %%ax; movsx %%al, %%cx; movzwl %%cx, %0" : "=r"(r) : : "eax", "ecx");
	claim_eq("movsx 8 to 16", r, 0x34);
	asm volatile("pushw $0x1122; pushw $0x3344; pop %0" : "=r"(r));
	claim_eq("push 16-bit twice", r, 0x11223344);
}

static void segments(void)
{
	u32 r, f;

	*(u32 *)window = 0xaabbccdd;
	*(u32 *)(window + 0xffc) = 0x11223344;
	gdt[9] = DESC(window, 0xfff, 0xf3 & 0x9f, 4); /* 48h: byte granular data of 4 KiB */
	gdt[10] = DESC(window, 0xfff, 0x97, 4);       /* 50h: expand-down above FFFh */
	gdt[11] = DESC(window, 0xfff, 0x91, 4);       /* 58h: read-only */
	gdt[12] = DESC(0, 0xfffff, 0x13, 0xc);        /* 60h: not present */
	gdt[13] = DESC(0, 0xfffff, 0x99, 0xc);        /* 68h: execute-only code */
	gdt[14] = DESC(0, 0xfffff, 0x9f, 0xc);        /* 70h: conforming code */

	asm volatile("mov %1, %%fs; mov %%fs:0, %0" : "=r"(r) : "r"(0x48));
	claim_eq("a base is added", r, 0xaabbccdd);
	asm volatile("mov %%fs:0xffc, %0" : "=r"(r));
	claim_eq("up to the limit", r, 0x11223344);
	EXPECT("beyond the limit by one byte: #GP(0)", VEC_GP, 0, "mov %0, %%fs; mov %%fs:0xffd, %%eax"
	       :
	       : "r"(0x48)
	       : "eax");
	EXPECT("offset above the limit: #GP(0)", VEC_GP, 0, "mov %0, %%fs; movb $1, %%fs:0x1000" : : "r"(0x48));
	EXPECT("through a null segment: #GP(0)", VEC_GP, 0, "mov %0, %%fs; mov %%fs:0, %%eax" : : "r"(0) : "eax");
	EXPECT("expand-down at its limit: #GP(0)", VEC_GP, 0, "mov %0, %%fs; mov %%fs:0xfff, %%al"
	       :
	       : "r"(0x50)
	       : "eax");
	EXPECT_NONE("expand-down above its limit", "mov %0, %%fs; mov %%fs:0x1000, %%al" : : "r"(0x50) : "eax");
	EXPECT("store to a read-only segment: #GP(0)", VEC_GP, 0, "mov %0, %%fs; movb $1, %%fs:0" : : "r"(0x58));
	EXPECT("store to CS: #GP(0)", VEC_GP, 0, "movb $1, %%cs:0x8000" : :);
	EXPECT("load, not present: #NP(sel)", VEC_NP, 0x60, "mov %0, %%es" : : "r"(0x60));
	EXPECT("SS not present: #SS(sel)", VEC_SS, 0x60, "mov %0, %%ss" : : "r"(0x60));
	EXPECT("SS null: #GP(0)", VEC_GP, 0, "mov %0, %%ss" : : "r"(0));
	EXPECT("read of execute-only code: #GP(0)", VEC_GP, 0, "ljmp $0x68, $1f; 1: movb %%cs:0x8000, %%al"
	       :
	       :
	       : "eax");
	asm volatile("ljmp $0x70, $1f; 1: mov %%cs, %0; ljmp $8, $2f; 2:" : "=r"(r));
	claim_eq("jump to conforming code", r, 0x70);
	asm volatile("lsl %2, %0; pushf; pop %1" : "=&r"(r), "=r"(f) : "r"(0x48) : "cc");
	claim("lsl, byte granular", r == 0xfff && (f & FLAG_ZF));
	static struct {
		u32 offset;
		u16 selector;
	} __attribute__((packed)) far = {0x1234, 0x48};
	asm volatile("lfs %1, %0" : "=r"(r) : "m"(far));
	claim_eq("lfs: offset", r, 0x1234);
	asm volatile("mov %%fs, %0; mov %%fs:0, %1" : "=r"(r), "=r"(f));
	claim("lfs: segment", r == 0x48 && f == 0xaabbccdd);
	asm volatile("push %1; pop %%gs; mov %%gs:0, %0" : "=r"(r) : "r"(0x48));
	claim_eq("pop gs", r, 0xaabbccdd);
	/* LDT */
	static u64 ldt[4];
	ldt[2] = DESC(window + 0xffc, 0xff, 0x93, 4);
	gdt[15] = DESC(ldt, sizeof(ldt) - 1, 0x82, 0); /* 78h */
	asm volatile("lldt %w1; mov %2, %%fs; mov %%fs:0, %0" : "=r"(r) : "r"(0x78), "r"(0x14));
	claim_eq("segment from the LDT", r, 0x11223344);
	EXPECT("beyond the LDT limit: #GP(sel)", VEC_GP, 0x24, "mov %0, %%fs" : : "r"(0x24));
	asm volatile("lldt %w0; mov %0, %%fs" : : "r"(0));

	/* A 16-bit code segment (80h), and back. */
	gdt[16] = DESC(0x8000, 0xffff, 0x9b, 0);
	/* mov $0x1234, %ax; mov %eax, %ebx with 66h; far jump back, 66h: ptr16:32 */
	static const u8 code[] = {0xb8, 0x34, 0x12, 0x66, 0x89, 0xc3, 0xc1, 0xe0, 4, 0x66, 0xea};
	memcpy((void *)0x8000, code, sizeof(code));
	asm volatile("movl $1f, 0x8000+11; movw $8, 0x8000+15; mov $0xffff0000, %%eax; ljmp $0x80, $0; 1:"
		     : "=a"(r), "=b"(f)
		     :
		     : "cc", "memory");
	claim("16-bit code: operand size, 66h turns it round", r == 0xffff2340 && f == 0xffff1234);

	/* Two far functions at the same offset of two code segments: mov $1 or $2, %eax; lret. */
	static const u8 one[] = {0xb8, 1, 0, 0, 0, 0xcb}, two[] = {0xb8, 2, 0, 0, 0, 0xcb};
	memcpy((void *)0x8100, one, sizeof(one));
	memcpy((void *)0x8200, two, sizeof(two));
	gdt[17] = DESC(0x100, 0xfffff, 0x9b, 0xc); /* 88h */
	asm volatile("lcall $8, $0x8100; mov %%eax, %0; lcall $0x88, $0x8100" : "=&r"(r), "=a"(f) : : "memory");
	claim("the same offset under another CS base", r == 1 && f == 2);

	/* From a 32-bit to a 16-bit stack (90h). */
	gdt[18] = DESC(0, 0xfffff, 0x93, 8);
	*(u32 *)0x1fffc = 0x90;
	asm volatile("mov %%ss, %%ecx; mov %%esp, %%edx; mov $0x1fffc, %%esp; pop %%ss; mov %%esp, %0; mov %%ecx, %%ss;"
		     "mov %%edx, %%esp"
		     : "=a"(r)
		     :
		     : "ecx", "edx", "memory");
	claim_eq("pop ss counts in the width of the old stack", r, 0x20000);
}

struct user_entry {
	u32 eip, cs, eflags, esp, ss;
};
void enter_user(struct user_entry *e);
static struct user_entry entry;
static u8 user_stack[4096] __attribute__((aligned(16)));

static void user_body(void)
{
	enter_user(&entry);
}

static void run_user32(void *code)
{
	entry = (struct user_entry){(u32)code, SEL_UCODE32, 0x202, (u32)user_stack + sizeof(user_stack), SEL_UDATA};
	traps_reset();
	try_call(user_body);
}

static void claim_user(const char *name, unsigned vector, u32 error)
{
	bool good = trap.count == 1 && trap.frame.vector == vector && trap.frame.error == error;

	if (!good) {
		put_string("# vector ");
		put_dec(trap.frame.vector);
		put_string(" error ");
		put_hex(trap.frame.error);
		put_char('\n');
	}
	claim(name, good);
}

void v_hlt(void), v_int80(void), v_gate(void), v_gate4(void), v_in(void), v_lret(void), v_ts(void), v_sysenter(void);
void gate_target(void), sysenter_entry(void), v_gate_conforming(void), v_verr(void), v_stack(void);
extern u32 gate_cs, gate_ss, gate_esp, gate_args[2], gate_return_cs;
asm(".text\n"
    "v_hlt: hlt\n"
    "v_int80: int $0x80; ud2\n"
    "v_in: in $0x80, %al; ud2\n"
    "v_ts: int $0x80; ud2\n"
    "v_verr: mov $0x10, %eax; verr %ax; setz %bl; mov $0x23, %eax; verr %ax; setz %bh; ud2\n"
    "v_gate: push $0x1111; push $0x2222; lcall $0x8b, $0; mov %esp, %esi; ud2\n"
    "v_gate_conforming: lcall $0x70, $1f; ud2; 1: mov %cs, %eax; ud2\n"
    "v_stack: mov $0xa3, %eax; mov %eax, %ss; mov $0xffc, %esp; pop %eax; pop %eax; ud2\n"
    "v_gate4: lcall $0x98, $0; ud2\n"
    "v_lret: push $0x08; push $0; lret\n"
    "v_sysenter: mov %esp, %ecx; mov $1f, %edx; sysenter; ud2; 1: mov %cs, %eax; mov %ss, %ebx; ud2\n"
    "sysenter_entry: mov %esp, gate_esp; mov %cs, gate_cs; mov %ss, gate_ss; sysexit\n"
    "gate_target: mov %cs, gate_cs; mov %ss, gate_ss; mov %esp, gate_esp; mov 8(%esp), %eax; mov %eax, gate_args;"
    "mov 12(%esp), %eax; mov %eax, gate_args+4; mov 4(%esp), %eax; mov %eax, gate_return_cs; lret $8\n"
    ".data; gate_cs: .long 0; gate_ss: .long 0; gate_esp: .long 0; gate_args: .long 0, 0; gate_return_cs: .long 0; "
    ".text\n");

static u64 call_gate(void *target, unsigned params, unsigned dpl)
{
	u32 at = (u32)target;

	return (at & 0xffff) | (u64)SEL_KCODE << 16 | (u64)params << 32 | (u64)(0x8c | dpl << 5) << 40 |
	       (u64)(at >> 16) << 48;
}

static void rings(void)
{
	run_user32(v_hlt);
	claim_user("ring 3 hlt: #GP(0)", VEC_GP, 0);
	claim("ring 3 frame: CS, SS, ESP", trap.frame.cs == SEL_UCODE32 && trap.frame.ss == SEL_UDATA &&
					       trap.frame.sp == (u32)user_stack + sizeof(user_stack));
	claim_eq("the stack is TSS.ESP0's", trap.handler_sp + sizeof(struct frame),
		 (u32)stack_rsp0 + sizeof(stack_rsp0));
	run_user32(v_in);
	claim_user("ring 3 in: #GP(0)", VEC_GP, 0);
	run_user32(v_int80);
	claim_user("ring 3 int through a DPL 0 gate: #GP(vector*8+2)", VEC_GP, 0x80 * 8 + 2);
	idt_dpl(0x80, 3);
	run_user32(v_int80);
	claim_user("ring 3 int through a DPL 3 gate", 0x80, 0);
	run_user32(v_lret);
	claim_user("far return inwards: #GP(sel)", VEC_GP, 8);
	run_user32(v_verr);
	claim("verr looks at DPL", trap.frame.vector == VEC_UD && (trap.frame.bx & 0xffff) == 0x100);
	run_user32(v_gate_conforming);
	claim_user("conforming code called from ring 3", VEC_UD, 0);
	claim_eq("CPL stays 3 in conforming code", trap.frame.ax, 0x73);

	gdt[20] = DESC(window, 0xfff, 0xf3, 4); /* A0h */
	run_user32(v_stack);
	claim_user("stack beyond its limit: #SS(0)", VEC_SS, 0);
	claim("up to the limit it works",
	      trap.frame.ax == 0x11223344 && trap.frame.sp == 0x1000 && trap.frame.ss == 0xa3);

	gdt[17] = call_gate(gate_target, 2, 3); /* 88h */
	run_user32(v_gate);
	claim_user("call gate to ring 0 and back", VEC_UD, 0);
	claim("call gate: CS and SS", gate_cs == 8 && gate_ss == SEL_KDATA);
	claim_eq("call gate: stack of the TSS, SS:ESP, 2 parameters and CS:EIP on it", gate_esp,
		 (u32)stack_rsp0 + sizeof(stack_rsp0) - 24);
	claim("call gate: parameters copied", gate_args[0] == 0x2222 && gate_args[1] == 0x1111);
	claim_eq("call gate: return CS", gate_return_cs, SEL_UCODE32);
	claim_eq("lret 8 releases them on both stacks", trap.frame.si, (u32)user_stack + sizeof(user_stack));
	gdt[19] = call_gate(gate_target, 0, 0); /* 98h */
	run_user32(v_gate4);
	claim_user("call gate of DPL 0: #GP(sel)", VEC_GP, 0x98);
	gdt[19] = call_gate(gate_target, 0, 3) & ~BIT(47);
	run_user32(v_gate4);
	claim_user("call gate not present: #NP(sel)", VEC_NP, 0x98);

	idt_set(0x81, gate_target, SEL_UCODE32, 0xe, 3, 0);
	EXPECT("int from ring 0 to a ring 3 segment: #GP(sel)", VEC_GP, SEL_UCODE32 & ~3, "int $0x81");

	wrmsr(0x174, 8);
	wrmsr(0x175, (u32)stack_ist[0] + 4096);
	wrmsr(0x176, (u32)sysenter_entry);
	run_user32(v_sysenter);
	claim_user("sysenter and sysexit", VEC_UD, 0);
	claim("sysenter: CS, SS, ESP", gate_cs == 8 && gate_ss == 0x10 && gate_esp == (u32)stack_ist[0] + 4096);
	claim("sysexit: CS and SS", trap.frame.ax == 0x1b && trap.frame.bx == 0x23);
}

/* Two-level paging with PSE, then PAE. */
static u32 pd[1024] __attribute__((aligned(4096))), pt[1024] __attribute__((aligned(4096)));
static u64 pae_pd[4][512] __attribute__((aligned(4096))), pae_pt[512] __attribute__((aligned(4096)));
static u64 pdpt[4] __attribute__((aligned(32)));
static u8 frames[4][4096] __attribute__((aligned(4096)));

#define T 0x40000000u /* the address range under test: PDE 100h */

static void load_t(void)
{
	asm volatile("mov %0, %%eax" : : "m"(*(u32 *)(T + 0x1004)) : "eax", "memory");
}

static void store_t(void)
{
	asm volatile("movl $7, %0" : "=m"(*(u32 *)(T + 0x1004)) : : "memory");
}

static void flush(void)
{
	WRITE_CR(3, READ_CR(3));
}

static void paging(void)
{
	u32 r[4];

	for (u32 i = 0; i < 16; i++)
		pd[i] = i << 22 | 0x83;
	pd[T >> 22] = (u32)pt | 7;
	pt[1] = (u32)frames[0] | 3;
	*(u32 *)(frames[0] + 4) = 0x1234;
	WRITE_CR(4, READ_CR(4) | BIT(4));
	WRITE_CR(3, (u32)pd);
	WRITE_CR(0, READ_CR(0) | BIT(31) | BIT(16));
	claim("paging on, 4 MiB pages", READ_CR(0) >> 31);
	claim_eq("4 KiB page", *(volatile u32 *)(T + 0x1004), 0x1234);
	claim("A in PTE and PDE, no D", (pt[1] & 0x60) == 0x20 && (pd[T >> 22] & 0x20) && (pd[0] & 0x20));
	*(volatile u32 *)(T + 0x1004) = 5;
	claim("D in the PTE", pt[1] & 0x40);
	pt[1] = (u32)frames[0] | 1;
	flush();
	claim_trap("read-only: #PF(3)", VEC_PF, 3, store_t);
	claim_eq("CR2", trap.cr2, T + 0x1004);
	pt[1] = 0;
	flush();
	claim_trap("not present: #PF(0)", VEC_PF, 0, load_t);
	claim_trap("not present: #PF(2)", VEC_PF, 2, store_t);
	void fetch_t(void)
	{
		asm volatile("call *%0" : : "r"(T + 0x1004));
	}
	claim_trap("fetch, not present, no NX: #PF(0)", VEC_PF, 0, fetch_t);
	pd[(T >> 22) + 1] = 0x400000 | 0x83;
	*(volatile u32 *)0x412345 = 0x4d4d4d4d;
	claim_eq("4 MiB page elsewhere", *(volatile u32 *)(T + 0x400000 + 0x12345), 0x4d4d4d4d);
	pd[(T >> 22) + 1] = 0x400000 | 0x83 | BIT(21);
	flush();
	void load_big(void)
	{
		asm volatile("mov %0, %%eax" : : "m"(*(u32 *)(T + 0x412345)) : "eax", "memory");
	}
	claim_trap("4 MiB page: bit 21 is reserved: #PF(9)", VEC_PF, 9, load_big);
	pd[(T >> 22) + 1] = 0;
	WRITE_CR(0, READ_CR(0) & ~BIT(31));
	claim("paging off", !(READ_CR(0) >> 31));

	cpuid(1, 0, r);
	if (!(r[3] >> 6 & 1)) {
		skip("PAE", "not in CPUID");
		return;
	}
	for (u32 i = 0; i < 512 * 4; i++)
		pae_pd[i / 512][i % 512] = i < 64 ? (u64)i << 21 | 0x83 : 0;
	for (int i = 0; i < 4; i++)
		pdpt[i] = (u32)pae_pd[i] | 1;
	pae_pd[T >> 30][0] = (u32)pae_pt | 7;
	pae_pt[1] = (u32)frames[1] | 3;
	*(u32 *)(frames[1] + 4) = 0x5678;
	WRITE_CR(4, READ_CR(4) | BIT(5));
	WRITE_CR(3, (u32)pdpt);
	WRITE_CR(0, READ_CR(0) | BIT(31));
	claim_eq("PAE: 4 KiB page", *(volatile u32 *)(T + 0x1004), 0x5678);
	claim("PAE: A set", (pae_pt[1] & 0x60) == 0x20);
	cpuid(0x80000001, 0, r);
	if (r[3] >> 20 & 1) {
		pae_pt[1] |= BIT(63);
		flush();
		if (!under_tcg())
			claim_trap("PAE: XD without EFER.NXE: #PF(9)", VEC_PF, 9, load_t);
		wrmsr(0xc0000080, rdmsr(0xc0000080) | BIT(11));
		flush();
		claim_eq("PAE: XD page loads", *(volatile u32 *)(T + 0x1004), 0x5678);
		claim_trap("PAE: XD page fetch: #PF(11h)", VEC_PF, 0x11, fetch_t);
		pae_pt[1] &= ~BIT(63);
		flush();
	}
	pae_pd[T >> 30][1] = 0x400000 | 0x83;
	claim_eq("PAE: 2 MiB page", *(volatile u32 *)(T + 0x200000 + 0x12345), 0x4d4d4d4d);
	/* PDPTEs are held in the CPU from the load of CR3 on. */
	pdpt[3] = 0;
	flush();
	void load_top(void)
	{
		asm volatile("mov %0, %%eax" : : "m"(*(u32 *)0xc0000000) : "eax", "memory");
	}
	claim_trap("PAE: PDPTE not present: #PF(0)", VEC_PF, 0, load_top);
	if (!under_tcg()) {
		pdpt[3] = (u32)pae_pd[3] | 1 | 2;
		void reload(void)
		{
			WRITE_CR(3, READ_CR(3));
		}
		claim_trap("PAE: mov CR3 with a reserved PDPTE bit: #GP(0)", VEC_GP, 0, reload);
	}
	WRITE_CR(0, READ_CR(0) & ~BIT(31));
	WRITE_CR(4, READ_CR(4) & ~BIT(5));
}

void kmain(void)
{
	integers();
	addressing16();
	segments();
	rings();
	paging();
}
