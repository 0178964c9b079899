
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_md5.h>
#include "core/im_fault.h"
#include "core/im_lane.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "domain/im_callback.h"
#include "domain/im_friend.h"
#include "domain/im_message.h"
#include "domain/im_message_once.h"
#include "domain/im_word.h"
#include "live/im_marker.h"
#include "live/im_session.h"


#define IM_SEND_CHUNK         50         /* receivers in one commit */
#define IM_SEND_TRIES         3
#define IM_SEND_LIST          17         /* a line feed and an MD5 */


#define IM_SYNC_REAL_TIME     1
#define IM_SYNC_HISTORY       2


/* Where the operations of one message are in the batch. */

typedef struct {
    im_message_t       msg;
    ngx_uint_t         in;
    ngx_uint_t         out;
    unsigned           has_in:1;
    unsigned           has_out:1;
} im_send_ops_t;


static im_code_t im_message_send_stored(im_ctx_t *ctx, im_send_t *send);
static im_code_t im_message_send_online(im_ctx_t *ctx, im_send_t *send);
static ngx_int_t im_message_allowed(im_ctx_t *ctx, im_send_t *send,
    im_code_t *code);
static ngx_int_t im_message_ask(im_ctx_t *ctx, im_send_t *send,
    im_code_t *code);
static void im_message_tell(im_ctx_t *ctx, im_send_t *send, im_code_t code);
static im_code_t im_message_repeat(im_ctx_t *ctx, im_send_t *send,
    im_inbox_t *row);
static void im_message_add(im_ctx_t *ctx, im_batch_t *batch, im_send_t *send,
    ngx_str_t *dk, int64_t flags, im_send_ops_t *ops);
static ngx_uint_t im_message_add_own(im_ctx_t *ctx, im_batch_t *batch,
    im_send_t *send, im_message_t *msg, ngx_str_t *dk, int64_t flags);
static im_code_t im_message_publish(im_ctx_t *ctx, im_send_t *send,
    im_message_t *msg, ngx_uint_t in, int64_t in_seq, ngx_uint_t out,
    int64_t out_seq);
static im_code_t im_message_publish_to(im_ctx_t *ctx, im_send_t *send,
    im_message_t *msg, ngx_str_t *user, int64_t seq, uint32_t except);
static void im_message_list(ngx_str_t *to, ngx_uint_t n, u_char *buf,
    ngx_str_t *name);
static void im_message_send_all(im_ctx_t *ctx, im_send_t *send,
    ngx_str_t *to, ngx_uint_t n, im_code_t *codes);
static ngx_uint_t im_message_send_chunk(im_ctx_t *ctx, im_send_t *send,
    ngx_str_t *to, ngx_uint_t n, im_code_t *codes);


im_code_t
im_message_send(im_ctx_t *ctx, im_send_t *send)
{
    u_char      key[IM_ZONE_KEY_LEN];
    im_code_t   code;
    ngx_int_t   rc;

    if (send->msg.opts & IM_MSG_ONLINE) {
        code = im_message_send_online(ctx, send);
        im_message_tell(ctx, send, code);

        return code;
    }

    rc = im_message_begin(ctx, send, key);
    if (rc == NGX_BUSY) {
        return im_message_code(ctx, rc);
    }

    code = im_message_send_stored(ctx, send);

    im_message_end(ctx, send, key, rc, code == IM_OK);

    im_message_tell(ctx, send, code);

    return code;
}


