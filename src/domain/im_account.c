
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"


#define IM_ACCOUNT_USER_LEN  32
#define IM_TINYID_BASE       144115200000000000LL
#define IM_TINYID_BLOCK      1000


/* Numbers reserved for this worker, by app. */

typedef struct im_tinyid_block_s  im_tinyid_block_t;

struct im_tinyid_block_s {
    ngx_uint_t          app;
    int64_t             next;
    int64_t             last;
    im_tinyid_block_t  *link;
};


static ngx_int_t im_account_row(im_ctx_t *ctx, ngx_str_t *user,
    ngx_uint_t cached, im_row_t *row);
static ngx_int_t im_account_read(im_ctx_t *ctx, ngx_str_t *user,
    ngx_uint_t cached, im_account_t *account);
static ngx_int_t im_account_insert(im_ctx_t *ctx, im_batch_t *batch,
    ngx_str_t *user, int64_t type, im_account_t *account);
static ngx_int_t im_account_tinyid(im_ctx_t *ctx, ngx_str_t *tinyid);
static void im_account_key(im_ctx_t *ctx, ngx_str_t *user, im_key_t *key);


static im_tinyid_block_t  *im_tinyid_blocks;


static im_record_t  im_account_record[] = {
    { ngx_string("user"), IM_COL_STR, offsetof(im_account_t, user) },
    { ngx_string("tinyid"), IM_COL_STR, offsetof(im_account_t, tinyid) },
    { ngx_string("created"), IM_COL_INT, offsetof(im_account_t, created) },
    { ngx_string("kick"), IM_COL_INT, offsetof(im_account_t, kick) },
    { ngx_string("type"), IM_COL_INT, offsetof(im_account_t, type) },
    { ngx_string("blocked"), IM_COL_INT, offsetof(im_account_t, blocked) },
      im_null_record
};


ngx_uint_t
im_account_syntax(im_app_t *app, ngx_str_t *user)
{
    u_char      *p, *last;
    ngx_uint_t   ascii;

    if (user->len == 0 || user->len > IM_ACCOUNT_USER_LEN) {
        return 0;
    }

    ascii = 1;
    last = user->data + user->len;

    for (p = user->data; p < last; p++) {

        if (*p < 0x20 || *p == 0x7f) {
            return 0;
        }

        if (*p >= 0x80) {
            ascii = 0;
        }
    }

    return ascii
           || (app->allow_utf8_userid && im_str_utf8(user->data, user->len));
}


