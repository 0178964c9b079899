
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
    mongoc_collection_t      *collection;
    im_mongo_tx_t            *tx;
    ngx_uint_t                found;     /* documents that have to be there */
    ngx_uint_t                n;
    bson_t                    filter;    /* of one operation */
    bson_t                    doc;
    bson_t                    opts;
} im_mongo_bulk_t;


static void im_mongo_bulk_open(im_mongo_bulk_t *b, im_mongo_tx_t *tx,
    im_table_t *table);
static ngx_int_t im_mongo_bulk_close(im_mongo_bulk_t *b, ngx_int_t rc);
static ngx_int_t im_mongo_bulk_tails(im_mongo_tx_t *tx, im_mongo_op_t **ops,
    ngx_uint_t n);
static ngx_int_t im_mongo_bulk_add(im_mongo_bulk_t *b, im_mongo_op_t *op,
    im_key_t *key);
static bool im_mongo_bulk_insert(im_mongo_bulk_t *b, im_mongo_op_t *op,
    im_key_t *key);
static bool im_mongo_bulk_change(im_mongo_bulk_t *b, im_mongo_op_t *op);
static bool im_mongo_bulk_delete(im_mongo_bulk_t *b, im_mongo_op_t *op);
static ngx_uint_t im_mongo_bulk_none(im_mongo_op_t *op);
static ngx_int_t im_mongo_bulk_unmake(im_mongo_bulk_t *b, im_mongo_op_t *op);


ngx_uint_t
im_mongo_bulk_can(im_mongo_op_t *op, ngx_uint_t atomic)
{
    switch (op->type) {

    case IM_OP_DELETE:
    case IM_OP_UPSERT:
        return 1;

    case IM_OP_SET:
        return atomic || op->table->kind == IM_COUNTED;

    case IM_OP_INSERT:
    case IM_OP_REPLACE:
    case IM_OP_EXPECT:
    case IM_OP_ADD:
        return atomic;

    default:
        return 0;
    }
}


ngx_int_t
im_mongo_bulk(im_mongo_tx_t *tx, im_mongo_op_t **ops, ngx_uint_t n)
{
    ngx_int_t        rc;
    ngx_uint_t       i, none;
    im_mongo_bulk_t  b;

    im_mongo_bulk_open(&b, tx, ops[0]->table);

    rc = NGX_OK;
    none = 0;

    for (i = 0; i < n && rc == NGX_OK; i++) {
        rc = im_mongo_bulk_add(&b, ops[i], ops[i]->key);

        if (!im_mongo_bulk_none(ops[i])) {
            continue;
        }

        none++;

        /* one call makes the rows of several, another one removes them */

        if (i + 1 == n || !im_mongo_bulk_none(ops[i + 1])) {

            for ( /* void */ ; none && rc == NGX_OK; none--) {
                rc = im_mongo_bulk_unmake(&b, ops[i + 1 - none]);
            }
        }
    }

    rc = im_mongo_bulk_close(&b, rc);

    return (rc == NGX_OK) ? im_mongo_add_results(tx, ops, n) : rc;
}


/* The appends of a batch to streams of one table. */

ngx_int_t
im_mongo_bulk_append(im_mongo_tx_t *tx, im_mongo_op_t **ops, ngx_uint_t n)
{
    im_key_t         key;
    ngx_int_t        rc;
    ngx_uint_t       i;
    im_mongo_bulk_t  b;

    rc = im_mongo_bulk_tails(tx, ops, n);
    if (rc != NGX_OK) {
        return rc;
    }

    im_mongo_bulk_open(&b, tx, ops[0]->table);

    for (i = 0; i < n && rc == NGX_OK; i++) {
        im_key_init(&key, 0);
        key.len = ops[i]->key->len;
        ngx_memcpy(key.data, ops[i]->key->data, key.len);
        im_key_int(&key, ops[i]->result);

        rc = im_mongo_bulk_add(&b, ops[i], &key);
    }

    return im_mongo_bulk_close(&b, rc);
}


/* The number of each one is its result. */

static ngx_int_t
im_mongo_bulk_tails(im_mongo_tx_t *tx, im_mongo_op_t **ops, ngx_uint_t n)
{
    ngx_int_t   rc;
    ngx_uint_t  i, j;

    for (i = 0; i < n; i++) {

        for (j = i; j > 0; j--) {
            if (ops[j - 1]->key->len == ops[i]->key->len
                && ngx_memcmp(ops[j - 1]->key->data, ops[i]->key->data,
                              ops[i]->key->len)
                   == 0)
            {
                break;
            }
        }

        if (j) {
            ops[i]->result = ops[j - 1]->result + 1;
            continue;
        }

        rc = im_mongo_tail(tx->call, tx->session, ops[i]->table, ops[i]->key,
                           &ops[i]->result);
        if (rc != NGX_OK) {
            return im_mongo_result(tx, 0, NULL);
        }

        ops[i]->result++;
    }

    return NGX_OK;
}


