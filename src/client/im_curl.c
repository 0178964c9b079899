
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <curl/curl.h>
#include <openssl/err.h>
#include <signal.h>
#include "client/im_addr.h"
#include "client/im_curl.h"
#include "core/im_co.h"
#include "core/im_socket.h"
#include "core/im_str.h"
#include "core/im_worker.h"


#define IM_CURL_CALLS    4096            /* of a worker */
#define IM_CURL_SPARE    64              /* handles that wait for a call */
#define IM_CURL_CACHED   256L            /* connections that are kept */
#define IM_CURL_HEADERS  16


typedef struct {
    ngx_queue_t          link;
    ngx_pool_t          *pool;
    im_curl_request_t    request;
    char                *url;
    im_curl_pt           handler;
    void                *data;
    ngx_msec_t           start;

    CURL                *easy;
    struct curl_slist   *headers;

    u_char              *buf;            /* of the answer */
    size_t               len;
    size_t               size;

    unsigned             too_long:1;
    unsigned             refused:1;      /* the address is private */
    char                 error[CURL_ERROR_SIZE];
} im_curl_call_t;


typedef struct {
    im_co_t             *co;
    ngx_pool_t          *pool;
    im_curl_answer_t    *answer;
    ngx_int_t            rc;
    ngx_uint_t           done;
} im_curl_wait_t;


static void im_curl_start_handler(ngx_event_t *ev);
static ngx_int_t im_curl_begin(im_curl_call_t *call);
static ngx_int_t im_curl_options(im_curl_call_t *call, ngx_msec_t spent);
static ngx_int_t im_curl_tls(im_curl_call_t *call);
static ngx_int_t im_curl_foreign(im_curl_call_t *call);
static curl_socket_t im_curl_open(void *data, curlsocktype purpose,
    struct curl_sockaddr *address);
static int im_curl_connected(void *data, char *ip, char *local_ip, int port,
    int local_port);
static size_t im_curl_write(char *p, size_t size, size_t n, void *data);
static int im_curl_socket(CURL *easy, curl_socket_t fd, int what, void *data,
    void *sockp);
static void *im_curl_uniq(curl_socket_t fd);
static void im_curl_event_handler(ngx_event_t *ev);
static void im_curl_timer_handler(ngx_event_t *ev);
static void im_curl_action(curl_socket_t fd, int bits);
static void im_curl_end(im_curl_call_t *call, CURLcode code);
static void im_curl_finish(im_curl_call_t *call, ngx_int_t rc,
    im_curl_answer_t *answer);
static void im_curl_post_handler(void *data, ngx_int_t rc,
    im_curl_answer_t *answer);
static ngx_int_t im_curl_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_curl_exit_process(ngx_cycle_t *cycle);


static CURLM        *im_curl_multi;
static CURL         *im_curl_spare[IM_CURL_SPARE];
static ngx_uint_t    im_curl_spares;
static ngx_uint_t    im_curl_calls;
static ngx_queue_t   im_curl_waiting;    /* to be started */
static ngx_queue_t   im_curl_running;
static ngx_event_t   im_curl_start_event;
static ngx_event_t   im_curl_timer;


im_worker_hook_t  im_curl_hook = {
    ngx_string("HTTP client"),
    NULL,
    NULL,
    im_curl_init_process,
    im_curl_exit_process
};


