/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmdbg record; vmdbg run, which is the same without a trace; and vmdbg branch, which begins amid another trace. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/debug.h"
#include "cmd/engines.h"
#include "cmd/figures.h"
#include "cmd/guest.h"
#include "cmd/playback.h"
#include "replay/cut.h"
#include "replay/ring.h"
#include "replay/session.h"
#include "traces/text.h"

struct recording {
	struct options o;
	struct session session;
	struct machine *m;
	struct playback from; /* branch: the trace; session and m are its */
	struct replayer_place from_place;
	struct timeline *past;       /* of the replay: GDB can go back there too */
	struct memory_digest memory; /* of the replay, for the recorder */
	struct ring *ring;           /* record --ring: writer is its */
	struct guest guest;
	struct trace_writer *writer; /* NULL: vmdbg run without --gdb */
	struct recorder *recorder;
	char *output;
	char *folder;  /* run --gdb: where its trace is, which nobody is to see */
	char *kept;    /* where the trace is when its end could not be written */
	bool finished; /* the trace is whole and in its place */
	bool lost;     /* the machine isn't where recording stopped: nothing can be added to the trace */
	char *what;    /* the kernel */
	struct error err;
};

/* What needs instructions to be counted, or NULL. */
static const char *needs_counts(const struct options *o)
{
	if (o->ring)
		return "--ring";
	if (o->checkpoint_every)
		return "--checkpoint-every";
	for (unsigned i = 0; i < o->nr_until; i++)
		if (o->until[i].kind == CONDITION_INSNS)
			return "--until insns:";
	return NULL;
}

/* Whether the guest runs freely, and by which clock. */
static int choose_positions(struct recording *r)
{
	const struct options *o = &r->o;
	struct machine_config *config = &r->session.config;
	const struct engine_ops *engine = config->engine;
	const bool asked = o->positions == POSITIONS_LANDMARK, virtual = o->have_clock && o->clock == CLOCK_VIRTUAL;
	const char *why = needs_counts(o);

	config->clock = o->clock;
	if (o->positions == POSITIONS_COUNTED || (!asked && (!engine->prefers_free || virtual || why || o->gdb)))
		return 0;
	if (!engine->free_running)
		return error_set(&r->err, -EINVAL, "--positions landmark: the engine %s can't let a guest run freely",
				 engine->name);
	if (why)
		return error_set(&r->err, -EINVAL,
				 "%s needs instructions to be counted: it doesn't go with --positions landmark", why);
	if (asked && (virtual || !o->have_clock))
		return error_set(&r->err, -EINVAL, "--positions landmark needs --clock host");
	if (o->gdb) {
		if (!o->quiet)
			complain("GDB needs instructions to be counted: --positions counted is used");
		return 0;
	}
	config->clock = CLOCK_HOST;
	config->free = true;
	return 0;
}

static int make_session(struct recording *r)
{
	const struct options *o = &r->o;
	struct session *s = &r->session;
	int rc = engine_choose(o->engine, &s->config.engine, &r->err);

	if (!rc)
		rc = engine_set_mmu(&s->config, o->mmu, &r->err);
	if (rc)
		return rc;
	if (o->memory)
		s->config.ram = o->memory;
	s->config.vcpus = o->smp;
	rc = choose_positions(r);
	if (rc)
		return rc;
	if (o->have_date)
		s->config.wall_start = o->date;
	else if (s->config.clock == CLOCK_HOST)
		s->config.wall_start = time(NULL);
	s->boot.inguest = o->inguest;
	if (o->flat) {
		s->boot.kind = BOOT_FLAT;
		s->boot.flat_address = o->flat_address;
	}
	if (o->bios)
		s->boot.kind = BOOT_BIOS;
	s->config.firmware = o->bios;
	rc = session_set_kernel(s, o->file, &r->err);
	if (!rc && o->initrd)
		rc = session_set_initrd(s, o->initrd, &r->err);
	if (!rc && o->disk)
		rc = session_set_disk(s, o->disk, &r->err);
	if (!rc && o->append)
		rc = session_set_append(s, o->append, &r->err);
	return rc;
}

