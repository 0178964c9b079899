
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "web/im_peer.h"


static ngx_rbtree_t       im_peer_tree;
static ngx_rbtree_node_t  im_peer_sentinel;
static uint64_t           im_peer_last;


void
im_peer_open(im_peer_t *peer)
{
    if (im_peer_last == 0) {
        ngx_rbtree_init(&im_peer_tree, &im_peer_sentinel,
                        ngx_rbtree_insert_value);

        /* no other worker has these numbers, for records of the bus name
         * peers; the next worker in this slot begins above */

        im_peer_last = ((uint64_t) ngx_process_slot << 56)
                       | ((uint64_t) (uint32_t) ngx_time() << 24);
    }

    peer->id = ++im_peer_last;
    peer->node.key = (ngx_rbtree_key_t) peer->id;

    ngx_queue_init(&peer->rooms);
    ngx_queue_init(&peer->groups);
    ngx_rbtree_insert(&im_peer_tree, &peer->node);
}


void
im_peer_close(im_peer_t *peer)
{
    ngx_rbtree_delete(&im_peer_tree, &peer->node);
}


im_peer_t *
im_peer_get(uint64_t id)
{
    ngx_rbtree_node_t  *node;

    if (im_peer_last == 0) {
        return NULL;
    }

    node = im_peer_tree.root;

    while (node != &im_peer_sentinel) {

        if (node->key == (ngx_rbtree_key_t) id) {
            return ngx_rbtree_data(node, im_peer_t, node);
        }

        node = ((ngx_rbtree_key_t) id < node->key) ? node->left : node->right;
    }

    return NULL;
}
