
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_MESSAGE_H_INCLUDED_
#define _IM_GROUP_MESSAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_room.h"
#include "domain/im_group.h"


/* Success to the sender, but nobody gets it. */

#define IM_DROPPED_RATE    1
#define IM_DROPPED_APP     2         /* by the app's callback, silently */


typedef struct {
    ngx_str_t          from;
    ngx_uint_t         forged;       /* From_Account of REST: no member */
    ngx_uint_t         prio;         /* im_room_prio_e */
    int64_t            random;
    ngx_str_t          body;         /* MsgBody, compact JSON */
    ngx_str_t          cloud;        /* CloudCustomData */
    ngx_str_t          card;         /* NameCard of the sender */
    int64_t            client_time;  /* 0: none */
    int64_t            client_seq;   /* 0: none */
    ngx_str_t          at;           /* GroupAtInfo, JSON or empty */
    im_json_t         *at_list;      /* the same, NULL: none */
    ngx_str_t         *to;           /* To_Account */
    ngx_uint_t         nto;          /* 0: to all members */
    int64_t            opts;         /* IM_MSG_* */
    ngx_uint_t         forbid;       /* callbacks, IM_FORBID_* */

    int64_t            time;         /* of the answer */
    int64_t            seq;
    ngx_uint_t         dropped;      /* IM_DROPPED_* */
    ngx_uint_t         repeated;     /* it was stored before */
    ngx_uint_t         unknown;      /* it may be stored, or may still be */
    ngx_uint_t         told;         /* the app, by the commit */
    ngx_uint_t         refused;      /* by the app's callback */
    uint32_t           hash;         /* of the body that the caller gave */
} im_group_send_t;


/*
 * Sends an ordinary message, from the look for duplicates on: 10007, 10017,
 * 10002.  Fields, group and accounts were checked.
 */
im_code_t im_group_message_send(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send);


#endif /* _IM_GROUP_MESSAGE_H_INCLUDED_ */
