/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Being anywhere in a recording.
 *
 * 1. Going backwards is restoring the last checkpoint before and running forwards; so is everything else here.
 * 2. Checkpoints of the list are taken only where machine_run() has come to a position by @until: there nothing that is
 *    due has happened yet, for the machine and for the replayer.
 * 3. A live machine has a recorder and a replayer on the same trace. While the past is looked at the replayer has the
 *    machine, and `edge` holds all that the recorder needs to go on. */
#include "replay/timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "replay/timeline_internal.h"

#define SLICE            (8ull << 20) /* instructions between looks at the clock */
#define CHECKPOINT_EVERY 0.25         /* seconds of the host: less than TIMELINE_SPACING where instructions are slow */
/* How far in front of a place that was gone to its own checkpoints stand, in instructions. */
static const u64 near_distance[] = {16 << 20, 4 << 20, 1 << 20, 256 << 10, 64 << 10, 16 << 10, 4 << 10, 1 << 10};

static double host_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- the machine's listener --- */

/* Linux says that it panics on its console; how far each port is in saying so belongs to the place. */
static void watch_for_panic(struct timeline *tl, enum console_port port, const u8 *buf, size_t len)
{
	static const char words[] = "Kernel panic - not syncing";
	u8 *said = &tl->points.tag[port];

	for (size_t i = 0; i < len; i++) {
		*said = buf[i] == words[*said] ? *said + 1 : buf[i] == words[0];
		if (*said == sizeof(words) - 1) {
			probe_event(timeline_vcpu(tl), TARGET_EVENT_PANIC, 0);
			*said = 0;
		}
	}
}

static void on_console(void *ctx, enum console_port port, const u8 *buf, size_t len)
{
	struct timeline *tl = ctx;

	watch_for_panic(tl, port, buf, len);
	if (tl->listener.console && machine_position(tl->m) >= tl->furthest)
		tl->listener.console(tl->listener.ctx, port, buf, len);
}

static void on_interrupt(void *ctx, const struct vcpu *vcpu)
{
	struct timeline *tl = ctx;
	const struct x86_state *now = &vcpu->regs, *want = tl->looking_for;

	tl->injected = true;
	if (want && now->rip == want->rip && now->gpr[RSP] == want->gpr[RSP] &&
	    now->seg[SEG_CS].selector == want->seg[SEG_CS].selector) {
		tl->found = true;
		tl->found_at = timeline_place(tl);
	}
}

/* --- probes --- */

int timeline_probe_on(struct timeline *tl, const struct target_break *breaks, struct place skip)
{
	struct vcpu *vcpu = timeline_vcpu(tl);
	int ret = 0;

	vcpu->probe.nr = 0;
	vcpu->probe.skip_insns = skip.insns;
	vcpu->probe.skip_deliveries = skip.deliveries;
	if (!tl->probed || vcpu->probe.breaks != breaks)
		ret = probe_set(vcpu, breaks);
	tl->probed = !ret;
	if (!ret)
		return 0;
	/* What it had may be gone soon. */
	timeline_probe_off(tl);
	return error_set(&tl->err, ret, "no memory for breakpoints");
}

void timeline_probe_off(struct timeline *tl)
{
	struct vcpu *vcpu = timeline_vcpu(tl);

	if (vcpu->probe.breaks)
		probe_set(vcpu, NULL);
	vcpu->probe.nr = 0;
	tl->probed = false;
}

/* --- checkpoints --- */

struct place timeline_start(const struct timeline *tl)
{
	return (struct place){tl->points.list[0]->position, 0};
}

/* How far the trace goes is where the recorder is: all of it is written out and found again. */
static int follow_trace(struct timeline *tl)
{
	int ret = recorder_flush(tl->rec, &tl->err);

	if (!ret && trace_refresh(tl->reader))
		ret = error_set(&tl->err, -ENOMEM, "no memory for the list of the trace's chunks");
	do
		stream_next(&tl->cursor);
	while (!ret && tl->cursor.item != STREAM_OVER && tl->cursor.item != STREAM_BAD);
	if (!ret && tl->cursor.item == STREAM_BAD)
		ret = error_set(&tl->err, -EIO, "%s", tl->cursor.err.text);
	return ret;
}

