
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "domain/im_inbox.h"
#include "domain/im_message.h"
#include "live/im_session.h"


#define IM_INBOX_NOBODY  0xffffffff      /* no instance has this number */
#define IM_INBOX_LIMIT   500


static ngx_int_t im_inbox_messages(im_ctx_t *ctx, ngx_str_t *user,
    ngx_array_t *rows, ngx_array_t *items);


im_record_t  im_inbox_record[] = {
    { ngx_string("seq"), IM_COL_INT, offsetof(im_inbox_t, seq) },
    { ngx_string("type"), IM_COL_INT, offsetof(im_inbox_t, type) },
    { ngx_string("flags"), IM_COL_INT, offsetof(im_inbox_t, flags) },
    { ngx_string("cid"), IM_COL_INT, offsetof(im_inbox_t, cid) },
    { ngx_string("peer"), IM_COL_STR, offsetof(im_inbox_t, peer) },
    { ngx_string("time"), IM_COL_INT, offsetof(im_inbox_t, time) },
    { ngx_string("ord"), IM_COL_INT, offsetof(im_inbox_t, ord) },
    { ngx_string("mseq"), IM_COL_INT, offsetof(im_inbox_t, mseq) },
    { ngx_string("rand"), IM_COL_INT, offsetof(im_inbox_t, rand) },
    { ngx_string("dir"), IM_COL_INT, offsetof(im_inbox_t, dir) },
    { ngx_string("dk"), IM_COL_STR, offsetof(im_inbox_t, dk) },
    { ngx_string("kept"), IM_COL_INT, offsetof(im_inbox_t, kept) },
    { ngx_string("inst"), IM_COL_INT, offsetof(im_inbox_t, inst) },
    { ngx_string("expire"), IM_COL_INT, offsetof(im_inbox_t, expire) },
    { ngx_string("event"), IM_COL_STR, offsetof(im_inbox_t, event) },
      im_null_record
};


void
im_inbox_key(im_ctx_t *ctx, ngx_str_t *user, im_key_t *key)
{
    im_key_init(key, ctx->app->id);
    im_key_str(key, user);
}


ngx_uint_t
im_inbox_append(im_ctx_t *ctx, im_batch_t *batch, ngx_str_t *user,
    im_inbox_t *row)
{
    im_doc_t  *doc;
    im_key_t   key;

    row->seq = 0;                        /* a key column, not the caller's */

    if (row->expire == 0) {
        row->expire = ngx_time() + ctx->app->history;
    }

    im_inbox_key(ctx, user, &key);
    doc = im_record_doc(ctx->pool, im_inbox_record, row);

    return im_store_append(batch, IM_T_INBOX, &key, doc);
}


void
im_inbox_publish(im_ctx_t *ctx, ngx_str_t *user, int64_t seq,
    uint32_t except_inst, ngx_str_t *event)
{
    (void) im_session_publish(ctx->app->id, user, seq, except_inst, 0, 0,
                              event);
}


void
im_inbox_skip(im_ctx_t *ctx, ngx_str_t *user, int64_t seq)
{
    ngx_str_t  event;

    ngx_str_set(&event, "{}");

    (void) im_session_publish(ctx->app->id, user, seq, 0, IM_INBOX_NOBODY, 0,
                              &event);
}


ngx_int_t
im_inbox_event(im_ctx_t *ctx, ngx_str_t *user, uint32_t except_inst,
    im_json_t *event)
{
    ngx_int_t    rc;
    ngx_uint_t   op;
    im_batch_t  *batch;
    im_inbox_t   row;

    ngx_memzero(&row, sizeof(im_inbox_t));

    row.type = IM_INBOX_EVENT;
    row.inst = except_inst;

    if (im_json_render(ctx->pool, event, &row.event) != NGX_OK) {
        return NGX_ERROR;
    }

    batch = im_store_batch(ctx, IM_ORDERED);
    op = im_inbox_append(ctx, batch, user, &row);

    rc = im_store_commit(ctx, batch);
    if (rc != NGX_OK) {
        return rc;
    }

    im_fault("before_publish");

    im_inbox_publish(ctx, user, batch->ops[op].result, except_inst,
                     &row.event);

    return NGX_OK;
}


ngx_int_t
im_inbox_head(im_ctx_t *ctx, ngx_str_t *user, int64_t *seq)
{
    im_key_t  key;

    im_inbox_key(ctx, user, &key);

    return im_store_head(ctx, IM_T_INBOX, &key, seq);
}


