
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_callback.h"
#include "domain/im_message.h"
#include "domain/im_relation.h"


static void im_rel_drop_request(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t dir);


void
im_rel_put_friend(im_rel_t *rel, im_friend_t *row)
{
    im_key_t     key;
    im_friend_t  data;

    im_rel_pair_key(rel->ctx, &row->user, &row->peer, &key);

    data = *row;

    ngx_str_null(&data.user);                /* key columns */
    ngx_str_null(&data.peer);

    if (data.made == 0) {
        data.made = im_message_id();
    }

    im_store_replace(rel->batch, IM_T_FRIEND, &key, row->version,
                     im_record_doc(rel->ctx->pool, im_friend_record, &data));

    if (row->version == 0) {
        im_rel_add(rel, &row->user, IM_REL_N_FRIENDS, 1,
                   rel->ctx->app->friends_max);
        im_rel_tell(rel, IM_CB_FRIEND_ADD, &row->user, &row->peer);
    }

    im_rel_add(rel, &row->user, IM_REL_SEQ_STD, 1, 0);
}


void
im_rel_drop_friend(im_rel_t *rel, im_friend_t *row)
{
    im_key_t  key;

    im_rel_pair_key(rel->ctx, &row->user, &row->peer, &key);

    im_store_expect(rel->batch, IM_T_FRIEND, &key, row->version);
    im_store_delete(rel->batch, IM_T_FRIEND, &key);

    im_rel_add(rel, &row->user, IM_REL_N_FRIENDS, -1, 0);
    im_rel_add(rel, &row->user, IM_REL_SEQ_STD, 1, 0);

    if (row->groups.len) {
        im_rel_add(rel, &row->user, IM_REL_SEQ_GROUP, 1, 0);
    }

    if (row->custom.len) {
        im_rel_add(rel, &row->user, IM_REL_SEQ_CUSTOM, 1, 0);
    }

    im_rel_notice_account(rel, &row->user, IM_NOTICE_DELETE, &row->peer);
    im_rel_tell(rel, IM_CB_FRIEND_DELETE, &row->user, &row->peer);
}


void
im_rel_expect_friend(im_rel_t *rel, ngx_str_t *user, ngx_str_t *peer,
    int64_t version)
{
    im_key_t  key;

    im_rel_pair_key(rel->ctx, user, peer, &key);
    im_store_expect(rel->batch, IM_T_FRIEND, &key, version);
}


/* An outgoing one of the acting account. */

void
im_rel_put_request(im_rel_t *rel, im_pair_t *pair, im_request_t *request)
{
    im_key_t       key;
    im_request_t   data;

    data = *request;

    ngx_str_null(&data.user);
    ngx_str_null(&data.peer);
    data.dir = 0;
    data.made = im_message_id();

    im_rel_request_key(rel->ctx, &rel->user, IM_REQ_OUT, &pair->peer, &key);
    im_store_replace(rel->batch, IM_T_FRIEND_REQ, &key, pair->out.version,
                     im_record_doc(rel->ctx->pool, im_request_record,
                                   &data));

    ngx_str_null(&data.remark);

    im_rel_request_key(rel->ctx, &pair->peer, IM_REQ_IN, &rel->user, &key);
    im_store_upsert(rel->batch, IM_T_FRIEND_REQ, &key,
                    im_record_doc(rel->ctx->pool, im_request_record, &data));

    if (pair->out.version == 0) {
        im_rel_add(rel, &pair->peer, IM_REL_N_REQUESTS, 1,
                   rel->ctx->app->pendency_max);
    }

    im_rel_add(rel, &rel->user, IM_REL_SEQ_PENDENCY, 1, 0);
    im_rel_add(rel, &pair->peer, IM_REL_SEQ_PENDENCY, 1, 0);
}


void
im_rel_drop_requests(im_rel_t *rel, im_pair_t *pair, ngx_uint_t dirs)
{
    ngx_uint_t  gone;

    gone = 0;

    if (dirs & IM_REQ_OUT) {
        im_rel_drop_request(rel, pair, IM_REQ_OUT);
        gone |= (pair->out.version != 0);
    }

    if (dirs & IM_REQ_IN) {
        im_rel_drop_request(rel, pair, IM_REQ_IN);
        gone |= (pair->in.version != 0);
    }

    if (gone) {
        im_rel_notice_account(rel, &rel->user, IM_NOTICE_REQ_GONE,
                              &pair->peer);
        im_rel_notice_account(rel, &pair->peer, IM_NOTICE_REQ_GONE,
                              &rel->user);
    }
}


