/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One stub for each of the 256 vectors, the common path to trap_handle(), and try_call(). */
	.text
	.altmacro
	.macro stub n
	.balign 16
	.if !((\n == 8) || ((\n >= 10) && (\n <= 14)) || (\n == 17) || (\n == 21))
	push $0
	.endif
	push $\n
	jmp common
	.endm

	.balign 16
	.global trap_stubs
trap_stubs:
	.set i, 0
	.rept 256
	stub %i
	.set i, i + 1
	.endr

common:
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	cld
	mov %rsp, %rdi
	mov %rsp, %rbx
	and $~15, %rsp
	call trap_handle
	mov %rbx, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

	/* unsigned try_call(void (*fn)(void)) */
	.global try_call, try_return
try_call:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	pushfq
	sub $8, %rsp
	movl $0, trap_count
	mov %rsp, try_sp
	call *%rdi
try_return:
	mov try_sp, %rsp
	movq $0, try_sp
	add $8, %rsp
	popfq
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	mov trap_count, %eax
	cld
	ret

	/* void enter_user(struct user_entry *): RIP, CS, RFLAGS, RSP, SS, then RDI. */
	.global enter_user
enter_user:
	push 32(%rdi)
	push 24(%rdi)
	push 16(%rdi)
	push 8(%rdi)
	push (%rdi)
	mov 40(%rdi), %rdi
	xor %eax, %eax
	xor %ebx, %ebx
	xor %ecx, %ecx
	xor %edx, %edx
	xor %esi, %esi
	xor %ebp, %ebp
	iretq
	.section .note.GNU-stack, "", @progbits
