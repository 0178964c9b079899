
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_lane.h"
#include "core/im_str.h"
#include "domain/im_callback.h"
#include "domain/im_message_once.h"
#include "live/im_limit.h"
#include "live/im_marker.h"
#include "live/im_redis.h"


static void im_message_time(im_send_t *send, u_char *buf, ngx_str_t *text);
static ngx_msec_t im_message_keep(im_ctx_t *ctx, im_send_t *send);
static void im_message_unknown(im_send_t *send, u_char *key,
    ngx_msec_t ttl);
static uint32_t im_message_hash(im_send_t *send);
static ngx_int_t im_message_take_row(im_row_t *row, void *data);


/*
 * Two that run at once must not both look before either commits: the time
 * window of their dk may differ.  So what is repeated gets the time of the
 * first one, as long as nobody knows whether that is stored: it may still be,
 * behind the look, and only one of them has the key.  The marker has that
 * time from its beginning, for the first one may be slower than its marker
 * lives, or die, while the store still works on what it was given.
 */

ngx_int_t
im_message_begin(im_ctx_t *ctx, im_send_t *send, u_char *key)
{
    u_char     buf[NGX_INT64_LEN];
    int64_t    time;
    ngx_int_t  rc, window;
    ngx_str_t  left, result;

    send->unknown = 0;

    if (send->msg.time == 0) {
        send->msg.time = im_message_now(ctx);
    }

    im_message_time(send, buf, &left);

    rc = im_message_marker(ctx, send, IM_KEY_COMMIT,
                           im_message_busy(ctx, send), &left, key, &result);

    if (rc != NGX_DONE) {
        return rc;
    }

    window = send->seq_given ? ctx->app->dedup_c2c : 0;
    window = ngx_max(window, IM_MSG_LATE);

    if (im_str_int(&result, &time) == NGX_OK
        && ngx_time() - time <= window)
    {
        send->msg.time = time;
    }

    im_message_unknown(send, key, IM_MARKER_LEFT);

    return NGX_DONE;
}


void
im_message_end(im_ctx_t *ctx, im_send_t *send, u_char *key, ngx_int_t rc,
    ngx_uint_t done)
{
    ngx_msec_t  keep;

    if (send->unknown) {
        im_message_unknown(send, key, IM_MARKER_LEFT);
        return;
    }

    keep = done ? im_message_keep(ctx, send) : 0;

    if (keep || (rc == NGX_DONE && done)) {
        im_message_unknown(send, key, ngx_max(keep, 1));

    } else if (rc == NGX_OK) {
        im_marker_release(key);
    }
}


int64_t
im_message_now(im_ctx_t *ctx)
{
    return ctx->lane ? ctx->lane->time : ngx_time();
}


static void
im_message_time(im_send_t *send, u_char *buf, ngx_str_t *text)
{
    text->data = buf;
    text->len = ngx_sprintf(buf, "%L", send->msg.time) - buf;
}


/*
 * A node whose clock is behind looks into earlier windows only: if this one
 * has just begun, it is told the time.
 */

static ngx_msec_t
im_message_keep(im_ctx_t *ctx, im_send_t *send)
{
    int64_t  window;

    window = ngx_max(ctx->app->dedup_c2c, 1);

    if (!send->seq_given
        || !im_redis_configured()
        || send->msg.time % window >= IM_MSG_CLOCKS)
    {
        return 0;
    }

    return ngx_min(window, IM_MSG_CLOCKS) * 1000;
}


static void
im_message_unknown(im_send_t *send, u_char *key, ngx_msec_t ttl)
{
    u_char     buf[NGX_INT64_LEN];
    ngx_str_t  result;

    im_message_time(send, buf, &result);

    (void) im_marker_done(key, &result, ttl);
}


ngx_msec_t
im_message_busy(im_ctx_t *ctx, im_send_t *send)
{
    return IM_SEND_MARKER + (send->ask ? im_callback_time(ctx->app,
                                                          IM_CB_C2C_BEFORE)
                                       : 0);
}


