
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_INBOX_H_INCLUDED_
#define _IM_INBOX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "store/im_store.h"


/*
 * The inbox of an account: one stream row per thing that its devices must
 * hear of.  Sessions follow it by its number.
 */

typedef enum {
    IM_INBOX_MSG = 1,                /* C2C message, received or own */
    IM_INBOX_RECALL,                 /* a C2C message was recalled */
    IM_INBOX_EVENT,                  /* any other item of EventArray */
    IM_INBOX_NOTICE,                 /* group notice, kept until handled */
    IM_INBOX_AT                      /* @me, kept until the group is read */
} im_inbox_e;


#define IM_DIR_IN        1
#define IM_DIR_OUT       2


/* Bits of the column "flags". */

#define IM_F_COUNTS      1           /* counts as unread */
#define IM_F_SILENT      2           /* never pushed (import, own copy of a
                                        REST message) */
#define IM_F_HIDDEN      4           /* deleted by the user for himself */
#define IM_F_RECALLED    8
#define IM_F_NO_LAST     16          /* not in the conversation list */
#define IM_F_IMPORT      32          /* SyncFromOldSystem 2: not in getmsg */


typedef struct {
    int64_t            seq;          /* key column */
    int64_t            type;         /* im_inbox_e */
    int64_t            flags;
    int64_t            cid;          /* the message's id */
    ngx_str_t          peer;
    int64_t            time;
    int64_t            ord;          /* order within the second */
    int64_t            mseq;
    int64_t            rand;
    int64_t            dir;
    ngx_str_t          dk;
    int64_t            kept;         /* 1: handed out at each login */
    int64_t            inst;         /* acting instance, hears nothing */
    int64_t            expire;
    ngx_str_t          event;        /* item of EventArray, ready to send */
} im_inbox_t;

extern im_record_t  im_inbox_record[];


/* Flag of a record for a user's sessions: not an event, but "+" or "-" and
 * the number of a stored group that he has joined or left. */
#define IM_INBOX_MEMBERSHIP  1


/* Key of an account's stream, a prefix of all its keys and indexes. */
void im_inbox_key(im_ctx_t *ctx, ngx_str_t *user, im_key_t *key);

/* Adds the row to the batch; the operation's result will be the number. */
ngx_uint_t im_inbox_append(im_ctx_t *ctx, im_batch_t *batch, ngx_str_t *user,
    im_inbox_t *row);

/* Tells the user's sessions, after the commit.  seq 0: a hint without a row.
 * event: an item of EventArray as JSON text. */
void im_inbox_publish(im_ctx_t *ctx, ngx_str_t *user, int64_t seq,
    uint32_t except_inst, ngx_str_t *event);

/* Moves the cursors of the user's sessions over a row that they do not hear
 * of. */
void im_inbox_skip(im_ctx_t *ctx, ngx_str_t *user, int64_t seq);

/* Stores and publishes one event. */
ngx_int_t im_inbox_event(im_ctx_t *ctx, ngx_str_t *user, uint32_t except_inst,
    im_json_t *event);

/* Number of the last row. */
ngx_int_t im_inbox_head(im_ctx_t *ctx, ngx_str_t *user, int64_t *seq);

/*
 * Rows after "from" as items of EventArray, oldest first, at most limit: what
 * a session that has fallen behind is sent.  Sets *last to the last row's
 * number and *more if there are others.  Rows of ctx->inst and silent ones
 * are skipped.
 */
typedef struct {
    int64_t            seq;
    ngx_str_t          event;
} im_inbox_item_t;

ngx_int_t im_inbox_read(im_ctx_t *ctx, ngx_str_t *user, int64_t from,
    ngx_uint_t limit, ngx_array_t *items, int64_t *last, ngx_uint_t *more);

/* Rows after "from", oldest first; pushes im_inbox_t to the array. */
ngx_int_t im_inbox_rows(im_ctx_t *ctx, ngx_str_t *user, int64_t from,
    ngx_uint_t limit, ngx_array_t *rows);

/* For scans of the inbox: pushes an im_inbox_t to the array that is data. */
ngx_int_t im_inbox_collect(im_row_t *row, void *data);

/* Rows that are handed out at each login: the newest, oldest first. */
ngx_int_t im_inbox_kept(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t limit,
    ngx_array_t *rows);


#endif /* _IM_INBOX_H_INCLUDED_ */
