
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_BUS_H_INCLUDED_
#define _IM_BUS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_slot.h"


/*
 * One circular log in shared memory: mailbox of all workers and history of
 * live rooms.  Each record is written once and names the slots that it is
 * for.  Records are hints: the log may lap a slow reader, who then resyncs.
 */

#define IM_BUS_RECORD_MAX   (1024 * 1024 + 64 * 1024)
#define IM_BUS_INTERESTS    65536
#define IM_BUS_ENCODINGS    4


typedef enum {
    IM_BUS_PAD = 0,
    IM_BUS_EVENT,                    /* im_session: events of a user */
    IM_BUS_KICK,                     /* im_session */
    IM_BUS_REPLACED,                 /* im_session */
    IM_BUS_ROOM,                     /* im_room: a message of a live room */
    IM_BUS_GROUP,                    /* im_room: one of a stored group */
    IM_BUS_GROUP_LOST,               /* im_room: one that was too long */
    IM_BUS_ROOM_CLOSE,               /* im_room */
    IM_BUS_POLL,                     /* the rest belongs to higher layers */
    IM_BUS_POLL_REPLY,
    IM_BUS_MEMBER,
    IM_BUS_STATE,
    IM_BUS_NODE,                     /* im_node: to the workers of a node */
    IM_BUS_STAMPS,                   /* im_node: stamps of another node */
    IM_BUS_OUTBOX,
    IM_BUS_AUDIENCE,                 /* im_room_node: between nodes */
    IM_BUS_LEFT,                     /* im_room_node: between nodes */
    IM_BUS_MARK,                     /* im_room_settle */
    IM_BUS_PASSED,                   /* im_room_settle */
    IM_BUS_MARKS,                    /* im_room_mark: between nodes */
    IM_BUS_OTHER,
    IM_BUS_KINDS = 32
} im_bus_kind_e;


typedef struct im_bus_buf_s  im_bus_buf_t;

/*
 * A record as its readers get it: a copy in this worker's memory, counted.
 * A handler that keeps it takes a reference.
 */
struct im_bus_buf_s {
    ngx_uint_t              refs;

    ngx_uint_t              kind;
    ngx_uint_t              from;    /* slot of the publisher */
    uint64_t                number;
    uint32_t                app;
    uint32_t                flags;
    uint64_t                chain;   /* gno of a room or group */
    uint64_t                seq;
    uint64_t                except;  /* peer that gets no copy, 0: none */

    ngx_str_t               payload;

    /* the payload as frames of a protocol, made by the first who needs it;
     * freed together with the buffer */
    void                   *encoded[IM_BUS_ENCODINGS];
    void                  (*encoded_free)(im_bus_buf_t *buf);

    unsigned                alone:1; /* nothing is delivered together with
                                        it */
};


/* What the caller of im_bus_publish() may add to a record. */
typedef struct {
    uint32_t                app;
    uint32_t                flags;
    uint64_t                chain;
    uint64_t                seq;
    uint64_t                except;
} im_bus_meta_t;


typedef struct {
    uint64_t                records;
    uint64_t                bytes;
    uint64_t                wakeups; /* writes to eventfds */
    uint64_t                laps;    /* readers that were lapped */
    uint64_t                size;    /* of the log */
    uint64_t                used;
} im_bus_stat_t;


typedef void (*im_bus_handler_pt)(im_bus_buf_t *buf);
typedef void (*im_bus_lost_pt)(void);


/* The function for records of a kind, set in or before init process. */
void im_bus_handler(ngx_uint_t kind, im_bus_handler_pt fn);

/* fn is called after the log has lapped this worker (at most 8 of them). */
ngx_int_t im_bus_lost_handler(im_bus_lost_pt fn);

/*
 * Appends one record made of n parts and wakes the slots.  meta may be NULL.
 * NGX_OK; NGX_DECLINED: longer than the log takes, nobody hears of it.  An
 * empty set of slots is fine.  The worker's own slot hears of it as others
 * do, from its event loop.
 */
ngx_int_t im_bus_publish(im_slots_t *to, ngx_uint_t kind, im_bus_meta_t *meta,
    ngx_str_t *parts, ngx_uint_t n);

/* Longest payload. */
size_t im_bus_payload_max(void);

