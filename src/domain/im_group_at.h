
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_AT_H_INCLUDED_
#define _IM_GROUP_AT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_message.h"
#include "domain/im_group_row.h"


/* Mentions (GroupAtInfo): who is told that a message speaks to him. */

#define IM_AT_USERS  30              /* by name, of one message */


/* Who is mentioned. */

typedef struct {
    ngx_uint_t         n;
    ngx_uint_t         all;
    ngx_str_t          users[IM_AT_USERS];
    ngx_str_t          events[IM_AT_USERS];
    ngx_uint_t         ops[IM_AT_USERS];     /* of the batch */
} im_group_at_t;


/*
 * Adds what is kept of the mentions of a stored message: a row for each
 * member who is named, and that all were mentioned, which is in one place for
 * the group.  at, zeros at the call, becomes who is to be told of it.
 */
void im_group_at_add(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_send_t *send, im_group_row_t *row, im_group_at_t *at);

/* The item of EventArray (12) on ctx->pool.  NGX_OK, NGX_ERROR. */
ngx_int_t im_group_at_event(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row, ngx_uint_t me, ngx_uint_t all, ngx_str_t *event);

/* Adds the members of an @-tip: the user, or all, were mentioned. */
void im_group_at_json(im_json_t *item, im_group_t *group, im_group_row_t *row,
    ngx_uint_t me, ngx_uint_t all);

/* Where the number of the last message that mentioned all is. */
void im_group_at_all_key(im_ctx_t *ctx, im_group_t *group, im_key_t *key);

/* Pushes the @-tips of messages to all that the user has not read, of at most
 * 500 groups.  NGX_OK, NGX_BUSY, NGX_ERROR. */
ngx_int_t im_group_at_all(im_ctx_t *ctx, ngx_str_t *user, im_json_t *list);


#endif /* _IM_GROUP_AT_H_INCLUDED_ */
