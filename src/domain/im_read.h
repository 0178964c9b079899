
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_READ_H_INCLUDED_
#define _IM_READ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "domain/im_conv.h"
#include "domain/im_inbox.h"


/*
 * Up to where an account has read a conversation: all messages before the
 * second "time", and those of it whose inbox number is not above "seq".
 * Never moves back.
 */

typedef struct {
    int64_t            time;
    int64_t            seq;
} im_read_t;


/* The latest row of a C2C conversation, and how much of it is unread. */

typedef struct {
    ngx_str_t          peer;
    im_inbox_t         last;
    im_read_t          read;
    ngx_uint_t         unread;
} im_read_peer_t;


/* Marks of n conversations; zeros where there is none. */
ngx_int_t im_read_get(im_ctx_t *ctx, ngx_str_t *user, int64_t type,
    ngx_str_t *peers, ngx_uint_t n, im_read_t *reads);

/* Until when each of n accounts has read what user sent. */
ngx_int_t im_read_get_of(im_ctx_t *ctx, ngx_str_t *users, ngx_uint_t n,
    ngx_str_t *peer, im_read_t *reads);

/* Messages that count and are behind the mark, at most app->unread_max. */
ngx_int_t im_read_unread(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    im_read_t *read, ngx_uint_t *n);

/*
 * C2C conversations with unread messages, im_read_peer_t: walks at most 1000
 * conversations, pushes at most max.
 */
ngx_int_t im_read_peers(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t max,
    ngx_array_t *peers);

/* Unread messages of all C2C conversations that im_read_peers() finds. */
ngx_int_t im_read_unread_all(im_ctx_t *ctx, ngx_str_t *user, int64_t *n);

/*
 * The user has read the conversation up to that second; later than now is
 * now.  Tells his other instances (unless quiet) and the peer, and the app
 * how many messages are unread then: left, or if it is -1 they are counted.
 */
im_code_t im_read_report(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    int64_t time, ngx_uint_t quiet, int64_t left);


#endif /* _IM_READ_H_INCLUDED_ */
