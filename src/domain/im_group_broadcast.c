
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_str.h"
#include "live/im_limit.h"
#include "live/im_marker.h"
#include "live/im_room_node.h"
#include "domain/im_group_broadcast.h"
#include "domain/im_group_item.h"
#include "domain/im_group_room.h"


#define IM_BROADCAST_SLICE  32       /* rooms at a time */
#define IM_BROADCAST_TIME   60000    /* ms that one takes at most */
#define IM_BROADCAST_POOL   16384


static ngx_int_t im_group_broadcast_number(im_ctx_t *ctx, int64_t *seq);
static void im_group_broadcast_rooms(im_ctx_t *ctx, im_group_send_t *send);
static void im_group_broadcast_room(im_ctx_t *ctx, im_group_send_t *send,
    int64_t gno);


im_code_t
im_group_broadcast(im_ctx_t *ctx, im_group_send_t *send)
{
    u_char     key[IM_ZONE_KEY_LEN], buf[NGX_INT64_LEN];
    ngx_int_t  rc;
    ngx_str_t  parts[4], result;

    send->hash = ngx_murmur_hash2(send->body.data, send->body.len);

    ngx_str_set(&parts[0], "broadcast");
    parts[1] = send->from;
    parts[2].data = (u_char *) &send->random;
    parts[2].len = sizeof(int64_t);
    parts[3].data = (u_char *) &send->hash;
    parts[3].len = sizeof(uint32_t);

    im_zone_key(key, ctx->app->id, IM_KEY_MESSAGE, parts, 4);

    rc = im_marker_take_all(key, IM_BROADCAST_TIME, NULL, ctx->pool, &result);

    if (rc == NGX_DONE) {
        (void) im_str_int(&result, &send->seq);
        return IM_OK;
    }

    if (rc == NGX_OK) {
        rc = im_group_broadcast_number(ctx, &send->seq);

        if (rc != NGX_OK) {
            im_marker_release(key);
        }
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    send->time = ngx_time();

    im_group_broadcast_rooms(ctx, send);

    result.data = buf;
    result.len = ngx_sprintf(buf, "%L", send->seq) - buf;

    (void) im_marker_done(key, &result,
                          (ngx_msec_t) ctx->app->dedup_group * 1000);

    return IM_OK;
}


static ngx_int_t
im_group_broadcast_number(im_ctx_t *ctx, int64_t *seq)
{
    im_key_t     key;
    ngx_int_t    rc;
    ngx_str_t    kind;
    ngx_uint_t   op;
    im_batch_t  *batch;

    ngx_str_set(&kind, "broadcast");

    im_key_init(&key, ctx->app->id);
    im_key_str(&key, &kind);
    im_key_str(&key, &kind);

    batch = im_store_batch(ctx, IM_ATOMIC);
    op = im_store_add(batch, IM_T_COUNT, &key, "value", 1, 0,
                      NGX_MAX_INT_T_VALUE);

    rc = im_store_commit(ctx, batch);

    if (rc == NGX_OK) {
        *seq = batch->ops[op].result;
    }

    return (rc == NGX_DECLINED) ? NGX_ERROR : rc;
}


static void
im_group_broadcast_rooms(im_ctx_t *ctx, im_group_send_t *send)
{
    im_ctx_t    slice;
    uint64_t    after, gnos[IM_BROADCAST_SLICE];
    ngx_uint_t  i, n, other;

    after = 0;
    other = 0;
    slice = *ctx;

    for ( ;; ) {
        slice.pool = ngx_create_pool(IM_BROADCAST_POOL, ctx->log);
        if (slice.pool == NULL) {
            return;
        }

        n = other ? im_room_each_other(ctx->app->id, &after, gnos,
                                       IM_BROADCAST_SLICE)
                  : im_room_each(ctx->app->id, &after, gnos,
                                 IM_BROADCAST_SLICE);

        for (i = 0; i < n; i++) {
            im_group_broadcast_room(&slice, send, gnos[i]);
        }

        ngx_destroy_pool(slice.pool);

        im_co_yield();

        /* after the rooms of this node those that only others have */

        if (after == 0 && other++) {
            break;
        }
    }
}


/* A room that cannot be told does not stop the others. */

static void
im_group_broadcast_room(im_ctx_t *ctx, im_group_send_t *send, int64_t gno)
{
    ngx_int_t   rc;
    ngx_str_t   text;
    im_code_t   code;
    im_group_t  group;

    code = im_group_load_gno(ctx, gno, &group);

    if (code == IM_E_GROUP_NONE) {       /* it has just gone */
        return;
    }

    rc = NGX_ERROR;

    if (code == IM_OK) {

        if (!group.type->live || group.type->listed == 0) {
            return;
        }

        rc = im_group_item_message(ctx, &group, send, &text);
    }

    if (rc == NGX_OK) {
        rc = im_group_room_publish(ctx, &group, send->prio, &text,
                                   IM_ITEM_MESSAGE, 0, NULL);
    }

    if (rc != NGX_OK && rc != NGX_ABORT) {
        ngx_log_error(NGX_LOG_WARN, ctx->log, 0,
                      "a broadcast to room %L was lost", gno);
    }
}
