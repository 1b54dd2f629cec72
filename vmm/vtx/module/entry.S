/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way in and out of the guest. What the hardware doesn't switch and C can't: the general registers. Everything else
 * is done around this in run.c.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/unwind_hints.h>

#define VMCS_HOST_RSP 0x6c14

	.section .noinstr.text, "ax"

/*
 * int vmdbg_enter(u64 *gpr, int launched): gpr[16] in the order of the instruction encoding; gpr[4] (RSP) is in the
 * VMCS. Returns 0 after a VM exit, 1 when VMLAUNCH or VMRESUME failed.
 */
SYM_FUNC_START(vmdbg_enter)
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	push %rdi
	mov $VMCS_HOST_RSP, %ecx
	vmwrite %rsp, %rcx
	UNWIND_HINT_SAVE
	test %esi, %esi
	mov 0x00(%rdi), %rax
	mov 0x08(%rdi), %rcx
	mov 0x10(%rdi), %rdx
	mov 0x18(%rdi), %rbx
	mov 0x28(%rdi), %rbp
	mov 0x30(%rdi), %rsi
	mov 0x40(%rdi), %r8
	mov 0x48(%rdi), %r9
	mov 0x50(%rdi), %r10
	mov 0x58(%rdi), %r11
	mov 0x60(%rdi), %r12
	mov 0x68(%rdi), %r13
	mov 0x70(%rdi), %r14
	mov 0x78(%rdi), %r15
	mov 0x38(%rdi), %rdi /* MOV leaves the flags of TEST */
	jz 1f
	vmresume
	jmp 2f
1:	vmlaunch
2:	pop %rdi
	mov $1, %eax
	jmp 3f

SYM_INNER_LABEL(vmdbg_exit_here, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR
	push %rdi
	mov 8(%rsp), %rdi
	mov %rax, 0x00(%rdi)
	mov %rcx, 0x08(%rdi)
	mov %rdx, 0x10(%rdi)
	mov %rbx, 0x18(%rdi)
	mov %rbp, 0x28(%rdi)
	mov %rsi, 0x30(%rdi)
	mov %r8, 0x40(%rdi)
	mov %r9, 0x48(%rdi)
	mov %r10, 0x50(%rdi)
	mov %r11, 0x58(%rdi)
	mov %r12, 0x60(%rdi)
	mov %r13, 0x68(%rdi)
	mov %r14, 0x70(%rdi)
	mov %r15, 0x78(%rdi)
	pop %rax
	mov %rax, 0x38(%rdi)
	pop %rdi
	xor %eax, %eax
	/* Nothing of the guest stays in registers that code might use speculatively. */
3:	xor %ecx, %ecx
	xor %edx, %edx
	xor %esi, %esi
	xor %edi, %edi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	RET
SYM_FUNC_END(vmdbg_enter)
