
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <sys/random.h>
#include "core/im_worker.h"
#include "store/im_mongo.h"


/*
 * The MongoDB driver: the client pool of a worker, which does not survive a
 * fork, and the calls of libmongoc, which block and so run in threads.
 */


#define IM_MONGO_LOST    3           /* failures that open the breaker */
#define IM_MONGO_PROBE   1000        /* ms between two probes */
#define IM_MONGO_SET     128         /* of a set's name, with a zero */


static ngx_int_t im_mongo_init_conf(ngx_conf_t *cf, im_conf_t *conf);
static ngx_int_t im_mongo_init_module(ngx_cycle_t *cycle, im_conf_t *conf);
static ngx_int_t im_mongo_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_mongo_changed(const mongoc_apm_server_changed_t *event);
static mongoc_uri_t *im_mongo_uri(im_conf_t *conf, int32_t timeout,
    bson_error_t *error);
static void im_mongo_uri_int(mongoc_uri_t *uri, const char *name,
    int32_t value);
static void im_mongo_exit_process(ngx_cycle_t *cycle);
static void im_mongo_log(mongoc_log_level_t level, const char *domain,
    const char *message, void *data);
static void im_mongo_stat(im_store_stat_t *stat);
static void im_mongo_open(void);
static void im_mongo_probe_handler(ngx_event_t *ev);
static void im_mongo_probe(im_mongo_call_t *call);
static void im_mongo_probe_done(im_mongo_call_t *call);
static void im_mongo_thread(void *data);
static void im_mongo_thread_call(im_mongo_call_t *call);
static ngx_int_t im_mongo_thread_ready(im_mongo_call_t *call);
static void im_mongo_ended(void *data);


im_store_driver_t  im_mongo_driver = {
    ngx_string("mongodb"),
    im_mongo_init_conf,
    im_mongo_init_module,
    im_mongo_init_process,
    im_mongo_exit_process,
    im_mongo_get_many,
    im_mongo_scan,
    im_mongo_count,
    im_mongo_last_each,
    im_mongo_head,
    im_mongo_commit,
    im_mongo_stat
};


im_mongo_t  im_mongo;

static uint64_t         im_mongo_seed;
static ngx_uint_t       im_mongo_failures;     /* one after another */
static ngx_event_t      im_mongo_probe_event;
static pthread_mutex_t  im_mongo_mutex = PTHREAD_MUTEX_INITIALIZER;

/* the replica set of a server, if it is not that of the address */
static u_char           im_mongo_set[IM_MONGO_SET];
static pthread_mutex_t  im_mongo_set_mutex = PTHREAD_MUTEX_INITIALIZER;


