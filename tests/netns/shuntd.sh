#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shuntd as a whole, with fake_dataplane in a dataplane's place, in a network namespace of its own
# inside a user namespace, so without root.
# usage: SHUNT=SHUNT shuntd.sh SHUNTD FAKE_DATAPLANE [GENERATIONS]
set -euo pipefail

if [ "${1:-}" != inside ]; then
	if ! unshare -Urnm true 2>/dev/null; then
		echo "SKIP: user namespaces are refused here (unshare -Urnm)"
		exit 77
	fi
	exec unshare -Urnm --kill-child bash "$0" inside "$@"
fi
shuntd=$2 fake=$3 generations=${4:-200}
work=$(mktemp -d)
run=$work/run state=$work/state config=$work/shunt.yaml
shuntd_pid='' fake_pid=''

finish() {
	status=$?
	trap - EXIT
	for pid in $shuntd_pid $fake_pid; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	[ $status -eq 0 ] || { echo "--- what shuntd said"; tail -40 "$work/log"; }
	rm -rf "$work"
	exit $status
}
trap finish EXIT
trap 'exit 1' INT TERM

fail() {
	echo "FAIL: $*"
	exit 1
}

is() { # is WHAT GOT WANTED
	[ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"
}

eventually() { # eventually WHAT COMMAND...: within 5 s
	local what=$1 i
	shift
	for ((i = 0; i < 250; i++)); do
		"$@" && return
		sleep 0.02
	done
	fail "not within 5 s: $what"
}

get() { curl -sS --max-time 10 --unix-socket "$run/api.sock" "http://shuntd/v1/$1"; }
post() { curl -sS --max-time 10 --unix-socket "$run/api.sock" -X POST "http://shuntd/v1/$1"; }
status() { get status | jq -r "$1"; }
service() { get services | jq -r ".[0]$1"; }
backend() { service ".backends[] | select(.address == \"$1\") | $2"; }
drops() { get drops | jq -r ".verdicts[] | select(.name == \"$1\") | .packets"; }
said() { grep -qF -- "$1" "$work/log"; }
value_is() { [ "$($2 "$3" "${4:-}")" = "$1" ]; } # value_is WANTED FUNCTION ARGUMENT...

write_config() { # write_config WEIGHT [ADDRESS [WORKERS]]: the second backend's
	cat >"$config" <<YAML
version: 1
fleet_seed: "000102030405060708090a0b0c0d0e0f"
dataplane:
  interfaces: [{ name: uplink0, device: "net_tap0" }]
  workers: ${3:-auto}
services:
  - name: web
    vip: 203.0.113.10
    protocol: tcp
    port: 443
    backends:
      - { address: 10.0.1.1, weight: 1000 }
      - { address: ${2:-10.0.1.2}, weight: $1 }
YAML
}

answers() { get status >/dev/null 2>&1; }

start_shuntd() {
	"$shuntd" -f "$config" --run-dir "$run" --state-dir "$state" 2>>"$work/log" 3>&- 4<&- &
	shuntd_pid=$!
	eventually "shuntd answers" answers
}

end_shuntd() { # end_shuntd SIGNAL STATUS
	local status=0
	kill "-$1" "$shuntd_pid"
	wait "$shuntd_pid" 2>/dev/null || status=$?
	shuntd_pid=''
	is "status after SIG$1" $status "$2"
}

start_fake() {
	rm -f "$work/to" "$work/from"
	mkfifo "$work/to" "$work/from"
	"$fake" "$run" <"$work/to" >"$work/from" &
	fake_pid=$!
	exec 3>"$work/to" 4<"$work/from"
}

end_fake() { # as a crash would
	kill -KILL "$fake_pid"
	wait "$fake_pid" 2>/dev/null || true
	exec 3>&- 4<&-
	fake_pid=''
}

tell() {
	local answer
	echo "$*" >&3
	read -r -t 10 answer <&4 || fail "the fake dataplane does not answer '$*'"
	echo "$answer"
}
fake_does() { is "fake: $*" "$(tell "$@")" "ok $*"; }
fake_says() { tell state | tr ' ' '\n' | sed -n "s/^$1=//p"; }
unharmed() { is "tables that were wrong, or changed while they were read" "$(fake_says faults)" 0; }
caught_up() { [ "$(fake_says generation)" = "$(status .generation)" ]; }

refused() { # refused STATUS TEXT ARGUMENT...: a second shuntd
	local status=0 wanted=$1 text=$2 said
	shift 2
	said=$(timeout 10 "$shuntd" "$@" 2>&1) || status=$?
	is "status of shuntd $*" $status "$wanted"
	[[ $said == *"$text"* ]] || fail "shuntd $* said '$said', not '$text'"
}

reload() { # reload WANTED
	is "reload" "$(post reload | jq -r .valid)" "$1"
}

echo "- exit codes"
write_config 1000
printf 'version: 1\nservices: [{ nme: x }]\n' >"$work/bad.yaml"
refused 64 "-f FILE is missing"
refused 66 "cannot read" -f "$work/none.yaml"
refused 65 "bad.yaml:2:14:" -f "$work/bad.yaml"
refused 69 "mkdir -p" -f "$config" --run-dir "$work/no/where" --state-dir "$state"
sed "s|^fleet_seed:.*|fleet_seed_file: $work/seed|" "$config" >"$work/seeded.yaml"
refused 66 "cannot read the fleet seed" -f "$work/seeded.yaml"
echo 00112233445566778899aabbccddeeff >"$work/seed"
chmod 644 "$work/seed"
refused 69 "chmod 600 $work/seed" -f "$work/seeded.yaml" --run-dir "$work/no/where"

echo "- the dataplane starts first"
ip link set lo up
start_fake
echo "hello up0 -" >&3
sleep 0.3
start_shuntd
read -r -t 10 answer <&4
is "the call" "$answer" "ok hello up0 -"
eventually "the dataplane has tables" caught_up
is "attached" "$(status '.dataplanes[0].engine')" fake
is "behind" "$(status '.dataplanes[0].behind')" false
is "no next hop" "$(backend 10.0.1.1 .reason)" "no route to 10.0.1.1 over uplink0"
[ "$(status '.dataplanes[0].heartbeat_total')" -gt 0 ] || fail "no heartbeat"

echo "- next hops follow the kernel"
ip link add up0 type veth peer name up1
ip link set up1 up
ip link set up0 up
ip addr add 192.0.2.1/24 dev up0
ip route add 10.0.1.0/24 via 192.0.2.254
eventually "the neighbour is named" value_is "neighbour 192.0.2.254 on uplink0 unresolved" \
	backend 10.0.1.1 .reason
ip neigh replace 192.0.2.254 lladdr 02:00:00:00:00:fe dev up0 nud permanent
eventually "the neighbour is used" value_is 02:00:00:00:00:fe backend 10.0.1.1 .next_hop.mac
is "mtu" "$(backend 10.0.1.1 .next_hop.mtu)" 1500
ip neigh replace 192.0.2.254 lladdr 02:00:00:00:00:fd dev up0 nud permanent
eventually "another MAC" value_is 02:00:00:00:00:fd backend 10.0.1.2 .next_hop.mac
ip link set up0 mtu 1400
eventually "a smaller MTU" value_is 1400 backend 10.0.1.2 .next_hop.mtu
eventually "the dataplane has it" caught_up
before=$(status .generation)
ip neigh replace 192.0.2.99 lladdr 02:00:00:00:00:99 dev up0 nud permanent
sleep 0.2
is "a neighbour that is nobody's gateway publishes nothing" "$(status .generation)" "$before"
ip route add 10.0.1.2/32 dev lo
eventually "a route elsewhere" value_is false backend 10.0.1.2 .reachable
[[ $(backend 10.0.1.2 .reason) == "no route to 10.0.1.2 over uplink0"* ]] || fail "its reason"
ip route del 10.0.1.2/32 dev lo
eventually "the way back" value_is true backend 10.0.1.2 .reachable

echo "- a fixed gateway needs no route"
fake_does hello - 02:00:00:00:00:aa
eventually "the gateway" value_is 02:00:00:00:00:aa backend 10.0.1.1 .next_hop.mac
is "its mtu" "$(backend 10.0.1.1 .next_hop.mtu)" 1500
fake_does hello up0 02:00:00:00:00:bb
eventually "it overrides the neighbour" value_is 02:00:00:00:00:bb backend 10.0.1.1 .next_hop.mac
eventually "attached once" value_is 1 status '.dataplanes | length'

echo "- views"
for view in status services drops 'explain?packet=tcp+198.51.100.7:4242+203.0.113.10:443'; do
	get "$view" | jq -e . >"$work/view" || fail "$view is not JSON"
done
is "explain" "$(jq -r .service "$work/view")" web
is "slots" "$(service '.backends | map(.slots) | add')" 65537
is "no packet" "$(get 'explain?packet=nonsense' | jq -r 'has("error")')" true
is "no text" "$(get 'explain?packet=%ff%fe' | jq -r 'has("error")')" true
is "no endpoint" "$(get nothing | jq -r 'has("error")')" true
is "wrong method" "$(post status | jq -r .error)" "/v1/status wants GET"
get config >"$work/rendered.yaml"
grep -q '^  - name: web' "$work/rendered.yaml" || fail "the configuration is not rendered"
head -c 100000 /dev/zero | curl -sS --max-time 10 --unix-socket "$run/api.sock" \
	--data-binary @- http://shuntd/v1/reload >/dev/null 2>&1 && fail "a large body is taken"

echo "- frames are explained by the running tables"
frames() { # frames: "NAME HEX" a line; up0 has the MAC ...:01 and an MTU of 1400
	/usr/bin/python3 - <<'PY'
import logging
logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import ICMP, IP, TCP, Ether, Raw, raw
to_vip = IP(src="198.51.100.7", dst="203.0.113.10", flags="DF")
tcp = TCP(sport=4242, dport=443, flags="A")
sent = IP(raw(IP(src="203.0.113.10", dst="198.51.100.7") / TCP(sport=443, dport=4242)))
for name, mac, packet in (
        ("syn", "01", to_vip / TCP(sport=4242, dport=443)), ("big", "01", to_vip / tcp / Raw(bytes(1341))),
        ("foreign", "77", to_vip / tcp), ("echo", "01", to_vip / ICMP()),
        ("error", "01", IP(src="192.0.2.7", dst="203.0.113.10") / ICMP(type=3, code=1) / Raw(raw(sent)[:28])),
        ("jumbo", "01", to_vip / tcp / Raw(bytes(9184)))):
    print(name, raw(Ether(src="02:00:00:00:00:aa", dst="02:00:00:00:00:" + mac) / packet).hex())
PY
}
frames >"$work/frames" || fail "scapy makes no frames"
frame() { sed -n "s/^$1 //p" "$work/frames"; }
explain() { # explain FRAME FILTER, by the command and by curl, which say the same
	frame "$1" >"$work/hex"
	"$SHUNT" explain --json --run-dir "$run" --hex - <"$work/hex" >"$work/said" ||
		fail "explain exits $?"
	curl -sS --max-time 10 --unix-socket "$run/api.sock" --data-binary "@$work/hex" \
		http://shuntd/v1/explain | cmp - <(tr -d '\n' <"$work/said") ||
		fail "the API says something else of $1"
	jq -r "$2" "$work/said"
}
is "a SYN" "$(explain syn '"\(.reason) \(.service) \(.slot)"')" \
	"maglev web $(get 'explain?packet=tcp+198.51.100.7:4242+203.0.113.10:443' | jq -r .slot)"
is "its next hop" "$(jq -r .outer.destination_mac "$work/said")" 02:00:00:00:00:bb
is "too big" "$(explain big '"\(.reason) \(.reply.type) \(.reply.mtu)"')" \
	"path_mtu fragmentation needed $(($(backend 10.0.1.1 .next_hop.mtu) - 20))"
is "for another" "$(explain foreign '.reason')" other_mac
is "an echo request" "$(explain echo '"\(.reason) \(.reply.to)"')" "echo 198.51.100.7"
is "an error" "$(explain error '"\(.reason) \(.backend == null)"')" "icmp_error false"
is "a largest one" "$(explain jumbo '.seen.bytes')" 9238
is "which moves nothing" "$(drops MAGLEV)" 0
"$SHUNT" explain --run-dir "$run" --hex "$(frame echo)" | grep -q '^  sender    gets echo reply' ||
	fail "the text does not say what the sender gets"
longer=$(frame jumbo)00
status=0
said=$("$SHUNT" explain --run-dir "$run" --hex "$longer" 2>&1) || status=$?
is "one that is longer" "$status" 69
[[ $said == *"no more than 9238"* ]] || fail "explain says: $said"
is "and by the API" "$(curl -sS --unix-socket "$run/api.sock" --data-binary "$longer" \
	http://shuntd/v1/explain | jq -r .error)" "the frame is longer than 9238 bytes"
is "a longer body" "$(head -c 27715 /dev/zero | tr '\0' ' ' | curl -sS -w '%{http_code}' \
	--unix-socket "$run/api.sock" --data-binary @- http://shuntd/v1/explain)" \
	'{"error":"the body is too long"}413'
head -c 27715 /dev/zero | curl -sS --max-time 10 --unix-socket "$run/api.sock" -H 'Expect:' \
	-H 'Transfer-Encoding: chunked' --data-binary @- http://shuntd/v1/explain >/dev/null 2>&1 &&
	fail "a longer body is taken where it does not say so"
is "no frame" "$(curl -sS --unix-socket "$run/api.sock" -d 02zz http://shuntd/v1/explain |
	jq -r .error)" "'z' after 1 bytes is no hexadecimal digit"
