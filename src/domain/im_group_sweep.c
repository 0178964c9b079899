
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_str.h"
#include "core/im_worker.h"
#include "live/im_session.h"
#include "domain/im_group_join.h"
#include "domain/im_group_leave.h"
#include "domain/im_group_list.h"
#include "domain/im_group_message.h"
#include "domain/im_group_read.h"
#include "domain/im_group_row.h"
#include "domain/im_job.h"


/*
 * Looks through the groups of types that recycle groups without activity or
 * remove members who are not connected: one worker, a page at a time.
 */

#define IM_SWEEP_PAGE     50         /* groups */
#define IM_SWEEP_MEMBERS  50         /* of one commit */
#define IM_SWEEP_POOL     16384


static void im_group_sweep_timer(ngx_event_t *ev);
static void im_group_sweep_run(void *data);
static ngx_int_t im_group_sweep_type(im_app_t *app, im_group_type_t *type);
static ngx_int_t im_group_sweep_one(im_ctx_t *ctx, ngx_str_t *gid);
static ngx_int_t im_group_sweep_active(im_ctx_t *ctx, im_group_t *group,
    int64_t *last);
static ngx_int_t im_group_sweep_joined(im_row_t *row, void *data);
static ngx_int_t im_group_sweep_sent(im_ctx_t *ctx, im_group_t *group,
    int64_t *last);
static ngx_int_t im_group_sweep_members(im_ctx_t *ctx, im_group_t *group);
static ngx_int_t im_group_sweep_init_process(ngx_cycle_t *cycle,
    im_conf_t *conf);
static void im_group_sweep_exit_process(ngx_cycle_t *cycle);


