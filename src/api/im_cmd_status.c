
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "live/im_session.h"
#include "domain/im_account.h"
#include "domain/im_login.h"
#include "domain/im_message.h"
#include "domain/im_platform.h"
#include "api/im_cmd.h"


#define IM_QUERY_MAX      500
#define IM_QUERY_ENTRIES  32


typedef enum {
    IM_STATUS_OFFLINE = 0,
    IM_STATUS_PUSH,
    IM_STATUS_ONLINE
} im_status_e;


typedef struct {
    im_json_t         *to;
    im_int_t           detail;
} im_query_req_t;


static im_code_t im_cmd_querystate(im_ctx_t *ctx, void *data);
static void im_cmd_query_entry(void *data, ngx_uint_t i,
    im_session_entry_t *entry);
static ngx_int_t im_cmd_query_status(im_ctx_t *ctx, ngx_str_t *user,
    u_char *classes, ngx_uint_t *status);


static ngx_str_t  im_status_names[] = {
    ngx_string("Offline"),
    ngx_string("PushOnline"),
    ngx_string("Online")
};


/* a platform of each class, in the order of im_class_e */

static ngx_uint_t  im_status_platforms[] = {
    IM_PLATFORM_WEB, IM_PLATFORM_ANDROID, IM_PLATFORM_IPHONE,
    IM_PLATFORM_IPAD, IM_PLATFORM_WINDOWS, IM_PLATFORM_MAC
};


static im_field_t  im_query_fields[] = {

    { ngx_string("To_Account"), IM_NODE, IM_REQUIRED,
      offsetof(im_query_req_t, to), 0, 0, IM_E_C2C_TO, 0 },

    { ngx_string("IsNeedDetail"), IM_INT, IM_OPTIONAL,
      offsetof(im_query_req_t, detail), 0, 1, IM_E_C2C_JSON, 0 },

      im_null_field
};


im_command_t  im_cmd_status[] = {

    { ngx_string("openim"), ngx_string("querystate"),
      im_cmd_querystate, IM_BY_ADMIN,
      im_query_fields, sizeof(im_query_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("query_online_status"),
      im_cmd_querystate, IM_BY_ADMIN,
      im_query_fields, sizeof(im_query_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_querystate(im_ctx_t *ctx, void *data)
{
    im_query_req_t  *req = data;

    u_char      *exists, *all, *classes;
    ngx_int_t    rc;
    ngx_str_t   *users;
    im_json_t   *node, *result, *errors, *item, *detail;
    ngx_uint_t   i, k, n, status;

    if (req->to->type != IM_JSON_LIST) {
        ngx_str_set(&ctx->info, "\"To_Account\" must be an array");
        return IM_E_C2C_TO;
    }

    if (req->to->n == 0) {
        return IM_E_C2C_JSON;
    }

    if (req->to->n > IM_QUERY_MAX) {
        return IM_E_C2C_MANY;
    }

    users = ngx_palloc(ctx->pool, req->to->n * sizeof(ngx_str_t));
    exists = ngx_palloc(ctx->pool, req->to->n);
    all = ngx_pcalloc(ctx->pool, req->to->n * IM_CLASSES);

    if (users == NULL || exists == NULL || all == NULL) {
        return IM_E_C2C_INTERNAL;
    }

    n = 0;

    im_json_each(node, req->to) {

        if (node->type != IM_JSON_STR) {
            ngx_str_set(&ctx->info,
                        "\"To_Account\" must be an array of strings");
            return IM_E_C2C_TO;
        }

        for (i = 0; i < n; i++) {
            if (im_str_eq(&users[i], &node->u.text)) {
                break;
            }
        }

        if (i == n) {
            users[n++] = node->u.text;
        }
    }

    rc = im_account_exist(ctx, users, n, exists);
    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    im_session_each_all(ctx->app->id, users, n, im_cmd_query_entry, all);

    result = NULL;
    errors = NULL;

    for (i = 0; i < n; i++) {

        if (!exists[i]) {
            if (errors == NULL) {
                errors = im_json_add_list(ctx->reply, "ErrorList");
            }

            item = im_json_push_obj(errors);
            im_json_add_str(item, "To_Account", &users[i]);
            im_json_add_int(item, "ErrorCode", IM_E_NO_ACCOUNT);
            continue;
        }

        if (result == NULL) {
            result = im_json_add_list(ctx->reply, "QueryResult");
        }

        classes = all + i * IM_CLASSES;

        rc = im_cmd_query_status(ctx, &users[i], classes, &status);
        if (rc != NGX_OK) {
            return im_message_code(ctx, rc);
        }

        item = im_json_push_obj(result);

        im_json_add_str(item, "To_Account", &users[i]);
        im_json_add_str(item, "Status", &im_status_names[status]);
        im_json_add_str(item, "State", &im_status_names[status]);

        if (!req->detail.value || status == IM_STATUS_OFFLINE) {
            continue;
        }

        detail = im_json_add_list(item, "Detail");

        for (k = 0; k < IM_CLASSES; k++) {

            if (classes[k] == IM_STATUS_OFFLINE) {
                continue;
            }

            item = im_json_push_obj(detail);

            im_json_add_str(item, "Platform",
                            im_platform_name(im_status_platforms[k]));
            im_json_add_str(item, "Status", &im_status_names[classes[k]]);
        }
    }

    return result ? IM_OK : IM_E_NO_ACCOUNT;
}


static void
im_cmd_query_entry(void *data, ngx_uint_t i, im_session_entry_t *entry)
{
    u_char  *all = data;

    all[i * IM_CLASSES + im_platform_class(entry->platform)]
        = IM_STATUS_ONLINE;
}


/* A phone or tablet that is logged in without a connection can be pushed to
 * (specification, rest-account-message.md 10). */

static ngx_int_t
im_cmd_query_status(im_ctx_t *ctx, ngx_str_t *user, u_char *classes,
    ngx_uint_t *status)
{
    ngx_int_t   rc;
    ngx_uint_t  i, n, class, platforms[IM_QUERY_ENTRIES];

    rc = im_login_platforms(ctx, user, platforms, IM_QUERY_ENTRIES, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        class = im_platform_class(platforms[i]);

        if (class == IM_CLASS_ANDROID
            || class == IM_CLASS_IPHONE
            || class == IM_CLASS_IPAD)
        {
            classes[class] = ngx_max(classes[class], IM_STATUS_PUSH);
        }
    }

    *status = IM_STATUS_OFFLINE;

    for (i = 0; i < IM_CLASSES; i++) {
        *status = ngx_max(*status, classes[i]);
    }

    return NGX_OK;
}