is "no method" "$(curl -sS --unix-socket "$run/api.sock" -X PUT http://shuntd/v1/explain |
	jq -r .error)" "/v1/explain wants GET or POST"

echo "- what to do about a verdict"
advice=$(get drops | jq -r '.verdicts[] | select(.reason == "fragment") | .advice')
[ -n "$advice" ] || fail "no advice"
is "where it stands" "$(get drops | jq -r '.verdicts[] | select(.reason == "land") | .doc')" \
	docs/verdicts.md#land
"$SHUNT" show drops fragment --run-dir "$run" | grep -qF "  do        $advice" ||
	fail "show drops REASON does not say what to do"
is "nothing was given yet" "$("$SHUNT" show drops --run-dir "$run" | wc -l)" 1
is "all" "$("$SHUNT" show drops --all --run-dir "$run" | wc -l)" \
	$((1 + $(get drops | jq '.verdicts | length')))
status=0
said=$("$SHUNT" show drops nonsense --run-dir "$run" 2>&1) || status=$?
is "no reason" "$status" 64
[[ $said == *"no reason 'nonsense'"* ]] || fail "show drops says: $said"

echo "- a second shuntd"
refused 69 "another shuntd has" -f "$config" --run-dir "$run" --state-dir "$work/other"
refused 69 "in use by another shuntd" -f "$config" --run-dir "$work/other" --state-dir "$state"
get status | jq -e . >/dev/null || fail "the first one no longer answers"

