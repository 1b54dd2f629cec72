/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#define SIGNAL_WAIT_MS 1000

void console_init(struct console *c, int fd)
{
	memset(c, 0, sizeof(*c));
	c->fd = fd;
	c->tty = fd >= 0 && isatty(fd);
}

int console_open(struct console *c, const char *path, struct error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0)
		return error_set(err, -errno, "%s: can't write the guest's console there: %s", path, strerror(errno));
	console_init(c, fd);
	c->owned = true;
	return 0;
}

/* After a signal, which asks for an end: a reader that takes nothing must not hold it up. */
static bool writable(const struct console *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLOUT};

	return poll(&p, 1, SIGNAL_WAIT_MS) != 0;
}

int console_flush(struct console *c)
{
	size_t done = 0;
	ssize_t n;

	while (done < c->len && !c->broken) {
		n = write(c->fd, c->buf + done, c->len - done);
		if (n < 0 && errno == EINTR) {
			if (writable(c))
				continue;
			errno = EPIPE;
		}
		if (n < 0 && errno == EAGAIN) {
			usleep(1000);
			continue;
		}
		if (n < 0) {
			c->broken = true;
			c->code = -errno;
		}
		done += n;
	}
	c->len = 0;
	return c->code;
}

int console_close(struct console *c)
{
	int rc = console_flush(c);

	if (c->owned && close(c->fd) && !rc)
		rc = -errno;
	c->fd = -1;
	c->owned = false;
	return rc;
}

static void output(struct console *c, const u8 *buf, size_t len)
{
	if (c->fd < 0 || c->broken)
		return;
	if (c->before_output)
		c->before_output(c->before_ctx);
	while (len) {
		size_t n = min64(len, CONSOLE_BUF - c->len);

		memcpy(c->buf + c->len, buf, n);
		c->len += n;
		buf += n;
		len -= n;
		if (c->len == CONSOLE_BUF)
			console_flush(c);
	}
	c->column = buf[-1] != '\n';
	/* Whole lines to files and pipes too: whoever reads them is told at once what a guest said before it hung. */
	if (c->tty || !c->column)
		console_flush(c);
}

/* Tries every pattern on a line, whole or not yet. */
static void match(struct console *c, struct console_line *line, bool whole)
{
	for (unsigned list = 0; list < ARRAY_SIZE(c->watch); list++)
		for (unsigned i = 0; i < c->nr_watch[list]; i++) {
			struct condition *cond = &c->watch[list][i];

			if (cond->kind != CONDITION_PATTERN || cond->met ||
			    regexec(&cond->re, line->text, 0, NULL, whole ? 0 : REG_NOTEOL))
				continue;
			cond->met = whole;
			if (c->watcher.pattern)
				c->watcher.pattern(c->watcher.ctx, cond);
		}
}

static bool ends_with(const struct console_line *line, const char *s, size_t n)
{
	return line->len >= n && !memcmp(line->text + line->len - n, s, n);
}

static void watch_byte(struct console *c, struct console_line *line, u8 byte)
{
	static const char panic[] = "Kernel panic - not syncing";
	static const char over[] = "---[ end Kernel panic";

	if (byte == '\n' || line->len == CONSOLE_LINE) {
		match(c, line, true);
		if (c->watcher.panic_over && strstr(line->text, over))
			c->watcher.panic_over(c->watcher.ctx);
		line->len = 0;
		line->text[0] = 0;
		if (byte == '\n')
			return;
	}
	if (byte == '\r' || !byte)
		return;
	line->text[line->len++] = byte;
	line->text[line->len] = 0;
	if (byte == 'g' && c->watcher.panic && ends_with(line, panic, sizeof(panic) - 1))
		c->watcher.panic(c->watcher.ctx);
	match(c, line, false);
}

void console_put(struct console *c, enum console_port port, const u8 *buf, size_t len)
{
	c->bytes += len;
	if (!len || port >= CONSOLE_PORTS)
		return;
	output(c, buf, len);
	for (size_t i = 0; i < len; i++)
		watch_byte(c, &c->line[port], buf[i]);
}

void console_end_lines(struct console *c)
{
	c->watcher.pattern = NULL;
	for (unsigned i = 0; i < CONSOLE_PORTS; i++)
		if (c->line[i].len)
			match(c, &c->line[i], true);
}
