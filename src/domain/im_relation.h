
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_RELATION_H_INCLUDED_
#define _IM_RELATION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "domain/im_profile.h"
#include "store/im_store.h"


/*
 * Relations of two accounts: friend rows in both directions, pending
 * requests, blacklists.  A change of a pair is one atomic commit that expects
 * what its decision was made by, so that parallel opposite commands end as if
 * one had come after the other.
 */


/* What came of it.  The number on the wire depends on the command. */

typedef enum {
    IM_REL_OK = 0,
    IM_REL_PARAM,
    IM_REL_ACCOUNT,                  /* no such account */
    IM_REL_INTERNAL,
    IM_REL_TIMEOUT,
    IM_REL_CONFLICT,
    IM_REL_FORBIDDEN,                /* AdminForbidType */
    IM_REL_FULL,                     /* own friends */
    IM_REL_PEER_FULL,
    IM_REL_GROUPS_FULL,
    IM_REL_REQUESTS_FULL,
    IM_REL_BLACK_FULL,
    IM_REL_EXISTS,                   /* is a friend */
    IM_REL_NO_FRIEND,
    IM_REL_BLOCKING,
    IM_REL_BLOCKED,
    IM_REL_DENIED,
    IM_REL_PENDING,
    IM_REL_NO_REQUEST,
    IM_REL_BLACK_EXISTS,
    IM_REL_NO_BLACK,
    IM_REL_GROUP_EXISTS,
    IM_REL_NO_GROUP,
    IM_REL_IN_GROUP,
    IM_REL_NOT_IN_GROUP,
    IM_REL_ADD_RATE,
    IM_REL_DELETE_RATE,
    IM_REL_DIRTY,                    /* a dirty word */
    IM_REL_RECOMMENDS_FULL,
    IM_REL_NO_RECOMMEND,
    IM_REL_REFUSED,                  /* by the app, which gives the number */

    /* parameters that had numbers of their own */
    IM_REL_COUNT,
    IM_REL_TYPE,
    IM_REL_LENGTH,
    IM_REL_SOURCE,
    IM_REL_TAGS,
    IM_REL_MAX
} im_rel_e;


/* Types of notices (rest-profile-sns.md 7.1). */

#define IM_NOTICE_ADD        1
#define IM_NOTICE_DELETE     2
#define IM_NOTICE_REQUEST    3
#define IM_NOTICE_REQ_GONE   4
#define IM_NOTICE_BLACK      5
#define IM_NOTICE_UNBLACK    6
#define IM_NOTICE_READ       7
#define IM_NOTICE_UPDATE     8


/* Directions of pending requests. */

#define IM_REQ_IN   1
#define IM_REQ_OUT  2


typedef struct {
    ngx_str_t          user;         /* key columns */
    ngx_str_t          peer;
    ngx_str_t          remark;
    ngx_str_t          source;       /* "AddSource_Type_..." */
    ngx_str_t          wording;
    ngx_str_t          groups;       /* ids of friend groups, decimal, comma */
    ngx_str_t          custom;       /* JSON object, keyword: value */
    int64_t            added;        /* seconds */
    int64_t            retime;       /* RemarkTime */
    int64_t            made;         /* when the row came, im_message_id() */
    int64_t            version;      /* 0: there is no row */
} im_friend_t;


typedef struct {
    ngx_str_t          user;         /* key columns */
    int64_t            dir;
    ngx_str_t          peer;
    ngx_str_t          source;
    ngx_str_t          wording;
    ngx_str_t          remark;       /* of the requester, his side only */
    int64_t            added;
    int64_t            made;
    int64_t            version;
} im_request_t;


typedef struct {
    ngx_str_t          user;         /* key columns */
    ngx_str_t          peer;
    int64_t            added;
    int64_t            made;
    int64_t            version;
} im_black_t;


/* Somebody that the app recommends to the user. */

typedef struct {
    ngx_str_t          user;         /* key columns */
    ngx_str_t          peer;
    ngx_str_t          custom;       /* JSON object */
    int64_t            added;
    int64_t            made;
    int64_t            version;
} im_recommend_t;


/* A friend group.  Friend rows name it by its id, so that renaming and
 * deleting it writes this row only; an id is never used again. */

typedef struct {
    ngx_str_t          name;
    int64_t            id;
    int64_t            version;
} im_friend_group_t;


