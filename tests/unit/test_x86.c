/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The CPU model: reset state, CPUID, MSRs. */
#include <check.h>
#include <stdlib.h>

#include "vmm/x86/cpuid.h"
#include "vmm/x86/state.h"

static struct x86_state s;

static void setup(void)
{
	x86_state_reset(&s);
}

/* --- reset state: SDM 3A table 10-1 --- */

START_TEST(test_reset)
{
	ck_assert_uint_eq(s.rip, 0xfff0);
	ck_assert_uint_eq(s.rflags, 2);
	ck_assert_uint_eq(s.cr0, 0x60000010);
	ck_assert_uint_eq(s.cr2 | s.cr3 | s.cr4, 0);
	ck_assert_uint_eq(s.seg[SEG_CS].selector, 0xf000);
	ck_assert_uint_eq(s.seg[SEG_CS].base, 0xffff0000);
	for (unsigned i = 0; i < SEG_ALL; i++) {
		ck_assert_uint_eq(s.seg[i].limit, 0xffff);
		ck_assert(s.seg[i].ar & AR_P);
		if (i != SEG_CS)
			ck_assert_uint_eq(s.seg[i].selector | s.seg[i].base, 0);
		if (i < SEG_COUNT)
			ck_assert_uint_eq(s.seg[i].ar, AR_P | AR_S | AR_RW | AR_ACCESSED);
	}
	ck_assert_uint_eq(s.gdtr.limit, 0xffff);
	ck_assert_uint_eq(s.idtr.limit, 0xffff);
	ck_assert_uint_eq(s.dr6, 0xffff0ff0);
	ck_assert_uint_eq(s.dr7, 0x400);
	for (unsigned i = 0; i <= GPR_COUNT; i++)
		ck_assert_uint_eq(s.gpr[i], i == RDX ? CPU_SIGNATURE : 0);
	ck_assert_uint_eq(s.xcr0, 1);
	ck_assert_uint_eq(s.efer, 0);
	ck_assert_uint_eq(s.fpu.fcw, 0x40);
	ck_assert_uint_eq(s.fpu.fsw, 0);
	ck_assert_uint_eq(s.fpu.ftw, 0xff);
	ck_assert_uint_eq(s.fpu.mxcsr, 0x1f80);
	ck_assert_uint_eq(s.pat, 0x0007040600070406);
	ck_assert_uint_eq(s.misc_enable & 1, 1);
	ck_assert_uint_eq(s.mtrr_def_type, 0);
	ck_assert_uint_eq(x86_cpl(&s), 0);
	ck_assert(!x86_64bit(&s));
}
END_TEST

/* Every byte of the state is in the table once, but for padding and the constant zero register. */
START_TEST(test_fields)
{
	static u8 seen[sizeof(struct x86_state)];
	unsigned missing = 0, padding;

	memset(seen, 0, sizeof(seen));
	for (const struct field *f = x86_state_fields; f->name; f++) {
		ck_assert(f->size == 1 || f->size == 2 || f->size == 4 || f->size == 8);
		for (size_t i = 0; i < (size_t)f->size * f->count; i++)
			ck_assert_msg(!seen[f->offset + i]++, "%s", f->name);
		for (const struct field *g = x86_state_fields; g < f; g++)
			ck_assert_str_ne(f->name, g->name);
	}
	for (size_t i = 0; i < sizeof(seen); i++)
		missing += !seen[i];
	padding = SEG_ALL * (sizeof(struct x86_segment) - 18) + 2 * (sizeof(struct x86_table) - 10) +
		  8 * (sizeof(struct x87_reg) - 10) +
		  (sizeof(struct x86_fpu) - 8 * sizeof(struct x87_reg) - 2 - 2 - 1 - 2 - 8 - 8 - 2 - 2 - 4 - 256);
	/* what is left: gpr[GPR_NONE], alignment before fpu and at the end */
	ck_assert_uint_ge(missing, padding + 8);
	ck_assert_uint_lt(missing, padding + 8 + 16 + 16);
}
END_TEST