/* A trace that is there already is found out before the guest is made. */
static int choose_output(struct recording *r, enum options_command which)
{
	if (which == OPT_BRANCH && (!r->o.at || !r->o.output))
		return error_set(&r->err, -EINVAL, "%s is missing; see vmdbg branch --help",
				 !r->o.at ? "--at POSITION" : "-o FILE");
	r->output = r->o.output ? strdup(r->o.output) : options_default_output(r->o.file);
	if (!r->output)
		return error_set(&r->err, -ENOMEM, "no memory");
	if (!r->o.force && !access(r->output, F_OK))
		return error_set(&r->err, -EEXIST, "%s exists already; --force replaces it, -o names another",
				 r->output);
	return 0;
}

/* Going back needs a trace also where none is asked for: in a folder of its own, removed at the end. */
static int choose_hidden_output(struct recording *r)
{
	int rc = hidden_folder(&r->folder, &r->err);

	if (rc)
		return rc;
	if (asprintf(&r->output, "%s/run.vmt", r->folder) < 0) {
		r->output = NULL;
		return error_set(&r->err, -ENOMEM, "no memory");
	}
	return 0;
}

/* Gone as soon as it is open: however this process ends, nothing is left. */
static void remove_hidden_output(struct recording *r)
{
	if (!r->folder)
		return;
	if (r->output)
		unlink(r->output);
	rmdir(r->folder);
}

/* What a person looking at the trace may want to know. */
static int write_note(struct recording *r, struct trace_writer *w)
{
	struct trace_buf text = {0};
	int rc = trace_text_add(&text, "kernel", r->what);

	if (!rc)
		rc = trace_text_add(&text, "recorder", "vmdbg " VMDBG_VERSION);
	rc = rc ? error_set(&r->err, rc, "no memory") : trace_write(w, TRACE_NOTE, 0, text.data, text.len);
	if (rc && !r->err.text[0])
		r->err = *trace_writer_error(w);
	trace_buf_free(&text);
	return rc;
}

static unsigned session_flags(const struct recording *r)
{
	return r->o.embed_none ? SESSION_EMBED_NONE : 0;
}

/* What every file of the flight recorder begins with. */
static int write_ring_head(void *ctx, struct trace_writer *w, enum ring_head kind, struct error *err)
{
	static const unsigned flags[] = {
	    [RING_START] = 0,
	    [RING_MID] = SESSION_BEGIN_CHECKPOINT,
	    [RING_MID_NAMES] = SESSION_BEGIN_CHECKPOINT | SESSION_NAME_FILES,
	};
	struct recording *r = ctx;
	int rc = session_save(&r->session, w, session_flags(r) | flags[kind], err);

	return rc ? rc : write_note(r, w);
}

static int create_trace(struct recording *r)
{
	const unsigned force = r->o.force ? TRACE_FORCE : 0;
	struct ring_config ring = {
	    .path = r->output, .size = r->o.ring, .force = r->o.force, .head = write_ring_head, .ctx = r};
	struct cut cut = {
	    .position = machine_position(r->m), .place = r->from_place.stream, .console = r->m->progress.console};
	int rc;

	if (r->o.ring) {
		rc = ring_create(&r->ring, &ring, &r->err);
		r->writer = rc ? NULL : ring_writer(r->ring);
		return rc;
	}
	if (r->from.reader) {
		rc = trace_writer_create(&r->writer, r->output, force | trace_cut_flags(r->from.reader), &r->err);
		return rc ? rc : trace_cut(r->from.reader, r->writer, &cut, &r->err);
	}
	rc = trace_writer_create(&r->writer, r->output, force, &r->err);
	return rc ? rc : session_save(&r->session, r->writer, session_flags(r), &r->err);
}

static int start_trace(struct recording *r)
{
	const struct recorder_origin origin = {
	    .writes = r->from_place.writes,
	    .events = r->from_place.events,
	    .console = r->m->progress.console,
	    .memory = &r->memory,
	};
	struct recorder_config config = {
	    .input_fd = guest_input_fd(&r->o),
	    .input_source = INPUT_SERIAL0,
	    .checkpoint_every = r->o.checkpoint_every,
	    .origin = r->from.reader ? &origin : NULL,
	};
	int rc = create_trace(r);

	config.ring = r->ring;
	if (!rc && !r->from.reader && !r->ring)
		rc = write_note(r, r->writer);
	if (!rc && r->session.disk && !r->o.embed_none) {
		config.disk = r->session.disk;
		rc = disk_record(config.disk, r->writer, machine_counter(r->m));
	}
	if (!rc)
		rc = recorder_create(&r->recorder, r->writer, r->m, &config, &r->err);
	return rc;
}

