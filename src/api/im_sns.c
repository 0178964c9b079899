
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_word.h"
#include "api/im_sns.h"


#define IM_SNS_ANY         -1
#define IM_SNS_GROUP_NAME  30        /* bytes */
#define IM_SNS_BUCKETS     2048


typedef struct {
    ngx_int_t          cmd;          /* im_sns_e, or IM_SNS_ANY */
    im_rel_e           result;
    im_code_t          code;
} im_sns_code_t;


static im_json_t *im_sns_result_code(im_ctx_t *ctx, im_json_t *list,
    ngx_str_t *account, im_code_t code, ngx_str_t *info);


/* names of commands and results in ResultInfo */

static const char  *im_sns_commands[] = {
    "FriendAdd", "FriendImport", "FriendUpdate", "FriendResponse",
    "FriendDelete", "FriendCheck", "FriendGetAll", "FriendGetList",
    "PendencyGet", "PendencyDelete", "BlackListAdd", "BlackListDelete",
    "BlackListCheck", "BlackListGet", "GroupAdd", "GroupDelete",
    "GroupUpdate", "RecommendAdd", "RecommendDelete"
};

static const char  *im_sns_names[IM_REL_MAX] = {
    "",
    "Param_Illegal",
    "To_Account_Not_Exist",
    "Internal_Error",
    "Timeout",
    "Write_Conflict",
    "Admin_Forbid",
    "My_Friend_Num_Exceed_Threshold",
    "Peer_Friend_Num_Exceed_Threshold",
    "Group_Num_Exceed_Threshold",
    "Pendency_Num_Exceed_Threshold",
    "Black_Num_Exceed_Threshold",
    "Friend_Exist",
    "Friend_Not_Exist",
    "Peer_In_Self_Blacklist",
    "Self_In_Peer_Blacklist",
    "Friend_Allow_Type_Deny_Any",
    "Friend_Allow_Type_Need_Confirm",
    "Pendency_Not_Exist",
    "Already_Exist",
    "Not_Exist",
    "Group_Already_Exist",
    "Group_Not_Exist",
    "Friend_Already_In_Group",
    "Friend_Not_In_Group",
    "Add_Too_Frequent",
    "Delete_Too_Frequent",
    "Dirty_Word",
    "Recommend_Num_Exceed_Threshold",
    "Recommend_Not_Exist",
    "App_Refused",
    "Count_Illegal",
    "Type_Illegal",
    "Length_Illegal",
    "AddSource_Illegal",
    "Tag_Illegal"
};


/* The first row that fits. */

