
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_SHM_H_INCLUDED_
#define _IM_SHM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A zone of its own for one struct that all workers share: zeros when nginx
 * starts, and kept when its configuration is read again.
 */

typedef struct {
    ngx_str_t          name;
    size_t             size;         /* of the struct */
    ngx_shm_zone_t    *zone;         /* set by im_shm_add() */
} im_shm_t;


/* Adds the zone; shm is static.  NGX_OK, NGX_ERROR: logged. */
ngx_int_t im_shm_add(ngx_conf_t *cf, im_shm_t *shm);

/* The struct, from init module on. */
void *im_shm_data(im_shm_t *shm);


#endif /* _IM_SHM_H_INCLUDED_ */
