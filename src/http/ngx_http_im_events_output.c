
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "core/im_stat.h"
#include "http/ngx_http_im_events.h"
#include "web/im_conn.h"
#include "web/im_guest.h"


#define NGX_HTTP_IM_EVENTS_LIMIT  65536     /* unsent */


static ngx_http_im_event_t *ngx_http_im_events_alloc(
    ngx_http_im_reader_t *reader);
static ngx_int_t ngx_http_im_events_filter(ngx_http_im_reader_t *reader,
    ngx_chain_t *out);
static ngx_int_t ngx_http_im_events_output(ngx_http_im_reader_t *reader,
    ngx_chain_t *out);
static void ngx_http_im_events_release(ngx_http_im_reader_t *reader);


ngx_int_t
ngx_http_im_events_send(im_guest_t *guest, im_frame_t *frame)
{
    ngx_http_im_reader_t  *reader = guest->data;

    ngx_str_t            *form;
    ngx_http_im_event_t  *e;

    if ((reader->request == NULL && reader->connection == NULL)
        || reader->closing)
    {
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
        return ngx_calloc(sizeof(ngx_http_im_event_t), ngx_cycle->log);
    }

    reader->free = e->next;
    ngx_memzero(e, sizeof(ngx_http_im_event_t));

    return e;
}


ngx_int_t
ngx_http_im_events_text(ngx_http_im_reader_t *reader, char *text)
{
    ngx_int_t    rc;
    im_frame_t  *frame;

    frame = im_frame_raw((u_char *) text, ngx_strlen(text),
                         ngx_cycle->log);
    if (frame == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_im_events_send(&reader->guest, frame);

    im_frame_unref(frame);

    return rc;
}


ngx_int_t
ngx_http_im_events_flush(ngx_http_im_reader_t *reader)
{
    off_t                 before;
    ngx_int_t             rc;
    ngx_chain_t          *out, **ll;
    ngx_connection_t     *c;
    ngx_http_im_event_t  *e;

    c = reader->connection ? reader->connection : reader->request->connection;

    out = NULL;
    ll = &out;

    for (e = reader->next; e; e = e->next) {
        *ll = &e->chain;
        ll = &e->chain.next;
    }

    *ll = NULL;

    if (reader->next) {
        ngx_http_im_events_active(reader);
    }

    before = c->sent;

    rc = reader->connection ? ngx_http_im_events_output(reader, out)
                            : ngx_http_im_events_filter(reader, out);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    ngx_http_im_events_release(reader);

    if (reader->first || c->buffered) {
        return im_conn_full(c, before);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

#if (NGX_SSL)
    if (reader->connection && c->ssl) {
        ngx_ssl_free_buffer(c);
    }
#endif

    return NGX_OK;
}


static ngx_int_t
ngx_http_im_events_filter(ngx_http_im_reader_t *reader, ngx_chain_t *out)
{
    reader->next = NULL;

    /* the chunked filter forgets what was sent only if it is given something:
     * until then it looks at the buffers */

    if (out == NULL) {
        reader->buf.flush = 1;

        reader->chain.buf = &reader->buf;
        reader->chain.next = NULL;
        out = &reader->chain;
    }

    return ngx_http_output_filter(reader->request, out);
}


/* send() costs the kernel less than writev().  TLS wants the bytes that it did
 * not take once more, and as they were: nginx's buffer keeps them. */

static ngx_int_t
ngx_http_im_events_output(ngx_http_im_reader_t *reader, ngx_chain_t *out)
{
    ssize_t               n;
    ngx_buf_t            *b;
    ngx_uint_t            alone;
    ngx_connection_t     *c;
    ngx_http_im_event_t  *e;

    c = reader->connection;
    alone = (out && out->next == NULL);

#if (NGX_SSL)
    if (c->ssl) {
        alone = 0;
    }
#endif

    if (alone) {

        b = out->buf;
        n = c->send(c, b->pos, b->last - b->pos);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n > 0) {
            b->pos += n;
        }

    } else if (out || c->buffered) {

        if (c->send_chain(c, out, 0) == NGX_CHAIN_ERROR) {
            return NGX_ERROR;
        }
    }

    for (e = reader->next; e && e->buf.pos == e->buf.last; e = e->next) {
        /* void */
    }

    reader->next = e;

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

        if (reader->connection && e != &reader->own) {
            ngx_free(e);
            continue;
        }

        e->next = reader->free;
        reader->free = e;
    }
}
