/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stub, as a client sees it, over the fake target; and the server on real sockets. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "gdbstub/packet.h"
#include "gdbstub/server.h"
#include "gdbstub/stub.h"
#include "gdbstub/tdesc.h"
#include "tests/unit/fake_target.h"

#define BIG 0x10000 /* bytes of one condition, the most there may be */

static struct fake_target fake;
static struct stub *stub;
static char sent[1 << 21], answer[1 << 20], console[1 << 16], text[1 << 20];
static size_t sent_len, answer_len;
static unsigned busy_depth;
static enum stub_state state;

static void client_send(void *opaque, const void *data, size_t len)
{
	ck_assert_uint_lt(sent_len + len, sizeof(sent));
	memcpy(sent + sent_len, data, len);
	sent_len += len;
}

static void client_busy(void *opaque, bool on)
{
	ck_assert_uint_eq(busy_depth, !on);
	busy_depth = on;
}

static const struct stub_io io = {.send = client_send, .busy = client_busy};

static int run_echo(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	fprintf(out, "%s of CPU %u: %s\n", (const char *)opaque, vcpu, args);
	return 0;
}

static int run_seek(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct error err;

	if (t->ops->seek(t, args, &err) < 0)
		fprintf(out, "%s\n", err.text);
	return 0;
}

static int run_info(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	fprintf(out, "info of %s\n", args);
	return 0;
}

static const struct stub_command commands[] = {
    {"echo", "TEXT", "says it", run_echo},
    {"seek", "POSITION", "goes there", run_seek},
    {"info", NULL, "about things", run_info},
    {0},
};

static const struct stub_options options = {.commands = commands, .opaque = (void *)"echo", .version = "1.2"};

static void setup(void)
{
	fake_init(&fake);
	stub = stub_new(&fake.target, &options);
	ck_assert_ptr_nonnull(stub);
	stub_attach(stub, &io);
	sent_len = 0;
}

static void teardown(void)
{
	stub_free(stub);
	ck_assert_ptr_null(fake.target.breaks);
}

/* Expands runs, takes escapes away. */
static size_t decode(const char *p, const char *end, char *out)
{
	size_t n = 0;

	for (; p < end; p++) {
		if (*p == '*') {
			for (int i = *++p - 29; i > 0; i--, n++)
				out[n] = out[n - 1];
		} else {
			out[n++] = *p == '}' ? *++p ^ 0x20 : *p;
		}
	}
	out[n] = 0;
	return n;
}

static void add_console(const char *hex)
{
	size_t at = strlen(console);
	const char *end = hex + strlen(hex);

	ck_assert_uint_lt(at + strlen(hex) / 2, sizeof(console) - 1);
	while (hex < end)
		ck_assert(packet_get_bytes(&hex, end, console + at++, 1));
	console[at] = 0;
}

/* The last packet of what was sent; those before it are console output. */
static const char *collect(void)
{
	const char *p = sent, *end = sent + sent_len;

	console[0] = 0;
	answer[0] = 0;
	answer_len = 0;
	while (p < end) {
		const char *close;

		if (*p++ != '$')
			continue;
		close = memchr(p, '#', end - p);
		ck_assert_ptr_nonnull(close);
		if (answer[0] == 'O' && answer[1] != 'K')
			add_console(answer + 1);
		answer_len = decode(p, close, answer);
		p = close + 3;
	}
	sent_len = 0;
	return answer;
}

static const char *ask_bytes(const void *data, size_t len)
{
	static char frame[PACKET_FRAME];
	size_t n = 0;
	u8 sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += ((const u8 *)data)[i];
	frame[n++] = '$';
	memcpy(frame + n, data, len);
	n += len;
	n += sprintf(frame + n, "#%02x", sum);
	state = stub_feed(stub, frame, n);
	ck_assert_uint_eq(busy_depth, 0);
	return collect();
}

static const char *ask(const char *packet)
{
	return ask_bytes(packet, strlen(packet));
}

#define ck_answer(packet, expected) ck_assert_str_eq(ask(packet), expected)
#define ck_begins(packet, expected)                                                                        \
	do {                                                                                               \
		ask(packet);                                                                               \
		ck_assert_msg(!strncmp(answer, expected, strlen(expected)), "%s: got %s", packet, answer); \
	} while (0)
#define ck_contains(packet, expected)                                                  \
	do {                                                                           \
		ask(packet);                                                           \
		ck_assert_msg(strstr(answer, expected), "%s: got %s", packet, answer); \
	} while (0)

static void negotiate(void)
{
	ask("qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+;xmlRegisters=i386");
	ck_answer("QStartNoAckMode", "OK");
}

START_TEST(acknowledgements)
{
	state = stub_feed(stub, "$qC#b4", 6);
	ck_assert_mem_eq(sent, "+$QC1#c5", 8);
	stub_feed(stub, "-", 1);
	ck_assert_mem_eq(sent + 8, "$QC1#c5", 7);
	ck_assert_uint_eq(sent_len, 15);
	sent_len = 0;
	stub_feed(stub, "$qC#b5", 6);
	ck_assert_uint_eq(sent_len, 1);
	ck_assert_int_eq(sent[0], '-');
	ck_answer("QStartNoAckMode", "OK");
	stub_feed(stub, "+$qC#b4", 7);
	ck_assert_mem_eq(sent, "$QC1#c5", 7);
	ck_assert_uint_eq(sent_len, 7);
	sent_len = 0;
	stub_feed(stub, "\x03", 1);
	ck_assert_uint_eq(sent_len, 0);
}
END_TEST

