
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include "core/im_str.h"
#include "domain/im_cache.h"
#include "domain/im_room_key.h"


#define IM_ROOM_KEY_FORM    1
#define IM_ROOM_KEY_HEAD    39       /* form, flags, app, gno, start, expire,
                                        id or instance, length of gid */
#define IM_ROOM_KEY_GID     48
#define IM_ROOM_KEY_USER    128
#define IM_ROOM_KEY_MAC     16
#define IM_ROOM_KEY_SECRET  32
#define IM_ROOM_KEY_BLOCK   64       /* of SHA-256; a secret in hex is one */

#define IM_ROOM_KEY_CLOSED  1


/*
 * HMAC-SHA-256 with the secret that was used last: both hashes after their
 * first block.  HMAC() looks for its algorithms by name each time.
 */

typedef struct {
    u_char             secret[IM_ROOM_KEY_BLOCK];
    ngx_uint_t         ready;
    EVP_MD_CTX        *inner;
    EVP_MD_CTX        *outer;
    EVP_MD_CTX        *md;
} im_room_hmac_t;


static ngx_int_t im_room_key_secret(im_ctx_t *ctx, ngx_str_t *secret);
static ngx_int_t im_room_key_mac(ngx_str_t *secret, u_char *data, size_t len,
    u_char *mac);
static ngx_int_t im_room_key_keyed(ngx_str_t *secret);
static ngx_int_t im_room_key_block(EVP_MD_CTX **ctx, ngx_str_t *secret,
    u_char pad);
static u_char *im_room_key_put(u_char *p, uint64_t value, ngx_uint_t n);
static uint64_t im_room_key_get(u_char **p, ngx_uint_t n);


static im_room_hmac_t  im_room_hmac;


ngx_int_t
im_room_key_make(im_ctx_t *ctx, im_room_key_t *key, ngx_str_t *text)
{
    u_char      buf[IM_ROOM_KEY_HEAD + IM_ROOM_KEY_GID + IM_ROOM_KEY_USER
                    + IM_ROOM_KEY_MAC];
    u_char     *p;
    ngx_str_t   raw;

    if (key->user.len > IM_ROOM_KEY_USER
        || key->gid.len > IM_ROOM_KEY_GID
        || (key->secret.len == 0
            && im_room_key_secret(ctx, &key->secret) != NGX_OK))
    {
        return NGX_ERROR;
    }

    p = im_room_key_put(buf, IM_ROOM_KEY_FORM, 1);
    p = im_room_key_put(p, key->closed ? IM_ROOM_KEY_CLOSED : 0, 1);
    p = im_room_key_put(p, ctx->app->id, 8);
    p = im_room_key_put(p, key->gno, 8);
    p = im_room_key_put(p, key->start, 8);
    p = im_room_key_put(p, key->expire, 4);
    p = im_room_key_put(p, key->user.len ? key->inst : key->id, 8);

    p = im_room_key_put(p, key->gid.len, 1);
    p = ngx_cpymem(p, key->gid.data, key->gid.len);

    if (key->user.len) {
        p = ngx_cpymem(p, key->user.data, key->user.len);
    }

    if (im_room_key_mac(&key->secret, buf, p - buf, p) != NGX_OK) {
        return NGX_ERROR;
    }

    raw.data = buf;
    raw.len = p + IM_ROOM_KEY_MAC - buf;

    text->data = ngx_pnalloc(ctx->pool, ngx_base64_encoded_length(raw.len));
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    ngx_encode_base64url(text, &raw);

    return NGX_OK;
}


ngx_int_t
im_room_key_read(im_ctx_t *ctx, ngx_str_t *text, im_room_key_t *key)
{
    u_char     *p, mac[IM_ROOM_KEY_MAC];
    uint64_t    flags, id;
    ngx_str_t   raw, secret;

    if (text->len == 0 || text->len > IM_ROOM_KEY_TEXT) {
        return NGX_DECLINED;
    }

    raw.data = ngx_pnalloc(ctx->pool, ngx_base64_decoded_length(text->len));
    if (raw.data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_decode_base64url(&raw, text) != NGX_OK
        || raw.len < IM_ROOM_KEY_HEAD + IM_ROOM_KEY_MAC)
    {
        return NGX_DECLINED;
    }

    if (im_room_key_secret(ctx, &secret) != NGX_OK) {
        return NGX_ERROR;
    }

    raw.len -= IM_ROOM_KEY_MAC;

    if (im_room_key_mac(&secret, raw.data, raw.len, mac) != NGX_OK) {
        return NGX_ERROR;
    }

    if (CRYPTO_memcmp(mac, raw.data + raw.len, IM_ROOM_KEY_MAC) != 0) {
        return NGX_DECLINED;
    }

    p = raw.data;

    if (im_room_key_get(&p, 1) != IM_ROOM_KEY_FORM) {
        return NGX_DECLINED;
    }

    flags = im_room_key_get(&p, 1);

    if (im_room_key_get(&p, 8) != ctx->app->id) {
        return NGX_DECLINED;
    }

    ngx_memzero(key, sizeof(im_room_key_t));

    key->secret = secret;
    key->closed = (flags & IM_ROOM_KEY_CLOSED) ? 1 : 0;
    key->gno = im_room_key_get(&p, 8);
    key->start = im_room_key_get(&p, 8);
    key->expire = im_room_key_get(&p, 4);

    id = im_room_key_get(&p, 8);

    key->gid.len = im_room_key_get(&p, 1);
    key->gid.data = p;

    if (key->gid.len > (size_t) (raw.data + raw.len - p)) {
        return NGX_DECLINED;
    }

    key->user.data = p + key->gid.len;
    key->user.len = raw.data + raw.len - key->user.data;

    if (key->user.len) {
        key->inst = id;

    } else {
        key->id = id;
    }

    return (key->expire > ngx_time()) ? NGX_OK : NGX_DECLINED;
}


