
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_MEMORY_H_INCLUDED_
#define _IM_MEMORY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The sum of what clients have sent and commands still work on, in this
 * worker.  NGX_OK; NGX_BUSY: over body_memory, nothing is taken.
 */
ngx_int_t im_memory_take(size_t size);
void im_memory_give(size_t size);
size_t im_memory_taken(void);


#endif /* _IM_MEMORY_H_INCLUDED_ */
