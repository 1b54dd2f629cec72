/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/condition.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

int parse_number(const char *text, u64 max, u64 *value)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, text[0] == '0' && (text[1] | 32) == 'x' ? 16 : 10);
	return errno || *end || *value > max ? -EINVAL : 0;
}

/* @text up to a suffix, times @scale: digits, maybe a point and up to 9 more digits. */
static int parse_decimal(const char *text, const char **end, u64 scale, u64 *value)
{
	unsigned __int128 whole = 0, part = 0, unit = 1;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++) {
		whole = whole * 10 + (*text - '0');
		if (whole > ~0ull)
			return -EINVAL;
	}
	if (*text == '.' && isdigit((unsigned char)text[1]))
		for (text++; isdigit((unsigned char)*text); text++) {
			part = part * 10 + (*text - '0');
			unit *= 10;
			if (unit > 1000000000)
				return -EINVAL;
		}
	*end = text;
	whole = whole * scale + part * scale / unit;
	if (whole > ~0ull)
		return -EINVAL;
	*value = whole;
	return 0;
}

static int parse_scaled(const char *text, const char *letters, u64 base, u64 bare, u64 *value)
{
	u64 scale = bare, ignored;
	const char *end, *letter;
	int rc = parse_decimal(text, &end, 1, &ignored);

	if (rc)
		return rc;
	if (*end) {
		letter = strchr(letters, toupper((unsigned char)*end));
		if (!letter || end[1])
			return -EINVAL;
		scale = 1;
		for (const char *p = letters; p <= letter; p++)
			scale *= base;
	}
	return parse_decimal(text, &end, scale, value);
}

int parse_count(const char *text, u64 *value)
{
	return parse_scaled(text, "KMG", 1000, 1, value);
}

int parse_size(const char *text, u64 *value)
{
	return parse_scaled(text, "KMGT", 1024, 1 << 20, value);
}

int parse_seconds(const char *text, u64 *ns)
{
	const char *end;
	int rc = parse_decimal(text, &end, 1000000000, ns);

	return rc ? rc : *end ? -EINVAL : 0;
}

int parse_interval(const char *text, u64 *insns)
{
	const char *end;
	int rc = parse_decimal(text, &end, 1000000000, insns);

	if (!rc && !strcmp(end, "s"))
		return 0;
	rc = parse_decimal(text, &end, 1000000, insns);
	if (!rc && !strcmp(end, "ms"))
		return 0;
	return parse_scaled(text, "KMG", 1000, 1, insns);
}

static int parse_pattern(struct condition *c, const char *re, struct error *err)
{
	char why[200];
	int rc;

	if (!*re)
		return error_set(err, -EINVAL, "'%s': a pattern is missing after pattern:", c->text);
	rc = regcomp(&c->re, re, REG_EXTENDED | REG_NOSUB);
	if (rc) {
		regerror(rc, &c->re, why, sizeof(why));
		return error_set(err, -EINVAL, "'%s' is not a POSIX extended regular expression: %s", re, why);
	}
	c->kind = CONDITION_PATTERN;
	return 0;
}

/* The part of @text after "@name:", or NULL. */
static const char *after(const char *text, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(text, name, len) && text[len] == ':' ? text + len + 1 : NULL;
}

int condition_parse_until(struct condition *c, const char *text, struct error *err)
{
	const char *arg;

	*c = (struct condition){.text = text};
	if (!strcmp(text, "panic")) {
		c->kind = CONDITION_PANIC;
		return 0;
	}
	if (!strcmp(text, "exit")) {
		c->kind = CONDITION_EXIT;
		return 0;
	}
	if ((arg = after(text, "pattern")))
		return parse_pattern(c, arg, err);
	if ((arg = after(text, "insns"))) {
		c->kind = CONDITION_INSNS;
		if (!parse_count(arg, &c->value))
			return 0;
		return error_set(err, -EINVAL, "--until insns:N: '%s' is not a number of instructions", arg);
	}
	if ((arg = after(text, "time"))) {
		c->kind = CONDITION_TIME;
		if (!parse_seconds(arg, &c->value))
			return 0;
		return error_set(err, -EINVAL, "--until time:S: '%s' is not a number of seconds", arg);
	}
	return error_set(err, -EINVAL, "--until takes panic, exit, pattern:RE, insns:N or time:S, not '%s'", text);
}

int condition_parse_expect(struct condition *c, const char *text, struct error *err)
{
	const char *arg;

	*c = (struct condition){.text = text};
	if (!strcmp(text, "panic")) {
		c->kind = CONDITION_PANIC;
		return 0;
	}
	if ((arg = after(text, "exit"))) {
		c->kind = CONDITION_EXIT;
		if (!parse_number(arg, 255, &c->value))
			return 0;
		return error_set(err, -EINVAL, "--expect exit:N: '%s' is not an exit status (0 to 255)", arg);
	}
	if ((arg = after(text, "pattern")))
		return parse_pattern(c, arg, err);
	return error_set(err, -EINVAL, "--expect takes panic, exit:N or pattern:RE, not '%s'", text);
}

void condition_free(struct condition *c)
{
	if (c->kind == CONDITION_PATTERN)
		regfree(&c->re);
}
