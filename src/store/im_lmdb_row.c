
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <bson.h>
#include "store/im_lmdb_row.h"


static int im_lmdb_merge_set(bson_t *dst, ngx_str_t *old, ngx_str_t *set);
static int im_lmdb_put(im_lmdb_write_t *w, im_table_t *table, MDB_val *key,
    ngx_str_t *doc, ngx_uint_t fresh);
static int im_lmdb_old(im_lmdb_write_t *w, im_table_t *table, MDB_val *key,
    im_lmdb_buf_t *buf, im_row_t *old);
static int im_lmdb_drop(im_lmdb_write_t *w, im_op_t *op);
static int im_lmdb_copy(im_lmdb_buf_t *buf, u_char *data, size_t len,
    ngx_str_t *dst);


int
im_lmdb_fetch(im_lmdb_write_t *w, im_table_t *table, MDB_val *key,
    im_row_t *row)
{
    int      rc;
    MDB_val  val;

    rc = mdb_get(w->txn, im_lmdb.tables[table->id].rows, key, &val);
    if (rc != 0) {
        return rc;
    }

    rc = im_lmdb_row(table, key, &val, row);
    if (rc != 0) {
        return rc;
    }

    return im_row_expired(row, w->now) ? MDB_NOTFOUND : 0;
}


int
im_lmdb_append_key(im_op_t *op, im_key_t *key)
{
    key->invalid = 0;
    key->len = op->key->len;
    ngx_memcpy(key->data, op->key->data, key->len);

    im_key_int(key, op->result);

    return key->invalid ? IM_LMDB_KEY : 0;
}


int
im_lmdb_apply(im_lmdb_write_t *w, im_op_t *op)
{
    int        rc;
    int64_t    n;
    MDB_val    key;
    im_key_t   k;
    im_row_t   row;
    ngx_str_t  doc;

    (void) im_doc_data(op->doc, &doc);

    key.mv_data = op->key->data;
    key.mv_size = op->key->len;

    switch (op->type) {

    case IM_OP_INSERT:
        return im_lmdb_put(w, op->table, &key, &doc, 1);

    case IM_OP_REPLACE:
    case IM_OP_UPSERT:
        return im_lmdb_put(w, op->table, &key, &doc, 0);

    case IM_OP_APPEND:

        rc = im_lmdb_append_key(op, &k);
        if (rc != 0) {
            return rc;
        }

        key.mv_data = k.data;
        key.mv_size = k.len;

        return im_lmdb_put(w, op->table, &key, &doc, 1);

    case IM_OP_SET:
    case IM_OP_ADD:
    case IM_OP_MAX:

        rc = im_lmdb_fetch(w, op->table, &key, &row);

        if (rc == MDB_NOTFOUND) {
            ngx_str_null(&row.data);

        } else if (rc != 0) {
            return rc;

        } else if (op->type == IM_OP_MAX
                   && im_row_int(&row, op->column, &n) == NGX_OK
                   && n >= op->value)
        {
            return 0;
        }

        rc = im_lmdb_merge(w, op, &row, &doc);
        if (rc != 0) {
            return rc;
        }

        return im_lmdb_put(w, op->table, &key, &doc, 0);

    case IM_OP_DELETE:
        return im_lmdb_delete(w, op->table, &key, &w->old);

    case IM_OP_DROP:
        return im_lmdb_drop(w, op);

    default: /* IM_OP_EXPECT */
        return 0;
    }
}


int
im_lmdb_merge(im_lmdb_write_t *w, im_op_t *op, im_row_t *row, ngx_str_t *doc)
{
    int        rc;
    bson_t     dst, one;
    ngx_str_t  set;

    bson_init(&one);

    if (op->type == IM_OP_SET) {
        (void) im_doc_data(op->doc, &set);

    } else {
        if (!bson_append_int64(&one, op->column, -1, op->result)) {
            bson_destroy(&one);
            return ENOMEM;
        }

        set.data = (u_char *) bson_get_data(&one);
        set.len = one.len;
    }

    bson_init(&dst);

    rc = im_lmdb_merge_set(&dst, &row->data, &set);

    if (rc == 0) {
        rc = im_lmdb_copy(&w->new, (u_char *) bson_get_data(&dst), dst.len,
                          doc);
    }

    bson_destroy(&dst);
    bson_destroy(&one);

    return rc;
}


static int
im_lmdb_merge_set(bson_t *dst, ngx_str_t *old, ngx_str_t *set)
{
    bson_iter_t  iter, found;

    if (old->len) {
        if (!bson_iter_init_from_data(&iter, old->data, old->len)) {
            return MDB_CORRUPTED;
        }

        while (bson_iter_next(&iter)) {

            if (bson_iter_init_from_data(&found, set->data, set->len)
                && bson_iter_find(&found, bson_iter_key(&iter)))
            {
                continue;
            }

            if (!bson_append_iter(dst, NULL, 0, &iter)) {
                return ENOMEM;
            }
        }
    }

    if (!bson_iter_init_from_data(&iter, set->data, set->len)) {
        return MDB_CORRUPTED;
    }

    while (bson_iter_next(&iter)) {
        if (!bson_append_iter(dst, NULL, 0, &iter)) {
            return ENOMEM;
        }
    }

    return 0;
}


/* A fresh row is not expected to be there, unless it is expired. */

