
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_elem.h"


#define IM_ELEM_OPTIONAL   0
#define IM_ELEM_REQUIRED   1
#define IM_ELEM_REST       2         /* required of back ends */


typedef enum {
    IM_ELEM_STR = 0,
    IM_ELEM_NUM,
    IM_ELEM_SIZE,                    /* an integer, not negative */
    IM_ELEM_FLAG,                    /* of back ends: 2 */
    IM_ELEM_IMAGES
} im_elem_kind_e;


typedef struct {
    const char        *name;
    im_elem_kind_e     kind;
    ngx_uint_t         required;
} im_elem_member_t;


typedef struct {
    ngx_str_t          name;
    im_elem_member_t  *members;
    unsigned           plain:1;
    unsigned           client_only:1;
    unsigned           any:1;        /* at least one of the members */
    unsigned           flag:1;       /* Download_Flag goes with Url */
} im_elem_type_t;


typedef struct {
    const char        *object;       /* NULL: a member of the info itself */
    const char        *name;
    unsigned           is_int:1;
} im_elem_push_t;


static im_code_t im_elem_check_one(im_ctx_t *ctx, im_json_t *elem,
    im_elem_rules_t *rules, im_elem_type_t **type);
static ngx_int_t im_elem_check_members(im_ctx_t *ctx, im_json_t *obj,
    im_elem_member_t *members, im_elem_rules_t *rules);
static ngx_int_t im_elem_check_value(im_ctx_t *ctx, im_json_t *value,
    im_elem_kind_e kind, im_elem_rules_t *rules);
static void im_elem_wrong(im_ctx_t *ctx, const char *name);


im_elem_rules_t  im_elem_rest = {
    IM_E_C2C_FORMAT, IM_E_C2C_ELEM, IM_E_C2C_SIZE, 1, 0
};

im_elem_rules_t  im_elem_batch = {
    IM_E_C2C_FORMAT, IM_E_C2C_ELEM, IM_E_BATCH_SIZE, 1, 0
};

im_elem_rules_t  im_elem_client = {
    IM_E_C2C_FORMAT, IM_E_C2C_ELEM, IM_E_SIZE, 0, 0
};

im_elem_rules_t  im_elem_modify = {
    IM_E_C2C_FORMAT, IM_E_C2C_ELEM, IM_E_SIZE, 0, 1
};

im_elem_rules_t  im_elem_group_rest = {
    IM_E_GROUP_PARAM, IM_E_GROUP_PARAM, IM_E_SIZE, 1, 0
};

im_elem_rules_t  im_elem_group_client = {
    IM_E_GROUP_PARAM, IM_E_GROUP_PARAM, IM_E_SIZE, 0, 0
};


static im_elem_member_t  im_elem_text[] = {
    { "Text", IM_ELEM_STR, IM_ELEM_REQUIRED },
    { NULL, 0, 0 }
};


static im_elem_member_t  im_elem_location[] = {
    { "Desc", IM_ELEM_STR, IM_ELEM_REQUIRED },
    { "Latitude", IM_ELEM_NUM, IM_ELEM_REQUIRED },
    { "Longitude", IM_ELEM_NUM, IM_ELEM_REQUIRED },
    { NULL, 0, 0 }
};


static im_elem_member_t  im_elem_face[] = {
    { "Index", IM_ELEM_NUM, IM_ELEM_REQUIRED },
    { "Data", IM_ELEM_STR, IM_ELEM_OPTIONAL },
    { NULL, 0, 0 }
};


static im_elem_member_t  im_elem_custom[] = {
    { "Data", IM_ELEM_STR, IM_ELEM_OPTIONAL },
    { "Desc", IM_ELEM_STR, IM_ELEM_OPTIONAL },
    { "Ext", IM_ELEM_STR, IM_ELEM_OPTIONAL },
    { "Sound", IM_ELEM_STR, IM_ELEM_OPTIONAL },
    { NULL, 0, 0 }
};


