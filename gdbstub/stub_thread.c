/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vCPUs as threads. A thread is written "p1.N" for a client with the multiprocess feature, else "N". */
#include "gdbstub/stub_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define PROCESS 1

static unsigned vcpus(struct stub *s)
{
	return s->target->ops->vcpus(s->target);
}

/* A number, or -1 for all. */
static bool thread_number(struct args *a, s64 *n)
{
	u64 v;

	if (args_word(a, "-1")) {
		*n = -1;
		return true;
	}
	if (!args_hex(a, &v) || v > INT32_MAX)
		return false;
	*n = v;
	return true;
}

bool args_thread(struct stub *s, struct args *a, int *thread)
{
	s64 process = PROCESS, n = -1;

	if (args_char(a, 'p')) {
		if (!thread_number(a, &process))
			return false;
		if (args_char(a, '.') && !thread_number(a, &n))
			return false;
	} else if (!thread_number(a, &n)) {
		return false;
	}
	if (process > 0 && process != PROCESS)
		return false;
	if (n > (s64)vcpus(s))
		return false;
	*thread = n < 0 ? THREAD_ALL : n == 0 ? THREAD_ANY : (int)n - 1;
	return true;
}

void reply_thread(struct stub *s, unsigned vcpu)
{
	if (s->multiprocess)
		packet_printf(&s->reply, "p%x.%x", PROCESS, vcpu + 1);
	else
		packet_printf(&s->reply, "%x", vcpu + 1);
}

/* Hg, Hc */
void stub_select_thread(struct stub *s, struct args *a)
{
	bool resume = args_char(a, 'c');
	int thread;

	if ((!resume && !args_char(a, 'g')) || !args_thread(s, a, &thread) || !args_done(a)) {
		reply_error(s, -EINVAL);
		return;
	}
	if (resume)
		s->resume_thread = thread;
	else if (thread >= 0)
		s->vcpu = thread;
	reply_ok(s);
}

/* An empty reply would make GDB think the thread dead. */
void stub_thread_alive(struct stub *s, struct args *a)
{
	int thread;

	if (!args_thread(s, a, &thread) || !args_done(a))
		reply_error(s, -ENOENT);
	else
		reply_ok(s);
}

void stub_current_thread(struct stub *s, struct args *a)
{
	packet_puts(&s->reply, "QC");
	reply_thread(s, s->vcpu);
}

void stub_first_threads(struct stub *s, struct args *a)
{
	for (unsigned i = 0; i < vcpus(s); i++) {
		packet_puts(&s->reply, i ? "," : "m");
		reply_thread(s, i);
	}
}

void stub_next_threads(struct stub *s, struct args *a)
{
	packet_puts(&s->reply, "l");
}

static int describe(struct stub *s, unsigned vcpu, char *out, size_t len)
{
	static const char *const activities[] = {"running", "halted", "shut down", "waiting for SIPI"};
	const struct x86_state *r = target_regs(s->target, vcpu);
	unsigned bits = x86_64bit(r) ? 64 : r->seg[SEG_CS].ar & AR_DB ? 32 : 16;

	return snprintf(out, len, "%s, ring %u, %u-bit",
			activities[r->activity < ARRAY_SIZE(activities) ? r->activity : 0], x86_cpl(r), bits);
}

void stub_thread_info(struct stub *s, struct args *a)
{
	char text[80];
	int thread;

	if (!args_thread(s, a, &thread) || thread < 0) {
		reply_error(s, -ENOENT);
		return;
	}
	packet_put_hex(&s->reply, text, describe(s, thread, text, sizeof(text)));
}

static bool make_document(struct stub *s)
{
	FILE *f;

	free(s->threads);
	s->threads = NULL;
	f = open_memstream(&s->threads, &s->threads_len);
	if (!f)
		return false;
	fprintf(f, "<?xml version=\"1.0\"?>\n<threads>\n");
	for (unsigned i = 0; i < vcpus(s); i++) {
		char text[80];

		describe(s, i, text, sizeof(text));
		fprintf(f, "<thread id=\"%s%x\" core=\"%u\" name=\"CPU %u\">%s</thread>\n",
			s->multiprocess ? "p1." : "", i + 1, i, i, text);
	}
	fprintf(f, "</threads>\n");
	return !fclose(f);
}

/* The document stays as it was at offset 0 until the client has read it all. */
void stub_xfer_threads(struct stub *s, struct args *a)
{
	if (!args_left(a) || *a->s == '0' || !s->threads)
		make_document(s);
}
