
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_fault.h"
#include "core/im_str.h"
#include "domain/im_cache.h"
#include "domain/im_group_mute.h"
#include "domain/im_group_tip.h"


#define IM_MUTE_TRIES  8
#define IM_MUTE_PAGE   500
#define IM_MUTE_MAX    10000         /* that one answer lists */


typedef struct {
    ngx_array_t       *mutes;
    ngx_array_t       *keys;
    ngx_str_t          last;         /* user of the last row */
    ngx_uint_t         n;            /* rows seen */
    ngx_uint_t         skip;
    ngx_uint_t         limit;
    ngx_uint_t         more;
} im_mute_scan_t;


static im_code_t im_group_mute_put(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *users, ngx_uint_t n, int64_t seconds, im_group_tip_t *tip);
static void im_group_mute_key(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *user, im_key_t *key);
static void im_group_mute_load(im_row_t *row, im_group_mute_t *mute);
static ngx_int_t im_group_mute_row(im_row_t *row, void *data);
static ngx_int_t im_group_ban_row(im_row_t *row, void *data);
static ngx_int_t im_group_mute_key_row(im_row_t *row, void *data);


static im_record_t  im_group_mute_record[] = {
    { ngx_string("user"), IM_COL_STR, offsetof(im_group_mute_t, user) },
    { ngx_string("until"), IM_COL_INT, offsetof(im_group_mute_t, until) },
    { ngx_string("banned"), IM_COL_INT, offsetof(im_group_mute_t, banned) },
    { ngx_string("expire"), IM_COL_INT, offsetof(im_group_mute_t, expire) },
      im_null_record
};


ngx_int_t
im_group_mute_get(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_group_mute_t *mute)
{
    im_key_t   key;
    im_row_t   row;
    ngx_int_t  rc;

    im_group_mute_key(ctx, group, user, &key);

    rc = im_cache_get(ctx, IM_T_MUTE, &key, &row);

    if (rc == NGX_DECLINED) {
        ngx_memzero(mute, sizeof(im_group_mute_t));
        mute->user = *user;
        return NGX_OK;
    }

    if (rc == NGX_OK) {
        im_group_mute_load(&row, mute);
    }

    return rc;
}


ngx_int_t
im_group_mute_get_many(im_ctx_t *ctx, im_group_t *group, ngx_str_t *users,
    ngx_uint_t n, im_group_mute_t *mutes)
{
    im_key_t    *keys;
    im_row_t    *rows;
    ngx_int_t    rc;
    ngx_uint_t   i;

    if (n == 0) {
        return NGX_OK;
    }

    keys = ngx_palloc(ctx->pool, n * sizeof(im_key_t));
    rows = ngx_palloc(ctx->pool, n * sizeof(im_row_t));

    if (keys == NULL || rows == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        im_group_mute_key(ctx, group, &users[i], &keys[i]);
    }

    rc = im_store_get_many(ctx, IM_T_MUTE, keys, n, rows);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {

        ngx_memzero(&mutes[i], sizeof(im_group_mute_t));

        if (rows[i].data.data) {
            im_group_mute_load(&rows[i], &mutes[i]);
        }

        mutes[i].user = users[i];
    }

    return NGX_OK;
}


im_code_t
im_group_mute_set(im_ctx_t *ctx, im_group_t *group, ngx_str_t *users,
    ngx_uint_t n, int64_t seconds)
{
    im_code_t        code;
    im_group_tip_t   tip;

    im_group_tip_mute(ctx, group, users, n, seconds, &tip);

    code = im_group_mute_put(ctx, group, users, n, seconds, &tip);

    if (code == IM_OK) {
        im_fault("before_publish");
        im_group_tip_tell(ctx, group, &tip);
    }

    return code;
}


im_code_t
im_group_ban_set(im_ctx_t *ctx, im_group_t *group, ngx_str_t *users,
    ngx_uint_t n, int64_t seconds)
{
    return im_group_mute_put(ctx, group, users, n, seconds, NULL);
}


