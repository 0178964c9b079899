
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_mongo.h"


/*
 * Reading.  The event loop makes the filter, a thread sends it and keeps the
 * answer in memory of its own, and the event loop copies rows to the pool.
 */


#define IM_MONGO_PEEK  16            /* rows that last_each looks at */
#define IM_MONGO_PAGE  128           /* rows that it reads at once */


typedef struct {
    im_mongo_call_t    call;         /* first */
    im_table_t        *table;
    ngx_uint_t         index;
    ngx_uint_t         limit;
    bson_t             filter;
    bson_t             sort;
    im_mongo_docs_t    docs;

    ngx_uint_t         n;            /* count */
    int64_t            seq;          /* head */
    int64_t            clear;        /* last_each */
    unsigned           after:1;
    im_key_t           prefix;
    im_key_t           low;
} im_mongo_read_t;


static im_mongo_read_t *im_mongo_read(im_ctx_t *ctx, im_table_t *table,
    im_mongo_call_pt run, const char *what);
static void im_mongo_read_free(im_mongo_call_t *call);
static ngx_int_t im_mongo_read_run(im_ctx_t *ctx, im_mongo_read_t *read);
static void im_mongo_find_run(im_mongo_call_t *call);
static void im_mongo_scan_run(im_mongo_call_t *call);
static void im_mongo_count_run(im_mongo_call_t *call);
static void im_mongo_head_run(im_mongo_call_t *call);
static void im_mongo_last_run(im_mongo_call_t *call);
static ngx_int_t im_mongo_last_page(im_mongo_read_t *read,
    im_mongo_docs_t *docs, im_key_t *value);
static ngx_int_t im_mongo_last_pick(im_mongo_read_t *read,
    im_mongo_docs_t *docs);
static void im_mongo_after(im_key_t *key);
static ngx_int_t im_mongo_docs_add(im_mongo_docs_t *docs, const bson_t *b);
static ngx_int_t im_mongo_row(im_ctx_t *ctx, im_table_t *table, bson_t *b,
    im_row_t *row);
static ngx_int_t im_mongo_rows(im_ctx_t *ctx, im_mongo_read_t *read,
    im_store_row_pt fn, void *data);


static im_mongo_read_t *
im_mongo_read(im_ctx_t *ctx, im_table_t *table, im_mongo_call_pt run,
    const char *what)
{
    im_mongo_read_t  *read;

    read = ngx_calloc(sizeof(im_mongo_read_t), ctx->log);
    if (read == NULL) {
        return NULL;
    }

    bson_init(&read->filter);
    bson_init(&read->sort);

    read->table = table;
    read->call.run = run;
    read->call.free = im_mongo_read_free;
    read->call.what = what;
    read->call.table = table->name;

    return read;
}


static void
im_mongo_read_free(im_mongo_call_t *call)
{
    im_mongo_read_t  *read = (im_mongo_read_t *) call;

    bson_destroy(&read->filter);
    bson_destroy(&read->sort);
    ngx_free(read->docs.data);
    ngx_free(read);
}


/* Other than NGX_OK: there is no read any more. */

static ngx_int_t
im_mongo_read_run(im_ctx_t *ctx, im_mongo_read_t *read)
{
    ngx_int_t  rc;

    rc = im_mongo_run(ctx, &read->call);

    if (rc == NGX_OK && read->call.rc != NGX_OK
        && read->call.rc != NGX_DECLINED)
    {
        im_mongo_error(ctx->log, &read->call);
        rc = read->call.rc;
        im_mongo_read_free(&read->call);
    }

    return rc;
}


ngx_int_t
im_mongo_get_many(im_ctx_t *ctx, im_table_t *table, im_key_t *keys,
    ngx_uint_t n, im_row_t *rows)
{
    size_t             p;
    bson_t             b;
    im_key_t         **list;
    im_row_t           row;
    ngx_int_t          rc;
    ngx_uint_t         i;
    im_mongo_read_t   *read;

    list = ngx_palloc(ctx->pool, n * sizeof(im_key_t *));
    if (list == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        list[i] = &keys[i];
        ngx_memzero(&rows[i], sizeof(im_row_t));
        rows[i].table = table;
    }

    read = im_mongo_read(ctx, table, im_mongo_find_run, "get");
    if (read == NULL) {
        return NGX_ERROR;
    }

    read->limit = n;

    if (im_mongo_put_keys(&read->filter, table, list, n) != NGX_OK) {
        im_mongo_read_free(&read->call);
        return NGX_OK;
    }

    rc = im_mongo_read_run(ctx, read);
    if (rc != NGX_OK) {
        return rc;
    }

    p = 0;

    while (rc == NGX_OK && im_mongo_docs_next(&read->docs, &p, &b) == NGX_OK) {

        rc = im_mongo_row(ctx, table, &b, &row);
        if (rc != NGX_OK) {
            break;
        }

        for (i = 0; i < n; i++) {
            if (keys[i].len == row.key.len
                && ngx_memcmp(keys[i].data, row.key.data, row.key.len) == 0)
            {
                rows[i] = row;
            }
        }
    }

    im_mongo_read_free(&read->call);

    return rc;
}


