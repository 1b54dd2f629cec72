/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Through all modes and back: 64-bit, 32-bit compatibility, protected without paging, 16-bit protected, real, protected,
 * 64-bit again. A debugger steps across each switch. The part that runs in 16-bit segments is copied below 64 KiB. */
	.set LOW, 0x7000

	.text
	.global _start, protected_off, copied, protected_again, long_again, finished
_start:
	cld
	lea stack_top(%rip), %rsp
	mov %cr3, %rax
	mov %eax, saved_cr3(%rip)
	mov $LOW, %edi
	lea low(%rip), %rsi
	mov $low_end - low, %ecx
copied:	rep movsb
	lgdt gdtr(%rip)
	lea stack_top(%rip), %rax
	pushq $0x20
	push %rax
	pushfq
	pushq $0x18
	lea compatibility(%rip), %rax
	push %rax
	iretq

	.code32
	.global compatibility
compatibility:
	mov %cr0, %eax
	and $0x7fffffff, %eax
	mov %eax, %cr0			/* paging off: no long mode any more */
protected_off:
	mov $0xc0000080, %ecx
	rdmsr
	and $~0x100, %eax
	wrmsr
	ljmp $0x10, $LOW

	/* Copied to LOW. */
	.code16
low:
	mov $0x28, %ax			/* 64 KiB segments for real mode */
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %fs
	mov %ax, %ss
	mov %cr0, %eax
	and $~1, %eax
	mov %eax, %cr0
	ljmp $0, $LOW + (real - low)
real:
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %ss
	mov $0x6ff0, %sp
	mov $0x1234, %bx
	push %bx
	pop %si
	mov $0x700, %ax
	mov %ax, %fs
	movb $0x77, %fs:0x800
	lgdtl %cs:LOW + (low_gdtr - low)
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $0x18, $protected_again
low_gdtr:
	.word gdt_end - gdt - 1
	.long gdt
low_end:

	.code32
protected_again:
	mov $0x20, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $stack_top, %esp
	mov %cr4, %eax
	or $0x20, %eax
	mov %eax, %cr4
	mov saved_cr3, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $0x100, %eax
	wrmsr
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	ljmp $0x08, $long_again

	.code64
long_again:
	mov $0x123456789abcdef0, %rbx
	cmp $0x1234, %si
	mov $0x11, %eax
	jne finished
	cmpb $0x77, 0x7800
	jne finished
	mov $0x10, %eax
finished:
	out %eax, $0xf4
1:	cli
	hlt
	jmp 1b

	.data
	.balign 8
	/* 08h 64-bit code (and, for the way down, 30h 32-bit code), 10h 16-bit code, 18h 32-bit code, 20h data, 28h 16-bit
	 * data. */
gdt:	.quad 0, 0x00af9b000000ffff, 0x00009b000000ffff, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x000093000000ffff
gdt_end:
gdtr:	.word gdt_end - gdt - 1
	.quad gdt
	.bss
saved_cr3: .skip 8
	.skip 4096
stack_top:
	.section .note.GNU-stack, "", @progbits
