/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a timeline is as a target beside running: looking, and going to positions as users write them. */
#include <errno.h>
#include <stdlib.h>

#include "replay/timeline_internal.h"
#include "vmm/device_print.h"
#include "vmm/inspect.h"
#include "vmm/pc/pc.h"
#include "vmm/x86/regs.h"

#define TIME_SLICE    (1u << 20) /* instructions between looks at the guest's time */
#define EVENTS_CHUNKS 3          /* chunks that are looked through for the events before */

static unsigned target_vcpus(struct target *t)
{
	return timeline_of(t)->m->config.vcpus;
}

static const struct x86_state *target_get_regs(struct target *t, unsigned vcpu)
{
	return &timeline_of(t)->m->vcpu[vcpu]->regs;
}

/* Whether the next instruction is a string instruction with REP (SDM 2A: REP), or can't be read. */
static bool at_rep(struct timeline *tl)
{
	static const u8 prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
	const struct x86_state *s = &timeline_vcpu(tl)->regs;
	u64 la = x86_64bit(s) ? s->rip : (u32)(s->seg[SEG_CS].base + s->rip);
	bool rep = false;
	u8 byte;

	for (unsigned i = 0; i < 15; i++) {
		if (!inspect_read(&tl->m->mem, s, la + i, &byte, 1))
			return true;
		if (!memchr(prefixes, byte, sizeof(prefixes)) && !(x86_64bit(s) && (byte & 0xf0) == 0x40))
			return rep && ((byte >= 0x6c && byte <= 0x6f) || (byte >= 0xa4 && byte <= 0xaf));
		rep |= byte == 0xf2 || byte == 0xf3;
	}
	return false;
}

/* What is recorded can't be changed; what is being recorded can, where the recording has a word for it. */
static int check_change(struct timeline *tl)
{
	if (!tl->live)
		return error_set(&tl->err, -EROFS,
				 tl->rec ? "this is the past: go to the end of the recording to change anything"
					 : "a recording can't be changed: vmdbg branch goes on from here");
	/* The replay changes it in front of an instruction, not amid one. */
	if (tl->m->end || vcpu_deliveries(timeline_vcpu(tl)) || (tl->amid && at_rep(tl)))
		return error_set(&tl->err, -EROFS, "nothing can be changed here: step once, then try again");
	return 0;
}

static int target_set_regs(struct target *t, unsigned vcpu, const struct x86_state *regs)
{
	struct timeline *tl = timeline_of(t);
	int ret = check_change(tl);

	return ret ? ret : recorder_poke_registers(tl->rec, vcpu, regs);
}

static size_t target_read_memory(struct target *t, unsigned vcpu, enum target_space space, u64 addr, void *buf,
				 size_t len)
{
	struct timeline *tl = timeline_of(t);

	if (space == TARGET_PHYSICAL)
		return inspect_read_physical(&tl->m->mem, addr, buf, len);
	return inspect_read(&tl->m->mem, &tl->m->vcpu[vcpu]->regs, addr, buf, len);
}

/* Page by page, after a first pass that only looks. */
static int write_linear(struct timeline *tl, unsigned vcpu, u64 la, const u8 *buf, size_t len, bool look)
{
	const struct memory *mem = &tl->m->mem;
	int ret = 0;
	u64 gpa;

	for (size_t done = 0, n; !ret && done < len; done += n) {
		n = min64(len - done, PAGE_SIZE - ((la + done) & PAGE_MASK));
		ret = inspect_translate(mem, &tl->m->vcpu[vcpu]->regs, la + done, &gpa);
		if (!ret && look)
			ret = memory_host(mem, gpa, n) ? 0 : -EFAULT;
		else if (!ret)
			ret = recorder_poke_memory(tl->rec, gpa, buf + done, n);
	}
	return ret;
}

static int target_write_memory(struct target *t, unsigned vcpu, enum target_space space, u64 addr, const void *buf,
			       size_t len)
{
	struct timeline *tl = timeline_of(t);
	int ret = check_change(tl);

	if (ret)
		return ret;
	if (space == TARGET_PHYSICAL) {
		ret = recorder_poke_memory(tl->rec, addr, buf, len);
	} else {
		ret = write_linear(tl, vcpu, addr, buf, len, true);
		if (!ret)
			ret = write_linear(tl, vcpu, addr, buf, len, false);
	}
	/* What watchpoints took for a device's writes. */
	timeline_vcpu(tl)->probe.nr = 0;
	return ret;
}

static int target_translate(struct target *t, unsigned vcpu, u64 la, u64 *gpa)
{
	struct timeline *tl = timeline_of(t);

	return inspect_translate(&tl->m->mem, &tl->m->vcpu[vcpu]->regs, la, gpa);
}

