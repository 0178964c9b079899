
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_callback.h"


/*
 * What has changed in a group, but for its members and base fields.
 */


static im_json_t *im_callback_change_body(im_ctx_t *ctx, im_callback_e event,
    im_group_t *group);


void
im_callback_group_member(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    ngx_str_t *role, ngx_str_t *card)
{
    im_json_t  *body;

    if ((role == NULL && card == NULL)
        || !im_callback_wants(ctx->app, IM_CB_GROUP_MEMBER))
    {
        return;
    }

    body = im_callback_change_body(ctx, IM_CB_GROUP_MEMBER, group);

    im_json_add_str(body, "Operator_Account", &ctx->user);
    im_json_add_str(body, "Member_Account", user);

    if (role) {
        im_json_add_str(body, "Role", role);
    }

    if (card) {
        im_json_add_str(body, "NameCard", card);
    }

    im_callback_tell(ctx, IM_CB_GROUP_MEMBER, body, &group->gid);
}


void
im_callback_group_attr(im_ctx_t *ctx, im_group_t *group, const char *option,
    im_json_t *list)
{
    ngx_str_t   text;
    im_json_t  *body, *attr, *item, *given;

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_ATTR)) {
        return;
    }

    body = im_callback_change_body(ctx, IM_CB_GROUP_ATTR, group);

    im_json_add_str(body, "Operator_Account", &ctx->user);
    im_json_add_cstr(body, "OptionType", option);

    attr = im_json_add_list(body, "GroupAttr");

    im_json_each(given, list) {

        if (im_json_get_str(given, "key", &text) != NGX_OK) {
            continue;
        }

        item = im_json_push_obj(attr);
        im_json_add_str(item, "key", &text);

        if (im_json_get_str(given, "value", &text) == NGX_OK) {
            im_json_add_str(item, "value", &text);
        }
    }

    im_callback_tell(ctx, IM_CB_GROUP_ATTR, body, &group->gid);
}


void
im_callback_group_receipt(im_ctx_t *ctx, im_group_t *group, int64_t seq,
    int64_t read, int64_t unread)
{
    im_json_t  *body, *item, *list;

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_RECEIPT)) {
        return;
    }

    body = im_callback_change_body(ctx, IM_CB_GROUP_RECEIPT, group);

    item = im_json_push_obj(im_json_add_list(body, "GroupMsgReceiptList"));
    im_json_add_int(item, "MsgSeq", seq);
    im_json_add_int(item, "ReadNum", read);
    im_json_add_int(item, "UnreadNum", unread);

    list = im_json_add_list(item, "ReadReceiptMembers");
    im_json_add_str(im_json_push_obj(list), "Member_Account", &ctx->user);

    im_callback_tell(ctx, IM_CB_GROUP_RECEIPT, body, &group->gid);
}


void
im_callback_group_silent(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    ngx_uint_t online)
{
    im_json_t  *body, *list;

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_SILENT)) {
        return;
    }

    body = im_callback_body(ctx, IM_CB_GROUP_SILENT);

    im_json_add_str(body, "GroupId", &group->gid);
    im_json_add_cstr(body, "EventType", online ? "Online" : "Offline");

    list = im_json_add_list(body, "MemberList");
    im_json_add_str(im_json_push_obj(list), "Member_Account", user);

    im_callback_tell(ctx, IM_CB_GROUP_SILENT, body, &group->gid);
}


static im_json_t *
im_callback_change_body(im_ctx_t *ctx, im_callback_e event,
    im_group_t *group)
{
    im_json_t  *body;

    body = im_callback_body(ctx, event);

    im_json_add_str(body, "GroupId", &group->gid);
    im_json_add_str(body, "Type", &group->type->name);

    return body;
}
