
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_mongo.h"


/*
 * Rows and keys as documents.  Key columns and the application are ordinary
 * fields.  The columns of indexes are always there, 0 or "" if the row has
 * none, so that rows are in the same order as encoded keys; the last column
 * of a sparse index is there only if it is neither 0 nor "".
 */


static ngx_uint_t im_mongo_is_key(im_table_t *table, const char *name);
static ngx_uint_t im_mongo_sparse(im_table_t *table, const char *name);
static ngx_uint_t im_mongo_skipped(im_table_t *table, bson_iter_t *iter);
static void im_mongo_put_bounds(bson_t *b, im_mongo_op_t *op);
static void im_mongo_put_set(bson_t *b, im_mongo_op_t *op);
static void im_mongo_put_missing(bson_t *b, im_table_t *table,
    bson_t *doc);


void
im_mongo_name(char *name, im_table_t *table)
{
    (void) ngx_snprintf((u_char *) name, IM_MONGO_NAME, "%s%Z", table->name);
}


const char *
im_mongo_last(im_table_t *table)
{
    im_column_t  *col;

    for (col = table->key; col[1].name; col++) { /* void */ }

    return col->name;
}


/* Also of a stream, whose key lacks the last column. */

ngx_int_t
im_mongo_put_key(bson_t *b, im_table_t *table, im_key_t *key)
{
    u_char       *p, *end;
    int64_t       n;
    ngx_str_t     s;
    im_column_t  *col;

    p = key->data;
    end = p + key->len;

    if (im_key_get_int(&p, end, &n) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) bson_append_int64(b, IM_MONGO_APP, -1, n);

    for (col = table->key; col->name && p < end; col++) {

        if (col->type == IM_COL_STR) {

            if (im_key_get_str(&p, end, &s) != NGX_OK) {
                return NGX_ERROR;
            }

            (void) bson_append_utf8(b, col->name, -1, (char *) s.data,
                                    (int) s.len);

        } else {

            if (im_key_get_int(&p, end, &n) != NGX_OK) {
                return NGX_ERROR;
            }

            (void) bson_append_int64(b, col->name, -1, n);
        }
    }

    return NGX_OK;
}


void
im_mongo_put_live(bson_t *b, im_table_t *table, time_t now)
{
    bson_t  not, range;

    if (table->ttl == IM_TTL_NONE) {
        return;
    }

    (void) bson_append_document_begin(b, "expire", -1, &not);
    (void) bson_append_document_begin(&not, "$not", -1, &range);
    (void) bson_append_int64(&range, "$gt", -1, 0);
    (void) bson_append_int64(&range, "$lte", -1, now);
    (void) bson_append_document_end(&not, &range);
    (void) bson_append_document_end(b, &not);
}


ngx_uint_t
im_mongo_expired(im_table_t *table, const bson_t *b, time_t now)
{
    int64_t  expire;

    if (table->ttl == IM_TTL_NONE) {
        return 0;
    }

    expire = im_mongo_get_int(b, "expire");

    return expire > 0 && expire <= (int64_t) now;
}


ngx_int_t
im_mongo_put_row(bson_t *b, im_mongo_op_t *op, im_key_t *key)
{
    bson_t       doc;
    int64_t      expire;
    bson_iter_t  iter;

    if (!bson_init_static(&doc, op->doc.data, op->doc.len)
        || !bson_iter_init(&iter, &doc))
    {
        return NGX_ERROR;
    }

    if (im_mongo_put_key(b, op->table, key) != NGX_OK) {
        return NGX_ERROR;
    }

    if (op->table->kind == IM_VERSIONED) {
        (void) bson_append_int64(b, IM_MONGO_VERSION, -1, op->next);
    }

    while (bson_iter_next(&iter)) {

        if (!im_mongo_skipped(op->table, &iter)
            && !bson_append_iter(b, NULL, 0, &iter))
        {
            return NGX_ERROR;
        }
    }

    im_mongo_put_missing(b, op->table, &doc);

    expire = im_mongo_get_int(&doc, "expire");

    if (op->table->ttl != IM_TTL_NONE && expire > 0) {
        (void) bson_append_date_time(b, IM_MONGO_EXPIRE, -1, expire * 1000);
    }

    return NGX_OK;
}


void
im_mongo_put_filter(bson_t *b, im_mongo_op_t *op, time_t now)
{
    (void) im_mongo_put_key(b, op->table, op->key);

    if (op->type == IM_OP_REPLACE
        || (op->type == IM_OP_EXPECT && op->version != -1))
    {
        (void) bson_append_int64(b, IM_MONGO_VERSION, -1, op->version);
    }

    if (op->type == IM_OP_ADD) {
        im_mongo_put_bounds(b, op);

    } else if (!im_mongo_upserts(op)) {
        im_mongo_put_live(b, op->table, now);
    }
}