static im_sns_code_t  im_sns_codes[] = {

    { IM_SNS_FRIEND_DELETE, IM_REL_NO_FRIEND, IM_E_SNS_NOT_FRIEND },
    { IM_SNS_PENDENCY_DELETE, IM_REL_NO_REQUEST, IM_E_SNS_NO_PENDENCY },
    { IM_SNS_GROUP_ADD, IM_REL_NO_FRIEND, IM_E_SNS_GROUP_STRANGER },
    { IM_SNS_GROUP_ADD, IM_REL_IN_GROUP, IM_E_SNS_GROUP_INSIDE },
    { IM_SNS_GROUP_UPDATE, IM_REL_NO_FRIEND, IM_E_SNS_GROUP_NO_FRIEND },
    { IM_SNS_GROUP_UPDATE, IM_REL_IN_GROUP, IM_E_SNS_GROUP_IN },
    { IM_SNS_GROUP_UPDATE, IM_REL_NOT_IN_GROUP, IM_E_SNS_GROUP_OUT },
    { IM_SNS_GROUP_UPDATE, IM_REL_GROUP_EXISTS, IM_E_SNS_GROUP_TAKEN },
    { IM_SNS_GROUP_UPDATE, IM_REL_NO_GROUP, IM_E_SNS_GROUP_NONE },
    { IM_SNS_GROUP_UPDATE, IM_REL_LENGTH, IM_E_SNS_GROUP_NAME },
    { IM_SNS_GROUP_UPDATE, IM_REL_TYPE, IM_E_SNS_GROUP_TYPE },
    { IM_SNS_GROUP_UPDATE, IM_REL_COUNT, IM_E_SNS_GROUP_NOTHING },

    { IM_SNS_ANY, IM_REL_ACCOUNT, IM_E_SNS_ACCOUNT },
    { IM_SNS_ANY, IM_REL_INTERNAL, IM_E_SNS_INTERNAL },
    { IM_SNS_ANY, IM_REL_TIMEOUT, IM_E_SNS_TIMEOUT },
    { IM_SNS_ANY, IM_REL_CONFLICT, IM_E_SNS_CONFLICT },
    { IM_SNS_ANY, IM_REL_FORBIDDEN, IM_E_SNS_FORBIDDEN },
    { IM_SNS_ANY, IM_REL_FULL, IM_E_SNS_FULL },
    { IM_SNS_ANY, IM_REL_PEER_FULL, IM_E_SNS_PEER_FULL },
    { IM_SNS_ANY, IM_REL_GROUPS_FULL, IM_E_SNS_GROUPS_FULL },
    { IM_SNS_ANY, IM_REL_REQUESTS_FULL, IM_E_SNS_REQUESTS_FULL },
    { IM_SNS_ANY, IM_REL_BLACK_FULL, IM_E_SNS_BLACK_FULL },
    { IM_SNS_ANY, IM_REL_BLOCKING, IM_E_SNS_BLOCKING },
    { IM_SNS_ANY, IM_REL_BLOCKED, IM_E_SNS_BLOCKED },
    { IM_SNS_ANY, IM_REL_DENIED, IM_E_SNS_DENIED },
    { IM_SNS_ANY, IM_REL_PENDING, IM_E_SNS_PENDING },
    { IM_SNS_ANY, IM_REL_NO_REQUEST, IM_E_SNS_NO_REQUEST },
    { IM_SNS_ANY, IM_REL_ADD_RATE, IM_E_SNS_ADD_RATE },
    { IM_SNS_ANY, IM_REL_DELETE_RATE, IM_E_SNS_DELETE_RATE },
    { IM_SNS_ANY, IM_REL_DIRTY, IM_E_SNS_DIRTY },
    { IM_SNS_ANY, IM_REL_RECOMMENDS_FULL, IM_E_SNS_REQUESTS_FULL },

    { IM_SNS_ANY, IM_REL_MAX, IM_E_SNS_PARAM }
};


/* Numbers of 2018, rest-profile-sns.md 8.2. */

