
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "core/im_worker.h"
#include "domain/im_callback.h"
#include "domain/im_callback_late.h"
#include "domain/im_elem.h"
#include "domain/im_outbox.h"
#include "domain/im_platform.h"


/* Codes that the app may give to the caller. */

#define im_callback_passes(code)                                              \
    (((code) >= 120001 && (code) <= 130000)                                   \
     || ((code) >= 10100 && (code) <= 10200))


/* They may have been switched off while it was asked. */

#define im_callback_refuses(app)  ((app)->callback && (app)->callback->refuse)


typedef struct {
    ngx_str_t          name;
    im_code_t          refuse;       /* 0: it is told, not asked */
    im_code_t          down;         /* no answer, and the app refuses then */
    unsigned           drop:1;       /* verdict 2 */
    unsigned           text:1;       /* EventTime is a string */
    unsigned           bare:1;       /* no ClientIP, no OptPlatform */
} im_callback_row_t;


/* One that waits for the commit of its cause. */

typedef struct im_callback_held_s  im_callback_held_t;

struct im_callback_held_s {
    im_callback_call_t   call;
    ngx_str_t            lane;
    im_callback_late_t   late;
    im_callback_held_t  *next;
    unsigned             is_late:1;
    unsigned             kept:1;     /* it is in the commit */
};


static void im_callback_send(im_callback_call_t *call, ngx_str_t *lane,
    im_callback_late_t *late);
static char *im_callback_platform(im_ctx_t *ctx);
static ngx_int_t im_callback_call(im_ctx_t *ctx, im_callback_e event,
    im_json_t *body, im_callback_call_t *call);
static ngx_int_t im_callback_init_conf(ngx_conf_t *cf, im_conf_t *conf);


im_callback_client_t  *im_callback_client;


