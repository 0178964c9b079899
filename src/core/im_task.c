
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_co.h"
#include "core/im_task.h"
#include "core/im_worker.h"


static ngx_int_t im_task_init_conf(ngx_conf_t *cf, im_conf_t *conf);


im_worker_hook_t  im_task_hook = {
    ngx_string("task"),
    im_task_init_conf,                     /* init conf */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL                                   /* exit process */
};


#if (NGX_THREADS)

#include <ngx_thread_pool.h>


typedef struct {
    im_task_pt      fn;
    void           *data;
    im_co_group_t   group;
} im_task_t;


typedef struct {
    im_task_pt          fn;
    im_task_pt          done;
    void               *data;
    ngx_thread_task_t   thread;
} im_task_post_t;


static void im_task_handler(void *data, ngx_log_t *log);
static void im_task_done(ngx_event_t *ev);
static void im_task_post_handler(void *data, ngx_log_t *log);
static void im_task_post_done(ngx_event_t *ev);
static ngx_thread_pool_t *im_task_pool(void);


static ngx_str_t  im_task_pool_name = ngx_string("im");
static ngx_str_t  im_task_pool_default = ngx_string("default");


ngx_int_t
im_task_conf(ngx_conf_t *cf)
{
    /* only this pool has a number of threads without a directive */

    if (ngx_thread_pool_add(cf, NULL) == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
im_task_run(im_task_pt fn, void *data)
{
    im_task_t           task;
    ngx_thread_pool_t  *tp;
    ngx_thread_task_t   thread;

    tp = im_task_pool();
    if (tp == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&task, sizeof(im_task_t));

    task.fn = fn;
    task.data = data;

    ngx_memzero(&thread, sizeof(ngx_thread_task_t));

    thread.ctx = &task;
    thread.handler = im_task_handler;
    thread.event.handler = im_task_done;
    thread.event.data = &task;
    thread.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(tp, &thread) != NGX_OK) {

        /* a task that found the queue full has not been made active */

        return thread.event.active ? NGX_ERROR : NGX_BUSY;
    }

    task.group.running++;

    im_co_group_join(&task.group);

    return NGX_OK;
}


static void
im_task_handler(void *data, ngx_log_t *log)
{
    im_task_t  *task = data;

    task->fn(task->data);
}


static void
im_task_done(ngx_event_t *ev)
{
    im_task_t  *task;

    task = ev->data;

    im_co_group_done(&task->group);
}


ngx_int_t
im_task_post(im_task_pt fn, im_task_pt done, void *data)
{
    ngx_int_t           rc;
    im_task_post_t     *task;
    ngx_thread_pool_t  *tp;

    tp = im_task_pool();
    if (tp == NULL) {
        return NGX_ERROR;
    }

    task = ngx_calloc(sizeof(im_task_post_t), ngx_cycle->log);
    if (task == NULL) {
        return NGX_ERROR;
    }

    task->fn = fn;
    task->done = done;
    task->data = data;

    task->thread.ctx = task;
    task->thread.handler = im_task_post_handler;
    task->thread.event.handler = im_task_post_done;
    task->thread.event.data = task;
    task->thread.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(tp, &task->thread) != NGX_OK) {
        rc = task->thread.event.active ? NGX_ERROR : NGX_BUSY;
        ngx_free(task);
        return rc;
    }

    return NGX_OK;
}


static void
im_task_post_handler(void *data, ngx_log_t *log)
{
    im_task_post_t  *task = data;

    task->fn(task->data);
}


static void
im_task_post_done(ngx_event_t *ev)
{
    void            *data;
    im_task_pt       done;
    im_task_post_t  *task;

    task = ev->data;
    done = task->done;
    data = task->data;

    ngx_free(task);

    done(data);
}


static ngx_thread_pool_t *
im_task_pool(void)
{
    ngx_thread_pool_t  *tp;

    tp = ngx_thread_pool_get((ngx_cycle_t *) ngx_cycle, &im_task_pool_name);
    if (tp) {
        return tp;
    }

    tp = ngx_thread_pool_get((ngx_cycle_t *) ngx_cycle, &im_task_pool_default);
    if (tp == NULL) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "no thread pool \"%V\"", &im_task_pool_default);
    }

    return tp;
}

#else

ngx_int_t
im_task_conf(ngx_conf_t *cf)
{
    ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                       "nginx is built without \"--with-threads\", "
                       "tasks block the worker");

    return NGX_OK;
}


ngx_int_t
im_task_run(im_task_pt fn, void *data)
{
    fn(data);

    return NGX_OK;
}


ngx_int_t
im_task_post(im_task_pt fn, im_task_pt done, void *data)
{
    fn(data);
    done(data);

    return NGX_OK;
}

#endif


/* hashing of passwords; drivers of the store see to it themselves */

static ngx_int_t
im_task_init_conf(ngx_conf_t *cf, im_conf_t *conf)
{
    im_app_t    *app;
    ngx_uint_t   i;

    app = conf->apps.elts;

    for (i = 0; i < conf->apps.nelts; i++) {
        if (app[i].hosted_accounts) {
            return im_task_conf(cf);
        }
    }

    return NGX_OK;
}