static im_code_t
im_message_send_stored(im_ctx_t *ctx, im_send_t *send)
{
    im_code_t       code;
    ngx_int_t       rc;
    ngx_str_t       dk;
    im_inbox_t      row;
    ngx_uint_t      tries;
    im_batch_t     *batch;
    im_send_ops_t   ops;

    for (tries = 0; tries < IM_SEND_TRIES; tries++) {

        rc = im_message_duplicate(ctx, send, &row);

        if (rc == NGX_OK) {
            send->tell = 0;
            code = im_message_repeat(ctx, send, &row);
            send->unknown = (code != IM_OK);

            return code;
        }

        if (rc != NGX_DECLINED
            || im_message_dk(ctx, send, send->msg.time, &dk) != NGX_OK)
        {
            return im_message_code(ctx, rc);
        }

        if (im_message_allowed(ctx, send, &code) != NGX_OK
            || im_message_ask(ctx, send, &code) != NGX_OK)
        {
            return code;
        }

        batch = im_store_batch(ctx, IM_ORDERED);

        im_message_add(ctx, batch, send, &dk, 0, &ops);

        im_store_lane(batch, ctx->lane);

        im_callback_stage(ctx, batch);

        if (send->tell) {
            im_callback_c2c_after(ctx, &send->msg, IM_OK);
        }

        rc = im_fault_error("message_commit") ? NGX_ERROR
                                              : im_store_commit(ctx, batch);

        im_callback_committed(ctx, rc);

        if (rc == NGX_OK) {
            send->tell = 0;

            im_fault("before_publish");

            im_stat_add(IM_STAT_IN_C2C, 1);

            code = im_message_publish(ctx, send, &ops.msg, ops.has_in,
                        ops.has_in ? batch->ops[ops.in].result : 0,
                        ops.has_out,
                        ops.has_out ? batch->ops[ops.out].result : 0);
            send->unknown = (code != IM_OK);

            return code;
        }

        if (rc != NGX_DECLINED) {
            send->unknown = (rc == NGX_ERROR);
            return im_message_code(ctx, rc);
        }
    }

    return im_message_code(ctx, NGX_BUSY);
}


static im_code_t
im_message_send_online(im_ctx_t *ctx, im_send_t *send)
{
    u_char         key[IM_ZONE_KEY_LEN];
    im_code_t      code;
    ngx_int_t      rc;
    ngx_str_t      result;
    ngx_msec_t     ttl;
    im_msg_key_t   first;

    if (send->msg.time == 0) {
        send->msg.time = im_message_now(ctx);
    }

    if (im_message_allowed(ctx, send, &code) != NGX_OK) {
        return code;
    }

    ttl = send->seq_given ? (ngx_msec_t) ctx->app->dedup_c2c * 1000 : 1000;

    rc = im_message_marker(ctx, send, IM_KEY_MESSAGE,
                           ngx_max(ttl, im_message_busy(ctx, send)), NULL,
                           key, &result);

    if (rc == NGX_BUSY) {
        return im_message_code(ctx, rc);
    }

    if (rc == NGX_DONE && im_message_key_parse(&result, &first) == NGX_OK) {
        send->msg.time = first.time;
        send->msg.mseq = first.mseq;
        send->tell = 0;
        return IM_OK;
    }

    if (im_message_ask(ctx, send, &code) != NGX_OK) {

        if (rc == NGX_OK) {
            im_marker_release(key);
        }

        return code;
    }

    if (im_message_key_text(ctx, send->msg.mseq, send->msg.rand,
                            send->msg.time, &send->key)
        == NGX_OK)
    {
        code = im_message_publish(ctx, send, &send->msg,
                                  !im_str_eq(&send->msg.from, &send->msg.to),
                                  0, 1, 0);

    } else {
        code = im_message_code(ctx, NGX_ERROR);
    }

    if (rc == NGX_OK && code != IM_OK) {
        im_marker_release(key);

    } else if (rc == NGX_OK) {
        im_stat_add(IM_STAT_IN_C2C, 1);

        (void) im_marker_done(key, &send->key, ttl);
    }

    return code;
}


/* What relations forbid to clients; a message that is dropped is answered as
 * if it had been sent. */

