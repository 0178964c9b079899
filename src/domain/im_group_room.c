
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_stat.h"
#include "live/im_room_node.h"
#include "domain/im_group_item.h"
#include "domain/im_group_room.h"


#define IM_ROOM_TRIES  4


static ngx_int_t im_group_room_block(im_ctx_t *ctx, im_group_t *group);
static void im_group_room_block_key(im_ctx_t *ctx, im_group_t *group,
    im_key_t *key);


ngx_int_t
im_group_room_publish(im_ctx_t *ctx, im_group_t *group, ngx_uint_t prio,
    ngx_str_t *text, im_item_kind_e kind, uint64_t except, int64_t *seq)
{
    return im_group_room_publish_once(ctx, group, prio, text, kind, except,
                                      NULL, seq);
}


ngx_int_t
im_group_room_publish_once(im_ctx_t *ctx, im_group_t *group, ngx_uint_t prio,
    ngx_str_t *text, im_item_kind_e kind, uint64_t except,
    im_room_once_t *once, int64_t *seq)
{
    int64_t     number;
    ngx_int_t   rc;
    ngx_uint_t  tries;

    rc = NGX_BUSY;

    for (tries = 0; tries < IM_ROOM_TRIES; tries++) {

        rc = im_room_publish_all(ctx->app->id, group->gno, prio, text, 1,
                                 im_group_item_offset(kind), except, once,
                                 &number);

        if (rc != NGX_AGAIN) {
            break;
        }

        rc = im_group_room_block(ctx, group);

        if (rc != NGX_OK) {
            break;
        }
    }

    if (rc == NGX_OK && kind == IM_ITEM_MESSAGE) {
        im_stat_add(IM_STAT_IN_ROOM, 1);
    }

    if (rc == NGX_OK && seq) {
        *seq = number;
    }

    return rc == NGX_AGAIN ? NGX_BUSY : rc;
}


/* Reserves more numbers; NGX_ABORT: the group is gone. */

static ngx_int_t
im_group_room_block(im_ctx_t *ctx, im_group_t *group)
{
    ngx_int_t    rc;
    ngx_uint_t   op;
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_group_expect(ctx, batch, group);
    op = im_group_room_block_add(ctx, batch, group);

    rc = im_store_commit(ctx, batch);

    if (rc == NGX_DECLINED) {
        return NGX_ABORT;
    }

    if (rc == NGX_OK) {
        im_group_room_block_take(ctx, group, batch->ops[op].result);
    }

    return rc;
}


ngx_uint_t
im_group_room_block_add(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group)
{
    im_key_t  key;

    im_group_room_block_key(ctx, group, &key);

    return im_store_add(batch, IM_T_COUNT, &key, "value", IM_ROOM_BLOCK, 0,
                        NGX_MAX_INT_T_VALUE);
}


void
im_group_room_block_take(im_ctx_t *ctx, im_group_t *group, int64_t last)
{
    (void) im_room_block_all(ctx->app->id, group->gno,
                             last - IM_ROOM_BLOCK + 1, last);
}


void
im_group_room_block_delete(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group)
{
    im_key_t  key;

    im_group_room_block_key(ctx, group, &key);

    im_store_delete(batch, IM_T_COUNT, &key);
}


static void
im_group_room_block_key(im_ctx_t *ctx, im_group_t *group, im_key_t *key)
{
    u_char     buf[NGX_INT64_LEN];
    ngx_str_t  kind, id;

    ngx_str_set(&kind, "room");

    id.data = buf;
    id.len = ngx_sprintf(buf, "%L", group->gno) - buf;

    im_key_init(key, ctx->app->id);
    im_key_str(key, &kind);
    im_key_str(key, &id);
}
