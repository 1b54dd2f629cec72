/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/playback.h"

#include <errno.h>
#include <stdlib.h>

#include "cmd/engines.h"
#include "replay/stored.h"

int playback_open(struct playback *p, const struct options *o, struct error *err)
{
	int rc;

	*p = (struct playback){0};
	session_init(&p->session);
	rc = trace_open(&p->reader, o->file, 0, err);
	if (!rc)
		rc = session_load(&p->session, p->reader, o->kernel, o->initrd, o->disk, err);
	if (rc == -EBADMSG && p->reader && p->reader->state != TRACE_WHOLE)
		return error_set(err, -EBADMSG, "%s: %s: nothing of it can be replayed", o->file,
				 p->reader->damage.text);
	if (!rc)
		rc = engine_choose(o->engine, &p->session.config.engine, err);
	if (!rc)
		rc = machine_create(&p->m, &p->session.config, err);
	if (!rc && !p->session.mid)
		rc = boot_load(p->m, &p->session.boot, &p->what, err);
	if (!rc)
		rc = replayer_create(&p->replayer, p->reader, p->m, &p->session, err);
	if (!rc && p->session.mid)
		rc = checkpoint_begin(p->m, p->replayer, p->reader, err);
	return rc;
}

void playback_close(struct playback *p)
{
	if (p->replayer)
		replayer_free(p->replayer);
	machine_free(p->m);
	session_free(&p->session);
	if (p->reader)
		trace_close(p->reader);
	free(p->what);
}
