
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_ITEM_H_INCLUDED_
#define _IM_GROUP_ITEM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_message.h"


/*
 * A record of a room is one item of EventArray whose only array has one
 * element; the element has "Event" for the answers of polls:
 * {"Event":3,"GroupMsgArray":[{"Event":3,"MsgSeq":...}]} and the like.  Only
 * im_group_message.c, im_group_broadcast.c and im_group_tip.c have them made.
 */

typedef enum {
    IM_ITEM_MESSAGE = 0,
    IM_ITEM_TIP,
    IM_ITEM_SIGNAL,
    IM_ITEM_NOTICE
} im_item_kind_e;


/* Where the number of a record goes. */
size_t im_group_item_offset(im_item_kind_e kind);

/* The record of a message, on ctx->pool. */
ngx_int_t im_group_item_message(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, ngx_str_t *text);

/* The record of a tip or a notice with MsgBody body.  to: GroupInfo's
 * To_Account, data: UserDefinedField, ids: gets MsgSeq and MsgRandom of a
 * notice to one account; each may be NULL. */
ngx_int_t im_group_item_system(im_ctx_t *ctx, im_group_t *group,
    im_item_kind_e kind, im_json_t *body, ngx_str_t *to, ngx_str_t *data,
    int64_t *ids, ngx_str_t *text);

/* From the cache. */
void im_group_item_tinyid(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *tinyid);

/* Adds {User_Account, NickName, ImageUrl} of a user, from the cache. */
void im_group_item_profile(im_ctx_t *ctx, im_json_t *obj, ngx_str_t *user);


typedef struct {
    ngx_str_t          text;         /* the element, within the payload */
    ngx_uint_t         event;        /* 3 message, 5 notice, 6 tip */
    unsigned           signal:1;     /* nothing for web SDK 1.7 */
} im_group_item_t;

/* NGX_OK, NGX_DECLINED: not such a record. */
ngx_int_t im_group_item(ngx_str_t *payload, im_group_item_t *item);

/* Where the digit of "Event" is in the text of an item. */
#define IM_GROUP_ITEM_EVENT  (sizeof("{\"Event\":") - 1)


#endif /* _IM_GROUP_ITEM_H_INCLUDED_ */
