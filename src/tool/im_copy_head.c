
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "tool/im_copy.h"


static ngx_int_t im_copy_graves(im_copy_t *copy, im_table_t *table,
    ngx_uint_t n);


ngx_int_t
im_copy_heads(im_copy_t *copy, im_table_t *table, ngx_uint_t write,
    uint64_t *n)
{
    int          err, found;
    int64_t      seq;
    MDB_val      key, val, row;
    im_key_t     grave;
    ngx_int_t    rc;
    ngx_uint_t   waiting;
    MDB_cursor  *heads, *rows;

    *n = 0;

    err = mdb_cursor_open(copy->txn, im_lmdb.tables[table->id].rows, &rows);
    if (err != 0) {
        return im_copy_lmdb_failed(err, "reading");
    }

    err = mdb_cursor_open(copy->txn, im_lmdb.tables[table->id].head, &heads);
    if (err != 0) {
        mdb_cursor_close(rows);
        return im_copy_lmdb_failed(err, "reading");
    }

    waiting = 0;
    rc = NGX_OK;

    err = mdb_cursor_get(heads, &key, &val, MDB_FIRST);

    while (err == 0 && rc == NGX_OK) {

        if (key.mv_size + 8 > IM_KEY_LEN || val.mv_size != sizeof(int64_t)) {
            err = MDB_CORRUPTED;
            break;
        }

        ngx_memcpy(&seq, val.mv_data, sizeof(int64_t));

        im_key_init(&grave, 0);
        grave.len = key.mv_size;
        ngx_memcpy(grave.data, key.mv_data, key.mv_size);
        im_key_int(&grave, seq);

        /* a row with this number, or a higher one, tells it */

        row.mv_data = grave.data;
        row.mv_size = grave.len;

        found = mdb_cursor_get(rows, &row, &val, MDB_SET_RANGE);

        if (found != 0 && found != MDB_NOTFOUND) {
            err = found;
            break;
        }

        if (seq > 0
            && (found == MDB_NOTFOUND
                || row.mv_size != grave.len
                || ngx_memcmp(row.mv_data, grave.data, grave.len - 8) != 0))
        {
            (*n)++;

            if (write) {
                copy->keys[waiting++] = grave;
            }
        }

        if (waiting == copy->bulk) {
            rc = im_copy_graves(copy, table, waiting);
            waiting = 0;
        }

        err = mdb_cursor_get(heads, &key, &val, MDB_NEXT);
    }

    mdb_cursor_close(heads);
    mdb_cursor_close(rows);

    if (rc == NGX_OK && err != MDB_NOTFOUND) {
        rc = im_copy_lmdb_failed(err, table->name);
    }

    if (rc == NGX_OK && waiting) {
        rc = im_copy_graves(copy, table, waiting);
    }

    return rc;
}


static ngx_int_t
im_copy_graves(im_copy_t *copy, im_table_t *table, ngx_uint_t n)
{
    bool                      ok;
    char                      name[IM_MONGO_NAME];
    bson_t                    filter, row, *opts;
    ngx_uint_t                i;
    bson_error_t              error;
    mongoc_collection_t      *c;
    mongoc_bulk_operation_t  *bulk;

    im_mongo_name(name, table);

    c = mongoc_client_get_collection(copy->client, im_mongo.db, name);
    bulk = mongoc_collection_create_bulk_operation_with_opts(c, NULL);
    opts = BCON_NEW("upsert", BCON_BOOL(true),
                    "validate", BCON_BOOL(false));

    ok = true;
    ngx_memzero(&error, sizeof(bson_error_t));

    for (i = 0; i < n && ok; i++) {
        bson_init(&filter);
        bson_init(&row);

        ok = im_mongo_put_key(&filter, table, &copy->keys[i]) == NGX_OK
             && im_mongo_put_grave(&row, table, &copy->keys[i],
                                   time(NULL) + IM_MONGO_LAST)
                == NGX_OK
             && mongoc_bulk_operation_replace_one_with_opts(bulk, &filter,
                                                       &row, opts, &error);
        bson_destroy(&row);
        bson_destroy(&filter);
    }

    ok = ok && mongoc_bulk_operation_execute(bulk, NULL, &error) != 0;

    bson_destroy(opts);
    mongoc_bulk_operation_destroy(bulk);
    mongoc_collection_destroy(c);

    return ok ? NGX_OK : im_copy_mongo_failed(&error, table->name);
}