static int target_add_break(struct target *t, struct target_break *b)
{
	struct timeline *tl = timeline_of(t);

	if (!b->len)
		return -EINVAL;
	b->next = t->breaks;
	t->breaks = b;
	tl->probed = false;
	return 0;
}

static void target_remove_break(struct target *t, struct target_break *b)
{
	struct timeline *tl = timeline_of(t);
	struct target_break **link = &t->breaks;

	while (*link != b)
		link = &(*link)->next;
	*link = b->next;
	/* The engine may not hold on to it. */
	timeline_probe_off(tl);
}

static void target_interrupt_run(struct target *t)
{
	struct timeline *tl = timeline_of(t);

	tl->interrupted = true;
	machine_interrupt(tl->m);
}

static u64 target_position(struct target *t)
{
	return machine_position(timeline_of(t)->m);
}

static const struct error *target_last_error(struct target *t)
{
	return &timeline_of(t)->err;
}

static int target_machine_reg(struct target *t, unsigned vcpu, enum target_machine_reg reg, u64 *value)
{
	struct machine *m = timeline_of(t)->m;

	switch (reg) {
	case TARGET_CR8:
		*value = pc_cr8(m->pc, vcpu);
		return 0;
	case TARGET_APIC_BASE:
		return pc_rdmsr(m->pc, vcpu, MSR_APIC_BASE, value) ? -ENOENT : 0;
	case TARGET_TSC:
		*value = clock_now(&m->clock) + m->tsc_offset[vcpu];
		return 0;
	}
	return -ENOENT;
}

static int target_device(struct target *t, const char *id, FILE *out)
{
	return machine_print_device(timeline_of(t)->m, id, out);
}

/* --- positions --- */

/* The last position of the history. */
static u64 last_position(const struct timeline *tl)
{
	if (tl->live)
		return machine_position(tl->m);
	return tl->rec ? tl->edge_place.insns : replayer_progress(tl->rp).last;
}

static void target_when(struct target *t, char *out, size_t len)
{
	struct timeline *tl = timeline_of(t);
	struct place here = timeline_place(tl);
	u64 last = last_position(tl), ns = clock_now(&tl->m->clock);
	char plus[16] = "";

	if (here.deliveries)
		snprintf(plus, sizeof(plus), "+%u", here.deliveries);
	snprintf(out, len, "%llu%s (%.2f%% of %llu instructions%s, %llu.%06llu ms)", (unsigned long long)here.insns,
		 plus, last ? 100.0 * (double)here.insns / (double)last : 100.0, (unsigned long long)last,
		 tl->live ? " so far" : "", (unsigned long long)(ns / 1000000), (unsigned long long)(ns % 1000000));
}

static int go_to(struct timeline *tl, struct place to, struct error *err)
{
	const struct end_record *end = replayer_end(tl->rp);
	int ret;

	/* Not worth running there. */
	if (!tl->rec && end && to.insns > end->mark.insns)
		return error_set(err, -ERANGE, "the recording ends at position %llu",
				 (unsigned long long)end->mark.insns);
	ret = timeline_go(tl, to);
	if (ret == -EINTR)
		return error_set(err, ret, "interrupted");
	if (ret)
		*err = tl->err;
	else if (place_compare(timeline_place(tl), to))
		ret = error_set(err, -EINVAL, "%llu+%u: not so many exceptions and interrupts are delivered there",
				(unsigned long long)to.insns, to.deliveries);
	return ret;
}

static int go_to_end(struct timeline *tl, struct error *err)
{
	int ret = 0;

	if (tl->rec)
		return timeline_go_live(tl, err);
	timeline_probe_off(tl);
	/* The end isn't a place that is known before: a trace that is cut off goes on for as long as it is equal. */
	if (!tl->ended)
		ret = timeline_go(tl, (struct place){~0ull, 0});
	if (ret == -EINTR)
		return error_set(err, ret, "interrupted");
	if (tl->ended && tl->end_reason == TARGET_STOP_END)
		return 0;
	*err = tl->err;
	return ret;
}

/* Of the checkpoints at which @less holds, the last one; it holds at the first, and at none after one where it doesn't. */
static const struct checkpoint *last_checkpoint(const struct timeline *tl, bool less(const struct checkpoint *, u64),
						u64 n)
{
	size_t low = 0, high = tl->points.nr;

	while (high - low > 1) {
		size_t mid = (low + high) / 2;

		if (less(tl->points.list[mid], n))
			low = mid;
		else
			high = mid;
	}
	return tl->points.list[low];
}

static bool before_event(const struct checkpoint *cp, u64 n)
{
	return cp->replay.events < n;
}

static bool before_time(const struct checkpoint *cp, u64 ns)
{
	return cp->ns < ns;
}

