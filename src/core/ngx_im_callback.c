
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/ngx_im_module.h"


#define IM_CALLBACK_FILE_SIZE  (512 * 1024)
#define IM_CALLBACK_TOKEN_MAX  128
#define IM_CALLBACK_TIME_MAX   60000


static ngx_int_t ngx_im_callback_parameter(ngx_conf_t *cf,
    im_callback_conf_t *cb, ngx_str_t *value);
static ngx_int_t ngx_im_callback_file(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *text, char *what);


/* callback URL Command ... [timeout=2s] [fail=refuse] [token=...] ...; */

char *
ngx_im_app_callback(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    im_app_t  *app = conf;

    char                *rv;
    ngx_int_t            rc;
    ngx_str_t           *value, *command;
    ngx_uint_t           i;
    im_callback_conf_t  *cb;

    if (app->callback) {
        return "is duplicate";
    }

    cb = ngx_pcalloc(cf->pool, sizeof(im_callback_conf_t));

    if (cb == NULL
        || ngx_array_init(&cb->commands, cf->pool, 8, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    cb->timeout = 2000;
    cb->verify = 1;

    value = cf->args->elts;

    rv = ngx_im_callback_url_check(&value[1]);
    if (rv) {
        return rv;
    }

    cb->url = value[1];

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strlchr(value[i].data, value[i].data + value[i].len, '=')
            == NULL)
        {
            command = ngx_array_push(&cb->commands);
            if (command == NULL) {
                return NGX_CONF_ERROR;
            }

            *command = value[i];
            continue;
        }

        rc = ngx_im_callback_parameter(cf, cb, &value[i]);

        if (rc == NGX_DECLINED) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[i]);
        }

        if (rc != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (cb->commands.nelts == 0) {
        return "has no commands, write those that the URL wants, or \"all\"";
    }

    if ((cb->cert.len == 0) != (cb->key.len == 0)) {
        return "needs both \"cert=\" and \"key=\", or neither";
    }

    app->callback = cb;
    app->callback_conf = cb;

    return NGX_CONF_OK;
}


char *
ngx_im_callback_url_check(ngx_str_t *url)
{
    u_char  *p, *last;

    p = url->data;
    last = p + url->len;

    if (ngx_strncasecmp(p, (u_char *) "http://", 7) == 0) {
        p += 7;

    } else if (ngx_strncasecmp(p, (u_char *) "https://", 8) == 0) {
        p += 8;

    } else {
        return "URL must begin with http:// or https://";
    }

    if (p == last || *p == '/' || *p == '?' || *p == ':') {
        return "URL has no host";
    }

    for ( /* void */ ; p < last; p++) {
        if (*p <= ' ' || *p >= 0x7f || *p == '#') {
            return "URL has an illegal character";
        }
    }

    return NULL;
}


/* NGX_OK; NGX_DECLINED: no such parameter or value; NGX_ERROR: logged. */

static ngx_int_t
ngx_im_callback_parameter(ngx_conf_t *cf, im_callback_conf_t *cb,
    ngx_str_t *value)
{
    size_t      len;
    ngx_int_t   msec;
    ngx_str_t   s;

    len = (u_char *) ngx_strchr(value->data, '=') - value->data + 1;

    s.data = value->data + len;
    s.len = value->len - len;

    if (ngx_strncmp(value->data, "timeout=", len) == 0) {

        msec = ngx_parse_time(&s, 0);

        if (msec == NGX_ERROR || msec == 0 || msec > IM_CALLBACK_TIME_MAX) {
            return NGX_DECLINED;
        }

        cb->timeout = msec;

        return NGX_OK;
    }

    if (ngx_strncmp(value->data, "fail=", len) == 0) {

        if (ngx_strcmp(s.data, "refuse") == 0) {
            cb->refuse = 1;
            return NGX_OK;
        }

        return ngx_strcmp(s.data, "deliver") == 0 ? NGX_OK : NGX_DECLINED;
    }

    if (ngx_strncmp(value->data, "retry=", len) == 0) {

        if (ngx_strcmp(s.data, "on") == 0) {
            cb->retry = 1;
            return NGX_OK;
        }

        return ngx_strcmp(s.data, "off") == 0 ? NGX_OK : NGX_DECLINED;
    }

    if (ngx_strncmp(value->data, "verify=", len) == 0) {

        if (ngx_strcmp(s.data, "off") == 0) {
            cb->verify = 0;
            return NGX_OK;
        }

        return ngx_strcmp(s.data, "on") == 0 ? NGX_OK : NGX_DECLINED;
    }

    if (ngx_strncmp(value->data, "token=", len) == 0) {

        if (s.len == 0 || s.len > IM_CALLBACK_TOKEN_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"token=\" must have 1 to %d bytes",
                               IM_CALLBACK_TOKEN_MAX);
            return NGX_ERROR;
        }

        cb->token = s;

        return NGX_OK;
    }

    if (ngx_strncmp(value->data, "ca=", len) == 0) {
        return ngx_im_callback_file(cf, &s, &cb->ca,
                                    "with certificates in PEM form");
    }

    if (ngx_strncmp(value->data, "cert=", len) == 0) {
        return ngx_im_callback_file(cf, &s, &cb->cert,
                                    "with a certificate in PEM form");
    }

    if (ngx_strncmp(value->data, "key=", len) == 0) {
        return ngx_im_callback_file(cf, &s, &cb->key,
                                    "with a key in PEM form");
    }

    return NGX_DECLINED;
}


/* The master reads it, for workers may not. */

static ngx_int_t
ngx_im_callback_file(ngx_conf_t *cf, ngx_str_t *value, ngx_str_t *text,
    char *what)
{
    u_char     *p;
    ngx_str_t   name;

    name = *value;

    if (ngx_im_app_read_file(cf, &name, text, IM_CALLBACK_FILE_SIZE, what)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = (u_char *) "-----BEGIN ";

    if (ngx_strnstr(text->data, (char *) p, text->len) == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a file %s", &name, what);
        return NGX_ERROR;
    }

    return NGX_OK;
}
