
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_co.h"
#include "live/im_node.h"
#include "live/im_redis.h"
#include "live/im_room_settle.h"


/*
 * A mark follows the records of a room to each worker, takes its place behind
 * them there, and is answered in the turn of the event loop after the one in
 * which they were written.  Another node hears of it by the channel of the
 * room, asks its own workers, and answers to the node's channel.
 */

typedef struct {
    ngx_queue_t          queue;
    uint64_t             id;
    ngx_int_t            left;       /* answers that have not come */
    im_co_t             *co;         /* NULL: it does not wait yet */
} im_room_wait_t;


/* An answer that is to be sent. */

typedef struct {
    ngx_queue_t          queue;
    uint64_t             id;
    ngx_uint_t           slot;
} im_room_pass_t;


/* What another node has asked. */

typedef struct {
    uint64_t             id;
    uint64_t             gno;
    ngx_uint_t           app;
    ngx_uint_t           slot;       /* over there */
    ngx_str_t            node;
    u_char               name[IM_REDIS_KEY_MAX];
} im_room_ask_t;


static void im_room_wait_begin(im_room_wait_t *w);
static void im_room_wait_end(im_room_wait_t *w);
static void im_room_wait_done(uint64_t id);
static ngx_int_t im_room_mark_here(ngx_uint_t app, uint64_t gno, uint64_t id);
static ngx_int_t im_room_mark_nodes(ngx_uint_t app, uint64_t gno,
    uint64_t id);
static ngx_int_t im_room_receivers(void *data, redisReply *reply);
static void im_room_pass_handler(ngx_event_t *ev);
static void im_room_passed_handler(im_bus_buf_t *buf);
static void im_room_node_mark(im_node_record_t *rec, ngx_str_t *payload);
static void im_room_node_ask(void *data);
static void im_room_node_passed(im_node_record_t *rec, ngx_str_t *payload);


static ngx_queue_t  im_room_waits;
static ngx_queue_t  im_room_passes;
static ngx_event_t  im_room_pass_event;
static uint64_t     im_room_wait_id;


void
im_room_settle_init_process(ngx_cycle_t *cycle)
{
    ngx_queue_init(&im_room_waits);
    ngx_queue_init(&im_room_passes);

    ngx_memzero(&im_room_pass_event, sizeof(ngx_event_t));
    im_room_pass_event.handler = im_room_pass_handler;
    im_room_pass_event.log = cycle->log;

    /* answers to a predecessor in the slot are nobody's */

    im_room_wait_id = (uint64_t) ngx_time() << 32;

    im_bus_handler(IM_BUS_PASSED, im_room_passed_handler);

    im_node_handler(IM_BUS_MARK, im_room_node_mark);
    im_node_handler(IM_BUS_PASSED, im_room_node_passed);
}


void
im_room_settle(ngx_uint_t app, uint64_t gno)
{
    im_room_wait_t  w;

    im_room_wait_begin(&w);

    w.left += im_room_mark_here(app, gno, w.id);
    w.left += im_room_mark_nodes(app, gno, w.id);

    im_room_wait_end(&w);
}


static void
im_room_wait_begin(im_room_wait_t *w)
{
    w->id = ++im_room_wait_id;
    w->left = 0;
    w->co = NULL;

    ngx_queue_insert_tail(&im_room_waits, &w->queue);
}


static void
im_room_wait_end(im_room_wait_t *w)
{
    if (w->left > 0) {
        w->co = im_co_self();
        (void) im_co_wait(IM_ROOM_SETTLE_MAX);
    }

    ngx_queue_remove(&w->queue);
}


static void
im_room_wait_done(uint64_t id)
{
    ngx_queue_t     *q;
    im_room_wait_t  *w;

    for (q = ngx_queue_head(&im_room_waits);
         q != ngx_queue_sentinel(&im_room_waits);
         q = ngx_queue_next(q))
    {
        w = ngx_queue_data(q, im_room_wait_t, queue);

        if (w->id != id) {
            continue;
        }

        if (--w->left == 0 && w->co) {
            im_co_wake(w->co, NGX_OK);
            w->co = NULL;
        }

        return;
    }
}


/* Answers how many workers were asked. */

static ngx_int_t
im_room_mark_here(ngx_uint_t app, uint64_t gno, uint64_t id)
{
    im_slots_t     to;
    im_bus_meta_t  meta;

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = app;
    meta.chain = gno;
    meta.seq = id;

    im_bus_interested(im_bus_hash(app, gno), &to);

    if (im_bus_publish(&to, IM_BUS_MARK, &meta, NULL, 0) != NGX_OK) {
        return 0;
    }

    return __builtin_popcountll(to.w[0]) + __builtin_popcountll(to.w[1]);
}


