
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_mongo.h"


/*
 * Single operations, in a thread: plain ones, each of which may be repeated,
 * and those of a transaction.
 */


static ngx_int_t im_mongo_insert(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_append_one(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_insert_row(im_mongo_tx_t *tx, im_mongo_op_t *op,
    im_key_t *key);
static ngx_int_t im_mongo_replace(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_change(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_delete(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_drop(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_expect(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_expect_none(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_version(im_mongo_tx_t *tx, im_mongo_op_t *op,
    int64_t *version);


ngx_int_t
im_mongo_op(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    switch (op->type) {

    case IM_OP_INSERT:
        return im_mongo_insert(tx, op);

    case IM_OP_REPLACE:
        return op->version ? im_mongo_replace(tx, op)
                           : im_mongo_insert(tx, op);

    case IM_OP_UPSERT:
        return im_mongo_replace(tx, op);

    case IM_OP_DELETE:
        return im_mongo_delete(tx, op);

    case IM_OP_SET:
        return im_mongo_change(tx, op);

    case IM_OP_ADD:
        return im_mongo_add(tx, op);

    case IM_OP_MAX:
        return im_mongo_max(tx, op);

    case IM_OP_EXPECT:
        return im_mongo_expect(tx, op);

    case IM_OP_DROP:
        return im_mongo_drop(tx, op);

    default: /* IM_OP_APPEND */
        return im_mongo_append_one(tx, op);
    }
}


static ngx_int_t
im_mongo_insert(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    return im_mongo_insert_row(tx, op, op->key);
}


/* The snapshot of the transaction has the tail. */

static ngx_int_t
im_mongo_append_one(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    int64_t    seq;
    im_key_t   key;
    ngx_int_t  rc;

    rc = im_mongo_tail(tx->call, tx->session, op->table, op->key, &seq);
    if (rc != NGX_OK) {
        return im_mongo_result(tx, 0, NULL);
    }

    op->result = seq + 1;

    im_key_init(&key, 0);
    key.len = op->key->len;
    ngx_memcpy(key.data, op->key->data, key.len);
    im_key_int(&key, op->result);

    if (key.invalid) {
        return NGX_ERROR;
    }

    return im_mongo_insert_row(tx, op, &key);
}


static ngx_int_t
im_mongo_insert_row(im_mongo_tx_t *tx, im_mongo_op_t *op, im_key_t *key)
{
    bool                  ok;
    char                  name[IM_MONGO_NAME];
    bson_t                row, opts, reply;
    ngx_int_t             rc;
    bson_iter_t           iter, error;
    mongoc_collection_t  *c;

    bson_init(&row);
    (void) bson_append_oid(&row, IM_MONGO_ID, -1, &op->oid);

    rc = im_mongo_put_row(&row, op, key);

    if (rc == NGX_OK) {
        im_mongo_name(name, op->table);
        c = im_mongo_collection(tx, name, &opts);

        /* im_doc.c has made it, and other bytes are none of the server's */

        (void) bson_append_bool(&opts, "validate", -1, false);

        ok = mongoc_collection_insert_one(c, &row, &opts, &reply,
                                          &tx->call->error);
        rc = im_mongo_result(tx, ok, &reply);

        if (tx->conflict
            && op->type == IM_OP_APPEND
            && bson_iter_init_find(&iter, &reply, "writeErrors")
            && bson_iter_recurse(&iter, &error)
            && bson_iter_next(&error)
            && im_mongo_is_primary(op->table, &error))
        {
            tx->conflict = 0;                /* another one was faster */
        }

        bson_destroy(&reply);
        bson_destroy(&opts);
        mongoc_collection_destroy(c);
    }

    bson_destroy(&row);

    return rc;
}


ngx_uint_t
im_mongo_is_primary(im_table_t *table, bson_iter_t *error)
{
    bson_iter_t   iter, keys;
    im_column_t  *col;

    if (!bson_iter_recurse(error, &iter)
        || !bson_iter_find(&iter, "keyPattern")
        || !bson_iter_recurse(&iter, &keys)
        || !bson_iter_next(&keys)
        || ngx_strcmp(bson_iter_key(&keys), IM_MONGO_APP) != 0)
    {
        return 0;
    }

    for (col = table->key; col->name; col++) {
        if (!bson_iter_next(&keys)
            || ngx_strcmp(bson_iter_key(&keys), col->name) != 0)
        {
            return 0;
        }
    }

    return !bson_iter_next(&keys);
}


static ngx_int_t
im_mongo_replace(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    int64_t    version;
    ngx_int_t  rc;

    rc = im_mongo_change(tx, op);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    /* an answer that was lost */

    rc = im_mongo_version(tx, op, &version);

    if (rc == NGX_OK && version == op->next) {
        return tx->session ? NGX_DONE : NGX_OK;
    }

    return (rc == NGX_OK) ? NGX_DECLINED : rc;
}


/* NGX_DECLINED: there is no such row. */

static ngx_int_t
im_mongo_change(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    char        name[IM_MONGO_NAME];
    bson_t      filter, change;
    ngx_int_t   rc;
    ngx_uint_t  matched, upsert;

    upsert = im_mongo_upserts(op);

    bson_init(&filter);
    bson_init(&change);

    im_mongo_put_filter(&filter, op, tx->call->now);
    rc = im_mongo_put_change(&change, op);

    if (rc == NGX_OK) {
        im_mongo_name(name, op->table);
        rc = im_mongo_update(tx, name, &filter, &change,
                             op->type == IM_OP_REPLACE
                             || op->type == IM_OP_UPSERT,
                             upsert, &matched);

        if (rc == NGX_OK && !matched && !upsert) {
            rc = NGX_DECLINED;
        }
    }

    bson_destroy(&change);
    bson_destroy(&filter);

    return rc;
}


/*
 * A row of a stream leaves its number behind.  A worker that does not know
 * the tail yet, or knows an older one, must not give it again; the sweeper
 * removes it when nobody can have one that is so old.
 */

static ngx_int_t
im_mongo_delete(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    char       name[IM_MONGO_NAME];
    bson_t     filter;
    ngx_int_t  rc;

    bson_init(&filter);
    (void) im_mongo_put_key(&filter, op->table, op->key);

    if (op->table->kind == IM_STREAM) {
        rc = im_mongo_bury(tx, op->table, op->key, &filter, tx->call->now);

    } else {
        im_mongo_name(name, op->table);
        rc = im_mongo_remove(tx, name, &filter);
    }

    bson_destroy(&filter);

    return rc;
}


/* From below: a stream has its last number until nothing else is left. */

static ngx_int_t
im_mongo_drop(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    bool                  ok;
    char                  name[IM_MONGO_NAME];
    size_t                p;
    bson_t                filter, sort, opts, reply, range, b;
    int64_t               seq;
    ngx_int_t             rc;
    const char           *column;
    im_mongo_docs_t       docs;
    mongoc_collection_t  *c;

    column = im_mongo_last(op->table);
    im_mongo_name(name, op->table);

    ngx_memzero(&docs, sizeof(im_mongo_docs_t));
    bson_init(&filter);
    bson_init(&sort);

    (void) im_mongo_put_key(&filter, op->table, op->key);
    im_mongo_put_sort(&sort, op->table, 0, op->key, IM_ASC);

    rc = im_mongo_find(tx->call, NULL, name, &filter, &sort, column,
                       IM_STORE_DROP, &docs);

    if (rc != NGX_OK) {
        op->result = 0;
        rc = (rc == NGX_DECLINED) ? NGX_OK : im_mongo_result(tx, 0, NULL);
        goto done;
    }

    op->result = (docs.n == IM_STORE_DROP);
    seq = 0;
    p = 0;

    while (im_mongo_docs_next(&docs, &p, &b) == NGX_OK) {
        seq = im_mongo_get_int(&b, column);
    }

    (void) bson_append_document_begin(&filter, column, -1, &range);
    (void) bson_append_int64(&range, "$lte", -1, seq);
    (void) bson_append_document_end(&filter, &range);

    c = im_mongo_collection(tx, name, &opts);

    ok = mongoc_collection_delete_many(c, &filter, &opts, &reply,
                                       &tx->call->error);
    rc = im_mongo_result(tx, ok, &reply);

    mongoc_collection_destroy(c);
    bson_destroy(&reply);
    bson_destroy(&opts);

done:

    ngx_free(docs.data);
    bson_destroy(&sort);
    bson_destroy(&filter);

    return rc;
}


ngx_int_t
im_mongo_bury(im_mongo_tx_t *tx, im_table_t *table, im_key_t *key,
    bson_t *filter, time_t until)
{
    char        name[IM_MONGO_NAME];
    bson_t      row;
    ngx_int_t   rc;
    ngx_uint_t  matched;

    bson_init(&row);

    rc = im_mongo_put_grave(&row, table, key, until);

    if (rc == NGX_OK) {
        im_mongo_name(name, table);
        rc = im_mongo_update(tx, name, filter, &row, 1, 0, &matched);
    }

    bson_destroy(&row);

    return rc;
}


/*
 * In a transaction the row is written, so that nobody else changes it until
 * the end; a row that shall not be there is made and removed.
 */

static ngx_int_t
im_mongo_expect(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    int64_t    version;
    ngx_int_t  rc;

    if (tx->session == NULL) {
        rc = im_mongo_version(tx, op, &version);

        if (rc == NGX_ERROR) {
            return rc;
        }

        if (op->version == 0) {
            return (rc == NGX_DECLINED) ? NGX_OK : NGX_DECLINED;
        }

        return (rc == NGX_OK
                && (op->version == -1 || op->version == version))
               ? NGX_OK : NGX_DECLINED;
    }

    if (op->version == 0) {
        return im_mongo_expect_none(tx, op);
    }

    return im_mongo_change(tx, op);
}


static ngx_int_t
im_mongo_expect_none(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    char       name[IM_MONGO_NAME];
    bson_t     filter;
    ngx_int_t  rc;

    im_mongo_no_doc(op);

    rc = im_mongo_insert_row(tx, op, op->key);
    if (rc != NGX_OK) {
        return rc;
    }

    bson_init(&filter);
    (void) bson_append_oid(&filter, IM_MONGO_ID, -1, &op->oid);

    im_mongo_name(name, op->table);
    rc = im_mongo_remove(tx, name, &filter);

    bson_destroy(&filter);

    return rc;
}


void
im_mongo_no_doc(im_mongo_op_t *op)
{
    static u_char  empty[] = "\5\0\0\0";

    op->doc.data = empty;
    op->doc.len = 5;
}


/* NGX_DECLINED: there is no such row. */

static ngx_int_t
im_mongo_version(im_mongo_tx_t *tx, im_mongo_op_t *op, int64_t *version)
{
    char             name[IM_MONGO_NAME];
    size_t           p;
    bson_t           filter, b;
    ngx_int_t        rc;
    im_mongo_docs_t  docs;

    *version = 0;

    ngx_memzero(&docs, sizeof(im_mongo_docs_t));
    bson_init(&filter);

    (void) im_mongo_put_key(&filter, op->table, op->key);
    im_mongo_put_live(&filter, op->table, tx->call->now);

    im_mongo_name(name, op->table);

    rc = im_mongo_find(tx->call, tx->session, name, &filter, NULL,
                       IM_MONGO_VERSION, 1, &docs);

    p = 0;

    if (rc == NGX_OK && im_mongo_docs_next(&docs, &p, &b) == NGX_OK) {
        *version = im_mongo_get_int(&b, IM_MONGO_VERSION);
    }

    ngx_free(docs.data);
    bson_destroy(&filter);

    return (rc == NGX_ERROR) ? im_mongo_result(tx, 0, NULL) : rc;
}
