
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_fault.h"
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_callback.h"
#include "domain/im_message.h"
#include "domain/im_read.h"


#define IM_READ_GET_MAX    500
#define IM_READ_PAGE       100           /* conversations of one call */
#define IM_READ_PAGES      10
#define IM_READ_SECOND     1000          /* messages of one second */


/* Messages of the mark's second that came after the report. */

typedef struct {
    int64_t            seq;
    ngx_uint_t         n;
} im_read_second_t;


static ngx_int_t im_read_get_keys(im_ctx_t *ctx, im_key_t *keys,
    ngx_uint_t n, im_read_t *reads);
static void im_read_key(im_ctx_t *ctx, ngx_str_t *user, int64_t type,
    ngx_str_t *peer, im_key_t *key);
static ngx_int_t im_read_second(im_ctx_t *ctx, im_key_t *prefix,
    im_read_t *read, ngx_uint_t *n);
static ngx_int_t im_read_second_row(im_row_t *row, void *data);
static ngx_int_t im_read_peer_row(im_row_t *row, void *data);
static ngx_int_t im_read_mark(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *peer, int64_t time, ngx_uint_t quiet, ngx_uint_t tell,
    int64_t left);


ngx_int_t
im_read_get(im_ctx_t *ctx, ngx_str_t *user, int64_t type, ngx_str_t *peers,
    ngx_uint_t n, im_read_t *reads)
{
    im_key_t    *keys;
    ngx_uint_t   i;

    keys = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_key_t));
    if (keys == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        im_read_key(ctx, user, type, &peers[i], &keys[i]);
    }

    return im_read_get_keys(ctx, keys, n, reads);
}


ngx_int_t
im_read_get_of(im_ctx_t *ctx, ngx_str_t *users, ngx_uint_t n,
    ngx_str_t *peer, im_read_t *reads)
{
    im_key_t    *keys;
    ngx_uint_t   i;

    keys = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_key_t));
    if (keys == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        im_read_key(ctx, &users[i], IM_CONV_C2C, peer, &keys[i]);
    }

    return im_read_get_keys(ctx, keys, n, reads);
}


static ngx_int_t
im_read_get_keys(im_ctx_t *ctx, im_key_t *keys, ngx_uint_t n,
    im_read_t *reads)
{
    im_row_t    *rows;
    ngx_int_t    rc;
    ngx_uint_t   i, k, m;

    ngx_memzero(reads, n * sizeof(im_read_t));

    for (i = 0; i < n; i += m) {

        m = ngx_min(n - i, IM_READ_GET_MAX);

        rows = ngx_pcalloc(ctx->pool, m * sizeof(im_row_t));
        if (rows == NULL) {
            return NGX_ERROR;
        }

        rc = im_store_get_many(ctx, IM_T_READ, &keys[i], m, rows);
        if (rc != NGX_OK) {
            return rc;
        }

        for (k = 0; k < m; k++) {
            if (rows[k].data.data) {
                (void) im_row_int(&rows[k], "time", &reads[i + k].time);
                (void) im_row_int(&rows[k], "seq", &reads[i + k].seq);
            }
        }
    }

    return NGX_OK;
}


static void
im_read_key(im_ctx_t *ctx, ngx_str_t *user, int64_t type, ngx_str_t *peer,
    im_key_t *key)
{
    im_key_init(key, ctx->app->id);
    im_key_str(key, user);
    im_key_int(key, type);
    im_key_str(key, peer);
}


