
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_room_local.h"
#include "live/im_room_member.h"


#define IM_ROOM_CHECK     10000      /* ms between two looks at a head */


static void im_room_resync(im_room_local_t *room);


static im_room_stream_pt  im_room_stream;


ngx_int_t
im_room_stored(im_room_local_t *room, im_bus_buf_t *buf)
{
    int64_t  seq;

    seq = buf->seq;

    if ((buf->kind != IM_BUS_GROUP && buf->kind != IM_BUS_GROUP_LOST)
        || seq == 0
        || im_room_stream == NULL)
    {
        return NGX_DECLINED;
    }

    room->seen = ngx_max(room->seen, seq);

    if (room->cursor == -1 || room->syncing || seq <= room->cursor) {
        return NGX_OK;
    }

    if (seq == room->cursor + 1
        && buf->kind == IM_BUS_GROUP
        && im_room_stats.bytes <= IM_ROOM_BYTES
        && im_room_job(room, IM_ROOM_JOB_RECORD, buf) == NGX_OK)
    {
        room->cursor = seq;
        return NGX_OK;
    }

    im_room_resync(room);

    return NGX_OK;
}


static void
im_room_resync(im_room_local_t *room)
{
    ngx_uint_t  lost;

    if (!room->syncing) {
        room->syncing = 1;
        lost = room->lost;
        room->lost = 0;

        im_room_stream(room->node.app, room->node.gno, room->cursor, lost);
    }
}


void
im_room_stream_handler(im_room_stream_pt fn)
{
    im_room_stream = fn;
}


int64_t
im_room_cursor(ngx_uint_t app, uint64_t gno)
{
    im_room_local_t  *room;

    room = im_room_local_find(app, gno);

    return room ? room->cursor : -1;
}


void
im_room_follow(ngx_uint_t app, uint64_t gno, int64_t seq)
{
    im_room_local_t  *room;

    room = im_room_local_find(app, gno);

    if (room == NULL || room->cursor != -1) {
        return;
    }

    room->cursor = seq;

    if (room->missed) {
        room->missed = 0;
        im_room_lose(room);

    } else if (room->seen > seq) {
        im_room_resync(room);
    }
}


ngx_uint_t
im_room_unchecked(ngx_uint_t app, uint64_t gno)
{
    im_room_local_t  *room;

    room = im_room_local_find(app, gno);

    if (room == NULL || room->cursor == -1 || room->syncing) {
        return 0;
    }

    if (room->is_checked
        && ngx_current_msec - room->checked < IM_ROOM_CHECK)
    {
        return 0;
    }

    room->is_checked = 1;
    room->checked = ngx_current_msec;

    return 1;
}


void
im_room_heard(ngx_uint_t app, uint64_t gno, int64_t head)
{
    im_room_local_t  *room;

    room = im_room_local_find(app, gno);

    if (room == NULL || room->cursor == -1) {
        return;
    }

    room->seen = ngx_max(room->seen, head);

    if (head > room->cursor) {
        im_room_resync(room);
    }
}


ngx_int_t
im_room_feed(ngx_uint_t app, uint64_t gno, int64_t seq, ngx_uint_t flags,
    ngx_str_t *text)
{
    ngx_int_t         rc;
    im_bus_buf_t     *buf;
    im_room_local_t  *room;

    room = im_room_local_find(app, gno);

    if (room == NULL) {
        return NGX_DECLINED;
    }

    if (seq && seq <= room->cursor) {
        return NGX_OK;
    }

    if (im_room_stats.bytes > IM_ROOM_BYTES) {
        return NGX_BUSY;
    }

    buf = im_bus_buf_new(text);
    if (buf == NULL) {
        return NGX_BUSY;
    }

    buf->kind = IM_BUS_GROUP;
    buf->app = app;
    buf->chain = gno;
    buf->seq = seq;
    buf->flags = flags;

    rc = im_room_job(room, IM_ROOM_JOB_RECORD, buf);

    im_bus_buf_unref(buf);

    if (rc != NGX_OK) {
        return NGX_BUSY;
    }

    if (seq) {
        room->cursor = seq;
    }

    return NGX_OK;
}


ngx_int_t
im_room_fed(ngx_uint_t app, uint64_t gno, int64_t head, int64_t *cursor,
    ngx_uint_t *lost)
{
    im_room_local_t  *room;

    room = im_room_local_find(app, gno);

    if (room == NULL) {
        return NGX_DECLINED;
    }

    /* a number that is heard of but not in the stream is taken at its word:
     * its reader would ask for ever */

    if (head && room->seen > head && head > *cursor) {
        *cursor = head;
        room->cursor = ngx_max(room->cursor, head);
        return NGX_AGAIN;
    }

    room->cursor = ngx_max(room->cursor, head);

    if (head && room->lost) {
        room->lost = 0;
        *lost = 1;
        *cursor = room->cursor;
        return NGX_AGAIN;
    }

    room->syncing = 0;

    return NGX_OK;
}


void
im_room_lose(im_room_local_t *room)
{
    if (room->cursor != -1) {
        room->lost = 1;
        im_room_resync(room);
        return;
    }

    if (room->losing) {
        return;
    }

    if (im_room_job(room, IM_ROOM_JOB_LOST, NULL) == NGX_OK) {
        room->losing = 1;
    }
}
