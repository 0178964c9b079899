
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "core/im_worker.h"
#include "live/im_room.h"
#include "domain/im_group_type.h"


#define IM_GROUP_ACTIVATED  500      /* members who are told in one commit */

#define IM_SWITCH_STORED    1
#define IM_SWITCH_LIVE      2
#define IM_SWITCH_BOTH      (IM_SWITCH_STORED|IM_SWITCH_LIVE)


/* Columns of the table that a configuration may change. */

typedef enum {
    IM_SW_PROFILE = 0,
    IM_SW_PUBLIC,
    IM_SW_APPLY_ALLOWED,
    IM_SW_INVITE,
    IM_SW_OWNER_QUIT,
    IM_SW_OWNER_DESTROY,
    IM_SW_ADMINS,
    IM_SW_APPLY,
    IM_SW_KICK,
    IM_SW_HISTORY,
    IM_SW_NOTICE,
    IM_SW_ACTIVATED,
    IM_SW_MUTE,
    IM_SW_MSG_FLAG,
    IM_SW_UNREAD,
    IM_SW_MAX_MEMBER,
    IM_SW_RECYCLE,
    IM_SW_KICK_OFFLINE,
    IM_SW_LISTED,
    IM_SW_GUESTS,
    IM_SW_RATE,
    IM_SW_RATE_NORMAL,
    IM_SW_RATE_LOW,
    IM_SW_RATE_LOWEST,
    IM_SW_TIP_RATE
} im_group_switch_e;


typedef struct {
    ngx_str_t          name;
    im_group_switch_e  id;
    ngx_int_t          min;
    ngx_int_t          max;
    ngx_uint_t         of;           /* IM_SWITCH_* */
} im_group_switch_t;


static ngx_int_t im_group_type_init_conf(ngx_conf_t *cf, im_conf_t *conf);
static ngx_int_t im_group_types_init(ngx_conf_t *cf, im_app_t *app);
static ngx_int_t im_group_type_set(ngx_conf_t *cf, im_group_type_t *type,
    ngx_keyval_t *kv);
static void im_group_type_switch(im_group_type_t *type, im_group_switch_e id,
    ngx_int_t n);
static ngx_int_t im_group_type_fields(ngx_conf_t *cf, im_app_t *app,
    ngx_array_t *fields);


im_worker_hook_t  im_group_type_hook = {
    ngx_string("group type"),
    im_group_type_init_conf,               /* init conf */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL                                   /* exit process */
};


static im_group_type_t  im_group_types[] = {

    { .name = ngx_string("Private"), .alias = ngx_string("Work"),
      .profile = IM_PROFILE_MEMBER, .apply = IM_APPLY_DISABLE,
      .invite = IM_INVITE_PULL, .kick = IM_KICK_ADMINS,
      .notice = IM_NOTICE_STORED, .msg_flag = IM_MSG_NOTIFY,
      .max_member = 200,
      .has_owner = 1, .owner_may_quit = 1, .activated = 1, .unread = 1,
      .members_speak = 1, .offered = 1, .daily = 1 },

    { .name = ngx_string("Public"), .alias = ngx_null_string,
      .profile = IM_PROFILE_OWNER, .apply = IM_APPLY_PERMISSION,
      .invite = IM_INVITE_NOBODY, .kick = IM_KICK_ADMINS,
      .notice = IM_NOTICE_STORED, .msg_flag = IM_MSG_NOTIFY,
      .max_member = 2000,
      .public = 1, .apply_allowed = 1, .has_owner = 1, .owner_may_destroy = 1,
      .has_admins = 1, .mute = 1, .unread = 1, .members_speak = 1,
      .offered = 1, .daily = 1 },

    { .name = ngx_string("ChatRoom"), .alias = ngx_string("Meeting"),
      .profile = IM_PROFILE_OWNER, .apply = IM_APPLY_FREE,
      .invite = IM_INVITE_NOBODY, .kick = IM_KICK_ADMINS,
      .notice = IM_NOTICE_NONE, .msg_flag = IM_MSG_QUIET,
      .max_member = 10000,
      .public = 1, .apply_allowed = 1, .has_owner = 1, .owner_may_destroy = 1,
      .has_admins = 1, .history_all = 1, .mute = 1, .members_speak = 1,
      .offered = 1, .daily = 1 },

    { .name = ngx_string("AVChatRoom"), .alias = ngx_null_string,
      .profile = IM_PROFILE_OWNER, .apply = IM_APPLY_FREE,
      .invite = IM_INVITE_NEVER, .kick = IM_KICK_NOBODY,
      .notice = IM_NOTICE_ONLINE, .msg_flag = IM_MSG_QUIET,
      .max_member = 0, .listed = 300,
      .live = 1, .public = 1, .apply_allowed = 1, .has_owner = 1,
      .owner_may_destroy = 1, .mute = 1, .guest_read = 1, .members_speak = 1,
      .offered = 1, .daily = 1,
      .quota = offsetof(im_app_t, avchatrooms_max),
      .quota_code = IM_E_GROUP_AV_QUOTA },

    { .name = ngx_string("BChatRoom"), .alias = ngx_null_string,
      .profile = IM_PROFILE_APP, .apply = IM_APPLY_FREE,
      .invite = IM_INVITE_NEVER, .kick = IM_KICK_NOBODY,
      .notice = IM_NOTICE_NONE, .msg_flag = IM_MSG_QUIET,
      .max_member = 0, .listed = 0,
      .live = 1, .apply_allowed = 1, .guest_read = 1, .offered = 1,
      .quota = offsetof(im_app_t, bchatrooms_max),
      .quota_code = IM_E_GROUP_FREQ }
};


