/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See usage(). Without options: a fixed seed, some seconds of every class. Prints `ok` or `not ok` a class, and each
 * difference before it.
 *
 * Work is cut into blocks of BLOCK sequences. A block's class, memory and sequences follow from the seed and its number,
 * so a difference is found again by both, whatever the time and the number of workers. */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/cpu/coverage.h"
#include "tests/cpu/diff.h"
#include "tests/cpu/isa.h"
#include "vmm/x86/regs.h"

/* AddressSanitizer's shadow memory lies where cases expect nothing: the interpreter then runs alone, checked by it. */
#if defined(__SANITIZE_ADDRESS__)
#define NATIVE_CLEAN 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NATIVE_CLEAN 0
#endif
#endif
#ifndef NATIVE_CLEAN
#define NATIVE_CLEAN 1
#endif

#define BLOCK    (16 * NATIVE_BATCH)
#define MAX_JOBS 64

static const struct {
	const char *name;
	unsigned classes;
} runs[] = {{"int", CLASS_INT},
	    {"sse", CLASS_INT | CLASS_SSE},
	    {"x87", CLASS_INT | CLASS_X87},
	    {"state", CLASS_INT | CLASS_SSE | CLASS_X87 | CLASS_STATE}};

/* Which class a block has. */
static const u8 schedule[] = {0, 1, 2, 0, 3, 1, 0, 2, 0, 1};

struct options {
	u64 seed;
	u64 first, blocks; /* numbers of blocks; 0: by time */
	double seconds;    /* 0: no end */
	const char *class;
	const char *state;
	unsigned keep_going; /* differences shown by a worker */
	unsigned jobs;
	bool coverage;
	bool strict;
};

struct tally {
	u64 done, different, hangs, faults;
};

/* Between the workers. */
struct shared {
	u64 next;              /* block */
	u64 current[MAX_JOBS]; /* the block each worker is at; ~0 when it has ended */
	struct tally tally[ARRAY_SIZE(runs)];
	bool stop;
};

