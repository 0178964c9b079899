
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "domain/im_account.h"
#include "domain/im_cache.h"
#include "domain/im_friend.h"
#include "domain/im_group_gone.h"
#include "domain/im_inbox.h"
#include "domain/im_login.h"
#include "domain/im_purge.h"
#include "domain/im_status.h"


#define IM_PURGE_SLICE  100
#define IM_PURGE_TRIES  8
#define IM_PURGE_NOW    5            /* slices before the answer */


static ngx_int_t im_purge_commit(im_ctx_t *ctx, ngx_str_t *user,
    im_job_t *job);
static ngx_int_t im_purge_rest(im_ctx_t *ctx, ngx_str_t *user);
static ngx_int_t im_purge_inbox(im_ctx_t *ctx, ngx_str_t *user, int64_t last);
static ngx_int_t im_purge_own(im_ctx_t *ctx, ngx_str_t *user,
    im_batch_t *batch, ngx_uint_t limit, ngx_uint_t *n);
static void im_purge_key(im_ctx_t *ctx, ngx_str_t *user, im_key_t *key);


/* What is the user's alone, rows whose key begins with the account. */

static im_table_e  im_purge_tables[] = {
    IM_T_CONV,
    IM_T_READ,
    IM_T_CONTACT_GROUP,
    IM_T_STATUS,
    IM_T_STATUS_SUB,
    IM_T_FRIEND_GROUP
};


im_code_t
im_purge_account(im_ctx_t *ctx, ngx_str_t *user)
{
    im_job_t    job;
    ngx_int_t   rc;
    im_code_t   code;
    ngx_uint_t  i, tries;

    tries = IM_PURGE_TRIES;

again:

    rc = im_purge_commit(ctx, user, &job);

    if (rc == NGX_DECLINED) {
        return IM_E_NO_ACCOUNT;
    }

    if (rc == NGX_AGAIN && --tries) {        /* changed since we read it */
        goto again;
    }

    if (rc != NGX_OK) {
        return im_login_code(rc);
    }

    im_fault("after_purge");

    /* who has logged in between; the job does it again if this fails */

    code = im_login_close_all(ctx, user, IM_KICK_REST);

    if (code != IM_OK) {
        ngx_log_error(NGX_LOG_WARN, ctx->log, 0,
                      "logins of the deleted account \"%V\" end later", user);
    }

    /* who makes the account anew at once, mostly finds nothing of the old */

    for (i = 0; i < IM_PURGE_NOW; i++) {
        if (im_purge_step(ctx, &job) != NGX_AGAIN) {
            break;
        }
    }

    im_job_start(ctx, &job.id);

    return IM_OK;
}


static ngx_int_t
im_purge_commit(im_ctx_t *ctx, ngx_str_t *user, im_job_t *job)
{
    im_key_t       key;
    ngx_int_t      rc;
    ngx_str_t      kind;
    ngx_uint_t     n;
    im_batch_t    *batch;
    im_account_t   account;

    rc = im_account_load(ctx, user, &account);
    if (rc != NGX_OK) {
        return rc;
    }

    if (im_login_close_all(ctx, user, IM_KICK_REST) != IM_OK) {
        return NGX_BUSY;
    }

    ngx_memzero(job, sizeof(im_job_t));

    job->arg = *user;

    rc = im_inbox_head(ctx, user, &job->num);
    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_ERROR : rc;
    }

    im_purge_key(ctx, user, &key);

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_store_expect(batch, IM_T_ACCOUNT, &key, account.version);
    im_store_delete(batch, IM_T_ACCOUNT, &key);
    im_store_delete(batch, IM_T_PROFILE, &key);
    im_store_delete(batch, IM_T_PASSWORD, &key);

    im_purge_key(ctx, &account.tinyid, &key);
    im_store_delete(batch, IM_T_TINYID, &key);

    ngx_str_set(&kind, "contact_group");

    im_purge_key(ctx, &kind, &key);
    im_key_str(&key, user);
    im_store_delete(batch, IM_T_COUNT, &key);

    /* so that an account made anew at once begins without them */

    rc = im_purge_own(ctx, user, batch, IM_PURGE_SLICE, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    if (im_job_add(ctx, batch, "purge", user, job->num, &job->id) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = im_cache_commit(ctx, batch);

    return (rc == NGX_DECLINED) ? NGX_AGAIN : rc;
}


ngx_int_t
im_purge_step(im_ctx_t *ctx, im_job_t *job)
{
    u_char     exists;
    ngx_int_t  rc;

    rc = im_account_exist(ctx, &job->arg, 1, &exists);
    if (rc != NGX_OK) {
        return rc;
    }

    if (!exists) {
        rc = im_purge_rest(ctx, &job->arg);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }
    }

    return im_purge_inbox(ctx, &job->arg, job->num);
}


