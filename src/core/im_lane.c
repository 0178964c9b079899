
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_lane.h"


#define IM_LANE_BUCKETS  1024

#define im_lane_bucket(lane)                                                  \
    (&im_lane_buckets[((lane)->peer ^ (lane)->name) % IM_LANE_BUCKETS])


static im_lane_t *im_lane_near(im_lane_t *lane, ngx_uint_t ahead);
static ngx_uint_t im_lane_held(im_lane_t *lane, ngx_uint_t ended);
static void im_lane_wake_next(im_lane_t *lane);


/* no list of its own for each lane: few commands are under way at once */

static ngx_queue_t  im_lane_buckets[IM_LANE_BUCKETS];


void
im_lane_enter(im_lane_t *lane, uint64_t peer, uint32_t name)
{
    ngx_queue_t  *bucket;

    ngx_memzero(lane, sizeof(im_lane_t));

    lane->peer = peer;
    lane->name = name;
    lane->time = ngx_time();

    bucket = im_lane_bucket(lane);

    if (bucket->next == NULL) {
        ngx_queue_init(bucket);
    }

    ngx_queue_insert_tail(bucket, &lane->queue);
}


void
im_lane_leave(im_lane_t *lane)
{
    im_lane_wake_next(lane);
    ngx_queue_remove(&lane->queue);
}


ngx_int_t
im_lane_wait(im_lane_t *lane, ngx_uint_t ended, ngx_msec_t timeout)
{
    ngx_int_t       rc;
    ngx_msec_t      end;
    ngx_msec_int_t  left;

    if (lane == NULL || !im_lane_held(lane, ended)) {
        return NGX_OK;
    }

    end = ngx_current_msec + timeout;

    do {
        left = (ngx_msec_int_t) (end - ngx_current_msec);

        if (left <= 0) {
            return NGX_BUSY;
        }

        lane->co = im_co_self();
        rc = im_co_wait(left);
        lane->co = NULL;

        if (rc != NGX_OK) {
            return rc;
        }

    } while (im_lane_held(lane, ended));

    return NGX_DONE;
}


void
im_lane_pass(im_lane_t *lane)
{
    if (lane == NULL || lane->passed) {
        return;
    }

    lane->passed = 1;
    im_lane_wake_next(lane);
}


/* The nearest one ahead, or behind; NULL: there is none. */

static im_lane_t *
im_lane_near(im_lane_t *lane, ngx_uint_t ahead)
{
    im_lane_t    *l;
    ngx_queue_t  *q, *bucket;

    bucket = im_lane_bucket(lane);
    q = &lane->queue;

    for ( ;; ) {
        q = ahead ? ngx_queue_prev(q) : ngx_queue_next(q);

        if (q == bucket) {
            return NULL;
        }

        l = ngx_queue_data(q, im_lane_t, queue);

        if (l->peer == lane->peer && l->name == lane->name) {
            return l;
        }
    }
}


/* Nobody passes before all ahead of him have done so. */

static ngx_uint_t
im_lane_held(im_lane_t *lane, ngx_uint_t ended)
{
    im_lane_t  *ahead;

    ahead = im_lane_near(lane, 1);

    return ahead && (ended || !ahead->passed);
}


/* Who is woken looks himself whether he may go on. */

static void
im_lane_wake_next(im_lane_t *lane)
{
    im_lane_t  *next;

    next = im_lane_near(lane, 0);

    if (next && next->co) {
        im_co_wake(next->co, NGX_OK);
    }
}
