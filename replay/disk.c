/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "replay/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "traces/blocks.h"

#define PENDING_MAX (1u << 20) /* bytes of blocks held back at most */

/* Where a block of a replayed disk is. */
struct where {
	u64 block;
	size_t chunk;
	u32 offset, len; /* in the unpacked chunk */
};

struct disk {
	struct block_backend backend;
	char *name;
	struct trace_digest digest;
	u64 bytes;
	/* an image */
	int fd;
	struct trace_writer *w; /* NULL: not recording */
	const u64 *position;
	u8 *logged; /* a bit for each block that is in the trace */
	struct trace_buf pending;
	u64 pending_position;
	/* a trace */
	struct trace_reader *r;
	struct where *where; /* sorted by block */
	size_t count, cap;
	struct trace_buf chunk; /* the one read last */
	size_t chunk_number;
};

static u32 block_len(const struct disk *disk, u64 block)
{
	return (u32)min64(TRACE_BLOCK, disk->bytes - block * TRACE_BLOCK);
}

/* --- an image --- */

static int image_read(const struct disk *disk, u64 offset, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(disk->fd, (u8 *)buf + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* Keeps one block for the trace, if it isn't there. */
static int log_block(struct disk *disk, u64 block)
{
	u8 bytes[TRACE_BLOCK];
	struct trace_block rec = {.block = block, .len = block_len(disk, block), .bytes = bytes};
	int ret;

	if (disk->logged[block / 8] & 1u << block % 8)
		return 0;
	ret = image_read(disk, block * TRACE_BLOCK, bytes, rec.len);
	if (ret)
		return ret;
	if (!disk->pending.len)
		disk->pending_position = *disk->position;
	ret = trace_block_encode(&disk->pending, &rec);
	if (ret)
		return ret;
	disk->logged[block / 8] |= (u8)(1u << block % 8);
	return disk->pending.len >= PENDING_MAX ? disk_flush(disk) : 0;
}

static int read_image(void *opaque, u64 offset, void *buf, size_t len)
{
	struct disk *disk = opaque;
	int ret = 0;

	if (disk->w && len)
		for (u64 block = offset / TRACE_BLOCK; !ret && block <= (offset + len - 1) / TRACE_BLOCK; block++)
			ret = log_block(disk, block);
	return ret ? ret : image_read(disk, offset, buf, len);
}

static int image_digest(struct disk *disk)
{
	XXH3_state_t *hash = XXH3_createState();
	u8 *buf = malloc(PENDING_MAX);
	XXH128_canonical_t canonical;
	int ret = hash && buf ? 0 : -ENOMEM;

	if (!ret)
		XXH3_128bits_reset(hash);
	for (u64 at = 0; !ret && at < disk->bytes; at += PENDING_MAX) {
		size_t n = min64(PENDING_MAX, disk->bytes - at);

		ret = image_read(disk, at, buf, n);
		if (!ret)
			XXH3_128bits_update(hash, buf, n);
	}
	if (!ret) {
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(hash));
		memcpy(disk->digest.byte, canonical.digest, sizeof(disk->digest.byte));
	}
	XXH3_freeState(hash);
	free(buf);
	return ret;
}

int disk_open(struct disk **out, const char *path, struct error *err)
{
	struct disk *disk = calloc(1, sizeof(*disk));
	const char *slash = strrchr(path, '/');
	struct stat st;
	off_t end;
	int ret;

	if (!disk)
		return error_set(err, -ENOMEM, "out of memory");
	disk->name = strdup(slash ? slash + 1 : path);
	disk->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (disk->fd < 0) {
		ret = error_set(err, -errno, "%s: can't open the disk image: %s", path, strerror(errno));
		goto fail;
	}
	end = fstat(disk->fd, &st) || S_ISDIR(st.st_mode) ? -1 : lseek(disk->fd, 0, SEEK_END);
	if (end <= 0 || end % BLOCK_SECTOR) {
		ret = error_set(err, -EINVAL, "%s: no disk image: %s", path,
				end < 0    ? "not a file or block device"
				: end == 0 ? "it is empty"
					   : "its size is no multiple of 512 bytes");
		goto fail;
	}
	disk->bytes = (u64)end;
	disk->backend = (struct block_backend){read_image, disk, disk->bytes / BLOCK_SECTOR};
	ret = disk->name ? image_digest(disk) : -ENOMEM;
	if (ret) {
		error_set(err, ret, "%s: can't read the disk image: %s", path, strerror(-ret));
		goto fail;
	}
	*out = disk;
	return 0;
fail:
	disk_free(disk);
	return ret;
}

int disk_record(struct disk *disk, struct trace_writer *w, const u64 *position)
{
	free(disk->logged);
	disk->logged = calloc(1, disk->bytes / TRACE_BLOCK / 8 + 1);
	if (!disk->logged)
		return -ENOMEM;
	disk->w = w;
	disk->position = position;
	return 0;
}

int disk_flush(struct disk *disk)
{
	int ret;

	if (!disk || !disk->pending.len)
		return 0;
	ret = trace_write(disk->w, TRACE_DISK, disk->pending_position, disk->pending.data, disk->pending.len);
	disk->pending.len = 0;
	return ret;
}

/* --- a trace --- */

static int by_block(const void *a, const void *b)
{
	const struct where *x = a, *y = b;

	return x->block < y->block ? -1 : x->block > y->block;
}

/* Blocks that stand several times are the same; should they not be, the first one counts. */
static int by_block_and_place(const void *a, const void *b)
{
	const struct where *x = a, *y = b;

	if (x->block != y->block)
		return by_block(x, y);
	if (x->chunk != y->chunk)
		return x->chunk < y->chunk ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void sort_blocks(struct disk *disk)
{
	size_t n = 0;

	if (!disk->count)
		return;
	qsort(disk->where, disk->count, sizeof(*disk->where), by_block_and_place);
	for (size_t i = 0; i < disk->count; i++)
		if (!n || disk->where[i].block != disk->where[n - 1].block)
			disk->where[n++] = disk->where[i];
	disk->count = n;
}

static int read_trace(void *opaque, u64 offset, void *buf, size_t len)
{
	struct disk *disk = opaque;

	while (len) {
		struct where key = {.block = offset / TRACE_BLOCK}, *w;
		u64 skip = offset % TRACE_BLOCK;
		size_t n;

		w = bsearch(&key, disk->where, disk->count, sizeof(*w), by_block);
		if (!w || skip >= w->len)
			return -EIO;
		if (!disk->chunk.len || disk->chunk_number != w->chunk) {
			disk->chunk.len = 0;
			if (trace_read(disk->r, w->chunk, &disk->chunk, NULL) || w->offset + w->len > disk->chunk.len)
				return -EIO;
			disk->chunk_number = w->chunk;
		}
		n = min64(len, w->len - skip);
		memcpy(buf, disk->chunk.data + w->offset + skip, n);
		buf = (u8 *)buf + n;
		offset += n;
		len -= n;
	}
	return 0;
}

static int add_where(struct disk *disk, size_t chunk, const struct trace_block *rec, u32 offset)
{
	if (disk->count == disk->cap) {
		size_t cap = disk->cap ? 2 * disk->cap : 64;
		struct where *grown = realloc(disk->where, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		disk->where = grown;
		disk->cap = cap;
	}
	disk->where[disk->count++] = (struct where){rec->block, chunk, offset, rec->len};
	return 0;
}

static int list_chunk(struct disk *disk, size_t chunk, struct error *err)
{
	struct trace_block rec;
	size_t at = 0;
	int ret = trace_read(disk->r, chunk, &disk->chunk, err);

	while (!ret && at < disk->chunk.len) {
		ret = trace_block_decode(&rec, disk->chunk.data, disk->chunk.len, &at);
		if (ret || rec.block >= (disk->bytes + TRACE_BLOCK - 1) / TRACE_BLOCK ||
		    rec.len != block_len(disk, rec.block))
			return error_set(err, -EBADMSG, "a chunk of disk blocks is malformed");
		ret = add_where(disk, chunk, &rec, (u32)(rec.bytes - disk->chunk.data));
	}
	return ret;
}

int disk_from_trace(struct disk **out, struct trace_reader *r, u64 sectors, struct error *err)
{
	struct disk *disk = calloc(1, sizeof(*disk));
	int ret = 0;

	if (!disk)
		return error_set(err, -ENOMEM, "out of memory");
	disk->fd = -1;
	disk->r = r;
	disk->bytes = sectors * BLOCK_SECTOR;
	disk->backend = (struct block_backend){read_trace, disk, sectors};
	for (size_t i = 0; !ret && i < r->count; i++)
		if (r->chunk[i].type == TRACE_DISK)
			ret = list_chunk(disk, i, err);
	disk->chunk.len = 0;
	if (ret) {
		disk_free(disk);
		return ret;
	}
	sort_blocks(disk);
	*out = disk;
	return 0;
}

/* --- both --- */

void disk_free(struct disk *disk)
{
	if (!disk)
		return;
	if (disk->fd >= 0)
		close(disk->fd);
	trace_buf_free(&disk->pending);
	trace_buf_free(&disk->chunk);
	free(disk->logged);
	free(disk->where);
	free(disk->name);
	free(disk);
}

const struct block_backend *disk_backend(const struct disk *disk)
{
	return &disk->backend;
}

const struct trace_digest *disk_digest(const struct disk *disk)
{
	return &disk->digest;
}

const char *disk_name(const struct disk *disk)
{
	return disk->name;
}