static void
im_rel_drop_request(im_rel_t *rel, im_pair_t *pair, ngx_uint_t dir)
{
    im_key_t       key;
    ngx_uint_t     other;
    im_request_t  *request;

    request = (dir == IM_REQ_OUT) ? &pair->out : &pair->in;
    other = (dir == IM_REQ_OUT) ? IM_REQ_IN : IM_REQ_OUT;

    im_rel_request_key(rel->ctx, &rel->user, dir, &pair->peer, &key);
    im_store_expect(rel->batch, IM_T_FRIEND_REQ, &key, request->version);

    if (request->version == 0) {
        return;
    }

    im_store_delete(rel->batch, IM_T_FRIEND_REQ, &key);

    im_rel_request_key(rel->ctx, &pair->peer, other, &rel->user, &key);
    im_store_delete(rel->batch, IM_T_FRIEND_REQ, &key);

    im_rel_add(rel, (dir == IM_REQ_OUT) ? &pair->peer : &rel->user,
               IM_REL_N_REQUESTS, -1, 0);
    im_rel_add(rel, &rel->user, IM_REL_SEQ_PENDENCY, 1, 0);
    im_rel_add(rel, &pair->peer, IM_REL_SEQ_PENDENCY, 1, 0);
}


void
im_rel_put_black(im_rel_t *rel, im_pair_t *pair)
{
    im_key_t    key;
    im_black_t  row;

    ngx_memzero(&row, sizeof(im_black_t));

    row.added = ngx_time();
    row.made = im_message_id();

    im_rel_pair_key(rel->ctx, &rel->user, &pair->peer, &key);

    im_store_replace(rel->batch, IM_T_BLACK, &key, 0,
                     im_record_doc(rel->ctx->pool, im_black_record, &row));

    im_rel_add(rel, &rel->user, IM_REL_N_BLACKS, 1,
               rel->ctx->app->blacklist_max);
    im_rel_add(rel, &rel->user, IM_REL_SEQ_BLACK, 1, 0);

    im_rel_notice_account(rel, &rel->user, IM_NOTICE_BLACK, &pair->peer);
    im_rel_tell(rel, IM_CB_BLACK_ADD, &rel->user, &pair->peer);
}


void
im_rel_drop_black(im_rel_t *rel, im_black_t *row)
{
    im_key_t  key;

    im_rel_pair_key(rel->ctx, &row->user, &row->peer, &key);

    im_store_expect(rel->batch, IM_T_BLACK, &key, row->version);
    im_store_delete(rel->batch, IM_T_BLACK, &key);

    im_rel_add(rel, &row->user, IM_REL_N_BLACKS, -1, 0);
    im_rel_add(rel, &row->user, IM_REL_SEQ_BLACK, 1, 0);

    im_rel_notice_account(rel, &row->user, IM_NOTICE_UNBLACK, &row->peer);
    im_rel_tell(rel, IM_CB_BLACK_DELETE, &row->user, &row->peer);
}


void
im_rel_put_recommend(im_rel_t *rel, im_recommend_t *row)
{
    im_key_t        key;
    im_recommend_t  data;

    im_rel_pair_key(rel->ctx, &row->user, &row->peer, &key);

    data = *row;

    ngx_str_null(&data.user);                /* key columns */
    ngx_str_null(&data.peer);

    data.made = im_message_id();

    im_store_replace(rel->batch, IM_T_RECOMMEND, &key, row->version,
                     im_record_doc(rel->ctx->pool, im_recommend_record,
                                   &data));

    if (row->version == 0) {
        im_rel_add(rel, &row->user, IM_REL_N_RECOMMENDS, 1,
                   rel->ctx->app->recommend_max);
    }

    im_rel_add(rel, &row->user, IM_REL_SEQ_RECOMMEND, 1, 0);
}


void
im_rel_drop_recommend(im_rel_t *rel, im_recommend_t *row)
{
    im_key_t  key;

    im_rel_pair_key(rel->ctx, &row->user, &row->peer, &key);

    im_store_expect(rel->batch, IM_T_RECOMMEND, &key, row->version);

    if (row->version == 0) {
        return;
    }

    im_store_delete(rel->batch, IM_T_RECOMMEND, &key);

    im_rel_add(rel, &row->user, IM_REL_N_RECOMMENDS, -1, 0);
    im_rel_add(rel, &row->user, IM_REL_SEQ_RECOMMEND, 1, 0);
}


void
im_rel_drop_recommends(im_rel_t *rel, im_pair_t *pair, ngx_uint_t mine,
    ngx_uint_t his)
{
    if (mine) {
        im_rel_drop_recommend(rel, &pair->rec);
    }

    if (his) {
        im_rel_drop_recommend(rel, &pair->rec_his);
    }
}


/* Neither has listed the other. */

void
im_rel_expect_black(im_rel_t *rel, im_pair_t *pair)
{
    im_key_t  key;

    im_rel_pair_key(rel->ctx, &rel->user, &pair->peer, &key);
    im_store_expect(rel->batch, IM_T_BLACK, &key, 0);

    im_rel_pair_key(rel->ctx, &pair->peer, &rel->user, &key);
    im_store_expect(rel->batch, IM_T_BLACK, &key, 0);
}
