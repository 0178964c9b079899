
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "domain/im_outbox.h"
#include "domain/im_outbox_queue.h"


#define IM_OUTBOX_QUEUE   10000      /* events of a worker */
#define IM_OUTBOX_MEMORY  (16 * 1024 * 1024)
#define IM_OUTBOX_BATCH   64
#define IM_OUTBOX_TRIES   50         /* to write them */
#define IM_OUTBOX_PAUSE   100        /* ms between them */


/* In one piece of memory with its texts. */

typedef struct {
    ngx_queue_t         link;
    im_callback_call_t  call;
    im_callback_late_t  late;
    ngx_str_t           lane;
    size_t              size;
} im_outbox_event_t;


static im_outbox_event_t *im_outbox_event(im_callback_call_t *call,
    ngx_str_t *lane, im_callback_late_t *late);
static void im_outbox_start(void);
static void im_outbox_write(void *data);
static ngx_uint_t im_outbox_write_some(void);
static ngx_int_t im_outbox_commit(ngx_uint_t *n);


static ngx_queue_t  im_outbox_events;
static ngx_uint_t   im_outbox_queued;
static size_t       im_outbox_bytes;
static ngx_uint_t   im_outbox_writing;
static time_t       im_outbox_full;


void
im_outbox_add(im_callback_call_t *call, ngx_str_t *lane,
    im_callback_late_t *late)
{
    im_outbox_event_t  *event;

    event = NULL;

    if (im_outbox_queued < IM_OUTBOX_QUEUE
        && im_outbox_bytes < IM_OUTBOX_MEMORY)
    {
        event = im_outbox_event(call, lane, late);
    }

    if (event == NULL) {
        im_stat_add(IM_STAT_OUTBOX_DROPPED, 1);

        if (im_outbox_full != ngx_time()) {
            im_outbox_full = ngx_time();
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "callbacks of app %ui are dropped, %ui wait for "
                          "the outbox", call->app->id, im_outbox_queued);
        }

        return;
    }

    ngx_queue_insert_tail(&im_outbox_events, &event->link);

    im_outbox_queued++;
    im_outbox_bytes += event->size;

    im_outbox_start();
}


static im_outbox_event_t *
im_outbox_event(im_callback_call_t *call, ngx_str_t *lane,
    im_callback_late_t *late)
{
    u_char              *p;
    size_t               size;
    im_outbox_event_t   *event;
    im_callback_late_t   none;

    if (late == NULL) {
        ngx_memzero(&none, sizeof(im_callback_late_t));
        late = &none;
    }

    size = sizeof(im_outbox_event_t) + call->body.len + call->ip.len
           + lane->len + late->dk.len + late->unread.len;

    event = ngx_alloc(size, ngx_cycle->log);
    if (event == NULL) {
        return NULL;
    }

    event->size = size;
    event->call = *call;
    event->late = *late;

    p = (u_char *) event + sizeof(im_outbox_event_t);

    p = im_str_put(p, &event->call.body, &call->body);
    p = im_str_put(p, &event->call.ip, &call->ip);
    p = im_str_put(p, &event->late.dk, &late->dk);
    p = im_str_put(p, &event->late.unread, &late->unread);
    (void) im_str_put(p, &event->lane, lane);

    return event;
}


static void
im_outbox_start(void)
{
    if (!im_outbox_writing
        && im_co_spawn(im_outbox_write, NULL, ngx_cycle->log) != NULL)
    {
        im_outbox_writing = 1;
    }
}


static void
im_outbox_write(void *data)
{
    while (im_outbox_queued) {
        if (im_outbox_write_some()) {
            im_co_sleep(IM_OUTBOX_PAUSE);
        }
    }

    im_outbox_writing = 0;
}


/* 1: the store takes nothing now. */

static ngx_uint_t
im_outbox_write_some(void)
{
    ngx_int_t           rc;
    ngx_uint_t          i, n;
    ngx_queue_t        *q;
    im_outbox_event_t  *event;

    static ngx_uint_t  tries;

    rc = im_outbox_commit(&n);

    if (rc != NGX_OK && ++tries < IM_OUTBOX_TRIES) {
        return 1;
    }

    tries = 0;

    if (rc != NGX_OK) {
        im_stat_add(IM_STAT_OUTBOX_DROPPED, n);

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "%ui callbacks are dropped, the store does not take "
                      "them", n);
    }

    for (i = 0; i < n; i++) {
        q = ngx_queue_head(&im_outbox_events);
        ngx_queue_remove(q);

        event = ngx_queue_data(q, im_outbox_event_t, link);

        im_outbox_queued--;
        im_outbox_bytes -= event->size;

        if (rc == NGX_OK) {
            im_outbox_kick(event->call.app, &event->lane);
        }

        ngx_free(event);
    }

    return 0;
}


/* The first n of the queue that are of one app. */

static ngx_int_t
im_outbox_commit(ngx_uint_t *n)
{
    im_ctx_t            ctx;
    ngx_int_t           rc;
    ngx_queue_t        *q;
    im_batch_t         *batch;
    im_outbox_event_t  *event;

    *n = 0;

    q = ngx_queue_head(&im_outbox_events);
    event = ngx_queue_data(q, im_outbox_event_t, link);

    if (im_outbox_ctx(&ctx, event->call.app) != NGX_OK) {
        *n = 1;
        return NGX_ERROR;
    }

    batch = im_store_batch(&ctx, IM_ORDERED);

    while (q != ngx_queue_sentinel(&im_outbox_events)
           && *n < IM_OUTBOX_BATCH)
    {
        event = ngx_queue_data(q, im_outbox_event_t, link);

        if (event->call.app != ctx.app) {
            break;
        }

        im_outbox_put(&ctx, batch, &event->call, &event->lane, &event->late);

        (*n)++;
        q = ngx_queue_next(q);
    }

    rc = im_store_commit(&ctx, batch);

    ngx_destroy_pool(ctx.pool);

    return rc;
}


void
im_outbox_queue_tick(void)
{
    if (im_outbox_queued) {
        im_outbox_start();
    }
}


void
im_outbox_queue_init_process(void)
{
    ngx_queue_init(&im_outbox_events);
}


void
im_outbox_queue_exit_process(void)
{
    ngx_queue_t        *q;
    im_outbox_event_t  *event;

    while (!ngx_queue_empty(&im_outbox_events)) {
        q = ngx_queue_head(&im_outbox_events);
        event = ngx_queue_data(q, im_outbox_event_t, link);

        ngx_queue_remove(q);
        ngx_free(event);
    }
}
