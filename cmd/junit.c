/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/junit.h"

#include <errno.h>
#include <stdio.h>

#include "vmm/types.h"

/* The length of the UTF-8 sequence at @s that XML 1.0 allows (section 2.2), or 0. */
static int utf8_len(const u8 *s)
{
	u32 c;

	if (s[0] < 0x80)
		return s[0] >= 0x20 || s[0] == '\t' || s[0] == '\n';
	if ((s[0] & 0xe0) == 0xc0 && (s[1] & 0xc0) == 0x80)
		return s[0] >= 0xc2 ? 2 : 0;
	if ((s[0] & 0xf0) == 0xe0 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80) {
		c = (s[0] & 0xf) << 12 | (s[1] & 0x3f) << 6 | (s[2] & 0x3f);
		return c >= 0x800 && (c < 0xd800 || c > 0xdfff) && c < 0xfffe ? 3 : 0;
	}
	if ((s[0] & 0xf8) == 0xf0 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 && (s[3] & 0xc0) == 0x80) {
		c = (s[0] & 7) << 18 | (s[1] & 0x3f) << 12 | (s[2] & 0x3f) << 6 | (s[3] & 0x3f);
		return c >= 0x10000 && c <= 0x10ffff ? 4 : 0;
	}
	return 0;
}

static void put_escaped(FILE *f, const char *text)
{
	const u8 *s = (const u8 *)text;

	while (*s) {
		int len = utf8_len(s);

		if (*s == '&')
			fputs("&amp;", f);
		else if (*s == '<')
			fputs("&lt;", f);
		else if (*s == '>')
			fputs("&gt;", f);
		else if (*s == '"')
			fputs("&quot;", f);
		else if (len)
			fwrite(s, 1, len, f);
		else if (*s != '\r')
			fputc('?', f);
		s += len ? len : 1;
	}
}

static void put_element(FILE *f, const char *element, const char *message, const char *details)
{
	fprintf(f, "    <%s message=\"", element);
	put_escaped(f, message);
	fputs("\">", f);
	if (details)
		put_escaped(f, details);
	fprintf(f, "</%s>\n", element);
}

static void put_case(FILE *f, const struct junit_case *c)
{
	fprintf(
	    f,
	    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	    "<testsuite name=\"vmdbg replay\" tests=\"1\" failures=\"%d\" errors=\"%d\" skipped=\"0\" time=\"%.3f\">\n"
	    "  <testcase classname=\"vmdbg.replay\" name=\"",
	    c->failure ? 1 : 0, c->error ? 1 : 0, c->seconds);
	put_escaped(f, c->name);
	fprintf(f, "\" time=\"%.3f\">\n", c->seconds);
	if (c->failure)
		put_element(f, "failure", c->failure, c->details);
	if (c->error)
		put_element(f, "error", c->error, c->details);
	if (c->output) {
		fputs("    <system-out>", f);
		put_escaped(f, c->output);
		fputs("</system-out>\n", f);
	}
	fputs("  </testcase>\n</testsuite>\n", f);
}

int junit_write(const char *path, const struct junit_case *c, struct error *err)
{
	FILE *f = fopen(path, "we");
	int bad;

	if (!f)
		return error_set(err, -errno, "%s: can't write the JUnit report: %s", path, strerror(errno));
	put_case(f, c);
	bad = ferror(f);
	if (fclose(f) || bad)
		return error_set(err, -EIO, "%s: the JUnit report could not be written whole: %s", path,
				 strerror(errno));
	return 0;
}
