
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "live/im_room.h"
#include "domain/im_account.h"
#include "domain/im_callback.h"
#include "domain/im_group.h"
#include "domain/im_group_join.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "domain/im_group_read.h"
#include "domain/im_group_row.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


#define IM_GROUPS_MAX   50
#define IM_MEMBERS_MAX  500
#define IM_GROUP_LIST   10000
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
    im_json_t         *custom;
    im_json_t         *members;
    im_int_t           created;      /* of import_group */
} im_create_group_req_t;


typedef struct {
    im_int_t           limit;
    im_int_t           next;
    ngx_str_t          type;
} im_group_list_req_t;


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
    ngx_str_t          type;
    im_int_t           limit;
    im_int_t           offset;
    im_int_t           huge;
    im_int_t           idle;
    im_json_t         *filter;
} im_joined_req_t;


/* How an entry of GroupInfo is made. */

typedef enum {
    IM_INFO_FULL = 0,                /* get_group_info */
    IM_INFO_SELF,                    /* get_group_self_member_info */
    IM_INFO_PUBLIC                   /* get_group_public_info */
} im_group_info_e;


static im_code_t im_cmd_create_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_import_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_new_group(im_ctx_t *ctx, im_create_group_req_t *req,
    ngx_uint_t import, im_group_t *group);
