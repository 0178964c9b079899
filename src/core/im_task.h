
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_TASK_H_INCLUDED_
#define _IM_TASK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef void (*im_task_pt)(void *data);


/*
 * Makes sure that tasks will have a thread pool: "im" where the configuration
 * has "thread_pool im", else "default".  Without threads warns that tasks will
 * run in the worker itself.
 */
ngx_int_t im_task_conf(ngx_conf_t *cf);

/*
 * Runs fn(data) in a thread and suspends the calling coroutine until it has
 * ended, so data may be on the caller's stack.  fn touches nothing but data.
 * Returns NGX_BUSY if the queue of the pool is full, NGX_ERROR if there is no
 * pool or the task could not be queued; fn has not run then.
 */
ngx_int_t im_task_run(im_task_pt fn, void *data);

/*
 * Queues fn(data) for a thread and returns; done(data) is called in the event
 * loop after it has ended.  Returns as im_task_run() does, and neither of the
 * two is called then.
 */
ngx_int_t im_task_post(im_task_pt fn, im_task_pt done, void *data);


#endif /* _IM_TASK_H_INCLUDED_ */
