
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <sys/stat.h>
#include "tool/im_copy.h"


#define IM_COPY_STATE    "copy"      /* collection */
#define IM_COPY_TIMEOUT  600000      /* ms, of a call */


static int im_copy_open_env(im_copy_t *copy, const char *name);
static int im_copy_open_tables(im_copy_t *copy);
static int im_copy_reader(const char *line, void *data);


ngx_int_t
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


ngx_int_t
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


ngx_int_t
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
