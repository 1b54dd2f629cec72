/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Conditions as --until and --expect take them, and the numbers in options. */
#ifndef CMD_CONDITION_H
#define CMD_CONDITION_H

#include <regex.h>

#include "vmm/error.h"
#include "vmm/types.h"

enum condition_kind {
	CONDITION_PANIC,   /* panic */
	CONDITION_EXIT,    /* exit (until), exit:N (expect) */
	CONDITION_PATTERN, /* pattern:RE: a POSIX extended regular expression on lines of the guest's console */
	CONDITION_INSNS,   /* insns:N */
	CONDITION_TIME,    /* time:S */
};

struct condition {
	enum condition_kind kind;
	const char *text; /* as given */
	u64 value;        /* EXIT: status; INSNS: instructions; TIME: guest ns */
	regex_t re;       /* PATTERN */
	bool met;
};

/* Both: -EINVAL with a sentence. @text must stay. */
int condition_parse_until(struct condition *c, const char *text, struct error *err);
int condition_parse_expect(struct condition *c, const char *text, struct error *err);
void condition_free(struct condition *c);

/* Whole numbers: decimal or 0x, at most @max. */
int parse_number(const char *text, u64 max, u64 *value);
/* Counts: a decimal number, which may have a fraction, and K, M, G (powers of 1000), e.g. 1.5G. */
int parse_count(const char *text, u64 *value);
/* Sizes in bytes: a number with K, M, G or T (powers of 1024); a bare number is in MiB. */
int parse_size(const char *text, u64 *value);
/* Instructions, with K, M or G (thousands), or seconds of running at one a nanosecond ("5s", "200ms"). */
int parse_interval(const char *text, u64 *insns);
/* Seconds with at most 9 decimals, to ns. */
int parse_seconds(const char *text, u64 *ns);

#endif