static ngx_int_t
im_mongo_init_conf(ngx_conf_t *cf, im_conf_t *conf)
{
    bson_error_t   error;
    mongoc_uri_t  *uri;

    mongoc_log_set_handler(im_mongo_log, NULL);

    uri = im_mongo_uri(conf, IM_MONGO_DEADLINE, &error);

    if (uri == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid address in \"store %V\": %s",
                           &conf->store.name, error.message);
        return NGX_ERROR;
    }

    mongoc_uri_destroy(uri);

    if (im_mongo_orphan_conf(cf) != NGX_OK
        || im_mongo_turn_conf(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return im_task_conf(cf);
}


/* The master has nothing to do with the server. */

static ngx_int_t
im_mongo_init_module(ngx_cycle_t *cycle, im_conf_t *conf)
{
    im_mongo_orphan_init();
    im_mongo_turn_init();

    return NGX_OK;
}


static ngx_int_t
im_mongo_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    ngx_int_t         rc;
    bson_error_t      error;
    mongoc_client_t  *client;

    ngx_memzero(&im_mongo, sizeof(im_mongo_t));

    im_mongo.name = conf->store.name;
    im_mongo.grace = IM_MONGO_GRACE;
    im_mongo_failures = 0;
    im_mongo_set[0] = '\0';

    im_mongo_turn_start();

    if (getrandom(&im_mongo_seed, sizeof(uint64_t), 0) != sizeof(uint64_t)) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "getrandom() failed");
        return NGX_ERROR;
    }

    if (im_mongo_connect(conf, IM_MONGO_DEADLINE, &error) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "store \"%V\" failed: %s", &im_mongo.name,
                      error.message);
        return NGX_ERROR;
    }

    if (im_mongo_commit_init(cycle) != NGX_OK
        || im_mongo_append_init(cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    im_worker_timer(&im_mongo_probe_event, im_mongo_probe_handler, cycle->log);

    /* a server that is not there now may come later */

    client = mongoc_client_pool_pop(im_mongo.pool);
    rc = im_mongo_prepare(client, &error);

    if (rc == NGX_OK) {
        im_mongo_orphan_end(client);
    }

    mongoc_client_pool_push(im_mongo.pool, client);

    switch (rc) {

    case NGX_OK:
        im_mongo.ready = 1;
        break;

    case NGX_DECLINED:
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "store \"%V\": %s",
                      &im_mongo.name, error.message);
        im_mongo_exit_process(cycle);
        return NGX_ERROR;

    default:
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "store \"%V\" is not there: %s", &im_mongo.name,
                      error.message);
        im_mongo_open();
    }

    im_mongo_sweep_init(cycle, conf);

    return NGX_OK;
}


ngx_int_t
im_mongo_connect(im_conf_t *conf, int32_t timeout, bson_error_t *error)
{
    mongoc_apm_callbacks_t  *callbacks;

    mongoc_init();
    mongoc_log_set_handler(im_mongo_log, NULL);

    im_mongo.uri = im_mongo_uri(conf, timeout, error);

    if (im_mongo.uri == NULL) {
        return NGX_ERROR;
    }

    im_mongo.db = mongoc_uri_get_database(im_mongo.uri);
    im_mongo.pool = mongoc_client_pool_new_with_error(im_mongo.uri, error);

    if (im_mongo.pool == NULL) {
        return NGX_ERROR;
    }

    (void) mongoc_client_pool_set_error_api(im_mongo.pool,
                                            MONGOC_ERROR_API_VERSION_2);

    callbacks = mongoc_apm_callbacks_new();
    mongoc_apm_set_server_changed_cb(callbacks, im_mongo_changed);
    (void) mongoc_client_pool_set_apm_callbacks(im_mongo.pool, callbacks,
                                                NULL);
    mongoc_apm_callbacks_destroy(callbacks);

    return NGX_OK;
}


/*
 * In a thread of libmongoc, which forgets a server at once that is not of the
 * replica set of the address, or of none.
 */

static void
im_mongo_changed(const mongoc_apm_server_changed_t *event)
{
    const char                         *type, *set, *name;
    const bson_t                       *hello;
    bson_iter_t                         iter;
    const mongoc_server_description_t  *server;

    server = mongoc_apm_server_changed_get_new_description(event);
    type = mongoc_server_description_type(server);

    if (ngx_strcmp(type, "Standalone") == 0) {
        im_mongo.standalone = 1;
        return;
    }

    name = mongoc_uri_get_replica_set(im_mongo.uri);
    hello = mongoc_server_description_hello_response(server);

    if (name == NULL || !bson_iter_init_find(&iter, hello, "setName")
        || !BSON_ITER_HOLDS_UTF8(&iter))
    {
        return;
    }

    set = bson_iter_utf8(&iter, NULL);

    (void) pthread_mutex_lock(&im_mongo_set_mutex);

    if (ngx_strcmp(set, name) == 0) {
        im_mongo_set[0] = '\0';

    } else {
        (void) ngx_cpystrn(im_mongo_set, (u_char *) set, IM_MONGO_SET);
    }

    (void) pthread_mutex_unlock(&im_mongo_set_mutex);
}


