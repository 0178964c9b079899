
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_contact_group.h"


/* PushType of web-v2.md 4.7 */

#define IM_CONTACT_GROUP_CREATED  5
#define IM_CONTACT_GROUP_DELETED  6
#define IM_CONTACT_GROUP_CHANGED  7

#define IM_CONTACT_GROUP_RENAMED  1      /* UpdateGroupType */
#define IM_CONTACT_GROUP_REFILLED 2


static ngx_int_t im_contact_group_collect(im_row_t *row, void *data);
static im_contact_group_t *im_contact_group_find(ngx_array_t *groups,
    ngx_str_t *name);
static ngx_int_t im_contact_group_load(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *name, ngx_array_t *groups, im_contact_group_t **group);
static ngx_int_t im_contact_group_number(im_ctx_t *ctx, ngx_str_t *user,
    int64_t *id);
static void im_contact_group_put(im_ctx_t *ctx, im_batch_t *batch,
    ngx_str_t *user, ngx_str_t *name, int64_t id);
static void im_contact_group_key(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *name, im_key_t *key);
static ngx_uint_t im_contact_group_exists(ngx_array_t *groups, int64_t id);
static ngx_int_t im_contact_group_set(im_ctx_t *ctx, im_conv_t *conv,
    ngx_array_t *groups, int64_t id, int64_t opt);
static ngx_uint_t im_contact_group_next(ngx_str_t *text, int64_t *id);
static void im_contact_group_json(im_json_t *item, int64_t id,
    ngx_str_t *name);


static ngx_str_t  im_contact_group_none = ngx_string("no such group");


