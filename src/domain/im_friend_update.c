
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_friend.h"


static im_rel_e im_friend_update_item(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);


void
im_friend_update(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_friend_item_t *items, im_rel_e *results)
{
    im_friend_run(ctx, user, peers, n, im_friend_update_item, items, results);
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

    item = &((im_friend_item_t *) rel->data)[i];

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


ngx_int_t
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
