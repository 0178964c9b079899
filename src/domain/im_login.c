
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include "core/im_str.h"
#include "live/im_session.h"
#include "live/im_zone.h"
#include "domain/im_account.h"
#include "domain/im_login.h"
#include "domain/im_platform.h"


#define IM_LOGIN_TRIES      8
#define IM_LOGIN_INSTANCES  32
#define IM_LOGIN_KEPT       86400    /* an ended login is remembered */


/* An entry of the device row. */

typedef struct {
    int64_t            inst;
    int64_t            platform;
    int64_t            since;
    ngx_str_t          a2;           /* SHA-256 of it, hex */
    unsigned           out:1;        /* ends now */
    unsigned           kick:2;
} im_device_t;


typedef struct {
    ngx_uint_t         n;
    int64_t            version;
    im_device_t        list[IM_LOGIN_INSTANCES + 1];
} im_devices_t;


static im_code_t im_login_commit(im_ctx_t *ctx, im_devices_t *devices,
    im_login_t *login, ngx_str_t *hash);
static ngx_int_t im_login_devices(im_ctx_t *ctx, ngx_str_t *user,
    im_devices_t *devices);
static im_doc_t *im_login_devices_doc(im_ctx_t *ctx, im_devices_t *devices);
static ngx_int_t im_login_end(im_ctx_t *ctx, im_batch_t *batch,
    im_device_t *device, ngx_uint_t end, im_login_t *by);
static void im_login_rule(im_ctx_t *ctx, im_devices_t *devices,
    im_device_t *fresh);
static void im_login_tell(im_ctx_t *ctx, ngx_str_t *user,
    im_devices_t *devices, im_login_t *by);
static uint32_t im_login_number(im_devices_t *devices);
static ngx_int_t im_login_hash(im_ctx_t *ctx, ngx_str_t *a2,
    ngx_str_t *hash);
static void im_login_key(im_ctx_t *ctx, ngx_str_t *name, im_key_t *key);


static im_record_t  im_login_record[] = {
    { ngx_string("user"), IM_COL_STR, offsetof(im_login_t, user) },
    { ngx_string("tinyid"), IM_COL_STR, offsetof(im_login_t, tinyid) },
    { ngx_string("inst"), IM_COL_INT, offsetof(im_login_t, inst) },
    { ngx_string("platform"), IM_COL_INT, offsetof(im_login_t, platform) },
    { ngx_string("since"), IM_COL_INT, offsetof(im_login_t, since) },
    { ngx_string("expire"), IM_COL_INT, offsetof(im_login_t, expire) },
    { ngx_string("end"), IM_COL_INT, offsetof(im_login_t, end) },
    { ngx_string("kick"), IM_COL_INT, offsetof(im_login_t, kick) },
    { ngx_string("by"), IM_COL_INT, offsetof(im_login_t, by) },
    { ngx_string("by_inst"), IM_COL_INT, offsetof(im_login_t, by_inst) },
      im_null_record
};


im_code_t
im_login_open(im_ctx_t *ctx, ngx_uint_t platform, int64_t expire,
    im_login_t *login, ngx_str_t *a2)
{
    u_char         random[16];
    im_code_t      code;
    ngx_int_t      rc;
    ngx_str_t      hash, bytes;
    ngx_uint_t     i, tries;
    im_device_t   *fresh;
    im_account_t   account;
    im_devices_t   devices;

    rc = im_account_get(ctx, &ctx->user, &account);

    if (rc == NGX_DECLINED) {

        if (!im_account_syntax(ctx->app, &ctx->user)) {
            return IM_E_LOGIN_PARAM;
        }

        if (!ctx->app->login_creates_account) {
            return IM_E_NO_ACCOUNT;
        }

        rc = im_account_create(ctx, &ctx->user, 0, &account);
    }

    if (rc != NGX_OK) {
        return im_login_code(rc);
    }

    if (RAND_bytes(random, sizeof(random)) != 1) {
        return IM_E_LOGIN_INTERNAL;
    }

    bytes.data = random;
    bytes.len = sizeof(random);

    if (im_str_hex(ctx->pool, a2, &bytes) != NGX_OK
        || im_login_hash(ctx, a2, &hash) != NGX_OK)
    {
        return IM_E_LOGIN_INTERNAL;
    }

    for (tries = 0; tries < IM_LOGIN_TRIES; tries++) {

        rc = im_login_devices(ctx, &ctx->user, &devices);
        if (rc != NGX_OK) {
            break;
        }

        ngx_memzero(login, sizeof(im_login_t));

        login->user = ctx->user;
        login->tinyid = account.tinyid;
        login->inst = im_login_number(&devices);
        login->platform = platform;
        login->since = ngx_time();
        login->expire = expire;

        fresh = &devices.list[devices.n];

        ngx_memzero(fresh, sizeof(im_device_t));

        fresh->inst = login->inst;
        fresh->platform = platform;
        fresh->since = login->since;
        fresh->a2 = hash;

        im_login_rule(ctx, &devices, fresh);

        devices.n++;

        code = im_login_commit(ctx, &devices, login, &hash);

        if (code == IM_OK) {
            ctx->inst = login->inst;
            ctx->tinyid = login->tinyid;

            for (i = 0; i < devices.n; i++) {
                if (devices.list[i].out) {
                    login->kicked |= (uint32_t) 1
                                     << (devices.list[i].platform & 15);
                }
            }

            im_login_tell(ctx, &ctx->user, &devices, login);

            return IM_OK;
        }

        if (code != IM_E_LOGIN_TIMEOUT) {
            return code;
        }

        rc = NGX_BUSY;                       /* if it was the last try */
    }

    return im_login_code(rc);
}


