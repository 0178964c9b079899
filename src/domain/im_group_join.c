
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_fault.h"
#include "core/im_str.h"
#include "live/im_room.h"
#include "domain/im_account.h"
#include "domain/im_cache.h"
#include "domain/im_callback.h"
#include "domain/im_group_custom.h"
#include "domain/im_group_join.h"
#include "domain/im_group_mute.h"
#include "domain/im_group_quota.h"
#include "domain/im_group_read.h"
#include "domain/im_group_row.h"
#include "domain/im_inbox.h"


#define IM_JOIN_TRIES   16
#define IM_JOIN_PAGE    500
#define IM_ADMINS_MAX   200


/* What the commit of a join is made of, and what came of it. */

typedef struct {
    im_group_join_e    how;
    im_group_notice_t *notice;       /* to those who join, or NULL */
    im_group_pend_t   *pend;         /* application that is answered */
    ngx_uint_t         type;         /* GroupJoinType of the tip, 0: none */

    ngx_uint_t         added;
    ngx_uint_t         again;        /* changed since it was read */
    int64_t            total;        /* members then */
    im_group_tip_t     tip;
} im_group_joining_t;


/* The same of those who leave. */

typedef struct {
    im_group_leave_e   how;
    ngx_uint_t         silent;
    ngx_str_t         *why;

    int64_t            left;         /* members that stay */
    im_group_tip_t     tip;
} im_group_leaving_t;


static im_code_t im_group_join_commit(im_ctx_t *ctx, im_group_t *group,
    im_group_new_t *fresh, ngx_uint_t n, im_group_joining_t *j);
static void im_group_join_tell(im_ctx_t *ctx, im_group_t *group,
    im_group_new_t *fresh, ngx_uint_t n, im_group_join_e how);
static void im_group_leave_tell(im_ctx_t *ctx, im_group_t *group,
    im_group_member_t *members, ngx_uint_t n, im_group_leave_e how);
static im_code_t im_group_leave_commit(im_ctx_t *ctx, im_group_t *group,
    im_group_member_t *members, ngx_uint_t n, im_group_leaving_t *l);
