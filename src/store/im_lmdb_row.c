
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <bson.h>
#include "store/im_lmdb.h"


/*
 * Rows and their index entries in a write transaction.  Memory of the map may
 * move with every write, so a document is copied before anything is written.
 */


static int im_lmdb_check_new(im_lmdb_write_t *w, im_table_t *table,
    MDB_val *key, ngx_str_t *doc);
static int im_lmdb_check_set(im_lmdb_write_t *w, im_op_t *op, MDB_val *key);
static int im_lmdb_check_add(im_lmdb_write_t *w, im_op_t *op, MDB_val *key);
static int im_lmdb_check_append(im_lmdb_write_t *w, im_op_t *op,
    ngx_str_t *doc);
static int im_lmdb_fetch(im_lmdb_write_t *w, im_table_t *table, MDB_val *key,
    im_row_t *row);
static int im_lmdb_append_key(im_op_t *op, im_key_t *key);
static int im_lmdb_merge(im_lmdb_write_t *w, im_op_t *op, im_row_t *row,
    ngx_str_t *doc);
static int im_lmdb_merge_set(bson_t *dst, ngx_str_t *old, ngx_str_t *set);
static int im_lmdb_put(im_lmdb_write_t *w, im_table_t *table, MDB_val *key,
    ngx_str_t *doc, ngx_uint_t fresh);
static int im_lmdb_put_indexes(im_lmdb_write_t *w, im_row_t *old,
    im_row_t *new);
static int im_lmdb_put_index(im_lmdb_write_t *w, im_table_t *table,
    ngx_uint_t n, im_key_t *key, im_row_t *row);
static int im_lmdb_put_ttl(im_lmdb_write_t *w, im_row_t *old, im_row_t *new);
static int im_lmdb_put_hour(im_lmdb_write_t *w, im_row_t *row,
    int64_t expire);
static int im_lmdb_drop(im_lmdb_write_t *w, im_op_t *op);
static int im_lmdb_put_head(im_lmdb_write_t *w, im_table_t *table,
    MDB_val *key);
static int im_lmdb_copy(im_lmdb_buf_t *buf, u_char *data, size_t len,
    ngx_str_t *dst);


