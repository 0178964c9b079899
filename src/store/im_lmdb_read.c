
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_lmdb.h"


/*
 * Reading runs in the event loop, in one transaction that is renewed for each
 * call and never held over a wait.
 */


#define IM_LMDB_LOOKED  65536        /* entries that one call looks at */
#define IM_LMDB_PEEK    16           /* rows that last_each looks at */


typedef struct {
    MDB_cursor        *cursor;
    MDB_val            key;
    MDB_val            val;
    ngx_uint_t         order;
    ngx_uint_t         looked;
    im_key_t           low;
    im_key_t           high;
} im_lmdb_range_t;


static ngx_int_t im_lmdb_begin(ngx_log_t *log);
static void im_lmdb_end(void);
static ngx_int_t im_lmdb_failed(ngx_log_t *log, int err, const char *call);
static ngx_int_t im_lmdb_hand(im_ctx_t *ctx, im_row_t *row,
    im_store_row_pt fn, void *data);
static int im_lmdb_last_row(im_table_t *table, ngx_uint_t index,
    im_lmdb_range_t *range, int64_t clear, im_row_t *row);
static int im_lmdb_range(im_table_t *table, ngx_uint_t index, im_key_t *low,
    im_key_t *high, ngx_uint_t order, im_lmdb_range_t *range);
static int im_lmdb_range_next(im_lmdb_range_t *range);
static int im_lmdb_range_end(im_lmdb_range_t *range);
static ngx_int_t im_lmdb_cmp(MDB_val *one, im_key_t *two);
static int im_lmdb_range_row(im_table_t *table, ngx_uint_t index,
    im_lmdb_range_t *range, im_row_t *row);
static ngx_int_t im_lmdb_value(im_table_t *table, ngx_uint_t index,
    im_key_t *prefix, MDB_val *key, im_key_t *value);
static int64_t im_lmdb_flags(MDB_val *val, int64_t *expire);
static ngx_int_t im_lmdb_copy_row(ngx_pool_t *pool, im_row_t *dst,
    im_row_t *src);


static ngx_uint_t  im_lmdb_depth;          /* of reads within a callback */


static ngx_int_t
im_lmdb_begin(ngx_log_t *log)
{
    int  err;

    static ngx_uint_t  resized;

    if (im_lmdb_depth) {
        im_lmdb_depth++;
        return NGX_OK;
    }

    err = mdb_txn_renew(im_lmdb.txn);

    if (err == 0) {
        im_lmdb_depth = 1;
        return NGX_OK;
    }

    if (err == MDB_MAP_RESIZED) {

        if (!resized) {
            resized = 1;
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "\"%V\" has outgrown the size that this worker "
                          "knows, it answers no more", &im_lmdb.name);
        }

        return NGX_BUSY;
    }

    im_lmdb_error(log, err, "mdb_txn_renew()");

    return NGX_ERROR;
}


static void
im_lmdb_end(void)
{
    if (--im_lmdb_depth == 0) {
        mdb_txn_reset(im_lmdb.txn);
    }
}


static ngx_int_t
im_lmdb_failed(ngx_log_t *log, int err, const char *call)
{
    im_lmdb_error(log, err, call);

    return NGX_ERROR;
}


ngx_int_t
im_lmdb_get_many(im_ctx_t *ctx, im_table_t *table, im_key_t *keys,
    ngx_uint_t n, im_row_t *rows)
{
    int         err;
    MDB_val     key, val;
    im_row_t    row;
    ngx_int_t   rc;
    ngx_uint_t  i;

    rc = im_lmdb_begin(ctx->log);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        ngx_memzero(&rows[i], sizeof(im_row_t));
        rows[i].table = table;

        key.mv_data = keys[i].data;
        key.mv_size = keys[i].len;

        err = mdb_get(im_lmdb.txn, im_lmdb.tables[table->id].rows, &key,
                      &val);

        if (err == MDB_NOTFOUND) {
            continue;
        }

        if (err == 0) {
            err = im_lmdb_row(table, &key, &val, &row);
        }

        if (err != 0) {
            rc = im_lmdb_failed(ctx->log, err, "mdb_get()");
            break;
        }

        rc = im_lmdb_copy_row(ctx->pool, &rows[i], &row);
        if (rc != NGX_OK) {
            break;
        }
    }

    im_lmdb_end();

    return rc;
}


