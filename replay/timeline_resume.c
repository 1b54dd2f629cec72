/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Steps and runs in both directions.
 *
 * Forwards a watchpoint or event stops behind the instruction that met it, backwards in front of it; a breakpoint stops
 * in front of its instruction either way. Running backwards searches the stretches between checkpoints from the last
 * to the first, each forwards, for the last hit in it. */
#include <errno.h>

#include "replay/timeline_internal.h"

/* How far back the beginning of an interrupt handler is looked for, in instructions. */
#define HANDLER_MAX TIMELINE_SPACING

/* --- hits --- */

static enum target_stop_reason reason_of(const struct target_break *b)
{
	switch (b->kind) {
	case TARGET_BREAK_EXEC:
		return TARGET_STOP_BREAK;
	case TARGET_BREAK_EVENT:
		return TARGET_STOP_EVENT;
	default:
		return TARGET_STOP_WATCH;
	}
}

/* Takes the probe's hits: the first one that stops, into @stop. What was told of this place isn't told again. */
static bool take_hits(struct timeline *tl, const struct target_break *only, struct target_stop *stop)
{
	struct probe *p = &timeline_vcpu(tl)->probe;
	struct place here = timeline_place(tl);
	bool stops = false;

	for (unsigned i = 0; i < p->nr; i++) {
		const struct probe_hit *h = &p->hit[i];

		if (h->hit->kind == TARGET_BREAK_EXEC) {
			p->skip_insns = here.insns;
			p->skip_deliveries = here.deliveries;
		}
		if (stops || (only && h->hit != only && h->hit != tl->own) ||
		    (h->hit->condition && !h->hit->condition(h->hit->opaque, &tl->target, 0)))
			continue;
		*stop = (struct target_stop){
		    .reason = reason_of(h->hit), .hit = h->hit, .addr = h->addr, .write = h->write};
		stops = true;
	}
	p->nr = 0;
	return stops;
}

static void stop_ended(struct timeline *tl, struct target_stop *stop)
{
	*stop = (struct target_stop){.reason = tl->end_reason};
}

/* For a stop that could not be reached. */
static void stop_failed(struct timeline *tl, int ret, struct target_stop *stop)
{
	if (ret == -EINTR)
		*stop = (struct target_stop){.reason = TARGET_STOP_INTERRUPT};
	else if (ret == -ERANGE && tl->ended)
		stop_ended(tl, stop);
	else
		*stop = (struct target_stop){.reason = TARGET_STOP_ERROR};
}

/* --- forwards --- */

/* While the past of a live machine is looked at, as far as it goes; else there is no limit. */
static struct place horizon(const struct timeline *tl)
{
	return tl->rec && !tl->live ? tl->edge_place : (struct place){~0ull, 0};
}

/* At the horizon the recorder takes over again. False: @stop says why not. */
static bool cross_horizon(struct timeline *tl, struct target_stop *stop)
{
	struct place here = timeline_place(tl);
	int ret;

	if (place_compare(here, horizon(tl)))
		return true;
	ret = timeline_go_live(tl, &tl->err);
	if (!ret)
		ret = timeline_probe_on(tl, tl->target.breaks, here);
	if (ret)
		stop_failed(tl, ret, stop);
	return !ret;
}

/* Whether a stretch that ended so is the end of the run: @stop. A hit that doesn't stop is none. */
static bool stops_here(struct timeline *tl, const struct target_resume *how, enum ran ran, struct target_stop *stop)
{
	switch (ran) {
	case RAN_HIT:
		return take_hits(tl, how->only, stop);
	case RAN_ENDED:
		stop_ended(tl, stop);
		return true;
	case RAN_INTERRUPTED:
		*stop = (struct target_stop){.reason = TARGET_STOP_INTERRUPT};
		return true;
	case RAN_THERE:
		break;
	}
	return false;
}

/* Runs until it has to stop, or to @to. True: @stop. */
static bool run_forward(struct timeline *tl, const struct target_resume *how, struct place to, struct target_stop *stop)
{
	for (;;) {
		struct place limit = horizon(tl);
		enum ran ran;

		if (place_compare(to, limit) < 0)
			limit = to;
		ran = timeline_run(tl, limit);
		if (stops_here(tl, how, ran, stop) || (ran == RAN_THERE && !cross_horizon(tl, stop)))
			return true;
		if (place_compare(timeline_place(tl), to) >= 0)
			return false;
	}
}

/* Where an interrupt came between. */
struct interrupted {
	u64 rsp;
	u16 cs;
};