struct session {
	struct options opt;
	struct differ d;
	struct diff_host host;
	struct generator *gen;
	struct cover *cov;
	struct shared *sh;
	double end;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Differences are told apart by the instructions they shrink to, so that one mistake isn't shown a hundred times. */
#define MAX_SEEN 256
struct seen {
	struct {
		u16 mnemonic;
		u8 native, soft; /* vectors */
		u16 flags;       /* that differed */
		unsigned times;
	} kind[MAX_SEEN];
	unsigned count;
};

static bool seen_before(struct seen *seen, const struct diff_case *c, const struct diff_result *a,
			const struct diff_result *b)
{
	u16 mnemonic = c->insn[c->count - 1].mnemonic, flags = (a->regs.rflags ^ b->regs.rflags) & RFLAGS_STATUS;
	u32 native = a->vector, soft = b->vector;

	for (unsigned i = 0; i < seen->count; i++)
		if (seen->kind[i].mnemonic == mnemonic && seen->kind[i].native == native &&
		    seen->kind[i].soft == soft) {
			seen->kind[i].flags |= flags;
			return ++seen->kind[i].times;
		}
	if (seen->count == MAX_SEEN)
		return true;
	seen->kind[seen->count].mnemonic = mnemonic;
	seen->kind[seen->count].native = native;
	seen->kind[seen->count].soft = soft;
	seen->kind[seen->count].flags = flags;
	seen->kind[seen->count++].times = 1;
	return false;
}

static void print_seen(const struct seen *seen)
{
	for (unsigned i = 0; i < seen->count; i++)
		printf("  %6u %s: vector %u, soft %u, flags %x\n", seen->kind[i].times,
		       ZydisMnemonicGetString(seen->kind[i].mnemonic), seen->kind[i].native, seen->kind[i].soft,
		       seen->kind[i].flags);
}

static void difference(struct session *s, struct diff_case *c, struct seen *seen, u64 block, unsigned number)
{
	struct diff_result native, soft;

	if (seen->count >= s->opt.keep_going)
		return;
	differ_shrink(&s->d, c);
	differ_run(&s->d, c, &native, &soft);
	if (seen_before(seen, c, &native, &soft))
		return;
	printf("difference in case %u of --seed %lu --block %lu --class %s\n", number, s->opt.seed, block,
	       runs[schedule[block % ARRAY_SIZE(schedule)]].name);
	differ_print(&s->d, c);
	fflush(stdout);
}

/* Sequences that say nothing: they don't end, or run into memory which the host process happens to have and the test's
 * guest hasn't, or have happened to write over their code, so that another instruction faulted than exceptions.c knows. */
static bool not_comparable(struct session *s, const struct diff_case *c, const struct diff_result *native,
			   const struct diff_result *soft)
{
	unsigned char resident;

	if (native->vector == DIFF_HANG || soft->vector == DIFF_HANG)
		return true;
	if (soft->vector == X86_PF && !mincore((void *)(uintptr_t)(soft->cr2 & ~0xfffull), 4096, &resident))
		return true;
	for (unsigned n = 0; n < c->count; n++)
		if (c->insn[n].modifies >= 0)
			return false;
	return interp_changed_code(s->d.interp, c);
}

static void run_batch(struct session *s, struct diff_case *cases, struct seen *seen, u64 block, unsigned first)
{
	static struct diff_result native[NATIVE_BATCH];
	struct tally *shared = &s->sh->tally[schedule[block % ARRAY_SIZE(schedule)]], t = {.done = NATIVE_BATCH};
	struct differ *d = &s->d;
	struct diff_result soft;

	if (d->native)
		native_run(d->native, cases, NATIVE_BATCH, native);
	for (unsigned i = 0; i < NATIVE_BATCH; i++) {
		interp_run(d->interp, &cases[i], &soft);
		t.faults += soft.vector != X86_BP;
		if (!d->native || (native[i].vector != DIFF_HANG && diff_equal(&cases[i], &native[i], &soft))) {
			cover_case(s->cov, &cases[i], &soft);
		} else if (not_comparable(s, &cases[i], &native[i], &soft)) {
			t.hangs++;
		} else {
			t.different++;
			difference(s, &cases[i], seen, block, first + i);
		}
	}
	__atomic_fetch_add(&shared->done, t.done, __ATOMIC_RELAXED);
	__atomic_fetch_add(&shared->different, t.different, __ATOMIC_RELAXED);
	__atomic_fetch_add(&shared->hangs, t.hangs, __ATOMIC_RELAXED);
	__atomic_fetch_add(&shared->faults, t.faults, __ATOMIC_RELAXED);
}

static void run_block(struct session *s, struct seen *seen, u64 block)
{
	static struct diff_case cases[NATIVE_BATCH];
	static u8 data[DIFF_IMAGE];
	unsigned classes = runs[schedule[block % ARRAY_SIZE(schedule)]].classes;
	struct rng rng;

	rng_seed(&rng, s->opt.seed * 0x9e3779b97f4a7c15 + block);
	gen_data(&s->host, &rng, data);
	s->d.data = data;
	interp_set_data(s->d.interp, data);
	if (s->d.native)
		native_set_data(s->d.native, data);
	for (unsigned n = 0; n < BLOCK && !s->sh->stop; n += NATIVE_BATCH) {
		for (unsigned i = 0; i < NATIVE_BATCH; i++)
			gen_case(s->gen, &rng, classes, &cases[i]);
		run_batch(s, cases, seen, block, n);
	}
}

static bool block_wanted(const struct session *s, u64 block)
{
	return !s->opt.class || !strcmp(s->opt.class, runs[schedule[block % ARRAY_SIZE(schedule)]].name);
}

static void work(struct session *s, unsigned job)
{
	struct shared *sh = s->sh;
	struct seen seen = {.count = 0};

	while (!sh->stop && seen.count < s->opt.keep_going) {
		u64 block = __atomic_fetch_add(&sh->next, 1, __ATOMIC_RELAXED);

		sh->current[job] = block;
		if (s->opt.blocks ? block >= s->opt.first + s->opt.blocks : s->opt.seconds && now() >= s->end)
			break;
		if (block_wanted(s, block))
			run_block(s, &seen, block);
	}
	print_seen(&seen);
	fflush(stdout);
}

/* --- the state of a long run: a line of numbers, and the coverage --- */

static u64 blocks_done(const struct session *s)
{
	u64 done = s->sh->next;

	for (unsigned n = 0; n < s->opt.jobs; n++)
		if (s->sh->current[n] < done)
			done = s->sh->current[n];
	return done;
}

static void state_path(const struct session *s, const char *suffix, char *path, unsigned size)
{
	snprintf(path, size, "%s%s", s->opt.state, suffix);
}

static void state_save(const struct session *s)
{
	char path[512], new[512];
	FILE *f;

	state_path(s, ".new", new, sizeof(new));
	f = fopen(new, "w");
	if (!f)
		return;
	fprintf(f, "seed %lu blocks %lu of %u sequences forms %u\n", s->opt.seed, blocks_done(s), BLOCK,
		s->gen->forms_count);
	for (unsigned n = 0; n < ARRAY_SIZE(runs); n++) {
		const struct tally *t = &s->sh->tally[n];

		fprintf(f, "%s %lu %lu %lu %lu\n", runs[n].name, t->done, t->faults, t->different, t->hangs);
	}
	fwrite(s->cov, cover_size(s->gen), 1, f);
	fclose(f);
	state_path(s, "", path, sizeof(path));
	rename(new, path);
}

static void state_load(struct session *s)
{
	struct tally tally[ARRAY_SIZE(runs)] = {0};
	u64 seed, blocks;
	unsigned size, forms;
	char path[512];
	bool ok;
	FILE *f;

	state_path(s, "", path, sizeof(path));
	f = fopen(path, "r");
	if (!f)
		return;
	ok = fscanf(f, "seed %lu blocks %lu of %u sequences forms %u\n", &seed, &blocks, &size, &forms) == 4 &&
	     seed == s->opt.seed && size == BLOCK && forms == s->gen->forms_count;
	for (unsigned n = 0; n < ARRAY_SIZE(runs) && ok; n++) {
		struct tally *t = &tally[n];

		ok = fscanf(f, "%*s %lu %lu %lu %lu", &t->done, &t->faults, &t->different, &t->hangs) == 4;
	}
	ok = ok && fgetc(f) == '\n' && fread(s->cov, cover_size(s->gen), 1, f) == 1;
	fclose(f);
	if (!ok) {
		printf("# %s is of another run: begun anew\n", path);
		memset(s->cov, 0, cover_size(s->gen));
		return;
	}
	memcpy(s->sh->tally, tally, sizeof(tally));
	s->sh->next = blocks;
	printf("# resumed at block %lu\n", blocks);
}

/* --- workers --- */

static void differ_open(struct session *s)
{
	s->d.gen = s->gen;
	s->d.native = NATIVE_CLEAN ? native_create() : NULL;
	s->host = (struct diff_host){.fsgsbase = true, .ldt = true, .xcr0 = XCR0_X87 | XCR0_SSE};
	if (s->d.native)
		s->host = *native_host(s->d.native);
	s->host.strict = s->host.intel || s->opt.strict;
	s->gen->host = s->host;
	s->d.interp = interp_create(&s->host);
}

static void differ_close(struct session *s)
{
	if (s->d.native)
		native_free(s->d.native);
	interp_free(s->d.interp);
}

static void worker(struct session *s, unsigned job)
{
	if (s->opt.jobs > 1) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(job % sysconf(_SC_NPROCESSORS_ONLN), &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	differ_open(s);
	work(s, job);
	differ_close(s);
}

static struct shared *interrupted;

static void on_signal(int sig)
{
	interrupted->stop = true;
}

static void progress(const struct session *s)
{
	u64 done = 0, different = 0;

	for (unsigned n = 0; n < ARRAY_SIZE(runs); n++) {
		done += s->sh->tally[n].done;
		different += s->sh->tally[n].different;
	}
	printf("# %lu sequences, %lu differ\n", done, different);
	fflush(stdout);
}

static void run_jobs(struct session *s)
{
	unsigned left = s->opt.jobs;
	double next = now() + 60;

	fflush(stdout);
	for (unsigned job = 0; job < s->opt.jobs; job++) {
		pid_t pid = fork();

		if (pid == 0) {
			worker(s, job);
			_exit(0);
		}
		if (pid < 0) {
			perror("fork");
			exit(1);
		}
	}
	while (left) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid > 0 || (pid < 0 && errno == ECHILD)) {
			left--;
			continue;
		}
		usleep(200000);
		if (now() > next) {
			progress(s);
			next += 60;
		}
		if (s->opt.state)
			state_save(s);
	}
}

