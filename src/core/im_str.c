
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"


#define IM_STR_HIGH  0x8080808080808080ULL    /* of eight bytes */

#define im_str_tail(c)  (((c) & 0xc0) == 0x80)

#define im_str_blank(c)                                                       \
    ((c) == ' ' || (c) == '\t' || (c) == CR || (c) == LF)


ngx_int_t
im_str_dup(ngx_pool_t *pool, ngx_str_t *dst, ngx_str_t *src)
{
    u_char  *p;

    if (src->len == 0) {
        dst->len = 0;
        dst->data = src->data ? (u_char *) "" : NULL;
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, src->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, src->data, src->len);

    dst->len = src->len;
    dst->data = p;

    return NGX_OK;
}


u_char *
im_str_put(u_char *p, ngx_str_t *dst, ngx_str_t *src)
{
    size_t   len;
    u_char  *data;

    len = src->len;
    data = src->data;

    dst->data = p;
    dst->len = len;

    return len ? ngx_cpymem(p, data, len) : p;
}


char *
im_str_c(ngx_pool_t *pool, ngx_str_t *str)
{
    u_char  *p;

    p = ngx_pnalloc(pool, str->len + 1);
    if (p == NULL) {
        return NULL;
    }

    if (str->len) {
        ngx_memcpy(p, str->data, str->len);
    }

    p[str->len] = '\0';

    return (char *) p;
}


void
im_str_trim(ngx_str_t *str)
{
    while (str->len && im_str_blank(str->data[0])) {
        str->data++;
        str->len--;
    }

    while (str->len && im_str_blank(str->data[str->len - 1])) {
        str->len--;
    }
}


ngx_uint_t
im_str_utf8(u_char *p, size_t len)
{
    u_char    c, *last;
    uint64_t  word[4];

    last = p + len;

    while (p < last) {

        /* most of it is ASCII */

        if (last - p >= 32) {
            ngx_memcpy(word, p, 32);

            word[0] |= word[1] | word[2] | word[3];

            if ((word[0] & IM_STR_HIGH) == 0) {
                p += 32;
                continue;
            }
        }

        if (last - p >= 8) {
            ngx_memcpy(word, p, 8);

            if ((word[0] & IM_STR_HIGH) == 0) {
                p += 8;
                continue;
            }
        }

        c = *p;

        if (c < 0x80) {
            p++;
            continue;
        }

        if (c < 0xc2 || c > 0xf4) {
            return 0;
        }

        if (c < 0xe0) {
            if (last - p < 2 || !im_str_tail(p[1])) {
                return 0;
            }

            p += 2;
            continue;
        }

        if (c < 0xf0) {
            if (last - p < 3
                || !im_str_tail(p[1])
                || !im_str_tail(p[2])
                || (c == 0xe0 && p[1] < 0xa0)
                || (c == 0xed && p[1] > 0x9f))
            {
                return 0;
            }

            p += 3;
            continue;
        }

        if (last - p < 4
            || !im_str_tail(p[1])
            || !im_str_tail(p[2])
            || !im_str_tail(p[3])
            || (c == 0xf0 && p[1] < 0x90)
            || (c == 0xf4 && p[1] > 0x8f))
        {
            return 0;
        }

        p += 4;
    }

    return 1;
}


ngx_uint_t
im_str_printable(ngx_str_t *str)
{
    size_t  i;

    for (i = 0; i < str->len; i++) {
        if (str->data[i] < 0x20 || str->data[i] > 0x7e) {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
im_str_int(ngx_str_t *str, int64_t *value)
{
    uint64_t   n;
    ngx_str_t  digits;

    digits = *str;

    if (digits.len && digits.data[0] == '-') {
        digits.data++;
        digits.len--;

        if (im_str_uint64(&digits, &n) != NGX_OK
            || n > (uint64_t) INT64_MAX + 1)
        {
            return NGX_DECLINED;
        }

        *value = (int64_t) (0 - n);

        return NGX_OK;
    }

    if (im_str_uint64(&digits, &n) != NGX_OK || n > INT64_MAX) {
        return NGX_DECLINED;
    }

    *value = (int64_t) n;

    return NGX_OK;
}


ngx_int_t
im_str_uint64(ngx_str_t *str, uint64_t *value)
{
    size_t    i;
    u_char    c;
    uint64_t  n;

    if (str->len == 0) {
        return NGX_DECLINED;
    }

    n = 0;

    for (i = 0; i < str->len; i++) {
        c = str->data[i];

        if (c < '0' || c > '9') {
            return NGX_DECLINED;
        }

        c -= '0';

        if (n >= UINT64_MAX / 10
            && (n > UINT64_MAX / 10 || c > UINT64_MAX % 10))
        {
            return NGX_DECLINED;
        }

        n = n * 10 + c;
    }

    *value = n;

    return NGX_OK;
}


u_char *
im_str_put_int(u_char *p, int64_t value)
{
    u_char    buf[NGX_INT64_LEN], *d, *last;
    uint64_t  n;

    static u_char  pairs[] =
        "00010203040506070809" "10111213141516171819" "20212223242526272829"
        "30313233343536373839" "40414243444546474849" "50515253545556575859"
        "60616263646566676869" "70717273747576777879" "80818283848586878889"
        "90919293949596979899";

    n = value;

    if (value < 0) {
        *p++ = '-';
        n = 0 - n;
    }

    last = buf + sizeof(buf);
    d = last;

    while (n >= 10) {
        d -= 2;
        ngx_memcpy(d, &pairs[2 * (n % 100)], 2);
        n /= 100;
    }

    if (n || d == last) {
        *--d = (u_char) ('0' + n);
    }

    return ngx_cpymem(p, d, last - d);
}


ngx_int_t
im_str_hex(ngx_pool_t *pool, ngx_str_t *dst, ngx_str_t *src)
{
    u_char  *p;

    p = ngx_pnalloc(pool, src->len ? src->len * 2 : 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    dst->len = ngx_hex_dump(p, src->data, src->len) - p;
    dst->data = p;

    return NGX_OK;
}


ngx_int_t
im_str_unhex(ngx_pool_t *pool, ngx_str_t *dst, ngx_str_t *src)
{
    size_t     i, len;
    u_char    *p;
    ngx_int_t  n;

    if (src->len % 2) {
        return NGX_DECLINED;
    }

    len = src->len / 2;

    p = ngx_pnalloc(pool, len ? len : 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < len; i++) {
        n = ngx_hextoi(src->data + 2 * i, 2);
        if (n == NGX_ERROR) {
            return NGX_DECLINED;
        }

        p[i] = (u_char) n;
    }

    dst->len = len;
    dst->data = p;

    return NGX_OK;
}
