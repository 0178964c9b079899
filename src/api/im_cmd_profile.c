
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_profile.h"
#include "api/im_cmd.h"


#define IM_PROFILE_MAX     100
#define IM_PROFILE_SEARCH  20


typedef struct {
    ngx_str_t          from;
    im_json_t         *to;
    im_strs_t          tags;
} im_portrait_get_req_t;


typedef struct {
    ngx_str_t          from;
    im_json_t         *items;
} im_portrait_set_req_t;


typedef struct {
    ngx_str_t          keyword;
    im_int_t           limit;
    ngx_str_t          next;
} im_portrait_search_req_t;


static im_code_t im_cmd_portrait_get(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_portrait_get_all(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_portrait_set(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_portrait_search(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_profile_load(im_ctx_t *ctx, ngx_str_t *users,
    ngx_uint_t n, u_char **exists, im_profile_t **profiles);
static ngx_uint_t im_cmd_profile_users(ngx_str_t *users, ngx_uint_t n,
    ngx_str_t *user);


static im_field_t  im_portrait_get_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_portrait_get_req_t, from), 0, 0, IM_E_PROFILE_PARAM, 0 },

    { ngx_string("To_Account"), IM_LIST, IM_REQUIRED,
      offsetof(im_portrait_get_req_t, to), 0, IM_PROFILE_MAX,
      IM_E_PROFILE_NO_TO, IM_E_PROFILE_PARAM },

    { ngx_string("TagList"), IM_STRS, IM_REQUIRED,
      offsetof(im_portrait_get_req_t, tags), 1, 64, IM_E_PROFILE_PARAM, 0 },

      im_null_field
};


static im_field_t  im_portrait_all_fields[] = {

    { ngx_string("UserItem"), IM_LIST, IM_REQUIRED,
      offsetof(im_portrait_get_req_t, to), 0, IM_PROFILE_MAX,
      IM_E_PROFILE_PARAM, 0 },

      im_null_field
};


static im_field_t  im_portrait_set_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_portrait_set_req_t, from), 0, 0, IM_E_PROFILE_PARAM, 0 },

    { ngx_string("ProfileItem"), IM_LIST, IM_REQUIRED,
      offsetof(im_portrait_set_req_t, items), 1, 64, IM_E_PROFILE_PARAM, 0 },

      im_null_field
};


