
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "core/im_ticket.h"
#include "core/ngx_im_module.h"
#include "http/ngx_http_im_module.h"


static ngx_int_t ngx_http_im_upload_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_im_upload_preflight(ngx_http_request_t *r);
static ngx_int_t ngx_http_im_upload_header_filter(ngx_http_request_t *r);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


ngx_int_t
ngx_http_im_upload_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_im_upload_handler;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_im_upload_header_filter;

    return NGX_OK;
}


/* Reading is open, writing needs a ticket; the file is nginx's business. */

static ngx_int_t
ngx_http_im_upload_handler(ngx_http_request_t *r)
{
    ngx_http_im_loc_conf_t  *imlcf;

    imlcf = ngx_http_get_module_loc_conf(r, ngx_http_im_module);

    if (!imlcf->upload) {
        return NGX_DECLINED;
    }

    switch (r->method) {

    case NGX_HTTP_GET:
    case NGX_HTTP_HEAD:
        return NGX_DECLINED;

    case NGX_HTTP_OPTIONS:
        ngx_http_finalize_request(r, ngx_http_im_upload_preflight(r));
        return NGX_DONE;

    case NGX_HTTP_PUT:
        break;

    default:
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (im_ticket_verify(im_conf(), &r->uri, &r->args) != NGX_OK) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "upload without a valid ticket");

        return NGX_HTTP_FORBIDDEN;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_im_upload_preflight(ngx_http_request_t *r)
{
    ngx_int_t  rc;
    ngx_str_t  body;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_im_header(r, "Access-Control-Allow-Methods",
                           "GET, PUT, OPTIONS")
        != NGX_OK
        || ngx_http_im_header(r, "Access-Control-Allow-Headers", "*")
           != NGX_OK
        || ngx_http_im_header(r, "Access-Control-Max-Age", "86400") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_null(&body);

    return ngx_http_im_send(r, NGX_HTTP_OK, NULL, &body);
}


/* The SDK takes nothing but 200 for a success, dav says 201 and 204. */

static ngx_int_t
ngx_http_im_upload_header_filter(ngx_http_request_t *r)
{
    ngx_http_im_loc_conf_t  *imlcf;

    imlcf = ngx_http_get_module_loc_conf(r, ngx_http_im_module);

    if (!imlcf->upload || r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    if (r->method == NGX_HTTP_PUT
        && (r->headers_out.status == NGX_HTTP_CREATED
            || r->headers_out.status == NGX_HTTP_NO_CONTENT))
    {
        r->headers_out.status = NGX_HTTP_OK;
        r->headers_out.status_line.len = 0;
        r->headers_out.content_length_n = 0;

        if (r->headers_out.location) {
            r->headers_out.location->hash = 0;
            r->headers_out.location = NULL;
        }
    }

    if (ngx_http_im_header(r, "Access-Control-Allow-Origin", "*") != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}
