
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_memory.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "core/im_worker.h"
#include "web/im_conn.h"
#include "web/im_metrics.h"
#include "web/im_web.h"
#include "web/im_ws.h"
#include "web/im_ws_deflate.h"


#define IM_CONN_BUFFER      16384    /* of the worker, to read into */
#define IM_CONN_READS       4        /* buffers read in a row */
#define IM_CONN_BUFS        64       /* frames written at once */
#define IM_CONN_FIRST       1024     /* least size of an incomplete message */

#define IM_CONN_PAUSE       65536    /* unsent: nothing is read */
#define IM_CONN_PONG        4096     /* unsent: pings are not answered */

/* what a connection may send compressed in a second: its length then */
#define IM_CONN_INFLATED    (2 * IM_CONN_MESSAGE_MAX)

#define IM_CONN_STUCK       30000    /* without progress of sending */
#define IM_CONN_LINGER      3000     /* for the client's Close */
#define IM_CONN_TICK        1000
#define IM_CONN_SWEEP       512      /* connections looked at in a tick */
#define IM_CONN_SLICE       100      /* of closing all at exit */
#define IM_CONN_YOUNG       1500     /* clients of that age are kept then */


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

    void             (*done)(ngx_connection_t *c, void *data);
    void              *data;

    ngx_queue_t        queue;        /* in order of the last frame, or among
                                        those that close */
    ngx_msec_t         active;       /* when it was */
    ngx_msec_t         opened;

    /* what is not sent; sent counts bytes of the first that are */
    im_conn_out_t     *first;
    im_conn_out_t    **last;
    size_t             unsent;
    size_t             sent;

    /* pieces of a message or, in between, of a control frame; of a length */
    im_conn_in_t       in;
    im_conn_in_t       control;
    im_ws_t            ws;

    ngx_msec_t         second;       /* in which so much was inflated */
    size_t             inflated;

    uint16_t           status;       /* to close with */
    uint16_t           deflate;      /* bits of the window, 0: none */

    unsigned           started:1;
    unsigned           left:1;       /* the peer is closed */
    unsigned           closed:1;     /* the client has sent Close */
    unsigned           paused:1;
    unsigned           linger:1;
};


static void im_conn_read_handler(ngx_event_t *rev);
static void im_conn_feed(im_conn_t *conn, u_char *p, u_char *last);
static void im_conn_feed_ws(im_conn_t *conn, u_char *p, u_char *last);
static void im_conn_feed_length(im_conn_t *conn, u_char *p, u_char *last);
static ngx_int_t im_conn_inflate(im_conn_t *conn, ngx_str_t *text);
static void im_conn_control(im_conn_t *conn, ngx_str_t *payload);
static void im_conn_message(im_conn_t *conn, ngx_str_t *text);
static ngx_int_t im_conn_keep_text(im_conn_t *conn, ngx_pool_t *pool,
    ngx_str_t *dst, ngx_str_t *text);
static void im_conn_text_free(void *data);
static ngx_int_t im_conn_append(im_conn_in_t *in, ngx_str_t *piece,
    ngx_log_t *log);
static void im_conn_in_free(im_conn_in_t *in);
static ngx_int_t im_conn_send(im_peer_t *peer, im_frame_t *frame);
static void im_conn_close(im_peer_t *peer, ngx_uint_t status);
static ngx_uint_t im_conn_keep(im_conn_t *conn);
static ngx_int_t im_conn_push(im_conn_t *conn, im_frame_t *frame);
static ngx_int_t im_conn_write(im_conn_t *conn, im_frame_t *frame);
static ngx_int_t im_conn_push_ws(im_conn_t *conn, ngx_uint_t opcode,
    ngx_str_t *payload);
