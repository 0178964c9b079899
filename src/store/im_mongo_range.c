
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_mongo.h"


/*
 * Ranges of keys as filters.  A sparse index is a partial one, of documents
 * whose last column is above 0 or ""; a filter has to say so, too.
 */


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
static void im_mongo_get_bound(im_column_t *columns, ngx_uint_t n,
    im_key_t *key, u_char pad, im_mongo_bound_t *bound);
static ngx_uint_t im_mongo_same(im_column_t *columns,
    im_mongo_bound_t *one, im_mongo_bound_t *two, ngx_uint_t i);
static void im_mongo_put_above(bson_t *range, im_column_t *column);
static void im_mongo_put_limits(bson_t *b, im_column_t *column,
    im_mongo_bound_t *low, im_mongo_bound_t *high, ngx_uint_t i,
    ngx_uint_t sparse);
static void im_mongo_put_rest(bson_t *b, im_column_t *columns,
    im_mongo_bound_t *low, im_mongo_bound_t *high, ngx_uint_t i);
static void im_mongo_put_or(bson_t *b, im_column_t *columns,
    im_mongo_bound_t *bound, ngx_uint_t i, ngx_uint_t upper);
static void im_mongo_put_bound(bson_t *b, im_column_t *columns,
    im_mongo_bound_t *bound, ngx_uint_t i, ngx_uint_t upper);
static ngx_uint_t im_mongo_more(im_mongo_bound_t *bound, ngx_uint_t i);
static void im_mongo_put_value(bson_t *b, const char *name,
    im_column_t *column, im_mongo_bound_t *bound, ngx_uint_t i);
static void im_mongo_put_compare(bson_t *b, im_column_t *column,
    im_mongo_bound_t *bound, ngx_uint_t i, const char *op);
static void im_mongo_put_column(bson_t *b, const char *name,
    im_column_t *column, im_mongo_bound_t *bound, ngx_uint_t i);


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
    bson_t              sub;
    int64_t             app;
    ngx_uint_t          i, n, sparse;
    im_column_t         columns[IM_MONGO_COLUMNS];
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

    if (i >= low.n && low.beyond) {

        /* behind a whole key: nothing is */

        (void) bson_append_document_begin(b, IM_MONGO_ID, -1, &sub);
        (void) bson_append_bool(&sub, "$exists", -1, false);
        (void) bson_append_document_end(b, &sub);

        return;
    }

    /* an equality says that the column is there */

    sparse = index ? im_mongo_sparse_column(&table->index[index - 1])
                   : IM_MONGO_COLUMNS;

    if (i < low.n || i < high.n || i == sparse) {
        im_mongo_put_limits(b, &columns[i], &low, &high, i, i == sparse);
    }

    if (sparse > i && sparse < n) {
        im_mongo_put_there(b, &columns[sparse]);
    }

    im_mongo_put_rest(b, columns, &low, &high, i);
}


void
im_mongo_put_there(bson_t *b, im_column_t *column)
{
    bson_t  range;

    (void) bson_append_document_begin(b, column->name, -1, &range);
    im_mongo_put_above(&range, column);
    (void) bson_append_document_end(b, &range);
}


static void
im_mongo_put_above(bson_t *range, im_column_t *column)
{
    if (column->type == IM_COL_INT) {
        (void) bson_append_int64(range, "$gt", -1, 0);

    } else {
        (void) bson_append_utf8(range, "$gt", -1, "", 0);
    }
}


ngx_uint_t
im_mongo_sparse_column(im_index_t *index)
{
    ngx_uint_t  i;

    if (!(index->flags & IM_INDEX_SPARSE)) {
        return IM_MONGO_COLUMNS;
    }

    for (i = 0; index->columns[i + 1].name; i++) { /* void */ }

    return i;
}


/* { c: { $gte: low, $lte: high } } */

