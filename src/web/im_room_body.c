
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_worker.h"
#include "live/im_redis.h"
#include "live/im_room.h"
#include "live/im_slot.h"
#include "domain/im_group_item.h"
#include "web/im_room_body.h"


#define IM_ROOM_BODY_MAX    50
#define IM_ROOM_BODY_BYTES  (512 * 1024)
#define IM_ROOM_BODIES      32


/* The last record tells it from what is read later, or of another room. */

typedef struct {
    ngx_uint_t        app;
    uint64_t          gno;
    uint64_t          chain;
    int64_t           from;
    ngx_uint_t        v1;

    im_room_body_t    body;          /* with a reference to the tail */
} im_room_body_entry_t;


typedef struct {
    im_bus_buf_t     *bufs[IM_ROOM_BODY_MAX];
    ngx_uint_t        n;
    size_t            len;
    int64_t           next;
    ngx_uint_t        v1;
} im_room_body_read_t;


static ngx_int_t im_room_body_init_process(ngx_cycle_t *cycle,
    im_conf_t *conf);
static void im_room_body_exit_process(ngx_cycle_t *cycle);
static void im_room_body_tick(void);
static void im_room_body_free(im_room_body_entry_t *e);
static ngx_int_t im_room_body_make(im_room_body_entry_t *e);
static ngx_int_t im_room_body_item(im_bus_buf_t *buf, void *data);
static void im_room_body_render(im_room_body_read_t *read,
    im_room_body_t *body);


static im_room_body_entry_t  im_room_bodies[IM_ROOM_BODIES];


im_worker_hook_t  im_room_body_hook = {
    ngx_string("bodies of polls"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_room_body_init_process,             /* init process */
    im_room_body_exit_process              /* exit process */
};


static ngx_int_t
im_room_body_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    return im_slot_tick_add(im_room_body_tick);
}


static void
im_room_body_exit_process(ngx_cycle_t *cycle)
{
    im_room_body_tick();
}


/* Those who wait for a message ask for it at once: none is kept for long. */

static void
im_room_body_tick(void)
{
    ngx_uint_t  i;

    for (i = 0; i < IM_ROOM_BODIES; i++) {
        im_room_body_free(&im_room_bodies[i]);
    }
}


static void
im_room_body_free(im_room_body_entry_t *e)
{
    if (e->body.tail) {
        im_shared_unref(e->body.tail);
    }

    ngx_memzero(e, sizeof(im_room_body_entry_t));
}


ngx_int_t
im_room_body(ngx_pool_t *pool, ngx_uint_t app, uint64_t gno, int64_t *from,
    ngx_uint_t v1, im_room_body_t *body)
{
    int64_t                last;
    uint64_t               chain;
    im_room_body_entry_t  *e;

    last = im_room_head(app, gno, &chain);

    if (*from > last + 1 && !im_redis_configured()) {

        /* the zone is younger than the poll: all is new in it */

        *from = 1;
    }

    if (*from > last) {
        ngx_memzero(body, sizeof(im_room_body_t));
        body->next = *from;
        return NGX_OK;
    }

    e = &im_room_bodies[(gno * 7 + (uint64_t) *from) % IM_ROOM_BODIES];

    if (e->chain != chain
        || e->from != *from
        || e->gno != gno
        || e->app != app
        || e->v1 != v1)
    {
        im_room_body_free(e);

        e->app = app;
        e->gno = gno;
        e->from = *from;
        e->v1 = v1;

        if (im_room_body_make(e) != NGX_OK) {
            return NGX_ERROR;
        }

        e->chain = chain;
    }

    *body = e->body;

    return body->tail ? im_shared_keep(pool, body->tail) : NGX_OK;
}


static ngx_int_t
im_room_body_make(im_room_body_entry_t *e)
{
    int64_t              oldest;
    ngx_int_t            rc;
    ngx_uint_t           i;
    im_room_body_read_t  read;

    read.n = 0;
    read.len = 0;
    read.next = e->from;
    read.v1 = e->v1;

    (void) im_room_read(e->app, e->gno, e->from, IM_ROOM_BODY_MAX,
                        IM_ROOM_BODY_BYTES, &oldest, im_room_body_item,
                        &read);

    rc = NGX_OK;
    e->body.next = read.next;

    if (read.n) {
        e->body.tail = im_shared_alloc(sizeof(",\"RspMsgList\":[]}") - 1
                                       + read.len + read.n - 1);

        if (e->body.tail) {
            im_room_body_render(&read, &e->body);

        } else {
            rc = NGX_ERROR;
        }
    }

    for (i = 0; i < read.n; i++) {
        im_bus_buf_unref(read.bufs[i]);
    }

    return rc;
}


static ngx_int_t
im_room_body_item(im_bus_buf_t *buf, void *data)
{
    im_room_body_read_t  *read = data;

    im_group_item_t  item;

    read->next = buf->seq + 1;

    if (im_group_item(&buf->payload, &item) == NGX_OK
        && !(item.signal && read->v1))
    {
        read->bufs[read->n++] = im_bus_buf_ref(buf);
        read->len += item.text.len;
    }

    return NGX_OK;
}


static void
im_room_body_render(im_room_body_read_t *read, im_room_body_t *body)
{
    u_char           *p;
    ngx_uint_t        i;
    im_group_item_t   item;

    p = ngx_cpymem(body->tail->text.data, ",\"RspMsgList\":",
                   sizeof(",\"RspMsgList\":") - 1);

    body->list.data = p;
    body->list.len = body->tail->text.data + body->tail->text.len - p - 1;

    for (i = 0; i < read->n; i++) {
        *p++ = i ? ',' : '[';

        (void) im_group_item(&read->bufs[i]->payload, &item);

        ngx_memcpy(p, item.text.data, item.text.len);

        /* two builds of web SDK 1.7 know tips by this number only */

        if (item.event == 6 && read->v1) {
            p[IM_GROUP_ITEM_EVENT] = '4';
        }

        p += item.text.len;
    }

    *p++ = ']';
    *p = '}';
}
