
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_SESSION_H_INCLUDED_
#define _IM_SESSION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_bus.h"


/*
 * A session is a login instance that is connected to this worker.  Where an
 * instance is, all workers see in the zone.
 */

#define IM_SESSION_PLATFORMS  16


typedef enum {
    IM_SESSION_WS = 0,
    IM_SESSION_POLL,
    IM_SESSION_TCP,
    IM_SESSION_TRANSPORTS
} im_session_transport_e;


typedef struct im_session_s  im_session_t;


/* Filled by the owner of the connection.  Any of them may detach the session
 * that it is called for. */

typedef struct {
    /* Sends one event.  json is the text inside buf->payload: whoever keeps
     * it takes a reference to buf.  May call im_session_behind(). */
    void                  (*event)(im_session_t *s, im_bus_buf_t *buf,
                                   ngx_str_t *json);
    /* The session has fallen behind: the owner reads the stream after
     * s->cursor, in a coroutine, and calls im_session_caught_up(). */
    void                  (*resync)(im_session_t *s);
    void                  (*kick)(im_session_t *s, ngx_uint_t type,
                                  ngx_str_t *info);
    /* code: of a WebSocket close: 1012 the worker exits, 1001 silence,
     * 1000 the instance has connected elsewhere. */
    void                  (*close)(im_session_t *s, ngx_uint_t code);
} im_session_ops_t;


/* Memory of the owner; zeroed, then the members of the first block are set
 * before im_session_attach(). */

struct im_session_s {
    ngx_uint_t              app;     /* SDKAppID */
    ngx_str_t               user;
    uint32_t                inst;
    ngx_uint_t              platform;
    ngx_uint_t              transport;
    ngx_msec_t              timeout; /* silence that ends it, 0: none */
    im_session_ops_t       *ops;
    void                   *data;

    int64_t                 cursor;  /* last inbox number that was sent */
    int64_t                 seen;    /* greatest one heard of while behind */
    ngx_msec_t              active;
    uint64_t                serial;  /* of the entry in the zone */
    int64_t                 since;   /* of the clock, ms */
    uint32_t                hash;
    ngx_queue_t             link;    /* sessions with a like hash */
    ngx_queue_t             list;    /* in order of last activity */

    unsigned                attached:1;
    unsigned                behind:1;
    unsigned                syncing:1; /* resync() was called */
    unsigned                ending:1;  /* close() was called */
};


/* An instance as all workers see it. */
typedef struct {
    uint32_t                inst;
    ngx_uint_t              platform;
    ngx_uint_t              transport;
    ngx_uint_t              slot;    /* IM_SLOTS: on another node */
    uint64_t                serial;
} im_session_entry_t;


/*
 * Enters the session.  An older one of the same instance is replaced,
 * wherever it is, and closed with 1000.  Afterwards read the head of the
 * inbox and set the cursor: no event is missed between the two, for events
 * that arrive meanwhile find the session behind.  NGX_OK; NGX_BUSY: the zone
 * is full or the worker drains.
 *
 * The session begins in the state "behind, syncing": im_session_caught_up()
 * starts the flow of events.
 */
ngx_int_t im_session_attach(im_session_t *s);

/*
 * Tells the other nodes of it; suspends if there are any.  It comes between
 * the two steps above, for the same reason.  Whether the session is still
 * there is to be asked afterwards.
 */
void im_session_announce(im_session_t *s);

/* Removes it; may be called for one that is not attached. */
void im_session_detach(im_session_t *s);

/* It has said something. */
void im_session_touch(im_session_t *s);

/* The session cannot take events, or missed some: resync() is called once. */
void im_session_behind(im_session_t *s);

/*
 * The same from event(): what was to be sent was not.  The number is that of
 * the event, 0 if it is not in the stream and is lost.
 */
void im_session_missed(im_session_t *s, int64_t seq);

/*
 * All up to cursor was sent.  NGX_OK: events flow.  NGX_AGAIN: a greater
 * number was heard of meanwhile, read once more (a second call with the same
 * cursor is taken at its word).
 */
ngx_int_t im_session_caught_up(im_session_t *s, int64_t cursor);


/*
 * Publishes event number seq of a user's inbox to the user's sessions.
 * seq 0: an online-only hint outside of the stream, always sent.  The
 * instance except (0: none) only moves its cursor; only (0: all) is the one
 * instance that gets it, others move their cursors.  flags come back in
 * buf->flags.  json too long for the bus: the sessions read the stream.
 * Those on other nodes get it, too.  NGX_OK; NGX_DECLINED: the user has no
 * session on this node.
 */
ngx_int_t im_session_publish(ngx_uint_t app, ngx_str_t *user, int64_t seq,
    uint32_t except, uint32_t only, ngx_uint_t flags, ngx_str_t *json);

/* Ends an instance, or all of the user's (inst 0), on all nodes.
 * NGX_DECLINED: none on this one. */
ngx_int_t im_session_kick_publish(ngx_uint_t app, ngx_str_t *user,
    uint32_t inst, ngx_uint_t type, ngx_str_t *info);

/* Instances of a user on this node; answers how many were written, at most
 * max. */
ngx_uint_t im_session_list(ngx_uint_t app, ngx_str_t *user,
    im_session_entry_t *entries, ngx_uint_t max);
ngx_uint_t im_session_online(ngx_uint_t app, ngx_str_t *user);

/* The same of all nodes; they suspend if there are others. */
ngx_uint_t im_session_list_all(ngx_uint_t app, ngx_str_t *user,
    im_session_entry_t *entries, ngx_uint_t max);
ngx_uint_t im_session_online_all(ngx_uint_t app, ngx_str_t *user);

/* Calls fn for the instances of n users on all nodes, i is the user's place in
 * the list; suspends if there are other nodes. */
typedef void (*im_session_each_pt)(void *data, ngx_uint_t i,
    im_session_entry_t *entry);

void im_session_each_all(ngx_uint_t app, ngx_str_t *users, ngx_uint_t n,
    im_session_each_pt fn, void *data);

/* The user is online, or may be on another node, with another instance than
 * except if that is not 0: there is somebody to publish to. */
ngx_uint_t im_session_reachable(ngx_uint_t app, ngx_str_t *user,
    uint32_t except);

/* The local session of an instance, or NULL. */
im_session_t *im_session_find(ngx_uint_t app, ngx_str_t *user, uint32_t inst);


/* For im_presence only: the instance has connected elsewhere; the record that
 * says so, without the serial. */
void im_session_replaced(im_session_t *s);
ngx_int_t im_session_replaced_record(im_session_t *s, ngx_str_t *rec);

/* For im_session_event only: the user's sessions in this worker, one after
 * another, then NULL.  Any may be detached meanwhile. */
im_session_t *im_session_first(ngx_uint_t app, uint32_t hash,
    ngx_str_t *user);
im_session_t *im_session_another(ngx_uint_t app, uint32_t hash,
    ngx_str_t *user);


typedef struct {
    ngx_uint_t              total;
    ngx_uint_t              n[IM_SESSION_TRANSPORTS][IM_SESSION_PLATFORMS];
} im_session_stat_t;

/* Sessions of all workers. */
void im_session_stat(im_session_stat_t *stat);

/* drain: over which time sessions are closed at exit. */
ngx_int_t im_session_init_process(ngx_cycle_t *cycle, ngx_msec_t drain);


#endif /* _IM_SESSION_H_INCLUDED_ */
