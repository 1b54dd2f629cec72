/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qRcmd: `monitor ...`. Output goes to the client in O packets as it is flushed, the closing OK says that it is all. */
#include "gdbstub/stub_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define LINE_MAX_LEN 4096
#define OUT_BUFFER   8192
#define PLACE        256

typedef int own_run(struct stub *s, const char *args, FILE *out);

struct own_command {
	const char *name, *args, *help;
	own_run *run;
};

static int run_help(struct stub *s, const char *args, FILE *out);

static int run_version(struct stub *s, const char *args, FILE *out)
{
	fprintf(out, "vmdbg %s\n", s->options.version ? s->options.version : "");
	return 0;
}

static int run_switch(const char *args, FILE *out, const char *name, const char *on, const char *off, bool *value)
{
	if (!strcmp(args, on)) {
		*value = true;
	} else if (!strcmp(args, off)) {
		*value = false;
	} else if (*args) {
		fprintf(out, "%s: \"%s\" is neither %s nor %s\n", name, args, on, off);
		return -EINVAL;
	}
	fprintf(out, "%s: %s\n", name, *value ? on : off);
	return 0;
}

static int run_step_irqs(struct stub *s, const char *args, FILE *out)
{
	return run_switch(args, out, "step-irqs", "on", "off", &s->into_interrupts);
}

static int run_address(struct stub *s, const char *args, FILE *out)
{
	return run_switch(args, out, "address", "physical", "linear", &s->physical);
}

static const struct own_command own_commands[] = {
    {"help", "[COMMAND]", "this list", run_help},
    {"info version", NULL, "version of vmdbg", run_version},
    {"step-irqs", "[on|off]", "whether single steps go into interrupt handlers", run_step_irqs},
    {"address", "[linear|physical]", "what memory and new breakpoints are addressed by", run_address},
};

static const struct stub_command no_commands[] = {{0}};

static const struct stub_command *given(const struct stub *s)
{
	return s->options.commands ? s->options.commands : no_commands;
}

/* Whether @line begins with the words of @name; *@args: the rest. */
static bool is_command(const char *name, const char *line, const char **args)
{
	size_t len = strlen(name);

	if (strncmp(name, line, len) || (line[len] && line[len] != ' '))
		return false;
	*args = line + len + strspn(line + len, " ");
	return true;
}

static void help_line(FILE *out, const char *name, const char *args, const char *help)
{
	int n = fprintf(out, "%s%s%s", name, args ? " " : "", args ? args : "");

	fprintf(out, "%*s%s\n", n < 34 ? 36 - n : 2, "", help);
}

/* Those whose name begins with the words asked for. */
static int run_help(struct stub *s, const char *args, FILE *out)
{
	size_t len = strlen(args), shown = 0;

	for (size_t i = 0; i < ARRAY_SIZE(own_commands); i++) {
		if (strncmp(own_commands[i].name, args, len))
			continue;
		help_line(out, own_commands[i].name, own_commands[i].args, own_commands[i].help);
		shown++;
	}
	for (const struct stub_command *c = given(s); c->name; c++) {
		if (strncmp(c->name, args, len))
			continue;
		help_line(out, c->name, c->args, c->help);
		shown++;
	}
	if (!shown)
		fprintf(out, "no command begins with \"%s\"\n", args);
	return 0;
}

/* The longest name wins: "info mem" before "info". */
static void run_line(struct stub *s, const char *line, FILE *out)
{
	const struct own_command *own = NULL;
	const struct stub_command *other = NULL;
	const char *args = "", *rest;
	size_t best = 0;

	for (size_t i = 0; i < ARRAY_SIZE(own_commands); i++) {
		if (strlen(own_commands[i].name) > best && is_command(own_commands[i].name, line, &rest)) {
			own = &own_commands[i];
			best = strlen(own->name);
			args = rest;
		}
	}
	for (const struct stub_command *c = given(s); c->name; c++) {
		if (strlen(c->name) > best && is_command(c->name, line, &rest)) {
			other = c;
			best = strlen(c->name);
			args = rest;
		}
	}
	if (other)
		other->run(s->options.opaque, s->target, s->vcpu, args, out);
	else if (own)
		own->run(s, args, out);
	else
		fprintf(out, "unknown command \"%s\"; `monitor help` lists them\n", line);
}

static ssize_t write_console(void *cookie, const char *buf, size_t len)
{
	stub_console(cookie, buf, len);
	return len;
}

/* GDB keeps what it knew of registers and memory through a monitor command. */
static void say_moved(FILE *out)
{
	fprintf(out,
		"The position has changed; `maintenance flush register-cache` makes GDB look again (the commands of "
		"vmdbg.py do).\n");
}

/* The first word of `when`: finer than the position. */
static void get_place(struct stub *s, char place[PLACE])
{
	place[0] = 0;
	s->target->ops->when(s->target, place, PLACE);
	place[strcspn(place, " ")] = 0;
}

static void run_with_output(struct stub *s, const char *line)
{
	const cookie_io_functions_t functions = {.write = write_console};
	char buffer[OUT_BUFFER], before[PLACE], after[PLACE];
	FILE *out = fopencookie(s, "w", functions);

	if (!out) {
		reply_error(s, -ENOMEM);
		return;
	}
	setvbuf(out, buffer, _IOFBF, sizeof(buffer));
	get_place(s, before);
	stub_begin_busy(s);
	run_line(s, *line ? line : "help", out);
	stub_end_busy(s);
	get_place(s, after);
	if (strcmp(before, after))
		say_moved(out);
	fclose(out);
	reply_ok(s);
}

static void trim(char *line)
{
	char *s = line, *to = line;

	for (; *s; s++) {
		char c = strchr("\t\r\n", *s) ? ' ' : *s;

		if (c != ' ' || (to > line && to[-1] != ' '))
			*to++ = c;
	}
	while (to > line && to[-1] == ' ')
		to--;
	*to = 0;
}

void stub_monitor(struct stub *s, struct args *a)
{
	char line[LINE_MAX_LEN];
	size_t len = args_left(a) / 2;

	if (args_left(a) % 2 || len >= sizeof(line) || !packet_get_bytes(&a->s, a->end, line, len)) {
		reply_error(s, -EINVAL);
		return;
	}
	line[len] = 0;
	trim(line);
	run_with_output(s, line);
}
