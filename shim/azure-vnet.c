/*
 * What a runtime executes: passes one CNI call to the agent, else becomes the in-process plugin.
 *
 * The installer writes the fixed values into `config` of the finished program; nothing is taken
 * from the environment but the CNI variables, which are the call. The wire format is described in
 * src/podwire/cni/agent/frame.py. Without a C library, whose start takes three times as long as
 * everything here. Linux on x86-64 and arm64:
 *     gcc -static -nostdlib -ffreestanding -fno-stack-protector -fno-pie -no-pie -O2
 *         -fno-tree-loop-distribute-patterns
 */
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/poll.h>
#include <linux/socket.h>
#include <linux/time.h>
#include <linux/un.h>

typedef unsigned long size;

enum { FRAME_LIMIT = 1 << 20, ANSWER_LIMIT = 8 << 20 };
enum { INPUT_LIMIT = 5 << 20 }; /* more than the plugin accepts, so that it refuses what was cut */
enum { STREAM = 1, CLOEXEC = 02000000, NONBLOCK = 04000, NOSIGNAL = 0x4000, DONTWAIT = 0x40 };

/* marker, plugin name, socket, in-process plugin, seconds in milliseconds: NUL-terminated. */
static volatile char config[1024] = "PODWIRE-SHIM-CONFIG";

static const char *const known[] = {
	"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH",
};

struct buffer {
	char *data;
	size length, room;
};

/* Untouched pages cost nothing. */
static char input_room[INPUT_LIMIT + 8192], frame_room[FRAME_LIMIT + 8], answer_room[ANSWER_LIMIT];

#if defined(__x86_64__)
static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n");
#elif defined(__aarch64__)
static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl begin\n");
#else
#error "no system calls for this machine: use the Python shim"
#endif

/* A compiler calls these by itself. */
void *memset(void *to, int value, size length)
{
	for (size at = 0; at < length; at++)
		((char *)to)[at] = value;
	return to;
}

void *memcpy(void *to, const void *from, size length)
{
	for (size at = 0; at < length; at++)
		((char *)to)[at] = ((const char *)from)[at];
	return to;
}