int timeline_history_place(struct timeline *tl, struct replayer_place *place)
{
	struct recorder_stats stats;
	int ret;

	if (!tl->live) {
		replayer_save(tl->rp, place);
		return 0;
	}
	ret = follow_trace(tl);
	if (ret)
		return ret;
	stats = recorder_stats(tl->rec);
	*place = (struct replayer_place){.writes = stats.writes, .events = stats.events, .settled_at = ~0ull};
	stream_save(&tl->cursor, &place->stream);
	return 0;
}

/* Failures are no harm: the next one may succeed, and without it going back takes longer. */
static void take(struct timeline *tl, bool near)
{
	struct replayer_place place;

	if (!timeline_history_place(tl, &place))
		checkpoints_take(&tl->points, &place, near);
	tl->checkpoint_at = host_seconds();
}

int timeline_remember(struct timeline *tl, struct checkpoint **cp)
{
	struct replayer_place place;
	int ret = timeline_history_place(tl, &place);

	if (ret)
		return ret;
	ret = checkpoint_make(&tl->points, &place, cp);
	return ret ? error_set(&tl->err, ret, "no memory for a checkpoint") : 0;
}

static const struct checkpoint *before(const struct timeline *tl, u64 position)
{
	return checkpoints_before(&tl->points, position);
}

/* The same, of those in the trace too: one that lies behind @floor is fetched from there. */
static const struct checkpoint *fetch_before(struct timeline *tl, u64 position, u64 floor)
{
	const struct checkpoint *cp = before(tl, position);
	size_t i = checkpoint_file_find(&tl->stored, position);

	/* One that can't be used only costs time. */
	if (i != CHECKPOINT_NONE && tl->stored.entry[i].position > max64(cp->position, floor) &&
	    !checkpoint_fetch(&tl->points, &tl->stored, i, NULL))
		return before(tl, position);
	return cp;
}

const struct checkpoint *timeline_checkpoint_before(struct timeline *tl, struct place place)
{
	if (!place.deliveries && place.insns)
		place.insns--;
	return fetch_before(tl, place.insns, 0);
}

/* The next position in front of tl->near at which a checkpoint is wanted. */
static u64 next_near(const struct timeline *tl, u64 position)
{
	for (size_t i = 0; i < ARRAY_SIZE(near_distance); i++) {
		u64 d = near_distance[i];

		if (tl->near > d && tl->near - d > position &&
		    before(tl, tl->near - d)->position + d / 2 < tl->near - d)
			return tl->near - d;
	}
	return ~0ull;
}

/* Takes a checkpoint if one is due at this place; the position up to which to run before it is looked at again. */
static u64 look_after_checkpoints(struct timeline *tl, u64 to)
{
	u64 here = machine_position(tl->m), last = before(tl, here)->position, due = last + TIMELINE_SPACING;

	if (tl->clean && last != here) {
		if (here >= due || (host_seconds() - tl->checkpoint_at >= CHECKPOINT_EVERY && here - last >= SLICE)) {
			take(tl, false);
			due = here + TIMELINE_SPACING;
		} else if (tl->near > here) {
			for (size_t i = 0; i < ARRAY_SIZE(near_distance); i++)
				if (tl->near - here == near_distance[i] && last + near_distance[i] / 2 < here)
					take(tl, true);
		}
	}
	if (due > here)
		to = min64(to, due);
	return min64(min64(to, here + SLICE), next_near(tl, here));
}

/* --- running --- */

static enum ran ended(struct timeline *tl, int rc)
{
	/* In the past of a live machine that has ended: its recorder has not written that yet. */
	if (tl->rec && !tl->live && !rc && !place_compare(timeline_place(tl), tl->edge_place))
		return RAN_THERE;
	tl->ended = true;
	tl->end_reason = TARGET_STOP_END;
	if (tl->live) {
		if (rc) {
			tl->end_reason = TARGET_STOP_ERROR;
			tl->err = *recorder_error(tl->rec);
		}
	} else if (replayer_finish(tl->rp) == REPLAY_DIVERGED) {
		tl->end_reason = TARGET_STOP_DIVERGED;
		error_set(&tl->err, -EBADMSG, "the replay differs from the recording: %s",
			  replayer_divergence(tl->rp) ? replayer_divergence(tl->rp)->what : "no memory for more");
	} else if (replayer_result(tl->rp) == REPLAY_CUT) {
		tl->err = *replayer_damage(tl->rp);
	}
	return RAN_ENDED;
}

