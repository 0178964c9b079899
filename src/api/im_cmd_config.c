
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "api/im_cmd.h"


#define IM_CONFIG_EXPIRES  86400


static im_code_t im_cmd_fetch_config(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_fetch_purchase_bits(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_get_local_words(im_ctx_t *ctx, void *data);


/*
 * What the cloud configuration says to the SDK: no statistics, and the limit
 * of uploads (web-v2.md 7, fetch_config).
 */

#define IM_CONFIG_VERSION  1

static char  im_config_json[] =
    "{\"upload_size_limit\":"
        "\"{\\\"a\\\":28,\\\"f\\\":28,\\\"i\\\":28,\\\"v\\\":28}\","
    "\"evt_rpt_level\":\"9\"}";


im_command_t  im_cmd_config[] = {

    { ngx_string("im_sdk_config_mgr"), ngx_string("fetch_config"),
      im_cmd_fetch_config, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("im_sdk_config_mgr"),
      ngx_string("fetch_imsdk_purchase_bitsv2"),
      im_cmd_fetch_purchase_bits, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("im_msg_audit_mgr"), ngx_string("get_local_words"),
      im_cmd_get_local_words, IM_BY_USER, NULL, 0, 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_fetch_config(im_ctx_t *ctx, void *data)
{
    im_json_add_int(ctx->reply, "int32_error_code", 0);
    im_json_add_cstr(ctx->reply, "str_error_message", "");
    im_json_add_int(ctx->reply, "uint32_expired_time", IM_CONFIG_EXPIRES);
    im_json_add_int(ctx->reply, "uint64_version", IM_CONFIG_VERSION);
    im_json_add_cstr(ctx->reply, "str_json_config", im_config_json);

    return IM_OK;
}


static im_code_t
im_cmd_fetch_purchase_bits(im_ctx_t *ctx, void *data)
{
    im_json_add_int(ctx->reply, "int32_error_code", 0);
    im_json_add_cstr(ctx->reply, "str_error_message", "");
    im_json_add_int(ctx->reply, "uint32_expired_time", IM_CONFIG_EXPIRES);
    im_json_add_cstr(ctx->reply, "str_purchase_bits", IM_PURCHASE_BITS);

    return IM_OK;
}


/* The server has no words that the client should look for by itself. */

static im_code_t
im_cmd_get_local_words(im_ctx_t *ctx, void *data)
{
    im_json_t  *error;

    error = im_json_add_obj(ctx->reply, "msg_cmd_error_code");

    im_json_add_int(error, "uint32_code", 0);
    im_json_add_cstr(error, "str_err_msg", "");

    im_json_add_list(ctx->reply, "rpt_msg_dirty_word");
    im_json_add_int(ctx->reply, "uint64_complete_flag", 1);
    im_json_add_int(ctx->reply, "uint64_version", 0);
    im_json_add_int(ctx->reply, "uint64_expired_time", IM_CONFIG_EXPIRES);

    return IM_OK;
}
