/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small guest recorded to a temporary trace, and a timeline on that trace or on the recording itself. Needs check.h. */
#ifndef TESTS_UNIT_TIMELINE_RIG_H
#define TESTS_UNIT_TIMELINE_RIG_H

#include <unistd.h>
#include <xxhash.h>

#include "replay/timeline.h"
#include "zoo.h"

struct world {
	struct session session;
	struct machine *m;
	struct trace_writer *writer;
	struct recorder *recorder;
	struct trace_reader *reader;
	struct replayer *replayer;
	struct timeline *tl;
	struct target *t;
	struct trace_buf printed;
};

static char dir[64], path[96], kernel_path[96], disk_path[96];
static struct error err;

/* The guest that is recorded. */
static struct {
	const u8 *code, *end;
	void (*init)(struct machine *m);
	enum clock_mode clock;
	bool free; /* runs freely */
	bool disk;
	struct recorder_config config;
} guest;

static inline void write_file(const char *name, u8 fill, size_t len)
{
	FILE *f = fopen(name, "w");

	ck_assert_ptr_nonnull(f);
	for (size_t i = 0; i < len; i++)
		fputc(fill ^ (u8)(i >> 9), f);
	fclose(f);
}

static inline void rig_setup(void)
{
	strcpy(dir, "/tmp/test_timeline.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.vmt", dir);
	snprintf(kernel_path, sizeof(kernel_path), "%s/kernel.bin", dir);
	snprintf(disk_path, sizeof(disk_path), "%s/disk.img", dir);
	write_file(kernel_path, 'k', 20);
	write_file(disk_path, 'd', 64 << 10);
	memset(&guest, 0, sizeof(guest));
	guest.clock = CLOCK_VIRTUAL;
	guest.code = zoo;
	guest.end = zoo_end;
	guest.init = zoo_init;
	guest.config = (struct recorder_config){.input_fd = -1, .chunk_every = 3000, .digest_every = 20000};
}

static inline void rig_teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static inline void on_print(void *ctx, enum console_port port, const u8 *buf, size_t len)
{
	struct world *w = ctx;

	trace_buf_add(&w->printed, buf, len);
	if (w->recorder)
		recorder_console(w->recorder, port, buf, len);
}

static inline void make_machine(struct world *w)
{
	w->session.config.engine = &soft_engine;
	w->m = rig64_of(&w->session.config, guest.code, guest.end);
	if (guest.init)
		guest.init(w->m);
	/* Set up behind the machine's back. */
	memset(w->m->mem.slot[0].flags, PAGE_WRITTEN, RAM >> PAGE_SHIFT);
	w->m->listener = (struct machine_listener){.console = on_print, .ctx = w};
}

/* The machine and its recorder, about to start. */
static inline void begin_recording(struct world *w, const char *name)
{
	memset(w, 0, sizeof(*w));
	session_init(&w->session);
	w->session.config.ram = RAM;
	w->session.config.clock = guest.clock;
	w->session.config.free = guest.free;
	w->session.config.engine = &soft_engine;
	w->session.boot.kind = BOOT_FLAT;
	ck_assert_int_eq(session_set_kernel(&w->session, kernel_path, &err), 0);
	if (guest.disk)
		ck_assert_msg(!session_set_disk(&w->session, disk_path, &err), "%s", err.text);
	make_machine(w);
	ck_assert_msg(!trace_writer_create(&w->writer, name, TRACE_FORCE, &err), "%s", err.text);
	ck_assert_int_eq(session_save(&w->session, w->writer, 0, &err), 0);
	if (guest.disk) {
		guest.config.disk = w->session.disk;
		ck_assert_int_eq(disk_record(w->session.disk, w->writer, &w->m->vcpu[0]->insns), 0);
	}
	ck_assert_int_eq(recorder_create(&w->recorder, w->writer, w->m, &guest.config, &err), 0);
}

static inline void end_recording(struct world *w, enum machine_end end)
{
	machine_set_end(w->m, end, 0);
	ck_assert_msg(!recorder_finish(w->recorder, &err), "%s", err.text);
	recorder_free(w->recorder);
	w->recorder = NULL;
	ck_assert_msg(!trace_writer_close(w->writer, &err), "%s", err.text);
	w->writer = NULL;
}

static inline void world_free(struct world *w)
{
	timeline_free(w->tl);
	if (w->replayer)
		replayer_free(w->replayer);
	if (w->recorder)
		recorder_free(w->recorder);
	if (w->writer)
		trace_writer_abandon(w->writer);
	machine_free(w->m);
	session_free(&w->session);
	if (w->reader)
		trace_close(w->reader);
	trace_buf_free(&w->printed);
	memset(w, 0, sizeof(*w));
}

/* Records a whole run, or as far as @until. Its last position. */
static inline u64 record_run(u64 until)
{
	struct world w;
	u64 last;

	begin_recording(&w, path);
	ck_assert_int_eq(machine_run(w.m, until), 0);
	end_recording(&w, END_UNTIL);
	last = machine_position(w.m);
	world_free(&w);
	return last;
}

