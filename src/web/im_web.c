
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_lane.h"
#include "core/im_pool.h"
#include "core/im_str.h"
#include "live/im_slot.h"
#include "live/im_limit.h"
#include "live/im_marker.h"
#include "domain/im_account.h"
#include "domain/im_login.h"
#include "domain/im_platform.h"
#include "api/im_api.h"
#include "api/im_api_metrics.h"
#include "api/im_api_table.h"
#include "web/im_web.h"
#include "web/im_web_session.h"
#include "web/im_ws.h"


#define IM_WEB_DEPTH      32
#define IM_WEB_ONCE_TTL   60000
#define IM_WEB_ONCE_STEP  100
#define IM_WEB_ONCE_WAIT  10000


/* A frame that is being served. */

typedef struct {
    im_ctx_t           ctx;
    ngx_log_t          log;
    ngx_str_t          servcmd;
    ngx_str_t          service;
    ngx_str_t          command;
    im_json_t         *seq;          /* echoed as it came */
    im_api_row_t      *row;
    im_command_t      *cmd;          /* of a session, or NULL */
    im_lane_t          lane;
    ngx_str_t          raw;          /* body of the answer, ready; or empty */
} im_web_call_t;


static im_web_call_t *im_web_parse(im_peer_t *peer, ngx_pool_t *pool,
    ngx_str_t *text);
static void im_web_order(im_web_call_t *call);
static void im_web_run(void *data);
static void im_web_end(im_web_call_t *call);
static im_code_t im_web_serve(im_web_call_t *call);
static im_code_t im_web_once(im_web_call_t *call);
static im_code_t im_web_caller(im_web_call_t *call);
static im_code_t im_web_usersig(im_web_call_t *call);
static im_code_t im_web_a2(im_web_call_t *call, ngx_str_t *a2);
static void im_web_answer(im_web_call_t *call, im_code_t code);
static u_char *im_web_log(ngx_log_t *log, u_char *buf, size_t len);


void
im_web_open(im_peer_t *peer)
{
    ngx_queue_init(&peer->rooms);
    ngx_queue_init(&peer->groups);
}


ngx_int_t
im_web_frame(im_peer_t *peer, ngx_pool_t *pool, ngx_str_t *text)
{
    ngx_msec_t      second;
    im_web_call_t  *call;

    second = ngx_current_msec / 1000;

    if (peer->second != second) {
        peer->second = second;
        peer->frames = 0;
    }

    if (++peer->frames > IM_WEB_FRAMES_PER_SECOND) {
        im_pool_destroy(pool);
        return NGX_ERROR;
    }

    if (peer->session) {
        im_session_touch(peer->session);
    }

    if (im_slot_draining()) {

        /* the client asks again when it has connected elsewhere */

        im_pool_destroy(pool);
        peer->ops->close(peer, IM_WS_RESTART);
        return NGX_OK;
    }

    call = im_web_parse(peer, pool, text);

    if (call == NULL) {
        im_pool_destroy(pool);
        return NGX_OK;
    }

    if (im_str_eq_c(&call->servcmd, "heartbeat.alive")) {
        im_web_answer(call, IM_OK);
        im_pool_destroy(pool);
        return NGX_OK;
    }

    im_web_order(call);

    peer->running++;

    if (im_co_start(im_web_run, call, &call->log) == NULL) {
        peer->running--;
        im_web_answer(call, im_api_svc_code(&call->service, IM_SVC_BUSY));
        im_web_end(call);
    }

    return NGX_OK;
}


void
im_web_close(im_peer_t *peer)
{
    im_web_session_end(peer, 0);
}


/* NULL: there is nobody to answer, or nothing to say. */

