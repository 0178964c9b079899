
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

#define IM_OUTBOX_SHARDS  64


/* What is added to the body when it is sent, for it is known then only. */

typedef struct {
    int64_t            gno;          /* 0: nothing */
    ngx_str_t          dk;           /* of the message in the group */
} im_outbox_msg_t;


/* Adds the row to the batch of its cause; msg may be NULL. */
void im_outbox_put(im_ctx_t *ctx, im_batch_t *batch, im_callback_call_t *call,
    ngx_str_t *lane, im_outbox_msg_t *msg);

/* Has rows sent that are committed. */
void im_outbox_kick(im_app_t *app, ngx_str_t *lane);

/* As im_callback_tell(). */
void im_callback_tell_msg(im_ctx_t *ctx, im_callback_e event,
    im_json_t *body, ngx_str_t *lane, im_outbox_msg_t *msg);

/* What has no commit: a row of its own.  Copies, and never suspends. */
void im_outbox_add(im_callback_call_t *call, ngx_str_t *lane);


#endif /* _IM_OUTBOX_H_INCLUDED_ */
