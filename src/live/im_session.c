
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_stat.h"
#include "core/im_worker.h"
#include "live/im_node.h"
#include "live/im_presence.h"
#include "live/im_session.h"
#include "live/im_zone.h"


#define IM_SESSION_BUCKETS   16384
#define IM_SESSION_EACH       32     /* instances of a user looked at */
#define IM_SESSION_LISTS     16      /* different timeouts */
#define IM_SESSION_SLICE     512
#define IM_SESSION_CLEAR     256     /* entries removed under one lock */
#define IM_SESSION_DRAIN     50      /* milliseconds between slices */

#define IM_SESSION_RESYNC    1
#define IM_SESSION_REENTER   2
#define IM_SESSION_PRESENT   4

#define IM_SESSION_PRESENTS  3600    /* ticks between those of all */
#define IM_SESSION_WAITING   2000    /* calls of Redis */
#define IM_SESSION_PAUSE     10

#define IM_SESSION_TOO_LONG  1


/* in the zone: a user, and the user's instances */

typedef struct {
    im_zone_node_t           node;
    ngx_queue_t              entries;
    u_char                   name[1];
} im_session_user_t;


typedef struct {
    ngx_queue_t              queue;
    ngx_queue_t              slot_queue;
    im_session_user_t       *user;
    uint64_t                 serial;
    uint32_t                 inst;
    uint16_t                 slot;
    uint8_t                  platform;
    uint8_t                  transport;
} im_session_node_t;


/* heads of records; the name of the user and the rest follow */

typedef struct {
    uint32_t                 except;
    uint32_t                 only;
    uint32_t                 flags;
    uint32_t                 len;
} im_session_event_t;


typedef struct {
    uint64_t                 serial;
    uint32_t                 inst;
    uint32_t                 type;
    uint32_t                 len;
    uint32_t                 unused;
} im_session_kick_t;


typedef struct {
    ngx_msec_t               timeout;
    ngx_queue_t              queue;  /* longest silent first */
} im_session_list_t;


static ngx_int_t im_session_init(ngx_cycle_t *cycle, im_conf_t *conf);
static ngx_int_t im_session_enter(im_session_t *s, ngx_uint_t again,
    ngx_uint_t *slot, uint64_t *serial);
static void im_session_unlink(im_zone_sh_t *sh, im_session_node_t *node);
static void im_session_end(im_session_t *s, ngx_uint_t code);
static void im_session_slots(ngx_uint_t app, ngx_str_t *user, uint32_t inst,
    im_slots_t *slots);
static im_session_list_t *im_session_get_list(ngx_msec_t timeout);
static ngx_uint_t im_session_match(im_session_t *s, im_bus_buf_t *buf,
    ngx_str_t *user);
static void im_session_event_handler(im_bus_buf_t *buf);
static void im_session_deliver(im_session_t *s, im_bus_buf_t *buf,
    im_session_event_t *head, ngx_str_t *json);
static void im_session_kick_handler(im_bus_buf_t *buf);
static void im_session_replaced_handler(im_bus_buf_t *buf);
static void im_session_node_event(im_node_event_e event,
    ngx_uint_t channel);
static void im_session_node_publish(im_node_record_t *rec,
    ngx_str_t *payload);
static void im_session_present_handler(void *data, ngx_int_t rc,
    redisReply *reply);
static void im_session_lost(void);
static void im_session_walk(ngx_uint_t what);
static void im_session_walk_handler(ngx_event_t *ev);
static void im_session_tick(void);
static void im_session_drain(void);
static void im_session_drain_handler(ngx_event_t *ev);
static void im_session_clear(ngx_uint_t slot, ngx_pid_t pid);


