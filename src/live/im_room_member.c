
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_worker.h"
#include "live/im_node.h"
#include "live/im_room.h"
#include "live/im_room_member.h"
#include "live/im_room_node.h"
#include "live/im_room_settle.h"
#include "live/im_zone.h"


#define IM_ROOM_SLICE     512        /* members */
#define IM_ROOM_SLICE_US  2000
#define IM_ROOM_PASS      16         /* records in one walk */
#define IM_ROOM_REST      4          /* part of a walk that its room rests, */
#define IM_ROOM_REST_MAX  5          /* milliseconds */
#define IM_ROOM_PASS_SIZE 12288      /* bytes of them, but one at least */
#define IM_ROOM_BYTES     (64 * 1024 * 1024)
#define IM_ROOM_SMALL     300        /* members counted at once */
#define IM_ROOM_AGAIN     256        /* members told at once */
#define IM_ROOM_PAUSE     20
#define IM_ROOM_CHECK     10000      /* ms between two looks at a head */


typedef enum {
    IM_ROOM_JOB_RECORD = 0,
    IM_ROOM_JOB_LOST,
    IM_ROOM_JOB_CLOSE,
    IM_ROOM_JOB_MARK                 /* nothing: see im_room_settle.c */
} im_room_job_e;


typedef struct {
    ngx_queue_t        queue;
    im_room_job_e      type;
    im_bus_buf_t      *buf;
    uint64_t           serial;
    unsigned           started:1;
} im_room_job_t;


struct im_room_local_s {
    im_zone_node_t     node;
    ngx_uint_t         hash;

    ngx_queue_t        members;      /* the newest first */
    ngx_uint_t         users;
    ngx_uint_t         guests;

    ngx_queue_t        jobs;
    uint64_t           serial;       /* of the last job */
    ngx_queue_t       *next;         /* member that the started jobs are at */
    im_room_member_t  *member;       /* that is served, NULL: has gone */
    ngx_msec_t         began;        /* the last walk */
    ngx_msec_t         rest;         /* no walk before that */
    ngx_event_t        event;

    ngx_queue_t        dirty;        /* counts to be told */
    ngx_uint_t         round;        /* in which other nodes were told */

    int64_t            cursor;       /* of a stored group, -1: none yet */
    int64_t            seen;         /* the greatest number heard of */
    ngx_msec_t         checked;      /* when its head was asked for */

    unsigned           syncing:1;    /* the stream is being read */
    unsigned           is_dirty:1;
    unsigned           busy:1;       /* on the stack of im_room_run() */
    unsigned           ended:1;      /* the walk, but all may not be sent */
    unsigned           losing:1;     /* a job "lost" waits */
    unsigned           lost:1;       /* to be told to the stream's reader */
    unsigned           live:1;
    unsigned           missed:1;     /* perhaps, before there was a cursor */
    unsigned           is_checked:1;
};


static ngx_int_t im_room_member_init(ngx_cycle_t *cycle, im_conf_t *conf);
static im_room_local_t *im_room_find(ngx_uint_t app, uint64_t gno);
static void im_room_free(im_room_local_t *room);
static void im_room_changed(im_room_local_t *room);
static void im_room_count(im_room_local_t *room);
static void im_room_handler(im_bus_buf_t *buf);
static void im_room_stored(im_room_local_t *room, im_bus_buf_t *buf);
static void im_room_resync(im_room_local_t *room);
static ngx_int_t im_room_job(im_room_local_t *room, im_room_job_e type,
    im_bus_buf_t *buf);
static void im_room_job_free(im_room_job_t *job);
static ngx_uint_t im_room_make_way(im_room_local_t *room, ngx_uint_t prio);
static void im_room_lose(im_room_local_t *room);
static void im_room_next(im_room_local_t *room);
static void im_room_run(ngx_event_t *ev);
static void im_room_rest(im_room_local_t *room);
static void im_room_begin(im_room_local_t *room);
static void im_room_serve(im_room_local_t *room, im_room_member_t *m);
static void im_room_end(im_room_local_t *room);
static void im_room_member_lost(void);
static void im_room_node_event(im_node_event_e event, ngx_uint_t channel);
static void im_room_again_handler(ngx_event_t *ev);
static ngx_uint_t im_room_again(im_room_local_t *room, ngx_uint_t n);
static void im_room_member_tick(void);
static uint64_t im_room_usec(void);