static im_web_call_t *
im_web_parse(im_peer_t *peer, ngx_pool_t *pool, ngx_str_t *text)
{
    u_char         *dot;
    int64_t         platform;
    ngx_int_t       rc;
    im_ctx_t       *ctx;
    im_json_t      *frame;
    im_web_call_t  *call;

    call = ngx_pcalloc(pool, sizeof(im_web_call_t));
    if (call == NULL) {
        return NULL;
    }

    call->log = *ngx_cycle->log;
    call->log.handler = im_web_log;
    call->log.data = call;

    ctx = &call->ctx;

    ctx->pool = pool;
    ctx->log = &call->log;
    ctx->app = peer->app;
    ctx->via = IM_VIA_WEB;
    ctx->platform = peer->platform;
    ctx->peer = peer->id;

    if (im_str_dup(pool, &ctx->ip, &peer->ip) != NGX_OK) {
        return NULL;
    }

    ctx->reply = im_json_new_obj(pool);
    if (ctx->reply == NULL) {
        return NULL;
    }

    rc = im_json_parse(pool, text, IM_WEB_DEPTH, &frame);

    if (rc == NGX_ERROR) {
        return NULL;
    }

    if (rc != NGX_OK
        || im_json_get_obj(frame, "head", &ctx->head) != NGX_OK
        || im_json_get_str(ctx->head, "servcmd", &call->servcmd) != NGX_OK)
    {
        /* no request that an answer could belong to: the client is told
         * once that it does not speak this protocol */

        ngx_str_set(&call->servcmd, "");
        ngx_str_set(&ctx->info, "the frame has no head.servcmd");

        im_web_answer(call, IM_E_BODY);

        return NULL;
    }

    call->seq = im_json_get(ctx->head, "seq");

    /* of a client over TCP, which has no URL */

    if (ctx->platform == 0
        && im_json_get_int(ctx->head, "platform", &platform) == NGX_OK
        && platform > 0 && platform < IM_PLATFORM_MAX)
    {
        ctx->platform = (ngx_uint_t) platform;
    }

    call->service = call->servcmd;

    dot = ngx_strlchr(call->servcmd.data,
                      call->servcmd.data + call->servcmd.len, '.');
    if (dot) {
        call->service.len = dot - call->servcmd.data;
        call->command.data = dot + 1;
        call->command.len = call->servcmd.data + call->servcmd.len - dot - 1;
    }

    if (im_json_get_obj(frame, "body", &ctx->body) != NGX_OK) {
        im_web_answer(call, im_api_svc_code(&call->service, IM_SVC_JSON));
        return NULL;
    }

    return call;
}


/* Without the field that names the conversation the command will fail. */

static void
im_web_order(im_web_call_t *call)
{
    ngx_str_t    name;
    im_field_t  *field;

    call->row = im_api_find(&call->service, &call->command);
    call->cmd = im_api_session_command(call->row);

    if (call->cmd == NULL || !(call->cmd->flags & IM_IN_ORDER)) {
        return;
    }

    field = call->cmd->fields;

    if (im_json_get_str(call->ctx.body, (char *) field->name.data, &name)
        != NGX_OK)
    {
        return;
    }

    call->ctx.lane = &call->lane;

    im_lane_enter(&call->lane, call->ctx.peer,
                  im_api_hash(&field->name, &name));
}


static void
im_web_run(void *data)
{
    im_web_call_t  *call = data;

    im_code_t   code;
    im_peer_t  *peer;

    code = im_web_serve(call);

    im_api_count(call->row, code);

    if (!call->ctx.no_reply) {
        im_web_answer(call, code);
    }

    peer = im_peer_get(call->ctx.peer);

    if (peer) {
        peer->running--;

        if (im_slot_draining()) {
            peer->ops->close(peer, IM_WS_RESTART);
        }
    }

    im_web_end(call);
}


static void
im_web_end(im_web_call_t *call)
{
    if (call->ctx.lane) {
        im_lane_leave(call->ctx.lane);
    }

    im_pool_destroy(call->ctx.pool);
}