ngx_int_t
im_lmdb_scan(im_ctx_t *ctx, im_table_t *table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *from, im_key_t *to, ngx_uint_t order,
    ngx_uint_t limit, im_store_row_pt fn, void *data)
{
    int               err;
    im_row_t          row;
    ngx_int_t         rc;
    im_lmdb_range_t   range;

    rc = im_lmdb_begin(ctx->log);
    if (rc != NGX_OK) {
        return rc;
    }

    err = im_lmdb_range(table, index, from ? from : prefix, to ? to : prefix,
                        order, &range);

    while (err == 0 && limit) {

        err = im_lmdb_range_row(table, index, &range, &row);

        if (err == 0 && !im_row_expired(&row, ngx_time())) {
            limit--;

            rc = im_lmdb_hand(ctx, &row, fn, data);
            if (rc != NGX_OK) {
                break;
            }

        } else if (err != 0 && err != MDB_NOTFOUND) {
            break;
        }

        if (limit) {
            err = im_lmdb_range_next(&range);
        }
    }

    if (range.cursor) {
        mdb_cursor_close(range.cursor);
    }

    im_lmdb_end();

    if (err == 0 || err == MDB_NOTFOUND) {
        return (rc == NGX_DONE) ? NGX_OK : rc;
    }

    if (err == IM_LMDB_DECLINED) {
        return NGX_BUSY;
    }

    return im_lmdb_failed(ctx->log, err, "reading");
}


/* A copy of the row; answers what fn does. */

static ngx_int_t
im_lmdb_hand(im_ctx_t *ctx, im_row_t *row, im_store_row_pt fn, void *data)
{
    im_row_t  *copy;

    copy = ngx_palloc(ctx->pool, sizeof(im_row_t));

    if (copy == NULL || im_lmdb_copy_row(ctx->pool, copy, row) != NGX_OK) {
        return NGX_ERROR;
    }

    return fn(copy, data);
}


ngx_int_t
im_lmdb_count(im_ctx_t *ctx, im_table_t *table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *from, im_key_t *to, int64_t set,
    int64_t clear, ngx_uint_t cap, ngx_uint_t *n)
{
    int               err;
    int64_t           flags, expire;
    im_row_t          row;
    ngx_int_t         rc;
    im_index_t       *idx;
    im_lmdb_range_t   range;

    idx = index ? &table->index[index - 1] : NULL;

    rc = im_lmdb_begin(ctx->log);
    if (rc != NGX_OK) {
        return rc;
    }

    err = im_lmdb_range(table, index, from ? from : prefix, to ? to : prefix,
                        IM_ASC, &range);

    while (err == 0 && *n < cap) {

        if (idx && (idx->flags & IM_INDEX_FLAGS)) {
            flags = im_lmdb_flags(&range.val, &expire);

        } else {
            err = im_lmdb_range_row(table, index, &range, &row);

            if (err == MDB_NOTFOUND) {
                err = im_lmdb_range_next(&range);
                continue;
            }

            if (err != 0) {
                break;
            }

            (void) im_row_int(&row, "flags", &flags);
            (void) im_row_int(&row, "expire", &expire);
        }

        if ((flags & set) == set
            && (flags & clear) == 0
            && (expire <= 0 || expire > (int64_t) ngx_time()))
        {
            (*n)++;
        }

        err = im_lmdb_range_next(&range);
    }

    if (range.cursor) {
        mdb_cursor_close(range.cursor);
    }

    im_lmdb_end();

    if (err == 0 || err == MDB_NOTFOUND || err == IM_LMDB_DECLINED) {
        return NGX_OK;
    }

    return im_lmdb_failed(ctx->log, err, "reading");
}


