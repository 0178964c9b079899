
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_TIP_H_INCLUDED_
#define _IM_GROUP_TIP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group.h"
#include "domain/im_job.h"


/* OpType of tips (groups.md 21). */

#define IM_TIP_JOIN        1
#define IM_TIP_QUIT        2
#define IM_TIP_KICK        3
#define IM_TIP_ADMIN       4
#define IM_TIP_NO_ADMIN    5
#define IM_TIP_INFO        6
#define IM_TIP_MEMBER      7
#define IM_TIP_BAN         10
#define IM_TIP_UNBAN       11


/*
 * Tips: what all members of a group are told of a change.  A tip that is part
 * of the history becomes a job in the commit of its cause: it is told at
 * once, or after a crash.
 */

typedef struct {
    im_json_t         *body;         /* MsgBody, NULL: nobody is told */
    ngx_uint_t         prio;         /* im_room_prio_e */
    im_job_t           job;          /* id is empty: no part of the history */
} im_group_tip_t;

/* Users join (type: GroupJoinType, 1 applied, 2 invited), leave, are made
 * admins, banned ...; op: IM_TIP_*. */
void im_group_tip_users(im_ctx_t *ctx, im_group_t *group, ngx_uint_t op,
    ngx_str_t *users, ngx_uint_t n, ngx_uint_t type, im_group_tip_t *tip);

/* Users are muted for so many seconds, 0: are no longer. */
void im_group_tip_mute(im_ctx_t *ctx, im_group_t *group, ngx_str_t *users,
    ngx_uint_t n, int64_t seconds, im_group_tip_t *tip);

/* The profile changes; info: MsgGroupNewInfo. */
void im_group_tip_info(im_ctx_t *ctx, im_group_t *group, im_json_t *info,
    im_group_tip_t *tip);

/* Adds the tip to the batch of its cause. */
ngx_int_t im_group_tip_add(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group, im_group_tip_t *tip);

/* After the commit. */
void im_group_tip_tell(im_ctx_t *ctx, im_group_t *group,
    im_group_tip_t *tip);
ngx_int_t im_group_tip_step(im_ctx_t *ctx, im_job_t *job);

/* The same of users for live rooms, which store nothing; over tip_rate:
 * nothing. */
void im_group_tip_member(im_ctx_t *ctx, im_group_t *group, ngx_uint_t op,
    ngx_str_t *users, ngx_uint_t n);

/* A tip that only web SDK 2.x understands; body: MsgBody. */
void im_group_signal(im_ctx_t *ctx, im_group_t *group, im_json_t *body);

/* A notice to all; data: UserDefinedField, or NULL. */
im_code_t im_group_notice_room(im_ctx_t *ctx, im_group_t *group,
    ngx_uint_t report, ngx_str_t *data);

/* A notice to one account. */
void im_group_notice_user(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    ngx_uint_t report, int64_t seconds, ngx_str_t *text);


#endif /* _IM_GROUP_TIP_H_INCLUDED_ */
