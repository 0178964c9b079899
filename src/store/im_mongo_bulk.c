
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_mongo.h"


/*
 * Many operations on one table in one call.  The answer tells how many
 * documents were found, not which one was missing: who has to know does them
 * again one by one.
 */


typedef struct {
    mongoc_bulk_operation_t  *bulk;
    ngx_uint_t                n;
    ngx_uint_t                found;     /* documents that have to be there */
    im_mongo_tx_t            *tx;
} im_mongo_bulk_t;


static ngx_int_t im_mongo_bulk_add(im_mongo_bulk_t *b, im_mongo_op_t *op);
static ngx_int_t im_mongo_bulk_insert(im_mongo_bulk_t *b, im_mongo_op_t *op,
    im_key_t *key);
static ngx_int_t im_mongo_bulk_replace(im_mongo_bulk_t *b,
    im_mongo_op_t *op);
static ngx_int_t im_mongo_bulk_set(im_mongo_bulk_t *b, im_mongo_op_t *op);
static ngx_int_t im_mongo_bulk_delete(im_mongo_bulk_t *b, im_mongo_op_t *op);
static ngx_int_t im_mongo_bulk_expect(im_mongo_bulk_t *b, im_mongo_op_t *op);
static ngx_int_t im_mongo_bulk_run(im_mongo_bulk_t *b);


ngx_uint_t
im_mongo_bulk_can(im_mongo_op_t *op, ngx_uint_t atomic)
{
    switch (op->type) {

    case IM_OP_DELETE:
        return atomic ? op->table->kind != IM_STREAM : 1;

    case IM_OP_UPSERT:
        return 1;

    case IM_OP_SET:
        return atomic || op->table->kind == IM_COUNTED;

    case IM_OP_INSERT:
    case IM_OP_REPLACE:
    case IM_OP_EXPECT:
        return atomic;

    default:
        return 0;
    }
}


ngx_int_t
im_mongo_bulk(im_mongo_tx_t *tx, im_mongo_op_t **ops, ngx_uint_t n)
{
    char                  name[IM_MONGO_NAME];
    bson_t                opts;
    ngx_int_t             rc;
    ngx_uint_t            i;
    im_mongo_bulk_t       b;
    mongoc_collection_t  *c;

    bson_init(&opts);
    (void) bson_append_bool(&opts, "ordered", -1, true);

    if (tx->session) {
        (void) mongoc_client_session_append(tx->session, &opts,
                                            &tx->call->error);
    }

    im_mongo_name(name, ops[0]->table);
    c = mongoc_client_get_collection(tx->call->client, im_mongo.db, name);

    ngx_memzero(&b, sizeof(im_mongo_bulk_t));
    b.tx = tx;
    b.bulk = mongoc_collection_create_bulk_operation_with_opts(c, &opts);

    rc = NGX_OK;

    for (i = 0; i < n && rc == NGX_OK; i++) {
        rc = im_mongo_bulk_add(&b, ops[i]);
    }

    if (rc == NGX_OK && b.n) {
        rc = im_mongo_bulk_run(&b);
    }

    mongoc_bulk_operation_destroy(b.bulk);
    mongoc_collection_destroy(c);
    bson_destroy(&opts);

    return rc;
}


/* The appends of a batch to streams of one table. */