START_TEST(supported)
{
	ask("qSupported:multiprocess+;swbreak+;hwbreak+");
	ck_assert_ptr_nonnull(strstr(answer, "PacketSize=3ffff;"));
	ck_assert_ptr_nonnull(strstr(answer, "QStartNoAckMode+"));
	ck_assert_ptr_nonnull(strstr(answer, "qXfer:features:read+"));
	ck_assert_ptr_nonnull(strstr(answer, "qXfer:threads:read+"));
	ck_assert_ptr_nonnull(strstr(answer, "ConditionalBreakpoints+"));
	ck_assert_ptr_nonnull(strstr(answer, "BreakpointCommands+"));
	ck_assert_ptr_nonnull(strstr(answer, "ReverseStep+;ReverseContinue+"));
	ck_assert_ptr_nonnull(strstr(answer, "multiprocess+"));
	ck_assert_ptr_nonnull(strstr(answer, "swbreak+;hwbreak+"));
	ck_assert_ptr_nonnull(strstr(answer, "binary-upload+"));
	ck_assert_ptr_null(strstr(answer, "memory-map"));
	ck_assert_ptr_null(strstr(answer, "NonStop"));
	ck_assert_ptr_null(strstr(answer, "error-message"));
	fake.ops.reversible = false;
	ask("qSupported");
	ck_assert_ptr_null(strstr(answer, "Reverse"));
	ck_answer("bs", "");
	ck_answer("bc", "");
}
END_TEST

START_TEST(unknown_packets)
{
	static const char *const packets[] = {
	    "",
	    "vMustReplyEmpty",
	    "QPassSignals:e;10",
	    "QNonStop:1",
	    "qTStatus",
	    "qTfV",
	    "qOffsets",
	    "qSymbol::",
	    "vFile:setfs:0",
	    "QThreadEvents:1",
	    "qL1160000000000000000",
	    "qP0000001f0000000000000001",
	    "A0",
	    "B1,S",
	    "b9600",
	    "i",
	    "y",
	    "vCtrlC",
	    "vStopped",
	    "qXfer:memory-map:read::0,1000",
	    "qXfer:auxv:read::0,1000",
	    "Z5,1000,1",
	    "z9,1000,1",
	    "jThreadsInfo",
	    "qHostInfo",
	    "_M1000,rwx",
	};

	for (size_t i = 0; i < ARRAY_SIZE(packets); i++)
		ck_answer(packets[i], "");
}
END_TEST

START_TEST(errors)
{
	static const char *const packets[] = {
	    "m",
	    "m1000",
	    "m1000,",
	    "m,4",
	    "m1000,0",
	    "m1000,4x",
	    "mfffffffffffffffff,1",
	    "M1000,4:00",
	    "M1000,4",
	    "X1000,4:abc",
	    "p",
	    "pfff",
	    "P0",
	    "P0=12",
	    "Pfff=00",
	    "G00",
	    "Hq1",
	    "Hg9",
	    "Hgp2.1",
	    "T9",
	    "Tp2.1",
	    "T",
	    "vCont;",
	    "vCont;x",
	    "vCont;s:p1.9",
	    "vCont;s:p1.1x",
	    "vCont;r1000",

	    "Z0",
	    "Z0,1000",
	    "Z0,1000,1;Y",
	    "Z0,1000,1;X5,27",
	    "Z0,1000,1;X1,ff",
	    "Z0,1000,1;X0,",
	    "Z2,1000,0",
	    "Z2,ffffffffffffffff,2",
	    "Z0,1000,1;cmds:0",
	    "z0,1000",
	    "qSearch:memory:0;10;",
	    "qSearch:memory:ffffffff00000000;ffffffffffff;a",
	    "qSearch:memory:0;",
	    "qCRC:0",
	    "qCRC:ffffffffffffffff,2",
	    "qRcmd,6",
	    "qRcmd,zz",
	    "vKill;2",
	    "vAttach;2",
	    "qXfer:features:read:target.xml:fffff,10",
	    "qXfer:features:read:nothing.xml:0,10",
	    "qXfer:features:read:target.xml:0",
	    "qThreadExtraInfo,9",
	    "cx",
	    "C",
	    "Szz",
	    "x1000",
	};

	for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
		ask(packets[i]);
		ck_assert_msg(answer[0] == 'E' && strlen(answer) == 3, "%s: got %s", packets[i], answer);
	}
	ck_assert_ptr_null(fake.target.breaks);
	ck_assert_uint_eq(fake.position, 0);
	ck_answer("m20000,4", "E14");
	ck_answer("M1000,1:00", "E30");
	ask("qSupported:error-message+");
	ck_assert_ptr_nonnull(strstr(answer, "error-message+"));
	ck_begins("m20000,4", "E.no RAM");
	ck_begins("M1000,1:00", "E.history");
}
END_TEST

