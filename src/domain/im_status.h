
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_STATUS_H_INCLUDED_
#define _IM_STATUS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "store/im_store.h"


/* Whether accounts are online, what they say of themselves, and who is told
 * of changes: subscribers and friends. */

#define IM_STATUS_TEXT  500          /* bytes */

#define IM_USER_ONLINE      1
#define IM_USER_OFFLINE     2        /* logged in, not connected */
#define IM_USER_LOGGED_OUT  3


/* Adds To_Account, Status and CustomStatus. */
ngx_int_t im_status_json(im_ctx_t *ctx, ngx_str_t *user, im_json_t *item);

/* The user's own text in base64; empty if he has none. */
ngx_int_t im_status_text(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *text);

/* Sets the caller's text and tells it. */
ngx_int_t im_status_set(im_ctx_t *ctx, ngx_str_t *text);

/* The caller wants to hear of n accounts; of the oldest no more when there
 * are over status_subs_max. */
ngx_int_t im_status_subscribe(im_ctx_t *ctx, ngx_str_t *users, ngx_uint_t n);
/* users NULL: of all. */
ngx_int_t im_status_unsubscribe(im_ctx_t *ctx, ngx_str_t *watcher,
    ngx_str_t *users, ngx_uint_t n);

/*
 * A session of the user has begun or ended in this worker.  Never waits:
 * others are told soon, and of an end that another session follows at once,
 * nobody.
 */
void im_status_begun(ngx_uint_t app, ngx_str_t *user);
void im_status_ended(ngx_uint_t app, ngx_str_t *user, ngx_uint_t logout);


#endif /* _IM_STATUS_H_INCLUDED_ */
