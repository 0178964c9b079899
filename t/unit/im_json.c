
/*
 * Copyright (C) The ngx_im authors
 */


#include "ok.h"
#include "core/im_json.h"
#include "core/im_str.h"


static ngx_pool_t  *pool;
static uint64_t     seed;


static char  *good[] = {
    "null", "true", "false", "0", "-0", "1.50", "1e3", "-1.5E-10", "\"\"",
    "[]", "{}", "[[],{}]", "{\"a\":{\"b\":[1,2,{\"c\":null}]}}", "[1,2,3]",
    "{\"To_Account\":[\"a\",\"b\"],\"MsgBody\":[{\"MsgType\":\"T\"}]}",
    "\"\\u0001\\b\\t\\n\\f\\r\\u001f\\\"\\\\/\"", "[true,false,null]",
    "\"12345678\\\"\"", "\"1234567\\\\\"", "\"1234567890123456\"",
    "\"\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80 \x7f\"",
    "{\"\":1,\"\xc3\xa9\\n\":2}", "18446744073709551615", "1e999999"
};

static char  *bad[] = {
    "", " ", "{", "[", "\"", "\"abc", "nul", "tru", "nullx", "{]", "[}",
    "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",
    "{'a':1}", "{1:2}", "{\"a\":1 \"b\":2}", "{\"a\" 1}", "01", "-", "+1",
    "1.", ".5", "1e", "1e+", "0x10", "NaN", "Infinity", "[1]]", "{}{}",
    "1 2", "null,", "[] x", "/* */ 1", "1 // x", "\"\\x\"", "\"\\u12\"",
    "\"\\u12g4\"", "\"a\nb\"", "\"\x01\"", "\"a\tb\"", "\xef\xbb\xbf{}",
    "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xff\"",
    "\"\xe4\xbd\"", "{\"\xc3\":1}", "{\"a\\u0000b\":1}", "{\"\\u0000\":1}",
    "]", "}", ":", ",", "[\"a\":1]", "{\"a\":1]", "--1", "\"\\\"",
    "1\"", "\"a\"\"b", "null\"", "\v1", "\f{}", "1\v"
};


#if (defined __GLIBC__ && !defined __SANITIZE_ADDRESS__)

#define HAVE_FAULT  1

extern void *__libc_malloc(size_t size);
extern void *__libc_memalign(size_t align, size_t size);

static ngx_int_t  fault = -1;        /* allocations that still succeed */


static ngx_uint_t
fault_now(void)
{
    if (fault < 0) {
        return 0;
    }

    if (fault == 0) {
        return 1;
    }

    fault--;

    return 0;
}


void *
malloc(size_t size)
{
    return fault_now() ? NULL : __libc_malloc(size);
}


int
posix_memalign(void **p, size_t align, size_t size)
{
    if (fault_now()) {
        return ENOMEM;
    }

    *p = __libc_memalign(align, size);

    return *p ? 0 : ENOMEM;
}

#endif


static uint64_t
rnd(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return seed % n;
}


/* Parses a copy that ends where the heap block ends, and drops it. */

static ngx_int_t
parse_n(ngx_pool_t *p, const void *text, size_t len, ngx_uint_t depth,
    im_json_t **root)
{
    ngx_int_t  rc;
    ngx_str_t  s;

    s.len = len;
    s.data = malloc(len ? len : 1);

    ngx_memcpy(s.data, text, len);

    rc = im_json_parse(p, &s, depth, root);

    ngx_memset(s.data, 0x5a, len);
    free(s.data);

    return rc;
}


static im_json_t *
parse(const char *text)
{
    im_json_t  *root;

    if (parse_n(pool, text, strlen(text), IM_JSON_DEPTH, &root) != NGX_OK) {
        return NULL;
    }

    return root;
}


static ngx_uint_t
renders(im_json_t *node, const char *text)
{
    ngx_str_t  out;

    if (im_json_render(pool, node, &out) != NGX_OK
        || out.len != im_json_len(node)
        || out.len != strlen(text)
        || ngx_memcmp(out.data, text, out.len) != 0)
    {
        return 0;
    }

    return 1;
}


