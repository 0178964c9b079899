
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_md5.h>
#include <ngx_sha1.h>
#include <hiredis/sds.h>
#include "core/im_co.h"
#include "core/im_stat.h"
#include "core/im_worker.h"
#include "live/im_redis.h"


#define IM_REDIS_QUEUE    (4 * 1024 * 1024)
#define IM_REDIS_CHECK    100
#define IM_REDIS_UPS      8
#define IM_REDIS_LOG      1000           /* between errors in the log */


typedef struct {
    ngx_queue_t         link;            /* of im_redis_calls */
    ngx_msec_t          start;
    im_redis_pt         handler;
    void               *data;
    im_redis_script_t  *script;
    ngx_uint_t          nkeys;
    ngx_uint_t          n;
    unsigned            late:1;          /* was seen to be late */
    unsigned            again:1;         /* goes as EVAL */
    ngx_str_t           args[1];         /* of a script, for EVAL */
} im_redis_call_t;


typedef struct {
    im_co_t            *co;
    im_redis_take_pt    take;
    void               *data;
    ngx_int_t           rc;
    ngx_uint_t          done;
} im_redis_wait_t;


static void im_redis_digest(im_redis_script_t *script);
static ngx_int_t im_redis_push(im_redis_call_t *call, ngx_str_t *args);
static void im_redis_reply(redisAsyncContext *ac, void *reply, void *data);
static void im_redis_log(redisReply *r);
static void im_redis_end(im_redis_call_t *call, ngx_int_t rc,
    redisReply *reply);
static void im_redis_wait_handler(void *data, ngx_int_t rc,
    redisReply *reply);
static void im_redis_check_handler(ngx_event_t *ev);
static void im_redis_slow(const char *why);
static void im_redis_slow_handler(ngx_event_t *ev);
static void im_redis_command_up(im_redis_conn_t *conn);
static void im_redis_command_down(im_redis_conn_t *conn);
static ngx_int_t im_redis_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_redis_exit_process(ngx_cycle_t *cycle);