START_TEST(threads)
{
	fake.vcpus = 3;
	ck_answer("qC", "QC1");
	ck_answer("qfThreadInfo", "m1,2,3");
	negotiate();
	ck_answer("qC", "QCp1.1");
	ck_answer("qfThreadInfo", "mp1.1,p1.2,p1.3");
	ck_answer("qsThreadInfo", "l");
	ck_answer("qAttached", "1");
	ck_answer("qAttached:1", "1");
	ck_answer("Tp1.3", "OK");
	ck_answer("Tp1.4", "E02");
	ck_answer("Hgp1.2", "OK");
	ck_answer("qC", "QCp1.2");
	ck_answer("Hgp0.0", "OK");
	ck_answer("Hg0", "OK");
	ck_answer("Hcp1.-1", "OK");
	ck_answer("Hc-1", "OK");
	ck_answer("qC", "QCp1.2");
	ask("qThreadExtraInfo,p1.1");
	console[0] = 0;
	add_console(answer);
	ck_assert_str_eq(console, "running, ring 0, 64-bit");
	ask("qXfer:threads:read::0,1000");
	ck_assert_int_eq(answer[0], 'l');
	ck_assert_ptr_nonnull(strstr(answer, "<thread id=\"p1.3\" core=\"2\" name=\"CPU 2\">"));
	ask("qXfer:threads:read::0,10");
	ck_assert_int_eq(answer[0], 'm');
	ck_assert_uint_eq(answer_len, 0x11);
	ck_contains("?", "thread:p1.2;");
	ck_begins("vCont;s:p1.3;c", "T05");
	ck_assert_uint_eq(fake.how.vcpu, 2);
	ck_assert_int_eq(fake.how.kind, TARGET_STEP);
}
END_TEST

static void read_document(const char *annex)
{
	size_t at = 0;
	char packet[100];

	do {
		sprintf(packet, "qXfer:features:read:%s:%zx,3f1", annex, at);
		ask(packet);
		ck_assert(answer[0] == 'm' || answer[0] == 'l');
		memcpy(text + at, answer + 1, answer_len - 1);
		at += answer_len - 1;
	} while (answer[0] == 'm');
	text[at] = 0;
}

START_TEST(description)
{
	unsigned regs = 0;

	read_document("target.xml");
	ck_assert_ptr_nonnull(strstr(text, "<architecture>i386:x86-64</architecture>"));
	ck_assert_ptr_nonnull(strstr(text, "org.gnu.gdb.i386.core"));
	ck_assert_ptr_nonnull(strstr(text, "org.gnu.gdb.i386.sse"));
	ck_assert_ptr_nonnull(strstr(text, "org.gnu.gdb.i386.segments"));
	ck_assert_ptr_nonnull(strstr(text, "org.vmdbg.system"));
	ck_assert_ptr_nonnull(strstr(text, "<reg name=\"rip\" bitsize=\"64\" type=\"code_ptr\" regnum=\"16\"/>"));
	ck_assert_ptr_nonnull(strstr(text, "</target>"));
	for (const char *p = text; (p = strstr(p, "<reg ")); p++)
		regs++;
	ck_assert_uint_eq(regs, tdesc_count());
	ck_assert_str_eq(tdesc_name(TDESC_RIP), "rip");
	ck_assert_str_eq(tdesc_name(TDESC_RSP), "rsp");
	ck_assert_str_eq(tdesc_name(TDESC_RBP), "rbp");
	ck_assert_str_eq(tdesc_name(tdesc_g_count() - 1), "gs_base");
	ck_assert_str_eq(tdesc_name(tdesc_g_count()), "cr0");
	for (unsigned n = 0; n < tdesc_count(); n++) {
		for (unsigned m = 0; m < n; m++)
			ck_assert_str_ne(tdesc_name(n), tdesc_name(m));
	}
	ck_assert_uint_eq(tdesc_size(tdesc_count()), 0);
}
END_TEST

static unsigned number_of(const char *name)
{
	unsigned n = 0;

	while (n < tdesc_count() && strcmp(tdesc_name(n), name))
		n++;
	return n;
}

static const char *ask_reg(const char *name)
{
	char packet[32];

	sprintf(packet, "p%x", number_of(name));
	return ask(packet);
}

