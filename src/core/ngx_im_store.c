
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/ngx_im_module.h"


#define NGX_IM_STORE_MIN  (1024 * 1024)


static char *ngx_im_store_mongo(ngx_conf_t *cf, im_store_conf_t *store,
    ngx_str_t *uri);


char *
ngx_im_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    im_conf_t  *imcf = conf;

    u_char           *p;
    ssize_t           size;
    ngx_str_t        *value, s;
    ngx_uint_t        i, n;
    im_store_conf_t  *store;

    static ngx_conf_enum_t  sync[] = {
        { ngx_string("always"), IM_SYNC_ALWAYS },
        { ngx_string("everysec"), IM_SYNC_EVERYSEC },
        { ngx_string("none"), IM_SYNC_NONE },
        { ngx_null_string, 0 }
    };

    store = &imcf->store;

    if (store->driver.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if ((value[1].len > 10
         && ngx_strncmp(value[1].data, "mongodb://", 10) == 0)
        || (value[1].len > 14
            && ngx_strncmp(value[1].data, "mongodb+srv://", 14) == 0))
    {
        if (cf->args->nelts > 2) {
            i = 2;
            goto invalid;
        }

        return ngx_im_store_mongo(cf, store, &value[1]);
    }

    if (value[1].len <= 5 || ngx_strncmp(value[1].data, "lmdb:", 5) != 0) {

        /* there may be a password in it */

        s = value[1];
        if (ngx_strlchr(s.data, s.data + s.len, '@')) {
            p = ngx_strlchr(s.data, s.data + s.len, ':');
            s.len = p ? (size_t) (p - s.data) : 0;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown store \"%V\", write \"lmdb:PATH\" or "
                           "\"mongodb://HOST/DB?replicaSet=NAME\"", &s);
        return NGX_CONF_ERROR;
    }

    ngx_str_set(&store->driver, "lmdb");

    store->path.data = value[1].data + 5;
    store->path.len = value[1].len - 5;
    store->sync = IM_SYNC_ALWAYS;
    store->size = (size_t) 64 * 1024 * 1024 * 1024;

    if (ngx_conf_full_name(cf->cycle, &store->path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    store->name.len = store->path.len + 5;
    store->name.data = ngx_pnalloc(cf->pool, store->name.len);
    if (store->name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    (void) ngx_sprintf(store->name.data, "lmdb:%V", &store->path);

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "sync=", 5) == 0) {
            s.len = value[i].len - 5;
            s.data = value[i].data + 5;

            for (n = 0; sync[n].name.len; n++) {
                if (sync[n].name.len == s.len
                    && ngx_strcmp(sync[n].name.data, s.data) == 0)
                {
                    break;
                }
            }

            if (sync[n].name.len == 0) {
                goto invalid;
            }

            store->sync = sync[n].value;
            continue;
        }

        if (ngx_strncmp(value[i].data, "size=", 5) == 0) {
            s.len = value[i].len - 5;
            s.data = value[i].data + 5;

            size = ngx_parse_offset(&s);

            if (size == NGX_ERROR || size < NGX_IM_STORE_MIN) {
                goto invalid;
            }

            store->size = size;
            continue;
        }

        goto invalid;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\"", &value[i]);

    return NGX_CONF_ERROR;
}


/* Logs name the hosts and the database only. */

static char *
ngx_im_store_mongo(ngx_conf_t *cf, im_store_conf_t *store, ngx_str_t *uri)
{
    u_char  *p, *start, *at, *end;

    ngx_str_set(&store->driver, "mongodb");
    store->path = *uri;

    start = (u_char *) ngx_strstr(uri->data, "://") + 3;
    end = uri->data + uri->len;
    at = start;

    for (p = start; p < end; p++) {
        if (*p == '@') {
            at = p + 1;
        }
    }

    p = ngx_strlchr(at, end, '?');
    end = p ? p : end;

    store->name.data = ngx_pnalloc(cf->pool, uri->len);
    if (store->name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    p = ngx_cpymem(store->name.data, uri->data, start - uri->data);
    p = ngx_cpymem(p, at, end - at);
    store->name.len = p - store->name.data;

    return NGX_CONF_OK;
}


char *
ngx_im_commit_queue(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    im_conf_t  *imcf = conf;

    ssize_t      size;
    ngx_int_t    n, msec;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (imcf->commit_queue) {
        return "is duplicate";
    }

    value = cf->args->elts;

    i = 1;
    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR || n == 0) {
        goto invalid;
    }

    i = 2;
    size = ngx_parse_size(&value[2]);

    if (size == NGX_ERROR || size < 1024 * 1024) {
        goto invalid;
    }

    i = 3;
    msec = ngx_parse_time(&value[3], 0);

    if (msec == NGX_ERROR || msec == 0) {
        goto invalid;
    }

    imcf->commit_queue = n;
    imcf->commit_size = size;
    imcf->commit_time = msec;

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\", write: "
                       "commit_queue 10000 64m 2s;", &value[i]);

    return NGX_CONF_ERROR;
}
