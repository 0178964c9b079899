
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CMD_GROUP_H_INCLUDED_
#define _IM_CMD_GROUP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "domain/im_group_row.h"
#include "api/im_api.h"


/* What the tables of the group services share. */

typedef struct {
    ngx_str_t          gid;
} im_group_id_req_t;

extern im_field_t  im_group_id_fields[];


/* Rows of field tables that many commands have; type: the struct, member: of
 * it. */

#define im_field_gid(type, member)                                            \
    { ngx_string("GroupId"), IM_STR, IM_REQUIRED,                             \
      offsetof(type, member), 0, 0, IM_E_GROUP_PARAM, 0 }

#define im_field_silence(type, member)                                        \
    { ngx_string("Silence"), IM_INT, IM_OPTIONAL,                             \
      offsetof(type, member), 0, 1, IM_E_GROUP_PARAM, 0 }

#define im_field_members(type, member)                                        \
    { ngx_string("MemberList"), IM_LIST, IM_REQUIRED,                         \
      offsetof(type, member), 0, IM_GROUP_ACCOUNTS,                           \
      IM_E_GROUP_PARAM, IM_E_GROUP_MANY }


/* Loads a stored group of which the caller is a member; 10007: a live room,
 * or the caller is none. */
im_code_t im_cmd_group_stored(im_ctx_t *ctx, ngx_str_t *gid,
    im_group_t *group);


/* Fields of members that an answer has: lists of names. */

typedef struct {
    im_json_t         *names;        /* NULL: all */
    im_json_t         *custom;       /* NULL: all if names is NULL, or none */
} im_member_filter_t;

/*
 * Adds MemberList: the members with one of the roles (a list of names, NULL:
 * all), from number offset on, at most limit.
 */
im_code_t im_cmd_member_list(im_ctx_t *ctx, im_json_t *obj, im_group_t *group,
    im_member_filter_t *filter, im_json_t *roles, ngx_uint_t offset,
    ngx_uint_t limit);

/* Adds the named fields of a member (names NULL: all). */
void im_cmd_member_json(im_json_t *item, im_group_t *group,
    im_group_member_t *m, im_json_t *names);

/* Sets the sender: a client's From_Account must be himself (10007), REST may
 * choose any account (10019). */
im_code_t im_cmd_send_group_msg_from(im_ctx_t *ctx, ngx_str_t *from,
    im_group_send_t *send);

/* 1: the caller may see the row, which may be for some members only. */
ngx_uint_t im_cmd_group_sees(im_ctx_t *ctx, im_group_row_t *row);

/* 1 if the list (NULL: all) has the name. */
ngx_uint_t im_cmd_named(im_json_t *names, const char *name);

/* Adds AppMemberDefinedData as far as the caller, who has the role, reads. */
void im_cmd_member_custom(im_ctx_t *ctx, im_json_t *item, im_group_t *group,
    im_group_member_t *m, im_member_filter_t *filter, im_group_role_e role);


#endif /* _IM_CMD_GROUP_H_INCLUDED_ */
