
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_lane.h"
#include "store/im_mongo.h"


/*
 * Inserted and appended rows.  What one turn of the event loop has queued for
 * a collection goes to the server in one unordered insert, each document with
 * a result of its own.  A row of a stream gets the number behind the tail,
 * which its unique key either grants or not, so there are no holes; of one
 * stream, one flush runs at a time.  Several rows of it go in one ordered
 * insert, which ends with the first failure.
 */


#define IM_MONGO_FLUSHES  8          /* of a collection at once */
#define IM_MONGO_ROWS     256        /* of a flush */
#define IM_MONGO_BYTES    (8 * 1024 * 1024)
#define IM_MONGO_STREAMS  8192       /* tails that a worker remembers */


typedef struct im_mongo_entry_s  im_mongo_entry_t;


typedef struct {
    ngx_str_node_t     node;         /* number of the table, stream */
    ngx_queue_t        queue;        /* of ready ones, or of idle ones */
    ngx_queue_t        entries;      /* that wait */
    int64_t            tail;         /* -1: not known */
    ngx_msec_t         fresh;        /* when the tail was known */
    ngx_uint_t         n;
    unsigned           busy:1;
    unsigned           ready:1;
    unsigned           idle:1;
} im_mongo_stream_t;


struct im_mongo_entry_s {
    ngx_queue_t        queue;
    im_mongo_stream_t *stream;       /* NULL: a row with a key */
    im_co_t           *co;           /* NULL: it has gone */
    uint64_t           deadline;     /* of the wait, then of the flush */
    im_mongo_op_t      op;
    ngx_int_t          rc;
    im_key_t           key;          /* with the number */
    im_key_t           taken;
    unsigned           has_taken:1;
    unsigned           ended:1;
    unsigned           running:1;
    unsigned           number:1;     /* it was taken */
};


typedef struct {
    im_mongo_call_t    call;         /* first */
    im_table_t        *table;
    im_mongo_stream_t *stream;       /* of an ordered flush */
    unsigned           raced:1;      /* another one took a number */
    ngx_uint_t         n;
    size_t             bytes;
    im_mongo_entry_t  *entries[IM_MONGO_ROWS];
} im_mongo_flush_t;


typedef struct {
    ngx_queue_t        inserts;
    ngx_queue_t        ready;        /* streams */
    ngx_uint_t         running;
} im_mongo_queue_t;


static im_mongo_entry_t *im_mongo_entry(im_ctx_t *ctx, im_op_t *op);
static void im_mongo_entry_ended(im_mongo_entry_t *entry);
static im_mongo_stream_t *im_mongo_stream(ngx_log_t *log, im_op_t *op);
static void im_mongo_stream_idle(im_mongo_stream_t *stream);
static void im_mongo_stream_ready(im_mongo_stream_t *stream,
    im_table_t *table);
static void im_mongo_flush_handler(ngx_event_t *ev);
static void im_mongo_flush_table(im_table_t *table);
static im_mongo_flush_t *im_mongo_flush_stream(im_mongo_stream_t *stream,
    im_table_t *table);
static im_mongo_flush_t *im_mongo_flush_rows(im_table_t *table);
static im_mongo_flush_t *im_mongo_flush(im_table_t *table);
static void im_mongo_flush_add(im_mongo_flush_t *flush,
    im_mongo_entry_t *entry);
static void im_mongo_flush_post(im_mongo_flush_t *flush);
static void im_mongo_flush_done(im_mongo_call_t *call);
static void im_mongo_flush_free(im_mongo_call_t *call);
static void im_mongo_flush_run(im_mongo_call_t *call);
static ngx_int_t im_mongo_flush_keys(im_mongo_flush_t *flush,
    im_mongo_entry_t **list, ngx_uint_t n);
static ngx_int_t im_mongo_flush_insert(im_mongo_flush_t *flush,
    im_mongo_entry_t **list, ngx_uint_t n);
