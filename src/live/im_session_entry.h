
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_SESSION_ENTRY_H_INCLUDED_
#define _IM_SESSION_ENTRY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_session.h"


/*
 * Sessions in the zone: where an instance is, for all workers.
 */

/*
 * Enters the session; *slot and *serial: of the one replaced, *slot is
 * IM_SLOTS if there was none.  again: the session keeps its number, and a
 * younger one of the instance its entry: NGX_DECLINED.  NGX_OK; NGX_BUSY: the
 * zone is full.
 */
ngx_int_t im_session_enter(im_session_t *s, ngx_uint_t again,
    ngx_uint_t *slot, uint64_t *serial);
void im_session_leave(im_session_t *s);

/* Of a user: by it his sessions are found, here, in the zone and by those who
 * hear a record about him. */
uint32_t im_session_hash(ngx_uint_t app, ngx_str_t *user);

/* Slots where the user has sessions, or that instance (0: any). */
void im_session_slots(ngx_uint_t app, uint32_t hash, ngx_str_t *user,
    uint32_t inst, im_slots_t *slots);

/* What a dead worker has left goes. */
void im_session_clear(ngx_uint_t slot, ngx_pid_t pid);


#endif /* _IM_SESSION_ENTRY_H_INCLUDED_ */
