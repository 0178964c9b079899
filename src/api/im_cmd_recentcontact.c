
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_contact.h"
#include "domain/im_contact_group.h"
#include "api/im_cmd.h"


#define IM_MARK_STANDARD  1              /* OptType of mark_contact */
#define IM_MARK_CUSTOM    2
#define IM_MARK_SET       32             /* marks set by one item */

#define IM_TOP_PIN        1              /* OperationType of top */
#define IM_TOP_UNPIN      2

#define IM_UPDATE_RENAME  1              /* UpdateGroupType */
#define IM_UPDATE_MEMBERS 2

#define IM_ASSIST_PINNED  1              /* AssistFlags of get_list */
#define IM_ASSIST_EMPTY   2

#define IM_CONTACT_NAME   128            /* bytes of a UserID or GroupId */


typedef struct {
    im_int_t           start;
} im_page_req_t;


typedef struct {
    im_json_t         *items;
    im_int_t           clear;
} im_contacts_req_t;


typedef struct {
    im_int_t           type;
    im_json_t         *items;
} im_top_req_t;


typedef struct {
    im_int_t           type;
    im_json_t         *set;
    im_json_t         *clear;
    ngx_str_t          custom;
    im_json_t         *contact;
} im_mark_req_t;


typedef struct {
    ngx_str_t          name;
    im_json_t         *items;
} im_group_item_t;


typedef struct {
    im_strs_t          names;
} im_names_req_t;


typedef struct {
    im_int_t           type;
    im_json_t         *group;
} im_update_req_t;


typedef struct {
    im_int_t           type;
    ngx_str_t          old;
    ngx_str_t          fresh;
    im_json_t         *items;
} im_update_group_t;


