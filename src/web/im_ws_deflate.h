
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_WS_DEFLATE_H_INCLUDED_
#define _IM_WS_DEFLATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * permessage-deflate (RFC 7692) without context takeover in both directions:
 * a message is compressed once for all who receive it, and a connection has
 * no state.  A message that is no longer than a window never reaches out of
 * it, so one window is enough for whatever clients ask for.
 */

#define IM_WS_DEFLATE_BITS_MIN    8
#define IM_WS_DEFLATE_BITS_MAX    15

#define IM_WS_DEFLATE_ANSWER_MAX  160


/*
 * Looks at Sec-WebSocket-Extensions of a client.  NGX_OK: an offer is taken;
 * *bits is the window that the client asks for, 0: does not ask.
 * NGX_DECLINED.
 */
ngx_int_t im_ws_deflate_offer(ngx_str_t *value, ngx_uint_t *bits);

/* Writes the value of the header of the answer. */
u_char *im_ws_deflate_answer(u_char *p, ngx_uint_t bits);

/* The payload of a compressed message, in memory of the worker until the next
 * call, or NGX_ERROR (logged). */
ngx_int_t im_ws_deflate(ngx_str_t *text, ngx_str_t *payload);

/*
 * Inflates one message, piece by piece; not to be interrupted by another.
 * NGX_OK: *piece is in memory of the worker until the next call; NGX_DONE: all
 * is inflated; NGX_DECLINED: it is not what deflate makes; NGX_ERROR.
 */
ngx_int_t im_ws_inflate_start(ngx_str_t *payload);
ngx_int_t im_ws_inflate(ngx_str_t *piece);


#endif /* _IM_WS_DEFLATE_H_INCLUDED_ */
