
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_json.h"
#include "core/im_str.h"


#define IM_JSON_STACK  64
#define IM_JSON_PAD    8                 /* zero bytes behind the text */

#define IM_JSON_BAD    0xffffffff        /* no code point */


/*
 * The parser reads a copy of the text, which ends with zero bytes: no token
 * has one, so that nothing is read behind them.  Strings and numbers lie in the
 * copy, escapes are decoded in place: what they stand for is never longer.
 */

typedef struct {
    ngx_pool_t       *pool;

    u_char           *p;
    u_char           *last;

    im_json_t        *stack[IM_JSON_STACK];
    ngx_uint_t        depth;
    ngx_uint_t        max_depth;
    ngx_uint_t        nodes;

    ngx_str_t         key;               /* of the next value */
    im_json_t        *top;
} im_json_parser_t;


static ngx_int_t im_json_value(im_json_parser_t *jp);
static ngx_int_t im_json_open(im_json_parser_t *jp, im_json_type_e type);
static ngx_int_t im_json_more(im_json_parser_t *jp);
static ngx_int_t im_json_name(im_json_parser_t *jp);
static ngx_int_t im_json_node(im_json_parser_t *jp, im_json_type_e type,
    im_json_t **node);
static ngx_int_t im_json_word(im_json_parser_t *jp, const char *word,
    size_t len, im_json_type_e type, ngx_uint_t flag);
static ngx_int_t im_json_number(im_json_parser_t *jp);
static u_char *im_json_skip_digits(u_char *p);
static ngx_int_t im_json_string(im_json_parser_t *jp, ngx_str_t *dst);
static ngx_int_t im_json_escaped(im_json_parser_t *jp, ngx_str_t *dst,
    u_char *p);
static u_char *im_json_skip_plain(u_char *p);
static u_char *im_json_unescape(u_char *p, u_char **dst);
static uint32_t im_json_hex(u_char *p);
static u_char im_json_blanks(im_json_parser_t *jp);


ngx_int_t
im_json_parse(ngx_pool_t *pool, ngx_str_t *text, ngx_uint_t max_depth,
    im_json_t **root)
{
    ngx_int_t         rc;
    im_json_parser_t  jp;

    *root = NULL;

    if (text->len == 0 || !im_str_utf8(text->data, text->len)) {
        return NGX_DECLINED;
    }

    jp.pool = pool;
    jp.depth = 0;
    jp.max_depth = ngx_min(max_depth, IM_JSON_STACK);
    jp.nodes = 0;
    jp.top = NULL;
    ngx_str_null(&jp.key);

    jp.p = ngx_pnalloc(pool, text->len + IM_JSON_PAD);
    if (jp.p == NULL) {
        return NGX_ERROR;
    }

    jp.last = ngx_cpymem(jp.p, text->data, text->len);
    ngx_memzero(jp.last, IM_JSON_PAD);

    do {
        if (jp.depth && jp.stack[jp.depth - 1]->type == IM_JSON_OBJ
            && im_json_name(&jp) != NGX_OK)
        {
            return NGX_DECLINED;
        }

        rc = im_json_value(&jp);

        while (rc == NGX_OK && jp.depth) {
            rc = im_json_more(&jp);
        }

    } while (rc == NGX_AGAIN);

    if (rc != NGX_OK) {
        return rc;
    }

    (void) im_json_blanks(&jp);

    if (jp.p != jp.last) {
        return NGX_DECLINED;
    }

    *root = jp.top;

    return NGX_OK;
}


/* NGX_OK: it is complete; NGX_AGAIN: the first one in it comes next. */

static ngx_int_t
im_json_value(im_json_parser_t *jp)
{
    ngx_int_t   rc;
    im_json_t  *node;

    switch (im_json_blanks(jp)) {

    case '{':
        return im_json_open(jp, IM_JSON_OBJ);

    case '[':
        return im_json_open(jp, IM_JSON_LIST);

    case '"':
        rc = im_json_node(jp, IM_JSON_STR, &node);

        return (rc == NGX_OK) ? im_json_string(jp, &node->u.text) : rc;

    case 't':
        return im_json_word(jp, "true", 4, IM_JSON_BOOL, 1);

    case 'f':
        return im_json_word(jp, "false", 5, IM_JSON_BOOL, 0);

    case 'n':
        return im_json_word(jp, "null", 4, IM_JSON_NULL, 0);

    default:
        return im_json_number(jp);
    }
}