/* Writes nothing; the number of an append is already its result. */

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

        } else if (rc == MDB_NOTFOUND || rc == IM_LMDB_EXPIRED) {
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

        if (rc == MDB_NOTFOUND || rc == IM_LMDB_EXPIRED) {
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

    if (rc == MDB_NOTFOUND || rc == IM_LMDB_EXPIRED) {
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

    } else if (rc != MDB_NOTFOUND && rc != IM_LMDB_EXPIRED) {
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


static int
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

    return im_row_expired(row, w->now) ? IM_LMDB_EXPIRED : 0;
}


static int
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

        if (rc == MDB_NOTFOUND || rc == IM_LMDB_EXPIRED) {
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


/* The document of the row with the operation's fields, in w->new. */

static int
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
    ngx_str_t  copy;

    dbi = im_lmdb.tables[table->id].rows;
    len = (table->kind == IM_VERSIONED) ? 8 : 0;
    old.table = NULL;

    if (!fresh && (table->ttl != IM_TTL_NONE || table->index[0].name)) {

        rc = mdb_get(w->txn, dbi, key, &val);

        if (rc == 0) {
            rc = im_lmdb_row(table, key, &val, &old);
            if (rc != 0) {
                return rc;
            }

            rc = im_lmdb_copy(&w->old, old.data.data, old.data.len, &copy);
            if (rc != 0) {
                return rc;
            }

            old.data = copy;

        } else if (rc != MDB_NOTFOUND) {
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
    int        rc;
    MDB_dbi    dbi;
    MDB_val    val;
    im_row_t   old;
    ngx_str_t  copy;

    dbi = im_lmdb.tables[table->id].rows;

    rc = mdb_get(w->txn, dbi, key, &val);

    if (rc != 0) {
        return (rc == MDB_NOTFOUND) ? 0 : rc;
    }

    rc = im_lmdb_row(table, key, &val, &old);
    if (rc != 0) {
        return rc;
    }

    rc = im_lmdb_copy(buf, old.data.data, old.data.len, &copy);
    if (rc != 0) {
        return rc;
    }

    old.data = copy;

    if (table->kind == IM_STREAM) {
        rc = im_lmdb_put_head(w, table, key);
        if (rc != 0) {
            return rc;
        }
    }

    rc = mdb_del(w->txn, dbi, key, NULL);
    if (rc != 0) {
        return rc;
    }

    rc = im_lmdb_put_indexes(w, &old, NULL);
    if (rc != 0) {
        return rc;
    }

    return im_lmdb_put_ttl(w, &old, NULL);
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
im_lmdb_put_indexes(im_lmdb_write_t *w, im_row_t *old, im_row_t *new)
{
    int          rc, has_old, has_new;
    MDB_val      val;
    im_key_t     ok, nk;
    ngx_uint_t   i, same;
    im_index_t  *index;
    im_table_t  *table;

    table = old ? old->table : new->table;

    for (i = 0; table->index[i].name; i++) {
        index = &table->index[i];

        has_old = old ? im_lmdb_index_key(table, index, old, &ok)
                      : IM_LMDB_DECLINED;

        has_new = new ? im_lmdb_index_key(table, index, new, &nk)
                      : IM_LMDB_DECLINED;

        if (has_new == IM_LMDB_KEY) {
            return IM_LMDB_KEY;
        }

        same = (has_old == 0 && has_new == 0 && ok.len == nk.len
                && ngx_memcmp(ok.data, nk.data, ok.len) == 0);

        if (has_old == 0 && !same) {
            val.mv_data = ok.data;
            val.mv_size = ok.len;

            rc = mdb_del(w->txn, im_lmdb.tables[table->id].index[i], &val,
                         NULL);
            if (rc != 0 && rc != MDB_NOTFOUND) {
                return rc;
            }
        }

        if (has_new != 0 || (same && !(index->flags & IM_INDEX_FLAGS))) {
            continue;
        }

        rc = im_lmdb_put_index(w, table, i, &nk, new);
        if (rc != 0) {
            return rc;
        }
    }

    return 0;
}


static int
im_lmdb_put_index(im_lmdb_write_t *w, im_table_t *table, ngx_uint_t n,
    im_key_t *key, im_row_t *row)
{
    int          rc;
    u_char      *p;
    int64_t      flags, expire;
    MDB_dbi      dbi;
    MDB_val      ikey, val, holder;
    im_key_t     old;
    im_row_t     other;
    ngx_uint_t   nooverwrite;
    im_index_t  *index;

    dbi = im_lmdb.tables[table->id].index[n];
    index = &table->index[n];
    nooverwrite = (index->flags & IM_INDEX_UNIQUE) ? MDB_NOOVERWRITE : 0;

    ikey.mv_data = key->data;
    ikey.mv_size = key->len;

    for ( ;; ) {
        val.mv_size = row->key.len;

        if (index->flags & IM_INDEX_FLAGS) {
            val.mv_size += IM_LMDB_FLAGS;
        }

        rc = mdb_put(w->txn, dbi, &ikey, &val, MDB_RESERVE|nooverwrite);

        if (rc != MDB_KEYEXIST) {
            break;
        }

        /* an expired row, or another one of this batch */

        if (val.mv_size > IM_KEY_LEN) {
            return MDB_CORRUPTED;
        }

        old.len = val.mv_size;
        ngx_memcpy(old.data, val.mv_data, val.mv_size);

        holder.mv_data = old.data;
        holder.mv_size = old.len;

        rc = im_lmdb_fetch(w, table, &holder, &other);

        if (rc == 0) {
            return IM_LMDB_CONFLICT;
        }

        if (rc == IM_LMDB_EXPIRED) {
            rc = im_lmdb_delete(w, table, &holder, &w->evicted);

        } else if (rc == MDB_NOTFOUND) {
            rc = mdb_del(w->txn, dbi, &ikey, NULL);
        }

        if (rc != 0) {
            return rc;
        }
    }

    if (rc != 0) {
        return rc;
    }

    p = val.mv_data;

    if (index->flags & IM_INDEX_FLAGS) {
        (void) im_row_int(row, "flags", &flags);
        (void) im_row_int(row, "expire", &expire);

        p = ngx_cpymem(p, &flags, sizeof(int64_t));
        p = ngx_cpymem(p, &expire, sizeof(int64_t));
    }

    ngx_memcpy(p, row->key.data, row->key.len);

    return 0;
}


static int
im_lmdb_put_ttl(im_lmdb_write_t *w, im_row_t *old, im_row_t *new)
{
    int          rc;
    int64_t      before, after;
    MDB_dbi      dbi;
    MDB_val      key, val;
    im_row_t    *row;
    im_key_t     entry;
    im_table_t  *table;

    row = old ? old : new;
    table = row->table;

    before = 0;
    after = 0;

    if (old) {
        (void) im_row_int(old, "expire", &before);
    }

    if (new) {
        (void) im_row_int(new, "expire", &after);
    }

    if (table->ttl == IM_TTL_STREAM) {
        return (after > 0 && after != before)
               ? im_lmdb_put_hour(w, new, after) : 0;
    }

    if (table->ttl != IM_TTL_ROW || before == after) {
        return 0;
    }

    dbi = im_lmdb.tables[table->id].ttl;
    key.mv_data = entry.data;
    key.mv_size = row->key.len + 8;

    if (key.mv_size > IM_KEY_LEN) {
        return IM_LMDB_KEY;
    }

    ngx_memcpy(entry.data + 8, row->key.data, row->key.len);

    if (before > 0) {
        entry.len = 0;
        entry.invalid = 0;
        im_key_int(&entry, before);

        rc = mdb_del(w->txn, dbi, &key, NULL);
        if (rc != 0 && rc != MDB_NOTFOUND) {
            return rc;
        }
    }

    if (after > 0) {
        entry.len = 0;
        entry.invalid = 0;
        im_key_int(&entry, after);

        ngx_memzero(&val, sizeof(MDB_val));

        return mdb_put(w->txn, dbi, &key, &val, 0);
    }

    return 0;
}


/*
 * The entry (hour, stream) names a range of numbers: all rows of the stream
 * that expire in the hour are in it.  It grows by doubling, so that it is
 * written a few times an hour only.
 */

static int
im_lmdb_put_hour(im_lmdb_write_t *w, im_row_t *row, int64_t expire)
{
    int       rc;
    u_char   *p;
    int64_t   seq, range[2];
    MDB_dbi   dbi;
    MDB_val   key, val;
    im_key_t  entry;

    dbi = im_lmdb.tables[row->table->id].ttl;

    /* the last column, which is replaced by the hour in front: no overflow */

    p = row->key.data + row->key.len - 8;
    (void) im_key_get_int(&p, p + 8, &seq);

    entry.len = 0;
    entry.invalid = 0;
    im_key_int(&entry, expire / 3600 + 1);
    ngx_memcpy(entry.data + 8, row->key.data, row->key.len - 8);

    key.mv_data = entry.data;
    key.mv_size = row->key.len;

    rc = mdb_get(w->txn, dbi, &key, &val);

    if (rc == 0 && val.mv_size == sizeof(range)) {
        ngx_memcpy(range, val.mv_data, sizeof(range));

        if (seq >= range[0] && seq < range[1]) {
            return 0;
        }

        if (seq < range[0]) {
            range[0] = seq;

        } else {
            range[1] = seq + (seq - range[0]) + 1;
        }

    } else if (rc == 0 || rc == MDB_NOTFOUND) {
        range[0] = seq;
        range[1] = seq + 64;

    } else {
        return rc;
    }

    val.mv_data = range;
    val.mv_size = sizeof(range);

    return mdb_put(w->txn, dbi, &key, &val, 0);
}


/* If the row is the last one of its stream, keeps its number. */

static int
im_lmdb_put_head(im_lmdb_write_t *w, im_table_t *table, MDB_val *key)
{
    int          rc;
    u_char      *p;
    size_t       len;
    int64_t      seq, head;
    MDB_dbi      dbi;
    MDB_val      k, v;
    MDB_cursor  *cursor;

    len = key->mv_size - 8;

    rc = mdb_cursor_open(w->txn, im_lmdb.tables[table->id].rows, &cursor);
    if (rc != 0) {
        return rc;
    }

    k = *key;

    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET);

    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }

    mdb_cursor_close(cursor);

    if (rc == 0
        && k.mv_size == key->mv_size
        && ngx_memcmp(k.mv_data, key->mv_data, len) == 0)
    {
        return 0;
    }

    if (rc != 0 && rc != MDB_NOTFOUND) {
        return rc;
    }

    p = (u_char *) key->mv_data + len;
    (void) im_key_get_int(&p, p + 8, &seq);

    k.mv_data = key->mv_data;
    k.mv_size = len;

    dbi = im_lmdb.tables[table->id].head;

    rc = mdb_get(w->txn, dbi, &k, &v);

    if (rc == 0 && v.mv_size == sizeof(int64_t)) {
        ngx_memcpy(&head, v.mv_data, sizeof(int64_t));

        if (head >= seq) {
            return 0;
        }

    } else if (rc != 0 && rc != MDB_NOTFOUND) {
        return rc;
    }

    v.mv_data = &seq;
    v.mv_size = sizeof(int64_t);

    return mdb_put(w->txn, dbi, &k, &v, 0);
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
