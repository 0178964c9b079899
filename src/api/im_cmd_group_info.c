
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "live/im_room.h"
#include "live/im_room_node.h"
#include "domain/im_account.h"
#include "domain/im_group.h"
#include "domain/im_group_custom.h"
#include "domain/im_group_join.h"
#include "domain/im_group_list.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "domain/im_group_quota.h"
#include "domain/im_group_read.h"
#include "domain/im_group_row.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


#define IM_GROUPS_MAX          50
#define IM_GROUP_LIST          10000
#define IM_GROUP_INFO_MEMBERS  500
#define IM_GROUP_ROOMS         64


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
    ngx_str_t          user;
    ngx_str_t          type;
    im_int_t           limit;
    im_int_t           offset;
    im_int_t           huge;
    im_int_t           idle;
    im_json_t         *filter;
    im_json_t         *base;         /* of filter */
    im_json_t         *self;
} im_joined_req_t;


/* What a ResponseFilter names: lists, NULL if it has not the one. */

typedef struct {
    im_json_t           *base;
    im_json_t           *custom;
    im_member_filter_t   members;
    ngx_uint_t           all;        /* there is no ResponseFilter */
} im_info_filter_t;


/* How an entry of GroupInfo is made. */

typedef enum {
    IM_INFO_FULL = 0,                /* get_group_info */
    IM_INFO_SELF,                    /* get_group_self_member_info */
    IM_INFO_PUBLIC                   /* get_group_public_info */
} im_group_info_e;