void
im_mongo_other_set(bson_error_t *error)
{
    (void) pthread_mutex_lock(&im_mongo_set_mutex);

    if (im_mongo_set[0]) {
        bson_set_error(error, 0, 0, "the server is of the replica set \"%s\""
                       ", the address says replicaSet=%s", im_mongo_set,
                       mongoc_uri_get_replica_set(im_mongo.uri));
    }

    (void) pthread_mutex_unlock(&im_mongo_set_mutex);
}


/* The address with our own defaults. */

static mongoc_uri_t *
im_mongo_uri(im_conf_t *conf, int32_t timeout, bson_error_t *error)
{
    u_char                  *p, text[2048];
    bool                     ok;
    mongoc_uri_t            *uri;
    mongoc_read_prefs_t     *prefs;
    mongoc_write_concern_t  *concern;

    if (conf->store.path.len >= sizeof(text)) {
        bson_set_error(error, 0, 0, "it is too long");
        return NULL;
    }

    (void) ngx_cpystrn(text, conf->store.path.data, conf->store.path.len + 1);

    /* what libmongoc takes for a database or an option, it would quote */

    p = (u_char *) ngx_strstr(text, "://");
    p = p ? (u_char *) ngx_strchr(p + 3, '/') : NULL;

    if (p && ngx_strchr(p, '@')) {
        ngx_explicit_memzero(text, sizeof(text));
        bson_set_error(error, 0, 0, "write \"/\" in the user or the password "
                       "as %%2F, and \"@\" in an option as %%40");
        return NULL;
    }

    uri = mongoc_uri_new_with_error((char *) text, error);

    ngx_explicit_memzero(text, sizeof(text));

    if (uri == NULL) {

        /* libmongoc quotes a password that it cannot read */

        if (ngx_strstr(error->message, "assword")) {
            bson_set_error(error, 0, 0, "write what is neither a letter nor "
                           "a digit in the user and the password as %%XX");
        }

        return NULL;
    }

    ok = true;

    if (mongoc_uri_get_database(uri) == NULL) {
        ok = mongoc_uri_set_database(uri, "im");
    }

    im_mongo_uri_int(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 2000);
    im_mongo_uri_int(uri, MONGOC_URI_CONNECTTIMEOUTMS, 2000);
    im_mongo_uri_int(uri, MONGOC_URI_SOCKETTIMEOUTMS, timeout);
    im_mongo_uri_int(uri, MONGOC_URI_WAITQUEUETIMEOUTMS, timeout);
    im_mongo_uri_int(uri, MONGOC_URI_MAXPOOLSIZE, 100);

    if (!mongoc_uri_has_option(uri, MONGOC_URI_APPNAME)) {
        ok = ok && mongoc_uri_set_appname(uri, "ngx_im");
    }

    /* what was acknowledged is not lost: these are not for choice */

    ok = ok && mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES,
                                             true);

    concern = mongoc_write_concern_new();
    mongoc_write_concern_set_w(concern, MONGOC_WRITE_CONCERN_W_MAJORITY);
    mongoc_write_concern_set_journal(concern, true);
    mongoc_uri_set_write_concern(uri, concern);
    mongoc_write_concern_destroy(concern);

    prefs = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
    mongoc_uri_set_read_prefs_t(uri, prefs);
    mongoc_read_prefs_destroy(prefs);

    if (!ok) {
        bson_set_error(error, 0, 0, "it could not be used");
        mongoc_uri_destroy(uri);
        return NULL;
    }

    return uri;
}


static void
im_mongo_uri_int(mongoc_uri_t *uri, const char *name, int32_t value)
{
    if (!mongoc_uri_has_option(uri, name)) {
        (void) mongoc_uri_set_option_as_int32(uri, name, value);
    }
}


/*
 * A fast stop leaves calls behind, and nginx may end the threads later.  They
 * last until their deadline, those that wait for a thread do not begin.
 */

