/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Saved states of hostile traces (checkpoints): a machine is given one, which it may refuse, and then runs. The state is that
 * of a machine in order with some bytes replaced, so that what follows is reached.
 *
 * Input: count n of changes; n times offset (2 bytes) and new byte; then bytes of code. */
#include <stdlib.h>

#include "vmm/machine.h"

#define STEPS      300
#define RAM        (1ull << 20)
#define IDLE_JUMPS ((1u << 22) - 50)

static const struct {
	u8 byte[32];
} code[] = {
    {{0xf3, 0x0f, 0x51, 0xc1, 0x0f, 0x58, 0xc1, 0xd9, 0xe8, 0xde, 0xc1}}, /* sqrtss addps fld1 faddp */
    {{0xe4, 0x60, 0xe6, 0x80, 0xed, 0xfb, 0x0f, 0x31}},                   /* in out in sti rdtsc */
    {{0xf3, 0xaa, 0xf3, 0xa4, 0x50, 0x58, 0xcf}},                         /* rep stosb, movsb, push, pop, iret */
    {{0xfb, 0xf4}},                                                       /* sti hlt */
};

static struct machine *new_machine(void)
{
	struct machine_config config = {.ram = RAM, .vcpus = 1, .engine = &soft_engine};
	struct error err;
	struct machine *m;

	if (machine_create(&m, &config, &err))
		abort();
	return m;
}

/* A machine that is set up: 64-bit mode would need page tables; 32-bit flat will do. */
static void settle(struct machine *m)
{
	struct x86_state *s = &m->vcpu[0]->regs;

	s->cr0 = CR0_PE | CR0_ET | CR0_NE;
	s->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->seg[i] = (struct x86_segment){0, ~0u, AR_P | AR_S | AR_DB | AR_G | AR_RW | AR_ACCESSED, 0x10};
	s->seg[SEG_CS].ar |= AR_CODE;
	s->rip = 0x1000;
	s->gpr[RSP] = 0x8000;
	s->gpr[RCX] = 5;
	s->gpr[RDI] = s->gpr[RSI] = 0x20000;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);
int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	struct machine *m = new_machine();
	size_t size = machine_state_size(m), n;
	u8 *state = malloc(size + 1), *ram = memory_host(&m->mem, 0, RAM);

	settle(m);
	machine_state_save(m, state);
	for (n = len ? *data++ : 0, len -= !!len; n && len >= 3; n--, data += 3, len -= 3)
		state[load16(data) % size] = data[2];
	/* Nothing has run yet, so nobody has to be told. */
	for (u64 at = 0; at < 0x8000; at += 32)
		memcpy(ram + at, code[at / 4096 % ARRAY_SIZE(code)].byte, 32);
	for (u64 at = 0x1000; len && at + len <= 0x1800; at += len)
		memcpy(ram + at, data, len);
	if (!machine_state_load(m, state, size)) {
		u64 start = machine_position(m);

		m->progress.idle_jumps = IDLE_JUMPS; /* a halted guest could wait for its timers for long */
		machine_run(m, start + STEPS < start ? ~0ull : start + STEPS);
		/* What is there now can be saved and loaded again. */
		machine_state_save(m, state);
		if (machine_state_load(m, state, size))
			abort();
	}
	free(state);
	machine_free(m);
	return 0;
}
