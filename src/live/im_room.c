
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_worker.h"
#include "live/im_node.h"
#include "live/im_room.h"
#include "live/im_room_node.h"
#include "live/im_room_zone.h"


#define IM_ROOM_IDLE     600000      /* then an empty room is forgotten */


static ngx_int_t im_room_init(ngx_cycle_t *cycle, im_conf_t *conf);
static ngx_int_t im_room_notify_here(ngx_uint_t kind, im_bus_meta_t *meta,
    ngx_str_t *parts, ngx_uint_t n);
static void im_room_node_publish(im_node_record_t *rec, ngx_str_t *payload);
static void im_room_close_here(ngx_uint_t app, uint64_t gno);
static void im_room_tick(void);
static ngx_uint_t im_room_expire(im_zone_sh_t *sh);
static ngx_uint_t im_room_dismantle(im_zone_sh_t *sh, im_room_t *room,
    ngx_uint_t n);
static void im_room_clear(ngx_uint_t slot, ngx_pid_t pid);


im_worker_hook_t  im_room_hook = {
    ngx_string("room"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_room_init,                          /* init process */
    NULL                                   /* exit process */
};


static ngx_int_t
im_room_init(ngx_cycle_t *cycle, im_conf_t *conf)
{
    return im_room_init_process(cycle);
}


ngx_int_t
im_room_init_process(ngx_cycle_t *cycle)
{
    im_node_handler(IM_BUS_GROUP, im_room_node_publish);
    im_node_handler(IM_BUS_ROOM_CLOSE, im_room_node_publish);
    im_node_handler(IM_BUS_MEMBER, im_room_node_publish);

    if (im_room_node_init_process() != NGX_OK
        || im_room_tell_init_process(cycle) != NGX_OK
        || im_slot_tick_add(im_room_tick) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return im_slot_clear_add(im_room_clear);
}


im_room_t *
im_room_get(im_zone_sh_t *sh, ngx_uint_t app, uint64_t gno, ngx_uint_t create)
{
    im_room_t       *room;
    im_zone_node_t   key;

    im_zone_node_init(&key, app, gno, 0, NULL);

    room = im_zone_node_find(&sh->rooms, &key);

    if (room) {
        room->used = ngx_current_msec;

        ngx_queue_remove(&room->idle);
        ngx_queue_insert_head(&sh->idle, &room->idle);

        return room;
    }

    if (!create) {
        return NULL;
    }

    room = im_zone_alloc_locked(sh, sizeof(im_room_t));
    if (room == NULL) {
        return NULL;
    }

    room->node = key;
    room->next = 1;
    room->used = ngx_current_msec;

    ngx_queue_init(&room->joined);
    ngx_queue_init(&room->audience);
    ngx_queue_init(&room->polls);

    ngx_queue_insert_head(&sh->idle, &room->idle);
    ngx_rbtree_insert(&sh->rooms, &room->node.node);
    sh->nrooms++;

    im_room_changed_locked(sh, room);

    return room;
}


ngx_int_t
im_room_open(ngx_uint_t app, uint64_t gno)
{
    im_room_t     *room;
    im_zone_sh_t  *sh;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 1);

    im_zone_unlock(sh);

    if (room == NULL) {
        im_zone_full();
        return NGX_BUSY;
    }

    return NGX_OK;
}


ngx_int_t
im_room_notify(ngx_uint_t app, uint64_t gno, int64_t seq, ngx_uint_t flags,
    ngx_str_t *parts, ngx_uint_t n, uint64_t except)
{
    im_bus_meta_t  meta;

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = app;
    meta.flags = flags;
    meta.chain = gno;
    meta.seq = seq;
    meta.except = except;

    if (im_redis_configured()) {
        (void) im_node_publish(im_node_group(app, gno), IM_BUS_GROUP, &meta,
                               parts, n);
    }

    return im_room_notify_here(IM_BUS_GROUP, &meta, parts, n);
}


static ngx_int_t
im_room_notify_here(ngx_uint_t kind, im_bus_meta_t *meta, ngx_str_t *parts,
    ngx_uint_t n)
{
    ngx_int_t   rc;
    im_slots_t  to;

    im_bus_interested(im_bus_hash(meta->app, meta->chain), &to);

    rc = im_bus_publish(&to, kind, meta, parts, n);

    if (rc == NGX_DECLINED && kind == IM_BUS_GROUP && meta->seq) {
        rc = im_bus_publish(&to, IM_BUS_GROUP_LOST, meta, NULL, 0);
    }

    return rc;
}


/* A record of another node. */

static void
im_room_node_publish(im_node_record_t *rec, ngx_str_t *payload)
{
    im_bus_meta_t  meta;

    if (rec->kind == IM_BUS_ROOM_CLOSE) {
        im_room_close_here(rec->app, rec->chain);
        return;
    }

    ngx_memzero(&meta, sizeof(im_bus_meta_t));

    meta.app = rec->app;
    meta.flags = rec->flags;
    meta.chain = rec->chain;
    meta.seq = rec->seq;

    (void) im_room_notify_here(rec->kind, &meta, payload, 1);
}


ngx_int_t
im_room_is_open(ngx_uint_t app, uint64_t gno)
{
    ngx_int_t        rc;
    im_zone_sh_t    *sh;
    im_zone_node_t   key;

    im_zone_node_init(&key, app, gno, 0, NULL);

    sh = im_zone_lock();

    rc = im_zone_node_find(&sh->rooms, &key) ? NGX_OK : NGX_DECLINED;

    im_zone_unlock(sh);

    return rc;
}


ngx_uint_t
im_room_each(ngx_uint_t app, uint64_t *after, uint64_t *gnos, ngx_uint_t max)
{
    ngx_uint_t          n, walk;
    im_room_t          *room;
    im_zone_sh_t       *sh;
    ngx_rbtree_node_t  *node, *next;

    n = 0;

    sh = im_zone_lock();

    /* the tree is in the order of a hash: the first one behind it */

    node = sh->rooms.root;
    next = NULL;

    while (node != sh->rooms.sentinel) {

        if (node->key > (ngx_rbtree_key_t) *after) {
            next = node;
            node = node->left;

        } else {
            node = node->right;
        }
    }

    for (walk = 0; next && walk < max; walk++) {

        room = (im_room_t *) next;

        if (room->node.app == app) {
            gnos[n++] = room->node.gno;
        }

        *after = next->key;
        next = ngx_rbtree_next(&sh->rooms, next);
    }

    im_zone_unlock(sh);

    if (next == NULL) {
        *after = 0;
    }

    return n;
}


void
im_room_close(ngx_uint_t app, uint64_t gno)
{
    ngx_uint_t     channel;
    im_bus_meta_t  meta;

    channel = im_node_group(app, gno);

    if (im_redis_configured()) {
        ngx_memzero(&meta, sizeof(im_bus_meta_t));
        meta.app = app;
        meta.chain = gno;

        if (im_node_publish(channel, IM_BUS_ROOM_CLOSE, &meta, NULL, 0)
            == NGX_OK
            && im_node_hears(channel))
        {
            return;                      /* it follows the last messages */
        }
    }

    im_room_close_here(app, gno);
}


static void
im_room_close_here(ngx_uint_t app, uint64_t gno)
{
    im_room_t      *room;
    im_slots_t      to;
    im_zone_sh_t   *sh;
    im_bus_meta_t   meta;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);

    if (room) {

        /* the rest is for the tick */

        room->closing = 1;
        ngx_rbtree_delete(&sh->rooms, &room->node.node);

        ngx_queue_remove(&room->idle);
        ngx_queue_insert_tail(&sh->closing, &room->idle);
    }

    im_zone_unlock(sh);

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = app;
    meta.chain = gno;

    im_bus_interested(im_bus_hash(app, gno), &to);

    (void) im_bus_publish(&to, IM_BUS_ROOM_CLOSE, &meta, NULL, 0);
}


