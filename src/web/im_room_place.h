
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ROOM_PLACE_H_INCLUDED_
#define _IM_ROOM_PLACE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_member.h"


/*
 * Where in this worker a user receives a room: found by both, to be told
 * when he leaves elsewhere or is banned.
 */

typedef struct im_room_place_s  im_room_place_t;

struct im_room_place_s {
    ngx_uint_t         app;
    uint64_t           gno;
    ngx_str_t          user;
    uint32_t           inst;

    /* may remove the place, no other; by: the instance that acted */
    void             (*event)(im_room_place_t *place, uint32_t by,
                              ngx_uint_t event);

    ngx_queue_t        queue;
};


/* The memory is the caller's; it has filled the first block. */
void im_room_place_add(im_room_place_t *place);
void im_room_place_del(im_room_place_t *place);

/* 1: the instance has another place in the room. */
ngx_uint_t im_room_place_other(im_room_place_t *place);


#endif /* _IM_ROOM_PLACE_H_INCLUDED_ */
