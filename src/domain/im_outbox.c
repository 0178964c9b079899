
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_fault.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "core/im_worker.h"
#include "live/im_bus.h"
#include "live/im_slot.h"
#include "domain/im_callback_conf.h"
#include "domain/im_callback_late.h"
#include "domain/im_outbox.h"
#include "domain/im_outbox_lease.h"
#include "domain/im_outbox_queue.h"
#include "domain/im_outbox_row.h"


#define IM_OUTBOX_DROP    500        /* removed by one commit */
#define IM_OUTBOX_LOOK    2          /* seconds, to read a lease again */
#define IM_OUTBOX_PAUSE   100        /* ms after the first failure */
#define IM_OUTBOX_PAUSES  5000       /* ms at most */
#define IM_OUTBOX_SLEEP   250        /* ms: then it looks up */
#define IM_OUTBOX_POOL    4096


typedef struct {
    im_app_t          *app;
    ngx_uint_t         n;
    ngx_uint_t         waiting;      /* rows, as this worker has seen */
    ngx_msec_t         pause;        /* after a failure */
    im_outbox_lease_t  lease;
    unsigned           running:1;    /* a coroutine sends its rows */
    unsigned           again:1;      /* there are new ones */
    unsigned           seen:1;       /* rows that nobody sends */
} im_outbox_shard_t;


typedef struct {
    im_outbox_shard_t  shards[IM_OUTBOX_SHARDS];
    unsigned           rows:1;       /* there were some */
} im_outbox_t;


static im_outbox_t *im_outbox_get(im_app_t *app);
static void im_outbox_run(im_outbox_shard_t *sh);
static void im_outbox_main(void *data);
static ngx_int_t im_outbox_round(im_outbox_shard_t *sh);
static ngx_int_t im_outbox_trim(im_ctx_t *ctx, im_outbox_shard_t *sh,
    int64_t first);
static ngx_int_t im_outbox_send(im_ctx_t *ctx, im_outbox_shard_t *sh,
    im_outbox_row_t *rows, ngx_uint_t n);
static ngx_int_t im_outbox_try(im_ctx_t *ctx, im_outbox_shard_t *sh,
    im_outbox_row_t *row);
static ngx_uint_t im_outbox_expired(im_ctx_t *ctx, im_outbox_row_t *row);
static void im_outbox_waiting(im_outbox_shard_t *sh, ngx_uint_t n);
static void im_outbox_tick(void);
static void im_outbox_look(void *data);
static void im_outbox_look_shard(im_outbox_shard_t *sh);
static ngx_uint_t im_outbox_turn(ngx_uint_t n);
static void im_outbox_drain(void);
static void im_outbox_leave(void *data);
static void im_outbox_release(im_outbox_shard_t *sh);
static void im_outbox_bus(im_bus_buf_t *buf);
static ngx_int_t im_outbox_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_outbox_exit_process(ngx_cycle_t *cycle);


