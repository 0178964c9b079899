
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_md5.h>
#include "core/im_fault.h"
#include "core/im_worker.h"
#include "live/im_bus.h"
#include "live/im_limit.h"
#include "live/im_node.h"
#include "live/im_zone.h"


#define IM_ZONE_LAYOUT  4
#define IM_ZONE_EVICT   16           /* entries of a table at once */
#define IM_ZONE_TRIES   4

#define IM_MARKER_TAKEN  1
#define IM_MARKER_DONE   2


static ngx_int_t im_zone_init_conf(ngx_conf_t *cf, im_conf_t *conf);
static ngx_int_t im_zone_add_one(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    ngx_shm_zone_init_pt init);
static ngx_int_t im_zone_make(ngx_slab_pool_t *shpool);
static void im_zone_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_int_t im_zone_node_cmp(im_zone_node_t *a, im_zone_node_t *b);
static void im_zone_remove(im_zone_sh_t *sh, ngx_uint_t table,
    im_zone_entry_t *e);
static void im_zone_evict(im_zone_sh_t *sh, ngx_uint_t table, ngx_uint_t n);
static ngx_uint_t im_zone_largest(im_zone_sh_t *sh);
static int64_t im_marker_int(u_char *p, size_t len);


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
        ngx_rbtree_init(&sh->lru[i].rbtree, &sh->lru[i].sentinel,
                        im_zone_insert_value);
        ngx_queue_init(&sh->lru[i].queue);
    }

    for (i = 0; i < IM_SLOTS; i++) {
        ngx_queue_init(&sh->slots[i].sessions);
        ngx_queue_init(&sh->slots[i].joined);
        ngx_queue_init(&sh->slots[i].audience);
    }

    ngx_rbtree_init(&sh->users, &sh->users_sentinel,
                    im_zone_node_insert_value);
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
            im_zone_evict(sh, i, IM_ZONE_EVICT);
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
im_zone_key(u_char key[IM_ZONE_KEY_LEN], ngx_uint_t app, ngx_uint_t what,
    ngx_str_t *parts, ngx_uint_t n)
{
    uint64_t    head[2], len;
    ngx_md5_t   md5;
    ngx_uint_t  i;

    head[0] = app;
    head[1] = what;

    ngx_md5_init(&md5);
    ngx_md5_update(&md5, head, sizeof(head));

    for (i = 0; i < n; i++) {
        len = parts[i].len;
        ngx_md5_update(&md5, &len, sizeof(uint64_t));
        ngx_md5_update(&md5, parts[i].data, parts[i].len);
    }

    ngx_md5_final(key, &md5);
}


uint32_t
im_stamp_get(ngx_uint_t hash)
{
    return __atomic_load_n(im_bus_stamp(hash), __ATOMIC_SEQ_CST);
}


void
im_stamp_bump(ngx_uint_t hash)
{
    im_stamp_heard(hash);

    if (im_redis_configured()) {
        im_node_stamp(hash);
    }
}


void
im_stamp_heard(ngx_uint_t hash)
{
    (void) __sync_fetch_and_add(im_bus_stamp(hash), 1);
}


