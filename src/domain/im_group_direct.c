
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_group_direct.h"
#include "domain/im_group_member.h"
#include "domain/im_message.h"


#define IM_DIRECT_BACK  50           /* messages that are looked at */


static ngx_uint_t im_group_direct_named(ngx_str_t *names, ngx_str_t *user);
static ngx_uint_t im_group_direct_shown(im_group_row_t *row,
    ngx_str_t *user);


ngx_uint_t
im_group_direct_visible(im_group_row_t *row, ngx_str_t *user)
{
    return row->to.len == 0
           || im_str_eq(&row->from, user)
           || im_group_direct_named(&row->to, user);
}


static ngx_uint_t
im_group_direct_named(ngx_str_t *names, ngx_str_t *user)
{
    u_char  *p, *last, *end;

    p = names->data;
    last = p + names->len;

    while (p < last) {

        end = ngx_strlchr(p, last, LF);

        if (end == NULL) {
            break;
        }

        if ((size_t) (end - p) == user->len
            && ngx_memcmp(p, user->data, user->len) == 0)
        {
            return 1;
        }

        p = end + 1;
    }

    return 0;
}


ngx_uint_t
im_group_direct_count(im_group_row_t *row)
{
    size_t      i;
    ngx_uint_t  n;

    n = 0;

    for (i = 0; i < row->to.len; i++) {
        n += (row->to.data[i] == LF);
    }

    return n;
}


im_code_t
im_group_direct_names(im_ctx_t *ctx, im_group_t *group, ngx_str_t *from,
    ngx_str_t *users, ngx_uint_t n, ngx_str_t *names)
{
    u_char              *p;
    size_t               len;
    ngx_int_t            rc;
    ngx_uint_t           i;
    im_group_member_t   *members;

    members = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_group_member_t));
    if (members == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    rc = im_group_member_get_many(ctx, group, users, n, members);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    len = 0;

    for (i = 0; i < n; i++) {
        len += users[i].len + 1;
    }

    names->len = 0;
    names->data = ngx_pnalloc(ctx->pool, len + 1);

    if (names->data == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    for (i = 0; i < n; i++) {

        if (members[i].version == 0
            || im_str_eq(&users[i], from)
            || im_group_direct_named(names, &users[i]))
        {
            continue;
        }

        p = ngx_cpymem(names->data + names->len, users[i].data,
                       users[i].len);
        *p = LF;

        names->len += users[i].len + 1;
    }

    if (names->len == 0) {
        ngx_str_set(&ctx->info, "\"To_Account\" has no member");
        return IM_E_GROUP_PARAM;
    }

    return IM_OK;
}


ngx_int_t
im_group_direct_record(im_ctx_t *ctx, im_group_row_t *row, ngx_str_t *event,
    ngx_uint_t *flags, ngx_str_t *payload)
{
    u_char     *p;
    ngx_str_t   text;

    if (row->to.len == 0) {
        *payload = *event;
        return NGX_OK;
    }

    text.len = row->to.len + row->from.len + 2 + event->len;
    text.data = ngx_pnalloc(ctx->pool, text.len);

    if (text.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(text.data, row->to.data, row->to.len);
    p = ngx_cpymem(p, row->from.data, row->from.len);
    *p++ = LF;
    *p++ = LF;
    ngx_memcpy(p, event->data, event->len);

    *flags |= IM_GROUP_DIRECT;
    *payload = text;

    return NGX_OK;
}


ngx_int_t
im_group_direct_event(ngx_str_t *payload, ngx_str_t *user, ngx_str_t *event)
{
    size_t     i;
    ngx_str_t  names;

    for (i = 1; i < payload->len; i++) {
        if (payload->data[i] == LF && payload->data[i - 1] == LF) {
            break;
        }
    }

    names.data = payload->data;
    names.len = i;

    if (i >= payload->len || !im_group_direct_named(&names, user)) {
        return NGX_DECLINED;
    }

    event->data = payload->data + i + 1;
    event->len = payload->len - i - 1;

    return NGX_OK;
}


void
im_group_direct_hint(im_ctx_t *ctx, im_group_t *group, im_group_row_t *row,
    ngx_str_t *event, ngx_uint_t flags, uint64_t except)
{
    ngx_str_t  payload;

    if (im_group_direct_record(ctx, row, event, &flags, &payload) == NGX_OK) {
        im_group_hint(ctx, group, &payload, flags, except);
    }
}


static ngx_uint_t
im_group_direct_shown(im_group_row_t *row, ngx_str_t *user)
{
    return !(row->opts & IM_MSG_NO_LAST)
           && im_group_direct_visible(row, user);
}


ngx_int_t
im_group_direct_head(im_ctx_t *ctx, int64_t gno, ngx_str_t *user,
    int64_t *head, im_group_row_t *row)
{
    ngx_int_t        rc;
    ngx_uint_t       i;
    ngx_array_t      rows;
    im_group_row_t  *r;

    rc = im_group_head(ctx, gno, head, row);

    if (rc != NGX_OK || im_group_direct_shown(row, user)) {
        return rc;
    }

    ngx_memzero(row, sizeof(im_group_row_t));

    if (ngx_array_init(&rows, ctx->pool, 8, sizeof(im_group_row_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = im_group_rows(ctx, gno, 1, *head - 1, IM_DESC, IM_DIRECT_BACK,
                       &rows);
    if (rc != NGX_OK) {
        return rc;
    }

    r = rows.elts;

    for (i = 0; i < rows.nelts; i++) {
        if (im_group_direct_shown(&r[i], user)) {
            *row = r[i];
            break;
        }
    }

    return NGX_OK;
}