static ngx_uint_t
same(im_json_t *a, im_json_t *b)
{
    im_json_t  *x, *y;

    if (a->type != b->type) {
        return 0;
    }

    switch (a->type) {

    case IM_JSON_NULL:
        return 1;

    case IM_JSON_BOOL:
        return a->u.flag == b->u.flag;

    case IM_JSON_NUM:
        return a->is_int && b->is_int && a->num == b->num;

    case IM_JSON_STR:
        return im_str_eq(&a->u.text, &b->u.text);

    default:
        break;
    }

    if (a->n != b->n) {
        return 0;
    }

    y = im_json_first(b);

    im_json_each(x, a) {
        if (y == NULL || !im_str_eq(&x->key, &y->key) || !same(x, y)) {
            return 0;
        }

        y = y->next;
    }

    return y == NULL;
}


static void
test_types(void)
{
    int64_t      i;
    uint64_t     u;
    ngx_str_t    s;
    ngx_uint_t   b;
    im_json_t   *o, *n, *item;

    o = parse(" { \"s\" : \"x\\u0000\\u00e9\\/\" , \"i\" : -42, \"f\": 1.50,"
              "\"e\":1e3,\"t\":true,\"F\":false,\"z\":null,\"l\":[1,2,3],"
              "\"o\":{\"k\":\"v\"},\"\":5,\"d\":1,\"d\":2}\r\n\t ");

    ok(o && o->type == IM_JSON_OBJ && o->n == 12, "object");
    ok(im_json_get_str(o, "s", &s) == NGX_OK
       && im_str_eq_c(&s, "x\0\xc3\xa9/"), "string, zero byte in it");
    ok(im_json_get_int(o, "i", &i) == NGX_OK && i == -42, "integer");
    ok(im_json_get_bool(o, "t", &b) == NGX_OK && b == 1, "true");
    ok(im_json_get_bool(o, "F", &b) == NGX_OK && b == 0, "false");
    ok(im_json_get_obj(o, "o", &n) == NGX_OK
       && im_json_get_str(n, "k", &s) == NGX_OK && im_str_eq_c(&s, "v"),
       "nested object");
    ok(im_json_get_int(o, "", &i) == NGX_OK && i == 5, "empty name");

    ok(im_json_get_list(o, "l", &n) == NGX_OK && n->n == 3, "list");

    i = 0;

    im_json_each(item, n) {
        i = i * 10 + item->num;
    }

    ok(i == 123, "items in their order");

    i = 7;
    ok(im_json_get_int(o, "f", &i) == NGX_ERROR
       && im_json_get_int(o, "e", &i) == NGX_ERROR
       && im_json_get_int(o, "s", &i) == NGX_ERROR && i == 7,
       "not integers");
    ok(im_json_get_int(o, "z", &i) == NGX_DECLINED
       && im_json_get_int(o, "none", &i) == NGX_DECLINED && i == 7,
       "null and absent");
    ok(im_json_get_str(o, "i", &s) == NGX_ERROR
       && im_json_get_list(o, "o", &n) == NGX_ERROR
       && im_json_get_obj(o, "l", &n) == NGX_ERROR
       && im_json_get_bool(o, "i", &b) == NGX_ERROR, "other types");
    ok(im_json_get(o, "z")->type == IM_JSON_NULL
       && im_json_get(o, "Z") == NULL, "null is there, names have a case");
    ok(im_json_get_int(o, "d", &i) == NGX_OK && i == 2, "last one wins");
    ok(im_json_has_dup(o, "d") && !im_json_has_dup(o, "s")
       && !im_json_has_dup(o, "none"), "duplicates are told");
    ok(im_json_get(NULL, "a") == NULL && im_json_get(n, "a") == NULL
       && im_json_first(NULL) == NULL && im_json_first(im_json_get(o, "s"))
       == NULL && !im_json_has_dup(NULL, "a"), "reading what is no object");

    n = parse("9223372036854775807");
    ok(n && n->is_int && n->num == INT64_MAX, "largest integer");
    n = parse("-9223372036854775808");
    ok(n && n->is_int && n->num == INT64_MIN, "smallest integer");
    ok(im_json_uint64(n, &u) == NGX_DECLINED, "is not unsigned");
    n = parse("9223372036854775808");
    ok(n && !n->is_int && im_json_uint64(n, &u) == NGX_OK
       && u == 9223372036854775808ULL, "one more is unsigned");
    n = parse("18446744073709551615");
    ok(n && !n->is_int && im_json_uint64(n, &u) == NGX_OK
       && u == UINT64_MAX && renders(n, "18446744073709551615"),
       "largest unsigned integer");
    n = parse("18446744073709551616");
    ok(n && !n->is_int && im_json_uint64(n, &u) == NGX_DECLINED
       && renders(n, "18446744073709551616"), "one more is only digits");
    n = parse("[5,5.0,\"5\"]");
    item = im_json_first(n);
    ok(im_json_uint64(item, &u) == NGX_OK && u == 5
       && im_json_uint64(item->next, &u) == NGX_DECLINED
       && im_json_uint64(item->next->next, &u) == NGX_DECLINED
       && im_json_uint64(NULL, &u) == NGX_DECLINED, "unsigned or not");
}


