
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_worker.h"
#include "live/im_room.h"
#include "live/im_room_member.h"
#include "live/im_room_node.h"
#include "live/im_slot.h"
#include "live/im_zone.h"
#include "domain/im_group_item.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "web/im_guest.h"
#include "web/im_web_session.h"


#define IM_GUEST_MISSED        IM_ROOM_READ_MAX
#define IM_GUEST_MISSED_BYTES  (48 * 1024)

#define IM_GUEST_SLICE         64        /* told, or rooms looked at, at once */
#define IM_GUEST_PAUSE         20        /* ms between slices */
#define IM_GUEST_SLICES        40        /* after a tick */


/* A room that guests of this worker read. */

struct im_guest_room_s {
    im_zone_node_t     node;         /* app, gno */
    ngx_queue_t        queue;        /* of rooms, looked at longest ago first */
    ngx_queue_t        guests;       /* told longest ago first */
    ngx_uint_t         audience;
    ngx_uint_t         changes;      /* of the audience */
    ngx_uint_t         tick;         /* at which it was read */
};


static ngx_int_t im_guest_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static im_guest_room_t *im_guest_room(ngx_uint_t app, uint64_t gno);
static ngx_int_t im_guest_enter(im_guest_t *guest);
static void im_guest_leave(im_guest_t *guest);
static void im_guest_tick(void);
static void im_guest_tell_handler(ngx_event_t *ev);
static ngx_uint_t im_guest_tell(im_guest_room_t *room, ngx_uint_t max);
static ngx_uint_t im_guest_audience(im_guest_room_t *room);
static im_frame_t *im_guest_audience_frame(ngx_uint_t audience);
static ngx_int_t im_guest_missed(im_bus_buf_t *buf, void *data);
static void im_guest_deliver(im_room_member_t *m, im_bus_buf_t *buf);
static void im_guest_closed(im_room_member_t *m);
static ngx_int_t im_guest_send(im_guest_t *guest, im_bus_buf_t *buf);
static im_frame_t *im_guest_frame(im_bus_buf_t *buf);


static ngx_rbtree_t       im_guest_rooms;
static ngx_rbtree_node_t  im_guest_sentinel;
static ngx_queue_t        im_guest_queue;
static ngx_uint_t         im_guest_nrooms;
static ngx_event_t        im_guest_event;
static ngx_uint_t         im_guest_ticks;
static ngx_uint_t         im_guest_slices;  /* left until the next tick */
static ngx_uint_t         im_guest_quiet;   /* rooms in a row, all were told */


im_worker_hook_t  im_guest_hook = {
    ngx_string("guests"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_guest_init_process,                 /* init process */
    NULL                                   /* exit process */
};


static ngx_int_t
im_guest_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    ngx_rbtree_init(&im_guest_rooms, &im_guest_sentinel,
                    im_zone_node_insert_value);
    ngx_queue_init(&im_guest_queue);

    im_worker_timer(&im_guest_event, im_guest_tell_handler, cycle->log);

    return im_slot_tick_add(im_guest_tick);
}


