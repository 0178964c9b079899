
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_APP_FIELD_H_INCLUDED_
#define _IM_APP_FIELD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"


/*
 * Custom fields of profiles and friends: those of the configuration, and what
 * was declared at run time.  The latter are in the row "fields" of the table
 * "app", which all workers read anew when it has changed.
 */

typedef enum {
    IM_FIELDS_PROFILE = 0,
    IM_FIELDS_FRIEND,
    IM_FIELDS_KINDS
} im_fields_e;


/* A declaration.  What is not set stays as it is. */

typedef struct {
    ngx_str_t          name;         /* 1 to 8 letters, zero-terminated */
    ngx_int_t          type;         /* IM_FIELD_STR, IM_FIELD_INT, or -1 */
    ngx_uint_t         read;         /* bits, 0: not set */
    ngx_uint_t         write;
} im_field_change_t;


/* All fields: of im_app_field_t, names zero-terminated, NULL: none.  They are
 * read once in a command. */
ngx_array_t *im_app_fields(im_ctx_t *ctx, im_fields_e kind);

/* The field of the name, or NULL. */
im_app_field_t *im_app_field(im_ctx_t *ctx, im_fields_e kind,
    ngx_str_t *name);

/* 1 for a name that a field may have. */
ngx_uint_t im_app_field_name(ngx_str_t *name);

/*
 * Declares fields, and changes rights.  NGX_DECLINED: there would be too many,
 * or the type of one would be another; ctx->info tells.  NGX_BUSY, NGX_ERROR.
 */
ngx_int_t im_app_field_set(im_ctx_t *ctx, im_fields_e kind,
    im_field_change_t *changes, ngx_uint_t n);


#endif /* _IM_APP_FIELD_H_INCLUDED_ */
