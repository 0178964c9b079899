
/*
 * Copyright (C) The ngx_im authors
 */


#include "ok.h"
#include "core/im_error.h"
#include "core/im_usersig.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <zlib.h>


#define APP     1400000123
#define ISSUED  1600000000
#define LIFE    15552000

#define KEY                                                                   \
    "9f1c0b7a35d2e84466aa02c1d7e95b3f8810b6c4d2a97e53f04c1b6e8d7a2935"

#define SIG  "3oF2RKu5QEF1PFXAC8fr9GqtdYDgx1nl4MwrL+2UFeA="

#define HEAD                                                                  \
    "\"TLS.ver\":\"2.0\",\"TLS.identifier\":\"alice_01\","

#define NUMBERS                                                               \
    "\"TLS.sdkappid\":1400000123,\"TLS.time\":1600000000,"                    \
    "\"TLS.expire\":15552000,"

#define TAIL  "\"TLS.sig\":\"" SIG "\""


static im_usersig_key_t  hmac_key, ec_key, both_keys, no_key;

static char  *h1[] = {
    "eJyrVgrxCdYrSy1SslIy0jNQ0gHzM1NS80oy0zLBwok5mcmp8QaGULnilOzEgoLMFCUrQxMDED"
    "A0MobIlGTmpipZGZoZQAFENLWiILMIJG5qamoEFy3OTFeyUjLOdzMK8i41DXR1Mwxwi3B0tkgr"
    "snQvLEmJdEmvMMzLMfEtL-LRNgp1S3W0VaoFAHJQMR0_",

    "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkEnMyk1PjDQxhssUp2YkFBZkpQDlDEw"
    "MQMDQyhsqlVhRkFqWCZExNTY2AUlDxksxcsKiZARTAzMpMB1lhnO9mFORdahro6mYY4Bbh6GyR"
    "VmTpXliSEumSXmGYl2PiW17ko20U6pbqaKtUCwDsmDJ9",

    "eAEBrABT-3siVExTLnZlciI6IjIuMCIsIlRMUy5pZGVudGlmaWVyIjoiYWxpY2VfMDEiLCJUTF"
    "Muc2RrYXBwaWQiOjE0MDAwMDAxMjMsIlRMUy5leHBpcmUiOjE1NTUyMDAwLCJUTFMudGltZSI6"
    "MTYwMDAwMDAwMCwiVExTLnNpZyI6IjNvRjJSS3U1UUVGMVBGWEFDOGZyOUdxdGRZRGd4MW5sNE"
    "13ckwrMlVGZUE9In1*FjEd"
};

static char  *e1 =
    "eJxNjE1zgjAARP8L13bahCRie6O2OihOBXWsp0wgCY0fgSHByjj9700zHNzje7t7Czbp*omV"
    "Zd1pS23fiOA1AMGjx4oLbZVUonWwqIsBs6ZRnDJLUcvv2oYfqVeOQQz*g8lokOLaqFZQJq0-"
    "g4SQ0BUGexGtUbV2IgSQwBD59SCtOgs-wQTcc6Mqh5cf*0mSvcs*QlEXjVN9WMzmD-2kglm2"
    "XYjn43IVT8sU4d0bHInoVFTJd7wiV97Zr0TkU96dcrM2*ief8e2FmXhu5WGMPkF-3r9wLIPf"
    "P*C1VrA_";

static char  *e1_pem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEub570H0CJeZdUFxmHMFY+s22wd7qwBeF\n"
    "cffFJFdflTqsHLBCrIDZgyBZOLOUwO5/O+hw3yAHXf6zg61QNIsZYQ==\n"
    "-----END PUBLIC KEY-----\n";


static void
is(im_code_t got, im_code_t expected, const char *name)
{
    ok(got == expected, name);

    if (got != expected) {
        printf("# got %d, expected %d\n", (int) got, (int) expected);
    }
}


static ngx_str_t
str(char *text)
{
    ngx_str_t  s;

    s.len = strlen(text);
    s.data = (u_char *) text;

    return s;
}


static im_code_t
verify_str(im_usersig_key_t *key, ngx_uint_t app, char *user,
    ngx_str_t *ticket, time_t now, im_usersig_t *sig)
{
    u_char        *copy;
    im_code_t      code;
    ngx_str_t      id, usersig;
    ngx_pool_t    *pool;
    im_usersig_t   result;

    /* in memory of its own length: a byte read behind it is noticed */

    copy = malloc(ticket->len ? ticket->len : 1);
    ngx_memcpy(copy, ticket->data, ticket->len);

    usersig.len = ticket->len;
    usersig.data = copy;
    id = str(user);

    pool = ngx_create_pool(1024, &logger);

    code = im_usersig_verify(pool, key, app, &id, &usersig, now,
                             sig ? sig : &result);

    ngx_destroy_pool(pool);
    free(copy);

    if (ERR_peek_error() != 0) {
        ok(0, "the error queue of OpenSSL is clean");
        ERR_clear_error();
    }

    return code;
}


static im_code_t
verify(im_usersig_key_t *key, ngx_uint_t app, char *user, char *ticket,
    time_t now)
{
    ngx_str_t  usersig;

    usersig = str(ticket);

    return verify_str(key, app, user, &usersig, now, NULL);
}


static char *
replace(char *text, char *from, char *to)
{
    for ( /* void */ ; *text; text++) {
        if (strchr(from, *text)) {
            *text = to[strchr(from, *text) - from];
        }
    }

    return text;
}


static char *
armor(u_char *data, size_t len)
{
    char  *out;

    out = malloc(len / 3 * 4 + 5);

    EVP_EncodeBlock((u_char *) out, data, (int) len);
    replace(out, "+/=", "*-_");

    return out;
}


static char *
pack(u_char *data, size_t len)
{
    char    *out;
    uLongf   n;
    u_char  *zipped;

    n = compressBound(len);
    zipped = malloc(n);

    compress(zipped, &n, data, len);
    out = armor(zipped, n);

    free(zipped);

    return out;
}