static im_field_t  im_portrait_search_fields[] = {

    { ngx_string("Keyword"), IM_STR, IM_REQUIRED|IM_NO_NUL,
      offsetof(im_portrait_search_req_t, keyword), 1, IM_PROFILE_NKEY,
      IM_E_PROFILE_PARAM, 0 },

    { ngx_string("Limit"), IM_INT, IM_OPTIONAL,
      offsetof(im_portrait_search_req_t, limit), 1, IM_PROFILE_MAX,
      IM_E_PROFILE_PARAM, 0 },

    { ngx_string("Next"), IM_STR, IM_OPTIONAL,
      offsetof(im_portrait_search_req_t, next), 0, 0, IM_E_PROFILE_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_profile[] = {

    { ngx_string("profile"), ngx_string("portrait_get"),
      im_cmd_portrait_get, IM_BY_ADMIN|IM_BY_SELF|IM_BY_USER,
      im_portrait_get_fields, sizeof(im_portrait_get_req_t), 0, 0 },

    { ngx_string("profile"), ngx_string("portrait_get_all"),
      im_cmd_portrait_get_all, IM_BY_USER,
      im_portrait_all_fields, sizeof(im_portrait_get_req_t), 0, 0 },

    { ngx_string("profile"), ngx_string("portrait_set"),
      im_cmd_portrait_set, IM_BY_ADMIN|IM_BY_SELF|IM_BY_USER,
      im_portrait_set_fields, sizeof(im_portrait_set_req_t), 0, 0 },

    { ngx_string("profile"), ngx_string("portrait_search"),
      im_cmd_portrait_search, IM_BY_ADMIN|IM_BY_SELF|IM_BY_USER,
      im_portrait_search_fields, sizeof(im_portrait_search_req_t), 0, 0 },

      im_null_command
};


/* From_Account is who asks, if it is there at all. */

static im_code_t
im_cmd_portrait_get(im_ctx_t *ctx, void *data)
{
    im_portrait_get_req_t  *req = data;

    u_char        *exists;
    im_code_t      code;
    ngx_str_t     *users;
    im_json_t     *node, *list, *item, *failed;
    ngx_uint_t     i, k, n;
    im_profile_t  *profiles;

    if (req->from.len
        && ctx->via != IM_VIA_WEB
        && ctx->role != IM_ROLE_ADMIN
        && !im_str_eq(&req->from, &ctx->user))
    {
        return IM_E_PROFILE_ADMIN;
    }

    if (req->to->n == 0) {
        ngx_str_set(&ctx->info, "\"To_Account\" is empty");
        return IM_E_PROFILE_NO_TO;
    }

    users = ngx_palloc(ctx->pool, req->to->n * sizeof(ngx_str_t));
    if (users == NULL) {
        return IM_E_PROFILE_INTERNAL;
    }

    n = 0;

    im_json_each(node, req->to) {

        if (node->type != IM_JSON_STR) {
            ngx_str_set(&ctx->info,
                        "\"To_Account\" must be an array of strings");
            return IM_E_PROFILE_PARAM;
        }

        n = im_cmd_profile_users(users, n, &node->u.text);
    }

    for (k = 0; k < req->tags.n; k++) {
        code = im_profile_may_read(ctx, &req->tags.elts[k]);
        if (code != IM_OK) {
            return code;
        }
    }

    code = im_cmd_profile_load(ctx, users, n, &exists, &profiles);
    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(ctx->reply, "UserProfileItem");
    failed = NULL;

    for (i = 0; i < n; i++) {
        item = im_json_push_obj(list);

        im_json_add_str(item, "To_Account", &users[i]);

        if (!exists[i]) {
            im_json_add_int(item, "ResultCode", IM_E_PROFILE_ACCOUNT);
            im_json_add_cstr(item, "ResultInfo",
                             "Err_Profile_Invalid_Account");

            if (failed == NULL) {
                failed = im_json_add_list(ctx->reply, "Fail_Account");
            }

            im_json_push_str(failed, &users[i]);
            continue;
        }

        im_profile_tags_json(ctx, im_json_add_list(item, "ProfileItem"),
                             &profiles[i], req->tags.elts, req->tags.n);

        im_json_add_int(item, "ResultCode", 0);
        im_json_add_cstr(item, "ResultInfo", "");
    }

    return IM_OK;
}


static im_code_t
im_cmd_portrait_get_all(im_ctx_t *ctx, void *data)
{
    im_portrait_get_req_t  *req = data;

    u_char        *exists;
    im_code_t      code;
    ngx_str_t     *users, user;
    im_json_t     *node, *list, *item;
    ngx_uint_t     i, n;
    im_profile_t  *profiles;

    users = ngx_palloc(ctx->pool, (req->to->n + 1) * sizeof(ngx_str_t));
    if (users == NULL) {
        return IM_E_PROFILE_INTERNAL;
    }

    n = 0;

    im_json_each(node, req->to) {

        if (im_json_get_str(node, "To_Account", &user) != NGX_OK) {
            ngx_str_set(&ctx->info, "\"To_Account\" must be a string");
            return IM_E_PROFILE_PARAM;
        }

        n = im_cmd_profile_users(users, n, &user);
    }

    code = im_cmd_profile_load(ctx, users, n, &exists, &profiles);
    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(ctx->reply, "UserProfileItem");

    for (i = 0; i < n; i++) {
        item = im_json_push_obj(list);

        if (!exists[i]) {
            im_json_add_cstr(item, "To_Account", "@TLS#NOT_FOUND");
            im_json_add_int(item, "ResultCode", IM_E_PROFILE_ACCOUNT);
            im_json_add_cstr(item, "ResultInfo",
                             "Err_Profile_Invalid_Account");
            continue;
        }

        im_json_add_str(item, "To_Account", &users[i]);
        im_profile_json(ctx, im_json_add_list(item, "ProfileItem"),
                        &profiles[i]);
        im_json_add_int(item, "StandardSequence", 0);
        im_json_add_int(item, "CustomSequence", 0);
        im_json_add_int(item, "ResultCode", 0);
        im_json_add_cstr(item, "ResultInfo", "");
    }

    return IM_OK;
}


/* A session writes its own profile, whatever the body says; so does a user
 * in the REST form, who is refused if it says otherwise. */

static im_code_t
im_cmd_portrait_set(im_ctx_t *ctx, void *data)
{
    im_portrait_set_req_t  *req = data;

    ngx_int_t      rc;
    ngx_str_t     *user;
    im_account_t   account;

    user = &req->from;

    if (ctx->via == IM_VIA_WEB) {
        user = &ctx->user;

    } else if (user->len == 0) {
        ngx_str_set(&ctx->info, "\"From_Account\" is missing");
        return IM_E_PROFILE_PARAM;
    }

    if (ctx->role != IM_ROLE_ADMIN && !im_str_eq(user, &ctx->user)) {
        return IM_E_PROFILE_ADMIN;
    }

    rc = im_account_get(ctx, user, &account);

    if (rc == NGX_DECLINED) {
        return IM_E_PROFILE_ACCOUNT;
    }

    if (rc != NGX_OK) {
        return IM_E_PROFILE_INTERNAL;
    }

    return im_profile_set(ctx, user, req->items);
}


/* Not a command of the specification: the app's back end, and users where it
 * is allowed, find accounts by their nicknames. */

static im_code_t
im_cmd_portrait_search(im_ctx_t *ctx, void *data)
{
    im_portrait_search_req_t  *req = data;

    ngx_int_t      rc;
    ngx_str_t      next;
    im_json_t     *list, *item;
    ngx_uint_t     i;
    ngx_array_t    found;
    im_profile_t  *profile;

    if (ctx->role != IM_ROLE_ADMIN && !ctx->app->nick_search) {
        return IM_E_PROFILE_ADMIN;
    }

    rc = im_str_unhex(ctx->pool, &next, &req->next);

    if (rc == NGX_DECLINED) {
        ngx_str_set(&ctx->info, "\"Next\" is not of an answer");
        return IM_E_PROFILE_PARAM;
    }

    if (rc != NGX_OK
        || ngx_array_init(&found, ctx->pool, 16, sizeof(im_profile_t))
           != NGX_OK)
    {
        return IM_E_PROFILE_INTERNAL;
    }

    rc = im_profile_search(ctx, &req->keyword,
                           req->limit.set ? (ngx_uint_t) req->limit.value
                                          : IM_PROFILE_SEARCH,
                           &next, &found);

    if (rc == NGX_DECLINED) {
        ngx_str_set(&ctx->info, "\"Next\" is not of such a search");
        return IM_E_PROFILE_PARAM;
    }

    if (rc != NGX_OK || im_str_hex(ctx->pool, &next, &next) != NGX_OK) {
        return IM_E_PROFILE_INTERNAL;
    }

    profile = found.elts;
    list = im_json_add_list(ctx->reply, "UserProfileItem");

    for (i = 0; i < found.nelts; i++) {
        item = im_json_push_obj(list);

        im_json_add_str(item, "To_Account", &profile[i].user);
        im_profile_json(ctx, im_json_add_list(item, "ProfileItem"),
                        &profile[i]);
        im_json_add_int(item, "ResultCode", 0);
        im_json_add_cstr(item, "ResultInfo", "");
    }

    im_json_add_str(ctx->reply, "Next", &next);

    return IM_OK;
}


static im_code_t
im_cmd_profile_load(im_ctx_t *ctx, ngx_str_t *users, ngx_uint_t n,
    u_char **exists, im_profile_t **profiles)
{
    *exists = ngx_palloc(ctx->pool, n + 1);
    *profiles = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_profile_t));

    if (*exists == NULL || *profiles == NULL) {
        return IM_E_PROFILE_INTERNAL;
    }

    if (im_account_exist(ctx, users, n, *exists) != NGX_OK
        || im_profile_get_many(ctx, users, n, *profiles) != NGX_OK)
    {
        return IM_E_PROFILE_INTERNAL;
    }

    return IM_OK;
}


/* Adds a user once; answers the new number of them. */

static ngx_uint_t
im_cmd_profile_users(ngx_str_t *users, ngx_uint_t n, ngx_str_t *user)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (im_str_eq(&users[i], user)) {
            return n;
        }
    }

    users[n] = *user;

    return n + 1;
}
