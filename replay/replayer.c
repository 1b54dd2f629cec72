/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replaying.
 *
 * 1. `head` is the next item that the guest must meet; `ahead` runs in front of it to the next item at which the
 *    machine must stop. Reads and clock samples are met in program order, all else at its position.
 * 2. The recorder gave input and moved the clock in boundary() and idle(), each event in one call; so does this.
 * 3. The first difference ends the comparison: from then on the models' answers stand and the run ends at the next
 *    boundary. Nothing in a trace can do more than that.
 * 4. A machine that runs freely comes to a landmark by an execution breakpoint: between access A and the next one every
 *    arrival at its RIP is compared, first the registers, then memory too. Equal registers and memory are an equal
 *    state, so the first match is as good as the recorded place. Only ADVANCE is searched for, and only one is applied
 *    at a place; what else came at that place follows it.
 * 5. An end that the guest brought about must come about by itself; one that the host chose is brought about here. */
#include "replay/replayer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "replay/digest.h"
#include "replay/landmark.h"
#include "replay/stream.h"
#include "vmm/host_time.h"

/* A cut-off trace: a guest that makes no recorded read within this many instructions after the last known position
 * has left the recording's path. */
#define CUT_SLACK (64ull << 20)

/* Running freely: a recording has a landmark each 10 ms, so a guest that does nothing that can be compared for as long as
 * this has left its path. */
#define FREE_INSNS  (512ull << 20)  /* on an engine that counts */
#define FREE_COMES  (64ull << 20)   /* arrivals at a RIP: one each clock of a processor */
#define FREE_CPU_NS 120000000000ull /* of this thread, on others */
#define FREE_LOOK   100000000ull    /* ns of host time between looks */

/* The place that is being looked for. */
struct search {
	struct target_break at; /* in the vCPU's probe while on */
	bool on;
	u64 stops;               /* head.stops of the event; what follows is about it */
	u64 arrivals;            /* at its RIP */
	u64 alike;               /* of them with equal registers, all of them */
	struct event_mark found; /* at the last arrival */
};

/* When something was last compared. */
struct progress {
	u64 accesses, stops, arrivals;
	u64 ran; /* instructions, or ns of this thread, by then */
};

struct replayer {
	struct machine *m;
	struct trace_reader *r;
	struct stream head, ahead;
	enum replay_result result;
	bool log_msr;
	bool have_end;
	struct end_record end;
	u64 last; /* last known position of the recording */
	u64 writes;
	u64 events;
	u64 stop_event;
	bool following; /* the trace grows: where it ends is no end */
	struct memory_digest own_memory, *memory;
	struct error damage;
	struct divergence *divergence;
	bool regs_taken;
	char *layout;
	struct divergence_event history[DIVERGENCE_BEFORE];
	u64 nr_history;
	u64 settled_at, settled_stops; /* the last boundary, and head.stops when it had nothing more to do */
	bool free;                     /* the machine runs freely */
	struct search search;
	struct progress progress;
	replayer_observer *observer;
	void *observer_ctx;
};

static bool host_chosen(u8 reason)
{
	return reason == END_UNTIL || reason == END_USER || reason == END_ERROR || reason == END_PANIC;
}

static void mark_take(struct event_mark *mark, const struct vcpu *vcpu)
{
	struct landmark l;

	landmark_take(&l, vcpu, !vcpu->machine->config.free);
	*mark = (struct event_mark){l.insns, l.branches, l.rip, l.rcx, l.digest};
}

/* --- the stream --- */

static void remember(struct replayer *rp)
{
	const struct stream *s = &rp->head;
	struct divergence_event *e;

	if (s->item != STREAM_EVENT)
		return;
	e = &rp->history[rp->nr_history++ % DIVERGENCE_BEFORE];
	e->event = s->event;
	e->event.bytes = NULL;
	e->done = s->done;
}

/* The recording is over before its end: what was replayed is all there is. */
static void cut(struct replayer *rp)
{
	unsigned long long at = machine_position(rp->m);

	if (rp->following && rp->head.item == STREAM_OVER)
		return;
	rp->result = REPLAY_CUT;
	if (rp->head.item == STREAM_BAD)
		error_set(&rp->damage, -EBADMSG, "%s; replayed up to position %llu", rp->head.err.text, at);
	else
		error_set(&rp->damage, -EBADMSG, "%s; replayed up to position %llu",
			  rp->r->state == TRACE_WHOLE ? "the trace has no end record" : rp->r->damage.text, at);
	vcpu_kick(rp->m->vcpu[0]);
}

