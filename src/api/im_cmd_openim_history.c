
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_elem.h"
#include "domain/im_history.h"
#include "domain/im_message.h"
#include "domain/im_read.h"
#include "api/im_cmd.h"


#define IM_UINT32_MAX       4294967295
#define IM_ROAM_SIZE        (13 * 1024)  /* bytes of MsgList */
#define IM_UNREAD_PEERS     10
#define IM_UNREAD_ALL       1000
#define IM_RECEIPT_ITEMS    100


typedef struct {
    ngx_str_t          from;
    ngx_str_t          to;
    ngx_str_t          key;
    im_int_t           max;
    im_int_t           min_time;
    im_int_t           max_time;
} im_roam_req_t;


typedef struct {
    ngx_str_t          from;
    ngx_str_t          to;
    ngx_str_t          key;
    ngx_str_t          cloud;
    im_json_t         *body;
} im_one_req_t;


typedef struct {
    ngx_str_t          user;
    ngx_str_t          peer;
    im_int_t           time;
} im_set_read_req_t;


typedef struct {
    ngx_str_t          user;
    im_strs_t          peers;
} im_unread_req_t;


typedef struct {
    ngx_str_t          user;
    ngx_str_t          peer;
    im_json_t         *list;
} im_receipt_req_t;


static im_code_t im_cmd_admin_getroammsg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_roam_reply(im_ctx_t *ctx, im_history_t *h);
static im_code_t im_cmd_admin_msgwithdraw(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_admin_set_msg_read(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_c2c_unread_msg_num(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_unread_all(im_ctx_t *ctx, ngx_str_t *user);
static im_code_t im_cmd_modify_c2c_msg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_c2c_msg_read_receipt(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_pair(im_ctx_t *ctx, ngx_str_t *from,
    im_code_t no_from, ngx_str_t *to, im_code_t no_to);


static im_field_t  im_roam_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_roam_req_t, from), 1, 0, IM_E_C2C_FROM, 0 },

    { ngx_string("To_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_roam_req_t, to), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("MaxCnt"), IM_INT, IM_REQUIRED,
      offsetof(im_roam_req_t, max), 1, NGX_MAX_INT_T_VALUE,
      IM_E_C2C_JSON, 0 },

    { ngx_string("MinTime"), IM_INT, IM_REQUIRED,
      offsetof(im_roam_req_t, min_time), 0, IM_UINT32_MAX,
      IM_E_C2C_JSON, 0 },

    { ngx_string("MaxTime"), IM_INT, IM_REQUIRED,
      offsetof(im_roam_req_t, max_time), 0, IM_UINT32_MAX,
      IM_E_C2C_JSON, 0 },

    { ngx_string("LastMsgKey"), IM_STR, IM_OPTIONAL,
      offsetof(im_roam_req_t, key), 0, 0, IM_E_C2C_KEY, 0 },

      im_null_field
};


static im_field_t  im_withdraw_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_one_req_t, from), 1, 0, IM_E_C2C_FROM, 0 },

    { ngx_string("To_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_one_req_t, to), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("MsgKey"), IM_STR, IM_REQUIRED,
      offsetof(im_one_req_t, key), 1, 0, IM_E_C2C_KEY, 0 },

      im_null_field
};


static im_field_t  im_modify_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_one_req_t, from), 1, 0, IM_E_C2C_FROM, 0 },

    { ngx_string("To_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_one_req_t, to), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("MsgKey"), IM_STR, IM_REQUIRED,
      offsetof(im_one_req_t, key), 1, 0, IM_E_C2C_KEY, 0 },

    { ngx_string("MsgBody"), IM_LIST, IM_OPTIONAL,
      offsetof(im_one_req_t, body), 0, 0, IM_E_C2C_BODY, 0 },

    { ngx_string("CloudCustomData"), IM_STR, IM_NO_NUL,
      offsetof(im_one_req_t, cloud), 0, 0, IM_E_C2C_ELEM, 0 },

      im_null_field
};


