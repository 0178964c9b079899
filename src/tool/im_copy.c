
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "tool/im_copy.h"


/*
 * A program: copies a store of LMDB, which no nginx has open, into a database
 * of MongoDB.  All tables in key order, in bulks of upserts, so that any part
 * may be done again.  The collection "copy" has a document per table, with
 * the last key that is there for certain, and one of the store that is
 * copied.
 *
 *     im_copy DIRECTORY ADDRESS [ROWS]
 */

#define IM_COPY_ROWS     500         /* of a bulk */
#define IM_COPY_ROWS_MAX 5000
#define IM_COPY_BYTES    (8 * 1024 * 1024)
#define IM_COPY_SHOW     1000000     /* us between two lines of a table */


static void im_copy_init(void);
static ngx_int_t im_copy_all(im_copy_t *copy);
static ngx_int_t im_copy_table(im_copy_t *copy, im_table_t *table);
static ngx_int_t im_copy_rows(im_copy_t *copy, im_table_t *table,
    MDB_cursor *cursor, im_key_t *last, uint64_t done);
static ngx_int_t im_copy_bulk(im_copy_t *copy, ngx_uint_t n);
static void im_copy_show(im_copy_t *copy, im_table_t *table, uint64_t done,
    ngx_uint_t over);
static ngx_int_t im_copy_verify(im_copy_t *copy, im_table_t *table);
static ngx_int_t im_copy_live(im_copy_t *copy, im_table_t *table, time_t now,
    int64_t *n);
static ngx_int_t im_copy_end(im_copy_t *copy);
static void im_copy_close(im_copy_t *copy);


ngx_log_t  im_copy_log;

static ngx_cycle_t      im_copy_cycle;
static ngx_open_file_t  im_copy_stderr;


int
main(int argc, char *const *argv)
{
    ngx_int_t  rc;
    im_copy_t  copy;

    ngx_memzero(&copy, sizeof(im_copy_t));
    copy.bulk = IM_COPY_ROWS;

    if (argc == 4) {
        rc = ngx_atoi((u_char *) argv[3], ngx_strlen(argv[3]));
        copy.bulk = (rc < 1 || rc > IM_COPY_ROWS_MAX) ? 0 : rc;
    }

    if (argc < 3 || argc > 4 || copy.bulk == 0) {
        fprintf(stderr, "usage: %s DIRECTORY mongodb://ADDRESS "
                "[ROWS of a bulk, 1 to %d]\n", argv[0], IM_COPY_ROWS_MAX);
        return 2;
    }

    im_copy_init();

    rc = im_copy_open(&copy, argv[1]);

    if (rc == NGX_OK) {
        rc = im_copy_connect(&copy, argv[2]);
    }

    if (rc == NGX_OK) {
        rc = im_copy_source(&copy);
    }

    if (rc == NGX_OK) {
        rc = im_copy_all(&copy);
    }

    im_copy_close(&copy);

    return (rc == NGX_OK) ? 0 : 1;
}


/* What the drivers use of nginx. */

static void
im_copy_init(void)
{
    ngx_time_init();
    ngx_pid = ngx_getpid();

    im_copy_stderr.fd = ngx_stderr;

    im_copy_log.file = &im_copy_stderr;
    im_copy_log.log_level = NGX_LOG_WARN;

    im_copy_cycle.log = &im_copy_log;
    ngx_cycle = &im_copy_cycle;

    (void) setvbuf(stdout, NULL, _IOLBF, 0);
}


