/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recording.
 *
 * 1. With the virtual clock nothing written depends on host time: chunks close at multiples of chunk_every or when
 *    they are full, both functions of what the guest did.
 * 2. Asynchronous events happen only at positions that were asked for by next_stop(): there the engine stops before
 *    the instruction at P has begun (never amid a REP), so a replayer that stops at P is at the same place.
 * 3. One asynchronous event at most for each idle(): the machine fires timers between two of them. */
#include "replay/recorder.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "replay/digest.h"
#include "replay/landmark.h"
#include "replay/ring.h"
#include "replay/stored.h"
#include "traces/event.h"
#include "traces/record.h"
#include "vmm/host_time.h"

#define DIGEST_EVERY (64ull << 20)
#define CHUNK_EVERY  (16ull << 20)
#define INPUT_EVERY  (1ull << 20)
#define RING_EVERY   (1ull << 20)  /* instructions between looks at the flight recorder's size */
#define SAMPLE_EVERY 50000ull      /* host clock: instructions between looks at the time */
#define ADVANCE_NS   1000000ull    /* host clock: time moves in steps of this, or when a timer is due */
#define FLUSH_NS     1000000000ull /* host clock: chunks are written at least this often */
#define POLL_MS      100           /* longest sleep before signals are looked at again */
#define SETTLE_MS    500           /* for an interrupted instruction to come to its end */
#define LINE_BYTES   256

/* A machine that runs freely, in ns of guest time. */
#define FREE_DIGEST_EVERY 1000000000ull
#define FREE_CHUNK_EVERY  1000000000ull
#define FREE_INPUT_EVERY  10000000ull
#define FREE_IDLE_FLUSH   100000000ull /* idling for so long, chunks are written before */

struct console_line {
	u64 position;
	u8 port;
	u32 len;
	u8 bytes[LINE_BYTES];
};

struct recorder {
	struct machine *m;
	struct trace_writer *w;
	struct recorder_config config;
	struct event_encoder enc;
	bool free;    /* the machine runs freely, and this is no replay of it */
	bool counted; /* positions are instructions */
	bool open;    /* an event chunk is begun */
	bool log_msr;
	bool finishing;  /* idle() must not wait any more */
	bool ended_idle; /* ... and was asked to */
	bool ended_here; /* running freely: an end that the host chose has its landmark */
	bool retry;      /* running freely: something is due, but the place can't be found again */
	u64 last_place;  /* running freely: guest time of the last landmark, ns */
	u64 writes;
	u64 last_io; /* position of the instruction that last touched a device */
	u64 events, console_bytes;
	u64 next_digest, next_chunk, next_input, next_sample, next_checkpoint, next_ring;
	u64 host_start, last_flush; /* host ns */
	u64 paused_at;              /* host ns; 0: running */
	u8 input[EVENT_INPUT_MAX];  /* read from the host, not yet taken by the guest */
	u32 input_len;
	struct trace_buf console;
	u64 console_start, console_base;
	struct console_line line;
	struct memory_digest memory;
	u8 *image;
	bool checkpoints; /* the trace gets some: */
	struct checkpoints points;
	struct checkpoint *last_point; /* the last one in this file */
	struct checkpoint_put put;
	int code; /* sticky */
	struct error err;
};

static u64 position(const struct recorder *r)
{
	return r->counted ? r->m->vcpu[0]->insns : r->m->accesses;
}

static int fail(struct recorder *r, int code, const char *what)
{
	if (!r->code) {
		r->code = code;
		error_set(&r->err, code, "%s", what);
	}
	return r->code;
}

static int write_chunk(struct recorder *r, u32 type, u64 at, const void *data, size_t len)
{
	int ret;

	if (r->code)
		return r->code;
	ret = trace_write(r->w, type, at, data, len);

	return ret ? fail(r, ret, trace_writer_error(r->w)->text) : 0;
}

/* --- chunks --- */