static ngx_int_t
im_message_allowed(im_ctx_t *ctx, im_send_t *send, im_code_t *code)
{
    ngx_int_t  rc;

    if (ctx->role != IM_ROLE_USER) {
        return NGX_OK;
    }

    rc = im_friend_may_send(ctx, &send->msg.from, &send->msg.to, code);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        *code = im_message_code(ctx, rc);
    }

    if (rc == NGX_DECLINED && *code == IM_OK) {
        im_message_tell(ctx, send, IM_E_MSG_BLOCKED);
    }

    return rc;
}


/*
 * The app's own verdict, then the message's turn, and what was checked before
 * once more if that took time.  NGX_DECLINED: the message ends here, with
 * *code.
 */

static ngx_int_t
im_message_ask(im_ctx_t *ctx, im_send_t *send, im_code_t *code)
{
    ngx_int_t   rc;
    ngx_uint_t  waited;

    if (send->check) {
        send->check = 0;

        if (im_word_dirty_message(ctx, &send->msg.body)) {
            *code = IM_E_DIRTY;
            return NGX_DECLINED;
        }
    }

    waited = 0;

    if (send->ask) {
        send->ask = 0;

        *code = im_callback_c2c_before(ctx, &send->msg, &waited);

        if (*code != IM_OK) {
            send->tell = 0;
            return NGX_DECLINED;
        }
    }

    rc = im_lane_wait(ctx->lane, send->msg.opts & IM_MSG_ONLINE,
                      IM_SEND_LANE + im_callback_time(ctx->app,
                                                      IM_CB_C2C_BEFORE));
    if (rc == NGX_BUSY) {
        *code = im_message_code(ctx, rc);
        return NGX_DECLINED;
    }

    if (!waited && rc == NGX_OK) {
        return NGX_OK;
    }

    return im_message_allowed(ctx, send, code);
}


static void
im_message_tell(im_ctx_t *ctx, im_send_t *send, im_code_t code)
{
    if (send->tell) {
        send->tell = 0;
        im_callback_c2c_after(ctx, &send->msg, code);
    }
}


/*
 * Completes what the first attempt may have left behind on a store that has
 * no transactions, and gives the hints again: cursors drop what was heard.
 */

static im_code_t
im_message_repeat(im_ctx_t *ctx, im_send_t *send, im_inbox_t *row)
{
    int64_t        seq;
    ngx_int_t      rc;
    ngx_uint_t     op;
    im_batch_t    *batch;
    im_inbox_t     own;
    im_message_t   msg;

    send->msg.time = row->time;
    send->msg.mseq = row->mseq;

    rc = im_message_get_many(ctx, &row->cid, 1, &msg);
    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    if (msg.id == 0 || msg.recalled.len) {
        return IM_OK;
    }

    if (im_str_eq(&msg.from, &msg.to)) {
        return im_message_publish(ctx, send, &msg, 0, 0, 1, row->seq);
    }

    if (!send->keep_own) {
        return im_message_publish(ctx, send, &msg, 1, row->seq, 0, 0);
    }

    rc = im_message_by_dk(ctx, &msg.from, &row->dk, &own);
    seq = own.seq;

    if (rc == NGX_DECLINED) {
        batch = im_store_batch(ctx, IM_ORDERED);
        op = im_message_add_own(ctx, batch, send, &msg, &row->dk, 0);

        rc = im_store_commit(ctx, batch);

        if (rc == NGX_DECLINED) {        /* another one has completed it */
            return IM_OK;
        }

        if (rc == NGX_OK) {
            seq = batch->ops[op].result;
        }
    }

    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    return im_message_publish(ctx, send, &msg, 1, row->seq, 1, seq);
}


/* The message's operations; flags are added to those of both rows. */

