
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_word.h"
#include "api/im_sns.h"


/* Items of the commands that write friend rows. */

#define IM_SNS_REMARK   96           /* bytes */
#define IM_SNS_WORDING  256
#define IM_SNS_VALUE    500
#define IM_SNS_SOURCE   "AddSource_Type_"
#define IM_SNS_TAGS     64


static im_rel_e im_sns_new_item(im_ctx_t *ctx, im_json_t *node,
    ngx_uint_t groups, im_friend_item_t *item);
static im_rel_e im_sns_update_tag(im_ctx_t *ctx, im_json_t *node,
    im_friend_item_t *item);
static im_rel_e im_sns_text(im_ctx_t *ctx, im_json_t *node, const char *name,
    size_t max, ngx_str_t *text);
static im_rel_e im_sns_group(im_ctx_t *ctx, im_json_t *value, ngx_uint_t max,
    im_friend_item_t *item);
static im_rel_e im_sns_custom(im_ctx_t *ctx, ngx_str_t *tag,
    im_json_t *value, im_friend_item_t *item);


im_rel_e
im_sns_add_item(im_ctx_t *ctx, im_json_t *node, im_friend_item_t *item)
{
    return im_sns_new_item(ctx, node, 1, item);
}


/* groups: how many may be named. */

static im_rel_e
im_sns_new_item(im_ctx_t *ctx, im_json_t *node, ngx_uint_t groups,
    im_friend_item_t *item)
{
    u_char     *p, *last;
    size_t      len;
    im_rel_e    result;

    result = im_sns_text(ctx, node, "AddSource", 0, &item->source);
    if (result != IM_REL_OK) {
        return result;
    }

    len = sizeof(IM_SNS_SOURCE) - 1;

    if (item->source.len <= len
        || item->source.len > len + 8
        || ngx_memcmp(item->source.data, IM_SNS_SOURCE, len) != 0)
    {
        return IM_REL_SOURCE;
    }

    last = item->source.data + item->source.len;

    for (p = item->source.data + len; p < last; p++) {
        if ((u_char) ((*p | 0x20) - 'a') > 'z' - 'a') {
            return IM_REL_SOURCE;
        }
    }

    result = im_sns_text(ctx, node, "Remark", IM_SNS_REMARK, &item->remark);

    if (result == IM_REL_OK) {
        result = im_sns_text(ctx, node, "AddWording", IM_SNS_WORDING,
                             &item->wording);
    }

    if (result == IM_REL_OK) {
        result = im_sns_group(ctx, im_json_get(node, "GroupName"), groups,
                              item);
    }

    return result;
}


im_rel_e
im_sns_import_item(im_ctx_t *ctx, im_json_t *node, im_friend_item_t *item)
{
    im_rel_e    result;
    ngx_str_t   tag;
    im_json_t  *list, *value;

    result = im_sns_new_item(ctx, node, ctx->app->friend_groups_max, item);

    if (result != IM_REL_OK) {
        return result;
    }

    if (im_json_get_int(node, "RemarkTime", &item->retime) == NGX_ERROR
        || im_json_get_int(node, "AddTime", &item->added) == NGX_ERROR
        || item->retime < 0 || item->added < 0)
    {
        return IM_REL_PARAM;
    }

    list = NULL;

    if (im_json_get_list(node, "CustomItem", &list) == NGX_ERROR) {
        return IM_REL_PARAM;
    }

    item->custom = im_json_new_obj(ctx->pool);

    im_json_each(value, list) {

        if (im_json_get_str(value, "Tag", &tag) != NGX_OK) {
            return IM_REL_TAGS;
        }

        result = im_sns_custom(ctx, &tag, im_json_get(value, "Value"), item);
        if (result != IM_REL_OK) {
            return result;
        }
    }

    return IM_REL_OK;
}


im_rel_e
im_sns_update_item(im_ctx_t *ctx, im_json_t *node, im_friend_item_t *item)
{
    im_rel_e    result;
    im_json_t  *list, *value;

    if (im_json_get_list(node, "SnsItem", &list) != NGX_OK
        || list->n == 0 || list->n > IM_SNS_TAGS)
    {
        return IM_REL_PARAM;
    }

    item->custom = im_json_new_obj(ctx->pool);

    im_json_each(value, list) {

        result = im_sns_update_tag(ctx, value, item);
        if (result != IM_REL_OK) {
            return result;
        }
    }

    return IM_REL_OK;
}


