/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Accesses for the paging tables, both widths and any place: to be copied to where a ring may run it. */
	.text
	.global access_code, access_read, access_write, access_fs, access_code_end
access_code:
#ifdef __x86_64__
access_read:
	mov (%rdi), %al
	int $0x80
access_write:
	mov %al, (%rdi)
	int $0x80
#else
access_read:
	mov (%edi), %al
	int $0x80
access_write:
	mov %al, (%edi)
	int $0x80
#endif
access_fs:
	mov %ax, %fs
	int $0x80
access_code_end:
	.section .note.GNU-stack, "", @progbits
