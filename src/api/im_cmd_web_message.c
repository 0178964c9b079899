
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_conv.h"
#include "domain/im_elem.h"
#include "domain/im_group_member.h"
#include "domain/im_group_read.h"
#include "domain/im_message.h"
#include "domain/im_read.h"
#include "domain/im_word.h"
#include "api/im_cmd.h"


#define IM_UINT32_MAX       4294967295
#define IM_READ_ITEMS       100
#define IM_READ_ALL         1000
#define IM_READ_GROUPS      500
#define IM_READ_BATCH       100      /* operations of a commit */
#define IM_RECEIPT_ITEMS    100
#define IM_HIDE_ITEMS       30
#define IM_MUTE_ITEMS       30


/* Names one message. */

typedef struct {
    ngx_str_t          from;
    ngx_str_t          to;
    im_int_t           seq;
    im_int_t           random;
    im_int_t           time;
    im_int_t           version;
    ngx_str_t          cloud;
    im_json_t         *body;
} im_web_one_req_t;


typedef struct {
    im_json_t         *obj;
} im_obj_req_t;


typedef struct {
    ngx_str_t          peer;
    im_json_t         *list;
} im_peer_list_req_t;


typedef struct {
    ngx_str_t          peer;
    im_int_t           time;
} im_read_item_req_t;


typedef struct {
    im_strs_t          peers;
    im_int_t           mute;
} im_peers_req_t;


typedef struct {
    im_int_t           c2c;
    im_json_t         *groups;
} im_read_all_req_t;