/* Numbers of an account. */

typedef struct {
    int64_t            friends;
    int64_t            groups;
    int64_t            blacks;
    int64_t            requests;     /* that came in */
    int64_t            std;          /* sequences */
    int64_t            custom;
    int64_t            group;
    int64_t            pendency;
    int64_t            black;
    int64_t            recommends;
    int64_t            recommend;    /* sequence */
    int64_t            reported;     /* second of pendency_report */
    int64_t            recreported;  /* of recommend_report */
} im_rel_count_t;

typedef enum {
    IM_REL_N_FRIENDS = 0,
    IM_REL_N_GROUPS,
    IM_REL_N_BLACKS,
    IM_REL_N_REQUESTS,
    IM_REL_SEQ_STD,
    IM_REL_SEQ_CUSTOM,
    IM_REL_SEQ_GROUP,
    IM_REL_SEQ_PENDENCY,
    IM_REL_SEQ_BLACK,
    IM_REL_N_RECOMMENDS,
    IM_REL_SEQ_RECOMMEND
} im_rel_column_e;


/* All that there is between the acting account and another one. */

typedef struct {
    ngx_str_t          peer;
    im_friend_t        mine;         /* acting account -> peer */
    im_friend_t        his;
    im_request_t       out;          /* his own copies mirror these two */
    im_request_t       in;
    im_black_t         black;        /* the acting account has listed peer */
    im_black_t         black_his;
    im_recommend_t     rec;          /* peer, to the acting account */
    im_recommend_t     rec_his;
    im_rel_count_t     count;        /* of the peer */
    im_profile_t       profile;
    unsigned           exists:1;     /* the peer has an account */
} im_pair_t;


#define IM_REL_CHUNK  50             /* accounts in one commit */
#define IM_REL_TRIES  16


typedef struct im_rel_s  im_rel_t;

/* A row that has come or gone. */

typedef struct {
    ngx_uint_t         event;        /* im_callback_e */
    ngx_str_t          from;
    ngx_str_t          to;
} im_rel_told_t;

/* Decides about item i (of rel->peers), whose state is pair, and adds what is
 * to be written; nothing, unless it returns IM_REL_OK or IM_REL_PENDING. */
typedef im_rel_e (*im_rel_item_pt)(im_rel_t *rel, im_pair_t *pair,
    ngx_uint_t i);

/* Bits of rel->fires: the app is told of rows that come and go. */

#define IM_FIRE           1
#define IM_FIRE_FORCED    2
#define IM_FIRE_RESPONSE  4          /* to a request of the peer */


struct im_rel_s {
    im_ctx_t          *ctx;
    ngx_str_t          user;         /* the acting account */
    ngx_str_t         *peers;        /* each once */
    ngx_uint_t         n;
    im_rel_e          *results;      /* of n */
    im_rel_item_pt     item;
    void              *data;
    ngx_uint_t         fires;        /* callbacks, set by the item */
    unsigned           profiles:1;   /* wants pair->profile */
    unsigned           account:1;    /* the acting account must exist */
    unsigned           gone:1;       /* it must not, and hears nothing */

    /* of the commit that is being made */
    im_batch_t        *batch;
    ngx_array_t        deltas;
    ngx_array_t        notices;
    ngx_array_t        told;         /* of im_rel_told_t */
    im_rel_count_t     count;        /* of the acting account, as it will be */
    im_pair_t         *pairs;
    im_key_t          *keys;
    im_row_t          *rows;
    im_friend_group_t *groups;       /* of the acting account, by id */
    ngx_uint_t         ngroups;
    unsigned           groups_read:1;
};


/* Runs rel->item for all peers, in commits of IM_REL_CHUNK; sets results. */
void im_rel_run(im_rel_t *rel);

/* For a commit of another form: begin, add, commit.  rel->ctx and user are
 * set.  IM_REL_CONFLICT: to be tried again.  Prepare: room for im_rel_load(),
 * and the accounts of administrators among the peers. */
ngx_int_t im_rel_prepare(im_rel_t *rel);
im_rel_e im_rel_begin(im_rel_t *rel);
im_rel_e im_rel_commit(im_rel_t *rel);

im_rel_e im_rel_error(ngx_int_t rc);

/* What is to be added to a number of an account; max: above, the commit is
 * declined (0: no maximum). */
