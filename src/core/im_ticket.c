
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "core/im_str.h"
#include "core/im_ticket.h"


#define IM_TICKET_SIGN  32
#define IM_TICKET_USE   "ngx_im upload ticket 1"


static ngx_int_t im_ticket_sign(u_char sign[IM_TICKET_SIGN], im_app_t *app,
    ngx_str_t *path, int64_t expires);
static ngx_int_t im_ticket_arg(ngx_str_t *args, char *name,
    ngx_str_t *value);


u_char *
im_ticket_make(u_char *p, im_app_t *app, ngx_str_t *path, time_t expires)
{
    u_char  sign[IM_TICKET_SIGN];

    if (im_ticket_sign(sign, app, path, expires) != NGX_OK) {
        return NULL;
    }

    p = ngx_sprintf(p, "app=%ui&expires=%T&sign=", app->id, expires);

    return ngx_hex_dump(p, sign, IM_TICKET_SIGN);
}


ngx_int_t
im_ticket_verify(im_conf_t *conf, ngx_str_t *path, ngx_str_t *args)
{
    u_char      sign[IM_TICKET_SIGN], hex[2 * IM_TICKET_SIGN];
    int64_t     id, expires;
    im_app_t   *app;
    ngx_str_t   value;

    if (im_ticket_arg(args, "app", &value) != NGX_OK
        || im_str_int(&value, &id) != NGX_OK
        || id <= 0 || id > IM_APP_ID_MAX
        || im_ticket_arg(args, "expires", &value) != NGX_OK
        || im_str_int(&value, &expires) != NGX_OK
        || im_ticket_arg(args, "sign", &value) != NGX_OK
        || value.len != 2 * IM_TICKET_SIGN)
    {
        return NGX_DECLINED;
    }

    if (expires < ngx_time()) {
        return NGX_DECLINED;
    }

    app = im_conf_app(conf, (ngx_uint_t) id);

    if (app == NULL
        || im_ticket_sign(sign, app, path, expires) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_hex_dump(hex, sign, IM_TICKET_SIGN);

    if (CRYPTO_memcmp(hex, value.data, 2 * IM_TICKET_SIGN) != 0) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* The app's key signs UserSigs: what signs tickets is derived from it. */

static ngx_int_t
im_ticket_sign(u_char sign[IM_TICKET_SIGN], im_app_t *app, ngx_str_t *path,
    int64_t expires)
{
    u_char        key[IM_TICKET_SIGN], *p, buf[1024 + NGX_INT64_LEN + 1];
    unsigned int  len;

    if (app->key.len == 0 || path->len > 1024) {
        return NGX_DECLINED;
    }

    if (HMAC(EVP_sha256(), app->key.data, (int) app->key.len,
             (u_char *) IM_TICKET_USE, sizeof(IM_TICKET_USE) - 1, key, &len)
        == NULL)
    {
        return NGX_DECLINED;
    }

    p = ngx_sprintf(buf, "%L\n", expires);
    p = ngx_cpymem(p, path->data, path->len);

    if (HMAC(EVP_sha256(), key, IM_TICKET_SIGN, buf, p - buf, sign, &len)
        == NULL)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* The first argument of the name. */

static ngx_int_t
im_ticket_arg(ngx_str_t *args, char *name, ngx_str_t *value)
{
    size_t   len;
    u_char  *p, *last, *end;

    len = ngx_strlen(name);
    last = args->data + args->len;

    for (p = args->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - p) > len
            && ngx_memcmp(p, name, len) == 0
            && p[len] == '=')
        {
            value->data = p + len + 1;
            value->len = end - value->data;

            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}