static im_field_t  im_set_read_fields[] = {

    { ngx_string("Report_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_set_read_req_t, user), 1, 0, IM_E_C2C_FROM, 0 },

    { ngx_string("Peer_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_set_read_req_t, peer), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("MsgReadTime"), IM_INT, IM_NUMERIC_STR,
      offsetof(im_set_read_req_t, time), 0, IM_UINT32_MAX,
      IM_E_C2C_JSON, 0 },

      im_null_field
};


static im_field_t  im_unread_fields[] = {

    { ngx_string("To_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_unread_req_t, user), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("Peer_Account"), IM_STRS, IM_OPTIONAL,
      offsetof(im_unread_req_t, peers), 0, IM_UNREAD_PEERS,
      IM_E_C2C_TO, IM_E_C2C_MANY },

      im_null_field
};


static im_field_t  im_receipt_fields[] = {

    { ngx_string("Operator_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_receipt_req_t, user), 1, 0, IM_E_C2C_FROM, 0 },

    { ngx_string("Peer_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_receipt_req_t, peer), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("C2CMsgInfo"), IM_LIST, IM_REQUIRED,
      offsetof(im_receipt_req_t, list), 1, IM_RECEIPT_ITEMS,
      IM_E_MSG_REQUEST, 0 },

      im_null_field
};


im_command_t  im_cmd_openim_history[] = {

    { ngx_string("openim"), ngx_string("admin_getroammsg"),
      im_cmd_admin_getroammsg, IM_BY_ADMIN,
      im_roam_fields, sizeof(im_roam_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("admin_msgwithdraw"),
      im_cmd_admin_msgwithdraw, IM_BY_ADMIN,
      im_withdraw_fields, sizeof(im_one_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("admin_set_msg_read"),
      im_cmd_admin_set_msg_read, IM_BY_ADMIN,
      im_set_read_fields, sizeof(im_set_read_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("get_c2c_unread_msg_num"),
      im_cmd_get_c2c_unread_msg_num, IM_BY_ADMIN,
      im_unread_fields, sizeof(im_unread_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("modify_c2c_msg"),
      im_cmd_modify_c2c_msg, IM_BY_ADMIN,
      im_modify_fields, sizeof(im_one_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("c2c_msg_read_receipt"),
      im_cmd_c2c_msg_read_receipt, IM_BY_ADMIN,
      im_receipt_fields, sizeof(im_receipt_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_admin_getroammsg(im_ctx_t *ctx, void *data)
{
    im_roam_req_t  *req = data;

    ngx_int_t     rc;
    im_code_t     code;
    im_history_t  h;

    if (req->min_time.value > req->max_time.value) {
        return IM_E_C2C_JSON;
    }

    ngx_memzero(&h, sizeof(im_history_t));

    h.user = &req->from;
    h.peer = &req->to;
    h.order = IM_DESC;
    h.max = ngx_min(req->max.value, IM_HISTORY_PAGE_MAX);
    h.time = req->max_time.value;
    h.until = req->min_time.value;
    h.recalled = 1;
    h.both = 1;

    if (req->key.len) {

        if (im_message_key_parse(&req->key, &h.after) != NGX_OK) {
            return IM_E_C2C_KEY;
        }

        if (h.after.time == h.time) {
            h.has_after = 1;

        } else {
            h.time--;
        }
    }

    code = im_cmd_pair(ctx, &req->from, IM_E_C2C_FROM, &req->to,
                       IM_E_C2C_TO);
    if (code != IM_OK) {
        return code;
    }

    if (h.time < ngx_max(h.until, 1)) {
        h.complete = 1;
        return im_cmd_roam_reply(ctx, &h);
    }

    rc = im_history_read(ctx, &h);

    return (rc == NGX_OK) ? im_cmd_roam_reply(ctx, &h)
                          : im_message_code(ctx, rc);
}


static im_code_t
im_cmd_roam_reply(im_ctx_t *ctx, im_history_t *h)
{
    size_t         size;
    ngx_str_t     *key, last;
    im_json_t    **item, *list;
    ngx_uint_t     i;
    im_message_t  *msg;

    item = ngx_palloc(ctx->pool, (h->n + 1) * sizeof(im_json_t *));
    key = ngx_palloc(ctx->pool, (h->n + 1) * sizeof(ngx_str_t));

    if (item == NULL || key == NULL) {
        return im_message_code(ctx, NGX_ERROR);
    }

    size = 0;
    ngx_str_set(&last, "");

    for (i = 0; i < h->n; i++) {

        msg = &h->msgs[i];

        if (im_message_key_text(ctx, msg->mseq, msg->rand, msg->time, &key[i])
            != NGX_OK)
        {
            return im_message_code(ctx, NGX_ERROR);
        }

        item[i] = im_json_new_obj(ctx->pool);

        im_json_add_str(item[i], "From_Account", &msg->from);
        im_json_add_str(item[i], "To_Account", &msg->to);
        im_json_add_int(item[i], "MsgSeq", msg->mseq);
        im_json_add_int(item[i], "MsgRandom", msg->rand);
        im_json_add_int(item[i], "MsgTimeStamp", msg->time);
        im_json_add_int(item[i], "MsgFlagBits", msg->recalled.len ? 8 : 0);
        im_json_add_int(item[i], "IsPeerRead", msg->receipt);
        im_json_add_str(item[i], "MsgKey", &key[i]);
        im_json_add_raw(item[i], "MsgBody", &msg->body);

        if (msg->cloud.len) {
            im_json_add_str(item[i], "CloudCustomData", &msg->cloud);
        }

        if (im_json_failed(item[i])) {
            return im_message_code(ctx, NGX_ERROR);
        }

        size += im_json_len(item[i]) + 1;

        if (i && size > IM_ROAM_SIZE) {
            h->n = i;
            h->complete = 0;
            break;
        }

        last = key[i];
    }

    im_json_add_int(ctx->reply, "Complete", h->complete);
    im_json_add_int(ctx->reply, "MsgCnt", h->n);
    im_json_add_int(ctx->reply, "LastMsgTime",
                    h->n ? h->msgs[h->n - 1].time : 0);
    im_json_add_str(ctx->reply, "LastMsgKey", &last);

    list = im_json_add_list(ctx->reply, "MsgList");

    for (i = h->n; i > 0; i--) {
        im_json_push_node(list, item[i - 1]);
    }

    return IM_OK;
}


static im_code_t
im_cmd_admin_msgwithdraw(im_ctx_t *ctx, void *data)
{
    im_one_req_t  *req = data;

    im_code_t     code;
    im_msg_key_t  key;

    if (im_message_key_parse(&req->key, &key) != NGX_OK) {
        return IM_E_C2C_KEY;
    }

    code = im_cmd_pair(ctx, &req->from, IM_E_C2C_FROM, &req->to,
                       IM_E_C2C_TO);
    if (code != IM_OK) {
        return code;
    }

    return im_message_recall(ctx, &req->from, &req->to, &key, 0);
}


static im_code_t
im_cmd_admin_set_msg_read(im_ctx_t *ctx, void *data)
{
    im_set_read_req_t  *req = data;

    im_code_t  code;

    code = im_cmd_pair(ctx, &req->user, IM_E_C2C_FROM, &req->peer,
                       IM_E_C2C_TO);
    if (code != IM_OK) {
        return code;
    }

    return im_read_report(ctx, &req->user, &req->peer,
                          req->time.set ? req->time.value : ngx_time(), 0,
                          -1);
}


static im_code_t
im_cmd_get_c2c_unread_msg_num(im_ctx_t *ctx, void *data)
{
    im_unread_req_t  *req = data;

    u_char       exists[IM_UNREAD_PEERS];
    ngx_int_t    rc;
    im_code_t    code;
    im_read_t    read;
    ngx_str_t   *peer;
    im_json_t   *list, *errors, *item;
    ngx_uint_t   i, n;

    code = im_cmd_pair(ctx, &req->user, IM_E_C2C_TO, NULL, 0);
    if (code != IM_OK) {
        return code;
    }

    if (req->peers.elts == NULL) {
        return im_cmd_unread_all(ctx, &req->user);
    }

    rc = im_account_exist(ctx, req->peers.elts, req->peers.n, exists);
    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    list = im_json_add_list(ctx->reply, "C2CUnreadMsgNumList");
    errors = NULL;

    for (i = 0; i < req->peers.n; i++) {

        peer = &req->peers.elts[i];

        if (!exists[i]) {

            if (errors == NULL) {
                errors = im_json_add_list(ctx->reply, "ErrorList");
            }

            item = im_json_push_obj(errors);
            im_json_add_str(item, "Peer_Account", peer);
            im_json_add_int(item, "ErrorCode", IM_E_NO_ACCOUNT);

            continue;
        }

        rc = im_read_get(ctx, &req->user, IM_CONV_C2C, peer, 1, &read);

        if (rc == NGX_OK) {
            rc = im_read_unread(ctx, &req->user, peer, &read, &n);
        }

        if (rc != NGX_OK) {
            return im_message_code(ctx, rc);
        }

        item = im_json_push_obj(list);
        im_json_add_str(item, "Peer_Account", peer);
        im_json_add_int(item, "C2CUnreadMsgNum", n);
    }

    return IM_OK;
}


static im_code_t
im_cmd_unread_all(im_ctx_t *ctx, ngx_str_t *user)
{
    ngx_int_t        rc;
    ngx_uint_t       i, n;
    ngx_array_t      peers;
    im_read_peer_t  *peer;

    if (ngx_array_init(&peers, ctx->pool, 16, sizeof(im_read_peer_t))
        != NGX_OK)
    {
        return im_message_code(ctx, NGX_ERROR);
    }

    rc = im_read_peers(ctx, user, IM_UNREAD_ALL, &peers);
    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    peer = peers.elts;
    n = 0;

    for (i = 0; i < peers.nelts; i++) {
        n += peer[i].unread;
    }

    im_json_add_int(ctx->reply, "AllC2CUnreadMsgNum", n);

    return IM_OK;
}


static im_code_t
im_cmd_modify_c2c_msg(im_ctx_t *ctx, void *data)
{
    im_one_req_t  *req = data;

    im_code_t          code;
    ngx_str_t          body;
    im_msg_key_t       key;
    im_message_rows_t  rows;

    ngx_str_null(&body);

    if (im_message_key_parse(&req->key, &key) != NGX_OK) {
        return IM_E_C2C_KEY;
    }

    if (req->body == NULL && req->cloud.data == NULL) {
        ngx_str_set(&ctx->info, "neither MsgBody nor CloudCustomData");
        return IM_E_C2C_ELEM;
    }

    if (req->body) {
        code = im_elem_check(ctx, req->body, &im_elem_rest, &req->cloud,
                             &body);
        if (code != IM_OK) {
            return code;
        }
    }

    code = im_cmd_pair(ctx, &req->from, IM_E_MSG_ACCOUNT, &req->to,
                       IM_E_C2C_NO_TO);
    if (code != IM_OK) {
        return code;
    }

    return im_message_modify(ctx, &req->from, &req->to, &key, -1, &body,
                             &req->cloud, IM_E_C2C_SIZE, &rows);
}


static im_code_t
im_cmd_c2c_msg_read_receipt(im_ctx_t *ctx, void *data)
{
    im_receipt_req_t  *req = data;

    im_code_t      code;
    ngx_str_t      text;
    im_json_t     *node;
    ngx_uint_t     n;
    im_msg_key_t  *keys;

    keys = ngx_palloc(ctx->pool, req->list->n * sizeof(im_msg_key_t));
    if (keys == NULL) {
        return im_message_code(ctx, NGX_ERROR);
    }

    n = 0;

    im_json_each(node, req->list) {

        if (im_json_get_str(node, "MsgKey", &text) != NGX_OK
            || im_message_key_parse(&text, &keys[n]) != NGX_OK)
        {
            return IM_E_C2C_KEY;
        }

        n++;
    }

    code = im_cmd_pair(ctx, &req->user, IM_E_C2C_FROM, &req->peer,
                       IM_E_C2C_TO);
    if (code != IM_OK) {
        return code;
    }

    return im_message_receipt(ctx, &req->user, &req->peer, keys, n);
}


/* Both accounts exist, or the code for the one that does not. */

static im_code_t
im_cmd_pair(im_ctx_t *ctx, ngx_str_t *from, im_code_t no_from, ngx_str_t *to,
    im_code_t no_to)
{
    u_char      exists[2];
    ngx_int_t   rc;
    ngx_str_t   users[2];
    ngx_uint_t  n;

    users[0] = *from;
    n = 1;

    if (to) {
        users[1] = *to;
        n = 2;
    }

    rc = im_account_exist(ctx, users, n, exists);
    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    if (exists[0] && (to == NULL || exists[1])) {
        return IM_OK;
    }

    if (exists[0]) {
        no_from = no_to;
    }

    /* their texts name fields that not all commands have */

    if (no_from == IM_E_C2C_FROM || no_from == IM_E_C2C_TO) {
        ngx_str_set(&ctx->info, "the account does not exist");
    }

    return no_from;
}
