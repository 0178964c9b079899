
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CONN_H_INCLUDED_
#define _IM_CONN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "web/im_peer.h"


/*
 * A socket that carries frames both ways, as WebSocket or with lengths, from
 * the moment when the module that has accepted it hands it over.
 */

#define IM_CONN_MESSAGE_MAX  (1024 * 1024)


typedef struct im_conn_s  im_conn_t;


typedef struct {
    im_app_t       *app;             /* NULL: the first frame tells */
    im_form_e       form;            /* but not IM_FORM_SSE */
    ngx_uint_t      platform;
    ngx_str_t       ip;              /* is copied */
    ngx_str_t       host;            /* the same */
    ngx_uint_t      deflate;         /* permessage-deflate: bits of the window,
                                        0: none */
    unsigned        tls:1;

    /* closes the connection and frees its pool */
    void          (*done)(ngx_connection_t *c, void *data);
    void           *data;
} im_conn_init_t;


/* Memory for a connection, NULL: none.  One that is not started is to be
 * freed. */
im_conn_t *im_conn_create(im_conn_init_t *init, ngx_log_t *log);
void im_conn_free(im_conn_t *conn);

/*
 * Takes over the connection and the handlers of its events; bytes that were
 * read already come first, bytes to send first are copied.  The connection
 * may be gone when it returns.
 */
void im_conn_start(im_conn_t *conn, ngx_connection_t *c, ngx_str_t *unread,
    ngx_str_t *unsent);

/*
 * Something is unsent, of any connection: the write event follows, by a timer
 * if nothing can be sent for long; before: what c->sent was.  NGX_AGAIN or
 * NGX_ERROR.
 */
ngx_int_t im_conn_full(ngx_connection_t *c, off_t before);

/* Open connections of a form. */
ngx_uint_t im_conn_count(im_form_e form);


#endif /* _IM_CONN_H_INCLUDED_ */