ngx_int_t
im_inbox_rows(im_ctx_t *ctx, ngx_str_t *user, int64_t from, ngx_uint_t limit,
    ngx_array_t *rows)
{
    im_key_t   prefix, first;
    ngx_int_t  rc;

    im_inbox_key(ctx, user, &prefix);

    first = prefix;
    im_key_int(&first, from + 1);

    rc = im_store_scan(ctx, IM_T_INBOX, 0, &prefix, &first, NULL, IM_ASC,
                       limit, im_inbox_collect, rows);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


ngx_int_t
im_inbox_kept(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t limit,
    ngx_array_t *rows)
{
    im_key_t     prefix;
    ngx_int_t    rc;
    im_inbox_t  *row, tmp;
    ngx_uint_t   i, n;

    im_inbox_key(ctx, user, &prefix);

    rc = im_store_scan(ctx, IM_T_INBOX, IM_INBOX_KEPT, &prefix, NULL, NULL,
                       IM_DESC, limit, im_inbox_collect, rows);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    row = rows->elts;
    n = rows->nelts;

    for (i = 0; i < n / 2; i++) {
        tmp = row[i];
        row[i] = row[n - 1 - i];
        row[n - 1 - i] = tmp;
    }

    return NGX_OK;
}


ngx_int_t
im_inbox_collect(im_row_t *row, void *data)
{
    ngx_array_t  *rows = data;

    im_inbox_t  *r;

    r = ngx_array_push(rows);
    if (r == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(r, sizeof(im_inbox_t));
    im_record_load(row, im_inbox_record, r);

    return NGX_OK;
}


ngx_int_t
im_inbox_read(im_ctx_t *ctx, ngx_str_t *user, int64_t from, ngx_uint_t limit,
    ngx_array_t *items, int64_t *last, ngx_uint_t *more)
{
    ngx_int_t     rc;
    im_inbox_t   *row;
    ngx_array_t   rows;

    *last = from;
    *more = 0;

    limit = ngx_min(limit, IM_INBOX_LIMIT);

    if (ngx_array_init(&rows, ctx->pool, 16, sizeof(im_inbox_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = im_inbox_rows(ctx, user, from, limit + 1, &rows);
    if (rc != NGX_OK) {
        return rc;
    }

    if (rows.nelts > limit) {
        rows.nelts = limit;
        *more = 1;
    }

    if (rows.nelts == 0) {
        return NGX_OK;
    }

    row = rows.elts;
    *last = row[rows.nelts - 1].seq;

    return im_inbox_messages(ctx, user, &rows, items);
}


static ngx_int_t
im_inbox_messages(im_ctx_t *ctx, ngx_str_t *user, ngx_array_t *rows,
    ngx_array_t *items)
{
    int64_t          *ids;
    ngx_int_t         rc;
    ngx_uint_t        i, n, m;
    im_inbox_t       *row;
    im_message_t     *msg;
    im_profile_t     *profile;
    im_inbox_item_t  *item;

    row = rows->elts;

    ids = ngx_palloc(ctx->pool, rows->nelts * sizeof(int64_t));
    msg = ngx_palloc(ctx->pool, rows->nelts * sizeof(im_message_t));
    profile = ngx_palloc(ctx->pool, rows->nelts * sizeof(im_profile_t));

    if (ids == NULL || msg == NULL || profile == NULL) {
        return NGX_ERROR;
    }

    n = 0;
    m = 0;

    for (i = 0; i < rows->nelts; i++) {

        if ((row[i].flags & (IM_F_SILENT|IM_F_RECALLED|IM_F_HIDDEN))
            || (row[i].inst && row[i].inst == (int64_t) ctx->inst))
        {
            continue;
        }

        if (row[i].type == IM_INBOX_MSG) {
            ids[m++] = row[i].cid;
        }

        row[n++] = row[i];
    }

    rc = im_message_get_many(ctx, ids, m, msg);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = im_message_senders(ctx, msg, m, profile);
    if (rc != NGX_OK) {
        return rc;
    }

    m = 0;

    for (i = 0; i < n; i++) {

        if (row[i].type == IM_INBOX_MSG && msg[m++].id == 0) {
            continue;
        }

        if (row[i].type != IM_INBOX_MSG && row[i].event.len == 0) {
            continue;
        }

        item = ngx_array_push(items);
        if (item == NULL) {
            return NGX_ERROR;
        }

        item->seq = row[i].seq;
        item->event = row[i].event;

        if (row[i].type == IM_INBOX_MSG
            && im_message_event(ctx, &msg[m - 1], &profile[m - 1], user,
                                &item->event)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
