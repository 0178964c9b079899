
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <zlib.h>
#include "web/im_frame.h"
#include "web/im_ws.h"
#include "web/im_ws_deflate.h"


/*
 * The first form that needs nothing but a head and a tail is made in place,
 * in the room around the text.
 */

#define IM_FRAME_HEAD      IM_WS_HEAD_MAX
#define IM_FRAME_TAIL      2

#define IM_FRAME_COMP_MIN  1024


static ngx_int_t im_frame_wrap(im_frame_t *frame, im_form_e form);
static ngx_int_t im_frame_compress(im_frame_t *frame);
static ngx_int_t im_frame_deflate(im_frame_t *frame, im_form_e form);


static z_stream    im_frame_zstream;
static ngx_uint_t  im_frame_zready;

size_t  im_frame_deflate_min = 512;


im_frame_t *
im_frame_alloc(size_t len, ngx_log_t *log)
{
    im_frame_t  *frame;

    frame = ngx_alloc(sizeof(im_frame_t) + IM_FRAME_HEAD + len + IM_FRAME_TAIL,
                      log);
    if (frame == NULL) {
        return NULL;
    }

    ngx_memzero(frame, sizeof(im_frame_t));

    frame->refs = 1;
    frame->room = 1;
    frame->text.data = (u_char *) frame + sizeof(im_frame_t) + IM_FRAME_HEAD;

    return frame;
}


im_frame_t *
im_frame_raw(u_char *data, size_t len, ngx_log_t *log)
{
    im_frame_t  *frame;

    frame = im_frame_alloc(len, log);
    if (frame == NULL) {
        return NULL;
    }

    ngx_memcpy(frame->text.data, data, len);

    frame->text.len = len;
    frame->raw = 1;

    return frame;
}


void
im_frame_ref(im_frame_t *frame)
{
    frame->refs++;
}


void
im_frame_unref(im_frame_t *frame)
{
    u_char      *start, *end;
    ngx_uint_t   i;

    if (--frame->refs) {
        return;
    }

    start = (u_char *) frame;
    end = frame->text.data + frame->text.len;

    for (i = 0; i < IM_FORM_MAX; i++) {
        if (frame->form[i].data
            && (frame->form[i].data < start || frame->form[i].data > end))
        {
            ngx_free(frame->form[i].data);
        }
    }

    ngx_free(frame);
}


ngx_str_t *
im_frame_form(im_frame_t *frame, im_form_e form)
{
    ngx_int_t  rc;

    if (frame->raw) {
        return &frame->text;
    }

    if (form == IM_FORM_COMP && frame->text.len < IM_FRAME_COMP_MIN) {
        form = IM_FORM_BINARY;
    }

    if (form >= IM_FORM_DEFLATE_TEXT) {

        if (frame->form[form].data == NULL
            && !frame->dense
            && frame->text.len >= im_frame_deflate_min)
        {
            if (im_frame_deflate(frame, form) != NGX_OK) {
                return NULL;
            }
        }

        if (frame->form[form].data) {
            return &frame->form[form];
        }

        form = (form == IM_FORM_DEFLATE_TEXT) ? IM_FORM_TEXT : IM_FORM_BINARY;
    }

    if (frame->form[form].data == NULL) {

        if (form == IM_FORM_COMP) {
            rc = im_frame_compress(frame);

        } else {
            rc = im_frame_wrap(frame, form);
        }

        if (rc != NGX_OK) {
            return NULL;
        }
    }

    return &frame->form[form];
}


