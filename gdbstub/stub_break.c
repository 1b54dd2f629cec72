/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Z and z: breakpoints and watchpoints with conditions and commands in agent bytecode. Inserting one that is there
 * replaces its conditions and commands, as GDB expects; taking one away that isn't there is fine. */
#include "gdbstub/stub_internal.h"

#include <stdlib.h>

#define LIST_MAX 256 /* conditions, or commands, of one breakpoint */

static int view_reg(void *opaque, unsigned n, u64 *value)
{
	const struct agent_view *v = opaque;

	return tdesc_value(v->target, v->vcpu, target_regs(v->target, v->vcpu), n, value) ? 0 : -ENOENT;
}

static int view_mem(void *opaque, u64 addr, void *buf, size_t len)
{
	const struct agent_view *v = opaque;

	return target_read(v->target, v->vcpu, TARGET_LINEAR, addr, buf, len) == len ? 0 : -EFAULT;
}

static void view_text(void *opaque, const char *text, size_t len)
{
	const struct agent_view *v = opaque;

	stub_console(v->stub, text, len);
}

/* No condition, one that is true, or one that can't be evaluated: GDB stops at those too. */
static bool conditions_hold(const struct stub_break *b, const struct agent_host *host)
{
	u64 value;

	for (unsigned i = 0; i < b->nconditions; i++) {
		if (agent_eval(&b->conditions[i], host, &value) < 0 || value)
			return true;
	}
	return !b->nconditions;
}

/* Called by the target at a hit. With commands the machine goes on behind them. A search backwards passes hits in no
 * order that a user could follow, so commands are silent then. */
static bool break_condition(void *opaque, struct target *t, unsigned vcpu)
{
	struct stub_break *b = opaque;
	struct stub *s = b->stub;
	const struct agent_host host = {
	    .reg = view_reg,
	    .mem = view_mem,
	    .text = view_text,
	    .variables = s->variables,
	    .opaque = &s->view,
	};
	u64 value;

	s->view = (struct agent_view){.target = t, .vcpu = vcpu, .stub = s};
	if (!conditions_hold(b, &host))
		return false;
	if (!b->ncommands)
		return true;
	for (unsigned i = 0; s->direction == TARGET_FORWARD && i < b->ncommands; i++)
		agent_eval(&b->commands[i], &host, &value);
	return false;
}

static void free_list(struct stub *s, struct agent_expr **list, unsigned *n)
{
	for (unsigned i = 0; i < *n; i++) {
		s->bytecode -= (*list)[i].len;
		free((*list)[i].code);
	}
	free(*list);
	*list = NULL;
	*n = 0;
}

static void free_code(struct stub_break *b)
{
	free_list(b->stub, &b->conditions, &b->nconditions);
	free_list(b->stub, &b->commands, &b->ncommands);
}

/* XLEN,BYTES */
static int parse_expr(struct stub *s, struct args *a, struct agent_expr *e)
{
	u64 len;

	if (!args_hex(a, &len) || !args_char(a, ',') || !len || len > AGENT_CODE_MAX)
		return -EINVAL;
	if (s->bytecode + len > STUB_BYTECODE_MAX)
		return -ENOSPC;
	e->code = malloc(len);
	if (!e->code)
		return -ENOMEM;
	if (!packet_get_bytes(&a->s, a->end, e->code, len) || agent_check(e->code, len) < 0) {
		free(e->code);
		return -EINVAL;
	}
	e->len = len;
	s->bytecode += len;
	return 0;
}

static int parse_list(struct stub *s, struct args *a, struct agent_expr **list, unsigned *n)
{
	while (args_char(a, 'X')) {
		struct agent_expr *more;
		int ret;

		if (*n == LIST_MAX)
			return -ENOSPC;
		more = reallocarray(*list, *n + 1, sizeof(**list));
		if (!more)
			return -ENOMEM;
		*list = more;
		ret = parse_expr(s, a, &more[*n]);
		if (ret < 0)
			return ret;
		++*n;
	}
	return 0;
}

/* Behind the kind: ";X...X..." are conditions, ";cmds:PERSIST,X...X..." commands. No command outlives the client,
 * whatever PERSIST is. */
static int parse_code(struct stub *s, struct args *a, struct stub_break *b)
{
	u64 persist;
	int ret = 0;

	while (!ret && args_char(a, ';')) {
		if (args_word(a, "cmds:")) {
			if (!args_hex(a, &persist) || !args_char(a, ','))
				return -EINVAL;
			ret = parse_list(s, a, &b->commands, &b->ncommands);
		} else {
			ret = parse_list(s, a, &b->conditions, &b->nconditions);
		}
	}
	return ret ? ret : args_done(a) ? 0 : -EINVAL;
}

