
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_json.h"


#define IM_JSON_INT_LEN  (sizeof("-9223372036854775808") - 1)

#define IM_JSON_ONES     0x0101010101010101ULL
#define IM_JSON_HIGH     0x8080808080808080ULL


static im_json_t *im_json_new_root(ngx_pool_t *pool, im_json_type_e type);
static im_json_t *im_json_append(im_json_t *parent, const char *name,
    im_json_type_e type);
static void im_json_fail(im_json_t *node);
static im_json_t *im_json_text(im_json_t *node, ngx_str_t *value);
static im_json_t *im_json_ctext(im_json_t *node, const char *value);
static im_json_t *im_json_int(im_json_t *node, int64_t value);
static im_json_t *im_json_flag(im_json_t *node, ngx_uint_t value);
static im_json_t *im_json_raw(im_json_t *node, ngx_str_t *value);
static im_json_t *im_json_attach(im_json_t *parent, const char *name,
    im_json_t *node);

static u_char *im_json_digits(u_char *buf, int64_t value);
static ngx_inline ngx_uint_t im_json_plain_word(u_char *p);


/* bytes that a string cannot hold as they are; 'u' stands for \u00XX */

static u_char  im_json_escapes[256] = {
    ['"'] = '"', ['\\'] = '\\',
    ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
    [0x00] = 'u', [0x01] = 'u', [0x02] = 'u', [0x03] = 'u', [0x04] = 'u',
    [0x05] = 'u', [0x06] = 'u', [0x07] = 'u', [0x0b] = 'u', [0x0e] = 'u',
    [0x0f] = 'u', [0x10] = 'u', [0x11] = 'u', [0x12] = 'u', [0x13] = 'u',
    [0x14] = 'u', [0x15] = 'u', [0x16] = 'u', [0x17] = 'u', [0x18] = 'u',
    [0x19] = 'u', [0x1a] = 'u', [0x1b] = 'u', [0x1c] = 'u', [0x1d] = 'u',
    [0x1e] = 'u', [0x1f] = 'u'
};


static im_json_t *
im_json_new_root(ngx_pool_t *pool, im_json_type_e type)
{
    im_json_t  *node;

    node = im_json_new(pool, type);
    if (node == NULL) {
        return NULL;
    }

    node->root = ngx_pcalloc(pool, sizeof(im_json_root_t));
    if (node->root == NULL) {
        return NULL;
    }

    node->root->pool = pool;

    return node;
}


im_json_t *
im_json_new_obj(ngx_pool_t *pool)
{
    return im_json_new_root(pool, IM_JSON_OBJ);
}


im_json_t *
im_json_new_list(ngx_pool_t *pool)
{
    return im_json_new_root(pool, IM_JSON_LIST);
}


/* name is NULL if the parent is a list */

static im_json_t *
im_json_append(im_json_t *parent, const char *name, im_json_type_e type)
{
    im_json_t  *node;

    if (im_json_failed(parent)) {
        return NULL;
    }

    if (parent->type != (name ? IM_JSON_OBJ : IM_JSON_LIST)
        || parent->shared)
    {
        goto failed;
    }

    node = im_json_new(parent->root->pool, type);
    if (node == NULL) {
        goto failed;
    }

    if (name) {
        node->key.len = ngx_strlen(name);
        node->key.data = (u_char *) name;
    }

    if (type == IM_JSON_OBJ || type == IM_JSON_LIST) {
        node->root = parent->root;
    }

    im_json_link(parent, node);

    return node;

failed:

    im_json_fail(parent);

    return NULL;
}


void
im_json_link(im_json_t *parent, im_json_t *node)
{
    if (parent->n++) {
        parent->u.list.last->next = node;

    } else {
        parent->u.list.first = node;
    }

    parent->u.list.last = node;
}


static void
im_json_fail(im_json_t *node)
{
    if (node && (node->type == IM_JSON_OBJ || node->type == IM_JSON_LIST)) {
        node->root->failed = 1;
    }
}


ngx_uint_t
im_json_failed(im_json_t *node)
{
    if (node == NULL) {
        return 1;
    }

    if (node->type == IM_JSON_OBJ || node->type == IM_JSON_LIST) {
        return node->root->failed;
    }

    return 0;
}


static im_json_t *
im_json_text(im_json_t *node, ngx_str_t *value)
{
    if (node) {
        node->u.text = *value;
    }

    return node;
}


static im_json_t *
im_json_ctext(im_json_t *node, const char *value)
{
    if (node) {
        node->u.text.len = ngx_strlen(value);
        node->u.text.data = (u_char *) value;
    }

    return node;
}


static im_json_t *
im_json_int(im_json_t *node, int64_t value)
{
    if (node) {
        node->is_int = 1;
        node->num = value;
    }

    return node;
}


static im_json_t *
im_json_flag(im_json_t *node, ngx_uint_t value)
{
    if (node) {
        node->u.flag = value ? 1 : 0;
    }

    return node;
}


