
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_EDIT_H_INCLUDED_
#define _IM_GROUP_EDIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_member.h"
#include "domain/im_group_row.h"


/* Changes of stored messages; the members who are connected are told. */

typedef struct {
    int64_t            seq;
    im_code_t          code;         /* IM_OK, 10030, 10031, 10032, 10007 */
    im_group_row_t     row;
    ngx_uint_t         op;
} im_group_recall_t;

/* The caller recalls n messages, those that he may by one commit; each gets
 * its code.  role: his. */
im_code_t im_group_recall(im_ctx_t *ctx, im_group_t *group,
    im_group_recall_t *msgs, ngx_uint_t n, im_group_role_e role);

/*
 * Replaces body and cloud where their data is not NULL.  mver: the version
 * that the caller has seen, -1: any.  row: the message as it is afterwards,
 * or is in spite of the caller (20027).
 */
im_code_t im_group_edit(im_ctx_t *ctx, im_group_t *group, int64_t seq,
    int64_t mver, ngx_str_t *body, ngx_str_t *cloud, im_group_row_t *row);

/* The last messages of a sender keep only their places. */
im_code_t im_group_delete_sender(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *from);

/* Hides messages from the caller. */
im_code_t im_group_hide(im_ctx_t *ctx, im_group_t *group, int64_t *seqs,
    ngx_uint_t n);

/* Numbers from..to that are hidden from the user: pushes int64_t. */
ngx_int_t im_group_hidden(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    int64_t from, int64_t to, ngx_array_t *seqs);

/* The caller has read message seq, which asks for receipts. */
im_code_t im_group_receipt(im_ctx_t *ctx, im_group_t *group, int64_t seq);

/* Accounts that have read it, after an account (empty: from the first), at
 * most limit: ngx_str_t.  *more: there are others. */
ngx_int_t im_group_readers(im_ctx_t *ctx, im_group_t *group, int64_t seq,
    ngx_str_t *after, ngx_uint_t limit, ngx_array_t *users,
    ngx_uint_t *more);

/* The same of members who have not. */
ngx_int_t im_group_unreaders(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row, ngx_str_t *after, ngx_uint_t limit,
    ngx_array_t *users, ngx_uint_t *more);

ngx_int_t im_group_receipts(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row, int64_t *read, int64_t *unread);


#endif /* _IM_GROUP_EDIT_H_INCLUDED_ */
