
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_str.h"
#include "domain/im_group_list.h"
#include "domain/im_group_member.h"
#include "domain/im_group_row.h"


#define IM_GROUP_LIST_PAGE  500
#define IM_GROUP_LIST_POOL  16384
#define IM_GROUP_LIST_WALK  100000   /* rows that one answer looks at */
#define IM_MEMBERS_PAGE     500
#define IM_ADMINS_MAX       200


/* A walk over the groups of an app. */

typedef struct {
    im_ctx_t           *ctx;
    im_group_type_t    *type;
    int64_t             last;        /* row that was looked at */
    int64_t             next;        /* the last one of the page */
    ngx_uint_t          limit;
    ngx_uint_t          n;
    ngx_uint_t          more;
    ngx_array_t        *gids;
} im_group_walk_t;


static ngx_int_t im_group_list_row(im_row_t *row, void *data);
static ngx_int_t im_group_joined_row(im_row_t *row, void *data);
static ngx_int_t im_group_members_row(im_row_t *row, void *data);


ngx_int_t
im_group_list(im_ctx_t *ctx, im_group_type_t *type, int64_t after,
    ngx_uint_t limit, ngx_array_t *gids, int64_t *next)
{
    im_key_t           prefix, from;
    ngx_int_t          rc;
    im_ctx_t           page;
    ngx_uint_t         looked;
    im_group_walk_t    walk;

    im_key_init(&prefix, ctx->app->id);

    walk.ctx = ctx;
    walk.type = type;
    walk.limit = limit;
    walk.gids = gids;
    walk.next = after;
    walk.last = after;
    walk.more = 0;

    page = *ctx;
    looked = 0;

    do {
        walk.n = 0;

        page.pool = ngx_create_pool(IM_GROUP_LIST_POOL, ctx->log);
        if (page.pool == NULL) {
            return NGX_ERROR;
        }

        from = prefix;
        im_key_int(&from, walk.last + 1);

        rc = im_store_scan(&page, IM_T_GNO, 0, &prefix, &from, NULL, IM_ASC,
                           IM_GROUP_LIST_PAGE, im_group_list_row, &walk);

        ngx_destroy_pool(page.pool);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }

        looked += walk.n;

        if (looked >= IM_GROUP_LIST_WALK && !walk.more) {
            walk.more = 1;
            walk.next = walk.last;
        }

        im_co_yield();

    } while (walk.n == IM_GROUP_LIST_PAGE && !walk.more);

    *next = walk.more ? walk.next : 0;

    return NGX_OK;
}


static ngx_int_t
im_group_list_row(im_row_t *row, void *data)
{
    im_group_walk_t  *walk = data;

    ngx_str_t   gid, type, *g;

    walk->n++;

    if (im_row_int(row, "gno", &walk->last) != NGX_OK
        || im_row_str(row, "gid", &gid) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (walk->type
        && (im_row_str(row, "type", &type) != NGX_OK
            || !im_str_eq(&type, &walk->type->name)))
    {
        return NGX_OK;
    }

    if (walk->gids->nelts == walk->limit) {
        walk->more = 1;
        return NGX_DONE;
    }

    g = ngx_array_push(walk->gids);
    if (g == NULL) {
        return NGX_ERROR;
    }

    walk->next = walk->last;

    return im_str_dup(walk->ctx->pool, g, &gid);
}


ngx_int_t
im_group_joined(im_ctx_t *ctx, ngx_str_t *user, ngx_array_t *list)
{
    im_key_t            prefix, from;
    ngx_int_t           rc;
    ngx_uint_t          n;
    im_group_joined_t  *joined;

    if (ngx_array_init(list, ctx->pool, 16, sizeof(im_group_joined_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    im_key_init(&prefix, ctx->app->id);
    im_key_str(&prefix, user);

    from = prefix;

    for ( ;; ) {
        n = list->nelts;

        rc = im_store_scan(ctx, IM_T_MEMBER, IM_MEMBER_USER, &prefix,
                           (from.len > prefix.len) ? &from : NULL, NULL,
                           IM_ASC, IM_MEMBERS_PAGE, im_group_joined_row, list);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }

        if (list->nelts - n < IM_MEMBERS_PAGE
            || list->nelts >= IM_GROUPS_JOINED)
        {
            return NGX_OK;
        }

        joined = list->elts;

        from = prefix;
        im_key_int(&from, joined[list->nelts - 1].gno + 1);
    }
}


static ngx_int_t
im_group_joined_row(im_row_t *row, void *data)
{
    ngx_array_t  *list = data;

    im_group_joined_t  *joined;

    joined = ngx_array_push(list);
    if (joined == NULL) {
        return NGX_ERROR;
    }

    (void) im_row_int(row, "gno", &joined->gno);
    (void) im_row_int(row, "role", &joined->role);
    (void) im_row_int(row, "joined", &joined->joined);
    (void) im_row_int(row, "flag", &joined->flag);
    (void) im_row_int(row, "first", &joined->first);

    return NGX_OK;
}


ngx_int_t
im_group_admins(im_ctx_t *ctx, im_group_t *group, ngx_array_t *users)
{
    im_key_t          last;
    ngx_int_t         rc;
    ngx_str_t        *user;
    im_members_walk_t  walk;

    if (group->owner.len) {
        user = ngx_array_push(users);
        if (user == NULL) {
            return NGX_ERROR;
        }

        *user = group->owner;
    }

    if (!group->type->has_admins) {
        return NGX_OK;
    }

    last.len = 0;

    walk.users = users;
    walk.last = &last;
    walk.admins = 1;

    do {
        rc = im_group_members(ctx, group->gno, &walk, IM_MEMBERS_PAGE);

        if (rc == NGX_OK && walk.n == IM_MEMBERS_PAGE) {
            im_co_yield();
        }

    } while (rc == NGX_OK && walk.n == IM_MEMBERS_PAGE
             && users->nelts < IM_ADMINS_MAX);

    return rc;
}


ngx_int_t
im_group_members(im_ctx_t *ctx, int64_t gno, im_members_walk_t *walk,
    ngx_uint_t limit)
{
    im_key_t   prefix, from;
    ngx_int_t  rc;

    im_group_row_key(ctx, gno, &prefix);

    from = *walk->last;
    walk->n = 0;

    rc = im_store_scan(ctx, IM_T_MEMBER, 0, &prefix, from.len ? &from : NULL,
                       NULL, IM_ASC, limit, im_group_members_row, walk);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_group_members_row(im_row_t *row, void *data)
{
    im_members_walk_t  *walk = data;

    int64_t     role;
    ngx_str_t  *user;

    walk->n++;

    if (walk->last->len == row->key.len
        && ngx_memcmp(walk->last->data, row->key.data, row->key.len) == 0)
    {
        return NGX_OK;
    }

    walk->last->invalid = 0;
    walk->last->len = row->key.len;
    ngx_memcpy(walk->last->data, row->key.data, row->key.len);

    if (walk->admins
        && (im_row_int(row, "role", &role) != NGX_OK
            || role != IM_GROUP_ADMIN))
    {
        return NGX_OK;
    }

    user = ngx_array_push(walk->users);
    if (user == NULL) {
        return NGX_ERROR;
    }

    return im_row_str(row, "user", user) == NGX_OK ? NGX_OK : NGX_ERROR;
}
