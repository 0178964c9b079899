
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_MEMBER_EDIT_H_INCLUDED_
#define _IM_GROUP_MEMBER_EDIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_member.h"


/* What is changed of a member; -1, data NULL: not given. */

typedef struct {
    int64_t            role;         /* im_group_role_e: member or admin */
    int64_t            flag;         /* im_group_msg_flag_e */
    ngx_str_t          card;         /* NameCard */
    im_json_t         *custom;       /* checked, NULL: not given */
} im_member_changes_t;


/*
 * Changes a member of a stored group and tells whoever is to know; what is
 * as it was is no change.  10007: no member; 10004: role of the owner; 10010,
 * 10015, 10002.
 */
im_code_t im_group_member_modify(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *user, im_member_changes_t *changes);

/* The same of the owner of a live room, who has no row: flag and card. */
im_code_t im_group_owner_modify(im_ctx_t *ctx, im_group_t *group,
    im_member_changes_t *changes);

/*
 * Makes a member of a stored group its owner, and the owner a member; all
 * are told.  10007: not a member; 10010, 10015, 10002.
 */
im_code_t im_group_owner_set(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *user);


#endif /* _IM_GROUP_MEMBER_EDIT_H_INCLUDED_ */