static int go_to_checkpoint(struct timeline *tl, const struct checkpoint *cp, struct error *err)
{
	return go_to(tl, (struct place){cp->position, 0}, err);
}

/* In front of event @n, counted from 1. */
static int go_to_event(struct timeline *tl, u64 n, struct error *err)
{
	struct place at;
	int ret;

	if (!n)
		return error_set(err, -EINVAL, "event:0: events are counted from 1");
	if (n <= tl->points.list[0]->replay.events)
		return error_set(err, -EINVAL, "event:%llu: the history begins at event %llu", (unsigned long long)n,
				 (unsigned long long)tl->points.list[0]->replay.events + 1);
	ret = go_to_checkpoint(tl, last_checkpoint(tl, before_event, n), err);
	if (ret)
		return ret;
	if (tl->live)
		return error_set(err, -EINVAL, "event:%llu: not that many events are recorded", (unsigned long long)n);
	tl->until_event = n;
	replayer_stop_at_event(tl->rp, n);
	/* Beyond the present there is nothing to replay. */
	switch (timeline_run(tl, tl->rec ? tl->edge_place : (struct place){~0ull, 0})) {
	case RAN_INTERRUPTED:
		ret = error_set(err, -EINTR, "interrupted");
		break;
	case RAN_THERE:
	case RAN_ENDED:
		ret = error_set(err, -EINVAL, "event:%llu: the recording has %llu events", (unsigned long long)n,
				(unsigned long long)replayer_progress(tl->rp).events);
		break;
	default:
		break;
	}
	tl->until_event = 0;
	replayer_stop_at_event(tl->rp, 0);
	if (ret)
		return ret;
	at = timeline_place(tl);
	return replayer_event_was_before(tl->rp) && timeline_previous(tl, &at) ? go_to(tl, at, err) : 0;
}

/* To the first position at which the guest's clock has reached @ns. */
static int go_to_time(struct timeline *tl, u64 ns, struct error *err)
{
	const struct clock *clock = &tl->m->clock;
	u64 early, late;
	int ret = go_to_checkpoint(tl, last_checkpoint(tl, before_time, ns), err);

	early = late = machine_position(tl->m);
	while (!ret && clock_now(clock) < ns && !tl->ended) {
		early = late;
		late += TIME_SLICE;
		if (tl->rec && late >= last_position(tl))
			ret = timeline_go_live(tl, err);
		else
			ret = timeline_go(tl, (struct place){late, 0});
		late = machine_position(tl->m);
		if (ret == -ERANGE && tl->ended && tl->end_reason == TARGET_STOP_END)
			ret = 0;
		else if (ret)
			*err = tl->err;
		if (tl->live)
			break;
	}
	if (!ret && clock_now(clock) < ns)
		return error_set(err, -EINVAL, "the recording ends at %llu.%06llu ms",
				 (unsigned long long)(clock_now(clock) / 1000000),
				 (unsigned long long)(clock_now(clock) % 1000000));
	/* Not yet at @early, already at @late. */
	while (!ret && late - early > 1) {
		u64 mid = early + (late - early) / 2;

		ret = go_to(tl, (struct place){mid, 0}, err);
		if (clock_now(clock) < ns)
			early = mid;
		else
			late = mid;
	}
	return ret ? ret : go_to(tl, (struct place){late, 0}, err);
}

/* A decimal number with a unit of time. */
static bool parse_time(const char *where, u64 *ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
	char *end;
	double n = strtod(where, &end);

	if (end == where || !(n >= 0 && n < 1e9))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (!strcmp(end, units[i].name)) {
			*ns = (u64)(n * units[i].ns);
			return true;
		}
	}
	return false;
}

static bool parse_number(const char *text, const char **end, u64 *n)
{
	char *after;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*n = strtoull(text, &after, text[0] == '0' && (text[1] | 32) == 'x' ? 16 : 10);
	*end = after;
	return !errno;
}

static bool parse_percent(const char *where, double *percent)
{
	char *end;

	if (*where < '0' || *where > '9')
		return false;
	*percent = strtod(where, &end);
	return !strcmp(end, "%") && *percent <= 100;
}