static void im_conn_write_handler(ngx_event_t *wev);
static ngx_int_t im_conn_flush(im_conn_t *conn);
static ngx_str_t *im_conn_form(im_conn_t *conn, im_frame_t *frame);
static ngx_chain_t *im_conn_send_one(ngx_connection_t *c, ngx_chain_t *cl);
static void im_conn_sent(im_conn_t *conn, ngx_buf_t *bufs, ngx_uint_t n);
static void im_conn_leave(im_conn_t *conn);
static void im_conn_finish(im_conn_t *conn);
static void im_conn_finalize(im_conn_t *conn);
static void im_conn_tick(ngx_event_t *ev);
static void im_conn_sweep(void);
static void im_conn_drain(ngx_event_t *ev);
static ngx_int_t im_conn_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_conn_exit_process(ngx_cycle_t *cycle);


/* what may be unsent when a frame of the priority comes */

static size_t  im_conn_limits[2][IM_FRAME_PRIORITIES] = {
    { 262144, 65536, 49152, 32768, 16384 },     /* no session */
    { 262144, 131072, 98304, 81920, 65536 }
};


static im_peer_ops_t  im_conn_ops = {
    im_conn_send,
    im_conn_close
};


static ngx_queue_t  im_conn_list;
static ngx_queue_t  im_conn_closing;
static ngx_event_t  im_conn_tick_event;
static ngx_event_t  im_conn_drain_event;
static ngx_msec_t   im_conn_drain_end;
static ngx_uint_t   im_conn_slice;
static ngx_msec_t   im_conn_timeout;    /* the shortest of all applications */
static ngx_uint_t   im_conn_counts[IM_FORM_MAX];
static u_char       im_conn_buffer[IM_CONN_BUFFER];


im_worker_hook_t  im_conn_hook = {
    ngx_string("connections"),
    NULL,                                  /* init_conf */
    NULL,                                  /* init_module */
    im_conn_init_process,
    im_conn_exit_process
};


im_conn_t *
im_conn_create(im_conn_init_t *init, ngx_log_t *log)
{
    im_conn_t  *conn;

    conn = ngx_calloc(sizeof(im_conn_t) + init->ip.len + init->host.len,
                      log);
    if (conn == NULL) {
        return NULL;
    }

    conn->peer.ops = &im_conn_ops;
    conn->peer.data = conn;
    conn->peer.app = init->app;
    conn->peer.form = init->form;
    conn->peer.platform = init->platform;
    conn->peer.ip.len = init->ip.len;
    conn->peer.ip.data = (u_char *) conn + sizeof(im_conn_t);

    conn->peer.host.len = init->host.len;
    conn->peer.host.data = ngx_cpymem(conn->peer.ip.data, init->ip.data,
                                      init->ip.len);
    conn->peer.tls = init->tls;

    ngx_memcpy(conn->peer.host.data, init->host.data, init->host.len);

    conn->done = init->done;
    conn->data = init->data;
    conn->last = &conn->first;

    im_ws_init(&conn->ws, IM_CONN_MESSAGE_MAX);

    conn->deflate = (uint16_t) init->deflate;
    conn->ws.deflate = (init->deflate != 0);

    return conn;
}


void
im_conn_free(im_conn_t *conn)
{
    im_conn_out_t  *out;

    while (conn->first) {
        out = conn->first;
        conn->first = out->next;

        im_frame_unref(out->frame);
        ngx_free(out);
    }

    im_conn_in_free(&conn->in);
    im_conn_in_free(&conn->control);

    ngx_free(conn);
}


