#!/bin/sh

# Copyright (C) The ngx_im authors

# All measurements, and their tables as Markdown.  Takes some 40 minutes, and
# needs ./build.sh mongo and redis-server.
#
#   bench/run.sh [FOLDER]
#
# The folder (default: a new one in /tmp) gets raw results and result.md.
# Numbers of single rounds, which bench/table.pl makes a table of, lie in
# *.tsv and *.log.  See common.sh for the environment.

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

(cd "$IM_BENCH_OUT" && rm -rf ./*.tsv ./*.log ./machine ./run)

"$here/idle.sh" 10000 1
"$here/sendmsg.sh" 5 10000 1
"$here/store.sh" 5 500
"$here/callback.sh" 5 10000 1
"$here/room.sh" 5 1 1000 5000 20000
"$here/room.sh" 5 2 1000
"$here/one.sh" 5 1
"$here/group.sh" 5 1 1000
"$here/guests.sh" 5 1 1000
"$here/big.sh" 100000 8 sse
"$here/big.sh" 100000 8 ws

[ -z "$(command -v perf)" ] || "$here/stages.sh"

rm -rf "$IM_BENCH_OUT/run"

"$here/table.pl" "$IM_BENCH_OUT" > "$IM_BENCH_OUT/result.md"

cat "$IM_BENCH_OUT/result.md"
echo
echo "raw results: $IM_BENCH_OUT"
