/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two threads take turns with the input queue: the serving one owns it, but between watch_begin() and watch_end() the
 * watcher does. Of all else the watcher only reads what doesn't change in between. */
#include "gdbstub/server.h"
#include "gdbstub/listen.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE_SIZE 0x10000
#define REPEAT_MS  20 /* between two target_interrupt() of one interruption */
#define INTERRUPT  0x03

struct gdb_server {
	struct target *target;
	struct gdb_server_options options;
	struct stub *stub;
	struct listener listener;
	int stop_event;
	atomic_bool stop;

	int client; /* -1: none */
	u8 queue[QUEUE_SIZE];
	size_t head, tail; /* bytes read and not yet fed to the stub */
	bool gone;         /* nothing more will come from the client */
	bool heard;        /* something came */
	atomic_bool send_failed;

	pthread_t watcher;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool watching, active, quit; /* under lock */
	int watch_end_event;
	bool detached_run; /* no client: any that comes ends the run */
};

static void queue_compact(struct gdb_server *s)
{
	if (s->head == s->tail)
		s->head = s->tail = 0;
}

/* Reads what is there; the queue is not full. */
static void client_read(struct gdb_server *s)
{
	ssize_t n;

	n = recv(s->client, s->queue + s->tail, QUEUE_SIZE - s->tail, MSG_DONTWAIT);
	s->heard |= n > 0;
	if (n > 0)
		s->tail += n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		s->gone = true;
}

static void client_send(void *opaque, const void *data, size_t len)
{
	struct gdb_server *s = opaque;
	const u8 *p = data;

	while (len && !atomic_load(&s->send_failed)) {
		ssize_t n = send(s->client, p, len, MSG_NOSIGNAL);

		if (n > 0) {
			p += n;
			len -= n;
		} else if (errno != EINTR) {
			atomic_store(&s->send_failed, true);
			shutdown(s->client, SHUT_RDWR); /* the watcher sees it */
		}
	}
}

