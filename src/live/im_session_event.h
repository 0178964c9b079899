
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_SESSION_EVENT_H_INCLUDED_
#define _IM_SESSION_EVENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_session.h"


/* Records of sessions, from the bus and from other nodes. */
void im_session_event_init(void);

/* Tells the slot that its session, of that serial, is replaced by this one. */
void im_session_replace(im_session_t *s, ngx_uint_t slot, uint64_t serial);


#endif /* _IM_SESSION_EVENT_H_INCLUDED_ */
