
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_worker.h"
#include "store/im_store.h"


#define IM_STORE_GET_MAX   500
#define IM_STORE_SCAN_MAX  1000

#define im_store_bit(type)  (1 << (type))


static ngx_int_t im_store_init_conf(ngx_conf_t *cf, im_conf_t *conf);
static ngx_int_t im_store_init_module(ngx_cycle_t *cycle, im_conf_t *conf);
static ngx_int_t im_store_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_store_exit_process(ngx_cycle_t *cycle);
static im_store_driver_t *im_store_choose(im_conf_t *conf, ngx_log_t *log);
static ngx_int_t im_store_key_check(im_table_t *table, im_key_t *key,
    ngx_uint_t stream);
static ngx_int_t im_store_range_check(im_ctx_t *ctx, im_table_e table,
    ngx_uint_t index, im_key_t *prefix, im_key_t *from, im_key_t *to);
static im_op_t *im_store_op(im_batch_t *batch, im_op_e type,
    im_table_e table, im_key_t *key);
static ngx_uint_t im_store_op_doc(im_batch_t *batch, im_op_e type,
    im_table_e table, im_key_t *key, im_doc_t *doc);
static ngx_int_t im_store_batch_check(im_ctx_t *ctx, im_batch_t *batch);


im_worker_hook_t  im_store_hook = {
    ngx_string("store"),
    im_store_init_conf,                    /* init conf */
    im_store_init_module,                  /* init module */
    im_store_init_process,                 /* init process */
    im_store_exit_process                  /* exit process */
};


static im_store_driver_t  *im_store_drivers[] = {
    &im_lmdb_driver,
    &im_mongo_driver,
    NULL
};

static im_store_driver_t  *im_store;


/* what may be done to a kind of table */

static ngx_uint_t  im_store_kinds[] = {

    im_store_bit(IM_OP_INSERT)|im_store_bit(IM_OP_REPLACE)
    |im_store_bit(IM_OP_UPSERT)|im_store_bit(IM_OP_DELETE)
    |im_store_bit(IM_OP_EXPECT),

    im_store_bit(IM_OP_INSERT)|im_store_bit(IM_OP_SET)
    |im_store_bit(IM_OP_ADD)|im_store_bit(IM_OP_MAX)
    |im_store_bit(IM_OP_DELETE)|im_store_bit(IM_OP_EXPECT),

    im_store_bit(IM_OP_APPEND)|im_store_bit(IM_OP_INSERT)
    |im_store_bit(IM_OP_SET)|im_store_bit(IM_OP_DELETE)
    |im_store_bit(IM_OP_EXPECT)|im_store_bit(IM_OP_DROP)
};


static ngx_int_t
im_store_init_conf(ngx_conf_t *cf, im_conf_t *conf)
{
    im_store_driver_t  *driver;

    driver = im_store_choose(conf, cf->log);

    if (driver == NULL) {
        return NGX_ERROR;
    }

    return driver->init_conf ? driver->init_conf(cf, conf) : NGX_OK;
}


static ngx_int_t
im_store_init_module(ngx_cycle_t *cycle, im_conf_t *conf)
{
    im_store = im_store_choose(conf, cycle->log);

    return im_store ? im_store->init_module(cycle, conf) : NGX_ERROR;
}


static ngx_int_t
im_store_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    im_store = im_store_choose(conf, cycle->log);

    return im_store ? im_store->init_process(cycle, conf) : NGX_ERROR;
}


static void
im_store_exit_process(ngx_cycle_t *cycle)
{
    im_store->exit_process(cycle);
}


static im_store_driver_t *
im_store_choose(im_conf_t *conf, ngx_log_t *log)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    for (i = 0; im_store_drivers[i]; i++) {
        name = &im_store_drivers[i]->name;

        if (conf->store.driver.len == name->len
            && ngx_strncmp(conf->store.driver.data, name->data, name->len)
               == 0)
        {
            return im_store_drivers[i];
        }
    }

    ngx_log_error(NGX_LOG_EMERG, log, 0,
                  "unknown store \"%V\"", &conf->store.driver);

    return NULL;
}


