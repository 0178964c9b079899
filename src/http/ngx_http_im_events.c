
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "core/im_co.h"
#include "core/im_error.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "core/im_worker.h"
#include "http/ngx_http_im_events.h"
#include "http/ngx_http_im_module.h"
#include "web/im_guest.h"


#define NGX_HTTP_IM_EVENTS_PING   25000
#define NGX_HTTP_IM_EVENTS_TICK   1000
#define NGX_HTTP_IM_EVENTS_SLICE  512

#define NGX_HTTP_IM_EVENTS_HEAD   "retry: 3000\n\n"
#define NGX_HTTP_IM_EVENTS_NOOP   ": ping\n\n"


static ngx_int_t ngx_http_im_events_path(ngx_http_request_t *r,
    im_app_t **app, ngx_str_t *gid);
static int64_t ngx_http_im_events_last(ngx_http_request_t *r);
static void ngx_http_im_events_open(void *data);
static void ngx_http_im_events_posted(ngx_event_t *ev);
static ngx_int_t ngx_http_im_events_start(ngx_http_im_reader_t *reader);
static ngx_uint_t ngx_http_im_events_plain(ngx_http_request_t *r);
static void ngx_http_im_events_detach(ngx_http_im_reader_t *reader);
static void ngx_http_im_events_close(im_guest_t *guest);
static void ngx_http_im_events_write_handler(ngx_http_request_t *r);
static void ngx_http_im_events_read(ngx_event_t *rev);
static void ngx_http_im_events_write(ngx_event_t *wev);
static void ngx_http_im_events_end(ngx_http_im_reader_t *reader);
static void ngx_http_im_events_gone(ngx_http_im_reader_t *reader);
static void ngx_http_im_events_cleanup(void *data);
static void ngx_http_im_events_free(ngx_http_im_reader_t *reader);
static void ngx_http_im_events_tick(ngx_event_t *ev);


static im_guest_ops_t  ngx_http_im_events_ops = {
    ngx_http_im_events_send,
    ngx_http_im_events_close
};


static ngx_queue_t  ngx_http_im_events_list;
static ngx_uint_t   ngx_http_im_events_number;
static ngx_event_t  ngx_http_im_events_timer;


ngx_int_t
ngx_http_im_events_init_process(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_http_im_events_list);

    im_worker_timer(&ngx_http_im_events_timer, ngx_http_im_events_tick,
                    cycle->log);

    ngx_add_timer(&ngx_http_im_events_timer, NGX_HTTP_IM_EVENTS_TICK);

    return NGX_OK;
}