static ngx_int_t im_group_joined_row(im_row_t *row, void *data);
static ngx_int_t im_group_members_row(im_row_t *row, void *data);


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
    ngx_str_t            gid, *users;
    ngx_uint_t           i, k, tries, *asked;
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
    users = ngx_palloc(ctx->pool, (n + 1) * sizeof(ngx_str_t));

    if (asked == NULL || users == NULL) {
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

        if (pend) {
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

    k = 0;

    for (i = 0; i < n; i++) {
        if (fresh[i].result == IM_JOIN_ADDED) {
            users[k++] = fresh[i].user;
            im_group_joined_hint(ctx, group->gno, &fresh[i].user, 1);
        }
    }

    im_group_join_tell(ctx, group, fresh, n, how);

    if (how != IM_JOIN_IMPORTED
        && group->max_member && joining.total >= group->max_member)
    {
        im_callback_group_full(ctx, group);
    }

    im_group_tip_tell(ctx, group, &joining.tip);

    return IM_OK;
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
    int64_t              head;
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
    count = im_store_add(batch, IM_T_COUNT, &key, "value", j->added, 0,
                         group->max_member ? group->max_member
                                           : NGX_MAX_INT32_VALUE);

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

    if (im_callback_stage(ctx, batch)) {
        im_group_join_tell(ctx, group, fresh, n, j->how);
        im_callback_staged(ctx);
    }

    rc = im_cache_commit(ctx, batch);

    if (rc != NGX_OK) {
        im_callback_unstaged(ctx);
    }

    if (rc == NGX_DECLINED) {

        if (batch->failed == count) {
            return IM_E_GROUP_FULL;
        }

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
im_group_leave(im_ctx_t *ctx, im_group_t *group, ngx_str_t *users,
    ngx_uint_t n, im_group_leave_e how, ngx_uint_t silent, ngx_str_t *why)
{
    im_code_t            code;
    ngx_int_t            rc;
    ngx_str_t            gid;
    ngx_uint_t           i, k, m, tries;
    im_group_member_t   *members;
    im_group_notice_t    notice;
    im_group_leaving_t   leaving;

    gid = group->gid;
    k = 0;

    leaving.how = how;
    leaving.silent = silent;
    leaving.why = why;

    members = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_group_member_t));
    if (members == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    for (tries = 0; tries < IM_JOIN_TRIES; tries++) {

        code = im_group_load_fresh(ctx, &gid, group);
        if (code != IM_OK) {
            return code;
        }

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

    im_group_leave_tell(ctx, group, members, k, how);

    if (leaving.left == 0) {
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

    if (im_callback_stage(ctx, batch)) {
        im_group_leave_tell(ctx, group, members, n, l->how);
        im_callback_staged(ctx);
    }

    rc = im_cache_commit(ctx, batch);

    if (rc != NGX_OK) {
        im_callback_unstaged(ctx);
    }

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


im_code_t
im_group_member_modify(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_member_changes_t *ch)
{
    im_key_t             key;
    ngx_int_t            rc;
    im_code_t            code;
    im_json_t           *custom;
    ngx_uint_t           tries, role, flag, card;
    im_batch_t          *batch;
    im_group_member_t    m;
    im_group_notice_t    notice;
    im_group_tip_t       tip;
    im_group_noticed_t   noticed;

    for (tries = 0; tries < IM_JOIN_TRIES; tries++) {

        rc = im_group_member_get_many(ctx, group, user, 1, &m);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        if (m.version == 0) {
            ngx_str_set(&ctx->info, "not a member");
            return IM_E_GROUP_RIGHT;
        }

        if (ch->role != -1 && m.role == IM_GROUP_OWNER) {
            ngx_str_set(&ctx->info, "\"Role\" of the owner");
            return IM_E_GROUP_PARAM;
        }

        role = (ch->role != -1 && ch->role != m.role);
        flag = (ch->flag != -1 && ch->flag != m.flag);
        card = (ch->card.data != NULL && !im_str_eq(&ch->card, &m.card));

        if (im_group_custom_put(ctx, &m.custom, ch->custom, &custom)
            != NGX_OK)
        {
            return IM_E_GROUP_INTERNAL;
        }

        if (!role && !flag && !card && custom->n == 0) {
            return IM_OK;
        }

        if (role) {
            m.role = ch->role;
        }

        if (flag) {
            m.flag = ch->flag;
        }

        if (card) {
            m.card = ch->card;
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_group_member_put(ctx, batch, group, &m);

        ngx_memzero(&notice, sizeof(im_group_notice_t));

        if (role) {

            /* who is the owner is in the group's row */

            im_group_key(ctx, &group->gid, &key);
            im_store_expect(batch, IM_T_GROUP, &key, group->version);

            notice.report = (m.role == IM_GROUP_ADMIN) ? IM_REPORT_ADMIN
                                                       : IM_REPORT_NO_ADMIN;

            if (im_group_notice_add(ctx, batch, group, user, &notice,
                                    &noticed)
                != NGX_OK)
            {
                return IM_E_GROUP_INTERNAL;
            }

            im_group_tip_users(ctx, group, (m.role == IM_GROUP_ADMIN)
                                           ? IM_TIP_ADMIN : IM_TIP_NO_ADMIN,
                               user, 1, 0, &tip);

            if (im_group_tip_add(ctx, batch, group, &tip) != NGX_OK) {
                return IM_E_GROUP_INTERNAL;
            }
        }

        rc = im_cache_commit(ctx, batch);

        if (rc == NGX_OK) {
            im_fault("before_publish");

            if (role) {
                im_group_notice_tell(ctx, batch, &noticed, 1);
                im_group_tip_tell(ctx, group, &tip);
            }

            if (flag) {
                notice.report = IM_REPORT_FLAG;
                notice.flag = *im_group_msg_flag_word(m.flag);

                im_group_notice_hint(ctx, group, user, &notice,
                                     im_str_eq(user, &ctx->user) ? ctx->inst
                                                                 : 0);
                im_group_joined_hint(ctx, group->gno, user, 1);
            }

            im_callback_group_member(ctx, group, user,
                                     role ? im_group_role_word(m.role) : NULL,
                                     card ? &m.card : NULL);

            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        code = im_group_load_fresh(ctx, &group->gid, group);
        if (code != IM_OK) {
            return code;
        }
    }

    return IM_E_GROUP_INTERNAL;
}


im_code_t
im_group_owner_modify(im_ctx_t *ctx, im_group_t *group,
    im_member_changes_t *ch)
{
    ngx_int_t           rc;
    im_code_t           code;
    ngx_str_t           gid;
    ngx_uint_t          tries, flag, card;
    im_batch_t         *batch;
    im_group_notice_t   notice;

    gid = group->gid;

    for (tries = 0; tries < IM_JOIN_TRIES; tries++) {

        code = im_group_load_fresh(ctx, &gid, group);
        if (code != IM_OK) {
            return code;
        }

        flag = (ch->flag != -1 && ch->flag + 1 != group->owner_flag);
        card = (ch->card.data != NULL
                && !im_str_eq(&ch->card, &group->owner_card));

        if (!flag && !card) {
            return IM_OK;
        }

        if (flag) {
            group->owner_flag = ch->flag + 1;
        }

        if (card) {
            group->owner_card = ch->card;
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_group_put(ctx, batch, group);

        rc = im_cache_commit(ctx, batch);

        if (rc == NGX_OK) {
            im_fault("before_publish");

            if (flag) {
                ngx_memzero(&notice, sizeof(im_group_notice_t));

                notice.report = IM_REPORT_FLAG;
                notice.flag = *im_group_msg_flag_word(ch->flag);

                im_group_notice_hint(ctx, group, &group->owner, &notice,
                                     im_str_eq(&group->owner, &ctx->user)
                                     ? ctx->inst : 0);
            }

            im_callback_group_member(ctx, group, &group->owner, NULL,
                                     card ? &group->owner_card : NULL);

            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }
    }

    return IM_E_GROUP_INTERNAL;
}


im_code_t
im_group_owner_set(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user)
{
    ngx_int_t            rc;
    im_code_t            code;
    ngx_str_t            gid;
    im_json_t           *info;
    ngx_uint_t           tries;
    im_batch_t          *batch;
    im_group_tip_t       tip;
    im_group_member_t    m;

    gid = group->gid;

    for (tries = 0; tries < IM_JOIN_TRIES; tries++) {

        code = im_group_load_fresh(ctx, &gid, group);
        if (code != IM_OK) {
            return code;
        }

        rc = im_group_member_get_many(ctx, group, user, 1, &m);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        if (m.version == 0) {
            ngx_str_set(&ctx->info, "the new owner is not a member");
            return IM_E_GROUP_RIGHT;
        }

        if (im_str_eq(&group->owner, user)) {
            return IM_OK;
        }

        /* the owner's row says member: what he is, once he is the owner no
         * longer */

        m.role = IM_GROUP_MEMBER;

        group->owner = *user;
        group->info_seq++;
        group->info_time = ngx_time();

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_group_put(ctx, batch, group);
        im_group_member_put(ctx, batch, group, &m);

        info = im_json_new_obj(ctx->pool);
        im_json_add_str(info, "Owner_Account", user);
        im_group_tip_info(ctx, group, info, &tip);

        if (im_group_tip_add(ctx, batch, group, &tip) != NGX_OK) {
            return IM_E_GROUP_INTERNAL;
        }

        rc = im_cache_commit(ctx, batch);

        if (rc == NGX_OK) {
            im_fault("before_publish");
            im_group_tip_tell(ctx, group, &tip);

            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }
    }

    return IM_E_GROUP_INTERNAL;
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
    im_members_walk_t      walk;
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


ngx_int_t
im_group_joined(im_ctx_t *ctx, ngx_str_t *user, ngx_array_t *list)
{
    im_key_t            prefix, from;
    ngx_int_t           rc;
    ngx_uint_t          n;
    im_group_joined_t  *joined;

    im_key_init(&prefix, ctx->app->id);
    im_key_str(&prefix, user);

    from = prefix;

    for ( ;; ) {
        n = list->nelts;

        rc = im_store_scan(ctx, IM_T_MEMBER, IM_MEMBER_USER, &prefix,
                           (from.len > prefix.len) ? &from : NULL, NULL,
                           IM_ASC, IM_JOIN_PAGE, im_group_joined_row, list);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }

        if (list->nelts - n < IM_JOIN_PAGE
            || list->nelts >= IM_GROUPS_JOINED)
        {
            return NGX_OK;
        }

        joined = list->elts;

        from = prefix;
        im_key_int(&from, joined[list->nelts - 1].gno + 1);
    }
}


static ngx_int_t
im_group_joined_row(im_row_t *row, void *data)
{
    ngx_array_t  *list = data;

    im_group_joined_t  *joined;

    joined = ngx_array_push(list);
    if (joined == NULL) {
        return NGX_ERROR;
    }

    (void) im_row_int(row, "gno", &joined->gno);
    (void) im_row_int(row, "role", &joined->role);
    (void) im_row_int(row, "joined", &joined->joined);
    (void) im_row_int(row, "flag", &joined->flag);

    return NGX_OK;
}


ngx_int_t
im_group_admins(im_ctx_t *ctx, im_group_t *group, ngx_array_t *users)
{
    im_key_t          last;
    ngx_int_t         rc;
    ngx_str_t        *user;
    im_members_walk_t   walk;

    if (group->owner.len) {
        user = ngx_array_push(users);
        if (user == NULL) {
            return NGX_ERROR;
        }

        *user = group->owner;
    }

    if (!group->type->has_admins) {
        return NGX_OK;
    }

    last.len = 0;

    walk.users = users;
    walk.last = &last;
    walk.admins = 1;

    do {
        rc = im_group_members(ctx, group->gno, &walk, IM_JOIN_PAGE);

        if (rc == NGX_OK && walk.n == IM_JOIN_PAGE) {
            im_co_yield();
        }

    } while (rc == NGX_OK && walk.n == IM_JOIN_PAGE
             && users->nelts < IM_ADMINS_MAX);

    return rc;
}


ngx_int_t
im_group_members(im_ctx_t *ctx, int64_t gno, im_members_walk_t *walk,
    ngx_uint_t limit)
{
    im_key_t   prefix, from;
    ngx_int_t  rc;

    im_group_row_key(ctx, gno, &prefix);

    from = *walk->last;
    walk->n = 0;

    rc = im_store_scan(ctx, IM_T_MEMBER, 0, &prefix, from.len ? &from : NULL,
                       NULL, IM_ASC, limit, im_group_members_row, walk);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_group_members_row(im_row_t *row, void *data)
{
    im_members_walk_t  *walk = data;

    int64_t     role;
    ngx_str_t  *user;

    walk->n++;

    if (walk->last->len == row->key.len
        && ngx_memcmp(walk->last->data, row->key.data, row->key.len) == 0)
    {
        return NGX_OK;
    }

    walk->last->invalid = 0;
    walk->last->len = row->key.len;
    ngx_memcpy(walk->last->data, row->key.data, row->key.len);

    if (walk->admins
        && (im_row_int(row, "role", &role) != NGX_OK
            || role != IM_GROUP_ADMIN))
    {
        return NGX_OK;
    }

    user = ngx_array_push(walk->users);
    if (user == NULL) {
        return NGX_ERROR;
    }

    return im_row_str(row, "user", user) == NGX_OK ? NGX_OK : NGX_ERROR;
}
