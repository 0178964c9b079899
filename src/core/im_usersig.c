
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_error.h"
#include "core/im_json.h"
#include "core/im_str.h"
#include "core/im_usersig.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <zlib.h>


#define IM_USERSIG_TEXT     32768    /* of a ticket, longer ones are refused */
#define IM_USERSIG_JSON     16384
#define IM_USERSIG_DEPTH    8
#define IM_USERSIG_MEMBERS  32       /* whose names begin with "TLS." */


typedef enum {
    IM_USERSIG_HMAC = 0,
    IM_USERSIG_ECDSA
} im_usersig_scheme_e;


typedef struct {
    im_usersig_scheme_e   scheme;
    int64_t               sdkappid;
    int64_t               time;
    int64_t               expire;
    ngx_str_t             identifier;
    ngx_str_t             text;      /* the signed one */
    ngx_str_t             sig;       /* decoded */
} im_usersig_ticket_t;


typedef struct {
    z_stream              stream;
    u_char                json[IM_USERSIG_JSON];
} im_usersig_inflate_t;


static im_code_t im_usersig_decode(ngx_pool_t *pool, ngx_str_t *usersig,
    im_usersig_ticket_t *t);
static ngx_int_t im_usersig_decode_base64(ngx_pool_t *pool, ngx_str_t *dst,
    ngx_str_t *src, const char *special);
static im_code_t im_usersig_parse(ngx_pool_t *pool, ngx_str_t *zipped,
    im_json_t **root);
static ngx_int_t im_usersig_inflate(ngx_str_t *zipped,
    im_usersig_inflate_t *inf, size_t *len);
static ngx_uint_t im_usersig_has_dup(im_json_t *root);
static im_code_t im_usersig_decode_hmac(ngx_pool_t *pool, im_json_t *root,
    im_usersig_ticket_t *t);
static im_code_t im_usersig_decode_ecdsa(ngx_pool_t *pool, im_json_t *root,
    im_usersig_ticket_t *t);
static im_code_t im_usersig_get(im_json_t *root, const char *name,
    ngx_str_t *text);
static im_code_t im_usersig_get_int(im_json_t *root, const char *name,
    ngx_str_t *text, int64_t *value);
static ngx_int_t im_usersig_text(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *identifier, int64_t sdkappid, int64_t time, int64_t expire);
static im_code_t im_usersig_verify_hmac(ngx_pool_t *pool,
    im_usersig_key_t *key, im_usersig_ticket_t *t);
static im_code_t im_usersig_verify_ecdsa(ngx_pool_t *pool,
    im_usersig_key_t *key, im_usersig_ticket_t *t);
static ngx_int_t im_usersig_hmac(ngx_pool_t *pool, ngx_str_t *key,
    ngx_str_t *text, u_char *md);
static ngx_int_t im_usersig_encode(ngx_pool_t *pool, ngx_str_t *json,
    ngx_str_t *usersig);
static int im_usersig_password(char *buf, int size, int rwflag, void *data);


/* The letters and digits of base64; 64: blank, 77: anything else. */

static u_char  im_usersig_basis[128] = {
    77, 77, 77, 77, 77, 77, 77, 77, 77, 64, 64, 77, 77, 64, 77, 77,
    77, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77,
    64, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 77, 77, 77, 77, 77, 77,
    77,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 77, 77, 77, 77, 77,
    77, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 77, 77, 77, 77, 77
};


EVP_PKEY *
im_usersig_load_public(ngx_str_t *pem)
{
    BIO       *bio;
    EVP_PKEY  *pkey;

    if (pem->len == 0 || pem->len > NGX_MAX_INT32_VALUE) {
        return NULL;
    }

    ERR_set_mark();

    pkey = NULL;
    bio = BIO_new_mem_buf(pem->data, (int) pem->len);

    if (bio) {
        pkey = PEM_read_bio_PUBKEY(bio, NULL, im_usersig_password, NULL);
        BIO_free(bio);
    }

    if (pkey && !EVP_PKEY_is_a(pkey, "EC")) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }

    ERR_pop_to_mark();

    return pkey;
}


