
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ROOM_MEMBER_H_INCLUDED_
#define _IM_ROOM_MEMBER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_bus.h"


/*
 * Members of rooms and of stored groups on this worker's connections, and the
 * handing out of records to them: in slices, the records of one room in
 * order, each from a posted event.
 */

typedef struct im_room_member_s  im_room_member_t;
typedef struct im_room_local_s   im_room_local_t;

/* Memory of the owner; zeroed, the first block is set by it but for queue and
 * since.  A walk over the members looks at what is before closed() only. */
struct im_room_member_s {
    ngx_queue_t             queue;
    uint64_t                since;   /* later jobs are for this member */
    uint64_t                peer;    /* gets no records that except it */
    void                   *data;
    /* a record (kind IM_BUS_ROOM or IM_BUS_GROUP); may unsubscribe any */
    void                  (*deliver)(im_room_member_t *m, im_bus_buf_t *buf);
    /* the room is gone, the member is unsubscribed already; may be NULL */
    void                  (*closed)(im_room_member_t *m);
    /* records were lost; of a stored group: read from the cursor.  May be
     * NULL */
    void                  (*lost)(im_room_member_t *m);
    ngx_uint_t              guest;
    ngx_uint_t              live;    /* of a live room, not a stored group */

    /* who has joined a live room, to enter it again when the zone was
     * emptied; user.len 0: nobody */
    ngx_str_t               user;
    uint32_t                inst;
    time_t                  joined;
    ngx_msec_t              ttl;

    im_room_local_t        *room;    /* NULL: not subscribed */
    ngx_uint_t              round;   /* in which other nodes were told */
};

/*
 * The worker's bit is set when it returns.  Records that were read before do
 * not come.  Live rooms are opened (or joined) first, so that the audience
 * counts.  NGX_OK, NGX_ERROR: no memory.
 */
ngx_int_t im_room_subscribe(ngx_uint_t app, uint64_t gno,
    im_room_member_t *m);
void im_room_unsubscribe(im_room_member_t *m);


/*
 * Stored groups have a cursor in each worker that has members of them: the
 * number of the last message that was handed out.  Records come to the
 * members in the order of their numbers and once; when one is missing, fn is
 * called: it reads the messages after the cursor, in a coroutine, hands them
 * in by im_room_feed() and calls im_room_fed().  lost: records without a
 * number may be missing, too; those that can be made again are handed in with
 * the number 0.
 *
 * im_room_follow() comes after the first im_room_subscribe(), seq is the
 * group's head, read after that.
 */
typedef void (*im_room_stream_pt)(ngx_uint_t app, uint64_t gno,
    int64_t cursor, ngx_uint_t lost);

void im_room_stream_handler(im_room_stream_pt fn);
void im_room_follow(ngx_uint_t app, uint64_t gno, int64_t seq);

/* What was handed out so far, -1: it is not followed. */
int64_t im_room_cursor(ngx_uint_t app, uint64_t gno);

/* A worker that dies between its commit and the record leaves a message that
 * nobody hears of.  im_room_unchecked(): the head of the group is to be asked
 * for, what it is goes to im_room_heard(). */
ngx_uint_t im_room_unchecked(ngx_uint_t app, uint64_t gno);
void im_room_heard(ngx_uint_t app, uint64_t gno, int64_t head);

/* NGX_OK: go on; NGX_DECLINED: nobody is there any more; NGX_BUSY: much
 * waits to be handed out, again later. */
ngx_int_t im_room_feed(ngx_uint_t app, uint64_t gno, int64_t seq,
    ngx_uint_t flags, ngx_str_t *text);
/* head: the greatest number that was read, 0: it has failed, the next record
 * tries again.  NGX_AGAIN: there are others after *cursor already, or others
 * were lost. */
ngx_int_t im_room_fed(ngx_uint_t app, uint64_t gno, int64_t head,
    int64_t *cursor, ngx_uint_t *lost);


typedef struct {
    ngx_uint_t              rooms;   /* a room counts in each worker */
    ngx_uint_t              members;
    ngx_uint_t              jobs;    /* records being handed out */
    size_t                  bytes;
    ngx_uint_t              dropped;
    uint64_t                delivered;
} im_room_stat_t;

/* Of all workers; the numbers of others are up to a second old. */
void im_room_stat(im_room_stat_t *stat);

ngx_int_t im_room_member_init_process(ngx_cycle_t *cycle);


#endif /* _IM_ROOM_MEMBER_H_INCLUDED_ */
