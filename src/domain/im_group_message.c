
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_fault.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "live/im_room_node.h"
#include "live/im_limit.h"
#include "live/im_zone.h"
#include "domain/im_account.h"
#include "domain/im_cache.h"
#include "domain/im_callback.h"
#include "domain/im_group_direct.h"
#include "domain/im_group_item.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "domain/im_group_join.h"
#include "domain/im_group_mute.h"
#include "domain/im_group_read.h"
#include "domain/im_group_row.h"
#include "domain/im_inbox.h"
#include "domain/im_message.h"
#include "domain/im_word.h"


#define IM_SEND_MARKER  3000         /* ms that a send takes at most */
#define IM_SEND_STEP    20
#define IM_SEND_TRIES   4
#define IM_KEY_SENDER_RATE  (IM_KEY_OTHER + 10)
#define IM_AT_USERS     30
#define IM_IMPORTED     -1           /* before */
#define IM_IMPORTED_AS  -2           /* another one of the same call */
#define IM_IMPORT_READS 500
#define IM_SEND_RESULT  (3 * NGX_INT64_LEN)


/* Who is mentioned. */

typedef struct {
    ngx_uint_t         n;
    ngx_uint_t         all;
    ngx_str_t          users[IM_AT_USERS];
    ngx_str_t          events[IM_AT_USERS];
    ngx_uint_t         ops[IM_AT_USERS];
} im_group_at_t;


static im_code_t im_group_message_live(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send);
static im_code_t im_group_message_stored(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send);
static ngx_int_t im_group_message_dk(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, int64_t time, ngx_str_t *dk);
static ngx_int_t im_group_message_duplicate(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, im_group_row_t *row);
static im_code_t im_group_message_after(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, im_group_row_t *row);
static im_code_t im_group_message_import_read(im_ctx_t *ctx,
    im_group_t *group);
static ngx_int_t im_group_message_online(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row);
static void im_group_message_at(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group, im_group_send_t *send, im_group_row_t *row,
    im_group_at_t *at);
static ngx_int_t im_group_message_at_event(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row, ngx_uint_t me, ngx_uint_t all, ngx_str_t *event);
static im_code_t im_group_message_rights(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, ngx_str_t *card, ngx_uint_t *exempt);
static im_code_t im_group_message_sender(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send);
static im_code_t im_group_message_ask(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, ngx_str_t *card, ngx_uint_t *exempt);
static ngx_msec_t im_group_message_busy(im_ctx_t *ctx,
    im_group_send_t *send);