static bool is_back(void *opaque, struct target *t, unsigned vcpu)
{
	const struct interrupted *i = opaque;
	const struct x86_state *s = target_regs(t, vcpu);

	return s->gpr[RSP] == i->rsp && s->seg[SEG_CS].selector == i->cs;
}

/* Stops where the code that has @regs goes on; @at is to stay with it. */
static struct target_break break_at_return(const struct x86_state *regs, struct interrupted *at)
{
	*at = (struct interrupted){regs->gpr[RSP], regs->seg[SEG_CS].selector};
	return (struct target_break){
	    .kind = TARGET_BREAK_EXEC,
	    .addr = x86_64bit(regs) ? regs->rip : (u32)(regs->seg[SEG_CS].base + regs->rip),
	    .len = 1,
	    .condition = is_back,
	    .opaque = at,
	};
}

static const struct place nowhere = {~0ull, 0};

/* Runs an interrupt's handler through, to the instruction that was interrupted. True: stopped before that. */
static bool run_through(struct timeline *tl, const struct target_resume *how, const struct x86_state *regs,
			struct target_stop *stop)
{
	struct interrupted at;
	struct target_break back = break_at_return(regs, &at);
	bool stopped = true;

	back.next = tl->target.breaks;
	tl->target.breaks = &back;
	tl->own = &back;
	if (timeline_probe_on(tl, tl->target.breaks, nowhere))
		*stop = (struct target_stop){.reason = TARGET_STOP_ERROR};
	else
		run_forward(tl, how, nowhere, stop);
	tl->target.breaks = back.next;
	tl->own = NULL;
	if (stop->reason == TARGET_STOP_BREAK && stop->hit == &back)
		stopped = false;
	/* What else stands at that instruction was met when it was interrupted. */
	if (timeline_probe_on(tl, tl->target.breaks, timeline_place(tl))) {
		*stop = (struct target_stop){.reason = TARGET_STOP_ERROR};
		stopped = true;
	}
	return stopped;
}

/* True: stopped by something else than the step's being done. */
static bool step_forward(struct timeline *tl, const struct target_resume *how, struct target_stop *stop)
{
	for (;;) {
		struct x86_state regs = timeline_vcpu(tl)->regs;

		tl->injected = false;
		if (!cross_horizon(tl, stop))
			return true;
		if (stops_here(tl, how, timeline_step(tl), stop))
			return true;
		if (!tl->injected || how->into_interrupts)
			return false;
		if (run_through(tl, how, &regs, stop))
			return true;
	}
}

static void forward(struct timeline *tl, const struct target_resume *how, struct target_stop *stop)
{
	if (timeline_probe_on(tl, tl->target.breaks, timeline_place(tl))) {
		*stop = (struct target_stop){.reason = TARGET_STOP_ERROR};
		return;
	}
	if (how->kind == TARGET_CONTINUE) {
		run_forward(tl, how, (struct place){~0ull, 0}, stop);
		return;
	}
	for (;;) {
		const struct x86_state *regs = &timeline_vcpu(tl)->regs;

		if (step_forward(tl, how, stop))
			return;
		*stop = (struct target_stop){.reason = TARGET_STOP_STEP};
		if (how->kind == TARGET_STEP || regs->rip < how->start || regs->rip >= how->end)
			return;
		if (tl->interrupted) {
			stop->reason = TARGET_STOP_INTERRUPT;
			return;
		}
	}
}

/* --- backwards --- */

struct last_hit {
	bool found;
	struct place place;
	struct target_stop stop;
};

/* Runs from here to @limit and keeps the last hit before it, in front of what met it. */
static int search(struct timeline *tl, const struct target_resume *how, struct place limit, struct last_hit *last)
{
	struct target_stop stop;
	struct place at;

	for (;;) {
		switch (timeline_run(tl, limit)) {
		case RAN_THERE:
			return 0;
		case RAN_INTERRUPTED:
			return -EINTR;
		case RAN_ENDED:
			return place_compare(timeline_place(tl), limit) ? -ERANGE : 0;
		case RAN_HIT:
			break;
		}
		if (!take_hits(tl, how->only, &stop))
			continue;
		at = timeline_place(tl);
		if (stop.reason != TARGET_STOP_BREAK)
			timeline_previous(tl, &at);
		if (place_compare(at, limit) < 0)
			*last = (struct last_hit){true, at, stop};
	}
}

static int search_from(struct timeline *tl, const struct target_resume *how, const struct checkpoint *cp,
		       struct place limit, struct last_hit *last)
{
	int ret = timeline_restore(tl, cp);

	if (!ret)
		ret = timeline_probe_on(tl, tl->target.breaks, nowhere);
	return ret ? ret : search(tl, how, limit, last);
}

