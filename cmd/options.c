/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define RUNS    (OPT_RECORD | OPT_RUN)
#define RECORDS (OPT_RECORD | OPT_BRANCH)
#define REPLAYS (OPT_REPLAY | OPT_BRANCH | OPT_INDEX)

struct option_row {
	const char *name;
	char letter; /* 0: none */
	unsigned commands;
	const char *arg; /* NULL: takes none; in brackets: may be left out */
	const char *help;
	int (*set)(struct options *o, const char *arg, struct error *err);
};

static int set_output(struct options *o, const char *arg, struct error *err)
{
	o->output = arg;
	return *arg ? 0 : error_set(err, -EINVAL, "-o: a file name is missing");
}

static int set_engine(struct options *o, const char *arg, struct error *err)
{
	static const char *const names[] = {"auto", "soft", "kvm", "vtx"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(arg, names[i])) {
			o->engine = names[i];
			return 0;
		}
	return error_set(err, -EINVAL, "--engine takes auto, soft, kvm or vtx, not '%s'", arg);
}

static int set_mmu(struct options *o, const char *arg, struct error *err)
{
	o->mmu = arg;
	return strcmp(arg, "ept") && strcmp(arg, "shadow")
		   ? error_set(err, -EINVAL, "--mmu takes ept or shadow, not '%s'", arg)
		   : 0;
}

static int set_memory(struct options *o, const char *arg, struct error *err)
{
	if (parse_size(arg, &o->memory))
		return error_set(err, -EINVAL, "-m: '%s' is not a size; write for example 512M or 2G", arg);
	if (o->memory < 1 << 20 || o->memory > 64ull << 30)
		return error_set(err, -EINVAL, "-m: guest memory must be 1M to 64G, not %s", arg);
	if (o->memory & 4095)
		return error_set(err, -EINVAL, "-m: guest memory must be a multiple of 4K, %s is not", arg);
	return 0;
}

static int set_smp(struct options *o, const char *arg, struct error *err)
{
	if (parse_number(arg, 16, &o->smp) || !o->smp)
		return error_set(err, -EINVAL, "--smp takes a number of vCPUs from 1 to 16, not '%s'", arg);
	if (o->smp > 1)
		return error_set(err, -EINVAL, "--smp %s: this version runs one vCPU only", arg);
	return 0;
}

static int set_kernel(struct options *o, const char *arg, struct error *err)
{
	o->kernel = arg;
	return 0;
}

static int set_initrd(struct options *o, const char *arg, struct error *err)
{
	o->initrd = arg;
	return 0;
}

static int set_append(struct options *o, const char *arg, struct error *err)
{
	o->append = arg;
	return 0;
}

static int set_disk(struct options *o, const char *arg, struct error *err)
{
	o->disk = arg;
	return 0;
}

static int set_clock(struct options *o, const char *arg, struct error *err)
{
	o->have_clock = true;
	if (!strcmp(arg, "virtual"))
		o->clock = CLOCK_VIRTUAL;
	else if (!strcmp(arg, "host"))
		o->clock = CLOCK_HOST;
	else
		return error_set(err, -EINVAL, "--clock takes virtual or host, not '%s'", arg);
	return 0;
}

static int set_positions(struct options *o, const char *arg, struct error *err)
{
	if (!strcmp(arg, "counted"))
		o->positions = POSITIONS_COUNTED;
	else if (!strcmp(arg, "landmark"))
		o->positions = POSITIONS_LANDMARK;
	else
		return error_set(err, -EINVAL, "--positions takes counted or landmark, not '%s'", arg);
	return 0;
}

static int set_date(struct options *o, const char *arg, struct error *err)
{
	static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};

	o->have_date = true;
	if (!strcmp(arg, "now")) {
		o->date = time(NULL);
		return 0;
	}
	if (arg[0] == '@' && !parse_number(arg + 1, 253402300799, &o->date))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tm tm = {0};
		const char *end = strptime(arg, formats[i], &tm);
		int day = tm.tm_mday;

		if (!end || *end || tm.tm_year < 70)
			continue;
		o->date = timegm(&tm);
		/* 30 February is no other day. */
		if (tm.tm_mday == day)
			return 0;
	}
	return error_set(err, -EINVAL,
			 "--date takes now, @SECONDS or YYYY-MM-DD[THH:MM[:SS]] (UTC, from 1970 on), not '%s'", arg);
}

