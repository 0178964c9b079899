
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_mongo.h"


/*
 * Why a write has found its key taken, in a thread.
 */


static ngx_int_t im_mongo_holder(im_mongo_tx_t *tx, im_table_t *table,
    bson_t *filter, im_key_t *except);
static ngx_int_t im_mongo_evict(im_mongo_tx_t *tx, im_table_t *table,
    const bson_t *row);


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
    im_key_t          key;
    ngx_int_t         rc;
    im_mongo_docs_t   docs;

    ngx_memzero(&docs, sizeof(im_mongo_docs_t));
    im_mongo_name(name, table);

    rc = im_mongo_find(tx->call, NULL, name, filter, NULL, NULL, 1, &docs);

    p = 0;

    if (rc == NGX_OK && im_mongo_docs_next(&docs, &p, &b) == NGX_OK) {

        if (im_mongo_expired(table, &b, tx->call->now)) {
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
