
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "api/im_sns.h"


/* Commands that check how accounts are related. */

typedef struct {
    ngx_str_t          from;
    im_json_t         *to;
    ngx_str_t          type;
} im_sns_check_req_t;


static im_code_t im_cmd_friend_check(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_black_list_check(im_ctx_t *ctx, void *data);
static im_code_t im_sns_check(im_ctx_t *ctx, im_sns_check_req_t *req,
    im_sns_e cmd);


static im_field_t  im_sns_check_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_check_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("To_Account"), IM_LIST, IM_OPTIONAL,
      offsetof(im_sns_check_req_t, to), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("CheckType"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_check_req_t, type), 0, 0, IM_E_SNS_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_sns_check[] = {

    { ngx_string("sns"), ngx_string("friend_check"),
      im_cmd_friend_check, IM_SNS_BY,
      im_sns_check_fields, sizeof(im_sns_check_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("black_list_check"),
      im_cmd_black_list_check, IM_SNS_BY,
      im_sns_check_fields, sizeof(im_sns_check_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_friend_check(im_ctx_t *ctx, void *data)
{
    return im_sns_check(ctx, data, IM_SNS_FRIEND_CHECK);
}


static im_code_t
im_cmd_black_list_check(im_ctx_t *ctx, void *data)
{
    return im_sns_check(ctx, data, IM_SNS_BLACK_CHECK);
}


static im_code_t
im_sns_check(im_ctx_t *ctx, im_sns_check_req_t *req, im_sns_e cmd)
{
    ngx_str_t    user, *peers;
    im_code_t    code;
    im_pair_t   *pairs;
    im_json_t   *list, *item;
    ngx_uint_t   i, k, m, n, both, black, mine, his;
    const char  *relation;

    static const char  *friends[] = {
        "CheckResult_Type_NoRelation", "CheckResult_Type_AWithB",
        "CheckResult_Type_BWithA", "CheckResult_Type_BothWay"
    };

    static const char  *blacks[] = {
        "BlackCheckResult_Type_NO", "BlackCheckResult_Type_AWithB",
        "BlackCheckResult_Type_BWithA", "BlackCheckResult_Type_BothWay"
    };

    black = (cmd == IM_SNS_BLACK_CHECK);

    if (black) {
        both = im_str_eq_c(&req->type, "BlackCheckResult_Type_Both");

    } else {
        both = im_str_eq_c(&req->type, "CheckResult_Type_Both");
    }

    /* "Singal": so spelled in 2018 */

    if (!both
        && !(black && (im_str_eq_c(&req->type, "BlackCheckResult_Type_Single")
                       || im_str_eq_c(&req->type,
                                      "BlackCheckResult_Type_Singal")))
        && !(!black && (im_str_eq_c(&req->type, "CheckResult_Type_Single")
                        || im_str_eq_c(&req->type,
                                       "CheckResult_Type_Singal"))))
    {
        ngx_str_set(&ctx->info, "\"CheckType\" is illegal");
        return im_sns_code(ctx, cmd, IM_REL_TYPE);
    }

    code = im_sns_accounts(ctx, cmd, req->to, IM_SNS_ACCOUNTS, &peers, NULL,
                           &n);
    if (code != IM_OK) {
        return code;
    }

    code = im_sns_from(ctx, &req->from, &user);
    if (code != IM_OK) {
        return code;
    }

    pairs = ngx_palloc(ctx->pool, IM_REL_CHUNK * sizeof(im_pair_t));
    if (pairs == NULL) {
        return IM_E_SNS_INTERNAL;
    }

    list = im_json_add_list(ctx->reply, black ? "BlackListCheckItem"
                                              : "InfoItem");

    for (i = 0; i < n; i += m) {
        m = ngx_min(n - i, IM_REL_CHUNK);

        if (im_rel_pairs(ctx, &user, &peers[i], m, pairs) != NGX_OK) {
            return IM_E_SNS_INTERNAL;
        }

        for (k = 0; k < m; k++) {

            mine = black ? pairs[k].black.version != 0
                         : pairs[k].mine.version != 0;
            his = black ? pairs[k].black_his.version != 0
                        : pairs[k].his.version != 0;

            if (!both) {
                his = 0;
            }

            relation = black ? blacks[mine + 2 * his]
                             : friends[mine + 2 * his];

            item = im_sns_result(ctx, cmd, list, &peers[i + k],
                                 pairs[k].exists ? IM_REL_OK
                                                 : IM_REL_ACCOUNT);
            im_json_add_cstr(item, "Relation", relation);
        }
    }

    /* the name of 2018 */

    im_json_add_node(ctx->reply, black ? "ResultItem" : "CheckItem", list);

    return IM_OK;
}
