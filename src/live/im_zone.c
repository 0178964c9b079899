
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "core/im_worker.h"
#include "live/im_bus.h"
#include "live/im_zone.h"


#define IM_ZONE_LAYOUT  5
#define IM_ZONE_TRIES   4
#define IM_ZONE_ENTRY   128          /* bytes of the zone for a chain */
#define IM_ZONE_USER    512


static ngx_int_t im_zone_init_conf(ngx_conf_t *cf, im_conf_t *conf);
static ngx_int_t im_zone_add_one(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    ngx_shm_zone_init_pt init);
static ngx_int_t im_zone_make(ngx_slab_pool_t *shpool);
static ngx_int_t im_zone_map(ngx_slab_pool_t *shpool, im_map_t *map,
    size_t size);
static ngx_int_t im_zone_node_cmp(im_zone_node_t *a, im_zone_node_t *b);


im_worker_hook_t  im_zone_hook = {
    ngx_string("zone"),
    im_zone_init_conf,                     /* init conf */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL                                   /* exit process */
};


static ngx_slab_pool_t  *im_zone_pool;


static ngx_int_t
im_zone_init_conf(ngx_conf_t *cf, im_conf_t *conf)
{
    return im_zone_add(cf, conf->zone, conf->bus);
}


ngx_int_t
im_zone_add(ngx_conf_t *cf, size_t zone, size_t bus)
{
    static ngx_str_t  zone_name = ngx_string("im");
    static ngx_str_t  bus_name = ngx_string("im_bus");

    if (im_zone_add_one(cf, &bus_name, bus, im_bus_init_zone) != NGX_OK) {
        return NGX_ERROR;
    }

    return im_zone_add_one(cf, &zone_name, zone, im_zone_init_zone);
}


static ngx_int_t
im_zone_add_one(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    ngx_shm_zone_init_pt init)
{
    ngx_shm_zone_t  *shm_zone;

    shm_zone = ngx_shared_memory_add(cf, name, size, &ngx_im_module);
    if (shm_zone == NULL) {
        return NGX_ERROR;
    }

    shm_zone->init = init;

    return NGX_OK;
}


ngx_int_t
im_zone_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    im_zone_sh_t     *sh;
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;
    sh = NULL;

    if (data || shm_zone->shm.exists) {
        sh = shpool->data;
    }

    if (sh) {
        if (sh->layout != IM_ZONE_LAYOUT) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "zone \"%V\" has another layout: this version "
                          "needs a restart", &shm_zone->shm.name);
            return NGX_ERROR;
        }

    } else if (im_zone_make(shpool) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "zone \"%V\" is too small", &shm_zone->shm.name);
        return NGX_ERROR;
    }

    shm_zone->data = shpool;
    im_zone_pool = shpool;

    return NGX_OK;
}