static void report(const struct session *s)
{
	u64 sum = 0;

	for (unsigned n = 0; n < ARRAY_SIZE(runs); n++) {
		const struct tally *t = &s->sh->tally[n];

		if (!t->done)
			continue;
		printf("%s cpu/diff %s: %lu sequences, %lu ended by a fault, %lu differ, %lu not comparable (seed "
		       "%lu)%s\n",
		       t->different ? "not ok" : "ok", runs[n].name, t->done, t->faults, t->different, t->hangs,
		       s->opt.seed, NATIVE_CLEAN ? "" : ", interpreter alone");
		sum += t->done;
	}
	if (s->opt.state)
		printf("# %lu sequences, blocks 0 to %lu of %u\n", sum, blocks_done(s), BLOCK);
}

static void usage(void)
{
	fputs("diff [--seed N] [--seconds N] [--class int|sse|x87|state]\n"
	      "     [--block N] [--blocks N]  which blocks of sequences, instead of a time\n"
	      "     [--keep-going N]          end after so many different differences (a worker)\n"
	      "     [--jobs N] [--state FILE] in parallel; resumes there\n"
	      "     [--strict]                compare undefined flags on AMD's processors too\n"
	      "     [--coverage]              print the coverage table\n",
	      stderr);
	exit(2);
}

