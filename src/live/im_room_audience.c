
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_room.h"
#include "live/im_room_zone.h"


#define IM_ROOM_GUESTS   4           /* part of the zone that guests have */


static void im_room_audience_of(ngx_uint_t app, uint64_t gno,
    ngx_uint_t others, im_room_audience_t *a);


void
im_room_guest_touch(ngx_uint_t app, uint64_t gno, uint64_t id, ngx_msec_t ttl)
{
    im_room_t        *room;
    im_zone_sh_t     *sh;
    im_zone_node_t    key;
    im_room_guest_t  *g;

    im_zone_node_init(&key, app, gno, id, NULL);

    sh = im_zone_lock();

    g = im_zone_node_find(&sh->guests, &key);

    if (g == NULL) {
        room = im_room_get(sh, app, gno, 0);

        if (room == NULL) {
            goto done;
        }

        /* a full zone counts no more guests; and nobody can fill it with
         * them, who need no login */

        if (sh->nguests >= im_zone_size() / IM_ROOM_GUESTS
                           / sizeof(im_room_guest_t))
        {
            goto done;
        }

        g = im_zone_alloc_locked(sh, sizeof(im_room_guest_t));

        if (g == NULL) {
            goto done;
        }

        g->node = key;
        g->room = room;

        ngx_queue_insert_tail(&room->polls, &g->queue);
        ngx_rbtree_insert(&sh->guests, &g->node.node);
        room->npolls++;
        sh->nguests++;

        im_room_changed_locked(sh, room);

    } else {
        ngx_queue_remove(&g->polls);
    }

    g->expires = ngx_current_msec + ttl;
    ngx_queue_insert_head(&sh->polls, &g->polls);

done:

    im_zone_unlock(sh);
}


void
im_room_guest_free(im_zone_sh_t *sh, im_room_guest_t *g)
{
    ngx_queue_remove(&g->queue);
    ngx_queue_remove(&g->polls);
    ngx_rbtree_delete(&sh->guests, &g->node.node);

    g->room->npolls--;
    sh->nguests--;

    im_room_changed_locked(sh, g->room);

    im_zone_free_locked(sh, g);
}


void
im_room_contribute(ngx_uint_t app, uint64_t gno, ngx_uint_t users,
    ngx_uint_t guests)
{
    im_room_t       *room;
    ngx_uint_t       slot;
    ngx_queue_t     *q;
    im_zone_sh_t    *sh;
    im_room_part_t  *part;

    slot = im_slot_self();
    part = NULL;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);

    if (room == NULL) {
        goto done;
    }

    for (q = ngx_queue_head(&room->audience);
         q != ngx_queue_sentinel(&room->audience);
         q = ngx_queue_next(q))
    {
        part = ngx_queue_data(q, im_room_part_t, queue);

        if (part->slot == slot) {
            break;
        }

        part = NULL;
    }

    if (users + guests == 0) {
        if (part) {
            im_room_part_free(sh, part);
        }

        goto done;
    }

    if (part == NULL) {
        part = im_zone_alloc_locked(sh, sizeof(im_room_part_t));

        if (part == NULL) {
            goto done;
        }

        part->room = room;
        part->slot = slot;

        ngx_queue_insert_tail(&room->audience, &part->queue);
        ngx_queue_insert_tail(&sh->slots[slot].audience, &part->slot_queue);
    }

    if (users != part->users || guests != part->guests) {
        im_room_changed_locked(sh, room);
    }

    room->users += users - part->users;
    room->guests += guests - part->guests;

    part->users = users;
    part->guests = guests;

done:

    im_zone_unlock(sh);
}


void
im_room_part_free(im_zone_sh_t *sh, im_room_part_t *part)
{
    ngx_queue_remove(&part->queue);
    ngx_queue_remove(&part->slot_queue);

    part->room->users -= part->users;
    part->room->guests -= part->guests;

    im_room_changed_locked(sh, part->room);

    im_zone_free_locked(sh, part);
}


void
im_room_audience(ngx_uint_t app, uint64_t gno, im_room_audience_t *a)
{
    im_room_audience_of(app, gno, 1, a);
}


void
im_room_audience_here(ngx_uint_t app, uint64_t gno, im_room_audience_t *a)
{
    im_room_audience_of(app, gno, 0, a);
}


static void
im_room_audience_of(ngx_uint_t app, uint64_t gno, ngx_uint_t others,
    im_room_audience_t *a)
{
    im_room_t     *room;
    im_zone_sh_t  *sh;

    ngx_memzero(a, sizeof(im_room_audience_t));

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);

    if (room) {
        im_room_counts(room, a);

        if (others) {
            a->joined += room->others;
            a->guests += room->other_guests;
            a->sockets += room->other_sockets;
        }
    }

    im_zone_unlock(sh);
}


void
im_room_counts(im_room_t *room, im_room_audience_t *a)
{
    a->joined = room->njoined;
    a->guests = room->guests + room->npolls;
    a->sockets = room->users;
}


void
im_room_others(ngx_uint_t app, uint64_t gno, im_room_audience_t *a)
{
    im_room_t       *room;
    im_zone_sh_t    *sh;
    im_zone_node_t   key;

    im_zone_node_init(&key, app, gno, 0, NULL);

    sh = im_zone_lock();

    room = im_zone_node_find(&sh->rooms, &key);

    if (room) {
        room->others = a->joined;
        room->other_guests = a->guests;
        room->other_sockets = a->sockets;
    }

    im_zone_unlock(sh);
}
