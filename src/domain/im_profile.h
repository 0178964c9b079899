
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_PROFILE_H_INCLUDED_
#define _IM_PROFILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "store/im_store.h"


typedef struct {
    ngx_str_t          user;
    ngx_str_t          nick;
    ngx_str_t          face;         /* Tag_Profile_IM_Image */
    ngx_str_t          gender;
    ngx_str_t          location;
    ngx_str_t          signature;
    ngx_str_t          allow;        /* Tag_Profile_IM_AllowType */
    ngx_str_t          forbid;       /* Tag_Profile_IM_AdminForbidType */
    int64_t            birthday;
    int64_t            language;
    int64_t            settings;     /* Tag_Profile_IM_MsgSettings */
    int64_t            level;
    int64_t            role;
    ngx_str_t          custom;       /* JSON object, keyword: value */
    ngx_str_t          nkey;         /* what a search by nickname compares */
    int64_t            version;
} im_profile_t;


#define IM_PROFILE_NKEY   64         /* bytes */


/* Values of Tag_Profile_IM_AllowType. */

#define IM_ALLOW_ANY      0
#define IM_ALLOW_CONFIRM  1
#define IM_ALLOW_DENY     2


/* IM_OK if the caller may read the field; 40007, 40009. */
im_code_t im_profile_may_read(im_ctx_t *ctx, ngx_str_t *tag);

/* 1 for the Tag of a profile, whether or not there is such a field. */
ngx_uint_t im_profile_is_tag(ngx_str_t *tag);

ngx_uint_t im_profile_allow(im_app_t *app, im_profile_t *profile);

/* An account without a profile has an empty one: NGX_OK. */
ngx_int_t im_profile_get(im_ctx_t *ctx, ngx_str_t *user,
    im_profile_t *profile);

/* What goes with a message, from the cache; a profile that cannot be read is
 * empty and does not stop the message. */
void im_profile_names(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *nick,
    ngx_str_t *face);

/* For each of n users, in order. */
ngx_int_t im_profile_get_many(im_ctx_t *ctx, ngx_str_t *users, ngx_uint_t n,
    im_profile_t *profiles);

/* Sets nick and face where their data is not NULL; the code is 0, 40005,
 * 40006 or 40601. */
im_code_t im_profile_set_simple(im_ctx_t *ctx, ngx_str_t *user,
    ngx_str_t *nick, ngx_str_t *face);

/* Applies a list of {Tag, Value}; tells the user's other devices and all who
 * have him as a friend. */
im_code_t im_profile_set(im_ctx_t *ctx, ngx_str_t *user, im_json_t *items);

/* Adds {Tag, Value} of every field that has a value (or default) and that the
 * caller may read; or of those of the list of Tags, in its order. */
void im_profile_json(im_ctx_t *ctx, im_json_t *list, im_profile_t *profile);
void im_profile_tags_json(im_ctx_t *ctx, im_json_t *list,
    im_profile_t *profile, ngx_str_t *tags, ngx_uint_t n);

/*
 * Profiles whose nickname begins with the keyword of at most IM_PROFILE_NKEY
 * bytes, letters A-Z as a-z: pushes im_profile_t, at most limit (up to 100).
 * next: page key of the last call or empty; set to that of the next page,
 * empty: no more.  NGX_DECLINED: next is not of such a search.
 */
ngx_int_t im_profile_search(im_ctx_t *ctx, ngx_str_t *keyword,
    ngx_uint_t limit, ngx_str_t *next, ngx_array_t *profiles);

/* The beginning of a nickname in the form that a search compares. */
ngx_int_t im_profile_nkey(im_ctx_t *ctx, ngx_str_t *nick, ngx_str_t *nkey);

extern im_record_t  im_profile_record[];


#endif /* _IM_PROFILE_H_INCLUDED_ */
