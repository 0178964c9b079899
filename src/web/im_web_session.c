
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "domain/im_callback.h"
#include "domain/im_inbox.h"
#include "domain/im_status.h"
#include "web/im_peer_group.h"
#include "web/im_room_peer.h"
#include "web/im_web_session.h"


#define IM_WEB_USER_LEN     64       /* no account is longer */
#define IM_WEB_SYNC_ITEMS   50
#define IM_WEB_SYNC_PAUSE   200
#define IM_WEB_PUSH         "im_open_push.msg_push"
#define IM_WEB_KICK         "im_open_status.stat_forceoffline"



/* In one piece of memory, the names behind it. */

typedef struct {
    im_session_t       session;
    im_peer_t         *peer;
    ngx_str_t          tinyid;
    int64_t            expire;
    unsigned           told:1;       /* the app knows that it is online */
} im_web_session_t;


/* Catching up; lives on its own pool. */

typedef struct {
    im_ctx_t           ctx;
    ngx_log_t          log;
    uint64_t           serial;
    int64_t            cursor;
} im_web_sync_t;


static void im_web_session_event(im_session_t *s, im_bus_buf_t *buf,
    ngx_str_t *json);
static void im_web_session_resync(im_session_t *s);
static void im_web_session_kick(im_session_t *s, ngx_uint_t type,
    ngx_str_t *info);
static void im_web_session_close(im_session_t *s, ngx_uint_t code);
static void im_web_session_free(im_web_session_t *ws);
static im_peer_t *im_web_session_peer(im_ctx_t *ctx, im_session_t *s,
    uint64_t serial);
static void im_web_session_online(im_ctx_t *ctx, im_web_session_t *ws,
    im_login_t *login);
static void im_web_session_offline(im_web_session_t *ws, im_state_e state);
static void im_web_sync_run(void *data);
static im_web_session_t *im_web_sync_session(im_web_sync_t *sync);
static ngx_int_t im_web_sync_send(im_web_sync_t *sync, ngx_array_t *items);


static im_session_ops_t  im_web_session_ops = {
    im_web_session_event,
    im_web_session_resync,
    im_web_session_kick,
    im_web_session_close
};


im_code_t
im_web_session_begin(im_ctx_t *ctx, im_login_t *login)
{
    u_char            *p;
    int64_t            head;
    uint64_t           serial;
    ngx_int_t          rc;
    im_peer_t         *peer;
    im_session_t      *s;
    im_web_session_t  *ws;

    peer = im_peer_get(ctx->peer);

    if (peer == NULL || peer->closing) {
        return IM_E_LOGGED_OUT;
    }

    if (peer->session) {

        if (peer->session->inst == login->inst) {
            ws = peer->session->data;
            ws->told = 0;
        }

        im_web_session_end(peer, peer->session->inst != login->inst);
    }

    ws = ngx_calloc(sizeof(im_web_session_t) + login->user.len
                    + login->tinyid.len, ctx->log);
    if (ws == NULL) {
        return IM_E_LOGIN_INTERNAL;
    }

    s = &ws->session;

    p = (u_char *) ws + sizeof(im_web_session_t);

    s->user.data = p;
    s->user.len = login->user.len;
    p = ngx_cpymem(p, login->user.data, login->user.len);

    ws->tinyid.data = p;
    ws->tinyid.len = login->tinyid.len;
    ngx_memcpy(p, login->tinyid.data, login->tinyid.len);

    ws->expire = login->expire;
    ws->peer = peer;

    s->app = ctx->app->id;
    s->inst = login->inst;
    s->platform = login->platform;
    s->transport = peer->form == IM_FORM_LENGTH ? IM_SESSION_TCP
                                                : IM_SESSION_WS;
    s->timeout = ctx->app->ws_timeout;
    s->ops = &im_web_session_ops;
    s->data = ws;

    if (im_session_attach(s) != NGX_OK) {
        ngx_free(ws);
        return IM_E_LOGIN_BUSY;
    }

    peer->session = s;
    serial = s->serial;

    im_session_announce(s);

    rc = im_inbox_head(ctx, &ctx->user, &head);

    peer = im_web_session_peer(ctx, s, serial);
    if (peer == NULL) {
        return IM_E_LOGGED_OUT;
    }

    if (rc != NGX_OK) {
        im_web_session_end(peer, 0);
        return im_login_code(rc);
    }

    /* from here on nothing is missed, in groups neither */

    ctx->inst = login->inst;

    rc = im_peer_groups_sync(ctx);

    peer = im_web_session_peer(ctx, s, serial);
    if (peer == NULL) {
        return IM_E_LOGGED_OUT;
    }

    if (rc != NGX_OK) {
        im_web_session_end(peer, 0);
        return im_login_code(rc);
    }

    s->cursor = head;

    if (im_session_caught_up(s, head) == NGX_AGAIN) {
        im_web_session_resync(s);
    }

    im_web_session_online(ctx, ws, login);

    im_peer_rooms_restore(ctx, peer);
    im_status_begun(ctx->app->id, &ctx->user);

    return IM_OK;
}