im_code_t
im_guest_open(im_ctx_t *ctx, im_guest_t *guest, ngx_str_t *gid)
{
    int64_t     last, oldest;
    ngx_int_t   rc;
    im_code_t   code;
    im_group_t  group;

    ctx->role = IM_ROLE_GUEST;

    code = im_group_load(ctx, gid, &group);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_member_may_join(ctx, &group);
    if (code != IM_OK) {
        return code;
    }

    if (im_room_open(ctx->app->id, group.gno) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    im_room_ready(ctx->app->id, group.gno);

    guest->gno = group.gno;

    guest->member.deliver = im_guest_deliver;
    guest->member.closed = im_guest_closed;
    guest->member.data = guest;
    guest->member.guest = 1;
    guest->member.live = 1;

    if (im_room_subscribe(ctx->app->id, group.gno, &guest->member)
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    if (im_guest_enter(guest) != NGX_OK) {
        im_room_unsubscribe(&guest->member);
        return IM_E_GROUP_INTERNAL;
    }

    guest->open = 1;

    /* what was published before comes from the log, what comes later by
     * deliver(), which looks at guest->last */

    last = im_room_last(ctx->app->id, group.gno);

    if (guest->last == 0) {
        guest->last = last;
        return IM_OK;
    }

    if (guest->last > last && !im_redis_configured()) {

        /* the zone is younger: all is new in it */

        guest->last = 0;
    }

    rc = im_room_read(ctx->app->id, group.gno, guest->last + 1,
                      IM_GUEST_MISSED, IM_GUEST_MISSED_BYTES, &oldest,
                      im_guest_missed, guest);

    if (rc == NGX_ERROR) {
        im_guest_close(guest);
        return IM_E_GROUP_INTERNAL;
    }

    return IM_OK;
}


void
im_guest_close(im_guest_t *guest)
{
    if (guest->open) {
        im_room_unsubscribe(&guest->member);
        im_guest_leave(guest);
        guest->open = 0;
    }
}


static im_guest_room_t *
im_guest_room(ngx_uint_t app, uint64_t gno)
{
    im_zone_node_t  key;

    im_zone_node_init(&key, app, gno, 0, NULL);

    return im_zone_node_find(&im_guest_rooms, &key);
}


static ngx_int_t
im_guest_enter(im_guest_t *guest)
{
    im_guest_room_t  *room;

    room = im_guest_room(guest->app->id, guest->gno);

    if (room == NULL) {
        room = ngx_calloc(sizeof(im_guest_room_t), ngx_cycle->log);
        if (room == NULL) {
            return NGX_ERROR;
        }

        im_zone_node_init(&room->node, guest->app->id, guest->gno, 0, NULL);

        ngx_queue_init(&room->guests);
        ngx_rbtree_insert(&im_guest_rooms, &room->node.node);
        ngx_queue_insert_head(&im_guest_queue, &room->queue);
        im_guest_nrooms++;
    }

    /* the audience has changed once at least, or will at the next tick */

    guest->room = room;
    guest->told = 0;
    ngx_queue_insert_head(&room->guests, &guest->queue);

    return NGX_OK;
}


static void
im_guest_leave(im_guest_t *guest)
{
    im_guest_room_t  *room;

    ngx_queue_remove(&guest->queue);

    room = guest->room;

    if (ngx_queue_empty(&room->guests)) {
        ngx_rbtree_delete(&im_guest_rooms, &room->node.node);
        ngx_queue_remove(&room->queue);
        im_guest_nrooms--;
        ngx_free(room);
    }
}


/*
 * Once a second, and not all at once: other workers have the same tick.  What
 * is left, in rooms with very many guests, is told after the next one.
 */

static void
im_guest_tick(void)
{
    im_guest_ticks++;
    im_guest_slices = IM_GUEST_SLICES;
    im_guest_quiet = 0;

    if (im_guest_nrooms && !im_guest_event.timer_set) {
        ngx_add_timer(&im_guest_event, 1);
    }
}


static void
im_guest_tell_handler(ngx_event_t *ev)
{
    ngx_uint_t        n, told;
    ngx_queue_t      *q;
    im_guest_room_t  *room;

    n = IM_GUEST_SLICE;

    while (n && im_guest_quiet < im_guest_nrooms) {

        q = ngx_queue_head(&im_guest_queue);
        room = ngx_queue_data(q, im_guest_room_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&im_guest_queue, q);

        told = im_guest_tell(room, n);

        im_guest_quiet = told ? 0 : im_guest_quiet + 1;
        n -= ngx_max(told, 1);
    }

    if (n == 0 && --im_guest_slices) {
        ngx_add_timer(ev, IM_GUEST_PAUSE);
    }
}


/* How many of them did not know its audience, at most max. */

static ngx_uint_t
im_guest_tell(im_guest_room_t *room, ngx_uint_t max)
{
    ngx_uint_t    n, audience;
    im_frame_t   *frame;
    im_guest_t   *guest;
    ngx_queue_t  *q;

    if (room->tick != im_guest_ticks) {
        room->tick = im_guest_ticks;
        audience = im_guest_audience(room);

        if (room->audience != audience) {
            room->audience = audience;
            room->changes++;
        }
    }

    frame = NULL;

    /* sending does not close a guest, so the queue only turns */

    for (n = 0; n < max; n++) {
        q = ngx_queue_head(&room->guests);
        guest = ngx_queue_data(q, im_guest_t, queue);

        if (guest->told == room->changes) {
            break;
        }

        if (frame == NULL) {
            frame = im_guest_audience_frame(room->audience);
            if (frame == NULL) {
                break;
            }
        }

        guest->told = room->changes;

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&room->guests, q);

        (void) guest->ops->send(guest, frame);
    }

    if (frame) {
        im_frame_unref(frame);
    }

    return n;
}


static ngx_uint_t
im_guest_audience(im_guest_room_t *room)
{
    im_room_audience_t  a;

    im_room_audience(room->node.app, room->node.gno, &a);

    return a.joined + a.guests;
}


static im_frame_t *
im_guest_audience_frame(ngx_uint_t audience)
{
    u_char       text[128];
    im_frame_t  *frame;

    frame = im_frame_raw(text, ngx_sprintf(text, "event: audience\n"
                                           "data: {\"OnlineMemberNum\":%ui}"
                                           "\n\n", audience)
                               - text,
                         ngx_cycle->log);

    if (frame) {
        frame->priority = IM_ROOM_LOWEST + 1;
    }

    return frame;
}


static ngx_int_t
im_guest_missed(im_bus_buf_t *buf, void *data)
{
    im_guest_t  *guest = data;

    return (im_guest_send(guest, buf) == NGX_OK) ? NGX_OK : NGX_DONE;
}


static void
im_guest_deliver(im_room_member_t *m, im_bus_buf_t *buf)
{
    im_guest_t  *guest = m->data;

    if ((int64_t) buf->seq > guest->last) {
        (void) im_guest_send(guest, buf);
    }
}


static void
im_guest_closed(im_room_member_t *m)
{
    im_guest_t  *guest = m->data;

    im_guest_leave(guest);

    guest->open = 0;
    guest->ops->close(guest);
}


/* A slow reader loses it. */

static ngx_int_t
im_guest_send(im_guest_t *guest, im_bus_buf_t *buf)
{
    im_frame_t       *frame;
    im_group_item_t   item;

    guest->last = buf->seq;

    if (im_group_item(&buf->payload, &item) != NGX_OK || item.signal) {
        return NGX_OK;
    }

    frame = im_guest_frame(buf);

    if (frame == NULL) {
        return NGX_ERROR;
    }

    frame->alone = buf->alone;

    return guest->ops->send(guest, frame);
}


static im_frame_t *
im_guest_frame(im_bus_buf_t *buf)
{
    u_char           *p;
    im_frame_t       *frame;
    im_group_item_t   item;

    frame = buf->encoded[IM_GUEST_ENCODING];

    if (frame) {
        return frame;
    }

    if (im_group_item(&buf->payload, &item) != NGX_OK) {
        return NULL;
    }

    frame = im_frame_alloc(item.text.len, ngx_cycle->log);
    if (frame == NULL) {
        return NULL;
    }

    p = ngx_cpymem(frame->text.data, item.text.data, item.text.len);

    frame->text.len = p - frame->text.data;
    frame->seq = buf->seq;
    frame->priority = buf->flags + 1;

    buf->encoded[IM_GUEST_ENCODING] = frame;
    buf->encoded_free = im_web_encoded_free;

    return frame;
}