im_worker_hook_t  im_room_member_hook = {
    ngx_string("room member"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_room_member_init,                   /* init process */
    NULL                                   /* exit process */
};


static ngx_rbtree_t       im_room_tree;
static ngx_rbtree_node_t  im_room_sentinel;
static ngx_queue_t        im_room_dirty;
static ngx_uint_t         im_room_generation;
static im_room_stream_pt  im_room_stream;
static im_room_stat_t     im_room_stats;
static ngx_uint_t         im_room_round;
static ngx_event_t        im_room_again_event;


static ngx_int_t
im_room_member_init(ngx_cycle_t *cycle, im_conf_t *conf)
{
    return im_room_member_init_process(cycle);
}


ngx_int_t
im_room_member_init_process(ngx_cycle_t *cycle)
{
    ngx_rbtree_init(&im_room_tree, &im_room_sentinel,
                    im_zone_node_insert_value);
    ngx_queue_init(&im_room_dirty);
    ngx_memzero(&im_room_stats, sizeof(im_room_stat_t));

    im_room_generation = im_zone_generation();

    ngx_memzero(&im_room_again_event, sizeof(ngx_event_t));
    im_room_again_event.handler = im_room_again_handler;
    im_room_again_event.data = &im_room_again_event;
    im_room_again_event.log = cycle->log;
    im_room_again_event.cancelable = 1;

    im_bus_handler(IM_BUS_ROOM, im_room_handler);
    im_bus_handler(IM_BUS_GROUP, im_room_handler);
    im_bus_handler(IM_BUS_GROUP_LOST, im_room_handler);
    im_bus_handler(IM_BUS_ROOM_CLOSE, im_room_handler);
    im_bus_handler(IM_BUS_MARK, im_room_handler);

    im_room_settle_init_process(cycle);

    if (im_bus_lost_handler(im_room_member_lost) != NGX_OK
        || im_node_event_add(im_room_node_event) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return im_slot_tick_add(im_room_member_tick);
}


ngx_int_t
im_room_subscribe(ngx_uint_t app, uint64_t gno, im_room_member_t *m)
{
    im_room_local_t  *room;

    if (m->room) {
        return NGX_OK;
    }

    room = im_room_find(app, gno);

    if (room == NULL) {
        room = ngx_calloc(sizeof(im_room_local_t), ngx_cycle->log);
        if (room == NULL) {
            return NGX_ERROR;
        }

        im_zone_node_init(&room->node, app, gno, 0, NULL);
        room->hash = im_bus_hash(app, gno);
        room->cursor = -1;
        room->live = m->live;

        ngx_queue_init(&room->members);
        ngx_queue_init(&room->jobs);

        room->next = ngx_queue_sentinel(&room->members);

        room->event.handler = im_room_run;
        room->event.data = room;
        room->event.log = ngx_cycle->log;

        ngx_rbtree_insert(&im_room_tree, &room->node.node);
        im_bus_interest_add(room->hash);

        im_node_listen(im_node_group(app, gno));

        if (room->live) {
            im_node_listen(im_node_room(app, gno));
        }

        im_room_stats.rooms++;
    }

    /* at the head: a job under way has passed there already */

    ngx_queue_insert_head(&room->members, &m->queue);
    m->room = room;
    m->since = room->serial;

    if (m->guest) {
        room->guests++;

    } else {
        room->users++;
    }

    im_room_stats.members++;

    im_room_changed(room);

    return NGX_OK;
}


void
im_room_unsubscribe(im_room_member_t *m)
{
    im_room_local_t  *room;

    room = m->room;

    if (room == NULL) {
        return;
    }

    if (room->next == &m->queue) {
        room->next = ngx_queue_next(&m->queue);
    }

    if (room->member == m) {
        room->member = NULL;
    }

    ngx_queue_remove(&m->queue);
    m->room = NULL;

    if (m->guest) {
        room->guests--;

    } else {
        room->users--;
    }

    im_room_stats.members--;

    im_room_changed(room);

    if (ngx_queue_empty(&room->members) && !room->busy) {
        im_room_free(room);
    }
}


static im_room_local_t *
im_room_find(ngx_uint_t app, uint64_t gno)
{
    im_zone_node_t  key;

    im_zone_node_init(&key, app, gno, 0, NULL);

    return im_zone_node_find(&im_room_tree, &key);
}


static void
im_room_free(im_room_local_t *room)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&room->jobs)) {
        q = ngx_queue_head(&room->jobs);
        im_room_job_free(ngx_queue_data(q, im_room_job_t, queue));
    }

    if (room->is_dirty) {
        im_room_count(room);
    }

    if (room->event.posted) {
        ngx_delete_posted_event(&room->event);
    }

    if (room->event.timer_set) {
        ngx_del_timer(&room->event);
    }

    ngx_rbtree_delete(&im_room_tree, &room->node.node);
    im_bus_interest_del(room->hash);

    im_node_unlisten(im_node_group(room->node.app, room->node.gno));

    if (room->live) {
        im_node_unlisten(im_node_room(room->node.app, room->node.gno));
    }

    im_room_stats.rooms--;

    ngx_free(room);
}


