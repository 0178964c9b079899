
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "live/im_limit.h"
#include "live/im_node.h"
#include "live/im_rate.h"
#include "live/im_room.h"


#define IM_LIMIT_WINDOW  1000


typedef enum {
    IM_LIMIT_RATE = 0,
    IM_LIMIT_ROOM,
    IM_LIMIT_FAILURES
} im_limit_e;


typedef struct {
    im_limit_e     what;
    u_char         key[IM_ZONE_KEY_LEN];
    ngx_uint_t     limit;            /* of a rate; the second of a window */
} im_limit_call_t;


typedef struct {
    ngx_pool_t    *pool;
    ngx_str_t     *result;
} im_limit_taken_t;


/* milliseconds: the count in a window that begins with the first, and what is
 * left of it */

static im_redis_script_t  im_limit_count_script = im_redis_script(
    "local n = redis.call('INCR', KEYS[1])\n"
    "if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end\n"
    "return { n, redis.call('PTTL', KEYS[1]) }\n");


/* value, milliseconds, those of what is left: what is there already, or "" */

static im_redis_script_t  im_limit_take_script = im_redis_script(
    "local v = redis.call('GET', KEYS[1])\n"
    "if v then\n"
    "  local left = string.match(v, '^t[^\\n]*\\n(.*)')\n"
    "  if left and redis.call('PTTL', KEYS[1]) <= tonumber(ARGV[3]) then\n"
    "    return 'd' .. left\n"
    "  end\n"
    "  return v\n"
    "end\n"
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
    "return ''\n");


/* value, without what is left */

static im_redis_script_t  im_limit_release_script = im_redis_script(
    "local v = redis.call('GET', KEYS[1])\n"
    "if v and string.match(v, '^[^\\n]*') == ARGV[1] then\n"
    "  return redis.call('DEL', KEYS[1])\n"
    "end\n"
    "return 0\n");


static ngx_int_t im_limit_take(void *data, redisReply *reply);
static void im_limit_count(im_limit_e what, const char *kind,
    u_char *key, ngx_uint_t limit, ngx_msec_t window);
static void im_limit_handler(void *data, ngx_int_t rc, redisReply *reply);
static void im_limit_key(ngx_str_t *arg, u_char *buf, const char *kind,
    u_char *key, uint64_t id);


/*
 * In Redis: "t" and the node while it is under way, then a line feed and what
 * is left if it does not end; "d" and the result when it was done.
 */

ngx_int_t
im_marker_take_all(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t ttl,
    ngx_str_t *left, ngx_pool_t *pool, ngx_str_t *result)
{
    u_char             buf[IM_REDIS_KEY_MAX], num[2][NGX_INT64_LEN];
    u_char             mine[2 * IM_REDIS_KEY_MAX];
    u_char            *p;
    ngx_int_t          rc;
    ngx_str_t          args[4];
    im_limit_taken_t   taken;

    rc = im_marker_take(key, ttl, left, pool, result);

    if (rc != NGX_OK || !im_redis_up()) {
        return rc;
    }

    im_limit_key(&args[0], buf, "m", key, 0);

    p = ngx_snprintf(mine, IM_REDIS_KEY_MAX, "t%V", im_node_id());

    if (left) {
        p = ngx_slprintf(p, mine + sizeof(mine), "\n%V", left);
    }

    args[1].data = mine;
    args[1].len = p - mine;

    im_redis_int(&args[2], num[0], ttl + (left ? IM_MARKER_LEFT : 0));
    im_redis_int(&args[3], num[1], IM_MARKER_LEFT);

    taken.pool = pool;
    taken.result = result;

    rc = im_redis_wait(&im_limit_take_script, 1, args, 4, im_limit_take,
                       &taken);

    switch (rc) {

    case NGX_AGAIN:                      /* taken over there */
        im_marker_drop(key);
        return NGX_BUSY;

    case NGX_DONE:
        im_marker_drop(key);
        return NGX_DONE;

    default:
        return NGX_OK;                   /* or nobody knows better */
    }
}


ngx_int_t
im_marker_await_all(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t ttl,
    ngx_str_t *left, ngx_msec_t step, ngx_msec_t wait, ngx_pool_t *pool,
    ngx_str_t *result)
{
    ngx_int_t   rc;
    ngx_msec_t  waited;

    for (waited = 0; /* void */ ; waited += step) {

        rc = im_marker_take_all(key, ttl, left, pool, result);

        if (rc != NGX_BUSY || waited >= wait) {
            return rc;
        }

        im_co_sleep(step);
    }
}