static im_group_switch_t  im_group_switches[] = {

    { ngx_string("member_may_modify_profile"), IM_SW_PROFILE, 0, 1,
      IM_SWITCH_BOTH },

    { ngx_string("public_profile"), IM_SW_PUBLIC, 0, 1, IM_SWITCH_BOTH },

    { ngx_string("apply_allowed"), IM_SW_APPLY_ALLOWED, 0, 1,
      IM_SWITCH_BOTH },

    { ngx_string("invite_mode"), IM_SW_INVITE, 0, 2, IM_SWITCH_STORED },

    { ngx_string("owner_may_quit"), IM_SW_OWNER_QUIT, 0, 1,
      IM_SWITCH_STORED },

    { ngx_string("owner_may_dissolve"), IM_SW_OWNER_DESTROY, 0, 1,
      IM_SWITCH_BOTH },

    { ngx_string("admins_settable"), IM_SW_ADMINS, 0, 1, IM_SWITCH_STORED },

    { ngx_string("default_apply_option"), IM_SW_APPLY, 0, 2,
      IM_SWITCH_BOTH },

    { ngx_string("kick_mode"), IM_SW_KICK, 0, 2, IM_SWITCH_STORED },

    { ngx_string("history_unlimited"), IM_SW_HISTORY, 0, 1,
      IM_SWITCH_STORED },

    { ngx_string("member_change_notice"), IM_SW_NOTICE, 0, 2,
      IM_SWITCH_BOTH },

    { ngx_string("activate_by_first_msg"), IM_SW_ACTIVATED, 0, 1,
      IM_SWITCH_STORED },

    { ngx_string("mute_supported"), IM_SW_MUTE, 0, 1, IM_SWITCH_BOTH },

    { ngx_string("default_msg_flag"), IM_SW_MSG_FLAG, 0, 2,
      IM_SWITCH_BOTH },

    { ngx_string("unread_supported"), IM_SW_UNREAD, 0, 1, IM_SWITCH_STORED },

    { ngx_string("max_member"), IM_SW_MAX_MEMBER, 1, 100000,
      IM_SWITCH_STORED },

    { ngx_string("auto_recycle_seconds"), IM_SW_RECYCLE, 0, 1000000000,
      IM_SWITCH_STORED },

    { ngx_string("kick_offline_members"), IM_SW_KICK_OFFLINE, 0, 1,
      IM_SWITCH_STORED },

    { ngx_string("store_members"), IM_SW_LISTED, 1, 1000, IM_SWITCH_LIVE },

    { ngx_string("guest_read"), IM_SW_GUESTS, 0, 1, IM_SWITCH_LIVE },

    { ngx_string("msg_per_second"), IM_SW_RATE, 0, 10000000,
      IM_SWITCH_BOTH },

    { ngx_string("msg_per_second_normal"), IM_SW_RATE_NORMAL, 0, 10000000,
      IM_SWITCH_BOTH },

    { ngx_string("msg_per_second_low"), IM_SW_RATE_LOW, 0, 10000000,
      IM_SWITCH_BOTH },

    { ngx_string("msg_per_second_lowest"), IM_SW_RATE_LOWEST, 0, 10000000,
      IM_SWITCH_BOTH },

    { ngx_string("tip_per_second"), IM_SW_TIP_RATE, 0, 10000000,
      IM_SWITCH_BOTH },

    { ngx_null_string, 0, 0, 0, 0 }
};


