
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_str.h"
#include "live/im_room.h"
#include "live/im_room_node.h"
#include "domain/im_callback.h"
#include "domain/im_group_item.h"
#include "domain/im_group_join.h"
#include "domain/im_group_leave.h"
#include "domain/im_group_quota.h"
#include "domain/im_group_message.h"
#include "domain/im_group_tip.h"
#include "domain/im_room_key.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"
#include "web/im_room_peer.h"
#include "web/im_room_poll.h"


#define IM_APPLY_MSG_MAX       300
#define IM_ROOM_HISTORY        20    /* messages */
#define IM_ROOM_HISTORY_BYTES  (512 * 1024)


typedef struct {
    ngx_str_t          gid;
    ngx_str_t          msg;
    ngx_str_t          data;
    im_int_t           history;
} im_apply_req_t;


/* Messages of a room, the oldest first. */

typedef struct {
    ngx_pool_t        *pool;
    ngx_array_t        texts;        /* of ngx_str_t */
} im_apply_history_t;


typedef struct {
    ngx_str_t          gid;
} im_quit_req_t;


static im_code_t im_cmd_apply_join_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_apply_check(im_ctx_t *ctx, ngx_str_t *gid,
    im_group_t *group);
static im_code_t im_cmd_apply_user(im_ctx_t *ctx, im_group_t *group);
static im_code_t im_cmd_apply_stored(im_ctx_t *ctx, im_group_t *group,
    im_apply_req_t *req);
static ngx_int_t im_cmd_apply_history(im_ctx_t *ctx, im_group_t *group,
    int64_t start);
static ngx_int_t im_cmd_apply_item(im_bus_buf_t *buf, void *data);
static im_code_t im_cmd_apply_wait(im_ctx_t *ctx, im_group_t *group,
    im_apply_req_t *req);
static im_code_t im_cmd_apply_key(im_ctx_t *ctx, im_group_t *group,
    int64_t start);
static im_code_t im_cmd_quit_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_msg(im_ctx_t *ctx, void *data);


