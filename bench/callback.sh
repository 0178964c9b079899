#!/bin/sh

# Copyright (C) The ngx_im authors

# openim/sendmsg by 64 connections: without callbacks (none); with a
# before-callback to a receiver on this machine (asked); the same while another
# app sends 50 messages a second, and its receiver takes all connections and
# never answers, so that the breaker is open (hung), or answers one request of
# four, so that it stays closed and about 75 requests are always on their way
# (lame).  Each round takes the cases in one order and then in the other, for
# a store that grows makes messages dearer; at the end the medians of their
# ratios in a round are told.
#
#   bench/callback.sh [ROUNDS [MESSAGES [WORKERS]]]

. "$(dirname "$0")/common.sh"

rounds=${1:-5}
messages=${2:-20000}
workers=${3:-1}

users=1000
conns=64
receiver=$((port + 1))
dead=$((port + 2))
lame=$((port + 3))

command=C2C.CallbackBeforeSendMsg

copy_tools

result=$out/callback.tsv
printf 'case\tworkers\tround\tper_s\tcpu_us\tp50\tp99\n' > "$result"

apps="
    app 2 { key file:app.key; rate 0;
            callback http://127.0.0.1:$receiver/ $command; }
    app 3 { key file:app.key; rate 0;
            callback http://127.0.0.1:$dead/ $command; }
    app 4 { key file:app.key; rate 0;
            callback http://127.0.0.1:$lame/ $command; }"

im_start "$workers"


query_of() {
    sig=$(IM_APP=$1 im_usersig administrator)
    echo "sdkappid=$1&identifier=administrator&usersig=$sig"
}


none=$query
asked=$(query_of 2)
hung=$(query_of 3)
some=$(query_of 4)

for query in "$none" "$asked" "$hung" "$some"; do
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

# Those of the other apps: each one of so many requests is answered, or none.

silent() {
    exec perl -MIO::Select -MIO::Socket::INET -e '
        my ($port, $each) = @ARGV;
        my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1",
            LocalPort => $port, Listen => 4096, ReuseAddr => 1) or die $!;
        my $all = IO::Select->new($s);
        my $json = "{\"ErrorCode\":0}";
        my ($n, $size, %in) = (0, 65536);
        while (1) {
            for my $c ($all->can_read) {
                if ($c == $s) {
                    $all->add(scalar $s->accept);
                } elsif (!sysread $c, $in{$c}, $size, length($in{$c} // "")) {
                    delete $in{$c};
                    $all->remove($c);
                    close $c;
                } elsif ($in{$c} =~ /\}$/) {
                    $in{$c} = "";
                    next if !$each || ++$n % $each;
                    syswrite $c, "HTTP/1.1 200 OK\r\nContent-Length: "
                                 . length($json) . "\r\n\r\n$json";
                }
            }
        }' "$@"
}

silent $dead 0 > "$out/callback.dead" 2>&1 &
silents=$!
silent $lame 4 > "$out/callback.lame" 2>&1 &
silents="$silents $!"
load=

callback_stop() {
    # shellcheck disable=SC2086
    kill $silents ${load:+"$load"} 2> /dev/null || :
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

    [ "$2" -gt 0 ] || return 0

    printf '%s\t%d\t%d\t%s\t%s\t%s\t%s\n' "$1" "$workers" "$2" \
           "$(value per_s)" "$(value cpu_per_m)" "$(value a50)" \
           "$(value a99)" | tee -a "$result"
}


# 50 messages a second of another app.

load() {
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


metric() {
    curl -s "http://127.0.0.1:$port/metrics" | sed -n "s/^$1 //p"
}


wait_for() {
    tries=200

    until [ "$(metric "$1")" -ge "$2" ] 2> /dev/null; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || die "$1 is not $2"
        sleep 0.1
    done
}


# Case $1, with messages of another app by the query $3 until $4 is $5.

run_with() {
    load "$3" > "$out/callback.load" 2>&1 &
    load=$!

    wait_for "$4" "$5"
    run "$1" "$2" "$asked"

    kill "$load"
    wait "$load" 2> /dev/null || :
    load=

    # what is on its way ends in two seconds
    sleep 2.5
}


run_case() {
    case $1 in
    none) run none "$2" "$none" ;;
    asked) run asked "$2" "$asked" ;;
    hung) run_with hung "$2" "$hung" im_callback_breakers_open "$workers" ;;
    lame) run_with lame "$2" "$some" im_callbacks_in_flight 60 ;;
    esac
}


# once for nothing: trees of the store become deep, memory is taken

run none 0 "$none"
run asked 0 "$asked"

for round in $(seq "$rounds"); do
    for name in none asked hung lame lame hung asked none; do
        run_case "$name" "$round"
    done
done

callback_stop
trap - EXIT


# The ratio of two cases in each round, and the median of these.

ratio() {
    awk -F '\t' -v a="$1" -v b="$2" -v col="$3" '
        $1 == a { x[$3] += $col }
        $1 == b { y[$3] += $col }
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
    ratio lame asked 4 'messages/s'
    ratio lame asked 5 'CPU/message'
} | tee "$out/callback.ratio"