static void
im_message_add(im_ctx_t *ctx, im_batch_t *batch, im_send_t *send,
    ngx_str_t *dk, int64_t flags, im_send_ops_t *ops)
{
    im_key_t       key;
    im_inbox_t     row;
    im_message_t  *msg;

    ngx_memzero(ops, sizeof(im_send_ops_t));

    ops->msg = send->msg;
    msg = &ops->msg;

    msg->id = im_message_id();
    msg->expire = msg->time + ctx->app->history;

    im_message_row_key(ctx, msg->id, &key);

    (void) im_store_insert(batch, IM_T_C2C, &key, im_message_doc(ctx, msg));

    if (!im_str_eq(&msg->from, &msg->to)) {

        ngx_memzero(&row, sizeof(im_inbox_t));

        row.type = IM_INBOX_MSG;
        row.flags = flags;
        row.cid = msg->id;
        row.peer = msg->from;
        row.time = msg->time;
        row.ord = im_message_ord(msg, send->seq_order);
        row.mseq = msg->mseq;
        row.rand = msg->rand;
        row.dir = IM_DIR_IN;
        row.dk = *dk;
        row.expire = msg->expire;

        if (!(msg->opts & IM_MSG_NO_UNREAD) && !(flags & IM_F_IMPORT)) {
            row.flags |= IM_F_COUNTS;
        }

        if (msg->opts & IM_MSG_NO_LAST) {
            row.flags |= IM_F_NO_LAST;
        }

        ops->has_in = 1;
        ops->in = im_inbox_append(ctx, batch, &msg->to, &row);

        im_store_point(batch, ops->in);

        if (!send->keep_own) {
            return;
        }
    }

    ops->has_out = 1;
    ops->out = im_message_add_own(ctx, batch, send, msg, dk, flags);

    if (!ops->has_in) {
        im_store_point(batch, ops->out);
    }
}


static ngx_uint_t
im_message_add_own(im_ctx_t *ctx, im_batch_t *batch, im_send_t *send,
    im_message_t *msg, ngx_str_t *dk, int64_t flags)
{
    im_inbox_t  row;

    ngx_memzero(&row, sizeof(im_inbox_t));

    row.type = IM_INBOX_MSG;
    row.flags = flags;
    row.cid = msg->id;
    row.peer = msg->to;
    row.time = msg->time;
    row.ord = im_message_ord(msg, send->seq_order);
    row.mseq = msg->mseq;
    row.rand = msg->rand;
    row.dir = IM_DIR_OUT;
    row.dk = *dk;
    row.inst = send->inst;
    row.expire = msg->expire;

    /* to oneself it is a message received, too */

    if (!send->push_own && !im_str_eq(&msg->from, &msg->to)) {
        row.flags |= IM_F_SILENT;
    }

    if (msg->opts & IM_MSG_NO_LAST) {
        row.flags |= IM_F_NO_LAST;
    }

    return im_inbox_append(ctx, batch, &msg->from, &row);
}


static im_code_t
im_message_publish(im_ctx_t *ctx, im_send_t *send, im_message_t *msg,
    ngx_uint_t in, int64_t in_seq, ngx_uint_t out, int64_t out_seq)
{
    im_code_t  code;

    if (in) {
        code = im_message_publish_to(ctx, send, msg, &msg->to, in_seq, 0);
        if (code != IM_OK) {
            return code;
        }
    }

    if (!out) {
        return IM_OK;
    }

    if (!send->push_own && !im_str_eq(&msg->from, &msg->to)) {

        if (out_seq) {
            im_inbox_skip(ctx, &msg->from, out_seq);
        }

        return IM_OK;
    }

    return im_message_publish_to(ctx, send, msg, &msg->from, out_seq,
                                 send->inst);
}