struct place {
	char type;
	u64 addr, len;
};

/* TYPE,ADDR,KIND */
static bool parse_place(struct args *a, struct place *p)
{
	if (args_done(a) || *a->s < '0' || *a->s > '4')
		return false;
	p->type = *a->s++;
	if (!args_char(a, ',') || !args_hex(a, &p->addr) || !args_char(a, ',') || !args_hex(a, &p->len))
		return false;
	if (p->type <= '1') /* the kind is the size of a breakpoint instruction, of which none is written */
		p->len = 1;
	return p->len && p->addr + (p->len - 1) >= p->addr;
}

static struct stub_break **find(struct stub *s, const struct place *p, enum target_space space)
{
	struct stub_break **link = &s->breaks;

	while (*link && ((*link)->type != p->type || (*link)->hw.addr != p->addr || (*link)->hw.len != p->len ||
			 (*link)->hw.space != space))
		link = &(*link)->next;
	return link;
}

static struct stub_break *new_break(struct stub *s, const struct place *p, enum target_space space)
{
	static const enum target_break_kind kinds[] = {TARGET_BREAK_EXEC, TARGET_BREAK_EXEC, TARGET_BREAK_WRITE,
						       TARGET_BREAK_READ, TARGET_BREAK_ACCESS};
	struct stub_break *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->type = p->type;
	b->stub = s;
	b->hw = (struct target_break){.kind = kinds[p->type - '0'], .space = space, .addr = p->addr, .len = p->len};
	return b;
}

/* A breakpoint without code has no condition to call. */
static void set_condition(struct stub_break *b)
{
	b->hw.condition = b->nconditions || b->ncommands ? break_condition : NULL;
	b->hw.opaque = b;
}

/* Puts what was parsed into @fresh in the place of an old one, or beside the others. */
static int insert(struct stub *s, const struct place *p, struct stub_break *fresh)
{
	struct stub_break *old = *find(s, p, fresh->hw.space);
	int ret;

	if (old) {
		free_code(old);
		old->conditions = fresh->conditions;
		old->nconditions = fresh->nconditions;
		old->commands = fresh->commands;
		old->ncommands = fresh->ncommands;
		set_condition(old);
		free(fresh);
		return 0;
	}
	if (s->nbreaks == STUB_BREAK_MAX)
		return -ENOSPC;
	set_condition(fresh);
	ret = s->target->ops->add_break(s->target, &fresh->hw);
	if (ret < 0)
		return ret;
	fresh->next = s->breaks;
	s->breaks = fresh;
	s->nbreaks++;
	return 0;
}

void stub_insert(struct stub *s, struct args *a)
{
	struct stub_break *fresh;
	struct place p;
	int ret;

	if (!args_done(a) && *a->s > '4')
		return; /* a type of the future: not known, not wrong */
	if (!parse_place(a, &p)) {
		reply_error(s, -EINVAL);
		return;
	}
	fresh = new_break(s, &p, s->physical ? TARGET_PHYSICAL : TARGET_LINEAR);
	ret = fresh ? parse_code(s, a, fresh) : -ENOMEM;
	if (!ret)
		ret = insert(s, &p, fresh);
	if (!ret) {
		reply_ok(s);
		return;
	}
	if (fresh)
		free_code(fresh);
	free(fresh);
	reply_error(s, ret);
}

static void unlink_break(struct stub *s, struct stub_break **link)
{
	struct stub_break *b = *link;

	*link = b->next;
	s->nbreaks--;
	s->target->ops->remove_break(s->target, &b->hw);
	free_code(b);
	free(b);
}

/* The space may have been switched since the breakpoint was set. */
void stub_remove(struct stub *s, struct args *a)
{
	enum target_space space = s->physical ? TARGET_PHYSICAL : TARGET_LINEAR;
	struct stub_break **link;
	struct place p;

	if (!args_done(a) && *a->s > '4')
		return;
	if (!parse_place(a, &p) || !args_done(a)) {
		reply_error(s, -EINVAL);
		return;
	}
	link = find(s, &p, space);
	if (!*link)
		link = find(s, &p, space == TARGET_LINEAR ? TARGET_PHYSICAL : TARGET_LINEAR);
	if (*link)
		unlink_break(s, link);
	reply_ok(s);
}

void stub_remove_all(struct stub *s)
{
	while (s->breaks)
		unlink_break(s, &s->breaks);
	if (s->options.client_gone)
		s->options.client_gone(s->options.opaque);
}

const struct stub_break *stub_find_hit(const struct stub *s, const struct target_break *hit)
{
	for (const struct stub_break *b = s->breaks; b; b = b->next) {
		if (&b->hw == hit)
			return b;
	}
	return NULL;
}
