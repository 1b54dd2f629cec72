/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The monitor's commands: arguments, time travel, searches for writes, stops. */
#include "gdbstub/packet.h"
#include "tests/unit/monitor_rig.h"

static void go_to(u64 position)
{
	fake_go(&fake, position);
}

/* --- arguments --- */

START_TEST(arguments)
{
	static const char *const bad[] = {
	    "when now",
	    "seek",
	    "checkpoint now",
	    "checkpoints all",
	    "checkpoint delete",
	    "checkpoint delete 1",
	    "checkpoint delete x",
	    "restart",
	    "restart 1",
	    "restart 1 2",
	    "events",
	    "lastwrite",
	    "lastwrite 0x",
	    "lastwrite 12z",
	    "lastwrite nowhere",
	    "lastwrite rsp+",
	    "lastwrite rsp-$",
	    "lastwrite rsp*2",
	    "lastwrite 0x2000,",
	    "lastwrite 0x2000,0",
	    "lastwrite 0x2000,65537",
	    "lastwrite 0x2000,8,9",
	    "lastwrite 0x2000 8",
	    "lastwrite -1",
	    "lastwrite 0xffffffffffffffff,2",
	    "lastwrite 99999999999999999999",
	    "lastwrite 0x20000",
	    "lastwrite 0xfffc",
	    "watch-phys",
	    "watch-phys 0x1000,0",
	    "watch-phys 0x1000 q",
	    "watch-phys 0x1000 w if",
	    "watch-phys 0x1000 w unless",
	    "watch-phys 0x1000 if value",
	    "watch-phys -1",
	    "watch-phys 0x1000 if value = 1",
	    "watch-phys 0x1000 if value == x",
	    "watch-phys 0x1000,9 if value == 1",
	    "watch-phys 0x1000 if value == 1 and value != 2",
	    "watch-phys 0x1000 if value == 1 or changed",
	    "watch-phys 0x1000,4097 if changed",
	    "watch-phys 0x1000 if rip",
	    "watch-phys 0x1000 if rip in",
	    "watch-phys 0x1000 if rip in 1",
	    "watch-phys 0x1000 if rip in 2-2",
	    "watch-phys 0x1000 if rip in 1-",
	    "watch-phys linear 0x20000",
	    "watch-phys linear 0x1000,65537",
	    "watch-phys delete",
	    "watch-phys delete 1",
	    "watch-phys list 1",
	    "break-event",
	    "break-event nothing",
	    "break-event interrupt 256",
	    "break-event interrupt 1 2",
	    "break-event exception 32",
	    "break-event io 65536",
	    "break-event msr 0x100000000",
	    "break-event cr3 1",
	    "break-event panic 0",
	    "break-event any",
	    "break-event delete",
	    "break-event delete 1",
	    "break-event list 1",
	    "info registers all",
	    "info cr 3",
	    "info msr 0x10",
	    "info segments cs",
	    "info debug 0",
	    "info fpu 1",
	    "info tss 1",
	    "info idt 14 15",
	    "info idt x",
	    "info idt 256",
	    "info gdt 9999",
	    "info gdt rax",
	    "walk",
	    "walk 0x1000 2",
	    "info mem 2 1",
	    "info mem 1 2 3",
	    "info mem x",
	    "xp",
	    "xp 0 0",
	    "xp 0 4097",
	    "xp 0 1 z",
	    "xp 0 b 1",
	    "disas 0x1000 0",
	    "disas 0x1000 1001",
	    "disas 0x1000 1 64 1",
	    "disas 0x1000 1 17",
	    "disas 0x1000 1 8",
	    "info devices all",
	    "info device",
	};

	fake.start.gdtr = fake.start.idtr = (struct x86_table){0x9000, 0xff};
	fake_reset(&fake);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_refuses(bad[i]);
	ck_assert_ptr_null(fake.target.breaks);
}
END_TEST

START_TEST(addresses)
{
	ck_has("xp 4096 1 b", "0000000000001000: 48");
	ck_has("xp 010000 1 b", "0000000000001000: 48");
	ck_has("xp rip 1 b", "0000000000001000: 48");
	ck_has("xp $rip 1 b", "0000000000001000: 48");
	ck_has("xp rdi-0x1000+3 1 b", "0000000000001003: 48");
	ck_has("xp rdi-rdi+cr3-0x4000 1 b", "0000000000001000: 48");
	ck_has("xp position+0x1000 1 b", "0000000000001000: 48");
	ck_has("xp -1 1 b", "neither");
	ck_has("xp 0-1 1 b", "ffffffffffffffff: no RAM");
}
END_TEST

