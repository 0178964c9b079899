
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "live/im_bus.h"
#include "live/im_node.h"
#include "live/im_slot.h"
#include "store/im_store.h"
#include "domain/im_outbox_lease.h"


#define IM_OUTBOX_LEASE   5          /* seconds, and the time of a request */


typedef struct {
    ngx_str_t          name;         /* key column */
    ngx_str_t          owner;
    ngx_str_t          node;
    int64_t            slot;
    int64_t            until;
} im_outbox_owner_t;


static ngx_int_t im_outbox_lease_get(im_ctx_t *ctx, ngx_uint_t shard,
    im_key_t *key, im_outbox_owner_t *owner, int64_t *version);
static ngx_int_t im_outbox_lease_put(im_ctx_t *ctx, im_key_t *key,
    im_outbox_owner_t *owner, int64_t version);
static void im_outbox_lease_seen(im_outbox_lease_t *lease,
    im_outbox_owner_t *owner);
static void im_outbox_lease_node(im_node_record_t *rec, ngx_str_t *payload);
static void im_outbox_lease_publish(ngx_uint_t app, ngx_uint_t shard,
    ngx_uint_t slot);


static im_record_t  im_outbox_owner_record[] = {
    { ngx_string("name"), IM_COL_STR, offsetof(im_outbox_owner_t, name) },
    { ngx_string("owner"), IM_COL_STR, offsetof(im_outbox_owner_t, owner) },
    { ngx_string("node"), IM_COL_STR, offsetof(im_outbox_owner_t, node) },
    { ngx_string("slot"), IM_COL_INT, offsetof(im_outbox_owner_t, slot) },
    { ngx_string("until"), IM_COL_INT, offsetof(im_outbox_owner_t, until) },
      im_null_record
};


static u_char     im_outbox_name[2 * NGX_INT64_LEN];
static ngx_str_t  im_outbox_self;        /* this worker as an owner */
static ngx_str_t  im_outbox_here;        /* its node, empty: the only one */


void
im_outbox_lease_init_process(void)
{
    im_outbox_self.data = im_outbox_name;
    im_outbox_self.len = ngx_sprintf(im_outbox_name, "%P-%08xD%08xD", ngx_pid,
                                     (uint32_t) ngx_random(),
                                     (uint32_t) ngx_current_msec)
                         - im_outbox_name;

    ngx_str_null(&im_outbox_here);

    if (im_redis_configured()) {
        im_outbox_here = im_conf()->node;
        im_outbox_here.len = ngx_min(im_outbox_here.len, IM_OUTBOX_NODE);
    }

    im_node_handler(IM_BUS_OUTBOX, im_outbox_lease_node);
}


ngx_int_t
im_outbox_lease_take(im_ctx_t *ctx, ngx_uint_t shard,
    im_outbox_lease_t *lease)
{
    int64_t             time, version;
    im_key_t            key;
    ngx_int_t           rc;
    im_outbox_owner_t   owner;

    if (im_outbox_lease_own(ctx->app, lease, 1)) {
        return NGX_OK;
    }

    time = ctx->app->callback->timeout / 1000;

    rc = im_outbox_lease_get(ctx, shard, &key, &owner, &version);
    if (rc != NGX_OK) {
        return rc;
    }

    if (!im_str_eq(&owner.owner, &im_outbox_self)
        && owner.until > ngx_time())
    {
        lease->own = 0;
        lease->until = owner.until;
        lease->looked = ngx_time();

        im_outbox_lease_seen(lease, &owner);

        return NGX_DECLINED;
    }

    owner.owner = im_outbox_self;
    owner.node = im_outbox_here;
    owner.slot = im_slot_self();
    owner.until = ngx_time() + IM_OUTBOX_LEASE + time;

    rc = im_outbox_lease_put(ctx, &key, &owner, version);

    lease->own = (rc == NGX_OK);
    lease->until = lease->own ? owner.until : 0;

    im_outbox_lease_seen(lease, &owner);

    if (rc == NGX_DECLINED) {            /* another one was faster */
        lease->looked = ngx_time();
    }

    return rc;
}


