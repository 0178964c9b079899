
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ROOM_BODY_H_INCLUDED_
#define _IM_ROOM_BODY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_shared.h"


/*
 * What polls of a room answer, rendered once for all of this worker that are
 * at the same number.
 */

typedef struct {
    im_shared_t       *tail;         /* NULL: there is nothing */
    ngx_str_t          list;         /* the array alone, within the tail */
    int64_t            next;         /* number after the last record */
} im_room_body_t;

/*
 * The records from number *from on, at most 50 or 512 KB; *from becomes 1 if
 * the server has lost its state.  The tail is the end of an answer, from the
 * comma before "RspMsgList" on, and lives as long as the pool, or longer by
 * other references.  v1: for web SDK 1.7.  NGX_OK, NGX_ERROR: no memory.
 */
ngx_int_t im_room_body(ngx_pool_t *pool, ngx_uint_t app, uint64_t gno,
    int64_t *from, ngx_uint_t v1, im_room_body_t *body);


#endif /* _IM_ROOM_BODY_H_INCLUDED_ */
