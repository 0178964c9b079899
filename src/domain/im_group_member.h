
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_MEMBER_H_INCLUDED_
#define _IM_GROUP_MEMBER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group.h"


/* Who somebody is in a group; greater ones may what smaller ones may. */

typedef enum {
    IM_GROUP_NOBODY = 0,
    IM_GROUP_MEMBER,
    IM_GROUP_ADMIN,
    IM_GROUP_OWNER,
    IM_GROUP_APP                     /* administrator of the app */
} im_group_role_e;


typedef struct {
    ngx_str_t          user;
    int64_t            role;         /* im_group_role_e */
    int64_t            joined;
    int64_t            muted;        /* until, 0: not */

    /* of stored groups */
    int64_t            flag;         /* im_group_msg_flag_e */
    ngx_str_t          card;         /* NameCard */
    ngx_str_t          custom;       /* JSON, im_group_custom.h, or empty */
    int64_t            first;        /* messages up to this one are not his;
                                        below 0: all are, and he is told of
                                        those after -1 - first */
    int64_t            read;         /* set by im_group_member_reads() */
    int64_t            sent;
    int64_t            version;      /* 0: no member */
} im_group_member_t;


/* The caller of the command; an administrator by REST or by his session.
 * 10002: it could not be read, *role is IM_GROUP_NOBODY. */
im_code_t im_group_role(im_ctx_t *ctx, im_group_t *group,
    im_group_role_e *role);

/* The same of any user; only accounts that are members or the owner. */
im_code_t im_group_role_of(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *user, im_group_role_e *role);

/* 10007: the caller is less than that. */
im_code_t im_group_require(im_ctx_t *ctx, im_group_t *group,
    im_group_role_e least);

ngx_str_t *im_group_role_word(im_group_role_e role);

/* Members; of a live room all who receive, guests included. */
int64_t im_group_member_count(im_ctx_t *ctx, im_group_t *group);

/* Pushes im_group_member_t of the members that are listed, first the ones
 * that joined first; of a stored group not more than limit. */
im_code_t im_group_member_list(im_ctx_t *ctx, im_group_t *group,
    ngx_uint_t limit, ngx_array_t *members);

/* Sets muted, read and sent of n members. */
im_code_t im_group_member_fill(im_ctx_t *ctx, im_group_t *group,
    im_group_member_t *members, ngx_uint_t n);


/*
 * Rows of stored groups.  All commits of them go through im_cache_commit().
 */

void im_group_member_key(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_key_t *key);
void im_group_count_key(im_ctx_t *ctx, im_group_t *group, im_key_t *key);

/* Adds the row to a batch: declined if it has changed since it was read. */
void im_group_member_put(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group,
    im_group_member_t *m);

/* Through the cache; NGX_DECLINED: no member. */
ngx_int_t im_group_member_get(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *user, im_group_member_t *m);

/* As they are in the store; at most 500. */
ngx_int_t im_group_member_get_many(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *users, ngx_uint_t n, im_group_member_t *members);

/* Fills in what the owner of a live room has of a member. */
void im_group_member_owner(im_group_t *group, im_group_member_t *m);

/* The row that somebody in a live room would have.  NGX_DECLINED: he is not
 * in. */
ngx_int_t im_group_member_in(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *user, im_group_member_t *m);

/* May the caller join by himself?  10007 and ctx->info, or IM_OK. */
im_code_t im_group_member_may_join(im_ctx_t *ctx, im_group_t *group);

/*
 * The caller joins a live room; the place is kept for ttl milliseconds when
 * nobody receives.  *fresh: has not been in it.
 */
im_code_t im_group_member_join(im_ctx_t *ctx, im_group_t *group,
    ngx_msec_t ttl, ngx_uint_t *fresh);

/* The caller leaves by himself: 10009, 10007. */
im_code_t im_group_member_quit(im_ctx_t *ctx, im_group_t *group);

/* Bans users from the group, who leave it at once; seconds 0 ends it.  Of a
 * stored group they are removed as by delete_group_member. */
im_code_t im_group_member_ban(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *users, ngx_uint_t n, int64_t seconds, ngx_str_t *why);


/*
 * What happens to a member of a live room, for whoever holds connections of
 * it, in every worker.
 */

typedef enum {
    IM_MEMBER_LEFT = 1,
    IM_MEMBER_BANNED
} im_member_event_e;

typedef void (*im_group_member_event_pt)(ngx_uint_t app, uint64_t gno,
    ngx_str_t *user, uint32_t inst, ngx_uint_t event);

/* Set in or before init process.  inst: the instance that acted, 0: none. */
ngx_int_t im_group_member_handler(im_group_member_event_pt fn);


#endif /* _IM_GROUP_MEMBER_H_INCLUDED_ */
