
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <setjmp.h>
#include <yajl/yajl_parse.h>
#include "core/im_json.h"
#include "core/im_str.h"


#define IM_JSON_POOL_SIZE   1024
#define IM_JSON_STACK       64
#define IM_JSON_ALIGN       16       /* before a block: its size */


typedef struct {
    ngx_pool_t       *pool;
    ngx_pool_t       *temp;          /* what yajl allocates */
    ngx_str_t        *text;

    u_char           *p;             /* room for all strings and numbers: */
    u_char           *end;           /* they are never longer than the text */

    im_json_t        *stack[IM_JSON_STACK];
    ngx_uint_t        depth;
    ngx_uint_t        max_depth;
    ngx_uint_t        nodes;

    ngx_str_t         key;           /* of the next value */
    im_json_t        *top;
    im_json_root_t   *root;

    ngx_int_t         rc;
    jmp_buf           jump;
} im_json_parser_t;


static ngx_int_t im_json_run(im_json_parser_t *jp);
static im_json_t *im_json_value(im_json_parser_t *jp, im_json_type_e type);
static ngx_int_t im_json_keep(im_json_parser_t *jp, ngx_str_t *dst,
    const u_char *data, size_t len);
static int im_json_open(im_json_parser_t *jp, im_json_type_e type);
static int im_json_close(im_json_parser_t *jp);
static int im_json_null(void *ctx);
static int im_json_boolean(void *ctx, int value);
static int im_json_number(void *ctx, const char *data, size_t len);
static int im_json_string(void *ctx, const unsigned char *data, size_t len);
static int im_json_start_obj(void *ctx);
static int im_json_map_key(void *ctx, const unsigned char *data, size_t len);
static int im_json_end_obj(void *ctx);
static int im_json_start_list(void *ctx);
static int im_json_end_list(void *ctx);
static void *im_json_malloc(void *ctx, size_t size);
static void *im_json_realloc(void *ctx, void *p, size_t size);
static void im_json_free(void *ctx, void *p);

static im_json_t *im_json_typed(im_json_t *obj, const char *name,
    im_json_type_e type, ngx_int_t *rc);


static yajl_callbacks  im_json_callbacks = {
    im_json_null,
    im_json_boolean,
    NULL,
    NULL,
    im_json_number,
    im_json_string,
    im_json_start_obj,
    im_json_map_key,
    im_json_end_obj,
    im_json_start_list,
    im_json_end_list
};


ngx_int_t
im_json_parse(ngx_pool_t *pool, ngx_str_t *text, ngx_uint_t max_depth,
    im_json_t **root)
{
    ngx_int_t         rc;
    im_json_parser_t  jp;

    *root = NULL;

    /* yajl lets overlong forms and surrogates pass */

    if (text->len == 0 || !im_str_utf8(text->data, text->len)) {
        return NGX_DECLINED;
    }

    jp.pool = pool;
    jp.text = text;
    jp.depth = 0;
    jp.max_depth = ngx_min(max_depth, IM_JSON_STACK);
    jp.nodes = 0;
    jp.top = NULL;
    jp.rc = NGX_DECLINED;
    ngx_str_null(&jp.key);

    jp.p = ngx_pnalloc(pool, text->len);
    if (jp.p == NULL) {
        return NGX_ERROR;
    }

    jp.end = jp.p + text->len;

    jp.root = ngx_pcalloc(pool, sizeof(im_json_root_t));
    if (jp.root == NULL) {
        return NGX_ERROR;
    }

    jp.root->pool = pool;

    jp.temp = ngx_create_pool(IM_JSON_POOL_SIZE, pool->log);
    if (jp.temp == NULL) {
        return NGX_ERROR;
    }

    rc = im_json_run(&jp);

    ngx_destroy_pool(jp.temp);

    if (rc == NGX_OK) {
        *root = jp.top;
    }

    return rc;
}


static ngx_int_t
im_json_run(im_json_parser_t *jp)
{
    yajl_handle       handle;
    yajl_alloc_funcs  funcs;

    /* yajl does not look whether it got memory: im_json_malloc() jumps */

    if (setjmp(jp->jump)) {
        return NGX_ERROR;
    }

    funcs.malloc = im_json_malloc;
    funcs.realloc = im_json_realloc;
    funcs.free = im_json_free;
    funcs.ctx = jp;

    handle = yajl_alloc(&im_json_callbacks, &funcs, jp);

    (void) yajl_config(handle, yajl_dont_validate_strings, 1);

    if (yajl_parse(handle, jp->text->data, jp->text->len) != yajl_status_ok
        || yajl_complete_parse(handle) != yajl_status_ok)
    {
        return jp->rc;
    }

    return jp->top ? NGX_OK : NGX_DECLINED;
}