static im_code_t im_cmd_msgwithdraw(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_modify_c2c_msg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_msgreaded(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_peer_read_time(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_c2c_msg_read_receipt(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_set_c2c_peer_mute_notifications(im_ctx_t *ctx,
    void *data);
static im_code_t im_cmd_get_c2c_peer_mute_notifications(im_ctx_t *ctx,
    void *data);
static im_code_t im_cmd_delete_c2c_msg_ramble(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_read_all_unread_msg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_read_all_c2c(im_ctx_t *ctx);
static im_code_t im_cmd_read_all_groups(im_ctx_t *ctx, im_json_t *groups,
    im_json_t *told);


static im_field_t  im_msgwithdraw_fields[] = {

    { ngx_string("MsgInfo"), IM_OBJ, IM_REQUIRED,
      offsetof(im_obj_req_t, obj), 0, 0, IM_E_MSG_REQUEST, 0 },

      im_null_field
};


/* members of MsgInfo */

static im_field_t  im_msg_info_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_web_one_req_t, from), 1, 0, IM_E_C2C_FROM, 0 },

    { ngx_string("To_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_web_one_req_t, to), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("MsgSeq"), IM_INT, IM_REQUIRED,
      offsetof(im_web_one_req_t, seq), 0, IM_UINT32_MAX, IM_E_C2C_SEQ, 0 },

    { ngx_string("MsgRandom"), IM_INT, IM_REQUIRED,
      offsetof(im_web_one_req_t, random), 0, IM_UINT32_MAX + 1,
      IM_E_C2C_RANDOM, 0 },

    { ngx_string("MsgTimeStamp"), IM_INT, IM_REQUIRED,
      offsetof(im_web_one_req_t, time), 0, IM_UINT32_MAX, IM_E_C2C_TIME, 0 },

      im_null_field
};


static im_field_t  im_web_modify_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_web_one_req_t, from), 1, 0, IM_E_C2C_FROM, 0 },

    { ngx_string("To_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_web_one_req_t, to), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("MsgSeq"), IM_INT, IM_REQUIRED,
      offsetof(im_web_one_req_t, seq), 0, IM_UINT32_MAX, IM_E_C2C_SEQ, 0 },

    { ngx_string("MsgRandom"), IM_INT, IM_REQUIRED,
      offsetof(im_web_one_req_t, random), 0, IM_UINT32_MAX + 1,
      IM_E_C2C_RANDOM, 0 },

    { ngx_string("MsgTime"), IM_INT, IM_REQUIRED,
      offsetof(im_web_one_req_t, time), 0, IM_UINT32_MAX, IM_E_C2C_TIME, 0 },

    { ngx_string("MsgVersion"), IM_INT, IM_OPTIONAL,
      offsetof(im_web_one_req_t, version), 0, 0, IM_E_MSG_REQUEST, 0 },

    { ngx_string("MsgBody"), IM_LIST, IM_OPTIONAL,
      offsetof(im_web_one_req_t, body), 0, 0, IM_E_C2C_BODY, 0 },

    { ngx_string("CloudCustomData"), IM_STR, IM_NO_NUL,
      offsetof(im_web_one_req_t, cloud), 0, 0, IM_E_C2C_ELEM, 0 },

      im_null_field
};


static im_field_t  im_msgreaded_fields[] = {

    { ngx_string("C2CMsgReaded"), IM_OBJ, IM_REQUIRED,
      offsetof(im_obj_req_t, obj), 0, 0, IM_E_MSG_REQUEST, 0 },

      im_null_field
};


/* of C2CMsgReaded, and members of its items */

static im_field_t  im_msgreaded_list_fields[] = {

    { ngx_string("C2CMsgReadedItem"), IM_LIST, IM_REQUIRED,
      offsetof(im_peer_list_req_t, list), 0, IM_READ_ITEMS,
      IM_E_MSG_REQUEST, 0 },

      im_null_field
};


static im_field_t  im_msgreaded_item_fields[] = {

    { ngx_string("To_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_read_item_req_t, peer), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("LastedMsgTime"), IM_INT, IM_REQUIRED,
      offsetof(im_read_item_req_t, time), 0, IM_UINT32_MAX, IM_E_C2C_TIME, 0 },

      im_null_field
};


static im_field_t  im_peer_read_fields[] = {

    { ngx_string("To_Account"), IM_STRS, IM_REQUIRED,
      offsetof(im_peers_req_t, peers), 0, IM_READ_ITEMS,
      IM_E_C2C_TO, IM_E_C2C_MANY },

      im_null_field
};


static im_field_t  im_receipt_fields[] = {

    { ngx_string("Peer_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_peer_list_req_t, peer), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("C2CMsgInfo"), IM_LIST, IM_REQUIRED,
      offsetof(im_peer_list_req_t, list), 1, IM_RECEIPT_ITEMS,
      IM_E_MSG_REQUEST, 0 },

      im_null_field
};


/* members of an item of C2CMsgInfo */

static im_field_t  im_receipt_item_fields[] = {

    { ngx_string("MsgSeq"), IM_INT, IM_REQUIRED,
      offsetof(im_web_one_req_t, seq), 0, IM_UINT32_MAX, IM_E_C2C_SEQ, 0 },

    { ngx_string("MsgRandom"), IM_INT, IM_REQUIRED,
      offsetof(im_web_one_req_t, random), 0, IM_UINT32_MAX + 1,
      IM_E_C2C_RANDOM, 0 },

    { ngx_string("MsgTime"), IM_INT, IM_REQUIRED,
      offsetof(im_web_one_req_t, time), 0, IM_UINT32_MAX, IM_E_C2C_TIME, 0 },

      im_null_field
};


static im_field_t  im_set_mute_fields[] = {

    { ngx_string("Peer_Account"), IM_STRS, IM_REQUIRED,
      offsetof(im_peers_req_t, peers), 1, IM_MUTE_ITEMS,
      IM_E_C2C_TO, IM_E_C2C_MANY },

    { ngx_string("Mute_Notifications"), IM_INT, IM_REQUIRED,
      offsetof(im_peers_req_t, mute), 0, 2, IM_E_MSG_REQUEST, 0 },

      im_null_field
};


static im_field_t  im_hide_fields[] = {

    { ngx_string("To_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_peer_list_req_t, peer), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("MsgKeyList"), IM_LIST, IM_REQUIRED,
      offsetof(im_peer_list_req_t, list), 1, IM_HIDE_ITEMS,
      IM_E_MSG_REQUEST, IM_E_MSG_DELETE },

      im_null_field
};


static im_field_t  im_read_all_fields[] = {

    { ngx_string("C2CReadAllMsg"), IM_BOOL, IM_OPTIONAL,
      offsetof(im_read_all_req_t, c2c), 0, 0, IM_E_MSG_REQUEST, 0 },

    { ngx_string("GroupReadInfo"), IM_LIST, IM_OPTIONAL,
      offsetof(im_read_all_req_t, groups), 0, IM_READ_GROUPS,
      IM_E_MSG_REQUEST, 0 },

      im_null_field
};


im_command_t  im_cmd_web_message[] = {

    { ngx_string("openim"), ngx_string("msgwithdraw"),
      im_cmd_msgwithdraw, IM_BY_USER,
      im_msgwithdraw_fields, sizeof(im_obj_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("modify_c2c_msg"),
      im_cmd_modify_c2c_msg, IM_BY_USER,
      im_web_modify_fields, sizeof(im_web_one_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("msgreaded"),
      im_cmd_msgreaded, IM_BY_USER,
      im_msgreaded_fields, sizeof(im_obj_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("get_peer_read_time"),
      im_cmd_get_peer_read_time, IM_BY_USER,
      im_peer_read_fields, sizeof(im_peers_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("c2c_msg_read_receipt"),
      im_cmd_c2c_msg_read_receipt, IM_BY_USER,
      im_receipt_fields, sizeof(im_peer_list_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("set_c2c_peer_mute_notifications"),
      im_cmd_set_c2c_peer_mute_notifications, IM_BY_USER,
      im_set_mute_fields, sizeof(im_peers_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("get_c2c_peer_mute_notifications"),
      im_cmd_get_c2c_peer_mute_notifications, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("openim"), ngx_string("delete_c2c_msg_ramble"),
      im_cmd_delete_c2c_msg_ramble, IM_BY_USER,
      im_hide_fields, sizeof(im_peer_list_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("read_all_unread_msg"),
      im_cmd_read_all_unread_msg, IM_BY_USER,
      im_read_all_fields, sizeof(im_read_all_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_msgwithdraw(im_ctx_t *ctx, void *data)
{
    im_obj_req_t  *req = data;

    im_code_t         code;
    im_msg_key_t      key;
    im_web_one_req_t  one;

    ngx_memzero(&one, sizeof(im_web_one_req_t));

    code = im_schema_fill(ctx->pool, req->obj, im_msg_info_fields, &one,
                          &ctx->info);
    if (code != IM_OK) {
        return (code == NGX_ERROR) ? im_message_code(ctx, code) : code;
    }

    if (!im_str_eq(&one.from, &ctx->user)) {
        ngx_str_set(&ctx->info, "the message was sent by another account");
        return IM_E_MSG_REQUEST;
    }

    if (!im_account_syntax(ctx->app, &one.to)) {
        return IM_E_NO_MSG;
    }

    key.mseq = one.seq.value;
    key.rand = one.random.value;
    key.time = one.time.value;

    return im_message_recall(ctx, &one.from, &one.to, &key,
                             ctx->app->recall_time);
}


static im_code_t
im_cmd_modify_c2c_msg(im_ctx_t *ctx, void *data)
{
    im_web_one_req_t  *req = data;

    im_code_t           code;
    ngx_str_t           body;
    im_msg_key_t        key;
    im_message_rows_t   rows;

    ngx_str_null(&body);

    if (req->body == NULL && req->cloud.data == NULL) {
        return IM_E_C2C_ELEM;
    }

    if (req->body) {
        code = im_elem_check(ctx, req->body, &im_elem_modify, &req->cloud,
                             &body);
        if (code != IM_OK) {
            return code;
        }

        if (im_word_dirty_message(ctx, &body)) {
            return IM_E_DIRTY;
        }
    }

    /* either side may */

    if ((!im_str_eq(&req->from, &ctx->user)
         && !im_str_eq(&req->to, &ctx->user))
        || !im_account_syntax(ctx->app, &req->from)
        || !im_account_syntax(ctx->app, &req->to))
    {
        return IM_E_NO_MSG;
    }

    key.mseq = req->seq.value;
    key.rand = req->random.value;
    key.time = req->time.value;

    code = im_message_modify(ctx, &req->from, &req->to, &key,
                             req->version.value, &body, &req->cloud,
                             IM_E_SIZE, &rows);

    if (code == IM_OK || code == IM_E_MODIFY_CONFLICT) {
        im_json_add_raw(ctx->reply, "MsgBody", &rows.msg.body);
        im_json_add_int(ctx->reply, "MsgVersion", rows.msg.mver);
        im_json_add_str(ctx->reply, "CloudCustomData", &rows.msg.cloud);
    }

    return code;
}


static im_code_t
im_cmd_msgreaded(im_ctx_t *ctx, void *data)
{
    im_obj_req_t  *req = data;

    im_code_t            code;
    im_json_t           *node;
    im_read_item_req_t        item;
    im_peer_list_req_t   list;

    ngx_memzero(&list, sizeof(im_peer_list_req_t));

    code = im_schema_fill(ctx->pool, req->obj, im_msgreaded_list_fields,
                          &list, &ctx->info);
    if (code != IM_OK) {
        return (code == NGX_ERROR) ? im_message_code(ctx, code) : code;
    }

    im_json_each(node, list.list) {

        ngx_memzero(&item, sizeof(im_read_item_req_t));

        code = im_schema_fill(ctx->pool, node, im_msgreaded_item_fields,
                              &item, &ctx->info);
        if (code != IM_OK) {
            return (code == NGX_ERROR) ? im_message_code(ctx, code) : code;
        }

        code = im_read_report(ctx, &ctx->user, &item.peer, item.time.value,
                              0, -1);
        if (code != IM_OK) {
            return code;
        }
    }

    return IM_OK;
}


static im_code_t
im_cmd_get_peer_read_time(im_ctx_t *ctx, void *data)
{
    im_peers_req_t  *req = data;

    ngx_int_t    rc;
    im_json_t   *list;
    im_read_t   *reads;
    ngx_uint_t   i;

    reads = ngx_palloc(ctx->pool, (req->peers.n + 1) * sizeof(im_read_t));
    if (reads == NULL) {
        return im_message_code(ctx, NGX_ERROR);
    }

    for (i = 0; i < req->peers.n; i++) {
        if (!im_account_syntax(ctx->app, &req->peers.elts[i])) {
            ngx_str_set(&req->peers.elts[i], "");
        }
    }

    rc = im_read_get_of(ctx, req->peers.elts, req->peers.n, &ctx->user,
                        reads);
    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    list = im_json_add_list(ctx->reply, "ReadTime");

    for (i = 0; i < req->peers.n; i++) {
        im_json_push_int(list, reads[i].time);
    }

    return IM_OK;
}


static im_code_t
im_cmd_c2c_msg_read_receipt(im_ctx_t *ctx, void *data)
{
    im_peer_list_req_t  *req = data;

    im_code_t          code;
    im_json_t         *node;
    ngx_uint_t         n;
    im_msg_key_t      *keys;
    im_web_one_req_t   one;

    if (!im_account_syntax(ctx->app, &req->peer)) {
        return IM_E_MSG_ACCOUNT;
    }

    keys = ngx_palloc(ctx->pool, req->list->n * sizeof(im_msg_key_t));
    if (keys == NULL) {
        return im_message_code(ctx, NGX_ERROR);
    }

    n = 0;

    im_json_each(node, req->list) {

        ngx_memzero(&one, sizeof(im_web_one_req_t));

        code = im_schema_fill(ctx->pool, node, im_receipt_item_fields, &one,
                              &ctx->info);
        if (code != IM_OK) {
            return (code == NGX_ERROR) ? im_message_code(ctx, code) : code;
        }

        keys[n].mseq = one.seq.value;
        keys[n].rand = one.random.value;
        keys[n].time = one.time.value;
        n++;
    }

    return im_message_receipt(ctx, &ctx->user, &req->peer, keys, n);
}


static im_code_t
im_cmd_set_c2c_peer_mute_notifications(im_ctx_t *ctx, void *data)
{
    im_peers_req_t  *req = data;

    u_char       exists[IM_MUTE_ITEMS];
    int64_t      seq;
    ngx_int_t    rc;
    im_code_t    code;
    im_json_t   *list, *item;
    ngx_uint_t   i;

    rc = im_account_exist(ctx, req->peers.elts, req->peers.n, exists);
    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    list = im_json_add_list(ctx->reply, "ErrorList");
    seq = 0;

    for (i = 0; i < req->peers.n; i++) {

        code = exists[i] ? im_conv_mute(ctx, &ctx->user, &req->peers.elts[i],
                                        req->mute.value, &seq)
                         : IM_E_NO_ACCOUNT;

        if (code != IM_OK) {
            item = im_json_push_obj(list);
            im_json_add_str(item, "Peer_Account", &req->peers.elts[i]);
            im_json_add_int(item, "ErrorCode", code);
        }
    }

    im_json_add_int(ctx->reply, "UpdateSeq", seq);

    return IM_OK;
}


static im_code_t
im_cmd_get_c2c_peer_mute_notifications(im_ctx_t *ctx, void *data)
{
    int64_t       seq;
    ngx_int_t     rc;
    im_conv_t    *conv;
    im_json_t    *list, *item;
    ngx_uint_t    i;
    ngx_array_t   convs;

    if (ngx_array_init(&convs, ctx->pool, 16, sizeof(im_conv_t)) != NGX_OK) {
        return im_message_code(ctx, NGX_ERROR);
    }

    rc = im_conv_each(ctx, &ctx->user, IM_CONV_C2C, &convs);
    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    list = im_json_add_list(ctx->reply, "MuteNotificationsList");

    conv = convs.elts;
    seq = 0;

    for (i = 0; i < convs.nelts; i++) {

        seq = ngx_max(seq, conv[i].mute_time);

        if (conv[i].mute) {
            item = im_json_push_obj(list);
            im_json_add_str(item, "Peer_Account", &conv[i].peer);
            im_json_add_int(item, "MuteNotifications", conv[i].mute);
        }
    }

    im_json_add_int(ctx->reply, "UpdateSeq", seq);

    return IM_OK;
}


static im_code_t
im_cmd_delete_c2c_msg_ramble(im_ctx_t *ctx, void *data)
{
    im_peer_list_req_t  *req = data;

    im_json_t     *node;
    ngx_uint_t     n;
    im_msg_key_t   keys[IM_HIDE_ITEMS];

    n = 0;

    im_json_each(node, req->list) {

        if (node->type != IM_JSON_STR
            || im_message_key_parse(&node->u.text, &keys[n]) != NGX_OK)
        {
            return IM_E_C2C_KEY;
        }

        n++;
    }

    if (!im_account_syntax(ctx->app, &req->peer)) {
        return IM_E_MSG_ACCOUNT;
    }

    return im_message_hide(ctx, &ctx->user, &req->peer, keys, n);
}


static im_code_t
im_cmd_read_all_unread_msg(im_ctx_t *ctx, void *data)
{
    im_read_all_req_t  *req = data;

    ngx_int_t   rc;
    im_code_t   code;
    im_json_t  *event, *list;

    code = IM_OK;

    if (req->c2c.value) {
        code = im_cmd_read_all_c2c(ctx);
    }

    event = im_json_new_obj(ctx->pool);
    im_json_add_int(event, "Event", 14);
    im_json_add_int(event, "C2CReadAllMsg", req->c2c.value);
    list = im_json_add_list(event, "GroupReadInfoArray");

    im_json_add_int(ctx->reply, "C2CReadAllMsg", req->c2c.value);

    if (code == IM_OK) {
        code = im_cmd_read_all_groups(ctx, req->groups, list);
    }

    if (code != IM_OK || (!req->c2c.value && list->n == 0)) {
        return code;
    }

    rc = im_inbox_event(ctx, &ctx->user, ctx->inst, event);

    return (rc == NGX_OK) ? IM_OK : im_message_code(ctx, rc);
}


static im_code_t
im_cmd_read_all_c2c(im_ctx_t *ctx)
{
    int64_t          left;
    ngx_int_t        rc;
    im_code_t        code;
    ngx_uint_t       i;
    ngx_array_t      peers;
    im_read_peer_t  *peer;

    if (ngx_array_init(&peers, ctx->pool, 16, sizeof(im_read_peer_t))
        != NGX_OK)
    {
        return im_message_code(ctx, NGX_ERROR);
    }

    rc = im_read_peers(ctx, &ctx->user, IM_READ_ALL, &peers);
    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    peer = peers.elts;
    left = 0;

    for (i = 0; i < peers.nelts; i++) {
        left += peer[i].unread;
    }

    for (i = 0; i < peers.nelts; i++) {
        left -= peer[i].unread;

        code = im_read_report(ctx, &ctx->user, &peer[i].peer, ngx_time(), 1,
                              left);
        if (code != IM_OK) {
            return code;
        }
    }

    return IM_OK;
}


/* told: those whose mark has moved, for the user's other instances. */

static im_code_t
im_cmd_read_all_groups(im_ctx_t *ctx, im_json_t *groups, im_json_t *told)
{
    int64_t           seq;
    ngx_int_t         rc;
    im_code_t         code;
    ngx_str_t         gid;
    im_json_t        *node, *list, *item;
    ngx_uint_t        moved;
    im_group_t        group;
    im_batch_t       *batch;
    im_group_role_e   role;

    list = im_json_add_list(ctx->reply, "GroupReadInfoArray");
    batch = im_store_batch(ctx, IM_ORDERED);

    im_json_each(node, groups) {

        if (im_json_get_str(node, "GroupId", &gid) != NGX_OK
            || im_json_get_int(node, "MsgSeq", &seq) != NGX_OK
            || seq < 0)
        {
            ngx_str_set(&ctx->info, "an item of \"GroupReadInfo\" has no "
                                    "\"GroupId\" or no \"MsgSeq\"");
            return IM_E_MSG_REQUEST;
        }

        moved = 0;
        code = im_group_load(ctx, &gid, &group);

        role = IM_GROUP_NOBODY;

        if (code == IM_OK && !group.type->live) {
            code = im_group_role_of(ctx, &group, &ctx->user, &role);
        }

        if (code == IM_OK && role == IM_GROUP_NOBODY) {
            code = IM_E_GROUP_RIGHT;
        }

        if (code == IM_OK) {
            rc = im_group_read_add(ctx, batch, &group, &seq, &moved);
            code = im_group_code(rc);
        }

        item = im_json_push_obj(list);
        im_json_add_str(item, "GroupId", &gid);
        im_json_add_int(item, "MsgSeq", seq);
        im_json_add_int(item, "RetCode", code);

        if (moved) {
            item = im_json_push_obj(told);
            im_json_add_str(item, "GroupId", &gid);
            im_json_add_int(item, "LastReadMsgSeq", seq);
        }

        if (batch && batch->n >= IM_READ_BATCH) {
            rc = im_store_commit(ctx, batch);

            if (rc != NGX_OK && rc != NGX_DECLINED) {
                return im_message_code(ctx, rc);
            }

            batch = im_store_batch(ctx, IM_ORDERED);
        }
    }

    if (batch && batch->n == 0) {
        return IM_OK;
    }

    rc = im_store_commit(ctx, batch);

    return (rc == NGX_OK || rc == NGX_DECLINED) ? IM_OK
                                                : im_message_code(ctx, rc);
}
