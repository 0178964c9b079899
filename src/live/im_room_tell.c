
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_worker.h"
#include "live/im_node.h"
#include "live/im_room.h"
#include "live/im_room_node.h"
#include "live/im_room_zone.h"


#define IM_ROOM_SOON     50          /* then other nodes are told */
#define IM_ROOM_TOLD     60000       /* then they are told again */
#define IM_ROOM_TELLS    64          /* rooms told under one lock */
#define IM_ROOM_PAUSE    20          /* between places that are told */


/* users whose end in the zone the other nodes do not know of yet */

typedef struct {
    ngx_uint_t         app;
    uint64_t           gno;
    size_t             len;
    u_char             name[IM_ROOM_NAME_MAX];
} im_room_gone_t;


/* a user without a socket */

typedef struct {
    ngx_uint_t         app;
    uint64_t           gno;
    uint32_t           inst;
    time_t             joined;
    size_t             len;
    u_char             name[IM_ROOM_NAME_MAX];
} im_room_place_t;


static void im_room_tell_handler(ngx_event_t *ev);
static void im_room_node_event(im_node_event_e event, ngx_uint_t channel);
static void im_room_place_handler(ngx_event_t *ev);
static ngx_uint_t im_room_place_find(void);


static im_room_gone_t  im_room_gones[IM_ROOM_BATCH];
static ngx_uint_t      im_room_ngones;
static ngx_event_t     im_room_tell_event;

static im_room_place_t   im_room_places[IM_ROOM_BATCH];
static ngx_rbtree_key_t  im_room_place_next;     /* 0: the first one */
static ngx_event_t       im_room_place_event;


ngx_int_t
im_room_tell_init_process(ngx_cycle_t *cycle)
{
    im_room_ngones = 0;

    im_worker_timer(&im_room_tell_event, im_room_tell_handler, cycle->log);

    im_worker_timer(&im_room_place_event, im_room_place_handler, cycle->log);

    return im_node_event_add(im_room_node_event);
}


void
im_room_gone_locked(im_room_joined_t *j)
{
    im_room_gone_t  *gone;

    if (im_redis_configured() && im_room_ngones < IM_ROOM_BATCH) {
        gone = &im_room_gones[im_room_ngones++];

        gone->app = j->node.app;
        gone->gno = j->node.gno;
        gone->len = ngx_min(j->node.len, IM_ROOM_NAME_MAX);
        ngx_memcpy(gone->name, j->name, gone->len);
    }
}


void
im_room_gone_tell(void)
{
    ngx_str_t        user;
    im_room_gone_t  *gone;

    while (im_room_ngones) {
        gone = &im_room_gones[--im_room_ngones];

        user.data = gone->name;
        user.len = gone->len;

        im_room_node_leave(gone->app, gone->gno, &user);
    }
}


void
im_room_due(ngx_uint_t app, uint64_t gno)
{
    im_room_t       *room;
    im_zone_sh_t    *sh;
    im_zone_node_t   key;

    im_zone_node_init(&key, app, gno, 0, NULL);

    sh = im_zone_lock();

    room = im_zone_node_find(&sh->rooms, &key);

    if (room) {
        room->counted = 1;
        im_room_changed_locked(sh, room);
    }

    im_zone_unlock(sh);
}


/* The other nodes are told of it soon. */

void
im_room_changed_locked(im_zone_sh_t *sh, im_room_t *room)
{
    if (!im_redis_configured()) {
        return;
    }

    if (room->tell.next) {
        ngx_queue_remove(&room->tell);
    }

    ngx_queue_insert_head(&sh->tell, &room->tell);
    room->told = 0;

    if (!im_room_tell_event.timer_set) {
        ngx_add_timer(&im_room_tell_event, IM_ROOM_SOON);
    }
}


static void
im_room_tell_handler(ngx_event_t *ev)
{
    im_room_tell();
}


/* Rooms that were changed, or were told of long ago. */

