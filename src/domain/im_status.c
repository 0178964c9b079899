
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_str.h"
#include "core/im_worker.h"
#include "domain/im_friend.h"
#include "domain/im_inbox.h"
#include "domain/im_login.h"
#include "domain/im_message.h"
#include "domain/im_status.h"
#include "live/im_presence.h"


#define IM_STATUS_LIFE   (30 * 86400)    /* of a subscription, seconds */
#define IM_STATUS_GRACE  1000            /* ms between an end and its news */
#define IM_STATUS_QUEUE  10000
#define IM_STATUS_PAGE   500


typedef struct {
    ngx_uint_t         app;
    ngx_msec_t         due;
    unsigned           ended:1;
    ngx_str_t          user;
    ngx_queue_t        link;
} im_status_entry_t;


typedef struct {
    ngx_queue_t        entries;
    ngx_uint_t         n;
    unsigned           init:1;
    unsigned           running:1;
} im_status_queue_t;


typedef struct {
    ngx_array_t        rows;         /* of ngx_str_t: the other account */
    const char        *column;
} im_status_rows_t;


static ngx_int_t im_status_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_status_gone(ngx_uint_t app, ngx_str_t *user);
static void im_status_enqueue(ngx_uint_t queue, ngx_uint_t app,
    ngx_str_t *user, ngx_msec_t delay, ngx_uint_t ended);
static void im_status_main(void *data);
static void im_status_run(im_status_entry_t *entry);
static ngx_int_t im_status_tell(im_ctx_t *ctx, ngx_str_t *user,
    uint32_t except);
static ngx_int_t im_status_tell_one(im_ctx_t *ctx, ngx_str_t *user,
    void *data);
static ngx_int_t im_status_now(im_ctx_t *ctx, ngx_str_t *user,
    ngx_uint_t *status);
static ngx_int_t im_status_collect(im_row_t *row, void *data);
static void im_status_sub_key(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *watcher, im_key_t *key);


im_worker_hook_t  im_status_hook = {
    ngx_string("status"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_status_init_process,                /* init process */
    NULL                                   /* exit process */
};


/* at once, and after a while */

static im_status_queue_t  im_status_queues[2];


static ngx_int_t
im_status_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    im_presence_gone_handler(im_status_gone);

    return NGX_OK;
}


/* His node has died. */

static void
im_status_gone(ngx_uint_t app, ngx_str_t *user)
{
    im_status_ended(app, user, 0);
}