/* OpenSSL's own one asks at the terminal. */

static int
im_usersig_password(char *buf, int size, int rwflag, void *data)
{
    return -1;
}


im_code_t
im_usersig_verify(ngx_pool_t *pool, im_usersig_key_t *key,
    ngx_uint_t sdkappid, ngx_str_t *identifier, ngx_str_t *usersig, time_t now,
    im_usersig_t *sig)
{
    im_code_t            code;
    im_usersig_ticket_t  t;

    code = im_usersig_decode(pool, usersig, &t);
    if (code != IM_OK) {
        return code;
    }

    if (t.sdkappid < 0 || (uint64_t) t.sdkappid != sdkappid) {
        return IM_E_SIG_APP;
    }

    if (!im_str_eq(&t.identifier, identifier)) {
        return IM_E_SIG_USER;
    }

    if (t.scheme == IM_USERSIG_HMAC) {
        code = im_usersig_verify_hmac(pool, key, &t);

    } else {
        code = im_usersig_verify_ecdsa(pool, key, &t);
    }

    if (code != IM_OK) {
        return code;
    }

    if (t.expire < 0) {
        return IM_E_SIG_EXPIRED;
    }

    /* the sum may be above 2^63-1: such a ticket lives for ever */

    if (t.time <= INT64_MAX - t.expire
        && (int64_t) now > t.time + t.expire)
    {
        return IM_E_SIG_EXPIRED;
    }

    sig->sdkappid = sdkappid;
    sig->identifier = *identifier;
    sig->time = t.time;
    sig->expire = t.expire;

    return IM_OK;
}


static im_code_t
im_usersig_decode(ngx_pool_t *pool, ngx_str_t *usersig,
    im_usersig_ticket_t *t)
{
    ngx_int_t   rc;
    ngx_str_t   zipped, text;
    im_code_t   code;
    im_json_t  *root;

    if (usersig->len == 0) {
        return IM_E_SIG_EMPTY;
    }

    if (usersig->len > IM_USERSIG_TEXT) {
        return IM_E_SIG_FORMAT;
    }

    rc = im_usersig_decode_base64(pool, &zipped, usersig, "*-_");

    if (rc == NGX_ERROR) {
        return IM_E_REQUEST;
    }

    if (rc != NGX_OK) {
        return IM_E_SIG_FORMAT;
    }

    code = im_usersig_parse(pool, &zipped, &root);
    if (code != IM_OK) {
        return code;
    }

    if (root->type != IM_JSON_OBJ || im_usersig_has_dup(root)) {
        return IM_E_SIG_MEMBERS;
    }

    /* a ticket for rooms must not open the account */

    if (im_json_get(root, "TLS.userbuf")) {
        return IM_E_SIG_FORMAT;
    }

    if (im_json_get(root, "TLS.ver")) {
        code = im_usersig_decode_hmac(pool, root, t);

    } else {
        code = im_usersig_decode_ecdsa(pool, root, t);
    }

    if (code != IM_OK) {
        return code;
    }

    if (im_json_get_str(root, "TLS.sig", &text) != NGX_OK) {
        return IM_E_SIG_MEMBERS;
    }

    rc = im_usersig_decode_base64(pool, &t->sig, &text, "+/=");

    if (rc == NGX_ERROR) {
        return IM_E_REQUEST;
    }

    return (rc == NGX_OK) ? IM_OK : IM_E_SIG_FORMAT;
}


/*
 * special: the characters that stand for 62, 63 and the padding.  Blanks are
 * skipped, the padding may be missing.
 */