im_worker_hook_t  im_redis_hook = {
    ngx_string("redis"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_redis_init_process,                 /* init process */
    im_redis_exit_process                  /* exit process */
};


ngx_uint_t               im_redis_on;
ngx_uint_t               im_redis_is_up;

static im_redis_conf_t  *im_redis_conf;
static im_redis_conn_t   im_redis_conn;
static ngx_msec_t        im_redis_logged;
static ngx_uint_t        im_redis_logs;
static ngx_queue_t       im_redis_calls;   /* that wait for their replies */
static ngx_event_t       im_redis_check;
static ngx_event_t       im_redis_slow_event;
static const char       *im_redis_why;
static im_redis_up_pt    im_redis_ups[IM_REDIS_UPS];
static ngx_uint_t        im_redis_nups;


ngx_int_t
im_redis_call(im_redis_script_t *script, ngx_uint_t nkeys, ngx_str_t *args,
    ngx_uint_t n, im_redis_pt handler, void *data)
{
    size_t            size;
    u_char           *p;
    ngx_uint_t        i;
    im_redis_call_t  *call;

    if (!im_redis_is_up || n > IM_REDIS_ARGS) {
        im_stat_add(IM_STAT_REDIS_DROPPED, 1);
        return NGX_DECLINED;
    }

    if (sdslen(im_redis_conn.ac->c.obuf) > IM_REDIS_QUEUE) {
        im_redis_slow("too much is queued");
        im_stat_add(IM_STAT_REDIS_DROPPED, 1);
        return NGX_DECLINED;
    }

    size = sizeof(im_redis_call_t);

    if (script) {

        if (!script->known) {
            im_redis_digest(script);
        }

        for (i = 0; i < n; i++) {
            size += sizeof(ngx_str_t) + args[i].len;
        }
    }

    call = ngx_alloc(size, ngx_cycle->log);
    if (call == NULL) {
        return NGX_DECLINED;
    }

    ngx_memzero(call, sizeof(im_redis_call_t));

    call->handler = handler;
    call->data = data;
    call->script = script;
    call->nkeys = nkeys;
    call->n = n;

    if (script) {
        p = (u_char *) &call->args[n];

        for (i = 0; i < n; i++) {
            call->args[i].data = p;
            call->args[i].len = args[i].len;
            p = ngx_cpymem(p, args[i].data, args[i].len);
        }
    }

    if (im_redis_push(call, args) != NGX_OK) {
        ngx_free(call);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
im_redis_digest(im_redis_script_t *script)
{
    u_char      digest[20];
    ngx_sha1_t  sha1;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, script->text, ngx_strlen(script->text));
    ngx_sha1_final(digest, &sha1);

    (void) ngx_hex_dump(script->sha, digest, 20);

    script->known = 1;
}


static ngx_int_t
im_redis_push(im_redis_call_t *call, ngx_str_t *args)
{
    size_t       len[IM_REDIS_ARGS + 3];
    u_char       nkeys[NGX_INT_T_LEN];
    const char  *arg[IM_REDIS_ARGS + 3];
    ngx_uint_t   i, n;

    n = 0;

    if (call->script) {

        if (call->again) {
            arg[0] = "EVAL";
            len[0] = 4;
            arg[1] = call->script->text;
            len[1] = ngx_strlen(call->script->text);

        } else {
            arg[0] = "EVALSHA";
            len[0] = 7;
            arg[1] = (char *) call->script->sha;
            len[1] = 40;
        }

        arg[2] = (char *) nkeys;
        len[2] = ngx_sprintf(nkeys, "%ui", call->nkeys) - nkeys;
        n = 3;
    }

    for (i = 0; i < call->n; i++) {
        arg[n] = (char *) args[i].data;
        len[n++] = args[i].len;
    }

    if (redisAsyncCommandArgv(im_redis_conn.ac, im_redis_reply, call, n, arg,
                              len)
        != REDIS_OK)
    {
        return NGX_DECLINED;
    }

    call->start = ngx_current_msec;
    call->late = 0;

    ngx_queue_insert_tail(&im_redis_calls, &call->link);

    im_stat_add(IM_STAT_REDIS_CALLS, 1);
    im_stat_add(IM_STAT_REDIS_QUEUE, 1);

    if (!im_redis_check.timer_set) {
        ngx_add_timer(&im_redis_check, IM_REDIS_CHECK);
    }

    return NGX_OK;
}


static void
im_redis_reply(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply       *r = reply;
    im_redis_call_t  *call = data;

    ngx_queue_remove(&call->link);
    im_stat_add(IM_STAT_REDIS_QUEUE, -1);

    if (r == NULL) {
        im_redis_is_up = 0;              /* no calls from its handler */
        im_stat_add(IM_STAT_REDIS_DROPPED, 1);
        im_redis_end(call, NGX_BUSY, NULL);
        return;
    }

    if (r->type != REDIS_REPLY_ERROR) {
        im_redis_end(call, NGX_OK, r);
        return;
    }

    if (call->script
        && !call->again
        && r->len >= 8
        && ngx_strncmp(r->str, "NOSCRIPT", 8) == 0)
    {
        call->again = 1;

        if (im_redis_is_up && im_redis_push(call, call->args) == NGX_OK) {
            return;
        }

        im_redis_end(call, NGX_BUSY, NULL);
        return;
    }

    im_stat_add(IM_STAT_REDIS_ERRORS, 1);

    if (im_redis_refuses(&im_redis_conn, r)) {

        /* none of the calls that it answers so was run */

        if (im_redis_is_up) {
            im_redis_slow(im_redis_conn.why);
        }

        im_redis_end(call, NGX_DECLINED, NULL);
        return;
    }

    im_redis_log(r);

    im_redis_end(call, NGX_ERROR, NULL);
}


/* Once in a second: there may be thousands. */

static void
im_redis_log(redisReply *r)
{
    im_redis_logs++;

    if (im_redis_logs > 1
        && ngx_current_msec - im_redis_logged < IM_REDIS_LOG)
    {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "redis answered: %*s (error %ui)",
                  (size_t) r->len, r->str, im_redis_logs);

    im_redis_logged = ngx_current_msec;
}


static void
im_redis_end(im_redis_call_t *call, ngx_int_t rc, redisReply *reply)
{
    if (call->handler) {
        call->handler(call->data, rc, reply);
    }

    ngx_free(call);
}


ngx_int_t
im_redis_wait(im_redis_script_t *script, ngx_uint_t nkeys, ngx_str_t *args,
    ngx_uint_t n, im_redis_take_pt take, void *data)
{
    ngx_int_t        rc;
    im_redis_wait_t  wait;

    wait.co = im_co_self();
    wait.take = take;
    wait.data = data;
    wait.rc = NGX_BUSY;
    wait.done = 0;

    rc = im_redis_call(script, nkeys, args, n, im_redis_wait_handler, &wait);

    if (rc != NGX_OK) {
        return rc;
    }

    /* each call ends in the time of "redis": a slow one is given up */

    while (!wait.done) {
        (void) im_co_wait(IM_CO_FOREVER);
    }

    return wait.rc;
}


void
im_redis_probe(void)
{
    u_char     key[IM_REDIS_KEY_MAX];
    ngx_str_t  args[5];

    if (!im_redis_is_up) {
        return;
    }

    ngx_str_set(&args[0], "SET");
    args[1].data = key;
    args[1].len = ngx_sprintf(key, "%Vt", &im_redis_conf->prefix) - key;
    ngx_str_set(&args[2], "1");
    ngx_str_set(&args[3], "PX");
    ngx_str_set(&args[4], "1000");

    (void) im_redis_call(NULL, 0, args, 5, NULL, NULL);
}


static void
im_redis_wait_handler(void *data, ngx_int_t rc, redisReply *reply)
{
    im_redis_wait_t  *wait = data;

    if (rc == NGX_OK && wait->take) {
        rc = wait->take(wait->data, reply);
    }

    wait->rc = rc;
    wait->done = 1;

    im_co_wake(wait->co, NGX_OK);
}


/*
 * Replies that came while this worker itself was slow are read before timers
 * are: who is late twice has not been answered.
 */

static void
im_redis_check_handler(ngx_event_t *ev)
{
    im_redis_call_t  *call;

    if (ngx_queue_empty(&im_redis_calls)) {
        return;
    }

    call = ngx_queue_data(ngx_queue_head(&im_redis_calls), im_redis_call_t,
                          link);

    if (ngx_current_msec - call->start >= im_redis_conf->timeout) {

        if (call->late) {
            im_redis_break(&im_redis_conn, "it is too slow");
            return;
        }

        call->late = 1;
    }

    ngx_add_timer(ev, IM_REDIS_CHECK);
}


/* from wherever a call was made: no more of them, the rest from the loop */

static void
im_redis_slow(const char *why)
{
    im_redis_is_up = 0;
    im_redis_why = why;

    ngx_post_event(&im_redis_slow_event, &ngx_posted_events);
}


static void
im_redis_slow_handler(ngx_event_t *ev)
{
    im_redis_break(&im_redis_conn, im_redis_why);
}


static void
im_redis_command_up(im_redis_conn_t *conn)
{
    ngx_uint_t  i;

    im_redis_is_up = 1;
    im_stat_set(IM_STAT_REDIS_UP, 1);

    for (i = 0; i < im_redis_nups; i++) {
        im_redis_ups[i]();
    }
}


static void
im_redis_command_down(im_redis_conn_t *conn)
{
    im_redis_is_up = 0;
    im_stat_set(IM_STAT_REDIS_UP, 0);
    im_stat_add(IM_STAT_REDIS_DOWN, 1);
}


ngx_int_t
im_redis_up_add(im_redis_up_pt fn)
{
    ngx_uint_t  i;

    for (i = 0; i < im_redis_nups; i++) {
        if (im_redis_ups[i] == fn) {
            return NGX_OK;
        }
    }

    if (im_redis_nups == IM_REDIS_UPS) {
        return NGX_ERROR;
    }

    im_redis_ups[im_redis_nups++] = fn;

    return NGX_OK;
}


void
im_redis_key(ngx_str_t *key, u_char *buf, const char *kind, ngx_uint_t app,
    uint64_t id, ngx_str_t *name)
{
    u_char     *p, *last, digest[16];
    ngx_md5_t   md5;

    last = buf + IM_REDIS_KEY_MAX;

    p = ngx_cpymem(buf, im_redis_conf->prefix.data, im_redis_conf->prefix.len);
    p = ngx_slprintf(p, last, "%s:%ui", kind, app);

    if (id) {
        p = ngx_slprintf(p, last, ":%uL", id);
    }

    if (name) {
        *p++ = ':';

        if (name->len <= (size_t) (last - p)) {
            p = ngx_cpymem(p, name->data, name->len);

        } else {
            ngx_md5_init(&md5);
            ngx_md5_update(&md5, name->data, name->len);
            ngx_md5_final(digest, &md5);

            p = ngx_cpymem(p, name->data, last - p - 32);
            p = ngx_hex_dump(p, digest, 16);
        }
    }

    key->data = buf;
    key->len = p - buf;
}


void
im_redis_int(ngx_str_t *arg, u_char *buf, int64_t n)
{
    arg->data = buf;
    arg->len = ngx_sprintf(buf, "%L", n) - buf;
}


int64_t
im_redis_reply_int(redisReply *reply, ngx_uint_t i)
{
    int64_t      n;
    ngx_uint_t   k, sign;
    redisReply  *r;

    if (reply->type != REDIS_REPLY_ARRAY || i >= reply->elements) {
        return 0;
    }

    r = reply->element[i];

    if (r->type == REDIS_REPLY_INTEGER) {
        return r->integer;
    }

    if (r->type != REDIS_REPLY_STRING || r->len > 18) {
        return 0;
    }

    sign = (r->len && r->str[0] == '-');

    for (n = 0, k = sign; k < (ngx_uint_t) r->len; k++) {

        if (r->str[k] < '0' || r->str[k] > '9') {
            return 0;
        }

        n = n * 10 + (r->str[k] - '0');
    }

    return sign ? -n : n;
}


void
im_redis_reply_str(redisReply *reply, ngx_uint_t i, ngx_str_t *s)
{
    ngx_str_null(s);

    if (reply->type == REDIS_REPLY_ARRAY
        && i < reply->elements
        && reply->element[i]->type == REDIS_REPLY_STRING)
    {
        s->data = (u_char *) reply->element[i]->str;
        s->len = reply->element[i]->len;
    }
}


static ngx_int_t
im_redis_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    im_redis_on = (conf->redis.name.len != 0);
    im_redis_is_up = 0;

    if (!im_redis_on) {
        return NGX_OK;
    }

    im_redis_conf = &conf->redis;
    im_redis_nups = 0;
    im_redis_logs = 0;

    im_redis_conn_init(&conf->redis);

    ngx_queue_init(&im_redis_calls);

    im_worker_timer(&im_redis_check, im_redis_check_handler, cycle->log);

    ngx_memzero(&im_redis_slow_event, sizeof(ngx_event_t));

    im_redis_slow_event.handler = im_redis_slow_handler;
    im_redis_slow_event.log = cycle->log;

    ngx_memzero(&im_redis_conn, sizeof(im_redis_conn_t));

    im_redis_conn.name = "commands";
    im_redis_conn.leads = 1;
    im_redis_conn.up = im_redis_command_up;
    im_redis_conn.down = im_redis_command_down;

    im_redis_connect(&im_redis_conn);

    return NGX_OK;
}


static void
im_redis_exit_process(ngx_cycle_t *cycle)
{
    if (!im_redis_on) {
        return;
    }

    /* the last sessions have left just now */

    im_redis_flush(&im_redis_conn);
    im_redis_close(&im_redis_conn);

    if (im_redis_check.timer_set) {
        ngx_del_timer(&im_redis_check);
    }

    if (im_redis_slow_event.posted) {
        ngx_delete_posted_event(&im_redis_slow_event);
    }
}