static ngx_int_t
im_frame_wrap(im_frame_t *frame, im_form_e form)
{
    size_t      head, tail;
    u_char     *p;
    u_char      buf[sizeof("id: \ndata: ") - 1 + NGX_INT64_LEN];
    ngx_str_t  *dst;

    p = buf;
    tail = 0;

    switch (form) {

    case IM_FORM_TEXT:
        p = im_ws_head(p, IM_WS_TEXT, frame->text.len);
        break;

    case IM_FORM_LENGTH:
        *p++ = (u_char) (frame->text.len >> 24);
        *p++ = (u_char) (frame->text.len >> 16);
        *p++ = (u_char) (frame->text.len >> 8);
        *p++ = (u_char) frame->text.len;
        break;

    case IM_FORM_SSE:
        if (frame->seq) {
            p = ngx_sprintf(p, "id: %uL\n", frame->seq);
        }

        p = ngx_cpymem(p, "data: ", sizeof("data: ") - 1);
        tail = 2;
        break;

    default: /* IM_FORM_BINARY */
        p = im_ws_head(p, IM_WS_BINARY, frame->text.len);
        break;
    }

    head = p - buf;
    dst = &frame->form[form];

    if (frame->room && head <= IM_FRAME_HEAD) {
        frame->room = 0;
        dst->data = frame->text.data - head;

    } else {
        dst->data = ngx_alloc(head + frame->text.len + tail, ngx_cycle->log);
        if (dst->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(dst->data + head, frame->text.data, frame->text.len);
    }

    ngx_memcpy(dst->data, buf, head);

    p = dst->data + head + frame->text.len;

    if (tail) {
        *p++ = '\n';
        *p++ = '\n';
    }

    dst->len = p - dst->data;

    return NGX_OK;
}


/* A stream of its own for each message: one is enough for the worker. */

static ngx_int_t
im_frame_compress(im_frame_t *frame)
{
    int         rc;
    size_t      size, len;
    u_char     *p, *start;
    z_stream   *z;
    ngx_str_t  *dst;

    z = &im_frame_zstream;

    if (!im_frame_zready) {
        if (deflateInit(z, Z_DEFAULT_COMPRESSION) != Z_OK) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "deflateInit() failed");
            return NGX_ERROR;
        }

        im_frame_zready = 1;
    }

    if (deflateReset(z) != Z_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "deflateReset() failed");
        return NGX_ERROR;
    }

    size = deflateBound(z, frame->text.len);

    p = ngx_alloc(IM_WS_HEAD_MAX + 4 + size, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    /* the head is written at last, right before its payload */

    start = p + IM_WS_HEAD_MAX;
    ngx_memcpy(start, "COMP", 4);

    z->next_in = frame->text.data;
    z->avail_in = frame->text.len;
    z->next_out = start + 4;
    z->avail_out = size;

    rc = deflate(z, Z_FINISH);

    if (rc != Z_STREAM_END) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "deflate(Z_FINISH) failed: %d", rc);
        ngx_free(p);
        return NGX_ERROR;
    }

    len = 4 + size - z->avail_out;
    dst = &frame->form[IM_FORM_COMP];

    dst->data = p;
    p = im_ws_head(p, IM_WS_BINARY, len);

    ngx_memmove(p, start, len);
    dst->len = p + len - dst->data;

    return NGX_OK;
}


/* Compressed once: the other form differs in its first byte. */

static ngx_int_t
im_frame_deflate(im_frame_t *frame, im_form_e form)
{
    u_char      *p;
    ngx_str_t    payload, *dst, *other;
    ngx_uint_t   opcode;

    opcode = IM_WS_RSV1
             | (form == IM_FORM_DEFLATE_TEXT ? IM_WS_TEXT : IM_WS_BINARY);

    dst = &frame->form[form];
    other = &frame->form[form == IM_FORM_DEFLATE_TEXT ? IM_FORM_DEFLATE_BINARY
                                                      : IM_FORM_DEFLATE_TEXT];

    if (other->data) {
        dst->data = ngx_alloc(other->len, ngx_cycle->log);
        if (dst->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(dst->data, other->data, other->len);
        dst->len = other->len;
        dst->data[0] = (u_char) (0x80 | opcode);

        return NGX_OK;
    }

    if (im_ws_deflate(&frame->text, &payload) != NGX_OK) {
        return NGX_ERROR;
    }

    if (payload.len >= frame->text.len) {
        frame->dense = 1;
        return NGX_OK;
    }

    dst->data = ngx_alloc(IM_WS_HEAD_MAX + payload.len, ngx_cycle->log);
    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    p = im_ws_head(dst->data, opcode, payload.len);
    p = ngx_cpymem(p, payload.data, payload.len);
    dst->len = p - dst->data;

    return NGX_OK;
}
