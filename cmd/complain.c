/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "cmd/cmd.h"

void complain(const char *fmt, ...)
{
	char text[5000];
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* Names from traces and folders may hold anything: a sentence is one line. */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	fprintf(stderr, "vmdbg: %s\n", text);
}

int complain_error(const struct error *err, int code)
{
	complain("%s", err->text[0] ? err->text : "an error without a name");
	switch (code) {
	case -EBADMSG:
		return STATUS_DAMAGED;
	case -EFAULT:
		return STATUS_FAULT;
	default:
		return STATUS_USAGE;
	}
}