/* --- CPUID --- */

static struct cpuid_regs leaf(u32 l, u32 sub)
{
	return x86_cpuid(&s, l, sub, 0, 1, APIC_BASE_ADDR | APIC_BASE_ENABLE);
}

START_TEST(test_cpuid_identity)
{
	struct cpuid_regs r = leaf(0, 0);
	char text[49] = "";

	ck_assert_uint_eq(r.eax, 0x16);
	memcpy(text, &r.ebx, 4);
	memcpy(text + 4, &r.edx, 4);
	memcpy(text + 8, &r.ecx, 4);
	ck_assert_str_eq(text, "GenuineIntel");
	for (unsigned i = 0; i < 3; i++) {
		r = leaf(0x80000002 + i, 0);
		memcpy(text + 16 * i, &r, 16);
	}
	ck_assert_str_eq(text, "vmdbg virtual CPU v2.1");
	r = leaf(1, 0);
	/* family 6 and the model as software composes them */
	ck_assert_uint_eq(r.eax >> 8 & 15, 6);
	ck_assert_uint_eq((r.eax >> 4 & 15) | (r.eax >> 12 & 0xf0), 0x36);
	ck_assert_uint_eq(r.ebx >> 8 & 0xff, 8);
	r = leaf(0x40000000, 0);
	memset(text, 0, sizeof(text));
	memcpy(text, &r.ebx, 4);
	memcpy(text + 4, &r.ecx, 4);
	memcpy(text + 8, &r.edx, 4);
	ck_assert_str_eq(text, "vmdbg vmdbg ");
	r = leaf(0x80000008, 0);
	ck_assert_uint_eq(r.eax & 0xff, CPU_PHYS_BITS);
	ck_assert_uint_eq(r.eax >> 8 & 0xff, 48);
}
END_TEST

/* The features of the x86-64-v2 level (psABI, table 3.1) and what Linux needs besides. */
START_TEST(test_cpuid_features)
{
	static const u8 ecx[] = {0, 9, 13, 17, 19, 20, 22, 23, 24, 26, 31};
	static const u8 edx[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 19, 23, 24, 25, 26, 27};
	static const u8 ebx7[] = {0, 1, 7, 9, 10, 13, 20};
	u32 want;

	want = 0;
	for (unsigned i = 0; i < sizeof(ecx); i++)
		want |= BIT(ecx[i]);
	ck_assert_uint_eq(leaf(1, 0).ecx, want);
	want = 0;
	for (unsigned i = 0; i < sizeof(edx); i++)
		want |= BIT(edx[i]);
	ck_assert_uint_eq(leaf(1, 0).edx, want);
	want = 0;
	for (unsigned i = 0; i < sizeof(ebx7); i++)
		want |= BIT(ebx7[i]);
	ck_assert_uint_eq(leaf(7, 0).ebx, want);
	ck_assert_uint_eq(leaf(7, 0).ecx, BIT(2));
	ck_assert_uint_eq(leaf(7, 0).edx, BIT(4) | BIT(29));
	ck_assert_uint_eq(leaf(0x80000001, 0).ecx, 1);
	ck_assert_uint_eq(leaf(0x80000001, 0).edx, BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29));
	ck_assert_uint_eq(leaf(0x80000007, 0).edx, BIT(8));
	ck_assert_uint_eq(leaf(6, 0).eax, BIT(2));
	/* absent: MONITOR, performance counters */
	ck_assert_uint_eq(leaf(5, 0).eax | leaf(5, 0).ebx | leaf(0xa, 0).eax, 0);
	/* TSC and crystal: 1 GHz */
	ck_assert_uint_eq(leaf(0x15, 0).eax, leaf(0x15, 0).ebx);
	ck_assert_uint_eq(leaf(0x15, 0).ecx, 1000000000);
	ck_assert_uint_eq(leaf(0x16, 0).eax, 1000);
}
END_TEST

