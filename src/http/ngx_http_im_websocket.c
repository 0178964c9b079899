
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "core/im_str.h"
#include "domain/im_platform.h"
#include "http/ngx_http_im_module.h"
#include "web/im_conn.h"
#include "web/im_ws.h"
#include "web/im_ws_deflate.h"


#define NGX_HTTP_IM_UPGRADE_REQUIRED  426

#define NGX_HTTP_IM_UPGRADE_WAIT  10    /* milliseconds */


/*
 * After the answer to the upgrade the request is given back: an idle client
 * costs the connection and an im_conn_t.
 */

#define NGX_HTTP_IM_SWITCH                                                    \
    "HTTP/1.1 101 Switching Protocols" CRLF                                   \
    "Upgrade: websocket" CRLF                                                 \
    "Connection: Upgrade" CRLF                                                \
    "Sec-WebSocket-Accept: "

#define NGX_HTTP_IM_EXTENSIONS  CRLF "Sec-WebSocket-Extensions: "


typedef struct {
    ngx_http_request_t  *request;
    im_conn_t           *conn;
    ngx_event_t          event;
    size_t               len;
    u_char               head[sizeof(NGX_HTTP_IM_SWITCH) - 1
                              + IM_WS_ACCEPT_LEN
                              + sizeof(NGX_HTTP_IM_EXTENSIONS) - 1
                              + IM_WS_DEFLATE_ANSWER_MAX + 4];
} ngx_http_im_upgrade_t;


static ngx_int_t ngx_http_im_websocket_check(ngx_http_request_t *r,
    ngx_str_t *key);
static ngx_int_t ngx_http_im_websocket_refuse(ngx_http_request_t *r);
static ngx_str_t *ngx_http_im_websocket_header(ngx_http_request_t *r,
    char *name, size_t len);
static ngx_uint_t ngx_http_im_websocket_ends(ngx_str_t *uri, char *tail);
static void ngx_http_im_websocket_init(ngx_http_request_t *r,
    im_conn_init_t *init);
static ngx_uint_t ngx_http_im_websocket_deflate(ngx_http_request_t *r,
    ngx_uint_t *bits);
static void ngx_http_im_websocket_switch(ngx_event_t *ev);
static void ngx_http_im_websocket_done(ngx_connection_t *c, void *data);
static void ngx_http_im_websocket_cleanup(void *data);


