/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A trace file: header, chunks, index, trailer. FORMAT.md is the specification.
 *
 * The writer appends whole chunks, each with one write(), so a killed recorder leaves a readable prefix.
 * The reader takes the file as hostile: every length is checked before use, no allocation exceeds TRACE_RAW_MAX
 * or what the file's size bounds, and every byte of the file is under a check. */
#ifndef TRACES_TRACE_H
#define TRACES_TRACE_H

#include "vmm/error.h"
#include "vmm/types.h"

#define TRACE_VERSION      3 /* what the reader knows; the writer writes it for landmarks in place of counts, */
#define TRACE_MORE         2 /* this when there are checkpoints or a debugger's changes */
#define TRACE_PLAIN        1 /* and otherwise this */
#define TRACE_HEADER_SIZE  32
#define TRACE_CHUNK_SIZE   48 /* chunk header */
#define TRACE_TRAILER_SIZE 32
#define TRACE_MAGIC        "\x8fVMT\r\n\x1a\n"
#define TRACE_TRAILER      "VMTRAIL\n"

#define TRACE_BLOB_PART (4u << 20)                   /* most content bytes of one blob chunk */
#define TRACE_RAW_MAX   (TRACE_BLOB_PART + 0x10000u) /* most raw bytes of any chunk */

#define TRACE_PAGE_SIZE 4096u
#define TRACE_PAGES_MAX 1024u /* pages of one chunk */

#define TRACE_TYPE(a, b, c, d) ((u32)(a) | (u32)(b) << 8 | (u32)(c) << 16 | (u32)(d) << 24)

enum trace_type {
	TRACE_MACHINE = TRACE_TYPE('M', 'A', 'C', 'H'),    /* text.h: what was run, and how */
	TRACE_BLOB = TRACE_TYPE('B', 'L', 'O', 'B'),       /* part of a file, by digest */
	TRACE_DISK = TRACE_TYPE('D', 'I', 'S', 'K'),       /* blocks.h: what the guest read of its disk's image */
	TRACE_EVENTS = TRACE_TYPE('E', 'V', 'N', 'T'),     /* event.h */
	TRACE_CONSOLE = TRACE_TYPE('C', 'O', 'N', 'S'),    /* record.h: guest output */
	TRACE_DIGESTS = TRACE_TYPE('D', 'G', 'S', 'T'),    /* record.h */
	TRACE_PAGES = TRACE_TYPE('P', 'A', 'G', 'E'),      /* checkpoint.h: contents of guest pages */
	TRACE_CHECKPOINT = TRACE_TYPE('C', 'H', 'K', 'P'), /* checkpoint.h */
	TRACE_NOTE = TRACE_TYPE('N', 'O', 'T', 'E'),       /* text.h: remarks, no meaning for replay */
	TRACE_END = TRACE_TYPE('E', 'N', 'D', ' '),        /* record.h: why and where the run ended */
	TRACE_INDEX = TRACE_TYPE('I', 'N', 'D', 'X'),
};

/* Chunk flags. */
#define TRACE_ZSTD BIT(0) /* the payload is one zstd frame; otherwise raw bytes */
#define TRACE_MUST BIT(1) /* a reader that doesn't know the type must not go on */

struct trace_chunk {
	u32 type;
	u32 flags;
	u64 position; /* instructions retired at the chunk's first record */
	u64 key;      /* blobs: low 64 bits of the digest; pages, checkpoints: checkpoint.h; otherwise 0 */
	u64 offset;   /* of the chunk header in the file */
	u32 stored;   /* payload bytes in the file */
	u32 raw;      /* payload bytes unpacked */
};

/* "events", "blob", ...; "unknown" for others. */
const char *trace_type_name(u32 type);

/* Events, digests and end together are the stream of the recording: their file order is program order. */
static inline bool trace_in_stream(u32 type)
{
	return type == TRACE_EVENTS || type == TRACE_DIGESTS || type == TRACE_END;
}

#define STREAM_AFTER (~0ull)

/* A place in the stream. Chunks of other types don't count, so it holds in a copy of the trace that has more or fewer of
 * them. All zeroes: before the first item. */
struct stream_place {
	u64 chunk; /* number of the chunk among those of the stream, from 1 */
	u64 item;  /* number of the item in it, from 1. STREAM_AFTER: what follows the chunk (0: the first of all) */
	u64 done;  /* reads of the item that have happened already, when it is a run of them */
	u64 stops; /* items passed or reached that a machine must stop for: all but reads and clock samples */
};

/* A growing byte buffer. */
struct trace_buf {
	u8 *data;
	size_t len, cap;
};

/* Makes room for @extra more bytes. -ENOMEM. */
int trace_buf_reserve(struct trace_buf *buf, size_t extra);
int trace_buf_add(struct trace_buf *buf, const void *data, size_t len);
void trace_buf_free(struct trace_buf *buf);

/* XXH3-128 of a blob's content, canonical (big-endian) byte order as printed. */
struct trace_digest {
	u8 byte[16];
};

struct trace_digest trace_digest_of(const void *data, size_t len);
u64 trace_digest_key(const struct trace_digest *digest);
/* 32 hex digits and a NUL. */
void trace_digest_format(const struct trace_digest *digest, char out[33]);
/* -EINVAL when @hex is not 32 hex digits. */
int trace_digest_parse(struct trace_digest *digest, const char *hex);

/* --- writer --- */

struct trace_writer;

#define TRACE_FORCE 1u /* replace an existing file: written to PATH.partial, renamed over PATH by close */
#define TRACE_BEGINS_MID \
	2u               /* begins at a checkpoint, not with the machine's start: only readers that know them will do */
