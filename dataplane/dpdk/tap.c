/* SPDX-License-Identifier: BSD-2-Clause */
/* TUNSETOFFLOAD is left alone: without it the kernel hands over frames with finished checksums and
 * of the interface's MTU at most, which is what a wire carries. Tags come within the frame. */
#include "dataplane/dpdk/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TUNSETCARRIER
#define TUNSETCARRIER _IOW('T', 226, int)
#endif

static int refuse(char *text, size_t text_bytes, const char *what, const char *mend)
{
	int err = errno;

	snprintf(text, text_bytes, "%s (%s)%s", what, strerror(err), mend);
	return -err;
}

static int refuse_name(char *text, size_t text_bytes, bool fresh)
{
	if (errno == EBUSY)
		return refuse(text, text_bytes, "another process holds the interface of its name",
			      "");
	if (!fresh && errno == EINVAL)
		return refuse(text, text_bytes, "an interface of another kind already has its name",
			      "");
	return refuse(text, text_bytes, "the kernel refuses to make its interface",
		      errno == EPERM ? "; root may, and `ip tuntap add NAME mode tap user USER` "
				       "makes it beforehand"
				     : "");
}

/* Through a socket: these two requests are not the descriptor's. */
static int link_configure(const char *name, bool fresh, u16 mtu)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0)
		return -1;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFMTU, &request) < 0)
		err = -1;
	if (err == 0 && (fresh ? request.ifr_mtu != mtu : request.ifr_mtu > mtu)) {
		request.ifr_mtu = mtu;
		err = ioctl(fd, SIOCSIFMTU, &request);
	}
	if (err == 0)
		err = ioctl(fd, SIOCGIFFLAGS, &request);
	if (err == 0 && !(request.ifr_flags & IFF_UP)) {
		request.ifr_flags |= IFF_UP;
		err = ioctl(fd, SIOCSIFFLAGS, &request);
	}
	close(fd);
	return err;
}

int tap_mac(int fd, u8 mac[static 6])
{
	struct ifreq request = {0};

	if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		return -errno;
	memcpy(mac, request.ifr_hwaddr.sa_data, 6);
	return 0;
}

int tap_mac_set(int fd, const u8 mac[static 6])
{
	struct ifreq request = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};

	memcpy(request.ifr_hwaddr.sa_data, mac, 6);
	return ioctl(fd, SIOCSIFHWADDR, &request) < 0 ? -errno : 0;
}

static int tap_attach(int fd, const char *name, const u8 mac[static 6], u16 mtu, char *text,
		      size_t text_bytes)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	bool fresh = if_nametoindex(name) == 0;
	u8 present[6];

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return refuse_name(text, text_bytes, fresh);
	if ((tap_mac(fd, present) < 0 || memcmp(present, mac, 6) != 0) && tap_mac_set(fd, mac) < 0)
		return refuse(text, text_bytes, "it does not take the balancer's MAC", "");
	if (link_configure(name, fresh, mtu) < 0)
		return refuse(text, text_bytes, "it could not be set up", "");
	if (fresh && ioctl(fd, TUNSETPERSIST, 1) < 0)
		return refuse(text, text_bytes, "it could not be made to stay", "");
	return 0;
}

int tap_open(const char *name, const u8 mac[static 6], u16 mtu, char *text, size_t text_bytes)
{
	int fd, err;

	if (strlen(name) >= IFNAMSIZ) {
		snprintf(text, text_bytes, "its name is longer than the kernel's %d bytes",
			 IFNAMSIZ - 1);
		return -ENAMETOOLONG;
	}
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return refuse(text, text_bytes, "/dev/net/tun does not open",
			      errno == ENOENT ? ": `modprobe tun` makes it" : "");
	err = tap_attach(fd, name, mac, mtu, text, text_bytes);
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

static bool is_queue_of(const char *fd, const char *name)
{
	char path[64], line[128], iface[IFNAMSIZ];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%.16s", fd);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "iff: %15s", iface) == 1 && strcmp(iface, name) == 0;
	if (file)
		fclose(file);
	return found;
}

int tap_find(const char *name)
{
	DIR *dir = opendir("/proc/self/fdinfo");
	const struct dirent *entry;
	int fd = -1;

	while (dir && fd < 0 && (entry = readdir(dir)))
		if (is_queue_of(entry->d_name, name))
			fd = atoi(entry->d_name);
	if (dir)
		closedir(dir);
	return fd;
}

void tap_carrier(int fd, bool carrier)
{
	int value = carrier;

	(void)!ioctl(fd, TUNSETCARRIER, &value); /* before Linux 4.20 the link is always up */
}
