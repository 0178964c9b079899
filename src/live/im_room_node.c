
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "live/im_limit.h"
#include "live/im_marker.h"
#include "live/im_room_node.h"


#define IM_ROOM_NODE_TRIES  3
#define IM_ROOM_NODE_HEARD  50           /* ms: what was published comes */
#define IM_ROOM_VALUE       (3 * NGX_INT64_LEN + 2)


/* Keys: "q" numbers of a room; "a" its audience, a field for each node; "o"
 * the rooms that have one. */


/*
 * numbers, marker; record, channel, floor, first, last, time and life of the
 * marker, "0": there is none.  A message that the marker knows was published,
 * what comes back is its number, negative.  Numbers are from blocks that the
 * store has given, above the floor, the last one that the caller knows to be
 * used; 0: a block is needed.  The number goes into the record.
 */

static im_redis_script_t  im_room_publish_script = im_redis_script(
    "if ARGV[7] ~= '0' then\n"
    "  local m = redis.call('GET', KEYS[2])\n"
    "  m = m and string.match(m, '^d(%d+)')\n"
    "  if m then return -tonumber(m) end\n"
    "end\n"
    "local v = redis.call('HMGET', KEYS[1], 'n', 'l')\n"
    "local n, l = tonumber(v[1] or 0), tonumber(v[2] or 0)\n"
    "local floor, first = tonumber(ARGV[3]), tonumber(ARGV[4])\n"
    "if first > l then\n"
    "  if first ~= l + 1 or l == 0 or n < floor then n = first - 1 end\n"
    "  l = tonumber(ARGV[5])\n"
    "end\n"
    "if n < floor or n >= l then return 0 end\n"
    "n = n + 1\n"
    "redis.call('HMSET', KEYS[1], 'n', n, 'l', l)\n"
    "redis.call('EXPIRE', KEYS[1], 604800)\n"
    "redis.call('PUBLISH', ARGV[2], string.sub(ARGV[1], 1, 8)\n"
    "           .. struct.pack('<I8', n) .. string.sub(ARGV[1], 17))\n"
    "if ARGV[7] ~= '0' then\n"
    "  redis.call('SET', KEYS[2], string.format('d%d %s 0', n, ARGV[6]),\n"
    "             'PX', ARGV[7])\n"
    "end\n"
    "return n\n");


/* first, last: as above, without a message */

static im_redis_script_t  im_room_block_script = im_redis_script(
    "local v = redis.call('HMGET', KEYS[1], 'n', 'l')\n"
    "local n, l = tonumber(v[1] or 0), tonumber(v[2] or 0)\n"
    "local first = tonumber(ARGV[1])\n"
    "if first <= l then return 0 end\n"
    "if first ~= l + 1 or l == 0 then n = first - 1 end\n"
    "redis.call('HMSET', KEYS[1], 'n', n, 'l', ARGV[2])\n"
    "redis.call('EXPIRE', KEYS[1], 604800)\n"
    "return 1\n");


/* audience, open rooms; beats, id, value, channel, record, gno; value "":
 * only asks */

static im_redis_script_t  im_room_tell_script = im_redis_script(
    im_room_lua
    "local sum = { 0, 0, 0 }\n"
    "if ARGV[3] ~= '' then\n"
    "  local old = redis.call('HGET', KEYS[1], ARGV[2])\n"
    "  if ARGV[3] == '0 0 0' then\n"
    "    redis.call('HDEL', KEYS[1], ARGV[2])\n"
    "  else\n"
    "    redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])\n"
    "    redis.call('EXPIRE', KEYS[1], 600)\n"
    "    redis.call('ZADD', KEYS[2], ARGV[6], ARGV[6])\n"
    "    redis.call('EXPIRE', KEYS[2], 604800)\n"
    "  end\n"
    "  if (old or '0 0 0') ~= ARGV[3] then\n"
    "    redis.call('PUBLISH', ARGV[4], ARGV[5])\n"
    "  end\n"
    "end\n"
    "local all = redis.call('HGETALL', KEYS[1])\n"
    "for i = 1, #all, 2 do\n"
    "  if all[i] ~= ARGV[2] then\n"
    "    local a, b, c = string.match(all[i + 1], '(%d+) (%d+) (%d+)')\n"
    "    if a and alive(all[i]) then\n"
    "      sum = { sum[1] + a, sum[2] + b, sum[3] + c }\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return sum\n");


/* open rooms; after, how many, key of an audience: the next rooms; those
 * without an audience are forgotten */

