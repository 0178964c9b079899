
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_cache.h"
#include "domain/im_group_item.h"
#include "domain/im_profile.h"


typedef struct {
    ngx_str_t          head;         /* up to the first member */
    ngx_uint_t         event;
} im_item_form_t;


static ngx_int_t im_group_item_render(im_ctx_t *ctx, im_item_kind_e kind,
    im_json_t *item, ngx_str_t *text);


/* in the order of im_item_kind_e */

static im_item_form_t  im_group_item_forms[] = {
    { ngx_string("{\"Event\":3,\"GroupMsgArray\":["), 3 },
    { ngx_string("{\"Event\":6,\"GroupTips\":["), 6 },
    { ngx_string("{\"Event\":6,\"Signal\":1,\"GroupTips\":["), 6 },
    { ngx_string("{\"Event\":5,\"GroupTips\":["), 5 }
};


/* the element begins so */

#define IM_ITEM_FIRST  (sizeof("{\"Event\":3,\"MsgSeq\":") - 1)


size_t
im_group_item_offset(im_item_kind_e kind)
{
    return im_group_item_forms[kind].head.len + IM_ITEM_FIRST;
}


ngx_int_t
im_group_item(ngx_str_t *payload, im_group_item_t *item)
{
    ngx_uint_t       i;
    im_item_form_t  *form;

    for (i = 0; i <= IM_ITEM_NOTICE; i++) {
        form = &im_group_item_forms[i];

        if (payload->len > form->head.len + 2
            && ngx_memcmp(payload->data, form->head.data, form->head.len)
               == 0)
        {
            item->text.data = payload->data + form->head.len;
            item->text.len = payload->len - form->head.len - 2;
            item->event = form->event;
            item->signal = (i == IM_ITEM_SIGNAL);

            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
im_group_item_message(im_ctx_t *ctx, im_group_t *group, im_group_send_t *send,
    ngx_str_t *text)
{
    ngx_str_t   blank, nick, face, tinyid;
    im_json_t  *item, *info, *extra;

    ngx_str_set(&blank, "          ");

    im_profile_names(ctx, &send->from, &nick, &face);
    im_group_item_tinyid(ctx, &send->from, &tinyid);

    item = im_json_new_obj(ctx->pool);

    im_json_add_int(item, "Event", 3);
    im_json_add_raw(item, "MsgSeq", &blank);
    im_json_add_str(item, "ToGroupId", &group->gid);
    im_json_add_str(item, "From_Account", &send->from);
    im_json_add_int(item, "MsgRandom", send->random);
    im_json_add_int(item, "MsgTimeStamp", send->time);
    im_json_add_int(item, "MsgClientTime",
                    send->client_time ? send->client_time : send->time);
    im_json_add_str(item, "TinyId", &tinyid);

    if (send->client_seq) {
        im_json_add_int(item, "ClientSeq", send->client_seq);
    }

    im_json_add_int(item, "MsgPriority", send->prio + 1);
    im_json_add_int(item, "IsPlaceMsg", 0);

    if (send->cloud.len) {
        im_json_add_str(item, "CloudCustomData", &send->cloud);
    }

    if (send->at.len) {
        im_json_add_raw(item, "GroupAtInfo", &send->at);
    }

    info = im_json_add_obj(item, "GroupInfo");

    im_json_add_str(info, "GroupId", &group->gid);
    im_json_add_str(info, "GroupName", &group->name);
    im_json_add_str(info, "GroupType", &group->type->name);
    im_json_add_str(info, "From_Account", &send->from);
    im_json_add_str(info, "From_AccountNick", &nick);
    im_json_add_str(info, "From_AccountHeadurl", &face);

    extra = im_json_add_obj(info, "MsgFrom_AccountExtraInfo");
    im_json_add_str(extra, "NameCard", &send->card);

    im_json_add_raw(item, "MsgBody", &send->body);

    return im_group_item_render(ctx, IM_ITEM_MESSAGE, item, text);
}


ngx_int_t
im_group_item_system(im_ctx_t *ctx, im_group_t *group, im_item_kind_e kind,
    im_json_t *body, ngx_str_t *to, ngx_str_t *data, int64_t *ids,
    ngx_str_t *text)
{
    int64_t     rnd, seq;
    ngx_str_t   blank;
    im_json_t  *item, *info;

    rnd = (ngx_random() & 0x3fffffff) + 1;
    seq = (ngx_random() & 0x3fffffff) + 3;

    if (ids) {
        ids[0] = seq;
        ids[1] = rnd;
    }

    ngx_str_set(&blank, "          ");

    item = im_json_new_obj(ctx->pool);

    im_json_add_int(item, "Event", im_group_item_forms[kind].event);

    if (to) {

        /* to one account only, a number of its own */

        im_json_add_int(item, "MsgSeq", seq);

    } else {
        im_json_add_raw(item, "MsgSeq", &blank);
    }

    im_json_add_str(item, "ToGroupId", &group->gid);
    im_json_add_cstr(item, "From_Account", IM_GROUP_SYSTEM);
    im_json_add_int(item, "MsgRandom", rnd);
    im_json_add_int(item, "MsgTimeStamp", ngx_time());
    im_json_add_int(item, "MsgClientTime", ngx_time());
    im_json_add_int(item, "IsPlaceMsg", 0);

    if (kind == IM_ITEM_NOTICE) {
        im_json_add_int(item, "ClientSeq", to ? seq : rnd);
    }

    if (data) {
        im_json_add_str(item, "UserDefinedField", data);
    }

    info = im_json_add_obj(item, "GroupInfo");

    im_json_add_str(info, "GroupId", &group->gid);
    im_json_add_str(info, "GroupName", &group->name);
    im_json_add_str(info, "GroupType", &group->type->name);
    im_json_add_cstr(info, "From_AccountNick", "");
    im_json_add_cstr(info, "From_AccountHeadurl", "");

    if (to) {
        im_json_add_str(info, "To_Account", to);

    } else {
        im_json_add_cstr(info, "To_Account", "");
    }

    im_json_add_node(item, "MsgBody", body);

    return im_group_item_render(ctx, kind, item, text);
}


static ngx_int_t
im_group_item_render(im_ctx_t *ctx, im_item_kind_e kind, im_json_t *item,
    ngx_str_t *text)
{
    u_char          *p;
    ngx_str_t        json;
    im_item_form_t  *form;

    if (im_json_text(item, &json) != NGX_OK) {
        return NGX_ERROR;
    }

    form = &im_group_item_forms[kind];

    text->len = form->head.len + json.len + 2;

    text->data = ngx_pnalloc(ctx->pool, text->len);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(text->data, form->head.data, form->head.len);
    p = ngx_cpymem(p, json.data, json.len);
    *p++ = ']';
    *p = '}';

    return NGX_OK;
}


void
im_group_item_profile(im_ctx_t *ctx, im_json_t *obj, ngx_str_t *user)
{
    ngx_str_t  nick, face;

    im_profile_names(ctx, user, &nick, &face);

    im_json_add_str(obj, "User_Account", user);
    im_json_add_str(obj, "NickName", &nick);
    im_json_add_str(obj, "ImageUrl", &face);
}


void
im_group_item_tinyid(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *tinyid)
{
    im_key_t      key;
    im_row_t      row;
    im_account_t  account;

    if (ctx->tinyid.len && im_str_eq(user, &ctx->user)) {
        *tinyid = ctx->tinyid;
        return;
    }

    ngx_str_set(tinyid, "0");

    im_key_init(&key, ctx->app->id);
    im_key_str(&key, user);

    /* it never changes */

    if (im_cache_get(ctx, IM_T_ACCOUNT, &key, &row) == NGX_OK) {
        (void) im_row_str(&row, "tinyid", tinyid);

    } else if (im_account_get(ctx, user, &account) == NGX_OK) {
        *tinyid = account.tinyid;
    }
}
