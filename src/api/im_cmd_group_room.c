
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "live/im_room.h"
#include "live/im_room_node.h"
#include "domain/im_elem.h"
#include "domain/im_group_broadcast.h"
#include "domain/im_group_member.h"
#include "domain/im_profile.h"
#include "domain/im_word.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


#define IM_ONLINE_PAGE      500
#define IM_ONLINE_MAX       1000
#define IM_ONLINE_EXPIRE    60

#define IM_MARK_ACCOUNTS    500
#define IM_MARK_HIDDEN      600      /* not in the list of who is online */
#define IM_MARK_FIRST       1000     /* of the app's own */


typedef struct {
    ngx_str_t          gid;
    im_int_t           timestamp;
    im_int_t           mark;
} im_members_req_t;


typedef struct {
    ngx_str_t          gid;
    im_int_t           type;
    im_json_t         *members;
} im_mark_req_t;


typedef struct {
    ngx_str_t          from;
    im_int_t           random;
    im_json_t         *body;
    ngx_str_t          cloud;
} im_broadcast_req_t;


static im_code_t im_cmd_get_members(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_modify_user_info(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_mark_check(im_ctx_t *ctx, im_json_t *members,
    im_group_role_e *role);
static im_code_t im_cmd_get_online_member_num(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_send_broadcast_msg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_group_live(im_ctx_t *ctx, ngx_str_t *gid,
    im_group_t *group);


static im_field_t  im_members_fields[] = {

    im_field_gid(im_members_req_t, gid),

    { ngx_string("Timestamp"), IM_INT, IM_REQUIRED,
      offsetof(im_members_req_t, timestamp), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Mark"), IM_INT, IM_OPTIONAL,
      offsetof(im_members_req_t, mark), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_mark_fields[] = {

    im_field_gid(im_mark_req_t, gid),

    { ngx_string("CommandType"), IM_INT, IM_REQUIRED,
      offsetof(im_mark_req_t, type), 1, 2, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MemberList"), IM_LIST, IM_REQUIRED,
      offsetof(im_mark_req_t, members), 0, IM_MARK_ACCOUNTS,
      IM_E_GROUP_PARAM, IM_E_GROUP_MANY },

      im_null_field
};


static im_field_t  im_broadcast_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_broadcast_req_t, from), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("Random"), IM_INT, IM_REQUIRED,
      offsetof(im_broadcast_req_t, random), 0, 4294967296, IM_E_GROUP_PARAM,
      0 },

    { ngx_string("MsgBody"), IM_LIST, IM_REQUIRED,
      offsetof(im_broadcast_req_t, body), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("CloudCustomData"), IM_STR, IM_OPTIONAL,
      offsetof(im_broadcast_req_t, cloud), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_group_room[] = {

    { ngx_string("group_open_avchatroom_http_svc"), ngx_string("get_members"),
      im_cmd_get_members, IM_BY_ADMIN|IM_BY_USER,
      im_members_fields, sizeof(im_members_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("get_online_member_num"),
      im_cmd_get_online_member_num, IM_BY_ADMIN|IM_BY_USER,
      im_group_id_fields, sizeof(im_group_id_req_t), 0, 0 },

    { ngx_string("group_open_avchatroom_http_svc"),
      ngx_string("modify_user_info"),
      im_cmd_modify_user_info, IM_BY_ADMIN|IM_BY_USER,
      im_mark_fields, sizeof(im_mark_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("send_broadcast_msg"),
      im_cmd_send_broadcast_msg, IM_BY_ADMIN,
      im_broadcast_fields, sizeof(im_broadcast_req_t), 1, IM_RATE_MESSAGE },

      im_null_command
};


/* The Timestamp of a page is how many newer members came before. */

static im_code_t
im_cmd_get_members(im_ctx_t *ctx, void *data)
{
    im_members_req_t  *req = data;

    int64_t          next;
    im_code_t        code;
    ngx_int_t        rc;
    ngx_str_t       *names;
    im_json_t       *list, *item, *marks;
    im_group_t       group;
    ngx_uint_t       i, k, n;
    im_profile_t    *profiles;
    im_room_user_t  *users;

    code = im_cmd_group_live(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_require(ctx, &group, IM_GROUP_MEMBER);
    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(ctx->reply, "MemberList");

    if (req->timestamp.value < 0
        || req->timestamp.value >= IM_ONLINE_MAX
        || req->mark.value < 0
        || req->mark.value > NGX_MAX_UINT32_VALUE)
    {
        im_json_add_int(ctx->reply, "NextTimestamp", 0);
        return IM_OK;
    }

    users = ngx_palloc(ctx->pool, IM_ONLINE_PAGE * sizeof(im_room_user_t));
    if (users == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    n = im_room_marked_all(ctx->app->id, group.gno, req->mark.value,
                           IM_MARK_HIDDEN, req->timestamp.value, users,
                           IM_ONLINE_PAGE);

    names = ngx_palloc(ctx->pool, (n + 1) * sizeof(ngx_str_t));
    profiles = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_profile_t));

    if (names == NULL || profiles == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    for (i = 0; i < n; i++) {
        names[i].data = users[i].name;
        names[i].len = users[i].len;
    }

    rc = im_profile_get_many(ctx, names, n, profiles);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    for (i = 0; i < n; i++) {
        item = im_json_push_obj(list);

        im_json_add_str(item, "Member_Account", &names[i]);
        im_json_add_int(item, "JoinTime", users[i].joined);
        im_json_add_str(item, "NickName", &profiles[i].nick);
        im_json_add_str(item, "Avatar", &profiles[i].face);
        im_json_add_str(item, "FaceUrl", &profiles[i].face);

        marks = im_json_add_list(item, "Marks");

        for (k = 0; k < users[i].nmarks; k++) {
            im_json_push_int(marks, users[i].marks[k]);
        }
    }

    next = req->timestamp.value + n;

    im_json_add_int(ctx->reply, "NextTimestamp",
                    (n == IM_ONLINE_PAGE && next < IM_ONLINE_MAX) ? next : 0);

    return IM_OK;
}


static im_code_t
im_cmd_get_online_member_num(im_ctx_t *ctx, void *data)
{
    im_group_id_req_t  *req = data;

    im_code_t   code;
    im_group_t  group;

    code = im_cmd_group_live(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    im_json_add_int(ctx->reply, "OnlineMemberNum",
                    im_group_member_count(ctx, &group));
    im_json_add_int(ctx->reply, "ExpireTime", IM_ONLINE_EXPIRE);

    return IM_OK;
}


/* Those who are not there are left out; that nobody is fails. */

static im_code_t
im_cmd_modify_user_info(im_ctx_t *ctx, void *data)
{
    im_mark_req_t  *req = data;

    im_code_t        code;
    ngx_int_t        rc;
    im_json_t       *list, *item, *node, *mark;
    im_group_t       group;
    ngx_uint_t       i, k, n, done, full;
    im_room_mark_t  *marks;
    im_group_role_e  role;

    code = im_cmd_mark_check(ctx, req->members, &role);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_group_live(ctx, &req->gid, &group);

    if (code == IM_OK) {
        code = im_group_require(ctx, &group, role);
    }

    if (code != IM_OK) {
        return code;
    }

    marks = ngx_pcalloc(ctx->pool,
                        req->members->n * sizeof(im_room_mark_t));
    if (marks == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    n = 0;

    im_json_each(item, req->members) {

        (void) im_json_get_str(item, "Member_Account", &marks[n].user);

        node = im_json_get(item, "Marks");

        im_json_each(mark, node) {
            marks[n].marks[marks[n].n++] = mark->num;
        }

        n++;
    }

    rc = im_room_mark_all(ctx->app->id, group.gno, marks, n,
                          req->type.value == 1);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    list = im_json_new_list(ctx->pool);
    full = 0;
    done = 0;

    for (i = 0; i < n; i++) {

        full |= (marks[i].rc == NGX_BUSY);

        if (marks[i].rc != NGX_OK) {
            continue;
        }

        node = im_json_push_obj(list);
        im_json_add_str(node, "Member_Account", &marks[i].user);
        node = im_json_add_list(node, "Marks");

        for (k = 0; k < marks[i].n; k++) {
            im_json_push_int(node, marks[i].marks[k]);
        }

        done++;
    }

    if (done == 0) {

        if (full) {
            ngx_str_set(&ctx->info, "too many marks, or members with one");

        } else {
            ngx_str_set(&ctx->info, "none of the accounts is in the room");
        }

        return IM_E_GROUP_PARAM;
    }

    im_json_add_int(ctx->reply, "CommandType", req->type.value);
    im_json_add_node(ctx->reply, "MemberList", list);

    return IM_OK;
}


/* *role: who may set or remove such marks */

static im_code_t
im_cmd_mark_check(im_ctx_t *ctx, im_json_t *members, im_group_role_e *role)
{
    ngx_str_t   user;
    im_json_t  *item, *mark, *marks;

    *role = IM_GROUP_OWNER;

    im_json_each(item, members) {

        marks = im_json_get(item, "Marks");

        if (im_json_get_str(item, "Member_Account", &user) != NGX_OK
            || marks == NULL
            || marks->type != IM_JSON_LIST
            || marks->n == 0
            || marks->n > IM_ROOM_MARKS)
        {
            ngx_str_set(&ctx->info, "\"MemberList\" must have "
                                    "\"Member_Account\" and 1 to 10 "
                                    "\"Marks\"");
            return IM_E_GROUP_PARAM;
        }

        im_json_each(mark, marks) {

            if (mark->type != IM_JSON_NUM
                || !mark->is_int
                || (mark->num < IM_MARK_FIRST && mark->num != IM_MARK_HIDDEN)
                || mark->num > NGX_MAX_INT32_VALUE)
            {
                ngx_str_set(&ctx->info, "\"Marks\" must be numbers from "
                                        "1000 on, or 600");
                return IM_E_GROUP_PARAM;
            }

            if (mark->num == IM_MARK_HIDDEN) {
                *role = IM_GROUP_APP;
            }
        }
    }

    return IM_OK;
}


static im_code_t
im_cmd_send_broadcast_msg(im_ctx_t *ctx, void *data)
{
    im_broadcast_req_t  *req = data;

    im_code_t        code;
    im_group_send_t  send;

    ngx_memzero(&send, sizeof(im_group_send_t));

    code = im_elem_check(ctx, req->body, &im_elem_group_rest, &req->cloud,
                         &send.body);
    if (code != IM_OK) {
        return code;
    }

    if (im_word_dirty_message(ctx, &send.body)) {
        return IM_E_DIRTY;
    }

    send.prio = IM_ROOM_HIGH;
    send.random = req->random.value;
    send.cloud = req->cloud;

    code = im_cmd_send_group_msg_from(ctx, &req->from, &send);

    if (code == IM_OK) {
        code = im_group_broadcast(ctx, &send);
    }

    if (code == IM_OK) {
        im_json_add_int(ctx->reply, "MsgSeq", send.seq);
    }

    return code;
}


/* A live room whose members are known. */

static im_code_t
im_cmd_group_live(im_ctx_t *ctx, ngx_str_t *gid, im_group_t *group)
{
    im_code_t  code;

    code = im_group_load(ctx, gid, group);

    if (code == IM_OK && (!group->type->live || group->type->listed == 0)) {
        return IM_E_GROUP_RIGHT;
    }

    return code;
}
