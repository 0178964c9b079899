
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_pool.h"
#include "core/im_worker.h"


#define IM_POOL_SIZE      8192       /* a message takes 5500 */
#define IM_POOL_MAX_FREE  64


static void im_pool_exit_process(ngx_cycle_t *cycle);


im_worker_hook_t  im_pool_hook = {
    ngx_string("pools"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    im_pool_exit_process                   /* exit process */
};


static ngx_pool_t  *im_pool_free[IM_POOL_MAX_FREE];
static ngx_uint_t   im_pool_nfree;


ngx_pool_t *
im_pool_create(void)
{
    ngx_pool_t  *pool;

    if (im_pool_nfree == 0) {
        return ngx_create_pool(IM_POOL_SIZE, ngx_cycle->log);
    }

    pool = im_pool_free[--im_pool_nfree];
    pool->log = ngx_cycle->log;

    return pool;
}


void
im_pool_destroy(ngx_pool_t *pool)
{
    ngx_pool_cleanup_t  *cln;

    if (pool->d.next || im_pool_nfree == IM_POOL_MAX_FREE) {
        ngx_destroy_pool(pool);
        return;
    }

    for (cln = pool->cleanup; cln; cln = cln->next) {
        if (cln->handler) {
            cln->handler(cln->data);
        }
    }

    pool->cleanup = NULL;

    ngx_reset_pool(pool);

    im_pool_free[im_pool_nfree++] = pool;
}


static void
im_pool_exit_process(ngx_cycle_t *cycle)
{
    while (im_pool_nfree) {
        ngx_destroy_pool(im_pool_free[--im_pool_nfree]);
    }
}