/* Help has a line of help and no name is the beginning of another's arguments by accident. */
START_TEST(table)
{
	for (const struct stub_command *c = monitor_commands; c->name; c++) {
		const char *args;

		ck_assert_ptr_nonnull(c->help);
		ck_assert_ptr_nonnull(c->run);
		ck_assert_ptr_eq(find(c->name, &args), c);
		ck_assert_uint_lt(strlen(c->name) + (c->args ? strlen(c->args) : 0), 50);
	}
}
END_TEST

/* --- time --- */

START_TEST(positions)
{
	ck_says("when", "0\n");
	ck_says("seek 100", "100\n");
	ck_assert_uint_eq(fake.position, 100);
	ck_says("seek end", "4000\n");
	ck_says("seek 5000", "5000: no such position\n");
	ck_assert_uint_eq(fake.position, 4000);
	ck_says("checkpoints", "No checkpoints; `monitor checkpoint` makes one here.\n");
	ck_says("checkpoint", "Checkpoint 1 at 4000; `monitor restart 1` comes back.\n");
	ck_says("seek 7", "7\n");
	ck_has("checkpoint", "Checkpoint 2 at 7;");
	ck_says("checkpoints", "1 at 4000\n2 at 7\n");
	ck_says("restart 1", "4000\n");
	ck_assert_uint_eq(fake.position, 4000);
	ck_says("restart 2", "7\n");
	ck_says("checkpoint delete 1", "");
	ck_has("restart 1", "no checkpoint 1");
	ck_says("checkpoints", "2 at 7\n");
	ck_has("checkpoint", "Checkpoint 3 at 7;");
	for (unsigned i = 0; i < 998; i++)
		ck_has("checkpoint", "at 7;");
	ck_refuses("checkpoint");
	fake.live = true;
	ck_says("seek 1", "a live machine has no history\n");
}
END_TEST

/* Two stubs in one process. */
START_TEST(apart)
{
	struct monitor *first = monitor, *second = monitor_new(&fake.target);

	say("checkpoint");
	say("watch-phys 0x3000");
	monitor = second;
	ck_has("checkpoints", "No checkpoints");
	ck_has("watch-phys list", "No watch-phys");
	ck_has("checkpoint", "Checkpoint 1 ");
	monitor_free(second);
	monitor = first;
	ck_has("checkpoints", "1 at 0");
	ck_has("watch-phys list", "watch-phys 1: 0x3000,8 w");
}
END_TEST

static int seek_interrupted(struct target *t, const char *where, struct error *err)
{
	fake_go(fake_of(t), 20);
	return -EINTR;
}

static void show_events(struct target *t, unsigned before, unsigned after, FILE *out)
{
	fprintf(out, "%u and %u\n", before, after);
}

START_TEST(seek_ends_early)
{
	fake.ops.seek = seek_interrupted;
	ck_says("seek end", "Interrupted; now at 20\n");
}
END_TEST

START_TEST(events)
{
	ck_has("events", "no recorded events");
	fake.ops.events = show_events;
	ck_says("events", "5 and 5\n");
	ck_says("events 0", "0 and 5\n");
	ck_says("events 7 1000", "7 and 1000\n");
	ck_refuses("events 1001");
	ck_refuses("events 1 x");
	ck_refuses("events 1 2 3");
}
END_TEST

/* --- lastwrite --- */

