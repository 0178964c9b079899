
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_hist.h"
#include "core/im_stat.h"
#include "domain/im_callback_conf.h"
#include "domain/im_callback_stat.h"


#define IM_CALLBACK_LABELS  128


static uint32_t im_callback_number(im_callback_call_t *call);
static u_char *im_callback_metrics_results(u_char *p, im_hist_t *h,
    u_char *labels);
static u_char *im_callback_metrics_app(u_char *p, im_app_t *app);


static ngx_uint_t  im_callback_stats[] = {
    IM_STAT_CB_OK, IM_STAT_CB_FAILED, IM_STAT_CB_SKIPPED, IM_STAT_CB_DROPPED
};

static char  *im_callback_results[] = { "ok", "failed", "skipped", "dropped" };


void
im_callback_count(im_callback_call_t *call, im_callback_result_e result)
{
    im_stat_add(im_callback_stats[result], 1);

    im_hist_count(IM_HIST_CALLBACK, call->app->id, im_callback_number(call),
                  result);
}


void
im_callback_took(im_callback_call_t *call, ngx_msec_t ms)
{
    im_stat_add(IM_STAT_CB_TIME, ms);

    im_hist_add(IM_HIST_CALLBACK, call->app->id, im_callback_number(call),
                (uint64_t) ms * 1000);
}


static uint32_t
im_callback_number(im_callback_call_t *call)
{
    return im_callback_find(call->command) + 1;
}


void
im_callback_breaker(im_app_t *app, ngx_uint_t open)
{
    im_stat_add(IM_STAT_CB_OPEN, open ? 1 : -1);

    im_hist_flag_set(app->id, open);
}


ngx_int_t
im_callback_metrics(ngx_pool_t *pool, ngx_str_t *out)
{
    u_char      *p, labels[IM_CALLBACK_LABELS];
    size_t       size;
    uint32_t     app, name;
    im_app_t    *apps;
    im_conf_t   *conf;
    im_hist_t   *h;
    ngx_str_t   *command;
    ngx_uint_t   i, k, n;

    static ngx_str_t  other = ngx_string("other");

    conf = im_conf();
    apps = conf->apps.elts;

    n = 1;

    for (i = 0; i < IM_HIST_MAX; i++) {
        n += (im_hist_get(IM_HIST_CALLBACK, i, &app, &name) != NULL);
    }

    size = 512 + n * (IM_HIST_LINES + IM_HIST_RESULTS)
                   * (IM_CALLBACK_LABELS + 160)
           + conf->apps.nelts * (IM_CALLBACK_URL_MAX + 128);

    for (i = 0; i < conf->apps.nelts; i++) {
        size += apps[i].callback ? 2 * apps[i].callback->url.len : 0;
    }

    p = ngx_pnalloc(pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    out->data = p;

    for (k = 0; k < 2; k++) {

        p = ngx_sprintf(p, k ? "# TYPE im_callback_requests_total counter\n"
                             : "# TYPE im_callback_seconds histogram\n");

        /* others may have been added since */

        for (i = 0, size = n; i <= IM_HIST_MAX && size; i++) {

            h = im_hist_get(IM_HIST_CALLBACK, i, &app, &name);
            if (h == NULL) {
                continue;
            }

            size--;

            command = (name && name <= IM_CALLBACKS)
                      ? im_callback_name(name - 1) : &other;

            *ngx_slprintf(labels, labels + sizeof(labels) - 1,
                          "app=\"%uD\",command=\"%V\"", app, command)
                = '\0';

            if (k == 0) {
                p = im_hist_text(p, h, "im_callback_seconds", labels);
                continue;
            }

            p = im_callback_metrics_results(p, h, labels);
        }
    }

    p = ngx_sprintf(p, "# TYPE im_callback_breaker_open gauge\n");

    for (i = 0; i < conf->apps.nelts; i++) {
        p = im_callback_metrics_app(p, &apps[i]);
    }

    out->len = p - out->data;

    return NGX_OK;
}


static u_char *
im_callback_metrics_results(u_char *p, im_hist_t *h, u_char *labels)
{
    ngx_uint_t  i;

    for (i = 0; i < IM_HIST_RESULTS; i++) {
        p = ngx_sprintf(p, "im_callback_requests_total{%s,result=\"%s\"} "
                        "%uA\n", labels, im_callback_results[i],
                        h->result[i]);
    }

    return p;
}


/* Workers whose breaker is open; arguments of the URL may be secret. */

static u_char *
im_callback_metrics_app(u_char *p, im_app_t *app)
{
    u_char     *c;
    size_t      i;
    ngx_str_t   url;

    if (app->callback == NULL) {
        return p;
    }

    url = app->callback->url;

    c = ngx_strlchr(url.data, url.data + url.len, '?');
    if (c) {
        url.len = c - url.data;
    }

    p = ngx_sprintf(p, "im_callback_breaker_open{app=\"%ui\",url=\"",
                    app->id);

    for (i = 0; i < url.len; i++) {
        if (url.data[i] == '"' || url.data[i] == '\\') {
            *p++ = '\\';
        }

        *p++ = url.data[i];
    }

    return ngx_sprintf(p, "\"} %ui\n", im_hist_flag_get(app->id));
}
