
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_contact.h"
#include "domain/im_group_member.h"
#include "domain/im_group_read.h"


/* PushType of web-v2.md 4.7 */

#define IM_CONTACT_DELETED   1
#define IM_CONTACT_TOP       2
#define IM_CONTACT_UNTOP     3
#define IM_CONTACT_MARKED    4

#define IM_CONTACT_STANDARD  1       /* OptType */
#define IM_CONTACT_OWN       2


static ngx_int_t im_contact_found(im_row_t *row, void *data);
static ngx_int_t im_contact_group_head(im_ctx_t *ctx, im_conv_t *conv,
    int64_t *head);
static void im_contact_read(im_ctx_t *ctx, im_batch_t *batch,
    ngx_str_t *user, im_conv_t *conv, int64_t head);
static ngx_int_t im_contact_rows_type(im_ctx_t *ctx, ngx_str_t *user,
    int64_t type, im_contact_id_t *ids, ngx_uint_t n,
    im_contact_rows_t *rows);
static ngx_int_t im_contact_member(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *gid);
static void im_contact_list_json(im_json_t *mod, const char *name,
    im_contact_rows_t *rows);


im_code_t
im_contact_check(im_ctx_t *ctx, im_contact_id_t *ids, ngx_uint_t n)
{
    u_char      *exists;
    ngx_int_t    rc;
    ngx_str_t   *users;
    ngx_uint_t   i;
    im_group_t   group;

    users = ngx_palloc(ctx->pool, n * sizeof(ngx_str_t));
    exists = ngx_pnalloc(ctx->pool, n);

    if (users == NULL || exists == NULL) {
        return IM_E_CONTACT_INTERNAL;
    }

    for (i = 0; i < n; i++) {
        users[i] = ids[i].peer;
    }

    rc = im_account_exist(ctx, users, n, exists);
    if (rc != NGX_OK) {
        return im_contact_code(rc);
    }

    for (i = 0; i < n; i++) {

        if (ids[i].type == IM_CONV_GROUP) {

            ids[i].code = im_group_load(ctx, &ids[i].peer, &group);

            if (ids[i].code == IM_OK && group.type->live) {
                ids[i].code = IM_E_GROUP_NONE;
            }

        } else {
            ids[i].code = exists[i] ? IM_OK : IM_E_CONTACT_ACCOUNT;
        }
    }

    return IM_OK;
}


im_code_t
im_contact_check_old(im_ctx_t *ctx, ngx_str_t *user, im_contact_id_t *ids,
    ngx_uint_t n)
{
    im_key_t     prefix;
    ngx_int_t    rc;
    im_code_t    code;
    ngx_uint_t   i, found;

    code = im_contact_check(ctx, ids, n);
    if (code != IM_OK) {
        return code;
    }

    for (i = 0; i < n; i++) {

        if (ids[i].code == IM_OK) {
            continue;
        }

        found = 0;

        if (ids[i].type == IM_CONV_C2C) {

            im_inbox_key(ctx, user, &prefix);
            im_key_str(&prefix, &ids[i].peer);

            rc = im_store_scan(ctx, IM_T_INBOX, IM_INBOX_HIST, &prefix, NULL,
                               NULL, IM_DESC, 1, im_contact_found, &found);

            if (rc != NGX_OK && rc != NGX_DECLINED) {
                return im_contact_code(rc);
            }
        }

        ids[i].code = found ? IM_OK : NGX_DECLINED;
    }

    return IM_OK;
}


static ngx_int_t
im_contact_found(im_row_t *row, void *data)
{
    ngx_uint_t  *found = data;

    *found = 1;

    return NGX_DONE;
}


