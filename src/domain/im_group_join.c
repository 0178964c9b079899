
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_cache.h"
#include "domain/im_callback.h"
#include "domain/im_group_join.h"
#include "domain/im_group_list.h"
#include "domain/im_group_mute.h"
#include "domain/im_group_notice.h"
#include "domain/im_group_quota.h"
#include "domain/im_group_read.h"
#include "domain/im_group_row.h"
#include "domain/im_group_tip.h"


#define IM_JOIN_TRIES  16


/* What the commit of a join is made of, and what came of it. */

typedef struct {
    im_group_join_e    how;
    im_group_notice_t *notice;       /* to those who join, or NULL */
    im_group_pend_t   *pend;         /* application that is answered */
    ngx_uint_t         type;         /* GroupJoinType of the tip, 0: none */

    ngx_uint_t         added;
    ngx_uint_t         again;        /* changed since it was read */
    ngx_uint_t         recount;      /* only how many members there are */
    ngx_uint_t         full;         /* the app is told of it by the commit */
    int64_t            total;        /* members then */
    im_group_tip_t     tip;
} im_group_joining_t;


static im_code_t im_group_join_commit(im_ctx_t *ctx, im_group_t *group,
    im_group_new_t *fresh, ngx_uint_t n, im_group_joining_t *j);
static ngx_int_t im_group_join_fills(im_ctx_t *ctx, im_group_t *group,
    im_group_joining_t *j, int64_t *min, int64_t *max);
static void im_group_join_tell(im_ctx_t *ctx, im_group_t *group,
    im_group_new_t *fresh, ngx_uint_t n, im_group_join_e how);


void
im_group_join_add(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_new_t *fresh, ngx_uint_t n, int64_t head)
{
    int64_t             seen;
    ngx_uint_t          i;
    im_group_member_t   m;

    for (i = 0; i < n; i++) {

        if (fresh[i].result != IM_JOIN_ADDED) {
            continue;
        }

        ngx_memzero(&m, sizeof(im_group_member_t));

        m.user = fresh[i].user;
        m.role = fresh[i].role;
        m.joined = fresh[i].joined ? fresh[i].joined : ngx_time();
        m.flag = group->type->msg_flag;
        m.custom = fresh[i].custom;

        /* who is imported has seen what was imported before him */

        seen = head;

        if (fresh[i].unread >= 0) {
            seen = head - ngx_min(fresh[i].unread, head);
            m.first = -1 - head;

        } else {
            m.first = head;
        }

        im_group_member_put(ctx, batch, group, &m);
        im_group_read_set(ctx, batch, group, &m.user, seen);

        fresh[i].quota = im_group_quota_join(ctx, batch, &m.user);
    }
}


ngx_uint_t
im_group_join_over(im_batch_t *batch, im_group_new_t *fresh, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (fresh[i].result == IM_JOIN_ADDED
            && fresh[i].quota == batch->failed)
        {
            break;
        }
    }

    return i;
}


