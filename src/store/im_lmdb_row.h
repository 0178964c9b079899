
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_LMDB_ROW_H_INCLUDED_
#define _IM_LMDB_ROW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_lmdb.h"


/*
 * Rows and their index entries in a write transaction.  Memory of the map may
 * move with every write, so a document is copied before anything is written.
 */

/* The row, MDB_NOTFOUND if it has expired, too; the key of an append by its
 * result. */
int im_lmdb_fetch(im_lmdb_write_t *w, im_table_t *table, MDB_val *key,
    im_row_t *row);
int im_lmdb_append_key(im_op_t *op, im_key_t *key);

/* The document of the row with the operation's fields, in w->new. */
int im_lmdb_merge(im_lmdb_write_t *w, im_op_t *op, im_row_t *row,
    ngx_str_t *doc);

/*
 * im_lmdb_entry.c: entries of indexes, and of hours or rows that expire, for
 * a row that was there (or NULL) and one that is now (or NULL).  If the row
 * is the last one of its stream, im_lmdb_put_head() keeps its number.
 */
int im_lmdb_put_indexes(im_lmdb_write_t *w, im_row_t *old, im_row_t *new);
int im_lmdb_put_ttl(im_lmdb_write_t *w, im_row_t *old, im_row_t *new);
int im_lmdb_put_head(im_lmdb_write_t *w, im_table_t *table, MDB_val *key);


#endif /* _IM_LMDB_ROW_H_INCLUDED_ */
