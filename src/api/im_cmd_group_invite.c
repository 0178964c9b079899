
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_group_pend.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


#define IM_HANDLE_MSG_MAX  300


typedef struct {
    ngx_str_t          gid;
    ngx_str_t          inviter;
    ngx_str_t          invited;
    ngx_str_t          msg;
    ngx_str_t          reply;
    ngx_str_t          auth;
    im_int_t           key;
    ngx_str_t          data;
} im_invite_req_t;


static im_code_t im_cmd_handle_invite(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_handle_invite_permission(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_invite_decide(im_ctx_t *ctx, im_group_t *group,
    im_invite_req_t *req, im_group_pend_kind_e kind, ngx_str_t *invited);


#define im_invite_common_fields                                               \
                                                                              \
    { ngx_string("GroupId"), IM_STR, IM_REQUIRED,                             \
      offsetof(im_invite_req_t, gid), 0, 0, IM_E_GROUP_PARAM, 0 },            \
                                                                              \
    { ngx_string("HandleMsg"), IM_STR, IM_REQUIRED,                           \
      offsetof(im_invite_req_t, msg), 0, 0, IM_E_GROUP_PARAM, 0 },            \
                                                                              \
    { ngx_string("ApprovalMsg"), IM_STR, IM_NO_NUL,                           \
      offsetof(im_invite_req_t, reply), 0, IM_HANDLE_MSG_MAX,                 \
      IM_E_GROUP_PARAM, 0 },                                                  \
                                                                              \
    { ngx_string("Authentication"), IM_STR, IM_REQUIRED,                      \
      offsetof(im_invite_req_t, auth), 0, 0, IM_E_GROUP_PARAM, 0 },           \
                                                                              \
    { ngx_string("UserDefinedField"), IM_STR, IM_NO_NUL,                      \
      offsetof(im_invite_req_t, data), 0, 0, IM_E_GROUP_PARAM, 0 }


static im_field_t  im_invite_fields[] = {

    im_invite_common_fields,

    { ngx_string("Inviter_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_invite_req_t, inviter), 1, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MsgKey"), IM_INT, IM_REQUIRED|IM_NUMERIC_STR,
      offsetof(im_invite_req_t, key), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_permission_fields[] = {

    im_invite_common_fields,

    { ngx_string("Applicant_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_invite_req_t, inviter), 1, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Invited_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_invite_req_t, invited), 1, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_group_invite[] = {

    { ngx_string("group_open_http_svc"),
      ngx_string("handle_invite_join_group"),
      im_cmd_handle_invite, IM_BY_USER,
      im_invite_fields, sizeof(im_invite_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"),
      ngx_string("handle_invite_join_permission_group"),
      im_cmd_handle_invite_permission, IM_BY_USER,
      im_permission_fields, sizeof(im_invite_req_t), 0, 0 },

      im_null_command
};


/* The caller is the one who was invited. */

static im_code_t
im_cmd_handle_invite(im_ctx_t *ctx, void *data)
{
    im_invite_req_t  *req = data;

    im_code_t   code;
    im_group_t  group;

    code = im_group_load(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    return im_cmd_invite_decide(ctx, &group, req, IM_PEND_INVITE, &ctx->user);
}


static im_code_t
im_cmd_handle_invite_permission(im_ctx_t *ctx, void *data)
{
    im_invite_req_t  *req = data;

    im_code_t        code;
    im_group_t       group;
    im_group_role_e  role;

    code = im_group_load(ctx, &req->gid, &group);

    if (code == IM_OK) {
        code = im_group_role(ctx, &group, &role);
    }

    if (code != IM_OK) {
        return code;
    }

    if (role < IM_GROUP_ADMIN) {
        return IM_E_GROUP_RIGHT;
    }

    return im_cmd_invite_decide(ctx, &group, req, IM_PEND_PERMIT,
                                &req->invited);
}


static im_code_t
im_cmd_invite_decide(im_ctx_t *ctx, im_group_t *group, im_invite_req_t *req,
    im_group_pend_kind_e kind, ngx_str_t *invited)
{
    ngx_uint_t        agree;
    im_group_pend_t   pend;

    agree = im_str_eq_c(&req->msg, "Agree");

    if (!agree && !im_str_eq_c(&req->msg, "Reject")) {
        ngx_str_set(&ctx->info, "\"HandleMsg\" is neither \"Agree\" nor "
                                "\"Reject\"");
        return IM_E_GROUP_PARAM;
    }

    ngx_memzero(&pend, sizeof(im_group_pend_t));

    pend.kind = kind;
    pend.from = req->inviter;
    pend.to = *invited;
    pend.auth = req->auth;
    pend.time = req->key.value;
    pend.reply = req->reply;
    pend.reply_data = req->data;

    return im_group_pend_handle(ctx, group, &pend, agree);
}
