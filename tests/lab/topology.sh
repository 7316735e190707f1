# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# The lab of scripts/demo, to be sourced inside user, network, mount and process namespaces of
# its own (scripts/demo makes them). It needs no root there, and nothing here is ever taken
# down: interfaces, processes and the tmpfs on /run go with the last process of the namespaces.
#
#   client ── router ──(lb0)── lb            the way of a request: client, router, lb,
#               │ └────(eth0)──┘             router, backend; of a reply: backend, router,
#               ├── b1   10.0.1.1            client; of a health check: lb's eth0, router,
#               ├── b2   10.0.2.1            backend
#               └── b3   10.0.3.1
#
# The router sends the VIPs to the lb and knows nothing of backends' VIPs, which stand on their
# loopback. lb0 is the kernel's end of shunt-dpdk's net_tap device: a wire whose other end is
# the balancer itself. For an engine in the kernel (LAB_ENGINE: xdp, af_xdp, and dpdk-af_xdp, which is
# shunt-dpdk over net_af_xdp) it is an ordinary wire to the interface `uplink0` in lb. Wires behind the router carry 1600 bytes, so that a wrapped full packet
# of the client's 1500 fits.

export LAB_ENGINE=${LAB_ENGINE:-dpdk}
LAB_DATAPLANE=shunt-dpdk
[[ $LAB_ENGINE == dpdk* ]] || LAB_DATAPLANE=shunt-xdp
export LAB_DATAPLANE
LAB_DIR=/run/lab
LAB_LB_MAC=02:00:00:00:01:02
LAB_LB0_MAC=02:00:00:00:01:01
export LAB_DIR
export LAB_CLIENT_V4=198.51.100.2 LAB_CLIENT_V6=2001:db8:100::2
export LAB_VIP_V4=203.0.113.10 LAB_VIP_V6=2001:db8:80::10 LAB_WHO_PORT=7007
export LAB_CONFIG=$LAB_DIR/shunt.yaml
lab_source=$(dirname "${BASH_SOURCE[0]}")

# lab_in NAMESPACE COMMAND..: not `ip netns exec`, which remounts /sys.
lab_in() {
	local namespace=$1
	shift
	nsenter --net="/run/netns/$namespace" "$@"
}

# lab_daemon NAME NAMESPACE COMMAND..: in the background, with NAME.pid and NAME.log, which is
# empty when this returns. Not by lab_in: $! would be the number of a shell that runs the function.
lab_daemon() {
	local name=$1 namespace=$2
	shift 2
	: >"$LAB_DIR/$name.log"
	nsenter --net="/run/netns/$namespace" "$@" >>"$LAB_DIR/$name.log" 2>&1 &
	echo $! >"$LAB_DIR/$name.pid"
}

