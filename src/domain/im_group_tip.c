
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_fault.h"
#include "live/im_rate.h"
#include "live/im_room.h"
#include "live/im_room_node.h"
#include "live/im_room_settle.h"
#include "live/im_zone.h"
#include "domain/im_group_item.h"
#include "domain/im_group_member.h"
#include "domain/im_group_notice.h"
#include "domain/im_group_room.h"
#include "domain/im_group_row.h"
#include "domain/im_group_tip.h"
#include "domain/im_inbox.h"


#define IM_TIP_ACCOUNTS   10         /* that a client shows */
#define IM_TIP_EXPIRE     60         /* seconds, of OnlineMemberInfo */
#define IM_KEY_TIP_RATE   (IM_KEY_OTHER + 9)

#define IM_GROUP_SIGNAL_AHEAD  20    /* ms */


static ngx_int_t im_group_tip_rate(im_ctx_t *ctx, im_group_t *group);
static void im_group_tip_init(im_ctx_t *ctx, ngx_uint_t op, ngx_uint_t prio,
    im_group_tip_t *tip);
static ngx_int_t im_group_tip_append(im_ctx_t *ctx, im_group_t *group,
    im_job_t *job, im_json_t *body);
static ngx_int_t im_group_tip_live(im_ctx_t *ctx, im_group_t *group,
    im_group_tip_t *tip);
static ngx_int_t im_group_tip_online(im_ctx_t *ctx, im_group_t *group,
    im_json_t *body, uint64_t except, ngx_str_t *event);
static void im_group_tip_lost(im_ctx_t *ctx, im_group_t *group);


void
im_group_tip_member(im_ctx_t *ctx, im_group_t *group, ngx_uint_t op,
    ngx_str_t *users, ngx_uint_t n)
{
    im_group_tip_t  tip;

    im_group_tip_users(ctx, group, op, users, n, 1, &tip);
    im_group_tip_tell(ctx, group, &tip);
}


void
im_group_tip_users(im_ctx_t *ctx, im_group_t *group, ngx_uint_t op,
    ngx_str_t *users, ngx_uint_t n, ngx_uint_t type, im_group_tip_t *tip)
{
    int64_t      online;
    im_json_t   *list, *extra, *info;
    ngx_uint_t   i;

    ngx_memzero(tip, sizeof(im_group_tip_t));

    if (group->type->live) {

        if (im_group_tip_rate(ctx, group) != NGX_OK) {
            return;
        }

    } else if (group->type->notice == IM_NOTICE_NONE
               && op <= IM_TIP_KICK)
    {
        return;
    }

    im_group_tip_init(ctx, op, IM_ROOM_LOW, tip);

    list = im_json_add_list(tip->body, "List_Account");
    extra = im_json_add_list(tip->body, "MsgMemberExtraInfo");

    for (i = 0; i < n; i++) {
        im_json_push_str(list, &users[i]);

        if (i < IM_TIP_ACCOUNTS) {
            im_group_item_profile(ctx, im_json_push_obj(extra), &users[i]);
        }
    }

    if (op == IM_TIP_JOIN) {
        im_json_add_int(tip->body, "GroupJoinType", type);
    }

    if (group->type->live) {
        online = im_group_member_count(ctx, group);

        im_json_add_int(tip->body, "MemberNum", online);

        info = im_json_add_obj(tip->body, "OnlineMemberInfo");
        im_json_add_int(info, "OnlineMemberNum", online);
        im_json_add_int(info, "ExpireTime", IM_TIP_EXPIRE);
    }
}


void
im_group_tip_mute(im_ctx_t *ctx, im_group_t *group, ngx_str_t *users,
    ngx_uint_t n, int64_t seconds, im_group_tip_t *tip)
{
    im_json_t   *list, *item;
    ngx_uint_t   i;

    ngx_memzero(tip, sizeof(im_group_tip_t));

    if (group->type->notice != IM_NOTICE_STORED) {
        return;
    }

    im_group_tip_init(ctx, IM_TIP_MEMBER, IM_ROOM_HIGH, tip);

    list = im_json_add_list(tip->body, "List_Account");

    for (i = 0; i < n; i++) {
        im_json_push_str(list, &users[i]);
    }

    list = im_json_add_list(tip->body, "MsgMemberExtraInfo");

    for (i = 0; i < ngx_min(n, IM_TIP_ACCOUNTS); i++) {
        im_group_item_profile(ctx, im_json_push_obj(list), &users[i]);
    }

    list = im_json_add_list(tip->body, "MsgMemberInfo");

    for (i = 0; i < n; i++) {
        item = im_json_push_obj(list);
        im_json_add_str(item, "User_Account", &users[i]);
        im_json_add_int(item, "ShutupTime", seconds);
    }
}


