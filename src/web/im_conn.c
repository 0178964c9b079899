
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_stat.h"
#include "core/im_worker.h"
#include "web/im_conn.h"
#include "web/im_conn_io.h"
#include "web/im_metrics.h"
#include "web/im_web.h"
#include "web/im_web_session.h"
#include "web/im_ws.h"


#define IM_CONN_LINGER      3000     /* for the client's Close */
#define IM_CONN_TICK        1000
#define IM_CONN_SWEEP       512      /* connections looked at in a tick */
#define IM_CONN_SLICE       100      /* of closing all at exit */
#define IM_CONN_YOUNG       1500     /* clients of that age are kept then */


static ngx_uint_t im_conn_keep(im_conn_t *conn);
static void im_conn_write_handler(ngx_event_t *wev);
static void im_conn_leave(im_conn_t *conn);
static void im_conn_finish(im_conn_t *conn);
static void im_conn_tick(ngx_event_t *ev);
static void im_conn_sweep(void);
static void im_conn_drain(ngx_event_t *ev);
static ngx_int_t im_conn_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_conn_exit_process(ngx_cycle_t *cycle);


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


void
im_conn_active(im_conn_t *conn)
{
    conn->active = ngx_current_msec;

    ngx_queue_remove(&conn->queue);
    ngx_queue_insert_tail(&im_conn_list, &conn->queue);
}


ngx_uint_t
im_conn_count(im_form_e form)
{
    return im_conn_counts[form];
}


void
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


void
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

            im_web_session_silent(&conn->peer);
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

    im_worker_timer(&im_conn_tick_event, im_conn_tick, cycle->log);

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
