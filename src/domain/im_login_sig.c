
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "core/im_usersig.h"
#include "core/im_worker.h"
#include "live/im_rate.h"
#include "live/im_sigcache.h"
#include "live/im_zone.h"
#include "domain/im_account.h"
#include "domain/im_login.h"


#define IM_SIG_KEPT  512             /* tickets */
#define IM_SIG_TAIL  24              /* bytes that tell its place */
#define IM_SIG_TEXT  1024            /* longer ones are not kept */


/*
 * Tickets that this worker has verified or found in the zone lately, each in
 * the one place that its last bytes give.
 */

typedef struct {
    ngx_uint_t         app;
    im_cache_mark_t    account;      /* neither kicked nor blocked */
    time_t             time;         /* of issue */
    time_t             expires;
    uint32_t           tinyid_len;
    uint32_t           user_len;
    uint32_t           len;          /* of the ticket */
    u_char             tinyid[NGX_INT64_LEN];
    u_char             data[1];      /* user, ticket */
} im_sig_t;


static im_code_t im_login_sig(im_ctx_t *ctx, ngx_str_t *identifier,
    ngx_str_t *usersig, time_t *time, time_t *expires);
static im_sig_t **im_login_sig_place(ngx_str_t *usersig);
static void im_login_sig_passed(im_ctx_t *ctx, ngx_str_t *identifier,
    ngx_str_t *usersig);
static ngx_uint_t im_login_sig_same(u_char *a, u_char *b, size_t len);
static im_sig_t *im_login_sig_kept(im_ctx_t *ctx, ngx_str_t *identifier,
    ngx_str_t *usersig);
static void im_login_sig_keep(im_ctx_t *ctx, ngx_str_t *identifier,
    ngx_str_t *usersig, time_t time, time_t expires);
static void im_login_sig_exit_process(ngx_cycle_t *cycle);


static im_sig_t  *im_login_sigs[IM_SIG_KEPT];


