
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_callback.h"
#include "domain/im_group.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


#define IM_GROUPS_MAX   50
#define IM_MEMBERS_MAX  500


typedef struct {
    ngx_str_t          type;
    ngx_str_t          name;
    ngx_str_t          owner;
    ngx_str_t          gid;
    ngx_str_t          intro;
    ngx_str_t          notice;
    ngx_str_t          face;
    im_int_t           max_member;
    ngx_str_t          apply;
    im_json_t         *custom;
    im_json_t         *members;
} im_create_group_req_t;


typedef struct {
    im_strs_t          gids;
    im_json_t         *filter;
} im_group_info_req_t;


typedef struct {
    ngx_str_t          gid;
    ngx_str_t          name;
    ngx_str_t          intro;
    ngx_str_t          notice;
    ngx_str_t          face;
    im_int_t           max_member;
    ngx_str_t          apply;
    ngx_str_t          shut;
    ngx_str_t          mute;
    im_json_t         *custom;
} im_modify_group_req_t;


typedef struct {
    ngx_str_t          user;
} im_joined_req_t;


/* How an entry of GroupInfo is made. */

typedef enum {
    IM_INFO_FULL = 0,                /* get_group_info */
    IM_INFO_SELF,                    /* get_group_self_member_info */
    IM_INFO_PUBLIC                   /* get_group_public_info */
} im_group_info_e;


static im_code_t im_cmd_create_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_create_group_members(im_ctx_t *ctx,
    im_group_type_t *type, im_json_t *members);
static im_code_t im_cmd_create_group_owner(im_ctx_t *ctx, ngx_str_t *owner,
    ngx_str_t *result);