echo "- a bad file changes nothing"
before=$(status .generation)
cp "$work/bad.yaml" "$config"
post reload >"$work/view"
is "valid" "$(jq -r .valid "$work/view")" false
is "errors" "$(jq -r '.errors[-1] | "\(.line):\(.column)"' "$work/view")" 2:14
[[ $(jq -r .report "$work/view") == *'^'* ]] || fail "no caret"
kill -HUP "$shuntd_pid"
eventually "the file is logged" said "the configuration stays as it was"
is "generation" "$(status .generation)" "$before"
is "errors in the status" "$(status '.config_errors_last_reload | length > 0')" true

echo "- a good one is applied, but for the dataplane's own"
write_config 500 10.0.1.2 2
before=$(status .generation)
kill -HUP "$shuntd_pid"
eventually "the weight" value_is 500 backend 10.0.1.2 .weight
said "dataplane.workers changed; it takes effect when shunt-dpdk restarts" || fail "not logged"
is "pending" "$(status '.pending_restart_keys | join(" ")')" dataplane.workers
is "errors" "$(status '.config_errors_last_reload | length')" 0
[ "$(status .generation)" -gt "$before" ] || fail "no new generation"
eventually "the dataplane follows" caught_up
end_fake
eventually "it has gone" value_is 0 status '.dataplanes | length'
start_fake
fake_does hello up0 -
eventually "a new process has read the file" value_is 0 status '.pending_restart_keys | length'

