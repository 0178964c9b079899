
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "api/im_sns.h"


/* Friend groups. */

#define IM_SNS_GROUPS  32            /* names in one command */


typedef struct {
    ngx_str_t          from;
    im_json_t         *names;
    im_json_t         *to;
    ngx_str_t          old;
    ngx_str_t          new;
    im_json_t         *update;
    ngx_str_t          need;
} im_sns_group_req_t;


static im_code_t im_cmd_sns_group_add(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_sns_group_delete(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_sns_group_get(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_sns_group_update(im_ctx_t *ctx, void *data);
static im_code_t im_sns_group_move(im_ctx_t *ctx, im_sns_group_req_t *req,
    ngx_str_t *user);
static im_code_t im_sns_group_names(im_ctx_t *ctx, im_sns_e cmd,
    im_json_t *list, ngx_str_t **names, ngx_uint_t *n);
static im_code_t im_sns_group_seq(im_ctx_t *ctx, ngx_str_t *user);


static im_field_t  im_sns_group_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_group_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("GroupName"), IM_LIST, IM_OPTIONAL,
      offsetof(im_sns_group_req_t, names), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("To_Account"), IM_LIST, IM_OPTIONAL,
      offsetof(im_sns_group_req_t, to), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("NeedFriend"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_group_req_t, need), 0, 0, IM_E_SNS_PARAM, 0 },

      im_null_field
};


static im_field_t  im_sns_group_update_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_group_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("GroupOldName"), IM_STR, IM_REQUIRED|IM_NO_NUL,
      offsetof(im_sns_group_req_t, old), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("GroupNewName"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_group_req_t, new), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("UpdateGroupItem"), IM_LIST, IM_OPTIONAL,
      offsetof(im_sns_group_req_t, update), 0, 0, IM_E_SNS_PARAM, 0 },

      im_null_field
};


#define IM_SNS_BY  IM_BY_ADMIN|IM_BY_SELF|IM_BY_USER

