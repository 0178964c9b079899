
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_room.h"
#include "live/im_room_zone.h"


#define IM_ROOM_OF_USER  4096        /* rooms of a user looked at */


static im_room_list_t *im_room_list_get(im_zone_sh_t *sh, ngx_uint_t app,
    ngx_str_t *user, ngx_uint_t create);
static void im_room_list_free(im_zone_sh_t *sh, im_room_list_t *list);


im_room_joined_t *
im_room_user(im_zone_sh_t *sh, ngx_uint_t app, uint64_t gno, ngx_str_t *user)
{
    im_zone_node_t     key;
    im_room_joined_t  *j;

    im_zone_node_init(&key, app, gno, 0, user);

    j = im_zone_node_find(&sh->joined, &key);

    return (j && !j->room->closing) ? j : NULL;
}


ngx_int_t
im_room_join(ngx_uint_t app, uint64_t gno, ngx_str_t *user, uint32_t inst,
    time_t joined, ngx_msec_t ttl)
{
    ngx_int_t          rc;
    im_room_t         *room;
    im_zone_sh_t      *sh;
    im_room_list_t    *list;
    im_room_joined_t  *j;

    if (user->len > IM_ROOM_NAME_MAX) {
        return NGX_BUSY;
    }

    rc = NGX_DECLINED;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 1);

    if (room == NULL) {
        goto full;
    }

    j = im_room_user(sh, app, gno, user);

    if (j == NULL) {
        list = im_room_list_get(sh, app, user, 1);

        if (list == NULL) {
            goto full;
        }

        j = im_zone_alloc_locked(sh, sizeof(im_room_joined_t) + user->len);

        if (j == NULL) {
            im_room_list_free(sh, list);
            goto full;
        }

        ngx_memcpy(j->name, user->data, user->len);
        im_zone_node_init(&j->node, app, gno, 0, user);
        j->node.name = j->name;
        j->room = room;
        j->joined = joined;

        j->list = list;

        ngx_queue_insert_tail(&list->rooms, &j->mine);
        ngx_queue_insert_tail(&room->joined, &j->queue);
        ngx_rbtree_insert(&sh->joined, &j->node.node);

        room->njoined++;
        sh->njoined++;

        im_room_changed_locked(sh, room);

        rc = NGX_OK;

    } else {
        ngx_queue_remove(&j->place);
        im_room_back_locked(j, 1);
    }

    ngx_queue_insert_tail(&sh->slots[im_slot_self()].joined, &j->place);

    j->inst = inst;
    j->slot = im_slot_self();
    j->ttl = ttl;
    j->leaving = 0;

    im_zone_unlock(sh);

    im_room_silent_tell();

    return rc;

full:

    im_zone_unlock(sh);
    im_zone_full();

    return NGX_BUSY;
}


ngx_int_t
im_room_leave(ngx_uint_t app, uint64_t gno, ngx_str_t *user, uint32_t inst)
{
    ngx_int_t          rc;
    im_zone_sh_t      *sh;
    im_room_joined_t  *j;

    rc = NGX_DECLINED;

    sh = im_zone_lock();

    j = im_room_user(sh, app, gno, user);

    if (j && (inst == 0 || j->inst == inst)) {
        im_room_user_free(sh, j);
        rc = NGX_OK;
    }

    im_zone_unlock(sh);

    im_room_gone_tell();

    return rc;
}


void
im_room_leaving(ngx_uint_t app, uint64_t gno, ngx_str_t *user, uint32_t inst)
{
    im_zone_sh_t      *sh;
    im_room_joined_t  *j;

    sh = im_zone_lock();

    j = im_room_user(sh, app, gno, user);

    /* the instance may have come back already, to another worker */

    if (j && j->inst == inst && j->slot == im_slot_self() && !j->leaving) {
        im_room_user_leaving(sh, j);
    }

    im_zone_unlock(sh);
}


void
im_room_user_leaving(im_zone_sh_t *sh, im_room_joined_t *j)
{
    ngx_queue_remove(&j->place);
    ngx_queue_insert_tail(&sh->leaving, &j->place);

    j->leaving = 1;
    j->expires = ngx_current_msec + j->ttl;

    im_room_silent_begin_locked(sh, j);
}