/* in the order of im_group_apply_e, im_group_invite_option_e,
 * im_group_msg_flag_e */

static ngx_str_t  im_group_apply_words[] = {
    ngx_string("DisableApply"),
    ngx_string("NeedPermission"),
    ngx_string("FreeAccess")
};

static ngx_str_t  im_group_invite_words[] = {
    ngx_null_string,
    ngx_string("DisableInvite"),
    ngx_string("NeedPermission"),
    ngx_string("FreeAccess")
};

static ngx_str_t  im_group_msg_flag_words[] = {
    ngx_string("AcceptAndNotify"),
    ngx_string("Discard"),
    ngx_string("AcceptNotNotify")
};


static ngx_int_t
im_group_type_init_conf(ngx_conf_t *cf, im_conf_t *conf)
{
    im_app_t    *app;
    ngx_uint_t   i;

    app = conf->apps.elts;

    for (i = 0; i < conf->apps.nelts; i++) {
        if (im_group_types_init(cf, &app[i]) != NGX_OK
            || im_group_type_fields(cf, &app[i], app[i].group_fields) != NGX_OK
            || im_group_type_fields(cf, &app[i], app[i].member_fields)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
im_group_types_init(ngx_conf_t *cf, im_app_t *app)
{
    ngx_uint_t            i, k, n;
    ngx_keyval_t         *kv;
    im_group_type_t      *type, *base;
    im_app_group_type_t  *own;

    n = sizeof(im_group_types) / sizeof(im_group_type_t);

    /* not moved when types are added: they are pointed to */

    app->types = ngx_array_create(cf->pool, n + IM_APP_GROUP_TYPES,
                                  sizeof(im_group_type_t));
    if (app->types == NULL) {
        return NGX_ERROR;
    }

    type = ngx_array_push_n(app->types, n);
    ngx_memcpy(type, im_group_types, sizeof(im_group_types));

    for (i = 0; i < n; i++) {
        type[i].rates[IM_ROOM_HIGH] = app->group_rate;
        type[i].rates[IM_ROOM_NORMAL] = app->group_rate_normal;
        type[i].rates[IM_ROOM_LOW] = app->group_rate_low;
        type[i].rates[IM_ROOM_LOWEST] = app->group_rate_lowest;
        type[i].tip_rate = app->tip_rate;
    }

    if (app->group_types == NULL) {
        return NGX_OK;
    }

    own = app->group_types->elts;

    for (i = 0; i < app->group_types->nelts; i++) {

        type = im_group_type(app, &own[i].name);

        if (own[i].base.len) {

            if (type) {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "type \"%V\" of app %ui is there already",
                              &own[i].name, app->id);
                return NGX_ERROR;
            }

            base = im_group_type(app, &own[i].base);

            if (base == NULL || (base->live && !base->has_owner)) {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "type \"%V\" of app %ui cannot be based on "
                              "\"%V\"",
                              &own[i].name, app->id, &own[i].base);
                return NGX_ERROR;
            }

            type = ngx_array_push(app->types);

            *type = *base;
            type->name = own[i].name;
            ngx_str_null(&type->alias);
        }

        if (type == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no type \"%V\" of app %ui, write its base: "
                          "group_type %V base=Public;",
                          &own[i].name, app->id, &own[i].name);
            return NGX_ERROR;
        }

        kv = own[i].switches.elts;

        for (k = 0; k < own[i].switches.nelts; k++) {
            if (im_group_type_set(cf, type, &kv[k]) != NGX_OK) {
                return NGX_ERROR;
            }
        }

        if (type->activated && type->max_member > IM_GROUP_ACTIVATED) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "type \"%V\" with \"activate_by_first_msg\" must "
                          "have at most max_member=%d",
                          &type->name, IM_GROUP_ACTIVATED);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
im_group_type_set(ngx_conf_t *cf, im_group_type_t *type, ngx_keyval_t *kv)
{
    ngx_int_t           n;
    im_group_switch_t  *sw;

    n = ngx_atoi(kv->value.data, kv->value.len);

    for (sw = im_group_switches; sw->name.len; sw++) {

        if (!im_str_eq(&sw->name, &kv->key)) {
            continue;
        }

        if (!(sw->of & (type->live ? IM_SWITCH_LIVE : IM_SWITCH_STORED))) {
            break;
        }

        if (n < sw->min || n > sw->max
            || (sw->id == IM_SW_NOTICE && type->live
                && n == IM_NOTICE_STORED))
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "invalid value \"%V\" of \"%V\" of type \"%V\", "
                          "it must be %i to %i",
                          &kv->value, &kv->key, &type->name, sw->min,
                          sw->max);
            return NGX_ERROR;
        }

        im_group_type_switch(type, sw->id, n);

        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "type \"%V\" has no switch \"%V\"",
                  &type->name, &kv->key);

    return NGX_ERROR;
}