static im_field_t  im_apply_fields[] = {

    im_field_gid(im_apply_req_t, gid),

    { ngx_string("ApplyMsg"), IM_STR, IM_OPTIONAL,
      offsetof(im_apply_req_t, msg), 0, IM_APPLY_MSG_MAX, IM_E_GROUP_PARAM,
      0 },

    { ngx_string("UserDefinedField"), IM_STR, IM_OPTIONAL,
      offsetof(im_apply_req_t, data), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("HugeGroupHistoryMsgFlag"), IM_INT, IM_OPTIONAL,
      offsetof(im_apply_req_t, history), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_quit_fields[] = {

    im_field_gid(im_quit_req_t, gid),

      im_null_field
};


im_command_t  im_cmd_web_room[] = {

    { ngx_string("group_open_http_svc"), ngx_string("apply_join_group"),
      im_cmd_apply_join_group, IM_BY_USER,
      im_apply_fields, sizeof(im_apply_req_t), 0, 0 },

    { ngx_string("group_open_http_noauth_svc"),
      ngx_string("apply_join_group"),
      im_cmd_apply_join_group, IM_BY_USER|IM_BY_GUEST,
      im_apply_fields, sizeof(im_apply_req_t), 0, IM_NO_RATE },

    { ngx_string("group_open_http_svc"), ngx_string("quit_group"),
      im_cmd_quit_group, IM_BY_USER,
      im_quit_fields, sizeof(im_quit_req_t), 0, 0 },

    { ngx_string("group_open_http_noauth_svc"), ngx_string("quit_group"),
      im_cmd_quit_group, IM_BY_USER|IM_BY_GUEST,
      im_quit_fields, sizeof(im_quit_req_t), 0, IM_NO_RATE },

    { ngx_string("group_open_long_polling_http_svc"), ngx_string("get_msg"),
      im_cmd_get_msg, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("group_open_long_polling_http_noauth_svc"),
      ngx_string("get_msg"),
      im_cmd_get_msg, IM_BY_USER|IM_BY_GUEST, NULL, 0, 0, IM_NO_RATE },

      im_null_command
};


static im_code_t
im_cmd_apply_join_group(im_ctx_t *ctx, void *data)
{
    im_apply_req_t  *req = data;

    int64_t      start;
    im_code_t    code;
    im_group_t   group;
    ngx_uint_t   waited, admitted;

    code = im_cmd_apply_check(ctx, &req->gid, &group);

    if (code == IM_OK && ctx->role != IM_ROLE_GUEST) {
        code = im_callback_group_before_join(ctx, &group, &waited);

        if (code == IM_OK && waited) {
            code = im_cmd_apply_check(ctx, &req->gid, &group);
        }
    }

    if (code != IM_OK) {
        return code;
    }

    if (!group.type->live) {
        return im_cmd_apply_stored(ctx, &group, req);
    }

    if (ctx->role != IM_ROLE_GUEST && group.apply == IM_APPLY_PERMISSION) {

        code = im_group_pend_admit(ctx, &group, &admitted);

        if (code != IM_OK || !admitted) {
            return (code == IM_OK) ? im_cmd_apply_wait(ctx, &group, req)
                                   : code;
        }
    }

    if (im_room_open(ctx->app->id, group.gno) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    im_room_ready(ctx->app->id, group.gno);

    start = im_room_last_all(ctx->app->id, group.gno) + 1;

    if (ctx->role != IM_ROLE_GUEST) {
        code = im_cmd_apply_user(ctx, &group);
        if (code != IM_OK) {
            return code;
        }
    }

    im_json_add_cstr(ctx->reply, "JoinedStatus", "JoinedSuccess");
    im_json_add_int(ctx->reply, "HugeGroupFlag", 1);

    if (req->history.value
        && im_cmd_apply_history(ctx, &group, start) != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    if (ctx->role == IM_ROLE_GUEST || ctx->via != IM_VIA_WEB) {
        return im_cmd_apply_key(ctx, &group, start);
    }

    im_json_add_str(ctx->reply, "AVChatRoomKey", &group.gid);

    return IM_OK;
}


static im_code_t
im_cmd_apply_check(im_ctx_t *ctx, ngx_str_t *gid, im_group_t *group)
{
    im_code_t        code;
    im_group_role_e  role;

    code = im_group_load(ctx, gid, group);
    if (code != IM_OK) {
        return code;
    }

    if (!group->type->live) {

        if (ctx->role == IM_ROLE_GUEST) {
            ngx_str_set(&ctx->info, "guests cannot join this group");
            return IM_E_GROUP_RIGHT;
        }

        if (!group->type->apply_allowed || group->apply == IM_APPLY_DISABLE) {
            ngx_str_set(&ctx->info, "nobody can join this group by himself");
            return IM_E_GROUP_RIGHT;
        }

        code = im_group_role_of(ctx, group, &ctx->user, &role);

        if (code != IM_OK || role != IM_GROUP_NOBODY) {
            return (code == IM_OK) ? IM_E_GROUP_MEMBER : code;
        }
    }

    code = im_group_member_may_join(ctx, group);

    if (code != IM_OK || group->type->live) {
        return code;
    }

    code = im_group_quota_apply(ctx, group);

    if (code == IM_E_GROUP_FULL) {
        im_callback_group_full(ctx, group);
    }

    return code;
}


static im_code_t
im_cmd_apply_user(im_ctx_t *ctx, im_group_t *group)
{
    im_code_t   code;
    ngx_int_t   rc;
    ngx_uint_t  fresh;

    if (ctx->via == IM_VIA_WEB) {

        code = im_group_member_join(ctx, group, IM_ROOM_TTL, &fresh);
        if (code != IM_OK) {
            return code;
        }

        rc = im_peer_room_join(ctx, group);

        if (rc != NGX_OK) {
            return rc == NGX_BUSY ? IM_E_GROUP_JOINED_QUOTA
                                  : IM_E_GROUP_INTERNAL;
        }

    } else {
        code = im_group_member_join(ctx, group, im_room_poll_ttl(ctx->app),
                                    &fresh);
        if (code != IM_OK) {
            return code;
        }

        im_room_leaving(ctx->app->id, group->gno, &ctx->user, ctx->inst);
    }

    if (fresh && group->type->notice != IM_NOTICE_NONE) {
        im_group_tip_member(ctx, group, IM_TIP_JOIN, &ctx->user, 1);
    }

    if (fresh) {
        im_callback_group_joined(ctx, group, "Apply", &ctx->user, 1);
    }

    return IM_OK;
}


/* What was said last, as far as the bus still has it. */

static ngx_int_t
im_cmd_apply_history(im_ctx_t *ctx, im_group_t *group, int64_t start)
{
    int64_t              from, oldest;
    ngx_int_t            rc;
    ngx_str_t           *text;
    im_json_t           *list;
    ngx_uint_t           i;
    im_apply_history_t   h;

    h.pool = ctx->pool;

    if (ngx_array_init(&h.texts, ctx->pool, IM_ROOM_READ_MAX,
                       sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    from = ngx_max(start - IM_ROOM_READ_MAX, 1);

    rc = im_room_read(ctx->app->id, group->gno, from, IM_ROOM_READ_MAX,
                      IM_ROOM_HISTORY_BYTES, &oldest, im_cmd_apply_item, &h);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    list = im_json_add_list(ctx->reply, "RspMsgList");
    text = h.texts.elts;

    for (i = h.texts.nelts - ngx_min(h.texts.nelts, IM_ROOM_HISTORY);
         i < h.texts.nelts;
         i++)
    {
        im_json_push_raw(list, &text[i]);
    }

    return NGX_OK;
}


static ngx_int_t
im_cmd_apply_item(im_bus_buf_t *buf, void *data)
{
    im_apply_history_t  *h = data;

    ngx_str_t        *text;
    im_group_item_t   item;

    if (im_group_item(&buf->payload, &item) != NGX_OK || item.event != 3) {
        return NGX_OK;
    }

    text = ngx_array_push(&h->texts);
    if (text == NULL) {
        return NGX_ERROR;
    }

    return im_str_dup(h->pool, text, &item.text);
}


static im_code_t
im_cmd_apply_stored(im_ctx_t *ctx, im_group_t *group, im_apply_req_t *req)
{
    im_code_t         code;
    im_group_new_t    fresh;
    im_group_role_e   role;

    code = im_group_role(ctx, group, &role);
    if (code != IM_OK) {
        return code;
    }

    if (group->apply == IM_APPLY_PERMISSION && role != IM_GROUP_APP) {
        return im_cmd_apply_wait(ctx, group, req);
    }

    ngx_memzero(&fresh, sizeof(im_group_new_t));

    fresh.user = ctx->user;
    fresh.role = IM_GROUP_MEMBER;
    fresh.unread = -1;
    fresh.result = IM_JOIN_ADDED;

    code = im_group_join(ctx, group, &fresh, 1, IM_JOIN_APPLIED, 0, NULL,
                         NULL);
    if (code != IM_OK) {
        return code;
    }

    if (fresh.result == IM_JOIN_MEMBER) {
        return IM_E_GROUP_MEMBER;
    }

    im_json_add_cstr(ctx->reply, "JoinedStatus", "JoinedSuccess");

    return IM_OK;
}


static im_code_t
im_cmd_apply_wait(im_ctx_t *ctx, im_group_t *group, im_apply_req_t *req)
{
    im_code_t  code;

    code = im_group_pend_apply(ctx, group, &req->msg, &req->data);

    if (code == IM_OK) {
        im_json_add_cstr(ctx->reply, "JoinedStatus", "WaitAdminApproval");
    }

    return code;
}


static im_code_t
im_cmd_apply_key(im_ctx_t *ctx, im_group_t *group, int64_t start)
{
    ngx_str_t      text;
    im_room_key_t  key;

    ngx_memzero(&key, sizeof(im_room_key_t));

    key.gno = group->gno;
    key.gid = group->gid;
    key.start = start;
    key.expire = ngx_time() + IM_ROOM_KEY_LIFE;

    if (ctx->role == IM_ROLE_GUEST) {
        key.id = ((uint64_t) ngx_random() << 32) ^ ((uint64_t) ngx_pid << 20)
                 ^ (uint64_t) ngx_random();

        im_room_guest_touch(ctx->app->id, group->gno, key.id,
                            im_room_poll_ttl(ctx->app));

    } else {
        key.user = ctx->user;
        key.inst = ctx->inst;
    }

    if (im_room_key_make(ctx, &key, &text) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    im_json_add_str(ctx->reply, "LongPollingKey", &text);

    if (ctx->via == IM_VIA_WEB) {
        im_json_add_int(ctx->reply, "StartSeq", start);
    }

    return IM_OK;
}


static im_code_t
im_cmd_quit_group(im_ctx_t *ctx, void *data)
{
    im_quit_req_t  *req = data;

    im_code_t   code;
    im_group_t  group;

    code = im_group_load(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    /* a guest says neither who he is nor what key he has */

    if (ctx->role == IM_ROLE_GUEST) {
        return group.type->guest_read ? IM_OK : IM_E_GROUP_RIGHT;
    }

    if (!group.type->live) {
        return im_group_leave(ctx, &group, &ctx->user, 1, IM_LEAVE_QUIT, 0,
                              NULL);
    }

    return im_group_member_quit(ctx, &group);
}


static im_code_t
im_cmd_get_msg(im_ctx_t *ctx, void *data)
{
    return im_room_poll(ctx);
}
