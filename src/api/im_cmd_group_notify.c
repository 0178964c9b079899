
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_row.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


#define IM_NOTIFY_LIMIT   20
#define IM_NOTIFY_MAX     100
#define IM_NOTIFY_GROUPS  50
#define IM_NOTIFY_SLACK   2000000    /* microseconds */


typedef struct {
    ngx_str_t          gid;
    im_int_t           begin;
    im_int_t           end;
    im_int_t           limit;
} im_notify_req_t;


typedef struct {
    im_json_t         *list;
} im_batch_notify_req_t;


static im_code_t im_cmd_get_group_notify(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_batch_get_group_notify(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_group_notify_one(im_ctx_t *ctx, im_notify_req_t *req,
    im_json_t *reply);


static im_field_t  im_notify_fields[] = {

    im_field_gid(im_notify_req_t, gid),

    { ngx_string("BeginTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_notify_req_t, begin), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("EndTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_notify_req_t, end), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Limit"), IM_INT, IM_OPTIONAL,
      offsetof(im_notify_req_t, limit), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_batch_notify_fields[] = {

    { ngx_string("NotifyReqList"), IM_LIST, IM_REQUIRED,
      offsetof(im_batch_notify_req_t, list), 1, IM_NOTIFY_GROUPS,
      IM_E_GROUP_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_group_notify[] = {

    { ngx_string("group_open_http_svc"), ngx_string("get_group_notify"),
      im_cmd_get_group_notify, IM_BY_USER,
      im_notify_fields, sizeof(im_notify_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"),
      ngx_string("batch_get_group_notify"),
      im_cmd_batch_get_group_notify, IM_BY_USER,
      im_batch_notify_fields, sizeof(im_batch_notify_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_get_group_notify(im_ctx_t *ctx, void *data)
{
    return im_cmd_group_notify_one(ctx, data, ctx->reply);
}


/* A group that cannot be asked about has its code. */

static im_code_t
im_cmd_batch_get_group_notify(im_ctx_t *ctx, void *data)
{
    im_batch_notify_req_t  *req = data;

    im_code_t         code;
    im_json_t        *node, *list, *item;
    im_notify_req_t   one;

    list = im_json_add_list(ctx->reply, "NotifyRspList");

    im_json_each(node, req->list) {

        ngx_memzero(&one, sizeof(im_notify_req_t));

        code = im_schema_fill(ctx->pool, node, im_notify_fields, &one,
                              &ctx->info);

        if (code == NGX_ERROR) {
            return IM_E_GROUP_INTERNAL;
        }

        if (code != IM_OK) {
            return code;
        }

        item = im_json_push_obj(list);
        im_json_add_str(item, "GroupId", &one.gid);

        code = im_cmd_group_notify_one(ctx, &one, item);

        if (code == IM_E_GROUP_INTERNAL) {
            return code;
        }

        if (code != IM_OK) {
            im_json_add_int(item, "NextMsgTime", 0);
            im_json_add_list(item, "NotifyMsgList");
        }

        im_json_add_int(item, "ErrorCode", code);
        ngx_str_null(&ctx->info);
    }

    return IM_OK;
}


static im_code_t
im_cmd_group_notify_one(im_ctx_t *ctx, im_notify_req_t *req, im_json_t *reply)
{
    int64_t          next;
    ngx_int_t        rc;
    im_code_t        code;
    im_json_t       *list, *item;
    ngx_uint_t       i, n, limit;
    im_group_t       group;
    ngx_array_t      rows;
    im_group_row_t  *row;

    code = im_cmd_group_stored(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    limit = IM_NOTIFY_LIMIT;

    if (req->limit.value > 0) {
        limit = ngx_min(req->limit.value, IM_NOTIFY_MAX);
    }

    if (ngx_array_init(&rows, ctx->pool, 16, sizeof(im_group_row_t))
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    rc = im_group_rows_changed(ctx, group.gno, IM_GROUP_MSG_RECALL,
                               req->begin.value, IM_ASC, limit + 1, &rows);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    list = im_json_new_list(ctx->pool);
    row = rows.elts;
    next = 0;
    n = 0;

    for (i = 0; i < rows.nelts; i++) {

        /* the clock of a client may be behind by the second that it knows */

        if (req->end.value > 0
            && row[i].recalled > req->end.value + IM_NOTIFY_SLACK)
        {
            break;
        }

        if (n == limit) {
            next = row[i].recalled;
            break;
        }

        n++;

        item = im_json_push_obj(list);
        im_json_add_int(item, "MsgSeq", row[i].seq);
        im_json_add_int(item, "MsgRandom", row[i].random);
        im_json_add_str(im_json_add_obj(item, "RevokerInfo"),
                        "Revoker_Account", &row[i].revoker);
    }

    im_json_add_int(reply, "NextMsgTime", next);
    im_json_add_node(reply, "NotifyMsgList", list);

    return IM_OK;
}
