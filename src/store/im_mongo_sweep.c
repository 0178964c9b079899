
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_worker.h"
#include "store/im_mongo.h"


/*
 * Removes expired rows of streams.  The last one of a stream stays, without
 * its contents, for the next number is told by it; an index with a time to
 * live could not see to that.  Rows of all other tables go by such an index.
 * One worker of all nodes sweeps at a time; the lease is a document.
 */


#define IM_MONGO_SLICE  500          /* rows that are removed at once */


typedef struct {
    im_mongo_call_t    call;         /* first */
    time_t             lease;        /* seconds */
    ngx_uint_t         removed;
} im_mongo_sweep_t;


static void im_mongo_sweep_handler(ngx_event_t *ev);
static void im_mongo_sweep_done(im_mongo_call_t *call);
static void im_mongo_sweep_free(im_mongo_call_t *call);
static void im_mongo_sweep_run(im_mongo_call_t *call);
static ngx_int_t im_mongo_sweep_lease(im_mongo_sweep_t *sweep);
static ngx_int_t im_mongo_sweep_table(im_mongo_sweep_t *sweep,
    im_table_t *table);
static ngx_int_t im_mongo_sweep_last(im_mongo_sweep_t *sweep,
    im_table_t *table, im_mongo_docs_t *docs);
static ngx_int_t im_mongo_sweep_keep(im_mongo_sweep_t *sweep,
    im_table_t *table, im_key_t *key);
static ngx_int_t im_mongo_sweep_remove(im_mongo_sweep_t *sweep,
    const char *name, int64_t before, im_mongo_docs_t *docs);


static ngx_uint_t   im_mongo_sweeping;
static ngx_msec_t   im_mongo_sweep_interval;
static ngx_event_t  im_mongo_sweep_event;
static int64_t      im_mongo_sweep_owner;


void
im_mongo_sweep_init(ngx_cycle_t *cycle, im_conf_t *conf)
{
    ngx_event_t  *ev;

    ev = &im_mongo_sweep_event;

    im_worker_timer(ev, im_mongo_sweep_handler, cycle->log);

    im_mongo_sweeping = 0;
    im_mongo_sweep_owner = im_mongo_random();
    im_mongo_sweep_interval = ngx_max(conf->sweep_interval, 100);

    ngx_add_timer(ev, im_mongo_sweep_interval);
}


void
im_mongo_sweep_exit(void)
{
    if (im_mongo_sweep_event.timer_set) {
        ngx_del_timer(&im_mongo_sweep_event);
    }
}


static void
im_mongo_sweep_handler(ngx_event_t *ev)
{
    if (ngx_exiting) {
        return;
    }

    (void) im_mongo_sweep();

    if (!ev->timer_set) {
        ngx_add_timer(ev, im_mongo_sweep_interval);
    }
}


ngx_int_t
im_mongo_sweep(void)
{
    im_mongo_sweep_t  *sweep;

    if (im_mongo_sweeping) {
        return NGX_BUSY;
    }

    sweep = ngx_calloc(sizeof(im_mongo_sweep_t), ngx_cycle->log);
    if (sweep == NULL) {
        return NGX_ERROR;
    }

    sweep->lease = im_mongo_sweep_interval / 500 + 10;
    sweep->call.run = im_mongo_sweep_run;
    sweep->call.done = im_mongo_sweep_done;
    sweep->call.free = im_mongo_sweep_free;
    sweep->call.what = "sweep";
    sweep->call.table = "streams";

    im_mongo_sweeping = 1;

    return im_mongo_post(&sweep->call);
}


static void
im_mongo_sweep_done(im_mongo_call_t *call)
{
    im_mongo_sweep_t  *sweep = (im_mongo_sweep_t *) call;

    if (call->rc == NGX_ERROR) {
        im_mongo_error(ngx_cycle->log, call);
    }

    im_mongo.stat.swept += sweep->removed;

    /* there is more */

    if (call->rc == NGX_AGAIN && !ngx_exiting) {
        ngx_add_timer(&im_mongo_sweep_event, 20);
    }

    im_mongo_sweep_free(call);
}


static void
im_mongo_sweep_free(im_mongo_call_t *call)
{
    im_mongo_sweeping = 0;

    ngx_free(call);
}


