
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_MUTE_H_INCLUDED_
#define _IM_GROUP_MUTE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group.h"


/* Mutes and bans: they are kept by account and survive leaving. */

typedef struct {
    ngx_str_t          user;
    int64_t            until;        /* muted, 0: not */
    int64_t            banned;       /* banned, 0: not */
    int64_t            expire;
    int64_t            version;
} im_group_mute_t;


/* Through the cache; an account without either has zeros: NGX_OK. */
ngx_int_t im_group_mute_get(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_group_mute_t *mute);

/* For each of at most 500 users, in order. */
ngx_int_t im_group_mute_get_many(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *users, ngx_uint_t n, im_group_mute_t *mutes);

/* Mutes, and tells the members, or bans all of the users (at most 500) for so
 * many seconds; 0 ends it. */
im_code_t im_group_mute_set(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *users, ngx_uint_t n, int64_t seconds);
im_code_t im_group_ban_set(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *users, ngx_uint_t n, int64_t seconds);

/* Pushes im_group_mute_t of all who are muted to the array; 10018: more than
 * an answer holds. */
im_code_t im_group_mute_list(im_ctx_t *ctx, im_group_t *group,
    ngx_array_t *mutes);

/* Those who are banned, beginning with number offset; *more if there are
 * others behind the last one. */
im_code_t im_group_ban_list(im_ctx_t *ctx, im_group_t *group,
    ngx_uint_t offset, ngx_uint_t limit, ngx_array_t *mutes,
    ngx_uint_t *more);

/* All of a group that is gone. */
void im_group_mute_delete_all(im_ctx_t *ctx, im_group_t *group);


#endif /* _IM_GROUP_MUTE_H_INCLUDED_ */
