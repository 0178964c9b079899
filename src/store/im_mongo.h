
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_MONGO_H_INCLUDED_
#define _IM_MONGO_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <mongoc/mongoc.h>
#include "core/im_co.h"
#include "core/im_task.h"
#include "core/im_worker.h"
#include "store/im_store.h"


/* Fields of a document beside the key columns and the columns of the row. */

#define IM_MONGO_ID       "_id"      /* ObjectId: of one operation, for ever */
#define IM_MONGO_APP      "app"
#define IM_MONGO_VERSION  "_v"
#define IM_MONGO_EXPIRE   "_e"       /* the column "expire" as a date */
#define IM_MONGO_TOUCH    "_x"       /* written to conflict with others */

#define IM_MONGO_SYSTEM   "im"       /* collection: schema, lease */

#define IM_MONGO_NAME     64         /* of a collection, with a zero */
#define IM_MONGO_COLUMNS  16         /* of an index with its tie-breakers */
#define IM_MONGO_DEADLINE 3000       /* ms, of a call */
#define IM_MONGO_EACH     20         /* ms more, for each operation of a
                                        large transaction */
#define IM_MONGO_TURN_OPS 64         /* of a transaction that takes turns */
#define IM_MONGO_FRESH    20000      /* ms, of a tail that a worker knows */
#define IM_MONGO_LAST     2592000    /* s, until the sweeper looks again at
                                        the last row of a stream */
#define IM_MONGO_GRACE    60         /* s, more than that and than clocks of
                                        nodes differ */


typedef struct im_mongo_call_s  im_mongo_call_t;
typedef struct im_mongo_note_s  im_mongo_note_t;

typedef void (*im_mongo_call_pt)(im_mongo_call_t *call);


/*
 * Something that runs in a thread.  It is not on a pool: a caller that has
 * waited until the deadline goes on, and the call is freed when it ends.
 */

struct im_mongo_call_s {
    im_mongo_call_pt   run;          /* in the thread */
    im_mongo_call_pt   done;         /* in the event loop, or NULL */
    im_mongo_call_pt   free;

    mongoc_client_t   *client;       /* while it runs */
    ngx_uint_t         n;            /* operations */
    uint64_t           deadline;     /* us of the monotonic clock */
    time_t             now;          /* when it began */
    ngx_int_t          rc;
    const char        *what;         /* for the log */
    const char        *table;
    bson_error_t       error;

    im_co_t           *co;           /* who waits, NULL: nobody any more */
    unsigned           ended:1;
    unsigned           probe:1;      /* may run while the breaker is open */
    unsigned           lost:1;       /* no server was found or it went away */
};


/* Documents that a thread has read, one after another. */

typedef struct {
    u_char            *data;
    size_t             len;
    size_t             size;
    ngx_uint_t         n;
} im_mongo_docs_t;


/* An operation of a batch, or of nobody's batch, with all that it needs. */

typedef struct {
    im_op_e            type;
    im_table_t        *table;
    im_key_t          *key;          /* shorter than its type */
    ngx_str_t          doc;
    int64_t            version;
    const char        *column;
    int64_t            value;
    int64_t            min;
    int64_t            max;
    int64_t            result;

    bson_oid_t         oid;          /* of the row that it makes */
    int64_t            next;         /* version that it gives */
    unsigned           done:1;       /* in this try, by a bulk */
} im_mongo_op_t;


/* Where an operation runs: in a transaction, or plainly. */

typedef struct {
    im_mongo_call_t         *call;
    mongoc_client_session_t *session;
    im_key_t                *taken;  /* where to put it */
    unsigned                 has_taken:1;
    unsigned                 conflict:1;     /* a key was taken: look why */
    unsigned                 transient:1;    /* the transaction is over */
} im_mongo_tx_t;


typedef struct {
    mongoc_client_pool_t    *pool;   /* NULL: not open in this process */
    mongoc_uri_t            *uri;
    const char              *db;
    ngx_str_t                name;   /* without the password */
    ngx_atomic_t             open;   /* the breaker */
    ngx_atomic_t             ready;  /* the server is one that we want */
    ngx_atomic_t             standalone;     /* one has been seen */
    ngx_atomic_t             running;        /* calls, those that wait too */
    ngx_atomic_t             exiting;        /* none begins any more */
    time_t                   grace;  /* rows of streams stay so much longer
                                        than they are seen, in seconds */
    im_store_stat_t          stat;
} im_mongo_t;


