
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_room.h"
#include "live/im_room_zone.h"


#define IM_ROOM_MARK_WALK  4096      /* users that are looked at */


static ngx_uint_t im_room_mark_find(im_room_t *room, uint32_t mark);


ngx_int_t
im_room_mark(ngx_uint_t app, uint64_t gno, ngx_str_t *user, uint32_t mark,
    ngx_uint_t set)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    im_room_t         *room;
    im_zone_sh_t      *sh;
    im_room_joined_t  *j;

    rc = NGX_OK;

    sh = im_zone_lock();

    j = im_room_user(sh, app, gno, user);

    if (j == NULL) {
        rc = NGX_DECLINED;
        goto done;
    }

    room = j->room;
    i = im_room_mark_find(room, mark);

    if (i < IM_ROOM_MARKS && (j->marks & 1 << i)) {

        if (!set) {
            j->marks &= ~(1 << i);

            if (--room->nmarked[i] == 0) {
                room->marks[i] = 0;
            }
        }

        goto done;
    }

    if (!set) {
        goto done;
    }

    if (i == IM_ROOM_MARKS) {
        i = im_room_mark_find(room, 0);
    }

    if (i == IM_ROOM_MARKS || room->nmarked[i] == IM_ROOM_MARKED) {
        rc = NGX_BUSY;
        goto done;
    }

    room->marks[i] = mark;
    room->nmarked[i]++;
    j->marks |= 1 << i;

done:

    im_zone_unlock(sh);

    return rc;
}


static ngx_uint_t
im_room_mark_find(im_room_t *room, uint32_t mark)
{
    ngx_uint_t  i;

    for (i = 0; i < IM_ROOM_MARKS; i++) {
        if (room->marks[i] == mark) {
            break;
        }
    }

    return i;
}


void
im_room_unmark(im_room_joined_t *j)
{
    ngx_uint_t   i;
    im_room_t   *room;

    room = j->room;

    for (i = 0; j->marks && i < IM_ROOM_MARKS; i++) {

        if ((j->marks & 1 << i) && --room->nmarked[i] == 0) {
            room->marks[i] = 0;
        }
    }

    j->marks = 0;
}


ngx_uint_t
im_room_marked(ngx_uint_t app, uint64_t gno, uint32_t mark, uint32_t hidden,
    ngx_uint_t skip, im_room_user_t *users, ngx_uint_t max)
{
    uint16_t           has, not;
    ngx_uint_t         i, n, walk;
    im_room_t         *room;
    ngx_queue_t       *q;
    im_zone_sh_t      *sh;
    im_room_joined_t  *j;

    n = 0;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);

    if (room == NULL) {
        goto done;
    }

    has = 0;
    not = 0;

    if (mark) {
        i = im_room_mark_find(room, mark);

        if (i == IM_ROOM_MARKS) {
            goto done;
        }

        has = 1 << i;

    } else {
        i = im_room_mark_find(room, hidden);

        if (i < IM_ROOM_MARKS) {
            not = 1 << i;
        }
    }

    walk = 0;

    for (q = ngx_queue_last(&room->joined);
         q != ngx_queue_sentinel(&room->joined)
         && n < max
         && walk < IM_ROOM_MARK_WALK;
         q = ngx_queue_prev(q))
    {
        walk++;
        j = ngx_queue_data(q, im_room_joined_t, queue);

        if ((j->marks & has) != has || (j->marks & not)) {
            continue;
        }

        if (skip) {
            skip--;
            continue;
        }

        im_room_user_copy(&users[n++], j);
    }

done:

    im_zone_unlock(sh);

    return n;
}
