
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_MESSAGE_H_INCLUDED_
#define _IM_MESSAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "domain/im_inbox.h"
#include "domain/im_profile.h"
#include "live/im_zone.h"
#include "store/im_store.h"


/*
 * A C2C message: one copy in the table "c2c", a row in the inbox of each
 * side.
 */


/* Bits of the column "opts". */

#define IM_MSG_RECEIPT    1          /* IsNeedReadReceipt */
#define IM_MSG_EXT        2          /* SupportMessageExtension */
#define IM_MSG_NO_UNREAD  4
#define IM_MSG_NO_LAST    8
#define IM_MSG_ONLINE     16         /* online only, never stored */
#define IM_MSG_NO_CHECK   32         /* of dirty words; never stored */


/* Seconds in which a write that has failed may take effect all the same. */
#define IM_MSG_LATE       (IM_MARKER_LEFT / 1000)

/* Seconds by which the clocks of nodes may differ. */
#define IM_MSG_CLOCKS     20

/* Milliseconds for which a repetition waits for the end of a send, and after
 * which it looks again. */
#define IM_SEND_MARKER    3000
#define IM_SEND_STEP      20

/* Milliseconds for which a message waits for those of its connection that came
 * before it, in addition to the time of the callback that asks the app. */
#define IM_SEND_LANE      30000


typedef struct {
    int64_t            id;           /* key column */
    ngx_str_t          from;
    ngx_str_t          to;
    ngx_str_t          tinyid;       /* of the sender */
    int64_t            time;         /* MsgTime, seconds */
    int64_t            ctime;        /* the client's */
    int64_t            mseq;
    int64_t            rand;
    ngx_str_t          body;         /* list of elements, JSON */
    ngx_str_t          cloud;        /* CloudCustomData */
    int64_t            mver;         /* MsgVersion: modifications */
    ngx_str_t          recalled;     /* by whom, empty: it is not */
    int64_t            opts;
    int64_t            receipt;      /* 1: the receiver sent a read receipt */
    int64_t            expire;
    int64_t            version;      /* of the row */

    int64_t            gno;          /* not a column: extensions of message
                                        mseq of that stored group; 0: C2C */
} im_message_t;


/* The columns by which two users know a message. */

typedef struct {
    int64_t            mseq;
    int64_t            rand;
    int64_t            time;
} im_msg_key_t;


/*
 * The order of a message within its second, for both users alike: by the
 * sender's MsgSeq where a back end has numbered its messages, otherwise as
 * they came; numbered ones first.  MsgSeq of clients begins at random.
 */
#define im_message_ord(msg, seq_order)                                        \
    ((seq_order) ? (msg)->mseq : (msg)->id)

/* Finds that order by the key, in the mailbox of user.  NGX_DECLINED. */
ngx_int_t im_message_position(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    im_msg_key_t *key, int64_t *ord, int64_t *cid);


/* A message and its inbox rows; seq is 0 where a side has none. */

typedef struct {
    im_message_t       msg;
    im_inbox_t         in;           /* the receiver's */
    im_inbox_t         out;          /* the sender's */
} im_message_rows_t;


#define IM_MSG_KEY_LEN  (3 * NGX_INT64_LEN + 2)

/* Text of MsgKey: seq, random and time. */
ngx_int_t im_message_key_text(im_ctx_t *ctx, int64_t mseq, int64_t rand,
    int64_t time, ngx_str_t *text);
/* NGX_OK, NGX_DECLINED: malformed. */
ngx_int_t im_message_key_parse(ngx_str_t *text, im_msg_key_t *key);

/* A new id, greater than all that this worker has made. */
int64_t im_message_id(void);

im_doc_t *im_message_doc(im_ctx_t *ctx, im_message_t *msg);
void im_message_row_key(im_ctx_t *ctx, int64_t id, im_key_t *key);

/* msgs[i].id is 0 where there is no such message (any more). */
ngx_int_t im_message_get_many(im_ctx_t *ctx, int64_t *ids, ngx_uint_t n,
    im_message_t *msgs);

/* The stored message of that key, sent by "from" to "to".  NGX_DECLINED:
 * there is none.  Of several the first that is not recalled. */
ngx_int_t im_message_find(im_ctx_t *ctx, ngx_str_t *from, ngx_str_t *to,
    im_msg_key_t *key, im_message_rows_t *rows);

