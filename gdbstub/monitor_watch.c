/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Watchpoints on physical memory with filters, and stops at events: target_breaks of the monitor's own. They stop
 * whatever the client does next and go when it leaves. */
#include "gdbstub/monitor_internal.h"

#include <stdlib.h>

#define VALUE_MAX 8      /* bytes that a filter compares with a number */
#define SHADOW    0x1000 /* bytes that `if changed` keeps */
#define SHOWN     16

enum monitor_filter { FILTER_EQUAL = 1, FILTER_NOT_EQUAL = 2, FILTER_CHANGED = 4, FILTER_RIP = 8 };

struct monitor_break {
	struct target_break hw;
	unsigned number;
	unsigned filters;
	u64 value;            /* FILTER_EQUAL, FILTER_NOT_EQUAL */
	u64 rip_from, rip_to; /* FILTER_RIP: instructions in [from, to) */
	struct monitor_break *next;
	/* FILTER_CHANGED: the bytes after the last access that was seen, at @seen. */
	bool known;
	u64 seen;
	u8 shadow[];
};

static bool is_event(const struct monitor_break *b)
{
	return b->hw.kind == TARGET_BREAK_EVENT;
}

void monitor_forget(struct monitor *m)
{
	for (struct monitor_break *b = m->breaks; b; b = b->next)
		b->known = false;
}

/* An access that the shadow can't speak of, the first one behind a jump or in an earlier stretch of a search
 * backwards, counts as a change: better one stop too many. */
static bool changed(struct monitor_break *b, struct target *t, unsigned vcpu)
{
	u64 now = t->ops->position(t);
	u8 bytes[SHADOW];
	bool differs;

	if (target_read(t, vcpu, TARGET_PHYSICAL, b->hw.addr, bytes, b->hw.len) != b->hw.len)
		return true;
	differs = !b->known || now <= b->seen || memcmp(bytes, b->shadow, b->hw.len);
	memcpy(b->shadow, bytes, b->hw.len);
	b->known = true;
	b->seen = now;
	return differs;
}

/* Behind the access: RIP is that of the next instruction, so one in [from, to) leaves it in (from, to]. */
static bool rip_fits(const struct monitor_break *b, struct target *t, unsigned vcpu)
{
	u64 rip = target_regs(t, vcpu)->rip;

	return rip > b->rip_from && rip <= b->rip_to;
}

static bool filter(void *opaque, struct target *t, unsigned vcpu)
{
	struct monitor_break *b = opaque;
	bool stop = true;
	u64 value = 0;

	if (b->filters & (FILTER_EQUAL | FILTER_NOT_EQUAL)) {
		if (target_read(t, vcpu, TARGET_PHYSICAL, b->hw.addr, &value, b->hw.len) == b->hw.len)
			stop = (value == b->value) == !!(b->filters & FILTER_EQUAL);
	}
	if (b->filters & FILTER_CHANGED)
		stop &= changed(b, t, vcpu); /* keeps the shadow whatever the others say */
	if (b->filters & FILTER_RIP)
		stop &= rip_fits(b, t, vcpu);
	return stop;
}

/* --- lists of both kinds --- */

static int add(struct call *c, struct monitor_break *b)
{
	struct monitor *m = c->monitor;
	struct monitor_break **link = &m->breaks;

	if (m->nr_breaks == MONITOR_LIST_MAX || c->target->ops->add_break(c->target, &b->hw) < 0) {
		free(b);
		return call_fail(c, "There are too many already: delete some.");
	}
	b->number = is_event(b) ? ++m->last_event : ++m->last_watch;
	while (*link)
		link = &(*link)->next;
	*link = b;
	m->nr_breaks++;
	return 0;
}

static void drop(struct monitor *m, struct monitor_break **link)
{
	struct monitor_break *b = *link;

	*link = b->next;
	m->nr_breaks--;
	m->target->ops->remove_break(m->target, &b->hw);
	free(b);
}

void monitor_free_breaks(struct monitor *m)
{
	while (m->breaks)
		drop(m, &m->breaks);
}

static int delete_one(struct call *c, bool event, const char *what)
{
	struct monitor_break **link = &c->monitor->breaks;
	u64 number;

	if (call_number(c, "N", &number) < 0 || call_end(c) < 0)
		return -EINVAL;
	while (*link && ((*link)->number != number || is_event(*link) != event))
		link = &(*link)->next;
	if (!*link)
		return call_fail(c, "There is no %s %llu; `monitor %s list` shows them.", what,
				 (unsigned long long)number, what);
	drop(c->monitor, link);
	return 0;
}

static const char *const event_names[TARGET_EVENT_COUNT] = {
    [TARGET_EVENT_INTERRUPT] = "interrupt",
    [TARGET_EVENT_EXCEPTION] = "exception",
    [TARGET_EVENT_CR3] = "cr3",
    [TARGET_EVENT_IO] = "io",
    [TARGET_EVENT_MSR] = "msr",
    [TARGET_EVENT_PANIC] = "panic",
};