extern im_mongo_t  im_mongo;


/* im_mongo.c */

/* us of the monotonic clock */
uint64_t im_mongo_now(void);

/* Makes the client pool; a call of libmongoc lasts so many ms at most. */
ngx_int_t im_mongo_connect(im_conf_t *conf, int32_t timeout,
    bson_error_t *error);

/*
 * Starts the call, or answers NGX_BUSY or NGX_ERROR: then it is freed.  If it
 * was started, its handler done() is called, which has to free it.
 */
ngx_int_t im_mongo_post(im_mongo_call_t *call);

/*
 * Runs the call and waits.  NGX_OK: it has run, call->rc is what it says, and
 * the caller frees it.  Otherwise it is freed, or will be.
 */
ngx_int_t im_mongo_run(im_ctx_t *ctx, im_mongo_call_t *call);

/* Logs the failed call, unless only the breaker was open. */
void im_mongo_error(ngx_log_t *log, im_mongo_call_t *call);

/* A random number, never 0, for versions; only of the event loop. */
int64_t im_mongo_random(void);
/* A new _id; only of the event loop. */
void im_mongo_oid(bson_oid_t *oid);

/* In a thread: says, if it is so, that the server is of another set. */
void im_mongo_other_set(bson_error_t *error);

/* im_mongo_doc.c: none of them touches a pool */

/* Name of the collection of a table. */
void im_mongo_name(char *name, im_table_t *table);
/* Appends the application and the columns of the key to the document. */
ngx_int_t im_mongo_put_key(bson_t *b, im_table_t *table, im_key_t *key);
/* Appends what a filter needs for rows that are not expired. */
void im_mongo_put_live(bson_t *b, im_table_t *table, time_t now);
/* Whether the document is a row that is expired. */
ngx_uint_t im_mongo_expired(im_table_t *table, const bson_t *b, time_t now);
/* The whole document of a row.  NGX_DECLINED: a key is too long. */
ngx_int_t im_mongo_put_row(bson_t *b, im_mongo_op_t *op, im_key_t *key);
/* What stays of a row of a stream that is removed, see im_mongo_bury(). */
ngx_int_t im_mongo_put_grave(bson_t *b, im_table_t *table, im_key_t *key,
    time_t until);
/* What finds the row that the operation changes, and the change. */
void im_mongo_put_filter(bson_t *b, im_mongo_op_t *op, time_t now);
ngx_int_t im_mongo_put_change(bson_t *b, im_mongo_op_t *op);
/* Whether the change makes a row that is not there. */
ngx_uint_t im_mongo_upserts(im_mongo_op_t *op);
/* Whether each index key of the row would be short enough. */
ngx_int_t im_mongo_check_row(im_table_t *table, im_key_t *key,
    ngx_str_t *doc);
/* The primary key that is in a document. */
ngx_int_t im_mongo_get_key(const bson_t *b, im_table_t *table,
    im_key_t *key);
int64_t im_mongo_get_int(const bson_t *b, const char *name);
/* The last column of the table's key. */
const char *im_mongo_last(im_table_t *table);

/* im_mongo_keys.c */

/* A filter that finds the rows with these keys.  NGX_DECLINED: no row can
 * have any of them. */
ngx_int_t im_mongo_put_keys(bson_t *b, im_table_t *table, im_key_t **keys,
    ngx_uint_t n);

/* im_mongo_range.c */

/* A filter of a range of the index, and the order of its rows. */
void im_mongo_put_range(bson_t *b, im_table_t *table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *from, im_key_t *to);
void im_mongo_put_sort(bson_t *b, im_table_t *table, ngx_uint_t index,
    im_key_t *prefix, ngx_uint_t order);
/* All columns of the index. */
void im_mongo_put_columns(bson_t *b, im_table_t *table, ngx_uint_t index);
/* The condition that the column of a sparse index is there. */
void im_mongo_put_there(bson_t *b, im_column_t *column);
/* The place of that column; IM_MONGO_COLUMNS: the index is not sparse. */
ngx_uint_t im_mongo_sparse_column(im_index_t *index);
/* The prefix and the next column of the index, of a document. */
ngx_int_t im_mongo_get_value(const bson_t *b, im_table_t *table,
    ngx_uint_t index, im_key_t *prefix, im_key_t *value);

/* im_mongo_index.c */

