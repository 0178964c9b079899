
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "live/im_room.h"
#include "domain/im_group_direct.h"
#include "domain/im_ext.h"
#include "domain/im_group_row.h"


#define IM_EXT_TRIES  8


/* The row with an empty key: what all pairs of a message have in common. */

typedef struct {
    int64_t            seq;
    int64_t            clear;
    int64_t            minute;       /* of the last write */
    int64_t            writes;       /* in it */
    int64_t            version;
} im_ext_head_t;


typedef struct {
    im_ext_head_t      head;
    ngx_array_t        pairs;        /* of im_ext_pair_t */
} im_ext_set_t;


typedef struct {
    ngx_str_t          key;
    ngx_str_t          value;
    int64_t            seq;
    unsigned           changed:1;
    unsigned           gone:1;
} im_ext_pair_t;


static ngx_int_t im_ext_load(im_ctx_t *ctx, ngx_str_t *id, im_ext_set_t *set);
static ngx_int_t im_ext_row(im_row_t *row, void *data);
static im_code_t im_ext_apply(im_ext_set_t *set, im_ext_change_t *change);
static im_code_t im_ext_apply_pair(im_ext_set_t *set, im_ext_change_t *change,
    im_ext_t *ext);
static im_ext_pair_t *im_ext_add(im_ext_set_t *set, ngx_str_t *key);
static void im_ext_put(im_ctx_t *ctx, im_batch_t *batch, im_message_t *msg,
    ngx_str_t *id, im_ext_set_t *set);
static void im_ext_hint(im_ctx_t *ctx, im_message_t *msg, ngx_str_t *event);
static ngx_int_t im_ext_commit(im_ctx_t *ctx, im_batch_t *batch,
    im_message_t *msg, im_ext_change_t *change);
static ngx_int_t im_ext_event(im_ctx_t *ctx, im_message_t *msg,
    im_ext_change_t *change, ngx_str_t *event);
static ngx_int_t im_ext_id(im_ctx_t *ctx, im_message_t *msg, ngx_str_t *id);
static int ngx_libc_cdecl im_ext_cmp(const void *one, const void *two);


