#!/bin/sh

# Copyright (C) The ngx_im authors

# All measurements, and their tables as Markdown.  Takes some 40 minutes, with
# all other servers that it knows twice as long, and needs ./build.sh mongo and
# redis-server.
#
#   bench/run.sh [FOLDER]
#
# IM_BENCH_WORKERS: of those measurements that are taken with one worker for
# each core (the number of cores, at most 9).
#
# The folder (default: a new one in /tmp) gets raw results, result.md and, with
# gnuplot, plots.  Numbers of single rounds, which bench/table.pl makes a table
# of, lie in *.tsv and *.log; "peers" tells which other servers are not
# installed.  See common.sh for the environment.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")

[ -f "${IM_BENCH:-$top/../shared/bench}/fanout.c" ] || {
    echo "$0: error: no load tools in \"${IM_BENCH:-$top/../shared/bench}\"," \
         "write their folder to IM_BENCH" >&2
    exit 1
}

[ -n "${IM_BENCH_NGINX:-}" ] || "$top/build.sh" optimised

IM_BENCH_OUT=${1:-$(mktemp -d /tmp/im-bench-XXXXXX)}
export IM_BENCH_OUT
mkdir -p "$IM_BENCH_OUT"

(cd "$IM_BENCH_OUT" && rm -rf ./*.tsv ./*.log ./machine ./peers ./run)

workers=${IM_BENCH_WORKERS:-$(nproc)}
[ "$workers" -le 9 ] || workers=9

# members of the largest room of one worker, as the limit of files allows

ulimit -n 300000 2> /dev/null || ulimit -n "$(ulimit -Hn)"
most=$(($(ulimit -n) - 1000))
[ $most -le 20000 ] || most=20000

"$here/idle.sh" 10000 1
"$here/sendmsg.sh" 5 10000 1
"$here/store.sh" 5 500
"$here/callback.sh" 5 20000 1
"$here/room.sh" 5 1 1000 5000 $most
"$here/one.sh" 5 1
"$here/group.sh" 5 1 1000
"$here/guests.sh" 5 1 1000

# one worker for each core

[ "$workers" -lt 2 ] || {
    "$here/room.sh" 5 "$workers" 1000 5000
    "$here/one.sh" 5 "$workers"
}

"$here/big.sh" 20000 0 ws
"$here/big.sh" 100000 0 ws
"$here/big.sh" 100000 0 sse

[ -z "$(command -v perf)" ] || "$here/stages.sh"

rm -rf "$IM_BENCH_OUT/run"

"$here/table.pl" "$IM_BENCH_OUT" > "$IM_BENCH_OUT/result.md"

[ -z "$(command -v gnuplot)" ] || "$here/plot.sh" "$IM_BENCH_OUT"

cat "$IM_BENCH_OUT/result.md"
echo
echo "raw results: $IM_BENCH_OUT"
