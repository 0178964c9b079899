
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_WEB_SESSION_H_INCLUDED_
#define _IM_WEB_SESSION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "domain/im_login.h"
#include "web/im_peer.h"


/*
 * The login of a connection: entered into the zone, fed with the events of
 * its account's inbox.
 */

/*
 * Makes the login that of the connection; an older one of the connection
 * ends.  Codes 70202, 70500; 6014: the connection has gone meanwhile, or the
 * login was ended.
 */
im_code_t im_web_session_begin(im_ctx_t *ctx, im_login_t *login);

/* logout: the instance has ended for good, not only its connection. */
void im_web_session_end(im_peer_t *peer, ngx_uint_t logout);

/* The connection will be closed, for nothing has come on it for too long. */
void im_web_session_silent(im_peer_t *peer);

/* Fills the caller from the login of the connection. */
im_code_t im_web_session_caller(im_ctx_t *ctx, im_peer_t *peer);

/* Compares the cursors with the inbox and with the heads of some groups,
 * catches up if events were lost. */
ngx_int_t im_web_session_check(im_ctx_t *ctx);

/* What encoded[] of a record holds: frames, freed by the function. */

#define IM_WEB_ENCODING    0         /* pushes of web SDK 2.x */
#define IM_GUEST_ENCODING  1

void im_web_encoded_free(im_bus_buf_t *buf);

/* The frame that pushes the item of EventArray in buf, made once for all
 * connections; NULL: no memory. */
im_frame_t *im_web_push(im_bus_buf_t *buf, ngx_str_t *json, ngx_log_t *log);

/* The same of n items, not shared; the caller gives up his reference. */
im_frame_t *im_web_push_frame(ngx_str_t *events, ngx_uint_t n,
    ngx_log_t *log);

/* Sends one JSON text; NGX_OK, NGX_BUSY, NGX_ERROR as im_peer_ops_t.send. */
ngx_int_t im_web_send(im_peer_t *peer, im_json_t *frame);


#endif /* _IM_WEB_SESSION_H_INCLUDED_ */
