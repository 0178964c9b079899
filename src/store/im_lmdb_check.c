
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_lmdb_row.h"


static int im_lmdb_check_new(im_lmdb_write_t *w, im_table_t *table,
    MDB_val *key, ngx_str_t *doc);
static int im_lmdb_check_set(im_lmdb_write_t *w, im_op_t *op, MDB_val *key);
static int im_lmdb_check_add(im_lmdb_write_t *w, im_op_t *op, MDB_val *key);
static int im_lmdb_check_append(im_lmdb_write_t *w, im_op_t *op,
    ngx_str_t *doc);


int
im_lmdb_check(im_lmdb_write_t *w, im_op_t *op)
{
    int        rc;
    MDB_val    key;
    im_row_t   row;
    ngx_str_t  doc;

    (void) im_doc_data(op->doc, &doc);

    key.mv_data = op->key->data;
    key.mv_size = op->key->len;

    switch (op->type) {

    case IM_OP_APPEND:
        return im_lmdb_check_append(w, op, &doc);

    case IM_OP_UPSERT:
        return im_lmdb_check_new(w, op->table, &key, &doc);

    case IM_OP_SET:
        return im_lmdb_check_set(w, op, &key);

    case IM_OP_ADD:
    case IM_OP_MAX:
        return im_lmdb_check_add(w, op, &key);

    case IM_OP_INSERT:
    case IM_OP_REPLACE:
    case IM_OP_EXPECT:

        rc = im_lmdb_fetch(w, op->table, &key, &row);

        if (rc == 0) {
            if (op->type == IM_OP_INSERT
                || op->version == 0
                || (op->version != -1 && op->version != row.version)
                || (op->version == -1 && op->type == IM_OP_REPLACE))
            {
                return IM_LMDB_DECLINED;
            }

        } else if (rc == MDB_NOTFOUND) {
            if (op->version != 0) {
                return IM_LMDB_DECLINED;
            }

        } else {
            return rc;
        }

        if (op->type == IM_OP_EXPECT) {
            return 0;
        }

        return im_lmdb_check_new(w, op->table, &key, &doc);

    default: /* IM_OP_DELETE, IM_OP_DROP */
        return 0;
    }
}


static int
im_lmdb_check_new(im_lmdb_write_t *w, im_table_t *table, MDB_val *key,
    ngx_str_t *doc)
{
    int          rc;
    MDB_val      ikey, holder;
    im_row_t     row, old;
    im_key_t     ik;
    ngx_uint_t   i;
    im_index_t  *index;

    if (table->ttl == IM_TTL_ROW && key->mv_size + 8 > IM_KEY_LEN) {
        return IM_LMDB_KEY;
    }

    row.table = table;
    row.key.data = key->mv_data;
    row.key.len = key->mv_size;
    row.data = *doc;

    for (i = 0; table->index[i].name; i++) {
        index = &table->index[i];

        rc = im_lmdb_index_key(table, index, &row, &ik);

        if (rc == IM_LMDB_DECLINED) {
            continue;
        }

        if (rc != 0) {
            return rc;
        }

        if (!(index->flags & IM_INDEX_UNIQUE)) {
            continue;
        }

        ikey.mv_data = ik.data;
        ikey.mv_size = ik.len;

        rc = mdb_get(w->txn, im_lmdb.tables[table->id].index[i], &ikey,
                     &holder);

        if (rc == MDB_NOTFOUND) {
            continue;
        }

        if (rc != 0) {
            return rc;
        }

        if (holder.mv_size == key->mv_size
            && ngx_memcmp(holder.mv_data, key->mv_data, key->mv_size) == 0)
        {
            continue;
        }

        rc = im_lmdb_fetch(w, table, &holder, &old);

        if (rc == MDB_NOTFOUND) {
            continue;
        }

        if (rc != 0) {
            return rc;
        }

        if (w->taken) {
            w->taken->invalid = 0;
            w->taken->len = old.key.len;
            ngx_memcpy(w->taken->data, old.key.data, old.key.len);
            w->has_taken = 1;
        }

        return IM_LMDB_DECLINED;
    }

    return 0;
}


static int
im_lmdb_check_set(im_lmdb_write_t *w, im_op_t *op, MDB_val *key)
{
    int        rc;
    im_row_t   row;
    ngx_str_t  doc;

    rc = im_lmdb_fetch(w, op->table, key, &row);

    if (rc == MDB_NOTFOUND) {
        if (op->table->kind != IM_COUNTED) {
            return IM_LMDB_DECLINED;
        }

        ngx_str_null(&row.data);
        rc = 0;
    }

    if (rc != 0) {
        return rc;
    }

    rc = im_lmdb_merge(w, op, &row, &doc);
    if (rc != 0) {
        return rc;
    }

    return im_lmdb_check_new(w, op->table, key, &doc);
}


static int
im_lmdb_check_add(im_lmdb_write_t *w, im_op_t *op, MDB_val *key)
{
    int       rc;
    int64_t   old;
    im_row_t  row;

    old = 0;

    rc = im_lmdb_fetch(w, op->table, key, &row);

    if (rc == 0) {
        (void) im_row_int(&row, op->column, &old);

    } else if (rc != MDB_NOTFOUND) {
        return rc;
    }

    if (op->type == IM_OP_MAX) {
        op->result = ngx_max(old, op->value);
        return 0;
    }

    if (__builtin_add_overflow(old, op->value, &op->result)
        || op->result < op->min
        || op->result > op->max)
    {
        return IM_LMDB_DECLINED;
    }

    return 0;
}


static int
im_lmdb_check_append(im_lmdb_write_t *w, im_op_t *op, ngx_str_t *doc)
{
    int       rc;
    int64_t   seq;
    MDB_val   val;
    im_key_t  key;

    rc = im_lmdb_tail(w->txn, op->table, op->key, &seq);
    if (rc != 0) {
        return rc;
    }

    op->result = seq + 1;

    rc = im_lmdb_append_key(op, &key);
    if (rc != 0) {
        return rc;
    }

    val.mv_data = key.data;
    val.mv_size = key.len;

    return im_lmdb_check_new(w, op->table, &val, doc);
}
