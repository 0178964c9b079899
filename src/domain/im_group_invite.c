
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_fault.h"
#include "core/im_str.h"
#include "domain/im_callback.h"
#include "domain/im_group_invite.h"
#include "domain/im_group_list.h"
#include "domain/im_group_notice.h"


#define IM_INVITE_TRIES  8


static im_code_t im_group_invite_ask(im_ctx_t *ctx, im_group_t *group,
    im_group_new_t *fresh, ngx_uint_t n, im_group_pend_kind_e kind);
static im_code_t im_group_invite_one(im_ctx_t *ctx, im_group_t *group,
    im_group_pend_t *pend, ngx_str_t *users, ngx_uint_t n);


ngx_uint_t
im_group_invite(im_group_t *group)
{
    if (group->type->live) {
        return IM_INVITE_DISABLE;
    }

    if (group->invite != IM_INVITE_TYPE) {
        return group->invite;
    }

    return (group->type->invite == IM_INVITE_NOBODY) ? IM_INVITE_DISABLE
                                                     : IM_INVITE_FREE;
}


im_code_t
im_group_invite_send(im_ctx_t *ctx, im_group_t *group, im_group_new_t *fresh,
    ngx_uint_t n, im_group_role_e role, ngx_uint_t silent)
{
    if (role != IM_GROUP_APP) {

        if (im_group_invite(group) == IM_INVITE_DISABLE) {
            return IM_E_GROUP_RIGHT;
        }

        if (im_group_invite(group) == IM_INVITE_PERMISSION
            && role < IM_GROUP_ADMIN)
        {
            return im_group_invite_ask(ctx, group, fresh, n, IM_PEND_PERMIT);
        }

        if (group->type->invite == IM_INVITE_CONSENT) {
            return im_group_invite_ask(ctx, group, fresh, n, IM_PEND_INVITE);
        }
    }

    return im_group_join(ctx, group, fresh, n, IM_JOIN_INVITED, silent, NULL,
                         NULL);
}


/* A commit for each of them: one has its own notices. */

static im_code_t
im_group_invite_ask(im_ctx_t *ctx, im_group_t *group, im_group_new_t *fresh,
    ngx_uint_t n, im_group_pend_kind_e kind)
{
    im_code_t            code;
    ngx_int_t            rc;
    ngx_str_t           *users;
    ngx_uint_t           i;
    ngx_array_t          admins;
    im_group_pend_t      pend;
    im_group_member_t   *members;

    if (im_group_member_count(ctx, group) >= group->max_member) {
        im_callback_group_full(ctx, group);
        return IM_E_GROUP_FULL;
    }

    users = ngx_palloc(ctx->pool, (n + 1) * sizeof(ngx_str_t));
    members = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_group_member_t));

    if (users == NULL || members == NULL
        || ngx_array_init(&admins, ctx->pool, 8, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    for (i = 0; i < n; i++) {
        users[i] = fresh[i].user;
    }

    rc = im_group_member_get_many(ctx, group, users, n, members);

    if (rc == NGX_OK && kind == IM_PEND_PERMIT) {
        rc = im_group_admins(ctx, group, &admins);
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    for (i = 0; i < n; i++) {

        if (fresh[i].result != IM_JOIN_ADDED) {
            continue;
        }

        if (members[i].version) {
            fresh[i].result = IM_JOIN_MEMBER;
            continue;
        }

        ngx_memzero(&pend, sizeof(im_group_pend_t));

        pend.kind = kind;
        pend.from = ctx->user;
        pend.to = fresh[i].user;

        if (kind == IM_PEND_INVITE) {
            code = im_group_invite_one(ctx, group, &pend, &pend.to, 1);

        } else {
            code = im_group_invite_one(ctx, group, &pend, admins.elts,
                                       admins.nelts);
        }

        if (code != IM_OK) {
            return code;
        }

        fresh[i].result = IM_JOIN_WAITS;

        im_co_yield();
    }

    return IM_OK;
}


/* users: who decides. */

static im_code_t
im_group_invite_one(im_ctx_t *ctx, im_group_t *group, im_group_pend_t *want,
    ngx_str_t *users, ngx_uint_t n)
{
    ngx_int_t            rc;
    ngx_uint_t           i, tries;
    im_batch_t          *batch;
    im_group_pend_t      pend;
    im_group_notice_t    notice;
    im_group_noticed_t  *noticed;

    noticed = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_group_noticed_t));

    if (noticed == NULL || im_group_pend_id(ctx, want) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    for (tries = 0; tries < IM_INVITE_TRIES; tries++) {

        rc = im_group_pend_get(ctx, group, &want->id, &pend);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        want->version = (rc == NGX_OK) ? pend.version : 0;

        if (im_group_pend_open(ctx, group, want) != NGX_OK) {
            return IM_E_GROUP_INTERNAL;
        }

        ngx_memzero(&notice, sizeof(im_group_notice_t));
        im_group_invite_notice(want, &notice);

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_group_expect(ctx, batch, group);
        im_group_pend_put(ctx, batch, group, want);

        for (i = 0; i < n; i++) {
            if (im_group_notice_add(ctx, batch, group, &users[i], &notice,
                                    &noticed[i])
                != NGX_OK)
            {
                return IM_E_GROUP_INTERNAL;
            }
        }

        rc = im_store_commit(ctx, batch);

        if (rc == NGX_OK) {
            im_fault("before_publish");
            im_group_notice_tell(ctx, batch, noticed, n);

            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }
    }

    return IM_E_GROUP_INTERNAL;
}


void
im_group_invite_notice(im_group_pend_t *pend, im_group_notice_t *notice)
{
    notice->report = (pend->kind == IM_PEND_INVITE) ? IM_REPORT_INVITE
                                                    : IM_REPORT_PERMIT;
    notice->text = pend->text;
    notice->data = pend->data;
    notice->auth = pend->auth;
    notice->key = pend->time;
    notice->invited = pend->to;
}
