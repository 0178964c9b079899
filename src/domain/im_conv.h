
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CONV_H_INCLUDED_
#define _IM_CONV_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "store/im_store.h"


/* What a user has set for one of his conversations. */

typedef enum {
    IM_CONV_C2C = 1,
    IM_CONV_GROUP
} im_conv_type_e;


#define IM_CONV_LIMIT    1000        /* rows of im_conv_each() */


typedef struct {
    int64_t            type;         /* key column */
    ngx_str_t          peer;         /* key column: account, or GroupId */
    int64_t            mute;         /* 0 notify, 1 discard, 2 silently */
    int64_t            mute_time;    /* ms, when it was set */
    int64_t            cleared;      /* rows of the inbox up to this number
                                        are not shown */
    int64_t            deleted;      /* and do not make it a recent contact */
    int64_t            pinned;       /* second of it, 0: it is not */
    int64_t            marks;        /* a bit for each */
    ngx_str_t          custom;       /* CustomMark */
    ngx_str_t          groups;       /* numbers of the conversation groups,
                                        each with a comma behind it */
    int64_t            version;
} im_conv_t;


/* A conversation without a row is one of defaults: NGX_OK, version 0. */
ngx_int_t im_conv_get(im_ctx_t *ctx, ngx_str_t *user, int64_t type,
    ngx_str_t *peer, im_conv_t *conv);

/* From a row that was read. */
void im_conv_load(im_row_t *row, im_conv_t *conv);

/* For each of n peers, in order; n is at most 500. */
ngx_int_t im_conv_get_many(im_ctx_t *ctx, ngx_str_t *user, int64_t type,
    ngx_str_t *peers, ngx_uint_t n, im_conv_t *convs);

/* Adds the row to the batch; declined if it was changed since it was read. */
void im_conv_put(im_ctx_t *ctx, im_batch_t *batch, ngx_str_t *user,
    im_conv_t *conv);

/* Pushes all rows of a type, im_conv_t, to the array. */
ngx_int_t im_conv_each(im_ctx_t *ctx, ngx_str_t *user, int64_t type,
    ngx_array_t *convs);

/* The same of those that are pinned, of any type, the latest first. */
ngx_int_t im_conv_pinned(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t limit,
    ngx_array_t *convs);

/* Do not disturb: sets it and tells the user's other instances.  seq: the
 * number of the change. */
im_code_t im_conv_mute(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    int64_t mute, int64_t *seq);


#endif /* _IM_CONV_H_INCLUDED_ */
