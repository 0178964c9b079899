
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_json.h"
#include "core/im_str.h"


static im_json_t *im_json_typed(im_json_t *obj, const char *name,
    im_json_type_e type, ngx_int_t *rc);


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
