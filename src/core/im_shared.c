
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_shared.h"


static void im_shared_cleanup(void *data);


static size_t      im_shared_nbytes;
static ngx_uint_t  im_shared_nrefs;


im_shared_t *
im_shared_alloc(size_t size)
{
    im_shared_t  *shared;

    shared = ngx_alloc(sizeof(im_shared_t) + size, ngx_cycle->log);
    if (shared == NULL) {
        return NULL;
    }

    shared->refs = 1;
    shared->text.len = size;
    shared->text.data = (u_char *) (shared + 1);

    im_shared_nbytes += size;
    im_shared_nrefs++;

    return shared;
}


im_shared_t *
im_shared_ref(im_shared_t *shared)
{
    shared->refs++;
    im_shared_nrefs++;

    return shared;
}


void
im_shared_unref(im_shared_t *shared)
{
    im_shared_nrefs--;

    if (--shared->refs == 0) {
        im_shared_nbytes -= shared->text.len;
        ngx_free(shared);
    }
}


ngx_int_t
im_shared_keep(ngx_pool_t *pool, im_shared_t *shared)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = im_shared_cleanup;
    cln->data = im_shared_ref(shared);

    return NGX_OK;
}


static void
im_shared_cleanup(void *data)
{
    im_shared_unref(data);
}


size_t
im_shared_bytes(void)
{
    return im_shared_nbytes;
}


ngx_uint_t
im_shared_refs(void)
{
    return im_shared_nrefs;
}