void
im_group_tip_info(im_ctx_t *ctx, im_group_t *group, im_json_t *info,
    im_group_tip_t *tip)
{
    ngx_memzero(tip, sizeof(im_group_tip_t));

    im_group_tip_init(ctx, IM_TIP_INFO, IM_ROOM_HIGH, tip);

    im_json_add_list(tip->body, "MsgMemberExtraInfo");
    im_json_add_node(tip->body, "MsgGroupNewInfo", info);
}


static void
im_group_tip_init(im_ctx_t *ctx, ngx_uint_t op, ngx_uint_t prio,
    im_group_tip_t *tip)
{
    tip->prio = prio;
    tip->body = im_json_new_obj(ctx->pool);

    im_json_add_int(tip->body, "OpType", op);
    im_json_add_str(tip->body, "Operator_Account", &ctx->user);

    im_group_item_profile(ctx, im_json_add_obj(tip->body,
                                               "MsgOperatorMemberExtraInfo"),
                          &ctx->user);
}


ngx_int_t
im_group_tip_add(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_tip_t *tip)
{
    if (group->idle) {
        tip->body = NULL;
    }

    if (tip->body == NULL
        || group->type->live
        || group->type->notice != IM_NOTICE_STORED)
    {
        return NGX_OK;
    }

    if (im_json_render(ctx->pool, tip->body, &tip->job.arg) != NGX_OK) {
        return NGX_ERROR;
    }

    tip->job.num = group->gno;

    return im_job_add(ctx, batch, "tip", &tip->job.arg, tip->job.num,
                      &tip->job.id);
}


void
im_group_tip_tell(im_ctx_t *ctx, im_group_t *group, im_group_tip_t *tip)
{
    ngx_int_t  rc;
    ngx_str_t  event;

    if (tip->body == NULL) {
        return;
    }

    if (tip->job.id.len) {

        im_fault("before_tip");

        rc = im_group_tip_append(ctx, group, &tip->job, tip->body);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            im_job_start(ctx, &tip->job.id);
        }

        return;
    }

    rc = group->type->live ? im_group_tip_live(ctx, group, tip)
                           : im_group_tip_online(ctx, group, tip->body, 0,
                                                 &event);

    if (rc != NGX_OK && rc != NGX_ABORT) {
        im_group_tip_lost(ctx, group);
    }
}


ngx_int_t
im_group_tip_step(im_ctx_t *ctx, im_job_t *job)
{
    im_code_t    code;
    ngx_int_t    rc;
    im_json_t   *body;
    im_group_t   group;

    code = im_group_load_gno(ctx, job->num, &group);

    if (code == IM_E_GROUP_NONE) {
        return NGX_OK;
    }

    if (code != IM_OK) {
        return NGX_BUSY;
    }

    rc = im_json_parse(ctx->pool, &job->arg, IM_JSON_DEPTH, &body);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    rc = im_group_tip_append(ctx, &group, job, body);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


/*
 * It takes a number and is part of the history.  The job goes in the same
 * commit: whoever does it, it is done once.  NGX_DECLINED: it was.
 */

static ngx_int_t
im_group_tip_append(im_ctx_t *ctx, im_group_t *group, im_job_t *job,
    im_json_t *body)
{
    int64_t          type;
    im_key_t         key;
    ngx_int_t        rc;
    ngx_uint_t       op;
    im_batch_t      *batch;
    im_group_row_t   row;

    if (im_json_get_int(body, "OpType", &type) == NGX_OK
        && type <= IM_TIP_KICK)
    {
        im_json_add_int(body, "MemberNum", im_group_member_count(ctx, group));
    }

    ngx_memzero(&row, sizeof(im_group_row_t));

    row.type = IM_ROW_TIP;
    ngx_str_set(&row.from, IM_GROUP_SYSTEM);
    row.time = ngx_time();
    row.random = (ngx_random() & 0x3fffffff) + 1;
    row.prio = IM_ROOM_HIGH;

    if (im_json_render(ctx->pool, body, &row.body) != NGX_OK) {
        return NGX_ERROR;
    }

    im_key_init(&key, ctx->app->id);
    im_key_str(&key, &job->id);

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_store_expect(batch, IM_T_JOB, &key, -1);
    im_store_delete(batch, IM_T_JOB, &key);

    op = im_group_row_append(ctx, batch, group, &row);

    rc = im_store_commit(ctx, batch);
    if (rc != NGX_OK) {
        return rc;
    }

    row.seq = batch->ops[op].result;

    im_group_row_publish(ctx, group, &row, 0);

    return NGX_OK;
}


static ngx_int_t
im_group_tip_live(im_ctx_t *ctx, im_group_t *group, im_group_tip_t *tip)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    /* where nobody is listed, nobody is told */

    if (group->type->listed == 0) {
        return NGX_OK;
    }

    rc = im_group_item_system(ctx, group, IM_ITEM_TIP, tip->body, NULL, NULL,
                              NULL, &text);

    if (rc == NGX_OK) {
        rc = im_group_room_publish(ctx, group, tip->prio, &text, IM_ITEM_TIP, 0,
                                   NULL);
    }

    return rc;
}


