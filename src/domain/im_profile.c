
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_cache.h"
#include "domain/im_profile_tag.h"


#define IM_PROFILE_TAG    "Tag_Profile_"
#define IM_PROFILE_OWN    "Tag_Profile_Custom_"


static void im_profile_tag_json(im_ctx_t *ctx, im_json_t *list,
    im_profile_t *profile, im_profile_tag_t *tag);


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


im_profile_tag_t *
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

im_app_field_t *
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


void
im_profile_names(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *nick,
    ngx_str_t *face)
{
    im_key_t  key;
    im_row_t  row;

    ngx_str_set(nick, "");
    ngx_str_set(face, "");

    im_key_init(&key, ctx->app->id);
    im_key_str(&key, user);

    if (im_cache_get(ctx, IM_T_PROFILE, &key, &row) == NGX_OK) {
        (void) im_row_str(&row, "nick", nick);
        (void) im_row_str(&row, "face", face);
    }
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
