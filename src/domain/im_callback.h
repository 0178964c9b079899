
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CALLBACK_H_INCLUDED_
#define _IM_CALLBACK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "domain/im_group_join.h"
#include "domain/im_group_message.h"
#include "domain/im_message.h"


/*
 * Third-party callbacks: what the server asks and tells the app's own back
 * end.
 */

typedef enum {
    IM_CB_STATE = 0,
    IM_CB_C2C_BEFORE,
    IM_CB_C2C_AFTER,
    IM_CB_C2C_RECALL,
    IM_CB_GROUP_BEFORE_CREATE,
    IM_CB_GROUP_AFTER_CREATE,
    IM_CB_GROUP_BEFORE_JOIN,
    IM_CB_GROUP_BEFORE_INVITE,
    IM_CB_GROUP_JOINED,
    IM_CB_GROUP_EXITED,
    IM_CB_GROUP_FULL,
    IM_CB_GROUP_BEFORE_SEND,
    IM_CB_GROUP_AFTER_SEND,
    IM_CB_GROUP_DESTROYED,
    IM_CB_GROUP_INFO,
    IM_CB_GROUP_RECALL,
    IM_CB_GROUP_OWNER,
    IM_CB_PREV_FRIEND_ADD,
    IM_CB_PREV_RESPONSE,
    IM_CB_FRIEND_ADD,
    IM_CB_FRIEND_DELETE,
    IM_CB_BLACK_ADD,
    IM_CB_BLACK_DELETE,
    IM_CB_PROFILE,
    IM_CB_C2C_READ,
    IM_CB_GROUP_REFUSED,
    IM_CB_GROUP_MEMBER,
    IM_CB_GROUP_ATTR,
    IM_CB_GROUP_RECEIPT,
    IM_CB_GROUP_SILENT,
    IM_CALLBACKS
} im_callback_e;


/* What the client needs of one callback. */

typedef struct {
    im_app_t          *app;
    ngx_str_t         *command;
    ngx_str_t          body;         /* JSON */
    ngx_str_t          ip;
    char              *platform;     /* OptPlatform; empty: neither */
    ngx_str_t          id;           /* of a delivery, or empty */
} im_callback_call_t;


/* What is added to a body when it is sent, since it is known then only. */

typedef struct {
    int64_t            gno;          /* of the group, 0: none */
    ngx_str_t          dk;           /* of its message: MsgSeq, MsgTime */
    ngx_str_t          unread;       /* account: UnreadMsgNum; empty: nothing */
} im_callback_late_t;


/* Filled in by client/im_callback_client.c at start. */

typedef struct {
    /* Suspends.  NGX_OK: HTTP status 200, and the answer; NGX_BUSY, NGX_ERROR:
     * none, which is counted and logged; NGX_DECLINED: it was not sent for
     * a limit, which is counted. */
    ngx_int_t        (*ask)(im_ctx_t *ctx, im_callback_call_t *call,
                            im_json_t **answer);

    /* Queues; calls with the same lane keep their order. */
    void             (*tell)(im_callback_call_t *call, ngx_str_t *lane);

    /* The app has another URL. */
    void             (*changed)(im_app_t *app);
} im_callback_client_t;

extern im_callback_client_t  *im_callback_client;


/* The verdict of a before-callback. */

typedef struct {
    im_json_t         *answer;       /* NULL: nothing was asked, or no answer */
    unsigned           waited:1;     /* what was checked may have changed */
    unsigned           drop:1;       /* success to the caller, nothing sent */
} im_verdict_t;


/* The number of a name, or IM_CALLBACKS. */
ngx_uint_t im_callback_find(ngx_str_t *name);
ngx_str_t *im_callback_name(ngx_uint_t event);

/* 1: the app wants this one. */
ngx_uint_t im_callback_wants(im_app_t *app, im_callback_e event);

/* Milliseconds that asking takes at most. */
ngx_msec_t im_callback_time(im_app_t *app, im_callback_e event);

/* A body on ctx->pool that the caller adds to. */
im_json_t *im_callback_body(im_ctx_t *ctx, im_callback_e event);

/* IM_OK or the code that refuses. */
im_code_t im_callback_ask(im_ctx_t *ctx, im_callback_e event,
    im_json_t *body, im_verdict_t *verdict);

/* Needs of ctx only app, pool, log, via, platform, ip; never suspends. */
void im_callback_tell(im_ctx_t *ctx, im_callback_e event, im_json_t *body,
    ngx_str_t *lane);

/* The same of a body that is completed later; late may be NULL. */
void im_callback_tell_late(im_ctx_t *ctx, im_callback_e event,
    im_json_t *body, ngx_str_t *lane, im_callback_late_t *late);

/* With retry=on callbacks are kept until they are answered. */
#define im_callback_kept(app)  ((app)->callback && (app)->callback->retry)

/*
 * What im_callback_tell() is given between these two is part of the commit
 * of the batch, which follows, if callbacks are kept, and is told when the
 * commit was done (rc: of it) in either case.  Nothing returns in between.
 */
