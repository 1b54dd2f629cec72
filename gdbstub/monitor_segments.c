/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segment registers and the tables behind them, in the formats of each mode (SDM 3A chapters 3, 6 and 8). */
#include "gdbstub/monitor_internal.h"

#define TABLE_MAX 8192 /* entries that a selector can name */
#define LINES_MAX 512
#define VECTORS   256

/* Bytes of a table at linear @base; outside long mode addresses wrap at 4 GiB. */
static bool read_table(const struct call *c, u64 base, u64 offset, void *buf, size_t len)
{
	u64 la = base + offset;

	if (!x86_long_mode(call_regs(c)))
		la = (u32)la;
	return target_read(c->target, c->vcpu, TARGET_LINEAR, la, buf, len) == len;
}

/* System descriptors and gates; those that a bare mode change renames have their size put before them. */
static const char *const system_names[16] = {
    "reserved",
    "16-bit TSS",
    "LDT",
    "16-bit TSS busy",
    "16-bit call gate",
    "task gate",
    "16-bit interrupt gate",
    "16-bit trap gate",
    "reserved",
    "TSS",
    "reserved",
    "TSS busy",
    "call gate",
    "reserved",
    "interrupt gate",
    "trap gate",
};

static void print_kind(const struct call *c, u32 ar)
{
	static const struct monitor_flag code[] = {
	    {AR_RW, "readable"}, {AR_DC, "conforming"}, {AR_ACCESSED, "accessed"}, {0, NULL}};
	static const struct monitor_flag data[] = {
	    {AR_RW, "writable"}, {AR_DC, "expand-down"}, {AR_ACCESSED, "accessed"}, {0, NULL}};
	const bool long_mode = x86_long_mode(call_regs(c));
	const char *size = long_mode && ar & AR_L && ar & AR_CODE ? "64-bit" : ar & AR_DB ? "32-bit" : "16-bit";

	fprintf(c->out, " DPL %u ", (ar & AR_DPL) >> AR_DPL_SHIFT);
	if (ar & AR_S) {
		fprintf(c->out, "%s %s", size, ar & AR_CODE ? "code" : "data");
		monitor_flags(c->out, ar, ar & AR_CODE ? code : data);
	} else {
		fputs(system_names[ar & AR_TYPE], c->out);
	}
	if (!(ar & AR_P))
		fputs(" not present", c->out);
}

static void print_segment(const struct call *c, const struct x86_segment *s)
{
	fprintf(c->out, "base %016llx limit %08x", (unsigned long long)s->base, s->limit);
	print_kind(c, s->ar);
	fputc('\n', c->out);
}

int monitor_info_segments(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	static const char *const names[SEG_ALL] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
	struct call c = call_begin(opaque, t, vcpu, args, out);
	const struct x86_state *regs = call_regs(&c);

	if (call_end(&c) < 0)
		return -EINVAL;
	for (unsigned i = 0; i < SEG_ALL; i++) {
		fprintf(out, "%-5s%04x ", names[i], regs->seg[i].selector);
		if (regs->seg[i].ar & AR_UNUSABLE)
			fprintf(out, "base %016llx unusable\n", (unsigned long long)regs->seg[i].base);
		else
			print_segment(&c, &regs->seg[i]);
	}
	fprintf(out, "gdtr      base %016llx limit %04x\n", (unsigned long long)regs->gdtr.base, regs->gdtr.limit);
	fprintf(out, "idtr      base %016llx limit %04x\n", (unsigned long long)regs->idtr.base, regs->idtr.limit);
	return 0;
}

/* --- GDT and LDT --- */

static bool is_gate(u64 descriptor)
{
	unsigned type = descriptor >> 40 & AR_TYPE;

	return !(descriptor >> 40 & AR_S) && (type == 4 || type == 5 || type == 12);
}

/* System descriptors take two places in long mode. */
static bool is_wide(const struct call *c, u64 descriptor)
{
	return x86_long_mode(call_regs(c)) && !(descriptor >> 40 & AR_S) && descriptor >> 40 & AR_TYPE;
}

static struct x86_segment parse_descriptor(u64 d, u64 high)
{
	struct x86_segment s = {
	    .base = (d >> 16 & 0xffffff) | (d >> 56 << 24) | high << 32,
	    .limit = (d & 0xffff) | (d >> 32 & 0xf0000),
	    .ar = d >> 40 & 0xf0ff,
	};

	if (s.ar & AR_G)
		s.limit = s.limit << 12 | 0xfff;
	return s;
}

/* A gate of a descriptor table: where it leads. @high: the upper half of a 64-bit one. */
static void print_gate(const struct call *c, u64 d, u64 high)
{
	u64 offset = (d & 0xffff) | (d >> 32 & 0xffff0000) | high << 32;

	fprintf(c->out, "%04llx:%0*llx", (unsigned long long)(d >> 16 & 0xffff), x86_long_mode(call_regs(c)) ? 16 : 8,
		(unsigned long long)offset);
	print_kind(c, d >> 40 & 0xff);
}