ngx_int_t
im_mongo_scan(im_ctx_t *ctx, im_table_t *table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *from, im_key_t *to, ngx_uint_t order,
    ngx_uint_t limit, im_store_row_pt fn, void *data)
{
    ngx_int_t         rc;
    im_mongo_read_t  *read;

    if (limit == 0) {
        return NGX_OK;
    }

    read = im_mongo_read(ctx, table, im_mongo_scan_run, "scan");
    if (read == NULL) {
        return NGX_ERROR;
    }

    read->limit = limit;

    im_mongo_put_range(&read->filter, table, index, prefix, from, to);
    im_mongo_put_sort(&read->sort, table, index, prefix, order);

    rc = im_mongo_read_run(ctx, read);

    return (rc == NGX_OK) ? im_mongo_rows(ctx, read, fn, data) : rc;
}


ngx_int_t
im_mongo_count(im_ctx_t *ctx, im_table_t *table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *from, im_key_t *to, int64_t set,
    int64_t clear, ngx_uint_t cap, ngx_uint_t *n)
{
    bson_t            flags, not;
    ngx_int_t         rc;
    im_mongo_read_t  *read;

    if (cap == 0) {
        return NGX_OK;
    }

    read = im_mongo_read(ctx, table, im_mongo_count_run, "count");
    if (read == NULL) {
        return NGX_ERROR;
    }

    read->limit = cap;

    im_mongo_put_range(&read->filter, table, index, prefix, from, to);
    im_mongo_put_live(&read->filter, table, ngx_time());

    if (set || clear) {
        (void) bson_append_document_begin(&read->filter, "flags", -1, &flags);

        if (set) {
            (void) bson_append_int64(&flags, "$bitsAllSet", -1, set);
        }

        if (clear) {                         /* so also if there are none */
            (void) bson_append_document_begin(&flags, "$not", -1, &not);
            (void) bson_append_int64(&not, "$bitsAnySet", -1, clear);
            (void) bson_append_document_end(&flags, &not);
        }

        (void) bson_append_document_end(&read->filter, &flags);
    }

    rc = im_mongo_read_run(ctx, read);

    if (rc == NGX_OK) {
        *n = read->n;
        im_mongo_read_free(&read->call);
    }

    return rc;
}


ngx_int_t
im_mongo_last_each(im_ctx_t *ctx, im_table_t *table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *after, int64_t clear, ngx_uint_t limit,
    im_store_row_pt fn, void *data)
{
    ngx_int_t         rc;
    im_mongo_read_t  *read;

    read = im_mongo_read(ctx, table, im_mongo_last_run, "read of the last");
    if (read == NULL) {
        return NGX_ERROR;
    }

    read->index = index;
    read->limit = limit;
    read->clear = clear;
    read->prefix = *prefix;
    read->low = after ? *after : *prefix;
    read->after = (after != NULL);

    rc = im_mongo_read_run(ctx, read);

    return (rc == NGX_OK) ? im_mongo_rows(ctx, read, fn, data) : rc;
}


ngx_int_t
im_mongo_head(im_ctx_t *ctx, im_table_t *table, im_key_t *stream,
    int64_t *seq)
{
    ngx_int_t         rc;
    im_mongo_read_t  *read;

    read = im_mongo_read(ctx, table, im_mongo_head_run, "read of the head");
    if (read == NULL) {
        return NGX_ERROR;
    }

    read->prefix = *stream;

    rc = im_mongo_read_run(ctx, read);

    if (rc == NGX_OK) {
        *seq = read->seq;
        im_mongo_read_free(&read->call);
    }

    return rc;
}


