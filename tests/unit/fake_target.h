/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A target with a history, small enough to be worked out on paper: one loop of four instructions.
 *
 *	1000: inc %rax; 1003: mov %rax,(%rdi); 1006: nop; 1007: jmp 1000
 *
 * 64 KiB of RAM at linear and physical 0, nothing else. The nop counts as an access to port 80h. Position p is re-run
 * from 0, so that backwards is forwards. */
#ifndef TESTS_UNIT_FAKE_TARGET_H
#define TESTS_UNIT_FAKE_TARGET_H

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/target.h"

#define FAKE_RAM   0x10000
#define FAKE_START 0x1000
#define FAKE_DATA  0x2000
#define FAKE_PORT  0x80

struct fake_target {
	struct target target;
	struct target_ops ops;
	struct x86_state state, start;
	u8 ram[FAKE_RAM];
	unsigned vcpus;
	u64 position, end;
	bool live;  /* registers and memory can be written */
	bool spins; /* a run goes on until it is interrupted */
	atomic_bool interrupted;
	unsigned forced; /* so many of the next resumes give @stop, and leave it at @forced_at */
	u64 forced_at;
	struct target_stop stop;
	void (*prepare)(struct fake_target *f); /* fills in @ram at position 0; may be NULL */
	struct target_resume how;               /* the last one asked for */
	struct error err;
};

struct fake_access {
	u64 addr, len;
	bool write;
};

static inline struct fake_target *fake_of(struct target *t)
{
	return container_of(t, struct fake_target, target);
}

static inline void fake_reset(struct fake_target *f)
{
	static const u8 code[] = {0x48, 0xff, 0xc0, 0x48, 0x89, 0x07, 0x90, 0xeb, 0xf7};

	if (!f->live) {
		memset(f->ram, 0, sizeof(f->ram));
		memcpy(f->ram + FAKE_START, code, sizeof(code));
		if (f->prepare)
			f->prepare(f);
	}
	f->state = f->start;
	f->position = 0;
}

static inline struct fake_access fake_step(struct fake_target *f)
{
	struct fake_access a = {0};
	struct x86_state *s = &f->state;

	switch (s->rip) {
	case FAKE_START:
		s->gpr[RAX]++;
		s->rip += 3;
		break;
	case FAKE_START + 3:
		a = (struct fake_access){s->gpr[RDI], 8, true};
		if (a.addr <= FAKE_RAM - 8)
			store64(f->ram + a.addr, s->gpr[RAX]);
		s->rip += 3;
		break;
	case FAKE_START + 6:
		s->rip++;
		break;
	default:
		s->rip = FAKE_START;
	}
	f->position++;
	return a;
}

static inline void fake_go(struct fake_target *f, u64 position)
{
	if (position < f->position)
		fake_reset(f);
	while (f->position < position)
		fake_step(f);
}

static inline bool fake_holds(struct fake_target *f, const struct target_break *b)
{
	if (f->how.only && f->how.only != b)
		return false;
	return !b->condition || b->condition(b->opaque, &f->target, 0);
}

static inline const struct target_break *fake_exec_hit(struct fake_target *f)
{
	for (const struct target_break *b = f->target.breaks; b; b = b->next) {
		if (b->kind == TARGET_BREAK_EXEC && b->addr == f->state.rip && fake_holds(f, b))
			return b;
	}
	return NULL;
}

static inline const struct target_break *fake_watch_hit(struct fake_target *f, const struct fake_access *a,
							struct target_stop *stop)
{
	for (const struct target_break *b = f->target.breaks; b; b = b->next) {
		bool kind = b->kind == TARGET_BREAK_ACCESS ||
			    b->kind == (a->write ? TARGET_BREAK_WRITE : TARGET_BREAK_READ);

		if (!kind || !a->len || a->addr + a->len <= b->addr || a->addr > b->addr + (b->len - 1) ||
		    !fake_holds(f, b))
			continue;
		*stop = (struct target_stop){
		    .reason = TARGET_STOP_WATCH, .hit = b, .addr = max64(a->addr, b->addr), .write = a->write};
		return b;
	}
	return NULL;
}

