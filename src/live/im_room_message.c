
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "live/im_room.h"
#include "live/im_room_zone.h"


#define IM_ROOM_WALK     4096        /* records of a chain looked at */


static ngx_int_t im_room_add(ngx_uint_t app, uint64_t gno, ngx_uint_t prio,
    ngx_str_t *parts, ngx_uint_t n, size_t offset, uint64_t except,
    int64_t *seq);
static ngx_int_t im_room_number(im_room_t *room);


ngx_int_t
im_room_block(ngx_uint_t app, uint64_t gno, int64_t first, int64_t last)
{
    im_room_t     *room;
    im_zone_sh_t  *sh;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 1);

    if (room == NULL) {
        im_zone_unlock(sh);
        im_zone_full();
        return NGX_BUSY;
    }

    if (first < room->next) {

        /* came late, the room counts above it */

    } else if (room->next > room->last) {
        room->next = first;
        room->last = last;

    } else if (first == room->last + 1) {
        room->last = last;

    } else if (room->spare_first == 0) {
        room->spare_first = first;
        room->spare_last = last;

    } else if (first == room->spare_last + 1) {
        room->spare_last = last;
    }

    im_zone_unlock(sh);

    return NGX_OK;
}


/* A block of this node that is left becomes one of all nodes. */

ngx_int_t
im_room_take(ngx_uint_t app, uint64_t gno, int64_t *first, int64_t *last)
{
    ngx_int_t      rc;
    im_room_t     *room;
    im_zone_sh_t  *sh;

    rc = NGX_AGAIN;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);

    if (room && im_room_number(room) == NGX_OK) {
        *first = room->next;
        *last = room->last;
        room->last = room->next - 1;
        rc = NGX_OK;
    }

    im_zone_unlock(sh);

    return rc;
}


ngx_int_t
im_room_publish(ngx_uint_t app, uint64_t gno, ngx_uint_t prio,
    ngx_str_t *parts, ngx_uint_t n, size_t offset, uint64_t except,
    int64_t *seq)
{
    ngx_int_t  rc;

    im_fault("before_publish");

    *seq = 0;

    rc = im_room_add(app, gno, prio, parts, n, offset, except, seq);

    if (rc != NGX_AGAIN) {
        im_fault("after_publish");
    }

    return rc;
}


void
im_room_accept(ngx_uint_t app, uint64_t gno, int64_t seq, ngx_uint_t prio,
    ngx_str_t *text, size_t offset, uint64_t except)
{
    (void) im_room_add(app, gno, prio, text, 1, offset, except, &seq);
}


/* With the number that Redis has given, or (0) the next one of this node. */

static ngx_int_t
im_room_add(ngx_uint_t app, uint64_t gno, ngx_uint_t prio, ngx_str_t *parts,
    ngx_uint_t n, size_t offset, uint64_t except, int64_t *seq)
{
    ngx_int_t       rc;
    im_room_t      *room;
    im_slots_t      to;
    ngx_uint_t      given;
    im_zone_sh_t   *sh;
    im_bus_meta_t   meta;

    given = (*seq != 0);

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);

    if (room == NULL || (!given && im_room_number(room) != NGX_OK)) {
        im_zone_unlock(sh);
        return NGX_AGAIN;
    }

    if (!given) {
        *seq = room->next;
    }

    im_bus_interested(im_bus_hash(app, gno), &to);

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = app;
    meta.flags = prio;
    meta.chain = gno;
    meta.except = except;
    meta.seq = *seq;

    im_room_stamp(parts, n, offset, *seq);

    rc = im_bus_append(&to, IM_BUS_ROOM, &meta, parts, n, &room->chain);

    if (rc == NGX_OK || given) {
        room->next = ngx_max(room->next, *seq + 1);
        room->said = ngx_time();
    }

    im_zone_unlock(sh);

    if (rc == NGX_OK) {
        im_bus_signal(&to);
    }

    return rc;
}


/* makes room->next usable */

