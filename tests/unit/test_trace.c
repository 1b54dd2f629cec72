/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trace files: what is written is read back; whatever happens to a file is noticed. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "traces/chunk.h"
#include "traces/record.h"
#include "traces/text.h"
#include "traces/trace.h"

static char dir[64], path[96];
static struct error err;

static void setup(void)
{
	strcpy(dir, "/tmp/test_trace.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.vmt", dir);
	err.text[0] = 0;
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static struct trace_buf slurp(const char *name)
{
	struct trace_buf buf = {0};
	u8 block[4096];
	size_t n;
	FILE *f = fopen(name, "rb");

	ck_assert_ptr_nonnull(f);
	while ((n = fread(block, 1, sizeof(block), f)))
		trace_buf_add(&buf, block, n);
	fclose(f);
	return buf;
}

static void spit(const char *name, const void *data, size_t len)
{
	FILE *f = fopen(name, "wb");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, len, f), len);
	fclose(f);
}

static struct trace_writer *create(unsigned flags)
{
	struct trace_writer *w;

	ck_assert_msg(!trace_writer_create(&w, path, flags, &err), "%s", err.text);
	return w;
}

static const char kernel[] = "this is a kernel, all of it, and a kernel it is, a kernel";

/* A trace with a chunk of every kind. */
static void write_small(struct trace_writer *w)
{
	struct event_encoder enc;
	struct trace_buf buf = {0};
	struct console_record con = {.position = 110, .len = 6, .bytes = (const u8 *)"hello\n"};
	struct digest_record dig = {
	    .position = 200, .state = 1, .memory = 2, .image = (const u8 *)"12345678", .image_len = 8};
	struct end_record end = {.reason = 1, .mark.insns = 250};

	ck_assert_int_eq(trace_text_add(&buf, "machine", "test"), 0);
	ck_assert_int_eq(trace_write(w, TRACE_MACHINE, 0, buf.data, buf.len), 0);
	ck_assert_int_eq(trace_write_blob(w, "kernel", kernel, sizeof(kernel), NULL), 0);
	ck_assert_int_eq(event_encoder_init(&enc), 0);
	event_encoder_begin(&enc, 100);
	for (unsigned i = 0; i < 50; i++)
		event_put_read(&enc, 0, 0, 0x3f8 + i % 7, 1, i % 5);
	event_encoder_end(&enc);
	ck_assert_int_eq(trace_write(w, TRACE_EVENTS, 100, enc.buf, enc.len), 0);
	event_encoder_free(&enc);
	buf.len = 0;
	console_encode(&buf, &con, 100);
	ck_assert_int_eq(trace_write(w, TRACE_CONSOLE, 100, buf.data, buf.len), 0);
	buf.len = 0;
	digest_encode(&buf, &dig, NULL);
	ck_assert_int_eq(trace_write(w, TRACE_DIGESTS, 200, buf.data, buf.len), 0);
	buf.len = 0;
	end_encode(&buf, &end);
	ck_assert_int_eq(trace_write(w, TRACE_END, 250, buf.data, buf.len), 0);
	trace_buf_free(&buf);
}

#define SMALL_CHUNKS 6

static struct trace_buf small_file(void)
{
	struct trace_writer *w = create(0);

	write_small(w);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	return slurp(path);
}

