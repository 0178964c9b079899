
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_API_METRICS_H_INCLUDED_
#define _IM_API_METRICS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "api/im_api.h"


/* What is counted of commands, for the metrics page. */

/* Counts an answer; im_api_call() does it itself.  Commands that do not exist
 * are counted as one. */
void im_api_count(im_api_row_t *row, im_code_t code);

/* Lines "im_commands_total{command=...,code=...} n", on pool.  NGX_OK,
 * NGX_ERROR: no memory. */
ngx_int_t im_api_metrics(ngx_pool_t *pool, ngx_str_t *out);

/* The histograms of im_command_seconds{app=...,command=...}, alike. */
ngx_int_t im_api_times(ngx_pool_t *pool, ngx_str_t *out);


#endif /* _IM_API_METRICS_H_INCLUDED_ */
