
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_POOL_H_INCLUDED_
#define _IM_POOL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Pools of what is short and frequent.  A worker keeps some that have ended
 * for those that come next; one that has outgrown its block is not kept.
 */


/* An empty pool, or NULL: no memory. */
ngx_pool_t *im_pool_create(void);

void im_pool_destroy(ngx_pool_t *pool);


#endif /* _IM_POOL_H_INCLUDED_ */
