
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "live/im_rate.h"
#include "live/im_zone.h"
#include "domain/im_account.h"
#include "domain/im_login.h"
#include "api/im_api.h"
#include "api/im_api_gate.h"
#include "api/im_api_table.h"


#define IM_API_ARG_MAX   8192


typedef struct {
    ngx_str_t          sdkappid;
    ngx_str_t          identifier;
    ngx_str_t          usersig;
    ngx_str_t          accesstoken;
    ngx_str_t          random;
    ngx_str_t          contenttype;
    ngx_str_t          a2;
    ngx_str_t          tinyid;
    ngx_str_t          page;
} im_api_args_t;


typedef struct {
    ngx_str_t          name;
    size_t             offset;
} im_api_arg_t;


static im_code_t im_api_no_body(im_ctx_t *ctx, im_api_args_t *args);
static im_code_t im_api_app(im_ctx_t *ctx, im_api_args_t *args);
static ngx_uint_t im_api_is_random(ngx_str_t *s);
static im_code_t im_api_rate(im_ctx_t *ctx, im_command_t *cmd);
static im_code_t im_api_caller(im_ctx_t *ctx, im_call_t *call,
    im_api_args_t *args);
static im_code_t im_api_session(im_ctx_t *ctx, im_api_args_t *args);
static ngx_int_t im_api_parse_args(ngx_pool_t *pool, ngx_str_t *text,
    im_api_args_t *args);
static ngx_int_t im_api_decode(ngx_pool_t *pool, u_char *src, u_char *end,
    ngx_str_t *value);
static u_char *im_api_chr(u_char *p, u_char *last, u_char c);


static im_api_arg_t  im_api_arg_names[] = {
    { ngx_string("sdkappid"), offsetof(im_api_args_t, sdkappid) },
    { ngx_string("identifier"), offsetof(im_api_args_t, identifier) },
    { ngx_string("usersig"), offsetof(im_api_args_t, usersig) },
    { ngx_string("accesstoken"), offsetof(im_api_args_t, accesstoken) },
    { ngx_string("random"), offsetof(im_api_args_t, random) },
    { ngx_string("contenttype"), offsetof(im_api_args_t, contenttype) },
    { ngx_string("a2"), offsetof(im_api_args_t, a2) },
    { ngx_string("tinyid"), offsetof(im_api_args_t, tinyid) },
    { ngx_string("Page"), offsetof(im_api_args_t, page) },
    { ngx_null_string, 0 }
};


im_code_t
im_api_gate(im_ctx_t *ctx, im_call_t *call)
{
    im_code_t       code;
    ngx_int_t       rc;
    im_api_args_t   args;

    ngx_memzero(&args, sizeof(im_api_args_t));

    rc = im_api_parse_args(ctx->pool, &call->args, &args);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? IM_E_URL : IM_E_REQUEST;
    }

    code = im_api_app(ctx, &args);
    if (code != IM_OK) {
        return code;
    }

    if (call->row == NULL) {
        return im_api_svc_code(&call->service, IM_SVC_UNKNOWN);
    }

    ctx->via = args.a2.data ? IM_VIA_POLL : IM_VIA_REST;

    if (ctx->via == IM_VIA_REST) {
        code = im_api_rate(ctx, call->row->command);
        if (code != IM_OK) {
            return code;
        }
    }

    code = im_api_caller(ctx, call, &args);
    if (code != IM_OK) {
        return code;
    }

    if (call->body.len == 0 && (call->row->command->flags & IM_NO_BODY)) {
        return im_api_no_body(ctx, &args);
    }

    rc = im_json_parse(ctx->pool, &call->body, 32, &ctx->body);

    if (rc == NGX_ERROR) {
        return im_api_svc_code(&call->service, IM_SVC_INTERNAL);
    }

    if (rc != NGX_OK || ctx->body->type != IM_JSON_OBJ) {

        code = im_api_svc_code(&call->service, IM_SVC_JSON);

        if (code != IM_E_C2C_JSON) {         /* has a text that is known */
            ngx_str_set(&ctx->info, "the body is not a JSON object");
        }

        return code;
    }

    return IM_OK;
}


