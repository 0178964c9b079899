
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
#define IM_GONE_SLICE   50
#define IM_ADMINS_MAX   200


typedef struct {
    ngx_array_t       *users;        /* of ngx_str_t */
    im_key_t          *last;
    ngx_uint_t         n;
    ngx_uint_t         admins;       /* only those */
} im_group_walk_t;


static im_code_t im_group_join_commit(im_ctx_t *ctx, im_group_t *group,
    im_group_new_t *fresh, ngx_uint_t n, im_group_join_e how,
    im_group_notice_t *notice, im_group_pend_t *pend, int64_t *total,
    ngx_uint_t *added, ngx_uint_t *again);
static void im_group_join_tell(im_ctx_t *ctx, im_group_t *group,
    im_group_new_t *fresh, ngx_uint_t n, im_group_join_e how);
static void im_group_leave_tell(im_ctx_t *ctx, im_group_t *group,
    im_group_member_t *members, ngx_uint_t n, ngx_uint_t quit);
static im_code_t im_group_leave_commit(im_ctx_t *ctx, im_group_t *group,
    im_group_member_t *members, ngx_uint_t n, ngx_uint_t quit,
    ngx_str_t *why, int64_t *left);
static ngx_int_t im_group_joined_row(im_row_t *row, void *data);
static ngx_int_t im_group_walk(im_ctx_t *ctx, int64_t gno,
    im_group_walk_t *walk, ngx_uint_t limit);
static ngx_int_t im_group_walk_row(im_row_t *row, void *data);
static void im_group_gone_parse(im_ctx_t *ctx, im_job_t *job,
    im_group_t *group, ngx_str_t *operator);
static ngx_int_t im_group_gone_rest(im_ctx_t *ctx, im_group_t *group);
static ngx_int_t im_group_gone_row(im_row_t *row, void *data);


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
    int64_t             total;
    im_code_t           code;
    ngx_str_t           gid, *users;
    ngx_uint_t          i, k, added, again, tries, *asked;
    im_group_notice_t   invited;

    gid = group->gid;

    if (how == IM_JOIN_INVITED && !silent) {
        ngx_memzero(&invited, sizeof(im_group_notice_t));
        invited.report = IM_REPORT_INVITED;

        notice = &invited;
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

        code = im_group_join_commit(ctx, group, fresh, n, how, notice, pend,
                                    &total, &added, &again);

        if (!again) {
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

    if (code != IM_OK || added == 0) {
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
        && group->max_member && total >= group->max_member)
    {
        im_callback_group_full(ctx, group);
    }

    if (how == IM_JOIN_IMPORTED || silent || group->idle) {
        return IM_OK;
    }

    im_group_tip_join(ctx, group, users, k, (how == IM_JOIN_INVITED) ? 2 : 1);

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
    ngx_uint_t n, im_group_join_e how, im_group_notice_t *notice,
    im_group_pend_t *pend, int64_t *total, ngx_uint_t *added,
    ngx_uint_t *again)
{
    int64_t              head;
    im_key_t             key;
    ngx_int_t            rc;
    ngx_str_t           *users;
    ngx_uint_t           i, k, count;
    im_batch_t          *batch;
    im_group_member_t   *members;
    im_group_noticed_t  *noticed;

    *again = 0;
    *added = 0;
    *total = 0;

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

        *added += (fresh[i].result == IM_JOIN_ADDED);
    }

    if (*added == 0) {
        return IM_OK;
    }

    batch = im_store_batch(ctx, IM_ATOMIC);

    if (group->idle) {

        /* whoever activates the group sees that it has changed */

        im_group_put(ctx, batch, group);

    } else {
        im_group_expect(ctx, batch, group);
    }

    im_group_count_key(ctx, group, &key);
    count = im_store_add(batch, IM_T_COUNT, &key, "value", *added, 0,
                         group->max_member ? group->max_member
                                           : NGX_MAX_INT32_VALUE);

    im_group_join_add(ctx, batch, group, fresh, n, head);

    if (pend) {
        im_group_pend_put(ctx, batch, group, pend);
    }

    k = 0;

    for (i = 0; i < n && notice && !group->idle; i++) {
        if (fresh[i].result == IM_JOIN_ADDED
            && im_group_notice_add(ctx, batch, group, &fresh[i].user, notice,
                                   &noticed[k++])
               != NGX_OK)
        {
            return IM_E_GROUP_INTERNAL;
        }
    }

    if (im_callback_stage(ctx, batch)) {
        im_group_join_tell(ctx, group, fresh, n, how);
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

        *again = 1;
        return IM_OK;
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    im_fault("before_publish");

    *total = batch->ops[count].result;

    im_group_notice_tell(ctx, batch, noticed, k);

    return IM_OK;
}


im_code_t
im_group_leave(im_ctx_t *ctx, im_group_t *group, ngx_str_t *users,
    ngx_uint_t n, ngx_uint_t quit, ngx_uint_t silent, ngx_str_t *why)
{
    int64_t              left;
    im_code_t            code;
    ngx_int_t            rc;
    ngx_str_t            gid;
    ngx_uint_t           i, k, m, tries;
    im_group_member_t   *members;
    im_group_notice_t    notice;

    gid = group->gid;
    k = 0;
    left = 0;

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
                && !group->type->owner_may_quit)
            {
                return quit ? IM_E_GROUP_OWNER_QUIT : IM_E_GROUP_RIGHT;
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
            if (quit) {
                ngx_str_set(&ctx->info, "not a member");
                return IM_E_GROUP_RIGHT;
            }

            return IM_OK;
        }

        code = im_group_leave_commit(ctx, group, members, k, quit, why,
                                     &left);

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

    if (quit) {
        ngx_memzero(&notice, sizeof(im_group_notice_t));
        notice.report = IM_REPORT_QUIT;

        im_group_notice_hint(ctx, group, &users[0], &notice, ctx->inst);
    }

    im_group_leave_tell(ctx, group, members, k, quit);

    if (left == 0) {
        return im_group_destroy(ctx, group);
    }

    if (!silent && !group->idle && group->type->notice != IM_NOTICE_NONE) {
        im_group_tip_member(ctx, group, quit ? IM_TIP_QUIT : IM_TIP_KICK,
                            users, k);
    }

    return IM_OK;
}


