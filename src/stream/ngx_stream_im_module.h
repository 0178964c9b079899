
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _NGX_STREAM_IM_MODULE_H_INCLUDED_
#define _NGX_STREAM_IM_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stream.h>


typedef struct {
    ngx_uint_t  app;                 /* SDKAppID, 0: the first */
} ngx_stream_im_srv_conf_t;


void ngx_stream_im_tcp_handler(ngx_stream_session_t *s);


extern ngx_module_t  ngx_stream_im_module;


#endif /* _NGX_STREAM_IM_MODULE_H_INCLUDED_ */