ngx_int_t
ngx_http_im_events_handler(ngx_http_request_t *r)
{
    im_app_t              *app;
    ngx_int_t              rc;
    ngx_str_t              gid;
    ngx_pool_t            *pool;
    ngx_http_cleanup_t    *cln;
    ngx_http_im_reader_t  *reader;
    ngx_http_im_open_t    *open;

    if (r != r->main || r->method != NGX_HTTP_GET) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_im_header(r, "Access-Control-Allow-Origin", "*") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_im_events_path(r, &app, &gid) != NGX_OK) {
        return NGX_HTTP_NOT_FOUND;
    }

    if (ngx_exiting) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    pool = ngx_create_pool(2048, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    reader = ngx_calloc(sizeof(ngx_http_im_reader_t), ngx_cycle->log);
    open = ngx_pcalloc(pool, sizeof(ngx_http_im_open_t));

    if (reader == NULL
        || open == NULL
        || im_str_dup(pool, &open->gid, &gid) != NGX_OK
        || im_str_dup(pool, &open->ctx.ip, &r->connection->addr_text)
           != NGX_OK)
    {
        goto failed;
    }

    reader->pool = pool;
    reader->open = open;
    reader->last = &reader->first;
    reader->free = &reader->own;

    reader->guest.ops = &ngx_http_im_events_ops;
    reader->guest.data = reader;
    reader->guest.app = app;
    reader->guest.last = ngx_http_im_events_last(r);

    open->ctx.pool = pool;
    open->ctx.log = pool->log;
    open->ctx.app = app;
    open->ctx.role = IM_ROLE_GUEST;

    reader->event.handler = ngx_http_im_events_posted;
    reader->event.data = reader;
    reader->event.log = ngx_cycle->log;

    if (im_co_start(ngx_http_im_events_open, reader, pool->log) == NULL) {
        ngx_free(reader);
        ngx_destroy_pool(pool);
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    reader->opening = 1;
    reader->request = r;
    reader->cleanup = cln;

    cln->handler = ngx_http_im_events_cleanup;
    cln->data = reader;

    ngx_http_set_ctx(r, reader, ngx_http_im_module);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    r->main->count++;

    return NGX_DONE;

failed:

    if (reader) {
        ngx_free(reader);
    }

    ngx_destroy_pool(pool);

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* /rooms/<SDKAppID>/<GroupID>/events, decoded */

static ngx_int_t
ngx_http_im_events_path(ngx_http_request_t *r, im_app_t **app, ngx_str_t *gid)
{
    u_char     *p, *last, *slash;
    size_t      tail;
    ngx_int_t   id;

    tail = sizeof("/events") - 1;

    p = r->uri.data;
    last = p + r->uri.len;

    if (r->uri.len < sizeof("/rooms/") - 1 + tail
        || ngx_strncmp(p, "/rooms/", sizeof("/rooms/") - 1) != 0
        || ngx_strncmp(last - tail, "/events", tail) != 0)
    {
        return NGX_DECLINED;
    }

    p += sizeof("/rooms/") - 1;
    last -= tail;

    slash = ngx_strlchr(p, last, '/');

    if (slash == NULL) {
        return NGX_DECLINED;
    }

    id = ngx_atoi(p, slash - p);

    if (id == NGX_ERROR || id > IM_APP_ID_MAX) {
        return NGX_DECLINED;
    }

    *app = im_conf_app(im_conf(), id);

    gid->data = slash + 1;
    gid->len = last - gid->data;

    return (*app && gid->len) ? NGX_OK : NGX_DECLINED;
}


static int64_t
ngx_http_im_events_last(ngx_http_request_t *r)
{
    int64_t           n;
    ngx_str_t         name;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ngx_str_set(&name, "Last-Event-ID");

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return 0;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == name.len
            && ngx_strncasecmp(h[i].key.data, name.data, name.len) == 0)
        {
            return (im_str_int(&h[i].value, &n) == NGX_OK && n > 0) ? n : 0;
        }
    }
}


/* in a coroutine */

static void
ngx_http_im_events_open(void *data)
{
    ngx_http_im_reader_t  *reader = data;

    ngx_http_im_open_t  *open;

    open = reader->open;

    open->code = im_guest_open(&open->ctx, &reader->guest, &open->gid);
    reader->opening = 0;

    ngx_post_event(&reader->event, &ngx_posted_events);
}


/* On the main stack: what somebody else has asked for. */

