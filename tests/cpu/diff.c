/* SPDX-License-Identifier: GPL-2.0-or-later */
/* diff [--seed N] [--count N] [--seconds N] [--class int|sse|x87] [--keep-going N]
 *
 * Without options: a fixed seed, some seconds of every class. Prints `ok` or `not ok` a class, and each difference
 * before it. */
#include <cpuid.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

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

static const struct {
	const char *name;
	unsigned classes;
	unsigned share; /* of the time */
} runs[] = {{"int", CLASS_INT, 50}, {"sse", CLASS_INT | CLASS_SSE, 30}, {"x87", CLASS_INT | CLASS_X87, 20}};

struct options {
	u64 seed;
	u64 count; /* cases a class, 0: by time */
	double seconds;
	const char *class;
	unsigned keep_going; /* differences shown */
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static bool host_is_intel(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx;
}

/* Differences are told apart by the instructions they shrink to, so that one mistake isn't shown a hundred times. */
#define MAX_SEEN 256
struct seen {
	u16 mnemonic[MAX_SEEN];
	unsigned times[MAX_SEEN];
	unsigned count;
};

static unsigned seen_before(struct seen *seen, const struct diff_case *c)
{
	u16 mnemonic = c->insn[c->count - 1].mnemonic;

	for (unsigned i = 0; i < seen->count; i++)
		if (seen->mnemonic[i] == mnemonic)
			return seen->times[i]++;
	if (seen->count < MAX_SEEN) {
		seen->mnemonic[seen->count] = mnemonic;
		seen->times[seen->count++] = 1;
	}
	return 0;
}

static void print_seen(const struct seen *seen)
{
	for (unsigned i = 0; i < seen->count; i++)
		printf("  %6u %s\n", seen->times[i], ZydisMnemonicGetString(seen->mnemonic[i]));
}

static u64 difference(struct differ *d, struct diff_case *c, struct seen *seen, const struct options *opt, u64 number)
{
	if (seen->count >= opt->keep_going)
		return 1;
	differ_shrink(d, c);
	if (!seen_before(seen, c)) {
		printf("difference in case %lu\n", number);
		differ_print(d, c);
	}
	return 1;
}

/* A sequence that runs into memory which the host process happens to have and the test's guest hasn't. */
static bool hits_host_memory(const struct diff_result *soft)
{
	unsigned char resident;

	return soft->vector == X86_PF && !mincore((void *)(uintptr_t)(soft->cr2 & ~0xfffull), 4096, &resident);
}

struct tally {
	u64 done, different, hangs, faults;
};

static void run_batch(struct differ *d, const struct options *opt, struct diff_case *cases, struct seen *seen,
		      struct tally *t)
{
	static struct diff_result native[NATIVE_BATCH];
	struct diff_result soft;

	if (d->native)
		native_run(d->native, cases, NATIVE_BATCH, native);
	for (unsigned i = 0; i < NATIVE_BATCH; i++) {
		interp_run(d->interp, &cases[i], &soft);
		t->faults += soft.vector != X86_BP;
		if (!d->native)
			continue;
		if (native[i].vector != DIFF_HANG && diff_equal(&cases[i], &native[i], &soft))
			continue;
		if (native[i].vector == DIFF_HANG || hits_host_memory(&soft))
			t->hangs++;
		else
			t->different += difference(d, &cases[i], seen, opt, t->done + i);
	}
	t->done += NATIVE_BATCH;
}

static bool run_class(struct differ *d, const char *name, unsigned classes, const struct options *opt, double seconds)
{
	static struct diff_case cases[NATIVE_BATCH];
	double end = now() + seconds;
	struct seen seen = {.count = 0};
	struct tally t = {0};
	struct rng rng;

	rng_seed(&rng, opt->seed + classes);
	while ((opt->count ? t.done < opt->count : now() < end) && seen.count < opt->keep_going) {
		for (unsigned i = 0; i < NATIVE_BATCH; i++)
			gen_case(d->gen, &rng, classes, &cases[i]);
		run_batch(d, opt, cases, &seen, &t);
	}
	print_seen(&seen);
	printf("%s cpu/diff %s: %lu sequences, %lu ended by a fault, %lu differ, %lu not comparable (seed %lu)%s\n",
	       t.different ? "not ok" : "ok", name, t.done, t.faults, t.different, t.hangs, opt->seed,
	       d->native ? "" : ", interpreter alone");
	fflush(stdout);
	return !t.different;
}

static void parse(int argc, char **argv, struct options *opt)
{
	static const struct option longs[] = {
	    {"seed", required_argument, NULL, 's'},       {"count", required_argument, NULL, 'c'},
	    {"seconds", required_argument, NULL, 't'},    {"class", required_argument, NULL, 'k'},
	    {"keep-going", required_argument, NULL, 'g'}, {NULL, 0, NULL, 0},
	};
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (o) {
		case 's':
			opt->seed = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			opt->count = strtoull(optarg, NULL, 0);
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
		default:
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct options opt = {.seed = 1, .seconds = 20, .keep_going = 10};
	u8 data[DIFF_DATA_SIZE + 4096];
	struct differ d;
	struct rng rng;
	bool ok = true;

	parse(argc, argv, &opt);
	rng_seed(&rng, opt.seed);
	for (unsigned i = 0; i < sizeof(data); i += 8)
		store64(data + i, rng_below(&rng, 4) ? rng_next(&rng) : rng_below(&rng, 256));
	d = (struct differ){
	    .gen = gen_create(host_is_intel()),
	    .native = NATIVE_CLEAN ? native_create(data) : NULL,
	    .interp = interp_create(data),
	    .data = data,
	};
	for (unsigned i = 0; i < ARRAY_SIZE(runs); i++) {
		if (opt.class && strcmp(opt.class, runs[i].name))
			continue;
		ok &= run_class(&d, runs[i].name, runs[i].classes, &opt,
				opt.class ? opt.seconds : opt.seconds * runs[i].share / 100);
	}
	gen_free(d.gen);
	if (d.native)
		native_free(d.native);
	interp_free(d.interp);
	return ok ? 0 : 1;
}
