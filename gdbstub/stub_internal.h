/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the stub. stub.c: client, dispatch, replies; the others one concern each. */
#ifndef GDBSTUB_STUB_INTERNAL_H
#define GDBSTUB_STUB_INTERNAL_H

#include <errno.h>
#include <stdatomic.h>

#include "gdbstub/agent.h"
#include "gdbstub/packet.h"
#include "gdbstub/stub.h"
#include "gdbstub/tdesc.h"

#define THREAD_ALL (-1)
#define THREAD_ANY (-2)

struct stub_break {
	struct target_break hw;
	char type; /* '0'..'4' as in Z packets */
	struct stub *stub;
	struct agent_expr *conditions, *commands;
	unsigned nconditions, ncommands;
	struct stub_break *next;
};

struct stub {
	struct target *target;
	struct stub_options options;
	struct stub_io io;
	enum stub_state state;
	bool attached;

	/* What the client offered. */
	bool multiprocess, swbreak, hwbreak, error_message;
	bool extended;

	unsigned vcpu;     /* Hg: of registers and memory */
	int resume_thread; /* Hc: a vCPU or THREAD_* */

	struct stub_break *breaks;
	unsigned nbreaks;
	size_t bytecode;

	/* User's switches; they outlive the client. */
	bool physical;        /* memory and new breakpoints by guest-physical address */
	bool into_interrupts; /* stepping goes into interrupt handlers */

	enum target_direction direction; /* of the run under way */
	atomic_bool busy, interrupted;
	/* The vCPU whose registers an agent expression sees. */
	struct agent_view {
		struct target *target;
		unsigned vcpu;
		struct stub *stub;
	} view;
	u64 variables[AGENT_VARIABLES];

	char *tdesc, *threads; /* documents of qXfer */
	size_t tdesc_len, threads_len;
	struct packet_out reply;
	struct packet_parser parser;
	size_t frame_len;
	char frame[PACKET_FRAME]; /* the last one, for repeats */
	char reply_buf[PACKET_MAX];
	u8 scratch[PACKET_MAX];
};

/* A packet behind its name, up to a NUL at @end. */
struct args {
	const char *s, *end;
};

static inline bool args_hex(struct args *a, u64 *value)
{
	return packet_get_hex(&a->s, a->end, value);
}

static inline bool args_char(struct args *a, char c)
{
	return packet_get_char(&a->s, a->end, c);
}

static inline bool args_done(const struct args *a)
{
	return a->s == a->end;
}

static inline size_t args_left(const struct args *a)
{
	return a->end - a->s;
}

/* Takes @word from the front. */
bool args_word(struct args *a, const char *word);

/* Handlers leave their answer in s->reply; an empty one tells the client that the packet is not known. */
typedef void stub_handler(struct stub *s, struct args *a);

/* stub.c */
void reply_ok(struct stub *s);
void reply_error(struct stub *s, int err);                       /* @err: negative errno */
void reply_failure(struct stub *s, int err, const char *reason); /* with words for a client that takes them */
void stub_console(struct stub *s, const char *text, size_t len); /* an O packet, at once */
void stub_send_reply(struct stub *s);
void stub_begin_busy(struct stub *s);
void stub_end_busy(struct stub *s);

/* stub_thread.c */
bool args_thread(struct stub *s, struct args *a, int *thread); /* a vCPU or THREAD_*; false: no such thread */
void reply_thread(struct stub *s, unsigned vcpu);
stub_handler stub_select_thread, stub_thread_alive, stub_current_thread, stub_first_threads, stub_next_threads,
    stub_thread_info, stub_xfer_threads;

/* stub_regs.c */
stub_handler stub_read_all, stub_write_all, stub_read_reg, stub_write_reg;

/* stub_memory.c */
stub_handler stub_read_hex, stub_read_binary, stub_write_hex, stub_write_binary, stub_search, stub_crc;

/* stub_break.c */
stub_handler stub_insert, stub_remove;
void stub_remove_all(struct stub *s);
const struct stub_break *stub_find_hit(const struct stub *s, const struct target_break *hit);

/* stub_resume.c */
stub_handler stub_vcont, stub_continue, stub_step, stub_continue_signal, stub_step_signal, stub_back_step,
    stub_back_continue, stub_why;
void stub_reply_stopped(struct stub *s);

/* stub_query.c */
stub_handler stub_query, stub_set, stub_v;

/* stub_monitor.c */
stub_handler stub_monitor;

#endif
