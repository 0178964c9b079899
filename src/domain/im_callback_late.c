
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_str.h"
#include "core/im_worker.h"
#include "live/im_slot.h"
#include "domain/im_callback_late.h"
#include "domain/im_callback_stat.h"
#include "domain/im_group_row.h"
#include "domain/im_read.h"


/* Limits of a worker. */

#define IM_LATE_LANES  16
#define IM_LATE_QUEUE  10000
#define IM_LATE_BYTES  (16 * 1024 * 1024)
#define IM_LATE_POOL   4096


/* In one piece of memory with its texts. */

typedef struct {
    ngx_queue_t         link;
    im_callback_call_t  call;
    ngx_str_t           lane;
    ngx_str_t           unread;
    size_t              size;
} im_late_event_t;


typedef struct {
    ngx_queue_t         events;
    unsigned            running:1;   /* a coroutine completes them */
} im_late_lane_t;


static im_late_event_t *im_late_event(im_callback_call_t *call,
    ngx_str_t *name, im_callback_late_t *late);
static void im_late_free(im_late_event_t *event);
static void im_late_start(im_late_lane_t *lane);
static void im_late_main(void *data);
static void im_late_send(im_late_event_t *event);
static ngx_int_t im_late_number(im_ctx_t *ctx, ngx_str_t *body,
    const char *name, int64_t n);
static void im_late_tick(void);
static ngx_int_t im_late_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_late_exit_process(ngx_cycle_t *cycle);


