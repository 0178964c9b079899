
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/rand.h>
#include "core/im_map.h"


#define IM_MAP_FACTOR  0x9e3779b97f4a7c15ULL


static im_map_node_t **im_map_chain(im_map_t *map, uint64_t hash);
static im_map_node_t *im_map_same(im_map_node_t *node, uint64_t hash);


ngx_uint_t
im_map_chains(ngx_uint_t nodes)
{
    ngx_uint_t  n;

    for (n = 2; n < nodes; n *= 2) { /* void */ }

    return n;
}


void
im_map_init(im_map_t *map, im_map_node_t **chains, ngx_uint_t n)
{
    map->chains = chains;

    if (RAND_bytes((u_char *) &map->factor, sizeof(uint64_t)) != 1) {
        map->factor = IM_MAP_FACTOR;
    }

    map->factor |= 1;

    ngx_memzero(chains, n * sizeof(im_map_node_t *));

    for (map->shift = 64; n > 1; n /= 2) {
        map->shift--;
    }
}


im_map_node_t *
im_map_find(im_map_t *map, uint64_t hash)
{
    return im_map_same(*im_map_chain(map, hash), hash);
}


im_map_node_t *
im_map_next(im_map_node_t *node)
{
    return im_map_same(node->next, node->hash);
}


/* The upper bits depend on all of the hash and on what nobody knows. */

static im_map_node_t **
im_map_chain(im_map_t *map, uint64_t hash)
{
    hash *= map->factor;
    hash ^= hash >> 32;
    hash *= IM_MAP_FACTOR;
    hash ^= hash >> 29;
    hash *= IM_MAP_FACTOR;

    return &map->chains[hash >> map->shift];
}


static im_map_node_t *
im_map_same(im_map_node_t *node, uint64_t hash)
{
    while (node && node->hash != hash) {
        node = node->next;
    }

    return node;
}


void
im_map_insert(im_map_t *map, im_map_node_t *node)
{
    im_map_node_t  **chain;

    chain = im_map_chain(map, node->hash);

    node->next = *chain;
    *chain = node;
}


void
im_map_delete(im_map_t *map, im_map_node_t *node)
{
    im_map_node_t  **p;

    for (p = im_map_chain(map, node->hash); *p != node; p = &(*p)->next) {
        /* void */
    }

    *p = node->next;
}
