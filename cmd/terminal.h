/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stdin as the guest's keyboard: a terminal gives every key at once and echoes none; Ctrl-C stays ours. */
#ifndef CMD_TERMINAL_H
#define CMD_TERMINAL_H

/* Nothing happens when stdin is no terminal or belongs to another job. Undone at exit, at the latest. */
void terminal_raw(void);
void terminal_restore(void);

#endif
