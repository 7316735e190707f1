/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/device_check.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/config.h"
#include "dataplane/dpdk/xdp_probe.h"

#define AF_PACKET_FRAME_BYTES 2048 /* DPDK's, unless `framesz=` says otherwise */
#define AF_PACKET_HEAD_BYTES 66    /* the kernel's header and alignment before the frame */
#define ETHERNET_BYTES 14
#define PATH_BYTES CONFIG_DEVICE_MAX
#define TUN_PATH "/dev/net/tun"

u16 device_kernel_mtu(const char *kernel_name)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return 0;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", kernel_name);
	err = ioctl(fd, SIOCGIFMTU, &request);
	close(fd);
	if (err < 0 || request.ifr_mtu <= 0)
		return 0;
	return request.ifr_mtu > 0xffff ? 0xffff : (u16)request.ifr_mtu;
}

static bool have(unsigned capability)
{
	return capng_get_caps_process() == 0 &&
	       capng_have_capability(CAPNG_EFFECTIVE, capability) == 1;
}

bool device_check_tap(const char *device, u32 mtu, char *text, size_t text_bytes)
{
	int fd = open(TUN_PATH, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		snprintf(text, text_bytes, "needs %s (%s): `modprobe tun` makes it", TUN_PATH,
			 strerror(errno));
		return false;
	}
	close(fd);
	if (have(CAP_NET_ADMIN))
		return true;
	snprintf(text, text_bytes,
		 "is a tap, which takes CAP_NET_ADMIN to make: run shunt-dpdk as root, or in "
		 "namespaces of its own with `unshare -Urnm`");
	return false;
}

/* The kernel's interface that the device stands on. */
static bool check_iface(const char *device, char *name, size_t name_bytes, char *text,
			size_t text_bytes)
{
	config_device_option(device, "iface", name, name_bytes);
	if (name[0] == '\0')
		snprintf(text, text_bytes,
			 "lacks the kernel's interface to listen at: write `device: "
			 "\"%.*s,iface=NAME\"`",
			 (int)strcspn(device, ","), device);
	else if (if_nametoindex(name) == 0)
		snprintf(text, text_bytes,
			 "should listen at %s, which does not exist; `ip link` shows what does",
			 name);
	else
		return true;
	return false;
}

/* The kernel cuts what is longer than a slot of its ring, and says nothing. */
static bool check_slots(const char *device, u32 mtu, char *text, size_t text_bytes)
{
	u32 slot_bytes = AF_PACKET_FRAME_BYTES, need_bytes = 2 * AF_PACKET_FRAME_BYTES;
	char option[16];

	config_device_option(device, "framesz", option, sizeof(option));
	if (option[0] != '\0')
		slot_bytes = (u32)strtoul(option, NULL, 10);
	if (mtu + ETHERNET_BYTES + AF_PACKET_HEAD_BYTES <= slot_bytes)
		return true;
	while (need_bytes < mtu + ETHERNET_BYTES + AF_PACKET_HEAD_BYTES)
		need_bytes *= 2;
	snprintf(text, text_bytes,
		 "has an MTU of %u, but its packet socket holds frames of %u bytes: add "
		 "`,blocksz=%u,framesz=%u` to the device, or set `mtu: %u`",
		 mtu, slot_bytes - AF_PACKET_HEAD_BYTES, 2 * need_bytes, need_bytes,
		 AF_PACKET_FRAME_BYTES - AF_PACKET_HEAD_BYTES - ETHERNET_BYTES);
	return false;
}

bool device_check_af_packet(const char *device, u32 mtu, char *text, size_t text_bytes)
{
	char name[IF_NAMESIZE];

	if (!check_iface(device, name, sizeof(name), text, text_bytes) ||
	    !check_slots(device, mtu, text, text_bytes))
		return false;
	if (have(CAP_NET_RAW))
		return true;
	snprintf(text, text_bytes,
		 "is a packet socket, which takes CAP_NET_RAW to open: run shunt-dpdk as root, or "
		 "in namespaces of its own with `unshare -Urnm`");
	return false;
}

