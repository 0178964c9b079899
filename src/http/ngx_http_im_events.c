
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
#include "http/ngx_http_im_module.h"
#include "web/im_guest.h"


#define NGX_HTTP_IM_EVENTS_LIMIT  65536     /* unsent */
#define NGX_HTTP_IM_EVENTS_PING   25000
#define NGX_HTTP_IM_EVENTS_TICK   1000
#define NGX_HTTP_IM_EVENTS_SLICE  512
#define NGX_HTTP_IM_EVENTS_STUCK  30000

#define NGX_HTTP_IM_EVENTS_HEAD   "retry: 3000\n\n"
#define NGX_HTTP_IM_EVENTS_NOOP   ": ping\n\n"


/* Frames that nginx's filters have, each until it is sent.  Filters may look
 * at the buffers later: their memory is the reader's. */

typedef struct ngx_http_im_event_s  ngx_http_im_event_t;

struct ngx_http_im_event_s {
    ngx_http_im_event_t   *next;
    im_frame_t            *frame;
    ngx_buf_t              buf;
    ngx_chain_t            chain;
};


/*
 * A reader of a room lives on a pool of its own: the coroutine that opens
 * the room may end after the request.
 */

typedef struct {
    im_guest_t             guest;
    ngx_http_request_t    *request;  /* NULL: the client has gone */
    ngx_http_cleanup_t    *cleanup;
    ngx_pool_t            *pool;

    im_ctx_t               ctx;
    ngx_str_t              gid;
    im_code_t              code;

    ngx_queue_t            queue;    /* in order of the last frame */
    ngx_msec_t             active;

    ngx_http_im_event_t   *first;    /* given to the filters, not sent */
    ngx_http_im_event_t  **last;
    ngx_http_im_event_t   *next;     /* of them, not given yet */
    ngx_http_im_event_t   *free;
    size_t                 unsent;

    ngx_buf_t              buf;      /* to flush, without data */
    ngx_chain_t            chain;

    ngx_event_t            event;    /* posted: something is to be done */

    unsigned               opening:1;
    unsigned               started:1;
    unsigned               closing:1;
    unsigned               failed:1;
} ngx_http_im_reader_t;


static ngx_int_t ngx_http_im_events_path(ngx_http_request_t *r,
    im_app_t **app, ngx_str_t *gid);
static int64_t ngx_http_im_events_last(ngx_http_request_t *r);
static void ngx_http_im_events_open(void *data);
static void ngx_http_im_events_posted(ngx_event_t *ev);
static ngx_int_t ngx_http_im_events_start(ngx_http_im_reader_t *reader);
static ngx_int_t ngx_http_im_events_send(im_guest_t *guest,
    im_frame_t *frame);
static void ngx_http_im_events_close(im_guest_t *guest);
static ngx_http_im_event_t *ngx_http_im_events_alloc(
    ngx_http_im_reader_t *reader);
static ngx_int_t ngx_http_im_events_text(ngx_http_im_reader_t *reader,
    char *text);
