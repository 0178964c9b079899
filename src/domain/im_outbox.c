
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
#include "domain/im_group_row.h"
#include "domain/im_outbox.h"


#define IM_OUTBOX_ROWS    32         /* sent before they are removed */
#define IM_OUTBOX_BYTES   (1024 * 1024)
#define IM_OUTBOX_DROP    500        /* removed by one commit */
#define IM_OUTBOX_LEASE   5          /* seconds, and the time of a request */
#define IM_OUTBOX_LOOK    2          /* seconds: another's lease is read again */
#define IM_OUTBOX_PAUSE   100        /* ms after the first failure */
#define IM_OUTBOX_PAUSES  5000       /* ms at most */
#define IM_OUTBOX_SLEEP   250        /* ms: then it looks up */
#define IM_OUTBOX_QUEUE   10000      /* events to be written, of a worker */
#define IM_OUTBOX_MEMORY  (16 * 1024 * 1024)
#define IM_OUTBOX_BATCH   64
#define IM_OUTBOX_TRIES   50         /* to write them */
#define IM_OUTBOX_POOL    4096
#define IM_OUTBOX_ID      16         /* bytes */


typedef struct {
    im_app_t          *app;
    ngx_uint_t         n;
    ngx_uint_t         waiting;      /* rows, as this worker has seen */
    ngx_uint_t         slot;         /* whose lease it is */
    int64_t            until;        /* second of the lease's end */
    time_t             looked;       /* when another one had it */
    ngx_msec_t         pause;        /* after a failure */
    unsigned           own:1;
    unsigned           running:1;    /* a coroutine sends its rows */
    unsigned           again:1;      /* there are new ones */
    unsigned           seen:1;       /* rows that nobody sends */
} im_outbox_shard_t;


typedef struct {
    im_outbox_shard_t  shards[IM_OUTBOX_SHARDS];
    unsigned           rows:1;       /* there were some */
} im_outbox_t;


typedef struct {
    int64_t            shard;        /* key columns */
    int64_t            seq;
    ngx_str_t          command;
    ngx_str_t          body;
    ngx_str_t          ip;
    ngx_str_t          platform;
    ngx_str_t          id;
    ngx_str_t          dk;
    int64_t            gno;
    int64_t            time;         /* seconds; 0: not known */
} im_outbox_row_t;


typedef struct {
    ngx_str_t          name;         /* key column */
    ngx_str_t          owner;
    int64_t            slot;
    int64_t            until;
} im_outbox_lease_t;


typedef struct {
    ngx_array_t       *rows;
    size_t             bytes;
} im_outbox_scan_t;


/* An event to be written, in one piece of memory with its texts. */

typedef struct {
    ngx_queue_t         link;
    im_callback_call_t  call;
    ngx_str_t           lane;
    size_t              size;
} im_outbox_event_t;


static im_outbox_t *im_outbox_get(im_app_t *app);
static ngx_uint_t im_outbox_hash(ngx_str_t *lane);
static void im_outbox_run(im_outbox_shard_t *sh);
static void im_outbox_hint(im_outbox_shard_t *sh);
static void im_outbox_main(void *data);
static ngx_int_t im_outbox_round(im_outbox_shard_t *sh);
static ngx_int_t im_outbox_lease(im_ctx_t *ctx, im_outbox_shard_t *sh);
static ngx_int_t im_outbox_lease_get(im_ctx_t *ctx, im_outbox_shard_t *sh,
    im_key_t *key, im_outbox_lease_t *lease, int64_t *version);
static ngx_int_t im_outbox_lease_put(im_ctx_t *ctx, im_key_t *key,
    im_outbox_lease_t *lease, int64_t version);
static ngx_uint_t im_outbox_leased(im_outbox_shard_t *sh, int64_t more);
static void im_outbox_release(im_outbox_shard_t *sh);
static ngx_int_t im_outbox_rows(im_ctx_t *ctx, im_outbox_shard_t *sh,
    ngx_array_t *rows);
static ngx_int_t im_outbox_row(im_row_t *row, void *data);
static ngx_int_t im_outbox_trim(im_ctx_t *ctx, im_outbox_shard_t *sh,
    int64_t first);
static ngx_int_t im_outbox_send(im_ctx_t *ctx, im_outbox_shard_t *sh,
    im_outbox_row_t *rows, ngx_uint_t n);
