
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_mongo.h"


/*
 * Numbers of counted rows, in a thread.
 */


static ngx_int_t im_mongo_add_here(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_add_first(im_mongo_tx_t *tx, im_mongo_op_t *op);
static im_mongo_op_t *im_mongo_add_op(im_mongo_op_t **ops, ngx_uint_t n,
    im_key_t *key);
static ngx_int_t im_mongo_column(im_mongo_tx_t *tx, im_mongo_op_t *op,
    ngx_uint_t *has, int64_t *value);


/*
 * The server adds to a row that is there.  One that is not there yet is made
 * if it is still so, so that two that add at once do not both succeed.
 */

ngx_int_t
im_mongo_add(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    int64_t     old;
    ngx_int_t   rc;
    ngx_uint_t  has;

    rc = im_mongo_add_here(tx, op);

    if (rc != NGX_DECLINED) {
        return rc;
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

    return has ? NGX_AGAIN : im_mongo_add_first(tx, op);
}


/* NGX_DECLINED: there is no such row, or it would leave its bounds. */

static ngx_int_t
im_mongo_add_here(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    bool                            ok;
    char                            name[IM_MONGO_NAME];
    bson_t                          filter, change, opts, reply;
    ngx_int_t                       rc;
    bson_iter_t                     iter, value;
    mongoc_collection_t            *c;
    mongoc_find_and_modify_opts_t  *fam;

    bson_init(&filter);
    im_mongo_put_filter(&filter, op, tx->call->now);

    bson_init(&change);
    (void) im_mongo_put_change(&change, op);

    fam = mongoc_find_and_modify_opts_new();
    (void) mongoc_find_and_modify_opts_set_update(fam, &change);
    (void) mongoc_find_and_modify_opts_set_flags(fam,
                                          MONGOC_FIND_AND_MODIFY_RETURN_NEW);

    im_mongo_name(name, op->table);
    c = im_mongo_collection(tx, name, &opts);
    (void) mongoc_find_and_modify_opts_append(fam, &opts);

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
im_mongo_add_first(im_mongo_tx_t *tx, im_mongo_op_t *op)
{
    char        name[IM_MONGO_NAME];
    bson_t      filter, change, sub;
    ngx_int_t   rc;
    ngx_uint_t  matched;

    bson_init(&filter);
    bson_init(&change);

    (void) im_mongo_put_key(&filter, op->table, op->key);

    (void) bson_append_document_begin(&filter, op->column, -1, &sub);
    (void) bson_append_bool(&sub, "$exists", -1, false);
    (void) bson_append_document_end(&filter, &sub);

    (void) bson_append_document_begin(&change, "$set", -1, &sub);
    (void) bson_append_int64(&sub, op->column, -1, op->result);
    (void) bson_append_document_end(&change, &sub);

    im_mongo_name(name, op->table);

    rc = im_mongo_update(tx, name, &filter, &change, 0, 1, &matched);

    bson_destroy(&change);
    bson_destroy(&filter);

    return rc;
}


ngx_uint_t
im_mongo_add_alone(im_mongo_op_t **ops, ngx_uint_t n)
{
    ngx_uint_t  i, j;

    for (i = 0; i < n; i++) {

        if (ops[i]->type != IM_OP_ADD) {
            continue;
        }

        for (j = 0; j < n; j++) {
            if (j != i
                && ops[j]->key->len == ops[i]->key->len
                && ngx_memcmp(ops[j]->key->data, ops[i]->key->data,
                              ops[i]->key->len)
                   == 0)
            {
                return 0;
            }
        }
    }

    return 1;
}


ngx_int_t
im_mongo_add_results(im_mongo_tx_t *tx, im_mongo_op_t **ops, ngx_uint_t n)
{
    char              name[IM_MONGO_NAME];
    size_t            p;
    bson_t            filter, b;
    im_key_t        **keys, key;
    ngx_int_t         rc;
    ngx_uint_t        i, adds;
    im_mongo_op_t    *op;
    im_mongo_docs_t   docs;

    keys = malloc(n * sizeof(im_key_t *));
    if (keys == NULL) {
        return NGX_ERROR;
    }

    for (i = 0, adds = 0; i < n; i++) {
        if (ops[i]->type == IM_OP_ADD) {
            keys[adds++] = ops[i]->key;
        }
    }

    if (adds == 0) {
        free(keys);
        return NGX_OK;
    }

    ngx_memzero(&docs, sizeof(im_mongo_docs_t));
    bson_init(&filter);

    rc = im_mongo_put_keys(&filter, ops[0]->table, keys, adds);

    if (rc == NGX_OK) {
        im_mongo_name(name, ops[0]->table);
        rc = im_mongo_find(tx->call, tx->session, name, &filter, NULL, NULL,
                           adds, &docs);

        if (rc == NGX_ERROR) {
            rc = im_mongo_result(tx, 0, NULL);
        }
    }

    p = 0;

    while (rc == NGX_OK && im_mongo_docs_next(&docs, &p, &b) == NGX_OK) {

        rc = im_mongo_get_key(&b, ops[0]->table, &key);
        op = (rc == NGX_OK) ? im_mongo_add_op(ops, n, &key) : NULL;

        if (op) {
            op->result = im_mongo_get_int(&b, op->column);
            adds--;
        }
    }

    if (rc == NGX_DECLINED || (rc == NGX_OK && adds)) {
        bson_set_error(&tx->call->error, 0, 0, "a row that was added to is "
                       "not there");
        rc = NGX_ERROR;
    }

    free(keys);
    ngx_free(docs.data);
    bson_destroy(&filter);

    return rc;
}


static im_mongo_op_t *
im_mongo_add_op(im_mongo_op_t **ops, ngx_uint_t n, im_key_t *key)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (ops[i]->type == IM_OP_ADD
            && ops[i]->key->len == key->len
            && ngx_memcmp(ops[i]->key->data, key->data, key->len) == 0)
        {
            return ops[i];
        }
    }

    return NULL;
}


ngx_int_t
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
