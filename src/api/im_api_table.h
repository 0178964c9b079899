
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_API_TABLE_H_INCLUDED_
#define _IM_API_TABLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "api/im_api.h"


/* The tables of commands and of services, hashed when nginx starts. */

struct im_api_row_s {
    im_command_t      *command;
    uint32_t           hash;         /* names the command in the metrics */
    im_api_row_t      *next;         /* in the bucket */
    im_api_row_t      *same;         /* of the same name, for other callers */
};


typedef struct {
    ngx_str_t          name;
    im_code_t          codes[6];     /* by im_svc_e */
    unsigned           display:1;    /* answers have ErrorDisplay */
} im_api_service_t;


/* Names a command in the metrics; never 0. */
uint32_t im_api_hash(ngx_str_t *service, ngx_str_t *command);

/* The row with that hash, NULL: no command. */
im_api_row_t *im_api_by_hash(uint32_t hash);

/* The first row of the name, NULL: none. */
im_api_row_t *im_api_find(ngx_str_t *service, ngx_str_t *command);

/* That of the row, or of those of the same name, which the caller may use;
 * NULL: none.  row may be NULL. */
im_command_t *im_api_command(im_ctx_t *ctx, im_api_row_t *row);
/* The same for a user's session on a connection. */
im_command_t *im_api_session_command(im_api_row_t *row);

/* Never NULL: an unknown service is the front end. */
im_api_service_t *im_api_service(ngx_str_t *service);


#endif /* _IM_API_TABLE_H_INCLUDED_ */