static void print_event(const struct monitor_break *b, FILE *out)
{
	fprintf(out, "break-event %u: %s", b->number, event_names[b->hw.addr]);
	if (b->hw.len != TARGET_ANY)
		fprintf(out, " 0x%llx", (unsigned long long)b->hw.len);
	fputc('\n', out);
}

static void print_watch(const struct monitor_break *b, FILE *out)
{
	static const char kinds[] = {
	    [TARGET_BREAK_WRITE] = 'w', [TARGET_BREAK_READ] = 'r', [TARGET_BREAK_ACCESS] = 'a'};
	const char *word = " if";

	fprintf(out, "watch-phys %u: 0x%llx,%llu %c", b->number, (unsigned long long)b->hw.addr,
		(unsigned long long)b->hw.len, kinds[b->hw.kind]);
	if (b->filters & (FILTER_EQUAL | FILTER_NOT_EQUAL)) {
		fprintf(out, "%s value %s 0x%llx", word,
			b->filters & FILTER_EQUAL ? "==" : "!=", (unsigned long long)b->value);
		word = " and";
	}
	if (b->filters & FILTER_CHANGED) {
		fprintf(out, "%s changed", word);
		word = " and";
	}
	if (b->filters & FILTER_RIP)
		fprintf(out, "%s rip in 0x%llx-0x%llx", word, (unsigned long long)b->rip_from,
			(unsigned long long)b->rip_to);
	fputc('\n', out);
}

static int list(struct call *c, bool event, const char *what)
{
	bool any = false;

	if (call_end(c) < 0)
		return -EINVAL;
	for (const struct monitor_break *b = c->monitor->breaks; b; b = b->next) {
		if (is_event(b) != event)
			continue;
		any = true;
		(event ? print_event : print_watch)(b, c->out);
	}
	if (!any)
		fprintf(c->out, "No %s.\n", what);
	return 0;
}

/* --- watch-phys --- */

static int parse_value_filter(struct call *c, struct monitor_break *b)
{
	if (b->filters & (FILTER_EQUAL | FILTER_NOT_EQUAL))
		return call_fail(c, "One comparison with a value is all.");
	if (b->hw.len > VALUE_MAX)
		return call_fail(c, "Only up to %u bytes can be compared with a number.", VALUE_MAX);
	if (*c->s == '=' && c->s[1] == '=')
		b->filters |= FILTER_EQUAL;
	else if (*c->s == '!' && c->s[1] == '=')
		b->filters |= FILTER_NOT_EQUAL;
	else
		return call_fail(c, "Behind `value` comes == or != and a number.");
	c->s += 2;
	call_char(c, ' ');
	return call_number(c, "The value", &b->value);
}

/* A-B, with or without blanks around the dash. */
static int parse_rip_filter(struct call *c, struct monitor_break *b)
{
	if (!call_word(c, "in"))
		return call_fail(c, "Behind `rip` comes `in` and a range: rip in 0x1000-0x1020.");
	if (call_number(c, "The range's beginning", &b->rip_from) < 0)
		return -EINVAL;
	if (!call_char(c, '-'))
		return call_fail(c, "The range is written FROM-TO: rip in 0x1000-0x1020.");
	if (call_number(c, "The range's end", &b->rip_to) < 0)
		return -EINVAL;
	if (b->rip_to <= b->rip_from)
		return call_fail(c, "The range is empty: TO is the first address behind it.");
	b->filters |= FILTER_RIP;
	return 0;
}

static int parse_filters(struct call *c, struct monitor_break *b)
{
	int ret;

	if (!*c->s)
		return 0;
	if (!call_word(c, "if"))
		return call_fail(c, "\"%s\" is left over: r, w or a, then `if` and a filter.", c->s);
	do {
		if (call_word(c, "value") || call_word(c, "VALUE"))
			ret = parse_value_filter(c, b);
		else if (call_word(c, "rip"))
			ret = parse_rip_filter(c, b);
		else if (!call_word(c, "changed"))
			ret = call_fail(c, "Filters: value == N, value != N, changed, rip in A-B; joined by `and`.");
		else
			ret = b->hw.len > SHADOW ? call_fail(c, "`changed` takes up to %u bytes.", SHADOW)
						 : (int)(b->filters |= FILTER_CHANGED, 0);
	} while (!ret && call_word(c, "and"));
	return ret ? ret : call_end(c);
}