im_worker_hook_t  im_session_hook = {
    ngx_string("session"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_session_init,                       /* init process */
    NULL                                   /* exit process */
};


static ngx_queue_t         im_session_buckets[IM_SESSION_BUCKETS];
static im_session_list_t   im_session_lists[IM_SESSION_LISTS];
static ngx_uint_t          im_session_nlists;
static ngx_queue_t         im_session_ending;
static ngx_uint_t          im_session_n;

/* where a walk through a bucket goes on: detach() moves it */
static ngx_queue_t        *im_session_next;

static ngx_uint_t          im_session_walks;
static ngx_uint_t          im_session_walk_bucket;
static ngx_event_t         im_session_walk_event;
static ngx_uint_t          im_session_ticks;

static ngx_uint_t          im_session_generation;
static ngx_msec_t          im_session_drain_time;
static ngx_uint_t          im_session_drain_slice;
static ngx_event_t         im_session_drain_event;


static ngx_int_t
im_session_init(ngx_cycle_t *cycle, im_conf_t *conf)
{
    return im_session_init_process(cycle, conf->drain_time);
}


ngx_int_t
im_session_init_process(ngx_cycle_t *cycle, ngx_msec_t drain)
{
    ngx_uint_t  i;

    for (i = 0; i < IM_SESSION_BUCKETS; i++) {
        ngx_queue_init(&im_session_buckets[i]);
    }

    ngx_queue_init(&im_session_ending);

    im_session_nlists = 0;
    im_session_n = 0;
    im_session_walks = 0;
    im_session_generation = im_zone_generation();
    im_session_drain_time = drain;

    ngx_memzero(&im_session_walk_event, sizeof(ngx_event_t));
    im_session_walk_event.handler = im_session_walk_handler;
    im_session_walk_event.data = &im_session_walk_event;
    im_session_walk_event.log = cycle->log;
    im_session_walk_event.cancelable = 1;

    ngx_memzero(&im_session_drain_event, sizeof(ngx_event_t));
    im_session_drain_event.handler = im_session_drain_handler;
    im_session_drain_event.log = cycle->log;
    im_session_drain_event.cancelable = 1;

    im_bus_handler(IM_BUS_EVENT, im_session_event_handler);
    im_bus_handler(IM_BUS_KICK, im_session_kick_handler);
    im_bus_handler(IM_BUS_REPLACED, im_session_replaced_handler);

    im_node_handler(IM_BUS_EVENT, im_session_node_publish);
    im_node_handler(IM_BUS_KICK, im_session_node_publish);
    im_node_handler(IM_BUS_REPLACED, im_session_node_publish);

    if (im_node_event_add(im_session_node_event) != NGX_OK) {
        return NGX_ERROR;
    }

    if (im_bus_lost_handler(im_session_lost) != NGX_OK
        || im_slot_tick_add(im_session_tick) != NGX_OK
        || im_slot_drain_add(im_session_drain) != NGX_OK
        || im_slot_clear_add(im_session_clear) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
im_session_attach(im_session_t *s)
{
    uint64_t            serial;
    ngx_uint_t          slot;
    ngx_str_t           parts[2];
    ngx_time_t         *tp;
    im_slots_t          to;
    im_session_t       *old;
    im_bus_meta_t       meta;
    im_zone_node_t      key;
    im_session_kick_t   kick;
    im_session_list_t  *list;

    if (im_slot_draining()) {
        return NGX_BUSY;
    }

    s->platform = ngx_min(s->platform, IM_SESSION_PLATFORMS - 1);
    s->transport = ngx_min(s->transport, IM_SESSION_TRANSPORTS - 1);

    im_zone_node_init(&key, s->app, 0, 0, &s->user);
    s->hash = key.node.key >> 32;

    old = im_session_find(s->app, &s->user, s->inst);

    if (im_session_enter(s, 0, &slot, &serial) != NGX_OK) {
        im_zone_full();
        return NGX_BUSY;
    }

    s->attached = 1;
    s->behind = 1;
    s->syncing = 1;
    s->ending = 0;
    s->seen = 0;
    s->active = ngx_current_msec;

    tp = ngx_timeofday();
    s->since = (int64_t) tp->sec * 1000 + tp->msec;

    ngx_queue_insert_tail(&im_session_buckets[s->hash % IM_SESSION_BUCKETS],
                          &s->link);

    list = im_session_get_list(s->timeout);
    ngx_queue_insert_tail(&list->queue, &s->list);

    im_session_n++;
    im_bus_slot(im_slot_self())->sessions[s->transport][s->platform]++;

    im_worker_hold(1);

    if (old) {
        im_session_end(old, 1000);

    } else if (slot < IM_SLOTS) {

        ngx_memzero(&meta, sizeof(im_bus_meta_t));
        meta.app = s->app;
        meta.chain = s->hash;

        ngx_memzero(&kick, sizeof(im_session_kick_t));
        kick.serial = serial;
        kick.inst = s->inst;
        kick.len = s->user.len;

        parts[0].len = sizeof(im_session_kick_t);
        parts[0].data = (u_char *) &kick;
        parts[1] = s->user;

        im_slots_zero(&to);
        im_slots_set(&to, slot);

        (void) im_bus_publish(&to, IM_BUS_REPLACED, &meta, parts, 2);
    }

    return NGX_OK;
}


void
im_session_announce(im_session_t *s)
{
    if (im_redis_configured()) {
        im_presence_enter(s);
    }
}


ngx_int_t
im_session_replaced_record(im_session_t *s, ngx_str_t *rec)
{
    ngx_str_t          parts[2];
    im_bus_meta_t      meta;
    im_session_kick_t  kick;

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = s->app;
    meta.chain = s->hash;

    ngx_memzero(&kick, sizeof(im_session_kick_t));
    kick.inst = s->inst;
    kick.len = s->user.len;

    parts[0].len = sizeof(im_session_kick_t);
    parts[0].data = (u_char *) &kick;
    parts[1] = s->user;

    return im_node_record(rec, IM_BUS_REPLACED, &meta, parts, 2);
}


void
im_session_replaced(im_session_t *s)
{
    im_session_end(s, 1000);
}


/*
 * Makes the entry in the zone; *slot and *serial: of the one replaced.
 * again: the session keeps its number, and a younger one of the instance its
 * entry: NGX_DECLINED.
 */

static ngx_int_t
im_session_enter(im_session_t *s, ngx_uint_t again, ngx_uint_t *slot,
    uint64_t *serial)
{
    ngx_int_t           rc;
    ngx_queue_t        *q;
    im_zone_sh_t       *sh;
    im_zone_node_t      key;
    im_session_node_t  *node;
    im_session_user_t  *user;

    *slot = IM_SLOTS;
    *serial = 0;

    im_zone_node_init(&key, s->app, 0, 0, &s->user);

    sh = im_zone_lock();

    node = NULL;
    user = im_zone_node_find(&sh->users, &key);

    if (user == NULL) {
        user = im_zone_alloc_locked(sh, sizeof(im_session_user_t)
                                        + s->user.len);
        if (user == NULL) {
            goto full;
        }

        user->node = key;
        user->node.name = user->name;
        ngx_memcpy(user->name, s->user.data, s->user.len);
        ngx_queue_init(&user->entries);

        node = im_zone_alloc_locked(sh, sizeof(im_session_node_t));
        if (node == NULL) {
            im_zone_free_locked(sh, user);
            goto full;
        }

        ngx_rbtree_insert(&sh->users, &user->node.node);
        sh->nusers++;

    } else {

        for (q = ngx_queue_head(&user->entries);
             q != ngx_queue_sentinel(&user->entries);
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, im_session_node_t, queue);

            if (node->inst == s->inst) {
                break;
            }

            node = NULL;
        }

        if (node && again && node->serial >= s->serial) {
            rc = (node->serial == s->serial) ? NGX_OK : NGX_DECLINED;

            im_zone_unlock(sh);

            return rc;
        }

        if (node) {
            *slot = node->slot;
            *serial = node->serial;

            ngx_queue_remove(&node->queue);
            ngx_queue_remove(&node->slot_queue);

        } else {
            node = im_zone_alloc_locked(sh, sizeof(im_session_node_t));
            if (node == NULL) {
                goto full;
            }
        }
    }

    if (*slot == IM_SLOTS) {
        sh->nsessions++;
    }

    if (!again) {
        s->serial = ++sh->serial;
    }

    node->user = user;
    node->serial = s->serial;
    node->inst = s->inst;
    node->slot = im_slot_self();
    node->platform = s->platform;
    node->transport = s->transport;

    ngx_queue_insert_tail(&user->entries, &node->queue);
    ngx_queue_insert_tail(&sh->slots[node->slot].sessions, &node->slot_queue);

    im_zone_unlock(sh);

    return NGX_OK;

full:

    im_zone_unlock(sh);

    return NGX_BUSY;
}


static void
im_session_unlink(im_zone_sh_t *sh, im_session_node_t *node)
{
    im_session_user_t  *user;

    user = node->user;

    ngx_queue_remove(&node->queue);
    ngx_queue_remove(&node->slot_queue);
    im_zone_free_locked(sh, node);
    sh->nsessions--;

    if (ngx_queue_empty(&user->entries)) {
        ngx_rbtree_delete(&sh->users, &user->node.node);
        im_zone_free_locked(sh, user);
        sh->nusers--;
    }
}


void
im_session_detach(im_session_t *s)
{
    ngx_queue_t        *q;
    im_zone_sh_t       *sh;
    im_zone_node_t      key;
    im_session_node_t  *node;
    im_session_user_t  *user;

    if (!s->attached) {
        return;
    }

    s->attached = 0;

    if (im_session_next == &s->link) {
        im_session_next = ngx_queue_next(&s->link);
    }

    ngx_queue_remove(&s->link);
    ngx_queue_remove(&s->list);

    if (im_redis_configured()) {
        im_presence_leave(s);
    }

    im_session_n--;
    im_bus_slot(im_slot_self())->sessions[s->transport][s->platform]--;

    im_zone_node_init(&key, s->app, 0, 0, &s->user);

    sh = im_zone_lock();

    user = im_zone_node_find(&sh->users, &key);

    if (user) {
        for (q = ngx_queue_head(&user->entries);
             q != ngx_queue_sentinel(&user->entries);
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, im_session_node_t, queue);

            if (node->serial == s->serial) {
                im_session_unlink(sh, node);
                break;
            }
        }
    }

    im_zone_unlock(sh);

    im_worker_release(1);
}


void
im_session_touch(im_session_t *s)
{
    im_session_list_t  *list;

    s->active = ngx_current_msec;

    if (!s->attached || s->ending) {
        return;
    }

    list = im_session_get_list(s->timeout);

    ngx_queue_remove(&s->list);
    ngx_queue_insert_tail(&list->queue, &s->list);
}


/* tells the owner to close, once */

static void
im_session_end(im_session_t *s, ngx_uint_t code)
{
    if (s->ending) {
        return;
    }

    s->ending = 1;

    ngx_queue_remove(&s->list);
    ngx_queue_insert_tail(&im_session_ending, &s->list);

    s->ops->close(s, code);
}


static im_session_list_t *
im_session_get_list(ngx_msec_t timeout)
{
    ngx_uint_t          i;
    im_session_list_t  *list;

    for (i = 0; i < im_session_nlists; i++) {
        if (im_session_lists[i].timeout == timeout) {
            return &im_session_lists[i];
        }
    }

    /* too many different ones: the last list, the longest of its own */

    if (im_session_nlists == IM_SESSION_LISTS) {
        list = &im_session_lists[IM_SESSION_LISTS - 1];

        if (list->timeout && (timeout == 0 || timeout > list->timeout)) {
            list->timeout = timeout;
        }

        return list;
    }

    list = &im_session_lists[im_session_nlists++];

    list->timeout = timeout;
    ngx_queue_init(&list->queue);

    return list;
}


void
im_session_behind(im_session_t *s)
{
    s->behind = 1;

    if (s->syncing || !s->attached || s->ending) {
        return;
    }

    s->syncing = 1;
    s->ops->resync(s);
}


void
im_session_missed(im_session_t *s, int64_t seq)
{
    if (seq && s->cursor == seq) {
        s->cursor = seq - 1;
        s->seen = ngx_max(s->seen, seq);
    }

    im_session_behind(s);
}


ngx_int_t
im_session_caught_up(im_session_t *s, int64_t cursor)
{
    s->cursor = ngx_max(s->cursor, cursor);

    if (s->seen > s->cursor) {
        s->seen = s->cursor;
        return NGX_AGAIN;
    }

    s->behind = 0;
    s->syncing = 0;

    return NGX_OK;
}


/* slots where the user has sessions, or that instance */

static void
im_session_slots(ngx_uint_t app, ngx_str_t *user, uint32_t inst,
    im_slots_t *slots)
{
    ngx_queue_t        *q;
    im_zone_sh_t       *sh;
    im_zone_node_t      key;
    im_session_node_t  *node;
    im_session_user_t  *u;

    im_slots_zero(slots);
    im_zone_node_init(&key, app, 0, 0, user);

    sh = im_zone_lock();

    u = im_zone_node_find(&sh->users, &key);

    if (u) {
        for (q = ngx_queue_head(&u->entries);
             q != ngx_queue_sentinel(&u->entries);
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, im_session_node_t, queue);

            if (inst == 0 || node->inst == inst) {
                im_slots_set(slots, node->slot);
            }
        }
    }

    im_zone_unlock(sh);
}