void
im_conn_start(im_conn_t *conn, ngx_connection_t *c, ngx_str_t *unread,
    ngx_str_t *unsent)
{
    im_frame_t  *frame;

    conn->connection = c;
    conn->peer.log = c->log;
    conn->active = ngx_current_msec;
    conn->opened = ngx_current_msec;
    conn->started = 1;

    c->data = conn;
    c->read->handler = im_conn_read_handler;
    c->write->handler = im_conn_write_handler;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    ngx_queue_insert_tail(&im_conn_list, &conn->queue);
    im_conn_counts[conn->peer.form]++;
    im_worker_hold(1);

    im_peer_open(&conn->peer);
    im_web_open(&conn->peer);

    if (unsent->len) {
        frame = im_frame_raw(unsent->data, unsent->len, c->log);

        if (frame == NULL) {
            im_conn_finalize(conn);
            return;
        }

        if (im_conn_push(conn, frame) != NGX_OK) {
            im_frame_unref(frame);
            im_conn_finalize(conn);
            return;
        }

        im_frame_unref(frame);
    }

    im_conn_feed(conn, unread->data, unread->data + unread->len);

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        im_conn_finalize(conn);
        return;
    }

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


ngx_uint_t
im_conn_count(im_form_e form)
{
    return im_conn_counts[form];
}


static void
im_conn_read_handler(ngx_event_t *rev)
{
    ssize_t            n;
    ngx_uint_t         i;
    im_conn_t         *conn;
    ngx_connection_t  *c;

    c = rev->data;
    conn = c->data;

    if (rev->timedout || c->close) {
        im_conn_finalize(conn);
        return;
    }

    if (conn->unsent > IM_CONN_PAUSE) {
        conn->paused = 1;
        return;
    }

    for (i = 0; i < IM_CONN_READS; i++) {

        n = c->recv(c, im_conn_buffer, IM_CONN_BUFFER);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            im_conn_finalize(conn);
            return;
        }

        im_conn_feed(conn, im_conn_buffer, im_conn_buffer + n);

        if (!rev->ready) {
            break;
        }
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        im_conn_finalize(conn);
        return;
    }

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_next_events);
    }
}


static void
im_conn_feed(im_conn_t *conn, u_char *p, u_char *last)
{
    if (p == last) {
        return;
    }

    if (conn->peer.form == IM_FORM_LENGTH) {
        im_conn_feed_length(conn, p, last);

    } else {
        im_conn_feed_ws(conn, p, last);
    }
}


static void
im_conn_feed_ws(im_conn_t *conn, u_char *p, u_char *last)
{
    ngx_int_t      rc;
    ngx_str_t      piece, whole;
    ngx_uint_t     control, complete;
    im_conn_in_t  *in;

    /* while we close, only the client's Close is looked for */

    while (!conn->closed) {

        rc = im_ws_parse(&conn->ws, &p, last, &piece);

        if (rc == NGX_AGAIN) {
            return;
        }

        if (rc != NGX_OK) {
            conn->closed = conn->peer.closing;
            im_conn_close(&conn->peer, rc);
            return;
        }

        control = conn->ws.opcode & IM_WS_CLOSE;
        complete = control ? conn->ws.end : conn->ws.done;

        if (!control && conn->peer.closing) {
            continue;
        }

        in = control ? &conn->control : &conn->in;
        whole = piece;

        if (!complete || in->len) {
            rc = im_conn_append(in, &piece, conn->peer.log);

            if (rc != NGX_OK) {
                im_conn_close(&conn->peer, rc);
                return;
            }

            if (!complete) {
                continue;
            }

            whole.data = in->data;
            whole.len = in->len;
        }

        if (!control && conn->ws.compressed) {
            rc = im_conn_inflate(conn, &whole);

            if (rc != NGX_OK) {
                im_conn_close(&conn->peer, rc);
                return;
            }
        }

        if (control) {
            im_conn_control(conn, &whole);

        } else if (conn->ws.message == IM_WS_TEXT
                   && !im_str_utf8(whole.data, whole.len))
        {
            im_conn_close(&conn->peer, IM_WS_DATA);

        } else {
            im_conn_message(conn, &whole);
        }

        im_conn_in_free(in);
    }
}


/* The text takes the place of what has come; its length is limited alike, and
 * that of all in a second: as frames are, few bytes cannot make much work.
 * NGX_OK, or the status to close with. */

