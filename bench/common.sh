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
#   IM_BENCH_BIN     folder of fanout, limit, readers and lmdb_rows, made
#                    before
#   IM_BENCH_CONNECTIONS   of a worker (32768)


set -eu

LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")

tools=${IM_BENCH:-$top/../shared/bench}
port=${IM_BENCH_PORT:-18900}
nginx=${IM_BENCH_NGINX:-${IM_BUILD:-$top/build}/optimised/nginx}
app=1400000001

# Of the node that im_start starts next: its name, store, lines of im {} and of
# the main block; all that run, and what stops them.

node=im
node_store='lmdb:store size=16g'
node_block=
node_main=
nodes=
limits=
stop=im_stop


die() {
    echo "$0: error: $*" >&2
    exit 1
}


[ -f "$tools/bench.sh" ] \
    || die "no load tools in \"$tools\", write their folder to IM_BENCH"

[ -x "$nginx" ] || die "no \"$nginx\", write first: ./build.sh optimised"

out=${IM_BENCH_OUT:-$(mktemp -d /tmp/im-bench-XXXXXX)}
mkdir -p "$out/run"

tools=$(cd "$tools" && pwd)
out=$(cd "$out" && pwd)
work=$out/run

BENCH_DIR=$work/peers
export BENCH_DIR

# more is for root only

ulimit -n 300000 2> /dev/null || ulimit -n "$(ulimit -Hn)"


# A copy of the tools in $work/tools, with a fanout that knows %u, see
# usersig.h, and -S: how many send by WebSocket in turn; and a limit that takes
# very many connections and has as many processes as it is told, see
# limit_workers.h.

