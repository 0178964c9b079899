
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_fault.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "live/im_zone.h"
#include "domain/im_account.h"
#include "domain/im_cache.h"
#include "domain/im_callback.h"
#include "domain/im_group_item.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "domain/im_group_mute.h"


#define IM_SEND_MARKER  3000         /* ms that a send takes at most */
#define IM_SEND_STEP    20
#define IM_SEND_TRIES   4
#define IM_SEND_RESULT  (3 * NGX_INT64_LEN)


static im_code_t im_group_message_live(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send);
static im_code_t im_group_message_rights(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, ngx_uint_t *exempt);
static im_code_t im_group_message_ask(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, ngx_uint_t *exempt);
static ngx_msec_t im_group_message_busy(im_ctx_t *ctx,
    im_group_send_t *send);
static ngx_int_t im_group_message_marker(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, u_char *key);
static void im_group_message_result(im_group_send_t *send, ngx_str_t *text);
static ngx_int_t im_group_message_block(im_ctx_t *ctx, im_group_t *group);
static void im_group_message_block_key(im_ctx_t *ctx, im_group_t *group,
    im_key_t *key);


im_code_t
im_group_message_send(im_ctx_t *ctx, im_group_t *group, im_group_send_t *send)
{
    u_char      key[IM_ZONE_KEY_LEN], buf[IM_SEND_RESULT];
    im_code_t   code;
    ngx_int_t   rc;
    ngx_str_t   result;

    rc = im_group_message_marker(ctx, group, send, key);

    if (rc == NGX_DONE) {
        return IM_OK;
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    code = im_group_message_live(ctx, group, send);

    if (code != IM_OK) {
        im_marker_release(key);
        return code;
    }

    result.data = buf;
    result.len = ngx_sprintf(buf, "%L %L %ui", send->seq, send->time,
                             send->dropped)
                 - buf;

    (void) im_marker_done(key, &result,
                          (ngx_msec_t) ctx->app->dedup_group * 1000);

    if (!send->dropped) {
        im_callback_group_after_send(ctx, group, send);
    }

    return IM_OK;
}


static im_code_t
im_group_message_live(im_ctx_t *ctx, im_group_t *group, im_group_send_t *send)
{
    ngx_int_t          rc;
    im_code_t          code;
    ngx_str_t          text;
    ngx_uint_t         exempt;
    im_room_limits_t   limits;

    code = im_group_message_rights(ctx, group, send, &exempt);

    if (code == IM_OK) {
        code = im_group_message_ask(ctx, group, send, &exempt);
    }

    if (code != IM_OK) {
        return code;
    }

    send->time = ngx_time();

    if (send->dropped) {
        return IM_OK;
    }

    ngx_memzero(&limits, sizeof(im_room_limits_t));
    limits.total = ctx->app->group_rate;
    limits.prio[IM_ROOM_NORMAL] = ctx->app->group_rate_normal;
    limits.prio[IM_ROOM_LOW] = ctx->app->group_rate_low;
    limits.prio[IM_ROOM_LOWEST] = ctx->app->group_rate_lowest;

    if (im_room_rate(ctx->app->id, group->gno, send->prio, exempt, &limits)
        != NGX_OK)
    {
        send->seq = 0;
        send->dropped = IM_DROPPED_RATE;
        return IM_OK;
    }

    rc = im_group_item_message(ctx, group, send, &text);

    if (rc == NGX_OK) {
        rc = im_group_publish(ctx, group, send->prio, &text, IM_ITEM_MESSAGE,
                              ctx->peer, &send->seq);
    }

    if (rc == NGX_DECLINED) {
        return IM_E_SIZE;
    }

    return im_group_code(rc);
}


/* The app's own verdict; after it the group and the rights may be others. */

static im_code_t
im_group_message_ask(im_ctx_t *ctx, im_group_t *group, im_group_send_t *send,
    ngx_uint_t *exempt)
{
    int64_t        gno;
    im_code_t      code;
    ngx_str_t      gid;
    im_verdict_t   verdict;

    code = im_callback_group_before_send(ctx, group, send, &verdict);

    if (code != IM_OK || !verdict.waited) {
        return code;
    }

    gid = group->gid;
    gno = group->gno;

    code = im_group_load(ctx, &gid, group);

    if (code == IM_OK && group->gno != gno) {
        code = IM_E_GROUP_NONE;
    }

    if (code == IM_OK) {
        code = im_group_message_rights(ctx, group, send, exempt);
    }

    if (verdict.drop) {
        send->seq = 0;
        send->dropped = IM_DROPPED_APP;
    }

    return code;
}


/* Milliseconds that sending takes at most. */

static ngx_msec_t
im_group_message_busy(im_ctx_t *ctx, im_group_send_t *send)
{
    return IM_SEND_MARKER + ((send->forbid & IM_FORBID_BEFORE) ? 0
                      : im_callback_time(ctx->app, IM_CB_GROUP_BEFORE_SEND));
}


/* Member, mutes (README of the specification, steps 5 and 6). */

static im_code_t
im_group_message_rights(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, ngx_uint_t *exempt)
{
    ngx_int_t        rc;
    im_group_role_e  role;
    im_group_mute_t  mute;

    role = send->forged ? im_group_role_of(ctx, group, &send->from)
                        : im_group_role(ctx, group);

    if (send->forged && im_account_is_admin(ctx->app, &send->from)) {
        role = IM_GROUP_APP;
    }

    *exempt = (role >= IM_GROUP_ADMIN);

    if (role == IM_GROUP_NOBODY && !send->forged) {
        ngx_str_set(&ctx->info, "the sender is not a member");
        return IM_E_GROUP_RIGHT;
    }

    if (!group->type->members_speak && role != IM_GROUP_APP) {
        ngx_str_set(&ctx->info, "only administrators of the app speak here");
        return IM_E_GROUP_RIGHT;
    }

    if (ctx->role == IM_ROLE_ADMIN && !send->forged) {
        return IM_OK;
    }

    if (group->shut && role < IM_GROUP_ADMIN) {
        ngx_str_set(&ctx->info, "the whole group is muted");
        return IM_E_GROUP_MUTED;
    }

    rc = im_group_mute_get(ctx, group, &send->from, &mute);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    return (mute.until > ngx_time()) ? IM_E_GROUP_MUTED : IM_OK;
}


/* NGX_OK: the caller sends; NGX_DONE: it was sent, send has the answer. */

static ngx_int_t
im_group_message_marker(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, u_char *key)
{
    int64_t      num[2];
    uint32_t     crc;
    ngx_int_t    rc;
    ngx_str_t    parts[4], result;
    ngx_uint_t   waited;

    num[0] = group->gno;
    num[1] = send->random;

    crc = ngx_crc32_long(send->body.data, send->body.len);

    parts[0].data = (u_char *) &num[0];
    parts[0].len = sizeof(int64_t);
    parts[1] = send->from;
    parts[2].data = (u_char *) &num[1];
    parts[2].len = sizeof(int64_t);
    parts[3].data = (u_char *) &crc;
    parts[3].len = sizeof(uint32_t);

    im_zone_key(key, ctx->app->id, IM_KEY_MESSAGE, parts, 4);

    for (waited = 0; /* void */ ; waited += IM_SEND_STEP) {

        rc = im_marker_take(key, im_group_message_busy(ctx, send), ctx->pool,
                            &result);

        if (rc == NGX_DONE) {
            im_group_message_result(send, &result);
            return NGX_DONE;
        }

        if (rc != NGX_BUSY || waited >= im_group_message_busy(ctx, send)) {
            return rc;
        }

        im_co_sleep(IM_SEND_STEP);
    }
}


static void
im_group_message_result(im_group_send_t *send, ngx_str_t *text)
{
    u_char     *p, *last, *sp;
    int64_t     num[3];
    ngx_str_t   s;
    ngx_uint_t  i;

    ngx_memzero(num, sizeof(num));

    p = text->data;
    last = p + text->len;

    for (i = 0; i < 3 && p < last; i++) {
        sp = ngx_strlchr(p, last, ' ');

        if (sp == NULL) {
            sp = last;
        }

        s.data = p;
        s.len = sp - p;
        (void) im_str_int(&s, &num[i]);

        p = sp + 1;
    }

    send->seq = num[0];
    send->time = num[1];
    send->dropped = num[2];
}


ngx_int_t
im_group_publish(im_ctx_t *ctx, im_group_t *group, ngx_uint_t prio,
    ngx_str_t *text, im_item_kind_e kind, uint64_t except, int64_t *seq)
{
    int64_t     number;
    ngx_int_t   rc;
    ngx_uint_t  tries;

    rc = NGX_BUSY;

    for (tries = 0; tries < IM_SEND_TRIES; tries++) {

        rc = im_room_publish(ctx->app->id, group->gno, prio, text, 1,
                             im_group_item_offset(kind), except, &number);

        if (rc != NGX_AGAIN) {
            break;
        }

        rc = im_group_message_block(ctx, group);

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
im_group_message_block(im_ctx_t *ctx, im_group_t *group)
{
    ngx_int_t    rc;
    ngx_uint_t   op;
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_group_expect(ctx, batch, group);
    op = im_group_message_block_add(ctx, batch, group);

    rc = im_store_commit(ctx, batch);

    if (rc == NGX_DECLINED) {
        return NGX_ABORT;
    }

    if (rc == NGX_OK) {
        im_group_message_block_take(ctx, group, batch->ops[op].result);
    }

    return rc;
}


ngx_uint_t
im_group_message_block_add(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group)
{
    im_key_t  key;

    im_group_message_block_key(ctx, group, &key);

    return im_store_add(batch, IM_T_COUNT, &key, "value", IM_ROOM_BLOCK, 0,
                        NGX_MAX_INT_T_VALUE);
}


void
im_group_message_block_take(im_ctx_t *ctx, im_group_t *group, int64_t last)
{
    (void) im_room_block(ctx->app->id, group->gno, last - IM_ROOM_BLOCK + 1,
                         last);
}


void
im_group_message_block_delete(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group)
{
    im_key_t  key;

    im_group_message_block_key(ctx, group, &key);

    im_store_delete(batch, IM_T_COUNT, &key);
}


static void
im_group_message_block_key(im_ctx_t *ctx, im_group_t *group, im_key_t *key)
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
