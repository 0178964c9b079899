
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_worker.h"


#define IM_WORKER_HOLD_TIME  3600000


static void im_worker_hold_handler(ngx_event_t *ev);


static ngx_pid_t    im_worker_pid;      /* which has called the hooks */
static ngx_uint_t   im_worker_started;  /* number of hooks called */
static ngx_uint_t   im_worker_holds;
static ngx_event_t  im_worker_event;


ngx_int_t
im_worker_start(ngx_cycle_t *cycle)
{
    im_conf_t         *conf;
    ngx_uint_t         i;
    im_worker_hook_t  *hook;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    conf = ngx_im_get_conf(cycle);

    if (!conf->block || im_worker_pid == ngx_pid) {
        return NGX_OK;
    }

    im_worker_pid = ngx_pid;
    im_worker_started = 0;
    im_worker_holds = 0;

    ngx_memzero(&im_worker_event, sizeof(ngx_event_t));

    im_worker_event.handler = im_worker_hold_handler;
    im_worker_event.data = &im_worker_event;
    im_worker_event.log = ngx_cycle->log;

    for (i = 0; im_worker_hooks[i]; i++) {
        hook = im_worker_hooks[i];

        if (hook->init_process
            && hook->init_process(cycle, conf) != NGX_OK)
        {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                          "worker could not start \"%V\"", &hook->name);
            return NGX_ERROR;
        }

        im_worker_started = i + 1;
    }

    return NGX_OK;
}


void
im_worker_stop(ngx_cycle_t *cycle)
{
    im_worker_hook_t  *hook;

    if (im_worker_pid != ngx_pid) {
        return;
    }

    while (im_worker_started) {
        hook = im_worker_hooks[--im_worker_started];

        if (hook->exit_process) {
            hook->exit_process(cycle);
        }
    }
}


void
im_worker_hold(ngx_uint_t n)
{
    im_worker_holds += n;

    if (im_worker_holds && !im_worker_event.timer_set) {
        ngx_add_timer(&im_worker_event, IM_WORKER_HOLD_TIME);
    }
}


void
im_worker_timer(ngx_event_t *ev, ngx_event_handler_pt handler, ngx_log_t *log)
{
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = handler;
    ev->data = ev;
    ev->log = log;
    ev->cancelable = 1;
}


void
im_worker_release(ngx_uint_t n)
{
    if (n > im_worker_holds) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "%ui holds of the worker to release, %ui are there",
                      n, im_worker_holds);
        n = im_worker_holds;
    }

    im_worker_holds -= n;

    if (im_worker_holds == 0 && im_worker_event.timer_set) {
        ngx_del_timer(&im_worker_event);
    }
}


static void
im_worker_hold_handler(ngx_event_t *ev)
{
    if (im_worker_holds) {
        ngx_add_timer(ev, IM_WORKER_HOLD_TIME);
    }
}
