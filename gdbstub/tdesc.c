/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gdbstub/tdesc.h"
#include "gdbstub/tdesc_types.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum reg_kind {
	REG_FIELD, /* @size bytes at @offset of struct x86_state */
	REG_RIP,
	REG_ST, /* @arg: relative to TOP */
	REG_FTAG,
	REG_FOP_POINTER, /* the low half of an x87 pointer at @offset */
	REG_MACHINE,     /* @arg: enum target_machine_reg */
	REG_CPL,
	REG_IP,
	REG_POSITION,
};

enum reg_feature { FEATURE_CORE, FEATURE_SSE, FEATURE_SEGMENTS, FEATURE_SYSTEM, FEATURE_COUNT };

struct reg {
	const char *name, *type, *group;
	enum reg_feature feature : 8;
	enum reg_kind kind : 8;
	u8 bits; /* in packets */
	u8 size;
	u8 arg;
	bool read_only;
	u16 offset;
};

#define AT(member) .offset = offsetof(struct x86_state, member), .size = sizeof(((struct x86_state *)0)->member)

#define CORE(label, member, width, kind_of)                                                        \
	{                                                                                          \
		.name = label, .type = kind_of, .feature = FEATURE_CORE, .bits = width, AT(member) \
	}
#define GPR(label, n)      CORE(label, gpr[n], 64, "int64")
#define SELECTOR(label, n) CORE(label, seg[n].selector, 32, "int32")
#define FPU(label, member)                                                                                      \
	{                                                                                                       \
		.name = label, .type = "int", .group = "float", .feature = FEATURE_CORE, .bits = 32, AT(member) \
	}
#define FPU_SPECIAL(label, how, member)                                                                           \
	{                                                                                                         \
		.name = label, .type = "int", .group = "float", .feature = FEATURE_CORE, .kind = how, .bits = 32, \
		AT(member)                                                                                        \
	}
#define ST(n)                                                                                                      \
	{                                                                                                          \
		.name = "st" #n, .type = "i387_ext", .feature = FEATURE_CORE, .kind = REG_ST, .bits = 80, .arg = n \
	}
#define XMM(n)                                                                                          \
	{                                                                                               \
		.name = "xmm" #n, .type = "vec128", .feature = FEATURE_SSE, .bits = 128, AT(fpu.xmm[n]) \
	}

#define SYSTEM(label, member, width, kind_of)                                                                \
	{                                                                                                    \
		.name = label, .type = kind_of, .group = "system", .feature = FEATURE_SYSTEM, .bits = width, \
		AT(member)                                                                                   \
	}
#define SYS64(label, member) SYSTEM(label, member, 64, "uint64")
#define SEG_REST(label, n) \
	SYSTEM(label "_limit", seg[n].limit, 32, "uint32"), SYSTEM(label "_rights", seg[n].ar, 32, "segment_rights")
#define SEG_BASE(label, n) SYS64(label "_base", seg[n].base)
#define MACHINE(label, n)                                                                                           \
	{                                                                                                           \
		.name = label, .type = "uint64", .group = "system", .feature = FEATURE_SYSTEM, .kind = REG_MACHINE, \
		.bits = 64, .arg = n, .read_only = true                                                             \
	}
#define COMPUTED(label, how)                                                                                \
	{                                                                                                   \
		.name = label, .type = "uint64", .group = "system", .feature = FEATURE_SYSTEM, .kind = how, \
		.bits = 64, .read_only = true                                                               \
	}