im_worker_hook_t  im_callback_late_hook = {
    ngx_string("late callbacks"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_late_init_process,                  /* init process */
    im_late_exit_process                   /* exit process */
};


static im_late_lane_t  im_late_lanes[IM_LATE_LANES];
static ngx_uint_t      im_late_queued;
static size_t          im_late_bytes;
static time_t          im_late_full;


ngx_int_t
im_callback_complete(im_ctx_t *ctx, im_callback_late_t *late, ngx_str_t *body)
{
    int64_t          unread;
    ngx_int_t        rc;
    im_group_row_t   msg;

    if (late->unread.len) {

        if (im_read_unread_all(ctx, &late->unread, &unread) != NGX_OK) {
            return NGX_ERROR;
        }

        return im_late_number(ctx, body, "UnreadMsgNum", unread);
    }

    if (late->gno == 0) {
        return NGX_OK;
    }

    rc = im_group_row_by_dk(ctx, late->gno, &late->dk, &msg);

    if (rc == NGX_DECLINED) {            /* the group has gone since */
        return NGX_OK;
    }

    if (rc != NGX_OK
        || im_late_number(ctx, body, "MsgSeq", msg.seq) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return im_late_number(ctx, body, "MsgTime", msg.time);
}


/* The last member of the object. */

static ngx_int_t
im_late_number(im_ctx_t *ctx, ngx_str_t *body, const char *name, int64_t n)
{
    u_char     *p;
    ngx_str_t   old;

    old = *body;

    p = ngx_pnalloc(ctx->pool, old.len + ngx_strlen(name) + NGX_INT64_LEN
                               + sizeof(",\"\":}"));
    if (p == NULL || old.len == 0) {
        return NGX_ERROR;
    }

    body->data = p;

    p = ngx_cpymem(p, old.data, old.len - 1);
    body->len = ngx_sprintf(p, ",\"%s\":%L}", name, n) - body->data;

    return NGX_OK;
}


void
im_callback_late_add(im_callback_call_t *call, ngx_str_t *name,
    im_callback_late_t *late)
{
    im_late_lane_t   *lane;
    im_late_event_t  *event;

    event = NULL;

    if (im_late_queued < IM_LATE_QUEUE && im_late_bytes < IM_LATE_BYTES) {
        event = im_late_event(call, name, late);
    }

    if (event == NULL) {
        im_callback_count(call, IM_CB_RESULT_DROPPED);

        if (im_late_full != ngx_time()) {
            im_late_full = ngx_time();
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "callbacks of app %ui are dropped, %ui wait for "
                          "the store", call->app->id, im_late_queued);
        }

        return;
    }

    im_late_queued++;
    im_late_bytes += event->size;

    im_worker_hold(1);

    lane = &im_late_lanes[ngx_murmur_hash2(name->data, name->len)
                          % IM_LATE_LANES];

    ngx_queue_insert_tail(&lane->events, &event->link);

    im_late_start(lane);
}


static im_late_event_t *
im_late_event(im_callback_call_t *call, ngx_str_t *name,
    im_callback_late_t *late)
{
    u_char           *p;
    size_t            size;
    im_late_event_t  *event;

    size = sizeof(im_late_event_t) + call->body.len + call->ip.len
           + name->len + late->unread.len;

    event = ngx_alloc(size, ngx_cycle->log);
    if (event == NULL) {
        return NULL;
    }

    event->size = size;
    event->call = *call;

    p = (u_char *) event + sizeof(im_late_event_t);

    p = im_str_put(p, &event->call.body, &call->body);
    p = im_str_put(p, &event->call.ip, &call->ip);
    p = im_str_put(p, &event->lane, name);
    (void) im_str_put(p, &event->unread, &late->unread);

    return event;
}


static void
im_late_free(im_late_event_t *event)
{
    im_late_queued--;
    im_late_bytes -= event->size;

    ngx_free(event);
}


static void
im_late_start(im_late_lane_t *lane)
{
    if (!lane->running
        && im_co_spawn(im_late_main, lane, ngx_cycle->log) != NULL)
    {
        lane->running = 1;
    }
}


static void
im_late_main(void *data)
{
    im_late_lane_t  *lane = data;

    ngx_queue_t      *q;
    im_late_event_t  *event;

    while (!ngx_queue_empty(&lane->events)) {

        q = ngx_queue_head(&lane->events);
        ngx_queue_remove(q);

        event = ngx_queue_data(q, im_late_event_t, link);

        im_late_send(event);
        im_late_free(event);

        im_worker_release(1);
    }

    lane->running = 0;
}


static void
im_late_send(im_late_event_t *event)
{
    im_ctx_t             ctx;
    im_callback_call_t   call;
    im_callback_late_t   late;

    ngx_memzero(&ctx, sizeof(im_ctx_t));

    ctx.app = event->call.app;
    ctx.log = ngx_cycle->log;
    ctx.via = IM_VIA_JOB;
    ctx.role = IM_ROLE_ADMIN;

    ctx.pool = ngx_create_pool(IM_LATE_POOL, ctx.log);
    if (ctx.pool == NULL) {
        im_callback_count(&event->call, IM_CB_RESULT_DROPPED);
        return;
    }

    ngx_memzero(&late, sizeof(im_callback_late_t));
    late.unread = event->unread;

    call = event->call;

    if (im_callback_complete(&ctx, &late, &call.body) == NGX_OK
        || im_late_number(&ctx, &call.body, "UnreadMsgNum", -1) == NGX_OK)
    {
        im_callback_client->tell(&call, &event->lane);
    }

    ngx_destroy_pool(ctx.pool);
}


/* Those for which there was no coroutine. */

static void
im_late_tick(void)
{
    ngx_uint_t  i;

    for (i = 0; i < IM_LATE_LANES; i++) {
        if (!ngx_queue_empty(&im_late_lanes[i].events)) {
            im_late_start(&im_late_lanes[i]);
        }
    }
}


static ngx_int_t
im_late_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    ngx_uint_t  i;

    for (i = 0; i < IM_LATE_LANES; i++) {
        ngx_queue_init(&im_late_lanes[i].events);
    }

    return im_slot_tick_add(im_late_tick);
}


static void
im_late_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t        i;
    ngx_queue_t      *q;
    im_late_event_t  *event;

    for (i = 0; i < IM_LATE_LANES; i++) {

        while (!ngx_queue_empty(&im_late_lanes[i].events)) {
            q = ngx_queue_head(&im_late_lanes[i].events);
            ngx_queue_remove(q);

            event = ngx_queue_data(q, im_late_event_t, link);
            im_late_free(event);
        }
    }
}