START_TEST(registers)
{
	size_t digits = 0;

	for (unsigned n = 0; n < tdesc_g_count(); n++)
		digits += 2 * tdesc_size(n);
	fake.state.gpr[RAX] = 0x1122334455667788;
	fake.state.fpu.st[7] = (struct x87_reg){0x8000000000000000, 0x3fff};
	fake.state.fpu.fsw = 7 << 11;
	fake.state.fpu.ftw = 0x80;
	ask("g");
	ck_assert_uint_eq(answer_len, digits);
	ck_assert_uint_eq(digits, 2 * (17 * 8 + 7 * 4 + 8 * 10 + 8 * 4 + 16 * 16 + 4 + 2 * 8));
	ck_assert_mem_eq(answer, "8877665544332211", 16);
	ck_assert_str_eq(ask_reg("rip"), "0010000000000000");
	ck_assert_str_eq(ask_reg("eflags"), "02000000");
	ck_assert_str_eq(ask_reg("cs"), "10000000");
	ck_assert_str_eq(ask_reg("gs_base"), "000000008088ffff");
	ck_assert_str_eq(ask_reg("st0"), "0000000000000080ff3f");
	ck_assert_str_eq(ask_reg("ftag"), "ff3f0000");
	ck_assert_str_eq(ask_reg("fctrl"), "7f030000");
	ck_assert_str_eq(ask_reg("cr3"), "0050000000000000");
	ck_assert_str_eq(ask_reg("cr8"), "0300000000000000");
	ck_assert_str_eq(ask_reg("tsc"), "xxxxxxxxxxxxxxxx");
	ck_assert_str_eq(ask_reg("cs_rights"), "9ba00000");
	ck_assert_str_eq(ask_reg("mxcsr"), "801f0000");
	ck_assert_str_eq(ask_reg("cpl"), "0000000000000000");
	ck_answer("P0=0000000000000000", "E30");
}
END_TEST

START_TEST(registers_16_bit)
{
	fake.live = true;
	fake.state.efer = fake.state.cr0 = 0;
	fake.state.seg[SEG_CS].base = 0xffff0000;
	fake.state.seg[SEG_CS].ar = 0x9b;
	fake.state.rip = 0xfff0;
	ck_assert_str_eq(ask_reg("rip"), "f0ffffff00000000");
	ck_assert_str_eq(ask_reg("ip"), "f0ff000000000000");
	ck_answer("P10=00f0ffff00000000", "OK");
	ck_assert_uint_eq(fake.state.rip, 0xf000);
	ck_contains("?", "10:00f0ffff00000000;");
}
END_TEST

START_TEST(register_writes)
{
	char whole[4096];

	fake.live = true;
	ck_answer("P0=8877665544332211", "OK");
	ck_assert_uint_eq(fake.state.gpr[RAX], 0x1122334455667788);
	ck_answer("P11=46020000", "OK");
	ck_assert_uint_eq(fake.state.rflags, 0x246);
	ck_answer("Pb0=", "E02");
	strcpy(whole, "G");
	strcat(whole, ask("g"));
	memcpy(whole + 1, "0100000000000000xxxxxxxxxxxxxxxx", 32);
	fake.state.gpr[RBX] = 5;
	ck_answer(whole, "OK");
	ck_assert_uint_eq(fake.state.gpr[RAX], 1);
	ck_assert_uint_eq(fake.state.gpr[RBX], 5);
	ck_assert_uint_eq(fake.state.fpu.fcw, 0x37f);
	/* GDB puts all back after a call of a guest function: what passes by is ignored, what can't be set may stay. */
	sprintf(whole, "P%x=0000000000000000", number_of("position"));
	ck_answer(whole, "OK");
	sprintf(whole, "P%x=0300000000000000", number_of("cr8"));
	ck_answer(whole, "OK");
	sprintf(whole, "P%x=0400000000000000", number_of("cr8"));
	ck_answer(whole, "E01");
	sprintf(whole, "P%x=0010000000000000", number_of("cr3"));
	ck_answer(whole, "OK");
	ck_assert_uint_eq(fake.state.cr3, 0x1000);
	sprintf(whole, "P%x=ff3f0000", number_of("ftag"));
	ck_answer(whole, "OK");
	ck_assert_uint_eq(fake.state.fpu.ftw, 0x80);
}
END_TEST

START_TEST(memory)
{
	fake.live = true;
	ck_answer("m1000,9", "48ffc048890790ebf7");
	ck_answer("mfffe,10", "0000");
	ck_answer("M2000,3:23247d", "OK");
	ck_answer("m2000,4", "23247d00");
	ck_assert_uint_eq((ask("x2000,4"), answer_len), 5);
	ck_assert_mem_eq(answer, "b#$}\0", 5);
	ck_answer("x0,0", "b");
	ck_answer("x20000,4", "E14");
	ck_answer("X2000,0:", "OK");
	ask_bytes("X2000,4:}\x03}\x04}]*", 15);
	ck_assert_str_eq(answer, "OK");
	ck_assert_mem_eq(fake.ram + 0x2000, "#$}*", 4);
	ck_answer("X20000,1:a", "E14");
	ck_answer("M2000,0:", "OK");
	ck_assert_uint_eq((ask("m0,ffffffff"), answer_len), 0x20000);
	ck_assert_uint_eq((ask("x0,ffffffff"), answer_len), 0x10001);
}
END_TEST

START_TEST(searches)
{
	fake.live = true;
	memcpy(fake.ram + 0x5ffe, "needle", 6);
	ck_answer("qSearch:memory:0;10000;needle", "1,5ffe");
	ck_answer("qSearch:memory:5ffe;6;needle", "1,5ffe");
	ck_answer("qSearch:memory:5ffe;5;needle", "0");
	ck_answer("qSearch:memory:5fff;a000;needle", "0");
	ck_answer("qSearch:memory:5fff;b000;needle", "E14");
	ck_answer("qSearch:memory:ffffffffffff0000;10000;a", "E14");
	/* The check value of CRC-32/MPEG-2, which is GDB's. */
	memcpy(fake.ram + 0x3000, "123456789", 9);
	ck_answer("qCRC:3000,9", "C376e6e7");
	ck_answer("qCRC:3000,0", "Cffffffff");
	ck_answer("qCRC:fff0,20", "E14");
}
END_TEST

