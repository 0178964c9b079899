
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_platform.h"


static ngx_str_t  im_platform_names[] = {
    ngx_string("Web"),
    ngx_string("Android"),
    ngx_string("iPhone"),
    ngx_string("iPad"),
    ngx_string("PC"),
    ngx_string("Mac")
};


/* Rows: im_multi_e; columns: im_class_e. */

static u_char  im_platform_groups[][IM_CLASSES] = {
             /* Web And iPh iPad Win Mac */
    /* none */ { 0, 0, 0, 0, 0, 0 },
    /* mobile_pc */ { 1, 0, 0, 0, 1, 1 },
    /* different_platforms */ { 0, 1, 2, 3, 4, 5 },
    /* single */ { 0, 0, 0, 0, 0, 0 },
    /* double */ { 1, 0, 0, 0, 0, 0 },
    /* triple */ { 2, 0, 0, 0, 1, 1 },
    /* multi */ { 0, 1, 2, 3, 4, 5 }
};


ngx_uint_t
im_platform_class(ngx_uint_t platform)
{
    switch (platform) {

    case IM_PLATFORM_WINDOWS:
        return IM_CLASS_WINDOWS;

    case IM_PLATFORM_ANDROID:
        return IM_CLASS_ANDROID;

    case IM_PLATFORM_IPHONE:
        return IM_CLASS_IPHONE;

    case IM_PLATFORM_MAC:
        return IM_CLASS_MAC;

    case IM_PLATFORM_IPAD:
        return IM_CLASS_IPAD;

    default:
        return IM_CLASS_WEB;
    }
}


ngx_str_t *
im_platform_name(ngx_uint_t platform)
{
    return &im_platform_names[im_platform_class(platform)];
}


ngx_uint_t
im_platform_group(ngx_uint_t policy, ngx_uint_t class)
{
    return im_platform_groups[policy][class];
}


ngx_uint_t
im_platform_limit(im_app_t *app, ngx_uint_t class)
{
    if (class != IM_CLASS_WEB
        || app->multi_device == IM_MULTI_NONE
        || app->multi_device == IM_MULTI_MOBILE_PC)
    {
        return 1;
    }

    return app->web_instances;
}


void
im_platform_json(im_json_t *obj, ngx_uint_t platform, int64_t inst)
{
    im_json_add_int(obj, "InstId", inst);
    im_json_add_int(obj, "PlatformId", platform);
    im_json_add_str(obj, "Platform", im_platform_name(platform));
}
