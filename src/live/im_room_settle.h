
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ROOM_SETTLE_H_INCLUDED_
#define _IM_ROOM_SETTLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_bus.h"


#define IM_ROOM_SETTLE_MAX  500      /* ms */


/*
 * Suspends the coroutine until the members of a room or stored group, on all
 * workers and nodes, have been written what was published before; at most
 * IM_ROOM_SETTLE_MAX.
 */
void im_room_settle(ngx_uint_t app, uint64_t gno);


/* For im_room_member only: what was waiting before the mark has been handed
 * out and is written at the end of this turn of the event loop. */
void im_room_passed(im_bus_buf_t *mark);

void im_room_settle_init_process(ngx_cycle_t *cycle);


#endif /* _IM_ROOM_SETTLE_H_INCLUDED_ */