static void
im_room_tick(void)
{
    ngx_uint_t     i, n, silent;
    im_zone_sh_t  *sh;

    for (i = 0; i < IM_ROOM_BATCHES; i++) {

        sh = im_zone_lock();

        n = im_room_expire(sh);
        silent = im_room_silent_due_locked(sh);

        im_zone_unlock(sh);

        im_room_gone_tell();
        im_room_silent_tell();

        if (n < IM_ROOM_BATCH && silent < IM_ROOM_BATCH) {
            break;
        }
    }

    if (im_redis_configured()) {
        im_room_tell();
    }
}


/* removes what is due, up to IM_ROOM_BATCH nodes; answers how many */

static ngx_uint_t
im_room_expire(im_zone_sh_t *sh)
{
    ngx_uint_t         n;
    im_room_t         *room;
    ngx_queue_t       *q;
    im_room_guest_t   *g;
    im_room_joined_t  *j;

    n = 0;

    while (n < IM_ROOM_BATCH && !ngx_queue_empty(&sh->leaving)) {
        q = ngx_queue_head(&sh->leaving);
        j = ngx_queue_data(q, im_room_joined_t, place);

        if ((ngx_msec_int_t) (j->expires - ngx_current_msec) > 0) {
            break;
        }

        im_room_user_free(sh, j);
        n++;
    }

    while (n < IM_ROOM_BATCH && !ngx_queue_empty(&sh->polls)) {
        q = ngx_queue_last(&sh->polls);
        g = ngx_queue_data(q, im_room_guest_t, polls);

        if ((ngx_msec_int_t) (g->expires - ngx_current_msec) > 0) {
            break;
        }

        im_room_guest_free(sh, g);
        n++;
    }

    while (n < IM_ROOM_BATCH && !ngx_queue_empty(&sh->closing)) {
        q = ngx_queue_head(&sh->closing);
        room = ngx_queue_data(q, im_room_t, idle);

        n += im_room_dismantle(sh, room, IM_ROOM_BATCH - n);
    }

    while (n < IM_ROOM_BATCH && !ngx_queue_empty(&sh->idle)) {
        q = ngx_queue_last(&sh->idle);
        room = ngx_queue_data(q, im_room_t, idle);

        if ((ngx_msec_int_t) (ngx_current_msec - room->used) < IM_ROOM_IDLE) {
            break;
        }

        n++;

        if (room->njoined || room->npolls
            || !ngx_queue_empty(&room->audience))
        {
            room->used = ngx_current_msec;
            ngx_queue_remove(&room->idle);
            ngx_queue_insert_head(&sh->idle, &room->idle);
            continue;
        }

        ngx_rbtree_delete(&sh->rooms, &room->node.node);
        (void) im_room_dismantle(sh, room, 1);
    }

    return n;
}


