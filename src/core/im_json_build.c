
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_json.h"


static im_json_t *im_json_new_root(ngx_pool_t *pool, im_json_type_e type);
static im_json_t *im_json_append(im_json_t *parent, const char *name,
    im_json_type_e type);
static void im_json_fail(im_json_t *node);
static im_json_t *im_json_set(im_json_t *node, ngx_str_t *value);
static im_json_t *im_json_cset(im_json_t *node, const char *value);
static im_json_t *im_json_int(im_json_t *node, int64_t value);
static im_json_t *im_json_flag(im_json_t *node, ngx_uint_t value);
static im_json_t *im_json_raw(im_json_t *node, ngx_str_t *value);
static im_json_t *im_json_attach(im_json_t *parent, const char *name,
    im_json_t *node);


static im_json_t *
im_json_new_root(ngx_pool_t *pool, im_json_type_e type)
{
    im_json_t  *node;

    node = im_json_new(pool, type);
    if (node == NULL) {
        return NULL;
    }

    node->root = ngx_pcalloc(pool, sizeof(im_json_root_t));
    if (node->root == NULL) {
        return NULL;
    }

    node->root->pool = pool;

    return node;
}


im_json_t *
im_json_new_obj(ngx_pool_t *pool)
{
    return im_json_new_root(pool, IM_JSON_OBJ);
}


im_json_t *
im_json_new_list(ngx_pool_t *pool)
{
    return im_json_new_root(pool, IM_JSON_LIST);
}


/* name is NULL if the parent is a list */

static im_json_t *
im_json_append(im_json_t *parent, const char *name, im_json_type_e type)
{
    im_json_t  *node;

    if (im_json_failed(parent)) {
        return NULL;
    }

    if (parent->type != (name ? IM_JSON_OBJ : IM_JSON_LIST)
        || parent->shared)
    {
        goto failed;
    }

    node = im_json_new(parent->root->pool, type);
    if (node == NULL) {
        goto failed;
    }

    if (name) {
        node->key.len = ngx_strlen(name);
        node->key.data = (u_char *) name;
    }

    if (type == IM_JSON_OBJ || type == IM_JSON_LIST) {
        node->root = parent->root;
    }

    im_json_link(parent, node);

    return node;

failed:

    im_json_fail(parent);

    return NULL;
}


void
im_json_link(im_json_t *parent, im_json_t *node)
{
    if (parent->n++) {
        parent->u.list.last->next = node;

    } else {
        parent->u.list.first = node;
    }

    parent->u.list.last = node;
}


static void
im_json_fail(im_json_t *node)
{
    if (node && (node->type == IM_JSON_OBJ || node->type == IM_JSON_LIST)) {
        node->root->failed = 1;
    }
}


ngx_uint_t
im_json_failed(im_json_t *node)
{
    if (node == NULL) {
        return 1;
    }

    if (node->type == IM_JSON_OBJ || node->type == IM_JSON_LIST) {
        return node->root->failed;
    }

    return 0;
}


static im_json_t *
im_json_set(im_json_t *node, ngx_str_t *value)
{
    if (node) {
        node->u.text = *value;
    }

    return node;
}


static im_json_t *
im_json_cset(im_json_t *node, const char *value)
{
    if (node) {
        node->u.text.len = ngx_strlen(value);
        node->u.text.data = (u_char *) value;
    }

    return node;
}


static im_json_t *
im_json_int(im_json_t *node, int64_t value)
{
    if (node) {
        node->is_int = 1;
        node->num = value;
    }

    return node;
}


static im_json_t *
im_json_flag(im_json_t *node, ngx_uint_t value)
{
    if (node) {
        node->u.flag = value ? 1 : 0;
    }

    return node;
}


static im_json_t *
im_json_raw(im_json_t *node, ngx_str_t *value)
{
    if (value->len == 0) {
        return im_json_cset(node, "null");
    }

    return im_json_set(node, value);
}


static im_json_t *
im_json_attach(im_json_t *parent, const char *name, im_json_t *node)
{
    ngx_str_t   key;
    im_json_t  *copy;

    if (im_json_failed(node)) {
        im_json_fail(parent);
        return NULL;
    }

    copy = im_json_append(parent, name, node->type);
    if (copy == NULL) {
        return NULL;
    }

    key = copy->key;

    *copy = *node;

    copy->key = key;
    copy->next = NULL;
    copy->shared = 1;

    if (node->type == IM_JSON_OBJ || node->type == IM_JSON_LIST) {
        copy->root = parent->root;
    }

    return copy;
}


im_json_t *
im_json_add_str(im_json_t *obj, const char *name, ngx_str_t *value)
{
    return im_json_set(im_json_append(obj, name, IM_JSON_STR), value);
}


im_json_t *
im_json_add_cstr(im_json_t *obj, const char *name, const char *value)
{
    return im_json_cset(im_json_append(obj, name, IM_JSON_STR), value);
}


im_json_t *
im_json_add_int(im_json_t *obj, const char *name, int64_t value)
{
    return im_json_int(im_json_append(obj, name, IM_JSON_NUM), value);
}


im_json_t *
im_json_add_bool(im_json_t *obj, const char *name, ngx_uint_t value)
{
    return im_json_flag(im_json_append(obj, name, IM_JSON_BOOL), value);
}


im_json_t *
im_json_add_null(im_json_t *obj, const char *name)
{
    return im_json_append(obj, name, IM_JSON_NULL);
}


im_json_t *
im_json_add_obj(im_json_t *obj, const char *name)
{
    return im_json_append(obj, name, IM_JSON_OBJ);
}


im_json_t *
im_json_add_list(im_json_t *obj, const char *name)
{
    return im_json_append(obj, name, IM_JSON_LIST);
}


im_json_t *
im_json_add_raw(im_json_t *obj, const char *name, ngx_str_t *value)
{
    return im_json_raw(im_json_append(obj, name, IM_JSON_RAW), value);
}


im_json_t *
im_json_add_node(im_json_t *obj, const char *name, im_json_t *node)
{
    return im_json_attach(obj, name, node);
}


im_json_t *
im_json_push_str(im_json_t *list, ngx_str_t *value)
{
    return im_json_set(im_json_append(list, NULL, IM_JSON_STR), value);
}


im_json_t *
im_json_push_cstr(im_json_t *list, const char *value)
{
    return im_json_cset(im_json_append(list, NULL, IM_JSON_STR), value);
}


im_json_t *
im_json_push_int(im_json_t *list, int64_t value)
{
    return im_json_int(im_json_append(list, NULL, IM_JSON_NUM), value);
}


im_json_t *
im_json_push_bool(im_json_t *list, ngx_uint_t value)
{
    return im_json_flag(im_json_append(list, NULL, IM_JSON_BOOL), value);
}


im_json_t *
im_json_push_null(im_json_t *list)
{
    return im_json_append(list, NULL, IM_JSON_NULL);
}


im_json_t *
im_json_push_obj(im_json_t *list)
{
    return im_json_append(list, NULL, IM_JSON_OBJ);
}


im_json_t *
im_json_push_list(im_json_t *list)
{
    return im_json_append(list, NULL, IM_JSON_LIST);
}


im_json_t *
im_json_push_raw(im_json_t *list, ngx_str_t *value)
{
    return im_json_raw(im_json_append(list, NULL, IM_JSON_RAW), value);
}


im_json_t *
im_json_push_node(im_json_t *list, im_json_t *node)
{
    return im_json_attach(list, NULL, node);
}

