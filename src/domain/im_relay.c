
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/rand.h>
#include "core/im_str.h"
#include "domain/im_relay.h"


#define IM_RELAY_KEY  16


ngx_int_t
im_relay_save(im_ctx_t *ctx, ngx_str_t *list, ngx_str_t *key)
{
    u_char       random[IM_RELAY_KEY];
    im_doc_t    *doc;
    im_key_t     k;
    ngx_int_t    rc;
    ngx_str_t    bytes;
    im_batch_t  *batch;

    if (RAND_bytes(random, IM_RELAY_KEY) != 1) {
        ngx_log_error(NGX_LOG_CRIT, ctx->log, 0, "RAND_bytes() failed");
        return NGX_ERROR;
    }

    bytes.data = random;
    bytes.len = IM_RELAY_KEY;

    if (im_str_hex(ctx->pool, key, &bytes) != NGX_OK) {
        return NGX_ERROR;
    }

    doc = im_doc(ctx->pool);

    im_doc_str(doc, "list", list);
    im_doc_int(doc, "expire", ngx_time() + ctx->app->history);

    im_key_init(&k, ctx->app->id);
    im_key_str(&k, key);

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_store_insert(batch, IM_T_RELAY, &k, doc);

    rc = im_store_commit(ctx, batch);

    return (rc == NGX_DECLINED) ? NGX_ERROR : rc;
}


ngx_int_t
im_relay_get(im_ctx_t *ctx, ngx_str_t *key, ngx_str_t *list)
{
    im_key_t   k;
    im_row_t   row;
    ngx_int_t  rc;

    if (key->len != 2 * IM_RELAY_KEY) {
        return NGX_DECLINED;
    }

    im_key_init(&k, ctx->app->id);
    im_key_str(&k, key);

    rc = im_store_get(ctx, IM_T_RELAY, &k, &row);
    if (rc != NGX_OK) {
        return rc;
    }

    return im_row_str(&row, "list", list);
}
