
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_POLL_H_INCLUDED_
#define _IM_POLL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_ctx.h"


/*
 * A command that waits for something to tell without a coroutine.  Its first
 * half parks and returns, the answer is made by its second half.
 */

typedef enum {
    IM_POLL_READY = 0,               /* im_poll_wake() */
    IM_POLL_TIMEOUT,                 /* held long enough */
    IM_POLL_DRAIN,                   /* the worker exits */
    IM_POLL_GONE                     /* the client has gone, no answer */
} im_poll_e;


/* Runs in a coroutine and adds to ctx->reply; it may park again. */
typedef im_code_t (*im_poll_pt)(im_ctx_t *ctx, void *data, im_poll_e reason);

/*
 * Called once for each parking, whatever ends it, before the second half;
 * the latter is left out when no coroutine is to be had.  Forgets the poll:
 * nobody may wake it afterwards.  Does not suspend; may be NULL.
 */
typedef void (*im_poll_end_pt)(im_poll_t *poll, void *data);

/* The transport's: starts a coroutine that calls im_api_resume(). */
typedef void (*im_poll_resume_pt)(void *data);


struct im_poll_s {
    im_ctx_t            *ctx;
    im_poll_pt           handler;
    im_poll_end_pt       end;
    void                *data;
    ngx_msec_t           hold;
    im_poll_e            reason;

    im_poll_resume_pt    resume;     /* NULL: the transport has not parked */
    void                *transport;

    ngx_queue_t          queue;
    ngx_event_t          timer;

    unsigned             woken:1;
};


/*
 * For a handler: parks the command for at most hold milliseconds.  It then
 * returns IM_OK without having waited in between.  NULL: no memory.
 */
im_poll_t *im_poll_park(im_ctx_t *ctx, ngx_msec_t hold, im_poll_pt handler,
    im_poll_end_pt end, void *data);

/* Ends the waiting; a second call does nothing. */
void im_poll_wake(im_poll_t *poll, im_poll_e reason);

/* For a transport: the first half has returned. */
void im_poll_start(im_poll_t *poll, im_poll_resume_pt resume,
    void *transport);

/* How many are parked in this worker. */
ngx_uint_t im_poll_count(void);


#endif /* _IM_POLL_H_INCLUDED_ */