START_TEST(chunks_come_back)
{
	static const u32 type[SMALL_CHUNKS] = {TRACE_MACHINE, TRACE_BLOB,    TRACE_EVENTS,
					       TRACE_CONSOLE, TRACE_DIGESTS, TRACE_END};
	struct trace_buf file = small_file(), buf = {0};
	struct trace_reader *r;

	for (unsigned flags = 0; flags < 2; flags++) {
		ck_assert_msg(!trace_open(&r, path, flags ? TRACE_QUICK : 0, &err), "%s", err.text);
		ck_assert_int_eq(r->state, TRACE_WHOLE);
		ck_assert_uint_eq(r->count, SMALL_CHUNKS);
		for (unsigned i = 0; i < SMALL_CHUNKS; i++)
			ck_assert_uint_eq(r->chunk[i].type, type[i]);
		ck_assert_uint_eq(r->chunk[2].position, 100);
		ck_assert_int_eq(trace_read(r, 0, &buf, &err), 0);
		ck_assert_uint_eq(buf.len, strlen("machine test\n"));
		ck_assert_int_eq(memcmp(buf.data, "machine test\n", buf.len), 0);
		ck_assert_int_eq(trace_read(r, SMALL_CHUNKS, &buf, &err), -EINVAL);
		ck_assert_msg(!trace_verify(r, &err), "%s", err.text);
		trace_close(r);
	}
	trace_buf_free(&buf);
	trace_buf_free(&file);
}
END_TEST

START_TEST(equal_input_gives_equal_files)
{
	struct trace_buf a = small_file(), b;

	unlink(path);
	b = small_file();
	ck_assert_uint_eq(a.len, b.len);
	ck_assert_int_eq(memcmp(a.data, b.data, a.len), 0);
	trace_buf_free(&a);
	trace_buf_free(&b);
}
END_TEST

START_TEST(every_cut_is_seen)
{
	struct trace_buf file = small_file();
	struct trace_reader *r;

	for (size_t len = 0; len < file.len; len++) {
		int ret;

		spit(path, file.data, len);
		ret = trace_open(&r, path, len & 1 ? TRACE_QUICK : 0, &err);
		if (len < TRACE_HEADER_SIZE) {
			ck_assert_int_ne(ret, 0);
			ck_assert_uint_ne(strlen(err.text), 0);
			continue;
		}
		ck_assert_int_eq(ret, 0);
		ck_assert_msg(r->state == TRACE_CUT, "cut at %zu: %d %s", len, r->state, r->damage.text);
		ck_assert_uint_ne(strlen(r->damage.text), 0);
		if (r->count)
			ck_assert_uint_le(
			    r->chunk[r->count - 1].offset + TRACE_CHUNK_SIZE + r->chunk[r->count - 1].stored, len);
		ck_assert_int_eq(trace_verify(r, &err), -EBADMSG);
		trace_close(r);
	}
	trace_buf_free(&file);
}
END_TEST

START_TEST(every_flipped_bit_is_seen)
{
	struct trace_buf file = small_file();
	struct trace_reader *r;

	for (size_t i = 0; i < file.len * 8; i++) {
		int ret;

		file.data[i / 8] ^= (u8)(1u << i % 8);
		spit(path, file.data, file.len);
		file.data[i / 8] ^= (u8)(1u << i % 8);
		ret = trace_open(&r, path, 0, &err);
		if (i / 8 < TRACE_HEADER_SIZE) {
			ck_assert_int_eq(ret, -EBADMSG);
			continue;
		}
		ck_assert_int_eq(ret, 0);
		ck_assert_msg(r->state == TRACE_DAMAGED, "bit %zu of byte %zu: state %d", i % 8, i / 8, r->state);
		ck_assert_uint_le(r->damage_offset, i / 8);
		ck_assert_ptr_nonnull(strstr(r->damage.text, "offset"));
		trace_close(r);
		/* Opened by its index, a damaged chunk shows when read, and verify sees all of it. */
		ck_assert_int_eq(trace_open(&r, path, TRACE_QUICK, &err), 0);
		ck_assert_int_eq(trace_verify(r, &err), -EBADMSG);
		trace_close(r);
	}
	trace_buf_free(&file);
}
END_TEST

