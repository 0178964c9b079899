
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_RELAY_H_INCLUDED_
#define _IM_RELAY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "store/im_store.h"


/*
 * Lists of merged messages that are too long for a message, kept as long as
 * messages are.  Who knows the key may read the list.
 */

#define IM_RELAY_MESSAGES  300
#define IM_RELAY_SIZE      (512 * 1024)


/* Sets the random key. */
ngx_int_t im_relay_save(im_ctx_t *ctx, ngx_str_t *list, ngx_str_t *key);

/* NGX_DECLINED: unknown or expired. */
ngx_int_t im_relay_get(im_ctx_t *ctx, ngx_str_t *key, ngx_str_t *list);


#endif /* _IM_RELAY_H_INCLUDED_ */
