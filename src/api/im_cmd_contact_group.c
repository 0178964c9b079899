
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_contact.h"
#include "domain/im_contact_group.h"
#include "api/im_cmd.h"
#include "api/im_contact_item.h"


#define IM_UPDATE_RENAME  1              /* UpdateGroupType */
#define IM_UPDATE_MEMBERS 2


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


static im_code_t im_cmd_create_contact_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_del_contact_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_update_contact_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_contact_group(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_search_contact_group(im_ctx_t *ctx, void *data);
static void im_cmd_contact_group_conv(im_ctx_t *ctx, im_json_t *list,
    int64_t type, ngx_str_t *peer, im_conv_t *conv, ngx_array_t *groups);
static im_code_t im_cmd_contact_update_members(im_ctx_t *ctx,
    im_update_group_t *update);


static im_field_t  im_create_fields[] = {

    { ngx_string("GroupContactItem"), IM_LIST, IM_REQUIRED,
      offsetof(im_contact_items_req_t, items), 1, IM_CONTACT_GROUPS,
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
      offsetof(im_contact_items_req_t, items), 1, IM_CONTACT_ITEMS,
      IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_contact_group[] = {

    { ngx_string("recentcontact"), ngx_string("create_contact_group"),
      im_cmd_create_contact_group, IM_BY_USER,
      im_create_fields, sizeof(im_contact_items_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("del_contact_group"),
      im_cmd_del_contact_group, IM_BY_USER,
      im_del_fields, sizeof(im_names_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("update_contact_group"),
      im_cmd_update_contact_group, IM_BY_USER,
      im_update_fields, sizeof(im_update_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("get_contact_group"),
      im_cmd_get_contact_group, IM_BY_USER,
      im_contact_page_fields, sizeof(im_contact_page_req_t), 0, 0 },

    { ngx_string("recentcontact"), ngx_string("search_contact_group"),
      im_cmd_search_contact_group, IM_BY_USER,
      im_search_fields, sizeof(im_contact_items_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_create_contact_group(im_ctx_t *ctx, void *data)
{
    im_contact_items_req_t  *req = data;

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

        code = im_contact_item_fill(ctx, item, im_create_item_fields,
                                    &group[i]);

        if (code == IM_OK && group[i].items == NULL) {
            group[i].items = im_json_new_list(ctx->pool);

            if (group[i].items == NULL) {
                code = IM_E_CONTACT_INTERNAL;
            }
        }

        if (code == IM_OK) {
            code = im_contact_item_ids(ctx, group[i].items, &ids[i]);
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
            im_contact_item_push(list, &ids[i][k]);
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

    code = im_contact_item_fill(ctx, req->group, im_update_group_fields,
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

        code = im_contact_item_fill(ctx, item, im_update_item_fields, &u);

        if (code == IM_OK) {
            code = im_contact_item_id(ctx, u.contact, &ids[i]);
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
        item = im_contact_item_push(list, &ids[i]);
        im_json_add_int(item, "ContactOptType", opts[i]);
    }

    return IM_OK;
}


static im_code_t
im_cmd_get_contact_group(im_ctx_t *ctx, void *data)
{
    im_contact_page_req_t  *req = data;

    ngx_int_t     rc;
    im_json_t    *list;
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
        im_cmd_contact_group_conv(ctx, list, conv[i].type, &conv[i].peer,
                                  &conv[i], &groups);
    }

    return IM_OK;
}


static void
im_cmd_contact_group_conv(im_ctx_t *ctx, im_json_t *list, int64_t type,
    ngx_str_t *peer, im_conv_t *conv, ngx_array_t *groups)
{
    im_json_t  *item;

    item = im_json_push_obj(list);

    im_contact_json(item, type, peer, "To_Account", "ToGroupId");
    im_contact_mark_json(ctx, item, conv->marks);
    im_json_add_str(item, "CustomMark", &conv->custom);
    im_contact_groups_of_json(item, conv, groups);
}


static im_code_t
im_cmd_search_contact_group(im_ctx_t *ctx, void *data)
{
    im_contact_items_req_t  *req = data;

    ngx_int_t           rc;
    im_code_t           code;
    im_json_t          *list;
    ngx_uint_t          i, n;
    ngx_array_t         groups;
    im_contact_id_t    *ids;
    im_contact_rows_t   rows;

    n = req->items->n;

    code = im_contact_item_ids(ctx, req->items, &ids);
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

        if (rows.of[i]) {
            im_cmd_contact_group_conv(ctx, list, ids[i].type, &ids[i].peer,
                                      rows.of[i], &groups);
        }
    }

    return IM_OK;
}
