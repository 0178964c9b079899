
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_app_field.h"
#include "domain/im_cache.h"
#include "domain/im_callback_sns.h"
#include "domain/im_friend.h"
#include "domain/im_inbox.h"
#include "domain/im_profile.h"
#include "domain/im_word.h"


#define IM_PROFILE_TRIES  8
#define IM_PROFILE_VALUE  500        /* bytes */
#define IM_PROFILE_TAG    "Tag_Profile_"
#define IM_PROFILE_OWN    "Tag_Profile_Custom_"


/* A standard field: its Tag, where it lies, what is legal. */

typedef struct {
    ngx_str_t          tag;
    im_col_e           type;
    size_t             offset;
    size_t             max;          /* bytes */
    im_code_t          too_long;
    ngx_str_t         *words;        /* legal values, ends with an empty one;
                                        the first is the default */
    unsigned           admin_only:1;
} im_profile_tag_t;


static im_profile_tag_t *im_profile_find(ngx_str_t *name);
static im_app_field_t *im_profile_field(im_ctx_t *ctx, ngx_str_t *name);
static void im_profile_tag_json(im_ctx_t *ctx, im_json_t *list,
    im_profile_t *profile, im_profile_tag_t *tag);
static im_code_t im_profile_apply_field(im_ctx_t *ctx, im_profile_t *profile,
    im_app_field_t *field, ngx_str_t *name, im_json_t *value,
    im_json_t *changes);
static ngx_int_t im_profile_tell_owner(im_ctx_t *ctx, ngx_str_t *owner,
    void *data);
static im_code_t im_profile_apply(im_ctx_t *ctx, im_profile_t *profile,
    im_json_t *item, im_json_t *changes);
static void im_profile_tell(im_ctx_t *ctx, ngx_str_t *user,
    im_json_t *changes);
static ngx_int_t im_profile_put(im_ctx_t *ctx, im_profile_t *profile,
    im_json_t *items);


static ngx_str_t  im_profile_genders[] = {
    ngx_string("Gender_Type_Unknown"),
    ngx_string("Gender_Type_Female"),
    ngx_string("Gender_Type_Male"),
    ngx_null_string
};


static ngx_str_t  im_profile_allows[] = {
    ngx_string("AllowType_Type_AllowAny"),
    ngx_string("AllowType_Type_NeedConfirm"),
    ngx_string("AllowType_Type_DenyAny"),
    ngx_null_string
};


static ngx_str_t  im_profile_forbids[] = {
    ngx_string("AdminForbid_Type_None"),
    ngx_string("AdminForbid_Type_SendOut"),
    ngx_null_string
};


static im_profile_tag_t  im_profile_tags[] = {

    { ngx_string("Tag_Profile_IM_Nick"), IM_COL_STR,
      offsetof(im_profile_t, nick), 500, IM_E_PROFILE_SIZE, NULL, 0 },

    { ngx_string("Tag_Profile_IM_Gender"), IM_COL_STR,
      offsetof(im_profile_t, gender), 0, 0, im_profile_genders, 0 },

    { ngx_string("Tag_Profile_IM_BirthDay"), IM_COL_INT,
      offsetof(im_profile_t, birthday), 0, 0, NULL, 0 },

    { ngx_string("Tag_Profile_IM_Location"), IM_COL_STR,
      offsetof(im_profile_t, location), 16, IM_E_PROFILE_VALUE, NULL, 0 },

    { ngx_string("Tag_Profile_IM_SelfSignature"), IM_COL_STR,
      offsetof(im_profile_t, signature), 500, IM_E_PROFILE_SIZE, NULL, 0 },

    { ngx_string("Tag_Profile_IM_AllowType"), IM_COL_STR,
      offsetof(im_profile_t, allow), 0, 0, im_profile_allows, 0 },

    { ngx_string("Tag_Profile_IM_Language"), IM_COL_INT,
      offsetof(im_profile_t, language), 0, 0, NULL, 0 },

    { ngx_string("Tag_Profile_IM_Image"), IM_COL_STR,
      offsetof(im_profile_t, face), 500, IM_E_PROFILE_SIZE, NULL, 0 },

    { ngx_string("Tag_Profile_IM_MsgSettings"), IM_COL_INT,
      offsetof(im_profile_t, settings), 0, 0, NULL, 0 },

    { ngx_string("Tag_Profile_IM_AdminForbidType"), IM_COL_STR,
      offsetof(im_profile_t, forbid), 0, 0, im_profile_forbids, 1 },

    { ngx_string("Tag_Profile_IM_Level"), IM_COL_INT,
      offsetof(im_profile_t, level), 0, 0, NULL, 0 },

    { ngx_string("Tag_Profile_IM_Role"), IM_COL_INT,
      offsetof(im_profile_t, role), 0, 0, NULL, 0 },

    { ngx_null_string, 0, 0, 0, 0, NULL, 0 }
};