static void amid_end(struct replayer *rp)
{
	if (rp->free && machine_position(rp->m) == rp->end.mark.insns)
		machine_set_end(rp->m, rp->end.reason, rp->end.code);
	vcpu_kick(rp->m->vcpu[0]);
}

/* The head item was met. */
static void advance_head(struct replayer *rp)
{
	remember(rp);
	if (unlikely(rp->observer))
		rp->observer(rp->observer_ctx, &rp->head);
	if (stream_is_stop(&rp->head) && rp->ahead.stops == rp->head.stops)
		do
			stream_next(&rp->ahead);
		while (!stream_is_stop(&rp->ahead));
	stream_next(&rp->head);
	if (rp->head.item == STREAM_OVER || rp->head.item == STREAM_BAD)
		cut(rp);
	else if (rp->head.item == STREAM_END && (rp->end.flags & END_AMID))
		amid_end(rp); /* it lies within the present instruction */
}

/* An event was met. */
static inline void count_event(struct replayer *rp)
{
	if (unlikely(++rp->events == rp->stop_event))
		machine_interrupt(rp->m);
}

/* --- divergence --- */

/* What the recording has next, for the report. */
static void look_forward(struct replayer *rp, struct divergence *d)
{
	struct stream *s = &rp->head;
	struct event_decoder *dec;

	if (s->item != STREAM_EVENT)
		return;
	dec = malloc(sizeof(*dec));
	if (!dec)
		return;
	*dec = s->events;
	d->after[0].event = s->event;
	d->after[0].done = s->done;
	d->nr_after = 1;
	while (d->nr_after < DIVERGENCE_AFTER && event_next(dec, &d->after[d->nr_after].event) == 1)
		d->nr_after++;
	for (unsigned i = 0; i < d->nr_after; i++)
		d->after[i].event.bytes = NULL;
	free(dec);
}

static void divergence_free(struct replayer *rp)
{
	if (!rp->divergence)
		return;
	free(rp->divergence->expected_image);
	free(rp->divergence->found_image);
	free(rp->divergence->layout);
	free(rp->divergence);
	rp->divergence = NULL;
}

static void take_regs(struct replayer *rp)
{
	if (!rp->divergence || rp->regs_taken)
		return;
	rp->divergence->regs = rp->m->vcpu[rp->divergence->vcpu]->regs;
	rp->regs_taken = true;
}

/* Reports the first difference. NULL for a later one (or without memory). */
static struct divergence *PRINTF(3, 4) diverge(struct replayer *rp, const struct vcpu *vcpu, const char *fmt, ...)
{
	struct divergence *d;
	va_list ap;

	if (rp->result != REPLAY_RUNNING)
		return NULL;
	rp->result = REPLAY_DIVERGED;
	vcpu_kick(rp->m->vcpu[0]);
	d = rp->divergence = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(d->what, sizeof(d->what), fmt, ap);
	va_end(ap);
	d->position = machine_position(rp->m);
	d->vcpu = vcpu->id;
	d->nr_before = (unsigned)min64(rp->nr_history, DIVERGENCE_BEFORE);
	for (unsigned i = 0; i < d->nr_before; i++)
		d->before[i] = rp->history[(rp->nr_history - d->nr_before + i) % DIVERGENCE_BEFORE];
	look_forward(rp, d);
	return d;
}

static bool is_searched(const struct replayer *rp)
{
	const struct event *ev = &rp->head.event;

	return rp->free && rp->head.item == STREAM_EVENT && ev->type == EVENT_ADVANCE && !(ev->flags & EVENT_IDLE);
}

/* The guest has gone past the place that is the head's. */
static void not_found(struct replayer *rp, const struct vcpu *vcpu, const char *what)
{
	const struct event_mark *want = &rp->head.event.mark;
	const struct search *s = &rp->search;
	unsigned long long rip = want->rip, arrivals = 0, alike = 0;
	struct divergence *d;

	if (s->stops == rp->head.stops) {
		arrivals = s->arrivals;
		alike = s->alike;
	}
	d = diverge(
	    rp, vcpu,
	    "%s before it came to where the recording has its clock moved: at position %llu it was %llu times at "
	    "RIP 0x%llx, with the registers of the recording %llu times%s",
	    what, (unsigned long long)want->insns, arrivals, rip, alike, alike ? ", but memory differed" : "");
	if (d && arrivals) {
		d->have_mark = true;
		d->expected = *want;
		d->found = s->found;
	}
}

/* "the guest does X where the recording has Y". */
static void unexpected(struct replayer *rp, const struct vcpu *vcpu, const char *what)
{
	char next[200];

	if (is_searched(rp)) {
		not_found(rp, vcpu, what);
		return;
	}
	stream_describe(&rp->head, next, sizeof(next));
	diverge(rp, vcpu, "%s, but the recording has next: %s", what, next);
}