static void
im_mongo_exit_process(ngx_cycle_t *cycle)
{
    if (im_mongo.pool == NULL) {
        return;
    }

    im_mongo.exiting = 1;

    while (im_mongo.running) {
        ngx_msleep(1);
    }

    if (im_mongo_probe_event.timer_set) {
        ngx_del_timer(&im_mongo_probe_event);
    }

    im_mongo_sweep_exit();
    im_mongo_append_exit();

    mongoc_client_pool_destroy(im_mongo.pool);
    mongoc_uri_destroy(im_mongo.uri);

    im_mongo.pool = NULL;
    im_mongo.uri = NULL;
}


/* Also called by threads. */

static void
im_mongo_log(mongoc_log_level_t level, const char *domain,
    const char *message, void *data)
{
    ngx_uint_t  n;

    switch (level) {

    case MONGOC_LOG_LEVEL_ERROR:
    case MONGOC_LOG_LEVEL_CRITICAL:
        n = NGX_LOG_ERR;
        break;

    case MONGOC_LOG_LEVEL_WARNING:
        n = NGX_LOG_WARN;
        break;

    default:
        n = NGX_LOG_INFO;
    }

    ngx_log_error(n, ngx_cycle->log, 0, "%s: %s", domain, message);
}


static void
im_mongo_stat(im_store_stat_t *stat)
{
    *stat = im_mongo.stat;
    stat->open = im_mongo.open;
}


uint64_t
im_mongo_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


/* splitmix64 */

int64_t
im_mongo_random(void)
{
    uint64_t  n;

    im_mongo_seed += 0x9e3779b97f4a7c15;

    n = im_mongo_seed;
    n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9;
    n = (n ^ (n >> 27)) * 0x94d049bb133111eb;
    n = (n ^ (n >> 31)) & INT64_MAX;

    return n ? (int64_t) n : 1;
}


/* libbson's own are the same in all workers, if the master has made one. */

void
im_mongo_oid(bson_oid_t *oid)
{
    uint32_t  t;
    uint64_t  n;

    t = htonl((uint32_t) ngx_time());
    n = (uint64_t) im_mongo_random();

    ngx_memcpy(oid->bytes, &t, 4);
    ngx_memcpy(oid->bytes + 4, &n, 8);
}


ngx_int_t
im_mongo_post(im_mongo_call_t *call)
{
    ngx_int_t  rc;

    if (im_mongo.open && !call->probe) {
        call->free(call);
        return NGX_BUSY;
    }

    call->now = ngx_time();
    call->deadline = im_mongo_now()
                     + (IM_MONGO_DEADLINE + call->n * IM_MONGO_EACH) * 1000;
    call->rc = NGX_ERROR;

    im_worker_hold(1);
    (void) ngx_atomic_fetch_add(&im_mongo.running, 1);

    rc = im_task_post(im_mongo_thread, im_mongo_ended, call);

    if (rc != NGX_OK) {
        (void) ngx_atomic_fetch_add(&im_mongo.running, -1);
        im_worker_release(1);
        call->free(call);
    }

    return rc;
}


static void
im_mongo_open(void)
{
    im_mongo.open = 1;
    im_mongo.stat.opened++;

    if (!im_mongo_probe_event.timer_set) {
        ngx_add_timer(&im_mongo_probe_event, IM_MONGO_PROBE);
    }
}


/* While the breaker is open, calls of its own look for the server. */

static void
im_mongo_probe_handler(ngx_event_t *ev)
{
    im_mongo_call_t  *call;

    if (!im_mongo.open || ngx_exiting) {
        return;
    }

    call = ngx_calloc(sizeof(im_mongo_call_t), ev->log);

    if (call == NULL) {
        ngx_add_timer(ev, IM_MONGO_PROBE);
        return;
    }

    call->run = im_mongo_probe;
    call->done = im_mongo_probe_done;
    call->free = im_mongo_probe_done;
    call->what = "probe";
    call->table = "";
    call->probe = 1;

    (void) im_mongo_post(call);
}


