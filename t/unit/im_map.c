
/*
 * Copyright (C) The ngx_im authors
 */


#include "ok.h"
#include "core/im_map.h"


#define CHAINS  8
#define NODES   1000


static im_map_t        map;
static im_map_node_t  *chains[CHAINS];
static im_map_node_t   nodes[NODES];


/* How many nodes with that hash are found, each of them once. */

static ngx_uint_t
found(uint64_t hash)
{
    ngx_uint_t      n;
    im_map_node_t  *node;

    n = 0;

    for (node = im_map_find(&map, hash); node; node = im_map_next(node)) {
        n += (node->hash == hash);
    }

    return n;
}


static ngx_uint_t
longest(void)
{
    ngx_uint_t      i, n, max;
    im_map_node_t  *node;

    max = 0;

    for (i = 0; i < CHAINS; i++) {
        n = 0;

        for (node = chains[i]; node; node = node->next) {
            n++;
        }

        max = ngx_max(max, n);
    }

    return max;
}


static void
fill(uint64_t step, ngx_uint_t shift)
{
    uint64_t    i;

    im_map_init(&map, chains, CHAINS);

    for (i = 0; i < NODES; i++) {
        nodes[i].hash = (i * step) << shift;
        im_map_insert(&map, &nodes[i]);
    }
}


int
main(void)
{
    uint64_t    i;
    ngx_uint_t  good;

    ok(im_map_chains(0) == 2 && im_map_chains(2) == 2
       && im_map_chains(3) == 4 && im_map_chains(4096) == 4096
       && im_map_chains(4097) == 8192, "chains are a power of two");

    ngx_memset(chains, 0xff, sizeof(chains));
    im_map_init(&map, chains, CHAINS);
    ok(found(0) == 0 && found(7) == 0, "it is empty");

    fill(1, 0);

    for (good = 1, i = 0; i < NODES; i++) {
        good &= (im_map_find(&map, i) == &nodes[i]);
    }

    ok(good, "each is found");
    ok(found(NODES) == 0 && found((uint64_t) 1 << 32) == 0, "others are not");
    ok(longest() < 2 * NODES / CHAINS, "numbers in a row are spread");

    fill(1, 32);
    ok(longest() < 2 * NODES / CHAINS, "the upper half counts");

    fill(0, 0);
    ok(found(0) == NODES, "all with one hash are found");

    for (i = 0; i < NODES; i += 2) {
        im_map_delete(&map, &nodes[i]);
    }

    ok(found(0) == NODES / 2, "but for those that are deleted");

    for (good = 1, i = 0; i < NODES; i += 2) {
        im_map_delete(&map, &nodes[i + 1]);
        good &= (found(0) == NODES / 2 - i / 2 - 1);
    }

    ok(good && longest() == 0, "the others, from whatever place");

    return done();
}
