/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The whole stub over the fake target. Input: packets' texts, separated by 0xff, framed here so that checksums don't
 * stand in the way; a packet that begins with 0xfe is raw bytes of the line instead. */
#include <stdio.h>
#include <stdlib.h>

#include "gdbstub/packet.h"
#include "gdbstub/stub.h"
#include "tests/unit/fake_target.h"

static struct fake_target fake;
static struct stub *stub;
static size_t sent;

static void client_send(void *opaque, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sent += ((const u8 *)data)[i];
}

static int run_seek(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct error err;

	if (t->ops->seek(t, args, &err) < 0)
		fprintf(out, "%s\n", err.text);
	return 0;
}

static const struct stub_command commands[] = {{"seek", "POSITION", "goes there", run_seek}, {0}};
static const struct stub_options options = {.commands = commands, .version = "1"};
static const struct stub_io io = {.send = client_send};

static enum stub_state feed_packet(const u8 *data, size_t len)
{
	char end[4];
	u8 sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += data[i];
	stub_feed(stub, "$", 1);
	stub_feed(stub, data, len);
	snprintf(end, sizeof(end), "#%02x", sum);
	return stub_feed(stub, end, 3);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);
int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	fake_init(&fake);
	fake.end = 200;
	if (len) {
		fake.vcpus = 1 + (data[0] & 3);
		fake.live = data[0] & 4;
		fake.ops.reversible = data[0] & 8;
	}
	stub = stub_new(&fake.target, &options);
	if (!stub)
		return 0;
	stub_attach(stub, &io);
	for (size_t at = 1; at < len;) {
		const u8 *sep = memchr(data + at, 0xff, len - at);
		size_t n = sep ? (size_t)(sep - data) - at : len - at;
		bool raw = n && data[at] == 0xfe;
		enum stub_state state = raw ? stub_feed(stub, data + at + 1, n - 1) : feed_packet(data + at, n);

		if (state != STUB_OPEN)
			stub_attach(stub, &io);
		at += n + 1;
	}
	stub_free(stub);
	if (fake.target.breaks)
		abort();
	return 0;
}