/* Someone comes while a client is served. One that has just left is not in the way. */
static void turn_away(struct gdb_server *s)
{
	u8 byte;
	int fd;

	if (recv(s->client, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN)
		return;
	fd = listener_accept(&s->listener);
	if (fd >= 0)
		close(fd);
}

/* What the watcher knows of one run. */
struct watch {
	size_t scanned;
	bool in_packet;
	bool interrupt;
};

/* Looks for the interrupt character in what has come since. */
static void watch_scan(struct gdb_server *s, struct watch *w)
{
	for (; w->scanned < s->tail; w->scanned++) {
		u8 c = s->queue[w->scanned];

		if (c == '$')
			w->in_packet = true;
		else if (c == '#')
			w->in_packet = false;
		else if (c == INTERRUPT && !w->in_packet)
			w->interrupt = true;
	}
	w->interrupt |= s->gone || atomic_load(&s->stop);
}

static void watch_interrupt(struct gdb_server *s)
{
	if (s->detached_run)
		target_interrupt(s->target);
	else
		stub_interrupt(s->stub);
}

static void watch_listener(struct gdb_server *s, struct watch *w)
{
	if (s->detached_run)
		w->interrupt = true;
	else if (!s->gone)
		turn_away(s);
}

/* Until watch_end(). A queue that is full, a client that is gone and an event that was seen are not polled again. */
static void watch_run(struct gdb_server *s)
{
	struct watch w = {0};

	queue_compact(s);
	w.scanned = s->head;
	watch_scan(s, &w);
	for (;;) {
		bool input = s->client >= 0 && !s->gone && s->tail < QUEUE_SIZE;
		struct pollfd fds[] = {
		    {.fd = s->watch_end_event, .events = POLLIN},
		    {.fd = input ? s->client : -1, .events = POLLIN},
		    {.fd = w.interrupt || (s->client >= 0 && !input) ? -1 : s->listener.fd, .events = POLLIN},
		    {.fd = w.interrupt ? -1 : s->stop_event, .events = POLLIN},
		};

		if (w.interrupt)
			watch_interrupt(s);
		if (poll(fds, ARRAY_SIZE(fds), w.interrupt ? REPEAT_MS : -1) < 0)
			continue;
		if (fds[0].revents)
			return;
		if (fds[1].revents)
			client_read(s);
		if (fds[2].revents)
			watch_listener(s, &w);
		watch_scan(s, &w);
	}
}

static void *watcher_main(void *opaque)
{
	struct gdb_server *s = opaque;

	pthread_mutex_lock(&s->lock);
	while (!s->quit) {
		if (!s->watching) {
			pthread_cond_wait(&s->changed, &s->lock);
			continue;
		}
		s->active = true;
		pthread_mutex_unlock(&s->lock);
		watch_run(s);
		pthread_mutex_lock(&s->lock);
		s->active = false;
		s->watching = false;
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void watch_begin(struct gdb_server *s)
{
	pthread_mutex_lock(&s->lock);
	s->watching = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void watch_end(struct gdb_server *s)
{
	u64 count = 1;

	pthread_mutex_lock(&s->lock);
	if (s->active) {
		if (write(s->watch_end_event, &count, sizeof(count)) < 0)
			abort(); /* an eventfd takes its first count */
		while (s->active)
			pthread_cond_wait(&s->changed, &s->lock);
		if (read(s->watch_end_event, &count, sizeof(count)) < 0)
			abort();
	}
	s->watching = false;
	pthread_mutex_unlock(&s->lock);
}

static void client_busy(void *opaque, bool on)
{
	if (on)
		watch_begin(opaque);
	else
		watch_end(opaque);
}

/* Waits until the listener, or the client, has something. False: to be stopped. */
static bool wait_input(struct gdb_server *s)
{
	struct pollfd fds[] = {
	    {.fd = s->stop_event, .events = POLLIN},
	    {.fd = s->client, .events = POLLIN},
	    {.fd = s->listener.fd, .events = POLLIN},
	};

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
		if (errno != EINTR)
			return false;
	}
	if (s->client >= 0 && fds[1].revents)
		client_read(s);
	else if (s->client >= 0 && fds[2].revents)
		turn_away(s);
	return !atomic_load(&s->stop);
}

/* From the first byte to the last. */
static enum stub_state serve_client(struct gdb_server *s)
{
	const struct stub_io io = {.send = client_send, .busy = client_busy, .opaque = s};
	enum stub_state state = STUB_OPEN;

	s->head = s->tail = 0;
	s->gone = s->heard = false;
	atomic_store(&s->send_failed, false);
	stub_attach(s->stub, &io);
	while (state == STUB_OPEN && !atomic_load(&s->send_failed)) {
		if (s->head < s->tail) {
			state = stub_feed(s->stub, &s->queue[s->head++], 1);
			continue;
		}
		queue_compact(s);
		if (s->gone || !wait_input(s))
			break;
	}
	stub_detach(s->stub);
	shutdown(s->client, SHUT_WR);
	close(s->client);
	s->client = -1;
	return state;
}

/* Lets the machine run until a client comes. False: it has come to its end, or was asked to stop. */
static bool run_detached(struct gdb_server *s)
{
	const struct target_resume how = {.direction = TARGET_FORWARD, .kind = TARGET_CONTINUE};
	struct target_stop stop = {0};

	s->detached_run = true;
	watch_begin(s);
	s->target->ops->resume(s->target, &how, &stop);
	watch_end(s);
	s->detached_run = false;
	return stop.reason != TARGET_STOP_END && stop.reason != TARGET_STOP_DIVERGED &&
	       stop.reason != TARGET_STOP_ERROR;
}

int gdb_server_serve(struct gdb_server *s, struct error *err)
{
	bool running = s->options.run_first;

	while (!atomic_load(&s->stop)) {
		enum stub_state state;

		s->client = listener_accept(&s->listener);
		if (s->client < 0) {
			if (!running)
				wait_input(s);
			else if (!(running = run_detached(s)) && s->options.run_detached)
				break;
			continue;
		}
		state = serve_client(s);
		running = s->options.run_detached && state == STUB_DETACHED;
		if (state == STUB_KILLED)
			return GDB_SERVER_KILLED;
		if (s->options.once && s->heard) /* not one that only looked whether someone listens */
			break;
	}
	return GDB_SERVER_STOPPED;
}

void gdb_server_stop(struct gdb_server *s)
{
	const u64 one = 1;

	atomic_store(&s->stop, true);
	if (write(s->stop_event, &one, sizeof(one)) < 0)
		return; /* it is full: long since stopped */
}

const char *gdb_server_address(const struct gdb_server *s)
{
	return s->listener.address;
}

static int open_parts(struct gdb_server *s, struct error *err)
{
	const char *address = s->options.address ? s->options.address : GDB_SERVER_ADDRESS;
	int ret;

	s->stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->watch_end_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->stub = stub_new(s->target, &s->options.stub);
	if (s->stop_event < 0 || s->watch_end_event < 0 || !s->stub)
		ret = error_set(err, -ENOMEM, "no memory for the GDB server");
	else
		ret = listener_open(&s->listener, address, err);
	if (ret < 0)
		return ret;
	ret = -pthread_create(&s->watcher, NULL, watcher_main, s);
	if (ret < 0)
		listener_close(&s->listener);
	return ret < 0 ? error_set(err, ret, "cannot start a thread: %s", strerror(-ret)) : 0;
}

static void close_parts(struct gdb_server *s)
{
	stub_free(s->stub);
	if (s->stop_event >= 0)
		close(s->stop_event);
	if (s->watch_end_event >= 0)
		close(s->watch_end_event);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

struct gdb_server *gdb_server_open(struct target *t, const struct gdb_server_options *options, struct error *err)
{
	struct gdb_server *s = calloc(1, sizeof(*s));

	if (!s) {
		error_set(err, -ENOMEM, "no memory for the GDB server");
		return NULL;
	}
	s->target = t;
	s->options = *options;
	s->client = -1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	if (open_parts(s, err) < 0) {
		close_parts(s);
		return NULL;
	}
	return s;
}

void gdb_server_close(struct gdb_server *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->quit = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->watcher, NULL);
	listener_close(&s->listener);
	close_parts(s);
}
