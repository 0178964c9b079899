
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <sys/stat.h>
#include "store/im_lmdb.h"
#include "store/im_mongo.h"


/*
 * A program: copies a store of LMDB, which no nginx has open, into a database
 * of MongoDB.  All tables in key order, in bulks of upserts, so that any part
 * may be done again.  The collection "copy" has a document per table, with
 * the last key that is there for certain, and one of the store that is
 * copied.
 *
 *     im_copy DIRECTORY ADDRESS [ROWS]
 */


#define IM_COPY_STATE    "copy"      /* collection */
#define IM_COPY_SOURCE   "source"    /* its document of the store */

#define IM_COPY_ROWS     500         /* of a bulk */
#define IM_COPY_ROWS_MAX 5000
#define IM_COPY_BYTES    (8 * 1024 * 1024)
#define IM_COPY_TIMEOUT  600000      /* ms, of a call */
#define IM_COPY_TRIES    30          /* while the server is away */
#define IM_COPY_SHOW     1000000     /* us between two lines of a table */


typedef struct {
    MDB_env               *env;
    MDB_txn               *txn;      /* one state of the store, to the end */
    mongoc_client_t       *client;
    mongoc_collection_t   *state;
    uint64_t               rows[IM_T_MAX];
    uint64_t               total;
    ngx_uint_t             bulk;     /* rows */
    uint64_t               shown;    /* us */
    im_key_t              *keys;
    im_mongo_op_t         *ops;
    im_mongo_op_t        **list;
    unsigned               made:1;   /* the copy has ended before */
} im_copy_t;


static void im_copy_init(void);
static ngx_int_t im_copy_open(im_copy_t *copy, const char *dir);
static int im_copy_open_env(im_copy_t *copy, const char *name);
static int im_copy_open_tables(im_copy_t *copy);
static ngx_int_t im_copy_free(im_copy_t *copy);
static int im_copy_reader(const char *line, void *data);
static ngx_int_t im_copy_connect(im_copy_t *copy, const char *address);
static ngx_int_t im_copy_source(im_copy_t *copy);
static ngx_int_t im_copy_all(im_copy_t *copy);
static ngx_int_t im_copy_table(im_copy_t *copy, im_table_t *table);
static ngx_int_t im_copy_rows(im_copy_t *copy, im_table_t *table,
    MDB_cursor *cursor, im_key_t *last, uint64_t done);
static ngx_int_t im_copy_bulk(im_copy_t *copy, ngx_uint_t n);
static ngx_int_t im_copy_load(im_copy_t *copy, im_table_t *table,
    im_key_t *last, uint64_t *done, ngx_uint_t *over);
static ngx_int_t im_copy_save(im_copy_t *copy, im_table_t *table,
    im_key_t *last, uint64_t done, ngx_uint_t over);
static ngx_int_t im_copy_put(im_copy_t *copy, const char *id, bson_t *doc);
static void im_copy_show(im_copy_t *copy, im_table_t *table, uint64_t done,
    ngx_uint_t over);
static ngx_int_t im_copy_heads(im_copy_t *copy, im_table_t *table,
    ngx_uint_t write, uint64_t *n);
static ngx_int_t im_copy_graves(im_copy_t *copy, im_table_t *table,
    ngx_uint_t n);
static ngx_int_t im_copy_verify(im_copy_t *copy, im_table_t *table);
static ngx_int_t im_copy_live(im_copy_t *copy, im_table_t *table, time_t now,
    int64_t *n);
static ngx_int_t im_copy_end(im_copy_t *copy);
static void im_copy_close(im_copy_t *copy);
static ngx_int_t im_copy_lmdb_failed(int err, const char *what);
static ngx_int_t im_copy_mongo_failed(bson_error_t *error, const char *what);


