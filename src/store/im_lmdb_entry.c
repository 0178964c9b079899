
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_lmdb_row.h"


static int im_lmdb_put_index(im_lmdb_write_t *w, im_table_t *table,
    ngx_uint_t n, im_key_t *key, im_row_t *row);
static int im_lmdb_put_hour(im_lmdb_write_t *w, im_row_t *row,
    int64_t expire);


int
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

        if (rc == MDB_NOTFOUND) {
            rc = im_lmdb_delete(w, table, &holder, &w->evicted);
        }

        if (rc == 0) {
            rc = mdb_del(w->txn, dbi, &ikey, NULL);
        }

        if (rc != 0 && rc != MDB_NOTFOUND) {
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


int
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


int
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
