
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_BROADCAST_H_INCLUDED_
#define _IM_GROUP_BROADCAST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_message.h"


/*
 * Sends a message into every AVChatRoom of the app that somebody is in.  Its
 * number is that of the broadcast; in each room it takes the next one of the
 * room.  The same message again is sent once.  10002.
 */
im_code_t im_group_broadcast(im_ctx_t *ctx, im_group_send_t *send);


#endif /* _IM_GROUP_BROADCAST_H_INCLUDED_ */
