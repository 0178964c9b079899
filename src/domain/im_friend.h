
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_FRIEND_H_INCLUDED_
#define _IM_FRIEND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_relation.h"


/* One account of friend_add, friend_import, friend_response or friend_update,
 * checked but for what needs the store. */

typedef struct {
    ngx_str_t          remark;
    ngx_str_t          source;
    ngx_str_t          wording;
    ngx_str_t         *groups;       /* names */
    ngx_uint_t         ngroups;
    im_json_t         *custom;       /* object, keyword: value, or NULL */
    int64_t            added;        /* 0: now */
    int64_t            retime;
    im_rel_e           wrong;        /* what the check has found */
    im_code_t          refused;      /* by the app, 0: it is not */
    ngx_str_t          refused_info;

    unsigned           set_remark:1; /* friend_update: what is given */
    unsigned           set_groups:1;
    unsigned           agree:1;      /* friend_response */
    unsigned           mutual:1;     /* the same, and add */
} im_friend_item_t;


/* How friends are added. */

#define IM_FRIEND_ONE_WAY  1
#define IM_FRIEND_FORCE    2


/*
 * Each sets results[i] for peers[i] (each of them once), for the acting
 * account, which exists.  Notices go to all whom it concerns.
 */

void im_friend_add(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_friend_item_t *items, ngx_uint_t how, im_rel_e *results);
void im_friend_import(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_friend_item_t *items, im_rel_e *results);
void im_friend_respond(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_friend_item_t *items, im_rel_e *results);
void im_friend_update(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_friend_item_t *items, im_rel_e *results);
void im_friend_delete(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, ngx_uint_t both, im_rel_e *results);
im_rel_e im_friend_delete_all(im_ctx_t *ctx, ngx_str_t *user,
    ngx_uint_t both);

void im_pendency_delete(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, ngx_uint_t dir, im_rel_e *results);

void im_black_add(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_rel_e *results);
void im_black_delete(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_rel_e *results);

/* Writes values over those of a row; *changed is their number.  changes (may
 * be NULL): a list that {Tag, Value} of each is added to. */
ngx_int_t im_friend_merge(im_rel_t *rel, ngx_str_t *custom,
    im_json_t *values, im_json_t *changes, ngx_uint_t *changed);

/* Runs an item function for all peers. */
void im_friend_run(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers,
    ngx_uint_t n, im_rel_item_pt item, void *data, im_rel_e *results);

/*
 * Whether a client may send a C2C message.  NGX_OK; NGX_DECLINED with the
 * code that the sender is answered, IM_OK: he sees success although the
 * message is dropped; NGX_BUSY, NGX_ERROR.
 */
ngx_int_t im_friend_may_send(im_ctx_t *ctx, ngx_str_t *from, ngx_str_t *to,
    im_code_t *code);


/* Friends of the user from a position, by time and account: pushes
 * im_friend_t.  At most limit (up to 1000). */
ngx_int_t im_friend_list(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t start,
    ngx_uint_t limit, ngx_array_t *friends);
/* The same for im_black_t. */
ngx_int_t im_black_list(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t start,
    ngx_uint_t limit, ngx_array_t *blacks);
/* Pending requests, oldest first, from a second on: pushes im_request_t. */
ngx_int_t im_pendency_list(im_ctx_t *ctx, ngx_str_t *user, int64_t from,
    ngx_array_t *requests);

/* Marks those that came up to that second as read, tells other instances. */
im_rel_e im_pendency_report(im_ctx_t *ctx, ngx_str_t *user, int64_t time);


/* Removes a slice of the relations of an account that has gone, and tells the
 * others.  NGX_AGAIN: there may be more; NGX_DECLINED: the account is there
 * again. */
ngx_int_t im_friend_purge(im_ctx_t *ctx, ngx_str_t *user);


/*
 * Each account that has the user in its friend table, in slices: fn may
 * suspend.
 */
typedef ngx_int_t (*im_friend_owner_pt)(im_ctx_t *ctx, ngx_str_t *owner,
    void *data);

ngx_int_t im_friend_owners(im_ctx_t *ctx, ngx_str_t *user,
    im_friend_owner_pt fn, void *data);


/* Adds {Tag, Value} of a friend: groups are those of the owner.  Bits. */

#define IM_FRIEND_STD     1
#define IM_FRIEND_CUSTOM  2

void im_friend_json(im_ctx_t *ctx, im_json_t *list, im_friend_t *row,
    im_friend_group_t *groups, ngx_uint_t ngroups, ngx_uint_t what);
/* The same for chosen Tags, in their order, and those of the profile. */
void im_friend_tags_json(im_ctx_t *ctx, im_json_t *list, im_friend_t *row,
    im_friend_group_t *groups, ngx_uint_t ngroups, im_profile_t *profile,
    ngx_str_t *tags, ngx_uint_t n);
/* The field that a Tag names, or NULL: Tag_SNS_Custom_NAME, also with the
 * SDKAppID before the name or in the place of "Custom". */
im_app_field_t *im_friend_field(im_ctx_t *ctx, ngx_str_t *tag);
/* 1 for a Tag that the caller may read. */
ngx_uint_t im_friend_may_read(im_ctx_t *ctx, ngx_str_t *tag);
/* Names of a friend's groups. */
im_json_t *im_friend_group_names(im_ctx_t *ctx, ngx_str_t *ids,
    im_friend_group_t *groups, ngx_uint_t ngroups);


#endif /* _IM_FRIEND_H_INCLUDED_ */