lab_daemons_live() {
	local file
	for file in "$LAB_DIR"/*.pid; do
		kill -0 "$(<"$file")" 2>/dev/null || return 1
	done
}

# lab_wait SECONDS NAME COMMAND..: until the command says that the daemon is ready.
lab_wait() {
	local deadline=$((SECONDS + $1)) name=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS >= deadline)) || ! lab_daemons_live; then
			echo "lab: $name does not get ready; its log:" >&2
			cat "$LAB_DIR/$name.log" >&2
			return 1
		fi
		sleep 0.05
	done
}

# lab_namespace NAME: router or host with IPv6 addresses that are usable at once.
lab_namespace() {
	ip netns add "$1"
	ip -n "$1" link set lo up
	# shellcheck disable=SC2016 # expanded there
	lab_in "$1" sh -c '
		cd /proc/sys/net
		for file in ipv4/conf/all/rp_filter ipv4/conf/default/rp_filter \
			ipv6/conf/all/accept_dad ipv6/conf/default/accept_dad; do
			echo 0 >$file
		done
		for file in ipv6/conf/all/disable_ipv6 ipv6/conf/default/disable_ipv6; do
			echo 0 >$file
		done'
}

# lab_link NAMESPACE MTU V4 V6: a wire from its eth0 to the router, whose end is .254 and ::fe.
lab_link() {
	local namespace=$1 mtu=$2 v4=$3 v6=$4
	local gateway_v4=${v4%.*}.254 gateway_v6=${v6%::*}::fe
	ip link add eth0 netns "$namespace" mtu "$mtu" type veth \
		peer "to-$namespace" netns router mtu "$mtu"
	ip -n router -batch - <<-END
		address add $gateway_v4/24 dev to-$namespace
		address add $gateway_v6/64 dev to-$namespace nodad
		link set to-$namespace up
	END
	ip -n "$namespace" -batch - <<-END
		address add $v4/24 dev eth0
		address add $v6/64 dev eth0 nodad
		link set eth0 up
		route add default via $gateway_v4
		route add default via $gateway_v6
	END
}

lab_network() {
	local namespace number
	for namespace in router client lb b1 b2 b3; do
		lab_namespace "$namespace"
	done
	lab_in router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
		echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
	lab_link client 1500 "$LAB_CLIENT_V4" "$LAB_CLIENT_V6"
	for number in 1 2 3; do
		lab_link "b$number" 1600 "10.0.$number.1" "2001:db8:$number::1"
		ip -n "b$number" address add "$LAB_VIP_V4/32" dev lo
		ip -n "b$number" address add "$LAB_VIP_V6/128" dev lo nodad
	done
}

# One process, which stays root of the namespace: no other user exists there. The name that it
# answers with is how a client learns where its connection landed.
lab_nginx_config() {
	cat <<-END
		user root;
		daemon off;
		master_process off;
		pid $LAB_DIR/$1/pid;
		events { worker_connections 4096; }
		http {
			access_log off;
			client_body_temp_path $LAB_DIR/$1/body;
			proxy_temp_path $LAB_DIR/$1/proxy;
			fastcgi_temp_path $LAB_DIR/$1/fastcgi;
			uwsgi_temp_path $LAB_DIR/$1/uwsgi;
			scgi_temp_path $LAB_DIR/$1/scgi;
			default_type text/plain;
			add_header X-Backend $1;
			server {
				listen $LAB_VIP_V4:80 backlog=4096;
				listen [$LAB_VIP_V6]:80 backlog=4096;
				listen 8080; # for checks, which go to the backend's own address
				listen [::]:8080;
				location = / { return 200 "hello from $1\n"; }
				root $LAB_DIR/www;
			}
		}
	END
}

lab_web_server() {
	lab_daemon "nginx-$1" "$1" nginx -e stderr -c "$LAB_DIR/$1/nginx.conf"
}

# lab_backend NAME: a web server, and shunt-decap in front of it.
lab_backend() {
	mkdir "$LAB_DIR/$1"
	lab_nginx_config "$1" >"$LAB_DIR/$1/nginx.conf"
	lab_web_server "$1"
	lab_daemon "decap-$1" "$1" shunt-decap --mode tun --from 172.16.0.0/16 --from 100::/64 \
		--vip "$LAB_VIP_V4" --vip "$LAB_VIP_V6"
}

# lab_backends_start NAME..: and waits until they are ready.
lab_backends_start() {
	local name
	for name; do
		lab_backend "$name"
	done
	for name; do
		lab_wait 30 "nginx-$name" test -s "$LAB_DIR/$name/pid"
		lab_wait 30 "decap-$name" grep -q 'ready:' "$LAB_DIR/decap-$name.log"
	done
}

# The demo's three, with a file that takes a while.
lab_backends() {
	mkdir "$LAB_DIR/www"
	head -c 32M /dev/urandom >"$LAB_DIR/www/large"
	lab_backends_start b1 b2 b3
}

# lab_native NAMESPACE INTERFACE: makes this end of a veth take what the other end's XDP program
# sends back.
lab_native() {
	lab_in "$1" /usr/bin/python3 -B "$lab_source/xdp_pass.py" "$2"
}

# A wire between the router and an interface of the balancer's kernel, with two queues. The kernel
# says nothing on it, so that every frame can be accounted for.
lab_wire() {
	ip -n router link add lb0 mtu 1600 numtxqueues 2 numrxqueues 2 type veth \
		peer uplink0 netns lb mtu 1600 numtxqueues 2 numrxqueues 2
	lab_in router ethtool -K lb0 tx off >/dev/null # no NIC finishes checksums here
	lab_in lb sh -c 'echo 1 >/proc/sys/net/ipv6/conf/uplink0/disable_ipv6'
	ip -n lb link set uplink0 address "$LAB_LB_MAC" up
	lab_native router lb0
}

# Where the cable ends at the router. shunt-dpdk's device is in the balancer's namespace when it is
# born; once it is started, its kernel end goes where the cable would go.
lab_plug() {
	[[ $LAB_ENGINE != dpdk ]] || ip -n lb link set lb0 netns router
	ip -n router -batch - <<-END
		link set lb0 address $LAB_LB0_MAC mtu 1600
		address add 192.0.2.1/24 dev lb0
		address add 2001:db8:ffff::1/64 dev lb0 nodad
		link set lb0 up
		neighbour add 192.0.2.2 lladdr $LAB_LB_MAC dev lb0 nud permanent
		neighbour add 2001:db8:ffff::2 lladdr $LAB_LB_MAC dev lb0 nud permanent
		route add $LAB_VIP_V4/32 via 192.0.2.2
		route add $LAB_VIP_V6/128 via 2001:db8:ffff::2
	END
}

# lab_who NAME..: a service by UDP beside the web servers.
lab_who() {
	local name
	for name; do
		lab_daemon "who-$name" "$name" /usr/bin/python3 -B "$lab_source/who.py" "$name" \
			"$LAB_WHO_PORT" "$LAB_VIP_V4" "$LAB_VIP_V6"
	done
	for name; do
		lab_wait 30 "who-$name" grep -q ready "$LAB_DIR/who-$name.log"
	done
}

lab_shuntd() {
	lab_daemon shuntd lb shuntd -f "$LAB_CONFIG" --run-dir /run/shunt --state-dir "$LAB_DIR/state"
	lab_wait 30 shuntd shunt show status --run-dir /run/shunt
}

# Starts the dataplane; it runs when this returns.
lab_engine() {
	local said="engine ${LAB_ENGINE%-af_xdp} on" # the program is there
	[[ $LAB_ENGINE != dpdk ]] || said="engine dpdk with"
	lab_daemon "$LAB_DATAPLANE" lb "$LAB_DATAPLANE" -f "$LAB_CONFIG" --run-dir /run/shunt
	lab_wait 30 "$LAB_DATAPLANE" grep -q "$said" "$LAB_DIR/$LAB_DATAPLANE.log"
}

# Another dataplane in place of the last. A device that ends with its program is plugged in anew.
lab_dataplane() {
	lab_engine
	[[ $LAB_ENGINE != dpdk ]] || lab_plug
}

# At most two workers, so that some of the machine is left to the servers and their client.
lab_cores() {
	/usr/bin/python3 -c 'import os
print(",".join(map(str, sorted(os.sched_getaffinity(0))[:2])))'
}

# Beside its device the balancer has an ordinary interface: health checks are the kernel's.
lab_balancer() {
	local wire=()
	lab_link lb 1500 10.0.9.1 2001:db8:9::1
	mkdir -p /run/shunt "$LAB_DIR/state"
	if [[ $LAB_ENGINE != dpdk ]]; then
		lab_wire
		wire=(-e 's/net_tap0,iface=lb0/net_af_xdp0,iface=uplink0/' -e '/exception: /d'
			-e 's/mtu: 1504/mtu: 1600/' -e '/workers: /d'
			-e "s/^dataplane:/&\n  engine: ${LAB_ENGINE%-af_xdp}/")
		[[ $LAB_ENGINE == dpdk* ]] || wire+=(-e '/device: /d')
	fi
	sed -e "s/@lb_mac@/$LAB_LB_MAC/" -e "s/@gateway_mac@/$LAB_LB0_MAC/" \
		-e "s/@vip_v4@/$LAB_VIP_V4/" -e "s/@vip_v6@/$LAB_VIP_V6/" \
		-e "s/@who_port@/$LAB_WHO_PORT/" -e "s/@cores@/$(lab_cores)/" "${wire[@]}" \
		"$lab_source/shunt.yaml" >"$LAB_CONFIG"
	lab_shuntd
	lab_engine
	lab_plug
}
