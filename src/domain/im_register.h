
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_REGISTER_H_INCLUDED_
#define _IM_REGISTER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"


#define IM_REGISTER_PHONE   1        /* 86-... */
#define IM_REGISTER_EMAIL   2
#define IM_REGISTER_STRING  3


/*
 * A hosted account: creates it and keeps a salted hash (scrypt, made in the
 * thread pool) of its password.  Codes 70402 (exists), 70405, 70421.
 */
im_code_t im_register(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t type,
    ngx_str_t *password);


#endif /* _IM_REGISTER_H_INCLUDED_ */
