
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_ITEM_H_INCLUDED_
#define _IM_GROUP_ITEM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_message.h"


/*
 * Records of a room: {"Event":3,"GroupMsgArray":[{"Event":3,"MsgSeq":...}]}
 * and the like.  Only im_group_message.c and im_group_tip.c make them.
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

/* Profiles come from the cache; one that cannot be read is empty. */
void im_group_item_sender(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *nick,
    ngx_str_t *face);
void im_group_item_tinyid(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *tinyid);

/* Adds {User_Account, NickName, ImageUrl} of a user, from the cache. */
void im_group_item_profile(im_ctx_t *ctx, im_json_t *obj, ngx_str_t *user);

/* Takes the next number and publishes; seq may be NULL.  NGX_OK,
 * NGX_DECLINED: too long, NGX_BUSY, NGX_ABORT: the group is gone. */
ngx_int_t im_group_publish(im_ctx_t *ctx, im_group_t *group, ngx_uint_t prio,
    ngx_str_t *text, im_item_kind_e kind, uint64_t except, int64_t *seq);


#endif /* _IM_GROUP_ITEM_H_INCLUDED_ */
