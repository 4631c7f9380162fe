/*
 * What a runtime executes: passes one CNI call to the agent, else becomes the in-process plugin.
 *
 * The installer writes the fixed values into `config` of the finished program; nothing is taken
 * from the environment but the CNI variables, which are the call. The wire format is described in
 * src/podwire/cni/agent/frame.py. Linux only; no dependency; meant to be linked statically.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FRAME_LIMIT (1 << 20)
#define ANSWER_LIMIT (8 << 20)
#define INPUT_LIMIT (5 << 20) /* more than the plugin accepts, so that it refuses what was cut */

/* marker, plugin name, socket, in-process plugin, seconds in milliseconds: NUL-terminated. */
static volatile char config[1024] = "PODWIRE-SHIM-CONFIG";

static const char *const known[] = {
	"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH",
};

struct buffer {
	char *data;
	size_t size, room;
};

static int grow(struct buffer *to, size_t more)
{
	if (to->size + more <= to->room)
		return 0;
	size_t room = to->room ? to->room : 8192;
	while (room < to->size + more)
		room *= 2;
	char *data = realloc(to->data, room);
	if (!data)
		return -1;
	to->data = data;
	to->room = room;
	return 0;
}

static int append(struct buffer *to, const char *data, size_t size)
{
	if (grow(to, size))
		return -1;
	memcpy(to->data + to->size, data, size);
	to->size += size;
	return 0;
}

/* 0: all of it; -1: memory or the descriptor failed. */
static int read_all(int fd, struct buffer *to)
{
	for (;;) {
		if (to->size > INPUT_LIMIT || grow(to, 4096))
			return -1;
		ssize_t got = read(fd, to->data + to->size, to->room - to->size);
		if (got == 0)
			return 0;
		if (got < 0 && errno != EINTR)
			return -1;
		if (got > 0)
			to->size += got;
	}
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t put = write(fd, data, size);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return -1;
		data += put;
		size -= put;
	}
	return 0;
}

static long now(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

/* Wait until `fd` is ready or `deadline` has passed. */
static int await(int fd, short events, long deadline)
{
	struct pollfd one = { .fd = fd, .events = events };
	for (;;) {
		long left = deadline - now();
		int ready = poll(&one, 1, left > 0 ? left : 0);
		if (ready > 0)
			return 0;
		if (ready == 0 || errno != EINTR)
			return -1;
	}
}

/* Move `size` bytes before `deadline`; sending when `out`. */
static int transfer(int fd, char *data, size_t size, int out, long deadline)
{
	while (size) {
		ssize_t done = out ? send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT)
				   : recv(fd, data, size, MSG_DONTWAIT);
		if (done == 0)
			return -1;
		if (done < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN || await(fd, out ? POLLOUT : POLLIN, deadline))
				return -1;
			continue;
		}
		data += done;
		size -= done;
	}
	return 0;
}

static uint32_t big_endian(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

static int make_frame(struct buffer *frame, const char *name, const struct buffer *input)
{
	if (append(frame, "\0\0\0\0PODWIRE1", 13) || append(frame, name, strlen(name) + 1))
		return -1;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		const char *value = getenv(known[i]);
		if (value && (append(frame, known[i], strlen(known[i])) || append(frame, "=", 1) ||
			      append(frame, value, strlen(value) + 1)))
			return -1;
	}
	if (append(frame, "", 1) || append(frame, input->data, input->size))
		return -1;
	uint32_t size = frame->size - 4;
	for (int i = 0; i < 4; i++)
		frame->data[i] = size >> (24 - 8 * i);
	return size > FRAME_LIMIT ? -1 : 0;
}

/* Ends the process when the agent has answered; returns when it has not. */
static void ask(const char *path, struct buffer *frame, long deadline)
{
	struct sockaddr_un where = { .sun_family = AF_UNIX };
	unsigned char head[5];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || strlen(path) >= sizeof where.sun_path)
		return;
	strcpy(where.sun_path, path);
	/* EAGAIN, its queue is full, is as good as no agent. */
	if (connect(fd, (struct sockaddr *)&where, sizeof where) ||
	    transfer(fd, frame->data, frame->size, 1, deadline) ||
	    transfer(fd, (char *)head, 5, 0, deadline))
		return;
	uint32_t size = big_endian(head);
	char *text = size < 1 || size > ANSWER_LIMIT ? NULL : malloc(size);
	if (!text || transfer(fd, text, size - 1, 0, deadline))
		return;
	_exit(write_all(1, text, size - 1) ? 1 : head[4]);
}

/* stdin again, from its start, for the program that follows. */
static void replay(const struct buffer *input)
{
	int fd = memfd_create("stdin", 0);
	if (fd < 0 || write_all(fd, input->data, input->size) || lseek(fd, 0, SEEK_SET) ||
	    dup2(fd, 0) < 0)
		_exit(1);
	if (fd > 0)
		close(fd);
}

int main(int argc, char **argv)
{
	char *name = (char *)config + strlen((char *)config) + 1;
	char *path = name + strlen(name) + 1;
	char *plugin = path + strlen(path) + 1;
	char *limit = plugin + strlen(plugin) + 1;
	const char *verb = getenv("CNI_COMMAND");
	struct buffer input = { 0 }, frame = { 0 };

	/* VERSION must not depend on anything that runs. */
	if (argc == 1 && verb && strcmp(verb, "VERSION")) {
		if (read_all(0, &input) == 0 && make_frame(&frame, name, &input) == 0)
			ask(path, &frame, now() + atol(limit));
		replay(&input);
	}
	execv(plugin, argv);
	static const char lost[] = "{\"cniVersion\":\"0.3.0\",\"code\":5,\"msg\":\"the in-process "
				   "plugin is not there: run podwire cni install again\"}\n";
	write_all(1, lost, sizeof lost - 1);
	return 1;
}
