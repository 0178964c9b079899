
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ROOM_LOCAL_H_INCLUDED_
#define _IM_ROOM_LOCAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "live/im_room_member.h"
#include "live/im_zone.h"


/* A room, or a stored group, that this worker has members of. */

#define IM_ROOM_SMALL  300                   /* members counted at once */
#define IM_ROOM_BYTES  (64 * 1024 * 1024)    /* of records that wait */


typedef enum {
    IM_ROOM_JOB_RECORD = 0,
    IM_ROOM_JOB_LOST,
    IM_ROOM_JOB_CLOSE,
    IM_ROOM_JOB_MARK                 /* nothing: see im_room_settle.c */
} im_room_job_e;


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


im_room_local_t *im_room_local_find(ngx_uint_t app, uint64_t gno);
void im_room_local_free(im_room_local_t *room);

/*
 * im_room_job.c: something for all members, in order; buf may be NULL.
 * im_room_make_way() drops the oldest waiting message of the least priority,
 * not above prio; 0: there is none.
 */
ngx_int_t im_room_job(im_room_local_t *room, im_room_job_e type,
    im_bus_buf_t *buf);
void im_room_jobs_free(im_room_local_t *room);
ngx_uint_t im_room_make_way(im_room_local_t *room, ngx_uint_t prio);
void im_room_run(ngx_event_t *ev);

/*
 * im_room_stream.c: a message of a stored group, by its number; NGX_DECLINED:
 * the record is not one.  im_room_lose(): the members are told to read the
 * stream, after what waits already.
 */
ngx_int_t im_room_stored(im_room_local_t *room, im_bus_buf_t *buf);
void im_room_lose(im_room_local_t *room);


extern im_room_stat_t  im_room_stats;        /* of this worker */


#endif /* _IM_ROOM_LOCAL_H_INCLUDED_ */