START_TEST(lastwrite)
{
	struct target_break other = {.kind = TARGET_BREAK_EXEC, .addr = FAKE_START, .len = 1};

	go_to(100);
	fake.ops.add_break(&fake.target, &other);
	ck_has("lastwrite 0x2000", "Last write to 0x2000, 8 bytes, by CPU 0 at 97\n");
	ck_still("=> 0000000000001003: 48 89 07  mov %rax, (%rdi)\n");
	ck_still("before  0x0000000000000018 (24)\n");
	ck_still("after   0x0000000000000019 (25)\n");
	ck_still("rax 0000000000000019  rcx ");
	ck_still("rip 0000000000001003  rflags 00000002 IOPL 0\n");
	ck_still("64-bit, ring 0\n");
	ck_still("#0  0000000000001003\n");
	ck_still("`monitor seek 100` goes back.\n");
	ck_assert_uint_eq(fake.position, 97);
	ck_assert_ptr_eq(fake.target.breaks, &other);
	/* Again: the one before it, found through a register and only some of the bytes. */
	ck_has("lastwrite $rdi+7,1", "at 93\n");
	ck_still("before  0x00 (0)\n");
	ck_has("lastwrite 0x1ffa,32", "at 89\n");
	ck_still("before  0000000000001ffa: 00 00 00 00 00 00 16 00 00 00 00 00 00 00 00 00\n"
		 "        000000000000200a: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
		 "after   0000000000001ffa: 00 00 00 00 00 00 17 ");
	/* Of many bytes those that were written. */
	ck_has("lastwrite 0x1e08,4096", "at 85\n");
	ck_still("before  0000000000001ff8: 00 00 00 00 00 00 00 00 15 00");
	ck_still("        0000000000002028: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 ...\nafter ");
	fake.ops.remove_break(&fake.target, &other);
}
END_TEST

START_TEST(lastwrite_never)
{
	go_to(100);
	ck_says("lastwrite 0x3000,2",
		"Nothing has written to these bytes since the beginning. Back at 100\nvalue   0x0000 (0)\n");
	ck_assert_uint_eq(fake.position, 100);
	go_to(1);
	ck_has("lastwrite 0x2000", "Back at 1\n");
	fake.ops.reversible = false;
	ck_has("lastwrite 0x2000", "no history");
}
END_TEST

/* 12000 -> 2000, 13000 -> 6000 */
static int translate_pieces(struct target *t, unsigned vcpu, u64 la, u64 *gpa)
{
	*gpa = la >> 12 == 0x12 ? 0x2000 | (la & 0xfff) : la >> 12 == 0x13 ? 0x6000 | (la & 0xfff) : la;
	return la >> 12 == 0x12 || la >> 12 == 0x13 ? 0 : -EFAULT;
}

/* Bytes in two places: the later write of both counts. */
START_TEST(lastwrite_pieces)
{
	fake.ops.translate = translate_pieces;
	fake.start.gpr[RDI] = 0x2ffc; /* writes into both, but the fake's memory is one */
	fake_reset(&fake);
	go_to(100);
	ck_has("lastwrite 0x12ffc,8", "at 97\n");
	ck_still("before  0x0000000000000018 (24)\n");
	fake.start.gpr[RDI] = 0x6000;
	fake_reset(&fake);
	go_to(100);
	ck_has("lastwrite 0x12ffc,8", "at 97\n");
	ck_still("before  0x0000001800000000");
	ck_assert_uint_eq(fake.position, 97);
	ck_has("lastwrite 0x12000,4096", "Nothing");
	ck_has("lastwrite 0x13ffc,8", "0x14000 is not mapped here");
}
END_TEST

/* Places within a position: P is 8 N + K. */
static void when_fine(struct target *t, char *out, size_t len)
{
	u64 p = fake_position(t);

	snprintf(out, len, "%llu+%llu and so on", (unsigned long long)p / 8, (unsigned long long)p % 8);
}

static int seek_fine(struct target *t, const char *where, struct error *err)
{
	unsigned n, k;

	ck_assert_int_eq(sscanf(where, "%u+%u", &n, &k), 2);
	fake_go(fake_of(t), 8 * n + k);
	return 0;
}

START_TEST(lastwrite_places)
{
	fake.ops.translate = translate_pieces;
	fake.ops.when = when_fine;
	fake.ops.seek = seek_fine;
	fake.start.gpr[RDI] = 0x6000;
	fake_reset(&fake);
	go_to(100);
	/* One piece was written last at 98, as 12+2, the other at 97. */
	fake.stop = (struct target_stop){.reason = TARGET_STOP_WATCH};
	fake.forced = 1;
	fake.forced_at = 98;
	ck_has("lastwrite 0x12ffc,8", "by CPU 0 at 12+2 and so on\n");
	ck_still("`monitor seek 12+4` goes back.\n");
	ck_assert_uint_eq(fake.position, 98);
	go_to(100);
	fake.forced = 1;
	fake.forced_at = 95; /* 11+7 */
	ck_has("lastwrite 0x12ffc,8", "by CPU 0 at 12+1 and so on\n");
	ck_assert_uint_eq(fake.position, 97);
	ck_has("checkpoint", "Checkpoint 1 at 12+1;");
}
END_TEST