static ngx_int_t
im_usersig_decode_base64(ngx_pool_t *pool, ngx_str_t *dst, ngx_str_t *src,
    const char *special)
{
    u_char      *p, *q, *last, c, v;
    uint32_t     bits;
    ngx_uint_t   n, pad;

    q = ngx_pnalloc(pool, src->len / 4 * 3 + 3);
    if (q == NULL) {
        return NGX_ERROR;
    }

    dst->data = q;

    n = 0;
    pad = 0;
    bits = 0;
    last = src->data + src->len;

    for (p = src->data; p < last; p++) {
        c = *p;

        if (c == (u_char) special[0]) {
            v = 62;

        } else if (c == (u_char) special[1]) {
            v = 63;

        } else if (c == (u_char) special[2]) {
            pad++;
            continue;

        } else {
            v = (c < 128) ? im_usersig_basis[c] : 77;
        }

        if (v == 64) {
            continue;
        }

        if (v == 77 || pad) {
            return NGX_DECLINED;
        }

        bits = bits << 6 | v;

        if (++n % 4 == 0) {
            *q++ = (u_char) (bits >> 16);
            *q++ = (u_char) (bits >> 8);
            *q++ = (u_char) bits;
        }
    }

    n %= 4;

    if (n == 1 || pad > (4 - n) % 4) {
        return NGX_DECLINED;
    }

    if (n == 2) {
        *q++ = (u_char) (bits >> 4);

    } else if (n == 3) {
        *q++ = (u_char) (bits >> 10);
        *q++ = (u_char) (bits >> 2);
    }

    dst->len = q - dst->data;

    return NGX_OK;
}


static im_code_t
im_usersig_parse(ngx_pool_t *pool, ngx_str_t *zipped, im_json_t **root)
{
    ngx_int_t              rc;
    ngx_str_t              json;
    im_code_t              code;
    im_usersig_inflate_t  *inf;

    /* not on the pool, which may live as long as the request */

    inf = ngx_alloc(sizeof(im_usersig_inflate_t), pool->log);
    if (inf == NULL) {
        return IM_E_REQUEST;
    }

    json.data = inf->json;

    rc = im_usersig_inflate(zipped, inf, &json.len);
    code = IM_E_SIG_FORMAT;

    if (rc == NGX_OK) {
        rc = im_json_parse(pool, &json, IM_USERSIG_DEPTH, root);
        code = IM_E_SIG_MEMBERS;
    }

    ngx_free(inf);

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_CRIT, pool->log, 0, "no memory for a UserSig");
        return IM_E_REQUEST;
    }

    return (rc == NGX_OK) ? IM_OK : code;
}