static u_char *
unpack(char *ticket, size_t *len)
{
    size_t   n;
    char    *text;
    uLongf   outlen;
    u_char  *zipped, *out;

    n = strlen(ticket);
    text = strdup(ticket);
    zipped = malloc(n);
    out = malloc(4096);
    outlen = 4096;

    replace(text, "*-_", "+/=");

    n = EVP_DecodeBlock(zipped, (u_char *) text, (int) n);
    uncompress(out, &outlen, zipped, n);

    *len = outlen;

    free(zipped);
    free(text);

    return out;
}


static im_code_t
json_key(im_usersig_key_t *key, ngx_uint_t app, char *user, char *json,
    time_t now)
{
    char       *ticket;
    im_code_t   code;

    ticket = pack((u_char *) json, strlen(json));
    code = verify(key, app, user, ticket, now);

    free(ticket);

    return code;
}


static im_code_t
json(char *text)
{
    return json_key(&hmac_key, APP, "alice_01", text, ISSUED);
}


/* A ticket of the HMAC scheme whose signature fits the given text. */

static im_code_t
signed_json(char *user, char *members, char *text)
{
    char          buf[4096], sig[64];
    u_char        md[32];
    unsigned int  len;

    HMAC(EVP_sha256(), KEY, 64, (u_char *) text, strlen(text), md, &len);
    EVP_EncodeBlock((u_char *) sig, md, 32);

    snprintf(buf, sizeof(buf), "{\"TLS.ver\":\"2.0\",%s,\"TLS.sig\":\"%s\"}",
             members, sig);

    return json_key(&hmac_key, APP, user, buf, ISSUED);
}


static void
ec_sign(EVP_PKEY *pkey, char *text, char *sig)
{
    size_t       len;
    u_char       der[256];
    EVP_MD_CTX  *md;

    len = sizeof(der);
    md = EVP_MD_CTX_new();

    EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, pkey);
    EVP_DigestSign(md, der, &len, (u_char *) text, strlen(text));
    EVP_EncodeBlock((u_char *) sig, der, (int) len);

    EVP_MD_CTX_free(md);
}


static im_code_t
signed_ec(EVP_PKEY *pkey, char *user, char *members, char *text)
{
    char              buf[4096], sig[512];
    im_usersig_key_t  key;

    ngx_memzero(&key, sizeof(key));
    key.pkey = pkey;

    ec_sign(pkey, text, sig);

    snprintf(buf, sizeof(buf), "{%s,\"TLS.sig\":\"%s\"}", members, sig);

    return json_key(&key, APP, user, buf, ISSUED);
}


static void
test_vectors(void)
{
    ngx_uint_t         i;
    im_usersig_t       sig;
    ngx_str_t          ticket;
    im_usersig_key_t   key;

    for (i = 0; i < 3; i++) {
        ticket = str(h1[i]);
        ngx_memzero(&sig, sizeof(sig));

        is(verify_str(&hmac_key, APP, "alice_01", &ticket, ISSUED, &sig),
           IM_OK, "vector H1");

        ok(sig.sdkappid == APP && sig.time == ISSUED && sig.expire == LIFE
           && sig.identifier.len == 8, "vector H1: result");

        is(verify(&both_keys, APP, "alice_01", h1[i], ISSUED), IM_OK,
           "vector H1, app with both keys");
    }

    key.key = str(KEY "x");
    key.pkey = NULL;

    for (i = 0; i < 3; i++) {
        is(verify(&key, APP, "alice_01", h1[i], ISSUED), IM_E_SIG_WRONG,
           "vector H1, a byte appended to the key");
    }

    is(verify(&ec_key, 1400000456, "bob", e1, 1545000000), IM_OK,
       "vector E1");
    is(verify(&both_keys, 1400000456, "bob", e1, 1545000000), IM_OK,
       "vector E1, app with both keys");
    is(verify(&ec_key, 1400000456, "bob", e1, 1545000000 + LIFE), IM_OK,
       "vector E1, last second");
    is(verify(&ec_key, 1400000456, "bob", e1, 1545000000 + LIFE + 1),
       IM_E_SIG_EXPIRED, "vector E1, expired");
}


