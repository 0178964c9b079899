
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "core/im_worker.h"
#include "api/im_api.h"
#include "api/im_api_table.h"
#include "api/im_cmd.h"


#define IM_API_BUCKETS  1024


static ngx_int_t im_api_init_module(ngx_cycle_t *cycle, im_conf_t *conf);
static ngx_uint_t im_api_is(im_api_row_t *row, ngx_str_t *service,
    ngx_str_t *command);
static im_command_t *im_api_command_by(ngx_uint_t by, im_api_row_t *row);
static ngx_uint_t im_api_by(im_ctx_t *ctx);


static im_command_t  *im_api_tables[] = {
    im_cmd_im_open_login_svc,
    im_cmd_status,
    im_cmd_config,
    im_cmd_callback,
    im_cmd_profile,
    im_cmd_sns,
    im_cmd_sns_group,
    im_cmd_sns_list,
    im_cmd_sns_check,
    im_cmd_sns_recommend,
    im_cmd_user_status,
    im_cmd_custom_field,
    im_cmd_dirty_words,
    im_cmd_openim,
    im_cmd_openim_history,
    im_cmd_web_openim,
    im_cmd_web_message,
    im_cmd_web_status,
    im_cmd_group,
    im_cmd_group_info,
    im_cmd_group_member,
    im_cmd_group_join,
    im_cmd_group_invite,
    im_cmd_group_msg,
    im_cmd_group_history,
    im_cmd_group_receipt,
    im_cmd_group_notify,
    im_cmd_group_import,
    im_cmd_group_attr,
    im_cmd_group_room,
    im_cmd_web_room,
    im_cmd_recentcontact,
    im_cmd_contact_group,
    im_cmd_contact_mark,
    im_cmd_msg_ext,
    im_cmd_media,
    NULL
};


#define im_api_group_codes                                                    \
    { IM_E_GROUP_JSON, IM_E_GROUP_RIGHT, IM_E_GROUP_INTERNAL,                 \
      IM_E_GROUP_INTERNAL, IM_E_GROUP_COMMAND, IM_E_GROUP_RIGHT }

static im_api_service_t  im_api_services[] = {

    { ngx_string("im_open_login_svc"),
      { IM_E_LOGIN_PARAM, IM_E_LOGIN_ADMIN, IM_E_LOGIN_INTERNAL,
        IM_E_LOGIN_BUSY, IM_E_NO_COMMAND, IM_E_SIG_USER }, 0 },

    { ngx_string("registration_service"),
      { IM_E_REGISTER_FORMAT, IM_E_REGISTER_ADMIN, IM_E_LOGIN_INTERNAL,
        IM_E_LOGIN_BUSY, IM_E_NO_COMMAND, IM_E_SIG_USER }, 0 },

    { ngx_string("openim"),
      { IM_E_C2C_JSON, IM_E_C2C_ADMIN, IM_E_C2C_INTERNAL, IM_E_C2C_BUSY,
        IM_E_NO_COMMAND, IM_E_SIG_USER }, 0 },

    { ngx_string("all_member_push"),
      { IM_E_C2C_JSON, IM_E_C2C_ADMIN, IM_E_C2C_INTERNAL, IM_E_C2C_BUSY,
        IM_E_NO_COMMAND, IM_E_SIG_USER }, 0 },

    { ngx_string("profile"),
      { IM_E_PROFILE_PARAM, IM_E_PROFILE_ADMIN, IM_E_PROFILE_INTERNAL,
        IM_E_PROFILE_INTERNAL, IM_E_NO_COMMAND, IM_E_PROFILE_ADMIN }, 1 },

    { ngx_string("sns"),
      { IM_E_SNS_PARAM, IM_E_SNS_ADMIN, IM_E_SNS_INTERNAL,
        IM_E_SNS_TIMEOUT, IM_E_NO_COMMAND, IM_E_SNS_ADMIN }, 1 },

    { ngx_string("recentcontact"),
      { IM_E_CONTACT_PARAM, IM_E_CONTACT_ADMIN, IM_E_CONTACT_INTERNAL,
        IM_E_CONTACT_TIMEOUT, IM_E_NO_COMMAND, IM_E_SIG_USER }, 1 },

    { ngx_string("group_open_http_svc"), im_api_group_codes, 0 },
    { ngx_string("group_open_http_noauth_svc"), im_api_group_codes, 0 },
    { ngx_string("group_open_long_polling_http_svc"),
      im_api_group_codes, 0 },
    { ngx_string("group_open_long_polling_http_noauth_svc"),
      im_api_group_codes, 0 },
    { ngx_string("group_open_avchatroom_http_svc"), im_api_group_codes, 0 },
    { ngx_string("group_open_attr_http_svc"), im_api_group_codes, 0 },
    { ngx_string("million_group_open_http_svc"),
      { IM_E_GROUP_JSON, IM_E_GROUP_RIGHT, IM_E_GROUP_INTERNAL,
        IM_E_GROUP_INTERNAL, IM_E_TOPIC_OFF, IM_E_GROUP_RIGHT }, 0 },

    { ngx_string("openim_msg_ext_http_svc"), im_api_group_codes, 0 },
    { ngx_string("openim_dirty_words"), im_api_group_codes, 0 },

    { ngx_string("openconfigsvr"),
      { IM_E_CONF_JSON, IM_E_NOT_ADMIN, IM_E_CONF_INTERNAL,
        IM_E_CONF_INTERNAL, IM_E_NO_COMMAND, IM_E_SIG_USER }, 0 },

    { ngx_string("open_msg_svc"),
      { IM_E_KICKED, IM_E_KICKED, IM_E_HISTORY_INTERNAL,
        IM_E_HISTORY_INTERNAL, IM_E_NO_COMMAND, IM_E_SIG_USER }, 0 },

    /* the front end, for any other */

    { ngx_null_string,
      { IM_E_BODY, IM_E_NOT_ADMIN, IM_E_REQUEST, IM_E_BUSY,
        IM_E_NO_COMMAND, IM_E_SIG_USER }, 0 }
};


