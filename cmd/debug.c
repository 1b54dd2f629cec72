/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/debug.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "gdbstub/monitor.h"
#include "gdbstub/server.h"

static struct gdb_server *volatile serving;

static void on_signal(int sig)
{
	if (serving)
		gdb_server_stop(serving);
}

int debug_serve(struct timeline *tl, const struct options *o, bool run_detached, struct error *err)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct gdb_server_options options = {
	    .address = o->gdb_address,
	    .stub = {.commands = monitor_commands,
		     .version = VMDBG_VERSION,
		     .explain = monitor_explain,
		     .client_gone = monitor_client_gone},
	    .run_detached = run_detached,
	};
	struct sigaction sa = {.sa_handler = on_signal}, before[ARRAY_SIZE(signals)];
	struct gdb_server *server;
	int ret;

	options.stub.opaque = monitor_new(timeline_target(tl));
	if (!options.stub.opaque)
		return error_set(err, -ENOMEM, "no memory");
	server = gdb_server_open(timeline_target(tl), &options, err);
	if (!server) {
		monitor_free(options.stub.opaque);
		return -EINVAL;
	}
	serving = server;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, &before[i]);
	if (before[2].sa_handler == SIG_IGN) /* nohup */
		sigaction(SIGHUP, &before[2], NULL);
	signal(SIGPIPE, SIG_IGN);
	if (!o->quiet)
		fprintf(stderr, "vmdbg: waiting for GDB at %s (in GDB: target remote %s)\n", gdb_server_address(server),
			gdb_server_address(server));
	ret = gdb_server_serve(server, err);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &before[i], NULL);
	serving = NULL;
	gdb_server_close(server);
	monitor_free(options.stub.opaque);
	return ret < 0 ? ret : 0;
}