im_bus_buf_t *im_bus_buf_ref(im_bus_buf_t *buf);
/* One that was never on the bus, with a copy of the text; NULL: no memory. */
im_bus_buf_t *im_bus_buf_new(ngx_str_t *text);
void im_bus_buf_unref(im_bus_buf_t *buf);

/*
 * This worker has (add) or has no longer (del) somebody interested in what
 * hash stands for; calls are counted.  The bit is set, for all to see, when
 * the first add returns: read a cursor after it.  Different things may share
 * a hash: readers look closer.
 */
void im_bus_interest_add(ngx_uint_t hash);
void im_bus_interest_del(ngx_uint_t hash);

/* Slots whose bit is set. */
void im_bus_interested(ngx_uint_t hash, im_slots_t *slots);

/* 0 .. IM_BUS_INTERESTS - 1 */
ngx_uint_t im_bus_hash(ngx_uint_t app, uint64_t gno);

void im_bus_stat(im_bus_stat_t *stat);


/*
 * For im_slot and im_room only.
 */

typedef struct {
    ngx_pid_t               pid;
    ngx_uint_t              starts;  /* times that the slot was claimed */
    ngx_msec_t              beat;
    uint64_t                first;   /* oldest unread record, under lock */
    ngx_atomic_t            signaled;
    ngx_atomic_t            lost;    /* times that it was lapped */
    ngx_atomic_t            sessions[4][16];
    uint64_t                rooms[6]; /* im_room_stat_t, as of the tick */
} im_bus_slot_t;

/* What the workers of a node share about the others, for im_node only. */

#define IM_BUS_CHANNELS     (256 + 4096)

typedef struct {
    ngx_atomic_t            epoch;   /* when the node was started, ms */
    ngx_atomic_t            owner;   /* pid << 8 | slot of who listens */
    ngx_atomic_t            up;      /* and is subscribed */
    ngx_atomic_t            rebuilds; /* times that Redis did not know us */
    ngx_atomic_t            channels[IM_BUS_CHANNELS]; /* subscribed to */
    im_slots_t              interests[IM_BUS_CHANNELS];
} im_bus_node_t;

/* Whether the lock of zone "im" is held: kept here, because that zone may
 * have to be made anew. */
typedef struct {
    ngx_atomic_t            locked;
    ngx_atomic_t            generation;
} im_bus_mark_t;

im_bus_mark_t *im_bus_mark(void);

/* The row of a slot. */
im_bus_slot_t *im_bus_slot(ngx_uint_t slot);

/* Handles what is unread, in slices: the rest is done from a posted event. */
void im_bus_read(void);

/*
 * The row becomes this worker's.  im_bus_slot_clear() forgets what was unread
 * for a slot and its interests as long as it belongs to pid, and answers
 * NGX_DECLINED when it does not; im_bus_slot_free() makes it nobody's.
 */
void im_bus_slot_claim(ngx_uint_t slot);
ngx_int_t im_bus_slot_clear(ngx_uint_t slot, ngx_pid_t pid);
void im_bus_slot_free(ngx_uint_t slot, ngx_pid_t pid);

im_bus_node_t *im_bus_node(void);

/* A stamp, see im_stamp.h. */
uint32_t *im_bus_stamp(ngx_uint_t hash);

/*
 * Appends a record of a chain while the caller holds the lock of the zone.
 * *chain is the position of the chain's last record, and becomes that of
 * this one.  im_bus_signal() follows after the lock was released.
 */
ngx_int_t im_bus_append(im_slots_t *to, ngx_uint_t kind, im_bus_meta_t *meta,
    ngx_str_t *parts, ngx_uint_t n, uint64_t *chain);
void im_bus_signal(im_slots_t *to);

/* The head of the record at a position and the position before it in its
 * chain.  NGX_DECLINED: overwritten. */
ngx_int_t im_bus_peek(uint64_t pos, im_bus_meta_t *meta, uint64_t *prev,
    size_t *size);
/* A copy; NULL: overwritten or no memory. */
im_bus_buf_t *im_bus_copy(uint64_t pos);

/* init_zone of the bus. */
ngx_int_t im_bus_init_zone(ngx_shm_zone_t *shm_zone, void *data);


#endif /* _IM_BUS_H_INCLUDED_ */
