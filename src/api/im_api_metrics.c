
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_hist.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "api/im_api_metrics.h"
#include "api/im_api_table.h"


#define IM_API_METRIC_LEN  192
#define IM_API_UNKNOWN     1         /* in place of a hash */


void
im_api_count(im_api_row_t *row, im_code_t code)
{
    /* names that do not exist are the callers' choice: one counter */

    im_stat_pair_add(row ? row->hash : IM_API_UNKNOWN, code);
}


ngx_int_t
im_api_metrics(ngx_pool_t *pool, ngx_str_t *out)
{
    u_char        *p;
    uint32_t       hash, code;
    uint64_t       n;
    ngx_str_t     *service, *name;
    ngx_uint_t     i, pairs;
    im_api_row_t  *row;

    static ngx_str_t  other = ngx_string("other");
    static u_char     type[] = "# TYPE im_commands_total counter\n";

    pairs = 0;

    for (i = 0; i < IM_STAT_PAIRS; i++) {
        if (im_stat_pair(i, &hash, &code, &n) == NGX_OK) {
            pairs++;
        }
    }

    /* others may have been added when the second walk comes by */

    out->data = ngx_pnalloc(pool, sizeof(type) + pairs * IM_API_METRIC_LEN);
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(out->data, type, sizeof(type) - 1);

    for (i = 0; i < IM_STAT_PAIRS && pairs; i++) {

        if (im_stat_pair(i, &hash, &code, &n) != NGX_OK) {
            continue;
        }

        pairs--;

        row = im_api_by_hash(hash);

        service = row ? &row->command->service : &other;
        name = row ? &row->command->name : &other;

        p = ngx_slprintf(p, p + IM_API_METRIC_LEN,
                         "im_commands_total{command=\"%V/%V\",code=\"%uD\"}"
                         " %uL\n", service, name, code, n);
    }

    out->len = p - out->data;

    return NGX_OK;
}


ngx_int_t
im_api_times(ngx_pool_t *pool, ngx_str_t *out)
{
    u_char        *p, labels[IM_API_METRIC_LEN];
    uint32_t       app, hash;
    im_hist_t     *h;
    ngx_str_t     *service, *name;
    ngx_uint_t     i, n;
    im_api_row_t  *row;

    static ngx_str_t  other = ngx_string("other");
    static u_char     type[] = "# TYPE im_command_seconds histogram\n";

    n = 1;

    for (i = 0; i < IM_HIST_MAX; i++) {
        n += (im_hist_get(IM_HIST_COMMAND, i, &app, &hash) != NULL);
    }

    out->data = ngx_pnalloc(pool, sizeof(type)
                            + n * IM_HIST_LINES * (IM_API_METRIC_LEN + 160));
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(out->data, type, sizeof(type) - 1);

    /* others may have been added since */

    for (i = 0; i <= IM_HIST_MAX && n; i++) {

        h = im_hist_get(IM_HIST_COMMAND, i, &app, &hash);
        if (h == NULL) {
            continue;
        }

        n--;

        row = im_api_by_hash(hash);

        service = row ? &row->command->service : &other;
        name = row ? &row->command->name : &other;

        *ngx_slprintf(labels, labels + sizeof(labels) - 1,
                      "app=\"%uD\",command=\"%V/%V\"", app, service, name)
            = '\0';

        p = im_hist_text(p, h, "im_command_seconds", labels);
    }

    out->len = p - out->data;

    return NGX_OK;
}
