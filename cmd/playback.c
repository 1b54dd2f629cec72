/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/playback.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/engines.h"
#include "cmd/trace_view.h"
#include "replay/stored.h"

int hidden_folder(char **folder, struct error *err)
{
	const char *tmp = getenv("TMPDIR");
	int rc = 0;

	if (asprintf(folder, "%s/vmdbg-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0) {
		*folder = NULL;
		return error_set(err, -ENOMEM, "no memory");
	}
	if (!mkdtemp(*folder)) {
		rc = error_set(err, -errno, "no folder for a trace can be made in %s: %s", tmp && *tmp ? tmp : "/tmp",
			       strerror(errno));
		free(*folder);
		*folder = NULL;
	}
	return rc;
}

static int load(struct playback *p, const struct options *o, const char *path, struct error *err)
{
	int rc = trace_open(&p->reader, path, 0, err);

	if (!rc)
		rc = session_load(&p->session, p->reader, o->kernel, o->initrd, o->disk, err);
	if (rc == -EBADMSG && p->reader && p->reader->state != TRACE_WHOLE)
		return error_set(err, -EBADMSG, "%s: %s: nothing of it can be replayed", o->file,
				 p->reader->damage.text);
	return rc;
}

/* The same recording with counts, in a file that is gone as soon as it is open. */
static int settle(struct playback *p, const struct options *o, struct error *err)
{
	char *folder, *path = NULL;
	int rc = hidden_folder(&folder, err);

	session_free(&p->session);
	trace_close(p->reader);
	p->reader = NULL;
	session_init(&p->session);
	if (rc)
		return rc;
	if (asprintf(&path, "%s/settled.vmt", folder) < 0) {
		path = NULL;
		rc = error_set(err, -ENOMEM, "no memory");
	}
	if (!rc && !o->quiet)
		fprintf(stderr, "vmdbg: %s has landmarks in place of counts: it is replayed once to count\n", o->file);
	if (!rc)
		rc = trace_settle_to(o, path, 0, err);
	/* What is whole of a recording that is cut off can be replayed with counts too. */
	if (!rc || (rc == -EBADMSG && !access(path, F_OK)))
		rc = load(p, o, path, err);
	if (path)
		unlink(path);
	rmdir(folder);
	free(path);
	free(folder);
	return rc;
}

/* Whether the engine can replay the trace at all. */
static int check_engine(const struct playback *p, const struct options *o, struct error *err)
{
	if (!p->session.config.free || p->session.config.engine->free_running)
		return 0;
	return error_set(
	    err, -ENOTSUP,
	    "%s has landmarks in place of counts, by which the engine %s can't replay: replay it on soft, or "
	    "give it counts with vmdbg trace settle",
	    o->file, p->session.config.engine->name);
}

int playback_open(struct playback *p, const struct options *o, bool counted, struct error *err)
{
	int rc;

	*p = (struct playback){0};
	session_init(&p->session);
	rc = load(p, o, o->file, err);
	if (!rc && counted && p->session.config.free)
		rc = settle(p, o, err);
	if (!rc)
		rc = engine_choose(o->engine, &p->session.config.engine, err);
	if (!rc)
		rc = check_engine(p, o, err);
	if (!rc)
		rc = engine_set_mmu(&p->session.config, o->mmu, err);
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
