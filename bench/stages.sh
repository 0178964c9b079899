#!/bin/sh

# Copyright (C) The ngx_im authors

# Where the CPU time of openim/sendmsg goes, by stage: perf samples of a
# worker while 64 connections send, durable ("stored"), and while 16 send to
# 1000 who are connected, not stored ("one").  Needs perf and the objects of
# the optimised build.
#
#   bench/stages.sh [SECONDS]

. "$(dirname "$0")/common.sh"

seconds=${1:-8}

copy_tools
im_start 1
im_accounts 1000
im_target im

pids=$(im_workers | paste -sd,)
objects=$(dirname "$nginx")/addon

load() {
    "$work/tools/fanout" -t "127.0.0.1:$port" -P "$pids" -T 20 -L "$@" \
        > "$work/load" 2>&1 &
    client=$!

    until grep -q '^CONNECT' "$work/load" || [ "$1" = stored ]; do
        sleep 0.2
    done

    sleep 1
    perf record -q -o "$work/perf.data" -e cpu-clock -F 2000 -g -p "$pids" \
         -- sleep "$seconds" > /dev/null 2>&1

    kill $client
    wait $client || true

    perf script -i "$work/perf.data" -F tid,ip,sym,dso 2> /dev/null \
    | "$here/stages.pl" "$1" "$pids" "$objects" | tee -a "$out/stages.tsv"
}

printf 'load\tstage\tpercent\n' > "$out/stages.tsv"

load stored -n 0 -e 0 -c 64 -w 64 -m 10000000 -G 1000 -g 200 \
    -H 'Content-Type: application/json' -o '"OK"' \
    -U "/v4/openim/sendmsg?$query&random=%r&contenttype=json" \
    -b '{"SyncOtherMachine":1,"From_Account":"u1","To_Account":"u%g",
         "MsgRandom":%r,"MsgBody":[{"MsgType":"TIMTextElem",
         "MsgContent":{"Text":"%p"}}]}'

cat > "$work/one.sh" <<SH
. "$work/im.sh"
args_im one
exec "$work/tools/fanout" "\${A[@]}" "\$@"
SH

mv "$work/tools/fanout" "$work/tools/fanout.bin"
sed -i "s|tools/fanout\"|tools/fanout.bin\"|" "$work/one.sh"
printf '#!/bin/sh\nexec bash "%s" "$@"\n' "$work/one.sh" \
    > "$work/tools/fanout"
chmod +x "$work/tools/fanout"

load one -n 1000 -m 1000000 -w 16 -c 16

im_stop