static void
test_codes(void)
{
    char    *ticket;
    u_char   byte;

    is(verify(&hmac_key, APP, "alice_01", "", ISSUED), IM_E_SIG_EMPTY,
       "empty");

    is(verify(&hmac_key, APP, "alice_02", h1[0], ISSUED), IM_E_SIG_USER,
       "another user");
    is(verify(&hmac_key, APP, "alice_0", h1[0], ISSUED), IM_E_SIG_USER,
       "a prefix of the user");
    is(verify(&hmac_key, APP, "", h1[0], ISSUED), IM_E_SIG_USER, "no user");
    is(verify(&hmac_key, APP + 1, "alice_01", h1[0], ISSUED), IM_E_SIG_APP,
       "another app");
    is(verify(&hmac_key, APP + 1, "alice_02", h1[0], ISSUED), IM_E_SIG_APP,
       "another app before another user");
    is(verify(&no_key, APP, "alice_02", h1[0], ISSUED), IM_E_SIG_USER,
       "another user before the key");

    is(verify(&no_key, APP, "alice_01", h1[0], ISSUED), IM_E_SIG_NO_KEY,
       "no key");
    is(verify(&ec_key, APP, "alice_01", h1[0], ISSUED), IM_E_SIG_NO_KEY,
       "HMAC ticket, only an ECDSA key");
    is(verify(&hmac_key, 1400000456, "bob", e1, 1545000000), IM_E_SIG_NO_KEY,
       "ECDSA ticket, only an HMAC key");

    is(verify(&hmac_key, APP, "alice_01", h1[0], ISSUED + LIFE), IM_OK,
       "the last second");
    is(verify(&hmac_key, APP, "alice_01", h1[0], ISSUED + LIFE + 1),
       IM_E_SIG_EXPIRED, "a second later");
    is(verify(&hmac_key, APP, "alice_01", h1[0], 1), IM_OK,
       "issued in the future");

    is(json("{" HEAD NUMBERS "\"TLS.sig\":"
            "\"4oF2RKu5QEF1PFXAC8fr9GqtdYDgx1nl4MwrL+2UFeA=\"}"),
       IM_E_SIG_WRONG, "signature of another text");
    is(json("{" HEAD NUMBERS "\"TLS.sig\":\"3oF2\"}"), IM_E_SIG_WRONG,
       "short signature");
    is(json("{" HEAD NUMBERS "\"TLS.sig\":\"\"}"), IM_E_SIG_WRONG,
       "empty signature");
    is(json("{" HEAD NUMBERS "\"TLS.sig\":\"!\"}"), IM_E_SIG_FORMAT,
       "signature is not base64");
    is(json("{" HEAD NUMBERS "\"TLS.sig\":"
            "\"3oF2RKu5QEF1PFXAC8fr9GqtdYDgx1nl4MwrL*2UFeA_\"}"),
       IM_E_SIG_FORMAT, "signature in the outer alphabet");

    is(json("{}"), IM_E_SIG_MEMBERS, "no members");
    is(json("[]"), IM_E_SIG_MEMBERS, "a list");
    is(json("\"x\""), IM_E_SIG_MEMBERS, "a string");
    is(json(""), IM_E_SIG_MEMBERS, "no JSON");
    is(json("{" HEAD NUMBERS TAIL), IM_E_SIG_MEMBERS, "truncated JSON");
    is(json("{" HEAD NUMBERS TAIL "}x"), IM_E_SIG_MEMBERS,
       "bytes after the JSON");
    is(json("{" NUMBERS TAIL "}"), IM_E_SIG_MEMBERS, "no identifier");
    is(json("{" HEAD TAIL "}"), IM_E_SIG_MEMBERS, "no numbers");
    is(json("{" HEAD NUMBERS "\"a\":1}"), IM_E_SIG_MEMBERS, "no signature");
    is(json("{" HEAD NUMBERS "\"TLS.sig\":1}"), IM_E_SIG_MEMBERS,
       "signature is a number");
    is(json("{\"TLS.ver\":\"2.1\",\"TLS.identifier\":\"alice_01\"," NUMBERS
            TAIL "}"), IM_E_SIG_MEMBERS, "unknown version");
    is(json("{\"TLS.ver\":2.0,\"TLS.identifier\":\"alice_01\"," NUMBERS
            TAIL "}"), IM_E_SIG_MEMBERS, "version is a number");
    is(json("{\"TLS.ver\":\"2.0\",\"TLS.identifier\":1," NUMBERS TAIL "}"),
       IM_E_SIG_MEMBERS, "identifier is a number");
    is(json("{\"TLS.ver\":\"2.0\",\"TLS.identifier\":null," NUMBERS TAIL "}"),
       IM_E_SIG_MEMBERS, "identifier is null");

    is(verify(&hmac_key, APP, "alice_01",
              "{\"TLS.identifier\":\"alice_01\"}", ISSUED), IM_E_SIG_FORMAT,
       "bare JSON");
    is(verify(&hmac_key, APP, "alice_01", "AAAA", ISSUED), IM_E_SIG_FORMAT,
       "not zlib");

    byte = 0;
    ticket = pack(&byte, 0);
    is(verify(&hmac_key, APP, "alice_01", ticket, ISSUED), IM_E_SIG_MEMBERS,
       "zlib of nothing");
    free(ticket);
}


static void
test_base64(void)
{
    char       *p, *q, text[1024];
    size_t      i, len;
    ngx_str_t   ticket;

    /* as in a mail: lines and blanks */

    q = text;

    for (p = h1[0], i = 0; *p; p++, i++) {
        if (i % 20 == 0) {
            q += sprintf(q, "%s", i % 40 ? "\r\n" : " \t");
        }

        *q++ = *p;
    }

    *q++ = '\n';
    *q = '\0';

    is(verify(&hmac_key, APP, "alice_01", text, ISSUED), IM_OK,
       "white space in the ticket");

    is(verify(&hmac_key, APP, "alice_01", " \r\n", ISSUED), IM_E_SIG_FORMAT,
       "nothing but white space");

    len = strlen(h1[0]);
    ngx_memcpy(text, h1[0], len + 1);

    ok(text[len - 1] == '_', "vector H1 is padded");

    text[len - 1] = '\0';
    is(verify(&hmac_key, APP, "alice_01", text, ISSUED), IM_OK,
       "missing padding");

    sprintf(text, "%s_", h1[0]);
    is(verify(&hmac_key, APP, "alice_01", text, ISSUED), IM_E_SIG_FORMAT,
       "too much padding");

    sprintf(text, "%s_", h1[1]);
    is(verify(&hmac_key, APP, "alice_01", text, ISSUED), IM_E_SIG_FORMAT,
       "needless padding");

    sprintf(text, "%sA", h1[0]);
    is(verify(&hmac_key, APP, "alice_01", text, ISSUED), IM_E_SIG_FORMAT,
       "text after the padding");

    sprintf(text, "%sA", h1[1]);
    is(verify(&hmac_key, APP, "alice_01", text, ISSUED), IM_E_SIG_FORMAT,
       "a single character more");

    for (p = "+/=!,.%&~\x01\x7f\x80\xff"; *p; p++) {
        ngx_memcpy(text, h1[1], strlen(h1[1]) + 1);
        text[10] = *p;

        is(verify(&hmac_key, APP, "alice_01", text, ISSUED), IM_E_SIG_FORMAT,
           "a byte of no alphabet");
    }

    ngx_memcpy(text, h1[1], strlen(h1[1]));
    text[10] = '\0';
    ticket.len = strlen(h1[1]);
    ticket.data = (u_char *) text;

    is(verify_str(&hmac_key, APP, "alice_01", &ticket, ISSUED, NULL),
       IM_E_SIG_FORMAT, "a zero byte");

    for (i = 1; i < len - 1; i++) {
        ticket.len = i;
        ticket.data = (u_char *) h1[0];

        if (verify_str(&hmac_key, APP, "alice_01", &ticket, ISSUED, NULL)
            != IM_E_SIG_FORMAT)
        {
            break;
        }
    }

    ok(i == len - 1, "truncated at each byte");
}