static void resume_into_handler(struct target *t, const struct target_resume *how, struct target_stop *stop)
{
	if (how->direction == TARGET_BACKWARD) {
		fake_resume(t, how, stop);
		return;
	}
	fake_of(t)->state.rip = FAKE_START + 6;
	*stop = (struct target_stop){.reason = TARGET_STOP_WATCH};
}

/* The position doesn't move over a write by something else than the instruction. */
START_TEST(lastwrite_by_others)
{
	go_to(100);
	fake.stop = (struct target_stop){.reason = TARGET_STOP_WATCH};
	fake.forced = 2;
	fake.forced_at = 97;
	ck_has("lastwrite 0x2000", "mov %rax, (%rdi)\nIt was written by a device in front of this instruction.\n");
	ck_assert_uint_eq(fake.position, 97);
	ck_has("lastwrite 0x2000", "at 93\n");
	ck_hasnt("It was written by");
	fake.ops.resume = resume_into_handler;
	ck_has("lastwrite 0x2000", "at 89\n");
	ck_still("It was written by the delivery of an interrupt or exception in front of this instruction.\n");
}
END_TEST

START_TEST(lastwrite_interrupted)
{
	go_to(100);
	fake.stop = (struct target_stop){.reason = TARGET_STOP_INTERRUPT};
	fake.forced = 2;
	fake.forced_at = 40;
	ck_says("lastwrite 0x2000", "Interrupted.\n");
	ck_assert_uint_eq(fake.position, 100);
	/* Only one: it was meant for an earlier run. */
	fake.forced = 1;
	ck_has("lastwrite 0x2000", "at 97\n");
	go_to(100);
	fake.stop.reason = TARGET_STOP_DIVERGED;
	fake.forced = 1;
	fake.forced_at = 40;
	strcpy(fake.err.text, "the replay took another way at 12");
	ck_says("lastwrite 0x2000", "the replay took another way at 12\n");
	ck_assert_uint_eq(fake.position, 100);
	fake.forced = 2;
	fake.forced_at = 40;
	fake.stop.reason = TARGET_STOP_INTERRUPT;
	fake.ops.seek = seek_interrupted;
	ck_says("lastwrite 0x2000", "Could not go back to 100: interrupted.\n");
}
END_TEST

/* call 1100 at 2f00, its caller's call at 2e00; two frames on the stack, then a lone return address. */
static void put_frames(struct fake_target *f)
{
	static const u8 call[] = {0xe8, 0, 0, 0, 0};

	memcpy(f->ram + 0x2f00, call, 5);
	memcpy(f->ram + 0x2e00, call, 5);
	memcpy(f->ram + 0x2d00, "\xff\xd0", 2); /* call *%rax */
	store64(f->ram + 0x8010, 0x8030);
	store64(f->ram + 0x8018, 0x2f05);
	store64(f->ram + 0x8030, 0x123456789);
	store64(f->ram + 0x8038, 0x2e05);
	store64(f->ram + 0x8040, 0x2d00); /* no CALL before it */
	store64(f->ram + 0x8048, 0x2d02);
}

START_TEST(backtrace)
{
	fake.prepare = put_frames;
	fake.start.gpr[RBP] = 0x8010;
	fake_reset(&fake);
	go_to(3);
	ck_has("lastwrite 0x2000", "#0  0000000000001003\n"
				   "#1  0000000000002f05 frame pointer\n"
				   "#2  0000000000002e05 frame pointer\n"
				   "#3  0000000000002d02 behind a CALL, on the stack at 0x8048\nStanding");
	fake.start.gpr[RBP] = 5; /* used for something else */
	fake_reset(&fake);
	go_to(3);
	ck_has("lastwrite 0x2000", "#1  0000000000002f05 behind a CALL, on the stack at 0x8018\n"
				   "#2  0000000000002e05 behind a CALL, on the stack at 0x8038\n"
				   "#3  0000000000002d02 behind a CALL, on the stack at 0x8048\nStanding");
	fake.start.gpr[RBP] = 0x8030;
	fake.start.gpr[RSP] = 0xfff8;
	fake_reset(&fake);
	go_to(3);
	ck_has("lastwrite 0x2000", "#0  0000000000001003\nStanding");
}
END_TEST

