/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/device_check.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TUN_PATH "/dev/net/tun"

void device_option(const char *device, const char *option, char *out, size_t out_bytes)
{
	size_t len = strlen(option);

	out[0] = '\0';
	for (const char *at = strchr(device, ','); at; at = strchr(at, ',')) {
		at++;
		if (strncmp(at, option, len) == 0 && at[len] == '=') {
			snprintf(out, out_bytes, "%.*s", (int)strcspn(at + len + 1, ","),
				 at + len + 1);
			return;
		}
	}
}

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
	device_option(device, "iface", name, name_bytes);
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

bool device_check_af_packet(const char *device, u32 mtu, char *text, size_t text_bytes)
{
	char name[IF_NAMESIZE];

	if (!check_iface(device, name, sizeof(name), text, text_bytes))
		return false;
	if (have(CAP_NET_RAW))
		return true;
	snprintf(text, text_bytes,
		 "is a packet socket, which takes CAP_NET_RAW to open: run shunt-dpdk as root, or "
		 "in namespaces of its own with `unshare -Urnm`");
	return false;
}

bool device_check_pci(const char *device, u32 mtu, char *text, size_t text_bytes)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s%.*s", device[2] == ':' ? "0000:" : "",
		 (int)strcspn(device, ","), device);
	if (access(path, F_OK) == 0)
		return true;
	snprintf(text, text_bytes,
		 "should use the PCI device %s, which does not exist here; `dpdk-devbind.py "
		 "--status-dev net` shows what does",
		 device);
	return false;
}
