/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gdbstub/monitor_internal.h"

static int need_devices(const struct call *c)
{
	return c->target->ops->device ? 0 : call_fail(c, "This target shows no devices.");
}

int monitor_info_devices(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);

	if (call_end(&c) < 0 || need_devices(&c) < 0)
		return -EINVAL;
	return t->ops->device(t, NULL, out);
}

int monitor_info_device(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);

	if (need_devices(&c) < 0)
		return -EINVAL;
	if (!*c.s)
		return call_fail(&c, "ID is missing: `monitor info devices` lists them.");
	if (t->ops->device(t, c.s, out) < 0)
		return call_fail(&c, "There is no device \"%s\"; `monitor info devices` lists them.", c.s);
	return 0;
}
