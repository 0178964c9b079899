
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_HISTORY_H_INCLUDED_
#define _IM_HISTORY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "domain/im_message.h"


#define IM_HISTORY_PAGE_MAX  100


/* A page of the conversation of two users. */

typedef struct {
    ngx_str_t         *user;
    ngx_str_t         *peer;
    ngx_uint_t         order;        /* IM_DESC: from newer to older */
    ngx_uint_t         max;          /* messages, 1 .. IM_HISTORY_PAGE_MAX */
    int64_t            time;         /* begins with this second, 0: the end */
    im_msg_key_t       after;        /* and behind this message of it */
    int64_t            until;        /* last second, 0: none */
    int64_t            cleared;      /* skip rows up to this number */

    unsigned           has_after:1;
    unsigned           recalled:1;   /* with those recalled */
    unsigned           both:1;       /* what either side has */

    /* the result, in this order */
    ngx_uint_t         n;
    im_message_t      *msgs;
    ngx_uint_t         complete;     /* nothing more in this direction */
} im_history_t;


ngx_int_t im_history_read(im_ctx_t *ctx, im_history_t *h);


#endif /* _IM_HISTORY_H_INCLUDED_ */
