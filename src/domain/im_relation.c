
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_cache.h"
#include "domain/im_callback_sns.h"
#include "domain/im_inbox.h"
#include "domain/im_relation.h"


typedef struct {
    ngx_str_t          user;
    im_rel_column_e    column;
    int64_t            delta;
    int64_t            max;
} im_rel_delta_t;


typedef struct {
    ngx_str_t          user;
    ngx_uint_t         type;
    ngx_str_t          from;
    uint32_t           except;
    im_json_t         *event;
    im_json_t         *list;
    ngx_str_t          text;
    ngx_uint_t         op;
} im_rel_notice_t;


static ngx_uint_t im_rel_chunk(im_rel_t *rel, ngx_uint_t first,
    ngx_uint_t n);
static void im_rel_fail(im_rel_t *rel, ngx_uint_t first, ngx_uint_t n,
    im_rel_e result);


/* members of a notice, by its type */

static const char  *im_rel_lists[] = {
    NULL, "FriendAdd_Account", "FriendDel_Account", "PendencyAdd",
    "FrienPencydDel_Account", "BlackListAdd_Account", "BlackListDel_Account",
    NULL, "FriendUpInfo"
};


void
im_rel_run(im_rel_t *rel)
{
    ngx_uint_t  i, n, tries;

    if (im_rel_prepare(rel) != NGX_OK) {
        im_rel_fail(rel, 0, rel->n, IM_REL_INTERNAL);
        return;
    }

    tries = 0;
    i = 0;

    while (i < rel->n) {

        /* after a conflict one by one, until it is passed */

        n = tries ? 1 : ngx_min(rel->n - i, IM_REL_CHUNK);

        if (im_rel_chunk(rel, i, n)) {
            i += n;
            tries = 0;
            continue;
        }

        if (++tries == IM_REL_TRIES) {
            im_rel_fail(rel, i, 1, IM_REL_CONFLICT);
            i++;
            tries = 0;
        }
    }
}


ngx_int_t
im_rel_prepare(im_rel_t *rel)
{
    ngx_uint_t    i;
    im_account_t  account;

    rel->keys = ngx_palloc(rel->ctx->pool,
                           2 * IM_REL_CHUNK * sizeof(im_key_t));
    rel->rows = ngx_palloc(rel->ctx->pool,
                           2 * IM_REL_CHUNK * sizeof(im_row_t));
    rel->pairs = ngx_palloc(rel->ctx->pool,
                            IM_REL_CHUNK * sizeof(im_pair_t));

    if (rel->keys == NULL || rel->rows == NULL || rel->pairs == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < rel->n; i++) {
        if (im_account_is_admin(rel->ctx->app, &rel->peers[i])) {
            (void) im_account_get(rel->ctx, &rel->peers[i], &account);
        }
    }

    return NGX_OK;
}


/* 0: another commit came between. */

static ngx_uint_t
im_rel_chunk(im_rel_t *rel, ngx_uint_t first, ngx_uint_t n)
{
    ngx_int_t   rc;
    im_rel_e    result;
    ngx_uint_t  i;

    result = im_rel_begin(rel);

    if (result == IM_REL_OK) {
        rc = im_rel_load(rel->ctx, &rel->user, &rel->peers[first], n,
                         rel->pairs, rel->keys, rel->rows);

        if (rc == NGX_OK && rel->profiles) {
            rc = im_rel_profiles(rel->ctx, rel->pairs, n);
        }

        result = im_rel_error(rc);
    }

    if (result != IM_REL_OK) {
        im_rel_fail(rel, first, n, result);
        return 1;
    }

    for (i = 0; i < n; i++) {
        rel->results[first + i] = rel->item(rel, &rel->pairs[i], first + i);
    }

    result = im_rel_commit(rel);

    if (result == IM_REL_CONFLICT) {
        return 0;
    }

    if (result != IM_REL_OK) {
        for (i = first; i < first + n; i++) {
            if (rel->results[i] == IM_REL_OK
                || rel->results[i] == IM_REL_PENDING)
            {
                rel->results[i] = result;
            }
        }
    }

    return 1;
}


static void
im_rel_fail(im_rel_t *rel, ngx_uint_t first, ngx_uint_t n, im_rel_e result)
{
    ngx_uint_t  i;

    for (i = first; i < first + n; i++) {
        rel->results[i] = result;
    }
}


im_rel_e
im_rel_error(ngx_int_t rc)
{
    switch (rc) {

    case NGX_OK:
        return IM_REL_OK;

    case NGX_BUSY:
        return IM_REL_TIMEOUT;

    case NGX_DECLINED:
        return IM_REL_CONFLICT;

    default:
        return IM_REL_INTERNAL;
    }
}


im_rel_e
im_rel_begin(im_rel_t *rel)
{
    im_ctx_t  *ctx = rel->ctx;

    if (ngx_array_init(&rel->deltas, ctx->pool, 16, sizeof(im_rel_delta_t))
        != NGX_OK
        || ngx_array_init(&rel->notices, ctx->pool, 8,
                          sizeof(im_rel_notice_t))
           != NGX_OK
        || ngx_array_init(&rel->told, ctx->pool, 4, sizeof(im_rel_told_t))
           != NGX_OK)
    {
        return IM_REL_INTERNAL;
    }

    rel->batch = im_store_batch(ctx, IM_ATOMIC);
    rel->groups_read = 0;

    return im_rel_error(im_rel_count(ctx, &rel->user, &rel->count));
}


