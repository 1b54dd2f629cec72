/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monitor commands: any line, over any registers and any memory. Nothing but lines comes of it. */
#include <stdlib.h>

#include "gdbstub/monitor.h"
#include "tests/unit/fake_target.h"

#define LINES_MAX 4

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct fake_target fake;
static u8 image[FAKE_RAM];

static void load_image(struct fake_target *f)
{
	memcpy(f->ram, image, sizeof(image));
}

static void run_line(struct monitor *m, const char *line)
{
	const struct stub_command *best = NULL;
	char *output = NULL;
	size_t most = 0, len;
	FILE *out;

	for (const struct stub_command *c = monitor_commands; c->name; c++) {
		size_t n = strlen(c->name);

		if (n > most && !strncmp(c->name, line, n) && (!line[n] || line[n] == ' ')) {
			best = c;
			most = n;
		}
	}
	out = open_memstream(&output, &len);
	if (!out)
		abort();
	if (best)
		best->run(m, &fake.target, 0, line + most + (line[most] == ' '), out);
	fclose(out);
	if (best && len && output[len - 1] != '\n')
		abort();
	free(output);
}

/* Lines up to an empty one; then a byte with the place in memory and the bytes that stand there and everywhere else
 * in turn; what begins memory is the registers too. */
static void fill(const u8 *data, size_t size)
{
	size_t offset;

	if (!size)
		return;
	offset = (size_t)data[0] << 8;
	for (size_t i = 0; size > 1 && i < sizeof(image); i++)
		image[(offset + i) % sizeof(image)] = data[1 + i % (size - 1)];
	state_load(x86_state_fields, &fake.start, image, state_size(x86_state_fields));
	fake.start.cr3 &= 0xf000;
	fake.start.gdtr.base &= 0xffff;
	fake.start.idtr.base &= 0xffff;
	fake.prepare = load_image;
	fake_reset(&fake);
	fake_go(&fake, 20);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct monitor *m;
	char line[LINES_MAX][128] = {{0}};
	unsigned lines = 0;

	while (lines < LINES_MAX && size) {
		const u8 *end = memchr(data, '\n', size);
		size_t len = end ? (size_t)(end - data) : size;

		memcpy(line[lines++], data, min64(len, sizeof(line[0]) - 1));
		data += len + !!end;
		size -= len + !!end;
	}
	fake_init(&fake);
	fake.end = 50;
	m = monitor_new(&fake.target);
	if (!m)
		return 0;
	fill(data, size);
	for (unsigned i = 0; i < lines; i++)
		run_line(m, line[i]);
	monitor_free(m);
	if (fake.target.breaks)
		abort();
	return 0;
}