static void
im_mongo_sweep_run(im_mongo_call_t *call)
{
    im_mongo_sweep_t  *sweep = (im_mongo_sweep_t *) call;

    ngx_int_t   rc;
    ngx_uint_t  i;

    rc = im_mongo_sweep_lease(sweep);

    if (rc != NGX_OK) {
        call->rc = (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
        return;
    }

    call->rc = NGX_OK;

    for (i = 0; i < IM_T_MAX; i++) {

        if (im_tables[i].kind != IM_STREAM
            || im_tables[i].ttl == IM_TTL_NONE)
        {
            continue;
        }

        rc = im_mongo_sweep_table(sweep, &im_tables[i]);

        if (rc == NGX_ERROR) {
            call->rc = NGX_ERROR;
            return;
        }

        if (rc == NGX_AGAIN) {
            call->rc = NGX_AGAIN;
        }
    }
}


/* NGX_DECLINED: another worker has it. */

static ngx_int_t
im_mongo_sweep_lease(im_mongo_sweep_t *sweep)
{
    bool                  ok;
    bson_t               *filter, *change, *opts;
    ngx_int_t             rc;
    mongoc_collection_t  *c;

    filter = BCON_NEW(IM_MONGO_ID, BCON_UTF8("sweep"),
                      "$or", "[",
                      "{", "owner", BCON_INT64(im_mongo_sweep_owner), "}",
                      "{", "until", "{", "$lt",
                           BCON_INT64(sweep->call.now), "}", "}",
                      "]");

    change = BCON_NEW("$set", "{",
                      "owner", BCON_INT64(im_mongo_sweep_owner),
                      "until", BCON_INT64(sweep->call.now + sweep->lease),
                      "}");

    opts = BCON_NEW("upsert", BCON_BOOL(true));

    c = mongoc_client_get_collection(sweep->call.client, im_mongo.db,
                                     IM_MONGO_SYSTEM);

    ok = mongoc_collection_update_one(c, filter, change, opts, NULL,
                                      &sweep->call.error);

    if (ok) {
        rc = NGX_OK;

    } else if (sweep->call.error.code == MONGOC_ERROR_DUPLICATE_KEY) {
        rc = NGX_DECLINED;

    } else {
        (void) im_mongo_retry(&sweep->call, &sweep->call.error);
        rc = NGX_ERROR;
    }

    mongoc_collection_destroy(c);
    bson_destroy(opts);
    bson_destroy(change);
    bson_destroy(filter);

    return rc;
}


/* NGX_AGAIN: the slice was full. */

static ngx_int_t
im_mongo_sweep_table(im_mongo_sweep_t *sweep, im_table_t *table)
{
    char              name[IM_MONGO_NAME];
    bson_t            filter, sort, sub;
    int64_t           before;
    ngx_int_t         rc;
    im_mongo_docs_t   docs;

    ngx_memzero(&docs, sizeof(im_mongo_docs_t));
    bson_init(&filter);
    bson_init(&sort);

    before = (int64_t) (sweep->call.now - im_mongo.grace) * 1000;

    (void) bson_append_document_begin(&filter, IM_MONGO_EXPIRE, -1, &sub);
    (void) bson_append_date_time(&sub, "$lte", -1, before);
    (void) bson_append_document_end(&filter, &sub);
    (void) bson_append_int32(&sort, IM_MONGO_EXPIRE, -1, 1);

    im_mongo_name(name, table);

    rc = im_mongo_find(&sweep->call, NULL, name, &filter, &sort, NULL,
                       IM_MONGO_SLICE, &docs);

    if (rc == NGX_OK) {
        rc = im_mongo_sweep_last(sweep, table, &docs);
    }

    if (rc == NGX_OK) {
        rc = im_mongo_sweep_remove(sweep, name, before, &docs);
    }

    if (rc == NGX_OK && docs.n == IM_MONGO_SLICE) {
        rc = NGX_AGAIN;
    }

    ngx_free(docs.data);
    bson_destroy(&sort);
    bson_destroy(&filter);

    return rc;
}


/* For each stream once, by the last of its rows in the slice. */

static ngx_int_t
im_mongo_sweep_last(im_mongo_sweep_t *sweep, im_table_t *table,
    im_mongo_docs_t *docs)
{
    size_t          p;
    bson_t          b;
    im_key_t        key, *last;
    ngx_int_t       rc;
    ngx_uint_t      i, n;

    last = ngx_alloc(docs->n * sizeof(im_key_t), ngx_cycle->log);
    if (last == NULL) {
        return NGX_ERROR;
    }

    p = 0;
    n = 0;

    while (im_mongo_docs_next(docs, &p, &b) == NGX_OK) {

        if (im_mongo_get_key(&b, table, &key) != NGX_OK) {
            continue;
        }

        for (i = 0; i < n; i++) {
            if (last[i].len == key.len
                && ngx_memcmp(last[i].data, key.data, key.len - 8) == 0)
            {
                break;
            }
        }

        if (i == n) {
            last[n++] = key;

        } else if (ngx_memcmp(last[i].data, key.data, key.len) < 0) {
            last[i] = key;
        }
    }

    rc = NGX_OK;

    for (i = 0; i < n && rc == NGX_OK; i++) {
        rc = im_mongo_sweep_keep(sweep, table, &last[i]);
    }

    ngx_free(last);

    return rc;
}


/* A row that is changed is not what the removal will find. */

static ngx_int_t
im_mongo_sweep_keep(im_mongo_sweep_t *sweep, im_table_t *table,
    im_key_t *key)
{
    char            name[IM_MONGO_NAME];
    u_char         *p;
    bson_t          filter, sub;
    int64_t         seq;
    im_key_t        stream;
    ngx_int_t       rc;
    const char     *column;
    im_mongo_tx_t   tx;

    column = im_mongo_last(table);

    im_key_init(&stream, 0);
    stream.len = key->len - 8;
    ngx_memcpy(stream.data, key->data, stream.len);

    p = key->data + stream.len;
    (void) im_key_get_int(&p, p + 8, &seq);

    bson_init(&filter);
    (void) im_mongo_put_key(&filter, table, &stream);
    (void) bson_append_document_begin(&filter, column, -1, &sub);
    (void) bson_append_int64(&sub, "$gt", -1, seq);
    (void) bson_append_document_end(&filter, &sub);

    im_mongo_name(name, table);
    rc = im_mongo_find(&sweep->call, NULL, name, &filter, NULL, column, 1,
                       NULL);

    bson_destroy(&filter);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    ngx_memzero(&tx, sizeof(im_mongo_tx_t));
    tx.call = &sweep->call;

    bson_init(&filter);
    (void) im_mongo_put_key(&filter, table, key);

    rc = im_mongo_bury(&tx, table, key, &filter,
                       sweep->call.now + IM_MONGO_LAST);

    bson_destroy(&filter);

    return (rc == NGX_OK) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
im_mongo_sweep_remove(im_mongo_sweep_t *sweep, const char *name,
    int64_t before, im_mongo_docs_t *docs)
{
    bool                  ok;
    u_char                n[NGX_INT_T_LEN + 1];
    size_t                p;
    bson_t                b, filter, in, array, reply;
    ngx_uint_t            i;
    bson_iter_t           iter;
    mongoc_collection_t  *c;

    bson_init(&filter);
    (void) bson_append_document_begin(&filter, IM_MONGO_ID, -1, &in);
    (void) bson_append_array_begin(&in, "$in", -1, &array);

    p = 0;

    for (i = 0; im_mongo_docs_next(docs, &p, &b) == NGX_OK; i++) {
        (void) ngx_sprintf(n, "%ui%Z", i);

        if (bson_iter_init_find(&iter, &b, IM_MONGO_ID)) {
            (void) bson_append_iter(&array, (char *) n, -1, &iter);
        }
    }

    (void) bson_append_array_end(&in, &array);
    (void) bson_append_document_end(&filter, &in);

    (void) bson_append_document_begin(&filter, IM_MONGO_EXPIRE, -1, &in);
    (void) bson_append_date_time(&in, "$lte", -1, before);
    (void) bson_append_document_end(&filter, &in);

    c = mongoc_client_get_collection(sweep->call.client, im_mongo.db, name);

    ok = mongoc_collection_delete_many(c, &filter, NULL, &reply,
                                       &sweep->call.error);
    if (ok) {
        if (bson_iter_init_find(&iter, &reply, "deletedCount")) {
            sweep->removed += bson_iter_as_int64(&iter);
        }

    } else {
        (void) im_mongo_retry(&sweep->call, &sweep->call.error);
    }

    mongoc_collection_destroy(c);
    bson_destroy(&reply);
    bson_destroy(&filter);

    return ok ? NGX_OK : NGX_ERROR;
}
