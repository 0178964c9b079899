
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_NODE_H_INCLUDED_
#define _IM_NODE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_bus.h"
#include "live/im_redis.h"


/*
 * Several nodes.  A node is known by its name and its epoch, the time of its
 * start; as long as it beats, what it has written into Redis is valid.  One
 * worker of a node listens to the channels of Redis and hands in what it
 * hears as a local publisher would; when it ends, another one does.  What a
 * node sends comes back to it, too; kinds IM_BUS_ROOM, IM_BUS_ROOM_CLOSE and
 * IM_BUS_MARKS are handed in then, in the order that all nodes see.
 *
 * Without "redis" none of these functions does anything.
 */

#define IM_NODE_MAGIC     0x326d6931     /* one version and byte order */

/* channels: stored groups, live rooms */
#define IM_NODE_GROUPS    256
#define IM_NODE_ROOMS     4096

#define im_node_group(app, gno)                                               \
    (im_bus_hash(app, gno) % IM_NODE_GROUPS)
#define im_node_room(app, gno)                                                \
    (IM_NODE_GROUPS + im_bus_hash(app, gno) % IM_NODE_ROOMS)


/* A record between nodes; the payload follows. */

typedef struct {
    uint32_t              magic;
    uint32_t              kind;      /* im_bus_kind_e */
    uint64_t              seq;
    uint64_t              origin;    /* of the node that sends it */
    uint64_t              chain;
    uint64_t              except;
    uint32_t              app;
    uint32_t              flags;
} im_node_record_t;


typedef void (*im_node_pt)(im_node_record_t *rec, ngx_str_t *payload);

/* The function for records of a kind, in the worker that listens. */
void im_node_handler(ngx_uint_t kind, im_node_pt fn);


typedef enum {
    IM_NODE_RESYNC = 1,              /* records may have been lost */
    IM_NODE_REBUILD,                 /* Redis knows nothing of this worker */
    IM_NODE_CHANNEL,                 /* the same of one channel */
    IM_NODE_WANT,                    /* for im_node only */
    IM_NODE_PROBE                    /* for im_node only */
} im_node_event_e;

typedef void (*im_node_event_pt)(im_node_event_e event, ngx_uint_t channel);

/* fn is called in every worker; at most 8 of them. */
ngx_int_t im_node_event_add(im_node_event_pt fn);


/*
 * This worker has (or has no longer) somebody to hear what comes on a
 * channel; calls are counted.  When the node listens to it for the first
 * time, IM_NODE_CHANNEL tells of it.
 */
void im_node_listen(ngx_uint_t channel);
void im_node_unlisten(ngx_uint_t channel);

/* Suspends the coroutine until the node listens to the channel, or it is
 * clear that it will not. */
void im_node_wait(ngx_uint_t channel);


/* The node listens to it, and will for a while. */
ngx_uint_t im_node_hears(ngx_uint_t channel);


/* Publishes a record to the nodes that listen to the channel.  NGX_OK: it is
 * on its way; NGX_DECLINED: Redis is down, NGX_ERROR: no memory. */
ngx_int_t im_node_publish(ngx_uint_t channel, ngx_uint_t kind,
    im_bus_meta_t *meta, ngx_str_t *parts, ngx_uint_t n);

/* The same to all nodes. */
ngx_int_t im_node_publish_all(ngx_uint_t kind, im_bus_meta_t *meta,
    ngx_str_t *parts, ngx_uint_t n);

/* The same to one node, by its name. */
ngx_int_t im_node_send(ngx_str_t *node, ngx_uint_t kind, im_bus_meta_t *meta,
    ngx_str_t *parts, ngx_uint_t n);

/* Something was not told to another node, for Redis is down: when it is back,
 * the others are told that they may have missed something. */
void im_node_miss(void);

/* A record made of meta and n parts, in memory of the caller's that ends
 * with ngx_free(rec->data).  NGX_ERROR: no memory. */
ngx_int_t im_node_record(ngx_str_t *rec, ngx_uint_t kind,
    im_bus_meta_t *meta, ngx_str_t *parts, ngx_uint_t n);


/* "NODE|EPOCH", what entries of this node in Redis begin with. */
ngx_str_t *im_node_id(void);
/* Prefix of the keys that beat, and of the channels of nodes. */
ngx_str_t *im_node_beats(void);
ngx_str_t *im_node_buses(void);

/* Name of a channel; buf has IM_REDIS_KEY_MAX bytes. */
void im_node_channel(ngx_str_t *name, u_char *buf, ngx_uint_t channel);

/* 1: this worker is the one that listens for the node. */
ngx_uint_t im_node_listens(void);


#endif /* _IM_NODE_H_INCLUDED_ */