static inline void open_replay(struct world *w)
{
	memset(w, 0, sizeof(*w));
	ck_assert_msg(!trace_open(&w->reader, path, 0, &err), "%s", err.text);
	ck_assert_msg(!session_load(&w->session, w->reader, NULL, NULL, NULL, &err), "%s", err.text);
	make_machine(w);
	ck_assert_msg(!replayer_create(&w->replayer, w->reader, w->m, &w->session, &err), "%s", err.text);
}

static inline void add_timeline(struct world *w, u64 memory)
{
	struct timeline_config config = {
	    .m = w->m, .replayer = w->replayer, .reader = w->reader, .recorder = w->recorder, .memory = memory};

	ck_assert_msg(!timeline_create(&w->tl, &config, &err), "%s", err.text);
	w->t = timeline_target(w->tl);
}

static inline void open_timeline(struct world *w, u64 memory)
{
	open_replay(w);
	add_timeline(w, memory);
}

/* A timeline on a machine that is being recorded. */
static inline void open_live(struct world *w, u64 memory)
{
	begin_recording(w, path);
	ck_assert_int_eq(recorder_flush(w->recorder, &err), 0);
	ck_assert_msg(!trace_open(&w->reader, trace_writer_path(w->writer), 0, &err), "%s", err.text);
	w->session.msr_logged = guest.clock == CLOCK_HOST;
	ck_assert_msg(!replayer_create(&w->replayer, w->reader, w->m, &w->session, &err), "%s", err.text);
	recorder_resume(w->recorder);
	add_timeline(w, memory);
}

/* The end of a live one: as the commands do it. */
static inline void close_live(struct world *w)
{
	ck_assert_msg(!timeline_go_live(w->tl, &err), "%s", err.text);
	timeline_free(w->tl);
	w->tl = NULL;
	recorder_resume(w->recorder);
	end_recording(w, END_USER);
	world_free(w);
}

/* The whole trace once more, without a timeline. */
static inline enum replay_result plain_replay(void)
{
	enum replay_result result;
	struct world w;

	open_replay(&w);
	machine_run(w.m, CLOCK_NEVER);
	result = replayer_finish(w.replayer);
	if (result == REPLAY_DIVERGED)
		fprintf(stderr, "%s\n", replayer_divergence(w.replayer)->what);
	world_free(&w);
	return result;
}

/* --- looking --- */

struct seen {
	char when[40]; /* as seek() takes it */
	u64 regs, memory;
};

/* All that the small guests write to is below. */
#define SEEN_BEGIN 0x1000u
#define SEEN_END   0x28000u

static inline struct seen look_at(const struct world *w)
{
	u8 image[4096];
	struct seen s;
	char when[160];

	w->t->ops->when(w->t, when, sizeof(when));
	*strchr(when, ' ') = 0;
	memset(&s, 0, sizeof(s));
	snprintf(s.when, sizeof(s.when), "%.39s", when);
	ck_assert_uint_le(state_size(x86_state_fields), sizeof(image));
	state_save(x86_state_fields, target_regs(w->t, 0), image);
	s.regs = XXH3_64bits(image, state_size(x86_state_fields));
	s.memory = XXH3_64bits(ram(w->m, SEEN_BEGIN), SEEN_END - SEEN_BEGIN);
	return s;
}

static inline void ck_assert_seen(const struct world *w, const struct seen *want, const char *what)
{
	struct seen got = look_at(w);

	ck_assert_msg(!strcmp(got.when, want->when), "%s: at %s, not %s", what, got.when, want->when);
	ck_assert_msg(got.regs == want->regs, "%s: registers at %s", what, got.when);
	ck_assert_msg(got.memory == want->memory, "%s: memory at %s", what, got.when);
}

/* --- moving --- */

static inline struct target_stop resume_with(const struct world *w, struct target_resume how)
{
	struct target_stop stop;

	/* All of it is to be said. */
	memset(&stop, 0x5a, sizeof(stop));
	w->t->ops->resume(w->t, &how, &stop);
	return stop;
}

static inline struct target_stop step(const struct world *w, enum target_direction direction, bool into)
{
	return resume_with(
	    w, (struct target_resume){.direction = direction, .kind = TARGET_STEP, .into_interrupts = into});
}

static inline struct target_stop run_on(const struct world *w, enum target_direction direction,
					const struct target_break *only)
{
	return resume_with(w, (struct target_resume){.direction = direction, .kind = TARGET_CONTINUE, .only = only});
}

static inline int seek_to(const struct world *w, const char *where)
{
	return w->t->ops->seek(w->t, where, &err);
}

static inline void must_seek(const struct world *w, const char *where)
{
	int ret = seek_to(w, where);

	ck_assert_msg(!ret, "seek %s: %d: %s", where, ret, err.text);
}

#endif