static ngx_int_t
im_conn_inflate(im_conn_t *conn, ngx_str_t *text)
{
    ngx_int_t     rc;
    ngx_str_t     piece;
    im_conn_in_t  plain;

    ngx_memzero(&plain, sizeof(im_conn_in_t));

    if (conn->second != ngx_current_msec / 1000) {
        conn->second = ngx_current_msec / 1000;
        conn->inflated = 0;
    }

    rc = im_ws_inflate_start(text);

    while (rc == NGX_OK) {

        rc = im_ws_inflate(&piece);

        if (rc != NGX_OK) {
            break;
        }

        if (piece.len > conn->ws.max - plain.len) {
            rc = IM_WS_TOO_BIG;
            break;
        }

        conn->inflated += piece.len;

        if (conn->inflated > IM_CONN_INFLATED) {
            rc = IM_WS_POLICY;
            break;
        }

        rc = im_conn_append(&plain, &piece, conn->peer.log);
    }

    im_conn_in_free(&conn->in);

    if (rc != NGX_DONE) {
        im_conn_in_free(&plain);

        return rc == NGX_DECLINED ? IM_WS_DATA
               : rc == NGX_ERROR ? IM_WS_INTERNAL : rc;
    }

    conn->in = plain;

    text->data = plain.data;
    text->len = plain.len;

    return NGX_OK;
}


static void
im_conn_feed_length(im_conn_t *conn, u_char *p, u_char *last)
{
    size_t         len, n;
    u_char        *h;
    ngx_int_t      rc;
    ngx_str_t      text;
    im_ws_t       *ws;

    ws = &conn->ws;
    h = ws->head;

    while (p < last && !conn->peer.closing) {

        if (!ws->payload) {
            h[ws->have++] = *p++;

            if (ws->have < 4) {
                continue;
            }

            len = ((size_t) h[0] << 24) | (h[1] << 16) | (h[2] << 8) | h[3];

            if (len == 0 || len > ws->max) {
                im_conn_close(&conn->peer, IM_WS_TOO_BIG);
                return;
            }

            ws->left = len;
            ws->payload = 1;
            continue;
        }

        n = ngx_min((size_t) (last - p), (size_t) ws->left);

        text.data = p;
        text.len = n;

        p += n;
        ws->left -= n;

        if (ws->left || conn->in.len) {
            rc = im_conn_append(&conn->in, &text, conn->peer.log);

            if (rc != NGX_OK) {
                im_conn_close(&conn->peer, rc);
                return;
            }

            if (ws->left) {
                return;
            }

            text.data = conn->in.data;
            text.len = conn->in.len;
        }

        ws->have = 0;
        ws->payload = 0;

        im_conn_message(conn, &text);
        im_conn_in_free(&conn->in);
    }
}


static void
im_conn_control(im_conn_t *conn, ngx_str_t *payload)
{
    ngx_uint_t  opcode;

    opcode = conn->ws.opcode;

    if (opcode == IM_WS_CLOSE) {
        conn->closed = 1;

        if (conn->peer.closing) {
            /* the answer to ours */
            ngx_post_event(conn->connection->write, &ngx_posted_events);
            return;
        }

        im_conn_close(&conn->peer, im_ws_close_status(payload));
        return;
    }

    if (conn->peer.closing) {
        return;
    }

    if (opcode == IM_WS_PING
        && conn->unsent < IM_CONN_PONG
        && im_conn_push_ws(conn, IM_WS_PONG, payload) != NGX_OK)
    {
        im_conn_close(&conn->peer, IM_WS_INTERNAL);
    }
}


