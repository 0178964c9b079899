
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_fault.h"
#include "core/im_str.h"
#include "core/im_worker.h"
#include "live/im_node.h"
#include "live/im_room.h"
#include "live/im_room_node.h"
#include "domain/im_account.h"
#include "domain/im_cache.h"
#include "domain/im_callback.h"
#include "domain/im_group_join.h"
#include "domain/im_group_leave.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "domain/im_group_mute.h"
#include "domain/im_group_notice.h"
#include "domain/im_group_read.h"
#include "domain/im_group_row.h"
#include "domain/im_group_tip.h"


static im_code_t im_group_member_live(im_ctx_t *ctx, im_group_t *group,
    ngx_array_t *members);
static void im_group_member_joined(im_group_t *group, ngx_str_t *user,
    time_t joined, im_group_member_t *m);
static im_code_t im_group_member_stored(im_ctx_t *ctx, im_group_t *group,
    ngx_uint_t limit, ngx_array_t *members);
static ngx_int_t im_group_member_row(im_row_t *row, void *data);
static void im_group_member_load(im_group_t *group, im_row_t *row,
    im_group_member_t *m);
static void im_group_member_tell(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *user, ngx_uint_t event);
static void im_group_member_event(im_bus_buf_t *buf);
static ngx_int_t im_group_member_init_process(ngx_cycle_t *cycle,
    im_conf_t *conf);


