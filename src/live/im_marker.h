
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_MARKER_H_INCLUDED_
#define _IM_MARKER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_zone.h"


/*
 * Markers of what is under way or was just done.  im_marker_take():
 * NGX_OK: the caller has it, for at most ttl milliseconds; NGX_BUSY:
 * somebody else has it; NGX_DONE: it was done, *result (may be NULL) is a
 * copy on the pool; NGX_ERROR: no memory.  When the zone is full, NGX_OK
 * without a marker.
 *
 * left, or NULL: the result for IM_MARKER_LEFT milliseconds after ttl, if
 * the caller has not said by then how it ended; he may be slow, or dead.
 */
#define IM_MARKER_LEFT        60000
#define IM_MARKER_RESULT_MAX  512

ngx_int_t im_marker_take(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t ttl,
    ngx_str_t *left, ngx_pool_t *pool, ngx_str_t *result);
/* It was not done after all; drop: in this node only. */
void im_marker_release(u_char key[IM_ZONE_KEY_LEN]);
void im_marker_drop(u_char key[IM_ZONE_KEY_LEN]);
/* It was done: the result, at most IM_MARKER_RESULT_MAX bytes (a longer one is
 * not kept: the marker is released, NGX_DECLINED), is kept for ttl. */
ngx_int_t im_marker_done(u_char key[IM_ZONE_KEY_LEN], ngx_str_t *result,
    ngx_msec_t ttl);
/* Another node says that it was done.  NGX_OK; NGX_DECLINED: it was done
 * before, and that result begins with another number. */
ngx_int_t im_marker_heard(u_char key[IM_ZONE_KEY_LEN], ngx_str_t *result,
    ngx_msec_t ttl);
/* The number that the result of what was done begins with; 0: was not. */
int64_t im_marker_number(u_char key[IM_ZONE_KEY_LEN]);


#endif /* _IM_MARKER_H_INCLUDED_ */