static ngx_uint_t im_outbox_expired(im_ctx_t *ctx, im_outbox_row_t *row);
static ngx_int_t im_outbox_complete(im_ctx_t *ctx, im_outbox_row_t *row,
    ngx_str_t *body);
static ngx_int_t im_outbox_remove(im_ctx_t *ctx, im_outbox_shard_t *sh,
    int64_t first, ngx_uint_t n);
static void im_outbox_waiting(im_outbox_shard_t *sh, ngx_uint_t n);
static void im_outbox_key(im_outbox_shard_t *sh, im_key_t *key);
static ngx_int_t im_outbox_ctx(im_ctx_t *ctx, im_app_t *app);
static void im_outbox_write(void *data);
static ngx_uint_t im_outbox_write_some(void);
static ngx_int_t im_outbox_commit(ngx_uint_t *n);
static void im_outbox_tick(void);
static void im_outbox_look(void *data);
static ngx_int_t im_outbox_look_row(im_row_t *row, void *data);
static ngx_uint_t im_outbox_turn(ngx_uint_t n);
static void im_outbox_drain(void);
static void im_outbox_leave(void *data);
static void im_outbox_bus(im_bus_buf_t *buf);
static ngx_int_t im_outbox_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_outbox_exit_process(ngx_cycle_t *cycle);


static im_record_t  im_outbox_record[] = {
    { ngx_string("shard"), IM_COL_INT, offsetof(im_outbox_row_t, shard) },
    { ngx_string("seq"), IM_COL_INT, offsetof(im_outbox_row_t, seq) },
    { ngx_string("command"), IM_COL_STR, offsetof(im_outbox_row_t, command) },
    { ngx_string("body"), IM_COL_STR, offsetof(im_outbox_row_t, body) },
    { ngx_string("ip"), IM_COL_STR, offsetof(im_outbox_row_t, ip) },
    { ngx_string("plat"), IM_COL_STR, offsetof(im_outbox_row_t, platform) },
    { ngx_string("id"), IM_COL_STR, offsetof(im_outbox_row_t, id) },
    { ngx_string("dk"), IM_COL_STR, offsetof(im_outbox_row_t, dk) },
    { ngx_string("gno"), IM_COL_INT, offsetof(im_outbox_row_t, gno) },
    { ngx_string("time"), IM_COL_INT, offsetof(im_outbox_row_t, time) },
      im_null_record
};

static im_record_t  im_outbox_lease_record[] = {
    { ngx_string("name"), IM_COL_STR, offsetof(im_outbox_lease_t, name) },
    { ngx_string("owner"), IM_COL_STR, offsetof(im_outbox_lease_t, owner) },
    { ngx_string("slot"), IM_COL_INT, offsetof(im_outbox_lease_t, slot) },
    { ngx_string("until"), IM_COL_INT, offsetof(im_outbox_lease_t, until) },
      im_null_record
};