static ngx_int_t
im_room_number(im_room_t *room)
{
    if (room->next <= room->last) {
        return NGX_OK;
    }

    if (room->spare_first < room->next) {
        room->spare_first = 0;
        return NGX_AGAIN;
    }

    room->next = room->spare_first;
    room->last = room->spare_last;
    room->spare_first = 0;

    return NGX_OK;
}


/* writes the number over its placeholder, which lies within one part */

void
im_room_stamp(ngx_str_t *parts, ngx_uint_t n, size_t offset, int64_t seq)
{
    u_char      buf[NGX_INT64_LEN + IM_ROOM_SEQ_LEN];
    u_char     *p;
    ngx_uint_t  i;

    if (offset == IM_ROOM_NO_SEQ) {
        return;
    }

    for (i = 0; i < n; i++) {

        if (offset >= parts[i].len) {
            offset -= parts[i].len;
            continue;
        }

        if (offset + IM_ROOM_SEQ_LEN <= parts[i].len) {
            p = ngx_sprintf(buf, "          %L", seq);
            ngx_memcpy(parts[i].data + offset, p - IM_ROOM_SEQ_LEN,
                       IM_ROOM_SEQ_LEN);
        }

        return;
    }
}


int64_t
im_room_last(ngx_uint_t app, uint64_t gno)
{
    uint64_t  chain;

    return im_room_head(app, gno, &chain);
}


int64_t
im_room_head(ngx_uint_t app, uint64_t gno, uint64_t *chain)
{
    int64_t        last;
    im_room_t     *room;
    im_zone_sh_t  *sh;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);

    last = room ? room->next - 1 : 0;
    *chain = room ? room->chain : 0;

    im_zone_unlock(sh);

    return last;
}


time_t
im_room_said(ngx_uint_t app, uint64_t gno)
{
    time_t         said;
    im_room_t     *room;
    im_zone_sh_t  *sh;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);
    said = room ? room->said : 0;

    im_zone_unlock(sh);

    return said;
}


ngx_int_t
im_room_read(ngx_uint_t app, uint64_t gno, int64_t from, ngx_uint_t max,
    size_t max_bytes, int64_t *oldest, im_room_read_pt fn, void *data)
{
    size_t          size, bytes;
    int64_t         next, seq;
    uint64_t        pos, prev;
    uint64_t        found[IM_ROOM_READ_MAX];
    ngx_int_t       rc;
    ngx_uint_t      i, n, walk, copied;
    im_room_t      *room;
    im_zone_sh_t   *sh;
    im_bus_buf_t   *buf;
    im_bus_meta_t   meta;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);

    if (room == NULL) {
        im_zone_unlock(sh);
        return NGX_DECLINED;
    }

    pos = room->chain;
    next = room->next;

    im_zone_unlock(sh);

    *oldest = next;
    max = ngx_min(max, IM_ROOM_READ_MAX);

    if (max == 0) {
        return NGX_OK;
    }

    /* back from the newest: a ring of what may be wanted */

    n = 0;
    seq = next;

    for (walk = 0; walk < IM_ROOM_WALK; walk++) {

        if (im_bus_peek(pos, &meta, &prev, &size) != NGX_OK
            || meta.chain != gno
            || meta.app != app
            || (int64_t) meta.seq >= seq)
        {
            break;
        }

        seq = meta.seq;
        *oldest = seq;

        if (seq < from) {
            break;
        }

        found[n++ % max] = pos;
        pos = prev;
    }

    bytes = 0;
    copied = 0;

    for (i = 0; i < ngx_min(n, max); i++) {

        buf = im_bus_copy(found[(n - 1 - i) % max]);

        if (buf == NULL) {

            /* overwritten meanwhile, or no memory */

            if (copied) {
                break;
            }

            continue;
        }

        bytes += buf->payload.len;

        if (copied++ && bytes > max_bytes) {
            im_bus_buf_unref(buf);
            break;
        }

        rc = fn(buf, data);

        im_bus_buf_unref(buf);

        if (rc != NGX_OK) {
            break;
        }
    }

    return NGX_OK;
}
