
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_API_GATE_H_INCLUDED_
#define _IM_API_GATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "api/im_api.h"


/*
 * Decides who calls and whether he may go on, in the order of the
 * specification (rest-basics.md 1.2): query string, application, command,
 * rate, caller, body.  Sets app, via, role, user and body of ctx, of a
 * session its instance, too.  The code of what was wrong, ctx->info tells
 * more.
 */
im_code_t im_api_gate(im_ctx_t *ctx, im_call_t *call);


#endif /* _IM_API_GATE_H_INCLUDED_ */
