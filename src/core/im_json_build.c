
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_json.h"


static void im_json_fail(im_json_t *node);


im_json_t *
im_json_new_tree(ngx_pool_t *pool, im_json_type_e type)
{
    im_json_t       *node;
    im_json_root_t  *root;

    root = ngx_palloc(pool, sizeof(im_json_root_t));
    if (root == NULL) {
        return NULL;
    }

    root->pool = pool;
    root->failed = 0;
    root->nfree = IM_JSON_BATCH - 1;
    root->free = root->nodes + 1;

    node = root->nodes;

    ngx_memzero(node, sizeof(im_json_t));

    node->type = type;
    node->root = root;

    return node;
}


im_json_t *
im_json_new(im_json_t *parent, im_json_type_e type, const char *name,
    size_t len)
{
    im_json_t       *node;
    im_json_root_t  *root;

    root = parent->root;

    if (root->nfree == 0) {

        node = ngx_palloc(root->pool, IM_JSON_BATCH * sizeof(im_json_t));
        if (node == NULL) {
            return NULL;
        }

        root->nfree = IM_JSON_BATCH;
        root->free = node;
    }

    root->nfree--;
    node = root->free++;

    ngx_memzero(node, sizeof(im_json_t));

    node->type = type;
    node->key.len = len;
    node->key.data = (u_char *) name;
    node->root = root;

    if (parent->n++) {
        parent->u.list.last->next = node;

    } else {
        parent->u.list.first = node;
    }

    parent->u.list.last = node;

    return node;
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


im_json_t *
im_json_put(im_json_t *parent, const char *name, size_t len,
    im_json_type_e type)
{
    im_json_t  *node;

    if (parent == NULL) {
        return NULL;
    }

    if (parent->type != (name ? IM_JSON_OBJ : IM_JSON_LIST)
        || parent->shared)
    {
        im_json_fail(parent);
        return NULL;
    }

    if (parent->root->failed) {
        return NULL;
    }

    node = im_json_new(parent, type, name, len);
    if (node == NULL) {
        im_json_fail(parent);
    }

    return node;
}


im_json_t *
im_json_put_str(im_json_t *parent, const char *name, size_t len,
    ngx_str_t *value)
{
    im_json_t  *node;

    node = im_json_put(parent, name, len, IM_JSON_STR);
    if (node) {
        node->u.text = *value;
    }

    return node;
}


im_json_t *
im_json_put_cstr(im_json_t *parent, const char *name, size_t len,
    const char *value)
{
    ngx_str_t  text;

    text.len = ngx_strlen(value);
    text.data = (u_char *) value;

    return im_json_put_str(parent, name, len, &text);
}


im_json_t *
im_json_put_int(im_json_t *parent, const char *name, size_t len,
    int64_t value)
{
    im_json_t  *node;

    node = im_json_put(parent, name, len, IM_JSON_NUM);
    if (node) {
        node->is_int = 1;
        node->num = value;
    }

    return node;
}


im_json_t *
im_json_put_bool(im_json_t *parent, const char *name, size_t len,
    ngx_uint_t value)
{
    im_json_t  *node;

    node = im_json_put(parent, name, len, IM_JSON_BOOL);
    if (node) {
        node->u.flag = value ? 1 : 0;
    }

    return node;
}


im_json_t *
im_json_put_raw(im_json_t *parent, const char *name, size_t len,
    ngx_str_t *value)
{
    im_json_t  *node;

    node = im_json_put(parent, name, len, IM_JSON_RAW);

    if (node && value->len) {
        node->u.text = *value;

    } else if (node) {
        ngx_str_set(&node->u.text, "null");
    }

    return node;
}


im_json_t *
im_json_put_node(im_json_t *parent, const char *name, size_t len,
    im_json_t *node)
{
    im_json_t  *copy;

    if (im_json_failed(node)) {
        im_json_fail(parent);
        return NULL;
    }

    copy = im_json_put(parent, name, len, node->type);

    if (copy) {
        copy->is_int = node->is_int;
        copy->shared = 1;
        copy->n = node->n;
        copy->u = node->u;

        if (node->type == IM_JSON_NUM) {
            copy->num = node->num;
        }
    }

    return copy;
}