/* A whole key of the table, or all but its last column. */

static ngx_int_t
im_store_key_check(im_table_t *table, im_key_t *key, ngx_uint_t stream)
{
    u_char       *p, *end;
    int64_t       n;
    ngx_int_t     rc;
    ngx_str_t     s;
    im_column_t  *col;

    if (key->invalid || key->len < 8) {
        return NGX_ERROR;
    }

    p = key->data + 8;
    end = key->data + key->len;

    for (col = table->key; col->name; col++) {

        if (stream && col[1].name == NULL) {
            break;
        }

        rc = (col->type == IM_COL_STR) ? im_key_get_str(&p, end, &s)
                                       : im_key_get_int(&p, end, &n);
        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return (p == end) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
im_store_get(im_ctx_t *ctx, im_table_e table, im_key_t *key, im_row_t *row)
{
    ngx_int_t  rc;

    rc = im_store_get_many(ctx, table, key, 1, row);

    if (rc == NGX_OK && row->data.data == NULL) {
        return NGX_DECLINED;
    }

    return rc;
}


ngx_int_t
im_store_get_many(im_ctx_t *ctx, im_table_e table, im_key_t *keys,
    ngx_uint_t n, im_row_t *rows)
{
    ngx_int_t    rc;
    ngx_uint_t   i, k;
    im_table_t  *t;

    t = &im_tables[table];

    if (n > IM_STORE_GET_MAX) {
        ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                      "%ui keys of table \"%s\"", n, t->name);
        return NGX_ERROR;
    }

    for (i = 0; i < n; i = k) {

        for (k = i; k < n && !keys[k].invalid; k++) { /* void */ }

        rc = (k > i) ? im_store->get_many(ctx, t, &keys[i], k - i, &rows[i])
                     : NGX_OK;
        if (rc != NGX_OK) {
            return rc;
        }

        if (k < n) {

            /* no row can have such a key */

            ngx_memzero(&rows[k], sizeof(im_row_t));
            rows[k].table = t;
            k++;
        }
    }

    for (i = 0; i < n; i++) {
        if (rows[i].data.data && im_row_expired(&rows[i], ngx_time())) {
            ngx_str_null(&rows[i].data);
        }
    }

    return NGX_OK;
}


ngx_int_t
im_store_scan(im_ctx_t *ctx, im_table_e table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *from, im_key_t *to, ngx_uint_t order,
    ngx_uint_t limit, im_store_row_pt fn, void *data)
{
    ngx_int_t  rc;

    rc = im_store_range_check(ctx, table, index, prefix, from, to);
    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_OK : rc;
    }

    limit = ngx_min(limit, IM_STORE_SCAN_MAX);

    return im_store->scan(ctx, &im_tables[table], index, prefix, from, to,
                          order, limit, fn, data);
}


ngx_int_t
im_store_count(im_ctx_t *ctx, im_table_e table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *from, im_key_t *to, int64_t set,
    int64_t clear, ngx_uint_t cap, ngx_uint_t *n)
{
    ngx_int_t  rc;

    *n = 0;

    rc = im_store_range_check(ctx, table, index, prefix, from, to);
    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_OK : rc;
    }

    return im_store->count(ctx, &im_tables[table], index, prefix, from, to,
                           set, clear, cap, n);
}


ngx_int_t
im_store_last_each(im_ctx_t *ctx, im_table_e table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *after, int64_t clear, ngx_uint_t limit,
    im_store_row_pt fn, void *data)
{
    ngx_int_t  rc;

    rc = im_store_range_check(ctx, table, index, prefix, after, NULL);
    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_OK : rc;
    }

    limit = ngx_min(limit, IM_STORE_SCAN_MAX);

    return im_store->last_each(ctx, &im_tables[table], index, prefix, after,
                               clear, limit, fn, data);
}


/* NGX_DONE: the range is of a string that no key can have, so it is empty. */