static void im_mongo_flush_results(im_mongo_flush_t *flush,
    im_mongo_entry_t **list, ngx_uint_t n, bson_t *reply, ngx_uint_t ok);
static void im_mongo_flush_conflict(im_mongo_flush_t *flush,
    im_mongo_entry_t *entry);


static ngx_event_t            im_mongo_flush_event;
static ngx_queue_t            im_mongo_idle;       /* streams, oldest first */
static ngx_uint_t             im_mongo_nidle;
static ngx_rbtree_t           im_mongo_streams;
static ngx_rbtree_node_t      im_mongo_sentinel;
static im_mongo_queue_t       im_mongo_queues[IM_T_MAX];


ngx_int_t
im_mongo_append_init(ngx_cycle_t *cycle)
{
    ngx_uint_t  i;

    ngx_rbtree_init(&im_mongo_streams, &im_mongo_sentinel,
                    ngx_str_rbtree_insert_value);

    ngx_queue_init(&im_mongo_idle);
    im_mongo_nidle = 0;

    for (i = 0; i < IM_T_MAX; i++) {
        ngx_queue_init(&im_mongo_queues[i].inserts);
        ngx_queue_init(&im_mongo_queues[i].ready);
        im_mongo_queues[i].running = 0;
    }

    ngx_memzero(&im_mongo_flush_event, sizeof(ngx_event_t));
    im_mongo_flush_event.handler = im_mongo_flush_handler;
    im_mongo_flush_event.log = cycle->log;

    return NGX_OK;
}


/* Nothing is waiting any more: each commit holds the worker. */

void
im_mongo_append_exit(void)
{
    ngx_queue_t        *q;
    im_mongo_stream_t  *stream;

    if (im_mongo_flush_event.posted) {
        ngx_delete_posted_event(&im_mongo_flush_event);
    }

    while (!ngx_queue_empty(&im_mongo_idle)) {
        q = ngx_queue_head(&im_mongo_idle);
        stream = ngx_queue_data(q, im_mongo_stream_t, queue);

        ngx_queue_remove(q);
        ngx_free(stream);
    }
}


ngx_int_t
im_mongo_append(im_ctx_t *ctx, im_op_t *op, im_lane_t *lane, im_key_t *taken,
    ngx_uint_t *has_taken)
{
    uint64_t            now;
    ngx_int_t           rc;
    im_mongo_entry_t   *entry;
    im_mongo_queue_t   *queue;

    *has_taken = 0;

    entry = im_mongo_entry(ctx, op);
    if (entry == NULL) {
        return NGX_ERROR;
    }

    queue = &im_mongo_queues[op->table->id];

    if (op->type == IM_OP_APPEND) {
        entry->stream = im_mongo_stream(ctx->log, op);

        if (entry->stream == NULL) {
            ngx_free(entry);
            return NGX_ERROR;
        }

        ngx_queue_insert_tail(&entry->stream->entries, &entry->queue);
        entry->stream->n++;
        im_mongo_stream_ready(entry->stream, op->table);

    } else {
        ngx_queue_insert_tail(&queue->inserts, &entry->queue);
    }

    if (!im_mongo_flush_event.posted) {
        ngx_post_event(&im_mongo_flush_event, &ngx_posted_next_events);
    }

    im_lane_pass(lane);

    im_worker_hold(1);

    entry->deadline = im_mongo_now() + IM_MONGO_DEADLINE * 1000;

    while (!entry->ended) {
        now = im_mongo_now();

        /* one that began to run meanwhile has time for it */

        if (now < entry->deadline) {
            (void) im_co_wait((entry->deadline - now) / 1000 + 1);
            continue;
        }

        im_worker_release(1);

        if (!entry->running) {               /* nobody has seen it */

            ngx_queue_remove(&entry->queue);

            if (entry->stream) {
                entry->stream->n--;
                im_mongo_stream_idle(entry->stream);
            }

            ngx_free(entry);

            return NGX_BUSY;
        }

        entry->co = NULL;

        ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                      "mongo insert into \"%s\" timed out",
                      op->table->name);
        return NGX_ERROR;
    }

    im_worker_release(1);

    rc = entry->rc;
    op->result = entry->op.result;

    if (entry->has_taken) {
        *taken = entry->taken;
        *has_taken = 1;
    }

    ngx_free(entry);

    return rc;
}


