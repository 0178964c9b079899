
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_str.h"
#include "domain/im_contact.h"
#include "domain/im_group_direct.h"
#include "domain/im_group_edit.h"
#include "domain/im_group_join.h"
#include "domain/im_group_list.h"
#include "domain/im_group_read.h"


#define IM_CONTACT_SCAN   200        /* conversations of one read */
#define IM_CONTACT_POOL   16384
#define IM_CONTACT_YIELD  50         /* groups of one turn */


/* The best of all that were seen so far. */

typedef struct {
    ngx_array_t       *contacts;     /* of im_contact_t */
    ngx_uint_t         flags;
    ngx_uint_t         max;
    int64_t            min;          /* older ones would not get in */
} im_contact_best_t;


/* A walk over what the user has set. */

typedef struct {
    im_ctx_t          *ctx;
    ngx_array_t       *convs;        /* of im_conv_t */
    ngx_uint_t         skip;
    ngx_uint_t         max;
    ngx_uint_t         seen;         /* rows of this page */
    im_key_t           last;         /* the last of them */
    unsigned           more:1;
} im_contact_marked_t;


static ngx_int_t im_contact_c2c(im_ctx_t *ctx, ngx_str_t *user,
    im_contact_best_t *best);
static ngx_int_t im_contact_c2c_page(im_ctx_t *ctx, ngx_str_t *user,
    im_key_t *after, ngx_uint_t *n, im_contact_best_t *best,
    ngx_pool_t *pool);
static ngx_int_t im_contact_groups_add(im_ctx_t *ctx, ngx_str_t *user,
    im_contact_best_t *best);
static ngx_int_t im_contact_group_add(im_ctx_t *ctx, ngx_str_t *user,
    im_group_joined_t *joined, im_contact_best_t *best);
static ngx_int_t im_contact_group_fill(im_ctx_t *ctx, ngx_str_t *user,
    im_contact_t *c);
static ngx_int_t im_contact_pins(im_ctx_t *ctx, ngx_str_t *user,
    im_contact_best_t *best);
static ngx_int_t im_contact_push(im_ctx_t *ctx, im_contact_best_t *best,
    im_conv_t *conv, im_inbox_t *last);
static void im_contact_trim(im_contact_best_t *best);
static int ngx_libc_cdecl im_contact_cmp_keep(const void *one,
    const void *two);
static int ngx_libc_cdecl im_contact_cmp_time(const void *one,
    const void *two);
static ngx_int_t im_contact_marked_page(im_ctx_t *ctx, ngx_str_t *user,
    im_key_t *after, im_contact_marked_t *marked, ngx_pool_t *pool);
static ngx_int_t im_contact_marked_row(im_row_t *row, void *data);
static ngx_int_t im_contact_copy(im_ctx_t *ctx, im_conv_t *conv);
static ngx_int_t im_contact_messages(im_ctx_t *ctx, im_contact_t *contacts,
    ngx_uint_t n);


