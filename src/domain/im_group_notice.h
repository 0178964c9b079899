
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_NOTICE_H_INCLUDED_
#define _IM_GROUP_NOTICE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group.h"


/* ReportType of notices (groups.md 21). */

#define IM_REPORT_APPLY    1
#define IM_REPORT_ACCEPT   2
#define IM_REPORT_REFUSE   3
#define IM_REPORT_KICKED   4
#define IM_REPORT_DESTROY  5
#define IM_REPORT_CREATE   6
#define IM_REPORT_INVITED  7
#define IM_REPORT_QUIT     8
#define IM_REPORT_ADMIN    9
#define IM_REPORT_NO_ADMIN 10
#define IM_REPORT_INVITE   12        /* the invited is to consent */
#define IM_REPORT_INVITE_ACCEPT  13
#define IM_REPORT_INVITE_REFUSE  14
#define IM_REPORT_RECYCLED 11
#define IM_REPORT_READ     15
#define IM_REPORT_FLAG     20
#define IM_REPORT_BANNED   21
#define IM_REPORT_PERMIT   22        /* an invitation is to be approved */
#define IM_REPORT_CUSTOM   255


/* A system notice to one account; what is empty is left out. */

typedef struct {
    ngx_uint_t         report;       /* IM_REPORT_* */
    ngx_str_t          from;         /* who acts, empty: the caller */
    ngx_str_t          text;         /* RemarkInfo */
    ngx_str_t          auth;         /* Authentication */
    int64_t            key;          /* MsgKey */
    ngx_str_t          data;         /* UserDefinedField */
    ngx_str_t          flag;         /* MsgFlag */
    ngx_str_t          invited;      /* List_Account: who is invited */
} im_group_notice_t;


/* A notice in a batch. */

typedef struct {
    ngx_str_t          user;
    ngx_str_t          event;
    ngx_uint_t         op;
} im_group_noticed_t;


/*
 * Adds the row to the batch: it is kept for the user until he has handled
 * it.  After the commit im_group_notice_tell() tells his sessions.
 */
ngx_int_t im_group_notice_add(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group, ngx_str_t *user, im_group_notice_t *notice,
    im_group_noticed_t *noticed);
void im_group_notice_tell(im_ctx_t *ctx, im_batch_t *batch,
    im_group_noticed_t *noticed, ngx_uint_t n);

/* Both, in a commit of its own, for n users. */
ngx_int_t im_group_notice_send(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *users, ngx_uint_t n, im_group_notice_t *notice);

/* To those who are connected only; except: the acting instance, or 0. */
void im_group_notice_hint(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_group_notice_t *notice, uint32_t except);

/* Tells the sessions of a user that he is (not) in the group any more. */
void im_group_joined_hint(im_ctx_t *ctx, int64_t gno, ngx_str_t *user,
    ngx_uint_t joined);


#endif /* _IM_GROUP_NOTICE_H_INCLUDED_ */