static void
test_texts(void)
{
    size_t       i;
    im_json_t   *root;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        root = parse(good[i]);

        if (root == NULL || !renders(root, good[i])) {
            printf("# %s\n", good[i]);
            break;
        }
    }

    ok(i == sizeof(good) / sizeof(good[0]), "good texts come back the same");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse_n(pool, bad[i], strlen(bad[i]), IM_JSON_DEPTH, &root)
            != NGX_DECLINED || root != NULL)
        {
            printf("# %s\n", bad[i]);
            break;
        }
    }

    ok(i == sizeof(bad) / sizeof(bad[0]), "bad texts are declined");

    ok(parse_n(pool, "[1]\0", 4, 32, &root) == NGX_DECLINED
       && parse_n(pool, "\0[1]", 4, 32, &root) == NGX_DECLINED
       && parse_n(pool, "[1\0]", 4, 32, &root) == NGX_DECLINED
       && parse_n(pool, "\"a\0b\"", 5, 32, &root) == NGX_DECLINED,
       "zero bytes in the text");

    ok(renders(parse("\"\\ud83d\\ude00\""), "\"\xf0\x9f\x98\x80\""),
       "surrogate pair");
    ok(renders(parse("[\"a\\ud83db\",\"a\\ude00b\",\"\\ud83d\","
                     "\"\\udfff\\udbff\"]"),
               "[\"a?b\",\"a?b\",\"?\",\"??\"]"), "halves of pairs");
    ok(renders(parse("{\"\\ude00\":1}"), "{\"?\":1}"),
       "half of a pair in a name");
    ok(renders(parse("\"\\u0000\""), "\"\\u0000\""), "zero byte comes back");
}


static void
test_limits(void)
{
    size_t       i, n;
    u_char      *p, *last;
    ngx_int_t    rc;
    ngx_str_t    s;
    ngx_uint_t   right;
    im_json_t   *root;

    n = 1024 * 1024;
    p = malloc(n);

    ngx_memset(p, '[', 32);
    ngx_memset(p + 32, ']', 32);
    ok(parse_n(pool, p, 64, 32, &root) == NGX_OK, "depth 32");

    ngx_memset(p, '[', 33);
    ngx_memset(p + 33, ']', 33);
    ok(parse_n(pool, p, 66, 32, &root) == NGX_DECLINED, "depth 33");
    ok(parse_n(pool, "1", 1, 0, &root) == NGX_OK
       && parse_n(pool, "[]", 2, 0, &root) == NGX_DECLINED, "depth 0");

    last = p;

    for (i = 0; i < 33; i++) {
        last = ngx_cpymem(last, "{\"a\":", 5);
    }

    *last++ = '1';
    ngx_memset(last, '}', 33);
    ok(parse_n(pool, p, last + 33 - p, 32, &root) == NGX_DECLINED
       && parse_n(pool, p, last + 33 - p, 33, &root) == NGX_OK,
       "depth of objects");

    ngx_memset(p, '[', n);
    ok(parse_n(pool, p, n, 32, &root) == NGX_DECLINED
       && parse_n(pool, p, n, 1000000, &root) == NGX_DECLINED,
       "bomb of brackets");

    for (i = 0; i + 5 <= n; i += 5) {
        ngx_memcpy(p + i, "{\"a\":", 5);
    }

    ok(parse_n(pool, p, i, 32, &root) == NGX_DECLINED, "bomb of objects");

    p[0] = '[';

    for (i = 1; i < 2 * 65535; i += 2) {
        p[i] = '0';
        p[i + 1] = ',';
    }

    p[i - 1] = ']';
    rc = parse_n(pool, p, i, 32, &root);
    ok(rc == NGX_OK && root->n == 65535, "65536 values");

    p[i - 1] = ',';
    p[i] = '0';
    p[i + 1] = ']';
    ok(parse_n(pool, p, i + 2, 32, &root) == NGX_DECLINED, "65537 values");

    ngx_memset(p, 'x', n);
    p[0] = '"';
    p[n - 1] = '"';
    rc = parse_n(pool, p, n, 32, &root);
    ok(rc == NGX_OK && root->u.text.len == n - 2
       && im_json_render(pool, root, &s) == NGX_OK && s.len == n
       && ngx_memcmp(s.data, p, n) == 0, "string of 1 MiB");

    ok(parse_n(pool, p, n - 1, 32, &root) == NGX_DECLINED,
       "string of 1 MiB without end");

    for (i = 1; i + 2 < n; i += 2) {
        p[i] = '\\';
        p[i + 1] = (i % 3) ? 'n' : '"';
    }

    p[i++] = '"';
    rc = parse_n(pool, p, i, 32, &root);
    ok(rc == NGX_OK && root->u.text.len == (i - 2) / 2
       && im_json_render(pool, root, &s) == NGX_OK && s.len == i
       && ngx_memcmp(s.data, p, i) == 0, "1 MiB of escapes");

    ngx_memset(p, '7', n);
    rc = parse_n(pool, p, n, 32, &root);
    ok(rc == NGX_OK && !root->is_int && root->u.text.len == n,
       "number of 1 MiB");

    ngx_memset(p, ' ', n);
    ok(parse_n(pool, p, n, 32, &root) == NGX_DECLINED, "1 MiB of blanks");

    free(p);

    /* every prefix of a document is refused */

    s.data = (u_char *) good[14];
    s.len = strlen(good[14]);
    right = 1;

    for (i = 0; i < s.len; i++) {
        if (parse_n(pool, s.data, i, 32, &root) != NGX_DECLINED) {
            right = 0;
        }
    }

    ok(right, "truncated at any byte");
}


