/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gdbstub/monitor_internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>

#include "gdbstub/tdesc.h"

#define RETURN_TRIES 50 /* interrupted attempts to go back; the server repeats an interrupt until the command ends */

const struct stub_command monitor_commands[] = {
    {"when", NULL, "the present position", monitor_when},
    {"seek", "POSITION", "goes to N, N+K, start, end, N%, event:N, checkpoint:N or TIMEms", monitor_seek},
    {"checkpoint", NULL, "remembers the present position under the next number", monitor_checkpoint},
    {"checkpoint delete", "N", "forgets one", monitor_checkpoint_delete},
    {"checkpoints", NULL, "those that are remembered", monitor_checkpoints},
    {"restart", "N", "goes to the position that checkpoint N remembers", monitor_restart},
    {"events", "[BEFORE [AFTER]]", "what was recorded around here (5 and 5)", monitor_events},
    {"lastwrite", "ADDR[,LEN]", "goes to the last write of these bytes before now (8)", monitor_lastwrite},
    {"watch-phys", "ADDR[,LEN] [r|w|a] [if FILTER]", "stops at accesses of physical memory (8 w)", monitor_watch},
    {"watch-phys list", NULL, "these watchpoints", monitor_watch_list},
    {"watch-phys delete", "N", "removes one", monitor_watch_delete},
    {"break-event", "KIND [NUMBER|any]", "stops at interrupt, exception, cr3, io, msr or panic", monitor_event},
    {"break-event list", NULL, "these breakpoints", monitor_event_list},
    {"break-event delete", "N", "removes one", monitor_event_delete},
    {"info registers", NULL, "all general registers", monitor_info_registers},
    {"info cr", NULL, "control registers, EFER, XCR0", monitor_info_cr},
    {"info msr", NULL, "model-specific registers", monitor_info_msr},
    {"info segments", NULL, "segment registers as they are loaded", monitor_info_segments},
    {"info gdt", "[INDEX]", "global descriptor table", monitor_info_gdt},
    {"info ldt", "[INDEX]", "local descriptor table", monitor_info_ldt},
    {"info idt", "[VECTOR]", "interrupt descriptor (or vector) table", monitor_info_idt},
    {"info tss", NULL, "task state segment", monitor_info_tss},
    {"info debug", NULL, "debug registers", monitor_info_debug},
    {"info fpu", NULL, "x87, MMX and SSE registers", monitor_info_fpu},
    {"walk", "ADDR", "page walk of a linear address", monitor_walk},
    {"info mem", "[START [END]]", "mapped linear memory with its rights", monitor_info_mem},
    {"xp", "ADDR [COUNT] [b|h|w|g|s|i]", "physical memory (16 w)", monitor_xp},
    {"disas", "[ADDR [COUNT [16|32|64]]]", "disassembles in the mode of the moment (rip 10)", monitor_disas},
    {"info devices", NULL, "the machine's devices", monitor_info_devices},
    {"info device", "ID", "registers of a device", monitor_info_device},
    {0},
};

struct monitor *monitor_new(struct target *t)
{
	struct monitor *m = calloc(1, sizeof(*m));

	if (m)
		m->target = t;
	return m;
}

void monitor_free(struct monitor *m)
{
	if (!m)
		return;
	monitor_free_breaks(m);
	monitor_free_checkpoints(m);
	free(m);
}

void monitor_client_gone(void *opaque)
{
	monitor_free_breaks(opaque);
}

int call_fail(const struct call *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(c->out, fmt, ap);
	va_end(ap);
	fputc('\n', c->out);
	return -EINVAL;
}

static void skip_blanks(struct call *c)
{
	while (*c->s == ' ')
		c->s++;
}

bool call_char(struct call *c, char ch)
{
	if (*c->s != ch)
		return false;
	c->s++;
	skip_blanks(c);
	return true;
}

static bool is_name(char ch)
{
	return isalnum((unsigned char)ch) || ch == '_';
}

bool call_word(struct call *c, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(c->s, word, len) || is_name(c->s[len]))
		return false;
	c->s += len;
	skip_blanks(c);
	return true;
}

/* The next word, for a complaint. */
static int word_len(const struct call *c)
{
	return strcspn(c->s, " ,");
}

