
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_app_field.h"
#include "api/im_cmd.h"


/* Not commands of the specification: administrators declare custom fields of
 * profiles and friends while the server runs. */

#define IM_CUSTOM_FIELD_PROFILE  "Tag_Profile_Custom_"
#define IM_CUSTOM_FIELD_FRIEND   "Tag_SNS_Custom_"


typedef struct {
    im_json_t         *list;
} im_custom_field_req_t;


static im_code_t im_cmd_profile_field_set(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_profile_field_get(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_friend_field_set(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_friend_field_get(im_ctx_t *ctx, void *data);
static ngx_int_t im_custom_field_set(im_ctx_t *ctx, im_fields_e kind,
    im_json_t *list);
static ngx_int_t im_custom_field(im_ctx_t *ctx, im_fields_e kind,
    im_json_t *node, im_field_change_t *change);
static ngx_int_t im_custom_field_rights(im_json_t *node, const char *name,
    ngx_uint_t *rights);
static void im_custom_field_get(im_ctx_t *ctx, im_fields_e kind);
static void im_custom_field_add_rights(im_json_t *item, const char *name,
    ngx_uint_t rights);


static im_field_t  im_profile_field_fields[] = {

    { ngx_string("FieldList"), IM_LIST, IM_REQUIRED,
      offsetof(im_custom_field_req_t, list), 1, IM_APP_FIELDS,
      IM_E_PROFILE_PARAM, 0 },

      im_null_field
};


static im_field_t  im_friend_field_fields[] = {

    { ngx_string("FieldList"), IM_LIST, IM_REQUIRED,
      offsetof(im_custom_field_req_t, list), 1, IM_APP_FIELDS,
      IM_E_SNS_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_custom_field[] = {

    { ngx_string("profile"), ngx_string("custom_field_set"),
      im_cmd_profile_field_set, IM_BY_ADMIN, im_profile_field_fields,
      sizeof(im_custom_field_req_t), 0, 0 },

    { ngx_string("profile"), ngx_string("custom_field_get"),
      im_cmd_profile_field_get, IM_BY_ADMIN, NULL, 0, 0, 0 },

    { ngx_string("sns"), ngx_string("custom_field_set"),
      im_cmd_friend_field_set, IM_BY_ADMIN, im_friend_field_fields,
      sizeof(im_custom_field_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("custom_field_get"),
      im_cmd_friend_field_get, IM_BY_ADMIN, NULL, 0, 0, 0 },

      im_null_command
};


static ngx_str_t  im_custom_field_prefix[] = {
    ngx_string(IM_CUSTOM_FIELD_PROFILE),
    ngx_string(IM_CUSTOM_FIELD_FRIEND)
};


static im_code_t
im_cmd_profile_field_set(im_ctx_t *ctx, void *data)
{
    im_custom_field_req_t  *req = data;

    ngx_int_t  rc;

    rc = im_custom_field_set(ctx, IM_FIELDS_PROFILE, req->list);

    return (rc == NGX_OK) ? IM_OK
           : (rc == NGX_DECLINED) ? IM_E_PROFILE_PARAM
                                  : IM_E_PROFILE_INTERNAL;
}


static im_code_t
im_cmd_profile_field_get(im_ctx_t *ctx, void *data)
{
    im_custom_field_get(ctx, IM_FIELDS_PROFILE);

    return IM_OK;
}


static im_code_t
im_cmd_friend_field_set(im_ctx_t *ctx, void *data)
{
    im_custom_field_req_t  *req = data;

    ngx_int_t  rc;

    rc = im_custom_field_set(ctx, IM_FIELDS_FRIEND, req->list);

    return (rc == NGX_OK) ? IM_OK
           : (rc == NGX_DECLINED) ? IM_E_SNS_PARAM
           : (rc == NGX_BUSY) ? IM_E_SNS_TIMEOUT : IM_E_SNS_INTERNAL;
}


static im_code_t
im_cmd_friend_field_get(im_ctx_t *ctx, void *data)
{
    im_custom_field_get(ctx, IM_FIELDS_FRIEND);

    return IM_OK;
}


static ngx_int_t
im_custom_field_set(im_ctx_t *ctx, im_fields_e kind, im_json_t *list)
{
    ngx_int_t           rc;
    im_json_t          *node;
    ngx_uint_t          n;
    im_field_change_t  *changes;

    changes = ngx_pcalloc(ctx->pool, list->n * sizeof(im_field_change_t));
    if (changes == NULL) {
        return NGX_ERROR;
    }

    n = 0;

    im_json_each(node, list) {

        rc = im_custom_field(ctx, kind, node, &changes[n++]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return im_app_field_set(ctx, kind, changes, n);
}


static ngx_int_t
im_custom_field(im_ctx_t *ctx, im_fields_e kind, im_json_t *node,
    im_field_change_t *change)
{
    char       *name;
    ngx_int_t   rc;
    ngx_str_t   tag, type, *prefix;

    prefix = &im_custom_field_prefix[kind];

    if (im_json_get_str(node, "Tag", &tag) != NGX_OK
        || tag.len <= prefix->len
        || ngx_memcmp(tag.data, prefix->data, prefix->len) != 0)
    {
        ngx_str_set(&ctx->info, "\"Tag\" is not that of a custom field");
        return NGX_DECLINED;
    }

    change->name.data = tag.data + prefix->len;
    change->name.len = tag.len - prefix->len;

    if (!im_app_field_name(&change->name)) {
        ngx_str_set(&ctx->info, "the name of a field has 1 to 8 letters");
        return NGX_DECLINED;
    }

    name = im_str_c(ctx->pool, &change->name);
    if (name == NULL) {
        return NGX_ERROR;
    }

    change->name.data = (u_char *) name;
    change->type = -1;

    rc = im_json_get_str(node, "Type", &type);

    if (rc == NGX_OK) {

        if (im_str_eq_c(&type, "String") || im_str_eq_c(&type, "Bytes")) {
            change->type = IM_FIELD_STR;

        } else if (im_str_eq_c(&type, "Integer")) {
            change->type = IM_FIELD_INT;

        } else {
            rc = NGX_ERROR;
        }
    }

    if (rc == NGX_ERROR) {
        ngx_str_set(&ctx->info, "\"Type\" is none of \"String\", "
                                "\"Bytes\", \"Integer\"");
        return NGX_DECLINED;
    }

    if (im_custom_field_rights(node, "Read", &change->read) != NGX_OK
        || im_custom_field_rights(node, "Write", &change->write) != NGX_OK)
    {
        ngx_str_set(&ctx->info, "\"Read\" and \"Write\" are arrays of "
                                "\"User\" and \"Admin\", not empty");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
im_custom_field_rights(im_json_t *node, const char *name, ngx_uint_t *rights)
{
    ngx_int_t   rc;
    im_json_t  *list, *item;

    rc = im_json_get_list(node, name, &list);

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    if (rc != NGX_OK || list->n == 0) {
        return NGX_ERROR;
    }

    im_json_each(item, list) {

        if (item->type != IM_JSON_STR) {
            return NGX_ERROR;
        }

        if (im_str_eq_c(&item->u.text, "User")) {
            *rights |= IM_FIELD_USER;

        } else if (im_str_eq_c(&item->u.text, "Admin")) {
            *rights |= IM_FIELD_ADMIN;

        } else {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
im_custom_field_get(im_ctx_t *ctx, im_fields_e kind)
{
    u_char          *p;
    ngx_str_t        tag, *prefix;
    im_json_t       *list, *item;
    ngx_uint_t       i;
    ngx_array_t     *fields;
    im_app_field_t  *field;

    list = im_json_add_list(ctx->reply, "FieldList");
    prefix = &im_custom_field_prefix[kind];
    fields = im_app_fields(ctx, kind);

    if (fields == NULL) {
        return;
    }

    field = fields->elts;

    for (i = 0; i < fields->nelts; i++) {

        p = ngx_pnalloc(ctx->pool, prefix->len + field[i].name.len);
        if (p == NULL) {
            return;
        }

        tag.data = p;
        tag.len = ngx_sprintf(p, "%V%V", prefix, &field[i].name) - p;

        item = im_json_push_obj(list);

        im_json_add_str(item, "Tag", &tag);
        im_json_add_cstr(item, "Type", (field[i].type == IM_FIELD_INT)
                                       ? "Integer" : "String");
        im_custom_field_add_rights(item, "Read", field[i].read);
        im_custom_field_add_rights(item, "Write", field[i].write);
    }
}


static void
im_custom_field_add_rights(im_json_t *item, const char *name,
    ngx_uint_t rights)
{
    im_json_t  *list;

    list = im_json_add_list(item, name);

    if (rights & IM_FIELD_USER) {
        im_json_push_cstr(list, "User");
    }

    if (rights & IM_FIELD_ADMIN) {
        im_json_push_cstr(list, "Admin");
    }
}