static int flush_events(struct recorder *r)
{
	if (!r->open)
		return 0;
	event_encoder_end(&r->enc);
	r->open = false;
	r->events += r->enc.events;
	if (r->enc.pokes && trace_writer_require(r->w, TRACE_MORE))
		return fail(r, -EIO, trace_writer_error(r->w)->text);
	if (disk_flush(r->config.disk))
		return fail(r, -EIO, trace_writer_error(r->w)->text);
	return write_chunk(r, TRACE_EVENTS, r->enc.position, r->enc.buf, r->enc.len);
}

static void end_line(struct recorder *r)
{
	struct console_line *line = &r->line;
	struct console_record rec = {
	    .position = line->position, .port = line->port, .len = line->len, .bytes = line->bytes};

	if (!line->len)
		return;
	if (!r->console.len)
		r->console_start = r->console_base = line->position;
	if (console_encode(&r->console, &rec, r->console_base))
		fail(r, -ENOMEM, "out of memory");
	r->console_base = line->position;
	line->len = 0;
}

static int flush_console(struct recorder *r)
{
	int ret;

	end_line(r);
	if (!r->console.len)
		return r->code;
	ret = write_chunk(r, TRACE_CONSOLE, r->console_start, r->console.data, r->console.len);
	r->console.len = 0;
	return ret;
}

static int flush_all(struct recorder *r)
{
	int ret = flush_events(r);

	return ret ? ret : flush_console(r);
}

static void event_begin(struct recorder *r)
{
	if (likely(r->open))
		return;
	event_encoder_begin(&r->enc, position(r));
	r->open = true;
}

static void event_done(struct recorder *r, struct vcpu *vcpu)
{
	if (unlikely(event_encoder_full(&r->enc)) && flush_events(r))
		vcpu_kick(vcpu);
}

void recorder_console(struct recorder *r, enum console_port port, const u8 *buf, size_t len)
{
	struct console_line *line = &r->line;

	r->console_bytes += len;
	for (size_t i = 0; i < len; i++) {
		if (line->len && line->port != port)
			end_line(r);
		if (!line->len) {
			line->position = position(r);
			line->port = (u8)port;
		}
		line->bytes[line->len++] = buf[i];
		if (buf[i] == '\n' || line->len == LINE_BYTES)
			end_line(r);
	}
	if (r->console.len >= EVENT_CHUNK_RAW)
		flush_console(r);
}

/* As it would be if the machine counted. */
static u64 counted_state_digest(struct machine *m)
{
	const bool free = m->config.free;
	u64 digest;

	m->config.free = false;
	digest = state_digest(m);
	m->config.free = free;
	return digest;
}

static int take_digest(struct recorder *r, u8 flags)
{
	struct trace_buf buf = {0};
	struct digest_record rec = {
	    .position = position(r),
	    .branches = r->counted ? r->m->vcpu[0]->branches : 0,
	    .ns = clock_now(&r->m->clock),
	    .flags = flags,
	    .state = r->counted ? counted_state_digest(r->m) : state_digest(r->m),
	    .memory = memory_digest_update(&r->memory, r->m),
	    .writes = r->writes,
	    .image = r->image,
	    .image_len = (u32)register_image_size(r->m),
	};
	int ret = flush_all(r);

	register_image_save(r->m, r->image);
	if (!ret && digest_encode(&buf, &rec, NULL))
		ret = fail(r, -ENOMEM, "out of memory");
	if (!ret)
		ret = write_chunk(r, TRACE_DIGESTS, rec.position, buf.data, buf.len);
	trace_buf_free(&buf);
	return ret;
}

/* --- checkpoints --- */

