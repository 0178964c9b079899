
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_edit.h"
#include "domain/im_group_read.h"
#include "domain/im_message.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


#define IM_RECEIPT_ITEMS  30
#define IM_RECEIPT_PAGE   200


typedef struct {
    ngx_str_t          gid;
    im_int_t           seq;
} im_group_seq_req_t;


typedef struct {
    ngx_str_t          gid;
    im_json_t         *list;
} im_receipt_list_req_t;


typedef struct {
    ngx_str_t          gid;
    im_int_t           seq;
    im_int_t           flag;
    im_int_t           filter;
    ngx_str_t          cursor;
    im_int_t           num;
    im_int_t           count;
} im_receipt_req_t;


static im_code_t im_cmd_msg_read_report(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_group_msg_receipt(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_group_msg_receipt(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_group_msg_receipt_detail(im_ctx_t *ctx,
    void *data);


static im_field_t  im_read_report_fields[] = {

    im_field_gid(im_group_seq_req_t, gid),

    { ngx_string("MsgReadedSeq"), IM_INT, IM_REQUIRED,
      offsetof(im_group_seq_req_t, seq), 0, NGX_MAX_INT_T_VALUE,
      IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_receipt_list_fields[] = {

    im_field_gid(im_receipt_list_req_t, gid),

    { ngx_string("MsgSeqList"), IM_LIST, IM_REQUIRED,
      offsetof(im_receipt_list_req_t, list), 1, IM_RECEIPT_ITEMS,
      IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_receipt_detail_fields[] = {

    im_field_gid(im_receipt_req_t, gid),

    { ngx_string("MsgSeq"), IM_INT, IM_REQUIRED,
      offsetof(im_receipt_req_t, seq), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Flag"), IM_INT, IM_OPTIONAL,
      offsetof(im_receipt_req_t, flag), 0, 1, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Filter"), IM_INT, IM_OPTIONAL,
      offsetof(im_receipt_req_t, filter), 0, 1, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Cursor"), IM_STR, IM_OPTIONAL,
      offsetof(im_receipt_req_t, cursor), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Num"), IM_INT, IM_OPTIONAL,
      offsetof(im_receipt_req_t, num), 1, IM_RECEIPT_PAGE, IM_E_GROUP_PARAM,
      0 },

    { ngx_string("Count"), IM_INT, IM_OPTIONAL,
      offsetof(im_receipt_req_t, count), 1, IM_RECEIPT_PAGE,
      IM_E_GROUP_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_group_receipt[] = {

    { ngx_string("group_open_http_svc"), ngx_string("msg_read_report"),
      im_cmd_msg_read_report, IM_BY_USER,
      im_read_report_fields, sizeof(im_group_seq_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("group_msg_receipt"),
      im_cmd_group_msg_receipt, IM_BY_USER,
      im_receipt_list_fields, sizeof(im_receipt_list_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("get_group_msg_receipt"),
      im_cmd_get_group_msg_receipt, IM_BY_ADMIN|IM_BY_USER,
      im_receipt_list_fields, sizeof(im_receipt_list_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"),
      ngx_string("get_group_msg_receipt_detail"),
      im_cmd_get_group_msg_receipt_detail, IM_BY_ADMIN|IM_BY_USER,
      im_receipt_detail_fields, sizeof(im_receipt_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_msg_read_report(im_ctx_t *ctx, void *data)
{
    im_group_seq_req_t  *req = data;

    im_code_t        code;
    im_group_t       group;
    im_group_role_e  role;

    code = im_group_load(ctx, &req->gid, &group);

    if (code != IM_OK || group.type->live) {
        return code;
    }

    code = im_group_role_of(ctx, &group, &ctx->user, &role);

    if (code != IM_OK || role == IM_GROUP_NOBODY) {
        return (code == IM_OK) ? IM_E_GROUP_RIGHT : code;
    }

    return im_group_read_report(ctx, &group, req->seq.value);
}


static im_code_t
im_cmd_group_msg_receipt(im_ctx_t *ctx, void *data)
{
    im_receipt_list_req_t  *req = data;

    int64_t      seq;
    im_code_t    code;
    im_json_t   *node;
    im_group_t   group;

    code = im_cmd_group_stored(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    im_json_each(node, req->list) {

        if (im_json_get_int(node, "MsgSeq", &seq) != NGX_OK) {
            continue;
        }

        code = im_group_receipt(ctx, &group, seq);
        if (code != IM_OK) {
            return code;
        }
    }

    return IM_OK;
}


static im_code_t
im_cmd_get_group_msg_receipt(im_ctx_t *ctx, void *data)
{
    im_receipt_list_req_t  *req = data;

    int64_t          seq, read, unread;
    ngx_int_t        rc;
    im_code_t        code;
    im_json_t       *node, *list, *item;
    im_group_t       group;
    im_group_row_t   row;

    code = im_cmd_group_stored(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    list = im_json_new_list(ctx->pool);

    im_json_each(node, req->list) {

        if (im_json_get_int(node, "MsgSeq", &seq) != NGX_OK) {
            ngx_str_set(&ctx->info, "\"MsgSeq\" must be an integer");
            return IM_E_GROUP_PARAM;
        }

        item = im_json_push_obj(list);
        im_json_add_int(item, "MsgSeq", seq);

        rc = im_group_row_get(ctx, group.gno, seq, &row);

        if (rc == NGX_DECLINED
            || (rc == NGX_OK && !(row.opts & IM_MSG_RECEIPT))
            || (rc == NGX_OK && !im_cmd_group_sees(ctx, &row)))
        {
            im_json_add_int(item, "Code", IM_E_GROUP_NO_RECEIPT);
            im_json_add_int(item, "ReadNum", 0);
            im_json_add_int(item, "UnreadNum", 0);
            continue;
        }

        if (rc == NGX_OK) {
            rc = im_group_receipts(ctx, &group, &row, &read, &unread);
        }

        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        im_json_add_int(item, "Code", 0);
        im_json_add_int(item, "ReadNum", read);
        im_json_add_int(item, "UnreadNum", unread);
    }

    im_json_add_node(ctx->reply, "GroupMsgReceiptList", list);

    return IM_OK;
}


static im_code_t
im_cmd_get_group_msg_receipt_detail(im_ctx_t *ctx, void *data)
{
    im_receipt_req_t  *req = data;

    ngx_int_t        rc;
    im_code_t        code;
    ngx_str_t       *user, cursor;
    im_json_t       *list, *item;
    ngx_uint_t       i, limit, more, unread;
    im_group_t       group;
    ngx_array_t      users;
    im_group_row_t   row;

    code = im_cmd_group_stored(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    rc = im_group_row_get(ctx, group.gno, req->seq.value, &row);

    if (rc == NGX_DECLINED
        || (rc == NGX_OK && !(row.opts & IM_MSG_RECEIPT))
        || (rc == NGX_OK && !im_cmd_group_sees(ctx, &row)))
    {
        return IM_E_GROUP_NO_RECEIPT;
    }

    if (rc != NGX_OK
        || ngx_array_init(&users, ctx->pool, 16, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    unread = req->flag.set ? req->flag.value : req->filter.value;

    limit = IM_RECEIPT_PAGE;

    if (req->num.set) {
        limit = req->num.value;

    } else if (req->count.set) {
        limit = req->count.value;
    }

    if (req->cursor.data == NULL) {
        ngx_str_set(&req->cursor, "");
    }

    rc = unread ? im_group_unreaders(ctx, &group, &row, &req->cursor, limit,
                                     &users, &more)
                : im_group_readers(ctx, &group, row.seq, &req->cursor, limit,
                                   &users, &more);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    user = users.elts;
    ngx_str_set(&cursor, "");

    if (more && users.nelts) {
        cursor = user[users.nelts - 1];
    }

    im_json_add_int(ctx->reply, "MsgSeq", row.seq);
    im_json_add_str(ctx->reply, "Cursor", &cursor);
    im_json_add_int(ctx->reply, "IsFinish", !more);
    im_json_add_int(ctx->reply, "IsFinished", !more);

    list = im_json_add_list(ctx->reply, unread ? "UnreadList" : "ReadList");

    for (i = 0; i < users.nelts; i++) {
        item = im_json_push_obj(list);
        im_json_add_str(item, unread ? "Unread_Account" : "Read_Account",
                        &user[i]);
    }

    return IM_OK;
}
