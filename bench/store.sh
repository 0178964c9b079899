#!/bin/sh

# Copyright (C) The ngx_im authors

# openim/sendmsg by 64 connections, each message durable before its answer,
# with the stores: LMDB; MongoDB; MongoDB and Redis; the last with two nodes,
# half of the connections to each.  Messages a second, and CPU time per message
# of the workers, of the MongoDB server and of Redis.  Rounds alternate.
#
#   bench/store.sh [ROUNDS [MESSAGES]]
#
# MESSAGES is the number for MongoDB; LMDB gets ten times as many.
#
# The MongoDB server is that of IM_BENCH_MONGO, else what "./build.sh mongo"
# makes; redis-server is found by PATH.  Each node has one worker.

. "$(dirname "$0")/common.sh"

rounds=${1:-5}
messages=${2:-500}

users=200
conns=64
base=$port
mongo_port=$((port + 10))
redis_port=$((port + 11))

mongo=${IM_BENCH_MONGO:-${IM_BUILD:-$top/build}/mongo/bin/secantusd-py}

[ -x "$mongo" ] || die "no \"$mongo\", write first: ./build.sh mongo"
[ -n "$(command -v redis-server)" ] || die "no redis-server"

copy_tools

result=$out/store.tsv
printf 'case\tround\tper_s\tcpu\tmongo\tredis\tp50\tp99\n' > "$result"

mongo_pid=
redis_pid=


store_stop() {
    im_stop

    for pid in $mongo_pid $redis_pid; do
        kill "$pid" 2> /dev/null || :
        wait "$pid" 2> /dev/null || :
    done

    mongo_pid=
    redis_pid=
}


wait_port() {
    perl -MIO::Socket::INET -e '
        for (1 .. 300) {
            exit 0 if IO::Socket::INET->new(PeerAddr => "127.0.0.1",
                                            PeerPort => $ARGV[0]);
            select undef, undef, undef, 0.1;
        }
        exit 1
    ' "$1" || die "no answer on port $1"
}


# Node $1 on port $2 with the store $3 and the lines $4 of im {}.

node_start() {
    node=$1
    port=$2
    node_store=$3
    node_block=$4

    im_start 1

    echo "$port" > "$work/$node/port"
    im_workers > "$work/$node/workers"
}


# CPU time of processes $1, in ticks of the kernel.

ticks() {
    for pid in $1; do
        sed 's/.*) //' "/proc/$pid/stat"
    done | awk '{ n += $12 + $13 } END { print n + 0 }'
}


value() {
    sed -n "s/^RESULT .* $1=\([0-9.]*\).*/\1/p" "$work"/load.*
}


# Case $1 in round $2; the others are its nodes.

store_round() {
    label=$1
    round=$2
    shift 2

    pids=$(for node in "$@"; do cat "$work/$node/workers"; done)
    n=$((messages / $#))
    [ "$label" != lmdb ] || n=$((messages * 10))
    c=$((conns / $#))
    i=0
    loads=

    rm -f "$work"/load.*

    before="$(ticks "$pids") $(ticks "$mongo_pid") $(ticks "$redis_pid")"

    for node in "$@"; do
        i=$((i + 1))

        "$work/tools/fanout" -L im -n 0 -e 0 -T 20 \
            -t "127.0.0.1:$(cat "$work/$node/port")" \
            -P "$(paste -sd, < "$work/$node/workers")" \
            -c $c -w $c -m $n -G $users -g 0 \
            -H 'Content-Type: application/json' -o '"OK"' \
            -U "/v4/openim/sendmsg?$query&random=%r&contenttype=json" \
            -b "{\"SyncOtherMachine\":1,\"From_Account\":\"a$i%g\",
                 \"To_Account\":\"b$i%g\",\"MsgRandom\":%r,
                 \"MsgBody\":[{\"MsgType\":\"TIMTextElem\",
                 \"MsgContent\":{\"Text\":\"%p\"}}]}" \
            > "$work/load.$i" 2>> "$out/store.log" &

        loads="$loads $!"
    done

    for pid in $loads; do
        wait "$pid" || [ "$round" -eq 0 ] || die "errors, see $work/load.*"
    done

    after="$(ticks "$pids") $(ticks "$mongo_pid") $(ticks "$redis_pid")"

    cat "$work"/load.* >> "$out/store.log"

    printf '%s\t%d\t%s\t%s\t%s\t%s\n' "$label" "$round" \
        "$(value per_s | awk '{ n += $1 } END { printf "%.0f", n }')" \
        "$(echo "$before $after $((n * $#))" "$(getconf CLK_TCK)" \
           | awk '{ x = 1000000 / $7 / $8; OFS = "\t"
                    print ($4 - $1) * x, ($5 - $2) * x, ($6 - $3) * x }')" \
        "$(value a50 | sort -n | tail -n 1)" \
        "$(value a99 | sort -n | tail -n 1)" | tee -a "$result"
}


stop=store_stop
trap $stop EXIT

mkdir -p "$work/server"

# without its option, a write may be acknowledged before it is on the disk

"$mongo" --host 127.0.0.1 --port "$mongo_port" \
         --storage-path "$work/server/db" --sync-on-commit \
         --log-level WARNING > "$work/server/mongo.log" 2>&1 < /dev/null &
mongo_pid=$!

redis-server --port "$redis_port" --bind 127.0.0.1 --save '' \
             --appendonly no --dir "$work/server" \
             > "$work/server/redis.log" 2>&1 < /dev/null &
redis_pid=$!

wait_port "$mongo_port"
wait_port "$redis_port"

node_main='thread_pool im threads=32 max_queue=65536;'
uri=mongodb://127.0.0.1:$mongo_port
redis="redis 127.0.0.1:$redis_port timeout=2s;"

# a slow server shall be slow, not "busy"

queue='commit_queue 10000 64m 30s;'
set="replicaSet=secantus&socketTimeoutMS=20000"

node_start lmdb  "$base"       'lmdb:store size=16g' ''
node_start mongo $((base + 1)) "$uri/one?$set" "$queue"
node_start a     $((base + 2)) "$uri/im?$set" "$queue $redis node a;"
node_start b     $((base + 3)) "$uri/im?$set" "$queue $redis node b;"

for node in lmdb mongo a; do
    port=$(cat "$work/$node/port")

    for letter in a1 b1 a2 b2; do
        im_accounts $users $letter
    done
done

# round 0 fills caches and makes the first rows of all; busy codes are right

for round in $(seq 0 "$rounds"); do
    store_round lmdb  "$round" lmdb
    store_round mongo "$round" mongo
    store_round redis "$round" a
    store_round nodes "$round" a b
done

# the round without a number is not of the result

awk -F '\t' '$2 != "0"' "$result" > "$result.new"
mv "$result.new" "$result"

echo "MongoDB server: $(basename "$mongo")," \
     "load $(cut -d' ' -f1-3 /proc/loadavg) at the end" > "$out/store.note"

store_stop
