
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stream.h>
#include "core/im_worker.h"
#include "core/ngx_im_module.h"
#include "stream/ngx_stream_im_module.h"


static char *ngx_stream_im(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static void *ngx_stream_im_create_srv_conf(ngx_conf_t *cf);
static ngx_int_t ngx_stream_im_init_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_stream_im_commands[] = {

    { ngx_string("im_stream"),
      NGX_STREAM_SRV_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_stream_im,
      NGX_STREAM_SRV_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_stream_module_t  ngx_stream_im_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_stream_im_create_srv_conf,         /* create server configuration */
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


static void *
ngx_stream_im_create_srv_conf(ngx_conf_t *cf)
{
    /* set by ngx_pcalloc(): conf->app = 0 */

    return ngx_pcalloc(cf->pool, sizeof(ngx_stream_im_srv_conf_t));
}


static char *
ngx_stream_im(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_stream_im_srv_conf_t  *iscf = conf;

    ngx_int_t                    n;
    ngx_str_t                   *value;
    ngx_stream_core_srv_conf_t  *cscf;

    cscf = ngx_stream_conf_get_module_srv_conf(cf, ngx_stream_core_module);

    if (cscf->handler) {
        return "is duplicate";
    }

    cscf->handler = ngx_stream_im_tcp_handler;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {
        n = ngx_atoi(value[1].data, value[1].len);

        if (n == NGX_ERROR || n == 0 || n > IM_APP_ID_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid SDKAppID \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }

        iscf->app = n;
    }

    ngx_im_conf_needed(cf);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_stream_im_init_process(ngx_cycle_t *cycle)
{
    return im_worker_start(cycle);
}
