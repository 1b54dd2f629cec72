/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The monitor's commands that look at the guest: registers, tables, paging, memory; and hostile guests. */
#include "gdbstub/disasm.h"
#include "tests/unit/monitor_rig.h"
#include "vmm/x86/paging.h"

#define CR3   0x5000 /* the fake's page table */
#define TABLE 0x9000 /* GDT, IDT, TSS of the tests */

/* --- registers --- */

START_TEST(registers)
{
	fake.state.rflags |= RFLAGS_IF | RFLAGS_ZF | RFLAGS_IOPL;
	fake.state.gpr[R15] = 0xf00f;
	fake.state.activity = ACTIVITY_HLT;
	ck_has("info registers", "rax 0000000000000000  rcx ");
	ck_still("r15 000000000000f00f\n");
	ck_still("rip 0000000000001000  rflags 00003242 IOPL 3 ZF IF\n");
	ck_still("cs 0010  ss 0018  ds 0000  es 0000  fs 0000  gs 0000  64-bit, ring 0, halted\n");
	fake.state.activity = 77;
	ck_has("info registers", "ring 0\n");
}
END_TEST

START_TEST(control_registers)
{
	ck_has("info cr", "cr0            0000000080000001 PE PG\n");
	ck_still("cr3            0000000000005000\n");
	ck_still("cr4            0000000000000020 PAE\n");
	ck_still("cr8            0000000000000003\n");
	ck_still("efer           0000000000000500 LME LMA\n");
	fake.state.cr4 |= CR4_PCIDE;
	fake.state.cr3 |= 7;
	ck_has("info cr", "PCID 7\n");
	fake.ops.machine_reg = NULL;
	say("info cr");
	ck_hasnt("cr8");
}
END_TEST

START_TEST(msrs)
{
	fake.state.lstar = 0xffffffff81c00000;
	fake.state.sfmask = RFLAGS_IF | RFLAGS_TF;
	fake.state.pat = 0x0007040600070406;
	fake.state.mtrr_def_type = BIT(11) | 6;
	fake.state.mtrr_var[2] = 0xc0000000;
	fake.state.mtrr_var[3] = 0xffc0000000 | BIT(11);
	ck_has("info msr", "apic_base      00000000fee00900 BSP enabled\n");
	ck_hasnt("tsc "); /* the fake has none */
	ck_still("lstar          ffffffff81c00000\n");
	ck_still("sfmask         0000000000000300 TF IF\n");
	ck_still("gs_base        ffff888000000000\n");
	ck_still("pat            0007040600070406 WB WT UC- UC WB WT UC- UC\n");
	ck_still("mtrr_def_type  0000000000000806 WB enabled\n");
	ck_still("mtrr_var1      00000000c0000000 mask 000000ffc0000800 UC\n");
	ck_still("mtrr_4k_f8000  ");
}
END_TEST

START_TEST(debug_registers)
{
	fake.state.dr[1] = 0xffff888000001000;
	fake.state.dr7 = 0x400 | BIT(3) | 1u << 20 | 2u << 22;
	fake.state.dr6 = 0xffff0ff0 | BIT(1) | BIT(14);
	ck_has("info debug", "dr0            0000000000000000 off\n");
	ck_still("dr1            ffff888000001000 write of 8 bytes, global\n");
	ck_still(" B1 BS\n");
}
END_TEST

