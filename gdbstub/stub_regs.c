/* SPDX-License-Identifier: GPL-2.0-or-later */
/* g carries the registers that GDB itself knows; the system registers come one by one with p, so that a step does not
 * pay for them. */
#include "gdbstub/stub_internal.h"

/* 'x' digits: no value. */
static void put_register(struct stub *s, unsigned n)
{
	u8 value[TDESC_REG_MAX];

	if (tdesc_read(s->target, s->vcpu, target_regs(s->target, s->vcpu), n, value)) {
		packet_put_hex(&s->reply, value, tdesc_size(n));
		return;
	}
	for (size_t i = 0; i < 2 * tdesc_size(n); i++)
		packet_puts(&s->reply, "x");
}

void stub_read_all(struct stub *s, struct args *a)
{
	for (unsigned n = 0; n < tdesc_g_count(); n++)
		put_register(s, n);
}

void stub_read_reg(struct stub *s, struct args *a)
{
	u64 n;

	if (!args_hex(a, &n) || !args_done(a) || n >= tdesc_count())
		reply_error(s, -ENOENT);
	else
		put_register(s, n);
}

static void set_registers(struct stub *s, const struct x86_state *regs)
{
	int ret = s->target->ops->set_regs(s->target, s->vcpu, regs);

	if (ret < 0)
		reply_error(s, ret);
	else
		reply_ok(s);
}

/* Registers with 'x' digits are left as they are; so is all behind the end of a short packet. */
void stub_write_all(struct stub *s, struct args *a)
{
	struct x86_state regs = *target_regs(s->target, s->vcpu);
	u8 value[TDESC_REG_MAX];

	for (unsigned n = 0; n < tdesc_g_count() && !args_done(a); n++) {
		if (*a->s == 'x' && args_left(a) >= 2 * tdesc_size(n)) {
			a->s += 2 * tdesc_size(n);
			continue;
		}
		if (!packet_get_bytes(&a->s, a->end, value, tdesc_size(n))) {
			reply_error(s, -EINVAL);
			return;
		}
		tdesc_write(&regs, n, value);
	}
	set_registers(s, &regs);
}

/* After a call of a guest function GDB puts all registers back, those too that can't be set. */
static bool changes_nothing(struct stub *s, unsigned n, const u8 *value)
{
	u8 now[TDESC_REG_MAX];

	return tdesc_passes(n) || (tdesc_read(s->target, s->vcpu, target_regs(s->target, s->vcpu), n, now) &&
				   !memcmp(now, value, tdesc_size(n)));
}

void stub_write_reg(struct stub *s, struct args *a)
{
	struct x86_state regs = *target_regs(s->target, s->vcpu);
	u8 value[TDESC_REG_MAX];
	int ret;
	u64 n;

	if (!args_hex(a, &n) || n >= tdesc_count()) {
		reply_error(s, -ENOENT);
		return;
	}
	if (!args_char(a, '=') || !packet_get_bytes(&a->s, a->end, value, tdesc_size(n)) || !args_done(a)) {
		reply_error(s, -EINVAL);
		return;
	}
	ret = tdesc_write(&regs, n, value);
	if (ret == -EPERM && changes_nothing(s, n, value))
		reply_ok(s);
	else if (ret < 0)
		reply_error(s, ret);
	else
		set_registers(s, &regs);
}
