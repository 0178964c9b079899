
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ROOM_POLL_H_INCLUDED_
#define _IM_ROOM_POLL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"


/*
 * get_msg: what has come into a live room after a number.  A call by HTTP is
 * held until something comes, one by a frame is answered at once.
 */
im_code_t im_room_poll(im_ctx_t *ctx);

/* How long who polls counts as there, milliseconds. */
ngx_msec_t im_room_poll_ttl(im_app_t *app);


#endif /* _IM_ROOM_POLL_H_INCLUDED_ */
