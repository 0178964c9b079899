
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_message.h"
#include "domain/im_relation.h"


static ngx_int_t im_rel_next_id(ngx_str_t *rest, int64_t *id);
static ngx_int_t im_rel_group_row(im_row_t *row, void *data);


static im_record_t  im_friend_group_record[] = {
    { ngx_string("name"), IM_COL_STR, offsetof(im_friend_group_t, name) },
    { ngx_string("id"), IM_COL_INT, offsetof(im_friend_group_t, id) },
      im_null_record
};


im_rel_e
im_rel_groups(im_rel_t *rel)
{
    ngx_int_t  rc;

    if (rel->groups_read) {
        return IM_REL_OK;
    }

    rc = im_rel_read_groups(rel->ctx, &rel->user, &rel->groups,
                            &rel->ngroups);

    rel->groups_read = (rc == NGX_OK);

    return im_rel_error(rc);
}


im_friend_group_t *
im_rel_group(im_rel_t *rel, ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < rel->ngroups; i++) {
        if (im_str_eq(&rel->groups[i].name, name)) {
            return &rel->groups[i];
        }
    }

    return NULL;
}


im_rel_e
im_rel_group_ids(im_rel_t *rel, ngx_str_t *names, ngx_uint_t n,
    ngx_str_t *ids)
{
    im_key_t            key;
    im_doc_t           *doc;
    im_rel_e            result;
    ngx_uint_t          i, k, new;
    im_friend_group_t  *group, *groups;

    ngx_str_null(ids);

    if (n == 0) {
        return IM_REL_OK;
    }

    result = im_rel_groups(rel);
    if (result != IM_REL_OK) {
        return result;
    }

    new = 0;

    for (i = 0; i < n; i++) {
        for (k = 0; k < i; k++) {
            if (im_str_eq(&names[i], &names[k])) {
                break;
            }
        }

        new += (k == i && im_rel_group(rel, &names[i]) == NULL);
    }

    if (new && rel->ngroups + new > (ngx_uint_t)
                                             rel->ctx->app->friend_groups_max)
    {
        return IM_REL_GROUPS_FULL;
    }

    groups = ngx_palloc(rel->ctx->pool,
                        (rel->ngroups + new + 1) * sizeof(im_friend_group_t));
    if (groups == NULL) {
        return IM_REL_INTERNAL;
    }

    ngx_memcpy(groups, rel->groups, rel->ngroups * sizeof(im_friend_group_t));
    rel->groups = groups;

    for (i = 0; i < n; i++) {

        group = im_rel_group(rel, &names[i]);

        im_rel_key(rel->ctx, &rel->user, &key);
        im_key_str(&key, &names[i]);

        if (group == NULL) {
            group = &rel->groups[rel->ngroups++];

            group->name = names[i];
            group->id = im_message_id();
            group->version = -1;             /* it comes with this commit */

            doc = im_doc(rel->ctx->pool);
            im_doc_int(doc, "id", group->id);

            im_store_insert(rel->batch, IM_T_FRIEND_GROUP, &key, doc);

            im_rel_add(rel, &rel->user, IM_REL_N_GROUPS, 1,
                       rel->ctx->app->friend_groups_max);
            im_rel_add(rel, &rel->user, IM_REL_SEQ_GROUP, 1, 0);

        } else if (group->version != -1) {
            im_store_expect(rel->batch, IM_T_FRIEND_GROUP, &key,
                            group->version);
        }

        if (!im_rel_has_group(ids, group->id)
            && im_rel_add_id(rel->ctx->pool, ids, group->id) != NGX_OK)
        {
            rel->batch = NULL;
            return IM_REL_INTERNAL;
        }
    }

    return IM_REL_OK;
}


ngx_uint_t
im_rel_has_group(ngx_str_t *ids, int64_t id)
{
    int64_t    n;
    ngx_str_t  rest;

    rest = *ids;

    while (im_rel_next_id(&rest, &n) == NGX_OK) {
        if (n == id) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
im_rel_next_id(ngx_str_t *rest, int64_t *id)
{
    u_char     *last, *comma;
    ngx_str_t   part;

    while (rest->len) {
        last = rest->data + rest->len;
        comma = ngx_strlchr(rest->data, last, ',');

        part.data = rest->data;
        part.len = (comma ? comma : last) - part.data;

        rest->data = comma ? comma + 1 : last;
        rest->len = last - rest->data;

        if (im_str_int(&part, id) == NGX_OK) {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
im_rel_add_id(ngx_pool_t *pool, ngx_str_t *ids, int64_t id)
{
    u_char  *p;

    p = ngx_pnalloc(pool, ids->len + 1 + NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ids->len = ngx_sprintf(p, "%V%s%L", ids, ids->len ? "," : "", id) - p;
    ids->data = p;

    return NGX_OK;
}


ngx_int_t
im_rel_remove_id(ngx_pool_t *pool, ngx_str_t *ids, int64_t id)
{
    int64_t    n;
    ngx_str_t  rest, left;

    rest = *ids;
    ngx_str_null(&left);

    while (im_rel_next_id(&rest, &n) == NGX_OK) {
        if (n != id && im_rel_add_id(pool, &left, n) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    *ids = left;

    return NGX_OK;
}


ngx_int_t
im_rel_read_groups(im_ctx_t *ctx, ngx_str_t *user,
    im_friend_group_t **groups, ngx_uint_t *n)
{
    im_key_t            prefix;
    ngx_int_t           rc;
    ngx_uint_t          i, k;
    ngx_array_t         rows;
    im_friend_group_t   group, *list;

    if (ngx_array_init(&rows, ctx->pool, 8, sizeof(im_friend_group_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    im_rel_key(ctx, user, &prefix);

    rc = im_store_scan(ctx, IM_T_FRIEND_GROUP, 0, &prefix, NULL, NULL,
                       IM_ASC, 1000, im_rel_group_row, &rows);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    list = rows.elts;

    for (i = 1; i < rows.nelts; i++) {
        group = list[i];

        for (k = i; k > 0 && list[k - 1].id > group.id; k--) {
            list[k] = list[k - 1];
        }

        list[k] = group;
    }

    *groups = list;
    *n = rows.nelts;

    return NGX_OK;
}


static ngx_int_t
im_rel_group_row(im_row_t *row, void *data)
{
    ngx_array_t  *rows = data;

    im_friend_group_t  *group;

    group = ngx_array_push(rows);
    if (group == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(group, sizeof(im_friend_group_t));

    im_record_load(row, im_friend_group_record, group);
    group->version = row->version;

    return NGX_OK;
}
