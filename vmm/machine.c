/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making, freeing, saving and loading a machine. machine_run.c runs it, machine_io.c answers its vCPUs. */
#include "vmm/machine.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/machine_internal.h"
#include "vmm/pc/pc.h"

const char *machine_end_name(enum machine_end end)
{
	static const char *const names[END_COUNT] = {
	    [END_NONE] = "none",        [END_POWEROFF] = "power-off",
	    [END_RESET] = "reset",      [END_DEBUG_EXIT] = "debug-exit",
	    [END_PANIC] = "panic",      [END_TRIPLE_FAULT] = "triple fault",
	    [END_HALTED] = "halted",    [END_UNTIL] = "until",
	    [END_USER] = "interrupted", [END_ERROR] = "error",
	};

	return (unsigned)end < END_COUNT ? names[end] : "unknown";
}

const char *machine_model_name(enum machine_model model)
{
	static const char *const names[MACHINE_MODEL_COUNT] = {
	    [MACHINE_PC_2] = MACHINE_MODEL,
	    [MACHINE_PC_1] = "vmdbg-pc.1",
	};

	return names[model];
}

void machine_set_end(struct machine *m, enum machine_end end, u32 code)
{
	if (m->end == END_NONE) {
		m->end = end;
		m->end_code = code;
	}
	if (!m->vcpu[0])
		return;
	if (end == END_PANIC)
		probe_event(m->vcpu[0], TARGET_EVENT_PANIC, 0);
	vcpu_kick(m->vcpu[0]);
}

void machine_interrupt(struct machine *m)
{
	m->interrupted = true;
	if (m->vcpu[0])
		vcpu_kick(m->vcpu[0]);
}

size_t machine_input(struct machine *m, enum input_source source, const u8 *buf, size_t len)
{
	return pc_input(m->pc, source, buf, len);
}

size_t machine_input_room(struct machine *m, enum input_source source)
{
	return pc_input_room(m->pc, source);
}

struct block *machine_disk(struct machine *m)
{
	return m->config.disk ? pc_disk(m->pc) : NULL;
}

int machine_add_device(struct machine *m, struct device *dev)
{
	if (m->nr_devices == MACHINE_MAX_DEVICES)
		return -ENOSPC;
	m->device[m->nr_devices++] = dev;
	return 0;
}

/* --- making --- */

static int check_config(const struct machine_config *config, struct error *err)
{
	const struct engine_ops *engine = config->engine;

	if (!engine)
		return error_set(err, -EINVAL, "no engine to run the machine on");
	if (config->vcpus < 1 || config->vcpus > MACHINE_MAX_VCPUS)
		return error_set(err, -EINVAL, "%u vCPUs: a machine has from 1 to %d", config->vcpus,
				 MACHINE_MAX_VCPUS);
	if (config->vcpus != 1)
		return error_set(err, -EINVAL, "%u vCPUs: only one vCPU can be scheduled yet", config->vcpus);
	if (config->clock == CLOCK_VIRTUAL && !engine->exact_insns)
		return error_set(err, -EINVAL,
				 "the virtual clock needs an engine that counts instructions exactly; %s doesn't",
				 engine->name);
	if (config->free && (config->clock != CLOCK_HOST || !engine->free_running))
		return error_set(err, -EINVAL, "a machine runs freely on an engine that can, with the host clock only");
	return 0;
}

/* Timers that are armed earlier than what the engine was told to run to. */
static void clock_rearmed(void *opaque)
{
	struct machine *m = opaque;

	if (m->vcpu[0])
		vcpu_kick(m->vcpu[0]);
}

static void memory_changed(void *opaque, u64 gpa, u64 len)
{
	struct machine *m = opaque;

	for (unsigned i = 0; i < m->config.vcpus; i++) {
		if (!m->vcpu[i])
			continue;
		if (m->config.engine->memory_changed)
			m->config.engine->memory_changed(m->vcpu[i], gpa, len);
		probe_written(m->vcpu[i], gpa, len);
	}
}

static int create_vcpus(struct machine *m, struct error *err)
{
	for (unsigned i = 0; i < m->config.vcpus; i++) {
		struct vcpu *vcpu = NULL;
		int r = m->config.engine->vcpu_create(m, i, &vcpu, err);

		if (r)
			return r;
		vcpu->id = i;
		vcpu->machine = m;
		vcpu->mem = &m->mem;
		vcpu->ops = &machine_vcpu_ops;
		vcpu->engine = m->config.engine;
		vcpu->delivered_at = ~0ull;
		vcpu->probe.skip_insns = ~0ull;
		m->vcpu[i] = vcpu;
	}
	m->clock.insns = &m->vcpu[0]->insns;
	return 0;
}

