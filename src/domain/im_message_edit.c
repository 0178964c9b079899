
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "core/im_str.h"
#include "domain/im_callback.h"
#include "domain/im_message.h"


#define IM_EDIT_TRIES  8


/* What is appended to an inbox together with a change. */

typedef struct {
    ngx_str_t         *user;
    uint32_t           except;
    ngx_uint_t         op;
} im_edit_notice_t;


static ngx_uint_t im_message_key_again(im_msg_key_t *keys, ngx_uint_t i);
static void im_message_put(im_ctx_t *ctx, im_batch_t *batch,
    im_message_t *msg);
static void im_message_set_flags(im_ctx_t *ctx, im_batch_t *batch,
    ngx_str_t *user, im_inbox_t *row, int64_t add);
static void im_message_notice(im_ctx_t *ctx, im_batch_t *batch,
    ngx_int_t type, ngx_str_t *event, ngx_str_t *user,
    im_edit_notice_t *notice);
static ngx_uint_t im_message_notices(im_ctx_t *ctx, im_batch_t *batch,
    ngx_int_t type, ngx_str_t *event, im_message_t *msg,
    im_edit_notice_t *notices);
static void im_message_tell(im_ctx_t *ctx, im_batch_t *batch,
    ngx_str_t *event, im_edit_notice_t *notices, ngx_uint_t n);


