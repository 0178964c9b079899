
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CACHE_H_INCLUDED_
#define _IM_CACHE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_store.h"


/*
 * Rows that this worker has read lately, absent ones included.  An entry is
 * used as long as the stamp of its key is what it was before the row was
 * read, and for at most five seconds.  Only tables all of whose commits go
 * through im_cache_commit() may be read here.
 */

/* As im_store_get(). */
ngx_int_t im_cache_get(im_ctx_t *ctx, im_table_e table, im_key_t *key,
    im_row_t *row);

/* The same where no other node may have changed the row a moment ago: the
 * stamps of one node are exact, those of others come late. */
ngx_int_t im_cache_get_exact(im_ctx_t *ctx, im_table_e table, im_key_t *key,
    im_row_t *row);

/*
 * For who keeps what he has made of a row: it is good as long as the entry
 * would be.  The mark is taken right after the row was read, before the next
 * wait; where there is no entry it is never the same.  Zeroed: none.
 */

typedef struct {
    uint32_t           hash;
    uint32_t           stamp;
    ngx_msec_t         loaded;
    unsigned           set:1;
} im_cache_mark_t;

void im_cache_mark(im_table_e table, im_key_t *key, im_cache_mark_t *mark);

/* After im_cache_get_exact(). */
void im_cache_mark_exact(im_table_e table, im_key_t *key,
    im_cache_mark_t *mark);

/* 1: the row is what it was. */
ngx_uint_t im_cache_same(im_cache_mark_t *mark);

/* As im_store_commit(); then makes all workers forget the rows written. */
ngx_int_t im_cache_commit(im_ctx_t *ctx, im_batch_t *batch);

/* By which im_stamp_get() tells of commits of the row. */
uint32_t im_cache_hash(im_table_e table, im_key_t *key);


#endif /* _IM_CACHE_H_INCLUDED_ */
