
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_OUTBOX_ROW_H_INCLUDED_
#define _IM_OUTBOX_ROW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "store/im_store.h"


/*
 * Events of the outbox as rows of its streams.
 */

#define IM_OUTBOX_SHARDS  64
#define IM_OUTBOX_ROWS    32         /* that are read at once */


typedef struct {
    int64_t            shard;        /* key columns */
    int64_t            seq;
    ngx_str_t          command;
    ngx_str_t          body;
    ngx_str_t          ip;
    ngx_str_t          platform;
    ngx_str_t          id;           /* of the delivery */
    ngx_str_t          dk;           /* im_callback_late_t */
    ngx_str_t          unread;
    int64_t            gno;
    int64_t            time;         /* seconds; 0: not known */
} im_outbox_row_t;


/* The stream of what keeps its order. */
ngx_uint_t im_outbox_shard(ngx_str_t *lane);

/* Adds it to the batch with an id of its own, for row->shard. */
void im_outbox_row_add(im_ctx_t *ctx, im_batch_t *batch,
    im_outbox_row_t *row);

/* The first ones of a stream: im_outbox_row_t. */
ngx_int_t im_outbox_row_list(im_ctx_t *ctx, ngx_uint_t shard,
    ngx_array_t *rows);

/* How many there are from number first on. */
ngx_int_t im_outbox_row_count(im_ctx_t *ctx, ngx_uint_t shard, int64_t first,
    int64_t *n);

ngx_int_t im_outbox_row_remove(im_ctx_t *ctx, ngx_uint_t shard,
    int64_t first, ngx_uint_t n);

/* Streams that have rows become bits. */
ngx_int_t im_outbox_row_shards(im_ctx_t *ctx, uint64_t *shards);


#endif /* _IM_OUTBOX_ROW_H_INCLUDED_ */