/* The order is the numbering. GDB fixes that of the first three features; the fourth may only grow at its end. */
static const struct reg regs_table[] = {
    GPR("rax", RAX),
    GPR("rbx", RBX),
    GPR("rcx", RCX),
    GPR("rdx", RDX),
    GPR("rsi", RSI),
    GPR("rdi", RDI),
    CORE("rbp", gpr[RBP], 64, "data_ptr"),
    CORE("rsp", gpr[RSP], 64, "data_ptr"),
    GPR("r8", R8),
    GPR("r9", R9),
    GPR("r10", R10),
    GPR("r11", R11),
    GPR("r12", R12),
    GPR("r13", R13),
    GPR("r14", R14),
    GPR("r15", R15),
    {.name = "rip", .type = "code_ptr", .feature = FEATURE_CORE, .kind = REG_RIP, .bits = 64},
    CORE("eflags", rflags, 32, "i386_eflags"),
    SELECTOR("cs", SEG_CS),
    SELECTOR("ss", SEG_SS),
    SELECTOR("ds", SEG_DS),
    SELECTOR("es", SEG_ES),
    SELECTOR("fs", SEG_FS),
    SELECTOR("gs", SEG_GS),
    ST(0),
    ST(1),
    ST(2),
    ST(3),
    ST(4),
    ST(5),
    ST(6),
    ST(7),
    FPU("fctrl", fpu.fcw),
    FPU("fstat", fpu.fsw),
    FPU_SPECIAL("ftag", REG_FTAG, fpu.ftw),
    FPU("fiseg", fpu.fcs),
    FPU_SPECIAL("fioff", REG_FOP_POINTER, fpu.fip),
    FPU("foseg", fpu.fds),
    FPU_SPECIAL("fooff", REG_FOP_POINTER, fpu.fdp),
    FPU("fop", fpu.fop),
    XMM(0),
    XMM(1),
    XMM(2),
    XMM(3),
    XMM(4),
    XMM(5),
    XMM(6),
    XMM(7),
    XMM(8),
    XMM(9),
    XMM(10),
    XMM(11),
    XMM(12),
    XMM(13),
    XMM(14),
    XMM(15),
    {.name = "mxcsr", .type = "i386_mxcsr", .group = "vector", .feature = FEATURE_SSE, .bits = 32, AT(fpu.mxcsr)},
    {.name = "fs_base", .type = "int", .feature = FEATURE_SEGMENTS, .bits = 64, AT(seg[SEG_FS].base)},
    {.name = "gs_base", .type = "int", .feature = FEATURE_SEGMENTS, .bits = 64, AT(seg[SEG_GS].base)},

    SYSTEM("cr0", cr0, 64, "cr0_flags"),
    SYS64("cr2", cr2),
    SYS64("cr3", cr3),
    SYSTEM("cr4", cr4, 64, "cr4_flags"),
    MACHINE("cr8", TARGET_CR8),
    SYSTEM("efer", efer, 64, "efer_flags"),
    COMPUTED("cpl", REG_CPL),
    COMPUTED("ip", REG_IP),
    COMPUTED("position", REG_POSITION),
    SEG_BASE("es", SEG_ES),
    SEG_REST("es", SEG_ES),
    SEG_BASE("cs", SEG_CS),
    SEG_REST("cs", SEG_CS),
    SEG_BASE("ss", SEG_SS),
    SEG_REST("ss", SEG_SS),
    SEG_BASE("ds", SEG_DS),
    SEG_REST("ds", SEG_DS),
    SEG_REST("fs", SEG_FS),
    SEG_REST("gs", SEG_GS),
    SYSTEM("ldtr", seg[SEG_LDTR].selector, 32, "int32"),
    SEG_BASE("ldtr", SEG_LDTR),
    SEG_REST("ldtr", SEG_LDTR),
    SYSTEM("tr", seg[SEG_TR].selector, 32, "int32"),
    SEG_BASE("tr", SEG_TR),
    SEG_REST("tr", SEG_TR),
    SYS64("gdtr_base", gdtr.base),
    SYSTEM("gdtr_limit", gdtr.limit, 32, "uint32"),
    SYS64("idtr_base", idtr.base),
    SYSTEM("idtr_limit", idtr.limit, 32, "uint32"),
    SYS64("kernel_gs_base", kernel_gs_base),
    SYS64("star", star),
    SYS64("lstar", lstar),
    SYS64("cstar", cstar),
    SYSTEM("sfmask", sfmask, 64, "uint64"),
    SYS64("tsc_aux", tsc_aux),
    SYS64("sysenter_cs", sysenter_cs),
    SYS64("sysenter_esp", sysenter_esp),
    SYS64("sysenter_eip", sysenter_eip),
    SYS64("pat", pat),
    SYS64("misc_enable", misc_enable),
    SYS64("debugctl", debugctl),
    SYS64("spec_ctrl", spec_ctrl),
    SYS64("feature_control", feature_control),
    SYS64("mtrr_def_type", mtrr_def_type),
    MACHINE("apic_base", TARGET_APIC_BASE),
    MACHINE("tsc", TARGET_TSC),
    SYS64("xcr0", xcr0),
    SYS64("xss", xss),
    SYS64("dr0", dr[0]),
    SYS64("dr1", dr[1]),
    SYS64("dr2", dr[2]),
    SYS64("dr3", dr[3]),
    SYSTEM("dr6", dr6, 64, "dr6_flags"),
    SYSTEM("dr7", dr7, 64, "dr7_flags"),
    {.name = "activity",
     .type = "activity_state",
     .group = "system",
     .feature = FEATURE_SYSTEM,
     .bits = 32,
     .read_only = true,
     AT(activity)},
    {.name = "interruptibility",
     .type = "blocked_flags",
     .group = "system",
     .feature = FEATURE_SYSTEM,
     .bits = 32,
     .read_only = true,
     AT(interruptibility)},
};

