#!/bin/sh

# Copyright (C) The ngx_im authors

# A message to all members of a stored group, who are connected by WebSocket,
# against the limit program of the load tools, which stores nothing, in turn:
# as fast as they are received, and at a moderate rate.
#
#   bench/group.sh [ROUNDS [WORKERS [MEMBERS [WRITERS]]]]
#
# IM_BENCH_RATE: messages a second of the second load (10,000 deliveries)

. "$(dirname "$0")/common.sh"

rounds=${1:-5}
workers=${2:-1}
members=${3:-1000}
writers=${4:-16}

name=im
[ "$workers" -eq 1 ] || name=im$workers

copy_tools
im_start "$workers"
im_group "$members"
im_target $name group

trap 'peers_stop; im_stop' EXIT

peers_start limit

messages=$((300000 / members))
rate=${IM_BENCH_RATE:-$((10000 / members))}

for load in "-m $messages -w $writers -c $writers" \
            "-m $((6 * rate)) -r $rate"
do
    "$work/tools/bench.sh" -f "$work/im.sh" -r "$rounds" \
        -o "$out/group.log" fan "limit $name" -n "$members" $load -T 20
done