static ngx_int_t
im_mongo_rows(im_ctx_t *ctx, im_mongo_read_t *read, im_store_row_pt fn,
    void *data)
{
    size_t      p;
    bson_t      b;
    im_row_t   *row;
    ngx_int_t   rc;

    p = 0;
    rc = NGX_OK;

    while (rc == NGX_OK && im_mongo_docs_next(&read->docs, &p, &b) == NGX_OK) {

        row = ngx_palloc(ctx->pool, sizeof(im_row_t));

        if (row == NULL) {
            rc = NGX_ERROR;
            break;
        }

        rc = im_mongo_row(ctx, read->table, &b, row);

        if (rc == NGX_OK && !im_row_expired(row, ngx_time())) {
            rc = fn(row, data);
        }
    }

    im_mongo_read_free(&read->call);

    return (rc == NGX_DONE) ? NGX_OK : rc;
}


static ngx_int_t
im_mongo_row(im_ctx_t *ctx, im_table_t *table, bson_t *b, im_row_t *row)
{
    u_char    *p;
    im_key_t   key;

    if (im_mongo_get_key(b, table, &key) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                      "mongo has a row of \"%s\" without a key", table->name);
        return NGX_ERROR;
    }

    p = ngx_pnalloc(ctx->pool, key.len + b->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    row->table = table;
    row->key.data = p;
    row->key.len = key.len;
    p = ngx_cpymem(p, key.data, key.len);

    row->data.data = p;
    row->data.len = b->len;
    ngx_memcpy(p, bson_get_data(b), b->len);

    row->version = (table->kind == IM_VERSIONED)
                   ? im_mongo_get_int(b, IM_MONGO_VERSION) : 0;

    return NGX_OK;
}


static void
im_mongo_find_run(im_mongo_call_t *call)
{
    im_mongo_read_t  *read = (im_mongo_read_t *) call;

    char  name[IM_MONGO_NAME];

    im_mongo_name(name, read->table);

    call->rc = im_mongo_find(call, NULL, name, &read->filter, &read->sort,
                             NULL, read->limit, &read->docs);
}


/*
 * Few rows are expired, so the index alone decides, and the event loop leaves
 * them out.  Only if others are missing for them the server does.
 */

static void
im_mongo_scan_run(im_mongo_call_t *call)
{
    im_mongo_read_t  *read = (im_mongo_read_t *) call;

    size_t      p;
    bson_t      b;
    ngx_uint_t  expired;

    im_mongo_find_run(call);

    if (call->rc != NGX_OK || read->docs.n < read->limit) {
        return;
    }

    p = 0;
    expired = 0;

    while (im_mongo_docs_next(&read->docs, &p, &b) == NGX_OK) {
        expired |= im_mongo_expired(read->table, &b, call->now);
    }

    if (expired) {
        im_mongo_put_live(&read->filter, read->table, call->now);
        im_mongo_find_run(call);
    }
}


ngx_int_t
im_mongo_find(im_mongo_call_t *call, mongoc_client_session_t *session,
    const char *name, bson_t *filter, bson_t *sort, const char *field,
    ngx_uint_t limit, im_mongo_docs_t *docs)
{
    bson_t                opts, only;
    ngx_int_t             rc;
    ngx_uint_t            tries;
    const bson_t         *doc;
    mongoc_cursor_t      *cursor;
    mongoc_collection_t  *c;

    bson_init(&opts);
    (void) bson_append_int64(&opts, "limit", -1, limit);
    (void) bson_append_int64(&opts, "batchSize", -1, limit + 1);

    if (sort && !bson_empty(sort)) {
        (void) bson_append_document(&opts, "sort", -1, sort);
    }

    if (field) {
        (void) bson_append_document_begin(&opts, "projection", -1, &only);
        (void) bson_append_int32(&only, IM_MONGO_ID, -1, 0);
        (void) bson_append_int32(&only, field, -1, 1);
        (void) bson_append_document_end(&opts, &only);
    }

    if (session) {
        (void) mongoc_client_session_append(session, &opts, &call->error);

    } else {
        (void) bson_append_int64(&opts, "maxTimeMS", -1, IM_MONGO_DEADLINE);
    }

    c = mongoc_client_get_collection(call->client, im_mongo.db, name);

    for (tries = 0; /* void */ ; tries++) {

        cursor = mongoc_collection_find_with_opts(c, filter, &opts, NULL);

        if (docs) {
            docs->len = 0;
            docs->n = 0;
        }

        rc = NGX_DECLINED;

        while (rc != NGX_ERROR && mongoc_cursor_next(cursor, &doc)) {
            rc = docs ? im_mongo_docs_add(docs, doc) : NGX_OK;
        }

        if (mongoc_cursor_error(cursor, &call->error)) {
            rc = NGX_ERROR;
        }

        mongoc_cursor_destroy(cursor);

        if (rc != NGX_ERROR
            || session
            || !im_mongo_retry(call, &call->error)
            || im_mongo_pause(call, tries) != NGX_OK)
        {
            break;
        }
    }

    mongoc_collection_destroy(c);
    bson_destroy(&opts);

    return rc;
}


