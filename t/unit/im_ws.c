
/*
 * Copyright (C) The ngx_im authors
 */


#include "ok.h"
#include <zlib.h>
#include "web/im_frame.h"
#include "web/im_ws.h"
#include "web/im_ws_deflate.h"


#define MAX  (1024 * 1024)


/* What a stream of bytes came to. */

typedef struct {
    u_char      text[2048];          /* "T<..>" messages, "9<..>" controls */
    size_t      len;
    ngx_int_t   rc;                  /* the last */
    ngx_uint_t  calls;
} result_t;


/* A frame of a client. */

static u_char *
frame(u_char *p, ngx_uint_t first, const char *payload, size_t len,
    uint32_t key)
{
    size_t  i;
    u_char  mask[4];

    ngx_memcpy(mask, &key, 4);

    *p++ = (u_char) first;

    if (len < 126) {
        *p++ = (u_char) (0x80 | len);

    } else {
        *p++ = 0x80 | 126;
        *p++ = (u_char) (len >> 8);
        *p++ = (u_char) len;
    }

    p = ngx_cpymem(p, mask, 4);

    for (i = 0; i < len; i++) {
        *p++ = payload[i] ^ mask[i & 3];
    }

    return p;
}


static void
put(result_t *res, const u_char *data, size_t len)
{
    if (len <= sizeof(res->text) - res->len) {
        ngx_memcpy(res->text + res->len, data, len);
        res->len += len;
    }
}


/* Parses len bytes that arrive in steps of so many, first at most first. */

static void
parse(result_t *res, const u_char *data, size_t len, size_t first,
    size_t step)
{
    size_t      n, clen;
    u_char     *p, *last, *buf, control[256];
    im_ws_t     ws;
    ngx_str_t   piece;
    ngx_uint_t  open;

    im_ws_init(&ws, MAX);
    ngx_memzero(res, sizeof(result_t));

    clen = 0;
    open = 0;
    n = first;

    while (len) {
        n = ngx_min(n, len);

        /* of its exact size, so that a byte too far is seen */

        buf = malloc(n ? n : 1);
        ngx_memcpy(buf, data, n);

        p = buf;
        last = buf + n;

        for ( ;; ) {
            res->calls++;
            res->rc = im_ws_parse(&ws, &p, last, &piece);

            if (res->rc != NGX_OK) {
                break;
            }

            if (ws.opcode & IM_WS_CLOSE) {
                ngx_memcpy(control + clen, piece.data, piece.len);
                clen += piece.len;

                if (ws.end) {
                    put(res, (u_char *) "(", 1);
                    put(res, control, clen);
                    put(res, (u_char *) ")", 1);
                    clen = 0;
                }

                continue;
            }

            if (!open) {
                put(res, (u_char *) (ws.message == IM_WS_TEXT ? "T<" : "B<"),
                    2);
                open = 1;
            }

            put(res, piece.data, piece.len);

            if (ws.done) {
                put(res, (u_char *) ">", 1);
                open = 0;
            }
        }

        free(buf);

        if (res->rc != NGX_AGAIN) {
            return;
        }

        data += n;
        len -= n;
        n = step;
    }
}


static ngx_uint_t
is(result_t *res, const char *text)
{
    return res->len == strlen(text)
           && ngx_memcmp(res->text, text, res->len) == 0;
}


static ngx_int_t
rc(const char *data, size_t len)
{
    result_t  res;

    parse(&res, (u_char *) data, len, len, len);

    return res.rc;
}