static ngx_int_t
im_json_open(im_json_parser_t *jp, im_json_type_e type)
{
    ngx_int_t   rc;
    im_json_t  *node;

    if (jp->depth == jp->max_depth) {
        return NGX_DECLINED;
    }

    rc = im_json_node(jp, type, &node);
    if (rc != NGX_OK) {
        return rc;
    }

    jp->p++;

    if (im_json_blanks(jp) == ((type == IM_JSON_OBJ) ? '}' : ']')) {
        jp->p++;
        return NGX_OK;
    }

    jp->stack[jp->depth++] = node;

    return NGX_AGAIN;
}


/* Behind a value in another one: that ends, too, or NGX_AGAIN. */

static ngx_int_t
im_json_more(im_json_parser_t *jp)
{
    u_char          c;
    im_json_type_e  type;

    type = jp->stack[jp->depth - 1]->type;

    c = im_json_blanks(jp);

    if (c == ',') {
        jp->p++;
        return NGX_AGAIN;
    }

    if (c != ((type == IM_JSON_OBJ) ? '}' : ']')) {
        return NGX_DECLINED;
    }

    jp->p++;
    jp->depth--;

    return NGX_OK;
}


static ngx_int_t
im_json_name(im_json_parser_t *jp)
{
    if (im_json_blanks(jp) != '"'
        || im_json_string(jp, &jp->key) != NGX_OK
        || (jp->key.data + jp->key.len + 1 != jp->p
            && memchr(jp->key.data, '\0', jp->key.len) != NULL)
        || im_json_blanks(jp) != ':')
    {
        return NGX_DECLINED;
    }

    jp->p++;

    return NGX_OK;
}


