
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_str.h"
#include "core/im_worker.h"
#include "live/im_room.h"
#include "live/im_room_member.h"
#include "domain/im_group_direct.h"
#include "domain/im_group_item.h"
#include "domain/im_group_row.h"
#include "domain/im_message.h"
#include "domain/im_profile.h"


#define IM_FEED_ROWS   50
#define IM_FEED_PAUSE  200           /* ms */
#define IM_FEED_TRIES  10
#define IM_FEED_LOST   60000000      /* us: no record is lost for longer */
#define IM_NOCOUNT_MAX 1000
#define IM_CHANGES_MAX 500           /* that are told again */


/* Reading a stream for the members of this worker. */

typedef struct {
    im_ctx_t           ctx;
    ngx_log_t          log;
    int64_t            gno;
    int64_t            cursor;
    ngx_uint_t         lost;         /* also what is not a message */
} im_group_feed_t;


static void im_group_row_load(im_row_t *row, im_group_row_t *r);
static ngx_int_t im_group_row_collect(im_row_t *row, void *data);
static ngx_int_t im_group_row_one(im_row_t *row, void *data);
static void im_group_feed(ngx_uint_t app, uint64_t gno, int64_t cursor,
    ngx_uint_t lost);
static void im_group_feed_run(void *data);
static ngx_int_t im_group_feed_page(im_group_feed_t *feed, int64_t *last,
    ngx_uint_t *more);
static ngx_int_t im_group_feed_changes(im_group_feed_t *feed,
    im_group_t *group);
static ngx_int_t im_group_row_init_process(ngx_cycle_t *cycle,
    im_conf_t *conf);


