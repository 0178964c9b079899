
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_channel.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include "core/im_fault.h"
#include "core/im_lane.h"
#include "store/im_lmdb.h"


/*
 * One thread per worker commits.  It takes all batches that are queued,
 * applies them in one transaction, syncs once, and wakes the event loop by an
 * eventfd.  It reads the operations where the waiting coroutines keep them,
 * and writes only results.
 */


#define IM_LMDB_GROUP    1024        /* batches in a transaction */
#define IM_LMDB_CAREFUL  32          /* operations, see there */


typedef struct im_lmdb_commit_s  im_lmdb_commit_t;

struct im_lmdb_commit_s {
    im_lmdb_commit_t  *next;
    im_batch_t        *batch;
    im_key_t          *taken;
    int                err;
    unsigned           has_taken:1;

    /*
     * Operations touch the same rows, so each is checked after those before
     * it were applied, in a nested transaction.
     */
    unsigned           careful:1;

    /* of the event loop */

    unsigned           done:1;
    im_co_t           *co;
    ngx_queue_t        queue;
    size_t             bytes;
    ngx_msec_t         start;
    uint64_t           start_us;
};


typedef struct {
    pthread_t          tid;
    pthread_mutex_t    mutex;
    pthread_cond_t     cond;
    int                fd;           /* eventfd */

    /* under the mutex */

    im_lmdb_commit_t  *todo;
    im_lmdb_commit_t **todo_last;
    im_lmdb_commit_t  *done;
    im_lmdb_commit_t **done_last;
    ngx_uint_t         transactions;
    im_lmdb_sweep_t    sweep;
    unsigned           sweep_todo:1;
    unsigned           sweep_done:1;
    unsigned           quit:1;

    /* of the event loop */

    ngx_queue_t        pending;      /* oldest first */
    size_t             bytes;
    im_store_stat_t    stat;
    unsigned           sweeping:1;
    unsigned           running:1;
} im_lmdb_queue_t;


static uint64_t im_lmdb_now(void);
static ngx_uint_t im_lmdb_careful(im_batch_t *batch, ngx_uint_t *unique);
static void im_lmdb_commit_handler(ngx_event_t *ev);
static void im_lmdb_commit_done(im_lmdb_commit_t *c);
static void *im_lmdb_thread(void *data);
static void im_lmdb_wait(im_lmdb_queue_t *q, ngx_uint_t *unsynced);
static ngx_uint_t im_lmdb_group(im_lmdb_write_t *w, im_lmdb_commit_t *list);
static int im_lmdb_group_try(im_lmdb_write_t *w, im_lmdb_commit_t *list,
    im_lmdb_commit_t *last);
static int im_lmdb_batch(im_lmdb_write_t *w, im_lmdb_commit_t *c);
static int im_lmdb_batch_fast(im_lmdb_write_t *w, im_lmdb_commit_t *c);
static int im_lmdb_batch_careful(im_lmdb_write_t *w, im_lmdb_commit_t *c);


static im_lmdb_queue_t  im_lmdb_queue;


ngx_int_t
im_lmdb_commit_init(ngx_cycle_t *cycle, im_conf_t *conf)
{
    int               err;
    sigset_t          set, old;
    im_lmdb_queue_t  *q;

    q = &im_lmdb_queue;

    ngx_memzero(q, sizeof(im_lmdb_queue_t));
    ngx_queue_init(&q->pending);
    q->todo_last = &q->todo;
    q->done_last = &q->done;

    q->fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

    if (q->fd == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "eventfd() failed");
        return NGX_ERROR;
    }

    /* as with nginx's own channels, not reported at exit */

    if (ngx_add_channel_event(cycle, q->fd, NGX_READ_EVENT,
                              im_lmdb_commit_handler)
        != NGX_OK)
    {
        (void) close(q->fd);
        return NGX_ERROR;
    }

    (void) pthread_mutex_init(&q->mutex, NULL);
    (void) pthread_cond_init(&q->cond, NULL);

    /* signals are the event loop's */

    sigfillset(&set);
    (void) pthread_sigmask(SIG_BLOCK, &set, &old);

    err = pthread_create(&q->tid, NULL, im_lmdb_thread, q);

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (err != 0) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, err,
                      "pthread_create() failed");
        return NGX_ERROR;
    }

    q->running = 1;

    return NGX_OK;
}


/* The thread ends when its queue is empty. */