/* IM_E_GROUP_HANDLED: something has changed since it was read. */

static void
im_group_leave_tell(im_ctx_t *ctx, im_group_t *group,
    im_group_member_t *members, ngx_uint_t n, ngx_uint_t quit)
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

    im_callback_group_exited(ctx, group, quit ? "Quit" : "Kicked", users, n);
}


static im_code_t
im_group_leave_commit(im_ctx_t *ctx, im_group_t *group,
    im_group_member_t *members, ngx_uint_t n, ngx_uint_t quit,
    ngx_str_t *why, int64_t *left)
{
    im_key_t             key;
    ngx_int_t            rc;
    ngx_uint_t           i, k, count;
    im_batch_t          *batch;
    im_group_notice_t    notice;
    im_group_noticed_t  *noticed;

    noticed = ngx_palloc(ctx->pool, n * sizeof(im_group_noticed_t));
    if (noticed == NULL) {
        return IM_E_GROUP_INTERNAL;
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

    if (why) {
        notice.text = *why;
    }

    k = 0;

    for (i = 0; i < n; i++) {

        im_group_member_key(ctx, group, &members[i].user, &key);
        im_store_expect(batch, IM_T_MEMBER, &key, members[i].version);
        im_store_delete(batch, IM_T_MEMBER, &key);

        im_group_read_delete(ctx, batch, group, &members[i].user);
        im_group_quota_leave(ctx, batch, &members[i].user);

        if (!quit && !group->idle
            && im_group_notice_add(ctx, batch, group, &members[i].user,
                                   &notice, &noticed[k++])
               != NGX_OK)
        {
            return IM_E_GROUP_INTERNAL;
        }
    }

    if (im_callback_stage(ctx, batch)) {
        im_group_leave_tell(ctx, group, members, n, quit);
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

    *left = batch->ops[count].result;

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
    ngx_uint_t           tries, role, flag;
    im_batch_t          *batch;
    im_group_member_t    m;
    im_group_notice_t    notice;
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

        if (im_group_custom_put(ctx, &m.custom, ch->custom, &custom)
            != NGX_OK)
        {
            return IM_E_GROUP_INTERNAL;
        }

        if (!role && !flag && custom->n == 0
            && (ch->card.data == NULL || im_str_eq(&ch->card, &m.card)))
        {
            return IM_OK;
        }

        if (role) {
            m.role = ch->role;
        }

        if (flag) {
            m.flag = ch->flag;
        }

        if (ch->card.data) {
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
        }

        rc = im_cache_commit(ctx, batch);

        if (rc == NGX_OK) {
            im_fault("before_publish");

            if (role) {
                im_group_notice_tell(ctx, batch, &noticed, 1);

                im_group_tip_member(ctx, group, (m.role == IM_GROUP_ADMIN)
                                                ? IM_TIP_ADMIN
                                                : IM_TIP_NO_ADMIN,
                                    user, 1);
            }

            if (flag) {
                notice.report = IM_REPORT_FLAG;
                notice.flag = *im_group_msg_flag_word(m.flag);

                im_group_notice_hint(ctx, group, user, &notice,
                                     im_str_eq(user, &ctx->user) ? ctx->inst
                                                                 : 0);
                im_group_joined_hint(ctx, group->gno, user, 1);
            }

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
    ngx_uint_t          tries, flag;
    im_batch_t         *batch;
    im_group_notice_t   notice;

    gid = group->gid;

    for (tries = 0; tries < IM_JOIN_TRIES; tries++) {

        code = im_group_load_fresh(ctx, &gid, group);
        if (code != IM_OK) {
            return code;
        }

        flag = (ch->flag != -1 && ch->flag + 1 != group->owner_flag);

        if (!flag
            && (ch->card.data == NULL
                || im_str_eq(&ch->card, &group->owner_card)))
        {
            return IM_OK;
        }

        if (flag) {
            group->owner_flag = ch->flag + 1;
        }

        if (ch->card.data) {
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

        rc = im_cache_commit(ctx, batch);

        if (rc == NGX_OK) {
            im_fault("before_publish");

            if (!group->idle) {
                info = im_json_new_obj(ctx->pool);
                im_json_add_str(info, "Owner_Account", user);
                im_group_tip_info(ctx, group, info);
            }

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
    im_group_walk_t      walk;
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

        rc = im_group_walk(ctx, group->gno, &walk, IM_GROUP_ACCOUNTS);
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
    im_group_walk_t   walk;

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
        rc = im_group_walk(ctx, group->gno, &walk, IM_JOIN_PAGE);

        if (rc == NGX_OK && walk.n == IM_JOIN_PAGE) {
            im_co_yield();
        }

    } while (rc == NGX_OK && walk.n == IM_JOIN_PAGE
             && users->nelts < IM_ADMINS_MAX);

    return rc;
}


/* The next members, in order of their names. */

static ngx_int_t
im_group_walk(im_ctx_t *ctx, int64_t gno, im_group_walk_t *walk,
    ngx_uint_t limit)
{
    im_key_t   prefix, from;
    ngx_int_t  rc;

    im_group_row_key(ctx, gno, &prefix);

    from = *walk->last;
    walk->n = 0;

    rc = im_store_scan(ctx, IM_T_MEMBER, 0, &prefix, from.len ? &from : NULL,
                       NULL, IM_ASC, limit, im_group_walk_row, walk);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_group_walk_row(im_row_t *row, void *data)
{
    im_group_walk_t  *walk = data;

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


/*
 * Dissolving: each member's row goes together with his notice, so a slice
 * that is done again finds what is left.
 */

ngx_int_t
im_group_gone_add(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_job_t *job)
{
    u_char  *p;

    ngx_memzero(job, sizeof(im_job_t));

    p = ngx_pnalloc(ctx->pool, group->gid.len + ctx->user.len
                               + group->type->name.len + group->name.len
                               + NGX_INT_T_LEN + 4);
    if (p == NULL) {
        return NGX_ERROR;
    }

    job->arg.data = p;
    job->arg.len = ngx_sprintf(p, "%V\n%V\n%V\n%ui\n%V", &group->gid,
                               &ctx->user, &group->type->name,
                               (ngx_uint_t) group->idle, &group->name)
                   - p;
    job->num = group->gno;

    return im_job_add(ctx, batch, "group_gone", &job->arg, job->num,
                      &job->id);
}


static void
im_group_gone_parse(im_ctx_t *ctx, im_job_t *job, im_group_t *group,
    ngx_str_t *operator)
{
    u_char      *p, *last, *end;
    ngx_str_t    part[5];
    ngx_uint_t   i;

    ngx_memzero(part, sizeof(part));

    p = job->arg.data;
    last = p + job->arg.len;

    for (i = 0; i < 5 && p <= last; i++) {

        end = (i < 4) ? ngx_strlchr(p, last, '\n') : last;

        if (end == NULL) {
            end = last;
        }

        part[i].data = p;
        part[i].len = end - p;

        p = end + 1;
    }

    ngx_memzero(group, sizeof(im_group_t));

    group->gno = job->num;
    group->gid = part[0];
    *operator = part[1];
    group->type_name = part[2];
    group->type = im_group_type(ctx->app, &part[2]);
    group->idle = part[3].len && part[3].data[0] == '1';
    group->name = part[4];
}


ngx_int_t
im_group_gone_step(im_ctx_t *ctx, im_job_t *job)
{
    im_key_t             key, last;
    ngx_int_t            rc;
    ngx_str_t           *user;
    ngx_uint_t           i, n;
    im_batch_t          *batch;
    im_group_t           group;
    ngx_array_t          users;
    im_group_walk_t      walk;
    im_group_notice_t    notice;
    im_group_noticed_t  *noticed;

    ngx_memzero(&notice, sizeof(im_group_notice_t));

    im_group_gone_parse(ctx, job, &group, &notice.from);

    if (group.type == NULL) {
        return NGX_OK;
    }

    if (ngx_array_init(&users, ctx->pool, IM_GONE_SLICE, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    last.len = 0;

    walk.users = &users;
    walk.last = &last;
    walk.admins = 0;

    rc = im_group_walk(ctx, group.gno, &walk, IM_GONE_SLICE);
    if (rc != NGX_OK) {
        return rc;
    }

    if (users.nelts == 0) {
        return im_group_gone_rest(ctx, &group);
    }

    noticed = ngx_palloc(ctx->pool, users.nelts * sizeof(im_group_noticed_t));
    if (noticed == NULL) {
        return NGX_ERROR;
    }

    notice.report = IM_REPORT_DESTROY;

    batch = im_store_batch(ctx, IM_ATOMIC);

    user = users.elts;
    n = 0;

    for (i = 0; i < users.nelts; i++) {

        im_group_member_key(ctx, &group, &user[i], &key);
        im_store_expect(batch, IM_T_MEMBER, &key, -1);
        im_store_delete(batch, IM_T_MEMBER, &key);

        im_group_read_delete(ctx, batch, &group, &user[i]);
        im_group_quota_leave(ctx, batch, &user[i]);

        if (!group.idle
            && im_group_notice_add(ctx, batch, &group, &user[i], &notice,
                                   &noticed[n++])
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    rc = im_cache_commit(ctx, batch);

    if (rc == NGX_DECLINED) {            /* another worker does it, too */
        return NGX_AGAIN;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    im_fault("before_publish");

    im_group_notice_tell(ctx, batch, noticed, n);

    for (i = 0; i < users.nelts; i++) {
        im_group_joined_hint(ctx, group.gno, &user[i], 0);
    }

    return NGX_AGAIN;
}


/* What else is under the group's number. */

static ngx_int_t
im_group_gone_rest(im_ctx_t *ctx, im_group_t *group)
{
    im_key_t      key, prefix;
    im_row_t     *row;
    ngx_int_t     rc;
    ngx_uint_t    i;
    im_batch_t   *batch;
    ngx_array_t   rows;

    if (ngx_array_init(&rows, ctx->pool, 16, sizeof(im_row_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    im_group_row_key(ctx, group->gno, &prefix);

    rc = im_store_scan(ctx, IM_T_PEND, 0, &prefix, NULL, NULL, IM_ASC,
                       IM_JOIN_PAGE, im_group_gone_row, &rows);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    batch = im_store_batch(ctx, IM_ORDERED);

    im_group_count_key(ctx, group, &key);
    im_store_delete(batch, IM_T_COUNT, &key);

    im_group_at_all_key(ctx, group, &key);
    im_store_delete(batch, IM_T_COUNT, &key);

    row = rows.elts;

    for (i = 0; i < rows.nelts; i++) {
        key.invalid = 0;
        key.len = row[i].key.len;
        ngx_memcpy(key.data, row[i].key.data, row[i].key.len);

        im_store_delete(batch, IM_T_PEND, &key);
    }

    rc = im_store_commit(ctx, batch);
    if (rc != NGX_OK) {
        return rc;
    }

    if (rows.nelts == IM_JOIN_PAGE) {
        return NGX_AGAIN;
    }

    /* nobody asks for them any more, and they expire */

    im_group_mute_delete_all(ctx, group);

    return NGX_OK;
}


static ngx_int_t
im_group_gone_row(im_row_t *row, void *data)
{
    ngx_array_t  *rows = data;

    im_row_t  *r;

    r = ngx_array_push(rows);
    if (r == NULL) {
        return NGX_ERROR;
    }

    *r = *row;

    return NGX_OK;
}
