/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers with the names of their bits (SDM 3A chapters 2 and 17, volume 4). */
#include "gdbstub/monitor_internal.h"

#include "gdbstub/disasm.h"

static const struct monitor_flag rflags_names[] = {
    {RFLAGS_CF, "CF"}, {RFLAGS_PF, "PF"}, {RFLAGS_AF, "AF"}, {RFLAGS_ZF, "ZF"},   {RFLAGS_SF, "SF"},
    {RFLAGS_TF, "TF"}, {RFLAGS_IF, "IF"}, {RFLAGS_DF, "DF"}, {RFLAGS_OF, "OF"},   {RFLAGS_NT, "NT"},
    {RFLAGS_RF, "RF"}, {RFLAGS_VM, "VM"}, {RFLAGS_AC, "AC"}, {RFLAGS_VIF, "VIF"}, {RFLAGS_VIP, "VIP"},
    {RFLAGS_ID, "ID"}, {0, NULL},
};
static const struct monitor_flag cr0_names[] = {
    {CR0_PE, "PE"}, {CR0_MP, "MP"}, {CR0_EM, "EM"}, {CR0_TS, "TS"}, {CR0_ET, "ET"}, {CR0_NE, "NE"},
    {CR0_WP, "WP"}, {CR0_AM, "AM"}, {CR0_NW, "NW"}, {CR0_CD, "CD"}, {CR0_PG, "PG"}, {0, NULL},
};
static const struct monitor_flag cr4_names[] = {
    {CR4_VME, "VME"},
    {CR4_PVI, "PVI"},
    {CR4_TSD, "TSD"},
    {CR4_DE, "DE"},
    {CR4_PSE, "PSE"},
    {CR4_PAE, "PAE"},
    {CR4_MCE, "MCE"},
    {CR4_PGE, "PGE"},
    {CR4_PCE, "PCE"},
    {CR4_OSFXSR, "OSFXSR"},
    {CR4_OSXMMEXCPT, "OSXMMEXCPT"},
    {CR4_UMIP, "UMIP"},
    {CR4_LA57, "LA57"},
    {CR4_FSGSBASE, "FSGSBASE"},
    {CR4_PCIDE, "PCIDE"},
    {CR4_OSXSAVE, "OSXSAVE"},
    {CR4_SMEP, "SMEP"},
    {CR4_SMAP, "SMAP"},
    {CR4_PKE, "PKE"},
    {0, NULL},
};
static const struct monitor_flag efer_names[] = {
    {EFER_SCE, "SCE"}, {EFER_LME, "LME"}, {EFER_LMA, "LMA"}, {EFER_NXE, "NXE"}, {0, NULL}};
static const struct monitor_flag xcr0_names[] = {{XCR0_X87, "x87"}, {XCR0_SSE, "SSE"}, {0, NULL}};
static const struct monitor_flag apic_names[] = {
    {APIC_BASE_BSP, "BSP"}, {APIC_BASE_X2, "x2APIC"}, {APIC_BASE_ENABLE, "enabled"}, {0, NULL}};
static const struct monitor_flag no_names[] = {{0, NULL}};

static void print_reg(FILE *out, const char *name, u64 value, const struct monitor_flag *flags)
{
	fprintf(out, "%-15s%016llx", name, (unsigned long long)value);
	monitor_flags(out, value, flags);
	fputc('\n', out);
}

/* A register that a chip holds; nothing when this target can't tell. */
static void print_machine_reg(const struct call *c, const char *name, enum target_machine_reg reg,
			      const struct monitor_flag *flags)
{
	u64 value;

	if (c->target->ops->machine_reg && !c->target->ops->machine_reg(c->target, c->vcpu, reg, &value))
		print_reg(c->out, name, value, flags);
}

void monitor_print_registers(FILE *out, const struct x86_state *r)
{
	static const char *const names[GPR_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
						     "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
	static const char *const activities[] = {"", ", halted", ", shut down", ", waiting for SIPI"};

	for (unsigned i = 0; i < GPR_COUNT; i++)
		fprintf(out, "%-4s%016llx%s", names[i], (unsigned long long)r->gpr[i], i % 4 == 3 ? "\n" : "  ");
	fprintf(out, "rip %016llx  rflags %08llx IOPL %u", (unsigned long long)r->rip, (unsigned long long)r->rflags,
		(unsigned)(r->rflags >> 12 & 3));
	monitor_flags(out, r->rflags, rflags_names);
	fprintf(out, "\ncs %04x  ss %04x  ds %04x  es %04x  fs %04x  gs %04x  %u-bit, ring %u%s\n",
		r->seg[SEG_CS].selector, r->seg[SEG_SS].selector, r->seg[SEG_DS].selector, r->seg[SEG_ES].selector,
		r->seg[SEG_FS].selector, r->seg[SEG_GS].selector, disasm_bits(r), x86_cpl(r),
		activities[r->activity < ARRAY_SIZE(activities) ? r->activity : 0]);
}

int monitor_info_registers(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);

	if (call_end(&c) < 0)
		return -EINVAL;
	monitor_print_registers(out, call_regs(&c));
	return 0;
}

