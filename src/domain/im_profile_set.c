
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_cache.h"
#include "domain/im_callback_sns.h"
#include "domain/im_friend.h"
#include "domain/im_inbox.h"
#include "domain/im_profile_tag.h"
#include "domain/im_word.h"


/* Writing profiles, and telling of it. */

#define IM_PROFILE_TRIES  8
#define IM_PROFILE_VALUE  500        /* bytes */


static im_code_t im_profile_apply(im_ctx_t *ctx, im_profile_t *profile,
    im_json_t *item, im_json_t *changes);
static im_code_t im_profile_apply_field(im_ctx_t *ctx, im_profile_t *profile,
    im_app_field_t *field, ngx_str_t *name, im_json_t *value,
    im_json_t *changes);
static void im_profile_tell(im_ctx_t *ctx, ngx_str_t *user,
    im_json_t *changes);
static ngx_int_t im_profile_tell_owner(im_ctx_t *ctx, ngx_str_t *owner,
    void *data);
static ngx_int_t im_profile_put(im_ctx_t *ctx, im_profile_t *profile,
    im_json_t *items);


im_code_t
im_profile_set_simple(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *nick,
    ngx_str_t *face)
{
    ngx_int_t     rc;
    ngx_uint_t    tries;
    im_profile_t  profile;

    if (nick->data == NULL && face->data == NULL) {
        return IM_OK;
    }

    if (im_word_dirty(ctx, nick)) {
        return IM_E_PROFILE_DIRTY;
    }

    for (tries = 0; tries < IM_PROFILE_TRIES; tries++) {

        rc = im_profile_get(ctx, user, &profile);
        if (rc != NGX_OK) {
            break;
        }

        if (nick->data) {
            profile.nick = *nick;
        }

        if (face->data) {
            profile.face = *face;
        }

        rc = im_profile_put(ctx, &profile, NULL);

        if (rc == NGX_OK) {
            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            break;
        }
    }

    return IM_E_PROFILE_INTERNAL;
}


im_code_t
im_profile_set(im_ctx_t *ctx, ngx_str_t *user, im_json_t *items)
{
    im_code_t     code;
    ngx_int_t     rc;
    im_json_t    *item, *changes;
    ngx_uint_t    tries;
    im_profile_t  profile;

    for (tries = 0; tries < IM_PROFILE_TRIES; tries++) {

        rc = im_profile_get(ctx, user, &profile);
        if (rc != NGX_OK) {
            break;
        }

        changes = im_json_new_list(ctx->pool);

        im_json_each(item, items) {
            code = im_profile_apply(ctx, &profile, item, changes);
            if (code != IM_OK) {
                return code;
            }
        }

        if (im_json_failed(changes)) {
            break;
        }

        if (changes->n == 0) {
            return IM_OK;
        }

        rc = im_profile_put(ctx, &profile, items);

        if (rc == NGX_OK) {
            im_profile_tell(ctx, user, changes);
            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            break;
        }
    }

    return IM_E_PROFILE_INTERNAL;
}


static im_code_t
im_profile_apply(im_ctx_t *ctx, im_profile_t *profile, im_json_t *item,
    im_json_t *changes)
{
    int64_t           *num, n;
    ngx_str_t         *str, name;
    im_json_t         *value, *change;
    ngx_uint_t         i;
    im_app_field_t    *field;
    im_profile_tag_t  *tag;

    if (im_json_get_str(item, "Tag", &name) != NGX_OK) {
        ngx_str_set(&ctx->info, "\"Tag\" must be a string");
        return IM_E_PROFILE_PARAM;
    }

    value = im_json_get(item, "Value");

    if (value == NULL) {
        ngx_str_set(&ctx->info, "\"Value\" is missing");
        return IM_E_PROFILE_PARAM;
    }

    tag = im_profile_find(&name);

    if (tag == NULL) {
        field = im_profile_field(ctx, &name);

        if (field == NULL) {
            return IM_E_PROFILE_TAG;
        }

        return im_profile_apply_field(ctx, profile, field, &name, value,
                                      changes);
    }

    if (tag->admin_only && ctx->role != IM_ROLE_ADMIN) {
        return IM_E_PROFILE_WRITE;
    }

    if (tag->type == IM_COL_INT) {

        if (value->type != IM_JSON_NUM) {
            return IM_E_PROFILE_TYPE;
        }

        if (im_json_get_int(item, "Value", &n) != NGX_OK
            || n < 0 || n > 4294967295LL)
        {
            return IM_E_PROFILE_VALUE;
        }

        num = (int64_t *) ((u_char *) profile + tag->offset);

        if (*num == n) {
            return IM_OK;
        }

        *num = n;

        change = im_json_push_obj(changes);
        im_json_add_str(change, "Tag", &tag->tag);
        im_json_add_int(change, "ValueNum", n);

        return IM_OK;
    }

    if (value->type != IM_JSON_STR) {
        return IM_E_PROFILE_TYPE;
    }

    if (ngx_strlchr(value->u.text.data,
                    value->u.text.data + value->u.text.len, '\0'))
    {
        return IM_E_PROFILE_VALUE;
    }

    if (tag->max && value->u.text.len > tag->max) {
        return tag->too_long;
    }

    if (tag->words && value->u.text.len) {
        for (i = 0; tag->words[i].len; i++) {
            if (im_str_eq(&tag->words[i], &value->u.text)) {
                break;
            }
        }

        if (tag->words[i].len == 0) {
            return IM_E_PROFILE_VALUE;
        }
    }

    str = (ngx_str_t *) ((u_char *) profile + tag->offset);

    if (im_str_eq(str, &value->u.text)) {
        return IM_OK;
    }

    if (tag->words == NULL && im_word_dirty(ctx, &value->u.text)) {
        return IM_E_PROFILE_DIRTY;
    }

    *str = value->u.text;

    change = im_json_push_obj(changes);
    im_json_add_str(change, "Tag", &tag->tag);
    im_json_add_str(change, "ValueBytes", str);

    return IM_OK;
}