bool device_check_af_xdp(const char *device, u32 mtu, char *text, size_t text_bytes)
{
	char name[IF_NAMESIZE];
	int err;

	if (!check_iface(device, name, sizeof(name), text, text_bytes))
		return false;
	err = have(CAP_NET_RAW) && have(CAP_NET_ADMIN) ? xdp_probe(name) : -EPERM;
	if (err == 0)
		return true;
	if (err == -EPERM)
		snprintf(text, text_bytes,
			 "is an XDP socket, which takes CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF "
			 "outside of any user namespace: run shunt-dpdk as root, or use "
			 "`net_af_packet0,iface=%s`",
			 name);
	else
		snprintf(text, text_bytes,
			 "should put an XDP program on %s, which takes none (%s): lower its MTU "
			 "with `ip link set %s mtu 1500`, or use `net_af_packet0,iface=%s`",
			 name, strerror(-err), name, name);
	return false;
}

/* --- Sockets and files ---------------------------------------------------------------- */

static bool option_is(const char *device, const char *option, const char *value)
{
	char given[32];

	config_device_option(device, option, given, sizeof(given));
	return strcmp(given, value) == 0;
}

/* The path that an option has to give. */
static bool check_path(const char *device, const char *option, char path[static PATH_BYTES],
		       char *text, size_t text_bytes)
{
	config_device_option(device, option, path, PATH_BYTES);
	if (path[0] != '\0')
		return true;
	snprintf(text, text_bytes, "lacks its socket: write `device: \"%.*s,%s=PATH\"`",
		 (int)strcspn(device, ","), device, option);
	return false;
}

static bool check_directory(const char *path, char *text, size_t text_bytes)
{
	const char *slash = strrchr(path, '/');
	char directory[PATH_BYTES];

	if (!slash)
		return true;
	snprintf(directory, sizeof(directory), "%.*s/", (int)(slash - path), path);
	if (access(directory, W_OK) == 0)
		return true;
	snprintf(text, text_bytes, "should listen at %s, but nothing can be made in %s: %s", path,
		 directory, strerror(errno));
	return false;
}

/* Makes way for a socket that the device will listen at. One that nobody listens at any more was
 * left by a process that was killed, and DPDK would stumble over it. */
static bool check_listen(const char *path, char *text, size_t text_bytes)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat stat;
	int fd, err;

	if (!check_directory(path, text, text_bytes))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	err = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	close(fd);
	if (err == ENOENT)
		return true;
	if (lstat(path, &stat) == 0 && !S_ISSOCK(stat.st_mode))
		snprintf(text, text_bytes, "should listen at %s, which exists and is no socket",
			 path);
	else if (err == 0)
		snprintf(text, text_bytes,
			 "should listen at %s, where another process listens already", path);
	else if (err == ECONNREFUSED && unlink(path) == 0)
		return true;
	else
		snprintf(text, text_bytes, "cannot listen at %s: %s", path, strerror(errno));
	return false;
}

bool device_check_vhost(const char *device, u32 mtu, char *text, size_t text_bytes)
{
	char path[PATH_BYTES];

	if (!check_path(device, "iface", path, text, text_bytes))
		return false;
	return option_is(device, "client", "1") || check_listen(path, text, text_bytes);
}

bool device_check_virtio_user(const char *device, u32 mtu, char *text, size_t text_bytes)
{
	char path[PATH_BYTES];

	if (!check_path(device, "path", path, text, text_bytes))
		return false;
	if (option_is(device, "server", "1"))
		return check_listen(path, text, text_bytes);
	if (access(path, R_OK | W_OK) == 0)
		return true;
	snprintf(text, text_bytes,
		 "should connect to %s (%s): start what listens there first, or add `,server=1` "
		 "to wait for it",
		 path, strerror(errno));
	return false;
}

bool device_check_pcap(const char *device, u32 mtu, char *text, size_t text_bytes)
{
	char path[PATH_BYTES];

	config_device_option(device, "rx_pcap", path, sizeof(path));
	if (path[0] == '\0' || access(path, R_OK) == 0)
		return true;
	snprintf(text, text_bytes, "should read the capture %s: %s", path, strerror(errno));
	return false;
}