static void
im_group_tip_lost(im_ctx_t *ctx, im_group_t *group)
{
    ngx_log_error(NGX_LOG_WARN, ctx->log, 0, "a tip to group \"%V\" was lost",
                  &group->gid);
}


/*
 * Whoever has the answer of the command finds the change at all members: web
 * SDK 2.x answers questions about attributes from what it was told.  The
 * acting connection is told together with the answer, for what comes earlier
 * would wake its process for the answer before it has looked at the others.
 * A process with several clients that was busy finds all of it at once, and
 * looks at its connections in any order: what the others got is ahead by
 * IM_GROUP_SIGNAL_AHEAD.
 */

void
im_group_signal(im_ctx_t *ctx, im_group_t *group, im_json_t *body)
{
    ngx_int_t        rc;
    im_code_t        code;
    ngx_str_t        event;
    im_group_role_e  role;

    if (!group->type->live) {
        rc = im_group_tip_online(ctx, group, body, ctx->peer, &event);

    } else {
        rc = im_group_item_system(ctx, group, IM_ITEM_SIGNAL, body, NULL,
                                  NULL, NULL, &event);

        if (rc == NGX_OK) {
            rc = im_group_room_publish(ctx, group, IM_ROOM_HIGH, &event,
                                       IM_ITEM_SIGNAL, ctx->peer, NULL);
        }
    }

    if (rc != NGX_OK) {
        if (rc != NGX_ABORT) {
            im_group_tip_lost(ctx, group);
        }

        return;
    }

    im_room_settle(ctx->app->id, group->gno);

    if (ctx->peer == 0) {
        return;
    }

    im_co_sleep(IM_GROUP_SIGNAL_AHEAD);

    if (group->type->live) {
        rc = im_room_joined_all(ctx->app->id, group->gno, &ctx->user, NULL);

    } else {
        code = im_group_role_of(ctx, group, &ctx->user, &role);
        rc = (code == IM_OK && role != IM_GROUP_NOBODY) ? NGX_OK
                                                        : NGX_DECLINED;
    }

    if (rc == NGX_OK) {
        ctx->event = event;
    }
}


/* Changes of members have a limit of their own, so that a crowd that enters
 * does not take the place of messages. */

static ngx_int_t
im_group_tip_rate(im_ctx_t *ctx, im_group_t *group)
{
    u_char     key[IM_ZONE_KEY_LEN];
    ngx_str_t  part;

    if (group->type->tip_rate <= 0) {
        return NGX_OK;
    }

    part.data = (u_char *) &group->gno;
    part.len = sizeof(int64_t);

    im_zone_key(key, ctx->app->id, IM_KEY_TIP_RATE, &part, 1);

    return im_rate_take(key, group->type->tip_rate, group->type->tip_rate,
                        ngx_current_msec);
}


/* Its MsgSeq is that of the last message. */