static im_mongo_entry_t *
im_mongo_entry(im_ctx_t *ctx, im_op_t *op)
{
    size_t             len;
    ngx_str_t          data;
    im_mongo_entry_t  *entry;

    (void) im_doc_data(op->doc, &data);

    len = ngx_align(offsetof(im_key_t, data) + op->key->len, NGX_ALIGNMENT);

    entry = ngx_alloc(sizeof(im_mongo_entry_t) + len + data.len, ctx->log);
    if (entry == NULL) {
        return NULL;
    }

    ngx_memzero(entry, sizeof(im_mongo_entry_t));

    entry->co = im_co_self();
    entry->rc = NGX_AGAIN;

    entry->op.type = op->type;
    entry->op.table = op->table;
    entry->op.version = op->version;
    entry->op.next = im_mongo_random();
    im_mongo_oid(&entry->op.oid);

    entry->op.key = (im_key_t *) (entry + 1);
    ngx_memcpy(entry->op.key, op->key,
               offsetof(im_key_t, data) + op->key->len);

    entry->op.doc.data = (u_char *) (entry + 1) + len;
    entry->op.doc.len = data.len;
    ngx_memcpy(entry->op.doc.data, data.data, data.len);

    return entry;
}


static void
im_mongo_entry_ended(im_mongo_entry_t *entry)
{
    entry->ended = 1;

    if (entry->co) {
        im_co_wake(entry->co, NGX_OK);

    } else {
        ngx_free(entry);
    }
}


/* The stream of the operation; a new one does not know its tail. */

static im_mongo_stream_t *
im_mongo_stream(ngx_log_t *log, im_op_t *op)
{
    u_char              name[IM_KEY_LEN + 1];
    uint32_t            hash;
    ngx_str_t           s;
    ngx_queue_t        *q;
    im_mongo_stream_t  *stream;

    name[0] = (u_char) op->table->id;
    ngx_memcpy(name + 1, op->key->data, op->key->len);

    s.data = name;
    s.len = op->key->len + 1;
    hash = ngx_crc32_short(s.data, s.len);

    stream = (im_mongo_stream_t *) ngx_str_rbtree_lookup(&im_mongo_streams,
                                                         &s, hash);
    if (stream) {
        return stream;
    }

    if (im_mongo_nidle >= IM_MONGO_STREAMS) {
        q = ngx_queue_head(&im_mongo_idle);
        stream = ngx_queue_data(q, im_mongo_stream_t, queue);

        ngx_queue_remove(q);
        ngx_rbtree_delete(&im_mongo_streams, &stream->node.node);
        ngx_free(stream);
        im_mongo_nidle--;
    }

    stream = ngx_alloc(sizeof(im_mongo_stream_t) + s.len, log);
    if (stream == NULL) {
        return NULL;
    }

    ngx_memzero(stream, sizeof(im_mongo_stream_t));
    ngx_queue_init(&stream->entries);

    stream->tail = -1;
    stream->node.node.key = hash;
    stream->node.str.len = s.len;
    stream->node.str.data = (u_char *) (stream + 1);
    ngx_memcpy(stream->node.str.data, s.data, s.len);

    ngx_rbtree_insert(&im_mongo_streams, &stream->node.node);

    return stream;
}


/* Puts a stream without work behind the other ones. */

