
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_group_type.h"


static im_group_type_t  im_group_types[] = {

    { .name = ngx_string("Private"), .alias = ngx_string("Work"),
      .profile = IM_PROFILE_MEMBER, .apply = IM_APPLY_DISABLE,
      .invite = IM_INVITE_PULL, .kick = IM_KICK_ADMINS,
      .notice = IM_NOTICE_STORED, .msg_flag = IM_MSG_NOTIFY,
      .max_member = 200,
      .has_owner = 1, .owner_may_quit = 1, .activated = 1, .unread = 1,
      .members_speak = 1, .offered = 1 },

    { .name = ngx_string("Public"), .alias = ngx_null_string,
      .profile = IM_PROFILE_OWNER, .apply = IM_APPLY_PERMISSION,
      .invite = IM_INVITE_NOBODY, .kick = IM_KICK_ADMINS,
      .notice = IM_NOTICE_STORED, .msg_flag = IM_MSG_NOTIFY,
      .max_member = 2000,
      .public = 1, .apply_allowed = 1, .has_owner = 1, .owner_may_destroy = 1,
      .has_admins = 1, .mute = 1, .unread = 1, .members_speak = 1,
      .offered = 1 },

    { .name = ngx_string("ChatRoom"), .alias = ngx_string("Meeting"),
      .profile = IM_PROFILE_OWNER, .apply = IM_APPLY_FREE,
      .invite = IM_INVITE_NOBODY, .kick = IM_KICK_ADMINS,
      .notice = IM_NOTICE_NONE, .msg_flag = IM_MSG_QUIET,
      .max_member = 10000,
      .public = 1, .apply_allowed = 1, .has_owner = 1, .owner_may_destroy = 1,
      .has_admins = 1, .history_all = 1, .mute = 1, .members_speak = 1,
      .offered = 1 },

    { .name = ngx_string("AVChatRoom"), .alias = ngx_null_string,
      .profile = IM_PROFILE_OWNER, .apply = IM_APPLY_FREE,
      .invite = IM_INVITE_NEVER, .kick = IM_KICK_NOBODY,
      .notice = IM_NOTICE_ONLINE, .msg_flag = IM_MSG_QUIET,
      .max_member = 0, .listed = 300,
      .live = 1, .public = 1, .apply_allowed = 1, .has_owner = 1,
      .owner_may_destroy = 1, .mute = 1, .guest_read = 1, .members_speak = 1,
      .offered = 1 },

    { .name = ngx_string("BChatRoom"), .alias = ngx_null_string,
      .profile = IM_PROFILE_APP, .apply = IM_APPLY_FREE,
      .invite = IM_INVITE_NEVER, .kick = IM_KICK_NOBODY,
      .notice = IM_NOTICE_NONE, .msg_flag = IM_MSG_QUIET,
      .max_member = 0, .listed = 0,
      .live = 1, .apply_allowed = 1, .guest_read = 1, .offered = 1 }
};


/* in the order of im_group_apply_e, im_group_msg_flag_e */

static ngx_str_t  im_group_apply_words[] = {
    ngx_string("DisableApply"),
    ngx_string("NeedPermission"),
    ngx_string("FreeAccess")
};

static ngx_str_t  im_group_msg_flag_words[] = {
    ngx_string("AcceptAndNotify"),
    ngx_string("Discard"),
    ngx_string("AcceptNotNotify")
};


im_group_type_t *
im_group_type(ngx_str_t *name)
{
    ngx_uint_t        i;
    im_group_type_t  *type;

    if (name->len == 0) {
        return NULL;
    }

    for (i = 0; i < sizeof(im_group_types) / sizeof(im_group_type_t); i++) {
        type = &im_group_types[i];

        if (im_str_eq(&type->name, name) || im_str_eq(&type->alias, name)) {
            return type;
        }
    }

    return NULL;
}


ngx_int_t
im_group_apply_option(ngx_str_t *word)
{
    ngx_uint_t  i;

    for (i = 0; i <= IM_APPLY_FREE; i++) {
        if (im_str_eq(&im_group_apply_words[i], word)) {
            return i;
        }
    }

    return NGX_ERROR;
}


ngx_str_t *
im_group_apply_word(ngx_uint_t option)
{
    return &im_group_apply_words[ngx_min(option, IM_APPLY_FREE)];
}


ngx_int_t
im_group_msg_flag(ngx_str_t *word)
{
    ngx_uint_t  i;

    for (i = 0; i <= IM_MSG_QUIET; i++) {
        if (im_str_eq(&im_group_msg_flag_words[i], word)) {
            return i;
        }
    }

    return NGX_ERROR;
}


ngx_str_t *
im_group_msg_flag_word(ngx_uint_t flag)
{
    return &im_group_msg_flag_words[ngx_min(flag, IM_MSG_QUIET)];
}
