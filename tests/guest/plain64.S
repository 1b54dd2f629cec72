/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plain ELF64 kernel without any header: says hello on COM1 and leaves through isa-debug-exit. Asks nothing of its
 * entry state but 64-bit mode and its own pages mapped. */
	.text
	.global _start
_start:
	lea stack_top(%rip), %rsp
	lea hello(%rip), %rsi
1:	mov $0x3fd, %edx
	in %dx, %al
	test $0x20, %al
	jz 1b
	lodsb
	test %al, %al
	jz 2f
	mov $0x3f8, %edx
	out %al, %dx
	jmp 1b
2:	push $0x1234
	pop %rax
	cmp $0x1234, %rax
	mov $0x10, %eax
	je 3f
	mov $0x11, %eax
3:	out %eax, $0xf4
4:	cli
	hlt
	jmp 4b

	.section .rodata
hello:	.asciz "hello from plain ELF64\nok entered\ndone: 1 ok, 0 not ok\n"
	.bss
	.skip 4096
stack_top:
	.section .note.GNU-stack, "", @progbits