static ngx_int_t
im_usersig_inflate(ngx_str_t *zipped, im_usersig_inflate_t *inf, size_t *len)
{
    int        rc;
    z_stream  *zs;

    zs = &inf->stream;

    ngx_memzero(zs, sizeof(z_stream));

    zs->next_in = zipped->data;
    zs->avail_in = (uInt) zipped->len;
    zs->next_out = inf->json;
    zs->avail_out = IM_USERSIG_JSON;

    if (inflateInit(zs) != Z_OK) {
        return NGX_ERROR;
    }

    rc = inflate(zs, Z_FINISH);

    *len = IM_USERSIG_JSON - zs->avail_out;

    (void) inflateEnd(zs);

    if (rc == Z_MEM_ERROR) {
        return NGX_ERROR;
    }

    if (rc != Z_STREAM_END || zs->avail_in != 0) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_uint_t
im_usersig_has_dup(im_json_t *root)
{
    ngx_uint_t   i, n;
    im_json_t   *item;
    ngx_str_t   *key, *keys[IM_USERSIG_MEMBERS];

    n = 0;

    im_json_each(item, root) {
        key = &item->key;

        if (key->len < 4 || ngx_memcmp(key->data, "TLS.", 4) != 0) {
            continue;
        }

        if (n == IM_USERSIG_MEMBERS) {
            return 1;
        }

        for (i = 0; i < n; i++) {
            if (im_str_eq(keys[i], key)) {
                return 1;
            }
        }

        keys[n++] = key;
    }

    return 0;
}


static im_code_t
im_usersig_decode_hmac(ngx_pool_t *pool, im_json_t *root,
    im_usersig_ticket_t *t)
{
    ngx_str_t   text;
    im_code_t   code;
    im_json_t  *node;

    if (im_json_get_str(root, "TLS.ver", &text) != NGX_OK
        || !im_str_eq_c(&text, "2.0"))
    {
        return IM_E_SIG_MEMBERS;
    }

    node = im_json_get(root, "TLS.identifier");

    if (node == NULL || node->type != IM_JSON_STR) {
        return IM_E_SIG_MEMBERS;
    }

    code = im_usersig_get(root, "TLS.identifier", &t->identifier);

    if (code == IM_OK) {
        code = im_usersig_get_int(root, "TLS.sdkappid", &text, &t->sdkappid);
    }

    if (code == IM_OK) {
        code = im_usersig_get_int(root, "TLS.time", &text, &t->time);
    }

    if (code == IM_OK) {
        code = im_usersig_get_int(root, "TLS.expire", &text, &t->expire);
    }

    if (code != IM_OK) {
        return code;
    }

    t->scheme = IM_USERSIG_HMAC;

    if (im_usersig_text(pool, &t->text, &t->identifier, t->sdkappid, t->time,
                        t->expire)
        != NGX_OK)
    {
        return IM_E_REQUEST;
    }

    return IM_OK;
}


static im_code_t
im_usersig_decode_ecdsa(ngx_pool_t *pool, im_json_t *root,
    im_usersig_ticket_t *t)
{
    size_t      len;
    u_char     *p;
    im_code_t   code;
    ngx_str_t   third, type, app, time, expire;
    ngx_uint_t  has_third;

    has_third = im_json_get(root, "TLS.appid_at_3rd") ? 1 : 0;

    ngx_str_null(&third);
    code = IM_OK;

    if (has_third) {
        code = im_usersig_get(root, "TLS.appid_at_3rd", &third);
    }

    if (code == IM_OK) {
        code = im_usersig_get(root, "TLS.account_type", &type);
    }

    if (code == IM_OK) {
        code = im_usersig_get(root, "TLS.identifier", &t->identifier);
    }

    if (code == IM_OK) {
        code = im_usersig_get_int(root, "TLS.sdk_appid", &app, &t->sdkappid);
    }

    if (code == IM_OK) {
        code = im_usersig_get_int(root, "TLS.time", &time, &t->time);
    }

    if (code == IM_OK) {
        code = im_usersig_get_int(root, "TLS.expire_after", &expire,
                                  &t->expire);
    }

    if (code != IM_OK) {
        return code;
    }

    t->scheme = IM_USERSIG_ECDSA;

    len = sizeof("TLS.appid_at_3rd:\nTLS.account_type:\nTLS.identifier:\n"
                 "TLS.sdk_appid:\nTLS.time:\nTLS.expire_after:\n")
          + third.len + type.len + t->identifier.len + app.len + time.len
          + expire.len;

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return IM_E_REQUEST;
    }

    t->text.data = p;

    if (has_third) {
        p = ngx_sprintf(p, "TLS.appid_at_3rd:%V\n", &third);
    }

    p = ngx_sprintf(p, "TLS.account_type:%V\nTLS.identifier:%V\n"
                    "TLS.sdk_appid:%V\nTLS.time:%V\nTLS.expire_after:%V\n",
                    &type, &t->identifier, &app, &time, &expire);

    t->text.len = p - t->text.data;

    return IM_OK;
}


/* The value of a string or the digits of an integer. */

static im_code_t
im_usersig_get(im_json_t *root, const char *name, ngx_str_t *text)
{
    size_t      i;
    im_json_t  *node;

    node = im_json_get(root, name);

    if (node == NULL) {
        return IM_E_SIG_MEMBERS;
    }

    if (node->type == IM_JSON_NUM) {
        *text = node->u.text;

        return node->is_int ? IM_OK : IM_E_SIG_FORMAT;
    }

    if (node->type != IM_JSON_STR) {
        return IM_E_SIG_MEMBERS;
    }

    *text = node->u.text;

    /*
     * With a line feed in a value one text could be cut into members in two
     * ways, and the signature of one user's ticket would fit another user's.
     */

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < 0x20) {
            return IM_E_SIG_MEMBERS;
        }
    }

    return IM_OK;
}


