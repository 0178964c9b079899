
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_REDIS_H_INCLUDED_
#define _IM_REDIS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <hiredis/hiredis.h>
#include <hiredis/async.h>
#include "core/ngx_im_module.h"


/*
 * Redis, which several nodes share.  A worker has one connection for
 * commands: what is queued in one round of the event loop is written at once,
 * replies come in order.  A Redis that is slow is taken as down: what waits
 * is dropped, calls are refused, and the connection is tried each second.  Of
 * several servers the one is used that takes writes.
 */

#define IM_REDIS_ARGS       24       /* of a call */
#define IM_REDIS_KEY_MAX    256


/* Lua text; keys are the first arguments of a call. */

typedef struct {
    const char           *text;
    u_char                sha[40];
    ngx_uint_t            known;     /* sha is there */
} im_redis_script_t;

#define im_redis_script(text)  { text, { 0 }, 0 }


/*
 * rc: NGX_OK, and the reply, which lives until the handler returns; NGX_BUSY:
 * no reply came, nobody knows whether the command was run; NGX_DECLINED: the
 * server takes none, it was not run; NGX_ERROR: Redis refused it, which is
 * logged.
 */
typedef void (*im_redis_pt)(void *data, ngx_int_t rc, redisReply *reply);

/* Copies what the caller needs; NGX_OK or what im_redis_wait() answers. */
typedef ngx_int_t (*im_redis_take_pt)(void *data, redisReply *reply);


/* There is a "redis" directive. */
#define im_redis_configured()  (im_redis_on)

/* Redis answers, as far as this worker knows. */
#define im_redis_up()          (im_redis_is_up)

/*
 * Queues a call of script with nkeys keys and n arguments in all, or of a
 * command (script NULL), and calls the handler (may be NULL) later from the
 * event loop, once.  NGX_OK; NGX_DECLINED: Redis is down, nothing was sent,
 * the handler is not called.
 */
ngx_int_t im_redis_call(im_redis_script_t *script, ngx_uint_t nkeys,
    ngx_str_t *args, ngx_uint_t n, im_redis_pt handler, void *data);

/*
 * The same for a coroutine, which is suspended until the reply is there; take
 * (may be NULL) is called with it.  Answers what take or the handler above
 * would get, or NGX_DECLINED: not sent.
 */
ngx_int_t im_redis_wait(im_redis_script_t *script, ngx_uint_t nkeys,
    ngx_str_t *args, ngx_uint_t n, im_redis_take_pt take, void *data);


/* Asks whether the server still takes writes: what a replica is told to
 * publish nobody hears. */
void im_redis_probe(void);

/* fn is called when the connection for commands is up, in order of addition;
 * at most 8 of them, added in init process. */
typedef void (*im_redis_up_pt)(void);

ngx_int_t im_redis_up_add(im_redis_up_pt fn);


/* "prefix" kind ":" and the rest, at most IM_REDIS_KEY_MAX bytes; what is
 * longer ends with a digest. */
void im_redis_key(ngx_str_t *key, u_char *buf, const char *kind,
    ngx_uint_t app, uint64_t id, ngx_str_t *name);

/* A number as text; buf has NGX_INT64_LEN bytes. */
void im_redis_int(ngx_str_t *arg, u_char *buf, int64_t n);

/* Element i of a reply as number or string; 0 and "" if it is none. */
int64_t im_redis_reply_int(redisReply *reply, ngx_uint_t i);
void im_redis_reply_str(redisReply *reply, ngx_uint_t i, ngx_str_t *s);


/*
 * Connections, for im_node only: that for commands and that of the bus.
 */

typedef struct im_redis_conn_s  im_redis_conn_t;

struct im_redis_conn_s {
    const char           *name;
    /* credentials are accepted */
    void                (*up)(im_redis_conn_t *conn);
    /* called once for each time it was up, before replies are given up */
    void                (*down)(im_redis_conn_t *conn);

    im_redis_addr_t      *addr;
    redisAsyncContext    *ac;
    ngx_connection_t     *c;
    ngx_event_t           flush;     /* posted: write what is queued */
    ngx_event_t           timer;     /* connecting, or pause before it */
    unsigned              is_up:1;
    unsigned              wanted:1;
    unsigned              flushing:1;
    unsigned              told:1;    /* that it is down */
    unsigned              leads:1;   /* goes to the next address */
    unsigned              refused:1; /* and is left for that */
    ngx_uint_t            tries;     /* since it was up */
    ngx_uint_t            refusals;
    ngx_msec_t            since;     /* it is up */
    ngx_uint_t            server;    /* im_redis_server() of its address */
    char                  why[128];
};

/* Connects, and again whenever it breaks, until im_redis_close(). */
void im_redis_connect(im_redis_conn_t *conn);
/* Does not wait for the next try. */
void im_redis_hurry(im_redis_conn_t *conn);
void im_redis_close(im_redis_conn_t *conn);
/* Ends it, to be connected again after a pause; from event handlers. */
void im_redis_break(im_redis_conn_t *conn, const char *why);
/* Writes what is queued. */
void im_redis_flush(im_redis_conn_t *conn);

/*
 * 1: the server refuses all calls with this error (it is a replica, is full,
 * loads, ...), the connection is to be ended; conn->why tells the reason.
 */
ngx_uint_t im_redis_refuses(im_redis_conn_t *conn, redisReply *reply);

/* Another number when the connection for commands goes to another server, or
 * its server was left because it refuses calls. */
ngx_uint_t im_redis_server(void);

void im_redis_conn_init(im_redis_conf_t *conf);


extern ngx_uint_t  im_redis_on;
extern ngx_uint_t  im_redis_is_up;


#endif /* _IM_REDIS_H_INCLUDED_ */