ngx_int_t
im_mongo_bulk_append(im_mongo_tx_t *tx, im_mongo_op_t **ops, ngx_uint_t n)
{
    char                  name[IM_MONGO_NAME];
    bson_t                opts;
    im_key_t              key;
    ngx_int_t             rc;
    ngx_uint_t            i, j;
    im_mongo_bulk_t       b;
    mongoc_collection_t  *c;

    for (i = 0; i < n; i++) {

        for (j = i; j-- > 0; /* void */ ) {
            if (ops[j]->key->len == ops[i]->key->len
                && ngx_memcmp(ops[j]->key->data, ops[i]->key->data,
                              ops[i]->key->len)
                   == 0)
            {
                ops[i]->result = ops[j]->result + 1;
                break;
            }
        }

        if (j != (ngx_uint_t) -1) {
            continue;
        }

        rc = im_mongo_tail(tx->call, tx->session, ops[i]->table, ops[i]->key,
                           &ops[i]->result);
        if (rc != NGX_OK) {
            return im_mongo_result(tx, 0, NULL);
        }

        ops[i]->result++;
    }

    bson_init(&opts);
    (void) bson_append_bool(&opts, "ordered", -1, true);
    (void) mongoc_client_session_append(tx->session, &opts,
                                        &tx->call->error);

    im_mongo_name(name, ops[0]->table);
    c = mongoc_client_get_collection(tx->call->client, im_mongo.db, name);

    ngx_memzero(&b, sizeof(im_mongo_bulk_t));
    b.tx = tx;
    b.bulk = mongoc_collection_create_bulk_operation_with_opts(c, &opts);

    rc = NGX_OK;

    for (i = 0; i < n && rc == NGX_OK; i++) {
        im_key_init(&key, 0);
        key.len = ops[i]->key->len;
        ngx_memcpy(key.data, ops[i]->key->data, key.len);
        im_key_int(&key, ops[i]->result);

        rc = im_mongo_bulk_insert(&b, ops[i], &key);
    }

    if (rc == NGX_OK) {
        rc = im_mongo_bulk_run(&b);
    }

    mongoc_bulk_operation_destroy(b.bulk);
    mongoc_collection_destroy(c);
    bson_destroy(&opts);

    return rc;
}


static ngx_int_t
im_mongo_bulk_add(im_mongo_bulk_t *b, im_mongo_op_t *op)
{
    switch (op->type) {

    case IM_OP_INSERT:
        return im_mongo_bulk_insert(b, op, op->key);

    case IM_OP_REPLACE:
        return op->version ? im_mongo_bulk_replace(b, op)
                           : im_mongo_bulk_insert(b, op, op->key);

    case IM_OP_UPSERT:
        return im_mongo_bulk_replace(b, op);

    case IM_OP_SET:
        return im_mongo_bulk_set(b, op);

    case IM_OP_EXPECT:
        return im_mongo_bulk_expect(b, op);

    default: /* IM_OP_DELETE */
        return im_mongo_bulk_delete(b, op);
    }
}