static im_redis_script_t  im_room_each_script = im_redis_script(
    "local list = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1],\n"
    "                        '+inf', 'LIMIT', 0, ARGV[2])\n"
    "local rooms = { list[#list] or '0' }\n"
    "for _, gno in ipairs(list) do\n"
    "  if redis.call('EXISTS', ARGV[3] .. ':' .. gno) == 1 then\n"
    "    rooms[#rooms + 1] = gno\n"
    "  else\n"
    "    redis.call('ZREM', KEYS[1], gno)\n"
    "  end\n"
    "end\n"
    "return rooms\n");


/* What a message between nodes begins with. */

typedef struct {
    uint64_t             offset;     /* of the number in the text */
    int64_t              time;
    uint64_t             ttl;        /* 0: no marker */
    u_char               key[IM_ZONE_KEY_LEN];
} im_room_head_t;


typedef struct {
    ngx_uint_t           app;
    uint64_t             gno;
} im_room_asked_t;


typedef struct {
    uint64_t            *gnos;
    uint64_t             last;
    ngx_uint_t           n;
    ngx_uint_t           max;
} im_room_next_t;


static ngx_int_t im_room_take_next(void *data, redisReply *reply);
static ngx_int_t im_room_take_sums(void *data, redisReply *reply);
static void im_room_tell_handler(void *data, ngx_int_t rc,
    redisReply *reply);
static void im_room_node_room(im_node_record_t *rec, ngx_str_t *payload);
static void im_room_node_audience(im_node_record_t *rec, ngx_str_t *payload);


void
im_room_ready(ngx_uint_t app, uint64_t gno)
{
    ngx_uint_t  channels[2], i;

    if (!im_room_shared()) {
        return;
    }

    channels[0] = im_node_group(app, gno);
    channels[1] = im_node_room(app, gno);

    for (i = 0; i < 2; i++) {

        if (!im_node_hears(channels[i])) {
            im_node_listen(channels[i]);
            im_node_wait(channels[i]);
            im_node_unlisten(channels[i]);
        }
    }
}


ngx_int_t
im_room_block_all(ngx_uint_t app, uint64_t gno, int64_t first, int64_t last)
{
    u_char      key[IM_REDIS_KEY_MAX], num[2][NGX_INT64_LEN];
    int64_t     taken;
    ngx_str_t   args[3];

    taken = 0;

    if (im_room_shared()) {
        im_redis_key(&args[0], key, "q", app, gno, NULL);
        im_redis_int(&args[1], num[0], first);
        im_redis_int(&args[2], num[1], last);

        (void) im_redis_wait(&im_room_block_script, 1, args, 3,
                             im_room_take_int, &taken);
    }

    return taken ? im_room_open(app, gno)
                 : im_room_block(app, gno, first, last);
}


ngx_int_t
im_room_publish_all(ngx_uint_t app, uint64_t gno, ngx_uint_t prio,
    ngx_str_t *parts, ngx_uint_t n, size_t offset, uint64_t except,
    im_room_once_t *once, int64_t *seq)
{
    u_char           keys[2][IM_REDIS_KEY_MAX], channel[IM_REDIS_KEY_MAX];
    u_char           num[5][NGX_INT64_LEN];
    int64_t          first, last, floor, number;
    ngx_int_t        rc;
    ngx_str_t        args[9], all[4];
    ngx_uint_t       i;
    im_bus_meta_t    meta;
    im_room_head_t   head;

    if (!im_room_shared() || n > 3) {
        return im_room_publish(app, gno, prio, parts, n, offset, except, seq);
    }

    ngx_memzero(&head, sizeof(im_room_head_t));
    head.offset = offset;

    if (once) {
        head.time = once->time;
        head.ttl = once->ttl;
        ngx_memcpy(head.key, once->key, IM_ZONE_KEY_LEN);
    }

    all[0].data = (u_char *) &head;
    all[0].len = sizeof(im_room_head_t);

    for (i = 0; i < n; i++) {
        all[i + 1] = parts[i];
    }

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = app;
    meta.flags = prio;
    meta.chain = gno;
    meta.except = except;

    if (im_node_record(&args[2], IM_BUS_ROOM, &meta, all, n + 1) != NGX_OK) {
        return NGX_BUSY;
    }

    if (args[2].len > im_bus_payload_max()) {
        ngx_free(args[2].data);
        return NGX_DECLINED;
    }

    im_redis_key(&args[0], keys[0], "q", app, gno, NULL);
    im_limit_marker_key(&args[1], keys[1], head.key);
    im_node_channel(&args[3], channel, im_node_room(app, gno));
    im_redis_int(&args[7], num[3], head.time);
    im_redis_int(&args[8], num[4], head.ttl);

    /* this node has it in its log, too, whoever is here */

    if (im_room_open(app, gno) != NGX_OK) {
        ngx_free(args[2].data);
        return NGX_BUSY;
    }

    im_room_ready(app, gno);

    first = 0;
    last = 0;
    rc = NGX_AGAIN;

    for (i = 0; i < IM_ROOM_NODE_TRIES; i++) {

        floor = im_room_last(app, gno);
        number = 0;

        im_redis_int(&args[4], num[0], floor);
        im_redis_int(&args[5], num[1], first);
        im_redis_int(&args[6], num[2], last);

        rc = im_redis_wait(&im_room_publish_script, 2, args, 9,
                           im_room_take_int, &number);

        if (rc == NGX_OK && number == 0) {
            rc = im_room_take(app, gno, &first, &last);

            if (rc == NGX_OK) {
                rc = NGX_AGAIN;
                continue;
            }
        }

        break;
    }

    ngx_free(args[2].data);

    if (rc == NGX_DECLINED) {
        return im_room_publish(app, gno, prio, parts, n, offset, except, seq);
    }

    if (rc == NGX_OK && number < 0) {
        *seq = -number;                  /* by a node that has died since */
        return NGX_OK;
    }

    if (rc == NGX_BUSY && once) {

        /* what has come back to this node was published */

        im_co_sleep(IM_ROOM_NODE_HEARD);

        number = im_marker_number(once->key);

        if (number) {
            rc = NGX_OK;
        }
    }

    if (rc == NGX_OK) {
        im_room_stamp(parts, n, offset, number);
        *seq = number;
    }

    return (rc == NGX_ERROR) ? NGX_BUSY : rc;
}


