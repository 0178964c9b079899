
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CMD_GROUP_H_INCLUDED_
#define _IM_CMD_GROUP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group.h"
#include "api/im_api.h"


/* What the tables of the group services share. */

typedef struct {
    ngx_str_t          gid;
} im_group_id_req_t;

extern im_field_t  im_group_id_fields[];


/*
 * Adds MemberList: the members with one of the roles (a list of names, NULL:
 * all), from number offset on, at most limit, with the fields of the filter
 * (NULL: all).
 */
im_code_t im_cmd_member_list(im_ctx_t *ctx, im_json_t *obj, im_group_t *group,
    im_json_t *filter, im_json_t *roles, ngx_uint_t offset,
    ngx_uint_t limit);


#endif /* _IM_CMD_GROUP_H_INCLUDED_ */