im_worker_hook_t  im_group_row_hook = {
    ngx_string("group row"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_group_row_init_process,             /* init process */
    NULL                                   /* exit process */
};


static im_record_t  im_group_row_record[] = {
    { ngx_string("seq"), IM_COL_INT, offsetof(im_group_row_t, seq) },
    { ngx_string("type"), IM_COL_INT, offsetof(im_group_row_t, type) },
    { ngx_string("from"), IM_COL_STR, offsetof(im_group_row_t, from) },
    { ngx_string("tinyid"), IM_COL_STR, offsetof(im_group_row_t, tinyid) },
    { ngx_string("nick"), IM_COL_STR, offsetof(im_group_row_t, nick) },
    { ngx_string("face"), IM_COL_STR, offsetof(im_group_row_t, face) },
    { ngx_string("card"), IM_COL_STR, offsetof(im_group_row_t, card) },
    { ngx_string("time"), IM_COL_INT, offsetof(im_group_row_t, time) },
    { ngx_string("ctime"), IM_COL_INT, offsetof(im_group_row_t, ctime) },
    { ngx_string("cseq"), IM_COL_INT, offsetof(im_group_row_t, cseq) },
    { ngx_string("random"), IM_COL_INT, offsetof(im_group_row_t, random) },
    { ngx_string("prio"), IM_COL_INT, offsetof(im_group_row_t, prio) },
    { ngx_string("body"), IM_COL_STR, offsetof(im_group_row_t, body) },
    { ngx_string("cloud"), IM_COL_STR, offsetof(im_group_row_t, cloud) },
    { ngx_string("at"), IM_COL_STR, offsetof(im_group_row_t, at) },
    { ngx_string("opts"), IM_COL_INT, offsetof(im_group_row_t, opts) },
    { ngx_string("dk"), IM_COL_STR, offsetof(im_group_row_t, dk) },
    { ngx_string("nocount"), IM_COL_INT, offsetof(im_group_row_t, nocount) },
    { ngx_string("to"), IM_COL_STR, offsetof(im_group_row_t, to) },
    { ngx_string("recalled"), IM_COL_INT,
      offsetof(im_group_row_t, recalled) },
    { ngx_string("revoker"), IM_COL_STR, offsetof(im_group_row_t, revoker) },
    { ngx_string("inst"), IM_COL_INT, offsetof(im_group_row_t, inst) },
    { ngx_string("gone"), IM_COL_INT, offsetof(im_group_row_t, gone) },
    { ngx_string("mver"), IM_COL_INT, offsetof(im_group_row_t, mver) },
    { ngx_string("modified"), IM_COL_INT,
      offsetof(im_group_row_t, modified) },
    { ngx_string("expire"), IM_COL_INT, offsetof(im_group_row_t, expire) },
      im_null_record
};


void
im_group_row_key(im_ctx_t *ctx, int64_t gno, im_key_t *key)
{
    im_key_init(key, ctx->app->id);
    im_key_int(key, gno);
}


ngx_uint_t
im_group_row_append(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_row_t *row)
{
    im_key_t  key;

    row->seq = 0;                        /* a key column */

    if (row->expire == 0) {
        row->expire = row->time + ctx->app->history;
    }

    im_group_row_key(ctx, group->gno, &key);

    return im_store_append(batch, IM_T_GROUP_MSG, &key,
                           im_record_doc(ctx->pool, im_group_row_record,
                                         row));
}


void
im_group_row_publish(im_ctx_t *ctx, im_group_t *group, im_group_row_t *row,
    uint64_t except)
{
    ngx_str_t   event;
    ngx_uint_t  flags;

    flags = row->prio;

    if (row->type == IM_ROW_MESSAGE) {
        flags |= IM_GROUP_MESSAGE;
    }

    if (im_group_row_event(ctx, group, row, &event) != NGX_OK
        || im_group_direct_record(ctx, row, &event, &flags, &event) != NGX_OK)
    {
        return;                          /* found by the next one */
    }

    (void) im_room_notify(ctx->app->id, group->gno, row->seq, flags, &event,
                          1, except);
}


void
im_group_hint(im_ctx_t *ctx, im_group_t *group, ngx_str_t *event,
    ngx_uint_t flags, uint64_t except)
{
    (void) im_room_notify(ctx->app->id, group->gno, 0, flags, event, 1,
                          except);
}


ngx_int_t
im_group_head(im_ctx_t *ctx, int64_t gno, int64_t *seq, im_group_row_t *row)
{
    im_key_t        prefix;
    ngx_int_t       rc;
    im_group_row_t  last;

    if (row == NULL) {
        row = &last;
    }

    ngx_memzero(row, sizeof(im_group_row_t));

    im_group_row_key(ctx, gno, &prefix);

    rc = im_store_scan(ctx, IM_T_GROUP_MSG, 0, &prefix, NULL, NULL, IM_DESC,
                       1, im_group_row_one, row);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    if (row->seq) {
        *seq = row->seq;
        return NGX_OK;
    }

    rc = im_store_head(ctx, IM_T_GROUP_MSG, &prefix, seq);

    if (rc == NGX_DECLINED) {
        *seq = 0;
        rc = NGX_OK;
    }

    return rc;
}


ngx_int_t
im_group_row_get(im_ctx_t *ctx, int64_t gno, int64_t seq, im_group_row_t *row)
{
    im_key_t   key;
    im_row_t   r;
    ngx_int_t  rc;

    im_group_row_key(ctx, gno, &key);
    im_key_int(&key, seq);

    rc = im_store_get(ctx, IM_T_GROUP_MSG, &key, &r);
    if (rc != NGX_OK) {
        return rc;
    }

    im_group_row_load(&r, row);

    return (row->gone || im_row_expired(&r, ngx_time())) ? NGX_DECLINED
                                                         : NGX_OK;
}


ngx_int_t
im_group_rows(im_ctx_t *ctx, int64_t gno, int64_t from, int64_t to,
    ngx_uint_t order, ngx_uint_t limit, ngx_array_t *rows)
{
    im_key_t   prefix, first, last;
    ngx_int_t  rc;

    if (from > to) {
        return NGX_OK;
    }

    im_group_row_key(ctx, gno, &prefix);

    first = prefix;
    im_key_int(&first, from);

    last = prefix;
    im_key_int(&last, to);

    rc = im_store_scan(ctx, IM_T_GROUP_MSG, 0, &prefix, &first, &last, order,
                       limit, im_group_row_collect, rows);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


ngx_int_t
im_group_row_by_dk(im_ctx_t *ctx, int64_t gno, ngx_str_t *dk,
    im_group_row_t *row)
{
    im_key_t   prefix;
    ngx_int_t  rc;

    im_group_row_key(ctx, gno, &prefix);
    im_key_str(&prefix, dk);

    ngx_memzero(row, sizeof(im_group_row_t));

    rc = im_store_scan(ctx, IM_T_GROUP_MSG, IM_GROUP_MSG_DK, &prefix, NULL,
                       NULL, IM_ASC, 1, im_group_row_one, row);

    if (rc == NGX_OK && row->seq == 0) {
        return NGX_DECLINED;
    }

    return rc;
}


ngx_int_t
im_group_rows_changed(im_ctx_t *ctx, int64_t gno, ngx_uint_t index,
    int64_t from, ngx_uint_t order, ngx_uint_t limit, ngx_array_t *rows)
{
    im_key_t   prefix, first;
    ngx_int_t  rc;

    im_group_row_key(ctx, gno, &prefix);

    first = prefix;
    im_key_int(&first, from);

    rc = im_store_scan(ctx, IM_T_GROUP_MSG, index, &prefix, &first, NULL,
                       order, limit, im_group_row_collect, rows);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


ngx_int_t
im_group_row_nocount(im_ctx_t *ctx, int64_t gno, int64_t from, int64_t to,
    ngx_uint_t *n)
{
    im_key_t   prefix, first, last;
    ngx_int_t  rc;

    *n = 0;

    im_group_row_key(ctx, gno, &prefix);

    first = prefix;
    im_key_int(&first, from);

    last = prefix;
    im_key_int(&last, to);

    rc = im_store_count(ctx, IM_T_GROUP_MSG, IM_GROUP_MSG_NOCOUNT, &prefix,
                        &first, &last, 0, 0, IM_NOCOUNT_MAX, n);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


void
im_group_row_set(im_ctx_t *ctx, im_batch_t *batch, int64_t gno, int64_t seq,
    im_doc_t *doc)
{
    im_key_t  key;

    im_group_row_key(ctx, gno, &key);
    im_key_int(&key, seq);

    im_store_set(batch, IM_T_GROUP_MSG, &key, doc);
}


static void
im_group_row_load(im_row_t *row, im_group_row_t *r)
{
    ngx_memzero(r, sizeof(im_group_row_t));
    im_record_load(row, im_group_row_record, r);
}


static ngx_int_t
im_group_row_collect(im_row_t *row, void *data)
{
    ngx_array_t  *rows = data;

    im_group_row_t  *r;

    r = ngx_array_push(rows);
    if (r == NULL) {
        return NGX_ERROR;
    }

    im_group_row_load(row, r);

    return NGX_OK;
}


static ngx_int_t
im_group_row_one(im_row_t *row, void *data)
{
    im_group_row_load(row, data);

    return NGX_DONE;
}


void
im_group_row_sender(im_ctx_t *ctx, im_group_row_t *row)
{
    im_profile_names(ctx, &row->from, &row->nick, &row->face);
    im_group_item_tinyid(ctx, &row->from, &row->tinyid);
}


void
im_group_row_json(im_json_t *item, im_group_t *group, im_group_row_t *row)
{
    im_json_t  *info, *extra, *control;

    im_json_add_int(item, "Event", (row->type == IM_ROW_TIP) ? 4 : 3);
    im_json_add_int(item, "MsgSeq", row->seq);
    im_json_add_str(item, "ToGroupId", &group->gid);
    im_json_add_str(item, "From_Account", &row->from);
    im_json_add_int(item, "MsgRandom", row->random);
    im_json_add_int(item, "MsgTimeStamp", row->time);
    im_json_add_int(item, "MsgClientTime",
                    row->ctime ? row->ctime : row->time);

    if (row->tinyid.len) {
        im_json_add_str(item, "TinyId", &row->tinyid);
    }

    if (row->cseq) {
        im_json_add_int(item, "ClientSeq", row->cseq);
    }

    im_json_add_int(item, "MsgPriority", row->prio + 1);
    im_json_add_int(item, "IsPlaceMsg", 0);

    if (row->type == IM_ROW_TIP) {
        im_json_add_int(item, "IsSystemMsg", 1);
    }

    if (row->cloud.len) {
        im_json_add_str(item, "CloudCustomData", &row->cloud);
    }

    if (row->at.len) {
        im_json_add_raw(item, "GroupAtInfo", &row->at);
    }

    if (row->opts & IM_MSG_ONLINE) {
        im_json_add_int(item, "OnlineOnlyFlag", 1);
    }

    if (row->opts & IM_MSG_RECEIPT) {
        im_json_add_int(item, "NeedReadReceipt", 1);
    }

    if (row->opts & IM_MSG_EXT) {
        im_json_add_int(item, "SupportMessageExtension", 1);
    }

    if ((row->opts & (IM_MSG_NO_UNREAD|IM_MSG_NO_LAST)) || row->to.len) {
        control = im_json_add_obj(item, "SendMsgControl");
        im_json_add_int(control, "NoUnread",
                        ((row->opts & IM_MSG_NO_UNREAD) || row->to.len)
                        ? 1 : 0);
        im_json_add_int(control, "NoLastMsg",
                        (row->opts & IM_MSG_NO_LAST) ? 1 : 0);
    }

    if (row->mver) {
        im_json_add_int(item, "MsgVersion", row->mver);
    }

    info = im_json_add_obj(item, "GroupInfo");

    im_json_add_str(info, "GroupId", &group->gid);
    im_json_add_str(info, "GroupName", &group->name);
    im_json_add_str(info, "GroupType", &group->type->name);
    im_json_add_str(info, "From_Account", &row->from);
    im_json_add_str(info, "From_AccountNick", &row->nick);
    im_json_add_str(info, "From_AccountHeadurl", &row->face);

    extra = im_json_add_obj(info, "MsgFrom_AccountExtraInfo");
    im_json_add_str(extra, "NameCard", &row->card);

    im_json_add_raw(item, "MsgBody", &row->body);
}


ngx_int_t
im_group_row_event(im_ctx_t *ctx, im_group_t *group, im_group_row_t *row,
    ngx_str_t *event)
{
    ngx_uint_t  tip;
    im_json_t  *root, *list;

    tip = (row->type == IM_ROW_TIP);

    root = im_json_new_obj(ctx->pool);

    im_json_add_int(root, "Event", tip ? 4 : 3);
    list = im_json_add_list(root, tip ? "GroupTips" : "GroupMsgArray");

    im_group_row_json(im_json_push_obj(list), group, row);

    return im_json_render(ctx->pool, root, event);
}


ngx_int_t
im_group_row_recall_event(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row, ngx_str_t *event)
{
    ngx_str_t   none;
    im_json_t  *body, *item;

    body = im_json_new_obj(ctx->pool);

    item = im_json_push_obj(im_json_add_list(body, "GroupWithdrawInfoArray"));
    im_json_add_str(item, "GroupId", &group->gid);
    im_json_add_int(item, "MsgSeq", row->seq);
    im_json_add_int(item, "MsgRandom", row->random);
    im_json_add_str(im_json_add_obj(item, "RevokerInfo"), "Revoker_Account",
                    &row->revoker);

    ngx_str_set(&none, "");

    return im_group_item_system(ctx, group, IM_ITEM_NOTICE, body, &none, NULL,
                                NULL, event);
}


ngx_int_t
im_group_row_modify_event(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row, ngx_str_t *event)
{
    im_json_t  *root, *item;

    root = im_json_new_obj(ctx->pool);

    im_json_add_int(root, "Event", 19);
    item = im_json_push_obj(im_json_add_list(root, "GroupMsgModNotifys"));

    im_json_add_str(item, "GroupId", &group->gid);
    im_json_add_str(item, "From_Account", &row->from);
    im_json_add_int(item, "MsgSeq", row->seq);
    im_json_add_int(item, "MsgRandom", row->random);
    im_json_add_int(item, "MsgTime", row->time);
    im_json_add_raw(item, "MsgBody", &row->body);
    im_json_add_str(item, "CloudCustomData", &row->cloud);
    im_json_add_int(item, "MsgVersion", row->mver);

    return im_json_render(ctx->pool, root, event);
}


ngx_int_t
im_group_row_changes(im_ctx_t *ctx, im_group_t *group, int64_t from,
    ngx_array_t *events)
{
    ngx_int_t        rc;
    ngx_str_t       *event;
    ngx_uint_t       i, k;
    ngx_array_t      rows;
    im_group_row_t  *row;

    static ngx_uint_t  index[] = {
        IM_GROUP_MSG_MODIFIED,
        IM_GROUP_MSG_RECALL
    };

    for (i = 0; i < 2; i++) {

        if (ngx_array_init(&rows, ctx->pool, 4, sizeof(im_group_row_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = im_group_rows_changed(ctx, group->gno, index[i], from, IM_ASC,
                                   IM_CHANGES_MAX, &rows);
        if (rc != NGX_OK) {
            return rc;
        }

        row = rows.elts;

        for (k = 0; k < rows.nelts; k++) {

            /* without a user: what all see */

            if (row[k].gone || (i == 0 && row[k].recalled)
                || !im_group_direct_visible(&row[k], &ctx->user))
            {
                continue;
            }

            event = ngx_array_push(events);
            if (event == NULL) {
                return NGX_ERROR;
            }

            rc = i ? im_group_row_recall_event(ctx, group, &row[k], event)
                   : im_group_row_modify_event(ctx, group, &row[k], event);

            if (rc != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


int64_t
im_group_row_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000000 + tp->msec * 1000;
}


/* Messages that this worker has not heard of by the bus, or not in order. */

static void
im_group_feed(ngx_uint_t app, uint64_t gno, int64_t cursor, ngx_uint_t lost)
{
    int64_t           none;
    ngx_pool_t       *pool;
    ngx_uint_t        again;
    im_group_feed_t  *feed;

    pool = ngx_create_pool(4096, ngx_cycle->log);

    if (pool) {
        feed = ngx_pcalloc(pool, sizeof(im_group_feed_t));

        if (feed) {
            feed->log = *ngx_cycle->log;

            feed->ctx.pool = pool;
            feed->ctx.log = &feed->log;
            feed->ctx.app = im_conf_app(im_conf(), app);
            feed->ctx.via = IM_VIA_JOB;
            feed->ctx.role = IM_ROLE_ADMIN;
            feed->gno = gno;
            feed->cursor = cursor;
            feed->lost = lost;

            if (feed->ctx.app
                && im_co_spawn(im_group_feed_run, feed, &feed->log) != NULL)
            {
                return;
            }
        }

        ngx_destroy_pool(pool);
    }

    none = 0;
    (void) im_room_fed(app, gno, 0, &none, &again);
}


static void
im_group_feed_run(void *data)
{
    im_group_feed_t  *feed = data;

    int64_t      last;
    ngx_int_t    rc;
    ngx_uint_t   more, tries, lost;
    ngx_pool_t  *pool;

    pool = feed->ctx.pool;
    tries = 0;
    lost = 0;

    for ( ;; ) {

        feed->ctx.pool = ngx_create_pool(4096, &feed->log);

        rc = NGX_ERROR;
        last = feed->cursor;
        more = 0;

        if (feed->ctx.pool) {
            rc = im_group_feed_page(feed, &last, &more);
            ngx_destroy_pool(feed->ctx.pool);
        }

        if (rc == NGX_OK) {

            tries = 0;

            if (more) {
                feed->cursor = last;
                im_co_yield();
                continue;
            }

            feed->lost = 0;

            if (im_room_fed(feed->ctx.app->id, feed->gno, last,
                            &feed->cursor, &feed->lost)
                == NGX_AGAIN)
            {
                continue;
            }

            break;
        }

        if (rc == NGX_DECLINED || ++tries > IM_FEED_TRIES) {
            last = 0;
            (void) im_room_fed(feed->ctx.app->id, feed->gno, 0, &last, &lost);
            break;
        }

        im_co_sleep(IM_FEED_PAUSE);
    }

    ngx_destroy_pool(pool);
}


/* NGX_DECLINED: the group is gone, or nobody is there any more. */

static ngx_int_t
im_group_feed_page(im_group_feed_t *feed, int64_t *last, ngx_uint_t *more)
{
    im_ctx_t        *ctx;
    im_code_t        code;
    ngx_int_t        rc;
    ngx_str_t        event;
    ngx_uint_t       i, flags;
    im_group_t       group;
    ngx_array_t      rows;
    im_group_row_t  *row;

    ctx = &feed->ctx;

    code = im_group_load_gno(ctx, feed->gno, &group);

    if (code != IM_OK) {
        return (code == IM_E_GROUP_NONE) ? NGX_DECLINED : NGX_BUSY;
    }

    if (ngx_array_init(&rows, ctx->pool, 16, sizeof(im_group_row_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = im_group_rows(ctx, feed->gno, feed->cursor + 1,
                       NGX_MAX_INT_T_VALUE, IM_ASC, IM_FEED_ROWS, &rows);
    if (rc != NGX_OK) {
        return rc;
    }

    *more = (rows.nelts == IM_FEED_ROWS);

    row = rows.elts;

    for (i = 0; i < rows.nelts; i++) {

        *last = row[i].seq;

        if (row[i].gone || row[i].recalled) {
            continue;
        }

        flags = row[i].prio;

        if (row[i].type == IM_ROW_MESSAGE) {
            flags |= IM_GROUP_MESSAGE;
        }

        if (im_group_row_event(ctx, &group, &row[i], &event) != NGX_OK
            || im_group_direct_record(ctx, &row[i], &event, &flags, &event)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = im_room_feed(ctx->app->id, feed->gno, row[i].seq, flags, &event);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return (feed->lost && !*more) ? im_group_feed_changes(feed, &group)
                                  : NGX_OK;
}


static ngx_int_t
im_group_feed_changes(im_group_feed_t *feed, im_group_t *group)
{
    ngx_int_t     rc;
    ngx_str_t    *event;
    ngx_uint_t    i;
    ngx_array_t   events;

    if (ngx_array_init(&events, feed->ctx.pool, 4, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = im_group_row_changes(&feed->ctx, group,
                              im_group_row_now() - IM_FEED_LOST, &events);
    if (rc != NGX_OK) {
        return rc;
    }

    event = events.elts;

    for (i = 0; i < events.nelts; i++) {

        rc = im_room_feed(feed->ctx.app->id, feed->gno, 0, 0, &event[i]);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
im_group_row_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    im_room_stream_handler(im_group_feed);

    return NGX_OK;
}