/* IM_E_LOGIN_TIMEOUT: somebody else has written the row, read it again. */

static im_code_t
im_login_commit(im_ctx_t *ctx, im_devices_t *devices, im_login_t *login,
    ngx_str_t *hash)
{
    im_key_t     key;
    ngx_int_t    rc;
    ngx_uint_t   i;
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_login_key(ctx, &ctx->user, &key);

    im_store_replace(batch, IM_T_DEVICE, &key, devices->version,
                     im_login_devices_doc(ctx, devices));

    im_login_key(ctx, hash, &key);

    im_store_insert(batch, IM_T_LOGIN, &key,
                    im_record_doc(ctx->pool, im_login_record, login));

    for (i = 0; i < devices->n; i++) {

        if (!devices->list[i].out) {
            continue;
        }

        rc = im_login_end(ctx, batch, &devices->list[i], IM_END_KICK, login);
        if (rc != NGX_OK) {
            return im_login_code(rc);
        }
    }

    rc = im_store_commit(ctx, batch);

    return rc == NGX_DECLINED ? IM_E_LOGIN_TIMEOUT : im_login_code(rc);
}


ngx_int_t
im_login_find(im_ctx_t *ctx, ngx_str_t *a2, im_login_t *login)
{
    im_key_t   key;
    im_row_t   row;
    ngx_int_t  rc;
    ngx_str_t  hash;

    if (a2->len != 32) {
        return NGX_DECLINED;
    }

    if (im_login_hash(ctx, a2, &hash) != NGX_OK) {
        return NGX_ERROR;
    }

    im_login_key(ctx, &hash, &key);

    rc = im_store_get(ctx, IM_T_LOGIN, &key, &row);
    if (rc != NGX_OK) {
        return rc;
    }

    im_record_load(&row, im_login_record, login);
    login->version = row.version;
    login->kicked = 0;

    return NGX_OK;
}


ngx_int_t
im_login_platforms(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t *platforms,
    ngx_uint_t max, ngx_uint_t *n)
{
    ngx_int_t      rc;
    ngx_uint_t     i;
    im_devices_t   devices;

    *n = 0;

    rc = im_login_devices(ctx, user, &devices);

    if (rc == NGX_OK) {
        for (i = 0; i < devices.n && *n < max; i++) {
            platforms[(*n)++] = devices.list[i].platform;
        }
    }

    return rc;
}


im_code_t
im_login_close(im_ctx_t *ctx, ngx_str_t *user, int64_t inst)
{
    im_key_t       key;
    ngx_int_t      rc;
    ngx_uint_t     i, tries;
    im_batch_t    *batch;
    im_devices_t   devices;

    for (tries = 0; tries < IM_LOGIN_TRIES; tries++) {

        rc = im_login_devices(ctx, user, &devices);
        if (rc != NGX_OK) {
            break;
        }

        for (i = 0; i < devices.n; i++) {
            if (devices.list[i].inst == inst) {
                break;
            }
        }

        if (i == devices.n) {
            return IM_OK;
        }

        devices.list[i].out = 1;

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_login_key(ctx, user, &key);

        im_store_replace(batch, IM_T_DEVICE, &key, devices.version,
                         im_login_devices_doc(ctx, &devices));

        rc = im_login_end(ctx, batch, &devices.list[i], IM_END_LOGOUT, NULL);

        if (rc == NGX_OK) {
            rc = im_store_commit(ctx, batch);
        }

        if (rc == NGX_OK) {
            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            break;
        }
    }

    return im_login_code(rc);
}