im_record_t  im_profile_record[] = {
    { ngx_string("user"), IM_COL_STR, offsetof(im_profile_t, user) },
    { ngx_string("nick"), IM_COL_STR, offsetof(im_profile_t, nick) },
    { ngx_string("face"), IM_COL_STR, offsetof(im_profile_t, face) },
    { ngx_string("gender"), IM_COL_STR, offsetof(im_profile_t, gender) },
    { ngx_string("location"), IM_COL_STR, offsetof(im_profile_t, location) },
    { ngx_string("signature"), IM_COL_STR, offsetof(im_profile_t, signature) },
    { ngx_string("allow"), IM_COL_STR, offsetof(im_profile_t, allow) },
    { ngx_string("forbid"), IM_COL_STR, offsetof(im_profile_t, forbid) },
    { ngx_string("birthday"), IM_COL_INT, offsetof(im_profile_t, birthday) },
    { ngx_string("language"), IM_COL_INT, offsetof(im_profile_t, language) },
    { ngx_string("settings"), IM_COL_INT, offsetof(im_profile_t, settings) },
    { ngx_string("level"), IM_COL_INT, offsetof(im_profile_t, level) },
    { ngx_string("role"), IM_COL_INT, offsetof(im_profile_t, role) },
    { ngx_string("custom"), IM_COL_STR, offsetof(im_profile_t, custom) },
    { ngx_string("nkey"), IM_COL_STR, offsetof(im_profile_t, nkey) },
      im_null_record
};


static im_profile_tag_t *
im_profile_find(ngx_str_t *name)
{
    im_profile_tag_t  *tag;

    for (tag = im_profile_tags; tag->tag.len; tag++) {
        if (im_str_eq(&tag->tag, name)) {
            return tag;
        }
    }

    return NULL;
}


/* Tag_Profile_Custom_NAME, also with the SDKAppID before the name. */

static im_app_field_t *
im_profile_field(im_ctx_t *ctx, ngx_str_t *name)
{
    u_char     app[NGX_INT64_LEN + 1];
    size_t     len;
    ngx_str_t  rest;

    len = sizeof(IM_PROFILE_OWN) - 1;

    if (name->len <= len
        || ngx_memcmp(name->data, IM_PROFILE_OWN, len) != 0)
    {
        return NULL;
    }

    rest.data = name->data + len;
    rest.len = name->len - len;

    len = ngx_sprintf(app, "%ui_", ctx->app->id) - app;

    if (rest.len > len && ngx_memcmp(rest.data, app, len) == 0) {
        rest.data += len;
        rest.len -= len;
    }

    return im_app_field(ctx, IM_FIELDS_PROFILE, &rest);
}


ngx_uint_t
im_profile_is_tag(ngx_str_t *tag)
{
    return tag->len > sizeof(IM_PROFILE_TAG) - 1
           && ngx_memcmp(tag->data, IM_PROFILE_TAG,
                         sizeof(IM_PROFILE_TAG) - 1)
              == 0;
}


im_code_t
im_profile_may_read(im_ctx_t *ctx, ngx_str_t *tag)
{
    ngx_uint_t       right;
    im_app_field_t  *field;

    if (im_profile_find(tag)) {
        return IM_OK;
    }

    field = im_profile_field(ctx, tag);

    if (field == NULL) {
        return IM_E_PROFILE_TAG;
    }

    right = (ctx->role == IM_ROLE_ADMIN) ? IM_FIELD_ADMIN : IM_FIELD_USER;

    return (field->read & right) ? IM_OK : IM_E_PROFILE_READ;
}


ngx_uint_t
im_profile_allow(im_app_t *app, im_profile_t *profile)
{
    ngx_uint_t  i;

    for (i = 0; im_profile_allows[i].len; i++) {
        if (im_str_eq(&im_profile_allows[i], &profile->allow)) {
            return i;
        }
    }

    return app->allow_type;
}


ngx_int_t
im_profile_get(im_ctx_t *ctx, ngx_str_t *user, im_profile_t *profile)
{
    return im_profile_get_many(ctx, user, 1, profile);
}


