
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "core/im_str.h"
#include "domain/im_group_join.h"
#include "domain/im_group_pend.h"
#include "domain/im_group_row.h"


#define IM_PEND_TRIES   8
#define IM_PEND_GROUPS  200          /* that one answer looks into */
#define IM_PEND_ROWS    500          /* of a group */


static ngx_int_t im_group_pend_row(im_row_t *row, void *data);
static void im_group_pend_key(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *from, im_key_t *key);
static int ngx_libc_cdecl im_group_pend_cmp(const void *one,
    const void *two);


static im_record_t  im_group_pend_record[] = {
    { ngx_string("id"), IM_COL_STR, offsetof(im_group_pend_t, from) },
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
    u_char              *p;
    ngx_int_t            rc;
    ngx_time_t          *tp;
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
    p = ngx_pnalloc(ctx->pool, 32);

    if (noticed == NULL || p == NULL) {
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

        tp = ngx_timeofday();

        pend.from = ctx->user;
        pend.gid = group->gid;
        pend.name = group->name;
        pend.time = (int64_t) tp->sec * 1000 + tp->msec;
        pend.text = *text;
        pend.data = *data;
        pend.state = IM_PEND_OPEN;
        ngx_str_null(&pend.handler);
        ngx_str_null(&pend.reply);
        ngx_str_null(&pend.reply_data);
        pend.expire = ngx_time() + IM_PEND_LIFE;

        pend.auth.data = p;
        pend.auth.len = ngx_sprintf(p, "%08xD%08xD",
                                    (uint32_t) ngx_random(),
                                    (uint32_t) ngx_random())
                        - p;

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


ngx_int_t
im_group_pend_get(im_ctx_t *ctx, im_group_t *group, ngx_str_t *from,
    im_group_pend_t *pend)
{
    im_key_t   key;
    im_row_t   row;
    ngx_int_t  rc;

    im_group_pend_key(ctx, group, from, &key);

    rc = im_store_get(ctx, IM_T_PEND, &key, &row);

    if (rc == NGX_OK) {
        ngx_memzero(pend, sizeof(im_group_pend_t));
        im_record_load(&row, im_group_pend_record, pend);
        pend->version = row.version;
    }

    return rc;
}


void
im_group_pend_put(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_pend_t *pend)
{
    im_key_t  key;

    im_group_pend_key(ctx, group, &pend->from, &key);

    im_store_replace(batch, IM_T_PEND, &key, pend->version,
                     im_record_doc(ctx->pool, im_group_pend_record, pend));
}


static void
im_group_pend_key(im_ctx_t *ctx, im_group_t *group, ngx_str_t *from,
    im_key_t *key)
{
    im_group_row_key(ctx, group->gno, key);
    im_key_str(key, from);
}


im_code_t
im_group_pend_handle(im_ctx_t *ctx, im_group_t *group, im_group_pend_t *req,
    ngx_uint_t agree)
{
    ngx_int_t            rc;
    im_code_t            code;
    ngx_uint_t           tries;
    im_batch_t          *batch;
    im_group_new_t       fresh;
    im_group_pend_t      pend;
    im_group_notice_t    notice;
    im_group_noticed_t   noticed;

    for (tries = 0; tries < IM_PEND_TRIES; tries++) {

        rc = im_group_pend_get(ctx, group, &req->from, &pend);

        if (rc == NGX_DECLINED) {
            ngx_str_set(&ctx->info, "there is no such application");
            return IM_E_GROUP_PARAM;
        }

        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        if (!im_str_eq(&pend.auth, &req->auth) || pend.time != req->time) {

            /* an older one of his, handled before he applied again */

            if (req->time < pend.time) {
                return IM_E_GROUP_HANDLED;
            }

            ngx_str_set(&ctx->info, "\"Authentication\" or \"MsgKey\" is "
                                    "wrong");
            return IM_E_GROUP_PARAM;
        }

        if (pend.state != IM_PEND_OPEN) {
            return IM_E_GROUP_HANDLED;
        }

        pend.state = agree ? IM_PEND_AGREED : IM_PEND_REJECTED;
        pend.handler = ctx->user;
        pend.reply = req->reply;
        pend.reply_data = req->reply_data;

        ngx_memzero(&notice, sizeof(im_group_notice_t));

        notice.report = agree ? IM_REPORT_ACCEPT : IM_REPORT_REFUSE;
        notice.text = pend.reply;
        notice.data = pend.reply_data;

        if (agree) {
            ngx_memzero(&fresh, sizeof(im_group_new_t));

            fresh.user = pend.from;
            fresh.role = IM_GROUP_MEMBER;
            fresh.unread = -1;

            code = im_group_join_check(ctx, group, &fresh, 1);

            if (code == IM_OK && fresh.result == IM_JOIN_FAILED) {
                ngx_str_set(&ctx->info, "banned from the group");
                return IM_E_GROUP_RIGHT;
            }

            if (code == IM_OK) {
                code = im_group_join(ctx, group, &fresh, 1, IM_JOIN_APPLIED,
                                     0, &pend, &notice);
            }

            if (code == IM_E_GROUP_HANDLED) {    /* changed meanwhile */
                continue;
            }

            if (code != IM_OK || fresh.result == IM_JOIN_ADDED) {
                return code;
            }
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_group_pend_put(ctx, batch, group, &pend);

        if (im_group_notice_add(ctx, batch, group, &pend.from, &notice,
                                &noticed)
            != NGX_OK)
        {
            return IM_E_GROUP_INTERNAL;
        }

        rc = im_store_commit(ctx, batch);

        if (rc == NGX_OK) {
            im_fault("before_publish");
            im_group_notice_tell(ctx, batch, &noticed, 1);

            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }
    }

    return IM_E_GROUP_INTERNAL;
}


ngx_int_t
im_group_pend_list(im_ctx_t *ctx, ngx_array_t *pends)
{
    im_key_t            prefix;
    im_code_t           code;
    ngx_int_t           rc;
    ngx_uint_t          i, n;
    im_group_t          group;
    ngx_array_t         joined;
    im_group_joined_t  *j;

    if (ngx_array_init(&joined, ctx->pool, 16, sizeof(im_group_joined_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

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
                           IM_PEND_ROWS, im_group_pend_row, pends);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }
    }

    ngx_qsort(pends->elts, pends->nelts, sizeof(im_group_pend_t),
              im_group_pend_cmp);

    return NGX_OK;
}


static ngx_int_t
im_group_pend_row(im_row_t *row, void *data)
{
    ngx_array_t  *pends = data;

    im_group_pend_t  *pend;

    pend = ngx_array_push(pends);
    if (pend == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(pend, sizeof(im_group_pend_t));
    im_record_load(row, im_group_pend_record, pend);

    return NGX_OK;
}


static int ngx_libc_cdecl
im_group_pend_cmp(const void *one, const void *two)
{
    const im_group_pend_t  *a = one;
    const im_group_pend_t  *b = two;

    return (a->time < b->time) - (a->time > b->time);
}
