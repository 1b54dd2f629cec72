/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a vCPU asks of the machine in the middle of an instruction: ports, MMIO, time, the machine's MSRs. Everything
 * that isn't a function of the guest's own instructions passes nondet here. */
#include "vmm/machine_internal.h"
#include "vmm/pc/pc.h"
#include "vmm/x86/regs.h"

/* To be called before nondet is told of each access. */
static void count_access(struct vcpu *vcpu)
{
	struct machine *m = vcpu->machine;

	if (++m->accesses >= m->stop_at && m->config.free)
		vcpu_kick(vcpu);
}

/* To be called when an access is done. */
static void note_kick(struct vcpu *vcpu)
{
	if (unlikely(vcpu->kick))
		vcpu->machine->access_kicked = true;
}

/* Timers that became due fire at the next boundary, never inside the instruction. */
static void take_sample(struct vcpu *vcpu, u64 ns)
{
	struct clock *clock = &vcpu->machine->clock;

	clock_advance(clock, ns);
	if (clock->next_deadline <= clock_now(clock))
		vcpu_kick(vcpu);
}

/* Host clock: time stands still between samples, so it's sampled when the guest is about to look. */
static void sample_clock(struct vcpu *vcpu)
{
	struct machine *m = vcpu->machine;

	if (m->clock.mode != CLOCK_HOST)
		return;
	count_access(vcpu);
	take_sample(vcpu, m->nondet.ops->clock_sample(m->nondet.ctx, vcpu));
}

static bool is_lapic(const struct vcpu *vcpu, enum io_space space, u64 addr)
{
	return space == IO_MMIO && pc_lapic_claims(vcpu->machine->pc, vcpu->id, addr);
}

static struct bus *bus_of(struct machine *m, enum io_space space)
{
	return space == IO_PORT ? &m->pio : &m->mmio;
}

static void sample_if_timed(struct vcpu *vcpu, enum io_space space, u64 addr)
{
	struct machine *m = vcpu->machine;

	if (m->clock.mode != CLOCK_HOST)
		return;
	if (is_lapic(vcpu, space, addr) ? pc_lapic_timed(m->pc, vcpu->id, addr) : bus_timed(bus_of(m, space), addr))
		sample_clock(vcpu);
}

static u64 io_read(struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size)
{
	struct machine *m = vcpu->machine;
	u64 modelled;

	sample_if_timed(vcpu, space, addr);
	if (is_lapic(vcpu, space, addr))
		modelled = pc_lapic_read(m->pc, vcpu->id, addr, size);
	else
		modelled = bus_read(bus_of(m, space), addr, size);
	count_access(vcpu);
	modelled = m->nondet.ops->io_read(m->nondet.ctx, vcpu, space, addr, size, modelled);
	note_kick(vcpu);
	return modelled;
}

static void io_write(struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size, u64 value)
{
	struct machine *m = vcpu->machine;

	count_access(vcpu);
	m->nondet.ops->io_write(m->nondet.ctx, vcpu, space, addr, size, value);
	sample_if_timed(vcpu, space, addr);
	if (is_lapic(vcpu, space, addr))
		pc_lapic_write(m->pc, vcpu->id, addr, size, value);
	else
		bus_write(bus_of(m, space), addr, size, value);
	note_kick(vcpu);
}

static u64 tsc(struct vcpu *vcpu)
{
	struct machine *m = vcpu->machine;

	sample_clock(vcpu);
	return clock_now(&m->clock) + m->tsc_offset[vcpu->id];
}

static bool tsc_direct(struct vcpu *vcpu, u64 *base, u64 *floor, u64 *limit)
{
	struct machine *m = vcpu->machine;
	u64 offset = m->tsc_offset[vcpu->id], start;

	if (!m->config.free || !m->nondet.ops->clock_direct || !m->nondet.ops->clock_direct(m->nondet.ctx, &start))
		return false;
	*base = offset - start;
	*floor = clock_now(&m->clock) + offset;
	*limit = m->clock.next_deadline == CLOCK_NEVER ? ~0ull : m->clock.next_deadline + offset;
	/* Sums that wrap around can't be compared: a guest that has set its TSC so is answered one by one. */
	return *floor >= offset && *limit >= *floor;
}

static void tsc_taken(struct vcpu *vcpu, u64 tsc)
{
	struct machine *m = vcpu->machine;
	u64 ns = tsc - m->tsc_offset[vcpu->id];

	count_access(vcpu);
	m->nondet.ops->clock_taken(m->nondet.ctx, vcpu, ns);
	take_sample(vcpu, ns);
}

static int rdmsr(struct vcpu *vcpu, u32 msr, u64 *value)
{
	struct machine *m = vcpu->machine;
	u64 modelled = 0;

	if (msr == MSR_TSC) {
		modelled = tsc(vcpu);
	} else if (msr == MSR_TSC_ADJUST) {
		modelled = m->tsc_offset[vcpu->id];
	} else {
		if (pc_msr_timed(msr))
			sample_clock(vcpu);
		if (pc_rdmsr(m->pc, vcpu->id, msr, &modelled) < 0)
			return -1;
	}
	count_access(vcpu);
	*value = m->nondet.ops->io_read(m->nondet.ctx, vcpu, IO_MSR, msr, 8, modelled);
	return 0;
}

/* The TSC starts with the clock at zero, so IA32_TSC_ADJUST, which sums up what was written to either register
 * (SDM 3B 18.17.3), is the offset itself. */
static int wrmsr(struct vcpu *vcpu, u32 msr, u64 value)
{
	struct machine *m = vcpu->machine;

	count_access(vcpu);
	m->nondet.ops->io_write(m->nondet.ctx, vcpu, IO_MSR, msr, 8, value);
	if (msr != MSR_TSC && msr != MSR_TSC_ADJUST) {
		if (pc_msr_timed(msr))
			sample_clock(vcpu);
		return pc_wrmsr(m->pc, vcpu->id, msr, value);
	}
	sample_clock(vcpu);
	m->tsc_offset[vcpu->id] = msr == MSR_TSC ? value - clock_now(&m->clock) : value;
	pc_tsc_changed(m->pc, vcpu->id);
	return 0;
}

static u64 cr8(struct vcpu *vcpu)
{
	return pc_cr8(vcpu->machine->pc, vcpu->id);
}

static void set_cr8(struct vcpu *vcpu, u64 value)
{
	pc_set_cr8(vcpu->machine->pc, vcpu->id, value);
}

const struct vcpu_ops machine_vcpu_ops = {
    .io_read = io_read,
    .io_write = io_write,
    .tsc = tsc,
    .tsc_direct = tsc_direct,
    .tsc_taken = tsc_taken,
    .rdmsr = rdmsr,
    .wrmsr = wrmsr,
    .cr8 = cr8,
    .set_cr8 = set_cr8,
};
