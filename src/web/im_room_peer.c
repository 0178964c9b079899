
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_stat.h"
#include "live/im_room.h"
#include "live/im_room_member.h"
#include "live/im_room_node.h"
#include "web/im_room_peer.h"
#include "web/im_room_place.h"
#include "web/im_web_session.h"


/* The name of the user lies behind it. */

typedef struct {
    im_room_member_t   member;
    im_room_place_t    place;
    ngx_queue_t        queue;        /* of peer->rooms */
} im_peer_room_t;


static ngx_int_t im_peer_room_add(im_peer_t *peer, uint64_t gno,
    time_t joined);
static void im_peer_room_deliver(im_room_member_t *m, im_bus_buf_t *buf);
static void im_peer_room_closed(im_room_member_t *m);
static void im_peer_room_event(im_room_place_t *place, uint32_t by,
    ngx_uint_t event);
static void im_peer_room_free(im_peer_room_t *pr);


ngx_int_t
im_peer_room_join(im_ctx_t *ctx, im_group_t *group)
{
    ngx_int_t   rc;
    im_peer_t  *peer;

    peer = im_peer_get(ctx->peer);

    if (peer == NULL
        || peer->closing
        || peer->session == NULL
        || peer->session->inst != ctx->inst)
    {
        im_room_leaving(ctx->app->id, group->gno, &ctx->user, ctx->inst);
        return NGX_OK;
    }

    rc = im_peer_room_add(peer, group->gno, ngx_time());

    if (rc != NGX_OK) {
        (void) im_room_leave(ctx->app->id, group->gno, &ctx->user, ctx->inst);
    }

    return rc;
}


void
im_peer_rooms_restore(im_ctx_t *ctx, im_peer_t *peer)
{
    time_t         joined[IM_PEER_ROOMS];
    uint64_t       rooms[IM_PEER_ROOMS];
    ngx_uint_t     i, n;
    im_session_t  *s;

    s = peer->session;

    n = im_room_of_user_all(ctx->app->id, &ctx->user, ctx->inst, rooms,
                            joined, IM_PEER_ROOMS);

    peer = im_peer_get(ctx->peer);

    if (peer == NULL || peer->session != s) {
        return;
    }

    for (i = 0; i < n; i++) {

        if (im_room_join(s->app, rooms[i], &s->user, s->inst, joined[i],
                         IM_ROOM_TTL)
            == NGX_BUSY)
        {
            continue;
        }

        im_room_node_join(s->app, rooms[i], &s->user, s->inst, joined[i], 0);

        if (im_peer_room_add(peer, rooms[i], joined[i]) != NGX_OK) {
            im_room_leaving(s->app, rooms[i], &s->user, s->inst);
        }
    }
}


void
im_peer_rooms_close(im_peer_t *peer, ngx_uint_t logout)
{
    ngx_queue_t      *q;
    im_peer_room_t   *pr;
    im_room_place_t  *place;

    while (!ngx_queue_empty(&peer->rooms)) {

        q = ngx_queue_head(&peer->rooms);
        pr = ngx_queue_data(q, im_peer_room_t, queue);
        place = &pr->place;

        if (logout) {
            (void) im_room_leave(place->app, place->gno, &place->user,
                                 place->inst);

        } else if (!im_room_place_other(place)) {
            im_room_leaving(place->app, place->gno, &place->user,
                            place->inst);
        }

        im_room_unsubscribe(&pr->member);
        im_peer_room_free(pr);
    }
}


static ngx_int_t
im_peer_room_add(im_peer_t *peer, uint64_t gno, time_t joined)
{
    ngx_uint_t       n;
    ngx_queue_t     *q;
    im_session_t    *s;
    im_peer_room_t  *pr;

    s = peer->session;
    n = 0;

    for (q = ngx_queue_head(&peer->rooms);
         q != ngx_queue_sentinel(&peer->rooms);
         q = ngx_queue_next(q))
    {
        pr = ngx_queue_data(q, im_peer_room_t, queue);

        if (pr->place.gno == gno) {
            return NGX_OK;
        }

        n++;
    }

    if (n >= IM_PEER_ROOMS) {
        return NGX_BUSY;
    }

    pr = ngx_calloc(sizeof(im_peer_room_t) + s->user.len, peer->log);
    if (pr == NULL) {
        return NGX_ERROR;
    }

    pr->place.app = s->app;
    pr->place.gno = gno;
    pr->place.user.data = (u_char *) pr + sizeof(im_peer_room_t);
    pr->place.user.len = s->user.len;
    pr->place.inst = s->inst;
    pr->place.event = im_peer_room_event;

    ngx_memcpy(pr->place.user.data, s->user.data, s->user.len);

    pr->member.live = 1;
    pr->member.deliver = im_peer_room_deliver;
    pr->member.closed = im_peer_room_closed;
    pr->member.data = peer;
    pr->member.peer = peer->id;
    pr->member.user = pr->place.user;
    pr->member.inst = s->inst;
    pr->member.joined = joined;
    pr->member.ttl = IM_ROOM_TTL;

    if (im_room_subscribe(s->app, gno, &pr->member) != NGX_OK) {
        ngx_free(pr);
        return NGX_ERROR;
    }

    ngx_queue_insert_tail(&peer->rooms, &pr->queue);
    im_room_place_add(&pr->place);

    return NGX_OK;
}


static void
im_peer_room_deliver(im_room_member_t *m, im_bus_buf_t *buf)
{
    im_peer_t   *peer;
    im_frame_t  *frame;

    peer = m->data;

    frame = im_web_push(buf, &buf->payload, peer->log);

    if (frame) {

        /* a slow reader loses it */

        frame->priority = buf->flags + 1;

        if (peer->ops->send(peer, frame) == NGX_OK) {
            im_stat_add(IM_STAT_OUT_ROOM, 1);
        }
    }
}


static void
im_peer_room_closed(im_room_member_t *m)
{
    im_peer_room_free((im_peer_room_t *) m);
}


/* The user has left by another connection, or was banned. */

static void
im_peer_room_event(im_room_place_t *place, uint32_t by, ngx_uint_t event)
{
    im_peer_room_t  *pr;

    pr = (im_peer_room_t *)
             ((u_char *) place - offsetof(im_peer_room_t, place));

    im_room_unsubscribe(&pr->member);
    im_peer_room_free(pr);
}


static void
im_peer_room_free(im_peer_room_t *pr)
{
    im_room_place_del(&pr->place);
    ngx_queue_remove(&pr->queue);

    ngx_free(pr);
}
