
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_friend.h"


#define IM_FRIEND_BOTH   1
#define IM_FRIEND_QUIET  2               /* the app is not told */


static im_rel_e im_friend_delete_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);
static im_rel_e im_pendency_delete_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);


void
im_friend_delete(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, ngx_uint_t both, im_rel_e *results)
{
    ngx_uint_t  how;

    how = both ? IM_FRIEND_BOTH : 0;

    im_friend_run(ctx, user, peers, n, im_friend_delete_item, &how, results);
}


static im_rel_e
im_friend_delete_item(im_rel_t *rel, im_pair_t *pair, ngx_uint_t i)
{
    ngx_uint_t  how;

    how = *(ngx_uint_t *) rel->data;

    rel->fires = (how & IM_FRIEND_QUIET) ? 0 : IM_FIRE;

    if (pair->mine.version == 0) {
        return pair->exists ? IM_REL_NO_FRIEND : IM_REL_ACCOUNT;
    }

    im_rel_drop_friend(rel, &pair->mine);

    if ((how & IM_FRIEND_BOTH) && pair->his.version) {
        im_rel_drop_friend(rel, &pair->his);

    } else {
        im_rel_expect_friend(rel, &pair->peer, &rel->user,
                             pair->his.version);
    }

    return IM_REL_OK;
}


im_rel_e
im_friend_delete_all(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t both)
{
    ngx_str_t    *peers;
    im_rel_e     *results;
    ngx_uint_t    i, how;
    ngx_array_t   friends;
    im_friend_t  *row;

    /* the app is not told of these */

    how = IM_FRIEND_QUIET | (both ? IM_FRIEND_BOTH : 0);

    do {
        if (ngx_array_init(&friends, ctx->pool, 64, sizeof(im_friend_t))
            != NGX_OK
            || im_friend_list(ctx, user, 0, 1000, &friends) != NGX_OK)
        {
            return IM_REL_INTERNAL;
        }

        peers = ngx_palloc(ctx->pool,
                           (friends.nelts + 1) * sizeof(ngx_str_t));
        results = ngx_palloc(ctx->pool,
                             (friends.nelts + 1) * sizeof(im_rel_e));

        if (peers == NULL || results == NULL) {
            return IM_REL_INTERNAL;
        }

        row = friends.elts;

        for (i = 0; i < friends.nelts; i++) {
            peers[i] = row[i].peer;
        }

        im_friend_run(ctx, user, peers, friends.nelts, im_friend_delete_item,
                      &how, results);

        for (i = 0; i < friends.nelts; i++) {
            if (results[i] != IM_REL_OK
                && results[i] != IM_REL_NO_FRIEND
                && results[i] != IM_REL_ACCOUNT)
            {
                return results[i];
            }
        }

    } while (friends.nelts == 1000);

    return IM_REL_OK;
}


void
im_pendency_delete(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, ngx_uint_t dir, im_rel_e *results)
{
    im_friend_run(ctx, user, peers, n, im_pendency_delete_item, &dir,
                  results);
}


static im_rel_e
im_pendency_delete_item(im_rel_t *rel, im_pair_t *pair, ngx_uint_t i)
{
    ngx_uint_t     dir;
    im_request_t  *request;

    dir = *(ngx_uint_t *) rel->data;
    request = (dir == IM_REQ_IN) ? &pair->in : &pair->out;

    if (request->version == 0) {
        return IM_REL_NO_REQUEST;
    }

    im_rel_drop_requests(rel, pair, dir);

    return IM_REL_OK;
}
