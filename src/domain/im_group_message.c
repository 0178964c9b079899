
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "core/im_str.h"
#include "live/im_limit.h"
#include "live/im_marker.h"
#include "domain/im_callback.h"
#include "domain/im_group_at.h"
#include "domain/im_group_direct.h"
#include "domain/im_group_item.h"
#include "domain/im_group_join.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "domain/im_group_read.h"
#include "domain/im_group_room.h"
#include "domain/im_group_row.h"
#include "domain/im_group_speak.h"
#include "domain/im_inbox.h"
#include "domain/im_message.h"


#define IM_SEND_RESULT  (4 * NGX_INT64_LEN)


static im_code_t im_group_message_live(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, im_room_once_t *once);
static im_code_t im_group_message_stored(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send);
static int64_t im_group_message_time(im_ctx_t *ctx, int64_t first);
static ngx_int_t im_group_message_dk(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, int64_t time, ngx_str_t *dk);
static ngx_int_t im_group_message_duplicate(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, im_group_row_t *row);
static im_code_t im_group_message_after(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, im_group_row_t *row);
static ngx_int_t im_group_message_online(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row);
static ngx_msec_t im_group_message_busy(im_ctx_t *ctx,
    im_group_send_t *send);
static ngx_int_t im_group_message_marker(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, u_char *key);
static void im_group_message_result(im_group_send_t *send, ngx_str_t *text);
static void im_group_message_text(im_group_send_t *send, u_char *buf,
    ngx_str_t *text);
static void im_group_message_answer(im_group_send_t *send, u_char *key,
    time_t ttl);