/* What may be added to. */

static void
im_mongo_put_bounds(bson_t *b, im_mongo_op_t *op)
{
    bson_t   sub;
    int64_t  low, high;

    if (__builtin_sub_overflow(op->min, op->value, &low)) {
        low = (op->value > 0) ? INT64_MIN : INT64_MAX;
    }

    if (__builtin_sub_overflow(op->max, op->value, &high)) {
        high = (op->value > 0) ? INT64_MIN : INT64_MAX;
    }

    /* no sum may overflow, whatever the bounds say */

    if (op->value > 0) {
        high = ngx_min(high, INT64_MAX - op->value);

    } else {
        low = ngx_max(low, INT64_MIN - op->value);
    }

    (void) bson_append_document_begin(b, op->column, -1, &sub);
    (void) bson_append_int64(&sub, "$gte", -1, low);
    (void) bson_append_int64(&sub, "$lte", -1, high);
    (void) bson_append_document_end(b, &sub);
}


ngx_int_t
im_mongo_put_change(bson_t *b, im_mongo_op_t *op)
{
    bson_t  set;

    switch (op->type) {

    case IM_OP_SET:
        im_mongo_put_set(b, op);
        return NGX_OK;

    case IM_OP_EXPECT:
        (void) bson_append_document_begin(b, "$set", -1, &set);
        (void) bson_append_int64(&set, IM_MONGO_TOUCH, -1, op->next);
        (void) bson_append_document_end(b, &set);
        return NGX_OK;

    case IM_OP_ADD:
        (void) bson_append_document_begin(b, "$inc", -1, &set);
        (void) bson_append_int64(&set, op->column, -1, op->value);
        (void) bson_append_document_end(b, &set);
        return NGX_OK;

    default: /* IM_OP_REPLACE, IM_OP_UPSERT */
        return im_mongo_put_row(b, op, op->key);
    }
}


ngx_uint_t
im_mongo_upserts(im_mongo_op_t *op)
{
    return op->type == IM_OP_UPSERT
           || (op->type == IM_OP_SET && op->table->kind == IM_COUNTED)
           || (op->type == IM_OP_ADD
               && op->value >= op->min && op->value <= op->max);
}


ngx_int_t
im_mongo_put_grave(bson_t *b, im_table_t *table, im_key_t *key,
    time_t until)
{
    if (im_mongo_put_key(b, table, key) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) bson_append_int64(b, "expire", -1, 1);
    (void) bson_append_date_time(b, IM_MONGO_EXPIRE, -1,
                                 (int64_t) until * 1000);

    return NGX_OK;
}


static void
im_mongo_put_set(bson_t *b, im_mongo_op_t *op)
{
    bson_t       doc, set, unset;
    int64_t      expire;
    ngx_uint_t   nunset, nset;
    bson_iter_t  iter;

    if (!bson_init_static(&doc, op->doc.data, op->doc.len)
        || !bson_iter_init(&iter, &doc))
    {
        return;
    }

    nset = 0;
    nunset = 0;
    bson_init(&unset);

    (void) bson_append_document_begin(b, "$set", -1, &set);

    while (bson_iter_next(&iter)) {

        if (im_mongo_is_key(op->table, bson_iter_key(&iter))) {
            continue;
        }

        if (im_mongo_skipped(op->table, &iter)) {
            (void) bson_append_int32(&unset, bson_iter_key(&iter), -1, 1);
            nunset++;

        } else {
            (void) bson_append_iter(&set, NULL, 0, &iter);
            nset++;
        }
    }

    if (op->table->ttl != IM_TTL_NONE
        && bson_iter_init_find(&iter, &doc, "expire"))
    {
        expire = im_mongo_get_int(&doc, "expire");

        if (expire > 0) {
            (void) bson_append_date_time(&set, IM_MONGO_EXPIRE, -1,
                                         expire * 1000);
            nset++;

        } else {
            (void) bson_append_int32(&unset, IM_MONGO_EXPIRE, -1, 1);
            nunset++;
        }
    }

    if (nset == 0) {
        (void) bson_append_int64(&set, IM_MONGO_TOUCH, -1, 0);
    }

    (void) bson_append_document_end(b, &set);

    if (nunset) {
        (void) bson_append_document(b, "$unset", -1, &unset);
    }

    bson_destroy(&unset);
}