START_TEST(fpu_registers)
{
	struct x86_fpu *f = &fake.state.fpu;

	f->fsw = 6 << 11 | BIT(14) | BIT(2);
	f->ftw = 0xff;
	f->st[6] = (struct x87_reg){BIT(63), 0x3fff};
	f->st[7] = (struct x87_reg){BIT(63), 0xffff};
	f->st[0] = (struct x87_reg){3ull << 62, 0x7fff};
	f->st[1] = (struct x87_reg){1, 0x4000};
	f->st[2] = (struct x87_reg){BIT(63) | BIT(62), 0xc000};
	f->st[3] = (struct x87_reg){BIT(63), 0}; /* a pseudo-denormal */
	f->xmm[15][15] = 0xab;
	ck_has("info fpu", "fcw 037f rounding nearest, extended precision, unmasked\n");
	ck_still("fsw 7004 TOP 6 ZE C3-C0 1000\n");
	ck_still("st0 3fff 8000000000000000 1 (mm6)\n");
	ck_still("st1 ffff 8000000000000000 -infinity (mm7)\n");
	ck_still("st2 7fff c000000000000000 no number (mm0)\n");
	ck_still("st3 4000 0000000000000001 unsupported encoding (mm1)\n");
	ck_still("st4 c000 c000000000000000 -3 (mm2)\n");
	ck_still("mxcsr 00001f80 rounding nearest, unmasked, flags\n");
	ck_still("xmm15 ab00000000000000");
	f->ftw = 0;
	ck_has("info fpu", "empty (mm6)\n");
}
END_TEST

/* --- descriptor tables --- */

START_TEST(segments)
{
	fake.state.seg[SEG_FS].ar = AR_UNUSABLE;
	fake.state.seg[SEG_TR] = (struct x86_segment){.selector = 0x40, .base = TABLE, .limit = 0x67, .ar = 0x8b};
	fake.state.gdtr = (struct x86_table){TABLE, 0x7f};
	ck_has("info segments", "cs   0010 base 0000000000000000 limit ffffffff DPL 0 64-bit code readable accessed\n");
	ck_still("ss   0018 base 0000000000000000 limit ffffffff DPL 0 32-bit data writable accessed\n");
	ck_still("fs   0000 base 0000000000000000 unusable\n");
	ck_still("gs   0000 base ffff888000000000 ");
	ck_still("tr   0040 base 0000000000009000 limit 00000067 DPL 0 TSS busy\n");
	ck_still("gdtr      base 0000000000009000 limit 007f\n");
}
END_TEST

START_TEST(gdt)
{
	u8 *p = fake.ram + TABLE;

	fake.state.gdtr = (struct x86_table){TABLE, 0x3f};
	store64(p + 8, 0x00cf9a000000ffff);
	store64(p + 16, 0x00af9b000000ffff);
	store64(p + 24, 0xff008b4567890067); /* a TSS of 16 bytes at ffff888012 ... */
	store64(p + 32, 0x00000000ffff8880);
	store64(p + 40, 0x00007e0000000000);
	ck_has("info gdt",
	       "GDT at 0x9000, 8 entries\n"
	       "[   1] 0008 base 0000000000000000 limit ffffffff DPL 0 32-bit code readable\n"
	       "[   2] 0010 base 0000000000000000 limit ffffffff DPL 0 64-bit code readable accessed\n"
	       "[   3] 0018 base ffff8880ff456789 limit 00000067 DPL 0 TSS busy\n"
	       "[   5] 0028 base 0000000000000000 limit 00000000 DPL 3 16-bit code readable conforming not present\n");
	ck_has("info gdt 3", "ffff8880ff456789");
	ck_hasnt("[   1]");
	ck_has("info gdt 7", "[   7] empty\n");
	ck_refuses("info gdt 8");
	/* Outside of long mode it takes one place. */
	fake.state.efer = 0;
	fake.state.seg[SEG_CS].ar = 0xc09b;
	ck_has("info gdt", "[   3] 0018 base 00000000ff456789 limit 00000067 DPL 0 TSS busy\n[   4] 0020 ");
	store64(p + 56, 0x0001ec0000083456); /* call gate */
	ck_has("info gdt 7", "[   7] 0038 0008:00013456 DPL 3 call gate\n");
	ck_has("info ldt", "The LDT has no entries.\n");
	fake.state.seg[SEG_LDTR] = (struct x86_segment){.base = TABLE + 8, .limit = 0xffffffff, .ar = 0x82};
	ck_has("info ldt 0", "LDT at 0x9008, 8192 entries\n[   0] 0000 base 0000000000000000 limit ffffffff");
	fake.state.seg[SEG_LDTR].ar = AR_UNUSABLE;
	ck_has("info ldt", "The LDT has no entries.\n");
}
END_TEST