static void
im_mongo_stream_idle(im_mongo_stream_t *stream)
{
    if (stream->n || stream->busy || stream->idle) {
        return;
    }

    if (stream->ready) {
        ngx_queue_remove(&stream->queue);
        stream->ready = 0;
    }

    ngx_queue_insert_tail(&im_mongo_idle, &stream->queue);
    stream->idle = 1;
    im_mongo_nidle++;
}


static void
im_mongo_stream_ready(im_mongo_stream_t *stream, im_table_t *table)
{
    if (stream->n == 0 || stream->busy || stream->ready) {
        return;
    }

    if (stream->idle) {
        ngx_queue_remove(&stream->queue);
        stream->idle = 0;
        im_mongo_nidle--;
    }

    ngx_queue_insert_tail(&im_mongo_queues[table->id].ready, &stream->queue);
    stream->ready = 1;
}


/* Runs in the next turn of the event loop. */

static void
im_mongo_flush_handler(ngx_event_t *ev)
{
    ngx_uint_t  i;

    for (i = 0; i < IM_T_MAX; i++) {
        im_mongo_flush_table(&im_tables[i]);
    }
}


static void
im_mongo_flush_table(im_table_t *table)
{
    ngx_queue_t        *q, *next;
    im_mongo_queue_t   *queue;
    im_mongo_flush_t   *flush;
    im_mongo_stream_t  *stream;

    queue = &im_mongo_queues[table->id];

    for (q = ngx_queue_head(&queue->ready);
         q != ngx_queue_sentinel(&queue->ready)
         && queue->running < IM_MONGO_FLUSHES;
         q = next)
    {
        next = ngx_queue_next(q);
        stream = ngx_queue_data(q, im_mongo_stream_t, queue);

        if (stream->n > 1) {
            flush = im_mongo_flush_stream(stream, table);
            if (flush == NULL) {
                return;
            }

            im_mongo_flush_post(flush);
        }
    }

    while (queue->running < IM_MONGO_FLUSHES) {

        flush = im_mongo_flush_rows(table);
        if (flush == NULL) {
            return;
        }

        im_mongo_flush_post(flush);
    }
}


static im_mongo_flush_t *
im_mongo_flush_stream(im_mongo_stream_t *stream, im_table_t *table)
{
    im_mongo_flush_t  *flush;

    flush = im_mongo_flush(table);
    if (flush == NULL) {
        return NULL;
    }

    flush->stream = stream;

    ngx_queue_remove(&stream->queue);
    stream->ready = 0;
    stream->busy = 1;

    while (stream->n
           && flush->n < IM_MONGO_ROWS
           && flush->bytes < IM_MONGO_BYTES)
    {
        stream->n--;
        im_mongo_flush_add(flush,
                           ngx_queue_data(ngx_queue_head(&stream->entries),
                                          im_mongo_entry_t, queue));
    }

    return flush;
}


/* Single rows of streams, and rows with a key. */

static im_mongo_flush_t *
im_mongo_flush_rows(im_table_t *table)
{
    ngx_queue_t        *q, *next;
    im_mongo_queue_t   *queue;
    im_mongo_flush_t   *flush;
    im_mongo_stream_t  *stream;

    queue = &im_mongo_queues[table->id];

    if (ngx_queue_empty(&queue->inserts) && ngx_queue_empty(&queue->ready)) {
        return NULL;
    }

    flush = im_mongo_flush(table);
    if (flush == NULL) {
        return NULL;
    }

    for (q = ngx_queue_head(&queue->ready);
         q != ngx_queue_sentinel(&queue->ready)
         && flush->n < IM_MONGO_ROWS
         && flush->bytes < IM_MONGO_BYTES;
         q = next)
    {
        next = ngx_queue_next(q);
        stream = ngx_queue_data(q, im_mongo_stream_t, queue);

        if (stream->n > 1) {
            continue;
        }

        ngx_queue_remove(q);
        stream->ready = 0;
        stream->busy = 1;
        stream->n--;

        im_mongo_flush_add(flush,
                           ngx_queue_data(ngx_queue_head(&stream->entries),
                                          im_mongo_entry_t, queue));
    }

    while (!ngx_queue_empty(&queue->inserts)
           && flush->n < IM_MONGO_ROWS
           && flush->bytes < IM_MONGO_BYTES)
    {
        im_mongo_flush_add(flush,
                           ngx_queue_data(ngx_queue_head(&queue->inserts),
                                          im_mongo_entry_t, queue));
    }

    if (flush->n == 0) {
        ngx_free(flush);
        return NULL;
    }

    return flush;
}


