/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every compression: packed by its library here, unpacked by ours, cut, damaged and bounded. */
#include <bzlib.h>
#include <check.h>
#include <errno.h>
#include <lz4hc.h>
#include <lzma.h>
#include <lzo/lzo1x.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "vmm/pc/unpack.h"

#define PLAIN 300000
#define ROOM  600000

static u8 plain[PLAIN], packed[ROOM];

/* Compressible, but not trivially: runs of a pseudo-random sequence. */
static void fill_plain(void)
{
	u32 x = 12345;

	for (size_t i = 0; i < PLAIN; i++) {
		if (i % 7 == 0)
			x = x * 1664525 + 1013904223;
		plain[i] = x >> 28 | (i & 0x40);
	}
}

static size_t pack_gzip(void)
{
	z_stream z = {.next_in = plain, .avail_in = PLAIN, .next_out = packed, .avail_out = ROOM};

	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return ROOM - z.avail_out;
}

static size_t pack_bzip2(void)
{
	unsigned len = ROOM;

	ck_assert_int_eq(BZ2_bzBuffToBuffCompress((char *)packed, &len, (char *)plain, PLAIN, 9, 0, 0), BZ_OK);
	return len;
}

static size_t pack_lzma(void)
{
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_options_lzma options;
	size_t len;

	lzma_lzma_preset(&options, 6);
	ck_assert_int_eq(lzma_alone_encoder(&z, &options), LZMA_OK);
	z.next_in = plain;
	z.avail_in = PLAIN;
	z.next_out = packed;
	z.avail_out = ROOM;
	ck_assert_int_eq(lzma_code(&z, LZMA_FINISH), LZMA_STREAM_END);
	len = ROOM - z.avail_out;
	lzma_end(&z);
	return len;
}

/* As the kernel's build does: x86 BCJ filter, CRC32. */
static size_t pack_xz(void)
{
	lzma_options_lzma options;
	lzma_filter filters[] = {
	    {LZMA_FILTER_X86, NULL},
	    {LZMA_FILTER_LZMA2, &options},
	    {LZMA_VLI_UNKNOWN, NULL},
	};
	size_t len = 0;

	lzma_lzma_preset(&options, 6);
	ck_assert_int_eq(lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, NULL, plain, PLAIN, packed, &len, ROOM),
			 LZMA_OK);
	return len;
}

static void be32(u8 *p, u32 v)
{
	store32(p, __builtin_bswap32(v));
}

/* A lzop file: header, blocks with an Adler-32 of the unpacked bytes (not looked at by the reader), a final 0. */
static size_t pack_lzo(void)
{
	static const u8 magic[] = "\x89LZO\0\r\n\x1a\n";
	static u8 work[LZO1X_1_MEM_COMPRESS];
	size_t at = 9;

	ck_assert_int_eq(lzo_init(), LZO_E_OK);
	memset(packed, 0, 64);
	memcpy(packed, magic, 9);
	store16(packed + at, __builtin_bswap16(0x1030)); /* version */
	store16(packed + at + 2, __builtin_bswap16(0x20a0));
	store16(packed + at + 4, __builtin_bswap16(0x0940)); /* needed to extract */
	packed[at + 6] = 1;                                  /* method: lzo1x-1 */
	packed[at + 7] = 5;                                  /* level */
	be32(packed + at + 8, 1);                            /* flags: Adler-32 of the unpacked bytes */
	at += 12 + 12;                                       /* mode, time */
	packed[at] = 3;
	memcpy(packed + at + 1, "abc", 3);
	at += 4 + 4; /* name, checksum */
	for (size_t in = 0; in < PLAIN; in += 131072) {
		size_t n = min64(PLAIN - in, 131072);
		lzo_uint out;

		ck_assert_int_eq(lzo1x_1_compress(plain + in, n, packed + at + 12, &out, work), LZO_E_OK);
		ck_assert_uint_lt(out, n);
		be32(packed + at, n);
		be32(packed + at + 4, out);
		at += 12 + out;
	}
	be32(packed + at, 0);
	return at + 4;
}

static size_t pack_lz4(void)
{
	size_t at = 4;

	store32(packed, 0x184c2102);
	for (size_t in = 0; in < PLAIN; in += 100000) {
		int n = LZ4_compress_HC((char *)plain + in, (char *)packed + at + 4, min64(PLAIN - in, 100000),
					ROOM - at - 4, 9);

		ck_assert_int_gt(n, 0);
		store32(packed + at, n);
		at += 4 + n;
	}
	return at;
}

