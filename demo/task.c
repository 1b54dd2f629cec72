/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "demo/kernel.h"

struct ring *journal;
static struct task *first;
static u16 count;

void task_add(const char *name, void (*run)(struct task *), u32 period)
{
	struct task *task = heap_alloc(sizeof(*task));

	*task = (struct task){.run = run, .name = name, .period = period, .due = period, .next = first};
	first = task;
	count++;
}

void task_run_due(u32 now)
{
	u16 index = count;

	for (struct task *task = first; task; task = task->next, index--) {
		if (task->due > now)
			continue;
		task->due += task->period;
		task->runs++;
		ring_put(journal, now, index, EVENT_RUN);
		task->run(task);
	}
}

void task_report(void)
{
	for (struct task *task = first; task; task = task->next)
		print(" %s %u", task->name, task->runs);
	print("\n");
}
