/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who wrote these bytes last before now: a search backwards for physical writes, so that other mappings, page-table
 * updates and DMA are seen too. The value after that write is the present one. */
#include "gdbstub/monitor_internal.h"

#include <stdlib.h>

#define LEN_MAX 0x10000
#define STRIKES 2 /* the first interrupt may have been meant for an earlier run; a real one is repeated */
#define ROW     16
#define ROWS    4 /* of a value, from the first byte written on */

int monitor_extents(const struct call *c, u64 addr, u64 len, struct monitor_extent extents[MONITOR_EXTENTS])
{
	int n = 0;

	while (len) {
		u64 part = min64(len, 0x1000 - (addr & 0xfff)), gpa;

		if (c->target->ops->translate(c->target, c->vcpu, addr, &gpa) < 0)
			return call_fail(c, "0x%llx is not mapped here; `monitor walk` shows why.",
					 (unsigned long long)addr);
		if (n && extents[n - 1].addr + extents[n - 1].len == gpa)
			extents[n - 1].len += part;
		else
			extents[n++] = (struct monitor_extent){gpa, part};
		addr += part;
		len -= part;
	}
	return n;
}

struct search {
	struct call call;
	u64 addr, len; /* linear */
	struct monitor_extent extents[MONITOR_EXTENTS];
	int nr_extents;
	char origin[MONITOR_PLACE];
	/* The latest write found so far. */
	const struct monitor_extent *found;
	char place[MONITOR_PLACE];
	unsigned vcpu;
	u64 first; /* offset of the first byte written */
	u8 *before, *after;
};

/* The bytes as they are in memory now. */
static int read_value(const struct search *s, u8 *value)
{
	size_t done = 0;

	for (int i = 0; i < s->nr_extents; i++) {
		size_t n = s->extents[i].len;

		if (target_read(s->call.target, s->call.vcpu, TARGET_PHYSICAL, s->extents[i].addr, value + done, n) !=
		    n)
			return call_fail(&s->call, "0x%llx is not RAM: only writes to RAM can be searched for.",
					 (unsigned long long)s->extents[i].addr);
		done += n;
	}
	return 0;
}

/* As the number that a place "N" or "N+K" begins with says; within a position by K. */
static bool later(const char *a, const char *b)
{
	char *pa, *pb;
	u64 na = strtoull(a, &pa, 10), nb = strtoull(b, &pb, 10);

	return na != nb ? na > nb : strtoull(pa, NULL, 10) > strtoull(pb, NULL, 10);
}

/* Runs to an access of @e. False: the target takes no more watchpoints. */
static bool run_to(struct search *s, const struct monitor_extent *e, enum target_direction direction,
		   struct target_stop *stop)
{
	struct target *t = s->call.target;
	struct target_break b = {.kind = TARGET_BREAK_WRITE, .space = TARGET_PHYSICAL, .addr = e->addr, .len = e->len};
	const struct target_resume how = {
	    .direction = direction, .kind = TARGET_CONTINUE, .vcpu = s->call.vcpu, .only = &b};

	*stop = (struct target_stop){0};
	if (t->ops->add_break(t, &b) < 0)
		return false;
	t->ops->resume(t, &how, stop);
	t->ops->remove_break(t, &b);
	return true;
}

static void note_write(struct search *s, const struct monitor_extent *e, const struct target_stop *stop)
{
	char place[MONITOR_PLACE];

	monitor_place(s->call.target, place);
	if (s->found && !later(place, s->place))
		return;
	s->found = e;
	s->vcpu = stop->vcpu < s->call.target->ops->vcpus(s->call.target) ? stop->vcpu : 0;
	s->first = stop->addr >= e->addr && stop->addr - e->addr < e->len ? stop->addr - e->addr : 0;
	for (const struct monitor_extent *before = s->extents; before < e; before++)
		s->first += before->len;
	memcpy(s->place, place, sizeof(place));
}

/* Looks for the last write to one piece. 0, also when there is none; else it has said why nothing is certain, -EIO: and
 * that it can't go back. The first interrupt may have been meant for an earlier run; a real one is repeated. */
static int search_extent(struct search *s, const struct monitor_extent *e)
{
	struct target_stop stop = {.reason = TARGET_STOP_INTERRUPT};

	for (unsigned strikes = 0; strikes < STRIKES && stop.reason == TARGET_STOP_INTERRUPT; strikes++) {
		if (strikes && monitor_return(&s->call, s->origin) < 0)
			return -EIO;
		if (!run_to(s, e, TARGET_BACKWARD, &stop))
			return call_fail(&s->call, "The target takes no more watchpoints.");
	}
	switch (stop.reason) {
	case TARGET_STOP_WATCH:
		note_write(s, e, &stop);
		return 0;
	case TARGET_STOP_BEGIN:
		return 0;
	case TARGET_STOP_INTERRUPT:
		return call_fail(&s->call, "Interrupted.");
	default:
		monitor_say_error(&s->call, "The search ended before the beginning was reached.");
		return -EINVAL;
	}
}