static ngx_int_t
im_json_node(im_json_parser_t *jp, im_json_type_e type, im_json_t **node)
{
    im_json_t  *n, *parent;

    if (jp->nodes++ == IM_JSON_NODES) {
        return NGX_DECLINED;
    }

    if (jp->depth == 0) {
        n = im_json_new_tree(jp->pool, type);
        jp->top = n;

    } else {
        parent = jp->stack[jp->depth - 1];

        n = (parent->type == IM_JSON_OBJ)
            ? im_json_new(parent, type, (char *) jp->key.data, jp->key.len)
            : im_json_new(parent, type, NULL, 0);
    }

    *node = n;

    return n ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
im_json_word(im_json_parser_t *jp, const char *word, size_t len,
    im_json_type_e type, ngx_uint_t flag)
{
    ngx_int_t   rc;
    im_json_t  *node;

    if (ngx_strncmp(jp->p, word, len) != 0) {
        return NGX_DECLINED;
    }

    jp->p += len;

    rc = im_json_node(jp, type, &node);

    if (rc == NGX_OK && type == IM_JSON_BOOL) {
        node->u.flag = flag;
    }

    return rc;
}


static ngx_int_t
im_json_number(im_json_parser_t *jp)
{
    u_char     *p, *start;
    ngx_int_t   rc;
    im_json_t  *node;

    start = jp->p;
    p = start;

    if (*p == '-') {
        p++;
    }

    p = (*p == '0') ? p + 1 : im_json_skip_digits(p);

    if (p && *p == '.') {
        p = im_json_skip_digits(p + 1);
    }

    if (p && (*p == 'e' || *p == 'E')) {
        p++;

        if (*p == '+' || *p == '-') {
            p++;
        }

        p = im_json_skip_digits(p);
    }

    if (p == NULL) {
        return NGX_DECLINED;
    }

    jp->p = p;

    rc = im_json_node(jp, IM_JSON_NUM, &node);
    if (rc != NGX_OK) {
        return rc;
    }

    node->u.text.data = start;
    node->u.text.len = p - start;
    node->is_int = (im_str_int(&node->u.text, &node->num) == NGX_OK);

    return NGX_OK;
}


/* What follows them, or NULL: there are none. */

static u_char *
im_json_skip_digits(u_char *p)
{
    u_char  *start;

    start = p;

    while (*p >= '0' && *p <= '9') {
        p++;
    }

    return (p == start) ? NULL : p;
}


static ngx_int_t
im_json_string(im_json_parser_t *jp, ngx_str_t *dst)
{
    u_char  *p;

    dst->data = jp->p + 1;

    p = im_json_skip_plain(dst->data);

    if (*p != '"') {
        return im_json_escaped(jp, dst, p);
    }

    dst->len = p - dst->data;
    jp->p = p + 1;

    return NGX_OK;
}


static ngx_int_t
im_json_escaped(im_json_parser_t *jp, ngx_str_t *dst, u_char *p)
{
    u_char  *d, *next;

    d = p;

    while (*p == '\\') {

        p = im_json_unescape(p + 1, &d);
        if (p == NULL) {
            return NGX_DECLINED;
        }

        next = im_json_skip_plain(p);

        ngx_memmove(d, p, next - p);

        d += next - p;
        p = next;
    }

    if (*p != '"') {                     /* a control character, or the end */
        return NGX_DECLINED;
    }

    dst->len = d - dst->data;
    jp->p = p + 1;

    return NGX_OK;
}


/* The first byte that a string cannot hold as it is: there is a zero byte. */

static u_char *
im_json_skip_plain(u_char *p)
{
#if (NGX_HAVE_LITTLE_ENDIAN)

    uint64_t  special;

    for ( ;; ) {
        special = im_json_special(im_json_load(p));

        if (special) {
            return p + __builtin_ctzll(special) / 8;
        }

        p += 8;
    }

#else

    while (*p >= ' ' && *p != '"' && *p != '\\') {
        p++;
    }

    return p;

#endif
}


/* Behind a backslash; what follows the escape, or NULL. */

static u_char *
im_json_unescape(u_char *p, u_char **dst)
{
    u_char    *d;
    uint32_t   code, low;

    d = *dst;

    switch (*p++) {

    case '"':
        *d++ = '"';
        break;

    case '\\':
        *d++ = '\\';
        break;

    case '/':
        *d++ = '/';
        break;

    case 'b':
        *d++ = '\b';
        break;

    case 'f':
        *d++ = '\f';
        break;

    case 'n':
        *d++ = '\n';
        break;

    case 'r':
        *d++ = '\r';
        break;

    case 't':
        *d++ = '\t';
        break;

    case 'u':
        code = im_json_hex(p);

        if (code == IM_JSON_BAD) {
            return NULL;
        }

        p += 4;

        if (code >= 0xd800 && code < 0xe000) {

            low = (code < 0xdc00 && p[0] == '\\' && p[1] == 'u')
                  ? im_json_hex(p + 2) : IM_JSON_BAD;

            if (low >= 0xdc00 && low < 0xe000) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                p += 6;

            } else {
                code = '?';              /* a half of a pair */
            }
        }

        if (code < 0x80) {
            *d++ = (u_char) code;
            break;
        }

        if (code < 0x800) {
            *d++ = (u_char) (0xc0 | (code >> 6));

        } else {

            if (code < 0x10000) {
                *d++ = (u_char) (0xe0 | (code >> 12));

            } else {
                *d++ = (u_char) (0xf0 | (code >> 18));
                *d++ = (u_char) (0x80 | ((code >> 12) & 0x3f));
            }

            *d++ = (u_char) (0x80 | ((code >> 6) & 0x3f));
        }

        *d++ = (u_char) (0x80 | (code & 0x3f));
        break;

    default:
        return NULL;
    }

    *dst = d;

    return p;
}


static uint32_t
im_json_hex(u_char *p)
{
    u_char      c;
    uint32_t    code;
    ngx_uint_t  i;

    code = 0;

    for (i = 0; i < 4; i++) {
        c = p[i];

        if (c >= '0' && c <= '9') {
            code = code * 16 + c - '0';
            continue;
        }

        c |= 0x20;

        if (c < 'a' || c > 'f') {
            return IM_JSON_BAD;
        }

        code = code * 16 + c - 'a' + 10;
    }

    return code;
}


/* What comes after blanks. */

static u_char
im_json_blanks(im_json_parser_t *jp)
{
    u_char  *p;

    for (p = jp->p;
         *p == ' ' || *p == '\n' || *p == '\r' || *p == '\t';
         p++)
    {
        /* void */
    }

    jp->p = p;

    return *p;
}