static im_code_t
im_message_publish_to(im_ctx_t *ctx, im_send_t *send, im_message_t *msg,
    ngx_str_t *user, int64_t seq, uint32_t except)
{
    ngx_str_t  event;

    /* the rows are there: whoever attaches later reads them */

    if (!im_session_reachable(ctx->app->id, user, except)) {

        if (except && seq) {
            im_inbox_skip(ctx, user, seq);
        }

        return IM_OK;
    }

    if (send->profile == NULL) {

        send->profile = ngx_pcalloc(ctx->pool, sizeof(im_profile_t));
        if (send->profile == NULL) {
            return im_message_code(ctx, NGX_ERROR);
        }

        im_profile_names(ctx, &msg->from, &send->profile->nick,
                         &send->profile->face);
    }

    if (im_message_event(ctx, msg, send->profile, user, &event) != NGX_OK) {
        return im_message_code(ctx, NGX_ERROR);
    }

    im_inbox_publish(ctx, user, seq, except, &event);

    return IM_OK;
}


void
im_message_send_many(im_ctx_t *ctx, im_send_t *send, ngx_str_t *to,
    ngx_uint_t n, im_code_t *codes)
{
    u_char      key[IM_ZONE_KEY_LEN], buf[IM_SEND_LIST];
    ngx_int_t   rc;
    ngx_uint_t  i;

    if (send->msg.opts & IM_MSG_ONLINE) {
        im_message_send_all(ctx, send, to, n, codes);
        return;
    }

    /* one marker for all of them */

    im_message_list(to, n, buf, &send->msg.to);

    rc = im_message_begin(ctx, send, key);

    if (rc == NGX_BUSY) {
        for (i = 0; i < n; i++) {
            codes[i] = im_message_code(ctx, rc);
        }

        return;
    }

    im_message_send_all(ctx, send, to, n, codes);

    for (i = 0; i < n && codes[i] == IM_OK; i++) { /* void */ }

    im_message_end(ctx, send, key, rc, i == n);
}


/* What stands for the whole list; it is no name of an account. */

static void
im_message_list(ngx_str_t *to, ngx_uint_t n, u_char *buf, ngx_str_t *name)
{
    ngx_uint_t  i;
    ngx_md5_t   md5;

    ngx_md5_init(&md5);

    for (i = 0; i < n; i++) {
        ngx_md5_update(&md5, to[i].data, to[i].len);
        ngx_md5_update(&md5, "\n", 1);
    }

    buf[0] = '\n';
    ngx_md5_final(buf + 1, &md5);

    name->data = buf;
    name->len = IM_SEND_LIST;
}


static void
im_message_send_all(im_ctx_t *ctx, im_send_t *send, ngx_str_t *to,
    ngx_uint_t n, im_code_t *codes)
{
    int64_t     time;
    ngx_uint_t  i, k, m, unknown;
    im_inbox_t  row;

    if (send->msg.time == 0) {
        send->msg.time = ngx_time();
    }

    if (!(send->msg.opts & IM_MSG_ONLINE) && send->seq_given) {

        /* all copies have one key: a repeated call takes that of the first */

        for (i = 0; i < n; i++) {
            send->msg.to = to[i];

            if (im_message_duplicate(ctx, send, &row) == NGX_OK) {
                send->msg.time = row.time;
                break;
            }
        }
    }

    time = send->msg.time;
    unknown = 0;

    for (i = 0; i < n; i += m) {

        m = ngx_min(n - i, IM_SEND_CHUNK);

        send->unknown = 0;

        if (!(send->msg.opts & IM_MSG_ONLINE)
            && im_message_send_chunk(ctx, send, &to[i], m, &codes[i]))
        {
            unknown |= send->unknown;
            continue;
        }

        for (k = i; k < i + m; k++) {
            send->msg.to = to[k];
            send->msg.time = time;
            codes[k] = im_message_send(ctx, send);
            unknown |= send->unknown;
        }
    }

    send->msg.time = time;
    send->unknown = unknown;
}


/* All in one commit; 0: not possible, one of them may be a duplicate. */

