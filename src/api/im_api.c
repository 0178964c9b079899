
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_hist.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "core/im_worker.h"
#include "live/im_zone.h"
#include "domain/im_account.h"
#include "domain/im_callback_conf.h"
#include "domain/im_login.h"
#include "api/im_api.h"
#include "api/im_cmd.h"


#define IM_API_BUCKETS   1024
#define IM_API_ARG_MAX   8192
#define IM_API_ANSWER_MAX  (1024 * 1024)

#define IM_API_METRIC_LEN  192
#define IM_API_UNKNOWN     1         /* in place of a hash */


typedef struct im_api_row_s  im_api_row_t;

struct im_api_row_s {
    im_command_t      *command;
    uint32_t           hash;         /* names the command in the metrics */
    im_api_row_t      *next;
};


typedef struct {
    ngx_str_t          sdkappid;
    ngx_str_t          identifier;
    ngx_str_t          usersig;
    ngx_str_t          accesstoken;
    ngx_str_t          random;
    ngx_str_t          contenttype;
    ngx_str_t          a2;
    ngx_str_t          tinyid;
    ngx_str_t          page;
} im_api_args_t;


typedef struct {
    ngx_str_t          name;
    size_t             offset;
} im_api_arg_t;


typedef struct {
    ngx_str_t          name;
    im_code_t          codes[6];     /* by im_svc_e */
    unsigned           display:1;    /* answers have ErrorDisplay */
} im_api_service_t;


static ngx_int_t im_api_answer(im_ctx_t *ctx, im_call_t *call, im_code_t code,
    ngx_str_t *out);
static im_code_t im_api_check(im_ctx_t *ctx, im_call_t *call,
    im_api_args_t *args);
static im_code_t im_api_no_body(im_ctx_t *ctx, im_api_args_t *args);
static im_code_t im_api_app(im_ctx_t *ctx, im_api_args_t *args);
static im_code_t im_api_rate(im_ctx_t *ctx, im_call_t *call,
    im_api_row_t *row);
static im_code_t im_api_caller(im_ctx_t *ctx, im_call_t *call,
    im_api_args_t *args);
static im_code_t im_api_session(im_ctx_t *ctx, im_api_args_t *args);
static ngx_int_t im_api_parse_args(ngx_pool_t *pool, ngx_str_t *text,
    im_api_args_t *args);
static u_char *im_api_chr(u_char *p, u_char *last, u_char c);
static uint32_t im_api_hash(ngx_str_t *service, ngx_str_t *command);
static im_api_row_t *im_api_by_hash(uint32_t hash);
static im_api_row_t *im_api_find(ngx_str_t *service, ngx_str_t *command);
static im_command_t *im_api_command(im_ctx_t *ctx, ngx_str_t *service,
    ngx_str_t *command);
static im_api_service_t *im_api_service(ngx_str_t *service);
static ngx_uint_t im_api_by(im_ctx_t *ctx);


static im_command_t  *im_api_tables[] = {
    im_cmd_im_open_login_svc,
    im_cmd_status,
    im_cmd_config,
    im_cmd_callback,
    im_cmd_profile,
    im_cmd_sns,
    im_cmd_sns_group,
    im_cmd_sns_list,
    im_cmd_sns_check,
    im_cmd_sns_recommend,
    im_cmd_user_status,
    im_cmd_custom_field,
    im_cmd_dirty_words,
    im_cmd_openim,
    im_cmd_openim_history,
    im_cmd_web_openim,
    im_cmd_web_message,
    im_cmd_web_status,
    im_cmd_group,
    im_cmd_group_info,
    im_cmd_group_member,
    im_cmd_group_join,
    im_cmd_group_invite,
    im_cmd_group_msg,
    im_cmd_group_history,
    im_cmd_group_import,
    im_cmd_group_attr,
    im_cmd_group_room,
    im_cmd_web_room,
    im_cmd_recentcontact,
    im_cmd_msg_ext,
    im_cmd_media,
    NULL
};


#define im_api_group_codes                                                    \
    { IM_E_GROUP_JSON, IM_E_GROUP_RIGHT, IM_E_GROUP_INTERNAL,                 \
      IM_E_GROUP_INTERNAL, IM_E_GROUP_COMMAND, IM_E_GROUP_RIGHT }

