
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_H_INCLUDED_
#define _IM_GROUP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "store/im_store.h"
#include "domain/im_group_type.h"


#define IM_GROUP_ID_MAX      48
#define IM_GROUP_NAME_MAX    30
#define IM_GROUP_INTRO_MAX   240
#define IM_GROUP_NOTICE_MAX  300
#define IM_GROUP_FACE_MAX    100

#define IM_GROUP_SYSTEM      "@TIM#SYSTEM"


typedef struct {
    ngx_str_t          gid;
    int64_t            gno;          /* never used again */
    ngx_str_t          type_name;
    ngx_str_t          name;
    ngx_str_t          intro;
    ngx_str_t          notice;
    ngx_str_t          face;
    ngx_str_t          owner;        /* empty: none */
    int64_t            created;
    int64_t            info_seq;
    int64_t            info_time;
    int64_t            apply;        /* im_group_apply_e */
    int64_t            invite;       /* im_group_invite_option_e */
    int64_t            shut;         /* the whole group is muted */
    int64_t            max_member;
    int64_t            idle;         /* 1: not yet activated by a message */
    ngx_str_t          custom;       /* JSON, im_group_custom.h, or empty */

    /* of the owner of a live room, who has no row */
    ngx_str_t          owner_card;
    int64_t            owner_flag;   /* im_group_msg_flag_e + 1, 0: the
                                        type's */
    int64_t            version;

    im_group_type_t   *type;
} im_group_t;


struct im_group_new_s;

/* What modify_group_base_info gives; strings with data NULL were not given. */
typedef struct {
    ngx_str_t          name;
    ngx_str_t          intro;
    ngx_str_t          notice;
    ngx_str_t          face;
    ngx_int_t          apply;        /* -1: not given */
    ngx_int_t          invite;       /* -1: not given */
    ngx_int_t          shut;         /* -1: not given */
    int64_t            max_member;   /* -1: not given */
    im_json_t         *custom;       /* checked, NULL: not given */
} im_group_changes_t;


/* 1: a GroupId by its form. */
ngx_uint_t im_group_syntax(ngx_str_t *gid);

/*
 * The group row, through the cache of this worker: 10015, 10010, 10002.
 * What is to be changed is read by im_group_load_fresh().
 */
im_code_t im_group_load(im_ctx_t *ctx, ngx_str_t *gid, im_group_t *group);
im_code_t im_group_load_fresh(im_ctx_t *ctx, ngx_str_t *gid,
    im_group_t *group);

/* The same by number; or whether there is one: IM_OK or IM_E_GROUP_NONE. */
im_code_t im_group_load_gno(im_ctx_t *ctx, int64_t gno, im_group_t *group);
im_code_t im_group_exists(im_ctx_t *ctx, int64_t gno);

/* Adds to a batch that the group exists and is what was read (version not
 * 0), or just exists. */
void im_group_expect(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group);

/* Key of the row. */
void im_group_key(im_ctx_t *ctx, ngx_str_t *gid, im_key_t *key);

/* What the app is told of a new group as it was asked for. */

typedef struct {
    im_json_t         *members;
    im_json_t         *custom;
} im_group_given_t;

/*
 * Creates the group with n members, the owner among them.  The caller has
 * set type, name, owner and the rest; an empty gid is assigned; created
 * unless given, gno and the like are set here.  given: NULL, and the app is
 * not told.
 */
im_code_t im_group_create(im_ctx_t *ctx, im_group_t *group,
    struct im_group_new_s *members, ngx_uint_t n, im_group_given_t *given);

/* Groups of this type that the owner, or without one the caller, has
 * created so far. */
int64_t im_group_created(im_ctx_t *ctx, im_group_t *group);

/* Adds the new row to a batch: declined if it has changed since it was read.
 * The version of group becomes what it will be. */
void im_group_put(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group);

/* Applies what has changed, tells the members; group becomes the new row. */
im_code_t im_group_modify(im_ctx_t *ctx, im_group_t *group,
    im_group_changes_t *changes);

/* Dissolves the group and tells its members. */
im_code_t im_group_destroy(im_ctx_t *ctx, im_group_t *group);

/* The same by the server, of a stored one: notice 11. */
im_code_t im_group_recycle(im_ctx_t *ctx, im_group_t *group);

/* 10002 for anything that is not NGX_OK. */
im_code_t im_group_code(ngx_int_t rc);


/*
 * Members of answers that describe a group.
 */

#define IM_GROUP_ALL  ((ngx_uint_t) -1)

/* Bits of the field names in a list; unknown names are ignored. */
ngx_uint_t im_group_fields(im_json_t *names);
void im_group_json(im_ctx_t *ctx, im_json_t *obj, im_group_t *group,
    ngx_uint_t fields);


#endif /* _IM_GROUP_H_INCLUDED_ */
