
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_shm.h"


#define IM_SHM_PAGES  16             /* for the slab allocator itself */


static ngx_int_t im_shm_init_zone(ngx_shm_zone_t *zone, void *data);


ngx_int_t
im_shm_add(ngx_conf_t *cf, im_shm_t *shm)
{
    size_t  size;

    size = shm->size + IM_SHM_PAGES * ngx_pagesize;
    size = ngx_align(size, ngx_pagesize);

    shm->zone = ngx_shared_memory_add(cf, &shm->name, size, shm);
    if (shm->zone == NULL) {
        return NGX_ERROR;
    }

    shm->zone->init = im_shm_init_zone;
    shm->zone->data = shm;

    return NGX_OK;
}


static ngx_int_t
im_shm_init_zone(ngx_shm_zone_t *zone, void *data)
{
    im_shm_t  *shm = zone->data;

    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data || zone->shm.exists) {
        return NGX_OK;
    }

    shpool->data = ngx_slab_calloc(shpool, shm->size);

    return shpool->data ? NGX_OK : NGX_ERROR;
}


void *
im_shm_data(im_shm_t *shm)
{
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) shm->zone->shm.addr;

    return shpool->data;
}