/* Compares landmarks; @what names the event. */
static bool check_mark(struct replayer *rp, const struct vcpu *vcpu, const struct event_mark *want, const char *what)
{
	struct event_mark got;
	struct divergence *d;
	const char *differs;

	mark_take(&got, vcpu);
	if (!memcmp(&got, want, sizeof(got)))
		return true;
	differs = got.insns != want->insns         ? "position"
		  : got.rip != want->rip           ? "RIP"
		  : got.rcx != want->rcx           ? "RCX"
		  : got.branches != want->branches ? "the number of branches"
						   : "a general register or RFLAGS";
	d = diverge(rp, vcpu, "%s: %s differs from the recording", what, differs);
	if (d) {
		d->have_mark = true;
		d->expected = *want;
		d->found = got;
	}
	return false;
}

static bool check_writes(struct replayer *rp, const struct vcpu *vcpu, u64 want, const char *what)
{
	if (rp->writes == want)
		return true;
	diverge(rp, vcpu, "%s: what the guest wrote to devices before differs from the recording", what);
	return false;
}

static void keep_images(struct replayer *rp, struct divergence *d, const u8 *want, size_t len, u8 *got, size_t got_len)
{
	d->expected_image = malloc(len + 1);
	if (d->expected_image)
		memcpy(d->expected_image, want, len);
	d->found_image = got;
	d->image_len = d->expected_image ? len : 0;
	d->found_len = got_len;
	d->layout = rp->layout ? strdup(rp->layout) : NULL;
}

/* Compares the machine with the digest at the head. */
static bool check_digest(struct replayer *rp)
{
	const struct digest_record *want = &rp->head.digest;
	struct machine *m = rp->m;
	const struct vcpu *vcpu = m->vcpu[0];
	size_t len = register_image_size(m);
	u8 *image = malloc(len + 1);
	struct divergence *d = NULL;

	if (!image) {
		diverge(rp, vcpu, "no memory to compare a digest");
		return false;
	}
	register_image_save(m, image);
	if (!rp->free && vcpu->branches != want->branches)
		d = diverge(rp, vcpu, "digest: %llu conditional branches retired, %llu in the recording",
			    (unsigned long long)vcpu->branches, (unsigned long long)want->branches);
	else if (want->image_len != len || memcmp(image, want->image, len))
		d = diverge(rp, vcpu, "digest: registers differ from the recording");
	else if (memory_digest_update(rp->memory, m) != want->memory)
		d = diverge(rp, vcpu, "digest: guest memory differs from the recording");
	else if (rp->writes != want->writes)
		d = diverge(rp, vcpu, "digest: what the guest wrote to devices differs from the recording");
	else if (clock_now(&m->clock) != want->ns)
		d = diverge(rp, vcpu, "digest: guest time is %llu ns, %llu ns in the recording",
			    (unsigned long long)clock_now(&m->clock), (unsigned long long)want->ns);
	else if (state_digest(m) != want->state)
		d = diverge(rp, vcpu, "digest: a device's state differs from the recording");
	if (d)
		keep_images(rp, d, want->image, want->image_len, image, len);
	else
		free(image);
	return rp->result == REPLAY_RUNNING;
}

/* --- sync events --- */

static bool head_is(const struct replayer *rp, u8 type)
{
	return rp->head.item == STREAM_EVENT && rp->head.event.type == type;
}

static const char *const space_names[] = {"port", "MMIO", "MSR"};

