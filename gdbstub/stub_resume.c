/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running and stop replies (GDB manual, E.3 "Stop Reply Packets"). The vCPUs of a machine always run together: an
 * action for one thread steps that vCPU and the others go on as they would have. */
#include "gdbstub/stub_internal.h"

#include <stdio.h>

#define SIGNAL_INT  2
#define SIGNAL_TRAP 5
#define SIGNAL_ABRT 6

#define STALE_MAX 16 /* resumes that ended by an interrupt nobody asked for */

static void begin_stop(struct stub *s, unsigned signal)
{
	static const unsigned expedited[] = {TDESC_RBP, TDESC_RSP, TDESC_RIP};
	const struct x86_state *regs = target_regs(s->target, s->vcpu);
	u8 value[TDESC_REG_MAX];

	packet_printf(&s->reply, "T%02x", signal);
	for (unsigned i = 0; i < ARRAY_SIZE(expedited); i++) {
		if (!tdesc_read(s->target, s->vcpu, regs, expedited[i], value))
			continue;
		packet_printf(&s->reply, "%02x:", expedited[i]);
		packet_put_hex(&s->reply, value, tdesc_size(expedited[i]));
		packet_puts(&s->reply, ";");
	}
	packet_puts(&s->reply, "thread:");
	reply_thread(s, s->vcpu);
	packet_puts(&s->reply, ";");
}

static void say(struct stub *s, const char *text)
{
	stub_console(s, text, strlen(text));
}

/* A stop that GDB has no word for is explained on its console. */
static void say_event(struct stub *s, const struct target_stop *stop)
{
	static const char *const names[TARGET_EVENT_COUNT] = {
	    [TARGET_EVENT_INTERRUPT] = "an interrupt",  [TARGET_EVENT_EXCEPTION] = "an exception",
	    [TARGET_EVENT_CR3] = "a load of CR3",       [TARGET_EVENT_IO] = "an access to an I/O port",
	    [TARGET_EVENT_MSR] = "an access to an MSR", [TARGET_EVENT_PANIC] = "a panic",
	};
	const struct target_break *hit = stop->hit;
	char text[200];

	if (s->options.explain && s->options.explain(s->options.opaque, stop, text, sizeof(text))) {
		say(s, text);
		return;
	}
	if (stop->reason == TARGET_STOP_BREAK && hit)
		snprintf(text, sizeof(text), "Stopped at the %s address 0x%llx.\n",
			 hit->space == TARGET_PHYSICAL ? "physical" : "linear", (unsigned long long)hit->addr);
	else if (stop->reason == TARGET_STOP_WATCH)
		snprintf(text, sizeof(text), "Stopped by a %s at 0x%llx.\n", stop->write ? "write" : "read",
			 (unsigned long long)stop->addr);
	else if (hit && hit->addr < TARGET_EVENT_COUNT && hit->len != TARGET_ANY && hit->addr != TARGET_EVENT_CR3)
		snprintf(text, sizeof(text), "Stopped by %s: 0x%llx.\n", names[hit->addr],
			 (unsigned long long)hit->len);
	else if (hit && hit->addr < TARGET_EVENT_COUNT)
		snprintf(text, sizeof(text), "Stopped by %s.\n", names[hit->addr]);
	else
		snprintf(text, sizeof(text), "Stopped by an event.\n");
	say(s, text);
}

static void say_error(struct stub *s, const char *otherwise)
{
	const struct error *err = s->target->ops->error(s->target);

	say(s, err && err->text[0] ? err->text : otherwise);
	say(s, "\n");
}

static void reply_hit(struct stub *s, const struct target_stop *stop)
{
	static const char *const names[] = {"swbreak", "hwbreak", "watch", "rwatch", "awatch"};
	const struct stub_break *b = stub_find_hit(s, stop->hit);
	unsigned type;

	if (!b)
		say_event(s, stop);
	begin_stop(s, SIGNAL_TRAP);
	if (!b)
		return;
	type = b->type - '0';
	if (type >= 2)
		packet_printf(&s->reply, "%s:%llx;", names[type], (unsigned long long)stop->addr);
	else if (type == 0 ? s->swbreak : s->hwbreak)
		packet_printf(&s->reply, "%s:;", names[type]);
}

static void reply_stop(struct stub *s, const struct target_stop *stop)
{
	switch (stop->reason) {
	case TARGET_STOP_BREAK:
	case TARGET_STOP_WATCH:
	case TARGET_STOP_EVENT:
		reply_hit(s, stop);
		return;
	case TARGET_STOP_STEP:
		begin_stop(s, SIGNAL_TRAP);
		return;
	case TARGET_STOP_INTERRUPT:
		begin_stop(s, SIGNAL_INT);
		return;
	case TARGET_STOP_BEGIN:
		begin_stop(s, SIGNAL_TRAP);
		packet_puts(&s->reply, "replaylog:begin;");
		return;
	case TARGET_STOP_END:
		begin_stop(s, SIGNAL_TRAP);
		packet_puts(&s->reply, "replaylog:end;");
		return;
	case TARGET_STOP_DIVERGED:
		say_error(s, "The replay differs from the recording.");
		begin_stop(s, SIGNAL_ABRT);
		return;
	case TARGET_STOP_ERROR:
		say_error(s, "The machine cannot go on.");
		begin_stop(s, SIGNAL_ABRT);
		return;
	}
}

