
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_friend.h"


typedef struct {
    ngx_str_t          peers[IM_REL_CHUNK];
    ngx_uint_t         n;
    const char        *column;
} im_friend_purge_t;


static ngx_int_t im_friend_purge_collect(im_ctx_t *ctx, ngx_str_t *user,
    im_friend_purge_t *purge);
static ngx_int_t im_friend_purge_row(im_row_t *row, void *data);
static im_rel_e im_friend_purge_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);


/* Where the account is named: table, index, column of the other one. */

static struct {
    im_table_e         table;
    ngx_uint_t         index;
    const char        *column;
} im_friend_purge_tables[] = {
    { IM_T_FRIEND, 0, "peer" },
    { IM_T_FRIEND, IM_FRIEND_PEER, "user" },
    { IM_T_BLACK, 0, "peer" },
    { IM_T_BLACK, IM_BLACK_PEER, "user" },
    { IM_T_FRIEND_REQ, 0, "peer" },
    { IM_T_RECOMMEND, 0, "peer" },
    { IM_T_RECOMMEND, IM_FRIEND_PEER, "user" },
    { 0, 0, NULL }
};


ngx_int_t
im_friend_purge(im_ctx_t *ctx, ngx_str_t *user)
{
    im_key_t            key, account;
    im_rel_t            rel;
    im_rel_e           *results;
    ngx_int_t           rc;
    ngx_uint_t          i;
    im_batch_t         *batch;
    im_friend_purge_t  *purge;

    purge = ngx_palloc(ctx->pool, sizeof(im_friend_purge_t));
    results = ngx_pcalloc(ctx->pool, IM_REL_CHUNK * sizeof(im_rel_e));

    if (purge == NULL || results == NULL) {
        return NGX_ERROR;
    }

    rc = im_friend_purge_collect(ctx, user, purge);
    if (rc != NGX_OK) {
        return rc;
    }

    if (purge->n == 0) {
        im_rel_key(ctx, user, &account);
        im_rel_count_key(ctx, user, &key);

        batch = im_store_batch(ctx, IM_ATOMIC);
        im_store_expect(batch, IM_T_ACCOUNT, &account, 0);
        im_store_delete(batch, IM_T_COUNT, &key);

        return im_store_commit(ctx, batch);
    }

    ngx_memzero(&rel, sizeof(im_rel_t));

    rel.ctx = ctx;
    rel.user = *user;
    rel.peers = purge->peers;
    rel.n = purge->n;
    rel.item = im_friend_purge_item;
    rel.results = results;
    rel.gone = 1;

    im_rel_run(&rel);

    for (i = 0; i < purge->n; i++) {
        if (results[i] != IM_REL_OK) {

            /* a conflict is the account made anew, most likely */

            return (results[i] == IM_REL_CONFLICT) ? NGX_DECLINED
                   : (results[i] == IM_REL_TIMEOUT) ? NGX_BUSY : NGX_ERROR;
        }
    }

    return NGX_AGAIN;
}


static ngx_int_t
im_friend_purge_collect(im_ctx_t *ctx, ngx_str_t *user,
    im_friend_purge_t *purge)
{
    im_key_t    prefix;
    ngx_int_t   rc;
    ngx_uint_t  i;

    purge->n = 0;

    im_rel_key(ctx, user, &prefix);

    for (i = 0; im_friend_purge_tables[i].column; i++) {

        purge->column = im_friend_purge_tables[i].column;

        rc = im_store_scan(ctx, im_friend_purge_tables[i].table,
                           im_friend_purge_tables[i].index, &prefix, NULL,
                           NULL, IM_ASC, IM_REL_CHUNK, im_friend_purge_row,
                           purge);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
im_friend_purge_row(im_row_t *row, void *data)
{
    im_friend_purge_t  *purge = data;

    ngx_str_t   peer;
    ngx_uint_t  i;

    if (purge->n == IM_REL_CHUNK) {
        return NGX_DONE;
    }

    if (im_row_str(row, purge->column, &peer) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < purge->n; i++) {
        if (im_str_eq(&purge->peers[i], &peer)) {
            return NGX_OK;
        }
    }

    purge->peers[purge->n++] = peer;

    return NGX_OK;
}


static im_rel_e
im_friend_purge_item(im_rel_t *rel, im_pair_t *pair, ngx_uint_t i)
{
    if (pair->mine.version) {
        im_rel_drop_friend(rel, &pair->mine);
    }

    if (pair->his.version) {
        im_rel_drop_friend(rel, &pair->his);
    }

    if (pair->black.version) {
        im_rel_drop_black(rel, &pair->black);
    }

    if (pair->black_his.version) {
        im_rel_drop_black(rel, &pair->black_his);
    }

    im_rel_drop_requests(rel, pair, IM_REQ_IN|IM_REQ_OUT);
    im_rel_drop_recommends(rel, pair, 1, 1);

    return IM_REL_OK;
}