ngx_int_t
im_contact_list(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t flags,
    ngx_array_t *contacts)
{
    ngx_int_t          rc;
    im_contact_best_t  best;

    best.contacts = contacts;
    best.flags = flags;
    best.max = ngx_max(ctx->app->contacts_max, 1);
    best.min = -1;

    rc = im_contact_c2c(ctx, user, &best);

    if (rc == NGX_OK) {
        rc = im_contact_groups_add(ctx, user, &best);
    }

    if (rc == NGX_OK && (flags & IM_CONTACT_EMPTY)) {
        rc = im_contact_pins(ctx, user, &best);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    im_contact_trim(&best);

    ngx_qsort(contacts->elts, contacts->nelts, sizeof(im_contact_t),
              (flags & IM_CONTACT_PINNED) ? im_contact_cmp_keep
                                          : im_contact_cmp_time);

    return NGX_OK;
}


/* All of them are looked at, in pages on a memory of their own. */

static ngx_int_t
im_contact_c2c(im_ctx_t *ctx, ngx_str_t *user, im_contact_best_t *best)
{
    im_key_t     after;
    ngx_int_t    rc;
    ngx_uint_t   n;
    ngx_pool_t  *pool;

    after.len = 0;

    do {
        pool = ngx_create_pool(IM_CONTACT_POOL, ctx->log);
        if (pool == NULL) {
            return NGX_ERROR;
        }

        rc = im_contact_c2c_page(ctx, user, &after, &n, best, pool);

        ngx_destroy_pool(pool);

        if (rc != NGX_OK) {
            return rc;
        }

        if (n == IM_CONTACT_SCAN) {
            im_co_yield();
        }

    } while (n == IM_CONTACT_SCAN);

    return NGX_OK;
}


static ngx_int_t
im_contact_c2c_page(im_ctx_t *ctx, ngx_str_t *user, im_key_t *after,
    ngx_uint_t *n, im_contact_best_t *best, ngx_pool_t *pool)
{
    im_ctx_t      page;
    im_key_t      prefix;
    ngx_int_t     rc;
    ngx_str_t    *peers;
    im_conv_t    *convs;
    ngx_uint_t    i;
    im_inbox_t   *row;
    ngx_array_t   rows;

    page = *ctx;
    page.pool = pool;

    if (ngx_array_init(&rows, pool, IM_CONTACT_SCAN, sizeof(im_inbox_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    im_inbox_key(ctx, user, &prefix);

    rc = im_store_last_each(&page, IM_T_INBOX, IM_INBOX_HIST, &prefix,
                            after->len ? after : NULL,
                            IM_F_NO_LAST|IM_F_HIDDEN, IM_CONTACT_SCAN,
                            im_inbox_collect, &rows);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    *n = rows.nelts;

    if (*n == 0) {
        return NGX_OK;
    }

    row = rows.elts;

    peers = ngx_palloc(pool, *n * sizeof(ngx_str_t));
    convs = ngx_palloc(pool, *n * sizeof(im_conv_t));

    if (peers == NULL || convs == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < *n; i++) {
        peers[i] = row[i].peer;
    }

    *after = prefix;
    im_key_str(after, &peers[*n - 1]);

    rc = im_conv_get_many(&page, user, IM_CONV_C2C, peers, *n, convs);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < *n; i++) {

        if (row[i].seq <= convs[i].deleted) {
            continue;
        }

        if (row[i].seq <= convs[i].cleared) {

            if (!(best->flags & IM_CONTACT_EMPTY)) {
                continue;
            }

            row[i].cid = 0;
        }

        if (im_contact_push(ctx, best, &convs[i], &row[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* The groups of the user that have a message; live rooms are not here. */

static ngx_int_t
im_contact_groups_add(im_ctx_t *ctx, ngx_str_t *user, im_contact_best_t *best)
{
    ngx_int_t           rc;
    ngx_uint_t          i;
    ngx_array_t         joined;
    im_group_joined_t  *j;

    rc = im_group_joined(ctx, user, &joined);
    if (rc != NGX_OK) {
        return rc;
    }

    j = joined.elts;

    for (i = 0; i < joined.nelts; i++) {

        rc = im_contact_group_add(ctx, user, &j[i], best);
        if (rc != NGX_OK) {
            return rc;
        }

        if (i % IM_CONTACT_YIELD == IM_CONTACT_YIELD - 1) {
            im_co_yield();
        }
    }

    return NGX_OK;
}


static ngx_int_t
im_contact_group_add(im_ctx_t *ctx, ngx_str_t *user,
    im_group_joined_t *joined, im_contact_best_t *best)
{
    int64_t          head;
    im_code_t        code;
    ngx_int_t        rc;
    im_conv_t        conv;
    im_group_t      *group;
    im_contact_t    *c;
    im_group_row_t  *row;

    group = ngx_palloc(ctx->pool, sizeof(im_group_t));
    row = ngx_palloc(ctx->pool, sizeof(im_group_row_t));

    if (group == NULL || row == NULL) {
        return NGX_ERROR;
    }

    code = im_group_load_gno(ctx, joined->gno, group);

    if (code == IM_E_GROUP_NONE) {
        return NGX_OK;
    }

    if (code != IM_OK) {
        return NGX_BUSY;
    }

    if (group->idle && !im_str_eq(&group->owner, user)) {
        return NGX_OK;
    }

    rc = im_group_direct_head(ctx, joined->gno, user, &head, row);

    if (rc == NGX_OK) {
        rc = im_conv_get(ctx, user, IM_CONV_GROUP, &group->gid, &conv);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    /* what was set for another group of that GroupId is not for this one */

    if (head <= conv.deleted && conv.pinned == 0) {
        return NGX_OK;
    }

    if (row->seq <= conv.cleared || row->gone) {
        row->seq = 0;
    }

    if (head == 0 && conv.pinned == 0) {
        return NGX_OK;
    }

    if (row->time == 0) {
        row->time = conv.pinned ? conv.pinned : joined->joined;
    }

    if (conv.pinned == 0 && row->time <= best->min) {
        return NGX_OK;
    }

    c = ngx_array_push(best->contacts);
    if (c == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(c, sizeof(im_contact_t));

    c->conv = conv;
    c->time = row->time;
    c->group = group;
    c->row = row;
    c->head = head;

    if (best->contacts->nelts >= 2 * best->max) {
        im_contact_trim(best);
    }

    return NGX_OK;
}


static ngx_int_t
im_contact_group_fill(im_ctx_t *ctx, ngx_str_t *user, im_contact_t *c)
{
    int64_t           unread;
    ngx_int_t         rc;
    im_group_read_t   read;

    rc = im_group_read_get(ctx, c->group, user, 1, &read);

    if (rc == NGX_OK) {
        rc = im_group_unread(ctx, c->group, read.seq, c->head, &unread);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    c->read = read.seq;
    c->unread = unread;

    return NGX_OK;
}


/* Pinned conversations whose messages are gone. */

static ngx_int_t
im_contact_pins(im_ctx_t *ctx, ngx_str_t *user, im_contact_best_t *best)
{
    ngx_int_t      rc;
    im_conv_t     *conv;
    ngx_uint_t     i, k, n;
    ngx_array_t    convs;
    im_inbox_t     none;
    im_contact_t  *c;

    if (ngx_array_init(&convs, ctx->pool, 4, sizeof(im_conv_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = im_conv_pinned(ctx, user, best->max, &convs);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(&none, sizeof(im_inbox_t));

    conv = convs.elts;
    n = best->contacts->nelts;

    for (i = 0; i < convs.nelts; i++) {

        if (conv[i].type != IM_CONV_C2C) {
            continue;
        }

        c = best->contacts->elts;

        for (k = 0; k < n; k++) {
            if (c[k].conv.type == conv[i].type
                && im_str_eq(&c[k].conv.peer, &conv[i].peer))
            {
                break;
            }
        }

        if (k < n) {
            continue;
        }

        none.time = conv[i].pinned;

        if (im_contact_push(ctx, best, &conv[i], &none) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
im_contact_push(im_ctx_t *ctx, im_contact_best_t *best, im_conv_t *conv,
    im_inbox_t *last)
{
    im_contact_t  *c;

    if (conv->pinned == 0 && last->time <= best->min) {
        return NGX_OK;
    }

    c = ngx_array_push(best->contacts);
    if (c == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(c, sizeof(im_contact_t));

    c->conv = *conv;
    c->time = last->time;
    c->cid = last->cid;

    if (im_contact_copy(ctx, &c->conv) != NGX_OK) {
        return NGX_ERROR;
    }

    if (best->contacts->nelts >= 2 * best->max) {
        im_contact_trim(best);
    }

    return NGX_OK;
}


static void
im_contact_trim(im_contact_best_t *best)
{
    im_contact_t  *c;

    if (best->contacts->nelts <= best->max) {
        return;
    }

    ngx_qsort(best->contacts->elts, best->contacts->nelts,
              sizeof(im_contact_t), im_contact_cmp_keep);

    best->contacts->nelts = best->max;

    c = best->contacts->elts;
    c = &c[best->max - 1];

    if (c->conv.pinned == 0) {
        best->min = c->time;
    }
}


static int ngx_libc_cdecl
im_contact_cmp_keep(const void *one, const void *two)
{
    const im_contact_t  *a = one;
    const im_contact_t  *b = two;

    if ((a->conv.pinned != 0) != (b->conv.pinned != 0)) {
        return a->conv.pinned ? -1 : 1;
    }

    return im_contact_cmp_time(one, two);
}


static int ngx_libc_cdecl
im_contact_cmp_time(const void *one, const void *two)
{
    const im_contact_t  *a = one;
    const im_contact_t  *b = two;

    if (a->time != b->time) {
        return a->time > b->time ? -1 : 1;
    }

    if (a->cid != b->cid) {
        return a->cid > b->cid ? -1 : 1;
    }

    return ngx_memn2cmp(a->conv.peer.data, b->conv.peer.data,
                        a->conv.peer.len, b->conv.peer.len);
}


ngx_int_t
im_contact_fill(im_ctx_t *ctx, ngx_str_t *user, im_contact_t *contacts,
    ngx_uint_t n)
{
    ngx_int_t      rc;
    ngx_str_t     *peers;
    im_read_t     *own, *reads;
    ngx_uint_t     i, k;
    im_profile_t  *profiles;

    if (n == 0) {
        return NGX_OK;
    }

    rc = im_contact_messages(ctx, contacts, n);
    if (rc != NGX_OK) {
        return rc;
    }

    peers = ngx_palloc(ctx->pool, n * sizeof(ngx_str_t));
    own = ngx_palloc(ctx->pool, n * sizeof(im_read_t));
    reads = ngx_palloc(ctx->pool, n * sizeof(im_read_t));
    profiles = ngx_pcalloc(ctx->pool, n * sizeof(im_profile_t));

    if (peers == NULL || own == NULL || reads == NULL || profiles == NULL) {
        return NGX_ERROR;
    }

    k = 0;

    for (i = 0; i < n; i++) {

        if (contacts[i].group == NULL) {
            peers[k++] = contacts[i].conv.peer;
            continue;
        }

        rc = im_contact_group_fill(ctx, user, &contacts[i]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = im_profile_get_many(ctx, peers, k, profiles);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = im_read_get(ctx, user, IM_CONV_C2C, peers, k, own);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = im_read_get_of(ctx, peers, k, user, reads);
    if (rc != NGX_OK) {
        return rc;
    }

    k = 0;

    for (i = 0; i < n; i++) {

        if (contacts[i].group) {
            continue;
        }

        contacts[i].profile = profiles[k];
        contacts[i].peer_read = reads[k];

        rc = im_read_unread(ctx, user, &peers[k], &own[k],
                            &contacts[i].unread);
        if (rc != NGX_OK) {
            return rc;
        }

        k++;
    }

    return NGX_OK;
}


static ngx_int_t
im_contact_messages(im_ctx_t *ctx, im_contact_t *contacts, ngx_uint_t n)
{
    int64_t       *ids;
    ngx_int_t      rc;
    ngx_uint_t     i, k;
    im_message_t  *msgs;

    ids = ngx_palloc(ctx->pool, n * sizeof(int64_t));
    msgs = ngx_pcalloc(ctx->pool, n * sizeof(im_message_t));

    if (ids == NULL || msgs == NULL) {
        return NGX_ERROR;
    }

    k = 0;

    for (i = 0; i < n; i++) {
        if (contacts[i].cid) {
            ids[k++] = contacts[i].cid;
        }
    }

    rc = im_message_get_many(ctx, ids, k, msgs);
    if (rc != NGX_OK) {
        return rc;
    }

    k = 0;

    for (i = 0; i < n; i++) {
        if (contacts[i].cid) {
            contacts[i].msg = msgs[k++];
        }
    }

    return NGX_OK;
}


ngx_int_t
im_contact_marked(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t skip,
    ngx_uint_t max, ngx_array_t *convs, ngx_uint_t *more)
{
    im_key_t               after;
    ngx_int_t              rc;
    ngx_pool_t            *pool;
    im_contact_marked_t    marked;

    marked.ctx = ctx;
    marked.convs = convs;
    marked.skip = skip;
    marked.max = max;
    marked.more = 0;

    after.len = 0;

    do {
        pool = ngx_create_pool(IM_CONTACT_POOL, ctx->log);
        if (pool == NULL) {
            return NGX_ERROR;
        }

        rc = im_contact_marked_page(ctx, user, &after, &marked, pool);

        ngx_destroy_pool(pool);

        if (rc != NGX_OK) {
            return rc;
        }

        if (marked.seen == IM_CONTACT_SCAN) {
            im_co_yield();
        }

    } while (marked.seen == IM_CONTACT_SCAN && !marked.more);

    *more = marked.more;

    return NGX_OK;
}


/* The first row of a page is the last one of the page before. */

static ngx_int_t
im_contact_marked_page(im_ctx_t *ctx, ngx_str_t *user, im_key_t *after,
    im_contact_marked_t *marked, ngx_pool_t *pool)
{
    im_ctx_t   page;
    im_key_t   prefix;
    ngx_int_t  rc;

    page = *ctx;
    page.pool = pool;

    marked->seen = 0;
    marked->last = *after;

    im_inbox_key(ctx, user, &prefix);

    rc = im_store_scan(&page, IM_T_CONV, 0, &prefix,
                       after->len ? after : NULL, NULL, IM_ASC,
                       IM_CONTACT_SCAN, im_contact_marked_row, marked);

    *after = marked->last;

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_contact_marked_row(im_row_t *row, void *data)
{
    im_contact_marked_t  *marked = data;

    im_conv_t  conv, *c;

    marked->seen++;

    if (marked->last.len == row->key.len
        && ngx_memcmp(marked->last.data, row->key.data, row->key.len) == 0)
    {
        return NGX_OK;
    }

    marked->last.invalid = 0;
    marked->last.len = row->key.len;
    ngx_memcpy(marked->last.data, row->key.data, row->key.len);

    im_conv_load(row, &conv);

    if (conv.marks == 0 && conv.custom.len == 0 && conv.groups.len == 0) {
        return NGX_OK;
    }

    if (marked->skip) {
        marked->skip--;
        return NGX_OK;
    }

    if (marked->convs->nelts == marked->max) {
        marked->more = 1;
        return NGX_DONE;
    }

    c = ngx_array_push(marked->convs);
    if (c == NULL) {
        return NGX_ERROR;
    }

    *c = conv;

    return im_contact_copy(marked->ctx, c);
}


static ngx_int_t
im_contact_copy(im_ctx_t *ctx, im_conv_t *conv)
{
    if (im_str_dup(ctx->pool, &conv->peer, &conv->peer) != NGX_OK
        || im_str_dup(ctx->pool, &conv->custom, &conv->custom) != NGX_OK
        || im_str_dup(ctx->pool, &conv->groups, &conv->groups) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}