ngx_int_t
im_session_publish(ngx_uint_t app, ngx_str_t *user, int64_t seq,
    uint32_t except, uint32_t only, ngx_uint_t flags, ngx_str_t *json)
{
    ngx_str_t           parts[3];
    im_slots_t          to;
    im_bus_meta_t       meta;
    im_zone_node_t      key;
    im_session_event_t  head;

    im_session_slots(app, user, 0, &to);

    if (im_slots_empty(&to) && !im_redis_up()) {
        return NGX_DECLINED;
    }

    im_zone_node_init(&key, app, 0, 0, user);

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = app;
    meta.flags = flags;
    meta.chain = key.node.key >> 32;
    meta.seq = seq;

    head.except = except;
    head.only = only;
    head.flags = 0;
    head.len = user->len;

    parts[0].len = sizeof(im_session_event_t);
    parts[0].data = (u_char *) &head;
    parts[1] = *user;
    parts[2] = *json;

    if (parts[0].len + user->len + json->len > im_bus_payload_max()) {

        if (seq == 0) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "event of %uz bytes is too long for the bus",
                          json->len);
            return NGX_OK;
        }

        head.flags = IM_SESSION_TOO_LONG;
        parts[2].len = 0;
    }

    if (im_redis_up()) {
        im_presence_publish(app, user, 0, IM_BUS_EVENT, &meta, parts, 3);
    }

    if (im_slots_empty(&to)) {
        return NGX_DECLINED;
    }

    return im_bus_publish(&to, IM_BUS_EVENT, &meta, parts, 3);
}


