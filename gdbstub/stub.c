/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gdbstub/stub_internal.h"

#include <stdlib.h>

bool args_word(struct args *a, const char *word)
{
	size_t len = strlen(word);

	if (args_left(a) < len || memcmp(a->s, word, len))
		return false;
	a->s += len;
	return true;
}

void reply_ok(struct stub *s)
{
	packet_puts(&s->reply, "OK");
}

static const char *error_words(int err)
{
	switch (-err) {
	case EFAULT:
		return "no RAM at this address";
	case EROFS:
		return "history cannot be changed; `vmdbg branch` makes a new one";
	case EPERM:
		return "this register cannot be written";
	case ENOENT:
		return "there is no such thing";
	case ENOSPC:
		return "too many";
	case ENOTSUP:
		return "this machine cannot do it";
	case EINTR:
		return "interrupted";
	}
	return "malformed request";
}

/* GDB before 16 takes "E.text" for data in some replies, so it gets a decimal errno. */
void reply_failure(struct stub *s, int err, const char *reason)
{
	s->reply.len = 0;
	if (s->error_message)
		packet_printf(&s->reply, "E.%.*s", 500, reason);
	else
		packet_printf(&s->reply, "E%02d", -err > 99 || -err < 1 ? EINVAL : -err);
}

void reply_error(struct stub *s, int err)
{
	reply_failure(s, err, error_words(err));
}

static void send(struct stub *s, const void *data, size_t len)
{
	if (s->attached)
		s->io.send(s->io.opaque, data, len);
}

static void send_frame(struct stub *s, const char *data, size_t len)
{
	s->frame_len = packet_frame(s->frame, data, len);
	send(s, s->frame, s->frame_len);
}

void stub_send_reply(struct stub *s)
{
	if (s->reply.overflow) {
		s->reply.overflow = false;
		reply_error(s, -ENOSPC);
	}
	send_frame(s, s->reply.buf, s->reply.len);
}

void stub_console(struct stub *s, const char *text, size_t len)
{
	char data[1 + 2 * 1024];

	while (len) {
		struct packet_out o;
		size_t n = min64(len, 1024);

		packet_out_init(&o, data, sizeof(data));
		packet_puts(&o, "O");
		packet_put_hex(&o, text, n);
		send_frame(s, o.buf, o.len);
		text += n;
		len -= n;
	}
}

void stub_begin_busy(struct stub *s)
{
	atomic_store(&s->interrupted, false);
	atomic_store(&s->busy, true);
	if (s->io.busy && s->attached)
		s->io.busy(s->io.opaque, true);
}

void stub_end_busy(struct stub *s)
{
	if (s->io.busy && s->attached)
		s->io.busy(s->io.opaque, false);
	atomic_store(&s->busy, false);
}

void stub_interrupt(struct stub *s)
{
	if (!atomic_load(&s->busy))
		return;
	atomic_store(&s->interrupted, true);
	target_interrupt(s->target);
}

/* D, or D;PID. The machine itself is looked after by whoever owns it. */
static void detach(struct stub *s, struct args *a)
{
	stub_remove_all(s);
	s->state = STUB_DETACHED;
	reply_ok(s);
}

/* In extended mode the client may go on to `run`, which begins anew. */
static void kill_machine(struct stub *s, struct args *a)
{
	stub_remove_all(s);
	if (!s->extended)
		s->state = STUB_KILLED;
}

static void extended_mode(struct stub *s, struct args *a)
{
	s->extended = true;
	reply_ok(s);
}

static void restart(struct stub *s, struct args *a)
{
	stub_begin_busy(s);
	s->target->ops->seek(s->target, "start", NULL);
	stub_end_busy(s);
}

static const struct {
	char name;
	bool silent; /* has no reply */
	stub_handler *run;
} packets[] = {
    {'!', false, extended_mode},
    {'?', false, stub_why},
    {'b', false, NULL}, /* bs and bc; the b of old meaning (baud rate) is not known */
    {'c', false, stub_continue},
    {'C', false, stub_continue_signal},
    {'D', false, detach},
    {'g', false, stub_read_all},
    {'G', false, stub_write_all},
    {'H', false, stub_select_thread},
    {'k', true, kill_machine},
    {'m', false, stub_read_hex},
    {'M', false, stub_write_hex},
    {'p', false, stub_read_reg},
    {'P', false, stub_write_reg},
    {'q', false, stub_query},
    {'Q', false, stub_set},
    {'R', true, restart},
    {'s', false, stub_step},
    {'S', false, stub_step_signal},
    {'T', false, stub_thread_alive},
    {'v', false, stub_v},
    {'x', false, stub_read_binary},
    {'X', false, stub_write_binary},
    {'z', false, stub_remove},
    {'Z', false, stub_insert},
};

static void dispatch(struct stub *s, const char *data, size_t len)
{
	struct args a = {data + 1, data + len};
	bool silent = false;

	packet_out_init(&s->reply, s->reply_buf, sizeof(s->reply_buf));
	if (len == 2 && !memcmp(data, "bs", 2)) {
		stub_back_step(s, &a);
	} else if (len == 2 && !memcmp(data, "bc", 2)) {
		stub_back_continue(s, &a);
	} else {
		for (size_t i = 0; len && i < ARRAY_SIZE(packets); i++) {
			if (packets[i].name != data[0] || !packets[i].run)
				continue;
			packets[i].run(s, &a);
			silent = packets[i].silent;
		}
	}
	if (!silent)
		stub_send_reply(s);
}

enum stub_state stub_feed(struct stub *s, const void *data, size_t len)
{
	const u8 *p = data;

	for (size_t i = 0; i < len && s->state == STUB_OPEN && s->attached; i++) {
		switch (packet_feed(&s->parser, p[i])) {
		case PACKET_DATA:
			if (!s->parser.no_ack)
				send(s, "+", 1);
			dispatch(s, s->parser.data, s->parser.len);
			break;
		case PACKET_BAD:
			if (!s->parser.no_ack)
				send(s, "-", 1);
			break;
		case PACKET_NACK:
			if (!s->parser.no_ack)
				send(s, s->frame, s->frame_len);
			break;
		case PACKET_INTERRUPT: /* already stopped */
		case PACKET_ACK:
		case PACKET_NONE:
			break;
		}
	}
	return s->state;
}

struct stub *stub_new(struct target *t, const struct stub_options *options)
{
	struct stub *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->target = t;
	s->options = *options;
	s->tdesc = tdesc_xml(&s->tdesc_len);
	packet_parser_init(&s->parser);
	if (!s->tdesc) {
		free(s);
		return NULL;
	}
	return s;
}

void stub_free(struct stub *s)
{
	if (!s)
		return;
	stub_remove_all(s);
	free(s->tdesc);
	free(s->threads);
	free(s);
}

void stub_attach(struct stub *s, const struct stub_io *io)
{
	stub_remove_all(s);
	packet_parser_init(&s->parser);
	s->io = *io;
	s->attached = true;
	s->state = STUB_OPEN;
	s->multiprocess = s->swbreak = s->hwbreak = s->error_message = s->extended = false;
	s->vcpu = 0;
	s->resume_thread = THREAD_ANY;
	s->frame_len = 0;
	memset(s->variables, 0, sizeof(s->variables));
}

void stub_detach(struct stub *s)
{
	s->attached = false;
	stub_remove_all(s);
}
