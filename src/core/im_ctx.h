
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CTX_H_INCLUDED_
#define _IM_CTX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_code.h"
#include "core/im_json.h"
#include "core/im_shared.h"
#include "core/ngx_im_module.h"


typedef enum {
    IM_ROLE_NONE = 0,
    IM_ROLE_GUEST,
    IM_ROLE_USER,
    IM_ROLE_ADMIN
} im_role_e;


typedef enum {
    IM_VIA_REST = 0,                 /* identifier and usersig on the URL */
    IM_VIA_WEB,                      /* web SDK 2.x frames */
    IM_VIA_POLL,                     /* web SDK 1.7: tinyid and a2 on the URL */
    IM_VIA_JOB                       /* the server itself */
} im_via_e;


typedef struct im_peer_s  im_peer_t;
typedef struct im_poll_s  im_poll_t;
typedef struct im_lane_s  im_lane_t;


/*
 * One running command: who calls, the memory that dies with it, the answer.
 * A function that takes it may suspend the coroutine that it runs in.
 */
typedef struct {
    ngx_pool_t        *pool;
    ngx_log_t         *log;
    im_app_t          *app;

    im_via_e           via;
    im_role_e          role;
    ngx_str_t          user;         /* account of the caller, empty: guest */
    ngx_uint_t         platform;     /* IM_PLATFORM_*, 0: a back end */
    uint32_t           inst;         /* login instance, 0: none */
    int64_t            expire;       /* second of the credentials' end */
    ngx_str_t          tinyid;       /* of user, decimal; empty: not known */
    ngx_str_t          ip;           /* of the client, as text */

    uint64_t           peer;         /* im_peer_get() of it, 0: no connection */
    im_lane_t         *lane;         /* its place among those of the peer,
                                        NULL: it has none */

    im_json_t         *head;         /* of a frame of the web SDK 2.x */
    im_json_t         *body;         /* parsed request, an object */
    im_json_t         *reply;        /* answer, an object on the pool */
    im_shared_t       *tail;         /* of a call by HTTP: ends the answer in
                                        place of its last brace, lives as long
                                        as the pool; NULL: none */
    ngx_str_t          event;        /* item of EventArray that the connection
                                        gets before the answer */
    im_poll_t         *park;         /* no answer yet: im_poll_park() */
    ngx_str_t          info;         /* ErrorInfo, not the code's text */
    ngx_uint_t         status;       /* of HTTP, instead of an answer */

    struct im_batch_s *cause;        /* whose commit callbacks wait for */
    struct im_callback_held_s *held; /* those that do */

    void              *fields;       /* custom ones, read by this command */
    unsigned           staging:1;    /* callbacks wait for cause */
    unsigned           no_reply:1;   /* the command is never answered */
    unsigned           some_error:1; /* ActionStatus "SomeError" */
} im_ctx_t;


#endif /* _IM_CTX_H_INCLUDED_ */