static ngx_uint_t
im_message_send_chunk(im_ctx_t *ctx, im_send_t *send, ngx_str_t *to,
    ngx_uint_t n, im_code_t *codes)
{
    ngx_int_t       rc;
    ngx_str_t       dk;
    ngx_uint_t      i;
    im_inbox_t      row;
    im_batch_t     *batch;
    im_send_ops_t  *ops;

    ops = ngx_palloc(ctx->pool, n * sizeof(im_send_ops_t));
    if (ops == NULL) {
        return 0;
    }

    batch = im_store_batch(ctx, IM_ORDERED);

    for (i = 0; i < n; i++) {

        send->msg.to = to[i];

        if (im_message_duplicate(ctx, send, &row) != NGX_DECLINED
            || im_message_dk(ctx, send, send->msg.time, &dk) != NGX_OK)
        {
            return 0;
        }

        im_message_add(ctx, batch, send, &dk, 0, &ops[i]);
    }

    rc = im_fault_error("message_commit") ? NGX_ERROR
                                          : im_store_commit(ctx, batch);

    if (rc == NGX_DECLINED) {
        return 0;
    }

    if (rc != NGX_OK) {
        send->unknown = (rc == NGX_ERROR);

        for (i = 0; i < n; i++) {
            codes[i] = im_message_code(ctx, rc);
        }

        return 1;
    }

    im_fault("before_publish");

    im_stat_add(IM_STAT_IN_C2C, n);

    for (i = 0; i < n; i++) {
        codes[i] = im_message_publish(ctx, send, &ops[i].msg, ops[i].has_in,
                       ops[i].has_in ? batch->ops[ops[i].in].result : 0,
                       ops[i].has_out,
                       ops[i].has_out ? batch->ops[ops[i].out].result : 0);
    }

    return 1;
}


im_code_t
im_message_import(im_ctx_t *ctx, im_send_t *send, int64_t sync)
{
    u_char         *p;
    int64_t         flags;
    ngx_int_t       rc;
    ngx_str_t       dk, *a, *b;
    im_batch_t     *batch;
    im_send_ops_t   ops;

    if (send->msg.time + ctx->app->history <= ngx_time()) {
        return IM_OK;
    }

    a = &send->msg.from;
    b = &send->msg.to;

    /* both directions are one conversation if the caller numbers it */

    if (send->seq_given
        && ngx_memn2cmp(a->data, b->data, a->len, b->len) > 0)
    {
        a = &send->msg.to;
        b = &send->msg.from;
    }

    dk.data = ngx_pnalloc(ctx->pool, sizeof("i\n\n\n") + a->len + b->len
                                     + 3 * (NGX_INT64_LEN + 1));
    if (dk.data == NULL) {
        return im_message_code(ctx, NGX_ERROR);
    }

    p = ngx_sprintf(dk.data, "i\n%V\n%V\n%L|%L|%L", a, b, send->msg.mseq,
                    send->msg.rand, send->msg.time);
    dk.len = p - dk.data;

    switch (sync) {

    case IM_SYNC_REAL_TIME:
        flags = IM_F_SILENT;
        break;

    case IM_SYNC_HISTORY:
        flags = IM_F_SILENT|IM_F_IMPORT;
        break;

    default:
        flags = 0;
        send->push_own = 1;
        break;
    }

    send->keep_own = 1;

    batch = im_store_batch(ctx, IM_ORDERED);

    im_message_add(ctx, batch, send, &dk, flags, &ops);

    rc = im_store_commit(ctx, batch);

    if (rc == NGX_DECLINED) {            /* the first import wins */
        return IM_OK;
    }

    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    if (flags) {

        if (ops.has_in) {
            im_inbox_skip(ctx, &send->msg.to, batch->ops[ops.in].result);
        }

        im_inbox_skip(ctx, &send->msg.from, batch->ops[ops.out].result);

        return IM_OK;
    }

    return im_message_publish(ctx, send, &ops.msg, ops.has_in,
                              ops.has_in ? batch->ops[ops.in].result : 0, 1,
                              batch->ops[ops.out].result);
}
