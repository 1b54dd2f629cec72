/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that does a bit of everything that a debugger can come across. Needs check.h. */
#ifndef TESTS_UNIT_ZOO_H
#define TESTS_UNIT_ZOO_H

#include "probe_rig.h"

#define ALIAS 0x300000 /* pages that come and go */
#define IRQ   0x3f0000 /* an alias of the code's page, unmapped every round: interrupts fault at their handler */

GUEST(zoo, 64,
      "mov al, 0x11; out 0x20, al; mov al, 0x20; out 0x21, al; mov al, 4; out 0x21, al; mov al, 1; out 0x21, al\n"
      "mov al, 0xfe; out 0x21, al; mov al, 0x34; out 0x43, al; mov al, 7; out 0x40, al; xor eax, eax; out 0x40, al\n"
      "fninit; mov ax, 0x28; ltr ax; sti; mov r15d, 100\n"
      "zoo_round:\n"
      /* stack and strings */
      "push r15; push 0x1234; pop rax; add r12, rax; call zoo_sub; pop rax; mov rbp, rsp; enter 32, 3; leave\n"
      "mov edi, 0x20ff0; mov ecx, 100; mov eax, r15d; rep stosb\n"
      "mov esi, 0x20100; mov edi, 0x21f80; mov ecx, 64; rep movsq\n"
      "mov esi, 0x20010; mov edi, 0x20011; mov ecx, 50; rep movsb\n"
      "mov edi, 0x20000; mov ecx, 200; mov al, 0x77; repne scasb; add r12, rcx\n"
      /* read-modify-write, also across a page */
      "lock xadd [0x20040], rax; lock cmpxchg16b [0x20050]; bts [0x20060], r15; inc byte ptr [0x23fff]\n"
      "add [0x23ffc], r12; xor [0x20070], eax\n"
      "fxsave [0x20200]; movaps xmm0, [0x20200]; movups [0x22ff8], xmm0; fld1; fstp tbyte ptr [0x20501]\n"
      /* faults */
      "ud2; xor edx, edx; div edx; int 0x80; int3\n"
      "mov rcx, r15; shl rcx, 12; add r12, [rcx + 0x300008]; mov [rcx + 0x300010], r12\n"
      /* another page behind the same address, without a flush: the TLB's goes on to be used */
      "add r12, [0x4000 + 0x300 * 8 + r15 * 8]; mov qword ptr [0x4000 + 0x300 * 8 + r15 * 8], 0x21007; add r12, [rcx + "
      "0x300018]; inc dword ptr [rcx + 0x300020]\n"
      "test r15b, 7; jnz 1f; mov rax, cr3; mov cr3, rax; 1:\n"
      "mov qword ptr [0x4000 + 0x3f0 * 8], 0; mov eax, 0x3f0000; invlpg [rax]\n"
      /* code that is written */
      "lea rax, [rip + zoo_imm + 1]; mov [rax], r15b; nop; zoo_imm: mov al, 0; add r12, rax\n"
      /* single steps, a REP among them */
      "pushfq; or qword ptr [rsp], 0x100; popfq; nop; mov ecx, 3; mov esi, 0x20000; mov edi, 0x20800; rep movsb; nop\n"
      "pushfq; and qword ptr [rsp], -0x101; popfq\n"
      "rdtsc; add r12, rax; mov eax, 0xfee00030; mov eax, [rax]; add r12, rax\n"
      "mov ecx, 0xc0000102; mov eax, r15d; xor edx, edx; wrmsr; mov ecx, 0x1b; rdmsr; add r12, rax\n"
      /* ring 3 and back */
      "mov [0x20600], rsp; push 0x1b; push 0x9000; push 0x202; push 0x23; lea rax, [rip + zoo_user]; push rax; iretq\n"
      "zoo_back: sti; test r15b, 3; jnz 2f; hlt; 2: dec r15d; jnz zoo_round; cli; hlt\n"
      "zoo_sub: add r12, [rsp]; ret\n"
      "zoo_user: push rax; pop rbx; mov ax, 0x1b; mov ds, ax; mov [0x20608], rbx; mov ecx, 20; 3: loop 3b; int 0x81\n"
      "zoo_int81: mov rsp, [0x20600]; jmp zoo_back\n"
      "zoo_skip2: add qword ptr [rsp], 2; inc r13; iretq\n"
      "zoo_count: inc r13; iretq\n"
      "zoo_db: inc r14; add r12, [rsp]; iretq\n"
      "zoo_irq: push rax; inc qword ptr [0x20700]; add r12, [rsp + 8]; mov al, 0x20; out 0x20, al; pop rax; iretq\n"
      "zoo_pf: push rax; push rcx; mov rax, cr2; shr rax, 12; mov ecx, 0x20007; cmp eax, 0x3f0; jne 4f\n"
      "mov ecx, 0x10007; 4: mov [0x4000 + rax * 8], rcx; add r12, [rsp + 24]; pop rcx; pop rax; add rsp, 8; iretq\n");

extern const u8 zoo_int81[], zoo_skip2[], zoo_count[], zoo_db[], zoo_irq[], zoo_pf[], zoo_round[], zoo_imm[],
    zoo_user[];

#define AT(base, label) (CODE + (u64)((label) - (base)))

/* Sets up @m, a rig64() of it. */
static inline void zoo_init(struct machine *m)
{
	gate(m, X86_DE, AT(zoo, zoo_skip2), 0);
	gate(m, X86_UD, AT(zoo, zoo_skip2), 0);
	gate(m, X86_DB, AT(zoo, zoo_db), 0);
	ram(m, IDT + X86_DB * 16)[5] |= 1; /* a trap gate: interrupts come right behind it */
	gate(m, X86_BP, AT(zoo, zoo_count), 3);
	gate(m, X86_PF, AT(zoo, zoo_pf), 0);
	gate(m, 0x20, IRQ + (zoo_irq - zoo), 0);
	gate(m, 0x80, AT(zoo, zoo_count), 3);
	gate(m, 0x81, AT(zoo, zoo_int81), 3);
	for (u64 la = ALIAS; la < ALIAS + 0x100000; la += PAGE_SIZE)
		*pte(m, la) = 0;
}

#endif
