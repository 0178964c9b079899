
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_SHARED_H_INCLUDED_
#define _IM_SHARED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Bytes that any number of answers of this worker have in common: counted,
 * read-only once there is a second reference.
 */

typedef struct {
    ngx_uint_t         refs;
    ngx_str_t          text;         /* lies behind it */
} im_shared_t;


/* With size bytes of text and one reference, or NULL: no memory. */
im_shared_t *im_shared_alloc(size_t size);

im_shared_t *im_shared_ref(im_shared_t *shared);
void im_shared_unref(im_shared_t *shared);

/* A reference that ends with the pool.  NGX_OK, NGX_ERROR: no memory. */
ngx_int_t im_shared_keep(ngx_pool_t *pool, im_shared_t *shared);

/* Bytes that there are in this worker, and references to them. */
size_t im_shared_bytes(void);
ngx_uint_t im_shared_refs(void);


#endif /* _IM_SHARED_H_INCLUDED_ */