static ngx_int_t
im_limit_take(void *data, redisReply *reply)
{
    im_limit_taken_t  *taken = data;

    size_t  len;

    if (reply->type != REDIS_REPLY_STRING || reply->len == 0) {
        return NGX_OK;
    }

    if (reply->str[0] != 'd') {
        return NGX_AGAIN;
    }

    if (taken->result) {
        len = reply->len - 1;

        taken->result->data = ngx_pnalloc(taken->pool, len + 1);
        if (taken->result->data == NULL) {
            return NGX_OK;
        }

        taken->result->len = len;
        ngx_memcpy(taken->result->data, reply->str + 1, len);
    }

    return NGX_DONE;
}


void
im_limit_marker_key(ngx_str_t *arg, u_char *buf,
    u_char key[IM_ZONE_KEY_LEN])
{
    im_limit_key(arg, buf, "m", key, 0);
}


void
im_limit_marker_release(u_char key[IM_ZONE_KEY_LEN])
{
    u_char     buf[IM_REDIS_KEY_MAX], mine[IM_REDIS_KEY_MAX];
    ngx_str_t  args[2];

    if (!im_redis_up()) {
        return;
    }

    im_limit_key(&args[0], buf, "m", key, 0);

    args[1].data = mine;
    args[1].len = ngx_snprintf(mine, IM_REDIS_KEY_MAX, "t%V", im_node_id())
                  - mine;

    (void) im_redis_call(&im_limit_release_script, 1, args, 2, NULL, NULL);
}


void
im_limit_marker_done(u_char key[IM_ZONE_KEY_LEN], ngx_str_t *result,
    ngx_msec_t ttl)
{
    u_char     buf[IM_REDIS_KEY_MAX], num[NGX_INT64_LEN];
    u_char     text[1 + IM_MARKER_RESULT_MAX];
    ngx_str_t  args[5];

    if (!im_redis_up()) {
        return;
    }

    text[0] = 'd';
    ngx_memcpy(text + 1, result->data, result->len);

    ngx_str_set(&args[0], "SET");
    im_limit_key(&args[1], buf, "m", key, 0);
    args[2].data = text;
    args[2].len = 1 + result->len;
    ngx_str_set(&args[3], "PX");
    im_redis_int(&args[4], num, ngx_max(ttl, 1));

    (void) im_redis_call(NULL, 0, args, 5, NULL, NULL);
}


void
im_limit_rate(u_char key[IM_ZONE_KEY_LEN], ngx_uint_t burst)
{
    im_limit_count(IM_LIMIT_RATE, "r", key, burst, IM_LIMIT_WINDOW);
}


void
im_limit_room(u_char key[IM_ZONE_KEY_LEN], uint64_t second)
{
    im_limit_count(IM_LIMIT_ROOM, "w", key, second, IM_LIMIT_WINDOW);
}


void
im_limit_failures(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t window)
{
    im_limit_count(IM_LIMIT_FAILURES, "f", key, 0, window);
}


static void
im_limit_count(im_limit_e what, const char *kind, u_char *key,
    ngx_uint_t limit, ngx_msec_t window)
{
    u_char            buf[IM_REDIS_KEY_MAX], num[NGX_INT64_LEN];
    ngx_str_t         args[2];
    im_limit_call_t  *call;

    if (!im_redis_up()) {
        return;
    }

    call = ngx_alloc(sizeof(im_limit_call_t), ngx_cycle->log);
    if (call == NULL) {
        return;
    }

    call->what = what;
    call->limit = limit;
    ngx_memcpy(call->key, key, IM_ZONE_KEY_LEN);

    im_limit_key(&args[0], buf, kind, key,
                 (what == IM_LIMIT_ROOM) ? limit : 0);
    im_redis_int(&args[1], num, window);

    if (im_redis_call(&im_limit_count_script, 1, args, 2, im_limit_handler,
                      call)
        != NGX_OK)
    {
        ngx_free(call);
    }
}


static void
im_limit_handler(void *data, ngx_int_t rc, redisReply *reply)
{
    im_limit_call_t  *call = data;

    int64_t  n, left;

    if (rc == NGX_OK) {
        n = im_redis_reply_int(reply, 0);
        left = im_redis_reply_int(reply, 1);

        switch (call->what) {

        case IM_LIMIT_RATE:

            if (n >= (int64_t) call->limit && left > 0) {
                im_rate_drain(call->key, left);
            }

            break;

        case IM_LIMIT_ROOM:
            im_room_used(call->key, call->limit, n);
            break;

        case IM_LIMIT_FAILURES:
            im_failures_heard(call->key, n);
            break;
        }
    }

    ngx_free(call);
}


static void
im_limit_key(ngx_str_t *arg, u_char *buf, const char *kind, u_char *key,
    uint64_t id)
{
    u_char     hex[2 * IM_ZONE_KEY_LEN];
    ngx_str_t  name;

    name.data = hex;
    name.len = ngx_hex_dump(hex, key, IM_ZONE_KEY_LEN) - hex;

    im_redis_key(arg, buf, kind, 0, id, &name);
}
