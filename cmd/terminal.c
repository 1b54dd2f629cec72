/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/terminal.h"

#include <stdbool.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static bool raw, registered;

void terminal_raw(void)
{
	struct termios t;

	if (raw || !isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, &saved))
		return;
	t = saved;
	t.c_lflag &= ~(ICANON | ECHO);
	t.c_iflag &= ~(ICRNL | IXON);
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	if (!registered)
		registered = !atexit(terminal_restore);
	raw = !tcsetattr(STDIN_FILENO, TCSANOW, &t);
}

void terminal_restore(void)
{
	if (raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	raw = false;
}
