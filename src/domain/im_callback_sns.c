
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_callback_sns.h"


/* Codes that the app may give to an account of a request. */

#define IM_CB_SNS_MIN  38000
#define IM_CB_SNS_MAX  39000


static void im_callback_sns_ask(im_ctx_t *ctx, im_callback_e event,
    im_json_t *body, ngx_str_t *peers, ngx_uint_t n, im_friend_item_t *items,
    im_rel_e *results);
static void im_callback_sns_verdict(im_ctx_t *ctx, im_json_t *answer,
    ngx_str_t *peers, ngx_uint_t n, im_friend_item_t *items,
    im_rel_e *results);
static void im_callback_pairs(im_rel_t *rel, im_callback_e event);


ngx_uint_t
im_callback_asks(im_ctx_t *ctx, im_callback_e event)
{
    return ctx->role != IM_ROLE_ADMIN && im_callback_wants(ctx->app, event);
}


void
im_callback_friend_add(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_friend_item_t *items, ngx_uint_t how, im_rel_e *results)
{
    im_json_t   *body, *list, *item;
    ngx_str_t    none;
    ngx_uint_t   i;

    ngx_str_null(&none);

    body = im_callback_body(ctx, IM_CB_PREV_FRIEND_ADD);

    im_json_add_str(body, "Requester_Account", &ctx->user);
    im_json_add_str(body, "From_Account", user);

    list = im_json_add_list(body, "FriendItem");

    for (i = 0; i < n; i++) {

        if (results[i] != IM_REL_OK) {
            continue;
        }

        item = im_json_push_obj(list);

        im_json_add_str(item, "To_Account", &peers[i]);
        im_json_add_str(item, "Remark", &items[i].remark);
        im_json_add_str(item, "GroupName",
                        items[i].ngroups ? &items[i].groups[0] : &none);
        im_json_add_str(item, "AddSource", &items[i].source);
        im_json_add_str(item, "AddWording", &items[i].wording);
    }

    if (list == NULL || list->n == 0) {
        return;
    }

    im_json_add_cstr(body, "AddType", (how & IM_FRIEND_ONE_WAY)
                                      ? "Add_Type_Single" : "Add_Type_Both");
    im_json_add_int(body, "ForceAddFlags", 0);

    im_callback_sns_ask(ctx, IM_CB_PREV_FRIEND_ADD, body, peers, n, items,
                        results);
}


void
im_callback_friend_respond(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_friend_item_t *items, im_rel_e *results)
{
    im_json_t   *body, *list, *item;
    ngx_str_t    none;
    ngx_uint_t   i;

    ngx_str_null(&none);

    body = im_callback_body(ctx, IM_CB_PREV_RESPONSE);

    im_json_add_str(body, "Requester_Account", &ctx->user);
    im_json_add_str(body, "From_Account", user);

    list = im_json_add_list(body, "ResponseFriendItem");

    for (i = 0; i < n; i++) {

        if (results[i] != IM_REL_OK) {
            continue;
        }

        item = im_json_push_obj(list);

        im_json_add_str(item, "To_Account", &peers[i]);
        im_json_add_str(item, "Remark", &items[i].remark);
        im_json_add_str(item, "TagName",
                        items[i].ngroups ? &items[i].groups[0] : &none);
        im_json_add_cstr(item, "ResponseAction",
                         items[i].mutual ? "Response_Action_AgreeAndAdd"
                         : items[i].agree ? "Response_Action_Agree"
                                          : "Response_Action_Reject");
    }

    if (list == NULL || list->n == 0) {
        return;
    }

    im_callback_sns_ask(ctx, IM_CB_PREV_RESPONSE, body, peers, n, items,
                        results);
}


/* An answer that is not about the accounts is none: all may pass. */

static void
im_callback_sns_ask(im_ctx_t *ctx, im_callback_e event, im_json_t *body,
    ngx_str_t *peers, ngx_uint_t n, im_friend_item_t *items,
    im_rel_e *results)
{
    int64_t       wrong;
    im_code_t     code;
    ngx_uint_t    i;
    im_verdict_t  verdict;

    code = im_callback_ask(ctx, event, body, &verdict);

    ngx_str_null(&ctx->info);

    if (verdict.answer == NULL) {

        for (i = 0; code != IM_OK && i < n; i++) {
            if (results[i] == IM_REL_OK) {
                items[i].refused = code;
            }
        }

        return;
    }

    if (im_json_get_int(verdict.answer, "ErrorCode", &wrong) == NGX_OK
        && wrong == 0)
    {
        im_callback_sns_verdict(ctx, verdict.answer, peers, n, items,
                                results);
    }
}


