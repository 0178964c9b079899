
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_callback.h"
#include "domain/im_conv.h"
#include "domain/im_elem.h"
#include "domain/im_group_direct.h"
#include "domain/im_group_edit.h"
#include "domain/im_message.h"
#include "domain/im_word.h"
#include "api/im_cmd.h"
#include "api/im_cmd_group.h"


#define IM_HISTORY_REST    20
#define IM_HISTORY_CLIENT  100
#define IM_HISTORY_SIZE    524288    /* bytes of RspMsgList */
#define IM_RECALL_ITEMS    10
#define IM_HIDE_ITEMS      30


typedef struct {
    ngx_str_t          gid;
    im_int_t           seq;
    im_int_t           number;
    im_int_t           recalled;
} im_history_req_t;


typedef struct {
    ngx_str_t          gid;
    ngx_str_t          topic;
    im_json_t         *list;
} im_seq_list_req_t;


typedef struct {
    ngx_str_t          gid;
    im_int_t           seq;
    im_int_t           mver;
    im_json_t         *body;
    ngx_str_t          cloud;
} im_group_modify_req_t;


/* What one caller may see of a stream. */

typedef struct {
    int64_t            low;          /* of the range */
    int64_t            high;
    int64_t            head;
    ngx_array_t        hidden;       /* of int64_t */
} im_group_range_t;


