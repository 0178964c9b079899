
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "core/im_worker.h"
#include "core/ngx_im_module.h"
#include "http/ngx_http_im_module.h"


typedef struct {
    ngx_http_handler_pt  handler;
} ngx_http_im_location_t;


static char *ngx_http_im_location(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_im_create_loc_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_im_init_process(ngx_cycle_t *cycle);


static ngx_http_im_location_t  ngx_http_im_metrics = {
    ngx_http_im_metrics_handler
};


static ngx_command_t  ngx_http_im_commands[] = {

    { ngx_string("im_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_im_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_im_metrics },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_im_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_im_create_loc_conf,           /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_im_module = {
    NGX_MODULE_V1,
    &ngx_http_im_module_ctx,               /* module context */
    ngx_http_im_commands,                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_im_init_process,              /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_im_create_loc_conf(ngx_conf_t *cf)
{
    /* set by ngx_pcalloc(): conf->handler = NULL */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_im_loc_conf_t));
}


static char *
ngx_http_im_location(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_im_loc_conf_t  *imlcf = conf;
    ngx_http_im_location_t  *location = cmd->post;

    ngx_http_core_loc_conf_t  *clcf;

    if (imlcf->handler == location->handler) {
        return "is duplicate";
    }

    if (imlcf->handler) {
        return "is in a location that has another handler of im";
    }

    imlcf->handler = location->handler;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = location->handler;

    ngx_im_conf_needed(cf);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_im_init_process(ngx_cycle_t *cycle)
{
    return im_worker_start(cycle);
}
