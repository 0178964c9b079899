
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_API_H_INCLUDED_
#define _IM_API_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_schema.h"
#include "core/im_error.h"
#include "core/im_poll.h"


/* Who may call a row. */

#define IM_BY_ADMIN  1               /* administrator, REST */
#define IM_BY_SELF   2               /* ordinary user in the REST form */
#define IM_BY_USER   4               /* session of a web SDK */
#define IM_BY_GUEST  8               /* nobody: noauth services */
#define IM_BY_ANY    16              /* a frame without any login */


/* How a row is run. */

#define IM_ONCE      1               /* creates something: the answer to
                                        (instance, seq) is kept for 60 s */
#define IM_NO_RATE   2               /* exempt from the REST rate */
#define IM_NO_BODY   4               /* an empty body is as good as {} */
#define IM_RATE_GROUP    8           /* over the REST rate: 10006 */
#define IM_RATE_MESSAGE  16          /* over the REST rate: 10023 */
#define IM_BOUNDED       32          /* an answer over 1 MiB: 10018 */
#define IM_IN_ORDER      64          /* takes effect in the order in which
                                        frames of a connection came that have
                                        the same value of the first field */


typedef im_code_t (*im_command_pt)(im_ctx_t *ctx, void *data);

typedef struct {
    ngx_str_t          service;
    ngx_str_t          name;
    im_command_pt      handler;
    ngx_uint_t         by;
    im_field_t        *fields;       /* NULL: the handler reads ctx->body */
    size_t             size;         /* of the struct that fields fill */
    ngx_uint_t         rate;         /* REST calls a second, 0: the app's */
    ngx_uint_t         flags;
} im_command_t;

#define im_null_command                                                       \
    { ngx_null_string, ngx_null_string, NULL, 0, NULL, 0, 0, 0 }


typedef struct im_api_row_s  im_api_row_t;


/* A call in the REST form, or of web SDK 1.7, as the transport has it. */

typedef struct {
    ngx_str_t          service;
    ngx_str_t          command;
    im_api_row_t      *row;          /* of im_api_find(), by im_api_call() */
    ngx_str_t          args;         /* query string, raw */
    ngx_str_t          body;
    ngx_str_t          ip;
    ngx_uint_t         version;      /* of /v1/, /v3/, /v4/ */
    im_poll_t         *park;         /* set with NGX_AGAIN */
    im_shared_t       *tail;         /* the end of the answer, behind out;
                                        lives as long as the pool; NULL: out
                                        is all of it */
    ngx_uint_t         status;       /* of HTTP, to be sent instead of the
                                        answer; 0: none */
} im_call_t;


/*
 * Runs a call from the query string to the answer: application, caller and
 * credentials, rate, JSON, rights, fields, handler (order of checks:
 * specification, rest-basics.md 1.2).  In a coroutine.  Renders the envelope
 * into out on pool; NGX_ERROR: no memory.  NGX_AGAIN: the command has parked,
 * its ctx lives on the pool; the transport calls im_poll_start(), and when
 * the poll is over, in a new coroutine, im_api_resume(), which answers alike.
 */
ngx_int_t im_api_call(ngx_pool_t *pool, ngx_log_t *log, im_call_t *call,
    ngx_str_t *out);
ngx_int_t im_api_resume(ngx_pool_t *pool, ngx_log_t *log, im_call_t *call,
    ngx_str_t *out);

/* The envelope of an error that the transport itself found. */
ngx_int_t im_api_refuse(ngx_pool_t *pool, im_code_t code, ngx_str_t *out);

/*
 * The part behind the credentials: rights, fields, handler.  ctx has role,
 * user and body, row is what im_api_find() has told; returns the code of the
 * answer, whose members are in ctx->reply.
 */
im_code_t im_api_run(im_ctx_t *ctx, ngx_str_t *service, im_api_row_t *row);

/* Adds ActionStatus, ErrorCode and ErrorInfo to ctx->reply. */
void im_api_envelope(im_ctx_t *ctx, im_code_t code);


/* Code of a service for a condition that is not a command's own; an unknown
 * service gets the front end's. */

typedef enum {
    IM_SVC_JSON = 0,                 /* body is no JSON object */
    IM_SVC_ADMIN,                    /* administrator right missing */
    IM_SVC_INTERNAL,
    IM_SVC_BUSY,
    IM_SVC_UNKNOWN,                  /* no such command */
    IM_SVC_OTHER                     /* another account than the caller */
} im_svc_e;

im_code_t im_api_svc_code(ngx_str_t *service, im_svc_e what);


#endif /* _IM_API_H_INCLUDED_ */
