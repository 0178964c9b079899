
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_status.h"
#include "api/im_cmd.h"


#define IM_STATUS_QUERY  500         /* accounts */
#define IM_STATUS_SUBS   100


typedef struct {
    ngx_str_t          text;
    im_strs_t          to;
    im_int_t           all;
} im_status_req_t;


static im_code_t im_cmd_ws_set_custom_status(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_ws_get_user_status(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_ws_status_subscribe(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_ws_status_unsubscribe(im_ctx_t *ctx, void *data);
static im_code_t im_status_users(im_ctx_t *ctx, im_status_req_t *req,
    ngx_uint_t max, ngx_uint_t *n);
static im_code_t im_status_code(ngx_int_t rc);


static im_field_t  im_set_status_fields[] = {

    { ngx_string("CustomStatus"), IM_STR, IM_REQUIRED|IM_NO_NUL,
      offsetof(im_status_req_t, text), 0, IM_STATUS_TEXT,
      IM_E_LOGIN_PARAM, 0 },

      im_null_field
};


static im_field_t  im_status_fields[] = {

    { ngx_string("To_Account"), IM_STRS, IM_OPTIONAL,
      offsetof(im_status_req_t, to), 0, 0, IM_E_LOGIN_PARAM, 0 },

    { ngx_string("UnsubscribeAll"), IM_INT, IM_OPTIONAL,
      offsetof(im_status_req_t, all), 0, 1, IM_E_LOGIN_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_user_status[] = {

    { ngx_string("im_open_status"), ngx_string("ws_set_custom_status"),
      im_cmd_ws_set_custom_status, IM_BY_USER,
      im_set_status_fields, sizeof(im_status_req_t), 0, 0 },

    { ngx_string("im_open_status"), ngx_string("ws_get_user_status"),
      im_cmd_ws_get_user_status, IM_BY_USER,
      im_status_fields, sizeof(im_status_req_t), 0, 0 },

    { ngx_string("im_open_status"), ngx_string("ws_status_subscribe"),
      im_cmd_ws_status_subscribe, IM_BY_USER,
      im_status_fields, sizeof(im_status_req_t), 0, 0 },

    { ngx_string("im_open_status"), ngx_string("ws_status_unsubscribe"),
      im_cmd_ws_status_unsubscribe, IM_BY_USER,
      im_status_fields, sizeof(im_status_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_ws_set_custom_status(im_ctx_t *ctx, void *data)
{
    im_status_req_t  *req = data;

    return im_status_code(im_status_set(ctx, &req->text));
}


static im_code_t
im_cmd_ws_get_user_status(im_ctx_t *ctx, void *data)
{
    im_status_req_t  *req = data;

    im_code_t    code;
    im_json_t   *list;
    ngx_uint_t   i, n;

    code = im_status_users(ctx, req, IM_STATUS_QUERY, &n);
    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(ctx->reply, "UserStatusList");

    for (i = 0; i < n; i++) {
        if (im_status_json(ctx, &req->to.elts[i], im_json_push_obj(list))
            != NGX_OK)
        {
            return IM_E_LOGIN_INTERNAL;
        }
    }

    return IM_OK;
}


static im_code_t
im_cmd_ws_status_subscribe(im_ctx_t *ctx, void *data)
{
    im_status_req_t  *req = data;

    im_code_t   code;
    ngx_uint_t  n;

    code = im_status_users(ctx, req, IM_STATUS_SUBS, &n);
    if (code != IM_OK) {
        return code;
    }

    return im_status_code(im_status_subscribe(ctx, req->to.elts, n));
}


static im_code_t
im_cmd_ws_status_unsubscribe(im_ctx_t *ctx, void *data)
{
    im_status_req_t  *req = data;

    im_code_t   code;
    ngx_uint_t  n;

    if (req->all.value) {
        im_json_add_list(ctx->reply, "ErrorList");
        return im_status_code(im_status_unsubscribe(ctx, &ctx->user, NULL,
                                                    0));
    }

    code = im_status_users(ctx, req, IM_STATUS_SUBS, &n);
    if (code != IM_OK) {
        return code;
    }

    return im_status_code(im_status_unsubscribe(ctx, &ctx->user,
                                                req->to.elts, n));
}


/* Leaves the n accounts that exist, each once; the others go into ErrorList.
 */

static im_code_t
im_status_users(im_ctx_t *ctx, im_status_req_t *req, ngx_uint_t max,
    ngx_uint_t *n)
{
    u_char      *exists;
    ngx_str_t   *users;
    im_json_t   *list, *item;
    ngx_uint_t   i, k;

    *n = 0;
    users = req->to.elts;

    if (users == NULL || req->to.n == 0 || req->to.n > max) {
        ngx_str_set(&ctx->info, "the number of accounts is illegal");
        return IM_E_LOGIN_PARAM;
    }

    exists = ngx_pnalloc(ctx->pool, req->to.n);

    if (exists == NULL
        || im_account_exist(ctx, users, req->to.n, exists) != NGX_OK)
    {
        return IM_E_LOGIN_INTERNAL;
    }

    list = im_json_add_list(ctx->reply, "ErrorList");

    for (i = 0; i < req->to.n; i++) {

        if (!exists[i]) {
            item = im_json_push_obj(list);
            im_json_add_str(item, "To_Account", &users[i]);
            im_json_add_str(item, "Invalid_Account", &users[i]);
            im_json_add_int(item, "ErrorCode", IM_E_NO_ACCOUNT);
            im_json_add_str(item, "ErrorInfo",
                            im_error_text(IM_E_NO_ACCOUNT));
            continue;
        }

        for (k = 0; k < *n; k++) {
            if (im_str_eq(&users[k], &users[i])) {
                break;
            }
        }

        if (k == *n) {
            users[(*n)++] = users[i];
        }
    }

    return IM_OK;
}


static im_code_t
im_status_code(ngx_int_t rc)
{
    return (rc == NGX_OK) ? IM_OK
           : (rc == NGX_BUSY) ? IM_E_LOGIN_BUSY : IM_E_LOGIN_INTERNAL;
}