im_code_t
im_login_close_all(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t kick)
{
    im_key_t       key;
    ngx_int_t      rc;
    ngx_uint_t     i, tries;
    im_batch_t    *batch;
    im_login_t     by;
    im_devices_t   devices;

    ngx_memzero(&by, sizeof(im_login_t));

    for (tries = 0; tries < IM_LOGIN_TRIES; tries++) {

        rc = im_login_devices(ctx, user, &devices);
        if (rc != NGX_OK) {
            break;
        }

        if (devices.n == 0) {
            return IM_OK;
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        for (i = 0; i < devices.n; i++) {
            devices.list[i].out = 1;
            devices.list[i].kick = kick;

            rc = im_login_end(ctx, batch, &devices.list[i], IM_END_KICK, &by);
            if (rc != NGX_OK) {
                return im_login_code(rc);
            }
        }

        im_login_key(ctx, user, &key);

        im_store_replace(batch, IM_T_DEVICE, &key, devices.version,
                         im_login_devices_doc(ctx, &devices));

        rc = im_store_commit(ctx, batch);

        if (rc == NGX_OK) {
            im_login_tell(ctx, user, &devices, &by);
            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            break;
        }
    }

    return im_login_code(rc);
}


im_code_t
im_login_code(ngx_int_t rc)
{
    switch (rc) {

    case NGX_OK:
        return IM_OK;

    case NGX_ERROR:
        return IM_E_LOGIN_INTERNAL;

    default:
        return IM_E_LOGIN_BUSY;
    }
}


static ngx_int_t
im_login_devices(im_ctx_t *ctx, ngx_str_t *user, im_devices_t *devices)
{
    im_key_t      key;
    im_row_t      row;
    ngx_int_t     rc;
    ngx_str_t     text;
    im_json_t    *list, *item;
    im_device_t  *d;

    devices->n = 0;
    devices->version = 0;

    im_login_key(ctx, user, &key);

    rc = im_store_get(ctx, IM_T_DEVICE, &key, &row);

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    devices->version = row.version;

    if (im_row_str(&row, "list", &text) != NGX_OK) {
        return NGX_OK;
    }

    if (im_json_parse(ctx->pool, &text, 4, &list) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, ctx->log, 0,
                      "the device row of \"%V\" cannot be read", user);
        return NGX_ERROR;
    }

    im_json_each(item, list) {

        if (devices->n == IM_LOGIN_INSTANCES) {
            break;
        }

        d = &devices->list[devices->n];

        ngx_memzero(d, sizeof(im_device_t));

        if (im_json_get_int(item, "inst", &d->inst) == NGX_OK
            && im_json_get_int(item, "platform", &d->platform) == NGX_OK
            && im_json_get_int(item, "since", &d->since) == NGX_OK
            && im_json_get_str(item, "a2", &d->a2) == NGX_OK)
        {
            devices->n++;
        }
    }

    return NGX_OK;
}


static im_doc_t *
im_login_devices_doc(im_ctx_t *ctx, im_devices_t *devices)
{
    im_doc_t    *doc;
    ngx_str_t    text;
    im_json_t   *list, *item;
    ngx_uint_t   i;

    list = im_json_new_list(ctx->pool);

    for (i = 0; i < devices->n; i++) {

        if (devices->list[i].out) {
            continue;
        }

        item = im_json_push_obj(list);

        im_json_add_int(item, "inst", devices->list[i].inst);
        im_json_add_int(item, "platform", devices->list[i].platform);
        im_json_add_int(item, "since", devices->list[i].since);
        im_json_add_str(item, "a2", &devices->list[i].a2);
    }

    if (im_json_render(ctx->pool, list, &text) != NGX_OK) {
        return NULL;
    }

    doc = im_doc(ctx->pool);
    im_doc_str(doc, "list", &text);

    return doc;
}


/* A login that has expired meanwhile is gone already: nothing to end. */

