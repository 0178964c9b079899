
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_OUTBOX_H_INCLUDED_
#define _IM_OUTBOX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_callback.h"
#include "store/im_store.h"


/*
 * After-callbacks of apps with "retry=on": rows of 64 streams, by the hash of
 * what keeps its order (group, pair, account).  One worker at a time has the
 * lease of a stream and sends its rows, first to last; each goes out until
 * it is answered, and is then removed.
 */

/* Adds the row to the batch of its cause; late may be NULL. */
void im_outbox_put(im_ctx_t *ctx, im_batch_t *batch, im_callback_call_t *call,
    ngx_str_t *lane, im_callback_late_t *late);

/* Has rows sent that are committed. */
void im_outbox_kick(im_app_t *app, ngx_str_t *lane);

/* What has no commit: a row of its own.  Copies, and never suspends. */
void im_outbox_add(im_callback_call_t *call, ngx_str_t *lane,
    im_callback_late_t *late);

/* For what the outbox does by itself; the caller destroys the pool. */
ngx_int_t im_outbox_ctx(im_ctx_t *ctx, im_app_t *app);


#endif /* _IM_OUTBOX_H_INCLUDED_ */