static int set_serial(struct options *o, const char *arg, struct error *err)
{
	if (!strcmp(arg, "stdio"))
		o->serial = SERIAL_STDIO;
	else if (!strcmp(arg, "null"))
		o->serial = SERIAL_NULL;
	else if (!strncmp(arg, "file:", 5) && arg[5]) {
		o->serial = SERIAL_FILE;
		o->serial_path = arg + 5;
	} else
		return error_set(err, -EINVAL, "--serial takes stdio, null or file:PATH, not '%s'", arg);
	return 0;
}

static int set_until(struct options *o, const char *arg, struct error *err)
{
	int rc;

	if (o->nr_until == OPTIONS_CONDITIONS)
		return error_set(err, -EINVAL, "more than %d --until", OPTIONS_CONDITIONS);
	rc = condition_parse_until(&o->until[o->nr_until], arg, err);
	o->nr_until += !rc;
	return rc;
}

static int set_expect(struct options *o, const char *arg, struct error *err)
{
	int rc;

	if (o->nr_expect == OPTIONS_CONDITIONS)
		return error_set(err, -EINVAL, "more than %d --expect", OPTIONS_CONDITIONS);
	rc = condition_parse_expect(&o->expect[o->nr_expect], arg, err);
	o->nr_expect += !rc;
	return rc;
}

static int set_embed(struct options *o, const char *arg, struct error *err)
{
	if (strcmp(arg, "all") && strcmp(arg, "none"))
		return error_set(err, -EINVAL, "--embed takes all or none, not '%s'", arg);
	o->embed_none = !strcmp(arg, "none");
	return 0;
}

static int set_boot(struct options *o, const char *arg, struct error *err)
{
	if (strcmp(arg, "inguest") && strcmp(arg, "host"))
		return error_set(err, -EINVAL, "--boot takes host or inguest, not '%s'", arg);
	o->inguest = !strcmp(arg, "inguest");
	return 0;
}

static int set_flat(struct options *o, const char *arg, struct error *err)
{
	o->flat = true;
	if (parse_number(arg, ~0ull, &o->flat_address))
		return error_set(err, -EINVAL, "--flat: '%s' is not an address", arg);
	if (o->flat_address & 4095 || o->flat_address >= 1ull << 32)
		return error_set(err, -EINVAL, "--flat %s: the address must be a multiple of 4096 below 4 GiB", arg);
	return 0;
}

static int set_bios(struct options *o, const char *arg, struct error *err)
{
	o->bios = true;
	return 0;
}

static int set_screen(struct options *o, const char *arg, struct error *err)
{
	o->screen = true;
	return 0;
}

static int set_junit(struct options *o, const char *arg, struct error *err)
{
	o->junit = arg;
	return *arg ? 0 : error_set(err, -EINVAL, "--junit: a file name is missing");
}

static int set_gdb(struct options *o, const char *arg, struct error *err)
{
	o->gdb = true;
	o->gdb_address = arg;
	return !arg || *arg ? 0 : error_set(err, -EINVAL, "--gdb=: an address is missing");
}

static int set_at(struct options *o, const char *arg, struct error *err)
{
	o->at = arg;
	return 0;
}

static int set_checkpoint_memory(struct options *o, const char *arg, struct error *err)
{
	if (parse_size(arg, &o->checkpoint_memory) || !o->checkpoint_memory)
		return error_set(err, -EINVAL, "--checkpoint-memory: '%s' is not a size; write for example 512M or 2G",
				 arg);
	return 0;
}

static int set_checkpoint_every(struct options *o, const char *arg, struct error *err)
{
	if (parse_interval(arg, &o->checkpoint_every) || o->checkpoint_every < 1000000)
		return error_set(
		    err, -EINVAL,
		    "--checkpoint-every: '%s' is neither a number of instructions, a million at least, nor "
		    "a time; write for example 500M or 5s (of 10^9 instructions each)",
		    arg);
	return 0;
}

static int set_ring(struct options *o, const char *arg, struct error *err)
{
	if (parse_size(arg, &o->ring) || o->ring < 1 << 20)
		return error_set(err, -EINVAL, "--ring: '%s' is not a size of at least 1M; write for example 256M",
				 arg);
	return 0;
}