static void put_loop(struct fake_target *f)
{
	put_frames(f);
	store64(f->ram + 0x8010, 0x8010); /* a frame that is its own caller */
	for (unsigned at = 0x8020; at < 0xfff0; at += 8)
		store64(f->ram + at, 0x2f05);
}

START_TEST(backtrace_hostile)
{
	unsigned lines = 0;

	fake.prepare = put_loop;
	fake.start.gpr[RBP] = 0x8010;
	fake_reset(&fake);
	go_to(3);
	say("lastwrite 0x2000");
	for (const char *p = output; (p = strchr(p, '#')); p++)
		lines++;
	ck_assert_uint_eq(lines, 24);
	/* A 16-bit stack wraps. */
	fake.start.seg[SEG_CS].ar = fake.start.seg[SEG_SS].ar = 0x93;
	fake.start.gpr[RSP] = 0xfffe;
	fake_reset(&fake);
	go_to(3);
	ck_has("lastwrite 0x2000", "#0  0000000000001003\n");
	ck_still("16-bit");
}
END_TEST

/* --- stops --- */

static char answer[4096], console[4096];

static void client_send(void *opaque, const void *data, size_t len)
{
	const char *p = data, *end = p + len;

	if (len < 2 || *p != '$')
		return;
	if (p[1] == 'O' && p[2] != 'K') {
		size_t at = strlen(console);

		for (p += 2; *p != '#' && at < sizeof(console) - 1;)
			ck_assert(packet_get_bytes(&p, end, console + at++, 1));
		console[at] = 0;
	} else {
		snprintf(answer, sizeof(answer), "%.*s", (int)(len - 4), p + 1);
	}
}

static void ask(struct stub *s, const char *packet)
{
	char frame[512];
	u8 sum = 0;

	for (const char *p = packet; *p; p++)
		sum += *p;
	console[0] = answer[0] = 0;
	snprintf(frame, sizeof(frame), "$%s#%02x", packet, sum);
	stub_feed(s, frame, strlen(frame));
}

static struct stub *begin_stub(void)
{
	static const struct stub_io io = {.send = client_send};
	const struct stub_options options = {
	    .commands = monitor_commands,
	    .explain = monitor_explain,
	    .client_gone = monitor_client_gone,
	    .opaque = monitor,
	};
	struct stub *s = stub_new(&fake.target, &options);

	ck_assert_ptr_nonnull(s);
	stub_attach(s, &io);
	return s;
}

#define ck_stops(packet, at, text)                                                   \
	do {                                                                         \
		ask(s, packet);                                                      \
		ck_assert_msg(!strncmp(answer, "T05", 3), "%s: %s", packet, answer); \
		ck_assert_str_eq(console, text);                                     \
		ck_assert_uint_eq(fake.position, at);                                \
	} while (0)

START_TEST(watch)
{
	struct stub *s = begin_stub();

	ck_says("watch-phys 0x2000,2", "watch-phys 1: 0x2000,2 w\n");
	ck_says("watch-phys 0x3000 r", "watch-phys 2: 0x3000,8 r\n");
	ck_says("watch-phys list", "watch-phys 1: 0x2000,2 w\nwatch-phys 2: 0x3000,8 r\n");
	ck_stops("c", 2, "watch-phys 1: write at 0x2000; bytes at 0x2000: 01 00\n");
	ck_assert_ptr_null(strstr(answer, "watch"));
	ck_stops("c", 6, "watch-phys 1: write at 0x2000; bytes at 0x2000: 02 00\n");
	ck_stops("bc", 5, "watch-phys 1: write at 0x2000; bytes at 0x2000: 01 00\n");
	ck_says("watch-phys delete 1", "");
	ask(s, "c");
	ck_assert_ptr_nonnull(strstr(answer, "replaylog:end"));
	ck_says("watch-phys linear 0x2001,20 a", "watch-phys 3: 0x2001,20 a\n");
	ck_stops(
	    "bc", 3997,
	    "watch-phys 3: write at 0x2001; bytes at 0x2001: 03 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 ...\n");
	/* The client goes, and they with it; checkpoints stay. */
	say("checkpoint");
	stub_detach(s);
	ck_assert_ptr_null(fake.target.breaks);
	ck_has("watch-phys list", "No watch-phys.");
	ck_has("checkpoints", "1 at");
	stub_free(s);
}
END_TEST