static im_api_service_t  im_api_services[] = {

    { ngx_string("im_open_login_svc"),
      { IM_E_LOGIN_PARAM, IM_E_LOGIN_ADMIN, IM_E_LOGIN_INTERNAL,
        IM_E_LOGIN_BUSY, IM_E_NO_COMMAND, IM_E_SIG_USER }, 0 },

    { ngx_string("registration_service"),
      { IM_E_REGISTER_FORMAT, IM_E_REGISTER_ADMIN, IM_E_LOGIN_INTERNAL,
        IM_E_LOGIN_BUSY, IM_E_NO_COMMAND, IM_E_SIG_USER }, 0 },

    { ngx_string("openim"),
      { IM_E_C2C_JSON, IM_E_C2C_ADMIN, IM_E_C2C_INTERNAL, IM_E_C2C_BUSY,
        IM_E_NO_COMMAND, IM_E_SIG_USER }, 0 },

    { ngx_string("all_member_push"),
      { IM_E_C2C_JSON, IM_E_C2C_ADMIN, IM_E_C2C_INTERNAL, IM_E_C2C_BUSY,
        IM_E_NO_COMMAND, IM_E_SIG_USER }, 0 },

    { ngx_string("profile"),
      { IM_E_PROFILE_PARAM, IM_E_PROFILE_ADMIN, IM_E_PROFILE_INTERNAL,
        IM_E_PROFILE_INTERNAL, IM_E_NO_COMMAND, IM_E_PROFILE_ADMIN }, 1 },

    { ngx_string("sns"),
      { IM_E_SNS_PARAM, IM_E_SNS_ADMIN, IM_E_SNS_INTERNAL,
        IM_E_SNS_TIMEOUT, IM_E_NO_COMMAND, IM_E_SNS_ADMIN }, 1 },

    { ngx_string("recentcontact"),
      { IM_E_CONTACT_PARAM, IM_E_CONTACT_ADMIN, IM_E_CONTACT_INTERNAL,
        IM_E_CONTACT_TIMEOUT, IM_E_NO_COMMAND, IM_E_SIG_USER }, 1 },

    { ngx_string("group_open_http_svc"), im_api_group_codes, 0 },
    { ngx_string("group_open_http_noauth_svc"), im_api_group_codes, 0 },
    { ngx_string("group_open_long_polling_http_svc"),
      im_api_group_codes, 0 },
    { ngx_string("group_open_long_polling_http_noauth_svc"),
      im_api_group_codes, 0 },
    { ngx_string("group_open_avchatroom_http_svc"), im_api_group_codes, 0 },
    { ngx_string("group_open_attr_http_svc"), im_api_group_codes, 0 },
    { ngx_string("million_group_open_http_svc"),
      { IM_E_GROUP_JSON, IM_E_GROUP_RIGHT, IM_E_GROUP_INTERNAL,
        IM_E_GROUP_INTERNAL, IM_E_TOPIC_OFF, IM_E_GROUP_RIGHT }, 0 },

    { ngx_string("openim_msg_ext_http_svc"), im_api_group_codes, 0 },
    { ngx_string("openim_dirty_words"), im_api_group_codes, 0 },

    { ngx_string("openconfigsvr"),
      { IM_E_CONF_JSON, IM_E_NOT_ADMIN, IM_E_CONF_INTERNAL,
        IM_E_CONF_INTERNAL, IM_E_NO_COMMAND, IM_E_SIG_USER }, 0 },

    { ngx_string("open_msg_svc"),
      { IM_E_KICKED, IM_E_KICKED, IM_E_HISTORY_INTERNAL,
        IM_E_HISTORY_INTERNAL, IM_E_NO_COMMAND, IM_E_SIG_USER }, 0 },

    /* the front end, for any other */

    { ngx_null_string,
      { IM_E_BODY, IM_E_NOT_ADMIN, IM_E_REQUEST, IM_E_BUSY,
        IM_E_NO_COMMAND, IM_E_SIG_USER }, 0 }
};


static im_api_arg_t  im_api_arg_names[] = {
    { ngx_string("sdkappid"), offsetof(im_api_args_t, sdkappid) },
    { ngx_string("identifier"), offsetof(im_api_args_t, identifier) },
    { ngx_string("usersig"), offsetof(im_api_args_t, usersig) },
    { ngx_string("accesstoken"), offsetof(im_api_args_t, accesstoken) },
    { ngx_string("random"), offsetof(im_api_args_t, random) },
    { ngx_string("contenttype"), offsetof(im_api_args_t, contenttype) },
    { ngx_string("a2"), offsetof(im_api_args_t, a2) },
    { ngx_string("tinyid"), offsetof(im_api_args_t, tinyid) },
    { ngx_string("Page"), offsetof(im_api_args_t, page) },
    { ngx_null_string, 0 }
};


