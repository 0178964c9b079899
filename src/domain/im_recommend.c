
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_friend.h"
#include "domain/im_recommend.h"


#define IM_RECOMMEND_MAX  1000       /* as of recommend_max */


static im_rel_e im_recommend_add_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);
static im_rel_e im_recommend_delete_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);
static ngx_int_t im_recommend_row(im_row_t *row, void *data);


void
im_recommend_add(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, ngx_str_t *custom, im_rel_e *results)
{
    im_friend_run(ctx, user, peers, n, im_recommend_add_item, custom,
                  results);
}


static im_rel_e
im_recommend_add_item(im_rel_t *rel, im_pair_t *pair, ngx_uint_t i)
{
    im_recommend_t  row;

    if (!pair->exists) {
        return IM_REL_ACCOUNT;
    }

    if (im_str_eq(&pair->peer, &rel->user)) {
        return IM_REL_PARAM;
    }

    if (pair->mine.version) {
        return IM_REL_EXISTS;
    }

    if (pair->black.version) {
        return IM_REL_BLOCKING;
    }

    if (pair->black_his.version) {
        return IM_REL_BLOCKED;
    }

    if (pair->rec.version == 0
        && rel->count.recommends >= rel->ctx->app->recommend_max)
    {
        return IM_REL_RECOMMENDS_FULL;
    }

    im_rel_expect_black(rel, pair);
    im_rel_expect_friend(rel, &rel->user, &pair->peer, 0);

    row = pair->rec;
    row.custom = ((ngx_str_t *) rel->data)[i];
    row.added = ngx_time();

    im_rel_put_recommend(rel, &row);

    return IM_REL_OK;
}


void
im_recommend_delete(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_rel_e *results)
{
    im_friend_run(ctx, user, peers, n, im_recommend_delete_item, NULL,
                  results);
}


static im_rel_e
im_recommend_delete_item(im_rel_t *rel, im_pair_t *pair, ngx_uint_t i)
{
    if (pair->rec.version == 0) {
        return pair->exists ? IM_REL_NO_RECOMMEND : IM_REL_ACCOUNT;
    }

    im_rel_drop_recommend(rel, &pair->rec);

    return IM_REL_OK;
}


ngx_int_t
im_recommend_list(im_ctx_t *ctx, ngx_str_t *user, ngx_array_t *rows)
{
    im_key_t   prefix;
    ngx_int_t  rc;

    im_rel_key(ctx, user, &prefix);

    rc = im_store_scan(ctx, IM_T_RECOMMEND, IM_FRIEND_TIME, &prefix, NULL,
                       NULL, IM_ASC, IM_RECOMMEND_MAX, im_recommend_row,
                       rows);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_recommend_row(im_row_t *row, void *data)
{
    ngx_array_t  *rows = data;

    im_recommend_t  *rec;

    rec = ngx_array_push(rows);
    if (rec == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(rec, sizeof(im_recommend_t));
    im_record_load(row, im_recommend_record, rec);

    return NGX_OK;
}


im_rel_e
im_recommend_report(im_ctx_t *ctx, ngx_str_t *user, int64_t time)
{
    im_key_t     key;
    im_batch_t  *batch;

    im_rel_count_key(ctx, user, &key);

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_max(batch, IM_T_COUNT, &key, "recreported", time);

    return im_rel_error(im_store_commit(ctx, batch));
}