START_TEST(test_cpuid_dynamic)
{
	struct cpuid_regs r;

	s.cr4 |= CR4_OSXSAVE;
	ck_assert(leaf(1, 0).ecx & BIT(27));
	r = x86_cpuid(&s, 1, 0, 0, 1, APIC_BASE_ADDR);
	ck_assert(!(r.edx & BIT(9)));
	/* four vCPUs: topology in leaves 1, 4 and Bh */
	r = x86_cpuid(&s, 1, 0, 3, 4, APIC_BASE_ENABLE);
	ck_assert_uint_eq(r.ebx >> 24, 3);
	ck_assert_uint_eq(r.ebx >> 16 & 0xff, 4);
	ck_assert(r.edx & BIT(28));
	r = x86_cpuid(&s, 4, 3, 3, 4, APIC_BASE_ENABLE);
	ck_assert_uint_eq(r.eax >> 14 & 0xfff, 3);
	ck_assert_uint_eq(r.eax >> 26, 3);
	r = x86_cpuid(&s, 0xb, 0, 3, 4, APIC_BASE_ENABLE);
	ck_assert(r.eax == 0 && r.ebx == 1 && r.ecx == 0x100 && r.edx == 3);
	r = x86_cpuid(&s, 0xb, 1, 3, 4, APIC_BASE_ENABLE);
	ck_assert(r.eax == 2 && r.ebx == 4 && r.ecx == 0x201 && r.edx == 3);
	r = x86_cpuid(&s, 0xb, 2, 3, 4, APIC_BASE_ENABLE);
	ck_assert(r.eax == 0 && r.ebx == 0 && r.ecx == 2 && r.edx == 3);
	/* cache sizes: ways * partitions * line * sets */
	r = leaf(4, 2);
	ck_assert_uint_eq(((r.ebx >> 22) + 1) * ((r.ebx & 0xfff) + 1) * (r.ecx + 1), 256 * 1024);
	ck_assert_uint_eq(leaf(4, 4).eax, 0);
	/* XSAVE: x87 and SSE, 576 bytes */
	r = leaf(0xd, 0);
	ck_assert(r.eax == 3 && r.ebx == 576 && r.ecx == 576 && r.edx == 0);
	ck_assert_uint_eq(leaf(0xd, 1).eax, 0xf);
	ck_assert_uint_eq(leaf(0xd, 2).eax, 0);
}
END_TEST

/* Beyond the last leaf Intel CPUs answer with the last basic leaf. */
START_TEST(test_cpuid_range)
{
	static const u32 beyond[] = {0x17, 0x3fffffff, 0x40000001, 0x40000100, 0x80000009, 0xc0000000, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++) {
		struct cpuid_regs r = leaf(beyond[i], 0);

		ck_assert_uint_eq(r.eax, 1000);
		ck_assert_uint_eq(r.ecx, 100);
	}
}
END_TEST

/* --- MSRs --- */

static void accepts(u32 msr, u64 value, u64 reads)
{
	u64 got = ~value;

	ck_assert_msg(x86_wrmsr(&s, msr, value) == 0, "%x refuses %lx", msr, value);
	ck_assert_int_eq(x86_rdmsr(&s, msr, &got), 0);
	ck_assert_uint_eq(got, reads);
}

static void refuses(u32 msr, u64 value)
{
	u64 before = 0, after = 0;
	bool exists = x86_rdmsr(&s, msr, &before) == 0;

	ck_assert_msg(x86_wrmsr(&s, msr, value) == -1, "%x takes %lx", msr, value);
	ck_assert(exists == (x86_rdmsr(&s, msr, &after) == 0));
	ck_assert_uint_eq(before, after);
}

static u64 rdmsr(u32 msr)
{
	u64 value = 0;

	ck_assert_msg(x86_rdmsr(&s, msr, &value) == 0, "%x", msr);
	return value;
}