static im_elem_member_t  im_elem_sound[] = {
    { "Url", IM_ELEM_STR, IM_ELEM_REST },
    { "UUID", IM_ELEM_STR, IM_ELEM_REST },
    { "Size", IM_ELEM_SIZE, IM_ELEM_OPTIONAL },
    { "Second", IM_ELEM_SIZE, IM_ELEM_OPTIONAL },
    { "Download_Flag", IM_ELEM_FLAG, IM_ELEM_REST },
    { NULL, 0, 0 }
};


static im_elem_member_t  im_elem_image[] = {
    { "UUID", IM_ELEM_STR, IM_ELEM_REST },
    { "ImageFormat", IM_ELEM_NUM, IM_ELEM_OPTIONAL },
    { "ImageInfoArray", IM_ELEM_IMAGES, IM_ELEM_REST },
    { NULL, 0, 0 }
};


static im_elem_member_t  im_elem_image_info[] = {
    { "Type", IM_ELEM_NUM, IM_ELEM_REST },
    { "Size", IM_ELEM_SIZE, IM_ELEM_OPTIONAL },
    { "Width", IM_ELEM_SIZE, IM_ELEM_REST },
    { "Height", IM_ELEM_SIZE, IM_ELEM_REST },
    { "URL", IM_ELEM_STR, IM_ELEM_REST },
    { NULL, 0, 0 }
};


static im_elem_member_t  im_elem_file[] = {
    { "Url", IM_ELEM_STR, IM_ELEM_REST },
    { "UUID", IM_ELEM_STR, IM_ELEM_REST },
    { "FileSize", IM_ELEM_SIZE, IM_ELEM_OPTIONAL },
    { "FileName", IM_ELEM_STR, IM_ELEM_OPTIONAL },
    { "Download_Flag", IM_ELEM_FLAG, IM_ELEM_REST },
    { NULL, 0, 0 }
};


static im_elem_member_t  im_elem_video[] = {
    { "VideoUrl", IM_ELEM_STR, IM_ELEM_REST },
    { "VideoUUID", IM_ELEM_STR, IM_ELEM_REST },
    { "VideoSize", IM_ELEM_SIZE, IM_ELEM_OPTIONAL },
    { "VideoSecond", IM_ELEM_SIZE, IM_ELEM_OPTIONAL },
    { "VideoFormat", IM_ELEM_STR, IM_ELEM_OPTIONAL },
    { "VideoDownloadFlag", IM_ELEM_FLAG, IM_ELEM_REST },
    { "ThumbUrl", IM_ELEM_STR, IM_ELEM_REST },
    { "ThumbUUID", IM_ELEM_STR, IM_ELEM_REST },
    { "ThumbSize", IM_ELEM_SIZE, IM_ELEM_OPTIONAL },
    { "ThumbWidth", IM_ELEM_SIZE, IM_ELEM_REST },
    { "ThumbHeight", IM_ELEM_SIZE, IM_ELEM_REST },
    { "ThumbFormat", IM_ELEM_STR, IM_ELEM_OPTIONAL },
    { "ThumbDownloadFlag", IM_ELEM_FLAG, IM_ELEM_REST },
    { NULL, 0, 0 }
};


static im_elem_member_t  im_elem_relay[] = {
    { NULL, 0, 0 }
};


static im_elem_type_t  im_elem_types[] = {
    { ngx_string("TIMTextElem"), im_elem_text, 1, 0, 0, 0 },
    { ngx_string("TIMCustomElem"), im_elem_custom, 1, 0, 1, 0 },
    { ngx_string("TIMFaceElem"), im_elem_face, 1, 0, 0, 0 },
    { ngx_string("TIMLocationElem"), im_elem_location, 1, 0, 0, 0 },
    { ngx_string("TIMImageElem"), im_elem_image, 0, 0, 0, 0 },
    { ngx_string("TIMSoundElem"), im_elem_sound, 0, 0, 0, 1 },
    { ngx_string("TIMFileElem"), im_elem_file, 0, 0, 0, 1 },
    { ngx_string("TIMVideoFileElem"), im_elem_video, 0, 0, 0, 0 },
    { ngx_string("TIMRelayElem"), im_elem_relay, 0, 1, 0, 0 },
    { ngx_null_string, NULL, 0, 0, 0, 0 }
};


