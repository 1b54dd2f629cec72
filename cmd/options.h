/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of all commands: one table says which command takes which, parses them, and prints --help. */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/condition.h"
#include "vmm/clock.h"
#include "vmm/error.h"
#include "vmm/types.h"

#define OPTIONS_CONDITIONS 8

enum options_command {
	OPT_RECORD = 1,
	OPT_RUN = 2,
	OPT_REPLAY = 4,
	OPT_TRACE = 8,
	OPT_DOCTOR = 16,
	OPT_BRANCH = 32,
	OPT_INDEX = 64,
	OPT_SETTLE = 128
};

enum positions { POSITIONS_DEFAULT, POSITIONS_COUNTED, POSITIONS_LANDMARK };

enum serial_kind { SERIAL_DEFAULT, SERIAL_STDIO, SERIAL_NULL, SERIAL_FILE };

struct options {
	const char *file;   /* KERNEL or TRACE */
	const char *output; /* -o; NULL: the default */
	const char *engine; /* "auto", ... */
	const char *mmu;    /* NULL: the engine's own */
	u64 memory;         /* bytes; 0: the default */
	u64 smp;
	const char *kernel; /* replay --kernel */
	const char *initrd;
	const char *append;
	const char *disk;
	enum clock_mode clock;
	bool have_clock; /* --clock was given */
	enum positions positions;
	bool have_date;
	u64 date; /* Unix seconds */
	enum serial_kind serial;
	const char *serial_path;
	struct condition until[OPTIONS_CONDITIONS];
	unsigned nr_until;
	struct condition expect[OPTIONS_CONDITIONS];
	unsigned nr_expect;
	bool force, embed_none, inguest, flat, bios, screen, json, quiet;
	u64 flat_address;
	const char *junit;
	bool gdb;
	const char *gdb_address; /* NULL: the default */
	const char *at;          /* a position */
	u64 checkpoint_memory;   /* bytes; 0: the default */
	u64 checkpoint_every;    /* instructions; 0: the default */
	u64 ring;                /* bytes; 0: keep all */
	bool help;
};

/* Reads @argv (argv[0]: the command) into *o. -EINVAL with a sentence. --help sets o->help and reads no further.
 * @what names the one operand ("KERNEL"); NULL: the command takes none. Free *o in every case. */
int options_parse(struct options *o, enum options_command command, const char *what, int argc, char **argv,
		  struct error *err);
void options_free(struct options *o);

/* What --help says of a command's options. */
void options_help(FILE *f, enum options_command command);

/* The whole of a command's --help. */
void command_help(FILE *f, const struct command *command, enum options_command which);

/* -o's default: KERNEL's name without folders, with .vmt. Freed by the caller; NULL: no memory. */
char *options_default_output(const char *kernel);

/* The condition of that kind in a list, or NULL. */
struct condition *options_find(struct condition *list, unsigned nr, enum condition_kind kind);

/* Refuses an output (-o, --serial file:, --junit) that is one of the command's own input files: -EINVAL. */
int options_check_outputs(const struct options *o, struct error *err);

#endif