static void
im_mongo_put_limits(bson_t *b, im_column_t *column, im_mongo_bound_t *low,
    im_mongo_bound_t *high, ngx_uint_t i, ngx_uint_t sparse)
{
    bson_t  range;

    (void) bson_append_document_begin(b, column->name, -1, &range);

    if (i < low->n
        && (!sparse || ((column->type == IM_COL_INT) ? low->num[i] > 0
                                                     : low->str[i].len > 0)))
    {
        im_mongo_put_value(&range, (low->beyond && i == low->n - 1) ? "$gt"
                                                                    : "$gte",
                           column, low, i);

    } else if (sparse) {
        im_mongo_put_above(&range, column);
    }

    if (i < high->n) {
        im_mongo_put_value(&range, "$lte", column, high, i);
    }

    (void) bson_append_document_end(b, &range);
}


static void
im_mongo_put_rest(bson_t *b, im_column_t *columns, im_mongo_bound_t *low,
    im_mongo_bound_t *high, ngx_uint_t i)
{
    bson_t  and, sub;

    if (!im_mongo_more(low, i)) {

        if (im_mongo_more(high, i)) {
            im_mongo_put_or(b, columns, high, i, 1);
        }

        return;
    }

    if (!im_mongo_more(high, i)) {
        im_mongo_put_or(b, columns, low, i, 0);
        return;
    }

    (void) bson_append_array_begin(b, "$and", -1, &and);

    (void) bson_append_document_begin(&and, "0", -1, &sub);
    im_mongo_put_or(&sub, columns, low, i, 0);
    (void) bson_append_document_end(&and, &sub);

    (void) bson_append_document_begin(&and, "1", -1, &sub);
    im_mongo_put_or(&sub, columns, high, i, 1);
    (void) bson_append_document_end(&and, &sub);

    (void) bson_append_array_end(b, &and);
}


/* Whether the bound has columns behind column i. */

static ngx_uint_t
im_mongo_more(im_mongo_bound_t *bound, ngx_uint_t i)
{
    return i + 1 < bound->n;
}


/* $or: [ { c: { $gt: v } }, { c: v, and of the next columns } ] */

static void
im_mongo_put_or(bson_t *b, im_column_t *columns, im_mongo_bound_t *bound,
    ngx_uint_t i, ngx_uint_t upper)
{
    bson_t  or, sub;

    (void) bson_append_array_begin(b, "$or", -1, &or);

    (void) bson_append_document_begin(&or, "0", -1, &sub);
    im_mongo_put_compare(&sub, &columns[i], bound, i, upper ? "$lt" : "$gt");
    (void) bson_append_document_end(&or, &sub);

    (void) bson_append_document_begin(&or, "1", -1, &sub);
    im_mongo_put_column(&sub, columns[i].name, &columns[i], bound, i);
    im_mongo_put_bound(&sub, columns, bound, i + 1, upper);
    (void) bson_append_document_end(&or, &sub);

    (void) bson_append_array_end(b, &or);
}


static void
im_mongo_put_bound(bson_t *b, im_column_t *columns, im_mongo_bound_t *bound,
    ngx_uint_t i, ngx_uint_t upper)
{
    if (im_mongo_more(bound, i)) {
        im_mongo_put_or(b, columns, bound, i, upper);

    } else {
        im_mongo_put_compare(b, &columns[i], bound, i,
                             upper ? "$lte" : bound->beyond ? "$gt" : "$gte");
    }
}


static void
im_mongo_put_compare(bson_t *b, im_column_t *column, im_mongo_bound_t *bound,
    ngx_uint_t i, const char *op)
{
    bson_t  range;

    (void) bson_append_document_begin(b, column->name, -1, &range);
    im_mongo_put_value(&range, op, column, bound, i);
    (void) bson_append_document_end(b, &range);
}


static void
im_mongo_put_value(bson_t *b, const char *op, im_column_t *column,
    im_mongo_bound_t *bound, ngx_uint_t i)
{
    u_char  text[IM_KEY_LEN + 4];

    if (!bound->part || i != bound->n - 1 || op[1] != 'l') {
        im_mongo_put_column(b, op, column, bound, i);
        return;
    }

    /* up to all that begins so: the last character of Unicode */

    ngx_memcpy(text, bound->str[i].data, bound->str[i].len);
    ngx_memcpy(text + bound->str[i].len, "\xf4\x8f\xbf\xbf", 4);

    (void) bson_append_utf8(b, op, -1, (char *) text,
                            (int) bound->str[i].len + 4);
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