ngx_int_t
im_room_take_int(void *data, redisReply *reply)
{
    int64_t  *n = data;

    if (reply->type != REDIS_REPLY_INTEGER) {
        return NGX_ERROR;
    }

    *n = reply->integer;

    return NGX_OK;
}


int64_t
im_room_last_all(ngx_uint_t app, uint64_t gno)
{
    u_char      key[IM_REDIS_KEY_MAX];
    int64_t     last;
    ngx_str_t   args[3];
    ngx_uint_t  sums[3];

    last = im_room_last(app, gno);

    if (im_room_shared()) {
        ngx_str_set(&args[0], "HMGET");
        im_redis_key(&args[1], key, "q", app, gno, NULL);
        ngx_str_set(&args[2], "n");

        if (im_redis_wait(NULL, 0, args, 3, im_room_take_sums, sums)
            == NGX_OK)
        {
            last = ngx_max(last, (int64_t) sums[0]);
        }
    }

    return last;
}


static ngx_int_t
im_room_take_sums(void *data, redisReply *reply)
{
    ngx_uint_t  *sums = data;

    ngx_uint_t  i;

    for (i = 0; i < 3; i++) {
        sums[i] = im_redis_reply_int(reply, i);
    }

    return NGX_OK;
}


void
im_room_audience_all(ngx_uint_t app, uint64_t gno, im_room_audience_t *a)
{
    u_char      key[IM_REDIS_KEY_MAX], open[IM_REDIS_KEY_MAX];
    ngx_str_t   args[8];
    ngx_uint_t  sums[3];

    im_room_audience_here(app, gno, a);

    if (!im_room_shared()) {
        return;
    }

    ngx_memzero(args, sizeof(args));

    im_redis_key(&args[0], key, "a", app, gno, NULL);
    im_redis_key(&args[1], open, "o", app, 0, NULL);
    args[2] = *im_node_beats();
    args[3] = *im_node_id();

    if (im_redis_wait(&im_room_tell_script, 2, args, 8, im_room_take_sums,
                      sums)
        == NGX_OK)
    {
        a->joined += sums[0];
        a->guests += sums[1];
        a->sockets += sums[2];
    }
}


