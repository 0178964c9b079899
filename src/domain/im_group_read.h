
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_READ_H_INCLUDED_
#define _IM_GROUP_READ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_member.h"


/* Up to which message a member has read, and when he sent the last one. */

typedef struct {
    int64_t            seq;
    int64_t            sent;
} im_group_read_t;


void im_group_read_key(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_key_t *key);

/* Adds the removal of the mark, and of what he has set for the group. */
void im_group_read_delete(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group, ngx_str_t *user);

/* Adds the mark to a batch: sets it, or moves it forward only. */
void im_group_read_set(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    ngx_str_t *user, int64_t seq);
void im_group_read_max(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    ngx_str_t *user, int64_t seq, int64_t sent);

/* For each of n users; zeros where there is none. */
ngx_int_t im_group_read_get(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *users, ngx_uint_t n, im_group_read_t *reads);

/* Messages behind a mark that count; head: of the group. */
ngx_int_t im_group_unread(im_ctx_t *ctx, im_group_t *group, int64_t read,
    int64_t head, int64_t *n);

/* The caller has read up to that message; tells his other instances. */
im_code_t im_group_read_report(im_ctx_t *ctx, im_group_t *group,
    int64_t seq);

/* The same as operations of a batch, nobody is told.  *seq becomes the number
 * that there is; *moved: the mark was before it. */
ngx_int_t im_group_read_add(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group, int64_t *seq, ngx_uint_t *moved);

/* Makes so many messages unread for a member. */
im_code_t im_group_unread_set(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *user, int64_t n);


#endif /* _IM_GROUP_READ_H_INCLUDED_ */