void
im_lmdb_commit_exit(ngx_cycle_t *cycle)
{
    int               err;
    im_lmdb_queue_t  *q;

    q = &im_lmdb_queue;

    if (!q->running) {
        return;
    }

    (void) pthread_mutex_lock(&q->mutex);
    q->quit = 1;
    (void) pthread_cond_signal(&q->cond);
    (void) pthread_mutex_unlock(&q->mutex);

    err = pthread_join(q->tid, NULL);

    if (err != 0) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, err,
                      "pthread_join() failed");
    }

    q->running = 0;

    (void) pthread_cond_destroy(&q->cond);
    (void) pthread_mutex_destroy(&q->mutex);
    (void) close(q->fd);
}


static uint64_t
im_lmdb_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


ngx_int_t
im_lmdb_commit(im_ctx_t *ctx, im_batch_t *batch)
{
    size_t             bytes;
    ngx_str_t          data;
    im_conf_t         *conf;
    ngx_uint_t         i, unique;
    ngx_queue_t       *q;
    im_lmdb_queue_t   *queue;
    im_lmdb_commit_t  *c;

    conf = im_conf();
    queue = &im_lmdb_queue;

    bytes = 0;

    for (i = 0; i < batch->n; i++) {
        (void) im_doc_data(batch->ops[i].doc, &data);
        bytes += sizeof(im_op_t) + batch->ops[i].key->len + data.len;
    }

    if (!ngx_queue_empty(&queue->pending)) {

        q = ngx_queue_head(&queue->pending);
        c = ngx_queue_data(q, im_lmdb_commit_t, queue);

        if (queue->stat.queue >= conf->commit_queue
            || queue->bytes + bytes > conf->commit_size
            || (ngx_msec_int_t) (ngx_current_msec - c->start)
               > (ngx_msec_int_t) conf->commit_time)
        {
            queue->stat.busy++;
            return NGX_BUSY;
        }
    }

    c = ngx_pcalloc(ctx->pool, sizeof(im_lmdb_commit_t));
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->batch = batch;
    c->careful = im_lmdb_careful(batch, &unique);

    if (unique) {
        c->taken = ngx_palloc(ctx->pool, sizeof(im_key_t));
        if (c->taken == NULL) {
            return NGX_ERROR;
        }
    }

    c->co = im_co_self();
    c->bytes = bytes;
    c->start = ngx_current_msec;
    c->start_us = im_lmdb_now();

    ngx_queue_insert_tail(&queue->pending, &c->queue);
    queue->stat.queue++;
    queue->bytes += bytes;

    im_worker_hold(1);

    (void) pthread_mutex_lock(&queue->mutex);
    *queue->todo_last = c;
    queue->todo_last = &c->next;
    (void) pthread_cond_signal(&queue->cond);
    (void) pthread_mutex_unlock(&queue->mutex);

    im_lane_pass(batch->lane);

    /* the thread works in our memory until the end */

    while (!c->done) {
        (void) im_co_wait(IM_CO_FOREVER);
    }

    switch (c->err) {

    case 0:
        return NGX_OK;

    case IM_LMDB_DECLINED:
        batch->taken = c->has_taken ? c->taken : NULL;
        return NGX_DECLINED;

    case MDB_MAP_RESIZED:
        return NGX_BUSY;

    case IM_LMDB_KEY:
        ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                      "operation %ui on table \"%s\" makes an index key that "
                      "is too long or has a zero byte",
                      batch->failed, batch->ops[batch->failed].table->name);
        return NGX_ERROR;

    default:
        im_lmdb_error(ctx->log, c->err, "commit");
        return NGX_ERROR;
    }
}


/*
 * Two operations on one row must see each other, and so must those on a table
 * with unique keys unless they only append.
 */

static ngx_uint_t
im_lmdb_careful(im_batch_t *batch, ngx_uint_t *unique)
{
    im_op_t     *a, *b;
    ngx_uint_t   i, j, careful, keys;
    im_index_t  *index;

    careful = (batch->n > IM_LMDB_CAREFUL);
    *unique = 0;

    for (i = 0; i < batch->n; i++) {
        a = &batch->ops[i];
        keys = 0;

        for (index = a->table->index; index->name; index++) {
            keys |= (index->flags & IM_INDEX_UNIQUE);
        }

        *unique |= keys;

        for (j = 0; j < i && !careful; j++) {
            b = &batch->ops[j];

            if (a->table != b->table) {
                continue;
            }

            if (keys
                && (a->type != IM_OP_APPEND || b->type != IM_OP_APPEND))
            {
                careful = 1;

            } else if (a->key->len == b->key->len
                       && ngx_memcmp(a->key->data, b->key->data, a->key->len)
                          == 0)
            {
                careful = 1;
            }
        }
    }

    return careful;
}


ngx_int_t
im_lmdb_commit_sweep(void)
{
    im_lmdb_queue_t  *q;

    q = &im_lmdb_queue;

    if (q->sweeping) {
        return NGX_BUSY;
    }

    q->sweeping = 1;

    (void) pthread_mutex_lock(&q->mutex);
    q->sweep_todo = 1;
    (void) pthread_cond_signal(&q->cond);
    (void) pthread_mutex_unlock(&q->mutex);

    return NGX_OK;
}


