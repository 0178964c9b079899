
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_error.h"


typedef struct {
    im_code_t          code;
    ngx_str_t          text;
} im_error_t;


#define IM_ERROR_ROW(name, code, text)  { code, ngx_string(text) },

static im_error_t  im_errors[] = {
    IM_ERRORS(IM_ERROR_ROW)
    { 0, ngx_null_string }
};


static ngx_str_t  im_error_unknown = ngx_string("error");


ngx_str_t *
im_error_text(im_code_t code)
{
    im_error_t  *e;

    for (e = im_errors; e->code; e++) {
        if (e->code == code) {
            return &e->text;
        }
    }

    return &im_error_unknown;
}
