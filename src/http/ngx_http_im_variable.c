
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "http/ngx_http_im_module.h"


#define NGX_HTTP_IM_MASK  "***"


static ngx_int_t ngx_http_im_variable_uri(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_uint_t ngx_http_im_variable_secret(u_char *name, size_t len);


static ngx_http_variable_t  ngx_http_im_variables[] = {

    { ngx_string("im_uri"), NULL, ngx_http_im_variable_uri, 0, 0, 0 },

      ngx_http_null_variable
};


/* arguments that let their reader act as somebody, or that are messages */

static ngx_str_t  ngx_http_im_secrets[] = {
    ngx_string("usersig"),
    ngx_string("a2"),
    ngx_string("accesstoken"),
    ngx_string("authkey"),
    ngx_string("key"),
    ngx_string("sign"),
    ngx_string("jsonpbody"),
    ngx_null_string
};


ngx_int_t
ngx_http_im_variable_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_im_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


/* The request's URI as the client wrote it, values of secrets masked. */

static ngx_int_t
ngx_http_im_variable_uri(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char      *p, *dst, *last, *end, *value;
    ngx_uint_t   n;

    p = r->unparsed_uri.data;
    last = p + r->unparsed_uri.len;

    for (n = 0; p < last; p++) {
        n += (*p == '&' || *p == '?');
    }

    dst = ngx_pnalloc(r->pool, r->unparsed_uri.len
                               + n * (sizeof(NGX_HTTP_IM_MASK) - 1));
    if (dst == NULL) {
        return NGX_ERROR;
    }

    v->data = dst;

    p = r->unparsed_uri.data;
    end = ngx_strlchr(p, last, '?');

    while (end) {

        /* up to the separator, and the argument after it */

        dst = ngx_cpymem(dst, p, end + 1 - p);
        p = end + 1;

        end = ngx_strlchr(p, last, '&');
        value = ngx_strlchr(p, end ? end : last, '=');

        if (value && ngx_http_im_variable_secret(p, value - p)) {
            dst = ngx_cpymem(dst, p, value + 1 - p);
            dst = ngx_cpymem(dst, NGX_HTTP_IM_MASK,
                             sizeof(NGX_HTTP_IM_MASK) - 1);
            p = end ? end : last;
        }
    }

    dst = ngx_cpymem(dst, p, last - p);

    v->len = dst - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_im_variable_secret(u_char *name, size_t len)
{
    ngx_str_t  *s;

    /* what is spelled in a strange way may be any of them */

    if (ngx_strlchr(name, name + len, '%')) {
        return 1;
    }

    for (s = ngx_http_im_secrets; s->len; s++) {
        if (s->len == len && ngx_strncasecmp(s->data, name, len) == 0) {
            return 1;
        }
    }

    return 0;
}