START_TEST(what_lies_before_damage_is_usable)
{
	struct trace_buf file = small_file(), buf = {0};
	struct trace_reader *r;
	u64 offset;

	ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
	offset = r->chunk[3].offset;
	trace_close(r);
	file.data[offset + TRACE_CHUNK_SIZE + 2] ^= 4;
	spit(path, file.data, file.len);
	ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
	ck_assert_int_eq(r->state, TRACE_DAMAGED);
	ck_assert_uint_eq(r->count, 3);
	ck_assert_uint_eq(r->damage_offset, offset);
	ck_assert_ptr_nonnull(strstr(r->damage.text, "console"));
	ck_assert_int_eq(trace_read(r, 2, &buf, &err), 0);
	trace_close(r);
	ck_assert_int_eq(trace_open(&r, path, TRACE_QUICK, &err), 0);
	ck_assert_uint_eq(r->count, SMALL_CHUNKS);
	ck_assert_int_eq(trace_read(r, 2, &buf, &err), 0);
	ck_assert_int_eq(trace_read(r, 3, &buf, &err), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(err.text, "console"));
	trace_close(r);
	trace_buf_free(&buf);
	trace_buf_free(&file);
}
END_TEST

START_TEST(no_trace_is_refused)
{
	struct trace_reader *r;
	struct trace_buf file;

	ck_assert_int_eq(trace_open(&r, path, 0, &err), -ENOENT);
	spit(path, "", 0);
	ck_assert_int_eq(trace_open(&r, path, 0, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "empty"));
	spit(path, "#!/bin/sh\necho no trace at all, but long enough\n", 48);
	ck_assert_int_eq(trace_open(&r, path, 0, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "not a vmdbg trace"));
	ck_assert_int_eq(trace_open(&r, dir, 0, &err), -EINVAL);
	ck_assert_int_eq(trace_open(&r, "/dev/zero", 0, &err), -EINVAL);
	unlink(path);
	file = small_file();
	store16(file.data + 8, 9);
	store64(file.data + 24, XXH3_64bits(file.data, 24));
	spit(path, file.data, file.len);
	ck_assert_int_eq(trace_open(&r, path, 0, &err), 0); /* newer, but says that we may read it */
	ck_assert_uint_eq(r->version, 9);
	trace_close(r);
	store16(file.data + 10, 7);
	store64(file.data + 24, XXH3_64bits(file.data, 24));
	spit(path, file.data, file.len);
	ck_assert_int_eq(trace_open(&r, path, 0, &err), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.text, "format 7"));
	trace_buf_free(&file);
}
END_TEST

/* A file of one chunk with fields as given and correct checksums. */
static void write_chunk(const struct trace_chunk *c, const void *payload, size_t len)
{
	struct trace_buf file = {0};
	u8 head[TRACE_CHUNK_SIZE], start[TRACE_HEADER_SIZE];
	struct trace_chunk chunk = *c;
	u8 *copy = calloc(1, (size_t)c->stored + len + 1);

	memcpy(copy, payload, len);
	chunk.offset = TRACE_HEADER_SIZE;
	file_header_encode(start, 1, 1);
	if (c->stored > 0x1000000)
		chunk.stored = 0; /* the checksum of so much isn't worth making: encode, then put the length in */
	chunk_header_encode(head, &chunk, copy);
	store32(head + 24, c->stored);
	store64(head + 40, XXH3_64bits_withSeed(head, 40, chunk.offset));
	trace_buf_add(&file, start, sizeof(start));
	trace_buf_add(&file, head, sizeof(head));
	trace_buf_add(&file, payload, len);
	spit(path, file.data, file.len);
	trace_buf_free(&file);
	free(copy);
}

START_TEST(hostile_lengths_are_refused)
{
	static const struct trace_chunk bad[] = {
	    {.type = TRACE_EVENTS, .stored = 4, .raw = 0xffffffff, .flags = TRACE_ZSTD},
	    {.type = TRACE_EVENTS, .stored = 0xffffffff, .raw = 0xffffffff},
	    {.type = TRACE_EVENTS, .stored = 0xffffffff, .raw = 4},
	    {.type = TRACE_EVENTS, .stored = 5, .raw = 4},
	    {.type = TRACE_EVENTS, .stored = 4, .raw = 4, .flags = TRACE_ZSTD},
	    {.type = TRACE_EVENTS, .stored = 4, .raw = TRACE_RAW_MAX + 1, .flags = TRACE_ZSTD},
	};
	struct trace_reader *r;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		write_chunk(&bad[i], "abcdefgh", 8);
		ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
		ck_assert_msg(r->state == TRACE_DAMAGED && r->count == 0, "case %zu", i);
		trace_close(r);
	}
}
END_TEST

