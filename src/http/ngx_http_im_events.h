
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _NGX_HTTP_IM_EVENTS_H_INCLUDED_
#define _NGX_HTTP_IM_EVENTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "core/im_error.h"
#include "web/im_guest.h"


/* What ngx_http_im_events.c and ngx_http_im_events_output.c share. */

/* Frames that the connection, or nginx's filters, have, each until it is sent.
 * Filters may look at the buffers later: their memory is the reader's. */

typedef struct ngx_http_im_event_s  ngx_http_im_event_t;

struct ngx_http_im_event_s {
    ngx_http_im_event_t   *next;
    im_frame_t            *frame;
    ngx_buf_t              buf;
    ngx_chain_t            chain;
};


/* What is needed until the room is open. */

typedef struct {
    im_ctx_t               ctx;
    ngx_str_t              gid;
    im_code_t              code;
} ngx_http_im_open_t;


/*
 * A reader of a room has memory of its own: the coroutine that opens the room
 * may end after the request.  By HTTP/1.1 the request is given back when its
 * answer has begun: an idle reader costs the connection and this.  By HTTP/2
 * and for HTTP/1.0 all goes through the request.
 */

typedef struct {
    im_guest_t             guest;
    ngx_http_request_t    *request;  /* NULL: given back, or has ended */
    ngx_connection_t      *connection;  /* NULL: the request's, or closed */
    ngx_http_cleanup_t    *cleanup;
    ngx_pool_t            *pool;     /* NULL: opened */
    ngx_http_im_open_t    *open;

    ngx_queue_t            queue;    /* in order of the last frame */
    ngx_msec_t             active;

    ngx_http_im_event_t   *first;    /* given to the filters, not sent */
    ngx_http_im_event_t  **last;
    ngx_http_im_event_t   *next;     /* of them, not given yet */
    ngx_http_im_event_t   *free;
    ngx_http_im_event_t    own;      /* mostly one is enough */
    size_t                 unsent;

    ngx_buf_t              buf;      /* to flush filters, without data */
    ngx_chain_t            chain;

    ngx_event_t            event;    /* posted: something is to be done */

    unsigned               opening:1;
    unsigned               started:1;
    unsigned               closing:1;
    unsigned               failed:1;
} ngx_http_im_reader_t;


void ngx_http_im_events_active(ngx_http_im_reader_t *reader);

/* As im_guest_ops_t says. */
ngx_int_t ngx_http_im_events_send(im_guest_t *guest, im_frame_t *frame);
ngx_int_t ngx_http_im_events_text(ngx_http_im_reader_t *reader, char *text);

/* Sends what is queued, all in one chain: NGX_OK, NGX_AGAIN, NGX_ERROR. */
ngx_int_t ngx_http_im_events_flush(ngx_http_im_reader_t *reader);


#endif /* _NGX_HTTP_IM_EVENTS_H_INCLUDED_ */