static void
im_mongo_probe(im_mongo_call_t *call)
{
    bool     ok;
    bson_t  *command;

    command = BCON_NEW("ping", BCON_INT32(1));

    ok = mongoc_client_command_simple(call->client, "admin", command, NULL,
                                      NULL, &call->error);

    bson_destroy(command);

    call->rc = ok ? NGX_OK : NGX_ERROR;
    call->lost = !ok;
}


static void
im_mongo_probe_done(im_mongo_call_t *call)
{
    ngx_free(call);

    if (im_mongo.open && !ngx_exiting) {
        ngx_add_timer(&im_mongo_probe_event, IM_MONGO_PROBE);
    }
}


ngx_int_t
im_mongo_run(im_ctx_t *ctx, im_mongo_call_t *call)
{
    uint64_t     now;
    ngx_int_t    rc;
    const char  *what, *table;

    call->co = im_co_self();

    rc = im_mongo_post(call);
    if (rc != NGX_OK) {
        return rc;
    }

    what = call->what;
    table = call->table;

    while (!call->ended) {
        now = im_mongo_now();

        if (now >= call->deadline
            || im_co_wait((call->deadline - now) / 1000 + 1) == NGX_BUSY)
        {
            if (call->ended) {
                break;
            }

            /* the thread is still in it */

            call->co = NULL;

            ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                          "mongo %s of \"%s\" timed out", what, table);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
im_mongo_thread(void *data)
{
    im_mongo_call_t  *call = data;

    if (im_mongo_now() >= call->deadline
        || (im_mongo.open && !call->probe)
        || im_mongo.exiting)
    {
        call->rc = NGX_BUSY;

    } else {
        im_mongo_thread_call(call);
    }

    (void) ngx_atomic_fetch_add(&im_mongo.running, -1);
}


static void
im_mongo_thread_call(im_mongo_call_t *call)
{
    call->client = mongoc_client_pool_pop(im_mongo.pool);

    if (call->client == NULL) {
        call->rc = NGX_BUSY;
        return;
    }

    if (im_mongo_thread_ready(call) == NGX_OK) {
        call->run(call);
    }

    mongoc_client_pool_push(im_mongo.pool, call->client);
    call->client = NULL;
}


/* The server was not there when the worker began. */

static ngx_int_t
im_mongo_thread_ready(im_mongo_call_t *call)
{
    ngx_int_t  rc;

    if (im_mongo.ready) {
        return NGX_OK;
    }

    rc = NGX_OK;

    (void) pthread_mutex_lock(&im_mongo_mutex);

    if (!im_mongo.ready) {
        rc = im_mongo_prepare(call->client, &call->error);

        if (rc == NGX_OK) {
            im_mongo_orphan_end(call->client);
            im_mongo.ready = 1;

        } else {
            call->rc = NGX_ERROR;
            call->lost = 1;
        }
    }

    (void) pthread_mutex_unlock(&im_mongo_mutex);

    return rc;
}


static void
im_mongo_ended(void *data)
{
    im_mongo_call_t  *call = data;

    im_worker_release(1);

    call->ended = 1;

    if (call->lost) {

        if (++im_mongo_failures >= IM_MONGO_LOST && !im_mongo.open) {
            im_mongo_open();

            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "store \"%V\" is gone, calls are refused: %s",
                          &im_mongo.name, call->error.message);
        }

    } else if (call->rc != NGX_BUSY) {
        im_mongo_failures = 0;

        if (im_mongo.open) {
            im_mongo.open = 0;

            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "store \"%V\" is there again", &im_mongo.name);
        }
    }

    if (call->done) {
        call->done(call);

    } else if (call->co) {
        im_co_wake(call->co, NGX_OK);

    } else {
        call->free(call);
    }
}


void
im_mongo_error(ngx_log_t *log, im_mongo_call_t *call)
{
    if (call->error.message[0]) {
        ngx_log_error(NGX_LOG_ERR, log, 0, "mongo %s of \"%s\" failed: %s",
                      call->what, call->table, call->error.message);
    }
}
