
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_fault.h"
#include "core/im_worker.h"
#include "live/im_limit.h"
#include "live/im_node.h"
#include "live/im_room.h"
#include "live/im_room_node.h"
#include "live/im_room_zone.h"


#define IM_ROOM_WALK     4096        /* records of a chain looked at */
#define IM_ROOM_IDLE     600000      /* then an empty room is forgotten */
#define IM_ROOM_GUESTS   4           /* part of the zone that guests have */


/* in the zone, with those of im_room_zone.h */

typedef struct {
    im_zone_node_t     node;         /* app, gno, id */
    ngx_queue_t        queue;
    ngx_queue_t        polls;
    im_room_t         *room;
    ngx_msec_t         expires;
} im_room_guest_t;


/* what a worker contributes to the audience */

typedef struct {
    ngx_queue_t        queue;
    ngx_queue_t        slot_queue;
    im_room_t         *room;
    ngx_uint_t         slot;
    ngx_uint_t         users;
    ngx_uint_t         guests;
} im_room_part_t;


/* data of an entry of IM_LRU_ROOM_RATE */

typedef struct {
    uint64_t           second;
    uint32_t           demand;
    uint32_t           before;       /* demand of the second before */
    uint32_t           used;
    uint32_t           prio[4];
} im_room_window_t;


static ngx_int_t im_room_init(ngx_cycle_t *cycle, im_conf_t *conf);
static ngx_int_t im_room_number(im_room_t *room);
static ngx_int_t im_room_notify_here(ngx_uint_t kind, im_bus_meta_t *meta,
    ngx_str_t *parts, ngx_uint_t n);
static void im_room_node_publish(im_node_record_t *rec, ngx_str_t *payload);
static void im_room_close_here(ngx_uint_t app, uint64_t gno);
static im_room_list_t *im_room_list_get(im_zone_sh_t *sh, ngx_uint_t app,
    ngx_str_t *user, ngx_uint_t create);
static void im_room_list_free(im_zone_sh_t *sh, im_room_list_t *list);
static void im_room_user_free(im_zone_sh_t *sh, im_room_joined_t *j);
static void im_room_guest_free(im_zone_sh_t *sh, im_room_guest_t *g);
static void im_room_part_free(im_zone_sh_t *sh, im_room_part_t *part);
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


void
im_room_accept(ngx_uint_t app, uint64_t gno, int64_t seq, ngx_uint_t prio,
    ngx_str_t *text, size_t offset, uint64_t except)
{
    ngx_int_t       rc;
    im_room_t      *room;
    im_slots_t      to;
    im_zone_sh_t   *sh;
    im_bus_meta_t   meta;

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = app;
    meta.flags = prio;
    meta.chain = gno;
    meta.except = except;
    meta.seq = seq;

    im_room_stamp(text, 1, offset, seq);

    rc = NGX_DECLINED;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);

    if (room) {
        im_bus_interested(im_bus_hash(app, gno), &to);

        rc = im_bus_append(&to, IM_BUS_ROOM, &meta, text, 1, &room->chain);

        room->next = ngx_max(room->next, seq + 1);
        room->said = ngx_time();
    }

    im_zone_unlock(sh);

    if (rc == NGX_OK) {
        im_bus_signal(&to);
    }
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


ngx_int_t
im_room_publish(ngx_uint_t app, uint64_t gno, ngx_uint_t prio,
    ngx_str_t *parts, ngx_uint_t n, size_t offset, uint64_t except,
    int64_t *seq)
{
    ngx_int_t       rc;
    im_room_t      *room;
    im_slots_t      to;
    im_zone_sh_t   *sh;
    im_bus_meta_t   meta;

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = app;
    meta.flags = prio;
    meta.chain = gno;
    meta.except = except;

    im_fault("before_publish");

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);

    if (room == NULL || im_room_number(room) != NGX_OK) {
        im_zone_unlock(sh);
        return NGX_AGAIN;
    }

    im_bus_interested(im_bus_hash(app, gno), &to);

    *seq = room->next;
    meta.seq = room->next;

    im_room_stamp(parts, n, offset, room->next);

    rc = im_bus_append(&to, IM_BUS_ROOM, &meta, parts, n, &room->chain);

    if (rc == NGX_OK) {
        room->next++;
        room->said = ngx_time();
    }

    im_zone_unlock(sh);

    if (rc == NGX_OK) {
        im_bus_signal(&to);
    }

    im_fault("after_publish");

    return rc;
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


