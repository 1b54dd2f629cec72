/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot entry of the 32-bit kernels: flat protected mode, paging off. */
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
	push $0
	popf
	call console_init
	call traps_init
	call kmain
	call finish

	.data
	.global multiboot_magic, multiboot_info
multiboot_magic: .long 0
multiboot_info: .long 0

	.bss
	.balign 16
	.skip 16384
	.global stack_top
stack_top:
	.section .note.GNU-stack, "", @progbits