START_TEST(idt)
{
	u8 *p = fake.ram + TABLE;

	fake.state.idtr = (struct x86_table){TABLE, 0xfff};
	store64(p + 14 * 16, 0x81c08e0300100a60);
	store64(p + 14 * 16 + 8, 0xffffffff);
	store64(p + 128 * 16, 0x1234ef0000105678);
	ck_has("info idt", "IDT at 0x9000, 256 vectors of 16 bytes\n"
			   "[ 14] #PF 0010:ffffffff81c00a60 DPL 0 interrupt gate IST 3\n"
			   "[128]     0010:0000000012345678 DPL 3 trap gate\n"
			   "254 more are not present.\n");
	ck_has("info idt 3", "[  3] #BP 0000:0000000000000000 DPL 0 reserved not present\n");
	ck_refuses("info idt 256");
	fake.state.efer = 0;
	fake.state.seg[SEG_CS].ar = 0xc09b;
	fake.state.idtr.limit = 47;
	memset(p, 0, 48);
	store64(p + 32, 0x0000850000280000);
	store64(p + 40, 0x0001860000100002);
	ck_has("info idt", "IDT at 0x9000, 6 vectors of 8 bytes\n"
			   "[  4] #OF 0028:00000000 DPL 0 task gate\n"
			   "[  5] #BR 0010:00010002 DPL 0 16-bit interrupt gate\n4 more");
	fake.state.cr0 = 0;
	fake.state.idtr = (struct x86_table){0, 0x3ff};
	store32(fake.ram + 8 * 4, 0xf000fea5);
	ck_has("info idt", "IDT at 0x0, 256 vectors of 4 bytes\n");
	ck_still("[  8] #DF f000:fea5\n");
	fake.state.idtr.limit = 2;
	ck_has("info idt", "The IDT has no entries.\n");
}
END_TEST

START_TEST(tss)
{
	u8 *p = fake.ram + TABLE;
	struct x86_segment *tr = &fake.state.seg[SEG_TR];

	ck_refuses("info tss");
	*tr = (struct x86_segment){.selector = 0x40, .base = TABLE, .limit = 0x67, .ar = 0x8b};
	store64(p + 4, 0xffffc90000004000);
	store64(p + 36, 0xfffffe0000002000);
	store16(p + 102, 0x68);
	ck_has("info tss", "tr 0040 base 0000000000009000");
	ck_still("rsp0   ffffc90000004000\n");
	ck_still("ist1   fffffe0000002000\n");
	ck_still("iomap  0068 behind the limit: no port for user code\n");
	tr->limit = 40;
	ck_has("info tss", "rsp2   0000000000000000\nThe limit cuts the rest off.\n");
	tr->base = 0x20000;
	ck_has("info tss", "rsp0   not mapped\n");
	tr->base = TABLE;
	tr->limit = 0x67;
	fake.state.efer = 0;
	store32(p + 4, 0xc0104000);
	ck_has("info tss", "link   0000\nesp0   c0104000\nss0    ");
	tr->ar = 0x83;
	store16(p + 2, 0x4321);
	ck_has("info tss", "link   0000\nsp0    4321\n");
	ck_still("ldt    ");
}
END_TEST

/* --- paging --- */