im_code_t
im_ext_find(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    im_msg_key_t *key, im_message_t *msg)
{
    ngx_int_t           rc;
    im_message_rows_t   rows;

    rc = im_message_find(ctx, user, peer, key, &rows);

    if (rc == NGX_DECLINED) {
        rc = im_message_find(ctx, peer, user, key, &rows);
    }

    if (rc == NGX_DECLINED) {
        return IM_E_EXT_NO_MSG;
    }

    if (rc != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    if (rows.msg.recalled.len) {
        return IM_E_EXT_NO_MSG;
    }

    if (!(rows.msg.opts & IM_MSG_EXT)) {
        return IM_E_EXT_OFF;
    }

    *msg = rows.msg;

    return IM_OK;
}


im_code_t
im_ext_find_group(im_ctx_t *ctx, im_group_t *group, int64_t seq,
    im_message_t *msg)
{
    ngx_int_t        rc;
    im_group_row_t   row;

    rc = im_group_row_get(ctx, group->gno, seq, &row);

    if (rc == NGX_DECLINED
        || (rc == NGX_OK && row.recalled)
        || (rc == NGX_OK && ctx->role != IM_ROLE_ADMIN
            && !im_group_direct_visible(&row, &ctx->user)))
    {
        return IM_E_EXT_NO_MSG;
    }

    if (rc != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    if (!(row.opts & IM_MSG_EXT)) {
        return IM_E_EXT_OFF;
    }

    ngx_memzero(msg, sizeof(im_message_t));

    msg->gno = group->gno;
    msg->from = row.from;
    msg->to = row.to;
    msg->mseq = seq;
    msg->rand = row.random;
    msg->ctime = row.ctime ? row.ctime : row.time;
    msg->tinyid = row.tinyid;
    msg->expire = row.expire;

    return IM_OK;
}


im_code_t
im_ext_change(im_ctx_t *ctx, im_message_t *msg, im_ext_change_t *change)
{
    im_code_t      code;
    ngx_int_t      rc;
    im_ext_t      *asked;
    ngx_str_t      id;
    ngx_uint_t     tries;
    im_batch_t    *batch;
    im_ext_set_t   set;

    asked = ngx_palloc(ctx->pool, (change->n + 1) * sizeof(im_ext_t));

    if (asked == NULL || im_ext_id(ctx, msg, &id) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    ngx_memcpy(asked, change->pairs, change->n * sizeof(im_ext_t));

    for (tries = 0; tries < IM_EXT_TRIES; tries++) {

        ngx_memcpy(change->pairs, asked, change->n * sizeof(im_ext_t));

        rc = im_ext_load(ctx, &id, &set);
        if (rc != NGX_OK) {
            return IM_E_GROUP_INTERNAL;
        }

        code = im_ext_apply(&set, change);
        if (code != IM_OK) {
            return code;
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_ext_put(ctx, batch, msg, &id, &set);

        rc = im_ext_commit(ctx, batch, msg, change);

        if (rc == NGX_OK) {
            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            break;
        }
    }

    return IM_E_GROUP_INTERNAL;
}


im_code_t
im_ext_read(im_ctx_t *ctx, im_message_t *msg, im_ext_page_t *page)
{
    ngx_str_t       id;
    ngx_uint_t      i;
    im_ext_t       *ext;
    im_ext_set_t    set;
    im_ext_pair_t  *pair;

    if (im_ext_id(ctx, msg, &id) != NGX_OK
        || im_ext_load(ctx, &id, &set) != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    page->seq = set.head.seq;
    page->clear = set.head.clear;

    ext = ngx_pcalloc(ctx->pool, (set.pairs.nelts + 1) * sizeof(im_ext_t));
    if (ext == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    page->pairs = ext;
    page->n = 0;

    pair = set.pairs.elts;

    for (i = 0; i < set.pairs.nelts; i++) {

        /* who reads from the beginning has nothing to forget */

        if (pair[i].seq < page->start
            || (page->start == 0 && pair[i].value.len == 0))
        {
            continue;
        }

        ext[page->n].key = pair[i].key;
        ext[page->n].value = pair[i].value;
        ext[page->n].seq = pair[i].seq;
        page->n++;
    }

    ngx_qsort(ext, page->n, sizeof(im_ext_t), im_ext_cmp);

    page->complete = (page->n <= IM_EXT_PAGE);
    page->n = ngx_min(page->n, IM_EXT_PAGE);

    return IM_OK;
}


static int ngx_libc_cdecl
im_ext_cmp(const void *one, const void *two)
{
    const im_ext_t  *a = one;
    const im_ext_t  *b = two;

    return (a->seq > b->seq) - (a->seq < b->seq);
}


static ngx_int_t
im_ext_load(im_ctx_t *ctx, ngx_str_t *id, im_ext_set_t *set)
{
    im_key_t   prefix;
    ngx_int_t  rc;

    ngx_memzero(&set->head, sizeof(im_ext_head_t));

    if (ngx_array_init(&set->pairs, ctx->pool, 8, sizeof(im_ext_pair_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    im_key_init(&prefix, ctx->app->id);
    im_key_str(&prefix, id);

    rc = im_store_scan(ctx, IM_T_EXT, 0, &prefix, NULL, NULL, IM_ASC,
                       IM_EXT_PAIRS + 1, im_ext_row, set);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static ngx_int_t
im_ext_row(im_row_t *row, void *data)
{
    im_ext_set_t  *set = data;

    ngx_str_t       key;
    im_ext_pair_t  *pair;

    (void) im_row_str(row, "key", &key);

    if (key.len == 0) {
        (void) im_row_int(row, "seq", &set->head.seq);
        (void) im_row_int(row, "clear", &set->head.clear);
        (void) im_row_int(row, "minute", &set->head.minute);
        (void) im_row_int(row, "writes", &set->head.writes);
        set->head.version = row->version;

        return NGX_OK;
    }

    pair = ngx_array_push(&set->pairs);
    if (pair == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(pair, sizeof(im_ext_pair_t));

    pair->key = key;
    (void) im_row_str(row, "value", &pair->value);
    (void) im_row_int(row, "seq", &pair->seq);

    return NGX_OK;
}


static im_code_t
im_ext_apply(im_ext_set_t *set, im_ext_change_t *change)
{
    int64_t         minute;
    im_code_t       code;
    ngx_uint_t      i;
    im_ext_pair_t  *pair;

    minute = ngx_time() / 60;

    if (set->head.minute != minute) {
        set->head.minute = minute;
        set->head.writes = 0;
    }

    if (set->head.writes++ >= IM_EXT_RATE) {
        return IM_E_EXT_RATE;
    }

    if (change->op == IM_EXT_CLEAR) {

        set->head.clear = ++set->head.seq;

        pair = set->pairs.elts;

        for (i = 0; i < set->pairs.nelts; i++) {
            pair[i].gone = 1;
        }

    } else {

        for (i = 0; i < change->n; i++) {
            code = im_ext_apply_pair(set, change, &change->pairs[i]);
            if (code != IM_OK) {
                return code;
            }
        }
    }

    change->seq = set->head.seq;
    change->clear = set->head.clear;

    return IM_OK;
}


static im_code_t
im_ext_apply_pair(im_ext_set_t *set, im_ext_change_t *change, im_ext_t *ext)
{
    ngx_uint_t      i;
    im_ext_pair_t  *pair;

    pair = set->pairs.elts;

    for (i = 0; i < set->pairs.nelts; i++) {
        if (!pair[i].gone && im_str_eq(&pair[i].key, &ext->key)) {
            break;
        }
    }

    if (i < set->pairs.nelts) {
        pair = &pair[i];

        /* nobody's value is lost where a pair was deleted */

        if (change->check && pair->value.len && pair->seq != ext->seq) {
            ext->code = IM_E_EXT_CONFLICT;
            ext->value = pair->value;
            ext->seq = pair->seq;

            return IM_OK;
        }

    } else {
        pair = im_ext_add(set, &ext->key);
        if (pair == NULL) {
            return IM_E_GROUP_PARAM;
        }
    }

    if (change->op == IM_EXT_DELETE) {
        ngx_str_set(&ext->value, "");
    }

    pair->value = ext->value;
    pair->seq = ++set->head.seq;
    pair->changed = 1;

    ext->code = IM_OK;
    ext->seq = pair->seq;

    return IM_OK;
}


/* A new pair takes the place of the one that was deleted first. */

static im_ext_pair_t *
im_ext_add(im_ext_set_t *set, ngx_str_t *key)
{
    ngx_uint_t      i, n;
    im_ext_pair_t  *pair, *oldest;

    pair = set->pairs.elts;
    oldest = NULL;
    n = 0;

    for (i = 0; i < set->pairs.nelts; i++) {

        if (pair[i].gone) {
            continue;
        }

        n++;

        if (pair[i].value.len == 0 && !pair[i].changed
            && (oldest == NULL || pair[i].seq < oldest->seq))
        {
            oldest = &pair[i];
        }
    }

    if (n >= IM_EXT_PAIRS) {

        if (oldest == NULL) {
            return NULL;
        }

        oldest->gone = 1;
    }

    pair = ngx_array_push(&set->pairs);
    if (pair == NULL) {
        return NULL;
    }

    ngx_memzero(pair, sizeof(im_ext_pair_t));
    pair->key = *key;

    return pair;
}


static void
im_ext_put(im_ctx_t *ctx, im_batch_t *batch, im_message_t *msg, ngx_str_t *id,
    im_ext_set_t *set)
{
    im_doc_t       *doc;
    im_key_t        head, key;
    ngx_str_t       none;
    ngx_uint_t      i;
    im_ext_pair_t  *pair;

    ngx_str_null(&none);

    im_key_init(&head, ctx->app->id);
    im_key_str(&head, id);

    key = head;
    im_key_str(&key, &none);

    doc = im_doc(ctx->pool);

    im_doc_int(doc, "seq", set->head.seq);
    im_doc_int(doc, "clear", set->head.clear);
    im_doc_int(doc, "minute", set->head.minute);
    im_doc_int(doc, "writes", set->head.writes);
    im_doc_int(doc, "expire", msg->expire);

    im_store_replace(batch, IM_T_EXT, &key, set->head.version, doc);

    pair = set->pairs.elts;

    for (i = 0; i < set->pairs.nelts; i++) {

        if (!pair[i].gone && !pair[i].changed) {
            continue;
        }

        key = head;
        im_key_str(&key, &pair[i].key);

        if (pair[i].gone) {
            im_store_delete(batch, IM_T_EXT, &key);
            continue;
        }

        doc = im_doc(ctx->pool);

        im_doc_str(doc, "value", &pair[i].value);
        im_doc_int(doc, "seq", pair[i].seq);
        im_doc_int(doc, "expire", msg->expire);

        im_store_upsert(batch, IM_T_EXT, &key, doc);
    }
}


static void
im_ext_hint(im_ctx_t *ctx, im_message_t *msg, ngx_str_t *event)
{
    im_group_t      group;
    im_group_row_t  row;

    ngx_memzero(&group, sizeof(im_group_t));
    ngx_memzero(&row, sizeof(im_group_row_t));

    group.gno = msg->gno;
    row.from = msg->from;
    row.to = msg->to;

    im_group_direct_hint(ctx, &group, &row, event, 0, ctx->peer);
}


static ngx_int_t
im_ext_commit(im_ctx_t *ctx, im_batch_t *batch, im_message_t *msg,
    im_ext_change_t *change)
{
    ngx_int_t     rc;
    ngx_str_t     event, *users[2];
    uint32_t      inst[2];
    ngx_uint_t    i, op[2];
    im_inbox_t    row;

    rc = im_ext_event(ctx, msg, change, &event);

    if (rc == NGX_DECLINED) {            /* nothing has changed */
        return im_store_commit(ctx, batch);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (msg->gno) {

        rc = im_store_commit(ctx, batch);

        if (rc == NGX_OK) {
            im_ext_hint(ctx, msg, &event);
        }

        return rc;
    }

    users[0] = &msg->from;
    users[1] = &msg->to;

    for (i = 0; i < 2; i++) {

        inst[i] = im_str_eq(users[i], &ctx->user) ? ctx->inst : 0;

        ngx_memzero(&row, sizeof(im_inbox_t));

        row.type = IM_INBOX_EVENT;
        row.inst = inst[i];
        row.event = event;

        op[i] = im_inbox_append(ctx, batch, users[i], &row);

        if (im_str_eq(&msg->from, &msg->to)) {
            i++;
        }
    }

    rc = im_store_commit(ctx, batch);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < 2; i++) {

        im_inbox_publish(ctx, users[i], batch->ops[op[i]].result, inst[i],
                         &event);

        if (im_str_eq(&msg->from, &msg->to)) {
            i++;
        }
    }

    return NGX_OK;
}


static ngx_int_t
im_ext_event(im_ctx_t *ctx, im_message_t *msg, im_ext_change_t *change,
    ngx_str_t *event)
{
    im_json_t    *root, *notify, *info, *list, *item;
    ngx_uint_t    i, n;

    static const char  *names[] = {
        NULL, "SetKVInfo", "DeleteKVInfo", "ClearKVInfo"
    };

    root = im_json_new_obj(ctx->pool);
    im_json_add_int(root, "Event", 22);

    notify = im_json_add_obj(root, "MsgExtensionNotify");

    info = im_json_add_obj(notify, msg->gno ? "ExtensionGroupMsgInfo"
                                           : "ExtensionC2cMsgInfo");
    im_json_add_int(info, "MsgClientTime", msg->ctime);
    im_json_add_int(info, "MsgRandom", msg->rand);
    im_json_add_int(info, "MsgSeq", msg->mseq);

    im_json_add_str(notify, "TinyId", &msg->tinyid);
    im_json_add_int(notify, "MsgOptType", change->op);
    im_json_add_int(notify, "MsgLastSeq", change->seq);

    info = im_json_push_obj(im_json_add_list(notify, names[change->op]));
    list = im_json_add_list(info, "MsgKeyValue");

    n = 0;

    for (i = 0; change->op != IM_EXT_CLEAR && i < change->n; i++) {

        if (change->pairs[i].code != IM_OK) {
            continue;
        }

        n++;

        item = im_json_push_obj(list);

        im_json_add_str(item, "Key", &change->pairs[i].key);
        im_json_add_str(item, "Value", &change->pairs[i].value);
        im_json_add_int(item, "Seq", change->pairs[i].seq);
    }

    if (n == 0 && change->op != IM_EXT_CLEAR) {
        return NGX_DECLINED;
    }

    im_json_add_int(info, "ClearMsgSeq", change->clear);

    return im_json_render(ctx->pool, root, event);
}


static ngx_int_t
im_ext_id(im_ctx_t *ctx, im_message_t *msg, ngx_str_t *id)
{
    id->data = ngx_pnalloc(ctx->pool, 2 * NGX_INT64_LEN + 2);
    if (id->data == NULL) {
        return NGX_ERROR;
    }

    if (msg->gno) {
        id->len = ngx_sprintf(id->data, "g%L|%L", msg->gno, msg->mseq)
                  - id->data;
        return NGX_OK;
    }

    id->len = ngx_sprintf(id->data, "%L", msg->id) - id->data;

    return NGX_OK;
}