static int store_checkpoint(struct recorder *r)
{
	struct replayer_place place = {.writes = r->writes, .settled_at = ~0ull};
	struct checkpoint *cp;
	struct error err = {""};
	int ret = flush_all(r);

	if (ret)
		return ret;
	place.events = r->events;
	place.stream = (struct stream_place){.chunk = trace_writer_stream(r->w), .item = STREAM_AFTER};
	ret = checkpoint_make(&r->points, &place, &cp);
	if (ret)
		return fail(r, ret, "out of memory");
	ret = checkpoint_store(&r->points, cp, r->last_point, &r->put, &err);
	checkpoint_free(&r->points, r->last_point);
	r->last_point = cp;
	return ret ? fail(r, ret, err.text) : 0;
}

/* The flight recorder's next file begins here. */
static int roll(struct recorder *r)
{
	struct error err = {""};
	int ret = flush_all(r);

	if (!ret && (ret = ring_roll(r->config.ring, &err)))
		fail(r, ret, err.text);
	if (ret) {
		r->w = NULL;
		return ret;
	}
	r->w = ring_writer(r->config.ring);
	if (r->config.disk && disk_record(r->config.disk, r->w, &r->m->vcpu[0]->insns))
		return fail(r, -ENOMEM, "out of memory");
	checkpoint_put_free(&r->put);
	checkpoint_put_init(&r->put, r->w);
	checkpoint_free(&r->points, r->last_point);
	r->last_point = NULL;
	return store_checkpoint(r);
}

static u64 step_after(u64 at, u64 every)
{
	return at - at % every + every;
}

/* At a position at which nothing has happened yet. */
static void look_after_checkpoints(struct recorder *r, u64 at)
{
	bool look = at >= r->next_ring;

	if (vcpu_deliveries(r->m->vcpu[0]))
		return;
	if (look)
		r->next_ring = step_after(at, RING_EVERY);
	if (look && ring_full(r->config.ring)) {
		roll(r);
	} else if (at >= r->next_checkpoint) {
		store_checkpoint(r);
	} else {
		return;
	}
	if (r->config.checkpoint_every)
		r->next_checkpoint = step_after(at, r->config.checkpoint_every);
}

/* --- time and input of the host --- */

/* Guest time that belongs to now: never before what the guest has seen. */
static u64 host_ns(const struct recorder *r)
{
	return max64(monotonic_ns() - r->host_start, clock_now(&r->m->clock));
}

static void mark_take(const struct recorder *r, struct event_mark *mark, const struct vcpu *vcpu)
{
	struct landmark l;

	landmark_take(&l, vcpu, r->counted);
	*mark = (struct event_mark){l.insns, l.branches, l.rip, l.rcx, l.digest};
}

static void advance(struct recorder *r, u64 ns, u8 flags)
{
	struct vcpu *vcpu = r->m->vcpu[0];
	struct event_mark mark;

	mark_take(r, &mark, vcpu);
	event_begin(r);
	event_put_advance(&r->enc, (u8)vcpu->id, &mark, flags, ns);
	event_done(r, vcpu);
	clock_advance(&r->m->clock, ns);
}

/* The same for a place that must be searched for. */
static void advance_here(struct recorder *r, u64 ns)
{
	struct vcpu *vcpu = r->m->vcpu[0];
	struct event ev = {
	    .vcpu = (u8)vcpu->id,
	    .flags = vcpu->regs.activity == ACTIVITY_HLT ? EVENT_STATE | EVENT_STOPS : EVENT_STATE,
	    .ns = ns,
	    .base = landmark_base(&vcpu->regs),
	    .state = register_digest(r->m),
	    .memory = memory_digest_update(&r->memory, r->m),
	};

	mark_take(r, &ev.mark, vcpu);
	event_begin(r);
	event_put_advance_at(&r->enc, &ev);
	event_done(r, vcpu);
	clock_advance(&r->m->clock, ns);
	r->last_place = ns;
}

