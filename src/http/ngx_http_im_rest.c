
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "api/im_api.h"
#include "core/im_co.h"
#include "core/im_memory.h"
#include "core/im_pool.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "http/ngx_http_im_module.h"


#define NGX_HTTP_IM_BODY_SMALL  1024
#define NGX_HTTP_IM_NAME_MAX    64
#define NGX_HTTP_IM_POLL_POOL   4096 /* smaller: there may be many */


/*
 * A call lives on a pool of its own and outlives the request when the client
 * goes away.  Once it is answered it ends with the request, whose cleanup
 * handler frees it: the answer is sent from its pool.
 */

typedef struct {
    ngx_http_request_t  *request;    /* from start to answer; NULL: the client
                                        has gone */
    ngx_pool_t          *pool;

    im_call_t            call;
    ngx_str_t            jsonp;      /* callback, or empty */

    u_char              *body;
    size_t               size;       /* of body */

    ngx_str_t            out;
    ngx_int_t            rc;         /* NGX_OK, out is the answer */
    ngx_event_t          event;      /* the answer is to be sent */

    unsigned             poll:1;
    unsigned             parked:1;
    unsigned             large:1;    /* body is taken from im_memory */
} ngx_http_im_call_t;


static ngx_int_t ngx_http_im_rest_preflight(ngx_http_request_t *r);
static ngx_int_t ngx_http_im_rest_path(ngx_http_request_t *r,
    im_call_t *call);
static ngx_int_t ngx_http_im_rest_jsonp(ngx_http_request_t *r,
    ngx_http_im_call_t *call, ngx_str_t *name);
static ngx_http_im_call_t *ngx_http_im_rest_create(ngx_http_request_t *r,
    im_call_t *path);
static ngx_uint_t ngx_http_im_rest_is_poll(im_call_t *path);
static void ngx_http_im_rest_body_handler(ngx_http_request_t *r);
static void ngx_http_im_rest_read(ngx_http_request_t *r);
static ngx_int_t ngx_http_im_rest_append(ngx_http_request_t *r,
    ngx_http_im_call_t *call);
static ngx_int_t ngx_http_im_rest_grow(ngx_http_im_call_t *call, size_t size);
static im_code_t ngx_http_im_rest_start(ngx_http_request_t *r,
    ngx_http_im_call_t *call);
static void ngx_http_im_rest_run(void *data);
static void ngx_http_im_rest_resume(void *data);
static void ngx_http_im_rest_rerun(void *data);
static void ngx_http_im_rest_done(ngx_http_im_call_t *call, ngx_int_t rc);
static void ngx_http_im_rest_reply(ngx_event_t *ev);
static ngx_int_t ngx_http_im_rest_send(ngx_http_request_t *r,
    ngx_str_t *jsonp, ngx_str_t *body, im_shared_t *tail);
static ngx_int_t ngx_http_im_rest_refuse(ngx_http_request_t *r,
    im_code_t code);
static void ngx_http_im_rest_cleanup(void *data);
static void ngx_http_im_rest_drop(ngx_http_im_call_t *call);
static void ngx_http_im_rest_free(ngx_http_im_call_t *call);


