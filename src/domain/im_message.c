
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_message.h"
#include "live/im_slot.h"


#define IM_MESSAGE_GET_MAX    500
#define IM_MESSAGE_SECOND  1000          /* rows of one second */


typedef struct {
    int64_t            cid;          /* 0: any */
    int64_t            dir;
    im_msg_key_t      *key;
    im_inbox_t        *row;
} im_message_match_t;


static ngx_int_t im_message_find_row(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *peer, im_msg_key_t *key, int64_t dir, int64_t cid,
    im_inbox_t *row);
static ngx_int_t im_message_match(im_row_t *row, void *data);


static im_record_t  im_message_record[] = {
    { ngx_string("id"), IM_COL_INT, offsetof(im_message_t, id) },
    { ngx_string("from"), IM_COL_STR, offsetof(im_message_t, from) },
    { ngx_string("to"), IM_COL_STR, offsetof(im_message_t, to) },
    { ngx_string("tinyid"), IM_COL_STR, offsetof(im_message_t, tinyid) },
    { ngx_string("time"), IM_COL_INT, offsetof(im_message_t, time) },
    { ngx_string("ctime"), IM_COL_INT, offsetof(im_message_t, ctime) },
    { ngx_string("mseq"), IM_COL_INT, offsetof(im_message_t, mseq) },
    { ngx_string("rand"), IM_COL_INT, offsetof(im_message_t, rand) },
    { ngx_string("body"), IM_COL_STR, offsetof(im_message_t, body) },
    { ngx_string("cloud"), IM_COL_STR, offsetof(im_message_t, cloud) },
    { ngx_string("mver"), IM_COL_INT, offsetof(im_message_t, mver) },
    { ngx_string("recalled"), IM_COL_STR, offsetof(im_message_t, recalled) },
    { ngx_string("opts"), IM_COL_INT, offsetof(im_message_t, opts) },
    { ngx_string("receipt"), IM_COL_INT, offsetof(im_message_t, receipt) },
    { ngx_string("expire"), IM_COL_INT, offsetof(im_message_t, expire) },
      im_null_record
};