/* Answers how many other nodes were asked. */

static ngx_int_t
im_room_mark_nodes(ngx_uint_t app, uint64_t gno, uint64_t id)
{
    u_char          buf[IM_REDIS_KEY_MAX];
    int64_t         n;
    ngx_int_t       rc;
    ngx_str_t       args[3];
    ngx_uint_t      own;
    im_bus_meta_t   meta;

    if (!im_redis_configured() || !im_redis_up()) {
        return 0;
    }

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = app;
    meta.flags = im_slot_self();
    meta.chain = gno;
    meta.seq = id;

    if (im_node_record(&args[2], IM_BUS_MARK, &meta, im_node_id(), 1)
        != NGX_OK)
    {
        return 0;
    }

    ngx_str_set(&args[0], "PUBLISH");
    im_node_channel(&args[1], buf, im_node_group(app, gno));

    own = im_node_hears(im_node_group(app, gno)) ? 1 : 0;
    n = 0;

    rc = im_redis_wait(NULL, 0, args, 3, im_room_receivers, &n);

    ngx_free(args[2].data);

    return (rc == NGX_OK && n > (int64_t) own) ? n - own : 0;
}


static ngx_int_t
im_room_receivers(void *data, redisReply *reply)
{
    int64_t  *n = data;

    if (reply->type != REDIS_REPLY_INTEGER) {
        return NGX_ERROR;
    }

    *n = reply->integer;

    return NGX_OK;
}


void
im_room_passed(im_bus_buf_t *mark)
{
    im_room_pass_t  *pass;

    pass = ngx_alloc(sizeof(im_room_pass_t), ngx_cycle->log);
    if (pass == NULL) {
        return;
    }

    pass->id = mark->seq;
    pass->slot = mark->from;

    ngx_queue_insert_tail(&im_room_passes, &pass->queue);

    if (!im_room_pass_event.posted) {
        ngx_post_event(&im_room_pass_event, &ngx_posted_next_events);
    }
}


static void
im_room_pass_handler(ngx_event_t *ev)
{
    ngx_queue_t     *q;
    im_slots_t       to;
    im_bus_meta_t    meta;
    im_room_pass_t  *pass;

    ngx_memzero(&meta, sizeof(im_bus_meta_t));

    while (!ngx_queue_empty(&im_room_passes)) {

        q = ngx_queue_head(&im_room_passes);
        ngx_queue_remove(q);

        pass = ngx_queue_data(q, im_room_pass_t, queue);

        im_slots_zero(&to);
        im_slots_set(&to, pass->slot);
        meta.seq = pass->id;

        (void) im_bus_publish(&to, IM_BUS_PASSED, &meta, NULL, 0);

        ngx_free(pass);
    }
}


static void
im_room_passed_handler(im_bus_buf_t *buf)
{
    im_room_wait_done(buf->seq);
}


/* Another node asks. */

static void
im_room_node_mark(im_node_record_t *rec, ngx_str_t *payload)
{
    u_char         *last;
    im_room_ask_t  *ask;

    /* the name in "NODE|EPOCH" */

    last = ngx_strlchr(payload->data, payload->data + payload->len, '|');

    if (last == NULL || last - payload->data > IM_REDIS_KEY_MAX) {
        return;
    }

    ask = ngx_alloc(sizeof(im_room_ask_t), ngx_cycle->log);
    if (ask == NULL) {
        return;
    }

    ask->id = rec->seq;
    ask->gno = rec->chain;
    ask->app = rec->app;
    ask->slot = rec->flags;

    ask->node.len = last - payload->data;
    ask->node.data = ask->name;
    ngx_memcpy(ask->name, payload->data, ask->node.len);

    if (im_co_spawn(im_room_node_ask, ask, ngx_cycle->log) == NULL) {
        ngx_free(ask);
    }
}


static void
im_room_node_ask(void *data)
{
    im_room_ask_t  *ask = data;

    im_room_wait_t  w;
    im_bus_meta_t   meta;

    im_room_wait_begin(&w);

    w.left += im_room_mark_here(ask->app, ask->gno, w.id);

    im_room_wait_end(&w);

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.flags = ask->slot;
    meta.seq = ask->id;

    (void) im_node_send(&ask->node, IM_BUS_PASSED, &meta, NULL, 0);

    ngx_free(ask);
}


static void
im_room_node_passed(im_node_record_t *rec, ngx_str_t *payload)
{
    im_slots_t     to;
    im_bus_meta_t  meta;

    if (rec->flags >= IM_SLOTS) {
        return;
    }

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.seq = rec->seq;

    im_slots_zero(&to);
    im_slots_set(&to, rec->flags);

    (void) im_bus_publish(&to, IM_BUS_PASSED, &meta, NULL, 0);
}
