
/*
 * Copyright (C) The ngx_im authors
 */


/*
 * One more template of the load client fanout: %u is a UserSig of the user
 * "u" with the connection's number, for the application IM_APP by the key
 * IM_KEY.  Included by a copy of fanout.c, see build_fanout() in common.sh.
 */


#include <openssl/hmac.h>
#include <zlib.h>


static void
usersig(struct buf *o, uint32_t n)
{
    char           text[256], json[512];
    char          *p;
    uLongf         len;
    struct buf     b = { 0 };
    unsigned       size;
    long           now;
    const char    *app, *key;
    unsigned char  mac[EVP_MAX_MD_SIZE], packed[1024];

    app = getenv("IM_APP");
    key = getenv("IM_KEY");

    if (app == NULL || key == NULL) {
        die("no IM_APP or no IM_KEY");
    }

    now = (long) time(NULL);

    snprintf(text, sizeof(text), "TLS.identifier:u%u\nTLS.sdkappid:%s\n"
             "TLS.time:%ld\nTLS.expire:86400\n", n, app, now);

    HMAC(EVP_sha256(), key, (int) strlen(key), (unsigned char *) text,
         strlen(text), mac, &size);

    base64(&b, mac, size);

    snprintf(json, sizeof(json), "{\"TLS.ver\":\"2.0\","
             "\"TLS.identifier\":\"u%u\",\"TLS.sdkappid\":%s,"
             "\"TLS.time\":%ld,\"TLS.expire\":86400,\"TLS.sig\":\"%.*s\"}",
             n, app, now, (int) b.n, b.p);

    len = sizeof(packed);

    if (compress(packed, &len, (unsigned char *) json, strlen(json)) != Z_OK) {
        die("compress() failed");
    }

    b.n = 0;
    base64(&b, packed, len);

    for (p = b.p; p < b.p + b.n; p++) {
        *p = *p == '+' ? '*' : *p == '/' ? '-' : *p == '=' ? '_' : *p;
    }

    buf_add(o, b.p, b.n);
    free(b.p);
}
