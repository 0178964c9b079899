
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_fault.h"
#include "core/im_str.h"
#include "domain/im_callback.h"
#include "domain/im_group_direct.h"
#include "domain/im_group_edit.h"
#include "domain/im_group_item.h"
#include "domain/im_inbox.h"
#include "domain/im_message.h"


#define IM_EDIT_TRIES    8
#define IM_EDIT_SENDER   1000        /* messages that are looked at */
#define IM_EDIT_PAGE     200
#define IM_EDIT_READERS  10000       /* that are counted */


typedef struct {
    ngx_array_t       *users;
    ngx_str_t         *after;
    ngx_uint_t         n;
    ngx_uint_t         limit;
} im_group_readers_t;


static im_code_t im_group_recall_check(im_ctx_t *ctx, im_group_t *group,
    im_group_recall_t *msg, im_group_role_e role);
static ngx_int_t im_group_recall_commit(im_ctx_t *ctx, im_group_t *group,
    im_group_recall_t *msgs, ngx_uint_t n);
static ngx_int_t im_group_reader_row(im_row_t *row, void *data);
static ngx_int_t im_group_hidden_row(im_row_t *row, void *data);
static void im_group_version_key(im_ctx_t *ctx, im_group_t *group,
    int64_t seq, ngx_str_t *user, im_key_t *key);


im_code_t
im_group_recall(im_ctx_t *ctx, im_group_t *group, im_group_recall_t *msgs,
    ngx_uint_t n, im_group_role_e role)
{
    ngx_int_t    rc;
    ngx_str_t    event;
    ngx_uint_t   i, k;

    for (i = 0; i < n; i++) {

        for (k = 0; k < i && msgs[k].seq != msgs[i].seq; k++) { /* void */ }

        if (k < i) {
            msgs[i].code = (msgs[k].code == IM_OK) ? IM_E_GROUP_RECALLED
                                                   : msgs[k].code;
            continue;
        }

        msgs[i].code = im_group_recall_check(ctx, group, &msgs[i], role);

        if (msgs[i].code == IM_E_GROUP_INTERNAL) {
            return IM_E_GROUP_INTERNAL;
        }
    }

    do {
        rc = im_group_recall_commit(ctx, group, msgs, n);
    } while (rc == NGX_AGAIN);

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    for (i = 0; i < n; i++) {

        if (msgs[i].code != IM_OK) {
            continue;
        }

        im_fault("before_publish");

        if (im_group_row_recall_event(ctx, group, &msgs[i].row, &event)
            == NGX_OK)
        {
            im_group_direct_hint(ctx, group, &msgs[i].row, &event, 0,
                                 ctx->peer);
        }
    }

    return IM_OK;
}


