
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_LMDB_H_INCLUDED_
#define _IM_LMDB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <lmdb.h>
#include "core/im_co.h"
#include "core/im_worker.h"
#include "store/im_store.h"


#define IM_LMDB_SCHEMA     1
#define IM_LMDB_FILE      "im.mdb"
#define IM_LMDB_DBS       128
#define IM_LMDB_READERS   512

#define IM_LMDB_INDEXES    4
#define IM_LMDB_FLAGS     16         /* flags and expire before the key */

#define IM_LMDB_SLICE     500        /* rows that a sweeping slice removes */
#define IM_LMDB_EXAMINED  5000       /* and looks at */


/* Results beside those of LMDB (0, MDB_*, errno). */

#define IM_LMDB_DECLINED  -1         /* an expectation failed */
#define IM_LMDB_CONFLICT  -2         /* operations of one batch collide */
#define IM_LMDB_KEY       -3         /* an index key cannot be made */


typedef struct {
    MDB_dbi            rows;
    MDB_dbi            ttl;          /* IM_TTL_ROW, IM_TTL_STREAM */
    MDB_dbi            head;         /* streams: last number, once removed */
    MDB_dbi            index[IM_LMDB_INDEXES];
} im_lmdb_table_t;


typedef struct {
    MDB_env           *env;          /* NULL: not open in this process */
    MDB_txn           *txn;          /* of all reads; idle: reset */
    MDB_dbi            sys;          /* schema version, lease of the sweeper */
    im_lmdb_table_t    tables[IM_T_MAX];
    ngx_str_t          name;         /* of the file, with terminating zero */
    im_sync_e          sync;
} im_lmdb_t;


typedef struct {
    u_char            *data;
    size_t             size;
} im_lmdb_buf_t;


/* What a thread needs that writes; it never touches a pool. */

typedef struct {
    MDB_txn           *txn;
    time_t             now;
    im_key_t          *taken;        /* where to put it, or NULL */
    unsigned           has_taken:1;
    im_lmdb_buf_t      old;          /* documents: before */
    im_lmdb_buf_t      new;          /* after a change of single fields */
    im_lmdb_buf_t      evicted;      /* of an expired row in the way */
} im_lmdb_write_t;


typedef struct {
    int                err;
    ngx_uint_t         removed;
    unsigned           more:1;       /* the slice was full */
    unsigned           lease:1;      /* another worker sweeps */
} im_lmdb_sweep_t;


extern im_lmdb_t  im_lmdb;


/* im_lmdb.c */

/* Logs a failed call, once per second and process. */
void im_lmdb_error(ngx_log_t *log, int err, const char *call);
/* The database of a table, or of its part of that name. */
int im_lmdb_open_db(MDB_txn *txn, im_table_t *table, const char *name,
    unsigned flags, MDB_dbi *dbi);
/* Of the schema that the store has. */
int im_lmdb_version(MDB_txn *txn, int64_t *n);

/* im_lmdb_read.c */

ngx_int_t im_lmdb_get_many(im_ctx_t *ctx, im_table_t *table,
    im_key_t *keys, ngx_uint_t n, im_row_t *rows);
ngx_int_t im_lmdb_scan(im_ctx_t *ctx, im_table_t *table,
    ngx_uint_t index, im_key_t *prefix, im_key_t *from, im_key_t *to,
    ngx_uint_t order, ngx_uint_t limit, im_store_row_pt fn, void *data);
ngx_int_t im_lmdb_count(im_ctx_t *ctx, im_table_t *table,
    ngx_uint_t index, im_key_t *prefix, im_key_t *from, im_key_t *to,
    int64_t set, int64_t clear, ngx_uint_t cap, ngx_uint_t *n);
ngx_int_t im_lmdb_last_each(im_ctx_t *ctx, im_table_t *table,
    ngx_uint_t index, im_key_t *prefix, im_key_t *after, int64_t clear,
    ngx_uint_t limit, im_store_row_pt fn, void *data);
ngx_int_t im_lmdb_head(im_ctx_t *ctx, im_table_t *table,
    im_key_t *stream, int64_t *seq);

/* A view of a row, valid as long as the transaction lets it. */
int im_lmdb_row(im_table_t *table, MDB_val *key, MDB_val *val, im_row_t *row);
/* The index key of the row: 0, IM_LMDB_DECLINED (not in it), IM_LMDB_KEY. */
int im_lmdb_index_key(im_table_t *table, im_index_t *index, im_row_t *row,
    im_key_t *key);
/* The last number of a stream, 0 if there was none. */
int im_lmdb_tail(MDB_txn *txn, im_table_t *table, im_key_t *stream,
    int64_t *seq);
/* The first entry from low on, its key copied out. */
int im_lmdb_seek(MDB_txn *txn, MDB_dbi dbi, im_key_t *low, im_key_t *found,
    MDB_val *val);
/* The first key behind all keys that begin with this one, in place. */
void im_lmdb_after(im_key_t *key);

/* im_lmdb_check.c: of the thread that writes.  Writes nothing; the number of
 * an append is already its result. */

int im_lmdb_check(im_lmdb_write_t *w, im_op_t *op);

/* im_lmdb_row.c: of the same thread */

int im_lmdb_apply(im_lmdb_write_t *w, im_op_t *op);
int im_lmdb_delete(im_lmdb_write_t *w, im_table_t *table, MDB_val *key,
    im_lmdb_buf_t *buf);
void im_lmdb_write_free(im_lmdb_write_t *w);

/* im_lmdb_commit.c */

ngx_int_t im_lmdb_commit_init(ngx_cycle_t *cycle, im_conf_t *conf);
void im_lmdb_commit_exit(ngx_cycle_t *cycle);
ngx_int_t im_lmdb_commit(im_ctx_t *ctx, im_batch_t *batch);
/* Lets the thread sweep once; NGX_BUSY: it has not ended the last one. */
ngx_int_t im_lmdb_commit_sweep(void);
void im_lmdb_commit_stat(im_store_stat_t *stat);

/* im_lmdb_sweep.c */

ngx_int_t im_lmdb_sweep_init(ngx_cycle_t *cycle, im_conf_t *conf);
void im_lmdb_sweep_exit(ngx_cycle_t *cycle);
/* One slice in one transaction, in the thread. */
void im_lmdb_sweep_slice(im_lmdb_write_t *w, im_lmdb_sweep_t *sweep);
/* Its end, in the event loop. */
void im_lmdb_sweep_done(im_lmdb_sweep_t *sweep);
ngx_uint_t im_lmdb_swept(void);


#endif /* _IM_LMDB_H_INCLUDED_ */