START_TEST(test_msr_addresses)
{
	static const u32 msrs[] = {MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_LSTAR,         MSR_CSTAR,
				   MSR_FS_BASE,      MSR_GS_BASE,      MSR_KERNEL_GS_BASE};

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		accepts(msrs[i], 0xffff800000000000, 0xffff800000000000);
		accepts(msrs[i], 0x00007fffffffffff, 0x00007fffffffffff);
		refuses(msrs[i], 0x0000800000000000);
		refuses(msrs[i], 0x7fff800000000000);
	}
	ck_assert_uint_eq(s.seg[SEG_FS].base, 0x00007fffffffffff);
	accepts(MSR_STAR, 0x0023001000000000, 0x0023001000000000);
	accepts(MSR_SFMASK, 0x47700, 0x47700);
	accepts(MSR_SYSENTER_CS, 0x10, 0x10);
	accepts(MSR_TSC_AUX, 0xffffffff, 0xffffffff);
	refuses(MSR_TSC_AUX, 1ull << 32);
}
END_TEST

START_TEST(test_msr_efer)
{
	accepts(MSR_EFER, EFER_SCE | EFER_LME | EFER_NXE, EFER_SCE | EFER_LME | EFER_NXE);
	accepts(MSR_EFER, EFER_LME | EFER_LMA, EFER_LME); /* LMA is read-only */
	s.efer |= EFER_LMA;
	s.cr0 |= CR0_PG;
	accepts(MSR_EFER, EFER_LME | EFER_SCE, EFER_LME | EFER_LMA | EFER_SCE);
	refuses(MSR_EFER, EFER_SCE); /* LME while paging */
	s.efer = 0;
	refuses(MSR_EFER, EFER_LME);
	for (unsigned bit = 0; bit < 64; bit++)
		if (!(BIT(bit) & (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)))
			refuses(MSR_EFER, BIT(bit));
}
END_TEST

START_TEST(test_msr_memory_types)
{
	ck_assert_uint_eq(rdmsr(MSR_MTRRCAP), 0x508);
	refuses(MSR_MTRRCAP, 0x508);
	for (unsigned type = 0; type < 256; type++) {
		bool mtrr = type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
		u64 last = 0x0706050400060100 & ~(0xffull << 56);

		ck_assert_int_eq(x86_wrmsr(&s, MSR_MTRR_DEF_TYPE, 0xc00 | type), mtrr ? 0 : -1);
		ck_assert_int_eq(x86_wrmsr(&s, MSR_MTRR_FIX64K, (u64)type << 24), mtrr ? 0 : -1);
		ck_assert_int_eq(x86_wrmsr(&s, MSR_MTRR_PHYSBASE0 + 4, 0xfff000 | type), mtrr ? 0 : -1);
		ck_assert_int_eq(x86_wrmsr(&s, MSR_PAT, last | (u64)type << 56), mtrr || type == 7 ? 0 : -1);
	}
	accepts(MSR_MTRR_PHYSBASE0 + 15, 0xffc0000800, 0xffc0000800);
	refuses(MSR_MTRR_PHYSBASE0 + 1, 0xffc0000400);
	refuses(MSR_MTRR_PHYSBASE0 + 1, 1ull << 40);
	refuses(MSR_MTRR_PHYSBASE0, 1ull << 40);
	refuses(MSR_MTRR_PHYSBASE0, 0x100);
	refuses(MSR_MTRR_PHYSBASE0 + 16, 0);
	refuses(MSR_MTRR_DEF_TYPE, 0x1006);
	refuses(MSR_MTRR_DEF_TYPE, 0x106);
	accepts(MSR_MTRR_FIX16K_A0000, 0x0606060606060606, 0x0606060606060606);
	accepts(MSR_MTRR_FIX4K_C0000 + 7, 0x0505050505050505, 0x0505050505050505);
	ck_assert_uint_eq(s.mtrr_fixed[2], 0x0606060606060606);
	ck_assert_uint_eq(s.mtrr_fixed[10], 0x0505050505050505);
	refuses(MSR_MTRR_FIX4K_C0000 + 8, 0);
	refuses(MSR_MTRR_FIX64K + 1, 0);
}
END_TEST