/* removes up to n nodes of a room that is out of the tree, then the room */

static ngx_uint_t
im_room_dismantle(im_zone_sh_t *sh, im_room_t *room, ngx_uint_t n)
{
    ngx_uint_t    done;
    ngx_queue_t  *q;

    for (done = 0; done < n; done++) {

        if (!ngx_queue_empty(&room->joined)) {
            q = ngx_queue_head(&room->joined);
            im_room_user_free(sh, ngx_queue_data(q, im_room_joined_t, queue));

        } else if (!ngx_queue_empty(&room->polls)) {
            q = ngx_queue_head(&room->polls);
            im_room_guest_free(sh, ngx_queue_data(q, im_room_guest_t, queue));

        } else if (!ngx_queue_empty(&room->audience)) {
            q = ngx_queue_head(&room->audience);
            im_room_part_free(sh, ngx_queue_data(q, im_room_part_t, queue));

        } else {
            ngx_queue_remove(&room->idle);

            if (room->tell.next) {
                ngx_queue_remove(&room->tell);
            }

            im_zone_free_locked(sh, room);
            sh->nrooms--;

            return done + 1;
        }
    }

    return done;
}


/* what a dead worker has left */

static void
im_room_clear(ngx_uint_t slot, ngx_pid_t pid)
{
    ngx_uint_t       n;
    ngx_queue_t     *q;
    im_zone_sh_t    *sh;
    im_zone_slot_t  *sl;

    do {
        sh = im_zone_lock();

        sl = &sh->slots[slot];

        for (n = 0; n < IM_ROOM_BATCH; n++) {

            if (im_bus_slot(slot)->pid != pid) {
                break;
            }

            if (!ngx_queue_empty(&sl->audience)) {
                q = ngx_queue_head(&sl->audience);
                im_room_part_free(sh, ngx_queue_data(q, im_room_part_t,
                                                     slot_queue));
                continue;
            }

            if (ngx_queue_empty(&sl->joined)) {
                break;
            }

            /* the clients come back */

            q = ngx_queue_head(&sl->joined);
            im_room_user_leaving(sh, ngx_queue_data(q, im_room_joined_t,
                                                    place));
        }

        im_zone_unlock(sh);

    } while (n == IM_ROOM_BATCH);
}
