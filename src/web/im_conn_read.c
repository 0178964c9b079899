
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_memory.h"
#include "core/im_pool.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "web/im_conn.h"
#include "web/im_conn_io.h"
#include "web/im_web.h"
#include "web/im_ws.h"
#include "web/im_ws_deflate.h"


#define IM_CONN_BUFFER      16384    /* of the worker, to read into */
#define IM_CONN_READS       4        /* buffers read in a row */
#define IM_CONN_FIRST       1024     /* least size of an incomplete message */
#define IM_CONN_PONG        4096     /* unsent: pings are not answered */

/* what a connection may send compressed in a second: its length then */
#define IM_CONN_INFLATED    (2 * IM_CONN_MESSAGE_MAX)


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


static u_char  im_conn_buffer[IM_CONN_BUFFER];


void
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


void
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

    im_conn_active(conn);

    pool = im_pool_create();
    if (pool == NULL) {
        im_conn_close(&conn->peer, IM_WS_INTERNAL);
        return;
    }

    if (im_conn_keep_text(conn, pool, &copy, text) != NGX_OK) {
        im_pool_destroy(pool);
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


void
im_conn_in_free(im_conn_in_t *in)
{
    if (in->data == NULL) {
        return;
    }

    ngx_free(in->data);
    im_memory_give(in->size);

    ngx_memzero(in, sizeof(im_conn_in_t));
}
