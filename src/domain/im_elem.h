
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ELEM_H_INCLUDED_
#define _IM_ELEM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"


/* What a sender may send, and how he is told that it is something else. */

typedef struct {
    im_code_t          format;       /* an element breaks the format */
    im_code_t          custom;       /* a second TIMCustomElem */
    im_code_t          size;
    unsigned           rest:1;       /* a back end: all that is required */
    unsigned           plain:1;      /* text, location, face, custom only */
} im_elem_rules_t;


extern im_elem_rules_t  im_elem_rest;          /* openim/sendmsg */
extern im_elem_rules_t  im_elem_batch;         /* openim/batchsendmsg */
extern im_elem_rules_t  im_elem_client;        /* C2C of a client */
extern im_elem_rules_t  im_elem_modify;        /* modification by a client */
extern im_elem_rules_t  im_elem_group_rest;    /* group message by REST */
extern im_elem_rules_t  im_elem_group_client;


/*
 * Checks the list MsgBody (NULL: missing) and the size of it together with
 * CloudCustomData (may be NULL).  body: the list as compact JSON, on
 * ctx->pool.  ctx->info tells what is wrong.
 */
im_code_t im_elem_check(im_ctx_t *ctx, im_json_t *list,
    im_elem_rules_t *rules, ngx_str_t *cloud, ngx_str_t *body);

/* OfflinePushInfo, an object or NULL: NGX_OK, NGX_DECLINED. */
ngx_int_t im_elem_push_check(im_ctx_t *ctx, im_json_t *info);


#endif /* _IM_ELEM_H_INCLUDED_ */