static im_json_t *
im_json_raw(im_json_t *node, ngx_str_t *value)
{
    if (value->len == 0) {
        return im_json_ctext(node, "null");
    }

    return im_json_text(node, value);
}


static im_json_t *
im_json_attach(im_json_t *parent, const char *name, im_json_t *node)
{
    ngx_str_t   key;
    im_json_t  *copy;

    if (im_json_failed(node)) {
        im_json_fail(parent);
        return NULL;
    }

    copy = im_json_append(parent, name, node->type);
    if (copy == NULL) {
        return NULL;
    }

    key = copy->key;

    *copy = *node;

    copy->key = key;
    copy->next = NULL;
    copy->shared = 1;

    if (node->type == IM_JSON_OBJ || node->type == IM_JSON_LIST) {
        copy->root = parent->root;
    }

    return copy;
}


im_json_t *
im_json_add_str(im_json_t *obj, const char *name, ngx_str_t *value)
{
    return im_json_text(im_json_append(obj, name, IM_JSON_STR), value);
}


im_json_t *
im_json_add_cstr(im_json_t *obj, const char *name, const char *value)
{
    return im_json_ctext(im_json_append(obj, name, IM_JSON_STR), value);
}


im_json_t *
im_json_add_int(im_json_t *obj, const char *name, int64_t value)
{
    return im_json_int(im_json_append(obj, name, IM_JSON_NUM), value);
}


im_json_t *
im_json_add_bool(im_json_t *obj, const char *name, ngx_uint_t value)
{
    return im_json_flag(im_json_append(obj, name, IM_JSON_BOOL), value);
}


im_json_t *
im_json_add_null(im_json_t *obj, const char *name)
{
    return im_json_append(obj, name, IM_JSON_NULL);
}


im_json_t *
im_json_add_obj(im_json_t *obj, const char *name)
{
    return im_json_append(obj, name, IM_JSON_OBJ);
}


im_json_t *
im_json_add_list(im_json_t *obj, const char *name)
{
    return im_json_append(obj, name, IM_JSON_LIST);
}


im_json_t *
im_json_add_raw(im_json_t *obj, const char *name, ngx_str_t *value)
{
    return im_json_raw(im_json_append(obj, name, IM_JSON_RAW), value);
}


im_json_t *
im_json_add_node(im_json_t *obj, const char *name, im_json_t *node)
{
    return im_json_attach(obj, name, node);
}


im_json_t *
im_json_push_str(im_json_t *list, ngx_str_t *value)
{
    return im_json_text(im_json_append(list, NULL, IM_JSON_STR), value);
}


im_json_t *
im_json_push_cstr(im_json_t *list, const char *value)
{
    return im_json_ctext(im_json_append(list, NULL, IM_JSON_STR), value);
}


im_json_t *
im_json_push_int(im_json_t *list, int64_t value)
{
    return im_json_int(im_json_append(list, NULL, IM_JSON_NUM), value);
}


im_json_t *
im_json_push_bool(im_json_t *list, ngx_uint_t value)
{
    return im_json_flag(im_json_append(list, NULL, IM_JSON_BOOL), value);
}


im_json_t *
im_json_push_null(im_json_t *list)
{
    return im_json_append(list, NULL, IM_JSON_NULL);
}


im_json_t *
im_json_push_obj(im_json_t *list)
{
    return im_json_append(list, NULL, IM_JSON_OBJ);
}


im_json_t *
im_json_push_list(im_json_t *list)
{
    return im_json_append(list, NULL, IM_JSON_LIST);
}


im_json_t *
im_json_push_raw(im_json_t *list, ngx_str_t *value)
{
    return im_json_raw(im_json_append(list, NULL, IM_JSON_RAW), value);
}


im_json_t *
im_json_push_node(im_json_t *list, im_json_t *node)
{
    return im_json_attach(list, NULL, node);
}


ngx_int_t
im_json_render(ngx_pool_t *pool, im_json_t *node, ngx_str_t *out)
{
    u_char  *p;

    if (im_json_failed(node)) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(pool, im_json_len(node));
    if (p == NULL) {
        return NGX_ERROR;
    }

    out->data = p;
    out->len = im_json_write(p, node) - p;

    return NGX_OK;
}


size_t
im_json_len(im_json_t *node)
{
    size_t      len, key;
    u_char      buf[IM_JSON_INT_LEN];
    im_json_t  *item;

    switch (node->type) {

    case IM_JSON_NULL:
        return 4;

    case IM_JSON_BOOL:
        return node->u.flag ? 4 : 5;

    case IM_JSON_NUM:
        if (node->u.text.data == NULL) {
            return buf + IM_JSON_INT_LEN - im_json_digits(buf, node->num);
        }

        return node->u.text.len;

    case IM_JSON_STR:
        len = im_json_escape_len(&node->u.text);
        node->plain = (len == node->u.text.len);

        return 2 + len;

    case IM_JSON_RAW:
        return node->u.text.len;

    default: /* IM_JSON_LIST, IM_JSON_OBJ */
        break;
    }

    len = 2 + (node->n ? node->n - 1 : 0);

    im_json_each(item, node) {
        if (node->type == IM_JSON_OBJ) {
            key = im_json_escape_len(&item->key);
            item->plain_key = (key == item->key.len);

            len += 3 + key;
        }

        len += im_json_len(item);
    }

    return len;
}


