
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "live/im_zone.h"
#include "domain/im_profile.h"
#include "api/im_sns.h"


/* Commands that change relations. */

#define IM_SNS_REMARK   96           /* bytes */
#define IM_SNS_WORDING  256
#define IM_SNS_VALUE    500
#define IM_SNS_SOURCE   "AddSource_Type_"
#define IM_SNS_TAGS     64


typedef struct {
    ngx_str_t          from;
    im_json_t         *list;
    ngx_str_t          type;
    im_int_t           force;
    im_int_t           time;
} im_sns_req_t;


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
static im_code_t im_sns_begin(im_ctx_t *ctx, im_sns_e cmd, im_sns_req_t *req,
    ngx_str_t *user, ngx_str_t **peers, ngx_uint_t *n,
    im_friend_item_t **items, im_json_t ***nodes, im_rel_e **results);
static im_code_t im_sns_delete_type(im_ctx_t *ctx, ngx_str_t *type,
    ngx_uint_t *both);
static ngx_uint_t im_sns_rate(im_ctx_t *ctx, const char *what,
    ngx_uint_t n);
static im_rel_e im_sns_add_item(im_ctx_t *ctx, im_json_t *node,
    ngx_uint_t groups, im_friend_item_t *item);
static im_rel_e im_sns_import_item(im_ctx_t *ctx, im_json_t *node,
    im_friend_item_t *item);
static im_rel_e im_sns_update_item(im_ctx_t *ctx, im_json_t *node,
    im_friend_item_t *item);
static im_rel_e im_sns_update_tag(im_ctx_t *ctx, im_json_t *node,
    im_friend_item_t *item);
static im_rel_e im_sns_response_item(im_ctx_t *ctx, im_json_t *node,
    im_friend_item_t *item);
static im_rel_e im_sns_text(im_json_t *node, const char *name, size_t max,
    ngx_str_t *text);
static im_rel_e im_sns_group(im_ctx_t *ctx, im_json_t *value, ngx_uint_t max,
    im_friend_item_t *item);
static im_rel_e im_sns_custom(im_ctx_t *ctx, ngx_str_t *tag,
    im_json_t *value, im_friend_item_t *item);


static im_field_t  im_friend_add_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("AddFriendItem"), IM_LIST, IM_OPTIONAL,
      offsetof(im_sns_req_t, list), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("AddType"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_req_t, type), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("ForceAddFlags"), IM_INT, IM_OPTIONAL,
      offsetof(im_sns_req_t, force), 0, 1, IM_E_SNS_PARAM, 0 },

      im_null_field
};


static im_field_t  im_friend_update_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("UpdateItem"), IM_LIST, IM_OPTIONAL,
      offsetof(im_sns_req_t, list), 0, 0, IM_E_SNS_PARAM, 0 },

      im_null_field
};


static im_field_t  im_friend_response_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("ResponseFriendItem"), IM_LIST, IM_OPTIONAL,
      offsetof(im_sns_req_t, list), 0, 0, IM_E_SNS_PARAM, 0 },

      im_null_field
};


static im_field_t  im_friend_delete_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("To_Account"), IM_LIST, IM_OPTIONAL,
      offsetof(im_sns_req_t, list), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("DeleteType"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_req_t, type), 0, 0, IM_E_SNS_PARAM, 0 },

      im_null_field
};


static im_field_t  im_pendency_delete_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("To_Account"), IM_LIST, IM_OPTIONAL,
      offsetof(im_sns_req_t, list), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("PendencyType"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_req_t, type), 0, 0, IM_E_SNS_PARAM, 0 },

      im_null_field
};


static im_field_t  im_pendency_report_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("LatestPendencyTimeStamp"), IM_INT, IM_REQUIRED,
      offsetof(im_sns_req_t, time), 0, 4294967295, IM_E_SNS_PARAM, 0 },

      im_null_field
};


#define IM_SNS_BY  IM_BY_ADMIN|IM_BY_SELF|IM_BY_USER

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
    im_json_t        **nodes;
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

    code = im_sns_begin(ctx, IM_SNS_FRIEND_ADD, req, &user, &peers, &n,
                        &items, &nodes, &results);
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

    for (i = 0; i < n; i++) {
        items[i].wrong = im_sns_add_item(ctx, nodes[i], 1, &items[i]);
    }

    allowed = im_sns_rate(ctx, "friend_add", n);

    im_friend_add(ctx, &user, peers, allowed, items, how, results);

    for (i = allowed; i < n; i++) {
        results[i] = IM_REL_ADD_RATE;
    }

    im_sns_results(ctx, IM_SNS_FRIEND_ADD, "ResultItem", peers, n, results);

    return IM_OK;
}