static im_json_t *
im_json_value(im_json_parser_t *jp, im_json_type_e type)
{
    im_json_t  *node, *parent;

    if (jp->nodes++ == IM_JSON_NODES) {
        return NULL;
    }

    node = ngx_pcalloc(jp->pool, sizeof(im_json_t));
    if (node == NULL) {
        jp->rc = NGX_ERROR;
        return NULL;
    }

    node->type = type;

    if (jp->depth == 0) {
        jp->top = node;
        return node;
    }

    parent = jp->stack[jp->depth - 1];

    if (parent->type == IM_JSON_OBJ) {
        node->key = jp->key;
    }

    if (parent->n++) {
        parent->u.list.last->next = node;

    } else {
        parent->u.list.first = node;
    }

    parent->u.list.last = node;

    return node;
}


static ngx_int_t
im_json_keep(im_json_parser_t *jp, ngx_str_t *dst, const u_char *data,
    size_t len)
{
    u_char        *p;
    const u_char  *last;

    if ((size_t) (jp->end - jp->p) < len) {
        return NGX_ERROR;
    }

    p = jp->p;
    dst->data = p;

    if (data >= jp->text->data && data < jp->text->data + jp->text->len) {
        p = ngx_cpymem(p, data, len);

    } else {

        /* yajl has decoded escapes; \uDC00 alone comes as ED B0 80 */

        for (last = data + len; data < last; /* void */ ) {

            if (*data == 0xed && last - data >= 3 && data[1] > 0x9f) {
                *p++ = '?';
                data += 3;
                continue;
            }

            *p++ = *data++;
        }
    }

    dst->len = p - dst->data;
    jp->p = p;

    return NGX_OK;
}


static int
im_json_open(im_json_parser_t *jp, im_json_type_e type)
{
    im_json_t  *node;

    if (jp->depth == jp->max_depth) {
        return 0;
    }

    node = im_json_value(jp, type);
    if (node == NULL) {
        return 0;
    }

    node->root = jp->root;
    jp->stack[jp->depth++] = node;

    return 1;
}


static int
im_json_close(im_json_parser_t *jp)
{
    jp->depth--;

    return 1;
}


static int
im_json_null(void *ctx)
{
    return im_json_value(ctx, IM_JSON_NULL) != NULL;
}


static int
im_json_boolean(void *ctx, int value)
{
    im_json_t  *node;

    node = im_json_value(ctx, IM_JSON_BOOL);
    if (node == NULL) {
        return 0;
    }

    node->u.flag = value ? 1 : 0;

    return 1;
}


static int
im_json_number(void *ctx, const char *data, size_t len)
{
    im_json_parser_t  *jp = ctx;

    im_json_t  *node;

    node = im_json_value(jp, IM_JSON_NUM);

    if (node == NULL
        || im_json_keep(jp, &node->u.text, (u_char *) data, len) != NGX_OK)
    {
        return 0;
    }

    node->is_int = (im_str_int(&node->u.text, &node->num) == NGX_OK);

    return 1;
}


static int
im_json_string(void *ctx, const unsigned char *data, size_t len)
{
    im_json_parser_t  *jp = ctx;

    im_json_t  *node;

    node = im_json_value(jp, IM_JSON_STR);

    if (node == NULL
        || im_json_keep(jp, &node->u.text, data, len) != NGX_OK)
    {
        return 0;
    }

    return 1;
}


static int
im_json_start_obj(void *ctx)
{
    return im_json_open(ctx, IM_JSON_OBJ);
}


static int
im_json_map_key(void *ctx, const unsigned char *data, size_t len)
{
    im_json_parser_t  *jp = ctx;

    if ((len && memchr(data, '\0', len) != NULL)
        || im_json_keep(jp, &jp->key, data, len) != NGX_OK)
    {
        return 0;
    }

    return 1;
}


static int
im_json_end_obj(void *ctx)
{
    return im_json_close(ctx);
}


static int
im_json_start_list(void *ctx)
{
    return im_json_open(ctx, IM_JSON_LIST);
}


static int
im_json_end_list(void *ctx)
{
    return im_json_close(ctx);
}


