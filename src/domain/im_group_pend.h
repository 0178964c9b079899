
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_PEND_H_INCLUDED_
#define _IM_GROUP_PEND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group.h"


#define IM_PEND_LIFE  604800         /* seconds */


typedef enum {
    IM_PEND_OPEN = 0,
    IM_PEND_AGREED,
    IM_PEND_REJECTED
} im_group_pend_e;


/* Who decides. */

typedef enum {
    IM_PEND_APPLY = 0,               /* on an application: owner, admins */
    IM_PEND_INVITE,                  /* on an invitation: the invited */
    IM_PEND_PERMIT                   /* the same: owner, admins */
} im_group_pend_kind_e;


/* An application to a group, or an invitation to it. */

typedef struct {
    ngx_str_t          id;           /* key column */
    int64_t            kind;         /* im_group_pend_kind_e */
    ngx_str_t          from;         /* the applicant or inviter */
    ngx_str_t          to;           /* the invited; of an application to a
                                        live room: its owner; or empty */
    ngx_str_t          gid;
    ngx_str_t          name;         /* of the group */
    int64_t            time;         /* milliseconds: MsgKey of the notice */
    ngx_str_t          auth;         /* Authentication */
    ngx_str_t          text;         /* ApplyMsg */
    ngx_str_t          data;         /* UserDefinedField */
    int64_t            state;        /* im_group_pend_e */
    ngx_str_t          handler;
    ngx_str_t          reply;        /* ApprovalMsg */
    ngx_str_t          reply_data;
    int64_t            expire;
    int64_t            version;
} im_group_pend_t;


/* The caller applies; owner and admins are told. */
im_code_t im_group_pend_apply(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *text, ngx_str_t *data);

/* May the caller enter a live room that is entered with permission?  Besides
 * those who are in it, who has an application that was approved. */
im_code_t im_group_pend_admit(im_ctx_t *ctx, im_group_t *group,
    ngx_uint_t *admitted);

/* Of a live room that was dissolved. */
void im_group_pend_delete_all(im_ctx_t *ctx, im_group_t *group);

/* The key of an application or invitation. */
ngx_int_t im_group_pend_id(im_ctx_t *ctx, im_group_pend_t *pend);

/* NGX_DECLINED: there is none. */
ngx_int_t im_group_pend_get(im_ctx_t *ctx, im_group_t *group, ngx_str_t *id,
    im_group_pend_t *pend);

/* Begins anew: id, from and to are set. */
ngx_int_t im_group_pend_open(im_ctx_t *ctx, im_group_t *group,
    im_group_pend_t *pend);

/* Adds the row to a batch: declined if it has changed since it was read. */
void im_group_pend_put(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_pend_t *pend);

/* The caller decides; pend has what he has sent: kind, from, to, auth, time
 * (0: none), reply, reply_data.  10024, 10004, 10014. */
im_code_t im_group_pend_handle(im_ctx_t *ctx, im_group_t *group,
    im_group_pend_t *pend, ngx_uint_t agree);

/* Pushes im_group_pend_t of what the caller decides, the latest first. */
ngx_int_t im_group_pend_list(im_ctx_t *ctx, ngx_array_t *pends);

/* Up to which second the caller has seen the list. */
ngx_int_t im_group_pend_seen(im_ctx_t *ctx, int64_t *time);
ngx_int_t im_group_pend_report(im_ctx_t *ctx, int64_t time);


#endif /* _IM_GROUP_PEND_H_INCLUDED_ */