im_code_t
im_message_recall(im_ctx_t *ctx, ngx_str_t *from, ngx_str_t *to,
    im_msg_key_t *key, time_t limit)
{
    ngx_int_t           rc;
    ngx_str_t           event;
    im_json_t          *root, *notify, *list, *item, *revoker;
    ngx_uint_t          n, tries;
    im_batch_t         *batch;
    im_message_t       *msg;
    im_edit_notice_t    notices[2];
    im_message_rows_t   rows;

    msg = &rows.msg;

    for (tries = 0; tries < IM_EDIT_TRIES; tries++) {

        rc = im_message_find(ctx, from, to, key, &rows);

        if (rc == NGX_DECLINED) {
            return IM_E_NO_MSG;
        }

        if (rc != NGX_OK) {
            return im_message_code(ctx, rc);
        }

        if (msg->recalled.len) {
            return IM_E_RECALLED;
        }

        if (limit && ngx_time() - msg->time > limit) {
            return IM_E_RECALL_LATE;
        }

        msg->recalled = ctx->user;

        root = im_message_notify(ctx, "WithdrawC2cMsgNotify", &notify);
        list = im_json_add_list(notify, "C2cWithdrawInfoArray");
        item = im_json_push_obj(list);

        im_json_add_str(item, "From_Account", &msg->from);
        im_json_add_str(item, "To_Account", &msg->to);
        im_json_add_int(item, "MsgSeq", msg->mseq);
        im_json_add_int(item, "MsgRandom", msg->rand);
        im_json_add_int(item, "MsgTime", msg->time);
        revoker = im_json_add_obj(item, "RevokerInfo");
        im_json_add_str(revoker, "Revoker_Account", &msg->recalled);

        if (im_json_render(ctx->pool, root, &event) != NGX_OK) {
            return im_message_code(ctx, NGX_ERROR);
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_message_put(ctx, batch, msg);
        im_message_set_flags(ctx, batch, &msg->to, &rows.in, IM_F_RECALLED);
        im_message_set_flags(ctx, batch, &msg->from, &rows.out,
                             IM_F_RECALLED);

        n = im_message_notices(ctx, batch, IM_INBOX_RECALL, &event, msg,
                               notices);

        im_callback_stage(ctx, batch);
        im_callback_c2c_recall(ctx, from, to, key);

        rc = im_store_commit(ctx, batch);

        im_callback_committed(ctx, rc);

        if (rc == NGX_OK) {
            im_message_tell(ctx, batch, &event, notices, n);

            return IM_OK;
        }

        if (rc != NGX_DECLINED) {        /* else changed since we read it */
            return im_message_code(ctx, rc);
        }
    }

    return im_message_code(ctx, NGX_BUSY);
}


im_code_t
im_message_modify(im_ctx_t *ctx, ngx_str_t *from, ngx_str_t *to,
    im_msg_key_t *key, int64_t mver, ngx_str_t *body, ngx_str_t *cloud,
    im_code_t size, im_message_rows_t *rows)
{
    ngx_int_t          rc;
    ngx_str_t          event;
    im_json_t         *root, *list, *item;
    ngx_uint_t         n, tries;
    im_batch_t        *batch;
    im_message_t      *msg;
    im_edit_notice_t   notices[2];

    msg = &rows->msg;

    for (tries = 0; tries < IM_EDIT_TRIES; tries++) {

        rc = im_message_find(ctx, from, to, key, rows);

        if (rc == NGX_DECLINED) {
            return IM_E_NO_MSG;
        }

        if (rc != NGX_OK) {
            return im_message_code(ctx, rc);
        }

        if (msg->recalled.len) {
            return IM_E_RECALLED;
        }

        if (mver != -1 && mver != msg->mver) {
            return IM_E_MODIFY_CONFLICT;
        }

        if (body->data) {
            msg->body = *body;
        }

        if (cloud->data) {
            msg->cloud = *cloud;
        }

        if (msg->body.len + msg->cloud.len > ctx->app->message_size) {
            return size;
        }

        msg->mver++;

        root = im_json_new_obj(ctx->pool);
        im_json_add_int(root, "Event", 15);
        list = im_json_add_list(root, "C2cMsgModNotifys");
        item = im_json_push_obj(list);

        im_json_add_str(item, "From_Account", &msg->from);
        im_json_add_str(item, "To_Account", &msg->to);
        im_json_add_int(item, "MsgSeq", msg->mseq);
        im_json_add_int(item, "MsgRandom", msg->rand);
        im_json_add_int(item, "MsgTime", msg->time);
        im_json_add_raw(item, "MsgBody", &msg->body);
        im_json_add_str(item, "CloudCustomData", &msg->cloud);
        im_json_add_int(item, "MsgVersion", msg->mver);

        if (im_json_render(ctx->pool, root, &event) != NGX_OK) {
            return im_message_code(ctx, NGX_ERROR);
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_message_put(ctx, batch, msg);

        n = im_message_notices(ctx, batch, IM_INBOX_EVENT, &event, msg,
                               notices);

        rc = im_store_commit(ctx, batch);

        if (rc == NGX_OK) {
            im_message_tell(ctx, batch, &event, notices, n);
            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            return im_message_code(ctx, rc);
        }
    }

    return im_message_code(ctx, NGX_BUSY);
}


im_code_t
im_message_receipt(im_ctx_t *ctx, ngx_str_t *reader, ngx_str_t *peer,
    im_msg_key_t *keys, ngx_uint_t n)
{
    ngx_int_t           rc;
    ngx_str_t           event;
    im_json_t          *root, *list, *item;
    ngx_uint_t          i, found, tries;
    im_batch_t         *batch;
    im_message_t       *msg;
    im_edit_notice_t    notice;
    im_message_rows_t   rows;

    msg = &rows.msg;

    for (tries = 0; tries < IM_EDIT_TRIES; tries++) {

        batch = im_store_batch(ctx, IM_ATOMIC);

        root = im_json_new_obj(ctx->pool);
        im_json_add_int(root, "Event", 16);
        im_json_add_str(root, "Peer_Account", reader);
        list = im_json_add_list(root, "C2cMsgInfo");

        found = 0;

        for (i = 0; i < n; i++) {

            if (im_message_key_again(keys, i)) {
                continue;
            }

            rc = im_message_find(ctx, peer, reader, &keys[i], &rows);

            if (rc == NGX_DECLINED) {
                continue;
            }

            if (rc != NGX_OK) {
                return im_message_code(ctx, rc);
            }

            if (!(msg->opts & IM_MSG_RECEIPT)
                || msg->receipt
                || msg->recalled.len)
            {
                continue;
            }

            msg->receipt = 1;
            im_message_put(ctx, batch, msg);

            item = im_json_push_obj(list);
            im_json_add_str(item, "TinyId", &msg->tinyid);
            im_json_add_int(item, "MsgClientTime", msg->ctime);
            im_json_add_int(item, "MsgRandom", msg->rand);
            im_json_add_int(item, "MsgSeq", msg->mseq);
            im_json_add_int(item, "MsgTime", msg->time);

            found++;
        }

        if (found == 0) {
            return IM_OK;
        }

        if (im_json_render(ctx->pool, root, &event) != NGX_OK) {
            return im_message_code(ctx, NGX_ERROR);
        }

        notice.except = 0;
        im_message_notice(ctx, batch, IM_INBOX_EVENT, &event, peer, &notice);

        rc = im_store_commit(ctx, batch);

        if (rc == NGX_OK) {
            im_message_tell(ctx, batch, &event, &notice, 1);
            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            return im_message_code(ctx, rc);
        }
    }

    return im_message_code(ctx, NGX_BUSY);
}


im_code_t
im_message_hide(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    im_msg_key_t *keys, ngx_uint_t n)
{
    ngx_int_t           rc;
    ngx_uint_t          i, found, tries;
    im_batch_t         *batch;
    im_inbox_t         *row;
    im_message_rows_t   rows;

    for (tries = 0; tries < IM_EDIT_TRIES; tries++) {

        batch = im_store_batch(ctx, IM_ATOMIC);
        found = 0;

        for (i = 0; i < n; i++) {

            if (im_message_key_again(keys, i)) {
                continue;
            }

            rc = im_message_find(ctx, peer, user, &keys[i], &rows);
            row = &rows.in;

            if (rc == NGX_DECLINED || (rc == NGX_OK && row->seq == 0)) {
                rc = im_message_find(ctx, user, peer, &keys[i], &rows);
                row = &rows.out;
            }

            if (rc == NGX_DECLINED) {
                continue;
            }

            if (rc != NGX_OK) {
                return im_message_code(ctx, rc);
            }

            if (row->seq == 0 || (row->flags & IM_F_HIDDEN)) {
                continue;
            }

            /* whoever writes flags writes the message, so that its version
             * guards them */

            im_message_put(ctx, batch, &rows.msg);
            im_message_set_flags(ctx, batch, user, row, IM_F_HIDDEN);

            found++;
        }

        if (found == 0) {
            return IM_OK;
        }

        rc = im_store_commit(ctx, batch);

        if (rc == NGX_OK) {
            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            return im_message_code(ctx, rc);
        }
    }

    return im_message_code(ctx, NGX_BUSY);
}


/* 1: it is one of those before it, a batch writes a row only once. */

static ngx_uint_t
im_message_key_again(im_msg_key_t *keys, ngx_uint_t i)
{
    ngx_uint_t  k;

    for (k = 0; k < i; k++) {
        if (keys[k].mseq == keys[i].mseq
            && keys[k].rand == keys[i].rand
            && keys[k].time == keys[i].time)
        {
            return 1;
        }
    }

    return 0;
}


static void
im_message_put(im_ctx_t *ctx, im_batch_t *batch, im_message_t *msg)
{
    im_key_t  key;

    im_message_row_key(ctx, msg->id, &key);

    (void) im_store_replace(batch, IM_T_C2C, &key, msg->version,
                            im_message_doc(ctx, msg));
}


static void
im_message_set_flags(im_ctx_t *ctx, im_batch_t *batch, ngx_str_t *user,
    im_inbox_t *row, int64_t add)
{
    im_doc_t  *doc;
    im_key_t   key;

    if (row->seq == 0) {
        return;
    }

    im_inbox_key(ctx, user, &key);
    im_key_int(&key, row->seq);

    doc = im_doc(ctx->pool);
    im_doc_int(doc, "flags", row->flags | add);

    (void) im_store_set(batch, IM_T_INBOX, &key, doc);
}


static void
im_message_notice(im_ctx_t *ctx, im_batch_t *batch, ngx_int_t type,
    ngx_str_t *event, ngx_str_t *user, im_edit_notice_t *notice)
{
    im_inbox_t  row;

    ngx_memzero(&row, sizeof(im_inbox_t));

    row.type = type;
    row.inst = notice->except;
    row.event = *event;

    notice->user = user;
    notice->op = im_inbox_append(ctx, batch, user, &row);
}


/* Both users; the acting instance of the caller hears nothing. */

static ngx_uint_t
im_message_notices(im_ctx_t *ctx, im_batch_t *batch, ngx_int_t type,
    ngx_str_t *event, im_message_t *msg, im_edit_notice_t *notices)
{
    ngx_uint_t  i, n;
    ngx_str_t  *users[2];

    users[0] = &msg->to;
    users[1] = &msg->from;

    n = im_str_eq(users[0], users[1]) ? 1 : 2;

    for (i = 0; i < n; i++) {
        notices[i].except = im_str_eq(users[i], &ctx->user) ? ctx->inst : 0;
        im_message_notice(ctx, batch, type, event, users[i], &notices[i]);
    }

    return n;
}


static void
im_message_tell(im_ctx_t *ctx, im_batch_t *batch, ngx_str_t *event,
    im_edit_notice_t *notices, ngx_uint_t n)
{
    ngx_uint_t  i;

    im_fault("before_publish");

    for (i = 0; i < n; i++) {
        im_inbox_publish(ctx, notices[i].user,
                         batch->ops[notices[i].op].result, notices[i].except,
                         event);
    }
}