static im_code_t
im_web_serve(im_web_call_t *call)
{
    im_code_t  code;

    code = im_web_caller(call);

    if (code != IM_OK) {
        return code;
    }

    if (call->ctx.inst
        && call->seq
        && call->cmd
        && call->cmd->flags & IM_ONCE)
    {
        return im_web_once(call);
    }

    return im_api_run(&call->ctx, &call->service, call->row);
}


/*
 * The client repeats what was not answered when its connection broke, with
 * the same number: what creates something is done once.
 */

static im_code_t
im_web_once(im_web_call_t *call)
{
    u_char       key[IM_ZONE_KEY_LEN], inst[NGX_INT32_LEN];
    im_ctx_t    *ctx;
    im_code_t    code;
    ngx_int_t    rc;
    ngx_str_t    parts[4], text;

    ctx = &call->ctx;

    parts[0] = ctx->user;
    parts[1].data = inst;
    parts[1].len = ngx_sprintf(inst, "%uD", ctx->inst) - inst;
    parts[2] = call->servcmd;

    if (im_json_render(ctx->pool, call->seq, &parts[3]) != NGX_OK) {
        return im_api_svc_code(&call->service, IM_SVC_INTERNAL);
    }

    im_zone_key(key, ctx->app->id, IM_KEY_ONCE, parts, 4);

    rc = im_marker_await_all(key, IM_WEB_ONCE_TTL, NULL, IM_WEB_ONCE_STEP,
                             IM_WEB_ONCE_WAIT, ctx->pool, &text);

    if (rc == NGX_DONE) {
        call->raw = text;
        return IM_OK;
    }

    if (rc != NGX_OK) {
        return im_api_svc_code(&call->service, IM_SVC_BUSY);
    }

    code = im_api_run(ctx, &call->service, call->row);

    if (code != IM_OK) {
        im_marker_release(key);
        return code;
    }

    im_api_envelope(ctx, code);

    if (im_json_render(ctx->pool, ctx->reply, &call->raw) != NGX_OK) {
        im_marker_release(key);
        return im_api_svc_code(&call->service, IM_SVC_INTERNAL);
    }

    (void) im_marker_done(key, &call->raw, IM_WEB_ONCE_TTL);

    return IM_OK;
}


/*
 * Every frame is authenticated by itself (web-v2.md 2.2): after a reconnect
 * the open requests come before the login.
 */

static im_code_t
im_web_caller(im_web_call_t *call)
{
    ngx_str_t    a2;
    im_ctx_t    *ctx;
    im_code_t    code;
    ngx_str_t   *service;
    im_peer_t   *peer;
    ngx_uint_t   login;

    static ngx_str_t  noauth = ngx_string("_noauth_svc");

    ctx = &call->ctx;
    service = &call->service;

    ctx->role = IM_ROLE_NONE;

    if (im_str_eq_c(service, "imopenstat")
        || im_str_eq_c(&call->servcmd, "openim.ws_msg_push_ack"))
    {
        return IM_OK;
    }

    if (service->len > noauth.len
        && ngx_memcmp(service->data + service->len - noauth.len, noauth.data,
                      noauth.len)
           == 0)
    {
        ctx->role = IM_ROLE_GUEST;
        return IM_OK;
    }

    if (im_json_get_str(ctx->head, "a2", &a2) == NGX_OK && a2.len) {

        code = im_web_a2(call, &a2);

        if (code != IM_OK
            && im_str_eq_c(&call->servcmd, "im_open_status.wslogout"))
        {
            /* a login that has ended may be ended again */

            ctx->reply = im_json_new_obj(ctx->pool);
            return IM_OK;
        }

        return code;
    }

    if (im_str_eq_c(&call->servcmd, "im_open_status.wslogout")) {
        return IM_OK;
    }

    login = im_str_eq_c(&call->servcmd, "im_open_status.wslogin");

    peer = im_peer_get(ctx->peer);

    if (!login && peer && peer->session) {
        return im_web_session_caller(ctx, peer);
    }

    if (login
        || im_str_eq_c(service, "im_cos_msg")
        || im_str_eq_c(service, "im_cos_sign_svr"))
    {
        return im_web_usersig(call);
    }

    return IM_E_SIG_EXPIRED;
}


