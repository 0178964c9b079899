
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "domain/im_history.h"


#define IM_HISTORY_SCAN    1000          /* rows of one call */
#define IM_HISTORY_ROUNDS  20            /* calls for one page */


typedef struct {
    int64_t            time;
    int64_t            ord;
    int64_t            cid;
    int64_t            seq;
} im_history_row_t;


typedef struct {
    im_history_t      *h;
    im_history_row_t   last;         /* seen last; time 0: none */
    ngx_uint_t         scanned;
    ngx_uint_t         n;
    im_history_row_t   rows[1];      /* h->max + 1 */
} im_history_scan_t;


static im_history_scan_t *im_history_scan(im_ctx_t *ctx, im_history_t *h,
    ngx_str_t *user, ngx_str_t *peer, ngx_int_t *rc);
static ngx_int_t im_history_after(im_ctx_t *ctx, im_history_t *h,
    im_history_row_t *last);
static ngx_int_t im_history_row(im_row_t *row, void *data);
static ngx_int_t im_history_cmp(im_history_row_t *a, im_history_row_t *b);
static ngx_uint_t im_history_merge(im_history_t *h, im_history_scan_t *a,
    im_history_scan_t *b, im_history_row_t *rows);


ngx_int_t
im_history_read(im_ctx_t *ctx, im_history_t *h)
{
    int64_t            *ids;
    ngx_int_t           rc;
    ngx_uint_t          i, n;
    im_history_row_t   *rows;
    im_history_scan_t  *a, *b;

    h->n = 0;

    a = im_history_scan(ctx, h, h->user, h->peer, &rc);
    if (a == NULL) {
        return rc;
    }

    rows = a->rows;
    n = a->n;

    if (h->both) {

        b = im_history_scan(ctx, h, h->peer, h->user, &rc);
        if (b == NULL) {
            return rc;
        }

        rows = ngx_palloc(ctx->pool, (h->max + 1) * sizeof(im_history_row_t));
        if (rows == NULL) {
            return NGX_ERROR;
        }

        n = im_history_merge(h, a, b, rows);
    }

    h->complete = (n <= h->max);
    n = ngx_min(n, h->max);

    ids = ngx_palloc(ctx->pool, (n + 1) * sizeof(int64_t));
    h->msgs = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_message_t));

    if (ids == NULL || h->msgs == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        ids[i] = rows[i].cid;
    }

    rc = im_message_get_many(ctx, ids, n, h->msgs);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        if (h->msgs[i].id) {
            h->msgs[h->n++] = h->msgs[i];
        }
    }

    return NGX_OK;
}


static im_history_scan_t *
im_history_scan(im_ctx_t *ctx, im_history_t *h, ngx_str_t *user,
    ngx_str_t *peer, ngx_int_t *rc)
{
    im_key_t            prefix, from, to, *first, *last, bound;
    ngx_uint_t          round;
    im_history_scan_t  *s;

    s = ngx_pcalloc(ctx->pool, sizeof(im_history_scan_t)
                               + h->max * sizeof(im_history_row_t));
    if (s == NULL) {
        *rc = NGX_ERROR;
        return NULL;
    }

    s->h = h;

    if (h->has_after) {
        *rc = im_history_after(ctx, h, &s->last);

        if (*rc != NGX_OK) {
            return NULL;
        }
    }

    im_inbox_key(ctx, user, &prefix);
    im_key_str(&prefix, peer);

    for (round = 0; round < IM_HISTORY_ROUNDS; round++) {

        if (round) {
            im_co_yield();
        }

        first = NULL;
        last = NULL;

        if (s->last.time || h->time) {

            bound = prefix;

            if (s->last.time) {
                im_key_int(&bound, s->last.time);
                im_key_int(&bound, s->last.ord);
                im_key_int(&bound, s->last.cid);

            } else {
                im_key_int(&bound, h->time);
            }

            if (h->order == IM_DESC) {
                to = bound;
                last = &to;

            } else {
                from = bound;
                first = &from;
            }
        }

        if (h->until) {

            bound = prefix;
            im_key_int(&bound, h->until);

            if (h->order == IM_DESC) {
                from = bound;
                first = &from;

            } else {
                to = bound;
                last = &to;
            }
        }

        s->scanned = 0;

        *rc = im_store_scan(ctx, IM_T_INBOX, IM_INBOX_HIST, &prefix, first,
                            last, h->order, IM_HISTORY_SCAN, im_history_row,
                            s);

        if (*rc != NGX_OK && *rc != NGX_DECLINED) {
            return NULL;
        }

        if (s->n > h->max || s->scanned < IM_HISTORY_SCAN) {
            break;
        }
    }

    return s;
}