static im_code_t
im_group_recall_check(im_ctx_t *ctx, im_group_t *group,
    im_group_recall_t *msg, im_group_role_e role)
{
    im_code_t         code;
    ngx_int_t         rc;
    im_group_row_t   *row;
    im_group_role_e   above;

    row = &msg->row;

    rc = im_group_row_get(ctx, group->gno, msg->seq, row);

    if (rc == NGX_DECLINED) {
        return IM_E_GROUP_NO_MSG;
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    if (row->type != IM_ROW_MESSAGE || row->recalled) {
        return IM_E_GROUP_RECALLED;
    }

    if (role != IM_GROUP_APP) {

        code = im_group_role_of(ctx, group, &row->from, &above);
        if (code != IM_OK) {
            return code;
        }

        if (!im_str_eq(&row->from, &ctx->user)
            && (role < IM_GROUP_ADMIN
                || (role < IM_GROUP_OWNER && above >= IM_GROUP_ADMIN)))
        {
            return IM_E_GROUP_RIGHT;
        }

        if (ctx->app->recall_time
            && ngx_time() - row->time > ctx->app->recall_time)
        {
            return IM_E_GROUP_RECALL_LATE;
        }
    }

    row->recalled = im_group_row_now();
    row->revoker = ctx->user;

    return IM_OK;
}


/* NGX_AGAIN: a message is gone, and has its code now. */

static ngx_int_t
im_group_recall_commit(im_ctx_t *ctx, im_group_t *group,
    im_group_recall_t *msgs, ngx_uint_t n)
{
    int64_t     *seqs;
    im_doc_t    *doc;
    ngx_int_t    rc;
    ngx_uint_t   i, k;
    im_batch_t  *batch;

    seqs = ngx_palloc(ctx->pool, (n + 1) * sizeof(int64_t));
    if (seqs == NULL) {
        return NGX_ERROR;
    }

    batch = im_store_batch(ctx, IM_ORDERED);
    k = 0;

    for (i = 0; i < n; i++) {

        if (msgs[i].code != IM_OK) {
            continue;
        }

        doc = im_doc(ctx->pool);
        im_doc_int(doc, "recalled", msgs[i].row.recalled);
        im_doc_str(doc, "revoker", &msgs[i].row.revoker);

        im_group_row_set(ctx, batch, group->gno, msgs[i].seq, doc);

        msgs[i].op = k;
        seqs[k++] = msgs[i].seq;
    }

    if (k == 0) {
        return NGX_OK;
    }

    im_callback_stage(ctx, batch);
    im_callback_group_recall(ctx, group, seqs, k);

    rc = im_store_commit(ctx, batch);

    im_callback_committed(ctx, rc);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        if (msgs[i].code == IM_OK && msgs[i].op == batch->failed) {
            msgs[i].code = IM_E_GROUP_NO_MSG;
            return NGX_AGAIN;
        }
    }

    return NGX_ERROR;
}


/*
 * Messages have no version of their own: a row beside them, replaced in the
 * same commit, makes sure that nobody's change is lost.
 */

im_code_t
im_group_edit(im_ctx_t *ctx, im_group_t *group, int64_t seq, int64_t mver,
    ngx_str_t *body, ngx_str_t *cloud, im_group_row_t *row)
{
    im_doc_t    *doc;
    im_key_t     key;
    im_row_t     version;
    ngx_int_t    rc;
    ngx_str_t    none, event;
    ngx_uint_t   tries;
    im_batch_t  *batch;

    ngx_str_set(&none, "");

    im_group_version_key(ctx, group, seq, &none, &key);

    for (tries = 0; tries < IM_EDIT_TRIES; tries++) {

        rc = im_store_get(ctx, IM_T_RECEIPT, &key, &version);

        if (rc == NGX_DECLINED) {
            version.version = 0;
            rc = NGX_OK;
        }

        if (rc == NGX_OK) {
            rc = im_group_row_get(ctx, group->gno, seq, row);
        }

        if (rc == NGX_DECLINED) {
            return IM_E_NO_MSG;
        }

        if (rc != NGX_OK) {
            return im_message_code(ctx, rc);
        }

        if (row->type != IM_ROW_MESSAGE
            || (ctx->role != IM_ROLE_ADMIN
                && !im_group_direct_visible(row, &ctx->user)))
        {
            return IM_E_NO_MSG;
        }

        if (row->recalled) {
            return IM_E_RECALLED;
        }

        if (mver != -1 && mver != row->mver) {
            return IM_E_MODIFY_CONFLICT;
        }

        if (body->data) {
            row->body = *body;
        }

        if (cloud->data) {
            row->cloud = *cloud;
        }

        if (row->body.len + row->cloud.len > ctx->app->message_size) {
            return IM_E_SIZE;
        }

        row->mver++;
        row->modified = im_group_row_now();

        batch = im_store_batch(ctx, IM_ATOMIC);

        doc = im_doc(ctx->pool);
        im_doc_int(doc, "mver", row->mver);
        im_doc_int(doc, "expire", row->expire);
        im_store_replace(batch, IM_T_RECEIPT, &key, version.version, doc);

        doc = im_doc(ctx->pool);
        im_doc_str(doc, "body", &row->body);
        im_doc_str(doc, "cloud", &row->cloud);
        im_doc_int(doc, "mver", row->mver);
        im_doc_int(doc, "modified", row->modified);
        im_group_row_set(ctx, batch, group->gno, seq, doc);

        rc = im_store_commit(ctx, batch);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc != NGX_OK) {
            return im_message_code(ctx, rc);
        }

        im_fault("before_publish");

        if (im_group_row_modify_event(ctx, group, row, &event) == NGX_OK) {
            im_group_direct_hint(ctx, group, row, &event, 0, ctx->peer);
        }

        return IM_OK;
    }

    return im_message_code(ctx, NGX_BUSY);
}