/* big rooms tell their counts once a second */

static void
im_room_changed(im_room_local_t *room)
{
    if (!room->is_dirty) {
        room->is_dirty = 1;
        ngx_queue_insert_tail(&im_room_dirty, &room->dirty);
    }

    if (room->users + room->guests < IM_ROOM_SMALL) {
        im_room_count(room);
    }
}


static void
im_room_count(im_room_local_t *room)
{
    room->is_dirty = 0;
    ngx_queue_remove(&room->dirty);

    im_room_contribute(room->node.app, room->node.gno, room->users,
                       room->guests);
}


static void
im_room_handler(im_bus_buf_t *buf)
{
    im_room_job_e     type;
    im_room_local_t  *room;

    room = im_room_find(buf->app, buf->chain);

    if (room == NULL) {
        if (buf->kind == IM_BUS_MARK) {
            im_room_passed(buf);
        }

        return;
    }

    if ((buf->kind == IM_BUS_GROUP || buf->kind == IM_BUS_GROUP_LOST)
        && buf->seq && im_room_stream)
    {
        im_room_stored(room, buf);
        return;
    }

    type = IM_ROOM_JOB_RECORD;

    if (buf->kind == IM_BUS_ROOM_CLOSE) {
        type = IM_ROOM_JOB_CLOSE;

    } else if (buf->kind == IM_BUS_MARK) {
        type = IM_ROOM_JOB_MARK;

    } else if (buf->kind == IM_BUS_GROUP_LOST) {
        im_room_lose(room);
        return;

    } else if (im_room_stats.bytes > IM_ROOM_BYTES) {

        if (buf->kind == IM_BUS_GROUP) {
            im_room_lose(room);
            return;
        }

        if (!im_room_make_way(room, buf->flags)) {
            im_room_stats.dropped++;
            return;
        }
    }

    if (im_room_job(room, type, buf) != NGX_OK) {
        im_room_stats.dropped++;
    }
}


/* A message of a stored group, by its number. */