static im_code_t
im_cmd_friend_import(im_ctx_t *ctx, void *data)
{
    im_rel_e          *results;
    im_code_t          code;
    ngx_str_t         *peers, user;
    im_json_t        **nodes;
    ngx_uint_t         i, n;
    im_friend_item_t  *items;

    code = im_sns_begin(ctx, IM_SNS_FRIEND_IMPORT, data, &user, &peers, &n,
                        &items, &nodes, &results);
    if (code != IM_OK) {
        return code;
    }

    for (i = 0; i < n; i++) {
        items[i].wrong = im_sns_import_item(ctx, nodes[i], &items[i]);
    }

    im_friend_import(ctx, &user, peers, n, items, results);
    im_sns_results(ctx, IM_SNS_FRIEND_IMPORT, "ResultItem", peers, n,
                   results);

    return IM_OK;
}


static im_code_t
im_cmd_friend_update(im_ctx_t *ctx, void *data)
{
    im_rel_e          *results;
    im_code_t          code;
    ngx_str_t         *peers, user;
    im_json_t        **nodes;
    ngx_uint_t         i, n;
    im_friend_item_t  *items;

    code = im_sns_begin(ctx, IM_SNS_FRIEND_UPDATE, data, &user, &peers, &n,
                        &items, &nodes, &results);
    if (code != IM_OK) {
        return code;
    }

    for (i = 0; i < n; i++) {
        items[i].wrong = im_sns_update_item(ctx, nodes[i], &items[i]);
    }

    im_friend_update(ctx, &user, peers, n, items, results);
    im_sns_results(ctx, IM_SNS_FRIEND_UPDATE, "ResultItem", peers, n,
                   results);

    return IM_OK;
}


static im_code_t
im_cmd_friend_response(im_ctx_t *ctx, void *data)
{
    im_rel_e          *results;
    im_code_t          code;
    ngx_str_t         *peers, user;
    im_json_t        **nodes;
    ngx_uint_t         i, n;
    im_friend_item_t  *items;

    code = im_sns_begin(ctx, IM_SNS_FRIEND_RESPONSE, data, &user, &peers, &n,
                        &items, &nodes, &results);
    if (code != IM_OK) {
        return code;
    }

    for (i = 0; i < n; i++) {
        items[i].wrong = im_sns_response_item(ctx, nodes[i], &items[i]);
    }

    im_friend_respond(ctx, &user, peers, n, items, results);
    im_sns_results(ctx, IM_SNS_FRIEND_RESPONSE, "ResultItem", peers, n,
                   results);

    return IM_OK;
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

    code = im_sns_begin(ctx, IM_SNS_FRIEND_DELETE, req, &user, &peers, &n,
                        NULL, NULL, &results);
    if (code != IM_OK) {
        return code;
    }

    allowed = im_sns_rate(ctx, "friend_delete", n);

    im_friend_delete(ctx, &user, peers, allowed, both, results);

    for (i = allowed; i < n; i++) {
        results[i] = IM_REL_DELETE_RATE;
    }

    im_sns_results(ctx, IM_SNS_FRIEND_DELETE, "ResultItem", peers, n,
                   results);

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

    code = im_sns_begin(ctx, IM_SNS_PENDENCY_DELETE, req, &user, &peers, &n,
                        NULL, NULL, &results);
    if (code != IM_OK) {
        return code;
    }

    im_pendency_delete(ctx, &user, peers, n, dir, results);
    im_sns_results(ctx, IM_SNS_PENDENCY_DELETE, "ResultItem", peers, n,
                   results);

    return IM_OK;
}


static im_code_t
im_cmd_pendency_report(im_ctx_t *ctx, void *data)
{
    im_sns_req_t  *req = data;

    im_code_t  code;
    ngx_str_t  user;

    code = im_sns_from(ctx, &req->from, &user);
    if (code != IM_OK) {
        return code;
    }

    return im_sns_code(ctx, IM_SNS_PENDENCY_GET,
                       im_pendency_report(ctx, &user, req->time.value));
}


static im_code_t
im_cmd_black_list_add(im_ctx_t *ctx, void *data)
{
    im_rel_e    *results;
    im_code_t    code;
    ngx_str_t   *peers, user;
    ngx_uint_t   n;

    code = im_sns_begin(ctx, IM_SNS_BLACK_ADD, data, &user, &peers, &n,
                        NULL, NULL, &results);
    if (code != IM_OK) {
        return code;
    }

    im_black_add(ctx, &user, peers, n, results);
    im_sns_results(ctx, IM_SNS_BLACK_ADD, "ResultItem", peers, n, results);

    return IM_OK;
}