static void
im_outbox_lease_seen(im_outbox_lease_t *lease, im_outbox_owner_t *owner)
{
    lease->slot = owner->slot;
    lease->node_len = ngx_min(owner->node.len, IM_OUTBOX_NODE);

    if (lease->node_len) {
        ngx_memcpy(lease->node, owner->node.data, lease->node_len);
    }
}


static ngx_int_t
im_outbox_lease_get(im_ctx_t *ctx, ngx_uint_t shard, im_key_t *key,
    im_outbox_owner_t *owner, int64_t *version)
{
    u_char      buf[sizeof("outbox-") + NGX_INT_T_LEN];
    im_row_t    row;
    ngx_int_t   rc;
    ngx_str_t   name;

    name.data = buf;
    name.len = ngx_sprintf(buf, "outbox-%ui", shard) - buf;

    im_key_init(key, ctx->app->id);
    im_key_str(key, &name);

    ngx_memzero(owner, sizeof(im_outbox_owner_t));
    *version = 0;

    rc = im_store_get(ctx, IM_T_LEASE, key, &row);

    if (rc == NGX_OK) {
        im_record_load(&row, im_outbox_owner_record, owner);
        *version = row.version;
    }

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_outbox_lease_put(im_ctx_t *ctx, im_key_t *key, im_outbox_owner_t *owner,
    int64_t version)
{
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ATOMIC);

    ngx_str_null(&owner->name);

    im_store_replace(batch, IM_T_LEASE, key, version,
                     im_record_doc(ctx->pool, im_outbox_owner_record, owner));

    return im_store_commit(ctx, batch);
}


ngx_uint_t
im_outbox_lease_own(im_app_t *app, im_outbox_lease_t *lease, int64_t more)
{
    im_callback_conf_t  *cb;

    cb = app->callback;

    return lease->own && cb
           && lease->until > ngx_time() + (int64_t) cb->timeout / 1000 + more;
}


ngx_uint_t
im_outbox_lease_other(im_outbox_lease_t *lease)
{
    return !lease->own && lease->until > ngx_time();
}


void
im_outbox_lease_release(im_ctx_t *ctx, ngx_uint_t shard,
    im_outbox_lease_t *lease)
{
    int64_t             version;
    im_key_t            key;
    im_outbox_owner_t   owner;

    if (im_outbox_lease_get(ctx, shard, &key, &owner, &version) == NGX_OK
        && im_str_eq(&owner.owner, &im_outbox_self))
    {
        owner.until = 0;
        (void) im_outbox_lease_put(ctx, &key, &owner, version);
    }

    lease->own = 0;
    lease->until = 0;
}


void
im_outbox_lease_hint(im_app_t *app, ngx_uint_t shard,
    im_outbox_lease_t *lease)
{
    ngx_str_t      node;
    im_bus_meta_t  meta;

    node.data = lease->node;
    node.len = lease->node_len;

    if (im_str_eq(&node, &im_outbox_here)) {

        if (lease->slot != im_slot_self()) {
            im_outbox_lease_publish(app->id, shard, lease->slot);
        }

        return;
    }

    ngx_memzero(&meta, sizeof(im_bus_meta_t));

    meta.app = app->id;
    meta.seq = shard;
    meta.flags = lease->slot;

    /* if Redis is down it looks for them by itself */

    (void) im_node_send(&node, IM_BUS_OUTBOX, &meta, NULL, 0);
}


/* From another node. */

static void
im_outbox_lease_node(im_node_record_t *rec, ngx_str_t *payload)
{
    if (rec->flags < IM_SLOTS) {
        im_outbox_lease_publish(rec->app, rec->seq, rec->flags);
    }
}


static void
im_outbox_lease_publish(ngx_uint_t app, ngx_uint_t shard, ngx_uint_t slot)
{
    im_slots_t      to;
    im_bus_meta_t   meta;

    im_slots_zero(&to);
    im_slots_set(&to, slot);

    ngx_memzero(&meta, sizeof(im_bus_meta_t));

    meta.app = app;
    meta.seq = shard;

    (void) im_bus_publish(&to, IM_BUS_OUTBOX, &meta, NULL, 0);
}
