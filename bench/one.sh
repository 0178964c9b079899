#!/bin/sh

# Copyright (C) The ngx_im authors

# A message to one of 1000 who are connected, not stored: as fast as it goes
# with 16 under way, and 500 a second.  In turn with the limit program and
# with other servers.  Ours takes it by a REST call ("im"), and from clients by
# WebSocket ("imws": each of the 1000 sends in turn); so does the limit
# ("limitws").
#
#   bench/one.sh [ROUNDS [WORKERS]]
#
# IM_BENCH_SYSTEMS: with what, "limit" first ("limit limitws nchan")

. "$(dirname "$0")/common.sh"

rounds=${1:-5}
seconds=${IM_BENCH_SECONDS:-4}
workers=${2:-1}

name=im
[ "$workers" -eq 1 ] || name=im$workers

peers=${IM_BENCH_SYSTEMS:-$(bench_peers "$workers" | sed 's/limitb/limitws/')}

copy_tools
im_start "$workers"
im_accounts 1000
im_target $name

trap 'peers_stop; im_stop' EXIT

# shellcheck disable=SC2086
peers_start $peers

for load in "-m 20000 -w 16 -c 16" "-m $((seconds * 500)) -r 500 -c 16"; do
    # shellcheck disable=SC2086
    bench -f "$work/im.sh" -r "$rounds" -o "$out/one.log" \
        one "$peers $name ${name}ws" -n 1000 $load
done
