
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_mongo.h"


/*
 * Rows, keys and ranges as documents.  Key columns and the application are
 * ordinary fields.  The columns of indexes are always there, 0 or "" if the
 * row has none, so that rows are in the same order as encoded keys; the last
 * column of a sparse index is there only if it is neither 0 nor "".
 */


#define IM_MONGO_COLUMNS  16         /* of an index with its tie-breakers */


/* A bound of a range: columns, of which the last one may be cut short. */

typedef struct {
    ngx_uint_t         n;
    ngx_str_t          str[IM_MONGO_COLUMNS];
    int64_t            num[IM_MONGO_COLUMNS];
    unsigned           part:1;       /* of the last string only the beginning */
    unsigned           beyond:1;     /* there is more behind all columns */
} im_mongo_bound_t;


static ngx_uint_t im_mongo_columns(im_table_t *table, ngx_uint_t index,
    im_column_t *columns);
static ngx_uint_t im_mongo_is_key(im_table_t *table, const char *name);
static ngx_uint_t im_mongo_sparse(im_table_t *table, const char *name);
static ngx_uint_t im_mongo_skipped(im_table_t *table, bson_iter_t *iter);
static void im_mongo_put_missing(bson_t *b, im_table_t *table,
    bson_t *doc);
static void im_mongo_put_column(bson_t *b, const char *name,
    im_column_t *column, im_mongo_bound_t *bound, ngx_uint_t i);
static void im_mongo_get_bound(im_column_t *columns, ngx_uint_t n,
    im_key_t *key, u_char pad, im_mongo_bound_t *bound);
static ngx_uint_t im_mongo_same(im_column_t *columns,
    im_mongo_bound_t *one, im_mongo_bound_t *two, ngx_uint_t i);
static void im_mongo_put_bound(bson_t *b, im_column_t *columns,
    im_mongo_bound_t *bound, ngx_uint_t i, ngx_uint_t upper);
static void im_mongo_put_compare(bson_t *b, im_column_t *column,
    im_mongo_bound_t *bound, ngx_uint_t i, const char *op);


static const char  *im_mongo_digits[] = { "0", "1", "2" };


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


void
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


/* All columns of an index, with those of the primary key that follow. */

static ngx_uint_t
im_mongo_columns(im_table_t *table, ngx_uint_t index, im_column_t *columns)
{
    ngx_uint_t    i, n;
    im_column_t  *col;

    n = 0;

    if (index) {
        for (col = table->index[index - 1].columns; col->name; col++) {
            columns[n++] = *col;
        }

        if (table->index[index - 1].flags & IM_INDEX_UNIQUE) {
            return n;
        }
    }

    for (col = table->key; col->name; col++) {

        for (i = 0; i < n; i++) {
            if (ngx_strcmp(columns[i].name, col->name) == 0) {
                break;
            }
        }

        if (i == n) {
            columns[n++] = *col;
        }
    }

    return n;
}


/* Columns of the prefix are the same in all rows. */

void
im_mongo_put_sort(bson_t *b, im_table_t *table, ngx_uint_t index,
    im_key_t *prefix, ngx_uint_t order)
{
    ngx_uint_t         i, n;
    im_column_t        columns[IM_MONGO_COLUMNS];
    im_mongo_bound_t   bound;

    n = im_mongo_columns(table, index, columns);
    im_mongo_get_bound(columns, n, prefix, 0, &bound);

    for (i = bound.n - bound.part; i < n; i++) {
        (void) bson_append_int32(b, columns[i].name, -1,
                                 order == IM_ASC ? 1 : -1);
    }
}


void
im_mongo_put_columns(bson_t *b, im_table_t *table, ngx_uint_t index)
{
    ngx_uint_t   i, n;
    im_column_t  columns[IM_MONGO_COLUMNS];

    n = im_mongo_columns(table, index, columns);

    (void) bson_append_int32(b, IM_MONGO_APP, -1, 1);

    for (i = 0; i < n; i++) {
        (void) bson_append_int32(b, columns[i].name, -1, 1);
    }
}