START_TEST(steps)
{
	negotiate();
	ck_begins("vCont;s:p1.1;c:p1.-1", "T0506:");
	ck_assert_ptr_nonnull(strstr(answer, "10:0310000000000000;thread:p1.1;"));
	ck_assert(!fake.how.into_interrupts);
	ck_begins("s", "T05");
	ck_assert_uint_eq(fake.position, 2);
	ck_begins("S05", "T05");
	ck_begins("vCont;r1003,100a:p1.1", "T05"); /* outside already: one step */
	ck_assert_uint_eq(fake.position, 4);
	ck_begins("vCont;r1000,1006:p1.1;c", "T05");
	ck_assert_uint_eq(fake.position, 6);
	ck_assert_uint_eq(fake.state.rip, 0x1006);
	ck_answer("vCont?", "vCont;c;C;s;S;r");
	ck_begins("bs", "T05");
	ck_assert_uint_eq(fake.position, 5);
	ck_contains("bc", "replaylog:begin;");
	ck_contains("bc", "replaylog:begin;");
	ck_contains("bs", "replaylog:begin;");
	ck_contains("vCont;c", "replaylog:end;");
	ck_contains("C05", "replaylog:end;");
	ck_contains("c1000", "E30");
	fake.live = true;
	fake.position = 0;
	ck_contains("s1006", "10:0710000000000000;");
}
END_TEST

START_TEST(breakpoints)
{
	ck_answer("Z0,1006,1", "OK");
	ck_begins("c", "T05");
	ck_assert_ptr_null(strstr(answer, "swbreak")); /* not negotiated */
	negotiate();
	ck_contains("c", "swbreak:;");
	ck_assert_uint_eq(fake.position, 6);
	ck_answer("z0,1006,1", "OK");
	ck_answer("z0,1006,1", "OK");
	ck_answer("Z1,1007,1", "OK");
	ck_answer("Z1,1007,1", "OK");
	ck_contains("c", "hwbreak:;");
	ck_assert_uint_eq(fake.position, 7);
	ck_contains("bc", "hwbreak:;");
	ck_assert_uint_eq(fake.position, 3);
	ck_answer("z1,1007,1", "OK");
	ck_assert_ptr_null(fake.target.breaks);
	ck_contains("c", "replaylog:end");
	ck_answer("Z0,1007,1", "OK");
	ck_contains("bc", "swbreak:;");
	ck_assert_uint_eq(fake.position, 3999);
}
END_TEST

START_TEST(watchpoints)
{
	ck_answer("Z2,2004,1000", "OK");
	ck_contains("c", "watch:2004;");
	ck_assert_uint_eq(fake.position, 2);
	ck_answer("z2,2004,1000", "OK");
	ck_answer("Z3,2000,8", "OK");
	ck_contains("c", "replaylog:end");
	ck_answer("z3,2000,8", "OK");
	ck_answer("Z4,1ff0,11", "OK");
	ck_contains("bc", "awatch:2000;");
	ck_assert_uint_eq(fake.position, 3997);
	ck_contains("bc", "awatch:2000;");
	ck_assert_uint_eq(fake.position, 3993);
	ck_answer("qRcmd,61646472657373", "OK"); /* address */
	ck_assert_str_eq(console, "address: linear\n");
	ck_answer("qRcmd,6164647265737320706879736963616c", "OK");
	ck_assert_str_eq(console, "address: physical\n");
	ck_answer("Z2,3000,8", "OK");
	ck_assert_int_eq(fake.target.breaks->space, TARGET_PHYSICAL);
	ck_answer("z4,1ff0,11", "OK"); /* it was set by its linear address */
	ck_answer("z2,3000,8", "OK");
	ck_assert_ptr_null(fake.target.breaks);
}
END_TEST

START_TEST(conditions)
{
	/* $rax == 5: the number of rax is 0 */
	ck_answer("Z0,1006,1;X7,2600002205"
		  "1327",
		  "OK");
	ck_begins("c", "T05");
	ck_assert_uint_eq(fake.state.gpr[RAX], 5);
	ck_contains("c", "replaylog:end");
	ck_begins("bc", "T05");
	ck_assert_uint_eq(fake.state.gpr[RAX], 5);
	/* sent again with another one, which takes the place: *(int *)0x2000 == 9, or $rax == 3 */
	ck_answer("Z0,1006,1;Xa,24000020001922091327X7,26000022031327", "OK");
	ck_assert_ptr_null(fake.target.breaks->next);
	ck_begins("c", "T05");
	ck_assert_uint_eq(fake.state.gpr[RAX], 9);
	ck_begins("bc", "T05");
	ck_assert_uint_eq(fake.state.gpr[RAX], 3);
	/* one that can't be evaluated stops */
	ck_answer("Z0,1006,1;X7,240fffffff1927", "OK");
	ck_begins("c", "T05");
	ck_assert_uint_eq(fake.state.gpr[RAX], 4);
	/* $cr3 == 0x5000 */
	char packet[64];

	sprintf(packet, "Z0,1006,1;X8,26%04x2350001327", number_of("cr3"));
	ck_answer(packet, "OK");
	ck_begins("c", "T05");
	ck_assert_uint_eq(fake.state.gpr[RAX], 5);
}
END_TEST

