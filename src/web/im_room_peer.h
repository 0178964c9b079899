
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ROOM_PEER_H_INCLUDED_
#define _IM_ROOM_PEER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "domain/im_group.h"
#include "web/im_peer.h"


#define IM_ROOM_TTL    60000         /* ms that a place is kept without a
                                        connection */
#define IM_PEER_ROOMS  64


/*
 * Live rooms of a connection.
 */

/*
 * The caller has joined the room: what is published comes to his connection
 * from now on.  A connection that is not logged in (yet) gets it when it is.
 * NGX_OK; NGX_BUSY: in too many rooms; NGX_ERROR.
 */
ngx_int_t im_peer_room_join(im_ctx_t *ctx, im_group_t *group);

/* The same for all rooms that the instance has joined before. */
void im_peer_rooms_restore(im_ctx_t *ctx, im_peer_t *peer);

/* The session ends; logout: for good, else the places are kept a while. */
void im_peer_rooms_close(im_peer_t *peer, ngx_uint_t logout);


#endif /* _IM_ROOM_PEER_H_INCLUDED_ */
