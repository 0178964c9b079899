
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_WORD_H_INCLUDED_
#define _IM_WORD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "store/im_store.h"


/*
 * Dirty words: those of a file of the configuration, and the app's own list
 * in the store.  A text that contains one is refused; how it is compared is
 * told in rest-push-ops.md 3.2.  Each worker has an automaton for each app,
 * which is made anew when the list has changed.
 */

#define IM_WORD_BATCH  100           /* words of a request */
#define IM_WORD_PAGE   200


/* 1: the text contains a dirty word.  A list that cannot be read is as it
 * was. */
ngx_uint_t im_word_dirty(im_ctx_t *ctx, ngx_str_t *text);

/* The same for the texts of a message, MsgBody as JSON. */
ngx_uint_t im_word_dirty_message(im_ctx_t *ctx, ngx_str_t *body);


/* Changes the app's list by n words, each once.  NGX_DECLINED: there would be
 * too many; NGX_BUSY, NGX_ERROR. */
ngx_int_t im_word_add(im_ctx_t *ctx, ngx_str_t *words, ngx_uint_t n);
ngx_int_t im_word_delete(im_ctx_t *ctx, ngx_str_t *words, ngx_uint_t n);

/* Pushes the words (ngx_str_t) in the order in which they were added: limit
 * of them (0: all), the first skip left out. */
ngx_int_t im_word_list(im_ctx_t *ctx, ngx_uint_t skip, ngx_uint_t limit,
    ngx_array_t *words);


#endif /* _IM_WORD_H_INCLUDED_ */