unsigned tdesc_count(void)
{
	return ARRAY_SIZE(regs_table);
}

unsigned tdesc_g_count(void)
{
	unsigned n = 0;

	while (regs_table[n].feature != FEATURE_SYSTEM)
		n++;
	return n;
}

static const struct reg *reg_at(unsigned n)
{
	return n < ARRAY_SIZE(regs_table) ? &regs_table[n] : NULL;
}

const char *tdesc_name(unsigned n)
{
	return n < ARRAY_SIZE(regs_table) ? regs_table[n].name : NULL;
}

size_t tdesc_size(unsigned n)
{
	return n < ARRAY_SIZE(regs_table) ? regs_table[n].bits / 8 : 0;
}

u64 tdesc_pc(const struct x86_state *regs)
{
	if (x86_64bit(regs))
		return regs->rip;
	return (u32)(regs->seg[SEG_CS].base + regs->rip);
}

static unsigned fpu_top(const struct x86_fpu *fpu)
{
	return fpu->fsw >> 11 & 7;
}

/* The full tag word (SDM 1 figure 8-7): valid, zero, special or empty for each physical register. */
static u16 fpu_full_tag(const struct x86_fpu *fpu)
{
	u16 tag = 0;

	for (unsigned i = 0; i < 8; i++) {
		const struct x87_reg *r = &fpu->st[i];
		u16 exponent = r->se & 0x7fff, t = 0;

		if (!(fpu->ftw & 1u << i))
			t = 3;
		else if (!exponent && !r->mant)
			t = 1;
		else if (exponent == 0x7fff || !(r->mant >> 63))
			t = 2;
		tag |= t << 2 * i;
	}
	return tag;
}

static bool special_value(struct target *t, unsigned vcpu, const struct x86_state *regs, const struct reg *r,
			  u64 *value)
{
	switch (r->kind) {
	case REG_RIP:
		*value = tdesc_pc(regs);
		return true;
	case REG_IP:
		*value = regs->rip;
		return true;
	case REG_CPL:
		*value = x86_cpl(regs);
		return true;
	case REG_POSITION:
		*value = t->ops->position(t);
		return true;
	case REG_MACHINE:
		return t->ops->machine_reg && t->ops->machine_reg(t, vcpu, r->arg, value) >= 0;
	case REG_FTAG:
		*value = fpu_full_tag(&regs->fpu);
		return true;
	case REG_FOP_POINTER:
		*value = load32((const u8 *)regs + r->offset);
		return true;
	case REG_ST:
		*value = regs->fpu.st[(fpu_top(&regs->fpu) + r->arg) & 7].mant;
		return true;
	case REG_FIELD:
		break;
	}
	return false;
}

bool tdesc_value(struct target *t, unsigned vcpu, const struct x86_state *regs, unsigned n, u64 *value)
{
	const struct reg *r = reg_at(n);
	size_t size;

	if (!r)
		return false;
	if (r->kind != REG_FIELD)
		return special_value(t, vcpu, regs, r, value);
	size = min64(min64(r->size, r->bits / 8), 8);
	*value = 0;
	memcpy(value, (const u8 *)regs + r->offset, size);
	return true;
}

