
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_LEAVE_H_INCLUDED_
#define _IM_GROUP_LEAVE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_member.h"


/* How somebody gets out. */

typedef enum {
    IM_LEAVE_KICKED = 0,
    IM_LEAVE_QUIT,
    IM_LEAVE_DELETED                 /* with the account: the owner, too */
} im_group_leave_e;


/*
 * Members of a stored group leave it, all in one commit, and everybody is
 * told; those of n users, at most 500, who are no members are left out.  A
 * group whose last member leaves is dissolved.  users are written over: first
 * those who have left.  silent: no tip; why: text of the notice to those who
 * are removed, or NULL.
 * 10007: the owner is removed, or who quits is no member; 10009: the owner
 * quits a group of a type that does not allow it; 10010, 10015, 10002.
 */
im_code_t im_group_leave(im_ctx_t *ctx, im_group_t *group, ngx_str_t *users,
    ngx_uint_t n, im_group_leave_e how, ngx_uint_t silent, ngx_str_t *why);


#endif /* _IM_GROUP_LEAVE_H_INCLUDED_ */
