
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <zlib.h>
#include "core/im_str.h"
#include "web/im_ws_deflate.h"


#define IM_WS_INFLATE_BUFFER  16384
#define IM_WS_INFLATE_SLICE   4096

/* What a compressor makes is hardly longer than the text.  Blocks that are
 * empty cost time for nothing, so they are limited by what has come out. */

#define im_ws_inflate_most(made)  ((made) + (made) / 8 + 16384)


typedef enum {
    IM_WS_DEFLATE_SERVER_CONTEXT = 0,
    IM_WS_DEFLATE_CLIENT_CONTEXT,
    IM_WS_DEFLATE_SERVER_BITS,
    IM_WS_DEFLATE_CLIENT_BITS,
    IM_WS_DEFLATE_PARAMS
} im_ws_deflate_param_e;


static ngx_int_t im_ws_deflate_params(u_char *p, u_char *last,
    ngx_uint_t *bits);
static ngx_uint_t im_ws_deflate_bits(ngx_str_t *value);
static void im_ws_deflate_trim(ngx_str_t *s);
static u_char *im_ws_deflate_end(u_char *p, u_char *last, u_char c);


static ngx_str_t  im_ws_deflate_names[IM_WS_DEFLATE_PARAMS] = {
    ngx_string("server_no_context_takeover"),
    ngx_string("client_no_context_takeover"),
    ngx_string("server_max_window_bits"),
    ngx_string("client_max_window_bits")
};


/* what ends each message, and is not sent */

static u_char      im_ws_deflate_tail[] = { 0x00, 0x00, 0xff, 0xff };

static z_stream    im_ws_out;
static u_char     *im_ws_out_buffer;
static size_t      im_ws_out_size;

static z_stream    im_ws_in;
static u_char      im_ws_in_buffer[IM_WS_INFLATE_BUFFER];
static ngx_uint_t  im_ws_in_ready;
static ngx_uint_t  im_ws_in_tail;
static ngx_uint_t  im_ws_in_whole;
static size_t      im_ws_in_left;    /* that zlib does not have yet */
static size_t      im_ws_in_used;
static size_t      im_ws_in_made;


ngx_int_t
im_ws_deflate_offer(ngx_str_t *value, ngx_uint_t *bits)
{
    u_char     *p, *last, *end, *semicolon;
    ngx_str_t   name;

    p = value->data;
    last = p + value->len;

    /* offers in the order in which the client likes them */

    for ( /* void */ ; p < last; p = end + 1) {

        end = im_ws_deflate_end(p, last, ',');
        semicolon = im_ws_deflate_end(p, end, ';');

        name.data = p;
        name.len = semicolon - p;
        im_ws_deflate_trim(&name);

        if (im_str_eq_c(&name, "permessage-deflate")
            && im_ws_deflate_params(semicolon, end, bits) == NGX_OK)
        {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* ; name [ = value ] */

static ngx_int_t
im_ws_deflate_params(u_char *p, u_char *last, ngx_uint_t *bits)
{
    u_char      *end, *equals;
    ngx_str_t    name, value;
    ngx_uint_t   i, n, seen;

    *bits = 0;
    seen = 0;

    while (p < last) {

        end = im_ws_deflate_end(++p, last, ';');
        equals = im_ws_deflate_end(p, end, '=');

        name.data = p;
        name.len = equals - p;
        im_ws_deflate_trim(&name);

        ngx_str_null(&value);

        if (equals < end) {
            value.data = equals + 1;
            value.len = end - value.data;
            im_ws_deflate_trim(&value);
        }

        p = end;

        for (i = 0; i < IM_WS_DEFLATE_PARAMS; i++) {
            if (im_str_eq(&name, &im_ws_deflate_names[i])) {
                break;
            }
        }

        if (i == IM_WS_DEFLATE_PARAMS || (seen & 1 << i)) {
            return NGX_DECLINED;
        }

        seen |= 1 << i;
        n = im_ws_deflate_bits(&value);

        switch (i) {

        case IM_WS_DEFLATE_SERVER_BITS:
            *bits = n;

            if (n == 0) {
                return NGX_DECLINED;
            }

            break;

        case IM_WS_DEFLATE_CLIENT_BITS:
            if (value.data && n == 0) {
                return NGX_DECLINED;
            }

            break;

        default:
            if (value.data) {
                return NGX_DECLINED;
            }
        }
    }

    return NGX_OK;
}


/* 0: not a number from 8 to 15 */

static ngx_uint_t
im_ws_deflate_bits(ngx_str_t *value)
{
    ngx_int_t  n;

    if (value->len >= 2 && value->data[0] == '"'
        && value->data[value->len - 1] == '"')
    {
        value->data++;
        value->len -= 2;
    }

    if (value->len == 0 || value->len > 2 || value->data[0] == '0') {
        return 0;
    }

    n = ngx_atoi(value->data, value->len);

    return (n >= IM_WS_DEFLATE_BITS_MIN && n <= IM_WS_DEFLATE_BITS_MAX) ? n : 0;
}


static void
im_ws_deflate_trim(ngx_str_t *s)
{
    while (s->len && (*s->data == ' ' || *s->data == '\t')) {
        s->data++;
        s->len--;
    }

    while (s->len && (s->data[s->len - 1] == ' '
                      || s->data[s->len - 1] == '\t'))
    {
        s->len--;
    }
}


static u_char *
im_ws_deflate_end(u_char *p, u_char *last, u_char c)
{
    while (p < last && *p != c) {
        p++;
    }

    return p;
}


u_char *
im_ws_deflate_answer(u_char *p, ngx_uint_t bits)
{
    p = ngx_sprintf(p, "permessage-deflate; server_no_context_takeover; "
                       "client_no_context_takeover");

    if (bits) {
        p = ngx_sprintf(p, "; server_max_window_bits=%ui", bits);
    }

    return p;
}


ngx_int_t
im_ws_deflate(ngx_str_t *text, ngx_str_t *payload)
{
    int        rc;
    size_t     size;
    z_stream  *z;

    z = &im_ws_out;

    if (z->state == NULL) {
        rc = deflateInit2(z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS,
                          MAX_MEM_LEVEL - 1, Z_DEFAULT_STRATEGY);

    } else {
        rc = deflateReset(z);
    }

    if (rc != Z_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "deflateInit2() failed: %d", rc);
        return NGX_ERROR;
    }

    /* the tail, too */

    size = deflateBound(z, text->len) + 16;

    if (size > im_ws_out_size) {

        if (im_ws_out_buffer) {
            ngx_free(im_ws_out_buffer);
            im_ws_out_size = 0;
        }

        im_ws_out_buffer = ngx_alloc(size, ngx_cycle->log);
        if (im_ws_out_buffer == NULL) {
            return NGX_ERROR;
        }

        im_ws_out_size = size;
    }

    z->next_in = text->data;
    z->avail_in = text->len;
    z->next_out = im_ws_out_buffer;
    z->avail_out = im_ws_out_size;

    rc = deflate(z, Z_SYNC_FLUSH);

    if (rc != Z_OK || z->avail_in || z->avail_out == 0) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "deflate(Z_SYNC_FLUSH) failed: %d", rc);
        return NGX_ERROR;
    }

    payload->data = im_ws_out_buffer;
    payload->len = im_ws_out_size - z->avail_out - sizeof(im_ws_deflate_tail);

    return NGX_OK;
}


