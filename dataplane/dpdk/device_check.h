/* SPDX-License-Identifier: BSD-2-Clause */
/* What a device needs of the machine, asked before DPDK is: its own complaints name neither the
 * interface nor the remedy. */
#ifndef SHUNT_DPDK_DEVICE_CHECK_H
#define SHUNT_DPDK_DEVICE_CHECK_H

#include "dataplane/core/base.h"

/* The MTU of a kernel interface, 0 where it can't be told. */
u16 device_kernel_mtu(const char *kernel_name);

/* Each returns whether the device can be opened with this MTU; if not, the rest of a sentence
 * that begins with "interface NAME" says what is missing and how to mend it. */
bool device_check_tap(const char *device, u32 mtu, char *text, size_t text_bytes);
bool device_check_af_packet(const char *device, u32 mtu, char *text, size_t text_bytes);
bool device_check_af_xdp(const char *device, u32 mtu, char *text, size_t text_bytes);
bool device_check_vhost(const char *device, u32 mtu, char *text, size_t text_bytes);
bool device_check_virtio_user(const char *device, u32 mtu, char *text, size_t text_bytes);
bool device_check_pcap(const char *device, u32 mtu, char *text, size_t text_bytes);

#endif
