
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_str.h"
#include "domain/im_friend.h"
#include "domain/im_inbox.h"


#define IM_FRIEND_CONFIRM_MAX  100       /* of one command */

/* how friends are deleted */

#define IM_FRIEND_BOTH         1
#define IM_FRIEND_QUIET        2


typedef struct {
    im_friend_item_t  *items;
    ngx_uint_t         how;
    im_profile_t      *profile;      /* of the acting account */
} im_friend_work_t;


static im_rel_e im_friend_add_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);
static im_rel_e im_friend_request(im_rel_t *rel, im_pair_t *pair,
    im_friend_item_t *item, im_profile_t *me);
static im_rel_e im_friend_import_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);
static im_rel_e im_friend_respond_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);
static im_rel_e im_friend_update_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);
static ngx_int_t im_friend_merge(im_rel_t *rel, ngx_str_t *custom,
    im_json_t *values, im_json_t *changes, ngx_uint_t *changed);
static im_rel_e im_friend_delete_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);
static im_rel_e im_pendency_delete_item(im_rel_t *rel, im_pair_t *pair,
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

    return IM_REL_OK;
}


void
im_friend_respond(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_friend_item_t *items, im_rel_e *results)
{
    im_friend_work_t  work;

    work.items = items;

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

    return IM_REL_OK;
}


void
im_friend_update(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_friend_item_t *items, im_rel_e *results)
{
    im_friend_work_t  work;

    work.items = items;

    im_friend_run(ctx, user, peers, n, im_friend_update_item, &work, results);
}


static im_rel_e
im_friend_update_item(im_rel_t *rel, im_pair_t *pair, ngx_uint_t i)
{
    im_rel_e           result;
    ngx_str_t          ids;
    im_json_t         *changes, *change, *entry;
    ngx_uint_t         custom, groups;
    im_friend_t        row;
    im_friend_item_t  *item;
    im_friend_work_t  *work;

    work = rel->data;
    item = &work->items[i];

    if (!pair->exists) {
        return IM_REL_ACCOUNT;
    }

    if (item->wrong != IM_REL_OK) {
        return item->wrong;
    }

    if (pair->mine.version == 0) {
        return IM_REL_NO_FRIEND;
    }

    row = pair->mine;
    custom = 0;
    groups = 0;

    changes = im_json_new_list(rel->ctx->pool);

    if (item->set_remark && !im_str_eq(&row.remark, &item->remark)) {
        row.remark = item->remark;
        row.retime = ngx_time();

        change = im_json_push_obj(changes);
        im_json_add_cstr(change, "Tag", "Tag_SNS_IM_Remark");
        im_json_add_str(change, "Value", &row.remark);
    }

    if (item->custom
        && im_friend_merge(rel, &row.custom, item->custom, changes, &custom)
           != NGX_OK)
    {
        return IM_REL_INTERNAL;
    }

    if (item->set_groups) {
        result = im_rel_group_ids(rel, item->groups, item->ngroups, &ids);
        if (result != IM_REL_OK) {
            return result;
        }

        if (!im_str_eq(&ids, &row.groups)) {
            row.groups = ids;
            groups = 1;

            result = im_rel_groups(rel);
            if (result != IM_REL_OK) {
                rel->batch = NULL;
                return result;
            }

            change = im_json_push_obj(changes);
            im_json_add_cstr(change, "Tag", "Tag_SNS_IM_Group");
            im_json_add_node(change, "Value",
                             im_friend_group_names(rel->ctx, &ids,
                                                   rel->groups,
                                                   rel->ngroups));
        }
    }

    if (changes == NULL || changes->n == 0) {
        return IM_REL_OK;
    }

    im_rel_put_friend(rel, &row);

    if (groups) {
        im_rel_add(rel, &rel->user, IM_REL_SEQ_GROUP, 1, 0);
    }

    if (custom) {
        im_rel_add(rel, &rel->user, IM_REL_SEQ_CUSTOM, 1, 0);

        if (changes->n == custom) {          /* nothing standard */
            im_rel_add(rel, &rel->user, IM_REL_SEQ_STD, -1, 0);
        }
    }

    entry = im_json_push_obj(im_rel_notice(rel, &rel->user, IM_NOTICE_UPDATE,
                                           &rel->user, rel->ctx->inst));

    im_json_add_str(entry, "Friend_Account", &pair->peer);
    im_json_add_node(entry, "Sns", changes);

    return IM_REL_OK;
}


