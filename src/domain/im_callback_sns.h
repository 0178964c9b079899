
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CALLBACK_SNS_H_INCLUDED_
#define _IM_CALLBACK_SNS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_callback.h"
#include "domain/im_friend.h"


/* Callbacks of relations and profiles. */


/* 1: the app is to be asked about requests and answers of this caller. */
ngx_uint_t im_callback_asks(im_ctx_t *ctx, im_callback_e event);

/*
 * Ask about those accounts whose result is IM_REL_OK so far, and set refused
 * of the items that the app refuses.
 */
void im_callback_friend_add(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_friend_item_t *items, ngx_uint_t how, im_rel_e *results);
void im_callback_friend_respond(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *peers, ngx_uint_t n, im_friend_item_t *items,
    im_rel_e *results);

/* Tells of the rows that a commit has made and removed, an event at a time. */
void im_callback_relation(im_rel_t *rel);

/* items: objects with Tag and Value, which were written. */
void im_callback_profile(im_ctx_t *ctx, ngx_str_t *user, im_json_t *items);


#endif /* _IM_CALLBACK_SNS_H_INCLUDED_ */
