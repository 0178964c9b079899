
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ROOM_ZONE_H_INCLUDED_
#define _IM_ROOM_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_room.h"
#include "live/im_zone.h"


#define IM_ROOM_BATCH    128         /* nodes removed under one lock */
#define IM_ROOM_BATCHES  32          /* of them in a tick */


/* What the files of live rooms have in the zone; all of it under the lock. */

typedef struct {
    im_zone_node_t     node;         /* app, gno */
    ngx_queue_t        idle;         /* or closing */
    ngx_queue_t        joined;       /* in order of joining */
    ngx_queue_t        audience;
    ngx_queue_t        polls;

    int64_t            next;         /* number of the next message */
    int64_t            last;         /* that may be used */
    int64_t            spare_first;  /* another block, or 0 */
    int64_t            spare_last;
    uint64_t           chain;        /* last record in the bus */

    ngx_uint_t         njoined;
    ngx_uint_t         npolls;
    ngx_uint_t         users;        /* sums of audience */
    ngx_uint_t         guests;
    ngx_msec_t         used;
    ngx_uint_t         closing;
    time_t             said;         /* when the last one was published */

    uint32_t           marks[IM_ROOM_MARKS];    /* 0: free */
    ngx_uint_t         nmarked[IM_ROOM_MARKS];

    /* several nodes: what they have, and when they were told of ours */
    ngx_queue_t        tell;         /* next == NULL: not in the queue */
    ngx_msec_t         told;
    ngx_uint_t         round;
    ngx_uint_t         counted;      /* something was told */
    ngx_uint_t         others;       /* joined, guests, sockets there */
    ngx_uint_t         other_guests;
    ngx_uint_t         other_sockets;
} im_room_t;


/* the rooms of a user; among the joined, as there is no room 0 */

typedef struct {
    im_zone_node_t     node;         /* app, 0, name */
    ngx_queue_t        rooms;
    u_char             name[1];
} im_room_list_t;


typedef struct {
    im_zone_node_t     node;         /* app, gno, name */
    ngx_queue_t        queue;
    ngx_queue_t        place;        /* of a slot, or among the leaving */
    ngx_queue_t        mine;         /* of the user */
    im_room_list_t    *list;
    im_room_t         *room;
    ngx_uint_t         slot;         /* that joined last */
    time_t             joined;
    ngx_msec_t         ttl;
    ngx_msec_t         expires;
    ngx_queue_t        silence;      /* waits: of sh->silent */
    ngx_msec_t         since;
    uint32_t           inst;
    uint8_t            waits;        /* without a socket, not yet silent */
    uint8_t            silent;
    uint16_t           leaving;
    uint16_t           marks;        /* bits of the room's */
    ngx_uint_t         unsaved;      /* marks that Redis has not heard of */
    u_char             name[1];
} im_room_joined_t;


/* a guest that polls */

typedef struct {
    im_zone_node_t     node;         /* app, gno, id */
    ngx_queue_t        queue;
    ngx_queue_t        polls;
    im_room_t         *room;
    ngx_msec_t         expires;
} im_room_guest_t;


/* what a worker contributes to the audience */

typedef struct {
    ngx_queue_t        queue;
    ngx_queue_t        slot_queue;
    im_room_t         *room;
    ngx_uint_t         slot;
    ngx_uint_t         users;
    ngx_uint_t         guests;
} im_room_part_t;


im_room_t *im_room_get(im_zone_sh_t *sh, ngx_uint_t app, uint64_t gno,
    ngx_uint_t create);

/* im_room_user.c: he is in, or NULL; a copy of what others may see; he has no
 * socket now, and leaves when his time is over; he has left. */
im_room_joined_t *im_room_user(im_zone_sh_t *sh, ngx_uint_t app,
    uint64_t gno, ngx_str_t *user);
void im_room_user_copy(im_room_user_t *u, im_room_joined_t *j);
void im_room_user_leaving(im_zone_sh_t *sh, im_room_joined_t *j);
void im_room_user_free(im_zone_sh_t *sh, im_room_joined_t *j);

/* im_room_audience.c: the sums of a room; one that goes. */
void im_room_counts(im_room_t *room, im_room_audience_t *a);
void im_room_guest_free(im_zone_sh_t *sh, im_room_guest_t *g);
void im_room_part_free(im_zone_sh_t *sh, im_room_part_t *part);

/* im_room_tell.c: what other nodes are told of rooms.  A room was changed, a
 * user ends; im_room_gone_tell() follows after the lock was released. */
void im_room_changed_locked(im_zone_sh_t *sh, im_room_t *room);
void im_room_gone_locked(im_room_joined_t *j);
void im_room_gone_tell(void);
ngx_int_t im_room_tell_init_process(ngx_cycle_t *cycle);

/* im_room_silent.c: he has no socket now, will not be silent, has come back;
 * who is silent now; im_room_silent_tell() follows without the lock. */
void im_room_silent_begin_locked(im_zone_sh_t *sh, im_room_joined_t *j);
void im_room_silent_end_locked(im_room_joined_t *j);
void im_room_back_locked(im_room_joined_t *j, ngx_uint_t tell);
ngx_uint_t im_room_silent_due_locked(im_zone_sh_t *sh);
void im_room_silent_tell(void);

/* He loses all marks. */
void im_room_unmark(im_room_joined_t *j);


#endif /* _IM_ROOM_ZONE_H_INCLUDED_ */
