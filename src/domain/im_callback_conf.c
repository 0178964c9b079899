
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "core/im_worker.h"
#include "live/im_stamp.h"
#include "domain/im_cache.h"
#include "domain/im_callback.h"
#include "domain/im_callback_conf.h"


/* The row; commands are by name, for the bits may change. */

typedef struct {
    ngx_str_t          name;         /* key column */
    ngx_str_t          url;
    ngx_str_t          token;
    ngx_str_t          commands;     /* with a blank between */
    int64_t            timeout;
    int64_t            refuse;
    int64_t            retry;
} im_callback_stored_t;


static void im_callback_key(im_ctx_t *ctx, im_key_t *key);
static ngx_int_t im_callback_commit(im_ctx_t *ctx, im_batch_t *batch);
static im_callback_conf_t *im_callback_conf_make(im_app_t *app,
    im_callback_stored_t *stored);
static void im_callback_conf_use(im_app_t *app, im_callback_conf_t *cb);
static void im_callback_conf_exit_process(ngx_cycle_t *cycle);


static im_record_t  im_callback_record[] = {
    { ngx_string("name"), IM_COL_STR, offsetof(im_callback_stored_t, name) },
    { ngx_string("url"), IM_COL_STR, offsetof(im_callback_stored_t, url) },
    { ngx_string("token"), IM_COL_STR,
      offsetof(im_callback_stored_t, token) },
    { ngx_string("commands"), IM_COL_STR,
      offsetof(im_callback_stored_t, commands) },
    { ngx_string("timeout"), IM_COL_INT,
      offsetof(im_callback_stored_t, timeout) },
    { ngx_string("refuse"), IM_COL_INT,
      offsetof(im_callback_stored_t, refuse) },
    { ngx_string("retry"), IM_COL_INT,
      offsetof(im_callback_stored_t, retry) },
      im_null_record
};