static void
im_room_stored(im_room_local_t *room, im_bus_buf_t *buf)
{
    int64_t  seq;

    seq = buf->seq;

    room->seen = ngx_max(room->seen, seq);

    if (room->cursor == -1 || room->syncing || seq <= room->cursor) {
        return;
    }

    if (seq == room->cursor + 1
        && buf->kind == IM_BUS_GROUP
        && im_room_stats.bytes <= IM_ROOM_BYTES
        && im_room_job(room, IM_ROOM_JOB_RECORD, buf) == NGX_OK)
    {
        room->cursor = seq;
        return;
    }

    im_room_resync(room);
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


ngx_uint_t
im_room_followed(ngx_uint_t app, uint64_t gno)
{
    im_room_local_t  *room;

    room = im_room_find(app, gno);

    return room && room->cursor != -1;
}


void
im_room_follow(ngx_uint_t app, uint64_t gno, int64_t seq)
{
    im_room_local_t  *room;

    room = im_room_find(app, gno);

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

    room = im_room_find(app, gno);

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

    room = im_room_find(app, gno);

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

    room = im_room_find(app, gno);

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

    room = im_room_find(app, gno);

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


static ngx_int_t
im_room_job(im_room_local_t *room, im_room_job_e type, im_bus_buf_t *buf)
{
    im_room_job_t  *job;

    job = ngx_calloc(sizeof(im_room_job_t), ngx_cycle->log);
    if (job == NULL) {
        return NGX_ERROR;
    }

    job->type = type;
    job->serial = ++room->serial;

    if (buf) {
        job->buf = im_bus_buf_ref(buf);
        im_room_stats.bytes += buf->payload.len;
    }

    ngx_queue_insert_tail(&room->jobs, &job->queue);
    im_room_stats.jobs++;

    im_room_next(room);

    return NGX_OK;
}


static void
im_room_job_free(im_room_job_t *job)
{
    ngx_queue_remove(&job->queue);
    im_room_stats.jobs--;

    if (job->type == IM_ROOM_JOB_MARK) {
        im_room_passed(job->buf);
    }

    if (job->buf) {
        im_room_stats.bytes -= job->buf->payload.len;
        im_bus_buf_unref(job->buf);
    }

    ngx_free(job);
}


/* drops the oldest waiting message of the least priority, not above prio */

static ngx_uint_t
im_room_make_way(im_room_local_t *room, ngx_uint_t prio)
{
    ngx_queue_t    *q;
    im_room_job_t  *job, *least;

    least = NULL;

    for (q = ngx_queue_head(&room->jobs);
         q != ngx_queue_sentinel(&room->jobs);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, im_room_job_t, queue);

        if (job->type == IM_ROOM_JOB_RECORD
            && !job->started
            && job->buf->kind == IM_BUS_ROOM
            && job->buf->flags >= prio
            && (least == NULL || job->buf->flags > least->buf->flags))
        {
            least = job;
        }
    }

    if (least == NULL) {
        return 0;
    }

    im_room_job_free(least);
    im_room_stats.dropped++;

    return 1;
}


/* the members are told to read the stream, after what waits already */

static void
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


static void
im_room_next(im_room_local_t *room)
{
    ngx_msec_int_t  wait;

    if (room->event.posted || room->event.timer_set) {
        return;
    }

    wait = room->rest - ngx_current_msec;

    if (wait > 0) {
        ngx_add_timer(&room->event, wait);
        return;
    }

    ngx_post_event(&room->event, &ngx_posted_next_events);
}


/*
 * A walk over the members, in slices, with the records that waited at its
 * beginning: those for one connection are written together when the round of
 * the event loop ends.  The next walk waits for that, or what healthy readers
 * have to take would count as unsent.
 */

static void
im_room_run(ngx_event_t *ev)
{
    uint64_t           start;
    ngx_uint_t         n;
    ngx_queue_t       *q;
    im_room_job_t     *job;
    im_room_local_t   *room;

    room = ev->data;

    if (room->ended) {
        im_room_rest(room);

        if (ngx_queue_empty(&room->jobs)) {
            return;
        }

        if ((ngx_msec_int_t) (room->rest - ngx_current_msec) > 0) {
            im_room_next(room);
            return;
        }
    }

    room->busy = 1;

    q = ngx_queue_head(&room->jobs);
    job = ngx_queue_data(q, im_room_job_t, queue);

    if (!job->started) {
        im_room_begin(room);
    }

    start = im_room_usec();

    for (n = 0; room->next != ngx_queue_sentinel(&room->members); n++) {

        if (n == IM_ROOM_SLICE
            || (n % 32 == 31 && im_room_usec() - start > IM_ROOM_SLICE_US))
        {
            break;
        }

        q = room->next;
        room->next = ngx_queue_next(q);
        room->member = ngx_queue_data(q, im_room_member_t, queue);

        im_room_serve(room, room->member);
    }

    if (room->next == ngx_queue_sentinel(&room->members)) {
        im_room_end(room);
    }

    if (!ngx_queue_empty(&room->jobs) || room->ended) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }

    room->member = NULL;
    room->busy = 0;

    if (ngx_queue_empty(&room->members)) {
        im_room_free(room);
    }
}


/*
 * Those who publish again as soon as all have their message do so now: what
 * they send in a moment's rest goes to each member by one write.
 */

