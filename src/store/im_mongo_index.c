
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_sha1.h>
#include "store/im_mongo.h"


/*
 * The schema: which server this is, and the indexes of all tables.  Runs in
 * a thread, or when a worker starts.  Making an index that is there is
 * nothing, so nodes that start together may all do it, and it is done again
 * whenever the tables of im_tables[] are not those of the last time.
 */


#define IM_MONGO_SCHEMA   2
#define IM_MONGO_COPYING  0          /* instead of it, during a copy */
#define IM_MONGO_NONE     -1

#define IM_MONGO_HASH    41          /* of a fingerprint, with a zero */

/* errors of createIndexes: one of this name, or with these keys, is there */

#define IM_MONGO_INDEX_OPTIONS  85
#define IM_MONGO_INDEX_KEYS     86

#define IM_MONGO_REFUSED                                                      \
    "a standalone server is refused, it has no transactions: start mongod "   \
    "with --replSet rs0, run rs.initiate() in its shell and write the "       \
    "address with ?replicaSet=rs0"


static ngx_int_t im_mongo_server(mongoc_client_t *client,
    bson_error_t *error);
static void im_mongo_fingerprint(char *hash);
static ngx_int_t im_mongo_look(mongoc_client_t *client, char *hash,
    int64_t *version, ngx_uint_t *made, bson_error_t *error);
static ngx_int_t im_mongo_schema(mongoc_client_t *client, const char *hash,
    int64_t *version, ngx_uint_t *made, bson_error_t *error);
static ngx_int_t im_mongo_schema_put(mongoc_client_t *client,
    int64_t version, const char *hash, bson_error_t *error);
static ngx_int_t im_mongo_create_all(mongoc_client_t *client,
    bson_error_t *error);
static void im_mongo_put_indexes(bson_t *command, im_table_t *table);
static void im_mongo_put_index(bson_t *array, const char *n,
    im_table_t *table, ngx_uint_t index);
static ngx_int_t im_mongo_create(mongoc_client_t *client, im_table_t *table,
    bson_error_t *error);


/* NGX_DECLINED: the server is there, but is not what we can work with. */

ngx_int_t
im_mongo_prepare(mongoc_client_t *client, bson_error_t *error)
{
    char        hash[IM_MONGO_HASH];
    int64_t     version;
    ngx_int_t   rc;
    ngx_uint_t  made;

    rc = im_mongo_look(client, hash, &version, &made, error);

    if (rc == NGX_OK && version == IM_MONGO_COPYING) {
        bson_set_error(error, 0, 0, "the copy into it has not ended: run "
                       "\"build.sh copy\" again");
        return NGX_DECLINED;
    }

    if (rc != NGX_OK || made) {
        return rc;
    }

    rc = im_mongo_create_all(client, error);
    if (rc != NGX_OK) {
        return rc;
    }

    return im_mongo_schema_put(client, IM_MONGO_SCHEMA, hash, error);
}


ngx_int_t
im_mongo_copy_begin(mongoc_client_t *client, ngx_uint_t *used,
    bson_error_t *error)
{
    char        hash[IM_MONGO_HASH];
    int64_t     version;
    ngx_int_t   rc;
    ngx_uint_t  made;

    *used = 0;

    rc = im_mongo_look(client, hash, &version, &made, error);

    /* a worker may be faster */

    if (rc == NGX_OK && version == IM_MONGO_NONE) {
        rc = im_mongo_schema_put(client, IM_MONGO_COPYING, "", error);

        if (rc == NGX_OK) {
            rc = im_mongo_schema(client, hash, &version, &made, error);
        }
    }

    *used = (version == IM_MONGO_SCHEMA);

    if (rc != NGX_OK || *used || made) {
        return rc;
    }

    rc = im_mongo_create_all(client, error);
    if (rc != NGX_OK) {
        return rc;
    }

    return im_mongo_schema_put(client, IM_MONGO_COPYING, hash, error);
}


ngx_int_t
im_mongo_copy_end(mongoc_client_t *client, bson_error_t *error)
{
    bool                  ok;
    bson_t               *filter, *change;
    mongoc_collection_t  *c;

    filter = BCON_NEW(IM_MONGO_ID, BCON_UTF8("schema"));
    change = BCON_NEW("$set", "{", "version", BCON_INT64(IM_MONGO_SCHEMA),
                      "}");

    c = mongoc_client_get_collection(client, im_mongo.db, IM_MONGO_SYSTEM);
    ok = mongoc_collection_update_one(c, filter, change, NULL, NULL, error);

    mongoc_collection_destroy(c);
    bson_destroy(change);
    bson_destroy(filter);

    return ok ? NGX_OK : NGX_ERROR;
}