START_TEST(commands_of_breakpoints)
{
	char packet[256] = "Z0,1006,1;X7,26000022031427;cmds:1,X14,";

	/* if ($rax < 3) printf("rax=%d\n", $rax) */
	strcat(packet, "26000022002200340100097261783d25645c6e0027");
	ck_answer(packet, "E22"); /* the length is one too short */
	memcpy(strstr(packet, "X14,"), "X15,", 4);
	ck_answer(packet, "OK");
	ck_contains("c", "replaylog:end");
	ck_assert_str_eq(console, "rax=1\nrax=2\n");
	ck_contains("bc", "replaylog:begin");
	ck_assert_str_eq(console, ""); /* a search backwards says nothing */
}
END_TEST

START_TEST(limits)
{
	static char packet[2 * BIG + 100];
	size_t at;

	for (unsigned i = 0; i < STUB_BREAK_MAX; i++) {
		sprintf(packet, "Z0,%x,1", 0x100000 + i);
		ck_answer(packet, "OK");
	}
	ck_answer("Z0,10,1", "E28");
	ck_answer("Z0,100000,1", "OK");
	ck_answer("z0,100000,1", "OK");
	ck_answer("Z0,10,1", "OK");
	stub_attach(stub, &io);
	ck_assert_ptr_null(fake.target.breaks);
	for (unsigned i = 0; i < STUB_BYTECODE_MAX / BIG + 1; i++) {
		at = sprintf(packet, "Z0,%x,1;X%x,", i, BIG);
		for (size_t k = 0; k < 2 * BIG; k += 2)
			strcpy(packet + at + k, "27");
		ck_answer(packet, i < STUB_BYTECODE_MAX / BIG ? "OK" : "E28");
	}
}
END_TEST

START_TEST(stops_by_others)
{
	struct target_break own = {.kind = TARGET_BREAK_EVENT, .addr = TARGET_EVENT_INTERRUPT, .len = 0x20};

	negotiate();
	fake.stop = (struct target_stop){.reason = TARGET_STOP_EVENT, .hit = &own};
	fake.forced = true;
	ck_begins("c", "T05");
	ck_assert_str_eq(console, "Stopped by an interrupt: 0x20.\n");
	ck_assert_ptr_null(strstr(answer, "break"));
	own = (struct target_break){.kind = TARGET_BREAK_WRITE, .space = TARGET_PHYSICAL, .addr = 0x3000, .len = 8};
	fake.stop = (struct target_stop){.reason = TARGET_STOP_WATCH, .hit = &own, .addr = 0x3004, .write = true};
	fake.forced = true;
	ck_begins("c", "T05");
	ck_assert_str_eq(console, "Stopped by a write at 0x3004.\n");
	strcpy(fake.err.text, "the replay took another way at 12");
	fake.stop = (struct target_stop){.reason = TARGET_STOP_DIVERGED};
	fake.forced = true;
	ck_begins("c", "T06");
	ck_assert_str_eq(console, "the replay took another way at 12\n");
	fake.err.text[0] = 0;
	fake.stop.reason = TARGET_STOP_ERROR;
	fake.stop.vcpu = 77;
	fake.forced = true;
	ck_begins("c", "T06");
	fake.stop = (struct target_stop){.reason = TARGET_STOP_INTERRUPT};
	fake.forced = true;
	/* nobody asked for it: it was meant for an earlier run */
	ck_contains("c", "replaylog:end");
}
END_TEST

static const char *monitor(const char *line)
{
	struct packet_out o;
	char buf[1024];

	packet_out_init(&o, buf, sizeof(buf) - 1);
	packet_puts(&o, "qRcmd,");
	packet_put_hex(&o, line, strlen(line));
	buf[o.len] = 0;
	ck_answer(buf, "OK");
	return console;
}

START_TEST(monitor_commands)
{
	ck_assert_str_eq(monitor("info version"), "vmdbg 1.2\n");
	ck_assert_str_eq(monitor("info versions"), "info of versions\n");
	ck_assert_str_eq(monitor("  echo   a  b "), "echo of CPU 0: a b\n");
	ck_assert_str_eq(monitor("nonsense"), "unknown command \"nonsense\"; `monitor help` lists them\n");
	ck_assert_ptr_nonnull(strstr(monitor("help"), "step-irqs [on|off]"));
	ck_assert_ptr_nonnull(strstr(console, "echo TEXT"));
	ck_assert_ptr_nonnull(strstr(monitor(""), "echo TEXT"));
	ck_assert_ptr_null(strstr(monitor("help seek"), "echo TEXT"));
	ck_assert_ptr_nonnull(strstr(console, "seek POSITION"));
	ck_assert_ptr_nonnull(strstr(monitor("seek 100"), "flush register-cache"));
	ck_assert_uint_eq(fake.position, 100);
	ck_assert_str_eq(monitor("seek 100"), "");
	ck_assert_str_eq(monitor("seek 1000000"), "1000000: no such position\n");
	ck_assert_str_eq(monitor("step-irqs"), "step-irqs: off\n");
	ck_assert_str_eq(monitor("step-irqs on"), "step-irqs: on\n");
	ck_assert_str_eq(monitor("step-irqs maybe"), "step-irqs: \"maybe\" is neither on nor off\n");
	ck_begins("s", "T05");
	ck_assert(fake.how.into_interrupts);
}
END_TEST