im_worker_hook_t  im_callback_conf_hook = {
    ngx_string("callback settings"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    im_callback_conf_exit_process          /* exit process */
};


void
im_callback_refresh(im_ctx_t *ctx)
{
    uint32_t               stamp;
    im_app_t              *app;
    im_key_t               key;
    im_row_t               row;
    ngx_int_t              rc;
    im_callback_conf_t    *cb;
    im_callback_stored_t   stored;

    app = ctx->app;

    if (app->callback_loaded
        && app->callback_stamp == im_stamp_get(app->callback_hash))
    {
        return;
    }

    im_callback_key(ctx, &key);

    app->callback_hash = im_cache_hash(IM_T_APP, &key);
    stamp = im_stamp_get(app->callback_hash);

    rc = im_store_get(ctx, IM_T_APP, &key, &row);

    if (rc == NGX_OK) {
        im_record_load(&row, im_callback_record, &stored);
        cb = im_callback_conf_make(app, &stored);

    } else if (rc == NGX_DECLINED) {
        cb = app->callback_conf;

    } else {
        return;
    }

    if (rc == NGX_OK && cb == NULL && stored.url.len) {
        return;                          /* no memory */
    }

    im_callback_conf_use(app, cb);

    app->callback_stamp = stamp;
    app->callback_loaded = 1;
    app->callback_stored = (rc == NGX_OK);
}


void
im_callback_settings(im_app_t *app, im_callback_settings_t *s)
{
    im_callback_conf_t  *cb;

    ngx_memzero(s, sizeof(im_callback_settings_t));

    cb = app->callback ? app->callback : app->callback_conf;

    if (cb == NULL) {
        s->timeout = 2000;
        return;
    }

    if (app->callback) {
        s->url = cb->url;
    }

    s->token = cb->token;
    s->events = cb->events;
    s->timeout = cb->timeout;
    s->refuse = cb->refuse;
    s->retry = cb->retry;
}


ngx_int_t
im_callback_set(im_ctx_t *ctx, im_callback_settings_t *s)
{
    u_char                *p;
    size_t                 len;
    im_key_t               key;
    ngx_str_t             *name;
    ngx_uint_t             i;
    im_batch_t            *batch;
    im_callback_stored_t   stored;

    len = 0;

    for (i = 0; i < IM_CALLBACKS; i++) {
        len += im_callback_name(i)->len + 1;
    }

    p = ngx_pnalloc(ctx->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&stored, sizeof(im_callback_stored_t));

    stored.commands.data = p;

    for (i = 0; i < IM_CALLBACKS; i++) {

        if (s->events & (uint64_t) 1 << i) {
            name = im_callback_name(i);
            p = ngx_cpymem(p, name->data, name->len);
            *p++ = ' ';
        }
    }

    stored.commands.len = p - stored.commands.data;
    stored.url = s->url;
    stored.token = s->token;
    stored.timeout = s->timeout;
    stored.refuse = s->refuse;
    stored.retry = s->retry;

    im_callback_key(ctx, &key);

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_store_upsert(batch, IM_T_APP, &key,
                    im_record_doc(ctx->pool, im_callback_record, &stored));

    return im_callback_commit(ctx, batch);
}


ngx_int_t
im_callback_reset(im_ctx_t *ctx)
{
    im_key_t     key;
    im_batch_t  *batch;

    im_callback_key(ctx, &key);

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_store_delete(batch, IM_T_APP, &key);

    return im_callback_commit(ctx, batch);
}


static void
im_callback_key(im_ctx_t *ctx, im_key_t *key)
{
    static ngx_str_t  name = ngx_string("callback");

    im_key_init(key, ctx->app->id);
    im_key_str(key, &name);
}


static ngx_int_t
im_callback_commit(im_ctx_t *ctx, im_batch_t *batch)
{
    ngx_int_t  rc;

    rc = im_cache_commit(ctx, batch);

    if (rc == NGX_OK) {
        im_callback_refresh(ctx);
    }

    return (rc == NGX_DECLINED) ? NGX_ERROR : rc;
}


/* In one piece of memory with its texts.  Certificates are the directive's:
 * they are files of this machine. */

static im_callback_conf_t *
im_callback_conf_make(im_app_t *app, im_callback_stored_t *stored)
{
    u_char              *p, *last;
    ngx_str_t            name;
    ngx_uint_t           i;
    im_callback_conf_t  *cb;

    if (stored->url.len == 0) {
        return NULL;
    }

    cb = ngx_calloc(sizeof(im_callback_conf_t) + stored->url.len
                    + stored->token.len, ngx_cycle->log);
    if (cb == NULL) {
        return NULL;
    }

    if (app->callback_conf) {
        cb->ca = app->callback_conf->ca;
        cb->cert = app->callback_conf->cert;
        cb->key = app->callback_conf->key;
        cb->verify = app->callback_conf->verify;

    } else {
        cb->verify = 1;
    }

    p = (u_char *) cb + sizeof(im_callback_conf_t);

    cb->url.data = p;
    cb->url.len = stored->url.len;
    p = ngx_cpymem(p, stored->url.data, stored->url.len);

    cb->token.data = p;
    cb->token.len = stored->token.len;
    ngx_memcpy(p, stored->token.data, stored->token.len);

    cb->timeout = stored->timeout;
    cb->refuse = (stored->refuse != 0);
    cb->retry = (stored->retry != 0);
    cb->foreign = !app->callback_private;

    p = stored->commands.data;
    last = p + stored->commands.len;

    while (p < last) {
        name.data = p;
        p = ngx_strlchr(p, last, ' ');
        p = p ? p : last;
        name.len = p++ - name.data;

        i = im_callback_find(&name);

        if (i < IM_CALLBACKS) {
            cb->events |= (uint64_t) 1 << i;
        }
    }

    return cb;
}


/* Nobody keeps a pointer to the old ones while it is suspended. */

static void
im_callback_conf_use(im_app_t *app, im_callback_conf_t *cb)
{
    im_callback_conf_t  *old;

    old = app->callback;
    app->callback = cb;

    if (im_callback_client
        && (old == NULL || cb == NULL || !im_str_eq(&old->url, &cb->url)))
    {
        im_callback_client->changed(app);
    }

    if (old && old != app->callback_conf) {
        ngx_explicit_memzero(old->token.data, old->token.len);
        ngx_free(old);
    }
}


static void
im_callback_conf_exit_process(ngx_cycle_t *cycle)
{
    im_app_t    *app;
    im_conf_t   *conf;
    ngx_uint_t   i;

    conf = ngx_im_get_conf(cycle);
    app = conf->apps.elts;

    for (i = 0; i < conf->apps.nelts; i++) {

        if (app[i].callback && app[i].callback != app[i].callback_conf) {
            ngx_free(app[i].callback);
        }

        app[i].callback = app[i].callback_conf;
        app[i].callback_loaded = 0;
    }
}
