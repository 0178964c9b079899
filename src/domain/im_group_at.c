
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_group_at.h"
#include "domain/im_group_direct.h"
#include "domain/im_group_list.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "domain/im_group_read.h"
#include "domain/im_group_row.h"
#include "domain/im_inbox.h"


#define IM_AT_GROUPS  500            /* that one answer looks into */


void
im_group_at_add(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_send_t *send, im_group_row_t *row, im_group_at_t *at)
{
    u_char           *p;
    int64_t           flag;
    im_key_t          key;
    ngx_str_t         user;
    im_json_t        *node;
    im_inbox_t        in;
    ngx_uint_t        i;
    im_group_role_e   role;

    im_json_each(node, send->at_list) {
        if (im_json_get_int(node, "GroupAtAllFlag", &flag) == NGX_OK
            && flag
            && row->to.len == 0)
        {
            at->all = 1;
        }
    }

    im_json_each(node, send->at_list) {

        if (at->n == IM_AT_USERS
            || im_json_get_str(node, "GroupAt_Account", &user) != NGX_OK
            || im_str_eq(&user, &send->from)
            || !im_group_direct_visible(row, &user)
            || im_group_role_of(ctx, group, &user, &role) != IM_OK
            || role == IM_GROUP_NOBODY)
        {
            continue;
        }

        for (i = 0; i < at->n; i++) {
            if (im_str_eq(&at->users[i], &user)) {
                break;
            }
        }

        p = ngx_pnalloc(ctx->pool, 2 * NGX_INT64_LEN + sizeof("@||"));

        if (i < at->n
            || p == NULL
            || im_group_at_event(ctx, group, row, 1, at->all,
                                 &at->events[at->n])
               != NGX_OK)
        {
            continue;
        }

        ngx_memzero(&in, sizeof(im_inbox_t));

        in.type = IM_INBOX_AT;
        in.kept = 1;
        in.peer = group->gid;
        in.cid = row->seq;
        in.mseq = row->cseq ? row->cseq : row->seq;
        in.rand = row->random;
        in.time = row->time;
        in.event = at->events[at->n];
        in.expire = row->expire;
        in.dk.data = p;
        in.dk.len = ngx_sprintf(p, "@|%L|%L", group->gno, row->seq) - p;

        at->users[at->n] = user;
        at->ops[at->n++] = im_inbox_append(ctx, batch, &user, &in);
    }

    if (at->all) {
        im_group_at_all_key(ctx, group, &key);
        im_store_max(batch, IM_T_COUNT, &key, "value", row->seq);
    }
}


ngx_int_t
im_group_at_event(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row, ngx_uint_t me, ngx_uint_t all, ngx_str_t *event)
{
    im_json_t  *root, *item;

    root = im_json_new_obj(ctx->pool);

    im_json_add_int(root, "Event", 12);
    item = im_json_push_obj(im_json_add_list(root, "GroupTips"));

    im_group_at_json(item, group, row, me, all);

    return im_json_render(ctx->pool, root, event);
}


void
im_group_at_json(im_json_t *item, im_group_t *group, im_group_row_t *row,
    ngx_uint_t me, ngx_uint_t all)
{
    im_json_t  *tip, *types;

    im_json_add_str(item, "From_Account", &row->from);
    im_json_add_str(item, "ToGroupId", &group->gid);
    im_json_add_int(item, "MsgRandom", row->random);
    im_json_add_int(item, "ClientSeq", row->cseq ? row->cseq : row->seq);
    im_json_add_int(item, "MsgSeq", row->seq);

    tip = im_json_add_obj(item, "GroupAtTips");

    im_json_add_str(tip, "GroupId", &group->gid);
    im_json_add_str(tip, "From_Account", &row->from);
    im_json_add_int(tip, "MsgSeq", row->seq);
    types = im_json_add_list(tip, "GroupAtType");

    if (me) {
        im_json_push_int(types, 1);
    }

    if (all) {
        im_json_push_int(types, 2);
    }
}


void
im_group_at_all_key(im_ctx_t *ctx, im_group_t *group, im_key_t *key)
{
    u_char     buf[NGX_INT64_LEN];
    ngx_str_t  kind, id;

    ngx_str_set(&kind, "at_all");

    id.data = buf;
    id.len = ngx_sprintf(buf, "%L", group->gno) - buf;

    im_key_init(key, ctx->app->id);
    im_key_str(key, &kind);
    im_key_str(key, &id);
}


ngx_int_t
im_group_at_all(im_ctx_t *ctx, ngx_str_t *user, im_json_t *list)
{
    int64_t             seq;
    im_key_t            key;
    im_row_t            r;
    im_code_t           code;
    ngx_int_t           rc;
    ngx_uint_t          i, n;
    im_group_t          group;
    ngx_array_t         joined;
    im_group_row_t      row;
    im_group_read_t     read;
    im_group_joined_t  *j;

    rc = im_group_joined(ctx, user, &joined);
    if (rc != NGX_OK) {
        return rc;
    }

    j = joined.elts;
    n = ngx_min(joined.nelts, IM_AT_GROUPS);

    for (i = 0; i < n; i++) {

        group.gno = j[i].gno;
        im_group_at_all_key(ctx, &group, &key);

        rc = im_store_get(ctx, IM_T_COUNT, &key, &r);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        seq = 0;
        (void) im_row_int(&r, "value", &seq);

        code = im_group_load_gno(ctx, j[i].gno, &group);

        if (code == IM_E_GROUP_NONE) {
            continue;
        }

        if (code != IM_OK) {
            return NGX_BUSY;
        }

        rc = im_group_read_get(ctx, &group, user, 1, &read);

        if (rc == NGX_OK && read.seq < seq) {
            rc = im_group_row_get(ctx, group.gno, seq, &row);

            if (rc == NGX_OK && !row.recalled) {
                im_group_at_json(im_json_push_obj(list), &group, &row, 0, 1);
            }
        }

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_OK;
}
