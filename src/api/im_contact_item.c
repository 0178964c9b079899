
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_contact.h"
#include "api/im_cmd.h"
#include "api/im_contact_item.h"


#define IM_CONTACT_NAME  128             /* bytes of a UserID or GroupId */


static ngx_uint_t im_contact_item_name(ngx_str_t *name);


im_field_t  im_contact_page_fields[] = {

    { ngx_string("StartIndex"), IM_INT, IM_OPTIONAL,
      offsetof(im_contact_page_req_t, start), 0, 0, IM_E_CONTACT_PARAM, 0 },

      im_null_field
};


im_code_t
im_contact_item_fill(im_ctx_t *ctx, im_json_t *obj, im_field_t *fields,
    void *dst)
{
    im_code_t  code;

    code = im_schema_fill(ctx->pool, obj, fields, dst, &ctx->info);

    return (code == NGX_ERROR) ? IM_E_CONTACT_INTERNAL : code;
}


im_code_t
im_contact_item_ids(im_ctx_t *ctx, im_json_t *list, im_contact_id_t **ids)
{
    im_code_t    code;
    im_json_t   *item;
    ngx_uint_t   i;

    *ids = ngx_pcalloc(ctx->pool, (list->n + 1) * sizeof(im_contact_id_t));
    if (*ids == NULL) {
        return IM_E_CONTACT_INTERNAL;
    }

    i = 0;

    im_json_each(item, list) {
        code = im_contact_item_id(ctx, item, &(*ids)[i++]);
        if (code != IM_OK) {
            return code;
        }
    }

    return IM_OK;
}


/* The group's id has another name in each command (web-v2.md 9). */

im_code_t
im_contact_item_id(im_ctx_t *ctx, im_json_t *item, im_contact_id_t *id)
{
    id->code = IM_OK;
    id->type = 0;

    (void) im_json_get_int(item, "Type", &id->type);

    switch (id->type) {

    case IM_CONV_C2C:

        if (im_json_get_str(item, "To_Account", &id->peer) == NGX_OK
            && im_contact_item_name(&id->peer))
        {
            return IM_OK;
        }

        ngx_str_set(&ctx->info, "\"To_Account\" is missing or illegal");
        break;

    case IM_CONV_GROUP:

        if ((im_json_get_str(item, "ToGroupid", &id->peer) == NGX_OK
             || im_json_get_str(item, "ToGroupId", &id->peer) == NGX_OK
             || im_json_get_str(item, "GroupId", &id->peer) == NGX_OK)
            && im_contact_item_name(&id->peer))
        {
            return IM_OK;
        }

        ngx_str_set(&ctx->info, "the GroupId is missing or illegal");
        break;

    default:
        ngx_str_set(&ctx->info, "\"Type\" is not 1 or 2");
        break;
    }

    return IM_E_CONTACT_PARAM;
}


/* What can be a part of a key, whether it is there or not. */

static ngx_uint_t
im_contact_item_name(ngx_str_t *name)
{
    return name->len > 0
           && name->len <= IM_CONTACT_NAME
           && ngx_strlchr(name->data, name->data + name->len, '\0') == NULL;
}


void
im_contact_item_result(im_json_t *item, im_code_t code)
{
    im_json_add_int(item, "ResultCode", code);

    if (code == IM_OK) {
        im_json_add_cstr(item, "ResultInfo", "");

    } else {
        im_json_add_str(item, "ResultInfo", im_error_text(code));
    }
}


im_json_t *
im_contact_item_push(im_json_t *list, im_contact_id_t *id)
{
    im_json_t  *item;

    item = im_json_push_obj(list);

    im_contact_json(im_json_add_obj(item, "ContactItem"), id->type, &id->peer,
                    "To_Account", "ToGroupId");
    im_contact_item_result(item, id->code);

    return item;
}
