
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CALLBACK_STAT_H_INCLUDED_
#define _IM_CALLBACK_STAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_callback.h"


/* What becomes of a callback. */

typedef enum {
    IM_CB_RESULT_OK = 0,
    IM_CB_RESULT_FAILED,
    IM_CB_RESULT_SKIPPED,            /* for a limit, or the breaker */
    IM_CB_RESULT_DROPPED             /* from the queue */
} im_callback_result_e;


void im_callback_count(im_callback_call_t *call, im_callback_result_e result);
/* One that was sent. */
void im_callback_took(im_callback_call_t *call, ngx_msec_t ms);

/* The breaker of this worker. */
void im_callback_breaker(im_app_t *app, ngx_uint_t open);

/* Lines for the metrics page. */
ngx_int_t im_callback_metrics(ngx_pool_t *pool, ngx_str_t *out);


#endif /* _IM_CALLBACK_STAT_H_INCLUDED_ */
