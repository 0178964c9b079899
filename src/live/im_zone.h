
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ZONE_H_INCLUDED_
#define _IM_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_map.h"
#include "live/im_slot.h"


/*
 * Two zones: "im" (slab, small nodes) and "im_bus" (fixed layout: slots,
 * interests, stamps, the log).  All that is in them can be rebuilt.
 *
 * A worker that dies while it holds the lock of "im" leaves it marked; the
 * next one to take the lock empties the zone and raises its generation, and
 * every worker puts its sessions and rooms in again at its next tick.
 */

#define IM_ZONE_KEY_LEN  16


/* Adds both zones at configuration time. */
ngx_int_t im_zone_add(ngx_conf_t *cf, size_t zone, size_t bus);

/* A key of the small tables: a digest over the application, a number that
 * tells what the key is for, and n strings. */
void im_zone_key(u_char key[IM_ZONE_KEY_LEN], ngx_uint_t app, ngx_uint_t what,
    ngx_str_t *parts, ngx_uint_t n);

typedef enum {
    IM_KEY_MESSAGE = 1,              /* duplicates of online-only messages */
    IM_KEY_COMMIT,                   /* a send that is under way */
    IM_KEY_ONCE,                     /* (instance, frame seq) */
    IM_KEY_RATE,
    IM_KEY_FAILURES,
    IM_KEY_ROOM_RATE,
    IM_KEY_OTHER = 32
} im_zone_key_e;


typedef struct {
    uint64_t                size;
    uint64_t                used;
    ngx_uint_t              entries; /* of the small tables */
    ngx_uint_t              users;
    ngx_uint_t              sessions;
    ngx_uint_t              rooms;
    ngx_uint_t              joined;
    ngx_uint_t              evicted;
    ngx_uint_t              full;    /* refusals */
    ngx_uint_t              resets;
} im_zone_stat_t;

void im_zone_stat(im_zone_stat_t *stat);


/*
 * For the files of live/ only: the head of the zone, its lock, memory.
 */

typedef struct {
    ngx_queue_t             queue;   /* most recently used first */
    ngx_uint_t              count;
    size_t                  bytes;
} im_zone_lru_t;


/* an entry; what a, b, state and data mean depends on the table */

typedef struct {
    im_map_node_t           node;    /* hash: the first bytes of key */
    ngx_queue_t             queue;
    u_char                  key[IM_ZONE_KEY_LEN];
    ngx_msec_t              expires;
    int64_t                 a;
    int64_t                 b;
    uint32_t                size;    /* of the whole entry */
    uint16_t                len;
    uint8_t                 table;
    uint8_t                 state;
    u_char                  data[48]; /* or more, 128 in all */
} im_zone_entry_t;


typedef enum {
    IM_LRU_SIG = 0,
    IM_LRU_MARKER,
    IM_LRU_RATE,
    IM_LRU_FAILURES,
    IM_LRU_ROOM_RATE,
    IM_LRU_TABLES
} im_zone_lru_e;


typedef struct {
    ngx_queue_t             sessions;
    ngx_queue_t             joined;
    ngx_queue_t             audience;
} im_zone_slot_t;


typedef struct {
    ngx_uint_t              layout;

    im_zone_lru_t           lru[IM_LRU_TABLES];
    im_map_t                entries; /* of all of them */
    size_t                  lru_bytes;

    uint64_t                serial;
    im_map_t                users;   /* with sessions */

    ngx_rbtree_t            rooms;
    ngx_rbtree_node_t       rooms_sentinel;
    ngx_rbtree_t            joined;
    ngx_rbtree_node_t       joined_sentinel;
    ngx_rbtree_t            guests;
    ngx_rbtree_node_t       guests_sentinel;
    ngx_queue_t             idle;    /* rooms, most recently used first */
    ngx_queue_t             closing; /* rooms that are being taken apart */
    ngx_queue_t             leaving; /* joined users without a socket */
    ngx_queue_t             silent;  /* those who will be, oldest first */
    ngx_queue_t             polls;   /* guests, most recently seen first */
    ngx_queue_t             tell;    /* rooms, longest untold first */
    ngx_uint_t              round;   /* older ones are to be told again */

    im_zone_slot_t          slots[IM_SLOTS];

    ngx_uint_t              nusers;
    ngx_uint_t              nsessions;
    ngx_uint_t              nrooms;
    ngx_uint_t              njoined;
    ngx_uint_t              nguests;
    ngx_uint_t              evicted;
    ngx_uint_t              full;
} im_zone_sh_t;


/* Takes the lock; the head is valid until im_zone_unlock(). */
im_zone_sh_t *im_zone_lock(void);
void im_zone_unlock(im_zone_sh_t *sh);

/* Expires tails of the tables when the zone is full; NULL: still full, the
 * caller answers "busy" after im_zone_unlock() and calls im_zone_full(). */
void *im_zone_alloc_locked(im_zone_sh_t *sh, size_t size);
void im_zone_free_locked(im_zone_sh_t *sh, void *p);
void im_zone_full(void);
size_t im_zone_size(void);

#define IM_ZONE_EVICT       16       /* entries of a table at once */

/* The living entry or NULL; a new one with len bytes of zeroed data, or NULL:
 * full.  The caller sets expires. */
im_zone_entry_t *im_zone_find_locked(im_zone_sh_t *sh, ngx_uint_t table,
    u_char *key);
im_zone_entry_t *im_zone_new_locked(im_zone_sh_t *sh, ngx_uint_t table,
    u_char *key, size_t len);
/* The living entry, or a new one, whose expires is 0. */
im_zone_entry_t *im_zone_get_locked(im_zone_sh_t *sh, ngx_uint_t table,
    u_char *key, size_t len);
void im_zone_remove_locked(im_zone_sh_t *sh, im_zone_entry_t *e);
/* Removes n entries of the tail; n == 0: at most two that have expired. */
void im_zone_evict_locked(im_zone_sh_t *sh, ngx_uint_t table, ngx_uint_t n);


/* What rooms, joined users and guests are found by. */

typedef struct {
    ngx_rbtree_node_t       node;    /* key: hash of the rest */
    uint64_t                gno;
    uint64_t                id;
    uint32_t                app;
    uint32_t                len;
    u_char                 *name;
} im_zone_node_t;

/* Fills a node to look for, or to insert; keeps name->data (name may be
 * NULL). */
void im_zone_node_init(im_zone_node_t *n, ngx_uint_t app, uint64_t gno,
    uint64_t id, ngx_str_t *name);
void *im_zone_node_find(ngx_rbtree_t *tree, im_zone_node_t *key);
void im_zone_node_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);


/* Changes when the zone was emptied. */
ngx_uint_t im_zone_generation(void);

ngx_int_t im_zone_init_zone(ngx_shm_zone_t *shm_zone, void *data);


#endif /* _IM_ZONE_H_INCLUDED_ */
