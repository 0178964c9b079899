
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_PEER_H_INCLUDED_
#define _IM_PEER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_map.h"
#include "live/im_session.h"
#include "web/im_frame.h"


/* What the transport does for the session protocol. */

typedef struct {
    /* Queues the frame (takes a reference); it is written at the end of the
     * round of the event loop, or at once (frame->alone).  Does not close or
     * free the peer.  NGX_OK; NGX_BUSY: over the output limit, not
     * queued (the limit is lower for lower priorities, and for peers without
     * a session); NGX_ERROR: the connection is dead or dying. */
    ngx_int_t        (*send)(im_peer_t *peer, im_frame_t *frame);

    /* Starts to close, with a WebSocket status code; the peer is freed later
     * by the transport, after im_web_close(). */
    void             (*close)(im_peer_t *peer, ngx_uint_t status);
} im_peer_ops_t;


/*
 * A connection that carries frames of the session protocol.  Lives in the
 * transport's memory; commands in flight refer to it by its number only.
 */

struct im_peer_s {
    im_map_node_t      node;         /* hash: the number */
    uint64_t           id;

    im_peer_ops_t     *ops;
    void              *data;         /* the transport's */
    ngx_log_t         *log;

    im_app_t          *app;
    im_form_e          form;         /* what send() will use */

    unsigned           closing:1;
    unsigned           groups_syncing:1; /* im_peer_group.c */
    unsigned           groups_again:1;
    unsigned           groups_feeding:1;
    unsigned           groups_known:1;   /* those of the login */
    unsigned           tls:1;

    ngx_uint_t         platform;     /* query argument "platform" */
    ngx_str_t          ip;           /* text, in the transport's memory */
    ngx_str_t          host;         /* that the client has called, or empty */

    im_session_t      *session;      /* after wslogin */
    ngx_queue_t        rooms;        /* im_peer_room_t, live rooms joined */
    ngx_queue_t        groups;       /* im_peer_group_t, stored groups */
    uint64_t           group;        /* the last one whose head was compared */
    ngx_uint_t         running;      /* commands in flight */

    ngx_msec_t         second;       /* frames of this second, for the limit */
    ngx_uint_t         frames;

};


/* Gives the peer its number and makes it known; the caller has filled ops,
 * data, log, app, form, platform, ip, host, tls. */
void im_peer_open(im_peer_t *peer);
void im_peer_close(im_peer_t *peer);

/* NULL: gone. */
im_peer_t *im_peer_get(uint64_t id);


#endif /* _IM_PEER_H_INCLUDED_ */
