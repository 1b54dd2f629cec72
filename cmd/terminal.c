/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/terminal.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/types.h"

static struct termios saved, wanted;
static volatile sig_atomic_t raw;
static bool registered;

/* Signals that end the process without its consent. */
static const int deadly[] = {SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

/* A process in the background would be stopped for trying. */
static void set_modes(const struct termios *t)
{
	if (tcgetpgrp(STDIN_FILENO) == getpgrp())
		tcsetattr(STDIN_FILENO, TCSANOW, t);
}

static void on_deadly(int sig)
{
	terminal_restore();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Ctrl-Z: the terminal is the shell's until fg, which sends SIGCONT. */
static void on_stop(int sig)
{
	if (raw)
		set_modes(&saved);
	raise(SIGSTOP);
}

static void on_continue(int sig)
{
	if (raw)
		set_modes(&wanted);
}

/* Leaves alone what somebody else handles or ignores. */
static void take_signal(int sig, void (*handler)(int))
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART}, before;

	if (!sigaction(sig, NULL, &before) && before.sa_handler == SIG_DFL)
		sigaction(sig, &sa, NULL);
}

void terminal_raw(void)
{
	if (raw || !isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, &saved))
		return;
	wanted = saved;
	wanted.c_lflag &= ~(ICANON | ECHO);
	wanted.c_iflag &= ~(ICRNL | IXON);
	wanted.c_cc[VMIN] = 1;
	wanted.c_cc[VTIME] = 0;
	if (!registered) {
		registered = !atexit(terminal_restore);
		for (size_t i = 0; i < ARRAY_SIZE(deadly); i++)
			take_signal(deadly[i], on_deadly);
		take_signal(SIGTSTP, on_stop);
		take_signal(SIGCONT, on_continue);
	}
	raw = !tcsetattr(STDIN_FILENO, TCSANOW, &wanted);
}

void terminal_restore(void)
{
	if (raw)
		set_modes(&saved);
	raw = false;
}