static int search_all(struct search *s)
{
	int ret = 0;

	for (int i = 0; i < s->nr_extents && !ret; i++) {
		if (i && monitor_return(&s->call, s->origin) < 0)
			return -EIO;
		ret = search_extent(s, &s->extents[i]);
	}
	return ret;
}

static void print_value(const struct search *s, const char *name, const u8 *value)
{
	u64 from = s->first & ~(ROW - 1ull), to = min64(s->len, from + ROW * ROWS);

	fprintf(s->call.out, "%-8s", name);
	if (s->len <= 8) {
		u64 number = 0;

		memcpy(&number, value, s->len);
		fprintf(s->call.out, "0x%0*llx (%llu)\n", (int)s->len * 2, (unsigned long long)number,
			(unsigned long long)number);
		return;
	}
	for (u64 row = from; row < to; row += ROW) {
		fprintf(s->call.out,
			row == from ? "%016llx:" : "        %016llx:", (unsigned long long)(s->addr + row));
		for (u64 i = row; i < min64(to, row + ROW); i++)
			fprintf(s->call.out, " %02x", value[i]);
		fputs(row + ROW >= to && to < s->len ? " ...\n" : "\n", s->call.out);
	}
}

/* Runs over the write and comes back: the instruction in front of which it stands need not be what writes. */
static const char *other_writer(struct search *s)
{
	struct target *t = s->call.target;
	const struct x86_state before = *target_regs(t, s->vcpu);
	u64 position = t->ops->position(t);
	const char *writer = NULL;
	struct target_stop stop;

	if (!run_to(s, s->found, TARGET_FORWARD, &stop))
		return NULL;
	if (stop.reason == TARGET_STOP_WATCH && t->ops->position(t) == position) {
		const struct x86_state *after = target_regs(t, s->vcpu);

		/* In the midst of a REP instruction the position is the same too, but not the registers. */
		if (after->rip != before.rip)
			writer = "the delivery of an interrupt or exception";
		else if (!memcmp(after->gpr, before.gpr, sizeof(before.gpr)))
			writer = "a device";
	}
	monitor_return(&s->call, s->place);
	return writer;
}

static void report(struct search *s)
{
	const char *writer = other_writer(s);
	struct call c = s->call;

	c.vcpu = s->vcpu;
	fprintf(c.out, "Last write to 0x%llx, %llu byte%s, by CPU %u at ", (unsigned long long)s->addr,
		(unsigned long long)s->len, s->len == 1 ? "" : "s", c.vcpu);
	monitor_say_when(&c);
	monitor_print_instruction(&c);
	if (writer)
		fprintf(c.out, "It was written by %s in front of this instruction.\n", writer);
	print_value(s, "before", s->before);
	print_value(s, "after", s->after);
	monitor_print_registers(c.out, call_regs(&c));
	monitor_backtrace(&c);
	fprintf(c.out, "Standing before the write; `monitor seek %s` goes back.\n", s->origin);
}

/* From the present place to that of the write, or back again. */
static int find(struct search *s)
{
	struct target *t = s->call.target;
	int ret;

	s->nr_extents = monitor_extents(&s->call, s->addr, s->len, s->extents);
	if (s->nr_extents < 0 || read_value(s, s->after) < 0)
		return -EINVAL;
	monitor_place(t, s->origin);
	monitor_forget(s->call.monitor);
	ret = search_all(s);
	if (ret < 0 && ret != -EIO)
		monitor_return(&s->call, s->origin);
	if (ret < 0)
		return ret;
	if (monitor_return(&s->call, s->found ? s->place : s->origin) < 0)
		return -EINVAL;
	if (s->found)
		return read_value(s, s->before);
	fprintf(s->call.out, "Nothing has written to these bytes since the beginning. Back at ");
	monitor_say_when(&s->call);
	print_value(s, "value", s->after);
	return 0;
}

int monitor_lastwrite(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct search s = {.call = call_begin(opaque, t, vcpu, args, out), .len = 8};
	u8 *values;
	int ret;

	if (call_range(&s.call, LEN_MAX, &s.addr, &s.len) < 0 || call_end(&s.call) < 0)
		return -EINVAL;
	if (!t->ops->reversible)
		return call_fail(&s.call, "This target has no history to search.");
	values = calloc(2, s.len);
	if (!values)
		return call_fail(&s.call, "No memory for the values.");
	s.before = values;
	s.after = values + s.len;
	ret = find(&s);
	if (!ret && s.found)
		report(&s);
	free(values);
	return ret;
}