int64_t
im_room_last(ngx_uint_t app, uint64_t gno)
{
    int64_t        last;
    im_room_t     *room;
    im_zone_sh_t  *sh;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);
    last = room ? room->next - 1 : 0;

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


ngx_int_t
im_room_rate(ngx_uint_t app, uint64_t gno, ngx_uint_t prio, ngx_uint_t exempt,
    im_room_limits_t *limits)
{
    u_char             key[IM_ZONE_KEY_LEN];
    uint64_t           second;
    ngx_int_t          rc;
    ngx_str_t          part;
    ngx_uint_t         total, limit;
    im_zone_sh_t      *sh;
    im_zone_entry_t   *e;
    im_room_window_t  *w;

    part.len = sizeof(uint64_t);
    part.data = (u_char *) &gno;

    im_zone_key(key, app, IM_KEY_ROOM_RATE, &part, 1);

    prio = ngx_min(prio, IM_ROOM_LOWEST);

    /* seconds of the clock are the same ones on all nodes */

    second = im_redis_configured() ? (uint64_t) ngx_time()
                                   : ngx_current_msec / 1000;
    rc = NGX_DECLINED;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_ROOM_RATE, key);

    if (e == NULL) {
        e = im_zone_new_locked(sh, IM_LRU_ROOM_RATE, key,
                               sizeof(im_room_window_t));
    }

    if (e == NULL) {
        rc = NGX_OK;
        goto done;
    }

    e->expires = ngx_current_msec + 3000;

    w = (im_room_window_t *) e->data;

    if (w->second != second) {
        limit = (w->second + 1 == second) ? w->demand : 0;

        ngx_memzero(w, sizeof(im_room_window_t));
        w->second = second;
        w->before = limit;
    }

    w->demand++;

    total = limits->total;

    if (total) {
        limit = total;

        /* a busy group keeps a part for what matters more */

        if (w->before > total) {
            switch (prio) {

            case IM_ROOM_NORMAL:
                limit = total - total / 8;
                break;

            case IM_ROOM_LOW:
                limit = total - total / 4;
                break;

            case IM_ROOM_LOWEST:
                limit = total / 2;
                break;
            }
        }

        if (w->used >= limit) {
            goto done;
        }
    }

    if (prio != IM_ROOM_HIGH
        && !exempt
        && limits->prio[prio]
        && w->prio[prio] >= limits->prio[prio])
    {
        goto done;
    }

    w->used++;

    if (!exempt) {
        w->prio[prio]++;
    }

    rc = NGX_OK;

done:

    im_zone_unlock(sh);

    if (rc == NGX_OK && im_redis_configured()) {
        im_limit_room(key, second);
    }

    return rc;
}


void
im_room_used(u_char *key, uint64_t second, ngx_uint_t n)
{
    im_zone_sh_t      *sh;
    im_zone_entry_t   *e;
    im_room_window_t  *w;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_ROOM_RATE, key);

    if (e) {
        w = (im_room_window_t *) e->data;

        if (w->second == second) {
            w->used = ngx_max(w->used, n);
        }
    }

    im_zone_unlock(sh);
}


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
        ngx_queue_remove(&j->place);
        ngx_queue_insert_tail(&sh->leaving, &j->place);

        j->leaving = 1;
        j->expires = ngx_current_msec + j->ttl;

        im_room_silent_begin_locked(sh, j);
    }

    im_zone_unlock(sh);
}


static void
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
             walk < IM_ROOM_WALK
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


