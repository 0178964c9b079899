
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_conv.h"
#include "domain/im_message.h"


#define IM_CONV_TRIES  8


static void im_conv_key(im_ctx_t *ctx, ngx_str_t *user, int64_t type,
    im_key_t *key);
static ngx_int_t im_conv_collect(im_row_t *row, void *data);


/* The first two are the key's and not stored in the document. */

static im_record_t  im_conv_record[] = {
    { ngx_string("type"), IM_COL_INT, offsetof(im_conv_t, type) },
    { ngx_string("peer"), IM_COL_STR, offsetof(im_conv_t, peer) },
    { ngx_string("mute"), IM_COL_INT, offsetof(im_conv_t, mute) },
    { ngx_string("mute_time"), IM_COL_INT, offsetof(im_conv_t, mute_time) },
    { ngx_string("cleared"), IM_COL_INT, offsetof(im_conv_t, cleared) },
    { ngx_string("deleted"), IM_COL_INT, offsetof(im_conv_t, deleted) },
    { ngx_string("pinned"), IM_COL_INT, offsetof(im_conv_t, pinned) },
    { ngx_string("marks"), IM_COL_INT, offsetof(im_conv_t, marks) },
    { ngx_string("custom"), IM_COL_STR, offsetof(im_conv_t, custom) },
    { ngx_string("groups"), IM_COL_STR, offsetof(im_conv_t, groups) },
      im_null_record
};


ngx_int_t
im_conv_get(im_ctx_t *ctx, ngx_str_t *user, int64_t type, ngx_str_t *peer,
    im_conv_t *conv)
{
    im_key_t   key;
    im_row_t   row;
    ngx_int_t  rc;

    im_conv_key(ctx, user, type, &key);
    im_key_str(&key, peer);

    rc = im_store_get(ctx, IM_T_CONV, &key, &row);

    if (rc == NGX_OK) {
        im_conv_load(&row, conv);

    } else if (rc == NGX_DECLINED) {
        ngx_memzero(conv, sizeof(im_conv_t));
        conv->type = type;
        conv->peer = *peer;
        rc = NGX_OK;
    }

    return rc;
}


void
im_conv_load(im_row_t *row, im_conv_t *conv)
{
    ngx_memzero(conv, sizeof(im_conv_t));

    im_record_load(row, im_conv_record, conv);
    conv->version = row->version;
}


ngx_int_t
im_conv_get_many(im_ctx_t *ctx, ngx_str_t *user, int64_t type,
    ngx_str_t *peers, ngx_uint_t n, im_conv_t *convs)
{
    im_key_t    *keys;
    im_row_t    *rows;
    ngx_int_t    rc;
    ngx_uint_t   i;

    if (n == 0) {
        return NGX_OK;
    }

    keys = ngx_palloc(ctx->pool, n * sizeof(im_key_t));
    rows = ngx_pcalloc(ctx->pool, n * sizeof(im_row_t));

    if (keys == NULL || rows == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        im_conv_key(ctx, user, type, &keys[i]);
        im_key_str(&keys[i], &peers[i]);
    }

    rc = im_store_get_many(ctx, IM_T_CONV, keys, n, rows);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        if (rows[i].data.data) {
            im_conv_load(&rows[i], &convs[i]);

        } else {
            ngx_memzero(&convs[i], sizeof(im_conv_t));
            convs[i].type = type;
            convs[i].peer = peers[i];
        }
    }

    return NGX_OK;
}


void
im_conv_put(im_ctx_t *ctx, im_batch_t *batch, ngx_str_t *user,
    im_conv_t *conv)
{
    im_key_t  key;

    im_conv_key(ctx, user, conv->type, &key);
    im_key_str(&key, &conv->peer);

    (void) im_store_replace(batch, IM_T_CONV, &key, conv->version,
                            im_record_doc(ctx->pool, im_conv_record + 2,
                                          conv));
}


static void
im_conv_key(im_ctx_t *ctx, ngx_str_t *user, int64_t type, im_key_t *key)
{
    im_key_init(key, ctx->app->id);
    im_key_str(key, user);
    im_key_int(key, type);
}


ngx_int_t
im_conv_each(im_ctx_t *ctx, ngx_str_t *user, int64_t type,
    ngx_array_t *convs)
{
    im_key_t   prefix;
    ngx_int_t  rc;

    im_conv_key(ctx, user, type, &prefix);

    rc = im_store_scan(ctx, IM_T_CONV, 0, &prefix, NULL, NULL, IM_ASC,
                       IM_CONV_LIMIT, im_conv_collect, convs);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


ngx_int_t
im_conv_pinned(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t limit,
    ngx_array_t *convs)
{
    im_key_t   prefix;
    ngx_int_t  rc;

    im_key_init(&prefix, ctx->app->id);
    im_key_str(&prefix, user);

    rc = im_store_scan(ctx, IM_T_CONV, IM_CONV_PINNED, &prefix, NULL, NULL,
                       IM_DESC, limit, im_conv_collect, convs);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_conv_collect(im_row_t *row, void *data)
{
    ngx_array_t  *convs = data;

    im_conv_t  *conv;

    conv = ngx_array_push(convs);
    if (conv == NULL) {
        return NGX_ERROR;
    }

    im_conv_load(row, conv);

    return NGX_OK;
}


im_code_t
im_conv_mute(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer, int64_t mute,
    int64_t *seq)
{
    ngx_int_t     rc;
    im_json_t    *root, *notify;
    im_conv_t     conv;
    ngx_uint_t    op, tries;
    ngx_time_t   *tp;
    im_batch_t   *batch;
    im_inbox_t    row;

    for (tries = 0; tries < IM_CONV_TRIES; tries++) {

        rc = im_conv_get(ctx, user, IM_CONV_C2C, peer, &conv);
        if (rc != NGX_OK) {
            return im_message_code(ctx, rc);
        }

        tp = ngx_timeofday();

        conv.mute = mute;
        conv.mute_time = (int64_t) tp->sec * 1000 + tp->msec;
        *seq = conv.mute_time;

        root = im_message_notify(ctx, "MuteNotificationsSync", &notify);
        im_json_add_str(notify, "To_Account", peer);
        im_json_add_int(notify, "UpdateSeq", conv.mute_time);
        im_json_add_int(notify, "MuteNotifications", mute);

        ngx_memzero(&row, sizeof(im_inbox_t));

        row.type = IM_INBOX_EVENT;
        row.inst = ctx->inst;

        if (im_json_render(ctx->pool, root, &row.event) != NGX_OK) {
            return im_message_code(ctx, NGX_ERROR);
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_conv_put(ctx, batch, user, &conv);
        op = im_inbox_append(ctx, batch, user, &row);

        rc = im_store_commit(ctx, batch);

        if (rc == NGX_OK) {
            im_inbox_publish(ctx, user, batch->ops[op].result, ctx->inst,
                             &row.event);
            return IM_OK;
        }

        if (rc != NGX_DECLINED) {        /* else changed since we read it */
            return im_message_code(ctx, rc);
        }
    }

    return im_message_code(ctx, NGX_BUSY);
}