static void
im_conn_message(im_conn_t *conn, ngx_str_t *text)
{
    ngx_str_t    copy;
    ngx_pool_t  *pool;

    im_stat_add(conn->peer.form == IM_FORM_LENGTH ? IM_STAT_REQUEST_TCP
                                                  : IM_STAT_REQUEST_WS, 1);

    conn->active = ngx_current_msec;

    ngx_queue_remove(&conn->queue);
    ngx_queue_insert_tail(&im_conn_list, &conn->queue);

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        im_conn_close(&conn->peer, IM_WS_INTERNAL);
        return;
    }

    if (im_conn_keep_text(conn, pool, &copy, text) != NGX_OK) {
        ngx_destroy_pool(pool);
        im_conn_close(&conn->peer, IM_WS_INTERNAL);
        return;
    }

    if (im_web_frame(&conn->peer, pool, &copy) != NGX_OK) {
        im_conn_close(&conn->peer, IM_WS_POLICY);
    }
}


/* What came in pieces stays where it is, and counted, until the command has
 * ended. */

static ngx_int_t
im_conn_keep_text(im_conn_t *conn, ngx_pool_t *pool, ngx_str_t *dst,
    ngx_str_t *text)
{
    im_conn_in_t        *in;
    ngx_pool_cleanup_t  *cln;

    if (text->len == 0 || text->data != conn->in.data) {
        return im_str_dup(pool, dst, text);
    }

    cln = ngx_pool_cleanup_add(pool, sizeof(im_conn_in_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    in = cln->data;
    *in = conn->in;
    cln->handler = im_conn_text_free;

    *dst = *text;

    ngx_memzero(&conn->in, sizeof(im_conn_in_t));

    return NGX_OK;
}


static void
im_conn_text_free(void *data)
{
    im_conn_in_free(data);
}


/* The memory grows with what has come, not with what was announced. */

static ngx_int_t
im_conn_append(im_conn_in_t *in, ngx_str_t *piece, ngx_log_t *log)
{
    size_t   size;
    u_char  *p;

    if (piece->len > in->size - in->len) {

        size = ngx_max(in->size * 2, in->len + piece->len);
        size = ngx_max(size, IM_CONN_FIRST);

        if (im_memory_take(size - in->size) != NGX_OK) {
            return IM_WS_TRY_LATER;
        }

        p = ngx_alloc(size, log);
        if (p == NULL) {
            im_memory_give(size - in->size);
            return IM_WS_INTERNAL;
        }

        if (in->data) {
            ngx_memcpy(p, in->data, in->len);
            ngx_free(in->data);
        }

        in->data = p;
        in->size = size;
    }

    ngx_memcpy(in->data + in->len, piece->data, piece->len);
    in->len += piece->len;

    return NGX_OK;
}


static void
im_conn_in_free(im_conn_in_t *in)
{
    if (in->data == NULL) {
        return;
    }

    ngx_free(in->data);
    im_memory_give(in->size);

    ngx_memzero(in, sizeof(im_conn_in_t));
}


static ngx_int_t
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


static void
im_conn_close(im_peer_t *peer, ngx_uint_t status)
{
    im_conn_t  *conn = peer->data;

    if (peer->closing) {
        if (conn->closed) {
            ngx_post_event(conn->connection->write, &ngx_posted_events);
        }

        return;
    }

    if (status == IM_WS_RESTART && im_conn_keep(conn)) {
        return;
    }

    peer->closing = 1;
    conn->status = (uint16_t) status;

    ngx_queue_remove(&conn->queue);
    ngx_queue_insert_tail(&im_conn_closing, &conn->queue);

    /* we may be called by what im_web_close() frees */

    ngx_post_event(conn->connection->write, &ngx_posted_events);
}


/*
 * At exit a client still gets the answers to what runs.  One that has come
 * just now would not connect again by itself (web-v2.md 2.4).
 */

static ngx_uint_t
im_conn_keep(im_conn_t *conn)
{
    if (!ngx_exiting
        || (im_conn_drain_end
            && (ngx_msec_int_t) (ngx_current_msec - im_conn_drain_end)
               > IM_CONN_TICK))
    {
        return 0;
    }

    return conn->peer.running
           || ngx_current_msec - conn->opened < IM_CONN_YOUNG;
}


static ngx_int_t
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


static ngx_int_t
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


static void
im_conn_write_handler(ngx_event_t *wev)
{
    u_char             code[2];
    ngx_int_t          rc;
    ngx_str_t          payload;
    im_conn_t         *conn;
    ngx_connection_t  *c;

    c = wev->data;
    conn = c->data;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "client does not read, %uz bytes unsent", conn->unsent);
        im_stat_add(IM_STAT_STUCK, 1);
        im_conn_finalize(conn);
        return;
    }

    if (conn->peer.closing && !conn->left) {
        im_conn_leave(conn);

        if (conn->peer.form != IM_FORM_LENGTH) {
            code[0] = (u_char) (conn->status >> 8);
            code[1] = (u_char) conn->status;

            payload.data = code;
            payload.len = 2;

            if (im_conn_push_ws(conn, IM_WS_CLOSE, &payload) != NGX_OK) {
                im_conn_finalize(conn);
                return;
            }
        }
    }

    rc = im_conn_flush(conn);

    if (rc == NGX_ERROR) {
        im_conn_finalize(conn);
        return;
    }

    if (rc == NGX_OK && conn->left) {
        im_conn_finish(conn);
        return;
    }

    if (conn->paused && conn->unsent < IM_CONN_PAUSE / 2) {
        conn->paused = 0;
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


/* NGX_OK: all is sent; NGX_AGAIN: the socket is full; NGX_ERROR. */

static ngx_int_t
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

            if (!wev->timer_set || c->sent != before) {
                ngx_add_timer(wev, IM_CONN_STUCK);
            }

            if (ngx_handle_write_event(wev, 0) != NGX_OK) {
                return NGX_ERROR;
            }

            return NGX_AGAIN;
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


static void
im_conn_leave(im_conn_t *conn)
{
    conn->left = 1;
    conn->peer.closing = 1;

    im_web_close(&conn->peer);
    im_peer_close(&conn->peer);

    conn->peer.session = NULL;
}


/* Our last bytes are sent; a Close that was not answered waits a little. */

static void
im_conn_finish(im_conn_t *conn)
{
    ngx_connection_t  *c;

    c = conn->connection;

    if (conn->closed) {
        im_conn_finalize(conn);
        return;
    }

    if (conn->linger) {
        return;
    }

    if (conn->peer.form == IM_FORM_LENGTH) {

#if (NGX_SSL)
        if (c->ssl) {
            im_conn_finalize(conn);
            return;
        }
#endif

        if (ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN) == -1) {
            im_conn_finalize(conn);
            return;
        }
    }

    conn->linger = 1;
    ngx_add_timer(c->read, IM_CONN_LINGER);

    /* what the client still sends has to be taken */

    conn->paused = 0;
    ngx_post_event(c->read, &ngx_posted_events);
}


static void
im_conn_finalize(im_conn_t *conn)
{
    void              *data;
    ngx_connection_t  *c;
    void             (*done)(ngx_connection_t *c, void *data);

    if (!conn->left) {
        im_conn_leave(conn);
    }

    c = conn->connection;
    done = conn->done;
    data = conn->data;

    ngx_queue_remove(&conn->queue);
    im_conn_counts[conn->peer.form]--;

    im_conn_free(conn);

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    done(c, data);

    im_worker_release(1);
}


static void
im_conn_tick(ngx_event_t *ev)
{
    if (ngx_exiting && im_conn_drain_end == 0) {
        im_conn_drain_end = ngx_current_msec + im_conf()->drain_time;
        im_conn_slice = 0;
        im_conn_drain(&im_conn_drain_event);
    }

    im_conn_sweep();
    im_metrics_publish();

    ngx_add_timer(ev, IM_CONN_TICK);
}


/* Closes what has been silent for too long. */

static void
im_conn_sweep(void)
{
    ngx_uint_t    n;
    im_conn_t    *conn;
    ngx_msec_t    silent, timeout;
    ngx_queue_t  *q, *next;

    n = 0;

    for (q = ngx_queue_head(&im_conn_list);
         q != ngx_queue_sentinel(&im_conn_list) && n < IM_CONN_SWEEP;
         q = next)
    {
        next = ngx_queue_next(q);

        conn = ngx_queue_data(q, im_conn_t, queue);
        silent = ngx_current_msec - conn->active;

        if (silent <= im_conn_timeout) {
            return;
        }

        timeout = conn->peer.app ? conn->peer.app->ws_timeout
                                 : im_conn_timeout;

        if (silent > timeout) {
            ngx_log_error(NGX_LOG_INFO, conn->peer.log, NGX_ETIMEDOUT,
                          "client has been silent");

            im_conn_close(&conn->peer, IM_WS_GOING_AWAY);
        }

        n++;
    }
}


/* All connections are closed in slices, so that clients return in slices. */

static void
im_conn_drain(ngx_event_t *ev)
{
    ngx_int_t     left;
    im_conn_t    *conn;
    ngx_uint_t    n, all;
    ngx_queue_t  *q;

    for (all = 0, n = 0; n < IM_FORM_MAX; n++) {
        all += im_conn_counts[n];
    }

    if (all == 0) {
        return;
    }

    left = (ngx_int_t) (im_conn_drain_end - ngx_current_msec);

    if (im_conn_slice == 0) {
        im_conn_slice = 1 + all * IM_CONN_SLICE
                            / ngx_max(left - left / 4, IM_CONN_SLICE);
    }

    /* whoever has not answered a second after the end, is cut off */

    if (left < -IM_CONN_TICK) {

        while (!ngx_queue_empty(&im_conn_closing)) {
            q = ngx_queue_head(&im_conn_closing);
            conn = ngx_queue_data(q, im_conn_t, queue);
            im_conn_finalize(conn);
        }
    }

    for (n = left > 0 ? im_conn_slice : all; n; n--) {

        q = ngx_queue_head(&im_conn_list);

        if (q == ngx_queue_sentinel(&im_conn_list)) {
            break;
        }

        conn = ngx_queue_data(q, im_conn_t, queue);
        im_conn_close(&conn->peer, IM_WS_RESTART);

        if (!conn->peer.closing) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&im_conn_list, q);
        }
    }

    ngx_add_timer(ev, IM_CONN_SLICE);
}