im_worker_hook_t  im_login_sig_hook = {
    ngx_string("tickets"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    im_login_sig_exit_process              /* exit process */
};


im_code_t
im_login_usersig(im_ctx_t *ctx, ngx_str_t *identifier, ngx_str_t *usersig,
    int64_t *sig_expire)
{
    time_t         time, expires;
    im_sig_t      *sig;
    im_code_t      code;
    ngx_int_t      rc;
    ngx_str_t      tinyid;
    im_account_t   account;

    sig = im_login_sig_kept(ctx, identifier, usersig);

    if (sig && im_cache_same(&sig->account)) {
        tinyid.data = sig->tinyid;
        tinyid.len = sig->tinyid_len;

        *sig_expire = sig->expires;

        return (im_str_dup(ctx->pool, &ctx->tinyid, &tinyid) == NGX_OK)
               ? IM_OK : IM_E_LOGIN_INTERNAL;
    }

    if (!im_account_syntax(ctx->app, identifier)) {
        ngx_str_set(&ctx->info, "\"identifier\" is not a legal UserID");
        return IM_E_CREDENTIALS;
    }

    if (sig) {
        time = sig->time;
        expires = sig->expires;

    } else {
        code = im_login_sig(ctx, identifier, usersig, &time, &expires);
        if (code != IM_OK) {
            return code;
        }

        im_login_sig_keep(ctx, identifier, usersig, time, expires);
    }

    rc = im_account_get(ctx, identifier, &account);

    if (rc == NGX_OK) {

        if (time <= account.kick) {
            return IM_E_SIG_REVOKED;
        }

        if (account.blocked) {
            return IM_E_ACCOUNT_BLOCKED;
        }

        ctx->tinyid = account.tinyid;

        im_login_sig_passed(ctx, identifier, usersig);

    } else if (rc != NGX_DECLINED) {
        return im_login_code(rc);
    }

    *sig_expire = expires;

    return IM_OK;
}


/* The ticket itself, by the zone or anew. */

static im_code_t
im_login_sig(im_ctx_t *ctx, ngx_str_t *identifier, ngx_str_t *usersig,
    time_t *time, time_t *expires)
{
    u_char             digest[IM_USERSIG_DIGEST], key[IM_ZONE_KEY_LEN];
    im_code_t          code;
    ngx_int_t          rc;
    im_usersig_t       sig;
    im_usersig_key_t   keys;

    if (im_usersig_digest(ctx->app->id, &ctx->app->key, &ctx->app->public_key,
                          identifier, usersig, digest)
        != NGX_OK)
    {
        return IM_E_LOGIN_INTERNAL;
    }

    rc = im_sigcache_get(digest, time, expires);

    if (rc == NGX_OK && ngx_time() <= *expires) {
        return IM_OK;
    }

    keys.key = ctx->app->key;
    keys.pkey = ctx->app->pkey;

    code = im_usersig_verify(ctx->pool, &keys, ctx->app->id, identifier,
                             usersig, ngx_time(), &sig);

    if (code != IM_OK) {

        /* a valid ticket is never refused for the failures of others */

        im_zone_key(key, ctx->app->id, IM_KEY_FAILURES, identifier, 1);

        if (ctx->app->sig_failures
            && im_failures_get(key) >= (ngx_uint_t) ctx->app->sig_failures)
        {
            return IM_E_SIG_FAILURES;
        }

        (void) im_failures_add(key, ctx->app->sig_block);

        return code;
    }

    *time = sig.time;

    *expires = (sig.expire > NGX_MAX_TIME_T_VALUE - ngx_max(sig.time, 0))
               ? NGX_MAX_TIME_T_VALUE : sig.time + sig.expire;

    im_sigcache_put(digest, *time, *expires);

    return IM_OK;
}


static im_sig_t **
im_login_sig_place(ngx_str_t *usersig)
{
    size_t  n;

    n = ngx_min(usersig->len, IM_SIG_TAIL);

    return &im_login_sigs[ngx_murmur_hash2(usersig->data + usersig->len - n, n)
                          % IM_SIG_KEPT];
}


/* As CRYPTO_memcmp(): the time does not tell where they differ; by words. */

static ngx_uint_t
im_login_sig_same(u_char *a, u_char *b, size_t len)
{
    uint64_t  x, y, diff;

    diff = 0;

    for ( /* void */ ; len >= 8; len -= 8) {
        ngx_memcpy(&x, a, 8);
        ngx_memcpy(&y, b, 8);

        diff |= x ^ y;
        a += 8;
        b += 8;
    }

    while (len--) {
        diff |= *a++ ^ *b++;
    }

    return diff == 0;
}


static im_sig_t *
im_login_sig_kept(im_ctx_t *ctx, ngx_str_t *identifier, ngx_str_t *usersig)
{
    im_sig_t  *sig;

    sig = *im_login_sig_place(usersig);

    if (sig == NULL
        || sig->app != ctx->app->id
        || sig->user_len != identifier->len
        || sig->len != usersig->len
        || ngx_memcmp(sig->data, identifier->data, identifier->len) != 0
        || !im_login_sig_same(sig->data + sig->user_len, usersig->data,
                              usersig->len)
        || ngx_time() > sig->expires)
    {
        return NULL;
    }

    return sig;
}


static void
im_login_sig_keep(im_ctx_t *ctx, ngx_str_t *identifier, ngx_str_t *usersig,
    time_t time, time_t expires)
{
    im_sig_t  *sig, **place;

    if (usersig->len > IM_SIG_TEXT) {
        return;
    }

    sig = ngx_alloc(offsetof(im_sig_t, data) + identifier->len + usersig->len,
                    ctx->log);
    if (sig == NULL) {
        return;
    }

    sig->app = ctx->app->id;
    sig->account.set = 0;
    sig->time = time;
    sig->expires = expires;
    sig->user_len = identifier->len;
    sig->len = usersig->len;

    ngx_memcpy(ngx_cpymem(sig->data, identifier->data, identifier->len),
               usersig->data, usersig->len);

    place = im_login_sig_place(usersig);

    if (*place) {
        ngx_free(*place);
    }

    *place = sig;
}


/* The account that has just been read lets this ticket in. */

static void
im_login_sig_passed(im_ctx_t *ctx, ngx_str_t *identifier, ngx_str_t *usersig)
{
    im_sig_t  *sig;

    sig = im_login_sig_kept(ctx, identifier, usersig);

    if (sig && ctx->tinyid.len <= NGX_INT64_LEN) {
        ngx_memcpy(sig->tinyid, ctx->tinyid.data, ctx->tinyid.len);
        sig->tinyid_len = ctx->tinyid.len;

        im_account_mark(ctx, identifier, &sig->account);
    }
}


static void
im_login_sig_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t  i;

    for (i = 0; i < IM_SIG_KEPT; i++) {
        if (im_login_sigs[i]) {
            ngx_free(im_login_sigs[i]);
            im_login_sigs[i] = NULL;
        }
    }
}