static int set_force(struct options *o, const char *arg, struct error *err)
{
	o->force = true;
	return 0;
}

static int set_json(struct options *o, const char *arg, struct error *err)
{
	o->json = true;
	return 0;
}

static int set_quiet(struct options *o, const char *arg, struct error *err)
{
	o->quiet = true;
	return 0;
}

static int set_help(struct options *o, const char *arg, struct error *err)
{
	o->help = true;
	return 0;
}

static const struct option_row rows[] = {
    {"output", 'o', OPT_RECORD, "FILE", "the trace to write (KERNEL's name with .vmt, in this folder)", set_output},
    {"output", 'o', OPT_BRANCH, "FILE", "the trace to write", set_output},
    {"output", 'o', OPT_INDEX, "FILE", "write the indexed trace there, instead of in its place", set_output},
    {"output", 'o', OPT_SETTLE, "FILE", "write the trace with counts there, instead of in its place", set_output},
    {"force", 0, RECORDS | OPT_INDEX | OPT_SETTLE, NULL, "replace a file that is there already", set_force},
    {"engine", 0, RUNS | REPLAYS, "NAME", "auto, soft, kvm or vtx (auto)", set_engine},
    {"mmu", 0, RUNS | REPLAYS, "HOW", "vtx: ept (default), or shadow page tables: exact accessed flags", set_mmu},
    {"memory", 'm', RUNS, "SIZE", "guest memory, with K, M or G (256M)", set_memory},
    {"smp", 0, RUNS, "N", "number of vCPUs (1)", set_smp},
    {"initrd", 0, RUNS, "FILE", "initramfs for Linux, first module for Multiboot", set_initrd},
    {"append", 0, RUNS, "STRING", "the kernel's command line", set_append},
    {"disk", 0, RUNS, "FILE", "image of an ATA disk; never written to", set_disk},
    {"boot", 0, RUNS, "HOW", "host: unpack a bzImage here (default); inguest: leave it to the guest", set_boot},
    {"flat", 0, RUNS, "ADDRESS", "KERNEL is a flat binary: load and enter it there in 64-bit mode", set_flat},
    {"bios", 0, RUNS, NULL, "KERNEL is firmware: it ends at 1 MiB and starts at its reset vector", set_bios},
    {"clock", 0, RUNS, "HOW", "virtual: time follows from instructions (default); host: real time", set_clock},
    {"positions", 0, RUNS, "HOW", "counted: by instructions (default); landmark: the guest runs freely (--clock host)",
     set_positions},
    {"date", 0, RUNS, "DATE", "the guest's date at power-on, UTC: now, @SECONDS, YYYY-MM-DD[THH:MM[:SS]]", set_date},
    {"kernel", 0, REPLAYS | OPT_SETTLE, "FILE", "the kernel, for a trace that names it only", set_kernel},
    {"disk", 0, REPLAYS | OPT_SETTLE, "FILE", "the disk image, for a trace that names it only", set_disk},
    {"initrd", 0, REPLAYS | OPT_SETTLE, "FILE", "the initrd, for a trace that names it only", set_initrd},
    {"serial", 0, RUNS | OPT_REPLAY | OPT_BRANCH, "WHERE", "the guest's console: stdio (default), null or file:PATH",
     set_serial},
    {"screen", 0, RUNS | OPT_REPLAY | OPT_BRANCH, NULL, "print the text screen as it is at the end", set_screen},
    {"until", 0, RUNS | OPT_REPLAY | OPT_BRANCH, "COND",
     "stop at panic, exit, pattern:RE, insns:N or time:S (may repeat)", set_until},
    {"expect", 0, OPT_REPLAY, "COND", "fail unless panic, exit:N or pattern:RE (may repeat: all)", set_expect},
    {"junit", 0, OPT_REPLAY, "FILE", "write the result as a JUnit XML test case", set_junit},
    {"gdb", 0, RUNS | OPT_REPLAY | OPT_BRANCH, "[=WHERE]",
     "serve GDB at ADDR:PORT, PORT or a Unix socket's path (127.0.0.1:1234)", set_gdb},
    {"at", 0, OPT_REPLAY, "POSITION", "with --gdb: where to begin, e.g. end, 50%, 12.5ms, event:N (start)", set_at},
    {"at", 0, OPT_BRANCH, "POSITION", "where to leave the recording, e.g. 50%, 12.5ms, event:N, 123456789", set_at},
    {"checkpoint-memory", 0, RUNS | OPT_REPLAY | OPT_BRANCH, "SIZE",
     "with --gdb: memory for going back (a quarter of this computer's)", set_checkpoint_memory},
    {"checkpoint-every", 0, RECORDS, "N",
     "a checkpoint in the trace each N instructions (500M, 5s): any place opens at once", set_checkpoint_every},
    {"checkpoint-every", 0, OPT_INDEX, "N", "a checkpoint each N instructions, e.g. 500M, 5s (500M)",
     set_checkpoint_every},
    {"ring", 0, OPT_RECORD, "SIZE", "flight recorder: keep only the last stretch, of about that size, e.g. 256M",
     set_ring},
    {"embed", 0, OPT_RECORD, "WHAT", "all: keep kernel, initrd and disk blocks in the trace (default); none: name them",
     set_embed},
    {"json", 0, RUNS | OPT_REPLAY | OPT_BRANCH | OPT_TRACE | OPT_DOCTOR, NULL, "results as JSON on stdout", set_json},
    {"quiet", 'q', RUNS | OPT_BRANCH | OPT_INDEX | OPT_SETTLE, NULL, "no status line, no summary", set_quiet},
    {"quiet", 'q', OPT_REPLAY, NULL, "no status line, no summary, no console", set_quiet},
    {"help", 'h', ~0u, NULL, "this text", set_help},
};