static ngx_log_t        im_copy_log;
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
im_copy_open(im_copy_t *copy, const char *dir)
{
    int      err, dead;
    char     name[NGX_MAX_PATH];
    int64_t  version;

    if (ngx_strlen(dir) > sizeof(name) - 32) {
        fprintf(stderr, "the name of the directory is too long\n");
        return NGX_ERROR;
    }

    (void) ngx_snprintf((u_char *) name, sizeof(name), "%s/" IM_LMDB_FILE
                        "%Z", dir);

    err = im_copy_open_env(copy, name);

    if (err != 0) {
        fprintf(stderr, "opening \"%s\" failed: %s\n", name,
                mdb_strerror(err));
        return NGX_ERROR;
    }

    (void) mdb_reader_check(copy->env, &dead);

    if (im_copy_free(copy) != NGX_OK) {
        return NGX_ERROR;
    }

    err = mdb_txn_begin(copy->env, NULL, MDB_RDONLY, &copy->txn);
    if (err != 0) {
        copy->txn = NULL;
        return im_copy_lmdb_failed(err, "beginning a transaction");
    }

    err = mdb_dbi_open(copy->txn, "im", 0, &im_lmdb.sys);

    if (err == 0) {
        err = im_lmdb_version(copy->txn, &version);
    }

    if (err == MDB_NOTFOUND) {
        fprintf(stderr, "\"%s\" is no store of nginx\n", name);
        return NGX_ERROR;
    }

    if (err == 0 && version != IM_LMDB_SCHEMA) {
        fprintf(stderr, "\"%s\" needs migration: its schema has version "
                "%ld, this program knows version %d\n", name, (long) version,
                IM_LMDB_SCHEMA);
        return NGX_ERROR;
    }

    if (err == 0) {
        err = im_copy_open_tables(copy);
    }

    return err ? im_copy_lmdb_failed(err, "opening tables") : NGX_OK;
}


/* A lock file that was not there is the same user's as the store. */

static int
im_copy_open_env(im_copy_t *copy, const char *name)
{
    int          err;
    char         lock[NGX_MAX_PATH];
    struct stat  st;

    if (stat(name, &st) == -1) {
        return ngx_errno;
    }

    err = mdb_env_create(&copy->env);
    if (err != 0) {
        copy->env = NULL;
        return err;
    }

    (void) mdb_env_set_maxdbs(copy->env, IM_LMDB_DBS);
    (void) mdb_env_set_maxreaders(copy->env, IM_LMDB_READERS);

    err = mdb_env_open(copy->env, name, MDB_NOSUBDIR|MDB_NOTLS|MDB_RDONLY,
                       0600);
    if (err != 0) {
        return err;
    }

    (void) ngx_snprintf((u_char *) lock, sizeof(lock), "%s-lock%Z", name);

    if (geteuid() == 0
        && chown(lock, st.st_uid, st.st_gid) == -1
        && ngx_errno != NGX_ENOENT)
    {
        return ngx_errno;
    }

    return 0;
}


/* A table that an older nginx did not know is empty. */

static int
im_copy_open_tables(im_copy_t *copy)
{
    int               err;
    MDB_stat          st;
    ngx_uint_t        i;
    im_lmdb_table_t  *t;

    for (i = 0; i < IM_T_MAX; i++) {
        t = &im_lmdb.tables[i];

        err = im_lmdb_open_db(copy->txn, &im_tables[i], NULL, 0, &t->rows);

        if (err == MDB_NOTFOUND) {
            continue;
        }

        if (err == 0 && im_tables[i].kind == IM_STREAM) {
            err = im_lmdb_open_db(copy->txn, &im_tables[i], "head", 0,
                                  &t->head);
        }

        if (err == 0) {
            err = mdb_stat(copy->txn, t->rows, &st);
        }

        if (err != 0) {
            return err;
        }

        copy->rows[i] = st.ms_entries;
        copy->total += st.ms_entries;
    }

    return 0;
}


/* Each worker has a reader of its own, from its start to its end. */

