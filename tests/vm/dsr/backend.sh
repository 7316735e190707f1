# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# For checks whose guest is a backend: a web server that knows nothing of the balancer, and the
# commands of docs/backends.md, taken from there as they stand.
# shellcheck source=/dev/null
source "$VM/check.sh"
# shellcheck source=/dev/null
source "$VM/document.sh"

# What a full packet of the client's may take, by the port that it goes to.
declare -A mtu=([80]=1480 [81]=1460 [82]=1468 [83]=1448 [84]=1500)

web_server() {
	mkdir -p /tmp/backend/bodies
	ln -s /usr/bin/qemu-system-x86_64 /tmp/backend/large
	cat >/tmp/backend/nginx.conf <<-'END'
		user root;
		pid /tmp/backend/pid;
		events { worker_connections 256; }
		http {
			access_log off;
			sendfile on;
			client_max_body_size 0;
			client_body_in_file_only on;
			client_body_temp_path /tmp/backend/bodies;
			proxy_temp_path /tmp/backend/proxy;
			fastcgi_temp_path /tmp/backend/fastcgi;
			uwsgi_temp_path /tmp/backend/uwsgi;
			scgi_temp_path /tmp/backend/scgi;
			server {
				listen 80; listen 81; listen 82; listen 83; listen 84;
				listen [::]:80; listen [::]:81; listen [::]:82; listen [::]:83; listen [::]:84;
				root /tmp/backend;
				location = / { return 200 "a page"; }
				location = /upload {
					proxy_pass_request_body off;
					proxy_set_header Content-Length "";
					proxy_pass http://127.0.0.1:8080;
				}
			}
			server {
				listen 127.0.0.1:8080;
				return 200 "stored";
			}
		}
	END
	nginx -e /tmp/backend/error.log -c /tmp/backend/nginx.conf || fail "nginx: $(</tmp/backend/error.log)"
}

# received: the last upload came as it was sent.
received() {
	local body
	body=$(ls /tmp/backend/bodies/*)
	cmp "$body" /tmp/backend/large || fail "the upload is not the file"
	rm "$body"
}

# counter NAME: what nstat has.
counter() {
	nstat -asz "$1" | awk -v name="$1" '$1 == name { print $2 }'
}

# Of fragments, none may come.
fragments() {
	echo $(($(counter IpReasmReqds) + $(counter Ip6ReasmReqds)))
}

# carries WHAT FAMILY:PORT..: a large file each way; the balancer tells the sender what fits, few
# times, and nothing comes in pieces.
carries() {
	local what=$1 way family port told
	for way in "${@:2}"; do
		family=${way%:*} port=${way#*:}
		told=$(host "dsr/balancer count path_mtu")
		host "dsr/client transfer $family $port ${mtu[$port]}" || fail "$what: no transfer"
		received
		told=$(($(host "dsr/balancer count path_mtu") - told))
		((told < 50 && (mtu[$port] == 1500) == (told == 0))) ||
			fail "$what, IPv$family, port $port: the client was told $told times what fits"
	done
	(($(fragments) == 0)) || fail "$what: $(fragments) fragments came"
}

answers() { # WHAT PORT..: both families by each
	host "dsr/client answers ${*:2}" || fail "$1: no page"
}

# bears WHAT PORT-FOR-IPV4 PORT-FOR-IPV6: no request fails of as many as go.
bears() {
	host "dsr/client load 4 $2 && dsr/client load 6 $3" || fail "$1: requests failed"
}

silent() { # WHAT FAMILIES PORT..
	host "dsr/client silent ${*:2}" || fail "$1"
}

# unwraps MODE FAMILY:PORT..: shunt-decap does, by its block of that name, and goes on as $started.
unwraps() {
	local what="shunt-decap --mode $1"
	start_block "$1"
	until_succeeds 20 "$what is not ready" grep -q ready /tmp/said
	answers "$what" 80 81 82 83
	carries "$what" "${@:2}"
	bears "$what" 80 83
	kill -USR1 "$started"
	until_succeeds 5 "$what has not delivered what came" \
		awk '$1 == "delivered" && $2 > 10000 { found = 1 } END { exit !found }' /tmp/printed
}

# received_on DEVICE..: each has taken packets.
received_on() {
	local device
	for device; do
		(($(ip -s -json link show dev "$device" | jq '.[0].stats64.rx.packets') > 100)) ||
			fail "next to nothing came by $device"
	done
}

# What the check has not taken back itself; what the next one would find otherwise.
leave() {
	local status=$?
	set +e
	((status == 0)) || host "dsr/balancer drops"
	host "dsr/balancer down"
	kill "$(</tmp/backend/pid)"
	rm -rf /tmp/backend
	ip address delete 203.0.113.10/32 dev lo
	ip address delete 2001:db8:a::10/128 dev lo
	ip route delete default
	ip -6 route delete default
	sysctl -qw net.ipv4.conf.all.rp_filter=0
	modprobe -qr ipip sit ip6_tunnel # with their devices
	return "$status"
}

# Strict is what hardened systems have, and what the commands have to cope with.
trap leave EXIT
sysctl -qw net.ipv4.conf.all.rp_filter=1
ip route add default via "$HOST_V4"
ip route add default via "$HOST_V6"
web_server
host "dsr/balancer up $BUILD $GUEST_V4 $GUEST_V6" || fail "no balancer"
run_block vip
