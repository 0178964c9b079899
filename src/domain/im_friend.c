
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_callback_sns.h"
#include "domain/im_friend.h"
#include "domain/im_inbox.h"


#define IM_FRIEND_CONFIRM_MAX  100       /* of one command */


typedef struct {
    im_friend_item_t  *items;
    ngx_uint_t         how;
    im_profile_t      *profile;      /* of the acting account */
    unsigned           asking:1;     /* whom to ask about, nothing written */
} im_friend_work_t;


static im_rel_e im_friend_add_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);
static im_rel_e im_friend_request(im_rel_t *rel, im_pair_t *pair,
    im_friend_item_t *item, im_profile_t *me);
static im_rel_e im_friend_import_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);
static im_rel_e im_friend_respond_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);


void
im_friend_add(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers, ngx_uint_t n,
    im_friend_item_t *items, ngx_uint_t how, im_rel_e *results)
{
    ngx_uint_t         i;
    im_profile_t       profile;
    im_friend_work_t   work;

    work.items = items;
    work.how = how;
    work.profile = &profile;

    if (im_profile_get(ctx, user, &profile) != NGX_OK) {
        for (i = 0; i < n; i++) {
            results[i] = IM_REL_INTERNAL;
        }

        return;
    }

    work.asking = im_callback_asks(ctx, IM_CB_PREV_FRIEND_ADD);

    if (work.asking) {
        im_friend_run(ctx, user, peers, n, im_friend_add_item, &work,
                      results);
        im_callback_friend_add(ctx, user, peers, n, items, how, results);

        work.asking = 0;
    }

    for (i = 0; i < n; i++) {
        results[i] = IM_REL_OK;
    }

    im_friend_run(ctx, user, peers, n, im_friend_add_item, &work, results);
}


/* The order is that of rest-profile-sns.md 5.1. */