im_code_t
im_contact_delete(im_ctx_t *ctx, ngx_str_t *user, im_contact_id_t *ids,
    ngx_uint_t n, ngx_uint_t clear)
{
    int64_t             head, inbox;
    ngx_int_t           rc;
    im_json_t          *event, *mod;
    im_conv_t          *conv;
    ngx_uint_t          i, tries;
    im_batch_t         *batch;
    im_contact_rows_t   rows;

    for (tries = 0; tries < IM_CONTACT_TRIES; tries++) {

        rc = im_inbox_head(ctx, user, &head);

        if (rc == NGX_OK) {
            rc = im_contact_rows(ctx, user, ids, n, &rows);
        }

        if (rc != NGX_OK) {
            return im_contact_code(rc);
        }

        if (rows.n == 0) {
            return IM_OK;
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        inbox = head;

        for (i = 0; i < rows.n; i++) {
            conv = &rows.convs[i];

            head = inbox;

            rc = im_contact_group_head(ctx, conv, &head);
            if (rc != NGX_OK) {
                return im_contact_code(rc);
            }

            conv->deleted = head;

            if (clear) {
                conv->cleared = head;
            }

            /* what it was set to goes with it */

            conv->pinned = 0;
            conv->marks = 0;
            ngx_str_null(&conv->custom);
            ngx_str_null(&conv->groups);

            im_contact_read(ctx, batch, user, conv, head);
        }

        event = im_contact_event(ctx, IM_CONTACT_DELETED, &mod);
        im_contact_list_json(mod, "RecentContactDeleteItem", &rows);

        rc = im_contact_commit(ctx, user, batch, &rows, event);

        if (rc != NGX_DECLINED) {
            return im_contact_code(rc);
        }
    }

    return IM_E_CONTACT_TIMEOUT;
}


/* Conversations of groups are cleared up to a number of the group. */

static ngx_int_t
im_contact_group_head(im_ctx_t *ctx, im_conv_t *conv, int64_t *head)
{
    im_group_t  group;

    if (conv->type != IM_CONV_GROUP) {
        return NGX_OK;
    }

    if (im_group_load(ctx, &conv->peer, &group) != IM_OK) {
        *head = 0;
        return NGX_OK;
    }

    return im_group_head(ctx, group.gno, head, NULL);
}


/* Nothing of it is unread when the next message makes it appear again. */

static void
im_contact_read(im_ctx_t *ctx, im_batch_t *batch, ngx_str_t *user,
    im_conv_t *conv, int64_t head)
{
    im_key_t    key;
    im_group_t  group;

    if (conv->type == IM_CONV_GROUP) {

        if (im_group_load(ctx, &conv->peer, &group) == IM_OK) {
            im_group_read_max(ctx, batch, &group, user, head, 0);
        }

        return;
    }

    im_key_init(&key, ctx->app->id);
    im_key_str(&key, user);
    im_key_int(&key, conv->type);
    im_key_str(&key, &conv->peer);

    im_store_max(batch, IM_T_READ, &key, "time", ngx_time());
    im_store_max(batch, IM_T_READ, &key, "seq", head);
}


im_code_t
im_contact_pin(im_ctx_t *ctx, ngx_str_t *user, im_contact_id_t *ids,
    ngx_uint_t n, ngx_uint_t pin)
{
    ngx_int_t           rc;
    im_json_t          *event, *mod;
    im_conv_t          *conv;
    ngx_uint_t          i, tries;
    im_contact_rows_t   rows;

    for (tries = 0; tries < IM_CONTACT_TRIES; tries++) {

        rc = im_contact_rows(ctx, user, ids, n, &rows);
        if (rc != NGX_OK) {
            return im_contact_code(rc);
        }

        if (rows.n == 0) {
            return IM_OK;
        }

        for (i = 0; i < rows.n; i++) {
            conv = &rows.convs[i];

            if (!pin) {
                conv->pinned = 0;

            } else if (conv->pinned == 0) {
                conv->pinned = ngx_time();
            }
        }

        event = im_contact_event(ctx, pin ? IM_CONTACT_TOP
                                          : IM_CONTACT_UNTOP, &mod);
        im_contact_list_json(mod, "RecentContactTopItem", &rows);

        rc = im_contact_commit(ctx, user, im_store_batch(ctx, IM_ATOMIC),
                               &rows, event);

        if (rc != NGX_DECLINED) {
            return im_contact_code(rc);
        }
    }

    return IM_E_CONTACT_TIMEOUT;
}


im_code_t
im_contact_clear(im_ctx_t *ctx, ngx_str_t *user, im_contact_id_t *id)
{
    int64_t             head;
    ngx_int_t           rc;
    ngx_uint_t          tries;
    im_contact_rows_t   rows;

    for (tries = 0; tries < IM_CONTACT_TRIES; tries++) {

        rc = im_inbox_head(ctx, user, &head);

        if (rc == NGX_OK) {
            rc = im_contact_rows(ctx, user, id, 1, &rows);
        }

        if (rc != NGX_OK) {
            return im_contact_code(rc);
        }

        if (rows.n == 0) {
            return IM_OK;
        }

        rc = im_contact_group_head(ctx, &rows.convs[0], &head);
        if (rc != NGX_OK) {
            return im_contact_code(rc);
        }

        rows.convs[0].cleared = head;

        rc = im_contact_commit(ctx, user, im_store_batch(ctx, IM_ATOMIC),
                               &rows, NULL);

        if (rc != NGX_DECLINED) {
            return im_contact_code(rc);
        }
    }

    return IM_E_CONTACT_TIMEOUT;
}


im_code_t
im_contact_mark(im_ctx_t *ctx, ngx_str_t *user, im_contact_id_t *ids,
    im_contact_mark_t *marks, ngx_uint_t n)
{
    uint64_t            bits;
    ngx_int_t           rc;
    im_json_t          *event, *mod, *list, *item;
    im_conv_t          *conv;
    ngx_uint_t          i, tries;
    im_contact_rows_t   rows;

    for (tries = 0; tries < IM_CONTACT_TRIES; tries++) {

        rc = im_contact_rows(ctx, user, ids, n, &rows);
        if (rc != NGX_OK) {
            return im_contact_code(rc);
        }

        if (rows.n == 0) {
            return IM_OK;
        }

        event = im_contact_event(ctx, IM_CONTACT_MARKED, &mod);
        list = im_json_add_list(im_json_add_obj(mod,
                                                "RecentContactMarkContact"),
                                "RecentContactMarkContactItem");

        for (i = 0; i < n; i++) {

            conv = rows.of[i];

            if (conv == NULL) {
                continue;
            }

            item = im_json_push_obj(list);

            im_contact_json(im_json_add_obj(item, "RecentContactItem"),
                            conv->type, &conv->peer, "UserId", "GroupId");

            if (marks[i].custom.data) {
                conv->custom = marks[i].custom;

                im_json_add_int(item, "OptType", IM_CONTACT_OWN);
                im_json_add_str(item, "CustomMark", &conv->custom);
                continue;
            }

            bits = (uint64_t) conv->marks;
            bits |= marks[i].set;
            bits &= ~marks[i].clear;
            conv->marks = (int64_t) bits;

            im_json_add_int(item, "OptType", IM_CONTACT_STANDARD);
            im_contact_mark_json(ctx, item, conv->marks);
        }

        rc = im_contact_commit(ctx, user, im_store_batch(ctx, IM_ATOMIC),
                               &rows, event);

        if (rc != NGX_DECLINED) {
            return im_contact_code(rc);
        }
    }

    return IM_E_CONTACT_TIMEOUT;
}


ngx_int_t
im_contact_rows(im_ctx_t *ctx, ngx_str_t *user, im_contact_id_t *ids,
    ngx_uint_t n, im_contact_rows_t *rows)
{
    ngx_int_t  rc;

    rows->convs = ngx_palloc(ctx->pool, n * sizeof(im_conv_t));
    rows->of = ngx_pcalloc(ctx->pool, n * sizeof(im_conv_t *));

    if (rows->convs == NULL || rows->of == NULL) {
        return NGX_ERROR;
    }

    rows->n = 0;

    rc = im_contact_rows_type(ctx, user, IM_CONV_C2C, ids, n, rows);

    if (rc == NGX_OK) {
        rc = im_contact_rows_type(ctx, user, IM_CONV_GROUP, ids, n, rows);
    }

    return rc;
}


static ngx_int_t
im_contact_rows_type(im_ctx_t *ctx, ngx_str_t *user, int64_t type,
    im_contact_id_t *ids, ngx_uint_t n, im_contact_rows_t *rows)
{
    ngx_int_t    rc;
    ngx_str_t   *peers;
    im_conv_t   *convs;
    ngx_uint_t   i, k, m;

    peers = ngx_palloc(ctx->pool, n * sizeof(ngx_str_t));
    if (peers == NULL) {
        return NGX_ERROR;
    }

    convs = &rows->convs[rows->n];
    m = 0;

    for (i = 0; i < n; i++) {

        if (ids[i].code != IM_OK || ids[i].type != type) {
            continue;
        }

        for (k = 0; k < m; k++) {
            if (im_str_eq(&peers[k], &ids[i].peer)) {
                break;
            }
        }

        if (k == m) {

            if (type == IM_CONV_GROUP) {
                rc = im_contact_member(ctx, user, &ids[i].peer);

                if (rc == NGX_DECLINED) {
                    continue;
                }

                if (rc != NGX_OK) {
                    return rc;
                }
            }

            peers[m++] = ids[i].peer;
        }

        rows->of[i] = &convs[k];
    }

    rows->n += m;

    return im_conv_get_many(ctx, user, type, peers, m, convs);
}


/* What is set for a group goes when its member leaves: nobody else has it. */

static ngx_int_t
im_contact_member(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *gid)
{
    im_code_t           code;
    im_group_t          group;
    im_group_member_t   m;

    code = im_group_load(ctx, gid, &group);

    if (code != IM_OK) {
        return (code == IM_E_GROUP_NONE) ? NGX_DECLINED : NGX_ERROR;
    }

    return im_group_member_get(ctx, &group, user, &m);
}


ngx_int_t
im_contact_commit(im_ctx_t *ctx, ngx_str_t *user, im_batch_t *batch,
    im_contact_rows_t *rows, im_json_t *event)
{
    ngx_int_t    rc;
    ngx_uint_t   i, op;
    im_inbox_t   row;

    if (rows) {
        for (i = 0; i < rows->n; i++) {
            im_conv_put(ctx, batch, user, &rows->convs[i]);
        }
    }

    if (event == NULL) {
        return im_store_commit(ctx, batch);
    }

    ngx_memzero(&row, sizeof(im_inbox_t));

    row.type = IM_INBOX_EVENT;
    row.inst = ctx->inst;

    if (im_json_render(ctx->pool, event, &row.event) != NGX_OK) {
        return NGX_ERROR;
    }

    op = im_inbox_append(ctx, batch, user, &row);

    rc = im_store_commit(ctx, batch);
    if (rc != NGX_OK) {
        return rc;
    }

    im_inbox_publish(ctx, user, batch->ops[op].result, ctx->inst, &row.event);

    return NGX_OK;
}


im_json_t *
im_contact_event(im_ctx_t *ctx, int64_t type, im_json_t **mod)
{
    im_json_t  *event;

    event = im_json_new_obj(ctx->pool);

    im_json_add_int(event, "Event", 11);

    *mod = im_json_push_obj(im_json_add_list(event, "RecentContactMod"));

    im_json_add_int(*mod, "PushType", type);

    return event;
}


im_code_t
im_contact_code(ngx_int_t rc)
{
    switch (rc) {

    case NGX_OK:
        return IM_OK;

    case NGX_BUSY:
        return IM_E_CONTACT_TIMEOUT;

    default:
        return IM_E_CONTACT_INTERNAL;
    }
}


static void
im_contact_list_json(im_json_t *mod, const char *name,
    im_contact_rows_t *rows)
{
    im_json_t   *list;
    ngx_uint_t   i;

    list = im_json_add_list(im_json_add_obj(mod, name), "RecentContactList");

    for (i = 0; i < rows->n; i++) {
        im_contact_json(im_json_push_obj(list), rows->convs[i].type,
                        &rows->convs[i].peer, "UserId", "GroupId");
    }
}


void
im_contact_json(im_json_t *item, int64_t type, ngx_str_t *peer,
    const char *account, const char *group)
{
    im_json_add_int(item, "Type", type);
    im_json_add_str(item, (type == IM_CONV_C2C) ? account : group, peer);
}


void
im_contact_mark_json(im_ctx_t *ctx, im_json_t *item, int64_t marks)
{
    u_char      *p;
    uint64_t     bits;
    ngx_str_t    text;
    ngx_uint_t   i;

    bits = (uint64_t) marks;

    for (i = IM_CONTACT_MARKS; i > 1; i--) {
        if (bits >> (i - 1) & 1) {
            break;
        }
    }

    text.len = i;
    text.data = ngx_pnalloc(ctx->pool, i);

    if (text.data == NULL) {
        (void) im_json_add_node(item, "StandardMark", NULL);
        return;
    }

    for (p = text.data; i > 0; i--) {
        *p++ = (bits >> (i - 1) & 1) ? '1' : '0';
    }

    im_json_add_str(item, "StandardMark", &text);
}