int monitor_info_cr(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	static const struct monitor_flag cr3_names[] = {{PTE_PWT, "PWT"}, {PTE_PCD, "PCD"}, {0, NULL}};
	struct call c = call_begin(opaque, t, vcpu, args, out);
	const struct x86_state *r = call_regs(&c);

	if (call_end(&c) < 0)
		return -EINVAL;
	print_reg(out, "cr0", r->cr0, cr0_names);
	print_reg(out, "cr2", r->cr2, no_names);
	if (r->cr4 & CR4_PCIDE)
		fprintf(out, "%-15s%016llx PCID %u\n", "cr3", (unsigned long long)r->cr3, (unsigned)(r->cr3 & 0xfff));
	else
		print_reg(out, "cr3", r->cr3, cr3_names);
	print_reg(out, "cr4", r->cr4, cr4_names);
	print_machine_reg(&c, "cr8", TARGET_CR8, no_names);
	print_reg(out, "efer", r->efer, efer_names);
	print_reg(out, "xcr0", r->xcr0, xcr0_names);
	return 0;
}

/* --- MSRs --- */

static const char *memory_type(unsigned type)
{
	static const char *const names[] = {"UC", "WC", "?", "?", "WT", "WP", "WB", "UC-"};

	return names[type & 7];
}

/* A memory type in each byte. */
static void print_types(FILE *out, const char *name, u64 value)
{
	fprintf(out, "%-15s%016llx", name, (unsigned long long)value);
	for (unsigned i = 0; i < 8; i++)
		fprintf(out, " %s", memory_type(value >> 8 * i));
	fputc('\n', out);
}

static void print_mtrrs(FILE *out, const struct x86_state *r)
{
	static const char *const fixed[] = {"64k_00000", "16k_80000", "16k_a0000", "4k_c0000", "4k_c8000", "4k_d0000",
					    "4k_d8000",  "4k_e0000",  "4k_e8000",  "4k_f0000", "4k_f8000"};

	fprintf(out, "%-15s%016llx %s%s%s\n", "mtrr_def_type", (unsigned long long)r->mtrr_def_type,
		memory_type(r->mtrr_def_type), r->mtrr_def_type & BIT(11) ? " enabled" : "",
		r->mtrr_def_type & BIT(10) ? " fixed" : "");
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
		char name[24];

		snprintf(name, sizeof(name), "mtrr_%s", fixed[i]);
		print_types(out, name, r->mtrr_fixed[i]);
	}
	for (unsigned i = 0; i < MTRR_VAR_COUNT; i++) {
		u64 base = r->mtrr_var[2 * i], mask = r->mtrr_var[2 * i + 1];

		fprintf(out, "mtrr_var%u      %016llx mask %016llx %s%s\n", i, (unsigned long long)base,
			(unsigned long long)mask, memory_type(base), mask & BIT(11) ? "" : " off");
	}
}

int monitor_info_msr(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	const struct x86_state *r = call_regs(&c);

	if (call_end(&c) < 0)
		return -EINVAL;
	print_machine_reg(&c, "tsc", TARGET_TSC, no_names);
	print_machine_reg(&c, "apic_base", TARGET_APIC_BASE, apic_names);
	print_reg(out, "efer", r->efer, efer_names);
	print_reg(out, "star", r->star, no_names);
	print_reg(out, "lstar", r->lstar, no_names);
	print_reg(out, "cstar", r->cstar, no_names);
	print_reg(out, "sfmask", r->sfmask, rflags_names);
	print_reg(out, "fs_base", r->seg[SEG_FS].base, no_names);
	print_reg(out, "gs_base", r->seg[SEG_GS].base, no_names);
	print_reg(out, "kernel_gs_base", r->kernel_gs_base, no_names);
	print_reg(out, "tsc_aux", r->tsc_aux, no_names);
	print_reg(out, "sysenter_cs", r->sysenter_cs, no_names);
	print_reg(out, "sysenter_esp", r->sysenter_esp, no_names);
	print_reg(out, "sysenter_eip", r->sysenter_eip, no_names);
	print_reg(out, "misc_enable", r->misc_enable, no_names);
	print_reg(out, "debugctl", r->debugctl, no_names);
	print_reg(out, "spec_ctrl", r->spec_ctrl, no_names);
	print_types(out, "pat", r->pat);
	print_mtrrs(out, r);
	return 0;
}

/* --- debug registers --- */

int monitor_info_debug(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	static const char *const kinds[] = {"execution", "write", "I/O", "access"};
	static const u8 lengths[] = {1, 2, 8, 4};
	static const struct monitor_flag dr6_names[] = {
	    {BIT(0), "B0"},  {BIT(1), "B1"},  {BIT(2), "B2"},  {BIT(3), "B3"},
	    {BIT(13), "BD"}, {BIT(14), "BS"}, {BIT(15), "BT"}, {0, NULL},
	};
	static const struct monitor_flag dr7_names[] = {{BIT(8), "LE"}, {BIT(9), "GE"}, {BIT(13), "GD"}, {0, NULL}};
	struct call c = call_begin(opaque, t, vcpu, args, out);
	const struct x86_state *r = call_regs(&c);

	if (call_end(&c) < 0)
		return -EINVAL;
	for (unsigned i = 0; i < 4; i++) {
		unsigned on = r->dr7 >> 2 * i & 3, kind = r->dr7 >> (16 + 4 * i) & 3, len = r->dr7 >> (18 + 4 * i) & 3;

		fprintf(out, "dr%u            %016llx", i, (unsigned long long)r->dr[i]);
		if (on)
			fprintf(out, " %s of %u bytes,%s%s\n", kinds[kind], lengths[len], on & 1 ? " local" : "",
				on & 2 ? " global" : "");
		else
			fprintf(out, " off\n");
	}
	print_reg(out, "dr6", r->dr6, dr6_names);
	print_reg(out, "dr7", r->dr7, dr7_names);
	return 0;
}