/* Ends a trace that couldn't be finished, and says what is left of it. */
static void abandon_trace(struct recording *r)
{
	char path[4096];

	if (r->ring) {
		if (ring_abandon(r->ring))
			complain("what was recorded until then is in %s and %s.older", r->output, r->output);
		r->ring = NULL;
		r->writer = NULL;
		return;
	}
	snprintf(path, sizeof(path), "%s", trace_writer_path(r->writer));
	if (trace_writer_abandon(r->writer) == 1)
		complain("what was recorded until then is in %s", path);
	r->writer = NULL;
}

static int finish_trace(struct recording *r)
{
	int rc = recorder_finish(r->recorder, &r->err);
	struct stat st;

	if (rc)
		return rc;
	guest_figures(&r->guest);
	if (r->ring) {
		rc = ring_close(r->ring, &r->err);
		r->ring = NULL;
	} else {
		r->kept = strdup(trace_writer_path(r->writer));
		rc = trace_writer_close(r->writer, &r->err);
	}
	r->writer = NULL;
	r->finished = !rc;
	if (!rc && !stat(r->output, &st))
		r->guest.figures.trace_bytes = st.st_size;
	return rc;
}

/* GDB drives it, on the trace that is being written. */
static int debug_guest(struct recording *r)
{
	struct timeline_config config = {
	    .m = r->m, .recorder = r->recorder, .past = r->past, .memory = r->o.checkpoint_memory};
	struct trace_reader *reader = NULL;
	struct replayer *replayer = NULL;
	struct timeline *tl = NULL;
	struct error ignored;
	int rc = recorder_flush(r->recorder, &r->err);

	status_init(&r->guest.status, false, &r->guest.console);
	if (!rc)
		rc = trace_open(&reader, trace_writer_path(r->writer), 0, &r->err);
	remove_hidden_output(r);
	r->session.msr_logged = r->session.config.clock == CLOCK_HOST;
	if (!rc)
		rc = replayer_create(&replayer, reader, r->m, &r->session, &r->err);
	recorder_resume(r->recorder);
	config.reader = reader;
	config.replayer = replayer;
	if (!rc)
		rc = timeline_create(&tl, &config, &r->err);
	if (!rc)
		rc = debug_serve(tl, &r->o, true, &r->err);
	if (tl) {
		int back = timeline_go_live(tl, rc ? &ignored : &r->err);

		r->lost = back;
		rc = rc ? rc : back;
	}
	timeline_free(tl);
	if (replayer)
		replayer_free(replayer);
	recorder_resume(r->recorder);
	if (reader)
		trace_close(reader);
	guest_name_end(&r->guest);
	machine_set_end(r->m, END_USER, 0);
	return rc;
}

static int run_guest(struct recording *r)
{
	const bool record = r->recorder;
	struct error console = {""};
	int rc, finish;

	rc = guest_init(&r->guest, r->m, &r->o, false, &r->err);
	if (rc)
		return rc;
	r->guest.recorder = r->recorder;
	rc = r->o.gdb ? debug_guest(r) : guest_run(&r->guest);
	/* The recorder may run the guest a little further: its console and the signals are still needed. */
	if (record && !r->lost) {
		int trace = finish_trace(r);

		rc = rc ? rc : trace;
	}
	if (rc && !r->err.text[0])
		error_set(&r->err, rc, "the machine stopped: %s", strerror(-rc));
	finish = guest_finish(&r->guest, &console);
	if (rc || !finish)
		return rc;
	r->err = console;
	return finish;
}

static void print_summary(const struct recording *r)
{
	const struct figures *f = &r->guest.figures;
	char a[2 * FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], d[FORMAT_MAX], e[FORMAT_MAX];

	fflush(stdout);
	if (r->guest.console.tty && r->guest.console.column)
		fputc('\n', stderr);
	fprintf(stderr, "vmdbg: %s: %s, at RIP 0x%llx: %s, %s of guest time, in %.1f s%s", r->what,
		end_sentence(r->m->end), (unsigned long long)r->m->vcpu[0]->regs.rip, format_ran(a, f),
		format_ns(b, f->guest_ns), f->seconds, format_rate(e, f));
	if (r->recorder && !r->folder)
		fprintf(stderr, "; %s events; %s has %s", format_count(c, f->events), r->output,
			format_bytes(d, f->trace_bytes));
	fputc('\n', stderr);
}