/* Writes values over those of the row; *changed is their number. */

static ngx_int_t
im_friend_merge(im_rel_t *rel, ngx_str_t *custom, im_json_t *values,
    im_json_t *changes, ngx_uint_t *changed)
{
    char        *name;
    u_char      *p;
    ngx_str_t    tag, was, is;
    im_json_t   *old, *merged, *node, *change;
    ngx_pool_t  *pool;

    pool = rel->ctx->pool;
    old = NULL;

    if (custom->len
        && im_json_parse(pool, custom, IM_JSON_DEPTH, &old) != NGX_OK)
    {
        return NGX_ERROR;
    }

    merged = im_json_new_obj(pool);

    im_json_each(node, old) {
        if (im_json_get_key(values, &node->key) == NULL) {

            name = im_str_c(pool, &node->key);
            if (name == NULL) {
                return NGX_ERROR;
            }

            im_json_add_node(merged, name, node);
        }
    }

    im_json_each(node, values) {

        if (node->type == IM_JSON_NUM || node->u.text.len) {

            name = im_str_c(pool, &node->key);
            if (name == NULL) {
                return NGX_ERROR;
            }

            im_json_add_node(merged, name, node);
        }

        change = im_json_get_key(old, &node->key);

        if (im_json_render(pool, node, &is) != NGX_OK
            || (change && im_json_render(pool, change, &was) != NGX_OK))
        {
            return NGX_ERROR;
        }

        if (change ? im_str_eq(&is, &was)
                   : node->type == IM_JSON_STR && node->u.text.len == 0)
        {
            continue;
        }

        (*changed)++;

        if (changes) {
            p = ngx_pnalloc(pool, sizeof("Tag_SNS_Custom_") + node->key.len);
            if (p == NULL) {
                return NGX_ERROR;
            }

            tag.data = p;
            tag.len = ngx_sprintf(p, "Tag_SNS_Custom_%V", &node->key) - p;

            change = im_json_push_obj(changes);
            im_json_add_str(change, "Tag", &tag);
            im_json_add_node(change, "Value", node);
        }
    }

    if (im_json_failed(merged)) {
        return NGX_ERROR;
    }

    if (merged->n == 0) {
        ngx_str_null(custom);
        return NGX_OK;
    }

    return im_json_render(pool, merged, custom);
}


void
im_friend_delete(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, ngx_uint_t both, im_rel_e *results)
{
    im_friend_work_t  work;

    work.how = both ? IM_FRIEND_BOTH : 0;

    im_friend_run(ctx, user, peers, n, im_friend_delete_item, &work, results);
}


static im_rel_e
im_friend_delete_item(im_rel_t *rel, im_pair_t *pair, ngx_uint_t i)
{
    im_friend_work_t  *work;

    work = rel->data;

    rel->fires = (work->how & IM_FRIEND_QUIET) ? 0 : IM_FIRE;

    if (pair->mine.version == 0) {
        return pair->exists ? IM_REL_NO_FRIEND : IM_REL_ACCOUNT;
    }

    im_rel_drop_friend(rel, &pair->mine);

    if ((work->how & IM_FRIEND_BOTH) && pair->his.version) {
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
    ngx_str_t         *peers;
    im_rel_e          *results;
    ngx_uint_t         i;
    ngx_array_t        friends;
    im_friend_t       *row;
    im_friend_work_t   work;

    /* the app is not told of these */

    work.how = IM_FRIEND_QUIET | (both ? IM_FRIEND_BOTH : 0);

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
                      &work, results);

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
    im_friend_work_t  work;

    work.how = dir;

    im_friend_run(ctx, user, peers, n, im_pendency_delete_item, &work,
                  results);
}


static im_rel_e
im_pendency_delete_item(im_rel_t *rel, im_pair_t *pair, ngx_uint_t i)
{
    im_request_t      *request;
    im_friend_work_t  *work;

    work = rel->data;
    request = (work->how == IM_REQ_IN) ? &pair->in : &pair->out;

    if (request->version == 0) {
        return IM_REL_NO_REQUEST;
    }

    im_rel_drop_requests(rel, pair, work->how);

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
