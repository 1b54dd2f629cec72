/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every format is fed whole input and gives its output to a sink, which grows up to a limit. */
#include <bzlib.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <lzo/lzo1x.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "vmm/pc/unpack.h"

#define WINDOW_MAX     (256ull << 20) /* bytes of dictionary a stream may ask for */
#define ZSTD_LOG_MAX   27             /* kernels are packed with zstd -22: a window of 128 MiB */
#define SINK_START     (1u << 20)
#define LZ4_BLOCK_MAX  (8u << 20)  /* legacy frame: blocks unpack to at most 8 MiB */
#define LZOP_BLOCK_MAX (64u << 20) /* lzop's own limit */

struct sink {
	u8 *data;
	size_t len, cap, max;
};

/* Makes room for at least @want more bytes (fewer when the limit is near). 0 bytes of room: -ENOMEM. */
static int sink_room(struct sink *sink, size_t want, struct error *err)
{
	size_t cap = sink->cap;
	u8 *data;

	if (sink->cap - sink->len >= want)
		return 0;
	if (sink->len == sink->max)
		return error_set(err, -ENOMEM, "it unpacks to more than %zu bytes, the size of guest memory",
				 sink->max);
	if (want > sink->max - sink->len)
		want = sink->max - sink->len;
	while (cap < sink->len + want)
		cap = cap ? cap * 2 : SINK_START;
	if (cap > sink->max)
		cap = sink->max;
	if (cap == sink->cap)
		return 0;
	data = realloc(sink->data, cap);
	if (!data)
		return error_set(err, -ENOMEM, "no memory for %zu bytes of unpacked data", cap);
	sink->data = data;
	sink->cap = cap;
	return 0;
}

static int damaged(struct error *err, const char *format, size_t at, size_t len)
{
	return error_set(err, -EINVAL, "the %s data is damaged at byte %zu of %zu", format, at, len);
}

static int cut_short(struct error *err, const char *format, size_t len)
{
	return error_set(err, -EINVAL, "the %s data is cut short: it goes on after its %zu bytes", format, len);
}

static int unpack_gzip(const u8 *in, size_t len, struct sink *sink, struct error *err)
{
	z_stream z = {.next_in = (u8 *)in};
	size_t fed = 0;
	int ret, rc;

	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return error_set(err, -ENOMEM, "no memory for gzip");
	for (;;) {
		rc = sink_room(sink, 1, err);
		if (rc)
			break;
		if (!z.avail_in) {
			z.avail_in = min64(len - fed, 1u << 30);
			fed += z.avail_in;
		}
		z.next_out = sink->data + sink->len;
		z.avail_out = min64(sink->cap - sink->len, 1u << 30);
		ret = inflate(&z, Z_NO_FLUSH);
		sink->len = z.next_out - sink->data;
		if (ret == Z_STREAM_END)
			break;
		if (ret == Z_BUF_ERROR || (ret == Z_OK && !z.avail_in && z.avail_out && fed == len)) {
			rc = cut_short(err, "gzip", len);
			break;
		}
		if (ret != Z_OK) {
			rc = damaged(err, "gzip", fed - z.avail_in, len);
			break;
		}
	}
	inflateEnd(&z);
	return rc;
}

static int unpack_bzip2(const u8 *in, size_t len, struct sink *sink, struct error *err)
{
	bz_stream z = {.next_in = (char *)in};
	size_t fed = 0;
	int ret, rc;

	if (BZ2_bzDecompressInit(&z, 0, 0) != BZ_OK)
		return error_set(err, -ENOMEM, "no memory for bzip2");
	for (;;) {
		rc = sink_room(sink, 1, err);
		if (rc)
			break;
		if (!z.avail_in) {
			z.avail_in = min64(len - fed, 1u << 30);
			fed += z.avail_in;
		}
		z.next_out = (char *)sink->data + sink->len;
		z.avail_out = min64(sink->cap - sink->len, 1u << 30);
		ret = BZ2_bzDecompress(&z);
		sink->len = (u8 *)z.next_out - sink->data;
		if (ret == BZ_STREAM_END)
			break;
		if (ret != BZ_OK) {
			rc = damaged(err, "bzip2", fed - z.avail_in, len);
			break;
		}
		if (!z.avail_in && z.avail_out && fed == len) {
			rc = cut_short(err, "bzip2", len);
			break;
		}
	}
	BZ2_bzDecompressEnd(&z);
	return rc;
}

