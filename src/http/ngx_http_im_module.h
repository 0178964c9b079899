
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
    size_t               body_size;
    ngx_flag_t           upload;     /* of this location, not inherited */
} ngx_http_im_loc_conf_t;


/* handlers of locations, each in the file of its name */

ngx_int_t ngx_http_im_metrics_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_im_rest_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_im_websocket_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_im_events_handler(ngx_http_request_t *r);

ngx_int_t ngx_http_im_events_init_process(ngx_cycle_t *cycle);

ngx_int_t ngx_http_im_upload_init(ngx_conf_t *cf);
ngx_int_t ngx_http_im_variable_add(ngx_conf_t *cf);


/* Adds a header to the answer; both are literals. */
#define ngx_http_im_header(r, name, value)                                    \
    ngx_http_im_header_add(r, name, sizeof(name) - 1, value, sizeof(value) - 1)

ngx_int_t ngx_http_im_header_add(ngx_http_request_t *r, char *name,
    size_t name_len, char *value, size_t value_len);

/* Gives back buffers of a connection whose request was freed, as nginx does
 * for one that is kept alive. */
void ngx_http_im_release(ngx_connection_t *c, ngx_http_connection_t *hc);

/* Finishes the request with status, type and body (may be empty, is not
 * copied); returns what the handler returns. */
ngx_int_t ngx_http_im_send(ngx_http_request_t *r, ngx_uint_t status,
    char *type, ngx_str_t *body);
/* The same with a body of n parts; empty ones are left out. */
ngx_int_t ngx_http_im_send_parts(ngx_http_request_t *r, ngx_uint_t status,
    char *type, ngx_str_t *parts, ngx_uint_t n);


extern ngx_module_t  ngx_http_im_module;


#endif /* _NGX_HTTP_IM_MODULE_H_INCLUDED_ */