void
im_lmdb_commit_stat(im_store_stat_t *stat)
{
    im_lmdb_queue_t  *q;

    q = &im_lmdb_queue;

    *stat = q->stat;
    stat->queue_bytes = q->bytes;

    (void) pthread_mutex_lock(&q->mutex);
    stat->commits = q->transactions;
    (void) pthread_mutex_unlock(&q->mutex);
}


static void
im_lmdb_commit_handler(ngx_event_t *ev)
{
    uint64_t           n;
    ngx_uint_t         swept;
    im_lmdb_sweep_t    sweep;
    im_lmdb_queue_t   *q;
    im_lmdb_commit_t  *c, *next;

    q = &im_lmdb_queue;

    if (read(q->fd, &n, sizeof(uint64_t)) == -1 && ngx_errno != NGX_EAGAIN) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, ngx_errno,
                      "read() of eventfd failed");
    }

    (void) pthread_mutex_lock(&q->mutex);

    c = q->done;
    q->done = NULL;
    q->done_last = &q->done;

    swept = q->sweep_done;
    q->sweep_done = 0;
    sweep = q->sweep;

    (void) pthread_mutex_unlock(&q->mutex);

    for ( /* void */ ; c; c = next) {
        next = c->next;
        im_lmdb_commit_done(c);
    }

    if (swept) {
        q->sweeping = 0;
        im_lmdb_sweep_done(&sweep);
    }
}


static void
im_lmdb_commit_done(im_lmdb_commit_t *c)
{
    uint64_t          us;
    ngx_uint_t        i;
    im_store_stat_t  *stat;

    stat = &im_lmdb_queue.stat;
    us = im_lmdb_now() - c->start_us;

    for (i = 0; i < 19 && us >= ((uint64_t) 64 << i); i++) { /* void */ }

    stat->bucket[i]++;
    stat->latency_us += us;
    stat->batches++;
    stat->queue--;
    im_lmdb_queue.bytes -= c->bytes;

    if (c->err == IM_LMDB_DECLINED) {
        stat->declined++;

    } else if (c->err != 0) {
        stat->errors++;
    }

    ngx_queue_remove(&c->queue);

    c->done = 1;

    im_co_wake(c->co, NGX_OK);
    im_worker_release(1);
}


static void *
im_lmdb_thread(void *data)
{
    im_lmdb_queue_t  *q = data;

    uint64_t           n;
    ngx_uint_t         i, sweep, unsynced, transactions;
    im_lmdb_write_t    w;
    im_lmdb_sweep_t    result;
    im_lmdb_commit_t  *list, *c;

    ngx_memzero(&w, sizeof(im_lmdb_write_t));
    ngx_memzero(&result, sizeof(im_lmdb_sweep_t));

    unsynced = 0;
    n = 1;

    (void) pthread_mutex_lock(&q->mutex);

    for ( ;; ) {

        if (q->todo == NULL && q->quit) {
            break;
        }

        if (q->todo == NULL && !q->sweep_todo) {
            im_lmdb_wait(q, &unsynced);
            continue;
        }

        list = q->todo;
        sweep = q->sweep_todo;

        for (c = list, i = 1; c && c->next && i < IM_LMDB_GROUP; i++) {
            c = c->next;
        }

        if (c) {
            q->todo = c->next;
            c->next = NULL;

            if (q->todo == NULL) {
                q->todo_last = &q->todo;
            }
        }

        q->sweep_todo = 0;

        (void) pthread_mutex_unlock(&q->mutex);

        transactions = list ? im_lmdb_group(&w, list) : 0;

        (void) pthread_mutex_lock(&q->mutex);

        if (list) {
            *q->done_last = list;
            q->done_last = &c->next;
            q->transactions += transactions;
            unsynced = 1;
        }

        if (sweep) {
            (void) pthread_mutex_unlock(&q->mutex);

            if (list && write(q->fd, &n, sizeof(uint64_t)) == -1) {
                /* the counter is full, so the loop will wake */
            }

            im_lmdb_sweep_slice(&w, &result);

            (void) pthread_mutex_lock(&q->mutex);

            q->sweep = result;
            q->sweep_done = 1;
            unsynced = 1;
        }

        if (write(q->fd, &n, sizeof(uint64_t)) == -1) {
            /* as above */
        }
    }

    (void) pthread_mutex_unlock(&q->mutex);

    im_lmdb_write_free(&w);

    return NULL;
}


/* With sync=everysec the last commit is not safe before the next sync. */

