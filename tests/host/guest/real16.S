/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A 16-bit guest: entered by Multiboot, it leaves protected mode at once. Real mode with segments, its own interrupt
 * table, software interrupts, timer interrupts, string instructions, 32-bit operands and addresses, the TSC. */
	.section .multiboot, "a"
	.balign 4
	.long 0x1badb002, 3, -(0x1badb002 + 3)

	.text
	.code32
	.globl start
start:
	cli
	mov $real, %esi
	mov $0x8000, %edi
	mov $real_end - real, %ecx
	cld
	rep movsb
	lgdt gdtr
	ljmp $8, $half - real + 0x8000

#define AT(label) ((label) - real + 0x8000)
	.code16
real:
half:
	mov $16, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %fs
	mov %ax, %gs
	mov %ax, %ss
	mov %cr0, %eax
	and $~1, %al
	mov %eax, %cr0
	ljmp $0x800, $(go - real)
go:
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %ss
	mov $0x7000, %sp
	mov $0x2000, %ax
	mov %ax, %es
	lidt %cs:ivt - real
	/* INT 40h and the timer, IRQ 0, as vector 8 */
	movw $handler - real, 0x40 * 4
	movw $0x800, 0x40 * 4 + 2
	movw $tick - real, 8 * 4
	movw $0x800, 8 * 4 + 2
	movb $0x11, %al
	out %al, $0x20
	movb $8, %al
	out %al, $0x21
	movb $4, %al
	out %al, $0x21
	movb $1, %al
	out %al, $0x21
	movb $0xfe, %al
	out %al, $0x21
	movb $0x34, %al
	out %al, $0x43
	movb $40, %al
	out %al, $0x40
	xor %al, %al
	out %al, $0x40
	movw $0, 0x600
	movw $0, 0x602
	mov $7, %ax
	int $0x40
	cmpw $14, %ax
	jne bad
	sti
	xor %edx, %edx
	mov $2500, %cx
1:	imul $1103515245, %edx, %edx
	add $12345, %edx
	mov %edx, %eax
	shr $16, %eax
	mov %ax, %bx
	and $0xffe, %bx
	mov %ax, %es:(%bx)
	loop 1b
	/* copy 4 KiB within the segment, backwards and forwards */
	push %ds
	push %es
	pop %ds
	xor %si, %si
	mov $0x1000, %di
	mov $0x800, %cx
	rep movsw
	std
	mov $0x1ffe, %si
	mov $0x2ffe, %di
	mov $0x800, %cx
	rep movsw
	cld
	pop %ds
	rdtsc
	mov %eax, %es:0x4000
	/* a 32-bit address within the limit, one operand-size prefix after another */
	mov $0x604, %ebx
	movl $0x11223344, (%ebx)
	addl $1, (%ebx)
	pushf
	pop %ax
	pushfl
	popfl
2:	hlt
	cmpw $3, 0x600
	jb 2b
	cli
	mov $0x10, %al
	out %al, $0xf4
bad:	mov $0x11, %al
	out %al, $0xf4
3:	hlt
	jmp 3b
handler:
	add %ax, %ax
	incw 0x602
	iret
tick:
	push %ax
	incw %ss:0x600
	mov $0x20, %al
	out %al, $0x20
	pop %ax
	iret
	.balign 4
ivt:
	.word 0x3ff
	.long 0
real_end:

	.data
	.balign 8
gdt:
	.quad 0
	.quad 0x00009b000000ffff /* 16-bit code, base 0 */
	.quad 0x000093000000ffff
gdtr:
	.word 23
	.long gdt
	.section .note.GNU-stack, "", @progbits
