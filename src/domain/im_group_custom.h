
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_CUSTOM_H_INCLUDED_
#define _IM_GROUP_CUSTOM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_member.h"


/*
 * Custom fields, which the app declares by type: AppDefinedData of groups,
 * AppMemberDefinedData of members.  On the wire and in rows a list of
 * objects with Key and Value.
 */

typedef enum {
    IM_CUSTOM_GROUP = 0,
    IM_CUSTOM_MEMBER
} im_group_custom_e;


/* The form of a list that was given, NULL: none.  10004. */
im_code_t im_group_custom_check(im_ctx_t *ctx, im_group_custom_e of,
    im_json_t *list);

/* Are its keys declared (10004), and may the role write them (10007)?  self:
 * the field of a member is the caller's own. */
im_code_t im_group_custom_may(im_ctx_t *ctx, im_group_t *group,
    im_group_custom_e of, im_json_t *list, im_group_role_e role,
    ngx_uint_t self);

/*
 * Puts a checked list into the text of a row, an empty Value deletes.
 * *changed: the pairs that are new or others now; it is empty, not NULL, if
 * there are none.
 */
ngx_int_t im_group_custom_put(im_ctx_t *ctx, ngx_str_t *text,
    im_json_t *list, im_json_t **changed);

/* The pairs of a list that the role may read; names: a list of keys, NULL:
 * all. */
im_json_t *im_group_custom_readable(im_ctx_t *ctx, im_group_t *group,
    im_group_custom_e of, im_json_t *list, im_json_t *names,
    im_group_role_e role, ngx_uint_t self);

/* Adds the member AppDefinedData or AppMemberDefinedData. */
void im_group_custom_json(im_ctx_t *ctx, im_json_t *obj, im_group_t *group,
    im_group_custom_e of, ngx_str_t *text, im_json_t *names,
    im_group_role_e role, ngx_uint_t self);


#endif /* _IM_GROUP_CUSTOM_H_INCLUDED_ */