static ngx_uint_t
im_mongo_is_key(im_table_t *table, const char *name)
{
    im_column_t  *col;

    for (col = table->key; col->name; col++) {
        if (ngx_strcmp(col->name, name) == 0) {
            return 1;
        }
    }

    return 0;
}


/* Whether the column is the last one of a sparse index. */

static ngx_uint_t
im_mongo_sparse(im_table_t *table, const char *name)
{
    im_index_t   *index;
    im_column_t  *col;

    for (index = table->index; index->name; index++) {

        if (!(index->flags & IM_INDEX_SPARSE)) {
            continue;
        }

        for (col = index->columns; col[1].name; col++) { /* void */ }

        if (ngx_strcmp(col->name, name) == 0) {
            return 1;
        }
    }

    return 0;
}


/* Fields that are not stored: of the key, and empty ones of sparse indexes. */

static ngx_uint_t
im_mongo_skipped(im_table_t *table, bson_iter_t *iter)
{
    uint32_t     len;
    const char  *name;

    name = bson_iter_key(iter);

    if (im_mongo_is_key(table, name)
        || ngx_strcmp(name, IM_MONGO_ID) == 0
        || ngx_strcmp(name, IM_MONGO_APP) == 0
        || ngx_strcmp(name, IM_MONGO_VERSION) == 0
        || ngx_strcmp(name, IM_MONGO_EXPIRE) == 0)
    {
        return 1;
    }

    if (BSON_ITER_HOLDS_INT64(iter)) {
        return bson_iter_int64(iter) == 0 && im_mongo_sparse(table, name);
    }

    if (BSON_ITER_HOLDS_UTF8(iter)) {
        (void) bson_iter_utf8(iter, &len);
        return len == 0 && im_mongo_sparse(table, name);
    }

    return 0;
}


static void
im_mongo_put_missing(bson_t *b, im_table_t *table, bson_t *doc)
{
    im_index_t   *index;
    bson_iter_t   iter;
    im_column_t  *col;

    for (index = table->index; index->name; index++) {

        for (col = index->columns; col->name; col++) {

            if (im_mongo_is_key(table, col->name)
                || im_mongo_sparse(table, col->name)
                || bson_iter_init_find(&iter, b, col->name))
            {
                continue;
            }

            if (col->type == IM_COL_STR) {
                (void) bson_append_utf8(b, col->name, -1, "", 0);

            } else {
                (void) bson_append_int64(b, col->name, -1, 0);
            }
        }
    }
}


ngx_int_t
im_mongo_check_row(im_table_t *table, im_key_t *key, ngx_str_t *doc)
{
    im_row_t      row;
    im_key_t      test;
    ngx_str_t     s;
    im_index_t   *index;
    im_column_t  *col;

    row.table = table;
    row.key.data = key->data;
    row.key.len = key->len;
    row.data = *doc;

    /* as long as an encoded one may be, so that each row fits each driver */

    for (index = table->index; index->name; index++) {

        im_key_init(&test, 0);

        for (col = index->columns; col->name; col++) {

            if (col->type == IM_COL_STR) {
                (void) im_row_str(&row, col->name, &s);
                im_key_str(&test, &s);

            } else {
                im_key_int(&test, 0);
            }
        }

        if (test.invalid) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
im_mongo_get_key(const bson_t *b, im_table_t *table, im_key_t *key)
{
    uint32_t      len;
    ngx_str_t     s;
    bson_iter_t   iter;
    im_column_t  *col;

    if (!bson_iter_init_find(&iter, b, IM_MONGO_APP)
        || !BSON_ITER_HOLDS_INT64(&iter))
    {
        return NGX_ERROR;
    }

    im_key_init(key, (ngx_uint_t) bson_iter_int64(&iter));

    for (col = table->key; col->name; col++) {

        if (!bson_iter_init_find(&iter, b, col->name)) {
            return NGX_ERROR;
        }

        if (col->type == IM_COL_STR && BSON_ITER_HOLDS_UTF8(&iter)) {
            s.data = (u_char *) bson_iter_utf8(&iter, &len);
            s.len = len;
            im_key_str(key, &s);

        } else if (col->type == IM_COL_INT && BSON_ITER_HOLDS_INT64(&iter)) {
            im_key_int(key, bson_iter_int64(&iter));

        } else {
            return NGX_ERROR;
        }
    }

    return key->invalid ? NGX_ERROR : NGX_OK;
}


int64_t
im_mongo_get_int(const bson_t *b, const char *name)
{
    bson_iter_t  iter;

    if (bson_iter_init_find(&iter, b, name) && BSON_ITER_HOLDS_INT(&iter)) {
        return bson_iter_as_int64(&iter);
    }

    return 0;
}
