
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_TABLE_H_INCLUDED_
#define _IM_TABLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef enum {
    IM_COL_STR = 0,
    IM_COL_INT
} im_col_e;


typedef enum {
    IM_T_ACCOUNT = 0,
    IM_T_TINYID,
    IM_T_PASSWORD,
    IM_T_PROFILE,
    IM_T_DEVICE,
    IM_T_LOGIN,
    IM_T_C2C,
    IM_T_INBOX,
    IM_T_CONV,
    IM_T_READ,
    IM_T_GROUP,
    IM_T_GNO,
    IM_T_GROUP_MSG,
    IM_T_MEMBER,
    IM_T_MUTE,
    IM_T_HIDDEN,
    IM_T_RECEIPT,
    IM_T_PEND,
    IM_T_GROUP_ATTR,
    IM_T_EXT,
    IM_T_RELAY,
    IM_T_CONTACT_GROUP,
    IM_T_FRIEND,
    IM_T_FRIEND_REQ,
    IM_T_BLACK,
    IM_T_FRIEND_GROUP,
    IM_T_RECOMMEND,
    IM_T_STATUS,
    IM_T_STATUS_SUB,
    IM_T_COUNT,
    IM_T_JOB,
    IM_T_APP,
    IM_T_WORD,
    IM_T_LEASE,
    IM_T_OUTBOX,
    IM_T_MAX
} im_table_e;


typedef enum {
    IM_VERSIONED = 0,                /* insert, replace, upsert, delete */
    IM_COUNTED,                      /* insert, set, add, max, delete */
    IM_STREAM                        /* append, insert, set, delete */
} im_table_kind_e;


typedef struct {
    const char        *name;
    im_col_e           type;
} im_column_t;


#define IM_INDEX_UNIQUE  1
#define IM_INDEX_SPARSE  2           /* rows without its last column are not
                                        in it; it is never negative */
#define IM_INDEX_FLAGS   4           /* entries carry the column "flags" */

typedef struct {
    const char        *name;
    ngx_uint_t         flags;
    im_column_t       *columns;      /* of the row, ends with a NULL name; the
                                        primary key follows as a tie-breaker
                                        unless unique */
} im_index_t;


/* How old rows go: a row expires at its column "expire" (UNIX seconds,
 * absent or 0: never).  Readers never see an expired row. */

#define IM_TTL_NONE    0
#define IM_TTL_ROW     1             /* an entry (expire, key) per row */
#define IM_TTL_STREAM  2             /* an entry (hour, stream) */
#define IM_TTL_EDGE    3             /* keys are ordered by time */


typedef struct {
    im_table_e         id;
    const char        *name;
    im_table_kind_e    kind;
    ngx_uint_t         ttl;
    im_column_t       *key;          /* ends with a NULL name */
    im_index_t        *index;        /* [0] is index number 1; ends with NULL */
} im_table_t;


/* Index numbers; 0 is the primary key. */

#define IM_INBOX_HIST      1         /* user, peer, time, ord, cid, dir */
#define IM_INBOX_DK        2         /* user, dk: unique, sparse */
#define IM_INBOX_KEPT      3         /* user, kept (= seq): sparse */
#define IM_LOGIN_USER      1         /* user */
#define IM_GROUP_MSG_DK       1      /* gno, dk: unique, sparse */
#define IM_GROUP_MSG_RECALL   2      /* gno, recalled: sparse */
#define IM_GROUP_MSG_NOCOUNT  3      /* gno, seq, nocount: sparse */
#define IM_GROUP_MSG_MODIFIED 4      /* gno, modified: sparse */
#define IM_MEMBER_USER     1         /* user, gno */
#define IM_MEMBER_JOIN     2         /* gno, joined, user */
#define IM_MUTE_UNTIL      1         /* gno, until, user */
#define IM_PEND_TO         1         /* to: sparse */
#define IM_CONV_PINNED     1         /* user, pinned: sparse */
#define IM_JOB_STATE       1         /* state */
#define IM_PROFILE_NICK    1         /* nkey: sparse */
#define IM_FRIEND_PEER     1         /* peer */
#define IM_FRIEND_TIME     2         /* user, added */
#define IM_REQ_TIME        1         /* user, added */
#define IM_BLACK_PEER      1         /* peer */
#define IM_BLACK_TIME      2         /* user, added */
#define IM_SUB_WATCHER     1         /* watcher, added */
#define IM_WORD_ORDER      1         /* added */


extern im_table_t  im_tables[IM_T_MAX];


#endif /* _IM_TABLE_H_INCLUDED_ */
