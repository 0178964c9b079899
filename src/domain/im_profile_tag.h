
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_PROFILE_TAG_H_INCLUDED_
#define _IM_PROFILE_TAG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_app_field.h"
#include "domain/im_profile.h"


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


/* The standard field of the Tag, or NULL. */
im_profile_tag_t *im_profile_find(ngx_str_t *name);

/* The custom field of the Tag, or NULL. */
im_app_field_t *im_profile_field(im_ctx_t *ctx, ngx_str_t *name);


#endif /* _IM_PROFILE_TAG_H_INCLUDED_ */