ngx_int_t
im_session_kick_publish(ngx_uint_t app, ngx_str_t *user, uint32_t inst,
    ngx_uint_t type, ngx_str_t *info)
{
    ngx_str_t          parts[3];
    im_slots_t         to;
    im_bus_meta_t      meta;
    im_zone_node_t     key;
    im_session_kick_t  kick;

    im_session_slots(app, user, inst, &to);

    if (im_slots_empty(&to) && !im_redis_up()) {
        return NGX_DECLINED;
    }

    im_zone_node_init(&key, app, 0, 0, user);

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = app;
    meta.chain = key.node.key >> 32;

    ngx_memzero(&kick, sizeof(im_session_kick_t));
    kick.inst = inst;
    kick.type = type;
    kick.len = user->len;

    parts[0].len = sizeof(im_session_kick_t);
    parts[0].data = (u_char *) &kick;
    parts[1] = *user;
    parts[2] = *info;

    if (im_redis_up()) {
        im_presence_publish(app, user, inst, IM_BUS_KICK, &meta, parts, 3);
    }

    if (im_slots_empty(&to)) {
        return NGX_DECLINED;
    }

    return im_bus_publish(&to, IM_BUS_KICK, &meta, parts, 3);
}


/* What another node has published. */

static void
im_session_node_publish(im_node_record_t *rec, ngx_str_t *payload)
{
    uint32_t             inst, len;
    ngx_int_t            rc;
    ngx_str_t            user, part;
    im_slots_t           to;
    im_bus_meta_t        meta;
    im_session_kick_t    kick;
    im_session_event_t   event;

    if (rec->kind == IM_BUS_EVENT) {

        if (payload->len < sizeof(im_session_event_t)) {
            return;
        }

        ngx_memcpy(&event, payload->data, sizeof(im_session_event_t));

        inst = 0;
        len = event.len;
        user.data = payload->data + sizeof(im_session_event_t);

    } else {

        if (payload->len < sizeof(im_session_kick_t)) {
            return;
        }

        ngx_memcpy(&kick, payload->data, sizeof(im_session_kick_t));

        inst = kick.inst;
        len = kick.len;
        user.data = payload->data + sizeof(im_session_kick_t);
    }

    if (len > (size_t) (payload->data + payload->len - user.data)) {
        return;
    }

    user.len = len;

    im_session_slots(rec->app, &user, inst, &to);

    if (im_slots_empty(&to)) {
        return;
    }

    ngx_memzero(&meta, sizeof(im_bus_meta_t));

    meta.app = rec->app;
    meta.flags = rec->flags;
    meta.chain = rec->chain;
    meta.seq = rec->seq;

    rc = im_bus_publish(&to, rec->kind, &meta, payload, 1);

    if (rc == NGX_DECLINED && rec->kind == IM_BUS_EVENT && rec->seq) {

        /* a larger bus over there */

        event.flags = IM_SESSION_TOO_LONG;
        ngx_memcpy(payload->data, &event, sizeof(im_session_event_t));

        part.data = payload->data;
        part.len = sizeof(im_session_event_t) + len;

        (void) im_bus_publish(&to, rec->kind, &meta, &part, 1);
    }
}


