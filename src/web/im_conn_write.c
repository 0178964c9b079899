
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_stat.h"
#include "web/im_conn.h"
#include "web/im_conn_io.h"
#include "web/im_ws.h"


#define IM_CONN_BUFS        64       /* frames written at once */
#define IM_CONN_STUCK       30000    /* without progress of sending */


static ngx_int_t im_conn_write(im_conn_t *conn, im_frame_t *frame);
static ngx_str_t *im_conn_form(im_conn_t *conn, im_frame_t *frame);
static ngx_chain_t *im_conn_send_one(ngx_connection_t *c, ngx_chain_t *cl);
static void im_conn_sent(im_conn_t *conn, ngx_buf_t *bufs, ngx_uint_t n);


/* what may be unsent when a frame of the priority comes */

static size_t  im_conn_limits[2][IM_FRAME_PRIORITIES] = {
    { 262144, 65536, 49152, 32768, 16384 },     /* no session */
    { 262144, 131072, 98304, 81920, 65536 }
};


ngx_int_t
im_conn_send(im_peer_t *peer, im_frame_t *frame)
{
    im_conn_t  *conn = peer->data;

    size_t             limit;
    ngx_connection_t  *c;

    if (peer->closing) {
        return NGX_ERROR;
    }

    c = conn->connection;

    if (frame->alone && conn->first == NULL && c->write->ready
#if (NGX_SSL)
        && c->ssl == NULL
#endif
        )
    {
        return im_conn_write(conn, frame);
    }

    limit = im_conn_limits[peer->session ? 1 : 0]
                          [ngx_min(frame->priority, IM_FRAME_PRIORITIES - 1)];

    /* one more frame, of any length: an answer is not lost by its size */

    if (conn->unsent > limit) {
        if (frame->priority) {
            im_stat_add(IM_STAT_DROPPED, 1);
        }

        return NGX_BUSY;
    }

    return im_conn_push(conn, frame);
}


ngx_int_t
im_conn_push(im_conn_t *conn, im_frame_t *frame)
{
    im_conn_out_t  *out;

    out = ngx_alloc(sizeof(im_conn_out_t), conn->peer.log);
    if (out == NULL) {
        return NGX_ERROR;
    }

    out->next = NULL;
    out->frame = frame;
    im_frame_ref(frame);

    *conn->last = out;
    conn->last = &out->next;
    conn->unsent += frame->text.len;

    /* with a timer set, the socket is full */

    if (!conn->connection->write->timer_set) {
        ngx_post_event(conn->connection->write, &ngx_posted_events);
    }

    return NGX_OK;
}


/* Without a queue, memory and a posted event. */

static ngx_int_t
im_conn_write(im_conn_t *conn, im_frame_t *frame)
{
    ssize_t            n;
    ngx_int_t          rc;
    ngx_str_t         *form;
    ngx_connection_t  *c;

    c = conn->connection;

    form = im_conn_form(conn, frame);
    if (form == NULL) {
        return NGX_ERROR;
    }

    n = c->send(c, form->data, form->len);

    if (n == (ssize_t) form->len) {
        im_stat_add(IM_STAT_FRAMES, 1);
        im_stat_add(IM_STAT_BYTES, n);

        return NGX_OK;
    }

    /* an error comes again when the queue is written */

    rc = im_conn_push(conn, frame);

    if (n > 0) {

        if (rc == NGX_OK) {
            conn->sent = n;

        } else {

            /* half of a frame is sent: the client can only connect again */

            (void) ngx_shutdown_socket(c->fd, SHUT_RDWR);
        }
    }

    return rc;
}


ngx_int_t
im_conn_push_ws(im_conn_t *conn, ngx_uint_t opcode, ngx_str_t *payload)
{
    u_char      *p;
    ngx_int_t    rc;
    im_frame_t  *frame;

    frame = im_frame_alloc(IM_WS_HEAD_MAX + payload->len, conn->peer.log);
    if (frame == NULL) {
        return NGX_ERROR;
    }

    p = im_ws_head(frame->text.data, opcode, payload->len);
    p = ngx_cpymem(p, payload->data, payload->len);

    frame->text.len = p - frame->text.data;
    frame->raw = 1;

    rc = im_conn_push(conn, frame);

    im_frame_unref(frame);

    return rc;
}


