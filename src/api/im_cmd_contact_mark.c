
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_contact.h"
#include "api/im_cmd.h"
#include "api/im_contact_item.h"


#define IM_MARK_STANDARD  1              /* OptType of mark_contact */
#define IM_MARK_CUSTOM    2
#define IM_MARK_SET       32             /* marks set by one item */


typedef struct {
    im_int_t           type;
    im_json_t         *set;
    im_json_t         *clear;
    ngx_str_t          custom;
    im_json_t         *contact;
} im_mark_req_t;


static im_code_t im_cmd_mark_contact(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_contact_bits(im_ctx_t *ctx, im_json_t *list,
    uint64_t *bits);


static im_field_t  im_mark_fields[] = {

    { ngx_string("MarkItem"), IM_LIST, IM_REQUIRED,
      offsetof(im_contact_items_req_t, items), 1, IM_CONTACT_ITEMS,
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


im_command_t  im_cmd_contact_mark[] = {

    { ngx_string("recentcontact"), ngx_string("mark_contact"),
      im_cmd_mark_contact, IM_BY_USER,
      im_mark_fields, sizeof(im_contact_items_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_mark_contact(im_ctx_t *ctx, void *data)
{
    im_contact_items_req_t  *req = data;

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

        code = im_contact_item_fill(ctx, item, im_mark_item_fields, &mark);

        if (code == IM_OK) {
            code = im_contact_item_id(ctx, mark.contact, &ids[i]);
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
        im_contact_item_push(list, &ids[i]);
    }

    return IM_OK;
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
