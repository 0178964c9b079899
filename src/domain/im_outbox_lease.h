
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_OUTBOX_LEASE_H_INCLUDED_
#define _IM_OUTBOX_LEASE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"


/*
 * Which worker of all nodes sends the rows of a stream: a row of the store
 * says so until it ends, and the worker renews it.  This is what a worker
 * knows of it.
 */

#define IM_OUTBOX_NODE  64           /* bytes of a node's name */


typedef struct {
    ngx_uint_t         slot;         /* of the worker that has it */
    u_char             node[IM_OUTBOX_NODE];
    size_t             node_len;     /* 0: there is one node */
    int64_t            until;        /* second of its end */
    time_t             looked;       /* when another one had it */
    unsigned           own:1;
} im_outbox_lease_t;


void im_outbox_lease_init_process(void);

/* NGX_OK: it is ours for longer than a request takes; NGX_DECLINED: it is
 * another one's; NGX_BUSY, NGX_ERROR. */
ngx_int_t im_outbox_lease_take(im_ctx_t *ctx, ngx_uint_t shard,
    im_outbox_lease_t *lease);

/* 1: it is ours for the time of a request, and some seconds more. */
ngx_uint_t im_outbox_lease_own(im_app_t *app, im_outbox_lease_t *lease,
    int64_t more);

/* 1: another worker has it, as far as this one knows. */
ngx_uint_t im_outbox_lease_other(im_outbox_lease_t *lease);

/* So that another worker need not wait for its end. */
void im_outbox_lease_release(im_ctx_t *ctx, ngx_uint_t shard,
    im_outbox_lease_t *lease);

/* Tells the worker that has it, on whatever node, of new rows. */
void im_outbox_lease_hint(im_app_t *app, ngx_uint_t shard,
    im_outbox_lease_t *lease);


#endif /* _IM_OUTBOX_LEASE_H_INCLUDED_ */
