
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_callback.h"
#include "domain/im_group.h"
#include "domain/im_group_custom.h"
#include "domain/im_group_join.h"
#include "domain/im_group_member.h"
#include "domain/im_group_notice.h"
#include "domain/im_group_tip.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


#define IM_MEMBERS_MAX     500
#define IM_IMPORT_MEMBERS  2000


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
    ngx_str_t          invite;
    im_json_t         *custom;
    im_json_t         *members;
    im_int_t           created;      /* of import_group */
} im_create_group_req_t;


typedef struct {
    ngx_str_t          gid;
    ngx_str_t          name;
    ngx_str_t          intro;
    ngx_str_t          notice;
    ngx_str_t          face;
    im_int_t           max_member;
    ngx_str_t          apply;
    ngx_str_t          invite;
    ngx_str_t          shut;
    ngx_str_t          mute;
    im_json_t         *custom;
} im_modify_group_req_t;


static im_code_t im_cmd_create_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_import_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_new_group(im_ctx_t *ctx, im_create_group_req_t *req,
    ngx_uint_t import, im_group_t *group, im_group_new_t **members,
    ngx_uint_t *n);
static im_code_t im_cmd_create_group_members(im_ctx_t *ctx,
    im_group_t *group, im_json_t *list, im_group_new_t **members,
    ngx_uint_t *n);
static im_code_t im_cmd_create_group_owner(im_ctx_t *ctx, ngx_str_t *owner,
    ngx_str_t *result);
static im_code_t im_cmd_modify_group_base_info(im_ctx_t *ctx, void *data);
static ngx_uint_t im_cmd_modify_group_may(im_group_t *group,
    im_group_role_e role, im_group_changes_t *changes);
static im_code_t im_cmd_destroy_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_million_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_create_group_custom(im_ctx_t *ctx,
    im_group_t *group, im_group_custom_e of, im_json_t *custom,
    ngx_uint_t self, ngx_str_t *text);


