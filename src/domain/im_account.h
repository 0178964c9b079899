
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ACCOUNT_H_INCLUDED_
#define _IM_ACCOUNT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "store/im_store.h"
#include "domain/im_cache.h"


typedef struct {
    ngx_str_t          user;
    ngx_str_t          tinyid;       /* decimal, constant */
    int64_t            created;
    int64_t            kick;         /* tickets up to this second are void */
    int64_t            type;         /* 0 person, 1 robot */
    int64_t            blocked;
    int64_t            version;
} im_account_t;


/* 1: a UserID by the rules of rest-basics.md section 7. */
ngx_uint_t im_account_syntax(im_app_t *app, ngx_str_t *user);

ngx_uint_t im_account_is_admin(im_app_t *app, ngx_str_t *user);

/* NGX_DECLINED: no such account.  Administrators always exist. */
ngx_int_t im_account_get(im_ctx_t *ctx, ngx_str_t *user,
    im_account_t *account);

/* Of the account that it has told. */
void im_account_mark(im_ctx_t *ctx, ngx_str_t *user, im_cache_mark_t *mark);

/* The same for who only wants to know whether there is one. */
ngx_int_t im_account_find(im_ctx_t *ctx, ngx_str_t *user);

/* As im_account_get(), from the store: for who is about to change it. */
ngx_int_t im_account_load(im_ctx_t *ctx, ngx_str_t *user,
    im_account_t *account);

/* Sets exists[i] to 1 or 0; any number of users. */
ngx_int_t im_account_exist(im_ctx_t *ctx, ngx_str_t *users, ngx_uint_t n,
    u_char *exists);

/* Creates the account, or reads the one that exists. */
ngx_int_t im_account_create(im_ctx_t *ctx, ngx_str_t *user, int64_t type,
    im_account_t *account);

/* Creates those of n accounts that do not exist, all in one commit.
 * NGX_DECLINED: one of them came meanwhile, none was created. */
ngx_int_t im_account_create_many(im_ctx_t *ctx, ngx_str_t *users,
    int64_t *types, ngx_uint_t n);

/* Marks tickets up to now as void. */
ngx_int_t im_account_kick(im_ctx_t *ctx, ngx_str_t *user);


#endif /* _IM_ACCOUNT_H_INCLUDED_ */