static im_rel_e
im_friend_add_item(im_rel_t *rel, im_pair_t *pair, ngx_uint_t i)
{
    im_rel_e           result;
    ngx_str_t          ids;
    im_app_t          *app;
    ngx_uint_t         k, both, allow, waiting;
    im_friend_t        row;
    im_friend_item_t  *item;
    im_friend_work_t  *work;

    work = rel->data;
    item = &work->items[i];
    app = rel->ctx->app;

    rel->fires = IM_FIRE
                 | ((work->how & IM_FRIEND_FORCE) ? IM_FIRE_FORCED : 0);

    if (!pair->exists) {
        return IM_REL_ACCOUNT;
    }

    if (im_str_eq(&pair->peer, &rel->user)) {
        return IM_REL_PARAM;
    }

    if (item->wrong != IM_REL_OK) {
        return item->wrong;
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

    if (rel->count.friends >= app->friends_max) {
        return IM_REL_FULL;
    }

    both = !(work->how & IM_FRIEND_ONE_WAY) && pair->his.version == 0;

    if (both && pair->count.friends >= app->friends_max) {
        return IM_REL_PEER_FULL;
    }

    if (item->ngroups) {
        result = im_rel_groups(rel);
        if (result != IM_REL_OK) {
            return result;
        }

        if (im_rel_group(rel, item->groups) == NULL
            && rel->ngroups >= (ngx_uint_t) app->friend_groups_max)
        {
            return IM_REL_GROUPS_FULL;
        }
    }

    if (work->asking) {
        return IM_REL_OK;
    }

    if (item->refused) {
        return IM_REL_REFUSED;
    }

    allow = im_profile_allow(app, &pair->profile);

    if (!(work->how & (IM_FRIEND_ONE_WAY|IM_FRIEND_FORCE))) {

        if (allow == IM_ALLOW_DENY) {
            return IM_REL_DENIED;
        }

        if (allow == IM_ALLOW_CONFIRM) {

            waiting = 0;

            for (k = 0; k < i; k++) {
                waiting += (rel->results[k] == IM_REL_PENDING);
            }

            if (waiting >= IM_FRIEND_CONFIRM_MAX) {
                return IM_REL_REQUESTS_FULL;
            }

            return im_friend_request(rel, pair, item, work->profile);
        }
    }

    result = im_rel_group_ids(rel, item->groups, item->ngroups, &ids);
    if (result != IM_REL_OK) {
        return result;
    }

    im_rel_expect_black(rel, pair);

    row = pair->mine;
    row.remark = item->remark;
    row.source = item->source;
    row.wording = item->wording;
    row.groups = ids;
    row.added = ngx_time();

    im_rel_put_friend(rel, &row);

    if (ids.len) {
        im_rel_add(rel, &rel->user, IM_REL_SEQ_GROUP, 1, 0);
    }

    im_rel_notice_account(rel, &rel->user, IM_NOTICE_ADD, &pair->peer);

    if (both) {
        row = pair->his;
        row.source = item->source;
        row.wording = item->wording;
        row.added = ngx_time();

        im_rel_put_friend(rel, &row);
        im_rel_notice_account(rel, &pair->peer, IM_NOTICE_ADD, &rel->user);

    } else {
        im_rel_expect_friend(rel, &pair->peer, &rel->user,
                             pair->his.version);
    }

    im_rel_drop_requests(rel, pair, IM_REQ_IN|IM_REQ_OUT);
    im_rel_drop_recommends(rel, pair, 1, both);

    return IM_REL_OK;
}


static im_rel_e
im_friend_request(im_rel_t *rel, im_pair_t *pair, im_friend_item_t *item,
    im_profile_t *me)
{
    ngx_str_t       *account;
    im_json_t       *entry;
    ngx_uint_t       i;
    im_request_t     request;
    im_profile_t    *shown;

    if (pair->out.version == 0
        && pair->count.requests >= rel->ctx->app->pendency_max)
    {
        return IM_REL_REQUESTS_FULL;
    }

    im_rel_expect_black(rel, pair);
    im_rel_expect_friend(rel, &rel->user, &pair->peer, 0);

    ngx_memzero(&request, sizeof(im_request_t));

    request.source = item->source;
    request.wording = item->wording;
    request.remark = item->remark;
    request.added = ngx_time();

    im_rel_put_request(rel, pair, &request);

    /* From_Account is the requester in both: the client compares it with
     * itself */

    for (i = 0; i < 2; i++) {

        account = i ? &pair->peer : &rel->user;
        shown = i ? &pair->profile : me;

        entry = im_json_push_obj(im_rel_notice(rel,
                                               i ? &rel->user : &pair->peer,
                                               IM_NOTICE_REQUEST, &rel->user,
                                               0));

        im_json_add_str(entry, "PendencyAdd_Account", account);
        im_json_add_str(entry, "ProfileImNic", &shown->nick);
        im_json_add_str(entry, "ProfileImNick", &shown->nick);
        im_json_add_str(entry, "ProfileImImage", &shown->face);
        im_json_add_str(entry, "AddSource", &item->source);
        im_json_add_str(entry, "AddWording", &item->wording);
        im_json_add_int(entry, "AddTime", request.added);
    }

    return IM_REL_PENDING;
}


void
im_friend_import(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_friend_item_t *items, im_rel_e *results)
{
    im_friend_work_t  work;

    work.items = items;

    im_friend_run(ctx, user, peers, n, im_friend_import_item, &work, results);
}


static im_rel_e
im_friend_import_item(im_rel_t *rel, im_pair_t *pair, ngx_uint_t i)
{
    im_rel_e           result;
    ngx_str_t          ids;
    ngx_uint_t         changed;
    im_friend_t        row;
    im_friend_item_t  *item;
    im_friend_work_t  *work;

    work = rel->data;
    item = &work->items[i];

    if (!pair->exists) {
        return IM_REL_ACCOUNT;
    }

    if (im_str_eq(&pair->peer, &rel->user)) {
        return IM_REL_PARAM;
    }

    if (item->wrong != IM_REL_OK) {
        return item->wrong;
    }

    if (pair->mine.version == 0
        && rel->count.friends >= rel->ctx->app->friends_max)
    {
        return IM_REL_FULL;
    }

    row = pair->mine;
    ngx_str_null(&row.custom);

    changed = 0;

    if (item->custom
        && im_friend_merge(rel, &row.custom, item->custom, NULL, &changed)
           != NGX_OK)
    {
        return IM_REL_INTERNAL;
    }

    result = im_rel_group_ids(rel, item->groups, item->ngroups, &ids);
    if (result != IM_REL_OK) {
        return result;
    }

    row.remark = item->remark;
    row.source = item->source;
    row.wording = item->wording;
    row.groups = ids;
    row.retime = item->retime;
    row.added = item->added ? item->added : ngx_time();

    im_rel_put_friend(rel, &row);

    if (ids.len || pair->mine.groups.len) {
        im_rel_add(rel, &rel->user, IM_REL_SEQ_GROUP, 1, 0);
    }

    if (row.custom.len || pair->mine.custom.len) {
        im_rel_add(rel, &rel->user, IM_REL_SEQ_CUSTOM, 1, 0);
    }

    im_rel_drop_requests(rel, pair, IM_REQ_IN|IM_REQ_OUT);
    im_rel_drop_recommends(rel, pair, 1, 0);

    return IM_REL_OK;
}


void
im_friend_respond(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_friend_item_t *items, im_rel_e *results)
{
    im_friend_work_t  work;

    work.items = items;
    work.asking = im_callback_asks(ctx, IM_CB_PREV_RESPONSE);

    if (work.asking) {
        im_friend_run(ctx, user, peers, n, im_friend_respond_item, &work,
                      results);
        im_callback_friend_respond(ctx, user, peers, n, items, results);

        work.asking = 0;
    }

    im_friend_run(ctx, user, peers, n, im_friend_respond_item, &work,
                  results);
}


/* The peer is the requester. */

static im_rel_e
im_friend_respond_item(im_rel_t *rel, im_pair_t *pair, ngx_uint_t i)
{
    im_rel_e           result;
    ngx_str_t          ids;
    im_app_t          *app;
    ngx_uint_t         mine, his;
    im_key_t           key;
    im_row_t           stored;
    im_friend_t        row;
    im_request_t       request;
    im_friend_item_t  *item;
    im_friend_work_t  *work;

    work = rel->data;
    item = &work->items[i];
    app = rel->ctx->app;

    rel->fires = IM_FIRE|IM_FIRE_RESPONSE;

    if (!pair->exists) {
        return IM_REL_ACCOUNT;
    }

    if (item->wrong != IM_REL_OK) {
        return item->wrong;
    }

    if (pair->in.version == 0) {
        return IM_REL_NO_REQUEST;
    }

    mine = item->mutual && pair->mine.version == 0;
    his = item->agree && pair->his.version == 0;

    if (item->agree && !mine && !his) {
        return IM_REL_EXISTS;
    }

    if (mine && rel->count.friends >= app->friends_max) {
        return IM_REL_FULL;
    }

    if (his && pair->count.friends >= app->friends_max) {
        return IM_REL_PEER_FULL;
    }

    if (work->asking) {
        return IM_REL_OK;
    }

    if (item->refused) {
        return IM_REL_REFUSED;
    }

    if (item->agree) {
        im_rel_expect_black(rel, pair);
    }

    if (mine) {
        result = im_rel_group_ids(rel, item->groups, item->ngroups, &ids);
        if (result != IM_REL_OK) {
            return result;
        }

        row = pair->mine;
        row.remark = item->remark;
        row.source = pair->in.source;
        row.wording = pair->in.wording;
        row.groups = ids;
        row.added = ngx_time();

        im_rel_put_friend(rel, &row);

        if (ids.len) {
            im_rel_add(rel, &rel->user, IM_REL_SEQ_GROUP, 1, 0);
        }

        im_rel_notice_account(rel, &rel->user, IM_NOTICE_ADD, &pair->peer);

    } else if (item->agree) {
        im_rel_expect_friend(rel, &rel->user, &pair->peer,
                             pair->mine.version);
    }

    if (his) {

        /* the remark that came with the request is in the requester's row */

        ngx_memzero(&request, sizeof(im_request_t));

        im_rel_key(rel->ctx, &pair->peer, &key);
        im_key_int(&key, IM_REQ_OUT);
        im_key_str(&key, &rel->user);

        if (im_store_get(rel->ctx, IM_T_FRIEND_REQ, &key, &stored) == NGX_OK)
        {
            im_record_load(&stored, im_request_record, &request);
        }

        row = pair->his;
        row.remark = request.remark;
        row.source = pair->in.source;
        row.wording = pair->in.wording;
        row.added = ngx_time();

        im_rel_put_friend(rel, &row);
        im_rel_notice_account(rel, &pair->peer, IM_NOTICE_ADD, &rel->user);

    } else if (item->agree) {
        im_rel_expect_friend(rel, &pair->peer, &rel->user,
                             pair->his.version);
    }

    im_rel_drop_requests(rel, pair, item->agree ? IM_REQ_IN|IM_REQ_OUT
                                                : IM_REQ_IN);
    im_rel_drop_recommends(rel, pair, mine, his);

    return IM_REL_OK;
}


void
im_friend_run(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers, ngx_uint_t n,
    im_rel_item_pt item, void *data, im_rel_e *results)
{
    im_rel_t  rel;

    ngx_memzero(&rel, sizeof(im_rel_t));

    rel.ctx = ctx;
    rel.user = *user;
    rel.peers = peers;
    rel.n = n;
    rel.item = item;
    rel.data = data;
    rel.results = results;
    rel.account = 1;
    rel.profiles = (item == im_friend_add_item);

    im_rel_run(&rel);
}
