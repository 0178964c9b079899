
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ROOM_H_INCLUDED_
#define _IM_ROOM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_bus.h"


/*
 * Live rooms: nothing is stored.  Numbers, joined users and the audience are
 * in the zone, recent messages in the log of the bus.  Who receives them in
 * this worker: im_room_member.h.
 */

#define IM_ROOM_NAME_MAX      128    /* bytes of a user's name */
#define IM_ROOM_SEQ_LEN       10     /* of the placeholder for MsgSeq */
#define IM_ROOM_BLOCK         16384
#define IM_ROOM_READ_MAX      64
#define IM_ROOM_MARKS         10
#define IM_ROOM_MARKED        1000
#define IM_ROOM_NO_SEQ        ((size_t) -1)


typedef enum {
    IM_ROOM_HIGH = 0,
    IM_ROOM_NORMAL,
    IM_ROOM_LOW,
    IM_ROOM_LOWEST
} im_room_prio_e;


/*
 * Numbers.  im_room_open(): NGX_OK, NGX_BUSY (zone full).  im_room_block():
 * numbers first..last were reserved in the store; blocks may be handed in
 * by several workers and in any order, what is below a number in use is
 * dropped.
 */
ngx_int_t im_room_open(ngx_uint_t app, uint64_t gno);
ngx_int_t im_room_block(ngx_uint_t app, uint64_t gno, int64_t first,
    int64_t last);

/*
 * Takes the next number and publishes.  The decimal number is written into
 * the payload at offset (IM_ROOM_NO_SEQ: nowhere), IM_ROOM_SEQ_LEN
 * characters, blanks in front.  prio comes back in buf->flags.  The peer
 * except gets no copy (0: none).  NGX_OK; NGX_AGAIN: reserve a block,
 * call im_room_block(), try again; NGX_DECLINED: too long; NGX_BUSY: full.
 */
ngx_int_t im_room_publish(ngx_uint_t app, uint64_t gno, ngx_uint_t prio,
    ngx_str_t *parts, ngx_uint_t n, size_t offset, uint64_t except,
    int64_t *seq);

/*
 * Publishes message seq of a stored group, or a hint (seq 0), to the workers
 * that have members of it.  What is too long for the bus the members
 * read from the stream: they are told by lost(), or not at all (seq 0:
 * NGX_DECLINED).
 */
ngx_int_t im_room_notify(ngx_uint_t app, uint64_t gno, int64_t seq,
    ngx_uint_t flags, ngx_str_t *parts, ngx_uint_t n, uint64_t except);

/* Last number that was published, 0: none known; *chain changes whenever
 * something is; and when it was. */
int64_t im_room_last(ngx_uint_t app, uint64_t gno);
int64_t im_room_head(ngx_uint_t app, uint64_t gno, uint64_t *chain);
time_t im_room_said(ngx_uint_t app, uint64_t gno);

/* NGX_OK: it is open on this node; NGX_DECLINED. */
ngx_int_t im_room_is_open(ngx_uint_t app, uint64_t gno);

/* The next rooms of the app that are open, at most max; *after is 0 at first,
 * and when there are no others. */
ngx_uint_t im_room_each(ngx_uint_t app, uint64_t *after, uint64_t *gnos,
    ngx_uint_t max);

/*
 * Messages of a room from number from on, oldest first, at most max
 * (<= IM_ROOM_READ_MAX) and max_bytes of payload (the first always comes).
 * fn answers NGX_OK to go on; it must take a reference to keep one.  *oldest
 * is the oldest number that the log still has (last + 1 when none).
 * NGX_OK; NGX_DECLINED: the room is not open.
 */
typedef ngx_int_t (*im_room_read_pt)(im_bus_buf_t *buf, void *data);

ngx_int_t im_room_read(ngx_uint_t app, uint64_t gno, int64_t from,
    ngx_uint_t max, size_t max_bytes, int64_t *oldest, im_room_read_pt fn,
    void *data);

/* Ends a room or group everywhere: what is in the zone goes, members are
 * unsubscribed and told by closed(). */
void im_room_close(ngx_uint_t app, uint64_t gno);


/*
 * Limits of messages per second, for stored groups as well.  exempt: only
 * the total counts.  NGX_OK, NGX_DECLINED.
 */
typedef struct {
    ngx_uint_t              total;   /* 0: no limit */
    ngx_uint_t              prio[4]; /* the same; [IM_ROOM_HIGH] is unused */
} im_room_limits_t;

ngx_int_t im_room_rate(ngx_uint_t app, uint64_t gno, ngx_uint_t prio,
    ngx_uint_t exempt, im_room_limits_t *limits);


/*
 * Logged-in users that have joined.  They stay for a while when their socket
 * is gone: im_room_leaving() starts it, a new im_room_join() ends it; death
 * of the worker starts it, too (with ttl of the join).
 */