/* Reads what the host has, without waiting. A closed input is no input any more. */
static void read_input(struct recorder *r)
{
	struct pollfd p = {.fd = r->config.input_fd, .events = POLLIN};
	ssize_t n;

	if (r->config.input_fd < 0 || r->input_len == sizeof(r->input) || poll(&p, 1, 0) <= 0)
		return;
	n = read(r->config.input_fd, r->input + r->input_len, sizeof(r->input) - r->input_len);
	if (n > 0)
		r->input_len += (u32)n;
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		r->config.input_fd = -1;
}

/* Gives the guest what it has room for. False: nothing. */
static bool give_input(struct recorder *r, u8 flags)
{
	struct vcpu *vcpu = r->m->vcpu[0];
	struct event_mark mark;
	u64 ns = clock_now(&r->m->clock);
	size_t room, taken;

	read_input(r);
	room = r->input_len ? machine_input_room(r->m, r->config.input_source) : 0;
	if (!room)
		return false;
	mark_take(r, &mark, vcpu);
	taken = machine_input(r->m, r->config.input_source, r->input, min64(room, r->input_len));
	if (!taken)
		return false;
	event_begin(r);
	event_put_input(&r->enc, (u8)vcpu->id, &mark, flags, ns, (u8)r->config.input_source, r->input, (u32)taken);
	event_done(r, vcpu);
	r->input_len -= (u32)taken;
	memmove(r->input, r->input + taken, r->input_len);
	return true;
}

static bool has_input(const struct recorder *r)
{
	return r->config.input_fd >= 0 || r->input_len;
}

/* --- nondet --- */

static u64 record_io_read(void *ctx, struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size, u64 modelled)
{
	struct recorder *r = ctx;

	if (space == IO_MSR && !r->log_msr)
		return modelled;
	r->last_io = vcpu->insns;
	event_begin(r);
	event_put_read(&r->enc, (u8)vcpu->id, (u8)space, addr, (u8)size, modelled);
	event_done(r, vcpu);
	return modelled;
}

static void record_io_write(void *ctx, struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size, u64 value)
{
	struct recorder *r = ctx;

	r->last_io = vcpu->insns;
	r->writes = write_digest(r->writes, vcpu->id, space, addr, size, value);
}

static u64 record_clock_sample(void *ctx, struct vcpu *vcpu)
{
	struct recorder *r = ctx;
	u64 ns = host_ns(r);

	event_begin(r);
	event_put_clock(&r->enc, (u8)vcpu->id, ns);
	event_done(r, vcpu);
	return ns;
}

static u64 record_alarm(void *ctx, struct machine *m)
{
	const struct recorder *r = ctx;
	u64 next = min64(m->clock.next_deadline, r->last_place + r->config.input_every);

	return r->retry || r->finishing ? 0 : r->host_start + next;
}

static bool record_clock_direct(void *ctx, u64 *base)
{
	const struct recorder *r = ctx;

	*base = r->host_start;
	return true;
}

static void record_clock_taken(void *ctx, struct vcpu *vcpu, u64 ns)
{
	struct recorder *r = ctx;

	event_begin(r);
	event_put_clock(&r->enc, (u8)vcpu->id, ns);
	event_done(r, vcpu);
}

static void record_interrupt(void *ctx, struct vcpu *vcpu, enum irq_kind kind, u8 vector)
{
	struct recorder *r = ctx;
	struct event_mark mark;

	mark_take(r, &mark, vcpu);
	event_begin(r);
	event_put_interrupt(&r->enc, (u8)vcpu->id, &mark, (u8)kind, vector, r->writes);
	event_done(r, vcpu);
}

static u64 record_next_stop(void *ctx)
{
	const struct recorder *r = ctx;
	u64 stop;

	if (r->free)
		return r->code ? 0 : ~0ull;
	stop = min64(min64(r->next_chunk, r->next_digest), min64(r->next_checkpoint, r->next_ring));

	if (has_input(r))
		stop = min64(stop, r->next_input);
	if (r->m->clock.mode == CLOCK_HOST)
		stop = min64(stop, r->next_sample);
	return r->code ? 0 : stop;
}

