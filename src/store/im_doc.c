
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <bson.h>
#include "store/im_store.h"


#define IM_DOC_SIZE  256
#define IM_DOC_MAX   (16 * 1024 * 1024)


struct im_doc_s {
    ngx_pool_t        *pool;
    bson_t            *bson;         /* writes into buf, which it knows */
    uint8_t           *buf;
    size_t             size;
    unsigned           failed:1;
};


static void im_doc_cleanup(void *data);
static void *im_doc_realloc(void *mem, size_t size, void *data);
static ngx_int_t im_doc_grow(im_doc_t *doc, const char *name, size_t len);
static ngx_int_t im_row_column(im_row_t *row, const char *name,
    im_col_e type, ngx_str_t *str, int64_t *value);
static ngx_int_t im_row_key(im_row_t *row, const char *name, im_col_e type,
    ngx_str_t *str, int64_t *value);
static void im_record_load_doc(bson_iter_t *iter, im_record_t *columns,
    void *dst);
static void im_record_load_key(im_row_t *row, im_record_t *columns,
    void *dst);
static im_record_t *im_record_find(im_record_t *columns, const char *name);


void
im_key_init(im_key_t *key, ngx_uint_t app)
{
    key->len = 0;
    key->invalid = 0;

    im_key_int(key, (int64_t) app);
}


void
im_key_str(im_key_t *key, ngx_str_t *value)
{
    if (key->invalid
        || value->len >= IM_KEY_LEN - key->len
        || (value->len && memchr(value->data, '\0', value->len)))
    {
        key->invalid = 1;
        return;
    }

    if (value->len) {
        ngx_memcpy(key->data + key->len, value->data, value->len);
        key->len += value->len;
    }

    key->data[key->len++] = '\0';
}


void
im_key_int(im_key_t *key, int64_t value)
{
    uint64_t  n;

    if (key->invalid || key->len + 8 > IM_KEY_LEN) {
        key->invalid = 1;
        return;
    }

    n = htobe64((uint64_t) value ^ ((uint64_t) 1 << 63));

    ngx_memcpy(key->data + key->len, &n, 8);
    key->len += 8;
}


ngx_int_t
im_key_get_str(u_char **p, u_char *end, ngx_str_t *value)
{
    u_char  *last;

    last = (*p < end) ? memchr(*p, '\0', end - *p) : NULL;

    if (last == NULL) {
        ngx_str_null(value);
        return NGX_ERROR;
    }

    value->data = *p;
    value->len = last - *p;
    *p = last + 1;

    return NGX_OK;
}


ngx_int_t
im_key_get_int(u_char **p, u_char *end, int64_t *value)
{
    uint64_t  n;

    if (end - *p < 8) {
        *value = 0;
        return NGX_ERROR;
    }

    ngx_memcpy(&n, *p, 8);

    *value = (int64_t) (be64toh(n) ^ ((uint64_t) 1 << 63));
    *p += 8;

    return NGX_OK;
}


