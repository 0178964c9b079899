
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_JOB_H_INCLUDED_
#define _IM_JOB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "store/im_store.h"


/*
 * Long side effects: a row in the commit of their cause, run at once by the
 * worker that made it, and after a crash by another one.  While a worker
 * runs a job it renews the job's lease.
 */

#define IM_JOB_LEASE  10             /* seconds */


typedef struct {
    ngx_str_t          id;           /* key column */
    ngx_str_t          kind;
    ngx_str_t          arg;          /* the kind's own */
    int64_t            num;          /* the same */
    ngx_str_t          state;        /* "wait", "run" */
    ngx_str_t          owner;        /* worker that runs it */
    int64_t            lease;        /* second up to which nobody else may */
} im_job_t;


/*
 * Does one slice of the work.  NGX_AGAIN: there is more; NGX_OK: done;
 * NGX_BUSY, NGX_ERROR: to be tried again later.  ctx lives for the slice.
 * What it does may have been done before, by a worker that has crashed.
 */
typedef ngx_int_t (*im_job_step_pt)(im_ctx_t *ctx, im_job_t *job);

typedef struct {
    ngx_str_t          name;
    im_job_step_pt     step;
} im_job_kind_t;


/* Adds the job's row to the batch; sets its id. */
ngx_int_t im_job_add(im_ctx_t *ctx, im_batch_t *batch, const char *kind,
    ngx_str_t *arg, int64_t num, ngx_str_t *id);

/* 1: this worker does what one of all workers has to do at times. */
ngx_uint_t im_job_turn(void);

/* Runs it in this worker, after the commit. */
void im_job_start(im_ctx_t *ctx, ngx_str_t *id);


#endif /* _IM_JOB_H_INCLUDED_ */