static int print_json(const struct recording *r, int status)
{
	const bool kept = r->recorder && !r->folder;
	json_t *j = figures_json(kept ? "record" : "run", &r->guest.figures);

	json_object_set_new(j, "kernel", figures_json_text(r->what));
	json_object_set_new(j, "engine", json_string(r->session.config.engine->name));
	json_object_set_new(j, "memory_bytes", json_integer(r->m->config.ram));
	json_object_set_new(j, "end", json_string(machine_end_name(r->m->end)));
	json_object_set_new(j, "end_code", json_integer(r->m->end_code));
	json_object_set_new(j, "rip", json_sprintf("0x%llx", (unsigned long long)r->m->vcpu[0]->regs.rip));
	json_object_set_new(j, "exit_status", json_integer(status));
	if (kept)
		json_object_set_new(j, "trace", figures_json_text(r->output));
	return figures_json_print(j);
}

static int make_machine(struct recording *r)
{
	int rc = make_session(r);

	if (!rc)
		rc = machine_create(&r->m, &r->session.config, &r->err);
	if (!rc)
		rc = boot_load(r->m, &r->session.boot, &r->what, &r->err);
	return rc;
}

/* Replays to where the branch leaves the recording. */
static int follow(struct recording *r)
{
	struct playback *p = &r->from;
	struct timeline_config config = {
	    .m = p->m, .replayer = p->replayer, .reader = p->reader, .memory = r->o.checkpoint_memory};
	struct target *t;
	int rc;

	rc = timeline_create(&r->past, &config, &r->err);
	if (rc)
		return rc;
	t = timeline_target(r->past);
	rc = t->ops->seek(t, r->o.at, &r->err);
	if (!rc && (replayer_result(p->replayer) != REPLAY_RUNNING || p->m->end))
		rc = error_set(&r->err, -EINVAL, "--at %s is the end of the recording: nothing can follow it", r->o.at);
	if (!rc && vcpu_deliveries(p->m->vcpu[0]))
		rc = error_set(&r->err, -EINVAL,
			       "--at %s lies between an interrupt's delivery and its handler; take %llu or %llu",
			       r->o.at, (unsigned long long)machine_position(p->m),
			       (unsigned long long)machine_position(p->m) + 1);
	replayer_save(p->replayer, &r->from_place);
	return rc;
}

static int make_branch(struct recording *r)
{
	int rc;

	rc = playback_open(&r->from, &r->o, true, &r->err);
	r->m = r->from.m;
	/* The session's files stay where they are; both know of them until the end. */
	r->session = r->from.session;
	r->what = strdup(r->from.what ? r->from.what : "a recording");
	if (!rc && !r->what)
		rc = error_set(&r->err, -ENOMEM, "no memory");
	if (!rc)
		rc = follow(r);
	/* The recorder may make checkpoints of its own. */
	if (!r->o.gdb) {
		timeline_free(r->past);
		r->past = NULL;
	}
	if (!rc)
		replayer_take_digest(r->from.replayer, &r->memory);
	return rc;
}

static int record(struct recording *r, enum options_command which)
{
	int status, rc = which != OPT_RUN ? choose_output(r, which) : r->o.gdb ? choose_hidden_output(r) : 0;

	if (!rc)
		rc = options_check_outputs(&r->o, &r->err);
	if (!rc)
		rc = which == OPT_BRANCH ? make_branch(r) : make_machine(r);
	if (!rc && r->output)
		rc = start_trace(r);
	if (!rc)
		rc = run_guest(r);
	if (rc) {
		status = complain_error(&r->err, rc);
		if (r->writer && r->folder)
			trace_writer_abandon(r->writer);
		else if (r->writer)
			abandon_trace(r);
		else if (!r->folder && r->kept && access(r->kept, F_OK) == 0 && !r->finished)
			complain("what was recorded is in %s", r->kept);
		return status;
	}
	status = guest_status(&r->guest);
	if (r->m->fault.text[0])
		complain("%s", r->m->fault.text);
	if (!r->o.quiet)
		print_summary(r);
	if (r->o.json && print_json(r, status))
		return STATUS_USAGE;
	return status;
}

static void release(struct recording *r)
{
	if (r->recorder)
		recorder_free(r->recorder);
	memory_digest_free(&r->memory);
	timeline_free(r->past);
	if (r->from.reader) {
		playback_close(&r->from);
	} else {
		machine_free(r->m);
		session_free(&r->session);
	}
	options_free(&r->o);
	remove_hidden_output(r);
	free(r->folder);
	free(r->output);
	free(r->kept);
	free(r->what);
}