im_worker_hook_t  im_group_sweep_hook = {
    ngx_string("group sweep"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_group_sweep_init_process,           /* init process */
    im_group_sweep_exit_process            /* exit process */
};


static ngx_event_t       im_group_sweep_event;
static ngx_msec_t        im_group_sweep_interval;
static ngx_uint_t        im_group_sweeping;


static void
im_group_sweep_timer(ngx_event_t *ev)
{
    if (ngx_exiting) {
        return;
    }

    ngx_add_timer(ev, im_group_sweep_interval);

    if (!im_group_sweeping && im_job_turn()
        && im_co_spawn(im_group_sweep_run, NULL, ngx_cycle->log) != NULL)
    {
        im_group_sweeping = 1;
    }
}


static void
im_group_sweep_run(void *data)
{
    im_app_t         *app;
    im_conf_t        *conf;
    ngx_uint_t        i, k;
    im_group_type_t  *type;

    conf = im_conf();
    app = conf->apps.elts;

    for (i = 0; i < conf->apps.nelts; i++) {

        type = app[i].types->elts;

        for (k = 0; k < app[i].types->nelts; k++) {
            if ((type[k].recycle || type[k].kick_offline)
                && im_group_sweep_type(&app[i], &type[k]) != NGX_OK)
            {
                break;
            }
        }
    }

    im_group_sweeping = 0;
}


static ngx_int_t
im_group_sweep_type(im_app_t *app, im_group_type_t *type)
{
    int64_t       after;
    im_ctx_t      ctx;
    ngx_int_t     rc;
    ngx_str_t    *gid;
    ngx_uint_t    i;
    ngx_array_t   gids;

    after = 0;

    do {
        ngx_memzero(&ctx, sizeof(im_ctx_t));

        ctx.app = app;
        ctx.log = ngx_cycle->log;
        ctx.via = IM_VIA_JOB;
        ctx.role = IM_ROLE_ADMIN;
        ngx_str_set(&ctx.user, IM_GROUP_SYSTEM);

        ctx.pool = ngx_create_pool(IM_SWEEP_POOL, ctx.log);
        if (ctx.pool == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_array_init(&gids, ctx.pool, IM_SWEEP_PAGE, sizeof(ngx_str_t));

        if (rc == NGX_OK) {
            rc = im_group_list(&ctx, type, after, IM_SWEEP_PAGE, &gids,
                               &after);
        }

        gid = gids.elts;

        for (i = 0; rc == NGX_OK && i < gids.nelts; i++) {

            rc = ngx_exiting ? NGX_ERROR : im_group_sweep_one(&ctx, &gid[i]);

            im_co_yield();
        }

        ngx_destroy_pool(ctx.pool);

    } while (rc == NGX_OK && after);

    return rc;
}


static ngx_int_t
im_group_sweep_one(im_ctx_t *ctx, ngx_str_t *gid)
{
    int64_t     last;
    im_code_t   code;
    ngx_int_t   rc;
    im_group_t  group;

    code = im_group_load_fresh(ctx, gid, &group);

    if (code != IM_OK) {
        return (code == IM_E_GROUP_NONE) ? NGX_OK : NGX_ERROR;
    }

    if (group.type->recycle) {

        rc = im_group_sweep_active(ctx, &group, &last);
        if (rc != NGX_OK) {
            return rc;
        }

        if (last + group.type->recycle <= ngx_time()) {
            code = im_group_recycle(ctx, &group);

            return (code == IM_OK || code == IM_E_GROUP_NONE) ? NGX_OK
                                                              : NGX_ERROR;
        }
    }

    return group.type->kick_offline ? im_group_sweep_members(ctx, &group)
                                    : NGX_OK;
}


/* *last: second of the last message or change. */

static ngx_int_t
im_group_sweep_active(im_ctx_t *ctx, im_group_t *group, int64_t *last)
{
    int64_t          head, joined;
    im_key_t         prefix;
    ngx_int_t        rc;
    im_group_row_t   row;

    rc = im_group_head(ctx, group->gno, &head, &row);
    if (rc != NGX_OK) {
        return rc;
    }

    *last = ngx_max(group->created, group->info_time);
    *last = ngx_max(*last, row.time);

    joined = 0;
    im_group_row_key(ctx, group->gno, &prefix);

    rc = im_store_scan(ctx, IM_T_MEMBER, IM_MEMBER_JOIN, &prefix, NULL, NULL,
                       IM_DESC, 1, im_group_sweep_joined, &joined);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    *last = ngx_max(*last, joined);

    /* the last message has expired: when it was sent, its sender's row knows */

    if (head && row.seq == 0 && *last + group->type->recycle <= ngx_time()) {
        return im_group_sweep_sent(ctx, group, last);
    }

    return NGX_OK;
}


static ngx_int_t
im_group_sweep_joined(im_row_t *row, void *data)
{
    int64_t  *joined = data;

    (void) im_row_int(row, "joined", joined);

    return NGX_DONE;
}


static ngx_int_t
im_group_sweep_sent(im_ctx_t *ctx, im_group_t *group, int64_t *last)
{
    im_key_t             key;
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_array_t          users;
    im_group_read_t      reads[IM_SWEEP_MEMBERS];
    im_members_walk_t    walk;

    key.len = 0;

    walk.users = &users;
    walk.last = &key;
    walk.admins = 0;

    do {
        if (ngx_array_init(&users, ctx->pool, IM_SWEEP_MEMBERS,
                           sizeof(ngx_str_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = im_group_members(ctx, group->gno, &walk, IM_SWEEP_MEMBERS);

        if (rc == NGX_OK) {
            rc = im_group_read_get(ctx, group, users.elts, users.nelts,
                                   reads);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        for (i = 0; i < users.nelts; i++) {
            *last = ngx_max(*last, reads[i].sent);
        }

        im_co_yield();

    } while (walk.n == IM_SWEEP_MEMBERS);

    return NGX_OK;
}


/* Owner and admins stay. */

static ngx_int_t
im_group_sweep_members(im_ctx_t *ctx, im_group_t *group)
{
    im_key_t            key;
    im_code_t           code;
    ngx_int_t           rc;
    ngx_str_t          *user;
    ngx_uint_t          i, n;
    ngx_array_t         users;
    im_group_member_t   m;
    im_members_walk_t   walk;

    key.len = 0;

    walk.users = &users;
    walk.last = &key;
    walk.admins = 0;

    do {
        if (ngx_array_init(&users, ctx->pool, IM_SWEEP_MEMBERS,
                           sizeof(ngx_str_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = im_group_members(ctx, group->gno, &walk, IM_SWEEP_MEMBERS);
        if (rc != NGX_OK) {
            return rc;
        }

        user = users.elts;
        n = 0;

        for (i = 0; i < users.nelts; i++) {

            if (im_session_online(ctx->app->id, &user[i])) {
                continue;
            }

            rc = im_group_member_get(ctx, group, &user[i], &m);

            if (rc != NGX_OK && rc != NGX_DECLINED) {
                return rc;
            }

            if (rc == NGX_OK && m.role == IM_GROUP_MEMBER) {
                user[n++] = user[i];
            }
        }

        if (n) {
            code = im_group_leave(ctx, group, user, n, IM_LEAVE_KICKED, 0,
                                  NULL);

            if (code != IM_OK) {
                return (code == IM_E_GROUP_NONE) ? NGX_OK : NGX_ERROR;
            }
        }

        im_co_yield();

    } while (walk.n == IM_SWEEP_MEMBERS);

    return NGX_OK;
}


static ngx_int_t
im_group_sweep_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    im_group_sweep_interval = conf->group_sweep_interval;

    im_worker_timer(&im_group_sweep_event, im_group_sweep_timer, cycle->log);
    ngx_add_timer(&im_group_sweep_event, im_group_sweep_interval);

    return NGX_OK;
}


static void
im_group_sweep_exit_process(ngx_cycle_t *cycle)
{
    if (im_group_sweep_event.timer_set) {
        ngx_del_timer(&im_group_sweep_event);
    }
}
