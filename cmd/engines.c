/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/engines.h"

#include <errno.h>
#include <string.h>

/* In the order in which auto takes them, the best tried first: vtx hasn't seen a real processor yet (docs/vtx.md). */
const struct engine_ops *const engines[ENGINES] = {&kvm_engine, &soft_engine, &vtx_engine};

int engine_choose(const char *name, const struct engine_ops **engine, struct error *err)
{
	const bool any = !strcmp(name, "auto");
	struct error why = {""};

	for (unsigned i = 0; i < ENGINES; i++) {
		if (!any && strcmp(engines[i]->name, name))
			continue;
		if (!engines[i]->probe || !engines[i]->probe(&why)) {
			*engine = engines[i];
			return 0;
		}
		if (!any)
			return error_set(err, -ENOTSUP, "--engine %s: %s", name, why.text);
	}
	return error_set(err, -ENOTSUP, "no engine can run here: %s", why.text);
}

int engine_set_mmu(struct machine_config *config, const char *how, struct error *err)
{
	if (!how)
		return 0;
	if (config->engine == &soft_engine)
		return error_set(err, -ENOTSUP, "--mmu %s: engine soft has no choice; its accessed flags are exact",
				 how);
	if (config->engine != &vtx_engine)
		return error_set(err, -ENOTSUP, "--mmu %s: engine %s has no choice; --engine vtx has", how,
				 config->engine->name);
	config->shadow = !strcmp(how, "shadow");
	return 0;
}