static ngx_int_t
im_copy_all(im_copy_t *copy)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    for (i = 0; i < IM_T_MAX && !copy->made; i++) {
        if (im_copy_table(copy, &im_tables[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    rc = NGX_OK;

    for (i = 0; i < IM_T_MAX; i++) {
        if (im_copy_verify(copy, &im_tables[i]) != NGX_OK) {
            rc = NGX_ERROR;
        }
    }

    return (rc == NGX_OK) ? im_copy_end(copy) : rc;
}


static ngx_int_t
im_copy_table(im_copy_t *copy, im_table_t *table)
{
    int          err;
    im_key_t     last;
    uint64_t     done, n;
    ngx_int_t    rc;
    ngx_uint_t   over;
    MDB_cursor  *cursor;

    rc = im_copy_load(copy, table, &last, &done, &over);

    if (rc != NGX_OK) {
        return rc;
    }

    if (over || im_lmdb.tables[table->id].rows == 0) {
        im_copy_show(copy, table, done, 1);
        return NGX_OK;
    }

    err = mdb_cursor_open(copy->txn, im_lmdb.tables[table->id].rows,
                          &cursor);
    if (err != 0) {
        return im_copy_lmdb_failed(err, "reading");
    }

    copy->shown = im_mongo_now();

    rc = im_copy_rows(copy, table, cursor, &last, done);

    mdb_cursor_close(cursor);

    if (rc == NGX_OK && table->kind == IM_STREAM) {
        rc = im_copy_heads(copy, table, 1, &n);
    }

    if (rc == NGX_OK) {
        rc = im_copy_save(copy, table, &last, copy->rows[table->id], 1);
    }

    if (rc == NGX_OK) {
        im_copy_show(copy, table, copy->rows[table->id], 1);
    }

    return rc;
}


static ngx_int_t
im_copy_rows(im_copy_t *copy, im_table_t *table, MDB_cursor *cursor,
    im_key_t *last, uint64_t done)
{
    int             err;
    size_t          bytes;
    MDB_val         key, val;
    im_row_t        row;
    ngx_uint_t      n;
    im_mongo_op_t  *op;

    if (last->len) {
        key.mv_data = last->data;
        key.mv_size = last->len;

        err = mdb_cursor_get(cursor, &key, &val, MDB_SET_RANGE);

        if (err == 0
            && key.mv_size == last->len
            && ngx_memcmp(key.mv_data, last->data, last->len) == 0)
        {
            err = mdb_cursor_get(cursor, &key, &val, MDB_NEXT);
        }

    } else {
        err = mdb_cursor_get(cursor, &key, &val, MDB_FIRST);
    }

    while (err == 0) {
        bytes = 0;

        for (n = 0; err == 0 && n < copy->bulk && bytes < IM_COPY_BYTES; n++) {

            err = im_lmdb_row(table, &key, &val, &row);

            if (err == 0 && row.key.len > IM_KEY_LEN) {
                err = MDB_CORRUPTED;
            }

            if (err != 0) {
                break;
            }

            copy->keys[n].invalid = 0;
            copy->keys[n].len = row.key.len;
            ngx_memcpy(copy->keys[n].data, row.key.data, row.key.len);

            op = &copy->ops[n];

            ngx_memzero(op, sizeof(im_mongo_op_t));
            op->type = IM_OP_UPSERT;
            op->table = table;
            op->key = &copy->keys[n];
            op->doc = row.data;
            op->next = row.version;

            copy->list[n] = op;
            bytes += row.data.len;

            err = mdb_cursor_get(cursor, &key, &val, MDB_NEXT);
        }

        if (err != 0 && err != MDB_NOTFOUND) {
            break;
        }

        if (im_copy_bulk(copy, n) != NGX_OK) {
            return NGX_ERROR;
        }

        done += n;
        *last = copy->keys[n - 1];

        if (im_copy_save(copy, table, last, done, 0) != NGX_OK) {
            return NGX_ERROR;
        }

        im_copy_show(copy, table, done, 0);
    }

    return (err == MDB_NOTFOUND) ? NGX_OK
                                 : im_copy_lmdb_failed(err, table->name);
}


static ngx_int_t
im_copy_bulk(im_copy_t *copy, ngx_uint_t n)
{
    ngx_int_t        rc;
    ngx_uint_t       tries;
    im_mongo_tx_t    tx;
    im_mongo_call_t  call;

    for (tries = 0; tries < IM_COPY_TRIES; tries++) {

        ngx_memzero(&call, sizeof(im_mongo_call_t));
        ngx_memzero(&tx, sizeof(im_mongo_tx_t));

        call.client = copy->client;
        call.now = time(NULL);
        tx.call = &call;

        rc = im_mongo_bulk(&tx, copy->list, n);

        if (rc == NGX_OK) {
            return NGX_OK;
        }

        if (rc != NGX_AGAIN && !call.lost) {
            break;
        }

        (void) sleep(1);
    }

    return im_copy_mongo_failed(&call.error, copy->ops[0].table->name);
}


static void
im_copy_show(im_copy_t *copy, im_table_t *table, uint64_t done,
    ngx_uint_t over)
{
    uint64_t  now;

    now = im_mongo_now();

    if (!over && now - copy->shown < IM_COPY_SHOW) {
        return;
    }

    copy->shown = now;

    printf("%-14s %lu/%lu rows\n", table->name, (unsigned long) done,
           (unsigned long) copy->rows[table->id]);
}


/* The same number of rows that have not expired, at the same moment. */

static ngx_int_t
im_copy_verify(im_copy_t *copy, im_table_t *table)
{
    char                  name[IM_MONGO_NAME];
    bson_t                filter;
    time_t                now;
    int64_t               n, expected;
    uint64_t              graves;
    bson_error_t          error;
    mongoc_collection_t  *c;

    now = time(NULL);
    graves = 0;
    expected = 0;

    if (im_lmdb.tables[table->id].rows
        && im_copy_live(copy, table, now, &expected) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* all that stays of rows is found where none ever expires */

    if (im_lmdb.tables[table->id].rows
        && table->kind == IM_STREAM
        && table->ttl == IM_TTL_NONE)
    {
        if (im_copy_heads(copy, table, 0, &graves) != NGX_OK) {
            return NGX_ERROR;
        }

        expected += (int64_t) graves;
    }

    bson_init(&filter);
    im_mongo_put_live(&filter, table, now);
    im_mongo_name(name, table);

    c = mongoc_client_get_collection(copy->client, im_mongo.db, name);
    n = mongoc_collection_count_documents(c, &filter, NULL, NULL, NULL,
                                          &error);

    mongoc_collection_destroy(c);
    bson_destroy(&filter);

    if (n == -1) {
        return im_copy_mongo_failed(&error, table->name);
    }

    printf("%-14s %ld/%ld rows verified\n", table->name, (long) n,
           (long) expected);

    if (n != expected) {
        fprintf(stderr, "table \"%s\" has %ld rows in MongoDB, not %ld\n",
                table->name, (long) n, (long) expected);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
im_copy_live(im_copy_t *copy, im_table_t *table, time_t now, int64_t *n)
{
    int          err;
    MDB_val      key, val;
    im_row_t     row;
    MDB_cursor  *cursor;

    if (table->ttl == IM_TTL_NONE) {
        *n = (int64_t) copy->rows[table->id];
        return NGX_OK;
    }

    *n = 0;

    err = mdb_cursor_open(copy->txn, im_lmdb.tables[table->id].rows,
                          &cursor);
    if (err != 0) {
        return im_copy_lmdb_failed(err, "reading");
    }

    err = mdb_cursor_get(cursor, &key, &val, MDB_FIRST);

    while (err == 0) {
        err = im_lmdb_row(table, &key, &val, &row);

        if (err == 0) {
            *n += !im_row_expired(&row, now);
            err = mdb_cursor_get(cursor, &key, &val, MDB_NEXT);
        }
    }

    mdb_cursor_close(cursor);

    return (err == MDB_NOTFOUND) ? NGX_OK
                                 : im_copy_lmdb_failed(err, table->name);
}


/* From now on workers accept the database. */

static ngx_int_t
im_copy_end(im_copy_t *copy)
{
    MDB_envinfo   info;
    bson_error_t  error;

    if (copy->made) {
        printf("nothing to copy: all %lu rows are there\n",
               (unsigned long) copy->total);
        return NGX_OK;
    }

    if (im_copy_free(copy) != NGX_OK) {
        return NGX_ERROR;
    }

    if (mdb_env_info(copy->env, &info) == 0
        && info.me_last_txnid != mdb_txn_id(copy->txn))
    {
        fprintf(stderr, "the store was written to during the copy: drop the "
                "database \"%s\" and begin again\n", im_mongo.db);
        return NGX_ERROR;
    }

    if (im_mongo_copy_end(copy->client, &error) != NGX_OK) {
        return im_copy_mongo_failed(&error, "ending the copy");
    }

    printf("the copy has ended: all %lu rows are there\n",
           (unsigned long) copy->total);

    return NGX_OK;
}


static void
im_copy_close(im_copy_t *copy)
{
    ngx_free(copy->list);
    ngx_free(copy->ops);
    ngx_free(copy->keys);

    if (copy->state) {
        mongoc_collection_destroy(copy->state);
    }

    if (copy->client) {
        mongoc_client_pool_push(im_mongo.pool, copy->client);
    }

    if (im_mongo.pool) {
        mongoc_client_pool_destroy(im_mongo.pool);
    }

    if (im_mongo.uri) {
        mongoc_uri_destroy(im_mongo.uri);
        mongoc_cleanup();
    }

    if (copy->txn) {
        mdb_txn_abort(copy->txn);
    }

    if (copy->env) {
        mdb_env_close(copy->env);
    }
}


ngx_int_t
im_copy_lmdb_failed(int err, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, mdb_strerror(err));

    return NGX_ERROR;
}


ngx_int_t
im_copy_mongo_failed(bson_error_t *error, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, error->message);

    return NGX_ERROR;
}