static int takes_argument(const struct option_row *row)
{
	return !row->arg ? no_argument : row->arg[0] == '[' ? optional_argument : required_argument;
}

/* getopt's tables for one command; getopt_long returns 256 + row, or the letter. */
static void make_tables(unsigned command, char *letters, struct option *table)
{
	*letters++ = ':';
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!(rows[i].commands & command))
			continue;
		*table++ = (struct option){rows[i].name, takes_argument(&rows[i]), NULL, 256 + i};
		if (rows[i].letter) {
			*letters++ = rows[i].letter;
			if (rows[i].arg)
				*letters++ = ':';
		}
	}
	*letters = 0;
	*table = (struct option){0};
}

static const struct option_row *find_row(unsigned command, int found)
{
	if (found >= 256)
		return &rows[found - 256];
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].commands & command && rows[i].letter == found)
			return &rows[i];
	return NULL;
}

static int refuse_option(int found, char **argv, struct error *err)
{
	const char *word = argv[optind - 1];

	if (found == ':')
		return error_set(err, -EINVAL, "%s needs an argument; see vmdbg %s --help", word, argv[0]);
	if (optopt && optopt < 256)
		return error_set(err, -EINVAL, "vmdbg %s has no option -%c; see vmdbg %s --help", argv[0], optopt,
				 argv[0]);
	return error_set(err, -EINVAL, "vmdbg %s has no option %s; see vmdbg %s --help", argv[0], word, argv[0]);
}

/* "PORT", ":PORT" or "ADDR:PORT", and no file's name. */
static bool is_address(const char *word)
{
	const char *colon = strrchr(word, ':'), *port = colon ? colon + 1 : word;
	struct stat st;

	return *port && strspn(port, "0123456789") == strlen(port) && stat(word, &st);
}

static int take_operand(struct options *o, const char *what, int argc, char **argv, struct error *err)
{
	if (!what && optind < argc)
		return error_set(err, -EINVAL, "vmdbg %s takes no '%s'", argv[0], argv[optind]);
	if (what && optind == argc)
		return error_set(err, -EINVAL, "%s is missing; see vmdbg %s --help", what, argv[0]);
	if (what && optind + 1 < argc)
		return error_set(err, -EINVAL, "one %s only: '%s' is left over", what, argv[optind + 1]);
	if (what)
		o->file = argv[optind];
	return 0;
}

