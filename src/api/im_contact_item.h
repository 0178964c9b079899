
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CONTACT_ITEM_H_INCLUDED_
#define _IM_CONTACT_ITEM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_contact.h"
#include "api/im_cmd.h"


/* What the commands on conversations have in common. */

/* Lists that begin at a position. */

typedef struct {
    im_int_t           start;
} im_contact_page_req_t;

extern im_field_t  im_contact_page_fields[];


/* Conversations, or what is said of each of them. */

typedef struct {
    im_json_t         *items;
    im_int_t           clear;        /* ClearRamble of batch_delete */
} im_contact_items_req_t;


/* Fills dst by the table, as im_schema_fill() does.  50002: ctx->info tells
 * what is wrong; 50004: no memory. */
im_code_t im_contact_item_fill(im_ctx_t *ctx, im_json_t *obj,
    im_field_t *fields, void *dst);

/* The conversation that an item names, {Type, To_Account or the GroupId}; by
 * its form only.  50002. */
im_code_t im_contact_item_id(im_ctx_t *ctx, im_json_t *item,
    im_contact_id_t *id);

/* The same of a list: list->n of them on ctx->pool.  50002, 50004. */
im_code_t im_contact_item_ids(im_ctx_t *ctx, im_json_t *list,
    im_contact_id_t **ids);

/* Adds ResultCode and ResultInfo. */
void im_contact_item_result(im_json_t *item, im_code_t code);

/* Pushes ContactItem with its result to the list; the item. */
im_json_t *im_contact_item_push(im_json_t *list, im_contact_id_t *id);


#endif /* _IM_CONTACT_ITEM_H_INCLUDED_ */
