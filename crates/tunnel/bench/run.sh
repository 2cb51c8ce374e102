#!/bin/bash
# One measurement: bench/run.sh HOST MTU SUITES SECONDS, as root. Prints one line per direction. See README.md.
# HOST is the host end: `c` for tunend, else a command that gets ADDRESS:PORT MTU INTERFACE (examples/bench_host).
# TUNEND names the C helper, IPERF the iperf3 program.
set -u
host=$1 mtu=$2 suites=$3 seconds=$4
near=iosmux-near far=iosmux-far work=$(mktemp -d)
stop() {
    kill ${pids[@]+"${pids[@]}"} 2>/dev/null
    wait 2>/dev/null
    ip netns del $near 2>/dev/null
    ip netns del $far 2>/dev/null
    rm -r "$work"
}
pids=()
trap stop EXIT
ip netns add $near && ip netns add $far || exit 1
ip link add near0 netns $near type veth peer name far0 netns $far
ip -n $near addr add 10.77.0.1/24 dev near0
ip -n $far addr add 10.77.0.2/24 dev far0
ip -n $near link set near0 up && ip -n $far link set far0 up && ip -n $far link set lo up

ip netns exec $far "$TUNEND" device 10.77.0.2 5555 "$suites" "$mtu" fartun fd00:77::1 fd00:77::2 >"$work/far" & pids+=($!)
far_pid=$!
sleep 0.3
case $host in
c) ip netns exec $near "$TUNEND" host 10.77.0.2 5555 "$suites" "$mtu" neartun fd00:77::2 fd00:77::1 >"$work/near" & ;;
*) ip netns exec $near $host 10.77.0.2:5555 "$mtu" neartun >"$work/near" & ;;
esac
near_pid=$!
pids+=($near_pid)
for _ in $(seq 100); do
    ip netns exec $near bash -c 'exec 3<>/dev/udp/fd00:77::1/9' 2>/dev/null && ip -n $near -o route get fd00:77::1 2>/dev/null | grep -q neartun && break
    sleep 0.1
done
echo "$(cat "$work/far") / $(cat "$work/near")"

ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }
measure() {
    ip netns exec $far "$IPERF" -s -1 -B fd00:77::1 >/dev/null 2>&1 & local server=$!
    sleep 0.5
    local near_before far_before
    near_before=$(ticks $near_pid) far_before=$(ticks $far_pid)
    ip netns exec $near timeout $((seconds + 10)) "$IPERF" -6 -c fd00:77::1 -t "$seconds" -J $2 >"$work/json" 2>/dev/null
    local near_after far_after
    near_after=$(ticks $near_pid) far_after=$(ticks $far_pid)
    wait $server
    python3 - "$1" "$work/json" $((near_after - near_before)) $((far_after - far_before)) <<'PY'
import json, sys
end = json.load(open(sys.argv[2]))["end"]
received, sent = end["sum_received"], end["sum_sent"]
gigabytes = received["bytes"] / 1e9
near, far = (int(ticks) / 100 / gigabytes for ticks in sys.argv[3:])
print(f"{sys.argv[1]:4} {received['bytes'] * 8 / received['seconds'] / 1e9:6.3f} Gbit/s, "
      f"CPU s/GB: host end {near:5.2f}, far end {far:5.2f}, retransmits {sent.get('retransmits', 0)}")
PY
}
measure up ""
measure down -R