/* The last hit between @from and @limit: 0, and @last says whether there is one. -EINTR: none from *@limit on. */
static int search_back(struct timeline *tl, const struct target_resume *how, struct place from, struct place *limit,
		       struct last_hit *last)
{
	int ret = 0;

	while (!ret && !last->found && place_compare(*limit, from) > 0) {
		const struct checkpoint *cp = timeline_checkpoint_before(tl, *limit);
		struct place begin = {cp->position, 0};

		ret = search_from(tl, how, cp, *limit, last);
		/* Hits before @from are in a stretch that begins before it. */
		if (!ret && last->found && place_compare(last->place, from) < 0)
			last->found = false;
		if (!ret)
			*limit = begin;
	}
	return ret;
}

int timeline_leave_home(struct timeline *tl, struct home *home)
{
	*home = (struct home){.ended = tl->ended, .clean = tl->clean, .end = tl->m->end, .end_code = tl->m->end_code};
	return tl->live ? timeline_leave_live(tl) : timeline_remember(tl, &home->cp);
}

int timeline_come_home(struct timeline *tl, const struct home *home)
{
	int ret;

	timeline_probe_off(tl);
	if (!home->cp)
		return timeline_go_live(tl, &tl->err);
	ret = timeline_restore(tl, home->cp);
	tl->ended = home->ended;
	tl->clean = home->clean;
	tl->m->end = home->end;
	tl->m->end_code = home->end_code;
	return ret;
}

static void backward(struct timeline *tl, const struct target_resume *how, struct target_stop *stop)
{
	struct place start = timeline_start(tl), here = timeline_place(tl), limit = here;
	struct last_hit last = {0};
	struct home home;
	int ret = timeline_leave_home(tl, &home);

	if (!ret)
		ret = search_back(tl, how, start, &limit, &last);
	if (ret == -EINTR && !place_compare(limit, here)) {
		ret = timeline_come_home(tl, &home);
		*stop = (struct target_stop){.reason = TARGET_STOP_INTERRUPT};
	} else if (ret == -EINTR) {
		tl->interrupted = false;
		ret = timeline_go(tl, limit);
		*stop = (struct target_stop){.reason = TARGET_STOP_INTERRUPT};
	} else if (!ret) {
		*stop = last.found ? last.stop : (struct target_stop){.reason = TARGET_STOP_BEGIN};
		ret = timeline_go(tl, last.found ? last.place : start);
	}
	if (ret)
		stop_failed(tl, ret, stop);
	checkpoint_free(&tl->points, home.cp);
}

/* Whether the next instruction is an IRET (SDM 2A: CF, with an operand-size prefix or REX.W). */
static bool at_iret(struct timeline *tl)
{
	struct target *t = &tl->target;
	const struct x86_state *s = target_regs(t, 0);
	u8 bytes[4];
	size_t len = target_read(t, 0, TARGET_LINEAR, x86_64bit(s) ? s->rip : (u32)(s->seg[SEG_CS].base + s->rip),
				 bytes, sizeof(bytes));
	size_t i = 0;

	while (i < len && (bytes[i] == 0x66 || (x86_64bit(s) && (bytes[i] & 0xf0) == 0x40)))
		i++;
	return i < len && bytes[i] == 0xcf;
}

/* Whether the code with @regs, interrupted at @from, went on at @to for the first time. 1, 0, or an error. */
static int returned_first(struct timeline *tl, const struct x86_state *regs, struct place from, struct place to)
{
	struct interrupted at;
	struct target_break back = break_at_return(regs, &at);
	struct target_stop stop;
	enum ran ran;
	int ret = timeline_go(tl, from);

	if (!ret)
		ret = timeline_probe_on(tl, &back, nowhere);
	if (ret)
		return ret;
	do
		ran = timeline_run(tl, to);
	while (ran == RAN_HIT && !take_hits(tl, NULL, &stop));
	timeline_probe_off(tl);
	return ran == RAN_INTERRUPTED ? -EINTR : ran == RAN_THERE;
}

/* The last place before @limit at which an interrupt came upon code that then went on with @regs. 1: *@at; 0: none is
 * near enough. */