static im_code_t
im_usersig_get_int(im_json_t *root, const char *name, ngx_str_t *text,
    int64_t *value)
{
    u_char     *p, *last;
    im_code_t   code;

    code = im_usersig_get(root, name, text);
    if (code != IM_OK) {
        return code;
    }

    /* ngx_sprintf() cannot print -2^63 */

    if (im_str_int(text, value) == NGX_OK && *value != INT64_MIN) {
        return IM_OK;
    }

    /* a number with a fraction, an exponent or too many digits, or no one */

    p = text->data;
    last = p + text->len;

    if (p < last && *p == '-') {
        p++;
    }

    if (p == last || *p < '0' || *p > '9') {
        return IM_E_SIG_MEMBERS;
    }

    while (p < last) {
        if ((*p < '0' || *p > '9') && ngx_strchr(".eE+-", *p) == NULL) {
            return IM_E_SIG_MEMBERS;
        }

        p++;
    }

    return IM_E_SIG_FORMAT;
}


static ngx_int_t
im_usersig_text(ngx_pool_t *pool, ngx_str_t *text, ngx_str_t *identifier,
    int64_t sdkappid, int64_t time, int64_t expire)
{
    size_t   len;
    u_char  *p;

    len = sizeof("TLS.identifier:\nTLS.sdkappid:\nTLS.time:\nTLS.expire:\n")
          + identifier->len + 3 * NGX_INT64_LEN;

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    p = ngx_sprintf(p, "TLS.identifier:%V\nTLS.sdkappid:%L\nTLS.time:%L\n"
                    "TLS.expire:%L\n",
                    identifier, sdkappid, time, expire);

    text->len = p - text->data;

    return NGX_OK;
}


static im_code_t
im_usersig_verify_hmac(ngx_pool_t *pool, im_usersig_key_t *key,
    im_usersig_ticket_t *t)
{
    u_char  md[IM_USERSIG_DIGEST];

    if (key->key.len == 0) {
        return IM_E_SIG_NO_KEY;
    }

    if (t->sig.len != IM_USERSIG_DIGEST) {
        return IM_E_SIG_WRONG;
    }

    if (im_usersig_hmac(pool, &key->key, &t->text, md) != NGX_OK) {
        return IM_E_REQUEST;
    }

    if (CRYPTO_memcmp(md, t->sig.data, IM_USERSIG_DIGEST) != 0) {
        return IM_E_SIG_WRONG;
    }

    return IM_OK;
}


static im_code_t
im_usersig_verify_ecdsa(ngx_pool_t *pool, im_usersig_key_t *key,
    im_usersig_ticket_t *t)
{
    im_code_t    code;
    EVP_MD_CTX  *md;

    if (key->pkey == NULL) {
        return IM_E_SIG_NO_KEY;
    }

    if (t->sig.len == 0) {
        return IM_E_SIG_WRONG;
    }

    ERR_set_mark();

    md = EVP_MD_CTX_new();

    if (md == NULL
        || EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key->pkey) != 1)
    {
        ngx_log_error(NGX_LOG_CRIT, pool->log, 0,
                      "EVP_DigestVerifyInit() failed");
        code = IM_E_REQUEST;

    } else if (EVP_DigestVerify(md, t->sig.data, t->sig.len, t->text.data,
                                t->text.len)
               == 1)
    {
        code = IM_OK;

    } else {
        code = IM_E_SIG_WRONG;
    }

    EVP_MD_CTX_free(md);

    ERR_pop_to_mark();

    return code;
}