static im_code_t im_cmd_get_group_info(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_group_self_member_info(im_ctx_t *ctx,
    void *data);
static im_code_t im_cmd_get_group_public_info(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_group_infos(im_ctx_t *ctx, im_group_info_req_t *req,
    im_group_info_e what);
static im_code_t im_cmd_group_info(im_ctx_t *ctx, im_json_t *item,
    ngx_str_t *gid, im_json_t *filter, im_group_info_e what);
static im_code_t im_cmd_modify_group_base_info(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_destroy_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_joined_group_list(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_pendency(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_search_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_million_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_group_custom(im_ctx_t *ctx, im_json_t *custom);


static im_field_t  im_create_group_fields[] = {

    { ngx_string("Type"), IM_STR, IM_REQUIRED,
      offsetof(im_create_group_req_t, type), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Name"), IM_STR, IM_REQUIRED,
      offsetof(im_create_group_req_t, name), 1, IM_GROUP_NAME_MAX,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("Owner_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_create_group_req_t, owner), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("GroupId"), IM_STR, IM_OPTIONAL,
      offsetof(im_create_group_req_t, gid), 0, IM_GROUP_ID_MAX,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("Introduction"), IM_STR, IM_OPTIONAL,
      offsetof(im_create_group_req_t, intro), 0, IM_GROUP_INTRO_MAX,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("Notification"), IM_STR, IM_OPTIONAL,
      offsetof(im_create_group_req_t, notice), 0, IM_GROUP_NOTICE_MAX,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("FaceUrl"), IM_STR, IM_OPTIONAL,
      offsetof(im_create_group_req_t, face), 0, IM_GROUP_FACE_MAX,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("MaxMemberCount"), IM_INT, IM_OPTIONAL,
      offsetof(im_create_group_req_t, max_member), 0, NGX_MAX_INT32_VALUE,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("ApplyJoinOption"), IM_STR, IM_OPTIONAL,
      offsetof(im_create_group_req_t, apply), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("AppDefinedData"), IM_LIST, IM_OPTIONAL,
      offsetof(im_create_group_req_t, custom), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MemberList"), IM_LIST, IM_OPTIONAL,
      offsetof(im_create_group_req_t, members), 0, IM_MEMBERS_MAX,
      IM_E_GROUP_PARAM, IM_E_GROUP_MANY },

      im_null_field
};


static im_field_t  im_group_info_fields[] = {

    { ngx_string("GroupIdList"), IM_STRS, IM_REQUIRED,
      offsetof(im_group_info_req_t, gids), 1, IM_GROUPS_MAX,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("ResponseFilter"), IM_OBJ, IM_OPTIONAL,
      offsetof(im_group_info_req_t, filter), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_modify_group_fields[] = {

    { ngx_string("GroupId"), IM_STR, IM_REQUIRED,
      offsetof(im_modify_group_req_t, gid), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Name"), IM_STR, IM_OPTIONAL,
      offsetof(im_modify_group_req_t, name), 1, IM_GROUP_NAME_MAX,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("Introduction"), IM_STR, IM_OPTIONAL,
      offsetof(im_modify_group_req_t, intro), 0, IM_GROUP_INTRO_MAX,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("Notification"), IM_STR, IM_OPTIONAL,
      offsetof(im_modify_group_req_t, notice), 0, IM_GROUP_NOTICE_MAX,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("FaceUrl"), IM_STR, IM_OPTIONAL,
      offsetof(im_modify_group_req_t, face), 0, IM_GROUP_FACE_MAX,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("MaxMemberNum"), IM_INT, IM_OPTIONAL,
      offsetof(im_modify_group_req_t, max_member), 0, NGX_MAX_INT32_VALUE,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("ApplyJoinOption"), IM_STR, IM_OPTIONAL,
      offsetof(im_modify_group_req_t, apply), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("ShutUpAllMember"), IM_STR, IM_OPTIONAL,
      offsetof(im_modify_group_req_t, shut), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MuteAllMember"), IM_STR, IM_OPTIONAL,
      offsetof(im_modify_group_req_t, mute), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("AppDefinedData"), IM_LIST, IM_OPTIONAL,
      offsetof(im_modify_group_req_t, custom), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


im_field_t  im_group_id_fields[] = {

    { ngx_string("GroupId"), IM_STR, IM_REQUIRED,
      offsetof(im_group_id_req_t, gid), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_joined_fields[] = {

    { ngx_string("Member_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_joined_req_t, user), 1, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_group[] = {

    { ngx_string("group_open_http_svc"), ngx_string("create_group"),
      im_cmd_create_group, IM_BY_ADMIN|IM_BY_USER,
      im_create_group_fields, sizeof(im_create_group_req_t), 0, IM_ONCE },

    { ngx_string("group_open_http_svc"), ngx_string("get_group_info"),
      im_cmd_get_group_info, IM_BY_ADMIN|IM_BY_USER,
      im_group_info_fields, sizeof(im_group_info_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"),
      ngx_string("get_group_self_member_info"),
      im_cmd_get_group_self_member_info, IM_BY_USER,
      im_group_info_fields, sizeof(im_group_info_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("get_group_public_info"),
      im_cmd_get_group_public_info, IM_BY_USER,
      im_group_info_fields, sizeof(im_group_info_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("modify_group_base_info"),
      im_cmd_modify_group_base_info, IM_BY_ADMIN|IM_BY_USER,
      im_modify_group_fields, sizeof(im_modify_group_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("destroy_group"),
      im_cmd_destroy_group, IM_BY_ADMIN|IM_BY_USER,
      im_group_id_fields, sizeof(im_group_id_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("get_joined_group_list"),
      im_cmd_get_joined_group_list, IM_BY_ADMIN|IM_BY_USER,
      im_joined_fields, sizeof(im_joined_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("get_pendency"),
      im_cmd_get_pendency, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("search_group"),
      im_cmd_search_group, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("million_group_open_http_svc"), ngx_string("create_group"),
      im_cmd_million_group, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("million_group_open_http_svc"),
      ngx_string("get_joined_group_list"),
      im_cmd_million_group, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("million_group_open_http_svc"), ngx_string("get_pendency"),
      im_cmd_million_group, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("million_group_open_http_svc"), ngx_string("create_topic"),
      im_cmd_million_group, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("million_group_open_http_svc"), ngx_string("modify_topic"),
      im_cmd_million_group, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("million_group_open_http_svc"), ngx_string("get_topic"),
      im_cmd_million_group, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("million_group_open_http_svc"), ngx_string("destroy_topic"),
      im_cmd_million_group, IM_BY_USER, NULL, 0, 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_create_group(im_ctx_t *ctx, void *data)
{
    im_create_group_req_t  *req = data;

    im_code_t         code;
    ngx_int_t         apply;
    im_group_t        group;
    im_group_type_t  *type;

    type = im_group_type(&req->type);

    if (type == NULL) {
        ngx_str_set(&ctx->info, "\"Type\" is unknown");
        return IM_E_GROUP_PARAM;
    }

    if (type->max_member && req->max_member.value > type->max_member) {
        ngx_str_set(&ctx->info, "\"MaxMemberCount\" is over the type's");
        return IM_E_GROUP_PARAM;
    }

    apply = type->apply;

    if (req->apply.data) {
        apply = im_group_apply_option(&req->apply);

        if (apply == NGX_ERROR) {
            ngx_str_set(&ctx->info, "\"ApplyJoinOption\" is unknown");
            return IM_E_GROUP_PARAM;
        }
    }

    if (req->gid.len
        && (!im_str_printable(&req->gid)
            || (req->gid.len >= 5
                && ngx_strncmp(req->gid.data, "@TGS#", 5) == 0)))
    {
        ngx_str_set(&ctx->info, "\"GroupId\" is malformed or reserved");
        return IM_E_GROUP_PARAM;
    }

    code = im_cmd_group_custom(ctx, req->custom);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_create_group_members(ctx, type, req->members);
    if (code != IM_OK) {
        return code;
    }

    if (!type->offered) {
        ngx_str_set(&ctx->info, "this server version offers AVChatRoom");
        return IM_E_GROUP_RIGHT;
    }

    ngx_memzero(&group, sizeof(im_group_t));

    code = im_cmd_create_group_owner(ctx, &req->owner, &group.owner);
    if (code != IM_OK) {
        return code;
    }

    group.type = type;
    group.gid = req->gid;
    group.name = req->name;
    group.intro = req->intro;
    group.notice = req->notice;
    group.face = req->face;
    group.apply = type->apply_allowed ? apply : IM_APPLY_DISABLE;

    if (type->max_member) {
        group.max_member = req->max_member.value ? req->max_member.value
                                                 : type->max_member;
    }

    code = im_callback_group_before_create(ctx, &group, req->members);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_create(ctx, &group);
    if (code != IM_OK) {
        return code;
    }

    im_callback_group_after_create(ctx, &group, req->members);

    if (group.owner.len) {
        im_group_notice_user(ctx, &group, &group.owner, IM_REPORT_CREATE, 0,
                             NULL);
    }

    im_json_add_str(ctx->reply, "GroupId", &group.gid);

    if (type->live) {
        im_json_add_int(ctx->reply, "HugeGroupFlag", 1);
    }

    return IM_OK;
}


static im_code_t
im_cmd_create_group_members(im_ctx_t *ctx, im_group_type_t *type,
    im_json_t *members)
{
    ngx_int_t   rc;
    ngx_str_t   user, role;
    im_json_t  *item;

    im_json_each(item, members) {

        if (im_json_get_str(item, "Member_Account", &user) != NGX_OK) {
            ngx_str_set(&ctx->info, "\"Member_Account\" must be a string");
            return IM_E_GROUP_PARAM;
        }

        rc = im_json_get_str(item, "Role", &role);

        if (rc == NGX_ERROR
            || (rc == NGX_OK
                && (!type->has_admins || !im_str_eq_c(&role, "Admin"))))
        {
            ngx_str_set(&ctx->info, "\"Role\" is not possible here");
            return IM_E_GROUP_PARAM;
        }
    }

    if (type->live && members && members->n) {
        ngx_str_set(&ctx->info, "a live room begins without members");
        return IM_E_GROUP_RIGHT;
    }

    return IM_OK;
}


static im_code_t
im_cmd_create_group_owner(im_ctx_t *ctx, ngx_str_t *owner, ngx_str_t *result)
{
    ngx_int_t     rc;
    im_account_t  account;

    if (ctx->role != IM_ROLE_ADMIN) {

        if (owner->len == 0 || im_str_eq(owner, &ctx->user)) {
            *result = ctx->user;
            return IM_OK;
        }

        if (!im_account_is_admin(ctx->app, &ctx->user)) {
            ngx_str_set(&ctx->info, "\"Owner_Account\" is not the caller");
            return IM_E_GROUP_RIGHT;
        }
    }

    if (owner->len == 0) {
        ngx_str_null(result);
        return IM_OK;
    }

    rc = im_account_get(ctx, owner, &account);

    if (rc == NGX_DECLINED) {
        ngx_str_set(&ctx->info, "\"Owner_Account\" does not exist");
        return IM_E_GROUP_PARAM;
    }

    *result = *owner;

    return im_group_code(rc);
}


static im_code_t
im_cmd_get_group_info(im_ctx_t *ctx, void *data)
{
    return im_cmd_group_infos(ctx, data, IM_INFO_FULL);
}


static im_code_t
im_cmd_get_group_self_member_info(im_ctx_t *ctx, void *data)
{
    return im_cmd_group_infos(ctx, data, IM_INFO_SELF);
}


static im_code_t
im_cmd_get_group_public_info(im_ctx_t *ctx, void *data)
{
    return im_cmd_group_infos(ctx, data, IM_INFO_PUBLIC);
}


static im_code_t
im_cmd_group_infos(im_ctx_t *ctx, im_group_info_req_t *req,
    im_group_info_e what)
{
    im_code_t    code;
    im_json_t   *list, *item;
    ngx_uint_t   i;

    list = im_json_add_list(ctx->reply, "GroupInfo");

    for (i = 0; i < req->gids.n; i++) {

        item = im_json_push_obj(list);
        im_json_add_str(item, "GroupId", &req->gids.elts[i]);

        code = im_cmd_group_info(ctx, item, &req->gids.elts[i], req->filter,
                                 what);

        im_json_add_int(item, "ErrorCode", code);

        if (code == IM_OK) {
            im_json_add_cstr(item, "ErrorInfo", "");

        } else {
            im_json_add_str(item, "ErrorInfo", im_error_text(code));
        }
    }

    ngx_str_null(&ctx->info);

    return IM_OK;
}


static im_code_t
im_cmd_group_info(im_ctx_t *ctx, im_json_t *item, ngx_str_t *gid,
    im_json_t *filter, im_group_info_e what)
{
    im_code_t         code;
    im_json_t        *names, *self;
    im_group_t        group;
    ngx_uint_t        fields;
    im_room_user_t    user;
    im_group_role_e   role;

    code = im_group_load(ctx, gid, &group);
    if (code != IM_OK) {
        return code;
    }

    role = im_group_role(ctx, &group);

    if (role == IM_GROUP_NOBODY
        && (what == IM_INFO_FULL || !group.type->public))
    {
        return IM_E_GROUP_RIGHT;
    }

    fields = IM_GROUP_ALL;

    if (filter) {
        names = im_json_get(filter, what == IM_INFO_PUBLIC
                                    ? "GroupBasePublicInfoFilter"
                                    : "GroupBaseInfoFilter");
        fields = im_group_fields(names);
    }

    im_group_json(ctx, item, &group, fields);

    if (filter == NULL && what != IM_INFO_PUBLIC) {
        (void) im_json_add_list(item, "AppDefinedData");
    }

    if (what == IM_INFO_SELF) {

        self = im_json_add_obj(item, "SelfInfo");

        if (role == IM_GROUP_APP) {
            role = im_group_role_of(ctx, &group, &ctx->user);
        }

        if (im_room_joined(ctx->app->id, group.gno, &ctx->user, &user)
            != NGX_OK)
        {
            user.joined = (role == IM_GROUP_OWNER) ? group.created : 0;
        }

        im_json_add_str(self, "Role", im_group_role_word(role));
        im_json_add_int(self, "JoinTime", user.joined);
        im_json_add_cstr(self, "NameCard", "");
        im_json_add_str(self, "MsgFlag",
                        im_group_msg_flag_word(group.type->msg_flag));
        im_json_add_int(self, "MsgSeq", 0);
    }

    if (what == IM_INFO_FULL
        && (filter == NULL || im_json_get(filter, "MemberInfoFilter")))
    {
        return im_cmd_member_list(ctx, item, &group,
                                  filter ? im_json_get(filter,
                                                       "MemberInfoFilter")
                                         : NULL,
                                  NULL, 0, IM_MEMBERS_MAX);
    }

    return IM_OK;
}


static im_code_t
im_cmd_modify_group_base_info(im_ctx_t *ctx, void *data)
{
    im_modify_group_req_t  *req = data;

    im_code_t            code;
    ngx_str_t           *shut;
    im_group_t           group;
    im_group_role_e      role;
    im_group_changes_t   changes;

    changes.apply = -1;
    changes.shut = -1;
    changes.max_member = req->max_member.set ? req->max_member.value : -1;

    if (req->apply.data) {
        changes.apply = im_group_apply_option(&req->apply);

        if (changes.apply == NGX_ERROR) {
            ngx_str_set(&ctx->info, "\"ApplyJoinOption\" is unknown");
            return IM_E_GROUP_PARAM;
        }
    }

    shut = req->shut.data ? &req->shut : &req->mute;

    if (shut->data) {

        if (!im_str_eq_c(shut, "On") && !im_str_eq_c(shut, "Off")) {
            ngx_str_set(&ctx->info, "\"ShutUpAllMember\" is neither \"On\" "
                                    "nor \"Off\"");
            return IM_E_GROUP_PARAM;
        }

        changes.shut = im_str_eq_c(shut, "On");
    }

    code = im_cmd_group_custom(ctx, req->custom);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_load(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    if (group.type->max_member
        && changes.max_member > group.type->max_member)
    {
        ngx_str_set(&ctx->info, "\"MaxMemberNum\" is over the type's");
        return IM_E_GROUP_PARAM;
    }

    role = im_group_role(ctx, &group);

    if (role < IM_GROUP_ADMIN
        || (role != IM_GROUP_APP && group.type->profile == IM_PROFILE_APP))
    {
        return IM_E_GROUP_RIGHT;
    }

    changes.name = req->name;
    changes.intro = req->intro;
    changes.notice = req->notice;
    changes.face = req->face;

    return im_group_modify(ctx, &group, &changes);
}


static im_code_t
im_cmd_destroy_group(im_ctx_t *ctx, void *data)
{
    im_group_id_req_t  *req = data;

    im_code_t        code;
    im_group_t       group;
    im_group_role_e  role;

    code = im_group_load(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    role = im_group_role(ctx, &group);

    if (role < IM_GROUP_OWNER
        || (role == IM_GROUP_OWNER && !group.type->owner_may_destroy))
    {
        return IM_E_GROUP_RIGHT;
    }

    code = im_group_destroy(ctx, &group);

    if (code == IM_OK) {
        im_callback_group_destroyed(ctx, &group, NULL, 0);
    }

    return code;
}


/* Live rooms are not listed, and there are no other groups. */

static im_code_t
im_cmd_get_joined_group_list(im_ctx_t *ctx, void *data)
{
    im_joined_req_t  *req = data;

    if (ctx->role != IM_ROLE_ADMIN
        && !im_str_eq(&req->user, &ctx->user)
        && !im_account_is_admin(ctx->app, &ctx->user))
    {
        ngx_str_set(&ctx->info, "\"Member_Account\" is not the caller");
        return IM_E_GROUP_RIGHT;
    }

    im_json_add_int(ctx->reply, "TotalCount", 0);
    (void) im_json_add_list(ctx->reply, "GroupIdList");

    return IM_OK;
}


/* Nobody applies to a live room. */

static im_code_t
im_cmd_get_pendency(im_ctx_t *ctx, void *data)
{
    im_json_add_int(ctx->reply, "NextStartTime", 0);
    (void) im_json_add_list(ctx->reply, "PendencyList");

    return IM_OK;
}


/* No type of groups can be searched by name. */

static im_code_t
im_cmd_search_group(im_ctx_t *ctx, void *data)
{
    im_json_add_int(ctx->reply, "TotalRecord", 0);
    (void) im_json_add_list(ctx->reply, "GroupInfo");

    return IM_OK;
}


static im_code_t
im_cmd_million_group(im_ctx_t *ctx, void *data)
{
    return IM_E_TOPIC_OFF;
}


/* An app has no custom fields that it could have declared. */

static im_code_t
im_cmd_group_custom(im_ctx_t *ctx, im_json_t *custom)
{
    if (custom && custom->n) {
        ngx_str_set(&ctx->info, "\"AppDefinedData\" has an undeclared key");
        return IM_E_GROUP_PARAM;
    }

    return IM_OK;
}
