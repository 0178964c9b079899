
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_LANE_H_INCLUDED_
#define _IM_LANE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_ctx.h"


/*
 * The order of what one connection sends to one conversation.  Each command
 * has its place from the moment when its frame has come.  All of them read
 * and ask at once, and only then wait until those ahead have their numbers.
 */

struct im_lane_s {
    ngx_queue_t        queue;        /* the one that came first is the first */
    uint64_t           peer;
    uint32_t           name;         /* of the conversation, a hash */
    im_co_t           *co;           /* that waits, or NULL */
    time_t             time;         /* of arrival */
    unsigned           passed:1;
};


/* Takes the last place; the memory is the command's and stays to
 * im_lane_leave(). */
void im_lane_enter(im_lane_t *lane, uint64_t peer, uint32_t name);

/* The command has ended, however. */
void im_lane_leave(im_lane_t *lane);

/*
 * Suspends the caller until all ahead have passed, or, with ended, until they
 * have left.  NGX_OK: there was nobody; NGX_DONE: it has waited; NGX_BUSY: for
 * longer than the timeout.  Without a lane there is never anybody ahead.
 */
ngx_int_t im_lane_wait(im_lane_t *lane, ngx_uint_t ended, ngx_msec_t timeout);

/* Whatever those behind write comes behind what the caller, who has waited,
 * has written.  Does not suspend; lane may be NULL. */
void im_lane_pass(im_lane_t *lane);


#endif /* _IM_LANE_H_INCLUDED_ */
