
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_fault.h"
#include "core/im_str.h"
#include "live/im_room_member.h"
#include "domain/im_group_direct.h"
#include "domain/im_group_join.h"
#include "domain/im_group_list.h"
#include "domain/im_group_row.h"
#include "web/im_peer_group.h"
#include "web/im_web_session.h"


#define IM_PEER_GROUPS_SLICE  64
#define IM_PEER_GROUPS_PAUSE  200    /* ms */
#define IM_PEER_GROUPS_TRIES  20
#define IM_PEER_GROUPS_CHECK  32     /* heads that are compared at once */


static void im_peer_groups_run(void *data);
static ngx_int_t im_peer_groups_once(im_ctx_t *ctx);
static im_peer_group_t *im_peer_group_add(im_peer_t *peer, uint64_t gno);
static void im_peer_group_del(im_peer_group_t *pg);
static void im_peer_group_deliver(im_room_member_t *m, im_bus_buf_t *buf);
static void im_peer_group_closed(im_room_member_t *m);


ngx_int_t
im_peer_groups_sync(im_ctx_t *ctx)
{
    ngx_int_t   rc;
    im_peer_t  *peer;

    peer = im_peer_groups_peer(ctx);

    if (peer == NULL) {
        return NGX_DECLINED;
    }

    if (peer->groups_syncing) {
        peer->groups_again = 1;
        return NGX_OK;
    }

    peer->groups_syncing = 1;

    do {
        peer->groups_again = 0;

        rc = im_peer_groups_once(ctx);

        /* the number of a peer is never used again */

        peer = im_peer_get(ctx->peer);

    } while (peer && rc == NGX_OK && peer->groups_again);

    if (peer) {
        peer->groups_syncing = 0;

        if (rc == NGX_DECLINED && peer->groups_again) {
            im_peer_groups_start(peer);          /* of another session */
        }
    }

    return rc;
}


void
im_peer_groups_start(im_peer_t *peer)
{
    if (peer->session == NULL) {
        return;
    }

    if (peer->groups_syncing) {
        peer->groups_again = 1;
        return;
    }

    if (im_peer_groups_spawn(peer, im_peer_groups_run) != NGX_OK) {

        /* the client comes back and asks for what it has missed */

        peer->ops->close(peer, 1013);
    }
}


ngx_int_t
im_peer_groups_spawn(im_peer_t *peer, void (*fn)(void *data))
{
    ngx_pool_t        *pool;
    im_peer_groups_t  *run;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    run = ngx_pcalloc(pool, sizeof(im_peer_groups_t));

    if (run) {
        run->log = *ngx_cycle->log;

        run->ctx.pool = pool;
        run->ctx.log = &run->log;
        run->ctx.app = peer->app;
        run->ctx.via = IM_VIA_JOB;
        run->ctx.role = IM_ROLE_USER;
        run->ctx.inst = peer->session->inst;
        run->ctx.peer = peer->id;

        if (im_str_dup(pool, &run->ctx.user, &peer->session->user) == NGX_OK
            && im_co_spawn(fn, run, &run->log) != NULL)
        {
            return NGX_OK;
        }
    }

    ngx_destroy_pool(pool);

    return NGX_ERROR;
}


static void
im_peer_groups_run(void *data)
{
    im_peer_groups_t  *run = data;

    ngx_int_t    rc;
    im_peer_t   *peer;
    ngx_uint_t   tries;
    ngx_pool_t  *pool;

    pool = run->ctx.pool;

    for (tries = 0; /* void */ ; tries++) {

        run->ctx.pool = ngx_create_pool(4096, &run->log);

        rc = NGX_ERROR;

        if (run->ctx.pool) {
            rc = im_peer_groups_sync(&run->ctx);
            ngx_destroy_pool(run->ctx.pool);
        }

        if (rc == NGX_OK || rc == NGX_DECLINED) {
            break;
        }

        if (tries == IM_PEER_GROUPS_TRIES) {

            peer = im_peer_groups_peer(&run->ctx);

            if (peer) {
                peer->ops->close(peer, 1013);
            }

            break;
        }

        im_co_sleep(IM_PEER_GROUPS_PAUSE);
    }

    ngx_destroy_pool(pool);
}