ngx_uint_t
im_session_list_all(ngx_uint_t app, ngx_str_t *user,
    im_session_entry_t *entries, ngx_uint_t max)
{
    ngx_uint_t  n;

    n = im_session_list(app, user, entries, max);

    if (im_redis_up() && n < max) {
        n += im_presence_list(app, user, entries + n, max - n);
    }

    return n;
}


ngx_uint_t
im_session_online_all(ngx_uint_t app, ngx_str_t *user)
{
    im_session_entry_t  entry;

    return im_session_list_all(app, user, &entry, 1);
}


void
im_session_each_all(ngx_uint_t app, ngx_str_t *users, ngx_uint_t n,
    im_session_each_pt fn, void *data)
{
    ngx_uint_t          i, k, found;
    im_session_entry_t  entries[IM_SESSION_EACH];

    for (i = 0; i < n; i++) {

        found = im_session_list(app, &users[i], entries, IM_SESSION_EACH);

        for (k = 0; k < found; k++) {
            fn(data, i, &entries[k]);
        }
    }

    if (im_redis_up()) {
        im_presence_each(app, users, n, fn, data);
    }
}


ngx_uint_t
im_session_reachable(ngx_uint_t app, ngx_str_t *user)
{
    return im_redis_up() || im_session_online(app, user);
}