im_rel_e
im_rel_commit(im_rel_t *rel)
{
    im_ctx_t  *ctx = rel->ctx;

    im_key_t          key;
    ngx_int_t         rc;
    ngx_uint_t        i;
    im_inbox_t        row;
    im_rel_delta_t   *delta;
    im_rel_notice_t  *notice;

    delta = rel->deltas.elts;
    notice = rel->notices.elts;

    if (rel->batch == NULL) {
        return IM_REL_INTERNAL;
    }

    for (i = 0; i < rel->deltas.nelts; i++) {

        if (delta[i].delta) {
            im_rel_count_key(ctx, &delta[i].user, &key);

            im_store_add(rel->batch, IM_T_COUNT, &key,
                         (char *) im_rel_count_record[delta[i].column]
                                                                 .name.data,
                         delta[i].delta, INT64_MIN,
                         (delta[i].delta > 0 && delta[i].max) ? delta[i].max
                                                              : INT64_MAX);
        }
    }

    if (rel->batch->n == 0) {
        return IM_REL_OK;
    }

    if (rel->account || rel->gone) {
        im_rel_key(ctx, &rel->user, &key);
        im_store_expect(rel->batch, IM_T_ACCOUNT, &key, rel->gone ? 0 : -1);
    }

    for (i = 0; i < rel->notices.nelts; i++) {

        ngx_memzero(&row, sizeof(im_inbox_t));

        row.type = IM_INBOX_EVENT;
        row.inst = notice[i].except;

        if (im_json_render(ctx->pool, notice[i].event, &row.event)
            != NGX_OK)
        {
            return IM_REL_INTERNAL;
        }

        notice[i].text = row.event;
        notice[i].op = im_inbox_append(ctx, rel->batch, &notice[i].user,
                                       &row);
    }

    im_callback_stage(ctx, rel->batch);
    im_callback_relation(rel);

    rc = im_cache_commit(ctx, rel->batch);

    im_callback_committed(ctx, rc);

    if (rc != NGX_OK) {
        return im_rel_error(rc);
    }

    im_fault("before_publish");

    for (i = 0; i < rel->notices.nelts; i++) {
        im_inbox_publish(ctx, &notice[i].user,
                         rel->batch->ops[notice[i].op].result,
                         notice[i].except, &notice[i].text);
    }

    return IM_REL_OK;
}


void
im_rel_tell(im_rel_t *rel, ngx_uint_t event, ngx_str_t *from, ngx_str_t *to)
{
    im_rel_told_t  *told;

    if (!rel->fires || !im_callback_wants(rel->ctx->app, event)) {
        return;
    }

    told = ngx_array_push(&rel->told);

    if (told) {
        told->event = event;
        told->from = *from;
        told->to = *to;
    }
}


void
im_rel_add(im_rel_t *rel, ngx_str_t *user, im_rel_column_e column,
    int64_t delta, int64_t max)
{
    int64_t         *num;
    ngx_uint_t       i;
    im_rel_delta_t  *d;

    if (im_str_eq(user, &rel->user)) {
        num = (int64_t *) ((u_char *) &rel->count
                           + im_rel_count_record[column].offset);
        *num += delta;
    }

    d = rel->deltas.elts;

    for (i = 0; i < rel->deltas.nelts; i++) {
        if (d[i].column == column && im_str_eq(&d[i].user, user)) {
            d[i].delta += delta;
            return;
        }
    }

    d = ngx_array_push(&rel->deltas);

    if (d == NULL) {
        rel->batch = NULL;
        return;
    }

    d->user = *user;
    d->column = column;
    d->delta = delta;
    d->max = max;
}


im_json_t *
im_rel_notice(im_rel_t *rel, ngx_str_t *user, ngx_uint_t type,
    ngx_str_t *from, uint32_t except)
{
    im_json_t        *mod;
    ngx_uint_t        i;
    im_rel_notice_t  *n;

    if (rel->gone && im_str_eq(user, &rel->user)) {
        return NULL;
    }

    n = rel->notices.elts;

    for (i = 0; i < rel->notices.nelts; i++) {
        if (n[i].type == type
            && n[i].list
            && n[i].list->n < 2 * IM_REL_CHUNK
            && im_str_eq(&n[i].user, user)
            && im_str_eq(&n[i].from, from))
        {
            return n[i].list;
        }
    }

    n = ngx_array_push(&rel->notices);

    if (n == NULL) {
        rel->batch = NULL;
        return NULL;
    }

    n->user = *user;
    n->type = type;
    n->from = *from;
    n->except = except;

    n->event = im_json_new_obj(rel->ctx->pool);
    im_json_add_int(n->event, "Event", 7);

    mod = im_json_push_obj(im_json_add_list(n->event, "FriendListMod"));

    im_json_add_int(mod, "PushType", type);
    im_json_add_str(mod, "From_Account", from);

    n->list = im_json_add_list(mod, im_rel_lists[type]);

    return n->list;
}


void
im_rel_notice_account(im_rel_t *rel, ngx_str_t *user, ngx_uint_t type,
    ngx_str_t *account)
{
    im_json_push_str(im_rel_notice(rel, user, type, user, 0), account);
}