im_worker_hook_t  im_group_member_hook = {
    ngx_string("group member"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_group_member_init_process,          /* init process */
    NULL                                   /* exit process */
};


static im_record_t  im_group_member_record[] = {
    { ngx_string("user"), IM_COL_STR, offsetof(im_group_member_t, user) },
    { ngx_string("role"), IM_COL_INT, offsetof(im_group_member_t, role) },
    { ngx_string("joined"), IM_COL_INT, offsetof(im_group_member_t, joined) },
    { ngx_string("flag"), IM_COL_INT, offsetof(im_group_member_t, flag) },
    { ngx_string("card"), IM_COL_STR, offsetof(im_group_member_t, card) },
    { ngx_string("first"), IM_COL_INT, offsetof(im_group_member_t, first) },
    { ngx_string("custom"), IM_COL_STR, offsetof(im_group_member_t, custom) },
      im_null_record
};


static ngx_str_t  im_group_role_words[] = {
    ngx_string("NotMember"),
    ngx_string("Member"),
    ngx_string("Admin"),
    ngx_string("Owner")
};


#define IM_MEMBER_HANDLERS  4
#define IM_MEMBER_PAGE      500
#define IM_MEMBER_MAX       10000        /* that one answer lists */

static im_group_member_event_pt  im_group_member_fns[IM_MEMBER_HANDLERS];
static ngx_uint_t                im_group_member_nfns;


im_code_t
im_group_role(im_ctx_t *ctx, im_group_t *group, im_group_role_e *role)
{
    if (ctx->role == IM_ROLE_ADMIN
        || (ctx->role == IM_ROLE_USER
            && im_account_is_admin(ctx->app, &ctx->user)))
    {
        *role = IM_GROUP_APP;
        return IM_OK;
    }

    if (ctx->role != IM_ROLE_USER) {
        *role = IM_GROUP_NOBODY;
        return IM_OK;
    }

    return im_group_role_of(ctx, group, &ctx->user, role);
}


im_code_t
im_group_role_of(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_group_role_e *role)
{
    ngx_int_t          rc;
    im_group_member_t  m;

    *role = IM_GROUP_NOBODY;

    if (user->len == 0) {
        return IM_OK;
    }

    if (!group->type->live) {

        rc = im_group_member_get(ctx, group, user, &m);

        if (rc == NGX_OK) {
            *role = m.role;
        }

        return (rc == NGX_DECLINED) ? IM_OK : im_group_code(rc);
    }

    if (im_str_eq(user, &group->owner)) {
        *role = IM_GROUP_OWNER;

    } else if (im_room_joined_all(ctx->app->id, group->gno, user, NULL)
               == NGX_OK)
    {
        *role = IM_GROUP_MEMBER;
    }

    return IM_OK;
}


im_code_t
im_group_require(im_ctx_t *ctx, im_group_t *group, im_group_role_e least)
{
    im_code_t        code;
    im_group_role_e  role;

    code = im_group_role(ctx, group, &role);

    return (code == IM_OK && role < least) ? IM_E_GROUP_RIGHT : code;
}


ngx_str_t *
im_group_role_word(im_group_role_e role)
{
    return &im_group_role_words[ngx_min(role, IM_GROUP_OWNER)];
}


int64_t
im_group_member_count(im_ctx_t *ctx, im_group_t *group)
{
    int64_t             n;
    im_key_t            key;
    im_row_t            row;
    im_room_audience_t  a;

    if (!group->type->live) {

        n = 0;
        im_group_count_key(ctx, group, &key);

        if (im_store_get(ctx, IM_T_COUNT, &key, &row) == NGX_OK) {
            (void) im_row_int(&row, "value", &n);
        }

        return n;
    }

    im_room_audience_all(ctx->app->id, group->gno, &a);

    return a.joined + a.guests;
}


im_code_t
im_group_member_list(im_ctx_t *ctx, im_group_t *group, ngx_uint_t limit,
    ngx_array_t *members)
{
    if (group->type->live) {
        return im_group_member_live(ctx, group, members);
    }

    return im_group_member_stored(ctx, group,
                                  ngx_min(limit, IM_MEMBER_MAX), members);
}


/* In order of joining, a page at a time. */

static im_code_t
im_group_member_stored(im_ctx_t *ctx, im_group_t *group, ngx_uint_t limit,
    ngx_array_t *members)
{
    im_key_t            prefix, from;
    ngx_int_t           rc;
    ngx_uint_t          i, k, n;
    im_group_member_t  *m;

    im_group_row_key(ctx, group->gno, &prefix);

    from = prefix;

    for ( ;; ) {

        k = members->nelts;
        n = ngx_min(limit - k, IM_MEMBER_PAGE);

        rc = im_store_scan(ctx, IM_T_MEMBER, IM_MEMBER_JOIN, &prefix,
                           k ? &from : NULL, NULL, IM_ASC, n + 1,
                           im_group_member_row, members);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        m = members->elts;

        for (i = k; i < members->nelts; i++) {
            if (im_str_eq(&m[i].user, &group->owner)) {
                m[i].role = IM_GROUP_OWNER;
            }
        }

        if (members->nelts - k <= n) {
            return IM_OK;
        }

        /* the first one of the next page */

        members->nelts--;

        if (members->nelts == limit) {
            return IM_OK;
        }

        from = prefix;
        im_key_int(&from, m[members->nelts].joined);
        im_key_str(&from, &m[members->nelts].user);

        im_co_yield();
    }
}


static ngx_int_t
im_group_member_row(im_row_t *row, void *data)
{
    ngx_array_t  *members = data;

    im_group_member_t  *m;

    m = ngx_array_push(members);
    if (m == NULL) {
        return NGX_ERROR;
    }

    im_group_member_load(NULL, row, m);

    return NGX_OK;
}


static void
im_group_member_load(im_group_t *group, im_row_t *row, im_group_member_t *m)
{
    ngx_memzero(m, sizeof(im_group_member_t));
    im_record_load(row, im_group_member_record, m);

    m->version = row->version;

    if (group && im_str_eq(&m->user, &group->owner)) {
        m->role = IM_GROUP_OWNER;
    }
}


im_code_t
im_group_member_fill(im_ctx_t *ctx, im_group_t *group,
    im_group_member_t *members, ngx_uint_t n)
{
    ngx_int_t          rc;
    ngx_str_t         *names;
    ngx_uint_t         i;
    im_group_mute_t   *mutes;
    im_group_read_t   *reads;

    names = ngx_palloc(ctx->pool, (n + 1) * sizeof(ngx_str_t));
    mutes = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_group_mute_t));
    reads = ngx_pcalloc(ctx->pool, (n + 1) * sizeof(im_group_read_t));

    if (names == NULL || mutes == NULL || reads == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    for (i = 0; i < n; i++) {
        names[i] = members[i].user;
    }

    for (i = 0; i < n; i += IM_MEMBER_PAGE) {

        rc = im_group_mute_get_many(ctx, group, &names[i],
                                    ngx_min(n - i, IM_MEMBER_PAGE),
                                    &mutes[i]);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        if (!group->type->live) {
            rc = im_group_read_get(ctx, group, &names[i],
                                   ngx_min(n - i, IM_MEMBER_PAGE),
                                   &reads[i]);
            if (rc != NGX_OK) {
                return im_group_code(rc);
            }

            im_co_yield();
        }
    }

    for (i = 0; i < n; i++) {
        members[i].muted = (mutes[i].until > ngx_time()) ? mutes[i].until : 0;
        members[i].read = reads[i].seq;
        members[i].sent = reads[i].sent;
    }

    return IM_OK;
}


