
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_conv.h"
#include "domain/im_group_at.h"
#include "domain/im_group_row.h"
#include "domain/im_history.h"
#include "domain/im_message.h"
#include "domain/im_read.h"
#include "api/im_cmd.h"


#define IM_UINT32_MAX       4294967295
#define IM_GETMSG_ROWS      200
#define IM_GETMSG_BYTES     262144
#define IM_ROAM_COUNT       15           /* MaxCnt by default */
#define IM_ROAM_SIZE        524288       /* bytes of MsgList */
#define IM_DELETE_ITEMS     100


typedef struct {
    ngx_str_t          cookie;
} im_getmsg_req_t;


typedef struct {
    ngx_str_t          peer;
    ngx_str_t          key;
    im_int_t           max;
    im_int_t           time;
    im_int_t           recalled;
    im_int_t           direction;
} im_roam_req_t;


typedef struct {
    im_json_t         *list;
} im_deletemsg_req_t;


static im_code_t im_cmd_getmsg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_getmsg_first(im_ctx_t *ctx, im_json_t *list);
static ngx_int_t im_cmd_getmsg_unread(im_ctx_t *ctx);
static im_code_t im_cmd_getmsg_after(im_ctx_t *ctx, int64_t from,
    im_json_t *list, int64_t *last, ngx_uint_t *more);
