
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <openssl/evp.h>
#include "client/im_curl.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "core/im_worker.h"
#include "domain/im_callback_stat.h"


/* All limits are of one app in one worker. */

#define IM_CB_FLYING    256              /* requests at a time */
#define IM_CB_LANES     32               /* of them after-callbacks */
#define IM_CB_QUEUE     10000            /* after-callbacks that wait */
#define IM_CB_BYTES     (16 * 1024 * 1024)
#define IM_CB_ANSWER    (1024 * 1024)
#define IM_CB_FAILURES  10               /* one after another: breaker opens */
#define IM_CB_PAUSE     1000             /* ms until it is tried again */
#define IM_CB_DRAIN     10000            /* ms that an old worker goes on */
#define IM_CB_HOLD      12000            /* ms that a new one lets it go on */
#define IM_CB_LOOK      20               /* ms: it looks again */
#define IM_CB_SLOTS     128


typedef struct im_cb_state_s  im_cb_state_t;


typedef struct {
    ngx_queue_t            queue;        /* of im_cb_entry_t */
    ngx_queue_t            held;         /* in im_cb_held */
    im_cb_state_t         *state;
    unsigned               busy:1;       /* the first one is on its way */
    unsigned               holds:1;      /* old workers go first */
} im_cb_lane_t;


/* In one piece of memory with its texts. */

typedef struct {
    ngx_queue_t            link;
    im_callback_call_t     call;
    size_t                 size;
} im_cb_entry_t;


struct im_cb_state_s {
    ngx_uint_t             flying;
    ngx_uint_t             queued;
    size_t                 bytes;

    ngx_uint_t             failures;     /* since the last answer */
    ngx_msec_t             opened;
    time_t                 logged;
    time_t                 full;

    unsigned               open:1;       /* the breaker: nothing is sent */
    unsigned               probing:1;    /* but this one */

    im_cb_lane_t           lanes[IM_CB_LANES];
};


static ngx_int_t im_cb_ask(im_ctx_t *ctx, im_callback_call_t *call,
    im_json_t **answer);
static void im_cb_tell(im_callback_call_t *call, ngx_str_t *key);
static void im_cb_changed(im_app_t *app);
static im_cb_entry_t *im_cb_entry(im_callback_call_t *call);
static void im_cb_entry_free(im_cb_state_t *st, im_cb_entry_t *entry);
static void im_cb_lane_run(im_cb_lane_t *lane);
static void im_cb_lane_handler(void *data, ngx_int_t rc,
    im_curl_answer_t *answer);
static ngx_uint_t im_cb_hold(void);
static void im_cb_hold_handler(ngx_event_t *ev);
static im_cb_state_t *im_cb_state(im_app_t *app);
static ngx_uint_t im_cb_gate(im_cb_state_t *st);
static ngx_int_t im_cb_result(im_cb_state_t *st, im_callback_call_t *call,
    ngx_int_t rc, im_curl_answer_t *answer, ngx_pool_t *pool,
    im_json_t **json);
static void im_cb_failed(im_cb_state_t *st, im_callback_call_t *call,
    const char *why, ngx_uint_t status);
static ngx_int_t im_cb_request(ngx_pool_t *pool, im_callback_call_t *call,
    im_curl_request_t *request);
static ngx_int_t im_cb_delivery(ngx_pool_t *pool, im_callback_call_t *call,
    im_curl_request_t *request);
static u_char *im_cb_sign(u_char *p, ngx_str_t *token);
static ngx_uint_t im_cb_late(void);
static ngx_int_t im_cb_init_module(ngx_cycle_t *cycle, im_conf_t *conf);
static ngx_int_t im_cb_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_cb_exit_process(ngx_cycle_t *cycle);


static im_callback_client_t  im_cb_client = {
    im_cb_ask,
    im_cb_tell,
    im_cb_changed
};


static ngx_str_t   im_cb_headers[] = {
    ngx_string("Content-Type: application/json"),
    ngx_string("Accept: application/json")
};

#define IM_CB_HEADERS  (sizeof(im_cb_headers) / sizeof(ngx_str_t))

static ngx_uint_t  im_cb_exiting;
static ngx_msec_t  im_cb_drain;          /* since when, 0: does not */

/* workers of the configuration before, as the master knows them */

static u_char       im_cb_old[IM_CB_SLOTS];
static ngx_uint_t   im_cb_olds;

static ngx_queue_t  im_cb_held;          /* lanes */
static ngx_event_t  im_cb_look;
static ngx_msec_t   im_cb_started;