static void
im_callback_sns_verdict(im_ctx_t *ctx, im_json_t *answer, ngx_str_t *peers,
    ngx_uint_t n, im_friend_item_t *items, im_rel_e *results)
{
    int64_t      code;
    ngx_str_t    peer;
    im_json_t   *list, *item;
    ngx_uint_t   i, k, next;

    if (im_json_get_list(answer, "ResultItem", &list) != NGX_OK) {
        return;
    }

    next = 0;

    im_json_each(item, list) {

        if (im_json_get_str(item, "To_Account", &peer) != NGX_OK
            || im_json_get_int(item, "ResultCode", &code) != NGX_OK
            || code == 0)
        {
            continue;
        }

        if (code < IM_CB_SNS_MIN || code > IM_CB_SNS_MAX) {
            ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                          "the app has refused \"%V\" with %L, which is not "
                          "%d to %d", &peer, code, IM_CB_SNS_MIN,
                          IM_CB_SNS_MAX);
            code = IM_CB_SNS_MIN;
        }

        /* mostly in the order in which they were asked about */

        for (k = 0; k < n; k++) {
            i = (next + k) % n;

            if (im_str_eq(&peers[i], &peer)) {
                next = i + 1;
                items[i].refused = code;
                (void) im_json_get_str(item, "ResultInfo",
                                       &items[i].refused_info);
                break;
            }
        }
    }
}


void
im_callback_relation(im_rel_t *rel)
{
    im_callback_pairs(rel, IM_CB_FRIEND_ADD);
    im_callback_pairs(rel, IM_CB_FRIEND_DELETE);
    im_callback_pairs(rel, IM_CB_BLACK_ADD);
    im_callback_pairs(rel, IM_CB_BLACK_DELETE);
}


/* One callback for all pairs of the commit. */

static void
im_callback_pairs(im_rel_t *rel, im_callback_e event)
{
    im_ctx_t  *ctx = rel->ctx;

    ngx_str_t      *initiator;
    im_json_t      *body, *list, *pair;
    ngx_uint_t      i;
    im_rel_told_t  *told;

    body = NULL;
    list = NULL;
    told = rel->told.elts;

    for (i = 0; i < rel->told.nelts; i++) {

        if (told[i].event != event) {
            continue;
        }

        if (body == NULL) {
            body = im_callback_body(ctx, event);
            list = im_json_add_list(body, "PairList");
        }

        pair = im_json_push_obj(list);
        im_json_add_str(pair, "From_Account", &told[i].from);
        im_json_add_str(pair, "To_Account", &told[i].to);

        if (event == IM_CB_FRIEND_ADD) {
            initiator = &rel->user;

            if (rel->fires & IM_FIRE_RESPONSE) {
                initiator = im_str_eq(&told[i].from, &rel->user)
                            ? &told[i].to : &told[i].from;
            }

            im_json_add_str(pair, "Initiator_Account", initiator);
        }
    }

    if (body == NULL) {
        return;
    }

    if (event == IM_CB_FRIEND_ADD) {
        im_json_add_cstr(body, "ClientCmd", (rel->fires & IM_FIRE_RESPONSE)
                                            ? "friend_response"
                                            : "friend_add");

        if (ctx->role == IM_ROLE_ADMIN) {
            im_json_add_str(body, "Admin_Account", &ctx->user);

        } else {
            im_json_add_cstr(body, "Admin_Account", "");
        }

        im_json_add_int(body, "ForceFlag",
                        (rel->fires & IM_FIRE_FORCED) ? 1 : 0);
    }

    im_callback_tell(ctx, event, body, &rel->user);
}


void
im_callback_profile(im_ctx_t *ctx, ngx_str_t *user, im_json_t *items)
{
    ngx_str_t   tag;
    im_json_t  *body, *list, *item, *set;

    if (!im_callback_wants(ctx->app, IM_CB_PROFILE)) {
        return;
    }

    body = im_callback_body(ctx, IM_CB_PROFILE);

    im_json_add_str(body, "Operator_Account", &ctx->user);
    im_json_add_str(body, "From_Account", user);

    list = im_json_add_list(body, "ProfileItem");

    im_json_each(item, items) {

        if (im_json_get_str(item, "Tag", &tag) == NGX_OK) {
            set = im_json_push_obj(list);
            im_json_add_str(set, "Tag", &tag);
            im_json_add_node(set, "Value", im_json_get(item, "Value"));
        }
    }

    im_callback_tell(ctx, IM_CB_PROFILE, body, user);
}
