
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CALLBACK_CONF_H_INCLUDED_
#define _IM_CALLBACK_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"


/*
 * Callback settings of an app that were made at run time: a row of the
 * store, which goes before the directive.  Its stamp tells all workers to
 * read it again.
 */

typedef struct {
    ngx_str_t          url;          /* "": no callbacks */
    ngx_str_t          token;        /* "": not signed */
    uint64_t           events;
    int64_t            timeout;      /* ms */
    unsigned           refuse:1;
    unsigned           retry:1;
} im_callback_settings_t;

#define IM_CALLBACK_TIME_MAX   60000
#define IM_CALLBACK_TOKEN_MAX  128
#define IM_CALLBACK_URL_MAX    1024


/*
 * Makes app->callback what it has to be now; called where a command begins.
 * Failures are logged and leave it as it was.
 */
void im_callback_refresh(im_ctx_t *ctx);

/* What is in force. */
void im_callback_settings(im_app_t *app, im_callback_settings_t *s);

/* Both: NGX_OK, NGX_BUSY or NGX_ERROR; in force for all when they return. */
ngx_int_t im_callback_set(im_ctx_t *ctx, im_callback_settings_t *s);
/* That of the directive again. */
ngx_int_t im_callback_reset(im_ctx_t *ctx);


#endif /* _IM_CALLBACK_CONF_H_INCLUDED_ */