im_command_t  im_cmd_sns_group[] = {

    { ngx_string("sns"), ngx_string("group_add"),
      im_cmd_sns_group_add, IM_SNS_BY,
      im_sns_group_fields, sizeof(im_sns_group_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("group_delete"),
      im_cmd_sns_group_delete, IM_SNS_BY,
      im_sns_group_fields, sizeof(im_sns_group_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("group_get"),
      im_cmd_sns_group_get, IM_SNS_BY,
      im_sns_group_fields, sizeof(im_sns_group_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("group_update"),
      im_cmd_sns_group_update, IM_SNS_BY,
      im_sns_group_update_fields, sizeof(im_sns_group_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_sns_group_add(im_ctx_t *ctx, void *data)
{
    im_sns_group_req_t  *req = data;

    im_rel_e     result, *results;
    im_code_t    code;
    ngx_str_t   *names, *peers, user;
    ngx_uint_t   n, npeers;

    code = im_sns_group_names(ctx, IM_SNS_GROUP_ADD, req->names, &names, &n);
    if (code != IM_OK) {
        return code;
    }

    npeers = 0;
    peers = NULL;
    results = NULL;

    if (req->to && req->to->n) {
        code = im_sns_accounts(ctx, IM_SNS_GROUP_ADD, req->to,
                               IM_SNS_ACCOUNTS, &peers, NULL, &npeers);
        if (code != IM_OK) {
            return code;
        }
    }

    code = im_sns_from(ctx, &req->from, &user);
    if (code != IM_OK) {
        return code;
    }

    if (npeers) {
        results = ngx_pcalloc(ctx->pool, npeers * sizeof(im_rel_e));
        if (results == NULL) {
            return IM_E_SNS_INTERNAL;
        }
    }

    result = im_friend_group_add(ctx, &user, names, n, peers, npeers,
                                 results);

    if (result != IM_REL_OK) {
        return im_sns_code(ctx, IM_SNS_GROUP_ADD, result);
    }

    if (npeers) {
        im_sns_results(ctx, IM_SNS_GROUP_ADD, peers, npeers, results, NULL);
    }

    return im_sns_group_seq(ctx, &user);
}


static im_code_t
im_cmd_sns_group_delete(im_ctx_t *ctx, void *data)
{
    im_sns_group_req_t  *req = data;

    im_rel_e     result;
    im_code_t    code;
    ngx_str_t   *names, user;
    ngx_uint_t   n;

    code = im_sns_group_names(ctx, IM_SNS_GROUP_DELETE, req->names, &names,
                              &n);
    if (code != IM_OK) {
        return code;
    }

    code = im_sns_from(ctx, &req->from, &user);
    if (code != IM_OK) {
        return code;
    }

    result = im_friend_group_delete(ctx, &user, names, n);

    if (result != IM_REL_OK) {
        return im_sns_code(ctx, IM_SNS_GROUP_DELETE, result);
    }

    return im_sns_group_seq(ctx, &user);
}


static im_code_t
im_cmd_sns_group_get(im_ctx_t *ctx, void *data)
{
    im_sns_group_req_t  *req = data;

    ngx_str_t           user;
    im_code_t           code;
    im_json_t          *list, *item, *name, *accounts;
    ngx_uint_t          i, k, n, need, members;
    ngx_array_t         friends;
    im_friend_t        *row;
    im_friend_group_t  *groups;

    need = im_str_eq_c(&req->need, "Need_Friend_Type_Yes");

    if (req->need.data && !need
        && !im_str_eq_c(&req->need, "Need_Friend_Type_No"))
    {
        ngx_str_set(&ctx->info, "\"NeedFriend\" is illegal");
        return IM_E_SNS_PARAM;
    }

    code = im_sns_from(ctx, &req->from, &user);
    if (code != IM_OK) {
        return code;
    }

    if (ngx_array_init(&friends, ctx->pool, 64, sizeof(im_friend_t))
        != NGX_OK
        || im_rel_read_groups(ctx, &user, &groups, &n) != NGX_OK
        || (n && im_friend_list(ctx, &user, 0, ctx->app->friends_max,
                                &friends)
                 != NGX_OK))
    {
        return IM_E_SNS_INTERNAL;
    }

    row = friends.elts;
    list = im_json_add_list(ctx->reply, "ResultItem");

    for (i = 0; i < n; i++) {

        if (req->names && req->names->n) {

            im_json_each(name, req->names) {
                if (name->type == IM_JSON_STR
                    && im_str_eq(&name->u.text, &groups[i].name))
                {
                    break;
                }
            }

            if (name == NULL) {
                continue;
            }
        }

        item = im_json_push_obj(list);
        im_json_add_str(item, "GroupName", &groups[i].name);

        accounts = im_json_new_list(ctx->pool);
        members = 0;

        for (k = 0; k < friends.nelts; k++) {
            if (im_rel_has_group(&row[k].groups, groups[i].id)) {
                im_json_push_str(accounts, &row[k].peer);
                members++;
            }
        }

        im_json_add_int(item, "FriendNumber", members);

        if (need) {
            im_json_add_node(item, "To_Account", accounts);
        }
    }

    return im_sns_group_seq(ctx, &user);
}


static im_code_t
im_cmd_sns_group_update(im_ctx_t *ctx, void *data)
{
    im_sns_group_req_t  *req = data;

    im_rel_e   result;
    im_code_t  code;
    ngx_str_t  user;

    code = im_sns_from(ctx, &req->from, &user);
    if (code != IM_OK) {
        return code;
    }

    if (req->new.data == NULL && (req->update == NULL || req->update->n == 0))
    {
        return im_sns_code(ctx, IM_SNS_GROUP_UPDATE, IM_REL_COUNT);
    }

    if (req->update && req->update->n) {
        code = im_sns_group_move(ctx, req, &user);
        if (code != IM_OK) {
            return code;
        }
    }

    if (req->new.data) {

        result = im_sns_group_name(ctx, &req->new);

        if (result != IM_REL_OK) {
            return im_sns_code(ctx, IM_SNS_GROUP_UPDATE, result);
        }

        result = im_friend_group_rename(ctx, &user, &req->old, &req->new);

        if (result != IM_REL_OK) {
            return im_sns_code(ctx, IM_SNS_GROUP_UPDATE, result);
        }
    }

    return im_sns_group_seq(ctx, &user);
}


static im_code_t
im_sns_group_move(im_ctx_t *ctx, im_sns_group_req_t *req, ngx_str_t *user)
{
    u_char              *puts;
    im_rel_e            *results;
    im_code_t            code;
    ngx_str_t           *peers, type;
    im_json_t          **items, *list, *item;
    ngx_uint_t           i, k, n;
    im_friend_group_t   *groups;

    code = im_sns_accounts(ctx, IM_SNS_GROUP_UPDATE, req->update,
                           IM_SNS_ACCOUNTS, &peers, &items, &n);
    if (code != IM_OK) {
        return code;
    }

    results = ngx_pcalloc(ctx->pool, n * sizeof(im_rel_e));
    puts = ngx_pnalloc(ctx->pool, n);

    if (results == NULL
        || puts == NULL
        || im_rel_read_groups(ctx, user, &groups, &k) != NGX_OK)
    {
        return IM_E_SNS_INTERNAL;
    }

    while (k && !im_str_eq(&groups[k - 1].name, &req->old)) {
        k--;
    }

    if (k == 0) {
        return im_sns_code(ctx, IM_SNS_GROUP_UPDATE, IM_REL_NO_GROUP);
    }

    for (i = 0; i < n; i++) {

        if (im_json_get_str(items[i], "UpdateType", &type) != NGX_OK) {
            ngx_str_null(&type);
        }

        puts[i] = im_str_eq_c(&type, "Update_Type_Add");

        if (!puts[i] && !im_str_eq_c(&type, "Update_Type_Delete")) {
            return im_sns_code(ctx, IM_SNS_GROUP_UPDATE, IM_REL_TYPE);
        }
    }

    im_friend_group_put(ctx, user, &req->old, peers, puts, n, results);

    list = im_json_add_list(ctx->reply, "ResultItem");

    for (i = 0; i < n; i++) {
        item = im_sns_result(ctx, IM_SNS_GROUP_UPDATE, list, &peers[i],
                             results[i]);
        im_json_add_cstr(item, "UpdateType", puts[i] ? "Update_Type_Add"
                                                     : "Update_Type_Delete");
    }

    return IM_OK;
}


/* Names of a list, each once. */

static im_code_t
im_sns_group_names(im_ctx_t *ctx, im_sns_e cmd, im_json_t *list,
    ngx_str_t **names, ngx_uint_t *n)
{
    im_rel_e     result;
    im_json_t   *node;
    ngx_uint_t   i;

    if (list == NULL || list->n == 0 || list->n > IM_SNS_GROUPS) {
        ngx_str_set(&ctx->info, "the number of \"GroupName\" is illegal");
        return im_sns_code(ctx, cmd, IM_REL_COUNT);
    }

    *names = ngx_palloc(ctx->pool, list->n * sizeof(ngx_str_t));
    if (*names == NULL) {
        return IM_E_SNS_INTERNAL;
    }

    *n = 0;

    im_json_each(node, list) {

        if (node->type != IM_JSON_STR) {
            return IM_E_SNS_PARAM;
        }

        result = im_sns_group_name(ctx, &node->u.text);

        if (result == IM_REL_LENGTH) {
            ngx_str_set(&ctx->info, "\"GroupName\" has not 1 to 30 bytes");
            return im_sns_code(ctx, cmd, result);
        }

        /* a group may be older than the word in its name */

        if (result != IM_REL_OK && cmd != IM_SNS_GROUP_DELETE) {
            return im_sns_code(ctx, cmd, result);
        }

        for (i = 0; i < *n; i++) {
            if (im_str_eq(&(*names)[i], &node->u.text)) {
                break;
            }
        }

        if (i == *n) {
            (*names)[(*n)++] = node->u.text;
        }
    }

    return IM_OK;
}


static im_code_t
im_sns_group_seq(im_ctx_t *ctx, ngx_str_t *user)
{
    im_rel_count_t  count;

    if (im_rel_count(ctx, user, &count) != NGX_OK) {
        return IM_E_SNS_INTERNAL;
    }

    im_json_add_int(ctx->reply, "CurrentSequence", count.group);

    return IM_OK;
}
