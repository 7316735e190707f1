/* SPDX-License-Identifier: BSD-2-Clause */
/* DPDK's headers, included before any of ours: they write __attribute__((always_inline)), to
 * which dataplane/core/base.h gives another meaning. */
#ifndef SHUNT_DPDK_DPDK_H
#define SHUNT_DPDK_DPDK_H

#ifdef SHUNT_CORE_BASE_H
#error "include dataplane/dpdk/dpdk.h first"
#endif

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_pause.h>
#include <rte_ring.h>
#include <rte_version.h>

#endif