im_worker_hook_t  im_outbox_hook = {
    ngx_string("outbox"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_outbox_init_process,                /* init process */
    im_outbox_exit_process                 /* exit process */
};


static u_char       im_outbox_name[2 * IM_OUTBOX_ID];
static ngx_str_t    im_outbox_self;      /* this worker as an owner */
static ngx_queue_t  im_outbox_events;    /* to be written */
static ngx_uint_t   im_outbox_queued;
static size_t       im_outbox_bytes;
static ngx_uint_t   im_outbox_writing;
static ngx_uint_t   im_outbox_looking;
static time_t       im_outbox_full;


void
im_outbox_put(im_ctx_t *ctx, im_batch_t *batch, im_callback_call_t *call,
    ngx_str_t *lane, im_outbox_msg_t *msg)
{
    u_char           id[2 * IM_OUTBOX_ID];
    im_key_t         key;
    ngx_uint_t       i;
    im_outbox_row_t  row;

    ngx_memzero(&row, sizeof(im_outbox_row_t));

    for (i = 0; i < 4; i++) {
        (void) ngx_sprintf(id + 8 * i, "%08xD", (uint32_t) ngx_random()
                                                ^ (uint32_t) ngx_random() << 9);
    }

    row.command = *call->command;
    row.body = call->body;
    row.ip = call->ip;
    row.platform.data = (u_char *) call->platform;
    row.platform.len = ngx_strlen(call->platform);
    row.id.data = id;
    row.id.len = sizeof(id);
    row.time = ngx_time();

    if (msg) {
        row.gno = msg->gno;
        row.dk = msg->dk;
    }

    im_key_init(&key, call->app->id);
    im_key_int(&key, im_outbox_hash(lane));

    (void) im_store_append(batch, IM_T_OUTBOX, &key,
                           im_record_doc(ctx->pool, im_outbox_record, &row));
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

    sh = &box->shards[im_outbox_hash(lane)];

    if (!sh->own && !sh->running && sh->slot != im_slot_self()
        && sh->until > ngx_time())
    {
        im_outbox_hint(sh);
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


static ngx_uint_t
im_outbox_hash(ngx_str_t *lane)
{
    return ngx_murmur_hash2(lane->data, lane->len) % IM_OUTBOX_SHARDS;
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


/* To the worker that has the lease. */

static void
im_outbox_hint(im_outbox_shard_t *sh)
{
    im_slots_t      to;
    im_bus_meta_t   meta;

    im_slots_zero(&to);
    im_slots_set(&to, sh->slot);

    ngx_memzero(&meta, sizeof(im_bus_meta_t));

    meta.app = sh->app->id;
    meta.seq = sh->n;

    (void) im_bus_publish(&to, IM_BUS_OUTBOX, &meta, NULL, 0);
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

            if (!sh->own && sh->until > ngx_time()
                && sh->slot != im_slot_self())
            {
                im_outbox_hint(sh);
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

    rc = im_outbox_lease(&ctx, sh);

    if (rc == NGX_OK) {
        rc = im_outbox_rows(&ctx, sh, &rows);
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


/* NGX_OK: it is ours for longer than a request takes. */

static ngx_int_t
im_outbox_lease(im_ctx_t *ctx, im_outbox_shard_t *sh)
{
    int64_t             time, version;
    im_key_t            key;
    ngx_int_t           rc;
    im_outbox_lease_t   lease;

    if (im_outbox_leased(sh, 1)) {
        return NGX_OK;
    }

    time = sh->app->callback->timeout / 1000;

    rc = im_outbox_lease_get(ctx, sh, &key, &lease, &version);
    if (rc != NGX_OK) {
        return rc;
    }

    if (!im_str_eq(&lease.owner, &im_outbox_self)
        && lease.until > ngx_time())
    {
        sh->own = 0;
        sh->slot = lease.slot;
        sh->until = lease.until;
        sh->looked = ngx_time();

        return NGX_DECLINED;
    }

    lease.owner = im_outbox_self;
    lease.slot = im_slot_self();
    lease.until = ngx_time() + IM_OUTBOX_LEASE + time;

    rc = im_outbox_lease_put(ctx, &key, &lease, version);

    sh->own = (rc == NGX_OK);
    sh->slot = im_slot_self();
    sh->until = sh->own ? lease.until : 0;

    if (rc == NGX_DECLINED) {            /* another one was faster */
        sh->looked = ngx_time();
    }

    return rc;
}


static ngx_int_t
im_outbox_lease_get(im_ctx_t *ctx, im_outbox_shard_t *sh, im_key_t *key,
    im_outbox_lease_t *lease, int64_t *version)
{
    u_char      buf[sizeof("outbox-") + NGX_INT_T_LEN];
    im_row_t    row;
    ngx_int_t   rc;
    ngx_str_t   name;

    name.data = buf;
    name.len = ngx_sprintf(buf, "outbox-%ui", sh->n) - buf;

    im_key_init(key, sh->app->id);
    im_key_str(key, &name);

    ngx_memzero(lease, sizeof(im_outbox_lease_t));
    *version = 0;

    rc = im_store_get(ctx, IM_T_LEASE, key, &row);

    if (rc == NGX_OK) {
        im_record_load(&row, im_outbox_lease_record, lease);
        *version = row.version;
    }

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_outbox_lease_put(im_ctx_t *ctx, im_key_t *key, im_outbox_lease_t *lease,
    int64_t version)
{
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ATOMIC);

    ngx_str_null(&lease->name);

    im_store_replace(batch, IM_T_LEASE, key, version,
                     im_record_doc(ctx->pool, im_outbox_lease_record, lease));

    return im_store_commit(ctx, batch);
}


static ngx_uint_t
im_outbox_leased(im_outbox_shard_t *sh, int64_t more)
{
    im_callback_conf_t  *cb;

    cb = sh->app->callback;

    return sh->own && cb
           && sh->until > ngx_time() + (int64_t) cb->timeout / 1000 + more;
}


/* So that another worker need not wait for its end. */

static void
im_outbox_release(im_outbox_shard_t *sh)
{
    int64_t             version;
    im_ctx_t            ctx;
    im_key_t            key;
    im_outbox_lease_t   lease;

    if (!sh->own || im_outbox_ctx(&ctx, sh->app) != NGX_OK) {
        return;
    }

    if (im_outbox_lease_get(&ctx, sh, &key, &lease, &version) == NGX_OK
        && im_str_eq(&lease.owner, &im_outbox_self))
    {
        lease.until = 0;
        (void) im_outbox_lease_put(&ctx, &key, &lease, version);
    }

    sh->own = 0;
    sh->until = 0;

    ngx_destroy_pool(ctx.pool);
}


static ngx_int_t
im_outbox_rows(im_ctx_t *ctx, im_outbox_shard_t *sh, ngx_array_t *rows)
{
    im_key_t           prefix;
    ngx_int_t          rc;
    im_outbox_scan_t   scan;

    if (ngx_array_init(rows, ctx->pool, IM_OUTBOX_ROWS,
                       sizeof(im_outbox_row_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    scan.rows = rows;
    scan.bytes = 0;

    im_outbox_key(sh, &prefix);

    rc = im_store_scan(ctx, IM_T_OUTBOX, 0, &prefix, NULL, NULL, IM_ASC,
                       IM_OUTBOX_ROWS, im_outbox_row, &scan);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_outbox_row(im_row_t *row, void *data)
{
    im_outbox_scan_t  *scan = data;

    im_outbox_row_t  *r;

    r = ngx_array_push(scan->rows);
    if (r == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(r, sizeof(im_outbox_row_t));

    im_record_load(row, im_outbox_record, r);

    scan->bytes += row->data.len;

    return (scan->bytes < IM_OUTBOX_BYTES) ? NGX_OK : NGX_DONE;
}


/* Rows go from the front only, so their numbers tell how many there are. */

static ngx_int_t
im_outbox_trim(im_ctx_t *ctx, im_outbox_shard_t *sh, int64_t first)
{
    int64_t     head, n;
    im_key_t    stream;
    ngx_int_t   rc;

    im_outbox_key(sh, &stream);

    rc = im_store_head(ctx, IM_T_OUTBOX, &stream, &head);
    if (rc != NGX_OK) {
        return rc;
    }

    n = head - first + 1;

    im_outbox_waiting(sh, n);

    if (n <= sh->app->outbox_max) {
        return NGX_OK;
    }

    n = ngx_min(n - sh->app->outbox_max, IM_OUTBOX_DROP);

    rc = im_outbox_remove(ctx, sh, first, n);
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
    ngx_int_t            rc, removed;
    ngx_uint_t           i;
    im_json_t           *answer;
    im_callback_call_t   call;

    rc = NGX_AGAIN;

    for (i = 0; i < n; i++) {

        if (!im_outbox_leased(sh, 0) || im_slot_draining()) {
            break;
        }

        ngx_memzero(&call, sizeof(im_callback_call_t));

        call.app = sh->app;
        call.command = &rows[i].command;
        call.ip = rows[i].ip;
        call.id = rows[i].id;
        call.platform = im_str_c(ctx->pool, &rows[i].platform);

        rc = im_outbox_complete(ctx, &rows[i], &call.body);

        if (rc == NGX_OK && call.platform) {
            rc = im_callback_client->ask(ctx, &call, &answer);

            if (rc == NGX_DECLINED) {    /* not tried */
                rc = NGX_BUSY;
                break;
            }

            im_stat_add(IM_STAT_OUTBOX_TRIES, 1);

        } else {
            rc = NGX_ERROR;
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
        removed = im_outbox_remove(ctx, sh, rows[0].seq, i);

        if (removed != NGX_OK) {
            return removed;
        }
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


/* The number of a message is known since its commit, to which the row
 * belongs. */

static ngx_int_t
im_outbox_complete(im_ctx_t *ctx, im_outbox_row_t *row, ngx_str_t *body)
{
    ngx_int_t        rc;
    im_json_t       *json;
    im_group_row_t   msg;

    *body = row->body;

    if (row->gno == 0) {
        return NGX_OK;
    }

    rc = im_group_row_by_dk(ctx, row->gno, &row->dk, &msg);

    if (rc == NGX_DECLINED) {            /* the group has gone since */
        return NGX_OK;
    }

    if (rc != NGX_OK
        || im_json_parse(ctx->pool, &row->body, IM_JSON_DEPTH, &json)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    im_json_add_int(json, "MsgSeq", msg.seq);
    im_json_add_int(json, "MsgTime", msg.time);

    return im_json_render(ctx->pool, json, body);
}


static ngx_int_t
im_outbox_remove(im_ctx_t *ctx, im_outbox_shard_t *sh, int64_t first,
    ngx_uint_t n)
{
    im_key_t     key;
    ngx_uint_t   i;
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ORDERED);

    for (i = 0; i < n; i++) {
        im_outbox_key(sh, &key);
        im_key_int(&key, first + i);

        (void) im_store_delete(batch, IM_T_OUTBOX, &key);
    }

    return im_store_commit(ctx, batch);
}


static void
im_outbox_waiting(im_outbox_shard_t *sh, ngx_uint_t n)
{
    im_stat_add(IM_STAT_OUTBOX_WAITING, n - sh->waiting);

    sh->waiting = n;
}


static void
im_outbox_key(im_outbox_shard_t *sh, im_key_t *key)
{
    im_key_init(key, sh->app->id);
    im_key_int(key, sh->n);
}


static ngx_int_t
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


void
im_outbox_add(im_callback_call_t *call, ngx_str_t *lane)
{
    u_char             *p;
    size_t              size;
    im_outbox_event_t  *event;

    size = sizeof(im_outbox_event_t) + call->body.len + call->ip.len
           + lane->len;

    event = NULL;

    if (im_outbox_queued < IM_OUTBOX_QUEUE
        && im_outbox_bytes < IM_OUTBOX_MEMORY)
    {
        event = ngx_alloc(size, ngx_cycle->log);
    }

    if (event == NULL) {
        im_stat_add(IM_STAT_OUTBOX_DROPPED, 1);

        if (im_outbox_full != ngx_time()) {
            im_outbox_full = ngx_time();
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "callbacks of app %ui are dropped, %ui wait for "
                          "the outbox", call->app->id, im_outbox_queued);
        }

        return;
    }

    event->size = size;
    event->call = *call;
    event->lane.len = lane->len;

    p = (u_char *) event + sizeof(im_outbox_event_t);

    event->call.body.data = p;
    p = ngx_cpymem(p, call->body.data, call->body.len);

    event->call.ip.data = p;
    p = ngx_cpymem(p, call->ip.data, call->ip.len);

    event->lane.data = p;
    ngx_memcpy(p, lane->data, lane->len);

    ngx_queue_insert_tail(&im_outbox_events, &event->link);

    im_outbox_queued++;
    im_outbox_bytes += size;

    if (!im_outbox_writing
        && im_co_spawn(im_outbox_write, NULL, ngx_cycle->log) != NULL)
    {
        im_outbox_writing = 1;
    }
}


static void
im_outbox_write(void *data)
{
    while (im_outbox_queued) {
        if (im_outbox_write_some()) {
            im_co_sleep(IM_OUTBOX_PAUSE);
        }
    }

    im_outbox_writing = 0;
}


/* 1: the store takes nothing now. */

static ngx_uint_t
im_outbox_write_some(void)
{
    ngx_int_t           rc;
    ngx_uint_t          i, n;
    ngx_queue_t        *q;
    im_outbox_event_t  *event;

    static ngx_uint_t  tries;

    rc = im_outbox_commit(&n);

    if (rc != NGX_OK && ++tries < IM_OUTBOX_TRIES) {
        return 1;
    }

    tries = 0;

    if (rc != NGX_OK) {
        im_stat_add(IM_STAT_OUTBOX_DROPPED, n);

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "%ui callbacks are dropped, the store does not take "
                      "them", n);
    }

    for (i = 0; i < n; i++) {
        q = ngx_queue_head(&im_outbox_events);
        ngx_queue_remove(q);

        event = ngx_queue_data(q, im_outbox_event_t, link);

        im_outbox_queued--;
        im_outbox_bytes -= event->size;

        if (rc == NGX_OK) {
            im_outbox_kick(event->call.app, &event->lane);
        }

        ngx_free(event);
    }

    return 0;
}


/* The first n of the queue. */

static ngx_int_t
im_outbox_commit(ngx_uint_t *n)
{
    im_ctx_t            ctx;
    ngx_int_t           rc;
    ngx_queue_t        *q;
    im_batch_t         *batch;
    im_outbox_event_t  *event;

    *n = 0;

    q = ngx_queue_head(&im_outbox_events);
    event = ngx_queue_data(q, im_outbox_event_t, link);

    if (im_outbox_ctx(&ctx, event->call.app) != NGX_OK) {
        *n = 1;
        return NGX_ERROR;
    }

    batch = im_store_batch(&ctx, IM_ORDERED);

    while (q != ngx_queue_sentinel(&im_outbox_events)
           && *n < IM_OUTBOX_BATCH)
    {
        event = ngx_queue_data(q, im_outbox_event_t, link);

        im_outbox_put(&ctx, batch, &event->call, &event->lane, NULL);

        (*n)++;
        q = ngx_queue_next(q);
    }

    rc = im_store_commit(&ctx, batch);

    ngx_destroy_pool(ctx.pool);

    return rc;
}


/* Each second: rows that nobody sends. */

static void
im_outbox_tick(void)
{
    if (!im_outbox_writing && im_outbox_queued
        && im_co_spawn(im_outbox_write, NULL, ngx_cycle->log) != NULL)
    {
        im_outbox_writing = 1;
    }

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
    im_key_t      prefix;
    ngx_int_t     rc;
    im_conf_t    *conf;
    ngx_uint_t    i;
    im_outbox_t  *box;

    conf = im_conf();
    app = conf->apps.elts;

    for (i = 0; i < conf->apps.nelts; i++) {

        if (im_outbox_ctx(&ctx, &app[i]) != NGX_OK) {
            continue;
        }

        im_callback_refresh(&ctx);

        box = app[i].callback ? im_outbox_get(&app[i]) : NULL;

        if (box == NULL || (!box->rows && !app[i].callback->retry)) {
            ngx_destroy_pool(ctx.pool);
            continue;
        }

        im_key_init(&prefix, app[i].id);

        box->rows = 0;

        rc = im_store_last_each(&ctx, IM_T_OUTBOX, 0, &prefix, NULL, 0,
                                IM_OUTBOX_SHARDS, im_outbox_look_row, box);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            box->rows = 1;
        }

        ngx_destroy_pool(ctx.pool);
    }

    im_outbox_looking = 0;
}


static ngx_int_t
im_outbox_look_row(im_row_t *row, void *data)
{
    im_outbox_t  *box = data;

    im_outbox_row_t     r;
    im_outbox_shard_t  *sh;

    im_record_load(row, im_outbox_record, &r);

    if (r.shard < 0 || r.shard >= IM_OUTBOX_SHARDS) {
        return NGX_OK;
    }

    box->rows = 1;
    sh = &box->shards[r.shard];

    if (sh->running) {
        return NGX_OK;
    }

    if (!sh->own && sh->looked
        && ngx_time() - sh->looked < IM_OUTBOX_LOOK)
    {
        return NGX_OK;
    }

    /* each worker begins with its share */

    if (sh->own || sh->seen || im_outbox_turn(sh->n)) {
        sh->seen = 0;
        im_outbox_run(sh);

    } else {
        sh->seen = 1;
    }

    return NGX_OK;
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
    ngx_queue_init(&im_outbox_events);

    im_outbox_self.data = im_outbox_name;
    im_outbox_self.len = ngx_sprintf(im_outbox_name, "%P-%08xD%08xD", ngx_pid,
                                     (uint32_t) ngx_random(),
                                     (uint32_t) ngx_current_msec)
                         - im_outbox_name;

    im_bus_handler(IM_BUS_OUTBOX, im_outbox_bus);

    if (im_slot_tick_add(im_outbox_tick) != NGX_OK) {
        return NGX_ERROR;
    }

    return im_slot_drain_add(im_outbox_drain);
}


static void
im_outbox_exit_process(ngx_cycle_t *cycle)
{
    ngx_queue_t        *q;
    im_outbox_event_t  *event;

    while (!ngx_queue_empty(&im_outbox_events)) {
        q = ngx_queue_head(&im_outbox_events);
        event = ngx_queue_data(q, im_outbox_event_t, link);

        ngx_queue_remove(q);
        ngx_free(event);
    }
}