static im_code_t
im_web_usersig(im_web_call_t *call)
{
    im_ctx_t   *ctx;
    im_code_t   code;
    ngx_str_t   identifier, usersig;

    ctx = &call->ctx;

    if (im_json_get_str(ctx->head, "identifier", &identifier) != NGX_OK
        || identifier.len == 0)
    {
        return IM_E_CREDENTIALS;
    }

    if (im_json_get_str(ctx->head, "usersig", &usersig) != NGX_OK) {
        return IM_E_NO_USERSIG;
    }

    code = im_login_usersig(ctx, &identifier, &usersig, &ctx->expire);
    if (code != IM_OK) {
        return code;
    }

    ctx->user = identifier;
    ctx->role = IM_ROLE_USER;

    return IM_OK;
}


static im_code_t
im_web_a2(im_web_call_t *call, ngx_str_t *a2)
{
    im_ctx_t    *ctx;
    ngx_int_t    rc;
    im_login_t   login;

    ctx = &call->ctx;

    rc = im_login_find(ctx, a2, &login);

    if (rc == NGX_DECLINED) {
        return IM_E_SIG_EXPIRED;
    }

    if (rc != NGX_OK) {
        return im_api_svc_code(&call->service, rc == NGX_BUSY
                                               ? IM_SVC_BUSY
                                               : IM_SVC_INTERNAL);
    }

    if (login.end == IM_END_LOGOUT) {
        return IM_E_LOGGED_OUT;
    }

    if (login.end == IM_END_KICK) {
        im_json_add_int(ctx->reply, "KickType", login.kick);
        im_platform_json(im_json_add_obj(ctx->reply, "NewInstInfo"),
                         login.by, login.by_inst);
        return IM_E_KICKED;
    }

    ctx->user = login.user;
    ctx->tinyid = login.tinyid;
    ctx->inst = login.inst;
    ctx->platform = login.platform;
    ctx->expire = login.expire;
    ctx->role = IM_ROLE_USER;

    return IM_OK;
}


static void
im_web_answer(im_web_call_t *call, im_code_t code)
{
    im_ctx_t    *ctx;
    im_json_t   *frame, *head;
    im_peer_t   *peer;
    im_frame_t  *event;

    ctx = &call->ctx;

    peer = im_peer_get(ctx->peer);

    if (peer == NULL) {
        return;
    }

    if (ctx->event.len && peer->session && peer->session->inst == ctx->inst) {

        event = im_web_push_frame(&ctx->event, 1, ctx->log);

        if (event) {
            (void) peer->ops->send(peer, event);
            im_frame_unref(event);
        }
    }

    if (call->raw.len == 0) {
        im_api_envelope(ctx, code);
    }

    frame = im_json_new_obj(ctx->pool);
    head = im_json_add_obj(frame, "head");

    im_json_add_cstr(head, "ver", "v4");
    im_json_add_str(head, "servcmd", &call->servcmd);

    if (call->seq) {
        im_json_add_node(head, "seq", call->seq);
    }

    im_json_add_int(head, "time", ngx_time());

    if (call->raw.len) {
        im_json_add_raw(frame, "body", &call->raw);

    } else {
        im_json_add_node(frame, "body", ctx->reply);
    }

    (void) im_web_send(peer, frame);
}


static u_char *
im_web_log(ngx_log_t *log, u_char *buf, size_t len)
{
    im_web_call_t  *call = log->data;

    return ngx_snprintf(buf, len, ", im: \"%V\", app: %ui, client: %V",
                        &call->servcmd, call->ctx.app->id, &call->ctx.ip);
}
