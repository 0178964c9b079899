
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_SCHEMA_H_INCLUDED_
#define _IM_SCHEMA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_code.h"
#include "core/im_json.h"


#define IM_OPTIONAL     0
#define IM_REQUIRED     1
#define IM_NUMERIC_STR  2        /* IM_INT: also a string of digits */
#define IM_NO_NUL       4        /* IM_STR, IM_STRS: no zero bytes */


typedef enum {
    IM_STR = 0,                  /* ngx_str_t, data is NULL if absent */
    IM_INT,                      /* im_int_t */
    IM_BOOL,                     /* im_int_t of 0 or 1: true, false, 1, 0 */
    IM_STRS,                     /* im_strs_t, elts is NULL if absent */
    IM_LIST,                     /* im_json_t *, a list or NULL */
    IM_OBJ,                      /* im_json_t *, an object or NULL */
    IM_NODE                      /* im_json_t *, any but null, or NULL */
} im_type_e;


typedef struct {
    int64_t            value;
    unsigned           set:1;    /* absent and zero differ */
} im_int_t;


typedef struct {
    ngx_uint_t         n;
    ngx_str_t         *elts;
} im_strs_t;


typedef struct {
    ngx_str_t          name;     /* on the wire */
    im_type_e          type;
    ngx_uint_t         flags;
    size_t             offset;   /* in the struct to fill */
    int64_t            min;      /* IM_STR: bytes; IM_INT: value; IM_STRS, */
    int64_t            max;      /* IM_LIST: items.  0, 0: any; for bytes and
                                    items max 0 is no maximum */
    im_code_t          code;     /* missing or of another type */
    im_code_t          range;    /* outside of min and max; 0: as code */
} im_field_t;

#define im_null_field                                                         \
    { ngx_null_string, IM_STR, 0, 0, 0, 0, 0, 0 }


/*
 * Fills the zeroed struct dst from the members of obj; null counts as
 * absent, unknown members are ignored.  IM_OK; or, at the first row that is
 * not kept, the row's code, with *info an English text that names the field;
 * or NGX_ERROR without memory.  If obj is not an object, the first row's
 * code is returned.  What dst points to lives as long as obj and pool.
 */
im_code_t im_schema_fill(ngx_pool_t *pool, im_json_t *obj,
    im_field_t *fields, void *dst, ngx_str_t *info);


#endif /* _IM_SCHEMA_H_INCLUDED_ */