/* NGX_DECLINED: there is an account of that name again, the rows are its. */

static ngx_int_t
im_purge_rest(im_ctx_t *ctx, ngx_str_t *user)
{
    im_key_t     key;
    im_row_t     row;
    ngx_int_t    rc;
    ngx_uint_t   n;
    im_batch_t  *batch;

    if (im_login_close_all(ctx, user, IM_KICK_REST) != IM_OK) {
        return NGX_BUSY;
    }

    rc = im_friend_purge(ctx, user);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = im_group_gone_user(ctx, user);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = im_status_unsubscribe(ctx, user, NULL, 0);
    if (rc != NGX_OK) {
        return rc;
    }

    im_purge_key(ctx, user, &key);

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_expect(batch, IM_T_ACCOUNT, &key, 0);

    rc = im_purge_own(ctx, user, batch, IM_PURGE_SLICE, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = im_store_get(ctx, IM_T_DEVICE, &key, &row);

    if (rc == NGX_OK) {
        im_store_expect(batch, IM_T_DEVICE, &key, row.version);
        im_store_delete(batch, IM_T_DEVICE, &key);

    } else if (rc != NGX_DECLINED) {
        return rc;

    } else if (n == 0) {
        return NGX_OK;
    }

    rc = im_store_commit(ctx, batch);

    return (rc == NGX_OK && n == IM_PURGE_SLICE) ? NGX_AGAIN : rc;
}


/* Rows up to the last one that the deleted account had. */

static ngx_int_t
im_purge_inbox(im_ctx_t *ctx, ngx_str_t *user, int64_t last)
{
    im_key_t          prefix, to;
    ngx_int_t         rc;
    im_store_rows_t   rows;

    im_purge_key(ctx, user, &prefix);

    to = prefix;
    im_key_int(&to, last);

    rows.batch = im_store_batch(ctx, IM_ORDERED);
    rows.n = 0;

    rc = im_store_scan(ctx, IM_T_INBOX, 0, &prefix, NULL, &to, IM_ASC,
                       IM_PURGE_SLICE, im_store_delete_row, &rows);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    if (rows.n == 0) {
        return NGX_OK;
    }

    rc = im_store_commit(ctx, rows.batch);

    return (rc == NGX_OK && rows.n == IM_PURGE_SLICE) ? NGX_AGAIN : rc;
}


/* Adds the deletion of at most limit rows to the batch. */

static ngx_int_t
im_purge_own(im_ctx_t *ctx, ngx_str_t *user, im_batch_t *batch,
    ngx_uint_t limit, ngx_uint_t *n)
{
    im_key_t          prefix;
    ngx_int_t         rc;
    ngx_uint_t        i;
    im_store_rows_t   rows;

    im_purge_key(ctx, user, &prefix);

    rows.batch = batch;
    rows.n = 0;

    for (i = 0;
         i < sizeof(im_purge_tables) / sizeof(im_table_e) && rows.n < limit;
         i++)
    {
        rc = im_store_scan(ctx, im_purge_tables[i], 0, &prefix, NULL, NULL,
                           IM_ASC, limit - rows.n, im_store_delete_row,
                           &rows);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }
    }

    *n = rows.n;

    return NGX_OK;
}


static void
im_purge_key(im_ctx_t *ctx, ngx_str_t *user, im_key_t *key)
{
    im_key_init(key, ctx->app->id);
    im_key_str(key, user);
}