/* GDB is told when the place is another one, though the position may be the same. */
START_TEST(moves)
{
	struct stub *s = begin_stub();

	fake.ops.when = when_fine;
	fake.ops.seek = seek_fine;
	ask(s, "qRcmd,7365656b20302b33"); /* seek 0+3 */
	ck_assert_ptr_nonnull(strstr(console, "0+3 and so on\nThe position has changed;"));
	ask(s, "qRcmd,7365656b20302b33");
	ck_assert_str_eq(console, "0+3 and so on\n");
	stub_free(s);
}
END_TEST

START_TEST(watch_filters)
{
	struct stub *s = begin_stub();

	/* Forwards and backwards it is the same access. */
	ck_says("watch-phys 0x2000 if value == 5", "watch-phys 1: 0x2000,8 w if value == 0x5\n");
	ck_stops("c", 18, "watch-phys 1: write at 0x2000; bytes at 0x2000: 05 00 00 00 00 00 00 00\n");
	go_to(100);
	ck_stops("bc", 17, "watch-phys 1: write at 0x2000; bytes at 0x2000: 04 00 00 00 00 00 00 00\n");
	say("watch-phys delete 1");
	say("seek start");
	ck_says("watch-phys 0x2000,1 w if VALUE!=1 and rip in 0x1003 - 0x1006",
		"watch-phys 2: 0x2000,1 w if value != 0x1 and rip in 0x1003-0x1006\n");
	ck_stops("c", 6, "watch-phys 2: write at 0x2000; bytes at 0x2000: 02\n");
	say("watch-phys delete 2");
	say("watch-phys 0x2000 if rip in 0x1000-0x1003");
	say("watch-phys 0x2000 if rip in 0x1006-0x2000");
	ask(s, "c");
	ck_assert_ptr_nonnull(strstr(answer, "replaylog:end"));
	stub_free(s);
}
END_TEST

START_TEST(watch_changes)
{
	struct stub *s = begin_stub();

	/* The second byte of the counter, first written with another value than 0 when it counts 256. */
	say("seek 50");
	ck_says("watch-phys 0x2001,1 w if changed", "watch-phys 1: 0x2001,1 w if changed\n");
	ck_stops("c", 255 * 4 + 2, "watch-phys 1: write at 0x2001; bytes at 0x2001: 01\n");
	ck_stops("c", 511 * 4 + 2, "watch-phys 1: write at 0x2001; bytes at 0x2001: 02\n");
	/* Behind a jump the first one counts. */
	say("seek 300");
	ck_stops("c", 302, "watch-phys 1: write at 0x2001; bytes at 0x2001: 00\n");
	ck_stops("c", 255 * 4 + 2, "watch-phys 1: write at 0x2001; bytes at 0x2001: 01\n");
	stub_free(s);
}
END_TEST

START_TEST(event_breaks)
{
	struct stub *s = begin_stub();

	ck_says("break-event interrupt 32", "break-event 1: interrupt 0x20\n");
	ck_says("break-event exception", "break-event 2: exception\n");
	ck_says("break-event cr3", "break-event 3: cr3\n");
	ck_says("break-event io 0x80", "break-event 4: io 0x80\n");
	ck_says("break-event msr any", "break-event 5: msr\n");
	ck_says("break-event panic any", "break-event 6: panic\n");
	ck_has("break-event list", "break-event 1: interrupt 0x20\nbreak-event 2: exception\n");
	ck_has("watch-phys list", "No watch-phys.");
	ck_stops("c", 3, "break-event 4: io 0x80\n");
	ck_stops("c", 7, "break-event 4: io 0x80\n");
	say("break-event delete 4");
	say("break-event io");
	ck_stops("c", 11, "break-event 7: io\n");
	for (unsigned i = 0; i < 994; i++)
		ck_has("break-event panic", "panic");
	ck_refuses("break-event panic");
	ck_refuses("watch-phys 0x1000");
	stub_free(s);
	ck_assert_ptr_null(fake.target.breaks);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    arguments,
	    addresses,
	    table,
	    positions,
	    apart,
	    seek_ends_early,
	    events,
	    lastwrite,
	    lastwrite_never,
	    lastwrite_pieces,
	    lastwrite_places,
	    lastwrite_by_others,
	    lastwrite_interrupted,
	    backtrace,
	    backtrace_hostile,
	    watch,
	    watch_filters,
	    moves,
	    watch_changes,
	    event_breaks,
	};

	return run_tests("monitor", tests, ARRAY_SIZE(tests));
}