u_char *
im_json_write(u_char *p, im_json_t *node)
{
    u_char      buf[IM_JSON_INT_LEN], *digits;
    im_json_t  *item;

    switch (node->type) {

    case IM_JSON_NULL:
        return ngx_cpymem(p, "null", 4);

    case IM_JSON_BOOL:
        return node->u.flag ? ngx_cpymem(p, "true", 4)
                            : ngx_cpymem(p, "false", 5);

    case IM_JSON_NUM:
        if (node->u.text.data == NULL) {
            digits = im_json_digits(buf, node->num);
            return ngx_cpymem(p, digits, buf + IM_JSON_INT_LEN - digits);
        }

        return ngx_cpymem(p, node->u.text.data, node->u.text.len);

    case IM_JSON_STR:
        *p++ = '"';
        p = node->plain ? ngx_cpymem(p, node->u.text.data, node->u.text.len)
                        : im_json_escape(p, &node->u.text);
        *p++ = '"';
        return p;

    case IM_JSON_RAW:
        return ngx_cpymem(p, node->u.text.data, node->u.text.len);

    default: /* IM_JSON_LIST, IM_JSON_OBJ */
        break;
    }

    *p++ = (node->type == IM_JSON_OBJ) ? '{' : '[';

    im_json_each(item, node) {
        if (item != node->u.list.first) {
            *p++ = ',';
        }

        if (node->type == IM_JSON_OBJ) {
            *p++ = '"';
            p = item->plain_key
                ? ngx_cpymem(p, item->key.data, item->key.len)
                : im_json_escape(p, &item->key);
            *p++ = '"';
            *p++ = ':';
        }

        p = im_json_write(p, item);
    }

    *p++ = (node->type == IM_JSON_OBJ) ? '}' : ']';

    return p;
}


/* writes to the end of buf, returns the first digit */

static u_char *
im_json_digits(u_char *buf, int64_t value)
{
    u_char    *p;
    uint64_t   n;

    n = (value < 0) ? 0 - (uint64_t) value : (uint64_t) value;

    p = buf + IM_JSON_INT_LEN;

    do {
        *--p = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    if (value < 0) {
        *--p = '-';
    }

    return p;
}


size_t
im_json_escape_len(ngx_str_t *text)
{
    size_t   len;
    u_char  *p, *last;

    if (text->len == 0) {
        return 0;
    }

    p = text->data;
    last = p + text->len;
    len = text->len;

    for ( ;; ) {
        p = im_json_plain(p, last);

        if (p == last) {
            return len;
        }

        len += (im_json_escapes[*p++] == 'u') ? 5 : 1;
    }
}


u_char *
im_json_escape(u_char *p, ngx_str_t *text)
{
    u_char         c, *src, *next, *last;
    static u_char  hex[] = "0123456789abcdef";

    if (text->len == 0) {
        return p;
    }

    src = text->data;
    last = src + text->len;

    for ( ;; ) {
        next = im_json_plain(src, last);
        p = ngx_cpymem(p, src, next - src);

        if (next == last) {
            return p;
        }

        c = *next;
        src = next + 1;

        *p++ = '\\';
        *p++ = im_json_escapes[c];

        if (im_json_escapes[c] == 'u') {
            *p++ = '0';
            *p++ = '0';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 0xf];
        }
    }
}


static ngx_inline ngx_uint_t
im_json_plain_word(u_char *p)
{
    uint64_t  w, quote, slash, control;

    ngx_memcpy(&w, p, 8);

    quote = w ^ (IM_JSON_ONES * '"');
    slash = w ^ (IM_JSON_ONES * '\\');
    control = (w - IM_JSON_ONES * 0x20) & ~w;
    quote = (quote - IM_JSON_ONES) & ~quote;
    slash = (slash - IM_JSON_ONES) & ~slash;

    return ((quote | slash | control) & IM_JSON_HIGH) == 0;
}


/* eight at a time, the last ones together with some before them */

u_char *
im_json_plain(u_char *p, u_char *last)
{
    u_char  *start;

    start = p;

    while (last - p >= 8 && im_json_plain_word(p)) {
        p += 8;
    }

    if (last - p < 8 && last - start >= 8 && im_json_plain_word(last - 8)) {
        return last;
    }

    while (p < last && im_json_escapes[*p] == 0) {
        p++;
    }

    return p;
}
