
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "core/im_str.h"
#include "domain/im_group_invite.h"
#include "domain/im_group_join.h"
#include "domain/im_group_list.h"
#include "domain/im_group_notice.h"
#include "domain/im_group_pend.h"
#include "domain/im_group_row.h"


#define IM_PEND_TRIES   8
#define IM_PEND_GROUPS  200          /* that one answer looks into */
#define IM_PEND_ROWS    500          /* of a group */
#define IM_PEND_PAGE    100          /* rows removed by one commit */


static void im_group_pend_load(im_row_t *row, im_group_pend_t *pend);
static im_code_t im_group_pend_check(im_ctx_t *ctx, im_group_pend_t *req,
    im_group_pend_t *pend);
static im_code_t im_group_pend_decide(im_ctx_t *ctx, im_group_t *group,
    im_group_pend_t *pend, ngx_uint_t agree);
static im_code_t im_group_pend_join(im_ctx_t *ctx, im_group_t *group,
    im_group_pend_t *pend, im_group_new_t *fresh,
    im_group_notice_t *notice);
static ngx_int_t im_group_pend_key_row(im_row_t *row, void *data);
static ngx_int_t im_group_pend_row(im_row_t *row, void *data);
static void im_group_pend_seen_key(im_ctx_t *ctx, im_key_t *key);
static void im_group_pend_key(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *id, im_key_t *key);
static int ngx_libc_cdecl im_group_pend_cmp(const void *one,
    const void *two);


/* a walk over rows */

typedef struct {
    ngx_array_t       *pends;
    ngx_uint_t         invited;      /* those to the caller, or the groups' */
} im_group_pend_walk_t;


/* notices of a refusal and of an agreement, by im_group_pend_kind_e */

static ngx_uint_t  im_group_pend_reports[][2] = {
    { IM_REPORT_REFUSE, IM_REPORT_ACCEPT },
    { IM_REPORT_INVITE_REFUSE, IM_REPORT_INVITE_ACCEPT },
    { IM_REPORT_INVITE_REFUSE, IM_REPORT_INVITE_ACCEPT }
};


static im_record_t  im_group_pend_record[] = {
    { ngx_string("id"), IM_COL_STR, offsetof(im_group_pend_t, id) },
    { ngx_string("kind"), IM_COL_INT, offsetof(im_group_pend_t, kind) },
    { ngx_string("from"), IM_COL_STR, offsetof(im_group_pend_t, from) },
    { ngx_string("to"), IM_COL_STR, offsetof(im_group_pend_t, to) },
    { ngx_string("gid"), IM_COL_STR, offsetof(im_group_pend_t, gid) },
    { ngx_string("name"), IM_COL_STR, offsetof(im_group_pend_t, name) },
    { ngx_string("time"), IM_COL_INT, offsetof(im_group_pend_t, time) },
    { ngx_string("auth"), IM_COL_STR, offsetof(im_group_pend_t, auth) },
    { ngx_string("text"), IM_COL_STR, offsetof(im_group_pend_t, text) },
    { ngx_string("data"), IM_COL_STR, offsetof(im_group_pend_t, data) },
    { ngx_string("state"), IM_COL_INT, offsetof(im_group_pend_t, state) },
    { ngx_string("handler"), IM_COL_STR, offsetof(im_group_pend_t, handler) },
    { ngx_string("reply"), IM_COL_STR, offsetof(im_group_pend_t, reply) },
    { ngx_string("reply_data"), IM_COL_STR,
      offsetof(im_group_pend_t, reply_data) },
    { ngx_string("expire"), IM_COL_INT, offsetof(im_group_pend_t, expire) },
      im_null_record
};


