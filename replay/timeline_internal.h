/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between timeline.c (being anywhere), timeline_resume.c (steps and runs), and timeline_target.c (the rest of a target). */
#ifndef REPLAY_TIMELINE_INTERNAL_H
#define REPLAY_TIMELINE_INTERNAL_H

#include "replay/stored.h"
#include "replay/timeline.h"
#include "vmm/machine.h"

/* A place (vmm/probe.h). */
struct place {
	u64 insns;
	u32 deliveries;
};

static inline int place_compare(struct place a, struct place b)
{
	if (a.insns != b.insns)
		return a.insns < b.insns ? -1 : 1;
	return a.deliveries < b.deliveries ? -1 : a.deliveries > b.deliveries;
}

/* How a stretch of running ended. */
enum ran {
	RAN_THERE,       /* at the place asked for */
	RAN_HIT,         /* the probe has hits, or until_event was met */
	RAN_ENDED,       /* tl->end_reason */
	RAN_INTERRUPTED, /* target_interrupt() */
};

struct timeline {
	struct target target; /* first */
	struct machine *m;
	struct replayer *rp;
	struct recorder *rec; /* NULL: the recording is over */
	struct trace_reader *reader;
	struct checkpoints points;
	struct checkpoint_file stored;    /* those of the trace, fetched as they are needed */
	struct machine_listener listener; /* whom guest output is for */
	u64 furthest;                     /* position up to which it has been told */
	volatile bool interrupted;
	bool clean;                     /* machine_run() came here by @until: a checkpoint may be taken */
	bool amid;                      /* it was interrupted: perhaps amid a REP instruction */
	bool probed;                    /* the vCPU's probe has target.breaks */
	const struct target_break *own; /* of the timeline: it stops whatever else does */
	u64 near;                       /* position in front of which checkpoints are wanted densely */
	double checkpoint_at;           /* host seconds */
	bool ended;                     /* the run can't go on from here: end_reason */
	enum target_stop_reason end_reason;
	struct error err;
	u64 until_event; /* stop as soon as that many events have been met; 0: never */
	/* Interrupts delivered: whether one was since cleared; and the last one that interrupted what is looked for. */
	bool injected;
	const struct x86_state *looking_for;
	bool found;
	struct place found_at;
	/* Live. */
	bool live;               /* the recorder runs the machine; else the replayer does */
	struct stream cursor;    /* follows the trace to its present end */
	struct checkpoint *edge; /* where recording goes on, while the past is looked at */
	struct place edge_place;
	bool edge_amid;
	enum machine_end edge_end; /* of the machine there */
	u32 edge_code;
};

static inline struct timeline *timeline_of(struct target *t)
{
	return container_of(t, struct timeline, target);
}

static inline struct vcpu *timeline_vcpu(const struct timeline *tl)
{
	return tl->m->vcpu[0];
}

static inline struct place timeline_place(const struct timeline *tl)
{
	return (struct place){machine_position(tl->m), vcpu_deliveries(timeline_vcpu(tl))};
}

/* --- timeline.c --- */

/* The beginning of the history. */
struct place timeline_start(const struct timeline *tl);
/* Runs forwards to @to, or until something else happens. Breakpoints hit when the probe is on. */
enum ran timeline_run(struct timeline *tl, struct place to);
/* To the next place, whichever it is (RAN_THERE). */
enum ran timeline_step(struct timeline *tl);
/* The place before the present one; false: this is the beginning. */
bool timeline_previous(const struct timeline *tl, struct place *before);
/* Goes to the checkpoint. */
int timeline_restore(struct timeline *tl, const struct checkpoint *cp);
/* Goes there with the probe off. 0; -EINTR; -ERANGE: the run ends before; or an error of the host. Text in tl->err. */
int timeline_go(struct timeline *tl, struct place to);
/* The replayer has the machine from here on; nothing moves. */
int timeline_leave_live(struct timeline *tl);
/* The last checkpoint strictly before @place. */
const struct checkpoint *timeline_checkpoint_before(struct timeline *tl, struct place place);
/* How far the recording is replayed, or recorded, here and now. */
int timeline_history_place(struct timeline *tl, struct replayer_place *place);
/* One of here and now, for coming back; not in the list. */
int timeline_remember(struct timeline *tl, struct checkpoint **cp);
/* The probe watches the target's breakpoints, told from @skip on; or nothing. */
int timeline_probe_on(struct timeline *tl, const struct target_break *breaks, struct place skip);
void timeline_probe_off(struct timeline *tl);

/* --- timeline_resume.c --- */

/* Where a search or a run backwards starts from, to be back at once if it fails. */
struct home {
	struct checkpoint *cp; /* NULL: where recording goes on. checkpoint_free() */
	bool ended, clean;
	enum machine_end end;
	u32 end_code;
};

/* The machine is the replayer's from then on. */
int timeline_leave_home(struct timeline *tl, struct home *home);
int timeline_come_home(struct timeline *tl, const struct home *home);

void timeline_resume(struct target *t, const struct target_resume *how, struct target_stop *stop);

/* --- timeline_target.c --- */

extern const struct target_ops timeline_ops;

#endif
