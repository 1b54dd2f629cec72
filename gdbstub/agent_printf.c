/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The format is the client's: each directive is taken apart and a safe one put together for snprintf(). */
#include "gdbstub/agent.h"

#include <errno.h>
#include <stdio.h>

#define WIDTH_MAX  512  /* of a field, and digits of a precision */
#define STRING_MAX 4096 /* bytes of a %s without a precision */

struct directive {
	char flags[8];
	unsigned nflags;
	int width, precision; /* -1: not given */
	unsigned size;        /* bytes of an integer argument */
	char conversion;
};

static void text(const struct agent_host *host, const char *s, size_t len)
{
	if (host->text && len)
		host->text(host->opaque, s, len);
}

static int number(const char **s, const char *end)
{
	int n = 0;

	for (; *s < end && **s >= '0' && **s <= '9'; ++*s)
		n = n * 10 + **s - '0' > WIDTH_MAX ? WIDTH_MAX : n * 10 + **s - '0';
	return n;
}

static void length_modifier(const char **s, const char *end, struct directive *d)
{
	d->size = 4;
	for (; *s < end && strchr("hlLqjzt", **s) && **s; ++*s) {
		if (**s == 'h')
			d->size = d->size == 2 ? 1 : 2;
		else
			d->size = 8;
	}
}

static bool parse(const char **s, const char *end, struct directive *d)
{
	*d = (struct directive){.width = -1, .precision = -1};
	for (; *s < end && **s && strchr("-+ #0", **s); ++*s) {
		if (d->nflags < sizeof(d->flags) - 1 && !strchr(d->flags, **s))
			d->flags[d->nflags++] = **s;
	}
	if (*s < end && **s >= '0' && **s <= '9')
		d->width = number(s, end);
	if (*s < end && **s == '.') {
		++*s;
		d->precision = number(s, end);
	}
	length_modifier(s, end, d);
	if (*s >= end)
		return false;
	d->conversion = *(*s)++;
	return true;
}

static u64 truncate_to(u64 v, unsigned size, bool sign)
{
	unsigned shift = 64 - 8 * size;

	return sign ? (u64)((s64)(v << shift) >> shift) : v << shift >> shift;
}

/* "%", flags, width and precision, then @tail. */
static void rebuild(const struct directive *d, const char *tail, char out[64])
{
	int at = sprintf(out, "%%%s", d->flags);

	if (d->width >= 0)
		at += sprintf(out + at, "%d", d->width);
	if (d->precision >= 0)
		at += sprintf(out + at, ".%d", d->precision);
	sprintf(out + at, "%s", tail);
}

/* A string in target memory, up to what can be read; "(null)" for none. */
static void string(const struct agent_host *host, const struct directive *d, u64 addr)
{
	char buf[STRING_MAX + 1];
	size_t len = 0, max = d->precision >= 0 ? (size_t)d->precision : STRING_MAX;
	size_t width = d->width > 0 ? d->width : 0;

	while (addr && len < max && host->mem(host->opaque, addr + len, buf + len, 1) >= 0 && buf[len])
		len++;
	if (!addr)
		len = sprintf(buf, "(null)");
	for (size_t i = len; !strchr(d->flags, '-') && i < width; i++)
		text(host, " ", 1);
	text(host, buf, len);
	for (size_t i = len; strchr(d->flags, '-') && i < width; i++)
		text(host, " ", 1);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static int print_one(const struct agent_host *host, const struct directive *d, u64 value)
{
	char format[64], out[2 * WIDTH_MAX + 512], tail[4] = {'l', 'l', d->conversion};
	double real;
	int n;

	switch (d->conversion) {
	case 'd':
	case 'i':
		rebuild(d, tail, format);
		n = snprintf(out, sizeof(out), format, (long long)truncate_to(value, d->size, true));
		break;
	case 'u':
	case 'o':
	case 'x':
	case 'X':
		rebuild(d, tail, format);
		n = snprintf(out, sizeof(out), format, (unsigned long long)truncate_to(value, d->size, false));
		break;
	case 'p':
		n = snprintf(out, sizeof(out), "0x%llx", (unsigned long long)value);
		break;
	case 'c':
		n = snprintf(out, sizeof(out), "%*c", strchr(d->flags, '-') ? -d->width : d->width, (int)(u8)value);
		break;
	case 's':
		string(host, d, value);
		return 0;
	case 'a':
	case 'A':
	case 'e':
	case 'E':
	case 'f':
	case 'F':
	case 'g':
	case 'G':
		rebuild(d, tail + 2, format);
		memcpy(&real, &value, sizeof(real));
		n = snprintf(out, sizeof(out), format, real);
		break;
	default:
		return -EINVAL;
	}
	text(host, out, n < 0 ? 0 : min64(n, sizeof(out) - 1));
	return 0;
}

#pragma GCC diagnostic pop

static unsigned digits(const char **s, const char *end, unsigned base, unsigned max)
{
	unsigned v = 0;

	for (; max && *s < end; max--, ++*s) {
		int c = **s, d = c >= '0' && c <= '9'                 ? c - '0'
				 : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
								      : 99;

		if (d >= (int)base)
			break;
		v = v * base + d;
	}
	return v;
}

static void escape(const struct agent_host *host, const char **s, const char *end)
{
	static const char from[] = "abefnrtv", to[] = "\a\b\033\f\n\r\t\v";
	const char *known;
	char c;

	if (*s >= end)
		return;
	c = *(*s)++;
	known = c ? strchr(from, c) : NULL;
	if (known) {
		c = to[known - from];
	} else if (c == 'x') {
		c = digits(s, end, 16, 2);
	} else if (c >= '0' && c <= '7') {
		--*s;
		c = digits(s, end, 8, 3);
	}
	text(host, &c, 1);
}

int agent_printf(const struct agent_host *host, const char *format, size_t len, const u64 *args, unsigned nargs)
{
	const char *s = format, *end = format + strnlen(format, len);
	unsigned used = 0;

	while (s < end) {
		struct directive d;
		const char *plain = s;
		int ret;

		while (s < end && *s != '%' && *s != '\\')
			s++;
		text(host, plain, s - plain);
		if (s >= end)
			break;
		if (*s++ == '\\') {
			escape(host, &s, end);
			continue;
		}
		if (s < end && *s == '%') {
			text(host, s++, 1);
			continue;
		}
		if (!parse(&s, end, &d))
			return -EINVAL;
		ret = print_one(host, &d, used < nargs ? args[used] : 0);
		if (ret < 0)
			return ret;
		used++;
	}
	return 0;
}