ngx_int_t
im_curl_start(im_curl_request_t *request, im_curl_pt handler, void *data)
{
    ngx_uint_t          i;
    ngx_pool_t         *pool;
    im_curl_call_t     *call;
    im_curl_request_t  *r;

    if (im_curl_multi == NULL) {
        return NGX_ERROR;
    }

    if (im_curl_calls >= IM_CURL_CALLS
        || request->n_headers > IM_CURL_HEADERS)
    {
        return NGX_BUSY;
    }

    pool = ngx_create_pool(2048, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    call = ngx_pcalloc(pool, sizeof(im_curl_call_t));
    if (call == NULL) {
        goto failed;
    }

    call->pool = pool;
    call->request = *request;
    call->handler = handler;
    call->data = data;
    call->start = ngx_current_msec;

    r = &call->request;

    call->url = im_str_c(pool, &r->url);

    r->headers = ngx_palloc(pool, (r->n_headers + 1) * sizeof(ngx_str_t));

    if (call->url == NULL
        || r->headers == NULL
        || im_str_dup(pool, &r->body, &r->body) != NGX_OK)
    {
        goto failed;
    }

    for (i = 0; i < r->n_headers; i++) {

        r->headers[i].data = (u_char *) im_str_c(pool, &request->headers[i]);

        if (r->headers[i].data == NULL) {
            goto failed;
        }
    }

    ngx_queue_insert_tail(&im_curl_waiting, &call->link);
    im_curl_calls++;

    im_worker_hold(1);

    /* curl and TLS need more stack than a coroutine has */

    ngx_post_event(&im_curl_start_event, &ngx_posted_events);

    return NGX_OK;

failed:

    ngx_destroy_pool(pool);

    return NGX_ERROR;
}


static void
im_curl_start_handler(ngx_event_t *ev)
{
    ngx_queue_t       *q;
    im_curl_call_t    *call;
    im_curl_answer_t   answer;

    while (!ngx_queue_empty(&im_curl_waiting)) {

        q = ngx_queue_head(&im_curl_waiting);
        ngx_queue_remove(q);

        call = ngx_queue_data(q, im_curl_call_t, link);
        ngx_queue_insert_tail(&im_curl_running, q);

        if (im_curl_begin(call) != NGX_OK) {
            ngx_memzero(&answer, sizeof(im_curl_answer_t));
            answer.error = "the request could not be made";
            im_curl_finish(call, NGX_ERROR, &answer);
        }
    }

    im_curl_action(CURL_SOCKET_TIMEOUT, 0);
}


static ngx_int_t
im_curl_begin(im_curl_call_t *call)
{
    ngx_msec_t  spent;

    spent = ngx_current_msec - call->start;

    if (im_curl_spares) {
        call->easy = im_curl_spare[--im_curl_spares];

    } else {
        call->easy = curl_easy_init();
    }

    if (call->easy == NULL) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                      "curl_easy_init() failed");
        return NGX_ERROR;
    }

    if (im_curl_options(call, spent) != NGX_OK
        || im_curl_tls(call) != NGX_OK
        || im_curl_foreign(call) != NGX_OK
        || curl_multi_add_handle(im_curl_multi, call->easy) != CURLM_OK)
    {
        /* arguments of the URL may be secret */

        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                      "curl took no request to \"%*s\"",
                      strcspn(call->url, "?"), call->url);

        /* it is not in the multi handle: im_curl_finish() asks for it */

        curl_easy_cleanup(call->easy);
        call->easy = NULL;

        return NGX_ERROR;
    }

    return NGX_OK;
}


#define im_curl_set(easy, option, value)                                      \
    (curl_easy_setopt(easy, option, value) != CURLE_OK)


