
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_RATE_H_INCLUDED_
#define _IM_RATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_zone.h"


/*
 * Token bucket: rate per second, burst tokens at most.  NGX_OK, NGX_DECLINED.
 * A full zone limits nobody.
 */
ngx_int_t im_rate_take(u_char key[IM_ZONE_KEY_LEN], ngx_uint_t rate,
    ngx_uint_t burst, ngx_msec_t now);

/* Counts failures in a window of milliseconds that begins with the first;
 * both answer the count. */
ngx_uint_t im_failures_add(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t window);
ngx_uint_t im_failures_get(u_char key[IM_ZONE_KEY_LEN]);

/* For im_limit only: all nodes together have used the bucket up for ms; have
 * counted n. */
void im_rate_drain(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t ms);
void im_failures_heard(u_char key[IM_ZONE_KEY_LEN], ngx_uint_t n);


#endif /* _IM_RATE_H_INCLUDED_ */
