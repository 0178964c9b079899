
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_poll.h"
#include "core/im_str.h"
#include "live/im_room.h"
#include "live/im_room_member.h"
#include "live/im_room_node.h"
#include "domain/im_group_item.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "domain/im_group_mute.h"
#include "domain/im_group_notice.h"
#include "domain/im_room_key.h"
#include "web/im_room_body.h"
#include "web/im_room_place.h"
#include "web/im_room_poll.h"


#define IM_ROOM_POLL_GRACE  10000    /* of a guest between two polls */
#define IM_ROOM_POLL_DELAY  2000     /* of errors: the SDK comes at once */
#define IM_ROOM_POLL_EARLY  5        /* seconds before the client's timeout */


typedef struct {
    im_room_key_t      key;
    int64_t            from;
    int64_t            next;
    im_room_body_t     body;         /* what was found */
    im_json_t         *list;         /* or was made for this poll */

    im_room_member_t   member;
    im_room_place_t    place;
    im_poll_t         *poll;

    unsigned           v1:1;         /* web SDK 1.7 */
    unsigned           placed:1;
    unsigned           quit:1;
} im_room_poll_t;


static im_code_t im_room_poll_start(im_ctx_t *ctx, im_room_poll_t *rp);
static im_code_t im_room_poll_refuse(im_ctx_t *ctx);
static im_code_t im_room_poll_gone(im_ctx_t *ctx, im_room_poll_t *rp);
static im_code_t im_room_poll_open(im_ctx_t *ctx, im_room_poll_t *rp);
static im_code_t im_room_poll_read(im_ctx_t *ctx, im_room_poll_t *rp);
static im_code_t im_room_poll_park(im_ctx_t *ctx, im_room_poll_t *rp);
static im_code_t im_room_poll_resume(im_ctx_t *ctx, void *data,
    im_poll_e reason);
static void im_room_poll_end(im_poll_t *poll, void *data);
static void im_room_poll_deliver(im_room_member_t *m, im_bus_buf_t *buf);
static void im_room_poll_closed(im_room_member_t *m);
static void im_room_poll_event(im_room_place_t *place, uint32_t by,
    ngx_uint_t event);
static im_code_t im_room_poll_answer(im_ctx_t *ctx, im_room_poll_t *rp);