ngx_uint_t
im_session_list(ngx_uint_t app, ngx_str_t *user, im_session_entry_t *entries,
    ngx_uint_t max)
{
    ngx_uint_t          n;
    ngx_queue_t        *q;
    im_zone_sh_t       *sh;
    im_zone_node_t      key;
    im_session_node_t  *node;
    im_session_user_t  *u;

    n = 0;
    im_zone_node_init(&key, app, 0, 0, user);

    sh = im_zone_lock();

    u = im_zone_node_find(&sh->users, &key);

    if (u) {
        for (q = ngx_queue_head(&u->entries);
             q != ngx_queue_sentinel(&u->entries) && n < max;
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, im_session_node_t, queue);

            entries[n].inst = node->inst;
            entries[n].platform = node->platform;
            entries[n].transport = node->transport;
            entries[n].slot = node->slot;
            entries[n].serial = node->serial;
            n++;
        }
    }

    im_zone_unlock(sh);

    return n;
}


ngx_uint_t
im_session_online(ngx_uint_t app, ngx_str_t *user)
{
    im_session_entry_t  entry;

    return im_session_list(app, user, &entry, 1);
}


im_session_t *
im_session_find(ngx_uint_t app, ngx_str_t *user, uint32_t inst)
{
    uint32_t         hash;
    ngx_queue_t     *q, *bucket;
    im_session_t    *s;
    im_zone_node_t   key;

    im_zone_node_init(&key, app, 0, 0, user);
    hash = key.node.key >> 32;
    bucket = &im_session_buckets[hash % IM_SESSION_BUCKETS];

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, im_session_t, link);

        if (s->hash == hash
            && s->inst == inst
            && s->app == app
            && !s->ending
            && s->user.len == user->len
            && ngx_memcmp(s->user.data, user->data, user->len) == 0)
        {
            return s;
        }
    }

    return NULL;
}


static ngx_uint_t
im_session_match(im_session_t *s, im_bus_buf_t *buf, ngx_str_t *user)
{
    return s->hash == (uint32_t) buf->chain
           && s->app == buf->app
           && s->user.len == user->len
           && ngx_memcmp(s->user.data, user->data, user->len) == 0;
}


static void
im_session_event_handler(im_bus_buf_t *buf)
{
    ngx_str_t            user, json;
    ngx_queue_t         *q, *bucket;
    im_session_t        *s;
    im_session_event_t  *head;

    head = (im_session_event_t *) buf->payload.data;

    user.len = head->len;
    user.data = (u_char *) (head + 1);

    json.data = user.data + user.len;
    json.len = buf->payload.data + buf->payload.len - json.data;

    bucket = &im_session_buckets[buf->chain % IM_SESSION_BUCKETS];

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = im_session_next)
    {
        im_session_next = ngx_queue_next(q);

        s = ngx_queue_data(q, im_session_t, link);

        if (!s->ending && im_session_match(s, buf, &user)) {
            im_session_deliver(s, buf, head, &json);
        }
    }

    im_session_next = NULL;
}