ngx_int_t
im_contact_groups(im_ctx_t *ctx, ngx_str_t *user, ngx_array_t *groups)
{
    im_key_t   prefix;
    ngx_int_t  rc;

    if (ngx_array_init(groups, ctx->pool, 4, sizeof(im_contact_group_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    im_key_init(&prefix, ctx->app->id);
    im_key_str(&prefix, user);

    rc = im_store_scan(ctx, IM_T_CONTACT_GROUP, 0, &prefix, NULL, NULL,
                       IM_ASC, 2 * IM_CONTACT_GROUPS,
                       im_contact_group_collect, groups);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_contact_group_collect(im_row_t *row, void *data)
{
    ngx_array_t  *groups = data;

    im_contact_group_t  *group;

    group = ngx_array_push(groups);
    if (group == NULL) {
        return NGX_ERROR;
    }

    (void) im_row_str(row, "name", &group->name);
    (void) im_row_int(row, "id", &group->id);
    group->version = row->version;

    return NGX_OK;
}


static im_contact_group_t *
im_contact_group_find(ngx_array_t *groups, ngx_str_t *name)
{
    ngx_uint_t           i;
    im_contact_group_t  *group;

    group = groups->elts;

    for (i = 0; i < groups->nelts; i++) {
        if (im_str_eq(&group[i].name, name)) {
            return &group[i];
        }
    }

    return NULL;
}


static ngx_int_t
im_contact_group_load(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *name,
    ngx_array_t *groups, im_contact_group_t **group)
{
    ngx_int_t  rc;

    rc = im_contact_groups(ctx, user, groups);
    if (rc != NGX_OK) {
        return rc;
    }

    *group = im_contact_group_find(groups, name);

    return NGX_OK;
}


im_code_t
im_contact_group_create(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *name,
    im_contact_id_t *ids, ngx_uint_t n, int64_t *id)
{
    im_key_t             key;
    ngx_int_t            rc;
    im_json_t           *event, *mod, *list, *item;
    ngx_uint_t           i, tries;
    im_batch_t          *batch;
    ngx_array_t          groups;
    im_contact_rows_t    rows;
    im_contact_group_t  *group;

    *id = 0;

    for (tries = 0; tries < IM_CONTACT_TRIES; tries++) {

        rc = im_contact_group_load(ctx, user, name, &groups, &group);

        if (rc == NGX_OK) {
            rc = im_contact_rows(ctx, user, ids, n, &rows);
        }

        if (rc != NGX_OK) {
            return im_contact_code(rc);
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        if (group) {
            *id = group->id;

            im_contact_group_key(ctx, user, name, &key);
            im_store_expect(batch, IM_T_CONTACT_GROUP, &key, group->version);

        } else {

            if (groups.nelts >= IM_CONTACT_GROUPS) {
                ngx_str_set(&ctx->info, "too many groups");
                return IM_E_CONTACT_PARAM;
            }

            if (*id == 0) {
                rc = im_contact_group_number(ctx, user, id);
                if (rc != NGX_OK) {
                    return im_contact_code(rc);
                }
            }

            im_contact_group_put(ctx, batch, user, name, *id);
        }

        event = im_contact_event(ctx, IM_CONTACT_GROUP_CREATED, &mod);

        item = im_json_add_obj(mod, "RecentContactCreateContactGroup");
        item = im_json_push_obj(im_json_add_list(item,
                                              "MsgContactGroupContactItem"));

        im_contact_group_json(im_json_add_obj(item, "MsgGroupItem"), *id,
                              name);

        list = im_json_add_list(item, "MsgRecentContactItem");

        for (i = 0; i < rows.n; i++) {
            rc = im_contact_group_set(ctx, &rows.convs[i], &groups, *id,
                                      IM_CONTACT_GROUP_ADD);
            if (rc != NGX_OK) {
                return im_contact_code(rc);
            }

            im_contact_json(im_json_push_obj(list), rows.convs[i].type,
                            &rows.convs[i].peer, "UserId", "GroupId");
        }

        rc = im_contact_commit(ctx, user, batch, &rows, event);

        if (rc != NGX_DECLINED) {
            return im_contact_code(rc);
        }
    }

    return IM_E_CONTACT_TIMEOUT;
}


im_code_t
im_contact_group_delete(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *names,
    ngx_uint_t n, ngx_array_t *deleted)
{
    im_key_t             key;
    ngx_int_t            rc;
    im_json_t           *event, *mod, *list;
    ngx_uint_t           i;
    im_batch_t          *batch;
    ngx_array_t          groups;
    im_contact_group_t  *group, *out;

    rc = im_contact_groups(ctx, user, &groups);
    if (rc != NGX_OK) {
        return im_contact_code(rc);
    }

    event = im_contact_event(ctx, IM_CONTACT_GROUP_DELETED, &mod);
    list = im_json_add_list(im_json_add_obj(mod,
                                            "RecentContactDelContactGroup"),
                            "MsgGroupItem");

    batch = im_store_batch(ctx, IM_ATOMIC);

    for (i = 0; i < n; i++) {

        group = im_contact_group_find(&groups, &names[i]);

        if (group == NULL || im_contact_group_find(deleted, &names[i])) {
            continue;
        }

        im_contact_group_key(ctx, user, &group->name, &key);
        im_store_delete(batch, IM_T_CONTACT_GROUP, &key);

        im_contact_group_json(im_json_push_obj(list), group->id,
                              &group->name);

        out = ngx_array_push(deleted);
        if (out == NULL) {
            return IM_E_CONTACT_INTERNAL;
        }

        *out = *group;
    }

    if (deleted->nelts == 0) {
        return IM_OK;
    }

    return im_contact_code(im_contact_commit(ctx, user, batch, NULL, event));
}


im_code_t
im_contact_group_rename(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *from,
    ngx_str_t *to, int64_t *id)
{
    im_key_t             key;
    ngx_int_t            rc;
    im_json_t           *event, *mod, *item;
    ngx_uint_t           tries;
    im_batch_t          *batch;
    ngx_array_t          groups;
    im_contact_group_t  *group;

    for (tries = 0; tries < IM_CONTACT_TRIES; tries++) {

        rc = im_contact_group_load(ctx, user, from, &groups, &group);
        if (rc != NGX_OK) {
            return im_contact_code(rc);
        }

        if (group == NULL) {
            ctx->info = im_contact_group_none;
            return IM_E_CONTACT_PARAM;
        }

        *id = group->id;

        if (im_str_eq(from, to)) {
            return IM_OK;
        }

        if (im_contact_group_find(&groups, to)) {
            ngx_str_set(&ctx->info, "there is a group of that name");
            return IM_E_CONTACT_PARAM;
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_contact_group_key(ctx, user, from, &key);
        im_store_expect(batch, IM_T_CONTACT_GROUP, &key, group->version);
        im_store_delete(batch, IM_T_CONTACT_GROUP, &key);

        im_contact_group_put(ctx, batch, user, to, group->id);

        event = im_contact_event(ctx, IM_CONTACT_GROUP_CHANGED, &mod);

        item = im_json_add_obj(mod, "RecentContactUpdateContactGroup");
        im_json_add_int(item, "UpdateType", 1);

        item = im_json_add_obj(item, "MsgUpdateGroup");
        im_json_add_int(item, "UpdateGroupType", IM_CONTACT_GROUP_RENAMED);
        im_contact_group_json(item, group->id, to);
        im_json_add_str(item, "OldGroupName", from);

        rc = im_contact_commit(ctx, user, batch, NULL, event);

        if (rc != NGX_DECLINED) {
            return im_contact_code(rc);
        }
    }

    return IM_E_CONTACT_TIMEOUT;
}


im_code_t
im_contact_group_update(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *name,
    im_contact_id_t *ids, int64_t *opts, ngx_uint_t n, int64_t *id)
{
    im_key_t             key;
    ngx_int_t            rc;
    im_json_t           *event, *mod, *list, *item;
    ngx_uint_t           i, tries;
    im_batch_t          *batch;
    ngx_array_t          groups;
    im_contact_rows_t    rows;
    im_contact_group_t  *group;

    for (tries = 0; tries < IM_CONTACT_TRIES; tries++) {

        rc = im_contact_group_load(ctx, user, name, &groups, &group);

        if (rc == NGX_OK) {
            rc = im_contact_rows(ctx, user, ids, n, &rows);
        }

        if (rc != NGX_OK) {
            return im_contact_code(rc);
        }

        if (group == NULL) {
            ctx->info = im_contact_group_none;
            return IM_E_CONTACT_PARAM;
        }

        *id = group->id;

        if (rows.n == 0) {
            return IM_OK;
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_contact_group_key(ctx, user, name, &key);
        im_store_expect(batch, IM_T_CONTACT_GROUP, &key, group->version);

        event = im_contact_event(ctx, IM_CONTACT_GROUP_CHANGED, &mod);

        item = im_json_add_obj(mod, "RecentContactUpdateContactGroup");
        im_json_add_int(item, "UpdateType", 1);

        item = im_json_add_obj(item, "MsgUpdateGroup");
        im_json_add_int(item, "UpdateGroupType", IM_CONTACT_GROUP_REFILLED);
        im_contact_group_json(item, group->id, name);
        im_json_add_str(item, "OldGroupName", name);

        list = im_json_add_list(item, "RecentContactUpdateGroupItem");

        for (i = 0; i < n; i++) {

            if (rows.of[i] == NULL) {
                continue;
            }

            rc = im_contact_group_set(ctx, rows.of[i], &groups, group->id,
                                      opts[i]);
            if (rc != NGX_OK) {
                return im_contact_code(rc);
            }

            item = im_json_push_obj(list);

            im_json_add_int(item, "ContactOptType", opts[i]);
            im_contact_json(im_json_add_obj(item, "RecentContactItem"),
                            rows.of[i]->type, &rows.of[i]->peer,
                            "UserId", "GroupId");
        }

        rc = im_contact_commit(ctx, user, batch, &rows, event);

        if (rc != NGX_DECLINED) {
            return im_contact_code(rc);
        }
    }

    return IM_E_CONTACT_TIMEOUT;
}


static ngx_int_t
im_contact_group_number(im_ctx_t *ctx, ngx_str_t *user, int64_t *id)
{
    im_key_t     key;
    ngx_int_t    rc;
    ngx_str_t    kind;
    ngx_uint_t   op;
    im_batch_t  *batch;

    ngx_str_set(&kind, "contact_group");

    im_key_init(&key, ctx->app->id);
    im_key_str(&key, &kind);
    im_key_str(&key, user);

    batch = im_store_batch(ctx, IM_ATOMIC);
    op = im_store_add(batch, IM_T_COUNT, &key, "value", 1, 0,
                      NGX_MAX_INT32_VALUE);

    rc = im_store_commit(ctx, batch);
    if (rc != NGX_OK) {
        return rc;
    }

    *id = batch->ops[op].result;

    return NGX_OK;
}


static void
im_contact_group_put(im_ctx_t *ctx, im_batch_t *batch, ngx_str_t *user,
    ngx_str_t *name, int64_t id)
{
    im_doc_t  *doc;
    im_key_t   key;

    im_contact_group_key(ctx, user, name, &key);

    doc = im_doc(ctx->pool);
    im_doc_int(doc, "id", id);

    im_store_insert(batch, IM_T_CONTACT_GROUP, &key, doc);
}


static void
im_contact_group_key(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *name,
    im_key_t *key)
{
    im_key_init(key, ctx->app->id);
    im_key_str(key, user);
    im_key_str(key, name);
}


static ngx_uint_t
im_contact_group_exists(ngx_array_t *groups, int64_t id)
{
    ngx_uint_t           i;
    im_contact_group_t  *group;

    group = groups->elts;

    for (i = 0; i < groups->nelts; i++) {
        if (group[i].id == id) {
            return 1;
        }
    }

    return 0;
}


/* Adds or removes the number, and removes those of deleted groups. */

static ngx_int_t
im_contact_group_set(im_ctx_t *ctx, im_conv_t *conv, ngx_array_t *groups,
    int64_t id, int64_t opt)
{
    u_char     *p;
    int64_t     old;
    ngx_str_t   text;

    p = ngx_pnalloc(ctx->pool, conv->groups.len + NGX_INT64_LEN + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text = conv->groups;
    conv->groups.data = p;

    while (im_contact_group_next(&text, &old)) {
        if (old != id && im_contact_group_exists(groups, old)) {
            p = ngx_sprintf(p, "%L,", old);
        }
    }

    if (opt == IM_CONTACT_GROUP_ADD) {
        p = ngx_sprintf(p, "%L,", id);
    }

    conv->groups.len = p - conv->groups.data;

    return NGX_OK;
}


/* Takes the first number off the text. */

static ngx_uint_t
im_contact_group_next(ngx_str_t *text, int64_t *id)
{
    u_char     *p;
    ngx_str_t   number;

    p = ngx_strlchr(text->data, text->data + text->len, ',');
    if (p == NULL) {
        return 0;
    }

    number.data = text->data;
    number.len = p - text->data;

    text->len -= number.len + 1;
    text->data = p + 1;

    return im_str_int(&number, id) == NGX_OK;
}


static void
im_contact_group_json(im_json_t *item, int64_t id, ngx_str_t *name)
{
    im_json_add_int(item, "GroupId", id);
    im_json_add_str(item, "GroupName", name);
}


void
im_contact_groups_json(im_json_t *obj, ngx_array_t *groups)
{
    im_json_t           *list;
    ngx_uint_t           i;
    im_contact_group_t  *group;

    list = im_json_add_list(obj, "GroupItem");
    group = groups->elts;

    for (i = 0; i < groups->nelts; i++) {
        im_contact_group_json(im_json_push_obj(list), group[i].id,
                              &group[i].name);
    }
}


void
im_contact_groups_of_json(im_json_t *item, im_conv_t *conv,
    ngx_array_t *groups)
{
    int64_t     id;
    im_json_t  *list;
    ngx_str_t   text;

    list = im_json_add_list(item, "ContactGroupId");
    text = conv->groups;

    while (im_contact_group_next(&text, &id)) {
        if (im_contact_group_exists(groups, id)) {
            im_json_push_int(list, id);
        }
    }
}