static im_mongo_flush_t *
im_mongo_flush(im_table_t *table)
{
    im_mongo_flush_t  *flush;

    flush = ngx_calloc(sizeof(im_mongo_flush_t), ngx_cycle->log);
    if (flush == NULL) {
        return NULL;
    }

    flush->table = table;
    flush->call.run = im_mongo_flush_run;
    flush->call.done = im_mongo_flush_done;
    flush->call.free = im_mongo_flush_free;
    flush->call.what = "insert";
    flush->call.table = table->name;

    return flush;
}


static void
im_mongo_flush_add(im_mongo_flush_t *flush, im_mongo_entry_t *entry)
{
    ngx_queue_remove(&entry->queue);

    entry->running = 1;

    if (entry->stream
        && (ngx_msec_int_t) (ngx_current_msec - entry->stream->fresh)
           > IM_MONGO_FRESH)
    {
        entry->stream->tail = -1;
    }

    flush->entries[flush->n++] = entry;
    flush->bytes += entry->op.doc.len;
}


/* If it cannot begin, it ends here. */

static void
im_mongo_flush_post(im_mongo_flush_t *flush)
{
    uint64_t    deadline;
    ngx_uint_t  i;

    deadline = im_mongo_now() + IM_MONGO_DEADLINE * 1000;

    for (i = 0; i < flush->n; i++) {
        flush->entries[i]->deadline = deadline;
    }

    im_mongo_queues[flush->table->id].running++;
    im_mongo.stat.commits++;

    (void) im_mongo_post(&flush->call);
}


static void
im_mongo_flush_done(im_mongo_call_t *call)
{
    im_mongo_flush_t  *flush = (im_mongo_flush_t *) call;

    ngx_uint_t  i, failed;

    failed = 0;

    for (i = 0; i < flush->n; i++) {
        if (flush->entries[i]->rc == NGX_AGAIN) {
            flush->entries[i]->rc = (call->rc == NGX_BUSY) ? NGX_BUSY
                                                           : NGX_ERROR;
        }

        failed += (flush->entries[i]->rc == NGX_ERROR);
    }

    if (failed) {
        im_mongo_error(ngx_cycle->log, call);
    }

    im_mongo_flush_free(call);
}


/* Also of one that has not run. */

static void
im_mongo_flush_free(im_mongo_call_t *call)
{
    im_mongo_flush_t  *flush = (im_mongo_flush_t *) call;

    ngx_uint_t          i;
    im_table_t         *table;
    im_mongo_entry_t   *entry;
    im_mongo_stream_t  *stream;

    table = flush->table;

    for (i = 0; i < flush->n; i++) {
        entry = flush->entries[i];
        stream = entry->stream;

        if (entry->rc == NGX_AGAIN) {
            entry->rc = NGX_BUSY;
        }

        if (stream) {
            if (entry->rc != NGX_OK && entry->rc != NGX_DECLINED) {
                stream->tail = -1;
            }

            stream->fresh = ngx_current_msec;
            stream->busy = 0;
            im_mongo_stream_ready(stream, table);
            im_mongo_stream_idle(stream);
        }

        im_mongo_entry_ended(entry);
    }

    im_mongo_queues[table->id].running--;

    if (!im_mongo_flush_event.posted) {
        ngx_post_event(&im_mongo_flush_event, &ngx_posted_next_events);
    }

    ngx_free(flush);
}