static void
im_session_deliver(im_session_t *s, im_bus_buf_t *buf,
    im_session_event_t *head, ngx_str_t *json)
{
    int64_t     seq;
    ngx_uint_t  skip;

    seq = buf->seq;
    skip = (head->except && head->except == s->inst)
           || (head->only && head->only != s->inst);

    if (seq == 0) {
        if (!skip) {
            s->ops->event(s, buf, json);
        }

        return;
    }

    if (s->behind) {
        s->seen = ngx_max(s->seen, seq);
        return;
    }

    if (seq <= s->cursor) {
        return;
    }

    if (seq > s->cursor + 1
        || (!skip && (head->flags & IM_SESSION_TOO_LONG)))
    {
        s->seen = seq;
        im_session_behind(s);
        return;
    }

    s->cursor = seq;

    if (!skip) {
        s->ops->event(s, buf, json);
    }
}


static void
im_session_kick_handler(im_bus_buf_t *buf)
{
    ngx_str_t           user, info;
    ngx_queue_t        *q, *bucket;
    im_session_t       *s;
    im_session_kick_t  *kick;

    kick = (im_session_kick_t *) buf->payload.data;

    user.len = kick->len;
    user.data = (u_char *) (kick + 1);

    info.data = user.data + user.len;
    info.len = buf->payload.data + buf->payload.len - info.data;

    bucket = &im_session_buckets[buf->chain % IM_SESSION_BUCKETS];

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = im_session_next)
    {
        im_session_next = ngx_queue_next(q);

        s = ngx_queue_data(q, im_session_t, link);

        if ((kick->inst == 0 || kick->inst == s->inst)
            && !s->ending
            && im_session_match(s, buf, &user))
        {
            s->ops->kick(s, kick->type, &info);
        }
    }

    im_session_next = NULL;
}


/* the instance has connected elsewhere */

static void
im_session_replaced_handler(im_bus_buf_t *buf)
{
    ngx_str_t           user;
    ngx_queue_t        *q, *bucket;
    im_session_t       *s;
    im_session_kick_t  *kick;

    kick = (im_session_kick_t *) buf->payload.data;

    user.len = kick->len;
    user.data = (u_char *) (kick + 1);

    bucket = &im_session_buckets[buf->chain % IM_SESSION_BUCKETS];

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, im_session_t, link);

        if (s->serial == kick->serial && im_session_match(s, buf, &user)) {
            im_session_end(s, 1000);
            return;
        }
    }
}


static void
im_session_lost(void)
{
    im_session_walk(IM_SESSION_RESYNC);
}


static void
im_session_node_event(im_node_event_e event, ngx_uint_t channel)
{
    if (event == IM_NODE_RESYNC) {
        im_session_walk(IM_SESSION_RESYNC);

    } else if (event == IM_NODE_REBUILD) {
        im_session_walk(IM_SESSION_PRESENT);
    }
}


/* All sessions are in Redis: what came before was not heard of. */

static void
im_session_present_handler(void *data, ngx_int_t rc, redisReply *reply)
{
    if (rc == NGX_OK) {
        im_session_walk(IM_SESSION_RESYNC);
    }
}


/* does something for all sessions, in slices */

static void
im_session_walk(ngx_uint_t what)
{
    im_session_walks |= what;
    im_session_walk_bucket = 0;

    ngx_post_event(&im_session_walk_event, &ngx_posted_next_events);
}