static void
ngx_http_im_events_posted(ngx_event_t *ev)
{
    ngx_http_im_reader_t  *reader = ev->data;

    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    if (reader->opening) {
        return;
    }

    r = reader->request;

    if (reader->connection) {

        rc = reader->failed ? NGX_ERROR : ngx_http_im_events_flush(reader);

        if (rc == NGX_ERROR || (rc == NGX_OK && reader->closing)) {
            ngx_http_im_events_end(reader);
        }

        return;
    }

    if (r == NULL) {
        ngx_http_im_events_free(reader);
        return;
    }

    c = r->connection;

    if (!reader->started) {
        rc = ngx_http_im_events_start(reader);

        if (reader->request == NULL) {
            return;                          /* given back */
        }

    } else if (reader->failed) {
        rc = NGX_ERROR;

    } else {
        rc = ngx_http_im_events_flush(reader);
    }

    if (rc == NGX_OK && reader->closing) {
        rc = ngx_http_send_special(r, NGX_HTTP_LAST);

        ngx_http_finalize_request(r, rc);

    } else if (rc != NGX_OK && rc != NGX_AGAIN) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_im_events_start(ngx_http_im_reader_t *reader)
{
    ngx_int_t            rc;
    ngx_uint_t           plain;
    ngx_http_request_t  *r;

    r = reader->request;

    switch (reader->open->code) {

    case IM_OK:
        break;

    case IM_E_GROUP_ID:
    case IM_E_GROUP_NONE:
        return NGX_HTTP_NOT_FOUND;

    case IM_E_GROUP_RIGHT:
        return NGX_HTTP_FORBIDDEN;

    default:
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    r->headers_out.status = NGX_HTTP_OK;
    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    if (ngx_http_im_header(r, "Cache-Control", "no-cache") != NGX_OK
        || ngx_http_im_header(r, "X-Accel-Buffering", "no") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    plain = ngx_http_im_events_plain(r);

    if (plain) {

        /* no filter has a part in the body, whose end is that of the
         * connection: there are no chunks, as for HTTP/1.0 */

        r->header_only = 1;
        r->keepalive = 0;
        r->http_version = NGX_HTTP_VERSION_10;
    }

    /* the rate of an answer is none of events, which could only be lost */

    r->limit_rate = 0;
    r->limit_rate_set = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    ngx_destroy_pool(reader->pool);
    reader->pool = NULL;
    reader->open = NULL;

    reader->started = 1;
    reader->active = ngx_current_msec;

    ngx_queue_insert_tail(&ngx_http_im_events_list, &reader->queue);
    ngx_http_im_events_number++;
    im_worker_hold(1);

    r->write_event_handler = ngx_http_im_events_write_handler;

    if (ngx_http_im_events_text(reader, NGX_HTTP_IM_EVENTS_HEAD) != NGX_OK) {
        return NGX_ERROR;
    }

    /* a header that the socket did not take is the request's */

    if (plain) {

        if (r->connection->buffered || r->out) {
            return NGX_ERROR;
        }

        ngx_http_im_events_detach(reader);
        return NGX_OK;
    }

    return ngx_http_im_events_flush(reader);
}


/* A request that somebody else uses, as mirrors do, is not given back. */

static ngx_uint_t
ngx_http_im_events_plain(ngx_http_request_t *r)
{
    return r->http_version == NGX_HTTP_VERSION_11 && r->count == 1;
}


/* As the upgrade to WebSocket does it. */

static void
ngx_http_im_events_detach(ngx_http_im_reader_t *reader)
{
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_connection_t  *hc;

    r = reader->request;
    c = r->connection;
    hc = r->http_connection;

    reader->cleanup->handler = NULL;
    reader->cleanup = NULL;
    reader->request = NULL;
    reader->connection = c;

    ngx_http_free_request(r, 0);

    c->destroyed = 0;
    c->log->action = "sending events";

    ngx_http_im_release(c, hc);

    c->data = reader;
    c->read->handler = ngx_http_im_events_read;
    c->write->handler = ngx_http_im_events_write;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    if ((c->tcp_nodelay == NGX_TCP_NODELAY_UNSET
         && ngx_tcp_nodelay(c) != NGX_OK)
        || ngx_handle_read_event(c->read, 0) != NGX_OK)
    {
        reader->failed = 1;
    }

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }

    ngx_post_event(&reader->event, &ngx_posted_events);
}


static void
ngx_http_im_events_close(im_guest_t *guest)
{
    ngx_http_im_reader_t  *reader = guest->data;

    reader->closing = 1;

    if (reader->connection || (reader->started && reader->request)) {
        ngx_post_event(&reader->event, &ngx_posted_events);
    }
}


static void
ngx_http_im_events_write_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_event_t           *wev;
    ngx_http_im_reader_t  *reader;

    wev = r->connection->write;
    reader = ngx_http_get_module_ctx(r, ngx_http_im_module);

    if (wev->timedout) {
        im_stat_add(IM_STAT_STUCK, 1);
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    rc = ngx_http_im_events_flush(reader);

    if (rc == NGX_OK && reader->closing) {
        rc = ngx_http_send_special(r, NGX_HTTP_LAST);
        ngx_http_finalize_request(r, rc);

    } else if (rc == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}


/* The client has nothing to say: it can only go. */

static void
ngx_http_im_events_read(ngx_event_t *rev)
{
    ssize_t                n;
    u_char                 buf[256];
    ngx_connection_t      *c;
    ngx_http_im_reader_t  *reader;

    c = rev->data;
    reader = c->data;

    n = c->close ? NGX_ERROR : c->recv(c, buf, sizeof(buf));

    if (n == NGX_ERROR || n == 0 || ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_im_events_end(reader);
        return;
    }

    if (n > 0 && rev->ready) {
        ngx_post_event(rev, &ngx_posted_next_events);
    }
}


static void
ngx_http_im_events_write(ngx_event_t *wev)
{
    ngx_int_t              rc;
    ngx_connection_t      *c;
    ngx_http_im_reader_t  *reader;

    c = wev->data;
    reader = c->data;

    if (wev->timedout) {
        im_stat_add(IM_STAT_STUCK, 1);
        ngx_http_im_events_end(reader);
        return;
    }

    rc = reader->failed ? NGX_ERROR : ngx_http_im_events_flush(reader);

    if (rc == NGX_ERROR || (rc == NGX_OK && reader->closing)) {
        ngx_http_im_events_end(reader);
    }
}


/* Closes a connection whose request was given back; not to be called while
 * somebody walks over members of the room. */

static void
ngx_http_im_events_end(ngx_http_im_reader_t *reader)
{
    ngx_connection_t  *c;

    c = reader->connection;
    reader->connection = NULL;

    ngx_http_im_events_gone(reader);
    ngx_http_im_events_free(reader);

    ngx_http_close_connection(c);
}


static void
ngx_http_im_events_gone(ngx_http_im_reader_t *reader)
{
    if (reader->started) {
        ngx_queue_remove(&reader->queue);
        ngx_http_im_events_number--;
        im_worker_release(1);
    }
}


static void
ngx_http_im_events_cleanup(void *data)
{
    ngx_http_im_reader_t  *reader = data;

    reader->request = NULL;

    ngx_http_im_events_gone(reader);

    if (!reader->opening) {
        /* not at once: somebody may be walking over members of the room */
        ngx_post_event(&reader->event, &ngx_posted_events);
    }
}


static void
ngx_http_im_events_free(ngx_http_im_reader_t *reader)
{
    ngx_http_im_event_t  *e;

    im_guest_close(&reader->guest);

    if (reader->event.posted) {
        ngx_delete_posted_event(&reader->event);
    }

    while (reader->first) {
        e = reader->first;
        reader->first = e->next;

        im_frame_unref(e->frame);

        e->next = reader->free;
        reader->free = e;
    }

    while (reader->free) {
        e = reader->free;
        reader->free = e->next;

        if (e != &reader->own) {
            ngx_free(e);
        }
    }

    if (reader->pool) {
        ngx_destroy_pool(reader->pool);
    }

    ngx_free(reader);
}


void
ngx_http_im_events_active(ngx_http_im_reader_t *reader)
{
    reader->active = ngx_current_msec;

    ngx_queue_remove(&reader->queue);
    ngx_queue_insert_tail(&ngx_http_im_events_list, &reader->queue);
}


static void
ngx_http_im_events_tick(ngx_event_t *ev)
{
    ngx_uint_t             n;
    ngx_queue_t           *q, *next;
    ngx_http_im_reader_t  *reader;

    n = 0;

    for (q = ngx_queue_head(&ngx_http_im_events_list);
         q != ngx_queue_sentinel(&ngx_http_im_events_list);
         q = next)
    {
        next = ngx_queue_next(q);
        reader = ngx_queue_data(q, ngx_http_im_reader_t, queue);

        if (ngx_exiting) {
            ngx_http_im_events_close(&reader->guest);

        } else {

            if (ngx_current_msec - reader->active < NGX_HTTP_IM_EVENTS_PING
                || n == NGX_HTTP_IM_EVENTS_SLICE)
            {
                break;
            }

            n++;
            reader->active = ngx_current_msec;

            if (reader->unsent == 0) {
                (void) ngx_http_im_events_text(reader,
                                               NGX_HTTP_IM_EVENTS_NOOP);
            }
        }
    }

    im_stat_set(IM_STAT_CONN_SSE, ngx_http_im_events_number);

    ngx_add_timer(ev, NGX_HTTP_IM_EVENTS_TICK);
}
