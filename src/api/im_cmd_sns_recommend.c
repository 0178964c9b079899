
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_recommend.h"
#include "api/im_sns.h"


/* Not commands of the specification, which only names their limits. */

#define IM_RECOMMEND_ITEMS  30       /* of one command */
#define IM_RECOMMEND_VALUE  512      /* bytes */
#define IM_RECOMMEND_PAGE   100


typedef struct {
    ngx_str_t          from;
    im_json_t         *list;
    im_int_t           time;
    im_int_t           limit;
} im_recommend_req_t;


static im_code_t im_cmd_recommend_add(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_recommend_get(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_recommend_delete(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_recommend_report(im_ctx_t *ctx, void *data);
static im_code_t im_recommend_custom(im_ctx_t *ctx, im_json_t *node,
    ngx_str_t *custom);
static im_code_t im_recommend_json(im_ctx_t *ctx, im_json_t *list,
    im_recommend_t *row);


#define im_recommend_from                                                     \
    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,                        \
      offsetof(im_recommend_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 }


static im_field_t  im_recommend_add_fields[] = {

    im_recommend_from,

    { ngx_string("RecommendItem"), IM_LIST, IM_REQUIRED,
      offsetof(im_recommend_req_t, list), 1, IM_RECOMMEND_ITEMS,
      IM_E_SNS_PARAM, 0 },

      im_null_field
};


static im_field_t  im_recommend_get_fields[] = {

    im_recommend_from,

    { ngx_string("StartTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_recommend_req_t, time), 0, 4294967295, IM_E_SNS_PARAM, 0 },

    { ngx_string("MaxLimited"), IM_INT, IM_OPTIONAL,
      offsetof(im_recommend_req_t, limit), 1, 1000, IM_E_SNS_PARAM, 0 },

      im_null_field
};


static im_field_t  im_recommend_delete_fields[] = {

    im_recommend_from,

    { ngx_string("To_Account"), IM_LIST, IM_REQUIRED,
      offsetof(im_recommend_req_t, list), 1, IM_SNS_ACCOUNTS,
      IM_E_SNS_PARAM, 0 },

      im_null_field
};


static im_field_t  im_recommend_report_fields[] = {

    im_recommend_from,

    { ngx_string("LatestRecommendTimeStamp"), IM_INT, IM_REQUIRED,
      offsetof(im_recommend_req_t, time), 0, 4294967295, IM_E_SNS_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_sns_recommend[] = {

    { ngx_string("sns"), ngx_string("recommend_add"),
      im_cmd_recommend_add, IM_BY_ADMIN,
      im_recommend_add_fields, sizeof(im_recommend_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("recommend_get"),
      im_cmd_recommend_get, IM_SNS_BY,
      im_recommend_get_fields, sizeof(im_recommend_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("recommend_delete"),
      im_cmd_recommend_delete, IM_SNS_BY,
      im_recommend_delete_fields, sizeof(im_recommend_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("recommend_report"),
      im_cmd_recommend_report, IM_SNS_BY,
      im_recommend_report_fields, sizeof(im_recommend_req_t), 0, 0 },

      im_null_command
};


static const char  *im_recommend_tags[] = {
    "Recommend_Type_First", "Recommend_Type_Second", "Recommend_Type_Third",
    NULL
};


static im_code_t
im_cmd_recommend_add(im_ctx_t *ctx, void *data)
{
    im_recommend_req_t  *req = data;

    im_rel_e     *results;
    im_code_t     code;
    ngx_str_t    *peers, *custom, user;
    im_json_t   **nodes;
    ngx_uint_t    i, n;

    code = im_sns_accounts(ctx, IM_SNS_RECOMMEND_ADD, req->list,
                           IM_RECOMMEND_ITEMS, &peers, &nodes, &n);
    if (code != IM_OK) {
        return code;
    }

    results = ngx_pcalloc(ctx->pool, n * sizeof(im_rel_e));
    custom = ngx_pcalloc(ctx->pool, n * sizeof(ngx_str_t));

    if (results == NULL || custom == NULL) {
        return IM_E_SNS_INTERNAL;
    }

    for (i = 0; i < n; i++) {
        code = im_recommend_custom(ctx, nodes[i], &custom[i]);
        if (code != IM_OK) {
            return code;
        }
    }

    code = im_sns_from(ctx, &req->from, &user);
    if (code != IM_OK) {
        return code;
    }

    im_recommend_add(ctx, &user, peers, n, custom, results);
    im_sns_results(ctx, IM_SNS_RECOMMEND_ADD, peers, n, results, NULL);

    return IM_OK;
}


/* CustomItem, a list of {Tag, Value}; it is stored as an object. */

static im_code_t
im_recommend_custom(im_ctx_t *ctx, im_json_t *node, ngx_str_t *custom)
{
    ngx_int_t    rc;
    ngx_str_t    tag, value;
    im_json_t   *list, *item, *obj;
    ngx_uint_t   i;

    rc = im_json_get_list(node, "CustomItem", &list);

    if (rc == NGX_DECLINED) {
        return IM_OK;
    }

    if (rc != NGX_OK) {
        ngx_str_set(&ctx->info, "\"CustomItem\" must be an array");
        return IM_E_SNS_PARAM;
    }

    obj = im_json_new_obj(ctx->pool);

    im_json_each(item, list) {

        if (im_json_get_str(item, "Tag", &tag) != NGX_OK
            || im_json_get_str(item, "Value", &value) != NGX_OK
            || value.len == 0 || value.len > IM_RECOMMEND_VALUE)
        {
            ngx_str_set(&ctx->info, "\"CustomItem\" has a \"Tag\", and a "
                                    "\"Value\" of 1 to 512 bytes");
            return IM_E_SNS_PARAM;
        }

        for (i = 0; im_recommend_tags[i]; i++) {
            if (ngx_strlen(im_recommend_tags[i]) == tag.len
                && ngx_memcmp(im_recommend_tags[i], tag.data, tag.len) == 0)
            {
                break;
            }
        }

        if (im_recommend_tags[i] == NULL
            || im_json_get(obj, im_recommend_tags[i]))
        {
            ngx_str_set(&ctx->info, "\"Tag\" is not \"Recommend_Type_First\","
                                    " \"..._Second\" or \"..._Third\", once");
            return IM_E_SNS_PARAM;
        }

        im_json_add_str(obj, im_recommend_tags[i], &value);
    }

    return (im_json_render(ctx->pool, obj, custom) == NGX_OK)
           ? IM_OK : IM_E_SNS_INTERNAL;
}


static im_code_t
im_cmd_recommend_get(im_ctx_t *ctx, void *data)
{
    im_recommend_req_t  *req = data;

    int64_t          next;
    ngx_str_t        user;
    im_code_t        code;
    im_json_t       *list;
    ngx_uint_t       i, n, limit, unread;
    ngx_array_t      rows;
    im_rel_count_t   count;
    im_recommend_t  *row;

    code = im_sns_from(ctx, &req->from, &user);
    if (code != IM_OK) {
        return code;
    }

    if (ngx_array_init(&rows, ctx->pool, 16, sizeof(im_recommend_t))
        != NGX_OK
        || im_rel_count(ctx, &user, &count) != NGX_OK
        || im_recommend_list(ctx, &user, &rows) != NGX_OK)
    {
        return IM_E_SNS_INTERNAL;
    }

    list = im_json_add_list(ctx->reply, "RecommendItem");
    limit = req->limit.set ? (ngx_uint_t) req->limit.value
                           : IM_RECOMMEND_PAGE;
    row = rows.elts;
    unread = 0;
    next = 0;
    n = 0;

    for (i = 0; i < rows.nelts; i++) {

        unread += (row[i].added > count.recreported);

        if (row[i].added < req->time.value || next) {
            continue;
        }

        /* a page ends with the last of a second, where the next begins */

        if (n >= limit && row[i].added != row[i - 1].added) {
            next = row[i].added;
            continue;
        }

        n++;

        code = im_recommend_json(ctx, list, &row[i]);
        if (code != IM_OK) {
            return code;
        }
    }

    im_json_add_int(ctx->reply, "StartTime", next);
    im_json_add_int(ctx->reply, "UnreadRecommendCount", unread);
    im_json_add_int(ctx->reply, "CurrentSequence", count.recommend);

    return IM_OK;
}


static im_code_t
im_recommend_json(im_ctx_t *ctx, im_json_t *list, im_recommend_t *row)
{
    im_json_t     *item, *values, *value, *custom, *node;
    im_profile_t   profile;

    custom = NULL;

    if (im_profile_get(ctx, &row->peer, &profile) != NGX_OK
        || (row->custom.len
            && im_json_parse(ctx->pool, &row->custom, IM_JSON_DEPTH, &custom)
               != NGX_OK))
    {
        return IM_E_SNS_INTERNAL;
    }

    item = im_json_push_obj(list);

    im_json_add_str(item, "To_Account", &row->peer);
    im_json_add_int(item, "AddTime", row->added);
    im_json_add_str(item, "Nick", &profile.nick);
    im_json_add_str(item, "Image", &profile.face);

    values = im_json_add_list(item, "CustomItem");

    im_json_each(node, custom) {
        value = im_json_push_obj(values);
        im_json_add_str(value, "Tag", &node->key);
        im_json_add_node(value, "Value", node);
    }

    return IM_OK;
}


static im_code_t
im_cmd_recommend_delete(im_ctx_t *ctx, void *data)
{
    im_recommend_req_t  *req = data;

    return im_sns_each(ctx, IM_SNS_RECOMMEND_DELETE, &req->from, req->list,
                       im_recommend_delete);
}


static im_code_t
im_cmd_recommend_report(im_ctx_t *ctx, void *data)
{
    im_recommend_req_t  *req = data;

    return im_sns_report(ctx, IM_SNS_RECOMMEND_ADD, &req->from,
                         req->time.value, im_recommend_report);
}
