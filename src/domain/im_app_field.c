
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_app_field.h"
#include "domain/im_cache.h"


#define IM_APP_FIELD_NAME   8
#define IM_APP_FIELD_TRIES  8


/* The row: JSON lists of {"n": name, "t": type, "r": bits, "w": bits}. */

typedef struct {
    ngx_str_t          text[IM_FIELDS_KINDS];
    int64_t            version;
} im_app_field_row_t;


static ngx_int_t im_app_field_load(im_ctx_t *ctx, ngx_uint_t cached,
    im_app_field_row_t *row);
static ngx_array_t *im_app_field_conf(im_ctx_t *ctx, im_fields_e kind);
static ngx_array_t *im_app_field_merge(im_ctx_t *ctx, im_fields_e kind,
    ngx_str_t *text);
static im_app_field_t *im_app_field_find(ngx_array_t *fields,
    ngx_str_t *name);
static ngx_int_t im_app_field_apply(im_ctx_t *ctx, ngx_array_t *fields,
    im_field_change_t *change);
static ngx_int_t im_app_field_text(im_ctx_t *ctx, ngx_array_t *fields,
    ngx_str_t *text);
static void im_app_field_key(im_ctx_t *ctx, im_key_t *key);


static im_record_t  im_app_field_record[] = {
    { ngx_string("profile"), IM_COL_STR,
      offsetof(im_app_field_row_t, text[IM_FIELDS_PROFILE]) },
    { ngx_string("friend"), IM_COL_STR,
      offsetof(im_app_field_row_t, text[IM_FIELDS_FRIEND]) },
      im_null_record
};


ngx_array_t *
im_app_fields(im_ctx_t *ctx, im_fields_e kind)
{
    ngx_uint_t           i;
    ngx_array_t        **fields;
    im_app_field_row_t   row;

    fields = ctx->fields;

    if (fields) {
        return fields[kind];
    }

    fields = ngx_palloc(ctx->pool, IM_FIELDS_KINDS * sizeof(ngx_array_t *));
    if (fields == NULL) {
        return NULL;
    }

    if (im_app_field_load(ctx, 1, &row) != NGX_OK) {
        ngx_memzero(&row, sizeof(im_app_field_row_t));
    }

    for (i = 0; i < IM_FIELDS_KINDS; i++) {
        fields[i] = row.text[i].len ? im_app_field_merge(ctx, i, &row.text[i])
                                    : im_app_field_conf(ctx, i);
    }

    ctx->fields = fields;

    return fields[kind];
}


im_app_field_t *
im_app_field(im_ctx_t *ctx, im_fields_e kind, ngx_str_t *name)
{
    ngx_array_t  *fields;

    fields = im_app_fields(ctx, kind);

    return fields ? im_app_field_find(fields, name) : NULL;
}


ngx_uint_t
im_app_field_name(ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < name->len; i++) {
        if ((u_char) ((name->data[i] | 0x20) - 'a') > 'z' - 'a') {
            return 0;
        }
    }

    return name->len > 0 && name->len <= IM_APP_FIELD_NAME;
}


