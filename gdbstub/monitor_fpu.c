/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87, MMX and SSE registers (SDM 1 chapters 8 to 10). */
#include "gdbstub/monitor_internal.h"

static const struct monitor_flag exception_names[] = {{BIT(0), "IE"}, {BIT(1), "DE"}, {BIT(2), "ZE"}, {BIT(3), "OE"},
						      {BIT(4), "UE"}, {BIT(5), "PE"}, {0, NULL}};

static const char *const roundings[] = {"nearest", "down", "up", "to zero"};

/* The value where the encoding is one that an FPU makes; the host's printf is not asked about others. */
static void print_value(FILE *out, const struct x87_reg *r)
{
	unsigned exponent = r->se & 0x7fff;
	long double value = 0;

	if (exponent == 0x7fff) {
		fprintf(out, "%s", r->mant == BIT(63) ? (r->se >> 15 ? "-infinity" : "infinity") : "no number");
	} else if (exponent && !(r->mant >> 63)) {
		fprintf(out, "unsupported encoding");
	} else {
		memcpy(&value, &r->mant, 8);
		memcpy((u8 *)&value + 8, &r->se, 2);
		fprintf(out, "%.18Lg", value);
	}
}

static void print_x87(FILE *out, const struct x86_fpu *f)
{
	static const char *const precisions[] = {"single", "reserved", "double", "extended"};
	unsigned top = f->fsw >> 11 & 7;

	fprintf(out, "fcw %04x rounding %s, %s precision, unmasked", f->fcw, roundings[f->fcw >> 10 & 3],
		precisions[f->fcw >> 8 & 3]);
	monitor_flags(out, ~f->fcw & 0x3f, exception_names);
	fprintf(out, "\nfsw %04x TOP %u", f->fsw, top);
	monitor_flags(out, f->fsw & 0x3f, exception_names);
	fprintf(out, "%s C3-C0 %u%u%u%u\n", f->fsw & BIT(7) ? " ES" : "", !!(f->fsw & BIT(14)), !!(f->fsw & BIT(10)),
		!!(f->fsw & BIT(9)), !!(f->fsw & BIT(8)));
	fprintf(out, "fop %04x fip %04x:%016llx fdp %04x:%016llx\n", f->fop, f->fcs, (unsigned long long)f->fip, f->fds,
		(unsigned long long)f->fdp);
	for (unsigned i = 0; i < 8; i++) {
		unsigned n = (top + i) & 7;
		const struct x87_reg *r = &f->st[n];

		fprintf(out, "st%u %04x %016llx ", i, r->se, (unsigned long long)r->mant);
		if (f->ftw >> n & 1)
			print_value(out, r);
		else
			fprintf(out, "empty");
		fprintf(out, " (mm%u)\n", n);
	}
}

int monitor_info_fpu(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	const struct x86_fpu *f = &call_regs(&c)->fpu;

	if (call_end(&c) < 0)
		return -EINVAL;
	print_x87(out, f);
	fprintf(out, "mxcsr %08x rounding %s%s%s, unmasked", f->mxcsr, roundings[f->mxcsr >> 13 & 3],
		f->mxcsr & BIT(15) ? ", flush to zero" : "", f->mxcsr & BIT(6) ? ", denormals are zero" : "");
	monitor_flags(out, ~f->mxcsr >> 7 & 0x3f, exception_names);
	fprintf(out, ", flags");
	monitor_flags(out, f->mxcsr & 0x3f, exception_names);
	fputc('\n', out);
	for (unsigned i = 0; i < 16; i++)
		fprintf(out, "xmm%-2u %016llx%016llx\n", i, (unsigned long long)load64(f->xmm[i] + 8),
			(unsigned long long)load64(f->xmm[i]));
	return 0;
}
