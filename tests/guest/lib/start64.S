/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot entry of the 64-bit kernels: makes page tables (the low 4 GiB, 2 MiB pages, supervisor only), enters long
 * mode, calls kmain(). */
	.section .multiboot, "a"
	.balign 4
	.long 0x1badb002, 3, -(0x1badb002 + 3)

	.text
	.code32
	.global start
start:
	cld
	mov %eax, multiboot_magic
	mov %ebx, multiboot_info
	mov $stack_top, %esp

	movl $boot_pdpt + 3, boot_pml4
	movl $boot_pd + 3, boot_pdpt
	movl $boot_pd + 0x1003, boot_pdpt + 8
	movl $boot_pd + 0x2003, boot_pdpt + 16
	movl $boot_pd + 0x3003, boot_pdpt + 24
	mov $boot_pd, %edi
	mov $0x83, %eax
1:	mov %eax, (%edi)
	add $8, %edi
	add $0x200000, %eax
	jnc 1b

	mov %cr4, %eax
	or $0x620, %eax			/* PAE, OSFXSR, OSXMMEXCPT */
	mov %eax, %cr4
	mov $boot_pml4, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $0x901, %eax			/* LME, NXE, SCE */
	wrmsr
	mov %cr0, %eax
	and $~0x6000000c, %eax		/* CD, NW, TS, EM */
	or $0x80010022, %eax		/* PG, WP, NE, MP */
	mov %eax, %cr0
	lgdt boot_gdtr
	ljmp $8, $long_mode

	.code64
long_mode:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov $stack_top, %rsp
	push $2
	popfq
	call console_init
	call traps_init
	call kmain
	call finish

	.data
	.balign 16
boot_gdt:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdtr:
	.word 23
	.long boot_gdt
	.global multiboot_magic, multiboot_info
multiboot_magic: .long 0
multiboot_info: .long 0

	.bss
	.balign 4096
	.global boot_pml4
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd: .skip 4 * 4096
	.skip 16384
	.global stack_top
stack_top:
	.section .note.GNU-stack, "", @progbits