static ngx_int_t
im_mongo_docs_add(im_mongo_docs_t *docs, const bson_t *b)
{
    u_char  *p;
    size_t   size;

    if (docs->size - docs->len < b->len) {
        size = ngx_max(2 * docs->size, docs->len + b->len);
        size = ngx_max(size, 4096);

        p = realloc(docs->data, size);
        if (p == NULL) {
            return NGX_ERROR;
        }

        docs->data = p;
        docs->size = size;
    }

    ngx_memcpy(docs->data + docs->len, bson_get_data(b), b->len);
    docs->len += b->len;
    docs->n++;

    return NGX_OK;
}


ngx_int_t
im_mongo_docs_next(im_mongo_docs_t *docs, size_t *p, bson_t *b)
{
    uint32_t  len;

    if (docs->len - *p < 5) {
        return NGX_DONE;
    }

    ngx_memcpy(&len, docs->data + *p, sizeof(uint32_t));
    len = BSON_UINT32_FROM_LE(len);

    if (!bson_init_static(b, docs->data + *p, len)) {
        return NGX_DONE;
    }

    *p += len;

    return NGX_OK;
}


static void
im_mongo_count_run(im_mongo_call_t *call)
{
    im_mongo_read_t  *read = (im_mongo_read_t *) call;

    char                  name[IM_MONGO_NAME];
    bson_t                opts;
    int64_t               n;
    ngx_uint_t            tries;
    mongoc_collection_t  *c;

    bson_init(&opts);
    (void) bson_append_int64(&opts, "limit", -1, read->limit);
    (void) bson_append_int64(&opts, "maxTimeMS", -1, IM_MONGO_DEADLINE);

    im_mongo_name(name, read->table);
    c = mongoc_client_get_collection(call->client, im_mongo.db, name);

    for (tries = 0; /* void */ ; tries++) {

        n = mongoc_collection_count_documents(c, &read->filter, &opts, NULL,
                                              NULL, &call->error);

        if (n >= 0
            || !im_mongo_retry(call, &call->error)
            || im_mongo_pause(call, tries) != NGX_OK)
        {
            break;
        }
    }

    mongoc_collection_destroy(c);
    bson_destroy(&opts);

    if (n >= 0) {
        read->n = n;
        call->rc = NGX_OK;
    }
}


static void
im_mongo_head_run(im_mongo_call_t *call)
{
    im_mongo_read_t  *read = (im_mongo_read_t *) call;

    call->rc = im_mongo_tail(call, NULL, read->table, &read->prefix,
                             &read->seq);
}


/* The last row stays, though it may be expired: see im_mongo_sweep.c. */

