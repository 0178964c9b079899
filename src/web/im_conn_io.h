
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CONN_IO_H_INCLUDED_
#define _IM_CONN_IO_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "web/im_conn.h"
#include "web/im_ws.h"


/* What im_conn.c, im_conn_read.c and im_conn_write.c share. */

#define IM_CONN_PAUSE       65536    /* unsent: nothing is read */


typedef struct im_conn_out_s  im_conn_out_t;

struct im_conn_out_s {
    im_conn_out_t     *next;
    im_frame_t        *frame;
};


typedef struct {
    u_char            *data;
    uint32_t           len;
    uint32_t           size;
} im_conn_in_t;


struct im_conn_s {
    im_peer_t          peer;
    ngx_connection_t  *connection;

    /* what is not sent; sent counts bytes of the first that are */
    im_conn_out_t     *first;
    im_conn_out_t    **last;
    size_t             unsent;
    size_t             sent;

    uint16_t           deflate;      /* bits of the window, 0: none */
    uint16_t           status;       /* to close with */

    unsigned           started:1;
    unsigned           left:1;       /* the peer is closed */
    unsigned           closed:1;     /* the client has sent Close */
    unsigned           paused:1;
    unsigned           linger:1;

    void             (*done)(ngx_connection_t *c, void *data);
    void              *data;

    ngx_queue_t        queue;        /* in order of the last frame, or among
                                        those that close */
    ngx_msec_t         active;       /* when it was */
    ngx_msec_t         opened;

    /* pieces of a message or, in between, of a control frame; of a length */
    im_conn_in_t       in;
    im_conn_in_t       control;
    im_ws_t            ws;

    ngx_msec_t         second;       /* in which so much was inflated */
    size_t             inflated;
};


/* im_conn.c: it has sent a frame; as im_peer_ops_t says; it is gone at once. */
void im_conn_active(im_conn_t *conn);
void im_conn_close(im_peer_t *peer, ngx_uint_t status);
void im_conn_finalize(im_conn_t *conn);

/* im_conn_read.c */
void im_conn_read_handler(ngx_event_t *rev);
void im_conn_feed(im_conn_t *conn, u_char *p, u_char *last);
void im_conn_in_free(im_conn_in_t *in);

/* im_conn_write.c: as im_peer_ops_t says; a frame at the end of the queue. */
ngx_int_t im_conn_send(im_peer_t *peer, im_frame_t *frame);
ngx_int_t im_conn_push(im_conn_t *conn, im_frame_t *frame);
ngx_int_t im_conn_push_ws(im_conn_t *conn, ngx_uint_t opcode,
    ngx_str_t *payload);

/* NGX_OK: all is sent; NGX_AGAIN: the socket is full; NGX_ERROR. */
ngx_int_t im_conn_flush(im_conn_t *conn);


#endif /* _IM_CONN_IO_H_INCLUDED_ */