static im_sns_code_t  im_sns_b_codes[] = {

    { IM_SNS_FRIEND_ADD, IM_REL_SOURCE, IM_E_B_SOURCE },
    { IM_SNS_FRIEND_ADD, IM_REL_LENGTH, IM_E_B_LENGTH },
    { IM_SNS_FRIEND_ADD, IM_REL_COUNT, IM_E_B_COUNT },
    { IM_SNS_FRIEND_ADD, IM_REL_REQUESTS_FULL, IM_E_B_MANY_CONFIRM },
    { IM_SNS_FRIEND_ADD, IM_REL_GROUPS_FULL, IM_E_B_ADD_GROUPS },
    { IM_SNS_FRIEND_ADD, IM_REL_FULL, IM_E_B_ADD_FULL },
    { IM_SNS_FRIEND_ADD, IM_REL_EXISTS, IM_E_B_ADD_EXISTS },
    { IM_SNS_FRIEND_ADD, IM_REL_PEER_FULL, IM_E_B_ADD_PEER_FULL },
    { IM_SNS_FRIEND_ADD, IM_REL_TYPE, IM_E_B_ADD_TYPE },
    { IM_SNS_FRIEND_ADD, IM_REL_CONFLICT, IM_E_B_ADD_CONFLICT },
    { IM_SNS_FRIEND_ADD, IM_REL_FORBIDDEN, IM_E_B_ADD_FORBIDDEN },

    { IM_SNS_FRIEND_RESPONSE, IM_REL_TYPE, IM_E_B_ACTION },
    { IM_SNS_FRIEND_RESPONSE, IM_REL_COUNT, IM_E_B_RESPONSE_COUNT },
    { IM_SNS_FRIEND_RESPONSE, IM_REL_FULL, IM_E_B_RESPONSE_FULL },
    { IM_SNS_FRIEND_RESPONSE, IM_REL_GROUPS_FULL, IM_E_B_RESPONSE_GROUPS },
    { IM_SNS_FRIEND_RESPONSE, IM_REL_EXISTS, IM_E_B_RESPONSE_EXISTS },
    { IM_SNS_FRIEND_RESPONSE, IM_REL_PEER_FULL, IM_E_B_RESPONSE_PEER },

    { IM_SNS_FRIEND_UPDATE, IM_REL_TAGS, IM_E_B_UPDATE },
    { IM_SNS_FRIEND_UPDATE, IM_REL_LENGTH, IM_E_B_UPDATE },
    { IM_SNS_FRIEND_UPDATE, IM_REL_NO_FRIEND, IM_E_B_UPDATE_NO_FRIEND },
    { IM_SNS_FRIEND_UPDATE, IM_REL_GROUPS_FULL, IM_E_B_UPDATE_GROUPS },

    { IM_SNS_FRIEND_IMPORT, IM_REL_TAGS, IM_E_B_IMPORT },
    { IM_SNS_FRIEND_IMPORT, IM_REL_LENGTH, IM_E_B_IMPORT },
    { IM_SNS_FRIEND_IMPORT, IM_REL_SOURCE, IM_E_B_IMPORT },
    { IM_SNS_FRIEND_IMPORT, IM_REL_FULL, IM_E_B_IMPORT_FULL },
    { IM_SNS_FRIEND_IMPORT, IM_REL_GROUPS_FULL, IM_E_B_IMPORT_GROUPS },
    { IM_SNS_FRIEND_IMPORT, IM_REL_CONFLICT, IM_E_B_IMPORT_CONFLICT },

    { IM_SNS_FRIEND_CHECK, IM_REL_TYPE, IM_E_B_CHECK },
    { IM_SNS_FRIEND_CHECK, IM_REL_COUNT, IM_E_B_CHECK },
    { IM_SNS_FRIEND_GET_ALL, IM_REL_PARAM, IM_E_B_GET_ALL },
    { IM_SNS_FRIEND_GET_ALL, IM_REL_TAGS, IM_E_B_GET_ALL_TAGS },
    { IM_SNS_FRIEND_GET_LIST, IM_REL_COUNT, IM_E_B_GET_LIST },
    { IM_SNS_FRIEND_GET_LIST, IM_REL_PARAM, IM_E_B_GET_LIST },
    { IM_SNS_FRIEND_GET_LIST, IM_REL_TAGS, IM_E_B_GET_LIST_TAGS },
    { IM_SNS_FRIEND_GET_LIST, IM_REL_NO_FRIEND, IM_E_B_GET_LIST_NONE },

    { IM_SNS_FRIEND_DELETE, IM_REL_COUNT, IM_E_B_DELETE },
    { IM_SNS_FRIEND_DELETE, IM_REL_TYPE, IM_E_B_DELETE_TYPE },
    { IM_SNS_PENDENCY_GET, IM_REL_TYPE, IM_E_B_PENDENCY_TYPE },
    { IM_SNS_PENDENCY_DELETE, IM_REL_COUNT, IM_E_B_REQ_DELETE },
    { IM_SNS_PENDENCY_DELETE, IM_REL_TYPE, IM_E_B_REQ_TYPE },

    { IM_SNS_BLACK_ADD, IM_REL_COUNT, IM_E_B_BLACK_ADD },
    { IM_SNS_BLACK_ADD, IM_REL_BLACK_EXISTS, IM_E_B_BLACK_EXISTS },
    { IM_SNS_BLACK_ADD, IM_REL_BLACK_FULL, IM_E_B_BLACK_FULL },
    { IM_SNS_BLACK_CHECK, IM_REL_COUNT, IM_E_B_BLACK_CHECK },
    { IM_SNS_BLACK_CHECK, IM_REL_TYPE, IM_E_B_BLACK_TYPE },
    { IM_SNS_BLACK_DELETE, IM_REL_COUNT, IM_E_B_BLACK_DELETE },
    { IM_SNS_BLACK_DELETE, IM_REL_NO_BLACK, IM_E_B_BLACK_NONE },
    { IM_SNS_BLACK_GET, IM_REL_COUNT, IM_E_B_BLACK_GET },

    { IM_SNS_GROUP_ADD, IM_REL_COUNT, IM_E_B_GROUP_COUNT },
    { IM_SNS_GROUP_ADD, IM_REL_LENGTH, IM_E_B_GROUP_NAME },
    { IM_SNS_GROUP_ADD, IM_REL_GROUPS_FULL, IM_E_B_GROUPS_FULL },
    { IM_SNS_GROUP_ADD, IM_REL_GROUP_EXISTS, IM_E_B_GROUP_TAKEN },
    { IM_SNS_GROUP_DELETE, IM_REL_COUNT, IM_E_B_GROUP_DELETE },
    { IM_SNS_GROUP_DELETE, IM_REL_NO_GROUP, IM_E_B_GROUP_NONE },

    { IM_SNS_ANY, IM_REL_MAX, 0 }
};


