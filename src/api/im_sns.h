
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_SNS_H_INCLUDED_
#define _IM_SNS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_friend.h"
#include "domain/im_friend_group.h"
#include "api/im_cmd.h"


/* What the commands of "sns" have in common: who acts, lists of accounts,
 * results of single accounts. */

#define IM_SNS_ACCOUNTS  1000

#define IM_SNS_BY        IM_BY_ADMIN|IM_BY_SELF|IM_BY_USER


/* Commands whose results have numbers or names of their own. */

typedef enum {
    IM_SNS_FRIEND_ADD = 0,
    IM_SNS_FRIEND_IMPORT,
    IM_SNS_FRIEND_UPDATE,
    IM_SNS_FRIEND_RESPONSE,
    IM_SNS_FRIEND_DELETE,
    IM_SNS_FRIEND_CHECK,
    IM_SNS_FRIEND_GET_ALL,
    IM_SNS_FRIEND_GET_LIST,
    IM_SNS_PENDENCY_GET,
    IM_SNS_PENDENCY_DELETE,
    IM_SNS_BLACK_ADD,
    IM_SNS_BLACK_DELETE,
    IM_SNS_BLACK_CHECK,
    IM_SNS_BLACK_GET,
    IM_SNS_GROUP_ADD,
    IM_SNS_GROUP_DELETE,
    IM_SNS_GROUP_UPDATE,
    IM_SNS_RECOMMEND_ADD,
    IM_SNS_RECOMMEND_DELETE
} im_sns_e;


/* The number on the wire. */
im_code_t im_sns_code(im_ctx_t *ctx, im_sns_e cmd, im_rel_e result);

/*
 * The acting account, which exists: *from where a back end names it, the
 * caller himself in a session.  30001, 30003, 30004, 30006.
 */
im_code_t im_sns_from(im_ctx_t *ctx, ngx_str_t *from, ngx_str_t *user);

/* Accounts of a list, or of the member To_Account of its items, each once.
 * items (may be NULL): the items in the order of the accounts.  30001: an
 * item names none; the command's own code: more than max. */
im_code_t im_sns_accounts(im_ctx_t *ctx, im_sns_e cmd, im_json_t *list,
    ngx_uint_t max, ngx_str_t **peers, im_json_t ***items, ngx_uint_t *n);

/* Adds an account's result to the list, and the account to Fail_Account of
 * the reply if it is one. */
im_json_t *im_sns_result(im_ctx_t *ctx, im_sns_e cmd, im_json_t *list,
    ngx_str_t *account, im_rel_e result);

/* Adds ResultItem with n results.  items (may be NULL): whom the app has
 * refused. */
void im_sns_results(im_ctx_t *ctx, im_sns_e cmd, ngx_str_t *peers,
    ngx_uint_t n, im_rel_e *results, im_friend_item_t *items);

/* The rest of a command that does one thing with each account of a list and
 * is answered with their results; from: as in im_sns_from(). */
typedef void (*im_sns_each_pt)(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *peers, ngx_uint_t n, im_rel_e *results);

im_code_t im_sns_each(im_ctx_t *ctx, im_sns_e cmd, ngx_str_t *from,
    im_json_t *list, im_sns_each_pt fn);

/* Who acts, the accounts of a list and room for their results. */
im_code_t im_sns_begin(im_ctx_t *ctx, im_sns_e cmd, ngx_str_t *from,
    im_json_t *list, ngx_str_t *user, ngx_str_t **peers, ngx_uint_t *n,
    im_rel_e **results);

/* The whole of a command that marks as read what came up to that second. */
typedef im_rel_e (*im_sns_report_pt)(im_ctx_t *ctx, ngx_str_t *user,
    int64_t time);

im_code_t im_sns_report(im_ctx_t *ctx, im_sns_e cmd, ngx_str_t *from,
    int64_t time, im_sns_report_pt fn);

/* Items of friend_add, friend_import, friend_update and friend_response, as
 * far as they can be checked alone: what is wrong. */
typedef im_rel_e (*im_sns_item_pt)(im_ctx_t *ctx, im_json_t *node,
    im_friend_item_t *item);

im_rel_e im_sns_add_item(im_ctx_t *ctx, im_json_t *node,
    im_friend_item_t *item);
im_rel_e im_sns_import_item(im_ctx_t *ctx, im_json_t *node,
    im_friend_item_t *item);
im_rel_e im_sns_update_item(im_ctx_t *ctx, im_json_t *node,
    im_friend_item_t *item);
im_rel_e im_sns_response_item(im_ctx_t *ctx, im_json_t *node,
    im_friend_item_t *item);

/* What is wrong with the name of a friend group: its length, a dirty word. */
im_rel_e im_sns_group_name(im_ctx_t *ctx, ngx_str_t *name);


#endif /* _IM_SNS_H_INCLUDED_ */