void
im_room_user_free(im_zone_sh_t *sh, im_room_joined_t *j)
{
    im_room_gone_locked(j);
    im_room_silent_end_locked(j);
    im_room_changed_locked(sh, j->room);

    ngx_queue_remove(&j->place);
    ngx_queue_remove(&j->queue);
    ngx_queue_remove(&j->mine);
    ngx_rbtree_delete(&sh->joined, &j->node.node);

    im_room_list_free(sh, j->list);

    im_room_unmark(j);

    j->room->njoined--;
    sh->njoined--;

    im_zone_free_locked(sh, j);
}


static im_room_list_t *
im_room_list_get(im_zone_sh_t *sh, ngx_uint_t app, ngx_str_t *user,
    ngx_uint_t create)
{
    im_zone_node_t   key;
    im_room_list_t  *list;

    im_zone_node_init(&key, app, 0, 0, user);

    list = im_zone_node_find(&sh->joined, &key);

    if (list || !create) {
        return list;
    }

    list = im_zone_alloc_locked(sh, sizeof(im_room_list_t) + user->len);
    if (list == NULL) {
        return NULL;
    }

    ngx_memcpy(list->name, user->data, user->len);

    list->node = key;
    list->node.name = list->name;

    ngx_queue_init(&list->rooms);
    ngx_rbtree_insert(&sh->joined, &list->node.node);

    return list;
}


/* frees it when it is empty */

static void
im_room_list_free(im_zone_sh_t *sh, im_room_list_t *list)
{
    if (ngx_queue_empty(&list->rooms)) {
        ngx_rbtree_delete(&sh->joined, &list->node.node);
        im_zone_free_locked(sh, list);
    }
}


ngx_uint_t
im_room_of_user(ngx_uint_t app, ngx_str_t *user, uint32_t inst,
    uint64_t *rooms, ngx_uint_t max)
{
    ngx_uint_t         n, walk;
    ngx_queue_t       *q;
    im_zone_sh_t      *sh;
    im_room_list_t    *list;
    im_room_joined_t  *j;

    n = 0;

    sh = im_zone_lock();

    list = im_room_list_get(sh, app, user, 0);

    if (list) {
        q = ngx_queue_last(&list->rooms);

        for (walk = 0;
             walk < IM_ROOM_OF_USER
             && n < max
             && q != ngx_queue_sentinel(&list->rooms);
             walk++)
        {
            j = ngx_queue_data(q, im_room_joined_t, mine);
            q = ngx_queue_prev(q);

            if ((inst == 0 || j->inst == inst) && !j->room->closing) {
                rooms[n++] = j->node.gno;
            }
        }
    }

    im_zone_unlock(sh);

    return n;
}


void
im_room_user_copy(im_room_user_t *u, im_room_joined_t *j)
{
    ngx_uint_t  i;

    u->len = j->node.len;
    ngx_memcpy(u->name, j->name, u->len);
    u->inst = j->inst;
    u->joined = j->joined;
    u->nmarks = 0;

    for (i = 0; j->marks && i < IM_ROOM_MARKS; i++) {
        if (j->marks & 1 << i) {
            u->marks[u->nmarks++] = j->room->marks[i];
        }
    }
}


ngx_int_t
im_room_joined(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    im_room_user_t *u)
{
    ngx_int_t          rc;
    im_zone_sh_t      *sh;
    im_room_joined_t  *j;

    rc = NGX_DECLINED;

    sh = im_zone_lock();

    j = im_room_user(sh, app, gno, user);

    if (j) {
        if (u) {
            im_room_user_copy(u, j);
        }

        rc = NGX_OK;
    }

    im_zone_unlock(sh);

    return rc;
}


ngx_uint_t
im_room_list(ngx_uint_t app, uint64_t gno, ngx_uint_t newest, ngx_uint_t skip,
    im_room_user_t *users, ngx_uint_t max)
{
    ngx_uint_t     n;
    im_room_t     *room;
    ngx_queue_t   *q;
    im_zone_sh_t  *sh;

    n = 0;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);

    if (room) {
        q = newest ? ngx_queue_last(&room->joined)
                   : ngx_queue_head(&room->joined);

        while (q != ngx_queue_sentinel(&room->joined) && n < max) {

            if (skip) {
                skip--;

            } else {
                im_room_user_copy(&users[n++],
                                ngx_queue_data(q, im_room_joined_t, queue));
            }

            q = newest ? ngx_queue_prev(q) : ngx_queue_next(q);
        }
    }

    im_zone_unlock(sh);

    return n;
}
