/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checkpoints of a replayed or recorded machine, in memory: everything needed to go on from a position as if the run had
 * come there. They share the pages that they have in common (replay/pages.h).
 *
 * Those in the list stand at a place (P, 0) (vmm/probe.h): machine_run() has come to P by @until. */
#ifndef REPLAY_CHECKPOINT_H
#define REPLAY_CHECKPOINT_H

#include "replay/pages.h"
#include "replay/replayer.h"
#include "vmm/block.h"
#include "vmm/machine.h"

struct checkpoint {
	u64 position;
	u64 ns;    /* guest time */
	bool near; /* made for where the user was; others are spread over the run */
	struct replayer_place replay;
	struct page_image *ram;
	struct block disk; /* what the guest has written */
	u8 *state;         /* machine_state_save() */
	size_t state_len;
	u8 *cache; /* the engine's translations, of vCPU 0 */
	size_t cache_len;
	u64 delivered_at; /* struct vcpu */
	u32 delivered;
	struct machine_progress progress;
	u8 tag[4]; /* struct checkpoints */
};

struct checkpoints {
	struct machine *m;
	struct pages pages;
	struct checkpoint **list; /* by position */
	size_t nr, cap;
	u64 budget; /* bytes that all may take */
	u8 tag[4];  /* the owner's state at the machine's present place, kept with each checkpoint (not in traces) */
	u64 bytes;  /* taken, but for pages */
};

/* @budget in bytes. -ENOMEM. */
int checkpoints_init(struct checkpoints *c, struct machine *m, u64 budget);
void checkpoints_free(struct checkpoints *c);

/* One of the machine as it stands, unless there is one at its position already. -ENOMEM: none was made. */
int checkpoints_take(struct checkpoints *c, const struct replayer_place *replay, bool near);

/* One of the machine as it stands, wherever that is, outside the list. -ENOMEM. */
int checkpoint_make(struct checkpoints *c, const struct replayer_place *replay, struct checkpoint **out);

/* Enters one that was put together elsewhere (read from a trace) and takes it over. When all take more than the budget,
 * others are given up: those made for an earlier neighbourhood first, then where they stand closest. The first stays, and
 * the one just entered. -ENOMEM. */
int checkpoints_add(struct checkpoints *c, struct checkpoint *cp);
void checkpoint_free(struct checkpoints *c, struct checkpoint *cp);

/* The last one at or before @position, or NULL. */
struct checkpoint *checkpoints_before(const struct checkpoints *c, u64 position);

/* The machine becomes what it was; the replayer is the caller's to restore. Cost: as pages_restore(). -EINVAL: the
 * checkpoint isn't of such a machine; -ENOMEM. */
int checkpoint_restore(struct checkpoints *c, const struct checkpoint *cp);

#endif
