
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_json.h"
#include "core/im_str.h"


#define IM_JSON_BUF_MIN   4096
#define IM_JSON_BUF_KEEP  65536          /* a larger one is given back */

#define IM_JSON_SPARE     32     /* quotes, a colon, a number and a comma */
#define IM_JSON_ESCAPE    (sizeof("\\u0000") - 1)


static u_char *im_json_write(u_char *p, im_json_t *node);
static u_char *im_json_write_items(u_char *p, im_json_t *node);
static u_char *im_json_write_raw(u_char *p, ngx_str_t *text);
static u_char *im_json_write_str(u_char *p, ngx_str_t *text);
static u_char *im_json_write_rest(u_char *p, u_char *src, u_char *last);
static u_char *im_json_escape(u_char *p, u_char c);
static u_char *im_json_grow(u_char *p, size_t len);


/* where all are rendered */

static u_char  *im_json_buf;
static u_char  *im_json_buf_end;


/* Space for len bytes from p on, which may move, or NULL. */

static ngx_inline u_char *
im_json_room(u_char *p, size_t len)
{
    return ((size_t) (im_json_buf_end - p) >= len) ? p : im_json_grow(p, len);
}


ngx_int_t
im_json_render(ngx_pool_t *pool, im_json_t *node, ngx_str_t *out)
{
    ngx_str_t  text;

    if (im_json_text(node, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    out->data = ngx_pnalloc(pool, text.len);
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(out->data, text.data, text.len);
    out->len = text.len;

    return NGX_OK;
}


ngx_int_t
im_json_text(im_json_t *node, ngx_str_t *text)
{
    u_char  *p;

    if (im_json_failed(node)) {
        return NGX_ERROR;
    }

    if (im_json_buf_end - im_json_buf > IM_JSON_BUF_KEEP) {
        ngx_free(im_json_buf);

        im_json_buf = NULL;
        im_json_buf_end = NULL;
    }

    p = im_json_room(im_json_buf, IM_JSON_SPARE);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = im_json_write(p, node);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = im_json_buf;
    text->len = p - im_json_buf;

    return NGX_OK;
}


size_t
im_json_len(im_json_t *node)
{
    ngx_str_t  text;

    return (im_json_text(node, &text) == NGX_OK) ? text.len : 0;
}


static u_char *
im_json_grow(u_char *p, size_t len)
{
    size_t   used, size;
    u_char  *buf;

    used = p - im_json_buf;
    size = ngx_max(2 * (used + len), IM_JSON_BUF_MIN);

    buf = ngx_alloc(size, ngx_cycle->log);
    if (buf == NULL) {
        return NULL;
    }

    if (im_json_buf) {
        ngx_memcpy(buf, im_json_buf, used);
        ngx_free(im_json_buf);
    }

    im_json_buf = buf;
    im_json_buf_end = buf + size;

    return buf + used;
}


/* There is room for a number and one byte more, and then for one byte. */

static u_char *
im_json_write(u_char *p, im_json_t *node)
{
    switch (node->type) {

    case IM_JSON_NULL:
        return ngx_cpymem(p, "null", 4);

    case IM_JSON_BOOL:
        return node->u.flag ? ngx_cpymem(p, "true", 4)
                            : ngx_cpymem(p, "false", 5);

    case IM_JSON_NUM:
        return node->u.text.data ? im_json_write_raw(p, &node->u.text)
                                 : im_str_put_int(p, node->num);

    case IM_JSON_STR:
        return im_json_write_str(p, &node->u.text);

    case IM_JSON_RAW:
        return im_json_write_raw(p, &node->u.text);

    default: /* IM_JSON_OBJ, IM_JSON_LIST */
        return im_json_write_items(p, node);
    }
}


static u_char *
im_json_write_items(u_char *p, im_json_t *node)
{
    im_json_t   *item;
    ngx_uint_t   obj;

    p = im_json_room(p, IM_JSON_SPARE);
    if (p == NULL) {
        return NULL;
    }

    obj = (node->type == IM_JSON_OBJ);

    *p++ = obj ? '{' : '[';

    im_json_each(item, node) {

        if (obj) {
            p = im_json_write_str(p, &item->key);
            if (p == NULL) {
                return NULL;
            }

            *p++ = ':';
        }

        p = im_json_write(p, item);
        if (p == NULL) {
            return NULL;
        }

        *p++ = ',';

        p = im_json_room(p, IM_JSON_SPARE);
        if (p == NULL) {
            return NULL;
        }
    }

    if (node->n) {
        p--;                             /* no comma behind the last one */
    }

    *p++ = obj ? '}' : ']';

    return p;
}


static u_char *
im_json_write_raw(u_char *p, ngx_str_t *text)
{
    p = im_json_room(p, text->len + 1);
    if (p == NULL) {
        return NULL;
    }

    return ngx_cpymem(p, text->data, text->len);
}


/* With quotes, and space for a colon, a number and a comma behind it. */

static u_char *
im_json_write_str(u_char *p, ngx_str_t *text)
{
    u_char    *src, *last, *end;
    uint32_t   head, tail;
    uint64_t   word;

    p = im_json_room(p, text->len + IM_JSON_SPARE);
    if (p == NULL) {
        return NULL;
    }

    src = text->data;
    last = src + text->len;

    *p++ = '"';

    if (text->len < 4) {
        return im_json_write_rest(p, src, last);
    }

    if (text->len < 8) {
        ngx_memcpy(&head, src, 4);
        ngx_memcpy(&tail, last - 4, 4);

        if (im_json_special(((uint64_t) tail << 32) | head)) {
            return im_json_write_rest(p, src, last);
        }

        ngx_memcpy(p, &head, 4);
        p += text->len;
        ngx_memcpy(p - 4, &tail, 4);

        *p++ = '"';

        return p;
    }

    end = last - 8;
    word = im_json_load(end);

    if (im_json_special(word)) {
        return im_json_write_rest(p, src, last);
    }

    while (src < end) {

        if (im_json_special(im_json_load(src))) {
            return im_json_write_rest(p, src, last);
        }

        ngx_memcpy(p, src, 8);
        p += 8;
        src += 8;
    }

    /* the last eight bytes may have some that are written already */

    p -= src - end;
    ngx_memcpy(p, &word, 8);
    p += 8;

    *p++ = '"';

    return p;
}


static u_char *
im_json_write_rest(u_char *p, u_char *src, u_char *last)
{
    u_char  c, *end;

    while (src < last) {

        if (last - src >= 8 && im_json_special(im_json_load(src)) == 0) {
            ngx_memcpy(p, src, 8);
            p += 8;
            src += 8;
            continue;
        }

        end = src + ngx_min(last - src, 8);

        while (src < end) {
            c = *src++;

            if (c >= ' ' && c != '"' && c != '\\') {
                *p++ = c;
                continue;
            }

            p = im_json_room(p, IM_JSON_ESCAPE + (last - src) + IM_JSON_SPARE);
            if (p == NULL) {
                return NULL;
            }

            p = im_json_escape(p, c);
        }
    }

    *p++ = '"';

    return p;
}


static u_char *
im_json_escape(u_char *p, u_char c)
{
    static u_char  hex[] = "0123456789abcdef";

    *p++ = '\\';

    switch (c) {

    case '"':
    case '\\':
        *p++ = c;
        break;

    case '\b':
        *p++ = 'b';
        break;

    case '\t':
        *p++ = 't';
        break;

    case '\n':
        *p++ = 'n';
        break;

    case '\f':
        *p++ = 'f';
        break;

    case '\r':
        *p++ = 'r';
        break;

    default:
        *p++ = 'u';
        *p++ = '0';
        *p++ = '0';
        *p++ = hex[c >> 4];
        *p++ = hex[c & 0xf];
        break;
    }

    return p;
}