static int find_interrupted(struct timeline *tl, const struct x86_state *regs, struct place limit, struct place *at)
{
	u64 far = limit.insns > HANDLER_MAX ? limit.insns - HANDLER_MAX : 0;
	struct place start = timeline_start(tl);
	int ret = 0;

	tl->found = false;
	while (!ret && !tl->found && limit.insns >= far && place_compare(limit, start) > 0) {
		const struct checkpoint *cp = timeline_checkpoint_before(tl, limit);
		struct place begin = {cp->position, 0};

		ret = timeline_restore(tl, cp);
		if (ret)
			break;
		tl->looking_for = regs;
		if (timeline_run(tl, limit) == RAN_INTERRUPTED)
			ret = -EINTR;
		tl->looking_for = NULL;
		limit = begin;
	}
	*at = tl->found_at;
	return ret ? ret : tl->found;
}

/* To @to; *@from_iret: it was an IRET that led there. */
static int go_watching(struct timeline *tl, struct place to, bool *from_iret)
{
	struct place before = {to.insns - 1, 0};
	int ret;

	*from_iret = false;
	if (to.deliveries || place_compare(to, timeline_start(tl)) <= 0)
		return timeline_go(tl, to);
	ret = timeline_go(tl, before);
	while (!ret && place_compare(timeline_place(tl), to) < 0) {
		enum ran ran;

		*from_iret = at_iret(tl);
		ran = timeline_step(tl);
		if (ran == RAN_INTERRUPTED)
			ret = -EINTR;
		else if (ran != RAN_THERE && place_compare(timeline_place(tl), to))
			ret = -ERANGE;
	}
	return ret;
}

/* To @to, or where the interrupt came whose handler has just ended there: that is the same place to those who don't look
 * into handlers. */
static int go_outside(struct timeline *tl, struct place to)
{
	struct x86_state regs;
	struct place before;
	bool from_iret;
	int ret;

	for (;;) {
		ret = go_watching(tl, to, &from_iret);
		if (ret || !from_iret)
			return ret;
		regs = timeline_vcpu(tl)->regs;
		ret = find_interrupted(tl, &regs, to, &before);
		/* An IRET that ends the handler of an exception goes back to where an interrupt may have come earlier. */
		if (ret > 0)
			ret = returned_first(tl, &regs, before, to);
		if (ret <= 0)
			return ret ? ret : timeline_go(tl, to);
		to = before;
	}
}

/* To the place before this one. 1: there is none. */
static int go_back(struct timeline *tl, bool into_interrupts)
{
	struct place at;
	int ret = 0;

	if (!into_interrupts)
		ret = go_outside(tl, timeline_place(tl));
	if (ret)
		return ret;
	if (!timeline_previous(tl, &at))
		return 1;
	return into_interrupts ? timeline_go(tl, at) : go_outside(tl, at);
}

static bool watches(const struct timeline *tl)
{
	for (const struct target_break *b = tl->target.breaks; b; b = b->next)
		if (b->kind != TARGET_BREAK_EXEC)
			return true;
	return false;
}

/* What was met between here and @limit, on the way back. */
static int hit_between(struct timeline *tl, const struct target_resume *how, struct place limit,
		       struct target_stop *stop)
{
	struct place here = timeline_place(tl);
	struct last_hit last = {0};
	int ret = timeline_probe_on(tl, tl->target.breaks, here);

	if (!ret)
		ret = search(tl, how, limit, &last);
	if (ret)
		return ret;
	if (last.found)
		*stop = last.stop;
	return timeline_go(tl, last.found ? last.place : here);
}

static void step_backward(struct timeline *tl, const struct target_resume *how, struct target_stop *stop)
{
	struct place here = timeline_place(tl), at;
	struct home home;
	int ret;

	*stop = (struct target_stop){.reason = TARGET_STOP_BEGIN};
	if (!timeline_previous(tl, &at))
		return;
	ret = timeline_leave_home(tl, &home);
	if (!ret)
		ret = go_back(tl, how->into_interrupts);
	if (!ret)
		stop->reason = TARGET_STOP_STEP;
	if (!ret && (watches(tl) || place_compare(timeline_place(tl), at)))
		ret = hit_between(tl, how, here, stop);
	if (ret == -EINTR) {
		ret = timeline_come_home(tl, &home);
		stop->reason = TARGET_STOP_INTERRUPT;
	}
	if (ret < 0)
		stop_failed(tl, ret, stop);
	checkpoint_free(&tl->points, home.cp);
}

void timeline_resume(struct target *t, const struct target_resume *how, struct target_stop *stop)
{
	struct timeline *tl = timeline_of(t);

	tl->interrupted = false;
	if (tl->live)
		recorder_resume(tl->rec);
	if (how->direction == TARGET_FORWARD)
		forward(tl, how, stop);
	else if (how->kind == TARGET_CONTINUE)
		backward(tl, how, stop);
	else
		step_backward(tl, how, stop);
	if (tl->live)
		recorder_pause(tl->rec);
}
