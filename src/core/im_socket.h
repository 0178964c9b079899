
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_SOCKET_H_INCLUDED_
#define _IM_SOCKET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


/*
 * Events of a socket that a library opens and closes.
 */

/* NULL: there are no connections left. */
ngx_connection_t *im_socket_get(int fd, void *data, ngx_event_handler_pt read,
    ngx_event_handler_pt write);

/* NGX_READ_EVENT or NGX_WRITE_EVENT is wanted, or no more; by level, since the
 * library may leave bytes in the socket. */
void im_socket_watch(ngx_event_t *ev, ngx_int_t event, ngx_uint_t want);

/* The library closes the socket. */
void im_socket_forget(ngx_connection_t *c);

/* It has been closed already: the kernel knows nothing of it any more. */
void im_socket_closed(ngx_connection_t *c);


#endif /* _IM_SOCKET_H_INCLUDED_ */