static ngx_int_t
im_mongo_bulk_insert(im_mongo_bulk_t *b, im_mongo_op_t *op, im_key_t *key)
{
    bool       ok;
    bson_t     row, opts;

    bson_init(&opts);
    (void) bson_append_bool(&opts, "validate", -1, false);

    bson_init(&row);
    (void) bson_append_oid(&row, IM_MONGO_ID, -1, &op->oid);

    ok = im_mongo_put_row(&row, op, key) == NGX_OK
         && mongoc_bulk_operation_insert_with_opts(b->bulk, &row, &opts,
                                                   &b->tx->call->error);
    b->n++;

    bson_destroy(&row);
    bson_destroy(&opts);

    return ok ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
im_mongo_bulk_replace(im_mongo_bulk_t *b, im_mongo_op_t *op)
{
    bool    ok;
    bson_t  filter, row, opts;

    bson_init(&filter);
    bson_init(&row);
    bson_init(&opts);

    (void) im_mongo_put_key(&filter, op->table, op->key);
    (void) bson_append_bool(&opts, "validate", -1, false);

    if (op->type == IM_OP_UPSERT) {
        (void) bson_append_bool(&opts, "upsert", -1, true);

    } else {
        (void) bson_append_int64(&filter, IM_MONGO_VERSION, -1, op->version);
        im_mongo_put_live(&filter, op->table, b->tx->call->now);
    }

    ok = im_mongo_put_row(&row, op, op->key) == NGX_OK
         && mongoc_bulk_operation_replace_one_with_opts(b->bulk, &filter,
                                              &row, &opts,
                                              &b->tx->call->error);
    b->n++;
    b->found++;

    bson_destroy(&opts);
    bson_destroy(&row);
    bson_destroy(&filter);

    return ok ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
im_mongo_bulk_set(im_mongo_bulk_t *b, im_mongo_op_t *op)
{
    bool    ok;
    bson_t  filter, change, opts;

    bson_init(&filter);
    bson_init(&change);
    bson_init(&opts);

    (void) im_mongo_put_key(&filter, op->table, op->key);
    (void) bson_append_bool(&opts, "validate", -1, false);

    if (op->table->kind == IM_COUNTED) {
        (void) bson_append_bool(&opts, "upsert", -1, true);

    } else {
        im_mongo_put_live(&filter, op->table, b->tx->call->now);
    }

    im_mongo_put_set(&change, op);

    ok = mongoc_bulk_operation_update_one_with_opts(b->bulk, &filter, &change,
                                                    &opts,
                                                    &b->tx->call->error);
    b->n++;
    b->found++;

    bson_destroy(&opts);
    bson_destroy(&change);
    bson_destroy(&filter);

    return ok ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
im_mongo_bulk_delete(im_mongo_bulk_t *b, im_mongo_op_t *op)
{
    bool    ok;
    bson_t  filter, row;

    bson_init(&filter);
    bson_init(&row);

    (void) im_mongo_put_key(&filter, op->table, op->key);

    if (op->table->kind == IM_STREAM) {
        ok = im_mongo_put_grave(&row, op->table, op->key, b->tx->call->now)
             == NGX_OK
             && mongoc_bulk_operation_replace_one_with_opts(b->bulk, &filter,
                                                  &row, NULL,
                                                  &b->tx->call->error);
    } else {
        ok = mongoc_bulk_operation_remove_one_with_opts(b->bulk, &filter,
                                                        NULL,
                                                        &b->tx->call->error);
    }

    b->n++;

    bson_destroy(&row);
    bson_destroy(&filter);

    return ok ? NGX_OK : NGX_ERROR;
}


/* See im_mongo_expect(). */

static ngx_int_t
im_mongo_bulk_expect(im_mongo_bulk_t *b, im_mongo_op_t *op)
{
    bool    ok;
    bson_t  filter, change, sub;

    bson_init(&filter);
    bson_init(&change);

    if (op->version == 0) {
        im_mongo_no_doc(op);
        (void) bson_append_oid(&filter, IM_MONGO_ID, -1, &op->oid);

        ok = im_mongo_bulk_insert(b, op, op->key) == NGX_OK
             && mongoc_bulk_operation_remove_one_with_opts(b->bulk, &filter,
                                                 NULL, &b->tx->call->error);
    } else {
        (void) im_mongo_put_key(&filter, op->table, op->key);
        im_mongo_put_live(&filter, op->table, b->tx->call->now);

        if (op->version != -1) {
            (void) bson_append_int64(&filter, IM_MONGO_VERSION, -1,
                                     op->version);
        }

        (void) bson_append_document_begin(&change, "$set", -1, &sub);
        (void) bson_append_int64(&sub, IM_MONGO_TOUCH, -1, op->next);
        (void) bson_append_document_end(&change, &sub);

        ok = mongoc_bulk_operation_update_one_with_opts(b->bulk, &filter,
                                              &change, NULL,
                                              &b->tx->call->error);
        b->found++;
    }

    b->n++;

    bson_destroy(&change);
    bson_destroy(&filter);

    return ok ? NGX_OK : NGX_ERROR;
}


/* NGX_DECLINED: not all of them were there. */

static ngx_int_t
im_mongo_bulk_run(im_mongo_bulk_t *b)
{
    bool       ok;
    bson_t     reply;
    ngx_int_t  rc;

    ok = mongoc_bulk_operation_execute(b->bulk, &reply, &b->tx->call->error)
         != 0;

    rc = im_mongo_result(b->tx, ok, &reply);

    /* plainly done ones need not be there, see im_mongo_bulk_can() */

    if (rc == NGX_OK
        && b->tx->session
        && im_mongo_get_int(&reply, "nMatched")
           + im_mongo_get_int(&reply, "nUpserted")
           < (int64_t) b->found)
    {
        rc = NGX_DECLINED;
    }

    bson_destroy(&reply);

    return rc;
}