START_TEST(frame_must_be_one_and_of_its_size)
{
	u8 plain[400] = {1}, frame[1000];
	struct trace_buf buf = {0};
	struct trace_reader *r;
	size_t n = ZSTD_compress(frame, sizeof(frame), plain, 200, 3);
	size_t two = n + ZSTD_compress(frame + n, sizeof(frame) - n, plain, 200, 3);
	const struct {
		u32 stored, raw;
		int ret;
	} c[] = {{(u32)n, 200, 0},          {(u32)n, 201, -EBADMSG},   {(u32)n, 199, -EBADMSG},
		 {(u32)two, 400, -EBADMSG}, {(u32)two, 200, -EBADMSG}, {(u32)n - 1, 200, -EBADMSG}};

	ck_assert(!ZSTD_isError(n));
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		struct trace_chunk chunk = {
		    .type = TRACE_NOTE, .flags = TRACE_ZSTD, .stored = c[i].stored, .raw = c[i].raw};

		write_chunk(&chunk, frame, c[i].stored);
		ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
		ck_assert_uint_eq(r->count, 1);
		ck_assert_msg(trace_read(r, 0, &buf, &err) == c[i].ret, "case %zu", i);
		trace_close(r);
	}
	trace_buf_free(&buf);
}
END_TEST

START_TEST(unknown_chunks_are_skipped_unless_they_must_be_known)
{
	struct trace_chunk chunk = {.type = TRACE_TYPE('X', 'Y', 'Z', 'W'), .stored = 3, .raw = 3};
	struct trace_reader *r;

	write_chunk(&chunk, "abc", 3);
	ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
	ck_assert(r->count == 1 && r->state == TRACE_CUT);
	ck_assert_str_eq(trace_type_name(r->chunk[0].type), "unknown");
	trace_close(r);
	chunk.flags = TRACE_MUST;
	write_chunk(&chunk, "abc", 3);
	ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
	ck_assert(r->count == 0 && r->state == TRACE_DAMAGED);
	ck_assert_ptr_nonnull(strstr(r->damage.text, "XYZW"));
	trace_close(r);
}
END_TEST

START_TEST(blobs_come_back_and_are_stored_once)
{
	size_t len = 2 * TRACE_BLOB_PART + 12345;
	u8 *data = malloc(len);
	struct trace_writer *w = create(0);
	struct trace_digest d, again, small, empty, named = {{1, 2, 3}}, none = {.byte[15] = 9};
	struct trace_reader *r;
	struct trace_blob blob;
	u32 seed = 1;
	u64 size;
	char hex[33];

	for (size_t i = 0; i < len; i++)
		data[i] = (u8)((seed = seed * 1103515245 + 12345) >> 24);
	ck_assert_int_eq(trace_write_blob(w, "big", data, len, &d), 0);
	size = trace_writer_size(w);
	/* Nothing to gain: stored as it is, in three parts. */
	ck_assert_uint_lt(size, len + 1000);
	ck_assert_int_eq(trace_write_blob(w, "again", data, len, &again), 0);
	ck_assert_int_eq(memcmp(&d, &again, sizeof(d)), 0);
	ck_assert_uint_eq(trace_writer_size(w), size);
	ck_assert_int_eq(trace_write_blob(w, "small", kernel, sizeof(kernel), &small), 0);
	ck_assert_int_eq(trace_write_blob(w, "empty", "", 0, &empty), 0);
	ck_assert_int_eq(trace_write_blob_name(w, "named", 1ull << 60, &named), 0);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);

	trace_digest_format(&d, hex);
	ck_assert_int_eq(trace_digest_parse(&again, hex), 0);
	ck_assert_int_eq(memcmp(&d, &again, sizeof(d)), 0);
	ck_assert_int_eq(trace_digest_parse(&again, "12"), -EINVAL);
	ck_assert_int_eq(trace_open(&r, path, TRACE_QUICK, &err), 0);
	ck_assert_int_eq(trace_read_blob(r, &d, &blob, &err), 0);
	ck_assert(blob.len == len && !memcmp(blob.data, data, len) && !strcmp(blob.name, "big"));
	free(blob.data);
	ck_assert_int_eq(trace_read_blob(r, &small, &blob, &err), 0);
	ck_assert(blob.len == sizeof(kernel) && !memcmp(blob.data, kernel, blob.len));
	free(blob.data);
	ck_assert_int_eq(trace_read_blob(r, &empty, &blob, &err), 0);
	ck_assert(blob.len == 0 && blob.data && !blob.name_only);
	free(blob.data);
	ck_assert_int_eq(trace_read_blob(r, &named, &blob, &err), 0);
	ck_assert(blob.name_only && !blob.data && blob.len == 1ull << 60 && !strcmp(blob.name, "named"));
	ck_assert_int_eq(trace_read_blob(r, &none, &blob, &err), -ENOENT);
	ck_assert_msg(!trace_verify(r, &err), "%s", err.text);
	trace_close(r);
	free(data);
}
END_TEST

