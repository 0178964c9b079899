
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_callback.h"
#include "domain/im_elem.h"
#include "domain/im_group_direct.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "domain/im_group_notice.h"
#include "domain/im_group_tip.h"
#include "domain/im_message.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


#define IM_AT_MAX           30
#define IM_NOTICE_ACCOUNTS  500


typedef struct {
    ngx_str_t          gid;
    im_int_t           random;
    ngx_str_t          from;
    ngx_str_t          prio;
    im_json_t         *push;
    im_json_t         *forbid;
    im_int_t           online;
    ngx_str_t          cloud;
    im_json_t         *at;
    im_strs_t          to;
    ngx_str_t          topic;
    im_json_t         *control;
    im_int_t           receipt;
    im_int_t           receipt2;
    im_int_t           ext;
    im_int_t           client_time;
    im_int_t           client_seq;
    im_json_t         *body;
} im_group_msg_req_t;


typedef struct {
    ngx_str_t          gid;
    ngx_str_t          content;
    im_json_t         *to;
} im_group_notice_req_t;


static im_code_t im_cmd_send_group_msg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_send_group_msg_check(im_ctx_t *ctx,
    im_group_msg_req_t *req, im_group_send_t *send);
static im_code_t im_cmd_group_at(im_ctx_t *ctx, im_json_t *list,
    im_group_send_t *send);
static ngx_uint_t im_cmd_group_at_all(im_json_t *list);
static ngx_int_t im_cmd_group_prio(ngx_str_t *word);
static im_code_t im_cmd_send_group_system_notification(im_ctx_t *ctx,
    void *data);
static im_code_t im_cmd_notice_members(im_ctx_t *ctx, im_group_t *group,
    im_json_t *to, ngx_str_t *content);