static im_callback_row_t  im_callback_rows[] = {

    /* IM_CB_STATE */
    { ngx_string("State.StateChange"), 0, 0, 0, 0, 0 },

    /* IM_CB_C2C_BEFORE */
    { ngx_string("C2C.CallbackBeforeSendMsg"),
      IM_E_MSG_CALLBACK, IM_E_CALLBACK_DOWN, 0, 0, 0 },

    /* IM_CB_C2C_AFTER */
    { ngx_string("C2C.CallbackAfterSendMsg"), 0, 0, 0, 0, 0 },

    /* IM_CB_C2C_RECALL */
    { ngx_string("C2C.CallbackAfterMsgWithDraw"), 0, 0, 0, 0, 0 },

    /* IM_CB_GROUP_BEFORE_CREATE */
    { ngx_string("Group.CallbackBeforeCreateGroup"),
      IM_E_GROUP_CALLBACK, IM_E_GROUP_INTERNAL, 0, 0, 0 },

    /* IM_CB_GROUP_AFTER_CREATE */
    { ngx_string("Group.CallbackAfterCreateGroup"), 0, 0, 0, 0, 0 },

    /* IM_CB_GROUP_BEFORE_JOIN */
    { ngx_string("Group.CallbackBeforeApplyJoinGroup"),
      IM_E_GROUP_CALLBACK, IM_E_GROUP_INTERNAL, 0, 0, 0 },

    /* IM_CB_GROUP_BEFORE_INVITE */
    { ngx_string("Group.CallbackBeforeInviteJoinGroup"),
      IM_E_GROUP_CALLBACK, IM_E_GROUP_INTERNAL, 0, 0, 0 },

    /* IM_CB_GROUP_JOINED */
    { ngx_string("Group.CallbackAfterNewMemberJoin"), 0, 0, 0, 0, 0 },

    /* IM_CB_GROUP_EXITED */
    { ngx_string("Group.CallbackAfterMemberExit"), 0, 0, 0, 0, 0 },

    /* IM_CB_GROUP_FULL */
    { ngx_string("Group.CallbackAfterGroupFull"), 0, 0, 0, 0, 0 },

    /* IM_CB_GROUP_BEFORE_SEND */
    { ngx_string("Group.CallbackBeforeSendMsg"),
      IM_E_GROUP_CALLBACK, IM_E_CALLBACK_DOWN, 1, 0, 0 },

    /* IM_CB_GROUP_AFTER_SEND */
    { ngx_string("Group.CallbackAfterSendMsg"), 0, 0, 0, 0, 0 },

    /* IM_CB_GROUP_DESTROYED */
    { ngx_string("Group.CallbackAfterGroupDestroyed"), 0, 0, 0, 0, 0 },

    /* IM_CB_GROUP_INFO */
    { ngx_string("Group.CallbackAfterGroupInfoChanged"), 0, 0, 0, 0, 0 },

    /* IM_CB_GROUP_RECALL */
    { ngx_string("Group.CallbackAfterRecallMsg"), 0, 0, 0, 1, 0 },

    /* IM_CB_GROUP_OWNER */
    { ngx_string("Group.CallbackAfterChangeGroupOwner"), 0, 0, 0, 0, 0 },

    /* IM_CB_PREV_FRIEND_ADD: verdicts are the accounts' */
    { ngx_string("Sns.CallbackPrevFriendAdd"), 0, IM_E_SNS_INTERNAL, 0, 0, 0 },

    /* IM_CB_PREV_RESPONSE */
    { ngx_string("Sns.CallbackPrevFriendResponse"),
      0, IM_E_SNS_INTERNAL, 0, 0, 0 },

    /* IM_CB_FRIEND_ADD */
    { ngx_string("Sns.CallbackFriendAdd"), 0, 0, 0, 0, 0 },

    /* IM_CB_FRIEND_DELETE */
    { ngx_string("Sns.CallbackFriendDelete"), 0, 0, 0, 0, 0 },

    /* IM_CB_BLACK_ADD */
    { ngx_string("Sns.CallbackBlackListAdd"), 0, 0, 0, 0, 0 },

    /* IM_CB_BLACK_DELETE */
    { ngx_string("Sns.CallbackBlackListDelete"), 0, 0, 0, 0, 0 },

    /* IM_CB_PROFILE */
    { ngx_string("Profile.CallbackPortraitSet"), 0, 0, 0, 0, 0 },

    /* IM_CB_C2C_READ */
    { ngx_string("C2C.CallbackAfterMsgReport"), 0, 0, 0, 0, 0 },

    /* IM_CB_GROUP_REFUSED */
    { ngx_string("Group.CallbackSendMsgException"), 0, 0, 0, 0, 0 },

    /* IM_CB_GROUP_MEMBER */
    { ngx_string("Group.CallbackAfterMemberFieldChanged"), 0, 0, 0, 0, 0 },

    /* IM_CB_GROUP_ATTR */
    { ngx_string("Group.CallbackAfterGroupAttrChanged"), 0, 0, 0, 0, 0 },

    /* IM_CB_GROUP_RECEIPT */
    { ngx_string("Group.CallbackAfterReadReceipt"), 0, 0, 0, 0, 0 },

    /* IM_CB_GROUP_SILENT */
    { ngx_string("Group.CallbackOnMemberStateChange"), 0, 0, 0, 0, 1 }
};


im_worker_hook_t  im_callback_hook = {
    ngx_string("callbacks"),
    im_callback_init_conf,
    NULL,
    NULL,
    NULL
};


ngx_uint_t
im_callback_find(ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < IM_CALLBACKS; i++) {
        if (im_str_eq(&im_callback_rows[i].name, name)) {
            break;
        }
    }

    return i;
}


ngx_str_t *
im_callback_name(ngx_uint_t event)
{
    return &im_callback_rows[event].name;
}


ngx_uint_t
im_callback_wants(im_app_t *app, im_callback_e event)
{
    return app->callback && (app->callback->events & (uint64_t) 1 << event);
}


ngx_msec_t
im_callback_time(im_app_t *app, im_callback_e event)
{
    return im_callback_wants(app, event) ? app->callback->timeout : 0;
}


im_json_t *
im_callback_body(im_ctx_t *ctx, im_callback_e event)
{
    u_char       text[NGX_INT64_LEN];
    int64_t      now;
    ngx_str_t    s;
    im_json_t   *body;
    ngx_time_t  *tp;

    tp = ngx_timeofday();
    now = (int64_t) tp->sec * 1000 + tp->msec;

    body = im_json_new_obj(ctx->pool);

    im_json_add_str(body, "CallbackCommand", &im_callback_rows[event].name);

    if (im_callback_rows[event].text) {
        s.data = text;
        s.len = ngx_sprintf(text, "%L", now) - text;

        if (im_str_dup(ctx->pool, &s, &s) == NGX_OK) {
            im_json_add_str(body, "EventTime", &s);
        }

        return body;
    }

    im_json_add_int(body, "EventTime", now);

    return body;
}