void
im_group_member_key(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_key_t *key)
{
    im_group_row_key(ctx, group->gno, key);
    im_key_str(key, user);
}


void
im_group_count_key(im_ctx_t *ctx, im_group_t *group, im_key_t *key)
{
    u_char     buf[NGX_INT64_LEN];
    ngx_str_t  kind, id;

    ngx_str_set(&kind, "members");

    id.data = buf;
    id.len = ngx_sprintf(buf, "%L", group->gno) - buf;

    im_key_init(key, ctx->app->id);
    im_key_str(key, &kind);
    im_key_str(key, &id);
}


void
im_group_member_put(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_member_t *m)
{
    im_key_t            key;
    im_group_member_t   row;

    row = *m;

    if (row.role == IM_GROUP_OWNER) {    /* the group's row tells who it is */
        row.role = IM_GROUP_MEMBER;
    }

    im_group_member_key(ctx, group, &m->user, &key);

    im_store_replace(batch, IM_T_MEMBER, &key, m->version,
                     im_record_doc(ctx->pool, im_group_member_record, &row));
}


ngx_int_t
im_group_member_get(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_group_member_t *m)
{
    im_key_t   key;
    im_row_t   row;
    ngx_int_t  rc;

    im_group_member_key(ctx, group, user, &key);

    rc = im_fault_error("member_read") ? NGX_ERROR
         : im_cache_get(ctx, IM_T_MEMBER, &key, &row);

    if (rc == NGX_OK) {
        im_group_member_load(group, &row, m);

    } else {
        ngx_memzero(m, sizeof(im_group_member_t));
        m->user = *user;
    }

    return rc;
}


ngx_int_t
im_group_member_get_many(im_ctx_t *ctx, im_group_t *group, ngx_str_t *users,
    ngx_uint_t n, im_group_member_t *members)
{
    im_key_t    *keys;
    im_row_t    *rows;
    ngx_int_t    rc;
    ngx_uint_t   i;

    keys = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_key_t));
    rows = ngx_pcalloc(ctx->pool, (n + 1) * sizeof(im_row_t));

    if (keys == NULL || rows == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        im_group_member_key(ctx, group, &users[i], &keys[i]);
    }

    rc = im_store_get_many(ctx, IM_T_MEMBER, keys, n, rows);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {

        if (rows[i].data.data) {
            im_group_member_load(group, &rows[i], &members[i]);
            continue;
        }

        ngx_memzero(&members[i], sizeof(im_group_member_t));
        members[i].user = users[i];
    }

    return NGX_OK;
}


