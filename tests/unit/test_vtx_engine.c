// SPDX-License-Identifier: GPL-2.0-or-later
/* The parts of the VT-x engine that need no VT-x: registers to and from the module's layout, which exceptions combine to
 * what, and the sentences for a failed VM entry. */
#include <check.h>

#include "vmm/vtx/vtx.h"

START_TEST(registers_round_trip)
{
	struct x86_state a, b;
	static struct vmdbg_regs r;

	x86_state_reset(&a);
	for (unsigned n = 0; n < GPR_COUNT; n++)
		a.gpr[n] = 0x1111111111111111ull * n;
	a.rip = 0xffffffff81000000;
	a.cr0 |= CR0_PE;
	a.cr2 = 0x1234;
	a.kernel_gs_base = 0xffff888000000000;
	a.fpu.fsw = 5 << 11; /* TOP: the stack's order is not the registers' */
	a.fpu.fop = 0x7ff;
	for (unsigned n = 0; n < 8; n++)
		a.fpu.st[n] = (struct x87_reg){n + 1, (u16)(0x4000 + n)};
	for (unsigned n = 0; n < 16; n++)
		memset(a.fpu.xmm[n], (int)n, 16);
	a.seg[SEG_FS].base = 0x7fff12345678;
	vtx_regs_out(&r, &a);
	ck_assert_uint_eq(load64(r.fxsave + 32), 6);
	b = a;
	memset(b.gpr, 0, sizeof(b.gpr));
	memset(&b.fpu, 0, sizeof(b.fpu));
	b.rip = b.cr2 = b.kernel_gs_base = 0;
	memset(b.seg, 0, sizeof(b.seg));
	vtx_regs_in(&b, &r);
	for (const struct field *f = x86_state_fields; f->name; f++)
		ck_assert_msg(!memcmp((u8 *)&a + f->offset, (u8 *)&b + f->offset, (size_t)f->size * f->count), "%s",
			      f->name);
}
END_TEST

START_TEST(segments_in)
{
	struct vmdbg_regs r = {0};
	struct x86_state s;

	x86_state_reset(&s);
	vtx_regs_out(&r, &s);
	s.cr0 |= CR0_PE;
	r.seg[SEG_DS].ar = AR_UNUSABLE | 0x93;
	r.seg[SEG_SS].ar = AR_UNUSABLE | 0x60 | 0x13;
	r.seg[SEG_LDTR] = (struct vmdbg_segment){.base = 0x1000, .limit = 7, .ar = AR_UNUSABLE};
	vtx_regs_in(&s, &r);
	ck_assert_uint_eq(s.seg[SEG_DS].ar, AR_UNUSABLE);
	ck_assert_uint_eq(s.seg[SEG_SS].ar, AR_UNUSABLE | 0x60);
	ck_assert_uint_eq(s.seg[SEG_LDTR].base, 0);
	/* Real mode: the rights of CS stay. */
	s.cr0 &= ~CR0_PE;
	s.seg[SEG_CS].ar = 0x9b;
	r.seg[SEG_CS].ar = 0x93;
	vtx_regs_in(&s, &r);
	ck_assert_uint_eq(s.seg[SEG_CS].ar, 0x9b);
}
END_TEST

START_TEST(exceptions_combine)
{
	ck_assert_int_eq(vtx_combine(true, X86_PF, X86_PF), COMBINED_DOUBLE);
	ck_assert_int_eq(vtx_combine(true, X86_PF, X86_GP), COMBINED_DOUBLE);
	ck_assert_int_eq(vtx_combine(true, X86_GP, X86_PF), COMBINED_SECOND);
	ck_assert_int_eq(vtx_combine(true, X86_GP, X86_NP), COMBINED_DOUBLE);
	ck_assert_int_eq(vtx_combine(true, X86_DE, X86_TS), COMBINED_DOUBLE);
	ck_assert_int_eq(vtx_combine(true, X86_UD, X86_GP), COMBINED_SECOND);
	ck_assert_int_eq(vtx_combine(true, X86_DB, X86_PF), COMBINED_SECOND);
	ck_assert_int_eq(vtx_combine(true, X86_DF, X86_GP), COMBINED_TRIPLE);
	ck_assert_int_eq(vtx_combine(true, X86_DF, X86_PF), COMBINED_TRIPLE);
	/* An interrupt isn't an exception, whatever its number. */
	ck_assert_int_eq(vtx_combine(false, 0x20, X86_GP), COMBINED_SECOND);
	ck_assert_int_eq(vtx_combine(false, X86_DF, X86_GP), COMBINED_SECOND);
}
END_TEST

static const char *why(const struct x86_state *s)
{
	static struct vmdbg_regs r;
	static char out[200];

	memset(&r, 0, sizeof(r));
	vtx_regs_out(&r, s);
	vtx_guest_check(&r, out, sizeof(out));
	return out;
}

START_TEST(entry_failures)
{
	struct x86_state s, good;

	x86_state_reset(&good);
	ck_assert_str_eq(why(&good), "");
	s = good;
	s.cr0 |= CR0_PG;
	ck_assert_ptr_nonnull(strstr(why(&s), "PG without PE"));
	s = good;
	s.efer |= EFER_LMA;
	ck_assert_ptr_nonnull(strstr(why(&s), "EFER.LMA"));
	s = good;
	s.seg[SEG_CS].limit = 0x100000;
	ck_assert_ptr_nonnull(strstr(why(&s), "CS"));
	s = good;
	s.seg[SEG_SS].ar = 0x9b;
	ck_assert_ptr_nonnull(strstr(why(&s), "SS"));
	s = good;
	s.seg[SEG_TR].ar = 0x89;
	ck_assert_ptr_nonnull(strstr(why(&s), "TR"));
	s = good;
	s.rip = 1ull << 32;
	ck_assert_ptr_nonnull(strstr(why(&s), "RIP"));
	s = good;
	s.rflags = 0;
	ck_assert_ptr_nonnull(strstr(why(&s), "RFLAGS"));
	s = good;
	s.gdtr.base = 1ull << 63;
	ck_assert_ptr_nonnull(strstr(why(&s), "GDTR"));
	s = good;
	s.rflags |= RFLAGS_VM;
	s.cr0 |= CR0_PE;
	ck_assert_ptr_nonnull(strstr(why(&s), "virtual-8086"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vtx_engine");
	TCase *t = tcase_create("pure");
	SRunner *r;
	int failed;

	tcase_add_test(t, registers_round_trip);
	tcase_add_test(t, segments_in);
	tcase_add_test(t, exceptions_combine);
	tcase_add_test(t, entry_failures);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