static void
im_room_rest(im_room_local_t *room)
{
    ngx_msec_t  elapsed;

    room->ended = 0;

    elapsed = ngx_current_msec - room->began;

    room->rest = ngx_current_msec
                 + ngx_min(elapsed / IM_ROOM_REST, IM_ROOM_REST_MAX);
}


static void
im_room_begin(im_room_local_t *room)
{
    size_t          size;
    ngx_uint_t      n;
    ngx_queue_t    *q;
    im_room_job_t  *job;

    n = 0;
    size = 0;

    for (q = ngx_queue_head(&room->jobs);
         q != ngx_queue_sentinel(&room->jobs);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, im_room_job_t, queue);

        if (job->buf) {
            size += job->buf->payload.len;
        }

        if (n == IM_ROOM_PASS || (n && size > IM_ROOM_PASS_SIZE)) {
            break;
        }

        job->started = 1;
        n++;

        if (job->type == IM_ROOM_JOB_LOST) {
            room->losing = 0;
        }
    }

    q = ngx_queue_head(&room->jobs);
    job = ngx_queue_data(q, im_room_job_t, queue);

    if (job->buf) {
        job->buf->alone = (n == 1);
    }

    room->next = ngx_queue_head(&room->members);
    room->began = ngx_current_msec;
}


static void
im_room_serve(im_room_local_t *room, im_room_member_t *m)
{
    ngx_queue_t    *q;
    im_room_job_t  *job;

    for (q = ngx_queue_head(&room->jobs);
         q != ngx_queue_sentinel(&room->jobs);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, im_room_job_t, queue);

        if (!job->started) {
            return;
        }

        if (m->since >= job->serial) {
            continue;
        }

        switch (job->type) {

        case IM_ROOM_JOB_RECORD:

            if (job->buf->except && job->buf->except == m->peer) {
                break;
            }

            im_room_stats.delivered++;
            m->deliver(m, job->buf);
            break;

        case IM_ROOM_JOB_LOST:

            if (m->lost) {
                m->lost(m);
            }

            break;

        case IM_ROOM_JOB_MARK:
            break;

        case IM_ROOM_JOB_CLOSE:

            im_room_unsubscribe(m);

            if (m->closed) {
                m->closed(m);
            }

            break;
        }

        if (room->member != m) {
            return;
        }
    }
}


static void
im_room_end(im_room_local_t *room)
{
    ngx_queue_t    *q;
    im_room_job_t  *job;

    while (!ngx_queue_empty(&room->jobs)) {

        q = ngx_queue_head(&room->jobs);
        job = ngx_queue_data(q, im_room_job_t, queue);

        if (!job->started) {
            break;
        }

        im_room_job_free(job);
    }

    room->ended = (room->users + room->guests >= IM_ROOM_SMALL);
}


static void
im_room_member_lost(void)
{
    im_room_local_t    *room;
    ngx_rbtree_node_t  *node;

    if (im_room_tree.root == im_room_tree.sentinel) {
        return;
    }

    for (node = ngx_rbtree_min(im_room_tree.root, im_room_tree.sentinel);
         node;
         node = ngx_rbtree_next(&im_room_tree, node))
    {
        room = (im_room_local_t *) node;
        im_room_lose(room);
    }
}


/* Records of other nodes may be lost, or were not heard of until now. */

static void
im_room_node_event(im_node_event_e event, ngx_uint_t channel)
{
    im_room_local_t    *room;
    ngx_rbtree_node_t  *node;

    if (event == IM_NODE_RESYNC) {
        im_room_member_lost();
        return;
    }

    if (event == IM_NODE_REBUILD) {
        im_room_round++;

        if (!im_room_again_event.timer_set) {
            ngx_add_timer(&im_room_again_event, IM_ROOM_PAUSE);
        }

        return;
    }

    if (event != IM_NODE_CHANNEL
        || channel >= IM_NODE_GROUPS
        || im_room_tree.root == im_room_tree.sentinel)
    {
        return;
    }

    for (node = ngx_rbtree_min(im_room_tree.root, im_room_tree.sentinel);
         node;
         node = ngx_rbtree_next(&im_room_tree, node))
    {
        room = (im_room_local_t *) node;

        if (room->live || room->hash % IM_NODE_GROUPS != channel) {
            continue;
        }

        if (room->cursor == -1) {
            room->missed = 1;

        } else {
            im_room_lose(room);
        }
    }
}


