
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_str.h"
#include "domain/im_friend.h"
#include "domain/im_friend_group.h"


typedef struct {
    ngx_str_t         *names;
    ngx_uint_t         n;
    u_char            *puts;         /* NULL: all into groups that are made
                                        in the same commit */
} im_friend_group_work_t;


static im_rel_e im_friend_group_make(im_rel_t *rel);
static im_rel_e im_friend_group_change(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *names, ngx_uint_t n, ngx_str_t *to);
static im_rel_e im_friend_group_try(im_rel_t *rel, ngx_str_t *names,
    ngx_uint_t n, ngx_str_t *to);
static im_rel_e im_friend_group_tell(im_rel_t *rel,
    im_friend_group_t *groups, ngx_uint_t ngroups);
static im_rel_e im_friend_group_put_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);


im_rel_e
im_friend_group_add(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *names,
    ngx_uint_t n, ngx_str_t *peers, ngx_uint_t npeers, im_rel_e *results)
{
    im_rel_t                rel;
    im_rel_e                result;
    ngx_uint_t              tries;
    im_friend_group_work_t  work;

    work.names = names;
    work.n = n;
    work.puts = NULL;

    ngx_memzero(&rel, sizeof(im_rel_t));

    rel.ctx = ctx;
    rel.user = *user;
    rel.peers = peers;
    rel.n = npeers;
    rel.data = &work;
    rel.results = results;
    rel.account = 1;

    if (im_rel_prepare(&rel) != NGX_OK) {
        return IM_REL_INTERNAL;
    }

    tries = IM_REL_TRIES;

    do {
        result = im_friend_group_make(&rel);

    } while (result == IM_REL_CONFLICT && --tries);

    return result;
}


/* The groups and all who are put into them, in one commit. */

static im_rel_e
im_friend_group_make(im_rel_t *rel)
{
    im_rel_e                 result;
    ngx_str_t                ids;
    ngx_uint_t               i, k, n;
    im_friend_group_work_t  *work;

    work = rel->data;

    result = im_rel_begin(rel);

    if (result == IM_REL_OK) {
        result = im_rel_groups(rel);
    }

    for (i = 0; i < work->n && result == IM_REL_OK; i++) {
        if (im_rel_group(rel, &work->names[i])) {
            result = IM_REL_GROUP_EXISTS;
        }
    }

    if (result == IM_REL_OK) {
        result = im_rel_group_ids(rel, work->names, work->n, &ids);
    }

    for (i = 0; i < rel->n && result == IM_REL_OK; i += n) {

        if (i) {
            im_co_yield();
        }

        n = ngx_min(rel->n - i, IM_REL_CHUNK);

        result = im_rel_error(im_rel_load(rel->ctx, &rel->user,
                                          &rel->peers[i], n, rel->pairs,
                                          rel->keys, rel->rows));

        for (k = 0; k < n && result == IM_REL_OK; k++) {
            rel->results[i + k] = im_friend_group_put_item(rel,
                                                     &rel->pairs[k], i + k);
        }
    }

    if (result == IM_REL_OK) {
        result = im_rel_commit(rel);
    }

    return result;
}


im_rel_e
im_friend_group_delete(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *names,
    ngx_uint_t n)
{
    return im_friend_group_change(ctx, user, names, n, NULL);
}


im_rel_e
im_friend_group_rename(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *name,
    ngx_str_t *to)
{
    return im_friend_group_change(ctx, user, name, 1, to);
}


/* Deletes groups, or names the one anew: members keep its id. */

static im_rel_e
im_friend_group_change(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *names,
    ngx_uint_t n, ngx_str_t *to)
{
    im_rel_t    rel;
    im_rel_e    result;
    ngx_uint_t  tries;

    ngx_memzero(&rel, sizeof(im_rel_t));

    rel.ctx = ctx;
    rel.user = *user;

    tries = IM_REL_TRIES;

    do {
        result = im_friend_group_try(&rel, names, n, to);

    } while (result == IM_REL_CONFLICT && --tries);

    return result;
}


static im_rel_e
im_friend_group_try(im_rel_t *rel, ngx_str_t *names, ngx_uint_t n,
    ngx_str_t *to)
{
    im_doc_t           *doc;
    im_key_t            key;
    im_rel_e            result;
    ngx_uint_t          i, k, left;
    im_friend_group_t  *group, *groups;

    result = im_rel_begin(rel);

    if (result == IM_REL_OK) {
        result = im_rel_groups(rel);
    }

    if (result != IM_REL_OK) {
        return result;
    }

    groups = ngx_palloc(rel->ctx->pool,
                        (rel->ngroups + 1) * sizeof(im_friend_group_t));
    if (groups == NULL) {
        return IM_REL_INTERNAL;
    }

    for (i = 0; i < n; i++) {

        group = im_rel_group(rel, &names[i]);

        if (group == NULL) {
            return IM_REL_NO_GROUP;
        }

        if (to && im_rel_group(rel, to)) {
            return IM_REL_GROUP_EXISTS;
        }

        im_rel_key(rel->ctx, &rel->user, &key);
        im_key_str(&key, &names[i]);

        im_store_expect(rel->batch, IM_T_FRIEND_GROUP, &key, group->version);
        im_store_delete(rel->batch, IM_T_FRIEND_GROUP, &key);

        im_rel_add(rel, &rel->user, IM_REL_SEQ_GROUP, 1, 0);

        if (to == NULL) {
            im_rel_add(rel, &rel->user, IM_REL_N_GROUPS, -1, 0);
            continue;
        }

        im_rel_key(rel->ctx, &rel->user, &key);
        im_key_str(&key, to);

        doc = im_doc(rel->ctx->pool);
        im_doc_int(doc, "id", group->id);

        im_store_insert(rel->batch, IM_T_FRIEND_GROUP, &key, doc);
    }

    /* the groups as they will be */

    left = 0;

    for (i = 0; i < rel->ngroups; i++) {

        for (k = 0; k < n; k++) {
            if (im_str_eq(&names[k], &rel->groups[i].name)) {
                break;
            }
        }

        if (k == n || to) {
            groups[left] = rel->groups[i];

            if (k < n) {
                groups[left].name = *to;
            }

            left++;
        }
    }

    result = im_friend_group_tell(rel, groups, left);

    if (result == IM_REL_OK) {
        result = im_rel_commit(rel);
    }

    return result;
}