int machine_create(struct machine **out, const struct machine_config *config, struct error *err)
{
	struct machine *m;
	int r = check_config(config, err);

	*out = NULL;
	if (r)
		return r;
	m = calloc(1, sizeof(*m));
	if (!m)
		return error_set(err, -ENOMEM, "out of memory for the machine");
	m->config = *config;
	m->progress.kicked = config->free;
	m->pio.mask = 0xffff;
	m->mmio.mask = ~0ull;
	m->nondet = (struct nondet){.ops = &nondet_live, .ctx = m};
	m->clock = (struct clock){
	    .mode = config->clock,
	    .wall_start = config->wall_start,
	    .next_deadline = CLOCK_NEVER,
	    .rearmed = clock_rearmed,
	    .rearmed_opaque = m,
	};
	r = memory_init(&m->mem, config->ram, err);
	if (!r)
		r = create_vcpus(m, err);
	if (!r)
		r = pc_create(m, err);
	if (r) {
		machine_free(m);
		return r;
	}
	m->mem.changed = memory_changed;
	m->mem.changed_opaque = m;
	*out = m;
	return 0;
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	pc_free(m);
	for (unsigned i = 0; i < m->config.vcpus; i++)
		if (m->vcpu[i]) {
			probe_free(&m->vcpu[i]->probe);
			m->config.engine->vcpu_free(m->vcpu[i]);
		}
	memory_free(&m->mem);
	free(m);
}

/* --- saved state: vCPUs, then the machine's own fields, then devices in wiring order --- */

static const struct field vcpu_fields[] = {
    FIELD(struct vcpu, insns),
    FIELD(struct vcpu, branches),
    FIELD_END,
};

/* Running freely, nobody counts. */
static const struct field no_fields[] = {FIELD_END};

static const struct field machine_fields[] = {
    FIELD(struct machine, clock.skew),
    FIELD(struct machine, clock.sampled),
    FIELD_ARRAY(struct machine, tsc_offset),
    FIELD_END,
};

/* One object and the table that describes it. */
struct part {
	const struct field *fields;
	void *obj;
};

/* The @n-th part; false when there are no more. */
static bool part_at(const struct machine *m, unsigned n, struct part *part)
{
	unsigned vcpus = m->config.vcpus;

	if (n < 2 * vcpus) {
		struct vcpu *vcpu = m->vcpu[n / 2];

		*part = !(n & 1)         ? (struct part){x86_state_fields, &vcpu->regs}
			: m->config.free ? (struct part){no_fields, vcpu}
					 : (struct part){vcpu_fields, vcpu};
		return true;
	}
	n -= 2 * vcpus;
	if (n == 0) {
		*part = (struct part){machine_fields, (void *)m};
		return true;
	}
	n--;
	if (n >= m->nr_devices)
		return false;
	*part = (struct part){m->device[n]->class->fields, m->device[n]};
	return true;
}

size_t machine_state_size(const struct machine *m)
{
	struct part part;
	size_t size = 0;

	for (unsigned n = 0; part_at(m, n, &part); n++)
		size += part.fields ? state_size(part.fields) : 0;
	return size;
}

size_t machine_state_save(const struct machine *m, u8 *out)
{
	struct part part;
	u8 *p = out;

	for (unsigned n = 0; part_at(m, n, &part); n++)
		if (part.fields)
			p += state_save(part.fields, part.obj, p);
	return p - out;
}

u64 machine_state_position(const u8 *state)
{
	/* vcpu_fields of vCPU 0, behind its registers. */
	return load64(state + state_size(x86_state_fields));
}

static void after_load(struct machine *m)
{
	for (unsigned i = 0; i < m->nr_devices; i++)
		if (m->device[i]->class->loaded)
			m->device[i]->class->loaded(m->device[i]);
	for (unsigned i = 0; i < m->config.vcpus; i++) {
		m->vcpu[i]->delivered_at = ~0ull;
		if (m->config.engine->regs_changed)
			m->config.engine->regs_changed(m->vcpu[i]);
	}
	m->progress = (struct machine_progress){0};
	m->end = END_NONE;
	m->end_code = 0;
	m->live_start = 0;
	m->live_next = 0;
}

int machine_state_load(struct machine *m, const u8 *in, size_t len)
{
	struct part part;

	/* Checked as a whole first, so that a wrong size changes nothing. */
	if (len != machine_state_size(m))
		return -EINVAL;
	for (unsigned n = 0; part_at(m, n, &part); n++) {
		size_t size = part.fields ? state_size(part.fields) : 0;
		int r = size ? state_load(part.fields, part.obj, in, size) : 0;

		if (r)
			return r;
		in += size;
	}
	after_load(m);
	return 0;
}