struct dtable {
	const char *name;
	u64 base;
	u32 entries;
};

/* 1: printed; 0: an empty one; -1: its memory can't be read. *@places: how many it takes. */
static int print_descriptor(const struct call *c, const struct dtable *table, u32 n, unsigned *places)
{
	u64 d, high = 0;

	*places = 1;
	if (!read_table(c, table->base, n * 8ull, &d, 8))
		return -1;
	if (!d)
		return 0;
	if (is_wide(c, d) && n + 1 < table->entries && read_table(c, table->base, n * 8ull + 8, &high, 8))
		*places = 2;
	fprintf(c->out, "[%4u] %04x ", n, n * 8);
	if (is_gate(d)) {
		print_gate(c, d, (u32)high);
		fputc('\n', c->out);
	} else {
		struct x86_segment s = parse_descriptor(d, (u32)high);

		print_segment(c, &s);
	}
	return 1;
}

static void list_descriptors(const struct call *c, const struct dtable *table)
{
	unsigned places, lines = 0;

	for (u32 n = 0; n < table->entries; n += places) {
		int ret;

		if (lines == LINES_MAX) {
			fprintf(c->out, "... and so on; with an INDEX the command shows one entry.\n");
			return;
		}
		ret = print_descriptor(c, table, n, &places);
		if (ret < 0) {
			fprintf(c->out, "[%4u] not mapped\n", n);
			return;
		}
		lines += ret;
	}
	if (!lines)
		fprintf(c->out, "All entries are empty.\n");
}

/* All entries, or the one that the arguments name. */
static int print_dtable(struct call *c, const struct dtable *table)
{
	u64 index = TABLE_MAX;
	unsigned places;
	int ret;

	if (!table->entries)
		return call_fail(c, "The %s has no entries.", table->name);
	if (call_optional(c, "INDEX", 0, table->entries - 1, &index) < 0 || call_end(c) < 0)
		return -EINVAL;
	fprintf(c->out, "%s at 0x%llx, %u entries\n", table->name, (unsigned long long)table->base, table->entries);
	if (index == TABLE_MAX) {
		list_descriptors(c, table);
		return 0;
	}
	ret = print_descriptor(c, table, index, &places);
	if (ret <= 0)
		fprintf(c->out, "[%4u] %s\n", (unsigned)index, ret ? "not mapped" : "empty");
	return 0;
}

int monitor_info_gdt(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	const struct x86_state *regs = call_regs(&c);
	const struct dtable table = {"GDT", regs->gdtr.base, (regs->gdtr.limit + 1u) / 8};

	return print_dtable(&c, &table);
}

int monitor_info_ldt(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	const struct x86_segment *ldtr = &call_regs(&c)->seg[SEG_LDTR];
	struct dtable table = {"LDT", ldtr->base, min64((ldtr->limit + 1ull) / 8, TABLE_MAX)};

	if (ldtr->ar & AR_UNUSABLE)
		table.entries = 0;
	return print_dtable(&c, &table);
}

/* --- IDT --- */

static const char *const vector_names[] = {
    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL,  "#TS",
    "#NP", "#SS", "#GP", "#PF", NULL,  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
};

/* Bytes of an entry: far pointers in real mode. */
static unsigned idt_size(const struct x86_state *regs)
{
	return !(regs->cr0 & CR0_PE) ? 4 : x86_long_mode(regs) ? 16 : 8;
}

/* As print_descriptor(): 0 is one that is not present. */
static int print_vector(const struct call *c, unsigned n, bool absent_too)
{
	const struct x86_state *regs = call_regs(c);
	const char *name = n < ARRAY_SIZE(vector_names) && vector_names[n] ? vector_names[n] : "";
	unsigned size = idt_size(regs);
	u64 entry[2] = {0};

	if (!read_table(c, regs->idtr.base, (u64)n * size, entry, size))
		return -1;
	if (size > 4 && !(entry[0] >> 40 & AR_P) && !absent_too)
		return 0;
	fprintf(c->out, "[%3u] %-4s", n, name);
	if (size == 4) {
		fprintf(c->out, "%04llx:%04llx", (unsigned long long)(entry[0] >> 16),
			(unsigned long long)(entry[0] & 0xffff));
	} else {
		print_gate(c, entry[0], (u32)entry[1]);
		if (size == 16 && entry[0] >> 32 & 7)
			fprintf(c->out, " IST %u", (unsigned)(entry[0] >> 32 & 7));
	}
	fputc('\n', c->out);
	return 1;
}