static ngx_int_t
im_usersig_hmac(ngx_pool_t *pool, ngx_str_t *key, ngx_str_t *text, u_char *md)
{
    u_char        *p;
    unsigned int   len;

    ERR_set_mark();

    p = HMAC(EVP_sha256(), key->data, (int) key->len, text->data, text->len,
             md, &len);

    ERR_pop_to_mark();

    if (p == NULL || len != IM_USERSIG_DIGEST) {
        ngx_log_error(NGX_LOG_CRIT, pool->log, 0, "HMAC() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
im_usersig_generate(ngx_pool_t *pool, ngx_str_t *key, ngx_uint_t sdkappid,
    ngx_str_t *identifier, time_t now, int64_t expire, ngx_str_t *usersig)
{
    size_t      i;
    u_char      md[IM_USERSIG_DIGEST];
    u_char      buf[ngx_base64_encoded_length(IM_USERSIG_DIGEST)];
    ngx_str_t   text, bin, sig, json;
    im_json_t  *root;

    if (key->len == 0
        || identifier->len == 0
        || !im_str_utf8(identifier->data, identifier->len))
    {
        return NGX_DECLINED;
    }

    for (i = 0; i < identifier->len; i++) {
        if (identifier->data[i] < 0x20) {
            return NGX_DECLINED;
        }
    }

    if (im_usersig_text(pool, &text, identifier, sdkappid, now, expire)
        != NGX_OK
        || im_usersig_hmac(pool, key, &text, md) != NGX_OK)
    {
        return NGX_ERROR;
    }

    bin.len = IM_USERSIG_DIGEST;
    bin.data = md;
    sig.data = buf;

    ngx_encode_base64(&sig, &bin);

    root = im_json_new_obj(pool);

    im_json_add_cstr(root, "TLS.ver", "2.0");
    im_json_add_str(root, "TLS.identifier", identifier);
    im_json_add_int(root, "TLS.sdkappid", sdkappid);
    im_json_add_int(root, "TLS.time", now);
    im_json_add_int(root, "TLS.expire", expire);
    im_json_add_str(root, "TLS.sig", &sig);

    if (im_json_render(pool, root, &json) != NGX_OK) {
        return NGX_ERROR;
    }

    return im_usersig_encode(pool, &json, usersig);
}


static ngx_int_t
im_usersig_encode(ngx_pool_t *pool, ngx_str_t *json, ngx_str_t *usersig)
{
    uLongf     len;
    u_char    *p, *last;
    ngx_str_t  zipped;

    len = compressBound(json->len);

    zipped.data = ngx_pnalloc(pool, len);
    if (zipped.data == NULL) {
        return NGX_ERROR;
    }

    if (compress(zipped.data, &len, json->data, json->len) != Z_OK) {
        ngx_log_error(NGX_LOG_CRIT, pool->log, 0, "compress() failed");
        return NGX_ERROR;
    }

    zipped.len = len;

    usersig->data = ngx_pnalloc(pool, ngx_base64_encoded_length(zipped.len));
    if (usersig->data == NULL) {
        return NGX_ERROR;
    }

    ngx_encode_base64(usersig, &zipped);

    last = usersig->data + usersig->len;

    for (p = usersig->data; p < last; p++) {

        switch (*p) {

        case '+':
            *p = '*';
            break;

        case '/':
            *p = '-';
            break;

        case '=':
            *p = '_';
            break;
        }
    }

    return NGX_OK;
}


ngx_int_t
im_usersig_digest(ngx_uint_t sdkappid, ngx_str_t *key,
    ngx_str_t *public_key, ngx_str_t *identifier, ngx_str_t *usersig,
    u_char out[IM_USERSIG_DIGEST])
{
    uint64_t     head[4];
    ngx_int_t    rc;
    EVP_MD_CTX  *md;

    head[0] = sdkappid;
    head[1] = key->len;
    head[2] = public_key->len;
    head[3] = identifier->len;

    ERR_set_mark();

    md = EVP_MD_CTX_new();

    if (md
        && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1
        && EVP_DigestUpdate(md, head, sizeof(head)) == 1
        && EVP_DigestUpdate(md, key->data, key->len) == 1
        && EVP_DigestUpdate(md, public_key->data, public_key->len) == 1
        && EVP_DigestUpdate(md, identifier->data, identifier->len) == 1
        && EVP_DigestUpdate(md, usersig->data, usersig->len) == 1
        && EVP_DigestFinal_ex(md, out, NULL) == 1)
    {
        rc = NGX_OK;

    } else {
        rc = NGX_ERROR;
    }

    EVP_MD_CTX_free(md);

    ERR_pop_to_mark();

    return rc;
}
