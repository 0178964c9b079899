
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CO_H_INCLUDED_
#define _IM_CO_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


#define IM_CO_FOREVER  ((ngx_msec_t) 0)


typedef struct im_co_s  im_co_t;

typedef void (*im_co_pt)(void *data);


/* Several things that one coroutine waits for; zeroed before its first use. */

typedef struct {
    ngx_uint_t   running;            /* what calls im_co_group_done() later */
    im_co_t     *waiter;
} im_co_group_t;


/* Sets how many coroutines may run in this worker at once, 4096 if unset. */
void im_co_limits(ngx_uint_t max);

/*
 * Runs fn(data) on a stack of its own, from the next turn of the event loop.
 * The coroutine frees itself when fn returns; a worker that shuts down stays
 * until then.  The log is used until the last wait of fn.  Returns NULL if
 * the limit is reached or there is no memory, which is logged.
 */
im_co_t *im_co_spawn(im_co_pt fn, void *data, ngx_log_t *log);

/* The same in this turn, for handlers of sockets' events only: what they start
 * cannot keep the loop from polling. */
im_co_t *im_co_start(im_co_pt fn, void *data, ngx_log_t *log);

/* Returns the running coroutine, or NULL when the event loop itself runs. */
im_co_t *im_co_self(void);

/*
 * Suspends the caller until im_co_wake(), whose rc it returns, or until the
 * timeout, when it returns NGX_BUSY.  If the wake came since the caller ran
 * last, returns at once.  IM_CO_FOREVER, no timeout, is only for what is
 * certain to end.
 */
ngx_int_t im_co_wait(ngx_msec_t timeout);

/*
 * Makes im_co_wait() of the coroutine return rc, by a posted event, never by
 * switching stacks itself.  Each wait takes one wake: a wake is kept for the
 * next wait while the coroutine runs, sleeps or joins, and is ignored when
 * another one has ended the wait already.  One that comes after a timeout but
 * before the coroutine has run replaces NGX_BUSY, so that whoever gets
 * NGX_BUSY knows that nobody has woken it.
 */
void im_co_wake(im_co_t *co, ngx_int_t rc);

/* Suspends the caller for a time; wakes do not cut it short. */
void im_co_sleep(ngx_msec_t ms);

/* Lets all pending events run once. */
void im_co_yield(void);

/* Does im_co_spawn() for something that im_co_group_join() waits for. */
im_co_t *im_co_group_spawn(im_co_group_t *group, im_co_pt fn, void *data,
    ngx_log_t *log);

/*
 * Ends one of the things that a group runs.  Coroutines of the group do it
 * themselves; an event handler may, for what group->running was raised by
 * hand.
 */
void im_co_group_done(im_co_group_t *group);

/*
 * Suspends the caller until nothing of the group runs.  A group on the
 * caller's stack is to be joined on every path.
 */
void im_co_group_join(im_co_group_t *group);

/* Return numbers of coroutines now, at most so far, and of mapped stacks. */
ngx_uint_t im_co_running(void);
ngx_uint_t im_co_peak(void);
ngx_uint_t im_co_stacks(void);

/* Unmaps the free stacks, at exit of the process. */
void im_co_exit(void);


#endif /* _IM_CO_H_INCLUDED_ */
