
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_callback.h"
#include "domain/im_elem.h"
#include "domain/im_message.h"
#include "api/im_cmd.h"


#define IM_UINT32_MAX       4294967295
#define IM_BATCH_TO_MAX     500
#define IM_IMPORT_AHEAD     60           /* seconds in the future */


typedef struct {
    ngx_str_t          from;
    ngx_str_t          to;
    im_json_t         *to_list;
    ngx_str_t          cloud;
    im_int_t           sync;
    im_int_t           import;
    im_int_t           life;
    im_int_t           seq;
    im_int_t           random;
    im_int_t           time;
    im_int_t           ctime;        /* MsgClientTime of a client */
    im_int_t           ext;
    im_int_t           receipt;
    im_json_t         *body;
    im_json_t         *forbid;
    im_json_t         *control;
    im_json_t         *push;
} im_msg_req_t;


static im_code_t im_cmd_sendmsg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_web_sendmsg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_batchsendmsg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_importmsg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_msg_fill(im_ctx_t *ctx, im_msg_req_t *req,
    im_elem_rules_t *rules, im_send_t *send);
static im_code_t im_cmd_msg_receiver(im_ctx_t *ctx, ngx_str_t *to,
    im_code_t unknown);
static im_code_t im_cmd_msg_sender(im_ctx_t *ctx, ngx_str_t *from,
    im_code_t unknown, im_send_t *send);
static im_code_t im_cmd_msg_reply(im_ctx_t *ctx, im_send_t *send);
static im_code_t im_cmd_batch_to(im_ctx_t *ctx, im_json_t *list,
    ngx_str_t **users, ngx_uint_t *n);


/* What all that are sent have: how, what, and what is pushed of it. */

#define im_msg_fields                                                         \
    { ngx_string("SendMsgControl"), IM_LIST, IM_OPTIONAL,                     \
      offsetof(im_msg_req_t, control), 0, 0, IM_E_C2C_ELEM, 0 },              \
                                                                              \
    { ngx_string("MsgBody"), IM_LIST, IM_OPTIONAL,                            \
      offsetof(im_msg_req_t, body), 0, 0, IM_E_C2C_BODY, 0 },                 \
                                                                              \
    { ngx_string("CloudCustomData"), IM_STR, IM_NO_NUL,                       \
      offsetof(im_msg_req_t, cloud), 0, 0, IM_E_C2C_ELEM, 0 },                \
                                                                              \
    { ngx_string("OfflinePushInfo"), IM_OBJ, IM_OPTIONAL,                     \
      offsetof(im_msg_req_t, push), 0, 0, IM_E_C2C_PUSH_INFO, 0 }


static im_field_t  im_sendmsg_fields[] = {

    { ngx_string("SyncOtherMachine"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, sync), 0, 0, IM_E_C2C_SYNC, 0 },

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_msg_req_t, from), 0, 0, IM_E_C2C_FROM, 0 },

    { ngx_string("To_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_msg_req_t, to), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("MsgLifeTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, life), 0, NGX_MAX_INT_T_VALUE,
      IM_E_C2C_LIFE_TYPE, IM_E_C2C_LIFE },

    { ngx_string("MsgSeq"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, seq), 0, IM_UINT32_MAX, IM_E_C2C_SEQ, 0 },

    { ngx_string("MsgRandom"), IM_INT, IM_REQUIRED,
      offsetof(im_msg_req_t, random), 0, IM_UINT32_MAX, IM_E_C2C_RANDOM, 0 },

    { ngx_string("MsgTimeStamp"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, time), 0, IM_UINT32_MAX, IM_E_C2C_TIME, 0 },

    { ngx_string("ForbidCallbackControl"), IM_LIST, IM_OPTIONAL,
      offsetof(im_msg_req_t, forbid), 0, 0, IM_E_C2C_JSON, 0 },

      im_msg_fields,

    { ngx_string("SupportMessageExtension"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, ext), 0, 1, IM_E_C2C_ELEM, 0 },

    { ngx_string("IsNeedReadReceipt"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, receipt), 0, 1, IM_E_C2C_ELEM, 0 },

      im_null_field
};