im_worker_hook_t  im_outbox_hook = {
    ngx_string("outbox"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_outbox_init_process,                /* init process */
    im_outbox_exit_process                 /* exit process */
};


static ngx_uint_t  im_outbox_looking;


void
im_outbox_put(im_ctx_t *ctx, im_batch_t *batch, im_callback_call_t *call,
    ngx_str_t *lane, im_callback_late_t *late)
{
    im_outbox_row_t  row;

    ngx_memzero(&row, sizeof(im_outbox_row_t));

    row.shard = im_outbox_shard(lane);
    row.command = *call->command;
    row.body = call->body;
    row.ip = call->ip;
    row.platform.data = (u_char *) call->platform;
    row.platform.len = ngx_strlen(call->platform);

    if (late) {
        row.gno = late->gno;
        row.dk = late->dk;
        row.unread = late->unread;
    }

    im_outbox_row_add(ctx, batch, &row);
}


void
im_outbox_kick(im_app_t *app, ngx_str_t *lane)
{
    im_outbox_t        *box;
    im_outbox_shard_t  *sh;

    im_stat_add(IM_STAT_OUTBOX_IN, 1);

    box = im_outbox_get(app);

    if (box == NULL || im_slot_draining()) {
        return;                          /* others look for it */
    }

    sh = &box->shards[im_outbox_shard(lane)];

    if (!sh->running && im_outbox_lease_other(&sh->lease)) {
        im_outbox_lease_hint(app, sh->n, &sh->lease);
        return;
    }

    im_outbox_run(sh);
}


static im_outbox_t *
im_outbox_get(im_app_t *app)
{
    ngx_uint_t    i;
    im_outbox_t  *box;

    box = app->outbox;

    if (box) {
        return box;
    }

    /* dies with the application that it is for */

    box = ngx_pcalloc(ngx_cycle->pool, sizeof(im_outbox_t));
    if (box == NULL) {
        return NULL;
    }

    for (i = 0; i < IM_OUTBOX_SHARDS; i++) {
        box->shards[i].app = app;
        box->shards[i].n = i;
    }

    box->rows = 1;                       /* of a former life */
    app->outbox = box;

    return box;
}


static void
im_outbox_run(im_outbox_shard_t *sh)
{
    sh->again = 1;

    if (!sh->running
        && im_co_spawn(im_outbox_main, sh, ngx_cycle->log) != NULL)
    {
        sh->running = 1;
    }
}


static void
im_outbox_main(void *data)
{
    im_outbox_shard_t  *sh = data;

    ngx_int_t   rc;
    ngx_msec_t  slept;

    sh->pause = 0;

    for ( ;; ) {

        if (im_slot_draining()) {
            im_outbox_release(sh);
            break;
        }

        sh->again = 0;

        rc = im_outbox_round(sh);

        if (rc == NGX_AGAIN || (rc == NGX_OK && sh->again)) {
            continue;
        }

        if (rc == NGX_OK) {
            break;
        }

        if (rc == NGX_DECLINED) {

            if (im_outbox_lease_other(&sh->lease)) {
                im_outbox_lease_hint(sh->app, sh->n, &sh->lease);
            }

            break;
        }

        sh->pause = sh->pause ? ngx_min(2 * sh->pause, IM_OUTBOX_PAUSES)
                              : IM_OUTBOX_PAUSE;

        for (slept = 0;
             slept < sh->pause && !im_slot_draining();
             slept += IM_OUTBOX_SLEEP)
        {
            im_co_sleep(ngx_min(sh->pause, IM_OUTBOX_SLEEP));
        }
    }

    im_outbox_waiting(sh, 0);

    sh->running = 0;
}


/*
 * NGX_AGAIN: there may be more; NGX_OK: nothing is left; NGX_DECLINED: it is
 * another worker's; NGX_BUSY, NGX_ERROR: to be tried again later.
 */

static ngx_int_t
im_outbox_round(im_outbox_shard_t *sh)
{
    im_ctx_t          ctx;
    ngx_int_t         rc;
    ngx_array_t       rows;
    im_outbox_row_t  *row;

    if (sh->app->callback == NULL) {
        return NGX_DECLINED;             /* nobody to be told */
    }

    if (im_outbox_ctx(&ctx, sh->app) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = im_outbox_lease_take(&ctx, sh->n, &sh->lease);

    if (rc == NGX_OK) {
        rc = im_outbox_row_list(&ctx, sh->n, &rows);
    }

    if (rc == NGX_OK && rows.nelts) {
        row = rows.elts;

        rc = im_outbox_trim(&ctx, sh, row[0].seq);

        if (rc == NGX_OK) {
            rc = im_outbox_send(&ctx, sh, row, rows.nelts);
        }
    }

    ngx_destroy_pool(ctx.pool);

    return rc;
}


static ngx_int_t
im_outbox_trim(im_ctx_t *ctx, im_outbox_shard_t *sh, int64_t first)
{
    int64_t    n;
    ngx_int_t  rc;

    rc = im_outbox_row_count(ctx, sh->n, first, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    im_outbox_waiting(sh, n);

    if (n <= sh->app->outbox_max) {
        return NGX_OK;
    }

    n = ngx_min(n - sh->app->outbox_max, IM_OUTBOX_DROP);

    rc = im_outbox_row_remove(ctx, sh->n, first, n);
    if (rc != NGX_OK) {
        return rc;
    }

    im_stat_add(IM_STAT_OUTBOX_DROPPED, n);

    ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                  "outbox of app %ui is full, its %L oldest events are "
                  "dropped", sh->app->id, n);

    return NGX_AGAIN;
}


static ngx_int_t
im_outbox_send(im_ctx_t *ctx, im_outbox_shard_t *sh, im_outbox_row_t *rows,
    ngx_uint_t n)
{
    ngx_int_t   rc, removed;
    ngx_uint_t  i;

    rc = NGX_AGAIN;

    for (i = 0; i < n; i++) {

        if (!im_outbox_lease_own(sh->app, &sh->lease, 0)
            || im_slot_draining())
        {
            break;
        }

        rc = im_outbox_try(ctx, sh, &rows[i]);

        if (rc == NGX_DECLINED) {        /* not tried */
            rc = NGX_BUSY;
            break;
        }

        if (rc != NGX_OK && sh->app->callback
            && im_outbox_expired(ctx, &rows[i]))
        {
            im_stat_add(IM_STAT_OUTBOX_EXPIRED, 1);
            rc = NGX_AGAIN;
            continue;
        }

        if (rc != NGX_OK) {
            rc = NGX_BUSY;
            break;
        }

        im_fault("outbox_sent");

        im_stat_add(IM_STAT_OUTBOX_OUT, 1);

        sh->pause = 0;
        rc = NGX_AGAIN;
    }

    if (i) {
        removed = im_outbox_row_remove(ctx, sh->n, rows[0].seq, i);

        if (removed != NGX_OK) {
            return removed;
        }
    }

    return rc;
}


/* NGX_DECLINED: it was not sent, for a limit or the end of the lease. */

static ngx_int_t
im_outbox_try(im_ctx_t *ctx, im_outbox_shard_t *sh, im_outbox_row_t *row)
{
    ngx_int_t            rc;
    im_json_t           *answer;
    im_callback_call_t   call;
    im_callback_late_t   late;

    ngx_memzero(&call, sizeof(im_callback_call_t));

    call.app = ctx->app;
    call.command = &row->command;
    call.body = row->body;
    call.ip = row->ip;
    call.id = row->id;
    call.platform = im_str_c(ctx->pool, &row->platform);

    late.gno = row->gno;
    late.dk = row->dk;
    late.unread = row->unread;

    if (call.platform == NULL
        || im_callback_complete(ctx, &late, &call.body) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* that may have taken time */

    if (!im_outbox_lease_own(sh->app, &sh->lease, 0)) {
        return NGX_DECLINED;
    }

    rc = im_callback_client->ask(ctx, &call, &answer);

    if (rc != NGX_DECLINED) {
        im_stat_add(IM_STAT_OUTBOX_TRIES, 1);
    }

    return rc;
}


/* A try has failed.  1: it was the last one, so that others get by. */

static ngx_uint_t
im_outbox_expired(im_ctx_t *ctx, im_outbox_row_t *row)
{
    time_t  age;

    age = ngx_time() - (time_t) row->time;

    if (row->time == 0 || age < ctx->app->outbox_life) {
        return 0;
    }

    ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                  "callback %V of app %ui is dropped, delivery %V has failed "
                  "for %T s", &row->command, ctx->app->id, &row->id, age);

    return 1;
}


static void
im_outbox_waiting(im_outbox_shard_t *sh, ngx_uint_t n)
{
    im_stat_add(IM_STAT_OUTBOX_WAITING, n - sh->waiting);

    sh->waiting = n;
}


ngx_int_t
im_outbox_ctx(im_ctx_t *ctx, im_app_t *app)
{
    ngx_memzero(ctx, sizeof(im_ctx_t));

    ctx->app = app;
    ctx->log = ngx_cycle->log;
    ctx->via = IM_VIA_JOB;
    ctx->role = IM_ROLE_ADMIN;
    ctx->pool = ngx_create_pool(IM_OUTBOX_POOL, ctx->log);

    return ctx->pool ? NGX_OK : NGX_ERROR;
}


/* Each second: rows that nobody sends. */

static void
im_outbox_tick(void)
{
    im_outbox_queue_tick();

    if (!im_outbox_looking && !im_slot_draining()
        && im_co_spawn(im_outbox_look, NULL, ngx_cycle->log) != NULL)
    {
        im_outbox_looking = 1;
    }
}


static void
im_outbox_look(void *data)
{
    im_ctx_t      ctx;
    im_app_t     *app;
    uint64_t      shards;
    im_conf_t    *conf;
    ngx_uint_t    i, k;
    im_outbox_t  *box;

    conf = im_conf();
    app = conf->apps.elts;

    for (i = 0; i < conf->apps.nelts; i++) {

        if (im_outbox_ctx(&ctx, &app[i]) != NGX_OK) {
            continue;
        }

        im_callback_refresh(&ctx);

        box = app[i].callback ? im_outbox_get(&app[i]) : NULL;

        if (box && (box->rows || app[i].callback->retry)) {

            if (im_outbox_row_shards(&ctx, &shards) == NGX_OK) {
                box->rows = (shards != 0);

            } else {
                box->rows = 1;
                shards = 0;
            }

            for (k = 0; k < IM_OUTBOX_SHARDS; k++) {
                if (shards & (uint64_t) 1 << k) {
                    im_outbox_look_shard(&box->shards[k]);
                }
            }
        }

        ngx_destroy_pool(ctx.pool);
    }

    im_outbox_looking = 0;
}


static void
im_outbox_look_shard(im_outbox_shard_t *sh)
{
    if (sh->running) {
        return;
    }

    if (!sh->lease.own && sh->lease.looked
        && ngx_time() - sh->lease.looked < IM_OUTBOX_LOOK)
    {
        return;
    }

    /* each worker begins with its share */

    if (sh->lease.own || sh->seen || im_outbox_turn(sh->n)) {
        sh->seen = 0;
        im_outbox_run(sh);

    } else {
        sh->seen = 1;
    }
}


static ngx_uint_t
im_outbox_turn(ngx_uint_t n)
{
    ngx_uint_t  i, count, self;
    im_slots_t  slots;

    im_slots_alive(&slots);

    count = 0;
    self = 0;

    for (i = 0; i < IM_SLOTS; i++) {
        if (im_slots_has(&slots, i)) {

            if (i == im_slot_self()) {
                self = count;
            }

            count++;
        }
    }

    return count && n % count == self;
}


static void
im_outbox_drain(void)
{
    (void) im_co_spawn(im_outbox_leave, NULL, ngx_cycle->log);
}


/* Those that run give theirs back themselves. */

static void
im_outbox_leave(void *data)
{
    im_app_t     *app;
    im_conf_t    *conf;
    ngx_uint_t    i, k;
    im_outbox_t  *box;

    conf = im_conf();
    app = conf->apps.elts;

    for (i = 0; i < conf->apps.nelts; i++) {
        box = app[i].outbox;

        for (k = 0; box && k < IM_OUTBOX_SHARDS; k++) {
            if (!box->shards[k].running) {
                im_outbox_release(&box->shards[k]);
            }
        }
    }
}


static void
im_outbox_release(im_outbox_shard_t *sh)
{
    im_ctx_t  ctx;

    if (sh->lease.own && im_outbox_ctx(&ctx, sh->app) == NGX_OK) {
        im_outbox_lease_release(&ctx, sh->n, &sh->lease);
        ngx_destroy_pool(ctx.pool);
    }
}


static void
im_outbox_bus(im_bus_buf_t *buf)
{
    im_app_t     *app;
    im_outbox_t  *box;

    app = im_conf_app(im_conf(), buf->app);

    if (app == NULL || buf->seq >= IM_OUTBOX_SHARDS || im_slot_draining()) {
        return;
    }

    box = im_outbox_get(app);

    if (box) {
        im_outbox_run(&box->shards[buf->seq]);
    }
}


static ngx_int_t
im_outbox_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    im_outbox_queue_init_process();
    im_outbox_lease_init_process();

    im_bus_handler(IM_BUS_OUTBOX, im_outbox_bus);

    if (im_slot_tick_add(im_outbox_tick) != NGX_OK) {
        return NGX_ERROR;
    }

    return im_slot_drain_add(im_outbox_drain);
}


static void
im_outbox_exit_process(ngx_cycle_t *cycle)
{
    im_outbox_queue_exit_process();
}