im_code_t
im_sns_code(im_ctx_t *ctx, im_sns_e cmd, im_rel_e result)
{
    im_sns_code_t  *row;

    if (result == IM_REL_OK) {
        return IM_OK;
    }

    if (ctx->app->b_codes) {
        for (row = im_sns_b_codes; row->code; row++) {
            if (row->result == result && row->cmd == (ngx_int_t) cmd) {
                return row->code;
            }
        }
    }

    for (row = im_sns_codes; row->result != IM_REL_MAX; row++) {
        if (row->result == result
            && (row->cmd == IM_SNS_ANY || row->cmd == (ngx_int_t) cmd))
        {
            break;
        }
    }

    return row->code;
}


im_code_t
im_sns_from(im_ctx_t *ctx, ngx_str_t *from, ngx_str_t *user)
{
    ngx_int_t     rc;
    im_account_t  account;

    *user = (ctx->via == IM_VIA_WEB) ? ctx->user : *from;

    if (user->len == 0) {
        ngx_str_set(&ctx->info, "\"From_Account\" is missing");
        return IM_E_SNS_PARAM;
    }

    if (ctx->role != IM_ROLE_ADMIN && !im_str_eq(user, &ctx->user)) {
        return IM_E_SNS_ADMIN;
    }

    rc = im_account_get(ctx, user, &account);

    if (rc == NGX_DECLINED) {
        return IM_E_SNS_ACCOUNT;
    }

    return (rc == NGX_OK) ? IM_OK
           : (rc == NGX_BUSY) ? IM_E_SNS_TIMEOUT : IM_E_SNS_INTERNAL;
}


im_code_t
im_sns_accounts(im_ctx_t *ctx, im_sns_e cmd, im_json_t *list, ngx_uint_t max,
    ngx_str_t **peers, im_json_t ***items, ngx_uint_t *n)
{
    uint16_t    *bucket, *next;
    ngx_str_t    peer;
    im_json_t   *node;
    ngx_uint_t   i, hash;

    if (list == NULL || list->n == 0 || list->n > max) {
        ngx_str_set(&ctx->info, "the number of accounts is illegal");
        return im_sns_code(ctx, cmd, IM_REL_COUNT);
    }

    *peers = ngx_palloc(ctx->pool, list->n * sizeof(ngx_str_t));
    bucket = ngx_pcalloc(ctx->pool, IM_SNS_BUCKETS * sizeof(uint16_t));
    next = ngx_palloc(ctx->pool, (list->n + 1) * sizeof(uint16_t));

    if (*peers == NULL || bucket == NULL || next == NULL) {
        return IM_E_SNS_INTERNAL;
    }

    if (items) {
        *items = ngx_palloc(ctx->pool, list->n * sizeof(im_json_t *));
        if (*items == NULL) {
            return IM_E_SNS_INTERNAL;
        }
    }

    *n = 0;

    im_json_each(node, list) {

        if (node->type == IM_JSON_STR && items == NULL) {
            peer = node->u.text;

        } else if (node->type != IM_JSON_OBJ
                   || items == NULL
                   || im_json_get_str(node, "To_Account", &peer) != NGX_OK)
        {
            ngx_str_set(&ctx->info, "\"To_Account\" must be a string");
            return IM_E_SNS_PARAM;
        }

        hash = ngx_crc32_short(peer.data, peer.len) % IM_SNS_BUCKETS;

        for (i = bucket[hash]; i; i = next[i]) {
            if (im_str_eq(&(*peers)[i - 1], &peer)) {
                break;
            }
        }

        if (i) {
            continue;                        /* is there already */
        }

        (*peers)[*n] = peer;

        if (items) {
            (*items)[*n] = node;
        }

        (*n)++;

        next[*n] = bucket[hash];
        bucket[hash] = *n;
    }

    return IM_OK;
}