static ngx_int_t im_group_message_rate(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, ngx_uint_t exempt);
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
    im_group_t  old;

    old = *group;                    /* it may be gone afterwards */

    rc = im_group_message_marker(ctx, group, send, key);

    if (rc == NGX_DONE) {
        return IM_OK;
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    code = group->type->live ? im_group_message_live(ctx, group, send)
                             : im_group_message_stored(ctx, group, send);

    if (code != IM_OK) {
        im_marker_release(key);

        if (!send->refused) {
            im_callback_group_refused(ctx, &old, send, code);
        }

        return code;
    }

    result.data = buf;
    result.len = ngx_sprintf(buf, "%L %L %ui", send->seq, send->time,
                             send->dropped)
                 - buf;

    (void) im_marker_done(key, &result,
                          (ngx_msec_t) ctx->app->dedup_group * 1000);

    if (!send->dropped && !send->repeated) {
        im_callback_group_after_send(ctx, group, send);
    }

    if (send->dropped == IM_DROPPED_RATE) {
        im_callback_group_refused(ctx, group, send, IM_E_GROUP_SENDER_FREQ);
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

    code = im_group_message_rights(ctx, group, send, &send->card, &exempt);

    if (code == IM_OK) {
        code = im_group_message_sender(ctx, group, send);
    }

    if (code == IM_OK) {
        code = im_group_message_ask(ctx, group, send, &send->card, &exempt);
    }

    if (code != IM_OK) {
        return code;
    }

    send->time = ngx_time();

    if (send->dropped
        || im_group_message_rate(ctx, group, send, exempt) != NGX_OK)
    {
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


/* Dirty words, and the app's own verdict; after it the group and the rights
 * may be others. */

static im_code_t
im_group_message_ask(im_ctx_t *ctx, im_group_t *group, im_group_send_t *send,
    ngx_str_t *card, ngx_uint_t *exempt)
{
    int64_t        gno;
    im_code_t      code;
    ngx_str_t      gid;
    im_verdict_t   verdict;

    if (!(send->opts & IM_MSG_NO_CHECK)
        && im_word_dirty_message(ctx, &send->body))
    {
        return IM_E_DIRTY;
    }

    code = im_callback_group_before_send(ctx, group, send, &verdict);

    if (code != IM_OK) {
        send->refused = 1;
        return code;
    }

    if (!verdict.waited) {
        return IM_OK;
    }

    gid = group->gid;
    gno = group->gno;

    code = im_group_load(ctx, &gid, group);

    if (code == IM_OK && group->gno != gno) {
        code = IM_E_GROUP_NONE;
    }

    if (code == IM_OK) {
        code = im_group_message_rights(ctx, group, send, card, exempt);
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


static im_code_t
im_group_message_stored(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send)
{
    ngx_int_t        rc;
    im_code_t        code;
    ngx_uint_t       op, exempt;
    im_batch_t      *batch;
    im_group_row_t   row;

    send->time = ngx_time();

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

    code = im_group_message_rights(ctx, group, send, &row.card, &exempt);

    if (code == IM_OK) {
        code = im_group_message_sender(ctx, group, send);
    }

    if (code == IM_OK && send->nto) {
        code = im_group_direct_names(ctx, group, &send->from, send->to,
                                     send->nto, &row.to);
    }

    if (code == IM_OK) {
        code = im_group_message_ask(ctx, group, send, &row.card, &exempt);
    }

    if (code != IM_OK) {
        return code;
    }

    send->time = ngx_time();

    if (send->dropped
        || im_group_message_rate(ctx, group, send, exempt) != NGX_OK)
    {
        return IM_OK;
    }

    row.type = IM_ROW_MESSAGE;
    row.from = send->from;
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

    im_callback_group_sent(ctx, batch, group, send, &row.dk);

    rc = im_store_commit(ctx, batch);

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
        return IM_E_GROUP_INTERNAL;
    }

    im_fault("after_commit");

    row.seq = batch->ops[op].result;
    send->seq = row.seq;

    return im_group_message_after(ctx, group, send, &row);
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
                          send->crc, time / ngx_max(ctx->app->dedup_group, 1))
              - p;

    return NGX_OK;
}


im_code_t
im_group_message_import(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *rows, im_code_t *codes, ngx_uint_t n)
{
    u_char          *p;
    int64_t          head, newest;
    ngx_int_t        rc;
    ngx_uint_t       i, k, *ops;
    im_batch_t      *batch;
    im_group_row_t   last, same;

    rc = im_group_head(ctx, group->gno, &head, &last);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    ops = ngx_palloc(ctx->pool, n * sizeof(ngx_uint_t));
    if (ops == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    newest = last.time;

    batch = im_store_batch(ctx, IM_ORDERED);

    for (i = 0; i < n; i++) {

        if (codes[i] != IM_OK) {
            continue;
        }

        p = ngx_pnalloc(ctx->pool, rows[i].from.len
                                   + 3 * (NGX_INT64_LEN + 1) + 3);
        if (p == NULL) {
            return IM_E_GROUP_INTERNAL;
        }

        rows[i].dk.data = p;
        rows[i].dk.len = ngx_sprintf(p, "i|%V|%L|%uD|%L", &rows[i].from,
                                     rows[i].random,
                                     ngx_crc32_long(rows[i].body.data,
                                                    rows[i].body.len),
                                     rows[i].time)
                         - p;

        for (k = 0; k < i; k++) {
            if (im_str_eq(&rows[k].dk, &rows[i].dk)) {
                break;
            }
        }

        if (k < i) {
            ops[i] = k;
            codes[i] = IM_IMPORTED_AS;
            continue;
        }

        /* a call that is repeated finds what it has imported */

        rc = im_group_row_by_dk(ctx, group->gno, &rows[i].dk, &same);

        if (rc == NGX_OK) {
            rows[i].seq = same.seq;
            codes[i] = IM_IMPORTED;
            continue;
        }

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        if (rows[i].time <= group->created
            || rows[i].time < newest
            || rows[i].time >= ngx_time())
        {
            codes[i] = IM_E_GROUP_PARAM;
            continue;
        }

        newest = rows[i].time;

        rows[i].type = IM_ROW_MESSAGE;
        rows[i].prio = IM_ROOM_NORMAL;
        im_group_row_sender(ctx, &rows[i]);

        ops[i] = im_group_row_append(ctx, batch, group, &rows[i]);
    }

    if (batch && batch->n) {

        rc = im_store_commit(ctx, batch);

        if (rc != NGX_OK) {
            return IM_E_GROUP_INTERNAL;
        }
    }

    for (i = 0; i < n; i++) {

        if (codes[i] == IM_OK) {
            rows[i].seq = batch->ops[ops[i]].result;

        } else if (codes[i] == IM_IMPORTED) {
            codes[i] = IM_OK;

        } else if (codes[i] == IM_IMPORTED_AS) {
            codes[i] = codes[ops[i]];
            rows[i].seq = rows[ops[i]].seq;
        }
    }

    return im_group_message_import_read(ctx, group);
}


/* Nothing of it is unread for those who are members already. */

static im_code_t
im_group_message_import_read(im_ctx_t *ctx, im_group_t *group)
{
    int64_t             head;
    ngx_int_t           rc;
    im_code_t           code;
    ngx_uint_t          i;
    im_batch_t         *batch;
    ngx_array_t         members;
    im_group_member_t  *m;

    if (ngx_array_init(&members, ctx->pool, 16, sizeof(im_group_member_t))
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    code = im_group_member_list(ctx, group, &members);
    if (code != IM_OK) {
        return code;
    }

    rc = im_group_head(ctx, group->gno, &head, NULL);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    m = members.elts;
    batch = NULL;

    for (i = 0; i < members.nelts; i++) {

        if (batch == NULL) {
            batch = im_store_batch(ctx, IM_ORDERED);
        }

        im_group_read_max(ctx, batch, group, &m[i].user, head, 0);

        if (i % IM_IMPORT_READS == IM_IMPORT_READS - 1
            || i == members.nelts - 1)
        {
            rc = im_store_commit(ctx, batch);
            if (rc != NGX_OK) {
                return im_group_code(rc);
            }

            batch = NULL;
        }
    }

    return IM_OK;
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

    im_group_message_at(ctx, batch, group, send, row, at);

    rc = im_store_commit(ctx, batch);

    if (rc == NGX_DECLINED) {            /* the tips are there already */
        return IM_OK;
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    for (i = 0; i < at->n; i++) {
        im_inbox_publish(ctx, &at->users[i], batch->ops[at->ops[i]].result, 0,
                         &at->events[i]);
    }

    if (at->all
        && im_group_message_at_event(ctx, group, row, 0, 1, &event)
           == NGX_OK)
    {
        im_group_hint(ctx, group, &event, 0, ctx->peer);
    }

    return IM_OK;
}


/*
 * A row for each member who is mentioned by name; that all were mentioned is
 * in one place for the group.
 */

static void
im_group_message_at(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_send_t *send, im_group_row_t *row, im_group_at_t *at)
{
    u_char           *p;
    int64_t           flag;
    im_key_t          key;
    ngx_str_t         user;
    im_json_t        *node;
    im_inbox_t        in;
    ngx_uint_t        i;
    im_group_role_e   role;

    im_json_each(node, send->at_list) {
        if (im_json_get_int(node, "GroupAtAllFlag", &flag) == NGX_OK
            && flag
            && row->to.len == 0)
        {
            at->all = 1;
        }
    }

    im_json_each(node, send->at_list) {

        if (at->n == IM_AT_USERS
            || im_json_get_str(node, "GroupAt_Account", &user) != NGX_OK
            || im_str_eq(&user, &send->from)
            || !im_group_direct_visible(row, &user)
            || im_group_role_of(ctx, group, &user, &role) != IM_OK
            || role == IM_GROUP_NOBODY)
        {
            continue;
        }

        for (i = 0; i < at->n; i++) {
            if (im_str_eq(&at->users[i], &user)) {
                break;
            }
        }

        p = ngx_pnalloc(ctx->pool, 2 * NGX_INT64_LEN + sizeof("@||"));

        if (i < at->n
            || p == NULL
            || im_group_message_at_event(ctx, group, row, 1, at->all,
                                         &at->events[at->n])
               != NGX_OK)
        {
            continue;
        }

        ngx_memzero(&in, sizeof(im_inbox_t));

        in.type = IM_INBOX_AT;
        in.kept = 1;
        in.peer = group->gid;
        in.cid = row->seq;
        in.mseq = row->cseq ? row->cseq : row->seq;
        in.rand = row->random;
        in.time = row->time;
        in.event = at->events[at->n];
        in.expire = row->expire;
        in.dk.data = p;
        in.dk.len = ngx_sprintf(p, "@|%L|%L", group->gno, row->seq) - p;

        at->users[at->n] = user;
        at->ops[at->n++] = im_inbox_append(ctx, batch, &user, &in);
    }

    if (at->all) {
        im_group_at_all_key(ctx, group, &key);
        im_store_max(batch, IM_T_COUNT, &key, "value", row->seq);
    }
}


static ngx_int_t
im_group_message_at_event(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row, ngx_uint_t me, ngx_uint_t all, ngx_str_t *event)
{
    im_json_t  *root, *item;

    root = im_json_new_obj(ctx->pool);

    im_json_add_int(root, "Event", 12);
    item = im_json_push_obj(im_json_add_list(root, "GroupTips"));

    im_group_at_json(item, group, row, me, all);

    return im_json_render(ctx->pool, root, event);
}


void
im_group_at_json(im_json_t *item, im_group_t *group, im_group_row_t *row,
    ngx_uint_t me, ngx_uint_t all)
{
    im_json_t  *tip, *types;

    im_json_add_str(item, "From_Account", &row->from);
    im_json_add_str(item, "ToGroupId", &group->gid);
    im_json_add_int(item, "MsgRandom", row->random);
    im_json_add_int(item, "ClientSeq", row->cseq ? row->cseq : row->seq);
    im_json_add_int(item, "MsgSeq", row->seq);

    tip = im_json_add_obj(item, "GroupAtTips");

    im_json_add_str(tip, "GroupId", &group->gid);
    im_json_add_str(tip, "From_Account", &row->from);
    im_json_add_int(tip, "MsgSeq", row->seq);
    types = im_json_add_list(tip, "GroupAtType");

    if (me) {
        im_json_push_int(types, 1);
    }

    if (all) {
        im_json_push_int(types, 2);
    }
}


void
im_group_at_all_key(im_ctx_t *ctx, im_group_t *group, im_key_t *key)
{
    u_char     buf[NGX_INT64_LEN];
    ngx_str_t  kind, id;

    ngx_str_set(&kind, "at_all");

    id.data = buf;
    id.len = ngx_sprintf(buf, "%L", group->gno) - buf;

    im_key_init(key, ctx->app->id);
    im_key_str(key, &kind);
    im_key_str(key, &id);
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


/* NGX_DECLINED: over the limits of the group, send has the answer. */

static ngx_int_t
im_group_message_rate(im_ctx_t *ctx, im_group_t *group, im_group_send_t *send,
    ngx_uint_t exempt)
{
    im_room_limits_t  limits;

    ngx_memzero(&limits, sizeof(im_room_limits_t));
    limits.total = group->type->rates[IM_ROOM_HIGH];
    limits.prio[IM_ROOM_NORMAL] = group->type->rates[IM_ROOM_NORMAL];
    limits.prio[IM_ROOM_LOW] = group->type->rates[IM_ROOM_LOW];
    limits.prio[IM_ROOM_LOWEST] = group->type->rates[IM_ROOM_LOWEST];

    if (im_room_rate(ctx->app->id, group->gno, send->prio, exempt, &limits)
        == NGX_OK)
    {
        return NGX_OK;
    }

    send->seq = 0;
    send->dropped = IM_DROPPED_RATE;

    im_stat_add(IM_STAT_REFUSED + send->prio, 1);

    return NGX_DECLINED;
}


/* Member, mutes (README of the specification, steps 5 and 6). */

static im_code_t
im_group_message_rights(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, ngx_str_t *card, ngx_uint_t *exempt)
{
    ngx_int_t           rc;
    im_code_t           code;
    im_group_role_e     role;
    im_group_mute_t     mute;
    im_group_member_t   m;

    ngx_str_set(card, "");

    if (!group->type->live) {

        rc = im_group_member_get(ctx, group, &send->from, &m);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        *card = m.card;

    } else if (im_str_eq(&send->from, &group->owner)) {
        *card = group->owner_card;
    }

    code = send->forged ? im_group_role_of(ctx, group, &send->from, &role)
                        : im_group_role(ctx, group, &role);
    if (code != IM_OK) {
        return code;
    }

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


/* The sender's own limit, not that of the group. */

static im_code_t
im_group_message_sender(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send)
{
    u_char     key[IM_ZONE_KEY_LEN];
    ngx_str_t  parts[2];

    if (ctx->app->sender_rate == 0
        || (ctx->role == IM_ROLE_ADMIN && !send->forged))
    {
        return IM_OK;
    }

    parts[0].data = (u_char *) &group->gno;
    parts[0].len = sizeof(int64_t);
    parts[1] = send->from;

    im_zone_key(key, ctx->app->id, IM_KEY_SENDER_RATE, parts, 2);

    if (im_rate_take(key, ctx->app->sender_rate, ctx->app->sender_rate,
                     ngx_current_msec)
        != NGX_OK)
    {
        return IM_E_GROUP_SENDER_FREQ;
    }

    return IM_OK;
}


/* NGX_OK: the caller sends; NGX_DONE: it was sent, send has the answer. */

static ngx_int_t
im_group_message_marker(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, u_char *key)
{
    int64_t      num[2];
    ngx_int_t    rc;
    ngx_str_t    parts[4], result;
    ngx_uint_t   waited;

    num[0] = group->gno;
    num[1] = send->random;

    send->crc = ngx_crc32_long(send->body.data, send->body.len);

    parts[0].data = (u_char *) &num[0];
    parts[0].len = sizeof(int64_t);
    parts[1] = send->from;
    parts[2].data = (u_char *) &num[1];
    parts[2].len = sizeof(int64_t);
    parts[3].data = (u_char *) &send->crc;
    parts[3].len = sizeof(uint32_t);

    im_zone_key(key, ctx->app->id, IM_KEY_MESSAGE, parts, 4);

    for (waited = 0; /* void */ ; waited += IM_SEND_STEP) {

        rc = im_marker_take_all(key, im_group_message_busy(ctx, send),
                                ctx->pool, &result);

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

        rc = im_room_publish_all(ctx->app->id, group->gno, prio, text, 1,
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
    (void) im_room_block_all(ctx->app->id, group->gno,
                             last - IM_ROOM_BLOCK + 1, last);
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
