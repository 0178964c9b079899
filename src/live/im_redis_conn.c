
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_socket.h"
#include "core/im_stat.h"
#include "live/im_redis.h"


#define IM_REDIS_CONNECT   1000
#define IM_REDIS_RETRY     1000          /* more or less a fifth of it */
#define IM_REDIS_SOON      50            /* before the next address */
#define IM_REDIS_GOOD      10000         /* up for that long */
#define IM_REDIS_REFUSALS  4             /* then the pause grows no more */


static void im_redis_open(im_redis_conn_t *conn);
static void im_redis_timer_handler(ngx_event_t *ev);
static void im_redis_connected(const redisAsyncContext *ac, int status);
static void im_redis_hello(redisAsyncContext *ac, void *reply, void *data);
static void im_redis_disconnected(const redisAsyncContext *ac, int status);
static void im_redis_gone(im_redis_conn_t *conn, const char *why);
static void im_redis_tell(im_redis_conn_t *conn, const char *why);
static void im_redis_next(im_redis_conn_t *conn, ngx_uint_t was,
    ngx_uint_t all);
static void im_redis_read_handler(ngx_event_t *ev);
static void im_redis_write_handler(ngx_event_t *ev);
static void im_redis_flush_handler(ngx_event_t *ev);
static void im_redis_add_read(void *data);
static void im_redis_del_read(void *data);
static void im_redis_add_write(void *data);
static void im_redis_del_write(void *data);
static void im_redis_cleanup(void *data);


/* Errors of a server that is of no use, now or at all. */

static const char  *im_redis_refusals[] = {
    "READONLY", "LOADING", "OOM", "NOAUTH", "MOVED", "ASK", "TRYAGAIN",
    "CLUSTERDOWN", "MASTERDOWN", "MISCONF", "NOREPLICAS", "BUSY", NULL
};

static im_redis_conf_t  *im_redis_conf;
static ngx_uint_t        im_redis_current;   /* address of this worker */
static ngx_uint_t        im_redis_changes;


