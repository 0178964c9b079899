
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_WEB_H_INCLUDED_
#define _IM_WEB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "web/im_peer.h"


#define IM_WEB_FRAMES_PER_SECOND  50


/*
 * The session protocol of web SDK 2.x (specification, web-v2.md), whatever
 * carries its frames.
 */

/* A new connection; the transport has called im_peer_open(). */
void im_web_open(im_peer_t *peer);

/*
 * One complete frame.  Takes over the pool, one of im_pool_create(), on which
 * the text lies; returns NGX_OK, or NGX_ERROR after which the transport closes
 * the connection (status 1008: too many frames a second).  Answers come
 * through ops->send().
 */
ngx_int_t im_web_frame(im_peer_t *peer, ngx_pool_t *pool, ngx_str_t *text);

/* The connection has ended: ends its session, leaves its rooms.  The caller
 * then calls im_peer_close(). */
void im_web_close(im_peer_t *peer);


#endif /* _IM_WEB_H_INCLUDED_ */
