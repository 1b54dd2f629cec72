/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "cmd/debug.h"
#include "cmd/disasm.h"
#include "cmd/figures.h"
#include "cmd/guest.h"
#include "cmd/junit.h"
#include "cmd/playback.h"

struct replay {
	struct options o;
	struct playback p;
	struct guest guest;
	enum replay_result result;
	enum machine_end end; /* the guest's, as far as the replay went; END_NONE: not reached */
	u32 end_code;
	char *report;   /* a divergence's, many lines */
	char text[700]; /* what is wrong, in a sentence */
	struct error err;
};

static int set_up(struct replay *r)
{
	int rc = playback_open(&r->p, &r->o, r->o.gdb, &r->err);

	if (!rc)
		rc = guest_init(&r->guest, r->p.m, &r->o, true, &r->err);
	if (!rc)
		r->guest.replayer = r->p.replayer;
	return rc;
}

static void note_end(struct replay *r)
{
	const struct end_record *recorded = replayer_end(r->p.replayer);

	if (r->result == REPLAY_EQUAL && recorded) {
		r->end = recorded->reason;
		r->end_code = recorded->code;
	} else if (r->p.m->end < END_UNTIL) {
		r->end = r->p.m->end;
		r->end_code = r->p.m->end_code;
	}
}

static void make_report(struct replay *r)
{
	const struct divergence *d = replayer_divergence(r->p.replayer);
	size_t len;
	FILE *f;

	if (!d)
		return;
	snprintf(r->text, sizeof(r->text), "%s: the replay differs from the recording: %s", r->o.file, d->what);
	f = open_memstream(&r->report, &len);
	if (!f)
		return;
	divergence_print(d, f, disasm_print, r->p.m);
	fclose(f);
}

/* The first expectation that isn't met, or NULL. */
static const struct condition *unmet(struct replay *r)
{
	console_end_lines(&r->guest.console);
	for (unsigned i = 0; i < r->o.nr_expect; i++) {
		struct condition *c = &r->o.expect[i];

		if (c->kind == CONDITION_PANIC)
			c->met = r->end == END_PANIC || r->guest.panicked;
		else if (c->kind == CONDITION_EXIT)
			c->met = r->end != END_NONE && (u64)end_status(r->end, r->end_code) == c->value;
		if (!c->met)
			return c;
	}
	return NULL;
}

static const char *how_it_ended(const struct replay *r)
{
	return r->end == END_NONE ? "the replay stopped before the guest's end" : end_sentence(r->end);
}

static int judge(struct replay *r)
{
	const struct condition *c;

	/* Whatever differs then, it isn't the guest's run. */
	if (r->p.m->fault.text[0]) {
		snprintf(r->text, sizeof(r->text), "%s: %s", r->o.file, r->p.m->fault.text);
		return STATUS_FAULT;
	}
	switch (r->result) {
	case REPLAY_DIVERGED:
		make_report(r);
		return STATUS_DIVERGED;
	case REPLAY_CUT:
		snprintf(r->text, sizeof(r->text), "%s: %s", r->o.file, replayer_damage(r->p.replayer)->text);
		return STATUS_DAMAGED;
	case REPLAY_EQUAL:
	case REPLAY_STOPPED:
		if (r->result == REPLAY_STOPPED && r->guest.cancelled) {
			snprintf(r->text, sizeof(r->text), "%s: interrupted before the recording's end; equal so far",
				 r->o.file);
			return STATUS_INTERRUPTED;
		}
		c = unmet(r);
		if (!c)
			return STATUS_OK;
		snprintf(r->text, sizeof(r->text), "%s: --expect %s is not met: %s%s", r->o.file, c->text,
			 how_it_ended(r), c->kind == CONDITION_PATTERN ? ", and no line of its console matches" : "");
		return STATUS_UNMET;
	default:
		snprintf(r->text, sizeof(r->text), "%s: the replay came to no result", r->o.file);
		return STATUS_FAULT;
	}
}

static const char *result_name(int status, enum replay_result result)
{
	switch (status) {
	case STATUS_OK:
	case STATUS_UNMET:
		return result == REPLAY_STOPPED ? "stopped" : "equal";
	case STATUS_DIVERGED:
		return "diverged";
	case STATUS_DAMAGED:
		return "damaged";
	case STATUS_INTERRUPTED:
		return "interrupted";
	default:
		return "error";
	}
}

static void print_summary(const struct replay *r, int status)
{
	const struct figures *f = &r->guest.figures;
	char a[2 * FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], d[FORMAT_MAX];

	fflush(stdout);
	if (r->guest.console.tty && r->guest.console.column)
		fputc('\n', stderr);
	if (r->text[0])
		complain("%s", r->text);
	if (r->report)
		fputs(r->report, stderr);
	if (r->o.quiet || (status != STATUS_OK && status != STATUS_UNMET))
		return;
	fprintf(stderr, "vmdbg: %s: %s: %s, %s of guest time, %s events, in %.1f s%s; %s, at RIP 0x%llx\n", r->o.file,
		r->result == REPLAY_EQUAL ? "equal to the recording" : "stopped early, equal so far", format_ran(a, f),
		format_ns(b, f->guest_ns), format_count(c, f->events), f->seconds, format_rate(d, f), how_it_ended(r),
		(unsigned long long)r->p.m->vcpu[0]->regs.rip);
}

