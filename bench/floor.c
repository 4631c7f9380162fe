/*
 * A server for the C shim that takes no time of its own: what no agent on this machine can beat.
 *
 *     floor SOCKET answer           each call is answered at once
 *     floor SOCKET kernel BRIDGE    after the kernel's part of an ADD: a veth pair into the pod's
 *                                   namespace, its port, address, route and neighbours
 *
 * No ledger, no log, no nft elements, no look at the node, no JSON. DEL removes the link.
 *     gcc -O2 -pthread
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { THREADS = 16, GATEWAY = 0x0ae60001 };

static int listener, bridge, home;
static atomic_uint last = GATEWAY;

struct batch {
	_Alignas(4) char data[4096];
	int length, messages;
	struct nlmsghdr *head;
};

static void *put(struct batch *to, const void *data, int length)
{
	void *at = to->data + to->length;
	memset(at, 0, NLMSG_ALIGN(length));
	if (data)
		memcpy(at, data, length);
	to->length += NLMSG_ALIGN(length);
	to->head->nlmsg_len = to->data + to->length - (char *)to->head;
	return at;
}

static void begin(struct batch *to, int type, int flags, const void *body, int length)
{
	to->head = (struct nlmsghdr *)(to->data + to->length);
	put(to, NULL, sizeof *to->head);
	to->head->nlmsg_type = type;
	to->head->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	to->head->nlmsg_seq = ++to->messages;
	put(to, body, length);
}

static struct rtattr *attribute(struct batch *to, int type, const void *data, int length)
{
	struct rtattr head = { RTA_LENGTH(length), type }, *at = put(to, &head, sizeof head);
	if (length)
		put(to, data, length);
	return at;
}

static void end(struct batch *to, struct rtattr *nest)
{
	nest->rta_len = to->data + to->length - (char *)nest;
}

/* Send all, and read an acknowledgement of each. */
static void commit(int fd, struct batch *all, const char *what)
{
	char answer[8192];
	send(fd, all->data, all->length, 0);
	for (int left = all->messages; left;) {
		int got = recv(fd, answer, sizeof answer, 0);
		for (struct nlmsghdr *one = (void *)answer; NLMSG_OK(one, got);
		     one = NLMSG_NEXT(one, got), left--) {
			int error = ((struct nlmsgerr *)NLMSG_DATA(one))->error;
			if (error)
				fprintf(stderr, "%s: %s\n", what, strerror(-error)), exit(1);
		}
	}
}

static int route_socket(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

static void neighbour(struct batch *to, int link, unsigned address, const char *mac)
{
	struct ndmsg body = { .ndm_family = AF_INET, .ndm_ifindex = link, .ndm_state = NUD_PERMANENT };
	begin(to, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body);
	attribute(to, NDA_DST, &address, 4);
	attribute(to, NDA_LLADDR, mac, 6);
}

static void make_link(int host, const char *name, int pod, const char *mac)
{
	struct batch all = { 0 };
	struct ifinfomsg up = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP }, none = { 0 };
	begin(&all, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &up, sizeof up);
	attribute(&all, IFLA_IFNAME, name, strlen(name) + 1);
	attribute(&all, IFLA_MASTER, &bridge, 4);
	struct rtattr *info = attribute(&all, IFLA_LINKINFO, NULL, 0);
	attribute(&all, IFLA_INFO_KIND, "veth", 4);
	struct rtattr *data = attribute(&all, IFLA_INFO_DATA, NULL, 0);
	struct rtattr *peer = attribute(&all, VETH_INFO_PEER, NULL, 0);
	put(&all, &none, sizeof none);
	attribute(&all, IFLA_IFNAME, "eth0", 5);
	attribute(&all, IFLA_ADDRESS, mac, 6);
	attribute(&all, IFLA_NET_NS_FD, &pod, 4);
	end(&all, peer);
	end(&all, data);
	end(&all, info);
	commit(host, &all, "link");
}

static void make_inside(int pod, unsigned address, const char *mac)
{
	setns(pod, CLONE_NEWNET);
	int fd = route_socket(), link = if_nametoindex("eth0");
	unsigned gateway = htonl(GATEWAY);
	setns(home, CLONE_NEWNET);
	struct batch all = { 0 };
	struct ifinfomsg up = { .ifi_index = link, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	struct ifaddrmsg on = { .ifa_family = AF_INET, .ifa_prefixlen = 16, .ifa_index = link };
	struct rtmsg to = { .rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN,
			    .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST };
	begin(&all, RTM_NEWLINK, 0, &up, sizeof up);
	begin(&all, RTM_NEWADDR, NLM_F_CREATE, &on, sizeof on);
	attribute(&all, IFA_LOCAL, &address, 4);
	begin(&all, RTM_NEWROUTE, NLM_F_CREATE, &to, sizeof to);
	attribute(&all, RTA_GATEWAY, &gateway, 4);
	attribute(&all, RTA_OIF, &link, 4);
	neighbour(&all, link, gateway, mac);
	commit(fd, &all, "pod");
	close(fd);
}

static void add(int host, const char *name, const char *path)
{
	unsigned number = ++last, address = htonl(number);
	char mac[6] = { 2, 0, number >> 24, number >> 16, number >> 8, number };
	int pod = open(path, O_RDONLY | O_CLOEXEC);
	struct batch all = { 0 };
	make_link(host, name, pod, mac);
	make_inside(pod, address, mac);
	close(pod);
	neighbour(&all, bridge, address, mac);
	commit(host, &all, "neighbour");
}

static void delete(int host, const char *name)
{
	struct batch all = { 0 };
	struct ifinfomsg none = { 0 };
	begin(&all, RTM_DELLINK, 0, &none, sizeof none);
	attribute(&all, IFLA_IFNAME, name, strlen(name) + 1);
	commit(host, &all, "delete");
}

/* frame: the call's, without its length; see src/podwire/cni/agent/frame.py. */
static void work(int host, char *frame, int length)
{
	char *verb = memmem(frame, length, "CNI_COMMAND=", 12);
	char *container = memmem(frame, length, "CNI_CONTAINERID=", 16);
	char *netns = memmem(frame, length, "CNI_NETNS=", 10), name[16];
	snprintf(name, sizeof name, "v%s", container + 16);
	if (strcmp(verb + 12, "ADD"))
		delete(host, name);
	else
		add(host, name, netns + 10);
}

static void *serve(void *unused)
{
	int host = route_socket();
	for (;;) {
		char frame[65536], answer[400] = { 0, 0, 396 >> 8, (char)(396 & 255) };
		int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		int got = recv(peer, frame, 4, MSG_WAITALL);
		got = recv(peer, frame, ntohl(*(unsigned *)frame), got == 4 ? MSG_WAITALL : 0);
		if (bridge && got > 0)
			work(host, frame, got);
		send(peer, answer, sizeof answer, MSG_NOSIGNAL);
		close(peer);
	}
	return unused;
}

int main(int count, char **words)
{
	struct sockaddr_un where = { .sun_family = AF_UNIX };
	pthread_t thread;
	bridge = count > 3 ? if_nametoindex(words[3]) : 0;
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strncpy(where.sun_path, words[1], sizeof where.sun_path - 1);
	if (bind(listener, (struct sockaddr *)&where, sizeof where) || listen(listener, 512))
		return 1;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread, NULL, serve, NULL);
	pause();
}