static im_field_t  im_group_msg_fields[] = {

    im_field_gid(im_group_msg_req_t, gid),

    { ngx_string("Random"), IM_INT, IM_REQUIRED,
      offsetof(im_group_msg_req_t, random), 0, 4294967296, IM_E_GROUP_PARAM,
      0 },

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, from), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MsgPriority"), IM_STR, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, prio), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("OfflinePushInfo"), IM_OBJ, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, push), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("ForbidCallbackControl"), IM_LIST, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, forbid), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("OnlineOnlyFlag"), IM_INT, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, online), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("CloudCustomData"), IM_STR, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, cloud), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("GroupAtInfo"), IM_LIST, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, at), 0, IM_AT_MAX, IM_E_GROUP_PARAM,
      IM_E_GROUP_AT_MANY },

    { ngx_string("To_Account"), IM_STRS, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, to), 0, IM_DIRECT_MAX, IM_E_GROUP_PARAM,
      IM_E_GROUP_MANY },

    { ngx_string("TopicId"), IM_STR, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, topic), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("SendMsgControl"), IM_LIST, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, control), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("NeedReadReceipt"), IM_BOOL, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, receipt), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("IsNeedReadReceipt"), IM_BOOL, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, receipt2), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("SupportMessageExtension"), IM_BOOL, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, ext), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MsgClientTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, client_time), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("ClientSeq"), IM_INT, IM_OPTIONAL,
      offsetof(im_group_msg_req_t, client_seq), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MsgBody"), IM_LIST, IM_REQUIRED,
      offsetof(im_group_msg_req_t, body), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_group_notice_fields[] = {

    im_field_gid(im_group_notice_req_t, gid),

    { ngx_string("Content"), IM_STR, IM_REQUIRED,
      offsetof(im_group_notice_req_t, content), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("ToMembers_Account"), IM_NODE, IM_OPTIONAL,
      offsetof(im_group_notice_req_t, to), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_group_msg[] = {

    { ngx_string("group_open_http_svc"), ngx_string("send_group_msg"),
      im_cmd_send_group_msg, IM_BY_ADMIN|IM_BY_USER,
      im_group_msg_fields, sizeof(im_group_msg_req_t), 0, IM_IN_ORDER },

    { ngx_string("group_open_http_svc"),
      ngx_string("send_group_system_notification"),
      im_cmd_send_group_system_notification, IM_BY_ADMIN|IM_BY_USER,
      im_group_notice_fields, sizeof(im_group_notice_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_send_group_msg(im_ctx_t *ctx, void *data)
{
    im_group_msg_req_t  *req = data;

    im_code_t        code;
    im_group_t       group;
    im_group_send_t  send;

    ngx_memzero(&send, sizeof(im_group_send_t));

    code = im_cmd_send_group_msg_check(ctx, req, &send);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_load(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    if (group.type->live && req->online.value > 0) {
        ngx_str_set(&ctx->info, "\"OnlineOnlyFlag\" is not for live rooms");
        return IM_E_GROUP_PARAM;
    }

    if (group.type->live
        && (send.opts & (IM_MSG_NO_UNREAD|IM_MSG_NO_LAST)))
    {
        ngx_str_set(&ctx->info, "\"SendMsgControl\" is not for live rooms");
        return IM_E_GROUP_PARAM;
    }

    if (group.type->live && im_cmd_group_at_all(send.at_list)) {
        ngx_str_set(&ctx->info, "\"GroupAtAllFlag\" is not for live rooms");
        return IM_E_GROUP_PARAM;
    }

    if ((send.opts & IM_MSG_NO_UNREAD) && !group.type->unread) {
        ngx_str_set(&ctx->info, "\"NoUnread\" is not for groups without "
                                "unread numbers");
        return IM_E_GROUP_PARAM;
    }

    if (group.type->live && req->to.n) {
        ngx_str_set(&ctx->info, "\"To_Account\" is not for live rooms");
        return IM_E_GROUP_PARAM;
    }

    send.to = req->to.elts;
    send.nto = req->to.n;

    code = im_cmd_send_group_msg_from(ctx, &req->from, &send);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_message_send(ctx, &group, &send);
    if (code != IM_OK) {
        return code;
    }

    im_json_add_int(ctx->reply, "MsgTime", send.time);
    im_json_add_int(ctx->reply, "MsgSeq", send.seq);

    if (send.dropped == IM_DROPPED_RATE) {
        im_json_add_cstr(ctx->reply, "MsgDropReason", "MsgFreqCtrl");
    }

    return IM_OK;
}


static im_code_t
im_cmd_send_group_msg_check(im_ctx_t *ctx, im_group_msg_req_t *req,
    im_group_send_t *send)
{
    im_code_t  code;
    ngx_int_t  prio;

    if (req->topic.len) {
        return IM_E_TOPIC_OFF;
    }

    prio = IM_ROOM_NORMAL;

    if (req->prio.data) {
        prio = im_cmd_group_prio(&req->prio);

        if (prio == NGX_ERROR) {
            ngx_str_set(&ctx->info, "\"MsgPriority\" is unknown");
            return IM_E_GROUP_PARAM;
        }
    }

    if (im_elem_push_check(ctx, req->push) != NGX_OK) {
        return IM_E_GROUP_PARAM;
    }

    code = im_elem_check(ctx, req->body,
                         (ctx->role == IM_ROLE_ADMIN) ? &im_elem_group_rest
                                                      : &im_elem_group_client,
                         &req->cloud, &send->body);

    if (code != IM_OK) {

        /* the form of GroupId is looked at before the size */

        if (code == IM_E_SIZE && !im_group_syntax(&req->gid)) {
            ngx_str_null(&ctx->info);
            return IM_E_GROUP_ID;
        }

        return code;
    }

    send->prio = prio;
    send->random = req->random.value;
    send->cloud = req->cloud;
    send->client_time = req->client_time.value;
    send->client_seq = req->client_seq.value;
    send->opts = im_message_control(req->control);

    if (ctx->role != IM_ROLE_ADMIN || ctx->via != IM_VIA_REST) {
        send->opts &= ~IM_MSG_NO_CHECK;
    }

    if (req->online.value > 0) {

        if (send->opts & (IM_MSG_NO_UNREAD|IM_MSG_NO_LAST)) {
            ngx_str_set(&ctx->info, "\"SendMsgControl\" is not for messages "
                                    "that are online only");
            return IM_E_GROUP_PARAM;
        }

        send->opts |= IM_MSG_ONLINE;
    }

    if (req->receipt.value || req->receipt2.value) {
        send->opts |= IM_MSG_RECEIPT;
    }

    if (req->ext.value) {
        send->opts |= IM_MSG_EXT;
    }

    if (ctx->role == IM_ROLE_ADMIN) {
        send->forbid = im_callback_forbid(req->forbid);
    }

    return im_cmd_group_at(ctx, req->at, send);
}


/* Mentions as they are passed on: nothing else of the list. */

static im_code_t
im_cmd_group_at(im_ctx_t *ctx, im_json_t *list, im_group_send_t *send)
{
    int64_t     flag;
    ngx_int_t   rc;
    ngx_str_t   user;
    im_json_t  *node, *item;

    if (list == NULL || list->n == 0) {
        return IM_OK;
    }

    send->at_list = im_json_new_list(ctx->pool);

    im_json_each(node, list) {

        flag = 0;

        rc = im_json_get_int(node, "GroupAtAllFlag", &flag);

        if (rc == NGX_ERROR || flag < 0 || flag > 1) {
            ngx_str_set(&ctx->info, "\"GroupAtAllFlag\" is neither 0 nor 1");
            return IM_E_GROUP_PARAM;
        }

        item = im_json_push_obj(send->at_list);
        im_json_add_int(item, "GroupAtAllFlag", flag);

        if (flag) {
            continue;
        }

        if (im_json_get_str(node, "GroupAt_Account", &user) != NGX_OK
            || !im_account_syntax(ctx->app, &user))
        {
            ngx_str_set(&ctx->info, "\"GroupAt_Account\" is missing or not a "
                                    "legal UserID");
            return IM_E_GROUP_PARAM;
        }

        im_json_add_str(item, "GroupAt_Account", &user);
    }

    return im_json_render(ctx->pool, send->at_list, &send->at) == NGX_OK
           ? IM_OK : IM_E_GROUP_INTERNAL;
}


static ngx_uint_t
im_cmd_group_at_all(im_json_t *list)
{
    int64_t     flag;
    im_json_t  *node;

    im_json_each(node, list) {
        if (im_json_get_int(node, "GroupAtAllFlag", &flag) == NGX_OK && flag) {
            return 1;
        }
    }

    return 0;
}


im_code_t
im_cmd_send_group_msg_from(im_ctx_t *ctx, ngx_str_t *from,
    im_group_send_t *send)
{
    ngx_int_t     rc;
    im_account_t  account;

    send->from = ctx->user;

    if (from->len == 0 || im_str_eq(from, &ctx->user)) {
        return IM_OK;
    }

    if (ctx->role != IM_ROLE_ADMIN) {
        ngx_str_set(&ctx->info, "\"From_Account\" is not the caller");
        return IM_E_GROUP_RIGHT;
    }

    rc = im_account_get(ctx, from, &account);

    if (rc == NGX_DECLINED) {
        return IM_E_GROUP_NO_ACCOUNT;
    }

    send->from = *from;
    send->forged = 1;

    return im_group_code(rc);
}


static ngx_int_t
im_cmd_group_prio(ngx_str_t *word)
{
    ngx_uint_t  i;

    /* those in capitals are of web SDK 1.7 */

    static struct {
        ngx_str_t        name;
        im_room_prio_e   prio;
    } words[] = {
        { ngx_string("High"), IM_ROOM_HIGH },
        { ngx_string("Normal"), IM_ROOM_NORMAL },
        { ngx_string("Low"), IM_ROOM_LOW },
        { ngx_string("Lowest"), IM_ROOM_LOWEST },
        { ngx_string("REDPACKET"), IM_ROOM_HIGH },
        { ngx_string("COMMON"), IM_ROOM_NORMAL },
        { ngx_string("LOVEMSG"), IM_ROOM_LOW },
        { ngx_null_string, 0 }
    };

    for (i = 0; words[i].name.len; i++) {
        if (im_str_eq(&words[i].name, word)) {
            return words[i].prio;
        }
    }

    return NGX_ERROR;
}


static im_code_t
im_cmd_send_group_system_notification(im_ctx_t *ctx, void *data)
{
    im_group_notice_req_t  *req = data;

    im_code_t   code;
    im_json_t  *to;
    im_group_t  group;

    to = req->to;

    if (to && to->type != IM_JSON_LIST && to->type != IM_JSON_STR) {
        ngx_str_set(&ctx->info, "\"ToMembers_Account\" must be a list");
        return IM_E_GROUP_PARAM;
    }

    if (!im_group_syntax(&req->gid)) {
        return IM_E_GROUP_ID;
    }

    if (req->content.len > ctx->app->message_size) {
        return IM_E_SIZE;
    }

    code = im_group_load(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_require(ctx, &group, IM_GROUP_APP);
    if (code != IM_OK) {
        return code;
    }

    if (group.type->live && to
        && (to->type == IM_JSON_STR ? to->u.text.len : to->n))
    {
        ngx_str_set(&ctx->info, "\"ToMembers_Account\" is not for live rooms");
        return IM_E_GROUP_PARAM;
    }

    if (to && (to->type == IM_JSON_STR ? to->u.text.len : to->n)) {
        return im_cmd_notice_members(ctx, &group, to, &req->content);
    }

    return im_group_notice_room(ctx, &group, IM_REPORT_CUSTOM, &req->content);
}


/* Who is no member is skipped. */

static im_code_t
im_cmd_notice_members(im_ctx_t *ctx, im_group_t *group, im_json_t *to,
    ngx_str_t *content)
{
    im_code_t           code;
    im_json_t          *item;
    im_group_role_e     role;
    im_group_notice_t   notice;

    if (to->type == IM_JSON_LIST && to->n > IM_NOTICE_ACCOUNTS) {
        return IM_E_GROUP_MANY;
    }

    ngx_memzero(&notice, sizeof(im_group_notice_t));

    notice.report = IM_REPORT_CUSTOM;
    notice.data = *content;

    for (item = (to->type == IM_JSON_STR) ? to : im_json_first(to);
         item;
         item = (to->type == IM_JSON_STR) ? NULL : item->next)
    {
        if (item->type != IM_JSON_STR) {
            ngx_str_set(&ctx->info, "\"ToMembers_Account\" must have "
                                    "strings");
            return IM_E_GROUP_PARAM;
        }

        code = im_group_role_of(ctx, group, &item->u.text, &role);
        if (code != IM_OK) {
            return code;
        }

        if (role != IM_GROUP_NOBODY) {
            im_group_notice_hint(ctx, group, &item->u.text, &notice, 0);
        }
    }

    return IM_OK;
}
