
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_FRIEND_GROUP_H_INCLUDED_
#define _IM_FRIEND_GROUP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_relation.h"


/* Makes n groups at once, none of which may exist, with the friends among
 * peers in all of them.  Sets results[i], unless the whole is refused. */
im_rel_e im_friend_group_add(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *names, ngx_uint_t n, ngx_str_t *peers, ngx_uint_t npeers,
    im_rel_e *results);

/* Deletes n groups at once: all of them must exist. */
im_rel_e im_friend_group_delete(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *names, ngx_uint_t n);

im_rel_e im_friend_group_rename(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *name, ngx_str_t *to);

/* Puts friends into a group or takes them out of it; puts[i] is 1 or 0 for
 * peers[i].  Sets results[i]. */
void im_friend_group_put(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *name,
    ngx_str_t *peers, u_char *puts, ngx_uint_t npeers, im_rel_e *results);


#endif /* _IM_FRIEND_GROUP_H_INCLUDED_ */