static ngx_int_t
im_store_range_check(im_ctx_t *ctx, im_table_e table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *from, im_key_t *to)
{
    ngx_uint_t   i;
    im_index_t  *idx;

    if (prefix->invalid) {
        return NGX_DONE;
    }

    for (i = 0, idx = im_tables[table].index; idx[i].name; i++) { /* void */ }

    if (index > i
        || prefix->len < 8
        || (from && (from->invalid || from->len < prefix->len))
        || (to && (to->invalid || to->len < prefix->len)))
    {
        ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                      "invalid range of table \"%s\", index %ui",
                      im_tables[table].name, index);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
im_store_head(im_ctx_t *ctx, im_table_e table, im_key_t *stream,
    int64_t *seq)
{
    im_table_t  *t;

    *seq = 0;
    t = &im_tables[table];

    if (t->kind != IM_STREAM || im_store_key_check(t, stream, 1) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                      "invalid stream of table \"%s\"", t->name);
        return NGX_ERROR;
    }

    return im_store->head(ctx, t, stream, seq);
}


im_batch_t *
im_store_batch(im_ctx_t *ctx, ngx_uint_t mode)
{
    im_batch_t  *batch;

    batch = ngx_pcalloc(ctx->pool, sizeof(im_batch_t));
    if (batch == NULL) {
        return NULL;
    }

    batch->mode = mode;
    batch->pool = ctx->pool;

    return batch;
}


static im_op_t *
im_store_op(im_batch_t *batch, im_op_e type, im_table_e table, im_key_t *key)
{
    size_t      size;
    im_op_t    *op;
    ngx_uint_t  n;

    if (batch == NULL) {
        return NULL;
    }

    if (batch->n == batch->nalloc) {
        n = batch->nalloc ? 2 * batch->nalloc : 8;

        op = ngx_palloc(batch->pool, n * sizeof(im_op_t));
        if (op == NULL) {
            batch->invalid = 1;
            return NULL;
        }

        if (batch->n) {
            ngx_memcpy(op, batch->ops, batch->n * sizeof(im_op_t));
        }

        batch->ops = op;
        batch->nalloc = n;
    }

    op = &batch->ops[batch->n];
    ngx_memzero(op, sizeof(im_op_t));

    op->type = type;
    op->table = &im_tables[table];

    if (!(im_store_kinds[op->table->kind] & im_store_bit(type))
        || im_store_key_check(op->table, key, type == IM_OP_APPEND
                                              || type == IM_OP_DROP)
           != NGX_OK
        || (type == IM_OP_DROP && batch->mode != IM_ORDERED))
    {
        batch->invalid = 1;
    }

    size = offsetof(im_key_t, data) + key->len;

    op->key = ngx_palloc(batch->pool, size);
    if (op->key == NULL) {
        batch->invalid = 1;
        return NULL;
    }

    ngx_memcpy(op->key, key, size);

    batch->n++;

    return op;
}


static ngx_uint_t
im_store_op_doc(im_batch_t *batch, im_op_e type, im_table_e table,
    im_key_t *key, im_doc_t *doc)
{
    im_op_t  *op;

    op = im_store_op(batch, type, table, key);
    if (op == NULL) {
        return 0;
    }

    op->doc = doc;

    return batch->n - 1;
}


ngx_uint_t
im_store_insert(im_batch_t *batch, im_table_e table, im_key_t *key,
    im_doc_t *doc)
{
    return im_store_op_doc(batch, IM_OP_INSERT, table, key, doc);
}


ngx_uint_t
im_store_replace(im_batch_t *batch, im_table_e table, im_key_t *key,
    int64_t version, im_doc_t *doc)
{
    im_op_t  *op;

    op = im_store_op(batch, IM_OP_REPLACE, table, key);
    if (op == NULL) {
        return 0;
    }

    op->version = version;
    op->doc = doc;

    return batch->n - 1;
}


ngx_uint_t
im_store_upsert(im_batch_t *batch, im_table_e table, im_key_t *key,
    im_doc_t *doc)
{
    return im_store_op_doc(batch, IM_OP_UPSERT, table, key, doc);
}