/* A key that is not there any more: the page leaves out its second. */

static ngx_int_t
im_history_after(im_ctx_t *ctx, im_history_t *h, im_history_row_t *last)
{
    ngx_int_t  rc;

    last->time = h->after.time;

    rc = im_message_position(ctx, h->user, h->peer, &h->after, &last->ord,
                             &last->cid);

    if (rc == NGX_DECLINED && h->both) {
        rc = im_message_position(ctx, h->peer, h->user, &h->after, &last->ord,
                                 &last->cid);
    }

    if (rc == NGX_DECLINED) {
        last->ord = (h->order == IM_DESC) ? -1 : INT64_MAX;
        last->cid = 0;

        return NGX_OK;
    }

    return rc;
}


static ngx_int_t
im_history_row(im_row_t *row, void *data)
{
    im_history_scan_t  *s = data;

    int64_t            flags;
    ngx_int_t          cmp;
    im_history_row_t   r;

    s->scanned++;

    (void) im_row_int(row, "time", &r.time);
    (void) im_row_int(row, "ord", &r.ord);
    (void) im_row_int(row, "cid", &r.cid);
    (void) im_row_int(row, "seq", &r.seq);
    (void) im_row_int(row, "flags", &flags);

    if (s->last.time) {

        /* a page begins behind a message, a further call behind a row */

        cmp = im_history_cmp(&r, &s->last);

        if (s->h->order == IM_DESC) {
            cmp = -cmp;
        }

        if (cmp <= 0) {
            return NGX_OK;
        }
    }

    s->last = r;

    if ((flags & IM_F_HIDDEN)
        || ((flags & IM_F_RECALLED) && !s->h->recalled)
        || r.seq <= s->h->cleared)
    {
        return NGX_OK;
    }

    s->rows[s->n++] = r;

    return (s->n > s->h->max) ? NGX_DONE : NGX_OK;
}


static ngx_int_t
im_history_cmp(im_history_row_t *a, im_history_row_t *b)
{
    if (a->time != b->time) {
        return (a->time > b->time) ? 1 : -1;
    }

    if (a->ord != b->ord) {
        return (a->ord > b->ord) ? 1 : -1;
    }

    if (a->cid != b->cid) {
        return (a->cid > b->cid) ? 1 : -1;
    }

    return 0;
}


/* The union of both mailboxes: a message that is in both has one id. */

static ngx_uint_t
im_history_merge(im_history_t *h, im_history_scan_t *a, im_history_scan_t *b,
    im_history_row_t *rows)
{
    ngx_int_t          cmp;
    ngx_uint_t         i, j, n;
    im_history_row_t  *r;

    i = 0;
    j = 0;
    n = 0;

    while (n <= h->max && (i < a->n || j < b->n)) {

        if (i == a->n) {
            r = &b->rows[j++];

        } else if (j == b->n) {
            r = &a->rows[i++];

        } else {
            cmp = im_history_cmp(&a->rows[i], &b->rows[j]);

            if (h->order == IM_DESC) {
                cmp = -cmp;
            }

            r = (cmp <= 0) ? &a->rows[i++] : &b->rows[j++];
        }

        if (n && rows[n - 1].cid == r->cid) {
            continue;
        }

        rows[n++] = *r;
    }

    return n;
}