static ngx_int_t
im_peer_groups_once(im_ctx_t *ctx)
{
    int64_t             head;
    ngx_int_t           rc;
    im_peer_t          *peer;
    ngx_uint_t          i, whole;
    ngx_queue_t        *q, *next;
    ngx_array_t         list;
    im_peer_group_t    *pg;
    im_group_joined_t  *joined;

    if (im_fault_error("peer_groups")) {
        return NGX_ERROR;
    }

    rc = im_group_joined(ctx, &ctx->user, &list);
    if (rc != NGX_OK) {
        return rc;
    }

    peer = im_peer_groups_peer(ctx);

    if (peer == NULL) {
        return NGX_DECLINED;
    }

    if (peer->groups_again) {
        return NGX_OK;                   /* the list is an old one */
    }

    for (q = ngx_queue_head(&peer->groups);
         q != ngx_queue_sentinel(&peer->groups);
         q = ngx_queue_next(q))
    {
        pg = ngx_queue_data(q, im_peer_group_t, queue);
        pg->found = 0;
    }

    whole = (list.nelts < IM_GROUPS_JOINED);

    joined = list.elts;

    /* both lists may be long, and mostly are in one order */

    q = ngx_queue_head(&peer->groups);

    for (i = 0; i < list.nelts; i++) {

        pg = NULL;

        if (q != ngx_queue_sentinel(&peer->groups)) {
            pg = ngx_queue_data(q, im_peer_group_t, queue);

            if (pg->gno == (uint64_t) joined[i].gno) {
                q = ngx_queue_next(q);

            } else {
                pg = NULL;
            }
        }

        if (pg == NULL) {
            pg = im_peer_group_find(peer, joined[i].gno);
        }

        if (pg == NULL) {
            pg = im_peer_group_add(peer, joined[i].gno);
            if (pg == NULL) {
                return NGX_ERROR;
            }

            if (peer->groups_known && whole) {
                im_peer_group_begin(pg, joined[i].first);
            }
        }

        pg->found = 1;
        pg->discard = (joined[i].flag == IM_MSG_DISCARD);
    }

    for (q = ngx_queue_head(&peer->groups);
         q != ngx_queue_sentinel(&peer->groups);
         q = next)
    {
        next = ngx_queue_next(q);
        pg = ngx_queue_data(q, im_peer_group_t, queue);

        if (!pg->found) {
            im_peer_group_del(pg);
        }
    }

    /* the first member of a group in this worker reads where it begins */

    for (i = 0; i < list.nelts; i++) {

        if (im_room_cursor(ctx->app->id, joined[i].gno) != -1) {
            continue;
        }

        rc = im_group_head(ctx, joined[i].gno, &head, NULL);
        if (rc != NGX_OK) {
            return rc;
        }

        im_room_follow(ctx->app->id, joined[i].gno, head);

        if (i % IM_PEER_GROUPS_SLICE == IM_PEER_GROUPS_SLICE - 1) {
            im_co_yield();
        }
    }

    peer = im_peer_groups_peer(ctx);

    if (peer == NULL) {
        return NGX_DECLINED;
    }

    if (peer->groups_again) {
        return NGX_OK;
    }

    peer->groups_known = whole;

    /* what was sent there before this worker heard of it */

    for (q = ngx_queue_head(&peer->groups);
         q != ngx_queue_sentinel(&peer->groups);
         q = ngx_queue_next(q))
    {
        pg = ngx_queue_data(q, im_peer_group_t, queue);

        if (pg->fresh) {
            im_peer_group_ready(pg);
        }
    }

    return NGX_OK;
}


ngx_int_t
im_peer_groups_check(im_ctx_t *ctx)
{
    int64_t           head;
    uint64_t          last, gnos[IM_PEER_GROUPS_CHECK];
    ngx_int_t         rc;
    im_peer_t        *peer;
    ngx_uint_t        i, n, pass;
    ngx_queue_t      *q;
    im_peer_group_t  *pg;

    peer = im_peer_groups_peer(ctx);

    if (peer == NULL) {
        return NGX_DECLINED;
    }

    /* on from the last one, and then those before it */

    n = 0;
    last = peer->group;

    for (pass = 0; pass < 2; pass++) {

        for (q = ngx_queue_head(&peer->groups);
             q != ngx_queue_sentinel(&peer->groups)
             && n < IM_PEER_GROUPS_CHECK;
             q = ngx_queue_next(q))
        {
            pg = ngx_queue_data(q, im_peer_group_t, queue);

            if ((pg->gno <= last) == pass
                && im_room_unchecked(ctx->app->id, pg->gno))
            {
                gnos[n++] = pg->gno;
                peer->group = pg->gno;
            }
        }
    }

    for (i = 0; i < n; i++) {

        rc = im_group_head(ctx, gnos[i], &head, NULL);
        if (rc != NGX_OK) {
            return rc;
        }

        im_room_heard(ctx->app->id, gnos[i], head);
    }

    return NGX_OK;
}


