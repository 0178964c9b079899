
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_hist.h"
#include "core/im_str.h"
#include "domain/im_callback_conf.h"
#include "api/im_api.h"
#include "api/im_api_gate.h"
#include "api/im_api_metrics.h"
#include "api/im_api_table.h"


#define IM_API_ANSWER_MAX  (1024 * 1024)


static ngx_int_t im_api_answer(im_ctx_t *ctx, im_call_t *call, im_code_t code,
    ngx_str_t *out);


ngx_int_t
im_api_call(ngx_pool_t *pool, ngx_log_t *log, im_call_t *call, ngx_str_t *out)
{
    im_ctx_t   *ctx;
    im_code_t   code;

    ctx = ngx_pcalloc(pool, sizeof(im_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->pool = pool;
    ctx->log = log;
    ctx->ip = call->ip;

    ctx->reply = im_json_new_obj(pool);
    if (ctx->reply == NULL) {
        return NGX_ERROR;
    }

    call->row = im_api_find(&call->service, &call->command);

    code = im_api_gate(ctx, call);

    if (code == IM_OK) {
        code = im_api_run(ctx, &call->service, call->row);
    }

    return im_api_answer(ctx, call, code, out);
}


ngx_int_t
im_api_resume(ngx_pool_t *pool, ngx_log_t *log, im_call_t *call,
    ngx_str_t *out)
{
    im_ctx_t   *ctx;
    im_code_t   code;
    im_poll_t  *poll;

    poll = call->park;
    ctx = poll->ctx;

    call->park = NULL;
    ctx->park = NULL;

    code = poll->handler(ctx, poll->data, poll->reason);

    return im_api_answer(ctx, call, code, out);
}


static ngx_int_t
im_api_answer(im_ctx_t *ctx, im_call_t *call, im_code_t code, ngx_str_t *out)
{
    if (code == IM_OK && ctx->park) {
        call->park = ctx->park;
        return NGX_AGAIN;
    }

    call->status = ctx->status;

    if (im_api_service(&call->service)->display) {
        im_json_add_cstr(ctx->reply, "ErrorDisplay", "");
    }

    im_api_count(call->row, code);

    im_api_envelope(ctx, code);

    if (im_json_render(ctx->pool, ctx->reply, out) != NGX_OK) {
        return NGX_ERROR;
    }

    if (code == IM_OK && ctx->tail) {
        out->len--;
        call->tail = ctx->tail;
    }

    return NGX_OK;
}


ngx_int_t
im_api_refuse(ngx_pool_t *pool, im_code_t code, ngx_str_t *out)
{
    im_ctx_t  ctx;

    ngx_memzero(&ctx, sizeof(im_ctx_t));

    ctx.pool = pool;
    ctx.reply = im_json_new_obj(pool);

    im_api_envelope(&ctx, code);

    return im_json_render(pool, ctx.reply, out);
}


im_code_t
im_api_run(im_ctx_t *ctx, ngx_str_t *service, im_api_row_t *row)
{
    void          *req;
    uint64_t       start;
    im_code_t      code;
    im_command_t  *cmd;

    im_callback_refresh(ctx);

    cmd = im_api_command(ctx, row);

    if (cmd == NULL) {
        return im_api_svc_code(service, row ? IM_SVC_ADMIN : IM_SVC_UNKNOWN);
    }

    req = NULL;

    if (cmd->size) {
        req = ngx_pcalloc(ctx->pool, cmd->size);
        if (req == NULL) {
            return im_api_svc_code(service, IM_SVC_INTERNAL);
        }
    }

    if (cmd->fields) {
        code = im_schema_fill(ctx->pool, ctx->body, cmd->fields, req,
                              &ctx->info);

        if (code == NGX_ERROR) {
            return im_api_svc_code(service, IM_SVC_INTERNAL);
        }

        if (code != IM_OK) {
            return code;
        }
    }

    start = im_hist_now();

    code = cmd->handler(ctx, req);

    if (ctx->park == NULL) {
        im_hist_add(IM_HIST_COMMAND, ctx->app->id, row->hash,
                    im_hist_now() - start);
    }

    if (im_json_failed(ctx->reply)) {
        ctx->reply = im_json_new_obj(ctx->pool);
        return im_api_svc_code(service, IM_SVC_INTERNAL);
    }

    if (code == IM_OK
        && (cmd->flags & IM_BOUNDED)
        && im_json_len(ctx->reply) > IM_API_ANSWER_MAX)
    {
        ctx->reply = im_json_new_obj(ctx->pool);
        return IM_E_GROUP_ANSWER;
    }

    return code;
}


void
im_api_envelope(im_ctx_t *ctx, im_code_t code)
{
    static ngx_str_t  ok = ngx_string("\"OK\",\"ErrorCode\":0,"
                                      "\"ErrorInfo\":\"\"");
    static ngx_str_t  some = ngx_string("\"SomeError\",\"ErrorCode\":0,"
                                        "\"ErrorInfo\":\"\"");

    if (code == IM_OK) {

        /* how nearly all answers end, as one node */

        im_json_add_raw(ctx->reply, "ActionStatus",
                        ctx->some_error ? &some : &ok);
        return;
    }

    im_json_add_cstr(ctx->reply, "ActionStatus", "FAIL");
    im_json_add_int(ctx->reply, "ErrorCode", code);
    im_json_add_str(ctx->reply, "ErrorInfo",
                    ctx->info.len ? &ctx->info : im_error_text(code));
}
