
/*
 * Copyright (C) The ngx_im authors
 */


#include "ok.h"
#include "core/im_error.h"


#define CODE(name, code, text)  { code, text },

static struct {
    im_code_t    code;
    const char  *text;
} rows[] = {
    IM_ERRORS(CODE)
};


int
main(void)
{
    ngx_str_t   *text;
    ngx_uint_t   i, n, same, wrong;

    same = 0;
    wrong = 0;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {

        for (n = 0; n < i; n++) {
            same += rows[n].code == rows[i].code;
        }

        text = im_error_text(rows[i].code);
        wrong += ngx_strcmp(text->data, rows[i].text) != 0;
    }

    ok(same == 0, "no code has two rows");
    ok(wrong == 0, "each code has the text of its row");

    text = im_error_text(99999);
    ok(ngx_strcmp(text->data, "error") == 0, "a code that is not there");

    return done();
}