static void
test_build(void)
{
    ngx_str_t    s, none;
    im_json_t   *o, *l, *in;

    ngx_str_set(&s, "a\"\\\n\x01z");
    ngx_str_null(&none);

    o = im_json_new_obj(pool);
    im_json_add_str(o, "s", &s);
    im_json_add_str(o, "none", &none);
    im_json_add_cstr(o, "c", "text");
    im_json_add_int(o, "zero", 0);
    im_json_add_int(o, "max", INT64_MAX);
    im_json_add_int(o, "min", INT64_MIN);
    im_json_add_bool(o, "t", 4);
    im_json_add_bool(o, "f", 0);
    im_json_add_null(o, "n");
    ngx_str_set(&s, "[1, 2]");
    im_json_add_raw(o, "raw", &s);
    im_json_add_raw(o, "noraw", &none);
    im_json_add_obj(o, "o");
    in = im_json_add_obj(o, "in\"");
    im_json_add_int(in, "x", 1);
    l = im_json_add_list(o, "l");
    im_json_add_list(o, "e");
    im_json_add_cstr(o, "last", "");

    ngx_str_set(&s, "str");
    im_json_push_str(l, &s);
    im_json_push_cstr(l, "c");
    im_json_push_int(l, -5);
    im_json_push_bool(l, 1);
    im_json_push_null(l);
    im_json_add_int(im_json_push_obj(l), "k", 1);
    im_json_push_int(im_json_push_list(l), 2);
    im_json_push_raw(l, &s);

    ok(renders(o, "{\"s\":\"a\\\"\\\\\\n\\u0001z\",\"none\":\"\","
                  "\"c\":\"text\",\"zero\":0,\"max\":9223372036854775807,"
                  "\"min\":-9223372036854775808,\"t\":true,\"f\":false,"
                  "\"n\":null,\"raw\":[1, 2],\"noraw\":null,\"o\":{},"
                  "\"in\\\"\":{\"x\":1},\"l\":[\"str\",\"c\",-5,true,null,"
                  "{\"k\":1},[2],str],\"e\":[],\"last\":\"\"}"),
       "everything is built");
    ok(o->n == 16 && l->n == 8 && !im_json_failed(o), "counts of children");

    in = parse("{\"a\":[1,2.0],\"b\":\"x\"}");
    o = im_json_new_obj(pool);
    l = im_json_add_node(o, "all", in);
    im_json_add_node(o, "a", im_json_get(in, "a"));
    im_json_add_node(o, "b2", im_json_get(in, "b"));
    im_json_push_node(im_json_add_list(o, "l"), in);
    ok(renders(o, "{\"all\":{\"a\":[1,2.0],\"b\":\"x\"},\"a\":[1,2.0],"
                  "\"b2\":\"x\",\"l\":[{\"a\":[1,2.0],\"b\":\"x\"}]}"),
       "nodes of another tree");
    ok(renders(in, "{\"a\":[1,2.0],\"b\":\"x\"}"), "which is untouched");

    im_json_add_int(in, "c", 3);
    ok(renders(in, "{\"a\":[1,2.0],\"b\":\"x\",\"c\":3}"),
       "added to what was parsed");

    ok(im_json_add_int(l, "more", 1) == NULL && im_json_failed(o)
       && im_json_render(pool, o, &s) == NGX_ERROR,
       "nothing is added to an attached node");

    ok(im_json_add_int(NULL, "a", 1) == NULL
       && im_json_add_node(NULL, "a", in) == NULL
       && im_json_push_obj(NULL) == NULL && im_json_failed(NULL)
       && im_json_render(pool, NULL, &s) == NGX_ERROR, "NULL is accepted");

    o = im_json_new_obj(pool);
    l = im_json_add_list(im_json_add_obj(o, "x"), "l");
    ok(im_json_push_node(l, NULL) == NULL && im_json_failed(o)
       && im_json_add_int(o, "y", 1) == NULL
       && im_json_render(pool, o, &s) == NGX_ERROR,
       "a failure deep inside is remembered by all");

    in = im_json_new_list(pool);
    im_json_push_node(in, l);
    ok(im_json_failed(in), "and by trees that it is attached to");

    o = im_json_new_obj(pool);
    l = im_json_new_list(pool);
    ok(im_json_push_int(o, 1) == NULL && im_json_failed(o)
       && im_json_add_int(l, "a", 1) == NULL && im_json_failed(l),
       "members go to objects, items to lists");
}