/* What the server is, the hash of our indexes, and which schema it has. */

static ngx_int_t
im_mongo_look(mongoc_client_t *client, char *hash, int64_t *version,
    ngx_uint_t *made, bson_error_t *error)
{
    ngx_int_t  rc;

    *version = IM_MONGO_NONE;
    *made = 0;

    ngx_memzero(error, sizeof(bson_error_t));

    rc = im_mongo_server(client, error);
    if (rc != NGX_OK) {
        return rc;
    }

    im_mongo_fingerprint(hash);

    return im_mongo_schema(client, hash, version, made, error);
}


static ngx_int_t
im_mongo_create_all(mongoc_client_t *client, bson_error_t *error)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    for (i = 0; i < IM_T_MAX; i++) {
        rc = im_mongo_create(client, &im_tables[i], error);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
im_mongo_server(mongoc_client_t *client, bson_error_t *error)
{
    bool          ok;
    bson_t        reply, *command;
    ngx_int_t     rc;
    bson_iter_t   iter;

    command = BCON_NEW("hello", BCON_INT32(1));

    ok = mongoc_client_command_simple(client, "admin", command, NULL, &reply,
                                      error);
    bson_destroy(command);

    if (!ok) {
        bson_destroy(&reply);

        if (im_mongo.standalone) {
            bson_set_error(error, 0, 0, IM_MONGO_REFUSED);
            return NGX_DECLINED;
        }

        im_mongo_other_set(error);
        return NGX_ERROR;
    }

    rc = NGX_OK;

    if (!bson_iter_init_find(&iter, &reply, "setName")
        && !(bson_iter_init_find(&iter, &reply, "msg")
             && BSON_ITER_HOLDS_UTF8(&iter)
             && ngx_strcmp(bson_iter_utf8(&iter, NULL), "isdbgrid") == 0))
    {
        bson_set_error(error, 0, 0, IM_MONGO_REFUSED);
        rc = NGX_DECLINED;
    }

    bson_destroy(&reply);

    return rc;
}


/* Of all that is told to the server about tables and their indexes. */

static void
im_mongo_fingerprint(char *hash)
{
    u_char       digest[20];
    bson_t       command;
    ngx_sha1_t   sha1;
    ngx_uint_t   i;

    ngx_sha1_init(&sha1);

    for (i = 0; i < IM_T_MAX; i++) {
        bson_init(&command);
        im_mongo_put_indexes(&command, &im_tables[i]);
        ngx_sha1_update(&sha1, bson_get_data(&command), command.len);
        bson_destroy(&command);
    }

    ngx_sha1_final(digest, &sha1);

    *ngx_hex_dump((u_char *) hash, digest, sizeof(digest)) = '\0';
}


static ngx_int_t
im_mongo_schema(mongoc_client_t *client, const char *hash, int64_t *version,
    ngx_uint_t *made, bson_error_t *error)
{
    bson_t                *filter;
    ngx_int_t              rc;
    bson_iter_t            iter;
    const bson_t          *doc;
    mongoc_cursor_t       *cursor;
    mongoc_collection_t   *c;

    *made = 0;
    *version = IM_MONGO_NONE;

    c = mongoc_client_get_collection(client, im_mongo.db, IM_MONGO_SYSTEM);
    filter = BCON_NEW(IM_MONGO_ID, BCON_UTF8("schema"));
    cursor = mongoc_collection_find_with_opts(c, filter, NULL, NULL);

    rc = NGX_OK;

    if (mongoc_cursor_next(cursor, &doc)) {
        *version = im_mongo_get_int(doc, "version");

        *made = bson_iter_init_find(&iter, doc, "indexes")
                && BSON_ITER_HOLDS_UTF8(&iter)
                && ngx_strcmp(bson_iter_utf8(&iter, NULL), hash) == 0;

        if (*version != IM_MONGO_SCHEMA && *version != IM_MONGO_COPYING) {
            bson_set_error(error, 0, 0, "it needs migration: its schema has "
                           "version %ld, this nginx knows version %d",
                           (long) *version, IM_MONGO_SCHEMA);
            rc = NGX_DECLINED;
        }

    } else if (mongoc_cursor_error(cursor, error)) {
        rc = NGX_ERROR;
    }

    mongoc_cursor_destroy(cursor);
    bson_destroy(filter);
    mongoc_collection_destroy(c);

    return rc;
}


static ngx_int_t
im_mongo_schema_put(mongoc_client_t *client, int64_t version,
    const char *hash, bson_error_t *error)
{
    bool                  ok;
    bson_t               *filter, *update, *opts;
    mongoc_collection_t  *c;

    c = mongoc_client_get_collection(client, im_mongo.db, IM_MONGO_SYSTEM);

    filter = BCON_NEW(IM_MONGO_ID, BCON_UTF8("schema"),
                      "version", BCON_INT64(version));
    update = BCON_NEW("$set", "{", "indexes", BCON_UTF8(hash), "}");
    opts = BCON_NEW("upsert", BCON_BOOL(true));

    /* a key that is taken: another node has just made it */

    ok = mongoc_collection_update_one(c, filter, update, opts, NULL, error)
         || error->code == MONGOC_ERROR_DUPLICATE_KEY;

    bson_destroy(opts);
    bson_destroy(update);
    bson_destroy(filter);
    mongoc_collection_destroy(c);

    return ok ? NGX_OK : NGX_ERROR;
}


/* The command that makes the collection and the indexes of the table. */

static void
im_mongo_put_indexes(bson_t *command, im_table_t *table)
{
    char        name[IM_MONGO_NAME], n[NGX_INT_T_LEN + 1];
    bson_t      array, index, keys;
    ngx_uint_t  i;

    im_mongo_name(name, table);

    (void) bson_append_utf8(command, "createIndexes", -1, name, -1);
    (void) bson_append_array_begin(command, "indexes", -1, &array);

    im_mongo_put_index(&array, "0", table, 0);

    for (i = 0; table->index[i].name; i++) {
        (void) ngx_sprintf((u_char *) n, "%ui%Z", i + 1);
        im_mongo_put_index(&array, n, table, i + 1);
    }

    /* rows of streams are removed by us, who keep the last one */

    if (table->ttl != IM_TTL_NONE) {
        (void) ngx_sprintf((u_char *) n, "%ui%Z", i + 1);

        (void) bson_append_document_begin(&array, n, -1, &index);
        (void) bson_append_utf8(&index, "name", -1, "expire", -1);
        (void) bson_append_document_begin(&index, "key", -1, &keys);
        (void) bson_append_int32(&keys, IM_MONGO_EXPIRE, -1, 1);
        (void) bson_append_document_end(&index, &keys);

        if (table->kind == IM_STREAM) {
            (void) bson_append_bool(&index, "sparse", -1, true);

        } else {
            (void) bson_append_int32(&index, "expireAfterSeconds", -1, 0);
        }

        (void) bson_append_document_end(&array, &index);
    }

    (void) bson_append_array_end(command, &array);
}


static void
im_mongo_put_index(bson_t *array, const char *n, im_table_t *table,
    ngx_uint_t index)
{
    bson_t       doc, keys, partial;
    im_index_t  *idx;

    idx = index ? &table->index[index - 1] : NULL;

    (void) bson_append_document_begin(array, n, -1, &doc);

    (void) bson_append_utf8(&doc, "name", -1, idx ? idx->name : "key", -1);

    (void) bson_append_document_begin(&doc, "key", -1, &keys);
    im_mongo_put_columns(&keys, table, index);

    if (idx && (idx->flags & IM_INDEX_FLAGS)) {
        (void) bson_append_int32(&keys, "flags", -1, 1);
        (void) bson_append_int32(&keys, "expire", -1, 1);
    }

    (void) bson_append_document_end(&doc, &keys);

    if (idx == NULL || (idx->flags & IM_INDEX_UNIQUE)) {
        (void) bson_append_bool(&doc, "unique", -1, true);
    }

    if (idx && (idx->flags & IM_INDEX_SPARSE)) {
        (void) bson_append_document_begin(&doc, "partialFilterExpression", -1,
                                          &partial);
        im_mongo_put_there(&partial,
                           &idx->columns[im_mongo_sparse_column(idx)]);
        (void) bson_append_document_end(&doc, &partial);
    }

    (void) bson_append_document_end(array, &doc);
}


static ngx_int_t
im_mongo_create(mongoc_client_t *client, im_table_t *table,
    bson_error_t *error)
{
    bool       ok;
    bson_t     command, reply;
    ngx_int_t  rc;

    bson_init(&command);
    im_mongo_put_indexes(&command, table);

    ok = mongoc_client_write_command_with_opts(client, im_mongo.db, &command,
                                               NULL, &reply, error);

    rc = ok ? NGX_OK : NGX_ERROR;

    if (!ok && (error->code == IM_MONGO_INDEX_OPTIONS
                || error->code == IM_MONGO_INDEX_KEYS))
    {
        rc = NGX_DECLINED;
    }

    bson_destroy(&reply);
    bson_destroy(&command);

    return rc;
}
