/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes of memory, and instructions in them. */
#include "gdbstub/monitor_internal.h"

#include <ctype.h>

#include "gdbstub/disasm.h"
#include "gdbstub/tdesc.h"

#define UNITS_MAX  4096
#define INSNS_MAX  1000
#define STRING_MAX 256
#define ROW        16

static size_t read_code(const struct call *c, enum target_space space, u64 addr, u8 bytes[DISASM_BYTES])
{
	u64 left = ~0ull - addr;

	return target_read(c->target, c->vcpu, space, addr, bytes, left < DISASM_BYTES ? left + 1 : DISASM_BYTES);
}

/* @count instructions from @addr on. Behind bytes that are no instruction nothing is certain, but the next byte may
 * begin one. */
static void print_code(const struct call *c, enum target_space space, u64 addr, u64 count, unsigned bits)
{
	const struct x86_state *regs = call_regs(c);

	for (; count; count--) {
		bool here = space == TARGET_LINEAR && addr == tdesc_pc(regs);
		u64 offset = space == TARGET_LINEAR ? disasm_offset(regs, addr) : addr;
		u8 bytes[DISASM_BYTES];
		size_t n = read_code(c, space, addr, bytes);
		unsigned len;

		fputs(here ? "=> " : "   ", c->out);
		len = disasm_line(c->out, bits, addr, offset, bytes, n);
		if (!n)
			return;
		addr += len ? len : 1;
		if (bits != 64 && space == TARGET_LINEAR)
			addr = (u32)addr;
	}
}

void monitor_print_instruction(const struct call *c)
{
	print_code(c, TARGET_LINEAR, tdesc_pc(call_regs(c)), 1, disasm_bits(call_regs(c)));
}

int monitor_disas(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	u64 addr = tdesc_pc(call_regs(&c)), count = 10, bits = disasm_bits(call_regs(&c));

	if ((*c.s && call_address(&c, "ADDR", &addr) < 0) || call_optional(&c, "COUNT", 1, INSNS_MAX, &count) < 0 ||
	    call_optional(&c, "The mode", 16, 64, &bits) < 0 || call_end(&c) < 0)
		return -EINVAL;
	if (bits != 16 && bits != 32 && bits != 64)
		return call_fail(&c, "The mode is one of 16, 32 and 64.");
	print_code(&c, TARGET_LINEAR, addr, count, bits);
	return 0;
}

static void print_units(const struct call *c, u64 addr, u64 count, unsigned size)
{
	u64 len = count * size;

	while (len) {
		size_t want = min64(len, ROW), n;
		u8 row[ROW];

		n = target_read(c->target, c->vcpu, TARGET_PHYSICAL, addr, row, want);
		fprintf(c->out, "%016llx:", (unsigned long long)addr);
		for (size_t i = 0; i + size <= n; i += size) {
			u64 value = 0;

			memcpy(&value, row + i, size);
			fprintf(c->out, " %0*llx", size * 2, (unsigned long long)value);
		}
		fputs(n < want ? " no RAM\n" : "\n", c->out);
		if (n < want)
			return;
		addr += n;
		len -= n;
	}
}

/* Bytes up to a NUL; a long string is cut, the next one begins behind the cut. */
static void print_strings(const struct call *c, u64 addr, u64 count)
{
	for (; count; count--) {
		char text[STRING_MAX];
		size_t n = target_read(c->target, c->vcpu, TARGET_PHYSICAL, addr, text, sizeof(text));
		size_t len = strnlen(text, n);

		fprintf(c->out, "%016llx: ", (unsigned long long)addr);
		if (!n) {
			fputs("no RAM\n", c->out);
			return;
		}
		fputc('"', c->out);
		for (size_t i = 0; i < len; i++) {
			if (isprint((unsigned char)text[i]) && text[i] != '"' && text[i] != '\\')
				fputc(text[i], c->out);
			else
				fprintf(c->out, "\\x%02x", (u8)text[i]);
		}
		fputs(len == n ? "\"...\n" : "\"\n", c->out);
		addr += len + (len < n);
	}
}

int monitor_xp(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	static const char *const formats[] = {"b", "h", "w", "g", "s", "i"};
	struct call c = call_begin(opaque, t, vcpu, args, out);
	u64 addr, count = 0;
	unsigned format = 2;

	if (call_address(&c, "ADDR", &addr) < 0)
		return -EINVAL;
	if (isdigit((unsigned char)*c.s) && call_optional(&c, "COUNT", 1, UNITS_MAX, &count) < 0)
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		if (call_word(&c, formats[i])) {
			format = i;
			break;
		}
	}
	if (call_end(&c) < 0)
		return -EINVAL;
	if (*formats[format] == 's')
		print_strings(&c, addr, count ? count : 1);
	else if (*formats[format] == 'i')
		print_code(&c, TARGET_PHYSICAL, addr, count ? min64(count, INSNS_MAX) : 10, disasm_bits(call_regs(&c)));
	else
		print_units(&c, addr, count ? count : 16, 1u << format);
	return 0;
}
