
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_code.h"
#include "core/im_json.h"
#include "core/im_schema.h"
#include "core/im_str.h"


#define IM_SCHEMA_INFO  256


/*
 * NGX_OK; NGX_DECLINED: of another type; NGX_BUSY: outside of min and max,
 * both with a text in *info; NGX_ERROR: no memory.
 */

static ngx_int_t im_schema_field(ngx_pool_t *pool, im_field_t *f,
    im_json_t *node, void *dst, ngx_str_t *info);
static ngx_int_t im_schema_str(ngx_pool_t *pool, im_field_t *f,
    im_json_t *node, ngx_str_t *str, ngx_str_t *info);
static ngx_int_t im_schema_int(ngx_pool_t *pool, im_field_t *f,
    im_json_t *node, im_int_t *i, ngx_str_t *info);
static ngx_int_t im_schema_bool(ngx_pool_t *pool, im_field_t *f,
    im_json_t *node, im_int_t *i, ngx_str_t *info);
static ngx_int_t im_schema_strs(ngx_pool_t *pool, im_field_t *f,
    im_json_t *node, im_strs_t *strs, ngx_str_t *info);
static ngx_int_t im_schema_node(ngx_pool_t *pool, im_field_t *f,
    im_json_t *node, im_json_t **dst, ngx_str_t *info);

static ngx_int_t im_schema_copy(ngx_pool_t *pool, im_field_t *f,
    im_json_t *node, ngx_str_t *str, ngx_str_t *info);
static ngx_int_t im_schema_count(ngx_pool_t *pool, im_field_t *f,
    im_json_t *node, ngx_str_t *info);
static ngx_int_t im_schema_type(ngx_pool_t *pool, im_field_t *f,
    ngx_str_t *info);
static void im_schema_info(ngx_pool_t *pool, ngx_str_t *info,
    const char *fmt, ...);


static char  *im_schema_types[] = {
    "a string",                                      /* IM_STR */
    "an integer",                                    /* IM_INT */
    "a boolean",                                     /* IM_BOOL */
    "a list of strings",                             /* IM_STRS */
    "a list",                                        /* IM_LIST */
    "an object",                                     /* IM_OBJ */
    "a value"                                        /* IM_NODE */
};


im_code_t
im_schema_fill(ngx_pool_t *pool, im_json_t *obj, im_field_t *fields,
    void *dst, ngx_str_t *info)
{
    ngx_int_t    rc;
    im_json_t   *node;
    im_field_t  *f;

    if (obj == NULL || obj->type != IM_JSON_OBJ) {
        ngx_str_set(info, "an object is expected");
        return fields->code;
    }

    for (f = fields; f->name.len; f++) {

        node = im_json_get_key(obj, &f->name);

        if (node == NULL || node->type == IM_JSON_NULL) {

            if (f->flags & IM_REQUIRED) {
                im_schema_info(pool, info, "\"%V\" is missing", &f->name);
                return f->code;
            }

            continue;
        }

        rc = im_schema_field(pool, f, node, (u_char *) dst + f->offset, info);

        if (rc == NGX_OK) {
            continue;
        }

        if (rc == NGX_BUSY && f->range) {
            return f->range;
        }

        if (rc == NGX_ERROR) {
            ngx_str_set(info, "no memory");
            return NGX_ERROR;
        }

        return f->code;
    }

    return IM_OK;
}


static ngx_int_t
im_schema_field(ngx_pool_t *pool, im_field_t *f, im_json_t *node, void *dst,
    ngx_str_t *info)
{
    switch (f->type) {

    case IM_STR:
        return im_schema_str(pool, f, node, dst, info);

    case IM_INT:
        return im_schema_int(pool, f, node, dst, info);

    case IM_BOOL:
        return im_schema_bool(pool, f, node, dst, info);

    case IM_STRS:
        return im_schema_strs(pool, f, node, dst, info);

    default: /* IM_LIST, IM_OBJ, IM_NODE */
        return im_schema_node(pool, f, node, dst, info);
    }
}


static ngx_int_t
im_schema_str(ngx_pool_t *pool, im_field_t *f, im_json_t *node,
    ngx_str_t *str, ngx_str_t *info)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    rc = im_schema_copy(pool, f, node, &value, info);
    if (rc != NGX_OK) {
        return rc;
    }

    if (f->min > 0 && value.len == 0) {
        im_schema_info(pool, info, "\"%V\" is empty", &f->name);
        return NGX_BUSY;
    }

    if (f->min > 0 && value.len < (size_t) f->min) {
        im_schema_info(pool, info, "\"%V\" is shorter than %L bytes",
                       &f->name, f->min);
        return NGX_BUSY;
    }

    if (f->max > 0 && value.len > (size_t) f->max) {
        im_schema_info(pool, info, "\"%V\" is longer than %L bytes",
                       &f->name, f->max);
        return NGX_BUSY;
    }

    *str = value;

    return NGX_OK;
}