static im_field_t  im_web_sendmsg_fields[] = {

    { ngx_string("To_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_msg_req_t, to), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("MsgSeq"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, seq), 0, IM_UINT32_MAX, IM_E_C2C_SEQ, 0 },

    /* web SDK 1.7 rounds up to 2^32 */

    { ngx_string("MsgRandom"), IM_INT, IM_REQUIRED,
      offsetof(im_msg_req_t, random), 0, IM_UINT32_MAX + 1,
      IM_E_C2C_RANDOM, 0 },

    { ngx_string("MsgClientTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, ctime), 0, IM_UINT32_MAX, IM_E_C2C_TIME, 0 },

    { ngx_string("MsgTimeStamp"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, time), 0, IM_UINT32_MAX, IM_E_C2C_TIME, 0 },

    { ngx_string("MsgLifeTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, life), 0, NGX_MAX_INT_T_VALUE,
      IM_E_C2C_LIFE_TYPE, IM_E_C2C_LIFE },

      im_msg_fields,

    { ngx_string("SupportMessageExtension"), IM_BOOL, IM_OPTIONAL,
      offsetof(im_msg_req_t, ext), 0, 0, IM_E_C2C_ELEM, 0 },

    { ngx_string("IsNeedReadReceipt"), IM_BOOL, IM_OPTIONAL,
      offsetof(im_msg_req_t, receipt), 0, 0, IM_E_C2C_ELEM, 0 },

      im_null_field
};


static im_field_t  im_batchsendmsg_fields[] = {

    { ngx_string("SyncOtherMachine"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, sync), 0, 0, IM_E_C2C_SYNC, 0 },

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_msg_req_t, from), 1, 0, IM_E_C2C_FROM, 0 },

    { ngx_string("To_Account"), IM_NODE, IM_OPTIONAL,
      offsetof(im_msg_req_t, to_list), 0, 0, IM_E_BATCH_TO, 0 },

    { ngx_string("MsgLifeTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, life), 0, NGX_MAX_INT_T_VALUE,
      IM_E_C2C_LIFE_TYPE, IM_E_C2C_LIFE },

    { ngx_string("MsgSeq"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, seq), 0, IM_UINT32_MAX, IM_E_C2C_SEQ, 0 },

    { ngx_string("MsgRandom"), IM_INT, IM_REQUIRED,
      offsetof(im_msg_req_t, random), 0, IM_UINT32_MAX, IM_E_C2C_RANDOM, 0 },

    { ngx_string("MsgTimeStamp"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, time), 0, IM_UINT32_MAX, IM_E_C2C_TIME, 0 },

      im_msg_fields,

      im_null_field
};


static im_field_t  im_importmsg_fields[] = {

    { ngx_string("SyncFromOldSystem"), IM_INT, IM_REQUIRED,
      offsetof(im_msg_req_t, import), 1, 5, IM_E_IMPORT_SYNC, 0 },

    { ngx_string("From_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_msg_req_t, from), 1, 0, IM_E_C2C_FROM, 0 },

    { ngx_string("To_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_msg_req_t, to), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("MsgSeq"), IM_INT, IM_OPTIONAL,
      offsetof(im_msg_req_t, seq), 0, IM_UINT32_MAX, IM_E_C2C_SEQ, 0 },

    { ngx_string("MsgRandom"), IM_INT, IM_REQUIRED,
      offsetof(im_msg_req_t, random), 0, IM_UINT32_MAX, IM_E_C2C_RANDOM, 0 },

    { ngx_string("MsgTimeStamp"), IM_INT, IM_REQUIRED,
      offsetof(im_msg_req_t, time), 1, IM_UINT32_MAX, IM_E_C2C_TIME, 0 },

    { ngx_string("MsgBody"), IM_LIST, IM_OPTIONAL,
      offsetof(im_msg_req_t, body), 0, 0, IM_E_C2C_BODY, 0 },

    { ngx_string("CloudCustomData"), IM_STR, IM_NO_NUL,
      offsetof(im_msg_req_t, cloud), 0, 0, IM_E_C2C_ELEM, 0 },

      im_null_field
};


im_command_t  im_cmd_openim[] = {

    { ngx_string("openim"), ngx_string("sendmsg"),
      im_cmd_sendmsg, IM_BY_ADMIN,
      im_sendmsg_fields, sizeof(im_msg_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("sendmsg"),
      im_cmd_web_sendmsg, IM_BY_USER,
      im_web_sendmsg_fields, sizeof(im_msg_req_t), 0, IM_IN_ORDER },

    { ngx_string("openim"), ngx_string("batchsendmsg"),
      im_cmd_batchsendmsg, IM_BY_ADMIN,
      im_batchsendmsg_fields, sizeof(im_msg_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("importmsg"),
      im_cmd_importmsg, IM_BY_ADMIN,
      im_importmsg_fields, sizeof(im_msg_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_sendmsg(im_ctx_t *ctx, void *data)
{
    im_msg_req_t  *req = data;

    im_code_t   code;
    im_send_t   send;
    ngx_uint_t  forbid;

    code = im_cmd_msg_fill(ctx, req, &im_elem_rest, &send);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_msg_receiver(ctx, &req->to, IM_E_C2C_NO_TO);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_msg_sender(ctx, &req->from, IM_E_MSG_ACCOUNT, &send);
    if (code != IM_OK) {
        return code;
    }

    send.msg.to = req->to;

    /* batches and imports are exempt from dirty words */

    send.check = !(im_message_control(req->control) & IM_MSG_NO_CHECK);

    forbid = im_callback_forbid(req->forbid);

    send.ask = !(forbid & IM_FORBID_BEFORE);
    send.tell = !(forbid & IM_FORBID_AFTER);

    code = im_message_send(ctx, &send);
    if (code != IM_OK) {
        return code;
    }

    return im_cmd_msg_reply(ctx, &send);
}


static im_code_t
im_cmd_web_sendmsg(im_ctx_t *ctx, void *data)
{
    im_msg_req_t  *req = data;

    im_code_t  code;
    im_send_t  send;

    code = im_cmd_msg_fill(ctx, req, &im_elem_client, &send);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_msg_receiver(ctx, &req->to, IM_E_MSG_ACCOUNT);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_msg_sender(ctx, &ctx->user, IM_E_MSG_ACCOUNT, &send);
    if (code != IM_OK) {
        return code;
    }

    send.msg.to = req->to;
    send.seq_order = 0;

    send.inst = ctx->inst;
    send.push_own = 1;
    send.check = 1;
    send.ask = 1;
    send.tell = 1;

    code = im_message_send(ctx, &send);
    if (code != IM_OK) {
        return code;
    }

    return im_cmd_msg_reply(ctx, &send);
}


static im_code_t
im_cmd_batchsendmsg(im_ctx_t *ctx, void *data)
{
    im_msg_req_t  *req = data;

    u_char      *exists;
    ngx_int_t    rc;
    im_code_t    code, *codes;
    ngx_str_t    key, *users, *to;
    im_json_t   *list, *item;
    im_send_t    send;
    ngx_uint_t   i, k, n, failed;

    users = NULL;
    n = 0;

    code = im_cmd_batch_to(ctx, req->to_list, &users, &n);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_msg_fill(ctx, req, &im_elem_batch, &send);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_msg_sender(ctx, &req->from, IM_E_C2C_FROM, &send);
    if (code != IM_OK) {
        return code;
    }

    exists = ngx_pnalloc(ctx->pool, n);
    codes = ngx_pcalloc(ctx->pool, n * sizeof(im_code_t));
    to = ngx_palloc(ctx->pool, n * sizeof(ngx_str_t));

    if (exists == NULL || codes == NULL || to == NULL) {
        return im_message_code(ctx, NGX_ERROR);
    }

    rc = im_account_exist(ctx, users, n, exists);
    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    k = 0;

    for (i = 0; i < n; i++) {
        if (exists[i]) {
            to[k++] = users[i];
        }
    }

    im_message_send_many(ctx, &send, to, k, codes);

    list = im_json_new_list(ctx->pool);
    failed = 0;
    k = 0;

    for (i = 0; i < n; i++) {

        code = exists[i] ? codes[k++] : IM_E_NO_ACCOUNT;

        if (code == IM_OK) {
            continue;
        }

        item = im_json_push_obj(list);
        im_json_add_str(item, "To_Account", &users[i]);
        im_json_add_int(item, "ErrorCode", code);

        failed++;
    }

    if (failed == n && k) {
        return codes[0];                 /* of the store */
    }

    if (failed == n) {
        ngx_str_set(&ctx->info, "invalid To_Account");
        return IM_E_C2C_NO_TO;
    }

    if (im_message_key_text(ctx, send.msg.mseq, send.msg.rand, send.msg.time,
                            &key)
        != NGX_OK)
    {
        return im_message_code(ctx, NGX_ERROR);
    }

    im_json_add_str(ctx->reply, "MsgKey", &key);

    if (failed) {
        im_json_add_node(ctx->reply, "ErrorList", list);
        ctx->some_error = 1;
    }

    return IM_OK;
}


static im_code_t
im_cmd_importmsg(im_ctx_t *ctx, void *data)
{
    im_msg_req_t  *req = data;

    im_code_t  code;
    im_send_t  send;

    if (req->import.value == 3 || req->import.value == 4) {
        return IM_E_IMPORT_SYNC;
    }

    if (req->time.value > ngx_time() + IM_IMPORT_AHEAD) {
        return IM_E_C2C_TIME;
    }

    code = im_cmd_msg_fill(ctx, req, &im_elem_rest, &send);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_msg_receiver(ctx, &req->to, IM_E_C2C_NO_TO);
    if (code != IM_OK) {
        return code;
    }

    code = im_cmd_msg_sender(ctx, &req->from, IM_E_C2C_NO_ACCOUNT, &send);
    if (code != IM_OK) {
        return code;
    }

    send.msg.to = req->to;
    send.msg.time = req->time.value;

    if (!send.seq_given) {
        send.msg.mseq = 0;
    }

    return im_message_import(ctx, &send, req->import.value);
}


/* What all have in common. */

static im_code_t
im_cmd_msg_fill(im_ctx_t *ctx, im_msg_req_t *req, im_elem_rules_t *rules,
    im_send_t *send)
{
    im_code_t  code;

    ngx_memzero(send, sizeof(im_send_t));

    if (im_elem_push_check(ctx, req->push) != NGX_OK) {
        return IM_E_C2C_PUSH_INFO;
    }

    code = im_elem_check(ctx, req->body, rules, &req->cloud, &send->msg.body);
    if (code != IM_OK) {
        return code;
    }

    send->msg.cloud = req->cloud;
    send->msg.rand = req->random.value;
    send->msg.ctime = req->ctime.value ? req->ctime.value : req->time.value;
    send->msg.opts = im_message_control(req->control) & ~IM_MSG_NO_CHECK;

    if (send->msg.ctime == 0) {
        send->msg.ctime = ngx_time();
    }

    if (req->seq.set) {
        send->msg.mseq = req->seq.value;
        send->seq_given = 1;
        send->seq_order = 1;

    } else {
        send->msg.mseq = (uint32_t) ngx_random();
    }

    if (req->receipt.value) {
        send->msg.opts |= IM_MSG_RECEIPT;
    }

    if (req->ext.value) {
        send->msg.opts |= IM_MSG_EXT;
    }

    if (req->life.set && req->life.value == 0) {
        send->msg.opts |= IM_MSG_ONLINE;
    }

    send->keep_own = (req->sync.value != 2);
    send->push_own = (req->sync.value == 1);

    return IM_OK;
}


static im_code_t
im_cmd_msg_receiver(im_ctx_t *ctx, ngx_str_t *to, im_code_t unknown)
{
    ngx_int_t  rc;

    rc = im_account_find(ctx, to);

    if (rc == NGX_DECLINED) {
        return unknown;
    }

    return (rc == NGX_OK) ? IM_OK : im_message_code(ctx, rc);
}


static im_code_t
im_cmd_msg_sender(im_ctx_t *ctx, ngx_str_t *from, im_code_t unknown,
    im_send_t *send)
{
    ngx_int_t     rc;
    im_account_t  account;

    if (from->len == 0) {
        from = &ctx->user;
    }

    if (ctx->tinyid.len && im_str_eq(from, &ctx->user)) {
        send->msg.from = ctx->user;
        send->msg.tinyid = ctx->tinyid;

        return IM_OK;
    }

    rc = im_account_get(ctx, from, &account);

    if (rc == NGX_DECLINED) {
        return unknown;
    }

    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    send->msg.from = *from;
    send->msg.tinyid = account.tinyid;

    return IM_OK;
}


static im_code_t
im_cmd_msg_reply(im_ctx_t *ctx, im_send_t *send)
{
    if (send->key.len == 0
        && im_message_key_text(ctx, send->msg.mseq, send->msg.rand,
                               send->msg.time, &send->key)
           != NGX_OK)
    {
        return im_message_code(ctx, NGX_ERROR);
    }

    im_json_add_int(ctx->reply, "MsgTime", send->msg.time);
    im_json_add_str(ctx->reply, "MsgKey", &send->key);

    return IM_OK;
}


/* Receivers, each once. */

static im_code_t
im_cmd_batch_to(im_ctx_t *ctx, im_json_t *list, ngx_str_t **users,
    ngx_uint_t *n)
{
    ngx_str_t   *to;
    im_json_t   *item;
    ngx_uint_t   i, m;

    if (list == NULL || list->type != IM_JSON_LIST) {
        return IM_E_BATCH_TO;
    }

    if (list->n == 0) {
        return IM_E_BATCH_EMPTY;
    }

    if (list->n > IM_BATCH_TO_MAX) {
        return IM_E_C2C_MANY;
    }

    to = ngx_palloc(ctx->pool, list->n * sizeof(ngx_str_t));
    if (to == NULL) {
        return im_message_code(ctx, NGX_ERROR);
    }

    m = 0;

    im_json_each(item, list) {

        if (item->type != IM_JSON_STR) {
            return IM_E_C2C_TO;
        }

        for (i = 0; i < m; i++) {
            if (im_str_eq(&to[i], &item->u.text)) {
                break;
            }
        }

        if (i == m) {
            to[m++] = item->u.text;
        }
    }

    *users = to;
    *n = m;

    return IM_OK;
}