static size_t pack_zstd(void)
{
	size_t len = ZSTD_compress(packed, ROOM, plain, PLAIN, 3);

	ck_assert(!ZSTD_isError(len));
	return len;
}

static const struct {
	const char *name;
	size_t (*pack)(void);
} formats[] = {
    {"gzip", pack_gzip}, {"bzip2", pack_bzip2}, {"lzma", pack_lzma}, {"xz", pack_xz},
    {"lzo", pack_lzo},   {"lz4", pack_lz4},     {"zstd", pack_zstd},
};

START_TEST(unpacks)
{
	size_t len, out_len;
	struct error err;
	u8 *out;

	fill_plain();
	len = formats[_i].pack();
	ck_assert_str_eq(unpack_format(packed, len), formats[_i].name);
	ck_assert_int_eq(unpack(packed, len, PLAIN, &out, &out_len, &err), 0);
	ck_assert_uint_eq(out_len, PLAIN);
	ck_assert_mem_eq(out, plain, PLAIN);
	free(out);
}
END_TEST

/* A kernel's payload is followed by its unpacked size. */
START_TEST(ignores_size_note)
{
	size_t len, out_len;
	struct error err;
	u8 *out;

	fill_plain();
	len = formats[_i].pack();
	store32(packed + len, PLAIN);
	ck_assert_int_eq(unpack(packed, len + 4, 1 << 20, &out, &out_len, &err), 0);
	ck_assert_uint_eq(out_len, PLAIN);
	free(out);
}
END_TEST

START_TEST(bounds_output)
{
	size_t len, out_len;
	struct error err = {""};
	u8 *out;

	fill_plain();
	len = formats[_i].pack();
	ck_assert_int_eq(unpack(packed, len, PLAIN - 1, &out, &out_len, &err), -ENOMEM);
	ck_assert_ptr_null(out);
	ck_assert_ptr_nonnull(strstr(err.text, "299999"));
}
END_TEST

/* Cut anywhere, the result is an error (or, for the format whose end is no mark, fewer bytes). */
START_TEST(reports_cuts)
{
	size_t len, out_len;
	struct error err;
	u8 *out;

	fill_plain();
	len = formats[_i].pack();
	for (size_t cut = 0; cut < len; cut += 1 + len / 61) {
		int rc;

		err.text[0] = 0;
		rc = unpack(packed, cut, 1 << 20, &out, &out_len, &err);
		if (rc == 0 && !strcmp(formats[_i].name, "lz4"))
			ck_assert_uint_lt(out_len, PLAIN);
		else
			ck_assert_int_eq(rc, -EINVAL);
		if (rc)
			ck_assert_uint_gt(strlen(err.text), 0);
		free(out);
	}
}
END_TEST

START_TEST(survives_damage)
{
	size_t len, out_len;
	struct error err;
	u32 x = 1;
	u8 *out;

	fill_plain();
	len = formats[_i].pack();
	for (int n = 0; n < 100; n++) {
		u8 old;
		size_t at;

		x = x * 1664525 + 1013904223;
		at = n < 40 ? (size_t)n : (x >> 4) % len;
		old = packed[at];
		packed[at] ^= 1 << (x >> 29);
		if (unpack(packed, len, 1 << 20, &out, &out_len, &err) == 0)
			ck_assert_uint_le(out_len, 1 << 20);
		free(out);
		packed[at] = old;
	}
}
END_TEST

START_TEST(knows_what_it_does_not_know)
{
	struct error err;
	size_t out_len;
	u8 *out;

	ck_assert_ptr_null(unpack_format((const u8 *)"\x7f"
						     "ELF",
					 4));
	ck_assert_ptr_null(unpack_format((const u8 *)"\x1f", 1));
	ck_assert_ptr_null(unpack_format(NULL, 0));
	ck_assert_int_eq(unpack((const u8 *)"hello", 5, 100, &out, &out_len, &err), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unpack");
	TCase *tc = tcase_create("unpack");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, unpacks, 0, ARRAY_SIZE(formats));
	tcase_add_loop_test(tc, ignores_size_note, 0, ARRAY_SIZE(formats));
	tcase_add_loop_test(tc, bounds_output, 0, ARRAY_SIZE(formats));
	tcase_add_loop_test(tc, reports_cuts, 0, ARRAY_SIZE(formats));
	tcase_add_loop_test(tc, survives_damage, 0, ARRAY_SIZE(formats));
	tcase_add_test(tc, knows_what_it_does_not_know);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
