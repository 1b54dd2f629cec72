/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the monitor. monitor.c: the table, arguments, words for places; the others one theme each. */
#ifndef GDBSTUB_MONITOR_INTERNAL_H
#define GDBSTUB_MONITOR_INTERNAL_H

#include <errno.h>

#include "gdbstub/monitor.h"
#include "vmm/x86/paging.h"

#define MONITOR_PLACE    64   /* a position as text, with its NUL */
#define MONITOR_LIST_MAX 1000 /* checkpoints, and breakpoints of a kind */

struct monitor_checkpoint;
struct monitor_break;

struct monitor {
	struct target *target;
	struct monitor_checkpoint *checkpoints; /* oldest first */
	unsigned nr_checkpoints, last_checkpoint;
	struct monitor_break *breaks; /* oldest first */
	unsigned nr_breaks, last_watch, last_event;
};

/* One command being run; @s: what is left of its arguments. */
struct call {
	struct monitor *monitor;
	struct target *target;
	unsigned vcpu;
	const char *s;
	FILE *out;
};

typedef int monitor_run(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out);

static inline struct call call_begin(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	return (struct call){opaque, t, vcpu, args, out};
}

static inline const struct x86_state *call_regs(const struct call *c)
{
	return target_regs(c->target, c->vcpu);
}

/* Says a sentence and returns -EINVAL. */
int call_fail(const struct call *c, const char *fmt, ...) PRINTF(2, 3);

/* Arguments. Those that return int say what is wrong themselves: 0 or -EINVAL. */
bool call_char(struct call *c, char ch);                        /* takes it from the front */
bool call_word(struct call *c, const char *word);               /* a whole word, and the blank behind it */
int call_number(struct call *c, const char *what, u64 *value);  /* C syntax */
int call_address(struct call *c, const char *what, u64 *value); /* terms with + and -: numbers, registers */
/* One that may be missing: *@value stays as it is. */
int call_optional(struct call *c, const char *what, u64 lo, u64 hi, u64 *value);
/* ADDR[,LEN] where the bytes don't go around the end of memory; *@len stays as it is without one. */
int call_range(struct call *c, u64 max, u64 *addr, u64 *len);
int call_end(struct call *c);

/* Where the target stands, as seek() takes it. */
void monitor_place(struct target *t, char place[MONITOR_PLACE]);
/* The line of `when`. */
void monitor_say_when(const struct call *c);
/* What the target says of its own failure, or @otherwise. */
void monitor_say_error(const struct call *c, const char *otherwise);
/* Goes to @place in spite of interruptions; says so when it can't. */
int monitor_return(const struct call *c, const char *place);
/* Shadows of watched memory are of another time. Called after every jump. */
void monitor_forget(struct monitor *m);

struct monitor_flag {
	u64 mask;
	const char *name;
};
/* " NAME" for each that is set; ends with a NULL name. */
void monitor_flags(FILE *out, u64 value, const struct monitor_flag *flags);

/* monitor_time.c */
monitor_run monitor_when, monitor_seek, monitor_checkpoint, monitor_checkpoints, monitor_checkpoint_delete,
    monitor_restart, monitor_events;
void monitor_free_checkpoints(struct monitor *m);

/* monitor_lastwrite.c */
monitor_run monitor_lastwrite;

/* monitor_watch.c */
monitor_run monitor_watch, monitor_watch_list, monitor_watch_delete, monitor_event, monitor_event_list,
    monitor_event_delete;
void monitor_free_breaks(struct monitor *m);

/* monitor_regs.c */
monitor_run monitor_info_registers, monitor_info_cr, monitor_info_msr, monitor_info_debug;
void monitor_print_registers(FILE *out, const struct x86_state *regs);

/* monitor_fpu.c */
monitor_run monitor_info_fpu;

/* monitor_segments.c */
monitor_run monitor_info_segments, monitor_info_gdt, monitor_info_ldt, monitor_info_idt, monitor_info_tss;

/* monitor_paging.c */
monitor_run monitor_walk, monitor_info_mem;

/* monitor_memory.c */
monitor_run monitor_xp, monitor_disas;
/* The instruction at RIP. */
void monitor_print_instruction(const struct call *c);

/* monitor_backtrace.c */
void monitor_backtrace(const struct call *c);

/* monitor_device.c */
monitor_run monitor_info_devices, monitor_info_device;

/* Bytes [addr, addr + len) of physical memory; a range of the guest's that lies in one piece there. */
struct monitor_extent {
	u64 addr, len;
};
#define MONITOR_EXTENTS 17 /* of 64 KiB */
/* Where linear [addr, addr + len), len up to 64 KiB, lies now. The number of pieces, or -EINVAL and has said why. */
int monitor_extents(const struct call *c, u64 addr, u64 len, struct monitor_extent extents[MONITOR_EXTENTS]);

#endif