START_TEST(blob_with_a_lying_length_is_refused)
{
	u8 raw[64] = {0};
	struct trace_digest d = {{0}};
	struct trace_chunk chunk = {.type = TRACE_BLOB};
	struct trace_reader *r;
	struct trace_blob blob;

	memset(raw + 16, 0xff, 8); /* total: 2^63-ish */
	raw[24] = 0x7f;
	raw[25] = 0; /* offset, flags, name */
	chunk.stored = chunk.raw = sizeof(raw);
	write_chunk(&chunk, raw, sizeof(raw));
	ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
	ck_assert_int_eq(trace_read_blob(r, &d, &blob, &err), -EBADMSG);
	ck_assert_int_eq(trace_verify(r, &err), -EBADMSG);
	trace_close(r);
}
END_TEST

START_TEST(file_is_replaced_only_by_force_and_only_at_the_end)
{
	struct trace_writer *w;
	struct trace_buf now;
	char partial[128];

	snprintf(partial, sizeof(partial), "%s.partial", path);
	spit(path, "precious", 8);
	ck_assert_int_eq(trace_writer_create(&w, path, 0, &err), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.text, "--force"));
	w = create(TRACE_FORCE);
	write_small(w);
	now = slurp(path);
	ck_assert(now.len == 8 && !memcmp(now.data, "precious", 8));
	trace_buf_free(&now);
	ck_assert_str_eq(trace_writer_path(w), partial);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	now = slurp(path);
	ck_assert_uint_gt(now.len, 100);
	trace_buf_free(&now);
	ck_assert_int_ne(access(partial, F_OK), 0);
	ck_assert_int_eq(trace_writer_create(&w, dir, TRACE_FORCE, &err), -EINVAL);
	ck_assert_int_eq(trace_writer_create(&w, "/nonexistent/dir/a.vmt", 0, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/dir does not exist"));
}
END_TEST

START_TEST(abandoned_file_stays_only_if_it_holds_a_run)
{
	struct trace_writer *w = create(0);
	struct trace_reader *r;

	ck_assert_int_eq(trace_write(w, TRACE_MACHINE, 0, "a b\n", 4), 0);
	ck_assert_int_eq(trace_write_blob(w, "kernel", kernel, sizeof(kernel), NULL), 0);
	ck_assert_int_eq(trace_writer_abandon(w), 0);
	ck_assert_int_ne(access(path, F_OK), 0);
	w = create(0);
	write_small(w);
	ck_assert_int_eq(trace_writer_abandon(w), 1);
	ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
	ck_assert(r->state == TRACE_CUT && r->count == SMALL_CHUNKS);
	trace_close(r);
}
END_TEST

START_TEST(full_disk_leaves_whole_chunks)
{
	struct rlimit limit = {5000, 5000};
	struct trace_writer *w;
	struct trace_reader *r;
	u8 noise[900];
	unsigned written = 0;
	u32 seed = 7;

	signal(SIGXFSZ, SIG_IGN);
	w = create(0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (;;) {
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (u8)((seed = seed * 1103515245 + 12345) >> 24);
		if (trace_write(w, TRACE_CHECKPOINT, written, noise, sizeof(noise)))
			break;
		written++;
	}
	ck_assert_uint_eq(written, 5);
	ck_assert_ptr_nonnull(strstr(trace_writer_error(w)->text, path));
	ck_assert_int_eq(trace_write(w, TRACE_NOTE, 0, "x", 1), -EFBIG);
	ck_assert_int_eq(trace_writer_abandon(w), 1);
	ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
	ck_assert(r->state == TRACE_CUT && r->count == written);
	ck_assert_uint_eq(r->size, TRACE_HEADER_SIZE + written * (TRACE_CHUNK_SIZE + sizeof(noise)));
	trace_close(r);
}
END_TEST

START_TEST(text_lines_come_back)
{
	struct trace_buf t = {0};
	char *s;
	u64 n;

	ck_assert_int_eq(trace_text_add(&t, "append", "a\nb \\ c"), 0);
	ck_assert_int_eq(trace_text_addf(&t, "ram", "%u", 268435456), 0);
	ck_assert_int_eq(trace_text_add(&t, "empty", ""), 0);
	ck_assert_int_eq(trace_text_add(&t, "append", "second"), 0);
	s = trace_text_get(t.data, t.len, "append", 0);
	ck_assert_str_eq(s, "a\nb \\ c");
	free(s);
	s = trace_text_get(t.data, t.len, "append", 1);
	ck_assert_str_eq(s, "second");
	free(s);
	s = trace_text_get(t.data, t.len, "empty", 0);
	ck_assert_str_eq(s, "");
	free(s);
	ck_assert_ptr_null(trace_text_get(t.data, t.len, "appen", 0));
	ck_assert_ptr_null(trace_text_get(t.data, t.len, "append", 2));
	ck_assert_int_eq(trace_text_number(t.data, t.len, "ram", &n), 0);
	ck_assert_uint_eq(n, 268435456);
	ck_assert_int_eq(trace_text_number(t.data, t.len, "append", &n), -EINVAL);
	ck_assert_int_eq(trace_text_number(t.data, t.len, "rom", &n), -ENOENT);
	trace_buf_free(&t);
}
END_TEST

/* The example in traces/FORMAT.md, up to the index chunk's checksums (the frame after them is zstd's business). */
static const u8 example[] = {
    0x8f, 0x56, 0x4d, 0x54, 0x0d, 0x0a, 0x1a, 0x0a, 0x01, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x8d, 0x05, 0x8d, 0x54, 0x95, 0xb4, 0x62, 0x3f, 0x4d, 0x41, 0x43, 0x48, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0c,
    0x00, 0x00, 0x00, 0x0c, 0x00, 0x00, 0x00, 0xf5, 0x6f, 0x56, 0x2b, 0x9b, 0x9e, 0x3f, 0x83, 0x96, 0x58, 0x56, 0x2f,
    0x38, 0x30, 0xba, 0x74, 0x72, 0x61, 0x6d, 0x20, 0x31, 0x30, 0x34, 0x38, 0x35, 0x37, 0x36, 0x0a, 0x45, 0x56, 0x4e,
    0x54, 0x00, 0x00, 0x00, 0x00, 0xe8, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x27, 0x00, 0x00, 0x00, 0x27, 0x00, 0x00, 0x00, 0xf8, 0x24, 0xa5, 0x8b, 0x51, 0x44, 0x59, 0x90, 0x31,
    0xcc, 0x7c, 0x61, 0xa9, 0x9a, 0xff, 0xb0, 0x01, 0x00, 0x00, 0xfd, 0x07, 0x60, 0x46, 0x02, 0x02, 0xc6, 0x02, 0x04,
    0x04, 0x30, 0x00, 0x0a, 0x28, 0xff, 0xff, 0xff, 0xef, 0x0f, 0x04, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
    0x42, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x45, 0x4e, 0x44, 0x20, 0x00, 0x00, 0x00, 0x00, 0x4c, 0x04, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x26, 0x00, 0x00, 0x00, 0x26, 0x00,
    0x00, 0x00, 0x27, 0x53, 0x85, 0x02, 0x04, 0xab, 0x18, 0x9c, 0xa7, 0xe9, 0x0e, 0x8f, 0x1b, 0xbf, 0x72, 0x08, 0x01,
    0x00, 0x00, 0x00, 0xcc, 0x08, 0x32, 0x90, 0x80, 0x80, 0x88, 0xf8, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00, 0x11, 0x22,
    0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0xcc, 0x08, 0x42, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x06, 0x00, 0x49,
    0x4e, 0x44, 0x58, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x2d, 0x00, 0x00, 0x00, 0x32, 0x00, 0x00, 0x00,
};

START_TEST(worked_example_is_what_is_written)
{
	struct event_mark mark = {1010, 40, 0xffffffff81000000ull, 2, 0x1122334455667788ull};
	struct end_record end = {.reason = 1,
				 .mark = {1100, 50, 0xffffffff81000010ull, 0, 0x8877665544332211ull},
				 .ns = 1100,
				 .writes = 0x42,
				 .events = 6};
	struct trace_writer *w = create(0);
	struct trace_buf buf = {0}, file;
	struct event_encoder enc;

	ck_assert_int_eq(trace_write(w, TRACE_MACHINE, 0, "ram 1048576\n", 12), 0);
	ck_assert_int_eq(event_encoder_init(&enc), 0);
	event_encoder_begin(&enc, 1000);
	for (unsigned i = 0; i < 4; i++)
		event_put_read(&enc, 0, 0, 0x3fd, 1, 0x60);
	event_put_read(&enc, 0, 0, 0x3fd, 1, 0x61);
	event_put_interrupt(&enc, 0, &mark, 0, 0x30, 0x42);
	event_encoder_end(&enc);
	ck_assert_int_eq(trace_write(w, TRACE_EVENTS, 1000, enc.buf, enc.len), 0);
	event_encoder_free(&enc);
	ck_assert_int_eq(end_encode(&buf, &end), 0);
	ck_assert_int_eq(trace_write(w, TRACE_END, 1100, buf.data, buf.len), 0);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	file = slurp(path);
	ck_assert_uint_gt(file.len, sizeof(example));
	for (size_t i = 0; i < sizeof(example); i++)
		ck_assert_msg(file.data[i] == example[i], "byte %zx", i);
	trace_buf_free(&file);
	trace_buf_free(&buf);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace");
	TCase *tc = tcase_create("file");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, chunks_come_back);
	tcase_add_test(tc, equal_input_gives_equal_files);
	tcase_add_test(tc, every_cut_is_seen);
	tcase_add_test(tc, every_flipped_bit_is_seen);
	tcase_add_test(tc, what_lies_before_damage_is_usable);
	tcase_add_test(tc, no_trace_is_refused);
	tcase_add_test(tc, hostile_lengths_are_refused);
	tcase_add_test(tc, frame_must_be_one_and_of_its_size);
	tcase_add_test(tc, unknown_chunks_are_skipped_unless_they_must_be_known);
	tcase_add_test(tc, blobs_come_back_and_are_stored_once);
	tcase_add_test(tc, blob_with_a_lying_length_is_refused);
	tcase_add_test(tc, file_is_replaced_only_by_force_and_only_at_the_end);
	tcase_add_test(tc, abandoned_file_stays_only_if_it_holds_a_run);
	tcase_add_test(tc, full_disk_leaves_whole_chunks);
	tcase_add_test(tc, text_lines_come_back);
	tcase_add_test(tc, worked_example_is_what_is_written);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