im_code_t
im_group_join_check(im_ctx_t *ctx, im_group_t *group, im_group_new_t *fresh,
    ngx_uint_t n)
{
    u_char           *exists, *full;
    ngx_int_t         rc;
    ngx_str_t        *users;
    ngx_uint_t        i, k, found, over;
    im_group_mute_t  *bans;

    users = ngx_palloc(ctx->pool, (n + 1) * sizeof(ngx_str_t));
    bans = ngx_pcalloc(ctx->pool, (n + 1) * sizeof(im_group_mute_t));
    exists = ngx_pnalloc(ctx->pool, n + 1);
    full = ngx_pnalloc(ctx->pool, n + 1);

    if (users == NULL || bans == NULL || exists == NULL || full == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    for (i = 0; i < n; i++) {
        users[i] = fresh[i].user;
    }

    rc = im_account_exist(ctx, users, n, exists);

    if (rc == NGX_OK) {
        rc = im_group_quota_full(ctx, users, n, full);
    }

    if (rc == NGX_OK && group) {
        rc = im_group_mute_get_many(ctx, group, users, n, bans);
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    found = 0;
    over = 0;

    for (i = 0; i < n; i++) {

        fresh[i].result = IM_JOIN_ADDED;
        found += exists[i];

        if (!exists[i] || bans[i].banned > ngx_time()) {
            fresh[i].result = IM_JOIN_FAILED;

        } else if (full[i]) {
            fresh[i].result = IM_JOIN_OVER;
            over++;
        }

        /* one row for an account that is named twice */

        for (k = 0; exists[i] && k < i; k++) {
            if (im_str_eq(&fresh[k].user, &fresh[i].user)) {
                fresh[i].result = IM_JOIN_MEMBER;
                break;
            }
        }
    }

    if (found == 0) {
        return IM_E_GROUP_NO_ACCOUNT;
    }

    return (over == n) ? IM_E_GROUP_JOINED_QUOTA : IM_OK;
}


im_code_t
im_group_join(im_ctx_t *ctx, im_group_t *group, im_group_new_t *fresh,
    ngx_uint_t n, im_group_join_e how, ngx_uint_t silent,
    im_group_pend_t *pend, im_group_notice_t *notice)
{
    im_code_t            code;
    ngx_str_t            gid;
    ngx_uint_t           i, tries, *asked;
    im_group_notice_t    invited;
    im_group_joining_t   joining;

    gid = group->gid;

    if (how == IM_JOIN_INVITED && !silent) {
        ngx_memzero(&invited, sizeof(im_group_notice_t));
        invited.report = IM_REPORT_INVITED;

        notice = &invited;
    }

    ngx_memzero(&joining, sizeof(im_group_joining_t));

    joining.how = how;
    joining.notice = notice;
    joining.pend = pend;

    if (how != IM_JOIN_IMPORTED && !silent) {
        joining.type = (how == IM_JOIN_INVITED) ? 2 : 1;
    }

    asked = ngx_palloc(ctx->pool, (n + 1) * sizeof(ngx_uint_t));
    if (asked == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    for (i = 0; i < n; i++) {
        asked[i] = fresh[i].result;
    }

    for (tries = 0; tries < IM_JOIN_TRIES; tries++) {

        if (tries) {
            code = im_group_load_fresh(ctx, &gid, group);
            if (code != IM_OK) {
                return code;
            }

            for (i = 0; i < n; i++) {
                fresh[i].result = (fresh[i].result == IM_JOIN_OVER)
                                  ? IM_JOIN_OVER : asked[i];
            }
        }

        code = im_group_join_commit(ctx, group, fresh, n, &joining);

        if (!joining.again) {
            break;
        }

        if (pend && !joining.recount) {
            return IM_E_GROUP_HANDLED;
        }

        code = IM_E_GROUP_INTERNAL;
    }

    if (code == IM_E_GROUP_FULL && how != IM_JOIN_IMPORTED) {
        im_callback_group_full(ctx, group);
    }

    if (code != IM_OK || joining.added == 0) {
        return code;
    }

    for (i = 0; i < n; i++) {
        if (fresh[i].result == IM_JOIN_ADDED) {
            im_group_joined_hint(ctx, group->gno, &fresh[i].user, 1);
        }
    }

    if (how != IM_JOIN_IMPORTED && !joining.full
        && group->max_member && joining.total >= group->max_member)
    {
        im_callback_group_full(ctx, group);
    }

    im_group_tip_tell(ctx, group, &joining.tip);

    return IM_OK;
}


/*
 * Whether they fill the group is known after the commit only; if that is to
 * be in the commit, it is counted before, and bounds make sure of it.
 */

static ngx_int_t
im_group_join_fills(im_ctx_t *ctx, im_group_t *group, im_group_joining_t *j,
    int64_t *min, int64_t *max)
{
    int64_t    n;
    im_key_t   key;
    im_row_t   row;
    ngx_int_t  rc;

    j->full = 0;
    j->recount = 0;

    *min = 0;
    *max = group->max_member ? group->max_member : NGX_MAX_INT32_VALUE;

    if (group->max_member == 0
        || j->how == IM_JOIN_IMPORTED
        || !im_callback_kept(ctx->app)
        || !im_callback_wants(ctx->app, IM_CB_GROUP_FULL))
    {
        return NGX_OK;
    }

    n = 0;
    im_group_count_key(ctx, group, &key);

    rc = im_store_get(ctx, IM_T_COUNT, &key, &row);

    if (rc == NGX_OK) {
        (void) im_row_int(&row, "value", &n);

    } else if (rc != NGX_DECLINED) {
        return rc;
    }

    n += j->added;

    if (n == group->max_member) {
        *min = n;
        j->full = 1;
        j->recount = 1;

    } else if (n < group->max_member) {
        *max = group->max_member - 1;
        j->recount = 1;
    }

    return NGX_OK;
}


static void
im_group_join_tell(im_ctx_t *ctx, im_group_t *group, im_group_new_t *fresh,
    ngx_uint_t n, im_group_join_e how)
{
    ngx_str_t   *users;
    ngx_uint_t   i, k;

    if (how == IM_JOIN_IMPORTED) {
        return;
    }

    users = ngx_palloc(ctx->pool, (n + 1) * sizeof(ngx_str_t));
    if (users == NULL) {
        return;
    }

    k = 0;

    for (i = 0; i < n; i++) {
        if (fresh[i].result == IM_JOIN_ADDED) {
            users[k++] = fresh[i].user;
        }
    }

    im_callback_group_joined(ctx, group, (how == IM_JOIN_INVITED)
                                         ? "Invited" : "Apply",
                             users, k);
}


static im_code_t
im_group_join_commit(im_ctx_t *ctx, im_group_t *group, im_group_new_t *fresh,
    ngx_uint_t n, im_group_joining_t *j)
{
    int64_t              head, min, max;
    im_key_t             key;
    ngx_int_t            rc;
    ngx_str_t           *users;
    ngx_uint_t           i, k, count;
    im_batch_t          *batch;
    im_group_member_t   *members;
    im_group_noticed_t  *noticed;

    j->again = 0;
    j->added = 0;
    j->total = 0;
    j->tip.body = NULL;

    users = ngx_palloc(ctx->pool, (n + 1) * sizeof(ngx_str_t));
    members = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_group_member_t));
    noticed = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_group_noticed_t));

    if (users == NULL || members == NULL || noticed == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    for (i = 0; i < n; i++) {
        users[i] = fresh[i].user;
    }

    rc = im_group_member_get_many(ctx, group, users, n, members);

    if (rc == NGX_OK) {
        rc = im_group_head(ctx, group->gno, &head, NULL);
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    for (i = 0; i < n; i++) {
        if (fresh[i].result == IM_JOIN_ADDED && members[i].version) {
            fresh[i].result = IM_JOIN_MEMBER;
        }

        if (fresh[i].result == IM_JOIN_ADDED) {
            users[j->added++] = fresh[i].user;
        }
    }

    if (j->added == 0) {
        return IM_OK;
    }

    rc = im_group_join_fills(ctx, group, j, &min, &max);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    if (j->type) {
        im_group_tip_users(ctx, group, IM_TIP_JOIN, users, j->added, j->type,
                           &j->tip);
    }

    batch = im_store_batch(ctx, IM_ATOMIC);

    if (group->idle) {

        /* whoever activates the group sees that it has changed */

        im_group_put(ctx, batch, group);

    } else {
        im_group_expect(ctx, batch, group);
    }

    im_group_count_key(ctx, group, &key);
    count = im_store_add(batch, IM_T_COUNT, &key, "value", j->added, min,
                         max);

    im_group_join_add(ctx, batch, group, fresh, n, head);

    if (j->pend) {
        im_group_pend_put(ctx, batch, group, j->pend);
    }

    if (j->type && im_group_tip_add(ctx, batch, group, &j->tip) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    k = 0;

    for (i = 0; i < n && j->notice && !group->idle; i++) {
        if (fresh[i].result == IM_JOIN_ADDED
            && im_group_notice_add(ctx, batch, group, &fresh[i].user,
                                   j->notice, &noticed[k++])
               != NGX_OK)
        {
            return IM_E_GROUP_INTERNAL;
        }
    }

    im_callback_stage(ctx, batch);
    im_group_join_tell(ctx, group, fresh, n, j->how);

    if (j->full) {
        im_callback_group_full(ctx, group);
    }

    rc = im_cache_commit(ctx, batch);

    im_callback_committed(ctx, rc);

    if (rc == NGX_DECLINED) {

        if (batch->failed == count) {

            if (!j->recount) {
                return IM_E_GROUP_FULL;
            }

            j->again = 1;
            return IM_OK;
        }

        j->recount = 0;

        i = im_group_join_over(batch, fresh, n);

        if (i < n) {
            fresh[i].result = IM_JOIN_OVER;

            if (n == 1) {
                return IM_E_GROUP_JOINED_QUOTA;
            }
        }

        j->again = 1;
        return IM_OK;
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    im_fault("before_publish");

    j->total = batch->ops[count].result;

    im_group_notice_tell(ctx, batch, noticed, k);

    return IM_OK;
}


im_code_t
im_group_activate(im_ctx_t *ctx, im_group_t *group)
{
    im_key_t             last;
    ngx_int_t            rc;
    im_code_t            code;
    ngx_str_t            gid, *user;
    ngx_uint_t           i, n, tries;
    im_batch_t          *batch;
    ngx_array_t          users;
    im_members_walk_t    walk;
    im_group_notice_t    notice;
    im_group_noticed_t  *noticed;

    gid = group->gid;

    for (tries = 0; tries < IM_JOIN_TRIES; tries++) {

        code = im_group_load_fresh(ctx, &gid, group);

        if (code != IM_OK || !group->idle) {
            return code;
        }

        if (ngx_array_init(&users, ctx->pool, 16, sizeof(ngx_str_t))
            != NGX_OK)
        {
            return IM_E_GROUP_INTERNAL;
        }

        last.len = 0;

        walk.users = &users;
        walk.last = &last;
        walk.admins = 0;

        rc = im_group_members(ctx, group->gno, &walk, IM_GROUP_ACCOUNTS);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        noticed = ngx_palloc(ctx->pool, (users.nelts + 1)
                                        * sizeof(im_group_noticed_t));
        if (noticed == NULL) {
            return IM_E_GROUP_INTERNAL;
        }

        group->idle = 0;

        ngx_memzero(&notice, sizeof(im_group_notice_t));
        notice.report = IM_REPORT_INVITED;
        notice.from = group->owner;

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_group_put(ctx, batch, group);

        user = users.elts;
        n = 0;

        for (i = 0; i < users.nelts; i++) {
            if (!im_str_eq(&user[i], &group->owner)
                && im_group_notice_add(ctx, batch, group, &user[i], &notice,
                                       &noticed[n++])
                   != NGX_OK)
            {
                return IM_E_GROUP_INTERNAL;
            }
        }

        rc = im_cache_commit(ctx, batch);

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
