
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_QUOTA_H_INCLUDED_
#define _IM_GROUP_QUOTA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group.h"


/*
 * How many groups there may be: counted rows that change in the commits of
 * what they count.
 */

typedef struct {
    ngx_uint_t         day;          /* operations of a batch */
    ngx_uint_t         total;
} im_group_quota_t;


/* The group is new, or is gone. */
void im_group_quota_add(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_quota_t *quota);
void im_group_quota_delete(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group);

/* The code of a batch that was declined: 10006, 10036; IM_OK: it was not one
 * of these. */
im_code_t im_group_quota_code(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group, im_group_quota_t *quota);

/* Groups of a type, NULL: of all. */
ngx_int_t im_group_quota_total(im_ctx_t *ctx, im_group_type_t *type,
    int64_t *total);

/* The account is in one group more, or less; the operation is declined over
 * groups_joined_max.  Answers its number. */
ngx_uint_t im_group_quota_join(im_ctx_t *ctx, im_batch_t *batch,
    ngx_str_t *user);
void im_group_quota_leave(im_ctx_t *ctx, im_batch_t *batch, ngx_str_t *user);

/* May the caller get into the group, as far as numbers go: 10037, 10014. */
im_code_t im_group_quota_apply(im_ctx_t *ctx, im_group_t *group);

/* full[i]: 1 if the account can be in no other group; at most 500. */
ngx_int_t im_group_quota_full(im_ctx_t *ctx, ngx_str_t *users, ngx_uint_t n,
    u_char *full);


#endif /* _IM_GROUP_QUOTA_H_INCLUDED_ */