static ngx_int_t
im_conn_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    im_app_t    *app;
    ngx_uint_t   i;

    ngx_queue_init(&im_conn_list);
    ngx_queue_init(&im_conn_closing);

    im_frame_deflate_min = conf->deflate_min;

    app = conf->apps.elts;
    im_conn_timeout = app[0].ws_timeout;

    for (i = 1; i < conf->apps.nelts; i++) {
        im_conn_timeout = ngx_min(im_conn_timeout, app[i].ws_timeout);
    }

    im_conn_tick_event.handler = im_conn_tick;
    im_conn_tick_event.data = &im_conn_tick_event;
    im_conn_tick_event.log = cycle->log;
    im_conn_tick_event.cancelable = 1;

    im_conn_drain_event.handler = im_conn_drain;
    im_conn_drain_event.data = &im_conn_drain_event;
    im_conn_drain_event.log = cycle->log;

    ngx_add_timer(&im_conn_tick_event, IM_CONN_TICK);

    return NGX_OK;
}


static void
im_conn_exit_process(ngx_cycle_t *cycle)
{
    if (im_conn_tick_event.timer_set) {
        ngx_del_timer(&im_conn_tick_event);
    }

    if (im_conn_drain_event.timer_set) {
        ngx_del_timer(&im_conn_drain_event);
    }
}
