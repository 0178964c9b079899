
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_STORE_H_INCLUDED_
#define _IM_STORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "store/im_table.h"


/*
 * The one interface to what is durable.  All functions that take a context
 * may suspend, none may be called outside a coroutine.  Results live on
 * ctx->pool.
 */


/*
 * A key, or the first columns of one, in the form in which keys compare:
 * strings end with a zero byte, integers are eight bytes, big-endian, sign
 * bit inverted.  The application comes first in every key.  A key that
 * became longer than IM_KEY_LEN is marked and every call refuses it with
 * NGX_ERROR.
 */

#define IM_KEY_LEN  511

typedef struct {
    ngx_uint_t         len;
    unsigned           invalid:1;
    u_char             data[IM_KEY_LEN + 1];
} im_key_t;

void im_key_init(im_key_t *key, ngx_uint_t app);
void im_key_str(im_key_t *key, ngx_str_t *value);
void im_key_int(im_key_t *key, int64_t value);

/* Decodes one column at *p and moves *p behind it; NGX_ERROR: cut short. */
ngx_int_t im_key_get_str(u_char **p, u_char *end, ngx_str_t *value);
ngx_int_t im_key_get_int(u_char **p, u_char *end, int64_t *value);


/* A document: named strings and 64-bit integers, in BSON. */

typedef struct im_doc_s  im_doc_t;

/* A new empty document.  The functions below accept NULL and remember a
 * failed allocation; the commit then answers NGX_ERROR. */
im_doc_t *im_doc(ngx_pool_t *pool);
void im_doc_str(im_doc_t *doc, const char *name, ngx_str_t *value);
void im_doc_int(im_doc_t *doc, const char *name, int64_t value);


/*
 * A row that was read.  Columns are found by name among the key columns of
 * the table, then in the document.
 */

typedef struct {
    im_table_t        *table;
    ngx_str_t          key;          /* primary key, encoded */
    ngx_str_t          data;         /* the document */
    int64_t            version;      /* of versioned tables, else 0 */
} im_row_t;

/* NGX_DECLINED: no such column, *value is then empty or 0. */
ngx_int_t im_row_str(im_row_t *row, const char *name, ngx_str_t *value);
ngx_int_t im_row_int(im_row_t *row, const char *name, int64_t *value);


/*
 * Struct and document: a table of columns of the noun's struct.  Types are
 * IM_COL_STR (ngx_str_t) and IM_COL_INT (int64_t).  Empty strings and zeros
 * are not stored, and read back as such.  im_record_load() also fills members
 * named like key columns.  Strings point into the row.
 */

typedef struct {
    ngx_str_t          name;
    im_col_e           type;
    size_t             offset;
} im_record_t;

#define im_null_record  { ngx_null_string, 0, 0 }

void im_record_load(im_row_t *row, im_record_t *columns, void *dst);
im_doc_t *im_record_doc(ngx_pool_t *pool, im_record_t *columns, void *src);


/* Reading.  All return NGX_OK, NGX_DECLINED (no such row), NGX_BUSY or
 * NGX_ERROR (logged).  An invalid key, of a string that no row can have, is
 * that of no row. */

ngx_int_t im_store_get(im_ctx_t *ctx, im_table_e table, im_key_t *key,
    im_row_t *row);

/* Up to 500 keys; rows[i].data.data is NULL where there is no such row. */
ngx_int_t im_store_get_many(im_ctx_t *ctx, im_table_e table, im_key_t *keys,
    ngx_uint_t n, im_row_t *rows);

/*
 * Rows whose key in the index (0: the primary key) begins with prefix and
 * lies between from and to, both inclusive and optional (NULL), themselves
 * prefixes of keys that begin with prefix: "to" includes every key that
 * begins with it.  In key order or backwards.  fn returns NGX_OK to go on,
 * NGX_DONE to stop; it must not suspend, and the row lives on ctx->pool.
 * At most limit (1..1000) rows.
 */

typedef ngx_int_t (*im_store_row_pt)(im_row_t *row, void *data);

#define IM_ASC   0
#define IM_DESC  1

ngx_int_t im_store_scan(im_ctx_t *ctx, im_table_e table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *from, im_key_t *to, ngx_uint_t order,
    ngx_uint_t limit, im_store_row_pt fn, void *data);

/* Rows of such a range whose column "flags" has all bits of set and none of
 * clear; stops at cap.  The index must cover "flags". */
