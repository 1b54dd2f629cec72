/* SPDX-License-Identifier: GPL-2.0-or-later */
/* q, Q and v packets. What is not here gets an empty reply, which tells the client so. */
#include "gdbstub/stub_internal.h"

struct named {
	const char *name;
	stub_handler *run;
};

static void dispatch(struct stub *s, struct args *a, const struct named *table)
{
	for (; table->name; table++) {
		if (args_word(a, table->name)) {
			table->run(s, a);
			return;
		}
	}
}

static void client_feature(struct stub *s, struct args *a)
{
	if (args_word(a, "multiprocess+"))
		s->multiprocess = true;
	else if (args_word(a, "swbreak+"))
		s->swbreak = true;
	else if (args_word(a, "hwbreak+"))
		s->hwbreak = true;
	else if (args_word(a, "error-message+"))
		s->error_message = true;
}

/* qSupported:FEATURE;... memory-map is left out on purpose: GDB would refuse linear addresses outside it. */
static void supported(struct stub *s, struct args *a)
{
	if (args_char(a, ':')) {
		do {
			client_feature(s, a);
			while (!args_done(a) && *a->s != ';')
				a->s++;
		} while (args_char(a, ';'));
	}
	packet_printf(&s->reply,
		      "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+;vContSupported+;"
		      "ConditionalBreakpoints+;BreakpointCommands+;binary-upload+",
		      PACKET_MAX - 1);
	if (s->target->ops->reversible)
		packet_puts(&s->reply, ";ReverseStep+;ReverseContinue+");
	if (s->multiprocess)
		packet_puts(&s->reply, ";multiprocess+");
	if (s->swbreak)
		packet_puts(&s->reply, ";swbreak+");
	if (s->hwbreak)
		packet_puts(&s->reply, ";hwbreak+");
	if (s->error_message)
		packet_puts(&s->reply, ";error-message+");
}

/* OFFSET,LENGTH of a document. */
static void reply_part(struct stub *s, struct args *a, const char *text, size_t size)
{
	u64 offset, len;
	size_t room = s->reply.size - s->reply.len - 1;

	if (!text || !args_hex(a, &offset) || !args_char(a, ',') || !args_hex(a, &len) || !args_done(a) ||
	    offset > size) {
		reply_error(s, -EINVAL);
		return;
	}
	len = min64(min64(len, size - offset), room / 2); /* every byte may need an escape */
	packet_puts(&s->reply, offset + len == size ? "l" : "m");
	packet_put_binary(&s->reply, text + offset, len);
}

static void xfer_features(struct stub *s, struct args *a)
{
	if (args_word(a, "target.xml:"))
		reply_part(s, a, s->tdesc, s->tdesc_len);
	else
		packet_puts(&s->reply, "E00"); /* the annex is not known */
}

static void xfer_threads(struct stub *s, struct args *a)
{
	if (!args_char(a, ':')) {
		packet_puts(&s->reply, "E00");
		return;
	}
	stub_xfer_threads(s, a);
	reply_part(s, a, s->threads, s->threads_len);
}

/* 1: GDB detaches when it ends, and doesn't kill. */
static void was_attached(struct stub *s, struct args *a)
{
	packet_puts(&s->reply, "1");
}

static const struct named queries[] = {
    {"Supported", supported},
    {"Xfer:features:read:", xfer_features},
    {"Xfer:threads:read:", xfer_threads},
    {"Attached", was_attached},
    {"fThreadInfo", stub_first_threads},
    {"sThreadInfo", stub_next_threads},
    {"ThreadExtraInfo,", stub_thread_info},
    {"Search:memory:", stub_search},
    {"CRC:", stub_crc},
    {"Rcmd,", stub_monitor},
    {NULL, NULL},
};

void stub_query(struct stub *s, struct args *a)
{
	if (args_left(a) == 1 && *a->s == 'C')
		stub_current_thread(s, a);
	else
		dispatch(s, a, queries);
}

static void start_no_ack(struct stub *s, struct args *a)
{
	s->parser.no_ack = true;
	reply_ok(s);
}

static const struct named settings[] = {{"StartNoAckMode", start_no_ack}, {NULL, NULL}};

void stub_set(struct stub *s, struct args *a)
{
	dispatch(s, a, settings);
}

static void vcont_query(struct stub *s, struct args *a)
{
	packet_puts(&s->reply, "vCont;c;C;s;S;r");
}

/* vRun: the program's name and arguments mean nothing here; the history begins again. */
static void run_again(struct stub *s, struct args *a)
{
	struct error err = {0};
	int ret;

	stub_begin_busy(s);
	ret = s->target->ops->seek(s->target, "start", &err);
	stub_end_busy(s);
	if (ret < 0)
		reply_failure(s, ret, err.text[0] ? err.text : "only a recording can be run again");
	else
		stub_reply_stopped(s);
}

static void attach(struct stub *s, struct args *a)
{
	u64 process;

	if (!args_hex(a, &process) || !args_done(a) || process != 1)
		reply_error(s, -ENOENT);
	else
		stub_reply_stopped(s);
}

static void kill_process(struct stub *s, struct args *a)
{
	u64 process;

	if (!args_hex(a, &process) || !args_done(a) || process != 1) {
		reply_error(s, -ENOENT);
		return;
	}
	stub_remove_all(s);
	if (!s->extended)
		s->state = STUB_KILLED;
	reply_ok(s);
}

static const struct named v_packets[] = {
    {"Cont?", vcont_query}, {"Cont", stub_vcont},    {"Run;", run_again},
    {"Attach;", attach},    {"Kill;", kill_process}, {NULL, NULL},
};

void stub_v(struct stub *s, struct args *a)
{
	dispatch(s, a, v_packets);
}
