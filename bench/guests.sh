#!/bin/sh

# Copyright (C) The ngx_im authors

# A message to all readers of a room by each transport, ten messages a
# second: WebSocket (also with permessage-deflate), EventSource, long polls;
# the limit program in turn.
#
#   bench/guests.sh [ROUNDS [WORKERS [MEMBERS]]]

. "$(dirname "$0")/common.sh"

rounds=${1:-5}
messages=$((10 * ${IM_BENCH_SECONDS:-6}))
workers=${2:-1}
n=${3:-1000}

copy_tools
im_start "$workers"
im_room

trap 'peers_stop; im_stop' EXIT

peers_start limit

pids=$(im_workers | paste -sd,)

for round in $(seq "$rounds"); do
    echo "## guests | -n $n -r 10 | $workers | round $round"

    "$work/tools/fanout" -L limit -n "$n" -m $messages -r 10 -t 127.0.0.1:18000 \
        -P "$("$work/tools/peers.sh" pids limit)" -p /ws/%d -U /pub \
        -b '{"text":"%p"}' -T 20 | grep '^RESULT'

    for mode in ws deflate sse poll; do
        "$work/tools/readers" -p "$port" -L $mode -M $mode -n "$n" -m $messages -r 10 \
            -a "$app" -P "$pids" \
            -U "/v4/group_open_http_svc/send_group_msg?$query&random=1" \
        | grep '^RESULT'

        sleep 1
    done
done | tee -a "$out/guests.log"