ngx_int_t
im_app_field_set(im_ctx_t *ctx, im_fields_e kind, im_field_change_t *changes,
    ngx_uint_t n)
{
    im_key_t             key;
    ngx_int_t            rc;
    ngx_uint_t           i, tries;
    im_batch_t          *batch;
    ngx_array_t         *fields;
    im_app_field_row_t   row;

    im_app_field_key(ctx, &key);

    for (tries = 0; tries < IM_APP_FIELD_TRIES; tries++) {

        rc = im_app_field_load(ctx, 0, &row);
        if (rc != NGX_OK) {
            return rc;
        }

        fields = im_app_field_merge(ctx, kind, &row.text[kind]);
        if (fields == NULL) {
            return NGX_ERROR;
        }

        for (i = 0; i < n; i++) {
            rc = im_app_field_apply(ctx, fields, &changes[i]);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        if (im_app_field_text(ctx, fields, &row.text[kind]) != NGX_OK) {
            return NGX_ERROR;
        }

        batch = im_store_batch(ctx, IM_ATOMIC);
        im_store_replace(batch, IM_T_APP, &key, row.version,
                         im_record_doc(ctx->pool, im_app_field_record,
                                       &row));

        rc = im_cache_commit(ctx, batch);

        if (rc != NGX_DECLINED) {
            ctx->fields = NULL;
            return rc;
        }
    }

    return NGX_BUSY;
}


static ngx_int_t
im_app_field_load(im_ctx_t *ctx, ngx_uint_t cached, im_app_field_row_t *row)
{
    im_key_t   key;
    im_row_t   stored;
    ngx_int_t  rc;

    ngx_memzero(row, sizeof(im_app_field_row_t));

    im_app_field_key(ctx, &key);

    rc = cached ? im_cache_get(ctx, IM_T_APP, &key, &stored)
                : im_store_get(ctx, IM_T_APP, &key, &stored);

    if (rc == NGX_OK) {
        im_record_load(&stored, im_app_field_record, row);
        row->version = stored.version;
    }

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_array_t *
im_app_field_conf(im_ctx_t *ctx, im_fields_e kind)
{
    return (kind == IM_FIELDS_PROFILE) ? ctx->app->profile_fields
                                       : ctx->app->friend_fields;
}


/* A new array.  A field of the configuration keeps its type, and has the
 * rights that were given last. */

static ngx_array_t *
im_app_field_merge(im_ctx_t *ctx, im_fields_e kind, ngx_str_t *text)
{
    char            *name;
    int64_t          num;
    ngx_str_t        str;
    im_json_t       *list, *item;
    ngx_array_t     *conf, *fields;
    im_app_field_t  *field;

    list = NULL;

    if (text->len
        && im_json_parse(ctx->pool, text, IM_JSON_DEPTH, &list) != NGX_OK)
    {
        return NULL;
    }

    fields = ngx_array_create(ctx->pool, IM_APP_FIELDS,
                              sizeof(im_app_field_t));
    if (fields == NULL) {
        return NULL;
    }

    conf = im_app_field_conf(ctx, kind);

    if (conf) {
        field = ngx_array_push_n(fields, conf->nelts);
        if (field == NULL) {
            return NULL;
        }

        ngx_memcpy(field, conf->elts, conf->nelts * sizeof(im_app_field_t));
    }

    im_json_each(item, list) {

        if (im_json_get_str(item, "n", &str) != NGX_OK) {
            continue;
        }

        field = im_app_field_find(fields, &str);

        if (field == NULL) {
            name = im_str_c(ctx->pool, &str);
            field = ngx_array_push(fields);

            if (name == NULL || field == NULL) {
                return NULL;
            }

            field->name.data = (u_char *) name;
            field->name.len = str.len;

            num = IM_FIELD_STR;
            (void) im_json_get_int(item, "t", &num);
            field->type = num;
        }

        num = IM_FIELD_USER|IM_FIELD_ADMIN;
        (void) im_json_get_int(item, "r", &num);
        field->read = num;

        num = IM_FIELD_USER|IM_FIELD_ADMIN;
        (void) im_json_get_int(item, "w", &num);
        field->write = num;
    }

    return fields;
}


static im_app_field_t *
im_app_field_find(ngx_array_t *fields, ngx_str_t *name)
{
    ngx_uint_t       i;
    im_app_field_t  *field;

    field = fields->elts;

    for (i = 0; i < fields->nelts; i++) {
        if (im_str_eq(&field[i].name, name)) {
            return &field[i];
        }
    }

    return NULL;
}


static ngx_int_t
im_app_field_apply(im_ctx_t *ctx, ngx_array_t *fields,
    im_field_change_t *change)
{
    im_app_field_t  *field;

    field = im_app_field_find(fields, &change->name);

    if (field == NULL) {

        if (fields->nelts >= IM_APP_FIELDS) {
            ngx_str_set(&ctx->info, "there would be more than 20 fields");
            return NGX_DECLINED;
        }

        field = ngx_array_push(fields);
        if (field == NULL) {
            return NGX_ERROR;
        }

        field->name = change->name;
        field->type = (change->type < 0) ? IM_FIELD_STR : change->type;
        field->read = IM_FIELD_USER|IM_FIELD_ADMIN;
        field->write = IM_FIELD_USER|IM_FIELD_ADMIN;
    }

    if (change->type >= 0 && (ngx_uint_t) change->type != field->type) {
        ngx_str_set(&ctx->info, "the type of a field cannot be changed");
        return NGX_DECLINED;
    }

    if (change->read) {
        field->read = change->read;
    }

    if (change->write) {
        field->write = change->write;
    }

    return NGX_OK;
}


static ngx_int_t
im_app_field_text(im_ctx_t *ctx, ngx_array_t *fields, ngx_str_t *text)
{
    im_json_t       *list, *item;
    ngx_uint_t       i;
    im_app_field_t  *field;

    list = im_json_new_list(ctx->pool);
    field = fields->elts;

    for (i = 0; i < fields->nelts; i++) {
        item = im_json_push_obj(list);

        im_json_add_str(item, "n", &field[i].name);
        im_json_add_int(item, "t", field[i].type);
        im_json_add_int(item, "r", field[i].read);
        im_json_add_int(item, "w", field[i].write);
    }

    return im_json_render(ctx->pool, list, text);
}


static void
im_app_field_key(im_ctx_t *ctx, im_key_t *key)
{
    static ngx_str_t  name = ngx_string("fields");

    im_key_init(key, ctx->app->id);
    im_key_str(key, &name);
}
