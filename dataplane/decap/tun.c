/* SPDX-License-Identifier: BSD-2-Clause */
/* Inner packets are for an address the host already has, and the replies leave by the ordinary
 * routes: the device needs no address and no route of its own. Reverse path filtering is in the
 * way, though. A client is never reachable through this device, so the strict check (1) would
 * drop every IPv4 packet. The kernel applies the larger of the device's setting and `all`, whoever
 * changes the latter and whenever; 2, the loose check, is the one value that always wins. It asks
 * that a route to the source exists, which the reply needs anyway.
 *
 * The loose check is strict after all on a device without an IPv4 address (last_resort in the
 * kernel's fib_validate_source). So the device gets one that means nothing: the IPv4 dummy address
 * of RFC 7600, in link scope, so that it is never chosen as the source of a connection.
 *
 * The device is created exclusively (IFF_TUN_EXCL): a device of that name that already exists
 * belongs to somebody, and would outlive us. Settings that are files under /proc/sys may be
 * read-only, in a container for instance; then what they should be is said and we go on. */
#include "dataplane/decap/tun.h"

#include "dataplane/session/message.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TUN_PATH "/dev/net/tun"

/* Returns the setting's value, or -1 where it can't be read. */
static int setting_read(const char *path)
{
	FILE *stream = fopen(path, "re");
	int value;

	if (!stream)
		return -1;
	if (fscanf(stream, "%d", &value) != 1)
		value = -1;
	fclose(stream);
	return value;
}

static bool setting_write(const char *path, int value)
{
	FILE *stream = fopen(path, "we");
	bool written;

	if (!stream)
		return false;
	written = fprintf(stream, "%d\n", value) > 0;
	return (fclose(stream) == 0) && written;
}

/* Makes a device's setting `value` where it isn't; says so where that is refused. */
static void setting_ensure(const char *family, const char *name, const char *setting, int value,
			   const char *consequence)
{
	char path[128];
	int now;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, name, setting);
	now = setting_read(path);
	if (now == value || now < 0 || setting_write(path, value))
		return;
	message("%s is %d and could not be changed, so %s: run 'sysctl -w net/%s/conf/%s/%s=%d'",
		path, now, consequence, family, name, setting, value);
}

static void settings_apply(const char *name)
{
	setting_ensure("ipv4", name, "rp_filter", 2, "inner IPv4 packets may be dropped");
	setting_ensure("ipv6", name, "disable_ipv6", 0, "inner IPv6 packets will be dropped");
	/* 1: no link-local address, hence nothing that the host would send into the device. */
	setting_ensure("ipv6", name, "addr_gen_mode", 1, "the device gets a needless address");
}

/* Sends a request and reads the kernel's acknowledgement. Returns 0 or -errno. */
static int netlink_ask(const struct nlmsghdr *request)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), status;
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer = {};

	if (fd < 0)
		return -errno;
	status = send(fd, request, request->nlmsg_len, 0) < 0 ||
				 recv(fd, &answer, sizeof(answer), 0) < 0
			 ? -errno
			 : answer.error.error;
	close(fd);
	return status;
}

static int dummy_address_add(u32 index)
{
	struct {
		struct nlmsghdr header;
		struct ifaddrmsg address;
		struct rtattr attribute;
		be32 value;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			   .nlmsg_type = RTM_NEWADDR,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE},
		.address = {.ifa_family = AF_INET,
			    .ifa_prefixlen = 32,
			    .ifa_scope = RT_SCOPE_LINK,
			    .ifa_index = index},
		.attribute = {.rta_len = RTA_LENGTH(sizeof(be32)), .rta_type = IFA_LOCAL},
		.value = BE32(0xc0000008), /* 192.0.0.8 */
	};

	return netlink_ask(&request.header);
}

static int control_fail(const char *what, const char *name, int control)
{
	int status = -errno;

	message("cannot %s device %s: %s", what, name, strerror(-status));
	close(control);
	return status;
}

static int device_bring_up(struct tun *tun, const char *name, u32 mtu)
{
	struct ifreq request = {};
	int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (control < 0)
		return control_fail("open a socket for", name, control);
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(control, SIOCGIFINDEX, &request) < 0)
		return control_fail("find", name, control);
	tun->index = (u32)request.ifr_ifindex;
	request.ifr_mtu = (int)mtu;
	if (ioctl(control, SIOCSIFMTU, &request) < 0)
		return control_fail("set the MTU of", name, control);
	settings_apply(name);
	errno = -dummy_address_add(tun->index);
	if (errno != 0)
		return control_fail("add an address to", name, control);
	if (ioctl(control, SIOCGIFFLAGS, &request) < 0)
		return control_fail("read the flags of", name, control);
	request.ifr_flags |= IFF_UP;
	if (ioctl(control, SIOCSIFFLAGS, &request) < 0)
		return control_fail("bring up", name, control);
	close(control);
	return 0;
}

static void open_explain(int error)
{
	if (error == ENOENT || error == ENXIO || error == ENODEV)
		message(TUN_PATH " is missing: run 'modprobe tun', or pass the device into the "
				 "container ('--device " TUN_PATH "')");
	else if (error == EACCES || error == EPERM)
		message("no permission to open " TUN_PATH ": run as root, or 'chmod 0666 " TUN_PATH
			"'");
	else
		message("cannot open " TUN_PATH ": %s", strerror(error));
}

static void create_explain(int error, const char *name)
{
	if (error == EPERM)
		message("no privilege to create a network device: run as root, or "
			"'setcap cap_net_admin,cap_net_raw+ep' on the program");
	else if (error == EBUSY)
		message("device %s already exists: remove it with 'ip link delete %s', or choose "
			"another with --device",
			name, name);
	else
		message("cannot create device %s: %s", name, strerror(error));
}

int tun_open(struct tun *tun, const char *name, u32 mtu)
{
	struct ifreq request = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL)};
	int status;

	tun->fd = open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tun->fd < 0) {
		status = -errno;
		open_explain(-status);
		return status;
	}
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(tun->fd, TUNSETIFF, &request) < 0) {
		status = -errno;
		create_explain(-status, name);
		close(tun->fd);
		return status;
	}
	status = device_bring_up(tun, name, mtu);
	if (status != 0)
		close(tun->fd);
	return status;
}

void tun_close(struct tun *tun)
{
	close(tun->fd);
	tun->fd = -1;
}

int tun_discard(const struct tun *tun)
{
	u8 start[64]; /* the rest of a packet that doesn't fit is discarded by the kernel */

	for (int count = 0; count < 64; count++) {
		if (read(tun->fd, start, sizeof(start)) >= 0)
			continue;
		return errno == EAGAIN || errno == EINTR ? count : -errno;
	}
	return 64;
}