static void put_pages64(void)
{
	store64(fake.ram + CR3, 0x6000 | PTE_P | PTE_W | PTE_U | PTE_A);
	store64(fake.ram + CR3 + 511 * 8, 0x6000 | PTE_P | PTE_W);
	store64(fake.ram + 0x6000, 0x7000 | PTE_P | PTE_W | PTE_U);
	store64(fake.ram + 0x6008, 0x40000000 | PTE_P | PTE_PS | PTE_G | PTE_W | PTE_NX);
	store64(fake.ram + 0x7000, 0xa000 | PTE_P | PTE_W | PTE_U);
	store64(fake.ram + 0x7008, 0x200000 | PTE_P | PTE_PS | PTE_U | PTE_D);
	store64(fake.ram + 0x7010, 0x20000 | PTE_P); /* a table outside of RAM */
	store64(fake.ram + 0xa000, 0x1000 | PTE_P | PTE_W | PTE_U | PTE_D | PTE_A);
	store64(fake.ram + 0xa008, 0x2000 | PTE_P | PTE_W | PTE_U | PTE_A);
	store64(fake.ram + 0xa010, 0x3000 | PTE_P | PTE_NX);
	store64(fake.ram + 0xa018, 0x4000 | PTE_P | BIT(51));
	fake.state.efer |= EFER_NXE;
	fake.state.cr4 |= CR4_PGE;
}

START_TEST(walk_64)
{
	put_pages64();
	ck_says("walk 0x1234", "4-level paging, CR3 0x5000\n"
			       "PML4E at 0x5000: 0000000000006027 P RW US A\n"
			       "PDPTE at 0x6000: 0000000000007007 P RW US\n"
			       "PDE   at 0x7000: 000000000000a007 P RW US\n"
			       "PTE   at 0xa008: 0000000000002027 P RW US A\n"
			       "Physical 0x2234, 4 KiB page, user rwx\n");
	ck_has("walk 0x2000", "PTE   at 0xa010: 8000000000003001 P XD\nPhysical 0x3000, 4 KiB page, kernel r--\n");
	ck_has("walk 0x3000", "PTE   at 0xa018: 0008000000004001 P\nNot mapped: a reserved bit is set.\n");
	ck_has("walk 0x4000", "PTE   at 0xa020: 0000000000000000 not present\nNot mapped.\n");
	ck_has("walk 0x234567", "PDE   at 0x7008: 00000000002000c5 P US D PS\n"
				"Physical 0x234567, 2 MiB page, user r-x dirty\n");
	ck_has("walk 0xffffff8040000123", "PML4E at 0x5ff8: ");
	ck_still("Physical 0x40000123, 1 GiB page, kernel rw- global\n");
	ck_has("walk 0x400000", "PTE   at 0x20000: no RAM\nNot mapped: a table is outside of RAM.\n");
	ck_has("walk 0x800000000000", "is not canonical");
}
END_TEST

START_TEST(walk_32)
{
	fake.state.efer = 0;
	fake.state.seg[SEG_CS].ar = 0xc09b;
	fake.state.cr4 = CR4_PSE;
	store32(fake.ram + CR3, 0x6000 | PTE_P | PTE_W | PTE_U);
	store32(fake.ram + CR3 + 4 * 0x300, 0x00400000 | 2 << 13 | PTE_P | PTE_PS | PTE_W);
	store32(fake.ram + 0x6004, 0x9000 | PTE_P | PTE_PS);
	ck_says("walk 0x1002", "32-bit paging, CR3 0x5000\n"
			       "PDE   at 0x5000: 00006007 P RW US\n"
			       "PTE   at 0x6004: 00009081 P PAT\n"
			       "Physical 0x9002, 4 KiB page, kernel r-x\n");
	ck_has("walk 0xc0000004", "PDE   at 0x5c00: 00404083 P RW PS\nPhysical 0x200400004, 4 MiB page, kernel rwx\n");
	ck_has("walk 0x2000", "PTE   at 0x6008: 00000000 not present\nNot mapped.\n");
	ck_has("walk 0x100000000", "beyond 4 GiB");
	ck_says("info mem", "32-bit paging, CR3 0x5000\n"
			    "0000000000001000-0000000000001fff            4 KiB kernel r-x\n"
			    "00000000c0000000-00000000c03fffff         4096 KiB kernel rwx\n");
}
END_TEST

