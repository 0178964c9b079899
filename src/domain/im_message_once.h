
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_MESSAGE_ONCE_H_INCLUDED_
#define _IM_MESSAGE_ONCE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_inbox.h"
#include "domain/im_message.h"


/*
 * What makes single-chat messages be sent once: markers of those that are
 * under way, and keys of those that are stored.
 */

/*
 * The caller sends, with msg.time, which is set, and calls im_message_end()
 * with the result.  NGX_OK: the marker is his; NGX_DONE: another one has sent
 * the message at that time, or still does, nobody knows whether it is stored;
 * NGX_BUSY: it is being sent.
 */
ngx_int_t im_message_begin(im_ctx_t *ctx, im_send_t *send, u_char *key);
/* done: it is stored. */
void im_message_end(im_ctx_t *ctx, im_send_t *send, u_char *key, ngx_int_t rc,
    ngx_uint_t done);

/* The time of a new message; it does not decrease in a lane. */
int64_t im_message_now(im_ctx_t *ctx);

/* As im_marker_take_all(), but waits for another one's end. */
ngx_int_t im_message_marker(im_ctx_t *ctx, im_send_t *send, ngx_uint_t what,
    ngx_msec_t ttl, ngx_str_t *left, u_char *key, ngx_str_t *result);
/* Milliseconds for which a repetition waits for the end of a send. */
ngx_msec_t im_message_busy(im_ctx_t *ctx, im_send_t *send);

/* The key of the message in the time window. */
ngx_int_t im_message_dk(im_ctx_t *ctx, im_send_t *send, int64_t time,
    ngx_str_t *dk);
/* NGX_OK: it is a duplicate, row is the first one's in the deciding mailbox;
 * NGX_DECLINED: it is none. */
ngx_int_t im_message_duplicate(im_ctx_t *ctx, im_send_t *send,
    im_inbox_t *row);
/* The row of that key, NGX_DECLINED: there is none. */
ngx_int_t im_message_by_dk(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *dk,
    im_inbox_t *row);


#endif /* _IM_MESSAGE_ONCE_H_INCLUDED_ */