static void
test_zlib(void)
{
    char      *text, *ticket;
    u_char    *bin;
    size_t     len, n;
    uLongf     zlen;
    z_stream   zs;

    text = malloc(1024 * 1024);
    bin = malloc(1024 * 1024);

    len = sprintf(text, "{" HEAD NUMBERS TAIL);

    /* blanks up to the limit */

    memset(text + len, ' ', 1024 * 1024 - len);

    text[16383] = '}';
    ticket = pack((u_char *) text, 16384);
    is(verify(&hmac_key, APP, "alice_01", ticket, ISSUED), IM_OK,
       "16384 bytes of JSON");
    free(ticket);

    text[16383] = ' ';
    text[16384] = '}';
    ticket = pack((u_char *) text, 16385);
    is(verify(&hmac_key, APP, "alice_01", ticket, ISSUED), IM_E_SIG_FORMAT,
       "16385 bytes of JSON");
    free(ticket);

    text[16384] = ' ';
    text[1024 * 1024 - 1] = '}';
    ticket = pack((u_char *) text, 1024 * 1024);
    is(verify(&hmac_key, APP, "alice_01", ticket, ISSUED), IM_E_SIG_FORMAT,
       "decompression bomb");
    free(ticket);

    text[len++] = '}';
    zlen = 4096;
    compress(bin, &zlen, (u_char *) text, len);

    ticket = armor(bin, zlen);
    is(verify(&hmac_key, APP, "alice_01", ticket, ISSUED), IM_OK, "plain");
    free(ticket);

    bin[zlen] = 0;
    ticket = armor(bin, zlen + 1);
    is(verify(&hmac_key, APP, "alice_01", ticket, ISSUED), IM_E_SIG_FORMAT,
       "a byte after the zlib end");
    free(ticket);

    ngx_memcpy(bin + zlen, bin, zlen);
    ticket = armor(bin, zlen * 2);
    is(verify(&hmac_key, APP, "alice_01", ticket, ISSUED), IM_E_SIG_FORMAT,
       "two zlib streams");
    free(ticket);

    for (n = 0; n < zlen; n++) {
        im_code_t  code;

        ticket = armor(bin, n);
        code = verify(&hmac_key, APP, "alice_01", ticket, ISSUED);
        free(ticket);

        if (code != (n ? IM_E_SIG_FORMAT : IM_E_SIG_EMPTY)) {
            break;
        }
    }

    ok(n == zlen, "zlib stream truncated at each byte");

    bin[zlen - 1] ^= 1;
    ticket = armor(bin, zlen);
    is(verify(&hmac_key, APP, "alice_01", ticket, ISSUED), IM_E_SIG_FORMAT,
       "wrong Adler-32");
    free(ticket);

    for (n = 0; n < 2; n++) {
        ngx_memzero(&zs, sizeof(zs));

        deflateInit2(&zs, 6, Z_DEFLATED, n ? 31 : -15, 8, Z_DEFAULT_STRATEGY);

        zs.next_in = (u_char *) text;
        zs.avail_in = len;
        zs.next_out = bin;
        zs.avail_out = 4096;

        deflate(&zs, Z_FINISH);
        deflateEnd(&zs);

        ticket = armor(bin, zs.total_out);
        is(verify(&hmac_key, APP, "alice_01", ticket, ISSUED),
           IM_E_SIG_FORMAT, n ? "gzip" : "raw deflate");
        free(ticket);
    }

    ngx_memzero(&zs, sizeof(zs));

    deflateInit(&zs, 6);
    deflateSetDictionary(&zs, (u_char *) "TLS.identifier", 14);

    zs.next_in = (u_char *) text;
    zs.avail_in = len;
    zs.next_out = bin;
    zs.avail_out = 4096;

    deflate(&zs, Z_FINISH);
    deflateEnd(&zs);

    ticket = armor(bin, zs.total_out);
    is(verify(&hmac_key, APP, "alice_01", ticket, ISSUED), IM_E_SIG_FORMAT,
       "preset dictionary");
    free(ticket);

    memset(text, 'A', 40000);
    text[40000] = '\0';
    is(verify(&hmac_key, APP, "alice_01", text, ISSUED), IM_E_SIG_FORMAT,
       "a very long ticket");

    free(text);
    free(bin);
}