void
im_room_tell(void)
{
    ngx_uint_t           i, n, batch;
    ngx_queue_t         *q;
    im_room_t           *room;
    im_zone_sh_t        *sh;
    im_room_audience_t  *a;

    static struct {
        ngx_uint_t          app;
        uint64_t            gno;
        im_room_audience_t  a;
    } tells[IM_ROOM_TELLS];

    for (batch = 0; batch < IM_ROOM_BATCHES && im_redis_up(); batch++) {

        n = 0;

        sh = im_zone_lock();

        for (i = 0; i < IM_ROOM_BATCH && n < IM_ROOM_TELLS
                    && !ngx_queue_empty(&sh->tell); i++)
        {
            q = ngx_queue_head(&sh->tell);
            room = ngx_queue_data(q, im_room_t, tell);

            if (room->told
                && room->round == sh->round
                && ngx_current_msec - room->told < IM_ROOM_TOLD)
            {
                break;
            }

            ngx_queue_remove(q);
            ngx_queue_insert_tail(&sh->tell, q);

            room->told = ngx_current_msec | 1;
            room->round = sh->round;

            tells[n].app = room->node.app;
            tells[n].gno = room->node.gno;

            a = &tells[n].a;
            im_room_counts(room, a);

            if (a->joined + a->guests + a->sockets) {
                room->counted = 1;
                n++;

            } else if (room->counted) {
                room->counted = 0;
                n++;
            }
        }

        im_zone_unlock(sh);

        while (n) {
            n--;
            im_room_node_tell(tells[n].app, tells[n].gno, &tells[n].a);
        }

        if (i < IM_ROOM_BATCH) {
            break;
        }
    }
}


static void
im_room_node_event(im_node_event_e event, ngx_uint_t channel)
{
    im_zone_sh_t  *sh;

    if (event != IM_NODE_REBUILD) {
        return;
    }

    sh = im_zone_lock();
    sh->round++;
    im_zone_unlock(sh);

    if (im_node_listens()) {
        im_room_place_next = 0;

        if (!im_room_place_event.timer_set) {
            ngx_add_timer(&im_room_place_event, IM_ROOM_PAUSE);
        }
    }
}


/*
 * Redis is told again of users who keep their places without a socket: they
 * are in no worker's room, see im_room_again() for those who are.
 */

static void
im_room_place_handler(ngx_event_t *ev)
{
    ngx_str_t         user;
    ngx_uint_t        i, n, batch;
    im_room_place_t  *place;

    if (!im_redis_up()) {
        return;                          /* begins again when it is */
    }

    for (batch = 0; batch < IM_ROOM_BATCHES; batch++) {

        n = im_room_place_find();

        for (i = 0; i < n; i++) {
            place = &im_room_places[i];

            user.data = place->name;
            user.len = place->len;

            im_room_node_join(place->app, place->gno, &user, place->inst,
                              place->joined, 1);
        }

        if (im_room_place_next == 0) {
            return;
        }

        if (n) {
            break;
        }
    }

    ngx_add_timer(ev, IM_ROOM_PAUSE);
}


/* Those among the next users, up to IM_ROOM_BATCH; answers how many. */

static ngx_uint_t
im_room_place_find(void)
{
    ngx_uint_t          n, walk;
    im_zone_sh_t       *sh;
    im_room_place_t    *place;
    im_room_joined_t   *j;
    ngx_rbtree_node_t  *node, *next;

    n = 0;

    sh = im_zone_lock();

    node = sh->joined.root;
    next = NULL;

    while (node != sh->joined.sentinel) {

        if (node->key >= im_room_place_next) {
            next = node;
            node = node->left;

        } else {
            node = node->right;
        }
    }

    for (walk = 0; next && walk < IM_ROOM_BATCH; walk++) {

        j = (im_room_joined_t *) next;
        next = ngx_rbtree_next(&sh->joined, next);

        /* gno 0: a list of rooms */

        if (j->node.gno == 0 || !j->leaving || j->room->closing) {
            continue;
        }

        place = &im_room_places[n++];

        place->app = j->node.app;
        place->gno = j->node.gno;
        place->inst = j->inst;
        place->joined = j->joined;
        place->len = ngx_min(j->node.len, IM_ROOM_NAME_MAX);
        ngx_memcpy(place->name, j->name, place->len);
    }

    im_room_place_next = next ? next->key : 0;

    im_zone_unlock(sh);

    return n;
}