static ngx_int_t
im_schema_int(ngx_pool_t *pool, im_field_t *f, im_json_t *node, im_int_t *i,
    ngx_str_t *info)
{
    int64_t    value;
    size_t     n;
    ngx_str_t  text;

    if (node->type == IM_JSON_NUM && node->is_int) {
        value = node->num;

    } else if (node->type == IM_JSON_NUM
               || (node->type == IM_JSON_STR
                   && (f->flags & IM_NUMERIC_STR)))
    {
        text = node->u.text;

        if (im_str_int(&text, &value) != NGX_OK) {

            /* too many digits, or is it not an integer at all? */

            n = (text.len && text.data[0] == '-') ? 1 : 0;

            if (n == text.len) {
                return im_schema_type(pool, f, info);
            }

            for ( /* void */ ; n < text.len; n++) {
                if (text.data[n] < '0' || text.data[n] > '9') {
                    return im_schema_type(pool, f, info);
                }
            }

            goto range;
        }

    } else {
        return im_schema_type(pool, f, info);
    }

    if ((f->min || f->max) && (value < f->min || value > f->max)) {
        goto range;
    }

    i->value = value;
    i->set = 1;

    return NGX_OK;

range:

    if (f->min || f->max) {
        im_schema_info(pool, info, "\"%V\" must be between %L and %L",
                       &f->name, f->min, f->max);

    } else {
        im_schema_info(pool, info, "\"%V\" is out of range", &f->name);
    }

    return NGX_BUSY;
}


static ngx_int_t
im_schema_bool(ngx_pool_t *pool, im_field_t *f, im_json_t *node, im_int_t *i,
    ngx_str_t *info)
{
    if (node->type == IM_JSON_BOOL) {
        i->value = node->u.flag;

    } else if (node->type == IM_JSON_NUM
               && node->is_int
               && (node->num == 0 || node->num == 1))
    {
        i->value = node->num;

    } else {
        return im_schema_type(pool, f, info);
    }

    i->set = 1;

    return NGX_OK;
}


static ngx_int_t
im_schema_strs(ngx_pool_t *pool, im_field_t *f, im_json_t *node,
    im_strs_t *strs, ngx_str_t *info)
{
    ngx_int_t   rc;
    ngx_str_t  *elts, *str;
    im_json_t  *item;

    if (node->type != IM_JSON_LIST) {
        return im_schema_type(pool, f, info);
    }

    rc = im_schema_count(pool, f, node, info);
    if (rc != NGX_OK) {
        return rc;
    }

    elts = ngx_palloc(pool, (node->n ? node->n : 1) * sizeof(ngx_str_t));
    if (elts == NULL) {
        return NGX_ERROR;
    }

    str = elts;

    im_json_each(item, node) {
        rc = im_schema_copy(pool, f, item, str++, info);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    strs->n = node->n;
    strs->elts = elts;

    return NGX_OK;
}


static ngx_int_t
im_schema_node(ngx_pool_t *pool, im_field_t *f, im_json_t *node,
    im_json_t **dst, ngx_str_t *info)
{
    ngx_int_t  rc;

    if ((f->type == IM_LIST && node->type != IM_JSON_LIST)
        || (f->type == IM_OBJ && node->type != IM_JSON_OBJ))
    {
        return im_schema_type(pool, f, info);
    }

    if (f->type == IM_LIST) {
        rc = im_schema_count(pool, f, node, info);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    *dst = node;

    return NGX_OK;
}


static ngx_int_t
im_schema_copy(ngx_pool_t *pool, im_field_t *f, im_json_t *node,
    ngx_str_t *str, ngx_str_t *info)
{
    if (node->type != IM_JSON_STR) {
        return im_schema_type(pool, f, info);
    }

    *str = node->u.text;

    if (str->data == NULL) {
        str->data = (u_char *) "";              /* NULL is for absent */
    }

    if ((f->flags & IM_NO_NUL)
        && str->len
        && ngx_strlchr(str->data, str->data + str->len, '\0'))
    {
        im_schema_info(pool, info, "\"%V\" contains a zero byte", &f->name);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
im_schema_count(ngx_pool_t *pool, im_field_t *f, im_json_t *node,
    ngx_str_t *info)
{
    if (f->min > 0 && node->n == 0) {
        im_schema_info(pool, info, "\"%V\" is empty", &f->name);
        return NGX_BUSY;
    }

    if (f->min > 0 && (int64_t) node->n < f->min) {
        im_schema_info(pool, info, "\"%V\" has fewer than %L items",
                       &f->name, f->min);
        return NGX_BUSY;
    }

    if (f->max > 0 && (int64_t) node->n > f->max) {
        im_schema_info(pool, info, "\"%V\" has more than %L items",
                       &f->name, f->max);
        return NGX_BUSY;
    }

    return NGX_OK;
}


static ngx_int_t
im_schema_type(ngx_pool_t *pool, im_field_t *f, ngx_str_t *info)
{
    im_schema_info(pool, info, "\"%V\" must be %s", &f->name,
                   im_schema_types[f->type]);

    return NGX_DECLINED;
}


static void
im_schema_info(ngx_pool_t *pool, ngx_str_t *info, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    p = ngx_pnalloc(pool, IM_SCHEMA_INFO);

    if (p == NULL) {
        ngx_str_set(info, "a field is wrong");
        return;
    }

    va_start(args, fmt);
    info->len = ngx_vslprintf(p, p + IM_SCHEMA_INFO, fmt, args) - p;
    va_end(args);

    info->data = p;
}