void im_callback_stage(im_ctx_t *ctx, struct im_batch_s *batch);
void im_callback_committed(im_ctx_t *ctx, ngx_int_t rc);

/* NGX_OK: an object with an integer ErrorCode. */
ngx_int_t im_callback_parse(ngx_pool_t *pool, ngx_str_t *text,
    im_json_t **answer);

/*
 * Replaces body and cloud by what the answer has; rest: the rules of a
 * message.  IM_OK, or what the app has chosen for an answer that is wrong.
 */
im_code_t im_callback_rewrite(im_ctx_t *ctx, im_callback_e event,
    im_verdict_t *verdict, ngx_uint_t group, ngx_str_t *body,
    ngx_str_t *cloud);


/*
 * The events.
 */

#define IM_FORBID_BEFORE  1
#define IM_FORBID_AFTER   2

/* Bits for a list ForbidCallbackControl, which may be NULL. */
ngx_uint_t im_callback_forbid(im_json_t *list);

/* Asks, and rewrites; msg has time and mseq. */
im_code_t im_callback_c2c_before(im_ctx_t *ctx, im_message_t *msg,
    ngx_uint_t *waited);
void im_callback_c2c_after(im_ctx_t *ctx, im_message_t *msg, im_code_t code);
void im_callback_c2c_recall(im_ctx_t *ctx, ngx_str_t *from, ngx_str_t *to,
    im_msg_key_t *key);
/* unread: of all conversations of the user, -1: it is counted later */
void im_callback_c2c_read(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    int64_t time, int64_t unread);

/* Before the commit of the message, if callbacks are kept; dk: its key. */
void im_callback_group_sent(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, ngx_str_t *dk);

im_code_t im_callback_group_before_send(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, im_verdict_t *verdict);
void im_callback_group_after_send(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send);

/* The message was refused, or dropped by the limiter, with that code. */
void im_callback_group_refused(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, im_code_t code);

/* members: list of objects with Member_Account, or NULL. */
im_code_t im_callback_group_before_create(im_ctx_t *ctx, im_group_t *group,
    im_json_t *members);
void im_callback_group_after_create(im_ctx_t *ctx, im_group_t *group,
    im_json_t *members, im_json_t *custom);
im_code_t im_callback_group_before_join(im_ctx_t *ctx, im_group_t *group,
    ngx_uint_t *waited);

/* Those of the n accounts whose result is IM_JOIN_ADDED are asked about; who
 * is refused has IM_JOIN_FAILED then. */
im_code_t im_callback_group_before_invite(im_ctx_t *ctx, im_group_t *group,
    im_group_new_t *fresh, ngx_uint_t n, ngx_uint_t *waited);

/* "Apply" or "Invited" */
void im_callback_group_joined(im_ctx_t *ctx, im_group_t *group,
    const char *how, ngx_str_t *users, ngx_uint_t n);
/* "Quit" or "Kicked" */
void im_callback_group_exited(im_ctx_t *ctx, im_group_t *group,
    const char *how, ngx_str_t *users, ngx_uint_t n);
void im_callback_group_full(im_ctx_t *ctx, im_group_t *group);
/* users: the first IM_CALLBACK_MEMBERS of them, or more */
#define IM_CALLBACK_MEMBERS  10000

void im_callback_group_destroyed(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *users, ngx_uint_t n);
/* old: the owner before */
void im_callback_group_owner(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *old, ngx_str_t *user);
void im_callback_group_recall(im_ctx_t *ctx, im_group_t *group,
    int64_t *seqs, ngx_uint_t n);
/* info: MsgGroupNewInfo of the tip; custom: fields that have changed. */
void im_callback_group_info(im_ctx_t *ctx, im_group_t *group,
    im_json_t *info, im_json_t *custom);
/* role, card: what has changed, or NULL */
void im_callback_group_member(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *user, ngx_str_t *role, ngx_str_t *card);
/* list: attributes that were given, as {key, value}, or NULL */
void im_callback_group_attr(im_ctx_t *ctx, im_group_t *group,
    const char *option, im_json_t *list);
/* The caller has told that he has read a message. */
void im_callback_group_receipt(im_ctx_t *ctx, im_group_t *group,
    int64_t seq, int64_t read, int64_t unread);
/* The member of a live room has lost his connection a while ago, or is back. */
void im_callback_group_silent(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *user, ngx_uint_t online);


typedef enum {
    IM_STATE_LOGIN = 0,
    IM_STATE_LOGOUT,
    IM_STATE_LOST,                   /* the connection has gone */
    IM_STATE_TIMEOUT
} im_state_e;

/* kicked: platforms of the instances that the login has ended. */
void im_callback_state(im_app_t *app, ngx_str_t *user, ngx_uint_t platform,
    ngx_str_t *ip, im_state_e state, ngx_uint_t *kicked, ngx_uint_t n);


#endif /* _IM_CALLBACK_H_INCLUDED_ */