static inline const struct target_break *fake_event_hit(struct fake_target *f, u64 rip, struct target_stop *stop)
{
	for (const struct target_break *b = f->target.breaks; b && rip == FAKE_START + 6; b = b->next) {
		if (b->kind != TARGET_BREAK_EVENT || b->addr != TARGET_EVENT_IO ||
		    (b->len != FAKE_PORT && b->len != TARGET_ANY) || !fake_holds(f, b))
			continue;
		*stop = (struct target_stop){.reason = TARGET_STOP_EVENT, .hit = b};
		return b;
	}
	return NULL;
}

static inline void fake_forward(struct fake_target *f, const struct target_resume *how, struct target_stop *stop)
{
	for (u64 begin = f->position;;) {
		struct fake_access a;
		u64 rip = f->state.rip;
		const struct target_break *hit = f->position == begin ? NULL : fake_exec_hit(f);

		if (atomic_exchange(&f->interrupted, false)) {
			*stop = (struct target_stop){.reason = TARGET_STOP_INTERRUPT};
			return;
		}
		if (hit) {
			*stop = (struct target_stop){.reason = TARGET_STOP_BREAK, .hit = hit};
			return;
		}
		if (f->position >= f->end) {
			*stop = (struct target_stop){.reason = TARGET_STOP_END};
			return;
		}
		a = fake_step(f);
		if (fake_watch_hit(f, &a, stop) || fake_event_hit(f, rip, stop))
			return;
		if (how->kind == TARGET_STEP ||
		    (how->kind == TARGET_RANGE && (f->state.rip < how->start || f->state.rip >= how->end))) {
			*stop = (struct target_stop){.reason = TARGET_STOP_STEP};
			return;
		}
	}
}

/* The last hit before the present position: found by running there from the beginning. */
static inline void fake_backward(struct fake_target *f, const struct target_resume *how, struct target_stop *stop)
{
	u64 from = f->position, at = 0;

	*stop = (struct target_stop){.reason = TARGET_STOP_BEGIN};
	if (!from)
		return;
	if (how->kind == TARGET_STEP) {
		at = from - 1;
		*stop = (struct target_stop){.reason = TARGET_STOP_STEP};
	}
	fake_go(f, at);
	while (f->position < from) {
		struct target_stop here;
		u64 p = f->position, rip = f->state.rip;
		const struct target_break *hit = fake_exec_hit(f);
		struct fake_access a = fake_step(f);

		if (fake_watch_hit(f, &a, &here) || fake_event_hit(f, rip, &here)) {
			*stop = here;
			at = p;
		} else if (hit && how->kind == TARGET_CONTINUE) {
			*stop = (struct target_stop){.reason = TARGET_STOP_BREAK, .hit = hit};
			at = p;
		}
	}
	fake_go(f, at);
}

static inline void fake_resume(struct target *t, const struct target_resume *how, struct target_stop *stop)
{
	struct fake_target *f = fake_of(t);

	f->how = *how;
	if (f->forced) {
		f->forced--;
		if (f->forced_at)
			fake_go(f, f->forced_at);
		*stop = f->stop;
		return;
	}
	if (f->spins) {
		while (!atomic_exchange(&f->interrupted, false))
			usleep(1000);
		*stop = (struct target_stop){.reason = TARGET_STOP_INTERRUPT};
		return;
	}
	if (how->direction == TARGET_BACKWARD)
		fake_backward(f, how, stop);
	else
		fake_forward(f, how, stop);
}

static inline unsigned fake_vcpus(struct target *t)
{
	return fake_of(t)->vcpus;
}

static inline const struct x86_state *fake_regs(struct target *t, unsigned vcpu)
{
	struct fake_target *f = fake_of(t);

	return vcpu ? &f->start : &f->state;
}

static inline int fake_set_regs(struct target *t, unsigned vcpu, const struct x86_state *regs)
{
	struct fake_target *f = fake_of(t);

	if (!f->live)
		return -EROFS;
	if (!vcpu)
		f->state = *regs;
	return 0;
}