static ngx_int_t im_api_init_module(ngx_cycle_t *cycle, im_conf_t *conf);


im_worker_hook_t  im_api_hook = {
    ngx_string("api"),
    NULL,                                  /* init conf */
    im_api_init_module,                    /* init module */
    NULL,                                  /* init process */
    NULL                                   /* exit process */
};


/* made by the master before its workers, the same in every cycle */

static im_api_row_t  *im_api_buckets[IM_API_BUCKETS];


static ngx_int_t
im_api_init_module(ngx_cycle_t *cycle, im_conf_t *conf)
{
    uint32_t        hash;
    ngx_uint_t      i;
    im_command_t   *cmd;
    im_api_row_t   *row, **last;

    ngx_memzero(im_api_buckets, sizeof(im_api_buckets));

    for (i = 0; im_api_tables[i]; i++) {
        for (cmd = im_api_tables[i]; cmd->handler; cmd++) {

            row = ngx_pcalloc(cycle->pool, sizeof(im_api_row_t));
            if (row == NULL) {
                return NGX_ERROR;
            }

            row->command = cmd;

            hash = im_api_hash(&cmd->service, &cmd->name);

            row->hash = hash;

            last = &im_api_buckets[hash % IM_API_BUCKETS];

            while (*last) {
                last = &(*last)->next;
            }

            *last = row;
        }
    }

    return NGX_OK;
}


