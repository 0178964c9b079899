
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/ngx_im_module.h"


#define IM_GROUP_TYPE_NAME  32
#define IM_GROUP_KEY_NAME   16


static ngx_uint_t ngx_im_group_word(ngx_str_t *word, size_t max);
static ngx_int_t ngx_im_group_add(ngx_conf_t *cf, ngx_array_t **list,
    size_t size);
static ngx_int_t ngx_im_group_level(u_char *word, ngx_uint_t *level);
static ngx_array_t *ngx_im_group_list(ngx_conf_t *cf, u_char *text);
static ngx_uint_t ngx_im_group_overlap(ngx_array_t *a, ngx_array_t *b);
static ngx_uint_t ngx_im_group_keys(ngx_array_t *fields);


/* in the order of im_app_level_e */

static char  *ngx_im_group_levels[] = {
    "any", "member", "admin", "owner", "app", "nobody"
};


/* group_type OAGroup base=Private history_unlimited=1; */

char *
ngx_im_app_group_type(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char               *p;
    ngx_str_t            *value;
    ngx_uint_t            i;
    ngx_array_t         **types;
    ngx_keyval_t         *kv;
    im_app_group_type_t  *type, *t;

    types = (ngx_array_t **) ((u_char *) conf + cmd->offset);

    value = cf->args->elts;

    if (!ngx_im_group_word(&value[1], IM_GROUP_TYPE_NAME)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\", it must be 1 to %d letters, "
                           "digits or \"_\"", &value[1], IM_GROUP_TYPE_NAME);
        return NGX_CONF_ERROR;
    }

    if (ngx_im_group_add(cf, types, sizeof(im_app_group_type_t)) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    t = (*types)->elts;

    for (i = 0; i < (*types)->nelts; i++) {
        if (t[i].name.len == value[1].len
            && ngx_strcmp(t[i].name.data, value[1].data) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate name \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    if ((*types)->nelts == IM_APP_GROUP_TYPES) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many types, \"%V\" is one more than %d",
                           &value[1], IM_APP_GROUP_TYPES);
        return NGX_CONF_ERROR;
    }

    type = ngx_array_push(*types);
    if (type == NULL) {
        return NGX_CONF_ERROR;
    }

    type->name = value[1];
    ngx_str_null(&type->base);

    if (ngx_array_init(&type->switches, cf->pool, 4, sizeof(ngx_keyval_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        p = ngx_strlchr(value[i].data, value[i].data + value[i].len, '=');

        if (p == NULL || p == value[i].data) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (ngx_strncmp(value[i].data, "base=", 5) == 0) {
            type->base.data = p + 1;
            type->base.len = value[i].data + value[i].len - p - 1;
            continue;
        }

        kv = ngx_array_push(&type->switches);
        if (kv == NULL) {
            return NGX_CONF_ERROR;
        }

        kv->key.data = value[i].data;
        kv->key.len = p - value[i].data;
        kv->value.data = p + 1;
        kv->value.len = value[i].data + value[i].len - p - 1;
    }

    return NGX_CONF_OK;
}


/* group_field topic types=Public,ChatRoom read=any write=admin; */

char *
ngx_im_app_group_field(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char                *v;
    ngx_str_t             *value;
    ngx_int_t              rc;
    ngx_uint_t             i, member, max;
    ngx_array_t          **fields;
    im_app_group_field_t  *field, *f;

    fields = (ngx_array_t **) ((u_char *) conf + cmd->offset);
    member = (cmd->offset == offsetof(im_app_t, member_fields));
    max = member ? IM_APP_MEMBER_FIELDS : IM_APP_FIELDS;

    value = cf->args->elts;

    if (!ngx_im_group_word(&value[1], IM_GROUP_KEY_NAME)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid key \"%V\", it must be 1 to %d letters, "
                           "digits or \"_\"", &value[1], IM_GROUP_KEY_NAME);
        return NGX_CONF_ERROR;
    }

    if (ngx_im_group_add(cf, fields, sizeof(im_app_group_field_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    field = ngx_array_push(*fields);
    if (field == NULL) {
        return NGX_CONF_ERROR;
    }

    field->name = value[1];
    field->types = NULL;
    field->read = IM_LEVEL_MEMBER;
    field->write = IM_LEVEL_ADMIN;
    field->self_read = member;
    field->self_write = member;

    for (i = 2; i < cf->args->nelts; i++) {

        v = value[i].data;
        rc = NGX_OK;

        if (ngx_strncmp(v, "types=", 6) == 0) {
            field->types = ngx_im_group_list(cf, v + 6);

            if (field->types == NULL) {
                return NGX_CONF_ERROR;
            }

        } else if (ngx_strncmp(v, "read=", 5) == 0) {
            rc = ngx_im_group_level(v + 5, &field->read);

        } else if (ngx_strncmp(v, "write=", 6) == 0) {
            rc = ngx_im_group_level(v + 6, &field->write);

        } else if (member && ngx_strcmp(v, "self=none") == 0) {
            field->self_read = 0;
            field->self_write = 0;

        } else if (member && ngx_strcmp(v, "self=read") == 0) {
            field->self_write = 0;

        } else if (!member || ngx_strcmp(v, "self=read,write") != 0) {
            rc = NGX_ERROR;
        }

        if (rc != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    /* one key may have other rights in other types */

    f = (*fields)->elts;

    for (i = 0; i < (*fields)->nelts - 1; i++) {
        if (f[i].name.len == field->name.len
            && ngx_strcmp(f[i].name.data, field->name.data) == 0
            && ngx_im_group_overlap(f[i].types, field->types))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate key \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_im_group_keys(*fields) > max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many keys, \"%V\" is one more than %ui",
                           &value[1], max);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_im_group_word(ngx_str_t *word, size_t max)
{
    u_char  ch;
    size_t  i;

    for (i = 0; i < word->len; i++) {

        ch = word->data[i];

        if (!((ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z')
              || (ch >= '0' && ch <= '9') || ch == '_'))
        {
            return 0;
        }
    }

    return word->len != 0 && word->len <= max;
}


static ngx_int_t
ngx_im_group_add(ngx_conf_t *cf, ngx_array_t **list, size_t size)
{
    if (*list == NGX_CONF_UNSET_PTR) {
        *list = ngx_array_create(cf->pool, 4, size);
    }

    return (*list == NULL) ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_im_group_level(u_char *word, ngx_uint_t *level)
{
    ngx_uint_t  i;

    for (i = 0; i <= IM_LEVEL_NOBODY; i++) {
        if (ngx_strcmp(word, ngx_im_group_levels[i]) == 0) {
            *level = i;
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


/* Words between commas. */

static ngx_array_t *
ngx_im_group_list(ngx_conf_t *cf, u_char *text)
{
    u_char       *p;
    ngx_str_t    *word;
    ngx_array_t  *list;

    list = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));

    if (list == NULL) {
        return NULL;
    }

    for ( ;; ) {

        for (p = text; *p && *p != ','; p++) { /* void */ }

        word = ngx_array_push(list);
        if (word == NULL) {
            return NULL;
        }

        word->data = text;
        word->len = p - text;

        if (*p == '\0') {
            return list;
        }

        text = p + 1;
    }
}


/* NULL is all types. */

static ngx_uint_t
ngx_im_group_overlap(ngx_array_t *a, ngx_array_t *b)
{
    ngx_str_t   *x, *y;
    ngx_uint_t   i, k;

    if (a == NULL || b == NULL) {
        return 1;
    }

    x = a->elts;
    y = b->elts;

    for (i = 0; i < a->nelts; i++) {
        for (k = 0; k < b->nelts; k++) {
            if (x[i].len == y[k].len
                && ngx_memcmp(x[i].data, y[k].data, x[i].len) == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


static ngx_uint_t
ngx_im_group_keys(ngx_array_t *fields)
{
    ngx_uint_t             i, k, n;
    im_app_group_field_t  *f;

    f = fields->elts;
    n = 0;

    for (i = 0; i < fields->nelts; i++) {

        for (k = 0; k < i; k++) {
            if (f[k].name.len == f[i].name.len
                && ngx_strcmp(f[k].name.data, f[i].name.data) == 0)
            {
                break;
            }
        }

        n += (k == i);
    }

    return n;
}
