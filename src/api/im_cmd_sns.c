
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "live/im_rate.h"
#include "live/im_zone.h"
#include "domain/im_profile.h"
#include "api/im_sns.h"


/* Commands that change relations. */

typedef struct {
    ngx_str_t          from;
    im_json_t         *list;
    ngx_str_t          type;
    im_int_t           force;
    im_int_t           time;
} im_sns_req_t;


typedef void (*im_sns_run_pt)(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *peers, ngx_uint_t n, im_friend_item_t *items,
    im_rel_e *results);


static im_code_t im_cmd_friend_add(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_friend_import(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_friend_update(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_friend_response(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_friend_delete(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_friend_delete_all(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_pendency_delete(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_pendency_report(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_black_list_add(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_black_list_delete(im_ctx_t *ctx, void *data);
static im_code_t im_sns_begin_items(im_ctx_t *ctx, im_sns_e cmd,
    im_sns_req_t *req, im_sns_item_pt parse, ngx_str_t *user,
    ngx_str_t **peers, ngx_uint_t *n, im_friend_item_t **items,
    im_rel_e **results);
static im_code_t im_sns_run_items(im_ctx_t *ctx, im_sns_e cmd,
    im_sns_req_t *req, im_sns_item_pt parse, im_sns_run_pt run);
static im_code_t im_sns_delete_type(im_ctx_t *ctx, ngx_str_t *type,
    ngx_uint_t *both);
static ngx_uint_t im_sns_rate(im_ctx_t *ctx, const char *what,
    ngx_uint_t n);


#define im_sns_from_field                                                     \
    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,                        \
      offsetof(im_sns_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 }

#define im_sns_list_field(name)                                               \
    { ngx_string(name), IM_LIST, IM_OPTIONAL,                                 \
      offsetof(im_sns_req_t, list), 0, 0, IM_E_SNS_PARAM, 0 }

#define im_sns_type_field(name)                                               \
    { ngx_string(name), IM_STR, IM_OPTIONAL,                                  \
      offsetof(im_sns_req_t, type), 0, 0, IM_E_SNS_PARAM, 0 }


static im_field_t  im_friend_add_fields[] = {

    im_sns_from_field,
    im_sns_list_field("AddFriendItem"),
    im_sns_type_field("AddType"),

    { ngx_string("ForceAddFlags"), IM_INT, IM_OPTIONAL,
      offsetof(im_sns_req_t, force), 0, 1, IM_E_SNS_PARAM, 0 },

      im_null_field
};


static im_field_t  im_friend_update_fields[] = {
    im_sns_from_field, im_sns_list_field("UpdateItem"), im_null_field
};


static im_field_t  im_friend_response_fields[] = {
    im_sns_from_field, im_sns_list_field("ResponseFriendItem"), im_null_field
};


static im_field_t  im_friend_delete_fields[] = {

    im_sns_from_field,
    im_sns_list_field("To_Account"),
    im_sns_type_field("DeleteType"),

      im_null_field
};


static im_field_t  im_pendency_delete_fields[] = {

    im_sns_from_field,
    im_sns_list_field("To_Account"),
    im_sns_type_field("PendencyType"),

      im_null_field
};


static im_field_t  im_pendency_report_fields[] = {

    im_sns_from_field,

    { ngx_string("LatestPendencyTimeStamp"), IM_INT, IM_REQUIRED,
      offsetof(im_sns_req_t, time), 0, 4294967295, IM_E_SNS_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_sns[] = {

    { ngx_string("sns"), ngx_string("friend_add"),
      im_cmd_friend_add, IM_SNS_BY,
      im_friend_add_fields, sizeof(im_sns_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("friend_import"),
      im_cmd_friend_import, IM_BY_ADMIN,
      im_friend_add_fields, sizeof(im_sns_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("friend_update"),
      im_cmd_friend_update, IM_SNS_BY,
      im_friend_update_fields, sizeof(im_sns_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("friend_response"),
      im_cmd_friend_response, IM_SNS_BY,
      im_friend_response_fields, sizeof(im_sns_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("friend_delete"),
      im_cmd_friend_delete, IM_SNS_BY,
      im_friend_delete_fields, sizeof(im_sns_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("friend_delete_all"),
      im_cmd_friend_delete_all, IM_SNS_BY,
      im_friend_delete_fields, sizeof(im_sns_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("pendency_delete"),
      im_cmd_pendency_delete, IM_SNS_BY,
      im_pendency_delete_fields, sizeof(im_sns_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("pendency_report"),
      im_cmd_pendency_report, IM_SNS_BY,
      im_pendency_report_fields, sizeof(im_sns_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("PendencyReport"),
      im_cmd_pendency_report, IM_SNS_BY,
      im_pendency_report_fields, sizeof(im_sns_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("black_list_add"),
      im_cmd_black_list_add, IM_SNS_BY,
      im_friend_delete_fields, sizeof(im_sns_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("black_list_delete"),
      im_cmd_black_list_delete, IM_SNS_BY,
      im_friend_delete_fields, sizeof(im_sns_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_friend_add(im_ctx_t *ctx, void *data)
{
    im_sns_req_t  *req = data;

    im_rel_e          *results;
    im_code_t          code;
    ngx_str_t         *peers, user;
    ngx_uint_t         i, n, how, allowed;
    im_profile_t       profile;
    im_friend_item_t  *items;

    how = 0;

    if (im_str_eq_c(&req->type, "Add_Type_Single")) {
        how |= IM_FRIEND_ONE_WAY;

    } else if (req->type.data && !im_str_eq_c(&req->type, "Add_Type_Both")) {
        ngx_str_set(&ctx->info, "\"AddType\" is illegal");
        return im_sns_code(ctx, IM_SNS_FRIEND_ADD, IM_REL_TYPE);
    }

    if (req->force.value) {
        if (ctx->role != IM_ROLE_ADMIN) {
            return ctx->app->b_codes ? IM_E_B_ADD_FORCE : IM_E_SNS_ADMIN;
        }

        how |= IM_FRIEND_FORCE;
    }

    code = im_sns_begin_items(ctx, IM_SNS_FRIEND_ADD, req, im_sns_add_item,
                              &user, &peers, &n, &items, &results);
    if (code != IM_OK) {
        return code;
    }

    if (im_profile_get(ctx, &user, &profile) != NGX_OK) {
        return IM_E_SNS_INTERNAL;
    }

    if (!(how & IM_FRIEND_FORCE)
        && im_str_eq_c(&profile.forbid, "AdminForbid_Type_SendOut"))
    {
        return im_sns_code(ctx, IM_SNS_FRIEND_ADD, IM_REL_FORBIDDEN);
    }

    allowed = im_sns_rate(ctx, "friend_add", n);

    im_friend_add(ctx, &user, peers, allowed, items, how, results);

    for (i = allowed; i < n; i++) {
        results[i] = IM_REL_ADD_RATE;
    }

    im_sns_results(ctx, IM_SNS_FRIEND_ADD, peers, n, results, items);

    return IM_OK;
}


static im_code_t
im_cmd_friend_import(im_ctx_t *ctx, void *data)
{
    return im_sns_run_items(ctx, IM_SNS_FRIEND_IMPORT, data,
                            im_sns_import_item, im_friend_import);
}


static im_code_t
im_cmd_friend_update(im_ctx_t *ctx, void *data)
{
    return im_sns_run_items(ctx, IM_SNS_FRIEND_UPDATE, data,
                            im_sns_update_item, im_friend_update);
}


static im_code_t
im_cmd_friend_response(im_ctx_t *ctx, void *data)
{
    return im_sns_run_items(ctx, IM_SNS_FRIEND_RESPONSE, data,
                            im_sns_response_item, im_friend_respond);
}


static im_code_t
im_cmd_friend_delete(im_ctx_t *ctx, void *data)
{
    im_sns_req_t  *req = data;

    im_rel_e    *results;
    im_code_t    code;
    ngx_str_t   *peers, user;
    ngx_uint_t   i, n, both, allowed;

    code = im_sns_delete_type(ctx, &req->type, &both);
    if (code != IM_OK) {
        return code;
    }

    code = im_sns_begin(ctx, IM_SNS_FRIEND_DELETE, &req->from, req->list, &user,
                        &peers, &n, &results);
    if (code != IM_OK) {
        return code;
    }

    allowed = im_sns_rate(ctx, "friend_delete", n);

    im_friend_delete(ctx, &user, peers, allowed, both, results);

    for (i = allowed; i < n; i++) {
        results[i] = IM_REL_DELETE_RATE;
    }

    im_sns_results(ctx, IM_SNS_FRIEND_DELETE, peers, n, results, NULL);

    return IM_OK;
}


static im_code_t
im_cmd_friend_delete_all(im_ctx_t *ctx, void *data)
{
    im_sns_req_t  *req = data;

    im_code_t   code;
    ngx_str_t   user;
    ngx_uint_t  both;

    code = im_sns_delete_type(ctx, &req->type, &both);
    if (code != IM_OK) {
        return code;
    }

    code = im_sns_from(ctx, &req->from, &user);
    if (code != IM_OK) {
        return code;
    }

    return im_sns_code(ctx, IM_SNS_FRIEND_DELETE,
                       im_friend_delete_all(ctx, &user, both));
}


static im_code_t
im_cmd_pendency_delete(im_ctx_t *ctx, void *data)
{
    im_sns_req_t  *req = data;

    im_rel_e    *results;
    im_code_t    code;
    ngx_str_t   *peers, user;
    ngx_uint_t   n, dir;

    if (im_str_eq_c(&req->type, "Pendency_Type_ComeIn")) {
        dir = IM_REQ_IN;

    } else if (im_str_eq_c(&req->type, "Pendency_Type_SendOut")) {
        dir = IM_REQ_OUT;

    } else {
        ngx_str_set(&ctx->info, "\"PendencyType\" is illegal");
        return im_sns_code(ctx, IM_SNS_PENDENCY_DELETE, IM_REL_TYPE);
    }

    code = im_sns_begin(ctx, IM_SNS_PENDENCY_DELETE, &req->from, req->list,
                        &user, &peers, &n, &results);
    if (code != IM_OK) {
        return code;
    }

    im_pendency_delete(ctx, &user, peers, n, dir, results);
    im_sns_results(ctx, IM_SNS_PENDENCY_DELETE, peers, n, results, NULL);

    return IM_OK;
}


static im_code_t
im_cmd_pendency_report(im_ctx_t *ctx, void *data)
{
    im_sns_req_t  *req = data;

    return im_sns_report(ctx, IM_SNS_PENDENCY_GET, &req->from,
                         req->time.value, im_pendency_report);
}


static im_code_t
im_cmd_black_list_add(im_ctx_t *ctx, void *data)
{
    im_sns_req_t  *req = data;

    return im_sns_each(ctx, IM_SNS_BLACK_ADD, &req->from, req->list,
                       im_black_add);
}


static im_code_t
im_cmd_black_list_delete(im_ctx_t *ctx, void *data)
{
    im_sns_req_t  *req = data;

    return im_sns_each(ctx, IM_SNS_BLACK_DELETE, &req->from, req->list,
                       im_black_delete);
}


/* Who acts, on whom, where the list is one of objects. */

static im_code_t
im_sns_begin_items(im_ctx_t *ctx, im_sns_e cmd, im_sns_req_t *req,
    im_sns_item_pt parse, ngx_str_t *user, ngx_str_t **peers, ngx_uint_t *n,
    im_friend_item_t **items, im_rel_e **results)
{
    im_code_t          code;
    im_json_t        **nodes;
    ngx_uint_t         i;
    im_friend_item_t  *item;

    code = im_sns_accounts(ctx, cmd, req->list, IM_SNS_ACCOUNTS, peers,
                           &nodes, n);
    if (code != IM_OK) {
        return code;
    }

    *results = ngx_pcalloc(ctx->pool, *n * sizeof(im_rel_e));
    item = ngx_pcalloc(ctx->pool, *n * sizeof(im_friend_item_t));

    if (*results == NULL || item == NULL) {
        return IM_E_SNS_INTERNAL;
    }

    *items = item;

    code = im_sns_from(ctx, &req->from, user);
    if (code != IM_OK) {
        return code;
    }

    for (i = 0; i < *n; i++) {
        item[i].wrong = parse(ctx, nodes[i], &item[i]);
    }

    return IM_OK;
}


static im_code_t
im_sns_run_items(im_ctx_t *ctx, im_sns_e cmd, im_sns_req_t *req,
    im_sns_item_pt parse, im_sns_run_pt run)
{
    im_rel_e          *results;
    im_code_t          code;
    ngx_str_t         *peers, user;
    ngx_uint_t         n;
    im_friend_item_t  *items;

    code = im_sns_begin_items(ctx, cmd, req, parse, &user, &peers, &n, &items,
                              &results);
    if (code != IM_OK) {
        return code;
    }

    run(ctx, &user, peers, n, items, results);

    im_sns_results(ctx, cmd, peers, n, results, items);

    return IM_OK;
}


static im_code_t
im_sns_delete_type(im_ctx_t *ctx, ngx_str_t *type, ngx_uint_t *both)
{
    *both = im_str_eq_c(type, "Delete_Type_Both");

    if (type->data && !*both && !im_str_eq_c(type, "Delete_Type_Single")) {
        ngx_str_set(&ctx->info, "\"DeleteType\" is illegal");
        return im_sns_code(ctx, IM_SNS_FRIEND_DELETE, IM_REL_TYPE);
    }

    return IM_OK;
}


/* How many of n a user may do now. */

static ngx_uint_t
im_sns_rate(im_ctx_t *ctx, const char *what, ngx_uint_t n)
{
    u_char      key[IM_ZONE_KEY_LEN];
    ngx_str_t   parts[2];
    ngx_uint_t  i, rate;

    rate = ctx->app->friend_rate;

    if (rate == 0 || ctx->role == IM_ROLE_ADMIN) {
        return n;
    }

    parts[0].data = (u_char *) what;
    parts[0].len = ngx_strlen(what);
    parts[1] = ctx->user;

    im_zone_key(key, ctx->app->id, IM_KEY_RATE, parts, 2);

    for (i = 0; i < n; i++) {
        if (im_rate_take(key, rate, rate, ngx_current_msec) != NGX_OK) {
            break;
        }
    }

    return i;
}
