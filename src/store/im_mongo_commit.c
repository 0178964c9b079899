
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "store/im_mongo.h"


/*
 * Commits.  An IM_ORDERED batch is written operation by operation: rows that
 * are inserted or appended go together with those of others, what is between
 * them in one call.  An IM_ATOMIC one is a transaction, unless one operation
 * is all that it has.
 */


#define IM_MONGO_VANISHED  5         /* conflicts with nobody, at most */
#define IM_MONGO_BULK      500       /* operations of a call */
#define IM_MONGO_FEW       4         /* operations that need no bulk */
#define IM_MONGO_MANY      20        /* operations that need more time */


typedef struct {
    ngx_queue_t        queue;
    ngx_msec_t         start;
} im_mongo_pending_t;


typedef struct {
    im_mongo_call_t    call;         /* first */
    ngx_uint_t         atomic;
    ngx_uint_t         n;
    im_mongo_op_t     *ops;
    ngx_uint_t         failed;
    ngx_uint_t         tries;        /* conflicts without a reason */
    im_key_t           taken;
    unsigned           has_taken:1;
    unsigned           slow:1;       /* one by one */
} im_mongo_batch_t;


static ngx_int_t im_mongo_commit_check(im_ctx_t *ctx, im_batch_t *batch,
    size_t *bytes);
static ngx_int_t im_mongo_commit_ops(im_ctx_t *ctx, im_batch_t *batch);
static ngx_uint_t im_mongo_alone(im_op_t *op);
static ngx_int_t im_mongo_commit_one(im_ctx_t *ctx, im_batch_t *batch,
    ngx_uint_t i);
static ngx_int_t im_mongo_commit_run(im_ctx_t *ctx, im_batch_t *batch,
    ngx_uint_t first, ngx_uint_t n, ngx_uint_t atomic);
static im_mongo_batch_t *im_mongo_batch(im_ctx_t *ctx, im_op_t *ops,
    ngx_uint_t n);
static void im_mongo_batch_free(im_mongo_call_t *call);
static void im_mongo_plain(im_mongo_call_t *call);
static ngx_uint_t im_mongo_plain_bulk(im_mongo_tx_t *tx,
    im_mongo_batch_t *batch);
static ngx_int_t im_mongo_plain_op(im_mongo_tx_t *tx, im_mongo_op_t *op);
static void im_mongo_transaction(im_mongo_call_t *call);
static ngx_int_t im_mongo_transaction_try(im_mongo_tx_t *tx,
    im_mongo_batch_t *batch);
static ngx_int_t im_mongo_transaction_bulks(im_mongo_tx_t *tx,
    im_mongo_batch_t *batch);
static ngx_int_t im_mongo_transaction_bulk(im_mongo_tx_t *tx,
    im_mongo_batch_t *batch, ngx_uint_t first, im_mongo_op_t **ops);
static ngx_int_t im_mongo_transaction_end(im_mongo_tx_t *tx);
static ngx_int_t im_mongo_conflict(im_mongo_tx_t *tx,
    im_mongo_batch_t *batch);


static ngx_queue_t  im_mongo_pending;      /* batches, the oldest first */


ngx_int_t
im_mongo_commit_init(ngx_cycle_t *cycle)
{
    ngx_queue_init(&im_mongo_pending);

    return NGX_OK;
}


ngx_int_t
im_mongo_commit(im_ctx_t *ctx, im_batch_t *batch)
{
    size_t               bytes;
    uint64_t             start, us;
    ngx_int_t            rc;
    ngx_uint_t           i;
    im_mongo_turn_t      turn;
    im_store_stat_t     *stat;
    im_mongo_pending_t   pending;

    stat = &im_mongo.stat;

    rc = im_mongo_commit_check(ctx, batch, &bytes);

    if (rc != NGX_OK) {
        if (rc == NGX_BUSY) {
            stat->busy++;
        }

        return rc;
    }

    start = im_mongo_now();

    stat->queue++;
    stat->queue_bytes += bytes;

    rc = im_mongo_turn_begin(&turn, batch);

    if (rc == NGX_OK) {
        pending.start = ngx_current_msec;
        ngx_queue_insert_tail(&im_mongo_pending, &pending.queue);

        im_fault("before_commit");

        rc = im_mongo_commit_ops(ctx, batch);

        if (rc == NGX_OK) {
            im_fault("after_commit");
        }

        ngx_queue_remove(&pending.queue);
        im_mongo_turn_end(&turn, rc == NGX_OK);
    }

    stat->queue--;
    stat->queue_bytes -= bytes;

    us = im_mongo_now() - start;

    for (i = 0; i < 19 && us >= ((uint64_t) 64 << i); i++) { /* void */ }

    stat->bucket[i]++;
    stat->latency_us += us;
    stat->batches++;

    switch (rc) {

    case NGX_OK:
        batch->failed = 0;
        break;

    case NGX_DECLINED:
        stat->declined++;
        break;

    case NGX_BUSY:
        stat->busy++;
        break;

    default:
        stat->errors++;
    }

    return rc;
}