static int
im_lmdb_put(im_lmdb_write_t *w, im_table_t *table, MDB_val *key,
    ngx_str_t *doc, ngx_uint_t fresh)
{
    int        rc;
    u_char    *p;
    size_t     len;
    int64_t    version;
    MDB_dbi    dbi;
    MDB_val    val;
    im_row_t   row, old;

    dbi = im_lmdb.tables[table->id].rows;
    len = (table->kind == IM_VERSIONED) ? 8 : 0;
    old.table = NULL;

    if (!fresh && (table->ttl != IM_TTL_NONE || table->index[0].name)) {

        rc = im_lmdb_old(w, table, key, &w->old, &old);

        if (rc != 0 && rc != MDB_NOTFOUND) {
            return rc;
        }
    }

    for ( ;; ) {
        val.mv_size = len + doc->len;

        rc = mdb_put(w->txn, dbi, key, &val,
                     MDB_RESERVE | (fresh ? MDB_NOOVERWRITE : 0));

        if (rc != MDB_KEYEXIST) {
            break;
        }

        rc = im_lmdb_row(table, key, &val, &row);
        if (rc != 0) {
            return rc;
        }

        if (!im_row_expired(&row, w->now)) {
            return IM_LMDB_CONFLICT;
        }

        rc = im_lmdb_delete(w, table, key, &w->evicted);
        if (rc != 0) {
            return rc;
        }
    }

    if (rc != 0) {
        return rc;
    }

    p = val.mv_data;

    if (len) {
        version = mdb_txn_id(w->txn);
        p = ngx_cpymem(p, &version, sizeof(int64_t));
    }

    ngx_memcpy(p, doc->data, doc->len);

    row.table = table;
    row.key.data = key->mv_data;
    row.key.len = key->mv_size;
    row.data = *doc;

    rc = im_lmdb_put_indexes(w, old.table ? &old : NULL, &row);
    if (rc != 0) {
        return rc;
    }

    return im_lmdb_put_ttl(w, old.table ? &old : NULL, &row);
}


int
im_lmdb_delete(im_lmdb_write_t *w, im_table_t *table, MDB_val *key,
    im_lmdb_buf_t *buf)
{
    int       rc;
    im_row_t  old;

    rc = im_lmdb_old(w, table, key, buf, &old);

    if (rc != 0) {
        return (rc == MDB_NOTFOUND) ? 0 : rc;
    }

    if (table->kind == IM_STREAM) {
        rc = im_lmdb_put_head(w, table, key);
        if (rc != 0) {
            return rc;
        }
    }

    rc = mdb_del(w->txn, im_lmdb.tables[table->id].rows, key, NULL);
    if (rc != 0) {
        return rc;
    }

    rc = im_lmdb_put_indexes(w, &old, NULL);
    if (rc != 0) {
        return rc;
    }

    return im_lmdb_put_ttl(w, &old, NULL);
}


/* What will be overwritten, expired or not; the document is a copy. */

static int
im_lmdb_old(im_lmdb_write_t *w, im_table_t *table, MDB_val *key,
    im_lmdb_buf_t *buf, im_row_t *old)
{
    int      rc;
    MDB_val  val;

    rc = mdb_get(w->txn, im_lmdb.tables[table->id].rows, key, &val);
    if (rc != 0) {
        return rc;
    }

    rc = im_lmdb_row(table, key, &val, old);
    if (rc != 0) {
        return rc;
    }

    return im_lmdb_copy(buf, old->data.data, old->data.len, &old->data);
}


/* The entries of its hours go when their time has come. */

static int
im_lmdb_drop(im_lmdb_write_t *w, im_op_t *op)
{
    int         rc;
    MDB_val     key, val;
    im_key_t    low, found;
    ngx_uint_t  n;

    low.len = op->key->len;
    ngx_memcpy(low.data, op->key->data, low.len);

    op->result = 1;

    for (n = 0; n < IM_STORE_DROP; n++) {

        rc = im_lmdb_seek(w->txn, im_lmdb.tables[op->table->id].rows, &low,
                          &found, &val);

        if (rc == MDB_NOTFOUND
            || (rc == 0
                && (found.len != low.len + 8
                    || ngx_memcmp(found.data, low.data, low.len) != 0)))
        {
            break;
        }

        if (rc != 0) {
            return rc;
        }

        key.mv_data = found.data;
        key.mv_size = found.len;

        rc = im_lmdb_delete(w, op->table, &key, &w->old);
        if (rc != 0) {
            return rc;
        }
    }

    if (n == IM_STORE_DROP) {
        return 0;
    }

    op->result = 0;

    key.mv_data = low.data;
    key.mv_size = low.len;

    rc = mdb_del(w->txn, im_lmdb.tables[op->table->id].head, &key, NULL);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static int
im_lmdb_copy(im_lmdb_buf_t *buf, u_char *data, size_t len, ngx_str_t *dst)
{
    u_char  *p;
    size_t   size;

    if (len > buf->size) {
        size = ngx_max(2 * len, 4096);

        p = realloc(buf->data, size);
        if (p == NULL) {
            return ENOMEM;
        }

        buf->data = p;
        buf->size = size;
    }

    ngx_memcpy(buf->data, data, len);

    dst->data = buf->data;
    dst->len = len;

    return 0;
}


void
im_lmdb_write_free(im_lmdb_write_t *w)
{
    free(w->old.data);
    free(w->new.data);
    free(w->evicted.data);
}
