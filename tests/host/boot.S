/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The boot sector of the disk that Bochs starts: copies pieces of the disk to where they belong, by PIO from the first
 * ATA disk, and enters the kernel by PVH. The table at the end of the sector is filled in by image.c: how many pieces,
 * then for each its first sector, number of sectors and physical address. */
#define TABLE 0x7d00 /* count, entry point, start_info; then 12 bytes a piece */

	.code16
	.globl _start
_start:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	inb $0x92, %al /* A20 */
	orb $2, %al
	outb %al, $0x92
	lgdtl gdtr
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $8, $protected

	.code32
protected:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $0x7c00, %esp
	cld
	movl $TABLE + 12, %esi
piece:
	decl TABLE
	js enter
	movl 8(%esi), %edi
command:
	movl 4(%esi), %ecx /* up to 256 sectors at a time */
	testl %ecx, %ecx
	jz done
	cmpl $256, %ecx
	jbe fits
	movl $256, %ecx
fits:
	movw $0x1f2, %dx
	movb %cl, %al
	outb %al, %dx
	movl (%esi), %eax
	incl %edx
	outb %al, %dx
	shrl $8, %eax
	incl %edx
	outb %al, %dx
	shrl $8, %eax
	incl %edx
	outb %al, %dx
	shrl $8, %eax
	andb $0x0f, %al
	orb $0xe0, %al
	incl %edx
	outb %al, %dx
	incl %edx
	movb $0x20, %al
	outb %al, %dx
	addl %ecx, (%esi)
	subl %ecx, 4(%esi)
	movl %ecx, %ebx
sector:
	movw $0x1f7, %dx
	inb %dx, %al
	testb $0x80, %al
	jnz sector
	testb $0x08, %al
	jz sector
	movw $0x1f0, %dx
	movl $128, %ecx
	rep insl
	decl %ebx
	jnz sector
	jmp command
done:
	addl $12, %esi
	jmp piece
enter:
	movl TABLE + 8, %ebx
	jmpl *TABLE + 4

	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
gdtr:
	.word 23
	.long gdt