void
im_redis_conn_init(im_redis_conf_t *conf)
{
    im_redis_conf = conf;
    im_redis_current = 0;
    im_redis_changes = 0;
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
im_redis_hurry(im_redis_conn_t *conn)
{
    if (conn->wanted && conn->ac == NULL) {
        im_redis_open(conn);
    }
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
    im_redis_addr_t    *addr;
    ngx_connection_t   *c;
    redisAsyncContext  *ac;

    addr = im_redis_conf->addrs.elts;
    conn->addr = &addr[im_redis_current];
    conn->server = im_redis_changes;

    if (conn->addr->port) {
        ac = redisAsyncConnect((char *) conn->addr->host.data,
                               conn->addr->port);
    } else {
        ac = redisAsyncConnectUnix((char *) conn->addr->host.data);
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

    c = im_socket_get(ac->c.fd, conn, im_redis_read_handler,
                      im_redis_write_handler);

    if (c == NULL) {
        redisAsyncFree(ac);
        return;
    }

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

    /*
     * The last one: a server that takes no writes, because it is a replica,
     * is full or still loads, is not the one.
     */

    (void) redisAsyncCommand(a, im_redis_hello, conn, "SET %bt 1 PX 1000",
                             im_redis_conf->prefix.data,
                             im_redis_conf->prefix.len);
}


static void
im_redis_hello(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply  *r = reply;

    ngx_uint_t        i;
    im_redis_addr_t  *addr;
    im_redis_conn_t  *conn;

    conn = ac->data;

    if (r == NULL || conn == NULL) {
        return;
    }

    if (r->type == REDIS_REPLY_ERROR) {
        im_stat_add(IM_STAT_REDIS_REFUSED, 1);
        im_redis_break(conn, r->str);
        return;
    }

    if (data == NULL) {
        return;
    }

    ngx_del_timer(&conn->timer);

    conn->is_up = 1;
    conn->since = ngx_current_msec;
    conn->tries = 0;

    if (conn->told) {
        conn->told = 0;

        addr = im_redis_conf->addrs.elts;

        for (i = 0; conn->leads && i < im_redis_conf->addrs.nelts; i++) {
            addr[i].reason = 0;
        }

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "redis %V is up again, %s", &conn->addr->name,
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
    ngx_uint_t  was, all;

    if (conn->ac) {
        conn->ac->data = NULL;
        conn->ac = NULL;
    }

    was = conn->is_up;
    all = (++conn->tries % im_redis_conf->addrs.nelts == 0);

    if (conn->wanted && (was || all || conn->told)) {
        im_redis_tell(conn, why ? why : "");
    }

    if (was) {
        conn->is_up = 0;
        conn->tries = 0;
        conn->down(conn);
    }

    if (conn->wanted) {
        im_redis_next(conn, was, all);
    }
}


/* once, and then of each server when the reason has changed */

static void
im_redis_tell(im_redis_conn_t *conn, const char *why)
{
    uint32_t  crc;

    crc = ngx_crc32_long((u_char *) why, ngx_strlen(why));

    if (conn->told && (!conn->leads || conn->addr->reason == crc)) {
        return;
    }

    conn->told = 1;

    if (conn->leads) {
        conn->addr->reason = crc;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "redis %V is down, %s: %s",
                  &conn->addr->name, conn->name, why);
}


/*
 * The same server once more if it was up, else the next one.  Who refuses
 * calls just after it was found good is left alone for longer each time.
 */

static void
im_redis_next(im_redis_conn_t *conn, ngx_uint_t was, ngx_uint_t all)
{
    ngx_msec_t  pause;

    pause = IM_REDIS_RETRY;

    if (was) {

        if (!conn->refused
            || ngx_current_msec - conn->since > IM_REDIS_GOOD)
        {
            conn->refusals = 0;
        }

        if (conn->refused) {
            pause <<= ngx_min(conn->refusals, IM_REDIS_REFUSALS);
            conn->refusals++;
        }
    }

    if (conn->leads && conn->refused) {
        im_redis_changes++;
    }

    if (conn->leads
        && im_redis_conf->addrs.nelts > 1
        && (!was || conn->refused))
    {
        im_redis_current = (im_redis_current + 1)
                           % im_redis_conf->addrs.nelts;
        im_redis_changes++;

        if (was ? conn->refusals == 1 : !all) {
            pause = IM_REDIS_SOON;
        }
    }

    conn->refused = 0;

    pause = pause * 4 / 5 + (ngx_msec_t) ngx_random() % (pause * 2 / 5);

    ngx_add_timer(&conn->timer, pause);
}


ngx_uint_t
im_redis_refuses(im_redis_conn_t *conn, redisReply *r)
{
    char        *p;
    size_t       len;
    ngx_uint_t   i;

    p = r->str;

    /* Redis 6 tells of scripts so */

    if (ngx_strncmp(p, "ERR Error running script", 24) == 0) {
        p = strstr(p, ": -");

        if (p == NULL) {
            return 0;
        }

        p += 3;
    }

    for (i = 0; im_redis_refusals[i]; i++) {
        len = ngx_strlen(im_redis_refusals[i]);

        if (ngx_strncmp(p, im_redis_refusals[i], len) == 0 && p[len] == ' ') {
            break;
        }
    }

    if (im_redis_refusals[i] == NULL) {
        return 0;
    }

    if (!conn->refused) {
        conn->refused = 1;

        (void) ngx_cpystrn((u_char *) conn->why, (u_char *) p,
                           sizeof(conn->why));

        im_stat_add(IM_STAT_REDIS_REFUSED, 1);
    }

    return 1;
}


ngx_uint_t
im_redis_server(void)
{
    return im_redis_changes;
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


void
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

    im_socket_watch(conn->c->read, NGX_READ_EVENT, 1);
}


static void
im_redis_del_read(void *data)
{
    im_redis_conn_t  *conn = data;

    im_socket_watch(conn->c->read, NGX_READ_EVENT, 0);
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
        im_socket_watch(conn->c->write, NGX_WRITE_EVENT, 1);

    } else if (!conn->flush.posted) {
        ngx_post_event(&conn->flush, &ngx_posted_events);
    }
}


static void
im_redis_del_write(void *data)
{
    im_redis_conn_t  *conn = data;

    im_socket_watch(conn->c->write, NGX_WRITE_EVENT, 0);
}


static void
im_redis_cleanup(void *data)
{
    im_redis_conn_t  *conn = data;

    if (conn->flush.posted) {
        ngx_delete_posted_event(&conn->flush);
    }

    im_socket_forget(conn->c);
    conn->c = NULL;
}