START_TEST(walk_pae)
{
	fake.state.efer = 0;
	fake.state.seg[SEG_CS].ar = 0xc09b;
	fake.state.pdpte[3] = 0x6000 | PTE_P;
	store64(fake.ram + 0x6000, 0x7000 | PTE_P | PTE_W);
	store64(fake.ram + 0x7008, 0x8000 | PTE_P | PTE_W);
	ck_says("walk 0xc0001000", "PAE paging, CR3 0x5000\n"
				   "PDPTE 3 (a register, loaded with CR3): 0000000000006001 P\n"
				   "PDE   at 0x6000: 0000000000007003 P RW\n"
				   "PTE   at 0x7008: 0000000000008003 P RW\n"
				   "Physical 0x8000, 4 KiB page, kernel rwx\n");
	ck_has("walk 0", "PDPTE 0 (a register, loaded with CR3): 0000000000000000 not present\nNot mapped.\n");
	ck_says("info mem", "PAE paging, CR3 0x5000\n"
			    "00000000c0001000-00000000c0001fff            4 KiB kernel rwx\n");
	fake.state.cr0 = CR0_PE;
	ck_has("walk 0x12345678", "no paging, CR3 0x5000\nPhysical 0x12345678: ");
	ck_has("info mem", "no paging");
}
END_TEST

START_TEST(info_mem)
{
	put_pages64();
	ck_says("info mem", "4-level paging, CR3 0x5000\n"
			    "0000000000000000-0000000000001fff            8 KiB user rwx\n"
			    "0000000000002000-0000000000002fff            4 KiB kernel r--\n"
			    "0000000000200000-00000000003fffff         2048 KiB user r-x\n"
			    "0000000040000000-000000007fffffff      1048576 KiB kernel rw-\n"
			    "ffffff8000000000-ffffff8000001fff            8 KiB kernel rwx\n"
			    "ffffff8000002000-ffffff8000002fff            4 KiB kernel r--\n"
			    "ffffff8000200000-ffffff80003fffff         2048 KiB kernel r-x\n"
			    "ffffff8040000000-ffffff807fffffff      1048576 KiB kernel rw-\n");
	ck_says("info mem 0x1000 0x2400", "4-level paging, CR3 0x5000\n"
					  "0000000000001000-0000000000001fff            4 KiB user rwx\n"
					  "0000000000002000-0000000000002400            2 KiB kernel r--\n");
	ck_has("info mem 0x80000000 0x90000000", "Nothing is mapped there.\n");
	ck_has("info mem 0x900000000000 0xa00000000000", "Nothing is mapped there.\n");
	ck_has("info mem 0xffffff8000002000", "4-level paging, CR3 0x5000\nffffff8000002000-");
}
END_TEST

/* Every entry is its own table: all addresses are mapped, by 2^36 pages. */
START_TEST(mem_loops)
{
	for (unsigned i = 0; i < 512; i++)
		store64(fake.ram + CR3 + 8 * i, CR3 | PTE_P | PTE_W | PTE_U);
	ck_has("info mem", "0000000000000000-00000000ffffffff      4194304 KiB user rwx\n... and so on; `monitor info "
			   "mem 0x100000000` shows more.\n");
	/* And with rights that change from page to page. */
	for (unsigned i = 0; i < 512; i += 2)
		store64(fake.ram + CR3 + 8 * i, CR3 | PTE_P | PTE_U);
	ck_has("info mem", "... and so on; `monitor info mem 0x");
	ck_has("walk 0x1000", "Physical 0x5000, 4 KiB page, user r-x\n");
}
END_TEST

/* --- memory --- */

