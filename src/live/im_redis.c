
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
#define IM_REDIS_CONNECT  1000
#define IM_REDIS_RETRY    1000           /* more or less a fifth of it */
#define IM_REDIS_CHECK    100
#define IM_REDIS_UPS      8


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
static void im_redis_end(im_redis_call_t *call, ngx_int_t rc,
    redisReply *reply);
static void im_redis_wait_handler(void *data, ngx_int_t rc,
    redisReply *reply);
static void im_redis_check_handler(ngx_event_t *ev);
static void im_redis_slow(const char *why);
static void im_redis_slow_handler(ngx_event_t *ev);
static void im_redis_command_up(im_redis_conn_t *conn);
static void im_redis_command_down(im_redis_conn_t *conn);
static void im_redis_open(im_redis_conn_t *conn);
static void im_redis_timer_handler(ngx_event_t *ev);
static void im_redis_connected(const redisAsyncContext *ac, int status);
static void im_redis_hello(redisAsyncContext *ac, void *reply, void *data);
static void im_redis_disconnected(const redisAsyncContext *ac, int status);
static void im_redis_gone(im_redis_conn_t *conn, const char *why);
static void im_redis_read_handler(ngx_event_t *ev);
static void im_redis_write_handler(ngx_event_t *ev);
static void im_redis_flush_handler(ngx_event_t *ev);
static void im_redis_flush(im_redis_conn_t *conn);
static void im_redis_add_read(void *data);
static void im_redis_del_read(void *data);
static void im_redis_add_write(void *data);
static void im_redis_del_write(void *data);
static void im_redis_cleanup(void *data);
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

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "redis answered: %*s",
                  (size_t) r->len, r->str);

    im_redis_end(call, NGX_ERROR, NULL);
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


void
im_redis_connect(im_redis_conn_t *conn)
{
    if (conn->wanted) {
        return;
    }

    conn->wanted = 1;

    conn->flush.handler = im_redis_flush_handler;
    conn->flush.data = conn;
    conn->flush.log = ngx_cycle->log;

    conn->timer.handler = im_redis_timer_handler;
    conn->timer.data = conn;
    conn->timer.log = ngx_cycle->log;
    conn->timer.cancelable = 1;

    im_redis_open(conn);
}


void
im_redis_close(im_redis_conn_t *conn)
{
    conn->wanted = 0;

    if (conn->ac) {
        im_redis_break(conn, "closed");
    }

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }
}


static void
im_redis_open(im_redis_conn_t *conn)
{
    ngx_connection_t   *c;
    redisAsyncContext  *ac;

    if (im_redis_conf->port) {
        ac = redisAsyncConnect((char *) im_redis_conf->host.data,
                               im_redis_conf->port);
    } else {
        ac = redisAsyncConnectUnix((char *) im_redis_conf->host.data);
    }

    ngx_add_timer(&conn->timer, IM_REDIS_CONNECT);

    if (ac == NULL) {
        return;
    }

    if (ac->err) {
        im_redis_gone(conn, ac->c.errstr);
        redisAsyncFree(ac);
        return;
    }

    c = ngx_get_connection(ac->c.fd, ngx_cycle->log);

    if (c == NULL) {
        redisAsyncFree(ac);
        return;
    }

    c->data = conn;
    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = im_redis_read_handler;
    c->write->handler = im_redis_write_handler;

    /* the socket is hiredis's, not for nginx to close at exit */
    c->read->channel = 1;
    c->write->channel = 1;

    conn->c = c;
    conn->ac = ac;

    ac->data = conn;
    ac->ev.data = conn;
    ac->ev.addRead = im_redis_add_read;
    ac->ev.delRead = im_redis_del_read;
    ac->ev.addWrite = im_redis_add_write;
    ac->ev.delWrite = im_redis_del_write;
    ac->ev.cleanup = im_redis_cleanup;

    (void) redisAsyncSetDisconnectCallback(ac, im_redis_disconnected);

    /* waits for the socket to be writable */
    (void) redisAsyncSetConnectCallback(ac, im_redis_connected);
}


/* The connection was not there in time, or it is time for the next one. */

static void
im_redis_timer_handler(ngx_event_t *ev)
{
    im_redis_conn_t  *conn;

    conn = ev->data;

    if (conn->ac) {
        im_redis_break(conn, "it does not answer");

    } else if (conn->wanted) {
        im_redis_open(conn);
    }
}


static void
im_redis_connected(const redisAsyncContext *ac, int status)
{
    size_t              len[3];
    const char         *arg[3];
    ngx_uint_t          n;
    im_redis_conn_t    *conn;
    redisAsyncContext  *a;

    conn = ac->data;

    if (conn == NULL) {
        return;
    }

    if (status != REDIS_OK) {
        im_redis_gone(conn, ac->c.errstr);
        return;
    }

    a = conn->ac;

    if (im_redis_conf->password.len) {
        n = 0;
        arg[n] = "AUTH";
        len[n++] = 4;

        if (im_redis_conf->user.len) {
            arg[n] = (char *) im_redis_conf->user.data;
            len[n++] = im_redis_conf->user.len;
        }

        arg[n] = (char *) im_redis_conf->password.data;
        len[n++] = im_redis_conf->password.len;

        (void) redisAsyncCommandArgv(a, im_redis_hello, NULL, n, arg, len);
    }

    if (im_redis_conf->db) {
        (void) redisAsyncCommand(a, im_redis_hello, NULL, "SELECT %d",
                                 (int) im_redis_conf->db);
    }

    /* the last one */

    (void) redisAsyncCommand(a, im_redis_hello, conn, "PING");
}