static void
test_messages(void)
{
    char        big[601], want[1024];
    size_t      i, len;
    u_char     *p, buf[2048];
    result_t    res;

    p = frame(buf, 0x81, "Hello", 5, 0x3d21fa37);
    parse(&res, buf, p - buf, p - buf, 1);
    ok(is(&res, "T<Hello>") && res.rc == NGX_AGAIN, "a text message");

    p = frame(buf, 0x82, "", 0, 1);
    parse(&res, buf, p - buf, p - buf, 1);
    ok(is(&res, "B<>"), "an empty binary message");

    /* fragments, a ping in between, a long frame, a close */

    memset(big, 'x', 600);
    big[600] = '\0';

    p = frame(buf, 0x01, "Hel", 3, 0x01020304);
    p = frame(p, 0x89, "ping", 4, 0xf0e0d0c0);
    p = frame(p, 0x00, "", 0, 0xffffffff);
    p = frame(p, 0x80, "lo", 2, 0x11223344);
    p = frame(p, 0x82, big, 600, 0x55667788);
    p = frame(p, 0x8a, "", 0, 0x55667788);
    p = frame(p, 0x88, "\x03\xe8", 2, 0);
    len = p - buf;

    snprintf(want, sizeof(want), "T<Hel(ping)lo>B<%s>()(\x03\xe8)", big);

    parse(&res, buf, len, len, 1);
    ok(is(&res, want), "fragments, controls and a long frame");

    for (i = 0; i <= len; i++) {
        parse(&res, buf, len, i, len);

        if (!is(&res, want)) {
            break;
        }
    }

    ok(i == len + 1, "cut at every place");

    for (i = 1; i < 20; i++) {
        parse(&res, buf, len, i, i);

        if (!is(&res, want)) {
            break;
        }
    }

    ok(i == 20, "in pieces of 1 to 19 bytes");
}