static void
im_zone_insert_value(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    im_zone_entry_t     *e, *et;
    ngx_rbtree_node_t  **p;

    for ( ;; ) {

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            e = (im_zone_entry_t *) node;
            et = (im_zone_entry_t *) temp;

            p = (ngx_memcmp(e->key, et->key, IM_ZONE_KEY_LEN) < 0)
                ? &temp->left : &temp->right;
        }

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


im_zone_entry_t *
im_zone_find_locked(im_zone_sh_t *sh, ngx_uint_t table, u_char *key)
{
    ngx_int_t           rc;
    im_zone_lru_t      *lru;
    im_zone_entry_t    *e;
    ngx_rbtree_key_t    k;
    ngx_rbtree_node_t  *node, *sentinel;

    ngx_memcpy(&k, key, sizeof(ngx_rbtree_key_t));

    lru = &sh->lru[table];
    node = lru->rbtree.root;
    sentinel = lru->rbtree.sentinel;

    while (node != sentinel) {

        if (k != node->key) {
            node = (k < node->key) ? node->left : node->right;
            continue;
        }

        e = (im_zone_entry_t *) node;
        rc = ngx_memcmp(key, e->key, IM_ZONE_KEY_LEN);

        if (rc == 0) {

            if ((ngx_msec_int_t) (e->expires - ngx_current_msec) <= 0) {
                im_zone_remove(sh, table, e);
                return NULL;
            }

            ngx_queue_remove(&e->queue);
            ngx_queue_insert_head(&lru->queue, &e->queue);

            return e;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


im_zone_entry_t *
im_zone_new_locked(im_zone_sh_t *sh, ngx_uint_t table, u_char *key,
    size_t len)
{
    size_t            size;
    im_zone_lru_t    *lru;
    im_zone_entry_t  *e;

    lru = &sh->lru[table];
    size = offsetof(im_zone_entry_t, data) + ngx_max(len, 8);

    /* tidy up a little; tables may have half of the zone: the largest one
     * makes way, so that whoever fills one does not empty the others */

    im_zone_evict(sh, table, 0);

    if (sh->lru_bytes + size > im_zone_size() / 2) {
        im_zone_evict(sh, im_zone_largest(sh), IM_ZONE_EVICT);
    }

    e = im_zone_alloc_locked(sh, size);
    if (e == NULL) {
        return NULL;
    }

    ngx_memcpy(&e->node.key, key, sizeof(ngx_rbtree_key_t));
    ngx_memcpy(e->key, key, IM_ZONE_KEY_LEN);
    e->size = size;
    e->len = len;

    ngx_rbtree_insert(&lru->rbtree, &e->node);
    ngx_queue_insert_head(&lru->queue, &e->queue);

    lru->count++;
    lru->bytes += size;
    sh->lru_bytes += size;

    return e;
}


static void
im_zone_remove(im_zone_sh_t *sh, ngx_uint_t table, im_zone_entry_t *e)
{
    im_zone_lru_t  *lru;

    lru = &sh->lru[table];

    ngx_queue_remove(&e->queue);
    ngx_rbtree_delete(&lru->rbtree, &e->node);

    lru->count--;
    lru->bytes -= e->size;
    sh->lru_bytes -= e->size;

    ngx_slab_free_locked(im_zone_pool, e);
}


/* n entries of the tail; n == 0: at most two that have expired */

static void
im_zone_evict(im_zone_sh_t *sh, ngx_uint_t table, ngx_uint_t n)
{
    ngx_uint_t        i;
    ngx_queue_t      *q;
    im_zone_lru_t    *lru;
    im_zone_entry_t  *e;

    lru = &sh->lru[table];

    for (i = 0; i < (n ? n : 2) && !ngx_queue_empty(&lru->queue); i++) {

        q = ngx_queue_last(&lru->queue);
        e = ngx_queue_data(q, im_zone_entry_t, queue);

        if ((ngx_msec_int_t) (e->expires - ngx_current_msec) > 0) {

            if (n == 0) {
                break;
            }

            sh->evicted++;
        }

        im_zone_remove(sh, table, e);
    }
}


static ngx_uint_t
im_zone_largest(im_zone_sh_t *sh)
{
    ngx_uint_t  i, largest;

    largest = 0;

    for (i = 1; i < IM_LRU_TABLES; i++) {
        if (sh->lru[i].bytes > sh->lru[largest].bytes) {
            largest = i;
        }
    }

    return largest;
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


ngx_int_t
im_sigcache_get(u_char digest[32], time_t *sig_time, time_t *expires)
{
    ngx_int_t         rc;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    rc = NGX_DECLINED;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_SIG, digest);

    if (e && ngx_memcmp(e->data, digest, 32) == 0) {

        if (e->b > ngx_time()) {
            *sig_time = e->a;
            *expires = e->b;
            rc = NGX_OK;

        } else {
            im_zone_remove(sh, IM_LRU_SIG, e);
        }
    }

    im_zone_unlock(sh);

    return rc;
}


void
im_sigcache_put(u_char digest[32], time_t sig_time, time_t expires)
{
    time_t            now;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    now = ngx_time();

    if (expires <= now) {
        return;
    }

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_SIG, digest);

    if (e == NULL) {
        e = im_zone_new_locked(sh, IM_LRU_SIG, digest, 32);
    }

    if (e) {
        ngx_memcpy(e->data, digest, 32);
        e->a = sig_time;
        e->b = expires;

        /* an hour is long enough for what is not used */

        e->expires = ngx_current_msec
                     + (ngx_msec_t) ngx_min(expires - now, 3600) * 1000;
    }

    im_zone_unlock(sh);
}


ngx_int_t
im_marker_take(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t ttl, ngx_pool_t *pool,
    ngx_str_t *result)
{
    size_t            len;
    u_char            buf[IM_ZONE_RESULT_MAX];
    ngx_int_t         rc;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    len = 0;
    rc = NGX_OK;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_MARKER, key);

    if (e == NULL) {
        e = im_zone_new_locked(sh, IM_LRU_MARKER, key, 0);

        if (e) {
            e->state = IM_MARKER_TAKEN;
            e->expires = ngx_current_msec + ttl;
        }

    } else if (e->state == IM_MARKER_DONE) {
        len = e->len;
        ngx_memcpy(buf, e->data, len);
        rc = NGX_DONE;

    } else {
        rc = NGX_BUSY;
    }

    im_zone_unlock(sh);

    if (rc == NGX_DONE && result) {
        result->len = len;
        result->data = ngx_pnalloc(pool, len + 1);

        if (result->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(result->data, buf, len);
    }

    return rc;
}


void
im_marker_release(u_char key[IM_ZONE_KEY_LEN])
{
    im_marker_drop(key);

    if (im_redis_configured()) {
        im_limit_marker_release(key);
    }
}


void
im_marker_drop(u_char key[IM_ZONE_KEY_LEN])
{
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_MARKER, key);

    if (e && e->state == IM_MARKER_TAKEN) {
        im_zone_remove(sh, IM_LRU_MARKER, e);
    }

    im_zone_unlock(sh);
}


ngx_int_t
im_marker_done(u_char key[IM_ZONE_KEY_LEN], ngx_str_t *result,
    ngx_msec_t ttl)
{
    ngx_int_t         rc;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    rc = NGX_DECLINED;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_MARKER, key);

    if (e) {
        im_zone_remove(sh, IM_LRU_MARKER, e);
    }

    if (result->len <= IM_ZONE_RESULT_MAX) {
        e = im_zone_new_locked(sh, IM_LRU_MARKER, key, result->len);

        if (e) {
            e->state = IM_MARKER_DONE;
            e->expires = ngx_current_msec + ttl;
            ngx_memcpy(e->data, result->data, result->len);
            rc = NGX_OK;
        }
    }

    im_zone_unlock(sh);

    if (im_redis_configured()) {

        if (result->len <= IM_ZONE_RESULT_MAX) {
            im_limit_marker_done(key, result, ttl);

        } else {
            im_limit_marker_release(key);
        }
    }

    return rc;
}


ngx_int_t
im_marker_heard(u_char key[IM_ZONE_KEY_LEN], ngx_str_t *result,
    ngx_msec_t ttl)
{
    int64_t           n;
    ngx_int_t         rc;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    rc = NGX_OK;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_MARKER, key);

    if (e && e->state == IM_MARKER_DONE) {

        n = im_marker_int(e->data, e->len);

        if (n && n != im_marker_int(result->data, result->len)) {
            rc = NGX_DECLINED;
        }

    } else if (result->len <= IM_ZONE_RESULT_MAX) {

        if (e) {
            im_zone_remove(sh, IM_LRU_MARKER, e);
        }

        e = im_zone_new_locked(sh, IM_LRU_MARKER, key, result->len);

        if (e) {
            e->state = IM_MARKER_DONE;
            e->expires = ngx_current_msec + ttl;
            ngx_memcpy(e->data, result->data, result->len);
        }
    }

    im_zone_unlock(sh);

    return rc;
}


