
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_PEER_GROUP_H_INCLUDED_
#define _IM_PEER_GROUP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "web/im_peer.h"


/*
 * Stored groups of a connection: it gets what is published in those that its
 * user is a member of.
 */

/* Makes the subscriptions what the store says.  The connection may be gone
 * afterwards.  NGX_OK; NGX_DECLINED: it is; else as im_store_get(). */
ngx_int_t im_peer_groups_sync(im_ctx_t *ctx);

/* The same in a coroutine of its own. */
void im_peer_groups_start(im_peer_t *peer);

/* "+" or "-" and a group's number: the user has joined or left. */
void im_peer_groups_event(im_peer_t *peer, ngx_str_t *text);

/* The session ends. */
void im_peer_groups_close(im_peer_t *peer);


#endif /* _IM_PEER_GROUP_H_INCLUDED_ */