ngx_int_t
im_profile_get_many(im_ctx_t *ctx, ngx_str_t *users, ngx_uint_t n,
    im_profile_t *profiles)
{
    im_key_t    *keys;
    im_row_t    *rows;
    ngx_int_t    rc;
    ngx_uint_t   i, k, m;

    for (i = 0; i < n; i += m) {
        m = ngx_min(n - i, 100);

        keys = ngx_palloc(ctx->pool, m * sizeof(im_key_t));
        rows = ngx_palloc(ctx->pool, m * sizeof(im_row_t));

        if (keys == NULL || rows == NULL) {
            return NGX_ERROR;
        }

        for (k = 0; k < m; k++) {
            im_key_init(&keys[k], ctx->app->id);
            im_key_str(&keys[k], &users[i + k]);
        }

        rc = im_store_get_many(ctx, IM_T_PROFILE, keys, m, rows);
        if (rc != NGX_OK) {
            return rc;
        }

        for (k = 0; k < m; k++) {
            ngx_memzero(&profiles[i + k], sizeof(im_profile_t));

            if (rows[k].data.data) {
                im_record_load(&rows[k], im_profile_record, &profiles[i + k]);
                profiles[i + k].version = rows[k].version;
            }

            profiles[i + k].user = users[i + k];
        }
    }

    return NGX_OK;
}


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
            im_callback_profile(ctx, user, items);
            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            break;
        }
    }

    return IM_E_PROFILE_INTERNAL;
}


void
im_profile_json(im_ctx_t *ctx, im_json_t *list, im_profile_t *profile)
{
    u_char            *p;
    ngx_str_t          name;
    ngx_uint_t         i;
    ngx_array_t       *fields;
    im_app_field_t    *field;
    im_profile_tag_t  *tag;

    for (tag = im_profile_tags; tag->tag.len; tag++) {
        im_profile_tag_json(ctx, list, profile, tag);
    }

    fields = profile->custom.len ? im_app_fields(ctx, IM_FIELDS_PROFILE)
                                 : NULL;
    if (fields == NULL) {
        return;
    }

    field = fields->elts;

    for (i = 0; i < fields->nelts; i++) {

        p = ngx_pnalloc(ctx->pool,
                        sizeof(IM_PROFILE_OWN) + field[i].name.len);
        if (p == NULL) {
            return;
        }

        name.data = p;
        name.len = ngx_sprintf(p, IM_PROFILE_OWN "%V", &field[i].name) - p;

        if (im_profile_may_read(ctx, &name) == IM_OK) {
            im_profile_tags_json(ctx, list, profile, &name, 1);
        }
    }
}


void
im_profile_tags_json(im_ctx_t *ctx, im_json_t *list, im_profile_t *profile,
    ngx_str_t *tags, ngx_uint_t n)
{
    im_json_t         *custom, *value, *item;
    ngx_uint_t         i;
    im_app_field_t    *field;
    im_profile_tag_t  *tag;

    custom = NULL;

    for (i = 0; i < n; i++) {

        tag = im_profile_find(&tags[i]);

        if (tag) {
            im_profile_tag_json(ctx, list, profile, tag);
            continue;
        }

        field = im_profile_field(ctx, &tags[i]);

        if (field == NULL || profile->custom.len == 0) {
            continue;
        }

        if (custom == NULL
            && im_json_parse(ctx->pool, &profile->custom, IM_JSON_DEPTH,
                             &custom)
               != NGX_OK)
        {
            continue;
        }

        value = im_json_get_key(custom, &field->name);

        if (value) {
            item = im_json_push_obj(list);
            im_json_add_str(item, "Tag", &tags[i]);
            im_json_add_node(item, "Value", value);
        }
    }
}


static void
im_profile_tag_json(im_ctx_t *ctx, im_json_t *list, im_profile_t *profile,
    im_profile_tag_t *tag)
{
    int64_t    *num;
    ngx_str_t  *str;
    im_json_t  *item;

    num = (int64_t *) ((u_char *) profile + tag->offset);
    str = (ngx_str_t *) ((u_char *) profile + tag->offset);

    if (tag->type == IM_COL_STR && str->len == 0) {

        if (tag->words == NULL) {
            return;
        }

        str = (tag->words == im_profile_allows)
              ? &tag->words[ctx->app->allow_type] : &tag->words[0];
    }

    item = im_json_push_obj(list);

    im_json_add_str(item, "Tag", &tag->tag);

    if (tag->type == IM_COL_STR) {
        im_json_add_str(item, "Value", str);

    } else {
        im_json_add_int(item, "Value", *num);
    }
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
    im_batch_t  *batch;

    if (im_profile_nkey(ctx, &profile->nick, &profile->nkey) != NGX_OK) {
        return NGX_ERROR;
    }

    im_key_init(&key, ctx->app->id);
    im_key_str(&key, &profile->user);

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_store_replace(batch, IM_T_PROFILE, &key, profile->version,
                     im_record_doc(ctx->pool, im_profile_record, profile));

    if (items && im_callback_stage(ctx, batch)) {
        im_callback_profile(ctx, &profile->user, items);
        im_callback_staged(ctx);
    }

    return im_cache_commit(ctx, batch);
}
