
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_poll.h"
#include "core/im_worker.h"


#define IM_POLL_TICK  500


static void im_poll_drain(void);
static void im_poll_timer_handler(ngx_event_t *ev);
static void im_poll_tick(ngx_event_t *ev);
static ngx_int_t im_poll_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_poll_exit_process(ngx_cycle_t *cycle);


static ngx_queue_t  im_poll_list;
static ngx_uint_t   im_poll_number;
static ngx_event_t  im_poll_event;


im_worker_hook_t  im_poll_hook = {
    ngx_string("polls"),
    NULL,                                  /* init_conf */
    NULL,                                  /* init_module */
    im_poll_init_process,
    im_poll_exit_process
};


im_poll_t *
im_poll_park(im_ctx_t *ctx, ngx_msec_t hold, im_poll_pt handler,
    im_poll_end_pt end, void *data)
{
    im_poll_t  *poll;

    poll = ngx_pcalloc(ctx->pool, sizeof(im_poll_t));
    if (poll == NULL) {
        return NULL;
    }

    poll->ctx = ctx;
    poll->handler = handler;
    poll->end = end;
    poll->data = data;
    poll->hold = hold;

    ctx->park = poll;

    return poll;
}


void
im_poll_wake(im_poll_t *poll, im_poll_e reason)
{
    im_poll_resume_pt  resume;

    if (poll->woken) {
        return;
    }

    poll->woken = 1;
    poll->reason = reason;

    if (poll->end) {
        poll->end(poll, poll->data);
    }

    resume = poll->resume;

    if (resume == NULL) {
        return;
    }

    ngx_queue_remove(&poll->queue);
    im_poll_number--;

    if (poll->timer.timer_set) {
        ngx_del_timer(&poll->timer);
    }

    resume(poll->transport);
}


void
im_poll_start(im_poll_t *poll, im_poll_resume_pt resume, void *transport)
{
    if (poll->woken) {
        resume(transport);
        return;
    }

    poll->resume = resume;
    poll->transport = transport;

    ngx_queue_insert_tail(&im_poll_list, &poll->queue);
    im_poll_number++;

    poll->timer.handler = im_poll_timer_handler;
    poll->timer.data = poll;
    poll->timer.log = ngx_cycle->log;

    ngx_add_timer(&poll->timer, poll->hold);

    if (ngx_exiting) {
        im_poll_wake(poll, IM_POLL_DRAIN);
    }
}


static void
im_poll_drain(void)
{
    im_poll_t    *poll;
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&im_poll_list)) {
        q = ngx_queue_head(&im_poll_list);

        poll = ngx_queue_data(q, im_poll_t, queue);
        im_poll_wake(poll, IM_POLL_DRAIN);
    }
}


ngx_uint_t
im_poll_count(void)
{
    return im_poll_number;
}


static void
im_poll_timer_handler(ngx_event_t *ev)
{
    im_poll_wake(ev->data, IM_POLL_TIMEOUT);
}


static void
im_poll_tick(ngx_event_t *ev)
{
    if (ngx_exiting) {
        im_poll_drain();
    }

    ngx_add_timer(ev, IM_POLL_TICK);
}


static ngx_int_t
im_poll_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    ngx_queue_init(&im_poll_list);

    im_worker_timer(&im_poll_event, im_poll_tick, cycle->log);

    ngx_add_timer(&im_poll_event, IM_POLL_TICK);

    return NGX_OK;
}


static void
im_poll_exit_process(ngx_cycle_t *cycle)
{
    if (im_poll_event.timer_set) {
        ngx_del_timer(&im_poll_event);
    }
}
