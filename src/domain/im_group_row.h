
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_ROW_H_INCLUDED_
#define _IM_GROUP_ROW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group.h"


/*
 * The messages of a stored group: a stream whose numbers are MsgSeq.  Those
 * that were recalled or deleted keep their place.
 */

typedef enum {
    IM_ROW_MESSAGE = 1,
    IM_ROW_TIP
} im_group_row_e;


typedef struct {
    int64_t            seq;          /* key column */
    int64_t            type;         /* im_group_row_e */
    ngx_str_t          from;
    ngx_str_t          tinyid;
    ngx_str_t          nick;         /* of the sender when he sent it */
    ngx_str_t          face;
    ngx_str_t          card;
    int64_t            time;
    int64_t            ctime;        /* the client's */
    int64_t            cseq;         /* ClientSeq */
    int64_t            random;
    int64_t            prio;         /* im_room_prio_e */
    ngx_str_t          body;         /* MsgBody: of a tip an object */
    ngx_str_t          cloud;
    ngx_str_t          at;           /* GroupAtInfo */
    int64_t            opts;         /* IM_MSG_* */
    ngx_str_t          dk;
    int64_t            nocount;      /* 1: not in unread numbers */
    ngx_str_t          to;           /* who sees it, im_group_direct.h, empty:
                                        all */
    int64_t            recalled;     /* microseconds, 0: it is not */
    ngx_str_t          revoker;
    int64_t            inst;         /* of the sender, who gets no copy */
    int64_t            gone;         /* 1: deleted */
    int64_t            mver;         /* MsgVersion: modifications */
    int64_t            modified;     /* microseconds of the last one */
    int64_t            expire;
} im_group_row_t;


#define IM_GROUP_MESSAGE  16         /* in the flags of a record: a message,
                                        not a tip; below it: im_room_prio_e */


/* Key of a group's stream, prefix of all its keys; also of other tables that
 * begin with the number. */
void im_group_row_key(im_ctx_t *ctx, int64_t gno, im_key_t *key);

/* Adds the row to a batch; the operation's result will be its number. */
ngx_uint_t im_group_row_append(im_ctx_t *ctx, im_batch_t *batch,
    im_group_t *group, im_group_row_t *row);

/* Tells the members of row->seq; except: the peer that gets no copy. */
void im_group_row_publish(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row, uint64_t except);

/* Tells them an item of EventArray that is not stored. */
void im_group_hint(im_ctx_t *ctx, im_group_t *group, ngx_str_t *event,
    ngx_uint_t flags, uint64_t except);

/* Number of the last message, 0: none; row (may be NULL): that message, its
 * seq is 0 if it is not there any more. */
ngx_int_t im_group_head(im_ctx_t *ctx, int64_t gno, int64_t *seq,
    im_group_row_t *row);

/* NGX_DECLINED: no such message, or deleted. */
ngx_int_t im_group_row_get(im_ctx_t *ctx, int64_t gno, int64_t seq,
    im_group_row_t *row);

/* Pushes im_group_row_t of the numbers from..to, in order or backwards. */
ngx_int_t im_group_rows(im_ctx_t *ctx, int64_t gno, int64_t from, int64_t to,
    ngx_uint_t order, ngx_uint_t limit, ngx_array_t *rows);

/* The one of that key for duplicates, or NGX_DECLINED. */
ngx_int_t im_group_row_by_dk(im_ctx_t *ctx, int64_t gno, ngx_str_t *dk,
    im_group_row_t *row);

/* Recalled (index IM_GROUP_MSG_RECALL) or modified ones
 * (IM_GROUP_MSG_MODIFIED) from that microsecond on, oldest first. */
ngx_int_t im_group_rows_changed(im_ctx_t *ctx, int64_t gno, ngx_uint_t index,
    int64_t from, ngx_uint_t order, ngx_uint_t limit, ngx_array_t *rows);

/* Messages of the numbers from..to that are not counted. */
ngx_int_t im_group_row_nocount(im_ctx_t *ctx, int64_t gno, int64_t from,
    int64_t to, ngx_uint_t *n);

/* Sets named fields of a row. */
void im_group_row_set(im_ctx_t *ctx, im_batch_t *batch, int64_t gno,
    int64_t seq, im_doc_t *doc);

/* What is known of a sender: tinyid, nick, face. */
void im_group_row_sender(im_ctx_t *ctx, im_group_row_t *row);

/* Adds the members of an element of GroupMsgArray or GroupTips. */
void im_group_row_json(im_json_t *item, im_group_t *group,
    im_group_row_t *row);

/* The item of EventArray: the message; that it was recalled; what it was
 * modified to. */
ngx_int_t im_group_row_event(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row, ngx_str_t *event);

ngx_int_t im_group_row_recall_event(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row, ngx_str_t *event);
ngx_int_t im_group_row_modify_event(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *row, ngx_str_t *event);

/* Pushes the events of messages that were recalled or modified from that
 * microsecond on, ngx_str_t: for those who may have missed them. */
ngx_int_t im_group_row_changes(im_ctx_t *ctx, im_group_t *group,
    int64_t from, ngx_array_t *events);

/* Microseconds of now, as in recalled and modified. */
int64_t im_group_row_now(void);


#endif /* _IM_GROUP_ROW_H_INCLUDED_ */