static int parse_watch(struct call *c, struct monitor_break *b)
{
	bool linear = call_word(c, "linear");
	struct monitor_extent extents[MONITOR_EXTENTS];
	int n;

	b->hw.space = TARGET_PHYSICAL;
	b->hw.kind = TARGET_BREAK_WRITE;
	b->hw.len = 8;
	if (call_range(c, linear ? 0x10000 : ~0ull, &b->hw.addr, &b->hw.len) < 0)
		return -EINVAL;
	if (linear) {
		n = monitor_extents(c, b->hw.addr, b->hw.len, extents);
		if (n < 0)
			return n;
		if (n > 1)
			return call_fail(c, "These bytes are in %d pieces of physical memory: watch each.", n);
		b->hw.addr = extents[0].addr;
	}
	if (call_word(c, "r"))
		b->hw.kind = TARGET_BREAK_READ;
	else if (call_word(c, "a"))
		b->hw.kind = TARGET_BREAK_ACCESS;
	else
		call_word(c, "w");
	return parse_filters(c, b);
}

int monitor_watch(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	struct monitor_break *b = calloc(1, sizeof(*b) + SHADOW);

	if (!b)
		return call_fail(&c, "No memory for a watchpoint.");
	if (parse_watch(&c, b) < 0) {
		free(b);
		return -EINVAL;
	}
	if (b->filters) {
		b->hw.condition = filter;
		b->hw.opaque = b;
	}
	if (b->filters & FILTER_CHANGED) {
		b->known = target_read(t, vcpu, TARGET_PHYSICAL, b->hw.addr, b->shadow, b->hw.len) == b->hw.len;
		b->seen = t->ops->position(t);
	}
	if (add(&c, b) < 0)
		return -EINVAL;
	print_watch(b, out);
	return 0;
}

int monitor_watch_list(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);

	return list(&c, false, "watch-phys");
}

int monitor_watch_delete(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);

	return delete_one(&c, false, "watch-phys");
}

/* --- break-event --- */

static int parse_event(struct call *c, struct monitor_break *b)
{
	static const u64 most[TARGET_EVENT_COUNT] = {
	    [TARGET_EVENT_INTERRUPT] = 0xff,
	    [TARGET_EVENT_EXCEPTION] = 0x1f,
	    [TARGET_EVENT_IO] = 0xffff,
	    [TARGET_EVENT_MSR] = 0xffffffff,
	};
	unsigned event = 0;

	while (event < TARGET_EVENT_COUNT && !call_word(c, event_names[event]))
		event++;
	if (event == TARGET_EVENT_COUNT)
		return call_fail(c, "KIND is one of interrupt, exception, cr3, io, msr and panic.");
	b->hw.kind = TARGET_BREAK_EVENT;
	b->hw.addr = event;
	b->hw.len = TARGET_ANY;
	if (call_word(c, "any"))
		return call_end(c);
	if (*c->s && !most[event])
		return call_fail(c, "`%s` takes no number.", event_names[event]);
	return call_optional(c, "NUMBER", 0, most[event], &b->hw.len) < 0 ? -EINVAL : call_end(c);
}

int monitor_event(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	struct monitor_break *b = calloc(1, sizeof(*b));

	if (!b)
		return call_fail(&c, "No memory for a breakpoint.");
	if (parse_event(&c, b) < 0) {
		free(b);
		return -EINVAL;
	}
	if (add(&c, b) < 0)
		return -EINVAL;
	print_event(b, out);
	return 0;
}

int monitor_event_list(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);

	return list(&c, true, "break-event");
}

int monitor_event_delete(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);

	return delete_one(&c, true, "break-event");
}

/* --- stops --- */

static void explain_watch(const struct monitor *m, const struct monitor_break *b, const struct target_stop *stop,
			  char *out, size_t len)
{
	size_t n = min64(b->hw.len, SHOWN), used;
	u8 bytes[SHOWN];

	used = snprintf(out, len, "watch-phys %u: %s at 0x%llx; bytes at 0x%llx:", b->number,
			stop->write ? "write" : "read", (unsigned long long)stop->addr, (unsigned long long)b->hw.addr);
	n = target_read(m->target, 0, TARGET_PHYSICAL, b->hw.addr, bytes, n);
	for (size_t i = 0; i < n && used < len; i++)
		used += snprintf(out + used, len - used, " %02x", bytes[i]);
	if (used < len)
		snprintf(out + used, len - used, "%s\n", n < b->hw.len ? " ..." : "");
}

bool monitor_explain(void *opaque, const struct target_stop *stop, char *out, size_t len)
{
	const struct monitor *m = opaque;

	for (const struct monitor_break *b = m->breaks; b; b = b->next) {
		if (&b->hw != stop->hit)
			continue;
		if (is_event(b) && b->hw.len != TARGET_ANY)
			snprintf(out, len, "break-event %u: %s 0x%llx\n", b->number, event_names[b->hw.addr],
				 (unsigned long long)b->hw.len);
		else if (is_event(b))
			snprintf(out, len, "break-event %u: %s\n", b->number, event_names[b->hw.addr]);
		else
			explain_watch(m, b, stop, out, len);
		return true;
	}
	return false;
}