#define TRACE_REQUIRE 4u /* as if trace_writer_require(TRACE_MORE) were called */

/* Creates the file and writes its header. -EEXIST without TRACE_FORCE when @path exists; every error has a sentence. */
int trace_writer_create(struct trace_writer **w, const char *path, unsigned flags, struct error *err);

/* Appends one chunk; @len at most TRACE_RAW_MAX. After an error (disk full, ...) the file ends with the last whole
 * chunk, the sentence is kept (trace_writer_error()) and every further write fails with the same code. */
int trace_write(struct trace_writer *w, u32 type, u64 position, const void *data, size_t len);
int trace_write_keyed(struct trace_writer *w, u32 type, u64 position, u64 key, const void *data, size_t len);

struct trace_reader;

/* Appends chunk @i of another trace as it is stored there. -EBADMSG: it is damaged there, with a sentence in @err (may be
 * NULL); other errors are those of trace_write(). Blobs copied so are not known to trace_write_blob(). */
int trace_copy(struct trace_writer *w, struct trace_reader *r, size_t i, struct error *err);

/* Stores a file's content under its digest, in parts, unless the same content is already there. @name: a base name. */
int trace_write_blob(struct trace_writer *w, const char *name, const void *data, size_t len,
		     struct trace_digest *digest);
/* Names a file by digest and length without storing it. */
int trace_write_blob_name(struct trace_writer *w, const char *name, u64 len, const struct trace_digest *digest);

/* What follows isn't known to readers of formats before @version. */
int trace_writer_require(struct trace_writer *w, u16 version);

const struct error *trace_writer_error(const struct trace_writer *w);
u64 trace_writer_size(const struct trace_writer *w);         /* bytes written so far */
u64 trace_writer_stream(const struct trace_writer *w);       /* chunks of the stream written so far */
u64 trace_writer_pages(const struct trace_writer *w);        /* guest pages written so far */
const char *trace_writer_path(const struct trace_writer *w); /* where they are now: PATH or PATH.partial */

/* Makes close rename the file to @path, whatever is there, instead of where it was to be. -ENOMEM. */
int trace_writer_move(struct trace_writer *w, const char *path);

/* Writes index and trailer, syncs, renames into place and frees. On error what was written is kept where it is. */
int trace_writer_close(struct trace_writer *w, struct error *err);

/* Ends without an index and frees: the file is removed when it holds nothing that can be replayed (returns 0),
 * otherwise kept as a cut-off trace at trace_writer_path() (returns 1). */
int trace_writer_abandon(struct trace_writer *w);

/* --- reader --- */

enum trace_state {
	TRACE_WHOLE,   /* index and trailer are there */
	TRACE_CUT,     /* ends without index and trailer; the chunks listed are whole */
	TRACE_DAMAGED, /* something is wrong at damage_offset; the chunks listed lie before it */
};

struct trace_reader {
	int fd;
	u64 size;                /* of the file when it was last looked at */
	u16 version, min_reader; /* as the header says */
	enum trace_state state;
	u64 damage_offset;
	struct error damage;       /* a sentence when state is not TRACE_WHOLE */
	struct trace_chunk *chunk; /* in file order, without the index */
	size_t count, cap;
	void *zstd;
	struct trace_buf in; /* [D] one chunk as stored */
};

#define TRACE_QUICK 1u /* trust a whole index instead of reading all chunks: damage shows when a chunk is read */

/* Opens and lists the chunks, reading all of them (one checksum pass, no unpacking) unless TRACE_QUICK. Succeeds for a
 * cut-off or damaged file as long as its header is whole: see state. Errors: -ENOENT etc.; -EINVAL: not a trace;
 * -EBADMSG: the header is damaged; -ENOTSUP: a newer format. */
int trace_open(struct trace_reader **r, const char *path, unsigned flags, struct error *err);
void trace_close(struct trace_reader *r);

/* Lists what was appended since to a trace that is still being written; nothing to do for one that isn't cut off.
 * Cost: one checksum pass over that. -ENOMEM. */
int trace_refresh(struct trace_reader *r);

/* Reads, checks and unpacks chunk @i into @out (replaced; at most TRACE_RAW_MAX bytes). -EBADMSG with offset and type. */
int trace_read(struct trace_reader *r, size_t i, struct trace_buf *out, struct error *err);

/* What trace_read_blob() found. */
struct trace_blob {
	struct trace_digest digest;
	char name[256];
	u64 len;
	bool name_only; /* content not in the trace */
	u8 *data;       /* freed by the caller; never NULL unless name_only */
};

#define TRACE_BLOB_MAX (2ull << 30) /* longest blob that is put together in memory */

/* Assembles a blob and checks its digest. -ENOENT: no such blob. -EBADMSG: damaged. -ENOMEM. */
int trace_read_blob(struct trace_reader *r, const struct trace_digest *digest, struct trace_blob *blob,
		    struct error *err);

/* The decoded head of a blob chunk's payload. */
struct trace_blob_part {
	struct trace_digest digest;
	u64 total;  /* length of the whole blob */
	u64 offset; /* of this part */
	bool name_only;
	char name[256];
	const u8 *data; /* points into the payload */
	size_t len;
};

/* -EBADMSG when the payload is not a well-formed part. */
int trace_blob_part_decode(struct trace_blob_part *part, const u8 *data, size_t len);

/* Whether this program knows the chunk's type. */
bool trace_type_known(u32 type);

/* Reads, unpacks and decodes everything, checks blobs against their digests and the index against the chunks.
 * 0: not one byte is in doubt. -EBADMSG: damaged or cut off, with a sentence. Works on a reader opened either way. */
int trace_verify(struct trace_reader *r, struct error *err);

#endif