im_worker_hook_t  im_callback_client_hook = {
    ngx_string("callback client"),
    NULL,
    im_cb_init_module,
    im_cb_init_process,
    im_cb_exit_process
};


static ngx_int_t
im_cb_ask(im_ctx_t *ctx, im_callback_call_t *call, im_json_t **answer)
{
    ngx_int_t           rc;
    im_cb_state_t      *st;
    im_curl_answer_t    got;
    im_curl_request_t   request;

    st = im_cb_state(call->app);
    if (st == NULL) {
        return NGX_ERROR;
    }

    if (st->flying >= IM_CB_FLYING || !im_cb_gate(st)) {
        im_callback_count(call, IM_CB_RESULT_SKIPPED);
        return NGX_DECLINED;
    }

    st->flying++;
    im_stat_add(IM_STAT_CB_FLYING, 1);

    if (im_cb_request(ctx->pool, call, &request) == NGX_OK) {
        rc = im_curl_post(ctx->pool, &request, &got);

    } else {
        rc = NGX_ERROR;
        ngx_memzero(&got, sizeof(im_curl_answer_t));
    }

    st->flying--;
    im_stat_add(IM_STAT_CB_FLYING, -1);

    return im_cb_result(st, call, rc, &got, ctx->pool, answer);
}


static void
im_cb_tell(im_callback_call_t *call, ngx_str_t *key)
{
    im_cb_lane_t   *lane;
    im_cb_entry_t  *entry;
    im_cb_state_t  *st;

    st = im_cb_state(call->app);
    if (st == NULL || im_cb_exiting) {
        return;
    }

    entry = NULL;

    if (st->queued < IM_CB_QUEUE && st->bytes < IM_CB_BYTES) {
        entry = im_cb_entry(call);
    }

    if (entry == NULL) {
        im_callback_count(call, IM_CB_RESULT_DROPPED);

        if (st->full != ngx_time()) {
            st->full = ngx_time();
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "callbacks of app %ui are dropped, %ui wait",
                          call->app->id, st->queued);
        }

        return;
    }

    st->queued++;
    st->bytes += entry->size;

    im_stat_add(IM_STAT_CB_QUEUE, 1);
    im_worker_hold(1);

    lane = &st->lanes[ngx_murmur_hash2(key->data, key->len) % IM_CB_LANES];

    ngx_queue_insert_tail(&lane->queue, &entry->link);

    if (!lane->busy) {
        im_cb_lane_run(lane);
    }
}


/* What failed there says nothing about the other one. */

static void
im_cb_changed(im_app_t *app)
{
    im_cb_state_t  *st;

    st = app->callback_state;

    if (st == NULL) {
        return;
    }

    if (st->open) {
        st->open = 0;
        im_callback_breaker(app, 0);
    }

    st->failures = 0;
    st->probing = 0;
}


static im_cb_entry_t *
im_cb_entry(im_callback_call_t *call)
{
    u_char         *p;
    size_t          size;
    im_cb_entry_t  *entry;

    size = sizeof(im_cb_entry_t) + call->body.len + call->ip.len;

    entry = ngx_alloc(size, ngx_cycle->log);
    if (entry == NULL) {
        return NULL;
    }

    p = (u_char *) entry + sizeof(im_cb_entry_t);

    entry->size = size;
    entry->call = *call;

    entry->call.body.data = p;
    p = ngx_cpymem(p, call->body.data, call->body.len);

    entry->call.ip.data = p;
    ngx_memcpy(p, call->ip.data, call->ip.len);

    return entry;
}


static void
im_cb_entry_free(im_cb_state_t *st, im_cb_entry_t *entry)
{
    ngx_queue_remove(&entry->link);

    st->queued--;
    st->bytes -= entry->size;

    im_stat_add(IM_STAT_CB_QUEUE, -1);

    ngx_free(entry);

    im_worker_release(1);
}


/* Sends the first one that can be sent. */