im_json_t *
im_sns_result(im_ctx_t *ctx, im_sns_e cmd, im_json_t *list,
    ngx_str_t *account, im_rel_e result)
{
    u_char      *p;
    ngx_str_t    info;
    const char  *name;

    ngx_str_null(&info);

    if (result != IM_REL_OK) {

        name = im_sns_names[result];

        if (cmd == IM_SNS_GROUP_ADD && result == IM_REL_NO_FRIEND) {
            name = "ToTinyId_Not_Friend";
        }

        p = ngx_pnalloc(ctx->pool, 128);
        if (p == NULL) {
            return NULL;
        }

        info.data = p;
        info.len = ngx_snprintf(p, 128, "Err_SNS_%s_%s", im_sns_commands[cmd],
                                name)
                   - p;
    }

    return im_sns_result_code(ctx, list, account,
                              im_sns_code(ctx, cmd, result), &info);
}


static im_json_t *
im_sns_result_code(im_ctx_t *ctx, im_json_t *list, ngx_str_t *account,
    im_code_t code, ngx_str_t *info)
{
    im_json_t  *item, *failed;

    item = im_json_push_obj(list);

    im_json_add_str(item, "To_Account", account);
    im_json_add_int(item, "ResultCode", code);
    im_json_add_str(item, "ResultInfo", info);

    if (code == IM_OK) {
        return item;
    }

    failed = im_json_get(ctx->reply, "Fail_Account");

    if (failed == NULL) {
        failed = im_json_add_list(ctx->reply, "Fail_Account");
    }

    im_json_push_str(failed, account);

    return item;
}


void
im_sns_results(im_ctx_t *ctx, im_sns_e cmd, ngx_str_t *peers, ngx_uint_t n,
    im_rel_e *results, im_friend_item_t *items)
{
    im_json_t   *list;
    ngx_uint_t   i;

    list = im_json_add_list(ctx->reply, "ResultItem");

    for (i = 0; i < n; i++) {

        if (items && results[i] == IM_REL_REFUSED) {
            im_sns_result_code(ctx, list, &peers[i], items[i].refused,
                               &items[i].refused_info);
            continue;
        }

        im_sns_result(ctx, cmd, list, &peers[i], results[i]);
    }
}


im_rel_e
im_sns_group_name(im_ctx_t *ctx, ngx_str_t *name)
{
    if (name->len == 0
        || name->len > IM_SNS_GROUP_NAME
        || ngx_strlchr(name->data, name->data + name->len, '\0'))
    {
        return IM_REL_LENGTH;
    }

    return im_word_dirty(ctx, name) ? IM_REL_DIRTY : IM_REL_OK;
}


im_code_t
im_sns_begin(im_ctx_t *ctx, im_sns_e cmd, ngx_str_t *from, im_json_t *list,
    ngx_str_t *user, ngx_str_t **peers, ngx_uint_t *n, im_rel_e **results)
{
    im_code_t  code;

    code = im_sns_accounts(ctx, cmd, list, IM_SNS_ACCOUNTS, peers, NULL, n);
    if (code != IM_OK) {
        return code;
    }

    *results = ngx_pcalloc(ctx->pool, *n * sizeof(im_rel_e));
    if (*results == NULL) {
        return IM_E_SNS_INTERNAL;
    }

    return im_sns_from(ctx, from, user);
}


im_code_t
im_sns_each(im_ctx_t *ctx, im_sns_e cmd, ngx_str_t *from, im_json_t *list,
    im_sns_each_pt fn)
{
    im_rel_e    *results;
    im_code_t    code;
    ngx_str_t   *peers, user;
    ngx_uint_t   n;

    code = im_sns_begin(ctx, cmd, from, list, &user, &peers, &n, &results);
    if (code != IM_OK) {
        return code;
    }

    fn(ctx, &user, peers, n, results);
    im_sns_results(ctx, cmd, peers, n, results, NULL);

    return IM_OK;
}


im_code_t
im_sns_report(im_ctx_t *ctx, im_sns_e cmd, ngx_str_t *from, int64_t time,
    im_sns_report_pt fn)
{
    im_code_t  code;
    ngx_str_t  user;

    code = im_sns_from(ctx, from, &user);
    if (code != IM_OK) {
        return code;
    }

    return im_sns_code(ctx, cmd, fn(ctx, &user, time));
}
