
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_cache.h"
#include "domain/im_friend.h"


static im_rel_e im_black_add_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);
static im_rel_e im_black_delete_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);
static ngx_int_t im_black_row(im_ctx_t *ctx, im_table_e table,
    ngx_str_t *user, ngx_str_t *peer);


void
im_black_add(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers, ngx_uint_t n,
    im_rel_e *results)
{
    im_friend_run(ctx, user, peers, n, im_black_add_item, NULL, results);
}


static im_rel_e
im_black_add_item(im_rel_t *rel, im_pair_t *pair, ngx_uint_t i)
{
    rel->fires = IM_FIRE;

    if (!pair->exists) {
        return IM_REL_ACCOUNT;
    }

    if (im_str_eq(&pair->peer, &rel->user)) {
        return IM_REL_PARAM;
    }

    if (pair->black.version) {
        return IM_REL_BLACK_EXISTS;
    }

    if (rel->count.blacks >= rel->ctx->app->blacklist_max) {
        return IM_REL_BLACK_FULL;
    }

    im_rel_put_black(rel, pair);

    if (pair->mine.version) {
        im_rel_drop_friend(rel, &pair->mine);

    } else {
        im_rel_expect_friend(rel, &rel->user, &pair->peer, 0);
    }

    if (pair->his.version) {
        im_rel_drop_friend(rel, &pair->his);

    } else {
        im_rel_expect_friend(rel, &pair->peer, &rel->user, 0);
    }

    im_rel_drop_requests(rel, pair, IM_REQ_IN|IM_REQ_OUT);
    im_rel_drop_recommends(rel, pair, 1, 1);

    return IM_REL_OK;
}


void
im_black_delete(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_rel_e *results)
{
    im_friend_run(ctx, user, peers, n, im_black_delete_item, NULL, results);
}


static im_rel_e
im_black_delete_item(im_rel_t *rel, im_pair_t *pair, ngx_uint_t i)
{
    rel->fires = IM_FIRE;

    if (pair->black.version == 0) {
        return pair->exists ? IM_REL_NO_BLACK : IM_REL_ACCOUNT;
    }

    im_rel_drop_black(rel, &pair->black);

    return IM_REL_OK;
}


/* Each message of a client asks this: it reads no more than it needs. */

ngx_int_t
im_friend_may_send(im_ctx_t *ctx, ngx_str_t *from, ngx_str_t *to,
    im_code_t *code)
{
    ngx_int_t  mine, his, black;

    if (im_str_eq(from, to)) {
        return NGX_OK;
    }

    if (ctx->app->check_friend) {

        mine = im_black_row(ctx, IM_T_FRIEND, from, to);
        his = im_black_row(ctx, IM_T_FRIEND, to, from);

        if ((mine != NGX_OK && mine != NGX_DECLINED)
            || (his != NGX_OK && his != NGX_DECLINED))
        {
            return NGX_ERROR;
        }

        if (mine != NGX_OK || his != NGX_OK) {
            *code = (mine == NGX_OK) ? IM_E_MSG_NOT_HIS_FRIEND
                    : (his == NGX_OK) ? IM_E_MSG_NOT_MY_FRIEND
                    : IM_E_MSG_NOT_FRIENDS;

            return NGX_DECLINED;
        }
    }

    black = im_black_row(ctx, IM_T_BLACK, to, from);

    if (black == NGX_OK) {
        *code = ctx->app->blacklist_report ? IM_E_MSG_BLOCKED : IM_OK;
        return NGX_DECLINED;
    }

    return (black == NGX_DECLINED) ? NGX_OK : black;
}


static ngx_int_t
im_black_row(im_ctx_t *ctx, im_table_e table, ngx_str_t *user,
    ngx_str_t *peer)
{
    im_key_t  key;
    im_row_t  row;

    im_rel_pair_key(ctx, user, peer, &key);

    return im_cache_get_exact(ctx, table, &key, &row);
}