static void ngx_http_im_events_write_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_im_events_flush(ngx_http_im_reader_t *reader);
static void ngx_http_im_events_release(ngx_http_im_reader_t *reader);
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

    ngx_http_im_events_timer.handler = ngx_http_im_events_tick;
    ngx_http_im_events_timer.data = &ngx_http_im_events_timer;
    ngx_http_im_events_timer.log = cycle->log;
    ngx_http_im_events_timer.cancelable = 1;

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

    reader = ngx_pcalloc(pool, sizeof(ngx_http_im_reader_t));

    if (reader == NULL
        || im_str_dup(pool, &reader->gid, &gid) != NGX_OK
        || im_str_dup(pool, &reader->ctx.ip, &r->connection->addr_text)
           != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    reader->pool = pool;
    reader->last = &reader->first;

    reader->buf.flush = 1;
    reader->chain.buf = &reader->buf;

    reader->guest.ops = &ngx_http_im_events_ops;
    reader->guest.data = reader;
    reader->guest.app = app;
    reader->guest.last = ngx_http_im_events_last(r);

    reader->ctx.pool = pool;
    reader->ctx.log = pool->log;
    reader->ctx.app = app;
    reader->ctx.role = IM_ROLE_GUEST;

    reader->event.handler = ngx_http_im_events_posted;
    reader->event.data = reader;
    reader->event.log = pool->log;

    if (im_co_spawn(ngx_http_im_events_open, reader, pool->log) == NULL) {
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

    reader->code = im_guest_open(&reader->ctx, &reader->guest, &reader->gid);
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

    if (r == NULL) {
        ngx_http_im_events_free(reader);
        return;
    }

    c = r->connection;

    if (!reader->started) {
        rc = ngx_http_im_events_start(reader);

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
    ngx_http_request_t  *r;

    r = reader->request;

    switch (reader->code) {

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

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    reader->started = 1;
    reader->active = ngx_current_msec;

    ngx_queue_insert_tail(&ngx_http_im_events_list, &reader->queue);
    ngx_http_im_events_number++;
    im_worker_hold(1);

    r->write_event_handler = ngx_http_im_events_write_handler;

    if (ngx_http_im_events_text(reader, NGX_HTTP_IM_EVENTS_HEAD) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_im_events_flush(reader);
}


static ngx_int_t
ngx_http_im_events_send(im_guest_t *guest, im_frame_t *frame)
{
    ngx_http_im_reader_t  *reader = guest->data;

    ngx_str_t            *form;
    ngx_http_im_event_t  *e;

    if (reader->request == NULL || reader->closing) {
        return NGX_ERROR;
    }

    form = im_frame_form(frame, IM_FORM_SSE);
    if (form == NULL) {
        return NGX_ERROR;
    }

    if (reader->unsent
        && reader->unsent + form->len > NGX_HTTP_IM_EVENTS_LIMIT)
    {
        im_stat_add(IM_STAT_DROPPED, 1);
        return NGX_BUSY;
    }

    e = ngx_http_im_events_alloc(reader);
    if (e == NULL) {
        return NGX_ERROR;
    }

    e->frame = frame;
    im_frame_ref(frame);

    e->buf.pos = form->data;
    e->buf.last = form->data + form->len;
    e->buf.start = e->buf.pos;
    e->buf.end = e->buf.last;
    e->buf.memory = 1;
    e->buf.flush = 1;
    e->chain.buf = &e->buf;

    *reader->last = e;
    reader->last = &e->next;

    if (reader->next == NULL) {
        reader->next = e;
    }

    reader->unsent += form->len;

    if (!reader->started) {
        return NGX_OK;
    }

    /* what nothing else waits with is written at once; our caller may be
     * walking over members of the room, so no request ends here */

    if (frame->alone && reader->first == e) {

        if (ngx_http_im_events_flush(reader) != NGX_ERROR) {
            return NGX_OK;
        }

        reader->failed = 1;
    }

    ngx_post_event(&reader->event, &ngx_posted_events);

    return NGX_OK;
}


static ngx_http_im_event_t *
ngx_http_im_events_alloc(ngx_http_im_reader_t *reader)
{
    ngx_http_im_event_t  *e;

    e = reader->free;

    if (e == NULL) {
        return ngx_pcalloc(reader->pool, sizeof(ngx_http_im_event_t));
    }

    reader->free = e->next;
    ngx_memzero(e, sizeof(ngx_http_im_event_t));

    return e;
}


static void
ngx_http_im_events_close(im_guest_t *guest)
{
    ngx_http_im_reader_t  *reader = guest->data;

    reader->closing = 1;

    if (reader->started && reader->request) {
        ngx_post_event(&reader->event, &ngx_posted_events);
    }
}


static ngx_int_t
ngx_http_im_events_text(ngx_http_im_reader_t *reader, char *text)
{
    ngx_int_t    rc;
    im_frame_t  *frame;

    frame = im_frame_raw((u_char *) text, ngx_strlen(text),
                         reader->pool->log);
    if (frame == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_im_events_send(&reader->guest, frame);

    im_frame_unref(frame);

    return rc;
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


/* Gives what is queued to the filters, all in one chain. */

static ngx_int_t
ngx_http_im_events_flush(ngx_http_im_reader_t *reader)
{
    off_t                 before;
    ngx_int_t             rc;
    ngx_event_t          *wev;
    ngx_chain_t          *out, **ll;
    ngx_http_request_t   *r;
    ngx_http_im_event_t  *e;

    r = reader->request;
    wev = r->connection->write;

    out = NULL;
    ll = &out;

    for (e = reader->next; e; e = e->next) {
        *ll = &e->chain;
        ll = &e->chain.next;
    }

    if (reader->next) {
        reader->next = NULL;
        reader->active = ngx_current_msec;

        ngx_queue_remove(&reader->queue);
        ngx_queue_insert_tail(&ngx_http_im_events_list, &reader->queue);
    }

    /* the chunked filter forgets what was sent only if it is given something:
     * until then it looks at the buffers */

    if (out == NULL) {
        reader->chain.next = NULL;
        out = &reader->chain;
    }

    before = r->connection->sent;

    rc = ngx_http_output_filter(r, out);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    ngx_http_im_events_release(reader);

    if (reader->first || r->connection->buffered) {

        /* whoever reads slowly is not stuck */

        if (!wev->timer_set || r->connection->sent != before) {
            ngx_add_timer(wev, NGX_HTTP_IM_EVENTS_STUCK);
        }

        if (ngx_handle_write_event(wev, 0) != NGX_OK) {
            return NGX_ERROR;
        }

        return NGX_AGAIN;
    }

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    return NGX_OK;
}


static void
ngx_http_im_events_release(ngx_http_im_reader_t *reader)
{
    ngx_http_im_event_t  *e;

    while (reader->first
           && reader->first != reader->next
           && reader->first->buf.pos == reader->first->buf.last)
    {
        e = reader->first;

        reader->first = e->next;

        if (reader->first == NULL) {
            reader->last = &reader->first;
        }

        reader->unsent -= e->buf.end - e->buf.start;

        im_stat_add(IM_STAT_FRAMES, 1);
        im_stat_add(IM_STAT_BYTES, e->buf.end - e->buf.start);

        im_frame_unref(e->frame);

        e->next = reader->free;
        reader->free = e;
    }
}


static void
ngx_http_im_events_cleanup(void *data)
{
    ngx_http_im_reader_t  *reader = data;

    reader->request = NULL;

    if (reader->started) {
        ngx_queue_remove(&reader->queue);
        ngx_http_im_events_number--;
        im_worker_release(1);
    }

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

    while (reader->first) {
        e = reader->first;
        reader->first = e->next;

        im_frame_unref(e->frame);
    }

    ngx_destroy_pool(reader->pool);
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
