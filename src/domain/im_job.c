
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_fault.h"
#include "core/im_str.h"
#include "core/im_worker.h"
#include "live/im_redis.h"
#include "live/im_slot.h"
#include "domain/im_group_gone.h"
#include "domain/im_group_tip.h"
#include "domain/im_job.h"
#include "domain/im_purge.h"


#define IM_JOB_RUNNERS    4          /* of a worker */
#define IM_JOB_QUEUE      256
#define IM_JOB_WAITING    100        /* rows that a scan takes */
#define IM_JOB_RUNNING    1000
#define IM_JOB_FIRST      500        /* ms after the start of a worker */
#define IM_JOB_BUSY       500        /* ms */
#define IM_JOB_NODES      10000      /* ms between scans of several nodes */
#define IM_JOB_POOL       4096


typedef struct {
    ngx_queue_t        queue;
    ngx_uint_t         app;
    ngx_str_t          id;           /* the bytes follow */
} im_job_entry_t;


typedef struct {
    ngx_uint_t         app;
    time_t             now;
    time_t             next;         /* when the first lease ends */
} im_job_scan_t;


static ngx_int_t im_job_enqueue(ngx_uint_t app, ngx_str_t *id);
static void im_job_main(void *data);
static void im_job_run(im_job_entry_t *entry);
static ngx_int_t im_job_slice(im_ctx_t *ctx, ngx_str_t *id);
static ngx_int_t im_job_claim(im_ctx_t *ctx, ngx_str_t *id, im_job_t *job);
static void im_job_release(im_ctx_t *ctx, ngx_str_t *id, int64_t lease);
static ngx_int_t im_job_get(im_ctx_t *ctx, ngx_str_t *id, im_job_t *job,
    im_key_t *key, int64_t *version);
static ngx_int_t im_job_ctx(im_ctx_t *ctx, ngx_uint_t app);
static im_job_kind_t *im_job_kind(ngx_str_t *name);
static void im_job_timer(ngx_event_t *ev);
static void im_job_scan(void *data);
static ngx_int_t im_job_scan_app(im_job_scan_t *scan);
static ngx_int_t im_job_scan_row(im_row_t *row, void *data);
static ngx_int_t im_job_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_job_exit_process(ngx_cycle_t *cycle);


static im_job_kind_t  im_job_kinds[] = {
    { ngx_string("purge"), im_purge_step },
    { ngx_string("group_gone"), im_group_gone_step },
    { ngx_string("tip"), im_group_tip_step },
    { ngx_null_string, NULL }
};