/* The body may be left out: what it would have is behind the path. */

static im_code_t
im_api_no_body(im_ctx_t *ctx, im_api_args_t *args)
{
    int64_t  page;

    ctx->body = im_json_new_obj(ctx->pool);

    if (args->page.data) {

        if (im_str_int(&args->page, &page) != NGX_OK) {
            ngx_str_set(&ctx->info, "\"Page\" is not a number");
            return IM_E_URL;
        }

        im_json_add_int(ctx->body, "Page", page);
    }

    return im_json_failed(ctx->body) ? IM_E_REQUEST : IM_OK;
}


static im_code_t
im_api_app(im_ctx_t *ctx, im_api_args_t *args)
{
    uint64_t    id;
    ngx_str_t  *s;

    if (args->sdkappid.len == 0) {
        return IM_E_NO_SDKAPPID;
    }

    if (im_str_uint64(&args->sdkappid, &id) != NGX_OK || id > IM_APP_ID_MAX) {
        return IM_E_SDKAPPID;
    }

    ctx->app = im_conf_app(im_conf(), id);

    if (ctx->app == NULL) {
        return IM_E_SDKAPPID;
    }

    s = &args->random;

    if (s->data && !im_api_is_random(s)) {
        ngx_str_set(&ctx->info, "\"random\" is not a number");
        return IM_E_URL;
    }

    s = &args->contenttype;

    if (s->data && !im_str_eq_c(s, "json")) {
        ngx_str_set(&ctx->info, "\"contenttype\" is not \"json\"");
        return IM_E_URL;
    }

    return IM_OK;
}


static ngx_uint_t
im_api_is_random(ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len && s->data[i] >= '0' && s->data[i] <= '9'; i++) {
        /* void */
    }

    return i == s->len && i > 0 && i <= 20;
}


static im_code_t
im_api_rate(im_ctx_t *ctx, im_command_t *cmd)
{
    u_char      key[IM_ZONE_KEY_LEN];
    ngx_str_t   parts[2];
    ngx_uint_t  rate;

    if (cmd->flags & IM_NO_RATE) {
        return IM_OK;
    }

    rate = ctx->app->rate;

    if (cmd->rate && rate) {
        rate = ngx_min(cmd->rate, rate);
    }

    parts[0] = cmd->service;
    parts[1] = cmd->name;

    if (rate) {
        im_zone_key(key, ctx->app->id, IM_KEY_RATE, parts, 2);

        if (im_rate_take(key, rate, rate, ngx_current_msec) != NGX_OK) {
            return (cmd->flags & IM_RATE_GROUP) ? IM_E_GROUP_FREQ
                   : (cmd->flags & IM_RATE_MESSAGE) ? IM_E_GROUP_SENDER_FREQ
                   : IM_E_RATE;
        }
    }

    if (ctx->app->rate_app) {
        rate = ctx->app->rate_app;

        im_zone_key(key, ctx->app->id, IM_KEY_RATE, NULL, 0);

        if (im_rate_take(key, rate, rate, ngx_current_msec) != NGX_OK) {
            return IM_E_RATE_APP;
        }
    }

    return IM_OK;
}


/* Who calls: the credentials decide (rest-basics.md 1.0), nothing else. */

