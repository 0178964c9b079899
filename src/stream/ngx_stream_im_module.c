
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stream.h>
#include "core/im_worker.h"


static ngx_int_t ngx_stream_im_init_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_stream_im_commands[] = {

      ngx_null_command
};


static ngx_stream_module_t  ngx_stream_im_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL                                   /* merge server configuration */
};


ngx_module_t  ngx_stream_im_module = {
    NGX_MODULE_V1,
    &ngx_stream_im_module_ctx,             /* module context */
    ngx_stream_im_commands,                /* module directives */
    NGX_STREAM_MODULE,                     /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_stream_im_init_process,            /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_stream_im_init_process(ngx_cycle_t *cycle)
{
    return im_worker_start(cycle);
}
