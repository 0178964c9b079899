
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_group_custom.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "domain/im_group_mute.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


#define IM_MUTE_ACCOUNTS    500
#define IM_BAN_ACCOUNTS     20
#define IM_BAN_PAGE         100
#define IM_LIST_LIMIT       10000


typedef struct {
    ngx_str_t          gid;
    im_json_t         *filter;
    im_json_t         *custom;
    im_json_t         *roles;
    im_int_t           limit;
    im_int_t           offset;
} im_member_info_req_t;


typedef struct {
    ngx_str_t          gid;
    im_strs_t          users;
    im_int_t           shut_up;
    im_int_t           mute;
} im_forbid_req_t;


typedef struct {
    ngx_str_t          gid;
    im_strs_t          users;
    im_int_t           duration;
    ngx_str_t          why;
} im_ban_req_t;


typedef struct {
    ngx_str_t          gid;
    im_int_t           limit;
    im_int_t           offset;
} im_ban_list_req_t;


static im_code_t im_cmd_get_group_member_info(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_forbid_send_msg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_group_shutted_uin(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_group_muted_account(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_muted(im_ctx_t *ctx, ngx_str_t *gid, const char *list,
    const char *until);
static im_code_t im_cmd_ban_group_member(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_unban_group_member(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_ban(im_ctx_t *ctx, im_ban_req_t *req,
    int64_t seconds);
static im_code_t im_cmd_get_group_ban_member(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_ban_group(im_ctx_t *ctx, ngx_str_t *gid,
    im_group_t *group);
static im_code_t im_cmd_group_above(im_ctx_t *ctx, im_group_t *group,
    im_strs_t *users);
static im_code_t im_cmd_group_accounts(im_ctx_t *ctx, im_group_t *group,
    im_strs_t *users);


static im_field_t  im_member_info_fields[] = {

    im_field_gid(im_member_info_req_t, gid),

    { ngx_string("MemberInfoFilter"), IM_LIST, IM_OPTIONAL,
      offsetof(im_member_info_req_t, filter), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("AppDefinedDataFilter_GroupMember"), IM_LIST, IM_OPTIONAL,
      offsetof(im_member_info_req_t, custom), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MemberRoleFilter"), IM_LIST, IM_OPTIONAL,
      offsetof(im_member_info_req_t, roles), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Limit"), IM_INT, IM_OPTIONAL,
      offsetof(im_member_info_req_t, limit), 0, IM_LIST_LIMIT,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("Offset"), IM_INT, IM_OPTIONAL,
      offsetof(im_member_info_req_t, offset), 0, NGX_MAX_INT32_VALUE,
      IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_forbid_fields[] = {

    im_field_gid(im_forbid_req_t, gid),

    { ngx_string("Members_Account"), IM_STRS, IM_REQUIRED,
      offsetof(im_forbid_req_t, users), 0, IM_MUTE_ACCOUNTS,
      IM_E_GROUP_PARAM, IM_E_GROUP_MANY },

    { ngx_string("ShutUpTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_forbid_req_t, shut_up), 0, 4294967295, IM_E_GROUP_PARAM,
      0 },

    { ngx_string("MuteTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_forbid_req_t, mute), 0, 4294967295, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_ban_fields[] = {

    im_field_gid(im_ban_req_t, gid),

    { ngx_string("Members_Account"), IM_STRS, IM_REQUIRED,
      offsetof(im_ban_req_t, users), 0, IM_BAN_ACCOUNTS,
      IM_E_GROUP_PARAM, IM_E_GROUP_MANY },

    { ngx_string("Duration"), IM_INT, IM_REQUIRED,
      offsetof(im_ban_req_t, duration), 1, 4294967295, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Description"), IM_STR, IM_OPTIONAL,
      offsetof(im_ban_req_t, why), 0, 1000, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_unban_fields[] = {

    im_field_gid(im_ban_req_t, gid),

    { ngx_string("Members_Account"), IM_STRS, IM_REQUIRED,
      offsetof(im_ban_req_t, users), 0, IM_BAN_ACCOUNTS,
      IM_E_GROUP_PARAM, IM_E_GROUP_MANY },

      im_null_field
};


static im_field_t  im_ban_list_fields[] = {

    im_field_gid(im_ban_list_req_t, gid),

    { ngx_string("Limit"), IM_INT, IM_OPTIONAL,
      offsetof(im_ban_list_req_t, limit), 1, IM_BAN_PAGE, IM_E_GROUP_PARAM,
      0 },

    { ngx_string("Offset"), IM_INT, IM_REQUIRED,
      offsetof(im_ban_list_req_t, offset), 0, NGX_MAX_INT32_VALUE,
      IM_E_GROUP_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_group_member[] = {

    { ngx_string("group_open_http_svc"), ngx_string("get_group_member_info"),
      im_cmd_get_group_member_info, IM_BY_ADMIN|IM_BY_USER,
      im_member_info_fields, sizeof(im_member_info_req_t), 0,
      IM_BOUNDED },

    { ngx_string("group_open_http_svc"), ngx_string("forbid_send_msg"),
      im_cmd_forbid_send_msg, IM_BY_ADMIN|IM_BY_USER,
      im_forbid_fields, sizeof(im_forbid_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("get_group_shutted_uin"),
      im_cmd_get_group_shutted_uin, IM_BY_ADMIN|IM_BY_USER,
      im_group_id_fields, sizeof(im_group_id_req_t), 0, IM_BOUNDED },

    { ngx_string("group_open_http_svc"),
      ngx_string("get_group_muted_account"),
      im_cmd_get_group_muted_account, IM_BY_ADMIN|IM_BY_USER,
      im_group_id_fields, sizeof(im_group_id_req_t), 0, IM_BOUNDED },

    { ngx_string("group_open_http_svc"), ngx_string("ban_group_member"),
      im_cmd_ban_group_member, IM_BY_ADMIN|IM_BY_USER,
      im_ban_fields, sizeof(im_ban_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("unban_group_member"),
      im_cmd_unban_group_member, IM_BY_ADMIN|IM_BY_USER,
      im_unban_fields, sizeof(im_ban_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("get_group_ban_member"),
      im_cmd_get_group_ban_member, IM_BY_ADMIN|IM_BY_USER,
      im_ban_list_fields, sizeof(im_ban_list_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_get_group_member_info(im_ctx_t *ctx, void *data)
{
    im_member_info_req_t  *req = data;

    im_code_t            code;
    im_group_t           group;
    im_member_filter_t   filter;

    code = im_group_load(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    if (group.type->live && group.type->listed == 0) {
        return IM_E_GROUP_RIGHT;
    }

    code = im_group_require(ctx, &group, IM_GROUP_MEMBER);
    if (code != IM_OK) {
        return code;
    }

    im_json_add_int(ctx->reply, "MemberNum",
                    im_group_member_count(ctx, &group));

    filter.names = req->filter;
    filter.custom = req->custom;

    return im_cmd_member_list(ctx, ctx->reply, &group, &filter,
                              req->roles, req->offset.value,
                              req->limit.value ? req->limit.value
                                               : IM_LIST_LIMIT);
}


im_code_t
im_cmd_member_list(im_ctx_t *ctx, im_json_t *obj, im_group_t *group,
    im_member_filter_t *filter, im_json_t *roles, ngx_uint_t offset,
    ngx_uint_t limit)
{
    im_code_t           code;
    im_json_t          *list, *item;
    ngx_str_t          *role;
    ngx_uint_t          i, n;
    ngx_array_t         members;
    im_group_role_e     caller;
    im_group_member_t  *m;

    if (ngx_array_init(&members, ctx->pool, 16, sizeof(im_group_member_t))
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    code = im_group_role(ctx, group, &caller);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_member_list(ctx, group,
                                roles ? NGX_MAX_UINT32_VALUE : offset + limit,
                                &members);
    if (code != IM_OK) {
        return code;
    }

    m = members.elts;
    n = 0;

    for (i = 0; i < members.nelts && n < limit; i++) {

        role = im_group_role_word(m[i].role);

        if (!im_cmd_named(roles, (const char *) role->data)) {
            continue;
        }

        if (offset) {
            offset--;
            continue;
        }

        m[n++] = m[i];
    }

    code = im_group_member_fill(ctx, group, m, n);
    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(obj, "MemberList");

    for (i = 0; i < n; i++) {
        item = im_json_push_obj(list);

        im_json_add_str(item, "Member_Account", &m[i].user);
        im_cmd_member_json(item, group, &m[i], filter->names);
        im_cmd_member_custom(ctx, item, group, &m[i], filter, caller);
    }

    return IM_OK;
}


void
im_cmd_member_json(im_json_t *item, im_group_t *group, im_group_member_t *m,
    im_json_t *names)
{
    if (im_cmd_named(names, "Role")) {
        im_json_add_str(item, "Role", im_group_role_word(m->role));
    }

    if (im_cmd_named(names, "JoinTime")) {
        im_json_add_int(item, "JoinTime", m->joined);
    }

    if (im_cmd_named(names, "MsgSeq")) {
        im_json_add_int(item, "MsgSeq", m->read);
    }

    if (im_cmd_named(names, "MsgFlag")) {
        im_json_add_str(item, "MsgFlag", im_group_msg_flag_word(m->flag));
    }

    if (im_cmd_named(names, "LastSendMsgTime")) {
        im_json_add_int(item, "LastSendMsgTime", m->sent);
    }

    if (im_cmd_named(names, "ShutUpUntil")) {
        im_json_add_int(item, "ShutUpUntil", m->muted);
    }

    if (im_cmd_named(names, "NameCard")) {
        im_json_add_str(item, "NameCard", &m->card);
    }
}


void
im_cmd_member_custom(im_ctx_t *ctx, im_json_t *item, im_group_t *group,
    im_group_member_t *m, im_member_filter_t *filter, im_group_role_e role)
{
    if (filter->custom == NULL
        && (filter->names || ctx->app->member_fields == NULL))
    {
        return;
    }

    im_group_custom_json(ctx, item, group, IM_CUSTOM_MEMBER, &m->custom,
                         filter->custom, role,
                         ctx->role == IM_ROLE_USER
                         && im_str_eq(&m->user, &ctx->user));
}


ngx_uint_t
im_cmd_named(im_json_t *names, const char *name)
{
    size_t      len;
    im_json_t  *item;

    if (names == NULL || names->type != IM_JSON_LIST) {
        return 1;
    }

    len = ngx_strlen(name);

    im_json_each(item, names) {
        if (item->type == IM_JSON_STR
            && item->u.text.len == len
            && ngx_strncmp(item->u.text.data, name, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static im_code_t
im_cmd_forbid_send_msg(im_ctx_t *ctx, void *data)
{
    im_forbid_req_t  *req = data;

    im_int_t    *time;
    im_code_t    code;
    im_group_t   group;

    time = req->shut_up.set ? &req->shut_up : &req->mute;

    if (!time->set) {
        ngx_str_set(&ctx->info, "\"ShutUpTime\" is missing");
        return IM_E_GROUP_PARAM;
    }

    code = im_group_load(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    code = group.type->mute ? im_group_require(ctx, &group, IM_GROUP_ADMIN)
                            : IM_E_GROUP_RIGHT;
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_group_accounts(ctx, &group, &req->users);

    if (code != IM_OK || req->users.n == 0) {
        return code;
    }

    code = im_cmd_group_above(ctx, &group, &req->users);
    if (code != IM_OK) {
        return code;
    }

    return im_group_mute_set(ctx, &group, req->users.elts, req->users.n,
                             time->value);
}


static im_code_t
im_cmd_get_group_shutted_uin(im_ctx_t *ctx, void *data)
{
    im_group_id_req_t  *req = data;

    return im_cmd_muted(ctx, &req->gid, "ShuttedUinList", "ShuttedUntil");
}


static im_code_t
im_cmd_get_group_muted_account(im_ctx_t *ctx, void *data)
{
    im_group_id_req_t  *req = data;

    return im_cmd_muted(ctx, &req->gid, "MutedAccountList", "MutedUntil");
}


static im_code_t
im_cmd_muted(im_ctx_t *ctx, ngx_str_t *gid, const char *name,
    const char *until)
{
    im_code_t         code;
    im_json_t        *list, *item;
    im_group_t        group;
    ngx_uint_t        i;
    ngx_array_t       mutes;
    im_group_mute_t  *mute;

    code = im_group_load(ctx, gid, &group);
    if (code != IM_OK) {
        return code;
    }

    code = group.type->members_speak
           ? im_group_require(ctx, &group, IM_GROUP_ADMIN)
           : IM_E_GROUP_RIGHT;
    if (code != IM_OK) {
        return code;
    }

    if (ngx_array_init(&mutes, ctx->pool, 16, sizeof(im_group_mute_t))
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    code = im_group_mute_list(ctx, &group, &mutes);
    if (code != IM_OK) {
        return code;
    }

    im_json_add_str(ctx->reply, "GroupId", &group.gid);
    list = im_json_add_list(ctx->reply, name);

    mute = mutes.elts;

    for (i = 0; i < mutes.nelts; i++) {
        item = im_json_push_obj(list);
        im_json_add_str(item, "Member_Account", &mute[i].user);
        im_json_add_int(item, until, mute[i].until);
    }

    return IM_OK;
}


static im_code_t
im_cmd_ban_group_member(im_ctx_t *ctx, void *data)
{
    im_ban_req_t  *req = data;

    return im_cmd_ban(ctx, req, req->duration.value);
}


static im_code_t
im_cmd_unban_group_member(im_ctx_t *ctx, void *data)
{
    return im_cmd_ban(ctx, data, 0);
}


static im_code_t
im_cmd_ban(im_ctx_t *ctx, im_ban_req_t *req, int64_t seconds)
{
    im_code_t   code;
    im_group_t  group;

    code = im_cmd_ban_group(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_group_accounts(ctx, &group, &req->users);

    if (code != IM_OK || req->users.n == 0) {
        return code;
    }

    code = im_cmd_group_above(ctx, &group, &req->users);
    if (code != IM_OK) {
        return code;
    }

    return im_group_member_ban(ctx, &group, req->users.elts, req->users.n,
                               seconds, req->why.data ? &req->why : NULL);
}


static im_code_t
im_cmd_get_group_ban_member(im_ctx_t *ctx, void *data)
{
    im_ban_list_req_t  *req = data;

    im_code_t         code;
    im_json_t        *list, *item;
    im_group_t        group;
    ngx_uint_t        i, more;
    ngx_array_t       bans;
    im_group_mute_t  *ban;

    code = im_cmd_ban_group(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    if (ngx_array_init(&bans, ctx->pool, 16, sizeof(im_group_mute_t))
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    code = im_group_ban_list(ctx, &group, req->offset.value,
                             req->limit.set ? req->limit.value : IM_BAN_PAGE,
                             &bans, &more);
    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(ctx->reply, "BannedAccountList");

    ban = bans.elts;

    for (i = 0; i < bans.nelts; i++) {
        item = im_json_push_obj(list);
        im_json_add_str(item, "Member_Account", &ban[i].user);
        im_json_add_int(item, "BannedUntil", ban[i].banned);
    }

    im_json_add_int(ctx->reply, "NextOffset",
                    more ? req->offset.value + (int64_t) bans.nelts : 0);

    return IM_OK;
}


/* A group from which the caller may ban. */

static im_code_t
im_cmd_ban_group(im_ctx_t *ctx, ngx_str_t *gid, im_group_t *group)
{
    im_code_t  code;

    code = im_group_load(ctx, gid, group);
    if (code != IM_OK) {
        return code;
    }

    if (group->type->live && group->type->listed == 0) {
        return IM_E_GROUP_RIGHT;
    }

    return im_group_require(ctx, group, IM_GROUP_ADMIN);
}


/* Admins act on members only. */

static im_code_t
im_cmd_group_above(im_ctx_t *ctx, im_group_t *group, im_strs_t *users)
{
    im_code_t            code;
    ngx_int_t            rc;
    ngx_uint_t           i;
    im_group_role_e      role;
    im_group_member_t   *members;

    if (group->type->live) {
        return IM_OK;
    }

    code = im_group_role(ctx, group, &role);

    if (code != IM_OK || role != IM_GROUP_ADMIN) {
        return code;
    }

    members = ngx_palloc(ctx->pool, users->n * sizeof(im_group_member_t));
    if (members == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    rc = im_group_member_get_many(ctx, group, users->elts, users->n, members);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    for (i = 0; i < users->n; i++) {
        if (members[i].role >= IM_GROUP_ADMIN) {
            return IM_E_GROUP_RIGHT;
        }
    }

    return IM_OK;
}


/* Nobody acts on the owner. */

static im_code_t
im_cmd_group_accounts(im_ctx_t *ctx, im_group_t *group, im_strs_t *users)
{
    ngx_uint_t  i;

    for (i = 0; i < users->n; i++) {

        if (!im_account_syntax(ctx->app, &users->elts[i])) {
            ngx_str_set(&ctx->info, "\"Members_Account\" has an illegal "
                                    "account");
            return IM_E_GROUP_PARAM;
        }

        if (im_str_eq(&users->elts[i], &group->owner)) {
            ngx_str_set(&ctx->info, "\"Members_Account\" has the owner");
            return IM_E_GROUP_RIGHT;
        }
    }

    return IM_OK;
}