static void sample_host(struct recorder *r, u64 at)
{
	u64 ns = host_ns(r), now = clock_now(&r->m->clock);

	r->next_sample = at + SAMPLE_EVERY;
	if (ns - now >= ADVANCE_NS || r->m->clock.next_deadline <= ns)
		advance(r, ns, 0);
	if (ns - r->last_flush >= FLUSH_NS) {
		flush_all(r);
		r->last_flush = ns;
	}
}

/* Whatever happens at a place begins with the landmark by which the place is found again. */
static void boundary_freely(struct recorder *r)
{
	u64 ns = host_ns(r);
	bool due = r->finishing || ns >= r->m->clock.next_deadline || ns >= r->last_place + r->config.input_every ||
		   ns >= r->next_digest;

	r->retry = due && !landmark_is_plain(r->m->vcpu[0]);
	if (!due || r->retry)
		return;
	advance_here(r, ns);
	if (r->finishing) {
		r->ended_here = true;
		return;
	}
	if (ns >= r->next_digest) {
		take_digest(r, 0);
		r->next_digest = ns + r->config.digest_every;
	}
	if (ns >= r->next_chunk) {
		flush_all(r);
		r->next_chunk = ns + r->config.chunk_every;
	}
	if (has_input(r))
		give_input(r, 0);
}

static int record_boundary(void *ctx, struct machine *m)
{
	struct recorder *r = ctx;
	u64 at = position(r);

	if (r->code)
		return r->code;
	if (r->free) {
		boundary_freely(r);
		return r->ended_here ? -ECANCELED : r->code;
	}
	if (r->checkpoints)
		look_after_checkpoints(r, at);
	if (r->code)
		return r->code;
	if (at >= r->next_chunk) {
		flush_all(r);
		r->next_chunk = step_after(at, r->config.chunk_every);
	}
	if (at >= r->next_digest) {
		take_digest(r, 0);
		r->next_digest = step_after(at, r->config.digest_every);
	}
	if (m->clock.mode == CLOCK_HOST && at >= r->next_sample)
		sample_host(r, at);
	if (at >= r->next_input) {
		r->next_input = step_after(at, r->config.input_every);
		if (has_input(r))
			give_input(r, 0);
	}
	return r->code;
}

/* Sleeps until the deadline, input or a signal. */
static void wait_host(struct recorder *r, bool live, u64 deadline)
{
	struct pollfd p = {.fd = live ? r->config.input_fd : -1, .events = POLLIN};
	struct timespec ts = {.tv_nsec = POLL_MS * 1000000l};

	if (r->m->clock.mode == CLOCK_HOST && deadline != CLOCK_NEVER) {
		u64 now = host_ns(r), left = deadline > now ? deadline - now : 0;

		ts.tv_nsec = (long)min64(left, (u64)ts.tv_nsec);
	}
	ppoll(&p, 1, &ts, NULL);
}

static int record_idle(void *ctx, struct machine *m, u64 deadline)
{
	struct recorder *r = ctx;
	bool host = m->clock.mode == CLOCK_HOST, live;

	if (r->code)
		return r->code;
	if (r->finishing) {
		r->ended_idle = true;
		return -ECANCELED;
	}
	if (give_input(r, EVENT_IDLE))
		return r->code;
	/* Input that the guest has no room for will not wake it. */
	live = r->config.input_fd >= 0 && machine_input_room(m, r->config.input_source);
	if (!live && (!host || deadline == CLOCK_NEVER))
		return 1;
	/* What is known goes out before nothing may happen for long. */
	if (!r->free || deadline - clock_now(&m->clock) >= FREE_IDLE_FLUSH) {
		if (flush_all(r))
			return r->code;
	}
	wait_host(r, live, deadline);
	if (give_input(r, EVENT_IDLE))
		return r->code;
	if (host && deadline <= host_ns(r)) {
		advance(r, host_ns(r), EVENT_IDLE);
		r->last_place = clock_now(&m->clock);
	}
	return r->code;
}