echo "- totals never fall"
eventually "tables" caught_up
fake_does count 0 5
fake_does traffic "$(($(service .number) - 1))" 7 700
is "counted" "$(drops FLOW)" 5
fake_does count 1 9
is "the commonest of an action stands first" \
	"$("$SHUNT" show drops --run-dir "$run" | awk '{ print $2 }' | xargs)" "Reason maglev flow"
"$SHUNT" show drops --explain --run-dir "$run" | grep -c '^  do ' | xargs -I{} \
	test {} = 2 || fail "show drops --explain does not keep to what was given"
packets=$(get services | jq '[.. | .packets? // empty] | add')
is "traffic" "$packets" 7
fake_does hello up0 - # the same process, over a new connection, carries its counts over
eventually "attached again" value_is 1 status '.dataplanes | length'
eventually "tables" caught_up
is "not counted twice" "$(drops FLOW)" 5
end_fake
eventually "it has gone" value_is 0 status '.dataplanes | length'
is "kept" "$(drops FLOW)" 5
start_fake
fake_does hello up0 -
eventually "tables" caught_up
fake_does count 0 3
is "added" "$(drops FLOW)" 8

echo "- $generations generations with a reader that follows"
epoch=$(status .epoch)
for ((i = 1; i <= generations; i++)); do
	write_config $((i % 900 + 1))
	reload true
