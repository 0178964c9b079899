
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_ROOM_H_INCLUDED_
#define _IM_GROUP_ROOM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_room_node.h"
#include "domain/im_group_item.h"


/* Numbers of a live room, and what it is told by them. */

/*
 * Takes the next number of the room and publishes the record, text; except:
 * the peer that gets no copy, 0: all get one; seq (may be NULL): the number.
 * NGX_OK, NGX_DECLINED: too long, NGX_BUSY, NGX_ABORT: the group is gone,
 * NGX_ERROR.
 */
ngx_int_t im_group_room_publish(im_ctx_t *ctx, im_group_t *group,
    ngx_uint_t prio, ngx_str_t *text, im_item_kind_e kind, uint64_t except,
    int64_t *seq);
/* The same for what its sender may repeat. */
ngx_int_t im_group_room_publish_once(im_ctx_t *ctx, im_group_t *group,
    ngx_uint_t prio, ngx_str_t *text, im_item_kind_e kind, uint64_t except,
    im_room_once_t *once, int64_t *seq);

/*
 * A block of numbers: added to a batch, and after its commit taken with the
 * result of the operation that was returned.
 */
ngx_uint_t im_group_room_block_add(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group);
void im_group_room_block_take(im_ctx_t *ctx, im_group_t *group, int64_t last);

/* Adds that the group has no more blocks: it is dissolved. */
void im_group_room_block_delete(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group);


#endif /* _IM_GROUP_ROOM_H_INCLUDED_ */