static void
im_mongo_bulk_open(im_mongo_bulk_t *b, im_mongo_tx_t *tx, im_table_t *table)
{
    char    name[IM_MONGO_NAME];
    bson_t  opts;

    ngx_memzero(b, sizeof(im_mongo_bulk_t));

    im_mongo_name(name, table);

    b->tx = tx;
    b->collection = im_mongo_collection(tx, name, &opts);

    (void) bson_append_bool(&opts, "ordered", -1, true);

    b->bulk = mongoc_collection_create_bulk_operation_with_opts(b->collection,
                                                                &opts);
    bson_destroy(&opts);
}


/* NGX_DECLINED: not all of them were there. */

static ngx_int_t
im_mongo_bulk_close(im_mongo_bulk_t *b, ngx_int_t rc)
{
    bool    ok;
    bson_t  reply;

    if (rc == NGX_OK && b->n) {
        ok = mongoc_bulk_operation_execute(b->bulk, &reply,
                                           &b->tx->call->error)
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
    }

    mongoc_bulk_operation_destroy(b->bulk);
    mongoc_collection_destroy(b->collection);

    return rc;
}


/* key: of the row that is inserted */

static ngx_int_t
im_mongo_bulk_add(im_mongo_bulk_t *b, im_mongo_op_t *op, im_key_t *key)
{
    bool  ok;

    bson_init(&b->filter);
    bson_init(&b->doc);
    bson_init(&b->opts);

    (void) bson_append_bool(&b->opts, "validate", -1, false);

    switch (op->type) {

    case IM_OP_DELETE:
        ok = im_mongo_bulk_delete(b, op);
        break;

    case IM_OP_EXPECT:
        if (op->version) {
            ok = im_mongo_bulk_change(b, op);
            break;
        }

        im_mongo_no_doc(op);
        ok = im_mongo_bulk_insert(b, op, key);
        break;

    case IM_OP_REPLACE:
        ok = op->version ? im_mongo_bulk_change(b, op)
                         : im_mongo_bulk_insert(b, op, key);
        break;

    case IM_OP_UPSERT:
    case IM_OP_SET:
    case IM_OP_ADD:
        ok = im_mongo_bulk_change(b, op);
        break;

    default: /* IM_OP_INSERT, IM_OP_APPEND */
        ok = im_mongo_bulk_insert(b, op, key);
    }

    b->n++;

    bson_destroy(&b->opts);
    bson_destroy(&b->doc);
    bson_destroy(&b->filter);

    return ok ? NGX_OK : NGX_ERROR;
}


static bool
im_mongo_bulk_insert(im_mongo_bulk_t *b, im_mongo_op_t *op, im_key_t *key)
{
    (void) bson_append_oid(&b->doc, IM_MONGO_ID, -1, &op->oid);

    return im_mongo_put_row(&b->doc, op, key) == NGX_OK
           && mongoc_bulk_operation_insert_with_opts(b->bulk, &b->doc,
                                                     &b->opts,
                                                     &b->tx->call->error);
}


static bool
im_mongo_bulk_change(im_mongo_bulk_t *b, im_mongo_op_t *op)
{
    bson_error_t  *error;

    error = &b->tx->call->error;
    b->found++;

    im_mongo_put_filter(&b->filter, op, b->tx->call->now);

    if (im_mongo_put_change(&b->doc, op) != NGX_OK) {
        return false;
    }

    if (im_mongo_upserts(op)) {
        (void) bson_append_bool(&b->opts, "upsert", -1, true);
    }

    if (op->type == IM_OP_REPLACE || op->type == IM_OP_UPSERT) {
        return mongoc_bulk_operation_replace_one_with_opts(b->bulk,
                                                           &b->filter,
                                                           &b->doc, &b->opts,
                                                           error);
    }

    return mongoc_bulk_operation_update_one_with_opts(b->bulk, &b->filter,
                                                      &b->doc, &b->opts,
                                                      error);
}


/* See im_mongo_delete(). */

static bool
im_mongo_bulk_delete(im_mongo_bulk_t *b, im_mongo_op_t *op)
{
    bson_error_t  *error;

    error = &b->tx->call->error;

    (void) im_mongo_put_key(&b->filter, op->table, op->key);

    if (op->table->kind != IM_STREAM) {
        return mongoc_bulk_operation_remove_one_with_opts(b->bulk, &b->filter,
                                                          NULL, error);
    }

    b->found++;

    return im_mongo_put_grave(&b->doc, op->table, op->key, b->tx->call->now)
           == NGX_OK
           && mongoc_bulk_operation_replace_one_with_opts(b->bulk, &b->filter,
                                                          &b->doc, NULL,
                                                          error);
}


/* See im_mongo_expect(). */

static ngx_uint_t
im_mongo_bulk_none(im_mongo_op_t *op)
{
    return op->type == IM_OP_EXPECT && op->version == 0;
}


static ngx_int_t
im_mongo_bulk_unmake(im_mongo_bulk_t *b, im_mongo_op_t *op)
{
    bool    ok;
    bson_t  filter;

    bson_init(&filter);
    (void) bson_append_oid(&filter, IM_MONGO_ID, -1, &op->oid);

    ok = mongoc_bulk_operation_remove_one_with_opts(b->bulk, &filter, NULL,
                                                    &b->tx->call->error);
    bson_destroy(&filter);

    return ok ? NGX_OK : NGX_ERROR;
}
