
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
static ngx_int_t im_mongo_set(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_add(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_add_alone(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_add_put(im_mongo_tx_t *tx, im_mongo_op_t *op,
    ngx_uint_t has, int64_t old);
static ngx_int_t im_mongo_max(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_delete(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_expect(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_expect_none(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_version(im_mongo_tx_t *tx, im_mongo_op_t *op,
    int64_t *version);
static ngx_int_t im_mongo_column(im_mongo_tx_t *tx, im_mongo_op_t *op,
    ngx_uint_t *has, int64_t *value);
static ngx_int_t im_mongo_holder(im_mongo_tx_t *tx, im_table_t *table,
    bson_t *filter, im_key_t *except);
static ngx_int_t im_mongo_evict(im_mongo_tx_t *tx, im_table_t *table,
    const bson_t *row);
static ngx_int_t im_mongo_update(im_mongo_tx_t *tx, const char *name,
    bson_t *filter, bson_t *change, ngx_uint_t replace, ngx_uint_t upsert,
    ngx_uint_t *matched);
static ngx_int_t im_mongo_remove(im_mongo_tx_t *tx, const char *name,
    bson_t *filter);
static mongoc_collection_t *im_mongo_collection(im_mongo_tx_t *tx,
    const char *name, bson_t *opts);


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
        return im_mongo_set(tx, op);

    case IM_OP_ADD:
        return im_mongo_add(tx, op);

    case IM_OP_MAX:
        return im_mongo_max(tx, op);

    case IM_OP_EXPECT:
        return im_mongo_expect(tx, op);

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
    char        name[IM_MONGO_NAME];
    bson_t      filter, row;
    int64_t     version;
    ngx_int_t   rc;
    ngx_uint_t  matched, upsert;

    upsert = (op->type == IM_OP_UPSERT);

    bson_init(&filter);
    bson_init(&row);

    (void) im_mongo_put_key(&filter, op->table, op->key);

    if (!upsert) {
        (void) bson_append_int64(&filter, IM_MONGO_VERSION, -1, op->version);
        im_mongo_put_live(&filter, op->table, tx->call->now);
    }

    matched = 0;

    rc = im_mongo_put_row(&row, op, op->key);

    if (rc == NGX_OK) {
        im_mongo_name(name, op->table);
        rc = im_mongo_update(tx, name, &filter, &row, 1, upsert, &matched);
    }

    bson_destroy(&row);
    bson_destroy(&filter);

    if (rc != NGX_OK || matched || upsert) {
        return rc;
    }

    /* an answer that was lost */

    rc = im_mongo_version(tx, op, &version);

    if (rc == NGX_OK && version == op->next) {
        return tx->session ? NGX_DONE : NGX_OK;
    }

    return (rc == NGX_OK) ? NGX_DECLINED : rc;
}


static ngx_int_t
im_mongo_set(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    char        name[IM_MONGO_NAME];
    bson_t      filter, change;
    ngx_int_t   rc;
    ngx_uint_t  matched, upsert;

    upsert = (op->table->kind == IM_COUNTED);

    bson_init(&filter);
    bson_init(&change);

    (void) im_mongo_put_key(&filter, op->table, op->key);

    if (!upsert) {
        im_mongo_put_live(&filter, op->table, tx->call->now);
    }

    im_mongo_put_set(&change, op);
    im_mongo_name(name, op->table);

    rc = im_mongo_update(tx, name, &filter, &change, 0, upsert, &matched);

    bson_destroy(&change);
    bson_destroy(&filter);

    return (rc == NGX_OK && !matched && !upsert) ? NGX_DECLINED : rc;
}


/*
 * Alone, the server adds.  A transaction, and a row that is not there yet,
 * compare and set, so that two that add at once do not both succeed.
 */

static ngx_int_t
im_mongo_add(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    int64_t     old;
    ngx_int_t   rc;
    ngx_uint_t  has;

    if (tx->session == NULL) {
        rc = im_mongo_add_alone(tx, op);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    rc = im_mongo_column(tx, op, &has, &old);
    if (rc != NGX_OK) {
        return rc;
    }

    if (__builtin_add_overflow(old, op->value, &op->result)
        || op->result < op->min
        || op->result > op->max)
    {
        return NGX_DECLINED;
    }

    if (has && tx->session == NULL) {
        return NGX_AGAIN;
    }

    return im_mongo_add_put(tx, op, has, old);
}


/* NGX_DECLINED: there is no such row, or it would leave its bounds. */

static ngx_int_t
im_mongo_add_alone(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    bool                            ok;
    char                            name[IM_MONGO_NAME];
    bson_t                          filter, change, sub, opts, reply;
    int64_t                         low, high;
    ngx_int_t                       rc;
    bson_iter_t                     iter, value;
    mongoc_collection_t            *c;
    mongoc_find_and_modify_opts_t  *fam;

    if (__builtin_sub_overflow(op->min, op->value, &low)) {
        low = (op->value > 0) ? INT64_MIN : INT64_MAX;
    }

    if (__builtin_sub_overflow(op->max, op->value, &high)) {
        high = (op->value > 0) ? INT64_MIN : INT64_MAX;
    }

    /* no sum may overflow, whatever the bounds say */

    if (op->value > 0) {
        high = ngx_min(high, INT64_MAX - op->value);

    } else {
        low = ngx_max(low, INT64_MIN - op->value);
    }

    bson_init(&filter);
    (void) im_mongo_put_key(&filter, op->table, op->key);
    (void) bson_append_document_begin(&filter, op->column, -1, &sub);
    (void) bson_append_int64(&sub, "$gte", -1, low);
    (void) bson_append_int64(&sub, "$lte", -1, high);
    (void) bson_append_document_end(&filter, &sub);

    bson_init(&change);
    (void) bson_append_document_begin(&change, "$inc", -1, &sub);
    (void) bson_append_int64(&sub, op->column, -1, op->value);
    (void) bson_append_document_end(&change, &sub);

    fam = mongoc_find_and_modify_opts_new();
    (void) mongoc_find_and_modify_opts_set_update(fam, &change);
    (void) mongoc_find_and_modify_opts_set_flags(fam,
                                          MONGOC_FIND_AND_MODIFY_RETURN_NEW);

    im_mongo_name(name, op->table);
    c = im_mongo_collection(tx, name, &opts);

    ok = mongoc_collection_find_and_modify_with_opts(c, &filter, fam, &reply,
                                                     &tx->call->error);
    rc = im_mongo_result(tx, ok, &reply);

    if (rc == NGX_OK) {
        rc = NGX_DECLINED;

        if (bson_iter_init_find(&iter, &reply, "value")
            && BSON_ITER_HOLDS_DOCUMENT(&iter)
            && bson_iter_recurse(&iter, &value)
            && bson_iter_find(&value, op->column))
        {
            op->result = bson_iter_as_int64(&value);
            rc = NGX_OK;
        }
    }

    mongoc_find_and_modify_opts_destroy(fam);
    mongoc_collection_destroy(c);
    bson_destroy(&reply);
    bson_destroy(&opts);
    bson_destroy(&change);
    bson_destroy(&filter);

    return rc;
}


static ngx_int_t
im_mongo_add_put(im_mongo_tx_t *tx, im_mongo_op_t *op, ngx_uint_t has,
    int64_t old)
{
    char        name[IM_MONGO_NAME];
    bson_t      filter, change, sub;
    ngx_int_t   rc;
    ngx_uint_t  matched;

    bson_init(&filter);
    bson_init(&change);

    (void) im_mongo_put_key(&filter, op->table, op->key);

    if (has) {
        (void) bson_append_int64(&filter, op->column, -1, old);

    } else {
        (void) bson_append_document_begin(&filter, op->column, -1, &sub);
        (void) bson_append_bool(&sub, "$exists", -1, false);
        (void) bson_append_document_end(&filter, &sub);
    }

    (void) bson_append_document_begin(&change, "$set", -1, &sub);
    (void) bson_append_int64(&sub, op->column, -1, op->result);
    (void) bson_append_document_end(&change, &sub);

    im_mongo_name(name, op->table);

    rc = im_mongo_update(tx, name, &filter, &change, 0, !has, &matched);

    bson_destroy(&change);
    bson_destroy(&filter);

    return (rc == NGX_OK && has && !matched) ? NGX_AGAIN : rc;
}


static ngx_int_t
im_mongo_max(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    char        name[IM_MONGO_NAME];
    bson_t      filter, change, sub;
    int64_t     old;
    ngx_int_t   rc;
    ngx_uint_t  has, matched;

    rc = im_mongo_column(tx, op, &has, &old);
    if (rc != NGX_OK) {
        return rc;
    }

    op->result = ngx_max(old, op->value);

    if (has && old >= op->value) {
        return NGX_OK;
    }

    bson_init(&filter);
    bson_init(&change);

    (void) im_mongo_put_key(&filter, op->table, op->key);

    (void) bson_append_document_begin(&change, "$max", -1, &sub);
    (void) bson_append_int64(&sub, op->column, -1, op->result);
    (void) bson_append_document_end(&change, &sub);

    im_mongo_name(name, op->table);

    rc = im_mongo_update(tx, name, &filter, &change, 0, 1, &matched);

    bson_destroy(&change);
    bson_destroy(&filter);

    return rc;
}


static ngx_int_t
im_mongo_delete(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    char       name[IM_MONGO_NAME];
    bson_t     filter;
    ngx_int_t  rc;

    bson_init(&filter);
    (void) im_mongo_put_key(&filter, op->table, op->key);

    if (op->table->kind == IM_STREAM) {
        rc = im_mongo_bury(tx, op->table, op->key, &filter,
                           tx->call->now);

    } else {
        im_mongo_name(name, op->table);
        rc = im_mongo_remove(tx, name, &filter);
    }

    bson_destroy(&filter);

    return rc;
}


/*
 * A row of a stream leaves its number behind, as a row that has expired long
 * ago: a worker that does not know the tail yet must not give it again.
 */

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
    char        name[IM_MONGO_NAME];
    bson_t      filter, change, sub;
    int64_t     version;
    ngx_int_t   rc;
    ngx_uint_t  matched;

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

    bson_init(&filter);
    bson_init(&change);

    (void) im_mongo_put_key(&filter, op->table, op->key);
    im_mongo_put_live(&filter, op->table, tx->call->now);

    if (op->version != -1) {
        (void) bson_append_int64(&filter, IM_MONGO_VERSION, -1, op->version);
    }

    (void) bson_append_document_begin(&change, "$set", -1, &sub);
    (void) bson_append_int64(&sub, IM_MONGO_TOUCH, -1, op->next);
    (void) bson_append_document_end(&change, &sub);

    im_mongo_name(name, op->table);

    rc = im_mongo_update(tx, name, &filter, &change, 0, 0, &matched);

    bson_destroy(&change);
    bson_destroy(&filter);

    return (rc == NGX_OK && !matched) ? NGX_DECLINED : rc;
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


static ngx_int_t
im_mongo_column(im_mongo_tx_t *tx, im_mongo_op_t *op, ngx_uint_t *has,
    int64_t *value)
{
    char             name[IM_MONGO_NAME];
    size_t           p;
    bson_t           filter, b;
    ngx_int_t        rc;
    bson_iter_t      iter;
    im_mongo_docs_t  docs;

    *has = 0;
    *value = 0;

    ngx_memzero(&docs, sizeof(im_mongo_docs_t));
    bson_init(&filter);

    (void) im_mongo_put_key(&filter, op->table, op->key);
    im_mongo_name(name, op->table);

    rc = im_mongo_find(tx->call, tx->session, name, &filter, NULL, op->column,
                       1, &docs);

    p = 0;

    if (rc == NGX_OK
        && im_mongo_docs_next(&docs, &p, &b) == NGX_OK
        && bson_iter_init_find(&iter, &b, op->column))
    {
        *has = 1;
        *value = im_mongo_get_int(&b, op->column);
    }

    ngx_free(docs.data);
    bson_destroy(&filter);

    return (rc == NGX_ERROR) ? im_mongo_result(tx, 0, NULL) : NGX_OK;
}


ngx_int_t
im_mongo_why(im_mongo_tx_t *tx, im_mongo_op_t *op, im_key_t *key)
{
    char              name[IM_MONGO_NAME];
    u_char           *p;
    size_t            at;
    bson_t            filter, b, doc;
    int64_t           app;
    ngx_int_t         rc;
    ngx_uint_t        i;
    im_index_t       *index;
    bson_iter_t       iter;
    im_column_t      *col;
    im_mongo_docs_t   docs;

    /* our own, whose answer was lost */

    ngx_memzero(&docs, sizeof(im_mongo_docs_t));
    bson_init(&filter);
    (void) bson_append_oid(&filter, IM_MONGO_ID, -1, &op->oid);

    im_mongo_name(name, op->table);
    rc = im_mongo_find(tx->call, NULL, name, &filter, NULL, NULL, 1, &docs);

    at = 0;

    if (rc == NGX_OK
        && op->type == IM_OP_APPEND
        && im_mongo_docs_next(&docs, &at, &b) == NGX_OK)
    {
        op->result = im_mongo_get_int(&b, im_mongo_last(op->table));
    }

    ngx_free(docs.data);
    bson_destroy(&filter);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    /* the primary key; the number of an append is not for ever */

    if (op->type == IM_OP_INSERT
        || op->type == IM_OP_APPEND
        || (op->version == 0
            && (op->type == IM_OP_REPLACE || op->type == IM_OP_EXPECT)))
    {
        bson_init(&filter);
        (void) im_mongo_put_key(&filter, op->table, key);

        rc = (op->type == IM_OP_APPEND)
             ? im_mongo_find(tx->call, NULL, name, &filter, NULL,
                             im_mongo_last(op->table), 1, NULL)
             : im_mongo_holder(tx, op->table, &filter, NULL);

        bson_destroy(&filter);

        if (rc == NGX_OK) {
            return (op->type == IM_OP_APPEND) ? NGX_AGAIN : NGX_DECLINED;
        }

        if (rc == NGX_ERROR) {
            return rc;
        }
    }

    /* unique indexes */

    if (!bson_init_static(&doc, op->doc.data, op->doc.len)) {
        return NGX_ERROR;
    }

    for (i = 0; op->table->index[i].name; i++) {
        index = &op->table->index[i];

        if (!(index->flags & IM_INDEX_UNIQUE)) {
            continue;
        }

        bson_init(&filter);
        bson_init(&b);
        (void) im_mongo_put_key(&b, op->table, key);

        p = key->data;
        (void) im_key_get_int(&p, p + 8, &app);
        (void) bson_append_int64(&filter, IM_MONGO_APP, -1, app);

        for (col = index->columns; col->name; col++) {

            if (!bson_iter_init_find(&iter, &b, col->name)
                && !bson_iter_init_find(&iter, &doc, col->name))
            {
                break;
            }

            (void) bson_append_iter(&filter, NULL, 0, &iter);
        }

        rc = (col->name == NULL)
             ? im_mongo_holder(tx, op->table, &filter, tx->taken)
             : NGX_DECLINED;

        bson_destroy(&b);
        bson_destroy(&filter);

        if (rc == NGX_OK) {
            tx->has_taken = 1;
            return NGX_DECLINED;
        }

        if (rc == NGX_ERROR) {
            return rc;
        }
    }

    return NGX_AGAIN;
}


/*
 * NGX_OK: there is a row, and *found is its key; one that is expired is
 * removed.  NGX_DECLINED: there is none.
 */

static ngx_int_t
im_mongo_holder(im_mongo_tx_t *tx, im_table_t *table, bson_t *filter,
    im_key_t *found)
{
    char              name[IM_MONGO_NAME];
    size_t            p;
    bson_t            b;
    int64_t           expire;
    im_key_t          key;
    ngx_int_t         rc;
    im_mongo_docs_t   docs;

    ngx_memzero(&docs, sizeof(im_mongo_docs_t));
    im_mongo_name(name, table);

    rc = im_mongo_find(tx->call, NULL, name, filter, NULL, NULL, 1, &docs);

    p = 0;

    if (rc == NGX_OK && im_mongo_docs_next(&docs, &p, &b) == NGX_OK) {

        expire = im_mongo_get_int(&b, "expire");

        if (table->ttl != IM_TTL_NONE
            && expire > 0 && expire <= (int64_t) tx->call->now)
        {
            rc = im_mongo_evict(tx, table, &b);
            rc = (rc == NGX_OK) ? NGX_DECLINED : NGX_ERROR;

        } else if (im_mongo_get_key(&b, table, &key) != NGX_OK) {
            rc = NGX_ERROR;

        } else if (found) {
            *found = key;
        }
    }

    ngx_free(docs.data);

    return rc;
}


static ngx_int_t
im_mongo_evict(im_mongo_tx_t *tx, im_table_t *table, const bson_t *row)
{
    char           name[IM_MONGO_NAME];
    bson_t         filter;
    im_key_t       key;
    ngx_int_t      rc;
    bson_iter_t    iter;
    im_mongo_tx_t  plain;

    if (im_mongo_get_key(row, table, &key) != NGX_OK
        || !bson_iter_init_find(&iter, row, IM_MONGO_ID))
    {
        return NGX_ERROR;
    }

    plain = *tx;
    plain.session = NULL;

    /* as it was seen: it may have been written again */

    bson_init(&filter);
    (void) bson_append_iter(&filter, NULL, 0, &iter);
    (void) bson_append_int64(&filter, "expire", -1,
                             im_mongo_get_int(row, "expire"));

    if (table->kind == IM_STREAM) {
        rc = im_mongo_bury(&plain, table, &key, &filter, tx->call->now);

    } else {
        im_mongo_name(name, table);
        rc = im_mongo_remove(&plain, name, &filter);
    }

    bson_destroy(&filter);

    return rc;
}


static ngx_int_t
im_mongo_update(im_mongo_tx_t *tx, const char *name, bson_t *filter,
    bson_t *change, ngx_uint_t replace, ngx_uint_t upsert,
    ngx_uint_t *matched)
{
    bool                  ok;
    bson_t                opts, reply;
    ngx_int_t             rc;
    bson_iter_t           iter;
    mongoc_collection_t  *c;

    *matched = 0;

    c = im_mongo_collection(tx, name, &opts);

    (void) bson_append_bool(&opts, "validate", -1, false);

    if (upsert) {
        (void) bson_append_bool(&opts, "upsert", -1, true);
    }

    ok = replace ? mongoc_collection_replace_one(c, filter, change, &opts,
                                                 &reply, &tx->call->error)
                 : mongoc_collection_update_one(c, filter, change, &opts,
                                                &reply, &tx->call->error);

    rc = im_mongo_result(tx, ok, &reply);

    if (rc == NGX_OK && bson_iter_init_find(&iter, &reply, "matchedCount")) {
        *matched = bson_iter_as_int64(&iter);
    }

    bson_destroy(&reply);
    bson_destroy(&opts);
    mongoc_collection_destroy(c);

    return rc;
}


static ngx_int_t
im_mongo_remove(im_mongo_tx_t *tx, const char *name, bson_t *filter)
{
    bool                  ok;
    bson_t                opts, reply;
    ngx_int_t             rc;
    mongoc_collection_t  *c;

    c = im_mongo_collection(tx, name, &opts);

    ok = mongoc_collection_delete_one(c, filter, &opts, &reply,
                                      &tx->call->error);
    rc = im_mongo_result(tx, ok, &reply);

    bson_destroy(&reply);
    bson_destroy(&opts);
    mongoc_collection_destroy(c);

    return rc;
}


static mongoc_collection_t *
im_mongo_collection(im_mongo_tx_t *tx, const char *name, bson_t *opts)
{
    bson_init(opts);

    if (tx->session) {
        (void) mongoc_client_session_append(tx->session, opts,
                                            &tx->call->error);
    }

    return mongoc_client_get_collection(tx->call->client, im_mongo.db, name);
}


ngx_int_t
im_mongo_result(im_mongo_tx_t *tx, ngx_uint_t ok, bson_t *reply)
{
    bson_error_t  *error;

    if (ok) {
        return NGX_OK;
    }

    error = &tx->call->error;

    if (error->code == MONGOC_ERROR_DUPLICATE_KEY) {
        tx->conflict = 1;
        return NGX_AGAIN;
    }

    if (tx->session) {

        if ((reply && mongoc_error_has_label(reply,
                                             "TransientTransactionError"))
            || error->code == 24 || error->code == 246
            || error->code == 251 || im_mongo_retry(tx->call, error))
        {
            tx->transient = 1;
            return NGX_AGAIN;
        }

        return NGX_ERROR;
    }

    return im_mongo_retry(tx->call, error) ? NGX_AGAIN : NGX_ERROR;
}


/* The codes are those of a server that stops, steps down or is in conflict. */

ngx_uint_t
im_mongo_retry(im_mongo_call_t *call, bson_error_t *error)
{
    ngx_uint_t  i;

    static uint32_t  codes[] = {
        6, 7, 89, 91, 112, 134, 189, 262, 9001, 10107, 11600, 11602, 13435,
        13436
    };

    /* to find no server has taken its time already */

    if (error->domain == MONGOC_ERROR_SERVER_SELECTION) {
        call->lost = 1;
        return 0;
    }

    if (error->domain == MONGOC_ERROR_STREAM) {
        call->lost = 1;
        return 1;
    }

    if (error->domain == MONGOC_ERROR_SERVER
        || error->domain == MONGOC_ERROR_WRITE_CONCERN)
    {
        for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
            if (error->code == codes[i]) {
                return 1;
            }
        }
    }

    return 0;
}


/* Others that wait for the same row do not come back at the same time. */

ngx_int_t
im_mongo_pause(im_mongo_call_t *call, ngx_uint_t tries)
{
    uint64_t  us, now;

    now = im_mongo_now();

    us = 500 << ngx_min(tries, 5);
    us = (now ^ (uintptr_t) call >> 4) * 2654435761U % us;

    if (now + us >= call->deadline) {
        return NGX_ERROR;
    }

    (void) usleep(us);

    call->lost = 0;

    return NGX_OK;
}