/* One machine_run(), @until exclusive of what is due there. */
static enum ran advance(struct timeline *tl, u64 until)
{
	struct machine *m = tl->m;
	int rc;

	if (tl->ended)
		return RAN_ENDED;
	tl->clean = false;
	tl->amid = false;
	rc = machine_run(m, until);
	tl->furthest = max64(tl->furthest, machine_position(m));
	if (timeline_vcpu(tl)->probe.nr || (tl->until_event && replayer_progress(tl->rp).events >= tl->until_event))
		return RAN_HIT;
	if (rc || m->end)
		return ended(tl, rc);
	tl->clean = machine_position(m) == until && !vcpu_deliveries(timeline_vcpu(tl));
	if (!tl->interrupted)
		return RAN_THERE;
	tl->amid = !tl->clean;
	return RAN_INTERRUPTED;
}

enum ran timeline_step(struct timeline *tl)
{
	struct vcpu *vcpu = timeline_vcpu(tl);
	struct place here = timeline_place(tl);
	enum ran ran;

	vcpu->stop_at_delivery = true;
	do
		ran = advance(tl, here.insns + 1);
	while (ran == RAN_THERE && !place_compare(here, timeline_place(tl)));
	vcpu->stop_at_delivery = false;
	return ran;
}

enum ran timeline_run(struct timeline *tl, struct place to)
{
	enum ran ran = RAN_THERE;

	while (ran == RAN_THERE && machine_position(tl->m) < to.insns)
		ran = advance(tl, look_after_checkpoints(tl, to.insns));
	while (ran == RAN_THERE && place_compare(timeline_place(tl), to) < 0)
		ran = timeline_step(tl);
	return ran;
}

bool timeline_previous(const struct timeline *tl, struct place *before)
{
	const struct vcpu *vcpu = timeline_vcpu(tl);
	struct place here = timeline_place(tl);

	if (place_compare(here, timeline_start(tl)) <= 0)
		return false;
	if (here.deliveries)
		*before = (struct place){here.insns, here.deliveries - 1};
	else
		*before = (struct place){here.insns - 1, vcpu->delivered_at == here.insns - 1 ? vcpu->delivered : 0};
	return true;
}

/* --- going --- */

int timeline_restore(struct timeline *tl, const struct checkpoint *cp)
{
	int ret = checkpoint_restore(&tl->points, cp);

	if (ret)
		return error_set(&tl->err, ret, "a checkpoint can't be restored: %s", strerror(-ret));
	tl->ended = false;
	tl->clean = true;
	tl->amid = false;
	tl->checkpoint_at = host_seconds();
	return tl->live ? 0 : replayer_restore(tl->rp, &cp->replay, &tl->err);
}

int timeline_leave_live(struct timeline *tl)
{
	int ret = tl->live ? timeline_remember(tl, &tl->edge) : 0;

	if (ret || !tl->live)
		return ret;
	tl->edge_place = timeline_place(tl);
	tl->edge_amid = tl->amid;
	tl->edge_end = tl->m->end;
	tl->edge_code = tl->m->end_code;
	recorder_pause(tl->rec);
	replayer_follow(tl->rp, tl->edge_place.insns, recorder_memory_digest(tl->rec));
	tl->live = false;
	return replayer_restore(tl->rp, &tl->edge->replay, &tl->err);
}

/* The machine is what it was when the recorder let go of it. */
static int enter_live(struct timeline *tl)
{
	int ret;

	tl->live = true;
	ret = timeline_restore(tl, tl->edge);
	if (ret) {
		tl->live = false;
		return ret;
	}
	checkpoint_free(&tl->points, tl->edge);
	tl->edge = NULL;
	tl->m->end = tl->edge_end;
	tl->m->end_code = tl->edge_code;
	tl->clean = false;
	tl->amid = tl->edge_amid;
	recorder_resume(tl->rec);
	return 0;
}

