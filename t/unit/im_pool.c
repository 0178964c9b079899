
/*
 * Copyright (C) The ngx_im authors
 */


#include "ok.h"
#include "core/im_pool.h"
#include "core/im_worker.h"


#define MANY  100


extern im_worker_hook_t  im_pool_hook;


static ngx_uint_t  cleaned;


static void
cleanup(void *data)
{
    cleaned++;
}


static ngx_pool_t *
pool_used(size_t size)
{
    ngx_pool_t          *pool;
    ngx_pool_cleanup_t  *cln;

    pool = im_pool_create();
    ngx_memset(ngx_palloc(pool, size), 'x', size);

    cln = ngx_pool_cleanup_add(pool, 0);
    cln->handler = cleanup;

    return pool;
}


static void
test_kept(void)
{
    ngx_log_t    other;
    ngx_pool_t  *pool;

    pool = pool_used(100);
    im_pool_destroy(pool);
    ok(cleaned == 1, "cleanup handlers run");

    other = logger;
    cycle.log = &other;

    ok(im_pool_create() == pool, "a pool that has ended is the next one");
    ok(pool->cleanup == NULL && pool->large == NULL, "it is empty");
    ok(pool->log == &other, "and has the log of the cycle");

    cycle.log = &logger;

    im_pool_destroy(pool);
    ok(cleaned == 1, "cleanup handlers run once");
}


static void
test_large(void)
{
    ngx_pool_t  *pool;

    pool = im_pool_create();

    ngx_memset(ngx_palloc(pool, 1000000), 'x', 1000000);
    im_pool_destroy(pool);

    ok(im_pool_create() == pool && pool->large == NULL,
       "what is larger than the block is given back");

    while (pool->d.next == NULL) {
        (void) ngx_palloc(pool, 16);
    }

    im_pool_destroy(pool);

    pool = im_pool_create();
    ok(pool->d.next == NULL, "a pool that has outgrown its block is not kept");

    im_pool_destroy(pool);
}


static void
test_many(void)
{
    ngx_uint_t   i;
    ngx_pool_t  *pools[MANY];

    for (i = 0; i < MANY; i++) {
        pools[i] = pool_used(100);
    }

    cleaned = 0;

    for (i = 0; i < MANY; i++) {
        im_pool_destroy(pools[i]);
    }

    ok(cleaned == MANY, "more than are kept");
}


int
main(void)
{
    nginx_init(NGX_LOG_DEBUG_ALL, NULL);

    test_kept();
    test_large();
    test_many();

    im_pool_hook.exit_process(&cycle);
    im_pool_destroy(im_pool_create());
    im_pool_hook.exit_process(&cycle);
    ok(1, "exit gives them back");

    return done();
}
