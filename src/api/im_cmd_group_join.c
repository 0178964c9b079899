
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "live/im_room_node.h"
#include "domain/im_account.h"
#include "domain/im_callback.h"
#include "domain/im_group_custom.h"
#include "domain/im_group_invite.h"
#include "domain/im_group_join.h"
#include "domain/im_group_leave.h"
#include "domain/im_group_member_edit.h"
#include "domain/im_group_mute.h"
#include "domain/im_profile.h"
#include "domain/im_word.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


#define IM_HANDLE_MSG_MAX   300
#define IM_MUTE_MAX_TIME    4294967295
#define IM_PENDENCY_LIMIT   100
#define IM_NAME_CARD_MAX    50
#define IM_SPECIFIED_MAX    50


typedef struct {
    ngx_str_t          gid;
    im_int_t           silence;
    im_json_t         *members;
} im_add_member_req_t;


typedef struct {
    ngx_str_t          gid;
    im_int_t           silence;
    im_strs_t          users;
    ngx_str_t          why;
} im_del_member_req_t;


typedef struct {
    ngx_str_t          gid;
    im_strs_t          users;
    im_json_t         *filter;
    im_json_t         *custom;
} im_role_req_t;


typedef struct {
    ngx_str_t          gid;
    ngx_str_t          user;
} im_owner_req_t;


typedef struct {
    ngx_str_t          gid;
    ngx_str_t          user;
    ngx_str_t          role;
    ngx_str_t          flag;
    ngx_str_t          card;
    im_int_t           shut_up;
    im_int_t           mute;
    im_json_t         *custom;
} im_modify_member_req_t;


typedef struct {
    ngx_str_t          gid;
    ngx_str_t          user;
    ngx_str_t          msg;
    ngx_str_t          reply;
    ngx_str_t          auth;
    im_int_t           key;
    ngx_str_t          data;
} im_handle_req_t;


typedef struct {
    im_int_t           start;
    im_int_t           limit;
    ngx_str_t          user;
} im_pendency_req_t;


typedef struct {
    im_int_t           time;
} im_report_req_t;


