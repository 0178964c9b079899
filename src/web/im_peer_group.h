
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_PEER_GROUP_H_INCLUDED_
#define _IM_PEER_GROUP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "live/im_room_member.h"
#include "web/im_peer.h"


/*
 * Stored groups of a connection: it gets what is published in those that its
 * user is a member of.  A connection that takes no more is behind: it gets
 * what has come meanwhile from the stream of the group.
 */

typedef struct {
    im_room_member_t   member;
    im_peer_t         *peer;
    uint64_t           gno;
    ngx_queue_t        queue;        /* of peer->groups */

    int64_t            cursor;       /* number of the last message that was
                                        sent, -1: none yet */
    int64_t            seen;         /* the greatest that was not */
    int64_t            since;        /* microseconds: changes of messages from
                                        then on may be missing */

    unsigned           discard:1;    /* MsgFlag: no messages */
    unsigned           found:1;
    unsigned           behind:1;
    unsigned           fresh:1;      /* its worker may not follow it yet */
    unsigned           joining:1;    /* behind since it was joined */
    unsigned           again:1;      /* something came while it was read */
} im_peer_group_t;

/* Makes the subscriptions what the store says.  The connection may be gone
 * afterwards.  NGX_OK; NGX_DECLINED: it is; else as im_store_get(). */
ngx_int_t im_peer_groups_sync(im_ctx_t *ctx);

/* The same in a coroutine of its own. */
void im_peer_groups_start(im_peer_t *peer);

/* Compares what the worker has handed out with the heads of some groups,
 * with those of others the next time.  The connection may be gone afterwards.
 * As im_peer_groups_sync(). */
ngx_int_t im_peer_groups_check(im_ctx_t *ctx);

/* "+" or "-" and a group's number: the user has joined or left. */
void im_peer_groups_event(im_peer_t *peer, ngx_str_t *text);

/* Memory and log of a coroutine that works for the session of the peer. */

typedef struct {
    im_ctx_t           ctx;
    ngx_log_t          log;
} im_peer_groups_t;

ngx_int_t im_peer_groups_spawn(im_peer_t *peer, void (*fn)(void *data));

/* NULL: the session has ended. */
im_peer_t *im_peer_groups_peer(im_ctx_t *ctx);
im_peer_group_t *im_peer_group_find(im_peer_t *peer, uint64_t gno);

/* It was joined a moment ago, first is that of the member: it is behind, and
 * reads the stream from im_peer_group_ready() on, when its worker follows. */
void im_peer_group_begin(im_peer_group_t *pg, int64_t first);
void im_peer_group_ready(im_peer_group_t *pg);

/* The connection takes no more, or not yet; seq: number of the message that
 * it does not get, 0: it has none. */
void im_peer_group_behind(im_peer_group_t *pg, int64_t seq);

/* The session ends. */
void im_peer_groups_close(im_peer_t *peer);


#endif /* _IM_PEER_GROUP_H_INCLUDED_ */