START_TEST(ends)
{
	ck_answer("!", "OK");
	ck_answer("vKill;1", "OK");
	ck_assert_int_eq(state, STUB_OPEN);
	ck_begins("c", "T05");
	ck_begins("vRun;;", "T05");
	ck_assert_uint_eq(fake.position, 0);
	ck_begins("s", "T05");
	ck_answer("R00", "");
	ck_assert_uint_eq(fake.position, 0);
	ck_begins("vAttach;1", "T05");
	stub_attach(stub, &io);
	ck_answer("Z0,1006,1", "OK");
	ck_answer("D;1", "OK");
	ck_assert_int_eq(state, STUB_DETACHED);
	ck_assert_ptr_null(fake.target.breaks);
	ck_answer("qC", ""); /* nothing more is heard */
	stub_attach(stub, &io);
	ck_answer("vKill;1", "OK");
	ck_assert_int_eq(state, STUB_KILLED);
	stub_attach(stub, &io);
	ck_answer("k", "");
	ck_assert_int_eq(state, STUB_KILLED);
	stub_attach(stub, &io);
	fake.live = true;
	ck_answer("vRun;", "E95");
}
END_TEST

/* The server. */

static struct gdb_server *server;
static pthread_t server_thread;
static int server_end;

static void *serve(void *opaque)
{
	struct error err = {0};

	server_end = gdb_server_serve(server, &err);
	return NULL;
}

static void start_server(const struct gdb_server_options *o)
{
	struct error err = {0};

	server = gdb_server_open(&fake.target, o, &err);
	ck_assert_msg(server, "%s", err.text);
	pthread_create(&server_thread, NULL, serve, NULL);
}

static void stop_server(int end)
{
	if (end == GDB_SERVER_STOPPED)
		gdb_server_stop(server);
	pthread_join(server_thread, NULL);
	ck_assert_int_eq(server_end, end);
	gdb_server_close(server);
}

static int dial(void)
{
	const char *address = gdb_server_address(server);
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	const struct timeval patience = {.tv_sec = 10};
	bool local = strchr(address, '/');
	int fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (local)
		strcpy(sun.sun_path, address);
	else
		sin.sin_port = htons(atoi(strchr(address, ':') + 1));
	ck_assert_int_eq(
	    connect(fd, local ? (struct sockaddr *)&sun : (struct sockaddr *)&sin, local ? sizeof(sun) : sizeof(sin)),
	    0);
	return fd;
}

/* Sends, and reads until a whole packet has come. */
static const char *talk(int fd, const char *bytes)
{
	size_t n = 0;

	ck_assert_int_eq(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL), (ssize_t)strlen(bytes));
	do {
		ssize_t got = recv(fd, text + n, 1, 0);

		ck_assert_int_eq(got, 1);
		n++;
	} while (n < 4 || text[n - 3] != '#');
	text[n] = 0;
	return text;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static const struct gdb_server_options any_port = {.address = "127.0.0.1:0"};

START_TEST(server_sessions)
{
	char byte;
	int fd, other;

	start_server(&any_port);
	fd = dial();
	ck_assert_str_eq(talk(fd, "$qC#b4"), "+$QC1#c5");
	other = dial();
	ck_assert_int_eq(recv(other, &byte, 1, 0), 0); /* one at a time */
	close(other);
	ck_assert_str_eq(talk(fd, "+$D#44"), "+$OK#9a");
	ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
	close(fd);
	fd = dial();
	ck_assert_str_eq(talk(fd, "$qC#b4$qC#b4"), "+$QC1#c5");
	close(fd);
	fd = dial();
	ck_assert_int_eq(send(fd, "$k#6b$qC#b4", 11, 0), 11);
	stop_server(GDB_SERVER_KILLED);
	ck_assert_int_eq(recv(fd, &byte, 1, 0), 1); /* the acknowledgement; what follows is not heard */
	ck_assert_int_eq(recv(fd, &byte, 1, 0) > 0, 0);
	close(fd);
}
END_TEST

START_TEST(server_two_clients)
{
	int fd;

	start_server(&any_port);
	for (unsigned i = 0; i < 3; i++) {
		fd = dial();
		ck_assert_str_eq(talk(fd, "$Z0,1006,1#da"), "+$OK#9a");
		close(fd);
	}
	fd = dial();
	ck_assert_str_eq(talk(fd, "$vKill;1#6e"), "+$OK#9a");
	stop_server(GDB_SERVER_KILLED);
	close(fd);
	ck_assert_ptr_null(fake.target.breaks);
}
END_TEST