static const struct nondet_ops record_ops = {
    .io_read = record_io_read,
    .io_write = record_io_write,
    .clock_sample = record_clock_sample,
    .alarm = record_alarm,
    .clock_direct = record_clock_direct,
    .clock_taken = record_clock_taken,
    .interrupt = record_interrupt,
    .next_stop = record_next_stop,
    .boundary = record_boundary,
    .idle = record_idle,
};

/* --- life --- */

static int begin_checkpoints(struct recorder *r, u64 at)
{
	const u64 every = r->config.checkpoint_every;

	r->next_checkpoint = every ? step_after(at, every) : ~0ull;
	r->next_ring = r->config.ring ? step_after(at, RING_EVERY) : ~0ull;
	r->checkpoints = every || r->config.ring;
	if (!r->checkpoints)
		return 0;
	checkpoint_put_init(&r->put, r->w);
	return checkpoints_init(&r->points, r->m, ~0ull);
}

static void take_origin(struct recorder *r, const struct recorder_origin *origin)
{
	r->writes = origin->writes;
	r->events = origin->events;
	r->console_bytes = origin->console;
	r->memory = *origin->memory;
	*origin->memory = (struct memory_digest){0};
}

static void set_intervals(struct recorder *r)
{
	struct recorder_config *c = &r->config;

	if (!c->digest_every)
		c->digest_every = r->free ? FREE_DIGEST_EVERY : DIGEST_EVERY;
	if (!c->chunk_every)
		c->chunk_every = r->free ? FREE_CHUNK_EVERY : CHUNK_EVERY;
	if (!c->input_every)
		c->input_every = r->free ? FREE_INPUT_EVERY : INPUT_EVERY;
}

int recorder_create(struct recorder **out, struct trace_writer *w, struct machine *m,
		    const struct recorder_config *config, struct error *err)
{
	struct recorder *r = calloc(1, sizeof(*r));
	u64 at;

	if (!r)
		return error_set(err, -ENOMEM, "out of memory");
	r->m = m;
	r->w = w;
	r->config = *config;
	r->counted = !m->config.free || config->follow;
	r->free = !r->counted;
	set_intervals(r);
	/* With the virtual clock they follow from position. */
	r->log_msr = m->clock.mode == CLOCK_HOST;
	r->last_io = ~0ull;
	at = r->free ? clock_now(&m->clock) : position(r);
	r->next_digest = at; /* the state that all begins with */
	r->next_chunk = step_after(at, r->config.chunk_every);
	r->next_input = step_after(at, r->config.input_every);
	r->next_sample = at;
	r->host_start = monotonic_ns() - clock_now(&m->clock);
	r->image = malloc(register_image_size(m));
	if (config->origin)
		take_origin(r, config->origin);
	if (!r->image || event_encoder_init(&r->enc) || begin_checkpoints(r, at) ||
	    (!config->origin && memory_digest_init(&r->memory, m))) {
		recorder_free(r);
		return error_set(err, -ENOMEM, "out of memory");
	}
	m->nondet = (struct nondet){.ops = &record_ops, .ctx = r};
	*out = r;
	return 0;
}

void recorder_free(struct recorder *r)
{
	if (!r)
		return;
	if (r->m->nondet.ctx == r)
		r->m->nondet = (struct nondet){.ops = &nondet_live, .ctx = r->m};
	event_encoder_free(&r->enc);
	trace_buf_free(&r->console);
	memory_digest_free(&r->memory);
	if (r->checkpoints) {
		checkpoint_put_free(&r->put);
		checkpoint_free(&r->points, r->last_point);
		checkpoints_free(&r->points);
	}
	free(r->image);
	free(r);
}

/* Ends machine_run() after SETTLE_MS: a guest may be amid an instruction that takes for ever. */
struct watchdog {
	struct machine *m;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done, running;
};