static im_code_t
im_profile_apply_field(im_ctx_t *ctx, im_profile_t *profile,
    im_app_field_t *field, ngx_str_t *name, im_json_t *value,
    im_json_t *changes)
{
    char        *key;
    ngx_str_t    was, is;
    im_json_t   *old, *merged, *node, *change;
    ngx_uint_t   right;

    right = (ctx->role == IM_ROLE_ADMIN) ? IM_FIELD_ADMIN : IM_FIELD_USER;

    if (!(field->write & right)) {
        return IM_E_PROFILE_WRITE;
    }

    if (value->type != ((field->type == IM_FIELD_INT) ? IM_JSON_NUM
                                                      : IM_JSON_STR))
    {
        return IM_E_PROFILE_TYPE;
    }

    if (field->type == IM_FIELD_INT) {
        if (!value->is_int || value->num < 0 || value->num > 4294967295LL) {
            return IM_E_PROFILE_VALUE;
        }

    } else if (value->u.text.len > IM_PROFILE_VALUE) {
        return IM_E_PROFILE_SIZE;

    } else if (im_word_dirty(ctx, &value->u.text)) {
        return IM_E_PROFILE_DIRTY;
    }

    old = NULL;

    if (profile->custom.len
        && im_json_parse(ctx->pool, &profile->custom, IM_JSON_DEPTH, &old)
           != NGX_OK)
    {
        return IM_E_PROFILE_INTERNAL;
    }

    node = im_json_get_key(old, &field->name);

    if (im_json_render(ctx->pool, value, &is) != NGX_OK
        || (node && im_json_render(ctx->pool, node, &was) != NGX_OK))
    {
        return IM_E_PROFILE_INTERNAL;
    }

    if (node ? im_str_eq(&is, &was)
             : value->type == IM_JSON_STR && value->u.text.len == 0)
    {
        return IM_OK;
    }

    merged = im_json_new_obj(ctx->pool);

    im_json_each(node, old) {
        if (!im_str_eq(&node->key, &field->name)) {

            key = im_str_c(ctx->pool, &node->key);
            if (key == NULL) {
                return IM_E_PROFILE_INTERNAL;
            }

            im_json_add_node(merged, key, node);
        }
    }

    if (value->type == IM_JSON_NUM || value->u.text.len) {
        im_json_add_node(merged, (char *) field->name.data, value);
    }

    if (im_json_render(ctx->pool, merged, &profile->custom) != NGX_OK) {
        return IM_E_PROFILE_INTERNAL;
    }

    change = im_json_push_obj(changes);
    im_json_add_str(change, "Tag", name);
    im_json_add_node(change, (value->type == IM_JSON_NUM) ? "ValueNum"
                                                          : "ValueBytes",
                     value);

    return IM_OK;
}


/* Live hints: a client reads profiles when it starts. */

static void
im_profile_tell(im_ctx_t *ctx, ngx_str_t *user, im_json_t *changes)
{
    ngx_str_t        text, tag;
    im_json_t       *event, *mod, *list, *change;
    im_app_field_t  *field;

    event = im_json_new_obj(ctx->pool);

    im_json_add_int(event, "Event", 8);

    mod = im_json_push_obj(im_json_add_list(event, "ProfileDataMod"));

    im_json_add_int(mod, "PushType", 1);
    im_json_add_str(mod, "Profile_Account", user);

    list = im_json_add_list(mod, "ProfileList");

    im_json_each(change, changes) {

        if (im_json_get_str(change, "Tag", &tag) != NGX_OK) {
            continue;
        }

        field = im_profile_field(ctx, &tag);

        if (field == NULL || (field->read & IM_FIELD_USER)) {
            im_json_push_node(list, change);
        }
    }

    if (list && list->n == 0) {
        return;
    }

    if (im_json_render(ctx->pool, event, &text) != NGX_OK) {
        return;
    }

    im_inbox_publish(ctx, user, 0,
                     im_str_eq(user, &ctx->user) ? ctx->inst : 0, &text);

    if (im_friend_owners(ctx, user, im_profile_tell_owner, &text) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                      "not all friends of \"%V\" were told of his profile",
                      user);
    }
}


static ngx_int_t
im_profile_tell_owner(im_ctx_t *ctx, ngx_str_t *owner, void *data)
{
    ngx_str_t  *text = data;

    im_inbox_publish(ctx, owner, 0, 0, text);

    return NGX_OK;
}


/* items: what the app is told, or NULL. */

static ngx_int_t
im_profile_put(im_ctx_t *ctx, im_profile_t *profile, im_json_t *items)
{
    im_key_t     key;
    ngx_int_t    rc;
    im_batch_t  *batch;

    if (im_profile_nkey(ctx, &profile->nick, &profile->nkey) != NGX_OK) {
        return NGX_ERROR;
    }

    im_key_init(&key, ctx->app->id);
    im_key_str(&key, &profile->user);

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_store_replace(batch, IM_T_PROFILE, &key, profile->version,
                     im_record_doc(ctx->pool, im_profile_record, profile));

    im_callback_stage(ctx, batch);

    if (items) {
        im_callback_profile(ctx, &profile->user, items);
    }

    rc = im_cache_commit(ctx, batch);

    im_callback_committed(ctx, rc);

    return rc;
}
