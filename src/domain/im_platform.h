
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_PLATFORM_H_INCLUDED_
#define _IM_PLATFORM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"


/* Numbers on the wire (web-v2.md 2). */

#define IM_PLATFORM_REST     0
#define IM_PLATFORM_WINDOWS  1
#define IM_PLATFORM_ANDROID  2
#define IM_PLATFORM_IPHONE   3
#define IM_PLATFORM_MAC      4
#define IM_PLATFORM_WEB      7
#define IM_PLATFORM_IPAD     13
#define IM_PLATFORM_MAX      100     /* all are below it */


typedef enum {
    IM_CLASS_WEB = 0,                /* and mini programs */
    IM_CLASS_ANDROID,
    IM_CLASS_IPHONE,
    IM_CLASS_IPAD,
    IM_CLASS_WINDOWS,
    IM_CLASS_MAC,
    IM_CLASSES
} im_class_e;


ngx_uint_t im_platform_class(ngx_uint_t platform);

/* As in the answers of querystate. */
ngx_str_t *im_platform_name(ngx_uint_t platform);

/* Classes with the same group end each other under the policy (im_multi_e). */
ngx_uint_t im_platform_group(ngx_uint_t policy, ngx_uint_t class);

/* Instances of one class that may be logged in at the same time. */
ngx_uint_t im_platform_limit(im_app_t *app, ngx_uint_t class);

/* Members of NewInstInfo. */
void im_platform_json(im_json_t *obj, ngx_uint_t platform, int64_t inst);


#endif /* _IM_PLATFORM_H_INCLUDED_ */