static void
im_cb_lane_run(im_cb_lane_t *lane)
{
    ngx_int_t           rc;
    ngx_pool_t         *pool;
    im_cb_entry_t      *entry;
    im_cb_state_t      *st;
    im_curl_request_t   request;

    st = lane->state;

    if (lane->holds) {
        return;
    }

    if (im_cb_hold()) {
        lane->holds = 1;
        ngx_queue_insert_tail(&im_cb_held, &lane->held);

        if (!im_cb_look.timer_set) {
            ngx_add_timer(&im_cb_look, IM_CB_LOOK);
        }

        return;
    }

    while (!ngx_queue_empty(&lane->queue)) {

        entry = ngx_queue_data(ngx_queue_head(&lane->queue), im_cb_entry_t,
                               link);

        if (im_cb_late() || !im_cb_gate(st)) {
            im_callback_count(&entry->call, IM_CB_RESULT_SKIPPED);
            im_cb_entry_free(st, entry);
            continue;
        }

        rc = NGX_ERROR;
        pool = ngx_create_pool(1024, ngx_cycle->log);

        if (pool) {
            rc = im_cb_request(pool, &entry->call, &request);

            if (rc == NGX_OK) {
                rc = im_curl_start(&request, im_cb_lane_handler, lane);
            }

            ngx_destroy_pool(pool);
        }

        if (rc == NGX_OK) {
            lane->busy = 1;
            st->flying++;
            im_stat_add(IM_STAT_CB_FLYING, 1);
            return;
        }

        st->probing = 0;

        im_cb_failed(st, &entry->call, "it could not be started", 0);
        im_cb_entry_free(st, entry);
    }
}


static void
im_cb_lane_handler(void *data, ngx_int_t rc, im_curl_answer_t *answer)
{
    im_cb_lane_t  *lane = data;

    im_json_t      *json;
    ngx_pool_t     *pool;
    im_cb_entry_t  *entry;
    im_cb_state_t  *st;

    st = lane->state;

    entry = ngx_queue_data(ngx_queue_head(&lane->queue), im_cb_entry_t, link);

    lane->busy = 0;
    st->flying--;
    im_stat_add(IM_STAT_CB_FLYING, -1);

    st->probing = 0;

    pool = ngx_create_pool(1024, ngx_cycle->log);

    if (pool) {
        (void) im_cb_result(st, &entry->call, rc, answer, pool, &json);
        ngx_destroy_pool(pool);
    }

    im_cb_entry_free(st, entry);

    if (!im_cb_exiting) {
        im_cb_lane_run(lane);
    }
}


/* In an old worker some time after a reload: nothing new is sent. */

static ngx_uint_t
im_cb_late(void)
{
    if (!ngx_exiting) {
        return 0;
    }

    if (im_cb_drain == 0) {
        im_cb_drain = ngx_max(ngx_current_msec, 1);
    }

    return ngx_current_msec - im_cb_drain >= IM_CB_DRAIN;
}


/*
 * What old workers have still to send is older than all that is here.  They
 * end sooner than the time that a new one waits for them.
 */

static ngx_uint_t
im_cb_hold(void)
{
    ngx_uint_t  i;

    if (im_cb_olds == 0) {
        return 0;
    }

    if (ngx_current_msec - im_cb_started < IM_CB_HOLD) {

        /* none now: they may get more until they are told to exit */

        for (i = 0; i < IM_CB_SLOTS; i++) {
            if (im_cb_old[i] && im_stat_of(i, IM_STAT_CB_QUEUE)) {
                return 1;
            }
        }

        return 0;
    }

    im_cb_olds = 0;

    return 0;
}


static void
im_cb_hold_handler(ngx_event_t *ev)
{
    ngx_queue_t   *q;
    im_cb_lane_t  *lane;

    if (im_cb_hold()) {
        ngx_add_timer(ev, IM_CB_LOOK);
        return;
    }

    while (!ngx_queue_empty(&im_cb_held)) {
        q = ngx_queue_head(&im_cb_held);
        ngx_queue_remove(q);

        lane = ngx_queue_data(q, im_cb_lane_t, held);
        lane->holds = 0;

        im_cb_lane_run(lane);
    }
}


static im_cb_state_t *
im_cb_state(im_app_t *app)
{
    ngx_uint_t      i;
    im_cb_state_t  *st;

    st = app->callback_state;

    if (st) {
        return st;
    }

    /* dies with the application that it is for */

    st = ngx_pcalloc(ngx_cycle->pool, sizeof(im_cb_state_t));
    if (st == NULL) {
        return NULL;
    }

    for (i = 0; i < IM_CB_LANES; i++) {
        ngx_queue_init(&st->lanes[i].queue);
        st->lanes[i].state = st;
    }

    app->callback_state = st;

    return st;
}


/* 1: send it.  While the breaker is open one request a second goes out. */