static void list_vectors(const struct call *c, unsigned count)
{
	unsigned absent = 0;

	for (unsigned n = 0; n < count; n++) {
		int ret = print_vector(c, n, false);

		if (ret < 0) {
			fprintf(c->out, "[%3u] not mapped\n", n);
			return;
		}
		absent += !ret;
	}
	if (absent)
		fprintf(c->out, "%u more are not present.\n", absent);
}

int monitor_info_idt(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	const struct x86_state *regs = call_regs(&c);
	unsigned count = min64((regs->idtr.limit + 1u) / idt_size(regs), VECTORS);
	u64 vector = VECTORS;

	if (!count)
		return call_fail(&c, "The IDT has no entries.");
	if (call_optional(&c, "VECTOR", 0, count - 1, &vector) < 0 || call_end(&c) < 0)
		return -EINVAL;
	fprintf(out, "IDT at 0x%llx, %u vectors of %u bytes\n", (unsigned long long)regs->idtr.base, count,
		idt_size(regs));
	if (vector == VECTORS)
		list_vectors(&c, count);
	else if (print_vector(&c, vector, true) < 0)
		fprintf(out, "[%3u] not mapped\n", (unsigned)vector);
	return 0;
}

/* --- TSS --- */

struct tss_field {
	const char *name;
	u8 offset, size;
};

/* SDM 3A, figures 8-11, 8-2 and 8-10. */
static const struct tss_field tss64[] = {
    {"rsp0", 4, 8},  {"rsp1", 12, 8}, {"rsp2", 20, 8}, {"ist1", 36, 8}, {"ist2", 44, 8},   {"ist3", 52, 8},
    {"ist4", 60, 8}, {"ist5", 68, 8}, {"ist6", 76, 8}, {"ist7", 84, 8}, {"iomap", 102, 2}, {0},
};
static const struct tss_field tss32[] = {
    {"link", 0, 2}, {"esp0", 4, 4},    {"ss0", 8, 2},     {"esp1", 12, 4},
    {"ss1", 16, 2}, {"esp2", 20, 4},   {"ss2", 24, 2},    {"cr3", 28, 4},
    {"eip", 32, 4}, {"eflags", 36, 4}, {"eax", 40, 4},    {"ecx", 44, 4},
    {"edx", 48, 4}, {"ebx", 52, 4},    {"esp", 56, 4},    {"ebp", 60, 4},
    {"esi", 64, 4}, {"edi", 68, 4},    {"es", 72, 2},     {"cs", 76, 2},
    {"ss", 80, 2},  {"ds", 84, 2},     {"fs", 88, 2},     {"gs", 92, 2},
    {"ldt", 96, 2}, {"trap", 100, 2},  {"iomap", 102, 2}, {0},
};
static const struct tss_field tss16[] = {
    {"link", 0, 2}, {"sp0", 2, 2}, {"ss0", 4, 2},    {"sp1", 6, 2},  {"ss1", 8, 2}, {"sp2", 10, 2},
    {"ss2", 12, 2}, {"ip", 14, 2}, {"flags", 16, 2}, {"ax", 18, 2},  {"cx", 20, 2}, {"dx", 22, 2},
    {"bx", 24, 2},  {"sp", 26, 2}, {"bp", 28, 2},    {"si", 30, 2},  {"di", 32, 2}, {"es", 34, 2},
    {"cs", 36, 2},  {"ss", 38, 2}, {"ds", 40, 2},    {"ldt", 42, 2}, {0},
};

static void print_tss(const struct call *c, const struct x86_segment *tr, const struct tss_field *fields)
{
	for (const struct tss_field *f = fields; f->name; f++) {
		u64 value = 0;

		if (f->offset + f->size - 1u > tr->limit) {
			fprintf(c->out, "The limit cuts the rest off.\n");
			return;
		}
		if (!read_table(c, tr->base, f->offset, &value, f->size)) {
			fprintf(c->out, "%-7snot mapped\n", f->name);
			return;
		}
		fprintf(c->out, "%-7s%0*llx", f->name, f->size * 2, (unsigned long long)value);
		if (!strcmp(f->name, "iomap"))
			fputs(value > tr->limit ? " behind the limit: no port for user code" : "", c->out);
		fputc('\n', c->out);
	}
}

int monitor_info_tss(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	const struct x86_segment *tr = &call_regs(&c)->seg[SEG_TR];
	const bool wide = tr->ar & 8; /* types 9 and 11; 1 and 3 are 16-bit ones */

	if (call_end(&c) < 0)
		return -EINVAL;
	if (tr->ar & AR_UNUSABLE || !(tr->ar & AR_P))
		return call_fail(&c, "TR holds no TSS.");
	fprintf(out, "tr %04x ", tr->selector);
	print_segment(&c, tr);
	print_tss(&c, tr, !wide ? tss16 : x86_long_mode(call_regs(&c)) ? tss64 : tss32);
	return 0;
}