ngx_int_t
im_message_key_text(im_ctx_t *ctx, int64_t mseq, int64_t rand, int64_t time,
    ngx_str_t *text)
{
    u_char  *p;

    p = ngx_pnalloc(ctx->pool, IM_MSG_KEY_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    p = im_str_put_int(p, mseq);
    *p++ = '_';
    p = im_str_put_int(p, rand);
    *p++ = '_';
    p = im_str_put_int(p, time);

    text->len = p - text->data;

    return NGX_OK;
}


ngx_int_t
im_message_key_parse(ngx_str_t *text, im_msg_key_t *key)
{
    u_char      *p, *last, *end;
    int64_t     *value[3];
    ngx_str_t    part;
    ngx_uint_t   i;

    value[0] = &key->mseq;
    value[1] = &key->rand;
    value[2] = &key->time;

    p = text->data;
    end = text->data + text->len;

    for (i = 0; i < 3; i++) {

        last = (i < 2) ? ngx_strlchr(p, end, '_') : end;
        if (last == NULL) {
            return NGX_DECLINED;
        }

        part.data = p;
        part.len = last - p;

        if (im_str_int(&part, value[i]) != NGX_OK || *value[i] < 0) {
            return NGX_DECLINED;
        }

        p = last + 1;
    }

    return NGX_OK;
}


/* Milliseconds (41 bits), slot (7), counter (15). */

int64_t
im_message_id(void)
{
    int64_t      ms;
    ngx_time_t  *tp;

    static int64_t     last;
    static ngx_uint_t  counter, base, size;

    /* nodes share the 32768 numbers of a millisecond and slot; one that is
     * taken is declined by the store */

    if (size == 0) {
        size = 32768;

        if (im_conf() && im_conf()->node.len) {
            size = 2048;
            base = ngx_crc32_long(im_conf()->node.data, im_conf()->node.len)
                   % 16 * size;
        }
    }

    tp = ngx_timeofday();
    ms = (int64_t) tp->sec * 1000 + tp->msec;

    if (ms > last) {
        last = ms;
        counter = 0;

    } else if (++counter == size) {
        last++;
        counter = 0;
    }

    return (last << 22) | (int64_t) (im_slot_self() << 15) | (base + counter);
}


im_doc_t *
im_message_doc(im_ctx_t *ctx, im_message_t *msg)
{
    /* the id is the key */

    return im_record_doc(ctx->pool, im_message_record + 1, msg);
}


void
im_message_row_key(im_ctx_t *ctx, int64_t id, im_key_t *key)
{
    im_key_init(key, ctx->app->id);
    im_key_int(key, id);
}


ngx_int_t
im_message_get_many(im_ctx_t *ctx, int64_t *ids, ngx_uint_t n,
    im_message_t *msgs)
{
    im_key_t    *keys;
    im_row_t    *rows;
    ngx_int_t    rc;
    ngx_uint_t   i, k, m;

    for (i = 0; i < n; i += m) {

        m = ngx_min(n - i, IM_MESSAGE_GET_MAX);

        keys = ngx_palloc(ctx->pool, m * sizeof(im_key_t));
        rows = ngx_pcalloc(ctx->pool, m * sizeof(im_row_t));

        if (keys == NULL || rows == NULL) {
            return NGX_ERROR;
        }

        for (k = 0; k < m; k++) {
            im_message_row_key(ctx, ids[i + k], &keys[k]);
        }

        rc = im_store_get_many(ctx, IM_T_C2C, keys, m, rows);
        if (rc != NGX_OK) {
            return rc;
        }

        for (k = 0; k < m; k++) {
            ngx_memzero(&msgs[i + k], sizeof(im_message_t));

            if (rows[k].data.data) {
                im_record_load(&rows[k], im_message_record, &msgs[i + k]);
                msgs[i + k].version = rows[k].version;
            }
        }
    }

    return NGX_OK;
}


ngx_int_t
im_message_find(im_ctx_t *ctx, ngx_str_t *from, ngx_str_t *to,
    im_msg_key_t *key, im_message_rows_t *rows)
{
    int64_t    cid;
    ngx_int_t  rc;

    ngx_memzero(rows, sizeof(im_message_rows_t));

    rc = im_message_find_row(ctx, to, from, key, IM_DIR_IN, 0, &rows->in);
    if (rc != NGX_OK) {
        return rc;
    }

    cid = rows->in.cid;

    rc = im_message_find_row(ctx, from, to, key, IM_DIR_OUT, cid, &rows->out);
    if (rc != NGX_OK) {
        return rc;
    }

    if (cid == 0) {
        cid = rows->out.cid;
    }

    if (cid == 0) {
        return NGX_DECLINED;
    }

    rc = im_message_get_many(ctx, &cid, 1, &rows->msg);
    if (rc != NGX_OK) {
        return rc;
    }

    return rows->msg.id ? NGX_OK : NGX_DECLINED;
}


/* NGX_OK with row->seq 0: no such row. */

static ngx_int_t
im_message_find_row(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    im_msg_key_t *key, int64_t dir, int64_t cid, im_inbox_t *row)
{
    im_key_t            prefix;
    ngx_int_t           rc;
    im_message_match_t  match;

    im_inbox_key(ctx, user, &prefix);
    im_key_str(&prefix, peer);
    im_key_int(&prefix, key->time);

    match.cid = cid;
    match.dir = dir;
    match.key = key;
    match.row = row;

    rc = im_store_scan(ctx, IM_T_INBOX, IM_INBOX_HIST, &prefix, NULL, NULL,
                       IM_ASC, IM_MESSAGE_SECOND, im_message_match, &match);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


ngx_int_t
im_message_position(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    im_msg_key_t *key, int64_t *ord, int64_t *cid)
{
    ngx_int_t   rc;
    im_inbox_t  row;

    ngx_memzero(&row, sizeof(im_inbox_t));

    rc = im_message_find_row(ctx, user, peer, key, 0, 0, &row);

    if (rc == NGX_OK && row.seq == 0) {
        return NGX_DECLINED;
    }

    *ord = row.ord;
    *cid = row.cid;

    return rc;
}


static ngx_int_t
im_message_match(im_row_t *row, void *data)
{
    im_message_match_t  *match = data;

    im_inbox_t  r;

    ngx_memzero(&r, sizeof(im_inbox_t));
    im_record_load(row, im_inbox_record, &r);

    if (r.mseq != match->key->mseq
        || r.rand != match->key->rand
        || (match->dir && r.dir != match->dir))
    {
        return NGX_OK;
    }

    if (match->cid) {

        if (r.cid != match->cid) {
            return NGX_OK;
        }

        *match->row = r;
        return NGX_DONE;
    }

    if (match->row->seq == 0 || !(r.flags & IM_F_RECALLED)) {
        *match->row = r;
    }

    return (r.flags & IM_F_RECALLED) ? NGX_OK : NGX_DONE;
}


ngx_int_t
im_message_senders(im_ctx_t *ctx, im_message_t *msgs, ngx_uint_t n,
    im_profile_t *profiles)
{
    ngx_int_t      rc;
    ngx_str_t     *users;
    ngx_uint_t     i, k, m;
    im_profile_t  *found;

    if (n == 0) {
        return NGX_OK;
    }

    users = ngx_palloc(ctx->pool, n * sizeof(ngx_str_t));
    found = ngx_pcalloc(ctx->pool, n * sizeof(im_profile_t));

    if (users == NULL || found == NULL) {
        return NGX_ERROR;
    }

    m = 0;

    for (i = 0; i < n; i++) {

        if (msgs[i].id == 0) {
            continue;
        }

        for (k = 0; k < m; k++) {
            if (im_str_eq(&users[k], &msgs[i].from)) {
                break;
            }
        }

        if (k == m) {
            users[m++] = msgs[i].from;
        }
    }

    if (m) {
        rc = im_profile_get_many(ctx, users, m, found);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (i = 0; i < n; i++) {

        ngx_memzero(&profiles[i], sizeof(im_profile_t));

        for (k = 0; k < m; k++) {
            if (msgs[i].id && im_str_eq(&users[k], &msgs[i].from)) {
                profiles[i] = found[k];
                break;
            }
        }
    }

    return NGX_OK;
}


void
im_message_json(im_json_t *item, im_message_t *msg, im_profile_t *profile,
    ngx_uint_t sync)
{
    im_json_t  *control;

    im_json_add_str(item, "From_Account", sync ? &msg->to : &msg->from);
    im_json_add_str(item, "To_Account", sync ? &msg->from : &msg->to);
    im_json_add_int(item, "MsgSeq", msg->mseq);
    im_json_add_int(item, "MsgRandom", msg->rand);
    im_json_add_int(item, "MsgTimeStamp", msg->time);
    im_json_add_int(item, "MsgClientTime", msg->ctime);
    im_json_add_int(item, "ClientSeq", msg->mseq);
    im_json_add_str(item, "TinyId", &msg->tinyid);
    im_json_add_str(item, "From_AccountNick", &profile->nick);
    im_json_add_str(item, "From_AccountHeadurl", &profile->face);

    if (sync) {
        im_json_add_int(item, "IsSyncMsg", 1);
    }

    im_json_add_raw(item, "MsgBody", &msg->body);

    if (msg->cloud.len) {
        im_json_add_str(item, "CloudCustomData", &msg->cloud);
    }

    if (msg->opts & IM_MSG_ONLINE) {
        im_json_add_int(item, "MsgLifeTime", 0);
    }

    if (msg->opts & IM_MSG_RECEIPT) {
        im_json_add_int(item, "IsNeedReadReceipt", 1);
    }

    if (msg->opts & IM_MSG_EXT) {
        im_json_add_int(item, "SupportMessageExtension", 1);
    }

    if (msg->opts & (IM_MSG_NO_UNREAD|IM_MSG_NO_LAST)) {
        control = im_json_add_obj(item, "SendMsgControl");
        im_json_add_int(control, "NoUnread",
                        (msg->opts & IM_MSG_NO_UNREAD) ? 1 : 0);
        im_json_add_int(control, "NoLastMsg",
                        (msg->opts & IM_MSG_NO_LAST) ? 1 : 0);
    }

    if (msg->mver) {
        im_json_add_int(item, "MsgVersion", msg->mver);
    }
}


ngx_int_t
im_message_event(im_ctx_t *ctx, im_message_t *msg, im_profile_t *profile,
    ngx_str_t *user, ngx_str_t *event)
{
    im_json_t  *root, *list, *item;

    root = im_json_new_obj(ctx->pool);

    im_json_add_int(root, "Event", 9);
    list = im_json_add_list(root, "C2cMsgArray");
    item = im_json_push_obj(list);

    im_message_json(item, msg, profile, im_str_eq(user, &msg->from));

    return im_json_render(ctx->pool, root, event);
}


im_json_t *
im_message_notify(im_ctx_t *ctx, const char *name, im_json_t **notify)
{
    im_json_t  *root, *list, *item;

    root = im_json_new_obj(ctx->pool);

    im_json_add_int(root, "Event", 10);
    list = im_json_add_list(root, "C2cNotifyMsgArray");
    item = im_json_push_obj(list);
    *notify = im_json_add_obj(item, name);

    return root;
}


int64_t
im_message_control(im_json_t *list)
{
    int64_t     opts;
    im_json_t  *item;

    opts = 0;

    im_json_each(item, list) {

        if (item->type != IM_JSON_STR) {
            continue;
        }

        if (im_str_eq_c(&item->u.text, "NoUnread")) {
            opts |= IM_MSG_NO_UNREAD;

        } else if (im_str_eq_c(&item->u.text, "NoLastMsg")) {
            opts |= IM_MSG_NO_LAST;

        } else if (im_str_eq_c(&item->u.text, "NoMsgCheck")) {
            opts |= IM_MSG_NO_CHECK;
        }
    }

    return opts;
}


im_code_t
im_message_code(im_ctx_t *ctx, ngx_int_t rc)
{
    if (ctx->via == IM_VIA_REST) {
        return (rc == NGX_BUSY) ? IM_E_C2C_BUSY : IM_E_C2C_INTERNAL;
    }

    return (rc == NGX_BUSY) ? IM_E_MSG_TIMEOUT : IM_E_MSG_INTERNAL;
}