static int print_json(const struct replay *r, int status)
{
	json_t *j = figures_json("replay", &r->guest.figures);

	json_object_set_new(j, "trace", figures_json_text(r->o.file));
	json_object_set_new(j, "result", json_string(result_name(status, r->result)));
	json_object_set_new(j, "exit_status", json_integer(status));
	json_object_set_new(j, "end", json_string(machine_end_name(r->end)));
	json_object_set_new(j, "end_code", json_integer(r->end_code));
	if (r->p.m)
		json_object_set_new(j, "rip", json_sprintf("0x%llx", (unsigned long long)r->p.m->vcpu[0]->regs.rip));
	if (r->p.what)
		json_object_set_new(j, "kernel", figures_json_text(r->p.what));
	if (r->text[0])
		json_object_set_new(j, "message", figures_json_text(r->text));
	if (r->report)
		json_object_set_new(j, "report", figures_json_text(r->report));
	return figures_json_print(j);
}

static int write_junit(struct replay *r, int status)
{
	const char *slash = strrchr(r->o.file, '/');
	const bool failure = status == STATUS_DIVERGED || status == STATUS_UNMET;
	struct junit_case c = {
	    .name = slash ? slash + 1 : r->o.file,
	    .seconds = r->guest.figures.seconds,
	    .failure = failure ? r->text : NULL,
	    .error = status != STATUS_OK && !failure ? r->text : NULL,
	    .details = r->report,
	};
	struct error err = {""};

	if (!junit_write(r->o.junit, &c, &err))
		return 0;
	complain("%s", err.text);
	return -1;
}

static int run(struct replay *r)
{
	struct error console = {""};
	int status;

	guest_run(&r->guest); /* why it came back is in the result */
	r->result = replayer_finish(r->p.replayer);
	note_end(r);
	guest_figures(&r->guest);
	status = judge(r);
	if (guest_finish(&r->guest, &console)) {
		complain("%s", console.text);
		status = status ? status : STATUS_USAGE;
	}
	return status;
}

/* GDB instead of a plain replay: what is compared is what GDB makes it run through. */
static int debug(struct replay *r)
{
	struct timeline_config config = {
	    .m = r->p.m, .replayer = r->p.replayer, .reader = r->p.reader, .memory = r->o.checkpoint_memory};
	struct timeline *tl = NULL;
	struct error console = {""};
	int rc = timeline_create(&tl, &config, &r->err);

	if (!rc && r->o.at && !r->o.quiet)
		fprintf(stderr, "vmdbg: going to %s\n", r->o.at);
	if (!rc && r->o.at)
		rc = timeline_target(tl)->ops->seek(timeline_target(tl), r->o.at, &r->err);
	if (!rc)
		rc = debug_serve(tl, &r->o, false, &r->err);
	timeline_free(tl);
	if (r->p.m->fault.text[0])
		complain("%s", r->p.m->fault.text);
	if (guest_finish(&r->guest, &console) && !rc) {
		r->err = console;
		rc = -EIO;
	}
	return rc ? complain_error(&r->err, rc) : STATUS_OK;
}

static int replay(struct replay *r)
{
	int status, rc = set_up(r);

	if (rc) {
		status = complain_error(&r->err, rc);
		snprintf(r->text, sizeof(r->text), "%s", r->err.text);
	} else if (r->o.gdb) {
		return debug(r);
	} else {
		status = run(r);
		print_summary(r, status);
	}
	if (r->o.json && print_json(r, status) && !status)
		status = STATUS_USAGE;
	if (r->o.junit && write_junit(r, status) && !status)
		status = STATUS_USAGE;
	return status;
}

static void release(struct replay *r)
{
	playback_close(&r->p);
	options_free(&r->o);
	free(r->report);
}

static int run_replay(int argc, char **argv)
{
	struct replay *r = calloc(1, sizeof(*r));
	int status;

	if (!r) {
		complain("no memory");
		return STATUS_FAULT;
	}
	session_init(&r->p.session);
	/* Not even the report of an error may be written over an input. */
	if (options_parse(&r->o, OPT_REPLAY, "TRACE", argc, argv, &r->err) ||
	    (!r->o.help && options_check_outputs(&r->o, &r->err))) {
		complain("%s", r->err.text);
		status = STATUS_USAGE;
	} else if (r->o.help) {
		command_help(stdout, &cmd_replay, OPT_REPLAY);
		status = STATUS_OK;
	} else {
		status = replay(r);
	}
	release(r);
	free(r);
	return status;
}

const struct command cmd_replay = {
    .name = "replay",
    .summary = "repeat a recording and check that it comes out the same",
    .usage = "usage: vmdbg replay [OPTIONS] TRACE\n"
	     "\n"
	     "Runs what was recorded once more, bit for bit, and compares every event, every digest of\n"
	     "memory and registers, and the end. The guest's console is printed as it was. With --gdb\n"
	     "it waits for GDB instead, which can go forwards and backwards (man vmdbg: DEBUGGING WITH\n"
	     "GDB, POSITIONS).\n"
	     "\n"
	     "--expect exit:N: N is the exit status that vmdbg record gave, so exit:0 is a clean end,\n"
	     "exit:4 a crash, and exit:(v<<1)|1 a v written to isa-debug-exit.\n"
	     "\n"
	     "Exit status: 0 equal to the recording, whatever the guest's end was; 6 it differs (a report\n"
	     "is on stderr); 8 the trace is damaged or cut off, and was replayed as far as it is whole;\n"
	     "10 --expect is not met; 130 interrupted before the recording's end; 2 bad usage or input;\n"
	     "70 a fault of vmdbg itself.\n",
    .examples = "  vmdbg replay boot.vmt\n"
		"  vmdbg replay --gdb --at end crash.vmt        # gdb vmlinux; in it: target remote :1234\n"
		"  vmdbg replay --until insns:1.5G boot.vmt\n"
		"  vmdbg replay --quiet --expect panic --junit result.xml crash.vmt\n"
		"  vmdbg replay --kernel vmlinuz --initrd initrd.gz small.vmt   # recorded with --embed none\n",
    .run = run_replay,
};
