/* SPDX-License-Identifier: GPL-2.0-or-later */
/* As trap64.S, for 32-bit kernels. */
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
	pusha
	cld
	mov %esp, %ebx
	push %ds
	push %es
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	push %ebx
	call trap_handle
	add $4, %esp
	test %eax, %eax
	jnz 1f
	pop %es
	pop %ds
	popa
	add $8, %esp
	iret
	/* The end of a try_call(): from whatever privilege and stack, back to the kernel's own. */
1:	mov $0x10, %eax
	mov %eax, %ss
	mov %eax, %ds
	mov %eax, %es
	jmp try_return

	.global try_call, try_return
try_call:
	mov 4(%esp), %eax
	push %ebx
	push %ebp
	push %esi
	push %edi
	pushf
	movl $0, trap_count
	mov %esp, try_sp
	call *%eax
try_return:
	mov try_sp, %esp
	movl $0, try_sp
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	popf
	pop %edi
	pop %esi
	pop %ebp
	pop %ebx
	mov trap_count, %eax
	cld
	ret

	/* void enter_user(struct user_entry *): EIP, CS, EFLAGS, ESP, SS. */
	.global enter_user
enter_user:
	mov 4(%esp), %eax
	push 16(%eax)
	push 12(%eax)
	push 8(%eax)
	push 4(%eax)
	push (%eax)
	mov $0x23, %eax
	mov %eax, %ds
	mov %eax, %es
	xor %eax, %eax
	iret
	.section .note.GNU-stack, "", @progbits