/* What LMDB refuses is refused here, too. */

static ngx_int_t
im_mongo_commit_check(im_ctx_t *ctx, im_batch_t *batch, size_t *bytes)
{
    im_op_t             *op;
    im_conf_t           *conf;
    ngx_str_t            data;
    ngx_uint_t           i;
    ngx_queue_t         *q;
    im_mongo_pending_t  *oldest;

    conf = im_conf();
    *bytes = 0;

    for (i = 0; i < batch->n; i++) {
        op = &batch->ops[i];

        if (im_doc_data(op->doc, &data) == NGX_OK
            && im_mongo_check_row(op->table, op->key, &data) != NGX_OK)
        {
            batch->failed = i;

            ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                          "operation %ui on table \"%s\" makes an index key "
                          "that is too long or has a zero byte",
                          i, op->table->name);
            return NGX_ERROR;
        }

        *bytes += sizeof(im_op_t) + op->key->len + data.len;
    }

    if (ngx_queue_empty(&im_mongo_pending)) {
        return NGX_OK;
    }

    q = ngx_queue_head(&im_mongo_pending);
    oldest = ngx_queue_data(q, im_mongo_pending_t, queue);

    if (im_mongo.stat.queue >= conf->commit_queue
        || im_mongo.stat.queue_bytes + *bytes > conf->commit_size
        || (ngx_msec_int_t) (ngx_current_msec - oldest->start)
           > (ngx_msec_int_t) conf->commit_time)
    {
        return NGX_BUSY;
    }

    return NGX_OK;
}


static ngx_int_t
im_mongo_commit_ops(im_ctx_t *ctx, im_batch_t *batch)
{
    ngx_int_t   rc;
    ngx_uint_t  i, n;

    if (batch->mode == IM_ATOMIC && batch->n > 1) {
        return im_mongo_commit_run(ctx, batch, 0, batch->n, 1);
    }

    for (i = 0; i < batch->n; i += n) {

        if (i) {
            im_fault("mid_batch");
        }

        for (n = 0; i + n < batch->n; n++) {
            if (im_mongo_alone(&batch->ops[i + n])) {
                break;
            }
        }

        if (n) {
            rc = im_mongo_commit_run(ctx, batch, i, n, 0);

        } else {
            rc = im_mongo_commit_one(ctx, batch, i);
            n = 1;
        }

        if (rc != NGX_OK) {

            /* something may be written: "busy" would be wrong */

            return (rc == NGX_BUSY && i) ? NGX_ERROR : rc;
        }
    }

    return NGX_OK;
}


/* Whether it goes together with those of others. */

static ngx_uint_t
im_mongo_alone(im_op_t *op)
{
    return op->type == IM_OP_APPEND
           || op->type == IM_OP_INSERT
           || (op->type == IM_OP_REPLACE && op->version == 0);
}


static ngx_int_t
im_mongo_commit_one(im_ctx_t *ctx, im_batch_t *batch, ngx_uint_t i)
{
    im_op_t     *op;
    im_key_t    *taken;
    ngx_int_t    rc;
    ngx_uint_t   has_taken;

    op = &batch->ops[i];

    taken = ngx_palloc(ctx->pool, sizeof(im_key_t));
    if (taken == NULL) {
        return NGX_ERROR;
    }

    rc = im_mongo_append(ctx, op, (i == batch->point) ? batch->lane : NULL,
                         taken, &has_taken);

    if (rc != NGX_OK) {
        batch->failed = i;
        batch->taken = (rc == NGX_DECLINED && has_taken) ? taken : NULL;
    }

    return rc;
}