done
eventually "the reader is there" caught_up
is "epoch" "$(status .epoch)" "$epoch"
unharmed

echo "- and with one that is stuck"
fake_does stick
stuck=$(fake_says generation)
for ((i = 1; i <= 80; i++)); do
	write_config $((i + 1000))
	reload true
done
is "held" "$(fake_says generation)" "$stuck"
[ "$(status .epoch)" -gt "$epoch" ] || fail "80 tables found room in an arena for 31"
is "weight" "$(backend 10.0.1.2 .weight)" 1080
is "behind" "$(status '.dataplanes[0].behind')" true
unharmed
fake_does follow
eventually "it catches up" caught_up
is "its epoch" "$(fake_says held_epoch)" "$(status .epoch)"
is "counts went along" "$(drops FLOW)" 8

echo "- and with one that is stopped"
epoch=$(status .epoch)
kill -STOP "$fake_pid"
for ((i = 1; i <= 120; i++)); do
	write_config $((i + 1500))
	reload true
done
is "an unread offer is followed by no other, and holds no generation back" "$(status .epoch)" \
	$((epoch + 2))
kill -CONT "$fake_pid"
eventually "it catches up" caught_up
is "arena" "$(fake_says held_epoch)" $((epoch + 2))
unharmed

echo "- and with one that does not report"
fake_does mute
fake_does hello up0 -
epoch=$(status .epoch)
for ((i = 1; i <= 40; i++)); do
	write_config $((i + 2000))
	reload true
done
[ "$(status .epoch)" -gt "$epoch" ] || fail "a dataplane without a report did not delay reclamation"
fake_does follow
fake_does hello up0 -
eventually "it catches up" caught_up
unharmed

echo "- another ABI"
fake_does hello up0 - 99
eventually "refused" value_is 0 fake_says attached
[[ $(tell state) == *"writes arena ABI 2, this dataplane "*" reads arena ABI 99"* ]] ||
	fail "the refusal does not name both versions: $(tell state)"
fake_does hello up0 -
eventually "it catches up" caught_up

echo "- numbers: given anew only once flow tables are swept"
first=$(backend 10.0.1.2 .number)
for counter in 0 1 2 3 4 5; do
	fake_does traffic $counter 10 1000
done
write_config 1 10.0.1.3
reload true
is "a new one" "$(backend 10.0.1.3 .number)" $((first + 1))
removed=$(status .generation)
fake_does swept $((removed - 1))
write_config 1 10.0.1.4
reload true
is "not swept yet" "$(backend 10.0.1.4 .number)" $((first + 2))
fake_does swept "$removed"
write_config 1 10.0.1.5
reload true
is "swept" "$(backend 10.0.1.5 .number)" "$first"
is "its counter starts anew" "$(backend 10.0.1.5 .packets)" 0
[ "$(backend 10.0.1.1 .packets)" -ge 10 ] || fail "the other backend's counter is gone"
eventually "it catches up" caught_up

