
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "core/im_worker.h"
#include "web/im_room_place.h"


#define IM_PLACE_BUCKETS  8192


static void im_room_place_event(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    uint32_t inst, ngx_uint_t event);
static ngx_uint_t im_room_place_same(im_room_place_t *place, ngx_uint_t app,
    uint64_t gno, ngx_str_t *user);
static ngx_queue_t *im_room_place_bucket(ngx_uint_t app, uint64_t gno,
    ngx_str_t *user);
static ngx_int_t im_room_place_init_process(ngx_cycle_t *cycle,
    im_conf_t *conf);


im_worker_hook_t  im_room_place_hook = {
    ngx_string("room places"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_room_place_init_process,            /* init process */
    NULL                                   /* exit process */
};


static ngx_queue_t  *im_room_places;


static ngx_int_t
im_room_place_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    ngx_uint_t  i;

    im_room_places = ngx_palloc(cycle->pool,
                                IM_PLACE_BUCKETS * sizeof(ngx_queue_t));
    if (im_room_places == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < IM_PLACE_BUCKETS; i++) {
        ngx_queue_init(&im_room_places[i]);
    }

    return im_group_member_handler(im_room_place_event);
}


void
im_room_place_add(im_room_place_t *place)
{
    ngx_queue_t  *bucket;

    bucket = im_room_place_bucket(place->app, place->gno, &place->user);

    ngx_queue_insert_tail(bucket, &place->queue);
}


void
im_room_place_del(im_room_place_t *place)
{
    ngx_queue_remove(&place->queue);
}


ngx_uint_t
im_room_place_other(im_room_place_t *place)
{
    ngx_queue_t      *q, *bucket;
    im_room_place_t  *p;

    bucket = im_room_place_bucket(place->app, place->gno, &place->user);

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        p = ngx_queue_data(q, im_room_place_t, queue);

        if (p != place
            && p->inst == place->inst
            && im_room_place_same(p, place->app, place->gno, &place->user))
        {
            return 1;
        }
    }

    return 0;
}


static void
im_room_place_event(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    uint32_t inst, ngx_uint_t event)
{
    ngx_queue_t      *q, *bucket;
    im_room_place_t  *place;

    bucket = im_room_place_bucket(app, gno, user);

    for (q = ngx_queue_head(bucket); q != ngx_queue_sentinel(bucket);
         /* void */ )
    {
        place = ngx_queue_data(q, im_room_place_t, queue);
        q = ngx_queue_next(q);

        if (im_room_place_same(place, app, gno, user)) {
            place->event(place, inst, event);
        }
    }
}


static ngx_uint_t
im_room_place_same(im_room_place_t *place, ngx_uint_t app, uint64_t gno,
    ngx_str_t *user)
{
    return place->gno == gno && place->app == app
           && im_str_eq(&place->user, user);
}


static ngx_queue_t *
im_room_place_bucket(ngx_uint_t app, uint64_t gno, ngx_str_t *user)
{
    uint32_t  hash;

    hash = ngx_murmur_hash2(user->data, user->len) ^ (uint32_t) (gno * 31)
           ^ (uint32_t) app;

    return &im_room_places[hash % IM_PLACE_BUCKETS];
}
