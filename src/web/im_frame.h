
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_FRAME_H_INCLUDED_
#define _IM_FRAME_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * One JSON text on its way to any number of connections of this worker.
 * Each form that a transport needs is made once, at its first use, and is
 * read-only from then on.
 */

typedef enum {
    IM_FORM_TEXT = 0,                /* WebSocket text frame */
    IM_FORM_BINARY,                  /* WebSocket binary frame */
    IM_FORM_COMP,                    /* binary frame, "COMP" and zlib */
    IM_FORM_LENGTH,                  /* 4-byte big-endian length, JSON */
    IM_FORM_SSE,                     /* "data: " JSON, two line feeds */
    IM_FORM_DEFLATE_TEXT,            /* the same as IM_FORM_TEXT, compressed */
    IM_FORM_DEFLATE_BINARY,
    IM_FORM_MAX
} im_form_e;


#define IM_FRAME_PRIORITIES  5


typedef struct {
    ngx_uint_t         refs;
    ngx_uint_t         priority;     /* 0: never dropped; 1 High .. 4 Lowest */
    uint64_t           seq;          /* IM_FORM_SSE: "id: " of it, 0: none */
    ngx_str_t          text;
    ngx_str_t          form[IM_FORM_MAX];
    unsigned           raw:1;        /* every form is the text itself */
    unsigned           room:1;       /* no form lies around the text yet */
    unsigned           dense:1;      /* deflate makes it no shorter */
    unsigned           alone:1;      /* no other will be joined with it: it is
                                        written at once if nothing waits */
} im_frame_t;


/* A frame with room for len bytes of text, one reference, text.len = 0; NULL:
 * no memory.  The caller writes the text and sets text.len before sharing. */
im_frame_t *im_frame_alloc(size_t len, ngx_log_t *log);
void im_frame_ref(im_frame_t *frame);
void im_frame_unref(im_frame_t *frame);

/* The bytes to send in that form, or NULL: no memory.  IM_FORM_COMP falls
 * back to IM_FORM_BINARY for texts of less than 1 KiB, IM_FORM_DEFLATE_* to
 * the plain form for those of less than im_frame_deflate_min, and when
 * it does not pay. */
ngx_str_t *im_frame_form(im_frame_t *frame, im_form_e form);

/* The least text that is compressed for WebSocket. */
extern size_t  im_frame_deflate_min;

/* For the transports: bytes that are sent as they are. */
im_frame_t *im_frame_raw(u_char *data, size_t len, ngx_log_t *log);


#endif /* _IM_FRAME_H_INCLUDED_ */