static ngx_int_t
im_login_end(im_ctx_t *ctx, im_batch_t *batch, im_device_t *device,
    ngx_uint_t end, im_login_t *by)
{
    im_key_t     key;
    im_row_t     row;
    ngx_int_t    rc;
    im_login_t  *login;

    im_login_key(ctx, &device->a2, &key);

    rc = im_store_get(ctx, IM_T_LOGIN, &key, &row);

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    login = ngx_pcalloc(ctx->pool, sizeof(im_login_t));
    if (login == NULL) {
        return NGX_ERROR;
    }

    im_record_load(&row, im_login_record, login);

    login->end = end;
    login->expire = ngx_min(login->expire, ngx_time() + IM_LOGIN_KEPT);

    if (end == IM_END_KICK) {
        login->kick = device->kick;
        login->by = by->platform;
        login->by_inst = by->inst;
    }

    im_store_replace(batch, IM_T_LOGIN, &key, row.version,
                     im_record_doc(ctx->pool, im_login_record, login));

    return NGX_OK;
}


/*
 * Marks what the new login ends: all of other classes in its group, and of
 * its own class those over the limit, longest logged in first (specification,
 * rest-account-message.md 11).
 */

static void
im_login_rule(im_ctx_t *ctx, im_devices_t *devices, im_device_t *fresh)
{
    ngx_uint_t     i, n, limit, same, class, group, policy;
    im_device_t   *d, *oldest;

    policy = ctx->app->multi_device;
    class = im_platform_class(fresh->platform);
    group = im_platform_group(policy, class);
    limit = im_platform_limit(ctx->app, class);

    same = 0;

    for (i = 0; i < devices->n; i++) {
        d = &devices->list[i];

        if (im_platform_group(policy, im_platform_class(d->platform))
            != group)
        {
            continue;
        }

        if (im_platform_class(d->platform) != class) {
            d->out = 1;
            d->kick = IM_KICK_DEVICE;
            continue;
        }

        same++;
    }

    n = 0;

    for (i = 0; i < devices->n; i++) {
        n += !devices->list[i].out;
    }

    while (same >= limit || n >= IM_LOGIN_INSTANCES) {

        oldest = NULL;

        for (i = 0; i < devices->n; i++) {
            d = &devices->list[i];

            if (d->out
                || (same >= limit
                    && im_platform_class(d->platform) != class))
            {
                continue;
            }

            if (oldest == NULL || d->since < oldest->since) {
                oldest = d;
            }
        }

        if (oldest == NULL) {
            break;
        }

        oldest->out = 1;
        oldest->kick = IM_KICK_INSTANCE;

        if (im_platform_class(oldest->platform) == class) {
            same--;
        }

        n--;
    }
}


static void
im_login_tell(im_ctx_t *ctx, ngx_str_t *user, im_devices_t *devices,
    im_login_t *by)
{
    ngx_str_t    info;
    im_json_t   *obj;
    ngx_uint_t   i;

    obj = im_json_new_obj(ctx->pool);

    im_platform_json(obj, by->platform, by->inst);

    if (im_json_render(ctx->pool, obj, &info) != NGX_OK) {
        return;
    }

    for (i = 0; i < devices->n; i++) {
        if (devices->list[i].out) {
            (void) im_session_kick_publish(ctx->app->id, user,
                                           devices->list[i].inst,
                                           devices->list[i].kick, &info);
        }
    }
}


static uint32_t
im_login_number(im_devices_t *devices)
{
    uint32_t    inst;
    ngx_uint_t  i;

again:

    inst = (uint32_t) ngx_random() & 0x7fffffff;

    if (inst == 0) {
        goto again;
    }

    for (i = 0; i < devices->n; i++) {
        if (devices->list[i].inst == inst) {
            goto again;
        }
    }

    return inst;
}


static ngx_int_t
im_login_hash(im_ctx_t *ctx, ngx_str_t *a2, ngx_str_t *hash)
{
    u_char     digest[SHA256_DIGEST_LENGTH];
    ngx_str_t  bytes;

    (void) SHA256(a2->data, a2->len, digest);

    bytes.data = digest;
    bytes.len = sizeof(digest);

    return im_str_hex(ctx->pool, hash, &bytes);
}


static void
im_login_key(im_ctx_t *ctx, ngx_str_t *name, im_key_t *key)
{
    im_key_init(key, ctx->app->id);
    im_key_str(key, name);
}
