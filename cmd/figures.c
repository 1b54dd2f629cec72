/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/figures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/cmd.h"

json_t *figures_json(const char *command, const struct figures *f)
{
	json_t *j = json_object();

	json_object_set_new(j, "command", json_string(command));
	json_object_set_new(j, f->accesses ? "accesses" : "instructions", json_integer(f->insns));
	if (!f->accesses)
		json_object_set_new(j, "conditional_branches", json_integer(f->branches));
	json_object_set_new(j, "guest_ns", json_integer(f->guest_ns));
	json_object_set_new(j, "seconds", json_real(f->seconds));
	if (!f->accesses)
		json_object_set_new(j, "mips", json_real(figures_mips(f)));
	if (f->trace_bytes) {
		json_object_set_new(j, "events", json_integer(f->events));
		json_object_set_new(j, "trace_bytes", json_integer(f->trace_bytes));
	}
	return j;
}

json_t *figures_json_text(const char *text)
{
	json_t *j = json_string(text);
	char *copy;

	if (j)
		return j;
	copy = strdup(text);
	if (!copy)
		return json_null();
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	j = json_string(copy);
	free(copy);
	return j;
}

int figures_json_print(json_t *j)
{
	int rc = json_dumpf(j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));

	json_decref(j);
	putchar('\n');
	if (fflush(stdout) || rc) {
		complain("stdout can't be written: %s", strerror(errno));
		return -1;
	}
	return 0;
}
