
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_str.h"
#include "core/im_worker.h"
#include "live/im_room.h"
#include "live/im_session.h"
#include "domain/im_callback.h"
#include "domain/im_group.h"


/*
 * The app is told of members of live rooms who are silent, or back.
 */

#define IM_SILENT_QUEUE  10000       /* of a worker */
#define IM_SILENT_POOL   2048


typedef struct {
    ngx_queue_t        queue;
    im_app_t          *app;
    uint64_t           gno;
    ngx_uint_t         online;
    ngx_str_t          user;
} im_group_silent_t;


static void im_group_silent(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    ngx_uint_t online);
static void im_group_silent_main(void *data);
static void im_group_silent_one(im_group_silent_t *s);
static ngx_int_t im_group_silent_init_process(ngx_cycle_t *cycle,
    im_conf_t *conf);
static void im_group_silent_exit_process(ngx_cycle_t *cycle);


im_worker_hook_t  im_group_silent_hook = {
    ngx_string("group silent"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_group_silent_init_process,          /* init process */
    im_group_silent_exit_process           /* exit process */
};


static ngx_queue_t  im_group_silents;
static ngx_uint_t   im_group_nsilents;
static ngx_uint_t   im_group_silent_running;


static void
im_group_silent(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    ngx_uint_t online)
{
    im_app_t           *a;
    im_group_silent_t  *s;

    a = im_conf_app(im_conf(), app);

    if (a == NULL
        || !im_callback_wants(a, IM_CB_GROUP_SILENT)
        || im_group_nsilents == IM_SILENT_QUEUE)
    {
        return;
    }

    s = ngx_alloc(sizeof(im_group_silent_t) + user->len, ngx_cycle->log);
    if (s == NULL) {
        return;
    }

    s->app = a;
    s->gno = gno;
    s->online = online;

    (void) im_str_put((u_char *) s + sizeof(im_group_silent_t), &s->user,
                      user);

    ngx_queue_insert_tail(&im_group_silents, &s->queue);
    im_group_nsilents++;

    if (!im_group_silent_running
        && im_co_spawn(im_group_silent_main, NULL, ngx_cycle->log) != NULL)
    {
        im_group_silent_running = 1;
    }
}


static void
im_group_silent_main(void *data)
{
    ngx_queue_t        *q;
    im_group_silent_t  *s;

    while (!ngx_queue_empty(&im_group_silents)) {

        q = ngx_queue_head(&im_group_silents);
        ngx_queue_remove(q);
        im_group_nsilents--;

        s = ngx_queue_data(q, im_group_silent_t, queue);

        im_group_silent_one(s);

        ngx_free(s);
    }

    im_group_silent_running = 0;
}


static void
im_group_silent_one(im_group_silent_t *s)
{
    im_ctx_t            ctx;
    im_group_t          group;
    im_session_entry_t  entry;

    ngx_memzero(&ctx, sizeof(im_ctx_t));

    ctx.app = s->app;
    ctx.log = ngx_cycle->log;
    ctx.via = IM_VIA_JOB;
    ctx.role = IM_ROLE_ADMIN;

    ctx.pool = ngx_create_pool(IM_SILENT_POOL, ctx.log);
    if (ctx.pool == NULL) {
        return;
    }

    if (im_group_load_gno(&ctx, s->gno, &group) == IM_OK) {

        if (!s->online
            && im_session_list_all(s->app->id, &s->user, &entry, 1))
        {
            /* another device of his is not */

            im_room_back(s->app->id, s->gno, &s->user, 0);

        } else {
            im_callback_group_silent(&ctx, &group, &s->user, s->online);
        }
    }

    ngx_destroy_pool(ctx.pool);
}


static ngx_int_t
im_group_silent_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    ngx_queue_init(&im_group_silents);

    im_room_silent_handler(conf->room_silence, im_group_silent);

    return NGX_OK;
}


static void
im_group_silent_exit_process(ngx_cycle_t *cycle)
{
    ngx_queue_t        *q;
    im_group_silent_t  *s;

    while (!ngx_queue_empty(&im_group_silents)) {
        q = ngx_queue_head(&im_group_silents);
        ngx_queue_remove(q);

        s = ngx_queue_data(q, im_group_silent_t, queue);
        ngx_free(s);
    }
}
