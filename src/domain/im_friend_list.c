
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_str.h"
#include "domain/im_app_field.h"
#include "domain/im_friend.h"
#include "domain/im_inbox.h"


#define IM_FRIEND_PAGE    1000
#define IM_FRIEND_OWNERS  200


typedef struct {
    im_record_t       *record;
    ngx_array_t       *rows;
    ngx_uint_t         skip;
    ngx_uint_t         limit;
    ngx_uint_t         seen;
    int64_t            added;        /* of the last row */
    int64_t            dir;
    ngx_str_t          peer;
} im_friend_scan_t;


static ngx_int_t im_friend_scan(im_ctx_t *ctx, im_table_e table,
    ngx_uint_t index, ngx_str_t *user, im_friend_scan_t *scan);
static ngx_int_t im_friend_scan_row(im_row_t *row, void *data);
static ngx_int_t im_friend_owner_row(im_row_t *row, void *data);
static void im_friend_tag(im_json_t *list, const char *tag,
    ngx_str_t *value);


static ngx_str_t  im_friend_std_tags[] = {
    ngx_string("Tag_SNS_IM_Remark"),
    ngx_string("Tag_SNS_IM_Group"),
    ngx_string("Tag_SNS_IM_AddSource"),
    ngx_string("Tag_SNS_IM_AddWording"),
    ngx_string("Tag_SNS_IM_AddTime"),
    ngx_null_string
};


ngx_int_t
im_friend_list(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t start,
    ngx_uint_t limit, ngx_array_t *friends)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    im_friend_t       *row;
    im_friend_scan_t   scan;

    scan.record = im_friend_record;
    scan.rows = friends;
    scan.skip = start;
    scan.limit = limit;

    rc = im_friend_scan(ctx, IM_T_FRIEND, IM_FRIEND_TIME, user, &scan);

    row = friends->elts;

    for (i = 0; i < friends->nelts; i++) {
        row[i].user = *user;
    }

    return rc;
}


ngx_int_t
im_black_list(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t start,
    ngx_uint_t limit, ngx_array_t *blacks)
{
    im_friend_scan_t  scan;

    scan.record = im_black_record;
    scan.rows = blacks;
    scan.skip = start;
    scan.limit = limit;

    return im_friend_scan(ctx, IM_T_BLACK, IM_BLACK_TIME, user, &scan);
}


ngx_int_t
im_pendency_list(im_ctx_t *ctx, ngx_str_t *user, int64_t from,
    ngx_array_t *requests)
{
    ngx_int_t          rc;
    ngx_uint_t         i, n;
    im_request_t      *row;
    im_friend_scan_t   scan;

    scan.record = im_request_record;
    scan.rows = requests;
    scan.skip = 0;
    scan.limit = NGX_MAX_INT_T_VALUE;

    rc = im_friend_scan(ctx, IM_T_FRIEND_REQ, IM_REQ_TIME, user, &scan);

    row = requests->elts;
    n = 0;

    for (i = 0; i < requests->nelts; i++) {
        if (row[i].added >= from) {
            row[n++] = row[i];
        }
    }

    requests->nelts = n;

    return rc;
}


/* Pages are positions, so what lies before them is passed over. */

static ngx_int_t
im_friend_scan(im_ctx_t *ctx, im_table_e table, ngx_uint_t index,
    ngx_str_t *user, im_friend_scan_t *scan)
{
    im_key_t     prefix, from;
    ngx_int_t    rc;
    ngx_uint_t   more;

    im_rel_key(ctx, user, &prefix);

    from = prefix;
    more = 0;

    for ( ;; ) {

        scan->seen = 0;

        rc = im_store_scan(ctx, table, index, &prefix, more ? &from : NULL,
                           NULL, IM_ASC, IM_FRIEND_PAGE, im_friend_scan_row,
                           scan);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }

        if (scan->seen < IM_FRIEND_PAGE
            || scan->rows->nelts >= scan->limit)
        {
            return NGX_OK;
        }

        /* the row that this call has ended with comes once more */

        from = prefix;
        im_key_int(&from, scan->added);

        if (table == IM_T_FRIEND_REQ) {
            im_key_int(&from, scan->dir);
        }

        im_key_str(&from, &scan->peer);

        scan->skip++;
        more = 1;
    }
}