static void
im_session_walk_handler(ngx_event_t *ev)
{
    uint64_t       serial;
    ngx_int_t      rc;
    ngx_str_t      ping;
    ngx_uint_t     n, slot;
    ngx_queue_t   *q, *bucket;
    im_session_t  *s;

    n = 0;

    if ((im_session_walks & IM_SESSION_PRESENT)
        && im_stat_row[IM_STAT_REDIS_QUEUE] > IM_SESSION_WAITING)
    {
        ngx_add_timer(ev, IM_SESSION_PAUSE);
        return;
    }

    while (im_session_walk_bucket < IM_SESSION_BUCKETS) {

        if (n >= IM_SESSION_SLICE) {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        bucket = &im_session_buckets[im_session_walk_bucket++];

        for (q = ngx_queue_head(bucket);
             q != ngx_queue_sentinel(bucket);
             q = im_session_next)
        {
            im_session_next = ngx_queue_next(q);

            s = ngx_queue_data(q, im_session_t, link);
            n++;

            if (s->ending) {
                continue;
            }

            if (im_session_walks & IM_SESSION_REENTER) {

                rc = im_session_enter(s, 1, &slot, &serial);

                if (rc == NGX_DECLINED) {
                    im_session_end(s, 1000);
                    continue;
                }

                if (rc != NGX_OK) {
                    im_zone_full();
                    im_session_end(s, 1012);
                    continue;
                }
            }

            if (im_session_walks & IM_SESSION_PRESENT) {
                im_presence_again(s);
            }

            if (!(im_session_walks & (IM_SESSION_RESYNC|IM_SESSION_REENTER)))
            {
                continue;
            }

            /* one that reads already may have seen the head before: again */

            if (s->syncing) {
                s->seen = NGX_MAX_INT_T_VALUE;
            }

            /* the owner reads the stream up to its head */

            im_session_behind(s);
        }

        im_session_next = NULL;
    }

    n = im_session_walks & IM_SESSION_PRESENT;
    im_session_walks = 0;

    if (n) {
        ngx_str_set(&ping, "PING");

        (void) im_redis_call(NULL, 0, &ping, 1, im_session_present_handler,
                             NULL);
    }
}


static void
im_session_tick(void)
{
    ngx_uint_t          i, n, generation;
    ngx_queue_t        *q;
    im_session_t       *s;
    im_session_list_t  *list;

    generation = im_zone_generation();

    if (im_session_generation != generation) {
        im_session_generation = generation;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "zone \"im\" was emptied after a worker died in its "
                      "lock, %ui sessions enter it again", im_session_n);

        im_session_walk(IM_SESSION_REENTER);
    }

    if (im_redis_configured()
        && ++im_session_ticks % IM_SESSION_PRESENTS == 0)
    {
        im_session_walk(IM_SESSION_PRESENT);
    }

    im_presence_tick();

    n = 0;

    for (i = 0; i < im_session_nlists; i++) {
        list = &im_session_lists[i];

        while (list->timeout
               && !ngx_queue_empty(&list->queue)
               && n++ < IM_SESSION_SLICE)
        {
            q = ngx_queue_head(&list->queue);
            s = ngx_queue_data(q, im_session_t, list);

            if ((ngx_msec_int_t) (ngx_current_msec - s->active)
                < (ngx_msec_int_t) list->timeout)
            {
                break;
            }

            im_session_end(s, 1001);
        }
    }
}


static void
im_session_drain(void)
{
    ngx_uint_t  slices;

    slices = im_session_drain_time / IM_SESSION_DRAIN + 1;

    im_session_drain_slice = im_session_n / slices + 1;

    im_session_drain_handler(&im_session_drain_event);
}


static void
im_session_drain_handler(ngx_event_t *ev)
{
    ngx_uint_t          i, n;
    ngx_queue_t        *q;
    im_session_t       *s;
    im_session_list_t  *list;

    n = 0;

    for (i = 0; i < im_session_nlists; i++) {
        list = &im_session_lists[i];

        while (!ngx_queue_empty(&list->queue)) {

            if (n++ == im_session_drain_slice) {
                ngx_add_timer(ev, IM_SESSION_DRAIN);
                return;
            }

            q = ngx_queue_head(&list->queue);
            s = ngx_queue_data(q, im_session_t, list);

            im_session_end(s, 1012);
        }
    }
}


/* what a dead worker has left */

static void
im_session_clear(ngx_uint_t slot, ngx_pid_t pid)
{
    ngx_uint_t          n;
    ngx_queue_t        *q, *sessions;
    im_zone_sh_t       *sh;
    im_session_node_t  *node;

    do {
        sh = im_zone_lock();

        sessions = &sh->slots[slot].sessions;

        for (n = 0; n < IM_SESSION_CLEAR; n++) {

            if (ngx_queue_empty(sessions)
                || im_bus_slot(slot)->pid != pid)
            {
                break;
            }

            q = ngx_queue_head(sessions);
            node = ngx_queue_data(q, im_session_node_t, slot_queue);

            im_session_unlink(sh, node);
        }

        im_zone_unlock(sh);

    } while (n == IM_SESSION_CLEAR);
}


void
im_session_stat(im_session_stat_t *stat)
{
    ngx_uint_t      i, t, p;
    im_bus_slot_t  *slot;

    ngx_memzero(stat, sizeof(im_session_stat_t));

    for (i = 0; i < IM_SLOTS; i++) {
        slot = im_bus_slot(i);

        if (slot->pid == 0) {
            continue;
        }

        for (t = 0; t < IM_SESSION_TRANSPORTS; t++) {
            for (p = 0; p < IM_SESSION_PLATFORMS; p++) {
                stat->n[t][p] += slot->sessions[t][p];
                stat->total += slot->sessions[t][p];
            }
        }
    }
}