static ngx_uint_t
im_cb_gate(im_cb_state_t *st)
{
    if (!st->open) {
        return 1;
    }

    if (st->probing || ngx_current_msec - st->opened < IM_CB_PAUSE) {
        return 0;
    }

    st->probing = 1;

    return 1;
}


/* NGX_OK: an answer as it has to be, in *json. */

static ngx_int_t
im_cb_result(im_cb_state_t *st, im_callback_call_t *call, ngx_int_t rc,
    im_curl_answer_t *answer, ngx_pool_t *pool, im_json_t **json)
{
    im_callback_took(call, answer->time);

    st->probing = 0;

    if (rc != NGX_OK) {

        st->failures++;
        im_cb_failed(st, call, answer->error ? answer->error
                                             : "it could not be started", 0);

        if (st->open) {
            st->opened = ngx_current_msec;

        } else if (st->failures >= IM_CB_FAILURES) {
            st->open = 1;
            st->opened = ngx_current_msec;

            im_stat_add(IM_STAT_CB_OPENED, 1);
            im_callback_breaker(call->app, 1);

            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "callbacks of app %ui have failed %ui times, "
                          "now one is tried each %d ms",
                          call->app->id, st->failures, IM_CB_PAUSE);
        }

        return rc;
    }

    /* whoever answers, whatever it is, keeps nobody waiting */

    st->failures = 0;

    if (st->open) {
        st->open = 0;
        im_callback_breaker(call->app, 0);

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "callbacks of app %ui are answered again",
                      call->app->id);
    }

    if (answer->status != 200) {
        im_cb_failed(st, call, "the HTTP status is", answer->status);
        return NGX_ERROR;
    }

    if (im_callback_parse(pool, &answer->body, json) != NGX_OK) {
        im_cb_failed(st, call, "no JSON object with an ErrorCode", 0);
        return NGX_ERROR;
    }

    im_callback_count(call, IM_CB_RESULT_OK);

    return NGX_OK;
}


static void
im_cb_failed(im_cb_state_t *st, im_callback_call_t *call, const char *why,
    ngx_uint_t status)
{
    im_callback_count(call, IM_CB_RESULT_FAILED);

    if (st->logged == ngx_time()) {      /* one a second */
        return;
    }

    st->logged = ngx_time();

    if (status) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "callback %V of app %ui failed: %s %ui",
                      call->command, call->app->id, why, status);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "callback %V of app %ui failed: %s",
                  call->command, call->app->id, why);
}


static ngx_int_t
im_cb_request(ngx_pool_t *pool, im_callback_call_t *call,
    im_curl_request_t *request)
{
    u_char              *p;
    size_t               len;
    im_callback_conf_t  *cb;

    cb = call->app->callback;

    if (cb == NULL) {                    /* switched off meanwhile */
        return NGX_DECLINED;
    }

    len = cb->url.len + call->command->len + 3 * call->ip.len
          + ngx_strlen(call->platform) + NGX_INT_T_LEN + NGX_TIME_T_LEN + 64
          + sizeof("?SdkAppid=&CallbackCommand=&contenttype=json&ClientIP="
                   "&OptPlatform=&Sign=&RequestTime=");

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(request, sizeof(im_curl_request_t));

    request->url.data = p;

    p = ngx_cpymem(p, cb->url.data, cb->url.len);

    *p++ = ngx_strlchr(cb->url.data, cb->url.data + cb->url.len, '?') ? '&'
                                                                      : '?';

    p = ngx_sprintf(p, "SdkAppid=%ui&CallbackCommand=%V&contenttype=json",
                    call->app->id, call->command);

    if (*call->platform) {
        p = ngx_cpymem(p, "&ClientIP=", sizeof("&ClientIP=") - 1);

        p = (u_char *) ngx_escape_uri(p, call->ip.data, call->ip.len,
                                      NGX_ESCAPE_URI_COMPONENT);

        p = ngx_sprintf(p, "&OptPlatform=%s", call->platform);
    }

    if (cb->token.len) {
        p = im_cb_sign(p, &cb->token);
        if (p == NULL) {
            return NGX_ERROR;
        }
    }

    request->url.len = p - request->url.data;
    request->body = call->body;
    request->headers = im_cb_headers;
    request->n_headers = IM_CB_HEADERS;
    request->timeout = cb->timeout;
    request->max = IM_CB_ANSWER;
    request->ca = cb->ca;
    request->cert = cb->cert;
    request->key = cb->key;
    request->verify = cb->verify;
    request->foreign = cb->foreign;

    return call->id.len ? im_cb_delivery(pool, call, request) : NGX_OK;
}