ngx_int_t
im_read_unread(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    im_read_t *read, ngx_uint_t *n)
{
    im_key_t    prefix, from;
    ngx_int_t   rc;
    ngx_uint_t  same;

    im_inbox_key(ctx, user, &prefix);
    im_key_str(&prefix, peer);

    from = prefix;
    im_key_int(&from, read->time + 1);

    *n = 0;
    same = 0;

    rc = im_store_count(ctx, IM_T_INBOX, IM_INBOX_HIST, &prefix, &from, NULL,
                        IM_F_COUNTS, IM_F_RECALLED|IM_F_HIDDEN,
                        ctx->app->unread_max, n);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    if (read->time && *n < (ngx_uint_t) ctx->app->unread_max) {
        rc = im_read_second(ctx, &prefix, read, &same);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    *n = ngx_min(*n + same, (ngx_uint_t) ctx->app->unread_max);

    return NGX_OK;
}


static ngx_int_t
im_read_second(im_ctx_t *ctx, im_key_t *prefix, im_read_t *read,
    ngx_uint_t *n)
{
    im_key_t          second;
    ngx_int_t         rc;
    im_read_second_t  s;

    second = *prefix;
    im_key_int(&second, read->time);

    s.seq = read->seq;
    s.n = 0;

    rc = im_store_scan(ctx, IM_T_INBOX, IM_INBOX_HIST, &second, NULL, NULL,
                       IM_ASC, IM_READ_SECOND, im_read_second_row, &s);

    *n = s.n;

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_read_second_row(im_row_t *row, void *data)
{
    im_read_second_t  *s = data;

    int64_t  seq, flags;

    (void) im_row_int(row, "seq", &seq);
    (void) im_row_int(row, "flags", &flags);

    if (seq > s->seq
        && (flags & IM_F_COUNTS)
        && !(flags & (IM_F_RECALLED|IM_F_HIDDEN)))
    {
        s->n++;
    }

    return NGX_OK;
}


ngx_int_t
im_read_peers(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t max,
    ngx_array_t *peers)
{
    im_key_t         prefix, after;
    ngx_int_t        rc;
    ngx_str_t       *names;
    im_read_t       *reads;
    ngx_uint_t       i, page;
    ngx_array_t      seen;
    im_read_peer_t  *p, *found;

    if (ngx_array_init(&seen, ctx->pool, IM_READ_PAGE, sizeof(im_read_peer_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    names = ngx_palloc(ctx->pool, IM_READ_PAGE * sizeof(ngx_str_t));
    reads = ngx_palloc(ctx->pool, IM_READ_PAGE * sizeof(im_read_t));

    if (names == NULL || reads == NULL) {
        return NGX_ERROR;
    }

    im_inbox_key(ctx, user, &prefix);

    for (page = 0; page < IM_READ_PAGES; page++) {

        if (page) {
            im_co_yield();
        }

        seen.nelts = 0;

        rc = im_store_last_each(ctx, IM_T_INBOX, IM_INBOX_HIST, &prefix,
                                page ? &after : NULL, 0, IM_READ_PAGE,
                                im_read_peer_row, &seen);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }

        p = seen.elts;

        for (i = 0; i < seen.nelts; i++) {
            names[i] = p[i].peer;
        }

        rc = im_read_get(ctx, user, IM_CONV_C2C, names, seen.nelts, reads);
        if (rc != NGX_OK) {
            return rc;
        }

        for (i = 0; i < seen.nelts; i++) {

            p[i].read = reads[i];

            if (p[i].last.time < reads[i].time) {
                continue;
            }

            rc = im_read_unread(ctx, user, &p[i].peer, &reads[i],
                                &p[i].unread);
            if (rc != NGX_OK) {
                return rc;
            }

            if (p[i].unread == 0) {
                continue;
            }

            found = ngx_array_push(peers);
            if (found == NULL) {
                return NGX_ERROR;
            }

            *found = p[i];

            if (peers->nelts == max) {
                return NGX_OK;
            }
        }

        if (seen.nelts < IM_READ_PAGE) {
            break;
        }

        after = prefix;
        im_key_str(&after, &names[IM_READ_PAGE - 1]);
    }

    return NGX_OK;
}


ngx_int_t
im_read_unread_all(im_ctx_t *ctx, ngx_str_t *user, int64_t *n)
{
    ngx_int_t        rc;
    ngx_uint_t       i;
    ngx_array_t      peers;
    im_read_peer_t  *p;

    *n = 0;

    if (ngx_array_init(&peers, ctx->pool, 16, sizeof(im_read_peer_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = im_read_peers(ctx, user, IM_READ_PAGES * IM_READ_PAGE, &peers);

    p = peers.elts;

    for (i = 0; rc == NGX_OK && i < peers.nelts; i++) {
        *n += p[i].unread;
    }

    return rc;
}


static ngx_int_t
im_read_peer_row(im_row_t *row, void *data)
{
    ngx_array_t  *peers = data;

    im_read_peer_t  *p;

    p = ngx_array_push(peers);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(p, sizeof(im_read_peer_t));

    im_record_load(row, im_inbox_record, &p->last);
    p->peer = p->last.peer;

    return NGX_OK;
}


im_code_t
im_read_report(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer, int64_t time,
    ngx_uint_t quiet, int64_t left)
{
    u_char      exists;
    ngx_int_t   rc;
    im_read_t   read;
    ngx_uint_t  n;

    time = ngx_min(time, (int64_t) ngx_time());

    rc = im_account_exist(ctx, peer, 1, &exists);

    if (rc == NGX_OK && !exists) {

        /* what an account has sent that was deleted since can be read, too */

        if (!im_account_syntax(ctx->app, peer)) {
            return IM_OK;
        }

        rc = im_read_get(ctx, user, IM_CONV_C2C, peer, 1, &read);

        if (rc == NGX_OK) {
            rc = im_read_unread(ctx, user, peer, &read, &n);
        }

        if (rc == NGX_OK && n == 0) {
            return IM_OK;
        }
    }

    if (rc == NGX_OK) {
        rc = im_read_mark(ctx, user, peer, time, quiet,
                          exists && !im_str_eq(user, peer), left);
    }

    return (rc == NGX_OK || rc == NGX_DECLINED) ? IM_OK
                                                : im_message_code(ctx, rc);
}


/* NGX_DECLINED: nothing is new. */

static ngx_int_t
im_read_mark(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer, int64_t time,
    ngx_uint_t quiet, ngx_uint_t tell, int64_t left)
{
    int64_t      head;
    im_key_t     key, prefix;
    ngx_int_t    rc;
    im_read_t    read;
    im_json_t   *root, *notify, *list, *item;
    ngx_uint_t   n, own_op, peer_op;
    im_batch_t  *batch;
    im_inbox_t   own, other;

    own_op = 0;
    peer_op = 0;

    rc = im_read_get(ctx, user, IM_CONV_C2C, peer, 1, &read);
    if (rc != NGX_OK) {
        return rc;
    }

    if (time <= 0 || time < read.time) {
        return NGX_DECLINED;
    }

    if (time == read.time) {

        /* nothing new, unless more has come in that second */

        im_inbox_key(ctx, user, &prefix);
        im_key_str(&prefix, peer);

        rc = im_read_second(ctx, &prefix, &read, &n);

        if (rc != NGX_OK) {
            return rc;
        }

        if (n == 0) {
            return NGX_DECLINED;
        }
    }

    rc = im_inbox_head(ctx, user, &head);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    im_read_key(ctx, user, IM_CONV_C2C, peer, &key);

    batch = im_store_batch(ctx, IM_ORDERED);

    (void) im_store_max(batch, IM_T_READ, &key, "time", time);
    (void) im_store_max(batch, IM_T_READ, &key, "seq",
                        (rc == NGX_OK) ? head : 0);

    ngx_memzero(&own, sizeof(im_inbox_t));
    ngx_memzero(&other, sizeof(im_inbox_t));

    own.type = IM_INBOX_EVENT;
    own.inst = im_str_eq(user, &ctx->user) ? ctx->inst : 0;
    other.type = IM_INBOX_EVENT;

    if (!quiet) {
        root = im_message_notify(ctx, "ReadC2cMsgNotify", &notify);
        list = im_json_add_list(notify, "UinPairReadArray");
        item = im_json_push_obj(list);

        im_json_add_str(item, "From_Account", peer);
        im_json_add_int(item, "LastReadTime", time);

        if (im_json_render(ctx->pool, root, &own.event) != NGX_OK) {
            return NGX_ERROR;
        }

        own_op = im_inbox_append(ctx, batch, user, &own);
    }

    if (tell) {
        root = im_message_notify(ctx, "C2cReadedReceipt", &notify);

        im_json_add_str(notify, "From_Account", peer);
        im_json_add_str(notify, "To_Account", user);

        list = im_json_add_list(notify, "UinPairReadArray");
        item = im_json_push_obj(list);

        im_json_add_int(item, "LastReadTime", time);

        if (im_json_render(ctx->pool, root, &other.event) != NGX_OK) {
            return NGX_ERROR;
        }

        peer_op = im_inbox_append(ctx, batch, peer, &other);
    }

    im_callback_stage(ctx, batch);
    im_callback_c2c_read(ctx, user, peer, time, left);

    rc = im_store_commit(ctx, batch);

    im_callback_committed(ctx, rc);

    if (rc != NGX_OK) {
        return rc;
    }

    im_fault("before_publish");

    if (!quiet) {
        im_inbox_publish(ctx, user, batch->ops[own_op].result,
                         (uint32_t) own.inst, &own.event);
    }

    if (tell) {
        im_inbox_publish(ctx, peer, batch->ops[peer_op].result, 0,
                         &other.event);
    }

    return NGX_OK;
}