static ngx_int_t
im_curl_options(im_curl_call_t *call, ngx_msec_t spent)
{
    CURL               *e;
    long                msec;
    ngx_uint_t          i;
    struct curl_slist  *list;
    im_curl_request_t  *r;

    e = call->easy;
    r = &call->request;

    msec = (spent < r->timeout) ? (long) (r->timeout - spent) : 1;

    for (i = 0; i < r->n_headers; i++) {

        list = curl_slist_append(call->headers, (char *) r->headers[i].data);
        if (list == NULL) {
            return NGX_ERROR;
        }

        call->headers = list;
    }

    /* no "Expect: 100-continue" */

    list = curl_slist_append(call->headers, "Expect:");
    if (list == NULL) {
        return NGX_ERROR;
    }

    call->headers = list;

    if (im_curl_set(e, CURLOPT_PRIVATE, call)
        || im_curl_set(e, CURLOPT_ERRORBUFFER, call->error)
        || im_curl_set(e, CURLOPT_URL, call->url)
        || im_curl_set(e, CURLOPT_PROTOCOLS_STR, "http,https")
        || im_curl_set(e, CURLOPT_PROXY, "")
        || im_curl_set(e, CURLOPT_NOSIGNAL, 1L)
        || im_curl_set(e, CURLOPT_QUICK_EXIT, 1L)
        || im_curl_set(e, CURLOPT_FOLLOWLOCATION, 0L)
        || im_curl_set(e, CURLOPT_HTTP_VERSION,
                       (long) CURL_HTTP_VERSION_2TLS)
        || im_curl_set(e, CURLOPT_TIMEOUT_MS, msec)
        || im_curl_set(e, CURLOPT_CONNECTTIMEOUT_MS, msec)
        || im_curl_set(e, CURLOPT_USERAGENT, "ngx_im")
        || im_curl_set(e, CURLOPT_HTTPHEADER, call->headers)
        || im_curl_set(e, CURLOPT_POST, 1L)
        || im_curl_set(e, CURLOPT_POSTFIELDS, (char *) r->body.data)
        || im_curl_set(e, CURLOPT_POSTFIELDSIZE, (long) r->body.len)
        || im_curl_set(e, CURLOPT_WRITEFUNCTION, im_curl_write)
        || im_curl_set(e, CURLOPT_WRITEDATA, call))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
im_curl_tls(im_curl_call_t *call)
{
    CURL               *e;
    struct curl_blob    blob;
    im_curl_request_t  *r;

    e = call->easy;
    r = &call->request;

    blob.flags = CURL_BLOB_NOCOPY;

    if (!r->verify
        && (im_curl_set(e, CURLOPT_SSL_VERIFYPEER, 0L)
            || im_curl_set(e, CURLOPT_SSL_VERIFYHOST, 0L)))
    {
        return NGX_ERROR;
    }

    if (r->ca.len) {
        blob.data = r->ca.data;
        blob.len = r->ca.len;

        /* instead of the system's, not with them */

        if (im_curl_set(e, CURLOPT_CAINFO_BLOB, &blob)
            || im_curl_set(e, CURLOPT_CAPATH, NULL))
        {
            return NGX_ERROR;
        }
    }

    if (r->cert.len) {
        blob.data = r->cert.data;
        blob.len = r->cert.len;

        if (im_curl_set(e, CURLOPT_SSLCERT_BLOB, &blob)) {
            return NGX_ERROR;
        }

        blob.data = r->key.data;
        blob.len = r->key.len;

        if (im_curl_set(e, CURLOPT_SSLKEY_BLOB, &blob)) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* The address itself is looked at, for a name may have any; and again for a
 * connection that somebody else has left. */

static ngx_int_t
im_curl_foreign(im_curl_call_t *call)
{
    CURL  *e = call->easy;

    if (call->request.foreign
        && (im_curl_set(e, CURLOPT_OPENSOCKETFUNCTION, im_curl_open)
            || im_curl_set(e, CURLOPT_OPENSOCKETDATA, call)
            || im_curl_set(e, CURLOPT_PREREQFUNCTION, im_curl_connected)
            || im_curl_set(e, CURLOPT_PREREQDATA, call)))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static curl_socket_t
im_curl_open(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    im_curl_call_t  *call = data;

    if (im_addr_private(&address->addr)) {
        call->refused = 1;
        return CURL_SOCKET_BAD;
    }

    return socket(address->family, address->socktype|SOCK_CLOEXEC,
                  address->protocol);
}


static int
im_curl_connected(void *data, char *ip, char *local_ip, int port,
    int local_port)
{
    im_curl_call_t  *call = data;

    if (im_addr_private_text(ip)) {
        call->refused = 1;
        return CURL_PREREQFUNC_ABORT;
    }

    return CURL_PREREQFUNC_OK;
}


static size_t
im_curl_write(char *p, size_t size, size_t n, void *data)
{
    im_curl_call_t  *call = data;

    u_char  *buf;
    size_t   need;

    n *= size;

    if (n > call->request.max - call->len) {
        call->too_long = 1;
        return 0;
    }

    if (n > call->size - call->len) {

        need = ngx_max(call->len + n, ngx_min(2 * call->size + 1024,
                                              call->request.max));
        buf = ngx_alloc(need, ngx_cycle->log);
        if (buf == NULL) {
            return 0;
        }

        if (call->buf) {
            ngx_memcpy(buf, call->buf, call->len);
            ngx_free(call->buf);
        }

        call->buf = buf;
        call->size = need;
    }

    ngx_memcpy(call->buf + call->len, p, n);
    call->len += n;

    return n;
}


/* The socket is curl's: it opens and closes it, and tells what it wants. */

static int
im_curl_socket(CURL *easy, curl_socket_t fd, int what, void *data,
    void *sockp)
{
    ngx_connection_t  *c = sockp;

    if (what == CURL_POLL_REMOVE) {

        if (c) {

            /* curl from 7.88 to 8.2 closes a socket that is not connected
             * yet before it tells, and another thread may have got its
             * number */

            if (im_curl_uniq(fd) != c->data) {
                im_socket_closed(c);
            }

            im_socket_forget(c);
        }

        return 0;
    }

    if (c == NULL) {
        c = im_socket_get(fd, im_curl_uniq(fd), im_curl_event_handler,
                          im_curl_event_handler);

        if (c == NULL) {                 /* the request will time out */
            return 0;
        }

        (void) curl_multi_assign(im_curl_multi, fd, c);
    }

    im_socket_watch(c->read, NGX_READ_EVENT, what & CURL_POLL_IN);
    im_socket_watch(c->write, NGX_WRITE_EVENT, what & CURL_POLL_OUT);

    return 0;
}


/* What no other socket has, unlike the number; NULL: it is closed. */

static void *
im_curl_uniq(curl_socket_t fd)
{
    ngx_file_info_t  fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        return NULL;
    }

    return (void *) (uintptr_t) ngx_file_uniq(&fi);
}


static void
im_curl_event_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    im_curl_action(c->fd, ev->write ? CURL_CSELECT_OUT : CURL_CSELECT_IN);
}


static void
im_curl_timer_handler(ngx_event_t *ev)
{
    im_curl_action(CURL_SOCKET_TIMEOUT, 0);
}


static void
im_curl_action(curl_socket_t fd, int bits)
{
    int              running, left;
    long             msec;
    CURLMsg         *msg;
    CURLcode         code;
    CURLMcode        rc;
    sigset_t         all, old;
    im_curl_call_t  *call;

    /* a thread that resolves a name is not for signals */

    sigfillset(&all);
    (void) pthread_sigmask(SIG_BLOCK, &all, &old);

    rc = curl_multi_socket_action(im_curl_multi, fd, bits, &running);

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (rc != CURLM_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "curl_multi_socket_action() failed: %s",
                      curl_multi_strerror(rc));
    }

    for ( ;; ) {
        msg = curl_multi_info_read(im_curl_multi, &left);

        if (msg == NULL) {
            break;
        }

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }

        code = msg->data.result;
        call = NULL;

        (void) curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &call);

        if (call) {
            im_curl_end(call, code);
        }
    }

    /* what curl has left there nginx would take for its own */

    ERR_clear_error();

    /* asked each time: curl does not repeat a time that it has told once,
     * and our clock may be a little behind its own */

    msec = -1;
    (void) curl_multi_timeout(im_curl_multi, &msec);

    if (im_curl_timer.timer_set) {
        ngx_del_timer(&im_curl_timer);
    }

    if (msec >= 0) {
        ngx_add_timer(&im_curl_timer, (ngx_msec_t) ngx_max(msec, 1));
    }
}


