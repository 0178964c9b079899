
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_md5.h>
#include "live/im_zone.h"


static ngx_uint_t im_zone_largest(im_zone_sh_t *sh);


void
im_zone_key(u_char key[IM_ZONE_KEY_LEN], ngx_uint_t app, ngx_uint_t what,
    ngx_str_t *parts, ngx_uint_t n)
{
    uint32_t    head[2], len;
    ngx_md5_t   md5;
    ngx_uint_t  i;

    head[0] = app;
    head[1] = what;

    ngx_md5_init(&md5);
    ngx_md5_update(&md5, head, sizeof(head));

    for (i = 0; i < n; i++) {
        len = parts[i].len;
        ngx_md5_update(&md5, &len, sizeof(uint32_t));
        ngx_md5_update(&md5, parts[i].data, parts[i].len);
    }

    ngx_md5_final(key, &md5);
}


im_zone_entry_t *
im_zone_find_locked(im_zone_sh_t *sh, ngx_uint_t table, u_char *key)
{
    uint64_t          hash;
    im_zone_entry_t  *e;
    im_map_node_t    *node;

    ngx_memcpy(&hash, key, sizeof(uint64_t));

    for (node = im_map_find(&sh->entries, hash);
         node;
         node = im_map_next(node))
    {
        e = (im_zone_entry_t *) node;

        if (e->table == table
            && ngx_memcmp(key, e->key, IM_ZONE_KEY_LEN) == 0)
        {
            break;
        }
    }

    if (node == NULL) {
        return NULL;
    }

    if ((ngx_msec_int_t) (e->expires - ngx_current_msec) <= 0) {
        im_zone_remove_locked(sh, e);
        return NULL;
    }

    ngx_queue_remove(&e->queue);
    ngx_queue_insert_head(&sh->lru[table].queue, &e->queue);

    return e;
}


im_zone_entry_t *
im_zone_new_locked(im_zone_sh_t *sh, ngx_uint_t table, u_char *key,
    size_t len)
{
    size_t            size;
    im_zone_lru_t    *lru;
    im_zone_entry_t  *e;

    lru = &sh->lru[table];
    size = ngx_max(offsetof(im_zone_entry_t, data) + len,
                   sizeof(im_zone_entry_t));

    /* tidy up a little; tables may have half of the zone: the largest one
     * makes way, so that whoever fills one does not empty the others */

    im_zone_evict_locked(sh, table, 0);

    if (sh->lru_bytes + size > im_zone_size() / 2) {
        im_zone_evict_locked(sh, im_zone_largest(sh), IM_ZONE_EVICT);
    }

    e = im_zone_alloc_locked(sh, size);
    if (e == NULL) {
        return NULL;
    }

    ngx_memcpy(&e->node.hash, key, sizeof(uint64_t));
    ngx_memcpy(e->key, key, IM_ZONE_KEY_LEN);
    e->size = size;
    e->len = len;
    e->table = table;

    im_map_insert(&sh->entries, &e->node);
    ngx_queue_insert_head(&lru->queue, &e->queue);

    lru->count++;
    lru->bytes += size;
    sh->lru_bytes += size;

    return e;
}


im_zone_entry_t *
im_zone_get_locked(im_zone_sh_t *sh, ngx_uint_t table, u_char *key,
    size_t len)
{
    im_zone_entry_t  *e;

    e = im_zone_find_locked(sh, table, key);

    return e ? e : im_zone_new_locked(sh, table, key, len);
}


void
im_zone_remove_locked(im_zone_sh_t *sh, im_zone_entry_t *e)
{
    im_zone_lru_t  *lru;

    lru = &sh->lru[e->table];

    ngx_queue_remove(&e->queue);
    im_map_delete(&sh->entries, &e->node);

    lru->count--;
    lru->bytes -= e->size;
    sh->lru_bytes -= e->size;

    im_zone_free_locked(sh, e);
}


void
im_zone_evict_locked(im_zone_sh_t *sh, ngx_uint_t table, ngx_uint_t n)
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

        im_zone_remove_locked(sh, e);
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
