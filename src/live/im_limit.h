
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_LIMIT_H_INCLUDED_
#define _IM_LIMIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_marker.h"


/*
 * Limits and markers of all nodes.  The zone decides, as on one node; Redis
 * counts for all and tells each node when the others have used up a limit, so
 * that nobody waits for it.  Markers are asked for: their functions with
 * "_all" suspend.
 */

/* As im_marker_take(), on all nodes. */
ngx_int_t im_marker_take_all(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t ttl,
    ngx_str_t *left, ngx_pool_t *pool, ngx_str_t *result);
/* The same; looks again each step milliseconds whether what is under way has
 * ended, NGX_BUSY: it has not in wait milliseconds. */
ngx_int_t im_marker_await_all(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t ttl,
    ngx_str_t *left, ngx_msec_t step, ngx_msec_t wait, ngx_pool_t *pool,
    ngx_str_t *result);


/* The key of a marker in Redis; buf has IM_REDIS_KEY_MAX bytes. */
void im_limit_marker_key(ngx_str_t *arg, u_char *buf,
    u_char key[IM_ZONE_KEY_LEN]);


/* For im_marker, im_rate and im_room only, which have done the same here. */

void im_limit_marker_release(u_char key[IM_ZONE_KEY_LEN]);
void im_limit_marker_done(u_char key[IM_ZONE_KEY_LEN], ngx_str_t *result,
    ngx_msec_t ttl);

void im_limit_rate(u_char key[IM_ZONE_KEY_LEN], ngx_uint_t burst);
void im_limit_room(u_char key[IM_ZONE_KEY_LEN], uint64_t second);
void im_limit_failures(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t window);


#endif /* _IM_LIMIT_H_INCLUDED_ */