im_code_t
im_callback_ask(im_ctx_t *ctx, im_callback_e event, im_json_t *body,
    im_verdict_t *verdict)
{
    int64_t              code;
    ngx_int_t            rc;
    im_callback_row_t   *row;
    im_callback_call_t   call;

    ngx_memzero(verdict, sizeof(im_verdict_t));

    row = &im_callback_rows[event];

    rc = im_callback_call(ctx, event, body, &call);

    if (rc == NGX_OK) {
        verdict->waited = 1;
        rc = im_callback_client->ask(ctx, &call, &verdict->answer);
    }

    if (rc != NGX_OK) {
        verdict->answer = NULL;
        return im_callback_refuses(ctx->app) ? row->down : IM_OK;
    }

    code = 0;
    (void) im_json_get_int(verdict->answer, "ErrorCode", &code);

    if (code == 0) {
        return IM_OK;
    }

    im_stat_add(IM_STAT_CB_REFUSED, 1);

    if (code == 2 && row->drop) {
        verdict->drop = 1;
        return IM_OK;
    }

    if (im_callback_passes(code)) {
        (void) im_json_get_str(verdict->answer, "ErrorInfo", &ctx->info);
        return code;
    }

    return row->refuse;
}


void
im_callback_tell(im_ctx_t *ctx, im_callback_e event, im_json_t *body,
    ngx_str_t *lane)
{
    im_callback_tell_late(ctx, event, body, lane, NULL);
}


void
im_callback_tell_late(im_ctx_t *ctx, im_callback_e event, im_json_t *body,
    ngx_str_t *lane, im_callback_late_t *late)
{
    im_callback_call_t   call;
    im_callback_held_t  *held, **last;

    if (im_callback_call(ctx, event, body, &call) != NGX_OK) {
        return;
    }

    if (!ctx->staging) {

        if (im_callback_kept(ctx->app)) {
            im_outbox_add(&call, lane, late);

        } else {
            im_callback_send(&call, lane, late);
        }

        return;
    }

    held = ngx_pcalloc(ctx->pool, sizeof(im_callback_held_t));
    if (held == NULL) {
        return;
    }

    held->call = call;

    if (im_str_dup(ctx->pool, &held->lane, lane) != NGX_OK) {
        return;
    }

    if (late) {
        held->late = *late;
        held->is_late = 1;
    }

    if (im_callback_kept(ctx->app)) {
        im_outbox_put(ctx, ctx->cause, &call, lane, late);
        held->kept = 1;
    }

    for (last = &ctx->held; *last; last = &(*last)->next) { /* void */ }

    *last = held;
}


/* Not kept: it is told now, or when its body is complete. */

static void
im_callback_send(im_callback_call_t *call, ngx_str_t *lane,
    im_callback_late_t *late)
{
    if (late) {
        im_callback_late_add(call, lane, late);

    } else {
        im_callback_client->tell(call, lane);
    }
}


void
im_callback_stage(im_ctx_t *ctx, im_batch_t *batch)
{
    ctx->staging = 1;
    ctx->cause = batch;
    ctx->held = NULL;
}


void
im_callback_committed(im_ctx_t *ctx, ngx_int_t rc)
{
    im_callback_held_t  *held;

    held = ctx->held;

    ctx->staging = 0;
    ctx->cause = NULL;
    ctx->held = NULL;

    if (rc != NGX_OK) {
        return;
    }

    if (held) {
        im_fault("outbox_put");
    }

    for ( /* void */ ; held; held = held->next) {

        if (held->kept) {
            im_outbox_kick(ctx->app, &held->lane);

        } else {
            im_callback_send(&held->call, &held->lane,
                             held->is_late ? &held->late : NULL);
        }
    }
}