static void
test_escape(void)
{
    u_char       buf[512];
    size_t       i, n, k;
    ngx_str_t    s, out;
    ngx_uint_t   right;
    im_json_t   *list, *root;

    right = 1;

    for (k = 0; k < 20000; k++) {
        n = rnd(40);
        s.data = buf + rnd(8);
        s.len = n;

        for (i = 0; i < n; i++) {
            s.data[i] = rnd(4) ? 'a' : (u_char) rnd(128);
        }

        list = im_json_new_list(pool);
        im_json_push_str(list, &s);

        if (im_json_render(pool, list, &out) != NGX_OK
            || parse_n(pool, out.data, out.len, 1, &root) != NGX_OK
            || !im_str_eq(&im_json_first(root)->u.text, &s))
        {
            right = 0;
        }

        if (k % 1000 == 0) {
            ngx_reset_pool(pool);
        }
    }

    ok(right, "escapes are what they were");
}


/* What escapes are, byte by byte. */

static u_char *
escape(u_char *p, u_char *src, size_t len)
{
    u_char  *name, *last;

    static char  names[] = "\"\\\bb\tt\nn\ff\rr";

    for (last = src + len; src < last; src++) {

        name = (*src == '"') ? (u_char *) names
                             : memchr(names + 1, *src, sizeof(names) - 2);

        if (*src >= ' ' && *src != '"' && *src != '\\') {
            *p++ = *src;

        } else if (name == NULL) {
            p += sprintf((char *) p, "\\u%04x", *src);

        } else {
            *p++ = '\\';
            *p++ = (*src == '"' || *src == '\\') ? *src : name[1];
        }
    }

    return p;
}


/*
 * A name and a value that end where a heap block ends: whether they are
 * written right and, if they can be parsed, parsed right.
 */

static ngx_uint_t
written(u_char *src, size_t len, ngx_uint_t utf8)
{
    u_char       buf[1024], *p;
    ngx_str_t    s, out, text;
    ngx_uint_t   right;
    im_json_t   *obj, *root;
    ngx_pool_t  *tmp;

    p = ngx_cpymem(buf, "{\"", 2);
    p = escape(p, src, len);
    p = ngx_cpymem(p, "\":\"", 3);
    p = escape(p, src, len);
    p = ngx_cpymem(p, "\"}", 2);

    text.data = buf;
    text.len = p - buf;

    s.len = len;
    s.data = malloc(len ? len : 1);
    ngx_memcpy(s.data, src, len);

    tmp = ngx_create_pool(1024, &logger);

    obj = im_json_new_obj(tmp);
    im_json_put_str(obj, (char *) s.data, len, &s);

    right = im_json_render(tmp, obj, &out) == NGX_OK
            && im_str_eq(&out, &text);

    if (utf8 && right) {
        right = parse_n(tmp, out.data, out.len, 1, &root) == NGX_OK
                && im_str_eq(&im_json_first(root)->key, &s)
                && im_str_eq(&im_json_first(root)->u.text, &s);
    }

    ngx_destroy_pool(tmp);
    free(s.data);

    return right;
}


