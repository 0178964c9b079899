
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "tool/im_copy.h"


#define IM_COPY_SOURCE  "source"     /* document of the store */


static ngx_int_t im_copy_get(im_copy_t *copy, const char *id, bson_t **doc);
static ngx_int_t im_copy_put(im_copy_t *copy, const char *id, bson_t *doc);


ngx_int_t
im_copy_source(im_copy_t *copy)
{
    bson_t      *doc;
    int64_t      txn, rows;
    ngx_int_t    rc;
    ngx_uint_t   found;

    rc = im_copy_get(copy, IM_COPY_SOURCE, &doc);

    if (rc != NGX_OK) {
        return rc;
    }

    txn = 0;
    rows = 0;
    found = (doc != NULL);

    if (found) {
        txn = im_mongo_get_int(doc, "txn");
        rows = im_mongo_get_int(doc, "rows");
        bson_destroy(doc);
    }

    if (!found && copy->made) {
        fprintf(stderr, "nginx uses the database \"%s\" already: "
                "name another one, or drop it\n", im_mongo.db);
        return NGX_ERROR;
    }

    if (found && (txn != (int64_t) mdb_txn_id(copy->txn)
                  || rows != (int64_t) copy->total))
    {
        fprintf(stderr, "the database \"%s\" has a copy of another store, or "
                "nginx has written to the store since the copy began: drop "
                "the database and begin again\n", im_mongo.db);
        return NGX_ERROR;
    }

    if (found) {
        printf("%s\n", copy->made ? "the copy has ended before"
                                  : "the copy goes on");
        return NGX_OK;
    }

    doc = BCON_NEW(IM_MONGO_ID, BCON_UTF8(IM_COPY_SOURCE),
                   "txn", BCON_INT64((int64_t) mdb_txn_id(copy->txn)),
                   "rows", BCON_INT64((int64_t) copy->total));

    rc = im_copy_put(copy, IM_COPY_SOURCE, doc);

    bson_destroy(doc);

    return rc;
}


ngx_int_t
im_copy_load(im_copy_t *copy, im_table_t *table, im_key_t *last,
    uint64_t *done, ngx_uint_t *over)
{
    bson_t          *doc;
    uint32_t         len;
    ngx_int_t        rc;
    bson_iter_t      iter;
    const uint8_t   *data;
    bson_subtype_t   type;

    last->len = 0;
    last->invalid = 0;
    *done = 0;
    *over = 0;

    rc = im_copy_get(copy, table->name, &doc);

    if (rc != NGX_OK || doc == NULL) {
        return rc;
    }

    *done = (uint64_t) im_mongo_get_int(doc, "rows");
    *over = (ngx_uint_t) im_mongo_get_int(doc, "over");

    if (bson_iter_init_find(&iter, doc, "key")
        && BSON_ITER_HOLDS_BINARY(&iter))
    {
        bson_iter_binary(&iter, &type, &len, &data);

        if (len <= IM_KEY_LEN) {
            last->len = len;
            ngx_memcpy(last->data, data, len);
        }
    }

    bson_destroy(doc);

    return NGX_OK;
}


/* *doc is NULL if there is none. */

static ngx_int_t
im_copy_get(im_copy_t *copy, const char *id, bson_t **doc)
{
    bson_t           *filter;
    ngx_int_t         rc;
    const bson_t     *b;
    bson_error_t      error;
    mongoc_cursor_t  *cursor;

    rc = NGX_OK;
    *doc = NULL;

    filter = BCON_NEW(IM_MONGO_ID, BCON_UTF8(id));
    cursor = mongoc_collection_find_with_opts(copy->state, filter, NULL,
                                              NULL);

    if (mongoc_cursor_next(cursor, &b)) {
        *doc = bson_copy(b);

    } else if (mongoc_cursor_error(cursor, &error)) {
        rc = im_copy_mongo_failed(&error, "reading the state of the copy");
    }

    mongoc_cursor_destroy(cursor);
    bson_destroy(filter);

    return rc;
}


ngx_int_t
im_copy_save(im_copy_t *copy, im_table_t *table, im_key_t *last,
    uint64_t done, ngx_uint_t over)
{
    bson_t     *doc;
    ngx_int_t   rc;

    doc = BCON_NEW(IM_MONGO_ID, BCON_UTF8(table->name),
                   "key", BCON_BIN(BSON_SUBTYPE_BINARY, last->data,
                                   (uint32_t) last->len),
                   "rows", BCON_INT64((int64_t) done),
                   "over", BCON_INT64((int64_t) over));

    rc = im_copy_put(copy, table->name, doc);

    bson_destroy(doc);

    return rc;
}


static ngx_int_t
im_copy_put(im_copy_t *copy, const char *id, bson_t *doc)
{
    bool           ok;
    bson_t        *filter, *opts;
    ngx_uint_t     tries;
    bson_error_t   error;

    filter = BCON_NEW(IM_MONGO_ID, BCON_UTF8(id));
    opts = BCON_NEW("upsert", BCON_BOOL(true));

    for (tries = 0; tries < IM_COPY_TRIES; tries++) {

        ok = mongoc_collection_replace_one(copy->state, filter, doc, opts,
                                           NULL, &error);

        if (ok || (error.domain != MONGOC_ERROR_STREAM
                   && error.domain != MONGOC_ERROR_SERVER_SELECTION))
        {
            break;
        }

        (void) sleep(1);
    }

    bson_destroy(opts);
    bson_destroy(filter);

    return ok ? NGX_OK
              : im_copy_mongo_failed(&error, "writing the state of the copy");
}