static im_code_t
im_group_member_live(im_ctx_t *ctx, im_group_t *group, ngx_array_t *members)
{
    ngx_str_t           user;
    ngx_uint_t          i, n;
    im_room_user_t     *users;
    im_group_member_t  *m;

    n = group->type->listed;

    if (n == 0) {
        return IM_OK;
    }

    users = ngx_palloc(ctx->pool, n * sizeof(im_room_user_t));

    if (users == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    /* the owner is one without having joined, but then receives nothing */

    if (group->owner.len
        && im_room_joined_all(ctx->app->id, group->gno, &group->owner, NULL)
           != NGX_OK)
    {
        m = ngx_array_push(members);
        if (m == NULL) {
            return IM_E_GROUP_INTERNAL;
        }

        ngx_memzero(m, sizeof(im_group_member_t));

        m->user = group->owner;
        m->joined = group->created;

        im_group_member_owner(group, m);
        n--;
    }

    n = im_room_list_all(ctx->app->id, group->gno, 0, 0, users, n);

    for (i = 0; i < n; i++) {
        m = ngx_array_push(members);
        if (m == NULL) {
            return IM_E_GROUP_INTERNAL;
        }

        user.data = users[i].name;
        user.len = users[i].len;

        im_group_member_joined(group, &user, users[i].joined, m);
    }

    return IM_OK;
}


ngx_int_t
im_group_member_in(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_group_member_t *m)
{
    im_room_user_t  u;

    if (im_room_joined_all(ctx->app->id, group->gno, user, &u) != NGX_OK) {
        return NGX_DECLINED;
    }

    im_group_member_joined(group, user, u.joined, m);

    return NGX_OK;
}


static void
im_group_member_joined(im_group_t *group, ngx_str_t *user, time_t joined,
    im_group_member_t *m)
{
    ngx_memzero(m, sizeof(im_group_member_t));

    m->flag = group->type->msg_flag;
    m->user = *user;
    m->joined = joined;
    m->role = IM_GROUP_MEMBER;

    if (im_str_eq(user, &group->owner)) {
        im_group_member_owner(group, m);
    }
}


void
im_group_member_owner(im_group_t *group, im_group_member_t *m)
{
    m->role = IM_GROUP_OWNER;
    m->card = group->owner_card;
    m->flag = group->owner_flag ? group->owner_flag - 1
                                : (int64_t) group->type->msg_flag;
}


im_code_t
im_group_member_may_join(im_ctx_t *ctx, im_group_t *group)
{
    ngx_int_t        rc;
    im_code_t        code;
    im_group_role_e  role;
    im_group_mute_t  mute;

    code = im_group_role(ctx, group, &role);
    if (code != IM_OK) {
        return code;
    }

    if (ctx->role == IM_ROLE_GUEST) {

        if (!group->type->guest_read) {
            ngx_str_set(&ctx->info, "guests cannot join this group");
            return IM_E_GROUP_RIGHT;
        }

    } else if (role != IM_GROUP_APP) {

        rc = im_group_mute_get(ctx, group, &ctx->user, &mute);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        if (mute.banned > ngx_time()) {
            ngx_str_set(&ctx->info, "banned from the group");
            return IM_E_GROUP_RIGHT;
        }
    }

    if (role != IM_GROUP_NOBODY) {
        return IM_OK;
    }

    if (!group->type->apply_allowed || group->apply == IM_APPLY_DISABLE) {
        ngx_str_set(&ctx->info, "nobody can join this group by himself");
        return IM_E_GROUP_RIGHT;
    }

    if (group->apply != IM_APPLY_PERMISSION || !group->type->live) {
        return IM_OK;
    }

    if (ctx->role == IM_ROLE_GUEST) {
        ngx_str_set(&ctx->info, "guests cannot apply to this group");
        return IM_E_GROUP_RIGHT;
    }

    if (group->owner.len == 0) {
        ngx_str_set(&ctx->info, "nobody decides on applications to this "
                                "group");
        return IM_E_GROUP_RIGHT;
    }

    return IM_OK;
}


im_code_t
im_group_member_join(im_ctx_t *ctx, im_group_t *group, ngx_msec_t ttl,
    ngx_uint_t *fresh)
{
    ngx_int_t  rc;

    rc = im_room_join_all(ctx->app->id, group->gno, &ctx->user, ctx->inst,
                      ngx_time(), ttl);

    if (rc == NGX_BUSY) {
        return IM_E_GROUP_INTERNAL;
    }

    *fresh = (rc == NGX_OK);

    return IM_OK;
}


im_code_t
im_group_member_quit(im_ctx_t *ctx, im_group_t *group)
{
    if (!group->type->owner_may_quit && im_str_eq(&ctx->user, &group->owner)) {
        return IM_E_GROUP_OWNER_QUIT;
    }

    if (im_room_leave_all(ctx->app->id, group->gno, &ctx->user) != NGX_OK) {
        ngx_str_set(&ctx->info, "not a member");
        return IM_E_GROUP_RIGHT;
    }

    im_group_member_tell(ctx, group, &ctx->user, IM_MEMBER_LEFT);

    im_group_notice_user(ctx, group, &ctx->user, IM_REPORT_QUIT, 0, NULL);

    if (group->type->notice != IM_NOTICE_NONE) {
        im_group_tip_member(ctx, group, IM_TIP_QUIT, &ctx->user, 1);
    }

    im_callback_group_exited(ctx, group, "Quit", &ctx->user, 1);

    return IM_OK;
}


im_code_t
im_group_member_ban(im_ctx_t *ctx, im_group_t *group, ngx_str_t *users,
    ngx_uint_t n, int64_t seconds, ngx_str_t *why)
{
    im_code_t    code;
    ngx_str_t   *left;
    ngx_uint_t   i, k;

    left = ngx_palloc(ctx->pool, (n + 1) * sizeof(ngx_str_t));
    if (left == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    code = im_group_ban_set(ctx, group, users, n, seconds);
    if (code != IM_OK) {
        return code;
    }

    if (!group->type->live) {
        return seconds ? im_group_leave(ctx, group, users, n,
                                        IM_LEAVE_KICKED, 0, why)
                       : IM_OK;
    }

    im_fault("before_publish");

    if (seconds) {
        k = 0;

        for (i = 0; i < n; i++) {
            if (im_room_leave_all(ctx->app->id, group->gno, &users[i])
                == NGX_OK)
            {
                left[k++] = users[i];
            }

            im_group_member_tell(ctx, group, &users[i], IM_MEMBER_BANNED);

            im_group_notice_user(ctx, group, &users[i], IM_REPORT_BANNED,
                                 seconds, why);
        }

        if (k) {
            im_callback_group_exited(ctx, group, "Kicked", left, k);
        }
    }

    im_group_tip_member(ctx, group, seconds ? IM_TIP_BAN : IM_TIP_UNBAN,
                        users, n);

    return IM_OK;
}


/* The record: event, instance that acted, user. */

static void
im_group_member_tell(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    ngx_uint_t event)
{
    uint32_t       inst;
    ngx_str_t      parts[2];
    im_slots_t     to;
    im_bus_meta_t  meta;

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = ctx->app->id;
    meta.flags = event;
    meta.chain = group->gno;

    inst = ctx->inst;

    parts[0].data = (u_char *) &inst;
    parts[0].len = sizeof(uint32_t);
    parts[1] = *user;

    im_bus_interested(im_bus_hash(ctx->app->id, group->gno), &to);

    (void) im_bus_publish(&to, IM_BUS_MEMBER, &meta, parts, 2);

    (void) im_node_publish(im_node_group(ctx->app->id, group->gno),
                           IM_BUS_MEMBER, &meta, parts, 2);
}


static void
im_group_member_event(im_bus_buf_t *buf)
{
    uint32_t    inst;
    ngx_str_t   user;
    ngx_uint_t  i;

    if (buf->payload.len < sizeof(uint32_t)) {
        return;
    }

    ngx_memcpy(&inst, buf->payload.data, sizeof(uint32_t));

    user.data = buf->payload.data + sizeof(uint32_t);
    user.len = buf->payload.len - sizeof(uint32_t);

    for (i = 0; i < im_group_member_nfns; i++) {
        im_group_member_fns[i](buf->app, buf->chain, &user, inst, buf->flags);
    }
}


ngx_int_t
im_group_member_handler(im_group_member_event_pt fn)
{
    if (im_group_member_nfns == IM_MEMBER_HANDLERS) {
        return NGX_ERROR;
    }

    im_group_member_fns[im_group_member_nfns++] = fn;

    return NGX_OK;
}


static ngx_int_t
im_group_member_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    im_bus_handler(IM_BUS_MEMBER, im_group_member_event);

    return NGX_OK;
}