START_TEST(memory)
{
	memcpy(fake.ram + 0x3000, "Hello \"x\"\n\0next", 15);
	ck_says("xp 0x1000 3 b", "0000000000001000: 48 ff c0\n");
	ck_says("xp 0x1000 2 h", "0000000000001000: ff48 48c0\n");
	ck_says("xp 0x1000 1", "0000000000001000: 48c0ff48\n");
	ck_says("xp 0x1000 1 g", "0000000000001000: eb90078948c0ff48\n");
	ck_has("xp 0x1000", "0000000000001030: 00000000 00000000 00000000 00000000\n");
	ck_says("xp 0x3000 2 s", "0000000000003000: \"Hello \\x22x\\x22\\x0a\"\n000000000000300b: \"next\"\n");
	ck_says("xp 0x3000 s", "0000000000003000: \"Hello \\x22x\\x22\\x0a\"\n");
	ck_says("xp 0x1000 2 i",
		"   0000000000001000: 48 ff c0  inc %rax\n   0000000000001003: 48 89 07  mov %rax, (%rdi)\n");
	ck_says("xp 0xfffc 2 g", "000000000000fffc: no RAM\n");
	ck_says("xp 0xfffc 2 w", "000000000000fffc: 00000000 no RAM\n");
	ck_says("xp 0x10000 s", "0000000000010000: no RAM\n");
	memset(fake.ram + 0x3000, 'a', 300);
	ck_has("xp 0x3000 2 s", "a\"...\n0000000000003100: \"aaaa");
}
END_TEST

START_TEST(disas)
{
	ck_has("disas", "=> 0000000000001000: 48 ff c0  inc %rax\n   0000000000001003: 48 89 07  mov %rax, (%rdi)\n"
			"   0000000000001006: 90  nop\n   0000000000001007: eb f7  jmp 0x1000\n");
	ck_says("disas rip+6 1", "   0000000000001006: 90  nop\n");
	ck_says("disas 0x1000 2 32", "=> 0000000000001000: 48  dec %eax\n   0000000000001001: ff c0  inc %eax\n");
	ck_says("disas 0x1001 1 16", "   0000000000001001: ff c0  inc %ax\n");
	memset(fake.ram + 0x3000, 0xff, 16);
	ck_has("disas 0x3000 2", "   0000000000003000: ff ... no instruction\n   0000000000003001: ff ... ");
	ck_says("disas 0x20000", "   0000000000020000: not mapped\n");
	/* Real mode: RIP and branch targets are offsets in CS. */
	fake.state.cr0 = fake.state.efer = 0;
	fake.state.seg[SEG_CS] = (struct x86_segment){.selector = 0x100, .base = 0x1000, .limit = 0xffff, .ar = 0x9b};
	fake.state.rip = 7;
	ck_says("disas 0x1007 1", "=> 0000000000001007: eb f7  jmp 0x0\n");
	ck_has("disas", "=> 0000000000001007: eb f7  jmp 0x0\n");
}
END_TEST

START_TEST(calls)
{
	ck_assert(disasm_is_call(64, (const u8 *)"\x90\x90\xe8\0\0\0\0", 7));
	ck_assert(disasm_is_call(64, (const u8 *)"\xff\xd0", 2));
	ck_assert(disasm_is_call(64, (const u8 *)"\x41\xff\x94\xc4\0\0\0\0", 8));
	ck_assert(disasm_is_call(32, (const u8 *)"\x9a\0\0\0\0\x08\0", 7));
	ck_assert(disasm_is_call(16, (const u8 *)"\xe8\0\0", 3));
	ck_assert(!disasm_is_call(64, (const u8 *)"\xe9\0\0\0\0", 5));
	ck_assert(!disasm_is_call(64, (const u8 *)"\xd0", 1));
	ck_assert(!disasm_is_call(64, (const u8 *)"", 0));
	ck_assert(!disasm_is_call(64, (const u8 *)"\x90\x90\x90\x90\x90\x90\x90\x90\x90", 9));
}
END_TEST

/* --- devices --- */

static int show_device(struct target *t, const char *id, FILE *out)
{
	if (id && strcmp(id, "pit"))
		return -ENOENT;
	fprintf(out, "%s\n", id ? "pit: registers" : "pit");
	return 0;
}