static bool take_number(struct call *c, u64 *value)
{
	char *end;

	if (!isdigit((unsigned char)*c->s))
		return false;
	errno = 0;
	*value = strtoull(c->s, &end, 0);
	if (errno || is_name(*end))
		return false;
	c->s = end;
	return true;
}

int call_number(struct call *c, const char *what, u64 *value)
{
	if (!*c->s)
		return call_fail(c, "%s is missing.", what);
	if (!take_number(c, value))
		return call_fail(c, "%s: \"%.*s\" is not a number as in C.", what, word_len(c), c->s);
	skip_blanks(c);
	return 0;
}

static bool take_register(struct call *c, u64 *value)
{
	const char *name = c->s + (*c->s == '$');
	size_t len = 0;

	while (is_name(name[len]))
		len++;
	for (unsigned n = 0; len && n < tdesc_count(); n++) {
		if (strlen(tdesc_name(n)) != len || strncmp(tdesc_name(n), name, len) ||
		    !tdesc_value(c->target, c->vcpu, call_regs(c), n, value))
			continue;
		c->s = name + len;
		return true;
	}
	return false;
}

int call_address(struct call *c, const char *what, u64 *value)
{
	bool minus = false;

	*value = 0;
	if (!*c->s)
		return call_fail(c, "%s is missing: give a number, or a register as in $rsp+8.", what);
	for (;;) {
		u64 term;

		if (!take_number(c, &term) && !take_register(c, &term))
			return call_fail(c, "%s: \"%.*s\" is neither a number as in C nor a register.", what,
					 word_len(c), c->s);
		*value += minus ? -term : term;
		if (*c->s != '+' && *c->s != '-')
			break;
		minus = *c->s++ == '-';
	}
	if (*c->s && *c->s != ' ' && *c->s != ',')
		return call_fail(c, "%s: \"%.*s\" is left over.", what, word_len(c), c->s);
	skip_blanks(c);
	return 0;
}

int call_optional(struct call *c, const char *what, u64 lo, u64 hi, u64 *value)
{
	u64 v;
	int ret;

	if (!*c->s)
		return 0;
	ret = call_number(c, what, &v);
	if (ret < 0)
		return ret;
	if (v < lo || v > hi)
		return call_fail(c, "%s must be from %llu to %llu.", what, (unsigned long long)lo,
				 (unsigned long long)hi);
	*value = v;
	return 0;
}

int call_range(struct call *c, u64 max, u64 *addr, u64 *len)
{
	int ret = call_address(c, "ADDR", addr);

	if (!ret && call_char(c, ',')) {
		ret = *c->s ? 0 : call_fail(c, "LEN is missing behind the comma.");
		if (!ret)
			ret = call_optional(c, "LEN", 1, max, len);
	}
	if (!ret && *addr + (*len - 1) < *addr)
		return call_fail(c, "The bytes go around the end of memory: give a smaller LEN.");
	return ret;
}

int call_end(struct call *c)
{
	if (*c->s)
		return call_fail(c, "\"%s\" is left over; `monitor help` shows what the command takes.", c->s);
	return 0;
}

void monitor_place(struct target *t, char place[MONITOR_PLACE])
{
	char text[256] = "";

	t->ops->when(t, text, sizeof(text));
	snprintf(place, MONITOR_PLACE, "%.*s", (int)strcspn(text, " "), text);
}

void monitor_say_when(const struct call *c)
{
	char text[256] = "";

	c->target->ops->when(c->target, text, sizeof(text));
	fprintf(c->out, "%s\n", text);
}

void monitor_say_error(const struct call *c, const char *otherwise)
{
	const struct error *err = c->target->ops->error(c->target);

	fprintf(c->out, "%s\n", err && err->text[0] ? err->text : otherwise);
}

int monitor_return(const struct call *c, const char *place)
{
	struct error err = {0};
	int ret = -EINTR;

	for (unsigned i = 0; i < RETURN_TRIES && ret == -EINTR; i++)
		ret = c->target->ops->seek(c->target, place, &err);
	if (ret < 0)
		fprintf(c->out, "Could not go back to %s: %s\n", place, ret == -EINTR ? "interrupted." : err.text);
	return ret;
}

void monitor_flags(FILE *out, u64 value, const struct monitor_flag *flags)
{
	for (; flags->name; flags++) {
		if (value & flags->mask)
			fprintf(out, " %s", flags->name);
	}
}