ngx_int_t
im_conn_flush(im_conn_t *conn)
{
    off_t              before;
    ngx_str_t         *form;
    ngx_buf_t         *b, bufs[IM_CONN_BUFS];
    ngx_uint_t         n;
    ngx_event_t       *wev;
    ngx_chain_t        chain[IM_CONN_BUFS], *cl;
    im_conn_out_t     *out;
    ngx_connection_t  *c;

    c = conn->connection;
    wev = c->write;

    while (conn->first || c->buffered) {

        n = 0;

        for (out = conn->first; out && n < IM_CONN_BUFS; out = out->next) {

            form = im_conn_form(conn, out->frame);
            if (form == NULL) {
                return NGX_ERROR;
            }

            b = &bufs[n];
            ngx_memzero(b, sizeof(ngx_buf_t));

            b->pos = form->data + (n ? 0 : conn->sent);
            b->last = form->data + form->len;
            b->start = b->pos;
            b->end = b->last;
            b->memory = 1;

            chain[n].buf = b;
            chain[n].next = &chain[n + 1];
            n++;
        }

        if (n) {
            chain[n - 1].next = NULL;
            bufs[n - 1].flush = 1;
        }

        before = c->sent;

        if (n == 1 && !c->buffered) {
            cl = im_conn_send_one(c, chain);

        } else {
            cl = c->send_chain(c, n ? chain : NULL, 0);
        }

        if (cl == NGX_CHAIN_ERROR) {
            return NGX_ERROR;
        }

        im_conn_sent(conn, bufs, n);

        if (cl || c->buffered) {

            if (wev->ready && c->sent != before) {
                continue;
            }

            return im_conn_full(c, before);
        }
    }

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

#if (NGX_SSL)
    if (c->ssl) {
        ngx_ssl_free_buffer(c);
    }
#endif

    return NGX_OK;
}


ngx_int_t
im_conn_full(ngx_connection_t *c, off_t before)
{
    ngx_event_t  *wev;

    wev = c->write;

    /* whoever reads slowly is not stuck */

    if (!wev->timer_set || c->sent != before) {
        ngx_add_timer(wev, IM_CONN_STUCK);
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


/* The same at each call: some of it may be sent. */

static ngx_str_t *
im_conn_form(im_conn_t *conn, im_frame_t *frame)
{
    im_form_e  form;

    form = conn->peer.form;

    if (conn->deflate && frame->text.len <= (size_t) 1 << conn->deflate) {
        form = (form == IM_FORM_TEXT) ? IM_FORM_DEFLATE_TEXT
                                      : IM_FORM_DEFLATE_BINARY;
    }

    return im_frame_form(frame, form);
}


/* send() costs the kernel less than writev(); as c->send_chain() */

static ngx_chain_t *
im_conn_send_one(ngx_connection_t *c, ngx_chain_t *cl)
{
    ssize_t     n;
    ngx_buf_t  *b;

#if (NGX_SSL)
    if (c->ssl) {
        return c->send_chain(c, cl, 0);
    }
#endif

    b = cl->buf;

    n = c->send(c, b->pos, b->last - b->pos);

    if (n == NGX_ERROR) {
        return NGX_CHAIN_ERROR;
    }

    if (n > 0) {
        b->pos += n;
    }

    return b->pos < b->last ? cl : NULL;
}


static void
im_conn_sent(im_conn_t *conn, ngx_buf_t *bufs, ngx_uint_t n)
{
    ngx_uint_t      i;
    im_conn_out_t  *out;

    for (i = 0; i < n; i++) {

        if (bufs[i].pos < bufs[i].last) {
            conn->sent += bufs[i].pos - bufs[i].start;
            return;
        }

        out = conn->first;

        im_stat_add(IM_STAT_FRAMES, 1);
        im_stat_add(IM_STAT_BYTES, conn->sent + bufs[i].end - bufs[i].start);

        conn->first = out->next;
        conn->unsent -= out->frame->text.len;
        conn->sent = 0;

        if (conn->first == NULL) {
            conn->last = &conn->first;
        }

        im_frame_unref(out->frame);
        ngx_free(out);
    }
}
