
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_WORKER_H_INCLUDED_
#define _IM_WORKER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/ngx_im_module.h"


/*
 * What a file wants to be called for.  Each may be NULL.  They run in the
 * order of im_worker_hooks[] (im_worker_hooks.c), exit_process backwards.
 */
typedef struct {
    ngx_str_t    name;

    /* at the end of im {}: zones are added here */
    ngx_int_t  (*init_conf)(ngx_conf_t *cf, im_conf_t *conf);

    /* in the master, under -t too; zones are there */
    ngx_int_t  (*init_module)(ngx_cycle_t *cycle, im_conf_t *conf);

    /* in a worker, with its event loop ready: threads, stores, timers */
    ngx_int_t  (*init_process)(ngx_cycle_t *cycle, im_conf_t *conf);

    /* in a worker whose init_process was called and succeeded */
    void       (*exit_process)(ngx_cycle_t *cycle);
} im_worker_hook_t;


/*
 * Starts what a worker needs, once.  It is called by the init processes of
 * the http and the stream module, because in a static build the one of a
 * core module runs before there are timers.
 */
ngx_int_t im_worker_start(ngx_cycle_t *cycle);

/* Ends what im_worker_start() has started. */
void im_worker_stop(ngx_cycle_t *cycle);

/*
 * An old worker exits after a reload as soon as only cancelable timers are
 * left.  As long as n holds are not released, it stays.
 */
void im_worker_hold(ngx_uint_t n);
void im_worker_release(ngx_uint_t n);

/* Makes *ev a timer, not yet set, that does not keep an old worker. */
void im_worker_timer(ngx_event_t *ev, ngx_event_handler_pt handler,
    ngx_log_t *log);


extern im_worker_hook_t  *im_worker_hooks[];


#endif /* _IM_WORKER_H_INCLUDED_ */