ngx_int_t
im_lmdb_last_each(im_ctx_t *ctx, im_table_t *table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *after, int64_t clear, ngx_uint_t limit,
    im_store_row_pt fn, void *data)
{
    int               err;
    im_key_t          low, value;
    im_row_t          row;
    ngx_int_t         rc;
    ngx_uint_t        looked;
    im_lmdb_range_t   range;

    rc = im_lmdb_begin(ctx->log);
    if (rc != NGX_OK) {
        return rc;
    }

    err = 0;
    low = *prefix;

    if (after) {
        low = *after;
        im_lmdb_after(&low);
    }

    for (looked = 0; limit && looked < IM_LMDB_LOOKED; looked++) {

        /* the next value */

        err = im_lmdb_range(table, index, &low, prefix, IM_ASC, &range);

        if (err == 0
            && im_lmdb_value(table, index, prefix, &range.key, &value)
               != NGX_OK)
        {
            err = MDB_CORRUPTED;
        }

        if (range.cursor) {
            mdb_cursor_close(range.cursor);
        }

        if (err != 0) {
            break;
        }

        /* its last row */

        err = im_lmdb_range(table, index, &value, &value, IM_DESC, &range);

        if (err == 0) {
            err = im_lmdb_last_row(table, index, &range, clear, &row);
        }

        if (range.cursor) {
            mdb_cursor_close(range.cursor);
        }

        if (err == 0) {
            limit--;

            rc = im_lmdb_hand(ctx, &row, fn, data);
            if (rc != NGX_OK) {
                break;
            }

        } else if (err != MDB_NOTFOUND) {
            break;
        }

        err = 0;
        low = value;
        im_lmdb_after(&low);
    }

    im_lmdb_end();

    if (err == 0 || err == MDB_NOTFOUND) {
        return (rc == NGX_DONE) ? NGX_OK : rc;
    }

    return im_lmdb_failed(ctx->log, err, "reading");
}


/* The row stays valid after its cursor: the transaction goes on. */

static int
im_lmdb_last_row(im_table_t *table, ngx_uint_t index, im_lmdb_range_t *range,
    int64_t clear, im_row_t *row)
{
    int          err;
    int64_t      flags;
    ngx_uint_t   i;

    err = 0;

    for (i = 0; i < IM_LMDB_PEEK && err == 0; i++) {

        err = im_lmdb_range_row(table, index, range, row);

        if (err == 0) {
            (void) im_row_int(row, "flags", &flags);

            if ((flags & clear) == 0 && !im_row_expired(row, ngx_time())) {
                return 0;
            }

        } else if (err != MDB_NOTFOUND) {
            return err;
        }

        err = im_lmdb_range_next(range);
    }

    return err ? err : MDB_NOTFOUND;
}


ngx_int_t
im_lmdb_head(im_ctx_t *ctx, im_table_t *table, im_key_t *stream,
    int64_t *seq)
{
    int        err;
    ngx_int_t  rc;

    rc = im_lmdb_begin(ctx->log);
    if (rc != NGX_OK) {
        return rc;
    }

    err = im_lmdb_tail(im_lmdb.txn, table, stream, seq);

    im_lmdb_end();

    return err ? im_lmdb_failed(ctx->log, err, "reading") : NGX_OK;
}


int
im_lmdb_row(im_table_t *table, MDB_val *key, MDB_val *val, im_row_t *row)
{
    row->table = table;
    row->key.data = key->mv_data;
    row->key.len = key->mv_size;
    row->data.data = val->mv_data;
    row->data.len = val->mv_size;
    row->version = 0;

    if (table->kind == IM_VERSIONED) {

        if (row->data.len < sizeof(int64_t)) {
            return MDB_CORRUPTED;
        }

        ngx_memcpy(&row->version, row->data.data, sizeof(int64_t));

        row->data.data += sizeof(int64_t);
        row->data.len -= sizeof(int64_t);
    }

    return (row->data.len < 5) ? MDB_CORRUPTED : 0;
}


int
im_lmdb_index_key(im_table_t *table, im_index_t *index, im_row_t *row,
    im_key_t *key)
{
    u_char       *p, *end;
    int64_t       n;
    ngx_str_t     s;
    im_column_t  *col, *other;

    if (row->key.len < 8) {
        return IM_LMDB_KEY;
    }

    key->len = 8;
    key->invalid = 0;
    ngx_memcpy(key->data, row->key.data, 8);

    for (col = index->columns; col->name; col++) {

        if (col->type == IM_COL_STR) {
            (void) im_row_str(row, col->name, &s);
            n = s.len;

        } else {
            (void) im_row_int(row, col->name, &n);
        }

        if (n == 0
            && col[1].name == NULL
            && (index->flags & IM_INDEX_SPARSE))
        {
            return IM_LMDB_DECLINED;
        }

        if (col->type == IM_COL_STR) {
            im_key_str(key, &s);

        } else {
            im_key_int(key, n);
        }
    }

    if (!(index->flags & IM_INDEX_UNIQUE)) {

        /* the columns of the primary key that are not in it yet */

        p = row->key.data + 8;
        end = row->key.data + row->key.len;

        for (col = table->key; col->name; col++) {

            if (((col->type == IM_COL_STR) ? im_key_get_str(&p, end, &s)
                                           : im_key_get_int(&p, end, &n))
                != NGX_OK)
            {
                return IM_LMDB_KEY;
            }

            for (other = index->columns; other->name; other++) {
                if (ngx_strcmp(other->name, col->name) == 0) {
                    break;
                }
            }

            if (other->name) {
                continue;
            }

            if (col->type == IM_COL_STR) {
                im_key_str(key, &s);

            } else {
                im_key_int(key, n);
            }
        }
    }

    return key->invalid ? IM_LMDB_KEY : 0;
}


