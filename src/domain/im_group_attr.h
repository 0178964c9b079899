
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_ATTR_H_INCLUDED_
#define _IM_GROUP_ATTR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group.h"


/*
 * Attributes and counters of a group.  All attributes are in one row, all
 * counters in another: a change is one replace.
 */

typedef enum {
    IM_ATTR_INIT = 1,                /* numbers of the pushed tip */
    IM_ATTR_SET,
    IM_ATTR_CLEAR,
    IM_ATTR_DELETE
} im_attr_op_e;


typedef enum {
    IM_COUNTER_SET = 0,
    IM_COUNTER_INCREASE,
    IM_COUNTER_DECREASE,
    IM_COUNTER_DELETE
} im_counter_op_e;


/*
 * Changes the attributes by a list of {key, value, seq} and tells the group.
 * race: main (or, if the list has them, the numbers of the keys) must be
 * what is stored, else 10056.  Adds AttrMainSeq and GroupAttrAry to reply.
 */
im_code_t im_group_attr_change(im_ctx_t *ctx, im_group_t *group,
    im_attr_op_e op, im_json_t *list, ngx_uint_t race, int64_t main_seq);

/* Adds AttrMainSeq and GroupAttrAry. */
im_code_t im_group_attr_get(im_ctx_t *ctx, im_group_t *group,
    im_json_t *reply);

/* A list of {Key, Value}; for IM_COUNTER_DELETE of names, NULL: all. */
im_code_t im_group_counter_change(im_ctx_t *ctx, im_group_t *group,
    im_counter_op_e op, im_json_t *list);

/* keys: a list of names, NULL or empty: all. */
im_code_t im_group_counter_get(im_ctx_t *ctx, im_group_t *group,
    im_json_t *keys, im_json_t *reply);

/* Adds the removal of both to the batch. */
void im_group_attr_delete_all(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group);


#endif /* _IM_GROUP_ATTR_H_INCLUDED_ */
