
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "core/im_str.h"
#include "domain/im_cache.h"
#include "domain/im_group_at.h"
#include "domain/im_group_gone.h"
#include "domain/im_group_leave.h"
#include "domain/im_group_list.h"
#include "domain/im_group_notice.h"
#include "domain/im_group_quota.h"
#include "domain/im_group_read.h"
#include "domain/im_group_row.h"


#define IM_GONE_SLICE   50           /* members of one commit */
#define IM_GONE_ROWS    100          /* rows of one */
#define IM_GONE_GROUPS  50           /* of a deleted account, at once */


static void im_group_gone_parse(im_ctx_t *ctx, im_job_t *job,
    im_group_t *group, im_group_notice_t *notice);
static ngx_int_t im_group_gone_rest(im_ctx_t *ctx, im_group_t *group);
static ngx_int_t im_group_gone_member(im_ctx_t *ctx, int64_t gno,
    ngx_str_t *user);


/* What is under the number of a group, besides members and messages. */

static im_table_e  im_group_gone_tables[] = {
    IM_T_PEND,
    IM_T_MUTE,
    IM_T_RECEIPT,
    IM_T_GROUP_ATTR
};


/*
 * Dissolving: each member's row goes together with his notice, so a slice
 * that is done again finds what is left.
 */

ngx_int_t
im_group_gone_add(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    ngx_uint_t report, im_job_t *job)
{
    u_char  *p;

    ngx_memzero(job, sizeof(im_job_t));

    p = ngx_pnalloc(ctx->pool, group->gid.len + ctx->user.len
                               + group->type->name.len + group->name.len
                               + 2 * NGX_INT_T_LEN + 5);
    if (p == NULL) {
        return NGX_ERROR;
    }

    job->arg.data = p;
    job->arg.len = ngx_sprintf(p, "%V\n%V\n%V\n%ui\n%ui\n%V", &group->gid,
                               &ctx->user, &group->type->name,
                               (ngx_uint_t) group->idle, report,
                               &group->name)
                   - p;
    job->num = group->gno;

    return im_job_add(ctx, batch, "group_gone", &job->arg, job->num,
                      &job->id);
}


static void
im_group_gone_parse(im_ctx_t *ctx, im_job_t *job, im_group_t *group,
    im_group_notice_t *notice)
{
    u_char      *p, *last, *end;
    int64_t      report;
    ngx_str_t    part[6];
    ngx_uint_t   i;

    ngx_memzero(part, sizeof(part));

    p = job->arg.data;
    last = p + job->arg.len;

    for (i = 0; i < 6 && p <= last; i++) {

        end = (i < 5) ? ngx_strlchr(p, last, '\n') : last;

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
    notice->from = part[1];
    group->type_name = part[2];
    group->type = im_group_type(ctx->app, &part[2]);
    group->idle = part[3].len && part[3].data[0] == '1';
    group->name = part[5];

    notice->report = (im_str_int(&part[4], &report) == NGX_OK)
                     ? (ngx_uint_t) report : IM_REPORT_DESTROY;
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
    im_members_walk_t      walk;
    im_group_notice_t    notice;
    im_group_noticed_t  *noticed;

    ngx_memzero(&notice, sizeof(im_group_notice_t));

    im_group_gone_parse(ctx, job, &group, &notice);

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

    rc = im_group_members(ctx, group.gno, &walk, IM_GONE_SLICE);
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


static ngx_int_t
im_group_gone_rest(im_ctx_t *ctx, im_group_t *group)
{
    im_key_t          key, prefix;
    ngx_int_t         rc;
    ngx_uint_t        i, drop;
    im_store_rows_t   rows;

    im_group_row_key(ctx, group->gno, &prefix);

    rows.batch = im_store_batch(ctx, IM_ORDERED);
    rows.n = 0;

    for (i = 0;
         i < sizeof(im_group_gone_tables) / sizeof(im_table_e)
         && rows.n < IM_GONE_ROWS;
         i++)
    {
        rc = im_store_scan(ctx, im_group_gone_tables[i], 0, &prefix, NULL,
                           NULL, IM_ASC, IM_GONE_ROWS - rows.n,
                           im_store_delete_row, &rows);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }
    }

    drop = im_store_drop(rows.batch, IM_T_GROUP_MSG, &prefix);

    im_group_count_key(ctx, group, &key);
    im_store_delete(rows.batch, IM_T_COUNT, &key);

    im_group_at_all_key(ctx, group, &key);
    im_store_delete(rows.batch, IM_T_COUNT, &key);

    rc = im_cache_commit(ctx, rows.batch);

    return (rc == NGX_OK
            && (rows.n == IM_GONE_ROWS || rows.batch->ops[drop].result))
           ? NGX_AGAIN : rc;
}


ngx_int_t
im_group_gone_user(im_ctx_t *ctx, ngx_str_t *user)
{
    im_ctx_t            as;
    ngx_int_t           rc;
    ngx_uint_t          i, n;
    ngx_array_t         joined;
    im_group_joined_t  *j;

    /* members are told that he has quit */

    as = *ctx;
    as.user = *user;
    as.role = IM_ROLE_USER;
    as.inst = 0;
    as.peer = 0;

    rc = im_group_joined(&as, user, &joined);
    if (rc != NGX_OK) {
        return rc;
    }

    j = joined.elts;
    n = ngx_min(joined.nelts, IM_GONE_GROUPS);

    for (i = 0; i < n; i++) {

        rc = im_group_gone_member(&as, j[i].gno, user);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return (n < joined.nelts) ? NGX_AGAIN : NGX_OK;
}


static ngx_int_t
im_group_gone_member(im_ctx_t *ctx, int64_t gno, ngx_str_t *user)
{
    im_key_t     key;
    im_code_t    code;
    ngx_int_t    rc;
    ngx_str_t    name;
    im_batch_t  *batch;
    im_group_t   group;

    code = im_group_load_gno(ctx, gno, &group);

    if (code == IM_OK) {
        name = *user;
        code = im_group_leave(ctx, &group, &name, 1, IM_LEAVE_DELETED, 0,
                              NULL);
    }

    if (code != IM_E_GROUP_NONE) {
        return (code == IM_OK) ? NGX_OK : NGX_BUSY;
    }

    /* it is being dissolved, by a job that may have come to him meanwhile */

    ngx_memzero(&group, sizeof(im_group_t));
    group.gno = gno;

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_group_member_key(ctx, &group, user, &key);
    im_store_expect(batch, IM_T_MEMBER, &key, -1);
    im_store_delete(batch, IM_T_MEMBER, &key);

    im_group_read_delete(ctx, batch, &group, user);
    im_group_quota_leave(ctx, batch, user);

    rc = im_cache_commit(ctx, batch);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}