START_TEST(test_msr_model)
{
	u64 caps = rdmsr(MSR_ARCH_CAPABILITIES), value;

	/* RDCL_NO, MDS_NO, PSCHANGE_MC_NO, TAA_NO; no IBRS_ALL, RSBA, TSX_CTRL, RRSBA */
	ck_assert_uint_eq(caps & 0x161, 0x161);
	ck_assert_uint_eq(caps & (BIT(1) | BIT(2) | BIT(7) | BIT(19)), 0);
	refuses(MSR_ARCH_CAPABILITIES, 0);
	ck_assert_uint_eq(rdmsr(MSR_MCG_CAP), 0);
	refuses(MSR_MCG_CAP, 0);
	accepts(MSR_MCG_STATUS, 4, 4);
	refuses(MSR_MCG_STATUS, 8);
	ck_assert_uint_eq(rdmsr(MSR_FEATURE_CONTROL), 1);
	refuses(MSR_FEATURE_CONTROL, 5);
	ck_assert_uint_ne(rdmsr(MSR_BIOS_SIGN_ID) >> 32, 0);
	accepts(MSR_BIOS_SIGN_ID, 0, CPU_BIOS_SIGN_ID);
	ck_assert_uint_eq(rdmsr(MSR_PLATFORM_ID), 0);
	ck_assert_uint_eq(rdmsr(MSR_PLATFORM_INFO) >> 8 & 0xff, 10);
	accepts(MSR_MISC_ENABLE, CPU_MISC_ENABLE_RESET & ~1ull, CPU_MISC_ENABLE_RESET & ~1ull);
	accepts(MSR_MISC_ENABLE, 1, CPU_MISC_ENABLE_RESET);
	refuses(MSR_MISC_ENABLE, CPU_MISC_ENABLE_RESET | BIT(22));
	refuses(MSR_MISC_ENABLE, CPU_MISC_ENABLE_RESET | BIT(34));
	accepts(MSR_DEBUGCTL, 3, 3);
	refuses(MSR_DEBUGCTL, 4);
	accepts(MSR_XSS, 0, 0);
	refuses(MSR_XSS, 1);
	/* not in this model */
	refuses(MSR_SPEC_CTRL, 0);
	refuses(MSR_PRED_CMD, 1);
	ck_assert_int_eq(x86_rdmsr(&s, MSR_SPEC_CTRL, &value), -1);
	ck_assert_int_eq(x86_rdmsr(&s, 0xc0010000, &value), -1);
	ck_assert_int_eq(x86_rdmsr(&s, 0xffffffff, &value), -1);
}
END_TEST

START_TEST(test_msr_machine)
{
	u64 value;

	for (u32 msr = 0; msr < 0x2000; msr++) {
		bool machine = msr == 0x10 || msr == 0x1b || msr == 0x3b || msr == 0x6e0 ||
			       (msr >= 0x800 && msr < 0x900);

		ck_assert_int_eq(x86_msr_is_machine(msr), machine);
		if (machine)
			ck_assert_int_eq(x86_rdmsr(&s, msr, &value), -1);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("x86");
	TCase *tc = tcase_create("x86");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, test_reset);
	tcase_add_test(tc, test_fields);
	tcase_add_test(tc, test_cpuid_identity);
	tcase_add_test(tc, test_cpuid_features);
	tcase_add_test(tc, test_cpuid_dynamic);
	tcase_add_test(tc, test_cpuid_range);
	tcase_add_test(tc, test_msr_addresses);
	tcase_add_test(tc, test_msr_efer);
	tcase_add_test(tc, test_msr_memory_types);
	tcase_add_test(tc, test_msr_model);
	tcase_add_test(tc, test_msr_machine);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