static im_code_t
im_cmd_black_list_delete(im_ctx_t *ctx, void *data)
{
    im_rel_e    *results;
    im_code_t    code;
    ngx_str_t   *peers, user;
    ngx_uint_t   n;

    code = im_sns_begin(ctx, IM_SNS_BLACK_DELETE, data, &user, &peers, &n,
                        NULL, NULL, &results);
    if (code != IM_OK) {
        return code;
    }

    im_black_delete(ctx, &user, peers, n, results);
    im_sns_results(ctx, IM_SNS_BLACK_DELETE, "ResultItem", peers, n,
                   results);

    return IM_OK;
}


/* Who acts, on whom.  items and nodes are NULL where the list is one of
 * accounts. */

static im_code_t
im_sns_begin(im_ctx_t *ctx, im_sns_e cmd, im_sns_req_t *req, ngx_str_t *user,
    ngx_str_t **peers, ngx_uint_t *n, im_friend_item_t **items,
    im_json_t ***nodes, im_rel_e **results)
{
    im_code_t  code;

    code = im_sns_accounts(ctx, cmd, req->list, IM_SNS_ACCOUNTS, peers,
                           nodes, n);
    if (code != IM_OK) {
        return code;
    }

    *results = ngx_pcalloc(ctx->pool, *n * sizeof(im_rel_e));
    if (*results == NULL) {
        return IM_E_SNS_INTERNAL;
    }

    if (items) {
        *items = ngx_pcalloc(ctx->pool, *n * sizeof(im_friend_item_t));
        if (*items == NULL) {
            return IM_E_SNS_INTERNAL;
        }
    }

    return im_sns_from(ctx, &req->from, user);
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


/* groups: how many may be named. */

static im_rel_e
im_sns_add_item(im_ctx_t *ctx, im_json_t *node, ngx_uint_t groups,
    im_friend_item_t *item)
{
    u_char     *p, *last;
    size_t      len;
    im_rel_e    result;

    result = im_sns_text(node, "AddSource", 0, &item->source);
    if (result != IM_REL_OK) {
        return result;
    }

    len = sizeof(IM_SNS_SOURCE) - 1;

    if (item->source.len <= len
        || item->source.len > len + 8
        || ngx_memcmp(item->source.data, IM_SNS_SOURCE, len) != 0)
    {
        return IM_REL_SOURCE;
    }

    last = item->source.data + item->source.len;

    for (p = item->source.data + len; p < last; p++) {
        if ((u_char) ((*p | 0x20) - 'a') > 'z' - 'a') {
            return IM_REL_SOURCE;
        }
    }

    result = im_sns_text(node, "Remark", IM_SNS_REMARK, &item->remark);

    if (result == IM_REL_OK) {
        result = im_sns_text(node, "AddWording", IM_SNS_WORDING,
                             &item->wording);
    }

    if (result == IM_REL_OK) {
        result = im_sns_group(ctx, im_json_get(node, "GroupName"), groups,
                              item);
    }

    return result;
}


static im_rel_e
im_sns_import_item(im_ctx_t *ctx, im_json_t *node, im_friend_item_t *item)
{
    im_rel_e    result;
    ngx_str_t   tag;
    im_json_t  *list, *value;

    result = im_sns_add_item(ctx, node, ctx->app->friend_groups_max, item);

    if (result != IM_REL_OK) {
        return result;
    }

    if (im_json_get_int(node, "RemarkTime", &item->retime) == NGX_ERROR
        || im_json_get_int(node, "AddTime", &item->added) == NGX_ERROR
        || item->retime < 0 || item->added < 0)
    {
        return IM_REL_PARAM;
    }

    list = NULL;

    if (im_json_get_list(node, "CustomItem", &list) == NGX_ERROR) {
        return IM_REL_PARAM;
    }

    item->custom = im_json_new_obj(ctx->pool);

    im_json_each(value, list) {

        if (im_json_get_str(value, "Tag", &tag) != NGX_OK) {
            return IM_REL_TAGS;
        }

        result = im_sns_custom(ctx, &tag, im_json_get(value, "Value"), item);
        if (result != IM_REL_OK) {
            return result;
        }
    }

    return IM_REL_OK;
}


static im_rel_e
im_sns_update_item(im_ctx_t *ctx, im_json_t *node, im_friend_item_t *item)
{
    im_rel_e    result;
    im_json_t  *list, *value;

    if (im_json_get_list(node, "SnsItem", &list) != NGX_OK
        || list->n == 0 || list->n > IM_SNS_TAGS)
    {
        return IM_REL_PARAM;
    }

    item->custom = im_json_new_obj(ctx->pool);

    im_json_each(value, list) {

        result = im_sns_update_tag(ctx, value, item);
        if (result != IM_REL_OK) {
            return result;
        }
    }

    return IM_REL_OK;
}


static im_rel_e
im_sns_update_tag(im_ctx_t *ctx, im_json_t *node, im_friend_item_t *item)
{
    ngx_str_t   tag;
    im_json_t  *value;

    value = im_json_get(node, "Value");

    if (value == NULL || im_json_get_str(node, "Tag", &tag) != NGX_OK) {
        return IM_REL_PARAM;
    }

    if (im_str_eq_c(&tag, "Tag_SNS_IM_Remark")) {
        item->set_remark = 1;
        return im_sns_text(node, "Value", IM_SNS_REMARK, &item->remark);
    }

    if (im_str_eq_c(&tag, "Tag_SNS_IM_Group")) {
        item->set_groups = 1;
        return im_sns_group(ctx, value, ctx->app->friend_groups_max, item);
    }

    return im_sns_custom(ctx, &tag, value, item);
}


static im_rel_e
im_sns_response_item(im_ctx_t *ctx, im_json_t *node, im_friend_item_t *item)
{
    im_rel_e   result;
    ngx_str_t  action;

    if (im_json_get_str(node, "ResponseAction", &action) != NGX_OK) {
        return IM_REL_TYPE;
    }

    if (im_str_eq_c(&action, "Response_Action_AgreeAndAdd")) {
        item->agree = 1;
        item->mutual = 1;

    } else if (im_str_eq_c(&action, "Response_Action_Agree")) {
        item->agree = 1;

    } else if (!im_str_eq_c(&action, "Response_Action_Reject")) {
        return IM_REL_TYPE;
    }

    result = im_sns_text(node, "Remark", IM_SNS_REMARK, &item->remark);

    if (result == IM_REL_OK) {
        result = im_sns_group(ctx, im_json_get(node, "TagName"), 1, item);
    }

    return result;
}


/* An optional text. */

static im_rel_e
im_sns_text(im_json_t *node, const char *name, size_t max, ngx_str_t *text)
{
    ngx_int_t  rc;

    rc = im_json_get_str(node, name, text);

    if (rc == NGX_DECLINED) {
        return IM_REL_OK;
    }

    if (rc != NGX_OK
        || ngx_strlchr(text->data, text->data + text->len, '\0'))
    {
        return IM_REL_PARAM;
    }

    return (max && text->len > max) ? IM_REL_LENGTH : IM_REL_OK;
}


/* A name, or a list of them; an empty single name is none. */

static im_rel_e
im_sns_group(im_ctx_t *ctx, im_json_t *value, ngx_uint_t max,
    im_friend_item_t *item)
{
    im_json_t   *node;
    ngx_uint_t   n;

    if (value == NULL || value->type == IM_JSON_NULL) {
        return IM_REL_OK;
    }

    if (value->type == IM_JSON_STR && value->u.text.len == 0) {
        return IM_REL_OK;
    }

    if (value->type != IM_JSON_STR && value->type != IM_JSON_LIST) {
        return IM_REL_PARAM;
    }

    n = (value->type == IM_JSON_STR) ? 1 : value->n;

    if (n > max) {
        return (max == 1) ? IM_REL_PARAM : IM_REL_GROUPS_FULL;
    }

    item->groups = ngx_palloc(ctx->pool, (n + 1) * sizeof(ngx_str_t));
    if (item->groups == NULL) {
        return IM_REL_INTERNAL;
    }

    item->ngroups = n;

    if (value->type == IM_JSON_STR) {
        item->groups[0] = value->u.text;
        return im_sns_group_name(&item->groups[0]) ? IM_REL_OK
                                                   : IM_REL_LENGTH;
    }

    n = 0;

    im_json_each(node, value) {

        if (node->type != IM_JSON_STR) {
            return IM_REL_PARAM;
        }

        if (!im_sns_group_name(&node->u.text)) {
            return IM_REL_LENGTH;
        }

        item->groups[n++] = node->u.text;
    }

    return IM_REL_OK;
}


static im_rel_e
im_sns_custom(im_ctx_t *ctx, ngx_str_t *tag, im_json_t *value,
    im_friend_item_t *item)
{
    ngx_uint_t       right;
    im_app_field_t  *field;

    field = im_friend_field(ctx, tag);
    right = (ctx->role == IM_ROLE_ADMIN) ? IM_FIELD_ADMIN : IM_FIELD_USER;

    if (field == NULL || !(field->write & right)) {
        return IM_REL_TAGS;
    }

    if (value == NULL) {
        return IM_REL_PARAM;
    }

    if (value->type == IM_JSON_STR && field->type == IM_FIELD_STR) {
        if (value->u.text.len > IM_SNS_VALUE) {
            return IM_REL_LENGTH;
        }

    } else if (value->type != IM_JSON_NUM || !value->is_int) {
        return IM_REL_PARAM;
    }

    im_json_add_node(item->custom, (char *) field->name.data, value);

    return IM_REL_OK;
}
