
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_MAP_H_INCLUDED_
#define _IM_MAP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A hash table with a fixed number of chains, in the memory of a worker or in
 * a zone.  Nodes are part of what they lead to.
 */

typedef struct im_map_node_s  im_map_node_t;

struct im_map_node_s {
    im_map_node_t     *next;
    uint64_t           hash;         /* the caller's, of any quality */
};


typedef struct {
    im_map_node_t    **chains;
    uint64_t           factor;
    ngx_uint_t         shift;
} im_map_t;


/* How many chains are good for so many nodes: a power of two, 2 at least. */
ngx_uint_t im_map_chains(ngx_uint_t nodes);

/* chains: memory for n of them, which need not be zeroed.  Who chooses keys
 * does not know which ones share a chain, unless they have one hash. */
void im_map_init(im_map_t *map, im_map_node_t **chains, ngx_uint_t n);

/* The first node with that hash, and the next one; NULL: there is none. */
im_map_node_t *im_map_find(im_map_t *map, uint64_t hash);
im_map_node_t *im_map_next(im_map_node_t *node);

/* The caller has set node->hash; it stays until im_map_delete(), which is for
 * nodes that are in the map only. */
void im_map_insert(im_map_t *map, im_map_node_t *node);
void im_map_delete(im_map_t *map, im_map_node_t *node);


#endif /* _IM_MAP_H_INCLUDED_ */