/* MemberList is only for create_group, CreateTime for import_group. */

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

    { ngx_string("InviteJoinOption"), IM_STR, IM_OPTIONAL,
      offsetof(im_create_group_req_t, invite), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("AppDefinedData"), IM_LIST, IM_OPTIONAL,
      offsetof(im_create_group_req_t, custom), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MemberList"), IM_LIST, IM_OPTIONAL,
      offsetof(im_create_group_req_t, members), 0, IM_MEMBERS_MAX,
      IM_E_GROUP_PARAM, IM_E_GROUP_MANY },

    { ngx_string("CreateTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_create_group_req_t, created), 1, NGX_MAX_INT32_VALUE,
      IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_modify_group_fields[] = {

    im_field_gid(im_modify_group_req_t, gid),

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

    { ngx_string("InviteJoinOption"), IM_STR, IM_OPTIONAL,
      offsetof(im_modify_group_req_t, invite), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("ShutUpAllMember"), IM_STR, IM_OPTIONAL,
      offsetof(im_modify_group_req_t, shut), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MuteAllMember"), IM_STR, IM_OPTIONAL,
      offsetof(im_modify_group_req_t, mute), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("AppDefinedData"), IM_LIST, IM_OPTIONAL,
      offsetof(im_modify_group_req_t, custom), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


im_field_t  im_group_id_fields[] = {

    im_field_gid(im_group_id_req_t, gid),

      im_null_field
};


im_command_t  im_cmd_group[] = {

    { ngx_string("group_open_http_svc"), ngx_string("create_group"),
      im_cmd_create_group, IM_BY_ADMIN|IM_BY_USER,
      im_create_group_fields, sizeof(im_create_group_req_t), 0, IM_ONCE },

    { ngx_string("group_open_http_svc"), ngx_string("import_group"),
      im_cmd_import_group, IM_BY_ADMIN,
      im_create_group_fields, sizeof(im_create_group_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("modify_group_base_info"),
      im_cmd_modify_group_base_info, IM_BY_ADMIN|IM_BY_USER,
      im_modify_group_fields, sizeof(im_modify_group_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("destroy_group"),
      im_cmd_destroy_group, IM_BY_ADMIN|IM_BY_USER,
      im_group_id_fields, sizeof(im_group_id_req_t), 0, 0 },

    { ngx_string("million_group_open_http_svc"), ngx_string("create_group"),
      im_cmd_million_group, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("million_group_open_http_svc"),
      ngx_string("get_joined_group_list"),
      im_cmd_million_group, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("million_group_open_http_svc"), ngx_string("get_pendency"),
      im_cmd_million_group, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("million_group_open_http_svc"), ngx_string("create_topic"),
      im_cmd_million_group, IM_BY_ADMIN|IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("million_group_open_http_svc"), ngx_string("modify_topic"),
      im_cmd_million_group, IM_BY_ADMIN|IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("million_group_open_http_svc"), ngx_string("get_topic"),
      im_cmd_million_group, IM_BY_ADMIN|IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("million_group_open_http_svc"), ngx_string("destroy_topic"),
      im_cmd_million_group, IM_BY_ADMIN|IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("import_topic"),
      im_cmd_million_group, IM_BY_ADMIN, NULL, 0, 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_create_group(im_ctx_t *ctx, void *data)
{
    im_create_group_req_t  *req = data;

    im_code_t        code;
    im_json_t       *over;
    ngx_uint_t       i, n;
    im_group_t       group;
    im_group_new_t  *members;

    req->created.value = 0;

    code = im_cmd_new_group(ctx, req, 0, &group, &members, &n);
    if (code != IM_OK) {
        return code;
    }

    if (group.owner.len) {
        im_group_notice_user(ctx, &group, &group.owner, IM_REPORT_CREATE, 0,
                             NULL);
    }

    im_json_add_str(ctx->reply, "GroupId", &group.gid);

    if (group.type->live) {
        im_json_add_int(ctx->reply, "HugeGroupFlag", 1);
    }

    /* those who are in too many groups already were left out */

    over = NULL;

    for (i = 0; i < n; i++) {

        if (members[i].result != IM_JOIN_OVER) {
            continue;
        }

        if (over == NULL) {
            over = im_json_add_list(ctx->reply,
                                    "OverJoinedGroupLimit_Account");
        }

        im_json_push_str(over, &members[i].user);
    }

    return IM_OK;
}


static im_code_t
im_cmd_import_group(im_ctx_t *ctx, void *data)
{
    im_create_group_req_t  *req = data;

    im_code_t        code;
    ngx_uint_t       n;
    im_group_t       group;
    im_group_new_t  *members;

    req->members = NULL;

    code = im_cmd_new_group(ctx, req, 1, &group, &members, &n);

    if (code == IM_OK) {
        im_json_add_str(ctx->reply, "GroupId", &group.gid);
    }

    return code;
}


static im_code_t
im_cmd_new_group(im_ctx_t *ctx, im_create_group_req_t *req,
    ngx_uint_t import, im_group_t *result, im_group_new_t **members,
    ngx_uint_t *n)
{
    im_code_t          code;
    ngx_int_t          apply, invite;
    im_group_t         group;
    im_group_type_t   *type;
    im_group_given_t   given;

    type = im_group_type(ctx->app, &req->type);

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

    invite = IM_INVITE_TYPE;

    if (req->invite.data) {
        invite = im_group_invite_option(&req->invite);

        if (invite == NGX_ERROR) {
            ngx_str_set(&ctx->info, "\"InviteJoinOption\" is unknown");
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

    if (import && type->live) {
        ngx_str_set(&ctx->info, "live rooms cannot be imported");
        return IM_E_GROUP_RIGHT;
    }

    if (req->created.value > ngx_time()) {
        ngx_str_set(&ctx->info, "\"CreateTime\" is in the future");
        return IM_E_GROUP_PARAM;
    }

    ngx_memzero(&group, sizeof(im_group_t));

    group.type = type;
    group.created = req->created.value;

    if (type->max_member) {
        group.max_member = req->max_member.value ? req->max_member.value
                                                 : type->max_member;

        if (import && req->max_member.value == 0) {
            group.max_member = ngx_min(group.max_member, IM_IMPORT_MEMBERS);
        }
    }

    code = im_cmd_create_group_custom(ctx, &group, IM_CUSTOM_GROUP,
                                      req->custom, 0, &group.custom);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_create_group_owner(ctx, &req->owner, &group.owner);
    if (code != IM_OK) {
        return code;
    }

    if (!type->has_owner) {
        ngx_str_null(&group.owner);
    }

    code = im_cmd_create_group_members(ctx, &group, req->members, members,
                                       n);
    if (code != IM_OK) {
        return code;
    }

    group.idle = type->activated && group.owner.len && !import;
    group.gid = req->gid;
    group.name = req->name;
    group.intro = req->intro;
    group.notice = req->notice;
    group.face = req->face;
    group.apply = type->apply_allowed ? apply : IM_APPLY_DISABLE;
    group.invite = type->live ? IM_INVITE_TYPE : invite;

    if (!import) {
        code = im_callback_group_before_create(ctx, &group, req->members);
        if (code != IM_OK) {
            return code;
        }
    }

    given.members = req->members;
    given.custom = req->custom;

    code = im_group_create(ctx, &group, *members, *n, import ? NULL : &given);

    *result = group;

    return code;
}


/* The owner comes first, and may be in the list, too. */

static im_code_t
im_cmd_create_group_members(im_ctx_t *ctx, im_group_t *group,
    im_json_t *list, im_group_new_t **members, ngx_uint_t *n)
{
    im_code_t        code;
    ngx_int_t        rc;
    ngx_str_t        role;
    im_json_t       *item;
    ngx_uint_t       i, total;
    im_group_new_t  *m;

    m = ngx_pcalloc(ctx->pool, ((list ? list->n : 0) + 1)
                               * sizeof(im_group_new_t));
    if (m == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    *members = m;
    *n = 0;

    if (!group->type->live && group->owner.len) {
        m->user = group->owner;
        m->role = IM_GROUP_MEMBER;
        m->unread = -1;
        m++;
    }

    im_json_each(item, list) {

        if (im_json_get_str(item, "Member_Account", &m->user) != NGX_OK) {
            ngx_str_set(&ctx->info, "\"Member_Account\" must be a string");
            return IM_E_GROUP_PARAM;
        }

        m->role = IM_GROUP_MEMBER;
        m->unread = -1;

        rc = im_json_get_str(item, "Role", &role);

        if (rc == NGX_OK) {
            m->role = IM_GROUP_ADMIN;
        }

        if (rc == NGX_ERROR
            || (rc == NGX_OK
                && (!group->type->has_admins
                    || !im_str_eq_c(&role, "Admin")
                    || im_str_eq(&m->user, &group->owner))))
        {
            ngx_str_set(&ctx->info, "\"Role\" is not possible here");
            return IM_E_GROUP_PARAM;
        }

        code = im_cmd_create_group_custom(ctx, group, IM_CUSTOM_MEMBER,
                   im_json_get(item, "AppMemberDefinedData"),
                   ctx->role == IM_ROLE_USER && im_str_eq(&m->user,
                                                          &ctx->user),
                   &m->custom);
        if (code != IM_OK) {
            return code;
        }

        /* the owner has a row already */

        if (im_str_eq(&m->user, &group->owner)) {
            (*members)->custom = m->custom;
        }

        m++;
    }

    if (group->type->live) {

        if (list && list->n) {
            ngx_str_set(&ctx->info, "a live room begins without members");
            return IM_E_GROUP_RIGHT;
        }

        return IM_OK;
    }

    *n = m - *members;

    if (*n == 0) {
        return IM_OK;
    }

    code = im_group_join_check(ctx, NULL, *members, *n);
    if (code != IM_OK) {
        return code;
    }

    if (group->owner.len && (*members)->result == IM_JOIN_OVER) {
        return IM_E_GROUP_JOINED_QUOTA;
    }

    total = 0;

    for (i = 0; i < *n; i++) {

        if ((*members)[i].result == IM_JOIN_FAILED) {
            return IM_E_GROUP_NO_ACCOUNT;
        }

        total += ((*members)[i].result == IM_JOIN_ADDED);
    }

    if ((int64_t) total > group->max_member) {
        ngx_str_set(&ctx->info, "\"MemberList\" has more than "
                                "\"MaxMemberCount\"");
        return IM_E_GROUP_PARAM;
    }

    return IM_OK;
}


/* Who creates a group has the rights of its owner. */

static im_code_t
im_cmd_create_group_custom(im_ctx_t *ctx, im_group_t *group,
    im_group_custom_e of, im_json_t *custom, ngx_uint_t self, ngx_str_t *text)
{
    im_code_t        code;
    im_json_t       *changed;
    im_group_role_e  role;

    code = im_group_custom_check(ctx, of, custom);
    if (code != IM_OK) {
        return code;
    }

    role = IM_GROUP_OWNER;

    if (ctx->role == IM_ROLE_ADMIN
        || im_account_is_admin(ctx->app, &ctx->user))
    {
        role = IM_GROUP_APP;
    }

    code = im_group_custom_may(ctx, group, of, custom, role, self);

    if (code != IM_OK) {
        return (code == IM_E_GROUP_RIGHT && self) ? IM_E_GROUP_REQUEST
                                                  : code;
    }

    if (im_group_custom_put(ctx, text, custom, &changed) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
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
im_cmd_modify_group_base_info(im_ctx_t *ctx, void *data)
{
    im_modify_group_req_t  *req = data;

    im_code_t            code;
    ngx_str_t           *shut;
    im_group_t           group;
    im_group_role_e      role;
    im_group_changes_t   changes;

    changes.apply = -1;
    changes.invite = -1;
    changes.shut = -1;
    changes.max_member = req->max_member.set ? req->max_member.value : -1;

    if (req->apply.data) {
        changes.apply = im_group_apply_option(&req->apply);

        if (changes.apply == NGX_ERROR) {
            ngx_str_set(&ctx->info, "\"ApplyJoinOption\" is unknown");
            return IM_E_GROUP_PARAM;
        }
    }

    if (req->invite.data) {
        changes.invite = im_group_invite_option(&req->invite);

        if (changes.invite == NGX_ERROR) {
            ngx_str_set(&ctx->info, "\"InviteJoinOption\" is unknown");
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

    code = im_group_custom_check(ctx, IM_CUSTOM_GROUP, req->custom);
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

    code = im_group_role(ctx, &group, &role);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_custom_may(ctx, &group, IM_CUSTOM_GROUP, req->custom,
                               role, 0);
    if (code != IM_OK) {
        return code;
    }

    changes.name = req->name;
    changes.intro = req->intro;
    changes.notice = req->notice;
    changes.face = req->face;
    changes.custom = req->custom;

    if (!im_cmd_modify_group_may(&group, role, &changes)) {
        return IM_E_GROUP_RIGHT;
    }

    return im_group_modify(ctx, &group, &changes);
}


/* Custom fields have rights of their own. */

static ngx_uint_t
im_cmd_modify_group_may(im_group_t *group, im_group_role_e role,
    im_group_changes_t *ch)
{
    ngx_uint_t  texts, others;

    texts = ch->name.data || ch->intro.data || ch->notice.data
            || ch->face.data;

    others = ch->apply != -1 || ch->shut != -1 || ch->max_member != -1
             || ch->invite != -1;

    if (ch->invite != -1 && role < IM_GROUP_OWNER) {
        return 0;
    }

    if (!texts && !others && ch->custom && ch->custom->n) {
        return 1;
    }

    if (role == IM_GROUP_NOBODY
        || (role != IM_GROUP_APP && group->type->profile == IM_PROFILE_APP))
    {
        return 0;
    }

    /* where members may, it is the four texts */

    return role != IM_GROUP_MEMBER
           || (group->type->profile == IM_PROFILE_MEMBER && !others);
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

    code = im_group_role(ctx, &group, &role);
    if (code != IM_OK) {
        return code;
    }

    if (role < IM_GROUP_OWNER
        || (role == IM_GROUP_OWNER && !group.type->owner_may_destroy))
    {
        return IM_E_GROUP_RIGHT;
    }

    return im_group_destroy(ctx, &group);
}


static im_code_t
im_cmd_million_group(im_ctx_t *ctx, void *data)
{
    return IM_E_TOPIC_OFF;
}
