/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables of cases, and rings. Both widths. */
#include "tests/guest/lib/sys.h"

#define NOTES 6

void print_verdict(const char *prefix, const char *name, bool cond);

void put_value(const char *name, u64 v)
{
	put_char(' ');
	put_string(name);
	put_char('=');
	put_hex(v);
}

bool table_case(struct table *t, bool good)
{
	t->cases++;
	if (good)
		return false;
	if (++t->bad > NOTES)
		return false;
	put_string("# ");
	put_string(t->name);
	put_char(':');
	return true;
}

void table_line(const char *prefix, struct table *t)
{
	if (!t->cases)
		return;
	print_verdict(prefix, t->name, !t->bad);
	put_string(" (");
	if (t->bad) {
		put_dec(t->bad);
		put_string(" of ");
	}
	put_dec(t->cases);
	put_string(" cases)\n");
	t->cases = t->bad = 0;
}

static u8 ring_stack[4][4096] __attribute__((aligned(16)));

static void *stack_top_of(unsigned ring)
{
	return ring_stack[ring] + sizeof(ring_stack[ring]);
}

void rings_init(void)
{
	for (unsigned ring = 0; ring < 4; ring++) {
		gdt[SEL_RING_CODE / 8 + ring] = DESC(0, 0xfffff, 0x9b | ring << 5, sizeof(long) == 8 ? 0xa : 0xc);
		gdt[SEL_RING_DATA / 8 + ring] = DESC(0, 0xfffff, 0x93 | ring << 5, 0xc);
	}
#ifdef __x86_64__
	tss.rsp[1] = (u64)stack_top_of(1);
	tss.rsp[2] = (u64)stack_top_of(2);
#else
	tss.esp1 = (u32)stack_top_of(1);
	tss.ss1 = RING_SS(1);
	tss.esp2 = (u32)stack_top_of(2);
	tss.ss2 = RING_SS(2);
#endif
	idt_dpl(VEC_DONE, 3);
}

struct ring_entry ring_entry(unsigned ring, const void *ip, ulong flags, ulong ax, ulong di)
{
	return (struct ring_entry){
	    .ip = (ulong)ip,
	    .cs = RING_CS(ring),
	    .flags = flags | 2,
	    .sp = (ulong)stack_top_of(ring) - 256,
	    .ss = RING_SS(ring),
	    .ax = ax,
	    .di = di,
	    .ds = RING_SS(ring),
	};
}

static struct ring_entry entry;
void ring_enter(const struct ring_entry *e);

static void body(void)
{
	ring_enter(&entry);
}

unsigned ring_run(const struct ring_entry *e)
{
	entry = *e;
	try_call(body);
	return trap.frame.vector;
}

unsigned ring_call(unsigned ring, const void *ip, ulong flags, ulong ax, ulong di)
{
	struct ring_entry e = ring_entry(ring, ip, flags, ax, di);

	return ring_run(&e);
}