static im_code_t im_cmd_group_msg_get(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_group_msg_get_simple(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_group_history_reply(im_ctx_t *ctx,
    im_history_req_t *req, im_group_t *group, im_group_range_t *range,
    ngx_uint_t simple);
static void im_cmd_group_place(im_json_t *list, im_group_t *group,
    int64_t seq);
static ngx_uint_t im_cmd_group_row(im_json_t *list, im_group_t *group,
    im_group_row_t *row, ngx_uint_t recalled);
static ngx_uint_t im_cmd_group_is_hidden(im_group_range_t *range,
    int64_t seq);
static im_code_t im_cmd_group_msg_recall(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_delete_group_ramble(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_modify_group_msg(im_ctx_t *ctx, void *data);


static im_field_t  im_history_fields[] = {

    im_field_gid(im_history_req_t, gid),

    { ngx_string("ReqMsgSeq"), IM_INT, IM_OPTIONAL,
      offsetof(im_history_req_t, seq), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("ReqMsgNumber"), IM_INT, IM_REQUIRED,
      offsetof(im_history_req_t, number), 1, NGX_MAX_INT32_VALUE,
      IM_E_GROUP_PARAM, 0 },

    { ngx_string("WithRecalledMsg"), IM_BOOL, IM_OPTIONAL,
      offsetof(im_history_req_t, recalled), 0, 0, IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_recall_fields[] = {

    im_field_gid(im_seq_list_req_t, gid),

    { ngx_string("TopicId"), IM_STR, IM_OPTIONAL,
      offsetof(im_seq_list_req_t, topic), 0, 0, IM_E_GROUP_PARAM, 0 },

    { ngx_string("MsgSeqList"), IM_LIST, IM_REQUIRED,
      offsetof(im_seq_list_req_t, list), 1, IM_RECALL_ITEMS,
      IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_hide_fields[] = {

    im_field_gid(im_seq_list_req_t, gid),

    { ngx_string("Seqs"), IM_LIST, IM_REQUIRED,
      offsetof(im_seq_list_req_t, list), 1, IM_HIDE_ITEMS,
      IM_E_GROUP_PARAM, 0 },

      im_null_field
};


static im_field_t  im_group_modify_fields[] = {

    { ngx_string("GroupId"), IM_STR, IM_REQUIRED,
      offsetof(im_group_modify_req_t, gid), 0, 0, IM_E_MSG_REQUEST, 0 },

    { ngx_string("MsgSeq"), IM_INT, IM_REQUIRED,
      offsetof(im_group_modify_req_t, seq), 0, 0, IM_E_MSG_REQUEST, 0 },

    { ngx_string("MsgVersion"), IM_INT, IM_OPTIONAL,
      offsetof(im_group_modify_req_t, mver), 0, 0, IM_E_MSG_REQUEST, 0 },

    { ngx_string("MsgBody"), IM_LIST, IM_OPTIONAL,
      offsetof(im_group_modify_req_t, body), 0, 0, IM_E_C2C_BODY, 0 },

    { ngx_string("CloudCustomData"), IM_STR, IM_NO_NUL,
      offsetof(im_group_modify_req_t, cloud), 0, 0, IM_E_C2C_ELEM, 0 },

      im_null_field
};


im_command_t  im_cmd_group_history[] = {

    { ngx_string("group_open_http_svc"), ngx_string("group_msg_get"),
      im_cmd_group_msg_get, IM_BY_USER,
      im_history_fields, sizeof(im_history_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("group_msg_get_simple"),
      im_cmd_group_msg_get_simple, IM_BY_ADMIN,
      im_history_fields, sizeof(im_history_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"), ngx_string("group_msg_recall"),
      im_cmd_group_msg_recall, IM_BY_ADMIN|IM_BY_USER,
      im_recall_fields, sizeof(im_seq_list_req_t), 0, 0 },

    { ngx_string("group_open_http_svc"),
      ngx_string("delete_group_ramble_msg_by_seq"),
      im_cmd_delete_group_ramble, IM_BY_USER,
      im_hide_fields, sizeof(im_seq_list_req_t), 0, 0 },

    { ngx_string("openim"), ngx_string("modify_group_msg"),
      im_cmd_modify_group_msg, IM_BY_ADMIN|IM_BY_USER,
      im_group_modify_fields, sizeof(im_group_modify_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_group_msg_get(im_ctx_t *ctx, void *data)
{
    im_history_req_t  *req = data;

    int64_t             first;
    im_code_t           code;
    ngx_int_t           rc;
    im_conv_t           conv;
    im_group_t          group;
    im_group_range_t    range;
    im_group_member_t   m;

    code = im_cmd_group_stored(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    rc = im_group_head(ctx, group.gno, &range.head, NULL);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    first = 0;

    if (!group.type->history_all) {
        rc = im_group_member_get(ctx, &group, &ctx->user, &m);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        first = ngx_max(m.first, 0);
    }

    /* what the user has cleared is gone for him */

    rc = im_conv_get(ctx, &ctx->user, IM_CONV_GROUP, &group.gid, &conv);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    first = ngx_max(first, conv.cleared);

    range.high = range.head;

    if (req->seq.value > 0 && req->seq.value < range.head) {
        range.high = req->seq.value;
    }

    range.low = range.high - ngx_min(req->number.value, IM_HISTORY_CLIENT)
                + 1;

    /* the SDK stops when a page ends at 2 */

    if (range.low == 2) {
        range.low = 1;
    }

    range.low = ngx_max(range.low, first + 1);

    if (ngx_array_init(&range.hidden, ctx->pool, 4, sizeof(int64_t))
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    rc = im_group_hidden(ctx, &group, &ctx->user, range.low, range.high,
                         &range.hidden);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    return im_cmd_group_history_reply(ctx, req, &group, &range, 0);
}


static im_code_t
im_cmd_group_msg_get_simple(im_ctx_t *ctx, void *data)
{
    im_history_req_t  *req = data;

    im_code_t          code;
    ngx_int_t          rc;
    im_group_t         group;
    im_group_range_t   range;

    code = im_cmd_group_stored(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    rc = im_group_head(ctx, group.gno, &range.head, NULL);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    range.high = range.head;

    if (req->seq.set && req->seq.value < range.head) {
        range.high = ngx_max(req->seq.value, 0);
    }

    range.low = ngx_max(range.high - ngx_min(req->number.value,
                                             IM_HISTORY_REST) + 1, 1);

    ngx_memzero(&range.hidden, sizeof(ngx_array_t));

    return im_cmd_group_history_reply(ctx, req, &group, &range, 1);
}


/* Every number of the range has an entry, the greatest first. */

static im_code_t
im_cmd_group_history_reply(im_ctx_t *ctx, im_history_req_t *req,
    im_group_t *group, im_group_range_t *range, ngx_uint_t simple)
{
    size_t            size;
    int64_t           seq, max;
    ngx_int_t         rc;
    im_json_t        *list;
    ngx_uint_t        i, found, finished;
    ngx_array_t       rows;
    im_group_row_t   *row;

    im_json_add_str(ctx->reply, "GroupId", &group->gid);

    if (ngx_array_init(&rows, ctx->pool, 32, sizeof(im_group_row_t))
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    if (range->low <= range->high) {
        rc = im_group_rows(ctx, group->gno, range->low, range->high, IM_DESC,
                           IM_HISTORY_CLIENT + 1, &rows);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }
    }

    list = im_json_new_list(ctx->pool);
    row = rows.elts;
    i = 0;
    found = 0;
    size = 0;

    for (seq = range->high; seq >= range->low; seq--) {

        if (i < rows.nelts && row[i].seq == seq) {

            size += row[i].body.len + row[i].cloud.len + 512;

            if (size > IM_HISTORY_SIZE && seq != range->high) {
                break;
            }

            if (im_cmd_group_is_hidden(range, seq)
                || !im_cmd_group_sees(ctx, &row[i]))
            {
                im_cmd_group_place(list, group, seq);

            } else {
                found += im_cmd_group_row(list, group, &row[i],
                                          req->recalled.value);
            }

            i++;
            continue;
        }

        im_cmd_group_place(list, group, seq);
    }

    if (found == 0 && rows.nelts == 0) {

        /* nothing of it is there (any more) */

        im_json_add_int(ctx->reply, "IsFinished", 2);
        im_json_add_int(ctx->reply, "NextReqMsgSeq", 0);

        if (simple) {
            (void) im_json_add_list(ctx->reply, "RspMsgList");
        }

        return IM_OK;
    }

    max = simple ? IM_HISTORY_REST : IM_HISTORY_CLIENT;

    finished = (seq < range->low
                && (req->number.value <= max || range->low == 1));

    im_json_add_int(ctx->reply, "IsFinished", finished);
    im_json_add_int(ctx->reply, "NextReqMsgSeq", seq > 0 ? seq : 0);
    im_json_add_node(ctx->reply, "RspMsgList", list);

    return IM_OK;
}


static void
im_cmd_group_place(im_json_t *list, im_group_t *group, int64_t seq)
{
    im_json_t  *item;

    item = im_json_push_obj(list);

    im_json_add_int(item, "Event", 3);
    im_json_add_int(item, "MsgSeq", seq);
    im_json_add_str(item, "ToGroupId", &group->gid);
    im_json_add_int(item, "IsPlaceMsg", 1);
    im_json_add_list(item, "MsgBody");
    im_json_add_str(im_json_add_obj(item, "GroupInfo"), "GroupId",
                    &group->gid);
}


/* 1: a message, 0: only its place. */

static ngx_uint_t
im_cmd_group_row(im_json_t *list, im_group_t *group, im_group_row_t *row,
    ngx_uint_t recalled)
{
    im_json_t  *item, *place;

    if (row->gone || (row->recalled && !recalled)) {

        item = im_json_push_obj(list);

        im_json_add_int(item, "Event", 3);
        im_json_add_str(item, "From_Account", &row->from);
        im_json_add_str(item, "ToGroupId", &group->gid);
        im_json_add_int(item, "IsPlaceMsg", 1);
        im_json_add_list(item, "MsgBody");
        im_json_add_int(item, "MsgPriority", row->prio + 1);
        im_json_add_int(item, "MsgRandom", row->random);
        im_json_add_int(item, "MsgSeq", row->seq);
        im_json_add_int(item, "MsgTimeStamp", row->time);
        im_json_add_str(im_json_add_obj(item, "GroupInfo"), "GroupId",
                        &group->gid);

        return 0;
    }

    item = im_json_push_obj(list);

    im_group_row_json(item, group, row);

    if (row->recalled) {
        place = im_json_get(item, "IsPlaceMsg");

        if (place) {
            place->num = 2;
        }

        im_json_add_str(im_json_add_obj(item, "RevokerInfo"),
                        "Revoker_Account", &row->revoker);
    }

    return 1;
}


/* by REST all messages are seen */

ngx_uint_t
im_cmd_group_sees(im_ctx_t *ctx, im_group_row_t *row)
{
    return ctx->role == IM_ROLE_ADMIN
           || im_group_direct_visible(row, &ctx->user);
}


static ngx_uint_t
im_cmd_group_is_hidden(im_group_range_t *range, int64_t seq)
{
    int64_t     *hidden;
    ngx_uint_t   i;

    hidden = range->hidden.elts;

    for (i = 0; i < range->hidden.nelts; i++) {
        if (hidden[i] == seq) {
            return 1;
        }
    }

    return 0;
}


static im_code_t
im_cmd_group_msg_recall(im_ctx_t *ctx, void *data)
{
    im_seq_list_req_t  *req = data;

    int64_t             seq;
    im_code_t           code;
    im_json_t          *node, *list, *item;
    im_group_t          group;
    ngx_uint_t          i, n;
    im_group_role_e     role;
    im_group_recall_t  *msgs;

    if (req->topic.len) {
        return IM_E_TOPIC_OFF;
    }

    im_json_each(node, req->list) {
        if (im_json_get_int(node, "MsgSeq", &seq) != NGX_OK) {
            ngx_str_set(&ctx->info, "\"MsgSeq\" must be an integer");
            return IM_E_GROUP_PARAM;
        }
    }

    code = im_group_load(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    if (group.type->live) {
        return IM_E_GROUP_NO_RECALL;
    }

    if (!ctx->app->group_recall) {
        return IM_E_GROUP_RECALL_OFF;
    }

    code = im_group_role(ctx, &group, &role);

    if (code != IM_OK || role == IM_GROUP_NOBODY) {
        return (code == IM_OK) ? IM_E_GROUP_RIGHT : code;
    }

    msgs = ngx_pcalloc(ctx->pool, req->list->n * sizeof(im_group_recall_t));
    if (msgs == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    n = 0;

    im_json_each(node, req->list) {
        (void) im_json_get_int(node, "MsgSeq", &msgs[n++].seq);
    }

    code = im_group_recall(ctx, &group, msgs, n, role);
    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(ctx->reply, "RecallRetList");

    for (i = 0; i < n; i++) {

        code = msgs[i].code;

        /* somebody else's message */

        if (code == IM_E_GROUP_RIGHT) {

            if (n == 1) {
                return code;
            }

            code = IM_E_GROUP_RECALLED;
        }

        item = im_json_push_obj(list);
        im_json_add_int(item, "MsgSeq", msgs[i].seq);
        im_json_add_int(item, "RetCode", code);
    }

    return IM_OK;
}


/* Numbers come as strings. */

static im_code_t
im_cmd_delete_group_ramble(im_ctx_t *ctx, void *data)
{
    im_seq_list_req_t  *req = data;

    int64_t      seqs[IM_HIDE_ITEMS];
    im_code_t    code;
    im_json_t   *node;
    im_group_t   group;
    ngx_uint_t   n;

    n = 0;

    im_json_each(node, req->list) {

        if (node->type == IM_JSON_NUM && node->is_int) {
            seqs[n++] = node->num;

        } else if (node->type == IM_JSON_STR
                   && im_str_int(&node->u.text, &seqs[n]) == NGX_OK)
        {
            n++;

        } else {
            ngx_str_set(&ctx->info, "\"Seqs\" must be numbers");
            return IM_E_GROUP_PARAM;
        }
    }

    code = im_group_load(ctx, &req->gid, &group);

    if (code == IM_OK) {
        code = group.type->live ? IM_E_GROUP_NO_DELETE
                                : im_group_require(ctx, &group,
                                                   IM_GROUP_MEMBER);
    }

    if (code != IM_OK) {
        return code;
    }

    return im_group_hide(ctx, &group, seqs, n);
}


static im_code_t
im_cmd_modify_group_msg(im_ctx_t *ctx, void *data)
{
    im_group_modify_req_t  *req = data;

    im_code_t         code;
    ngx_int_t         rc;
    ngx_str_t         body;
    im_group_t        group;
    im_group_row_t    row;
    im_group_role_e   role;

    ngx_str_null(&body);

    if (req->body == NULL && req->cloud.data == NULL) {
        ngx_str_set(&ctx->info, "neither MsgBody nor CloudCustomData");
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

    code = im_group_load(ctx, &req->gid, &group);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_role(ctx, &group, &role);
    if (code != IM_OK) {
        return code;
    }

    if (group.type->live || role == IM_GROUP_NOBODY) {
        return IM_E_GROUP_RIGHT;
    }

    rc = im_group_row_get(ctx, group.gno, req->seq.value, &row);

    if (rc == NGX_OK && role < IM_GROUP_ADMIN
        && !im_str_eq(&row.from, &ctx->user))
    {
        return IM_E_GROUP_RIGHT;
    }

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? IM_E_NO_MSG : im_message_code(ctx, rc);
    }

    code = im_group_edit(ctx, &group, req->seq.value,
                         req->mver.set ? req->mver.value : -1, &body,
                         &req->cloud, &row);

    if (code == IM_OK || code == IM_E_MODIFY_CONFLICT) {
        im_json_add_raw(ctx->reply, "MsgBody", &row.body);
        im_json_add_str(ctx->reply, "CloudCustomData", &row.cloud);
        im_json_add_int(ctx->reply, "MsgVersion", row.mver);
    }

    return code;
}
