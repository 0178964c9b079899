
/*
 * Copyright (C) The ngx_im authors
 */


#include "ok.h"
#include "core/im_str.h"


static ngx_pool_t  *pool;


static ngx_str_t
str(const char *text)
{
    ngx_str_t  s;

    s.len = strlen(text);
    s.data = (u_char *) text;

    return s;
}


static ngx_uint_t
utf8(const char *text)
{
    return im_str_utf8((u_char *) text, strlen(text));
}


/* All of 21 bits through a plain encoder, with a tail of ASCII. */

static ngx_uint_t
utf8_all(void)
{
    size_t    n;
    u_char    buf[16];
    uint32_t  c;

    for (c = 0; c < 0x1fffff; c++) {

        if (c < 0x80) {
            buf[0] = c;
            n = 1;

        } else if (c < 0x800) {
            buf[0] = 0xc0 | (c >> 6);
            buf[1] = 0x80 | (c & 0x3f);
            n = 2;

        } else if (c < 0x10000) {
            buf[0] = 0xe0 | (c >> 12);
            buf[1] = 0x80 | ((c >> 6) & 0x3f);
            buf[2] = 0x80 | (c & 0x3f);
            n = 3;

        } else {
            buf[0] = 0xf0 | (c >> 18);
            buf[1] = 0x80 | ((c >> 12) & 0x3f);
            buf[2] = 0x80 | ((c >> 6) & 0x3f);
            buf[3] = 0x80 | (c & 0x3f);
            n = 4;
        }

        ngx_memcpy(buf + n, "abcdefgh", 8);

        if (im_str_utf8(buf, n + c % 9)
            != (c <= 0x10ffff && (c < 0xd800 || c > 0xdfff)))
        {
            return 0;
        }

        if (n > 1 && (im_str_utf8(buf, n - 1) || im_str_utf8(buf + 1, n - 1)))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
dec(const char *text, int64_t *v)
{
    ngx_str_t  s;

    s = str(text);

    return im_str_int(&s, v);
}


static ngx_int_t
udec(const char *text, uint64_t *v)
{
    ngx_str_t  s;

    s = str(text);

    return im_str_uint64(&s, v);
}


static ngx_int_t
unhex(const char *text, ngx_str_t *dst)
{
    ngx_str_t  s;

    s = str(text);

    return im_str_unhex(pool, dst, &s);
}


/* Numbers of all lengths, where there is room for no byte more. */

static ngx_uint_t
put_int(void)
{
    char        *p, text[32];
    size_t       len;
    int64_t      v;
    uint64_t     n;
    ngx_int_t    i;
    ngx_uint_t   k, right;

    right = 1;

    for (k = 0, n = 1; k < 20; k++, n *= 10) {

        for (i = -102; i <= 102; i++) {
            v = (int64_t) (n + i);
            v = (i & 1) ? v : (int64_t) (0 - (uint64_t) v);

            len = snprintf(text, sizeof(text), "%lld", (long long) v);
            p = malloc(len);

            if (im_str_put_int((u_char *) p, v) != (u_char *) p + len
                || memcmp(p, text, len) != 0)
            {
                right = 0;
            }

            free(p);
        }
    }

    return right;
}


int
main(void)
{
    char       *c;
    u_char      buf[32];
    size_t      i;
    int64_t     v;
    uint64_t    u;
    ngx_str_t   a, b, none;

    static char  *bad_utf8[] = {
        "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x80\x80",
        "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
        "abcdefgh\xc3", "\xe4\xb8", "\xf0\x9f\x98", "\xc3(",
        "\xe4\xb8(", "\xf0\x9f\x98(", "abcdefg\xfe" "abcdefgh"
    };

    static char  *bad_int[] = {
        "", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "--1", "a", "1-",
        "9223372036854775808", "-9223372036854775809",
        "18446744073709551616", "99999999999999999999999999"
    };

    nginx_init(NGX_LOG_STDERR, NULL);

    pool = ngx_create_pool(4096, &logger);
    ngx_str_null(&none);

    a = str("alice");
    b = str("alicf");
    ok(im_str_eq(&a, &a) && !im_str_eq(&a, &b), "equal and not");
    ok(im_str_eq(&none, &none) && !im_str_eq(&none, &a), "empty strings");
    ok(im_str_eq_c(&a, "alice") && !im_str_eq_c(&a, "alic")
       && !im_str_eq_c(&a, "Alice") && im_str_eq_c(&none, ""),
       "compared with literals");

    ok(im_str_dup(pool, &b, &a) == NGX_OK && im_str_eq(&a, &b)
       && a.data != b.data, "copied");
    ok(im_str_dup(pool, &b, &none) == NGX_OK && b.data == NULL,
       "an absent string stays absent");
    a = str("");
    ok(im_str_dup(pool, &b, &a) == NGX_OK && b.data != NULL && b.len == 0,
       "an empty string stays present");

    a.data = (u_char *) "bobby";
    a.len = 3;
    c = im_str_c(pool, &a);
    ok(c && strcmp(c, "bob") == 0, "terminated");
    c = im_str_c(pool, &none);
    ok(c && *c == '\0', "terminated, nothing");

    ok(utf8_all(), "every code point and its parts");

    for (i = 0; i < sizeof(bad_utf8) / sizeof(bad_utf8[0]); i++) {
        if (utf8(bad_utf8[i])) {
            break;
        }
    }

    ok(i == sizeof(bad_utf8) / sizeof(bad_utf8[0]), "bad UTF-8");
    ok(im_str_utf8((u_char *) "", 0), "empty UTF-8");
    ok(im_str_utf8((u_char *) "a\0b", 3), "zero bytes in UTF-8");

    a = str(" ~az");
    ok(im_str_printable(&a) && im_str_printable(&none), "printable");
    a = str("a\x7f");
    ok(!im_str_printable(&a), "DEL is not printable");
    a = str("\x1f");
    ok(!im_str_printable(&a), "control is not printable");
    a = str("\xc3\xa9");
    ok(!im_str_printable(&a), "UTF-8 is not printable");

    ok(dec("0", &v) == NGX_OK && v == 0, "0");
    ok(dec("-0", &v) == NGX_OK && v == 0, "-0");
    ok(dec("007", &v) == NGX_OK && v == 7, "007");
    ok(dec("9223372036854775807", &v) == NGX_OK && v == INT64_MAX,
       "largest integer");
    ok(dec("-9223372036854775808", &v) == NGX_OK && v == INT64_MIN,
       "smallest integer");
    ok(put_int(), "integers are written");
    ok(im_str_put_int(buf, INT64_MIN) == buf + 20
       && memcmp(buf, "-9223372036854775808", 20) == 0
       && im_str_put_int(buf, INT64_MAX) == buf + 19
       && memcmp(buf, "9223372036854775807", 19) == 0,
       "the smallest and the largest, too");
    ok(udec("18446744073709551615", &u) == NGX_OK && u == UINT64_MAX,
       "largest unsigned integer");
    ok(udec("18446744073709551616", &u) == NGX_DECLINED
       && udec("-1", &u) == NGX_DECLINED && udec("", &u) == NGX_DECLINED,
       "not unsigned integers");

    v = 5;

    for (i = 0; i < sizeof(bad_int) / sizeof(bad_int[0]); i++) {
        if (dec(bad_int[i], &v) != NGX_DECLINED) {
            break;
        }
    }

    ok(i == sizeof(bad_int) / sizeof(bad_int[0]), "not integers");
    ok(v == 5, "value is left alone");

    a.data = (u_char *) "\x00\xff\x1a";
    a.len = 3;
    ok(im_str_hex(pool, &b, &a) == NGX_OK && im_str_eq_c(&b, "00ff1a"),
       "hex");
    ok(unhex("00Ff1A", &b) == NGX_OK && im_str_eq(&a, &b), "from hex");
    ok(unhex("", &b) == NGX_OK && b.len == 0, "from no hex");
    ok(unhex("0", &b) == NGX_DECLINED && unhex("0g", &b) == NGX_DECLINED
       && unhex("-1", &b) == NGX_DECLINED, "not hex");

    ngx_destroy_pool(pool);

    return done();
}
