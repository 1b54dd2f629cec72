/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a debugger, introspection and tests see of a machine, whether it is live or a recording (replay/timeline).
 * Registers and memory are those of the present position; looking never changes the guest: no accessed flags, no
 * device reads, no breakpoint instructions. */
#ifndef VMM_TARGET_H
#define VMM_TARGET_H

#include <stdio.h>

#include "vmm/error.h"
#include "vmm/types.h"
#include "vmm/x86/state.h"

struct target;

enum target_space { TARGET_LINEAR, TARGET_PHYSICAL };

enum target_direction { TARGET_FORWARD, TARGET_BACKWARD };

enum target_break_kind {
	TARGET_BREAK_EXEC,
	TARGET_BREAK_WRITE,
	TARGET_BREAK_READ,
	TARGET_BREAK_ACCESS,
	TARGET_BREAK_EVENT, /* addr: enum target_event; len: vector, port or MSR number; TARGET_ANY: all of them */
};

enum target_event {
	TARGET_EVENT_INTERRUPT, /* injected; by vector */
	TARGET_EVENT_EXCEPTION, /* delivered through the IDT; by vector */
	TARGET_EVENT_CR3,       /* MOV to CR3 */
	TARGET_EVENT_IO,        /* IN, OUT; by port */
	TARGET_EVENT_MSR,       /* RDMSR, WRMSR; by number */
	TARGET_EVENT_PANIC,     /* the guest says that it panics; number 0 */
	TARGET_EVENT_COUNT,
};

#define TARGET_ANY (~0ull)

/* A breakpoint or watchpoint. Any number, any length. Owned by the caller until removed. */
struct target_break {
	enum target_break_kind kind;
	enum target_space space;
	u64 addr;
	u64 len; /* bytes; 1 for TARGET_BREAK_EXEC */
	/* Called at a hit, with the target standing there, for watchpoints behind the access in both directions; false goes
	 * on. NULL: always stops. Must only look. */
	bool (*condition)(void *opaque, struct target *t, unsigned vcpu);
	void *opaque;
	struct target_break *next; /* [H] the target's list */
};

enum target_stop_reason {
	TARGET_STOP_STEP,  /* the step, or the range step, is done */
	TARGET_STOP_BREAK, /* an execution breakpoint: the instruction at RIP has not run */
	TARGET_STOP_WATCH, /* forwards: the access has been made; backwards: it is about to be made */
	TARGET_STOP_EVENT,
	TARGET_STOP_INTERRUPT, /* target_interrupt() */
	TARGET_STOP_BEGIN,     /* backwards: the beginning of the history */
	TARGET_STOP_END,       /* forwards: the end of the recording, or the live guest ended */
	TARGET_STOP_DIVERGED,  /* the replay differs from the recording */
	TARGET_STOP_ERROR,     /* a fault of the host: target_error() */
};

struct target_stop {
	enum target_stop_reason reason;
	unsigned vcpu;
	const struct target_break *hit; /* STOP_BREAK, STOP_WATCH, STOP_EVENT */
	u64 addr;                       /* STOP_WATCH: first watched byte that was accessed */
	bool write;                     /* STOP_WATCH */
};

/* How far target_resume() goes without anything else happening. */
enum target_resume_kind {
	TARGET_STEP,     /* one instruction (a REP instruction whole) */
	TARGET_RANGE,    /* forwards: until RIP leaves [start, end) */
	TARGET_CONTINUE, /* until something stops it */
};

struct target_resume {
	enum target_direction direction;
	enum target_resume_kind kind;
	unsigned vcpu;
	u64 start, end;                  /* TARGET_RANGE */
	const struct target_break *only; /* no other breakpoint stops; NULL: all do */
	/* TARGET_STEP, TARGET_RANGE: an interrupt handler entered on the way (not an exception's) is stepped into. Else it
	 * is run through, either way, as if it took no instruction; breakpoints and watchpoints in it still stop. */
	bool into_interrupts;
};

/* Registers of a vCPU that chips hold, outside struct x86_state. */
enum target_machine_reg { TARGET_CR8, TARGET_APIC_BASE, TARGET_TSC };

struct target_ops {
	unsigned (*vcpus)(struct target *t);
	/* Valid until the target moves. */
	const struct x86_state *(*regs)(struct target *t, unsigned vcpu);
	/* -EROFS in a recording: history can't be changed. */
	int (*set_regs)(struct target *t, unsigned vcpu, const struct x86_state *regs);
	/* Bytes copied from @addr on, fewer where a page isn't mapped or isn't RAM; 0 when the first isn't. */
	size_t (*read)(struct target *t, unsigned vcpu, enum target_space space, u64 addr, void *buf, size_t len);
	/* 0; -EFAULT (nothing written); -EROFS in a recording. */
	int (*write)(struct target *t, unsigned vcpu, enum target_space space, u64 addr, const void *buf, size_t len);
	/* Guest-physical address of linear @la, through the page tables of the vCPU's present mode; -EFAULT. */
	int (*translate)(struct target *t, unsigned vcpu, u64 la, u64 *gpa);
	int (*add_break)(struct target *t, struct target_break *b);
	void (*remove_break)(struct target *t, struct target_break *b);
	/* Runs until something stops it; always comes back soon after target_interrupt(). */
	void (*resume)(struct target *t, const struct target_resume *how, struct target_stop *stop);
	/* Safe from a signal handler and from another thread. */
	void (*interrupt)(struct target *t);
	/* Instructions retired since the beginning. */
	u64 (*position)(struct target *t);
	/* Goes to a position, written as users write it: a number, N+K (K exceptions or interrupts were delivered there),
	 * `start`, `end`, `N%`, `event:N`, `checkpoint:N`, `TIMEms`, and what `when` prints first. -EINVAL with a
	 * sentence; -ENOTSUP without a history; -EINTR. */
	int (*seek)(struct target *t, const char *where, struct error *err);
	/* The present position as `when` prints it: first the position, as seek() takes it, then a blank and more words. */
	void (*when)(struct target *t, char *out, size_t len);
	const struct error *(*error)(struct target *t);
	/* May be NULL. As the guest would read it now, without changing anything; -ENOENT. */
	int (*machine_reg)(struct target *t, unsigned vcpu, enum target_machine_reg reg, u64 *value);
	/* May be NULL. The registers of the device @id, or for NULL a list of all devices, in lines. -ENOENT. */
	int (*device)(struct target *t, const char *id, FILE *out);
	/* May be NULL. The recorded events around the present position, in lines: @before of them, and @after. */
	void (*events)(struct target *t, unsigned before, unsigned after, FILE *out);
	bool reversible; /* has a history: TARGET_BACKWARD and seek work */
};

struct target {
	const struct target_ops *ops;
	struct target_break *breaks; /* [H] all set, newest first */
};

static inline size_t target_read(struct target *t, unsigned vcpu, enum target_space space, u64 addr, void *buf,
				 size_t len)
{
	return t->ops->read(t, vcpu, space, addr, buf, len);
}

static inline const struct x86_state *target_regs(struct target *t, unsigned vcpu)
{
	return t->ops->regs(t, vcpu);
}

static inline void target_interrupt(struct target *t)
{
	t->ops->interrupt(t);
}

#endif
