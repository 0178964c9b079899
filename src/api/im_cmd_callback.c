
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_callback.h"
#include "domain/im_callback_conf.h"
#include "api/im_cmd.h"


typedef struct {
    ngx_str_t          url;
    im_json_t         *commands;
    im_int_t           timeout;
    ngx_str_t          fail;
    im_int_t           retry;
    ngx_str_t          token;
} im_callback_set_req_t;


static im_code_t im_cmd_callback_get(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_callback_set(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_callback_reset(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_callback_commands(im_ctx_t *ctx, im_json_t *list,
    uint64_t *events);
static im_code_t im_cmd_callback_code(ngx_int_t rc);


static im_field_t  im_callback_set_fields[] = {

    { ngx_string("Url"), IM_STR, IM_OPTIONAL|IM_NO_NUL,
      offsetof(im_callback_set_req_t, url), 0, IM_CALLBACK_URL_MAX,
      IM_E_BODY, 0 },

    { ngx_string("Commands"), IM_NODE, IM_OPTIONAL,
      offsetof(im_callback_set_req_t, commands), 0, 0, IM_E_BODY, 0 },

    { ngx_string("Timeout"), IM_INT, IM_OPTIONAL,
      offsetof(im_callback_set_req_t, timeout), 1, IM_CALLBACK_TIME_MAX,
      IM_E_BODY, 0 },

    { ngx_string("Fail"), IM_STR, IM_OPTIONAL,
      offsetof(im_callback_set_req_t, fail), 0, 0, IM_E_BODY, 0 },

    { ngx_string("Retry"), IM_INT, IM_OPTIONAL,
      offsetof(im_callback_set_req_t, retry), 0, 1, IM_E_BODY, 0 },

    { ngx_string("Token"), IM_STR, IM_OPTIONAL|IM_NO_NUL,
      offsetof(im_callback_set_req_t, token), 0, IM_CALLBACK_TOKEN_MAX,
      IM_E_BODY, 0 },

      im_null_field
};


im_command_t  im_cmd_callback[] = {

    { ngx_string("im_callback"), ngx_string("get"),
      im_cmd_callback_get, IM_BY_ADMIN, NULL, 0, 0, 0 },

    { ngx_string("im_callback"), ngx_string("set"),
      im_cmd_callback_set, IM_BY_ADMIN,
      im_callback_set_fields, sizeof(im_callback_set_req_t), 0, 0 },

    { ngx_string("im_callback"), ngx_string("reset"),
      im_cmd_callback_reset, IM_BY_ADMIN, NULL, 0, 0, 0 },

      im_null_command
};


/* The token stays a secret. */

static im_code_t
im_cmd_callback_get(im_ctx_t *ctx, void *data)
{
    im_json_t               *list;
    ngx_uint_t               i;
    im_callback_settings_t   s;

    im_callback_settings(ctx->app, &s);

    im_json_add_cstr(ctx->reply, "Source",
                     ctx->app->callback_stored ? "store" : "directive");
    im_json_add_str(ctx->reply, "Url", &s.url);

    list = im_json_add_list(ctx->reply, "Commands");

    for (i = 0; i < IM_CALLBACKS; i++) {
        if (s.events & (uint64_t) 1 << i) {
            im_json_push_str(list, im_callback_name(i));
        }
    }

    im_json_add_int(ctx->reply, "Timeout", s.timeout);
    im_json_add_cstr(ctx->reply, "Fail", s.refuse ? "refuse" : "deliver");
    im_json_add_int(ctx->reply, "Retry", s.retry);
    im_json_add_int(ctx->reply, "Signed", s.token.len != 0);

    return IM_OK;
}


/* What the request lacks stays as it is. */

static im_code_t
im_cmd_callback_set(im_ctx_t *ctx, void *data)
{
    im_callback_set_req_t  *req = data;

    char                    *error;
    im_code_t                code;
    im_callback_settings_t   s;

    im_callback_settings(ctx->app, &s);

    if (req->url.data) {
        error = req->url.len ? ngx_im_callback_url_check(&req->url) : NULL;

        if (error) {
            ctx->info.data = (u_char *) error;
            ctx->info.len = ngx_strlen(error);
            return IM_E_BODY;
        }

        s.url = req->url;
    }

    if (req->commands) {
        code = im_cmd_callback_commands(ctx, req->commands, &s.events);
        if (code != IM_OK) {
            return code;
        }
    }

    if (s.url.len && s.events == 0) {
        ngx_str_set(&ctx->info, "\"Commands\" has no command");
        return IM_E_BODY;
    }

    if (req->timeout.set) {
        s.timeout = req->timeout.value;
    }

    if (req->fail.data) {

        if (!im_str_eq_c(&req->fail, "deliver")
            && !im_str_eq_c(&req->fail, "refuse"))
        {
            ngx_str_set(&ctx->info,
                        "\"Fail\" must be \"deliver\" or \"refuse\"");
            return IM_E_BODY;
        }

        s.refuse = im_str_eq_c(&req->fail, "refuse");
    }

    if (req->retry.set) {
        s.retry = req->retry.value;
    }

    if (req->token.data) {
        s.token = req->token;
    }

    return im_cmd_callback_code(im_callback_set(ctx, &s));
}


static im_code_t
im_cmd_callback_reset(im_ctx_t *ctx, void *data)
{
    return im_cmd_callback_code(im_callback_reset(ctx));
}


static im_code_t
im_cmd_callback_commands(im_ctx_t *ctx, im_json_t *list, uint64_t *events)
{
    im_json_t   *item;
    ngx_uint_t   i;

    if (list->type != IM_JSON_LIST) {
        ngx_str_set(&ctx->info, "\"Commands\" must be an array");
        return IM_E_BODY;
    }

    *events = 0;

    im_json_each(item, list) {

        if (item->type != IM_JSON_STR) {
            ngx_str_set(&ctx->info,
                        "\"Commands\" must be an array of strings");
            return IM_E_BODY;
        }

        if (im_str_eq_c(&item->u.text, "all")) {
            *events = ((uint64_t) 1 << IM_CALLBACKS) - 1;
            continue;
        }

        i = im_callback_find(&item->u.text);

        if (i == IM_CALLBACKS) {
            ngx_str_set(&ctx->info,
                        "\"Commands\" has a command that does not exist");
            return IM_E_BODY;
        }

        *events |= (uint64_t) 1 << i;
    }

    return IM_OK;
}


static im_code_t
im_cmd_callback_code(ngx_int_t rc)
{
    switch (rc) {

    case NGX_OK:
        return IM_OK;

    case NGX_BUSY:
        return IM_E_BUSY;

    default:
        return IM_E_REQUEST;
    }
}
