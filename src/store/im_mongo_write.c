
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_mongo.h"


/*
 * Single calls that write, in a thread, and how they have ended.
 */


ngx_int_t
im_mongo_update(im_mongo_tx_t *tx, const char *name, bson_t *filter,
    bson_t *change, ngx_uint_t replace, ngx_uint_t upsert,
    ngx_uint_t *matched)
{
    bool                  ok;
    bson_t                opts, reply;
    ngx_int_t             rc;
    bson_iter_t           iter;
    mongoc_collection_t  *c;

    *matched = 0;

    c = im_mongo_collection(tx, name, &opts);

    (void) bson_append_bool(&opts, "validate", -1, false);

    if (upsert) {
        (void) bson_append_bool(&opts, "upsert", -1, true);
    }

    ok = replace ? mongoc_collection_replace_one(c, filter, change, &opts,
                                                 &reply, &tx->call->error)
                 : mongoc_collection_update_one(c, filter, change, &opts,
                                                &reply, &tx->call->error);

    rc = im_mongo_result(tx, ok, &reply);

    if (rc == NGX_OK && bson_iter_init_find(&iter, &reply, "matchedCount")) {
        *matched = bson_iter_as_int64(&iter);
    }

    bson_destroy(&reply);
    bson_destroy(&opts);
    mongoc_collection_destroy(c);

    return rc;
}


ngx_int_t
im_mongo_remove(im_mongo_tx_t *tx, const char *name, bson_t *filter)
{
    bool                  ok;
    bson_t                opts, reply;
    ngx_int_t             rc;
    mongoc_collection_t  *c;

    c = im_mongo_collection(tx, name, &opts);

    ok = mongoc_collection_delete_one(c, filter, &opts, &reply,
                                      &tx->call->error);
    rc = im_mongo_result(tx, ok, &reply);

    bson_destroy(&reply);
    bson_destroy(&opts);
    mongoc_collection_destroy(c);

    return rc;
}


mongoc_collection_t *
im_mongo_collection(im_mongo_tx_t *tx, const char *name, bson_t *opts)
{
    bson_init(opts);

    if (tx->session) {
        (void) mongoc_client_session_append(tx->session, opts,
                                            &tx->call->error);
    }

    return mongoc_client_get_collection(tx->call->client, im_mongo.db, name);
}


ngx_int_t
im_mongo_result(im_mongo_tx_t *tx, ngx_uint_t ok, bson_t *reply)
{
    bson_error_t  *error;

    if (ok) {
        return NGX_OK;
    }

    error = &tx->call->error;

    if (error->code == MONGOC_ERROR_DUPLICATE_KEY) {
        tx->conflict = 1;
        return NGX_AGAIN;
    }

    if (tx->session) {

        if ((reply && mongoc_error_has_label(reply,
                                             "TransientTransactionError"))
            || error->code == 24 || error->code == 246
            || error->code == 251 || im_mongo_retry(tx->call, error))
        {
            tx->transient = 1;
            return NGX_AGAIN;
        }

        return NGX_ERROR;
    }

    return im_mongo_retry(tx->call, error) ? NGX_AGAIN : NGX_ERROR;
}


/* The codes are those of a server that stops, steps down or is in conflict. */

ngx_uint_t
im_mongo_retry(im_mongo_call_t *call, bson_error_t *error)
{
    ngx_uint_t  i;

    static uint32_t  codes[] = {
        6, 7, 89, 91, 112, 134, 189, 262, 9001, 10107, 11600, 11602, 13435,
        13436
    };

    /* to find no server has taken its time already */

    if (error->domain == MONGOC_ERROR_SERVER_SELECTION) {
        call->lost = 1;
        return 0;
    }

    if (error->domain == MONGOC_ERROR_STREAM) {
        call->lost = 1;
        return 1;
    }

    if (error->domain == MONGOC_ERROR_SERVER
        || error->domain == MONGOC_ERROR_WRITE_CONCERN)
    {
        for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
            if (error->code == codes[i]) {
                return 1;
            }
        }
    }

    return 0;
}


/* Others that wait for the same row do not come back at the same time. */

ngx_int_t
im_mongo_pause(im_mongo_call_t *call, ngx_uint_t tries)
{
    uint64_t  us, now;

    now = im_mongo_now();

    us = 500 << ngx_min(tries, 5);
    us = (now ^ (uintptr_t) call >> 4) * 2654435761U % us;

    if (now + us >= call->deadline || im_mongo.exiting) {
        return NGX_ERROR;
    }

    (void) usleep(us);

    call->lost = 0;

    return NGX_OK;
}