im_code_t
im_room_poll(im_ctx_t *ctx)
{
    im_code_t        code;
    im_room_poll_t  *rp;

    rp = ngx_pcalloc(ctx->pool, sizeof(im_room_poll_t));
    if (rp == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    rp->v1 = (ctx->via != IM_VIA_WEB);

    code = im_room_poll_start(ctx, rp);

    if (code != IM_OK && rp->v1 && ctx->status == 0) {
        im_co_sleep(IM_ROOM_POLL_DELAY);
    }

    return code;
}


static im_code_t
im_room_poll_start(im_ctx_t *ctx, im_room_poll_t *rp)
{
    ngx_int_t   rc;
    ngx_str_t   text;
    im_code_t   code;

    if (im_json_get_str(ctx->body, "Key", &text) != NGX_OK) {
        return im_room_poll_refuse(ctx);
    }

    rc = im_room_key_read(ctx, &text, &rp->key);

    if (rc == NGX_ERROR) {
        return IM_E_GROUP_INTERNAL;
    }

    if (rc != NGX_OK || !im_str_eq(&rp->key.user, &ctx->user)) {
        return im_room_poll_refuse(ctx);
    }

    if (im_json_get_int(ctx->body, "StartSeq", &rp->from) != NGX_OK
        || rp->from <= 0)
    {
        rp->from = rp->key.start;
    }

    code = im_group_exists(ctx, rp->key.gno);

    if (code == IM_E_GROUP_NONE) {
        return im_room_poll_gone(ctx, rp);
    }

    if (code == IM_OK) {
        code = im_room_poll_open(ctx, rp);
    }

    if (code != IM_OK || ctx->status) {
        return code;
    }

    /* subscribed first: what comes after the look is not missed */

    if (rp->v1) {
        rp->member.live = 1;
        rp->member.deliver = im_room_poll_deliver;
        rp->member.closed = im_room_poll_closed;
        rp->member.data = rp;

        if (im_room_subscribe(ctx->app->id, rp->key.gno, &rp->member)
            != NGX_OK)
        {
            return IM_E_GROUP_INTERNAL;
        }
    }

    code = im_room_poll_read(ctx, rp);

    if (code == IM_OK && rp->body.tail == NULL && rp->v1) {
        code = im_room_poll_park(ctx, rp);

        if (code == IM_OK) {
            return IM_OK;
        }
    }

    im_room_unsubscribe(&rp->member);

    return (code == IM_OK) ? im_room_poll_answer(ctx, rp) : code;
}


/* A key that will never be good again: nothing but a status of HTTP stops
 * the SDK. */

static im_code_t
im_room_poll_refuse(im_ctx_t *ctx)
{
    ngx_str_set(&ctx->info, "\"Key\" is not valid or has expired");

    if (ctx->via != IM_VIA_WEB) {
        ctx->status = 403;
    }

    return IM_E_GROUP_RIGHT;
}


/* The room was dissolved: who was between two polls hears of it now. */

static im_code_t
im_room_poll_gone(im_ctx_t *ctx, im_room_poll_t *rp)
{
    im_code_t         code;
    ngx_str_t         text, sys;
    im_json_t        *body;
    im_group_t        group;
    im_group_item_t   item;

    ngx_str_set(&sys, IM_GROUP_SYSTEM);

    rp->next = rp->from;

    if (rp->key.closed) {

        if (!rp->v1) {
            return im_room_poll_answer(ctx, rp);
        }

        code = im_room_poll_park(ctx, rp);

        return (code == IM_OK) ? IM_OK : code;
    }

    rp->key.closed = 1;

    ngx_memzero(&group, sizeof(im_group_t));
    group.gid = rp->key.gid;
    group.name = rp->key.gid;
    ngx_str_set(&group.type_name, "AVChatRoom");
    group.type = im_group_type(ctx->app, &group.type_name);

    body = im_json_new_obj(ctx->pool);
    im_json_add_int(body, "ReportType", IM_REPORT_DESTROY);
    im_json_add_str(body, "Operator_Account", &sys);

    if (im_group_item_system(ctx, &group, IM_ITEM_NOTICE, body, &ctx->user,
                             NULL, NULL, &text)
        != NGX_OK
        || im_group_item(&text, &item) != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    rp->list = im_json_new_list(ctx->pool);
    im_json_push_raw(rp->list, &item.text);
    rp->next++;

    return im_room_poll_answer(ctx, rp);
}


/* The poller counts as one who is there. */

static im_code_t
im_room_poll_open(im_ctx_t *ctx, im_room_poll_t *rp)
{
    ngx_int_t         rc;
    im_group_t        group;
    im_room_key_t    *key;
    im_group_mute_t   mute;

    key = &rp->key;

    if (im_room_open(ctx->app->id, key->gno) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    im_room_ready(ctx->app->id, key->gno);

    if (key->user.len == 0) {
        im_room_guest_touch(ctx->app->id, key->gno, key->id,
                            im_room_poll_ttl(ctx->app));
        return IM_OK;
    }

    ngx_memzero(&group, sizeof(im_group_t));
    group.gno = key->gno;

    rc = im_group_mute_get(ctx, &group, &key->user, &mute);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    if (mute.banned > ngx_time()) {
        return im_room_poll_refuse(ctx);
    }

    rc = im_room_join_all(ctx->app->id, key->gno, &key->user, key->inst,
                          ngx_time(), im_room_poll_ttl(ctx->app));

    return (rc == NGX_BUSY) ? IM_E_GROUP_INTERNAL : IM_OK;
}


static im_code_t
im_room_poll_read(im_ctx_t *ctx, im_room_poll_t *rp)
{
    if (im_room_body(ctx->pool, ctx->app->id, rp->key.gno, &rp->from, rp->v1,
                     &rp->body)
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    rp->next = rp->body.next;

    return IM_OK;
}


static im_code_t
im_room_poll_park(im_ctx_t *ctx, im_room_poll_t *rp)
{
    int64_t     hold;
    ngx_msec_t  ms;

    ms = ctx->app->poll_hold;

    if (im_json_get_int(ctx->body, "HoldTime", &hold) == NGX_OK
        && hold >= 0 && hold < 3600)
    {
        hold = ngx_max(hold - IM_ROOM_POLL_EARLY, 1);
        ms = ngx_min(ms, (ngx_msec_t) hold * 1000);
    }

    rp->poll = im_poll_park(ctx, ms, im_room_poll_resume, im_room_poll_end,
                            rp);
    if (rp->poll == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    if (rp->key.user.len) {
        rp->place.app = ctx->app->id;
        rp->place.gno = rp->key.gno;
        rp->place.user = rp->key.user;
        rp->place.inst = rp->key.inst;
        rp->place.event = im_room_poll_event;

        im_room_place_add(&rp->place);
        rp->placed = 1;
    }

    return IM_OK;
}


static void
im_room_poll_end(im_poll_t *poll, void *data)
{
    im_room_poll_t  *rp = data;

    im_room_unsubscribe(&rp->member);

    if (rp->placed) {
        im_room_place_del(&rp->place);
        rp->placed = 0;
    }

    rp->poll = NULL;
}


static void
im_room_poll_deliver(im_room_member_t *m, im_bus_buf_t *buf)
{
    im_room_poll_t   *rp;
    im_group_item_t   item;

    rp = m->data;

    if (rp->poll
        && (int64_t) buf->seq >= rp->from
        && im_group_item(&buf->payload, &item) == NGX_OK
        && !item.signal)
    {
        im_poll_wake(rp->poll, IM_POLL_READY);
    }
}


static void
im_room_poll_closed(im_room_member_t *m)
{
    im_room_poll_t  *rp;

    rp = m->data;

    if (rp->poll) {
        im_poll_wake(rp->poll, IM_POLL_READY);
    }
}


static void
im_room_poll_event(im_room_place_t *place, uint32_t by, ngx_uint_t event)
{
    im_room_poll_t  *rp;

    rp = (im_room_poll_t *)
             ((u_char *) place - offsetof(im_room_poll_t, place));

    rp->quit = 1;

    im_poll_wake(rp->poll, IM_POLL_READY);
}


static im_code_t
im_room_poll_resume(im_ctx_t *ctx, void *data, im_poll_e reason)
{
    im_room_poll_t  *rp = data;

    im_code_t  code;

    if (rp->quit || rp->key.closed || reason == IM_POLL_GONE) {
        return im_room_poll_answer(ctx, rp);
    }

    code = im_room_poll_read(ctx, rp);

    if (code == IM_OK && rp->body.tail == NULL && reason == IM_POLL_READY
        && im_group_exists(ctx, rp->key.gno) == IM_E_GROUP_NONE)
    {
        return im_room_poll_gone(ctx, rp);
    }

    if (code != IM_OK) {
        im_co_sleep(IM_ROOM_POLL_DELAY);
        return code;
    }

    return im_room_poll_answer(ctx, rp);
}


static im_code_t
im_room_poll_answer(im_ctx_t *ctx, im_room_poll_t *rp)
{
    ngx_str_t       text;
    im_room_key_t  *key;

    key = &rp->key;

    if (key->user.len && !rp->quit && !key->closed) {
        im_room_leaving(ctx->app->id, key->gno, &key->user, key->inst);
    }

    key->start = rp->next;

    if (!key->closed) {
        key->expire = ngx_time() + IM_ROOM_KEY_LIFE;
    }

    if (im_room_key_make(ctx, key, &text) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    if (rp->quit) {

        /* the SDK would not let its user join again if it kept a key */

        ngx_str_set(&text, "");
    }

    im_json_add_int(ctx->reply, "NextSeq", rp->next);
    im_json_add_int(ctx->reply, "HoldTime", ctx->app->poll_announce / 1000);
    im_json_add_str(ctx->reply, "Key", &text);

    if (rp->list) {
        im_json_add_node(ctx->reply, "RspMsgList", rp->list);

    } else if (rp->body.tail == NULL) {
        im_json_add_list(ctx->reply, "RspMsgList");

    } else if (rp->v1) {
        ctx->tail = rp->body.tail;

    } else {
        im_json_add_raw(ctx->reply, "RspMsgList", &rp->body.list);
    }

    return IM_OK;
}


ngx_msec_t
im_room_poll_ttl(im_app_t *app)
{
    return app->poll_announce + IM_ROOM_POLL_GRACE;
}