static void
test_words(void)
{
    u_char       src[64];
    size_t       n, len, at;
    ngx_uint_t   i, k, right;

    static char  *fills[] = { "a", "\xff", " " };

    static char  *marks[] = {
        "\"", "\\", "\n", "\x01", "\x1f", "!", "#", "\x7f", "[", "]",
        "\"\"", "\\\\", "\"#", "\\]", "\x1f!", "\b\f", "\t\r", "\xc3\xa9",
        "\x80", "\x9f", "\xa2", "\xdc", "\x01\x80", "\"\xa2", "\\\xdc"
    };

    right = 1;

    for (len = 0; len <= 40; len++) {
        for (k = 0; k < 3; k++) {
            ngx_memset(src, fills[k][0], len);
            right &= written(src, len, k != 1);
        }

        for (i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
            n = strlen(marks[i]);

            for (at = 0; at <= 16 && at + n <= len; at++) {
                for (k = 0; k < 3; k++) {
                    ngx_memset(src, fills[k][0], len);
                    ngx_memcpy(src + at, marks[i], n);

                    right &= written(src, len, k != 1 && i < 18);

                    src[len - 1] = '"';
                    right &= written(src, len, k != 1 && i < 17);
                }
            }
        }
    }

    ok(right, "bytes to escape anywhere in words of eight");
}


/* The buffer of the renderer ends anywhere in what is written. */

static void
test_room(void)
{
    char        *text;
    size_t       n, len;
    ngx_str_t    s, raw, all, out;
    ngx_uint_t   i, right;
    im_json_t   *list, *in;
    ngx_pool_t  *tmp;

    static char  rest[] = ",-9223372036854775808,-9223372036854775808,"
                          "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                          "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],"
                          "{\"k\":-9223372036854775808,\"\\u0001\":false,"
                          "\"r\":1.5},\"\\u0001\\u0002\",{},null,\"abc\"]";

    right = 1;
    len = 70000;
    text = malloc(len + sizeof(rest));

    for (n = 3600; n < 4200; n++) {
        tmp = ngx_create_pool(4096, &logger);

        ngx_memset(text, 'x', len);
        s.data = (u_char *) text;
        s.len = len;

        list = im_json_new_list(tmp);
        im_json_push_str(list, &s);
        right &= (im_json_len(list) == len + 4);     /* a new one comes next */

        s.len = n;

        list = im_json_new_list(tmp);
        im_json_push_str(list, &s);
        im_json_push_int(list, INT64_MIN);
        im_json_push_int(list, INT64_MIN);

        in = list;

        for (i = 0; i < 40; i++) {
            in = im_json_push_list(in);
        }

        in = im_json_push_obj(list);
        im_json_add_int(in, "k", INT64_MIN);
        im_json_add_bool(in, "\x01", 0);
        ngx_str_set(&raw, "1.5");
        im_json_add_raw(in, "r", &raw);
        im_json_push_cstr(list, "\x01\x02");
        im_json_push_obj(list);
        im_json_push_null(list);
        im_json_push_cstr(list, "abc");

        right &= (im_json_text(list, &out) == NGX_OK);

        all.data = malloc(n + 3 + sizeof(rest));
        all.len = ngx_sprintf(all.data, "[\"%*s\"%s", n, text, rest)
                  - all.data;

        right &= im_str_eq(&all, &out);

        free(all.data);
        ngx_destroy_pool(tmp);
    }

    free(text);

    ok(right, "room for whatever comes next");
}


/* Longer than what the renderer has at first, and than it keeps. */

static void
test_large(void)
{
    size_t       i, n;
    u_char      *buf;
    ngx_str_t    s, out, text;
    ngx_uint_t   right;
    im_json_t   *obj, *root;

    right = 1;

    for (n = 1; n < 300000; n = n * 3 + 1) {

        buf = malloc(n);

        for (i = 0; i < n; i++) {
            buf[i] = (n & 1) ? 'a' : "a\1\"\\"[i % 4];
        }

        s.data = buf;
        s.len = n;

        obj = im_json_new_obj(pool);
        im_json_add_str(obj, "a", &s);
        im_json_add_raw(obj, "b", &s);
        im_json_add_str(obj, "c", &s);

        if (im_json_render(pool, obj, &out) != NGX_OK
            || im_json_text(obj, &text) != NGX_OK
            || !im_str_eq(&out, &text)
            || im_json_len(obj) != out.len)
        {
            right = 0;
        }

        obj = im_json_new_obj(pool);
        im_json_add_str(obj, "c", &s);

        if (im_json_render(pool, obj, &out) != NGX_OK
            || parse_n(pool, out.data, out.len, 1, &root) != NGX_OK
            || !im_str_eq(&im_json_first(root)->u.text, &s))
        {
            right = 0;
        }

        free(buf);
        ngx_reset_pool(pool);
    }

    ok(right, "texts of all sizes");
}