static void *watchdog_main(void *arg)
{
	struct watchdog *dog = arg;
	struct timespec until;
	int ret = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += SETTLE_MS * 1000000l;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&dog->lock);
	while (!dog->done && !ret)
		ret = pthread_cond_timedwait(&dog->cond, &dog->lock, &until);
	if (!dog->done)
		machine_interrupt(dog->m);
	pthread_mutex_unlock(&dog->lock);
	return NULL;
}

static void watchdog_start(struct watchdog *dog, struct machine *m)
{
	sigset_t all, before;

	*dog = (struct watchdog){.m = m, .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
	/* Signals are for the threads that were there before. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	dog->running = !pthread_create(&dog->thread, NULL, watchdog_main, dog);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void watchdog_stop(struct watchdog *dog)
{
	if (!dog->running)
		return;
	pthread_mutex_lock(&dog->lock);
	dog->done = true;
	pthread_cond_signal(&dog->cond);
	pthread_mutex_unlock(&dog->lock);
	pthread_join(dog->thread, NULL);
}

/* Whether the machine must go on a little to end where a replay can stop. */
static bool must_settle(const struct recorder *r)
{
	const struct machine *m = r->m;
	bool at_will = m->end == END_UNTIL || m->end == END_PANIC;

	if (r->free && m->vcpu[0]->regs.activity == ACTIVITY_SHUTDOWN)
		return false;
	return m->end == END_USER || (at_will && (r->free || r->last_io == position(r)));
}

/* An end that the host chose must be at a place where a replay can stop: an instruction boundary at which nothing was
 * done yet. An interrupted run, and one that was ended from within a REP, may be elsewhere: they go on to the next.
 * Running freely, it must be one with a landmark. Returns the flags of the end record. */
static u8 settle_end(struct recorder *r)
{
	struct machine *m = r->m;
	enum machine_end end = m->end;
	u64 at = position(r);
	u32 code = m->end_code;
	struct watchdog dog;
	int ret;

	if (!must_settle(r))
		return 0;
	m->end = END_NONE;
	m->interrupted = false;
	r->finishing = true;
	watchdog_start(&dog, m);
	/* Without the watchdog it is better to lose the comparison than to hang. */
	ret = dog.running ? machine_run(m, r->free ? ~0ull : at + 1) : 0;
	watchdog_stop(&dog);
	m->interrupted = false;
	if (ret && !r->ended_idle && !r->ended_here)
		fail(r, ret, "the run could not be ended");
	/* Once more ended from within, or by itself? */
	if (m->end != END_NONE && m->end != END_USER && m->end != END_UNTIL && m->end != END_PANIC)
		return 0;
	m->end = end;
	m->end_code = code;
	if (r->ended_idle)
		return END_IDLE;
	return r->free ? !r->ended_here * END_AMID : position(r) == at ? END_AMID : 0;
}

int recorder_finish(struct recorder *r, struct error *err)
{
	struct trace_buf buf = {0};
	struct end_record end = {0};
	int ret = r->code;

	if (!ret && r->config.follow) {
		end = *r->config.follow;
	} else if (!ret) {
		end.flags = settle_end(r);
		ret = r->code;
		end.reason = (u8)r->m->end;
		end.code = r->m->end_code;
	}
	if (!ret)
		ret = end.flags & END_AMID ? flush_all(r) : take_digest(r, DIGEST_FINAL);
	mark_take(r, &end.mark, r->m->vcpu[0]);
	end.ns = clock_now(&r->m->clock);
	end.writes = r->writes;
	end.events = r->events;
	end.console = r->console_bytes;
	if (!ret && end_encode(&buf, &end))
		ret = fail(r, -ENOMEM, "out of memory");
	if (!ret)
		ret = write_chunk(r, TRACE_END, position(r), buf.data, buf.len);
	trace_buf_free(&buf);
	if (ret)
		error_set(err, ret, "%s", r->err.text);
	return ret;
}

void recorder_copy(struct recorder *r, const struct stream *item)
{
	struct vcpu *vcpu = r->m->vcpu[0];
	const struct event *ev = &item->event;
	const u8 idle = ev->flags & EVENT_IDLE;
	struct event_mark mark;

	if (item->item == STREAM_DIGEST && !(item->digest.flags & DIGEST_FINAL))
		take_digest(r, 0);
	if (item->item != STREAM_EVENT || (ev->type != EVENT_ADVANCE && ev->type != EVENT_INPUT))
		return;
	mark_take(r, &mark, vcpu);
	event_begin(r);
	if (ev->type == EVENT_ADVANCE)
		event_put_advance(&r->enc, (u8)vcpu->id, &mark, idle, ev->ns);
	else
		event_put_input(&r->enc, (u8)vcpu->id, &mark, idle, ev->ns, ev->source, ev->bytes, ev->len);
	event_done(r, vcpu);
}

const struct error *recorder_error(const struct recorder *r)
{
	return &r->err;
}

static int poke(struct recorder *r, unsigned vcpu, enum event_poke what, u64 addr, const u8 *bytes, u32 len)
{
	struct event_mark mark;

	mark_take(r, &mark, r->m->vcpu[vcpu]);
	event_begin(r);
	event_put_poke(&r->enc, (u8)vcpu, &mark, what, addr, bytes, len);
	event_done(r, r->m->vcpu[vcpu]);
	return r->code;
}

int recorder_poke_memory(struct recorder *r, u64 gpa, const void *buf, size_t len)
{
	const u8 *bytes = buf;
	int ret = 0;

	for (size_t done = 0; done < len; done += PAGE_SIZE)
		if (!memory_host(&r->m->mem, gpa + done, min64(PAGE_SIZE, len - done)))
			return -EFAULT;
	for (size_t done = 0, n; !ret && done < len; done += n) {
		n = min64(len - done, EVENT_INPUT_MAX);
		ret = poke(r, 0, POKE_MEMORY, gpa + done, bytes + done, (u32)n);
		if (!ret)
			ret = memory_write(&r->m->mem, gpa + done, bytes + done, n);
	}
	return ret;
}

int recorder_poke_registers(struct recorder *r, unsigned vcpu, const struct x86_state *regs)
{
	struct vcpu *v = r->m->vcpu[vcpu];
	u8 image[EVENT_INPUT_MAX];
	size_t len = state_size(x86_state_fields);
	int ret = -E2BIG;

	if (len <= sizeof(image)) {
		state_save(x86_state_fields, regs, image);
		ret = poke(r, vcpu, POKE_REGISTERS, 0, image, (u32)len);
	}
	if (ret)
		return ret;
	/* By the same way as the replay, so that what isn't saved isn't set either. */
	state_load(x86_state_fields, &v->regs, image, len);
	if (v->engine->regs_changed)
		v->engine->regs_changed(v);
	return 0;
}

int recorder_flush(struct recorder *r, struct error *err)
{
	if (!r->code)
		flush_all(r);
	if (r->code)
		*err = r->err;
	return r->code;
}

void recorder_pause(struct recorder *r)
{
	if (!r->paused_at)
		r->paused_at = monotonic_ns();
}

void recorder_resume(struct recorder *r)
{
	r->m->nondet = (struct nondet){.ops = &record_ops, .ctx = r};
	if (r->paused_at)
		r->host_start += monotonic_ns() - r->paused_at;
	r->paused_at = 0;
}

struct memory_digest *recorder_memory_digest(struct recorder *r)
{
	return &r->memory;
}

struct recorder_stats recorder_stats(const struct recorder *r)
{
	return (struct recorder_stats){
	    .events = r->events + (r->open ? r->enc.events : 0),
	    .writes = r->writes,
	    .bytes = r->w ? trace_writer_size(r->w) : 0,
	};
}
