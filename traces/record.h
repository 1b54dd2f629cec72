/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records of the small chunk types: digests, guest console, end. Decoders return 1 for a record, 0 at the chunk's end,
 * -EBADMSG for bytes that are none. */
#ifndef TRACES_RECORD_H
#define TRACES_RECORD_H

#include "traces/event.h"
#include "traces/trace.h"

/* --- digests --- */

#define DIGEST_FINAL     1 /* taken after the run's end */
#define DIGEST_IMAGE_MAX 0x8000u

struct digest_record {
	u64 position; /* instructions */
	u64 branches;
	u64 ns; /* guest time */
	u8 flags;
	u64 state;       /* XXH3-64 of the machine's saved state */
	u64 memory;      /* replay/digest.h */
	u64 writes;      /* running digest of device writes */
	const u8 *image; /* registers of all vCPUs, fields as listed in the machine description */
	u32 image_len;
};

/* Appends @rec; @prev (NULL for the first of a chunk) is the record before it in the same chunk. -ENOMEM. */
int digest_encode(struct trace_buf *out, const struct digest_record *rec, const struct digest_record *prev);

struct digest_decoder {
	const u8 *p, *end;
	u64 position;
	u32 image_len;
	u8 *image; /* the last record's; digest_decoder_free() */
};

void digest_decoder_init(struct digest_decoder *dec, const u8 *data, size_t len, u64 position);
int digest_next(struct digest_decoder *dec, struct digest_record *rec); /* rec->image is valid until the next call */
void digest_decoder_free(struct digest_decoder *dec);

/* --- console --- */

struct console_record {
	u64 position; /* of the first byte */
	u8 port;      /* vmm/machine.h: enum console_port */
	u32 len;
	const u8 *bytes;
};

/* Appends; @base: the position of the record before it in the chunk (the chunk's position for the first). -ENOMEM. */
int console_encode(struct trace_buf *out, const struct console_record *rec, u64 base);

struct console_decoder {
	const u8 *p, *end;
	u64 position;
};

void console_decoder_init(struct console_decoder *dec, const u8 *data, size_t len, u64 position);
int console_next(struct console_decoder *dec, struct console_record *rec);

/* --- end --- */

#define END_IDLE 1 /* stopped while the vCPU was halted and time was idled away */
#define END_AMID \
	2 /* stopped amid what happens at the position (a REP instruction that would not end): no state to compare */

struct end_record {
	u8 reason; /* vmm/machine.h: enum machine_end */
	u8 flags;
	u32 code;
	u8 vcpu;
	struct event_mark mark; /* mark.insns is the position */
	u64 ns;                 /* guest time */
	u64 writes;
	u64 events;  /* since the machine's start */
	u64 console; /* bytes the guest printed */
};

int end_encode(struct trace_buf *out, const struct end_record *rec);
/* 0 or -EBADMSG: a chunk holds exactly one. Bytes after the known fields are ignored (later versions). */
int end_decode(struct end_record *rec, const u8 *data, size_t len);

#endif
