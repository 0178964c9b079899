#!/bin/sh

# Copyright (C) The ngx_im authors

# A message to all who are in a live room, by WebSocket, against the limit
# program of the load tools, in turn: as fast as they are received (four
# messages under way), and at a moderate rate.
#
#   bench/room.sh [ROUNDS [WORKERS [MEMBERS...]]]
#
# IM_BENCH_SYSTEMS: with what, "limit" first ("limit limitb nchan")
# IM_BENCH_RATE: messages a second of the second load (10,000 deliveries)
# IM_BENCH_SECONDS: how long it lasts (6)

. "$(dirname "$0")/common.sh"

rounds=${1:-5}
seconds=${IM_BENCH_SECONDS:-6}
workers=${2:-1}

if [ $# -gt 2 ]; then
    shift 2

else
    set -- 1000 5000
fi

# im, or im2 and so on with more workers
name=im
[ "$workers" -eq 1 ] || name=im$workers

peers=${IM_BENCH_SYSTEMS:-$(bench_peers "$workers")}

copy_tools
im_start "$workers"

im_room

im_target $name

trap 'peers_stop; im_stop' EXIT

peers_start $peers

for n in "$@"; do
    messages=$((150000 / n))
    rate=${IM_BENCH_RATE:-$((10000 / n))}
    [ "$rate" -gt 0 ] || rate=1

    # the others would take minutes to let so many in, in each round

    some=$peers
    [ "$n" -le 10000 ] \
        || some=$(echo "$peers" | sed 's/ \(mosquitto\|nats\|ejabberd\)//g')

    for load in "-m $messages -w 4 -c 4" "-m $((seconds * rate)) -r $rate"; do
        bench -f "$work/im.sh" -r "$rounds" \
            -o "$out/room.log" fan "$some $name" -n "$n" $load -T 20
    done
done
