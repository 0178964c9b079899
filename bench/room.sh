#!/bin/sh

# Copyright (C) The ngx_im authors

# A message to all who are in a live room, by WebSocket, against the limit
# program of the load tools, in turn: as fast as they are received (four
# messages under way), and ten thousand deliveries a second.
#
#   bench/room.sh [ROUNDS [WORKERS [MEMBERS...]]]
#
# IM_BENCH_SYSTEMS: with what, "limit" first ("limit limitb")

. "$(dirname "$0")/common.sh"

rounds=${1:-5}
workers=${2:-1}

if [ $# -gt 2 ]; then
    shift 2

else
    set -- 1000 5000
fi

# im, or im2 and so on with more workers
name=im
[ "$workers" -eq 1 ] || name=im$workers

peers=${IM_BENCH_SYSTEMS:-limit limitb}

copy_tools
im_start "$workers"

im_rest im_open_login_svc/account_import '{"UserID":"ann"}' > /dev/null
im_rest group_open_http_svc/create_group \
    '{"Type":"AVChatRoom","GroupId":"room","Name":"room",
      "Owner_Account":"ann"}' > /dev/null

head='"ver":"v4","platform":7,"status_instid":0,"contenttype":"json"'
head="$head,\"sdkappid\":$app"
login="{\"head\":{$head,\"identifier\":\"u%d\",\"usersig\":\"%u\",
        \"servcmd\":\"im_open_status.wslogin\",\"seq\":1},
        \"body\":{\"State\":\"Online\",\"InstType\":0}}"
join="{\"head\":{$head,
       \"servcmd\":\"group_open_http_svc.apply_join_group\",\"seq\":2},
       \"body\":{\"GroupId\":\"room\"}}"

# a Random of its own for each message, or it is a duplicate

cat > "$work/im.sh" <<SH
target_$name() { echo $port; }
pids_$name() { echo $(im_workers | paste -sd,); }
args_$name() {
    A=(-p '/info?sdkappid=$app&platform=7'
       -f '$login' -A '"A2Key"' -f '$join' -A '"JoinedStatus"'
       -H 'Content-Type: application/json' -o '"OK"'
       -U '/v4/group_open_http_svc/send_group_msg?$query&random=1'
       -b '{"GroupId":"room","From_Account":"ann","Random":'
          )
    A[\${#A[@]} - 1]+=\$((RANDOM % 4000))
    A[\${#A[@]} - 1]+='%06d,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":
       {"Text":"%p"}}]}'
}
SH

trap '"$work/tools/peers.sh" stop all; im_stop' EXIT

for s in $peers; do
    "$work/tools/peers.sh" start "$s" > /dev/null
done

for n in "$@"; do
    messages=$((150000 / n))

    # the second: ten thousand deliveries a second, for six seconds

    for load in "-m $messages -w 4 -c 4" \
                "-m $((60000 / n)) -r $((10000 / n))"
    do
        "$work/tools/bench.sh" -f "$work/im.sh" -r "$rounds" \
            -o "$out/room.log" fan "$peers $name" -n "$n" $load -T 20
    done
done
