
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "live/im_session.h"
#include "domain/im_group_item.h"
#include "domain/im_group_notice.h"
#include "domain/im_inbox.h"


static ngx_int_t im_group_notice_event(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *user, im_group_notice_t *notice, int64_t *ids,
    ngx_str_t *event);


ngx_int_t
im_group_notice_add(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    ngx_str_t *user, im_group_notice_t *notice, im_group_noticed_t *noticed)
{
    int64_t     ids[2];
    im_inbox_t  row;

    noticed->user = *user;

    if (im_group_notice_event(ctx, group, user, notice, ids, &noticed->event)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&row, sizeof(im_inbox_t));

    row.type = IM_INBOX_NOTICE;
    row.mseq = ids[0];
    row.rand = ids[1];
    row.time = ngx_time();
    row.kept = 1;
    row.event = noticed->event;
    row.expire = ngx_time() + ctx->app->notices_life;

    noticed->op = im_inbox_append(ctx, batch, user, &row);

    return NGX_OK;
}


void
im_group_notice_tell(im_ctx_t *ctx, im_batch_t *batch,
    im_group_noticed_t *noticed, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        im_inbox_publish(ctx, &noticed[i].user,
                         batch->ops[noticed[i].op].result, 0,
                         &noticed[i].event);
    }
}


ngx_int_t
im_group_notice_send(im_ctx_t *ctx, im_group_t *group, ngx_str_t *users,
    ngx_uint_t n, im_group_notice_t *notice)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    im_batch_t          *batch;
    im_group_noticed_t  *noticed;

    if (n == 0) {
        return NGX_OK;
    }

    noticed = ngx_palloc(ctx->pool, n * sizeof(im_group_noticed_t));
    if (noticed == NULL) {
        return NGX_ERROR;
    }

    batch = im_store_batch(ctx, IM_ATOMIC);

    for (i = 0; i < n; i++) {
        if (im_group_notice_add(ctx, batch, group, &users[i], notice,
                                &noticed[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    rc = im_store_commit(ctx, batch);

    if (rc == NGX_OK) {
        im_fault("before_publish");
        im_group_notice_tell(ctx, batch, noticed, n);
    }

    return rc;
}


void
im_group_notice_hint(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_group_notice_t *notice, uint32_t except)
{
    ngx_str_t  event;

    if (!im_session_reachable(ctx->app->id, user, except)) {
        return;
    }

    if (im_group_notice_event(ctx, group, user, notice, NULL, &event)
        == NGX_OK)
    {
        im_inbox_publish(ctx, user, 0, except, &event);
    }
}


static ngx_int_t
im_group_notice_event(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_group_notice_t *notice, int64_t *ids, ngx_str_t *event)
{
    ngx_str_t  *from;
    im_json_t  *body;

    from = notice->from.len ? &notice->from : &ctx->user;

    body = im_json_new_obj(ctx->pool);

    im_json_add_int(body, "ReportType", notice->report);
    im_json_add_str(body, "Operator_Account", from);

    im_group_item_profile(ctx, im_json_add_obj(body,
                                               "MsgOperatorMemberExtraInfo"),
                          from);

    if (notice->invited.len) {
        im_json_push_str(im_json_add_list(body, "List_Account"),
                         &notice->invited);
    }

    if (notice->text.len) {
        im_json_add_str(body, "RemarkInfo", &notice->text);
    }

    if (notice->key) {
        im_json_add_int(body, "MsgKey", notice->key);
        im_json_add_str(body, "Authentication", &notice->auth);
    }

    if (notice->data.len) {
        im_json_add_str(body, "UserDefinedField", &notice->data);
    }

    if (notice->flag.len) {
        im_json_add_str(body, "MsgFlag", &notice->flag);
    }

    return im_group_item_system(ctx, group, IM_ITEM_NOTICE, body, user,
                                notice->data.len ? &notice->data : NULL, ids,
                                event);
}


void
im_group_joined_hint(im_ctx_t *ctx, int64_t gno, ngx_str_t *user,
    ngx_uint_t joined)
{
    u_char     buf[NGX_INT64_LEN + 1];
    ngx_str_t  text;

    text.data = buf;
    text.len = ngx_sprintf(buf, "%s%L", joined ? "+" : "-", gno) - buf;

    (void) im_session_publish(ctx->app->id, user, 0, 0, 0,
                              IM_INBOX_MEMBERSHIP, &text);
}
