
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_ext.h"
#include "domain/im_group_member.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


typedef struct {
    ngx_str_t          from;
    ngx_str_t          to;
    ngx_str_t          key;
    im_int_t           op;
    im_json_t         *items;
    im_int_t           start;

    ngx_str_t          gid;          /* of a group's message */
    im_int_t           seq;
} im_ext_req_t;


typedef struct {
    ngx_str_t          key;
    ngx_str_t          value;
    im_int_t           seq;
} im_ext_item_t;


static im_code_t im_cmd_set_key_values(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_key_values(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_ext_message(im_ctx_t *ctx, im_ext_req_t *req,
    im_message_t *msg);
static im_code_t im_cmd_ext_items(im_ctx_t *ctx, im_json_t *list,
    im_ext_change_t *change);
static void im_cmd_ext_json(im_json_t *item, im_ext_t *ext);


static im_field_t  im_set_ext_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_ext_req_t, from), 1, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("To_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_ext_req_t, to), 1, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MsgKey"), IM_STR, IM_REQUIRED,
      offsetof(im_ext_req_t, key), 1, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("OperateType"), IM_INT, IM_REQUIRED,
      offsetof(im_ext_req_t, op), IM_EXT_SET, IM_EXT_CLEAR,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("ExtensionList"), IM_LIST, IM_OPTIONAL,
      offsetof(im_ext_req_t, items), 0, IM_EXT_ITEMS, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_get_ext_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_ext_req_t, from), 1, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("To_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_ext_req_t, to), 1, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MsgKey"), IM_STR, IM_REQUIRED,
      offsetof(im_ext_req_t, key), 1, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("StartSeq"), IM_INT, IM_OPTIONAL,
      offsetof(im_ext_req_t, start), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("startSeq"), IM_INT, IM_OPTIONAL,
      offsetof(im_ext_req_t, start), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_set_group_ext_fields[] = {

    im_field_gid(im_ext_req_t, gid),

    { ngx_string("MsgSeq"), IM_INT, IM_REQUIRED,
      offsetof(im_ext_req_t, seq), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("OperateType"), IM_INT, IM_REQUIRED,
      offsetof(im_ext_req_t, op), IM_EXT_SET, IM_EXT_CLEAR,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("ExtensionList"), IM_LIST, IM_OPTIONAL,
      offsetof(im_ext_req_t, items), 0, IM_EXT_ITEMS, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_get_group_ext_fields[] = {

    im_field_gid(im_ext_req_t, gid),

    { ngx_string("MsgSeq"), IM_INT, IM_REQUIRED,
      offsetof(im_ext_req_t, seq), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("StartSeq"), IM_INT, IM_OPTIONAL,
      offsetof(im_ext_req_t, start), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("startSeq"), IM_INT, IM_OPTIONAL,
      offsetof(im_ext_req_t, start), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_ext_item_fields[] = {

    { ngx_string("Key"), IM_STR, IM_REQUIRED|IM_NO_NUL,
      offsetof(im_ext_item_t, key), 1, IM_EXT_KEY, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Value"), IM_STR, IM_OPTIONAL|IM_NO_NUL,
      offsetof(im_ext_item_t, value), 0, IM_EXT_VALUE, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Seq"), IM_INT, IM_OPTIONAL,
      offsetof(im_ext_item_t, seq), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_msg_ext[] = {

    { ngx_string("openim_msg_ext_http_svc"), ngx_string("set_key_values"),
      im_cmd_set_key_values, IM_BY_ADMIN|IM_BY_USER,
      im_set_ext_fields, sizeof(im_ext_req_t), 0, 0 },

    { ngx_string("openim_msg_ext_http_svc"), ngx_string("get_key_values"),
      im_cmd_get_key_values, IM_BY_ADMIN|IM_BY_USER,
      im_get_ext_fields, sizeof(im_ext_req_t), 0, 0 },

    { ngx_string("openim_msg_ext_http_svc"),
      ngx_string("group_set_key_values"),
      im_cmd_set_key_values, IM_BY_ADMIN|IM_BY_USER,
      im_set_group_ext_fields, sizeof(im_ext_req_t), 0, 0 },

    { ngx_string("openim_msg_ext_http_svc"),
      ngx_string("group_get_key_values"),
      im_cmd_get_key_values, IM_BY_ADMIN|IM_BY_USER,
      im_get_group_ext_fields, sizeof(im_ext_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_set_key_values(im_ctx_t *ctx, void *data)
{
    im_ext_req_t  *req = data;

    im_code_t         code;
    im_json_t        *list, *item;
    ngx_uint_t        i;
    im_message_t      msg;
    im_ext_change_t   change;

    ngx_memzero(&change, sizeof(im_ext_change_t));

    change.op = req->op.value;
    change.check = (ctx->role != IM_ROLE_ADMIN);

    if (change.op != IM_EXT_CLEAR) {
        code = im_cmd_ext_items(ctx, req->items, &change);
        if (code != IM_OK) {
            return code;
        }
    }

    code = im_cmd_ext_message(ctx, req, &msg);

    if (code == IM_OK) {
        code = im_ext_change(ctx, &msg, &change);
    }

    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(ctx->reply, "ExtensionList");

    for (i = 0; i < change.n; i++) {
        item = im_json_push_obj(list);

        im_json_add_int(item, "ErrorCode", change.pairs[i].code);
        im_cmd_ext_json(im_json_add_obj(item, "Extension"),
                        &change.pairs[i]);
    }

    im_json_add_int(ctx->reply, "Seq", change.seq);

    return IM_OK;
}


static im_code_t
im_cmd_get_key_values(im_ctx_t *ctx, void *data)
{
    im_ext_req_t  *req = data;

    im_code_t       code;
    im_json_t      *list;
    ngx_uint_t      i;
    im_message_t    msg;
    im_ext_page_t   page;

    code = im_cmd_ext_message(ctx, req, &msg);
    if (code != IM_OK) {
        return code;
    }

    page.start = req->start.value;

    code = im_ext_read(ctx, &msg, &page);
    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(ctx->reply, "ExtensionList");

    for (i = 0; i < page.n; i++) {
        im_cmd_ext_json(im_json_push_obj(list), &page.pairs[i]);
    }

    im_json_add_int(ctx->reply, "CompleteFlag", page.complete);
    im_json_add_int(ctx->reply, "LatestSeq", page.seq);
    im_json_add_int(ctx->reply, "ClearSeq", page.clear);

    return IM_OK;
}


/* A user names the message's sender and receiver, and is one of them. */

static im_code_t
im_cmd_ext_message(im_ctx_t *ctx, im_ext_req_t *req, im_message_t *msg)
{
    im_code_t      code;
    ngx_str_t     *from;
    im_group_t     group;
    im_msg_key_t   key;

    if (req->gid.data) {

        code = im_group_load(ctx, &req->gid, &group);

        if (code == IM_OK) {
            code = group.type->live
                   ? IM_E_GROUP_RIGHT
                   : im_group_require(ctx, &group, IM_GROUP_MEMBER);
        }

        return (code == IM_OK) ? im_ext_find_group(ctx, &group,
                                                   req->seq.value, msg)
                               : code;
    }

    if (im_message_key_parse(&req->key, &key) != NGX_OK) {
        ngx_str_set(&ctx->info, "\"MsgKey\" is malformed");
        return IM_E_GROUP_PARAM;
    }

    from = req->from.data ? &req->from : &ctx->user;

    if (ctx->role != IM_ROLE_ADMIN
        && !im_str_eq(from, &ctx->user)
        && !im_str_eq(&req->to, &ctx->user))
    {
        return IM_E_EXT_NO_MSG;
    }

    return im_ext_find(ctx, from, &req->to, &key, msg);
}


static im_code_t
im_cmd_ext_items(im_ctx_t *ctx, im_json_t *list, im_ext_change_t *change)
{
    im_code_t       code;
    im_json_t      *item;
    im_ext_t       *ext;
    im_ext_item_t   e;

    if (list == NULL || list->n == 0) {
        ngx_str_set(&ctx->info, "\"ExtensionList\" is missing");
        return IM_E_GROUP_PARAM;
    }

    change->pairs = ngx_pcalloc(ctx->pool, list->n * sizeof(im_ext_t));
    if (change->pairs == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    im_json_each(item, list) {

        ngx_memzero(&e, sizeof(im_ext_item_t));

        code = im_schema_fill(ctx->pool, item, im_ext_item_fields, &e,
                              &ctx->info);

        if (code != IM_OK) {
            return code == NGX_ERROR ? IM_E_GROUP_INTERNAL : code;
        }

        ext = &change->pairs[change->n++];

        ext->key = e.key;
        ext->value = e.value;
        ext->seq = e.seq.value;
    }

    return IM_OK;
}


static void
im_cmd_ext_json(im_json_t *item, im_ext_t *ext)
{
    im_json_add_str(item, "Key", &ext->key);
    im_json_add_str(item, "Value", &ext->value);
    im_json_add_int(item, "Seq", ext->seq);
}