im_code_t
im_group_delete_sender(im_ctx_t *ctx, im_group_t *group, ngx_str_t *from)
{
    int64_t          head, to, last;
    im_doc_t        *doc;
    ngx_int_t        rc;
    ngx_uint_t       i;
    im_batch_t      *batch;
    ngx_array_t      rows;
    im_group_row_t  *row;

    rc = im_group_head(ctx, group->gno, &head, NULL);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    last = ngx_max(head - IM_EDIT_SENDER + 1, 1);

    for (to = head; to >= last; to -= IM_EDIT_PAGE) {

        if (ngx_array_init(&rows, ctx->pool, IM_EDIT_PAGE,
                           sizeof(im_group_row_t))
            != NGX_OK)
        {
            return IM_E_GROUP_INTERNAL;
        }

        rc = im_group_rows(ctx, group->gno,
                           ngx_max(to - IM_EDIT_PAGE + 1, last), to, IM_ASC,
                           IM_EDIT_PAGE, &rows);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        batch = im_store_batch(ctx, IM_ORDERED);
        row = rows.elts;

        for (i = 0; i < rows.nelts; i++) {

            if (row[i].type != IM_ROW_MESSAGE
                || row[i].gone
                || !im_str_eq(&row[i].from, from))
            {
                continue;
            }

            doc = im_doc(ctx->pool);
            im_doc_int(doc, "gone", 1);
            im_group_row_set(ctx, batch, group->gno, row[i].seq, doc);
        }

        if (batch && batch->n) {
            rc = im_store_commit(ctx, batch);
            if (rc != NGX_OK) {
                return im_group_code(rc);
            }
        }

        im_co_yield();
    }

    return IM_OK;
}


im_code_t
im_group_hide(im_ctx_t *ctx, im_group_t *group, int64_t *seqs, ngx_uint_t n)
{
    im_doc_t    *doc;
    im_key_t     key;
    ngx_uint_t   i;
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ORDERED);

    for (i = 0; i < n; i++) {

        im_key_init(&key, ctx->app->id);
        im_key_str(&key, &ctx->user);
        im_key_int(&key, group->gno);
        im_key_int(&key, seqs[i]);

        doc = im_doc(ctx->pool);
        im_doc_int(doc, "expire", ngx_time() + ctx->app->history);

        im_store_upsert(batch, IM_T_HIDDEN, &key, doc);
    }

    return im_group_code(im_store_commit(ctx, batch));
}