/* In a thread: until each row is in, or is known to be refused. */

static void
im_mongo_flush_run(im_mongo_call_t *call)
{
    im_mongo_flush_t  *flush = (im_mongo_flush_t *) call;

    ngx_int_t          rc;
    ngx_uint_t         i, n, tries;
    im_mongo_entry_t  *list[IM_MONGO_ROWS];

    for (tries = 0; /* void */ ; tries++) {

        for (i = 0, n = 0; i < flush->n; i++) {
            if (flush->entries[i]->rc == NGX_AGAIN) {
                list[n++] = flush->entries[i];
            }
        }

        if (n == 0) {
            call->rc = NGX_OK;
            return;
        }

        flush->raced = 0;

        rc = im_mongo_flush_keys(flush, list, n);

        if (rc == NGX_OK) {
            rc = im_mongo_flush_insert(flush, list, n);
        }

        if (rc == NGX_ERROR) {
            call->rc = NGX_ERROR;
            return;
        }

        for (i = 0; i < n && list[i]->rc != NGX_AGAIN; i++) { /* void */ }

        /* who waits now is late again */

        if (i < n && im_mongo_pause(call, flush->raced ? 0 : tries) != NGX_OK)
        {
            call->rc = NGX_ERROR;
            return;
        }
    }
}


/* The keys of the rows: a number for each one of a stream. */

static ngx_int_t
im_mongo_flush_keys(im_mongo_flush_t *flush, im_mongo_entry_t **list,
    ngx_uint_t n)
{
    ngx_int_t           rc;
    ngx_uint_t          i;
    im_mongo_entry_t   *entry;
    im_mongo_stream_t  *stream;

    for (i = 0; i < n; i++) {
        entry = list[i];
        stream = entry->stream;

        im_key_init(&entry->key, 0);
        entry->key.len = entry->op.key->len;
        ngx_memcpy(entry->key.data, entry->op.key->data, entry->key.len);

        if (stream == NULL) {
            continue;
        }

        if (stream->tail == -1) {
            rc = im_mongo_tail(&flush->call, NULL, flush->table,
                               entry->op.key, &stream->tail);
            if (rc != NGX_OK) {
                stream->tail = -1;
                return NGX_ERROR;
            }
        }

        entry->op.result = stream->tail + 1 + (flush->stream ? i : 0);
        im_key_int(&entry->key, entry->op.result);
    }

    return NGX_OK;
}


static ngx_int_t
im_mongo_flush_insert(im_mongo_flush_t *flush, im_mongo_entry_t **list,
    ngx_uint_t n)
{
    bool                   ok;
    char                   name[IM_MONGO_NAME];
    bson_t                 rows[IM_MONGO_ROWS], opts, reply;
    ngx_int_t              rc;
    ngx_uint_t             i;
    const bson_t          *p[IM_MONGO_ROWS];
    mongoc_collection_t   *c;

    for (i = 0; i < n; i++) {
        bson_init(&rows[i]);
        p[i] = &rows[i];

        (void) bson_append_oid(&rows[i], IM_MONGO_ID, -1, &list[i]->op.oid);

        if (im_mongo_put_row(&rows[i], &list[i]->op, &list[i]->key)
            != NGX_OK)
        {
            bson_set_error(&flush->call.error, 0, 0, "invalid document");
            n = i + 1;
            rc = NGX_ERROR;
            goto done;
        }
    }

    bson_init(&opts);
    (void) bson_append_bool(&opts, "ordered", -1, flush->stream != NULL);
    (void) bson_append_bool(&opts, "validate", -1, false);

    im_mongo_name(name, flush->table);
    c = mongoc_client_get_collection(flush->call.client, im_mongo.db, name);

    ok = mongoc_collection_insert_many(c, p, n, &opts, &reply,
                                       &flush->call.error);
    rc = NGX_OK;

    if (ok || flush->call.error.code == MONGOC_ERROR_DUPLICATE_KEY) {
        im_mongo_flush_results(flush, list, n, &reply, ok);

    } else if (im_mongo_retry(&flush->call, &flush->call.error)) {

        /* nobody knows what was written: their _id will tell */

        for (i = 0; i < n; i++) {
            if (list[i]->stream) {
                list[i]->stream->tail = -1;
            }
        }

    } else {
        rc = NGX_ERROR;
    }

    bson_destroy(&reply);
    mongoc_collection_destroy(c);
    bson_destroy(&opts);

done:

    for (i = 0; i < n; i++) {
        bson_destroy(&rows[i]);
    }

    return rc;
}