static inline size_t fake_read(struct target *t, unsigned vcpu, enum target_space space, u64 addr, void *buf,
			       size_t len)
{
	size_t n = addr < FAKE_RAM ? min64(len, FAKE_RAM - addr) : 0;

	memcpy(buf, fake_of(t)->ram + (n ? addr : 0), n);
	return n;
}

static inline int fake_write(struct target *t, unsigned vcpu, enum target_space space, u64 addr, const void *buf,
			     size_t len)
{
	struct fake_target *f = fake_of(t);

	if (!f->live)
		return -EROFS;
	if (addr >= FAKE_RAM || len > FAKE_RAM - addr)
		return -EFAULT;
	memcpy(f->ram + addr, buf, len);
	return 0;
}

static inline int fake_translate(struct target *t, unsigned vcpu, u64 la, u64 *gpa)
{
	*gpa = la;
	return la < FAKE_RAM ? 0 : -EFAULT;
}

static inline int fake_add_break(struct target *t, struct target_break *b)
{
	b->next = t->breaks;
	t->breaks = b;
	return 0;
}

static inline void fake_remove_break(struct target *t, struct target_break *b)
{
	struct target_break **link = &t->breaks;

	while (*link && *link != b)
		link = &(*link)->next;
	if (!*link)
		abort();
	*link = b->next;
}

static inline void fake_interrupt(struct target *t)
{
	atomic_store(&fake_of(t)->interrupted, true);
}

static inline u64 fake_position(struct target *t)
{
	return fake_of(t)->position;
}

static inline int fake_seek(struct target *t, const char *where, struct error *err)
{
	struct fake_target *f = fake_of(t);
	char *end;
	u64 n = strtoull(where, &end, 0);

	if (f->live)
		return error_set(err, -ENOTSUP, "a live machine has no history");
	if (!strcmp(where, "start"))
		n = 0;
	else if (!strcmp(where, "end"))
		n = f->end;
	else if (*end || !*where || n > f->end)
		return error_set(err, -EINVAL, "%s: no such position", where);
	fake_go(f, n);
	return 0;
}

static inline void fake_when(struct target *t, char *out, size_t len)
{
	snprintf(out, len, "%llu", (unsigned long long)fake_position(t));
}

static inline const struct error *fake_error(struct target *t)
{
	return &fake_of(t)->err;
}

static inline int fake_machine_reg(struct target *t, unsigned vcpu, enum target_machine_reg reg, u64 *value)
{
	if (reg == TARGET_TSC)
		return -ENOENT;
	*value = reg == TARGET_CR8 ? 3 : 0xfee00900;
	return 0;
}

static inline void fake_init(struct fake_target *f)
{
	*f = (struct fake_target){.vcpus = 1, .end = 4000};
	f->ops = (struct target_ops){
	    .vcpus = fake_vcpus,
	    .regs = fake_regs,
	    .set_regs = fake_set_regs,
	    .read = fake_read,
	    .write = fake_write,
	    .translate = fake_translate,
	    .add_break = fake_add_break,
	    .remove_break = fake_remove_break,
	    .resume = fake_resume,
	    .interrupt = fake_interrupt,
	    .position = fake_position,
	    .seek = fake_seek,
	    .when = fake_when,
	    .error = fake_error,
	    .machine_reg = fake_machine_reg,
	    .reversible = true,
	};
	f->target.ops = &f->ops;
	f->start.rip = FAKE_START;
	f->start.rflags = RFLAGS_1;
	f->start.gpr[RDI] = FAKE_DATA;
	f->start.gpr[RSP] = 0x8000;
	f->start.cr0 = CR0_PE | CR0_PG;
	f->start.cr3 = 0x5000;
	f->start.cr4 = CR4_PAE;
	f->start.efer = EFER_LME | EFER_LMA;
	f->start.seg[SEG_CS] = (struct x86_segment){.selector = 0x10, .limit = ~0u, .ar = 0xa09b};
	f->start.seg[SEG_SS] = (struct x86_segment){.selector = 0x18, .limit = ~0u, .ar = 0xc093};
	f->start.seg[SEG_GS].base = 0xffff888000000000ull;
	f->start.fpu.fcw = 0x37f;
	f->start.fpu.mxcsr = 0x1f80;
	fake_reset(f);
}

#endif
