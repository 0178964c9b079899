
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stream.h>
#include "core/ngx_im_module.h"
#include "stream/ngx_stream_im_module.h"
#include "web/im_conn.h"


static void ngx_stream_im_tcp_done(ngx_connection_t *c, void *data);


/* The session protocol over TCP or TLS: 4 bytes of length, the JSON. */

void
ngx_stream_im_tcp_handler(ngx_stream_session_t *s)
{
    im_conn_t                 *conn;
    im_conf_t                 *imcf;
    ngx_str_t                  unread, unsent;
    im_conn_init_t             init;
    ngx_connection_t          *c;
    ngx_stream_im_srv_conf_t  *iscf;

    c = s->connection;
    imcf = im_conf();

    iscf = ngx_stream_get_module_srv_conf(s, ngx_stream_im_module);

    ngx_memzero(&init, sizeof(im_conn_init_t));

    init.app = iscf->app ? im_conf_app(imcf, iscf->app) : imcf->apps.elts;
    init.form = IM_FORM_LENGTH;
    init.ip = c->addr_text;
    init.done = ngx_stream_im_tcp_done;
    init.data = s;

    if (init.app == NULL) {
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "no app %ui of \"im_stream\" in \"im\"", iscf->app);
        ngx_stream_finalize_session(s, NGX_STREAM_INTERNAL_SERVER_ERROR);
        return;
    }

    if (ngx_tcp_nodelay(c) != NGX_OK) {
        ngx_stream_finalize_session(s, NGX_STREAM_INTERNAL_SERVER_ERROR);
        return;
    }

    conn = im_conn_create(&init, c->log);
    if (conn == NULL) {
        ngx_stream_finalize_session(s, NGX_STREAM_INTERNAL_SERVER_ERROR);
        return;
    }

    c->log->action = "serving TCP client";

    ngx_str_null(&unread);
    ngx_str_null(&unsent);

    if (c->buffer) {
        unread.data = c->buffer->pos;
        unread.len = c->buffer->last - c->buffer->pos;
    }

    im_conn_start(conn, c, &unread, &unsent);
}


static void
ngx_stream_im_tcp_done(ngx_connection_t *c, void *data)
{
    c->data = data;

    ngx_stream_finalize_session(data, NGX_STREAM_OK);
}
