
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_elem.h"
#include "domain/im_group_edit.h"
#include "domain/im_group_join.h"
#include "domain/im_group_message.h"
#include "domain/im_group_message_import.h"
#include "domain/im_group_read.h"
#include "domain/im_word.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


#define IM_IMPORT_MESSAGES  20
#define IM_UNREAD_MAX       4294967295


typedef struct {
    ngx_str_t          gid;
    im_json_t         *list;
} im_import_req_t;


typedef struct {
    ngx_str_t          gid;
    ngx_str_t          user;
    im_int_t           n;
} im_unread_req_t;


static im_code_t im_cmd_import_group_msg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_import_group_member(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_set_unread_msg_num(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_delete_group_msg_by_sender(im_ctx_t *ctx,
    void *data);
static im_code_t im_cmd_import_load(im_ctx_t *ctx, ngx_str_t *gid,
    im_group_t *group);


static im_field_t  im_import_msg_fields[] = {

    im_field_gid(im_import_req_t, gid),

    { ngx_string("MsgList"), IM_LIST, IM_REQUIRED,
      offsetof(im_import_req_t, list), 1, IM_IMPORT_MESSAGES,
      IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_import_member_fields[] = {

    im_field_gid(im_import_req_t, gid),

    im_field_members(im_import_req_t, list),

      im_null_field
};


static im_field_t  im_unread_fields[] = {

    im_field_gid(im_unread_req_t, gid),

    { ngx_string("Member_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_unread_req_t, user), 1, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("UnreadMsgNum"), IM_INT, IM_REQUIRED,
      offsetof(im_unread_req_t, n), 0, IM_UNREAD_MAX, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_by_sender_fields[] = {

    im_field_gid(im_unread_req_t, gid),

    { ngx_string("Sender_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_unread_req_t, user), 1, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_group_import[] = {

    { ngx_string("group_open_http_svc"), ngx_string("import_group_msg"),
      im_cmd_import_group_msg, IM_BY_ADMIN,
      im_import_msg_fields, sizeof(im_import_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("import_group_member"),
      im_cmd_import_group_member, IM_BY_ADMIN,
      im_import_member_fields, sizeof(im_import_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("set_unread_msg_num"),
      im_cmd_set_unread_msg_num, IM_BY_ADMIN,
      im_unread_fields, sizeof(im_unread_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"),
      ngx_string("delete_group_msg_by_sender"),
      im_cmd_delete_group_msg_by_sender, IM_BY_ADMIN,
      im_by_sender_fields, sizeof(im_unread_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_import_load(im_ctx_t *ctx, ngx_str_t *gid, im_group_t *group)
{
    im_code_t  code;

    code = im_group_load(ctx, gid, group);

    return (code == IM_OK && group->type->live) ? IM_E_GROUP_RIGHT : code;
}


/* One commit for all; a message that cannot be imported has its Result. */

static im_code_t
im_cmd_import_group_msg(im_ctx_t *ctx, void *data)
{
    im_import_req_t  *req = data;

    int64_t           num;
    ngx_int_t         rc;
    im_code_t         code;
    ngx_str_t         cloud;
    im_json_t        *node, *list, *item;
    im_group_t        group;
    ngx_uint_t        n;
    im_group_row_t   *rows;
    im_code_t        *codes;

    rows = ngx_pcalloc(ctx->pool, req->list->n * sizeof(im_group_row_t));
    codes = ngx_pcalloc(ctx->pool, req->list->n * sizeof(im_code_t));

    if (rows == NULL || codes == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    code = im_cmd_import_load(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    ngx_str_set(&cloud, "");
    n = 0;

    im_json_each(node, req->list) {

        if (im_json_get_str(node, "From_Account", &rows[n].from) != NGX_OK
            || im_json_get_int(node, "SendTime", &rows[n].time) != NGX_OK)
        {
            ngx_str_set(&ctx->info, "\"From_Account\" or \"SendTime\" of a "
                                    "message is missing");
            return IM_E_GROUP_PARAM;
        }

        if (!im_account_syntax(ctx->app, &rows[n].from)) {
            ngx_str_set(&ctx->info, "\"From_Account\" is not a legal UserID");
            return IM_E_GROUP_PARAM;
        }

        rc = im_json_get_int(node, "Random", &num);

        if (rc == NGX_ERROR
            || (rc == NGX_OK && num != (uint32_t) num))
        {
            ngx_str_set(&ctx->info, "\"Random\" must be an integer of 32 bits");
            return IM_E_GROUP_PARAM;
        }

        rows[n].random = (rc == NGX_OK) ? num : 0;

        code = im_elem_check(ctx, im_json_get(node, "MsgBody"),
                             &im_elem_group_rest, &cloud, &rows[n].body);

        if (code == IM_E_SIZE) {
            codes[n] = IM_E_SIZE;
            ngx_str_null(&ctx->info);

        } else if (code != IM_OK) {
            return code;

        } else if (im_word_dirty_message(ctx, &rows[n].body)) {
            codes[n] = IM_E_DIRTY;
        }

        n++;
    }

    code = im_group_message_import(ctx, &group, rows, codes, n);
    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(ctx->reply, "ImportMsgResult");

    for (num = 0; num < (int64_t) n; num++) {
        item = im_json_push_obj(list);
        im_json_add_int(item, "Result", codes[num]);
        im_json_add_int(item, "MsgSeq", rows[num].seq);
        im_json_add_int(item, "MsgTime", rows[num].time);
    }

    return IM_OK;
}


static im_code_t
im_cmd_import_group_member(im_ctx_t *ctx, void *data)
{
    im_import_req_t  *req = data;

    ngx_int_t         rc;
    im_code_t         code;
    ngx_str_t         role;
    im_json_t        *node, *list, *item;
    im_group_t        group;
    ngx_uint_t        i, n, *bad;
    im_group_new_t   *fresh;

    fresh = ngx_pcalloc(ctx->pool, (req->list->n + 1)
                                   * sizeof(im_group_new_t));
    bad = ngx_pcalloc(ctx->pool, (req->list->n + 1) * sizeof(ngx_uint_t));

    if (fresh == NULL || bad == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    code = im_cmd_import_load(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    n = 0;

    im_json_each(node, req->list) {

        if (im_json_get_str(node, "Member_Account", &fresh[n].user)
            != NGX_OK)
        {
            ngx_str_set(&ctx->info, "\"Member_Account\" must be a string");
            return IM_E_GROUP_PARAM;
        }

        fresh[n].role = IM_GROUP_MEMBER;

        rc = im_json_get_str(node, "Role", &role);

        if (rc == NGX_ERROR
            || (rc == NGX_OK && (!group.type->has_admins
                                 || !im_str_eq_c(&role, "Admin"))))
        {
            ngx_str_set(&ctx->info, "\"Role\" is not possible here");
            return IM_E_GROUP_PARAM;
        }

        if (rc == NGX_OK) {
            fresh[n].role = IM_GROUP_ADMIN;
        }

        rc = im_json_get_int(node, "UnreadMsgNum", &fresh[n].unread);

        if (rc == NGX_ERROR || fresh[n].unread < 0) {
            ngx_str_set(&ctx->info, "\"UnreadMsgNum\" must be a number");
            return IM_E_GROUP_PARAM;
        }

        rc = im_json_get_int(node, "JoinTime", &fresh[n].joined);

        if (rc == NGX_ERROR) {
            ngx_str_set(&ctx->info, "\"JoinTime\" must be an integer");
            return IM_E_GROUP_PARAM;
        }

        if (rc == NGX_OK
            && (fresh[n].joined <= group.created
                || fresh[n].joined >= ngx_time()))
        {
            bad[n] = 1;
        }

        n++;
    }

    if (n) {
        code = im_group_join_check(ctx, &group, fresh, n);

        if (code == IM_E_GROUP_JOINED_QUOTA) {
            code = IM_OK;
        }

        for (i = 0; i < n; i++) {
            if (bad[i]) {
                fresh[i].result = IM_JOIN_FAILED;
            }
        }

        if (code == IM_OK) {
            code = im_group_join(ctx, &group, fresh, n, IM_JOIN_IMPORTED, 1,
                                 NULL, NULL);
        }

        if (code != IM_OK) {
            return code;
        }
    }

    list = im_json_add_list(ctx->reply, "MemberList");

    for (i = 0; i < n; i++) {
        item = im_json_push_obj(list);
        im_json_add_str(item, "Member_Account", &fresh[i].user);
        im_json_add_int(item, "Result",
                        (fresh[i].result == IM_JOIN_OVER) ? IM_JOIN_FAILED
                                                          : fresh[i].result);
    }

    return IM_OK;
}


/* Types without unread numbers take it without effect. */

static im_code_t
im_cmd_set_unread_msg_num(im_ctx_t *ctx, void *data)
{
    im_unread_req_t  *req = data;

    im_code_t        code;
    im_group_t       group;
    im_group_role_e  role;

    code = im_group_load(ctx, &req->gid, &group);

    if (code != IM_OK || !group.type->unread) {
        return code;
    }

    code = im_group_role_of(ctx, &group, &req->user, &role);
    if (code != IM_OK) {
        return code;
    }

    if (role == IM_GROUP_NOBODY) {
        ngx_str_set(&ctx->info, "not a member");
        return IM_E_GROUP_RIGHT;
    }

    return im_group_unread_set(ctx, &group, &req->user, req->n.value);
}


static im_code_t
im_cmd_delete_group_msg_by_sender(im_ctx_t *ctx, void *data)
{
    im_unread_req_t  *req = data;

    im_code_t   code;
    im_group_t  group;

    code = im_group_load(ctx, &req->gid, &group);

    if (code != IM_OK || group.type->live) {
        return code;
    }

    return im_group_delete_sender(ctx, &group, &req->user);
}