im_code_t
im_group_message_send(im_ctx_t *ctx, im_group_t *group, im_group_send_t *send)
{
    u_char          *key;
    im_code_t        code;
    ngx_int_t        rc;
    im_group_t       old;
    im_room_once_t   once;

    old = *group;                    /* it may be gone afterwards */
    key = once.key;

    rc = im_group_message_marker(ctx, group, send, key);

    if (rc == NGX_DONE) {
        return IM_OK;
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    code = group->type->live ? im_group_message_live(ctx, group, send, &once)
                             : im_group_message_stored(ctx, group, send);

    if (code != IM_OK) {

        if (send->unknown) {
            im_group_message_answer(send, key, IM_MSG_LATE);

        } else {
            im_marker_release(key);
        }

        if (!send->refused) {
            im_callback_group_refused(ctx, &old, send, code);
        }

        return code;
    }

    send->unknown = 0;

    im_group_message_answer(send, key, ctx->app->dedup_group);

    if (!send->dropped && !send->repeated) {
        im_callback_group_after_send(ctx, group, send);
    }

    if (send->dropped == IM_DROPPED_RATE) {
        im_callback_group_refused(ctx, group, send, IM_E_GROUP_SENDER_FREQ);
    }

    return IM_OK;
}


static im_code_t
im_group_message_live(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, im_room_once_t *once)
{
    ngx_int_t          rc;
    im_code_t          code;
    ngx_str_t          text;
    ngx_uint_t         exempt;

    code = im_group_speak_check(ctx, group, send, &send->card, &exempt);

    if (code == IM_OK) {
        code = im_group_speak_sender(ctx, group, send);
    }

    if (code == IM_OK) {
        code = im_group_speak_ask(ctx, group, send, &send->card, &exempt);
    }

    if (code != IM_OK) {
        return code;
    }

    send->time = ngx_time();

    if (send->dropped
        || im_group_speak_rate(ctx, group, send, exempt) != NGX_OK)
    {
        return IM_OK;
    }

    rc = im_group_item_message(ctx, group, send, &text);

    if (rc == NGX_OK) {
        once->time = send->time;
        once->ttl = (ngx_msec_t) ctx->app->dedup_group * 1000;

        rc = im_group_room_publish_once(ctx, group, send->prio, &text,
                                        IM_ITEM_MESSAGE, ctx->peer, once,
                                        &send->seq);
    }

    if (rc == NGX_DECLINED) {
        return IM_E_SIZE;
    }

    return im_group_code(rc);
}


/* Milliseconds for which a repetition waits for the end of a send. */

static ngx_msec_t
im_group_message_busy(im_ctx_t *ctx, im_group_send_t *send)
{
    return IM_SEND_MARKER + ((send->forbid & IM_FORBID_BEFORE) ? 0
                      : im_callback_time(ctx->app, IM_CB_GROUP_BEFORE_SEND));
}


static im_code_t
im_group_message_stored(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send)
{
    int64_t          first;
    ngx_int_t        rc;
    im_code_t        code;
    ngx_uint_t       op, exempt;
    im_batch_t      *batch;
    im_group_row_t   row;

    /* the first attempt's, which may be stored still */

    first = send->time;
    send->time = im_group_message_time(ctx, first);

    rc = im_group_message_duplicate(ctx, group, send, &row);

    if (rc == NGX_OK) {
        send->time = row.time;
        send->seq = row.seq;
        send->repeated = 1;

        return im_group_message_after(ctx, group, send, &row);
    }

    if (rc != NGX_DECLINED) {
        return im_group_code(rc);
    }

    ngx_memzero(&row, sizeof(im_group_row_t));

    code = im_group_speak_check(ctx, group, send, &row.card, &exempt);

    if (code == IM_OK) {
        code = im_group_speak_sender(ctx, group, send);
    }

    if (code == IM_OK && send->nto) {
        code = im_group_direct_names(ctx, group, &send->from, send->to,
                                     send->nto, &row.to);
    }

    if (code == IM_OK) {
        code = im_group_speak_ask(ctx, group, send, &row.card, &exempt);
    }

    if (code != IM_OK) {
        return code;
    }

    send->time = im_group_message_time(ctx, first);

    if (send->dropped
        || im_group_speak_rate(ctx, group, send, exempt) != NGX_OK)
    {
        return IM_OK;
    }

    row.type = IM_ROW_MESSAGE;
    row.from = send->from;
    row.inst = ctx->inst;
    row.time = send->time;
    row.ctime = send->client_time;
    row.cseq = send->client_seq;
    row.random = send->random;
    row.prio = send->prio;
    row.body = send->body;
    row.cloud = send->cloud;
    row.at = send->at;
    row.opts = send->opts & ~IM_MSG_NO_CHECK;
    row.nocount = ((send->opts & IM_MSG_NO_UNREAD) || row.to.len) ? 1 : 0;

    im_group_row_sender(ctx, &row);

    if (send->opts & IM_MSG_ONLINE) {

        rc = im_group_head(ctx, group->gno, &send->seq, NULL);

        if (rc == NGX_OK) {
            row.seq = send->seq;
            rc = im_group_message_online(ctx, group, &row);
        }

        return im_group_code(rc);
    }

    if (group->idle) {
        code = im_group_activate(ctx, group);
        if (code != IM_OK) {
            return code;
        }
    }

    if (im_group_message_dk(ctx, group, send, send->time, &row.dk)
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    batch = im_store_batch(ctx, IM_ORDERED);

    op = im_group_row_append(ctx, batch, group, &row);
    im_store_point(batch, op);
    im_store_lane(batch, ctx->lane);

    im_callback_stage(ctx, batch);
    im_callback_group_sent(ctx, group, send, &row.dk);

    rc = im_fault_error("message_commit") ? NGX_ERROR
                                          : im_store_commit(ctx, batch);

    im_callback_committed(ctx, rc);

    if (rc == NGX_DECLINED) {

        /* the same message by another worker, at the same time */

        rc = im_group_row_by_dk(ctx, group->gno, &row.dk, &row);

        if (rc == NGX_OK) {
            send->time = row.time;
            send->seq = row.seq;
            send->repeated = 1;

            return im_group_message_after(ctx, group, send, &row);
        }
    }

    if (rc != NGX_OK) {
        send->unknown |= (rc == NGX_ERROR);
        return IM_E_GROUP_INTERNAL;
    }

    im_fault("after_commit");

    row.seq = batch->ops[op].result;
    send->seq = row.seq;

    return im_group_message_after(ctx, group, send, &row);
}


/*
 * Now, but in the time window of the first attempt: of all that are under way
 * at once one only has the key.
 */

static int64_t
im_group_message_time(im_ctx_t *ctx, int64_t first)
{
    int64_t  window, now;

    window = ngx_max(ctx->app->dedup_group, 1);

    now = ngx_time();
    now = ngx_max(now, first);

    return ngx_min(now, first - first % window + window - 1);
}


static ngx_int_t
im_group_message_dk(im_ctx_t *ctx, im_group_t *group, im_group_send_t *send,
    int64_t time, ngx_str_t *dk)
{
    u_char  *p;

    p = ngx_pnalloc(ctx->pool, send->from.len + 3 * (NGX_INT64_LEN + 1) + 3);
    if (p == NULL) {
        return NGX_ERROR;
    }

    dk->data = p;
    dk->len = ngx_sprintf(p, "m|%V|%L|%uD|%L", &send->from, send->random,
                          send->hash, time / ngx_max(ctx->app->dedup_group, 1))
              - p;

    return NGX_OK;
}


/* NGX_OK: it is one, row is the first one. */

static ngx_int_t
im_group_message_duplicate(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, im_group_row_t *row)
{
    int64_t     time;
    ngx_int_t   rc;
    ngx_str_t   dk;
    ngx_uint_t  i;

    if (send->opts & IM_MSG_ONLINE) {
        return NGX_DECLINED;
    }

    time = send->time;

    for (i = 0; i < 2; i++) {

        if (im_group_message_dk(ctx, group, send, time, &dk) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = im_group_row_by_dk(ctx, group->gno, &dk, row);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }

        if (rc == NGX_OK && send->time - row->time <= ctx->app->dedup_group) {
            return NGX_OK;
        }

        time -= ngx_max(ctx->app->dedup_group, 1);
    }

    return NGX_DECLINED;
}


/* What follows the commit; all of it may be done twice. */

static im_code_t
im_group_message_after(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, im_group_row_t *row)
{
    ngx_int_t         rc;
    ngx_str_t         event;
    ngx_uint_t        i;
    im_batch_t       *batch;
    im_group_at_t    *at;
    im_group_role_e   role;

    if (row->recalled || row->gone) {
        return IM_OK;
    }

    im_fault("before_publish");

    im_group_row_publish(ctx, group, row, ctx->peer);

    at = ngx_pcalloc(ctx->pool, sizeof(im_group_at_t));
    if (at == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    batch = im_store_batch(ctx, IM_ORDERED);

    /* the message is there: what cannot be read is left out */

    if (!send->forged
        || (im_group_role_of(ctx, group, &send->from, &role) == IM_OK
            && role != IM_GROUP_NOBODY))
    {
        im_group_read_max(ctx, batch, group, &send->from, row->seq,
                          row->time);
    }

    im_group_at_add(ctx, batch, group, send, row, at);

    rc = im_store_commit(ctx, batch);

    if (rc == NGX_DECLINED) {            /* the tips are there already */
        return IM_OK;
    }

    if (rc != NGX_OK) {
        send->unknown = 1;
        return im_group_code(rc);
    }

    for (i = 0; i < at->n; i++) {
        im_inbox_publish(ctx, &at->users[i], batch->ops[at->ops[i]].result, 0,
                         &at->events[i]);
    }

    if (at->all
        && im_group_at_event(ctx, group, row, 0, 1, &event)
           == NGX_OK)
    {
        im_group_hint(ctx, group, &event, 0, ctx->peer);
    }

    return IM_OK;
}


/* Not in the history, so it has the number of the last message. */

static ngx_int_t
im_group_message_online(im_ctx_t *ctx, im_group_t *group, im_group_row_t *row)
{
    ngx_str_t  event;

    if (im_group_row_event(ctx, group, row, &event) != NGX_OK) {
        return NGX_ERROR;
    }

    im_group_direct_hint(ctx, group, row, &event, IM_GROUP_MESSAGE,
                         ctx->peer);

    return NGX_OK;
}


/*
 * NGX_OK: the caller sends, send->time is that of the first attempt if nobody
 * knows whether that is stored, otherwise now; NGX_DONE: it was sent, send has
 * the answer.
 */

static ngx_int_t
im_group_message_marker(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, u_char *key)
{
    u_char      buf[IM_SEND_RESULT];
    int64_t     num[2];
    ngx_int_t   rc;
    ngx_str_t   parts[4], left, result;
    ngx_msec_t  busy;

    num[0] = group->gno;
    num[1] = send->random;

    send->hash = ngx_murmur_hash2(send->body.data, send->body.len);

    parts[0].data = (u_char *) &num[0];
    parts[0].len = sizeof(int64_t);
    parts[1] = send->from;
    parts[2].data = (u_char *) &num[1];
    parts[2].len = sizeof(int64_t);
    parts[3].data = (u_char *) &send->hash;
    parts[3].len = sizeof(uint32_t);

    im_zone_key(key, ctx->app->id, IM_KEY_MESSAGE, parts, 4);

    busy = im_group_message_busy(ctx, send);

    send->time = ngx_time();
    send->unknown = 1;

    im_group_message_text(send, buf, &left);

    send->unknown = 0;

    /* what Redis does not know is not published in a live room */

    rc = im_marker_await_all(key, busy, group->type->live ? NULL : &left,
                             IM_SEND_STEP, busy, ctx->pool, &result);

    if (rc != NGX_DONE) {
        return rc;
    }

    im_group_message_result(send, &result);

    if (!send->unknown) {
        return NGX_DONE;
    }

    if (ngx_time() - send->time
        > ngx_max((ngx_int_t) ctx->app->dedup_group, IM_MSG_LATE))
    {
        send->time = ngx_time();         /* it is a new message */
    }

    im_group_message_answer(send, key, IM_MSG_LATE);

    return NGX_OK;
}


static void
im_group_message_result(im_group_send_t *send, ngx_str_t *text)
{
    u_char     *p, *last, *sp;
    int64_t     num[4];
    ngx_str_t   s;
    ngx_uint_t  i;

    ngx_memzero(num, sizeof(num));

    p = text->data;
    last = p + text->len;

    for (i = 0; i < 4 && p < last; i++) {
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
    send->unknown = num[3];
}


static void
im_group_message_text(im_group_send_t *send, u_char *buf, ngx_str_t *text)
{
    text->data = buf;
    text->len = ngx_sprintf(buf, "%L %L %ui %ui", send->seq, send->time,
                            send->dropped, send->unknown)
                - buf;
}


/* Seconds. */

static void
im_group_message_answer(im_group_send_t *send, u_char *key, time_t ttl)
{
    u_char     buf[IM_SEND_RESULT];
    ngx_str_t  text;

    im_group_message_text(send, buf, &text);

    (void) im_marker_done(key, &text, (ngx_msec_t) ttl * 1000);
}