ngx_int_t
im_group_hidden(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    int64_t from, int64_t to, ngx_array_t *seqs)
{
    im_key_t   prefix, first, last;
    ngx_int_t  rc;

    im_key_init(&prefix, ctx->app->id);
    im_key_str(&prefix, user);
    im_key_int(&prefix, group->gno);

    first = prefix;
    im_key_int(&first, from);

    last = prefix;
    im_key_int(&last, to);

    rc = im_store_scan(ctx, IM_T_HIDDEN, 0, &prefix, &first, &last, IM_ASC,
                       IM_EDIT_PAGE, im_group_hidden_row, seqs);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_group_hidden_row(im_row_t *row, void *data)
{
    ngx_array_t  *seqs = data;

    int64_t  *seq;

    seq = ngx_array_push(seqs);
    if (seq == NULL) {
        return NGX_ERROR;
    }

    return im_row_int(row, "seq", seq) == NGX_OK ? NGX_OK : NGX_ERROR;
}


im_code_t
im_group_receipt(im_ctx_t *ctx, im_group_t *group, int64_t seq)
{
    int64_t          read, unread;
    im_doc_t        *doc;
    im_key_t         key;
    ngx_int_t        rc;
    ngx_str_t        event;
    im_json_t       *body, *item;
    ngx_uint_t       kept;
    im_batch_t      *batch;
    im_group_row_t   row;

    rc = im_group_row_get(ctx, group->gno, seq, &row);

    if (rc == NGX_DECLINED) {
        return IM_OK;
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    if (!(row.opts & IM_MSG_RECEIPT)
        || row.recalled
        || im_str_eq(&row.from, &ctx->user)
        || !im_group_direct_visible(&row, &ctx->user))
    {
        return IM_OK;
    }

    /* what goes into the commit is counted before it */

    kept = im_callback_kept(ctx->app)
           && im_callback_wants(ctx->app, IM_CB_GROUP_RECEIPT);

    if (kept) {
        rc = im_group_receipts(ctx, group, &row, &read, &unread);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }
    }

    im_group_version_key(ctx, group, seq, &ctx->user, &key);

    doc = im_doc(ctx->pool);
    im_doc_int(doc, "time", ngx_time());
    im_doc_int(doc, "expire", row.expire);

    batch = im_store_batch(ctx, IM_ORDERED);
    im_store_insert(batch, IM_T_RECEIPT, &key, doc);

    im_callback_stage(ctx, batch);

    if (kept) {
        im_callback_group_receipt(ctx, group, seq, read + 1,
                                  ngx_max(unread - 1, 0));
    }

    rc = im_store_commit(ctx, batch);

    im_callback_committed(ctx, rc);

    if (rc == NGX_DECLINED) {            /* he has told it before */
        return IM_OK;
    }

    if (rc == NGX_OK) {
        rc = im_group_receipts(ctx, group, &row, &read, &unread);
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    if (!kept) {
        im_callback_group_receipt(ctx, group, seq, read, unread);
    }

    body = im_json_new_obj(ctx->pool);

    item = im_json_push_obj(im_json_add_list(body, "GroupMsgReceiptList"));
    im_json_add_str(item, "TinyId", &row.tinyid);
    im_json_add_int(item, "MsgClientTime", row.ctime ? row.ctime : row.time);
    im_json_add_int(item, "MsgRandom", row.random);
    im_json_add_int(item, "MsgSeq", seq);
    im_json_add_int(item, "ReadNum", read);
    im_json_add_int(item, "UnreadNum", unread);

    if (im_group_item_system(ctx, group, IM_ITEM_NOTICE, body, &row.from,
                             NULL, NULL, &event)
        == NGX_OK)
    {
        im_inbox_publish(ctx, &row.from, 0, 0, &event);
    }

    return IM_OK;
}


/* Rows of readers; the one without a name is the version of the message. */

static void
im_group_version_key(im_ctx_t *ctx, im_group_t *group, int64_t seq,
    ngx_str_t *user, im_key_t *key)
{
    im_group_row_key(ctx, group->gno, key);
    im_key_int(key, seq);
    im_key_str(key, user);
}


ngx_int_t
im_group_readers(im_ctx_t *ctx, im_group_t *group, int64_t seq,
    ngx_str_t *after, ngx_uint_t limit, ngx_array_t *users, ngx_uint_t *more)
{
    im_key_t             prefix, from;
    ngx_int_t            rc;
    im_group_readers_t   readers;

    im_group_row_key(ctx, group->gno, &prefix);
    im_key_int(&prefix, seq);

    from = prefix;
    im_key_str(&from, after);

    readers.users = users;
    readers.after = after;
    readers.n = 0;
    readers.limit = limit;

    rc = im_store_scan(ctx, IM_T_RECEIPT, 0, &prefix, &from, NULL, IM_ASC,
                       limit + 2, im_group_reader_row, &readers);

    *more = (readers.n > limit);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_group_reader_row(im_row_t *row, void *data)
{
    im_group_readers_t  *readers = data;

    ngx_str_t  user, *u;

    if (im_row_str(row, "user", &user) != NGX_OK
        || user.len == 0
        || im_str_eq(&user, readers->after))
    {
        return NGX_OK;
    }

    if (++readers->n > readers->limit) {
        return NGX_DONE;
    }

    u = ngx_array_push(readers->users);
    if (u == NULL) {
        return NGX_ERROR;
    }

    *u = user;

    return NGX_OK;
}


ngx_int_t
im_group_unreaders(im_ctx_t *ctx, im_group_t *group, im_group_row_t *row,
    ngx_str_t *after, ngx_uint_t limit, ngx_array_t *users, ngx_uint_t *more)
{
    im_key_t             prefix, from, *keys;
    im_row_t            *rows;
    ngx_int_t            rc;
    ngx_str_t            last, *u;
    ngx_uint_t           i;
    ngx_array_t          page;
    im_group_readers_t   members;

    keys = ngx_palloc(ctx->pool, IM_EDIT_PAGE * sizeof(im_key_t));
    rows = ngx_palloc(ctx->pool, IM_EDIT_PAGE * sizeof(im_row_t));

    if (keys == NULL || rows == NULL) {
        return NGX_ERROR;
    }

    im_group_row_key(ctx, group->gno, &prefix);

    last = *after;
    *more = 0;

    for ( ;; ) {

        if (ngx_array_init(&page, ctx->pool, IM_EDIT_PAGE, sizeof(ngx_str_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        from = prefix;
        im_key_str(&from, &last);

        members.users = &page;
        members.after = &last;
        members.n = 0;
        members.limit = IM_EDIT_PAGE;

        rc = im_store_scan(ctx, IM_T_MEMBER, 0, &prefix, &from, NULL, IM_ASC,
                           IM_EDIT_PAGE + 2, im_group_reader_row, &members);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }

        u = page.elts;

        for (i = 0; i < page.nelts; i++) {
            im_group_version_key(ctx, group, row->seq, &u[i], &keys[i]);
        }

        ngx_memzero(rows, page.nelts * sizeof(im_row_t));

        rc = im_store_get_many(ctx, IM_T_RECEIPT, keys, page.nelts, rows);
        if (rc != NGX_OK) {
            return rc;
        }

        for (i = 0; i < page.nelts; i++) {

            if (rows[i].data.data
                || im_str_eq(&u[i], &row->from)
                || !im_group_direct_visible(row, &u[i]))
            {
                continue;
            }

            if (users->nelts == limit) {
                *more = 1;
                return NGX_OK;
            }

            after = ngx_array_push(users);
            if (after == NULL) {
                return NGX_ERROR;
            }

            *after = u[i];
        }

        if (members.n <= IM_EDIT_PAGE) {
            return NGX_OK;
        }

        last = u[page.nelts - 1];

        im_co_yield();
    }
}


ngx_int_t
im_group_receipts(im_ctx_t *ctx, im_group_t *group, im_group_row_t *row,
    int64_t *read, int64_t *unread)
{
    int64_t       all;
    ngx_int_t     rc;
    ngx_str_t     last, *u;
    ngx_uint_t    more;
    ngx_array_t   page;

    ngx_str_set(&last, "");
    *read = 0;

    do {
        if (ngx_array_init(&page, ctx->pool, 16, sizeof(ngx_str_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = im_group_readers(ctx, group, row->seq, &last, IM_EDIT_PAGE, &page,
                              &more);
        if (rc != NGX_OK) {
            return rc;
        }

        *read += page.nelts;

        if (more) {
            u = page.elts;
            last = u[page.nelts - 1];
            im_co_yield();
        }

    } while (more && *read < IM_EDIT_READERS);

    all = row->to.len ? (int64_t) im_group_direct_count(row)
                      : im_group_member_count(ctx, group) - 1;

    *unread = ngx_max(all - *read, 0);

    return NGX_OK;
}