/* The attribute "room_key" of no group: made by the first who needs it. */

static ngx_int_t
im_room_key_secret(im_ctx_t *ctx, ngx_str_t *secret)
{
    u_char       buf[IM_ROOM_KEY_SECRET];
    im_key_t     key;
    im_row_t     row;
    im_doc_t    *doc;
    ngx_int_t    rc;
    ngx_str_t    name, raw, hex;
    ngx_uint_t   tries;
    im_batch_t  *batch;

    ngx_str_set(&name, "room_key");

    im_key_init(&key, ctx->app->id);
    im_key_int(&key, 0);
    im_key_str(&key, &name);

    for (tries = 0; tries < 2; tries++) {

        rc = im_cache_get(ctx, IM_T_GROUP_ATTR, &key, &row);

        if (rc == NGX_OK) {
            return im_row_str(&row, "secret", secret) == NGX_OK
                   && secret->len ? NGX_OK : NGX_ERROR;
        }

        if (rc != NGX_DECLINED) {
            return NGX_ERROR;
        }

        if (RAND_bytes(buf, IM_ROOM_KEY_SECRET) != 1) {
            ngx_log_error(NGX_LOG_ERR, ctx->log, 0, "RAND_bytes() failed");
            return NGX_ERROR;
        }

        raw.data = buf;
        raw.len = IM_ROOM_KEY_SECRET;

        if (im_str_hex(ctx->pool, &hex, &raw) != NGX_OK) {
            return NGX_ERROR;
        }

        doc = im_doc(ctx->pool);
        im_doc_str(doc, "secret", &hex);

        batch = im_store_batch(ctx, IM_ATOMIC);
        im_store_insert(batch, IM_T_GROUP_ATTR, &key, doc);

        rc = im_cache_commit(ctx, batch);

        if (rc == NGX_OK) {
            *secret = hex;
            return NGX_OK;
        }

        if (rc != NGX_DECLINED) {
            return NGX_ERROR;
        }
    }

    return NGX_ERROR;
}


static ngx_int_t
im_room_key_mac(ngx_str_t *secret, u_char *data, size_t len, u_char *mac)
{
    u_char           md[EVP_MAX_MD_SIZE];
    unsigned int     n;
    im_room_hmac_t  *h;

    h = &im_room_hmac;

    if (im_room_key_keyed(secret) != NGX_OK
        || !EVP_MD_CTX_copy_ex(h->md, h->inner)
        || !EVP_DigestUpdate(h->md, data, len)
        || !EVP_DigestFinal_ex(h->md, md, &n)
        || !EVP_MD_CTX_copy_ex(h->md, h->outer)
        || !EVP_DigestUpdate(h->md, md, n)
        || !EVP_DigestFinal_ex(h->md, md, &n))
    {
        return NGX_ERROR;
    }

    ngx_memcpy(mac, md, IM_ROOM_KEY_MAC);

    return NGX_OK;
}


static ngx_int_t
im_room_key_keyed(ngx_str_t *secret)
{
    im_room_hmac_t  *h;

    h = &im_room_hmac;

    if (secret->len != IM_ROOM_KEY_BLOCK) {
        return NGX_ERROR;
    }

    if (h->ready
        && ngx_memcmp(h->secret, secret->data, IM_ROOM_KEY_BLOCK) == 0)
    {
        return NGX_OK;
    }

    h->ready = 0;

    if (h->md == NULL) {
        h->md = EVP_MD_CTX_new();
    }

    if (h->md == NULL
        || im_room_key_block(&h->inner, secret, 0x36) != NGX_OK
        || im_room_key_block(&h->outer, secret, 0x5c) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(h->secret, secret->data, IM_ROOM_KEY_BLOCK);
    h->ready = 1;

    return NGX_OK;
}


static ngx_int_t
im_room_key_block(EVP_MD_CTX **ctx, ngx_str_t *secret, u_char pad)
{
    u_char      block[IM_ROOM_KEY_BLOCK];
    ngx_uint_t  i;

    if (*ctx == NULL) {
        *ctx = EVP_MD_CTX_new();
    }

    for (i = 0; i < IM_ROOM_KEY_BLOCK; i++) {
        block[i] = secret->data[i] ^ pad;
    }

    return (*ctx
            && EVP_DigestInit_ex(*ctx, EVP_sha256(), NULL)
            && EVP_DigestUpdate(*ctx, block, IM_ROOM_KEY_BLOCK))
           ? NGX_OK : NGX_ERROR;
}


static u_char *
im_room_key_put(u_char *p, uint64_t value, ngx_uint_t n)
{
    while (n--) {
        *p++ = (u_char) (value >> (8 * n));
    }

    return p;
}


static uint64_t
im_room_key_get(u_char **p, ngx_uint_t n)
{
    uint64_t  value;

    value = 0;

    while (n--) {
        value = (value << 8) | *(*p)++;
    }

    return value;
}
