
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_memory.h"
#include "core/ngx_im_module.h"


static size_t  im_memory_sum;


ngx_int_t
im_memory_take(size_t size)
{
    size_t  max;

    max = im_conf()->body_memory;

    if (size > max || im_memory_sum > max - size) {
        return NGX_BUSY;
    }

    im_memory_sum += size;

    return NGX_OK;
}


void
im_memory_give(size_t size)
{
    im_memory_sum -= size;
}


size_t
im_memory_taken(void)
{
    return im_memory_sum;
}