void
im_room_guest_touch(ngx_uint_t app, uint64_t gno, uint64_t id, ngx_msec_t ttl)
{
    im_room_t        *room;
    im_zone_sh_t     *sh;
    im_zone_node_t    key;
    im_room_guest_t  *g;

    im_zone_node_init(&key, app, gno, id, NULL);

    sh = im_zone_lock();

    g = im_zone_node_find(&sh->guests, &key);

    if (g == NULL) {
        room = im_room_get(sh, app, gno, 0);

        if (room == NULL) {
            goto done;
        }

        /* a full zone counts no more guests; and nobody can fill it with
         * them, who need no login */

        if (sh->nguests >= im_zone_size() / IM_ROOM_GUESTS
                           / sizeof(im_room_guest_t))
        {
            goto done;
        }

        g = im_zone_alloc_locked(sh, sizeof(im_room_guest_t));

        if (g == NULL) {
            goto done;
        }

        g->node = key;
        g->room = room;

        ngx_queue_insert_tail(&room->polls, &g->queue);
        ngx_rbtree_insert(&sh->guests, &g->node.node);
        room->npolls++;
        sh->nguests++;

        im_room_changed_locked(sh, room);

    } else {
        ngx_queue_remove(&g->polls);
    }

    g->expires = ngx_current_msec + ttl;
    ngx_queue_insert_head(&sh->polls, &g->polls);

done:

    im_zone_unlock(sh);
}


void
im_room_guest_leave(ngx_uint_t app, uint64_t gno, uint64_t id)
{
    im_zone_sh_t     *sh;
    im_zone_node_t    key;
    im_room_guest_t  *g;

    im_zone_node_init(&key, app, gno, id, NULL);

    sh = im_zone_lock();

    g = im_zone_node_find(&sh->guests, &key);

    if (g) {
        im_room_guest_free(sh, g);
    }

    im_zone_unlock(sh);
}


static void
im_room_guest_free(im_zone_sh_t *sh, im_room_guest_t *g)
{
    ngx_queue_remove(&g->queue);
    ngx_queue_remove(&g->polls);
    ngx_rbtree_delete(&sh->guests, &g->node.node);

    g->room->npolls--;
    sh->nguests--;

    im_room_changed_locked(sh, g->room);

    im_zone_free_locked(sh, g);
}


void
im_room_contribute(ngx_uint_t app, uint64_t gno, ngx_uint_t users,
    ngx_uint_t guests)
{
    im_room_t       *room;
    ngx_uint_t       slot;
    ngx_queue_t     *q;
    im_zone_sh_t    *sh;
    im_room_part_t  *part;

    slot = im_slot_self();
    part = NULL;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);

    if (room == NULL) {
        goto done;
    }

    for (q = ngx_queue_head(&room->audience);
         q != ngx_queue_sentinel(&room->audience);
         q = ngx_queue_next(q))
    {
        part = ngx_queue_data(q, im_room_part_t, queue);

        if (part->slot == slot) {
            break;
        }

        part = NULL;
    }

    if (users + guests == 0) {
        if (part) {
            im_room_part_free(sh, part);
        }

        goto done;
    }

    if (part == NULL) {
        part = im_zone_alloc_locked(sh, sizeof(im_room_part_t));

        if (part == NULL) {
            goto done;
        }

        part->room = room;
        part->slot = slot;

        ngx_queue_insert_tail(&room->audience, &part->queue);
        ngx_queue_insert_tail(&sh->slots[slot].audience, &part->slot_queue);
    }

    if (users != part->users || guests != part->guests) {
        im_room_changed_locked(sh, room);
    }

    room->users += users - part->users;
    room->guests += guests - part->guests;

    part->users = users;
    part->guests = guests;

done:

    im_zone_unlock(sh);
}


static void
im_room_part_free(im_zone_sh_t *sh, im_room_part_t *part)
{
    ngx_queue_remove(&part->queue);
    ngx_queue_remove(&part->slot_queue);

    part->room->users -= part->users;
    part->room->guests -= part->guests;

    im_room_changed_locked(sh, part->room);

    im_zone_free_locked(sh, part);
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
    ngx_uint_t         n;
    ngx_queue_t       *q;
    im_zone_sh_t      *sh;
    im_zone_slot_t    *sl;
    im_room_joined_t  *j;

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
            j = ngx_queue_data(q, im_room_joined_t, place);

            ngx_queue_remove(&j->place);
            ngx_queue_insert_tail(&sh->leaving, &j->place);

            j->leaving = 1;
            j->expires = ngx_current_msec + j->ttl;

            im_room_silent_begin_locked(sh, j);
        }

        im_zone_unlock(sh);

    } while (n == IM_ROOM_BATCH);
}
