
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "web/im_peer.h"


#define IM_PEER_CHAINS  65536


static im_map_t   im_peers;
static uint64_t   im_peer_last;


void
im_peer_open(im_peer_t *peer)
{
    static im_map_node_t  *chains[IM_PEER_CHAINS];

    if (im_peer_last == 0) {
        im_map_init(&im_peers, chains, IM_PEER_CHAINS);

        /* no other worker has these numbers, for records of the bus name
         * peers; the next worker in this slot begins above */

        im_peer_last = ((uint64_t) ngx_process_slot << 56)
                       | ((uint64_t) (uint32_t) ngx_time() << 24);
    }

    peer->node.hash = ++im_peer_last;
    peer->id = im_peer_last;

    ngx_queue_init(&peer->rooms);
    ngx_queue_init(&peer->groups);
    im_map_insert(&im_peers, &peer->node);
}


void
im_peer_close(im_peer_t *peer)
{
    im_map_delete(&im_peers, &peer->node);
}


im_peer_t *
im_peer_get(uint64_t id)
{
    /* the node is the first of a peer */

    return im_peer_last ? (im_peer_t *) im_map_find(&im_peers, id) : NULL;
}
