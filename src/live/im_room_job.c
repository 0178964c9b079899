
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "live/im_room_local.h"
#include "live/im_room_member.h"
#include "live/im_room_settle.h"


#define IM_ROOM_SLICE     512        /* members */
#define IM_ROOM_SLICE_US  2000
#define IM_ROOM_PASS      16         /* records in one walk */
#define IM_ROOM_PASS_SIZE 12288      /* bytes of them, but one at least */
#define IM_ROOM_AHEAD     256        /* bytes of what a member belongs to */
#define IM_ROOM_REST      4          /* part of a walk that its room rests, */
#define IM_ROOM_REST_MAX  5          /* milliseconds */


typedef struct {
    ngx_queue_t        queue;
    im_room_job_e      type;
    im_bus_buf_t      *buf;
    uint64_t           serial;
    unsigned           started:1;
} im_room_job_t;


static void im_room_job_free(im_room_job_t *job);
static void im_room_next(im_room_local_t *room);
static void im_room_ahead(ngx_queue_t *q);
static void im_room_rest(im_room_local_t *room);
static void im_room_begin(im_room_local_t *room);
static void im_room_serve(im_room_local_t *room, im_room_member_t *m);
static void im_room_end(im_room_local_t *room);
static uint64_t im_room_usec(void);


ngx_int_t
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


void
im_room_jobs_free(im_room_local_t *room)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&room->jobs)) {
        q = ngx_queue_head(&room->jobs);
        im_room_job_free(ngx_queue_data(q, im_room_job_t, queue));
    }
}


ngx_uint_t
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

void
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

        if (room->next != ngx_queue_sentinel(&room->members)) {
            im_room_ahead(room->next);
        }

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
        im_room_local_free(room);
    }
}


/*
 * What the next member, and then the one after it, will need is on its way
 * from memory while this one's system call runs.
 */

static void
im_room_ahead(ngx_queue_t *q)
{
    u_char            *p;
    ngx_uint_t         i;
    im_room_member_t  *m;

    m = ngx_queue_data(q, im_room_member_t, queue);
    p = m->data;

    __builtin_prefetch(ngx_queue_next(q));

    for (i = 0; i < IM_ROOM_AHEAD; i += 64) {
        __builtin_prefetch(p + i);
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


static uint64_t
im_room_usec(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