/* xz, and the older .lzma file it came from. */
static int unpack_xz(const u8 *in, size_t len, bool alone, struct sink *sink, struct error *err)
{
	const char *format = alone ? "lzma" : "xz";
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_ret ret;
	int rc;

	ret = alone ? lzma_alone_decoder(&z, WINDOW_MAX) : lzma_stream_decoder(&z, WINDOW_MAX, 0);
	if (ret != LZMA_OK)
		return error_set(err, -ENOMEM, "no memory for %s", format);
	z.next_in = in;
	z.avail_in = len;
	for (;;) {
		rc = sink_room(sink, 1, err);
		if (rc)
			break;
		z.next_out = sink->data + sink->len;
		z.avail_out = sink->cap - sink->len;
		ret = lzma_code(&z, LZMA_RUN);
		sink->len = z.next_out - sink->data;
		if (ret == LZMA_STREAM_END)
			break;
		if (ret == LZMA_BUF_ERROR || (ret == LZMA_OK && !z.avail_in && z.avail_out))
			rc = cut_short(err, format, len);
		else if (ret == LZMA_MEMLIMIT_ERROR || ret == LZMA_MEM_ERROR)
			rc = error_set(err, -EINVAL, "the %s data asks for a dictionary of more than %llu MiB", format,
				       WINDOW_MAX >> 20);
		else if (ret != LZMA_OK)
			rc = damaged(err, format, len - z.avail_in, len);
		if (rc)
			break;
	}
	lzma_end(&z);
	return rc;
}

static int unpack_zstd(const u8 *in, size_t len, struct sink *sink, struct error *err)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ZSTD_inBuffer src = {in, len, 0};
	ZSTD_outBuffer dst;
	size_t ret, before;
	int rc;

	if (!z)
		return error_set(err, -ENOMEM, "no memory for zstd");
	ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, ZSTD_LOG_MAX);
	for (;;) {
		rc = sink_room(sink, 1, err);
		if (rc)
			break;
		dst = (ZSTD_outBuffer){sink->data, sink->cap, sink->len};
		before = src.pos;
		ret = ZSTD_decompressStream(z, &dst, &src);
		if (ZSTD_isError(ret)) {
			rc = error_set(err, -EINVAL, "the zstd data is damaged at byte %zu of %zu: %s", src.pos, len,
				       ZSTD_getErrorName(ret));
			break;
		}
		before = src.pos - before + dst.pos - sink->len;
		sink->len = dst.pos;
		if (!ret)
			break;
		if (!before || (src.pos == len && dst.pos < dst.size)) {
			rc = cut_short(err, "zstd", len);
			break;
		}
	}
	ZSTD_freeDStream(z);
	return rc;
}

/* LZ4's legacy frame: the magic, then blocks of a 32-bit length and that many bytes. Four bytes or fewer at the end
 * are the kernel's note of the unpacked size. */
static int unpack_lz4(const u8 *in, size_t len, struct sink *sink, struct error *err)
{
	size_t at = 4;
	int n, rc;

	while (len - at > 4) {
		u32 block = load32(in + at);

		if (block == 0x184c2102) { /* another frame appended */
			at += 4;
			continue;
		}
		if (block > (u32)LZ4_COMPRESSBOUND(LZ4_BLOCK_MAX))
			return damaged(err, "lz4", at, len);
		at += 4;
		if (block > len - at)
			return cut_short(err, "lz4", len);
		rc = sink_room(sink, LZ4_BLOCK_MAX, err);
		if (rc)
			return rc;
		n = LZ4_decompress_safe((const char *)in + at, (char *)sink->data + sink->len, block,
					min64(sink->cap - sink->len, LZ4_BLOCK_MAX));
		if (n < 0)
			return sink->cap - sink->len < LZ4_BLOCK_MAX && sink->cap == sink->max
				   ? error_set(
					 err, -ENOMEM,
					 "it is damaged or unpacks to more than %zu bytes, the size of guest memory",
					 sink->max)
				   : damaged(err, "lz4", at, len);
		sink->len += n;
		at += block;
	}
	return 0;
}

static u32 be16(const u8 *p)
{
	return __builtin_bswap16(load16(p));
}

static u32 be32(const u8 *p)
{
	return __builtin_bswap32(load32(p));
}

#define LZOP_MAGIC          9 /* bytes */
#define LZOP_F_ADLER32_D    0x1
#define LZOP_F_ADLER32_C    0x2
#define LZOP_F_EXTRA_FIELD  0x40
#define LZOP_F_CRC32_D      0x100
#define LZOP_F_CRC32_C      0x200
#define LZOP_F_FILTER       0x800
#define LZOP_HAS_LEVEL      0x0940
#define LZOP_VERSION_OF_HDR 9 /* offset of the 16-bit version */

/* The length of lzop's file header: fixed fields that depend on version and flags, the name, a checksum.
 * 0 when it does not fit. (lzop has no specification; the layout is that of its 1.0x files.) */