im_worker_hook_t  im_job_hook = {
    ngx_string("job"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_job_init_process,                   /* init process */
    im_job_exit_process                    /* exit process */
};


static im_record_t  im_job_record[] = {
    { ngx_string("id"), IM_COL_STR, offsetof(im_job_t, id) },
    { ngx_string("kind"), IM_COL_STR, offsetof(im_job_t, kind) },
    { ngx_string("arg"), IM_COL_STR, offsetof(im_job_t, arg) },
    { ngx_string("num"), IM_COL_INT, offsetof(im_job_t, num) },
    { ngx_string("state"), IM_COL_STR, offsetof(im_job_t, state) },
    { ngx_string("owner"), IM_COL_STR, offsetof(im_job_t, owner) },
    { ngx_string("lease"), IM_COL_INT, offsetof(im_job_t, lease) },
      im_null_record
};


static ngx_str_t    im_job_wait = ngx_string("wait");
static ngx_str_t    im_job_running = ngx_string("run");

static ngx_str_t    im_job_self;         /* this worker as an owner */
static ngx_queue_t  im_job_queue;
static ngx_uint_t   im_job_queued;
static ngx_uint_t   im_job_runners;
static ngx_event_t  im_job_event;
static ngx_msec_t   im_job_interval;
static ngx_uint_t   im_job_scanning;


ngx_int_t
im_job_add(im_ctx_t *ctx, im_batch_t *batch, const char *kind, ngx_str_t *arg,
    int64_t num, ngx_str_t *id)
{
    u_char      *p;
    im_key_t     key;
    im_job_t     job;

    p = ngx_pnalloc(ctx->pool, NGX_TIME_T_LEN + 16 + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    id->data = p;
    id->len = ngx_sprintf(p, "%T-%08xD%08xD", ngx_time(),
                          (uint32_t) ngx_random(), (uint32_t) ngx_random())
              - p;

    ngx_memzero(&job, sizeof(im_job_t));

    job.kind.data = (u_char *) kind;
    job.kind.len = ngx_strlen(kind);
    job.arg = *arg;
    job.num = num;
    job.state = im_job_wait;

    im_key_init(&key, ctx->app->id);
    im_key_str(&key, id);

    im_store_insert(batch, IM_T_JOB, &key,
                    im_record_doc(ctx->pool, im_job_record, &job));

    return NGX_OK;
}


/* What does not fit is found by the next scan. */

void
im_job_start(im_ctx_t *ctx, ngx_str_t *id)
{
    (void) im_job_enqueue(ctx->app->id, id);
}


static ngx_int_t
im_job_enqueue(ngx_uint_t app, ngx_str_t *id)
{
    im_job_entry_t  *entry;

    if (im_job_queued == IM_JOB_QUEUE) {
        return NGX_BUSY;
    }

    entry = ngx_alloc(sizeof(im_job_entry_t) + id->len, ngx_cycle->log);
    if (entry == NULL) {
        return NGX_ERROR;
    }

    entry->app = app;
    entry->id.len = id->len;
    entry->id.data = (u_char *) entry + sizeof(im_job_entry_t);
    ngx_memcpy(entry->id.data, id->data, id->len);

    ngx_queue_insert_tail(&im_job_queue, &entry->queue);
    im_job_queued++;

    if (im_job_runners < IM_JOB_RUNNERS
        && im_co_spawn(im_job_main, NULL, ngx_cycle->log) != NULL)
    {
        im_job_runners++;
    }

    return NGX_OK;
}


static void
im_job_main(void *data)
{
    ngx_queue_t     *q;
    im_job_entry_t  *entry;

    while (!ngx_queue_empty(&im_job_queue)) {

        q = ngx_queue_head(&im_job_queue);
        entry = ngx_queue_data(q, im_job_entry_t, queue);

        ngx_queue_remove(q);
        im_job_queued--;

        im_job_run(entry);

        ngx_free(entry);
    }

    im_job_runners--;
}


static void
im_job_run(im_job_entry_t *entry)
{
    im_ctx_t   ctx;
    ngx_int_t  rc;

    do {
        if (im_job_ctx(&ctx, entry->app) != NGX_OK) {
            return;
        }

        rc = NGX_DECLINED;

        if (im_slot_draining()) {
            im_job_release(&ctx, &entry->id, 0);

        } else {
            rc = im_job_slice(&ctx, &entry->id);
        }

        ngx_destroy_pool(ctx.pool);

        if (rc == NGX_AGAIN) {
            im_co_yield();
        }

    } while (rc == NGX_AGAIN);
}


/* NGX_AGAIN: once more; anything else: not (or no longer) ours. */

static ngx_int_t
im_job_slice(im_ctx_t *ctx, ngx_str_t *id)
{
    im_key_t        key;
    im_job_t        job;
    ngx_int_t       rc;
    im_batch_t     *batch;
    im_job_kind_t  *kind;

    rc = im_job_claim(ctx, id, &job);
    if (rc != NGX_OK) {
        return rc;
    }

    kind = im_job_kind(&job.kind);

    if (kind == NULL) {
        ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                      "job \"%V\" is of an unknown kind \"%V\"", id,
                      &job.kind);
        im_job_release(ctx, id, ngx_time() + IM_JOB_LEASE);
        return NGX_DECLINED;
    }

    rc = kind->step(ctx, &job);

    im_fault("job_slice");

    if (rc == NGX_BUSY) {
        im_co_sleep(IM_JOB_BUSY);
        return NGX_AGAIN;
    }

    if (rc == NGX_OK) {
        batch = im_store_batch(ctx, IM_ATOMIC);

        im_key_init(&key, ctx->app->id);
        im_key_str(&key, id);

        im_store_delete(batch, IM_T_JOB, &key);

        rc = im_store_commit(ctx, batch);
        if (rc == NGX_OK) {
            return NGX_OK;
        }
    }

    if (rc != NGX_AGAIN) {
        im_job_release(ctx, id, ngx_time() + IM_JOB_LEASE);
    }

    return rc;
}


/* NGX_DECLINED: done already, or another worker has it. */

static ngx_int_t
im_job_claim(im_ctx_t *ctx, ngx_str_t *id, im_job_t *job)
{
    int64_t      version;
    im_key_t     key;
    ngx_int_t    rc;
    ngx_uint_t   own;
    im_batch_t  *batch;

    rc = im_job_get(ctx, id, job, &key, &version);
    if (rc != NGX_OK) {
        return rc;
    }

    own = im_str_eq(&job->owner, &im_job_self)
          && im_str_eq(&job->state, &im_job_running);

    if (own && job->lease > ngx_time() + IM_JOB_LEASE / 2) {
        return NGX_OK;
    }

    if (!own && job->lease > ngx_time()) {
        return NGX_DECLINED;
    }

    job->state = im_job_running;
    job->owner = im_job_self;
    job->lease = ngx_time() + IM_JOB_LEASE;

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_store_replace(batch, IM_T_JOB, &key, version,
                     im_record_doc(ctx->pool, im_job_record, job));

    return im_store_commit(ctx, batch);
}


static void
im_job_release(im_ctx_t *ctx, ngx_str_t *id, int64_t lease)
{
    int64_t      version;
    im_key_t     key;
    im_job_t     job;
    im_batch_t  *batch;

    if (im_job_get(ctx, id, &job, &key, &version) != NGX_OK
        || !im_str_eq(&job.owner, &im_job_self))
    {
        return;
    }

    job.state = im_job_wait;
    job.lease = lease;
    ngx_str_null(&job.owner);

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_store_replace(batch, IM_T_JOB, &key, version,
                     im_record_doc(ctx->pool, im_job_record, &job));

    (void) im_store_commit(ctx, batch);
}


static ngx_int_t
im_job_get(im_ctx_t *ctx, ngx_str_t *id, im_job_t *job, im_key_t *key,
    int64_t *version)
{
    im_row_t   row;
    ngx_int_t  rc;

    im_key_init(key, ctx->app->id);
    im_key_str(key, id);

    rc = im_store_get(ctx, IM_T_JOB, key, &row);
    if (rc != NGX_OK) {
        return rc;
    }

    im_record_load(&row, im_job_record, job);
    *version = row.version;

    return NGX_OK;
}


static ngx_int_t
im_job_ctx(im_ctx_t *ctx, ngx_uint_t app)
{
    ngx_memzero(ctx, sizeof(im_ctx_t));

    ctx->app = im_conf_app(im_conf(), app);
    ctx->log = ngx_cycle->log;
    ctx->via = IM_VIA_JOB;
    ctx->role = IM_ROLE_ADMIN;

    if (ctx->app == NULL) {
        return NGX_DECLINED;
    }

    ctx->pool = ngx_create_pool(IM_JOB_POOL, ctx->log);

    return ctx->pool ? NGX_OK : NGX_ERROR;
}


static im_job_kind_t *
im_job_kind(ngx_str_t *name)
{
    im_job_kind_t  *kind;

    for (kind = im_job_kinds; kind->step; kind++) {
        if (im_str_eq(&kind->name, name)) {
            return kind;
        }
    }

    return NULL;
}


/* One worker looks for jobs that nobody runs. */

static void
im_job_timer(ngx_event_t *ev)
{
    if (ngx_exiting) {
        return;
    }

    ngx_add_timer(ev, im_job_interval);

    if (!im_job_scanning && im_job_turn()
        && im_co_spawn(im_job_scan, NULL, ngx_cycle->log) != NULL)
    {
        im_job_scanning = 1;
    }
}


static void
im_job_scan(void *data)
{
    im_app_t       *app;
    im_conf_t      *conf;
    ngx_msec_t      wait;
    ngx_uint_t      i;
    im_job_scan_t   scan;

    conf = im_conf();
    app = conf->apps.elts;

    scan.now = ngx_time();
    scan.next = 0;

    for (i = 0; i < conf->apps.nelts; i++) {
        scan.app = app[i].id;

        if (im_job_scan_app(&scan) != NGX_OK) {
            break;
        }
    }

    im_job_scanning = 0;

    if (scan.next && !ngx_exiting) {
        wait = (scan.next - scan.now + 1) * 1000;

        if (wait < im_job_interval) {
            ngx_add_timer(&im_job_event, wait);
        }
    }
}


static ngx_int_t
im_job_scan_app(im_job_scan_t *scan)
{
    im_ctx_t   ctx;
    im_key_t   prefix;
    ngx_int_t  rc;

    if (im_job_ctx(&ctx, scan->app) != NGX_OK) {
        return NGX_ERROR;
    }

    im_key_init(&prefix, scan->app);
    im_key_str(&prefix, &im_job_wait);

    rc = im_store_scan(&ctx, IM_T_JOB, IM_JOB_STATE, &prefix, NULL, NULL,
                       IM_ASC, IM_JOB_WAITING, im_job_scan_row, scan);

    if (rc == NGX_OK || rc == NGX_DECLINED) {
        im_key_init(&prefix, scan->app);
        im_key_str(&prefix, &im_job_running);

        rc = im_store_scan(&ctx, IM_T_JOB, IM_JOB_STATE, &prefix, NULL, NULL,
                           IM_ASC, IM_JOB_RUNNING, im_job_scan_row, scan);
    }

    ngx_destroy_pool(ctx.pool);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_job_scan_row(im_row_t *row, void *data)
{
    im_job_scan_t  *scan = data;

    im_job_t  job;

    im_record_load(row, im_job_record, &job);

    if (job.lease > scan->now) {
        if (scan->next == 0 || job.lease < scan->next) {
            scan->next = job.lease;
        }

        return NGX_OK;
    }

    return im_job_enqueue(scan->app, &job.id) == NGX_OK ? NGX_OK : NGX_DONE;
}


ngx_uint_t
im_job_turn(void)
{
    ngx_uint_t  i;
    im_slots_t  slots;

    im_slots_alive(&slots);

    for (i = 0; i < IM_SLOTS; i++) {
        if (im_slots_has(&slots, i)) {
            return i == im_slot_self();
        }
    }

    return 0;
}


static ngx_int_t
im_job_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    u_char  *p;

    p = ngx_pnalloc(cycle->pool, conf->node.len + 2 * NGX_INT64_LEN + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    im_job_self.data = p;
    im_job_self.len = ngx_sprintf(p, "%V-%P-%xL", &conf->node, ngx_pid,
                                  (int64_t) ngx_current_msec)
                      - p;

    ngx_queue_init(&im_job_queue);

    im_job_interval = conf->sweep_interval;

    if (im_redis_configured()) {
        im_job_interval = ngx_min(im_job_interval, IM_JOB_NODES);
    }

    im_worker_timer(&im_job_event, im_job_timer, cycle->log);
    ngx_add_timer(&im_job_event, IM_JOB_FIRST);

    return NGX_OK;
}


static void
im_job_exit_process(ngx_cycle_t *cycle)
{
    ngx_queue_t     *q;
    im_job_entry_t  *entry;

    if (im_job_event.timer_set) {
        ngx_del_timer(&im_job_event);
    }

    while (!ngx_queue_empty(&im_job_queue)) {
        q = ngx_queue_head(&im_job_queue);
        entry = ngx_queue_data(q, im_job_entry_t, queue);

        ngx_queue_remove(q);
        ngx_free(entry);
    }
}