int
im_lmdb_tail(MDB_txn *txn, im_table_t *table, im_key_t *stream, int64_t *seq)
{
    int          err;
    u_char      *p;
    int64_t      head;
    MDB_val      key, val;
    im_key_t     last;
    MDB_cursor  *cursor;

    *seq = 0;

    if (stream->len + 8 > IM_KEY_LEN) {
        return IM_LMDB_KEY;
    }

    err = mdb_cursor_open(txn, im_lmdb.tables[table->id].rows, &cursor);
    if (err != 0) {
        return err;
    }

    ngx_memcpy(last.data, stream->data, stream->len);
    ngx_memset(last.data + stream->len, 0xff, 8);

    key.mv_data = last.data;
    key.mv_size = stream->len + 8;

    err = mdb_cursor_get(cursor, &key, &val, MDB_SET_RANGE);

    if (err == 0) {
        err = mdb_cursor_get(cursor, &key, &val, MDB_PREV);

    } else if (err == MDB_NOTFOUND) {
        err = mdb_cursor_get(cursor, &key, &val, MDB_LAST);
    }

    if (err == 0
        && key.mv_size == stream->len + 8
        && ngx_memcmp(key.mv_data, stream->data, stream->len) == 0)
    {
        p = (u_char *) key.mv_data + stream->len;
        (void) im_key_get_int(&p, p + 8, seq);
    }

    mdb_cursor_close(cursor);

    if (err != 0 && err != MDB_NOTFOUND) {
        return err;
    }

    key.mv_data = stream->data;
    key.mv_size = stream->len;

    err = mdb_get(txn, im_lmdb.tables[table->id].head, &key, &val);

    if (err == 0 && val.mv_size == sizeof(int64_t)) {
        ngx_memcpy(&head, val.mv_data, sizeof(int64_t));
        *seq = ngx_max(*seq, head);
    }

    return (err == MDB_NOTFOUND) ? 0 : err;
}


int
im_lmdb_seek(MDB_txn *txn, MDB_dbi dbi, im_key_t *low, im_key_t *found,
    MDB_val *val)
{
    int          err;
    MDB_val      key;
    MDB_cursor  *cursor;

    err = mdb_cursor_open(txn, dbi, &cursor);
    if (err != 0) {
        return err;
    }

    key.mv_data = low->data;
    key.mv_size = low->len;

    err = mdb_cursor_get(cursor, &key, val, MDB_SET_RANGE);

    if (err == 0) {
        found->invalid = 0;
        found->len = key.mv_size;
        ngx_memcpy(found->data, key.mv_data, key.mv_size);
    }

    mdb_cursor_close(cursor);

    return err;
}


void
im_lmdb_after(im_key_t *key)
{
    while (key->len && key->data[key->len - 1] == 0xff) {
        key->len--;
    }

    if (key->len) {
        key->data[key->len - 1]++;
    }
}


/*
 * Goes to the first (or, backwards, the last) entry that is not below low,
 * and not above high or begins with it.  MDB_NOTFOUND: there is none.
 */

static int
im_lmdb_range(im_table_t *table, ngx_uint_t index, im_key_t *low,
    im_key_t *high, ngx_uint_t order, im_lmdb_range_t *range)
{
    int              err;
    MDB_dbi          dbi;
    im_lmdb_table_t  *t;

    t = &im_lmdb.tables[table->id];
    dbi = index ? t->index[index - 1] : t->rows;

    range->cursor = NULL;
    range->order = order;
    range->looked = 0;
    range->low = *low;
    range->high = *high;

    im_lmdb_after(&range->high);

    err = mdb_cursor_open(im_lmdb.txn, dbi, &range->cursor);
    if (err != 0) {
        range->cursor = NULL;
        return err;
    }

    if (order == IM_ASC) {
        range->key.mv_data = range->low.data;
        range->key.mv_size = range->low.len;

        err = mdb_cursor_get(range->cursor, &range->key, &range->val,
                             MDB_SET_RANGE);

    } else {
        range->key.mv_data = range->high.data;
        range->key.mv_size = range->high.len;

        err = mdb_cursor_get(range->cursor, &range->key, &range->val,
                             MDB_SET_RANGE);

        if (err == 0 || err == MDB_NOTFOUND) {
            err = mdb_cursor_get(range->cursor, &range->key, &range->val,
                                 (err == 0) ? MDB_PREV : MDB_LAST);
        }
    }

    return (err == 0) ? im_lmdb_range_end(range) : err;
}