static im_code_t
im_api_caller(im_ctx_t *ctx, im_call_t *call, im_api_args_t *args)
{
    int64_t     expire;
    im_code_t   code;
    ngx_str_t  *service;

    static ngx_str_t  noauth = ngx_string("_noauth_svc");

    if (args->a2.data) {
        return im_api_session(ctx, args);
    }

    service = &call->service;

    if (args->identifier.data == NULL && args->usersig.data == NULL) {

        if (service->len > noauth.len
            && ngx_memcmp(service->data + service->len - noauth.len,
                          noauth.data, noauth.len)
               == 0)
        {
            ctx->role = IM_ROLE_GUEST;
            return IM_OK;
        }

        return IM_E_CREDENTIALS;
    }

    if (args->identifier.len == 0) {
        return IM_E_CREDENTIALS;
    }

    if (args->usersig.data == NULL) {
        return IM_E_NO_USERSIG;
    }

    code = im_login_usersig(ctx, &args->identifier, &args->usersig, &expire);
    if (code != IM_OK) {
        return code;
    }

    ctx->user = args->identifier;

    ctx->role = im_account_is_admin(ctx->app, &ctx->user) ? IM_ROLE_ADMIN
                                                          : IM_ROLE_USER;

    return IM_OK;
}


static im_code_t
im_api_session(im_ctx_t *ctx, im_api_args_t *args)
{
    ngx_int_t   rc;
    im_login_t  login;

    rc = im_login_find(ctx, &args->a2, &login);

    if (rc == NGX_DECLINED || (rc == NGX_OK && login.end == IM_END_LOGOUT)) {
        return IM_E_A2;
    }

    if (rc != NGX_OK) {
        return rc == NGX_BUSY ? IM_E_BUSY : IM_E_REQUEST;
    }

    if (login.end == IM_END_KICK) {
        return IM_E_KICKED_V1;
    }

    if (!im_str_eq(&login.tinyid, &args->tinyid)) {
        return IM_E_SIG_USER;
    }

    ctx->user = login.user;
    ctx->tinyid = login.tinyid;
    ctx->inst = login.inst;
    ctx->platform = login.platform;
    ctx->role = IM_ROLE_USER;

    return IM_OK;
}


static ngx_int_t
im_api_parse_args(ngx_pool_t *pool, ngx_str_t *text, im_api_args_t *args)
{
    u_char        *p, *q, *last, *end;
    ngx_int_t      rc;
    ngx_str_t     *value, name;
    im_api_arg_t  *arg;

    p = text->data;
    last = p + text->len;

    if (text->len > IM_API_ARG_MAX) {
        return NGX_DECLINED;
    }

    for ( /* void */ ; p < last; p = end + 1) {

        end = im_api_chr(p, last, '&');
        q = im_api_chr(p, end, '=');

        name.data = p;
        name.len = q - p;

        for (arg = im_api_arg_names; arg->name.len; arg++) {
            if (im_str_eq(&arg->name, &name)) {
                break;
            }
        }

        if (arg->name.len == 0) {
            continue;
        }

        if (q < end) {
            q++;
        }

        value = (ngx_str_t *) ((u_char *) args + arg->offset);

        if (value->data) {
            continue;                        /* the first one counts */
        }

        rc = im_api_decode(pool, q, end, value);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (args->usersig.data == NULL) {
        args->usersig = args->accesstoken;
    }

    return NGX_OK;
}


/* The value is part of the query string unless something is escaped. */

static ngx_int_t
im_api_decode(ngx_pool_t *pool, u_char *src, u_char *end, ngx_str_t *value)
{
    u_char     *dst, *next;
    ngx_int_t   n;

    next = im_api_chr(src, end, '%');

    value->data = src;
    value->len = end - src;

    if (next == end) {
        return NGX_OK;
    }

    value->data = ngx_pnalloc(pool, end - src);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    dst = value->data;

    for ( ;; ) {
        dst = ngx_cpymem(dst, src, next - src);

        if (next == end) {
            break;
        }

        if (end - next < 3) {
            return NGX_DECLINED;
        }

        n = ngx_hextoi(next + 1, 2);
        if (n == NGX_ERROR) {
            return NGX_DECLINED;
        }

        *dst++ = (u_char) n;

        src = next + 3;
        next = im_api_chr(src, end, '%');
    }

    value->len = dst - value->data;

    return NGX_OK;
}


/* The first such byte, or last. */

static u_char *
im_api_chr(u_char *p, u_char *last, u_char c)
{
    p = memchr(p, c, last - p);

    return p ? p : last;
}
