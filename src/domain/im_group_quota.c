
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_member.h"
#include "domain/im_group_quota.h"


#define IM_QUOTA_TYPES  500          /* names of types that are summed up */


static void im_group_quota_day_key(im_ctx_t *ctx, im_key_t *key);
static void im_group_quota_key(im_ctx_t *ctx, const char *kind, ngx_str_t *id,
    im_key_t *key);
static int64_t im_group_quota_max(im_ctx_t *ctx, im_group_t *group);
static ngx_int_t im_group_quota_row(im_row_t *row, void *data);


void
im_group_quota_add(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_quota_t *quota)
{
    int64_t   max;
    im_key_t  key;

    quota->day = NGX_MAX_UINT32_VALUE;

    if (group->type->daily) {
        im_group_quota_day_key(ctx, &key);

        max = ctx->app->groups_day_max;

        quota->day = im_store_add(batch, IM_T_COUNT, &key, "value", 1,
                                  -NGX_MAX_INT_T_VALUE,
                                  max ? max : NGX_MAX_INT_T_VALUE);
    }

    im_group_quota_key(ctx, "types", &group->type->name, &key);

    quota->total = im_store_add(batch, IM_T_COUNT, &key, "value", 1,
                                -NGX_MAX_INT_T_VALUE,
                                im_group_quota_max(ctx, group));
}


void
im_group_quota_delete(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group)
{
    im_key_t  key;

    if (group->type->daily) {
        im_group_quota_day_key(ctx, &key);

        im_store_add(batch, IM_T_COUNT, &key, "value", -1,
                     -NGX_MAX_INT_T_VALUE, NGX_MAX_INT_T_VALUE);
    }

    im_group_quota_key(ctx, "types", &group->type->name, &key);

    im_store_add(batch, IM_T_COUNT, &key, "value", -1, -NGX_MAX_INT_T_VALUE,
                 NGX_MAX_INT_T_VALUE);
}


static int64_t
im_group_quota_max(im_ctx_t *ctx, im_group_t *group)
{
    ngx_int_t  max;

    if (group->type->quota == 0) {
        return NGX_MAX_INT_T_VALUE;
    }

    max = *(ngx_int_t *) ((u_char *) ctx->app + group->type->quota);

    return max ? max : NGX_MAX_INT_T_VALUE;
}


im_code_t
im_group_quota_code(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_quota_t *quota)
{
    if (batch->failed == quota->day) {
        ngx_str_set(&ctx->info, "too many new groups today");
        return IM_E_GROUP_FREQ;
    }

    if (batch->failed == quota->total) {
        ngx_str_set(&ctx->info, "too many groups of this type");
        return group->type->quota_code;
    }

    return IM_OK;
}


ngx_int_t
im_group_quota_total(im_ctx_t *ctx, im_group_type_t *type, int64_t *total)
{
    im_key_t   key;
    im_row_t   row;
    ngx_int_t  rc;
    ngx_str_t  kind;

    *total = 0;

    if (type) {
        im_group_quota_key(ctx, "types", &type->name, &key);

        rc = im_store_get(ctx, IM_T_COUNT, &key, &row);

        if (rc == NGX_OK) {
            (void) im_group_quota_row(&row, total);
        }

    } else {
        ngx_str_set(&kind, "types");

        im_key_init(&key, ctx->app->id);
        im_key_str(&key, &kind);

        rc = im_store_scan(ctx, IM_T_COUNT, 0, &key, NULL, NULL, IM_ASC,
                           IM_QUOTA_TYPES, im_group_quota_row, total);
    }

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_group_quota_row(im_row_t *row, void *data)
{
    int64_t  *total = data;

    int64_t  n;

    if (im_row_int(row, "value", &n) == NGX_OK) {
        *total += n;
    }

    return NGX_OK;
}


ngx_uint_t
im_group_quota_join(im_ctx_t *ctx, im_batch_t *batch, ngx_str_t *user)
{
    int64_t   max;
    im_key_t  key;

    max = ctx->app->groups_joined_max;

    im_group_quota_key(ctx, "joined", user, &key);

    return im_store_add(batch, IM_T_COUNT, &key, "value", 1,
                        -NGX_MAX_INT_T_VALUE,
                        max ? max : NGX_MAX_INT_T_VALUE);
}


void
im_group_quota_leave(im_ctx_t *ctx, im_batch_t *batch, ngx_str_t *user)
{
    im_key_t  key;

    im_group_quota_key(ctx, "joined", user, &key);

    im_store_add(batch, IM_T_COUNT, &key, "value", -1, -NGX_MAX_INT_T_VALUE,
                 NGX_MAX_INT_T_VALUE);
}


im_code_t
im_group_quota_apply(im_ctx_t *ctx, im_group_t *group)
{
    u_char     full;
    ngx_int_t  rc;

    rc = im_group_quota_full(ctx, &ctx->user, 1, &full);

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    if (full) {
        return IM_E_GROUP_JOINED_QUOTA;
    }

    if (group->max_member
        && im_group_member_count(ctx, group) >= group->max_member)
    {
        return IM_E_GROUP_FULL;
    }

    return IM_OK;
}


ngx_int_t
im_group_quota_full(im_ctx_t *ctx, ngx_str_t *users, ngx_uint_t n,
    u_char *full)
{
    int64_t      joined;
    im_key_t    *keys;
    im_row_t    *rows;
    ngx_int_t    rc;
    ngx_uint_t   i;

    ngx_memzero(full, n);

    if (ctx->app->groups_joined_max == 0) {
        return NGX_OK;
    }

    keys = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_key_t));
    rows = ngx_pcalloc(ctx->pool, (n + 1) * sizeof(im_row_t));

    if (keys == NULL || rows == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        im_group_quota_key(ctx, "joined", &users[i], &keys[i]);
    }

    rc = im_store_get_many(ctx, IM_T_COUNT, keys, n, rows);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        joined = 0;

        if (rows[i].data.data) {
            (void) im_row_int(&rows[i], "value", &joined);
        }

        full[i] = (joined >= ctx->app->groups_joined_max);
    }

    return NGX_OK;
}


/* Groups created less groups dissolved, by day. */

static void
im_group_quota_day_key(im_ctx_t *ctx, im_key_t *key)
{
    u_char     buf[NGX_INT64_LEN];
    ngx_str_t  id;

    id.data = buf;
    id.len = ngx_sprintf(buf, "%T", ngx_time() / 86400) - buf;

    im_group_quota_key(ctx, "groups", &id, key);
}


static void
im_group_quota_key(im_ctx_t *ctx, const char *kind, ngx_str_t *id,
    im_key_t *key)
{
    ngx_str_t  name;

    name.data = (u_char *) kind;
    name.len = ngx_strlen(kind);

    im_key_init(key, ctx->app->id);
    im_key_str(key, &name);
    im_key_str(key, id);
}