ngx_int_t im_store_count(im_ctx_t *ctx, im_table_e table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *from, im_key_t *to, int64_t set, int64_t clear,
    ngx_uint_t cap, ngx_uint_t *n);

/* The last row for each value of the index column after the prefix, whose
 * "flags" have none of the bits of clear (at most 16 rows are looked at per
 * value).  At most limit values, in key order, beginning after "after" (a
 * full prefix with a value, or NULL). */
ngx_int_t im_store_last_each(im_ctx_t *ctx, im_table_e table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *after, int64_t clear, ngx_uint_t limit,
    im_store_row_pt fn, void *data);

/* Last number of a stream (0: nothing was ever appended). */
ngx_int_t im_store_head(im_ctx_t *ctx, im_table_e table, im_key_t *stream,
    int64_t *seq);


/*
 * Writing.  A batch is IM_ATOMIC (all or nothing) or IM_ORDERED (a crash may
 * leave a prefix, so every operation must be safe to repeat; the one that
 * decides is marked by im_store_point()).  No more may be relied on.  What
 * operations refer to must live until im_store_commit() returns.
 */

#define IM_ATOMIC   0
#define IM_ORDERED  1

typedef struct im_batch_s  im_batch_t;

typedef enum {
    IM_OP_INSERT = 0,
    IM_OP_REPLACE,
    IM_OP_UPSERT,
    IM_OP_DELETE,
    IM_OP_SET,
    IM_OP_ADD,
    IM_OP_MAX,
    IM_OP_EXPECT,
    IM_OP_APPEND,
    IM_OP_DROP
} im_op_e;

typedef struct {
    im_op_e            type;
    im_table_t        *table;
    im_key_t          *key;          /* shorter than its type, never copied */
    im_doc_t          *doc;
    int64_t            version;
    const char        *column;
    int64_t            value;
    int64_t            min;
    int64_t            max;
    int64_t            result;       /* append: its number; add: new value;
                                        drop: 1, there may be more rows */
} im_op_t;

struct im_batch_s {
    ngx_uint_t         mode;
    ngx_uint_t         n;
    im_op_t           *ops;
    ngx_uint_t         nalloc;
    ngx_uint_t         point;
    ngx_uint_t         failed;       /* operation that was declined */
    im_key_t          *taken;        /* primary key of the row that holds the
                                        unique index key, if known */
    im_lane_t         *lane;         /* to be passed, NULL: none */
    ngx_pool_t        *pool;
    unsigned           invalid:1;
};

im_batch_t *im_store_batch(im_ctx_t *ctx, ngx_uint_t mode);

/* Each copies the key and returns its number in the batch (for results:
 * batch->ops[i]); a NULL batch or document makes the commit fail. */
ngx_uint_t im_store_insert(im_batch_t *batch, im_table_e table, im_key_t *key,
    im_doc_t *doc);
/* version 0: only if there is no such row (as insert) */
ngx_uint_t im_store_replace(im_batch_t *batch, im_table_e table,
    im_key_t *key, int64_t version, im_doc_t *doc);
ngx_uint_t im_store_upsert(im_batch_t *batch, im_table_e table, im_key_t *key,
    im_doc_t *doc);
ngx_uint_t im_store_delete(im_batch_t *batch, im_table_e table,
    im_key_t *key);
/* the named fields only; creates counted rows, NGX_DECLINED otherwise */
ngx_uint_t im_store_set(im_batch_t *batch, im_table_e table, im_key_t *key,
    im_doc_t *doc);
ngx_uint_t im_store_add(im_batch_t *batch, im_table_e table, im_key_t *key,
    const char *column, int64_t delta, int64_t min, int64_t max);
ngx_uint_t im_store_max(im_batch_t *batch, im_table_e table, im_key_t *key,
    const char *column, int64_t value);
/* version -1: exists, 0: does not exist, else: has that version */
ngx_uint_t im_store_expect(im_batch_t *batch, im_table_e table, im_key_t *key,
    int64_t version);
/* stream: the key without its last column, which becomes tail + 1 */
ngx_uint_t im_store_append(im_batch_t *batch, im_table_e table,
    im_key_t *stream, im_doc_t *doc);

/*
 * Removes rows of a stream for ever, the first ones first, IM_STORE_DROP of
 * them at most, and with the last row its number.  To be repeated as long as
 * its result says that there may be more.  Nothing may be appended to the
 * stream again, and only an IM_ORDERED batch may have it.
 */