ngx_int_t
im_ws_inflate_start(ngx_str_t *payload)
{
    int        rc;
    z_stream  *z;

    z = &im_ws_in;

    if (!im_ws_in_ready) {
        rc = inflateInit2(z, -MAX_WBITS);

    } else {
        rc = inflateReset(z);
    }

    if (rc != Z_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "inflateInit2() failed: %d", rc);
        return NGX_ERROR;
    }

    im_ws_in_ready = 1;
    im_ws_in_tail = 0;
    im_ws_in_whole = 0;

    im_ws_in_left = payload->len;
    im_ws_in_used = 0;
    im_ws_in_made = 0;

    z->next_in = payload->data;
    z->avail_in = 0;

    return NGX_OK;
}


ngx_int_t
im_ws_inflate(ngx_str_t *piece)
{
    int        rc;
    z_stream  *z;

    z = &im_ws_in;

    z->next_out = im_ws_in_buffer;
    z->avail_out = IM_WS_INFLATE_BUFFER;

    do {
        if (z->avail_in == 0 && im_ws_in_left) {

            if (im_ws_in_used
                > im_ws_inflate_most(im_ws_in_made + IM_WS_INFLATE_BUFFER
                                     - z->avail_out))
            {
                return NGX_DECLINED;
            }

            z->avail_in = ngx_min(im_ws_in_left, IM_WS_INFLATE_SLICE);
            im_ws_in_left -= z->avail_in;
            im_ws_in_used += z->avail_in;

        } else if (z->avail_in == 0 && !im_ws_in_tail) {
            im_ws_in_tail = 1;
            z->next_in = im_ws_deflate_tail;
            z->avail_in = sizeof(im_ws_deflate_tail);
        }

        rc = inflate(z, Z_SYNC_FLUSH);

        if (rc == Z_STREAM_END) {

            /* a client may end its stream in each message */

            im_ws_in_whole = 1;
            rc = inflateReset(z);

        } else if (rc == Z_OK) {

            /* between two blocks */

            im_ws_in_whole = z->data_type & 128;
        }

        if (rc != Z_OK && rc != Z_BUF_ERROR) {
            return NGX_DECLINED;
        }

    } while (z->avail_out
             && (z->avail_in || im_ws_in_left || !im_ws_in_tail));

    piece->data = im_ws_in_buffer;
    piece->len = IM_WS_INFLATE_BUFFER - z->avail_out;

    im_ws_in_made += piece->len;

    if (piece->len) {
        return NGX_OK;
    }

    return im_ws_in_whole ? NGX_DONE : NGX_DECLINED;
}