/* The same for each try, so that the receiver knows it again. */

static ngx_int_t
im_cb_delivery(ngx_pool_t *pool, im_callback_call_t *call,
    im_curl_request_t *request)
{
    ngx_str_t  *h;

    h = ngx_palloc(pool, (IM_CB_HEADERS + 1) * sizeof(ngx_str_t));
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(h, im_cb_headers, sizeof(im_cb_headers));

    request->headers = h;
    request->n_headers++;

    h += IM_CB_HEADERS;

    h->data = ngx_pnalloc(pool, sizeof("X-IM-Delivery: ") + call->id.len);
    if (h->data == NULL) {
        return NGX_ERROR;
    }

    h->len = ngx_sprintf(h->data, "X-IM-Delivery: %V", &call->id) - h->data;

    return NGX_OK;
}


/* SHA-256 of token and time. */

static u_char *
im_cb_sign(u_char *p, ngx_str_t *token)
{
    int           ok;
    u_char        now[NGX_TIME_T_LEN], md[EVP_MAX_MD_SIZE];
    size_t        len;
    EVP_MD_CTX   *md_ctx;

    len = ngx_sprintf(now, "%T", ngx_time()) - now;

    md_ctx = EVP_MD_CTX_new();
    if (md_ctx == NULL) {
        return NULL;
    }

    ok = EVP_DigestInit_ex(md_ctx, EVP_sha256(), NULL)
         && EVP_DigestUpdate(md_ctx, token->data, token->len)
         && EVP_DigestUpdate(md_ctx, now, len)
         && EVP_DigestFinal_ex(md_ctx, md, NULL);

    EVP_MD_CTX_free(md_ctx);

    if (!ok) {
        return NULL;
    }

    p = ngx_cpymem(p, "&Sign=", sizeof("&Sign=") - 1);
    p = ngx_hex_dump(p, md, 32);

    return ngx_sprintf(p, "&RequestTime=%*s", len, now);
}


/* In the master, before it makes new workers. */

static ngx_int_t
im_cb_init_module(ngx_cycle_t *cycle, im_conf_t *conf)
{
    ngx_int_t  i;

    ngx_memzero(im_cb_old, sizeof(im_cb_old));
    im_cb_olds = 0;

    for (i = 0; i < ngx_min(ngx_last_process, IM_CB_SLOTS); i++) {
        if (ngx_processes[i].pid > 0 && !ngx_processes[i].exited) {
            im_cb_old[i] = 1;
            im_cb_olds++;
        }
    }

    return NGX_OK;
}


static ngx_int_t
im_cb_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    /* the slot of one who has ended is this one's now */

    if (ngx_process_slot >= 0 && ngx_process_slot < IM_CB_SLOTS) {
        im_cb_old[ngx_process_slot] = 0;
    }

    im_cb_started = ngx_current_msec;

    ngx_queue_init(&im_cb_held);
    ngx_memzero(&im_cb_look, sizeof(ngx_event_t));

    im_cb_look.handler = im_cb_hold_handler;
    im_cb_look.data = &im_cb_look;
    im_cb_look.log = cycle->log;

    im_cb_exiting = 0;
    im_cb_drain = 0;

    im_callback_client = &im_cb_client;

    return NGX_OK;
}


static void
im_cb_exit_process(ngx_cycle_t *cycle)
{
    im_app_t       *app;
    im_conf_t      *conf;
    ngx_uint_t      i, k;
    ngx_queue_t    *q, *next, *queue;
    im_cb_state_t  *st;

    im_cb_exiting = 1;

    if (im_cb_look.timer_set) {
        ngx_del_timer(&im_cb_look);
    }

    conf = ngx_im_get_conf(cycle);
    app = conf->apps.elts;

    for (i = 0; i < conf->apps.nelts; i++) {

        st = app[i].callback_state;

        if (st == NULL) {
            continue;
        }

        for (k = 0; k < IM_CB_LANES; k++) {
            queue = &st->lanes[k].queue;

            /* the one on its way is freed when the HTTP client ends */

            q = ngx_queue_head(queue);

            if (st->lanes[k].busy) {
                q = ngx_queue_next(q);
            }

            for ( /* void */ ; q != ngx_queue_sentinel(queue); q = next) {
                next = ngx_queue_next(q);
                im_cb_entry_free(st, ngx_queue_data(q, im_cb_entry_t, link));
            }
        }
    }
}