static ngx_int_t
im_callback_call(im_ctx_t *ctx, im_callback_e event, im_json_t *body,
    im_callback_call_t *call)
{
    ngx_memzero(call, sizeof(im_callback_call_t));

    call->app = ctx->app;
    call->command = &im_callback_rows[event].name;
    call->platform = "";

    if (!im_callback_rows[event].bare) {
        call->ip = ctx->ip;
        call->platform = im_callback_platform(ctx);
    }

    return im_json_render(ctx->pool, body, &call->body);
}


static char *
im_callback_platform(im_ctx_t *ctx)
{
    if (ctx->via == IM_VIA_REST) {
        return "RESTAPI";
    }

    switch (ctx->platform) {

    case IM_PLATFORM_WINDOWS:
        return "Windows";

    case IM_PLATFORM_ANDROID:
        return "Android";

    case IM_PLATFORM_IPHONE:
        return "iOS";

    case IM_PLATFORM_MAC:
        return "Mac";

    case IM_PLATFORM_WEB:
        return "Web";

    case IM_PLATFORM_IPAD:
        return "IPad";

    default:
        return "Unknown";
    }
}


ngx_int_t
im_callback_parse(ngx_pool_t *pool, ngx_str_t *text, im_json_t **answer)
{
    int64_t    code;
    ngx_int_t  rc;

    rc = im_json_parse(pool, text, IM_JSON_DEPTH, answer);

    if (rc != NGX_OK) {
        return rc;
    }

    return im_json_get_int(*answer, "ErrorCode", &code) == NGX_OK
           ? NGX_OK : NGX_DECLINED;
}


im_code_t
im_callback_rewrite(im_ctx_t *ctx, im_callback_e event,
    im_verdict_t *verdict, ngx_uint_t group, ngx_str_t *body,
    ngx_str_t *cloud)
{
    ngx_int_t   rc;
    ngx_str_t   new_body, new_cloud;
    im_json_t  *node, *list;

    if (verdict->answer == NULL || verdict->drop) {
        return IM_OK;
    }

    new_cloud = *cloud;
    rc = im_json_get_str(verdict->answer, "CloudCustomData", &new_cloud);

    node = im_json_get(verdict->answer, "MsgBody");

    if (node == NULL || node->type == IM_JSON_NULL) {

        if (rc == NGX_DECLINED) {
            return IM_OK;
        }

        /* both together are as long as a message may be */

        if (im_json_parse(ctx->pool, body, IM_JSON_DEPTH, &list) != NGX_OK) {
            list = NULL;
        }

    } else {
        list = (node->type == IM_JSON_LIST) ? node : NULL;
    }

    if (rc == NGX_ERROR
        || ngx_strlchr(new_cloud.data, new_cloud.data + new_cloud.len, '\0')
        || im_elem_check(ctx, list, group ? &im_elem_group_rest
                                          : &im_elem_rest,
                         &new_cloud, &new_body)
           != IM_OK)
    {
        ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                      "callback %V has answered with an illegal message",
                      &im_callback_rows[event].name);

        ngx_str_null(&ctx->info);

        return im_callback_refuses(ctx->app) ? im_callback_rows[event].down
                                             : IM_OK;
    }

    *body = new_body;
    *cloud = new_cloud;

    return IM_OK;
}


/* The names of the configuration become bits. */

static ngx_int_t
im_callback_init_conf(ngx_conf_t *cf, im_conf_t *conf)
{
    im_app_t            *app;
    ngx_str_t           *name;
    ngx_uint_t           i, k, n;
    im_callback_conf_t  *cb;

    app = conf->apps.elts;

    for (i = 0; i < conf->apps.nelts; i++) {

        cb = app[i].callback;

        if (cb == NULL) {
            continue;
        }

        name = cb->commands.elts;

        for (k = 0; k < cb->commands.nelts; k++) {

            if (im_str_eq_c(&name[k], "all")) {
                cb->events = ((uint64_t) 1 << IM_CALLBACKS) - 1;
                continue;
            }

            n = im_callback_find(&name[k]);

            if (n == IM_CALLBACKS) {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "unknown callback \"%V\" of app %ui",
                              &name[k], app[i].id);
                return NGX_ERROR;
            }

            cb->events |= (uint64_t) 1 << n;
        }
    }

    return NGX_OK;
}