static void
random_str(ngx_pool_t *p, ngx_str_t *s, ngx_uint_t zero)
{
    size_t          n;
    u_char         *last;

    static char  *parts[] = {
        "a", "Zz", "\"", "\\", "\n", "\x01", "\x1f", "\xc3\xa9",
        "\xe4\xbd\xa0", "\xf0\x9f\x98\x80", "/", "\x7f", "plain text here"
    };

    s->data = ngx_pnalloc(p, 16 * 16);
    last = s->data;

    for (n = rnd(16); n; n--) {
        if (zero && rnd(20) == 0) {
            *last++ = '\0';
            continue;
        }

        last = ngx_cpystrn(last, (u_char *) parts[rnd(13)], 16);
    }

    s->len = last - s->data;
}


static void
random_tree(ngx_pool_t *p, im_json_t *node, ngx_uint_t depth)
{
    char        *name;
    ngx_str_t    s, key;
    im_json_t   *in;
    ngx_uint_t   n, obj;

    obj = (node->type == IM_JSON_OBJ);

    for (n = rnd(6); n; n--) {

        random_str(p, &key, 0);
        name = obj ? im_str_c(p, &key) : NULL;

        switch (rnd(depth ? 7 : 5)) {

        case 0:
            random_str(p, &s, 1);
            obj ? im_json_add_str(node, name, &s)
                : im_json_push_str(node, &s);
            break;

        case 1:
            obj ? im_json_add_int(node, name, (int64_t) (seed >> rnd(64)))
                : im_json_push_int(node, (int64_t) (0 - (seed >> rnd(64))));
            break;

        case 2:
            obj ? im_json_add_bool(node, name, rnd(2))
                : im_json_push_bool(node, rnd(2));
            break;

        case 3:
            obj ? im_json_add_null(node, name) : im_json_push_null(node);
            break;

        case 4:
            obj ? im_json_add_cstr(node, name, "c")
                : im_json_push_cstr(node, "c");
            break;

        case 5:
            in = obj ? im_json_add_obj(node, name) : im_json_push_obj(node);
            random_tree(p, in, depth - 1);
            break;

        default:
            in = obj ? im_json_add_list(node, name)
                     : im_json_push_list(node);
            random_tree(p, in, depth - 1);
        }
    }
}


static void
test_random(void)
{
    ngx_str_t    s, t;
    ngx_uint_t   i, right;
    im_json_t   *a, *b;
    ngx_pool_t  *p;

    right = 1;

    for (i = 0; i < 3000; i++) {
        p = ngx_create_pool(4096, &logger);

        a = rnd(2) ? im_json_new_obj(p) : im_json_new_list(p);
        random_tree(p, a, 5);

        if (im_json_render(p, a, &s) != NGX_OK
            || s.len != im_json_len(a)
            || !im_str_utf8(s.data, s.len)
            || parse_n(p, s.data, s.len, IM_JSON_DEPTH, &b) != NGX_OK
            || !same(a, b)
            || im_json_render(p, b, &t) != NGX_OK
            || !im_str_eq(&s, &t))
        {
            right = 0;
        }

        ngx_destroy_pool(p);
    }

    ok(right, "random trees are the same after a round trip");
}


/* What is still accepted after mutations must render and parse again. */