/* NULL: it has closed, or its login has ended, meanwhile. */

static im_peer_t *
im_web_session_peer(im_ctx_t *ctx, im_session_t *s, uint64_t serial)
{
    im_peer_t  *peer;

    peer = im_peer_get(ctx->peer);

    return (peer && peer->session == s && s->serial == serial) ? peer : NULL;
}


static void
im_web_session_online(im_ctx_t *ctx, im_web_session_t *ws, im_login_t *login)
{
    ngx_uint_t  i, n, kicked[IM_SESSION_PLATFORMS];

    n = 0;

    for (i = 0; i < IM_SESSION_PLATFORMS; i++) {
        if (login->kicked & 1 << i) {
            kicked[n++] = i;
        }
    }

    im_callback_state(ctx->app, &login->user, login->platform,
                      &ws->peer->ip, IM_STATE_LOGIN, kicked, n);

    ws->told = 1;
}


/* Once for each time that it was online. */

static void
im_web_session_offline(im_web_session_t *ws, im_state_e state)
{
    im_session_t  *s;

    if (!ws->told) {
        return;
    }

    ws->told = 0;
    s = &ws->session;

    im_callback_state(ws->peer->app, &s->user, s->platform, &ws->peer->ip,
                      state, NULL, 0);
}


/* A browser's page that is silent counts as closed. */

void
im_web_session_silent(im_peer_t *peer)
{
    im_session_t  *s;

    s = peer->session;

    if (s && s->transport == IM_SESSION_TCP) {
        im_web_session_offline(s->data, IM_STATE_TIMEOUT);
    }
}


void
im_web_session_end(im_peer_t *peer, ngx_uint_t logout)
{
    u_char         name[IM_WEB_USER_LEN];
    ngx_str_t      user;
    ngx_uint_t     app;
    im_session_t  *s;

    s = peer->session;

    if (s == NULL) {
        return;
    }

    im_web_session_offline(s->data, logout ? IM_STATE_LOGOUT
                                           : IM_STATE_LOST);

    im_peer_rooms_close(peer, logout);
    im_peer_groups_close(peer);

    peer->session = NULL;

    app = s->app;
    user.data = name;
    user.len = ngx_min(s->user.len, IM_WEB_USER_LEN);
    ngx_memcpy(name, s->user.data, user.len);

    im_web_session_free(s->data);

    im_status_ended(app, &user, logout);
}


im_code_t
im_web_session_caller(im_ctx_t *ctx, im_peer_t *peer)
{
    im_session_t      *s;
    im_web_session_t  *ws;

    s = peer->session;
    ws = s->data;

    if (ws->expire < ngx_time()) {
        return IM_E_SIG_EXPIRED;
    }

    if (im_str_dup(ctx->pool, &ctx->user, &s->user) != NGX_OK
        || im_str_dup(ctx->pool, &ctx->tinyid, &ws->tinyid) != NGX_OK)
    {
        return IM_E_LOGIN_INTERNAL;
    }

    ctx->inst = s->inst;
    ctx->platform = s->platform;
    ctx->expire = ws->expire;
    ctx->role = IM_ROLE_USER;

    return IM_OK;
}


ngx_int_t
im_web_session_check(im_ctx_t *ctx)
{
    int64_t         head;
    ngx_int_t       rc;
    im_peer_t      *peer;
    im_session_t   *s;

    rc = im_inbox_head(ctx, &ctx->user, &head);
    if (rc != NGX_OK) {
        return rc;
    }

    peer = im_peer_get(ctx->peer);

    if (peer == NULL || peer->session == NULL) {
        return NGX_DECLINED;
    }

    s = peer->session;

    if (s->inst == ctx->inst && head > s->cursor) {
        im_session_behind(s);
    }

    return im_peer_groups_check(ctx);
}


