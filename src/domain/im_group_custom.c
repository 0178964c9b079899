
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_group_custom.h"


#define IM_CUSTOM_KEY_MAX  16
#define IM_CUSTOM_PAIRS    100       /* of one request */


typedef struct {
    char              *name;         /* on the wire */
    size_t             max;          /* bytes of a value */
} im_group_custom_row_t;


/* in the order of im_group_custom_e */

static im_group_custom_row_t  im_group_custom_rows[] = {
    { "AppDefinedData", 512 },
    { "AppMemberDefinedData", 64 }
};


static ngx_uint_t im_group_custom_key(ngx_str_t *key);
static im_json_t *im_group_custom_find(im_json_t *list, ngx_str_t *key);
static im_app_group_field_t *im_group_custom_field(im_ctx_t *ctx,
    im_group_t *group, im_group_custom_e of, ngx_str_t *key);
static void im_group_custom_pair(im_json_t *list, ngx_str_t *key,
    ngx_str_t *value);
static ngx_uint_t im_group_custom_named(im_json_t *names, ngx_str_t *key);


im_code_t
im_group_custom_check(im_ctx_t *ctx, im_group_custom_e of, im_json_t *list)
{
    u_char                 *p;
    char                   *what;
    ngx_str_t               key, value;
    im_json_t              *item;
    im_group_custom_row_t  *row;

    row = &im_group_custom_rows[of];
    what = NULL;

    if (list == NULL || list->type == IM_JSON_NULL) {
        return IM_OK;
    }

    if (list->type != IM_JSON_LIST || list->n > IM_CUSTOM_PAIRS) {
        what = "is no list or too long";
    }

    im_json_each(item, list) {

        if (what) {
            break;
        }

        if (im_json_get_str(item, "Key", &key) != NGX_OK
            || im_json_get_str(item, "Value", &value) != NGX_OK)
        {
            what = "needs the strings \"Key\" and \"Value\"";

        } else if (!im_group_custom_key(&key)) {
            what = "has an illegal key";

        } else if (value.len > row->max) {
            what = "has a value that is too long";

        } else if (im_group_custom_find(list, &key) != item) {
            what = "has a key twice";
        }
    }

    if (what == NULL) {
        return IM_OK;
    }

    p = ngx_pnalloc(ctx->pool, ngx_strlen(row->name) + ngx_strlen(what) + 3);

    if (p) {
        ctx->info.data = p;
        ctx->info.len = ngx_sprintf(p, "\"%s\" %s", row->name, what) - p;
    }

    return IM_E_GROUP_PARAM;
}


