
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_LIST_H_INCLUDED_
#define _IM_GROUP_LIST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group.h"


/* Lists of groups and of their members, read a page at a time. */

#define IM_GROUPS_JOINED   5000      /* of one account that are listed */


/* A group of an account. */

typedef struct {
    int64_t            gno;
    int64_t            role;         /* im_group_role_e */
    int64_t            joined;       /* seconds */
    int64_t            flag;         /* im_group_msg_flag_e */
    int64_t            first;        /* im_group_member_t */
} im_group_joined_t;


/* A walk over the members, in order of their names. */

typedef struct {
    ngx_array_t       *users;        /* of ngx_str_t */
    im_key_t          *last;         /* len 0 at the beginning */
    ngx_uint_t         n;            /* rows that were read */
    ngx_uint_t         admins;       /* 1: only those are pushed */
} im_members_walk_t;


/*
 * Pushes ngx_str_t, the GroupIds of groups with a number above "after", in
 * order of creation, at most limit; type NULL: of all types.  *next: where
 * to go on, 0: there are no others.  Fewer come when a great many are of
 * other types.  NGX_OK, NGX_BUSY, NGX_ERROR.
 */
ngx_int_t im_group_list(im_ctx_t *ctx, im_group_type_t *type, int64_t after,
    ngx_uint_t limit, ngx_array_t *gids, int64_t *next);

/* Makes a list of the stored groups of an account, im_group_joined_t, by
 * number.  NGX_OK, NGX_BUSY, NGX_ERROR. */
ngx_int_t im_group_joined(im_ctx_t *ctx, ngx_str_t *user, ngx_array_t *list);

/* Pushes ngx_str_t: the owner, and the admins if the type has some; some 200
 * of them.  NGX_OK, NGX_BUSY, NGX_ERROR. */
ngx_int_t im_group_admins(im_ctx_t *ctx, im_group_t *group,
    ngx_array_t *users);

/* The next members of a stored group, at most limit; those who walk->n < limit
 * tells are the last ones.  NGX_OK, NGX_BUSY, NGX_ERROR. */
ngx_int_t im_group_members(im_ctx_t *ctx, int64_t gno, im_members_walk_t *walk,
    ngx_uint_t limit);


#endif /* _IM_GROUP_LIST_H_INCLUDED_ */
