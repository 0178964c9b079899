
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "live/im_bus.h"
#include "live/im_node.h"
#include "live/im_stamp.h"


#define IM_STAMP_LIST  256           /* in a record */


static void im_stamp_tell(ngx_uint_t hash);
static void im_stamp_tell_handler(ngx_event_t *ev);
static void im_stamp_node(im_node_record_t *rec, ngx_str_t *payload);


/* not told to other nodes yet */

static uint32_t     im_stamp_list[IM_STAMP_LIST];
static ngx_uint_t   im_stamp_n;
static ngx_event_t  im_stamp_event;


void
im_stamp_init(ngx_cycle_t *cycle)
{
    im_stamp_n = 0;

    ngx_memzero(&im_stamp_event, sizeof(ngx_event_t));
    im_stamp_event.handler = im_stamp_tell_handler;
    im_stamp_event.log = cycle->log;

    im_node_handler(IM_BUS_STAMPS, im_stamp_node);
}


void
im_stamp_exit(void)
{
    if (im_stamp_event.posted) {
        ngx_delete_posted_event(&im_stamp_event);
    }
}


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
        im_stamp_tell(hash);
    }
}


void
im_stamp_heard(ngx_uint_t hash)
{
    (void) __sync_fetch_and_add(im_bus_stamp(hash), 1);
}


static void
im_stamp_tell(ngx_uint_t hash)
{
    ngx_uint_t  i;

    if (!im_redis_up()) {
        return;                          /* rows live for 5 s in a cache */
    }

    for (i = 0; i < im_stamp_n; i++) {
        if (im_stamp_list[i] == (uint32_t) hash) {
            return;
        }
    }

    im_stamp_list[im_stamp_n++] = hash;

    if (im_stamp_n == IM_STAMP_LIST) {
        im_stamp_tell_handler(&im_stamp_event);

    } else if (!im_stamp_event.posted) {
        ngx_post_event(&im_stamp_event, &ngx_posted_events);
    }
}


static void
im_stamp_tell_handler(ngx_event_t *ev)
{
    ngx_str_t      part;
    im_bus_meta_t  meta;

    part.data = (u_char *) im_stamp_list;
    part.len = im_stamp_n * sizeof(uint32_t);

    im_stamp_n = 0;

    ngx_memzero(&meta, sizeof(im_bus_meta_t));

    if (part.len) {
        (void) im_node_publish_all(IM_BUS_STAMPS, &meta, &part, 1);
    }
}


static void
im_stamp_node(im_node_record_t *rec, ngx_str_t *payload)
{
    size_t    i;
    uint32_t  hash;

    for (i = 0; i + sizeof(uint32_t) <= payload->len; i += sizeof(uint32_t)) {
        ngx_memcpy(&hash, payload->data + i, sizeof(uint32_t));
        im_stamp_heard(hash);
    }
}