/* An interrupt that came too late for an earlier run may end this one at once: then it is begun again. */
static void run(struct stub *s, struct target_resume *how)
{
	struct target_stop stop = {0};
	unsigned stale = 0;

	how->into_interrupts = s->into_interrupts;
	s->direction = how->direction;
	stub_begin_busy(s);
	do
		s->target->ops->resume(s->target, how, &stop);
	while (stop.reason == TARGET_STOP_INTERRUPT && !atomic_load(&s->interrupted) && ++stale < STALE_MAX);
	stub_end_busy(s);
	if (stop.vcpu < s->target->ops->vcpus(s->target))
		s->vcpu = stop.vcpu;
	reply_stop(s, &stop);
}

static unsigned step_vcpu(const struct stub *s)
{
	return s->resume_thread >= 0 ? (unsigned)s->resume_thread : s->vcpu;
}

static void go(struct stub *s, enum target_direction direction, enum target_resume_kind kind)
{
	struct target_resume how = {.direction = direction, .kind = kind, .vcpu = step_vcpu(s)};

	run(s, &how);
}

/* ?: where the machine stands; how it came there is not repeated to a client that wasn't there. */
void stub_reply_stopped(struct stub *s)
{
	begin_stop(s, SIGNAL_TRAP);
}

void stub_why(struct stub *s, struct args *a)
{
	stub_reply_stopped(s);
}

void stub_back_step(struct stub *s, struct args *a)
{
	if (s->target->ops->reversible)
		go(s, TARGET_BACKWARD, TARGET_STEP);
}

void stub_back_continue(struct stub *s, struct args *a)
{
	if (s->target->ops->reversible)
		go(s, TARGET_BACKWARD, TARGET_CONTINUE);
}

/* c, s: from another address where one is given. */
static void go_from(struct stub *s, struct args *a, enum target_resume_kind kind)
{
	struct x86_state regs;
	u8 pc[TDESC_REG_MAX] = {0};
	int ret = 0;
	u64 addr;

	if (!args_done(a)) {
		if (!args_hex(a, &addr) || !args_done(a)) {
			reply_error(s, -EINVAL);
			return;
		}
		regs = *target_regs(s->target, s->vcpu);
		store64(pc, addr);
		tdesc_write(&regs, TDESC_RIP, pc);
		ret = s->target->ops->set_regs(s->target, s->vcpu, &regs);
	}
	if (ret < 0)
		reply_error(s, ret);
	else
		go(s, TARGET_FORWARD, kind);
}

void stub_continue(struct stub *s, struct args *a)
{
	go_from(s, a, TARGET_CONTINUE);
}

void stub_step(struct stub *s, struct args *a)
{
	go_from(s, a, TARGET_STEP);
}

/* C, S: "SIGNAL" or "SIGNAL;ADDR". A machine takes no signals. */
static bool skip_signal(struct args *a)
{
	u64 signal;

	return args_hex(a, &signal) && (args_done(a) || args_char(a, ';'));
}

void stub_continue_signal(struct stub *s, struct args *a)
{
	if (skip_signal(a))
		go_from(s, a, TARGET_CONTINUE);
	else
		reply_error(s, -EINVAL);
}

void stub_step_signal(struct stub *s, struct args *a)
{
	if (skip_signal(a))
		go_from(s, a, TARGET_STEP);
	else
		reply_error(s, -EINVAL);
}

/* One action of vCont without its thread. */
static bool parse_action(struct args *a, struct target_resume *how)
{
	u64 signal;
	char c = args_done(a) ? 0 : *a->s++;

	switch (c) {
	case 'C':
	case 'S':
		if (!args_hex(a, &signal))
			return false;
		/* fall through */
	case 'c':
	case 's':
		how->kind = (c | 0x20) == 's' ? TARGET_STEP : TARGET_CONTINUE;
		return true;
	case 'r':
		how->kind = TARGET_RANGE;
		return args_hex(a, &how->start) && args_char(a, ',') && args_hex(a, &how->end);
	}
	return false;
}

/* GDB's range is of addresses as it sees them. An empty one is one step (GDB manual, vCont). */
static void fix_range(struct stub *s, struct target_resume *how)
{
	const struct x86_state *regs = target_regs(s->target, how->vcpu);
	u64 shift = tdesc_pc(regs) - regs->rip;

	if (how->kind != TARGET_RANGE)
		return;
	if (tdesc_pc(regs) < how->start || tdesc_pc(regs) >= how->end)
		how->kind = TARGET_STEP;
	how->start -= shift;
	how->end -= shift;
}

/* vCont;ACTION[:THREAD]...: the first action that steps decides; a thread without an action of its own goes on. */
void stub_vcont(struct stub *s, struct args *a)
{
	struct target_resume how = {.kind = TARGET_CONTINUE, .vcpu = s->vcpu};
	bool any = false;

	while (args_char(a, ';')) {
		struct target_resume action = {.vcpu = s->vcpu};
		int thread = THREAD_ALL;

		if (!parse_action(a, &action) || (args_char(a, ':') && !args_thread(s, a, &thread))) {
			reply_error(s, -EINVAL);
			return;
		}
		if (thread >= 0)
			action.vcpu = thread;
		if (how.kind == TARGET_CONTINUE)
			how = action;
		any = true;
	}
	if (!any || !args_done(a)) {
		reply_error(s, -EINVAL);
		return;
	}
	fix_range(s, &how);
	run(s, &how);
}