static void
im_group_type_switch(im_group_type_t *type, im_group_switch_e id, ngx_int_t n)
{
    switch (id) {

    case IM_SW_PROFILE:
        type->profile = n ? IM_PROFILE_MEMBER : IM_PROFILE_OWNER;
        break;

    case IM_SW_PUBLIC:
        type->public = n;
        break;

    case IM_SW_APPLY_ALLOWED:
        type->apply_allowed = n;
        break;

    case IM_SW_INVITE:
        type->invite = n;
        break;

    case IM_SW_OWNER_QUIT:
        type->owner_may_quit = n;
        break;

    case IM_SW_OWNER_DESTROY:
        type->owner_may_destroy = n;
        break;

    case IM_SW_ADMINS:
        type->has_admins = n;
        break;

    case IM_SW_APPLY:
        type->apply = n;
        break;

    case IM_SW_KICK:
        type->kick = n;
        break;

    case IM_SW_HISTORY:
        type->history_all = n;
        break;

    case IM_SW_NOTICE:
        type->notice = n;
        break;

    case IM_SW_ACTIVATED:
        type->activated = n;
        break;

    case IM_SW_MUTE:
        type->mute = n;
        break;

    case IM_SW_MSG_FLAG:
        type->msg_flag = n;
        break;

    case IM_SW_UNREAD:
        type->unread = n;
        break;

    case IM_SW_MAX_MEMBER:
        type->max_member = n;
        break;

    case IM_SW_RECYCLE:
        type->recycle = n;
        break;

    case IM_SW_KICK_OFFLINE:
        type->kick_offline = n;
        break;

    case IM_SW_LISTED:
        type->listed = n;
        break;

    case IM_SW_GUESTS:
        type->guest_read = n;
        break;

    case IM_SW_RATE:
    case IM_SW_RATE_NORMAL:
    case IM_SW_RATE_LOW:
    case IM_SW_RATE_LOWEST:
        type->rates[id - IM_SW_RATE] = n;
        break;

    case IM_SW_TIP_RATE:
        type->tip_rate = n;
        break;
    }
}


/* Names of types become those of the table. */

static ngx_int_t
im_group_type_fields(ngx_conf_t *cf, im_app_t *app, ngx_array_t *fields)
{
    ngx_str_t             *name;
    ngx_uint_t             i, k;
    im_group_type_t       *type;
    im_app_group_field_t  *field;

    if (fields == NULL) {
        return NGX_OK;
    }

    field = fields->elts;

    for (i = 0; i < fields->nelts; i++) {

        if (field[i].types == NULL) {
            continue;
        }

        name = field[i].types->elts;

        for (k = 0; k < field[i].types->nelts; k++) {

            type = im_group_type(app, &name[k]);

            if (type == NULL
                || (fields == app->member_fields && type->live))
            {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "field \"%V\" of app %ui cannot be in groups "
                              "of type \"%V\"",
                              &field[i].name, app->id, &name[k]);
                return NGX_ERROR;
            }

            name[k] = type->name;
        }
    }

    return NGX_OK;
}


im_group_type_t *
im_group_type(im_app_t *app, ngx_str_t *name)
{
    ngx_uint_t        i;
    im_group_type_t  *type;

    if (name->len == 0) {
        return NULL;
    }

    type = app->types->elts;

    for (i = 0; i < app->types->nelts; i++) {
        if (im_str_eq(&type[i].name, name)
            || im_str_eq(&type[i].alias, name))
        {
            return &type[i];
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
im_group_invite_option(ngx_str_t *word)
{
    ngx_uint_t  i;

    for (i = IM_INVITE_DISABLE; i <= IM_INVITE_FREE; i++) {
        if (im_str_eq(&im_group_invite_words[i], word)) {
            return i;
        }
    }

    return NGX_ERROR;
}


ngx_str_t *
im_group_invite_word(ngx_uint_t option)
{
    return &im_group_invite_words[ngx_min(option, IM_INVITE_FREE)];
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