/* tip: of a mute; NULL: it is a ban. */

static im_code_t
im_group_mute_put(im_ctx_t *ctx, im_group_t *group, ngx_str_t *users,
    ngx_uint_t n, int64_t seconds, im_group_tip_t *tip)
{
    int64_t           until;
    im_key_t          key;
    im_doc_t         *doc;
    ngx_int_t         rc;
    ngx_uint_t        i, k, tries;
    im_batch_t       *batch;
    im_group_mute_t  *mute, *mutes;

    mutes = ngx_palloc(ctx->pool, n * sizeof(im_group_mute_t));
    if (mutes == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    for (tries = 0; tries < IM_MUTE_TRIES; tries++) {

        rc = im_group_mute_get_many(ctx, group, users, n, mutes);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        until = seconds ? ngx_time() + seconds : 0;

        batch = im_store_batch(ctx, IM_ATOMIC);
        im_group_expect(ctx, batch, group);

        for (i = 0; i < n; i++) {

            for (k = 0; k < i; k++) {
                if (im_str_eq(&users[k], &users[i])) {
                    break;
                }
            }

            if (k < i) {
                continue;
            }

            mute = &mutes[i];

            if (tip == NULL) {
                mute->banned = until;

            } else {
                mute->until = until;
            }

            mute->expire = ngx_max(mute->until, mute->banned);

            im_group_mute_key(ctx, group, &users[i], &key);

            if (mute->expire == 0) {
                if (mute->version) {
                    im_store_delete(batch, IM_T_MUTE, &key);
                }

                continue;
            }

            doc = im_record_doc(ctx->pool, im_group_mute_record, mute);
            im_store_replace(batch, IM_T_MUTE, &key, mute->version, doc);
        }

        if (tip && im_group_tip_add(ctx, batch, group, tip) != NGX_OK) {
            return IM_E_GROUP_INTERNAL;
        }

        rc = im_cache_commit(ctx, batch);

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        if (batch->failed == 0) {
            return IM_E_GROUP_NONE;
        }
    }

    return IM_E_GROUP_INTERNAL;
}


im_code_t
im_group_mute_list(im_ctx_t *ctx, im_group_t *group, ngx_array_t *mutes)
{
    im_key_t          prefix, from;
    ngx_int_t         rc;
    im_mute_scan_t    scan;
    im_group_mute_t  *last;

    ngx_memzero(&scan, sizeof(im_mute_scan_t));
    scan.mutes = mutes;

    im_key_init(&prefix, ctx->app->id);
    im_key_int(&prefix, group->gno);

    from = prefix;
    im_key_int(&from, ngx_time() + 1);

    for ( ;; ) {
        scan.n = 0;

        rc = im_store_scan(ctx, IM_T_MUTE, IM_MUTE_UNTIL, &prefix, &from, NULL,
                           IM_ASC, IM_MUTE_PAGE + 1, im_group_mute_row, &scan);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        if (scan.n <= IM_MUTE_PAGE) {
            return IM_OK;
        }

        if (mutes->nelts > IM_MUTE_MAX) {
            return IM_E_GROUP_ANSWER;
        }

        /* the first one of the next page */

        last = (im_group_mute_t *) mutes->elts + --mutes->nelts;

        from = prefix;
        im_key_int(&from, last->until);
        im_key_str(&from, &last->user);

        im_co_yield();
    }
}


static ngx_int_t
im_group_mute_row(im_row_t *row, void *data)
{
    im_mute_scan_t  *scan = data;

    im_group_mute_t  *mute;

    scan->n++;

    mute = ngx_array_push(scan->mutes);
    if (mute == NULL) {
        return NGX_ERROR;
    }

    im_group_mute_load(row, mute);

    return NGX_OK;
}


im_code_t
im_group_ban_list(im_ctx_t *ctx, im_group_t *group, ngx_uint_t offset,
    ngx_uint_t limit, ngx_array_t *mutes, ngx_uint_t *more)
{
    im_key_t        prefix, from;
    ngx_int_t       rc;
    im_mute_scan_t  scan;

    ngx_memzero(&scan, sizeof(im_mute_scan_t));
    scan.mutes = mutes;
    scan.skip = offset;
    scan.limit = limit;

    im_key_init(&prefix, ctx->app->id);
    im_key_int(&prefix, group->gno);

    from = prefix;

    for ( ;; ) {
        scan.n = 0;

        rc = im_store_scan(ctx, IM_T_MUTE, 0, &prefix, &from, NULL, IM_ASC,
                           IM_MUTE_PAGE, im_group_ban_row, &scan);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        if (scan.n < IM_MUTE_PAGE || scan.more) {
            break;
        }

        /* with the last one, who is left out */

        from = prefix;
        im_key_str(&from, &scan.last);

        im_co_yield();
    }

    *more = scan.more;

    return IM_OK;
}


static ngx_int_t
im_group_ban_row(im_row_t *row, void *data)
{
    im_mute_scan_t  *scan = data;

    im_group_mute_t  *mute, m;

    scan->n++;

    im_group_mute_load(row, &m);

    if (im_str_eq(&m.user, &scan->last)) {
        return NGX_OK;
    }

    scan->last = m.user;

    if (m.banned <= ngx_time()) {
        return NGX_OK;
    }

    if (scan->skip) {
        scan->skip--;
        return NGX_OK;
    }

    if (scan->mutes->nelts == scan->limit) {
        scan->more = 1;
        return NGX_DONE;
    }

    mute = ngx_array_push(scan->mutes);
    if (mute == NULL) {
        return NGX_ERROR;
    }

    *mute = m;

    return NGX_OK;
}


void
im_group_mute_delete_all(im_ctx_t *ctx, im_group_t *group)
{
    im_key_t         prefix, *key;
    ngx_int_t        rc;
    ngx_uint_t       i;
    im_batch_t      *batch;
    ngx_array_t      keys;
    im_mute_scan_t   scan;

    im_key_init(&prefix, ctx->app->id);
    im_key_int(&prefix, group->gno);

    for ( ;; ) {

        if (ngx_array_init(&keys, ctx->pool, 8, sizeof(im_key_t)) != NGX_OK) {
            return;
        }

        ngx_memzero(&scan, sizeof(im_mute_scan_t));
        scan.keys = &keys;

        rc = im_store_scan(ctx, IM_T_MUTE, 0, &prefix, NULL, NULL, IM_ASC,
                           IM_MUTE_PAGE, im_group_mute_key_row, &scan);

        if ((rc != NGX_OK && rc != NGX_DECLINED) || keys.nelts == 0) {
            return;
        }

        batch = im_store_batch(ctx, IM_ATOMIC);
        key = keys.elts;

        for (i = 0; i < keys.nelts; i++) {
            im_store_delete(batch, IM_T_MUTE, &key[i]);
        }

        if (im_store_commit(ctx, batch) != NGX_OK
            || keys.nelts < IM_MUTE_PAGE)
        {
            return;
        }
    }
}


static ngx_int_t
im_group_mute_key_row(im_row_t *row, void *data)
{
    im_mute_scan_t  *scan = data;

    im_key_t  *key;

    key = ngx_array_push(scan->keys);
    if (key == NULL) {
        return NGX_ERROR;
    }

    key->invalid = 0;
    key->len = row->key.len;
    ngx_memcpy(key->data, row->key.data, row->key.len);

    return NGX_OK;
}


static void
im_group_mute_key(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_key_t *key)
{
    im_key_init(key, ctx->app->id);
    im_key_int(key, group->gno);
    im_key_str(key, user);
}


static void
im_group_mute_load(im_row_t *row, im_group_mute_t *mute)
{
    ngx_memzero(mute, sizeof(im_group_mute_t));
    im_record_load(row, im_group_mute_record, mute);

    mute->version = row->version;
}
