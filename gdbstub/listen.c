/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gdbstub/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_FLAGS (SOCK_CLOEXEC | SOCK_NONBLOCK)
#define SEND_SECONDS 30 /* a client that takes nothing for so long is given up */

/* A socket file that nobody answers behind is a leftover. */
static void remove_leftover(const struct sockaddr_un *sun)
{
	struct stat st;
	int fd;

	if (stat(sun->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCKET_FLAGS, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) < 0 && errno == ECONNREFUSED)
		unlink(sun->sun_path);
	close(fd);
}

static int open_unix(struct listener *l, const char *path, struct error *err)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(sun.sun_path))
		return error_set(err, -ENAMETOOLONG, "%s: too long for the name of a socket", path);
	strcpy(sun.sun_path, path);
	snprintf(l->address, sizeof(l->address), "%s", path);
	remove_leftover(&sun);
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCKET_FLAGS, 0);
	if (l->fd < 0)
		return error_set(err, -errno, "cannot make a socket: %m");
	if (bind(l->fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || listen(l->fd, 4) < 0) {
		int ret = -errno;

		close(l->fd);
		return error_set(err, ret, "cannot listen on %s: %m", path);
	}
	l->is_unix = true;
	return 0;
}

/* Splits ADDR:PORT; an address left out is this machine only. */
static int split(const char *address, char host[200], char port[16])
{
	const char *colon = strrchr(address, ':'), *number = colon ? colon + 1 : address;
	size_t len = colon ? colon - address : 0;

	if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	if (len >= 200 || strlen(number) >= 16 || !*number || strspn(number, "0123456789") != strlen(number) ||
	    strtoull(number, NULL, 10) > 65535)
		return -EINVAL;
	memcpy(host, address, len);
	host[len] = 0;
	if (!len)
		strcpy(host, "127.0.0.1");
	strcpy(port, number);
	return 0;
}

static void name_inet(struct listener *l)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char host[128], port[16];

	if (getsockname(l->fd, (struct sockaddr *)&ss, &len) < 0 ||
	    getnameinfo((struct sockaddr *)&ss, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		return;
	snprintf(l->address, sizeof(l->address), strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static int bind_inet(struct listener *l, const struct addrinfo *ai)
{
	const int one = 1;
	int ret;

	l->fd = socket(ai->ai_family, ai->ai_socktype | SOCKET_FLAGS, ai->ai_protocol);
	if (l->fd < 0)
		return -errno;
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(l->fd, ai->ai_addr, ai->ai_addrlen) && !listen(l->fd, 4))
		return 0;
	ret = -errno;
	close(l->fd);
	return ret;
}

static int open_inet(struct listener *l, const char *address, struct error *err)
{
	const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	char host[200], port[16];
	int ret;

	if (split(address, host, port) < 0)
		return error_set(err, -EINVAL, "%s: neither ADDR:PORT nor the path of a socket (with a '/')", address);
	ret = getaddrinfo(host, port, &hints, &list);
	if (ret)
		return error_set(err, -EINVAL, "%s: %s", address, gai_strerror(ret));
	ret = -EADDRNOTAVAIL;
	for (const struct addrinfo *ai = list; ai && ret < 0; ai = ai->ai_next)
		ret = bind_inet(l, ai);
	freeaddrinfo(list);
	if (ret < 0)
		return error_set(err, ret, "cannot listen on %s: %s", address, strerror(-ret));
	name_inet(l);
	return 0;
}

int listener_open(struct listener *l, const char *address, struct error *err)
{
	*l = (struct listener){.fd = -1};
	return strchr(address, '/') ? open_unix(l, address, err) : open_inet(l, address, err);
}

void listener_close(struct listener *l)
{
	close(l->fd);
	if (l->is_unix)
		unlink(l->address);
}

int listener_accept(struct listener *l)
{
	const struct timeval patience = {.tv_sec = SEND_SECONDS};
	const int one = 1;
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (l->is_unix)
		return fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	return fd;
}
