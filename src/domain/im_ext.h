
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_EXT_H_INCLUDED_
#define _IM_EXT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "domain/im_group.h"
#include "domain/im_message.h"


/*
 * Extensions: pairs that users attach to a message.  Each change of a pair
 * takes the next number of the message.  A deleted pair stays, with an empty
 * value, until all are cleared, so that clients which ask for what is new
 * hear of it.
 */

#define IM_EXT_PAIRS     300         /* of a message */
#define IM_EXT_ITEMS     20          /* of a request */
#define IM_EXT_KEY       100         /* bytes */
#define IM_EXT_VALUE     1000        /* bytes */
#define IM_EXT_RATE      200         /* writes of a message in a minute */
#define IM_EXT_PAGE      200         /* pairs of an answer */

#define IM_EXT_SET       1           /* OperateType */
#define IM_EXT_DELETE    2
#define IM_EXT_CLEAR     3


typedef struct {
    ngx_str_t          key;
    ngx_str_t          value;
    int64_t            seq;          /* version of the pair */
    im_code_t          code;         /* 0, or 23001 with the current pair */
} im_ext_t;


typedef struct {
    ngx_uint_t         op;           /* IM_EXT_* */
    ngx_uint_t         n;
    im_ext_t          *pairs;        /* requested; then as they are */
    int64_t            seq;          /* the last number of the message */
    int64_t            clear;        /* pairs up to this one are gone */
    unsigned           check:1;      /* compare the versions */
} im_ext_change_t;


typedef struct {
    int64_t            start;        /* pairs from this number on, 0: all */
    ngx_uint_t         n;
    im_ext_t          *pairs;        /* in order of seq */
    ngx_uint_t         complete;
    int64_t            seq;
    int64_t            clear;
} im_ext_page_t;


/*
 * The C2C message that one of two users has sent to the other one.  23004: it
 * is not there or recalled; 23002: it was not sent for extensions.
 */
im_code_t im_ext_find(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    im_msg_key_t *key, im_message_t *msg);

/* The same of a message of a stored group. */
im_code_t im_ext_find_group(im_ctx_t *ctx, im_group_t *group, int64_t seq,
    im_message_t *msg);

/* Both tell the users' sessions, except the acting instance. */
im_code_t im_ext_change(im_ctx_t *ctx, im_message_t *msg,
    im_ext_change_t *change);

im_code_t im_ext_read(im_ctx_t *ctx, im_message_t *msg, im_ext_page_t *page);


#endif /* _IM_EXT_H_INCLUDED_ */