ngx_int_t
im_status_json(im_ctx_t *ctx, ngx_str_t *user, im_json_t *item)
{
    ngx_str_t   text;
    ngx_uint_t  status;

    if (im_status_now(ctx, user, &status) != NGX_OK
        || im_status_text(ctx, user, &text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    im_json_add_str(item, "To_Account", user);
    im_json_add_int(item, "Status", status);
    im_json_add_str(item, "CustomStatus", &text);

    return NGX_OK;
}


static ngx_int_t
im_status_now(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t *status)
{
    ngx_int_t   rc;
    ngx_uint_t  n, platform;

    if (im_session_online_all(ctx->app->id, user)) {
        *status = IM_USER_ONLINE;
        return NGX_OK;
    }

    rc = im_login_platforms(ctx, user, &platform, 1, &n);

    *status = n ? IM_USER_OFFLINE : IM_USER_LOGGED_OUT;

    return rc;
}


ngx_int_t
im_status_text(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *text)
{
    im_key_t   key;
    im_row_t   row;
    ngx_int_t  rc;
    ngx_str_t  plain;

    ngx_str_set(text, "");

    im_rel_key(ctx, user, &key);

    rc = im_store_get(ctx, IM_T_STATUS, &key, &row);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : rc;
    }

    (void) im_row_str(&row, "text", &plain);

    text->data = ngx_pnalloc(ctx->pool, ngx_base64_encoded_length(plain.len));
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    ngx_encode_base64(text, &plain);

    return NGX_OK;
}


ngx_int_t
im_status_set(im_ctx_t *ctx, ngx_str_t *text)
{
    im_key_t     key;
    im_doc_t    *doc;
    ngx_int_t    rc;
    im_batch_t  *batch;

    im_rel_key(ctx, &ctx->user, &key);

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_expect(batch, IM_T_ACCOUNT, &key, -1);

    if (text->len) {
        doc = im_doc(ctx->pool);
        im_doc_str(doc, "text", text);
        im_store_upsert(batch, IM_T_STATUS, &key, doc);

    } else {
        im_store_delete(batch, IM_T_STATUS, &key);
    }

    rc = im_store_commit(ctx, batch);

    return (rc == NGX_OK) ? im_status_tell(ctx, &ctx->user, ctx->inst) : rc;
}


ngx_int_t
im_status_subscribe(im_ctx_t *ctx, ngx_str_t *users, ngx_uint_t n)
{
    im_doc_t          *doc;
    im_key_t           key;
    ngx_int_t          rc;
    ngx_str_t         *user;
    ngx_uint_t         i, over;
    im_batch_t        *batch;
    im_status_rows_t   found;

    if (n == 0) {
        return NGX_OK;
    }

    batch = im_store_batch(ctx, IM_ATOMIC);

    for (i = 0; i < n; i++) {
        doc = im_doc(ctx->pool);
        im_doc_int(doc, "added", im_message_id());
        im_doc_int(doc, "expire", ngx_time() + IM_STATUS_LIFE);

        im_status_sub_key(ctx, &users[i], &ctx->user, &key);
        im_store_upsert(batch, IM_T_STATUS_SUB, &key, doc);
    }

    rc = im_store_commit(ctx, batch);
    if (rc != NGX_OK) {
        return rc;
    }

    /* the oldest ones go */

    found.column = "user";

    if (ngx_array_init(&found.rows, ctx->pool, 64, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    im_rel_key(ctx, &ctx->user, &key);

    rc = im_store_scan(ctx, IM_T_STATUS_SUB, IM_SUB_WATCHER, &key, NULL,
                       NULL, IM_DESC, 1000, im_status_collect, &found);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    over = ctx->app->status_subs_max;

    if (found.rows.nelts <= over) {
        return NGX_OK;
    }

    user = found.rows.elts;

    return im_status_unsubscribe(ctx, &ctx->user, user + over,
                                 found.rows.nelts - over);
}


ngx_int_t
im_status_unsubscribe(im_ctx_t *ctx, ngx_str_t *watcher, ngx_str_t *users,
    ngx_uint_t n)
{
    im_key_t           key;
    ngx_int_t          rc;
    ngx_uint_t         i;
    im_batch_t        *batch;
    im_status_rows_t   found;

    if (users == NULL) {
        found.column = "user";

        if (ngx_array_init(&found.rows, ctx->pool, 64, sizeof(ngx_str_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        im_rel_key(ctx, watcher, &key);

        rc = im_store_scan(ctx, IM_T_STATUS_SUB, IM_SUB_WATCHER, &key, NULL,
                           NULL, IM_ASC, 1000, im_status_collect, &found);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }

        users = found.rows.elts;
        n = found.rows.nelts;
    }

    if (n == 0) {
        return NGX_OK;
    }

    batch = im_store_batch(ctx, IM_ATOMIC);

    for (i = 0; i < n; i++) {
        im_status_sub_key(ctx, &users[i], watcher, &key);
        im_store_delete(batch, IM_T_STATUS_SUB, &key);
    }

    return im_store_commit(ctx, batch);
}


void
im_status_begun(ngx_uint_t app, ngx_str_t *user)
{
    im_session_entry_t  entries[2];

    if (im_session_list_all(app, user, entries, 2) == 1) {
        im_status_enqueue(0, app, user, 0, 0);
    }
}


void
im_status_ended(ngx_uint_t app, ngx_str_t *user, ngx_uint_t logout)
{
    if (ngx_exiting || im_session_online(app, user)) {
        return;
    }

    if (logout) {
        im_status_enqueue(0, app, user, 0, 1);

    } else {
        im_status_enqueue(1, app, user, IM_STATUS_GRACE, 1);
    }
}


static void
im_status_enqueue(ngx_uint_t queue, ngx_uint_t app, ngx_str_t *user,
    ngx_msec_t delay, ngx_uint_t ended)
{
    im_status_entry_t  *entry;
    im_status_queue_t  *q;

    q = &im_status_queues[queue];

    if (!q->init) {
        ngx_queue_init(&q->entries);
        q->init = 1;
    }

    if (q->n == IM_STATUS_QUEUE) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "too many status changes, nobody hears of one");
        return;
    }

    entry = ngx_alloc(sizeof(im_status_entry_t) + user->len, ngx_cycle->log);
    if (entry == NULL) {
        return;
    }

    entry->app = app;
    entry->due = ngx_current_msec + delay;
    entry->ended = ended;
    entry->user.len = user->len;
    entry->user.data = (u_char *) entry + sizeof(im_status_entry_t);
    ngx_memcpy(entry->user.data, user->data, user->len);

    ngx_queue_insert_tail(&q->entries, &entry->link);
    q->n++;

    if (!q->running && im_co_spawn(im_status_main, q, ngx_cycle->log)) {
        q->running = 1;
    }
}


static void
im_status_main(void *data)
{
    im_status_queue_t  *q = data;

    ngx_msec_int_t      ms;
    ngx_queue_t        *link;
    im_status_entry_t  *entry;

    while (!ngx_queue_empty(&q->entries)) {

        link = ngx_queue_head(&q->entries);
        entry = ngx_queue_data(link, im_status_entry_t, link);

        ngx_queue_remove(link);
        q->n--;

        ms = entry->due - ngx_current_msec;

        if (ms > 0 && !ngx_exiting) {
            im_co_sleep(ms);
        }

        if (!ngx_exiting) {
            im_status_run(entry);
        }

        ngx_free(entry);
    }

    q->running = 0;
}


static void
im_status_run(im_status_entry_t *entry)
{
    im_ctx_t  ctx;

    if ((im_session_online_all(entry->app, &entry->user) != 0)
        == entry->ended)
    {
        return;                              /* it is another way again */
    }

    ngx_memzero(&ctx, sizeof(im_ctx_t));

    ctx.app = im_conf_app(im_conf(), entry->app);

    if (ctx.app == NULL) {
        return;
    }

    ctx.pool = ngx_create_pool(4096, ngx_cycle->log);

    if (ctx.pool == NULL) {
        return;
    }

    ctx.log = ngx_cycle->log;
    ctx.via = IM_VIA_JOB;

    (void) im_status_tell(&ctx, &entry->user, 0);

    ngx_destroy_pool(ctx.pool);
}


static ngx_int_t
im_status_tell(im_ctx_t *ctx, ngx_str_t *user, uint32_t except)
{
    im_key_t           prefix, from;
    ngx_int_t          rc;
    ngx_str_t          text, *watcher;
    im_json_t         *event;
    ngx_uint_t         i;
    im_status_rows_t   found;

    event = im_json_new_obj(ctx->pool);
    im_json_add_int(event, "Event", 21);

    rc = im_status_json(ctx, user,
              im_json_push_obj(im_json_add_list(event, "UserStatusList")));

    if (rc != NGX_OK
        || im_json_render(ctx->pool, event, &text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (except) {
        im_inbox_publish(ctx, user, 0, except, &text);
    }

    im_rel_key(ctx, user, &prefix);
    from = prefix;
    found.column = "watcher";

    for ( ;; ) {

        if (ngx_array_init(&found.rows, ctx->pool, 64, sizeof(ngx_str_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = im_store_scan(ctx, IM_T_STATUS_SUB, 0, &prefix, &from, NULL,
                           IM_ASC, IM_STATUS_PAGE, im_status_collect,
                           &found);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }

        watcher = found.rows.elts;

        for (i = 0; i < found.rows.nelts; i++) {
            im_inbox_publish(ctx, &watcher[i], 0, 0, &text);
        }

        if (found.rows.nelts < IM_STATUS_PAGE) {
            break;
        }

        /* the last one hears it twice */

        from = prefix;
        im_key_str(&from, &watcher[found.rows.nelts - 1]);

        im_co_yield();
    }

    return im_friend_owners(ctx, user, im_status_tell_one, &text);
}


static ngx_int_t
im_status_tell_one(im_ctx_t *ctx, ngx_str_t *user, void *data)
{
    ngx_str_t  *text = data;

    im_inbox_publish(ctx, user, 0, 0, text);

    return NGX_OK;
}


static ngx_int_t
im_status_collect(im_row_t *row, void *data)
{
    im_status_rows_t  *found = data;

    ngx_str_t  *user;

    user = ngx_array_push(&found->rows);
    if (user == NULL) {
        return NGX_ERROR;
    }

    return im_row_str(row, found->column, user);
}


static void
im_status_sub_key(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *watcher,
    im_key_t *key)
{
    im_rel_key(ctx, user, key);
    im_key_str(key, watcher);
}
