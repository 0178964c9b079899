
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


/* An application to a group. */

typedef struct {
    ngx_str_t          from;         /* key column "id": the applicant */
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

/* NGX_DECLINED: there is none. */
ngx_int_t im_group_pend_get(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *from, im_group_pend_t *pend);

/* Adds the row to a batch: declined if it has changed since it was read. */
void im_group_pend_put(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_pend_t *pend);

/* The caller decides; pend has what he has sent: from, auth, time, reply,
 * reply_data.  10024, 10004, 10014. */
im_code_t im_group_pend_handle(im_ctx_t *ctx, im_group_t *group,
    im_group_pend_t *pend, ngx_uint_t agree);

/* Pushes im_group_pend_t of the groups where the caller decides, the latest
 * first. */
ngx_int_t im_group_pend_list(im_ctx_t *ctx, ngx_array_t *pends);


#endif /* _IM_GROUP_PEND_H_INCLUDED_ */
