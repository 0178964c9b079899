
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_COPY_H_INCLUDED_
#define _IM_COPY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_lmdb.h"
#include "store/im_mongo.h"


/* What the files of the program share. */

#define IM_COPY_TRIES    30          /* while the server is away */


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


extern ngx_log_t  im_copy_log;


/*
 * im_copy_open.c: the store; whether nobody else has it open; the database.
 * All functions tell what has failed.
 */
ngx_int_t im_copy_open(im_copy_t *copy, const char *dir);
ngx_int_t im_copy_free(im_copy_t *copy);
ngx_int_t im_copy_connect(im_copy_t *copy, const char *address);

/*
 * im_copy_state.c: the copy has to be one of this very state of the store;
 * how far a table is copied.
 */
ngx_int_t im_copy_source(im_copy_t *copy);
ngx_int_t im_copy_load(im_copy_t *copy, im_table_t *table, im_key_t *last,
    uint64_t *done, ngx_uint_t *over);
ngx_int_t im_copy_save(im_copy_t *copy, im_table_t *table, im_key_t *last,
    uint64_t done, ngx_uint_t over);

/*
 * im_copy_head.c: the last number of a stream whose last row was removed: in
 * MongoDB it is told by what stays of such a row.  Answers how many there
 * are, and writes them.
 */
ngx_int_t im_copy_heads(im_copy_t *copy, im_table_t *table, ngx_uint_t write,
    uint64_t *n);

ngx_int_t im_copy_lmdb_failed(int err, const char *what);
ngx_int_t im_copy_mongo_failed(bson_error_t *error, const char *what);


#endif /* _IM_COPY_H_INCLUDED_ */