ngx_int_t
ngx_http_im_websocket_handler(ngx_http_request_t *r)
{
    u_char                 *p;
    ngx_int_t               rc;
    ngx_str_t               key;
    ngx_uint_t              bits;
    im_conn_init_t          init;
    ngx_http_cleanup_t     *cln;
    ngx_http_im_upgrade_t  *up;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (r->discard_body) {
        return NGX_HTTP_BAD_REQUEST;     /* frames would be taken for it */
    }

    rc = ngx_http_im_websocket_check(r, &key);

    if (rc == NGX_HTTP_IM_UPGRADE_REQUIRED) {
        return ngx_http_im_websocket_refuse(r);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_im_websocket_init(r, &init);

    if (init.app == NULL) {
        return NGX_HTTP_FORBIDDEN;
    }

    /* a client that is let in and sent away does not come back by itself */

    if (ngx_exiting) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    up = ngx_pcalloc(r->pool, sizeof(ngx_http_im_upgrade_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (up == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(up->head, NGX_HTTP_IM_SWITCH,
                   sizeof(NGX_HTTP_IM_SWITCH) - 1);
    p = im_ws_accept(p, &key);

    if (ngx_http_im_websocket_deflate(r, &bits)) {
        init.deflate = bits ? bits : IM_WS_DEFLATE_BITS_MAX;

        p = ngx_cpymem(p, NGX_HTTP_IM_EXTENSIONS,
                       sizeof(NGX_HTTP_IM_EXTENSIONS) - 1);
        p = im_ws_deflate_answer(p, bits);
    }

    p = ngx_cpymem(p, CRLF CRLF, 4);

    up->len = p - up->head;
    up->request = r;

    up->conn = im_conn_create(&init, r->connection->log);
    if (up->conn == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_im_websocket_cleanup;
    cln->data = up;

    /* the request cannot be freed under the feet of its phases */

    up->event.handler = ngx_http_im_websocket_switch;
    up->event.data = up;
    up->event.log = r->connection->log;

    ngx_post_event(&up->event, &ngx_posted_events);

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    r->main->count++;

    return NGX_DONE;
}


static ngx_int_t
ngx_http_im_websocket_check(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_str_t  *h;

    if (r != r->main || r->method != NGX_HTTP_GET) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    h = ngx_http_im_websocket_header(r, "Upgrade", sizeof("Upgrade") - 1);

    if (h == NULL
        || h->len != 9
        || ngx_strncasecmp(h->data, (u_char *) "websocket", 9) != 0
        || r->http_version != NGX_HTTP_VERSION_11)
    {
        return NGX_HTTP_IM_UPGRADE_REQUIRED;
    }

    h = ngx_http_im_websocket_header(r, "Connection",
                                     sizeof("Connection") - 1);

    if (h == NULL
        || ngx_strlcasestrn(h->data, h->data + h->len, (u_char *) "upgrade",
                            7 - 1)
           == NULL)
    {
        return NGX_HTTP_IM_UPGRADE_REQUIRED;
    }

    h = ngx_http_im_websocket_header(r, "Sec-WebSocket-Version",
                                     sizeof("Sec-WebSocket-Version") - 1);

    if (h == NULL || !im_str_eq_c(h, "13")) {
        return NGX_HTTP_IM_UPGRADE_REQUIRED;
    }

    h = ngx_http_im_websocket_header(r, "Sec-WebSocket-Key",
                                     sizeof("Sec-WebSocket-Key") - 1);

    if (h == NULL || !im_ws_key_valid(h)) {
        return NGX_HTTP_BAD_REQUEST;
    }

    *key = *h;

    return NGX_OK;
}


/* 426: it has to be a WebSocket of that version */

static ngx_int_t
ngx_http_im_websocket_refuse(ngx_http_request_t *r)
{
    ngx_str_t  body;

    if (ngx_http_im_header(r, "Sec-WebSocket-Version", "13") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_null(&body);

    return ngx_http_im_send(r, NGX_HTTP_IM_UPGRADE_REQUIRED, NULL, &body);
}


static ngx_str_t *
ngx_http_im_websocket_header(ngx_http_request_t *r, char *name, size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
        {
            return &h[i].value;
        }
    }
}


static ngx_uint_t
ngx_http_im_websocket_ends(ngx_str_t *uri, char *tail)
{
    size_t  len;

    len = ngx_strlen(tail);

    return uri->len >= len
           && ngx_memcmp(uri->data + uri->len - len, tail, len) == 0;
}


static void
ngx_http_im_websocket_init(ngx_http_request_t *r, im_conn_init_t *init)
{
    int64_t    n;
    ngx_str_t  value;

    ngx_memzero(init, sizeof(im_conn_init_t));

    init->ip = r->connection->addr_text;

    if (r->headers_in.host) {
        init->host = r->headers_in.host->value;
    }

#if (NGX_HTTP_SSL)
    init->tls = (r->connection->ssl != NULL);
#endif

    init->done = ngx_http_im_websocket_done;
    init->form = IM_FORM_TEXT;

    if (ngx_http_im_websocket_ends(&r->uri, "/binfo")) {
        init->form = IM_FORM_BINARY;

        if (ngx_http_arg(r, (u_char *) "compress", 8, &value) == NGX_OK
            && im_str_eq_c(&value, "gzip"))
        {
            init->form = IM_FORM_COMP;
        }
    }

    if (ngx_http_arg(r, (u_char *) "platform", 8, &value) == NGX_OK
        && im_str_int(&value, &n) == NGX_OK
        && n > 0 && n < IM_PLATFORM_MAX)
    {
        init->platform = (ngx_uint_t) n;
    }

    if (ngx_http_arg(r, (u_char *) "sdkappid", 8, &value) == NGX_OK
        && im_str_int(&value, &n) == NGX_OK
        && n > 0 && n <= IM_APP_ID_MAX)
    {
        init->app = im_conf_app(im_conf(), (ngx_uint_t) n);
    }
}


static ngx_uint_t
ngx_http_im_websocket_deflate(ngx_http_request_t *r, ngx_uint_t *bits)
{
    ngx_str_t  *h;

    if (!im_conf()->deflate) {
        return 0;
    }

    h = ngx_http_im_websocket_header(r, "Sec-WebSocket-Extensions",
                                     sizeof("Sec-WebSocket-Extensions") - 1);

    return h && im_ws_deflate_offer(h, bits) == NGX_OK;
}


static void
ngx_http_im_websocket_switch(ngx_event_t *ev)
{
    ngx_http_im_upgrade_t  *up = ev->data;

    ssize_t                 n;
    u_char                  head[sizeof(up->head)];
    im_conn_t              *conn;
    ngx_buf_t              *b;
    ngx_str_t               unread, unsent;
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_connection_t  *hc;

    r = up->request;
    c = r->connection;
    hc = r->http_connection;

    if (r->count > 1) {

        /* somebody else uses the request, as mirrors do, and says no end */

        ngx_add_timer(ev, NGX_HTTP_IM_UPGRADE_WAIT);
        return;
    }

    n = c->send(c, up->head, up->len);

    if (n == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        ngx_http_run_posted_requests(c);
        return;
    }

    if (n == NGX_AGAIN) {
        n = 0;
    }

    unsent.data = head;
    unsent.len = up->len - n;
    ngx_memcpy(head, up->head + n, unsent.len);

    b = r->header_in;

    unread.len = b->last - b->pos;
    unread.data = NULL;

    if (unread.len) {
        unread.data = ngx_alloc(unread.len, c->log);

        if (unread.data == NULL) {
            ngx_http_finalize_request(r, NGX_ERROR);
            ngx_http_run_posted_requests(c);
            return;
        }

        ngx_memcpy(unread.data, b->pos, unread.len);
    }

    conn = up->conn;
    up->conn = NULL;

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    r->keepalive = 0;

    ngx_http_free_request(r, 0);

    c->destroyed = 0;
    c->log->action = "serving WebSocket";

    ngx_http_im_release(c, hc);

    if (c->tcp_nodelay == NGX_TCP_NODELAY_UNSET && ngx_tcp_nodelay(c) != NGX_OK)
    {
        im_conn_free(conn);
        ngx_http_close_connection(c);

    } else {
        im_conn_start(conn, c, &unread, &unsent);
    }

    if (unread.data) {
        ngx_free(unread.data);
    }
}


void
ngx_http_im_release(ngx_connection_t *c, ngx_http_connection_t *hc)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *ln;

    b = c->buffer;

    if (b && ngx_pfree(c->pool, b->start) == NGX_OK) {
        b->start = NULL;
        b->pos = NULL;
        b->last = NULL;
        b->end = NULL;
    }

    for (cl = hc->free; cl; /* void */) {
        ln = cl;
        cl = cl->next;
        ngx_pfree(c->pool, ln->buf->start);
        ngx_free_chain(c->pool, ln);
    }

    for (cl = hc->busy; cl; /* void */) {
        ln = cl;
        cl = cl->next;
        ngx_pfree(c->pool, ln->buf->start);
        ngx_free_chain(c->pool, ln);
    }

    hc->free = NULL;
    hc->busy = NULL;
    hc->nbusy = 0;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_ssl_free_buffer(c);
    }
#endif
}


static void
ngx_http_im_websocket_done(ngx_connection_t *c, void *data)
{
    ngx_http_close_connection(c);
}


static void
ngx_http_im_websocket_cleanup(void *data)
{
    ngx_http_im_upgrade_t  *up = data;

    if (up->event.posted) {
        ngx_delete_posted_event(&up->event);
    }

    if (up->event.timer_set) {
        ngx_del_timer(&up->event);
    }

    if (up->conn) {
        im_conn_free(up->conn);
    }
}