static void PRINTF(3, 4) unexpected_access(struct replayer *rp, const struct vcpu *vcpu, const char *fmt, ...)
{
	char what[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	unexpected(rp, vcpu, what);
}

static u64 replay_io_read(void *ctx, struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size, u64 modelled)
{
	struct replayer *rp = ctx;
	struct stream *head = &rp->head;
	u64 logged;

	if ((space == IO_MSR && !rp->log_msr) || unlikely(rp->result != REPLAY_RUNNING))
		return modelled;
	if (unlikely(!head_is(rp, EVENT_IO_READ) || head->event.addr != addr || head->event.space != space ||
		     head->event.size != size || head->event.vcpu != vcpu->id)) {
		unexpected_access(rp, vcpu, "the guest reads %s 0x%llx size %u", space_names[space],
				  (unsigned long long)addr, size);
		return modelled;
	}
	logged = head->done & 1 ? head->event.other : head->event.value;
	if (unlikely(logged != modelled))
		diverge(rp, vcpu, "read of %s 0x%llx size %u gives 0x%llx, 0x%llx in the recording", space_names[space],
			(unsigned long long)addr, size, (unsigned long long)modelled, (unsigned long long)logged);
	count_event(rp);
	if (++head->done == head->event.count)
		advance_head(rp);
	return logged;
}

static void replay_io_write(void *ctx, struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size, u64 value)
{
	struct replayer *rp = ctx;

	if (unlikely(is_searched(rp)) && rp->m->accesses > rp->head.event.mark.insns)
		unexpected_access(rp, vcpu, "the guest writes %s 0x%llx size %u", space_names[space],
				  (unsigned long long)addr, size);
	rp->writes = write_digest(rp->writes, vcpu->id, space, addr, size, value);
}

static u64 replay_clock_sample(void *ctx, struct vcpu *vcpu)
{
	struct replayer *rp = ctx;
	u64 ns = clock_now(&rp->m->clock);

	if (rp->result != REPLAY_RUNNING)
		return ns;
	if (!head_is(rp, EVENT_CLOCK)) {
		unexpected(rp, vcpu, "the guest reads the time");
		return ns;
	}
	ns = rp->head.event.ns;
	count_event(rp);
	advance_head(rp);
	return ns;
}

static void replay_interrupt(void *ctx, struct vcpu *vcpu, enum irq_kind kind, u8 vector)
{
	struct replayer *rp = ctx;
	const struct event *ev = &rp->head.event;
	char what[64];

	if (rp->result != REPLAY_RUNNING)
		return;
	snprintf(what, sizeof(what), "%s 0x%x",
		 kind == IRQ_EXTERNAL ? "interrupt"
		 : kind == IRQ_NMI    ? "NMI"
				      : "INIT",
		 vector);
	if (!head_is(rp, EVENT_INTERRUPT) || ev->kind != kind || ev->vector != vector || ev->vcpu != vcpu->id) {
		unexpected_access(rp, vcpu, "the guest takes %s at position %llu", what,
				  (unsigned long long)machine_position(rp->m));
		return;
	}
	if (!check_mark(rp, vcpu, &ev->mark, what) || !check_writes(rp, vcpu, ev->writes, what))
		return;
	count_event(rp);
	advance_head(rp);
}

/* --- async events --- */

static bool apply_poke(struct replayer *rp)
{
	const struct event *ev = &rp->head.event;
	struct vcpu *vcpu = ev->vcpu < rp->m->config.vcpus ? rp->m->vcpu[ev->vcpu] : NULL;

	if (!vcpu)
		return false;
	if (ev->what == POKE_MEMORY)
		return !memory_write(&rp->m->mem, ev->addr, ev->bytes, ev->len);
	if (state_load(x86_state_fields, &vcpu->regs, ev->bytes, ev->len))
		return false;
	if (vcpu->engine->regs_changed)
		vcpu->engine->regs_changed(vcpu);
	return true;
}

static bool apply_input(struct replayer *rp)
{
	struct machine *m = rp->m;
	const struct event *ev = &rp->head.event;

	return clock_now(&m->clock) == ev->ns && ev->source < INPUT_SOURCES &&
	       machine_input_room(m, ev->source) >= ev->len &&
	       machine_input(m, ev->source, ev->bytes, ev->len) == ev->len;
}

/* Gives the guest the input, moves the clock, or changes what a debugger changed, as the head says. */
static void apply(struct replayer *rp)
{
	const struct event *ev = &rp->head.event;
	const struct vcpu *vcpu = rp->m->vcpu[0];

	if (!check_mark(rp, vcpu, &ev->mark, event_type_name(ev->type)))
		return;
	if (ev->type == EVENT_ADVANCE) {
		clock_advance(&rp->m->clock, ev->ns);
	} else if (ev->type == EVENT_POKE ? !apply_poke(rp) : !apply_input(rp)) {
		unexpected(rp, vcpu,
			   ev->type == EVENT_POKE ? "the guest has no such memory or registers"
						  : "the guest can't take the recorded input");
		return;
	}
	count_event(rp);
	advance_head(rp);
}

/* Where the next stop item wants the machine to stop. */
static u64 stop_position(const struct replayer *rp)
{
	const struct stream *s = &rp->ahead;
	u64 at = stream_position(s);

	switch (s->item) {
	case STREAM_EVENT:
		/* What comes after the boundary at its position is missed only at the next one. */
		return s->event.type == EVENT_INTERRUPT || (s->event.flags & EVENT_IDLE) ? at + 1 : at;
	case STREAM_DIGEST:
		if (!(s->digest.flags & DIGEST_FINAL))
			return at;
		/* fall through */
	case STREAM_END:
		return rp->have_end && host_chosen(rp->end.reason) && !(rp->end.flags & END_IDLE) ? at : at + 1;
	default:
		return rp->last + CUT_SLACK;
	}
}

static u64 replay_next_stop(void *ctx)
{
	const struct replayer *rp = ctx;
	u64 position = machine_position(rp->m), stop;

	if (rp->result != REPLAY_RUNNING)
		return 0;
	stop = stop_position(rp);
	if (rp->free) /* 0 means something else there, and the machine stops at the first place by itself */
		return max64(stop, 1);
	/* Nothing is left to do here until the head moves: look again after the next instruction. */
	if (stop <= position && rp->settled_at == position && rp->settled_stops == rp->head.stops)
		return position + 1;
	return stop;
}

/* The head is the final digest or the end. True: the run is to end here, as the host had it. */
static bool end_here(struct replayer *rp, bool idle)
{
	const struct end_record *end = &rp->end;
	bool final = rp->head.item == STREAM_DIGEST && (rp->head.digest.flags & DIGEST_FINAL);

	if (!rp->have_end || (rp->head.item != STREAM_END && !final) || !host_chosen(end->reason) ||
	    end->mark.insns != machine_position(rp->m))
		return false;
	if (end->flags & END_AMID)
		return true;
	/* Nothing but the end is left to come: a guest that waits without a timer gets there by waiting. */
	if (idle)
		clock_advance(&rp->m->clock, end->ns);
	return clock_now(&rp->m->clock) >= end->ns && idle == !!(end->flags & END_IDLE);
}

/* The head lies behind, or something to be done now lies behind a read that did not happen. */
static bool missed(const struct replayer *rp, u64 position)
{
	const struct stream *a = &rp->ahead;
	u64 at = stream_position(a);
	bool now;

	if (a->item == STREAM_OVER || a->item == STREAM_BAD)
		return position >= rp->last + CUT_SLACK;
	if (at < position)
		return true;
	now = a->item == STREAM_EVENT ? a->event.type != EVENT_INTERRUPT && !(a->event.flags & EVENT_IDLE)
				      : a->item == STREAM_DIGEST && !(a->digest.flags & DIGEST_FINAL);
	return now && at == position && a->stops != rp->head.stops;
}

/* Takes the head if it is due at this boundary. False: it isn't. */
static bool boundary_step(struct replayer *rp, u64 position)
{
	const struct stream *head = &rp->head;

	if (head->item == STREAM_EVENT && event_is_async(&head->event)) {
		if (head->event.type == EVENT_INTERRUPT || (head->event.flags & EVENT_IDLE) ||
		    head->event.mark.insns != position)
			return false;
		apply(rp);
		return true;
	}
	if (head->item == STREAM_DIGEST && !(head->digest.flags & DIGEST_FINAL) && head->digest.position == position) {
		if (check_digest(rp))
			advance_head(rp);
		return true;
	}
	return false;
}

/* --- searching --- */

/* Whether the guest is where the head's landmark was taken. */
static bool is_here(struct replayer *rp)
{
	const struct event *ev = &rp->head.event;
	struct search *s = &rp->search;

	if (s->stops != rp->head.stops) {
		s->stops = rp->head.stops;
		s->arrivals = s->alike = 0;
	}
	if (rp->m->vcpu[0]->regs.rip != ev->mark.rip)
		return false;
	s->arrivals++;
	mark_take(&s->found, rp->m->vcpu[0]);
	if (memcmp(&s->found, &ev->mark, sizeof(ev->mark)))
		return false;
	if (!(ev->flags & EVENT_STATE))
		return true;
	if (register_digest(rp->m) != ev->state || landmark_base(&rp->m->vcpu[0]->regs) != ev->base)
		return false;
	s->alike++;
	return memory_digest_peek(rp->memory, rp->m) == ev->memory;
}

/* At a place of a machine that runs freely. Returns whether the head's place was found. */
static bool boundary_freely(struct replayer *rp, u64 position)
{
	bool found = false;

	while (rp->result == REPLAY_RUNNING) {
		if (is_searched(rp) && rp->head.event.mark.insns == position) {
			if (found || !is_here(rp))
				break;
			found = true;
			apply(rp);
		} else if (!boundary_step(rp, position)) {
			break;
		}
	}
	return found;
}

static u64 thread_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

/* Ends what goes on for ever with nothing to compare. */
static void look_after_progress(struct replayer *rp)
{
	const struct vcpu *vcpu = rp->m->vcpu[0];
	const bool counts = vcpu->engine->exact_insns;
	struct progress *p = &rp->progress;
	bool in_vain = rp->search.stops == rp->head.stops && rp->search.arrivals > FREE_COMES;

	if (p->accesses != rp->m->accesses || p->stops != rp->head.stops ||
	    (!counts && p->arrivals != rp->search.arrivals))
		*p = (struct progress){rp->m->accesses, rp->head.stops, rp->search.arrivals,
				       counts ? vcpu->insns : thread_cpu_ns()};
	else if (in_vain || (counts ? vcpu->insns - p->ran > FREE_INSNS : thread_cpu_ns() - p->ran > FREE_CPU_NS))
		unexpected(rp, vcpu, "the guest has run for long with no access");
}

static void set_probe(struct replayer *rp, const struct target_break *at)
{
	rp->search.on = at;
	if (probe_set(rp->m->vcpu[0], at)) {
		rp->search.on = false;
		diverge(rp, rp->m->vcpu[0], "no memory to search for a place");
	}
}

/* The engine is about to run. */
static u64 replay_alarm(void *ctx, struct machine *m)
{
	struct replayer *rp = ctx;
	struct search *s = &rp->search;
	const struct event *ev = &rp->head.event;
	struct vcpu *vcpu = m->vcpu[0];

	if (rp->result == REPLAY_RUNNING && is_searched(rp) && !(ev->flags & EVENT_STOPS) &&
	    ev->mark.insns == machine_position(m)) {
		struct target_break at = {.kind = TARGET_BREAK_EXEC, .space = TARGET_LINEAR, .len = 1};

		at.addr = ev->base ? (u32)(ev->base + ev->mark.rip) : ev->mark.rip;

		if (!s->on || s->at.addr != at.addr) {
			s->at = at;
			set_probe(rp, &s->at);
		}
		vcpu->probe.skip_insns = vcpu->insns;
		vcpu->probe.skip_deliveries = vcpu_deliveries(vcpu);
	} else if (s->on) {
		set_probe(rp, NULL);
	}
	return monotonic_ns() + FREE_LOOK;
}

static int replay_boundary(void *ctx, struct machine *m)
{
	struct replayer *rp = ctx;
	u64 position = machine_position(m);
	bool found = false;

	if (rp->free)
		found = boundary_freely(rp, position);
	else
		while (rp->result == REPLAY_RUNNING && boundary_step(rp, position))
			;
	if (rp->free && rp->result == REPLAY_RUNNING)
		look_after_progress(rp);
	if (rp->result == REPLAY_RUNNING && missed(rp, position)) {
		char what[80];

		snprintf(what, sizeof(what), "the guest has reached position %llu", (unsigned long long)position);
		unexpected(rp, m->vcpu[0], what);
	}
	take_regs(rp);
	if (rp->result != REPLAY_RUNNING)
		return -ECANCELED;
	/* Many places have the position of the end: it is the one just found. */
	if ((!rp->free || found || (rp->end.flags & END_AMID)) && end_here(rp, false))
		machine_set_end(m, rp->end.reason, rp->end.code);
	rp->settled_at = position;
	rp->settled_stops = rp->head.stops;
	return 0;
}

static int replay_idle(void *ctx, struct machine *m, u64 deadline)
{
	struct replayer *rp = ctx;
	const struct stream *head = &rp->head;

	if (rp->result == REPLAY_RUNNING) {
		if (head->item == STREAM_EVENT && event_is_async(&head->event) &&
		    ((head->event.flags & EVENT_IDLE) || head->event.type == EVENT_POKE)) {
			apply(rp);
		} else if (end_here(rp, true)) {
			machine_set_end(m, rp->end.reason, rp->end.code);
		} else if (rp->have_end && rp->end.reason == END_HALTED && head->stops == rp->ahead.stops &&
			   head->item != STREAM_EVENT) {
			clock_advance(&m->clock, rp->end.ns);
			return 1;
		} else {
			unexpected(rp, m->vcpu[0], "the guest is halted and waits");
		}
	}
	take_regs(rp);
	return rp->result == REPLAY_RUNNING ? 0 : -ECANCELED;
}

static const struct nondet_ops replay_ops = {
    .io_read = replay_io_read,
    .io_write = replay_io_write,
    .clock_sample = replay_clock_sample,
    .alarm = replay_alarm,
    .interrupt = replay_interrupt,
    .next_stop = replay_next_stop,
    .boundary = replay_boundary,
    .idle = replay_idle,
};

/* --- life --- */

/* The end record, which tells where and how to stop, and the last position that the trace knows of. */
static int find_end(struct replayer *rp, struct error *err)
{
	struct trace_buf buf = {0};
	int ret = 0;

	for (size_t i = 0; i < rp->r->count; i++)
		if (rp->r->chunk[i].position > rp->last)
			rp->last = rp->r->chunk[i].position;
	for (size_t i = rp->r->count; !ret && i-- > 0;) {
		if (rp->r->chunk[i].type != TRACE_END)
			continue;
		ret = trace_read(rp->r, i, &buf, err);
		if (!ret && end_decode(&rp->end, buf.data, buf.len))
			ret = error_set(err, -EBADMSG, "the trace's end record is not well-formed");
		if (!ret && rp->end.reason >= END_COUNT)
			ret = error_set(err, -EBADMSG, "the trace's end record has an unknown reason");
		rp->have_end = !ret;
		break;
	}
	if (rp->have_end)
		rp->last = rp->end.mark.insns;
	trace_buf_free(&buf);
	return ret;
}

/* From the head's own place on. */
static void find_ahead(struct replayer *rp)
{
	stream_next(&rp->ahead);
	while (!stream_is_stop(&rp->ahead))
		stream_next(&rp->ahead);
}

int replayer_create(struct replayer **out, struct trace_reader *r, struct machine *m, const struct session *s,
		    struct error *err)
{
	struct replayer *rp = calloc(1, sizeof(*rp));
	int ret;

	if (!rp)
		return error_set(err, -ENOMEM, "out of memory");
	rp->m = m;
	rp->r = r;
	rp->log_msr = s->msr_logged;
	rp->settled_at = ~0ull;
	rp->free = m->config.free;
	rp->search.stops = ~0ull;
	rp->layout = s->registers ? strdup(s->registers) : NULL;
	stream_init(&rp->head, r);
	stream_init(&rp->ahead, r);
	ret = find_end(rp, err);
	rp->memory = &rp->own_memory;
	if (!ret && memory_digest_init(rp->memory, m))
		ret = error_set(err, -ENOMEM, "out of memory");
	if (ret) {
		replayer_free(rp);
		return ret;
	}
	stream_next(&rp->head);
	find_ahead(rp);
	if (rp->head.item == STREAM_OVER || rp->head.item == STREAM_BAD)
		cut(rp);
	m->nondet = (struct nondet){.ops = &replay_ops, .ctx = rp};
	*out = rp;
	return 0;
}

void replayer_free(struct replayer *rp)
{
	if (!rp)
		return;
	if (rp->search.on)
		probe_set(rp->m->vcpu[0], NULL);
	if (rp->m->nondet.ctx == rp)
		rp->m->nondet = (struct nondet){.ops = &nondet_live, .ctx = rp->m};
	divergence_free(rp);
	stream_free(&rp->head);
	stream_free(&rp->ahead);
	memory_digest_free(&rp->own_memory);
	free(rp->layout);
	free(rp);
}

void replayer_save(const struct replayer *rp, struct replayer_place *place)
{
	*place = (struct replayer_place){
	    .writes = rp->writes,
	    .events = rp->events,
	    .settled_at = rp->settled_at,
	    .settled_stops = rp->settled_stops,
	};
	stream_save(&rp->head, &place->stream);
}

int replayer_restore(struct replayer *rp, const struct replayer_place *place, struct error *err)
{
	rp->m->nondet = (struct nondet){.ops = &replay_ops, .ctx = rp};
	rp->result = REPLAY_RUNNING;
	rp->writes = place->writes;
	rp->events = place->events;
	rp->damage = (struct error){""};
	divergence_free(rp);
	rp->regs_taken = false;
	rp->nr_history = 0;
	rp->settled_at = place->settled_at;
	rp->settled_stops = place->settled_stops;
	if (stream_restore(&rp->head, &place->stream) || stream_restore(&rp->ahead, &place->stream)) {
		cut(rp);
		return error_set(err, -EBADMSG, "%s", rp->head.err.text);
	}
	if (!stream_is_stop(&rp->ahead))
		find_ahead(rp);
	if (rp->head.item == STREAM_OVER || rp->head.item == STREAM_BAD)
		cut(rp);
	return 0;
}

void replayer_observe(struct replayer *rp, replayer_observer *observer, void *ctx)
{
	rp->observer = observer;
	rp->observer_ctx = ctx;
}

enum replay_result replayer_result(const struct replayer *rp)
{
	return rp->result;
}

bool replayer_event_was_before(const struct replayer *rp)
{
	const struct event *last = &rp->history[(rp->nr_history - 1) % DIVERGENCE_BEFORE].event;

	return rp->head.done || !rp->nr_history || !event_is_async(last) || last->type == EVENT_INTERRUPT;
}

void replayer_stop_at_event(struct replayer *rp, u64 events)
{
	rp->stop_event = events;
}

void replayer_take_digest(struct replayer *rp, struct memory_digest *out)
{
	*out = *rp->memory;
	*rp->memory = (struct memory_digest){0};
}

void replayer_follow(struct replayer *rp, u64 edge, struct memory_digest *digest)
{
	rp->following = true;
	rp->last = edge;
	replayer_use_digest(rp, digest);
}

void replayer_use_digest(struct replayer *rp, struct memory_digest *digest)
{
	memory_digest_free(&rp->own_memory);
	rp->memory = digest ? digest : &rp->own_memory;
}

/* Whether the guest ends as recorded. Whatever ends it after it said that it panics is recorded as a panic. */
static bool same_end(const struct machine *m, const struct end_record *end)
{
	if (end->reason == END_PANIC &&
	    (m->end == END_RESET || m->end == END_POWEROFF || m->end == END_HALTED || m->end == END_TRIPLE_FAULT))
		return true;
	return m->end == (enum machine_end)end->reason && m->end_code == end->code;
}

/* The machine has ended; the recording must have too, here and in the same way. */
static void check_end(struct replayer *rp)
{
	struct machine *m = rp->m;
	const struct vcpu *vcpu = m->vcpu[0];
	const struct end_record *end = &rp->end;
	bool final = rp->head.item == STREAM_DIGEST && (rp->head.digest.flags & DIGEST_FINAL);
	char what[80];

	snprintf(what, sizeof(what), "the run ends (%s) at position %llu", machine_end_name(m->end),
		 (unsigned long long)machine_position(m));
	if (!final && rp->head.item != STREAM_END) {
		unexpected(rp, vcpu, what);
		return;
	}
	if (!rp->have_end) {
		cut(rp);
		return;
	}
	if (!same_end(m, end)) {
		diverge(rp, vcpu, "%s with code %u, in the recording: %s with code %u at position %llu", what,
			m->end_code, machine_end_name(end->reason), end->code, (unsigned long long)end->mark.insns);
		return;
	}
	if (end->flags & END_AMID) {
		/* Not a place with a state of its own: what led to it was compared. */
		if (machine_position(m) == end->mark.insns)
			rp->result = REPLAY_EQUAL;
		else
			unexpected(rp, vcpu, what);
		return;
	}
	if (!check_mark(rp, vcpu, &end->mark, "end of the run"))
		return;
	if (final) {
		if (!check_digest(rp))
			return;
		stream_next(&rp->head);
	}
	if (rp->head.item != STREAM_END)
		unexpected(rp, vcpu, what);
	else if (check_writes(rp, vcpu, end->writes, "end of the run"))
		rp->result = REPLAY_EQUAL;
}

/* The guest has said that it panics; where the recording was then ended the clock had been moved once more. */
static void go_to_end(struct replayer *rp)
{
	struct machine *m = rp->m;

	if (rp->result != REPLAY_RUNNING || !head_is(rp, EVENT_ADVANCE) || rp->head.event.flags & EVENT_IDLE ||
	    !rp->have_end || m->end != END_PANIC || rp->end.reason != END_PANIC)
		return;
	m->end = END_NONE;
	machine_run(m, CLOCK_NEVER);
}

enum replay_result replayer_finish(struct replayer *rp)
{
	struct machine *m = rp->m;
	bool stopped;

	go_to_end(rp);
	stopped = m->end == END_NONE || m->end == END_USER || m->end == END_UNTIL;

	if (rp->result == REPLAY_RUNNING) {
		/* The caller's own condition was met first. */
		if (stopped && !(rp->have_end && m->end == (enum machine_end)rp->end.reason &&
				 machine_position(m) == rp->end.mark.insns))
			rp->result = REPLAY_STOPPED;
		else
			check_end(rp);
	}
	take_regs(rp);
	if (rp->result == REPLAY_EQUAL && rp->r->state != TRACE_WHOLE) {
		rp->result = REPLAY_CUT;
		error_set(&rp->damage, -EBADMSG, "%s; the run itself was replayed to its end", rp->r->damage.text);
	}
	return rp->result;
}

const struct end_record *replayer_end(const struct replayer *rp)
{
	return rp->have_end ? &rp->end : NULL;
}

const struct error *replayer_damage(const struct replayer *rp)
{
	return &rp->damage;
}

const struct divergence *replayer_divergence(const struct replayer *rp)
{
	return rp->result == REPLAY_DIVERGED ? rp->divergence : NULL;
}

struct replayer_progress replayer_progress(const struct replayer *rp)
{
	return (struct replayer_progress){
	    .position = machine_position(rp->m),
	    .last = rp->last,
	    .events = rp->events,
	    .bytes = rp->head.bytes,
	    .size = rp->r->size,
	};
}