im_peer_t *
im_peer_groups_peer(im_ctx_t *ctx)
{
    im_peer_t  *peer;

    peer = im_peer_get(ctx->peer);

    if (peer == NULL
        || peer->closing
        || peer->session == NULL
        || peer->session->inst != ctx->inst
        || !im_str_eq(&peer->session->user, &ctx->user))
    {
        return NULL;
    }

    return peer;
}


void
im_peer_groups_event(im_peer_t *peer, ngx_str_t *text)
{
    int64_t           gno;
    ngx_str_t         num;
    im_peer_group_t  *pg;

    if (text->len < 2) {
        return;
    }

    if (text->data[0] != '-') {
        im_peer_groups_start(peer);
        return;
    }

    num.data = text->data + 1;
    num.len = text->len - 1;

    if (im_str_int(&num, &gno) != NGX_OK) {
        return;
    }

    pg = im_peer_group_find(peer, gno);

    if (pg) {
        im_peer_group_del(pg);
    }

    /* who reads the store now may have seen the member still; and the user may
     * have joined again, of which was heard before */

    im_peer_groups_start(peer);
}


void
im_peer_groups_close(im_peer_t *peer)
{
    ngx_queue_t  *q;

    /* who reads the list now does it for the session that has ended */

    peer->groups_known = 0;
    peer->groups_again = 1;

    while (!ngx_queue_empty(&peer->groups)) {
        q = ngx_queue_head(&peer->groups);
        im_peer_group_del(ngx_queue_data(q, im_peer_group_t, queue));
    }
}


im_peer_group_t *
im_peer_group_find(im_peer_t *peer, uint64_t gno)
{
    ngx_queue_t      *q;
    im_peer_group_t  *pg;

    for (q = ngx_queue_head(&peer->groups);
         q != ngx_queue_sentinel(&peer->groups);
         q = ngx_queue_next(q))
    {
        pg = ngx_queue_data(q, im_peer_group_t, queue);

        if (pg->gno == gno) {
            return pg;
        }

        /* in the order of their numbers */

        if (pg->gno > gno) {
            break;
        }
    }

    return NULL;
}


static im_peer_group_t *
im_peer_group_add(im_peer_t *peer, uint64_t gno)
{
    ngx_queue_t      *q;
    im_peer_group_t  *pg, *other;

    pg = ngx_calloc(sizeof(im_peer_group_t), peer->log);
    if (pg == NULL) {
        return NULL;
    }

    pg->peer = peer;
    pg->gno = gno;
    pg->cursor = -1;

    pg->member.deliver = im_peer_group_deliver;
    pg->member.closed = im_peer_group_closed;
    pg->member.data = pg;
    pg->member.peer = peer->id;

    if (im_room_subscribe(peer->app->id, gno, &pg->member) != NGX_OK) {
        ngx_free(pg);
        return NULL;
    }

    for (q = ngx_queue_last(&peer->groups);
         q != ngx_queue_sentinel(&peer->groups);
         q = ngx_queue_prev(q))
    {
        other = ngx_queue_data(q, im_peer_group_t, queue);

        if (other->gno < gno) {
            break;
        }
    }

    ngx_queue_insert_after(q, &pg->queue);

    return pg;
}


static void
im_peer_group_del(im_peer_group_t *pg)
{
    im_room_unsubscribe(&pg->member);
    im_peer_group_closed(&pg->member);
}


static void
im_peer_group_deliver(im_room_member_t *m, im_bus_buf_t *buf)
{
    int64_t           seq;
    ngx_str_t         text;
    im_frame_t       *frame;
    ngx_uint_t        skip;
    im_peer_group_t  *pg;

    pg = m->data;
    seq = buf->seq;
    text = buf->payload;

    skip = pg->discard && (buf->flags & IM_GROUP_MESSAGE);

    if (buf->flags & IM_GROUP_DIRECT) {
        skip |= (pg->peer->session == NULL
                 || im_group_direct_event(&buf->payload,
                                          &pg->peer->session->user, &text)
                    != NGX_OK);
    }

    if (seq && seq <= pg->cursor) {
        return;                          /* read from the stream already */
    }

    if (pg->behind) {
        im_peer_group_behind(pg, seq);

        /* what has no number cannot be read afterwards */

        if (seq || !pg->joining) {
            return;
        }
    }

    if (!skip) {

        frame = im_web_push(buf, &text, pg->peer->log);

        if (frame == NULL
            || pg->peer->ops->send(pg->peer, frame) == NGX_BUSY)
        {
            im_peer_group_behind(pg, seq);
            return;
        }
    }

    if (seq) {
        pg->cursor = seq;
    }
}


static void
im_peer_group_closed(im_room_member_t *m)
{
    im_peer_group_t  *pg;

    pg = m->data;

    ngx_queue_remove(&pg->queue);
    ngx_free(pg);
}