static void
test_members(void)
{
    char        text[4096], *p;
    ngx_uint_t  i;

    is(json(" {\n" TAIL ", " NUMBERS HEAD "\n\"x\":[{\"TLS.ver\":1}]\n}\n"),
       IM_OK, "any order, unknown members, line breaks");
    is(json("{\"TLS.ver\":\"2.0\",\"TLS.\\u0069dentifier\":\"alice\\u005f01\","
            NUMBERS "\"TLS.sig\":"
            "\"3oF2RKu5QEF1PFXAC8fr9GqtdYDgx1nl4MwrL+2UFeA=\\r\\n\"}"),
       IM_OK, "escapes");

    is(json("{" HEAD "\"TLS.sdkappid\":\"1400000123\",\"TLS.time\":"
            "\"1600000000\",\"TLS.expire\":\"15552000\"," TAIL "}"),
       IM_OK, "numbers as strings");

    is(json("{" HEAD NUMBERS TAIL ",\"TLS.userbuf\":\"YWJj\"}"),
       IM_E_SIG_FORMAT, "userbuf added");
    is(json("{" HEAD NUMBERS "\"TLS.userbuf\":\"YWJj\",\"TLS.sig\":"
            "\"n6bC7Vbxkpyq4Wib+A75iHcQr3mg0/K9zJ1mloi+4uI=\"}"),
       IM_E_SIG_FORMAT, "ticket with userbuf");
    is(json("{" HEAD NUMBERS TAIL ",\"TLS.userbuf\":null}"),
       IM_E_SIG_FORMAT, "userbuf null");

    is(json("{" HEAD NUMBERS TAIL "," TAIL "}"), IM_E_SIG_MEMBERS,
       "TLS.sig twice");
    is(json("{" HEAD HEAD NUMBERS TAIL "}"), IM_E_SIG_MEMBERS,
       "TLS.identifier twice");
    is(json("{" HEAD NUMBERS "\"TLS.\\u0074ime\":1600000000," TAIL "}"),
       IM_E_SIG_MEMBERS, "TLS.time twice, once escaped");
    is(json("{" HEAD NUMBERS "\"TLS.x\":1,\"TLS.x\":1," TAIL "}"),
       IM_E_SIG_MEMBERS, "an unknown TLS member twice");
    is(json("{" HEAD NUMBERS "\"x\":1,\"x\":1," TAIL "}"), IM_OK,
       "an unknown member twice");

    p = text + sprintf(text, "{" HEAD NUMBERS);
    for (i = 0; i < 40; i++) {
        p += sprintf(p, "\"TLS.%d\":1,", (int) i);
    }
    sprintf(p, TAIL "}");
    is(json(text), IM_E_SIG_MEMBERS, "many TLS members");

    is(json("{" HEAD "\"TLS.sdkappid\":1400000123,\"TLS.time\":1600000000.0,"
            "\"TLS.expire\":15552000," TAIL "}"), IM_E_SIG_FORMAT,
       "fraction");
    is(json("{" HEAD "\"TLS.sdkappid\":1400000123,\"TLS.time\":16e8,"
            "\"TLS.expire\":15552000," TAIL "}"), IM_E_SIG_FORMAT,
       "exponent");
    is(json("{" HEAD "\"TLS.sdkappid\":1400000123,\"TLS.time\":1600000000,"
            "\"TLS.expire\":9223372036854775808," TAIL "}"), IM_E_SIG_FORMAT,
       "2^63");
    is(json("{" HEAD "\"TLS.sdkappid\":1400000123,\"TLS.time\":1600000000,"
            "\"TLS.expire\":\"9223372036854775808\"," TAIL "}"),
       IM_E_SIG_FORMAT, "2^63 as a string");
    is(json("{" HEAD "\"TLS.sdkappid\":1400000123,\"TLS.time\":"
            "\"1600000000.5\",\"TLS.expire\":1," TAIL "}"),
       IM_E_SIG_FORMAT, "fraction as a string");
    is(json("{" HEAD "\"TLS.sdkappid\":1400000123,\"TLS.time\":\"\","
            "\"TLS.expire\":15552000," TAIL "}"), IM_E_SIG_MEMBERS,
       "time is an empty string");
    is(json("{" HEAD "\"TLS.sdkappid\":1400000123,\"TLS.time\":\"-\","
            "\"TLS.expire\":15552000," TAIL "}"), IM_E_SIG_MEMBERS,
       "time is a minus");
    is(json("{" HEAD "\"TLS.sdkappid\":1400000123,\"TLS.time\":\"12 \","
            "\"TLS.expire\":15552000," TAIL "}"), IM_E_SIG_MEMBERS,
       "time has a blank");
    is(json("{" HEAD "\"TLS.sdkappid\":1400000123,\"TLS.time\":true,"
            "\"TLS.expire\":15552000," TAIL "}"), IM_E_SIG_MEMBERS,
       "time is true");
    is(json("{" HEAD "\"TLS.sdkappid\":-1,\"TLS.time\":1600000000,"
            "\"TLS.expire\":15552000," TAIL "}"), IM_E_SIG_APP,
       "negative sdkappid");

    is(signed_json("alice_01", "\"TLS.identifier\":\"alice_01\","
                   "\"TLS.sdkappid\":1400000123,\"TLS.time\":1600000000,"
                   "\"TLS.expire\":-1",
                   "TLS.identifier:alice_01\nTLS.sdkappid:1400000123\n"
                   "TLS.time:1600000000\nTLS.expire:-1\n"),
       IM_E_SIG_EXPIRED, "negative expire");
    is(signed_json("alice_01", "\"TLS.identifier\":\"alice_01\","
                   "\"TLS.sdkappid\":1400000123,\"TLS.time\":1600000000,"
                   "\"TLS.expire\":0",
                   "TLS.identifier:alice_01\nTLS.sdkappid:1400000123\n"
                   "TLS.time:1600000000\nTLS.expire:0\n"),
       IM_OK, "expire 0 in the same second");
    is(signed_json("alice_01", "\"TLS.identifier\":\"alice_01\","
                   "\"TLS.sdkappid\":1400000123,\"TLS.time\":1600000000,"
                   "\"TLS.expire\":9223372036854775807",
                   "TLS.identifier:alice_01\nTLS.sdkappid:1400000123\n"
                   "TLS.time:1600000000\nTLS.expire:9223372036854775807\n"),
       IM_OK, "expire 2^63-1");
    is(signed_json("alice_01", "\"TLS.identifier\":\"alice_01\","
                   "\"TLS.sdkappid\":1400000123,"
                   "\"TLS.time\":-9223372036854775807,\"TLS.expire\":1",
                   "TLS.identifier:alice_01\nTLS.sdkappid:1400000123\n"
                   "TLS.time:-9223372036854775807\nTLS.expire:1\n"),
       IM_E_SIG_EXPIRED, "time -2^63+1");
    is(json("{" HEAD "\"TLS.sdkappid\":1400000123,"
            "\"TLS.time\":-9223372036854775808,\"TLS.expire\":1," TAIL "}"),
       IM_E_SIG_FORMAT, "time -2^63");
    is(signed_json("\xe5\xbc\xa0\"\\", "\"TLS.identifier\":"
                   "\"\\u5f20\\\"\\\\\",\"TLS.sdkappid\":1400000123,"
                   "\"TLS.time\":1600000000,\"TLS.expire\":1",
                   "TLS.identifier:\xe5\xbc\xa0\"\\\n"
                   "TLS.sdkappid:1400000123\n"
                   "TLS.time:1600000000\nTLS.expire:1\n"),
       IM_OK, "identifier with other characters");
    is(signed_json("a\nb", "\"TLS.identifier\":\"a\\nb\","
                   "\"TLS.sdkappid\":1400000123,\"TLS.time\":1600000000,"
                   "\"TLS.expire\":1",
                   "TLS.identifier:a\nb\nTLS.sdkappid:1400000123\n"
                   "TLS.time:1600000000\nTLS.expire:1\n"),
       IM_E_SIG_MEMBERS, "identifier with a line feed");
    is(json("{\"TLS.ver\":\"2.0\",\"TLS.identifier\":\"a\xff\"," NUMBERS
            TAIL "}"), IM_E_SIG_MEMBERS, "identifier is not UTF-8");
}


