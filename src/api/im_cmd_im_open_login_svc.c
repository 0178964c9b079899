
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_login.h"
#include "domain/im_profile.h"
#include "domain/im_purge.h"
#include "domain/im_register.h"
#include "api/im_cmd.h"


#define IM_BATCH_MAX  100


typedef struct {
    ngx_str_t          user_id;
    ngx_str_t          identifier;
    ngx_str_t          nick;
    ngx_str_t          face;
    im_int_t           type;
} im_account_req_t;


typedef struct {
    im_strs_t          accounts;
    im_json_t         *list;
} im_multi_req_t;


typedef struct {
    im_json_t         *list;
} im_items_req_t;


typedef struct {
    ngx_str_t          identifier;
    im_int_t           type;
    ngx_str_t          password;
} im_register_req_t;


static im_code_t im_cmd_account_import(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_multiaccount_import(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_account_delete(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_account_check(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_kick(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_register_account_v1(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_account_id(im_ctx_t *ctx, im_account_req_t *req,
    ngx_str_t **user);
static im_code_t im_cmd_account_create(im_ctx_t *ctx, ngx_str_t *user,
    int64_t type);
static im_code_t im_cmd_account_items(im_ctx_t *ctx, im_json_t *list,
    ngx_str_t *users);
static ngx_uint_t im_cmd_account_reserved(ngx_str_t *user);


static im_field_t  im_account_fields[] = {

    { ngx_string("UserID"), IM_STR, IM_OPTIONAL,
      offsetof(im_account_req_t, user_id), 1, 32, IM_E_LOGIN_PARAM, 0 },

    { ngx_string("Identifier"), IM_STR, IM_OPTIONAL,
      offsetof(im_account_req_t, identifier), 1, 32, IM_E_LOGIN_PARAM, 0 },

    { ngx_string("Nick"), IM_STR, IM_NO_NUL,
      offsetof(im_account_req_t, nick), 0, 500,
      IM_E_LOGIN_PARAM, IM_E_PROFILE_SIZE },

    { ngx_string("FaceUrl"), IM_STR, IM_NO_NUL,
      offsetof(im_account_req_t, face), 0, 500,
      IM_E_LOGIN_PARAM, IM_E_PROFILE_SIZE },

    { ngx_string("Type"), IM_INT, IM_OPTIONAL,
      offsetof(im_account_req_t, type), 0, 1, IM_E_LOGIN_PARAM, 0 },

      im_null_field
};


static im_field_t  im_account_list_fields[] = {

    { ngx_string("AccountList"), IM_LIST, IM_OPTIONAL,
      offsetof(im_multi_req_t, list), 1, IM_BATCH_MAX, IM_E_LOGIN_PARAM, 0 },

    { ngx_string("Accounts"), IM_STRS, IM_OPTIONAL,
      offsetof(im_multi_req_t, accounts), 1, IM_BATCH_MAX,
      IM_E_LOGIN_PARAM, 0 },

      im_null_field
};


static im_field_t  im_kick_fields[] = {

    { ngx_string("UserID"), IM_STR, IM_OPTIONAL,
      offsetof(im_account_req_t, user_id), 1, 32, IM_E_LOGIN_PARAM, 0 },

    { ngx_string("Identifier"), IM_STR, IM_OPTIONAL,
      offsetof(im_account_req_t, identifier), 1, 32, IM_E_LOGIN_PARAM, 0 },

      im_null_field
};


static im_field_t  im_delete_fields[] = {

    { ngx_string("DeleteItem"), IM_LIST, IM_REQUIRED,
      offsetof(im_items_req_t, list), 1, IM_BATCH_MAX, IM_E_LOGIN_PARAM, 0 },

      im_null_field
};


static im_field_t  im_check_fields[] = {

    { ngx_string("CheckItem"), IM_LIST, IM_REQUIRED,
      offsetof(im_items_req_t, list), 1, IM_BATCH_MAX, IM_E_LOGIN_PARAM, 0 },

      im_null_field
};


static im_field_t  im_register_fields[] = {

    { ngx_string("Identifier"), IM_STR, IM_REQUIRED,
      offsetof(im_register_req_t, identifier), 4, 24,
      IM_E_REGISTER_FORMAT, IM_E_REGISTER_LENGTH },

    { ngx_string("IdentifierType"), IM_INT, IM_REQUIRED,
      offsetof(im_register_req_t, type), 1, 3,
      IM_E_REGISTER_FORMAT, IM_E_REGISTER_TYPE },

    { ngx_string("Password"), IM_STR, IM_REQUIRED,
      offsetof(im_register_req_t, password), 8, 16,
      IM_E_REGISTER_FORMAT, IM_E_LOGIN_PARAM },

      im_null_field
};


im_command_t  im_cmd_im_open_login_svc[] = {

    { ngx_string("im_open_login_svc"), ngx_string("account_import"),
      im_cmd_account_import, IM_BY_ADMIN,
      im_account_fields, sizeof(im_account_req_t), 0, 0 },

    { ngx_string("im_open_login_svc"), ngx_string("multiaccount_import"),
      im_cmd_multiaccount_import, IM_BY_ADMIN,
      im_account_list_fields, sizeof(im_multi_req_t), 100, 0 },

    { ngx_string("im_open_login_svc"), ngx_string("account_delete"),
      im_cmd_account_delete, IM_BY_ADMIN,
      im_delete_fields, sizeof(im_items_req_t), 100, 0 },

    { ngx_string("im_open_login_svc"), ngx_string("account_check"),
      im_cmd_account_check, IM_BY_ADMIN,
      im_check_fields, sizeof(im_items_req_t), 100, 0 },

    { ngx_string("im_open_login_svc"), ngx_string("kick"),
      im_cmd_kick, IM_BY_ADMIN,
      im_kick_fields, sizeof(im_account_req_t), 0, 0 },

    { ngx_string("registration_service"), ngx_string("register_account_v1"),
      im_cmd_register_account_v1, IM_BY_ADMIN,
      im_register_fields, sizeof(im_register_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_account_import(im_ctx_t *ctx, void *data)
{
    im_account_req_t  *req = data;

    im_code_t   code;
    ngx_str_t  *user;

    code = im_cmd_account_id(ctx, req, &user);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_account_create(ctx, user, req->type.value);
    if (code != IM_OK) {
        return code;
    }

    return im_profile_set_simple(ctx, user, &req->nick, &req->face);
}


static im_code_t
im_cmd_multiaccount_import(im_ctx_t *ctx, void *data)
{
    im_multi_req_t  *req = data;

    int64_t           *types;
    im_code_t          code, *codes;
    im_json_t         *failed, *item;
    ngx_str_t         *user, *users, name;
    ngx_uint_t         i, n, bad, good, made;
    im_account_req_t  *accounts;

    if (req->list == NULL && req->accounts.elts == NULL) {
        ngx_str_set(&ctx->info, "\"Accounts\" is missing");
        return IM_E_LOGIN_PARAM;
    }

    n = req->list ? req->list->n : req->accounts.n;

    accounts = ngx_pcalloc(ctx->pool, n * sizeof(im_account_req_t));
    codes = ngx_palloc(ctx->pool, n * sizeof(im_code_t));
    users = ngx_palloc(ctx->pool, n * sizeof(ngx_str_t));
    types = ngx_palloc(ctx->pool, n * sizeof(int64_t));

    if (accounts == NULL || codes == NULL || users == NULL || types == NULL)
    {
        return IM_E_LOGIN_INTERNAL;
    }

    i = 0;

    if (req->list) {
        im_json_each(item, req->list) {
            code = im_schema_fill(ctx->pool, item, im_account_fields,
                                  &accounts[i], &ctx->info);

            if (code == NGX_ERROR) {
                return IM_E_LOGIN_INTERNAL;
            }

            if (code != IM_OK) {

                /* refused alone, under the name that it has */

                ngx_str_null(&name);
                (void) im_json_get_str(item, "UserID", &name);

                ngx_memzero(&accounts[i], sizeof(im_account_req_t));
                accounts[i].user_id = name;
                accounts[i].type.value = -1;
            }

            i++;
        }

    } else {
        for ( /* void */ ; i < n; i++) {
            accounts[i].user_id = req->accounts.elts[i];
        }
    }

    good = 0;

    for (i = 0; i < n; i++) {

        codes[i] = IM_E_LOGIN_PARAM;

        if (accounts[i].type.value >= 0) {
            codes[i] = im_cmd_account_id(ctx, &accounts[i], &user);
        }

        if (codes[i] == IM_OK) {
            users[good] = *user;
            types[good++] = accounts[i].type.value;
        }
    }

    /* one by one, if somebody creates the same */

    made = good && im_account_create_many(ctx, users, types, good) == NGX_OK;

    failed = im_json_add_list(ctx->reply, "FailAccounts");
    bad = 0;

    for (i = 0; i < n; i++) {

        code = codes[i];
        user = accounts[i].user_id.data ? &accounts[i].user_id
                                        : &accounts[i].identifier;

        if (code == IM_OK && !made) {
            code = im_cmd_account_create(ctx, user, accounts[i].type.value);
        }

        if (code == IM_OK) {
            code = im_profile_set_simple(ctx, user, &accounts[i].nick,
                                         &accounts[i].face);
        }

        if (code != IM_OK) {
            im_json_push_str(failed, user);
            bad++;
        }
    }

    if (bad == n) {
        return IM_E_LOGIN_PARAM;
    }

    ngx_str_null(&ctx->info);

    return IM_OK;
}


static im_code_t
im_cmd_account_delete(im_ctx_t *ctx, void *data)
{
    im_items_req_t  *req = data;

    im_code_t    code, result;
    ngx_str_t   *users;
    im_json_t   *list, *item;
    ngx_uint_t   i;

    if (!ctx->app->allow_account_delete) {
        return IM_E_DELETE_OFF;
    }

    users = ngx_palloc(ctx->pool, req->list->n * sizeof(ngx_str_t));
    if (users == NULL) {
        return IM_E_LOGIN_INTERNAL;
    }

    code = im_cmd_account_items(ctx, req->list, users);
    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(ctx->reply, "ResultItem");

    for (i = 0; i < req->list->n; i++) {

        if (im_account_is_admin(ctx->app, &users[i])) {
            result = IM_E_LOGIN_PARAM;

        } else {
            result = im_purge_account(ctx, &users[i]);
        }

        item = im_json_push_obj(list);

        im_json_add_str(item, "UserID", &users[i]);
        im_json_add_int(item, "ResultCode", result);

        if (result == IM_OK) {
            im_json_add_cstr(item, "ResultInfo", "");

        } else {
            im_json_add_str(item, "ResultInfo", im_error_text(result));
        }
    }

    return IM_OK;
}


static im_code_t
im_cmd_account_check(im_ctx_t *ctx, void *data)
{
    im_items_req_t  *req = data;

    u_char      *exists;
    im_code_t    code;
    ngx_int_t    rc;
    ngx_str_t   *users;
    im_json_t   *list, *item;
    ngx_uint_t   i, n;

    n = req->list->n;

    users = ngx_palloc(ctx->pool, n * sizeof(ngx_str_t));
    exists = ngx_palloc(ctx->pool, n);

    if (users == NULL || exists == NULL) {
        return IM_E_LOGIN_INTERNAL;
    }

    code = im_cmd_account_items(ctx, req->list, users);
    if (code != IM_OK) {
        return code;
    }

    rc = im_account_exist(ctx, users, n, exists);
    if (rc != NGX_OK) {
        return im_login_code(rc);
    }

    list = im_json_add_list(ctx->reply, "ResultItem");

    for (i = 0; i < n; i++) {
        item = im_json_push_obj(list);

        im_json_add_str(item, "UserID", &users[i]);

        if (!im_account_syntax(ctx->app, &users[i])) {
            im_json_add_int(item, "ResultCode", IM_E_LOGIN_PARAM);
            im_json_add_str(item, "ResultInfo",
                            im_error_text(IM_E_LOGIN_PARAM));
            continue;
        }

        im_json_add_int(item, "ResultCode", 0);
        im_json_add_cstr(item, "ResultInfo", "");
        im_json_add_cstr(item, "AccountStatus",
                         exists[i] ? "Imported" : "NotImported");
    }

    return IM_OK;
}


static im_code_t
im_cmd_kick(im_ctx_t *ctx, void *data)
{
    im_account_req_t  *req = data;

    ngx_int_t   rc;
    ngx_str_t  *user;

    user = req->user_id.data ? &req->user_id : &req->identifier;

    if (user->data == NULL) {
        ngx_str_set(&ctx->info, "\"Identifier\" is missing");
        return IM_E_LOGIN_PARAM;
    }

    rc = im_account_kick(ctx, user);

    if (rc == NGX_DECLINED) {
        return IM_E_NO_ACCOUNT;
    }

    if (rc != NGX_OK) {
        return im_login_code(rc);
    }

    return im_login_close_all(ctx, user, IM_KICK_REST);
}


static im_code_t
im_cmd_register_account_v1(im_ctx_t *ctx, void *data)
{
    im_register_req_t  *req = data;

    if (!ctx->app->hosted_accounts) {
        return IM_E_NOT_HOSTED;
    }

    return im_register(ctx, &req->identifier, req->type.value,
                       &req->password);
}


static im_code_t
im_cmd_account_id(im_ctx_t *ctx, im_account_req_t *req, ngx_str_t **user)
{
    *user = req->user_id.data ? &req->user_id : &req->identifier;

    if ((*user)->data == NULL) {
        ngx_str_set(&ctx->info, "\"Identifier\" is missing");
        return IM_E_LOGIN_PARAM;
    }

    if (!im_account_syntax(ctx->app, *user)) {
        ngx_str_set(&ctx->info, "\"Identifier\" is not a legal UserID");
        return IM_E_LOGIN_PARAM;
    }

    if (im_cmd_account_reserved(*user)) {
        ngx_str_set(&ctx->info, "\"Identifier\" is reserved");
        return IM_E_LOGIN_PARAM;
    }

    return IM_OK;
}


static im_code_t
im_cmd_account_create(im_ctx_t *ctx, ngx_str_t *user, int64_t type)
{
    im_account_t  account;

    return im_login_code(im_account_create(ctx, user, type, &account));
}


static im_code_t
im_cmd_account_items(im_ctx_t *ctx, im_json_t *list, ngx_str_t *users)
{
    ngx_uint_t   i;
    im_json_t   *item;

    i = 0;

    im_json_each(item, list) {
        if (im_json_get_str(item, "UserID", &users[i]) != NGX_OK) {
            ngx_str_set(&ctx->info, "\"UserID\" must be a string");
            return IM_E_LOGIN_PARAM;
        }

        i++;
    }

    return IM_OK;
}


static ngx_uint_t
im_cmd_account_reserved(ngx_str_t *user)
{
    return user->len >= 5
           && (ngx_strncmp(user->data, "@TGS#", 5) == 0
               || ngx_strncmp(user->data, "@TIM#", 5) == 0
               || ngx_strncmp(user->data, "@TLS#", 5) == 0);
}