static void parse(int argc, char **argv, struct options *opt)
{
	static const struct option longs[] = {
	    {"seed", required_argument, NULL, 's'},
	    {"block", required_argument, NULL, 'b'},
	    {"blocks", required_argument, NULL, 'n'},
	    {"seconds", required_argument, NULL, 't'},
	    {"class", required_argument, NULL, 'k'},
	    {"keep-going", required_argument, NULL, 'g'},
	    {"jobs", required_argument, NULL, 'j'},
	    {"state", required_argument, NULL, 'f'},
	    {"coverage", no_argument, NULL, 'c'},
	    {"strict", no_argument, NULL, 'x'},
	    {NULL, 0, NULL, 0},
	};
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (o) {
		case 's':
			opt->seed = strtoull(optarg, NULL, 0);
			break;
		case 'b':
			opt->first = strtoull(optarg, NULL, 0);
			opt->blocks = opt->blocks ? opt->blocks : 1;
			break;
		case 'n':
			opt->blocks = strtoull(optarg, NULL, 0);
			break;
		case 't':
			opt->seconds = strtod(optarg, NULL);
			break;
		case 'k':
			opt->class = optarg;
			break;
		case 'g':
			opt->keep_going = strtoul(optarg, NULL, 0);
			break;
		case 'j':
			opt->jobs = strtoul(optarg, NULL, 0);
			break;
		case 'f':
			opt->state = optarg;
			break;
		case 'x':
			opt->strict = true;
			break;
		case 'c':
			opt->coverage = true;
			break;
		default:
			usage();
		}
	}
	if (optind < argc || opt->jobs < 1 || opt->jobs > MAX_JOBS)
		usage();
}

int main(int argc, char **argv)
{
	struct session s = {.opt = {.seed = 1, .seconds = 20, .keep_going = 10, .jobs = 1}};
	struct sigaction action = {.sa_handler = on_signal};
	bool ok = true;

	parse(argc, argv, &s.opt);
	s.sh = interrupted = shared_alloc(sizeof(*s.sh));
	s.sh->next = s.opt.first;
	memset(s.sh->current, 0xff, sizeof(s.sh->current));
	s.gen = gen_create(&s.host);
	s.cov = cover_alloc(s.gen);
	if (s.opt.state)
		state_load(&s);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	s.end = now() + s.opt.seconds;
	if (s.opt.jobs > 1 || s.opt.state)
		run_jobs(&s);
	else
		worker(&s, 0);
	report(&s);
	if (s.opt.state)
		state_save(&s);
	if (s.opt.coverage)
		cover_print(s.cov, s.gen);
	for (unsigned n = 0; n < ARRAY_SIZE(runs); n++)
		ok &= !s.sh->tally[n].different;
	gen_free(s.gen);
	return ok ? 0 : 1;
}