static im_elem_push_t  im_elem_push[] = {
    { NULL, "PushFlag", 1 },
    { NULL, "Title", 0 },
    { NULL, "Desc", 0 },
    { NULL, "Ext", 0 },
    { NULL, "Sound", 0 },
    { "AndroidInfo", "Sound", 0 },
    { "AndroidInfo", "HuaWeiChannelID", 0 },
    { "AndroidInfo", "XiaoMiChannelID", 0 },
    { "AndroidInfo", "OPPOChannelID", 0 },
    { "AndroidInfo", "GoogleChannelID", 0 },
    { "AndroidInfo", "VIVOClassification", 1 },
    { "AndroidInfo", "HuaWeiImportance", 0 },
    { "AndroidInfo", "ExtAsHuaweiIntentParam", 1 },
    { "ApnsInfo", "Sound", 0 },
    { "ApnsInfo", "BadgeMode", 1 },
    { "ApnsInfo", "Title", 0 },
    { "ApnsInfo", "SubTitle", 0 },
    { "ApnsInfo", "Image", 0 },
    { "ApnsInfo", "MutableContent", 1 },
    { NULL, NULL, 0 }
};


im_code_t
im_elem_check(im_ctx_t *ctx, im_json_t *list, im_elem_rules_t *rules,
    ngx_str_t *cloud, ngx_str_t *body)
{
    size_t           size;
    im_code_t        code;
    im_json_t       *elem;
    ngx_uint_t       custom;
    im_elem_type_t  *type;

    if (im_json_first(list) == NULL) {
        ngx_str_set(&ctx->info, "MsgBody is missing or empty");
        return rules->format;
    }

    custom = 0;
    type = NULL;

    im_json_each(elem, list) {

        code = im_elem_check_one(ctx, elem, rules, &type);
        if (code != IM_OK) {
            return code;
        }

        if (type->any && custom++) {
            ngx_str_set(&ctx->info, "more than one TIMCustomElem in MsgBody");
            return rules->custom;
        }
    }

    if (im_json_render(ctx->pool, list, body) != NGX_OK) {
        return rules->format;
    }

    size = body->len + (cloud ? cloud->len : 0);

    return (size > ctx->app->message_size) ? rules->size : IM_OK;
}


static im_code_t
im_elem_check_one(im_ctx_t *ctx, im_json_t *elem, im_elem_rules_t *rules,
    im_elem_type_t **type)
{
    ngx_str_t          name, url;
    im_json_t         *content;
    im_elem_type_t    *t;
    im_elem_member_t  *m;

    if (im_json_get_str(elem, "MsgType", &name) != NGX_OK) {
        im_elem_wrong(ctx, "MsgType");
        return rules->format;
    }

    if (im_json_get_obj(elem, "MsgContent", &content) != NGX_OK) {
        im_elem_wrong(ctx, "MsgContent");
        return rules->format;
    }

    for (t = im_elem_types; t->name.len; t++) {
        if (im_str_eq(&t->name, &name)) {
            break;
        }
    }

    if (t->name.len == 0
        || (t->client_only && rules->rest)
        || (!t->plain
            && (rules->plain
                || (rules->rest && !ctx->app->rest_rich_media))))
    {
        im_elem_wrong(ctx, "MsgType");
        return rules->format;
    }

    *type = t;

    if (t->flag
        && rules->rest
        && im_json_get_str(content, "Url", &url) == NGX_OK
        && im_json_get(content, "Download_Flag") == NULL)
    {
        (void) im_json_add_int(content, "Download_Flag", 2);
    }

    if (im_elem_check_members(ctx, content, t->members, rules) != NGX_OK) {
        return rules->format;
    }

    if (t->any) {

        for (m = t->members; m->name; m++) {
            if (im_json_get(content, m->name)) {
                return IM_OK;
            }
        }

        im_elem_wrong(ctx, "MsgContent");
        return rules->format;
    }

    return IM_OK;
}


