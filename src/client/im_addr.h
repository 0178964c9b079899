
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ADDR_H_INCLUDED_
#define _IM_ADDR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * 1: the address is no public one: loopback, private, link-local, multicast,
 * reserved, or an IPv6 address that stands for such an IPv4 one.
 */
ngx_uint_t im_addr_private(struct sockaddr *sa);

/* The same; also what is no address at all. */
ngx_uint_t im_addr_private_text(const char *text);


#endif /* _IM_ADDR_H_INCLUDED_ */
