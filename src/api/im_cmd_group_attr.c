
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_group_attr.h"
#include "domain/im_group_member.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


typedef struct {
    ngx_str_t          gid;
    im_json_t         *attr;
    im_int_t           main_seq;
    im_json_t         *control;
} im_group_attr_req_t;


typedef struct {
    ngx_str_t          gid;
    im_json_t         *counter;
    ngx_str_t          mode;
    im_json_t         *keys;
} im_group_counter_req_t;


static im_code_t im_cmd_set_group_attr(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_modify_group_attr(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_delete_group_attr(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_clear_group_attr(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_group_attr_change(im_ctx_t *ctx,
    im_group_attr_req_t *req, im_attr_op_e op);
static im_code_t im_cmd_get_group_attr(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_update_group_counter(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_delete_group_counter(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_group_counter(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_attr_group(im_ctx_t *ctx, ngx_str_t *gid,
    im_group_role_e least, im_group_t *group);
static im_code_t im_cmd_counter_group(im_ctx_t *ctx, ngx_str_t *gid,
    im_group_role_e least, im_group_t *group);


static im_field_t  im_group_attr_fields[] = {

    im_field_gid(im_group_attr_req_t, gid),

    { ngx_string("GroupAttr"), IM_LIST, IM_OPTIONAL,
      offsetof(im_group_attr_req_t, attr), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("AttrMainSeq"), IM_INT, IM_OPTIONAL,
      offsetof(im_group_attr_req_t, main_seq), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("AttrControl"), IM_LIST, IM_OPTIONAL,
      offsetof(im_group_attr_req_t, control), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_group_counter_fields[] = {

    im_field_gid(im_group_counter_req_t, gid),

    { ngx_string("GroupCounter"), IM_LIST, IM_OPTIONAL,
      offsetof(im_group_counter_req_t, counter), 0, 20,
      IM_E_GROUP_PARAM, IM_E_COUNTER_MANY },

    { ngx_string("Mode"), IM_STR, IM_OPTIONAL,
      offsetof(im_group_counter_req_t, mode), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("GroupCounterKeys"), IM_LIST, IM_OPTIONAL,
      offsetof(im_group_counter_req_t, keys), 0, 20,
      IM_E_GROUP_PARAM, IM_E_COUNTER_MANY },

      im_null_field
};


im_command_t  im_cmd_group_attr[] = {

    { ngx_string("group_open_http_svc"), ngx_string("set_group_attr"),
      im_cmd_set_group_attr, IM_BY_ADMIN|IM_BY_USER,
      im_group_attr_fields, sizeof(im_group_attr_req_t), 0, IM_ONCE },

    { ngx_string("group_open_http_svc"), ngx_string("modify_group_attr"),
      im_cmd_modify_group_attr, IM_BY_ADMIN|IM_BY_USER,
      im_group_attr_fields, sizeof(im_group_attr_req_t), 0, IM_ONCE },

    { ngx_string("group_open_http_svc"), ngx_string("delete_group_attr"),
      im_cmd_delete_group_attr, IM_BY_ADMIN|IM_BY_USER,
      im_group_attr_fields, sizeof(im_group_attr_req_t), 0, IM_ONCE },

    { ngx_string("group_open_http_svc"), ngx_string("clear_group_attr"),
      im_cmd_clear_group_attr, IM_BY_ADMIN|IM_BY_USER,
      im_group_attr_fields, sizeof(im_group_attr_req_t), 0, IM_ONCE },

    { ngx_string("group_open_attr_http_svc"), ngx_string("get_group_attr"),
      im_cmd_get_group_attr, IM_BY_ADMIN|IM_BY_USER,
      im_group_id_fields, sizeof(im_group_id_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("update_group_counter"),
      im_cmd_update_group_counter, IM_BY_ADMIN|IM_BY_USER,
      im_group_counter_fields, sizeof(im_group_counter_req_t), 0, IM_ONCE },

    { ngx_string("group_open_http_svc"), ngx_string("delete_group_counter"),
      im_cmd_delete_group_counter, IM_BY_ADMIN|IM_BY_USER,
      im_group_counter_fields, sizeof(im_group_counter_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("get_group_counter"),
      im_cmd_get_group_counter, IM_BY_ADMIN|IM_BY_USER,
      im_group_counter_fields, sizeof(im_group_counter_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_set_group_attr(im_ctx_t *ctx, void *data)
{
    return im_cmd_group_attr_change(ctx, data, IM_ATTR_INIT);
}


static im_code_t
im_cmd_modify_group_attr(im_ctx_t *ctx, void *data)
{
    return im_cmd_group_attr_change(ctx, data, IM_ATTR_SET);
}


static im_code_t
im_cmd_delete_group_attr(im_ctx_t *ctx, void *data)
{
    im_group_attr_req_t  *req = data;

    /* web SDK 2.x deletes all so */

    return im_cmd_group_attr_change(ctx, req,
                                    (req->attr && req->attr->n)
                                    ? IM_ATTR_DELETE : IM_ATTR_CLEAR);
}


static im_code_t
im_cmd_clear_group_attr(im_ctx_t *ctx, void *data)
{
    return im_cmd_group_attr_change(ctx, data, IM_ATTR_CLEAR);
}


static im_code_t
im_cmd_group_attr_change(im_ctx_t *ctx, im_group_attr_req_t *req,
    im_attr_op_e op)
{
    im_code_t    code;
    im_json_t   *item;
    im_group_t   group;
    ngx_uint_t   race;

    if (req->attr == NULL && op != IM_ATTR_CLEAR) {
        ngx_str_set(&ctx->info, "\"GroupAttr\" is missing");
        return IM_E_GROUP_PARAM;
    }

    code = im_cmd_attr_group(ctx, &req->gid, IM_GROUP_ADMIN, &group);
    if (code != IM_OK) {
        return code;
    }

    race = 0;

    im_json_each(item, req->control) {
        if (item->type == IM_JSON_STR
            && im_str_eq_c(&item->u.text, "RaceConflict"))
        {
            race = 1;
        }
    }

    return im_group_attr_change(ctx, &group, op, req->attr, race,
                                req->main_seq.value);
}


static im_code_t
im_cmd_get_group_attr(im_ctx_t *ctx, void *data)
{
    im_group_id_req_t  *req = data;

    im_code_t   code;
    im_group_t  group;

    code = im_cmd_attr_group(ctx, &req->gid, IM_GROUP_MEMBER, &group);
    if (code != IM_OK) {
        return code;
    }

    return im_group_attr_get(ctx, &group, ctx->reply);
}


static im_code_t
im_cmd_update_group_counter(im_ctx_t *ctx, void *data)
{
    im_group_counter_req_t  *req = data;

    im_code_t        code;
    im_group_t       group;
    im_counter_op_e  op;

    op = IM_COUNTER_SET;

    if (req->mode.data) {

        if (im_str_eq_c(&req->mode, "Increase")) {
            op = IM_COUNTER_INCREASE;

        } else if (im_str_eq_c(&req->mode, "Decrease")) {
            op = IM_COUNTER_DECREASE;

        } else if (!im_str_eq_c(&req->mode, "Set")) {
            ngx_str_set(&ctx->info, "\"Mode\" is unknown");
            return IM_E_GROUP_PARAM;
        }
    }

    if (req->counter == NULL) {
        ngx_str_set(&ctx->info, "\"GroupCounter\" is missing");
        return IM_E_GROUP_PARAM;
    }

    code = im_cmd_counter_group(ctx, &req->gid, IM_GROUP_MEMBER, &group);
    if (code != IM_OK) {
        return code;
    }

    return im_group_counter_change(ctx, &group, op, req->counter);
}


static im_code_t
im_cmd_delete_group_counter(im_ctx_t *ctx, void *data)
{
    im_group_counter_req_t  *req = data;

    im_code_t   code;
    im_group_t  group;

    code = im_cmd_counter_group(ctx, &req->gid, IM_GROUP_ADMIN, &group);
    if (code != IM_OK) {
        return code;
    }

    return im_group_counter_change(ctx, &group, IM_COUNTER_DELETE, req->keys);
}


static im_code_t
im_cmd_get_group_counter(im_ctx_t *ctx, void *data)
{
    im_group_counter_req_t  *req = data;

    im_code_t   code;
    im_group_t  group;

    code = im_cmd_counter_group(ctx, &req->gid, IM_GROUP_MEMBER, &group);
    if (code != IM_OK) {
        return code;
    }

    return im_group_counter_get(ctx, &group, req->keys, ctx->reply);
}


static im_code_t
im_cmd_attr_group(im_ctx_t *ctx, ngx_str_t *gid, im_group_role_e least,
    im_group_t *group)
{
    im_code_t  code;

    code = im_group_load(ctx, gid, group);

    return (code == IM_OK) ? im_group_require(ctx, group, least) : code;
}


/* A group of which nobody is a member but the audience has no counters. */

static im_code_t
im_cmd_counter_group(im_ctx_t *ctx, ngx_str_t *gid, im_group_role_e least,
    im_group_t *group)
{
    im_code_t  code;

    code = im_cmd_attr_group(ctx, gid, least, group);

    if (code == IM_OK && group->type->live && group->type->listed == 0) {
        return IM_E_GROUP_RIGHT;
    }

    return code;
}