static ngx_int_t
im_copy_free(im_copy_t *copy)
{
    int  pid;

    pid = 0;

    (void) mdb_reader_list(copy->env, im_copy_reader, &pid);

    if (pid) {
        fprintf(stderr, "process %d has the store open: stop nginx first\n",
                pid);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* A line of a table that begins with process ids. */

static int
im_copy_reader(const char *line, void *data)
{
    int  *pid = data;

    int  n;

    n = (int) strtol(line, NULL, 10);

    if (n > 0 && n != ngx_pid) {
        *pid = n;
    }

    return 0;
}


static ngx_int_t
im_copy_connect(im_copy_t *copy, const char *address)
{
    ngx_int_t     rc;
    ngx_uint_t    made;
    im_conf_t    *conf;
    bson_error_t  error;

    conf = ngx_calloc(sizeof(im_conf_t), &im_copy_log);
    if (conf == NULL) {
        return NGX_ERROR;
    }

    conf->store.path.data = (u_char *) address;
    conf->store.path.len = ngx_strlen(address);

    rc = im_mongo_connect(conf, IM_COPY_TIMEOUT, &error);

    ngx_free(conf);

    if (rc != NGX_OK) {
        return im_copy_mongo_failed(&error, "the address");
    }

    copy->client = mongoc_client_pool_pop(im_mongo.pool);

    if (copy->client == NULL) {
        fprintf(stderr, "there is no connection for MongoDB\n");
        return NGX_ERROR;
    }

    if (im_mongo_copy_begin(copy->client, &made, &error) != NGX_OK) {
        return im_copy_mongo_failed(&error, "preparing the database");
    }

    copy->made = made;
    copy->state = mongoc_client_get_collection(copy->client, im_mongo.db,
                                               IM_COPY_STATE);

    copy->keys = ngx_alloc(copy->bulk * sizeof(im_key_t), &im_copy_log);
    copy->ops = ngx_alloc(copy->bulk * sizeof(im_mongo_op_t), &im_copy_log);
    copy->list = ngx_alloc(copy->bulk * sizeof(im_mongo_op_t *),
                           &im_copy_log);

    if (copy->keys == NULL || copy->ops == NULL || copy->list == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The copy has to be one of this very state of the store. */

static ngx_int_t
im_copy_source(im_copy_t *copy)
{
    bson_t           *filter, *doc;
    int64_t           txn, rows;
    ngx_int_t         rc;
    ngx_uint_t        found;
    const bson_t     *b;
    bson_error_t      error;
    mongoc_cursor_t  *cursor;

    txn = 0;
    rows = 0;
    found = 0;
    rc = NGX_OK;

    filter = BCON_NEW(IM_MONGO_ID, BCON_UTF8(IM_COPY_SOURCE));
    cursor = mongoc_collection_find_with_opts(copy->state, filter, NULL,
                                              NULL);

    if (mongoc_cursor_next(cursor, &b)) {
        txn = im_mongo_get_int(b, "txn");
        rows = im_mongo_get_int(b, "rows");
        found = 1;

    } else if (mongoc_cursor_error(cursor, &error)) {
        rc = im_copy_mongo_failed(&error, "reading the state of the copy");
    }

    mongoc_cursor_destroy(cursor);
    bson_destroy(filter);

    if (rc != NGX_OK) {
        return rc;
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


static ngx_int_t
im_copy_load(im_copy_t *copy, im_table_t *table, im_key_t *last,
    uint64_t *done, ngx_uint_t *over)
{
    bson_t           *filter;
    uint32_t          len;
    ngx_int_t         rc;
    bson_iter_t       iter;
    const bson_t     *b;
    bson_error_t      error;
    const uint8_t    *data;
    bson_subtype_t    type;
    mongoc_cursor_t  *cursor;

    last->len = 0;
    last->invalid = 0;
    *done = 0;
    *over = 0;
    rc = NGX_OK;

    filter = BCON_NEW(IM_MONGO_ID, BCON_UTF8(table->name));
    cursor = mongoc_collection_find_with_opts(copy->state, filter, NULL,
                                              NULL);

    if (mongoc_cursor_next(cursor, &b)) {
        *done = (uint64_t) im_mongo_get_int(b, "rows");
        *over = (ngx_uint_t) im_mongo_get_int(b, "over");

        if (bson_iter_init_find(&iter, b, "key")
            && BSON_ITER_HOLDS_BINARY(&iter))
        {
            bson_iter_binary(&iter, &type, &len, &data);

            if (len <= IM_KEY_LEN) {
                last->len = len;
                ngx_memcpy(last->data, data, len);
            }
        }

    } else if (mongoc_cursor_error(cursor, &error)) {
        rc = im_copy_mongo_failed(&error, "reading the state of the copy");
    }

    mongoc_cursor_destroy(cursor);
    bson_destroy(filter);

    return rc;
}


static ngx_int_t
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


/*
 * The last number of a stream whose last row was removed: in MongoDB it is
 * told by what stays of such a row.
 */

static ngx_int_t
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


static ngx_int_t
im_copy_lmdb_failed(int err, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, mdb_strerror(err));

    return NGX_ERROR;
}


static ngx_int_t
im_copy_mongo_failed(bson_error_t *error, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, error->message);

    return NGX_ERROR;
}
