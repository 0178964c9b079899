
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "live/im_room.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message_import.h"
#include "domain/im_group_read.h"
#include "domain/im_group_row.h"


#define IM_IMPORTED      -1          /* before */
#define IM_IMPORTED_AS   -2          /* another one of the same call */
#define IM_IMPORT_READS  500         /* marks of one commit */


static im_code_t im_group_message_import_read(im_ctx_t *ctx,
    im_group_t *group);


im_code_t
im_group_message_import(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *rows, im_code_t *codes, ngx_uint_t n)
{
    u_char          *p;
    int64_t          head, newest;
    ngx_int_t        rc;
    ngx_uint_t       i, k, *ops;
    im_batch_t      *batch;
    im_group_row_t   last, same;

    rc = im_group_head(ctx, group->gno, &head, &last);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    ops = ngx_palloc(ctx->pool, n * sizeof(ngx_uint_t));
    if (ops == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    newest = last.time;

    batch = im_store_batch(ctx, IM_ORDERED);

    for (i = 0; i < n; i++) {

        if (codes[i] != IM_OK) {
            continue;
        }

        p = ngx_pnalloc(ctx->pool, rows[i].from.len
                                   + 3 * (NGX_INT64_LEN + 1) + 3);
        if (p == NULL) {
            return IM_E_GROUP_INTERNAL;
        }

        rows[i].dk.data = p;
        rows[i].dk.len = ngx_sprintf(p, "i|%V|%L|%uD|%L", &rows[i].from,
                                     rows[i].random,
                                     ngx_crc32_long(rows[i].body.data,
                                                    rows[i].body.len),
                                     rows[i].time)
                         - p;

        for (k = 0; k < i; k++) {
            if (im_str_eq(&rows[k].dk, &rows[i].dk)) {
                break;
            }
        }

        if (k < i) {
            ops[i] = k;
            codes[i] = IM_IMPORTED_AS;
            continue;
        }

        /* a call that is repeated finds what it has imported */

        rc = im_group_row_by_dk(ctx, group->gno, &rows[i].dk, &same);

        if (rc == NGX_OK) {
            rows[i].seq = same.seq;
            codes[i] = IM_IMPORTED;
            continue;
        }

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        if (rows[i].time <= group->created
            || rows[i].time < newest
            || rows[i].time >= ngx_time())
        {
            codes[i] = IM_E_GROUP_PARAM;
            continue;
        }

        newest = rows[i].time;

        rows[i].type = IM_ROW_MESSAGE;
        rows[i].prio = IM_ROOM_NORMAL;
        im_group_row_sender(ctx, &rows[i]);

        ops[i] = im_group_row_append(ctx, batch, group, &rows[i]);
    }

    if (batch && batch->n) {

        rc = im_store_commit(ctx, batch);

        if (rc != NGX_OK) {
            return IM_E_GROUP_INTERNAL;
        }
    }

    for (i = 0; i < n; i++) {

        if (codes[i] == IM_OK) {
            rows[i].seq = batch->ops[ops[i]].result;

        } else if (codes[i] == IM_IMPORTED) {
            codes[i] = IM_OK;

        } else if (codes[i] == IM_IMPORTED_AS) {
            codes[i] = codes[ops[i]];
            rows[i].seq = rows[ops[i]].seq;
        }
    }

    return im_group_message_import_read(ctx, group);
}


/* Nothing of it is unread for those who are members already. */

static im_code_t
im_group_message_import_read(im_ctx_t *ctx, im_group_t *group)
{
    int64_t             head;
    ngx_int_t           rc;
    im_code_t           code;
    ngx_uint_t          i;
    im_batch_t         *batch;
    ngx_array_t         members;
    im_group_member_t  *m;

    if (ngx_array_init(&members, ctx->pool, 16, sizeof(im_group_member_t))
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    code = im_group_member_list(ctx, group, NGX_MAX_UINT32_VALUE, &members);
    if (code != IM_OK) {
        return code;
    }

    rc = im_group_head(ctx, group->gno, &head, NULL);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    m = members.elts;
    batch = NULL;

    for (i = 0; i < members.nelts; i++) {

        if (batch == NULL) {
            batch = im_store_batch(ctx, IM_ORDERED);
        }

        im_group_read_max(ctx, batch, group, &m[i].user, head, 0);

        if (i % IM_IMPORT_READS == IM_IMPORT_READS - 1
            || i == members.nelts - 1)
        {
            rc = im_store_commit(ctx, batch);
            if (rc != NGX_OK) {
                return im_group_code(rc);
            }

            batch = NULL;
        }
    }

    return IM_OK;
}