START_TEST(server_interrupt)
{
	fake.spins = true;
	start_server(&any_port);
	int fd = dial();

	for (unsigned i = 0; i < 20; i++) {
		double from;

		/* together, and apart */
		if (i & 1) {
			from = now();
			talk(fd, "$c#63\x03");
		} else {
			ck_assert_int_eq(send(fd, "$c#63", 5, 0), 5);
			usleep(1000 * i);
			from = now();
			talk(fd, "\x03");
		}
		ck_assert_msg(now() - from < 0.1, "%f s", now() - from);
		ck_assert_ptr_nonnull(strstr(text, "$T02"));
	}
	close(fd);
	stop_server(GDB_SERVER_STOPPED);
}
END_TEST

START_TEST(server_hang_up)
{
	int fd;

	fake.spins = true;
	start_server(&any_port);
	fd = dial();
	ck_assert_int_eq(send(fd, "$c#63", 5, 0), 5);
	usleep(20000);
	close(fd);
	fd = dial(); /* waits until the run is over, and is then served */
	for (unsigned i = 0;; i++) {
		char byte;

		ck_assert_int_eq(send(fd, "$qC#b4", 6, MSG_NOSIGNAL), 6);
		if (recv(fd, &byte, 1, 0) == 1)
			break;
		ck_assert_uint_lt(i, 50); /* turned away: the server had not seen the other one go */
		close(fd);
		usleep(10000);
		fd = dial();
	}
	ck_assert_int_eq(send(fd, "$c#63", 5, 0), 5);
	usleep(20000);
	stop_server(GDB_SERVER_STOPPED); /* from another thread, during a run */
	close(fd);
}
END_TEST

START_TEST(server_runs_without_client)
{
	const struct gdb_server_options o = {.address = "127.0.0.1:0", .run_first = true, .run_detached = true};
	int fd;

	fake.spins = true;
	start_server(&o);
	usleep(20000);
	fd = dial();
	ck_assert_str_eq(talk(fd, "$qC#b4"), "+$QC1#c5");
	ck_assert_str_eq(talk(fd, "$D#44"), "+$OK#9a");
	close(fd);
	usleep(20000);
	fd = dial();
	ck_assert_str_eq(talk(fd, "$qC#b4"), "+$QC1#c5");
	close(fd);
	stop_server(GDB_SERVER_STOPPED);
}
END_TEST

START_TEST(server_unix)
{
	char path[64];
	struct error err = {0};
	const struct gdb_server_options o = {.address = path, .once = true};
	int fd;

	sprintf(path, "/tmp/test_stub.%d", (int)getpid());
	start_server(&o);
	ck_assert_str_eq(gdb_server_address(server), path);
	ck_assert_ptr_null(gdb_server_open(&fake.target, &o, &err));
	ck_assert_ptr_nonnull(strstr(err.text, path));
	fd = dial();
	ck_assert_str_eq(talk(fd, "$qC#b4"), "+$QC1#c5");
	close(fd);
	pthread_join(server_thread, NULL);
	gdb_server_close(server);
	ck_assert_int_lt(access(path, F_OK), 0);
}
END_TEST

START_TEST(server_addresses)
{
	static const char *const bad[] = {"",    "host:",         "1.2.3.4:99999999999999999",
					  "a:b", "127.0.0.1:12x", "127.0.0.1:65536"};
	static const char *const good[] = {"127.0.0.1:0", ":0", "0", "[127.0.0.1]:0", "localhost:0"};
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct gdb_server_options o = {.address = bad[i]};

		err.text[0] = 0;
		ck_assert_ptr_null(gdb_server_open(&fake.target, &o, &err));
		ck_assert_str_ne(err.text, "");
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const struct gdb_server_options o = {.address = good[i]};
		struct gdb_server *s = gdb_server_open(&fake.target, &o, &err);

		ck_assert_msg(s, "%s", err.text);
		gdb_server_close(s);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stub");
	TCase *tc = tcase_create("stub"), *sockets = tcase_create("server");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, acknowledgements);
	tcase_add_test(tc, supported);
	tcase_add_test(tc, unknown_packets);
	tcase_add_test(tc, errors);
	tcase_add_test(tc, threads);
	tcase_add_test(tc, description);
	tcase_add_test(tc, registers);
	tcase_add_test(tc, registers_16_bit);
	tcase_add_test(tc, register_writes);
	tcase_add_test(tc, memory);
	tcase_add_test(tc, searches);
	tcase_add_test(tc, steps);
	tcase_add_test(tc, breakpoints);
	tcase_add_test(tc, watchpoints);
	tcase_add_test(tc, conditions);
	tcase_add_test(tc, commands_of_breakpoints);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, stops_by_others);
	tcase_add_test(tc, monitor_commands);
	tcase_add_test(tc, ends);
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(sockets, setup, teardown);
	tcase_add_test(sockets, server_sessions);
	tcase_add_test(sockets, server_two_clients);
	tcase_add_test(sockets, server_interrupt);
	tcase_add_test(sockets, server_hang_up);
	tcase_add_test(sockets, server_runs_without_client);
	tcase_add_test(sockets, server_unix);
	tcase_add_test(sockets, server_addresses);
	tcase_set_timeout(tc, 60);
	tcase_set_timeout(sockets, 60);
	suite_add_tcase(suite, sockets);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
