#!/bin/sh

# Copyright (C) The ngx_im authors

# openim/sendmsg by 64 connections, each message durable before its answer:
# messages a second and CPU time per message, against a bare LMDB program
# that writes the same rows with as many in a commit.  Rounds alternate.
#
#   bench/sendmsg.sh [ROUNDS [MESSAGES [WORKERS]]]

. "$(dirname "$0")/common.sh"

rounds=${1:-5}
messages=${2:-10000}
workers=${3:-1}

users=1000
conns=64

copy_tools

result=$out/sendmsg.tsv
printf 'system\tworkers\tround\tper_s\tcpu_us\tgroup\tp50\tp99\n' > "$result"

rm -rf "$work/rows"
im_start "$workers"
im_accounts $users

pids=$(im_workers | paste -sd,)


value() {
    sed -n "s/^RESULT .* $1=\([0-9.]*\).*/\1/p" "$out/sendmsg.run"
}


# batches and commits of all workers

commits() {
    curl -s "http://127.0.0.1:$port/metrics" \
    | awk '/^im_store_batches_total/ { b += $2 }
           /^im_store_transactions_total/ { c += $2 }
           END { print b + 0, c + 0 }'
}


im_round() {
    # the counters are brought up to date each second

    sleep 1.2
    before=$(commits)

    "$work/tools/fanout" -L im -n 0 -e 0 -t "127.0.0.1:$port" -P "$pids" -T 20 \
        -c $conns -w $conns -m "$messages" -G $users -g 200 \
        -H 'Content-Type: application/json' -o '"OK"' \
        -U "/v4/openim/sendmsg?$query&random=%r&contenttype=json" \
        -b '{"SyncOtherMachine":1,"From_Account":"u1","To_Account":"u%g",
             "MsgRandom":%r,"MsgBody":[{"MsgType":"TIMTextElem",
             "MsgContent":{"Text":"%p"}}]}' \
        > "$out/sendmsg.run" 2>> "$out/sendmsg.log" \
        || die "errors, see $out/sendmsg.run"

    cat "$out/sendmsg.run" >> "$out/sendmsg.log"
    sleep 1.2

    group=$(echo "$before $(commits)" \
            | awk '{ printf "%.1f", ($3 - $1) / ($4 - $2) }')

    printf 'im\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n' "$workers" "$1" \
           "$(value per_s)" "$(value cpu_per_m)" "$group" "$(value a50)" \
           "$(value a99)" | tee -a "$result"
}


for round in $(seq "$rounds"); do
    im_round "$round"

    group=$(tail -n 1 "$result" | awk '{ printf "%d", $6 + 0.5 }')

    "$work/tools/lmdb_rows" "$work/rows" "$messages" "$group" $users \
                        "$work/im/store/im.mdb" 2>> "$out/sendmsg.log" \
    | awk -v round="$round" -v workers="$workers" '{
        printf "lmdb\t%d\t%d\t%s\t%s\t%s\t\t\n", workers, round, $1, $2, $3
    }' | tee -a "$result"
done

im_stop