static void
im_lmdb_wait(im_lmdb_queue_t *q, ngx_uint_t *unsynced)
{
    struct timespec  ts;

    if (!*unsynced || im_lmdb.sync != IM_SYNC_EVERYSEC) {
        (void) pthread_cond_wait(&q->cond, &q->mutex);
        return;
    }

    (void) clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_sec++;

    if (pthread_cond_timedwait(&q->cond, &q->mutex, &ts) != ETIMEDOUT) {
        return;
    }

    *unsynced = 0;

    (void) pthread_mutex_unlock(&q->mutex);
    (void) mdb_env_sync(im_lmdb.env, 1);
    (void) pthread_mutex_lock(&q->mutex);
}


/* Commits the list in one transaction, or one by one if that fails. */

static ngx_uint_t
im_lmdb_group(im_lmdb_write_t *w, im_lmdb_commit_t *list)
{
    int                err;
    ngx_uint_t         n;
    im_lmdb_commit_t  *c;

    w->now = time(NULL);
    n = 1;

    err = im_lmdb_group_try(w, list, NULL);

    if (err == IM_LMDB_CONFLICT) {

        for (c = list; c; c = c->next) {
            c->careful = 1;
        }

        n++;
        err = im_lmdb_group_try(w, list, NULL);
    }

    if (err == 0) {
        return n;
    }

    if (list->next == NULL) {
        list->err = err;
        return n;
    }

    for (c = list; c; c = c->next) {

        err = im_lmdb_group_try(w, c, c->next);
        n++;

        if (err != 0) {
            c->err = err;
        }
    }

    return n;
}


/* Of the list up to last, which does not belong to it. */

static int
im_lmdb_group_try(im_lmdb_write_t *w, im_lmdb_commit_t *list,
    im_lmdb_commit_t *last)
{
    int                err;
    im_lmdb_commit_t  *c;

    err = mdb_txn_begin(im_lmdb.env, NULL, 0, &w->txn);
    if (err != 0) {
        return err;
    }

    for (c = list; c != last; c = c->next) {

        c->has_taken = 0;
        w->has_taken = 0;
        w->taken = c->taken;

        c->err = im_lmdb_batch(w, c);

        if (c->err == IM_LMDB_DECLINED) {
            c->has_taken = w->has_taken;

        } else if (c->err != 0 && c->err != IM_LMDB_KEY) {
            mdb_txn_abort(w->txn);
            return c->err;
        }
    }

    im_fault("before_commit");

    err = mdb_txn_commit(w->txn);

    if (err == 0) {
        im_fault("after_commit");
    }

    return err;
}


/* IM_LMDB_DECLINED and IM_LMDB_KEY: the batch has left no trace. */

static int
im_lmdb_batch(im_lmdb_write_t *w, im_lmdb_commit_t *c)
{
    int       err;
    MDB_txn  *parent;

    if (!c->careful) {
        return im_lmdb_batch_fast(w, c);
    }

    parent = w->txn;

    err = mdb_txn_begin(im_lmdb.env, parent, 0, &w->txn);

    if (err == 0) {
        err = im_lmdb_batch_careful(w, c);

        if (err == 0) {
            err = mdb_txn_commit(w->txn);

        } else {
            mdb_txn_abort(w->txn);
        }
    }

    w->txn = parent;

    return err;
}


static int
im_lmdb_batch_fast(im_lmdb_write_t *w, im_lmdb_commit_t *c)
{
    int          err;
    ngx_uint_t   i;
    im_batch_t  *batch;

    batch = c->batch;

    for (i = 0; i < batch->n; i++) {
        batch->failed = i;

        err = im_lmdb_check(w, &batch->ops[i]);
        if (err != 0) {
            return err;
        }
    }

    for (i = 0; i < batch->n; i++) {

        if (i) {
            im_fault("mid_batch");
        }

        err = im_lmdb_apply(w, &batch->ops[i]);

        if (err != 0) {
            /* what is written already must go with the transaction */
            return (err == IM_LMDB_KEY) ? IM_LMDB_CONFLICT : err;
        }
    }

    batch->failed = 0;

    return 0;
}


static int
im_lmdb_batch_careful(im_lmdb_write_t *w, im_lmdb_commit_t *c)
{
    int          err;
    ngx_uint_t   i;
    im_batch_t  *batch;

    batch = c->batch;

    for (i = 0; i < batch->n; i++) {
        batch->failed = i;

        if (i) {
            im_fault("mid_batch");
        }

        err = im_lmdb_check(w, &batch->ops[i]);

        if (err == 0) {
            err = im_lmdb_apply(w, &batch->ops[i]);
        }

        if (err != 0) {
            return err;
        }
    }

    batch->failed = 0;

    return 0;
}