static void *
im_json_malloc(void *ctx, size_t size)
{
    im_json_parser_t  *jp = ctx;

    size_t  *p;

    p = ngx_palloc(jp->temp, IM_JSON_ALIGN + size);

    if (p == NULL) {
        longjmp(jp->jump, 1);
    }

    *p = size;

    return (u_char *) p + IM_JSON_ALIGN;
}


static void *
im_json_realloc(void *ctx, void *p, size_t size)
{
    size_t   old;
    u_char  *new;

    if (p == NULL) {
        return im_json_malloc(ctx, size);
    }

    old = *(size_t *) ((u_char *) p - IM_JSON_ALIGN);

    if (size <= old) {
        return p;
    }

    new = im_json_malloc(ctx, size);

    ngx_memcpy(new, p, old);
    im_json_free(ctx, p);

    return new;
}


static void
im_json_free(void *ctx, void *p)
{
    im_json_parser_t  *jp = ctx;

    if (p) {
        (void) ngx_pfree(jp->temp, (u_char *) p - IM_JSON_ALIGN);
    }
}


im_json_t *
im_json_get(im_json_t *obj, const char *name)
{
    ngx_str_t  key;

    key.len = ngx_strlen(name);
    key.data = (u_char *) name;

    return im_json_get_key(obj, &key);
}


im_json_t *
im_json_get_key(im_json_t *obj, ngx_str_t *name)
{
    im_json_t  *node, *found;

    if (obj == NULL || obj->type != IM_JSON_OBJ) {
        return NULL;
    }

    found = NULL;

    im_json_each(node, obj) {
        if (im_str_eq(&node->key, name)) {
            found = node;
        }
    }

    return found;
}


ngx_uint_t
im_json_has_dup(im_json_t *obj, const char *name)
{
    im_json_t   *node;
    ngx_str_t    key;
    ngx_uint_t   n;

    if (obj == NULL || obj->type != IM_JSON_OBJ) {
        return 0;
    }

    key.len = ngx_strlen(name);
    key.data = (u_char *) name;

    n = 0;

    im_json_each(node, obj) {
        if (im_str_eq(&node->key, &key)) {
            n++;
        }
    }

    return n > 1;
}


static im_json_t *
im_json_typed(im_json_t *obj, const char *name, im_json_type_e type,
    ngx_int_t *rc)
{
    im_json_t  *node;

    node = im_json_get(obj, name);

    if (node == NULL || node->type == IM_JSON_NULL) {
        *rc = NGX_DECLINED;
        return NULL;
    }

    if (node->type != type || (type == IM_JSON_NUM && !node->is_int)) {
        *rc = NGX_ERROR;
        return NULL;
    }

    *rc = NGX_OK;

    return node;
}


ngx_int_t
im_json_get_str(im_json_t *obj, const char *name, ngx_str_t *value)
{
    ngx_int_t   rc;
    im_json_t  *node;

    node = im_json_typed(obj, name, IM_JSON_STR, &rc);
    if (node) {
        *value = node->u.text;
    }

    return rc;
}


ngx_int_t
im_json_get_int(im_json_t *obj, const char *name, int64_t *value)
{
    ngx_int_t   rc;
    im_json_t  *node;

    node = im_json_typed(obj, name, IM_JSON_NUM, &rc);
    if (node) {
        *value = node->num;
    }

    return rc;
}


ngx_int_t
im_json_get_bool(im_json_t *obj, const char *name, ngx_uint_t *value)
{
    ngx_int_t   rc;
    im_json_t  *node;

    node = im_json_typed(obj, name, IM_JSON_BOOL, &rc);
    if (node) {
        *value = node->u.flag;
    }

    return rc;
}


ngx_int_t
im_json_get_list(im_json_t *obj, const char *name, im_json_t **value)
{
    ngx_int_t   rc;
    im_json_t  *node;

    node = im_json_typed(obj, name, IM_JSON_LIST, &rc);
    if (node) {
        *value = node;
    }

    return rc;
}


ngx_int_t
im_json_get_obj(im_json_t *obj, const char *name, im_json_t **value)
{
    ngx_int_t   rc;
    im_json_t  *node;

    node = im_json_typed(obj, name, IM_JSON_OBJ, &rc);
    if (node) {
        *value = node;
    }

    return rc;
}


ngx_int_t
im_json_uint64(im_json_t *node, uint64_t *value)
{
    if (node == NULL || node->type != IM_JSON_NUM) {
        return NGX_DECLINED;
    }

    if (!node->is_int) {
        return im_str_uint64(&node->u.text, value);
    }

    if (node->num < 0) {
        return NGX_DECLINED;
    }

    *value = node->num;

    return NGX_OK;
}
