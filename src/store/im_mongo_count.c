
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_mongo.h"


/*
 * Numbers of counted rows, in a thread.
 */


static ngx_int_t im_mongo_add_alone(im_mongo_tx_t *tx, im_mongo_op_t *op);
static ngx_int_t im_mongo_add_put(im_mongo_tx_t *tx, im_mongo_op_t *op,
    ngx_uint_t has, int64_t old);
static ngx_int_t im_mongo_column(im_mongo_tx_t *tx, im_mongo_op_t *op,
    ngx_uint_t *has, int64_t *value);


/*
 * Alone, the server adds.  A transaction, and a row that is not there yet,
 * compare and set, so that two that add at once do not both succeed.
 */

ngx_int_t
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
