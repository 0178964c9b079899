
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_RECOMMEND_H_INCLUDED_
#define _IM_RECOMMEND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_relation.h"


/* Accounts that the app's back end recommends to an account, until they are
 * friends, one lists the other in the blacklist, or the account passes over
 * them. */


/* Each sets results[i] for peers[i] (each of them once).  custom: a JSON
 * object of each. */
void im_recommend_add(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, ngx_str_t *custom, im_rel_e *results);
void im_recommend_delete(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_rel_e *results);

/* Oldest first: pushes im_recommend_t. */
ngx_int_t im_recommend_list(im_ctx_t *ctx, ngx_str_t *user,
    ngx_array_t *rows);

/* Marks those that came up to that second as read. */
im_rel_e im_recommend_report(im_ctx_t *ctx, ngx_str_t *user, int64_t time);


#endif /* _IM_RECOMMEND_H_INCLUDED_ */
