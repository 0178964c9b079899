
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CONTACT_GROUP_H_INCLUDED_
#define _IM_CONTACT_GROUP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "domain/im_contact.h"


/*
 * Groups into which a user sorts his conversations.  A group has a name and a
 * number, which is never used again; conversations hold the numbers, those
 * of deleted groups too.
 */

#define IM_CONTACT_GROUPS      20
#define IM_CONTACT_GROUP_NAME  32    /* bytes */


typedef struct {
    ngx_str_t          name;         /* key column */
    int64_t            id;
    int64_t            version;
} im_contact_group_t;


/* All groups of the user. */
ngx_int_t im_contact_groups(im_ctx_t *ctx, ngx_str_t *user,
    ngx_array_t *groups);

/* Creates the group unless there is one of that name, and puts conversations
 * into it.  50002: too many groups. */
im_code_t im_contact_group_create(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *name, im_contact_id_t *ids, ngx_uint_t n, int64_t *id);

/* Pushes the groups that were there to the array. */
im_code_t im_contact_group_delete(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *names, ngx_uint_t n, ngx_array_t *deleted);

/* 50002: no such group, or the name is taken. */
im_code_t im_contact_group_rename(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *from, ngx_str_t *to, int64_t *id);

#define IM_CONTACT_GROUP_ADD     1
#define IM_CONTACT_GROUP_REMOVE  2

/* opts[i]: what to do with ids[i].  50002: no such group. */
im_code_t im_contact_group_update(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *name, im_contact_id_t *ids, int64_t *opts, ngx_uint_t n,
    int64_t *id);


/* Adds GroupItem, the list of all groups. */
void im_contact_groups_json(im_json_t *obj, ngx_array_t *groups);

/* Adds ContactGroupId, the numbers of those groups that there are. */
void im_contact_groups_of_json(im_json_t *item, im_conv_t *conv,
    ngx_array_t *groups);


#endif /* _IM_CONTACT_GROUP_H_INCLUDED_ */
