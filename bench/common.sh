# Copyright (C) The ngx_im authors
#
# What the scripts of this folder share; read by them, not run.
#
# Environment:
#
#   IM_BENCH         the load tools (../shared/bench beside the repository)
#   IM_BENCH_PORT    of our server (18900)
#   IM_BENCH_NGINX   the binary (build/optimised/nginx)
#   IM_BENCH_OUT     folder of raw results (a new one in /tmp); what runs has
#                    its files in "run" there


set -eu

LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")

tools=${IM_BENCH:-$top/../shared/bench}
port=${IM_BENCH_PORT:-18900}
nginx=${IM_BENCH_NGINX:-${IM_BUILD:-$top/build}/optimised/nginx}
app=1400000001


die() {
    echo "$0: error: $*" >&2
    exit 1
}


[ -f "$tools/fanout.c" ] \
    || die "no load tools in \"$tools\", write their folder to IM_BENCH"

[ -x "$nginx" ] || die "no \"$nginx\", write first: ./build.sh optimised"

out=${IM_BENCH_OUT:-$(mktemp -d /tmp/im-bench-XXXXXX)}
mkdir -p "$out/run"

tools=$(cd "$tools" && pwd)
out=$(cd "$out" && pwd)
work=$out/run

BENCH_DIR=$work/peers
export BENCH_DIR

ulimit -n "$(ulimit -Hn)"


# A copy of the tools in $work/tools, with a fanout that knows %u, see
# usersig.h.

copy_tools() {
    mkdir -p "$work/tools"
    cp "$tools"/*.sh "$tools"/*.awk "$tools"/*.c "$tools"/*.h "$work/tools/"

    u="case 'u': usersig(o, v->d); break;"

    sed -e "s|^static void expand(|#include \"usersig.h\"\n\n&|" \
        -e "s|^        case '%':|$u\n&|" \
        "$tools/fanout.c" > "$work/tools/fanout.c"

    cc -O2 -std=gnu11 -I "$here" -o "$work/tools/fanout" \
       "$work/tools/fanout.c" -lcrypto -lz
    cc -O2 -std=gnu11 -o "$work/tools/limit" "$work/tools/limit.c"
}


# Starts nginx with $1 workers.

im_start() {
    im=$work/im
    rm -rf "$im"
    mkdir -p "$im/tmp"

    # workers are not root
    chmod 755 "$out" "$work" "$im"

    head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' > "$im/app.key"

    user=
    [ "$(id -u)" -ne 0 ] || user="user nobody nogroup;"

    cat > "$im/nginx.conf" <<CONF
$user
worker_processes $1;
worker_rlimit_nofile $(ulimit -n);
pid nginx.pid;
error_log error.log warn;

events {
    worker_connections 16384;
}

im {
    store lmdb:store size=16g;

    app $app {
        key file:app.key;
        rate 0;
        tip_rate 1;
        group_rate 100000;
        group_rate_normal 100000;
        group_rate_low 100000;
        group_rate_lowest 100000;
        ws_timeout 1h;
    }
}

http {
    access_log off;
    client_body_temp_path tmp/body;
    proxy_temp_path tmp/proxy;
    fastcgi_temp_path tmp/fastcgi;
    uwsgi_temp_path tmp/uwsgi;
    scgi_temp_path tmp/scgi;
    keepalive_requests 1000000000;

    server {
        listen 127.0.0.1:$port backlog=4096;

        location ~ ^/v[134]/ { im_rest; }
        location ~ /b?info$ { im_websocket; }
        location /rooms/ { im_events; }
        location /metrics { im_metrics; }
    }
}
CONF

    "$nginx" -p "$im/" -c nginx.conf -e error.log

    IM_APP=$app
    IM_KEY=$(cat "$im/app.key")
    export IM_APP IM_KEY

    query="sdkappid=$app&identifier=administrator"
    query="$query&usersig=$(im_usersig administrator)"

    trap im_stop EXIT

    tries=100

    until curl -s -o /dev/null "http://127.0.0.1:$port/metrics"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || die "no answer, see $im/error.log"
        sleep 0.1
    done
}


im_stop() {
    [ -s "$work/im/nginx.pid" ] || return 0

    pid=$(cat "$work/im/nginx.pid")
    kill -TERM "$pid"

    while kill -0 "$pid" 2> /dev/null; do
        sleep 0.1
    done

    rm -f "$work/im/nginx.pid"
}


im_usersig() {
    IM_DIR=$work/im "$top/build.sh" usersig "$1" 86400
}


im_workers() {
    pgrep -P "$(cat "$work/im/nginx.pid")"
}


# Accounts u0 .. u($1 - 1).

im_accounts() {
    perl -e '
        for (my $i = 0; $i < $ARGV[0]; $i += 100) {
            my $n = $i + 100 > $ARGV[0] ? $ARGV[0] : $i + 100;
            print "{\"Accounts\":[", join(",", map { "\"u$_\"" } $i .. $n - 1),
                  "]}\n";
        }
    ' "$1" | while read -r body; do
        im_rest im_open_login_svc/multiaccount_import "$body" > /dev/null
    done
}


# Command $1 with the body $2.

im_rest() {
    curl -s "http://127.0.0.1:$port/v4/$1?$query&random=1&contenttype=json" \
         -d "$2"
}


# What the numbers were taken on.

[ -f "$out/machine" ] || {
    echo "machine: $(nproc) cores of $(sed -n 's/^model name.*: //p' \
                     /proc/cpuinfo | head -n 1), Linux $(uname -r)"
    echo "nginx: $("$nginx" -v 2>&1 | sed 's/.*: nginx.//')," \
         "commit $(git -C "$top" rev-parse --short HEAD)," \
         "$(cc --version | head -n 1)"
    echo "other load at the beginning: $(cut -d' ' -f1-3 /proc/loadavg)"
    echo "date: $(date -u +%F)"
} > "$out/machine"