static ngx_int_t
im_elem_check_members(im_ctx_t *ctx, im_json_t *obj,
    im_elem_member_t *members, im_elem_rules_t *rules)
{
    im_json_t         *value;
    im_elem_member_t  *m;

    if (obj->type != IM_JSON_OBJ) {
        im_elem_wrong(ctx, "ImageInfoArray");
        return NGX_DECLINED;
    }

    for (m = members; m->name; m++) {

        value = im_json_get(obj, m->name);

        if (value == NULL || value->type == IM_JSON_NULL) {

            if (m->required == IM_ELEM_REQUIRED
                || (m->required == IM_ELEM_REST && rules->rest))
            {
                im_elem_wrong(ctx, m->name);
                return NGX_DECLINED;
            }

            continue;
        }

        if (im_elem_check_value(ctx, value, m->kind, rules) != NGX_OK) {
            im_elem_wrong(ctx, m->name);
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
im_elem_check_value(im_ctx_t *ctx, im_json_t *value, im_elem_kind_e kind,
    im_elem_rules_t *rules)
{
    ngx_uint_t   ok;
    im_json_t   *item;

    switch (kind) {

    case IM_ELEM_STR:
        ok = (value->type == IM_JSON_STR);
        break;

    case IM_ELEM_NUM:
        ok = (value->type == IM_JSON_NUM);
        break;

    case IM_ELEM_SIZE:
        ok = (value->type == IM_JSON_NUM
              && (!rules->rest || (value->is_int && value->num >= 0)));
        break;

    case IM_ELEM_FLAG:
        ok = (value->type == IM_JSON_NUM
              && (!rules->rest || (value->is_int && value->num == 2)));
        break;

    default:                             /* IM_ELEM_IMAGES */
        ok = (value->type == IM_JSON_LIST && (!rules->rest || value->n > 0));
        break;
    }

    if (!ok) {
        return NGX_DECLINED;
    }

    if (kind == IM_ELEM_IMAGES) {
        im_json_each(item, value) {
            if (im_elem_check_members(ctx, item, im_elem_image_info, rules)
                != NGX_OK)
            {
                return NGX_DECLINED;
            }
        }
    }

    return NGX_OK;
}


static void
im_elem_wrong(im_ctx_t *ctx, const char *name)
{
    u_char  *p;
    size_t   len;

    if (ctx->info.len) {
        return;
    }

    len = sizeof("MsgBody:  is missing or illegal") - 1 + ngx_strlen(name);

    p = ngx_pnalloc(ctx->pool, len);
    if (p == NULL) {
        return;
    }

    ctx->info.data = p;
    ctx->info.len = ngx_sprintf(p, "MsgBody: %s is missing or illegal", name)
                    - p;
}


ngx_int_t
im_elem_push_check(im_ctx_t *ctx, im_json_t *info)
{
    int64_t          n;
    im_json_t       *obj;
    ngx_int_t        rc;
    ngx_str_t        str;
    im_elem_push_t  *p;

    if (info == NULL) {
        return NGX_OK;
    }

    for (p = im_elem_push; p->name; p++) {

        obj = info;

        if (p->object) {
            rc = im_json_get_obj(info, p->object, &obj);

            if (rc == NGX_DECLINED) {
                continue;
            }

            if (rc != NGX_OK) {
                return NGX_DECLINED;
            }
        }

        rc = p->is_int ? im_json_get_int(obj, p->name, &n)
                       : im_json_get_str(obj, p->name, &str);

        if (rc == NGX_ERROR) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}