/* Redis is told of the users again, a few at a time. */

static void
im_room_again_handler(ngx_event_t *ev)
{
    ngx_uint_t          n;
    ngx_rbtree_node_t  *node;

    if (im_room_tree.root == im_room_tree.sentinel || !im_redis_up()) {
        return;
    }

    n = 0;

    for (node = ngx_rbtree_min(im_room_tree.root, im_room_tree.sentinel);
         node && n < IM_ROOM_AGAIN;
         node = ngx_rbtree_next(&im_room_tree, node))
    {
        n += im_room_again((im_room_local_t *) node, IM_ROOM_AGAIN - n);
    }

    if (n == IM_ROOM_AGAIN) {
        ngx_add_timer(ev, IM_ROOM_PAUSE);
    }
}


static ngx_uint_t
im_room_again(im_room_local_t *room, ngx_uint_t n)
{
    ngx_uint_t         told;
    ngx_queue_t       *q;
    im_room_member_t  *m;

    if (!room->live || room->round == im_room_round) {
        return 0;
    }

    told = 0;

    for (q = ngx_queue_last(&room->members);
         q != ngx_queue_sentinel(&room->members);
         q = ngx_queue_prev(q))
    {
        m = ngx_queue_data(q, im_room_member_t, queue);

        if (m->user.len == 0 || m->round == im_room_round) {
            continue;
        }

        if (told == n) {
            return told;
        }

        m->round = im_room_round;
        told++;

        im_room_node_join(room->node.app, room->node.gno, &m->user, m->inst,
                          m->joined, 0);
    }

    room->round = im_room_round;

    return told;
}


static void
im_room_member_tick(void)
{
    uint64_t           *row;
    ngx_uint_t          generation;
    ngx_queue_t        *q;
    im_room_local_t    *room;
    im_room_member_t   *m;
    ngx_rbtree_node_t  *node;

    generation = im_zone_generation();

    if (im_room_generation != generation
        && im_room_tree.root != im_room_tree.sentinel)
    {
        /* the zone was emptied */

        for (node = ngx_rbtree_min(im_room_tree.root, im_room_tree.sentinel);
             node;
             node = ngx_rbtree_next(&im_room_tree, node))
        {
            room = (im_room_local_t *) node;

            for (q = ngx_queue_last(&room->members);
                 q != ngx_queue_sentinel(&room->members);
                 q = ngx_queue_prev(q))
            {
                m = ngx_queue_data(q, im_room_member_t, queue);

                if (m->user.len) {
                    (void) im_room_join(room->node.app, room->node.gno,
                                        &m->user, m->inst, m->joined, m->ttl);
                }
            }

            if (!room->is_dirty) {
                room->is_dirty = 1;
                ngx_queue_insert_tail(&im_room_dirty, &room->dirty);
            }
        }
    }

    im_room_generation = generation;

    while (!ngx_queue_empty(&im_room_dirty)) {
        q = ngx_queue_head(&im_room_dirty);
        im_room_count(ngx_queue_data(q, im_room_local_t, dirty));
    }

    row = im_bus_slot(im_slot_self())->rooms;

    row[0] = im_room_stats.rooms;
    row[1] = im_room_stats.members;
    row[2] = im_room_stats.jobs;
    row[3] = im_room_stats.bytes;
    row[4] = im_room_stats.dropped;
    row[5] = im_room_stats.delivered;
}


void
im_room_stat(im_room_stat_t *stat)
{
    uint64_t    *row;
    ngx_uint_t   i;

    *stat = im_room_stats;

    for (i = 0; i < IM_SLOTS; i++) {

        if (i == im_slot_self() || !im_slot_alive(i)) {
            continue;
        }

        row = im_bus_slot(i)->rooms;

        stat->rooms += row[0];
        stat->members += row[1];
        stat->jobs += row[2];
        stat->bytes += row[3];
        stat->dropped += row[4];
        stat->delivered += row[5];
    }
}


static uint64_t
im_room_usec(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
