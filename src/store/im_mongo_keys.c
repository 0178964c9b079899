
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_mongo.h"


/*
 * Several keys as one filter.  The server plans each branch of an $or by
 * itself; keys that differ in one column only, and nearly all do, are one
 * branch: { a: 1, b: { $in: [ ... ] }, c: 3 }.
 */


#define IM_MONGO_ALIKE  4            /* such branches, at most */


typedef struct {
    im_key_t          *key;          /* the first one of them */
    ngx_uint_t         column;       /* in which the others differ from it */
    ngx_uint_t         n;            /* values of that column, 0: no others */
    bson_t             values;
} im_mongo_alike_t;


static ngx_uint_t im_mongo_keys_whole(im_table_t *table, im_key_t *key);
static ngx_uint_t im_mongo_keys_join(im_mongo_alike_t *alike,
    im_table_t *table, im_key_t *key);
static ngx_uint_t im_mongo_keys_differ(im_table_t *table, im_key_t *one,
    im_key_t *two, ngx_uint_t *column);
static void im_mongo_keys_value(im_mongo_alike_t *alike, im_table_t *table,
    im_key_t *key);
static void im_mongo_keys_branch(bson_t *b, im_table_t *table,
    im_mongo_alike_t *alike);
static void im_mongo_keys_column(bson_t *b, const char *name,
    im_column_t *col, u_char *p);
static u_char *im_mongo_keys_next(im_column_t *col, u_char *p, u_char *end);


ngx_int_t
im_mongo_put_keys(bson_t *b, im_table_t *table, im_key_t **keys, ngx_uint_t n)
{
    char               number[NGX_INT_T_LEN + 1];
    bson_t             or, branch;
    ngx_uint_t         i, k, nalike, nor;
    im_mongo_alike_t   alike[IM_MONGO_ALIKE];

    bson_init(&or);

    nalike = 0;
    nor = 0;

    for (i = 0; i < n; i++) {

        if (!im_mongo_keys_whole(table, keys[i])) {
            continue;
        }

        for (k = 0; k < nalike; k++) {
            if (im_mongo_keys_join(&alike[k], table, keys[i])) {
                break;
            }
        }

        if (k < nalike) {
            continue;
        }

        if (nalike < IM_MONGO_ALIKE) {
            alike[nalike].key = keys[i];
            alike[nalike].n = 0;
            bson_init(&alike[nalike].values);
            nalike++;
            continue;
        }

        (void) ngx_sprintf((u_char *) number, "%ui%Z", nor++);
        (void) bson_append_document_begin(&or, number, -1, &branch);
        (void) im_mongo_put_key(&branch, table, keys[i]);
        (void) bson_append_document_end(&or, &branch);
    }

    for (k = 0; k < nalike; k++) {

        if (nalike == 1) {
            im_mongo_keys_branch(b, table, &alike[k]);

        } else {
            (void) ngx_sprintf((u_char *) number, "%ui%Z", nor++);
            (void) bson_append_document_begin(&or, number, -1, &branch);
            im_mongo_keys_branch(&branch, table, &alike[k]);
            (void) bson_append_document_end(&or, &branch);
        }

        bson_destroy(&alike[k].values);
    }

    if (nor) {
        (void) bson_append_array(b, "$or", -1, &or);
    }

    bson_destroy(&or);

    return nalike ? NGX_OK : NGX_DECLINED;
}


/* A shorter one, which is that of no row, would find those of others. */

static ngx_uint_t
im_mongo_keys_whole(im_table_t *table, im_key_t *key)
{
    u_char       *p, *end;
    im_column_t  *col;

    p = key->data + 8;
    end = key->data + key->len;

    for (col = table->key; col->name && p; col++) {
        p = im_mongo_keys_next(col, p, end);
    }

    return p == end;
}


static ngx_uint_t
im_mongo_keys_join(im_mongo_alike_t *alike, im_table_t *table, im_key_t *key)
{
    ngx_uint_t  n, column;

    n = im_mongo_keys_differ(table, alike->key, key, &column);

    if (n == 0) {
        return 1;
    }

    if (n > 1 || (alike->n && column != alike->column)) {
        return 0;
    }

    if (alike->n == 0) {
        alike->column = column;
        im_mongo_keys_value(alike, table, alike->key);
    }

    im_mongo_keys_value(alike, table, key);

    return 1;
}


/* In how many columns; the last one of them. */

static ngx_uint_t
im_mongo_keys_differ(im_table_t *table, im_key_t *one, im_key_t *two,
    ngx_uint_t *column)
{
    u_char       *p, *q, *pnext, *qnext;
    ngx_uint_t    i, n;

    p = one->data + 8;
    q = two->data + 8;
    n = 0;

    for (i = 0; table->key[i].name; i++) {

        pnext = im_mongo_keys_next(&table->key[i], p, one->data + one->len);
        qnext = im_mongo_keys_next(&table->key[i], q, two->data + two->len);

        if (pnext - p != qnext - q || ngx_memcmp(p, q, pnext - p) != 0) {
            *column = i;
            n++;
        }

        p = pnext;
        q = qnext;
    }

    return n;
}


static void
im_mongo_keys_value(im_mongo_alike_t *alike, im_table_t *table, im_key_t *key)
{
    u_char      *p;
    char         number[NGX_INT_T_LEN + 1];
    ngx_uint_t   i;

    p = key->data + 8;

    for (i = 0; i < alike->column; i++) {
        p = im_mongo_keys_next(&table->key[i], p, key->data + key->len);
    }

    (void) ngx_sprintf((u_char *) number, "%ui%Z", alike->n++);
    im_mongo_keys_column(&alike->values, number, &table->key[i], p);
}


static void
im_mongo_keys_branch(bson_t *b, im_table_t *table, im_mongo_alike_t *alike)
{
    u_char       *p, *end;
    bson_t        in;
    int64_t       app;
    ngx_uint_t    i;
    im_column_t  *col;

    p = alike->key->data;
    end = p + alike->key->len;

    (void) im_key_get_int(&p, end, &app);
    (void) bson_append_int64(b, IM_MONGO_APP, -1, app);

    for (i = 0; table->key[i].name; i++) {
        col = &table->key[i];

        if (alike->n && i == alike->column) {
            (void) bson_append_document_begin(b, col->name, -1, &in);
            (void) bson_append_array(&in, "$in", -1, &alike->values);
            (void) bson_append_document_end(b, &in);

        } else {
            im_mongo_keys_column(b, col->name, col, p);
        }

        p = im_mongo_keys_next(col, p, end);
    }
}


static void
im_mongo_keys_column(bson_t *b, const char *name, im_column_t *col,
    u_char *p)
{
    int64_t  n;

    if (col->type == IM_COL_STR) {
        (void) bson_append_utf8(b, name, -1, (char *) p, -1);
        return;
    }

    (void) im_key_get_int(&p, p + 8, &n);
    (void) bson_append_int64(b, name, -1, n);
}


/* Behind the column at p; NULL: it is cut short. */

static u_char *
im_mongo_keys_next(im_column_t *col, u_char *p, u_char *end)
{
    if (col->type == IM_COL_STR) {
        p = memchr(p, '\0', end - p);
        return p ? p + 1 : NULL;
    }

    return (end - p >= 8) ? p + 8 : NULL;
}