im_doc_t *
im_doc(ngx_pool_t *pool)
{
    im_doc_t            *doc;
    ngx_pool_cleanup_t  *cln;

    doc = ngx_pcalloc(pool, sizeof(im_doc_t));
    if (doc == NULL) {
        return NULL;
    }

    doc->pool = pool;
    doc->size = IM_DOC_SIZE;

    doc->buf = ngx_pnalloc(pool, doc->size);
    if (doc->buf == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    ngx_memcpy(doc->buf, "\5\0\0\0\0", 5);

    doc->bson = bson_new_from_buffer(&doc->buf, &doc->size, im_doc_realloc,
                                     doc);
    if (doc->bson == NULL) {
        return NULL;
    }

    cln->handler = im_doc_cleanup;
    cln->data = doc->bson;

    return doc;
}


static void
im_doc_cleanup(void *data)
{
    bson_t  *bson = data;

    bson_destroy(bson);
}


/* libbson does not expect it to fail, so im_doc_grow() leaves it no need. */

static void *
im_doc_realloc(void *mem, size_t size, void *data)
{
    im_doc_t  *doc = data;

    uint8_t   *p;

    if (size <= doc->size) {
        return mem;
    }

    p = ngx_pnalloc(doc->pool, size);
    if (p == NULL) {
        return NULL;
    }

    ngx_memcpy(p, mem, doc->size);

    return p;
}


static ngx_int_t
im_doc_grow(im_doc_t *doc, const char *name, size_t len)
{
    size_t    need, size;
    uint8_t  *p;

    if (doc == NULL || doc->failed) {
        return NGX_ERROR;
    }

    /* what bson_append_*() asks for, rounded up */

    need = doc->bson->len + ngx_strlen(name) + len + 16;

    if (len > IM_DOC_MAX || need > IM_DOC_MAX) {
        doc->failed = 1;
        return NGX_ERROR;
    }

    if (need > doc->size) {

        for (size = doc->size; size < need; size *= 2) { /* void */ }

        p = im_doc_realloc(doc->buf, size, doc);
        if (p == NULL) {
            doc->failed = 1;
            return NGX_ERROR;
        }

        doc->buf = p;
        doc->size = size;
    }

    return NGX_OK;
}


void
im_doc_str(im_doc_t *doc, const char *name, ngx_str_t *value)
{
    const char  *p;

    if (im_doc_grow(doc, name, value->len) != NGX_OK) {
        return;
    }

    p = value->len ? (const char *) value->data : "";

    if (!bson_append_utf8(doc->bson, name, -1, p, (int) value->len)) {
        doc->failed = 1;
    }
}


void
im_doc_int(im_doc_t *doc, const char *name, int64_t value)
{
    if (im_doc_grow(doc, name, 8) != NGX_OK) {
        return;
    }

    if (!bson_append_int64(doc->bson, name, -1, value)) {
        doc->failed = 1;
    }
}


ngx_int_t
im_doc_data(im_doc_t *doc, ngx_str_t *data)
{
    if (doc == NULL || doc->failed) {
        ngx_str_null(data);
        return NGX_ERROR;
    }

    data->data = doc->buf;
    data->len = doc->bson->len;

    return NGX_OK;
}


ngx_int_t
im_row_str(im_row_t *row, const char *name, ngx_str_t *value)
{
    ngx_str_null(value);

    return im_row_column(row, name, IM_COL_STR, value, NULL);
}


ngx_int_t
im_row_int(im_row_t *row, const char *name, int64_t *value)
{
    *value = 0;

    return im_row_column(row, name, IM_COL_INT, NULL, value);
}


static ngx_int_t
im_row_column(im_row_t *row, const char *name, im_col_e type, ngx_str_t *str,
    int64_t *value)
{
    uint32_t     len;
    ngx_int_t    rc;
    bson_iter_t  iter;

    rc = im_row_key(row, name, type, str, value);

    if (rc != NGX_DECLINED) {
        return (rc == NGX_OK) ? NGX_OK : NGX_DECLINED;
    }

    if (row->data.len == 0
        || !bson_iter_init_from_data(&iter, row->data.data, row->data.len)
        || !bson_iter_find(&iter, name))
    {
        return NGX_DECLINED;
    }

    if (type == IM_COL_STR) {

        if (!BSON_ITER_HOLDS_UTF8(&iter)) {
            return NGX_DECLINED;
        }

        str->data = (u_char *) bson_iter_utf8(&iter, &len);
        str->len = len;

        return NGX_OK;
    }

    if (!BSON_ITER_HOLDS_INT64(&iter)) {
        return NGX_DECLINED;
    }

    *value = bson_iter_int64(&iter);

    return NGX_OK;
}


/* NGX_DECLINED: not a key column; NGX_ERROR: it is of another type. */

static ngx_int_t
im_row_key(im_row_t *row, const char *name, im_col_e type, ngx_str_t *str,
    int64_t *value)
{
    u_char       *p, *end;
    int64_t       n;
    ngx_int_t     rc;
    ngx_str_t     s;
    im_column_t  *col;

    for (col = row->table->key; col->name; col++) {
        if (ngx_strcmp(col->name, name) == 0) {
            break;
        }
    }

    if (col->name == NULL) {
        return NGX_DECLINED;
    }

    if (col->type != type || row->key.len < 8) {
        return NGX_ERROR;
    }

    n = 0;
    ngx_str_null(&s);

    p = row->key.data + 8;               /* behind the application */
    end = row->key.data + row->key.len;

    for (col = row->table->key; col->name; col++) {

        rc = (col->type == IM_COL_STR) ? im_key_get_str(&p, end, &s)
                                       : im_key_get_int(&p, end, &n);
        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_strcmp(col->name, name) == 0) {
            break;
        }
    }

    if (type == IM_COL_STR) {
        *str = s;

    } else {
        *value = n;
    }

    return NGX_OK;
}