#define IM_STORE_DROP  100

ngx_uint_t im_store_drop(im_batch_t *batch, im_table_e table,
    im_key_t *stream);

void im_store_point(im_batch_t *batch, ngx_uint_t op);

/* For im_store_scan(): deletes the row; data is an im_store_rows_t. */

typedef struct {
    im_batch_t        *batch;
    ngx_uint_t         n;            /* is counted up */
} im_store_rows_t;

ngx_int_t im_store_delete_row(im_row_t *row, void *data);

/*
 * The batch passes the lane as soon as all that is appended later to the
 * stream of its point gets a higher number, unless it fails; that is before
 * its rows are written.
 */
void im_store_lane(im_batch_t *batch, im_lane_t *lane);

/*
 * NGX_OK: durable.  NGX_DECLINED: an expectation failed, a key or a unique
 * index is taken, or add left its bounds; batch->failed tells which
 * operation, and nothing of an IM_ATOMIC batch (of an IM_ORDERED one:
 * nothing from that operation on) was written.  NGX_BUSY: the queue is full,
 * nothing was written.  NGX_ERROR: failed and logged; of an IM_ORDERED batch
 * a prefix may be there.
 */
ngx_int_t im_store_commit(im_ctx_t *ctx, im_batch_t *batch);


/* Numbers for the metrics page. */

typedef struct {
    ngx_uint_t         queue;        /* batches waiting */
    ngx_uint_t         queue_bytes;
    ngx_uint_t         commits;      /* transactions */
    ngx_uint_t         batches;
    ngx_uint_t         declined;
    ngx_uint_t         busy;
    ngx_uint_t         errors;
    ngx_uint_t         swept;
    ngx_uint_t         open;         /* the breaker: calls are refused */
    ngx_uint_t         opened;       /* how often */
    uint64_t           map_used;     /* bytes */
    uint64_t           map_size;
    ngx_uint_t         bucket[20];   /* latency of a batch: < 2^i * 64 us */
    uint64_t           latency_us;   /* sum */
} im_store_stat_t;

void im_store_stat(im_store_stat_t *stat);


/* A driver. */

typedef struct {
    ngx_str_t          name;         /* word before ':' of the directive */
    ngx_int_t        (*init_conf)(ngx_conf_t *cf, im_conf_t *conf);
    ngx_int_t        (*init_module)(ngx_cycle_t *cycle, im_conf_t *conf);
    ngx_int_t        (*init_process)(ngx_cycle_t *cycle, im_conf_t *conf);
    void             (*exit_process)(ngx_cycle_t *cycle);
    ngx_int_t        (*get_many)(im_ctx_t *ctx, im_table_t *table,
                                 im_key_t *keys, ngx_uint_t n,
                                 im_row_t *rows);
    ngx_int_t        (*scan)(im_ctx_t *ctx, im_table_t *table,
                             ngx_uint_t index, im_key_t *prefix,
                             im_key_t *from, im_key_t *to, ngx_uint_t order,
                             ngx_uint_t limit, im_store_row_pt fn,
                             void *data);
    ngx_int_t        (*count)(im_ctx_t *ctx, im_table_t *table,
                              ngx_uint_t index, im_key_t *prefix,
                              im_key_t *from, im_key_t *to, int64_t set,
                              int64_t clear, ngx_uint_t cap, ngx_uint_t *n);
    ngx_int_t        (*last_each)(im_ctx_t *ctx, im_table_t *table,
                                  ngx_uint_t index, im_key_t *prefix,
                                  im_key_t *after, int64_t clear,
                                  ngx_uint_t limit, im_store_row_pt fn,
                                  void *data);
    ngx_int_t        (*head)(im_ctx_t *ctx, im_table_t *table,
                             im_key_t *stream, int64_t *seq);
    ngx_int_t        (*commit)(im_ctx_t *ctx, im_batch_t *batch);
    void             (*stat)(im_store_stat_t *stat);
} im_store_driver_t;


/* The encoded document, which is not copied; NGX_ERROR: it has failed. */
ngx_int_t im_doc_data(im_doc_t *doc, ngx_str_t *data);

/* Drivers leave out expired rows of scan() and last_each(). */
ngx_uint_t im_row_expired(im_row_t *row, time_t now);


extern im_store_driver_t  im_lmdb_driver;
extern im_store_driver_t  im_mongo_driver;


#endif /* _IM_STORE_H_INCLUDED_ */
