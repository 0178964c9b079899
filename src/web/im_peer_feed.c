
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "domain/im_group_direct.h"
#include "web/im_peer_group.h"
#include "web/im_web_session.h"


#define IM_PEER_FEED_ROWS   20
#define IM_PEER_FEED_PAUSE  100      /* ms */
#define IM_PEER_FEED_TRIES  50       /* reads that fail */
#define IM_PEER_FEED_SLACK  10000000 /* us that an event is under way */


static void im_peer_group_current(im_peer_group_t *pg);
static void im_peer_feed_run(void *data);
static im_peer_group_t *im_peer_feed_next(im_peer_t *peer);
static ngx_int_t im_peer_feed_page(im_ctx_t *ctx, im_peer_group_t *pg);
static ngx_int_t im_peer_feed_changes(im_ctx_t *ctx, im_group_t *group);
static ngx_int_t im_peer_feed_send(im_peer_group_t *pg, ngx_str_t *event);


void
im_peer_group_begin(im_peer_group_t *pg, int64_t first)
{
    pg->cursor = (first < 0) ? -1 - first : first;
    pg->since = im_group_row_now() - IM_PEER_FEED_SLACK;

    pg->behind = 1;
    pg->fresh = 1;
    pg->joining = 1;
}


void
im_peer_group_ready(im_peer_group_t *pg)
{
    pg->fresh = 0;

    if (!pg->again
        && im_room_cursor(pg->peer->app->id, pg->gno) <= pg->cursor)
    {
        im_peer_group_current(pg);
        return;
    }

    im_peer_group_behind(pg, 0);
}


static void
im_peer_group_current(im_peer_group_t *pg)
{
    pg->behind = 0;
    pg->joining = 0;
}


void
im_peer_group_behind(im_peer_group_t *pg, int64_t seq)
{
    im_peer_t  *peer;

    peer = pg->peer;

    if (seq) {
        pg->seen = seq;

        if (pg->cursor == -1) {
            pg->cursor = seq - 1;
        }
    }

    pg->again = 1;

    if (!pg->behind) {
        pg->behind = 1;
        pg->since = im_group_row_now() - IM_PEER_FEED_SLACK;
        im_stat_add(IM_STAT_RESYNC, 1);
    }

    if (pg->fresh
        || peer->groups_feeding
        || peer->closing
        || peer->session == NULL)
    {
        return;
    }

    peer->groups_feeding = 1;

    if (im_peer_groups_spawn(peer, im_peer_feed_run) != NGX_OK) {

        /* the client comes back and asks for what it has missed */

        peer->groups_feeding = 0;
        peer->ops->close(peer, 1013);
    }
}


/* One at a time for a connection, whatever the number of its groups. */

static void
im_peer_feed_run(void *data)
{
    im_peer_groups_t  *run = data;

    ngx_int_t         rc;
    im_peer_t        *peer;
    ngx_uint_t        tries;
    ngx_pool_t       *pool;
    im_peer_group_t  *pg;

    pool = run->ctx.pool;
    tries = 0;

    for ( ;; ) {

        peer = im_peer_get(run->ctx.peer);

        if (peer == NULL) {
            break;
        }

        pg = im_peer_feed_next(peer);

        if (pg == NULL || im_peer_groups_peer(&run->ctx) == NULL) {

            peer->groups_feeding = 0;

            if (pg) {
                im_peer_group_behind(pg, 0);      /* of another session */
            }

            break;
        }

        run->ctx.pool = ngx_create_pool(4096, &run->log);

        rc = NGX_ERROR;

        if (run->ctx.pool) {
            rc = im_peer_feed_page(&run->ctx, pg);
            ngx_destroy_pool(run->ctx.pool);
        }

        if (rc == NGX_OK) {
            tries = 0;
            im_co_yield();
            continue;
        }

        if (rc == NGX_ERROR && ++tries > IM_PEER_FEED_TRIES) {

            peer = im_peer_groups_peer(&run->ctx);

            if (peer) {
                peer->ops->close(peer, 1013);
            }
        }

        im_co_sleep(IM_PEER_FEED_PAUSE);
    }

    ngx_destroy_pool(pool);
}


static im_peer_group_t *
im_peer_feed_next(im_peer_t *peer)
{
    ngx_queue_t      *q;
    im_peer_group_t  *pg;

    for (q = ngx_queue_head(&peer->groups);
         q != ngx_queue_sentinel(&peer->groups);
         q = ngx_queue_next(q))
    {
        pg = ngx_queue_data(q, im_peer_group_t, queue);

        if (pg->behind && !pg->fresh) {
            return pg;
        }
    }

    return NULL;
}


/* NGX_AGAIN: the connection takes no more for now. */

