
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_LOGIN_H_INCLUDED_
#define _IM_LOGIN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "store/im_store.h"


/* Why a login has ended. */

#define IM_END_NONE     0
#define IM_END_LOGOUT   1
#define IM_END_KICK     2


/* KickType of web-v2.md 4.5. */

#define IM_KICK_INSTANCE  1          /* another web page */
#define IM_KICK_DEVICE    2          /* another platform */
#define IM_KICK_REST      3


typedef struct {
    ngx_str_t          user;
    ngx_str_t          tinyid;
    int64_t            inst;
    int64_t            platform;
    int64_t            since;        /* seconds: when it logged in */
    int64_t            expire;       /* seconds */
    int64_t            end;          /* IM_END_* */
    int64_t            kick;         /* IM_KICK_* */
    int64_t            by;           /* platform of the kicker */
    int64_t            by_inst;
    int64_t            version;
    uint32_t           kicked;       /* bits of platforms it has ended now */
} im_login_t;


/*
 * A new login of ctx->user: creates the account if the app wants that, ends
 * what the multi-device rule ends (and tells it), stores the instance.  a2:
 * 32 hex digits, on ctx->pool.  Sets login and ctx->inst.
 */
im_code_t im_login_open(im_ctx_t *ctx, ngx_uint_t platform, int64_t expire,
    im_login_t *login, ngx_str_t *a2);

/*
 * Finds the login of an a2.  NGX_OK; NGX_DECLINED: unknown or expired.  The
 * caller looks at login->end.
 */
ngx_int_t im_login_find(im_ctx_t *ctx, ngx_str_t *a2, im_login_t *login);

/* Platforms of the account's logins, connected or not: at most max. */
ngx_int_t im_login_platforms(im_ctx_t *ctx, ngx_str_t *user,
    ngx_uint_t *platforms, ngx_uint_t max, ngx_uint_t *n);

/* Ends one login of an account as by logout. */
im_code_t im_login_close(im_ctx_t *ctx, ngx_str_t *user, int64_t inst);

/* Ends all logins of an account (REST kick, deletion). */
im_code_t im_login_close_all(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t kick);


/*
 * Who presents a UserSig: verified (through the shared cache), not revoked,
 * not blocked.  sig_expire: second of its end.  Codes of rest-basics.md 4.5.
 */
im_code_t im_login_usersig(im_ctx_t *ctx, ngx_str_t *identifier,
    ngx_str_t *usersig, int64_t *sig_expire);

/* Code of logins and accounts for what the store has answered: IM_OK,
 * internal error (NGX_ERROR), busy (all others). */
im_code_t im_login_code(ngx_int_t rc);


#endif /* _IM_LOGIN_H_INCLUDED_ */
