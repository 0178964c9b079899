
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_USERSIG_H_INCLUDED_
#define _IM_USERSIG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_code.h"

#include <openssl/evp.h>


#define IM_USERSIG_DIGEST  32


/* The key material of an application, for either scheme or for both. */
typedef struct {
    ngx_str_t          key;          /* HMAC: text of the secret, or empty */
    EVP_PKEY          *pkey;         /* ECDSA: the public key, or NULL */
} im_usersig_key_t;


/* A verified ticket. */
typedef struct {
    ngx_uint_t         sdkappid;
    ngx_str_t          identifier;
    int64_t            time;         /* of issue, UNIX seconds */
    int64_t            expire;       /* seconds, never negative */
} im_usersig_t;


/*
 * Reads the PEM text of a public key.  NULL unless it is an EC key.  The
 * caller owns the result: EVP_PKEY_free().
 */
EVP_PKEY *im_usersig_load_public(ngx_str_t *pem);

/*
 * Verifies a ticket of either scheme.  IM_OK with *sig filled in, whose
 * identifier is the caller's then, or the code for the wire; *sig is left
 * alone unless IM_OK.  Revocation and throttling are the caller's.
 */
im_code_t im_usersig_verify(ngx_pool_t *pool, im_usersig_key_t *key,
    ngx_uint_t sdkappid, ngx_str_t *identifier, ngx_str_t *usersig, time_t now,
    im_usersig_t *sig);

/*
 * Makes a ticket of the HMAC scheme on the pool.  NGX_OK; NGX_DECLINED if
 * the key is empty or the identifier cannot be in a ticket: it is empty, not
 * UTF-8 or has control characters; NGX_ERROR.
 */
ngx_int_t im_usersig_generate(ngx_pool_t *pool, ngx_str_t *key,
    ngx_uint_t sdkappid, ngx_str_t *identifier, time_t now, int64_t expire,
    ngx_str_t *usersig);

/*
 * SHA-256 over the application, the texts of its two keys, the identifier and
 * the whole ticket: the key of a verified ticket in a cache, which tickets of
 * keys that are no longer in use do not find.  NGX_OK, or NGX_ERROR: out is
 * not usable.
 */
ngx_int_t im_usersig_digest(ngx_uint_t sdkappid, ngx_str_t *key,
    ngx_str_t *public_key, ngx_str_t *identifier, ngx_str_t *usersig,
    u_char out[IM_USERSIG_DIGEST]);


#endif /* _IM_USERSIG_H_INCLUDED_ */
