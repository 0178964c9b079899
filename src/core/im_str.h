
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_STR_H_INCLUDED_
#define _IM_STR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Compares with a string literal. */
#define im_str_eq_c(a, text)                                                  \
    ((a)->len == sizeof(text) - 1                                             \
     && ngx_memcmp((a)->data, text, sizeof(text) - 1) == 0)


/* Copies the bytes to the pool; NGX_OK or NGX_ERROR.  dst may be src. */
ngx_int_t im_str_dup(ngx_pool_t *pool, ngx_str_t *dst, ngx_str_t *src);

/* A copy with a terminating zero, or NULL without memory. */
char *im_str_c(ngx_pool_t *pool, ngx_str_t *str);

/*
 * 1 if the bytes are UTF-8 as RFC 3629 has it: no overlong forms, no
 * surrogates, nothing above U+10FFFF; otherwise 0.
 */
ngx_uint_t im_str_utf8(u_char *p, size_t len);

/* Copies the bytes to p, which has room for them; answers what follows. */
u_char *im_str_put(u_char *p, ngx_str_t *dst, ngx_str_t *src);

/* Leaves out blanks, tabs and line ends around it. */
void im_str_trim(ngx_str_t *str);

/* 1 if all bytes are 0x20-0x7e (an empty string is), otherwise 0. */
ngx_uint_t im_str_printable(ngx_str_t *str);

/*
 * Decimal digits, for im_str_int() after an optional "-", and nothing else:
 * NGX_OK, or NGX_DECLINED if the text is anything else or out of range.
 */
ngx_int_t im_str_int(ngx_str_t *str, int64_t *value);
ngx_int_t im_str_uint64(ngx_str_t *str, uint64_t *value);

/* Writes it with at most 20 characters; answers what follows. */
u_char *im_str_put_int(u_char *p, int64_t value);

/* Lower case hex digits of the bytes; NGX_OK or NGX_ERROR. */
ngx_int_t im_str_hex(ngx_pool_t *pool, ngx_str_t *dst, ngx_str_t *src);

/*
 * The bytes that hex digits of either case stand for: NGX_OK, NGX_DECLINED
 * if it is not pairs of hex digits, or NGX_ERROR.
 */
ngx_int_t im_str_unhex(ngx_pool_t *pool, ngx_str_t *dst, ngx_str_t *src);


static ngx_inline ngx_uint_t
im_str_eq(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}


#endif /* _IM_STR_H_INCLUDED_ */
