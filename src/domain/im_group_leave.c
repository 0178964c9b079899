
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "core/im_str.h"
#include "domain/im_cache.h"
#include "domain/im_callback.h"
#include "domain/im_group_leave.h"
#include "domain/im_group_notice.h"
#include "domain/im_group_quota.h"
#include "domain/im_group_read.h"
#include "domain/im_group_tip.h"


#define IM_LEAVE_TRIES  16


/* What the commit of a leave is made of, and what came of it. */

typedef struct {
    im_group_leave_e   how;
    ngx_uint_t         silent;
    ngx_str_t         *why;

    int64_t            left;         /* members that stay */
    im_group_tip_t     tip;
} im_group_leaving_t;


static void im_group_leave_tell(im_ctx_t *ctx, im_group_t *group,
    im_group_member_t *members, ngx_uint_t n, im_group_leave_e how);
static im_code_t im_group_leave_commit(im_ctx_t *ctx, im_group_t *group,
    im_group_member_t *members, ngx_uint_t n, im_group_leaving_t *l);


im_code_t
im_group_leave(im_ctx_t *ctx, im_group_t *group, ngx_str_t *users,
    ngx_uint_t n, im_group_leave_e how, ngx_uint_t silent, ngx_str_t *why)
{
    im_code_t            code;
    ngx_int_t            rc;
    ngx_str_t            gid, owner;
    ngx_uint_t           i, k, m, tries;
    im_group_member_t   *members;
    im_group_notice_t    notice;
    im_group_leaving_t   leaving;

    gid = group->gid;
    k = 0;

    ngx_str_null(&owner);

    leaving.how = how;
    leaving.silent = silent;
    leaving.why = why;

    members = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_group_member_t));
    if (members == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    for (tries = 0; tries < IM_LEAVE_TRIES; tries++) {

        code = im_group_load_fresh(ctx, &gid, group);
        if (code != IM_OK) {
            return code;
        }

        owner = group->owner;

        rc = im_group_member_get_many(ctx, group, users, n, members);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        k = 0;

        for (i = 0; i < n; i++) {

            if (members[i].version == 0) {
                continue;
            }

            if (members[i].role == IM_GROUP_OWNER
                && !group->type->owner_may_quit
                && how != IM_LEAVE_DELETED)
            {
                return (how == IM_LEAVE_QUIT) ? IM_E_GROUP_OWNER_QUIT
                                              : IM_E_GROUP_RIGHT;
            }

            for (m = 0; m < k; m++) {
                if (im_str_eq(&members[m].user, &members[i].user)) {
                    break;
                }
            }

            if (m == k) {
                members[k++] = members[i];
            }
        }

        if (k == 0) {
            if (how == IM_LEAVE_QUIT) {
                ngx_str_set(&ctx->info, "not a member");
                return IM_E_GROUP_RIGHT;
            }

            return IM_OK;
        }

        code = im_group_leave_commit(ctx, group, members, k, &leaving);

        if (code != IM_E_GROUP_HANDLED) {
            break;
        }

        code = IM_E_GROUP_INTERNAL;
    }

    if (code != IM_OK) {
        return code;
    }

    for (i = 0; i < k; i++) {
        users[i] = members[i].user;
        im_group_joined_hint(ctx, group->gno, &users[i], 0);
    }

    if (how == IM_LEAVE_QUIT) {
        ngx_memzero(&notice, sizeof(im_group_notice_t));
        notice.report = IM_REPORT_QUIT;

        im_group_notice_hint(ctx, group, &users[0], &notice, ctx->inst);
    }

    if (leaving.left == 0) {
        group->owner = owner;            /* the app is told who it was */

        return im_group_destroy(ctx, group);
    }

    im_group_tip_tell(ctx, group, &leaving.tip);

    return IM_OK;
}


static void
im_group_leave_tell(im_ctx_t *ctx, im_group_t *group,
    im_group_member_t *members, ngx_uint_t n, im_group_leave_e how)
{
    ngx_str_t   *users;
    ngx_uint_t   i;

    users = ngx_palloc(ctx->pool, (n + 1) * sizeof(ngx_str_t));
    if (users == NULL) {
        return;
    }

    for (i = 0; i < n; i++) {
        users[i] = members[i].user;
    }

    im_callback_group_exited(ctx, group, (how == IM_LEAVE_KICKED) ? "Kicked"
                                                                  : "Quit",
                             users, n);
}


/* IM_E_GROUP_HANDLED: something has changed since it was read. */

static im_code_t
im_group_leave_commit(im_ctx_t *ctx, im_group_t *group,
    im_group_member_t *members, ngx_uint_t n, im_group_leaving_t *l)
{
    im_key_t             key;
    ngx_int_t            rc;
    ngx_str_t           *users;
    ngx_uint_t           i, k, count;
    im_batch_t          *batch;
    im_group_notice_t    notice;
    im_group_noticed_t  *noticed;

    l->tip.body = NULL;

    users = ngx_palloc(ctx->pool, n * sizeof(ngx_str_t));
    noticed = ngx_palloc(ctx->pool, n * sizeof(im_group_noticed_t));

    if (users == NULL || noticed == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    for (i = 0; i < n; i++) {
        users[i] = members[i].user;
    }

    if (!l->silent) {
        im_group_tip_users(ctx, group, (l->how == IM_LEAVE_KICKED)
                                       ? IM_TIP_KICK : IM_TIP_QUIT,
                           users, n, 0, &l->tip);
    }

    batch = im_store_batch(ctx, IM_ATOMIC);

    k = 0;

    for (i = 0; i < n; i++) {
        if (members[i].role == IM_GROUP_OWNER) {
            ngx_str_null(&group->owner);
            group->info_seq++;
            group->info_time = ngx_time();
            k = 1;
        }
    }

    if (k || group->idle) {
        im_group_put(ctx, batch, group);

    } else {
        im_group_expect(ctx, batch, group);
    }

    im_group_count_key(ctx, group, &key);
    count = im_store_add(batch, IM_T_COUNT, &key, "value", -(int64_t) n, 0,
                         NGX_MAX_INT32_VALUE);

    ngx_memzero(&notice, sizeof(im_group_notice_t));
    notice.report = IM_REPORT_KICKED;

    if (l->why) {
        notice.text = *l->why;
    }

    k = 0;

    for (i = 0; i < n; i++) {

        im_group_member_key(ctx, group, &members[i].user, &key);
        im_store_expect(batch, IM_T_MEMBER, &key, members[i].version);
        im_store_delete(batch, IM_T_MEMBER, &key);

        im_group_read_delete(ctx, batch, group, &members[i].user);
        im_group_quota_leave(ctx, batch, &members[i].user);

        if (l->how == IM_LEAVE_KICKED
            && !group->idle
            && im_group_notice_add(ctx, batch, group, &members[i].user,
                                   &notice, &noticed[k++])
               != NGX_OK)
        {
            return IM_E_GROUP_INTERNAL;
        }
    }

    if (!l->silent && im_group_tip_add(ctx, batch, group, &l->tip) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    im_callback_stage(ctx, batch);
    im_group_leave_tell(ctx, group, members, n, l->how);

    rc = im_cache_commit(ctx, batch);

    im_callback_committed(ctx, rc);

    if (rc == NGX_DECLINED) {
        return IM_E_GROUP_HANDLED;
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    im_fault("before_publish");

    im_group_notice_tell(ctx, batch, noticed, k);

    l->left = batch->ops[count].result;

    return IM_OK;
}