START_TEST(devices)
{
	ck_refuses("info devices");
	ck_refuses("info device pit");
	fake.ops.device = show_device;
	ck_says("info devices", "pit\n");
	ck_says("info device pit", "pit: registers\n");
	ck_has("info device pat", "no device \"pat\"");
	ck_refuses("info device");
	ck_refuses("info devices pit");
}
END_TEST

/* --- hostile guests --- */

static u64 random_state = 1;

static u64 random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void random_bytes(void *buf, size_t len)
{
	for (u8 *p = buf; len--; p++)
		*p = random_u64() >> 20;
}

/* Any registers over any memory: every command comes back soon and with lines. */
START_TEST(any_state)
{
	static const char *const lines[] = {
	    "info registers",
	    "info cr",
	    "info msr",
	    "info segments",
	    "info debug",
	    "info fpu",
	    "info idt",
	    "info idt 0",
	    "info gdt",
	    "info gdt 0",
	    "info ldt",
	    "info ldt 0",
	    "info tss",
	    "walk rip",
	    "walk 0x1000",
	    "walk 0xffffffffffffffff",
	    "info mem 0 0x1000000",
	    "xp cr3 4096 b",
	    "xp rsp 9 s",
	    "xp 0 20 i",
	    "disas",
	    "disas rsp 20 16",
	    "disas 0xfff8 20 32",
	};

	for (unsigned round = 0; round < 300; round++) {
		random_bytes(fake.ram, sizeof(fake.ram));
		random_bytes(&fake.state, sizeof(fake.state));
		if (round & 1) { /* things found where they are looked for, more often than by chance */
			fake.state.cr0 |= CR0_PG | CR0_PE;
			fake.state.cr3 = round << 12 & 0xf000;
			fake.state.gdtr.base = fake.state.idtr.base = random_u64() & 0xffff;
			fake.state.seg[SEG_TR].base = fake.state.seg[SEG_LDTR].base = random_u64() & 0xffff;
			fake.state.seg[SEG_TR].ar = fake.state.seg[SEG_LDTR].ar = 0x80 | (round & 15);
			for (unsigned at = 0; at < sizeof(fake.ram); at += 8)
				store64(fake.ram + at, (load64(fake.ram + at) & 0x800000000000fffe) | PTE_P);
		}
		for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
			say(lines[i]);
			ck_assert_uint_gt(strlen(output), 0);
			ck_assert_uint_lt(strlen(output), 200000);
		}
	}
}
END_TEST

/* Tables with the largest limits where nothing is mapped, or at the end of memory. */
START_TEST(tables_unmapped)
{
	static const u64 bases[] = {0x20000, 0xffff, 0xfffffffffff00000, 0x7ffffffffffffff8, 0xfff8};

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		fake.state.gdtr = fake.state.idtr = (struct x86_table){bases[i], 0xffff};
		fake.state.seg[SEG_LDTR] = fake.state.seg[SEG_TR] =
		    (struct x86_segment){.base = bases[i], .limit = ~0u, .ar = 0x8b};
		ck_has("info gdt", " not mapped\n");
		ck_has("info ldt", " not mapped\n");
		ck_has("info gdt 8191", "[8191] not mapped\n");
		if (bases[i] != 0xfff8)
			ck_has("info idt", "[  0] not mapped\n");
		ck_has("info idt 255", "[255] not mapped\n");
		ck_has("info tss", " not mapped\n");
	}
	memset(fake.ram, 0xee, sizeof(fake.ram));
	fake.state.gdtr.base = 0;
	ck_has("info gdt", "... and so on; ");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    registers, control_registers, msrs,      debug_registers, fpu_registers, segments,  gdt,    idt,
	    tss,       walk_64,           walk_32,   walk_pae,        info_mem,      mem_loops, memory, disas,
	    calls,     devices,           any_state, tables_unmapped,
	};

	return run_tests("monitor_guest", tests, ARRAY_SIZE(tests));
}