int64_t
im_marker_number(u_char key[IM_ZONE_KEY_LEN])
{
    int64_t           n;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    n = 0;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_MARKER, key);

    if (e && e->state == IM_MARKER_DONE) {
        n = im_marker_int(e->data, e->len);
    }

    im_zone_unlock(sh);

    return n;
}


/* The number that a result begins with. */

static int64_t
im_marker_int(u_char *p, size_t len)
{
    size_t   i;
    int64_t  n;

    n = 0;

    for (i = 0; i < len && i < NGX_INT64_LEN - 2; i++) {

        if (p[i] < '0' || p[i] > '9') {
            break;
        }

        n = n * 10 + (p[i] - '0');
    }

    return n;
}


ngx_int_t
im_rate_take(u_char key[IM_ZONE_KEY_LEN], ngx_uint_t rate, ngx_uint_t burst,
    ngx_msec_t now)
{
    int64_t           max;
    ngx_int_t         rc;
    ngx_msec_int_t    ms;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    /* a: thousandths of tokens, b: when they were counted */

    if (rate == 0) {
        return NGX_OK;
    }

    max = (int64_t) ngx_max(burst, 1) * 1000;
    rc = NGX_OK;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_RATE, key);

    if (e == NULL) {
        e = im_zone_new_locked(sh, IM_LRU_RATE, key, 0);

        if (e) {
            e->a = max;
            e->b = now;
        }
    }

    if (e) {
        ms = (ngx_msec_int_t) (now - (ngx_msec_t) e->b);

        if (ms > 0) {
            ms = ngx_min(ms, 3600000);
            e->a = ngx_min(e->a + ms * (int64_t) rate, max);
            e->b = now;
        }

        if (e->a >= 1000) {
            e->a -= 1000;

        } else {
            rc = NGX_DECLINED;
        }

        /* full again by then */

        e->expires = ngx_current_msec + max / rate + 1000;
    }

    im_zone_unlock(sh);

    if (rc == NGX_OK && im_redis_configured()) {
        im_limit_rate(key, ngx_max(burst, 1));
    }

    return rc;
}


void
im_rate_drain(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t ms)
{
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_RATE, key);

    if (e) {
        e->a = 0;
        e->b = ngx_current_msec + ms;
    }

    im_zone_unlock(sh);
}


ngx_uint_t
im_failures_add(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t window)
{
    ngx_uint_t        n;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    n = 1;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_FAILURES, key);

    if (e == NULL) {
        e = im_zone_new_locked(sh, IM_LRU_FAILURES, key, 0);

        if (e) {
            e->expires = ngx_current_msec + window;
        }
    }

    if (e) {
        n = ++e->a;
    }

    im_zone_unlock(sh);

    if (im_redis_configured()) {
        im_limit_failures(key, window);
    }

    return n;
}


void
im_failures_heard(u_char key[IM_ZONE_KEY_LEN], ngx_uint_t n)
{
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_FAILURES, key);

    if (e) {
        e->a = ngx_max(e->a, (int64_t) n);
    }

    im_zone_unlock(sh);
}


ngx_uint_t
im_failures_get(u_char key[IM_ZONE_KEY_LEN])
{
    ngx_uint_t        n;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_FAILURES, key);
    n = e ? e->a : 0;

    im_zone_unlock(sh);

    return n;
}