ngx_uint_t
im_store_delete(im_batch_t *batch, im_table_e table, im_key_t *key)
{
    return im_store_op_doc(batch, IM_OP_DELETE, table, key, NULL);
}


ngx_int_t
im_store_delete_row(im_row_t *row, void *data)
{
    im_store_rows_t  *rows = data;

    im_key_t  key;

    key.invalid = 0;
    key.len = row->key.len;
    ngx_memcpy(key.data, row->key.data, key.len);

    im_store_delete(rows->batch, row->table->id, &key);
    rows->n++;

    return NGX_OK;
}


ngx_uint_t
im_store_set(im_batch_t *batch, im_table_e table, im_key_t *key,
    im_doc_t *doc)
{
    return im_store_op_doc(batch, IM_OP_SET, table, key, doc);
}


ngx_uint_t
im_store_add(im_batch_t *batch, im_table_e table, im_key_t *key,
    const char *column, int64_t delta, int64_t min, int64_t max)
{
    im_op_t  *op;

    op = im_store_op(batch, IM_OP_ADD, table, key);
    if (op == NULL) {
        return 0;
    }

    op->column = column;
    op->value = delta;
    op->min = min;
    op->max = max;

    return batch->n - 1;
}


ngx_uint_t
im_store_max(im_batch_t *batch, im_table_e table, im_key_t *key,
    const char *column, int64_t value)
{
    im_op_t  *op;

    op = im_store_op(batch, IM_OP_MAX, table, key);
    if (op == NULL) {
        return 0;
    }

    op->column = column;
    op->value = value;

    return batch->n - 1;
}


ngx_uint_t
im_store_expect(im_batch_t *batch, im_table_e table, im_key_t *key,
    int64_t version)
{
    im_op_t  *op;

    op = im_store_op(batch, IM_OP_EXPECT, table, key);
    if (op == NULL) {
        return 0;
    }

    op->version = version;

    return batch->n - 1;
}


ngx_uint_t
im_store_append(im_batch_t *batch, im_table_e table, im_key_t *stream,
    im_doc_t *doc)
{
    return im_store_op_doc(batch, IM_OP_APPEND, table, stream, doc);
}


ngx_uint_t
im_store_drop(im_batch_t *batch, im_table_e table, im_key_t *stream)
{
    return im_store_op_doc(batch, IM_OP_DROP, table, stream, NULL);
}


void
im_store_point(im_batch_t *batch, ngx_uint_t op)
{
    if (batch) {
        batch->point = op;
    }
}


void
im_store_lane(im_batch_t *batch, im_lane_t *lane)
{
    if (batch) {
        batch->lane = lane;
    }
}


ngx_int_t
im_store_commit(im_ctx_t *ctx, im_batch_t *batch)
{
    if (im_store_batch_check(ctx, batch) != NGX_OK) {
        return NGX_ERROR;
    }

    batch->failed = 0;
    batch->taken = NULL;

    if (batch->n == 0) {
        return NGX_OK;
    }

    return im_store->commit(ctx, batch);
}


static ngx_int_t
im_store_batch_check(im_ctx_t *ctx, im_batch_t *batch)
{
    im_op_t     *op;
    ngx_str_t    data;
    ngx_uint_t   i;

    if (batch == NULL || batch->invalid) {
        ngx_log_error(NGX_LOG_ERR, ctx->log, 0, "invalid batch to the store");
        return NGX_ERROR;
    }

    for (i = 0; i < batch->n; i++) {
        op = &batch->ops[i];

        switch (op->type) {

        case IM_OP_INSERT:
        case IM_OP_REPLACE:
        case IM_OP_UPSERT:
        case IM_OP_SET:
        case IM_OP_APPEND:

            if (im_doc_data(op->doc, &data) != NGX_OK) {
                ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                              "incomplete document to table \"%s\"",
                              op->table->name);
                return NGX_ERROR;
            }

            break;

        default:
            break;
        }
    }

    return NGX_OK;
}


void
im_store_stat(im_store_stat_t *stat)
{
    ngx_memzero(stat, sizeof(im_store_stat_t));

    if (im_store) {
        im_store->stat(stat);
    }
}