static int
im_lmdb_range_next(im_lmdb_range_t *range)
{
    int  err;

    if (++range->looked == IM_LMDB_LOOKED) {
        return IM_LMDB_DECLINED;
    }

    err = mdb_cursor_get(range->cursor, &range->key, &range->val,
                         (range->order == IM_ASC) ? MDB_NEXT : MDB_PREV);

    return (err == 0) ? im_lmdb_range_end(range) : err;
}


static int
im_lmdb_range_end(im_lmdb_range_t *range)
{
    if (range->order == IM_ASC) {
        return (im_lmdb_cmp(&range->key, &range->high) < 0) ? 0
                                                            : MDB_NOTFOUND;
    }

    return (im_lmdb_cmp(&range->key, &range->low) >= 0) ? 0 : MDB_NOTFOUND;
}


static ngx_int_t
im_lmdb_cmp(MDB_val *one, im_key_t *two)
{
    ngx_int_t  rc;

    rc = ngx_memcmp(one->mv_data, two->data, ngx_min(one->mv_size, two->len));

    return rc ? rc : (ngx_int_t) one->mv_size - (ngx_int_t) two->len;
}


/* The row of the entry; MDB_NOTFOUND: an index entry without a row. */

static int
im_lmdb_range_row(im_table_t *table, ngx_uint_t index, im_lmdb_range_t *range,
    im_row_t *row)
{
    int      err;
    size_t   skip;
    MDB_val  key, val;

    if (index == 0) {
        return im_lmdb_row(table, &range->key, &range->val, row);
    }

    skip = (table->index[index - 1].flags & IM_INDEX_FLAGS) ? IM_LMDB_FLAGS
                                                            : 0;
    if (range->val.mv_size <= skip) {
        return MDB_CORRUPTED;
    }

    key.mv_data = (u_char *) range->val.mv_data + skip;
    key.mv_size = range->val.mv_size - skip;

    err = mdb_get(im_lmdb.txn, im_lmdb.tables[table->id].rows, &key, &val);
    if (err != 0) {
        return err;
    }

    return im_lmdb_row(table, &key, &val, row);
}


/* Prefix and the next column of the key. */

static ngx_int_t
im_lmdb_value(im_table_t *table, ngx_uint_t index, im_key_t *prefix,
    MDB_val *key, im_key_t *value)
{
    u_char       *p, *start, *end;
    int64_t       n;
    ngx_str_t     s;
    im_column_t  *col;

    start = key->mv_data;
    end = start + key->mv_size;
    p = start + 8;

    col = index ? table->index[index - 1].columns : table->key;

    for ( /* void */ ; col->name; col++) {

        if (((col->type == IM_COL_STR) ? im_key_get_str(&p, end, &s)
                                       : im_key_get_int(&p, end, &n))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if ((size_t) (p - start) > prefix->len) {
            value->invalid = 0;
            value->len = p - start;
            ngx_memcpy(value->data, start, value->len);

            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


static int64_t
im_lmdb_flags(MDB_val *val, int64_t *expire)
{
    int64_t  flags;

    flags = 0;
    *expire = 0;

    if (val->mv_size > IM_LMDB_FLAGS) {
        ngx_memcpy(&flags, val->mv_data, sizeof(int64_t));
        ngx_memcpy(expire, (u_char *) val->mv_data + sizeof(int64_t),
                   sizeof(int64_t));
    }

    return flags;
}


static ngx_int_t
im_lmdb_copy_row(ngx_pool_t *pool, im_row_t *dst, im_row_t *src)
{
    u_char  *p;

    p = ngx_pnalloc(pool, src->key.len + src->data.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *dst = *src;

    dst->key.data = p;
    p = ngx_cpymem(p, src->key.data, src->key.len);

    dst->data.data = p;
    ngx_memcpy(p, src->data.data, src->data.len);

    return NGX_OK;
}
