/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A toy kernel for trying vmdbg: a timer tick, tasks on a heap, a ring of events, and a bug. */
#ifndef DEMO_KERNEL_H
#define DEMO_KERNEL_H

#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

static inline void outb(u16 port, u8 v)
{
	asm volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outl(u16 port, u32 v)
{
	asm volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static inline u8 inb(u16 port)
{
	u8 v;
	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

/* console.c: COM1. print() knows %s, %u, %x (64 bits, 16 digits). */
void console_init(void);
void print(const char *format, ...);

/* heap.c: a bump allocator, nothing is freed. */
void *heap_alloc(size_t size);

/* ring.c: what happened last, newest over oldest. */
#define RING_SLOTS 16

enum event_kind { EVENT_RUN = 0x7102 };

struct event {
	u32 when; /* ticks */
	u16 who;
	u16 kind;
};

struct ring {
	u32 head;
	u32 total;
	struct event slot[RING_SLOTS];
};

struct ring *ring_create(void);
void ring_put(struct ring *ring, u32 when, u16 who, u16 kind);

/* task.c: tasks that are called every so many ticks. */
struct task {
	void (*run)(struct task *task);
	const char *name;
	u32 period, due;
	u64 runs, state;
	struct task *next;
};

extern struct ring *journal;
void task_add(const char *name, void (*run)(struct task *), u32 period);
void task_run_due(u32 now);
void task_report(void);

/* trap.c: interrupts and exceptions. */
struct regs {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error, rip, cs, rflags, rsp, ss;
};

extern volatile u32 ticks;
void trap_init(void);
void trap(struct regs *regs);

#endif