/* In a thread: checks the server, makes collections and indexes. */
ngx_int_t im_mongo_prepare(mongoc_client_t *client, bson_error_t *error);
/*
 * A copy into the database begins, or goes on: until its end no worker
 * accepts the database.  *used: it is one that workers accept already.
 */
ngx_int_t im_mongo_copy_begin(mongoc_client_t *client, ngx_uint_t *used,
    bson_error_t *error);
ngx_int_t im_mongo_copy_end(mongoc_client_t *client, bson_error_t *error);

/* im_mongo_orphan.c */

ngx_int_t im_mongo_orphan_conf(ngx_conf_t *cf);
/* For processes that are forked afterwards. */
void im_mongo_orphan_init(void);
/*
 * In a thread: notes that the session has a transaction, until the end of the
 * note.  NULL: it is not noted.
 */
im_mongo_note_t *im_mongo_note(mongoc_client_session_t *session);
void im_mongo_note_end(im_mongo_note_t *note);
/* Ends what workers have left that are dead.  Blocks. */
void im_mongo_orphan_end(mongoc_client_t *client);

/* im_mongo_read.c */

ngx_int_t im_mongo_get_many(im_ctx_t *ctx, im_table_t *table,
    im_key_t *keys, ngx_uint_t n, im_row_t *rows);
ngx_int_t im_mongo_scan(im_ctx_t *ctx, im_table_t *table,
    ngx_uint_t index, im_key_t *prefix, im_key_t *from, im_key_t *to,
    ngx_uint_t order, ngx_uint_t limit, im_store_row_pt fn, void *data);
ngx_int_t im_mongo_count(im_ctx_t *ctx, im_table_t *table,
    ngx_uint_t index, im_key_t *prefix, im_key_t *from, im_key_t *to,
    int64_t set, int64_t clear, ngx_uint_t cap, ngx_uint_t *n);
ngx_int_t im_mongo_last_each(im_ctx_t *ctx, im_table_t *table,
    ngx_uint_t index, im_key_t *prefix, im_key_t *after, int64_t clear,
    ngx_uint_t limit, im_store_row_pt fn, void *data);
ngx_int_t im_mongo_head(im_ctx_t *ctx, im_table_t *table,
    im_key_t *stream, int64_t *seq);

/* In a thread.  docs may be NULL.  NGX_DECLINED: nothing was found. */
ngx_int_t im_mongo_find(im_mongo_call_t *call,
    mongoc_client_session_t *session, const char *name, bson_t *filter,
    bson_t *sort, const char *field, ngx_uint_t limit,
    im_mongo_docs_t *docs);
/* The last number of a stream. */
ngx_int_t im_mongo_tail(im_mongo_call_t *call,
    mongoc_client_session_t *session, im_table_t *table, im_key_t *stream,
    int64_t *seq);
/* Goes through documents: the next one after *p. */
ngx_int_t im_mongo_docs_next(im_mongo_docs_t *docs, size_t *p, bson_t *b);

/* im_mongo_op.c: in a thread */

/* NGX_OK, NGX_DECLINED, NGX_AGAIN (see tx->conflict), NGX_ERROR; NGX_DONE:
 * the transaction has been committed before. */
ngx_int_t im_mongo_op(im_mongo_tx_t *tx, im_mongo_op_t *op);
/*
 * What is left of a row of a stream, which the filter finds: its number, in
 * a row that is expired for readers; it is swept after the time.
 */
ngx_int_t im_mongo_bury(im_mongo_tx_t *tx, im_table_t *table,
    im_key_t *key, bson_t *filter, time_t until);
/* Whether the error says that the primary key is taken; if it tells. */
ngx_uint_t im_mongo_is_primary(im_table_t *table, bson_iter_t *error);
/* Gives the operation an empty document. */
void im_mongo_no_doc(im_mongo_op_t *op);

/* im_mongo_count.c: in a thread, as im_mongo_op() */

ngx_int_t im_mongo_add(im_mongo_tx_t *tx, im_mongo_op_t *op);
/* Whether no row is added to that another one of the operations changes. */
ngx_uint_t im_mongo_add_alone(im_mongo_op_t **ops, ngx_uint_t n);
/* Reads what the bulk, in the same transaction, has added to. */
ngx_int_t im_mongo_add_results(im_mongo_tx_t *tx, im_mongo_op_t **ops,
    ngx_uint_t n);