void
im_room_node_tell(ngx_uint_t app, uint64_t gno, im_room_audience_t *a)
{
    u_char            key[IM_REDIS_KEY_MAX], channel[IM_REDIS_KEY_MAX];
    u_char            open[IM_REDIS_KEY_MAX];
    u_char            value[IM_ROOM_VALUE], num[NGX_INT64_LEN];
    ngx_str_t         args[8];
    im_bus_meta_t     meta;
    im_room_asked_t  *asked;

    if (!im_redis_up()) {
        return;
    }

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = app;
    meta.chain = gno;

    if (im_node_record(&args[6], IM_BUS_AUDIENCE, &meta, NULL, 0) != NGX_OK) {
        return;
    }

    asked = ngx_alloc(sizeof(im_room_asked_t), ngx_cycle->log);

    if (asked) {
        asked->app = app;
        asked->gno = gno;

        im_redis_key(&args[0], key, "a", app, gno, NULL);
        im_redis_key(&args[1], open, "o", app, 0, NULL);
        args[2] = *im_node_beats();
        args[3] = *im_node_id();
        args[4].data = value;
        args[4].len = ngx_sprintf(value, "%ui %ui %ui", a->joined, a->guests,
                                  a->sockets)
                      - value;
        im_node_channel(&args[5], channel, im_node_group(app, gno));
        im_redis_int(&args[7], num, gno);

        if (im_redis_call(&im_room_tell_script, 2, args, 8,
                          im_room_tell_handler, asked)
            != NGX_OK)
        {
            ngx_free(asked);
        }
    }

    ngx_free(args[6].data);
}


static void
im_room_tell_handler(void *data, ngx_int_t rc, redisReply *reply)
{
    im_room_asked_t  *asked = data;

    im_room_audience_t  a;

    if (rc == NGX_OK) {
        a.joined = im_redis_reply_int(reply, 0);
        a.guests = im_redis_reply_int(reply, 1);
        a.sockets = im_redis_reply_int(reply, 2);

        im_room_others(asked->app, asked->gno, &a);
    }

    ngx_free(asked);
}


ngx_uint_t
im_room_each_other(ngx_uint_t app, uint64_t *after, uint64_t *gnos,
    ngx_uint_t max)
{
    u_char           key[IM_REDIS_KEY_MAX], prefix[IM_REDIS_KEY_MAX];
    u_char           num[2][NGX_INT64_LEN];
    ngx_str_t        args[4];
    ngx_uint_t       i, n;
    im_room_next_t   next;

    next.gnos = gnos;
    next.last = 0;
    next.n = 0;
    next.max = max;

    if (im_room_shared()) {
        im_redis_key(&args[0], key, "o", app, 0, NULL);
        im_redis_int(&args[1], num[0], *after);
        im_redis_int(&args[2], num[1], max);
        im_redis_key(&args[3], prefix, "a", app, 0, NULL);

        (void) im_redis_wait(&im_room_each_script, 1, args, 4,
                             im_room_take_next, &next);
    }

    *after = next.last;

    for (i = 0, n = 0; i < next.n; i++) {
        if (im_room_is_open(app, gnos[i]) != NGX_OK) {
            gnos[n++] = gnos[i];
        }
    }

    return n;
}


static ngx_int_t
im_room_take_next(void *data, redisReply *reply)
{
    im_room_next_t  *next = data;

    ngx_uint_t  i;

    if (reply->type != REDIS_REPLY_ARRAY) {
        return NGX_ERROR;
    }

    next->last = im_redis_reply_int(reply, 0);

    for (i = 1; i < reply->elements && next->n < next->max; i++) {
        next->gnos[next->n++] = im_redis_reply_int(reply, i);
    }

    return NGX_OK;
}


/* A message, of this node too: its number is in the record. */

static void
im_room_node_room(im_node_record_t *rec, ngx_str_t *payload)
{
    u_char           buf[2 * NGX_INT64_LEN + 3];
    ngx_str_t        text, result;
    im_room_head_t   head;

    if (payload->len < sizeof(im_room_head_t)) {
        return;
    }

    ngx_memcpy(&head, payload->data, sizeof(im_room_head_t));

    if (head.ttl) {
        result.data = buf;
        result.len = ngx_sprintf(buf, "%uL %L 0", rec->seq, head.time) - buf;

        if (im_marker_heard(head.key, &result, head.ttl) != NGX_OK) {
            return;                      /* has another number here */
        }
    }

    text.data = payload->data + sizeof(im_room_head_t);
    text.len = payload->len - sizeof(im_room_head_t);

    im_room_accept(rec->app, rec->chain, rec->seq, rec->flags, &text,
                   head.offset, rec->except);
}


static void
im_room_node_audience(im_node_record_t *rec, ngx_str_t *payload)
{
    im_room_due(rec->app, rec->chain);
}


ngx_int_t
im_room_node_init_process(void)
{
    im_node_handler(IM_BUS_ROOM, im_room_node_room);
    im_node_handler(IM_BUS_AUDIENCE, im_room_node_audience);
    im_room_node_user_init();
    im_room_mark_init();

    return NGX_OK;
}