/*
 * The columns that both ends have in common are equalities.  The next one is
 * a range, for the index; what remains to be said of the others is a
 * condition on few rows at the ends.
 */

void
im_mongo_put_range(bson_t *b, im_table_t *table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *from, im_key_t *to)
{
    u_char             *p;
    bson_t              and, sub, exists;
    int64_t             app;
    ngx_uint_t          i, n, nand, lower, upper, sparse;
    im_index_t         *idx;
    im_column_t         columns[IM_MONGO_COLUMNS], *col;
    im_mongo_bound_t    low, high;

    n = im_mongo_columns(table, index, columns);

    im_mongo_get_bound(columns, n, from ? from : prefix, 0, &low);
    im_mongo_get_bound(columns, n, to ? to : prefix, 0xff, &high);

    p = prefix->data;
    (void) im_key_get_int(&p, p + 8, &app);
    (void) bson_append_int64(b, IM_MONGO_APP, -1, app);

    for (i = 0; i < n; i++) {

        if (!im_mongo_same(columns, &low, &high, i)) {
            break;
        }

        im_mongo_put_column(b, columns[i].name, &columns[i], &low, i);
    }

    idx = index ? &table->index[index - 1] : NULL;

    lower = (i < low.n || low.beyond);
    upper = (i < high.n);
    sparse = (idx && (idx->flags & IM_INDEX_SPARSE));

    if (!lower && !upper && !sparse) {
        return;
    }

    nand = 0;

    (void) bson_append_array_begin(b, "$and", -1, &and);

    if (lower) {
        (void) bson_append_document_begin(&and, im_mongo_digits[nand++], -1,
                                          &sub);
        im_mongo_put_bound(&sub, columns, &low, i, 0);
        (void) bson_append_document_end(&and, &sub);
    }

    if (upper) {
        (void) bson_append_document_begin(&and, im_mongo_digits[nand++], -1,
                                          &sub);
        im_mongo_put_bound(&sub, columns, &high, i, 1);
        (void) bson_append_document_end(&and, &sub);
    }

    if (sparse) {
        for (col = idx->columns; col[1].name; col++) { /* void */ }

        (void) bson_append_document_begin(&and, im_mongo_digits[nand++], -1,
                                          &sub);
        (void) bson_append_document_begin(&sub, col->name, -1, &exists);
        (void) bson_append_bool(&exists, "$exists", -1, true);
        (void) bson_append_document_end(&sub, &exists);
        (void) bson_append_document_end(&and, &sub);
    }

    (void) bson_append_array_end(b, &and);
}


static void
im_mongo_get_bound(im_column_t *columns, ngx_uint_t n, im_key_t *key,
    u_char pad, im_mongo_bound_t *bound)
{
    u_char      *p, *end, buf[8], *q;
    ngx_uint_t   i;

    p = key->data + 8;
    end = key->data + key->len;

    bound->part = 0;
    bound->beyond = 0;

    for (i = 0; i < n && p < end; i++) {

        if (columns[i].type == IM_COL_STR) {

            if (im_key_get_str(&p, end, &bound->str[i]) != NGX_OK) {
                bound->str[i].data = p;
                bound->str[i].len = end - p;
                bound->part = 1;
                p = end;
            }

        } else if (im_key_get_int(&p, end, &bound->num[i]) != NGX_OK) {
            ngx_memset(buf, pad, 8);
            ngx_memcpy(buf, p, end - p);
            q = buf;
            (void) im_key_get_int(&q, buf + 8, &bound->num[i]);
            p = end;
        }
    }

    bound->n = i;
    bound->beyond = (p < end);
}


/* Whether column i has the same whole value in both. */

static ngx_uint_t
im_mongo_same(im_column_t *columns, im_mongo_bound_t *one,
    im_mongo_bound_t *two, ngx_uint_t i)
{
    if (i >= one->n
        || i >= two->n
        || (one->part && i == one->n - 1)
        || (two->part && i == two->n - 1))
    {
        return 0;
    }

    if (columns[i].type == IM_COL_INT) {
        return one->num[i] == two->num[i];
    }

    return one->str[i].len == two->str[i].len
           && ngx_memcmp(one->str[i].data, two->str[i].data,
                         one->str[i].len)
              == 0;
}