static ngx_int_t
im_friend_scan_row(im_row_t *row, void *data)
{
    im_friend_scan_t  *scan = data;

    void  *p;

    scan->seen++;

    (void) im_row_int(row, "added", &scan->added);
    (void) im_row_int(row, "dir", &scan->dir);
    (void) im_row_str(row, "peer", &scan->peer);

    if (scan->skip) {
        scan->skip--;
        return NGX_OK;
    }

    if (scan->rows->nelts >= scan->limit) {
        return NGX_DONE;
    }

    p = ngx_array_push(scan->rows);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(p, scan->rows->size);
    im_record_load(row, scan->record, p);

    return NGX_OK;
}


ngx_int_t
im_friend_owners(im_ctx_t *ctx, ngx_str_t *user, im_friend_owner_pt fn,
    void *data)
{
    im_key_t      prefix, from;
    ngx_int_t     rc;
    ngx_str_t    *owner, last;
    ngx_uint_t    i;
    ngx_array_t   owners;

    im_rel_key(ctx, user, &prefix);
    ngx_str_null(&last);

    for ( ;; ) {

        if (ngx_array_init(&owners, ctx->pool, IM_FRIEND_OWNERS,
                           sizeof(ngx_str_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        from = prefix;

        if (last.len) {
            im_key_str(&from, &last);
        }

        rc = im_store_scan(ctx, IM_T_FRIEND, IM_FRIEND_PEER, &prefix,
                           last.len ? &from : NULL, NULL, IM_ASC,
                           IM_FRIEND_OWNERS, im_friend_owner_row, &owners);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }

        owner = owners.elts;

        for (i = 0; i < owners.nelts; i++) {

            if (i == 0 && last.len && im_str_eq(&owner[0], &last)) {
                continue;
            }

            rc = fn(ctx, &owner[i], data);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        if (owners.nelts < IM_FRIEND_OWNERS) {
            return NGX_OK;
        }

        last = owner[owners.nelts - 1];

        im_co_yield();
    }
}


static ngx_int_t
im_friend_owner_row(im_row_t *row, void *data)
{
    ngx_array_t  *owners = data;

    ngx_str_t  *owner;

    owner = ngx_array_push(owners);
    if (owner == NULL) {
        return NGX_ERROR;
    }

    return im_row_str(row, "user", owner);
}


im_rel_e
im_pendency_report(im_ctx_t *ctx, ngx_str_t *user, int64_t time)
{
    im_key_t     key;
    ngx_int_t    rc;
    im_json_t   *event, *mod;
    im_batch_t  *batch;

    im_rel_count_key(ctx, user, &key);

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_max(batch, IM_T_COUNT, &key, "reported", time);

    rc = im_store_commit(ctx, batch);
    if (rc != NGX_OK) {
        return im_rel_error(rc);
    }

    event = im_json_new_obj(ctx->pool);
    im_json_add_int(event, "Event", 7);

    mod = im_json_push_obj(im_json_add_list(event, "FriendListMod"));
    im_json_add_int(mod, "PushType", IM_NOTICE_READ);
    im_json_add_str(mod, "From_Account", user);
    im_json_add_int(mod, "ReportTime", time);

    return im_rel_error(im_inbox_event(ctx, user, ctx->inst, event));
}


void
im_friend_json(im_ctx_t *ctx, im_json_t *list, im_friend_t *row,
    im_friend_group_t *groups, ngx_uint_t ngroups, ngx_uint_t what)
{
    u_char     *p;
    ngx_str_t   tag;
    im_json_t  *custom, *node, *item, *names;

    if (what & IM_FRIEND_STD) {

        im_friend_tag(list, "Tag_SNS_IM_Remark", &row->remark);

        names = im_friend_group_names(ctx, &row->groups, groups, ngroups);

        if (names && names->n) {
            item = im_json_push_obj(list);
            im_json_add_cstr(item, "Tag", "Tag_SNS_IM_Group");
            im_json_add_node(item, "Value", names);
        }

        im_friend_tag(list, "Tag_SNS_IM_AddSource", &row->source);
        im_friend_tag(list, "Tag_SNS_IM_AddWording", &row->wording);

        item = im_json_push_obj(list);
        im_json_add_cstr(item, "Tag", "Tag_SNS_IM_AddTime");
        im_json_add_int(item, "Value", row->added);
    }

    if ((what & IM_FRIEND_CUSTOM)
        && row->custom.len
        && im_json_parse(ctx->pool, &row->custom, IM_JSON_DEPTH, &custom)
           == NGX_OK)
    {
        im_json_each(node, custom) {

            p = ngx_pnalloc(ctx->pool,
                            sizeof("Tag_SNS_Custom_") + node->key.len);
            if (p == NULL) {
                return;
            }

            tag.data = p;
            tag.len = ngx_sprintf(p, "Tag_SNS_Custom_%V", &node->key) - p;

            if (!im_friend_may_read(ctx, &tag)) {
                continue;
            }

            item = im_json_push_obj(list);
            im_json_add_str(item, "Tag", &tag);
            im_json_add_node(item, "Value", node);
        }
    }
}


static void
im_friend_tag(im_json_t *list, const char *tag, ngx_str_t *value)
{
    im_json_t  *item;

    if (value->len == 0) {
        return;
    }

    item = im_json_push_obj(list);
    im_json_add_cstr(item, "Tag", tag);
    im_json_add_str(item, "Value", value);
}


im_json_t *
im_friend_group_names(im_ctx_t *ctx, ngx_str_t *ids,
    im_friend_group_t *groups, ngx_uint_t ngroups)
{
    im_json_t   *names;
    ngx_uint_t   i;

    names = im_json_new_list(ctx->pool);

    for (i = 0; i < ngroups; i++) {
        if (im_rel_has_group(ids, groups[i].id)) {
            im_json_push_str(names, &groups[i].name);
        }
    }

    return names;
}


void
im_friend_tags_json(im_ctx_t *ctx, im_json_t *list, im_friend_t *row,
    im_friend_group_t *groups, ngx_uint_t ngroups, im_profile_t *profile,
    ngx_str_t *tags, ngx_uint_t n)
{
    ngx_str_t        tag;
    im_json_t       *all, *custom, *node, *item;
    ngx_uint_t       i;
    im_app_field_t  *field;

    all = im_json_new_list(ctx->pool);
    im_friend_json(ctx, all, row, groups, ngroups, IM_FRIEND_STD);

    custom = NULL;

    if (row->custom.len
        && im_json_parse(ctx->pool, &row->custom, IM_JSON_DEPTH, &custom)
           != NGX_OK)
    {
        custom = NULL;
    }

    for (i = 0; i < n; i++) {

        if (im_profile_is_tag(&tags[i])) {
            im_profile_tags_json(ctx, list, profile, &tags[i], 1);
            continue;
        }

        field = im_friend_field(ctx, &tags[i]);

        if (field) {
            node = im_json_get_key(custom, &field->name);

            if (node) {
                item = im_json_push_obj(list);
                im_json_add_str(item, "Tag", &tags[i]);
                im_json_add_node(item, "Value", node);
            }

            continue;
        }

        im_json_each(node, all) {
            if (im_json_get_str(node, "Tag", &tag) == NGX_OK
                && im_str_eq(&tag, &tags[i]))
            {
                im_json_push_node(list, node);
            }
        }
    }
}


im_app_field_t *
im_friend_field(im_ctx_t *ctx, ngx_str_t *tag)
{
    u_char       app[NGX_INT64_LEN + 1];
    size_t       len;
    ngx_str_t    rest;
    ngx_uint_t   named;

    len = sizeof("Tag_SNS_") - 1;

    if (tag->len <= len
        || ngx_memcmp(tag->data, "Tag_SNS_", len) != 0)
    {
        return NULL;
    }

    rest.data = tag->data + len;
    rest.len = tag->len - len;

    len = sizeof("Custom_") - 1;
    named = 0;

    if (rest.len > len && ngx_memcmp(rest.data, "Custom_", len) == 0) {
        rest.data += len;
        rest.len -= len;
        named = 1;
    }

    len = ngx_sprintf(app, "%ui_", ctx->app->id) - app;

    if (rest.len > len && ngx_memcmp(rest.data, app, len) == 0) {
        rest.data += len;
        rest.len -= len;
        named = 1;
    }

    return named ? im_app_field(ctx, IM_FIELDS_FRIEND, &rest) : NULL;
}


ngx_uint_t
im_friend_may_read(im_ctx_t *ctx, ngx_str_t *tag)
{
    ngx_str_t       *std;
    ngx_uint_t       right;
    im_app_field_t  *field;

    for (std = im_friend_std_tags; std->len; std++) {
        if (im_str_eq(std, tag)) {
            return 1;
        }
    }

    field = im_friend_field(ctx, tag);
    right = (ctx->role == IM_ROLE_ADMIN) ? IM_FIELD_ADMIN : IM_FIELD_USER;

    return field && (field->read & right);
}
