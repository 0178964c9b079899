
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_INVITE_H_INCLUDED_
#define _IM_GROUP_INVITE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_join.h"


/* InviteJoinOption of the group, or by its type: im_group_invite_option_e,
 * never IM_INVITE_TYPE. */
ngx_uint_t im_group_invite(im_group_t *group);

/*
 * The caller brings in those whose result is IM_JOIN_ADDED, role: his.  They
 * are members at once, or results become IM_JOIN_WAITS: each of them, or
 * owner and admins, are asked.  10007, 10014, 10010.
 */
im_code_t im_group_invite_send(im_ctx_t *ctx, im_group_t *group,
    im_group_new_t *fresh, ngx_uint_t n, im_group_role_e role,
    ngx_uint_t silent);

/* The notice that asks. */
void im_group_invite_notice(im_group_pend_t *pend,
    im_group_notice_t *notice);


#endif /* _IM_GROUP_INVITE_H_INCLUDED_ */
