
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "live/im_room.h"
#include "live/im_room_node.h"
#include "domain/im_group.h"
#include "domain/im_group_invite.h"
#include "domain/im_group_member.h"
#include "domain/im_group_row.h"


typedef enum {
    IM_GF_TYPE = 0,
    IM_GF_NAME,
    IM_GF_INTRO,
    IM_GF_NOTICE,
    IM_GF_FACE,
    IM_GF_OWNER,
    IM_GF_CREATED,
    IM_GF_INFO_SEQ,
    IM_GF_INFO_TIME,
    IM_GF_MSG_TIME,
    IM_GF_NEXT_SEQ,
    IM_GF_MEMBERS,
    IM_GF_MAX_MEMBERS,
    IM_GF_APPLY,
    IM_GF_INVITE,
    IM_GF_SHUT,
    IM_GF_APPID,
    IM_GF_MAX
} im_group_field_e;


#define IM_GF_STREAM                                                          \
    ((ngx_uint_t) 1 << IM_GF_MSG_TIME|(ngx_uint_t) 1 << IM_GF_NEXT_SEQ)


static ngx_str_t  im_group_field_names[IM_GF_MAX] = {
    ngx_string("Type"),
    ngx_string("Name"),
    ngx_string("Introduction"),
    ngx_string("Notification"),
    ngx_string("FaceUrl"),
    ngx_string("Owner_Account"),
    ngx_string("CreateTime"),
    ngx_string("InfoSeq"),
    ngx_string("LastInfoTime"),
    ngx_string("LastMsgTime"),
    ngx_string("NextMsgSeq"),
    ngx_string("MemberNum"),
    ngx_string("MaxMemberNum"),
    ngx_string("ApplyJoinOption"),
    ngx_string("InviteJoinOption"),
    ngx_string("ShutUpAllMember"),
    ngx_string("Appid")
};


ngx_uint_t
im_group_fields(im_json_t *names)
{
    im_json_t   *item;
    ngx_uint_t   i, fields;

    fields = 0;

    im_json_each(item, names) {

        if (item->type != IM_JSON_STR) {
            continue;
        }

        for (i = 0; i < IM_GF_MAX; i++) {
            if (im_str_eq(&im_group_field_names[i], &item->u.text)) {
                fields |= (ngx_uint_t) 1 << i;
            }
        }
    }

    return fields;
}


void
im_group_json(im_ctx_t *ctx, im_json_t *obj, im_group_t *group,
    ngx_uint_t fields)
{
    int64_t          num, head;
    ngx_str_t       *str;
    ngx_uint_t       i;
    const char      *name;
    im_group_row_t   last;

    head = 0;
    ngx_memzero(&last, sizeof(im_group_row_t));

    if (group->type->live) {
        head = im_room_last_all(ctx->app->id, group->gno);
        last.time = im_room_said(ctx->app->id, group->gno);

    } else if ((fields & IM_GF_STREAM)
               && im_group_head(ctx, group->gno, &head, &last) != NGX_OK)
    {
        head = 0;                        /* logged */
    }

    for (i = 0; i < IM_GF_MAX; i++) {

        if (!(fields & (ngx_uint_t) 1 << i)) {
            continue;
        }

        str = NULL;
        num = 0;

        switch (i) {

        case IM_GF_TYPE:
            str = &group->type->name;
            break;

        case IM_GF_NAME:
            str = &group->name;
            break;

        case IM_GF_INTRO:
            str = &group->intro;
            break;

        case IM_GF_NOTICE:
            str = &group->notice;
            break;

        case IM_GF_FACE:
            str = &group->face;
            break;

        case IM_GF_OWNER:
            str = &group->owner;
            break;

        case IM_GF_CREATED:
            num = group->created;
            break;

        case IM_GF_INFO_SEQ:
            num = group->info_seq;
            break;

        case IM_GF_INFO_TIME:
            num = group->info_time;
            break;

        case IM_GF_NEXT_SEQ:
            num = head + 1;
            break;

        case IM_GF_MSG_TIME:
            num = last.time;
            break;

        case IM_GF_MEMBERS:
            num = im_group_member_count(ctx, group);
            break;

        case IM_GF_MAX_MEMBERS:
            num = group->max_member;
            break;

        case IM_GF_APPLY:
            str = im_group_apply_word(group->apply);
            break;

        case IM_GF_INVITE:
            str = im_group_invite_word(im_group_invite(group));
            break;

        case IM_GF_APPID:
            num = ctx->app->id;
            break;

        default:     /* IM_GF_SHUT */
            break;
        }

        name = (const char *) im_group_field_names[i].data;

        if (i == IM_GF_SHUT) {
            im_json_add_cstr(obj, name, group->shut ? "On" : "Off");

        } else if (str) {
            im_json_add_str(obj, name, str);

        } else {
            im_json_add_int(obj, name, num);
        }
    }
}
