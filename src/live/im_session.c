
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
#include "live/im_session_entry.h"
#include "live/im_session_event.h"
#include "live/im_zone.h"


#define IM_SESSION_BUCKETS   16384
#define IM_SESSION_LISTS     16      /* different timeouts */
#define IM_SESSION_SLICE     512
#define IM_SESSION_DRAIN     50      /* milliseconds between slices */

#define IM_SESSION_RESYNC    1
#define IM_SESSION_REENTER   2
#define IM_SESSION_PRESENT   4

#define IM_SESSION_PRESENTS  3600    /* ticks between those of all */
#define IM_SESSION_WAITING   2000    /* calls of Redis */
#define IM_SESSION_PAUSE     10


typedef struct {
    ngx_msec_t               timeout;
    ngx_queue_t              queue;  /* longest silent first */
} im_session_list_t;


static ngx_int_t im_session_init(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_session_end(im_session_t *s, ngx_uint_t code);
static im_session_list_t *im_session_get_list(ngx_msec_t timeout);
static ngx_uint_t im_session_is(im_session_t *s, ngx_uint_t app,
    uint32_t hash, ngx_str_t *user);
static void im_session_node_event(im_node_event_e event,
    ngx_uint_t channel);
static void im_session_present_handler(void *data, ngx_int_t rc,
    redisReply *reply);
static void im_session_lost(void);
static void im_session_walk(ngx_uint_t what);
static void im_session_walk_handler(ngx_event_t *ev);
static void im_session_tick(void);
static void im_session_drain(void);
static void im_session_drain_handler(ngx_event_t *ev);


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

    im_worker_timer(&im_session_walk_event, im_session_walk_handler,
                    cycle->log);

    im_worker_timer(&im_session_drain_event, im_session_drain_handler,
                    cycle->log);

    im_session_event_init();

    if (im_node_event_add(im_session_node_event) != NGX_OK
        || im_bus_lost_handler(im_session_lost) != NGX_OK
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
    ngx_time_t         *tp;
    im_session_t       *old;
    im_session_list_t  *list;

    if (im_slot_draining()) {
        return NGX_BUSY;
    }

    s->platform = ngx_min(s->platform, IM_SESSION_PLATFORMS - 1);
    s->transport = ngx_min(s->transport, IM_SESSION_TRANSPORTS - 1);

    s->hash = im_session_hash(s->app, &s->user);

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
        im_session_replace(s, slot, serial);
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


void
im_session_replaced(im_session_t *s)
{
    im_session_end(s, 1000);
}


void
im_session_detach(im_session_t *s)
{
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

    im_session_leave(s);

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


im_session_t *
im_session_find(ngx_uint_t app, ngx_str_t *user, uint32_t inst)
{
    uint32_t       hash;
    ngx_queue_t   *q, *bucket;
    im_session_t  *s;

    hash = im_session_hash(app, user);
    bucket = &im_session_buckets[hash % IM_SESSION_BUCKETS];

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, im_session_t, link);

        if (s->inst == inst && im_session_is(s, app, hash, user)) {
            return s;
        }
    }

    return NULL;
}


im_session_t *
im_session_first(ngx_uint_t app, uint32_t hash, ngx_str_t *user)
{
    im_session_next = ngx_queue_head(&im_session_buckets[hash
                                                     % IM_SESSION_BUCKETS]);

    return im_session_another(app, hash, user);
}


im_session_t *
im_session_another(ngx_uint_t app, uint32_t hash, ngx_str_t *user)
{
    ngx_queue_t   *bucket;
    im_session_t  *s;

    bucket = &im_session_buckets[hash % IM_SESSION_BUCKETS];

    while (im_session_next != ngx_queue_sentinel(bucket)) {

        s = ngx_queue_data(im_session_next, im_session_t, link);
        im_session_next = ngx_queue_next(im_session_next);

        if (im_session_is(s, app, hash, user)) {
            return s;
        }
    }

    im_session_next = NULL;

    return NULL;
}


static ngx_uint_t
im_session_is(im_session_t *s, ngx_uint_t app, uint32_t hash, ngx_str_t *user)
{
    return s->hash == hash
           && s->app == app
           && !s->ending
           && s->user.len == user->len
           && ngx_memcmp(s->user.data, user->data, user->len) == 0;
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