ngx_int_t im_mongo_max(im_mongo_tx_t *tx, im_mongo_op_t *op);

/* im_mongo_why.c: in a thread */

/*
 * Why a key is taken: NGX_OK, by the very row of this operation;
 * NGX_DECLINED, by another one, see tx->taken; NGX_AGAIN, by none any more.
 */
ngx_int_t im_mongo_why(im_mongo_tx_t *tx, im_mongo_op_t *op, im_key_t *key);

/* im_mongo_write.c: in a thread */

ngx_int_t im_mongo_update(im_mongo_tx_t *tx, const char *name,
    bson_t *filter, bson_t *change, ngx_uint_t replace, ngx_uint_t upsert,
    ngx_uint_t *matched);
ngx_int_t im_mongo_remove(im_mongo_tx_t *tx, const char *name,
    bson_t *filter);
/* A collection, and options for a call, with the transaction. */
mongoc_collection_t *im_mongo_collection(im_mongo_tx_t *tx,
    const char *name, bson_t *opts);
/* Says how a write has ended.  No reply: a read has failed. */
ngx_int_t im_mongo_result(im_mongo_tx_t *tx, ngx_uint_t ok, bson_t *reply);
/* Sets call->lost.  Whether it makes sense to try again. */
ngx_uint_t im_mongo_retry(im_mongo_call_t *call, bson_error_t *error);
/* Sleeps a little before the next try; NGX_ERROR: no time is left. */
ngx_int_t im_mongo_pause(im_mongo_call_t *call, ngx_uint_t tries);

/* im_mongo_bulk.c: in a thread */

/* Whether it may be part of a bulk; plainly only what is never declined. */
ngx_uint_t im_mongo_bulk_can(im_mongo_op_t *op, ngx_uint_t atomic);
/*
 * Does operations on one table; as im_mongo_op(), but nobody knows which one
 * has failed.
 */
ngx_int_t im_mongo_bulk(im_mongo_tx_t *tx, im_mongo_op_t **ops,
    ngx_uint_t n);
ngx_int_t im_mongo_bulk_append(im_mongo_tx_t *tx, im_mongo_op_t **ops,
    ngx_uint_t n);

/* im_mongo_turn.c */

typedef struct {
    im_batch_t        *batch;
    ngx_uint_t         n;
    uint16_t           place[IM_MONGO_TURN_OPS];
    uint16_t           op[IM_MONGO_TURN_OPS];
} im_mongo_turn_t;

ngx_int_t im_mongo_turn_conf(ngx_conf_t *cf);
/* For processes that are forked afterwards. */
void im_mongo_turn_init(void);
/* In a new process. */
void im_mongo_turn_start(void);

/*
 * Waits until no other batch of this node that is a transaction is about to
 * write one of the rows; a large one does not wait.  NGX_OK: the turn is to
 * be ended; NGX_BUSY: it took too long; NGX_DECLINED: a row has another
 * version meanwhile.
 */
ngx_int_t im_mongo_turn_begin(im_mongo_turn_t *turn, im_batch_t *batch);
/* done: the batch is committed. */
void im_mongo_turn_end(im_mongo_turn_t *turn, ngx_uint_t done);

/* im_mongo_commit.c */

ngx_int_t im_mongo_commit_init(ngx_cycle_t *cycle);
ngx_int_t im_mongo_commit(im_ctx_t *ctx, im_batch_t *batch);

/* im_mongo_append.c */

ngx_int_t im_mongo_append_init(ngx_cycle_t *cycle);
void im_mongo_append_exit(void);
/*
 * Inserts a row, or the next row of a stream, together with what others do in
 * this turn of the event loop.  Passes the lane once it is in the queue.
 * NGX_OK, op->result is its number; NGX_DECLINED, taken is the row that holds
 * a unique key, if *has_taken; NGX_BUSY; NGX_ERROR, logged.
 */
ngx_int_t im_mongo_append(im_ctx_t *ctx, im_op_t *op, im_lane_t *lane,
    im_key_t *taken, ngx_uint_t *has_taken);

/* im_mongo_sweep.c */

void im_mongo_sweep_init(ngx_cycle_t *cycle, im_conf_t *conf);
void im_mongo_sweep_exit(void);
/* Begins a sweep now; NGX_BUSY: one is running. */
ngx_int_t im_mongo_sweep(void);


#endif /* _IM_MONGO_H_INCLUDED_ */