static ngx_uint_t
im_group_custom_key(ngx_str_t *key)
{
    u_char  ch;
    size_t  i;

    for (i = 0; i < key->len; i++) {

        ch = key->data[i];

        if (!((ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z')
              || (ch >= '0' && ch <= '9') || ch == '_'))
        {
            return 0;
        }
    }

    return key->len != 0 && key->len <= IM_CUSTOM_KEY_MAX;
}


static im_json_t *
im_group_custom_find(im_json_t *list, ngx_str_t *key)
{
    ngx_str_t   name;
    im_json_t  *item;

    im_json_each(item, list) {
        if (im_json_get_str(item, "Key", &name) == NGX_OK
            && im_str_eq(&name, key))
        {
            return item;
        }
    }

    return NULL;
}


im_code_t
im_group_custom_may(im_ctx_t *ctx, im_group_t *group, im_group_custom_e of,
    im_json_t *list, im_group_role_e role, ngx_uint_t self)
{
    im_code_t              code;
    ngx_str_t              key;
    im_json_t             *item;
    im_app_group_field_t  *field;

    code = IM_OK;

    im_json_each(item, list) {

        if (im_json_get_str(item, "Key", &key) != NGX_OK) {
            return IM_E_GROUP_PARAM;
        }

        field = im_group_custom_field(ctx, group, of, &key);

        if (field == NULL) {
            ngx_str_set(&ctx->info, "a custom field is not declared");
            return IM_E_GROUP_PARAM;
        }

        if (role < field->write && !(self && field->self_write)) {
            ngx_str_set(&ctx->info, "a custom field is not for the caller");
            code = IM_E_GROUP_RIGHT;
        }
    }

    return code;
}


/* Those of members are in stored groups only. */

static im_app_group_field_t *
im_group_custom_field(im_ctx_t *ctx, im_group_t *group, im_group_custom_e of,
    ngx_str_t *key)
{
    ngx_str_t             *type;
    ngx_uint_t             i, k;
    ngx_array_t           *fields;
    im_app_group_field_t  *field;

    fields = (of == IM_CUSTOM_GROUP) ? ctx->app->group_fields
                                     : ctx->app->member_fields;

    if (fields == NULL || (of == IM_CUSTOM_MEMBER && group->type->live)) {
        return NULL;
    }

    field = fields->elts;

    for (i = 0; i < fields->nelts; i++) {

        if (!im_str_eq(&field[i].name, key)) {
            continue;
        }

        if (field[i].types == NULL) {
            return &field[i];
        }

        type = field[i].types->elts;

        for (k = 0; k < field[i].types->nelts; k++) {
            if (im_str_eq(&type[k], &group->type->name)) {
                return &field[i];
            }
        }
    }

    return NULL;
}


ngx_int_t
im_group_custom_put(im_ctx_t *ctx, ngx_str_t *text, im_json_t *list,
    im_json_t **changed)
{
    ngx_int_t   rc;
    ngx_str_t   key, value, old;
    im_json_t  *item, *was, *have, *now;

    *changed = im_json_new_list(ctx->pool);

    if (list == NULL || *changed == NULL) {
        return (*changed == NULL) ? NGX_ERROR : NGX_OK;
    }

    have = NULL;

    if (text->len) {
        rc = im_json_parse(ctx->pool, text, IM_JSON_DEPTH, &have);

        if (rc != NGX_OK) {
            ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                          "custom fields of a group cannot be read");
            return NGX_ERROR;
        }
    }

    now = im_json_new_list(ctx->pool);

    /* old ones keep their places */

    im_json_each(item, have) {
        if (im_json_get_str(item, "Key", &key) == NGX_OK
            && im_json_get_str(item, "Value", &value) == NGX_OK
            && im_group_custom_find(list, &key) == NULL)
        {
            im_group_custom_pair(now, &key, &value);
        }
    }

    im_json_each(item, list) {

        (void) im_json_get_str(item, "Key", &key);
        (void) im_json_get_str(item, "Value", &value);

        was = im_group_custom_find(have, &key);

        ngx_str_set(&old, "");
        (void) im_json_get_str(was, "Value", &old);

        if (!im_str_eq(&old, &value)) {
            im_group_custom_pair(*changed, &key, &value);
        }

        if (value.len) {
            im_group_custom_pair(now, &key, &value);
        }
    }

    if (im_json_failed(*changed)) {
        return NGX_ERROR;
    }

    if (now && now->n == 0) {
        ngx_str_null(text);
        return NGX_OK;
    }

    return im_json_render(ctx->pool, now, text);
}


im_json_t *
im_group_custom_readable(im_ctx_t *ctx, im_group_t *group,
    im_group_custom_e of, im_json_t *list, im_json_t *names,
    im_group_role_e role, ngx_uint_t self)
{
    ngx_str_t              key, value;
    im_json_t             *item, *out;
    im_app_group_field_t  *field;

    out = im_json_new_list(ctx->pool);

    im_json_each(item, list) {

        if (im_json_get_str(item, "Key", &key) != NGX_OK
            || im_json_get_str(item, "Value", &value) != NGX_OK
            || !im_group_custom_named(names, &key))
        {
            continue;
        }

        field = im_group_custom_field(ctx, group, of, &key);

        if (field == NULL
            || (role < field->read && role != IM_GROUP_APP
                && !(self && field->self_read)))
        {
            continue;
        }

        im_group_custom_pair(out, &key, &value);
    }

    return out;
}


static void
im_group_custom_pair(im_json_t *list, ngx_str_t *key, ngx_str_t *value)
{
    im_json_t  *pair;

    pair = im_json_push_obj(list);

    im_json_add_str(pair, "Key", key);
    im_json_add_str(pair, "Value", value);
}


static ngx_uint_t
im_group_custom_named(im_json_t *names, ngx_str_t *key)
{
    im_json_t  *item;

    if (names == NULL || names->type != IM_JSON_LIST) {
        return 1;
    }

    im_json_each(item, names) {
        if (item->type == IM_JSON_STR && im_str_eq(&item->u.text, key)) {
            return 1;
        }
    }

    return 0;
}


void
im_group_custom_json(im_ctx_t *ctx, im_json_t *obj, im_group_t *group,
    im_group_custom_e of, ngx_str_t *text, im_json_t *names,
    im_group_role_e role, ngx_uint_t self)
{
    im_json_t  *list;

    list = NULL;

    if (text->len
        && im_json_parse(ctx->pool, text, IM_JSON_DEPTH, &list) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                      "custom fields of group \"%V\" cannot be read",
                      &group->gid);
        list = NULL;
    }

    (void) im_json_add_node(obj, im_group_custom_rows[of].name,
                            im_group_custom_readable(ctx, group, of, list,
                                                     names, role, self));
}