ngx_uint_t
im_account_is_admin(im_app_t *app, ngx_str_t *user)
{
    ngx_str_t   *admin;
    ngx_uint_t   i;

    admin = app->admins.elts;

    for (i = 0; i < app->admins.nelts; i++) {
        if (im_str_eq(&admin[i], user)) {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
im_account_get(im_ctx_t *ctx, ngx_str_t *user, im_account_t *account)
{
    return im_account_read(ctx, user, 1, account);
}


void
im_account_mark(im_ctx_t *ctx, ngx_str_t *user, im_cache_mark_t *mark)
{
    im_key_t  key;

    im_account_key(ctx, user, &key);
    im_cache_mark_exact(IM_T_ACCOUNT, &key, mark);
}


ngx_int_t
im_account_find(im_ctx_t *ctx, ngx_str_t *user)
{
    im_row_t   row;
    ngx_int_t  rc;

    rc = im_account_row(ctx, user, 1, &row);

    return (rc == NGX_DONE) ? NGX_OK : rc;
}


ngx_int_t
im_account_load(im_ctx_t *ctx, ngx_str_t *user, im_account_t *account)
{
    return im_account_read(ctx, user, 0, account);
}


/* NGX_DONE: an administrator who has none yet. */

static ngx_int_t
im_account_row(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t cached,
    im_row_t *row)
{
    im_key_t   key;
    ngx_int_t  rc;

    if (!im_account_syntax(ctx->app, user)) {
        return NGX_DECLINED;
    }

    im_account_key(ctx, user, &key);

    rc = cached ? im_cache_get_exact(ctx, IM_T_ACCOUNT, &key, row)
                : im_store_get(ctx, IM_T_ACCOUNT, &key, row);

    if (rc == NGX_DECLINED && im_account_is_admin(ctx->app, user)) {
        return NGX_DONE;
    }

    return rc;
}


static ngx_int_t
im_account_read(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t cached,
    im_account_t *account)
{
    im_row_t   row;
    ngx_int_t  rc;

    rc = im_account_row(ctx, user, cached, &row);

    if (rc == NGX_DONE) {
        return im_account_create(ctx, user, 0, account);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    im_record_load(&row, im_account_record, account);
    account->version = row.version;

    return NGX_OK;
}


ngx_int_t
im_account_exist(im_ctx_t *ctx, ngx_str_t *users, ngx_uint_t n, u_char *exists)
{
    im_key_t    *keys;
    im_row_t    *rows;
    ngx_int_t    rc;
    ngx_uint_t   i, k, m;

    for (i = 0; i < n; i += m) {
        m = ngx_min(n - i, 500);

        keys = ngx_palloc(ctx->pool, m * sizeof(im_key_t));
        rows = ngx_palloc(ctx->pool, m * sizeof(im_row_t));

        if (keys == NULL || rows == NULL) {
            return NGX_ERROR;
        }

        for (k = 0; k < m; k++) {
            im_account_key(ctx, &users[i + k], &keys[k]);

            if (!im_account_syntax(ctx->app, &users[i + k])) {
                im_key_init(&keys[k], ctx->app->id);
            }
        }

        rc = im_store_get_many(ctx, IM_T_ACCOUNT, keys, m, rows);
        if (rc != NGX_OK) {
            return rc;
        }

        for (k = 0; k < m; k++) {
            exists[i + k] = rows[k].data.data != NULL
                            || im_account_is_admin(ctx->app, &users[i + k]);
        }
    }

    return NGX_OK;
}


ngx_int_t
im_account_create(im_ctx_t *ctx, ngx_str_t *user, int64_t type,
    im_account_t *account)
{
    im_key_t     key;
    im_row_t     row;
    ngx_int_t    rc;
    im_batch_t  *batch;

    im_account_key(ctx, user, &key);

    rc = im_store_get(ctx, IM_T_ACCOUNT, &key, &row);

    if (rc == NGX_DECLINED) {
        batch = im_store_batch(ctx, IM_ATOMIC);

        rc = im_account_insert(ctx, batch, user, type, account);
        if (rc != NGX_OK) {
            return rc;
        }

        rc = im_cache_commit(ctx, batch);

        if (rc == NGX_OK) {
            account->version = 1;
            return NGX_OK;
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }

        /* somebody else has created it meanwhile */

        rc = im_store_get(ctx, IM_T_ACCOUNT, &key, &row);
    }

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_ERROR : rc;
    }

    im_record_load(&row, im_account_record, account);
    account->version = row.version;

    return NGX_OK;
}


static ngx_int_t
im_account_insert(im_ctx_t *ctx, im_batch_t *batch, ngx_str_t *user,
    int64_t type, im_account_t *account)
{
    im_key_t    key;
    im_doc_t   *doc;
    ngx_int_t   rc;

    ngx_memzero(account, sizeof(im_account_t));
    account->user = *user;
    account->created = ngx_time();
    account->type = type;

    rc = im_account_tinyid(ctx, &account->tinyid);
    if (rc != NGX_OK) {
        return rc;
    }

    im_account_key(ctx, user, &key);
    im_store_insert(batch, IM_T_ACCOUNT, &key,
                    im_record_doc(ctx->pool, im_account_record, account));

    doc = im_doc(ctx->pool);
    im_doc_str(doc, "user", user);

    im_key_init(&key, ctx->app->id);
    im_key_str(&key, &account->tinyid);
    im_store_insert(batch, IM_T_TINYID, &key, doc);

    return NGX_OK;
}


ngx_int_t
im_account_create_many(im_ctx_t *ctx, ngx_str_t *users, int64_t *types,
    ngx_uint_t n)
{
    im_key_t      *keys;
    im_row_t      *rows;
    ngx_int_t      rc;
    ngx_uint_t     i, k;
    im_batch_t    *batch;
    im_account_t   account;

    keys = ngx_palloc(ctx->pool, n * sizeof(im_key_t));
    rows = ngx_palloc(ctx->pool, n * sizeof(im_row_t));
    batch = im_store_batch(ctx, IM_ATOMIC);

    if (keys == NULL || rows == NULL || batch == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        im_account_key(ctx, &users[i], &keys[i]);
    }

    rc = im_store_get_many(ctx, IM_T_ACCOUNT, keys, n, rows);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {

        for (k = 0; k < i && !im_str_eq(&users[k], &users[i]); k++) {
            /* void */
        }

        if (rows[i].data.data || k < i) {
            continue;
        }

        rc = im_account_insert(ctx, batch, &users[i], types[i], &account);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return batch->n ? im_cache_commit(ctx, batch) : NGX_OK;
}


ngx_int_t
im_account_kick(im_ctx_t *ctx, ngx_str_t *user)
{
    im_key_t       key;
    ngx_int_t      rc;
    ngx_uint_t     tries;
    im_batch_t    *batch;
    im_account_t   account;

    for (tries = 0; tries < 8; tries++) {

        rc = im_account_load(ctx, user, &account);
        if (rc != NGX_OK) {
            return rc;
        }

        account.kick = ngx_time();

        im_account_key(ctx, user, &key);

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_store_replace(batch, IM_T_ACCOUNT, &key, account.version,
                         im_record_doc(ctx->pool, im_account_record,
                                       &account));

        rc = im_cache_commit(ctx, batch);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_BUSY;
}


static ngx_int_t
im_account_tinyid(im_ctx_t *ctx, ngx_str_t *tinyid)
{
    int64_t             n;
    im_key_t            key;
    ngx_int_t           rc;
    ngx_str_t           kind;
    ngx_uint_t          op;
    im_batch_t         *batch;
    im_tinyid_block_t  *block;

    for (block = im_tinyid_blocks; block; block = block->link) {
        if (block->app == ctx->app->id) {
            break;
        }
    }

    if (block == NULL) {
        block = ngx_calloc(sizeof(im_tinyid_block_t), ctx->log);
        if (block == NULL) {
            return NGX_ERROR;
        }

        block->app = ctx->app->id;
        block->next = 1;
        block->link = im_tinyid_blocks;
        im_tinyid_blocks = block;
    }

    if (block->next > block->last) {

        ngx_str_set(&kind, "tinyid");

        im_key_init(&key, ctx->app->id);
        im_key_str(&key, &kind);
        im_key_str(&key, &kind);

        batch = im_store_batch(ctx, IM_ATOMIC);
        op = im_store_add(batch, IM_T_COUNT, &key, "value", IM_TINYID_BLOCK,
                          0, INT64_MAX);

        rc = im_store_commit(ctx, batch);
        if (rc != NGX_OK) {
            return rc == NGX_DECLINED ? NGX_ERROR : rc;
        }

        /* whoever waited at the same time has a block of his own: the last
         * one is used, the rest of the others is never given out */

        block->last = batch->ops[op].result;
        block->next = block->last - IM_TINYID_BLOCK + 1;
    }

    n = IM_TINYID_BASE + block->next++;

    tinyid->data = ngx_pnalloc(ctx->pool, NGX_INT64_LEN);
    if (tinyid->data == NULL) {
        return NGX_ERROR;
    }

    tinyid->len = ngx_sprintf(tinyid->data, "%L", n) - tinyid->data;

    return NGX_OK;
}


static void
im_account_key(im_ctx_t *ctx, ngx_str_t *user, im_key_t *key)
{
    im_key_init(key, ctx->app->id);
    im_key_str(key, user);
}