static void
test_fuzz(void)
{
    u_char       buf[1024], *base;
    size_t       n, k, at, len;
    ngx_int_t    rc;
    ngx_str_t    s, t;
    ngx_uint_t   i, right, kept;
    im_json_t   *a, *b;
    ngx_pool_t  *p;

    static char   marks[] = "{}[]\",:\\u0e-.ndf\xc3\xed\xa0 \n\0001";
    static char  *texts[] = {
        "{\"From_Account\":\"a\\u00e9\",\"To_Account\":[\"b\",\"c\"],"
        "\"MsgRandom\":4294967295,\"MsgBody\":[{\"MsgType\":\"TIMTextElem\""
        ",\"MsgContent\":{\"Text\":\"hi \\ud83d\\ude00 \xe4\xbd\xa0\"}}],"
        "\"a\":-1.5e+3,\"b\":[true,false,null,{},[]]}",
        "[[[[[[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\"]]]]],1e5,-0,0.1]"
    };

    right = 1;
    kept = 0;

    for (i = 0; i < 30000; i++) {
        p = ngx_create_pool(1024, &logger);

        base = (u_char *) texts[rnd(2)];
        len = ngx_strlen(base);
        ngx_memcpy(buf, base, len);

        for (k = 1 + rnd(4); k; k--) {
            at = rnd(len);

            switch (rnd(5)) {

            case 0:
                buf[at] = (u_char) rnd(256);
                break;

            case 1:
                buf[at] = marks[rnd(sizeof(marks) - 1)];
                break;

            case 2:
                len = at + 1;
                break;

            case 3:
                n = rnd(len - at);
                ngx_memmove(buf + at, buf + at + n, len - at - n);
                len -= n;
                break;

            default:
                n = rnd(ngx_min(len - at, sizeof(buf) - len));
                ngx_memmove(buf + at + n, buf + at, len - at);
                len += n;
            }
        }

        rc = parse_n(p, buf, len, IM_JSON_DEPTH, &a);

        if (rc == NGX_OK) {
            kept++;

            if (im_json_render(p, a, &s) != NGX_OK
                || !im_str_utf8(s.data, s.len)
                || parse_n(p, s.data, s.len, IM_JSON_DEPTH, &b) != NGX_OK
                || im_json_render(p, b, &t) != NGX_OK
                || !im_str_eq(&s, &t))
            {
                right = 0;
            }

        } else if (rc != NGX_DECLINED || a != NULL) {
            right = 0;
        }

        ngx_destroy_pool(p);
    }

    printf("# %d of %d mutations parsed\n", (int) kept, (int) i);

    ok(right && kept, "mutated documents");
}


/* Whichever allocation fails, parsing and building say so. */

static void
test_memory(void)
{
#if (HAVE_FAULT)

    char        *text;
    size_t       len;
    ngx_int_t    i, rc;
    ngx_str_t    s, out;
    ngx_uint_t   right, errors;
    im_json_t   *root, *l;
    ngx_pool_t  *p;

    len = 20000;
    text = malloc(len);
    ngx_memset(text, 'x', len);
    text[0] = '[';
    text[1] = '"';
    text[2] = '\\';
    text[3] = 'n';

    for (i = len - 101; i < (ngx_int_t) len - 1; i += 2) {
        text[i] = ',';
        text[i + 1] = '0';
    }

    text[len - 102] = '"';
    text[len - 1] = ']';

    s.data = (u_char *) text;
    s.len = len;

    right = 1;
    errors = 0;
    rc = NGX_ERROR;

    for (i = 0; rc != NGX_OK && i < 100; i++) {
        p = ngx_create_pool(256, &logger);

        fault = i;
        rc = im_json_parse(p, &s, IM_JSON_DEPTH, &root);
        fault = -1;

        errors += (rc == NGX_ERROR);

        if ((rc == NGX_OK) != (root != NULL) || rc == NGX_DECLINED) {
            right = 0;
        }

        ngx_destroy_pool(p);
    }

    free(text);

    ok(right && rc == NGX_OK && errors > 4, "parsing without memory");

    errors = 0;
    rc = NGX_ERROR;

    for (i = 0; rc != NGX_OK && i < 100; i++) {
        p = ngx_create_pool(256, &logger);

        fault = i;

        root = im_json_new_obj(p);
        l = im_json_add_list(root, "l");

        for (len = 0; len < 20; len++) {
            im_json_add_int(im_json_push_obj(l), "n", len);
        }

        im_json_add_cstr(root, "last", "x");
        rc = im_json_render(p, root, &out);

        fault = -1;

        errors += (rc == NGX_ERROR);

        if (rc == NGX_OK && (root->n != 2 || l->n != 20)) {
            right = 0;
        }

        ngx_destroy_pool(p);
    }

    ok(right && rc == NGX_OK && errors > 4, "building without memory");

#else

    ok(1, "parsing without memory # SKIP the sanitizer owns malloc()");
    ok(1, "building without memory # SKIP the sanitizer owns malloc()");

#endif
}


int
main(void)
{
    nginx_init(NGX_LOG_STDERR, NULL);

    seed = 88172645463325252ULL;
    pool = ngx_create_pool(4096, &logger);

    test_types();
    test_texts();
    test_limits();
    test_build();
    test_escape();
    test_words();
    test_room();
    test_large();
    test_random();
    test_fuzz();
    test_memory();

    ngx_destroy_pool(pool);

    return done();
}
