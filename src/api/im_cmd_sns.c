
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "api/im_cmd.h"


/*
 * What the SDK asks for at its start.  There is no command yet that makes
 * relations, so everybody's lists are empty.
 */

static im_code_t im_cmd_friend_get(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_group_get(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_pendency_get(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_black_list_get(im_ctx_t *ctx, void *data);


im_command_t  im_cmd_sns[] = {

    { ngx_string("sns"), ngx_string("friend_get"),
      im_cmd_friend_get, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("sns"), ngx_string("group_get"),
      im_cmd_group_get, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("sns"), ngx_string("pendency_get"),
      im_cmd_pendency_get, IM_BY_USER, NULL, 0, 0, 0 },

    { ngx_string("sns"), ngx_string("black_list_get"),
      im_cmd_black_list_get, IM_BY_USER, NULL, 0, 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_friend_get(im_ctx_t *ctx, void *data)
{
    im_json_add_int(ctx->reply, "FriendNum", 0);
    im_json_add_list(ctx->reply, "UserDataItem");
    im_json_add_int(ctx->reply, "CompleteFlag", 1);
    im_json_add_int(ctx->reply, "NextStartIndex", 0);
    im_json_add_int(ctx->reply, "StandardSequence", 0);
    im_json_add_int(ctx->reply, "CustomSequence", 0);

    return IM_OK;
}


static im_code_t
im_cmd_group_get(im_ctx_t *ctx, void *data)
{
    im_json_add_list(ctx->reply, "ResultItem");
    im_json_add_int(ctx->reply, "CurrentSequence", 0);

    return IM_OK;
}


static im_code_t
im_cmd_pendency_get(im_ctx_t *ctx, void *data)
{
    im_json_add_list(ctx->reply, "PendencyItem");
    im_json_add_int(ctx->reply, "UnreadPendencyCount", 0);
    im_json_add_int(ctx->reply, "StartTime", 0);
    im_json_add_int(ctx->reply, "CurrentSequence", 0);

    return IM_OK;
}


static im_code_t
im_cmd_black_list_get(im_ctx_t *ctx, void *data)
{
    im_json_add_list(ctx->reply, "BlackListItem");
    im_json_add_int(ctx->reply, "StartIndex", 0);
    im_json_add_int(ctx->reply, "CurruentSequence", 0);

    return IM_OK;
}
