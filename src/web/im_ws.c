
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_sha1.h>
#include "core/im_str.h"
#include "web/im_ws.h"


#define IM_WS_GUID  "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


static size_t im_ws_head_len(im_ws_t *ws);
static ngx_int_t im_ws_head_done(im_ws_t *ws);
static void im_ws_unmask(im_ws_t *ws, u_char *p, size_t len);


void
im_ws_init(im_ws_t *ws, uint32_t max)
{
    ngx_memzero(ws, sizeof(im_ws_t));
    ws->max = max;
}


ngx_int_t
im_ws_parse(im_ws_t *ws, u_char **pos, u_char *last, ngx_str_t *piece)
{
    size_t     n;
    u_char    *p;
    ngx_int_t  rc;

    p = *pos;

    if (ws->done) {
        ws->done = 0;
        ws->message = 0;
        ws->total = 0;
    }

    while (!ws->payload) {

        if (ws->have >= 2 && ws->have == im_ws_head_len(ws)) {
            rc = im_ws_head_done(ws);

            if (rc != NGX_OK) {
                *pos = p;
                return rc;
            }

            break;
        }

        if (p == last) {
            *pos = p;
            return NGX_AGAIN;
        }

        ws->head[ws->have++] = *p++;
    }

    n = last - p;

    if (n > ws->left) {
        n = (size_t) ws->left;
    }

    if (n == 0 && ws->left) {
        *pos = p;
        return NGX_AGAIN;
    }

    im_ws_unmask(ws, p, n);

    piece->data = p;
    piece->len = n;

    *pos = p + n;
    ws->left -= n;

    ws->end = (ws->left == 0);
    ws->done = (ws->end && ws->fin && ws->opcode < IM_WS_CLOSE);

    if (ws->end) {
        ws->have = 0;
        ws->payload = 0;
    }

    return NGX_OK;
}


static size_t
im_ws_head_len(im_ws_t *ws)
{
    size_t  n;

    n = (ws->head[1] & 0x80) ? 6 : 2;

    switch (ws->head[1] & 0x7f) {

    case 126:
        return n + 2;

    case 127:
        return n + 8;

    default:
        return n;
    }
}


static ngx_int_t
im_ws_head_done(im_ws_t *ws)
{
    u_char      *h;
    uint64_t     len;
    ngx_uint_t   i, rsv;

    h = ws->head;

    ws->opcode = h[0] & 0x0f;
    rsv = h[0] & 0x70;

    /* the first frame of a message tells whether it is compressed */

    if (rsv == IM_WS_RSV1
        && ws->deflate
        && (ws->opcode == IM_WS_TEXT || ws->opcode == IM_WS_BINARY))
    {
        rsv = 0;
    }

    /* what a client sends has to be masked */

    if (rsv || !(h[1] & 0x80)) {
        return IM_WS_PROTOCOL;
    }

    ws->fin = (h[0] & 0x80) ? 1 : 0;

    len = h[1] & 0x7f;
    i = 2;

    if (len == 126) {
        len = (h[2] << 8) | h[3];
        i = 4;

        if (len < 126) {
            return IM_WS_PROTOCOL;
        }

    } else if (len == 127) {

        for (len = 0; i < 10; i++) {
            len = (len << 8) | h[i];
        }

        if (len < 65536 || (len >> 63)) {
            return IM_WS_PROTOCOL;
        }
    }

    switch (ws->opcode) {

    case IM_WS_CONT:
        if (!ws->message) {
            return IM_WS_PROTOCOL;
        }

        break;

    case IM_WS_TEXT:
    case IM_WS_BINARY:
        if (ws->message) {
            return IM_WS_PROTOCOL;
        }

        ws->message = ws->opcode;
        ws->compressed = (h[0] & IM_WS_RSV1) ? 1 : 0;
        break;

    case IM_WS_CLOSE:
    case IM_WS_PING:
    case IM_WS_PONG:
        if (!ws->fin || len > 125) {
            return IM_WS_PROTOCOL;
        }

        break;

    default:
        return IM_WS_PROTOCOL;
    }

    if (ws->opcode < IM_WS_CLOSE) {

        if (len > ws->max - ws->total) {
            return IM_WS_TOO_BIG;
        }

        ws->total += (uint32_t) len;
    }

    ngx_memmove(&h[0], &h[i], 4);

    ws->left = len;
    ws->key = 0;
    ws->payload = 1;

    return NGX_OK;
}


static void
im_ws_unmask(im_ws_t *ws, u_char *p, size_t len)
{
    size_t    i;
    u_char    key[8];
    uint64_t  mask, word;

    for (i = 0; i < 8; i++) {
        key[i] = ws->head[(ws->key + i) & 3];
    }

    ngx_memcpy(&mask, key, 8);

    for (i = 0; i + 8 <= len; i += 8) {
        ngx_memcpy(&word, &p[i], 8);
        word ^= mask;
        ngx_memcpy(&p[i], &word, 8);
    }

    for ( /* void */ ; i < len; i++) {
        p[i] ^= key[i & 7];
    }

    ws->key = (ws->key + len) & 3;
}


ngx_uint_t
im_ws_close_status(ngx_str_t *payload)
{
    ngx_uint_t  status;

    if (payload->len == 0) {
        return IM_WS_NORMAL;
    }

    if (payload->len == 1) {
        return IM_WS_PROTOCOL;
    }

    status = (payload->data[0] << 8) | payload->data[1];

    if (status < 1000
        || (status > 1003 && status < 1007)
        || (status > 1014 && status < 3000)
        || status > 4999)
    {
        return IM_WS_PROTOCOL;
    }

    if (!im_str_utf8(payload->data + 2, payload->len - 2)) {
        return IM_WS_DATA;
    }

    return status;
}


u_char *
im_ws_head(u_char *p, ngx_uint_t opcode, size_t len)
{
    ngx_int_t  shift;

    *p++ = (u_char) (0x80 | opcode);

    if (len < 126) {
        *p++ = (u_char) len;
        return p;
    }

    if (len < 65536) {
        *p++ = 126;
        shift = 8;

    } else {
        *p++ = 127;
        shift = 56;
    }

    for ( /* void */ ; shift >= 0; shift -= 8) {
        *p++ = (u_char) ((uint64_t) len >> shift);
    }

    return p;
}


ngx_uint_t
im_ws_key_valid(ngx_str_t *key)
{
    u_char     buf[18];
    ngx_str_t  bytes;

    if (key->len != 24) {
        return 0;
    }

    bytes.data = buf;

    return ngx_decode_base64(&bytes, key) == NGX_OK && bytes.len == 16;
}


u_char *
im_ws_accept(u_char *p, ngx_str_t *key)
{
    u_char      sum[20];
    ngx_str_t   bytes, text;
    ngx_sha1_t  sha1;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key->data, key->len);
    ngx_sha1_update(&sha1, IM_WS_GUID, sizeof(IM_WS_GUID) - 1);
    ngx_sha1_final(sum, &sha1);

    bytes.data = sum;
    bytes.len = 20;

    text.data = p;
    ngx_encode_base64(&text, &bytes);

    return p + text.len;
}
