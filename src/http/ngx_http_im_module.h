
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _NGX_HTTP_IM_MODULE_H_INCLUDED_
#define _NGX_HTTP_IM_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct {
    ngx_http_handler_pt  handler;    /* of this location, not inherited */
} ngx_http_im_loc_conf_t;


/* handlers of locations, each in the file of its name */

ngx_int_t ngx_http_im_metrics_handler(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_im_module;


#endif /* _NGX_HTTP_IM_MODULE_H_INCLUDED_ */
