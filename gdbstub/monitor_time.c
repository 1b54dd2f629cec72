/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Positions: where the target stands, going elsewhere, places to come back to. */
#include "gdbstub/monitor_internal.h"

#include <stdlib.h>

#define EVENTS_MAX 1000

struct monitor_checkpoint {
	unsigned number;
	char place[MONITOR_PLACE];
	struct monitor_checkpoint *next;
};

int monitor_when(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);

	if (call_end(&c) < 0)
		return -EINVAL;
	monitor_say_when(&c);
	return 0;
}

/* Goes to @where and says where that is, also when it was interrupted on the way. */
static int go(struct call *c, const char *where)
{
	struct error err = {0};
	int ret = c->target->ops->seek(c->target, where, &err);

	monitor_forget(c->monitor);
	if (ret == -EINTR)
		fprintf(c->out, "Interrupted; now at ");
	else if (ret < 0)
		return call_fail(c, "%s", err.text[0] ? err.text : "The target can't go there.");
	monitor_say_when(c);
	return ret;
}

int monitor_seek(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);

	if (!*c.s)
		return call_fail(&c, "POSITION is missing: `monitor seek 1000000`, `start`, `end`, `50%%`, `event:7` "
				     "or `12.5ms`.");
	return go(&c, c.s);
}

int monitor_checkpoint(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	struct monitor *m = c.monitor;
	struct monitor_checkpoint *cp, **link = &m->checkpoints;

	if (call_end(&c) < 0)
		return -EINVAL;
	if (m->nr_checkpoints == MONITOR_LIST_MAX)
		return call_fail(&c, "There are %u checkpoints: `monitor checkpoint delete N` makes room.",
				 MONITOR_LIST_MAX);
	cp = calloc(1, sizeof(*cp));
	if (!cp)
		return call_fail(&c, "No memory for a checkpoint.");
	cp->number = ++m->last_checkpoint;
	monitor_place(t, cp->place);
	while (*link)
		link = &(*link)->next;
	*link = cp;
	m->nr_checkpoints++;
	fprintf(out, "Checkpoint %u at %s; `monitor restart %u` comes back.\n", cp->number, cp->place, cp->number);
	return 0;
}

int monitor_checkpoints(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);

	if (call_end(&c) < 0)
		return -EINVAL;
	for (const struct monitor_checkpoint *cp = c.monitor->checkpoints; cp; cp = cp->next)
		fprintf(out, "%u at %s\n", cp->number, cp->place);
	if (!c.monitor->checkpoints)
		fprintf(out, "No checkpoints; `monitor checkpoint` makes one here.\n");
	return 0;
}

/* The link to the checkpoint whose number the arguments give; NULL: there is none, and it has said so. */
static struct monitor_checkpoint **find(struct call *c)
{
	struct monitor_checkpoint **link = &c->monitor->checkpoints;
	u64 number;

	if (call_number(c, "N", &number) < 0 || call_end(c) < 0)
		return NULL;
	while (*link && (*link)->number != number)
		link = &(*link)->next;
	if (!*link) {
		call_fail(c, "There is no checkpoint %llu; `monitor checkpoints` lists them.",
			  (unsigned long long)number);
		return NULL;
	}
	return link;
}

static void drop(struct monitor *m, struct monitor_checkpoint **link)
{
	struct monitor_checkpoint *cp = *link;

	*link = cp->next;
	m->nr_checkpoints--;
	free(cp);
}

int monitor_checkpoint_delete(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	struct monitor_checkpoint **link = find(&c);

	if (!link)
		return -EINVAL;
	drop(c.monitor, link);
	return 0;
}

int monitor_restart(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	struct monitor_checkpoint **link = find(&c);

	return link ? go(&c, (*link)->place) : -EINVAL;
}

void monitor_free_checkpoints(struct monitor *m)
{
	while (m->checkpoints)
		drop(m, &m->checkpoints);
}

int monitor_events(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	u64 before = 5, after = 5;

	if (call_optional(&c, "BEFORE", 0, EVENTS_MAX, &before) < 0 ||
	    call_optional(&c, "AFTER", 0, EVENTS_MAX, &after) < 0 || call_end(&c) < 0)
		return -EINVAL;
	if (!t->ops->events)
		return call_fail(&c, "This target has no recorded events: it is no recording.");
	t->ops->events(t, before, after, out);
	return 0;
}
