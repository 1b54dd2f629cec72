/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/status.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define DRAW_EVERY 0.2 /* seconds */
#define RATE_OVER  1.0

double host_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

char *format_count(char out[FORMAT_MAX], u64 n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = 0;
	return out;
}

char *format_bytes(char out[FORMAT_MAX], u64 bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	double value = bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	if (unit)
		snprintf(out, FORMAT_MAX, "%.1f %s", value, units[unit]);
	else
		snprintf(out, FORMAT_MAX, "%llu bytes", (unsigned long long)bytes);
	return out;
}

char *format_ns(char out[FORMAT_MAX], u64 ns)
{
	snprintf(out, FORMAT_MAX, "%.3f s", ns * 1e-9);
	return out;
}

char *format_ran(char out[2 * FORMAT_MAX], const struct figures *f)
{
	char n[FORMAT_MAX];

	snprintf(out, 2 * FORMAT_MAX, "%s %s", format_count(n, f->insns), f->accesses ? "accesses" : "instructions");
	return out;
}

char *format_rate(char out[FORMAT_MAX], const struct figures *f)
{
	out[0] = 0;
	if (!f->accesses)
		snprintf(out, FORMAT_MAX, " (%.1f MIPS)", figures_mips(f));
	return out;
}

double figures_mips(const struct figures *f)
{
	return f->seconds > 0 ? (f->insns - f->first) / f->seconds / 1e6 : 0;
}

void status_init(struct status *s, bool wanted, const struct console *console)
{
	double now = host_seconds();

	*s = (struct status){.on = wanted && isatty(STDERR_FILENO), .started = now, .drawn = now, .rate_at = now};
	if (console && console->tty)
		s->console = console;
}

void status_clear(void *status)
{
	struct status *s = status;

	if (!s->shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	s->shown = false;
}

static void draw_progress(const struct figures *f)
{
	double done = (double)f->insns / f->last;
	double left = done > 0.005 ? f->seconds / done - f->seconds : -1;

	fprintf(stderr, "  %.0f%%", 100 * (done < 1 ? done : 1));
	if (left >= 0)
		fprintf(stderr, ", %.0f s left", left);
}

void status_draw(struct status *s, struct figures *f)
{
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX];
	double now = host_seconds();

	f->seconds = now - s->started;
	if (!s->on || now - s->drawn < DRAW_EVERY || (s->console && s->console->column))
		return;
	if (now - s->rate_at >= RATE_OVER || !s->mips) {
		s->mips = (f->insns - max64(s->rate_insns, f->first)) / (now - s->rate_at) / 1e6;
		s->rate_at = now;
		s->rate_insns = f->insns;
	}
	s->drawn = now;
	fprintf(stderr, "\r\033[K[%s  %s %s", format_ns(a, f->guest_ns), format_count(b, f->insns),
		f->accesses ? "accesses" : "insns");
	if (!f->accesses)
		fprintf(stderr, "  %.1f MIPS", s->mips);
	if (f->trace_bytes)
		fprintf(stderr, "  %s events", format_count(a, f->events));
	if (f->last)
		draw_progress(f);
	else if (f->trace_bytes)
		fprintf(stderr, "  %s", format_bytes(c, f->trace_bytes));
	fputs("]", stderr);
	fflush(stderr);
	s->shown = true;
}