bool tdesc_read(struct target *t, unsigned vcpu, const struct x86_state *regs, unsigned n, u8 out[TDESC_REG_MAX])
{
	const struct reg *r = reg_at(n);
	u64 value;

	memset(out, 0, TDESC_REG_MAX);
	if (!tdesc_value(t, vcpu, regs, n, &value))
		return false;
	if (r->kind == REG_FIELD)
		memcpy(out, (const u8 *)regs + r->offset, min64(r->size, r->bits / 8));
	else
		memcpy(out, &value, min64(sizeof(value), r->bits / 8));
	if (r->kind == REG_ST)
		store16(out + 8, regs->fpu.st[(fpu_top(&regs->fpu) + r->arg) & 7].se);
	return true;
}

static void write_pc(struct x86_state *regs, u64 value)
{
	regs->rip = x86_64bit(regs) ? value : (u32)(value - regs->seg[SEG_CS].base);
}

static void write_full_tag(struct x86_fpu *fpu, u16 tag)
{
	fpu->ftw = 0;
	for (unsigned i = 0; i < 8; i++)
		fpu->ftw |= (tag >> 2 * i & 3) != 3 ? 1u << i : 0;
}

bool tdesc_passes(unsigned n)
{
	const struct reg *r = reg_at(n);

	return r && (r->kind == REG_POSITION || (r->kind == REG_MACHINE && r->arg == TARGET_TSC));
}

int tdesc_write(struct x86_state *regs, unsigned n, const u8 *in)
{
	const struct reg *r = reg_at(n);
	struct x87_reg *st;

	if (!r)
		return -ENOENT;
	if (r->read_only)
		return -EPERM;
	switch (r->kind) {
	case REG_FIELD:
		memcpy((u8 *)regs + r->offset, in, min64(r->size, r->bits / 8));
		return 0;
	case REG_RIP:
		write_pc(regs, load64(in));
		return 0;
	case REG_ST:
		st = &regs->fpu.st[(fpu_top(&regs->fpu) + r->arg) & 7];
		st->mant = load64(in);
		st->se = load16(in + 8);
		return 0;
	case REG_FTAG:
		write_full_tag(&regs->fpu, load16(in));
		return 0;
	case REG_FOP_POINTER:
		store32((u8 *)regs + r->offset, load32(in));
		return 0;
	default:
		return -EPERM;
	}
}

static void xml_feature(FILE *f, enum reg_feature feature)
{
	static const char *const names[FEATURE_COUNT] = {
	    [FEATURE_CORE] = "org.gnu.gdb.i386.core",
	    [FEATURE_SSE] = "org.gnu.gdb.i386.sse",
	    [FEATURE_SEGMENTS] = "org.gnu.gdb.i386.segments",
	    [FEATURE_SYSTEM] = "org.vmdbg.system",
	};
	static const char *const types[FEATURE_COUNT] = {
	    [FEATURE_CORE] = tdesc_types_core,
	    [FEATURE_SSE] = tdesc_types_sse,
	    [FEATURE_SEGMENTS] = "",
	    [FEATURE_SYSTEM] = tdesc_types_system,
	};

	fprintf(f, "<feature name=\"%s\">\n%s", names[feature], types[feature]);
	for (unsigned n = 0; n < ARRAY_SIZE(regs_table); n++) {
		const struct reg *r = &regs_table[n];

		if (r->feature != feature)
			continue;
		fprintf(f, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"", r->name, r->bits, r->type, n);
		if (r->group)
			fprintf(f, " group=\"%s\"", r->group);
		/* They belong to the moment: not to be put back after a call of a guest function. */
		if (r->read_only)
			fprintf(f, " save-restore=\"no\"");
		fprintf(f, "/>\n");
	}
	fprintf(f, "</feature>\n");
}

char *tdesc_xml(size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (!f)
		return NULL;
	fprintf(f, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n"
		   "<architecture>i386:x86-64</architecture>\n");
	for (enum reg_feature feature = 0; feature < FEATURE_COUNT; feature++)
		xml_feature(f, feature);
	fprintf(f, "</target>\n");
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