#define CALL(name, a, b, c, d, e, f) \
	call(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static void quit(int status)
{
	for (;;)
		CALL(exit_group, status, 0, 0, 0, 0, 0);
}

static size text_length(const char *text)
{
	size at = 0;
	while (text[at])
		at++;
	return at;
}

static int same(const char *one, const char *other)
{
	while (*one && *one == *other)
		one++, other++;
	return *one == *other;
}

/* The value of NAME=value; NULL when there is none. */
static const char *variable(char **environment, const char *name)
{
	size length = text_length(name);
	for (; *environment; environment++) {
		size at = 0;
		while (at < length && (*environment)[at] == name[at])
			at++;
		if (at == length && (*environment)[at] == '=')
			return *environment + length + 1;
	}
	return 0;
}

static int append(struct buffer *to, const char *data, size length)
{
	if (length > to->room - to->length)
		return -1;
	memcpy(to->data + to->length, data, length);
	to->length += length;
	return 0;
}

/* 0: all of it; -1: it is too much, or the descriptor failed. */
static int read_all(int fd, struct buffer *to)
{
	for (;;) {
		long got = CALL(read, fd, to->data + to->length, to->room - to->length, 0, 0, 0);
		if (got == 0)
			return to->length > INPUT_LIMIT ? -1 : 0;
		if (got < 0 && got != -EINTR)
			return -1;
		if (got > 0)
			to->length += got;
		if (to->length == to->room)
			return -1;
	}
}

static int write_all(int fd, const char *data, size length)
{
	while (length) {
		long put = CALL(write, fd, data, length, 0, 0, 0);
		if (put == -EINTR)
			continue;
		if (put <= 0)
			return -1;
		data += put;
		length -= put;
	}
	return 0;
}

/* Milliseconds. */
static long now(void)
{
	struct __kernel_timespec at;
	CALL(clock_gettime, CLOCK_MONOTONIC, &at, 0, 0, 0, 0);
	return at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

/* Wait until `fd` is ready or `deadline` has passed. */
static int await(int fd, short events, long deadline)
{
	struct pollfd one = { .fd = fd, .events = events };
	for (;;) {
		long left = deadline - now();
		left = left > 0 ? left : 0;
		struct __kernel_timespec most = { left / 1000, left % 1000 * 1000000 };
		long ready = CALL(ppoll, &one, 1, &most, 0, 0, 0);
		if (ready > 0)
			return 0;
		if (ready == 0 || ready != -EINTR)
			return -1;
	}
}

/* Move `length` bytes before `deadline`; sending when `out`. */
static int transfer(int fd, char *data, size length, int out, long deadline)
{
	while (length) {
		long done = out ? CALL(sendto, fd, data, length, NOSIGNAL | DONTWAIT, 0, 0)
				: CALL(recvfrom, fd, data, length, DONTWAIT, 0, 0);
		if (done == 0)
			return -1;
		if (done == -EINTR)
			continue;
		if (done < 0) {
			if (done != -EAGAIN || await(fd, out ? POLLOUT : POLLIN, deadline))
				return -1;
			continue;
		}
		data += done;
		length -= done;
	}
	return 0;
}

static size big_endian(const unsigned char *at)
{
	return (size)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

static int make_frame(struct buffer *frame, const char *name, char **environment,
		      const struct buffer *input)
{
	if (append(frame, "\0\0\0\0PODWIRE1", 13) || append(frame, name, text_length(name) + 1))
		return -1;
	for (size i = 0; i < sizeof known / sizeof *known; i++) {
		const char *value = variable(environment, known[i]);
		if (value &&
		    (append(frame, known[i], text_length(known[i])) || append(frame, "=", 1) ||
		     append(frame, value, text_length(value) + 1)))
			return -1;
	}
	if (append(frame, "", 1) || append(frame, input->data, input->length))
		return -1;
	size length = frame->length - 4;
	for (int i = 0; i < 4; i++)
		frame->data[i] = length >> (24 - 8 * i);
	return length > FRAME_LIMIT ? -1 : 0;
}

/* Ends the process when the agent has answered; returns when it has not. */
static void ask(const char *path, struct buffer *frame, long deadline)
{
	struct sockaddr_un where = { .sun_family = 1 };
	unsigned char head[5];
	int fd = CALL(socket, 1, STREAM | CLOEXEC | NONBLOCK, 0, 0, 0, 0);
	size length = text_length(path);
	if (fd < 0 || length >= sizeof where.sun_path)
		return;
	memcpy(where.sun_path, path, length);
	/* EAGAIN, its queue is full, is as good as no agent. */
	if (CALL(connect, fd, &where, sizeof where, 0, 0, 0) ||
	    transfer(fd, frame->data, frame->length, 1, deadline) ||
	    transfer(fd, (char *)head, 5, 0, deadline))
		return;
	size told = big_endian(head);
	if (told < 1 || told > ANSWER_LIMIT || transfer(fd, answer_room, told - 1, 0, deadline))
		return;
	quit(write_all(1, answer_room, told - 1) ? 1 : head[4]);
}

/* stdin again, from its start, for the program that follows. */
static void replay(const struct buffer *input)
{
	int fd = CALL(memfd_create, "stdin", 0, 0, 0, 0, 0);
	if (fd < 0 || write_all(fd, input->data, input->length) ||
	    CALL(lseek, fd, 0, 0, 0, 0, 0) < 0 || (fd > 0 && CALL(dup3, fd, 0, 0, 0, 0, 0) < 0))
		quit(1);
	if (fd > 0)
		CALL(close, fd, 0, 0, 0, 0, 0);
}

static long number(const char *text)
{
	long value = 0;
	while (*text >= '0' && *text <= '9')
		value = value * 10 + *text++ - '0';
	return value;
}

/* stack: the number of arguments, the arguments, NULL, the environment, NULL. */
__attribute__((used)) void begin(long *stack)
{
	char **arguments = (char **)(stack + 1), **environment = arguments + *stack + 1;
	char *name = (char *)config + text_length((char *)config) + 1;
	char *path = name + text_length(name) + 1;
	char *plugin = path + text_length(path) + 1;
	char *limit = plugin + text_length(plugin) + 1;
	const char *verb = variable(environment, "CNI_COMMAND");
	struct buffer input = { input_room, 0, sizeof input_room };
	struct buffer frame = { frame_room, 0, sizeof frame_room };

	/* VERSION must not depend on anything that runs. */
	if (*stack == 1 && verb && *verb && !same(verb, "VERSION")) {
		if (read_all(0, &input) == 0 && make_frame(&frame, name, environment, &input) == 0)
			ask(path, &frame, now() + number(limit));
		replay(&input);
	}
	CALL(execve, plugin, arguments, environment, 0, 0, 0);
	static const char lost[] = "{\"cniVersion\":\"0.3.0\",\"code\":5,\"msg\":\"the in-process "
				   "plugin is not there: run podwire cni install again\"}\n";
	write_all(1, lost, sizeof lost - 1);
	quit(1);
}