static size_t lzop_header(const u8 *in, size_t len, u32 *flags)
{
	u32 version;
	size_t at = LZOP_VERSION_OF_HDR;

	if (len < 64)
		return 0;
	version = be16(in + at);
	at += 2 + 2;                     /* version, library version */
	at += version >= 0x0940 ? 2 : 0; /* version needed to extract */
	at += 1;                         /* method */
	at += version >= LZOP_HAS_LEVEL; /* level */
	*flags = be32(in + at);
	at += 4;
	at += *flags & LZOP_F_FILTER ? 4 : 0;
	at += 4 + 4;                     /* mode, time */
	at += version >= 0x0940 ? 4 : 0; /* time, high half */
	at += 1 + in[at];                /* file name */
	at += 4;                         /* checksum of the header */
	if (*flags & LZOP_F_EXTRA_FIELD) {
		if (at + 8 > len || be32(in + at) > len)
			return 0;
		at += 4 + (size_t)be32(in + at) + 4;
	}
	return at <= len ? at : 0;
}

/* One block at @at: unpacked size, packed size, checksums by flags, bytes. Returns where the next one begins. */
static int lzop_block(const u8 *in, size_t len, size_t *at, u32 flags, struct sink *sink, struct error *err)
{
	u32 plain = be32(in + *at), packed;
	lzo_uint n = plain;
	size_t p = *at + 8;
	int rc;

	if (len - *at < 8)
		return cut_short(err, "lzo", len);
	packed = be32(in + *at + 4);
	if (plain > LZOP_BLOCK_MAX || packed > plain)
		return damaged(err, "lzo", *at, len);
	p += flags & LZOP_F_ADLER32_D ? 4 : 0;
	p += flags & LZOP_F_CRC32_D ? 4 : 0;
	if (packed < plain) {
		p += flags & LZOP_F_ADLER32_C ? 4 : 0;
		p += flags & LZOP_F_CRC32_C ? 4 : 0;
	}
	if (p > len || packed > len - p)
		return cut_short(err, "lzo", len);
	rc = sink_room(sink, plain, err);
	if (rc)
		return rc;
	if (sink->cap - sink->len < plain)
		return error_set(err, -ENOMEM, "it unpacks to more than %zu bytes, the size of guest memory",
				 sink->max);
	if (packed == plain)
		memcpy(sink->data + sink->len, in + p, plain);
	else if (lzo1x_decompress_safe(in + p, packed, sink->data + sink->len, &n, NULL) != LZO_E_OK || n != plain)
		return damaged(err, "lzo", p, len);
	sink->len += plain;
	*at = p + packed;
	return 0;
}

static int unpack_lzo(const u8 *in, size_t len, struct sink *sink, struct error *err)
{
	u32 flags;
	size_t at = lzop_header(in, len, &flags);
	int rc;

	if (!at)
		return damaged(err, "lzo", 0, len);
	if (lzo_init() != LZO_E_OK)
		return error_set(err, -ENOMEM, "the lzo library does not start");
	for (;;) {
		if (len - at < 4)
			return cut_short(err, "lzo", len);
		if (!be32(in + at))
			return 0;
		rc = lzop_block(in, len, &at, flags, sink, err);
		if (rc)
			return rc;
	}
}

static int unpack_lzma_file(const u8 *in, size_t len, struct sink *sink, struct error *err)
{
	return unpack_xz(in, len, true, sink, err);
}

static int unpack_xz_file(const u8 *in, size_t len, struct sink *sink, struct error *err)
{
	return unpack_xz(in, len, false, sink, err);
}

static const struct format {
	const char *name;
	const char *magic;
	size_t magic_len;
	int (*unpack)(const u8 *in, size_t len, struct sink *sink, struct error *err);
} formats[] = {
    {"gzip", "\x1f\x8b", 2, unpack_gzip},
    {"bzip2", "BZh", 3, unpack_bzip2},
    {"lzma", "\x5d\0\0", 3, unpack_lzma_file},
    {"xz", "\xfd\x37zXZ\0", 6, unpack_xz_file},
    {"lzo", "\x89LZO\0\r\n\x1a\n", LZOP_MAGIC, unpack_lzo},
    {"lz4", "\x02\x21\x4c\x18", 4, unpack_lz4},
    {"zstd", "\x28\xb5\x2f\xfd", 4, unpack_zstd},
};

static const struct format *format_find(const u8 *in, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (len >= formats[i].magic_len && !memcmp(in, formats[i].magic, formats[i].magic_len))
			return &formats[i];
	return NULL;
}

const char *unpack_format(const u8 *in, size_t len)
{
	const struct format *f = format_find(in, len);

	return f ? f->name : NULL;
}

int unpack(const u8 *in, size_t len, size_t max, u8 **out, size_t *out_len, struct error *err)
{
	const struct format *f = format_find(in, len);
	struct sink sink = {.max = max};
	int rc;

	*out = NULL;
	*out_len = 0;
	if (!f)
		return error_set(err, -EINVAL, "it is packed with no compression known here");
	rc = f->unpack(in, len, &sink, err);
	if (rc) {
		free(sink.data);
		return rc;
	}
	*out = sink.data;
	*out_len = sink.len;
	return 0;
}
