/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return code;
}

int error_prefix(struct error *err, int code, const char *fmt, ...)
{
	char old[sizeof(err->text)];
	va_list ap;
	int n;

	if (!err)
		return code;
	memcpy(old, err->text, sizeof(old));
	old[sizeof(old) - 1] = 0;
	va_start(ap, fmt);
	n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n + 2 < sizeof(err->text)) {
		size_t room = sizeof(err->text) - n - 2;
		size_t len = strlen(old);

		if (len >= room)
			len = room - 1;
		memcpy(err->text + n, ": ", 2);
		memcpy(err->text + n + 2, old, len);
		err->text[n + 2 + len] = 0;
	}
	return code;
}
