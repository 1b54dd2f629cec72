/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "demo/kernel.h"

/* Keeps a running checksum: work for the CPU. */
static void run_hasher(struct task *task)
{
	u64 h = task->state ^ 0xcbf29ce484222325;

	for (int i = 0; i < 2000; i++)
		h = (h ^ (u64)i) * 0x100000001b3;
	task->state = h;
}

/* Looks for primes, a few at a time. */
static void run_primes(struct task *task)
{
	for (u64 n = task->state, end = n + 50; n < end; n++) {
		u64 d = 2;

		while (d * d <= n && n % d)
			d++;
		if (d * d > n && n > 1)
			task->state = n;
	}
	task->state++;
}

static void run_reporter(struct task *task)
{
	print("tick %u:", (u64)ticks);
	task_report();
}

/* Comes seldom. */
static void run_janitor(struct task *task)
{
	print("tick %u: %u events so far\n", (u64)ticks, (u64)journal->total);
}

void kernel_main(void)
{
	u32 seen = 0;

	console_init();
	print("demo kernel: starting\n");
	journal = ring_create();
	task_add("janitor", run_janitor, 300);
	task_add("hasher", run_hasher, 1);
	task_add("primes", run_primes, 3);
	task_add("reporter", run_reporter, 50);
	trap_init();
	for (;;) {
		asm volatile("sti; hlt; cli" : : : "memory");
		while (seen != ticks)
			task_run_due(++seen);
	}
}