static im_code_t im_cmd_get_appid_group_list(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_group_info(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_group_self_member_info(im_ctx_t *ctx,
    void *data);
static im_code_t im_cmd_get_group_public_info(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_group_infos(im_ctx_t *ctx, im_group_info_req_t *req,
    im_group_info_e what);
static im_code_t im_cmd_group_entry(im_ctx_t *ctx, im_json_t *item,
    ngx_str_t *gid, im_info_filter_t *filter, im_group_info_e what);
static im_code_t im_cmd_group_filter(im_ctx_t *ctx, im_json_t *filter,
    const char *name, im_json_t **names);
static im_code_t im_cmd_get_joined_group_list(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_joined_rooms(im_ctx_t *ctx, im_joined_req_t *req,
    im_group_type_t *type, int64_t limit, int64_t *total, im_json_t *list);
static im_code_t im_cmd_joined_item(im_ctx_t *ctx, im_joined_req_t *req,
    im_group_t *group, im_group_joined_t *joined, im_json_t *list);
static int ngx_libc_cdecl im_cmd_joined_cmp(const void *one,
    const void *two);
static im_code_t im_cmd_group_self(im_ctx_t *ctx, im_json_t *self,
    im_group_t *group, im_group_role_e role, im_member_filter_t *filter);
static im_code_t im_cmd_group_self_member(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *user, im_group_member_t *m);
static im_code_t im_cmd_search_group(im_ctx_t *ctx, void *data);


static im_field_t  im_group_list_fields[] = {

    { ngx_string("Limit"), IM_INT, IM_OPTIONAL,
      offsetof(im_group_list_req_t, limit), 1, IM_GROUP_LIST,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("Next"), IM_INT, IM_OPTIONAL,
      offsetof(im_group_list_req_t, next), 0, NGX_MAX_INT_T_VALUE - 1,
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


im_command_t  im_cmd_group_info[] = {

    { ngx_string("group_open_http_svc"), ngx_string("get_appid_group_list"),
      im_cmd_get_appid_group_list, IM_BY_ADMIN,
      im_group_list_fields, sizeof(im_group_list_req_t), 1,
      IM_RATE_GROUP|IM_BOUNDED },

    { ngx_string("group_open_http_svc"), ngx_string("get_group_info"),
      im_cmd_get_group_info, IM_BY_ADMIN|IM_BY_USER,
      im_group_info_fields, sizeof(im_group_info_req_t), 0,
      IM_BOUNDED },

    { ngx_string("group_open_http_svc"),
      ngx_string("get_group_self_member_info"),
      im_cmd_get_group_self_member_info, IM_BY_USER,
      im_group_info_fields, sizeof(im_group_info_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("get_group_public_info"),
      im_cmd_get_group_public_info, IM_BY_USER,
      im_group_info_fields, sizeof(im_group_info_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("get_joined_group_list"),
      im_cmd_get_joined_group_list, IM_BY_ADMIN|IM_BY_USER,
      im_joined_fields, sizeof(im_joined_req_t), 0, IM_BOUNDED },

    { ngx_string("group_open_http_svc"), ngx_string("search_group"),
      im_cmd_search_group, IM_BY_USER, NULL, 0, 0, 0 },

      im_null_command
};


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
        type = im_group_type(ctx->app, &req->type);

        if (type == NULL) {
            ngx_str_set(&ctx->info, "\"GroupType\" is unknown");
            return IM_E_GROUP_PARAM;
        }
    }

    limit = req->limit.set ? req->limit.value : IM_GROUP_LIST;

    if (ngx_array_init(&gids, ctx->pool, 64, sizeof(ngx_str_t)) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    rc = im_group_quota_total(ctx, type, &total);

    if (rc == NGX_OK) {
        rc = im_group_list(ctx, type, req->next.value, limit, &gids, &next);
    }

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
    im_code_t          code;
    im_json_t         *list, *item;
    ngx_uint_t         i;
    im_info_filter_t   filter;

    filter.all = (req->filter == NULL);

    code = im_cmd_group_filter(ctx, req->filter,
                               what == IM_INFO_PUBLIC
                               ? "GroupBasePublicInfoFilter"
                               : "GroupBaseInfoFilter", &filter.base);

    if (code == IM_OK) {
        code = im_cmd_group_filter(ctx, req->filter,
                                   "AppDefinedDataFilter_Group",
                                   &filter.custom);
    }

    if (code == IM_OK) {
        code = im_cmd_group_filter(ctx, req->filter, "MemberInfoFilter",
                                   &filter.members.names);
    }

    if (code == IM_OK) {
        code = im_cmd_group_filter(ctx, req->filter,
                                   "AppDefinedDataFilter_GroupMember",
                                   &filter.members.custom);
    }

    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(ctx->reply, "GroupInfo");

    for (i = 0; i < req->gids.n; i++) {

        item = im_json_push_obj(list);
        im_json_add_str(item, "GroupId", &req->gids.elts[i]);

        code = im_cmd_group_entry(ctx, item, &req->gids.elts[i], &filter,
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
im_cmd_group_entry(im_ctx_t *ctx, im_json_t *item, ngx_str_t *gid,
    im_info_filter_t *filter, im_group_info_e what)
{
    im_code_t         code;
    im_group_t        group;
    im_group_role_e   role;

    code = im_group_load(ctx, gid, &group);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_role(ctx, &group, &role);
    if (code != IM_OK) {
        return code;
    }

    if (role == IM_GROUP_NOBODY
        && (what == IM_INFO_FULL || !group.type->public))
    {
        return IM_E_GROUP_RIGHT;
    }

    im_group_json(ctx, item, &group, filter->all
                                     ? IM_GROUP_ALL
                                     : im_group_fields(filter->base));

    if (filter->all || filter->custom) {
        im_group_custom_json(ctx, item, &group, IM_CUSTOM_GROUP,
                             &group.custom, filter->custom,
                             (what == IM_INFO_PUBLIC) ? IM_GROUP_NOBODY
                                                      : role, 0);
    }

    if (what == IM_INFO_SELF) {

        if (role == IM_GROUP_APP) {
            code = im_group_role_of(ctx, &group, &ctx->user, &role);
            if (code != IM_OK) {
                return code;
            }
        }

        code = im_cmd_group_self(ctx, im_json_add_obj(item, "SelfInfo"),
                                 &group, role, &filter->members);
        if (code != IM_OK) {
            return code;
        }
    }

    /* a list that is empty is as good as none */

    if (what == IM_INFO_FULL
        && (filter->all
            || (filter->members.names && filter->members.names->n)))
    {
        return im_cmd_member_list(ctx, item, &group, &filter->members, NULL,
                                  0, IM_GROUP_INFO_MEMBERS);
    }

    return IM_OK;
}


static im_code_t
im_cmd_group_filter(im_ctx_t *ctx, im_json_t *filter, const char *name,
    im_json_t **names)
{
    im_json_t  *node;

    *names = NULL;

    node = im_json_get(filter, name);

    if (node == NULL || node->type == IM_JSON_NULL) {
        return IM_OK;
    }

    if (node->type != IM_JSON_LIST) {
        ngx_str_set(&ctx->info, "\"ResponseFilter\" must have lists of names");
        return IM_E_GROUP_PARAM;
    }

    *names = node;

    return IM_OK;
}


static im_code_t
im_cmd_group_self(im_ctx_t *ctx, im_json_t *self, im_group_t *group,
    im_group_role_e role, im_member_filter_t *filter)
{
    im_code_t           code;
    im_group_member_t   m;

    code = im_cmd_group_self_member(ctx, group, &ctx->user, &m);
    if (code != IM_OK) {
        return code;
    }

    im_json_add_str(self, "Role", im_group_role_word(role));
    im_json_add_int(self, "JoinTime", m.joined);
    im_json_add_str(self, "NameCard", &m.card);
    im_json_add_str(self, "MsgFlag", im_group_msg_flag_word(m.flag));
    im_json_add_int(self, "MsgSeq", m.read);
    im_json_add_int(self, "ShutUpUntil", m.muted);
    im_cmd_member_custom(ctx, self, group, &m, filter, role);

    return IM_OK;
}


/* What the user is in a group of either kind. */

static im_code_t
im_cmd_group_self_member(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_group_member_t *m)
{
    ngx_int_t        rc;
    im_room_user_t   joined;

    if (!group->type->live) {

        rc = im_group_member_get(ctx, group, user, m);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        return im_group_member_fill(ctx, group, m, 1);
    }

    ngx_memzero(m, sizeof(im_group_member_t));

    m->user = *user;
    m->flag = group->type->msg_flag;

    if (im_str_eq(user, &group->owner)) {
        m->joined = group->created;
        im_group_member_owner(group, m);
    }

    if (im_room_joined_all(ctx->app->id, group->gno, user, &joined) == NGX_OK) {
        m->joined = joined.joined;

        if (m->role == IM_GROUP_NOBODY) {
            m->role = IM_GROUP_MEMBER;
        }
    }

    return im_group_member_fill(ctx, group, m, 1);
}


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
        type = im_group_type(ctx->app, &req->type);

        if (type == NULL) {
            ngx_str_set(&ctx->info, "\"GroupType\" is unknown");
            return IM_E_GROUP_PARAM;
        }
    }

    code = im_cmd_group_filter(ctx, req->filter, "GroupBaseInfoFilter",
                               &req->base);

    if (code == IM_OK) {
        code = im_cmd_group_filter(ctx, req->filter, "SelfInfoFilter",
                                   &req->self);
    }

    if (code != IM_OK) {
        return code;
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

    if (req->huge.value) {
        code = im_cmd_joined_rooms(ctx, req, type, limit, &total, list);
        if (code != IM_OK) {
            return code;
        }
    }

    im_json_add_int(ctx->reply, "TotalCount", total);
    im_json_add_node(ctx->reply, "GroupIdList", list);

    return IM_OK;
}


/* Live rooms come last: who is in one is with its connections. */

static im_code_t
im_cmd_joined_rooms(im_ctx_t *ctx, im_joined_req_t *req,
    im_group_type_t *type, int64_t limit, int64_t *total, im_json_t *list)
{
    uint64_t            gnos[IM_GROUP_ROOMS];
    im_code_t           code;
    ngx_uint_t          i, n;
    im_group_t          group;
    im_group_joined_t   joined;

    n = im_room_of_user(ctx->app->id, &req->user, 0, gnos, IM_GROUP_ROOMS);

    for (i = 0; i < n; i++) {

        code = im_group_load_gno(ctx, gnos[i], &group);

        if (code == IM_E_GROUP_NONE) {
            continue;
        }

        if (code != IM_OK) {
            return code;
        }

        if (group.type->listed == 0 || (type && type != group.type)) {
            continue;
        }

        (*total)++;

        if (*total <= req->offset.value
            || *total > req->offset.value + limit)
        {
            continue;
        }

        ngx_memzero(&joined, sizeof(im_group_joined_t));
        joined.gno = gnos[i];

        code = im_cmd_joined_item(ctx, req, &group, &joined, list);
        if (code != IM_OK) {
            return code;
        }
    }

    return IM_OK;
}


static im_code_t
im_cmd_joined_item(im_ctx_t *ctx, im_joined_req_t *req, im_group_t *group,
    im_group_joined_t *joined, im_json_t *list)
{
    int64_t             head, unread;
    ngx_int_t           rc;
    im_code_t           code;
    im_json_t          *item, *self;
    ngx_array_t         rows;
    im_group_row_t     *row;
    im_group_member_t   m;

    item = im_json_push_obj(list);
    im_json_add_str(item, "GroupId", &group->gid);

    if (req->base) {
        im_group_json(ctx, item, group, im_group_fields(req->base));

        if (ngx_array_init(&rows, ctx->pool, 1, sizeof(im_group_row_t))
            != NGX_OK)
        {
            return IM_E_GROUP_INTERNAL;
        }

        rc = im_group_rows_changed(ctx, group->gno, IM_GROUP_MSG_RECALL, 0,
                                   IM_DESC, 1, &rows);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        row = rows.elts;

        im_json_add_int(item, "LastRecallTime",
                        rows.nelts ? row->recalled : 0);
    }

    if (req->self == NULL) {
        return IM_OK;
    }

    code = im_cmd_group_self_member(ctx, group, &req->user, &m);
    if (code != IM_OK) {
        return code;
    }

    self = im_json_add_obj(item, "SelfInfo");

    im_cmd_member_json(self, group, &m, req->self);

    if (im_cmd_named(req->self, "UnreadMsgNum") && group->type->live) {
        im_json_add_int(self, "UnreadMsgNum", 0);

    } else if (im_cmd_named(req->self, "UnreadMsgNum")) {

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