static ngx_int_t
im_mongo_commit_run(im_ctx_t *ctx, im_batch_t *batch, ngx_uint_t first,
    ngx_uint_t n, ngx_uint_t atomic)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    im_mongo_batch_t  *b;

    b = im_mongo_batch(ctx, &batch->ops[first], n);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->call.run = atomic ? im_mongo_transaction : im_mongo_plain;
    b->call.n = (n > IM_MONGO_MANY) ? n : 0;
    im_mongo.stat.commits++;

    rc = im_mongo_run(ctx, &b->call);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = b->call.rc;

    switch (rc) {

    case NGX_OK:
        for (i = 0; i < n; i++) {
            batch->ops[first + i].result = b->ops[i].result;
        }

        break;

    case NGX_DECLINED:
        batch->failed = first + b->failed;

        if (b->has_taken) {
            batch->taken = ngx_palloc(ctx->pool, sizeof(im_key_t));
            if (batch->taken) {
                *batch->taken = b->taken;
            }
        }

        break;

    default:
        batch->failed = first + b->failed;
        im_mongo_error(ctx->log, &b->call);
    }

    im_mongo_batch_free(&b->call);

    return rc;
}


/* A copy of the operations: the thread may outlive the caller's pool. */

static im_mongo_batch_t *
im_mongo_batch(im_ctx_t *ctx, im_op_t *ops, ngx_uint_t n)
{
    u_char            *p;
    size_t             size, len;
    ngx_str_t          data;
    ngx_uint_t         i;
    im_mongo_op_t     *op;
    im_mongo_batch_t  *b;

    size = sizeof(im_mongo_batch_t) + n * sizeof(im_mongo_op_t);

    for (i = 0; i < n; i++) {
        (void) im_doc_data(ops[i].doc, &data);

        size += ngx_align(offsetof(im_key_t, data) + ops[i].key->len,
                          NGX_ALIGNMENT)
                + ngx_align(data.len, NGX_ALIGNMENT);
    }

    b = ngx_alloc(size, ctx->log);
    if (b == NULL) {
        return NULL;
    }

    ngx_memzero(b, sizeof(im_mongo_batch_t) + n * sizeof(im_mongo_op_t));

    b->call.free = im_mongo_batch_free;
    b->call.what = "commit";
    b->call.table = ops[0].table->name;
    b->n = n;
    b->ops = (im_mongo_op_t *) (b + 1);

    p = (u_char *) (b->ops + n);

    for (i = 0; i < n; i++) {
        op = &b->ops[i];

        op->type = ops[i].type;
        op->table = ops[i].table;
        op->version = ops[i].version;
        op->column = ops[i].column;
        op->value = ops[i].value;
        op->min = ops[i].min;
        op->max = ops[i].max;
        op->next = im_mongo_random();
        im_mongo_oid(&op->oid);

        len = offsetof(im_key_t, data) + ops[i].key->len;
        op->key = (im_key_t *) p;
        ngx_memcpy(p, ops[i].key, len);
        p += ngx_align(len, NGX_ALIGNMENT);

        (void) im_doc_data(ops[i].doc, &data);

        op->doc.data = p;
        op->doc.len = data.len;

        if (data.len) {
            ngx_memcpy(p, data.data, data.len);
        }

        p += ngx_align(data.len, NGX_ALIGNMENT);
    }

    return b;
}


static void
im_mongo_batch_free(im_mongo_call_t *call)
{
    ngx_free(call);
}


/* One operation after another; what was done stays. */

static void
im_mongo_plain(im_mongo_call_t *call)
{
    im_mongo_batch_t  *batch = (im_mongo_batch_t *) call;

    ngx_uint_t     n;
    im_mongo_tx_t  tx;

    ngx_memzero(&tx, sizeof(im_mongo_tx_t));
    tx.call = call;
    tx.taken = &batch->taken;

    for (batch->failed = 0; batch->failed < batch->n; /* void */ ) {

        n = im_mongo_plain_bulk(&tx, batch);

        if (n) {
            batch->failed += n;
            call->rc = NGX_OK;
            continue;
        }

        call->rc = im_mongo_plain_op(&tx, &batch->ops[batch->failed]);

        if (call->rc != NGX_OK) {
            batch->has_taken = tx.has_taken;
            return;
        }

        batch->failed++;
    }
}


/* How many operations could be done at once.  They may be done again. */

