
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_outbox_row.h"


#define IM_OUTBOX_BYTES   (1024 * 1024)
#define IM_OUTBOX_ID      16         /* bytes */


typedef struct {
    ngx_array_t       *rows;
    size_t             bytes;
} im_outbox_scan_t;


static ngx_int_t im_outbox_row_scan(im_row_t *row, void *data);
static ngx_int_t im_outbox_row_bit(im_row_t *row, void *data);
static void im_outbox_row_key(im_ctx_t *ctx, ngx_uint_t shard,
    im_key_t *key);


static im_record_t  im_outbox_record[] = {
    { ngx_string("shard"), IM_COL_INT, offsetof(im_outbox_row_t, shard) },
    { ngx_string("seq"), IM_COL_INT, offsetof(im_outbox_row_t, seq) },
    { ngx_string("command"), IM_COL_STR, offsetof(im_outbox_row_t, command) },
    { ngx_string("body"), IM_COL_STR, offsetof(im_outbox_row_t, body) },
    { ngx_string("ip"), IM_COL_STR, offsetof(im_outbox_row_t, ip) },
    { ngx_string("plat"), IM_COL_STR, offsetof(im_outbox_row_t, platform) },
    { ngx_string("id"), IM_COL_STR, offsetof(im_outbox_row_t, id) },
    { ngx_string("dk"), IM_COL_STR, offsetof(im_outbox_row_t, dk) },
    { ngx_string("unread"), IM_COL_STR, offsetof(im_outbox_row_t, unread) },
    { ngx_string("gno"), IM_COL_INT, offsetof(im_outbox_row_t, gno) },
    { ngx_string("time"), IM_COL_INT, offsetof(im_outbox_row_t, time) },
      im_null_record
};


ngx_uint_t
im_outbox_shard(ngx_str_t *lane)
{
    return ngx_murmur_hash2(lane->data, lane->len) % IM_OUTBOX_SHARDS;
}


void
im_outbox_row_add(im_ctx_t *ctx, im_batch_t *batch, im_outbox_row_t *row)
{
    u_char      id[2 * IM_OUTBOX_ID];
    im_key_t    key;
    im_doc_t   *doc;
    ngx_uint_t  i;

    for (i = 0; i < 4; i++) {
        (void) ngx_sprintf(id + 8 * i, "%08xD", (uint32_t) ngx_random()
                                                ^ (uint32_t) ngx_random() << 9);
    }

    row->id.data = id;
    row->id.len = sizeof(id);
    row->time = ngx_time();

    doc = im_record_doc(ctx->pool, im_outbox_record, row);

    ngx_str_null(&row->id);

    im_outbox_row_key(ctx, row->shard, &key);

    (void) im_store_append(batch, IM_T_OUTBOX, &key, doc);

    /* a prefix of the batch without it would be an event that is lost */

    if (batch) {
        batch->mode = IM_ATOMIC;
    }
}


ngx_int_t
im_outbox_row_list(im_ctx_t *ctx, ngx_uint_t shard, ngx_array_t *rows)
{
    im_key_t           prefix;
    ngx_int_t          rc;
    im_outbox_scan_t   scan;

    if (ngx_array_init(rows, ctx->pool, IM_OUTBOX_ROWS,
                       sizeof(im_outbox_row_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    scan.rows = rows;
    scan.bytes = 0;

    im_outbox_row_key(ctx, shard, &prefix);

    rc = im_store_scan(ctx, IM_T_OUTBOX, 0, &prefix, NULL, NULL, IM_ASC,
                       IM_OUTBOX_ROWS, im_outbox_row_scan, &scan);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_outbox_row_scan(im_row_t *row, void *data)
{
    im_outbox_scan_t  *scan = data;

    im_outbox_row_t  *r;

    r = ngx_array_push(scan->rows);
    if (r == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(r, sizeof(im_outbox_row_t));

    im_record_load(row, im_outbox_record, r);

    scan->bytes += row->data.len;

    return (scan->bytes < IM_OUTBOX_BYTES) ? NGX_OK : NGX_DONE;
}


/* Rows go from the front only, so their numbers tell how many there are. */

ngx_int_t
im_outbox_row_count(im_ctx_t *ctx, ngx_uint_t shard, int64_t first,
    int64_t *n)
{
    int64_t    head;
    im_key_t   stream;
    ngx_int_t  rc;

    im_outbox_row_key(ctx, shard, &stream);

    rc = im_store_head(ctx, IM_T_OUTBOX, &stream, &head);

    *n = head - first + 1;

    return rc;
}


ngx_int_t
im_outbox_row_remove(im_ctx_t *ctx, ngx_uint_t shard, int64_t first,
    ngx_uint_t n)
{
    im_key_t     key;
    ngx_uint_t   i;
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ORDERED);

    for (i = 0; i < n; i++) {
        im_outbox_row_key(ctx, shard, &key);
        im_key_int(&key, first + i);

        (void) im_store_delete(batch, IM_T_OUTBOX, &key);
    }

    return im_store_commit(ctx, batch);
}


ngx_int_t
im_outbox_row_shards(im_ctx_t *ctx, uint64_t *shards)
{
    im_key_t   prefix;
    ngx_int_t  rc;

    *shards = 0;

    im_key_init(&prefix, ctx->app->id);

    rc = im_store_last_each(ctx, IM_T_OUTBOX, 0, &prefix, NULL, 0,
                            IM_OUTBOX_SHARDS, im_outbox_row_bit, shards);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_outbox_row_bit(im_row_t *row, void *data)
{
    uint64_t  *shards = data;

    int64_t  shard;

    if (im_row_int(row, "shard", &shard) == NGX_OK
        && shard >= 0 && shard < IM_OUTBOX_SHARDS)
    {
        *shards |= (uint64_t) 1 << shard;
    }

    return NGX_OK;
}


static void
im_outbox_row_key(im_ctx_t *ctx, ngx_uint_t shard, im_key_t *key)
{
    im_key_init(key, ctx->app->id);
    im_key_int(key, shard);
}