static ngx_int_t
im_peer_feed_page(im_ctx_t *ctx, im_peer_group_t *pg)
{
    int64_t          gno;
    im_code_t        code;
    ngx_int_t        rc;
    ngx_str_t        event;
    im_peer_t       *peer;
    ngx_uint_t       i;
    im_group_t       group;
    ngx_array_t      rows;
    im_group_row_t  *row;

    gno = pg->gno;
    pg->again = 0;

    code = im_group_load_gno(ctx, gno, &group);

    if (code != IM_OK && code != IM_E_GROUP_NONE) {
        return NGX_ERROR;
    }

    if (ngx_array_init(&rows, ctx->pool, IM_PEER_FEED_ROWS,
                       sizeof(im_group_row_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* whatever waits, the session or the membership may have ended */

    peer = im_peer_groups_peer(ctx);
    pg = peer ? im_peer_group_find(peer, gno) : NULL;

    if (pg == NULL) {
        return NGX_OK;
    }

    if (code == IM_E_GROUP_NONE) {
        im_peer_group_current(pg);
        return NGX_OK;
    }

    if (pg->cursor != -1) {
        rc = im_group_rows(ctx, gno, pg->cursor + 1, NGX_MAX_INT_T_VALUE,
                           IM_ASC, IM_PEER_FEED_ROWS, &rows);
        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    row = rows.elts;

    for (i = 0; i < rows.nelts; i++) {

        peer = im_peer_groups_peer(ctx);
        pg = peer ? im_peer_group_find(peer, gno) : NULL;

        if (pg == NULL) {
            return NGX_OK;
        }

        if (!row[i].gone
            && !row[i].recalled
            && im_group_direct_visible(&row[i], &ctx->user)
            && (!pg->discard || row[i].type != IM_ROW_MESSAGE)
            && (row[i].inst != (int64_t) ctx->inst
                || !im_str_eq(&row[i].from, &ctx->user)))
        {
            if (im_group_row_event(ctx, &group, &row[i], &event) != NGX_OK) {
                return NGX_ERROR;
            }

            rc = im_peer_feed_send(pg, &event);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        pg->cursor = row[i].seq;
    }

    if (rows.nelts == IM_PEER_FEED_ROWS) {
        return NGX_OK;
    }

    rc = im_peer_feed_changes(ctx, &group);
    if (rc != NGX_OK) {
        return rc;
    }

    peer = im_peer_groups_peer(ctx);
    pg = peer ? im_peer_group_find(peer, gno) : NULL;

    if (pg && !pg->again) {

        /* numbers that are heard of but are not there have expired */

        pg->cursor = ngx_max(pg->cursor, pg->seen);
        im_peer_group_current(pg);
    }

    return NGX_OK;
}


static ngx_int_t
im_peer_feed_changes(im_ctx_t *ctx, im_group_t *group)
{
    int64_t           since;
    ngx_int_t         rc;
    ngx_str_t        *event;
    im_peer_t        *peer;
    ngx_uint_t        i;
    ngx_array_t       events;
    im_peer_group_t  *pg;

    if (ngx_array_init(&events, ctx->pool, 4, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    peer = im_peer_groups_peer(ctx);
    pg = peer ? im_peer_group_find(peer, group->gno) : NULL;

    if (pg == NULL) {
        return NGX_OK;
    }

    since = im_group_row_now() - IM_PEER_FEED_SLACK;

    rc = im_group_row_changes(ctx, group, pg->since, &events);
    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    event = events.elts;

    for (i = 0; i < events.nelts; i++) {

        peer = im_peer_groups_peer(ctx);
        pg = peer ? im_peer_group_find(peer, group->gno) : NULL;

        if (pg == NULL) {
            return NGX_OK;
        }

        rc = im_peer_feed_send(pg, &event[i]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    /* the rows were waited for, whether there were any or not */

    peer = im_peer_groups_peer(ctx);
    pg = peer ? im_peer_group_find(peer, group->gno) : NULL;

    if (pg == NULL) {
        return NGX_OK;
    }

    pg->since = ngx_max(pg->since, since);

    return NGX_OK;
}


static ngx_int_t
im_peer_feed_send(im_peer_group_t *pg, ngx_str_t *event)
{
    ngx_int_t    rc;
    im_frame_t  *frame;

    frame = im_web_push_frame(event, 1, pg->peer->log);
    if (frame == NULL) {
        return NGX_ERROR;
    }

    rc = pg->peer->ops->send(pg->peer, frame);

    im_frame_unref(frame);

    if (rc == NGX_OK) {
        im_stat_add(IM_STAT_OUT_EVENT, 1);
    }

    return (rc == NGX_BUSY) ? NGX_AGAIN : rc;
}