void im_rel_add(im_rel_t *rel, ngx_str_t *user, im_rel_column_e column,
    int64_t delta, int64_t max);

/* The list of a notice to the user, to be filled; notices of one type to one
 * user are one.  except: instance that does not hear it. */
im_json_t *im_rel_notice(im_rel_t *rel, ngx_str_t *user, ngx_uint_t type,
    ngx_str_t *from, uint32_t except);
/* The same for a list of accounts. */
void im_rel_notice_account(im_rel_t *rel, ngx_str_t *user, ngx_uint_t type,
    ngx_str_t *account);

/* A pair for the callback "event" (im_callback_e), after the commit. */
void im_rel_tell(im_rel_t *rel, ngx_uint_t event, ngx_str_t *from,
    ngx_str_t *to);

/* Rows of a pair. */
void im_rel_put_friend(im_rel_t *rel, im_friend_t *row);
void im_rel_drop_friend(im_rel_t *rel, im_friend_t *row);
void im_rel_expect_friend(im_rel_t *rel, ngx_str_t *user, ngx_str_t *peer,
    int64_t version);
void im_rel_put_request(im_rel_t *rel, im_pair_t *pair,
    im_request_t *request);
/* IM_REQ_IN or IM_REQ_OUT, as the acting account sees it, or both; tells both
 * sides what has gone, and expects what is not there. */
void im_rel_drop_requests(im_rel_t *rel, im_pair_t *pair, ngx_uint_t dirs);
void im_rel_put_black(im_rel_t *rel, im_pair_t *pair);
void im_rel_drop_black(im_rel_t *rel, im_black_t *row);
void im_rel_expect_black(im_rel_t *rel, im_pair_t *pair);

void im_rel_put_recommend(im_rel_t *rel, im_recommend_t *row);
void im_rel_drop_recommend(im_rel_t *rel, im_recommend_t *row);
/* What is recommended to the acting account (mine) and the peer (his), if it
 * is there; expects what is not. */
void im_rel_drop_recommends(im_rel_t *rel, im_pair_t *pair, ngx_uint_t mine,
    ngx_uint_t his);

/* Friend groups of the acting account; they are read once per commit. */
im_rel_e im_rel_groups(im_rel_t *rel);
im_friend_group_t *im_rel_group(im_rel_t *rel, ngx_str_t *name);
/* Finds or makes n groups (at most the limit) and writes their ids. */
im_rel_e im_rel_group_ids(im_rel_t *rel, ngx_str_t *names, ngx_uint_t n,
    ngx_str_t *ids);
ngx_uint_t im_rel_has_group(ngx_str_t *ids, int64_t id);
ngx_int_t im_rel_add_id(ngx_pool_t *pool, ngx_str_t *ids, int64_t id);
ngx_int_t im_rel_remove_id(ngx_pool_t *pool, ngx_str_t *ids, int64_t id);

/* Reading. */
ngx_int_t im_rel_count(im_ctx_t *ctx, ngx_str_t *user,
    im_rel_count_t *count);
/* Pairs of the user and n others; profiles are not read. */
ngx_int_t im_rel_pairs(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_pair_t *pairs);
/* The profiles of their peers. */
ngx_int_t im_rel_profiles(im_ctx_t *ctx, im_pair_t *pairs, ngx_uint_t n);
ngx_int_t im_rel_read_groups(im_ctx_t *ctx, ngx_str_t *user,
    im_friend_group_t **groups, ngx_uint_t *n);

/* The same for at most IM_REL_CHUNK, with room for 2 n keys and rows. */
ngx_int_t im_rel_load(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_pair_t *pairs, im_key_t *keys, im_row_t *rows);

extern im_record_t  im_rel_count_record[];    /* by im_rel_column_e */
extern im_record_t  im_friend_record[];
extern im_record_t  im_request_record[];
extern im_record_t  im_black_record[];
extern im_record_t  im_recommend_record[];

void im_rel_key(im_ctx_t *ctx, ngx_str_t *user, im_key_t *key);
void im_rel_count_key(im_ctx_t *ctx, ngx_str_t *user, im_key_t *key);
void im_rel_pair_key(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    im_key_t *key);
void im_rel_request_key(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t dir,
    ngx_str_t *peer, im_key_t *key);


#endif /* _IM_RELATION_H_INCLUDED_ */
