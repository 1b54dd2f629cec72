/* SPDX-License-Identifier: GPL-2.0-or-later */
/* void ring_enter(const struct ring_entry *): both widths. */
	.text
	.global ring_enter
ring_enter:
#ifdef __x86_64__
	push 32(%rdi)
	push 24(%rdi)
	push 16(%rdi)
	push 8(%rdi)
	push (%rdi)
	mov 40(%rdi), %rax
	mov 48(%rdi), %rbx
	mov 56(%rdi), %rcx
	mov 64(%rdi), %rdi
	iretq
#else
	mov 4(%esp), %edi
	testb $3, 4(%edi)
	jnz 1f
	testl $0x20000, 8(%edi)
	jnz 1f
	mov 12(%edi), %esp
	jmp 2f
1:	push 16(%edi)
	push 12(%edi)
2:	push 8(%edi)
	push 4(%edi)
	push (%edi)
	mov 20(%edi), %eax
	mov 24(%edi), %ebx
	mov 28(%edi), %ecx
	mov 36(%edi), %edx
	mov 32(%edi), %edi
	mov %edx, %ds
	mov %edx, %es
	iret
#endif
	.section .note.GNU-stack, "", @progbits
