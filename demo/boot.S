/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot entry: the low GiB mapped by 2 MiB pages, long mode, a stack, kernel_main(). Then the interrupt stubs. */
	.section .multiboot, "a"
	.balign 4
	.long 0x1badb002, 3, -(0x1badb002 + 3)

	.text
	.code32
	.global start
start:
	cld
	mov $stack_top, %esp
	movl $pdpt + 3, pml4
	movl $pd + 3, pdpt
	mov $pd, %edi
	mov $0x83, %eax
	mov $512, %ecx
1:	mov %eax, (%edi)
	add $0x200000, %eax
	add $8, %edi
	loop 1b
	mov %cr4, %eax
	or $0x20, %eax			/* PAE */
	mov %eax, %cr4
	mov $pml4, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	or $0x100, %eax
	wrmsr
	mov %cr0, %eax
	or $0x80010000, %eax		/* PG, WP */
	mov %eax, %cr0
	lgdt gdtr
	ljmp $8, $1f

	.code64
1:	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %ebp, %ebp
	mov $stack_top, %rsp
	call kernel_main
2:	cli
	hlt
	jmp 2b

	/* Vectors 0 to 47. What trap_common leaves on the stack is struct regs. */
	.altmacro
	.macro stub n
	.balign 16
	.if !((\n == 8) || ((\n >= 10) && (\n <= 14)) || (\n == 17) || (\n == 21))
	push $0
	.endif
	push $\n
	jmp trap_common
	.endm

	.balign 16
	.global trap_stubs
trap_stubs:
	.set i, 0
	.rept 48
	stub %i
	.set i, i + 1
	.endr

trap_common:
	.irp reg, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	push %\reg
	.endr
	cld
	mov %rsp, %rdi
	call trap
	.irp reg, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	pop %\reg
	.endr
	add $16, %rsp
	iretq

	.data
	.balign 8
gdt:	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:	.word 23
	.long gdt

	.bss
	.balign 4096
pml4:	.skip 4096
pdpt:	.skip 4096
pd:	.skip 4096
	.skip 16384
stack_top:
	.section .note.GNU-stack, "", @progbits
