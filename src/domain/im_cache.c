
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_map.h"
#include "core/im_worker.h"
#include "live/im_redis.h"
#include "live/im_stamp.h"
#include "domain/im_cache.h"


#define IM_CACHE_TIME     5000
#define IM_CACHE_ENTRIES  4096
#define IM_CACHE_ROW_MAX  4096


typedef struct {
    im_map_node_t      node;
    ngx_queue_t        queue;
    im_cache_mark_t    mark;
    im_table_e         table;
    int64_t            version;
    uint32_t           key_len;
    uint32_t           data_len;     /* 0: there is no such row */
    u_char             data[1];      /* key, document */
} im_cache_entry_t;


static im_cache_entry_t *im_cache_find(im_table_e table, im_key_t *key,
    uint32_t hash);
static void im_cache_put(im_ctx_t *ctx, im_table_e table, im_key_t *key,
    im_cache_mark_t *mark, im_row_t *row);
static void im_cache_free(im_cache_entry_t *e);
static ngx_int_t im_cache_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_cache_exit_process(ngx_cycle_t *cycle);


im_worker_hook_t  im_cache_hook = {
    ngx_string("cache"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_cache_init_process,                 /* init process */
    im_cache_exit_process                  /* exit process */
};


static im_map_t     im_cache_map;

/* The last one read first.  One that is used gets no better place, for it is
 * read again within seconds. */
static ngx_queue_t  im_cache_queue;
static ngx_uint_t   im_cache_count;


ngx_int_t
im_cache_get(im_ctx_t *ctx, im_table_e table, im_key_t *key, im_row_t *row)
{
    u_char            *p;
    ngx_int_t          rc;
    im_cache_mark_t    mark;
    im_cache_entry_t  *e;

    if (key->invalid) {                  /* no row has it */
        return NGX_DECLINED;
    }

    mark.hash = im_cache_hash(table, key);

    e = im_cache_find(table, key, mark.hash);

    if (e) {
        if (im_cache_same(&e->mark)) {

            if (e->data_len == 0) {
                return NGX_DECLINED;
            }

            /* the entry may go while the caller is suspended */

            p = ngx_pnalloc(ctx->pool, e->key_len + e->data_len);
            if (p == NULL) {
                return NGX_ERROR;
            }

            ngx_memcpy(p, e->data, e->key_len + e->data_len);

            row->table = &im_tables[table];
            row->version = e->version;
            row->key.data = p;
            row->key.len = e->key_len;
            row->data.data = p + e->key_len;
            row->data.len = e->data_len;

            return NGX_OK;
        }

        im_cache_free(e);
    }

    mark.stamp = im_stamp_get(mark.hash);

    rc = im_store_get(ctx, table, key, row);

    if (rc == NGX_OK || rc == NGX_DECLINED) {
        mark.loaded = ngx_current_msec;
        mark.set = 1;

        im_cache_put(ctx, table, key, &mark, (rc == NGX_OK) ? row : NULL);
    }

    return rc;
}


ngx_int_t
im_cache_get_exact(im_ctx_t *ctx, im_table_e table, im_key_t *key,
    im_row_t *row)
{
    return im_redis_configured() ? im_store_get(ctx, table, key, row)
                                 : im_cache_get(ctx, table, key, row);
}


void
im_cache_mark(im_table_e table, im_key_t *key, im_cache_mark_t *mark)
{
    im_cache_entry_t  *e;

    e = im_cache_find(table, key, im_cache_hash(table, key));

    if (e) {
        *mark = e->mark;

    } else {
        mark->set = 0;
    }
}


void
im_cache_mark_exact(im_table_e table, im_key_t *key, im_cache_mark_t *mark)
{
    if (im_redis_configured()) {
        mark->set = 0;
        return;
    }

    im_cache_mark(table, key, mark);
}


ngx_uint_t
im_cache_same(im_cache_mark_t *mark)
{
    return mark->set
           && mark->stamp == im_stamp_get(mark->hash)
           && (ngx_msec_int_t) (ngx_current_msec - mark->loaded)
              < IM_CACHE_TIME;
}


ngx_int_t
im_cache_commit(im_ctx_t *ctx, im_batch_t *batch)
{
    im_op_t     *op;
    ngx_int_t    rc;
    ngx_uint_t   i;

    rc = im_store_commit(ctx, batch);

    /* one that has failed may be there in part, or all the same */

    if (batch && rc != NGX_BUSY) {
        for (i = 0; i < batch->n; i++) {
            op = &batch->ops[i];

            if (op->table->kind == IM_VERSIONED) {
                im_stamp_bump(im_cache_hash(op->table->id, op->key));
            }
        }
    }

    return rc;
}


uint32_t
im_cache_hash(im_table_e table, im_key_t *key)
{
    return ngx_murmur_hash2(key->data, key->len) ^ (table * 0x9e3779b9u);
}


static im_cache_entry_t *
im_cache_find(im_table_e table, im_key_t *key, uint32_t hash)
{
    im_map_node_t     *node;
    im_cache_entry_t  *e;

    if (im_cache_map.chains == NULL) {
        return NULL;
    }

    for (node = im_map_find(&im_cache_map, hash);
         node;
         node = im_map_next(node))
    {
        e = (im_cache_entry_t *) node;

        if (e->table == table
            && e->key_len == key->len
            && ngx_memcmp(e->data, key->data, key->len) == 0)
        {
            return e;
        }
    }

    return NULL;
}


static void
im_cache_put(im_ctx_t *ctx, im_table_e table, im_key_t *key,
    im_cache_mark_t *mark, im_row_t *row)
{
    size_t             len;
    im_cache_entry_t  *e;

    /* another coroutine may have put it while the store was asked */

    e = im_cache_find(table, key, mark->hash);
    if (e) {
        im_cache_free(e);
    }

    len = row ? row->data.len : 0;

    if (im_cache_map.chains == NULL || len > IM_CACHE_ROW_MAX) {
        return;
    }

    if (im_cache_count >= IM_CACHE_ENTRIES) {
        im_cache_free(ngx_queue_data(ngx_queue_last(&im_cache_queue),
                                     im_cache_entry_t, queue));
    }

    e = ngx_alloc(offsetof(im_cache_entry_t, data) + key->len + len,
                  ctx->log);
    if (e == NULL) {
        return;
    }

    e->node.hash = mark->hash;
    e->mark = *mark;
    e->table = table;
    e->version = row ? row->version : 0;
    e->key_len = key->len;
    e->data_len = len;

    ngx_memcpy(e->data, key->data, key->len);

    if (len) {
        ngx_memcpy(e->data + key->len, row->data.data, len);
    }

    im_map_insert(&im_cache_map, &e->node);
    ngx_queue_insert_head(&im_cache_queue, &e->queue);
    im_cache_count++;
}


static void
im_cache_free(im_cache_entry_t *e)
{
    ngx_queue_remove(&e->queue);
    im_map_delete(&im_cache_map, &e->node);
    im_cache_count--;

    ngx_free(e);
}


static ngx_int_t
im_cache_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    static im_map_node_t  *chains[IM_CACHE_ENTRIES];

    im_map_init(&im_cache_map, chains, IM_CACHE_ENTRIES);
    ngx_queue_init(&im_cache_queue);

    return NGX_OK;
}


static void
im_cache_exit_process(ngx_cycle_t *cycle)
{
    while (!ngx_queue_empty(&im_cache_queue)) {
        im_cache_free(ngx_queue_data(ngx_queue_head(&im_cache_queue),
                                     im_cache_entry_t, queue));
    }
}