/* Profiles of the senders of n messages, in order; asks for each once. */
ngx_int_t im_message_senders(im_ctx_t *ctx, im_message_t *msgs, ngx_uint_t n,
    im_profile_t *profiles);

/* Adds the members of an item of C2cMsgArray.  sync: From and To exchanged,
 * IsSyncMsg. */
void im_message_json(im_json_t *item, im_message_t *msg,
    im_profile_t *profile, ngx_uint_t sync);

/* The item of EventArray in the form that "user" gets. */
ngx_int_t im_message_event(im_ctx_t *ctx, im_message_t *msg,
    im_profile_t *profile, ngx_str_t *user, ngx_str_t *event);

/* An item of EventArray with one element in its C2cNotifyMsgArray; the
 * element's only member is returned in *notify. */
im_json_t *im_message_notify(im_ctx_t *ctx, const char *name,
    im_json_t **notify);

/* Bits of opts for a list SendMsgControl, which may be NULL. */
int64_t im_message_control(im_json_t *list);

/* The code of this caller for a result of the store that is not NGX_OK. */
im_code_t im_message_code(im_ctx_t *ctx, ngx_int_t rc);


/* A message on its way. */

typedef struct {
    im_message_t       msg;          /* from, to, tinyid, ctime, mseq, rand,
                                        body, cloud, opts; time if fixed */
    im_profile_t      *profile;      /* names of the sender, NULL: not read
                                        yet */
    ngx_str_t          key;          /* MsgKey, empty: not made yet */
    uint32_t           inst;         /* acting instance, hears nothing */
    uint32_t           hash;         /* of body, made when it is needed */

    unsigned           has_hash:1;
    unsigned           seq_given:1;  /* mseq is the sender's own */
    unsigned           seq_order:1;  /* and orders messages of a second */
    unsigned           keep_own:1;   /* into the history of the sender */
    unsigned           push_own:1;   /* to the sender's (other) instances */
    unsigned           check:1;      /* for dirty words */
    unsigned           ask:1;        /* C2C.CallbackBeforeSendMsg */
    unsigned           tell:1;       /* C2C.CallbackAfterSendMsg */
    unsigned           unknown:1;    /* it may be stored, or may still be */
} im_send_t;


/*
 * Sends: duplicate or commit, then the hints.  Sets msg.time, and msg.mseq
 * to the first one's if it is a duplicate.
 */
im_code_t im_message_send(im_ctx_t *ctx, im_send_t *send);

/* The same message to n accounts, all of which exist; codes[i] is the result
 * for to[i]. */
void im_message_send_many(im_ctx_t *ctx, im_send_t *send, ngx_str_t *to,
    ngx_uint_t n, im_code_t *codes);

/* Imports a message of msg.time.  sync: SyncFromOldSystem, 1, 2 or 5. */
im_code_t im_message_import(im_ctx_t *ctx, im_send_t *send, int64_t sync);


/*
 * Changes of a stored message.  Each tells both users' sessions except the
 * acting instance; all answer 20022 if there is no such message.
 */

/* limit: age in seconds up to which it may be recalled, 0: any. */
im_code_t im_message_recall(im_ctx_t *ctx, ngx_str_t *from, ngx_str_t *to,
    im_msg_key_t *key, time_t limit);

/*
 * Replaces body and cloud where their data is not NULL.  mver: the version
 * that the caller has seen, -1: any; IM_E_MODIFY_CONFLICT if it is another;
 * size: code of one that becomes too long.
 * rows: the message as it is afterwards, or is in spite of the caller.
 */
im_code_t im_message_modify(im_ctx_t *ctx, ngx_str_t *from, ngx_str_t *to,
    im_msg_key_t *key, int64_t mver, ngx_str_t *body, ngx_str_t *cloud,
    im_code_t size, im_message_rows_t *rows);

/* The reader of messages that peer has sent tells that he read them.  Skips
 * those that want no receipt. */
im_code_t im_message_receipt(im_ctx_t *ctx, ngx_str_t *reader,
    ngx_str_t *peer, im_msg_key_t *keys, ngx_uint_t n);

/* Hides messages of both directions from one user's history. */
im_code_t im_message_hide(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    im_msg_key_t *keys, ngx_uint_t n);


#endif /* _IM_MESSAGE_H_INCLUDED_ */
