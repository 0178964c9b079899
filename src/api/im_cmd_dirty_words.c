
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_word.h"
#include "api/im_cmd.h"


typedef struct {
    im_json_t         *list;
} im_dirty_words_req_t;


static im_code_t im_cmd_dirty_words_get(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_dirty_words_add(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_dirty_words_delete(im_ctx_t *ctx, void *data);
static im_code_t im_dirty_words(im_ctx_t *ctx, im_json_t *list,
    ngx_str_t **words, ngx_uint_t *n);
static im_code_t im_dirty_words_code(im_ctx_t *ctx, ngx_int_t rc);


static im_field_t  im_dirty_words_fields[] = {

    { ngx_string("DirtyWordsList"), IM_LIST, IM_REQUIRED,
      offsetof(im_dirty_words_req_t, list), 1, IM_WORD_BATCH,
      IM_E_GROUP_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_dirty_words[] = {

    { ngx_string("openim_dirty_words"), ngx_string("get"),
      im_cmd_dirty_words_get, IM_BY_ADMIN, NULL, 0, 0, IM_NO_BODY },

    { ngx_string("openim_dirty_words"), ngx_string("add"),
      im_cmd_dirty_words_add, IM_BY_ADMIN, im_dirty_words_fields,
      sizeof(im_dirty_words_req_t), 0, 0 },

    { ngx_string("openim_dirty_words"), ngx_string("delete"),
      im_cmd_dirty_words_delete, IM_BY_ADMIN, im_dirty_words_fields,
      sizeof(im_dirty_words_req_t), 0, 0 },

      im_null_command
};


/* The page is in the body, or behind the path. */

static im_code_t
im_cmd_dirty_words_get(im_ctx_t *ctx, void *data)
{
    int64_t       page;
    ngx_int_t     rc;
    ngx_str_t    *word;
    im_json_t    *list;
    ngx_uint_t    i;
    ngx_array_t   words;

    page = 0;
    rc = im_json_get_int(ctx->body, "Page", &page);

    if (rc == NGX_ERROR || page < 0 || page > INT32_MAX) {
        ngx_str_set(&ctx->info, "\"Page\" must be a number");
        return IM_E_GROUP_PARAM;
    }

    if (ngx_array_init(&words, ctx->pool, IM_WORD_PAGE, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    rc = im_word_list(ctx, page * IM_WORD_PAGE,
                      (rc == NGX_OK) ? IM_WORD_PAGE : 0, &words);
    if (rc != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    list = im_json_add_list(ctx->reply, "DirtyWordsList");
    word = words.elts;

    for (i = 0; i < words.nelts; i++) {
        im_json_push_str(list, &word[i]);
    }

    return IM_OK;
}


static im_code_t
im_cmd_dirty_words_add(im_ctx_t *ctx, void *data)
{
    im_dirty_words_req_t  *req = data;

    im_code_t    code;
    ngx_str_t   *words;
    ngx_uint_t   n;

    code = im_dirty_words(ctx, req->list, &words, &n);

    return (code == IM_OK) ? im_dirty_words_code(ctx,
                                                 im_word_add(ctx, words, n))
                           : code;
}


static im_code_t
im_cmd_dirty_words_delete(im_ctx_t *ctx, void *data)
{
    im_dirty_words_req_t  *req = data;

    im_code_t    code;
    ngx_str_t   *words;
    ngx_uint_t   n;

    code = im_dirty_words(ctx, req->list, &words, &n);

    return (code == IM_OK) ? im_dirty_words_code(ctx,
                                              im_word_delete(ctx, words, n))
                           : code;
}


/* Each word once, without blanks around it. */

static im_code_t
im_dirty_words(im_ctx_t *ctx, im_json_t *list, ngx_str_t **words,
    ngx_uint_t *n)
{
    ngx_str_t   word;
    im_json_t  *node;
    ngx_uint_t  i;

    *words = ngx_palloc(ctx->pool, list->n * sizeof(ngx_str_t));
    if (*words == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    *n = 0;

    im_json_each(node, list) {

        if (node->type != IM_JSON_STR) {
            ngx_str_set(&ctx->info,
                        "\"DirtyWordsList\" must be an array of strings");
            return IM_E_GROUP_PARAM;
        }

        word = node->u.text;
        im_str_trim(&word);

        if (word.len == 0 || word.len > IM_WORD_LEN
            || ngx_strlchr(word.data, word.data + word.len, '\0'))
        {
            ngx_str_set(&ctx->info, "a word must have 1 to 200 bytes");
            return IM_E_GROUP_PARAM;
        }

        for (i = 0; i < *n; i++) {
            if (im_str_eq(&(*words)[i], &word)) {
                break;
            }
        }

        if (i == *n) {
            (*words)[(*n)++] = word;
        }
    }

    return IM_OK;
}


static im_code_t
im_dirty_words_code(im_ctx_t *ctx, ngx_int_t rc)
{
    if (rc == NGX_DECLINED) {
        ngx_str_set(&ctx->info, "the app would have too many words");
        return IM_E_GROUP_PARAM;
    }

    return (rc == NGX_OK) ? IM_OK : IM_E_GROUP_INTERNAL;
}
