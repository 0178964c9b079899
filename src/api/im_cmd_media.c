
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/rand.h>
#include "core/im_ticket.h"
#include "domain/im_message.h"
#include "domain/im_relay.h"
#include "web/im_peer.h"
#include "api/im_cmd.h"


/* What messages are sent together with: files and merged messages. */


#define IM_FILE_PUT      0               /* upload_method */
#define IM_FILE_RANDOM   16
#define IM_FILE_NAME     128
#define IM_FILE_TICKET   900             /* seconds */


typedef struct {
    im_int_t           type;
    ngx_str_t          name;
    im_int_t           method;
} im_pre_sig_req_t;


typedef struct {
    im_json_t         *list;
} im_save_relay_req_t;


typedef struct {
    ngx_str_t          key;
} im_get_relay_req_t;


static im_code_t im_cmd_pre_sig(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_pre_sig_base(im_ctx_t *ctx, ngx_str_t *base,
    ngx_str_t *path);
static im_code_t im_cmd_pre_sig_path(im_ctx_t *ctx, ngx_str_t *name,
    ngx_str_t *path);
static im_code_t im_cmd_save_relay_json_msg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_relay_json_msg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_not_offered(im_ctx_t *ctx, void *data);


static im_field_t  im_pre_sig_fields[] = {

    { ngx_string("file_type"), IM_INT, IM_OPTIONAL,
      offsetof(im_pre_sig_req_t, type), 0, 255, IM_E_BODY, 0 },

    { ngx_string("file_name"), IM_STR, IM_REQUIRED,
      offsetof(im_pre_sig_req_t, name), 1, IM_FILE_NAME, IM_E_BODY, 0 },

    { ngx_string("upload_method"), IM_INT, IM_OPTIONAL,
      offsetof(im_pre_sig_req_t, method), 0, 1, IM_E_BODY, 0 },

      im_null_field
};


static im_field_t  im_save_relay_fields[] = {

    { ngx_string("MsgList"), IM_LIST, IM_REQUIRED,
      offsetof(im_save_relay_req_t, list), 1, IM_RELAY_MESSAGES,
      IM_E_MSG_REQUEST, 0 },

      im_null_field
};


static im_field_t  im_get_relay_fields[] = {

    { ngx_string("JsonMsgKey"), IM_STR, IM_REQUIRED|IM_NO_NUL,
      offsetof(im_get_relay_req_t, key), 1, 64, IM_E_MSG_REQUEST, 0 },

      im_null_field
};


im_command_t  im_cmd_media[] = {

    { ngx_string("im_cos_msg"), ngx_string("pre_sig"),
      im_cmd_pre_sig, IM_BY_USER,
      im_pre_sig_fields, sizeof(im_pre_sig_req_t), 0, 0 },

    { ngx_string("im_cos_msg"), ngx_string("video_cover"),
      im_cmd_not_offered, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("im_cos_sign_svr"), ngx_string("cos"),
      im_cmd_not_offered, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("im_long_msg"), ngx_string("save_relay_json_msg"),
      im_cmd_save_relay_json_msg, IM_BY_USER,
      im_save_relay_fields, sizeof(im_save_relay_req_t), 0, IM_ONCE },

    { ngx_string("im_long_msg"), ngx_string("get_relay_json_msg"),
      im_cmd_get_relay_json_msg, IM_BY_USER,
      im_get_relay_fields, sizeof(im_get_relay_req_t), 0, 0 },

    { ngx_string("im_open_translate"), ngx_string("ws_batch_trans_text"),
      im_cmd_not_offered, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("tui_room_svr"), ngx_string("*"),
      im_cmd_not_offered, IM_BY_USER, NULL, 0, 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_pre_sig(im_ctx_t *ctx, void *data)
{
    im_pre_sig_req_t  *req = data;

    u_char     *p, *last;
    time_t      expires;
    im_code_t   code;
    ngx_str_t   base, path, url;

    if (req->method.value != IM_FILE_PUT) {
        ngx_str_set(&ctx->info, "files are uploaded by PUT");
        return IM_E_COMMAND_DISABLED;
    }

    code = im_cmd_pre_sig_base(ctx, &base, &path);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_pre_sig_path(ctx, &req->name, &path);
    if (code != IM_OK) {
        return code;
    }

    p = ngx_pnalloc(ctx->pool, base.len + path.len + 1 + IM_TICKET_LEN);
    if (p == NULL) {
        return IM_E_REQUEST;
    }

    url.data = p;

    p = ngx_cpymem(p, base.data, base.len);
    p = ngx_cpymem(p, path.data, path.len);

    url.len = p - url.data;

    im_json_add_str(ctx->reply, "download_url", &url);

    *p++ = '?';

    expires = ngx_time() + IM_FILE_TICKET;

    last = im_ticket_make(p, ctx->app, &path, expires);

    if (last == NULL) {
        ngx_str_set(&ctx->info, "the app has no key for upload tickets");
        return IM_E_COMMAND_DISABLED;
    }

    url.len = last - url.data;

    im_json_add_str(ctx->reply, "upload_url", &url);
    im_json_add_int(ctx->reply, "expired_time", expires);

    return IM_OK;
}


/* Scheme and host; the path with which those of the files begin. */

static im_code_t
im_cmd_pre_sig_base(im_ctx_t *ctx, ngx_str_t *base, ngx_str_t *path)
{
    u_char     *p, *last;
    im_peer_t  *peer;

    if (ctx->app->files_url.len) {

        *base = ctx->app->files_url;

        last = base->data + base->len;

        p = ngx_strlchr(base->data, last, ':') + 3;      /* "://" */
        p = ngx_strlchr(p, last, '/');

        ngx_str_null(path);

        if (p) {
            path->data = p;
            path->len = last - p;
            base->len = p - base->data;
        }

        return IM_OK;
    }

    peer = im_peer_get(ctx->peer);

    if (peer == NULL || peer->host.len == 0) {
        ngx_str_set(&ctx->info, "files_url is not set");
        return IM_E_COMMAND_DISABLED;
    }

    base->data = ngx_pnalloc(ctx->pool, sizeof("https://") + peer->host.len);
    if (base->data == NULL) {
        return IM_E_REQUEST;
    }

    base->len = ngx_sprintf(base->data, "%s://%V",
                            peer->tls ? "https" : "http", &peer->host)
                - base->data;

    ngx_str_set(path, "/files");

    return IM_OK;
}


/* A folder for each day, so that old files are easily removed. */

static im_code_t
im_cmd_pre_sig_path(im_ctx_t *ctx, ngx_str_t *name, ngx_str_t *path)
{
    u_char     *p, *src, random[IM_FILE_RANDOM];
    size_t      i;
    ngx_str_t   prefix;
    ngx_tm_t    tm;

    if (RAND_bytes(random, IM_FILE_RANDOM) != 1) {
        return IM_E_REQUEST;
    }

    p = ngx_pnalloc(ctx->pool, path->len + sizeof("//yyyymmdd/-")
                               + NGX_INT_T_LEN + 2 * IM_FILE_RANDOM
                               + name->len);
    if (p == NULL) {
        return IM_E_REQUEST;
    }

    prefix = *path;
    path->data = p;

    ngx_gmtime(ngx_time(), &tm);

    p = ngx_sprintf(p, "%V/%ui/%04d%02d%02d/", &prefix, ctx->app->id,
                    tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday);

    p = ngx_hex_dump(p, random, IM_FILE_RANDOM);
    *p++ = '-';

    src = name->data;

    for (i = 0; i < name->len; i++) {

        if ((src[i] >= '0' && src[i] <= '9')
            || ((src[i] | 0x20) >= 'a' && (src[i] | 0x20) <= 'z')
            || src[i] == '.' || src[i] == '-')
        {
            *p++ = src[i];
            continue;
        }

        *p++ = '_';
    }

    path->len = p - path->data;

    return IM_OK;
}


static im_code_t
im_cmd_save_relay_json_msg(im_ctx_t *ctx, void *data)
{
    im_save_relay_req_t  *req = data;

    ngx_int_t   rc;
    ngx_str_t   text, key;

    if (im_json_render(ctx->pool, req->list, &text) != NGX_OK) {
        return IM_E_MSG_INTERNAL;
    }

    if (text.len > IM_RELAY_SIZE) {
        return IM_E_SIZE;
    }

    rc = im_relay_save(ctx, &text, &key);
    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    im_json_add_str(ctx->reply, "JsonMsgKey", &key);
    im_json_add_str(ctx->reply, "PbMsgKey", &key);

    return IM_OK;
}


static im_code_t
im_cmd_get_relay_json_msg(im_ctx_t *ctx, void *data)
{
    im_get_relay_req_t  *req = data;

    ngx_int_t  rc;
    ngx_str_t  text;

    rc = im_relay_get(ctx, &req->key, &text);

    if (rc == NGX_DECLINED) {
        ngx_str_set(&ctx->info, "there are no messages of that key");
        return IM_E_MSG_REQUEST;
    }

    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    im_json_add_raw(ctx->reply, "MsgList", &text);

    return IM_OK;
}


static im_code_t
im_cmd_not_offered(im_ctx_t *ctx, void *data)
{
    ngx_str_set(&ctx->info, "the command is not offered");

    return IM_E_COMMAND_DISABLED;
}
