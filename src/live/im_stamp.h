
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_STAMP_H_INCLUDED_
#define _IM_STAMP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Stamps: a commit of an account, group, member or mute row bumps the stamp
 * of its key before it answers; a cache compares it on each hit.
 */
uint32_t im_stamp_get(ngx_uint_t hash);
void im_stamp_bump(ngx_uint_t hash);
/* Another node has bumped it. */
void im_stamp_heard(ngx_uint_t hash);

/* For im_node only, with several nodes. */
void im_stamp_init(ngx_cycle_t *cycle);
void im_stamp_exit(void);


#endif /* _IM_STAMP_H_INCLUDED_ */