static im_code_t im_cmd_get_appid_group_list(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_create_group_members(im_ctx_t *ctx,
    im_group_t *group, im_json_t *list, im_group_new_t **members,
    ngx_uint_t *n);
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
static im_code_t im_cmd_joined_item(im_ctx_t *ctx, im_joined_req_t *req,
    im_group_t *group, im_group_joined_t *joined, im_json_t *list);
static int ngx_libc_cdecl im_cmd_joined_cmp(const void *one,
    const void *two);
static im_code_t im_cmd_group_self(im_ctx_t *ctx, im_json_t *self,
    im_group_t *group, im_group_role_e role);
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


static im_field_t  im_import_group_fields[] = {

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

    { ngx_string("CreateTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_create_group_req_t, created), 1, NGX_MAX_INT32_VALUE,
      IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_group_list_fields[] = {

    { ngx_string("Limit"), IM_INT, IM_OPTIONAL,
      offsetof(im_group_list_req_t, limit), 1, IM_GROUP_LIST,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("Next"), IM_INT, IM_OPTIONAL,
      offsetof(im_group_list_req_t, next), 0, NGX_MAX_INT_T_VALUE,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("GroupType"), IM_STR, IM_OPTIONAL,
      offsetof(im_group_list_req_t, type), 0, 0, IM_E_GROUP_PARAM, 0 },

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

    { ngx_string("GroupType"), IM_STR, IM_OPTIONAL,
      offsetof(im_joined_req_t, type), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Limit"), IM_INT, IM_OPTIONAL,
      offsetof(im_joined_req_t, limit), 1, IM_GROUPS_JOINED,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("Offset"), IM_INT, IM_OPTIONAL,
      offsetof(im_joined_req_t, offset), 0, NGX_MAX_INT32_VALUE,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("WithHugeGroups"), IM_INT, IM_OPTIONAL,
      offsetof(im_joined_req_t, huge), 0, 1, IM_E_GROUP_PARAM, 0 },

    { ngx_string("WithNoActiveGroups"), IM_INT, IM_OPTIONAL,
      offsetof(im_joined_req_t, idle), 0, 1, IM_E_GROUP_PARAM, 0 },

    { ngx_string("ResponseFilter"), IM_OBJ, IM_OPTIONAL,
      offsetof(im_joined_req_t, filter), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_group[] = {

    { ngx_string("group_open_http_svc"), ngx_string("create_group"),
      im_cmd_create_group, IM_BY_ADMIN|IM_BY_USER,
      im_create_group_fields, sizeof(im_create_group_req_t), 0, IM_ONCE },

    { ngx_string("group_open_http_svc"), ngx_string("import_group"),
      im_cmd_import_group, IM_BY_ADMIN,
      im_import_group_fields, sizeof(im_create_group_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("get_appid_group_list"),
      im_cmd_get_appid_group_list, IM_BY_ADMIN,
      im_group_list_fields, sizeof(im_group_list_req_t), 1, 0 },

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

    im_code_t   code;
    im_group_t  group;

    code = im_cmd_new_group(ctx, req, 0, &group);
    if (code != IM_OK) {
        return code;
    }

    im_callback_group_after_create(ctx, &group, req->members);

    if (group.owner.len) {
        im_group_notice_user(ctx, &group, &group.owner, IM_REPORT_CREATE, 0,
                             NULL);
    }

    im_json_add_str(ctx->reply, "GroupId", &group.gid);

    if (group.type->live) {
        im_json_add_int(ctx->reply, "HugeGroupFlag", 1);
    }

    return IM_OK;
}


static im_code_t
im_cmd_import_group(im_ctx_t *ctx, void *data)
{
    im_code_t   code;
    im_group_t  group;

    code = im_cmd_new_group(ctx, data, 1, &group);

    if (code == IM_OK) {
        im_json_add_str(ctx->reply, "GroupId", &group.gid);
    }

    return code;
}


static im_code_t
im_cmd_new_group(im_ctx_t *ctx, im_create_group_req_t *req,
    ngx_uint_t import, im_group_t *result)
{
    im_code_t         code;
    ngx_int_t         apply;
    ngx_uint_t        n;
    im_group_t        group;
    im_group_new_t   *members;
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

    code = im_cmd_create_group_owner(ctx, &req->owner, &group.owner);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_create_group_members(ctx, &group, req->members, &members,
                                       &n);
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

    if (!import) {
        code = im_callback_group_before_create(ctx, &group, req->members);
        if (code != IM_OK) {
            return code;
        }
    }

    code = im_group_create(ctx, &group, members, n);

    *result = group;

    return code;
}


/* Next is the number of the last group of a page; groups have theirs in the
 * order of their creation. */

static im_code_t
im_cmd_get_appid_group_list(im_ctx_t *ctx, void *data)
{
    im_group_list_req_t  *req = data;

    int64_t            next, total;
    ngx_int_t          rc;
    im_json_t         *list, *item;
    ngx_str_t         *gid;
    ngx_uint_t         i, limit;
    ngx_array_t        gids;
    im_group_type_t   *type;

    type = NULL;

    if (req->type.len) {
        type = im_group_type(&req->type);

        if (type == NULL) {
            ngx_str_set(&ctx->info, "\"GroupType\" is unknown");
            return IM_E_GROUP_PARAM;
        }
    }

    limit = req->limit.set ? req->limit.value : IM_GROUP_LIST;

    if (ngx_array_init(&gids, ctx->pool, 64, sizeof(ngx_str_t)) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    rc = im_group_list(ctx, type, req->next.value, limit, &gids, &next,
                       &total);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    im_json_add_int(ctx->reply, "TotalCount", total);
    list = im_json_add_list(ctx->reply, "GroupIdList");
    im_json_add_int(ctx->reply, "Next", next);

    gid = gids.elts;

    for (i = 0; i < gids.nelts; i++) {
        item = im_json_push_obj(list);
        im_json_add_str(item, "GroupId", &gid[i]);
    }

    return IM_OK;
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

        code = im_cmd_member_custom(ctx, im_json_get(item,
                                                  "AppMemberDefinedData"));
        if (code != IM_OK) {
            return code;
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

    code = im_group_join_check(ctx, *members, *n);
    if (code != IM_OK) {
        return code;
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


im_code_t
im_cmd_member_custom(im_ctx_t *ctx, im_json_t *custom)
{
    if (custom && custom->type == IM_JSON_LIST && custom->n) {
        ngx_str_set(&ctx->info, "\"AppMemberDefinedData\" has an undeclared "
                                "key");
        return IM_E_GROUP_PARAM;
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
    im_json_t        *names;
    im_group_t        group;
    ngx_uint_t        fields;
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

        if (role == IM_GROUP_APP) {
            role = im_group_role_of(ctx, &group, &ctx->user);
        }

        code = im_cmd_group_self(ctx, im_json_add_obj(item, "SelfInfo"),
                                 &group, role);
        if (code != IM_OK) {
            return code;
        }
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
im_cmd_group_self(im_ctx_t *ctx, im_json_t *self, im_group_t *group,
    im_group_role_e role)
{
    im_code_t           code;
    ngx_int_t           rc;
    im_room_user_t      user;
    im_group_member_t   m;

    ngx_memzero(&m, sizeof(im_group_member_t));
    m.user = ctx->user;
    m.flag = group->type->msg_flag;

    if (!group->type->live) {

        rc = im_group_member_get(ctx, group, &ctx->user, &m);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

    } else if (im_room_joined(ctx->app->id, group->gno, &ctx->user, &user)
               == NGX_OK)
    {
        m.joined = user.joined;

    } else {
        m.joined = (role == IM_GROUP_OWNER) ? group->created : 0;
    }

    code = im_group_member_fill(ctx, group, &m, 1);
    if (code != IM_OK) {
        return code;
    }

    im_json_add_str(self, "Role", im_group_role_word(role));
    im_json_add_int(self, "JoinTime", m.joined);
    im_json_add_str(self, "NameCard", &m.card);
    im_json_add_str(self, "MsgFlag", im_group_msg_flag_word(m.flag));
    im_json_add_int(self, "MsgSeq", m.read);
    im_json_add_int(self, "ShutUpUntil", m.muted);

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

    if (role == IM_GROUP_NOBODY
        || (role != IM_GROUP_APP && group.type->profile == IM_PROFILE_APP))
    {
        return IM_E_GROUP_RIGHT;
    }

    /* where members may, it is the four texts */

    if (role == IM_GROUP_MEMBER
        && (group.type->profile != IM_PROFILE_MEMBER
            || changes.apply != -1
            || changes.shut != -1
            || changes.max_member != -1))
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


/* Live rooms are not listed: who is in one is with its connections. */

static im_code_t
im_cmd_get_joined_group_list(im_ctx_t *ctx, void *data)
{
    im_joined_req_t  *req = data;

    int64_t             total, limit;
    im_code_t           code;
    ngx_int_t           rc;
    im_json_t          *list;
    ngx_uint_t          i;
    im_group_t          group;
    ngx_array_t         all;
    im_group_type_t    *type;
    im_group_joined_t  *joined;

    if (ctx->role != IM_ROLE_ADMIN
        && !im_str_eq(&req->user, &ctx->user)
        && !im_account_is_admin(ctx->app, &ctx->user))
    {
        ngx_str_set(&ctx->info, "\"Member_Account\" is not the caller");
        return IM_E_GROUP_RIGHT;
    }

    type = NULL;

    if (req->type.len) {
        type = im_group_type(&req->type);

        if (type == NULL) {
            ngx_str_set(&ctx->info, "\"GroupType\" is unknown");
            return IM_E_GROUP_PARAM;
        }
    }

    if (ngx_array_init(&all, ctx->pool, 16, sizeof(im_group_joined_t))
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    rc = im_group_joined(ctx, &req->user, &all);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    ngx_qsort(all.elts, all.nelts, sizeof(im_group_joined_t),
              im_cmd_joined_cmp);

    list = im_json_new_list(ctx->pool);
    joined = all.elts;
    limit = req->limit.set ? req->limit.value : IM_GROUPS_JOINED;
    total = 0;

    for (i = 0; i < all.nelts; i++) {

        code = im_group_load_gno(ctx, joined[i].gno, &group);

        if (code == IM_E_GROUP_NONE) {   /* it is being dissolved */
            continue;
        }

        if (code != IM_OK) {
            return code;
        }

        if ((type && type != group.type)
            || (group.idle && !req->idle.value
                && !im_str_eq(&group.owner, &req->user)))
        {
            continue;
        }

        total++;

        if (total <= req->offset.value || total > req->offset.value + limit) {
            continue;
        }

        code = im_cmd_joined_item(ctx, req, &group, &joined[i], list);
        if (code != IM_OK) {
            return code;
        }
    }

    im_json_add_int(ctx->reply, "TotalCount", total);
    im_json_add_node(ctx->reply, "GroupIdList", list);

    return IM_OK;
}


static im_code_t
im_cmd_joined_item(im_ctx_t *ctx, im_joined_req_t *req, im_group_t *group,
    im_group_joined_t *joined, im_json_t *list)
{
    int64_t             head, unread;
    ngx_int_t           rc;
    im_code_t           code;
    im_json_t          *item, *self, *base, *fields;
    ngx_array_t         rows;
    im_group_row_t     *row;
    im_group_member_t   m;

    item = im_json_push_obj(list);
    im_json_add_str(item, "GroupId", &group->gid);

    base = im_json_get(req->filter, "GroupBaseInfoFilter");
    fields = im_json_get(req->filter, "SelfInfoFilter");

    if (base) {
        im_group_json(ctx, item, group, im_group_fields(base));

        if (ngx_array_init(&rows, ctx->pool, 1, sizeof(im_group_row_t))
            != NGX_OK)
        {
            return IM_E_GROUP_INTERNAL;
        }

        rc = im_group_rows_recalled(ctx, group->gno, 0, IM_DESC, 1, &rows);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        row = rows.elts;

        im_json_add_int(item, "LastRecallTime",
                        rows.nelts ? row->recalled : 0);
    }

    if (fields == NULL) {
        return IM_OK;
    }

    rc = im_group_member_get(ctx, group, &req->user, &m);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return im_group_code(rc);
    }

    code = im_group_member_fill(ctx, group, &m, 1);
    if (code != IM_OK) {
        return code;
    }

    self = im_json_add_obj(item, "SelfInfo");

    im_cmd_member_json(self, group, &m, fields);

    if (im_cmd_named(fields, "UnreadMsgNum")) {

        rc = im_group_head(ctx, group->gno, &head, NULL);

        if (rc == NGX_OK) {
            rc = im_group_unread(ctx, group, m.read, head, &unread);
        }

        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        im_json_add_int(self, "UnreadMsgNum", unread);
    }

    return IM_OK;
}


static int ngx_libc_cdecl
im_cmd_joined_cmp(const void *one, const void *two)
{
    const im_group_joined_t  *a = one;
    const im_group_joined_t  *b = two;

    if (a->joined != b->joined) {
        return a->joined < b->joined ? -1 : 1;
    }

    return (a->gno > b->gno) - (a->gno < b->gno);
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
