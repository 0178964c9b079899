
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_login.h"
#include "domain/im_platform.h"
#include "domain/im_status.h"
#include "api/im_cmd.h"
#include "web/im_web_session.h"


static im_code_t im_cmd_wslogin(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_wslogin_ended(im_ctx_t *ctx, ngx_str_t *a2,
    uint32_t inst);
static im_code_t im_cmd_wslogout(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_wshello(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_status_ignored(im_ctx_t *ctx, void *data);


im_command_t  im_cmd_web_status[] = {

    { ngx_string("im_open_status"), ngx_string("wslogin"),
      im_cmd_wslogin, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("im_open_status"), ngx_string("wslogout"),
      im_cmd_wslogout, IM_BY_ANY, NULL, 0, 0, 0 },

    { ngx_string("im_open_status"), ngx_string("wshello"),
      im_cmd_wshello, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("im_open_status"), ngx_string("ws_stat_background"),
      im_cmd_status_ignored, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("im_open_status"), ngx_string("ws_stat_foreground"),
      im_cmd_status_ignored, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("im_open_status"), ngx_string("ws_stat_settoken"),
      im_cmd_status_ignored, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("imopenstat"), ngx_string("tim_web_report_v2"),
      im_cmd_status_ignored, IM_BY_ANY, NULL, 0, 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_wslogin(im_ctx_t *ctx, void *data)
{
    im_code_t    code, ended;
    ngx_int_t    rc;
    ngx_str_t    a2, text;
    im_login_t   login;

    if (ctx->inst) {

        /* by a2, after a reconnect: the instance stays the same, and the
         * caller is what its row says */

        if (im_json_get_str(ctx->head, "a2", &a2) != NGX_OK) {
            return IM_E_SIG_EXPIRED;
        }

        ngx_memzero(&login, sizeof(im_login_t));

        login.user = ctx->user;
        login.tinyid = ctx->tinyid;
        login.inst = ctx->inst;
        login.platform = ctx->platform;
        login.expire = ctx->expire;

    } else {
        code = im_login_open(ctx, ctx->platform, ctx->expire, &login, &a2);
        if (code != IM_OK) {
            return code;
        }
    }

    code = im_web_session_begin(ctx, &login);

    if (code == IM_OK || code == IM_E_LOGGED_OUT) {
        ended = im_cmd_wslogin_ended(ctx, &a2, login.inst);

        if (ended != IM_OK) {
            return ended;
        }
    }

    /* the connection is about to close, the login is as good as before */

    if (code == IM_E_LOGGED_OUT) {
        return IM_E_LOGIN_BUSY;
    }

    if (code != IM_OK) {
        return code;
    }

    im_json_add_str(ctx->reply, "A2Key", &a2);
    im_json_add_str(ctx->reply, "TinyId", &login.tinyid);
    im_json_add_int(ctx->reply, "InstId", login.inst);
    im_json_add_int(ctx->reply, "TimeStamp", ngx_time());
    im_json_add_cstr(ctx->reply, "PurchaseBits", IM_PURCHASE_BITS);
    im_json_add_int(ctx->reply, "HelloInterval",
                    ctx->app->hello_interval / 1000);

    rc = im_status_text(ctx, &ctx->user, &text);
    if (rc != NGX_OK) {
        return im_login_code(rc);
    }

    im_json_add_str(ctx->reply, "CustomStatus", &text);

    return IM_OK;
}


/*
 * Who ends a login looks for its session after the commit: there was none
 * if the login was ended before the session began.  So the row that the
 * caller was checked by, or that was written, is not enough: it is read once
 * more behind im_session_attach().
 */

static im_code_t
im_cmd_wslogin_ended(im_ctx_t *ctx, ngx_str_t *a2, uint32_t inst)
{
    im_code_t    code;
    ngx_int_t    rc;
    im_peer_t   *peer;
    im_login_t   login;

    rc = im_login_find(ctx, a2, &login);

    if (rc == NGX_OK && login.end == IM_END_NONE) {
        return IM_OK;
    }

    if (rc == NGX_OK && login.end == IM_END_KICK) {
        im_json_add_int(ctx->reply, "KickType", login.kick);
        im_platform_json(im_json_add_obj(ctx->reply, "NewInstInfo"),
                         login.by, login.by_inst);
        code = IM_E_KICKED;

    } else if (rc == NGX_OK || rc == NGX_DECLINED) {
        code = IM_E_LOGGED_OUT;

    } else {
        code = im_login_code(rc);
    }

    peer = im_peer_get(ctx->peer);

    if (peer && peer->session && peer->session->inst == inst) {
        im_web_session_end(peer, rc == NGX_OK || rc == NGX_DECLINED);
    }

    return code;
}


static im_code_t
im_cmd_wslogout(im_ctx_t *ctx, void *data)
{
    im_peer_t  *peer;

    if (ctx->inst == 0) {                /* no a2, or a login that is over */
        return IM_OK;
    }

    if (im_login_close(ctx, &ctx->user, ctx->inst) != IM_OK) {
        ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                      "the logout of \"%V\" could not be stored",
                      &ctx->user);
    }

    peer = im_peer_get(ctx->peer);

    if (peer && peer->session && peer->session->inst == ctx->inst) {
        im_web_session_end(peer, 1);
    }

    return IM_OK;
}


static im_code_t
im_cmd_wshello(im_ctx_t *ctx, void *data)
{
    ngx_int_t  rc;

    rc = im_web_session_check(ctx);

    return rc == NGX_DECLINED ? IM_OK : im_login_code(rc);
}


/* Statistics and the like: nothing depends on them. */

static im_code_t
im_cmd_status_ignored(im_ctx_t *ctx, void *data)
{
    return IM_OK;
}