im_worker_hook_t  im_api_hook = {
    ngx_string("api"),
    NULL,                                  /* init conf */
    im_api_init_module,                    /* init module */
    NULL,                                  /* init process */
    NULL                                   /* exit process */
};


/* made by the master before its workers, the same in every cycle */

static im_api_row_t  *im_api_buckets[IM_API_BUCKETS];


static ngx_int_t
im_api_init_module(ngx_cycle_t *cycle, im_conf_t *conf)
{
    ngx_uint_t      i;
    im_command_t   *cmd;
    im_api_row_t   *row, **last;

    ngx_memzero(im_api_buckets, sizeof(im_api_buckets));

    for (i = 0; im_api_tables[i]; i++) {
        for (cmd = im_api_tables[i]; cmd->handler; cmd++) {

            row = ngx_pcalloc(cycle->pool, sizeof(im_api_row_t));
            if (row == NULL) {
                return NGX_ERROR;
            }

            row->command = cmd;
            row->hash = im_api_hash(&cmd->service, &cmd->name);

            last = &im_api_buckets[row->hash % IM_API_BUCKETS];

            while (*last && !im_api_is(*last, &cmd->service, &cmd->name)) {
                last = &(*last)->next;
            }

            while (*last) {
                last = &(*last)->same;
            }

            *last = row;
        }
    }

    return NGX_OK;
}


uint32_t
im_api_hash(ngx_str_t *service, ngx_str_t *command)
{
    uint32_t  hash;

    hash = ngx_murmur_hash2(service->data, service->len)
           ^ ngx_murmur_hash2(command->data, command->len);

    return hash ? hash : 1;
}


im_api_row_t *
im_api_by_hash(uint32_t hash)
{
    im_api_row_t  *row;

    for (row = im_api_buckets[hash % IM_API_BUCKETS]; row; row = row->next) {
        if (row->hash == hash) {
            break;
        }
    }

    return row;
}


im_api_row_t *
im_api_find(ngx_str_t *service, ngx_str_t *command)
{
    uint32_t       hash;
    im_api_row_t  *row;

    hash = im_api_hash(service, command);

    for (row = im_api_buckets[hash % IM_API_BUCKETS]; row; row = row->next) {
        if (im_api_is(row, service, command)) {
            break;
        }
    }

    return row;
}


static ngx_uint_t
im_api_is(im_api_row_t *row, ngx_str_t *service, ngx_str_t *command)
{
    return im_str_eq(&row->command->name, command)
           && im_str_eq(&row->command->service, service);
}


im_command_t *
im_api_command(im_ctx_t *ctx, im_api_row_t *row)
{
    return im_api_command_by(im_api_by(ctx), row);
}


im_command_t *
im_api_session_command(im_api_row_t *row)
{
    return im_api_command_by(IM_BY_USER|IM_BY_ANY, row);
}


static im_command_t *
im_api_command_by(ngx_uint_t by, im_api_row_t *row)
{
    while (row && !(row->command->by & by)) {
        row = row->same;
    }

    return row ? row->command : NULL;
}


static ngx_uint_t
im_api_by(im_ctx_t *ctx)
{
    switch (ctx->role) {

    case IM_ROLE_ADMIN:
        return IM_BY_ADMIN;

    case IM_ROLE_USER:
        return ctx->via == IM_VIA_REST ? IM_BY_SELF : IM_BY_USER|IM_BY_ANY;

    case IM_ROLE_GUEST:
        return ctx->via == IM_VIA_WEB ? IM_BY_GUEST|IM_BY_ANY : IM_BY_GUEST;

    default:
        return IM_BY_ANY;
    }
}


im_api_service_t *
im_api_service(ngx_str_t *service)
{
    im_api_service_t  *s;

    for (s = im_api_services; s->name.len; s++) {
        if (im_str_eq(&s->name, service)) {
            break;
        }
    }

    return s;
}


im_code_t
im_api_svc_code(ngx_str_t *service, im_svc_e what)
{
    return im_api_service(service)->codes[what];
}