ngx_uint_t
im_row_expired(im_row_t *row, time_t now)
{
    int64_t  expire;

    if (row->table->ttl == IM_TTL_NONE) {
        return 0;
    }

    (void) im_row_int(row, "expire", &expire);

    return expire > 0 && expire <= (int64_t) now;
}


void
im_record_load(im_row_t *row, im_record_t *columns, void *dst)
{
    u_char       *p;
    bson_iter_t   iter;
    im_record_t  *col;

    for (col = columns; col->name.len; col++) {
        p = (u_char *) dst + col->offset;

        if (col->type == IM_COL_STR) {
            ngx_str_null((ngx_str_t *) p);

        } else {
            *(int64_t *) p = 0;
        }
    }

    if (row->data.len
        && bson_iter_init_from_data(&iter, row->data.data, row->data.len))
    {
        im_record_load_doc(&iter, columns, dst);
    }

    im_record_load_key(row, columns, dst);
}


static void
im_record_load_doc(bson_iter_t *iter, im_record_t *columns, void *dst)
{
    u_char       *p;
    uint32_t      len;
    ngx_str_t    *str;
    im_record_t  *col;

    while (bson_iter_next(iter)) {

        col = im_record_find(columns, bson_iter_key(iter));
        if (col == NULL) {
            continue;
        }

        p = (u_char *) dst + col->offset;

        if (col->type == IM_COL_STR && BSON_ITER_HOLDS_UTF8(iter)) {
            str = (ngx_str_t *) p;
            str->data = (u_char *) bson_iter_utf8(iter, &len);
            str->len = len;

        } else if (col->type == IM_COL_INT && BSON_ITER_HOLDS_INT64(iter)) {
            *(int64_t *) p = bson_iter_int64(iter);
        }
    }
}


static void
im_record_load_key(im_row_t *row, im_record_t *columns, void *dst)
{
    u_char       *p, *end;
    int64_t       n;
    ngx_int_t     rc;
    ngx_str_t     s;
    im_column_t  *key;
    im_record_t  *col;

    if (row->key.len < 8) {
        return;
    }

    n = 0;
    ngx_str_null(&s);

    p = row->key.data + 8;               /* behind the application */
    end = row->key.data + row->key.len;

    for (key = row->table->key; key->name; key++) {

        rc = (key->type == IM_COL_STR) ? im_key_get_str(&p, end, &s)
                                       : im_key_get_int(&p, end, &n);
        if (rc != NGX_OK) {
            return;
        }

        col = im_record_find(columns, key->name);

        if (col == NULL || col->type != key->type) {
            continue;
        }

        if (col->type == IM_COL_STR) {
            *(ngx_str_t *) ((u_char *) dst + col->offset) = s;

        } else {
            *(int64_t *) ((u_char *) dst + col->offset) = n;
        }
    }
}


static im_record_t *
im_record_find(im_record_t *columns, const char *name)
{
    im_record_t  *col;

    for (col = columns; col->name.len; col++) {
        if (ngx_strcmp(col->name.data, name) == 0) {
            return col;
        }
    }

    return NULL;
}


im_doc_t *
im_record_doc(ngx_pool_t *pool, im_record_t *columns, void *src)
{
    u_char       *p;
    im_doc_t     *doc;
    const char   *name;
    im_record_t  *col;

    doc = im_doc(pool);

    for (col = columns; col->name.len; col++) {
        p = (u_char *) src + col->offset;
        name = (char *) col->name.data;

        if (col->type == IM_COL_STR) {

            if (((ngx_str_t *) p)->len) {
                im_doc_str(doc, name, (ngx_str_t *) p);
            }

        } else if (*(int64_t *) p) {
            im_doc_int(doc, name, *(int64_t *) p);
        }
    }

    return doc;
}