static ngx_int_t im_cmd_getmsg_kept(im_ctx_t *ctx);
static im_code_t im_cmd_getroammsg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_roam_reply(im_ctx_t *ctx, im_history_t *h);
static im_code_t im_cmd_deletemsg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_authkey(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_ws_msg_push_ack(im_ctx_t *ctx, void *data);
static ngx_int_t im_cmd_cookie(im_ctx_t *ctx, int64_t seq, ngx_str_t *cookie);
static int64_t im_cmd_cookie_parse(im_ctx_t *ctx, ngx_str_t *cookie);


static im_field_t  im_getmsg_fields[] = {

    { ngx_string("Cookie"), IM_STR, IM_OPTIONAL,
      offsetof(im_getmsg_req_t, cookie), 0, 0, IM_E_MSG_REQUEST, 0 },

      im_null_field
};


static im_field_t  im_getroammsg_fields[] = {

    { ngx_string("Peer_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_roam_req_t, peer), 1, 0, IM_E_C2C_TO, 0 },

    { ngx_string("MaxCnt"), IM_INT, IM_OPTIONAL,
      offsetof(im_roam_req_t, max), 1, NGX_MAX_INT_T_VALUE,
      IM_E_C2C_JSON, 0 },

    { ngx_string("LastMsgTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_roam_req_t, time), 0, IM_UINT32_MAX, IM_E_C2C_JSON, 0 },

    { ngx_string("MsgKey"), IM_STR, IM_OPTIONAL,
      offsetof(im_roam_req_t, key), 0, 0, IM_E_C2C_KEY, 0 },

    { ngx_string("WithRecalledMsg"), IM_BOOL, IM_OPTIONAL,
      offsetof(im_roam_req_t, recalled), 0, 0, IM_E_C2C_JSON, 0 },

    { ngx_string("GetDirection"), IM_INT, IM_OPTIONAL,
      offsetof(im_roam_req_t, direction), 0, 1, IM_E_C2C_JSON, 0 },

      im_null_field
};


static im_field_t  im_deletemsg_fields[] = {

    { ngx_string("DelMsgList"), IM_LIST, IM_REQUIRED,
      offsetof(im_deletemsg_req_t, list), 0, IM_DELETE_ITEMS,
      IM_E_MSG_REQUEST, 0 },

      im_null_field
};


im_command_t  im_cmd_web_openim[] = {

    { ngx_string("openim"), ngx_string("getmsg"),
      im_cmd_getmsg, IM_BY_USER,
      im_getmsg_fields, sizeof(im_getmsg_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("getroammsg"),
      im_cmd_getroammsg, IM_BY_USER,
      im_getroammsg_fields, sizeof(im_roam_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("deletemsg"),
      im_cmd_deletemsg, IM_BY_USER,
      im_deletemsg_fields, sizeof(im_deletemsg_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("authkey"),
      im_cmd_authkey, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("openim"), ngx_string("ws_msg_push_ack"),
      im_cmd_ws_msg_push_ack, IM_BY_USER|IM_BY_ANY, NULL, 0, 0, 0 },

      im_null_command
};


/*
 * Without a cookie: what is unread, and notices that are kept.  With one:
 * messages and recalls since.
 */

static im_code_t
im_cmd_getmsg(im_ctx_t *ctx, void *data)
{
    im_getmsg_req_t  *req = data;

    int64_t      from, last;
    ngx_int_t    rc;
    im_code_t    code;
    ngx_str_t    cookie;
    im_json_t   *list;
    ngx_uint_t   more;

    more = 0;
    last = 0;

    list = im_json_add_list(ctx->reply, "MsgList");
    from = im_cmd_cookie_parse(ctx, &req->cookie);

    if (from >= 0) {
        code = im_cmd_getmsg_after(ctx, from, list, &last, &more);

        /* a client cannot count what is older than the conversation that
         * it has read in between */

        if (code == IM_OK && !more && list->n) {
            rc = im_cmd_getmsg_unread(ctx);
            code = (rc == NGX_OK) ? IM_OK : im_message_code(ctx, rc);
        }

    } else {

        /* what comes while we count is told again, not lost */

        rc = im_inbox_head(ctx, &ctx->user, &last);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return im_message_code(ctx, rc);
        }

        code = im_cmd_getmsg_first(ctx, list);
    }

    if (code != IM_OK) {
        return code;
    }

    if (im_cmd_cookie(ctx, last, &cookie) != NGX_OK) {
        return im_message_code(ctx, NGX_ERROR);
    }

    im_json_add_str(ctx->reply, "Cookie", &cookie);
    im_json_add_int(ctx->reply, "SyncFlag", more ? 1 : 2);

    return IM_OK;
}


static im_code_t
im_cmd_getmsg_first(im_ctx_t *ctx, im_json_t *list)
{
    ngx_int_t  rc;

    rc = im_cmd_getmsg_unread(ctx);

    if (rc == NGX_OK) {
        rc = im_cmd_getmsg_kept(ctx);
    }

    return (rc == NGX_OK) ? IM_OK : im_message_code(ctx, rc);
}


static ngx_int_t
im_cmd_getmsg_unread(im_ctx_t *ctx)
{
    ngx_int_t        rc;
    im_json_t       *counts, *item;
    ngx_uint_t       i;
    ngx_array_t      peers;
    im_read_peer_t  *peer;

    if (ngx_array_init(&peers, ctx->pool, 16, sizeof(im_read_peer_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = im_read_peers(ctx, &ctx->user, ctx->app->contacts_max, &peers);
    if (rc != NGX_OK) {
        return rc;
    }

    counts = im_json_add_list(ctx->reply, "C2CPairUnreadCount");
    peer = peers.elts;

    for (i = 0; i < peers.nelts; i++) {
        item = im_json_push_obj(counts);
        im_json_add_str(item, "From_Account", &peer[i].peer);
        im_json_add_int(item, "UnreadCount", peer[i].unread);
    }

    return NGX_OK;
}


/* One item of EventArray for all notices, one for all @-tips. */

static ngx_int_t
im_cmd_getmsg_kept(im_ctx_t *ctx)
{
    ngx_int_t     rc;
    im_json_t    *events, *event, *tips, *tip, *lists[2], **list;
    ngx_uint_t    i;
    ngx_array_t   rows;
    im_inbox_t   *row;

    if (ngx_array_init(&rows, ctx->pool, 16, sizeof(im_inbox_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = im_inbox_kept(ctx, &ctx->user, ctx->app->notices_max, &rows);
    if (rc != NGX_OK) {
        return rc;
    }

    events = im_json_add_list(ctx->reply, "EventArray");

    lists[0] = NULL;
    lists[1] = NULL;
    row = rows.elts;

    for (i = 0; i < rows.nelts; i++) {

        if (im_json_parse(ctx->pool, &row[i].event, IM_JSON_DEPTH, &event)
            != NGX_OK
            || im_json_get_list(event, "GroupTips", &tips) != NGX_OK)
        {
            continue;
        }

        list = &lists[row[i].type == IM_INBOX_AT];

        if (*list == NULL) {
            event = im_json_push_obj(events);
            im_json_add_int(event, "Event",
                            (row[i].type == IM_INBOX_AT) ? 12 : 5);
            *list = im_json_add_list(event, "GroupTips");
        }

        im_json_each(tip, tips) {
            im_json_push_node(*list, tip);
        }
    }

    tips = im_json_new_list(ctx->pool);

    rc = im_group_at_all(ctx, &ctx->user, tips);

    if (rc != NGX_OK || im_json_failed(tips)) {
        return (rc == NGX_OK) ? NGX_ERROR : rc;
    }

    if (tips->n == 0) {
        return NGX_OK;
    }

    if (lists[1] == NULL) {
        event = im_json_push_obj(events);
        im_json_add_int(event, "Event", 12);
        lists[1] = im_json_add_list(event, "GroupTips");
    }

    im_json_each(tip, tips) {
        im_json_push_node(lists[1], tip);
    }

    return NGX_OK;
}


/* Web SDK 2.x tells its user of the last page only: it is a long one. */

static im_code_t
im_cmd_getmsg_after(im_ctx_t *ctx, int64_t from, im_json_t *list,
    int64_t *last, ngx_uint_t *more)
{
    size_t         size;
    int64_t       *ids;
    ngx_int_t      rc;
    im_json_t     *item, *events;
    ngx_uint_t     i, k, n;
    ngx_array_t    rows;
    im_inbox_t    *row;
    im_message_t  *msg;
    im_profile_t  *profile;

    *last = from;

    ids = ngx_palloc(ctx->pool, IM_GETMSG_ROWS * sizeof(int64_t));
    msg = ngx_palloc(ctx->pool, IM_GETMSG_ROWS * sizeof(im_message_t));
    profile = ngx_palloc(ctx->pool, IM_GETMSG_ROWS * sizeof(im_profile_t));

    if (ids == NULL
        || msg == NULL
        || profile == NULL
        || ngx_array_init(&rows, ctx->pool, 16, sizeof(im_inbox_t)) != NGX_OK)
    {
        return im_message_code(ctx, NGX_ERROR);
    }

    rc = im_inbox_rows(ctx, &ctx->user, from, IM_GETMSG_ROWS + 1, &rows);
    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    if (rows.nelts > IM_GETMSG_ROWS) {
        rows.nelts = IM_GETMSG_ROWS;
        *more = 1;
    }

    row = rows.elts;
    n = 0;

    for (i = 0; i < rows.nelts; i++) {

        *last = row[i].seq;

        if ((row[i].type != IM_INBOX_MSG && row[i].type != IM_INBOX_RECALL)
            || (row[i].flags & (IM_F_IMPORT|IM_F_HIDDEN|IM_F_RECALLED))
            || ((row[i].flags & IM_F_SILENT) && row[i].dir == IM_DIR_OUT)
            || (row[i].inst && row[i].inst == (int64_t) ctx->inst))
        {
            row[i].type = 0;
            continue;
        }

        if (row[i].type == IM_INBOX_MSG) {
            ids[n++] = row[i].cid;
        }
    }

    rc = im_message_get_many(ctx, ids, n, msg);

    if (rc == NGX_OK) {
        rc = im_message_senders(ctx, msg, n, profile);
    }

    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    k = 0;
    size = 0;

    for (i = 0; i < rows.nelts; i++) {

        if (size > IM_GETMSG_BYTES) {
            *last = row[i - 1].seq;
            *more = 1;
            break;
        }

        if (row[i].type == IM_INBOX_RECALL) {
            item = im_json_push_obj(list);
            events = im_json_add_list(item, "EventArray");
            im_json_push_raw(events, &row[i].event);

        } else if (row[i].type == IM_INBOX_MSG) {

            if (msg[k].id) {
                item = im_json_push_obj(list);
                im_message_json(item, &msg[k], &profile[k],
                                row[i].dir == IM_DIR_OUT);
                size += msg[k].body.len + msg[k].cloud.len;
            }

            k++;
        }
    }

    return IM_OK;
}


static im_code_t
im_cmd_getroammsg(im_ctx_t *ctx, void *data)
{
    im_roam_req_t  *req = data;

    ngx_int_t     rc;
    im_conv_t     conv;
    im_history_t  h;

    ngx_memzero(&h, sizeof(im_history_t));

    h.user = &ctx->user;
    h.peer = &req->peer;
    h.order = (req->direction.value == 1) ? IM_ASC : IM_DESC;
    h.max = req->max.set ? ngx_min(req->max.value, ctx->app->history_page)
                         : IM_ROAM_COUNT;
    h.max = ngx_min(h.max, IM_HISTORY_PAGE_MAX);
    h.time = req->time.value;
    h.recalled = req->recalled.value;

    if (req->key.len) {

        if (im_message_key_parse(&req->key, &h.after) != NGX_OK) {
            return IM_E_C2C_KEY;
        }

        h.has_after = 1;
    }

    if (!im_account_syntax(ctx->app, &req->peer)) {
        return IM_E_MSG_ACCOUNT;
    }

    rc = im_conv_get(ctx, &ctx->user, IM_CONV_C2C, &req->peer, &conv);

    if (rc == NGX_OK) {
        h.cleared = conv.cleared;
        rc = im_history_read(ctx, &h);
    }

    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    return im_cmd_roam_reply(ctx, &h);
}


static im_code_t
im_cmd_roam_reply(im_ctx_t *ctx, im_history_t *h)
{
    size_t         size;
    ngx_int_t      rc;
    ngx_str_t      key;
    im_json_t    **item, *list, *revoker;
    ngx_uint_t     i;
    im_message_t  *msg;
    im_profile_t  *profile;

    item = ngx_palloc(ctx->pool, (h->n + 1) * sizeof(im_json_t *));
    profile = ngx_palloc(ctx->pool, (h->n + 1) * sizeof(im_profile_t));

    if (item == NULL || profile == NULL) {
        return im_message_code(ctx, NGX_ERROR);
    }

    rc = im_message_senders(ctx, h->msgs, h->n, profile);
    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    size = 0;

    for (i = 0; i < h->n; i++) {

        msg = &h->msgs[i];

        item[i] = im_json_new_obj(ctx->pool);

        im_message_json(item[i], msg, &profile[i], 0);
        im_json_add_int(item[i], "MsgFlagBits", msg->recalled.len ? 8 : 0);
        im_json_add_int(item[i], "IsPeerRead", msg->receipt);

        if (msg->recalled.len) {
            revoker = im_json_add_obj(item[i], "RevokerInfo");
            im_json_add_str(revoker, "Revoker_Account", &msg->recalled);
        }

        if (im_json_failed(item[i])) {
            return im_message_code(ctx, NGX_ERROR);
        }

        size += im_json_len(item[i]);

        if (i && size > IM_ROAM_SIZE) {
            h->n = i;
            h->complete = 0;
            break;
        }
    }

    list = im_json_add_list(ctx->reply, "MsgList");

    for (i = 0; i < h->n; i++) {
        im_json_push_node(list, (h->order == IM_DESC) ? item[h->n - 1 - i]
                                                      : item[i]);
    }

    ngx_str_set(&key, "");

    if (h->n) {
        msg = &h->msgs[h->n - 1];

        if (im_message_key_text(ctx, msg->mseq, msg->rand, msg->time, &key)
            != NGX_OK)
        {
            return im_message_code(ctx, NGX_ERROR);
        }
    }

    im_json_add_int(ctx->reply, "Complete", h->complete);
    im_json_add_int(ctx->reply, "MsgCnt", h->n);
    im_json_add_int(ctx->reply, "MaxCnt", h->n);
    im_json_add_int(ctx->reply, "LastMsgTime",
                    h->n ? h->msgs[h->n - 1].time : 0);
    im_json_add_str(ctx->reply, "MsgKey", &key);

    return IM_OK;
}


/* Notices and @-tips that the user has handled. */

static im_code_t
im_cmd_deletemsg(im_ctx_t *ctx, void *data)
{
    im_deletemsg_req_t  *req = data;

    int64_t       seq, random;
    im_key_t      key;
    ngx_int_t     rc;
    im_json_t    *node;
    ngx_uint_t    i, n;
    im_batch_t   *batch;
    ngx_array_t   rows;
    im_inbox_t   *row;

    if (ngx_array_init(&rows, ctx->pool, 16, sizeof(im_inbox_t)) != NGX_OK) {
        return im_message_code(ctx, NGX_ERROR);
    }

    rc = im_inbox_kept(ctx, &ctx->user, ctx->app->notices_max, &rows);
    if (rc != NGX_OK) {
        return im_message_code(ctx, rc);
    }

    batch = im_store_batch(ctx, IM_ORDERED);
    row = rows.elts;
    n = 0;

    im_json_each(node, req->list) {

        if (im_json_get_int(node, "MsgSeq", &seq) != NGX_OK
            || im_json_get_int(node, "MsgRandom", &random) != NGX_OK)
        {
            continue;
        }

        for (i = 0; i < rows.nelts; i++) {

            if (row[i].seq == 0
                || row[i].mseq != seq
                || row[i].rand != random)
            {
                continue;
            }

            im_inbox_key(ctx, &ctx->user, &key);
            im_key_int(&key, row[i].seq);

            (void) im_store_delete(batch, IM_T_INBOX, &key);

            row[i].seq = 0;
            n++;
        }
    }

    if (n == 0) {
        return IM_OK;
    }

    rc = im_store_commit(ctx, batch);

    return (rc == NGX_OK) ? IM_OK : im_message_code(ctx, rc);
}


static im_code_t
im_cmd_authkey(im_ctx_t *ctx, void *data)
{
    im_json_add_cstr(ctx->reply, "AuthKey", "");
    im_json_add_cstr(ctx->reply, "ExpireTime", "0");

    return IM_OK;
}


static im_code_t
im_cmd_ws_msg_push_ack(im_ctx_t *ctx, void *data)
{
    ctx->no_reply = 1;

    return IM_OK;
}


/* The cookie is the number of a row of the inbox. */

static ngx_int_t
im_cmd_cookie(im_ctx_t *ctx, int64_t seq, ngx_str_t *cookie)
{
    u_char     buf[NGX_INT64_LEN];
    ngx_str_t  text;

    text.data = buf;
    text.len = ngx_sprintf(buf, "%L", seq) - buf;

    cookie->data = ngx_pnalloc(ctx->pool, ngx_base64_encoded_length(text.len));
    if (cookie->data == NULL) {
        return NGX_ERROR;
    }

    ngx_encode_base64(cookie, &text);

    return NGX_OK;
}


/* -1: none, or not ours. */

static int64_t
im_cmd_cookie_parse(im_ctx_t *ctx, ngx_str_t *cookie)
{
    u_char     buf[ngx_base64_decoded_length(32)];
    int64_t    seq;
    ngx_str_t  text;

    text.data = buf;

    if (cookie->len == 0
        || cookie->len > 32
        || ngx_decode_base64(&text, cookie) != NGX_OK
        || im_str_int(&text, &seq) != NGX_OK
        || seq < 0)
    {
        return -1;
    }

    return seq;
}