ngx_int_t
im_message_marker(im_ctx_t *ctx, im_send_t *send, ngx_uint_t what,
    ngx_msec_t ttl, ngx_str_t *left, u_char *key, ngx_str_t *result)
{
    int64_t    seq;
    uint32_t   ids[4];
    ngx_str_t  parts[3];

    /* what im_message_dk() has; with short names it is one block of MD5 */

    if (send->seq_given) {
        seq = send->msg.mseq;

    } else {
        seq = (what == IM_KEY_MESSAGE) ? -send->msg.time : -1;
    }

    ids[0] = (uint32_t) send->msg.rand;
    ids[1] = im_message_hash(send);
    ids[2] = (uint32_t) seq;
    ids[3] = (uint32_t) (seq >> 32);

    parts[0] = send->msg.from;
    parts[1] = send->msg.to;
    parts[2].data = (u_char *) ids;
    parts[2].len = sizeof(ids);

    im_zone_key(key, ctx->app->id, what, parts, 3);

    return im_marker_await_all(key, ngx_max(ttl, 1), left, IM_SEND_STEP,
                               im_message_busy(ctx, send), ctx->pool, result);
}


ngx_int_t
im_message_dk(im_ctx_t *ctx, im_send_t *send, int64_t time, ngx_str_t *dk)
{
    u_char    *p;
    size_t     len;
    int64_t    window;

    len = sizeof("m\n\n\n") + send->msg.from.len + send->msg.to.len
          + 4 * (NGX_INT64_LEN + 1);

    p = ngx_pnalloc(ctx->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    window = send->seq_given ? ngx_max(ctx->app->dedup_c2c, 1) : 1;

    dk->data = p;

    p = ngx_sprintf(p, "m\n%V\n%V\n", &send->msg.from, &send->msg.to);

    if (send->seq_given) {
        p = ngx_sprintf(p, "%L", send->msg.mseq);
    }

    p = ngx_sprintf(p, "|%L|%uD|%L", send->msg.rand, im_message_hash(send),
                    time / window);

    dk->len = p - dk->data;

    return NGX_OK;
}


static uint32_t
im_message_hash(im_send_t *send)
{
    if (!send->has_hash) {
        send->hash = ngx_murmur_hash2(send->msg.body.data, send->msg.body.len);
        send->has_hash = 1;
    }

    return send->hash;
}


ngx_int_t
im_message_duplicate(im_ctx_t *ctx, im_send_t *send, im_inbox_t *row)
{
    int64_t     window, time;
    ngx_int_t   rc;
    ngx_str_t   dk;
    ngx_uint_t  i;

    window = send->seq_given ? ctx->app->dedup_c2c : 0;
    time = send->msg.time;

    for (i = 0; i < 2; i++) {

        if (im_message_dk(ctx, send, time, &dk) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = im_message_by_dk(ctx, &send->msg.to, &dk, row);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }

        if (rc == NGX_OK && send->msg.time - row->time <= window) {
            return NGX_OK;
        }

        time -= ngx_max(window, 1);
    }

    return NGX_DECLINED;
}


ngx_int_t
im_message_by_dk(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *dk,
    im_inbox_t *row)
{
    im_key_t   prefix;
    ngx_int_t  rc;

    im_inbox_key(ctx, user, &prefix);
    im_key_str(&prefix, dk);

    ngx_memzero(row, sizeof(im_inbox_t));

    rc = im_store_scan(ctx, IM_T_INBOX, IM_INBOX_DK, &prefix, NULL, NULL,
                       IM_ASC, 1, im_message_take_row, row);

    if (rc == NGX_OK && row->seq == 0) {
        return NGX_DECLINED;
    }

    return rc;
}


static ngx_int_t
im_message_take_row(im_row_t *row, void *data)
{
    im_record_load(row, im_inbox_record, data);

    return NGX_DONE;
}
