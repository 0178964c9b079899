
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_TICKET_H_INCLUDED_
#define _IM_TICKET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/ngx_im_module.h"


/*
 * A ticket is the permission to write one file once or until it expires:
 * the query "app=ID&expires=SECONDS&sign=HEX" of its URL, where sign is an
 * HMAC over the path and the time by a key made of the app's.
 */

#define IM_TICKET_LEN                                                         \
    (sizeof("app=&expires=&sign=") - 1 + 2 * NGX_INT64_LEN + 64)


/*
 * Writes the query, at most IM_TICKET_LEN bytes, to p and returns its end;
 * NULL: the app has no HMAC key.  path: of the URL, decoded, with the slash
 * in front.
 */
u_char *im_ticket_make(u_char *p, im_app_t *app, ngx_str_t *path,
    time_t expires);

/* NGX_OK, or NGX_DECLINED: malformed, expired, of something else. */
ngx_int_t im_ticket_verify(im_conf_t *conf, ngx_str_t *path,
    ngx_str_t *args);


#endif /* _IM_TICKET_H_INCLUDED_ */
