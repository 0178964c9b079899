
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_JOIN_H_INCLUDED_
#define _IM_GROUP_JOIN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_member.h"
#include "domain/im_group_notice.h"
#include "domain/im_group_pend.h"
#include "domain/im_job.h"


/* Members of stored groups: a row each, and a count. */

#define IM_GROUP_ACCOUNTS  500       /* of one call */


/* How somebody gets in. */

typedef enum {
    IM_JOIN_CREATED = 0,             /* with the group */
    IM_JOIN_APPLIED,
    IM_JOIN_INVITED,
    IM_JOIN_IMPORTED                 /* nobody is told */
} im_group_join_e;


/* Results of the wire. */

#define IM_JOIN_FAILED   0
#define IM_JOIN_ADDED    1
#define IM_JOIN_MEMBER   2
#define IM_JOIN_WAITS    3           /* for consent or approval */
#define IM_JOIN_OVER     4           /* is in too many groups */


struct im_group_new_s {
    ngx_str_t          user;
    im_group_role_e    role;         /* MEMBER or ADMIN */
    int64_t            joined;       /* 0: now */
    int64_t            unread;       /* of imported members, -1: none given */
    ngx_str_t          custom;       /* JSON, or empty */
    ngx_uint_t         result;       /* IM_JOIN_* */
    ngx_uint_t         quota;        /* operation of a batch */
};

typedef struct im_group_new_s  im_group_new_t;


/* Adds the operations that make accounts members; head: of the group. */
void im_group_join_add(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_new_t *fresh, ngx_uint_t n, int64_t head);

/* The new member whose quota has declined the batch, n: none of them. */
ngx_uint_t im_group_join_over(im_batch_t *batch, im_group_new_t *fresh,
    ngx_uint_t n);

/*
 * Makes accounts members, all in one commit, and tells everybody; results
 * come back in fresh[].  Those with result IM_JOIN_FAILED at the call are
 * left out.  10014, 10010; silent: no tip, no notice.  pend: the
 * application that is answered with the notice, or NULL; 10024: it has
 * changed.
 */
im_code_t im_group_join(im_ctx_t *ctx, im_group_t *group,
    im_group_new_t *fresh, ngx_uint_t n, im_group_join_e how,
    ngx_uint_t silent, im_group_pend_t *pend, im_group_notice_t *notice);

/*
 * Marks accounts that do not exist, are banned from the group (NULL: it is
 * new) or are in too many groups.  10019: none of them exists; 10037: none
 * of them can be in another group.
 */
im_code_t im_group_join_check(im_ctx_t *ctx, im_group_t *group,
    im_group_new_t *fresh, ngx_uint_t n);

/* The first message: everybody gets to know of the group. */
im_code_t im_group_activate(im_ctx_t *ctx, im_group_t *group);


#endif /* _IM_GROUP_JOIN_H_INCLUDED_ */