ngx_int_t
im_mongo_tail(im_mongo_call_t *call, mongoc_client_session_t *session,
    im_table_t *table, im_key_t *stream, int64_t *seq)
{
    char              name[IM_MONGO_NAME];
    size_t            p;
    bson_t            filter, sort, b;
    ngx_int_t         rc;
    const char       *last;
    im_mongo_docs_t   docs;

    *seq = 0;
    last = im_mongo_last(table);

    ngx_memzero(&docs, sizeof(im_mongo_docs_t));
    bson_init(&filter);
    bson_init(&sort);

    rc = im_mongo_put_key(&filter, table, stream);

    if (rc == NGX_OK) {
        im_mongo_put_sort(&sort, table, 0, stream, IM_DESC);
        im_mongo_name(name, table);

        rc = im_mongo_find(call, session, name, &filter, &sort, last, 1,
                           &docs);
    }

    p = 0;

    if (rc == NGX_OK && im_mongo_docs_next(&docs, &p, &b) == NGX_OK) {
        *seq = im_mongo_get_int(&b, last);
    }

    ngx_free(docs.data);
    bson_destroy(&sort);
    bson_destroy(&filter);

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/*
 * A page of rows in key order has all rows of most values.  Of the one that
 * is cut by its end, the last rows are read by themselves.
 */

static void
im_mongo_last_run(im_mongo_call_t *call)
{
    im_mongo_read_t  *read = (im_mongo_read_t *) call;

    char              name[IM_MONGO_NAME];
    bson_t            filter, up, down;
    im_key_t          value;
    ngx_int_t         rc;
    im_mongo_docs_t   docs;

    ngx_memzero(&docs, sizeof(im_mongo_docs_t));
    im_mongo_name(name, read->table);

    if (read->after) {
        im_mongo_after(&read->low);
    }

    bson_init(&up);
    im_mongo_put_sort(&up, read->table, read->index, &read->prefix, IM_ASC);
    bson_init(&down);
    im_mongo_put_sort(&down, read->table, read->index, &read->prefix,
                      IM_DESC);

    rc = NGX_OK;

    while (rc == NGX_OK && read->docs.n < read->limit) {

        bson_init(&filter);

        im_mongo_put_range(&filter, read->table, read->index, &read->prefix,
                           &read->low, NULL);

        rc = im_mongo_find(call, NULL, name, &filter, &up, NULL,
                           IM_MONGO_PAGE, &docs);

        bson_destroy(&filter);

        if (rc != NGX_OK) {
            break;
        }

        rc = im_mongo_last_page(read, &docs, &value);

        if (rc != NGX_AGAIN) {
            continue;
        }

        bson_init(&filter);

        im_mongo_put_range(&filter, read->table, read->index, &value, NULL,
                           NULL);
        im_mongo_put_live(&filter, read->table, call->now);

        rc = im_mongo_find(call, NULL, name, &filter, &down, NULL,
                           read->clear ? IM_MONGO_PEEK : 1, &docs);

        bson_destroy(&filter);

        if (rc == NGX_OK) {
            rc = im_mongo_last_pick(read, &docs);

        } else if (rc == NGX_DECLINED) {     /* they have gone */
            rc = NGX_OK;
        }

        read->low = value;
        im_mongo_after(&read->low);
    }

    ngx_free(docs.data);
    bson_destroy(&up);
    bson_destroy(&down);

    call->rc = (rc == NGX_DECLINED || rc == NGX_DONE) ? NGX_OK : rc;
}


/* NGX_DONE: there are no more; NGX_AGAIN: the value goes on. */

static ngx_int_t
im_mongo_last_page(im_mongo_read_t *read, im_mongo_docs_t *docs,
    im_key_t *value)
{
    size_t      p;
    bson_t      b, last;
    im_key_t    v;
    ngx_int_t   rc;
    ngx_uint_t  n, at;

    p = 0;
    n = 0;
    at = 0;

    while (im_mongo_docs_next(docs, &p, &b) == NGX_OK) {

        rc = im_mongo_get_value(&b, read->table, read->index, &read->prefix,
                                &v);
        if (rc != NGX_OK) {
            return rc;
        }

        if (n
            && (v.len != value->len
                || ngx_memcmp(v.data, value->data, v.len) != 0))
        {
            if (at
                && n - at < IM_MONGO_PEEK
                && im_mongo_docs_add(&read->docs, &last) != NGX_OK)
            {
                return NGX_ERROR;
            }

            if (read->docs.n == read->limit) {
                return NGX_DONE;
            }

            n = 0;
            at = 0;
        }

        *value = v;

        if (im_mongo_expired(read->table, &b, read->call.now)) {
            continue;
        }

        n++;

        if ((im_mongo_get_int(&b, "flags") & read->clear) == 0) {
            at = n;
            (void) bson_init_static(&last, bson_get_data(&b), b.len);
        }
    }

    if (docs->n == IM_MONGO_PAGE) {
        return NGX_AGAIN;
    }

    if (at
        && n - at < IM_MONGO_PEEK
        && im_mongo_docs_add(&read->docs, &last) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_DONE;
}


/* The first one of them that has none of the flags. */

static ngx_int_t
im_mongo_last_pick(im_mongo_read_t *read, im_mongo_docs_t *docs)
{
    size_t  p;
    bson_t  b;

    p = 0;

    while (im_mongo_docs_next(docs, &p, &b) == NGX_OK) {
        if ((im_mongo_get_int(&b, "flags") & read->clear) == 0) {
            return im_mongo_docs_add(&read->docs, &b);
        }
    }

    return NGX_OK;
}


/* The first key behind all that begin with this one. */

static void
im_mongo_after(im_key_t *key)
{
    while (key->len && key->data[key->len - 1] == 0xff) {
        key->len--;
    }

    if (key->len) {
        key->data[key->len - 1]++;
    }
}