static void
test_errors(void)
{
    ok(rc("\x81\x05Hello", 7) == IM_WS_PROTOCOL, "not masked");
    ok(rc("\xc1\x80\0\0\0\0", 6) == IM_WS_PROTOCOL, "RSV1");
    ok(rc("\xa1\x80\0\0\0\0", 6) == IM_WS_PROTOCOL, "RSV2");
    ok(rc("\x91\x80\0\0\0\0", 6) == IM_WS_PROTOCOL, "RSV3");
    ok(rc("\x83\x80\0\0\0\0", 6) == IM_WS_PROTOCOL, "opcode 3");
    ok(rc("\x8b\x80\0\0\0\0", 6) == IM_WS_PROTOCOL, "opcode 11");
    ok(rc("\x80\x80\0\0\0\0", 6) == IM_WS_PROTOCOL,
       "a continuation of nothing");
    ok(rc("\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 12) == IM_WS_PROTOCOL,
       "a message inside of a message");
    ok(rc("\x09\x80\0\0\0\0", 6) == IM_WS_PROTOCOL, "a ping in fragments");
    ok(rc("\x89\xfe\0\x7e\0\0\0\0", 8) == IM_WS_PROTOCOL,
       "a ping of 126 bytes");
    ok(rc("\x81\xfe\0\x7d\0\0\0\0", 8) == IM_WS_PROTOCOL,
       "two bytes for a length of 125");
    ok(rc("\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", 14) == IM_WS_PROTOCOL,
       "eight bytes for a length of 65535");
    ok(rc("\x81\xff\x80\0\0\0\0\1\0\0\0\0\0\0", 14) == IM_WS_PROTOCOL,
       "a length of 2^63");
    ok(rc("\x81\xff\0\0\0\0\0\x10\0\1\0\0\0\0", 14) == IM_WS_TOO_BIG,
       "a byte more than a message may have");
    ok(rc("\x81\xff\0\0\0\0\0\x10\0\0\0\0\0\0", 14) == NGX_AGAIN,
       "as much as a message may have");
    ok(rc("\x01\x81\0\0\0\0x\x80\xff\0\0\0\0\0\x10\0\0\0\0\0\0", 21)
       == IM_WS_TOO_BIG,
       "the fragments are counted together");
    ok(rc("\x81\x81\0\0\0\0x\x81\xff\0\0\0\0\0\x10\0\0\0\0\0\0", 21)
       == NGX_AGAIN,
       "two messages are not");
}


static void
test_close(void)
{
    ngx_str_t  s;

    ngx_str_null(&s);
    ok(im_ws_close_status(&s) == IM_WS_NORMAL, "a close without status");

    ngx_str_set(&s, "\x03");
    ok(im_ws_close_status(&s) == IM_WS_PROTOCOL, "half a status");

    ngx_str_set(&s, "\x03\xe9" "bye");
    ok(im_ws_close_status(&s) == 1001, "1001");

    ngx_str_set(&s, "\x0f\xa0");
    ok(im_ws_close_status(&s) == 4000, "4000");

    ngx_str_set(&s, "\x03\xed");
    ok(im_ws_close_status(&s) == IM_WS_PROTOCOL, "1005 is not sent");

    ngx_str_set(&s, "\x03\xee");
    ok(im_ws_close_status(&s) == IM_WS_PROTOCOL, "nor is 1006");

    ngx_str_set(&s, "\x07\xd0");
    ok(im_ws_close_status(&s) == IM_WS_PROTOCOL, "nor is 2000");

    ngx_str_set(&s, "\x13\x88");
    ok(im_ws_close_status(&s) == IM_WS_PROTOCOL, "nor is 5000");

    ngx_str_set(&s, "\x03\xe8\xff");
    ok(im_ws_close_status(&s) == IM_WS_DATA, "a reason that is not UTF-8");
}


static void
test_upgrade(void)
{
    u_char     buf[IM_WS_ACCEPT_LEN];
    ngx_str_t  key;

    ngx_str_set(&key, "dGhlIHNhbXBsZSBub25jZQ==");

    ok(im_ws_key_valid(&key), "the key of RFC 6455");
    ok(im_ws_accept(buf, &key) == buf + IM_WS_ACCEPT_LEN
       && ngx_memcmp(buf, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                     IM_WS_ACCEPT_LEN) == 0,
       "its answer");

    ngx_str_set(&key, "dGhlIHNhbXBsZSBub25jZQ=");
    ok(!im_ws_key_valid(&key), "a key that is too short");

    ngx_str_set(&key, "dGhlIHNhbXBsZSBub25j!Q==");
    ok(!im_ws_key_valid(&key), "a key that is not base64");

    ngx_str_set(&key, "dGhlIHNhbXBsZSBub25jZQAA");
    ok(!im_ws_key_valid(&key), "a key of 18 bytes");
}


/* The frame in all forms, from a text of len bytes. */

/* What a message of several pieces inflates to; answers how it ended. */

static ngx_int_t
inflated(ngx_str_t *payload, u_char *out, size_t *len)
{
    ngx_int_t  rc;
    ngx_str_t  piece;

    *len = 0;

    rc = im_ws_inflate_start(payload);

    while (rc == NGX_OK) {
        rc = im_ws_inflate(&piece);

        if (rc == NGX_OK) {

            if (*len + piece.len > MAX) {
                return NGX_BUSY;
            }

            ngx_memcpy(out + *len, piece.data, piece.len);
            *len += piece.len;
        }
    }

    return rc;
}


static ngx_uint_t
deflated(im_frame_t *f, im_form_e form, ngx_str_t *s)
{
    size_t          n, k;
    ngx_str_t       payload, *plain;
    static u_char   out[MAX];

    plain = im_frame_form(f, form == IM_FORM_DEFLATE_TEXT ? IM_FORM_TEXT
                                                          : IM_FORM_BINARY);

    if (f->text.len < im_frame_deflate_min) {
        return s == plain;
    }

    if (s->data[0] != (form == IM_FORM_DEFLATE_TEXT ? 0xc1 : 0xc2)
        || s->len >= plain->len)
    {
        return 0;
    }

    k = s->data[1] < 126 ? 2 : s->data[1] == 126 ? 4 : 10;

    payload.data = s->data + k;
    payload.len = s->len - k;

    return inflated(&payload, out, &n) == NGX_DONE
           && n == f->text.len
           && ngx_memcmp(out, f->text.data, n) == 0;
}


static void
test_deflate_offers(void)
{
    ngx_int_t   rc;
    ngx_str_t   value;
    ngx_uint_t  i, bits, good;

    static struct {
        const char  *value;
        ngx_int_t    bits;           /* -1: declined */
    } offers[] = {
        { "permessage-deflate", 0 },
        { "permessage-deflate; client_max_window_bits", 0 },
        { "permessage-deflate;client_max_window_bits=10", 0 },
        { " permessage-deflate ; server_no_context_takeover ", 0 },
        { "permessage-deflate; client_no_context_takeover", 0 },
        { "permessage-deflate; server_max_window_bits=8", 8 },
        { "permessage-deflate; server_max_window_bits=\"15\"", 15 },
        { "x-webkit-deflate-frame, permessage-deflate", 0 },
        { "permessage-deflate; server_max_window_bits=7, "
          "permessage-deflate; server_max_window_bits=9", 9 },
        { "permessage-deflate; a=b, permessage-deflate", 0 },
        { "", -1 },
        { ",;=", -1 },
        { "permessage-deflat", -1 },
        { "permessage-deflate;", -1 },
        { "permessage-deflate; server_max_window_bits", -1 },
        { "permessage-deflate; server_max_window_bits=16", -1 },
        { "permessage-deflate; server_max_window_bits=08", -1 },
        { "permessage-deflate; client_max_window_bits=99", -1 },
        { "permessage-deflate; client_max_window_bits=", -1 },
        { "permessage-deflate; server_no_context_takeover=1", -1 },
        { "permessage-deflate; client_no_context_takeover; "
          "client_no_context_takeover", -1 }
    };

    good = 1;

    for (i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
        value.data = (u_char *) offers[i].value;
        value.len = strlen(offers[i].value);

        rc = im_ws_deflate_offer(&value, &bits);

        if (offers[i].bits == -1 ? rc != NGX_DECLINED
            : rc != NGX_OK || (ngx_int_t) bits != offers[i].bits)
        {
            printf("# %s\n", offers[i].value);
            good = 0;
        }
    }

    ok(good, "offers of permessage-deflate");
}


static void
test_inflate(void)
{
    u_char         *p;
    size_t          n, i;
    ngx_str_t       text, payload, part;
    ngx_uint_t      good;
    static u_char   out[MAX], copy[4096], big[2 * MAX];

    /* RFC 7692, 7.2.3 */

    static struct {
        const char  *payload;
        size_t       len;
        const char  *text;           /* NULL: refused */
    } rows[] = {
        { "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, "Hello" },
        { "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, "Hello" },
        { "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, "Hello" },
        { "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13,
          "Hello" },
        { "\x00", 1, "" },
        { "\xf2\x48\xcd\xc9", 4, NULL },
        { "\xff\xff\xff\xff", 4, NULL }
    };

    good = 1;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        payload.data = (u_char *) rows[i].payload;
        payload.len = rows[i].len;

        if (rows[i].text == NULL ? inflated(&payload, out, &n) != NGX_DECLINED
            : inflated(&payload, out, &n) != NGX_DONE
              || n != strlen(rows[i].text)
              || ngx_memcmp(out, rows[i].text, n) != 0)
        {
            printf("# row %d\n", (int) i);
            good = 0;
        }
    }

    ok(good, "inflated messages of RFC 7692, and wrong ones");

    /* whatever a part of a stream comes to, it ends */

    text.data = out;
    text.len = 1000;

    for (i = 0; i < text.len; i++) {
        text.data[i] = (u_char) (i * i >> 3);
    }

    good = im_ws_deflate(&text, &payload) == NGX_OK && payload.len < 4096;
    ngx_memcpy(copy, payload.data, payload.len);

    part.data = copy;

    for (part.len = 1; part.len < payload.len; part.len++) {
        good = good && inflated(&part, big, &n) != NGX_BUSY;
    }

    ok(good, "cut messages");

    ngx_memzero(big, sizeof(big));
    text.data = big;
    text.len = sizeof(big);

    good = im_ws_deflate(&text, &payload) == NGX_OK;
    p = malloc(payload.len);
    ngx_memcpy(p, payload.data, payload.len);
    payload.data = p;

    ok(good && payload.len < 4096 && inflated(&payload, out, &n) == NGX_BUSY,
       "what is long when inflated");

    free(p);
}


static ngx_uint_t
forms(size_t len, ngx_uint_t first)
{
    uLongf       n;
    u_char      *plain, head[16], *p;
    ngx_str_t   *s, *bin;
    im_frame_t  *f;
    ngx_uint_t   i, form, good;

    f = im_frame_alloc(len, &logger);

    for (i = 0; i < len; i++) {
        f->text.data[i] = (u_char) ('a' + i % 26);
    }

    f->text.len = len;
    f->seq = 77;

    good = 1;

    for (i = 0; i < 2 * IM_FORM_MAX; i++) {
        form = (first + i) % IM_FORM_MAX;

        s = im_frame_form(f, form);

        p = head;

        switch (form) {

        case IM_FORM_TEXT:
            p = im_ws_head(p, IM_WS_TEXT, len);
            break;

        case IM_FORM_LENGTH:
            *p++ = 0;
            *p++ = (u_char) (len >> 16);
            *p++ = (u_char) (len >> 8);
            *p++ = (u_char) len;
            break;

        case IM_FORM_SSE:
            p = ngx_cpymem(p, "id: 77\ndata: ", 13);

            good = good && ngx_memcmp(s->data + s->len - 2, "\n\n", 2) == 0
                   && s->len == 13 + len + 2;
            break;

        case IM_FORM_COMP:
            bin = im_frame_form(f, IM_FORM_BINARY);

            if (len < 1024) {
                good = good && bin == s;
                continue;
            }

            plain = malloc(len);
            n = len;

            p = im_ws_head(head, IM_WS_BINARY, s->len - 4);
            p = im_ws_head(head, IM_WS_BINARY, s->len - (p - head));

            good = good && ngx_memcmp(head, s->data, p - head) == 0
                   && ngx_memcmp(s->data + (p - head), "COMP", 4) == 0
                   && uncompress(plain, &n, s->data + (p - head) + 4,
                                 s->len - (p - head) - 4)
                      == Z_OK
                   && n == len
                   && ngx_memcmp(plain, f->text.data, len) == 0;

            free(plain);
            continue;

        case IM_FORM_DEFLATE_TEXT:
        case IM_FORM_DEFLATE_BINARY:
            good = good && deflated(f, form, s);
            continue;

        default:
            p = im_ws_head(p, IM_WS_BINARY, len);
        }

        good = good && ngx_memcmp(s->data, head, p - head) == 0
               && ngx_memcmp(s->data + (p - head), f->text.data, len) == 0
               && s->len >= (p - head) + len;
    }

    im_frame_unref(f);

    return good;
}


static void
test_frames(void)
{
    ngx_uint_t   first, n, good;
    im_frame_t  *f;

    static size_t  lens[] = { 0, 1, 125, 126, 1023, 1024, 65535, 65536,
                              300000 };

    for (good = 1, n = 0; n < sizeof(lens) / sizeof(size_t); n++) {
        for (first = 0; first < IM_FORM_MAX; first++) {
            if (!forms(lens[n], first)) {
                printf("# length %d, first %d\n", (int) lens[n],
                       (int) first);
                good = 0;
            }
        }
    }

    ok(good, "frames in all forms, whichever is the first");

    f = im_frame_raw((u_char *) "abc", 3, &logger);
    im_frame_ref(f);
    im_frame_unref(f);

    ok(im_frame_form(f, IM_FORM_COMP)->len == 3
       && ngx_memcmp(im_frame_form(f, IM_FORM_TEXT)->data, "abc", 3) == 0,
       "a raw frame");

    im_frame_unref(f);
}


/* Noise, and good streams with a byte changed: nothing but the sanitizers
 * and the bounds of what comes out are asked. */

static void
test_fuzz(void)
{
    size_t      i, n, len, sum;
    u_char     *p, *last, buf[512], data[512];
    im_ws_t     ws;
    ngx_int_t   rc;
    ngx_str_t   piece;
    ngx_uint_t  good;

    srandom(1);

    good = 1;

    for (n = 0; n < 200000; n++) {
        len = 1 + random() % 300;

        if (n & 1) {
            p = frame(data, 0x01, "abcdefgh", random() % 9, random());
            p = frame(p, 0x89, "abcdefgh", random() % 9, random());
            p = frame(p, 0x80, (char *) buf, random() % 300, random());
            len = p - data;
            data[random() % len] = (u_char) random();

        } else {
            for (i = 0; i < len; i++) {
                data[i] = (u_char) random();
            }

            data[1] |= 0x80;
        }

        im_ws_init(&ws, 256);

        for (p = data, sum = 0; p < data + len; /* void */) {

            last = p + ngx_min(1 + (size_t) random() % 40,
                               (size_t) (data + len - p));

            do {
                rc = im_ws_parse(&ws, &p, last, &piece);

                if (rc == NGX_OK && !(ws.opcode & IM_WS_CLOSE)) {
                    sum = sum + piece.len;
                    good = good && sum <= 256;
                    sum = ws.done ? 0 : sum;
                }

            } while (rc == NGX_OK);

            if (rc != NGX_AGAIN) {
                good = good
                       && (rc == IM_WS_PROTOCOL || rc == IM_WS_TOO_BIG);
                break;
            }

            good = good && p == last;
        }
    }

    ok(good, "200000 streams of noise");
}


int
main(void)
{
    nginx_init(NGX_LOG_STDERR, NULL);

    test_messages();
    test_errors();
    test_close();
    test_upgrade();
    test_deflate_offers();
    test_inflate();
    test_frames();
    test_fuzz();

    return done();
}