/* The run from here as far as the place, and why not. */
static int arrive(struct timeline *tl, struct place to)
{
	switch (timeline_run(tl, to)) {
	case RAN_INTERRUPTED:
		return -EINTR;
	case RAN_ENDED:
		if (!place_compare(timeline_place(tl), to))
			return 0;
		if (tl->end_reason == TARGET_STOP_END)
			error_set(&tl->err, -ERANGE, "the run ends at position %llu",
				  (unsigned long long)machine_position(tl->m));
		return -ERANGE;
	default:
		return 0;
	}
}

int timeline_go(struct timeline *tl, struct place to)
{
	struct place here = timeline_place(tl);
	const struct checkpoint *cp;
	int ret;

	timeline_probe_off(tl);
	if (!place_compare(here, to))
		return 0;
	if (place_compare(to, timeline_start(tl)) < 0)
		return error_set(&tl->err, -ERANGE, "the history begins at position %llu",
				 (unsigned long long)timeline_start(tl).insns);
	if (tl->rec && place_compare(to, tl->live ? here : tl->edge_place) > 0)
		return error_set(&tl->err, -ERANGE, "nothing is recorded yet beyond position %llu",
				 (unsigned long long)(tl->live ? here : tl->edge_place).insns);
	if (tl->rec && !tl->live && !place_compare(to, tl->edge_place))
		return enter_live(tl);
	ret = timeline_leave_live(tl);
	if (ret)
		return ret;
	cp = fetch_before(tl, to.insns, place_compare(here, to) > 0 || tl->ended ? 0 : here.insns);
	if (place_compare(here, to) > 0 || tl->ended || cp->position > here.insns) {
		ret = timeline_restore(tl, cp);
		if (ret)
			return ret;
	}
	tl->near = to.insns;
	ret = arrive(tl, to);
	tl->near = 0;
	return ret;
}

int timeline_go_live(struct timeline *tl, struct error *err)
{
	int ret = 0;

	if (tl->rec && !tl->live) {
		timeline_probe_off(tl);
		ret = enter_live(tl);
	}
	if (ret)
		*err = tl->err;
	return ret;
}

/* --- life --- */

static u64 default_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? (u64)pages * (u64)size / 4 : 1ull << 30;
}

int timeline_create(struct timeline **out, const struct timeline_config *config, struct error *err)
{
	struct timeline *tl = calloc(1, sizeof(*tl));
	int ret = 0;

	if (!tl)
		return error_set(err, -ENOMEM, "no memory for a timeline");
	tl->target.ops = &timeline_ops;
	tl->m = config->m;
	tl->rp = config->replayer;
	tl->rec = config->recorder;
	tl->reader = config->reader;
	tl->live = tl->rec;
	tl->clean = true;
	stream_init(&tl->cursor, tl->reader);
	/* What is wrong with checkpoints in the trace only costs time. */
	checkpoint_file_init(&tl->stored, tl->reader, NULL);
	if (config->past) {
		tl->points = config->past->points;
		tl->furthest = machine_position(tl->m);
		config->past->points = (struct checkpoints){0};
	} else {
		ret = checkpoints_init(&tl->points, tl->m, config->memory ? config->memory : default_memory());
	}
	if (!ret) {
		take(tl, false);
		ret = tl->points.nr ? 0 : -ENOMEM;
	}
	if (ret) {
		error_set(err, ret, "no memory for a first checkpoint");
		timeline_free(tl);
		return ret;
	}
	tl->listener = tl->m->listener;
	tl->m->listener = (struct machine_listener){.console = on_console, .interrupt = on_interrupt, .ctx = tl};
	if (tl->live)
		recorder_pause(tl->rec);
	*out = tl;
	return 0;
}

void timeline_free(struct timeline *tl)
{
	if (!tl)
		return;
	timeline_probe_off(tl);
	if (tl->m->listener.ctx == tl)
		tl->m->listener = tl->listener;
	checkpoint_free(&tl->points, tl->edge);
	checkpoints_free(&tl->points);
	checkpoint_file_free(&tl->stored);
	stream_free(&tl->cursor);
	free(tl);
}

struct target *timeline_target(struct timeline *tl)
{
	return &tl->target;
}

struct checkpoints *timeline_checkpoints(struct timeline *tl)
{
	return &tl->points;
}