static int seek(struct timeline *tl, const char *where, struct error *err)
{
	struct place to = {0};
	double percent;
	const char *end;
	u64 n;

	if (!strcmp(where, "start"))
		return go_to(tl, timeline_start(tl), err);
	if (!strcmp(where, "end"))
		return go_to_end(tl, err);
	if (parse_percent(where, &percent)) {
		to.insns = (u64)((double)last_position(tl) * percent / 100);
		return go_to(tl, place_compare(to, timeline_start(tl)) < 0 ? timeline_start(tl) : to, err);
	}
	if (!strncmp(where, "event:", 6) && parse_number(where + 6, &end, &n) && !*end)
		return go_to_event(tl, n, err);
	if (!strncmp(where, "checkpoint:", 11) && parse_number(where + 11, &end, &n) && !*end) {
		if (!n || n > tl->stored.count)
			return error_set(err, -EINVAL, "checkpoint:%llu: the trace has %zu checkpoints, counted from 1",
					 (unsigned long long)n, tl->stored.count);
		to.insns = tl->stored.entry[n - 1].position;
		return go_to(tl, to, err);
	}
	if (parse_time(where, &n))
		return go_to_time(tl, n, err);
	if (parse_number(where, &end, &to.insns)) {
		if (*end == '+' && parse_number(end + 1, &end, &n) && n <= ~0u)
			to.deliveries = (u32)n;
		if (!*end)
			return go_to(tl, to, err);
	}
	return error_set(err, -EINVAL,
			 "\"%s\" is no position: write a number of instructions, start, end, 50%%, event:N, 12.5ms, or "
			 "what `when` prints",
			 where);
}

static int target_seek(struct target *t, const char *where, struct error *err)
{
	struct timeline *tl = timeline_of(t);
	struct home home;
	int ret, back;

	tl->interrupted = false;
	ret = timeline_leave_home(tl, &home);
	if (ret) {
		*err = tl->err;
		return ret;
	}
	ret = seek(tl, where, err);
	if (ret) {
		tl->interrupted = false;
		back = timeline_come_home(tl, &home);
		if (back)
			*err = tl->err;
	}
	if (tl->live)
		recorder_pause(tl->rec);
	checkpoint_free(&tl->points, home.cp);
	return ret;
}

/* --- events --- */

/* The present item of a list, with its number if it is an event. */
static void print_item(const struct stream *s, u64 number, FILE *out)
{
	char text[200];

	stream_describe(s, text, sizeof(text));
	if (s->item != STREAM_EVENT)
		fprintf(out, "%12s  %s\n", "", text);
	else if (event_is_async(&s->event))
		fprintf(out, "%12llu  %s, at position %llu\n", (unsigned long long)number, text,
			(unsigned long long)s->event.mark.insns);
	else
		fprintf(out, "%12llu  %s\n", (unsigned long long)number, text);
}

static u64 count_of(const struct stream *s)
{
	return s->item == STREAM_EVENT ? s->event.count : 0;
}

static bool is_at(const struct stream *s, const struct stream_place *place)
{
	return s->item == STREAM_OVER || s->item == STREAM_BAD || s->chunk > place->chunk ||
	       (s->chunk == place->chunk && s->taken >= place->item);
}

/* Two passes over the chunks in front of the place: the first counts items and events. */
static void print_before(struct stream *s, const struct replayer_place *place, unsigned before, FILE *out)
{
	const struct stream_place *at = &place->stream;
	struct stream_place first = {.chunk = at->chunk > EVENTS_CHUNKS ? at->chunk - EVENTS_CHUNKS : 1, .item = 1};
	u64 items = 0, events = 0, number;

	for (int ret = stream_restore(s, &first); !ret && !is_at(s, at); stream_next(s)) {
		items++;
		events += count_of(s);
	}
	number = place->events - at->done - events + 1;
	for (int ret = stream_restore(s, &first); !ret && !is_at(s, at); stream_next(s)) {
		if (items-- <= before)
			print_item(s, number, out);
		number += count_of(s);
	}
}

static void target_events(struct target *t, unsigned before, unsigned after, FILE *out)
{
	struct timeline *tl = timeline_of(t);
	struct replayer_place place;
	struct stream s;
	char when[120];
	u64 number;

	if (timeline_history_place(tl, &place)) {
		fprintf(out, "%s\n", tl->err.text);
		return;
	}
	stream_init(&s, tl->reader);
	print_before(&s, &place, before, out);
	target_when(t, when, sizeof(when));
	fprintf(out, "%12s  %s\n", "->", when);
	number = place.events - place.stream.done + 1;
	for (unsigned i = 0; i < after && s.item != STREAM_OVER && s.item != STREAM_BAD; i++) {
		print_item(&s, number, out);
		number += count_of(&s);
		stream_next(&s);
	}
	stream_free(&s);
}

const struct target_ops timeline_ops = {
    .vcpus = target_vcpus,
    .regs = target_get_regs,
    .set_regs = target_set_regs,
    .read = target_read_memory,
    .write = target_write_memory,
    .translate = target_translate,
    .add_break = target_add_break,
    .remove_break = target_remove_break,
    .resume = timeline_resume,
    .interrupt = target_interrupt_run,
    .position = target_position,
    .seek = target_seek,
    .when = target_when,
    .error = target_last_error,
    .machine_reg = target_machine_reg,
    .device = target_device,
    .events = target_events,
    .reversible = true,
};
