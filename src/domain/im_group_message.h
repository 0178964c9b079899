
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_MESSAGE_H_INCLUDED_
#define _IM_GROUP_MESSAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_room.h"
#include "domain/im_group.h"
#include "domain/im_group_tip.h"
#include "domain/im_group_row.h"


/* OpType of tips, ReportType of notices (groups.md 21). */

#define IM_TIP_JOIN        1
#define IM_TIP_QUIT        2
#define IM_TIP_KICK        3
#define IM_TIP_ADMIN       4
#define IM_TIP_NO_ADMIN    5
#define IM_TIP_INFO        6
#define IM_TIP_MEMBER      7
#define IM_TIP_BAN         10
#define IM_TIP_UNBAN       11

#define IM_REPORT_APPLY    1
#define IM_REPORT_ACCEPT   2
#define IM_REPORT_REFUSE   3
#define IM_REPORT_KICKED   4
#define IM_REPORT_DESTROY  5
#define IM_REPORT_CREATE   6
#define IM_REPORT_INVITED  7
#define IM_REPORT_QUIT     8
#define IM_REPORT_ADMIN    9
#define IM_REPORT_NO_ADMIN 10
#define IM_REPORT_INVITE   12        /* the invited is to consent */
#define IM_REPORT_INVITE_ACCEPT  13
#define IM_REPORT_INVITE_REFUSE  14
#define IM_REPORT_RECYCLED 11
#define IM_REPORT_READ     15
#define IM_REPORT_FLAG     20
#define IM_REPORT_BANNED   21
#define IM_REPORT_PERMIT   22        /* an invitation is to be approved */
#define IM_REPORT_CUSTOM   255


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
    ngx_uint_t         refused;      /* by the app's callback */
    uint32_t           crc;          /* of the body that the caller gave */
} im_group_send_t;


/*
 * Sends an ordinary message, from the look for duplicates on: 10007, 10017,
 * 10002.  Fields, group and accounts were checked.
 */
im_code_t im_group_message_send(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send);

/* Appends old messages: from, time, random and body of rows are set; those
 * whose code is not IM_OK are left out, seq comes back. */
im_code_t im_group_message_import(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *rows, im_code_t *codes, ngx_uint_t n);

/* Numbers of a live room: reserved with its creation, and given back. */
ngx_uint_t im_group_message_block_add(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group);
void im_group_message_block_take(im_ctx_t *ctx, im_group_t *group,
    int64_t last);
void im_group_message_block_delete(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group);


/*
 * A record of a room is one item of EventArray whose only array has one
 * element; the element has "Event" for the answers of polls.
 */

typedef struct {
    ngx_str_t          text;         /* the element, within the payload */
    ngx_uint_t         event;        /* 3 message, 5 notice, 6 tip */
    unsigned           signal:1;     /* nothing for web SDK 1.7 */
} im_group_item_t;

/* NGX_OK, NGX_DECLINED: not such a record. */
ngx_int_t im_group_item(ngx_str_t *payload, im_group_item_t *item);

/* Where the digit of "Event" is in the text of an item. */
#define IM_GROUP_ITEM_EVENT  (sizeof("{\"Event\":") - 1)


#endif /* _IM_GROUP_MESSAGE_H_INCLUDED_ */
