
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_bus.h"
#include "live/im_node.h"
#include "live/im_stamp.h"


uint32_t
im_stamp_get(ngx_uint_t hash)
{
    return __atomic_load_n(im_bus_stamp(hash), __ATOMIC_SEQ_CST);
}


void
im_stamp_bump(ngx_uint_t hash)
{
    im_stamp_heard(hash);

    if (im_redis_configured()) {
        im_node_stamp(hash);
    }
}


void
im_stamp_heard(ngx_uint_t hash)
{
    (void) __sync_fetch_and_add(im_bus_stamp(hash), 1);
}