static void
im_redis_hello(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply  *r = reply;

    im_redis_conn_t  *conn;

    conn = ac->data;

    if (r == NULL || conn == NULL) {
        return;
    }

    if (r->type == REDIS_REPLY_ERROR) {
        im_redis_break(conn, r->str);
        return;
    }

    if (data == NULL) {
        return;
    }

    ngx_del_timer(&conn->timer);

    conn->is_up = 1;

    if (conn->told) {
        conn->told = 0;
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "redis %V is up again, %s", &im_redis_conf->name,
                      conn->name);
    }

    conn->up(conn);
}


static void
im_redis_disconnected(const redisAsyncContext *ac, int status)
{
    if (ac->data) {
        im_redis_gone(ac->data, ac->c.errstr);
    }
}


void
im_redis_break(im_redis_conn_t *conn, const char *why)
{
    redisAsyncContext  *ac;

    ac = conn->ac;

    if (ac) {
        im_redis_gone(conn, why);
        redisAsyncFree(ac);              /* ends all calls */
    }
}


/* once for each connection; hiredis frees it */

static void
im_redis_gone(im_redis_conn_t *conn, const char *why)
{
    ngx_msec_t  pause;

    if (conn->ac) {
        conn->ac->data = NULL;
        conn->ac = NULL;
    }

    if (conn->wanted && !conn->told) {
        conn->told = 1;
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "redis %V is down, %s: %s", &im_redis_conf->name,
                      conn->name, why ? why : "");
    }

    if (conn->is_up) {
        conn->is_up = 0;
        conn->down(conn);
    }

    if (conn->wanted) {
        pause = IM_REDIS_RETRY * 4 / 5
                + (ngx_msec_t) ngx_random() % (IM_REDIS_RETRY * 2 / 5);

        ngx_add_timer(&conn->timer, pause);
    }
}


static void
im_redis_read_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;
    im_redis_conn_t   *conn;

    c = ev->data;
    conn = c->data;

    if (conn->ac) {
        redisAsyncHandleRead(conn->ac);
    }
}


static void
im_redis_write_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    im_redis_flush(c->data);
}


static void
im_redis_flush_handler(ngx_event_t *ev)
{
    im_redis_flush(ev->data);
}


static void
im_redis_flush(im_redis_conn_t *conn)
{
    if (conn->ac) {
        conn->flushing = 1;
        redisAsyncHandleWrite(conn->ac);
        conn->flushing = 0;
    }
}


static void
im_redis_add_read(void *data)
{
    im_redis_conn_t  *conn = data;

    if (!conn->c->read->active) {

        /* hiredis leaves bytes in the socket */

        (void) ngx_add_event(conn->c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
im_redis_del_read(void *data)
{
    im_redis_conn_t  *conn = data;

    if (conn->c->read->active) {
        (void) ngx_del_event(conn->c->read, NGX_READ_EVENT, 0);
    }
}


/* What one round of the event loop queues is written together. */

static void
im_redis_add_write(void *data)
{
    im_redis_conn_t  *conn = data;

    if (conn->c->write->active) {
        return;
    }

    if (conn->flushing || !(conn->ac->c.flags & REDIS_CONNECTED)) {
        (void) ngx_add_event(conn->c->write, NGX_WRITE_EVENT,
                             NGX_LEVEL_EVENT);

    } else if (!conn->flush.posted) {
        ngx_post_event(&conn->flush, &ngx_posted_events);
    }
}


static void
im_redis_del_write(void *data)
{
    im_redis_conn_t  *conn = data;

    if (conn->c->write->active) {
        (void) ngx_del_event(conn->c->write, NGX_WRITE_EVENT, 0);
    }
}


static void
im_redis_cleanup(void *data)
{
    im_redis_conn_t  *conn = data;

    ngx_connection_t  *c;

    im_redis_del_read(conn);
    im_redis_del_write(conn);

    if (conn->flush.posted) {
        ngx_delete_posted_event(&conn->flush);
    }

    c = conn->c;
    conn->c = NULL;

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;

    ngx_free_connection(c);

    c->fd = (ngx_socket_t) -1;
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

    ngx_queue_init(&im_redis_calls);

    ngx_memzero(&im_redis_check, sizeof(ngx_event_t));

    im_redis_check.handler = im_redis_check_handler;
    im_redis_check.data = &im_redis_check;
    im_redis_check.log = cycle->log;
    im_redis_check.cancelable = 1;

    ngx_memzero(&im_redis_slow_event, sizeof(ngx_event_t));

    im_redis_slow_event.handler = im_redis_slow_handler;
    im_redis_slow_event.log = cycle->log;

    ngx_memzero(&im_redis_conn, sizeof(im_redis_conn_t));

    im_redis_conn.name = "commands";
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
