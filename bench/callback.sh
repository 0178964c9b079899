#!/bin/sh

# Copyright (C) The ngx_im authors

# openim/sendmsg by 64 connections: without callbacks; with a before-callback
# to a receiver on this machine; the same while the receiver of another app,
# which sends 50 messages a second, accepts connections and never answers.
# Cases alternate; at the end the medians of their ratios in a round are told.
#
#   bench/callback.sh [ROUNDS [MESSAGES [WORKERS]]]

. "$(dirname "$0")/common.sh"

rounds=${1:-5}
messages=${2:-10000}
workers=${3:-1}

users=1000
conns=64
receiver=$((port + 1))
dead=$((port + 2))

command=C2C.CallbackBeforeSendMsg

copy_tools

result=$out/callback.tsv
printf 'case\tworkers\tround\tper_s\tcpu_us\tp50\tp99\n' > "$result"

apps="
    app 2 { key file:app.key; rate 0;
            callback http://127.0.0.1:$receiver/ $command; }
    app 3 { key file:app.key; rate 0;
            callback http://127.0.0.1:$dead/ $command; }"

im_start "$workers"


query_of() {
    sig=$(IM_APP=$1 im_usersig administrator)
    echo "sdkappid=$1&identifier=administrator&usersig=$sig"
}


none=$query
asked=$(query_of 2)
hung=$(query_of 3)

for query in "$none" "$asked" "$hung"; do
    im_accounts $users
done

pids=$(im_workers | paste -sd,)


# The receiver is an nginx of its own.

mkdir -p "$work/receiver/tmp"

cat > "$work/receiver/nginx.conf" <<CONF
worker_processes 1;
pid nginx.pid;
error_log error.log warn;
events { worker_connections 4096; }

http {
    access_log off;
    client_body_temp_path tmp/body;
    proxy_temp_path tmp/proxy;
    fastcgi_temp_path tmp/fastcgi;
    uwsgi_temp_path tmp/uwsgi;
    scgi_temp_path tmp/scgi;
    keepalive_requests 1000000000;

    server {
        listen 127.0.0.1:$receiver;
        location / {
            return 200 '{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}';
        }
    }
}
CONF

"$nginx" -p "$work/receiver/" -c nginx.conf -e error.log

perl -MIO::Socket::INET -e '
    my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1",
        LocalPort => $ARGV[0], Listen => 4096, ReuseAddr => 1) or die $!;
    my @c;
    push @c, scalar $s->accept while 1;' $dead > "$out/callback.dead" 2>&1 &

silent=$!
load=

callback_stop() {
    kill "$silent" ${load:+"$load"} 2> /dev/null || :
    kill -TERM "$(cat "$work/receiver/nginx.pid")" 2> /dev/null || :
    im_stop
}

trap callback_stop EXIT


value() {
    sed -n "s/^RESULT .* $1=\([0-9.]*\).*/\1/p" "$out/callback.run"
}


run() {
    sleep 0.5

    "$work/tools/fanout" -L "$1" -n 0 -e 0 -t "127.0.0.1:$port" -P "$pids" \
        -T 20 -c $conns -w $conns -m "$messages" -G $users -g 200 \
        -H 'Content-Type: application/json' -o '"OK"' \
        -U "/v4/openim/sendmsg?$3&random=%r&contenttype=json" \
        -b '{"SyncOtherMachine":1,"From_Account":"u1","To_Account":"u%g",
             "MsgRandom":%r,"MsgBody":[{"MsgType":"TIMTextElem",
             "MsgContent":{"Text":"%p"}}]}' \
        > "$out/callback.run" 2>> "$out/callback.log" \
        || die "errors, see $out/callback.run"

    cat "$out/callback.run" >> "$out/callback.log"

    printf '%s\t%d\t%d\t%s\t%s\t%s\t%s\n' "$1" "$workers" "$2" \
           "$(value per_s)" "$(value cpu_per_m)" "$(value a50)" \
           "$(value a99)" | tee -a "$result"
}


# 50 messages a second of app 3.

hang() {
    exec perl -MIO::Socket::INET -MTime::HiRes=sleep -e '
        my ($port, $query) = @ARGV;
        my @open;
        for (my $n = 1; ; $n++) {
            my $body = "{\"From_Account\":\"u1\",\"To_Account\":\"u2\","
                . "\"MsgRandom\":$n,\"MsgBody\":[{\"MsgType\":\"TIMTextElem\","
                . "\"MsgContent\":{\"Text\":\"hello\"}}]}";
            my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1",
                                          PeerPort => $port) or last;
            print $s "POST /v4/openim/sendmsg?$query&random=$n"
                . "&contenttype=json HTTP/1.0\r\nContent-Length: "
                . length($body) . "\r\n\r\n$body";
            $s->flush;
            push @open, $s;
            shift @open if @open > 200;
            sleep 0.02;
        }' "$port" "$1"
}


run_hung() {
    hang "$hung" > "$out/callback.load" 2>&1 &
    load=$!
    sleep 1

    run hung "$1" "$asked"

    kill "$load"
    wait "$load" 2> /dev/null || :
    load=
}


# In each round the other way round, so that what the machine does besides
# falls on all of them.

for round in $(seq "$rounds"); do

    if [ $((round % 2)) = 1 ]; then
        run none "$round" "$none"
        run asked "$round" "$asked"
        run_hung "$round"

    else
        run_hung "$round"
        run asked "$round" "$asked"
        run none "$round" "$none"
    fi
done

callback_stop
trap - EXIT


# The ratio of two cases in each round, and the median of these.

ratio() {
    awk -F '\t' -v a="$1" -v b="$2" -v col="$3" '
        $1 == a { x[$3] = $col }
        $1 == b { y[$3] = $col }
        END { for (r in x) if (y[r] > 0) printf "%.3f\n", x[r] / y[r] }' \
        "$result" | sort -n \
    | awk -v what="$1/$2 $4" '
        { v[NR] = $1 }
        END {
            m = (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
            printf "%s: median %.3f, %.3f to %.3f in %d rounds\n",
                   what, m, v[1], v[NR], NR
        }'
}

{
    ratio asked none 4 'messages/s'
    ratio asked none 5 'CPU/message'
    ratio hung asked 4 'messages/s'
    ratio hung asked 5 'CPU/message'
} | tee "$out/callback.ratio"