typedef struct {
    im_int_t           opt;
    im_json_t         *contact;
} im_update_item_t;


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
static im_code_t im_cmd_mark_contact(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_create_contact_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_del_contact_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_update_contact_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_contact_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_search_contact_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_list(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_delete(im_ctx_t *ctx, void *data);
static void im_cmd_contact_group(im_ctx_t *ctx, im_json_t *item,
    im_contact_t *contact, ngx_array_t *groups);
static void im_cmd_contact_item(im_ctx_t *ctx, im_json_t *list,
    im_contact_t *contact, ngx_array_t *groups);
static ngx_uint_t im_cmd_contact_page(im_ctx_t *ctx, ngx_uint_t total,
    int64_t start, ngx_uint_t *first);
static im_code_t im_cmd_contact_update_members(im_ctx_t *ctx,
    im_update_group_t *update);
static im_code_t im_cmd_contact_from(im_ctx_t *ctx, ngx_str_t *from);
static im_code_t im_cmd_contact_fill(im_ctx_t *ctx, im_json_t *obj,
    im_field_t *fields, void *dst);
static im_code_t im_cmd_contact_ids(im_ctx_t *ctx, im_json_t *list,
    im_contact_id_t **ids);
static im_code_t im_cmd_contact_id(im_ctx_t *ctx, im_json_t *item,
    im_contact_id_t *id);
static ngx_uint_t im_cmd_contact_name(ngx_str_t *name);
static im_code_t im_cmd_contact_bits(im_ctx_t *ctx, im_json_t *list,
    uint64_t *bits);
static void im_cmd_contact_result(im_json_t *item, im_code_t code);


static im_field_t  im_page_fields[] = {

    { ngx_string("StartIndex"), IM_INT, IM_OPTIONAL,
      offsetof(im_page_req_t, start), 0, 0, IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


static im_field_t  im_batch_delete_fields[] = {

    { ngx_string("ContactItem"), IM_LIST, IM_REQUIRED,
      offsetof(im_contacts_req_t, items), 1, IM_CONTACT_ITEMS,
      IM_E_CONTACT_PARAM, 0 },

    { ngx_string("ClearRamble"), IM_INT, IM_OPTIONAL,
      offsetof(im_contacts_req_t, clear), 0, 1, IM_E_CONTACT_PARAM, 0 },

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


static im_field_t  im_mark_fields[] = {

    { ngx_string("MarkItem"), IM_LIST, IM_REQUIRED,
      offsetof(im_contacts_req_t, items), 1, IM_CONTACT_ITEMS,
      IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


static im_field_t  im_mark_item_fields[] = {

    { ngx_string("OptType"), IM_INT, IM_REQUIRED,
      offsetof(im_mark_req_t, type), IM_MARK_STANDARD, IM_MARK_CUSTOM,
      IM_E_CONTACT_PARAM, 0 },

    { ngx_string("SetMark"), IM_LIST, IM_OPTIONAL,
      offsetof(im_mark_req_t, set), 0, IM_MARK_SET, IM_E_CONTACT_PARAM, 0 },

    { ngx_string("ClearMark"), IM_LIST, IM_OPTIONAL,
      offsetof(im_mark_req_t, clear), 0, IM_MARK_SET, IM_E_CONTACT_PARAM, 0 },

    { ngx_string("CustomMark"), IM_STR, IM_OPTIONAL|IM_NO_NUL,
      offsetof(im_mark_req_t, custom), 0, IM_CONTACT_CUSTOM,
      IM_E_CONTACT_PARAM, 0 },

    { ngx_string("ContactItem"), IM_OBJ, IM_REQUIRED,
      offsetof(im_mark_req_t, contact), 0, 0, IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


static im_field_t  im_create_fields[] = {

    { ngx_string("GroupContactItem"), IM_LIST, IM_REQUIRED,
      offsetof(im_contacts_req_t, items), 1, IM_CONTACT_GROUPS,
      IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


static im_field_t  im_create_item_fields[] = {

    { ngx_string("GroupName"), IM_STR, IM_REQUIRED|IM_NO_NUL,
      offsetof(im_group_item_t, name), 1, IM_CONTACT_GROUP_NAME,
      IM_E_CONTACT_PARAM, 0 },

    { ngx_string("ContactItem"), IM_LIST, IM_OPTIONAL,
      offsetof(im_group_item_t, items), 0, IM_CONTACT_ITEMS,
      IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


static im_field_t  im_del_fields[] = {

    { ngx_string("GroupName"), IM_STRS, IM_REQUIRED|IM_NO_NUL,
      offsetof(im_names_req_t, names), 1, IM_CONTACT_GROUPS,
      IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


static im_field_t  im_update_fields[] = {

    { ngx_string("UpdateType"), IM_INT, IM_REQUIRED,
      offsetof(im_update_req_t, type), 1, 1, IM_E_CONTACT_PARAM, 0 },

    { ngx_string("UpdateGroup"), IM_OBJ, IM_REQUIRED,
      offsetof(im_update_req_t, group), 0, 0, IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


static im_field_t  im_update_group_fields[] = {

    { ngx_string("UpdateGroupType"), IM_INT, IM_REQUIRED,
      offsetof(im_update_group_t, type), IM_UPDATE_RENAME, IM_UPDATE_MEMBERS,
      IM_E_CONTACT_PARAM, 0 },

    { ngx_string("OldGroupName"), IM_STR, IM_REQUIRED|IM_NO_NUL,
      offsetof(im_update_group_t, old), 1, IM_CONTACT_GROUP_NAME,
      IM_E_CONTACT_PARAM, 0 },

    { ngx_string("NewGroupName"), IM_STR, IM_OPTIONAL|IM_NO_NUL,
      offsetof(im_update_group_t, fresh), 1, IM_CONTACT_GROUP_NAME,
      IM_E_CONTACT_PARAM, 0 },

    { ngx_string("ContactUpdateItem"), IM_LIST, IM_OPTIONAL,
      offsetof(im_update_group_t, items), 1, IM_CONTACT_ITEMS,
      IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


static im_field_t  im_update_item_fields[] = {

    { ngx_string("ContactOptType"), IM_INT, IM_REQUIRED,
      offsetof(im_update_item_t, opt),
      IM_CONTACT_GROUP_ADD, IM_CONTACT_GROUP_REMOVE, IM_E_CONTACT_PARAM, 0 },

    { ngx_string("ContactItem"), IM_OBJ, IM_REQUIRED,
      offsetof(im_update_item_t, contact), 0, 0, IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


static im_field_t  im_search_fields[] = {

    { ngx_string("ContactItem"), IM_LIST, IM_REQUIRED,
      offsetof(im_contacts_req_t, items), 1, IM_CONTACT_ITEMS,
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
      im_page_fields, sizeof(im_page_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("batch_delete"),
      im_cmd_batch_delete, IM_BY_USER,
      im_batch_delete_fields, sizeof(im_contacts_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("clear_msg"),
      im_cmd_clear_msg, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("recentcontact"), ngx_string("top"),
      im_cmd_top, IM_BY_USER,
      im_top_fields, sizeof(im_top_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("mark_contact"),
      im_cmd_mark_contact, IM_BY_USER,
      im_mark_fields, sizeof(im_contacts_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("create_contact_group"),
      im_cmd_create_contact_group, IM_BY_USER,
      im_create_fields, sizeof(im_contacts_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("del_contact_group"),
      im_cmd_del_contact_group, IM_BY_USER,
      im_del_fields, sizeof(im_names_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("update_contact_group"),
      im_cmd_update_contact_group, IM_BY_USER,
      im_update_fields, sizeof(im_update_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("get_contact_group"),
      im_cmd_get_contact_group, IM_BY_USER,
      im_page_fields, sizeof(im_page_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("search_contact_group"),
      im_cmd_search_contact_group, IM_BY_USER,
      im_search_fields, sizeof(im_contacts_req_t), 0, 0 },

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
    im_page_req_t  *req = data;

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
        im_cmd_contact_group(ctx, item, contact, groups);
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
im_cmd_contact_group(im_ctx_t *ctx, im_json_t *item, im_contact_t *contact,
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
    im_contacts_req_t  *req = data;

    im_code_t         code;
    im_json_t        *list, *item;
    ngx_uint_t        i, n;
    im_contact_id_t  *ids;

    n = req->items->n;

    code = im_cmd_contact_ids(ctx, req->items, &ids);

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
        im_cmd_contact_result(item, IM_OK);
    }

    return IM_OK;
}


static im_code_t
im_cmd_clear_msg(im_ctx_t *ctx, void *data)
{
    im_code_t         code;
    im_contact_id_t   id;

    code = im_cmd_contact_id(ctx, ctx->body, &id);

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

    code = im_cmd_contact_ids(ctx, req->items, &ids);
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
im_cmd_mark_contact(im_ctx_t *ctx, void *data)
{
    im_contacts_req_t  *req = data;

    im_code_t           code;
    im_json_t          *list, *item;
    ngx_uint_t          i, n;
    im_mark_req_t       mark;
    im_contact_id_t    *ids;
    im_contact_mark_t  *marks;

    n = req->items->n;

    ids = ngx_pcalloc(ctx->pool, n * sizeof(im_contact_id_t));
    marks = ngx_pcalloc(ctx->pool, n * sizeof(im_contact_mark_t));

    if (ids == NULL || marks == NULL) {
        return IM_E_CONTACT_INTERNAL;
    }

    i = 0;

    im_json_each(item, req->items) {

        ngx_memzero(&mark, sizeof(im_mark_req_t));

        code = im_cmd_contact_fill(ctx, item, im_mark_item_fields, &mark);

        if (code == IM_OK) {
            code = im_cmd_contact_id(ctx, mark.contact, &ids[i]);
        }

        if (code == IM_OK && mark.type.value == IM_MARK_STANDARD) {
            code = im_cmd_contact_bits(ctx, mark.set, &marks[i].set);

            if (code == IM_OK) {
                code = im_cmd_contact_bits(ctx, mark.clear, &marks[i].clear);
            }

            if (code == IM_OK && (marks[i].set | marks[i].clear) == 0) {
                ngx_str_set(&ctx->info, "\"SetMark\" is missing");
                code = IM_E_CONTACT_PARAM;
            }

        } else if (code == IM_OK) {
            marks[i].custom = mark.custom;

            if (mark.custom.data == NULL) {
                ngx_str_set(&ctx->info, "\"CustomMark\" is missing");
                code = IM_E_CONTACT_PARAM;
            }
        }

        if (code != IM_OK) {
            return code;
        }

        i++;
    }

    code = im_contact_check(ctx, ids, n);

    if (code == IM_OK) {
        code = im_contact_mark(ctx, &ctx->user, ids, marks, n);
    }

    if (code != IM_OK) {
        return code;
    }

    list = im_json_add_list(ctx->reply, "ResultItem");

    for (i = 0; i < n; i++) {
        item = im_json_push_obj(list);

        im_contact_json(im_json_add_obj(item, "ContactItem"), ids[i].type,
                        &ids[i].peer, "To_Account", "ToGroupId");
        im_cmd_contact_result(item, ids[i].code);
    }

    return IM_OK;
}


static im_code_t
im_cmd_create_contact_group(im_ctx_t *ctx, void *data)
{
    im_contacts_req_t  *req = data;

    int64_t            id;
    im_code_t          code;
    im_json_t         *results, *list, *item, *obj;
    ngx_uint_t         i, k, n;
    im_group_item_t   *group;
    im_contact_id_t  **ids;

    n = req->items->n;

    group = ngx_pcalloc(ctx->pool, n * sizeof(im_group_item_t));
    ids = ngx_pcalloc(ctx->pool, n * sizeof(im_contact_id_t *));

    if (group == NULL || ids == NULL) {
        return IM_E_CONTACT_INTERNAL;
    }

    i = 0;

    im_json_each(item, req->items) {

        code = im_cmd_contact_fill(ctx, item, im_create_item_fields,
                                   &group[i]);

        if (code == IM_OK && group[i].items == NULL) {
            group[i].items = im_json_new_list(ctx->pool);

            if (group[i].items == NULL) {
                code = IM_E_CONTACT_INTERNAL;
            }
        }

        if (code == IM_OK) {
            code = im_cmd_contact_ids(ctx, group[i].items, &ids[i]);
        }

        if (code != IM_OK) {
            return code;
        }

        i++;
    }

    results = im_json_add_list(ctx->reply, "GroupResultItem");

    for (i = 0; i < n; i++) {

        code = im_contact_check(ctx, ids[i], group[i].items->n);

        if (code == IM_OK) {
            code = im_contact_group_create(ctx, &ctx->user, &group[i].name,
                                           ids[i], group[i].items->n, &id);
        }

        if (code != IM_OK) {
            return code;
        }

        item = im_json_push_obj(results);

        obj = im_json_add_obj(item, "GroupItem");
        im_json_add_int(obj, "GroupId", id);
        im_json_add_str(obj, "GroupName", &group[i].name);

        list = im_json_add_list(item, "ResultItem");

        for (k = 0; k < group[i].items->n; k++) {
            item = im_json_push_obj(list);

            im_contact_json(im_json_add_obj(item, "ContactItem"),
                            ids[i][k].type, &ids[i][k].peer,
                            "To_Account", "ToGroupId");
            im_cmd_contact_result(item, ids[i][k].code);
        }
    }

    return IM_OK;
}


static im_code_t
im_cmd_del_contact_group(im_ctx_t *ctx, void *data)
{
    im_names_req_t  *req = data;

    im_code_t    code;
    ngx_array_t  deleted;

    if (ngx_array_init(&deleted, ctx->pool, 4, sizeof(im_contact_group_t))
        != NGX_OK)
    {
        return IM_E_CONTACT_INTERNAL;
    }

    code = im_contact_group_delete(ctx, &ctx->user, req->names.elts,
                                   req->names.n, &deleted);

    if (code == IM_OK) {
        im_contact_groups_json(ctx->reply, &deleted);
    }

    return code;
}


static im_code_t
im_cmd_update_contact_group(im_ctx_t *ctx, void *data)
{
    im_update_req_t  *req = data;

    int64_t             id;
    im_code_t           code;
    im_json_t          *result;
    im_update_group_t   update;

    ngx_memzero(&update, sizeof(im_update_group_t));

    code = im_cmd_contact_fill(ctx, req->group, im_update_group_fields,
                               &update);
    if (code != IM_OK) {
        return code;
    }

    if (update.type.value == IM_UPDATE_MEMBERS) {
        return im_cmd_contact_update_members(ctx, &update);
    }

    if (update.fresh.data == NULL) {
        ngx_str_set(&ctx->info, "\"NewGroupName\" is missing");
        return IM_E_CONTACT_PARAM;
    }

    code = im_contact_group_rename(ctx, &ctx->user, &update.old,
                                   &update.fresh, &id);

    if (code == IM_OK) {
        result = im_json_add_obj(ctx->reply, "UpdateGroupResult");
        im_json_add_int(result, "GroupId", id);
    }

    return code;
}


static im_code_t
im_cmd_contact_update_members(im_ctx_t *ctx, im_update_group_t *update)
{
    int64_t            id, *opts;
    im_code_t          code;
    im_json_t         *result, *list, *item;
    ngx_uint_t         i, n;
    im_contact_id_t   *ids;
    im_update_item_t   u;

    if (update->items == NULL) {
        ngx_str_set(&ctx->info, "\"ContactUpdateItem\" is missing");
        return IM_E_CONTACT_PARAM;
    }

    n = update->items->n;

    ids = ngx_pcalloc(ctx->pool, n * sizeof(im_contact_id_t));
    opts = ngx_palloc(ctx->pool, n * sizeof(int64_t));

    if (ids == NULL || opts == NULL) {
        return IM_E_CONTACT_INTERNAL;
    }

    i = 0;

    im_json_each(item, update->items) {

        ngx_memzero(&u, sizeof(im_update_item_t));

        code = im_cmd_contact_fill(ctx, item, im_update_item_fields, &u);

        if (code == IM_OK) {
            code = im_cmd_contact_id(ctx, u.contact, &ids[i]);
        }

        if (code != IM_OK) {
            return code;
        }

        opts[i++] = u.opt.value;
    }

    code = im_contact_check(ctx, ids, n);

    if (code == IM_OK) {
        code = im_contact_group_update(ctx, &ctx->user, &update->old, ids,
                                       opts, n, &id);
    }

    if (code != IM_OK) {
        return code;
    }

    result = im_json_add_obj(ctx->reply, "UpdateGroupResult");
    im_json_add_int(result, "GroupId", id);

    list = im_json_add_list(result, "ContactResultItem");

    for (i = 0; i < n; i++) {
        item = im_json_push_obj(list);

        im_contact_json(im_json_add_obj(item, "ContactItem"), ids[i].type,
                        &ids[i].peer, "To_Account", "ToGroupId");
        im_json_add_int(item, "ContactOptType", opts[i]);
        im_cmd_contact_result(item, ids[i].code);
    }

    return IM_OK;
}


static im_code_t
im_cmd_get_contact_group(im_ctx_t *ctx, void *data)
{
    im_page_req_t  *req = data;

    ngx_int_t     rc;
    im_json_t    *list, *item;
    im_conv_t    *conv;
    ngx_uint_t    i, skip, more;
    ngx_array_t   groups, convs;

    if (ngx_array_init(&convs, ctx->pool, 16, sizeof(im_conv_t)) != NGX_OK) {
        return IM_E_CONTACT_INTERNAL;
    }

    skip = ngx_max(req->start.value, 0);
    more = 0;

    rc = im_contact_groups(ctx, &ctx->user, &groups);

    if (rc == NGX_OK) {
        rc = im_contact_marked(ctx, &ctx->user, skip, IM_CONTACT_PAGE,
                               &convs, &more);
    }

    if (rc != NGX_OK) {
        return im_contact_code(rc);
    }

    im_json_add_int(ctx->reply, "CompleteFlag", !more);
    im_json_add_int(ctx->reply, "NextStartIndex",
                    more ? skip + convs.nelts : 0);

    im_contact_groups_json(ctx->reply, &groups);
    list = im_json_add_list(ctx->reply, "ContactItem");

    conv = convs.elts;

    for (i = 0; i < convs.nelts; i++) {
        item = im_json_push_obj(list);

        im_contact_json(item, conv[i].type, &conv[i].peer,
                        "To_Account", "ToGroupId");
        im_contact_mark_json(ctx, item, conv[i].marks);
        im_json_add_str(item, "CustomMark", &conv[i].custom);
        im_contact_groups_of_json(item, &conv[i], &groups);
    }

    return IM_OK;
}


static im_code_t
im_cmd_search_contact_group(im_ctx_t *ctx, void *data)
{
    im_contacts_req_t  *req = data;

    ngx_int_t           rc;
    im_code_t           code;
    im_json_t          *list, *item;
    ngx_uint_t          i, n;
    ngx_array_t         groups;
    im_contact_id_t    *ids;
    im_contact_rows_t   rows;

    n = req->items->n;

    code = im_cmd_contact_ids(ctx, req->items, &ids);
    if (code != IM_OK) {
        return code;
    }

    rc = im_contact_groups(ctx, &ctx->user, &groups);

    if (rc == NGX_OK) {
        rc = im_contact_rows(ctx, &ctx->user, ids, n, &rows);
    }

    if (rc != NGX_OK) {
        return im_contact_code(rc);
    }

    im_contact_groups_json(ctx->reply, &groups);
    list = im_json_add_list(ctx->reply, "ContactItem");

    for (i = 0; i < n; i++) {

        if (rows.of[i] == NULL) {
            continue;
        }

        item = im_json_push_obj(list);

        im_contact_json(item, ids[i].type, &ids[i].peer,
                        "To_Account", "ToGroupId");
        im_contact_mark_json(ctx, item, rows.of[i]->marks);
        im_json_add_str(item, "CustomMark", &rows.of[i]->custom);
        im_contact_groups_of_json(item, rows.of[i], &groups);
    }

    return IM_OK;
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

    code = im_cmd_contact_id(ctx, ctx->body, &id);

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


static im_code_t
im_cmd_contact_fill(im_ctx_t *ctx, im_json_t *obj, im_field_t *fields,
    void *dst)
{
    im_code_t  code;

    code = im_schema_fill(ctx->pool, obj, fields, dst, &ctx->info);

    return (code == NGX_ERROR) ? IM_E_CONTACT_INTERNAL : code;
}


static im_code_t
im_cmd_contact_ids(im_ctx_t *ctx, im_json_t *list, im_contact_id_t **ids)
{
    im_code_t    code;
    im_json_t   *item;
    ngx_uint_t   i;

    *ids = ngx_pcalloc(ctx->pool, (list->n + 1) * sizeof(im_contact_id_t));
    if (*ids == NULL) {
        return IM_E_CONTACT_INTERNAL;
    }

    i = 0;

    im_json_each(item, list) {
        code = im_cmd_contact_id(ctx, item, &(*ids)[i++]);
        if (code != IM_OK) {
            return code;
        }
    }

    return IM_OK;
}


/* The group's id has another name in each command (web-v2.md 9). */

static im_code_t
im_cmd_contact_id(im_ctx_t *ctx, im_json_t *item, im_contact_id_t *id)
{
    id->code = IM_OK;
    id->type = 0;

    (void) im_json_get_int(item, "Type", &id->type);

    switch (id->type) {

    case IM_CONV_C2C:

        if (im_json_get_str(item, "To_Account", &id->peer) == NGX_OK
            && im_cmd_contact_name(&id->peer))
        {
            return IM_OK;
        }

        ngx_str_set(&ctx->info, "\"To_Account\" is missing or illegal");
        break;

    case IM_CONV_GROUP:

        if ((im_json_get_str(item, "ToGroupid", &id->peer) == NGX_OK
             || im_json_get_str(item, "ToGroupId", &id->peer) == NGX_OK
             || im_json_get_str(item, "GroupId", &id->peer) == NGX_OK)
            && im_cmd_contact_name(&id->peer))
        {
            return IM_OK;
        }

        ngx_str_set(&ctx->info, "the GroupId is missing or illegal");
        break;

    default:
        ngx_str_set(&ctx->info, "\"Type\" is not 1 or 2");
        break;
    }

    return IM_E_CONTACT_PARAM;
}


/* What can be a part of a key, whether it is there or not. */

static ngx_uint_t
im_cmd_contact_name(ngx_str_t *name)
{
    return name->len > 0
           && name->len <= IM_CONTACT_NAME
           && ngx_strlchr(name->data, name->data + name->len, '\0') == NULL;
}


static im_code_t
im_cmd_contact_bits(im_ctx_t *ctx, im_json_t *list, uint64_t *bits)
{
    im_json_t  *item;

    *bits = 0;

    im_json_each(item, list) {

        if (item->type != IM_JSON_NUM || !item->is_int
            || item->num < 0 || item->num >= IM_CONTACT_MARKS)
        {
            ngx_str_set(&ctx->info, "a mark is not a number of 0 to 63");
            return IM_E_CONTACT_PARAM;
        }

        *bits |= 1ULL << item->num;
    }

    return IM_OK;
}


static void
im_cmd_contact_result(im_json_t *item, im_code_t code)
{
    im_json_add_int(item, "ResultCode", code);

    if (code == IM_OK) {
        im_json_add_cstr(item, "ResultInfo", "");

    } else {
        im_json_add_str(item, "ResultInfo", im_error_text(code));
    }
}