im_code_t
im_group_pend_apply(im_ctx_t *ctx, im_group_t *group, ngx_str_t *text,
    ngx_str_t *data)
{
    ngx_int_t            rc;
    ngx_str_t           *user;
    ngx_uint_t           i, tries;
    im_batch_t          *batch;
    ngx_array_t          admins;
    im_group_pend_t      pend;
    im_group_notice_t    notice;
    im_group_noticed_t  *noticed;

    if (ngx_array_init(&admins, ctx->pool, 8, sizeof(ngx_str_t)) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    rc = im_group_admins(ctx, group, &admins);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    noticed = ngx_palloc(ctx->pool, (admins.nelts + 1)
                                    * sizeof(im_group_noticed_t));

    if (noticed == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    for (tries = 0; tries < IM_PEND_TRIES; tries++) {

        rc = im_group_pend_get(ctx, group, &ctx->user, &pend);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        if (rc == NGX_DECLINED) {
            ngx_memzero(&pend, sizeof(im_group_pend_t));
        }

        pend.id = ctx->user;
        pend.kind = IM_PEND_APPLY;
        pend.from = ctx->user;
        ngx_str_null(&pend.to);

        if (group->type->live) {         /* the list of its owner has it so */
            pend.to = group->owner;
        }

        pend.text = *text;
        pend.data = *data;

        if (im_group_pend_open(ctx, group, &pend) != NGX_OK) {
            return IM_E_GROUP_INTERNAL;
        }

        ngx_memzero(&notice, sizeof(im_group_notice_t));

        notice.report = IM_REPORT_APPLY;
        notice.text = pend.text;
        notice.data = pend.data;
        notice.auth = pend.auth;
        notice.key = pend.time;

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_group_expect(ctx, batch, group);
        im_group_pend_put(ctx, batch, group, &pend);

        user = admins.elts;

        for (i = 0; i < admins.nelts; i++) {
            if (im_group_notice_add(ctx, batch, group, &user[i], &notice,
                                    &noticed[i])
                != NGX_OK)
            {
                return IM_E_GROUP_INTERNAL;
            }
        }

        rc = im_store_commit(ctx, batch);

        if (rc == NGX_OK) {
            im_fault("before_publish");
            im_group_notice_tell(ctx, batch, noticed, admins.nelts);

            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }
    }

    return IM_E_GROUP_INTERNAL;
}


im_code_t
im_group_pend_admit(im_ctx_t *ctx, im_group_t *group, ngx_uint_t *admitted)
{
    ngx_int_t         rc;
    im_code_t         code;
    im_group_pend_t   pend;
    im_group_role_e   role;

    *admitted = 1;

    code = im_group_role(ctx, group, &role);

    if (code != IM_OK || role != IM_GROUP_NOBODY) {
        return code;
    }

    rc = im_group_pend_get(ctx, group, &ctx->user, &pend);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return im_group_code(rc);
    }

    *admitted = (rc == NGX_OK
                 && pend.state == IM_PEND_AGREED
                 && pend.expire > ngx_time());

    return IM_OK;
}


void
im_group_pend_delete_all(im_ctx_t *ctx, im_group_t *group)
{
    im_key_t      prefix, *key;
    ngx_int_t     rc;
    ngx_uint_t    i;
    im_batch_t   *batch;
    ngx_array_t   keys;

    im_group_row_key(ctx, group->gno, &prefix);

    do {
        if (ngx_array_init(&keys, ctx->pool, 8, sizeof(im_key_t)) != NGX_OK) {
            return;
        }

        rc = im_store_scan(ctx, IM_T_PEND, 0, &prefix, NULL, NULL, IM_ASC,
                           IM_PEND_PAGE, im_group_pend_key_row, &keys);

        if ((rc != NGX_OK && rc != NGX_DECLINED) || keys.nelts == 0) {
            return;
        }

        batch = im_store_batch(ctx, IM_ORDERED);
        key = keys.elts;

        for (i = 0; i < keys.nelts; i++) {
            im_store_delete(batch, IM_T_PEND, &key[i]);
        }

        rc = im_store_commit(ctx, batch);

    } while (rc == NGX_OK && keys.nelts == IM_PEND_PAGE);
}


static ngx_int_t
im_group_pend_key_row(im_row_t *row, void *data)
{
    ngx_array_t  *keys = data;

    im_key_t  *key;

    key = ngx_array_push(keys);
    if (key == NULL) {
        return NGX_ERROR;
    }

    key->invalid = 0;
    key->len = row->key.len;
    ngx_memcpy(key->data, row->key.data, key->len);

    return NGX_OK;
}


ngx_int_t
im_group_pend_open(im_ctx_t *ctx, im_group_t *group, im_group_pend_t *pend)
{
    u_char      *p;
    ngx_time_t  *tp;

    p = ngx_pnalloc(ctx->pool, 16);
    if (p == NULL) {
        return NGX_ERROR;
    }

    tp = ngx_timeofday();

    pend->gid = group->gid;
    pend->name = group->name;
    pend->time = (int64_t) tp->sec * 1000 + tp->msec;
    pend->state = IM_PEND_OPEN;
    ngx_str_null(&pend->handler);
    ngx_str_null(&pend->reply);
    ngx_str_null(&pend->reply_data);
    pend->expire = ngx_time() + IM_PEND_LIFE;

    pend->auth.data = p;
    pend->auth.len = ngx_sprintf(p, "%08xD%08xD", (uint32_t) ngx_random(),
                                 (uint32_t) ngx_random())
                     - p;

    return NGX_OK;
}


/* No account has a line feed. */

ngx_int_t
im_group_pend_id(im_ctx_t *ctx, im_group_pend_t *pend)
{
    u_char  *p;

    if (pend->kind == IM_PEND_APPLY) {
        pend->id = pend->from;
        return NGX_OK;
    }

    p = ngx_pnalloc(ctx->pool, pend->to.len + pend->from.len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    pend->id.data = p;
    pend->id.len = ngx_sprintf(p, "\n%V\n%V", &pend->to, &pend->from) - p;

    return NGX_OK;
}


ngx_int_t
im_group_pend_get(im_ctx_t *ctx, im_group_t *group, ngx_str_t *id,
    im_group_pend_t *pend)
{
    im_key_t   key;
    im_row_t   row;
    ngx_int_t  rc;

    im_group_pend_key(ctx, group, id, &key);

    rc = im_store_get(ctx, IM_T_PEND, &key, &row);

    if (rc == NGX_OK) {
        im_group_pend_load(&row, pend);
    }

    return rc;
}


static void
im_group_pend_load(im_row_t *row, im_group_pend_t *pend)
{
    ngx_memzero(pend, sizeof(im_group_pend_t));
    im_record_load(row, im_group_pend_record, pend);

    pend->version = row->version;

    if (pend->from.len == 0) {           /* an application */
        pend->from = pend->id;
    }
}


void
im_group_pend_put(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_pend_t *pend)
{
    im_key_t  key;

    im_group_pend_key(ctx, group, &pend->id, &key);

    im_store_replace(batch, IM_T_PEND, &key, pend->version,
                     im_record_doc(ctx->pool, im_group_pend_record, pend));
}


static void
im_group_pend_key(im_ctx_t *ctx, im_group_t *group, ngx_str_t *id,
    im_key_t *key)
{
    im_group_row_key(ctx, group->gno, key);
    im_key_str(key, id);
}


im_code_t
im_group_pend_handle(im_ctx_t *ctx, im_group_t *group, im_group_pend_t *req,
    ngx_uint_t agree)
{
    ngx_int_t         rc;
    im_code_t         code;
    ngx_uint_t        tries;
    im_group_pend_t   pend;

    if (im_group_pend_id(ctx, req) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    for (tries = 0; tries < IM_PEND_TRIES; tries++) {

        rc = im_group_pend_get(ctx, group, &req->id, &pend);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        if (rc == NGX_DECLINED || pend.expire <= ngx_time()) {
            ngx_str_set(&ctx->info, "there is no such application");
            return IM_E_GROUP_PARAM;
        }

        code = im_group_pend_check(ctx, req, &pend);
        if (code != IM_OK) {
            return code;
        }

        pend.state = agree ? IM_PEND_AGREED : IM_PEND_REJECTED;
        pend.handler = ctx->user;
        pend.reply = req->reply;
        pend.reply_data = req->reply_data;

        code = im_group_pend_decide(ctx, group, &pend, agree);

        if (code != IM_E_GROUP_HANDLED) {    /* not changed meanwhile */
            return code;
        }
    }

    return IM_E_GROUP_INTERNAL;
}


static im_code_t
im_group_pend_check(im_ctx_t *ctx, im_group_pend_t *req,
    im_group_pend_t *pend)
{
    if (!im_str_eq(&pend->auth, &req->auth)
        || (req->time && pend->time != req->time))
    {
        /* an older one of his, handled before he applied again */

        if (req->time && req->time < pend->time) {
            return IM_E_GROUP_HANDLED;
        }

        ngx_str_set(&ctx->info, "\"Authentication\" or \"MsgKey\" is wrong");
        return IM_E_GROUP_PARAM;
    }

    /* one that was approved is the invited's now */

    if (pend->state != IM_PEND_OPEN || pend->kind != req->kind) {
        return IM_E_GROUP_HANDLED;
    }

    return IM_OK;
}


/* IM_E_GROUP_HANDLED: the row has changed. */

static im_code_t
im_group_pend_decide(im_ctx_t *ctx, im_group_t *group, im_group_pend_t *pend,
    ngx_uint_t agree)
{
    im_code_t            code;
    ngx_int_t            rc;
    ngx_str_t           *user;
    im_batch_t          *batch;
    im_group_new_t       fresh;
    im_group_notice_t    notice;
    im_group_noticed_t   noticed;

    ngx_memzero(&notice, sizeof(im_group_notice_t));

    notice.report = im_group_pend_reports[pend->kind][agree];
    notice.text = pend->reply;
    notice.data = pend->reply_data;

    if (pend->kind != IM_PEND_APPLY) {
        notice.invited = pend->to;
    }

    user = &pend->from;

    if (agree && pend->kind == IM_PEND_PERMIT
        && group->type->invite == IM_INVITE_CONSENT)
    {
        pend->kind = IM_PEND_INVITE;

        if (im_group_pend_open(ctx, group, pend) != NGX_OK) {
            return IM_E_GROUP_INTERNAL;
        }

        im_group_invite_notice(pend, &notice);
        notice.from = pend->from;
        user = &pend->to;

    } else if (agree && !group->type->live) {

        ngx_memzero(&fresh, sizeof(im_group_new_t));

        fresh.user = pend->to.len ? pend->to : pend->from;
        fresh.role = IM_GROUP_MEMBER;
        fresh.unread = -1;

        code = im_group_pend_join(ctx, group, pend, &fresh, &notice);

        if (code != IM_OK || fresh.result == IM_JOIN_ADDED) {
            return code;
        }
    }

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_group_pend_put(ctx, batch, group, pend);

    if (im_group_notice_add(ctx, batch, group, user, &notice, &noticed)
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    rc = im_store_commit(ctx, batch);

    if (rc == NGX_OK) {
        im_fault("before_publish");
        im_group_notice_tell(ctx, batch, &noticed, 1);
    }

    return (rc == NGX_DECLINED) ? IM_E_GROUP_HANDLED : im_group_code(rc);
}


/* Who was invited comes in by his inviter. */

static im_code_t
im_group_pend_join(im_ctx_t *ctx, im_group_t *group, im_group_pend_t *pend,
    im_group_new_t *fresh, im_group_notice_t *notice)
{
    im_ctx_t   as;
    im_code_t  code;

    code = im_group_join_check(ctx, group, fresh, 1);
    if (code != IM_OK) {
        return code;
    }

    if (fresh->result == IM_JOIN_FAILED) {
        ngx_str_set(&ctx->info, "banned from the group");
        return IM_E_GROUP_RIGHT;
    }

    if (pend->kind == IM_PEND_APPLY) {
        return im_group_join(ctx, group, fresh, 1, IM_JOIN_APPLIED, 0, pend,
                             notice);
    }

    as = *ctx;
    as.user = pend->from;
    as.inst = 0;
    as.peer = 0;
    ngx_str_null(&as.tinyid);

    code = im_group_join(&as, group, fresh, 1, IM_JOIN_INVITED, 0, pend,
                         NULL);
    ctx->info = as.info;

    if (code == IM_OK && fresh->result == IM_JOIN_ADDED) {

        /* he is in, whether his inviter hears of it or not */

        (void) im_group_notice_send(ctx, group, &pend->from, 1, notice);
    }

    return code;
}


ngx_int_t
im_group_pend_list(im_ctx_t *ctx, ngx_array_t *pends)
{
    im_key_t               prefix;
    im_code_t              code;
    ngx_int_t              rc;
    ngx_uint_t             i, n;
    im_group_t             group;
    ngx_array_t            joined;
    im_group_joined_t     *j;
    im_group_pend_walk_t   walk;

    walk.pends = pends;
    walk.invited = 0;

    rc = im_group_joined(ctx, &ctx->user, &joined);
    if (rc != NGX_OK) {
        return rc;
    }

    j = joined.elts;
    n = 0;

    for (i = 0; i < joined.nelts && n < IM_PEND_GROUPS; i++) {

        code = im_group_load_gno(ctx, j[i].gno, &group);

        if (code == IM_E_GROUP_NONE) {
            continue;
        }

        if (code != IM_OK) {
            return NGX_BUSY;
        }

        if (j[i].role != IM_GROUP_ADMIN
            && !im_str_eq(&group.owner, &ctx->user))
        {
            continue;
        }

        n++;

        im_group_row_key(ctx, j[i].gno, &prefix);

        rc = im_store_scan(ctx, IM_T_PEND, 0, &prefix, NULL, NULL, IM_ASC,
                           IM_PEND_ROWS, im_group_pend_row, &walk);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }
    }

    walk.invited = 1;

    im_key_init(&prefix, ctx->app->id);
    im_key_str(&prefix, &ctx->user);

    rc = im_store_scan(ctx, IM_T_PEND, IM_PEND_TO, &prefix, NULL, NULL,
                       IM_ASC, IM_PEND_ROWS, im_group_pend_row, &walk);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    ngx_qsort(pends->elts, pends->nelts, sizeof(im_group_pend_t),
              im_group_pend_cmp);

    return NGX_OK;
}


static ngx_int_t
im_group_pend_row(im_row_t *row, void *data)
{
    im_group_pend_walk_t  *walk = data;

    im_group_pend_t  *pend, p;

    im_group_pend_load(row, &p);

    if (p.kind == (walk->invited ? IM_PEND_PERMIT : IM_PEND_INVITE)
        || p.expire <= ngx_time())
    {
        return NGX_OK;
    }

    pend = ngx_array_push(walk->pends);
    if (pend == NULL) {
        return NGX_ERROR;
    }

    *pend = p;

    return NGX_OK;
}


static int ngx_libc_cdecl
im_group_pend_cmp(const void *one, const void *two)
{
    const im_group_pend_t  *a = one;
    const im_group_pend_t  *b = two;

    return (a->time < b->time) - (a->time > b->time);
}


ngx_int_t
im_group_pend_seen(im_ctx_t *ctx, int64_t *time)
{
    im_key_t   key;
    im_row_t   row;
    ngx_int_t  rc;

    *time = 0;

    im_group_pend_seen_key(ctx, &key);

    rc = im_store_get(ctx, IM_T_COUNT, &key, &row);

    if (rc == NGX_OK) {
        (void) im_row_int(&row, "value", time);
    }

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


ngx_int_t
im_group_pend_report(im_ctx_t *ctx, int64_t time)
{
    im_key_t     key;
    im_batch_t  *batch;

    im_group_pend_seen_key(ctx, &key);

    batch = im_store_batch(ctx, IM_ORDERED);
    im_store_max(batch, IM_T_COUNT, &key, "value", time);

    return im_store_commit(ctx, batch);
}


static void
im_group_pend_seen_key(im_ctx_t *ctx, im_key_t *key)
{
    ngx_str_t  kind;

    ngx_str_set(&kind, "pendency");

    im_key_init(key, ctx->app->id);
    im_key_str(key, &kind);
    im_key_str(key, &ctx->user);
}