typedef struct {
    u_char                  name[IM_ROOM_NAME_MAX];
    size_t                  len;
    uint32_t                inst;
    time_t                  joined;
    ngx_uint_t              nmarks;
    uint32_t                marks[IM_ROOM_MARKS];
} im_room_user_t;

/* NGX_OK: new; NGX_DECLINED: has been in, now with this inst; NGX_BUSY. */
ngx_int_t im_room_join(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    uint32_t inst, time_t joined, ngx_msec_t ttl);
/* inst 0: whichever.  NGX_DECLINED: was not in, or with another instance. */
ngx_int_t im_room_leave(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    uint32_t inst);
/* Only where the worker was the last one to call im_room_join(). */
void im_room_leaving(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    uint32_t inst);
/*
 * fn is called, in any worker, for a user who has no socket for that time and
 * keeps his place, and when he is back.  It must not suspend.
 * im_room_back(): he is not silent after all (tell: fn is called).
 */
typedef void (*im_room_silent_pt)(ngx_uint_t app, uint64_t gno,
    ngx_str_t *user, ngx_uint_t online);

void im_room_silent_handler(ngx_msec_t time, im_room_silent_pt fn);
void im_room_back(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    ngx_uint_t tell);

/* NGX_OK: in, *u (may be NULL) is a copy; NGX_DECLINED. */
ngx_int_t im_room_joined(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    im_room_user_t *u);
/* Rooms that the instance (0: any) is in, newest first; answers how many were
 * written. */
ngx_uint_t im_room_of_user(ngx_uint_t app, ngx_str_t *user, uint32_t inst,
    uint64_t *rooms, ngx_uint_t max);
/* In order of joining, or newest first; answers how many were written. */
ngx_uint_t im_room_list(ngx_uint_t app, uint64_t gno, ngx_uint_t newest,
    ngx_uint_t skip, im_room_user_t *users, ngx_uint_t max);

/*
 * Marks of joined users: a room has at most IM_ROOM_MARKS different ones,
 * each for at most IM_ROOM_MARKED users.  They end with the place.
 */
typedef struct {
    ngx_str_t               user;
    uint32_t                marks[IM_ROOM_MARKS];
    ngx_uint_t              n;
    ngx_int_t               rc;      /* NGX_OK; NGX_DECLINED: not in;
                                        NGX_BUSY: too many */
} im_room_mark_t;

/* Sets (or takes) the marks of n users, and rc of each. */
void im_room_mark(ngx_uint_t app, uint64_t gno, im_room_mark_t *list,
    ngx_uint_t n, ngx_uint_t set);
/* The newest first: those with the mark, or (0) all but those with hidden. */
ngx_uint_t im_room_marked(ngx_uint_t app, uint64_t gno, uint32_t mark,
    uint32_t hidden, ngx_uint_t skip, im_room_user_t *users, ngx_uint_t max);

/* A guest that polls was seen; it counts for ttl milliseconds. */
void im_room_guest_touch(ngx_uint_t app, uint64_t gno, uint64_t id,
    ngx_msec_t ttl);

typedef struct {
    ngx_uint_t              joined;  /* logged-in users */
    ngx_uint_t              guests;  /* connected or polling */
    ngx_uint_t              sockets; /* of logged-in users */
} im_room_audience_t;

void im_room_audience(ngx_uint_t app, uint64_t gno, im_room_audience_t *a);


/*
 * For im_room_node only.  A block that is left is taken from this node
 * (NGX_AGAIN: there is none); a number is written into a text; a message with
 * a number comes from Redis; all nodes together have let n messages of this
 * second pass; the audience of this node, that of others; the
 * room is to be told of; those that are, are told of now.
 */
ngx_int_t im_room_take(ngx_uint_t app, uint64_t gno, int64_t *first,
    int64_t *last);
void im_room_stamp(ngx_str_t *parts, ngx_uint_t n, size_t offset,
    int64_t seq);
void im_room_accept(ngx_uint_t app, uint64_t gno, int64_t seq,
    ngx_uint_t prio, ngx_str_t *text, size_t offset, uint64_t except);
void im_room_audience_here(ngx_uint_t app, uint64_t gno,
    im_room_audience_t *a);
void im_room_others(ngx_uint_t app, uint64_t gno, im_room_audience_t *a);
void im_room_used(u_char *key, uint64_t second, ngx_uint_t n);
void im_room_due(ngx_uint_t app, uint64_t gno);
void im_room_tell(void);

ngx_int_t im_room_init_process(ngx_cycle_t *cycle);

/* This worker's connected members of an open room. */
void im_room_contribute(ngx_uint_t app, uint64_t gno, ngx_uint_t users,
    ngx_uint_t guests);


#endif /* _IM_ROOM_H_INCLUDED_ */