static void
im_mongo_flush_results(im_mongo_flush_t *flush, im_mongo_entry_t **list,
    ngx_uint_t n, bson_t *reply, ngx_uint_t ok)
{
    int64_t            index, code;
    ngx_uint_t         i, good, known;
    bson_iter_t        iter, array, error;
    im_mongo_entry_t  *failed[IM_MONGO_ROWS];

    ngx_memzero(failed, n * sizeof(im_mongo_entry_t *));
    good = n;
    known = ok;

    if (!ok
        && bson_iter_init_find(&iter, reply, "writeErrors")
        && bson_iter_recurse(&iter, &array))
    {
        while (bson_iter_next(&array)) {
            index = -1;
            code = 0;

            if (bson_iter_recurse(&array, &error)
                && bson_iter_find(&error, "index"))
            {
                index = bson_iter_as_int64(&error);
            }

            if (bson_iter_recurse(&array, &error)
                && bson_iter_find(&error, "code"))
            {
                code = bson_iter_as_int64(&error);
            }

            if (index < 0 || index >= (int64_t) n) {
                continue;
            }

            failed[index] = list[index];
            known = 1;

            if (code != MONGOC_ERROR_DUPLICATE_KEY) {
                list[index]->rc = NGX_ERROR;

            } else if (list[index]->stream
                       && im_mongo_is_primary(flush->table, &array))
            {
                list[index]->number = 1;     /* another one was faster */
            }

            if (flush->stream) {             /* those behind are not done */
                good = ngx_min(good, (ngx_uint_t) index);
            }
        }
    }

    for (i = 0; i < n; i++) {

        if (!known) {                        /* the whole call has failed */
            failed[i] = list[i];
        }

        if (i < good && failed[i] == NULL) {
            list[i]->rc = NGX_OK;

            if (list[i]->stream) {
                list[i]->stream->tail = list[i]->op.result;
            }
        }
    }

    for (i = 0; i < n; i++) {
        if (failed[i] == NULL || failed[i]->rc != NGX_AGAIN) {
            continue;
        }

        if (failed[i]->number) {
            failed[i]->number = 0;
            failed[i]->stream->tail = -1;
            flush->raced = 1;

        } else {
            im_mongo_flush_conflict(flush, failed[i]);
        }
    }
}


static void
im_mongo_flush_conflict(im_mongo_flush_t *flush, im_mongo_entry_t *entry)
{
    ngx_int_t      rc;
    im_mongo_tx_t  tx;

    ngx_memzero(&tx, sizeof(im_mongo_tx_t));
    tx.call = &flush->call;
    tx.taken = &entry->taken;

    rc = im_mongo_why(&tx, &entry->op, &entry->key);

    if (entry->stream && rc != NGX_DECLINED) {
        entry->stream->tail = -1;
    }

    switch (rc) {

    case NGX_OK:
        entry->rc = NGX_OK;
        break;

    case NGX_DECLINED:
        entry->rc = NGX_DECLINED;
        entry->has_taken = tx.has_taken;
        break;

    default: /* NGX_AGAIN, or NGX_ERROR: once more */
        break;
    }
}