static ngx_int_t
im_zone_make(ngx_slab_pool_t *shpool)
{
    ngx_uint_t     i;
    im_zone_sh_t  *sh;

    shpool->log_nomem = 0;
    shpool->data = NULL;

    sh = ngx_slab_calloc_locked(shpool, sizeof(im_zone_sh_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    sh->layout = IM_ZONE_LAYOUT;

    /* numbers of sessions do not repeat after the zone was emptied */

    sh->serial = (uint64_t) im_bus_mark()->generation << 40;

    for (i = 0; i < IM_LRU_TABLES; i++) {
        ngx_queue_init(&sh->lru[i].queue);
    }

    if (im_zone_map(shpool, &sh->entries, IM_ZONE_ENTRY) != NGX_OK
        || im_zone_map(shpool, &sh->users, IM_ZONE_USER) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < IM_SLOTS; i++) {
        ngx_queue_init(&sh->slots[i].sessions);
        ngx_queue_init(&sh->slots[i].joined);
        ngx_queue_init(&sh->slots[i].audience);
    }

    ngx_rbtree_init(&sh->rooms, &sh->rooms_sentinel,
                    im_zone_node_insert_value);
    ngx_rbtree_init(&sh->joined, &sh->joined_sentinel,
                    im_zone_node_insert_value);
    ngx_rbtree_init(&sh->guests, &sh->guests_sentinel,
                    im_zone_node_insert_value);

    ngx_queue_init(&sh->idle);
    ngx_queue_init(&sh->closing);
    ngx_queue_init(&sh->leaving);
    ngx_queue_init(&sh->silent);
    ngx_queue_init(&sh->polls);
    ngx_queue_init(&sh->tell);

    shpool->data = sh;

    return NGX_OK;
}


/* As many chains as the zone has room for what is in them: each step in a chain
 * is a wait for memory that no cache holds. */

static ngx_int_t
im_zone_map(ngx_slab_pool_t *shpool, im_map_t *map, size_t size)
{
    ngx_uint_t       n;
    im_map_node_t  **chains;

    n = im_map_chains((shpool->end - shpool->start) / size);

    chains = ngx_slab_alloc_locked(shpool, n * sizeof(im_map_node_t *));
    if (chains == NULL) {
        return NGX_ERROR;
    }

    im_map_init(map, chains, n);

    return NGX_OK;
}


im_zone_sh_t *
im_zone_lock(void)
{
    im_bus_mark_t  *mark;

    mark = im_bus_mark();

    ngx_shmtx_lock(&im_zone_pool->mutex);

    if (mark->locked) {

        /* its holder has died inside, nothing can be relied on */

        mark->generation++;
        ngx_memory_barrier();

        ngx_slab_init(im_zone_pool);
        (void) im_zone_make(im_zone_pool);
    }

    mark->locked = 1;
    ngx_memory_barrier();

    return im_zone_pool->data;
}


void
im_zone_unlock(im_zone_sh_t *sh)
{
    im_fault("in_zone_lock");

    ngx_memory_barrier();
    im_bus_mark()->locked = 0;

    ngx_shmtx_unlock(&im_zone_pool->mutex);
}


ngx_uint_t
im_zone_generation(void)
{
    return im_bus_mark()->generation;
}


void *
im_zone_alloc_locked(im_zone_sh_t *sh, size_t size)
{
    void        *p;
    ngx_uint_t   i, try;

    for (try = 0; /* void */ ; try++) {

        p = ngx_slab_calloc_locked(im_zone_pool, size);

        if (p || try == IM_ZONE_TRIES) {
            break;
        }

        for (i = 0; i < IM_LRU_TABLES; i++) {
            im_zone_evict_locked(sh, i, IM_ZONE_EVICT);
        }
    }

    if (p == NULL) {
        sh->full++;
    }

    return p;
}


void
im_zone_free_locked(im_zone_sh_t *sh, void *p)
{
    ngx_slab_free_locked(im_zone_pool, p);
}


void
im_zone_full(void)
{
    static time_t  last;

    if (last != ngx_time()) {
        last = ngx_time();

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "zone \"im\" is full");
    }
}


size_t
im_zone_size(void)
{
    return im_zone_pool->end - im_zone_pool->start;
}


void
im_zone_stat(im_zone_stat_t *stat)
{
    ngx_uint_t     i;
    im_zone_sh_t  *sh;

    sh = im_zone_lock();

    stat->size = im_zone_pool->end - (u_char *) im_zone_pool;
    stat->used = stat->size - im_zone_pool->pfree * ngx_pagesize;
    stat->users = sh->nusers;
    stat->sessions = sh->nsessions;
    stat->rooms = sh->nrooms;
    stat->joined = sh->njoined;
    stat->evicted = sh->evicted;
    stat->full = sh->full;
    stat->entries = 0;

    for (i = 0; i < IM_LRU_TABLES; i++) {
        stat->entries += sh->lru[i].count;
    }

    im_zone_unlock(sh);

    stat->resets = im_bus_mark()->generation;
}


void
im_zone_node_init(im_zone_node_t *n, ngx_uint_t app, uint64_t gno, uint64_t id,
    ngx_str_t *name)
{
    uint64_t  h;

    n->app = app;
    n->gno = gno;
    n->id = id;
    n->len = name ? name->len : 0;
    n->name = name ? name->data : NULL;

    h = ((uint64_t) app + gno * 3 + id * 7) * 0x9e3779b97f4a7c15ULL;
    h ^= h >> 32;

    if (n->len) {
        h ^= (uint64_t) ngx_murmur_hash2(n->name, n->len) << 16;
    }

    n->node.key = h * 0xc2b2ae3d27d4eb4fULL;
}


static ngx_int_t
im_zone_node_cmp(im_zone_node_t *a, im_zone_node_t *b)
{
    if (a->node.key != b->node.key) {
        return (a->node.key < b->node.key) ? -1 : 1;
    }

    if (a->app != b->app) {
        return (a->app < b->app) ? -1 : 1;
    }

    if (a->gno != b->gno) {
        return (a->gno < b->gno) ? -1 : 1;
    }

    if (a->id != b->id) {
        return (a->id < b->id) ? -1 : 1;
    }

    if (a->len != b->len) {
        return (a->len < b->len) ? -1 : 1;
    }

    return a->len ? ngx_memcmp(a->name, b->name, a->len) : 0;
}


void *
im_zone_node_find(ngx_rbtree_t *tree, im_zone_node_t *key)
{
    ngx_int_t           rc;
    ngx_rbtree_node_t  *node;

    node = tree->root;

    while (node != tree->sentinel) {

        rc = im_zone_node_cmp(key, (im_zone_node_t *) node);

        if (rc == 0) {
            return node;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


void
im_zone_node_insert_value(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t  **p;

    for ( ;; ) {

        p = (im_zone_node_cmp((im_zone_node_t *) node,
                              (im_zone_node_t *) temp)
             < 0)
            ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}