static void
im_curl_end(im_curl_call_t *call, CURLcode code)
{
    long               status;
    ngx_int_t          rc;
    im_curl_answer_t   answer;

    ngx_memzero(&answer, sizeof(im_curl_answer_t));

    answer.time = ngx_current_msec - call->start;

    if (code == CURLE_OK) {
        rc = NGX_OK;

        status = 0;
        (void) curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);

        answer.status = status;
        answer.body.data = call->buf;
        answer.body.len = call->len;

    } else {
        rc = (code == CURLE_OPERATION_TIMEDOUT) ? NGX_BUSY : NGX_ERROR;

        if (call->too_long) {
            answer.error = "the answer is too long";

        } else if (call->refused) {
            answer.error = "the address is private";

        } else {
            answer.error = call->error[0] ? call->error
                                          : curl_easy_strerror(code);
        }
    }

    im_curl_finish(call, rc, &answer);
}


static void
im_curl_finish(im_curl_call_t *call, ngx_int_t rc, im_curl_answer_t *answer)
{
    ngx_queue_remove(&call->link);
    im_curl_calls--;

    if (call->easy) {
        (void) curl_multi_remove_handle(im_curl_multi, call->easy);

        if (im_curl_spares < IM_CURL_SPARE) {
            curl_easy_reset(call->easy);
            im_curl_spare[im_curl_spares++] = call->easy;

        } else {
            curl_easy_cleanup(call->easy);
        }
    }

    curl_slist_free_all(call->headers);

    call->handler(call->data, rc, answer);

    if (call->buf) {
        ngx_free(call->buf);
    }

    ngx_destroy_pool(call->pool);

    im_worker_release(1);
}