copy_tools() {
    mkdir -p "$work/tools"
    cp "$tools"/*.sh "$tools"/*.awk "$work/tools/"

    if [ -n "${IM_BENCH_BIN:-}" ]; then
        cp "$IM_BENCH_BIN"/* "$work/tools/"

    else
        build_tools "$work/tools"
    fi
}


build_tools() {
    u="case 'u': usersig(o, v->d); break;"

    cp "$tools"/*.h "$1/"

    s="case 'S': senders = (uint32_t) atoi(optarg); break;"

    sed -e "s|^static void expand(|#include \"usersig.h\"\n\n&|" \
        -e "s|^        case '%':|$u\n&|" \
        -e "s|^        case 'W':|        $s\n&|" \
        -e 's|"\(.*:W:.*\)"|"S:\1"|' \
        -e 's|m % C : slot|m % (senders ? senders : C) : slot|' \
        -e 's|^static double        rate|static uint32_t      senders;\n&|' \
        "$tools/fanout.c" > "$1/fanout.c"

    tell='limit_tell(end + 4, len, id, strncmp(path, "/grp/", 5) == 0);'
    arg="else if (o == 'w') limit_workers = atoi(optarg);"
    share='limit_reuseport(ls);'
    heard='if (ev[i].data.ptr == limit_in) { limit_heard(); continue; }'

    sed -e 's/^#define MAXID .*/#define MAXID 131072/' \
        -e 's|^.. Handles the HTTP requests|#include "limit_workers.h"\n\n&|' \
        -e "s|^        publish(end + 4, len, id, .*|&\n        $tell|" \
        -e 's|"p:g:b"|"p:g:bw:"|' \
        -e "s|^        else if (o == 'b') join = 1;|&\n        $arg|" \
        -e 's|^    ls = socket(.*|    limit_fork();\n&|' \
        -e "s|^    setsockopt(ls, SOL_SOCKET, .*|&\n    $share|" \
        -e 's|^    epoll_ctl(ep, EPOLL_CTL_ADD, ls.*|&\n    limit_listen(ep);|' \
        -e "s|^            if (c == NULL) {|            $heard\n&|" \
        "$tools/limit.c" > "$1/limit.c"

    cc -O2 -std=gnu11 -I "$here" -o "$1/fanout" "$1/fanout.c" -lcrypto -lz
    cc -O2 -std=gnu11 -I "$here" -o "$1/limit" "$1/limit.c"
    cc -O2 -std=gnu11 -W -Wall -I "$here" -o "$1/readers" "$here/readers.c" \
       -lcrypto -lz
    cc -O2 -W -Wall -o "$1/lmdb_rows" "$here/lmdb_rows.c" -llmdb

    rm "$1"/*.c "$1"/*.h
}


# Starts nginx with $1 workers.  All nodes have the app's key of the first.

im_start() {
    im=$work/$node
    rm -rf "$im"
    mkdir -p "$im/tmp"

    # workers are not root
    chmod 755 "$out" "$work" "$im"

    [ -n "${IM_KEY:-}" ] \
        || IM_KEY=$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')

    printf %s "$IM_KEY" > "$im/app.key"

    user=
    [ "$(id -u)" -ne 0 ] || user="user nobody nogroup;"

    # each gets its share of the connections

    reuseport=
    [ "$1" -eq 1 ] || reuseport=reuseport

    cat > "$im/nginx.conf" <<CONF
$user
worker_processes $1;
worker_rlimit_nofile $(ulimit -n);
pid nginx.pid;
error_log error.log warn;
$node_main

events {
    worker_connections ${IM_BENCH_CONNECTIONS:-32768};
}

im {
    store $node_store;
    $node_block
    zone ${IM_BENCH_ZONE:-64m};

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

    ${apps:-}
}

http {
    access_log off;
    client_body_temp_path tmp/body;
    proxy_temp_path tmp/proxy;
    fastcgi_temp_path tmp/fastcgi;
    uwsgi_temp_path tmp/uwsgi;
    scgi_temp_path tmp/scgi;
    keepalive_requests 1000000000;
    request_pool_size 8k;

    server {
        listen 127.0.0.1:$port backlog=4096 $reuseport;

        location ^~ /v4/ { im_rest; }
        location ~ ^/v[13]/ { im_rest; }
        location ~ /b?info$ { im_websocket; }
        location /rooms/ { im_events; }
        location /metrics { im_metrics; }
    }
}
CONF

    "$nginx" -p "$im/" -c nginx.conf -e error.log
    nodes="$nodes $node"

    IM_APP=$app
    export IM_APP IM_KEY

    query="sdkappid=$app&identifier=administrator"
    query="$query&usersig=$(im_usersig administrator)"

    trap $stop EXIT

    tries=100

    until curl -s -o /dev/null "http://127.0.0.1:$port/metrics"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || die "no answer, see $im/error.log"
        sleep 0.1
    done
}


im_stop() {
    for started in $nodes; do
        [ -s "$work/$started/nginx.pid" ] || continue

        pid=$(cat "$work/$started/nginx.pid")
        kill -TERM "$pid"

        while kill -0 "$pid" 2> /dev/null; do
            sleep 0.1
        done

        rm -f "$work/$started/nginx.pid"
    done

    nodes=
}


# Writes $work/im.sh, by which bench.sh of the tools reaches our server as $1:
# one room, or (scenario "one") a message to one that is not stored, or
# (second argument "group") a group that is.  As ${1}ws clients send to one.

im_target() {
    head='"ver":"v4","platform":7,"status_instid":0,"contenttype":"json"'
    head="$head,\"sdkappid\":$app"
    login="{\"head\":{$head,\"identifier\":\"u%d\",\"usersig\":\"%u\",
            \"servcmd\":\"im_open_status.wslogin\",\"seq\":1},
            \"body\":{\"State\":\"Online\",\"InstType\":0}}"
    join="{\"head\":{$head,
           \"servcmd\":\"group_open_http_svc.apply_join_group\",\"seq\":2},
           \"body\":{\"GroupId\":\"room\"}}"

    send="{\"head\":{$head,\"identifier\":\"u%m\",
           \"servcmd\":\"openim.sendmsg\",\"seq\":3},
           \"body\":{\"From_Account\":\"u%m\",\"To_Account\":\"u%n\",
           \"MsgLifeTime\":0,\"MsgTimeStamp\":%t,\"MsgSeq\":%d,
           \"MsgRandom\":'\$random'%06d,\"MsgBody\":[{\"MsgType\":\"TIMTextElem\",
           \"MsgContent\":{\"Text\":\"%p\"}}]}}"

    # a Random of its own for each message, or it is a duplicate

    cat > "$work/im.sh" <<SH
target_${1}ws() { echo $port; }
pids_${1}ws() { echo $(im_workers | paste -sd,); }
args_${1}ws() {
    local random=\$((RANDOM % 4000))

    A=(-p '/info?sdkappid=$app&platform=7' -f '$login' -A '"A2Key"'
       -W '$send' -S 1000 -e 1)
}

target_$1() { echo $port; }
pids_$1() { echo $(im_workers | paste -sd,); }
args_$1() {
    local random=\$((RANDOM % 4000))
    local body='"MsgBody":[{"MsgType":"TIMTextElem",
                "MsgContent":{"Text":"%p"}}]}'

    A=(-p '/info?sdkappid=$app&platform=7'
       -f '$login' -A '"A2Key"'
       -H 'Content-Type: application/json' -o '"OK"')

    if [ "\$1" = one ]; then
        A+=(-U '/v4/openim/sendmsg?$query&random=1' -e 1 -b
            '{"To_Account":"u%n","SyncOtherMachine":2,"MsgLifeTime":0,
              "MsgRandom":'\$random'%06d,'"\$body")

    elif [ "${2:-room}" = group ]; then
        A+=(-U '/v4/group_open_http_svc/send_group_msg?$query&random=1'
            -b '{"GroupId":"group","From_Account":"ann",
                 "Random":'\$random'%06d,'"\$body")

    else
        A+=(-f '$join' -A '"JoinedStatus"'
            -U '/v4/group_open_http_svc/send_group_msg?$query&random=1'
            -b '{"GroupId":"room","From_Account":"ann",
                 "Random":'\$random'%06d,'"\$body")
    fi
}
SH
}


# A server of one process and the load client do not share a core: who wakes
# the other would draw it to its own one.  Servers of several processes or
# threads keep all cores.

bench() {
    if [ "$workers" -ne 1 ] || [ "$(nproc)" -lt 2 ]; then
        "$work/tools/bench.sh" "$@"
        return
    fi

    for peer in ${peers:-}; do
        case $peer in
        limitws) ;;
        limit*|nchan|mosquitto) pin "$("$work/tools/peers.sh" pids "$peer")" ;;
        esac
    done

    pin "$(im_workers | paste -sd,)"

    taskset -c 1 "$work/tools/bench.sh" "$@"
}


pin() {
    for pid in $(echo "$1" | tr , ' '); do
        taskset -acp 0 "$pid" > /dev/null
    done
}


# Those of the others that are installed, the limit first, with $1 processes.
# The file "peers" tells which are missing, and the versions of the others.

bench_peers() {
    processes=$1
    [ "$processes" -ne 1 ] || processes=

    printf 'limit%s' $processes
    [ -n "$processes" ] || printf ' limitb'

    {
        if [ ! -f /usr/lib/nginx/modules/ngx_nchan_module.so ]; then
            echo "nchan is not installed"

        else
            [ "$1" -gt 2 ] || printf ' nchan%s' $processes >&3
            peer_version nchan libnginx-mod-nchan
        fi

        for peer in mosquitto nats-server ejabberdctl; do
            name=${peer%-server}
            name=${name%ctl}

            if [ -z "$(command -v $peer)" ]; then
                echo "$name is not installed"
                continue
            fi

            # they have one process, or threads for all cores

            [ -n "$processes" ] && [ "$name" = mosquitto ] \
                || printf ' %s' "$name" >&3
            peer_version "$name" "${peer%ctl}"
        done
    } 3>&1 > "$out/peers"
}


peer_version() {
    echo "$1 $(dpkg-query -W -f '${Version}' "$2" 2> /dev/null || true)"
}


# limit2 and so on is limit with as many processes; the others are the tools'.

peers_start() {
    for peer in "$@"; do
        case $peer in
        limit[2-9])
            "$work/tools/limit" -w "${peer#limit}" -g 100 \
                -p "$((port + 90 + ${peer#limit}))" > /dev/null 2>&1 &
            limits="$limits $!"

            cat >> "$work/im.sh" <<SH
target_$peer() { echo $((port + 90 + ${peer#limit})); }
pids_$peer() { echo $!,\$(pgrep -P $! | paste -sd,); }
args_$peer() { args_limit "\$1"; }
SH
            ;;
        limitws)
            ;;
        *)
            "$work/tools/peers.sh" start "$peer" > /dev/null
            ;;
        esac
    done
}


peers_stop() {
    "$work/tools/peers.sh" stop all

    # shellcheck disable=SC2086
    [ -z "$limits" ] || kill $limits
    limits=
}


# A room, and who writes into it.

im_room() {
    im_rest im_open_login_svc/account_import '{"UserID":"ann"}' > /dev/null
    im_rest group_open_http_svc/create_group \
        '{"Type":"AVChatRoom","GroupId":"room","Name":"room",
          "Owner_Account":"ann"}' > /dev/null
}


# A group of $1 members, u0 and so on, and one who writes into it.

im_group() {
    im_accounts "$1"

    im_rest im_open_login_svc/account_import '{"UserID":"ann"}' > /dev/null
    im_rest group_open_http_svc/create_group \
        '{"Type":"Public","GroupId":"group","Name":"group",
          "Owner_Account":"ann"}' > /dev/null

    perl -e '
        for (my $i = 0; $i < $ARGV[0]; $i += 500) {
            my $n = $i + 500 > $ARGV[0] ? $ARGV[0] : $i + 500;
            print "{\"GroupId\":\"group\",\"MemberList\":[",
                  join(",", map { "{\"Member_Account\":\"u$_\"}" }
                            $i .. $n - 1), "]}\n";
        }
    ' "$1" | while read -r body; do
        im_rest group_open_http_svc/import_group_member "$body" > /dev/null
    done
}


im_usersig() {
    IM_DIR=$work/$node "$top/build.sh" usersig "$1" 86400
}


im_workers() {
    pgrep -P "$(cat "$work/$node/nginx.pid")"
}


# Accounts u0 .. u($1 - 1), or of another letter than u, $2.

im_accounts() {
    perl -e '
        my ($max, $u) = @ARGV;

        for (my $i = 0; $i < $max; $i += 100) {
            my $n = $i + 100 > $max ? $max : $i + 100;
            print "{\"Accounts\":[",
                  join(",", map { "\"$u$_\"" } $i .. $n - 1), "]}\n";
        }
    ' "$1" "${2:-u}" | while read -r body; do
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
         "commit ${IM_BENCH_COMMIT:-$(git -C "$top" rev-parse --short HEAD)}"
    echo "other load at the beginning: $(cut -d' ' -f1-3 /proc/loadavg)"
    echo "date: $(date -u +%F)"
} > "$out/machine"
