/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was run, and how: machine, files, options. Written to a trace's machine description and blobs by record, and
 * made from them again by replay, so that both start the same machine. */
#ifndef REPLAY_SESSION_H
#define REPLAY_SESSION_H

#include "replay/disk.h"
#include "traces/trace.h"
#include "vmm/machine.h"
#include "vmm/pc/boot.h"

struct session {
	struct machine_config config; /* engine: the caller's choice */
	struct boot_spec boot;        /* its pointers point to the memory below, or to the caller's */
	/* From a trace: */
	char *engine_name; /* which engine recorded */
	bool mid;          /* it begins at its first checkpoint: nothing is to be booted, and files may be missing */
	bool msr_logged;   /* reads of machine MSRs are in the log */
	char *registers;   /* layout of register images, session_register_layout() */
	/* owned */
	char *append;
	char *kernel_name, *initrd_name;
	u8 *kernel_data, *initrd_data;
	struct disk *disk; /* NULL: none; config.disk is its backend */
};

/* Zeroes, with @config defaults: 256 MiB, 1 vCPU, virtual clock, wall_start 2024-01-01 00:00:00 UTC. */
void session_init(struct session *s);
void session_free(struct session *s);

/* Reads a file for s->boot.kernel / s->boot.initrd; its name becomes the base name, since nothing of the host's
 * folders may reach the guest or the trace. Errors have a sentence (missing, empty, a folder, too large). */
int session_set_kernel(struct session *s, const char *path, struct error *err);
int session_set_initrd(struct session *s, const char *path, struct error *err);
int session_set_disk(struct session *s, const char *path, struct error *err);
int session_set_append(struct session *s, const char *append, struct error *err);

#define SESSION_EMBED_NONE       1u /* kernel, initrd and disk only by digest and name */
#define SESSION_NAME_FILES       2u /* kernel and initrd only by digest and name */
#define SESSION_BEGIN_CHECKPOINT 4u /* the trace begins at its first checkpoint: a replay doesn't need the files */

/* Writes machine description and blobs: the first chunks of a trace. Needs config (with engine) and boot. */
int session_save(const struct session *s, struct trace_writer *w, unsigned flags, struct error *err);

/* The machine and files of a trace. For files that the trace holds by name only, @kernel, @initrd and @disk (paths,
 * may be NULL) say where they are; given although the trace holds the file, they must have the same digest too.
 * Errors: -ENOTSUP: an unknown machine, CPU or boot model; -EBADMSG: damaged; -ENOENT: a file is needed or missing;
 * -EINVAL: a file differs, or a value is out of range. */
int session_load(struct session *s, struct trace_reader *r, const char *kernel, const char *initrd, const char *disk,
		 struct error *err);

/* "rax:8 rcx:8 ... xmm0:1x16 ...": names, element sizes and counts of x86_state_fields. Freed by the caller. */
char *session_register_layout(void);

const char *boot_kind_name(enum boot_kind kind);

#endif
