#!/bin/sh

# Copyright (C) The ngx_im authors

# Very many readers of one room from several loopback addresses: memory of
# an idle one, a message to all of them, and how long a REST call takes
# meanwhile.  Modes are those of readers: sse, ws, deflate, poll.
#
#   bench/big.sh [CONNECTIONS [WORKERS [MODE [MESSAGES [RATE]]]]]
#
# WORKERS 0: as many as the limit of files of a process asks for.

. "$(dirname "$0")/common.sh"

n=${1:-100000}
workers=${2:-0}
mode=${3:-sse}
messages=${4:-8}
rate=${5:-0.5}

# as many as one process may have files; workers have some others, and their
# shares of the connections are not quite the same

files=$(ulimit -n)
max=$((files - files / 10))
share=$((files - files / 5))
[ $share -le 50000 ] || share=50000
[ "$workers" -ne 0 ] || workers=$(((n + share - 1) / share))
children=$((n / 20000 + 1))
[ $((n / children)) -le $max ] || children=$((n / max + 1))
[ $((n / workers)) -le $max ] || die "only $files files for $workers workers"

IM_BENCH_CONNECTIONS=$((n / workers + n / workers / 2 + 1024))
[ "$IM_BENCH_CONNECTIONS" -le "$files" ] || IM_BENCH_CONNECTIONS=$files

# 1 KB of the zone for each who is logged in

IM_BENCH_ZONE=$((64 + n / 1000))m

copy_tools
im_start "$workers"
im_room

pids=$(im_workers | paste -sd,)

for p in $(im_workers); do
    awk '/^Private_/ { s += $2 } END { print s }' "/proc/$p/smaps_rollup"
done > "$work/before"

cat > "$work/memory.sh" <<SH
for p in $(im_workers | paste -sd' '); do
    awk '/^Private_/ { s += \$2 } END { print s }' "/proc/\$p/smaps_rollup"
done > "$work/after"
curl -s "http://127.0.0.1:$port/metrics" > "$out/big.$mode.metrics"
SH

echo "## big | $mode | n $n | workers $workers" >> "$out/big.log"

"$work/tools/readers" -p "$port" -L "$mode" -M "$mode" -n "$n" -i 3 -T 60 \
    -m "$messages" -r "$rate" -a "$app" -P "$pids" -s $((n / 20000 + 1)) \
    -j "$children" -X "sh $work/memory.sh" \
    -U "/v4/group_open_http_svc/send_group_msg?$query&random=1" \
    -Q "/v4/im_open_login_svc/account_check?$query&random=1" \
    -q '{"CheckItem":[{"UserID":"ann"}]}' | tee -a "$out/big.log" || true

cat "$work/before" "$work/after" | awk -v n="$n" -v w="$workers" '
    NR <= w { a += $1 }
    NR > w { b += $1 }
    END { printf "MEMORY kb=%.2f\n", (b - a) / n }
' | tee -a "$out/big.log"
