
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CALLBACK_LATE_H_INCLUDED_
#define _IM_CALLBACK_LATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_callback.h"


/*
 * Bodies that are completed by what is read from the store when they are
 * sent.  Callers never wait for that.
 */

/* Adds to the body, a JSON object.  NGX_OK; NGX_ERROR: it could not be read,
 * and the body is as it was. */
ngx_int_t im_callback_complete(im_ctx_t *ctx, im_callback_late_t *late,
    ngx_str_t *body);

/* Completes, and then tells; events with the same lane keep their order.
 * Copies, and never suspends. */
void im_callback_late_add(im_callback_call_t *call, ngx_str_t *lane,
    im_callback_late_t *late);


#endif /* _IM_CALLBACK_LATE_H_INCLUDED_ */
