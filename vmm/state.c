/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/state.h"

#include <errno.h>

#include "vmm/clock.h"

static size_t field_size(const struct field *f)
{
	return (size_t)f->size * f->count;
}

size_t state_size(const struct field *table)
{
	size_t size = 0;

	for (const struct field *f = table; f->name; f++)
		size += field_size(f);
	return size;
}

static void timer_save(const struct clock_timer *timer, u8 *out)
{
	out[0] = timer->armed;
	store64(out + 1, timer->deadline);
}

/* Any byte but zero counts as armed: the input may be hostile and a bool must stay 0 or 1. */
static void timer_load(struct clock_timer *timer, const u8 *in)
{
	if (in[0])
		clock_timer_arm(timer, load64(in + 1));
	else
		clock_timer_cancel(timer);
}

size_t state_save(const struct field *table, const void *obj, u8 *out)
{
	u8 *p = out;

	for (const struct field *f = table; f->name; f++) {
		const u8 *src = (const u8 *)obj + f->offset;

		/* The host is little-endian, so integers and bytes are copied alike. */
		if (f->kind == FIELD_TIMER)
			timer_save((const struct clock_timer *)src, p);
		else
			memcpy(p, src, field_size(f));
		p += field_size(f);
	}
	return p - out;
}

int state_load(const struct field *table, void *obj, const u8 *in, size_t len)
{
	if (len != state_size(table))
		return -EINVAL;
	for (const struct field *f = table; f->name; f++) {
		u8 *dst = (u8 *)obj + f->offset;

		if (f->kind == FIELD_TIMER)
			timer_load((struct clock_timer *)dst, in);
		else
			memcpy(dst, in, field_size(f));
		in += field_size(f);
	}
	return 0;
}
