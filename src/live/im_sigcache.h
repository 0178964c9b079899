
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_SIGCACHE_H_INCLUDED_
#define _IM_SIGCACHE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Verified UserSigs.  digest is a SHA-256 over application, identifier and
 * the whole ticket.  Entries die at expiry (seconds); the caller compares
 * sig_time with the kick time of the account on each hit.
 * NGX_OK, NGX_DECLINED.
 */
ngx_int_t im_sigcache_get(u_char digest[32], time_t *sig_time,
    time_t *expires);
void im_sigcache_put(u_char digest[32], time_t sig_time, time_t expires);


#endif /* _IM_SIGCACHE_H_INCLUDED_ */
