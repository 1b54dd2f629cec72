/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/figures.h"
#include "cmd/options.h"
#include "cmd/trace_view.h"

/* A damaged or cut-off trace is shown as far as it goes, and then named as what it is. */
static int say_damage(const struct trace_reader *r, const char *path)
{
	fflush(stdout);
	if (r->state == TRACE_WHOLE)
		return STATUS_OK;
	complain("%s: %s", path, r->damage.text);
	return STATUS_DAMAGED;
}

static int verify_json(const struct trace_reader *r, const struct options *o, int rc, const struct error *err)
{
	json_t *j = json_object();

	json_object_set_new(j, "trace", figures_json_text(o->file));
	json_object_set_new(j, "state", json_string(trace_state_name(r->state)));
	json_object_set_new(j, "verified", json_boolean(!rc));
	json_object_set_new(j, "bytes", json_integer(r->size));
	json_object_set_new(j, "chunks", json_integer(r->count));
	if (rc)
		json_object_set_new(j, "message", figures_json_text(err->text));
	return figures_json_print(j);
}

static int verify(struct trace_reader *r, const struct options *o)
{
	struct error err = {""};
	int rc = trace_verify(r, &err);

	if (rc)
		error_prefix(&err, rc, "%s", o->file);
	if (o->json && verify_json(r, o, rc, &err))
		return STATUS_USAGE;
	if (rc)
		return complain_error(&err, rc);
	if (!o->json)
		printf("%s: whole: %llu bytes in %zu chunks verified\n", o->file, (unsigned long long)r->size,
		       r->count);
	return STATUS_OK;
}

static int show(const char *what, const struct options *o)
{
	struct error err = {""};
	struct trace_reader *r;
	int status, rc = trace_open(&r, o->file, 0, &err);

	if (rc)
		return complain_error(&err, rc);
	if (!strcmp(what, "verify")) {
		status = verify(r, o);
		goto out;
	}
	rc = !strcmp(what, "info") ? trace_info(r, o->file, o->json, &err) : trace_dump(r, o->json, &err);
	status = rc ? complain_error(&err, rc) : say_damage(r, o->file);
	if (!status && (fflush(stdout) || ferror(stdout))) {
		complain("stdout can't be written");
		status = STATUS_USAGE;
	}
out:
	trace_close(r);
	return status;
}

static const struct command cmd_index = {
    .name = "trace index",
    .usage = "usage: vmdbg trace index [OPTIONS] TRACE\n"
	     "\n"
	     "Replays TRACE and writes it anew with checkpoints, in its place unless -o names another,\n"
	     "so that vmdbg replay --gdb --at end and other far places open at once.\n"
	     "\n"
	     "Exit status: 0; 8 the trace is damaged, or its replay differs; 130 interrupted, and the\n"
	     "trace is as it was; 2 bad usage or input.\n",
    .examples = "  vmdbg trace index boot.vmt\n"
		"  vmdbg trace index --checkpoint-every 2s -o boot-indexed.vmt boot.vmt\n",
};

static const struct command cmd_settle = {
    .name = "trace settle",
    .usage = "usage: vmdbg trace settle [OPTIONS] TRACE\n"
	     "\n"
	     "TRACE was recorded with --positions landmark: it says of each place what the guest's state was\n"
	     "there, not how many instructions had been executed. This replays it once on the soft engine\n"
	     "and writes it anew with counts, in its place unless -o names another, for every engine, GDB,\n"
	     "vmdbg branch and vmdbg trace index.\n"
	     "\n"
	     "Exit status: 0; 8 the trace is damaged or cut off (all of it that is whole is written), or its\n"
	     "replay differs; 130 interrupted, and the trace is as it was; 2 bad usage or input.\n",
    .examples = "  vmdbg trace settle boot.vmt\n"
		"  vmdbg trace settle -o counted.vmt boot.vmt\n",
};

/* The ones that write a trace anew. */
static const struct rewriting {
	char *name; /* for argv[0] */
	const struct command *command;
	enum options_command options;
	int (*run)(const struct options *o, struct error *err);
} rewritings[] = {
    {(char[]){"trace index"}, &cmd_index, OPT_INDEX, trace_index},
    {(char[]){"trace settle"}, &cmd_settle, OPT_SETTLE, trace_settle},
};

static int rewrite(const struct rewriting *what, int argc, char **argv);

static int run_trace(int argc, char **argv)
{
	static const char *const whats[] = {"info", "dump", "verify"};
	struct error err = {""};
	const char *what = NULL;
	struct options o;
	int status;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		command_help(stdout, &cmd_trace, OPT_TRACE);
		return STATUS_OK;
	}
	for (size_t i = 0; i < ARRAY_SIZE(rewritings); i++)
		if (argc > 1 && !strcmp(argv[1], rewritings[i].name + strlen("trace "))) {
			argv[1] = rewritings[i].name;
			return rewrite(&rewritings[i], argc - 1, argv + 1);
		}
	for (size_t i = 0; i < ARRAY_SIZE(whats); i++)
		if (argc > 1 && !strcmp(argv[1], whats[i]))
			what = whats[i];
	if (!what) {
		complain("vmdbg trace takes info, dump, verify, index or settle%s%s%s; see vmdbg trace --help",
			 argc > 1 ? ", not '" : "", argc > 1 ? argv[1] : "", argc > 1 ? "'" : "");
		return STATUS_USAGE;
	}
	argv[1] = argv[0];
	if (options_parse(&o, OPT_TRACE, "TRACE", argc - 1, argv + 1, &err)) {
		complain("%s", err.text);
		status = STATUS_USAGE;
	} else if (o.help) {
		command_help(stdout, &cmd_trace, OPT_TRACE);
		status = STATUS_OK;
	} else {
		status = show(what, &o);
	}
	options_free(&o);
	return status;
}

static int rewrite(const struct rewriting *what, int argc, char **argv)
{
	struct error err = {""};
	struct options o;
	int rc = options_parse(&o, what->options, "TRACE", argc, argv, &err), status = STATUS_OK;

	if (rc) {
		complain("%s", err.text);
		status = STATUS_USAGE;
	} else if (o.help) {
		command_help(stdout, what->command, what->options);
	} else {
		rc = what->run(&o, &err);
		if (rc)
			status = complain_error(&err, rc);
		if (rc == -EINTR)
			status = STATUS_INTERRUPTED;
	}
	options_free(&o);
	return status;
}

const struct command cmd_trace = {
    .name = "trace",
    .summary = "show what is in a trace, verify it, or give it checkpoints or counts",
    .usage = "usage: vmdbg trace info|dump|verify [--json] TRACE\n"
	     "       vmdbg trace index|settle [OPTIONS] TRACE\n"
	     "\n"
	     "info    machine, kernel, end, and sizes by type of chunk\n"
	     "dump    every event, console output, digest and blob, one a line, in file order; with --json\n"
	     "        one object a line\n"
	     "verify  reads every byte and checks it against its checksums and digests\n"
	     "index   replays it once and adds checkpoints; see vmdbg trace index --help\n"
	     "settle  replays it once and adds counts to one recorded with --positions landmark\n"
	     "\n"
	     "Exit status: 0; 8 the trace is damaged or cut off; 2 bad usage or input.\n",
    .examples = "  vmdbg trace info boot.vmt\n"
		"  vmdbg trace dump boot.vmt | grep interrupt\n"
		"  vmdbg trace verify boot.vmt && echo whole\n",
    .run = run_trace,
};