ngx_int_t
im_web_send(im_peer_t *peer, im_json_t *json)
{
    ngx_int_t    rc;
    ngx_str_t    text;
    im_frame_t  *frame;

    if (im_json_text(json, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    frame = im_frame_alloc(text.len, peer->log);
    if (frame == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(frame->text.data, text.data, text.len);
    frame->text.len = text.len;

    rc = peer->ops->send(peer, frame);

    im_frame_unref(frame);

    return rc;
}


static void
im_web_session_event(im_session_t *s, im_bus_buf_t *buf, ngx_str_t *json)
{
    im_frame_t        *frame;
    im_web_session_t  *ws;

    ws = s->data;

    if (buf->flags & IM_INBOX_MEMBERSHIP) {
        im_peer_groups_event(ws->peer, json);
        return;
    }

    frame = im_web_push(buf, json, ws->peer->log);

    if (frame == NULL) {
        im_session_missed(s, buf->seq);
        return;
    }

    if (ws->peer->ops->send(ws->peer, frame) == NGX_BUSY) {
        im_session_missed(s, buf->seq);
        return;
    }

    im_stat_add(IM_STAT_OUT_EVENT, 1);
}


static void
im_web_session_resync(im_session_t *s)
{
    ngx_pool_t        *pool;
    im_web_sync_t     *sync;
    im_web_session_t  *ws;

    ws = s->data;

    im_stat_add(IM_STAT_RESYNC, 1);

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        goto failed;
    }

    sync = ngx_pcalloc(pool, sizeof(im_web_sync_t));
    if (sync == NULL) {
        goto failed;
    }

    sync->log = *ngx_cycle->log;

    sync->ctx.pool = pool;
    sync->ctx.log = &sync->log;
    sync->ctx.app = ws->peer->app;
    sync->ctx.via = IM_VIA_JOB;
    sync->ctx.role = IM_ROLE_USER;
    sync->ctx.inst = s->inst;
    sync->ctx.peer = ws->peer->id;
    sync->serial = s->serial;
    sync->cursor = s->cursor;

    if (im_str_dup(pool, &sync->ctx.user, &s->user) == NGX_OK
        && im_co_spawn(im_web_sync_run, sync, &sync->log) != NULL)
    {
        return;
    }

failed:

    if (pool) {
        ngx_destroy_pool(pool);
    }

    /* the client comes back and asks for what it has missed */

    ws->peer->ops->close(ws->peer, 1013);
}


static void
im_web_session_kick(im_session_t *s, ngx_uint_t type, ngx_str_t *info)
{
    im_json_t         *frame, *head, *body, *item, *notify;
    im_peer_t         *peer;
    ngx_pool_t        *pool;
    im_web_session_t  *ws;

    ws = s->data;
    peer = ws->peer;

    pool = ngx_create_pool(1024, ngx_cycle->log);

    if (pool) {
        frame = im_json_new_obj(pool);

        head = im_json_add_obj(frame, "head");
        im_json_add_cstr(head, "ver", "v4");
        im_json_add_cstr(head, "servcmd", IM_WEB_KICK);
        im_json_add_int(head, "seq", 0);
        im_json_add_int(head, "time", ngx_time());

        body = im_json_add_obj(frame, "body");

        item = im_json_push_obj(im_json_add_list(body, "EventArray"));
        im_json_add_int(item, "Event", 10);

        notify = im_json_push_obj(im_json_add_list(item,
                                                   "C2cNotifyMsgArray"));
        notify = im_json_add_obj(notify, "KickoutMsgNotify");

        im_json_add_int(notify, "KickType", type);
        im_json_add_raw(notify, "NewInstInfo", info);

        (void) im_web_send(peer, frame);

        ngx_destroy_pool(pool);
    }

    if (type != IM_KICK_REST) {
        ws->told = 0;                    /* the login that kicks tells it */
    }

    im_web_session_end(peer, 1);
}


static void
im_web_session_close(im_session_t *s, ngx_uint_t code)
{
    im_peer_t         *peer;
    im_web_session_t  *ws;

    ws = s->data;
    peer = ws->peer;

    if (code == 1000) {
        ws->told = 0;                    /* it has connected elsewhere */

    } else if (code == 1001) {
        im_web_session_silent(peer);
    }

    im_web_session_end(peer, 0);

    peer->ops->close(peer, code);
}


static void
im_web_session_free(im_web_session_t *ws)
{
    im_session_detach(&ws->session);
    ngx_free(ws);
}


static void
im_web_sync_run(void *data)
{
    im_web_sync_t  *sync = data;

    int64_t            last;
    ngx_int_t          rc;
    ngx_uint_t         more;
    ngx_pool_t        *pool;
    ngx_array_t       *items;
    im_web_session_t  *ws;

    pool = sync->ctx.pool;

    for ( ;; ) {

        /* memory of a page is given back before the next one */

        sync->ctx.pool = ngx_create_pool(4096, &sync->log);

        if (sync->ctx.pool == NULL) {
            rc = NGX_ERROR;
            break;
        }

        items = ngx_array_create(sync->ctx.pool, IM_WEB_SYNC_ITEMS,
                                 sizeof(im_inbox_item_t));

        last = sync->cursor;
        more = 0;

        rc = items ? im_inbox_read(&sync->ctx, &sync->ctx.user, sync->cursor,
                                   IM_WEB_SYNC_ITEMS, items, &last, &more)
                   : NGX_ERROR;

        if (rc == NGX_OK) {
            rc = im_web_sync_send(sync, items);
        }

        ngx_destroy_pool(sync->ctx.pool);

        if (rc == NGX_OK) {

            ws = im_web_sync_session(sync);

            if (ws == NULL) {
                break;
            }

            sync->cursor = last;

            if (more) {
                ws->session.cursor = last;
                continue;
            }

            if (im_session_caught_up(&ws->session, last) == NGX_OK) {

                /* what he was told of his groups may be lost, too */

                im_peer_groups_start(ws->peer);
                break;
            }

            continue;
        }

        if (rc != NGX_BUSY) {
            break;
        }

        im_co_sleep(IM_WEB_SYNC_PAUSE);
    }

    if (rc == NGX_ERROR) {
        ws = im_web_sync_session(sync);

        if (ws) {
            ws->peer->ops->close(ws->peer, 1013);
        }
    }

    ngx_destroy_pool(pool);
}


/* NGX_BUSY: the connection takes no more for now; NGX_DECLINED: it is gone. */

static ngx_int_t
im_web_sync_send(im_web_sync_t *sync, ngx_array_t *items)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    im_frame_t        *frame;
    im_inbox_item_t   *item;
    im_web_session_t  *ws;

    item = items->elts;

    for (i = 0; i < items->nelts; i++) {

        ws = im_web_sync_session(sync);

        if (ws == NULL) {
            return NGX_DECLINED;
        }

        frame = im_web_push_frame(&item[i].event, 1, &sync->log);
        if (frame == NULL) {
            return NGX_ERROR;
        }

        rc = ws->peer->ops->send(ws->peer, frame);

        im_frame_unref(frame);

        if (rc != NGX_OK) {
            return rc == NGX_BUSY ? NGX_BUSY : NGX_DECLINED;
        }

        im_stat_add(IM_STAT_OUT_EVENT, 1);

        ws->session.cursor = item[i].seq;
        sync->cursor = item[i].seq;
    }

    return NGX_OK;
}


static im_web_session_t *
im_web_sync_session(im_web_sync_t *sync)
{
    im_peer_t  *peer;

    peer = im_peer_get(sync->ctx.peer);

    if (peer == NULL
        || peer->closing
        || peer->session == NULL
        || peer->session->serial != sync->serial)
    {
        return NULL;
    }

    return peer->session->data;
}


im_frame_t *
im_web_push(im_bus_buf_t *buf, ngx_str_t *json, ngx_log_t *log)
{
    im_frame_t  *frame;

    frame = buf->encoded[IM_WEB_ENCODING];

    if (frame == NULL) {
        frame = im_web_push_frame(json, 1, log);

        if (frame) {
            buf->encoded[IM_WEB_ENCODING] = frame;
            buf->encoded_free = im_web_encoded_free;
        }
    }

    if (frame) {
        frame->alone = buf->alone;
    }

    return frame;
}


/* {"head":{...},"body":{"EventArray":[events]}} */

im_frame_t *
im_web_push_frame(ngx_str_t *events, ngx_uint_t n, ngx_log_t *log)
{
    u_char      *p;
    size_t       len;
    ngx_uint_t   i;
    im_frame_t  *frame;

    static u_char  head[] = "{\"head\":{\"ver\":\"v4\",\"servcmd\":\""
                            IM_WEB_PUSH "\",\"seq\":0,\"time\":";
    static u_char  body[] = "},\"body\":{\"EventArray\":[";
    static u_char  tail[] = "]}}";

    len = sizeof(head) + NGX_TIME_T_LEN + sizeof(body) + sizeof(tail);

    for (i = 0; i < n; i++) {
        len += events[i].len + 1;
    }

    frame = im_frame_alloc(len, log);
    if (frame == NULL) {
        return NULL;
    }

    p = ngx_cpymem(frame->text.data, head, sizeof(head) - 1);
    p = im_str_put_int(p, ngx_time());
    p = ngx_cpymem(p, body, sizeof(body) - 1);

    for (i = 0; i < n; i++) {
        if (i) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, events[i].data, events[i].len);
    }

    p = ngx_cpymem(p, tail, sizeof(tail) - 1);

    frame->text.len = p - frame->text.data;

    return frame;
}


void
im_web_encoded_free(im_bus_buf_t *buf)
{
    ngx_uint_t  i;

    for (i = 0; i < IM_BUS_ENCODINGS; i++) {
        if (buf->encoded[i]) {
            im_frame_unref(buf->encoded[i]);
        }
    }
}