static ngx_int_t
im_group_tip_online(im_ctx_t *ctx, im_group_t *group, im_json_t *body,
    uint64_t except, ngx_str_t *event)
{
    int64_t     head;
    ngx_int_t   rc;
    ngx_str_t   empty;
    im_json_t  *root, *item, *info;

    rc = im_group_head(ctx, group->gno, &head, NULL);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_set(&empty, "");

    root = im_json_new_obj(ctx->pool);
    im_json_add_int(root, "Event", 6);
    item = im_json_push_obj(im_json_add_list(root, "GroupTips"));

    im_json_add_int(item, "Event", 6);
    im_json_add_int(item, "MsgSeq", head);
    im_json_add_str(item, "ToGroupId", &group->gid);
    im_json_add_cstr(item, "From_Account", IM_GROUP_SYSTEM);
    im_json_add_int(item, "MsgRandom", (ngx_random() & 0x3fffffff) + 1);
    im_json_add_int(item, "MsgTimeStamp", ngx_time());
    im_json_add_int(item, "MsgClientTime", ngx_time());
    im_json_add_int(item, "IsPlaceMsg", 0);

    info = im_json_add_obj(item, "GroupInfo");
    im_json_add_str(info, "GroupId", &group->gid);
    im_json_add_str(info, "GroupName", &group->name);
    im_json_add_str(info, "GroupType", &group->type->name);
    im_json_add_str(info, "From_AccountNick", &empty);
    im_json_add_str(info, "From_AccountHeadurl", &empty);

    im_json_add_node(item, "MsgBody", body);

    rc = im_json_render(ctx->pool, root, event);

    if (rc == NGX_OK) {
        im_group_hint(ctx, group, event, 0, except);
    }

    return rc;
}


im_code_t
im_group_notice_room(im_ctx_t *ctx, im_group_t *group, ngx_uint_t report,
    ngx_str_t *data)
{
    ngx_int_t   rc;
    ngx_str_t   none, text;
    im_json_t  *body, *extra;

    body = im_json_new_obj(ctx->pool);

    im_json_add_int(body, "ReportType", report);
    im_json_add_str(body, "Operator_Account", &ctx->user);

    extra = im_json_add_obj(body, "MsgOperatorMemberExtraInfo");
    im_group_item_profile(ctx, extra, &ctx->user);

    if (data) {
        im_json_add_str(body, "UserDefinedField", data);
    }

    if (!group->type->live) {

        /* everybody gets the same: a receiver in it would be nobody */

        ngx_str_set(&none, "");

        rc = im_group_item_system(ctx, group, IM_ITEM_NOTICE, body, &none,
                                  data, NULL, &text);
        if (rc == NGX_OK) {
            im_group_hint(ctx, group, &text, 0, 0);
        }

        return im_group_code(rc);
    }

    rc = im_group_item_system(ctx, group, IM_ITEM_NOTICE, body, NULL, data,
                              NULL, &text);

    if (rc == NGX_OK) {
        rc = im_group_room_publish(ctx, group, IM_ROOM_HIGH, &text,
                                   IM_ITEM_NOTICE,
                                   (report == IM_REPORT_DESTROY) ? ctx->peer
                                                                 : 0,
                                   NULL);
    }

    return (rc == NGX_DECLINED) ? IM_E_SIZE : im_group_code(rc);
}


void
im_group_notice_user(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    ngx_uint_t report, int64_t seconds, ngx_str_t *why)
{
    ngx_str_t   text;
    im_json_t  *body, *extra;

    body = im_json_new_obj(ctx->pool);

    im_json_add_int(body, "ReportType", report);
    im_json_add_str(body, "Operator_Account", &ctx->user);

    extra = im_json_add_obj(body, "MsgOperatorMemberExtraInfo");
    im_group_item_profile(ctx, extra, &ctx->user);

    if (report == IM_REPORT_BANNED) {
        im_json_add_int(body, "BanDuration", seconds);

        if (why) {
            im_json_add_str(body, "BanDescription", why);
            im_json_add_str(body, "RemarkInfo", why);
        }
    }

    if (im_group_item_system(ctx, group, IM_ITEM_NOTICE, body, user, NULL,
                             NULL, &text)
        != NGX_OK)
    {
        ngx_log_error(NGX_LOG_WARN, ctx->log, 0,
                      "a notice of group \"%V\" was lost", &group->gid);
        return;
    }

    /* what is for other devices of the one who acts needs no row */

    im_inbox_publish(ctx, user, 0,
                     (report == IM_REPORT_BANNED) ? 0 : ctx->inst, &text);
}
