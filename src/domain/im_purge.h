
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_PURGE_H_INCLUDED_
#define _IM_PURGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "domain/im_job.h"


/*
 * Deletes an account: its logins end at once, then all that belongs to it
 * goes, as a job that any worker resumes after a crash.  70107: no such
 * account.
 */
im_code_t im_purge_account(im_ctx_t *ctx, ngx_str_t *user);

/* A slice of the job "purge". */
ngx_int_t im_purge_step(im_ctx_t *ctx, im_job_t *job);


#endif /* _IM_PURGE_H_INCLUDED_ */