static ngx_uint_t
im_mongo_plain_bulk(im_mongo_tx_t *tx, im_mongo_batch_t *batch)
{
    ngx_uint_t      n;
    im_mongo_op_t  *op, *ops[IM_MONGO_BULK];

    op = &batch->ops[batch->failed];

    for (n = 0; n < IM_MONGO_BULK && batch->failed + n < batch->n; n++) {

        if (op[n].table != op->table || !im_mongo_bulk_can(&op[n], 0)) {
            break;
        }

        ops[n] = &op[n];
    }

    return (n > 1 && im_mongo_bulk(tx, ops, n) == NGX_OK) ? n : 0;
}


static ngx_int_t
im_mongo_plain_op(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    ngx_int_t   rc;
    ngx_uint_t  tries, vanished;

    vanished = 0;

    for (tries = 0; /* void */ ; tries++) {

        tx->conflict = 0;

        rc = im_mongo_op(tx, op);

        if (rc != NGX_AGAIN) {
            return rc;
        }

        if (tx->conflict && op->type != IM_OP_ADD && op->type != IM_OP_MAX) {
            rc = im_mongo_why(tx, op, op->key);

            if (rc != NGX_AGAIN) {
                return rc;
            }

            if (op->table->kind != IM_COUNTED
                && ++vanished == IM_MONGO_VANISHED)
            {
                return NGX_DECLINED;
            }

        } else if (op->type == IM_OP_ADD && tx->call->lost) {

            /* it may have been added */

            return NGX_ERROR;
        }

        if (im_mongo_pause(tx->call, tries) != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


static void
im_mongo_transaction(im_mongo_call_t *call)
{
    im_mongo_batch_t  *batch = (im_mongo_batch_t *) call;

    ngx_uint_t        tries;
    im_mongo_tx_t     tx;
    im_mongo_note_t  *note;

    ngx_memzero(&tx, sizeof(im_mongo_tx_t));
    tx.call = call;
    tx.taken = &batch->taken;

    for (tries = 0; /* void */ ; tries++) {

        tx.session = mongoc_client_start_session(call->client, NULL,
                                                 &call->error);
        if (tx.session == NULL) {
            call->rc = im_mongo_retry(call, &call->error) ? NGX_AGAIN
                                                          : NGX_ERROR;
        } else {
            tx.conflict = 0;
            tx.transient = 0;

            note = im_mongo_note(tx.session);

            call->rc = im_mongo_transaction_try(&tx, batch);

            im_mongo_note_end(note);

            mongoc_client_session_destroy(tx.session);
            tx.session = NULL;

            if (call->rc == NGX_AGAIN && tx.conflict) {
                call->rc = im_mongo_conflict(&tx, batch);
            }
        }

        if (call->rc != NGX_AGAIN) {
            break;
        }

        if (im_mongo_pause(call, tries) != NGX_OK) {
            call->rc = NGX_ERROR;
            break;
        }
    }

    batch->has_taken = tx.has_taken;
}


static ngx_int_t
im_mongo_transaction_try(im_mongo_tx_t *tx, im_mongo_batch_t *batch)
{
    ngx_int_t       rc;
    im_mongo_op_t  *op;

    if (!mongoc_client_session_start_transaction(tx->session, NULL,
                                                 &tx->call->error))
    {
        return im_mongo_retry(tx->call, &tx->call->error) ? NGX_AGAIN
                                                          : NGX_ERROR;
    }

    rc = batch->slow ? NGX_OK : im_mongo_transaction_bulks(tx, batch);

    if (rc != NGX_OK) {
        (void) mongoc_client_session_abort_transaction(tx->session, NULL);

        if (rc == NGX_DECLINED || tx->conflict) {

            /* which one was it */

            batch->slow = 1;
            tx->conflict = 0;

            return NGX_AGAIN;
        }

        return rc;
    }

    for (batch->failed = 0; batch->failed < batch->n; batch->failed++) {

        if (batch->failed) {
            im_fault("mid_batch");
        }

        op = &batch->ops[batch->failed];

        if (op->done && !batch->slow) {
            continue;
        }

        rc = im_mongo_op(tx, op);

        if (rc != NGX_OK) {
            (void) mongoc_client_session_abort_transaction(tx->session, NULL);
            return (rc == NGX_DONE) ? NGX_OK : rc;
        }
    }

    return im_mongo_transaction_end(tx);
}


/*
 * Tables do not depend on each other, so those with many operations first, and
 * of these the numbers, which others are the most likely to change: whoever
 * has to try again is told so before the rest.
 */

static ngx_int_t
im_mongo_transaction_bulks(im_mongo_tx_t *tx, im_mongo_batch_t *batch)
{
    ngx_int_t        rc;
    ngx_uint_t       i, j, counted;
    im_table_t      *table;
    im_mongo_op_t  **ops;

    if (batch->n < IM_MONGO_FEW) {
        return NGX_OK;
    }

    ops = malloc(batch->n * sizeof(im_mongo_op_t *));
    if (ops == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < batch->n; i++) {
        batch->ops[i].done = 0;
    }

    rc = NGX_OK;

    for (counted = 2; counted--; /* void */ ) {

        for (i = 0; i < batch->n && rc == NGX_OK; i++) {
            table = batch->ops[i].table;

            if ((table->kind == IM_COUNTED) != counted) {
                continue;
            }

            for (j = 0; j < i && batch->ops[j].table != table; j++) {
                /* void */
            }

            if (j == i) {
                rc = im_mongo_transaction_bulk(tx, batch, i, ops);
            }
        }
    }

    free(ops);

    return rc;
}


/* What can be done at once of the table of the operation. */

static ngx_int_t
im_mongo_transaction_bulk(im_mongo_tx_t *tx, im_mongo_batch_t *batch,
    ngx_uint_t first, im_mongo_op_t **ops)
{
    ngx_int_t       rc;
    ngx_uint_t      i, n, appends, others;
    im_mongo_op_t  *op;

    n = 0;
    appends = 0;
    others = 0;

    for (i = first; i < batch->n; i++) {
        op = &batch->ops[i];

        if (op->table == batch->ops[first].table) {
            ops[n++] = op;
            appends += (op->type == IM_OP_APPEND);
            others += !im_mongo_bulk_can(op, 1);
        }
    }

    if (n < 2) {
        return NGX_OK;
    }

    if (appends == n) {
        rc = im_mongo_bulk_append(tx, ops, n);

    } else if (others == 0 && im_mongo_add_alone(ops, n)) {
        rc = im_mongo_bulk(tx, ops, n);

    } else {
        return NGX_OK;
    }

    for (i = 0; i < n; i++) {
        ops[i]->done = 1;
    }

    return rc;
}


/* Whether a commit was done that has not been answered can be asked again. */

static ngx_int_t
im_mongo_transaction_end(im_mongo_tx_t *tx)
{
    bool        ok;
    bson_t      reply;
    ngx_int_t   rc;
    ngx_uint_t  tries;

    for (tries = 0; /* void */ ; tries++) {

        ok = mongoc_client_session_commit_transaction(tx->session, &reply,
                                                      &tx->call->error);

        if (ok) {
            rc = NGX_OK;

        } else if (mongoc_error_has_label(&reply,
                                          "TransientTransactionError"))
        {
            /* after a try that nobody has answered it may be done */

            tx->transient = 1;
            rc = tries ? NGX_ERROR : NGX_AGAIN;

        } else if (mongoc_error_has_label(&reply,
                                          "UnknownTransactionCommitResult"))
        {
            (void) im_mongo_retry(tx->call, &tx->call->error);
            rc = NGX_BUSY;

        } else {
            rc = NGX_ERROR;
        }

        bson_destroy(&reply);

        if (rc != NGX_BUSY) {
            return rc;
        }

        if (im_mongo_pause(tx->call, tries) != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


/* The transaction is over: why the operation found its key taken. */

static ngx_int_t
im_mongo_conflict(im_mongo_tx_t *tx, im_mongo_batch_t *batch)
{
    im_key_t        key;
    ngx_int_t       rc;
    im_mongo_op_t  *op;

    op = &batch->ops[batch->failed];

    im_key_init(&key, 0);
    key.len = op->key->len;
    ngx_memcpy(key.data, op->key->data, key.len);

    if (op->type == IM_OP_APPEND) {
        im_key_int(&key, op->result);
    }

    rc = im_mongo_why(tx, op, &key);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    /* or an operation of this batch has it */

    if (op->table->kind != IM_COUNTED
        && ++batch->tries == IM_MONGO_VANISHED)
    {
        return NGX_DECLINED;
    }

    return NGX_AGAIN;
}
