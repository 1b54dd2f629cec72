/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main() and the table of commands. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"

static const struct command *const commands[] = {&cmd_record, &cmd_replay, &cmd_run,
						 &cmd_branch, &cmd_trace,  &cmd_doctor};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static void print_help(FILE *f)
{
	fputs("usage: vmdbg COMMAND [ARGUMENTS]\n"
	      "\n"
	      "Records a whole x86-64 machine running an unmodified kernel, and replays it bit for bit.\n"
	      "\n",
	      f);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(f, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fputs("  help     this text, or that of a command\n"
	      "\n"
	      "  vmdbg record ./kernel.elf        # -> kernel.elf.vmt\n"
	      "  vmdbg replay kernel.elf.vmt\n"
	      "\n"
	      "vmdbg COMMAND --help has options and examples; man vmdbg has all of it.\n",
	      f);
}

/* A command's help is the command's own: vmdbg help X is vmdbg X --help. */
static int help(int argc, char **argv)
{
	const struct command *command;
	char option[] = "--help", *two[] = {argc > 1 ? argv[1] : NULL, option, NULL},
	     *three[] = {argc > 1 ? argv[1] : NULL, argc > 2 ? argv[2] : NULL, option, NULL};

	if (argc < 2) {
		print_help(stdout);
		return STATUS_OK;
	}
	command = find_command(argv[1]);
	if (!command) {
		complain("there is no command '%s'; vmdbg help lists them", argv[1]);
		return STATUS_USAGE;
	}
	return argc > 2 ? command->run(3, three) : command->run(2, two);
}

/* Opens what the caller closed of stdin, stdout and stderr: the trace must not get one of their numbers. */
static void open_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static int run(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		print_help(stderr);
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help(argc - 1, argv + 1);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "version")) {
		printf("vmdbg %s\n", VMDBG_VERSION);
		return STATUS_OK;
	}
	command = find_command(argv[1]);
	if (command)
		return command->run(argc - 1, argv + 1);
	complain("there is no command '%s'; vmdbg help lists them", argv[1]);
	return STATUS_USAGE;
}

int main(int argc, char **argv)
{
	int status;

	open_standard_files();
	signal(SIGXFSZ, SIG_IGN); /* a limit of file size is an error of write() like others */
	status = run(argc, argv);
	if (!status && (fflush(stdout) || ferror(stdout))) {
		complain("stdout can't be written");
		status = STATUS_USAGE;
	}
	return status;
}