static im_rel_e
im_sns_update_tag(im_ctx_t *ctx, im_json_t *node, im_friend_item_t *item)
{
    ngx_str_t   tag;
    im_json_t  *value;

    value = im_json_get(node, "Value");

    if (value == NULL || im_json_get_str(node, "Tag", &tag) != NGX_OK) {
        return IM_REL_PARAM;
    }

    if (im_str_eq_c(&tag, "Tag_SNS_IM_Remark")) {
        item->set_remark = 1;
        return im_sns_text(ctx, node, "Value", IM_SNS_REMARK, &item->remark);
    }

    if (im_str_eq_c(&tag, "Tag_SNS_IM_Group")) {
        item->set_groups = 1;
        return im_sns_group(ctx, value, ctx->app->friend_groups_max, item);
    }

    return im_sns_custom(ctx, &tag, value, item);
}


im_rel_e
im_sns_response_item(im_ctx_t *ctx, im_json_t *node, im_friend_item_t *item)
{
    im_rel_e   result;
    ngx_str_t  action;

    if (im_json_get_str(node, "ResponseAction", &action) != NGX_OK) {
        return IM_REL_TYPE;
    }

    if (im_str_eq_c(&action, "Response_Action_AgreeAndAdd")) {
        item->agree = 1;
        item->mutual = 1;

    } else if (im_str_eq_c(&action, "Response_Action_Agree")) {
        item->agree = 1;

    } else if (!im_str_eq_c(&action, "Response_Action_Reject")) {
        return IM_REL_TYPE;
    }

    result = im_sns_text(ctx, node, "Remark", IM_SNS_REMARK, &item->remark);

    if (result == IM_REL_OK) {
        result = im_sns_group(ctx, im_json_get(node, "TagName"), 1, item);
    }

    return result;
}


/* An optional text. */

static im_rel_e
im_sns_text(im_ctx_t *ctx, im_json_t *node, const char *name, size_t max,
    ngx_str_t *text)
{
    ngx_int_t  rc;

    rc = im_json_get_str(node, name, text);

    if (rc == NGX_DECLINED) {
        return IM_REL_OK;
    }

    if (rc != NGX_OK
        || ngx_strlchr(text->data, text->data + text->len, '\0'))
    {
        return IM_REL_PARAM;
    }

    if (max && text->len > max) {
        return IM_REL_LENGTH;
    }

    return (max && im_word_dirty(ctx, text)) ? IM_REL_DIRTY : IM_REL_OK;
}


/* A name, or a list of them; an empty single name is none. */

static im_rel_e
im_sns_group(im_ctx_t *ctx, im_json_t *value, ngx_uint_t max,
    im_friend_item_t *item)
{
    im_rel_e     result;
    im_json_t   *node;
    ngx_uint_t   n;

    if (value == NULL || value->type == IM_JSON_NULL) {
        return IM_REL_OK;
    }

    if (value->type == IM_JSON_STR && value->u.text.len == 0) {
        return IM_REL_OK;
    }

    if (value->type != IM_JSON_STR && value->type != IM_JSON_LIST) {
        return IM_REL_PARAM;
    }

    n = (value->type == IM_JSON_STR) ? 1 : value->n;

    if (n > max) {
        return (max == 1) ? IM_REL_PARAM : IM_REL_GROUPS_FULL;
    }

    item->groups = ngx_palloc(ctx->pool, (n + 1) * sizeof(ngx_str_t));
    if (item->groups == NULL) {
        return IM_REL_INTERNAL;
    }

    item->ngroups = n;

    if (value->type == IM_JSON_STR) {
        item->groups[0] = value->u.text;
        return im_sns_group_name(ctx, &item->groups[0]);
    }

    n = 0;

    im_json_each(node, value) {

        if (node->type != IM_JSON_STR) {
            return IM_REL_PARAM;
        }

        result = im_sns_group_name(ctx, &node->u.text);
        if (result != IM_REL_OK) {
            return result;
        }

        item->groups[n++] = node->u.text;
    }

    return IM_REL_OK;
}


static im_rel_e
im_sns_custom(im_ctx_t *ctx, ngx_str_t *tag, im_json_t *value,
    im_friend_item_t *item)
{
    ngx_uint_t       right;
    im_app_field_t  *field;

    field = im_friend_field(ctx, tag);
    right = (ctx->role == IM_ROLE_ADMIN) ? IM_FIELD_ADMIN : IM_FIELD_USER;

    if (field == NULL || !(field->write & right)) {
        return IM_REL_TAGS;
    }

    if (value == NULL) {
        return IM_REL_PARAM;
    }

    if (value->type == IM_JSON_STR && field->type == IM_FIELD_STR) {
        if (value->u.text.len > IM_SNS_VALUE) {
            return IM_REL_LENGTH;
        }

        if (im_word_dirty(ctx, &value->u.text)) {
            return IM_REL_DIRTY;
        }

    } else if (value->type != IM_JSON_NUM || !value->is_int) {
        return IM_REL_PARAM;
    }

    im_json_add_node(item->custom, (char *) field->name.data, value);

    return IM_REL_OK;
}
