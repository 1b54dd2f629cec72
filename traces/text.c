/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "traces/text.h"

int trace_text_add(struct trace_buf *text, const char *key, const char *value)
{
	size_t start = text->len;

	if (trace_buf_add(text, key, strlen(key)) || trace_buf_add(text, " ", 1))
		goto nomem;
	for (const char *p = value; *p; p++) {
		const char *out = *p == '\n' ? "\\n" : *p == '\\' ? "\\\\" : p;

		if (trace_buf_add(text, out, out == p ? 1 : 2))
			goto nomem;
	}
	if (!trace_buf_add(text, "\n", 1))
		return 0;
nomem:
	text->len = start;
	return -ENOMEM;
}

int trace_text_addf(struct trace_buf *text, const char *key, const char *fmt, ...)
{
	char *value;
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = vasprintf(&value, fmt, ap);
	va_end(ap);
	if (ret < 0)
		return -ENOMEM;
	ret = trace_text_add(text, key, value);
	free(value);
	return ret;
}

static char *unescape(const u8 *p, size_t len)
{
	char *out = malloc(len + 1), *q = out;

	if (!out)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		char c = (char)p[i];

		if (c == '\\' && i + 1 < len)
			c = p[++i] == 'n' ? '\n' : (char)p[i];
		*q++ = c;
	}
	*q = 0;
	return out;
}

char *trace_text_get(const u8 *text, size_t len, const char *key, unsigned nth)
{
	const u8 *end = text + len;
	size_t klen = strlen(key);

	for (const u8 *line = text, *next; line < end; line = next) {
		const u8 *stop = memchr(line, '\n', (size_t)(end - line));

		if (!stop)
			stop = end;
		next = stop + (stop < end);
		if ((size_t)(stop - line) > klen && !memcmp(line, key, klen) && line[klen] == ' ' && nth-- == 0)
			return unescape(line + klen + 1, (size_t)(stop - line) - klen - 1);
	}
	return NULL;
}

int trace_text_number(const u8 *text, size_t len, const char *key, u64 *value)
{
	char *s = trace_text_get(text, len, key, 0), *end;
	int ret = -EINVAL;

	if (!s)
		return -ENOENT;
	if (*s >= '0' && *s <= '9') {
		errno = 0;
		*value = strtoull(s, &end, *s == '0' && s[1] == 'x' ? 16 : 10);
		if (!errno && !*end)
			ret = 0;
	}
	free(s);
	return ret;
}