ngx_int_t
ngx_http_im_rest_handler(ngx_http_request_t *r)
{
    off_t                    len;
    im_code_t                code;
    im_call_t                path;
    ngx_int_t                rc;
    ngx_str_t                jsonp;
    ngx_uint_t               get;
    ngx_http_im_call_t      *call;
    ngx_http_im_loc_conf_t  *imlcf;

    if (r->method == NGX_HTTP_OPTIONS) {
        return ngx_http_im_rest_preflight(r);
    }

    ngx_memzero(&path, sizeof(im_call_t));
    ngx_str_null(&jsonp);

    rc = ngx_http_im_rest_path(r, &path);
    get = 0;

    if (r->method == NGX_HTTP_GET) {
        (void) ngx_http_arg(r, (u_char *) "jsonpcallback",
                            sizeof("jsonpcallback") - 1, &jsonp);

        get = jsonp.len
              || (rc == NGX_OK
                  && im_str_eq_c(&path.service, "openim_dirty_words")
                  && im_str_eq_c(&path.command, "get"));
    }

    if (r->method != NGX_HTTP_POST && !get) {
        return ngx_http_im_rest_refuse(r, IM_E_REQUEST);
    }

    if (rc != NGX_OK) {
        return ngx_http_im_rest_refuse(r, IM_E_NO_COMMAND);
    }

    imlcf = ngx_http_get_module_loc_conf(r, ngx_http_im_module);
    len = r->headers_in.content_length_n;

    if (len > 0 && (get || len > (off_t) imlcf->body_size)) {
        return ngx_http_im_rest_refuse(r, IM_E_URL);
    }

    call = ngx_http_im_rest_create(r, &path);
    if (call == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (get) {
        rc = ngx_http_discard_request_body(r);

        if (rc != NGX_OK) {
            return rc;
        }

        rc = jsonp.len ? ngx_http_im_rest_jsonp(r, call, &jsonp) : NGX_OK;

        if (rc == NGX_DECLINED) {
            return ngx_http_im_rest_refuse(r, IM_E_URL);
        }

        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        code = ngx_http_im_rest_start(r, call);

        if (code != IM_OK) {
            return ngx_http_im_rest_refuse(r, code);
        }

        r->main->count++;

        return NGX_DONE;
    }

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_im_rest_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_im_rest_preflight(ngx_http_request_t *r)
{
    ngx_int_t  rc;
    ngx_str_t  body;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_im_header(r, "Access-Control-Allow-Origin", "*") != NGX_OK
        || ngx_http_im_header(r, "Access-Control-Allow-Methods",
                              "POST, GET, OPTIONS")
           != NGX_OK
        || ngx_http_im_header(r, "Access-Control-Allow-Headers",
                              "Content-Type, X-Requested-With")
           != NGX_OK
        || ngx_http_im_header(r, "Access-Control-Max-Age", "86400") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_null(&body);

    return ngx_http_im_send(r, NGX_HTTP_OK, NULL, &body);
}


/* /v4/service/command, and maybe one slash more */

static ngx_int_t
ngx_http_im_rest_path(ngx_http_request_t *r, im_call_t *call)
{
    u_char  *p, *last;

    p = r->uri.data;
    last = p + r->uri.len;

    if (r->uri.len < 4
        || p[0] != '/' || p[1] != 'v' || p[3] != '/'
        || (p[2] != '1' && p[2] != '3' && p[2] != '4'))
    {
        return NGX_DECLINED;
    }

    call->version = p[2] - '0';
    p += 4;

    call->service.data = p;

    while (p < last && *p != '/') {
        p++;
    }

    call->service.len = p - call->service.data;

    if (p == last) {
        return NGX_DECLINED;
    }

    call->command.data = ++p;

    while (p < last && *p != '/') {
        p++;
    }

    call->command.len = p - call->command.data;

    if (p < last) {
        p++;
    }

    if (p < last
        || call->service.len == 0
        || call->service.len > NGX_HTTP_IM_NAME_MAX
        || call->command.len == 0
        || call->command.len > NGX_HTTP_IM_NAME_MAX)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* The name goes into a script: it has to be an identifier. */

static ngx_int_t
ngx_http_im_rest_jsonp(ngx_http_request_t *r, ngx_http_im_call_t *call,
    ngx_str_t *name)
{
    u_char      c, *dst, *src;
    ngx_str_t   body;
    ngx_uint_t  i;

    if (name->len > NGX_HTTP_IM_NAME_MAX) {
        return NGX_DECLINED;
    }

    for (i = 0; i < name->len; i++) {
        c = name->data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
            || c == '_' || c == '$'
            || (i && c >= '0' && c <= '9'))
        {
            continue;
        }

        return NGX_DECLINED;
    }

    if (im_str_dup(call->pool, &call->jsonp, name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_arg(r, (u_char *) "jsonpbody", sizeof("jsonpbody") - 1,
                     &body)
        != NGX_OK)
    {
        return NGX_OK;
    }

    dst = ngx_pnalloc(call->pool, body.len);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    call->call.body.data = dst;

    src = body.data;
    ngx_unescape_uri(&dst, &src, body.len, 0);

    call->call.body.len = dst - call->call.body.data;

    return NGX_OK;
}


static ngx_http_im_call_t *
ngx_http_im_rest_create(ngx_http_request_t *r, im_call_t *path)
{
    ngx_pool_t          *pool;
    ngx_uint_t           poll;
    ngx_http_cleanup_t  *cln;
    ngx_http_im_call_t  *call;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    poll = ngx_http_im_rest_is_poll(path);

    pool = poll ? ngx_create_pool(NGX_HTTP_IM_POLL_POOL, ngx_cycle->log)
                : im_pool_create();

    if (pool == NULL) {
        return NULL;
    }

    call = ngx_pcalloc(pool, sizeof(ngx_http_im_call_t));
    if (call == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    call->pool = pool;
    call->call = *path;
    call->poll = poll;

    cln->handler = ngx_http_im_rest_cleanup;
    cln->data = call;

    ngx_http_set_ctx(r, call, ngx_http_im_module);

    return call;
}


/* A web SDK backs off at a status that is not 200, a back end does not. */

static ngx_uint_t
ngx_http_im_rest_is_poll(im_call_t *path)
{
    return (im_str_eq_c(&path->service, "openim")
            && im_str_eq_c(&path->command, "longpolling"))
           || (im_str_eq_c(&path->service,
                           "group_open_long_polling_http_noauth_svc")
               && im_str_eq_c(&path->command, "get_msg"));
}


static void
ngx_http_im_rest_body_handler(ngx_http_request_t *r)
{
    r->read_event_handler = ngx_http_im_rest_read;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_im_rest_read(r);
}


static void
ngx_http_im_rest_read(ngx_http_request_t *r)
{
    im_code_t            code;
    ngx_int_t            rc;
    ngx_http_im_call_t  *call;

    call = ngx_http_get_module_ctx(r, ngx_http_im_module);

    for ( ;; ) {

        if (r->request_body->bufs) {
            code = ngx_http_im_rest_append(r, call);

            if (code != IM_OK) {
                break;
            }
        }

        if (!r->reading_body) {
            code = ngx_http_im_rest_start(r, call);

            if (code == IM_OK) {
                return;
            }

            break;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc == NGX_HTTP_REQUEST_TIME_OUT) {
            code = IM_E_REQUEST;
            break;
        }

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_http_finalize_request(r, rc);
            return;
        }

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return;
        }
    }

    if (r->reading_body) {
        r->keepalive = 0;
    }

    if (r->connection->read->timer_set) {
        ngx_del_timer(r->connection->read);
    }

    r->read_event_handler = ngx_http_block_reading;

    /* the request may last as long as the rest of its body comes */

    ngx_http_im_rest_drop(call);

    ngx_http_finalize_request(r, ngx_http_im_rest_refuse(r, code));
}


/* Copies what was read, so that nginx uses its buffer again. */

static ngx_int_t
ngx_http_im_rest_append(ngx_http_request_t *r, ngx_http_im_call_t *call)
{
    size_t                   n, len;
    ngx_buf_t               *b;
    ngx_chain_t             *cl, *ln;
    ngx_http_im_loc_conf_t  *imlcf;

    imlcf = ngx_http_get_module_loc_conf(r, ngx_http_im_module);

    for (cl = r->request_body->bufs; cl; /* void */) {

        b = cl->buf;
        n = b->last - b->pos;
        len = call->call.body.len;

        if (n > imlcf->body_size - len) {
            return IM_E_URL;
        }

        if (n > call->size - len
            && ngx_http_im_rest_grow(call, len + n) != NGX_OK)
        {
            return IM_E_BUSY;
        }

        if (n) {
            ngx_memcpy(call->body + len, b->pos, n);
            call->call.body.len += n;
            call->call.body.data = call->body;
        }

        b->pos = b->last;

        ln = cl;
        cl = cl->next;
        ngx_free_chain(r->pool, ln);
    }

    r->request_body->bufs = NULL;

    return IM_OK;
}


static ngx_int_t
ngx_http_im_rest_grow(ngx_http_im_call_t *call, size_t size)
{
    size_t   taken;
    u_char  *p;

    if (call->size == 0 && size <= NGX_HTTP_IM_BODY_SMALL) {

        call->body = ngx_pnalloc(call->pool, size);
        if (call->body == NULL) {
            return NGX_ERROR;
        }

        call->size = size;

        return NGX_OK;
    }

    size = ngx_max(size, call->size * 2);
    size = ngx_max(size, NGX_HTTP_IM_BODY_SMALL);

    taken = call->large ? call->size : 0;

    if (im_memory_take(size - taken) != NGX_OK) {
        return NGX_BUSY;
    }

    p = ngx_alloc(size, call->pool->log);
    if (p == NULL) {
        im_memory_give(size - taken);
        return NGX_ERROR;
    }

    ngx_memcpy(p, call->body, call->call.body.len);

    if (call->large) {
        ngx_free(call->body);
    }

    call->body = p;
    call->size = size;
    call->large = 1;

    return NGX_OK;
}


static im_code_t
ngx_http_im_rest_start(ngx_http_request_t *r, ngx_http_im_call_t *call)
{
    im_call_t   *ic;
    ngx_pool_t  *pool;

    ic = &call->call;
    pool = call->pool;

    if (im_str_dup(pool, &ic->service, &ic->service) != NGX_OK
        || im_str_dup(pool, &ic->command, &ic->command) != NGX_OK
        || im_str_dup(pool, &ic->args, &r->args) != NGX_OK
        || im_str_dup(pool, &ic->ip, &r->connection->addr_text) != NGX_OK)
    {
        return IM_E_BUSY;
    }

    if (im_co_start(ngx_http_im_rest_run, call, pool->log) == NULL) {
        return IM_E_BUSY;
    }

    im_stat_add(IM_STAT_REST, 1);

    call->request = r;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return IM_OK;
}


/* in a coroutine */

static void
ngx_http_im_rest_run(void *data)
{
    ngx_http_im_call_t  *call = data;

    ngx_http_im_rest_done(call, im_api_call(call->pool, call->pool->log,
                                            &call->call, &call->out));
}


/* The poll is over; where we are called from is not known. */

static void
ngx_http_im_rest_resume(void *data)
{
    ngx_http_im_call_t  *call = data;

    call->parked = 0;

    if (im_co_spawn(ngx_http_im_rest_rerun, call, call->pool->log) == NULL) {
        ngx_http_im_rest_done(call, NGX_BUSY);
    }
}


static void
ngx_http_im_rest_rerun(void *data)
{
    ngx_http_im_call_t  *call = data;

    ngx_http_im_rest_done(call, im_api_resume(call->pool, call->pool->log,
                                              &call->call, &call->out));
}


static void
ngx_http_im_rest_done(ngx_http_im_call_t *call, ngx_int_t rc)
{
    im_poll_t  *park;

    if (rc == NGX_AGAIN) {
        park = call->call.park;

        call->parked = 1;
        im_poll_start(park, ngx_http_im_rest_resume, call);

        if (call->request == NULL && call->parked) {
            im_poll_wake(park, IM_POLL_GONE);
        }

        return;
    }

    /* filters and handlers of other modules need more stack than we have */

    call->rc = rc;

    call->event.handler = ngx_http_im_rest_reply;
    call->event.data = call;
    call->event.log = call->pool->log;

    ngx_post_event(&call->event, &ngx_posted_events);
}


static void
ngx_http_im_rest_reply(ngx_event_t *ev)
{
    ngx_http_im_call_t  *call = ev->data;

    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = call->request;

    if (r == NULL) {
        ngx_log_error(NGX_LOG_INFO, ev->log, 0,
                      "client has gone before the answer of \"%V/%V\"",
                      &call->call.service, &call->call.command);

        ngx_http_im_rest_free(call);
        return;
    }

    c = r->connection;
    call->request = NULL;

    ngx_http_im_rest_drop(call);

    if (call->rc == NGX_OK && call->call.status) {
        rc = call->call.status;

        if (ngx_http_im_header(r, "Access-Control-Allow-Origin", "*")
            != NGX_OK)
        {
            rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

    } else if (call->rc == NGX_OK) {
        rc = ngx_http_im_rest_send(r, &call->jsonp, &call->out,
                                   call->call.tail);

    } else if (call->rc == NGX_BUSY) {
        rc = NGX_HTTP_SERVICE_UNAVAILABLE;

    } else {
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_im_rest_send(ngx_http_request_t *r, ngx_str_t *jsonp,
    ngx_str_t *body, im_shared_t *tail)
{
    char       *type;
    u_char     *p;
    ngx_str_t   parts[4];

    if (ngx_http_im_header(r, "Access-Control-Allow-Origin", "*") != NGX_OK
        || ngx_http_im_header(r, "Access-Control-Allow-Headers",
                              "X-Requested-With")
           != NGX_OK
        || ngx_http_im_header(r, "Access-Control-Allow-Methods", "POST")
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(parts, sizeof(parts));

    type = "application/json; charset=utf-8";
    parts[1] = *body;

    if (tail) {
        parts[2] = tail->text;
    }

    if (jsonp->len) {

        p = ngx_pnalloc(r->pool, jsonp->len + 1);
        if (p == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        type = "text/javascript; charset=utf-8";

        parts[0].data = p;
        parts[0].len = jsonp->len + 1;

        p = ngx_cpymem(p, jsonp->data, jsonp->len);
        *p = '(';

        ngx_str_set(&parts[3], ")");
    }

    return ngx_http_im_send_parts(r, NGX_HTTP_OK, type, parts, 4);
}


static ngx_int_t
ngx_http_im_rest_refuse(ngx_http_request_t *r, im_code_t code)
{
    ngx_int_t            rc;
    ngx_str_t            body, jsonp;
    ngx_http_im_call_t  *call;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_null(&jsonp);

    call = ngx_http_get_module_ctx(r, ngx_http_im_module);

    if (call) {
        jsonp = call->jsonp;

        if (code == IM_E_BUSY && jsonp.len == 0 && call->poll) {
            return NGX_HTTP_SERVICE_UNAVAILABLE;
        }
    }

    if (im_api_refuse(r->pool, code, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_im_rest_send(r, &jsonp, &body, NULL);
}


static void
ngx_http_im_rest_cleanup(void *data)
{
    ngx_http_im_call_t  *call = data;

    if (call->request == NULL) {
        /* not started, or answered */
        ngx_http_im_rest_free(call);
        return;
    }

    call->request = NULL;

    if (call->parked) {
        im_poll_wake(call->call.park, IM_POLL_GONE);
    }
}


static void
ngx_http_im_rest_drop(ngx_http_im_call_t *call)
{
    if (call->large) {
        ngx_free(call->body);
        im_memory_give(call->size);

        call->body = NULL;
        call->size = 0;
        call->large = 0;
    }
}


static void
ngx_http_im_rest_free(ngx_http_im_call_t *call)
{
    ngx_http_im_rest_drop(call);

    if (call->poll) {
        ngx_destroy_pool(call->pool);

    } else {
        im_pool_destroy(call->pool);
    }
}
