
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_GONE_H_INCLUDED_
#define _IM_GROUP_GONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group.h"
#include "domain/im_job.h"


/* Adds the job that dissolves a group for its members and removes what is
 * stored of it; report: of the notice; one slice of it. */
ngx_int_t im_group_gone_add(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group, ngx_uint_t report, im_job_t *job);
ngx_int_t im_group_gone_step(im_ctx_t *ctx, im_job_t *job);

/* A deleted account leaves its groups, also those that it owns.  NGX_AGAIN:
 * there are others. */
ngx_int_t im_group_gone_user(im_ctx_t *ctx, ngx_str_t *user);


#endif /* _IM_GROUP_GONE_H_INCLUDED_ */