static void
test_ecdsa(void)
{
    int                i;
    char              *curves[] = { "P-256", "secp256k1" };
    char               text[1024], sig[512], buf[2048];
    EVP_PKEY          *pkey, *other;
    im_usersig_key_t   key;

    ngx_memzero(&key, sizeof(key));

    for (i = 0; i < 2; i++) {
        pkey = EVP_EC_gen(curves[i]);
        other = EVP_EC_gen(curves[i]);

        is(signed_ec(pkey, "bob", "\"TLS.account_type\":\"0\","
                     "\"TLS.identifier\":\"bob\","
                     "\"TLS.appid_at_3rd\":\"0\","
                     "\"TLS.sdk_appid\":\"1400000123\","
                     "\"TLS.expire_after\":\"60\","
                     "\"TLS.version\":\"201803230000\","
                     "\"TLS.time\":\"1600000000\"",
                     "TLS.appid_at_3rd:0\nTLS.account_type:0\n"
                     "TLS.identifier:bob\nTLS.sdk_appid:1400000123\n"
                     "TLS.time:1600000000\nTLS.expire_after:60\n"),
           IM_OK, curves[i]);

        is(signed_ec(pkey, "bob", "\"TLS.account_type\":\"116\","
                     "\"TLS.identifier\":\"bob\","
                     "\"TLS.appid_at_3rd\":\"\","
                     "\"TLS.sdk_appid\":\"1400000123\","
                     "\"TLS.expire_after\":\"60\","
                     "\"TLS.time\":\"1600000000\"",
                     "TLS.appid_at_3rd:\nTLS.account_type:116\n"
                     "TLS.identifier:bob\nTLS.sdk_appid:1400000123\n"
                     "TLS.time:1600000000\nTLS.expire_after:60\n"),
           IM_OK, "empty appid_at_3rd, account type 116");

        is(signed_ec(pkey, "bob", "\"TLS.account_type\":\"116\","
                     "\"TLS.identifier\":\"bob\","
                     "\"TLS.sdk_appid\":\"1400000123\","
                     "\"TLS.expire_after\":\"60\","
                     "\"TLS.time\":\"1600000000\"",
                     "TLS.account_type:116\n"
                     "TLS.identifier:bob\nTLS.sdk_appid:1400000123\n"
                     "TLS.time:1600000000\nTLS.expire_after:60\n"),
           IM_OK, "no appid_at_3rd");

        is(signed_ec(pkey, "bob", "\"TLS.account_type\":0,"
                     "\"TLS.identifier\":\"bob\",\"TLS.appid_at_3rd\":7,"
                     "\"TLS.sdk_appid\":1400000123,"
                     "\"TLS.expire_after\":60,\"TLS.time\":1600000000",
                     "TLS.appid_at_3rd:7\nTLS.account_type:0\n"
                     "TLS.identifier:bob\nTLS.sdk_appid:1400000123\n"
                     "TLS.time:1600000000\nTLS.expire_after:60\n"),
           IM_OK, "integers");

        is(signed_ec(pkey, "bob", "\"TLS.account_type\":\"0\","
                     "\"TLS.identifier\":\"bob\","
                     "\"TLS.sdk_appid\":\"1400000123\","
                     "\"TLS.expire_after\":\"-60\","
                     "\"TLS.time\":\"1600000000\"",
                     "TLS.account_type:0\n"
                     "TLS.identifier:bob\nTLS.sdk_appid:1400000123\n"
                     "TLS.time:1600000000\nTLS.expire_after:-60\n"),
           IM_E_SIG_EXPIRED, "negative expire_after");

        is(signed_ec(pkey, "bob", "\"TLS.account_type\":\"0\","
                     "\"TLS.identifier\":\"bob\","
                     "\"TLS.sdk_appid\":\"1400000123\","
                     "\"TLS.expire_after\":\"60\","
                     "\"TLS.userbuf\":\"YWJj\","
                     "\"TLS.time\":\"1600000000\"",
                     "TLS.account_type:0\n"
                     "TLS.identifier:bob\nTLS.sdk_appid:1400000123\n"
                     "TLS.time:1600000000\nTLS.expire_after:60\n"
                     "TLS.userbuf:YWJj\n"),
           IM_E_SIG_FORMAT, "userbuf");

        is(signed_ec(pkey, "bob", "\"TLS.identifier\":\"bob\","
                     "\"TLS.sdk_appid\":\"1400000123\","
                     "\"TLS.expire_after\":\"60\","
                     "\"TLS.time\":\"1600000000\"", "x"),
           IM_E_SIG_MEMBERS, "no account_type");

        is(signed_ec(pkey, "bob", "\"TLS.account_type\":[],"
                     "\"TLS.identifier\":\"bob\","
                     "\"TLS.sdk_appid\":\"1400000123\","
                     "\"TLS.expire_after\":\"60\","
                     "\"TLS.time\":\"1600000000\"", "x"),
           IM_E_SIG_MEMBERS, "account_type is a list");

        /* the text of the user "x\nTLS.identifier:bob" cut otherwise */

        is(signed_ec(pkey, "bob", "\"TLS.account_type\":"
                     "\"0\\nTLS.identifier:x\",\"TLS.identifier\":\"bob\","
                     "\"TLS.sdk_appid\":\"1400000123\","
                     "\"TLS.expire_after\":\"60\","
                     "\"TLS.time\":\"1600000000\"",
                     "TLS.account_type:0\nTLS.identifier:x\n"
                     "TLS.identifier:bob\nTLS.sdk_appid:1400000123\n"
                     "TLS.time:1600000000\nTLS.expire_after:60\n"),
           IM_E_SIG_MEMBERS, "line feed in account_type");

        /* as the oldest tickets: pretty printed, lines in TLS.sig */

        sprintf(text, "TLS.account_type:116\nTLS.identifier:bob\n"
                "TLS.sdk_appid:1400000123\nTLS.time:1600000000\n"
                "TLS.expire_after:60\n");

        ec_sign(pkey, text, sig);

        sprintf(buf, "{\n   \"TLS.account_type\" : \"116\",\n"
                "   \"TLS.expire_after\" : \"60\",\n"
                "   \"TLS.identifier\" : \"bob\",\n"
                "   \"TLS.sdk_appid\" : \"1400000123\",\n"
                "   \"TLS.sig\" : \"%.60s\\r\\n%s\\r\\n\",\n"
                "   \"TLS.time\" : \"1600000000\"\n}\n", sig, sig + 60);

        key.pkey = pkey;
        is(json_key(&key, APP, "bob", buf, ISSUED), IM_OK,
           "CR LF in TLS.sig, pretty printed");

        key.pkey = other;
        is(json_key(&key, APP, "bob", buf, ISSUED), IM_E_SIG_WRONG,
           "another key");

        key.pkey = pkey;
        is(json_key(&key, APP + 1, "bob", buf, ISSUED), IM_E_SIG_APP,
           "another app");
        is(json_key(&key, APP, "bo", buf, ISSUED), IM_E_SIG_USER,
           "another user");

        sprintf(buf, "{\"TLS.account_type\":\"116\","
                "\"TLS.expire_after\":\"60\",\"TLS.identifier\":\"bob\","
                "\"TLS.sdk_appid\":\"1400000123\",\"TLS.sig\":\"%.40s\","
                "\"TLS.time\":\"1600000000\"}", sig);
        is(json_key(&key, APP, "bob", buf, ISSUED), IM_E_SIG_WRONG,
           "truncated signature");

        sprintf(buf, "{\"TLS.account_type\":\"116\","
                "\"TLS.expire_after\":\"60\",\"TLS.identifier\":\"bob\","
                "\"TLS.sdk_appid\":\"1400000123\",\"TLS.sig\":\"\","
                "\"TLS.time\":\"1600000000\"}");
        is(json_key(&key, APP, "bob", buf, ISSUED), IM_E_SIG_WRONG,
           "empty signature");

        sprintf(buf, "{\"TLS.account_type\":\"116\","
                "\"TLS.expire_after\":\"60\",\"TLS.identifier\":\"bob\","
                "\"TLS.sdk_appid\":\"1400000123\",\"TLS.sig\":\"%sAAAA\","
                "\"TLS.time\":\"1600000000\"}", "MAYCAQECAQEA");
        is(json_key(&key, APP, "bob", buf, ISSUED), IM_E_SIG_WRONG,
           "malformed signature");

        EVP_PKEY_free(pkey);
        EVP_PKEY_free(other);
    }
}