ngx_int_t
im_api_call(ngx_pool_t *pool, ngx_log_t *log, im_call_t *call, ngx_str_t *out)
{
    im_ctx_t       *ctx;
    im_code_t       code;
    im_api_args_t   args;

    ctx = ngx_pcalloc(pool, sizeof(im_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->pool = pool;
    ctx->log = log;
    ctx->ip = call->ip;

    ctx->reply = im_json_new_obj(pool);
    if (ctx->reply == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&args, sizeof(im_api_args_t));

    code = im_api_check(ctx, call, &args);

    if (code == IM_OK) {
        code = im_api_run(ctx, &call->service, &call->command);
    }

    return im_api_answer(ctx, call, code, out);
}


ngx_int_t
im_api_resume(ngx_pool_t *pool, ngx_log_t *log, im_call_t *call,
    ngx_str_t *out)
{
    im_ctx_t   *ctx;
    im_code_t   code;
    im_poll_t  *poll;

    poll = call->park;
    ctx = poll->ctx;

    call->park = NULL;
    ctx->park = NULL;

    code = poll->handler(ctx, poll->data, poll->reason);

    return im_api_answer(ctx, call, code, out);
}


static ngx_int_t
im_api_answer(im_ctx_t *ctx, im_call_t *call, im_code_t code, ngx_str_t *out)
{
    if (code == IM_OK && ctx->park) {
        call->park = ctx->park;
        return NGX_AGAIN;
    }

    call->status = ctx->status;

    if (im_api_service(&call->service)->display) {
        im_json_add_cstr(ctx->reply, "ErrorDisplay", "");
    }

    im_api_count(&call->service, &call->command, code);

    im_api_envelope(ctx, code);

    return im_json_render(ctx->pool, ctx->reply, out);
}


ngx_int_t
im_api_refuse(ngx_pool_t *pool, im_code_t code, ngx_str_t *out)
{
    im_ctx_t  ctx;

    ngx_memzero(&ctx, sizeof(im_ctx_t));

    ctx.pool = pool;
    ctx.reply = im_json_new_obj(pool);

    im_api_envelope(&ctx, code);

    return im_json_render(pool, ctx.reply, out);
}


im_code_t
im_api_run(im_ctx_t *ctx, ngx_str_t *service, ngx_str_t *command)
{
    void          *req;
    uint64_t       start;
    im_code_t      code;
    im_command_t  *cmd;

    im_callback_refresh(ctx);

    cmd = im_api_command(ctx, service, command);

    if (cmd == NULL) {
        return im_api_svc_code(service, im_api_find(service, command)
                                        ? IM_SVC_ADMIN : IM_SVC_UNKNOWN);
    }

    req = NULL;

    if (cmd->size) {
        req = ngx_pcalloc(ctx->pool, cmd->size);
        if (req == NULL) {
            return im_api_svc_code(service, IM_SVC_INTERNAL);
        }
    }

    if (cmd->fields) {
        code = im_schema_fill(ctx->pool, ctx->body, cmd->fields, req,
                              &ctx->info);

        if (code == NGX_ERROR) {
            return im_api_svc_code(service, IM_SVC_INTERNAL);
        }

        if (code != IM_OK) {
            return code;
        }
    }

    start = im_hist_now();

    code = cmd->handler(ctx, req);

    if (ctx->park == NULL) {
        im_hist_add(IM_HIST_COMMAND, ctx->app->id,
                    im_api_hash(service, command), im_hist_now() - start);
    }

    if (im_json_failed(ctx->reply)) {
        ctx->reply = im_json_new_obj(ctx->pool);
        return im_api_svc_code(service, IM_SVC_INTERNAL);
    }

    if (code == IM_OK
        && (cmd->flags & IM_BOUNDED)
        && im_json_len(ctx->reply) > IM_API_ANSWER_MAX)
    {
        ctx->reply = im_json_new_obj(ctx->pool);
        return IM_E_GROUP_ANSWER;
    }

    return code;
}


ngx_uint_t
im_api_flags(im_ctx_t *ctx, ngx_str_t *service, ngx_str_t *command)
{
    im_command_t  *cmd;

    cmd = im_api_command(ctx, service, command);

    return cmd ? cmd->flags : 0;
}


void
im_api_envelope(im_ctx_t *ctx, im_code_t code)
{
    static ngx_str_t  empty = ngx_string("");

    if (code == IM_OK) {
        im_json_add_cstr(ctx->reply, "ActionStatus",
                         ctx->some_error ? "SomeError" : "OK");
        im_json_add_int(ctx->reply, "ErrorCode", 0);
        im_json_add_str(ctx->reply, "ErrorInfo", &empty);
        return;
    }

    im_json_add_cstr(ctx->reply, "ActionStatus", "FAIL");
    im_json_add_int(ctx->reply, "ErrorCode", code);
    im_json_add_str(ctx->reply, "ErrorInfo",
                    ctx->info.len ? &ctx->info : im_error_text(code));
}


void
im_api_count(ngx_str_t *service, ngx_str_t *command, im_code_t code)
{
    /* names that do not exist are the callers' choice: one counter */

    im_stat_pair_add(im_api_find(service, command)
                     ? im_api_hash(service, command) : IM_API_UNKNOWN,
                     code);
}


ngx_int_t
im_api_metrics(ngx_pool_t *pool, ngx_str_t *out)
{
    u_char        *p;
    uint32_t       hash, code;
    uint64_t       n;
    ngx_str_t     *service, *name;
    ngx_uint_t     i, pairs;
    im_api_row_t  *row;

    static ngx_str_t  other = ngx_string("other");
    static u_char     type[] = "# TYPE im_commands_total counter\n";

    pairs = 0;

    for (i = 0; i < IM_STAT_PAIRS; i++) {
        if (im_stat_pair(i, &hash, &code, &n) == NGX_OK) {
            pairs++;
        }
    }

    /* others may have been added when the second walk comes by */

    out->data = ngx_pnalloc(pool, sizeof(type) + pairs * IM_API_METRIC_LEN);
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(out->data, type, sizeof(type) - 1);

    for (i = 0; i < IM_STAT_PAIRS && pairs; i++) {

        if (im_stat_pair(i, &hash, &code, &n) != NGX_OK) {
            continue;
        }

        pairs--;

        row = im_api_by_hash(hash);

        service = row ? &row->command->service : &other;
        name = row ? &row->command->name : &other;

        p = ngx_slprintf(p, p + IM_API_METRIC_LEN,
                         "im_commands_total{command=\"%V/%V\",code=\"%uD\"}"
                         " %uL\n", service, name, code, n);
    }

    out->len = p - out->data;

    return NGX_OK;
}


ngx_int_t
im_api_times(ngx_pool_t *pool, ngx_str_t *out)
{
    u_char        *p, labels[IM_API_METRIC_LEN];
    uint32_t       app, hash;
    im_hist_t     *h;
    ngx_str_t     *service, *name;
    ngx_uint_t     i, n;
    im_api_row_t  *row;

    static ngx_str_t  other = ngx_string("other");
    static u_char     type[] = "# TYPE im_command_seconds histogram\n";

    n = 1;

    for (i = 0; i < IM_HIST_MAX; i++) {
        n += (im_hist_get(IM_HIST_COMMAND, i, &app, &hash) != NULL);
    }

    out->data = ngx_pnalloc(pool, sizeof(type)
                            + n * IM_HIST_LINES * (IM_API_METRIC_LEN + 160));
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(out->data, type, sizeof(type) - 1);

    /* others may have been added since */

    for (i = 0; i <= IM_HIST_MAX && n; i++) {

        h = im_hist_get(IM_HIST_COMMAND, i, &app, &hash);
        if (h == NULL) {
            continue;
        }

        n--;

        row = im_api_by_hash(hash);

        service = row ? &row->command->service : &other;
        name = row ? &row->command->name : &other;

        *ngx_slprintf(labels, labels + sizeof(labels) - 1,
                      "app=\"%uD\",command=\"%V/%V\"", app, service, name)
            = '\0';

        p = im_hist_text(p, h, "im_command_seconds", labels);
    }

    out->len = p - out->data;

    return NGX_OK;
}


static im_api_row_t *
im_api_by_hash(uint32_t hash)
{
    im_api_row_t  *row;

    for (row = im_api_buckets[hash % IM_API_BUCKETS]; row; row = row->next) {
        if (row->hash == hash) {
            break;
        }
    }

    return row;
}


im_code_t
im_api_svc_code(ngx_str_t *service, im_svc_e what)
{
    return im_api_service(service)->codes[what];
}


/* The order is that of the specification, rest-basics.md 1.2. */

static im_code_t
im_api_check(im_ctx_t *ctx, im_call_t *call, im_api_args_t *args)
{
    im_code_t      code;
    ngx_int_t      rc;
    im_api_row_t  *row;

    rc = im_api_parse_args(ctx->pool, &call->args, args);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? IM_E_URL : IM_E_REQUEST;
    }

    code = im_api_app(ctx, args);
    if (code != IM_OK) {
        return code;
    }

    row = im_api_find(&call->service, &call->command);
    if (row == NULL) {
        return im_api_svc_code(&call->service, IM_SVC_UNKNOWN);
    }

    ctx->via = args->a2.data ? IM_VIA_POLL : IM_VIA_REST;

    if (ctx->via == IM_VIA_REST) {
        code = im_api_rate(ctx, call, row);
        if (code != IM_OK) {
            return code;
        }
    }

    code = im_api_caller(ctx, call, args);
    if (code != IM_OK) {
        return code;
    }

    if (call->body.len == 0 && (row->command->flags & IM_NO_BODY)) {
        return im_api_no_body(ctx, args);
    }

    rc = im_json_parse(ctx->pool, &call->body, 32, &ctx->body);

    if (rc == NGX_ERROR) {
        return im_api_svc_code(&call->service, IM_SVC_INTERNAL);
    }

    if (rc != NGX_OK || ctx->body->type != IM_JSON_OBJ) {

        code = im_api_svc_code(&call->service, IM_SVC_JSON);

        if (code != IM_E_C2C_JSON) {         /* has a text that is known */
            ngx_str_set(&ctx->info, "the body is not a JSON object");
        }

        return code;
    }

    return IM_OK;
}


/* The body may be left out: what it would have is behind the path. */

static im_code_t
im_api_no_body(im_ctx_t *ctx, im_api_args_t *args)
{
    int64_t  page;

    ctx->body = im_json_new_obj(ctx->pool);

    if (args->page.data) {

        if (im_str_int(&args->page, &page) != NGX_OK) {
            ngx_str_set(&ctx->info, "\"Page\" is not a number");
            return IM_E_URL;
        }

        im_json_add_int(ctx->body, "Page", page);
    }

    return im_json_failed(ctx->body) ? IM_E_REQUEST : IM_OK;
}


static im_code_t
im_api_app(im_ctx_t *ctx, im_api_args_t *args)
{
    uint64_t    id;
    ngx_str_t  *s;

    if (args->sdkappid.len == 0) {
        return IM_E_NO_SDKAPPID;
    }

    if (im_str_uint64(&args->sdkappid, &id) != NGX_OK || id > IM_APP_ID_MAX) {
        return IM_E_SDKAPPID;
    }

    ctx->app = im_conf_app(im_conf(), id);

    if (ctx->app == NULL) {
        return IM_E_SDKAPPID;
    }

    s = &args->random;

    if (s->data
        && (s->len == 0 || s->len > 20
            || strspn((char *) s->data, "0123456789") < s->len))
    {
        ngx_str_set(&ctx->info, "\"random\" is not a number");
        return IM_E_URL;
    }

    s = &args->contenttype;

    if (s->data && !im_str_eq_c(s, "json")) {
        ngx_str_set(&ctx->info, "\"contenttype\" is not \"json\"");
        return IM_E_URL;
    }

    return IM_OK;
}


static im_code_t
im_api_rate(im_ctx_t *ctx, im_call_t *call, im_api_row_t *row)
{
    u_char         key[IM_ZONE_KEY_LEN];
    ngx_str_t      parts[2];
    ngx_uint_t     rate;
    im_command_t  *cmd;

    cmd = row->command;

    if (cmd->flags & IM_NO_RATE) {
        return IM_OK;
    }

    rate = ctx->app->rate;

    if (cmd->rate && rate) {
        rate = ngx_min(cmd->rate, rate);
    }

    parts[0] = cmd->service;
    parts[1] = cmd->name;

    if (rate) {
        im_zone_key(key, ctx->app->id, IM_KEY_RATE, parts, 2);

        if (im_rate_take(key, rate, rate, ngx_current_msec) != NGX_OK) {
            return (cmd->flags & IM_RATE_GROUP) ? IM_E_GROUP_FREQ
                   : (cmd->flags & IM_RATE_MESSAGE) ? IM_E_GROUP_SENDER_FREQ
                   : IM_E_RATE;
        }
    }

    if (ctx->app->rate_app) {
        rate = ctx->app->rate_app;

        im_zone_key(key, ctx->app->id, IM_KEY_RATE, NULL, 0);

        if (im_rate_take(key, rate, rate, ngx_current_msec) != NGX_OK) {
            return IM_E_RATE_APP;
        }
    }

    return IM_OK;
}


/* Who calls: the credentials decide (rest-basics.md 1.0), nothing else. */

static im_code_t
im_api_caller(im_ctx_t *ctx, im_call_t *call, im_api_args_t *args)
{
    int64_t     expire;
    im_code_t   code;
    ngx_str_t  *service;

    static ngx_str_t  noauth = ngx_string("_noauth_svc");

    if (args->a2.data) {
        return im_api_session(ctx, args);
    }

    service = &call->service;

    if (args->identifier.data == NULL && args->usersig.data == NULL) {

        if (service->len > noauth.len
            && ngx_memcmp(service->data + service->len - noauth.len,
                          noauth.data, noauth.len)
               == 0)
        {
            ctx->role = IM_ROLE_GUEST;
            return IM_OK;
        }

        return IM_E_CREDENTIALS;
    }

    if (args->identifier.len == 0) {
        return IM_E_CREDENTIALS;
    }

    if (args->usersig.data == NULL) {
        return IM_E_NO_USERSIG;
    }

    code = im_login_usersig(ctx, &args->identifier, &args->usersig, &expire);
    if (code != IM_OK) {
        return code;
    }

    ctx->user = args->identifier;

    ctx->role = im_account_is_admin(ctx->app, &ctx->user) ? IM_ROLE_ADMIN
                                                          : IM_ROLE_USER;

    return IM_OK;
}


static im_code_t
im_api_session(im_ctx_t *ctx, im_api_args_t *args)
{
    ngx_int_t   rc;
    im_login_t  login;

    rc = im_login_find(ctx, &args->a2, &login);

    if (rc == NGX_DECLINED || (rc == NGX_OK && login.end == IM_END_LOGOUT)) {
        return IM_E_A2;
    }

    if (rc != NGX_OK) {
        return rc == NGX_BUSY ? IM_E_BUSY : IM_E_REQUEST;
    }

    if (login.end == IM_END_KICK) {
        return IM_E_KICKED_V1;
    }

    if (!im_str_eq(&login.tinyid, &args->tinyid)) {
        return IM_E_SIG_USER;
    }

    ctx->user = login.user;
    ctx->tinyid = login.tinyid;
    ctx->inst = login.inst;
    ctx->platform = login.platform;
    ctx->role = IM_ROLE_USER;

    return IM_OK;
}


static ngx_int_t
im_api_parse_args(ngx_pool_t *pool, ngx_str_t *text, im_api_args_t *args)
{
    u_char        *p, *q, *last, *end, *dst, *src, *next;
    ngx_int_t      n;
    ngx_str_t     *value, name;
    im_api_arg_t  *arg;

    p = text->data;
    last = p + text->len;

    if (text->len > IM_API_ARG_MAX) {
        return NGX_DECLINED;
    }

    for ( /* void */ ; p < last; p = end + 1) {

        end = im_api_chr(p, last, '&');
        q = im_api_chr(p, end, '=');

        name.data = p;
        name.len = q - p;

        for (arg = im_api_arg_names; arg->name.len; arg++) {
            if (im_str_eq(&arg->name, &name)) {
                break;
            }
        }

        if (arg->name.len == 0) {
            continue;
        }

        if (q < end) {
            q++;
        }

        value = (ngx_str_t *) ((u_char *) args + arg->offset);

        if (value->data) {
            continue;                        /* the first one counts */
        }

        value->data = ngx_pnalloc(pool, end - q + 1);
        if (value->data == NULL) {
            return NGX_ERROR;
        }

        dst = value->data;

        for (src = q; src < end; src = next + 3) {

            next = im_api_chr(src, end, '%');
            dst = ngx_cpymem(dst, src, next - src);

            if (next == end) {
                break;
            }

            if (end - next < 3) {
                return NGX_DECLINED;
            }

            n = ngx_hextoi(next + 1, 2);
            if (n == NGX_ERROR) {
                return NGX_DECLINED;
            }

            *dst++ = (u_char) n;
        }

        value->len = dst - value->data;
        *dst = '\0';
    }

    if (args->usersig.data == NULL) {
        args->usersig = args->accesstoken;
    }

    return NGX_OK;
}


/* The first such byte, or last. */

static u_char *
im_api_chr(u_char *p, u_char *last, u_char c)
{
    p = memchr(p, c, last - p);

    return p ? p : last;
}


static uint32_t
im_api_hash(ngx_str_t *service, ngx_str_t *command)
{
    uint32_t  hash;

    hash = ngx_crc32_short(service->data, service->len)
           ^ ngx_crc32_short(command->data, command->len);

    return hash ? hash : 1;
}


/* The first row of the bucket that has the name; others may follow. */

static im_api_row_t *
im_api_find(ngx_str_t *service, ngx_str_t *command)
{
    uint32_t       hash;
    im_api_row_t  *row;

    hash = im_api_hash(service, command);

    for (row = im_api_buckets[hash % IM_API_BUCKETS]; row; row = row->next) {

        if (im_str_eq(&row->command->name, command)
            && im_str_eq(&row->command->service, service))
        {
            return row;
        }
    }

    return NULL;
}


/* The row of that name that the caller may use. */

static im_command_t *
im_api_command(im_ctx_t *ctx, ngx_str_t *service, ngx_str_t *command)
{
    ngx_uint_t     by;
    im_command_t  *cmd;
    im_api_row_t  *row;

    by = im_api_by(ctx);

    for (row = im_api_find(service, command); row; row = row->next) {

        cmd = row->command;

        if (im_str_eq(&cmd->name, command)
            && im_str_eq(&cmd->service, service)
            && cmd->by & by)
        {
            return cmd;
        }
    }

    return NULL;
}


static im_api_service_t *
im_api_service(ngx_str_t *service)
{
    im_api_service_t  *s;

    for (s = im_api_services; s->name.len; s++) {
        if (im_str_eq(&s->name, service)) {
            break;
        }
    }

    return s;
}


static ngx_uint_t
im_api_by(im_ctx_t *ctx)
{
    switch (ctx->role) {

    case IM_ROLE_ADMIN:
        return IM_BY_ADMIN;

    case IM_ROLE_USER:
        return ctx->via == IM_VIA_REST ? IM_BY_SELF : IM_BY_USER|IM_BY_ANY;

    case IM_ROLE_GUEST:
        return ctx->via == IM_VIA_WEB ? IM_BY_GUEST|IM_BY_ANY : IM_BY_GUEST;

    default:
        return IM_BY_ANY;
    }
}
