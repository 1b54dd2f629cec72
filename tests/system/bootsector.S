/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Boot sector for guest kernels under Bochs: reads an image from the sectors behind it to 1 MiB, as a Multiboot loader
 * would lay it out, and enters it in flat protected mode. three_way.py fills in what stands at `parameters`. */
	.code16
	.text
	.global _start
_start:
	cli
	cld
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %ss
	mov $0x7c00, %sp
	ljmp $0, $1f
1:	mov %dl, drive
	in $0x92, %al			/* A20 */
	or $2, %al
	and $0xfe, %al
	out %al, $0x92

next:	mov sectors, %eax
	test %eax, %eax
	jz done
	mov $64, %ecx
	cmp %ecx, %eax
	jae 1f
	mov %eax, %ecx
1:	mov %cx, packet_count
	sti
	mov $packet, %si
	mov drive, %dl
	mov $0x42, %ah
	int $0x13
	cli
	jc fail
	/* Copies with a data segment of 4 GiB: real mode keeps the limit that protected mode gave. */
	lgdt gdtr
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	mov $0x10, %bx
	mov %bx, %es
	and $0xfe, %al
	mov %eax, %cr0
	xor %bx, %bx
	mov %bx, %es
	movzwl packet_count, %ecx
	sub %ecx, sectors
	add %ecx, packet_lba
	shl $7, %ecx
	mov $0x10000, %esi
	mov target, %edi
1:	mov %es:(%esi), %eax
	mov %eax, %es:(%edi)
	add $4, %esi
	add $4, %edi
	dec %ecx
	jnz 1b
	mov %edi, target
	jmp next

done:	lgdt gdtr
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmp $8, $flat
fail:	mov $'!', %al
	out %al, $0xe9
	hlt
	.code32
flat:	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %eax, %fs
	mov %eax, %gs
	mov $0x2badb002, %eax
	xor %ebx, %ebx
	jmp *entry

	.balign 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:	.word 23
	.long gdt
packet:	.byte 16, 0
packet_count: .word 0
	.word 0, 0x1000
packet_lba: .quad 1
drive:	.byte 0x80

	.org 0x1e0
parameters:
sectors: .long 0
target:	.long 0x100000
entry:	.long 0
	.org 0x1fe
	.word 0xaa55