static void
test_load(void)
{
    BIO        *bio;
    char       *p;
    long        len;
    EVP_PKEY   *pkey, *loaded;
    ngx_str_t   pem;

    pem = str("");
    ok(im_usersig_load_public(&pem) == NULL, "no key");

    pem = str("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
    ok(im_usersig_load_public(&pem) == NULL, "malformed key");

    pem = str("-----BEGIN PUBLIC KEY-----\nProc-Type: 4,ENCRYPTED\n"
              "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
              "AAAAAAAAAAAAAAAAAAAAAA==\n-----END PUBLIC KEY-----\n");
    ok(im_usersig_load_public(&pem) == NULL, "encrypted key");

    pkey = EVP_RSA_gen(2048);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, pkey);
    len = BIO_get_mem_data(bio, &p);
    pem.len = len;
    pem.data = (u_char *) p;
    ok(im_usersig_load_public(&pem) == NULL, "RSA key");
    BIO_free(bio);
    EVP_PKEY_free(pkey);

    pkey = EVP_EC_gen("P-256");
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, pkey);
    len = BIO_get_mem_data(bio, &p);
    pem.len = len;
    pem.data = (u_char *) p;
    loaded = im_usersig_load_public(&pem);
    ok(loaded != NULL && EVP_PKEY_eq(loaded, pkey) == 1, "EC key");
    EVP_PKEY_free(loaded);
    BIO_free(bio);

    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL);
    len = BIO_get_mem_data(bio, &p);
    pem.len = len;
    pem.data = (u_char *) p;
    ok(im_usersig_load_public(&pem) == NULL, "private key");
    BIO_free(bio);
    EVP_PKEY_free(pkey);

    ok(ERR_peek_error() == 0, "the error queue of OpenSSL is clean");
}


static void
test_generate(void)
{
    size_t         i;
    u_char        *p;
    char          *users[] = { "alice_01", "a", "\xe5\xbc\xa0\xe4\xb8\x89",
                               "a\"b\\c/<&>", "@TGS#1" };
    ngx_str_t      id, key, ticket;
    ngx_pool_t    *pool;
    im_usersig_t   sig;

    pool = ngx_create_pool(4096, &logger);
    key = str(KEY);

    for (i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        id = str(users[i]);

        ok(im_usersig_generate(pool, &key, APP, &id, ISSUED, LIFE, &ticket)
           == NGX_OK, "generated");

        is(verify_str(&both_keys, APP, users[i], &ticket, ISSUED, &sig),
           IM_OK, "generated and verified");
        ok(sig.time == ISSUED && sig.expire == LIFE, "times");

        for (p = ticket.data; p < ticket.data + ticket.len; p++) {
            if (*p == '+' || *p == '/' || *p == '=') {
                break;
            }
        }

        ok(p == ticket.data + ticket.len, "outer alphabet");
    }

    id = str("alice_01");

    ok(im_usersig_generate(pool, &key, APP, &id, ISSUED, -1, &ticket)
       == NGX_OK, "generated with a negative expire");
    is(verify_str(&hmac_key, APP, "alice_01", &ticket, ISSUED, NULL),
       IM_E_SIG_EXPIRED, "expired at once");

    id = str("a\nb");
    ok(im_usersig_generate(pool, &key, APP, &id, ISSUED, LIFE, &ticket)
       == NGX_DECLINED, "a line feed in the identifier");

    id = str("a\xff");
    ok(im_usersig_generate(pool, &key, APP, &id, ISSUED, LIFE, &ticket)
       == NGX_DECLINED, "an identifier that is not UTF-8");

    id = str("");
    ok(im_usersig_generate(pool, &key, APP, &id, ISSUED, LIFE, &ticket)
       == NGX_DECLINED, "an empty identifier");

    id = str("a");
    key = str("");
    ok(im_usersig_generate(pool, &key, APP, &id, ISSUED, LIFE, &ticket)
       == NGX_DECLINED, "an empty key");

    ngx_destroy_pool(pool);
}


