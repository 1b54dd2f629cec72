/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The base image of a machine's disk: a file of the host while recording, and while replaying what the trace holds of it.
 *
 * Recording keeps each block of the image in the trace when the guest reads it for the first time, so a trace needs the
 * image no more, and costs only what was read. What the guest writes never reaches the image (vmm/block.h). */
#ifndef REPLAY_DISK_H
#define REPLAY_DISK_H

#include "traces/trace.h"
#include "vmm/block.h"

struct disk;

/* Opens an image: a file or block device of whole sectors. Reads it once, for its digest. Errors have a sentence. */
int disk_open(struct disk **disk, const char *path, struct error *err);
/* A disk of @sectors whose blocks are those of the trace's TRACE_DISK chunks; others can't be read (-EIO). @r must stay
 * open. Cost: one pass over those chunks. -EBADMSG. */
int disk_from_trace(struct disk **disk, struct trace_reader *r, u64 sectors, struct error *err);
void disk_free(struct disk *disk);

const struct block_backend *disk_backend(const struct disk *disk);
const struct trace_digest *disk_digest(const struct disk *disk); /* of an opened image */
const char *disk_name(const struct disk *disk);                  /* its base name */

/* From now on blocks read for the first time go to @w; @position is the machine's, for chunk headers. Once more with the next
 * file of a flight recorder (after disk_flush()): what is read again is then stored again. -ENOMEM. */
int disk_record(struct disk *disk, struct trace_writer *w, const u64 *position);
/* Writes out the blocks held back; to be called before the events that used them are written. */
int disk_flush(struct disk *disk);

#endif