static int record_command(int argc, char **argv, const struct command *command, enum options_command which)
{
	struct recording *r = calloc(1, sizeof(*r));
	int status;

	if (!r) {
		complain("no memory");
		return STATUS_FAULT;
	}
	session_init(&r->session);
	if (options_parse(&r->o, which, which == OPT_BRANCH ? "TRACE" : "KERNEL", argc, argv, &r->err)) {
		complain("%s", r->err.text);
		status = STATUS_USAGE;
	} else if (r->o.help) {
		command_help(stdout, command, which);
		status = STATUS_OK;
	} else {
		status = record(r, which);
	}
	release(r);
	free(r);
	return status;
}

static int run_record(int argc, char **argv)
{
	return record_command(argc, argv, &cmd_record, OPT_RECORD);
}

static int run_run(int argc, char **argv)
{
	return record_command(argc, argv, &cmd_run, OPT_RUN);
}

static int run_branch(int argc, char **argv)
{
	return record_command(argc, argv, &cmd_branch, OPT_BRANCH);
}

const struct command cmd_record = {
    .name = "record",
    .summary = "run a kernel and record everything that happens to it",
    .usage = "usage: vmdbg record [OPTIONS] KERNEL\n"
	     "\n"
	     "Boots KERNEL (Linux bzImage or vmlinux, Multiboot, PVH, ELF64, a flat binary with --flat,\n"
	     "or firmware with --bios) in a virtual PC and writes a trace from which vmdbg replay\n"
	     "repeats the run bit for bit. The guest's console is stdout, stdin its serial port. Ctrl-C\n"
	     "ends the recording cleanly, a second one at once; what was written until then can be\n"
	     "replayed.\n"
	     "\n"
	     "Exit status: 0 the guest powered off, reset or halted, or --until was met; 4 it panicked\n"
	     "or crashed in a triple fault; (v<<1)|1 it wrote v to isa-debug-exit (port 0xf4); 2 bad\n"
	     "usage, input, or an output that can't be written; 70 a fault of vmdbg itself.\n",
    .examples = "  vmdbg record ./kernel.elf                          # -> kernel.elf.vmt\n"
		"  vmdbg record -o boot.vmt --initrd initrd.gz --append \"console=ttyS0 panic=-1\" vmlinuz\n"
		"  vmdbg record -m 1G --until 'pattern:login:' --append console=ttyS0 vmlinuz\n"
		"  vmdbg record --until insns:2G --quiet --json kernel.elf | jq .mips\n"
		"  vmdbg record --ring 256M --append console=ttyS0 vmlinuz    # keep only the last stretch\n"
		"  vmdbg record --gdb ./kernel.elf                            # gdb: target remote :1234\n",
    .run = run_record,
};

const struct command cmd_run = {
    .name = "run",
    .summary = "run a kernel without recording it",
    .usage = "usage: vmdbg run [OPTIONS] KERNEL\n"
	     "\n"
	     "Boots KERNEL as vmdbg record does, but writes no trace; the guest gets no input. With\n"
	     "--gdb GDB can go back all the same. Exit statuses are those of vmdbg record.\n",
    .examples = "  vmdbg run ./kernel.elf\n"
		"  vmdbg run --append console=ttyS0 --initrd initrd.gz vmlinuz\n"
		"  vmdbg run --flat 0x100000 boot.bin\n"
		"  vmdbg run --bios --until 'pattern:No bootable device' /usr/share/seabios/bios.bin\n"
		"  vmdbg run --gdb ./kernel.elf                               # gdb: target remote :1234\n",
    .run = run_run,
};

const struct command cmd_branch = {
    .name = "branch",
    .summary = "go on from amid a recording, as a new one",
    .usage = "usage: vmdbg branch [OPTIONS] --at POSITION TRACE -o NEW\n"
	     "\n"
	     "Replays TRACE up to POSITION, lets go of the recording there and records what the guest\n"
	     "does from then on, with the input that it gets now. NEW holds both parts and is replayed\n"
	     "like any trace; TRACE stays as it is. --until counts from the machine's start. Exit statuses\n"
	     "are those of vmdbg record.\n",
    .examples = "  vmdbg branch --at 50% boot.vmt -o other.vmt\n"
		"  vmdbg branch --at event:1000 --until insns:3G boot.vmt -o other.vmt\n"
		"  vmdbg branch --at 812.5ms --gdb boot.vmt -o other.vmt\n",
    .run = run_branch,
};