static im_code_t im_cmd_add_group_member(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_add_member_may(im_ctx_t *ctx, ngx_str_t *gid,
    im_group_t *group, im_group_role_e *role);
static im_code_t im_cmd_delete_group_member(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_role_in_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_specified(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_change_group_owner(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_modify_group_member_info(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_modify_room_member(im_ctx_t *ctx,
    im_modify_member_req_t *req, im_group_t *group,
    im_member_changes_t *changes, im_group_role_e role, im_int_t *time);
static im_code_t im_cmd_handle_apply_join_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_pendency(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_report_pendency(im_ctx_t *ctx, void *data);


static im_field_t  im_add_member_fields[] = {

    im_field_gid(im_add_member_req_t, gid),

    im_field_silence(im_add_member_req_t, silence),

    im_field_members(im_add_member_req_t, members),

      im_null_field
};


static im_field_t  im_del_member_fields[] = {

    im_field_gid(im_del_member_req_t, gid),

    im_field_silence(im_del_member_req_t, silence),

    { ngx_string("MemberToDel_Account"), IM_STRS, IM_REQUIRED,
      offsetof(im_del_member_req_t, users), 0, IM_GROUP_ACCOUNTS,
      IM_E_GROUP_PARAM, IM_E_GROUP_MANY },

    { ngx_string("Reason"), IM_STR, IM_OPTIONAL,
      offsetof(im_del_member_req_t, why), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_role_fields[] = {

    im_field_gid(im_role_req_t, gid),

    { ngx_string("User_Account"), IM_STRS, IM_REQUIRED,
      offsetof(im_role_req_t, users), 0, IM_GROUP_ACCOUNTS,
      IM_E_GROUP_PARAM, IM_E_GROUP_MANY },

      im_null_field
};


static im_field_t  im_specified_fields[] = {

    im_field_gid(im_role_req_t, gid),

    { ngx_string("Member_List_Account"), IM_STRS, IM_REQUIRED,
      offsetof(im_role_req_t, users), 0, IM_SPECIFIED_MAX,
      IM_E_GROUP_PARAM, IM_E_GROUP_MANY },

    { ngx_string("MemberInfoFilter"), IM_LIST, IM_OPTIONAL,
      offsetof(im_role_req_t, filter), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("AppDefinedDataFilter_GroupMember"), IM_LIST, IM_OPTIONAL,
      offsetof(im_role_req_t, custom), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_owner_fields[] = {

    im_field_gid(im_owner_req_t, gid),

    { ngx_string("NewOwner_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_owner_req_t, user), 1, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_modify_member_fields[] = {

    im_field_gid(im_modify_member_req_t, gid),

    { ngx_string("Member_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_modify_member_req_t, user), 1, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Role"), IM_STR, IM_OPTIONAL,
      offsetof(im_modify_member_req_t, role), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MsgFlag"), IM_STR, IM_OPTIONAL,
      offsetof(im_modify_member_req_t, flag), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("NameCard"), IM_STR, IM_NO_NUL,
      offsetof(im_modify_member_req_t, card), 0, IM_NAME_CARD_MAX,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("ShutUpTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_modify_member_req_t, shut_up), 0, IM_MUTE_MAX_TIME,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("MuteTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_modify_member_req_t, mute), 0, IM_MUTE_MAX_TIME,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("AppMemberDefinedData"), IM_LIST, IM_OPTIONAL,
      offsetof(im_modify_member_req_t, custom), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_handle_fields[] = {

    im_field_gid(im_handle_req_t, gid),

    { ngx_string("Applicant_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_handle_req_t, user), 1, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("HandleMsg"), IM_STR, IM_REQUIRED,
      offsetof(im_handle_req_t, msg), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("ApprovalMsg"), IM_STR, IM_NO_NUL,
      offsetof(im_handle_req_t, reply), 0, IM_HANDLE_MSG_MAX,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("Authentication"), IM_STR, IM_REQUIRED,
      offsetof(im_handle_req_t, auth), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MsgKey"), IM_INT, IM_REQUIRED|IM_NUMERIC_STR,
      offsetof(im_handle_req_t, key), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("UserDefinedField"), IM_STR, IM_NO_NUL,
      offsetof(im_handle_req_t, data), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_pendency_fields[] = {

    { ngx_string("StartTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_pendency_req_t, start), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Limit"), IM_INT, IM_OPTIONAL,
      offsetof(im_pendency_req_t, limit), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Handle_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_pendency_req_t, user), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_report_fields[] = {

    { ngx_string("ReportTime"), IM_INT, IM_REQUIRED,
      offsetof(im_report_req_t, time), 0, NGX_MAX_INT32_VALUE,
      IM_E_GROUP_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_group_join[] = {

    { ngx_string("group_open_http_svc"), ngx_string("add_group_member"),
      im_cmd_add_group_member, IM_BY_ADMIN|IM_BY_USER,
      im_add_member_fields, sizeof(im_add_member_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("delete_group_member"),
      im_cmd_delete_group_member, IM_BY_ADMIN|IM_BY_USER,
      im_del_member_fields, sizeof(im_del_member_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("get_role_in_group"),
      im_cmd_get_role_in_group, IM_BY_ADMIN|IM_BY_USER,
      im_role_fields, sizeof(im_role_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"),
      ngx_string("get_specified_group_member_info"),
      im_cmd_get_specified, IM_BY_USER,
      im_specified_fields, sizeof(im_role_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("change_group_owner"),
      im_cmd_change_group_owner, IM_BY_ADMIN|IM_BY_USER,
      im_owner_fields, sizeof(im_owner_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"),
      ngx_string("modify_group_member_info"),
      im_cmd_modify_group_member_info, IM_BY_ADMIN|IM_BY_USER,
      im_modify_member_fields, sizeof(im_modify_member_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"),
      ngx_string("handle_apply_join_group"),
      im_cmd_handle_apply_join_group, IM_BY_USER,
      im_handle_fields, sizeof(im_handle_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("get_pendency"),
      im_cmd_get_pendency, IM_BY_USER,
      im_pendency_fields, sizeof(im_pendency_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("report_pendency"),
      im_cmd_report_pendency, IM_BY_USER,
      im_report_fields, sizeof(im_report_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_add_group_member(im_ctx_t *ctx, void *data)
{
    im_add_member_req_t  *req = data;

    im_code_t         code;
    im_json_t        *item, *list;
    im_group_t        group;
    ngx_uint_t        i, n, waited;
    im_group_new_t   *fresh;
    im_group_role_e   role;

    fresh = ngx_pcalloc(ctx->pool, (req->members->n + 1)
                                   * sizeof(im_group_new_t));
    if (fresh == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    n = 0;

    im_json_each(item, req->members) {

        if (im_json_get_str(item, "Member_Account", &fresh[n].user)
            != NGX_OK)
        {
            ngx_str_set(&ctx->info, "\"Member_Account\" must be a string");
            return IM_E_GROUP_PARAM;
        }

        fresh[n].role = IM_GROUP_MEMBER;
        fresh[n].unread = -1;
        n++;
    }

    code = im_cmd_add_member_may(ctx, &req->gid, &group, &role);
    if (code != IM_OK) {
        return code;
    }

    if (n) {
        code = im_group_join_check(ctx, &group, fresh, n);

        if (code == IM_OK) {
            code = im_callback_group_before_invite(ctx, &group, fresh, n,
                                                   &waited);
        }

        if (code == IM_OK && waited) {
            code = im_cmd_add_member_may(ctx, &req->gid, &group, &role);
        }

        if (code == IM_OK) {
            code = im_group_invite_send(ctx, &group, fresh, n, role,
                       req->silence.value && role == IM_GROUP_APP);
        }

        if (code != IM_OK) {
            return code;
        }
    }

    list = im_json_add_list(ctx->reply, "MemberList");

    for (i = 0; i < n; i++) {
        item = im_json_push_obj(list);
        im_json_add_str(item, "Member_Account", &fresh[i].user);
        im_json_add_int(item, "Result", fresh[i].result);
    }

    return IM_OK;
}


static im_code_t
im_cmd_add_member_may(im_ctx_t *ctx, ngx_str_t *gid, im_group_t *group,
    im_group_role_e *role)
{
    im_code_t  code;

    code = im_group_load(ctx, gid, group);

    if (code == IM_OK) {
        code = im_group_role(ctx, group, role);
    }

    if (code != IM_OK) {
        return code;
    }

    if (group->type->invite == IM_INVITE_NEVER
        || *role == IM_GROUP_NOBODY
        || (*role != IM_GROUP_APP
            && im_group_invite(group) == IM_INVITE_DISABLE))
    {
        return IM_E_GROUP_RIGHT;
    }

    return IM_OK;
}


static im_code_t
im_cmd_delete_group_member(im_ctx_t *ctx, void *data)
{
    im_del_member_req_t  *req = data;

    im_code_t            code;
    ngx_int_t            rc;
    im_group_t           group;
    ngx_uint_t           i;
    im_group_role_e      role;
    im_group_member_t   *members;

    code = im_group_load(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    if (group.type->kick == IM_KICK_NOBODY) {
        ngx_str_set(&ctx->info, "members of this type cannot be removed");
        return IM_E_GROUP_PARAM;
    }

    code = im_group_role(ctx, &group, &role);
    if (code != IM_OK) {
        return code;
    }

    if (role == IM_GROUP_NOBODY
        || (role < IM_GROUP_ADMIN && group.type->kick == IM_KICK_ADMINS))
    {
        return IM_E_GROUP_RIGHT;
    }

    if (req->users.n == 0) {
        return IM_OK;
    }

    members = ngx_palloc(ctx->pool, req->users.n * sizeof(im_group_member_t));
    if (members == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    rc = im_group_member_get_many(ctx, &group, req->users.elts, req->users.n,
                                  members);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    for (i = 0; i < req->users.n; i++) {
        if (members[i].version
            && role < IM_GROUP_OWNER
            && group.type->kick != IM_KICK_MEMBERS
            && members[i].role >= (int64_t) role)
        {
            return IM_E_GROUP_RIGHT;
        }
    }

    return im_group_leave(ctx, &group, req->users.elts, req->users.n,
                          IM_LEAVE_KICKED,
                          req->silence.value && role == IM_GROUP_APP,
                          req->why.len ? &req->why : NULL);
}


static im_code_t
im_cmd_get_role_in_group(im_ctx_t *ctx, void *data)
{
    im_role_req_t  *req = data;

    im_code_t            code;
    ngx_int_t            rc;
    im_json_t           *list, *item;
    im_group_t           group;
    ngx_uint_t           i;
    im_group_member_t   *members;

    code = im_cmd_group_stored(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    members = ngx_palloc(ctx->pool, (req->users.n + 1)
                                    * sizeof(im_group_member_t));
    if (members == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    rc = im_group_member_get_many(ctx, &group, req->users.elts, req->users.n,
                                  members);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    list = im_json_add_list(ctx->reply, "UserIdList");

    for (i = 0; i < req->users.n; i++) {
        item = im_json_push_obj(list);
        im_json_add_str(item, "Member_Account", &req->users.elts[i]);
        im_json_add_str(item, "Role", im_group_role_word(members[i].role));
    }

    return IM_OK;
}


static im_code_t
im_cmd_get_specified(im_ctx_t *ctx, void *data)
{
    im_role_req_t  *req = data;

    im_code_t            code;
    ngx_int_t            rc;
    ngx_str_t           *users;
    im_json_t           *list, *item;
    im_group_t           group;
    ngx_uint_t           i, n;
    im_group_role_e      role;
    im_group_member_t   *members;
    im_member_filter_t   filter;

    code = im_group_load(ctx, &req->gid, &group);

    if (code == IM_OK) {
        code = im_group_role(ctx, &group, &role);
    }

    if (code != IM_OK) {
        return code;
    }

    if (role < IM_GROUP_MEMBER
        || (group.type->live && group.type->listed == 0))
    {
        return IM_E_GROUP_RIGHT;
    }

    filter.names = req->filter;
    filter.custom = req->custom;

    members = ngx_palloc(ctx->pool, (req->users.n + 1)
                                    * sizeof(im_group_member_t));
    if (members == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    users = req->users.elts;
    n = 0;

    if (!group.type->live) {

        rc = im_group_member_get_many(ctx, &group, users, req->users.n,
                                      members);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }
    }

    for (i = 0; i < req->users.n; i++) {

        if (group.type->live) {
            n += (im_group_member_in(ctx, &group, &users[i], &members[n])
                  == NGX_OK);

        } else if (members[i].version) {
            members[n++] = members[i];
        }
    }

    code = im_group_member_fill(ctx, &group, members, n);
    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(ctx->reply, "MemberList");

    for (i = 0; i < n; i++) {
        item = im_json_push_obj(list);
        im_json_add_str(item, "Member_Account", &members[i].user);
        im_cmd_member_json(item, &group, &members[i], req->filter);
        im_cmd_member_custom(ctx, item, &group, &members[i], &filter, role);
    }

    return IM_OK;
}


im_code_t
im_cmd_group_stored(im_ctx_t *ctx, ngx_str_t *gid, im_group_t *group)
{
    im_code_t  code;

    code = im_group_load(ctx, gid, group);

    if (code != IM_OK) {
        return code;
    }

    return group->type->live ? IM_E_GROUP_RIGHT
                             : im_group_require(ctx, group, IM_GROUP_MEMBER);
}


static im_code_t
im_cmd_change_group_owner(im_ctx_t *ctx, void *data)
{
    im_owner_req_t  *req = data;

    im_code_t   code;
    im_group_t  group;

    code = im_cmd_group_stored(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_require(ctx, &group, IM_GROUP_OWNER);
    if (code != IM_OK) {
        return code;
    }

    return im_group_owner_set(ctx, &group, &req->user);
}


static im_code_t
im_cmd_modify_group_member_info(im_ctx_t *ctx, void *data)
{
    im_modify_member_req_t  *req = data;

    im_int_t             *time;
    ngx_int_t             rc;
    im_code_t             code;
    im_group_t            group;
    ngx_uint_t            self, above;
    im_group_role_e       role;
    im_group_member_t     m;
    im_member_changes_t   changes;

    changes.role = -1;
    changes.flag = -1;
    changes.card = req->card;

    if (im_word_dirty(ctx, &req->card)) {
        return IM_E_DIRTY;
    }

    if (req->role.data) {

        if (im_str_eq_c(&req->role, "Admin")) {
            changes.role = IM_GROUP_ADMIN;

        } else if (im_str_eq_c(&req->role, "Member")) {
            changes.role = IM_GROUP_MEMBER;

        } else {
            ngx_str_set(&ctx->info, "\"Role\" is neither \"Admin\" nor "
                                    "\"Member\"");
            return IM_E_GROUP_PARAM;
        }
    }

    if (req->flag.data) {
        changes.flag = im_group_msg_flag(&req->flag);

        if (changes.flag == NGX_ERROR) {
            ngx_str_set(&ctx->info, "\"MsgFlag\" is unknown");
            return IM_E_GROUP_PARAM;
        }
    }

    changes.custom = req->custom;

    code = im_group_custom_check(ctx, IM_CUSTOM_MEMBER, req->custom);
    if (code != IM_OK) {
        return code;
    }

    time = req->shut_up.set ? &req->shut_up : &req->mute;

    code = im_group_load(ctx, &req->gid, &group);

    if (code == IM_OK) {
        code = im_group_role(ctx, &group, &role);
    }

    if (code != IM_OK) {
        return code;
    }

    if (role == IM_GROUP_NOBODY) {
        return IM_E_GROUP_RIGHT;
    }

    if (group.type->live) {
        return im_cmd_modify_room_member(ctx, req, &group, &changes, role,
                                         time);
    }

    rc = im_group_member_get(ctx, &group, &req->user, &m);

    if (rc == NGX_DECLINED) {
        ngx_str_set(&ctx->info, "not a member");
        return IM_E_GROUP_RIGHT;
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    self = (ctx->role == IM_ROLE_USER && im_str_eq(&req->user, &ctx->user));
    above = (role >= IM_GROUP_ADMIN && (int64_t) role > m.role);

    if ((changes.role != -1
         && (!group.type->has_admins || role < IM_GROUP_OWNER))
        || (changes.flag != -1 && !self && role != IM_GROUP_APP)
        || (changes.card.data && !self && !above)
        || (time->set && (!group.type->mute || !above
                          || m.role == IM_GROUP_OWNER)))
    {
        return IM_E_GROUP_RIGHT;
    }

    /* on others' fields only those act who are above them */

    code = im_group_custom_may(ctx, &group, IM_CUSTOM_MEMBER, req->custom,
                               (self || above) ? role : IM_GROUP_NOBODY,
                               self);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_member_modify(ctx, &group, &req->user, &changes);

    if (code != IM_OK || !time->set) {
        return code;
    }

    return im_group_mute_set(ctx, &group, &req->user, 1, time->value);
}


/*
 * Of a live room only the owner has a row, and he is neither muted nor of
 * another role.  Web SDK 2.x has no other command to mute those who are in.
 */

static im_code_t
im_cmd_modify_room_member(im_ctx_t *ctx, im_modify_member_req_t *req,
    im_group_t *group, im_member_changes_t *changes, im_group_role_e role,
    im_int_t *time)
{
    if (role < IM_GROUP_OWNER
        || changes->role != -1
        || (req->custom && req->custom->n))
    {
        return IM_E_GROUP_RIGHT;
    }

    if (group->owner.len && im_str_eq(&req->user, &group->owner)) {
        return time->set ? IM_E_GROUP_RIGHT
                         : im_group_owner_modify(ctx, group, changes);
    }

    if (ctx->via != IM_VIA_WEB
        || !time->set
        || !group->type->mute
        || changes->flag != -1
        || changes->card.data
        || im_room_joined_all(ctx->app->id, group->gno, &req->user, NULL)
           != NGX_OK)
    {
        return IM_E_GROUP_RIGHT;
    }

    return im_group_mute_set(ctx, group, &req->user, 1, time->value);
}


static im_code_t
im_cmd_handle_apply_join_group(im_ctx_t *ctx, void *data)
{
    im_handle_req_t  *req = data;

    im_code_t         code;
    im_group_t        group;
    ngx_uint_t        agree;
    im_group_pend_t   pend;

    agree = im_str_eq_c(&req->msg, "Agree");

    if (!agree && !im_str_eq_c(&req->msg, "Reject")) {
        ngx_str_set(&ctx->info, "\"HandleMsg\" is neither \"Agree\" nor "
                                "\"Reject\"");
        return IM_E_GROUP_PARAM;
    }

    code = im_group_load(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_require(ctx, &group, IM_GROUP_ADMIN);
    if (code != IM_OK) {
        return code;
    }

    ngx_memzero(&pend, sizeof(im_group_pend_t));

    pend.from = req->user;
    pend.auth = req->auth;
    pend.time = req->key.value;
    pend.reply = req->reply;
    pend.reply_data = req->data;

    return im_group_pend_handle(ctx, &group, &pend, agree);
}


/* StartTime of the next page is the time of its first record. */

static im_code_t
im_cmd_get_pendency(im_ctx_t *ctx, void *data)
{
    im_pendency_req_t  *req = data;

    int64_t           next, seen, unread;
    ngx_int_t         rc;
    ngx_str_t         empty;
    im_json_t        *list, *item;
    ngx_uint_t        i, n, limit;
    ngx_array_t       pends;
    im_profile_t      profile;
    im_group_pend_t  *pend;

    ngx_str_set(&empty, "");

    if (req->user.len && !im_str_eq(&req->user, &ctx->user)) {
        ngx_str_set(&ctx->info, "\"Handle_Account\" is not the caller");
        return IM_E_GROUP_RIGHT;
    }

    if (ngx_array_init(&pends, ctx->pool, 16, sizeof(im_group_pend_t))
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    rc = im_group_pend_list(ctx, &pends);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    limit = IM_PENDENCY_LIMIT;

    if (req->limit.value > 0) {
        limit = ngx_min(req->limit.value, IM_PENDENCY_LIMIT);
    }

    rc = im_group_pend_seen(ctx, &seen);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    list = im_json_new_list(ctx->pool);
    pend = pends.elts;
    next = 0;
    unread = 0;
    n = 0;

    for (i = 0; i < pends.nelts; i++) {

        unread += (pend[i].time / 1000 > seen);
    }

    for (i = 0; i < pends.nelts; i++) {

        if (req->start.value > 0 && pend[i].time > req->start.value) {
            continue;
        }

        if (n == limit) {
            next = pend[i].time;
            break;
        }

        n++;

        rc = im_profile_get(ctx, &pend[i].from, &profile);

        if (rc != NGX_OK) {
            profile.nick = empty;
        }

        item = im_json_push_obj(list);

        im_json_add_str(item, "From_Account", &pend[i].from);
        im_json_add_str(item, "FromUserNickName", &profile.nick);
        im_json_add_str(item, "To_Account", &pend[i].to);
        im_json_add_str(item, "GroupId", &pend[i].gid);
        im_json_add_str(item, "GroupName", &pend[i].name);
        im_json_add_str(item, "Authentication", &pend[i].auth);

        /* web SDK 2.x gives the two one name and keeps the later one */

        im_json_add_int(item, "AddTime", pend[i].time / 1000);
        im_json_add_int(item, "MsgTimeStamp", pend[i].time);

        im_json_add_int(item, "PendencyType",
                        (pend[i].kind == IM_PEND_APPLY) ? 1 : 2);
        im_json_add_int(item, "Handled",
                        (pend[i].state == IM_PEND_OPEN) ? 0
                        : im_str_eq(&pend[i].handler, &ctx->user) ? 2 : 1);
        im_json_add_int(item, "HandleResult",
                        (pend[i].state == IM_PEND_AGREED) ? 1 : 0);
        im_json_add_str(item, "ApplyInviteMsg", &pend[i].text);
        im_json_add_str(item, "FromUserDefinedData", &pend[i].data);
        im_json_add_str(item, "ApprovalMsg", &pend[i].reply);
        im_json_add_str(item, "ToUserDefinedData", &pend[i].reply_data);
    }

    im_json_add_int(ctx->reply, "NextStartTime", next);
    im_json_add_int(ctx->reply, "UnreadCount", unread);
    im_json_add_int(ctx->reply, "ReportedTime", seen);
    im_json_add_node(ctx->reply, "PendencyList", list);

    return IM_OK;
}


static im_code_t
im_cmd_report_pendency(im_ctx_t *ctx, void *data)
{
    im_report_req_t  *req = data;

    return im_group_code(im_group_pend_report(ctx, req->time.value));
}
