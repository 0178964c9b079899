
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_account.h"
#include "domain/im_contact.h"
#include "domain/im_contact_group.h"
#include "api/im_cmd.h"
#include "api/im_contact_item.h"


#define IM_TOP_PIN        1              /* OperationType of top */
#define IM_TOP_UNPIN      2

#define IM_ASSIST_PINNED  1              /* AssistFlags of get_list */
#define IM_ASSIST_EMPTY   2


typedef struct {
    im_int_t           type;
    im_json_t         *items;
} im_top_req_t;


typedef struct {
    ngx_str_t          from;
    im_int_t           time;
    im_int_t           start;
    im_int_t           top_time;
    im_int_t           top_start;
    im_int_t           flags;
} im_list_req_t;


typedef struct {
    ngx_str_t          from;
    im_int_t           clear;
} im_delete_req_t;


static im_code_t im_cmd_page_get(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_batch_delete(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_clear_msg(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_top(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_list(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_delete(im_ctx_t *ctx, void *data);
static void im_cmd_contact_group_item(im_ctx_t *ctx, im_json_t *item,
    im_contact_t *contact, ngx_array_t *groups);
static void im_cmd_contact_item(im_ctx_t *ctx, im_json_t *list,
    im_contact_t *contact, ngx_array_t *groups);
static ngx_uint_t im_cmd_contact_page(im_ctx_t *ctx, ngx_uint_t total,
    int64_t start, ngx_uint_t *first);
static im_code_t im_cmd_contact_from(im_ctx_t *ctx, ngx_str_t *from);


static im_field_t  im_batch_delete_fields[] = {

    { ngx_string("ContactItem"), IM_LIST, IM_REQUIRED,
      offsetof(im_contact_items_req_t, items), 1, IM_CONTACT_ITEMS,
      IM_E_CONTACT_PARAM, 0 },

    { ngx_string("ClearRamble"), IM_INT, IM_OPTIONAL,
      offsetof(im_contact_items_req_t, clear), 0, 1, IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


static im_field_t  im_top_fields[] = {

    { ngx_string("OperationType"), IM_INT, IM_REQUIRED,
      offsetof(im_top_req_t, type), IM_TOP_PIN, IM_TOP_UNPIN,
      IM_E_CONTACT_PARAM, 0 },

    { ngx_string("RecentContactItem"), IM_LIST, IM_REQUIRED,
      offsetof(im_top_req_t, items), 1, IM_CONTACT_ITEMS,
      IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


static im_field_t  im_list_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_list_req_t, from), 1, 0, IM_E_CONTACT_PARAM, 0 },

    { ngx_string("TimeStamp"), IM_INT, IM_REQUIRED,
      offsetof(im_list_req_t, time), 0, 0, IM_E_CONTACT_PARAM, 0 },

    { ngx_string("StartIndex"), IM_INT, IM_REQUIRED,
      offsetof(im_list_req_t, start), 0, 0, IM_E_CONTACT_PARAM, 0 },

    { ngx_string("TopTimeStamp"), IM_INT, IM_REQUIRED,
      offsetof(im_list_req_t, top_time), 0, 0, IM_E_CONTACT_PARAM, 0 },

    { ngx_string("TopStartIndex"), IM_INT, IM_REQUIRED,
      offsetof(im_list_req_t, top_start), 0, 0, IM_E_CONTACT_PARAM, 0 },

    { ngx_string("AssistFlags"), IM_INT, IM_REQUIRED,
      offsetof(im_list_req_t, flags), 0, 0, IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


static im_field_t  im_delete_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_REQUIRED,
      offsetof(im_delete_req_t, from), 1, 0, IM_E_CONTACT_PARAM, 0 },

    { ngx_string("ClearRamble"), IM_INT, IM_OPTIONAL,
      offsetof(im_delete_req_t, clear), 0, 1, IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_recentcontact[] = {

    { ngx_string("recentcontact"), ngx_string("page_get"),
      im_cmd_page_get, IM_BY_USER,
      im_contact_page_fields, sizeof(im_contact_page_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("batch_delete"),
      im_cmd_batch_delete, IM_BY_USER,
      im_batch_delete_fields, sizeof(im_contact_items_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("clear_msg"),
      im_cmd_clear_msg, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("recentcontact"), ngx_string("top"),
      im_cmd_top, IM_BY_USER,
      im_top_fields, sizeof(im_top_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("get_list"),
      im_cmd_get_list, IM_BY_ADMIN,
      im_list_fields, sizeof(im_list_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("delete"),
      im_cmd_delete, IM_BY_ADMIN,
      im_delete_fields, sizeof(im_delete_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_page_get(im_ctx_t *ctx, void *data)
{
    im_contact_page_req_t  *req = data;

    ngx_int_t      rc;
    im_json_t     *list;
    ngx_uint_t     i, n, first;
    ngx_array_t    contacts, groups;
    im_contact_t  *contact;

    if (ngx_array_init(&contacts, ctx->pool, 16, sizeof(im_contact_t))
        != NGX_OK)
    {
        return IM_E_CONTACT_INTERNAL;
    }

    rc = im_contact_groups(ctx, &ctx->user, &groups);

    if (rc == NGX_OK) {
        rc = im_contact_list(ctx, &ctx->user, IM_CONTACT_EMPTY, &contacts);
    }

    if (rc != NGX_OK) {
        return im_contact_code(rc);
    }

    n = im_cmd_contact_page(ctx, contacts.nelts, req->start.value, &first);

    contact = contacts.elts;
    contact += first;

    rc = im_contact_fill(ctx, &ctx->user, contact, n);
    if (rc != NGX_OK) {
        return im_contact_code(rc);
    }

    im_contact_groups_json(ctx->reply, &groups);
    list = im_json_add_list(ctx->reply, "SessionItem");

    for (i = 0; i < n; i++) {
        im_cmd_contact_item(ctx, list, &contact[i], &groups);
    }

    return IM_OK;
}


static void
im_cmd_contact_item(im_ctx_t *ctx, im_json_t *list, im_contact_t *contact,
    ngx_array_t *groups)
{
    im_json_t     *item, *last;
    im_message_t  *msg;

    item = im_json_push_obj(list);

    if (contact->group) {
        im_cmd_contact_group_item(ctx, item, contact, groups);
        return;
    }

    msg = &contact->msg;

    im_contact_json(item, contact->conv.type, &contact->conv.peer,
                    "To_Account", "ToAccount");

    im_json_add_str(item, "C2cNick", &contact->profile.nick);
    im_json_add_str(item, "C2cImage", &contact->profile.face);
    im_json_add_int(item, "MsgTimeStamp", contact->time);
    im_json_add_int(item, "MsgSeq", msg->mseq);
    im_json_add_int(item, "MsgRandom", msg->rand);
    im_json_add_int(item, "UnreadMsgCount", contact->unread);
    im_json_add_int(item, "C2cPeerReadTime", contact->peer_read.time);
    im_json_add_int(item, "TopFlags", contact->conv.pinned ? 1 : 0);
    im_json_add_str(item, "CustomMark", &contact->conv.custom);
    im_contact_mark_json(ctx, item, contact->conv.marks);
    im_contact_groups_of_json(item, &contact->conv, groups);
    im_json_add_cstr(item, "MsgShow", "");

    if (msg->id == 0) {
        return;
    }

    im_json_add_str(item, "LastC2CMsgFrom_Account", &msg->from);
    im_json_add_int(item, "LastMsgFlags", msg->recalled.len ? 8 : 0);

    last = im_json_add_obj(item, "LastMsg");

    im_json_add_raw(last, "MsgBody", &msg->body);
    im_json_add_str(last, "CloudCustomData", &msg->cloud);

    if (msg->recalled.len) {
        im_json_add_str(im_json_add_obj(last, "RevokerInfo"),
                        "Revoker_Account", &msg->recalled);
    }
}


static void
im_cmd_contact_group_item(im_ctx_t *ctx, im_json_t *item, im_contact_t *contact,
    ngx_array_t *groups)
{
    im_json_t       *last;
    im_group_t      *group;
    im_group_row_t  *row;

    group = contact->group;
    row = contact->row;

    im_contact_json(item, IM_CONV_GROUP, &group->gid, "To_Account",
                    "ToAccount");

    im_json_add_str(item, "GroupNick", &group->name);
    im_json_add_str(item, "GroupImage", &group->face);
    im_json_add_int(item, "MsgTimeStamp", contact->time);
    im_json_add_int(item, "MsgSeq", contact->head);
    im_json_add_int(item, "UnreadMsgCount", contact->unread);
    im_json_add_int(item, "MsgGroupReadedSeq", contact->read);
    im_json_add_int(item, "TopFlags", contact->conv.pinned ? 1 : 0);
    im_json_add_str(item, "CustomMark", &contact->conv.custom);
    im_contact_mark_json(ctx, item, contact->conv.marks);
    im_contact_groups_of_json(item, &contact->conv, groups);
    im_json_add_cstr(item, "MsgShow", "");

    if (row->seq == 0) {
        return;
    }

    im_json_add_str(item, "MsgGroupFrom_Account", &row->from);
    im_json_add_str(item, "MsgGroupFromNickName", &row->nick);
    im_json_add_str(item, "MsgGroupFromCardName", &row->card);
    im_json_add_int(item, "MsgRandom", row->random);
    im_json_add_int(item, "LastMsgFlags", row->recalled ? 2 : 0);

    last = im_json_add_obj(item, "LastMsg");

    if (row->type == IM_ROW_TIP) {
        im_json_add_int(last, "Event", 4);
        im_group_row_json(im_json_add_obj(last, "GroupTips"), group, row);
        im_json_add_list(last, "MsgBody");
        return;
    }

    im_json_add_raw(last, "MsgBody", &row->body);
    im_json_add_str(last, "CloudCustomData", &row->cloud);

    if (row->recalled) {
        im_json_add_str(im_json_add_obj(last, "RevokerInfo"),
                        "Revoker_Account", &row->revoker);
    }
}


/* Positions of the next page.  They are 0 behind the last one: a client
 * begins with them when it asks for the whole list again. */

static ngx_uint_t
im_cmd_contact_page(im_ctx_t *ctx, ngx_uint_t total, int64_t start,
    ngx_uint_t *first)
{
    ngx_uint_t  n;

    *first = (start > 0 && (uint64_t) start < total) ? (ngx_uint_t) start : 0;

    n = ngx_min(total - *first, IM_CONTACT_PAGE);

    im_json_add_int(ctx->reply, "CompleteFlag", *first + n == total);
    im_json_add_int(ctx->reply, "TimeStamp", ngx_time());
    im_json_add_int(ctx->reply, "StartIndex",
                    (*first + n == total) ? 0 : *first + n);
    im_json_add_int(ctx->reply, "TopTimeStamp", 0);
    im_json_add_int(ctx->reply, "TopStartIndex", 0);

    return n;
}


static im_code_t
im_cmd_batch_delete(im_ctx_t *ctx, void *data)
{
    im_contact_items_req_t  *req = data;

    im_code_t         code;
    im_json_t        *list, *item;
    ngx_uint_t        i, n;
    im_contact_id_t  *ids;

    n = req->items->n;

    code = im_contact_item_ids(ctx, req->items, &ids);

    if (code == IM_OK) {
        code = im_contact_check_old(ctx, &ctx->user, ids, n);
    }

    if (code == IM_OK) {
        code = im_contact_delete(ctx, &ctx->user, ids, n, req->clear.value);
    }

    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(ctx->reply, "ResultItem");

    for (i = 0; i < n; i++) {
        item = im_json_push_obj(list);

        im_contact_json(item, ids[i].type, &ids[i].peer,
                        "To_Account", "ToGroupid");
        im_contact_item_result(item, IM_OK);
    }

    return IM_OK;
}


static im_code_t
im_cmd_clear_msg(im_ctx_t *ctx, void *data)
{
    im_code_t         code;
    im_contact_id_t   id;

    code = im_contact_item_id(ctx, ctx->body, &id);

    if (code == IM_OK) {
        code = im_contact_check_old(ctx, &ctx->user, &id, 1);
    }

    if (code == IM_OK) {
        code = im_contact_clear(ctx, &ctx->user, &id);
    }

    return code;
}


static im_code_t
im_cmd_top(im_ctx_t *ctx, void *data)
{
    im_top_req_t  *req = data;

    im_code_t         code;
    ngx_uint_t        i, n;
    im_contact_id_t  *ids;

    n = req->items->n;

    code = im_contact_item_ids(ctx, req->items, &ids);
    if (code != IM_OK) {
        return code;
    }

    if (req->type.value == IM_TOP_UNPIN) {
        code = im_contact_check_old(ctx, &ctx->user, ids, n);

    } else {
        code = im_contact_check(ctx, ids, n);

        for (i = 0; code == IM_OK && i < n; i++) {
            code = ids[i].code;
        }
    }

    if (code != IM_OK) {
        return code;
    }

    return im_contact_pin(ctx, &ctx->user, ids, n,
                          req->type.value == IM_TOP_PIN);
}


static im_code_t
im_cmd_get_list(im_ctx_t *ctx, void *data)
{
    im_list_req_t  *req = data;

    ngx_int_t      rc;
    im_code_t      code;
    im_json_t     *list, *item;
    ngx_uint_t     i, n, first, flags;
    ngx_array_t    contacts;
    im_contact_t  *contact;

    code = im_cmd_contact_from(ctx, &req->from);
    if (code != IM_OK) {
        return code;
    }

    if (ngx_array_init(&contacts, ctx->pool, 16, sizeof(im_contact_t))
        != NGX_OK)
    {
        return IM_E_CONTACT_INTERNAL;
    }

    flags = 0;

    if (req->flags.value & IM_ASSIST_PINNED) {
        flags |= IM_CONTACT_PINNED;
    }

    if (req->flags.value & IM_ASSIST_EMPTY) {
        flags |= IM_CONTACT_EMPTY;
    }

    rc = im_contact_list(ctx, &req->from, flags, &contacts);
    if (rc != NGX_OK) {
        return im_contact_code(rc);
    }

    n = im_cmd_contact_page(ctx, contacts.nelts, req->start.value, &first);

    contact = contacts.elts;
    contact += first;

    list = im_json_add_list(ctx->reply, "SessionItem");

    for (i = 0; i < n; i++) {
        item = im_json_push_obj(list);

        im_contact_json(item, contact[i].conv.type, &contact[i].conv.peer,
                        "To_Account", "GroupId");
        im_json_add_int(item, "MsgTime", contact[i].time);
        im_json_add_int(item, "TopFlag", (flags & IM_CONTACT_PINNED)
                                         && contact[i].conv.pinned);
    }

    return IM_OK;
}


static im_code_t
im_cmd_delete(im_ctx_t *ctx, void *data)
{
    im_delete_req_t  *req = data;

    im_code_t         code;
    im_contact_id_t   id;

    code = im_contact_item_id(ctx, ctx->body, &id);

    if (code == IM_OK) {
        code = im_cmd_contact_from(ctx, &req->from);
    }

    if (code == IM_OK) {
        code = im_contact_check_old(ctx, &req->from, &id, 1);
    }

    if (code == IM_OK) {
        code = im_contact_delete(ctx, &req->from, &id, 1, req->clear.value);
    }

    return code;
}


static im_code_t
im_cmd_contact_from(im_ctx_t *ctx, ngx_str_t *from)
{
    u_char     exists;
    ngx_int_t  rc;

    rc = im_account_exist(ctx, from, 1, &exists);
    if (rc != NGX_OK) {
        return im_contact_code(rc);
    }

    return exists ? IM_OK : IM_E_CONTACT_ACCOUNT;
}
