
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
static char *ngx_http_im_upload(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_im_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_im_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_im_init_process(ngx_cycle_t *cycle);


static ngx_http_im_location_t  ngx_http_im_metrics = {
    ngx_http_im_metrics_handler
};

static ngx_http_im_location_t  ngx_http_im_rest = {
    ngx_http_im_rest_handler
};

static ngx_http_im_location_t  ngx_http_im_events = {
    ngx_http_im_events_handler
};

static ngx_http_im_location_t  ngx_http_im_websocket = {
    ngx_http_im_websocket_handler
};


static ngx_command_t  ngx_http_im_commands[] = {

    { ngx_string("im_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_im_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_im_metrics },

    { ngx_string("im_rest"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_im_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_im_rest },

    { ngx_string("im_body_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_im_loc_conf_t, body_size),
      NULL },

    { ngx_string("im_websocket"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_im_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_im_websocket },

    { ngx_string("im_events"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_im_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_im_events },

    { ngx_string("im_upload"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_im_upload,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_im_module_ctx = {
    ngx_http_im_variable_add,              /* preconfiguration */
    ngx_http_im_upload_init,               /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_im_create_loc_conf,           /* create location configuration */
    ngx_http_im_merge_loc_conf             /* merge location configuration */
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
    ngx_http_im_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_im_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->handler = NULL;
     *     conf->upload = 0;
     */

    conf->body_size = NGX_CONF_UNSET_SIZE;

    return conf;
}


static char *
ngx_http_im_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_im_loc_conf_t  *prev = parent;
    ngx_http_im_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    ngx_conf_merge_size_value(conf->body_size, prev->body_size, 1024 * 1024);

    if (conf->handler == ngx_http_im_rest_handler) {

        /* im_body_size counts: its answer is not nginx's page for 413 */

        clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
        clcf->client_max_body_size = 0;
    }

    return NGX_CONF_OK;
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


static char *
ngx_http_im_upload(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_im_loc_conf_t  *imlcf = conf;

    if (imlcf->upload) {
        return "is duplicate";
    }

    imlcf->upload = 1;

    ngx_im_conf_needed(cf);

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_im_header_add(ngx_http_request_t *r, char *name, size_t name_len,
    char *value, size_t value_len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = name_len;
    h->value.data = (u_char *) value;
    h->value.len = value_len;

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return NGX_OK;
}


ngx_int_t
ngx_http_im_send(ngx_http_request_t *r, ngx_uint_t status, char *type,
    ngx_str_t *body)
{
    return ngx_http_im_send_parts(r, status, type, body, 1);
}


ngx_int_t
ngx_http_im_send_parts(ngx_http_request_t *r, ngx_uint_t status, char *type,
    ngx_str_t *parts, ngx_uint_t n)
{
    off_t          len;
    ngx_int_t      rc;
    ngx_buf_t     *b;
    ngx_uint_t     i;
    ngx_chain_t   *out, *cl, **ll;

    len = 0;

    for (i = 0; i < n; i++) {
        len += parts[i].len;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = len;

    if (type) {
        r->headers_out.content_type.data = (u_char *) type;
        r->headers_out.content_type.len = ngx_strlen(type);
        r->headers_out.content_type_len = strcspn(type, ";");
    }

    if (len == 0) {
        r->header_only = 1;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = NULL;
    ll = &out;

    for (i = 0; i < n; i++) {

        if (parts[i].len == 0) {
            continue;
        }

        b = ngx_calloc_buf(r->pool);
        cl = ngx_alloc_chain_link(r->pool);

        if (b == NULL || cl == NULL) {
            return NGX_ERROR;
        }

        b->pos = parts[i].data;
        b->last = parts[i].data + parts[i].len;
        b->memory = 1;

        cl->buf = b;

        *ll = cl;
        ll = &cl->next;
    }

    *ll = NULL;

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    return ngx_http_output_filter(r, out);
}


static ngx_int_t
ngx_http_im_init_process(ngx_cycle_t *cycle)
{
    if (im_worker_start(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_im_events_init_process(cycle);
}
