
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_API_TABLE_H_INCLUDED_
#define _IM_API_TABLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "api/im_api.h"


/* The tables of commands and of services, hashed when nginx starts. */

typedef struct im_api_row_s  im_api_row_t;

struct im_api_row_s {
    im_command_t      *command;
    uint32_t           hash;         /* names the command in the metrics */
    im_api_row_t      *next;
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

/* The first row of the bucket that has the name, NULL: none; rows of the same
 * name for other callers, and of others, may follow. */
im_api_row_t *im_api_find(ngx_str_t *service, ngx_str_t *command);

/* The row of that name that the caller may use, NULL: none. */
im_command_t *im_api_command(im_ctx_t *ctx, ngx_str_t *service,
    ngx_str_t *command);
/* The same for a user's session on a connection. */
im_command_t *im_api_session_command(ngx_str_t *service, ngx_str_t *command);

/* Never NULL: an unknown service is the front end. */
im_api_service_t *im_api_service(ngx_str_t *service);


#endif /* _IM_API_TABLE_H_INCLUDED_ */