echo "- an operator's drain"
is "by GET" "$(get 'drain?backend=10.0.1.1' | jq -r .error)" "/v1/drain wants POST"
is "by POST" "$(post drains | jq -r .error)" "/v1/drains wants GET"
[[ $(post drain | jq -r .error) == "say which backend"* ]] || fail "of no backend"
is "of nobody" "$(post 'drain?backend=10.0.1.9&service=web' | jq -r .error)" \
	"service web has no backend 10.0.1.9, but 10.0.1.1 and 10.0.1.5"
is "of nothing" "$(post 'undrain?backend=%ff%fe' | jq -r '.error | length > 0')" true
fake_does stick
is "services" "$(post 'drain?backend=10.0.1.1' | jq -c '[.changed, .warnings]')" '[1,[]]'
is "state" "$(backend 10.0.1.1 .state)" drain
is "slots" "$(backend 10.0.1.1 .slots)" 0
sleep 0.5 # time enough to count
is "flows, while a dataplane may have more" "$(get drains | jq -c '[.[].flows]')" '[null]'
fake_does follow
eventually "flows are counted" value_is 0 backend 10.0.1.1 .flows
is "the last one" "$(post 'drain?backend=10.0.1.5&service=web' | jq -r '.warnings[]')" \
	"service web has no backend left for new flows: they are dropped"
for backend in 10.0.1.1 10.0.1.5; do
	is "undrained" "$(post "undrain?backend=$backend" | jq -r '.backends[].drain')" null
done
is "drains" "$(get drains)" '[]'
eventually "it catches up" caught_up

echo "- killed and started again, everything keeps its number"
get services | jq -S '[.[] | {vip, number, backends: [.backends[] | {address, number}]}]' >"$work/a"
epoch=$(status .epoch) before=$(status .generation)
end_shuntd KILL 137
is "the dataplane forwards on" "$(fake_says generation)" "$before"
start_shuntd
fake_does hello up0 -
eventually "it catches up" caught_up
get services | jq -S '[.[] | {vip, number, backends: [.backends[] | {address, number}]}]' >"$work/b"
cmp "$work/a" "$work/b" || fail "numbers have changed"
[ "$(status .epoch)" -gt "$epoch" ] || fail "the epoch has not risen"
[ "$(status .generation)" -gt "$before" ] || fail "the generation has not risen"
is "what the dataplane counted is there" "$(drops FLOW)" 3
unharmed

echo "- a dataplane that is cut off reads on"
# The first tables of a new arena, which would be the first to be written over.
fake_does stick
stuck=$(fake_says generation)
fake_does garbage
eventually "it is cut off" value_is 0 fake_says attached
[[ $(tell state) == *"refusal=a message of another format"* ]] || fail "no reason given"
for ((i = 1; i <= 40; i++)); do
	write_config $((i + 3000))
	reload true
done
is "held" "$(fake_says generation)" "$stuck"
unharmed
fake_does follow
fake_does hello up0 -
eventually "it catches up" caught_up

echo "- numbers that can't be kept are not published"
rm -r "$state"
before=$(grep -c "(configuration)" "$work/log") number=$(backend 10.0.1.2 .number)
write_config 1 10.0.1.6
[[ $(post reload | jq -r .error) == "cannot keep the numbers in $state"* ]] || fail "not refused"
is "published" "$(grep -c "(configuration)" "$work/log")" "$before"
is "the new backend" "$(backend 10.0.1.6 .number)" ""
is "the old one" "$(backend 10.0.1.2 .number)" "$number"
ip neigh replace 192.0.2.254 lladdr 02:00:00:00:00:fc dev up0 nud permanent
eventually "next hops go on" value_is 02:00:00:00:00:fc backend 10.0.1.2 .next_hop.mac
eventually "it catches up" caught_up
unharmed

echo "- a clean end"
end_shuntd TERM 0
[ -z "$(ls "$run")" ] || fail "sockets are left: $(ls "$run")"
grep -E "Sanitizer|runtime error" "$work/log" && fail "a sanitizer spoke"
echo "passed"