/* GDB has the machine: what would end a run or judge it has no place beside it. */
static int check_gdb(const struct options *o, enum options_command command, struct error *err)
{
	if (command == OPT_REPLAY && !o->gdb && o->at)
		return error_set(err, -EINVAL, "--at goes with --gdb");
	if (!o->gdb && o->checkpoint_memory)
		return error_set(err, -EINVAL, "--checkpoint-memory goes with --gdb");
	if (o->gdb && (o->nr_until || o->nr_expect || o->junit))
		return error_set(err, -EINVAL, "--gdb doesn't go with --until, --expect or --junit");
	if (o->gdb && (o->ring || (command != OPT_INDEX && o->checkpoint_every)))
		return error_set(err, -EINVAL, "--gdb doesn't go with --ring or --checkpoint-every");
	return 0;
}

int options_parse(struct options *o, enum options_command command, const char *what, int argc, char **argv,
		  struct error *err)
{
	struct option table[ARRAY_SIZE(rows) + 1];
	char letters[2 * ARRAY_SIZE(rows) + 2];
	const struct option_row *row;
	int found, rc;

	*o = (struct options){.engine = "auto", .smp = 1};
	make_tables(command, letters, table);
	opterr = 0;
	optind = 0;
	while ((found = getopt_long(argc, argv, letters, table, NULL)) != -1) {
		row = found == '?' || found == ':' ? NULL : find_row(command, found);
		if (!row)
			return refuse_option(found, argv, err);
		/* An address may stand apart from --gdb: nothing else looks like one. */
		if (takes_argument(row) == optional_argument && !optarg && optind < argc && is_address(argv[optind]))
			optarg = argv[optind++];
		rc = row->set(o, optarg, err);
		if (rc || o->help)
			return rc;
	}
	rc = check_gdb(o, command, err);
	return rc ? rc : take_operand(o, what, argc, argv, err);
}

void options_free(struct options *o)
{
	for (unsigned i = 0; i < o->nr_until; i++)
		condition_free(&o->until[i]);
	for (unsigned i = 0; i < o->nr_expect; i++)
		condition_free(&o->expect[i]);
	o->nr_until = o->nr_expect = 0;
}

void options_help(FILE *f, enum options_command command)
{
	char left[40];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct option_row *r = &rows[i];

		if (!(r->commands & command))
			continue;
		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", r->letter ? '-' : ' ', r->letter ? r->letter : ' ',
			 r->letter ? "," : " ", r->name, takes_argument(r) == required_argument ? " " : "",
			 r->arg ? r->arg : "");
		fprintf(f, "  %-28s  %s\n", left, r->help);
	}
}

void command_help(FILE *f, const struct command *command, enum options_command which)
{
	fprintf(f, "%s\nOptions:\n", command->usage);
	options_help(f, which);
	fprintf(f, "\nExamples:\n%s", command->examples);
}

char *options_default_output(const char *kernel)
{
	const char *slash = strrchr(kernel, '/'), *name = slash ? slash + 1 : kernel;
	char *out;

	return asprintf(&out, "%s.vmt", *name ? name : "kernel") < 0 ? NULL : out;
}

struct condition *options_find(struct condition *list, unsigned nr, enum condition_kind kind)
{
	for (unsigned i = 0; i < nr; i++)
		if (list[i].kind == kind)
			return &list[i];
	return NULL;
}

/* --- outputs that would destroy inputs --- */

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return a && b && !stat(a, &x) && !stat(b, &y) && S_ISREG(x.st_mode) && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

int options_check_outputs(const struct options *o, struct error *err)
{
	const char *inputs[] = {o->file, o->kernel, o->initrd, o->disk};
	const struct {
		const char *option, *path;
	} outputs[] = {{"-o", o->output}, {"--serial", o->serial_path}, {"--junit", o->junit}};

	for (unsigned i = 0; i < ARRAY_SIZE(outputs); i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(inputs); k++)
			if (same_file(outputs[i].path, inputs[k]))
				return error_set(err, -EINVAL, "%s %s: that is the input %s; name another file",
						 outputs[i].option, outputs[i].path, inputs[k]);
		for (unsigned k = 0; k < i; k++)
			if (same_file(outputs[i].path, outputs[k].path))
				return error_set(err, -EINVAL, "%s %s: that is where %s goes; name another file",
						 outputs[i].option, outputs[i].path, outputs[k].option);
	}
	return 0;
}