/* Friends whose groups have changed, compared with rel->groups. */

static im_rel_e
im_friend_group_tell(im_rel_t *rel, im_friend_group_t *groups,
    ngx_uint_t ngroups)
{
    ngx_str_t     was, is;
    im_json_t    *names, *old, *entry, *change;
    ngx_uint_t    i;
    ngx_array_t   friends;
    im_friend_t  *row;

    if (ngx_array_init(&friends, rel->ctx->pool, 64, sizeof(im_friend_t))
        != NGX_OK
        || im_friend_list(rel->ctx, &rel->user, 0,
                          rel->ctx->app->friends_max, &friends)
           != NGX_OK)
    {
        return IM_REL_INTERNAL;
    }

    row = friends.elts;

    for (i = 0; i < friends.nelts; i++) {

        if (row[i].groups.len == 0) {
            continue;
        }

        old = im_friend_group_names(rel->ctx, &row[i].groups, rel->groups,
                                    rel->ngroups);
        names = im_friend_group_names(rel->ctx, &row[i].groups, groups,
                                      ngroups);

        if (im_json_render(rel->ctx->pool, old, &was) != NGX_OK
            || im_json_render(rel->ctx->pool, names, &is) != NGX_OK)
        {
            return IM_REL_INTERNAL;
        }

        if (im_str_eq(&was, &is)) {
            continue;
        }

        entry = im_json_push_obj(im_rel_notice(rel, &rel->user,
                                               IM_NOTICE_UPDATE, &rel->user,
                                               rel->ctx->inst));

        im_json_add_str(entry, "Friend_Account", &row[i].peer);

        change = im_json_push_obj(im_json_add_list(entry, "Sns"));
        im_json_add_cstr(change, "Tag", "Tag_SNS_IM_Group");
        im_json_add_node(change, "Value", names);

        im_rel_add(rel, &rel->user, IM_REL_SEQ_STD, 1, 0);
    }

    return IM_REL_OK;
}


void
im_friend_group_put(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *name,
    ngx_str_t *peers, u_char *puts, ngx_uint_t npeers, im_rel_e *results)
{
    im_rel_t                rel;
    im_friend_group_work_t  work;

    work.names = name;
    work.n = 1;
    work.puts = puts;

    ngx_memzero(&rel, sizeof(im_rel_t));

    rel.ctx = ctx;
    rel.user = *user;
    rel.peers = peers;
    rel.n = npeers;
    rel.item = im_friend_group_put_item;
    rel.data = &work;
    rel.results = results;
    rel.account = 1;

    im_rel_run(&rel);
}


static im_rel_e
im_friend_group_put_item(im_rel_t *rel, im_pair_t *pair, ngx_uint_t i)
{
    im_key_t                 key;
    im_rel_e                 result;
    im_json_t               *names, *entry, *change;
    ngx_uint_t               k, put;
    im_friend_t              row;
    im_friend_group_t       *group;
    im_friend_group_work_t  *work;

    work = rel->data;

    if (!pair->exists) {
        return IM_REL_ACCOUNT;
    }

    if (pair->mine.version == 0) {
        return IM_REL_NO_FRIEND;
    }

    result = im_rel_groups(rel);
    if (result != IM_REL_OK) {
        return result;
    }

    row = pair->mine;
    put = (work->puts == NULL || work->puts[i]);

    for (k = 0; k < work->n; k++) {

        group = im_rel_group(rel, &work->names[k]);

        if (group == NULL) {
            return IM_REL_NO_GROUP;
        }

        if (put && im_rel_has_group(&row.groups, group->id)) {
            return IM_REL_IN_GROUP;
        }

        if (!put && !im_rel_has_group(&row.groups, group->id)) {
            return IM_REL_NOT_IN_GROUP;
        }

        if ((put
             ? im_rel_add_id(rel->ctx->pool, &row.groups, group->id)
             : im_rel_remove_id(rel->ctx->pool, &row.groups, group->id))
            != NGX_OK)
        {
            return IM_REL_INTERNAL;
        }
    }

    names = im_friend_group_names(rel->ctx, &row.groups, rel->groups,
                                  rel->ngroups);

    if (names == NULL) {
        return IM_REL_INTERNAL;
    }

    for (k = 0; k < work->n && work->puts; k++) {
        group = im_rel_group(rel, &work->names[k]);

        im_rel_key(rel->ctx, &rel->user, &key);
        im_key_str(&key, &work->names[k]);
        im_store_expect(rel->batch, IM_T_FRIEND_GROUP, &key, group->version);
    }

    im_rel_put_friend(rel, &row);
    im_rel_add(rel, &rel->user, IM_REL_SEQ_GROUP, 1, 0);

    entry = im_json_push_obj(im_rel_notice(rel, &rel->user, IM_NOTICE_UPDATE,
                                           &rel->user, rel->ctx->inst));

    im_json_add_str(entry, "Friend_Account", &pair->peer);

    change = im_json_push_obj(im_json_add_list(entry, "Sns"));
    im_json_add_cstr(change, "Tag", "Tag_SNS_IM_Group");
    im_json_add_node(change, "Value", names);

    return IM_REL_OK;
}
