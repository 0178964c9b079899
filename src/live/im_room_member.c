
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_worker.h"
#include "live/im_node.h"
#include "live/im_room.h"
#include "live/im_room_local.h"
#include "live/im_room_member.h"
#include "live/im_room_node.h"
#include "live/im_room_settle.h"
#include "live/im_zone.h"


#define IM_ROOM_AGAIN     256        /* members told at once */
#define IM_ROOM_PAUSE     20


static ngx_int_t im_room_member_init(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_room_changed(im_room_local_t *room);
static void im_room_count(im_room_local_t *room);
static void im_room_handler(im_bus_buf_t *buf);
static void im_room_member_lost(void);
static void im_room_node_event(im_node_event_e event, ngx_uint_t channel);
static void im_room_again_handler(ngx_event_t *ev);
static ngx_uint_t im_room_again(im_room_local_t *room, ngx_uint_t n);
static void im_room_member_tick(void);


im_worker_hook_t  im_room_member_hook = {
    ngx_string("room member"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_room_member_init,                   /* init process */
    NULL                                   /* exit process */
};


im_room_stat_t            im_room_stats;

static ngx_rbtree_t       im_room_tree;
static ngx_rbtree_node_t  im_room_sentinel;
static ngx_queue_t        im_room_dirty;
static ngx_uint_t         im_room_generation;
static ngx_uint_t         im_room_round;
static ngx_event_t        im_room_again_event;


static ngx_int_t
im_room_member_init(ngx_cycle_t *cycle, im_conf_t *conf)
{
    return im_room_member_init_process(cycle);
}


ngx_int_t
im_room_member_init_process(ngx_cycle_t *cycle)
{
    ngx_rbtree_init(&im_room_tree, &im_room_sentinel,
                    im_zone_node_insert_value);
    ngx_queue_init(&im_room_dirty);
    ngx_memzero(&im_room_stats, sizeof(im_room_stat_t));

    im_room_generation = im_zone_generation();

    im_worker_timer(&im_room_again_event, im_room_again_handler, cycle->log);

    im_bus_handler(IM_BUS_ROOM, im_room_handler);
    im_bus_handler(IM_BUS_GROUP, im_room_handler);
    im_bus_handler(IM_BUS_GROUP_LOST, im_room_handler);
    im_bus_handler(IM_BUS_ROOM_CLOSE, im_room_handler);
    im_bus_handler(IM_BUS_MARK, im_room_handler);

    im_room_settle_init_process(cycle);

    if (im_bus_lost_handler(im_room_member_lost) != NGX_OK
        || im_node_event_add(im_room_node_event) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return im_slot_tick_add(im_room_member_tick);
}


ngx_int_t
im_room_subscribe(ngx_uint_t app, uint64_t gno, im_room_member_t *m)
{
    im_room_local_t  *room;

    if (m->room) {
        return NGX_OK;
    }

    room = im_room_local_find(app, gno);

    if (room == NULL) {
        room = ngx_calloc(sizeof(im_room_local_t), ngx_cycle->log);
        if (room == NULL) {
            return NGX_ERROR;
        }

        im_zone_node_init(&room->node, app, gno, 0, NULL);
        room->hash = im_bus_hash(app, gno);
        room->cursor = -1;
        room->live = m->live;

        ngx_queue_init(&room->members);
        ngx_queue_init(&room->jobs);

        room->next = ngx_queue_sentinel(&room->members);

        room->event.handler = im_room_run;
        room->event.data = room;
        room->event.log = ngx_cycle->log;

        ngx_rbtree_insert(&im_room_tree, &room->node.node);
        im_bus_interest_add(room->hash);

        im_node_listen(im_node_group(app, gno));

        if (room->live) {
            im_node_listen(im_node_room(app, gno));
        }

        im_room_stats.rooms++;
    }

    /* at the head: a job under way has passed there already */

    ngx_queue_insert_head(&room->members, &m->queue);
    m->room = room;
    m->since = room->serial;

    if (m->guest) {
        room->guests++;

    } else {
        room->users++;
    }

    im_room_stats.members++;

    im_room_changed(room);

    return NGX_OK;
}


void
im_room_unsubscribe(im_room_member_t *m)
{
    im_room_local_t  *room;

    room = m->room;

    if (room == NULL) {
        return;
    }

    if (room->next == &m->queue) {
        room->next = ngx_queue_next(&m->queue);
    }

    if (room->member == m) {
        room->member = NULL;
    }

    ngx_queue_remove(&m->queue);
    m->room = NULL;

    if (m->guest) {
        room->guests--;

    } else {
        room->users--;
    }

    im_room_stats.members--;

    im_room_changed(room);

    if (ngx_queue_empty(&room->members) && !room->busy) {
        im_room_local_free(room);
    }
}


im_room_local_t *
im_room_local_find(ngx_uint_t app, uint64_t gno)
{
    im_zone_node_t  key;

    im_zone_node_init(&key, app, gno, 0, NULL);

    return im_zone_node_find(&im_room_tree, &key);
}


void
im_room_local_free(im_room_local_t *room)
{
    im_room_jobs_free(room);

    if (room->is_dirty) {
        im_room_count(room);
    }

    if (room->event.posted) {
        ngx_delete_posted_event(&room->event);
    }

    if (room->event.timer_set) {
        ngx_del_timer(&room->event);
    }

    ngx_rbtree_delete(&im_room_tree, &room->node.node);
    im_bus_interest_del(room->hash);

    im_node_unlisten(im_node_group(room->node.app, room->node.gno));

    if (room->live) {
        im_node_unlisten(im_node_room(room->node.app, room->node.gno));
    }

    im_room_stats.rooms--;

    ngx_free(room);
}


/* big rooms tell their counts once a second */

static void
im_room_changed(im_room_local_t *room)
{
    if (!room->is_dirty) {
        room->is_dirty = 1;
        ngx_queue_insert_tail(&im_room_dirty, &room->dirty);
    }

    if (room->users + room->guests < IM_ROOM_SMALL) {
        im_room_count(room);
    }
}


static void
im_room_count(im_room_local_t *room)
{
    room->is_dirty = 0;
    ngx_queue_remove(&room->dirty);

    im_room_contribute(room->node.app, room->node.gno, room->users,
                       room->guests);
}


static void
im_room_handler(im_bus_buf_t *buf)
{
    im_room_job_e     type;
    im_room_local_t  *room;

    room = im_room_local_find(buf->app, buf->chain);

    if (room == NULL) {
        if (buf->kind == IM_BUS_MARK) {
            im_room_passed(buf);
        }

        return;
    }

    if (im_room_stored(room, buf) == NGX_OK) {
        return;
    }

    type = IM_ROOM_JOB_RECORD;

    if (buf->kind == IM_BUS_ROOM_CLOSE) {
        type = IM_ROOM_JOB_CLOSE;

    } else if (buf->kind == IM_BUS_MARK) {
        type = IM_ROOM_JOB_MARK;

    } else if (buf->kind == IM_BUS_GROUP_LOST) {
        im_room_lose(room);
        return;

    } else if (im_room_stats.bytes > IM_ROOM_BYTES) {

        if (buf->kind == IM_BUS_GROUP) {
            im_room_lose(room);
            return;
        }

        if (!im_room_make_way(room, buf->flags)) {
            im_room_stats.dropped++;
            return;
        }
    }

    if (im_room_job(room, type, buf) != NGX_OK) {
        im_room_stats.dropped++;
    }
}


static void
im_room_member_lost(void)
{
    im_room_local_t    *room;
    ngx_rbtree_node_t  *node;

    if (im_room_tree.root == im_room_tree.sentinel) {
        return;
    }

    for (node = ngx_rbtree_min(im_room_tree.root, im_room_tree.sentinel);
         node;
         node = ngx_rbtree_next(&im_room_tree, node))
    {
        room = (im_room_local_t *) node;
        im_room_lose(room);
    }
}


/* Records of other nodes may be lost, or were not heard of until now. */

static void
im_room_node_event(im_node_event_e event, ngx_uint_t channel)
{
    im_room_local_t    *room;
    ngx_rbtree_node_t  *node;

    if (event == IM_NODE_RESYNC) {
        im_room_member_lost();
        return;
    }

    if (event == IM_NODE_REBUILD) {
        im_room_round++;

        if (!im_room_again_event.timer_set) {
            ngx_add_timer(&im_room_again_event, IM_ROOM_PAUSE);
        }

        return;
    }

    if (event != IM_NODE_CHANNEL
        || channel >= IM_NODE_GROUPS
        || im_room_tree.root == im_room_tree.sentinel)
    {
        return;
    }

    for (node = ngx_rbtree_min(im_room_tree.root, im_room_tree.sentinel);
         node;
         node = ngx_rbtree_next(&im_room_tree, node))
    {
        room = (im_room_local_t *) node;

        if (room->live || room->hash % IM_NODE_GROUPS != channel) {
            continue;
        }

        if (room->cursor == -1) {
            room->missed = 1;

        } else {
            im_room_lose(room);
        }
    }
}


/* Redis is told of the users again, a few at a time. */

static void
im_room_again_handler(ngx_event_t *ev)
{
    ngx_uint_t          n;
    ngx_rbtree_node_t  *node;

    if (im_room_tree.root == im_room_tree.sentinel || !im_redis_up()) {
        return;
    }

    n = 0;

    for (node = ngx_rbtree_min(im_room_tree.root, im_room_tree.sentinel);
         node && n < IM_ROOM_AGAIN;
         node = ngx_rbtree_next(&im_room_tree, node))
    {
        n += im_room_again((im_room_local_t *) node, IM_ROOM_AGAIN - n);
    }

    if (n == IM_ROOM_AGAIN) {
        ngx_add_timer(ev, IM_ROOM_PAUSE);
    }
}


static ngx_uint_t
im_room_again(im_room_local_t *room, ngx_uint_t n)
{
    ngx_uint_t         told;
    ngx_queue_t       *q;
    im_room_member_t  *m;

    if (!room->live || room->round == im_room_round) {
        return 0;
    }

    told = 0;

    for (q = ngx_queue_last(&room->members);
         q != ngx_queue_sentinel(&room->members);
         q = ngx_queue_prev(q))
    {
        m = ngx_queue_data(q, im_room_member_t, queue);

        if (m->user.len == 0 || m->round == im_room_round) {
            continue;
        }

        if (told == n) {
            return told;
        }

        m->round = im_room_round;
        told++;

        im_room_node_join(room->node.app, room->node.gno, &m->user, m->inst,
                          m->joined, 0);
    }

    room->round = im_room_round;

    return told;
}


static void
im_room_member_tick(void)
{
    uint64_t           *row;
    ngx_uint_t          generation;
    ngx_queue_t        *q;
    im_room_local_t    *room;
    im_room_member_t   *m;
    ngx_rbtree_node_t  *node;

    generation = im_zone_generation();

    if (im_room_generation != generation
        && im_room_tree.root != im_room_tree.sentinel)
    {
        /* the zone was emptied */

        for (node = ngx_rbtree_min(im_room_tree.root, im_room_tree.sentinel);
             node;
             node = ngx_rbtree_next(&im_room_tree, node))
        {
            room = (im_room_local_t *) node;

            for (q = ngx_queue_last(&room->members);
                 q != ngx_queue_sentinel(&room->members);
                 q = ngx_queue_prev(q))
            {
                m = ngx_queue_data(q, im_room_member_t, queue);

                if (m->user.len) {
                    (void) im_room_join(room->node.app, room->node.gno,
                                        &m->user, m->inst, m->joined, m->ttl);
                }
            }

            if (!room->is_dirty) {
                room->is_dirty = 1;
                ngx_queue_insert_tail(&im_room_dirty, &room->dirty);
            }
        }
    }

    im_room_generation = generation;

    while (!ngx_queue_empty(&im_room_dirty)) {
        q = ngx_queue_head(&im_room_dirty);
        im_room_count(ngx_queue_data(q, im_room_local_t, dirty));
    }

    row = im_bus_slot(im_slot_self())->rooms;

    row[0] = im_room_stats.rooms;
    row[1] = im_room_stats.members;
    row[2] = im_room_stats.jobs;
    row[3] = im_room_stats.bytes;
    row[4] = im_room_stats.dropped;
    row[5] = im_room_stats.delivered;
}


void
im_room_stat(im_room_stat_t *stat)
{
    uint64_t    *row;
    ngx_uint_t   i;

    *stat = im_room_stats;

    for (i = 0; i < IM_SLOTS; i++) {

        if (i == im_slot_self() || !im_slot_alive(i)) {
            continue;
        }

        row = im_bus_slot(i)->rooms;

        stat->rooms += row[0];
        stat->members += row[1];
        stat->jobs += row[2];
        stat->bytes += row[3];
        stat->dropped += row[4];
        stat->delivered += row[5];
    }
}
