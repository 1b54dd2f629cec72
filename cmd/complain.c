/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "cmd/cmd.h"

void complain(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("vmdbg: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
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
