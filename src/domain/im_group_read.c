
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_conv.h"
#include "domain/im_group_item.h"
#include "domain/im_group_read.h"
#include "domain/im_group_row.h"
#include "domain/im_inbox.h"


#define IM_READ_PAGE  500


static ngx_int_t im_group_read_at(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group, int64_t seq);


void
im_group_read_key(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_key_t *key)
{
    u_char     buf[NGX_INT64_LEN];
    ngx_str_t  peer;

    peer.data = buf;
    peer.len = ngx_sprintf(buf, "%L", group->gno) - buf;

    im_key_init(key, ctx->app->id);
    im_key_str(key, user);
    im_key_int(key, IM_CONV_GROUP);
    im_key_str(key, &peer);
}


void
im_group_read_delete(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    ngx_str_t *user)
{
    im_key_t  key;

    im_group_read_key(ctx, group, user, &key);
    im_store_delete(batch, IM_T_READ, &key);

    im_key_init(&key, ctx->app->id);
    im_key_str(&key, user);
    im_key_int(&key, IM_CONV_GROUP);
    im_key_str(&key, &group->gid);

    im_store_delete(batch, IM_T_CONV, &key);
}


void
im_group_read_set(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    ngx_str_t *user, int64_t seq)
{
    im_doc_t  *doc;
    im_key_t   key;

    im_group_read_key(ctx, group, user, &key);

    doc = im_doc(ctx->pool);
    im_doc_int(doc, "seq", seq);

    im_store_set(batch, IM_T_READ, &key, doc);
}


void
im_group_read_max(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    ngx_str_t *user, int64_t seq, int64_t sent)
{
    im_key_t  key;

    im_group_read_key(ctx, group, user, &key);

    im_store_max(batch, IM_T_READ, &key, "seq", seq);

    if (sent) {
        im_store_max(batch, IM_T_READ, &key, "sent", sent);
    }
}


ngx_int_t
im_group_read_get(im_ctx_t *ctx, im_group_t *group, ngx_str_t *users,
    ngx_uint_t n, im_group_read_t *reads)
{
    im_key_t    *keys;
    im_row_t    *rows;
    ngx_int_t    rc;
    ngx_uint_t   i, k, m;

    ngx_memzero(reads, n * sizeof(im_group_read_t));

    m = ngx_min(n, IM_READ_PAGE);

    keys = ngx_palloc(ctx->pool, (m + 1) * sizeof(im_key_t));
    rows = ngx_palloc(ctx->pool, (m + 1) * sizeof(im_row_t));

    if (keys == NULL || rows == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i += m) {

        m = ngx_min(n - i, IM_READ_PAGE);

        for (k = 0; k < m; k++) {
            im_group_read_key(ctx, group, &users[i + k], &keys[k]);
        }

        ngx_memzero(rows, m * sizeof(im_row_t));

        rc = im_store_get_many(ctx, IM_T_READ, keys, m, rows);
        if (rc != NGX_OK) {
            return rc;
        }

        for (k = 0; k < m; k++) {
            if (rows[k].data.data) {
                (void) im_row_int(&rows[k], "seq", &reads[i + k].seq);
                (void) im_row_int(&rows[k], "sent", &reads[i + k].sent);
            }
        }
    }

    return NGX_OK;
}


ngx_int_t
im_group_unread(im_ctx_t *ctx, im_group_t *group, int64_t read, int64_t head,
    int64_t *n)
{
    ngx_int_t   rc;
    ngx_uint_t  silent;

    *n = 0;

    if (!group->type->unread || read >= head) {
        return NGX_OK;
    }

    rc = im_group_row_nocount(ctx, group->gno, read + 1, head, &silent);

    if (rc == NGX_OK) {
        *n = ngx_max(head - read - (int64_t) silent, 0);
    }

    return rc;
}


im_code_t
im_group_read_report(im_ctx_t *ctx, im_group_t *group, int64_t seq)
{
    ngx_int_t    rc;
    ngx_str_t    event;
    im_json_t   *body, *item;
    im_batch_t  *batch;
    ngx_uint_t   moved;

    batch = im_store_batch(ctx, IM_ORDERED);

    rc = im_group_read_add(ctx, batch, group, &seq, &moved);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    if (batch && batch->n == 0) {
        return IM_OK;
    }

    rc = im_store_commit(ctx, batch);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return im_group_code(rc);
    }

    if (!moved) {
        return IM_OK;
    }

    body = im_json_new_obj(ctx->pool);

    im_json_add_int(body, "ReportType", 15);
    im_json_add_str(body, "Operator_Account", &ctx->user);
    item = im_json_push_obj(im_json_add_list(body, "GroupReadInfoArray"));
    im_json_add_str(item, "GroupId", &group->gid);
    im_json_add_int(item, "LastReadMsgSeq", seq);

    if (im_group_item_system(ctx, group, IM_ITEM_NOTICE, body, &ctx->user,
                             NULL, NULL, &event)
        == NGX_OK)
    {
        im_inbox_publish(ctx, &ctx->user, 0, ctx->inst, &event);
    }

    return IM_OK;
}


ngx_int_t
im_group_read_add(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    int64_t *seq, ngx_uint_t *moved)
{
    int64_t          head;
    ngx_int_t        rc;
    im_group_read_t  read;

    rc = im_group_read_get(ctx, group, &ctx->user, 1, &read);

    if (rc == NGX_OK) {
        rc = im_group_head(ctx, group->gno, &head, NULL);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    *seq = ngx_min(*seq, head);
    *moved = (*seq > read.seq);

    rc = im_group_read_at(ctx, batch, group, *seq);

    if (rc == NGX_OK && *moved) {
        im_group_read_max(ctx, batch, group, &ctx->user, *seq, 0);
    }

    return rc;
}


/* @-tips of messages that were read are handled. */

static ngx_int_t
im_group_read_at(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    int64_t seq)
{
    im_key_t      key;
    ngx_int_t     rc;
    ngx_uint_t    i;
    im_inbox_t   *row;
    ngx_array_t   rows;

    if (ngx_array_init(&rows, ctx->pool, 8, sizeof(im_inbox_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = im_inbox_kept(ctx, &ctx->user, ctx->app->notices_max, &rows);
    if (rc != NGX_OK) {
        return rc;
    }

    row = rows.elts;

    for (i = 0; i < rows.nelts; i++) {

        if (row[i].type == IM_INBOX_AT
            && im_str_eq(&row[i].peer, &group->gid)
            && row[i].cid <= seq)
        {
            im_inbox_key(ctx, &ctx->user, &key);
            im_key_int(&key, row[i].seq);

            im_store_delete(batch, IM_T_INBOX, &key);
        }
    }

    return NGX_OK;
}


im_code_t
im_group_unread_set(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    int64_t n)
{
    int64_t      head;
    ngx_int_t    rc;
    im_batch_t  *batch;

    rc = im_group_head(ctx, group->gno, &head, NULL);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    batch = im_store_batch(ctx, IM_ORDERED);

    im_group_read_set(ctx, batch, group, user, head - ngx_min(n, head));

    return im_group_code(im_store_commit(ctx, batch));
}