static void
test_digest(void)
{
    u_char     a[32], b[32];
    ngx_str_t  key, pem, id, sig;

    key = str("secret");
    pem = str("");
    id = str("alice");
    sig = str("ticket");
    ok(im_usersig_digest(APP, &key, &pem, &id, &sig, a) == NGX_OK, "digest");
    ok(im_usersig_digest(APP, &key, &pem, &id, &sig, b) == NGX_OK
       && ngx_memcmp(a, b, 32) == 0, "digest is the same again");
    ok(im_usersig_digest(APP + 1, &key, &pem, &id, &sig, b) == NGX_OK
       && ngx_memcmp(a, b, 32) != 0, "digest of another app");
    ok(im_usersig_digest(APP, &pem, &key, &id, &sig, b) == NGX_OK
       && ngx_memcmp(a, b, 32) != 0, "digest of another scheme");

    id = str("alicet");
    sig = str("icket");
    ok(im_usersig_digest(APP, &key, &pem, &id, &sig, b) == NGX_OK
       && ngx_memcmp(a, b, 32) != 0, "digest of another cut");

    key = str("secreT");
    id = str("alice");
    sig = str("ticket");
    ok(im_usersig_digest(APP, &key, &pem, &id, &sig, b) == NGX_OK
       && ngx_memcmp(a, b, 32) != 0, "digest of another key");
}


static void
mutate(u_char *p, size_t *len, size_t max)
{
    size_t      at, n;
    ngx_uint_t  k;

    for (k = 1 + random() % 3; k; k--) {
        at = random() % *len;

        switch (random() % 5) {

        case 0:
            p[at] ^= 1 << (random() % 8);
            break;

        case 1:
            p[at] = (u_char) random();
            break;

        case 2:
            p[at] = p[random() % *len];
            break;

        case 3:
            n = 1 + random() % 4;

            if (*len > at + n) {
                ngx_memmove(p + at, p + at + n, *len - at - n);
                *len -= n;
            }

            break;

        default:
            n = 1 + random() % 4;

            if (*len + n < max && at + n < *len) {
                ngx_memmove(p + at + n, p + at, *len - at);
                *len += n;
            }
        }
    }
}


/*
 * What is accepted has the content of the original.  In the ticket only the
 * unused bits of base64 and of the zlib header may differ, in the JSON what
 * is not signed.
 */

static void
test_fuzz(char *ticket, im_usersig_key_t *key, ngx_uint_t app, char *user,
    time_t now, ngx_uint_t rounds)
{
    char          *packed;
    size_t         len, n;
    u_char        *json, *same, buf[4096];
    im_code_t      code;
    ngx_str_t      s;
    ngx_uint_t     i, bad, accepted;
    im_usersig_t   sig;

    bad = 0;
    accepted = 0;
    json = unpack(ticket, &len);

    for (i = 0; i < rounds; i++) {
        n = strlen(ticket);
        ngx_memcpy(buf, ticket, n);
        mutate(buf, &n, 1024);

        s.len = n;
        s.data = buf;

        code = verify_str(key, app, user, &s, now, &sig);

        if (code == IM_OK) {
            accepted++;

            if (sig.time != now || sig.expire != LIFE) {
                bad++;
            }

            buf[n] = '\0';
            same = unpack((char *) buf, &n);

            if (strlen((char *) buf) % 4 == 0
                && strpbrk((char *) buf, " \t\r\n") == NULL
                && (n != len || ngx_memcmp(same, json, len) != 0))
            {
                bad++;
            }

            free(same);

        } else if (code < IM_E_SIG_EXPIRED || code > IM_E_SIG_NO_KEY) {
            bad++;
        }
    }

    ok(bad == 0, "mutations of the ticket");
    printf("# %d of %d accepted\n", (int) accepted, (int) rounds);

    accepted = 0;

    for (i = 0; i < rounds; i++) {
        n = len;
        ngx_memcpy(buf, json, n);
        mutate(buf, &n, 1024);

        packed = pack(buf, n);
        s = str(packed);

        code = verify_str(key, app, user, &s, now, &sig);

        if (code == IM_OK) {
            accepted++;

            if (sig.time != now || sig.expire != LIFE) {
                bad++;
            }

        } else if (code < IM_E_SIG_EXPIRED || code > IM_E_SIG_NO_KEY) {
            bad++;
        }

        free(packed);
    }

    ok(bad == 0, "mutations of the JSON");
    printf("# %d of %d accepted\n", (int) accepted, (int) rounds);

    free(json);
}


int
main(void)
{
    ngx_str_t  pem;

    nginx_init(NGX_LOG_STDERR, NULL);

    srandom(1);

    pem = str(e1_pem);

    hmac_key.key = str(KEY);
    ec_key.pkey = im_usersig_load_public(&pem);
    both_keys.key = hmac_key.key;
    both_keys.pkey = ec_key.pkey;

    ok(ec_key.pkey != NULL, "the public key of vector E1");

    test_vectors();
    test_codes();
    test_base64();
    test_zlib();
    test_members();
    test_ecdsa();
    test_load();
    test_generate();
    test_digest();
    test_fuzz(h1[0], &hmac_key, APP, "alice_01", ISSUED, 20000);
    test_fuzz(h1[2], &both_keys, APP, "alice_01", ISSUED, 20000);
    test_fuzz(e1, &ec_key, 1400000456, "bob", 1545000000, 2000);

    EVP_PKEY_free(ec_key.pkey);

    return done();
}
