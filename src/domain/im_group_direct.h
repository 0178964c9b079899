
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_DIRECT_H_INCLUDED_
#define _IM_GROUP_DIRECT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_row.h"


/*
 * Messages to some of the members (To_Account).  A row has their names, each
 * with a line feed behind; who is not among them finds only its place.
 */

#define IM_GROUP_DIRECT    32        /* in the flags of a record: names come
                                        first, then an empty line */
#define IM_DIRECT_MAX      50


/* 1: the user may see the message. */
ngx_uint_t im_group_direct_visible(im_group_row_t *row, ngx_str_t *user);

/* How many see it beside the sender, 0: all members. */
ngx_uint_t im_group_direct_count(im_group_row_t *row);

/*
 * Leaves of n names those who are members, each once and without the sender,
 * in the form of a row.  10004: nobody is left.
 */
im_code_t im_group_direct_names(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *from, ngx_str_t *users, ngx_uint_t n, ngx_str_t *names);

/* The payload of a record for an event of the row, with the flags; payload
 * may be event. */
ngx_int_t im_group_direct_record(im_ctx_t *ctx, im_group_row_t *row,
    ngx_str_t *event, ngx_uint_t *flags, ngx_str_t *payload);

/* The event in it; NGX_DECLINED: not for this user. */
ngx_int_t im_group_direct_event(ngx_str_t *payload, ngx_str_t *user,
    ngx_str_t *event);

/* Tells those who see the row. */
void im_group_direct_hint(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row, ngx_str_t *event, ngx_uint_t flags, uint64_t except);

/* The head of the group, and of the last messages the last one that the user
 * sees and that may be the last of a conversation (seq 0: none). */
ngx_int_t im_group_direct_head(im_ctx_t *ctx, int64_t gno, ngx_str_t *user,
    int64_t *head, im_group_row_t *row);


#endif /* _IM_GROUP_DIRECT_H_INCLUDED_ */