/* { c: { $gte: v }, $or: [ { c: { $gt: v } }, { the next columns } ] } */

static void
im_mongo_put_bound(bson_t *b, im_column_t *columns, im_mongo_bound_t *bound,
    ngx_uint_t i, ngx_uint_t upper)
{
    bson_t  or, sub;

    if (i >= bound->n) {

        /* behind a whole key: nothing is */

        (void) bson_append_document_begin(b, IM_MONGO_ID, -1, &sub);
        (void) bson_append_bool(&sub, "$exists", -1, false);
        (void) bson_append_document_end(b, &sub);

        return;
    }

    if (i == bound->n - 1 && !(bound->beyond && !upper)) {
        im_mongo_put_compare(b, &columns[i], bound, i,
                             upper ? "$lte" : "$gte");
        return;
    }

    if (i == bound->n - 1) {
        im_mongo_put_compare(b, &columns[i], bound, i, "$gt");
        return;
    }

    im_mongo_put_compare(b, &columns[i], bound, i, upper ? "$lte" : "$gte");

    (void) bson_append_array_begin(b, "$or", -1, &or);

    (void) bson_append_document_begin(&or, "0", -1, &sub);
    im_mongo_put_compare(&sub, &columns[i], bound, i, upper ? "$lt" : "$gt");
    (void) bson_append_document_end(&or, &sub);

    (void) bson_append_document_begin(&or, "1", -1, &sub);
    im_mongo_put_bound(&sub, columns, bound, i + 1, upper);
    (void) bson_append_document_end(&or, &sub);

    (void) bson_append_array_end(b, &or);
}


static void
im_mongo_put_compare(bson_t *b, im_column_t *column, im_mongo_bound_t *bound,
    ngx_uint_t i, const char *op)
{
    bson_t  range;
    u_char  text[IM_KEY_LEN + 4];

    (void) bson_append_document_begin(b, column->name, -1, &range);

    if (bound->part && i == bound->n - 1 && op[1] == 'l') {

        /* up to all that begins so: the last character of Unicode */

        ngx_memcpy(text, bound->str[i].data, bound->str[i].len);
        ngx_memcpy(text + bound->str[i].len, "\xf4\x8f\xbf\xbf", 4);

        (void) bson_append_utf8(&range, op, -1, (char *) text,
                                (int) bound->str[i].len + 4);

    } else {
        im_mongo_put_column(&range, op, column, bound, i);
    }

    (void) bson_append_document_end(b, &range);
}


static void
im_mongo_put_column(bson_t *b, const char *name, im_column_t *column,
    im_mongo_bound_t *bound, ngx_uint_t i)
{
    if (column->type == IM_COL_INT) {
        (void) bson_append_int64(b, name, -1, bound->num[i]);

    } else {
        (void) bson_append_utf8(b, name, -1, (char *) bound->str[i].data,
                                (int) bound->str[i].len);
    }
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


ngx_int_t
im_mongo_get_value(const bson_t *b, im_table_t *table, ngx_uint_t index,
    im_key_t *prefix, im_key_t *value)
{
    uint32_t           len;
    ngx_str_t          s;
    ngx_uint_t         n;
    bson_iter_t        iter;
    im_column_t        columns[IM_MONGO_COLUMNS], *col;
    im_mongo_bound_t   bound;

    n = im_mongo_columns(table, index, columns);

    im_mongo_get_bound(columns, n, prefix, 0, &bound);

    if (bound.n >= n) {
        return NGX_ERROR;
    }

    col = &columns[bound.n];
    *value = *prefix;

    if (!bson_iter_init_find(&iter, b, col->name)) {
        return NGX_ERROR;
    }

    if (col->type == IM_COL_STR && BSON_ITER_HOLDS_UTF8(&iter)) {
        s.data = (u_char *) bson_iter_utf8(&iter, &len);
        s.len = len;
        im_key_str(value, &s);

    } else {
        im_key_int(value, bson_iter_as_int64(&iter));
    }

    return value->invalid ? NGX_ERROR : NGX_OK;
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
