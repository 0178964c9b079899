#!/bin/sh

# Copyright (C) The ngx_im authors

# Memory that an idle WebSocket connection costs: workers' own memory and
# the shared zones, before and after N connections (default 10000), first
# without a login, then with one per connection.
#
#   bench/idle.sh [CONNECTIONS [WORKERS]]

. "$(dirname "$0")/common.sh"

n=${1:-10000}
workers=${2:-1}

result=$out/idle.tsv

[ -f "$result" ] || printf 'mode\tworkers\tn\town\tzone\tstore\n' > "$result"


# own: private memory of the workers that is neither zone nor store; zone:
# resident memory of the zones, shared by all; store: pages of the store's
# file that are mapped, the kernel's cache.  kB.

memory() {
    master=$(cat "$work/im/nginx.pid")

    for p in $master $(im_workers); do
        sed "s/^/$p /" "/proc/$p/smaps"
    done | awk -v master="$master" '
        $2 ~ /^[0-9a-f]+-[0-9a-f]+$/ {
            kind = /\/dev\/zero/ ? "zone" : /\.mdb/ ? "store" : "own"
        }
        $2 == "Pss:" { pss[kind] += $3 }
        $2 ~ /^Private_/ && $1 != master { private[kind] += $3 }
        END { print private["own"] + 0, pss["zone"] + 0, pss["store"] + 0 }
    '
}


for mode in open login; do
    im_start "$workers"
    im_accounts 1

    mkfifo "$work/go" "$work/ready"

    before=$(memory)

    perl "$here/hold.pl" "$port" "$n" "$mode" "$work/im/app.key" "$app" \
         < "$work/go" > "$work/ready" &
    client=$!

    exec 3> "$work/go" 4< "$work/ready"
    read -r line <&4 || die "connections failed"
    sleep 2

    after=$(memory)

    curl -s "http://127.0.0.1:$port/metrics" > "$out/idle.$mode.metrics"

    echo "$mode $workers $n $before $after" | awk '{
        printf "%s\t%d\t%d\t%.2f\t%.2f\t%.2f\n", $1, $2, $3,
               ($7 - $4) / $3, ($8 - $5) / $3, ($9 - $6) / $3
    }' | tee -a "$result"

    exec 3>&- 4<&-
    wait $client
    rm -f "$work/go" "$work/ready"
    im_stop
done