ngx_int_t
im_curl_post(ngx_pool_t *pool, im_curl_request_t *request,
    im_curl_answer_t *answer)
{
    ngx_int_t       rc;
    im_curl_wait_t  wait;

    ngx_memzero(answer, sizeof(im_curl_answer_t));

    wait.co = im_co_self();
    wait.pool = pool;
    wait.answer = answer;
    wait.rc = NGX_ERROR;
    wait.done = 0;

    rc = im_curl_start(request, im_curl_post_handler, &wait);

    if (rc != NGX_OK) {
        return rc;
    }

    /* curl ends each request in its time */

    while (!wait.done) {
        (void) im_co_wait(IM_CO_FOREVER);
    }

    return wait.rc;
}


static void
im_curl_post_handler(void *data, ngx_int_t rc, im_curl_answer_t *answer)
{
    im_curl_wait_t  *wait = data;

    ngx_str_t  error;

    *wait->answer = *answer;

    wait->rc = rc;
    wait->done = 1;

    if (rc == NGX_OK) {

        if (im_str_dup(wait->pool, &wait->answer->body, &answer->body)
            != NGX_OK)
        {
            wait->rc = NGX_ERROR;
        }

    } else {
        error.data = (u_char *) answer->error;
        error.len = ngx_strlen(error.data);

        wait->answer->error = im_str_c(wait->pool, &error);

        if (wait->answer->error == NULL) {
            wait->answer->error = "no memory";
        }
    }

    im_co_wake(wait->co, NGX_OK);
}


static ngx_int_t
im_curl_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "curl_global_init() failed");
        return NGX_ERROR;
    }

    im_curl_multi = curl_multi_init();

    if (im_curl_multi == NULL
        || curl_multi_setopt(im_curl_multi, CURLMOPT_SOCKETFUNCTION,
                             im_curl_socket) != CURLM_OK
        || curl_multi_setopt(im_curl_multi, CURLMOPT_MAXCONNECTS,
                             IM_CURL_CACHED) != CURLM_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "curl_multi_init() failed");
        return NGX_ERROR;
    }

    ngx_queue_init(&im_curl_waiting);
    ngx_queue_init(&im_curl_running);

    im_curl_calls = 0;
    im_curl_spares = 0;

    ngx_memzero(&im_curl_start_event, sizeof(ngx_event_t));

    im_curl_start_event.handler = im_curl_start_handler;
    im_curl_start_event.log = cycle->log;

    im_worker_timer(&im_curl_timer, im_curl_timer_handler, cycle->log);

    return NGX_OK;
}


static void
im_curl_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t         i;
    ngx_queue_t       *q;
    im_curl_call_t    *call;
    im_curl_answer_t   answer;

    ngx_memzero(&answer, sizeof(im_curl_answer_t));
    answer.error = "the worker exits";

    for (i = 0; i < 2; i++) {
        q = i ? &im_curl_running : &im_curl_waiting;

        while (!ngx_queue_empty(q)) {
            call = ngx_queue_data(ngx_queue_head(q), im_curl_call_t, link);
            im_curl_finish(call, NGX_ERROR, &answer);
        }
    }

    if (im_curl_start_event.posted) {
        ngx_delete_posted_event(&im_curl_start_event);
    }

    while (im_curl_spares) {
        curl_easy_cleanup(im_curl_spare[--im_curl_spares]);
    }

    (void) curl_multi_cleanup(im_curl_multi);
    im_curl_multi = NULL;

    if (im_curl_timer.timer_set) {
        ngx_del_timer(&im_curl_timer);
    }

    curl_global_cleanup();
}
